/* SPDX-License-Identifier: MIT */
/* A property's direction is estimated from words: its errors come from the blocks of the corpus and from the
 * words. */
#include "analysis/results/intervals.h"

#include "base/base_internal.h"

#include <math.h>

static double dot(size_t n, const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

double results_effective(size_t n, const double *weight)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += weight[i], squares += weight[i] * weight[i];
    return squares > 0 ? sum * sum / squares : 0;
}

/* Student's t with Welch's degrees of freedom. */
void results_add_words(sg_interval *x, const double without[PROPERTY_FOLDS], const double *weight,
                       double blocks, double least, double most)
{
    sg_interval w;
    if (x->missing)
        return;
    sg_stats_jackknife(&w, PROPERTY_FOLDS, weight, x->value, without, 1);
    if (w.missing) {
        *x = (sg_interval){x->value, NAN, NAN, NAN, NAN, "a few words make up most of a side"};
        return;
    }
    double b2 = x->error * x->error, w2 = w.error * w.error,
           folds = results_effective(PROPERTY_FOLDS, weight);
    double nu = (b2 + w2) * (b2 + w2) / (b2 * b2 / (blocks - 1) + w2 * w2 / (folds - 1));
    x->bias += w.bias;
    x->error = sqrt(b2 + w2);
    double reach = sg_stats_t_quantile(0.975, nu > 1 ? nu : 1) * sqrt(b2 + w2 + 0.1 * x->bias * x->bias);
    x->low = x->value - x->bias - reach;
    x->high = x->value - x->bias + reach;
    sg_stats_clamp(x, least, most);
}

static void withhold_all(sg_interval *x, const sp_frame *f, size_t p, const char *why)
{
    sp_places at = sp_where(f);
    sg_interval *of[] = {&x[at.relative + p], &x[at.property + p], &x[at.cosine + p * f->R]};
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < (i == 2 ? f->R : 1); k++)
            of[i][k] = (sg_interval){of[i][k].value, NAN, NAN, NAN, NAN, why};
}

void results_fold_gains(double gains[PROPERTY_FOLDS], const sp_frame *f, const property_folds *folds,
                        size_t p, const double *S, const double *Vt)
{
    for (size_t j = 0; j < PROPERTY_FOLDS; j++) {
        double square = 0;
        for (size_t k = 0; k < f->R; k++) {
            double c = dot(f->E, Vt + k * f->E, folds->n + (p * PROPERTY_FOLDS + j) * f->E);
            square += S[k] * S[k] * c * c;
        }
        gains[j] = sqrt(square);
    }
}

void results_property_errors(sg_interval *x, const sp_frame *f, const property_folds *folds, size_t B,
                             const double *pairs, const double *S, const double *Vt)
{
    sp_places at = sp_where(f);
    double blocks = results_effective(B, pairs);
    for (size_t p = 0; p < f->P; p++) {
        const double *n = folds->n + p * PROPERTY_FOLDS * f->E, *weight = folds->weight + p * PROPERTY_FOLDS;
        double gain[PROPERTY_FOLDS], relative[PROPERTY_FOLDS], cosine[PROPERTY_FOLDS];
        double inside[PROPERTY_FOLDS] = {0};
        if (folds->missing[p])
            withhold_all(x, f, p, folds->missing[p]);
        if (folds->missing[p] || isnan(n[0]) || !(S[0] > 0))
            continue; /* a vector is given, not estimated */
        for (size_t k = 0; k < f->R; k++) {
            for (size_t j = 0; j < PROPERTY_FOLDS; j++) {
                double c = dot(f->E, Vt + k * f->E, n + j * f->E);
                inside[j] += c * c;
                cosine[j] = inside[j] > 1 ? 1 : sqrt(inside[j]);
            }
            results_add_words(&x[at.cosine + p * f->R + k], cosine, weight, blocks, 0, 1);
        }
        results_fold_gains(gain, f, folds, p, S, Vt);
        for (size_t j = 0; j < PROPERTY_FOLDS; j++)
            relative[j] = fmin(1, gain[j] / S[0]);
        results_add_words(&x[at.property + p], gain, weight, blocks, 0, INFINITY);
        results_add_words(&x[at.relative + p], relative, weight, blocks, 0, 1);
    }
}

static bool all_missing(size_t n, const double *x)
{
    for (size_t i = 0; i < n; i++)
        if (!isnan(x[i]))
            return false;
    return true;
}

static const char never_without[] =
    "without some of its words, the gain never falls below half within the delays analysed";

sg_status results_property_half_life(sg_interval *out, const property_folds *folds, size_t p, size_t D,
                                     const double *gain, size_t B, const double *pairs, const double *blocks,
                                     const double *words, sg_error *err)
{
    sg_status st = SG_OK;
    double of_words[PROPERTY_FOLDS];
    double *without = sg_calloc(B + 1, sizeof *without);
    NEED(without, err, "a half-life over %zu blocks", B);
    sg_stats_half_life(out, D, gain);
    if (out->missing || !B)
        goto done;
    for (size_t b = 0; b < B; b++) {
        sg_interval one = {.value = NAN};
        if (pairs[b] > 0)
            sg_stats_half_life(&one, D, blocks + b * D);
        without[b] = one.value;
    }
    sg_stats_jackknife(out, B, pairs, out->value, without, 1);
    sg_stats_clamp(out, 0, INFINITY);
    if (folds->missing[p])
        *out = (sg_interval){out->value, NAN, NAN, NAN, NAN, folds->missing[p]};
    if (out->missing || all_missing(PROPERTY_FOLDS * D, words))
        goto done; /* a vector is given, not estimated */
    for (size_t j = 0; j < PROPERTY_FOLDS; j++) {
        sg_interval one;
        sg_stats_half_life(&one, D, words + j * D);
        of_words[j] = one.value;
        if (one.missing) {
            *out = (sg_interval){out->value, NAN, NAN, NAN, NAN, never_without};
            goto done;
        }
    }
    results_add_words(out, of_words, folds->weight + p * PROPERTY_FOLDS, results_effective(B, pairs), 0,
                      INFINITY);
done:
    sg_free(without);
    return st;
}
