/* NetCDF's handles: of files and never of servers; and one for each file that is read, however many sg_runs
 * read it: libhdf5 1.10 crashes over the strings of a file that was opened twice and closed once. */
#include "run_internal.h"

#include "../base/base_internal.h"

#include <errno.h>
#include <netcdf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* NetCDF takes "http://host/run.nc" for an address. The resolved path begins with "/" and has no "//": a file. */
static int at_real_path(int (*call)(const char *, int, int *), const char *path, int mode, int *nc)
{
    char *resolved = realpath(path, NULL);
    if (!resolved)
        return errno == ENOMEM ? NC_ENOMEM : errno;
    int rc = call(resolved, mode, nc);
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

static shared *open_files; /* under sg_hdf5_lock */

static sg_status open_shared(shared *s, const char *path, sg_error *err)
{
    sg_status st = run_refuse_foreign(path, err);
    if (st != SG_OK)
        return st;
    int rc = at_real_path(nc_open, path, NC_NOWRITE, &s->nc);
    if (rc != NC_NOERR)
        return sg_fail(err, rc == NC_ENOMEM ? SG_ENOMEM : SG_EFORMAT, "%s: is not a run file: %s", path,
                       nc_strerror(rc));
    s->next = open_files;
    open_files = s;
    return SG_OK;
}

sg_status run_nc_read(const char *path, int *nc, sg_error *err)
{
    sg_status st = SG_OK;
    struct stat info;
    shared *s, *fresh = NULL;
    if (stat(path, &info) != 0)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    sg_hdf5_lock();
    for (s = open_files; s && (s->device != info.st_dev || s->inode != info.st_ino);)
        s = s->next;
    if (!s) {
        if (!(fresh = sg_calloc(1, sizeof *fresh)))
            TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", path));
        fresh->device = info.st_dev, fresh->inode = info.st_ino;
        TRY(open_shared(fresh, path, err));
        s = fresh;
        fresh = NULL;
    }
    s->readers++;
    *nc = s->nc;
done:
    sg_hdf5_unlock();
    sg_free(fresh);
    return st;
}

void run_nc_close(int nc)
{
    sg_hdf5_lock();
    shared **at = &open_files;
    while ((*at)->nc != nc)
        at = &(*at)->next;
    shared *s = *at;
    if (--s->readers == 0) {
        *at = s->next;
        nc_close(nc);
        sg_free(s);
    }
    sg_hdf5_unlock();
}
