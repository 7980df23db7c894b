/* SPDX-License-Identifier: MIT */
/* Reading run files by name and hyperslab. Nothing of size is kept; what the file states of itself is checked
 * at open. */
#include "run/run_internal.h"

#include "base/base_internal.h"
#include "base/checksum.h"

#include <errno.h>
#include <math.h>
#include <netcdf.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
    char name[NC_MAX_NAME + 1];
    int nc;
    size_t units, rank;
    unsigned layer;
    bool untrained;
} run_group;

typedef struct {
    char *key, *text; /* key "group/variable/attribute" */
} cached_text;

struct sg_run {
    char *path;
    int nc;
    bool is_open, is_part;
    size_t D, C, P, E;
    char **class_names, **property_names;
    int64_t *class_tokens;
    run_group *groups;
    size_t n_groups;
    cached_text *attributes; /* of the root; key is the name alone */
    size_t n_attributes;
    cached_text *cache;
    size_t n_cache;
};

static sg_status nc_status(const sg_run *r, int rc, const char *what, sg_error *err)
{
    if (rc == NC_NOERR)
        return SG_OK;
    return sg_fail(err, rc == NC_ENOMEM ? SG_ENOMEM : SG_EFORMAT, "%s: %s%s%s", r->path, what,
                   what[0] ? ": " : "", nc_strerror(rc));
}

#define NC(r, what, call)                                                                                    \
    do {                                                                                                     \
        sg_hdf5_lock();                                                                                      \
        int rc_ = (call);                                                                                    \
        sg_hdf5_unlock();                                                                                    \
        TRY(nc_status(r, rc_, what, err));                                                                   \
    } while (0)

static const run_group *find_group(const sg_run *r, const char *name)
{
    for (size_t g = 0; g < r->n_groups; g++)
        if (!strcmp(r->groups[g].name, name))
            return &r->groups[g];
    return NULL;
}

/* -1: no such group */
static int group_nc(const sg_run *r, const char *group)
{
    if (!group)
        return r->nc;
    const run_group *g = find_group(r, group);
    return g ? g->nc : -1;
}

