/* SPDX-License-Identifier: MIT */
/* One class and delay: from block sums to every statistic of it. */
#include "analysis/results/results_internal.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"
#include "analysis/results/intervals.h"

#include <math.h>
#include <string.h>

static const double SMALLEST = 1e-30;
const char results_too_small[] = "below 1e-30, where float32 has no digits left";

static void item_nan(const group_work *a, item *o)
{
    size_t H = a->frame.H, E = a->frame.E, R = a->frame.R;
    for (size_t i = 0; i < H * E; i++)
        o->mean[i] = NAN;
    for (size_t i = 0; i < E * E; i++)
        o->moment[i] = NAN;
    for (size_t i = 0; i < R * H; i++)
        o->left[i] = NAN;
    for (size_t i = 0; i < R * E; i++)
        o->right[i] = NAN;
    for (size_t i = 0; o->gram && i < a->input->B * a->packed; i++)
        o->gram[i] = NAN;
    for (size_t k = 0; k < a->K; k++)
        o->x[k] = (sg_interval){NAN, NAN, NAN, NAN, NAN, "no pairs"};
    for (size_t i = 0; i < 3; i++)
        o->random[i] = NAN;
    o->p = (sg_class_p){NAN, NAN, NAN, NAN, "no pairs"};
    left_out_nothing(a, o);
}

/* <M, L L^T>, the sum of |G L|^2, of a packed second moment. */
static double trace_of(const group_work *a, const float *packed)
{
    double sum = 0;
    for (size_t i = 0; i < a->frame.E; i++)
        for (size_t j = 0; j <= i; j++, packed++)
            sum += (i == j ? 1 : 2) * (double)*packed * a->covariance[i * a->frame.E + j];
    return sum;
}

/* The sums of block b: of its parts together. trace: <M, L L^T> of each part, or NULL. */
static sg_status read_block(const group_work *a, worker *w, size_t b, size_t c, size_t d, bool moments,
                            double *trace, sg_error *err)
{
    sg_status st = SG_OK;
    size_t split = a->input->split;
    TRY(sums_get(a->sums, b * split, a->g, c, d, w->sum, moments ? w->packed : NULL, err));
    if (trace && moments)
        trace[0] = trace_of(a, w->packed);
    for (size_t f = b * split + 1; f < (b + 1) * split; f++) {
        TRY(sums_get(a->sums, f, a->g, c, d, w->part_sum, moments ? w->part_packed : NULL, err));
        if (trace && moments)
            trace[f - b * split] = trace_of(a, w->part_packed);
        for (size_t i = 0; i < a->frame.H * a->frame.E; i++)
            w->sum[i] += w->part_sum[i];
        for (size_t i = 0; moments && i < a->packed; i++)
            w->packed[i] += w->part_packed[i];
    }
done:
    return st;
}

/* Weights of class c in block b. */
static sums_weight block_weight(const group_work *a, size_t b, size_t c, size_t d)
{
    size_t split = a->input->split;
    sums_weight sum = {0};
    for (size_t f = b * split; f < (b + 1) * split; f++) {
        const sums_weight *x = sums_weight_at(a->sums, f, c, d);
        sum.weight += x->weight;
        sum.moment_weight += x->moment_weight;
    }
    return sum;
}

/* T, MT and the weights of all blocks; the total weights. */
static sg_status add_blocks(const group_work *a, worker *w, size_t c, size_t d, double *N, double *Nm,
                            sg_error *err)
{
    sg_status st = SG_OK;
    size_t HE = a->frame.H * a->frame.E, E = a->frame.E;
    *N = *Nm = 0;
    memset(w->T, 0, HE * sizeof *w->T);
    memset(w->MT, 0, E * E * sizeof *w->MT);
    for (size_t b = 0; b < a->input->B; b++) {
        const sums_weight x = block_weight(a, b, c, d);
        w->weights[b] = x.weight;
        w->moment_weights[b] = x.moment_weight;
        w->all_weights[b] = block_weight(a, b, 0, d).weight;
        if (!(x.weight > 0))
            continue;
        TRY(read_block(a, w, b, c, d, a->moments,
                       &a->s.trace[((c * a->input->D + d) * a->input->B + b) * a->input->split], err));
        for (size_t i = 0; i < HE; i++)
            w->T[i] += (double)w->sum[i];
        *N += x.weight;
        if (!a->moments || !(x.moment_weight > 0))
            continue;
        sums_unpack(E, w->packed, w->M);
        for (size_t i = 0; i < E * E; i++)
            w->MT[i] += w->M[i];
        *Nm += x.moment_weight;
    }
done:
    return st;
}

