/* SPDX-License-Identifier: MIT */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "stategrad/stats.h"
#include "stats/stats_internal.h"

/* The square of a mean over n blocks of equal size has a bias; the jackknife takes it off, to the letter:
 * theta_J = n theta - (n-1) mean(theta_-b), pseudo_b = n theta - (n-1) theta_-b, and a tenth of the bias
 * counts as error. */
static void a_biased_statistic_is_moved(void **state)
{
    enum { BLOCKS = 20 };
    double x[BLOCKS], pairs[BLOCKS], without[BLOCKS], sum = 0, mean = 0, corrected, square = 0;
    sg_rng rng;
    sg_interval got;
    sg_rng_seed(&rng, 4, 0);
    for (size_t b = 0; b < BLOCKS; b++)
        sum += x[b] = 0.3 + sg_rng_normal(&rng), pairs[b] = 7;
    for (size_t b = 0; b < BLOCKS; b++)
        mean += (without[b] = pow((sum - x[b]) / (BLOCKS - 1), 2)) / BLOCKS;
    double value = pow(sum / BLOCKS, 2);
    corrected = BLOCKS * value - (BLOCKS - 1) * mean;
    for (size_t b = 0; b < BLOCKS; b++)
        square += pow(BLOCKS * value - (BLOCKS - 1) * without[b] - corrected, 2) / (BLOCKS - 1) / BLOCKS;
    sg_stats_jackknife(&got, BLOCKS, pairs, value, without, 1);
    double bias = value - corrected, reach = 2.093024 * sqrt(square + bias * bias / 10);
    assert_true(fabs(bias) > 0.1 * sqrt(square));
    assert_close(got.bias, bias, 1e-9, 0, "bias", 0);
    assert_close(got.error, sqrt(square), 1e-9, 0, "error", 0);
    assert_close(got.low, corrected - reach, 1e-6, 1e-6, "low", 0);
    assert_close(got.high, corrected + reach, 1e-6, 1e-6, "high", 0);
}

static void quantiles_lie_between_their_neighbours(void **state)
{
    const double x[] = {0, 1, 2, 3, 10};
    static const double p[] = {0, 0.1, 0.5, 0.9, 1}, want[] = {0, 0.4, 2, 7.2, 10};
    for (size_t i = 0; i < 5; i++)
        assert_close(stats_quantile(5, x, p[i]), want[i], 1e-12, 1e-12, "quantile", i);
}

/* The same double: no tolerance. Values that repeat, one value, and one alone. */
static void quantiles_without_sorting_are_those_of_sorted_values(void **state)
{
    sg_rng rng;
    sg_rng_seed(&rng, 3, 0);
    for (size_t n = 1; n < 400; n += 1 + n / 9)
        for (uint64_t different = 1; different < 2000; different *= 12) {
            double x[400], y[400];
            for (size_t i = 0; i < n; i++)
                x[i] = y[i] = (double)sg_rng_below(&rng, different);
            stats_sort(n, y);
            for (size_t k = 0; k <= 40; k++)
                assert_true(stats_quantile_of(n, x, (double)k / 40) == stats_quantile(n, y, (double)k / 40));
            stats_sort(n, x);
            assert_memory_equal(x, y, n * sizeof *x);
        }
}

static void t_quantiles_match_the_tables(void **state)
{
    /* two-sided 95 % points from printed tables of Student's t */
    static const double nu[] = {1, 2, 5, 10, 19, 30, 120},
                        t[] = {12.706205, 4.302653, 2.570582, 2.228139, 2.093024, 2.042272, 1.979930};
    for (size_t i = 0; i < 7; i++) {
        assert_close(sg_stats_t_quantile(0.975, nu[i]), t[i], 2e-7, 0, "t", i);
        assert_close(sg_stats_t_quantile(0.025, nu[i]), -t[i], 2e-7, 0, "-t", i);
        assert_close(sg_stats_t_p(t[i], nu[i]), 0.05, 1e-6, 0, "p", i);
    }
    assert_close(sg_stats_t_quantile(0.975, 1e7), 1.959964, 1e-6, 0, "normal", 0);
    /* nu = 1 is Cauchy: tan(pi (p - 1/2)) */
    assert_close(sg_stats_t_quantile(0.9999, 1), tan(M_PI * 0.4999), 1e-9, 0, "Cauchy", 0);
    assert_true(fabs(sg_stats_t_quantile(0.5, 7)) < 1e-6);
    /* I_x(2,3) = x^2 (6 - 8x + 3x^2) */
    for (double x = 0.05; x < 1; x += 0.1)
        assert_close(stats_beta(x, 2, 3), x * x * (6 - 8 * x + 3 * x * x), 1e-13, 0, "beta", 100 * x);
}

