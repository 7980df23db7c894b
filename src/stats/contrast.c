/* SPDX-License-Identifier: MIT */
/* The difference of two estimates with replicates over blocks: paired where both saw the same blocks. */
#include "stats/stats_internal.h"

#include <math.h>

/* One loop of the jackknife over n blocks or parts. */
typedef struct {
    const double *pairs, *without;
    double value, N, shift, filled;
} loop;

static loop loop_over(size_t n, const double *pairs, const double *without, double value)
{
    loop l = {pairs, without, value, 0, 0, 0};
    double square;
    for (size_t b = 0; b < n; b++)
        l.N += pairs[b], l.filled += pairs[b] > 0;
    l.shift = stats_jackknife(n, pairs, value, without, 1, &square, NULL, 0);
    return l;
}

/* u_b of the header */
static double block_deviation(const loop *l, size_t b)
{
    double away = (1 - l->pairs[b] / l->N) * (l->value - l->without[b]) - l->shift / l->filled;
    return l->pairs[b] > 0 ? sqrt(l->filled / (l->filled - 1)) * away : 0;
}

static double square_sum(const loop *l, size_t n)
{
    double sum = 0;
    for (size_t b = 0; b < n; b++)
        sum += block_deviation(l, b) * block_deviation(l, b);
    return sum;
}

static double variance(const loop *a, const loop *b, size_t n_a, size_t n_b, bool paired)
{
    double sum = 0;
    if (!paired)
        return square_sum(a, n_a) + square_sum(b, n_b);
    for (size_t i = 0; i < n_a; i++) {
        double x = block_deviation(a, i) - block_deviation(b, i);
        sum += x * x;
    }
    return sum;
}

void stats_settle(sg_contrast *out, double v, double freedom)
{
    sg_interval *x = &out->x;
    double spread = sqrt(v + 0.1 * x->bias * x->bias), middle = x->value - x->bias;
    double reach = sg_stats_t_quantile(0.975, freedom) * spread;
    x->error = sqrt(v), x->low = middle - reach, x->high = middle + reach;
    out->freedom = freedom;
    out->p = spread > 0 ? sg_stats_t_p(middle / spread, freedom) : middle == 0 ? 1 : 0;
}

static void withhold(sg_contrast *out, const char *why)
{
    *out = (sg_contrast){{out->x.value, NAN, NAN, NAN, NAN, why}, NAN, NAN};
}

double stats_welch(double v_a, double nu_a, double v_b, double nu_b)
{
    double v = v_a + v_b;
    return v > 0 ? v * v / (v_a * v_a / nu_a + v_b * v_b / nu_b) : fmin(nu_a, nu_b);
}

/* How many times as many blocks the parts are, in effect. */
static double finer(const sg_replicates *r)
{
    return r->parts > r->blocks
               ? stats_effective(r->parts, r->pairs + r->blocks) / stats_effective(r->blocks, r->pairs)
               : 0;
}

/* The variance of longer blocks, extrapolated (sg_stats_jackknife_parts); NaN: it grows too fast. */
static double extrapolated(double of_blocks, const sg_replicates *a, const sg_replicates *b, bool paired)
{
    double longer = fmin(finer(a), finer(b));
    if (!(longer >= 1.5))
        return of_blocks;
    const size_t A = a->blocks, B = b->blocks;
    loop of_a = loop_over(a->parts, a->pairs + A, a->without + A, a->value),
         of_b = loop_over(b->parts, b->pairs + B, b->without + B, b->value);
    double of_parts = variance(&of_a, &of_b, a->parts, b->parts, paired);
    if (!(of_parts > 0) || of_blocks <= of_parts)
        return of_blocks;
    return of_blocks > of_parts * sqrt(longer) ? (double)NAN
                                               : of_blocks + (of_blocks - of_parts) / (longer - 1);
}

void sg_stats_contrast(sg_contrast *out, const sg_replicates *a, const sg_replicates *b, bool paired)
{
    sg_interval alone[2];
    *out = (sg_contrast){{a->value - b->value, NAN, NAN, NAN, NAN, NULL}, NAN, NAN};
    sg_stats_jackknife(&alone[0], a->blocks, a->pairs, a->value, a->without, 1);
    sg_stats_jackknife(&alone[1], b->blocks, b->pairs, b->value, b->without, 1);
    if (alone[0].missing || alone[1].missing) {
        withhold(out, alone[0].missing ? alone[0].missing : alone[1].missing);
        return;
    }
    loop of_a = loop_over(a->blocks, a->pairs, a->without, a->value),
         of_b = loop_over(b->blocks, b->pairs, b->without, b->value);
    double nu_a = stats_effective(a->blocks, a->pairs) - 1, nu_b = stats_effective(b->blocks, b->pairs) - 1;
    double v = variance(&of_a, &of_b, a->blocks, b->blocks, paired);
    out->x.bias = alone[0].bias - alone[1].bias;
    v = extrapolated(v, a, b, paired);
    if (isnan(v))
        withhold(out, "the variance still grows with the length of the blocks");
    else
        stats_settle(out, v,
                     paired ? fmin(nu_a, nu_b)
                            : stats_welch(alone[0].error * alone[0].error, nu_a,
                                          alone[1].error * alone[1].error, nu_b));
}

void sg_stats_contrast_add(sg_contrast *c, const sg_contrast *other)
{
    if (c->x.missing)
        return;
    if (other->x.missing) {
        withhold(c, other->x.missing);
        return;
    }
    double v = c->x.error * c->x.error, w = other->x.error * other->x.error;
    c->x.bias += other->x.bias;
    stats_settle(c, v + w, fmax(1, stats_welch(v, c->freedom, w, other->freedom)));
}
