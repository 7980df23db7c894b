/* SPDX-License-Identifier: MIT */
/* Units of the state, by class and delay, from the normalised mean gradient Ghat = Gbar L:
 *
 *   unit_gain            |row u of Ghat|   how far the unit moves along its own best direction
 *   unit_property_gain   (Ghat n)_u        what one step along property n adds to the unit, with its sign;
 *                        the length of this
 *                                          vector over the units is property_gain
 *
 * Intervals by the block jackknife: Ghat without a block is (sum - its sum) / (weight - its weight). */
#include "analysis/results/results_internal.h"

#include "linalg/linalg.h"

#include <math.h>
#include <string.h>

static const double SMALLEST = 1e-30;
enum { VALUE, LOW, HIGH, FIELDS };
static const char *const gain_names[FIELDS] = {"unit_gain", "unit_gain_low", "unit_gain_high"};
static const char *const property_names[FIELDS] = {"unit_property_gain", "unit_property_gain_low",
                                                   "unit_property_gain_high"};

typedef struct {
    size_t H, E, P, B, N;  /* N: blocks, then their parts */
    float *sum;            /* (H,E) of one part */
    double *G;             /* (H,E) */
    double *total, *block; /* (H,E) normalised sums: of all, of one block */
    double *part;          /* (H,E) of one part */
    double *weights;       /* (N) */
    double *without;       /* (1+P, H, N) */
    double *values;        /* (1+P, H) of one class and delay */
    double *out;           /* (FIELDS, 1+P, D, H) of one class */
} room;

/* Row u of the sums `total` - `left_out` (NULL: nothing) times n; n NULL: its length. */
static double row_gain(const room *r, size_t u, const double *left_out, const double *n)
{
    const double *x = r->total + u * r->E, *y = left_out ? left_out + u * r->E : NULL;
    double sum = 0;
    for (size_t e = 0; e < r->E; e++) {
        const double g = x[e] - (y ? y[e] : 0);
        sum += g * (n ? n[e] : g);
    }
    return n ? sum : sqrt(sum);
}

/* Of all units: (1+P, H), `stride` apart. weight: what is left. */
static void evaluate(const room *r, const double *n, const double *left_out, double weight, double *out,
                     size_t stride)
{
    for (size_t k = 0; k <= r->P; k++)
        for (size_t u = 0; u < r->H; u++)
            out[(k * r->H + u) * stride] =
                weight > 0.5 ? row_gain(r, u, left_out, k ? n + (k - 1) * r->E : NULL) / weight : (double)NAN;
}

/* Sums of part f, normalised. */
static sg_status read_part(const group_work *a, room *r, size_t f, size_t c, size_t d, double *out,
                           sg_error *err)
{
    sg_status st = SG_OK;
    const double weight = sums_weight_at(a->sums, f, c, d)->weight;
    memset(out, 0, r->H * r->E * sizeof *out);
    if (!(weight > 0))
        return SG_OK;
    TRY(sums_get(a->sums, f, a->g, c, d, r->sum, NULL, err));
    for (size_t i = 0; i < r->H * r->E; i++)
        r->G[i] = (double)r->sum[i];
    la_dgemm(LA_N, LA_N, r->H, r->E, r->E, 1, r->G, r->E, a->frame.L, r->E, 0, out, r->E);
done:
    return st;
}

/* Of class c and delay d: the total, the weights; then the replicates. Parts are read twice: all of them at
 * once may not fit in memory. */
static sg_status replicates(const group_work *a, room *r, size_t c, size_t d, double *N, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t split = a->input->split, F = r->B * split;
    *N = 0;
    memset(r->total, 0, r->H * r->E * sizeof *r->total);
    for (size_t f = 0; f < F; f++) {
        *N += r->weights[r->B + f] = sums_weight_at(a->sums, f, c, d)->weight;
        TRY(read_part(a, r, f, c, d, r->part, err));
        for (size_t i = 0; i < r->H * r->E; i++)
            r->total[i] += r->part[i];
    }
    for (size_t b = 0; b < r->B; b++) {
        r->weights[b] = 0;
        memset(r->block, 0, r->H * r->E * sizeof *r->block);
        for (size_t f = b * split; f < (b + 1) * split; f++) {
            const double weight = r->weights[r->B + f];
            r->weights[b] += weight;
            TRY(read_part(a, r, f, c, d, r->part, err));
            evaluate(r, a->frame.n, r->part, *N - weight, r->without + r->B + f, r->N);
            for (size_t i = 0; i < r->H * r->E; i++)
                r->block[i] += r->part[i];
        }
        evaluate(r, a->frame.n, r->block, *N - r->weights[b], r->without + b, r->N);
    }
done:
    return st;
}

