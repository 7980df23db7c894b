/* SPDX-License-Identifier: MIT */
/* words_data.c - the words along the best directions as JSON for the page: for each state, class, some delays
 * and the first directions the furthest words at both ends. Words are numbered in a list of their own, as
 * they come. */
#include "base/base_internal.h"
#include "report/report_internal.h"
#include "report/words.h"
#include "stategrad/stats.h"

#include <math.h>
#include <string.h>

enum { DIRECTIONS = 3, TOP = 8, MAX_CLASSES = 20 };
static const size_t some_delays[] = {0, 1, 2, 3, 5, 10, 20, 50, 100};
enum { N_SOME = sizeof some_delays / sizeof *some_delays };

typedef struct {
    json_out *j;
    sg_run *r;
    words *w;
    size_t delays[N_SOME + 1], n_delays, classes;
    size_t *number; /* (V) 1 + place in the list, 0: not yet in it */
    size_t *listed; /* (V) ids in the list */
    size_t n_listed;
    double *v, *p;   /* (DIRECTIONS,E), (DIRECTIONS,V) */
    double *targets; /* (P + C - 1, E) unit vectors: properties, then classes 1 ..; NaN where not known */
    size_t n_targets;
} writer;

static void write_end(writer *x, const double *p, double sign)
{
    size_t ids[TOP], n = words_furthest(x->w, p, sign, 0, TOP, ids);
    json_open(x->j, '[');
    for (size_t i = 0; i < n; i++) {
        if (!x->number[ids[i]])
            x->listed[x->n_listed++] = ids[i], x->number[ids[i]] = x->n_listed;
        json_count(x->j, x->number[ids[i]] - 1);
    }
    json_close(x->j, ']');
    json_open(x->j, '[');
    for (size_t i = 0; i < n; i++)
        json_value(x->j, p[ids[i]]);
    json_close(x->j, ']');
}

/* [k][words +, projections +, words -, projections -, cosines with properties and classes] */
static sg_status write_cell(writer *x, const char *group, size_t c, size_t d, size_t n, sg_error *err)
{
    sg_status st = words_along(x->w, x->r, group, c, d, n, x->v, x->p, err);
    if (st != SG_OK)
        return st;
    json_open(x->j, '[');
    for (size_t k = 0; k < n && isfinite(x->v[k * x->w->E]); k++) {
        json_open(x->j, '[');
        write_end(x, x->p + k * x->w->V, 1);
        write_end(x, x->p + k * x->w->V, -1);
        json_open(x->j, '[');
        for (size_t i = 0; i < x->n_targets; i++) {
            double cosine = 0;
            for (size_t e = 0; e < x->w->E; e++)
                cosine += x->targets[i * x->w->E + e] * x->v[k * x->w->E + e];
            json_value(x->j, cosine);
        }
        json_close(x->j, ']');
        json_close(x->j, ']');
    }
    json_close(x->j, ']');
    return SG_OK;
}

static sg_status write_groups(writer *x, sg_error *err)
{
    sg_status st;
    json_key(x->j, "groups"), json_open(x->j, '{');
    for (size_t g = 0; g < sg_run_groups(x->r); g++) {
        const char *group = sg_run_group_name(x->r, g);
        size_t n = sg_run_rank(x->r, g) < DIRECTIONS ? sg_run_rank(x->r, g) : DIRECTIONS, rank,
               shape[SG_RUN_MAX_DIMS];
        if (strncmp(group, "layer", 5) || !sg_run_shape(x->r, group, "right_singular_vector", &rank, shape))
            continue;
        json_key(x->j, group), json_open(x->j, '[');
        for (size_t c = 0; c < x->classes; c++) {
            json_open(x->j, '[');
            for (size_t d = 0; d < x->n_delays; d++)
                if ((st = write_cell(x, group, c, x->delays[d], n, err)) != SG_OK)
                    return st;
            json_close(x->j, ']');
        }
        json_close(x->j, ']');
    }
    json_close(x->j, '}');
    return SG_OK;
}

static sg_status find_targets(writer *x, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t P = sg_run_properties(x->r), C = sg_run_classes(x->r), E = x->w->E;
    NEED(x->targets = sg_calloc(P + C, E * sizeof *x->targets), err, "the report");
    json_key(x->j, "targets"), json_open(x->j, '[');
    for (size_t i = 0; i + 1 < P + C; i++) {
        bool known = false;
        double *n = x->targets + x->n_targets * E;
        if (i < P)
            TRY(words_property_direction(x->r, i, n, &known, err));
        else
            known = words_class_direction(x->w, i - P + 1, n);
        if (!known)
            continue;
        x->n_targets++;
        json_text(x->j, i < P ? sg_run_property_name(x->r, i) : sg_run_class_name(x->r, i - P + 1));
    }
    json_close(x->j, ']');
done:
    return st;
}

sg_status words_data_write(json_out *j, sg_run *r, sg_error *err)
{
    sg_status st = SG_OK;
    writer x = {.j = j, .r = r};
    const char *missing = words_missing(r);
    if (missing) {
        json_open(j, '{');
        json_key(j, "missing"), json_text(j, missing);
        json_close(j, '}');
        return SG_OK;
    }
    TRY(words_new(&x.w, r, err));
    const size_t D = sg_run_delays(r), V = x.w->V;
    x.classes = sg_run_classes(r) < MAX_CLASSES ? sg_run_classes(r) : MAX_CLASSES;
    for (size_t i = 0; i < N_SOME && some_delays[i] < D; i++)
        x.delays[x.n_delays++] = some_delays[i];
    if (x.delays[x.n_delays - 1] != D - 1)
        x.delays[x.n_delays++] = D - 1;
    x.number = sg_calloc(V, sizeof *x.number), x.listed = sg_calloc(V, sizeof *x.listed);
    x.v = sg_calloc(DIRECTIONS * x.w->E, sizeof *x.v), x.p = sg_calloc(V, DIRECTIONS * sizeof *x.p);
    NEED(x.number && x.listed && x.v && x.p, err, "%zu words", V);
    double mean, low, high;
    sg_stats_random_cosine(1, x.w->E, &mean, &low, &high);
    json_open(j, '{');
    json_key(j, "delays"), json_open(j, '[');
    for (size_t i = 0; i < x.n_delays; i++)
        json_count(j, x.delays[i]);
    json_close(j, ']');
    json_key(j, "classes"), json_count(j, x.classes);
    json_key(j, "random_cosine_high"), json_value(j, high);
    TRY(find_targets(&x, err));
    TRY(write_groups(&x, err));
    json_key(j, "words"), json_open(j, '[');
    for (size_t i = 0; i < x.n_listed; i++)
        json_text(j, x.w->names[x.listed[i]]);
    json_close(j, ']');
    json_key(j, "counts"), json_open(j, '[');
    for (size_t i = 0; i < x.n_listed; i++)
        json_value(j, x.w->counts[x.listed[i]]);
    json_close(j, ']'), json_close(j, '}');
done:
    words_free(x.w);
    sg_free(x.number), sg_free(x.listed), sg_free(x.v), sg_free(x.p), sg_free(x.targets);
    return st;
}
