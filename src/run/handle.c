/* SPDX-License-Identifier: MIT */
/* NetCDF's handles: of files and never of servers; and one for each file that is read, however many sg_runs
 * read it: libhdf5 1.10 crashes over the strings of a file that was opened twice and closed once. */
#include "run/run_internal.h"

#include "base/base_internal.h"
#include "io/file_kind.h"
#include "io/hdf5.h"

#include <errno.h>
#include <netcdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* NetCDF takes "http://host/run.nc" for an address. The resolved path begins with "/" and has no "//": a
 * file. */
static int at_real_path(int (*call)(const char *, int, int *), const char *path, int mode, int *nc)
{
    char *resolved = realpath(path, NULL);
    if (!resolved)
        return errno == ENOMEM ? NC_ENOMEM : errno;
    int rc = hdf5_has_room() ? call(resolved, mode, nc) : NC_ENOMEM;
    free(resolved);
    return rc;
}

int run_nc_create(const char *path, int *nc)
{
    return at_real_path(nc_create, path, NC_NETCDF4 | NC_CLOBBER, nc);
}

int run_nc_change(const char *path, int *nc)
{
    return at_real_path(nc_open, path, NC_WRITE, nc);
}

typedef struct shared {
    struct shared *next;
    dev_t device;
    ino_t inode;
    int nc;
    size_t readers;
} shared;

static shared *open_files; /* under hdf5_lock */

static shared *find_shared(const struct stat *info)
{
    shared *s = open_files;
    while (s && (s->device != info->st_dev || s->inode != info->st_ino))
        s = s->next;
    return s;
}

/* Says what the file is, where its first bytes tell; else what NetCDF says. */
static sg_status not_a_run(const char *path, int rc, sg_error *err)
{
    unsigned char start[FILE_KIND_BYTES];
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(start, 1, sizeof start, f) : 0;
    if (f)
        fclose(f);
    const file_kind *kind = file_kind_of(start, n);
    return kind ? file_kind_refuse(kind, path, "a run file", "'analyze' makes the run file of a model", err)
                : sg_fail(err, SG_EFORMAT, "%s: is not a run file: %s", path, nc_strerror(rc));
}

static sg_status open_shared(shared **out, const char *path, const struct stat *info, sg_error *err)
{
    sg_status st = SG_OK;
    shared *s = sg_calloc(1, sizeof *s);
    if (!s)
        return no_memory(err, "%s", path);
    if (!hdf5_has_room()) /* also before libhdf5 looks at it */
        TRY(no_memory(err, "%s", path));
    TRY(run_refuse_foreign(path, err));
    int rc = at_real_path(nc_open, path, NC_NOWRITE, &s->nc);
    if (rc == NC_ENOMEM)
        TRY(no_memory(err, "%s", path));
    if (rc != NC_NOERR)
        TRY(not_a_run(path, rc, err));
    s->device = info->st_dev, s->inode = info->st_ino;
    s->next = open_files;
    *out = open_files = s;
    s = NULL;
done:
    sg_free(s);
    return st;
}

sg_status run_nc_read(const char *path, int *nc, sg_error *err)
{
    sg_status st = SG_OK;
    struct stat info;
    if (stat(path, &info) != 0)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    hdf5_lock();
    shared *s = find_shared(&info);
    if (!s)
        st = open_shared(&s, path, &info, err);
    if (st == SG_OK) {
        s->readers++;
        *nc = s->nc;
    }
    hdf5_unlock();
    return st;
}

void run_nc_close(int nc)
{
    hdf5_lock();
    shared **at = &open_files;
    while ((*at)->nc != nc)
        at = &(*at)->next;
    shared *s = *at;
    if (--s->readers == 0) {
        *at = s->next;
        nc_close(nc);
        sg_free(s);
    }
    hdf5_unlock();
}
