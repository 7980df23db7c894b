/* SPDX-License-Identifier: MIT */
/* The class test: exact numbers against a direct computation, p-values uniform under the null, power when a
 * class is remembered better or along other directions. */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"
#include "stategrad/stats.h"

enum { H = 8, E = 5, B = 20, SIZE = H * E };

static double sigma_1(const double *M)
{
    double work[SIZE], S[E];
    sg_error err;
    memcpy(work, M, sizeof work);
    assert_ok(la_svd(H, E, work, S, NULL, NULL, &err), err);
    return S[0];
}

typedef struct {
    double share;  /* of the tokens that are in the class */
    double gain;   /* the class's mean gradient is the common one times this */
    double turn;   /* ... plus this much of another direction */
    double noise;  /* per entry and token */
    bool heavy;    /* sizes of tokens log-normal, sigma = 1 */
    size_t tokens; /* of a block */
} setting;

/* Tokens whose noise is autocorrelated (0.5) and whose block has a level of its own; labels by coin. */
static void draw(sg_rng *rng, const setting *s, double *class_sums, double *class_pairs, double *all_sums,
                 double *all_pairs)
{
    double noise[SIZE], truth[SIZE], other[SIZE];
    for (size_t i = 0; i < SIZE; i++) {
        truth[i] = cos(1 + i / E) * cos(2 + i % E);
        other[i] = sin(3. * (i / E)) * sin(1 + 2. * (i % E));
        noise[i] = sg_rng_normal(rng) / sqrt(0.75);
    }
    memset(class_sums, 0, B * SIZE * sizeof(double));
    memset(all_sums, 0, B * SIZE * sizeof(double));
    memset(class_pairs, 0, B * sizeof(double));
    for (size_t b = 0; b < B; b++) {
        double level = 1 + 0.3 * sg_rng_normal(rng);
        all_pairs[b] = s->tokens;
        for (size_t t = 0; t < s->tokens; t++) {
            bool in = sg_rng_uniform(rng) < s->share;
            double size = s->heavy ? exp(sg_rng_normal(rng) - 0.5) : 1;
            class_pairs[b] += in;
            for (size_t i = 0; i < SIZE; i++) {
                noise[i] = 0.5 * noise[i] + sg_rng_normal(rng);
                double mean = level * truth[i] * (in ? s->gain : 1) + (in ? s->turn * other[i] : 0);
                double g = size * (mean + s->noise * noise[i]);
                all_sums[b * SIZE + i] += g;
                class_sums[b * SIZE + i] += in ? g : 0;
            }
        }
    }
}

static double *class_sums, *all_sums;
static double class_pairs[B], all_pairs[B];