/* For a weighted mean of block means the unequal jackknife has a closed form: no bias, and pseudo_b = the
 * block's mean. */
static void jackknife_of_a_mean(void **state)
{
    enum { B = 24 };
    double n[B], x[B], without[B], N = 0, sum = 0;
    sg_rng rng;
    sg_rng_seed(&rng, 3, 0);
    for (size_t b = 0; b < B; b++) {
        n[b] = b == 5 ? 0 : 1 + sg_rng_below(&rng, 9);
        x[b] = b == 5 ? NAN : sg_rng_normal(&rng);
        N += n[b];
        sum += b == 5 ? 0 : n[b] * x[b];
    }
    double mean = sum / N, square = 0, squares = 0;
    for (size_t b = 0; b < B; b++) {
        without[b] = b == 5 ? NAN : (sum - n[b] * x[b]) / (N - n[b]);
        if (b != 5)
            square += (x[b] - mean) * (x[b] - mean) / (N / n[b] - 1);
        squares += n[b] * n[b];
    }
    sg_interval got;
    sg_stats_jackknife(&got, B, n, mean, without, 1);
    assert_null(got.missing);
    double error = sqrt(square / (B - 1)), reach = error * sg_stats_t_quantile(0.975, N * N / squares - 1);
    assert_close(got.bias, 0, 1e-12, 1, "bias", 0);
    assert_close(got.error, error, 1e-12, 0, "error", 0);
    assert_close(got.low, mean - reach, 1e-12, 0, "low", 0);
    assert_close(got.high, mean + reach, 1e-12, 0, "high", 0);
}

/* The plug-in variance (1/n) sum (x-mean)^2 has bias -s^2/n; the jackknife removes it exactly (Quenouille
 * 1956). */
static void jackknife_removes_the_bias_of_the_plug_in_variance(void **state)
{
    enum { B = 20 };
    double n[B], x[B], without[B], sum = 0, square = 0;
    sg_rng rng;
    sg_rng_seed(&rng, 4, 0);
    for (size_t b = 0; b < B; b++) {
        n[b] = 7;
        x[b] = sg_rng_normal(&rng);
        sum += x[b];
        square += x[b] * x[b];
    }
    double plug_in = square / B - sum * sum / (B * B);
    for (size_t b = 0; b < B; b++) {
        double s = sum - x[b], q = square - x[b] * x[b];
        without[b] = q / (B - 1) - s * s / ((B - 1) * (B - 1));
    }
    sg_interval got;
    sg_stats_jackknife(&got, B, n, plug_in, without, 1);
    assert_close(got.value - got.bias, plug_in * B / (B - 1), 1e-12, 0, "unbiased variance", 0);
    sg_stats_clamp(&got, 0, plug_in);
    assert_true(got.low >= 0 && got.high == plug_in);
    /* corrected to below what is possible: no interval, never one of a single point */
    got = (sg_interval){.value = 0.002, .bias = 0.01, .error = 0.001, .low = -0.012, .high = -0.004};
    sg_stats_clamp(&got, 0, INFINITY);
    assert_true(isnan(got.low) && isnan(got.high) && isnan(got.bias) && got.value == 0.002);
    assert_non_null(strstr(got.missing, "outside the possible values"));
    got = (sg_interval){.value = 1, .low = 1 + 1e-15, .high = 1 + 2e-15};
    sg_stats_clamp(&got, 0, 1);
    assert_true(got.low == 1 && got.high == 1 && !got.missing);
}