static double *out_at(const group_work *a, const room *r, size_t field, size_t k, size_t d)
{
    return r->out + ((field * (1 + r->P) + k) * a->input->D + d) * r->H;
}

/* The words of the property are a second source of error. */
static void add_words(const group_work *a, const room *r, sg_interval *x, size_t p, size_t u, double N,
                      double blocks)
{
    const property_folds *folds = &a->input->folds[a->group->model];
    const double *n = folds->n + p * PROPERTY_FOLDS * r->E;
    double without[PROPERTY_FOLDS];
    if (folds->missing[p])
        *x = (sg_interval){x->value, NAN, NAN, NAN, NAN, folds->missing[p]};
    if (folds->missing[p] || isnan(n[0]))
        return; /* a vector is given, not estimated */
    for (size_t j = 0; j < PROPERTY_FOLDS; j++)
        without[j] = row_gain(r, u, NULL, n + j * r->E) / N;
    results_add_words(x, without, folds->weight + p * PROPERTY_FOLDS, blocks, -INFINITY, INFINITY);
}

static sg_status class_delay(group_work *a, room *r, size_t c, size_t d, sg_error *err)
{
    sg_status st = SG_OK;
    double N, square = 0;
    TRY(replicates(a, r, c, d, &N, err));
    for (size_t i = 0; i < r->H * r->E; i++)
        square += r->total[i] * r->total[i];
    const bool small = N > 0.5 && sqrt(square) / N < SMALLEST;
    const double blocks = results_effective(r->B, r->weights);
    group_note(a, RUN_TOO_SMALL, c, d, small ? results_too_small : NULL);
    evaluate(r, a->frame.n, NULL, small ? 0 : N, r->values, 1);
    for (size_t i = 0; i < (1 + r->P) * r->H; i++) {
        const size_t k = i / r->H, u = i % r->H;
        const double *without = r->without + i * r->N;
        sg_interval x = {r->values[i], NAN, NAN, NAN, NAN, NULL};
        if (!isnan(x.value)) {
            sg_stats_jackknife_parts(&x, r->B, r->weights, x.value, without, 1, r->N - r->B,
                                     r->weights + r->B, without + r->B, 1);
            if (k)
                add_words(a, r, &x, k - 1, u, N, blocks);
            else
                sg_stats_clamp(&x, 0, INFINITY);
            group_note(a, RUN_NO_UNIT_INTERVAL, c, d, x.missing);
        }
        const double fields[FIELDS] = {x.value, x.low, x.high};
        for (size_t f = 0; f < FIELDS; f++)
            out_at(a, r, f, k, d)[u] = fields[f];
    }
done:
    return st;
}

sg_status units_write(group_work *a, sg_error *err)
{
    sg_status st = SG_OK;
    const results_input *p = a->input;
    if (!p->units)
        return SG_OK;
    const size_t H = a->frame.H, E = a->frame.E, P = p->P, N = p->B * (1 + p->split);
    room r = {.H = H, .E = E, .P = P, .B = p->B, .N = N};
    NEED((r.sum = sg_calloc(H * E, sizeof *r.sum)) && (r.G = sg_calloc(4 * H * E, sizeof *r.G)) &&
             (r.weights = sg_calloc(N, sizeof *r.weights)) &&
             (r.without = sg_calloc((1 + P) * H, N * sizeof *r.without)) &&
             (r.values = sg_calloc(1 + P, H * sizeof *r.values)) &&
             (r.out = sg_calloc(FIELDS * (1 + P) * p->D, H * sizeof *r.out)),
         err, "the units of %s", a->group->name);
    r.total = r.G + H * E, r.block = r.total + H * E, r.part = r.block + H * E;
    for (size_t k = 0; k < FIELDS; k++) {
        TRY(run_writer_define(a->w, a->nc, gain_names[k], err));
        TRY(run_writer_define(a->w, a->nc, property_names[k], err)); /* track may add properties */
    }
    for (size_t c = 0; c < p->C; c++) {
        for (size_t d = 0; d < p->D; d++)
            TRY(class_delay(a, &r, c, d, err));
        for (size_t k = 0; k < FIELDS; k++) {
            TRY(run_writer_put_f64(a->w, a->nc, gain_names[k], (size_t[]){c, 0, 0}, (size_t[]){1, p->D, H},
                                   out_at(a, &r, k, 0, 0), err));
            if (P)
                TRY(run_writer_put_f64(a->w, a->nc, property_names[k], (size_t[]){0, c, 0, 0},
                                       (size_t[]){P, 1, p->D, H}, out_at(a, &r, k, 1, 0), err));
        }
    }
done:
    sg_free(r.sum), sg_free(r.G), sg_free(r.weights), sg_free(r.without), sg_free(r.values), sg_free(r.out);
    return st;
}