/* The statistics without the sums in w (of a block or part with these weights), into its row; the Gram matrix
 * into gram (or NULL). */
static sg_status leave_out(const group_work *a, const sp_frame *frame, worker *w, double *row, float *gram,
                           double weight, double moment_weight, double N, double Nm, sg_error *err)
{
    sg_status st = SG_OK;
    size_t H = a->frame.H, E = a->frame.E;
    double left = N - weight, left_m = Nm - moment_weight;
    bool with_moment = a->moments && left_m > 0.5;
    if (!(left > 0.5)) /* all pairs are here */
        return SG_OK;
    for (size_t i = 0; i < H * E; i++)
        w->G[i] = (w->T[i] - (double)w->sum[i]) / left;
    la_dgemm(LA_T, LA_N, E, E, H, 1, w->G, E, w->G, E, 0, w->gram, E);
    if (gram)
        sums_pack(E, w->gram, gram);
    if (!(weight > 0))
        return SG_OK; /* the jackknife does not read the row */
    if (with_moment) {
        sums_unpack(E, w->packed, w->M);
        for (size_t i = 0; i < E * E; i++)
            w->M[i] = (w->MT[i] - w->M[i]) / left_m;
    }
    TRY(sp_from_gram(row, frame, w->gram, with_moment ? w->M : NULL, w->work, err));
done:
    return st;
}

static void all_nan(double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = NAN;
}

static sg_status leave_out_block(const group_work *a, worker *w, item *o, size_t c, size_t d, size_t b,
                                 double N, double Nm, sg_error *err)
{
    sg_status st = SG_OK;
    float *gram = o->gram ? o->gram + b * a->packed : NULL;
    bool moments = a->moments && Nm - w->moment_weights[b] > 0.5;
    all_nan(w->without + b * a->K, a->K);
    for (size_t i = 0; gram && i < a->packed; i++)
        gram[i] = NAN;
    if (w->weights[b] > 0)
        TRY(read_block(a, w, b, c, d, moments, NULL, err));
    else
        memset(w->sum, 0, a->frame.H * a->frame.E * sizeof *w->sum);
    TRY(leave_out(a, &a->frame, w, w->without + b * a->K, gram, w->weights[b], w->moment_weights[b], N, Nm,
                  err));
done:
    return st;
}

static sg_status leave_out_part(const group_work *a, worker *w, size_t c, size_t d, size_t f, double N,
                                double Nm, sg_error *err)
{
    sg_status st = SG_OK;
    const sums_weight *x = sums_weight_at(a->sums, f, c, d);
    bool moments = a->moments && Nm - x->moment_weight > 0.5;
    double *row = w->parts.without + f * a->K;
    all_nan(row, a->K);
    w->parts.pairs[f] = x->weight;
    w->parts.moment_pairs[f] = x->moment_weight;
    if (!(x->weight > 0))
        return SG_OK;
    TRY(sums_get(a->sums, f, a->g, c, d, w->sum, moments ? w->packed : NULL, err));
    sp_frame spectra = a->frame; /* properties, which are last in a row, have intervals from blocks alone */
    spectra.P = 0;
    TRY(leave_out(a, &spectra, w, row, NULL, x->weight, x->moment_weight, N, Nm, err));
done:
    return st;
}

/* Block sums of class c: what the class test looks at. */
static sg_status sums_of_blocks(const group_work *a, worker *w, size_t c, size_t d, double *out,
                                sg_error *err)
{
    sg_status st = SG_OK;
    size_t H = a->frame.H, E = a->frame.E;
    for (size_t b = 0; b < a->input->B; b++) {
        double *S = out + b * H * E;
        if (!(block_weight(a, b, c, d).weight > 0)) {
            memset(S, 0, H * E * sizeof *S);
            continue;
        }
        TRY(read_block(a, w, b, c, d, false, NULL, err));
        for (size_t i = 0; i < H * E; i++)
            S[i] = (double)w->sum[i];
    }
done:
    return st;
}

static sg_status class_test(const group_work *a, worker *w, item *o, size_t c, size_t d, sg_error *err)
{
    sg_status st = SG_OK;
    const char *no_factor = a->input->factor_missing[a->group->model];
    o->p = (sg_class_p){NAN, NAN, NAN, NAN, no_factor ? no_factor : w->test ? NULL : "one block"};
    if (!c || !w->test || no_factor)
        return SG_OK;
    TRY(sums_of_blocks(a, w, c, d, w->class_sums, err));
    TRY(sums_of_blocks(a, w, 0, d, w->all_sums, err));
    TRY(sg_class_test_run(w->test, &o->p, w->class_sums, w->weights, w->all_sums, w->all_weights, a->frame.L,
                          err));
done:
    return st;
}