/* The mean of 800 numbers that follow their predecessors by phi, over 20 blocks and over 80 parts of them:
 * how many of 600 intervals are given, and hold 0. */
static void mean_of_dependent(double phi, bool with_parts, double *given, double *covered)
{
    enum { B = 20, F = 80, LENGTH = 10, RUNS = 600 };
    sg_rng rng;
    sg_rng_seed(&rng, 11, 0);
    *given = *covered = 0;
    for (size_t run = 0; run < RUNS; run++) {
        double sum[F] = {0}, total = 0, block[B] = {0}, n[B], part_n[F], x = sg_rng_normal(&rng);
        for (size_t f = 0; f < F; f++)
            for (size_t i = 0; i < LENGTH; i++) {
                x = phi * x + sqrt(1 - phi * phi) * sg_rng_normal(&rng);
                sum[f] += x;
            }
        for (size_t f = 0; f < F; f++)
            total += sum[f], block[f * B / F] += sum[f], part_n[f] = LENGTH;
        for (size_t f = 0; f < F; f++)
            sum[f] = (total - sum[f]) / (LENGTH * (F - 1));
        for (size_t b = 0; b < B; b++)
            n[b] = LENGTH * F / B, block[b] = (total - block[b]) / (LENGTH * (F - F / B));
        sg_interval got;
        sg_stats_jackknife_parts(&got, B, n, total / (LENGTH * F), block, 1, with_parts ? F : 0, part_n, sum,
                                 1);
        if (got.missing) {
            assert_non_null(strstr(got.missing, "still grows"));
            continue;
        }
        ++*given;
        *covered += got.low <= 0 && got.high >= 0;
    }
    *covered /= *given;
    *given /= RUNS;
}

static void growing_variance_widens_or_withholds(void **state)
{
    static const double phi[] = {0, 0.8, 0.95};
    double given[3], covered[3], plain[3], always;
    for (size_t i = 0; i < 3; i++) {
        mean_of_dependent(phi[i], false, &always, &plain[i]);
        mean_of_dependent(phi[i], true, &given[i], &covered[i]);
        print_message("phi %.2f: plain covers %.1f %%; compared: given %.1f %%, covers %.1f %%\n", phi[i],
                      100 * plain[i], 100 * given[i], 100 * covered[i]);
    }
    assert_true(given[0] > 0.98 && covered[0] > 0.93 && covered[0] < 0.985);
    assert_true(covered[1] > plain[1] && covered[1] > 0.91 && given[1] > 0.9);
    assert_true(given[2] < 0.25); /* a memory of 39 numbers in blocks of 40 */
}

/* Parts as long as the blocks, or fewer of them: nothing to compare. */
static void too_few_parts_change_nothing(void **state)
{
    double n[24], without[24];
    sg_interval plain, got;
    for (size_t b = 0; b < 24; b++)
        n[b] = b < 20 ? 2 : 0, without[b] = b * 0.1;
    sg_stats_jackknife(&plain, 20, n, 1, without, 1);
    sg_stats_jackknife_parts(&got, 20, n, 1, without, 1, 24, n, without, 1); /* four of them are empty */
    assert_memory_equal(&got, &plain, sizeof got);
    sg_stats_jackknife_parts(&got, 20, n, 1, without, 1, 0, NULL, NULL, 0);
    assert_memory_equal(&got, &plain, sizeof got);
}

static void what_cannot_be_known_is_missing_with_a_reason(void **state)
{
    double n[30], without[30];
    sg_interval got;
    for (size_t b = 0; b < 30; b++)
        n[b] = 1, without[b] = b;
    sg_stats_jackknife(&got, 4, n, 1, without, 1);
    assert_non_null(strstr(got.missing, "5 blocks"));
    assert_true(isnan(got.error) && isnan(got.low) && isnan(got.high) && isnan(got.bias) && got.value == 1);
    without[3] = INFINITY;
    sg_stats_jackknife(&got, 30, n, 1, without, 1);
    assert_non_null(strstr(got.missing, "not finite"));
    n[7] = 1e6;
    sg_stats_jackknife(&got, 30, n, 1, without, 1);
    assert_non_null(strstr(got.missing, "concentrated"));
    memset(n, 0, sizeof n);
    sg_stats_jackknife(&got, 30, n, 1, without, 1);
    assert_string_equal(got.missing, "no pairs");
    sg_stats_clamp(&got, 0, 1);
    assert_true(isnan(got.low));
}

