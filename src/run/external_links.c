/* SPDX-License-Identifier: MIT */
/* A run file holds its numbers itself. NetCDF follows HDF5's links to other files, reads data that a file
 * states is in another one, and loads filters; so all of these are refused before it sees the file. */
#include "run/run_internal.h"

#include "base/base_internal.h"

#include <hdf5.h>

typedef struct {
    const char *path;
    sg_status st;
    sg_error *err;
} visit;

/* NULL: the dataset's bytes are in the file and pass through known filters only. */
static const char *what_is_foreign(hid_t dataset)
{
    const char *what = NULL;
    hid_t p = H5Dget_create_plist(dataset);
    if (p < 0)
        return "a dataset that cannot be looked at";
    if (H5Pget_external_count(p) != 0)
        what = "data in another file";
    else if (H5Pget_layout(p) == H5D_VIRTUAL)
        what = "a virtual dataset";
    for (int i = 0, n = H5Pget_nfilters(p); !what && i < n; i++) {
        unsigned flags, config;
        size_t values = 0;
        H5Z_filter_t id = H5Pget_filter2(p, (unsigned)i, &flags, &values, NULL, 0, NULL, &config);
        if (id != H5Z_FILTER_DEFLATE && id != H5Z_FILTER_SHUFFLE && id != H5Z_FILTER_FLETCHER32)
            what = "a filter other than deflate, shuffle and fletcher32";
    }
    H5Pclose(p);
    return what;
}

static herr_t look_at(hid_t group, const char *name, const H5L_info_t *info, void *ctx)
{
    visit *v = ctx;
    const char *what = NULL;
    if (info->type == H5L_TYPE_HARD) {
        hid_t object = H5Oopen(group, name, H5P_DEFAULT);
        if (object >= 0 && H5Iget_type(object) == H5I_DATASET)
            what = what_is_foreign(object);
        if (object >= 0)
            H5Oclose(object);
    } else if (info->type != H5L_TYPE_SOFT)
        what = "a link to another file";
    if (!what)
        return 0;
    v->st = sg_fail(v->err, SG_EFORMAT, "%s: %s: %s, which is not followed", v->path, name, what);
    return 1;
}

sg_status run_refuse_foreign(const char *path, sg_error *err)
{
    visit v = {path, SG_OK, err};
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file >= 0) { /* else NetCDF reports the error */
        if (H5Lvisit(file, H5_INDEX_NAME, H5_ITER_NATIVE, look_at, &v) < 0 && v.st == SG_OK)
            v.st = sg_fail(err, SG_EFORMAT, "%s: is damaged: its groups cannot be listed", path);
        H5Fclose(file);
    }
    return v.st;
}
