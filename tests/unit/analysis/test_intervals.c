/* SPDX-License-Identifier: MIT */
/* Intervals of one class and delay from replicates that are given: which are given, which are withheld. */
#include "helpers/test_util.h"

#include "analysis/results/intervals.h"

enum { B = 25, E = 3, H = 4, K_MOST = 64 };

static const double identity[E * E] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
static const sp_frame frame = {.H = H, .E = E, .R = E, .L = identity};

typedef struct {
    double pairs[B], values[K_MOST], without[B * K_MOST];
    sg_interval x[K_MOST];
} data;

/* Replicates of sigma_k around value[k], spread[k] apart: block b leaves value + spread sin b. */
static void fill(data *d, const double value[E], const double spread[E])
{
    const size_t K = sp_count(&frame);
    const sp_places at = sp_where(&frame);
    assert_in_range(K, E, K_MOST);
    memset(d, 0, sizeof *d);
    for (size_t b = 0; b < B; b++)
        d->pairs[b] = 100;
    for (size_t i = 0; i < K; i++) {
        d->values[i] = 0.5;
        for (size_t b = 0; b < B; b++)
            d->without[b * K + i] = 0.5 + 1e-6 * sin((double)(b + i));
    }
    for (size_t k = 0; k < E; k++) {
        double mean = 0;
        for (size_t b = 0; b < B; b++)
            mean += sin((double)b) / B;
        d->values[at.S + k] = value[k];
        for (size_t b = 0; b < B; b++)
            d->without[b * K + at.S + k] = value[k] + spread[k] * (sin((double)b) - mean);
    }
    results_intervals(d->x, &frame, B, d->pairs, d->pairs, d->values, d->without, &(results_parts){0});
}

/* Blocks of equal size, replicates without bias: the textbook's delete-one jackknife, error^2 = (B-1)/B sum
 * (x_b - mean)^2, and Student's t with B - 1 degrees of freedom (2.0639 for 24). */
static void the_jackknife_of_the_textbook(void **state)
{
    static data d;
    const double value[E] = {3, 2, 1}, spread[E] = {1e-3, 2e-3, 1e-3};
    const size_t K = sp_count(&frame);
    const sp_places at = sp_where(&frame);
    fill(&d, value, spread);
    for (size_t k = 0; k < E; k++) {
        double mean = 0, sum = 0;
        for (size_t b = 0; b < B; b++)
            mean += d.without[b * K + at.S + k] / B;
        for (size_t b = 0; b < B; b++)
            sum += pow(d.without[b * K + at.S + k] - mean, 2);
        const double error = sqrt(sum * (B - 1) / B);
        const sg_interval *x = &d.x[at.S + k];
        assert_null(x->missing);
        assert_close(x->value, value[k], 0, 0, "value", k);
        assert_close(x->error, error, 1e-9, 0, "error", k);
        assert_close(x->low, value[k] - 2.0638986 * error, 1e-7, 0, "low", k);
        assert_close(x->high, value[k] + 2.0638986 * error, 1e-7, 0, "high", k);
    }
}

static double withheld(const data *d, size_t k)
{
    const sg_interval *x = &d->x[sp_where(&frame).S + k];
    if (x->missing)
        assert_true(isnan(x->low) && isnan(x->high) && isnan(x->error) && !isnan(x->value));
    else
        assert_true(x->low < x->value && x->value < x->high);
    return x->missing != NULL;
}

/* sigma_2 and sigma_3 less than two standard errors of their difference apart: neither has an interval;
 * sigma_1 has. */
static void neighbours_that_cannot_be_distinguished(void **state)
{
    static data d;
    const double spread[E] = {1e-3, 1e-3, 1e-3};
    fill(&d, (double[]){3, 2, 1.999}, spread);
    assert_true(!withheld(&d, 0) && withheld(&d, 1) && withheld(&d, 2));
    fill(&d, (double[]){3, 2, 1.9}, spread);
    assert_true(!withheld(&d, 0) && !withheld(&d, 1) && !withheld(&d, 2));
    fill(&d, (double[]){3, 2.999, 1}, spread);
    assert_true(!withheld(&d, 0) && withheld(&d, 1) && !withheld(&d, 2));
}

/* A positive bias of sigma_1 is taken away, and its low end lies half of it deeper; never below 0. */
static void the_low_end_of_sigma_1(void **state)
{
    static data d;
    const size_t K = sp_count(&frame);
    const sp_places at = sp_where(&frame);
    fill(&d, (double[]){3, 2, 1}, (double[]){1e-3, 1e-3, 1e-3});
    for (size_t b = 0; b < B; b++)
        d.without[b * K + at.S] += 1e-4; /* all replicates are larger: the value of all blocks is biased */
    results_intervals(d.x, &frame, B, d.pairs, d.pairs, d.values, d.without, &(results_parts){0});
    const sg_interval *x = &d.x[at.S];
    const double bias = (B - 1) * 1e-4;
    assert_close(fabs(x->bias), bias, 1e-9, 0, "bias", 0);
    const double reach = 2.0638986 * sqrt(x->error * x->error + 0.1 * bias * bias),
                 centre = x->value - x->bias;
    assert_close(x->high, centre + reach, 1e-7, 0, "high", 0);
    assert_close(x->low, centre - reach - (x->bias > 0 ? 0.5 * bias : 0), 1e-7, 0, "low", 0);
    for (size_t b = 0; b < B; b++)
        d.without[b * K + at.S] = 3 + 3 * sin((double)b);
    results_intervals(d.x, &frame, B, d.pairs, d.pairs, d.values, d.without, &(results_parts){0});
    assert_true(d.x[at.S].low == 0);
}

static void four_blocks_are_too_few(void **state)
{
    static data d;
    fill(&d, (double[]){3, 2, 1}, (double[]){1e-3, 1e-3, 1e-3});
    results_intervals(d.x, &frame, 4, d.pairs, d.pairs, d.values, d.without, &(results_parts){0});
    for (size_t k = 0; k < E; k++)
        assert_true(withheld(&d, k));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_jackknife_of_the_textbook),
        cmocka_unit_test(neighbours_that_cannot_be_distinguished),
        cmocka_unit_test(the_low_end_of_sigma_1),
        cmocka_unit_test(four_blocks_are_too_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
