/* SPDX-License-Identifier: MIT */
/* Contrasts of two estimates: exact numbers against a direct computation, error rates where A and B have the
 * same law. */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "stategrad/stats.h"

#define close_to(a, b, tol) assert_close(a, b, tol, 1e-12, "number", (size_t)0)
enum { B = 20, SPLIT = 4, F = B * SPLIT };

/* Sums and pairs of two classes by part of a block; the replicates of their logarithmic means. */
typedef struct {
    double sum[2][F], pairs[2][F];
    double weight[2][B + F], without[2][B + F], value[2];
} draws;

static void replicate(draws *x, int k)
{
    double sum = 0, pairs = 0;
    for (size_t f = 0; f < F; f++)
        sum += x->sum[k][f], pairs += x->pairs[k][f];
    x->value[k] = log(sum / pairs);
    for (size_t b = 0; b < B + F; b++) {
        size_t from = b < B ? b * SPLIT : b - B, to = b < B ? from + SPLIT : from + 1;
        double s = 0, n = 0;
        for (size_t f = from; f < to; f++)
            s += x->sum[k][f], n += x->pairs[k][f];
        x->weight[k][b] = n, x->without[k][b] = log((sum - s) / (pairs - n));
    }
}

/* shared: the standard deviation of what a block does to both; own: of each part alone. */
static void draw(draws *x, sg_rng *rng, double shared, double own, double ratio)
{
    for (size_t f = 0; f < F; f++) {
        static double block;
        if (f % SPLIT == 0)
            block = shared * sg_rng_normal(rng);
        for (int k = 0; k < 2; k++) {
            x->pairs[k][f] = (k ? 40 : 100) * (0.5 + sg_rng_uniform(rng));
            double mean = (k ? 1 : ratio) * exp(block + own * sg_rng_normal(rng));
            x->sum[k][f] = x->pairs[k][f] * mean;
        }
    }
    replicate(x, 0), replicate(x, 1);
}

static sg_replicates side(const draws *x, int k, size_t parts)
{
    return (sg_replicates){x->value[k], B, parts, x->weight[k], x->without[k]};
}

/* u_b of the header */
static void parts_of(double u[B], const draws *x, int k)
{
    double N = 0, v[B], mean = 0;
    for (size_t b = 0; b < B; b++)
        N += x->weight[k][b];
    for (size_t b = 0; b < B; b++)
        v[b] = (1 - x->weight[k][b] / N) * (x->value[k] - x->without[k][b]), mean += v[b] / B;
    for (size_t b = 0; b < B; b++)
        u[b] = sqrt(B / (B - 1.)) * (v[b] - mean);
}

static void numbers(void **state)
{
    sg_rng rng;
    draws x;
    sg_rng_seed(&rng, 3, 0);
    for (int i = 0; i < 20; i++) {
        double u[2][B], paired = 0, alone = 0;
        sg_contrast c, d;
        draw(&x, &rng, 0.3, 0.1, 1.2);
        parts_of(u[0], &x, 0), parts_of(u[1], &x, 1);
        for (size_t b = 0; b < B; b++)
            paired += (u[0][b] - u[1][b]) * (u[0][b] - u[1][b]),
                alone += u[0][b] * u[0][b] + u[1][b] * u[1][b];
        sg_replicates a = side(&x, 0, 0), b = side(&x, 1, 0);
        sg_stats_contrast(&c, &a, &b, true), sg_stats_contrast(&d, &a, &b, false);
        close_to(c.x.error, sqrt(paired), 1e-9);
        close_to(d.x.error, sqrt(alone), 1e-9);
        close_to(c.x.value, x.value[0] - x.value[1], 1e-12);
        double equal[B];
        for (size_t k = 0; k < B; k++)
            equal[k] = 3;
        sg_interval one;
        sg_stats_jackknife(&one, B, equal, x.value[0], x.without[0], 1);
        sg_replicates only = {x.value[0], B, 0, equal, x.without[0]}, zero = {0, B, 0, equal, (double[B]){0}};
        sg_stats_contrast(&d, &only, &zero, true); /* against a constant: the interval of one */
        close_to(d.x.low, one.low, 1e-9);
        close_to(d.x.high, one.high, 1e-9);
        sg_contrast swapped;
        sg_stats_contrast(&swapped, &b, &a, true);
        close_to(swapped.x.low, -c.x.high, 1e-9);
        close_to(swapped.p, c.p, 1e-9);
        assert_true((c.p < 0.05) == (c.x.low > 0 || c.x.high < 0));
    }
}