static void mean_of(const double *sums, const double *pairs, double *mean)
{
    double N = 0;
    for (size_t b = 0; b < B; b++)
        N += pairs[b];
    for (size_t i = 0; i < SIZE; i++) {
        mean[i] = 0;
        for (size_t b = 0; b < B; b++)
            mean[i] += sums[b * SIZE + i] / N;
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The p quantile, between the two neighbours of p (n-1). */
static double quantile(size_t n, const double *x, double p)
{
    double position = p * (n - 1), low = floor(position);
    size_t i = low;
    return i + 1 < n ? (1 - (position - low)) * x[i] + (position - low) * x[i + 1] : x[i];
}

/* With E <= 8 nothing is projected away: p, excess and null band must be those of a plain loop over the same
 * signs, an SVD each. A p-value counts the data as one draw more: it is never 0. */
static void same_as_a_plain_loop(size_t flips, double gain)
{
    const setting s = {0.2, gain, 0, 1, false, 30};
    sg_rng rng, signs;
    sg_error err;
    sg_class_test *test;
    sg_class_p got;
    double *sigma = calloc(flips, sizeof *sigma);
    sg_rng_seed(&rng, 1, 0);
    draw(&rng, &s, class_sums, class_pairs, all_sums, all_pairs);
    assert_ok(sg_class_test_new(&test, B, H, E, flips, 9, &err), err);
    assert_ok(sg_class_test_run(test, &got, class_sums, class_pairs, all_sums, all_pairs, NULL, &err), err);
    sg_class_test_free(test);
    double N = 0, mean[SIZE], sum = 0;
    size_t above = 0, below = 0;
    for (size_t b = 0; b < B; b++)
        N += class_pairs[b];
    mean_of(class_sums, class_pairs, mean);
    double seen = sigma_1(mean);
    sg_rng_seed(&signs, 9, 0);
    for (size_t r = 0; r < flips; r++) {
        double e[B];
        memset(mean, 0, sizeof mean);
        for (size_t b = 0; b < B; b++)
            e[b] = sg_rng_next(&signs) >> 63 ? -1 : 1;
        for (size_t b = 0; b < B; b++)
            for (size_t i = 0; i < SIZE; i++) {
                double expected = class_pairs[b] * all_sums[b * SIZE + i] / all_pairs[b];
                mean[i] += (expected + e[b] * (class_sums[b * SIZE + i] - expected)) / N;
            }
        sigma[r] = sigma_1(mean);
        sum += sigma[r] / flips;
        above += sigma[r] >= seen;
        below += sigma[r] <= seen;
    }
    qsort(sigma, flips, sizeof *sigma, ascending);
    assert_close(got.excess, seen - sum, 1e-6, 1e-6 * seen, "excess", flips);
    assert_close(got.p, fmin(1, 2. * (1 + (above < below ? above : below)) / (1 + flips)), 1e-9, 0, "p",
                 flips);
    assert_close(got.null_low, quantile(flips, sigma, 0.025), 1e-6, 0, "null, low", flips);
    assert_close(got.null_high, quantile(flips, sigma, 0.975), 1e-6, 0, "null, high", flips);
    assert_true(gain < 2 || (!above && got.p > 0));
    free(sigma);
}

/* Sums and L give what sums times L give, with more columns than directions are kept. */
static void a_factor_is_as_good_as_sums_times_it(void **state)
{
    enum { ROWS = 9, COLUMNS = 14, SUMS = B * ROWS * COLUMNS };
    static double own[SUMS], all[SUMS], own_L[SUMS], all_L[SUMS], L[COLUMNS * COLUMNS];
    double pairs[B], of_all[B];
    sg_rng rng;
    sg_error err;
    sg_class_test *test;
    sg_class_p got, want, without;
    sg_rng_seed(&rng, 5, 0);
    for (size_t i = 0; i < SUMS; i++) {
        own[i] = sg_rng_normal(&rng) + 0.5;
        all[i] = own[i] + 2 * sg_rng_normal(&rng);
    }
    for (size_t i = 0; i < COLUMNS * COLUMNS;
         i++) /* stretches some directions twenty times as much as others */
        L[i] = (i % COLUMNS == 3 ? 5 : 0.25) * sg_rng_normal(&rng);
    for (size_t b = 0; b < B; b++)
        pairs[b] = 50 + b, of_all[b] = 200;
    la_dgemm(LA_N, LA_N, B * ROWS, COLUMNS, COLUMNS, 1, own, COLUMNS, L, COLUMNS, 0, own_L, COLUMNS);
    la_dgemm(LA_N, LA_N, B * ROWS, COLUMNS, COLUMNS, 1, all, COLUMNS, L, COLUMNS, 0, all_L, COLUMNS);
    assert_ok(sg_class_test_new(&test, B, ROWS, COLUMNS, 199, 1, &err), err);
    assert_ok(sg_class_test_run(test, &got, own, pairs, all, of_all, L, &err), err);
    assert_ok(sg_class_test_run(test, &want, own_L, pairs, all_L, of_all, NULL, &err), err);
    assert_ok(sg_class_test_run(test, &without, own, pairs, all, of_all, NULL, &err), err);
    sg_class_test_free(test);
    assert_close(got.p, want.p, 1e-12, 0, "p", 0);
    assert_close(got.excess, want.excess, 1e-9, want.null_high, "excess", 0);
    assert_close(got.null_low, want.null_low, 1e-9, 0, "null, low", 0);
    assert_close(got.null_high, want.null_high, 1e-9, 0, "null, high", 0);
    assert_true(fabs(without.null_high - want.null_high) > 1e-3 * want.null_high);
}

static void agrees_with_a_plain_loop(void **state)
{
    same_as_a_plain_loop(4000, 1.1);
    same_as_a_plain_loop(39, 1.1);
    same_as_a_plain_loop(39, 4);
}

typedef struct {
    double rejected, naive, ks;
} outcome;

static bool long_form; /* else the shares of false alarms and of finds are not measured */

static outcome repeat(const setting *s, size_t runs, uint64_t seed)
{
    enum { FLIPS = 199 };
    double p[500], own[SIZE], rest[SIZE], rest_sums[SIZE * B], rest_pairs[B];
    sg_rng rng;
    sg_error err;
    sg_class_test *test;
    sg_class_p got;
    outcome o = {0};
    sg_rng_seed(&rng, seed, 0);
    assert_ok(sg_class_test_new(&test, B, H, E, FLIPS, seed, &err), err);
    for (size_t run = 0; run < runs; run++) {
        draw(&rng, s, class_sums, class_pairs, all_sums, all_pairs);
        assert_ok(sg_class_test_run(test, &got, class_sums, class_pairs, all_sums, all_pairs, NULL, &err),
                  err);
        assert_null(got.missing);
        p[run] = got.p;
        o.rejected += got.p <= 0.05 ? 100. / runs : 0;
        for (size_t b = 0; b < B; b++)
            rest_pairs[b] = all_pairs[b] - class_pairs[b];
        for (size_t i = 0; i < B * SIZE; i++)
            rest_sums[i] = all_sums[i] - class_sums[i];
        mean_of(class_sums, class_pairs, own);
        mean_of(rest_sums, rest_pairs, rest);
        o.naive += sigma_1(own) > sigma_1(rest) ? 100. / runs : 0;
    }
    sg_class_test_free(test);
    qsort(p, runs, sizeof *p, ascending);
    for (size_t i = 0; i < runs; i++)
        o.ks = fmax(o.ks, fmax(p[i] - (double)i / runs - 2. / (FLIPS + 1), (i + 1.) / runs - p[i]));
    return o;
}

static void p_values_are_uniform_under_the_null(void **state)
{
    if (!long_form)
        skip();
    static const setting nulls[] = {
        {0.5, 1, 0, 1, false, 60},  {0.1, 1, 0, 1, false, 60}, {0.1, 1, 0, 8, false, 60},
        {0.05, 1, 0, 3, false, 60}, {0.3, 1, 0, 1, true, 60},  {0.1, 1, 0, 3, true, 60},
    };
    enum { RUNS = 300 };
    bool good = true;
    print_message("share noise sizes    p <= .05   largest distance from uniform   class above rest\n");
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++) {
        outcome o = repeat(&nulls[i], RUNS, 21 + i);
        print_message("%.2f  %4.1f  %s  %6.1f%%   %.3f %30s %6.1f%%\n", nulls[i].share, nulls[i].noise,
                      nulls[i].heavy ? "heavy" : "equal", o.rejected, o.ks, "", o.naive);
        /* 3000 runs gave 4.8 .. 6.5 %: with 300 their 99 % range is 1.5 .. 10; Kolmogorov-Smirnov at 1 %:
         * 0.094 */
        good = good && o.rejected >= 1.5 && o.rejected <= 10 && o.ks < 0.094;
    }
    assert_true(good);
}

static void differences_are_found(void **state)
{
    if (!long_form)
        skip();
    static const setting real[] = {
        {0.5, 1.3, 0, 1, false, 60},
        {0.1, 1.3, 0, 1, false, 60},
        {0.1, 0.7, 0, 1, false, 60},
        {0.1, 1, 1.5, 1, false, 60},
    };
    bool good = true;
    print_message("share  gain  turn   found at 5 %%\n");
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        outcome o = repeat(&real[i], 60, 41 + i);
        print_message("%.2f   %.1f   %.1f   %5.0f%%\n", real[i].share, real[i].gain, real[i].turn,
                      o.rejected);
        good = good && o.rejected >= 80;
    }
    assert_true(good);
}

