/* SPDX-License-Identifier: MIT */
/* What is compared, and how it follows from the replicates in a run file. */
#include "compare/compare_internal.h"

#include <math.h>
#include <string.h>

#define MOMENT "left_out_moment_pairs"
#define REPLACED "left_out_replaced_pairs"
#define WORDS "left_out_property_weight"
const measure compare_measures[] = {
    {"rms_gain", "left_out_rms_gain", MOMENT, .form = MEASURE_VALUE, .absolute = true},
    {"rms_gain_left", "left_out_rms_gain", MOMENT, .form = MEASURE_LEFT},
    {"rms_gain_half_life", "left_out_rms_gain", MOMENT, .form = MEASURE_HALF_LIFE},
    {"total_gain", "left_out_total_gain", MOMENT, .form = MEASURE_VALUE, .absolute = true, .of_kinds = true},
    {"total_gain_left", "left_out_total_gain", MOMENT, .form = MEASURE_LEFT, .on_demand = true},
    {"sigma_1", "left_out_sigma_1", "left_out_pairs", .form = MEASURE_VALUE, .absolute = true},
    {"sigma_1_left", "left_out_sigma_1", "left_out_pairs", .form = MEASURE_LEFT, .on_demand = true},
    {"state_change", "left_out_state_change", REPLACED, .form = MEASURE_VALUE, .absolute = true},
    {"state_change_left", "left_out_state_change", REPLACED, .form = MEASURE_LEFT},
    {"state_change_half_life", "left_out_state_change", REPLACED, .form = MEASURE_HALF_LIFE},
    {"property_gain", "left_out_property_gain", WORDS, "property_gain_low", .form = MEASURE_VALUE,
     .of_property = true, .absolute = true},
    {"property_gain_left", "left_out_property_gain", WORDS, "property_gain_low", .form = MEASURE_LEFT,
     .of_property = true},
    {"relative_memory", "left_out_property_gain", WORDS, "relative_memory_low", .form = MEASURE_OVER_SIGMA,
     .of_property = true},
    {.name = NULL},
};

/* ([property,] class, delay, entries) of run i: (D, L) */
static sg_status read_one(double *x, const side *s, size_t i, const char *variable, bool property, size_t D,
                          size_t L, sg_error *err)
{
    size_t start[] = {s->property[i], s->class[i], 0, 0}, count[] = {1, 1, D, L}, rank,
           shape[SG_RUN_MAX_DIMS], skip = property ? 0 : 1;
    const sg_run *r = s->s->runs[i];
    if (!sg_run_shape(r, s->s->state, variable, &rank, shape) || rank != 4 - skip || shape[rank - 1] != L ||
        shape[rank - 2] < D)
        return sg_fail(err, SG_EFORMAT, "%s: %s: %s does not have the expected shape", s->s->paths[i],
                       s->s->state, variable);
    return sg_run_read(r, s->s->state, variable, start + skip, count + skip, x, err);
}

static void share_of_first(double *x, size_t D, size_t L)
{
    for (size_t d = D; d-- > 0;)
        for (size_t l = 0; l < L; l++)
            x[d * L + l] /= x[l];
}

/* Row 0 becomes the half-life of each column. y (D) is workspace. */
static void half_lives(double *x, double *y, size_t D, size_t L)
{
    for (size_t l = 0; l < L; l++) {
        for (size_t d = 0; d < D; d++)
            y[d] = x[d * L + l];
        sg_interval life;
        sg_stats_half_life(&life, D, y);
        x[l] = life.value;
    }
}

/* x (D, L) over sigma (D, entries): without the same block; without a fold of words, over that of all. */
static void over_sigma(double *x, const double *sigma, size_t D, size_t L, size_t entries, size_t B)
{
    for (size_t d = 0; d < D; d++)
        for (size_t l = 0; l < L; l++) {
            double share = x[d * L + l] / sigma[d * entries + (l <= B ? l : 0)];
            x[d * L + l] = share > 1 ? 1 : share;
        }
}

sg_status series_read(series *out, const side *s, const measure *m, size_t D, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t L = m->of_property ? s->words : s->entries, n = s->s->n;
    double *sigma = NULL, *y = NULL;
    *out = (series){.n = n, .D = D, .L = L, .B = s->blocks};
    NEED((out->x = sg_calloc(n * D, L * sizeof *out->x)) &&
             (out->weight = sg_calloc(D, L * sizeof *out->weight)) && (y = sg_calloc(D, sizeof *y)) &&
             (sigma = sg_calloc(D, s->entries * sizeof *sigma)),
         err, "%zu delays of %zu models", D, n);
    TRY(read_one(out->weight, s, 0, m->weight, m->of_property, D, L, err));
    for (size_t i = 0; i < n; i++) {
        double *x = out->x + i * D * L;
        TRY(read_one(x, s, i, m->source, m->of_property, D, L, err));
        if (m->form == MEASURE_LEFT)
            share_of_first(x, D, L);
        if (m->form == MEASURE_HALF_LIFE)
            half_lives(x, y, D, L);
        if (m->form == MEASURE_OVER_SIGMA) {
            TRY(read_one(sigma, s, i, "left_out_sigma_1", false, D, s->entries, err));
            over_sigma(x, sigma, D, L, s->entries, s->blocks);
        }
    }
done:
    sg_free(sigma), sg_free(y);
    return st;
}

void series_free(series *x)
{
    sg_free(x->x), sg_free(x->weight);
}
