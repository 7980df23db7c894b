/* SPDX-License-Identifier: MIT */
/* What random unit vectors would show: the reference without which it is unknown if a cosine of 0.4 is
 * much. */
#include "stats/stats_internal.h"
#include "stats/random_table.h"

#include "base/base_internal.h"

#include <math.h>

void sg_stats_random_cosine(size_t k, size_t E, double *mean, double *low, double *high)
{
    if (k >= E) {
        *mean = *low = *high = 1;
        return;
    }
    double a = 0.5 * (double)k, b = 0.5 * (double)(E - k);
    /* E sqrt(X) for X ~ Beta(a, b) */
    *mean = exp(lgamma(a + 0.5) + lgamma(a + b) - lgamma(a) - lgamma(a + b + 0.5));
    *low = sqrt(stats_beta_quantile(0.025, a, b));
    *high = sqrt(stats_beta_quantile(0.975, a, b));
}

void random_cosines(size_t r, size_t E, double *out)
{
    for (size_t k = 0; k < r; k++)
        sg_stats_random_cosine(k + 1, E, &out[3 * k], &out[3 * k + 1], &out[3 * k + 2]);
}

enum { TOGETHER = 400 }; /* draws whose sums stay in the first-level cache */
_Static_assert(RANDOM_DRAWS % TOGETHER == 0, "whole groups of draws");

struct random_table {
    size_t r;
    float *square; /* (RANDOM_DRAWS / TOGETHER, r, TOGETHER) squared components */
};

static float *component(const random_table *t, size_t draw, size_t j)
{
    return t->square + (draw / TOGETHER * t->r + j) * TOGETHER + draw % TOGETHER;
}

sg_status random_table_new(random_table **out, size_t r, size_t E, uint64_t seed, sg_error *err)
{
    *out = NULL;
    if (!r || r > E)
        return sg_fail(err, SG_EINVAL, "statistics: %zu singular values in %zu dimensions", r, E);
    random_table *t = sg_calloc(1, sizeof *t);
    if (!t || !(t->square = sg_calloc(RANDOM_DRAWS, r * sizeof *t->square))) {
        sg_free(t);
        return no_memory(err, "%d random directions", (int)RANDOM_DRAWS);
    }
    t->r = r;
    sg_rng rng;
    sg_rng_seed(&rng, seed, 0);
    for (size_t i = 0; i < RANDOM_DRAWS; i++) {
        double length = 0;
        for (size_t j = 0; j < E; j++) {
            double z = sg_rng_normal(&rng);
            length += z * z;
            if (j < r)
                *component(t, i, j) = (float)(z * z);
        }
        for (size_t j = 0; j < r; j++)
            *component(t, i, j) = (float)((double)*component(t, i, j) / length);
    }
    *out = t;
    return SG_OK;
}

void random_table_free(random_table *t)
{
    if (t)
        sg_free(t->square);
    sg_free(t);
}

/* The direction is as random in the basis of right singular vectors as in any other. */
void random_table_gain(const random_table *t, const double *S, double *room, double *mean, double *low,
                       double *high)
{
    double sum = 0;
    *mean = *low = *high = NAN;
    if (!(S[0] > 0) || !isfinite(S[0]))
        return;
    for (size_t first = 0; first < RANDOM_DRAWS; first += TOGETHER) {
        double kept[TOGETHER] = {0};
        for (size_t j = 0; j < t->r; j++) {
            const double s = S[j] / S[0], square = s * s;
            const float *of_draw = component(t, first, j);
            for (size_t i = 0; i < TOGETHER; i++)
                kept[i] += square * (double)of_draw[i];
        }
        for (size_t i = 0; i < TOGETHER; i++)
            sum += room[first + i] = sqrt(kept[i]);
    }
    *mean = sum / RANDOM_DRAWS;
    *low = stats_quantile_of(RANDOM_DRAWS, room, 0.025);
    *high = stats_quantile_of(RANDOM_DRAWS, room, 0.975);
}

sg_status sg_stats_random_gain(size_t r, const double *S, size_t E, uint64_t seed, double *mean, double *low,
                               double *high, sg_error *err)
{
    sg_status st = SG_OK;
    random_table *t = NULL;
    double *room = sg_calloc(RANDOM_DRAWS, sizeof *room);
    *mean = *low = *high = NAN;
    NEED(room, err, "%d random directions", (int)RANDOM_DRAWS);
    TRY(random_table_new(&t, r, E, seed, err));
    random_table_gain(t, S, room, mean, low, high);
done:
    random_table_free(t);
    sg_free(room);
    return st;
}
