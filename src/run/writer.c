/* SPDX-License-Identifier: MIT */
/* Writing run files: NetCDF-4 on a temporary path, a checksum after the data, then rename. */
#include "run/run_internal.h"

#include "base/base_internal.h"
#include "base/checksum.h"
#include "io/hdf5.h"

#include <errno.h>
#include <math.h>
#include <netcdf.h>
#include <string.h>

/* Level 1 with byte shuffling: float noise shrinks little more at higher levels, and they take five times as
 * long. */
enum { DEFLATE_LEVEL = 1, CHUNK_BYTES = 1 << 18 };

struct run_writer {
    char *path;
    sg_outfile *file;
    int nc;
    bool is_open;
    bool broken;                    /* a NetCDF call failed */
    int groups[RUN_MAX_GROUPS + 1]; /* [0] the root */
    int n_groups;
};

static sg_status nc_status(const run_writer *w, int rc, const char *what, sg_error *err)
{
    if (rc == NC_NOERR)
        return SG_OK;
    int e = errno;
    return sg_fail(err, rc == NC_ENOMEM ? SG_ENOMEM : SG_EIO, "%s: cannot be written: %s%s%s%s%s", w->path,
                   what, what[0] ? ": " : "", nc_strerror(rc), e ? ": " : "", e ? strerror(e) : "");
}

/* st = status of a NetCDF call made under the lock */
#define NC(w, what, call)                                                                                    \
    do {                                                                                                     \
        hdf5_lock();                                                                                         \
        errno = 0;                                                                                           \
        int rc_ = (call);                                                                                    \
        (w)->broken |= rc_ != NC_NOERR;                                                                      \
        hdf5_unlock();                                                                                       \
        TRY(nc_status(w, rc_, what, err));                                                                   \
    } while (0)

static sg_status writer_new(run_writer **out, const char *target, sg_error *err)
{
    sg_status st = SG_OK;
    run_writer *w = sg_calloc(1, sizeof *w);
    *out = NULL;
    NEED(w && (w->path = sg_strdup(target)), err, "%s", target);
    TRY(sg_outfile_open(&w->file, target, err));
    *out = w;
    w = NULL;
done:
    run_writer_abort(w);
    return st;
}

sg_status run_writer_create(run_writer **out, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    run_writer *w = NULL;
    *out = NULL;
    TRY(writer_new(&w, path, err));
    NC(w, "", run_nc_create(sg_outfile_temp_path(w->file), &w->nc));
    w->is_open = true;
    w->groups[RUN_ROOT] = w->nc;
    *out = w;
    w = NULL;
done:
    run_writer_abort(w);
    return st;
}

static sg_status copy_without_checksum(run_writer *w, const char *path, uint64_t length,
                                       const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    char buffer[16384];
    FILE *to = sg_outfile_stream(w->file), *from = fopen(path, "rb");
    const double total = (double)length;
    ticker watch = ticker_begin(monitor, "copying", total);
    if (!from)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    while (length) {
        size_t n = length < sizeof buffer ? (size_t)length : sizeof buffer;
        if (fread(buffer, 1, n, from) != n)
            TRY(sg_fail(err, SG_EIO, "%s: cannot be read", path));
        if (fwrite(buffer, 1, n, to) != n)
            TRY(sg_fail(err, SG_EIO, "%s: cannot be written: %s", w->path, strerror(errno)));
        length -= n;
        TRY(ticker_tell(&watch, total - (double)length, err));
    }
    if (fflush(to) != 0)
        TRY(sg_fail(err, SG_EIO, "%s: cannot be written: %s", w->path, strerror(errno)));
done:
    fclose(from);
    return st;
}

sg_status run_writer_modify(run_writer **out, const char *path, const char *target, const sg_monitor *monitor,
                            sg_error *err)
{
    sg_status st = SG_OK;
    run_writer *w = NULL;
    uint64_t length = 0;
    int n = 0;
    *out = NULL;
    TRY(checksum_verify(path, &length, &(bool){false}, err));
    TRY(writer_new(&w, target, err));
    TRY(copy_without_checksum(w, path, length, monitor, err));
    NC(w, "", run_nc_change(sg_outfile_temp_path(w->file), &w->nc));
    w->is_open = true;
    w->groups[RUN_ROOT] = w->nc;
    NC(w, "", nc_inq_grps(w->nc, &n, NULL));
    if (n > RUN_MAX_GROUPS)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %d groups, at most %d expected", path, n, (int)RUN_MAX_GROUPS));
    NC(w, "", nc_inq_grps(w->nc, NULL, w->groups + 1));
    w->n_groups = n;
    *out = w;
    w = NULL;
done:
    run_writer_abort(w);
    return st;
}

