/* SPDX-License-Identifier: MIT */
/* model_groups.c - several trainings of one kind of model as one: means over models of what the run files
 * hold, by class or property and delay. What the runs of a group do not share (a class, a state, later
 * delays) is left out. */
#include "base/base_internal.h"
#include "report/report_internal.h"
#include "stategrad/stats.h"

#include <math.h>
#include <string.h>

/* The dimensions of a variable, and what of it is averaged. */
typedef enum {
    OF_CLASS,     /* (class, delay) or (class, delay, rank): the first entry of rank */
    OF_PROPERTY,  /* (property, class, delay): class all */
    OF_HALF_LIFE, /* (class, decay_quantity) */
} averaged_form;

/* What is averaged: one row, one key. */
typedef struct {
    const char *key, *variable;
    averaged_form form;
    size_t rank;
} averaged;

static const averaged quantities[] = {
    {"rms", "rms_gain", OF_CLASS, 3},
    {"sigma1", "singular_value", OF_CLASS, 3},
    {"ratio", "gain_ratio", OF_CLASS, 2},
    {"change", "state_change", OF_CLASS, 2},
    {"property_gain", "property_gain", OF_PROPERTY, 3},
    {"relative_memory", "relative_memory", OF_PROPERTY, 3},
    {"half_life", "half_life", OF_HALF_LIFE, 2},
};
enum { MAX_DECAY_QUANTITIES = 16 };

/* The runs of one group. */
typedef struct {
    const char *name;
    size_t n;
    sg_run **runs;      /* borrowed; n */
    const char **paths; /* borrowed; n */
    size_t *index;      /* among all runs; n */
    size_t *decays;     /* (n, MAX_DECAY_QUANTITIES): the place of each shared one, n_decays of them */
    size_t n_decays;
    size_t delays;       /* that all have */
    double *x[3];        /* values, lower and upper ends: (n, delays) */
    double *one;         /* (3, n): of one delay */
    sg_over_models *row; /* (delays) */
} model_group;

/* Classes or properties: how many a run has, and their names. */
static size_t series_count(const sg_run *r, bool property)
{
    return property ? sg_run_properties(r) : sg_run_classes(r);
}

static const char *series_name(const sg_run *r, bool property, size_t i)
{
    return property ? sg_run_property_name(r, i) : sg_run_class_name(r, i);
}

/* Series i of the group's first run in all its runs: place[run]; false: one of them does not have it. */
static bool shared_series(const model_group *g, bool property, size_t which, size_t *place)
{
    const char *name = series_name(g->runs[0], property, which);
    for (size_t i = 0; i < g->n; i++) {
        size_t n = series_count(g->runs[i], property), k = 0;
        while (k < n && strcmp(name, series_name(g->runs[i], property, k)))
            k++;
        if (k == n)
            return false;
        place[i] = k;
    }
    return true;
}

static bool shared_state(const model_group *g, const char *state)
{
    for (size_t i = 0; i < g->n; i++) {
        bool found = false;
        for (size_t k = 0; k < sg_run_groups(g->runs[i]); k++)
            found |= !strcmp(state, sg_run_group_name(g->runs[i], k));
        if (!found)
            return false;
    }
    return true;
}

/* A variable that every run of the group has, with the dimensions that the table expects. */
static bool shared_variable(const model_group *g, const char *state, const char *variable, size_t rank)
{
    size_t found, shape[SG_RUN_MAX_DIMS];
    for (size_t i = 0; i < g->n; i++)
        if (!sg_run_shape(g->runs[i], state, variable, &found, shape) || found != rank)
            return false;
    return true;
}

/* x (n, D): one class or property of each run; a variable that is not there gives NaN. decay: for
 * half-lives. */
static sg_status read_series(double *x, const model_group *g, const char *state, const char *variable,
                             const averaged *q, const size_t *place, size_t decay, size_t D, sg_error *err)
{
    bool there = shared_variable(g, state, variable, q->rank);
    for (size_t i = 0; i < g->n; i++) {
        size_t start[3] = {place[i]}, count[3] = {1, 1, 1};
        if (q->form == OF_HALF_LIFE)
            start[1] = g->decays[i * MAX_DECAY_QUANTITIES + decay];
        else
            count[q->form == OF_CLASS ? 1 : 2] = D;
        for (size_t d = 0; d < D && !there; d++)
            x[i * D + d] = NAN;
        sg_status st = there ? sg_run_read(g->runs[i], state, variable, start, count, x + i * D, err) : SG_OK;
        if (st != SG_OK)
            return st;
    }
    return SG_OK;
}