static void several_models(void **state)
{
    (void)state;
    const double x[] = {2, 4, 9}, low[] = {1, 3, 5}, high[] = {4, 5, 12};
    sg_over_models m;
    sg_stats_over_models(&m, 3, x, low, high);
    double reach =
        4.30265272991 * sqrt((9 + 1 + 16) / 2.0 / 3); /* t of 2 degrees of freedom, from the table */
    assert_true(fabs(m.mean - 5) < 1e-12);
    assert_true(fabs(m.low - (5 - reach)) < 1e-8);
    assert_true(fabs(m.high - (5 + reach)) < 1e-8);
    assert_true(fabs(m.blocks_low - 3) < 1e-12);
    assert_true(fabs(m.blocks_high - 7) < 1e-12);
    sg_stats_over_models(&m, 1, x, low, high);
    assert_true(m.mean == 2 && isnan(m.low) && isnan(m.high) && m.blocks_low == 1 && m.blocks_high == 4);
    const double gap[] = {2, NAN, 9};
    sg_stats_over_models(&m, 3, gap, gap, high);
    assert_true(isnan(m.mean) && isnan(m.low) && isnan(m.high) && isnan(m.blocks_low) && m.blocks_high == 7);
}

static void adjusted_p_values(void **state)
{
    /* worked by hand: n = 5 tests; p rank n/rank: .005*5/1, .009*5/2, .02*5/3, .5*5/4, .6*5/5 */
    double p[] = {0.02, NAN, 0.005, 0.5, 0.009, 0.6}, q[6];
    static const double want[] = {0.1 / 3, 0, 0.0225, 0.6, 0.0225, 0.6};
    sg_error err;
    assert_ok(sg_stats_adjust(6, p, q, &err), err);
    for (size_t i = 0; i < 6; i++) {
        if (i != 1)
            assert_close(q[i], want[i], 1e-12, 0, "adjusted", i);
    }
    assert_true(isnan(q[1]));
    assert_ok(sg_stats_adjust(6, p, p, &err), err);
    assert_memory_equal(p, q, sizeof p);
    assert_ok(sg_stats_adjust(0, NULL, NULL, &err), err);
}

static void random_directions(void **state)
{
    enum { E = 10, DRAWS = 40000 };
    sg_rng rng;
    sg_error err;
    sg_rng_seed(&rng, 5, 0);
    double mean, low, high, gain_mean, gain_low, gain_high, ones[3] = {2, 2, 2};
    for (size_t k = 1; k <= 7; k += 3) {
        double sum = 0, below = 0, above = 0;
        sg_stats_random_cosine(k, E, &mean, &low, &high);
        for (size_t i = 0; i < DRAWS; i++) {
            double part = 0, whole = 0;
            for (size_t j = 0; j < E; j++) {
                double z = sg_rng_normal(&rng);
                whole += z * z;
                part += j < k ? z * z : 0;
            }
            double c = sqrt(part / whole);
            sum += c / DRAWS;
            below += c < low;
            above += c > high;
        }
        assert_close(sum, mean, 0.005, 0, "mean cosine", k);
        assert_close(below / DRAWS, 0.025, 0.05, 0, "below", k);
        assert_close(above / DRAWS, 0.025, 0.05, 0, "above", k);
    }
    sg_stats_random_cosine(E, E, &mean, &low, &high);
    assert_true(mean == 1 && low == 1 && high == 1);
    /* equal singular values: the gain is the cosine with their subspace */
    sg_stats_random_cosine(3, E, &mean, &low, &high);
    assert_ok(sg_stats_random_gain(3, ones, E, 1, &gain_mean, &gain_low, &gain_high, &err), err);
    assert_close(gain_mean, mean, 0.01, 0, "gain mean", 0);
    assert_close(gain_low, low, 0.05, 0, "gain low", 0);
    assert_close(gain_high, high, 0.02, 0, "gain high", 0);
    ones[0] = 0;
    assert_ok(sg_stats_random_gain(3, ones, E, 1, &gain_mean, &gain_low, &gain_high, &err), err);
    assert_true(isnan(gain_mean));
    assert_int_equal(sg_stats_random_gain(3, ones, 2, 1, &gain_mean, &gain_low, &gain_high, &err), SG_EINVAL);
}