typedef struct {
    double covered, rejected, width, given;
} rates;

static rates many(bool paired, size_t parts, double shared, double own)
{
    enum { TIMES = 2000 };
    sg_rng rng;
    rates r = {0};
    sg_rng_seed(&rng, 11, 0);
    for (int i = 0; i < TIMES; i++) {
        draws x;
        sg_contrast c;
        draw(&x, &rng, shared, own, 1);
        if (!paired) { /* another text for B */
            draws y;
            draw(&y, &rng, shared, own, 1);
            memcpy(x.weight[1], y.weight[1], sizeof x.weight[1]),
                memcpy(x.without[1], y.without[1], sizeof x.without[1]);
            x.value[1] = y.value[1];
        }
        sg_replicates a = side(&x, 0, parts), b = side(&x, 1, parts);
        sg_stats_contrast(&c, &a, &b, paired);
        if (c.x.missing)
            continue;
        r.given++, r.covered += c.x.low <= 0 && c.x.high >= 0, r.rejected += c.p < 0.05,
            r.width += c.x.high - c.x.low;
    }
    r.covered /= r.given, r.rejected /= r.given, r.width /= r.given, r.given /= TIMES;
    printf(
        "%-10s parts %3zu, shared %.2g, own %.2g: given %.1f %%, covered %.1f %%, rejected %.1f %%, width %.3g\n",
        paired ? "paired" : "not paired", parts, shared, own, 100 * r.given, 100 * r.covered,
        100 * r.rejected, r.width);
    return r;
}

static void error_rates(void **state)
{
    static const double own[] = {0.02, 0.2};
    for (size_t i = 0; i < 2; i++) {
        rates r[] = {many(true, 0, 0.3, own[i]), many(true, F, 0.3, own[i]), many(false, 0, 0.3, own[i])};
        for (size_t k = 0; k < 3; k++) {
            if (!(r[k].covered >= 0.93 && r[k].covered <= 0.975 && r[k].rejected <= 0.07))
                fail_msg("setting %zu: covered %g, rejected %g", k, r[k].covered, r[k].rejected);
        }
        assert_true(r[1].given > 0.9);
        assert_true(r[0].width < 0.7 * r[2].width);
    }
}

static void missing(void **state)
{
    sg_rng rng;
    draws x;
    sg_contrast c;
    sg_rng_seed(&rng, 5, 0);
    draw(&x, &rng, 0.1, 0.1, 1);
    sg_replicates a = side(&x, 0, 0), few = {x.value[1], 4, 0, x.weight[1], x.without[1]};
    sg_stats_contrast(&c, &a, &few, false);
    assert_true(isnan(c.x.low) && isnan(c.p) && c.x.missing && strstr(c.x.missing, "fewer than 5 blocks"));
    sg_stats_contrast(&c, &a, &a, true); /* of itself: nothing is uncertain */
    assert_true(c.x.value == 0 && c.p == 1 && c.x.low == 0 && c.x.high == 0);
}

static void over_models(void **state)
{
    const double x[] = {1, 2, 4}, y[] = {0.5, 1.1};
    sg_contrast c;
    /* by hand: means 7/3 and 0.8; s^2/n 7/9 and 0.09; Welch's freedom 0.8678^2 / (0.7778^2/2 + 0.09^2) */
    sg_stats_models_contrast(&c, 3, x, 2, y, false);
    double v = 7. / 9 + 0.09, nu = v * v / (49. / 81 / 2 + 0.09 * 0.09);
    close_to(c.x.value, 7. / 3 - 0.8, 1e-12);
    close_to(c.x.error, sqrt(v), 1e-12);
    close_to(c.freedom, nu, 1e-12);
    close_to(c.x.high - c.x.value, sg_stats_t_quantile(0.975, nu) * sqrt(v), 1e-9);
    sg_stats_models_contrast(&c, 2, x, 2, y, true); /* differences 0.5, 0.9 */
    close_to(c.x.error, 0.2, 1e-9);
    close_to(c.freedom, 1, 1e-12);
    sg_stats_models_contrast(&c, 1, x, 2, y, false);
    assert_true(isnan(c.p) && c.x.missing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(error_rates),
        cmocka_unit_test(missing),
        cmocka_unit_test(over_models),
    };
    return cmocka_run_group_tests_name("contrast", tests, NULL, NULL);
}