static void average(model_group *g, size_t D)
{
    double *value = g->one, *low = value + g->n, *high = low + g->n;
    for (size_t d = 0; d < D; d++) {
        for (size_t i = 0; i < g->n; i++) {
            value[i] = g->x[0][i * D + d];
            low[i] = g->x[1][i * D + d];
            high[i] = g->x[2][i * D + d];
        }
        sg_stats_over_models(&g->row[d], g->n, value, low, high);
    }
}

static void write_row(json_out *j, const model_group *g, size_t D)
{
    const char *const keys[] = {"mean", "low", "high", "blocks_low", "blocks_high"};
    json_open(j, '{');
    for (size_t k = 0; k < 5; k++) {
        json_key(j, keys[k]), json_open(j, '[');
        for (size_t d = 0; d < D; d++) {
            const sg_over_models *m = &g->row[d];
            json_value(j, (double[]){m->mean, m->low, m->high, m->blocks_low, m->blocks_high}[k]);
        }
        json_close(j, ']');
    }
    json_close(j, '}');
}

/* [{mean: [by delay], low, high, blocks_low, blocks_high} of each shared class or property] */
static sg_status write_quantity(json_out *j, model_group *g, const char *state, const averaged *q,
                                size_t decay, size_t *place, sg_error *err)
{
    const bool property = q->form == OF_PROPERTY;
    const size_t D = q->form == OF_HALF_LIFE ? 1 : g->delays;
    char ends[2][64];
    snprintf(ends[0], sizeof ends[0], "%s_low", q->variable);
    snprintf(ends[1], sizeof ends[1], "%s_high", q->variable);
    json_open(j, '[');
    for (size_t c = 0; c < series_count(g->runs[0], property); c++) {
        sg_status st;
        if (!shared_series(g, property, c, place))
            continue;
        if ((st = read_series(g->x[0], g, state, q->variable, q, place, decay, D, err)) != SG_OK ||
            (st = read_series(g->x[1], g, state, ends[0], q, place, decay, D, err)) != SG_OK ||
            (st = read_series(g->x[2], g, state, ends[1], q, place, decay, D, err)) != SG_OK)
            return st;
        average(g, D);
        write_row(j, g, D);
    }
    json_close(j, ']');
    return SG_OK;
}

static sg_status write_state(json_out *j, model_group *g, const char *state, size_t *place, sg_error *err)
{
    sg_status st = SG_OK;
    json_open(j, '{');
    json_key(j, "name"), json_text(j, state);
    json_key(j, "values"), json_open(j, '{');
    for (size_t k = 0; st == SG_OK && k < sizeof quantities / sizeof *quantities; k++) {
        const averaged *q = &quantities[k];
        if (!shared_variable(g, state, q->variable, q->rank))
            continue;
        json_key(j, q->key);
        if (q->form != OF_HALF_LIFE) {
            st = write_quantity(j, g, state, q, 0, place, err);
            continue;
        }
        json_open(j, '[');
        for (size_t i = 0; st == SG_OK && i < g->n_decays; i++)
            st = write_quantity(j, g, state, q, i, place, err);
        json_close(j, ']');
    }
    json_close(j, '}'), json_close(j, '}');
    return st;
}

/* Where run i has the decay quantity `name`, or SIZE_MAX. */
static sg_status find_decay(size_t *at, const sg_run *r, const char *name, sg_error *err)
{
    size_t rank, shape[SG_RUN_MAX_DIMS];
    *at = SIZE_MAX;
    if (!sg_run_shape(r, NULL, "decay_quantity", &rank, shape) || rank != 1)
        return SG_OK;
    for (size_t i = 0; i < shape[0] && *at == SIZE_MAX; i++) {
        char *text;
        sg_status st = sg_run_read_string(r, NULL, "decay_quantity", i, &text, err);
        if (st != SG_OK)
            return st;
        if (!strcmp(text, name))
            *at = i;
        sg_string_free(text);
    }
    return SG_OK;
}

/* The decay quantities that all runs have, written by name. */
static sg_status write_decays(json_out *j, model_group *g, sg_error *err)
{
    size_t rank, shape[SG_RUN_MAX_DIMS] = {0};
    if (!sg_run_shape(g->runs[0], NULL, "decay_quantity", &rank, shape))
        shape[0] = 0;
    json_key(j, "decay_quantity"), json_open(j, '[');
    for (size_t k = 0; k < shape[0] && g->n_decays < MAX_DECAY_QUANTITIES; k++) {
        char *name = NULL;
        bool all = true;
        sg_status st = sg_run_read_string(g->runs[0], NULL, "decay_quantity", k, &name, err);
        for (size_t i = 0; st == SG_OK && i < g->n; i++) {
            size_t *at = &g->decays[i * MAX_DECAY_QUANTITIES + g->n_decays];
            st = find_decay(at, g->runs[i], name, err);
            all &= *at != SIZE_MAX;
        }
        if (st == SG_OK && all)
            json_text(j, name), g->n_decays++;
        sg_string_free(name);
        if (st != SG_OK)
            return st;
    }
    json_close(j, ']');
    return SG_OK;
}