static sg_status read_attribute(const sg_run *r, int nc, int variable, const char *name, char **text,
                                sg_error *err)
{
    sg_status st = SG_OK;
    nc_type type = NC_NAT;
    size_t n = 0;
    char *s = NULL;
    *text = NULL;
    NC(r, name, nc_inq_att(nc, variable, name, &type, &n));
    if (n > 1 << 20)
        TRY(sg_fail(err, SG_EFORMAT, "%s: attribute %s: %zu values, at most 1048576 expected", r->path, name,
                    n));
    if (type == NC_CHAR) {
        NEED(s = sg_calloc(n + 1, 1), err, "%s", r->path);
        NC(r, name, nc_get_att_text(nc, variable, name, s));
    } else if (type == NC_STRING && n == 1) {
        char *found = NULL;
        NC(r, name, nc_get_att_string(nc, variable, name, &found));
        s = sg_strdup(found ? found : "");
        sg_hdf5_lock();
        nc_free_string(1, &found);
        sg_hdf5_unlock();
    } else if (type < NC_STRING && n == 1) {
        char number[40];
        long long whole = 0;
        double real = 0;
        if (type == NC_FLOAT || type == NC_DOUBLE) {
            NC(r, name, nc_get_att_double(nc, variable, name, &real));
            snprintf(number, sizeof number, "%.15g", real);
        } else {
            NC(r, name, nc_get_att_longlong(nc, variable, name, &whole));
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

static sg_status read_root_attributes(sg_run *r, sg_error *err)
{
    sg_status st = SG_OK;
    int n = 0;
    char name[NC_MAX_NAME + 1];
    NC(r, "", nc_inq_natts(r->nc, &n));
    if (n < 0 || n > 10000)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %d attributes", r->path, n));
    NEED(r->attributes = sg_calloc((size_t)n, sizeof *r->attributes), err, "%s", r->path);
    for (int i = 0; i < n; i++) {
        NC(r, "", nc_inq_attname(r->nc, NC_GLOBAL, i, name));
        cached_text *a = &r->attributes[r->n_attributes++];
        NEED(a->key = sg_strdup(name), err, "%s", r->path);
        TRY(read_attribute(r, r->nc, NC_GLOBAL, name, &a->text, err));
    }
done:
    return st;
}

/* Length of a dimension visible from nc; 0 and false: none of that name. */
static bool dim_length(int nc, const char *name, size_t *n)
{
    int id;
    *n = 0;
    sg_hdf5_lock();
    bool there = nc_inq_dimid(nc, name, &id) == NC_NOERR && nc_inq_dimlen(nc, id, n) == NC_NOERR;
    sg_hdf5_unlock();
    return there;
}

static sg_status need_dim(const sg_run *r, int nc, const char *where, const char *name, size_t limit,
                          size_t *n, sg_error *err)
{
    if (!dim_length(nc, name, n))
        return sg_fail(err, SG_EFORMAT, "%s: %s: dimension %s is missing", r->path, where, name);
    if (*n < 1 || *n > limit)
        return sg_fail(err, SG_EFORMAT, "%s: %s: dimension %s is %zu, expected 1 to %zu", r->path, where,
                       name, *n, limit);
    return SG_OK;
}

/* A variable of the table, where it exists, has the table's dimensions in the table's order and its kind of
 * type. */
static sg_status check_variable(const sg_run *r, int nc, const char *where, const run_variable *v,
                                bool required, sg_error *err)
{
    sg_status st = SG_OK;
    int id, rank = 0, dims[SG_RUN_MAX_DIMS] = {0};
    nc_type type = NC_NAT;
    char name[NC_MAX_NAME + 1];
    sg_hdf5_lock();
    int rc = nc_inq_varid(nc, v->name, &id);
    sg_hdf5_unlock();
    if (rc != NC_NOERR)
        return required ? sg_fail(err, SG_EFORMAT, "%s: %s: variable %s is missing", r->path, where, v->name)
                        : SG_OK;
    NC(r, v->name, nc_inq_vartype(nc, id, &type));
    if ((type == NC_STRING) != (v->type == RUN_STRING) || type > NC_STRING || type == NC_CHAR)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %s: variable %s: expected %s", r->path, where, v->name,
                    v->type == RUN_STRING ? "strings" : "numbers"));
    NC(r, v->name, nc_inq_varndims(nc, id, &rank));
    NC(r, v->name, rank <= SG_RUN_MAX_DIMS ? nc_inq_vardimid(nc, id, dims) : NC_EMAXDIMS);
    const char *p = v->dims;
    for (int i = 0; i < rank; i++) {
        NC(r, v->name, nc_inq_dimname(nc, dims[i], name));
        size_t n = strcspn(p, " ");
        if (!n || strlen(name) != n || strncmp(name, p, n))
            TRY(sg_fail(err, SG_EFORMAT, "%s: %s: variable %s: dimension %d is %s, expected %.*s", r->path,
                        where, v->name, i + 1, name, n ? (int)n : 4, n ? p : "none"));
        p += n + (p[n] == ' ');
    }
    if (*p)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %s: variable %s: expected dimensions (%s), found %d", r->path,
                    where, v->name, v->dims, rank));
done:
    return st;
}

static sg_status check_variables(const sg_run *r, int nc, const char *where, bool group, sg_error *err)
{
    sg_status st = SG_OK;
    for (const run_variable *v = run_variables; v->name; v++)
        if (v->in_group == group)
            TRY(check_variable(r, nc, where, v, v->required && !(r->is_part && group), err));
done:
    return st;
}

static sg_status read_names(const sg_run *r, const char *variable, size_t n, char ***out, sg_error *err)
{
    sg_status st = SG_OK;
    if (!(*out = sg_calloc(n, sizeof **out)))
        return no_memory(err, "%s", r->path);
    for (size_t i = 0; i < n; i++)
        TRY(sg_run_read_string(r, NULL, variable, i, &(*out)[i], err));
done:
    return st;
}

/* "hidden" of "untrained.layer2.hidden"; NULL: not the name of a state */
static const char *state_name(const char *group, unsigned *layer)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const char *p = run_is_untrained(group) ? group + strlen(RUN_UNTRAINED) : group;
    int used = 0;
    if (sscanf(p, "layer%4u.%n", layer, &used) < 1 || !used || !*layer)
        return NULL;
    size_t n = strlen(p + used);
    return n && n <= RUN_MAX_STATE_NAME && strspn(p + used, letters) == n ? p + used : NULL;
}

bool run_is_state(const char *group)
{
    return state_name(group, &(unsigned){0});
}