enum { D = 40 };

static void curve(double y[D], sg_decay_law law, double scale, double rate, double shape)
{
    for (size_t d = 0; d < D; d++)
        y[d] = scale * (law == SG_DECAY_EXPONENTIAL ? exp(-(double)d / rate)
                        : law == SG_DECAY_POWER     ? (d ? pow(d, -rate) : 1.5)
                                                    : exp(-pow(d / rate, shape)));
}

static void each_law_is_found_with_its_parameters(void **state)
{
    static const double rate[] = {7, 1.3, 2}, shape[] = {1, 1, 0.4};
    double y[D], error[D];
    sg_error err;
    sg_decay got;
    for (int law = 0; law < SG_DECAY_LAWS; law++) {
        curve(y, law, 3, rate[law], shape[law]);
        assert_ok(sg_stats_decay(&got, D, y, NULL, 0, NULL, NULL, &err), err);
        assert_null(got.missing);
        assert_int_equal(got.best, law);
        assert_int_equal(got.points, D - 1);
        assert_close(got.fit[law].rate, rate[law], 1e-5, 0, "exact rate", law);
        assert_close(got.fit[law].scale, 3, 1e-5, 0, "exact scale", law);
        if (law == SG_DECAY_STRETCHED)
            assert_close(got.fit[law].shape, shape[law], 1e-5, 0, "exact shape", law);
        /* noise of 5 %, errors that grow with the delay, one wild point that its error excuses */
        sg_rng rng;
        sg_rng_seed(&rng, 6, law);
        for (size_t d = 0; d < D; d++) {
            error[d] = y[d] * (0.02 + 0.003 * d);
            y[d] += error[d] * sg_rng_normal(&rng);
        }
        y[20] *= 3, error[20] = 1000 * y[20];
        assert_ok(sg_stats_decay(&got, D, y, error, 0, NULL, NULL, &err), err);
        assert_int_equal(got.best, law);
        assert_true(got.fit[law].weight > 0.6);
        assert_close(got.fit[law].rate, rate[law], 0.1, 0, "noisy rate", law);
        assert_close(got.fit[0].weight + got.fit[1].weight + got.fit[2].weight, 1, 1e-12, 0, "weights", law);
        if (law != SG_DECAY_STRETCHED)
            assert_true(fabs(got.fit[law].rate - rate[law]) < 4 * got.fit[law].rate_error);
    }
}

/* AICc by its textbook formula (Burnham and Anderson 2002, 2.2.3 and 2.4): the variance is a parameter too;
 * the residual is the root of the weighted mean square, weights of mean 1; few points, so that each term
 * counts. */
static void the_criterion_is_aicc(void **state)
{
    enum { POINTS = 8 };
    double y[POINTS + 1], error[POINTS + 1];
    sg_error err;
    sg_decay got;
    sg_rng rng;
    sg_rng_seed(&rng, 8, 0);
    for (size_t d = 0; d <= POINTS; d++) {
        y[d] = 2 * exp(-0.3 * d) * exp(0.2 * sg_rng_normal(&rng));
        error[d] = y[d] * (0.1 + 0.05 * d);
    }
    assert_ok(sg_stats_decay(&got, POINTS + 1, y, error, 0, NULL, NULL, &err), err);
    double total = 0, square = 0, least = INFINITY, sum = 0, aic[SG_DECAY_LAWS];
    for (size_t d = 1; d <= POINTS; d++)
        total += pow(y[d] / error[d], 2) / POINTS;
    for (size_t d = 1; d <= POINTS; d++) {
        double away =
            log(y[d] / got.fit[SG_DECAY_EXPONENTIAL].scale) + d / got.fit[SG_DECAY_EXPONENTIAL].rate;
        square += pow(y[d] / error[d], 2) / total * away * away / POINTS;
    }
    assert_close(got.fit[SG_DECAY_EXPONENTIAL].residual, sqrt(square), 1e-9, 0, "residual", 0);
    for (int law = 0; law < SG_DECAY_LAWS; law++) {
        double K = law == SG_DECAY_STRETCHED ? 4 : 3; /* scale, rate, variance; shape */
        aic[law] = POINTS * log(pow(got.fit[law].residual, 2)) + 2 * K + 2 * K * (K + 1) / (POINTS - K - 1);
        assert_close(got.fit[law].aic, aic[law], 1e-9, 0, "AICc", law);
        least = fmin(least, aic[law]);
    }
    for (int law = 0; law < SG_DECAY_LAWS; law++)
        sum += exp((least - aic[law]) / 2);
    for (int law = 0; law < SG_DECAY_LAWS; law++)
        assert_close(got.fit[law].weight, exp((least - aic[law]) / 2) / sum, 1e-9, 1e-12, "Akaike weight",
                     law);
}