sg_status run_writer_group(run_writer *w, const char *name, int *group, sg_error *err)
{
    sg_status st = SG_OK;
    char found[NC_MAX_NAME + 1];
    for (int g = 1; g <= w->n_groups; g++) {
        NC(w, name, nc_inq_grpname(w->groups[g], found));
        if (!strcmp(found, name)) {
            *group = g;
            return SG_OK;
        }
    }
    if (w->n_groups == RUN_MAX_GROUPS)
        return sg_fail(err, SG_EINVAL, "%s: more than %d groups", w->path, (int)RUN_MAX_GROUPS);
    NC(w, name, nc_def_grp(w->nc, name, &w->groups[w->n_groups + 1]));
    *group = ++w->n_groups;
done:
    return st;
}

sg_status run_writer_dim(run_writer *w, int group, const char *name, size_t length, sg_error *err)
{
    sg_status st = SG_OK;
    int id;
    NC(w, name, nc_def_dim(w->groups[group], name, length ? length : NC_UNLIMITED, &id));
done:
    return st;
}

static nc_type netcdf_type(run_type t)
{
    static const nc_type types[] = {NC_FLOAT, NC_DOUBLE, NC_INT, NC_INT64, NC_STRING};
    return types[t];
}

static size_t type_size(run_type t)
{
    static const size_t sizes[] = {4, 8, 4, 8, sizeof(char *)};
    return sizes[t];
}

/* Chunks of at most CHUNK_BYTES that run along the last dimensions: one (class, delay) is one or few
 * chunks. */
static void choose_chunks(size_t rank, const size_t *shape, size_t size, size_t *chunk)
{
    size_t room = CHUNK_BYTES / size;
    for (size_t i = rank; i-- > 0;) {
        size_t n = shape[i] ? shape[i] : 1;
        chunk[i] = n < room ? n : room ? room : 1;
        room = chunk[i] == n ? room / n : 1;
    }
}

/* Units of the table are those of normalised gradients; a file whose attribute `normalization` is not
 * covariance has "unit" for "standard deviation". */
static sg_status put_units(run_writer *w, int group, const run_variable *v, sg_error *err)
{
    static const char per[] = "standard deviation";
    sg_status st = SG_OK;
    char normalization[16] = "", text[80];
    const char *at = strstr(v->units, per);
    size_t n = sizeof normalization;
    hdf5_lock();
    bool named = at && nc_inq_attlen(w->nc, NC_GLOBAL, "normalization", &n) == NC_NOERR;
    hdf5_unlock();
    if (named && n < sizeof normalization)
        NC(w, v->name, nc_get_att_text(w->nc, NC_GLOBAL, "normalization", normalization));
    if (at && strcmp(normalization, "covariance") != 0)
        snprintf(text, sizeof text, "%.*sunit%s", (int)(at - v->units), v->units, at + sizeof per - 1);
    else
        snprintf(text, sizeof text, "%s", v->units);
    TRY(run_writer_text(w, group, v->name, "units", text, err));
done:
    return st;
}

sg_status run_writer_define(run_writer *w, int group, const char *variable, sg_error *err)
{
    sg_status st = SG_OK;
    const run_variable *v = run_variable_find(variable, group != RUN_ROOT);
    size_t rank = 0, shape[SG_RUN_MAX_DIMS], chunk[SG_RUN_MAX_DIMS], bytes;
    int dims[SG_RUN_MAX_DIMS], nc = w->groups[group], id;
    bool grows = false;
    if (!v)
        return sg_fail(err, SG_EINVAL, "%s: variable %s is not in the table of the run file", w->path,
                       variable);
    if (run_writer_has(w, group, variable))
        return SG_OK;
    bytes = type_size(v->type);
    for (const char *p = v->dims; *p; rank++) {
        char name[64];
        size_t n = strcspn(p, " ");
        snprintf(name, sizeof name, "%.*s", (int)n, p);
        NC(w, name, nc_inq_dimid(nc, name, &dims[rank]));
        NC(w, name, nc_inq_dimlen(nc, dims[rank], &shape[rank]));
        if (!strcmp(name, "property")) {
            shape[rank] = 1;
            grows = true;
        }
        bytes *= shape[rank];
        p += n + (p[n] == ' ');
    }
    NC(w, variable, nc_def_var(nc, variable, netcdf_type(v->type), (int)rank, dims, &id));
    if (v->type != RUN_STRING) {
        if (grows || bytes > 4096) {
            choose_chunks(rank, shape, type_size(v->type), chunk);
            NC(w, variable, nc_def_var_chunking(nc, id, NC_CHUNKED, chunk));
            NC(w, variable, nc_def_var_deflate(nc, id, 1, 1, DEFLATE_LEVEL));
            NC(w, variable, nc_set_var_chunk_cache(nc, id, 2 * CHUNK_BYTES, 7, 1.0f));
        }
        float nan_f = NAN;
        double nan_d = NAN;
        if (v->type == RUN_F32)
            NC(w, variable, nc_def_var_fill(nc, id, NC_FILL, &nan_f));
        if (v->type == RUN_F64)
            NC(w, variable, nc_def_var_fill(nc, id, NC_FILL, &nan_d));
    }
    TRY(run_writer_text(w, group, variable, "long_name", v->long_name, err));
    TRY(put_units(w, group, v, err));
done:
    return st;
}