/* The group of a state. Names other than cell and hidden may be somebody's addition. */
static bool parse_group(run_group *g)
{
    int id;
    const char *state = state_name(g->name, &g->layer);
    g->untrained = run_is_untrained(g->name);
    if (!state || !strcmp(state, "cell") || !strcmp(state, "hidden"))
        return state;
    sg_hdf5_lock();
    bool there = nc_inq_varid(g->nc, "mean_gradient", &id) == NC_NOERR;
    sg_hdf5_unlock();
    return there;
}

/* By layer, then by name: cell before hidden. */
static bool group_before(const run_group *a, const run_group *b)
{
    unsigned layer;
    if (a->untrained != b->untrained)
        return b->untrained;
    if (a->layer != b->layer)
        return a->layer < b->layer;
    return strcmp(state_name(a->name, &layer), state_name(b->name, &layer)) < 0;
}

static sg_status read_group(sg_run *r, run_group *g, sg_error *err)
{
    sg_status st = SG_OK;
    size_t rank = 0;
    TRY(need_dim(r, g->nc, g->name, "unit", 1 << 24, &g->units, err));
    g->rank = g->units < r->E ? g->units : r->E;
    if (!r->is_part) {
        TRY(need_dim(r, g->nc, g->name, "rank", 1 << 24, &rank, err));
        if (rank != g->rank)
            TRY(sg_fail(err, SG_EFORMAT, "%s: %s: dimension rank is %zu, expected min(unit, embedding) = %zu",
                        r->path, g->name, rank, g->rank));
    }
    TRY(check_variables(r, g->nc, g->name, true, err));
done:
    return st;
}

static sg_status read_groups(sg_run *r, sg_error *err)
{
    sg_status st = SG_OK;
    int n = 0, *ids = NULL;
    NC(r, "", nc_inq_grps(r->nc, &n, NULL));
    if (n < 1 || n > RUN_MAX_GROUPS)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %d groups, expected 1 to %d", r->path, n, (int)RUN_MAX_GROUPS));
    NEED((ids = sg_calloc((size_t)n, sizeof *ids)) && (r->groups = sg_calloc((size_t)n, sizeof *r->groups)),
         err, "%s", r->path);
    NC(r, "", nc_inq_grps(r->nc, NULL, ids));
    for (int i = 0; i < n; i++) {
        run_group g = {.nc = ids[i]};
        NC(r, "", nc_inq_grpname(ids[i], g.name));
        if (!parse_group(&g))
            continue; /* somebody's addition */
        TRY(read_group(r, &g, err));
        size_t at = r->n_groups++;
        for (; at > 0 && group_before(&g, &r->groups[at - 1]); at--)
            r->groups[at] = r->groups[at - 1];
        r->groups[at] = g;
    }
    if (!r->n_groups)
        TRY(sg_fail(err, SG_EFORMAT, "%s: no group of an analysed state (layer1.cell, ...)", r->path));
done:
    sg_free(ids);
    return st;
}

static sg_status read_root(sg_run *r, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(need_dim(r, r->nc, "root", "delay", RUN_MAX_DELAYS, &r->D, err));
    TRY(need_dim(r, r->nc, "root", "class", RUN_MAX_CLASSES, &r->C, err));
    TRY(need_dim(r, r->nc, "root", "embedding", 1 << 24, &r->E, err));
    dim_length(r->nc, "property", &r->P);
    if (r->P > RUN_MAX_CLASSES)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %zu properties", r->path, r->P));
    TRY(check_variables(r, r->nc, "root", false, err));
    TRY(read_names(r, "class_name", r->C, &r->class_names, err));
    NEED(r->class_tokens = sg_calloc(r->C, sizeof *r->class_tokens), err, "%s", r->path);
    int id;
    NC(r, "class_tokens", nc_inq_varid(r->nc, "class_tokens", &id));
    NC(r, "class_tokens", nc_get_var_longlong(r->nc, id, (long long *)r->class_tokens));
    for (size_t c = 0; c < r->C; c++)
        if (r->class_tokens[c] < 0)
            TRY(sg_fail(err, SG_EFORMAT, "%s: class_tokens[%zu] is %jd", r->path, c,
                        (intmax_t)r->class_tokens[c]));
    if (r->P && !sg_run_shape(r, NULL, "property_name", &(size_t){0}, (size_t[SG_RUN_MAX_DIMS]){0}))
        TRY(sg_fail(err, SG_EFORMAT, "%s: variable property_name is missing", r->path));
    TRY(read_names(r, "property_name", r->P, &r->property_names, err));
done:
    return st;
}

