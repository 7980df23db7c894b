/* SPDX-License-Identifier: MIT */
/* Replicates in the run file: the strongest gains without each block and without each part of one, the gains
 * along properties without each block and without each fold of their words. Two classes, properties, states
 * or models of one text are compared by them with the covariance that they share (sg_stats_contrast). */
#include "analysis/results/results_internal.h"

#include <math.h>
#include <string.h>

enum { PAIRS, MOMENT_PAIRS, SIGMA, RMS, TOTAL };
static const char *const names[LEFT_OUT_KINDS] = {[PAIRS] = "left_out_pairs",
                                                  [MOMENT_PAIRS] = "left_out_moment_pairs",
                                                  [SIGMA] = "left_out_sigma_1",
                                                  [RMS] = "left_out_rms_gain",
                                                  [TOTAL] = "left_out_total_gain"};
static const char *const of_property[2] = {"left_out_property_weight", "left_out_property_gain"};

static size_t parts(const results_input *p)
{
    return p->split > 1 ? p->B * p->split : 0;
}

size_t left_out_length(const results_input *p)
{
    return 1 + p->B + parts(p);
}

size_t left_out_words(const results_input *p)
{
    return 1 + p->B + PROPERTY_FOLDS;
}

/* Weights and statistics without block or part i. */
typedef struct {
    double pairs, moment_pairs, square; /* square: sum of |G L|^2 */
    const double *row;                  /* (K) statistics without it */
} omitted;

static omitted omit_block(const group_work *a, const worker *w, size_t b, const double *trace)
{
    const size_t split = a->input->split;
    omitted x = {w->weights[b], w->moment_weights[b], 0, w->without + b * a->K};
    for (size_t f = b * split; f < (b + 1) * split; f++)
        x.square += trace[f];
    return x;
}

static omitted omit_part(const group_work *a, const worker *w, size_t f, const double *trace)
{
    return (omitted){w->parts.pairs[f], w->parts.moment_pairs[f], trace[f], w->parts.without + f * a->K};
}

static void keep_properties(const group_work *a, const worker *w, item *o, double N)
{
    const size_t P = a->input->P, B = a->input->B, n = left_out_words(a->input);
    const property_folds *folds = &a->input->folds[a->group->model];
    for (size_t p = 0; p < P; p++) {
        double *weight = o->left_out_property + p * n, *gain = o->left_out_property + (P + p) * n;
        const double value = o->x[a->at.property + p].value;
        weight[0] = N, gain[0] = value;
        for (size_t b = 0; b < B; b++) {
            weight[1 + b] = w->weights[b];
            gain[1 + b] =
                isnan(value) || !(w->weights[b] > 0) ? value : w->without[b * a->K + a->at.property + p];
            o->no_replicate |= isnan(gain[1 + b]) && !isnan(value);
        }
        results_fold_gains(gain + 1 + B, &a->frame, folds, p, w->values + a->at.S, w->right);
        for (size_t k = 0; k < PROPERTY_FOLDS; k++) {
            weight[1 + B + k] = folds->weight[p * PROPERTY_FOLDS + k];
            gain[1 + B + k] = isnan(value) ? value : gain[1 + B + k];
            o->no_fold |= (isnan(gain[1 + B + k]) && !isnan(value)) || isnan(weight[1 + B + k]);
        }
    }
}

void left_out_keep(const group_work *a, const worker *w, item *o, size_t c, size_t d)
{
    const results_input *p = a->input;
    const size_t B = p->B, n = left_out_length(p), F = B * p->split;
    const double *trace = a->s.trace + (c * p->D + d) * F;
    const double sigma = o->x[a->at.S].value, rms = o->x[a->at.gain].value;
    double *const x = o->left_out, square = 0, N = 0, Nm = 0;
    for (size_t b = 0; b < B; b++)
        N += w->weights[b], Nm += w->moment_weights[b];
    for (size_t f = 0; f < F; f++)
        square += trace[f];
    const double total = isnan(rms) ? (double)NAN : sqrt(square / Nm);
    x[PAIRS * n] = N, x[MOMENT_PAIRS * n] = Nm;
    x[SIGMA * n] = sigma, x[RMS * n] = rms, x[TOTAL * n] = total;
    o->no_replicate = o->no_fold = false;
    for (size_t i = 1; i < n; i++) {
        omitted y = i <= B ? omit_block(a, w, i - 1, trace) : omit_part(a, w, i - 1 - B, trace);
        const bool there = y.pairs > 0, left = Nm - y.moment_pairs > 0.5;
        x[PAIRS * n + i] = y.pairs, x[MOMENT_PAIRS * n + i] = y.moment_pairs;
        x[SIGMA * n + i] = there && !isnan(sigma) ? y.row[a->at.S] : sigma;
        x[RMS * n + i] = there && !isnan(rms) ? y.row[a->at.gain] : rms;
        x[TOTAL * n + i] = isnan(rms) ? rms
                           : left     ? sqrt((square - y.square) / (Nm - y.moment_pairs))
                                      : (double)NAN;
        o->no_replicate |= (isnan(x[SIGMA * n + i]) && !isnan(sigma)) ||
                           ((isnan(x[RMS * n + i]) || isnan(x[TOTAL * n + i])) && !isnan(rms));
    }
    keep_properties(a, w, o, N);
}

void left_out_nothing(const group_work *a, item *o)
{
    const size_t n = left_out_length(a->input), m = 2 * a->input->P * left_out_words(a->input);
    for (size_t i = 0; i < LEFT_OUT_KINDS * n; i++)
        o->left_out[i] = i < SIGMA * n ? 0 : (double)NAN;
    for (size_t i = 0; i < m; i++)
        o->left_out_property[i] = NAN;
    o->no_replicate = o->no_fold = false;
}

sg_status left_out_define(group_work *a, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(run_writer_dim(a->w, a->nc, "left_out", left_out_length(a->input), err));
    TRY(run_writer_dim(a->w, a->nc, "left_out_property", left_out_words(a->input), err));
    for (size_t k = 0; k < LEFT_OUT_KINDS; k++)
        TRY(run_writer_define(a->w, a->nc, names[k], err));
    for (size_t k = 0; k < 2; k++)
        TRY(run_writer_define(a->w, a->nc, of_property[k], err));
done:
    return st;
}

sg_status left_out_write(group_work *a, size_t c, size_t d0, size_t n_items, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t n = left_out_length(a->input), m = left_out_words(a->input), P = a->input->P;
    size_t start[] = {0, c, d0, 0}, count[] = {P, 1, n_items, n}, words[] = {P, 1, n_items, m};
    for (size_t k = 0; k < LEFT_OUT_KINDS; k++) {
        for (size_t i = 0; i < n_items; i++)
            memcpy(a->row + i * n, a->items[i].left_out + k * n, n * sizeof *a->row);
        TRY(run_writer_put_f64(a->w, a->nc, names[k], start + 1, count + 1, a->row, err));
    }
    for (size_t k = 0; P && k < 2; k++) {
        for (size_t p = 0; p < P; p++)
            for (size_t i = 0; i < n_items; i++)
                memcpy(a->row + (p * n_items + i) * m, a->items[i].left_out_property + (k * P + p) * m,
                       m * sizeof *a->row);
        TRY(run_writer_put_f64(a->w, a->nc, of_property[k], start, words, a->row, err));
    }
done:
    return st;
}