/* The runs of the group `name`, and what they share. */
static sg_status gather(model_group *g, const char *name, sg_run *const *runs, const char *const *paths,
                        const char *const *groups, size_t n, sg_error *err)
{
    g->name = name;
    for (size_t i = 0; i < n; i++) {
        if (!groups[i] || strcmp(groups[i], name))
            continue;
        for (size_t k = 0; k < g->n; k++) {
            const char *model = sg_run_attribute(runs[i], "model_sha256"),
                       *other = sg_run_attribute(g->runs[k], "model_sha256");
            if (model && other && !strcmp(model, other))
                return sg_fail(
                    err, SG_EINVAL,
                    "group %s: %s and %s analyse the same model, expected different trained models", name,
                    g->paths[k], paths[i]);
        }
        const char *text = sg_run_attribute(runs[i], "corpus_sha256"),
                   *first = g->n ? sg_run_attribute(g->runs[0], "corpus_sha256") : text;
        if (text && first && strcmp(text, first))
            return sg_fail(err, SG_EINVAL, "group %s: %s and %s analyse different texts, expected one", name,
                           g->paths[0], paths[i]);
        size_t delays = sg_run_delays(runs[i]);
        g->delays = g->n && g->delays < delays ? g->delays : delays;
        g->runs[g->n] = runs[i], g->paths[g->n] = paths[i], g->index[g->n++] = i;
    }
    return SG_OK;
}

static void write_names(json_out *j, const model_group *g, bool property, size_t *place)
{
    json_key(j, property ? "properties" : "classes"), json_open(j, '[');
    for (size_t c = 0; c < series_count(g->runs[0], property); c++)
        if (shared_series(g, property, c, place))
            json_text(j, series_name(g->runs[0], property, c));
    json_close(j, ']');
}

static sg_status write_group(json_out *j, const char *name, sg_run *const *runs, const char *const *paths,
                             const char *const *groups, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    model_group g = {0};
    size_t *place = NULL;
    NEED((g.runs = sg_calloc(n, sizeof *g.runs)) && (g.paths = sg_calloc(n, sizeof *g.paths)) &&
             (g.index = sg_calloc(n, sizeof *g.index)) && (place = sg_calloc(n, sizeof *place)) &&
             (g.decays = sg_calloc(n * MAX_DECAY_QUANTITIES, sizeof *g.decays)),
         err, "a group of %zu runs", n);
    TRY(gather(&g, name, runs, paths, groups, n, err));
    NEED((g.row = sg_calloc(g.delays, sizeof *g.row)) && (g.one = sg_calloc(3 * g.n, sizeof *g.one)), err,
         "%zu delays", g.delays);
    for (size_t k = 0; k < 3; k++)
        NEED(g.x[k] = sg_calloc(g.n * g.delays, sizeof *g.x[k]), err, "%zu delays of %zu models", g.delays,
             g.n);
    json_open(j, '{');
    json_key(j, "name"), json_text(j, name);
    json_key(j, "runs"), json_open(j, '[');
    for (size_t i = 0; i < g.n; i++)
        json_count(j, g.index[i]);
    json_close(j, ']');
    json_key(j, "delays"), json_count(j, g.delays);
    write_names(j, &g, false, place);
    write_names(j, &g, true, place);
    TRY(write_decays(j, &g, err));
    json_key(j, "states"), json_open(j, '[');
    for (size_t k = 0; k < sg_run_groups(g.runs[0]); k++) {
        const char *state = sg_run_group_name(g.runs[0], k);
        if (shared_state(&g, state))
            TRY(write_state(j, &g, state, place, err));
    }
    json_close(j, ']'), json_close(j, '}');
done:
    for (size_t k = 0; k < 3; k++)
        sg_free(g.x[k]);
    sg_free(g.row), sg_free(g.one), sg_free(g.decays), sg_free(place);
    sg_free(g.runs), sg_free(g.paths), sg_free(g.index);
    return st;
}

sg_status model_groups_write(json_out *j, sg_run *const *runs, const char *const *paths,
                             const char *const *groups, size_t n, sg_error *err)
{
    json_open(j, '[');
    for (size_t i = 0; groups && i < n; i++) {
        bool seen = !groups[i];
        for (size_t k = 0; k < i && !seen; k++)
            seen = groups[k] && !strcmp(groups[k], groups[i]);
        sg_status st = seen ? SG_OK : write_group(j, groups[i], runs, paths, groups, n, err);
        if (st != SG_OK)
            return st;
    }
    json_close(j, ']');
    return SG_OK;
}