/* 150 noisy power laws of 20 blocks whose error is shared by all delays of a block: the jackknife's error of
 * alpha is the real scatter of alpha, the least-squares one is not. */
static void block_errors_tell_the_real_scatter(void **state)
{
    enum { B = 20, RUNS = 150 };
    double n[B], block[B][D], without[B * D], y[D], error[D], sum = 0, square = 0, told = 0, naive = 0;
    sg_error err;
    sg_rng rng;
    sg_rng_seed(&rng, 7, 0);
    for (size_t run = 0; run < RUNS; run++) {
        memset(y, 0, sizeof y);
        for (size_t b = 0; b < B; b++) {
            double tilt = 0.1 * sg_rng_normal(&rng);
            n[b] = 10;
            for (size_t d = 0; d < D; d++) {
                block[b][d] = pow(1 + d, -1 + tilt) * (1 + 0.05 * sg_rng_normal(&rng));
                y[d] += block[b][d] / B;
            }
        }
        for (size_t d = 0; d < D; d++) {
            for (size_t b = 0; b < B; b++)
                without[b * D + d] = (y[d] * B - block[b][d]) / (B - 1);
            sg_interval x;
            sg_stats_jackknife(&x, B, n, y[d], without + d, D);
            error[d] = x.error;
        }
        sg_decay got;
        assert_ok(sg_stats_decay(&got, D, y, error, B, n, without, &err), err);
        double alpha = got.fit[SG_DECAY_POWER].rate;
        sum += alpha / RUNS;
        square += alpha * alpha / RUNS;
        told += got.fit[SG_DECAY_POWER].rate_error / RUNS;
        assert_true(got.left[0].error > 0);
        assert_ok(sg_stats_decay(&got, D, y, error, 0, NULL, NULL, &err), err);
        naive += got.fit[SG_DECAY_POWER].rate_error / RUNS;
    }
    double scatter = sqrt(square - sum * sum);
    print_message("scatter of alpha %.4f, told by the block jackknife %.4f, by the fit alone %.4f\n", scatter,
                  told, naive);
    assert_close(told, scatter, 0.1, 0, "error of alpha", 0);
}