sg_status run_writer_define_all(run_writer *w, int group, sg_error *err)
{
    sg_status st = SG_OK;
    for (const run_variable *v = run_variables; v->name; v++)
        if (v->in_group == (group != RUN_ROOT) && !v->sometimes)
            TRY(run_writer_define(w, group, v->name, err));
done:
    return st;
}

/* The n values of the variable of the root that v repeats. */
static sg_status repeat_root(run_writer *w, int group, const run_variable *v, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    size_t start[] = {0}, count[] = {n};
    int from;
    double *numbers = NULL;
    char **texts = sg_calloc(n, sizeof *texts);
    NEED(texts && (numbers = sg_calloc(n, sizeof *numbers)), err, "%s", w->path);
    NC(w, v->labels, nc_inq_varid(w->nc, v->labels, &from));
    if (v->type == RUN_STRING) {
        NC(w, v->labels, nc_get_vara_string(w->nc, from, start, count, texts));
        TRY(run_writer_put_strings(w, group, v->name, 0, n, (const char *const *)texts, err));
    } else {
        NC(w, v->labels, nc_get_vara_double(w->nc, from, start, count, numbers));
        TRY(run_writer_put_f64(w, group, v->name, start, count, numbers, err));
    }
done:
    if (texts) {
        hdf5_lock();
        nc_free_string(n, texts);
        hdf5_unlock();
    }
    sg_free(texts);
    sg_free(numbers);
    return st;
}

static sg_status count_up(run_writer *w, int group, const run_variable *v, size_t n, sg_error *err)
{
    int64_t *x = sg_calloc(n, sizeof *x);
    if (!x)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", w->path);
    for (size_t i = 0; i < n; i++)
        x[i] = (int64_t)i + v->first;
    sg_status st = run_writer_put_i64(w, group, v->name, NULL, NULL, x, err);
    sg_free(x);
    return st;
}

sg_status run_writer_coordinates(run_writer *w, int group, sg_error *err)
{
    sg_status st = SG_OK;
    for (const run_variable *v = run_variables; v->name; v++) {
        size_t n;
        int dim;
        if (!v->coordinate || !run_writer_has(w, group, v->name))
            continue;
        NC(w, v->dims, nc_inq_dimid(w->groups[group], v->dims, &dim));
        NC(w, v->dims, nc_inq_dimlen(w->groups[group], dim, &n));
        if (n)
            TRY((v->labels ? repeat_root : count_up)(w, group, v, n, err));
    }
done:
    return st;
}

bool run_writer_has(run_writer *w, int group, const char *variable)
{
    int id;
    hdf5_lock();
    int rc = nc_inq_varid(w->groups[group], variable, &id);
    hdf5_unlock();
    return rc == NC_NOERR;
}

static sg_status variable_id(run_writer *w, int group, const char *variable, int *id, sg_error *err)
{
    sg_status st = SG_OK;
    *id = NC_GLOBAL;
    if (variable)
        NC(w, variable, nc_inq_varid(w->groups[group], variable, id));
done:
    return st;
}

sg_status run_writer_text(run_writer *w, int group, const char *variable, const char *name, const char *text,
                          sg_error *err)
{
    sg_status st = SG_OK;
    int id;
    TRY(variable_id(w, group, variable, &id, err));
    NC(w, name, nc_put_att_text(w->groups[group], id, name, strlen(text), text));
done:
    return st;
}

