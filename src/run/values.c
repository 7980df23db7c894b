/* SPDX-License-Identifier: MIT */
/* Variables and attributes of an open run file, by name and hyperslab. */
#include "run/reader_internal.h"

#include "base/base_internal.h"
#include "io/hdf5.h"

#include <string.h>

sg_status run_nc_status(const sg_run *r, int rc, const char *what, sg_error *err)
{
    if (rc == NC_NOERR)
        return SG_OK;
    return sg_fail(err, rc == NC_ENOMEM ? SG_ENOMEM : SG_EFORMAT, "%s: %s%s%s", r->path, what,
                   what[0] ? ": " : "", nc_strerror(rc));
}

static const run_group *find_group(const sg_run *r, const char *name)
{
    for (size_t g = 0; g < r->n_groups; g++)
        if (!strcmp(r->groups[g].name, name))
            return &r->groups[g];
    return NULL;
}

/* NULL: the root. -1: no such group */
static int group_nc(const sg_run *r, const char *group)
{
    if (!group)
        return r->nc;
    const run_group *g = find_group(r, group);
    return g ? g->nc : -1;
}

sg_status run_read_attribute(const sg_run *r, int nc, int variable, const char *name, char **text,
                             sg_error *err)
{
    sg_status st = SG_OK;
    nc_type type = NC_NAT;
    size_t n = 0;
    char *s = NULL;
    *text = NULL;
    RUN_NC(r, name, nc_inq_att(nc, variable, name, &type, &n));
    if (n > 1 << 20)
        TRY(sg_fail(err, SG_EFORMAT, "%s: attribute %s: %zu values, at most 1048576 expected", r->path, name,
                    n));
    if (type == NC_CHAR) {
        NEED(s = sg_calloc(n + 1, 1), err, "%s", r->path);
        RUN_NC(r, name, nc_get_att_text(nc, variable, name, s));
    } else if (type == NC_STRING && n == 1) {
        char *found = NULL;
        RUN_NC(r, name, nc_get_att_string(nc, variable, name, &found));
        s = sg_strdup(found ? found : "");
        hdf5_lock();
        nc_free_string(1, &found);
        hdf5_unlock();
    } else if (type < NC_STRING && n == 1) {
        char number[40];
        long long whole = 0;
        double real = 0;
        if (type == NC_FLOAT || type == NC_DOUBLE) {
            RUN_NC(r, name, nc_get_att_double(nc, variable, name, &real));
            snprintf(number, sizeof number, "%.15g", real);
        } else {
            RUN_NC(r, name, nc_get_att_longlong(nc, variable, name, &whole));
            snprintf(number, sizeof number, "%lld", whole);
        }
        s = sg_strdup(number);
    } else
        NEED(s = sg_strdup(""), err, "%s", r->path);
    *text = s;
    s = NULL;
done:
    sg_free(s);
    return st;
}

bool sg_run_shape(const sg_run *r, const char *group, const char *variable, size_t *rank,
                  size_t shape[SG_RUN_MAX_DIMS])
{
    int nc = group_nc(r, group), id, n = 0, dims[SG_RUN_MAX_DIMS];
    *rank = 0;
    if (nc < 0)
        return false;
    hdf5_lock();
    bool there = nc_inq_varid(nc, variable, &id) == NC_NOERR && nc_inq_varndims(nc, id, &n) == NC_NOERR &&
                 n <= SG_RUN_MAX_DIMS && nc_inq_vardimid(nc, id, dims) == NC_NOERR;
    for (int i = 0; there && i < n; i++)
        there = nc_inq_dimlen(nc, dims[i], &shape[i]) == NC_NOERR;
    hdf5_unlock();
    if (there)
        *rank = (size_t)n;
    return there;
}

