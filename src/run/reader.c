/* SPDX-License-Identifier: MIT */
/* Opening a run file: what it states of itself is checked. Nothing of size is kept. */
#include "run/reader_internal.h"

#include "base/base_internal.h"
#include "base/checksum.h"
#include "io/hdf5.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static sg_status read_root_attributes(sg_run *r, sg_error *err)
{
    sg_status st = SG_OK;
    int n = 0;
    char name[NC_MAX_NAME + 1];
    RUN_NC(r, "", nc_inq_natts(r->nc, &n));
    if (n < 0 || n > 10000)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %d attributes", r->path, n));
    NEED(r->attributes = sg_calloc((size_t)n, sizeof *r->attributes), err, "%s", r->path);
    for (int i = 0; i < n; i++) {
        RUN_NC(r, "", nc_inq_attname(r->nc, NC_GLOBAL, i, name));
        cached_text *a = &r->attributes[r->n_attributes++];
        NEED(a->key = sg_strdup(name), err, "%s", r->path);
        TRY(run_read_attribute(r, r->nc, NC_GLOBAL, name, &a->text, err));
    }
done:
    return st;
}

/* Length of a dimension visible from nc; 0 and false: none of that name. */
static bool dim_length(int nc, const char *name, size_t *n)
{
    int id;
    *n = 0;
    hdf5_lock();
    bool there = nc_inq_dimid(nc, name, &id) == NC_NOERR && nc_inq_dimlen(nc, id, n) == NC_NOERR;
    hdf5_unlock();
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
    hdf5_lock();
    int rc = nc_inq_varid(nc, v->name, &id);
    hdf5_unlock();
    if (rc != NC_NOERR)
        return required ? sg_fail(err, SG_EFORMAT, "%s: %s: variable %s is missing", r->path, where, v->name)
                        : SG_OK;
    RUN_NC(r, v->name, nc_inq_vartype(nc, id, &type));
    if ((type == NC_STRING) != (v->type == RUN_STRING) || type > NC_STRING || type == NC_CHAR)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %s: variable %s: expected %s", r->path, where, v->name,
                    v->type == RUN_STRING ? "strings" : "numbers"));
    RUN_NC(r, v->name, nc_inq_varndims(nc, id, &rank));
    RUN_NC(r, v->name, rank <= SG_RUN_MAX_DIMS ? nc_inq_vardimid(nc, id, dims) : NC_EMAXDIMS);
    const char *p = v->dims;
    for (int i = 0; i < rank; i++) {
        RUN_NC(r, v->name, nc_inq_dimname(nc, dims[i], name));
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
    hdf5_lock();
    bool there = nc_inq_varid(g->nc, "mean_gradient", &id) == NC_NOERR;
    hdf5_unlock();
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
    RUN_NC(r, "", nc_inq_grps(r->nc, &n, NULL));
    if (n < 1 || n > RUN_MAX_GROUPS)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %d groups, expected 1 to %d", r->path, n, (int)RUN_MAX_GROUPS));
    NEED((ids = sg_calloc((size_t)n, sizeof *ids)) && (r->groups = sg_calloc((size_t)n, sizeof *r->groups)),
         err, "%s", r->path);
    RUN_NC(r, "", nc_inq_grps(r->nc, NULL, ids));
    for (int i = 0; i < n; i++) {
        run_group g = {.nc = ids[i]};
        RUN_NC(r, "", nc_inq_grpname(ids[i], g.name));
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
    RUN_NC(r, "class_tokens", nc_inq_varid(r->nc, "class_tokens", &id));
    RUN_NC(r, "class_tokens", nc_get_var_longlong(r->nc, id, (long long *)r->class_tokens));
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

sg_status sg_run_attribute_shown(const sg_run *r, const char *name, char **out, sg_error *err)
{
    sg_status st = SG_OK;
    const char *text = sg_run_attribute(r, name);
    size_t rank, shape[SG_RUN_MAX_DIMS];
    char *end = NULL;
    *out = NULL;
    if (!text)
        return SG_OK;
    if (!strcmp(name, "eos_word") || !strcmp(name, "unk_word")) {
        long long id = strtoll(text, &end, 10);
        if (end > text && !*end && id < 0)
            text = "none";
        else if (end > text && !*end && sg_run_shape(r, NULL, "word", &rank, shape) && rank == 1 &&
                 (unsigned long long)id < shape[0])
            return sg_run_read_string(r, NULL, "word", (size_t)id, out, err);
    }
    NEED(*out = sg_strdup(text), err, "attribute %s", name);
done:
    return st;
}
