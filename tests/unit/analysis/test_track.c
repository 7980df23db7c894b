/* SPDX-License-Identifier: MIT */
/* Properties of a finished run: against products of the run's own matrices made here, and against the same
 * properties given to the analysis. */
#include "helpers/small_run.h"

enum { C = 3, CD = C * SMALL_D, E = SMALL_E, H = SMALL_H };

#define EVEN "w00,w02,w04,w06,w08,w10,w12,w14,w16,w18,w20,w22"
#define ODD "w01,w03,w05,w07,w09,w11,w13,w15,w17,w19,w21,w23"

/* The mean embedding of words first, first + 2, ..., n of them, minus that of the words after them. */
static void difference(const double *X, size_t first, size_t n, double *out)
{
    for (size_t e = 0; e < E; e++) {
        out[e] = 0;
        for (size_t i = 0; i < n; i++)
            out[e] += (X[(first + 2 * i) * E + e] - X[(first + 2 * i + 1) * E + e]) / (double)n;
    }
}

/* |G delta| / |L^-1 delta|: the gain along L n, whose n = L^-1 delta / |L^-1 delta|. */
static double gain(const double *G, const double *L, const double *delta)
{
    double n[E], square = 0, out = 0;
    for (size_t i = 0; i < E; i++) {
        n[i] = delta[i];
        for (size_t j = 0; j < i; j++)
            n[i] -= L[i * E + j] * n[j];
        n[i] /= L[i * E + i];
        square += n[i] * n[i];
    }
    for (size_t h = 0; h < H; h++) {
        double sum = 0;
        for (size_t e = 0; e < E; e++)
            sum += G[h * E + e] * delta[e];
        out += sum * sum;
    }
    return sqrt(out / square);
}

static void gains_are_products(void **state)
{
    (void)state;
    small_run s;
    sg_error err = {""};
    char out[300];
    size_t n;
    const sg_property properties[] = {
        {"two", "w04,w06", "w05,w07"}, {"unknown", "gnu", "w05"}, {"class", "even", "three"}};
    small_run_new(&s, "even", "three");
    const char *path = small_run_write(&s, "run.nc");
    snprintf(out, sizeof out, "%s/tracked.nc", tmp.folder);
    assert_ok(sg_track(path, out, properties, 3, 1, NULL, &err), err);
    sg_run *r = opened(out);
    double *X = numbers(r, NULL, "embedding_matrix", &n),
           *L = numbers(r, NULL, "embedding_covariance_factor", &n),
           *G = numbers(r, "layer1.cell", "mean_gradient", &n),
           *got = numbers(r, "layer1.cell", "property_gain", &n),
           *sigma = numbers(r, "layer1.cell", "singular_value", &n),
           *relative = numbers(r, "layer1.cell", "relative_memory", &n), delta[3][E];
    assert_int_equal(n, 3 * CD);
    difference(X, 4, 2, delta[0]);
    size_t tokens[2] = {0};
    for (size_t i = 0; i < TOKENS; i++)
        tokens[0] += s.ids[i] % 2 == 0, tokens[1] += s.ids[i] % 3 == 0;
    memset(delta[2], 0, sizeof delta[2]);
    for (size_t i = 0; i < TOKENS; i++) /* means over the tokens of the classes */
        for (size_t e = 0; e < E; e++)
            delta[2][e] += X[(size_t)s.ids[i] * E + e] * ((s.ids[i] % 2 == 0) / (double)tokens[0] -
                                                          (s.ids[i] % 3 == 0) / (double)tokens[1]);
    for (size_t i = 0; i < CD; i++) {
        assert_close(got[i], gain(G + i * H * E, L, delta[0]), 1e-5, 1e-9, "property_gain", i);
        assert_close(relative[i], got[i] / sigma[i * E], 1e-5, 1e-9, "relative_memory", i);
        assert_true(isnan(got[CD + i]));
    }
    for (size_t i = 0; i < CD; i++)
        assert_close(got[2 * CD + i], gain(G + i * H * E, L, delta[2]), 1e-5, 1e-9,
                     "property_gain of classes", i);
    assert_non_null(
        strstr(sg_run_variable_attribute(r, NULL, "property_vector", "missing_reason"), "unknown"));
    sg_free(X), sg_free(L), sg_free(G), sg_free(got), sg_free(sigma), sg_free(relative);
    sg_run_close(r);
    small_run_free(&s);
}

/* Every variable, with intervals from blocks and words, in place; of an untrained copy too. */
static void tracked_is_analysed(void **state)
{
    (void)state;
    small_run s;
    sg_error err = {""};
    const sg_property side = {"side", EVEN, ODD};
    size_t n, there = 0;
    small_run_new(&s, "even", "three");
    s.cfg.untrained_baseline = true, s.cfg.block_gram = SG_GRAM_YES;
    const char *path = small_run_write(&s, "run.nc");
    assert_ok(sg_track(path, path, &side, 1, 1, NULL, &err), err);
    s.cfg.properties = &side, s.cfg.n_properties = 1;
    sg_run *tracked = opened(path), *analysed = opened(small_run_write(&s, "analysed.nc"));
    assert_true(assert_same_groups(tracked, analysed, 2e-4) > 2 * 60);
    double *low = numbers(tracked, "layer1.cell", "property_gain_low", &n);
    for (size_t i = 0; i < n; i++)
        there += !isnan(low[i]);
    assert_true(there > 0);
    sg_free(low);
    sg_run_close(tracked);
    sg_run_close(analysed);
    small_run_free(&s);
}

static void without_gram_no_interval(void **state)
{
    (void)state;
    small_run s;
    sg_error err = {""};
    const sg_property side = {"side", EVEN, ODD};
    size_t n;
    small_run_new(&s, "even", "three");
    s.cfg.block_gram = SG_GRAM_NO;
    const char *path = small_run_write(&s, "run.nc");
    assert_ok(sg_track(path, path, &side, 1, 1, NULL, &err), err);
    sg_run *r = opened(path);
    double *x = numbers(r, "layer1.cell", "property_gain", &n),
           *low = numbers(r, "layer1.cell", "property_gain_low", &n);
    for (size_t i = 0; i < n; i++)
        assert_true(x[i] > 0 && isnan(low[i]));
    assert_non_null(strstr(sg_run_variable_attribute(r, "layer1.cell", "property_gain_low", "missing_reason"),
                           "block_gram"));
    sg_free(x), sg_free(low);
    sg_run_close(r);
    assert_int_equal(sg_track(path, path, &side, 1, 1, NULL, &err), SG_EINVAL); /* it is there by now */
    assert_non_null(strstr(err.msg, "side"));
    small_run_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gains_are_products),
        cmocka_unit_test(tracked_is_analysed),
        cmocka_unit_test(without_gram_no_interval),
    };
    return cmocka_run_group_tests_name("track", tests, set_up, tear_down);
}