bool sg_run_variable_name(const sg_run *r, const char *group, size_t i, char name[SG_RUN_NAME])
{
    _Static_assert(SG_RUN_NAME == NC_MAX_NAME + 1, "a name of NetCDF, and the NUL");
    int nc = group_nc(r, group), n = 0;
    if (nc < 0)
        return false;
    hdf5_lock();
    /* variables of a file are numbered 0 .. n-1 */
    bool there = nc_inq_nvars(nc, &n) == NC_NOERR && n > 0 && i < (size_t)n &&
                 nc_inq_varname(nc, (int)i, name) == NC_NOERR;
    hdf5_unlock();
    return there;
}

bool sg_run_dimension_name(const sg_run *r, const char *group, const char *variable, size_t k,
                           char name[SG_RUN_NAME])
{
    int nc = group_nc(r, group), id, dims[SG_RUN_MAX_DIMS];
    size_t rank, shape[SG_RUN_MAX_DIMS];
    if (!sg_run_shape(r, group, variable, &rank, shape) || k >= rank)
        return false;
    hdf5_lock();
    bool there = nc_inq_varid(nc, variable, &id) == NC_NOERR && nc_inq_vardimid(nc, id, dims) == NC_NOERR &&
                 nc_inq_dimname(nc, dims[k], name) == NC_NOERR;
    hdf5_unlock();
    return there;
}

/* The hyperslab lies inside the variable; fills in the whole variable where start is NULL. *n: numbers in
 * it. */
static sg_status check_slab(const sg_run *r, const char *group, const char *variable, const size_t *start,
                            const size_t *count, size_t from[SG_RUN_MAX_DIMS], size_t length[SG_RUN_MAX_DIMS],
                            size_t *n, sg_error *err)
{
    size_t rank, shape[SG_RUN_MAX_DIMS];
    const char *where = group ? group : "root";
    if (!sg_run_shape(r, group, variable, &rank, shape))
        return sg_fail(err, SG_EINVAL, "%s: %s has no variable %s", r->path, where, variable);
    *n = 1;
    for (size_t i = 0; i < rank; i++) {
        from[i] = start ? start[i] : 0;
        length[i] = start ? count[i] : shape[i];
        if (from[i] > shape[i] || length[i] > shape[i] - from[i])
            return sg_fail(err, SG_EINVAL,
                           "%s: %s: %s: dimension %zu has %zu entries, %zu from %zu asked for", r->path,
                           where, variable, i + 1, shape[i], length[i], from[i]);
        if (length[i] && *n > SIZE_MAX / 8 / length[i])
            return sg_fail(err, SG_EFORMAT, "%s: %s: %s is too large", r->path, where, variable);
        *n *= length[i];
    }
    return SG_OK;
}

