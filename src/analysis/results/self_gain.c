/* SPDX-License-Identifier: MIT */
/* Self gains of the units (gradient/self_gain.h) and the half-life of each: means over the origins of the
 * corpus, intervals by the block jackknife. */
#include "analysis/results/results_internal.h"

#include <math.h>
#include <string.h>

enum { VALUE, LOW, HIGH, FIELDS };
static const char *const gain_names[FIELDS] = {"unit_self_gain", "unit_self_gain_low", "unit_self_gain_high"};
static const char *const half_names[FIELDS] = {"unit_self_half_life", "unit_self_half_life_low",
                                               "unit_self_half_life_high"};

typedef struct {
    size_t H, D, B, F;   /* F: parts of blocks */
    double *total;       /* (D) pairs */
    double *weights;     /* (D, B + F) pairs of blocks, then of their parts */
    double *y;           /* (D) one unit's curve */
    double *without;     /* (D, B + F) the same without each of them */
    double *halves;      /* (B + F) */
    double *gain, *half; /* (FIELDS, D, H) (FIELDS, H) */
} room;

static void count_pairs(const self_gain_sums *s, room *r, int64_t *pairs)
{
    const size_t N = r->B + r->F, split = r->F / r->B;
    for (size_t d = 0; d < r->D; d++) {
        double *w = r->weights + d * N;
        for (size_t f = 0; f < r->F; f++) {
            const double n = s->pairs[f * r->D + d];
            w[r->B + f] = n, w[f / split] += n, r->total[d] += n;
        }
        pairs[d] = (int64_t)r->total[d];
    }
}

static double mean(double sum, double pairs)
{
    return pairs > 0.5 ? sum / pairs : (double)NAN;
}

/* One unit's curve, and the replicates. */
static void read_unit(const self_gain_sums *s, size_t g, room *r, size_t u)
{
    const size_t N = r->B + r->F, split = r->F / r->B;
    for (size_t d = 0; d < r->D; d++) {
        double total = 0, *without = r->without + d * N;
        const double *w = r->weights + d * N;
        for (size_t f = 0; f < r->F; f++)
            total += self_gain_sums_at(s, g, f)[d * r->H + u];
        r->y[d] = mean(total, r->total[d]);
        for (size_t b = 0; b < r->B; b++) {
            double block = 0;
            for (size_t f = b * split; f < (b + 1) * split; f++) {
                const double part = self_gain_sums_at(s, g, f)[d * r->H + u];
                without[r->B + f] = mean(total - part, r->total[d] - w[r->B + f]);
                block += part;
            }
            without[b] = mean(total - block, r->total[d] - w[b]);
        }
    }
}

static void set(double *out, size_t stride, const sg_interval *x)
{
    out[VALUE * stride] = x->value, out[LOW * stride] = x->low, out[HIGH * stride] = x->high;
}

static void gains_of_unit(group_work *a, room *r, size_t u)
{
    const size_t N = r->B + r->F;
    for (size_t d = 0; d < r->D; d++) {
        sg_interval x = {r->y[d], NAN, NAN, NAN, NAN, NULL};
        const double *w = r->weights + d * N, *without = r->without + d * N;
        if (isnan(r->y[d]))
            group_note(a, RUN_NO_SELF_GAIN, 0, d, u ? NULL : "no pairs");
        else {
            sg_stats_jackknife_parts(&x, r->B, w, x.value, without, 1, r->F, w + r->B, without + r->B, 1);
            group_note(a, RUN_NO_SELF_GAIN_INTERVAL, 0, d, x.missing);
        }
        set(r->gain + d * r->H + u, r->D * r->H, &x);
    }
}

/* Where the curve (D) first falls below one half: above 1 it counts as 1, so that its peak is delay 0. */
static void half_life(sg_interval *out, size_t D, double *curve)
{
    for (size_t d = 0; d < D; d++)
        curve[d] = curve[d] > 1 ? 1 : curve[d];
    sg_stats_half_life(out, D, curve);
}

static void half_life_of_unit(group_work *a, room *r, size_t u, double *curve)
{
    const size_t N = r->B + r->F;
    sg_interval x, one;
    memcpy(curve, r->y, r->D * sizeof *curve);
    half_life(&x, r->D, curve);
    if (isnan(x.value)) {
        if (!isnan(r->y[0]))
            group_note(a, RUN_NO_SELF_HALF_LIFE, 0, SIZE_MAX, x.missing);
        set(r->half + u, r->H, &x);
        return;
    }
    for (size_t k = 0; k < N; k++) {
        for (size_t d = 0; d < r->D; d++)
            curve[d] = r->without[d * N + k];
        one.value = NAN;
        if (r->weights[k] > 0)
            half_life(&one, r->D, curve);
        r->halves[k] = one.value;
    }
    sg_stats_jackknife_parts(&x, r->B, r->weights, x.value, r->halves, 1, r->F, r->weights + r->B,
                             r->halves + r->B, 1);
    sg_stats_clamp(&x, 0, INFINITY);
    group_note(a, RUN_NO_SELF_HALF_LIFE_INTERVAL, 0, SIZE_MAX, x.missing);
    set(r->half + u, r->H, &x);
}

sg_status self_gain_write(group_work *a, sg_error *err)
{
    sg_status st = SG_OK;
    const self_gain_sums *s = a->input->self_gains;
    const size_t H = a->frame.H, D = a->input->D, B = a->input->B, F = B * a->input->split, N = B + F;
    room r = {.H = H, .D = D, .B = B, .F = F};
    int64_t *pairs = NULL;
    double *curve = NULL;
    if (!s)
        return SG_OK;
    NEED((r.total = sg_calloc(D, sizeof *r.total)) && (r.weights = sg_calloc(D, N * sizeof *r.weights)) &&
             (r.y = sg_calloc(D, sizeof *r.y)) && (r.without = sg_calloc(D, N * sizeof *r.without)) &&
             (r.halves = sg_calloc(N, sizeof *r.halves)) && (curve = sg_calloc(D, sizeof *curve)) &&
             (r.gain = sg_calloc(FIELDS * D, H * sizeof *r.gain)) &&
             (r.half = sg_calloc(FIELDS, H * sizeof *r.half)) && (pairs = sg_calloc(D, sizeof *pairs)),
         err, "the self gains of %s", a->group->name);
    count_pairs(s, &r, pairs);
    for (size_t u = 0; u < H; u++) {
        read_unit(s, a->g, &r, u);
        gains_of_unit(a, &r, u);
        half_life_of_unit(a, &r, u, curve);
    }
    TRY(run_writer_define(a->w, a->nc, "unit_self_gain_pairs", err));
    TRY(run_writer_put_i64(a->w, a->nc, "unit_self_gain_pairs", NULL, NULL, pairs, err));
    for (size_t k = 0; k < FIELDS; k++) {
        TRY(run_writer_define(a->w, a->nc, gain_names[k], err));
        TRY(run_writer_put_f64(a->w, a->nc, gain_names[k], NULL, NULL, r.gain + k * D * H, err));
    }
    for (size_t k = 0; k < FIELDS; k++) {
        TRY(run_writer_define(a->w, a->nc, half_names[k], err));
        TRY(run_writer_put_f64(a->w, a->nc, half_names[k], NULL, NULL, r.half + k * H, err));
    }
done:
    sg_free(r.total), sg_free(r.weights), sg_free(r.y), sg_free(r.without), sg_free(r.halves);
    sg_free(r.gain), sg_free(r.half), sg_free(pairs), sg_free(curve);
    return st;
}
