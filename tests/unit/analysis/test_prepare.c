/* SPDX-License-Identifier: MIT */
/* What is known before the pass, of arrays small enough to compute it by hand: covariance factor, counts, the
 * forecast. */
#include "helpers/test_util.h"

#include "analysis/prepare.h"
#include "base/base_internal.h"
#include "stategrad/analysis.h"

enum { T = 600, E = 3, H = 5 };

static float x[T * E];

typedef struct {
    sg_model *m;
    sg_stream *s;
    sg_classes *k;
    sg_analysis_config cfg;
} inputs;

/* Features with unequal variances, of which the third follows the first; every third token in class a. */
static void make(inputs *in)
{
    sg_error err = {""};
    const char *names[] = {"a"};
    static bool member[T];
    sg_model_shape shape = {.cell = SG_CELL_LSTM, .layers = 1, .embedding = E, .hidden = {H}};
    sg_rng r;
    sg_rng_seed(&r, 5, 0);
    for (size_t t = 0; t < T; t++) {
        x[t * E] = (float)sg_rng_normal(&r);
        x[t * E + 1] = 3 * (float)sg_rng_normal(&r) + 1;
        x[t * E + 2] = x[t * E] + 0.1f * (float)sg_rng_normal(&r);
        member[t] = t % 3 == 0;
    }
    assert_ok(sg_model_new(&in->m, &shape, NULL, &err), err);
    assert_ok(sg_classes_from_names(&in->k, names, 1, NULL, &err), err);
    assert_ok(sg_stream_from_ids(&in->s, NULL, NULL, T, member, NULL, in->k, &err), err);
    sg_analysis_defaults(&in->cfg, in->m);
    in->cfg.features = x, in->cfg.delays = 4, in->cfg.threads = 1, in->cfg.replace = SG_REPLACE_NONE;
    in->cfg.lyapunov = 0;
}

static void drop(inputs *in)
{
    sg_stream_free(in->s);
    sg_classes_free(in->k);
    sg_model_free(in->m);
}

static void prepared(analysis *an, const inputs *in)
{
    sg_error err = {""};
    *an = (analysis){0};
    assert_ok(analysis_prepare(an, in->m, in->s, in->k, &in->cfg, NULL, &err), err);
}

/* L L^T is the sample covariance of the rows, by its definition. */
static void the_factor_is_that_of_the_covariance(void **state)
{
    inputs in;
    analysis an;
    double mean[E] = {0}, Sigma[E][E] = {{0}};
    make(&in);
    for (size_t i = 0; i < T * E; i++)
        mean[i % E] += (double)x[i] / T;
    for (size_t t = 0; t < T; t++)
        for (size_t i = 0; i < E; i++)
            for (size_t j = 0; j < E; j++)
                Sigma[i][j] += ((double)x[t * E + i] - mean[i]) * ((double)x[t * E + j] - mean[j]) / (T - 1);
    prepared(&an, &in);
    for (size_t i = 0; i < E; i++)
        for (size_t j = 0; j < E; j++) {
            double sum = 0;
            for (size_t k = 0; k < E; k++)
                sum += an.L[0][i * E + k] * an.L[0][j * E + k];
            assert_close(sum, Sigma[i][j], 1e-10, 1, "L L^T", i * E + j);
            if (j > i)
                assert_true(an.L[0][i * E + j] == 0);
        }
    analysis_free(&an);
    in.cfg.normalize = false;
    prepared(&an, &in);
    for (size_t i = 0; i < E * E; i++)
        assert_true(an.L[0][i] == (i % (E + 1) == 0));
    analysis_free(&an);
    drop(&in);
}

static void rows_that_do_not_vary_have_no_factor(void **state)
{
    inputs in;
    analysis an;
    make(&in);
    for (size_t i = 0; i < T * E; i++)
        x[i] = 0;
    prepared(&an, &in);
    assert_non_null(strstr(an.factor_missing[0], "equal"));
    assert_true(isnan(an.L[0][0]));
    analysis_free(&an);
    drop(&in);
}

static void tokens_of_classes_are_counted(void **state)
{
    inputs in;
    analysis an;
    make(&in);
    prepared(&an, &in);
    assert_int_equal(an.C, 2);
    assert_int_equal(an.class_tokens[0], T);
    assert_int_equal(an.class_tokens[1], T / 3);
    uint64_t sum = 0;
    for (size_t i = 0; i < an.sets; i++)
        sum += an.set_count[i];
    assert_int_equal(sum, T);
    assert_int_equal(an.n_states, 1);
    assert_string_equal(an.groups[0].name, "layer1.cell");
    analysis_free(&an);
    drop(&in);
}

static sg_analysis_estimate forecast_of(const inputs *in)
{
    sg_error err = {""};
    sg_analysis_estimate e;
    assert_ok(sg_analysis_forecast(&e, &in->cfg, in->m, in->s, in->k, &err), err);
    return e;
}

/* doc/method.md, section 2: 4 H^2 E per origin and token of an LSTM, of D - 1 origins. */
static void the_forecast_counts_operations(void **state)
{
    inputs in;
    make(&in);
    const double D = (double)in.cfg.delays;
    const sg_analysis_estimate all = forecast_of(&in);
    assert_close(all.flops, 4.0 * H * H * E * (D - 1) * T, 1e-12, 0, "flops", 0);
    assert_true(all.seconds > 0 && all.memory > 0 && all.run_file_bytes > 0 && all.scratch_bytes > 0);
    in.cfg.sample = T / 4;
    assert_close(forecast_of(&in).flops, all.flops / 4, 1e-12, 0, "a quarter of the origins", 0);
    in.cfg.sample = 0, in.cfg.untrained_baseline = true;
    assert_close(forecast_of(&in).flops, 2 * all.flops, 1e-12, 0, "two models", 0);
    in.cfg.untrained_baseline = false, in.cfg.delays = 7;
    assert_close(forecast_of(&in).flops, all.flops * 2, 1e-12, 0, "six steps for three", 0);
    drop(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_factor_is_that_of_the_covariance),
        cmocka_unit_test(rows_that_do_not_vary_have_no_factor),
        cmocka_unit_test(tokens_of_classes_are_counted),
        cmocka_unit_test(the_forecast_counts_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