static sg_status open_any(sg_run **out, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    sg_run *r = NULL;
    struct stat info;
    uint64_t length;
    *out = NULL;
    if (stat(path, &info) != 0)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return sg_fail(err, SG_EFORMAT, "%s: is not a regular file", path);
    TRY(checksum_verify(path, &length, &(bool){false}, err));
    NEED((r = sg_calloc(1, sizeof *r)) && (r->path = sg_strdup(path)), err, "%s", path);
    TRY(run_nc_read(path, &r->nc, err));
    r->is_open = true;
    TRY(read_root_attributes(r, err));
    const char *kind = sg_run_attribute(r, "kind");
    r->is_part = kind && !strcmp(kind, RUN_KIND_PART);
    TRY(read_root(r, err));
    TRY(read_groups(r, err));
    *out = r;
    r = NULL;
done:
    sg_run_close(r);
    return st;
}

sg_status run_open_part(sg_run **out, const char *path, sg_error *err)
{
    return open_any(out, path, err);
}

sg_status sg_run_open(sg_run **out, const char *path, sg_error *err)
{
    sg_status st = open_any(out, path, err);
    if (st == SG_OK && (*out)->is_part) {
        const char *part = sg_run_attribute(*out, "part");
        st = sg_fail(err, SG_EFORMAT, "%s: is part %s of a run: stategrad merge makes a run of all the parts",
                     path, part ? part : "?");
        sg_run_close(*out);
        *out = NULL;
    }
    return st;
}

void sg_run_close(sg_run *r)
{
    if (!r)
        return;
    if (r->is_open)
        run_nc_close(r->nc);
    for (size_t c = 0; r->class_names && c < r->C; c++)
        sg_free(r->class_names[c]);
    for (size_t p = 0; r->property_names && p < r->P; p++)
        sg_free(r->property_names[p]);
    for (size_t i = 0; i < r->n_attributes; i++)
        sg_free(r->attributes[i].key), sg_free(r->attributes[i].text);
    for (size_t i = 0; i < r->n_cache; i++)
        sg_free(r->cache[i].key), sg_free(r->cache[i].text);
    sg_free(r->class_names);
    sg_free(r->property_names);
    sg_free(r->class_tokens);
    sg_free(r->attributes);
    sg_free(r->cache);
    sg_free(r->groups);
    sg_free(r->path);
    sg_free(r);
}

bool run_is_part(const sg_run *r)
{
    return r->is_part;
}

const char *run_path(const sg_run *r)
{
    return r->path;
}

int run_nc(const sg_run *r)
{
    return r->nc;
}

size_t sg_run_delays(const sg_run *r)
{
    return r->D;
}

size_t sg_run_classes(const sg_run *r)
{
    return r->C;
}

const char *sg_run_class_name(const sg_run *r, size_t c)
{
    return r->class_names[c];
}

uint64_t sg_run_class_tokens(const sg_run *r, size_t c)
{
    return (uint64_t)r->class_tokens[c];
}

size_t sg_run_properties(const sg_run *r)
{
    return r->P;
}

const char *sg_run_property_name(const sg_run *r, size_t p)
{
    return r->property_names[p];
}

size_t sg_run_embedding(const sg_run *r)
{
    return r->E;
}

size_t sg_run_groups(const sg_run *r)
{
    return r->n_groups;
}

const char *sg_run_group_name(const sg_run *r, size_t g)
{
    return r->groups[g].name;
}

size_t sg_run_units(const sg_run *r, size_t g)
{
    return r->groups[g].units;
}

size_t sg_run_rank(const sg_run *r, size_t g)
{
    return r->groups[g].rank;
}

size_t sg_run_attributes(const sg_run *r)
{
    return r->n_attributes;
}

const char *sg_run_attribute_name(const sg_run *r, size_t i)
{
    return r->attributes[i].key;
}

const char *sg_run_attribute(const sg_run *r, const char *name)
{
    for (size_t i = 0; i < r->n_attributes; i++)
        if (!strcmp(r->attributes[i].key, name))
            return r->attributes[i].text;
    return NULL;
}

