/* SPDX-License-Identifier: MIT */
#include "analysis/results/intervals.h"

#include <math.h>

static const double LARGEST_BIAS = 0.5, SIGMA_NOISE = 0.05, MEMORY_NOISE = 0.1, BIAS_LEFT = 0.5;
/* standard errors of the difference between neighbouring singular values */
static const double APART = 2, MEMORY_APART = 2.5, FAR_APART = 4;

static void withhold(sg_interval *x, const char *why)
{
    if (!x->missing)
        *x = (sg_interval){x->value, NAN, NAN, NAN, NAN, why};
}

/* The jackknife's bias of q^2 as a share of it: what of it is noise. q = row[i] row[j], or row[i] alone
 * where j is no statistic. */
static double noise_share(size_t B, size_t K, const double *pairs, const double *values,
                          const double *without, size_t i, size_t j)
{
    double N = 0, shift = 0, q = values[i] * (j < K ? values[j] : 1);
    for (size_t b = 0; b < B; b++)
        N += pairs[b];
    for (size_t b = 0; b < B; b++) {
        const double *row = without + b * K;
        double part = row[i] * (j < K ? row[j] : 1);
        if (pairs[b] > 0)
            shift += (1 - pairs[b] / N) * (q * q - part * part);
    }
    return shift == 0 ? 0 : fabs(shift) / (q * q);
}

/* sigma_k and sigma_{k+1} are distinct: their difference is at least `times` its standard error. */
static bool are_separated(const sp_frame *f, const sg_interval *S, size_t k, double times)
{
    if (k == f->R) /* the last: in a wider space there is none below it */
        return f->R == f->E || S[k - 1].value >= times * S[k - 1].error;
    return S[k - 1].value - S[k].value >= times * hypot(S[k - 1].error, S[k].error);
}

static void property_intervals(sg_interval *x, const sp_frame *f, size_t B, const double *pairs,
                               const double *values, const double *without)
{
    sp_places at = sp_where(f);
    size_t R = f->R, K = sp_count(f);
    for (size_t p = 0; p < f->P; p++) {
        size_t i = at.relative + p;
        if (!(noise_share(B, K, pairs, values, without, i, at.S) <= MEMORY_NOISE))
            withhold(&x[i], "more than a tenth of its square is noise: too few pairs for an interval");
        if (!(noise_share(B, K, pairs, values, without, at.property + p, SIZE_MAX) <= MEMORY_NOISE))
            withhold(&x[at.property + p],
                     "more than a tenth of its square is noise: too few pairs for an interval");
        if (R > 1 && !are_separated(f, x + at.S, 1, MEMORY_APART))
            withhold(&x[i], "sigma_1 and sigma_2 cannot be distinguished");
        for (size_t k = 1; k <= R; k++)
            if (!are_separated(f, x + at.S, k, FAR_APART))
                withhold(&x[at.cosine + p * R + k - 1],
                         "the singular values at the end of the subspace cannot be distinguished");
    }
}

/* From the last on: what is withheld is not looked at again. */
static void sigma_intervals(sg_interval *x, const sp_frame *f, size_t B, const double *pairs,
                            const double *values, const double *without)
{
    sg_interval *S = x + sp_where(f).S;
    bool below = are_separated(f, S, f->R, APART);
    for (size_t k = f->R; k > 1; k--) {
        bool above = are_separated(f, S, k - 1, APART);
        if (!(noise_share(B, sp_count(f), pairs, values, without, k - 1, SIZE_MAX) <= SIGMA_NOISE))
            withhold(&S[k - 1], "a twentieth of its square or more is noise: too few pairs for an interval");
        if (!above || !below)
            withhold(&S[k - 1], "it cannot be distinguished from the neighbouring singular values");
        below = above;
    }
}

/* The jackknife of every statistic that has parts, or of all; parts->F 0: blocks alone. */
static void jackknife_all(sg_interval *x, const sp_frame *f, size_t B, const double *pairs,
                          const double *moment_pairs, const double *values, const double *without,
                          const results_parts *parts)
{
    size_t K = sp_count(f);
    for (const sp_statistic *s = sp_statistics; s->name; s++)
        for (size_t i = 0; i < sp_length(f, s) && !(parts->F && s->per_property); i++) {
            size_t k = sp_position(f, s) + i;
            sg_stats_jackknife_parts(&x[k], B, s->of_moment ? moment_pairs : pairs, values[k], without + k, K,
                                     parts->F, s->of_moment ? parts->moment_pairs : parts->pairs,
                                     parts->F ? parts->without + k : NULL, K);
            sg_stats_clamp(&x[k], s->least, s->most > 0 ? s->most : (double)f->R);
        }
}

void results_intervals(sg_interval *x, const sp_frame *f, size_t B, const double *pairs,
                       const double *moment_pairs, const double *values, const double *without,
                       const results_parts *parts)
{
    sp_places at = sp_where(f);
    jackknife_all(x, f, B, pairs, moment_pairs, values, without, &(results_parts){0});
    property_intervals(x, f, B, pairs, values, without); /* by errors over blocks, as sg_track has them */
    if (parts->F)
        jackknife_all(x, f, B, pairs, moment_pairs, values, without, parts);
    if (x->bias > 0)
        x->low = fmax(0, x->low - BIAS_LEFT * x->bias);
    if (!(fabs(x[at.sum].bias) <= LARGEST_BIAS * x[at.sum].error)) {
        const char *grows = x[at.sum].missing,
                   *why = grows ? grows : "the tail of the spectrum is noise: too few pairs for an interval";
        withhold(&x[at.sum], why);
        withhold(&x[at.rank], why);
    }
    sigma_intervals(x, f, B, pairs, values, without); /* last: the others read their errors */
}