/* name: double or float32 numbers of a hyperslab, read without a detour through the other */
#define READ(name, type, suffix)                                                                             \
    sg_status name(const sg_run *r, const char *group, const char *variable, const size_t *start,            \
                   const size_t *count, type *out, sg_error *err)                                            \
    {                                                                                                        \
        sg_status st = SG_OK;                                                                                \
        size_t from[SG_RUN_MAX_DIMS], length[SG_RUN_MAX_DIMS], n;                                            \
        int id, nc = group_nc(r, group);                                                                     \
        TRY(check_slab(r, group, variable, start, count, from, length, &n, err));                            \
        if (!n)                                                                                              \
            return SG_OK;                                                                                    \
        RUN_NC(r, variable, nc_inq_varid(nc, variable, &id));                                                \
        RUN_NC(r, variable, nc_get_vara_##suffix(nc, id, from, length, out));                                \
    done:                                                                                                    \
        return st;                                                                                           \
    }

READ(sg_run_read, double, double)
READ(run_read_f32, float, float)

sg_status sg_run_read_string(const sg_run *r, const char *group, const char *variable, size_t i, char **out,
                             sg_error *err)
{
    sg_status st = SG_OK;
    int nc = group_nc(r, group), id;
    nc_type type = NC_NAT;
    size_t from[SG_RUN_MAX_DIMS], length[SG_RUN_MAX_DIMS], n, start[] = {i, 0, 0, 0, 0, 0},
                                                              count[] = {1, 1, 1, 1, 1, 1};
    char *found = NULL;
    *out = NULL;
    TRY(check_slab(r, group, variable, start, count, from, length, &n, err));
    RUN_NC(r, variable, nc_inq_varid(nc, variable, &id));
    RUN_NC(r, variable, nc_inq_vartype(nc, id, &type));
    if (type != NC_STRING)
        TRY(sg_fail(err, SG_EFORMAT, "%s: variable %s: expected strings", r->path, variable));
    RUN_NC(r, variable, nc_get_vara_string(nc, id, from, length, &found));
    *out = sg_strdup(found ? found : "");
    hdf5_lock();
    nc_free_string(1, &found);
    hdf5_unlock();
    if (!*out)
        st = no_memory(err, "%s", r->path);
done:
    return st;
}

sg_status run_read_strings(const sg_run *r, const char *variable, size_t n, char **out, sg_error *err)
{
    enum { PORTION = 1 << 14 };
    sg_status st = SG_OK;
    int id;
    nc_type type = NC_NAT;
    char **found = sg_calloc(PORTION, sizeof *found);
    if (!found)
        return no_memory(err, "%s", r->path);
    RUN_NC(r, variable, nc_inq_varid(r->nc, variable, &id));
    RUN_NC(r, variable, nc_inq_vartype(r->nc, id, &type));
    if (type != NC_STRING)
        TRY(sg_fail(err, SG_EFORMAT, "%s: variable %s: expected strings", r->path, variable));
    for (size_t at = 0; at < n; at += PORTION) {
        size_t start[SG_RUN_MAX_DIMS] = {at, 0, 0, 0, 0, 0}, count[SG_RUN_MAX_DIMS] = {1, 1, 1, 1, 1, 1};
        size_t from[SG_RUN_MAX_DIMS], length[SG_RUN_MAX_DIMS], size;
        count[0] = n - at < PORTION ? n - at : PORTION;
        TRY(check_slab(r, NULL, variable, start, count, from, length, &size, err));
        RUN_NC(r, variable, nc_get_vara_string(r->nc, id, from, length, found));
        for (size_t i = 0; i < count[0]; i++)
            if (!(out[at + i] = sg_strdup(found[i] ? found[i] : "")))
                st = SG_ENOMEM;
        hdf5_lock();
        nc_free_string(count[0], found);
        hdf5_unlock();
        if (st != SG_OK)
            TRY(sg_fail(err, st, "%s: no memory for %zu strings", r->path, n));
    }
done:
    sg_free(found);
    return st;
}

/* Looks the text up in the cache, reads it the first time; NULL: no such attribute (or no memory for it). */
static const char *cached(sg_run *r, int nc, const char *group, const char *variable, const char *name)
{
    char key[2 * NC_MAX_NAME];
    int id = NC_GLOBAL;
    snprintf(key, sizeof key, "%s/%s/%s", group ? group : "", variable ? variable : "", name);
    for (size_t i = 0; i < r->n_cache; i++)
        if (!strcmp(r->cache[i].key, key))
            return r->cache[i].text;
    if (nc < 0)
        return NULL;
    hdf5_lock();
    bool there = (!variable || nc_inq_varid(nc, variable, &id) == NC_NOERR) &&
                 nc_inq_attid(nc, id, name, &(int){0}) == NC_NOERR;
    hdf5_unlock();
    cached_text *grown = there ? sg_regrow(r->cache, r->n_cache, r->n_cache + 1, sizeof *grown) : NULL;
    if (!grown)
        return NULL;
    r->cache = grown;
    cached_text *entry = &r->cache[r->n_cache];
    if (!(entry->key = sg_strdup(key)))
        return NULL;
    if (run_read_attribute(r, nc, id, name, &entry->text, NULL) != SG_OK) {
        sg_free(entry->key);
        entry->key = NULL;
        return NULL;
    }
    r->n_cache++;
    return entry->text;
}

const char *sg_run_variable_attribute(sg_run *r, const char *group, const char *variable, const char *name)
{
    return cached(r, group_nc(r, group), group, variable, name);
}

void sg_string_free(char *s)
{
    sg_free(s);
}
