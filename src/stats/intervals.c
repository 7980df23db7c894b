/* SPDX-License-Identifier: MIT */
/* Student's t, the block jackknife and the correction for many tests. */
#include "stats/stats_internal.h"

#include "base/base_internal.h"

#include <math.h>
#include <stdlib.h>

/* ---- the incomplete beta function ---- */

/* Lentz's evaluation of the continued fraction (Abramowitz and Stegun 26.5.8), for x < (a+1)/(a+b+2). */
static double beta_fraction(double x, double a, double b)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double f = d;
    for (int m = 1; m < 1000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double step = 1;
        for (int half = 0; half < 2; half++) {
            double coefficient = half ? odd : even;
            d = 1 + coefficient * d;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = 1 + coefficient / c;
            c = fabs(c) < tiny ? tiny : c;
            f *= step = c * d;
        }
        if (fabs(step - 1) < 1e-16)
            break;
    }
    return f;
}

double stats_beta(double x, double a, double b)
{
    if (!(x > 0))
        return 0;
    if (x >= 1)
        return 1;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(x, a, b) / a;
    return 1 - front * beta_fraction(1 - x, b, a) / b;
}

/* Newton's steps, halving where one leaves the interval that holds the root. */
double stats_beta_quantile(double p, double a, double b)
{
    double low = 0, high = 1, x = 0.5, scale = lgamma(a + b) - lgamma(a) - lgamma(b);
    for (int i = 0; i < 200 && high - low > 1e-16 * high; i++) {
        double miss = stats_beta(x, a, b) - p, density = exp(scale + (a - 1) * log(x) + (b - 1) * log1p(-x));
        if (miss < 0)
            low = x;
        else
            high = x;
        double next = x - miss / density;
        if (!(next > low && next < high))
            next = 0.5 * (low + high);
        double moved = fabs(next - x);
        x = next;
        if (moved <= 1e-16 * x)
            break;
    }
    return x;
}

double sg_stats_t_p(double t, double nu)
{
    return stats_beta(nu / (nu + t * t), 0.5 * nu, 0.5);
}

double sg_stats_t_quantile(double p, double nu)
{
    /* For |T| large P(|T| >= t) = I_{nu/(nu+t^2)}(nu/2, 1/2); solved for x = nu/(nu+t^2), or where that nears
     * 1 and would lose digits for 1-x. */
    double tail = p < 0.5 ? 2 * p : 2 * (1 - p);
    double x = stats_beta_quantile(tail, 0.5 * nu, 0.5), y = 1 - x;
    if (x >= 0.5)
        y = stats_beta_quantile(1 - tail, 0.5, 0.5 * nu), x = 1 - y;
    double t = sqrt(nu * y / x);
    return p < 0.5 ? -t : t;
}

/* ---- jackknife ---- */

double stats_jackknife(size_t B, const double *pairs, double value, const double *without, size_t stride,
                       double *sum_of_squares, double *part, size_t step)
{
    double N = 0, shift = 0;
    *sum_of_squares = 0;
    for (size_t b = 0; b < B; b++)
        N += pairs[b];
    /* the header's sum for corrected - theta, without the cancellation of its large terms */
    for (size_t b = 0; b < B; b++)
        if (pairs[b] > 0)
            shift += (1 - pairs[b] / N) * (value - without[b * stride]);
    for (size_t b = 0; b < B; b++) {
        double h1 = N / pairs[b] - 1, away = h1 * (value - without[b * stride]) - shift;
        double x = pairs[b] > 0 ? away / sqrt(h1) : 0;
        *sum_of_squares += x * x;
        if (part)
            part[b * step] = x;
    }
    return shift;
}

enum { MANY_BLOCKS = 20 };

double stats_effective(size_t B, const double *pairs)
{
    double N = 0, squares = 0;
    for (size_t b = 0; b < B; b++) {
        N += pairs[b];
        squares += pairs[b] * pairs[b];
    }
    return N > 0 ? N * N / squares : 0;
}

static _Thread_local struct {
    double nu, quantile;
} last_quantile = {NAN, NAN};

/* The statistics of a class and delay share their blocks and so the quantile, which takes 10 us to solve. */
static double upper_quantile(double nu)
{
    if (nu != last_quantile.nu)
        last_quantile.quantile = sg_stats_t_quantile(0.975, nu), last_quantile.nu = nu;
    return last_quantile.quantile;
}

static void set_ends(sg_interval *out, double variance, double effective)
{
    double reach = upper_quantile(effective - 1) * sqrt(variance + 0.1 * out->bias * out->bias);
    out->error = sqrt(variance);
    out->low = out->value - out->bias - reach;
    out->high = out->value - out->bias + reach;
}