bool sg_run_shape(const sg_run *r, const char *group, const char *variable, size_t *rank,
                  size_t shape[SG_RUN_MAX_DIMS])
{
    int nc = group_nc(r, group), id, n = 0, dims[SG_RUN_MAX_DIMS];
    *rank = 0;
    if (nc < 0)
        return false;
    sg_hdf5_lock();
    bool there = nc_inq_varid(nc, variable, &id) == NC_NOERR && nc_inq_varndims(nc, id, &n) == NC_NOERR &&
                 n <= SG_RUN_MAX_DIMS && nc_inq_vardimid(nc, id, dims) == NC_NOERR;
    for (int i = 0; there && i < n; i++)
        there = nc_inq_dimlen(nc, dims[i], &shape[i]) == NC_NOERR;
    sg_hdf5_unlock();
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
    sg_hdf5_lock();
    /* variables of a file are numbered 0 .. n-1 */
    bool there = nc_inq_nvars(nc, &n) == NC_NOERR && n > 0 && i < (size_t)n &&
                 nc_inq_varname(nc, (int)i, name) == NC_NOERR;
    sg_hdf5_unlock();
    return there;
}

bool sg_run_dimension_name(const sg_run *r, const char *group, const char *variable, size_t k,
                           char name[SG_RUN_NAME])
{
    int nc = group_nc(r, group), id, dims[SG_RUN_MAX_DIMS];
    size_t rank, shape[SG_RUN_MAX_DIMS];
    if (!sg_run_shape(r, group, variable, &rank, shape) || k >= rank)
        return false;
    sg_hdf5_lock();
    bool there = nc_inq_varid(nc, variable, &id) == NC_NOERR && nc_inq_vardimid(nc, id, dims) == NC_NOERR &&
                 nc_inq_dimname(nc, dims[k], name) == NC_NOERR;
    sg_hdf5_unlock();
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
        NC(r, variable, nc_inq_varid(nc, variable, &id));                                                    \
        NC(r, variable, nc_get_vara_##suffix(nc, id, from, length, out));                                    \
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
    NC(r, variable, nc_inq_varid(nc, variable, &id));
    NC(r, variable, nc_inq_vartype(nc, id, &type));
    if (type != NC_STRING)
        TRY(sg_fail(err, SG_EFORMAT, "%s: variable %s: expected strings", r->path, variable));
    NC(r, variable, nc_get_vara_string(nc, id, from, length, &found));
    *out = sg_strdup(found ? found : "");
    sg_hdf5_lock();
    nc_free_string(1, &found);
    sg_hdf5_unlock();
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
    NC(r, variable, nc_inq_varid(r->nc, variable, &id));
    NC(r, variable, nc_inq_vartype(r->nc, id, &type));
    if (type != NC_STRING)
        TRY(sg_fail(err, SG_EFORMAT, "%s: variable %s: expected strings", r->path, variable));
    for (size_t at = 0; at < n; at += PORTION) {
        size_t start[SG_RUN_MAX_DIMS] = {at, 0, 0, 0, 0, 0}, count[SG_RUN_MAX_DIMS] = {1, 1, 1, 1, 1, 1};
        size_t from[SG_RUN_MAX_DIMS], length[SG_RUN_MAX_DIMS], size;
        count[0] = n - at < PORTION ? n - at : PORTION;
        TRY(check_slab(r, NULL, variable, start, count, from, length, &size, err));
        NC(r, variable, nc_get_vara_string(r->nc, id, from, length, found));
        for (size_t i = 0; i < count[0]; i++)
            if (!(out[at + i] = sg_strdup(found[i] ? found[i] : "")))
                st = SG_ENOMEM;
        sg_hdf5_lock();
        nc_free_string(count[0], found);
        sg_hdf5_unlock();
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
    sg_hdf5_lock();
    bool there = (!variable || nc_inq_varid(nc, variable, &id) == NC_NOERR) &&
                 nc_inq_attid(nc, id, name, &(int){0}) == NC_NOERR;
    sg_hdf5_unlock();
    cached_text *grown = there ? sg_regrow(r->cache, r->n_cache, r->n_cache + 1, sizeof *grown) : NULL;
    if (!grown)
        return NULL;
    r->cache = grown;
    cached_text *entry = &r->cache[r->n_cache];
    if (!(entry->key = sg_strdup(key)))
        return NULL;
    if (read_attribute(r, nc, id, name, &entry->text, NULL) != SG_OK) {
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