sg_status run_writer_integer(run_writer *w, int group, const char *variable, const char *name, int64_t value,
                             sg_error *err)
{
    sg_status st = SG_OK;
    int id;
    long long v = value;
    TRY(variable_id(w, group, variable, &id, err));
    NC(w, name, nc_put_att_longlong(w->groups[group], id, name, NC_INT64, 1, &v));
done:
    return st;
}

sg_status run_writer_real(run_writer *w, int group, const char *variable, const char *name, double value,
                          sg_error *err)
{
    sg_status st = SG_OK;
    int id;
    TRY(variable_id(w, group, variable, &id, err));
    NC(w, name, nc_put_att_double(w->groups[group], id, name, NC_DOUBLE, 1, &value));
done:
    return st;
}

bool run_writer_has_attribute(run_writer *w, const char *name)
{
    int id;
    hdf5_lock();
    int rc = nc_inq_attid(w->nc, NC_GLOBAL, name, &id);
    hdf5_unlock();
    return rc == NC_NOERR;
}

sg_status run_writer_copy_attribute(run_writer *w, const sg_run *r, const char *name, sg_error *err)
{
    sg_status st = SG_OK;
    NC(w, name, nc_copy_att(run_nc(r), NC_GLOBAL, name, w->nc, NC_GLOBAL));
done:
    return st;
}

#define PUT(suffix, type, nc_suffix, cast)                                                                   \
    sg_status run_writer_put_##suffix(run_writer *w, int group, const char *variable, const size_t *start,   \
                                      const size_t *count, const type *x, sg_error *err)                     \
    {                                                                                                        \
        sg_status st = SG_OK;                                                                                \
        int id;                                                                                              \
        TRY(variable_id(w, group, variable, &id, err));                                                      \
        if (start)                                                                                           \
            NC(w, variable, nc_put_vara_##nc_suffix(w->groups[group], id, start, count, (const cast *)x));   \
        else                                                                                                 \
            NC(w, variable, nc_put_var_##nc_suffix(w->groups[group], id, (const cast *)x));                  \
    done:                                                                                                    \
        return st;                                                                                           \
    }

PUT(f32, float, float, float)
PUT(f64, double, double, double)
_Static_assert(sizeof(long long) == sizeof(int64_t), "NetCDF's long long is our int64_t");
PUT(i64, int64_t, longlong, long long)

sg_status run_writer_put_string(run_writer *w, int group, const char *variable, size_t i, const char *text,
                                sg_error *err)
{
    sg_status st = SG_OK;
    int id;
    size_t start[1] = {i}, count[1] = {1};
    TRY(variable_id(w, group, variable, &id, err));
    NC(w, variable, nc_put_vara_string(w->groups[group], id, start, count, &text));
done:
    return st;
}

sg_status run_writer_put_strings(run_writer *w, int group, const char *variable, size_t first, size_t n,
                                 const char *const *texts, sg_error *err)
{
    sg_status st = SG_OK;
    int id;
    TRY(variable_id(w, group, variable, &id, err));
    for (size_t at = 0; at < n; at += RUN_STRINGS) {
        size_t start[1] = {first + at}, count[1] = {n - at < RUN_STRINGS ? n - at : RUN_STRINGS};
        NC(w, variable, nc_put_vara_string(w->groups[group], id, start, count, (const char **)texts + at));
    }
done:
    return st;
}

sg_status run_writer_commit(run_writer *w, sg_error *err)
{
    sg_status st = SG_OK;
    /* What could fail in the writing, now or when the kernel gets round to it, fails here and not in
     * nc_close: see run_writer_abort. What nc_close still writes lies in blocks that the file system has
     * given already. */
    NC(w, "", nc_sync(w->nc));
    if ((w->broken = !sg_outfile_sync(w->file)))
        TRY(sg_fail(err, SG_EIO, "%s: cannot be written: %s", w->path, strerror(errno)));
    w->is_open = false;
    NC(w, "", nc_close(w->nc));
    TRY(checksum_append(sg_outfile_stream(w->file), w->path, err));
    sg_outfile *file = w->file;
    w->file = NULL;
    TRY(sg_outfile_commit(file, err));
done:
    run_writer_abort(w);
    return st;
}

void run_writer_abort(run_writer *w)
{
    if (!w)
        return;
    /* HDF5 crashes when it closes a file, or ends the process, with data that a full disk did not take: such
     * a file is left open. Its handle and its removed temporary file are released with the process. */
    if (w->is_open && !w->broken) {
        hdf5_lock();
        if (nc_sync(w->nc) == NC_NOERR)
            nc_close(w->nc);
        hdf5_unlock();
    }
    sg_outfile_abort(w->file);
    sg_free(w->path);
    sg_free(w);
}