void sg_stats_jackknife(sg_interval *out, size_t B, const double *pairs, double value, const double *without,
                        size_t stride)
{
    *out = (sg_interval){value, NAN, NAN, NAN, NAN, NULL};
    double effective = stats_effective(B, pairs);
    if (!(effective > 0))
        out->missing = "no pairs";
    else if (B < SG_STATS_MIN_BLOCKS)
        out->missing = "fewer than 5 blocks, too few for an interval";
    else if (B >= MANY_BLOCKS && !(effective >= 8))
        out->missing = "pairs concentrated in fewer than 8 effective blocks, too few for an interval";
    else if (!(effective >= 3))
        out->missing = "pairs concentrated in fewer than 3 effective blocks, too few for an interval";
    if (out->missing)
        return;
    double square, shift = stats_jackknife(B, pairs, value, without, stride, &square, NULL, 0);
    if (!isfinite(value) || !isfinite(shift)) {
        out->missing = "not finite, or not without one of the blocks";
        return;
    }
    size_t g = 0;
    for (size_t b = 0; b < B; b++)
        g += pairs[b] > 0;
    out->bias = -shift;
    set_ends(out, square / (double)g, effective);
}

void sg_stats_jackknife_parts(sg_interval *out, size_t B, const double *pairs, double value,
                              const double *without, size_t stride, size_t parts, const double *part_pairs,
                              const double *part_without, size_t part_stride)
{
    sg_stats_jackknife(out, B, pairs, value, without, stride);
    if (out->missing || parts <= B)
        return;
    double square, effective = stats_effective(B, pairs),
                   longer = stats_effective(parts, part_pairs) / effective;
    size_t g = 0;
    for (size_t f = 0; f < parts; f++)
        g += part_pairs[f] > 0;
    stats_jackknife(parts, part_pairs, value, part_without, part_stride, &square, NULL, 0);
    double of_blocks = out->error * out->error, of_parts = square / (double)g;
    if (!(longer >= 1.5) || !(of_parts > 0))
        return;
    if (of_blocks > of_parts * sqrt(longer)) {
        *out = (sg_interval){value, NAN, NAN,
                             NAN,   NAN, "the variance still grows with the length of the blocks"};
        return;
    }
    if (of_blocks > of_parts)
        set_ends(out, of_blocks + (of_blocks - of_parts) / (longer - 1), effective);
}

void sg_stats_clamp(sg_interval *x, double least, double most)
{
    if (isnan(x->low))
        return;
    const double rounding = 1e-9 * fabs(x->value);
    if (x->high < least - rounding || x->low > most + rounding) {
        *x = (sg_interval){
            x->value, NAN, NAN,
            NAN,      NAN, "the corrected interval lies outside the possible values: too much noise"};
        return;
    }
    x->low = fmin(fmax(x->low, least), most);
    x->high = fmin(fmax(x->high, least), most);
}

/* ---- sorting, quantiles, many tests ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void stats_sort(size_t n, double *x)
{
    if (n > 1)
        qsort(x, n, sizeof *x, ascending);
}

double stats_quantile(size_t n, const double *x, double p)
{
    double position = p * (double)(n - 1);
    size_t i = (size_t)position;
    if (i + 1 >= n)
        return x[n - 1];
    return x[i] + (position - (double)i) * (x[i + 1] - x[i]);
}

/* Puts the order statistic i in its place, none above it before and none below it after (Hoare). */
static void place_statistic(size_t n, double *x, size_t i)
{
    size_t low = 0, high = n - 1;
    while (low < high) {
        const double pivot = x[low + (high - low) / 2];
        size_t a = low, b = high;
        for (;; a++, b--) {
            while (x[a] < pivot)
                a++;
            while (x[b] > pivot)
                b--;
            if (a >= b)
                break;
            double swap = x[a];
            x[a] = x[b], x[b] = swap;
        }
        if (i <= b)
            high = b;
        else
            low = b + 1;
    }
}

double stats_quantile_of(size_t n, double *x, double p)
{
    const size_t i = (size_t)(p * (double)(n - 1));
    place_statistic(n, x, i);
    if (i + 1 < n) { /* the next one is the least of the rest */
        size_t next = i + 1;
        for (size_t j = i + 2; j < n; j++)
            next = x[j] < x[next] ? j : next;
        double swap = x[i + 1];
        x[i + 1] = x[next], x[next] = swap;
    }
    return stats_quantile(n, x, p);
}

typedef struct {
    double p;
    size_t at;
} ranked;

static int by_p(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return (x->p > y->p) - (x->p < y->p);
}

sg_status sg_stats_adjust(size_t n, const double *p, double *adjusted, sg_error *err)
{
    ranked *r = sg_calloc(n, sizeof *r);
    if (!r)
        return no_memory(err, "%zu p-values", n);
    size_t tests = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isnan(p[i]))
            r[tests++] = (ranked){p[i], i};
        adjusted[i] = NAN;
    }
    if (tests > 1)
        qsort(r, tests, sizeof *r, by_p);
    double least = 1;
    for (size_t rank = tests; rank > 0; rank--) {
        least = fmin(least, r[rank - 1].p * (double)tests / (double)rank);
        adjusted[r[rank - 1].at] = least;
    }
    sg_free(r);
    return SG_OK;
}