static void store_vectors(const group_work *a, const worker *w, item *o, double N, double Nm)
{
    size_t H = a->frame.H, E = a->frame.E, R = a->frame.R;
    for (size_t i = 0; i < H * E; i++)
        o->mean[i] = (float)(w->T[i] / N);
    for (size_t i = 0; i < E * E; i++)
        o->moment[i] = Nm > 0 ? (float)(w->MT[i] / Nm) : NAN;
    for (size_t k = 0; k < R; k++)
        for (size_t i = 0; i < H; i++)
            o->left[k * H + i] = (float)w->left[i * R + k];
    for (size_t i = 0; i < R * E; i++)
        o->right[i] = (float)w->right[i];
}

/* A value below 1e-30 has no digits in float32, whose factors are flushed to zero at 1e-38: it is missing. */
static void hide_too_small(const group_work *a, const worker *w, item *o)
{
    const bool mean = w->values[a->at.S] < SMALLEST, moment = w->values[a->at.gain] < SMALLEST;
    for (const sp_statistic *s = sp_statistics; s->name; s++) {
        size_t at = sp_position(&a->frame, s);
        bool hidden = s->of_moment ? moment : mean || (at == a->at.coherence && moment);
        for (size_t i = 0; hidden && i < sp_length(&a->frame, s); i++)
            o->x[at + i] = (sg_interval){NAN, NAN, NAN, NAN, NAN, results_too_small};
    }
    if (mean)
        o->p = (sg_class_p){NAN, NAN, NAN, NAN, results_too_small};
}

sg_status class_delay_compute(const group_work *a, worker *w, item *o, size_t c, size_t d, sg_error *err)
{
    sg_status st = SG_OK;
    size_t H = a->frame.H, E = a->frame.E;
    double N, Nm;
    TRY(add_blocks(a, w, c, d, &N, &Nm, err));
    memcpy(o->block_weight, w->weights, a->input->B * sizeof *w->weights);
    o->empty = !(N > 0);
    if (o->empty) {
        item_nan(a, o);
        return SG_OK;
    }
    for (size_t i = 0; i < H * E; i++)
        w->G[i] = w->T[i] / N;
    for (size_t i = 0; Nm > 0 && i < E * E; i++)
        w->M[i] = w->MT[i] / Nm;
    TRY(sp_from_mean(w->values, w->left, w->right, &a->frame, w->G, Nm > 0 ? w->M : NULL, w->work, err));
    store_vectors(a, w, o, N, Nm);
    for (size_t i = 0; !c && i < H * E; i++)
        a->s.norm[d] += w->G[i] * w->G[i];
    for (size_t b = 0; b < a->input->B; b++)
        TRY(leave_out_block(a, w, o, c, d, b, N, Nm, err));
    for (size_t f = 0; f < w->parts.F; f++)
        TRY(leave_out_part(a, w, c, d, f, N, Nm, err));
    results_intervals(o->x, &a->frame, a->input->B, w->weights, w->moment_weights, w->values, w->without,
                      &w->parts);
    TRY(class_test(a, w, o, c, d, err));
    o->sigma = w->values[a->at.S];
    if (a->input->P) {
        random_table_gain(a->directions, w->values + a->at.S, w->draws, &o->random[0], &o->random[1],
                          &o->random[2]);
        results_property_errors(o->x, &a->frame, &a->input->folds[a->group->model], a->input->B, w->weights,
                                w->values + a->at.S, w->right);
    }
    hide_too_small(a, w, o);
    left_out_keep(a, w, o, c, d);
    const results_input *p = a->input;
    size_t places[DECAY_OF_GRADIENTS] = {a->at.S, a->at.sum, a->at.gain};
    for (size_t q = 0; q < DECAY_OF_GRADIENTS; q++)
        for (size_t b = 0; b < p->B; b++)
            a->s.without[((c * DECAY_QUANTITIES + q) * p->B + b) * p->D + d] =
                w->weights[b] > 0 ? w->without[b * a->K + places[q]] : w->values[places[q]];
    for (size_t f = 0; f < w->parts.F; f++)
        a->s.parts[(c * w->parts.F + f) * p->D + d] =
            w->parts.pairs[f] > 0 ? w->parts.without[f * a->K + a->at.S] : w->values[a->at.S];
done:
    if (st != SG_OK && err) {
        sg_error inner = *err;
        sg_fail(err, st, "%s, class %s, delay %zu: %s", a->group->name, a->input->class_names[c], d,
                inner.msg);
    }
    return st;
}