static void what_cannot_be_tested_is_missing(void **state)
{
    static const setting s = {0.2, 1, 0, 1, false, 30};
    sg_rng rng;
    sg_error err;
    sg_class_test *test;
    sg_class_p got;
    sg_rng_seed(&rng, 3, 0);
    draw(&rng, &s, class_sums, class_pairs, all_sums, all_pairs);
    assert_ok(sg_class_test_new(&test, B, H, E, 99, 1, &err), err);
    assert_ok(sg_class_test_run(test, &got, all_sums, all_pairs, all_sums, all_pairs, NULL, &err), err);
    assert_string_equal(got.missing, "no pairs outside the class");
    for (size_t b = 7; b < B; b++) {
        class_pairs[b] = 0;
        memset(class_sums + b * SIZE, 0, SIZE * sizeof(double));
    }
    assert_ok(sg_class_test_run(test, &got, class_sums, class_pairs, all_sums, all_pairs, NULL, &err), err);
    assert_non_null(strstr(got.missing, "fewer than 8 blocks"));
    assert_true(isnan(got.p) && isnan(got.excess));
    memset(class_pairs, 0, sizeof class_pairs);
    assert_ok(sg_class_test_run(test, &got, class_sums, class_pairs, all_sums, all_pairs, NULL, &err), err);
    assert_string_equal(got.missing, "no pairs in the class");
    draw(&rng, &s, class_sums, class_pairs, all_sums, all_pairs);
    class_sums[7] = NAN;
    assert_int_equal(sg_class_test_run(test, &got, class_sums, class_pairs, all_sums, all_pairs, NULL, &err),
                     SG_ENONFINITE);
    sg_class_test_free(test);
    assert_int_equal(sg_class_test_new(&test, 0, H, E, 99, 1, &err), SG_EINVAL);
    assert_null(test);
    long before = sg_alloc_live();
    sg_status st = SG_ENOMEM;
    for (long allowed = 0; st != SG_OK; allowed++) {
        sg_alloc_fail_after(allowed);
        st = sg_class_test_new(&test, B, H, E, 99, 1, &err);
        sg_alloc_fail_after(-1);
        assert_true(st == SG_OK || (st == SG_ENOMEM && !test && sg_alloc_live() == before));
    }
    sg_class_test_free(test);
    assert_int_equal(sg_alloc_live(), before);
}