static void half_life_and_bad_series(void **state)
{
    double y[D];
    sg_error err;
    sg_decay got;
    char text[400];
    curve(y, SG_DECAY_EXPONENTIAL, 1, 10, 1);
    assert_ok(sg_stats_decay(&got, D, y, NULL, 0, NULL, NULL, &err), err);
    assert_close(got.left[0].value, 10 * log(2), 1e-12, 0, "half-life", 0);
    sg_decay_sentence(text, sizeof text, "sigma_1", "word", &got);
    assert_non_null(strstr(text, "the law of sigma_1 is undecided (no blocks, so no errors)"));
    assert_non_null(strstr(
        text, "half of its value at delay 0 is left 6.9 words later, 20 % after 16.1, 10 % after 23.0"));
    curve(y, SG_DECAY_POWER, 1, 1.3, 1);
    assert_ok(sg_stats_decay(&got, D, y, NULL, 0, NULL, NULL, &err), err);
    sg_decay_sentence(text, sizeof text, "sigma_1", "word", &got);
    assert_non_null(strstr(text, "half of its value at delay 0 is left 1.3 words later, "));

    assert_ok(sg_stats_decay(&got, 6, y, NULL, 0, NULL, NULL, &err), err);
    assert_non_null(strstr(got.missing, "fewer than 6"));
    assert_true(isnan(got.fit[0].rate) && isnan(got.fit[1].weight) && got.left[0].value > 0);
    for (size_t d = 0; d < D; d++)
        y[d] = 2;
    assert_ok(sg_stats_decay(&got, D, y, NULL, 0, NULL, NULL, &err), err);
    assert_string_equal(got.missing, "the series is constant");
    assert_non_null(strstr(got.left[0].missing, "never below half"));
    assert_true(isnan(got.left[0].value) && isnan(got.fit[2].scale));
    sg_decay_sentence(text, sizeof text, "sum", "word", &got);
    assert_string_equal(
        text,
        "sum has no decay law (the series is constant); half-life unknown: never below half of the peak "
        "within the delays analysed");
    for (size_t d = 0; d < D; d++)
        y[d] = 1 + d;
    assert_ok(sg_stats_decay(&got, D, y, NULL, 0, NULL, NULL, &err), err);
    assert_string_equal(got.missing, "the series does not fall with the delay");
    for (size_t d = 0; d < D; d++)
        y[d] = d < 3 ? 1 : d % 2 ? NAN : 0;
    assert_ok(sg_stats_decay(&got, D, y, NULL, 0, NULL, NULL, &err), err);
    assert_non_null(got.missing);
    y[0] = 0;
    assert_ok(sg_stats_decay(&got, 1, y, NULL, 0, NULL, NULL, &err), err);
    assert_string_equal(got.left[0].missing, "nothing at the peak");
    assert_int_equal(sg_stats_decay(&got, 0, y, NULL, 0, NULL, NULL, &err), SG_EINVAL);
}

static void failing_allocations(void **state)
{
    double y[D], error[D], mean, low, high, n[20], without[20 * D], S[] = {2, 1};
    sg_error err;
    sg_decay got;
    curve(y, SG_DECAY_STRETCHED, 1, 3, 0.5);
    for (size_t d = 0; d < D; d++)
        error[d] = 0.1 * y[d];
    for (size_t b = 0; b < 20; b++) {
        n[b] = 1;
        memcpy(without + b * D, y, sizeof y);
    }
    long before = sg_alloc_live();
    for (int which = 0; which < 3; which++) {
        sg_status st = SG_ENOMEM;
        for (long allowed = 0; st != SG_OK; allowed++) {
            sg_alloc_fail_after(allowed);
            st = which == 0   ? sg_stats_decay(&got, D, y, error, 20, n, without, &err)
                 : which == 1 ? sg_stats_adjust(D, y, error, &err)
                              : sg_stats_random_gain(2, S, 3, 1, &mean, &low, &high, &err);
            sg_alloc_fail_after(-1);
            assert_true(st == SG_OK || st == SG_ENOMEM);
            assert_int_equal(sg_alloc_live(), before);
            assert_true(allowed < 100);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(t_quantiles_match_the_tables),
        cmocka_unit_test(a_biased_statistic_is_moved),
        cmocka_unit_test(quantiles_lie_between_their_neighbours),
        cmocka_unit_test(quantiles_without_sorting_are_those_of_sorted_values),
        cmocka_unit_test(jackknife_of_a_mean),
        cmocka_unit_test(jackknife_removes_the_bias_of_the_plug_in_variance),
        cmocka_unit_test(growing_variance_widens_or_withholds),
        cmocka_unit_test(too_few_parts_change_nothing),
        cmocka_unit_test(what_cannot_be_known_is_missing_with_a_reason),
        cmocka_unit_test(several_models),
        cmocka_unit_test(adjusted_p_values),
        cmocka_unit_test(random_directions),
        cmocka_unit_test(each_law_is_found_with_its_parameters),
        cmocka_unit_test(the_criterion_is_aicc),
        cmocka_unit_test(block_errors_tell_the_real_scatter),
        cmocka_unit_test(half_life_and_bad_series),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