/* Not a test of time: says what one class and delay cost at the paper's size. */
static void cost_at_the_papers_size(void **state)
{
    enum { BIG_H = 256, BIG_E = 64, TIMES = 3 };
    sg_rng rng;
    sg_error err;
    sg_class_test *test;
    sg_class_p got;
    size_t n = (size_t)B * BIG_H * BIG_E;
    double *own = sg_calloc(n, sizeof *own), *all = sg_calloc(n, sizeof *all), pairs[B], of_all[B];
    sg_rng_seed(&rng, 9, 0);
    for (size_t i = 0; i < n; i++) {
        own[i] = sg_rng_normal(&rng);
        all[i] = own[i] + 3 * sg_rng_normal(&rng);
    }
    for (size_t b = 0; b < B; b++)
        pairs[b] = 100, of_all[b] = 1000;
    la_serial_begin();
    assert_ok(sg_class_test_new(&test, B, BIG_H, BIG_E, 1000, 1, &err), err);
    double start = sg_clock();
    for (int i = 0; i < TIMES; i++)
        assert_ok(sg_class_test_run(test, &got, own, pairs, all, of_all, NULL, &err), err);
    print_message(
        "256 x 64, 20 blocks, 1000 permutations: %.1f ms a class and delay on one thread (p = %.3f)\n",
        1e3 * (sg_clock() - start) / TIMES, got.p);
    la_serial_end();
    sg_class_test_free(test);
    sg_free(own);
    sg_free(all);
}

/* usage: test_difference [long] */
int main(int argc, char **argv)
{
    (void)argv;
    long_form = argc > 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_factor_is_as_good_as_sums_times_it), cmocka_unit_test(agrees_with_a_plain_loop),
        cmocka_unit_test(p_values_are_uniform_under_the_null),  cmocka_unit_test(differences_are_found),
        cmocka_unit_test(what_cannot_be_tested_is_missing),     cmocka_unit_test(cost_at_the_papers_size),
    };
    class_sums = calloc(B * SIZE, sizeof *class_sums);
    all_sums = calloc(B * SIZE, sizeof *all_sums);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(class_sums);
    free(all_sums);
    return failed;
}
