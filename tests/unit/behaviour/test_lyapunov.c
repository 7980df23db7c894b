/* SPDX-License-Identifier: MIT */
/* Lyapunov exponents of systems whose exponents are known. */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "behaviour/lyapunov.h"

#include <math.h>

enum { H = 4, E = 2, CHUNK = 50 };

/* Runs a model over random inputs and gives the exponents. */
static void exponents(const sg_model *m, size_t K, size_t steps, double scale, double *lambda)
{
    sg_error err;
    sg_forward *f = NULL;
    lyapunov *y = NULL;
    sg_rng rng;
    float x[CHUNK * E];
    uint64_t n = 0;
    sg_rng_seed(&rng, 1, 0);
    assert_ok(forward_new(&f, m, CHUNK, &err), err);
    assert_ok(lyapunov_new(&y, m, K, 1, &err), err);
    for (size_t k = 0; k < K; k++)
        lambda[k] = 0;
    for (size_t at = 0; at < steps; at += CHUNK) {
        for (size_t i = 0; i < CHUNK * E; i++)
            x[i] = (float)(scale * sg_rng_normal(&rng));
        assert_ok(forward_run(f, NULL, x, NULL, CHUNK, &err), err);
        for (size_t i = 0; i < CHUNK; i++)
            assert_ok(lyapunov_step(y, f, i, &err), err);
        if (at == 0) { /* the first columns are random: a start, not the system */
            double start[H * 2] = {0};
            lyapunov_take(y, start);
        } else
            n += lyapunov_take(y, lambda);
    }
    for (size_t k = 0; k < K; k++)
        lambda[k] /= (double)n;
    lyapunov_free(y), forward_free(f);
}

static sg_model *network(sg_cell cell)
{
    sg_error err;
    sg_model *m = NULL;
    sg_model_shape shape = {.cell = cell, .layers = 1, .embedding = E, .hidden = {H}};
    assert_ok(sg_model_new(&m, &shape, NULL, &err), err);
    return m;
}

/* h = relu(W h + x + b), resting at 10, never reaches the kink: a linear system, lambda_k = ln
 * |eigenvalue_k|. W = R diag(e) R' for a rotation R. */
static void a_linear_system(void **state)
{
    static const double e[H] = {0.9, -0.6, 0.35, 0.1};
    double R[H][H], lambda[H];
    sg_model *m = network(SG_CELL_RELU);
    for (size_t i = 0; i < H; i++)
        for (size_t j = 0; j < H; j++) /* a reflection of the axes, orthogonal */
            R[i][j] = (i == j) - 2.0 * 0.25;
    float *W = sg_model_find(m, "rnn.weight_hh_l0")->data;
    for (size_t i = 0; i < H; i++)
        for (size_t j = 0; j < H; j++) {
            double sum = 0;
            for (size_t k = 0; k < H; k++)
                sum += R[i][k] * e[k] * R[j][k];
            W[i * H + j] = (float)sum;
        }
    for (size_t i = 0; i < H; i++) { /* h = 10 is where it rests */
        float *b = &sg_model_find(m, "rnn.bias_ih_l0")->data[i];
        *b = 10;
        for (size_t j = 0; j < H; j++)
            *b -= 10 * W[i * H + j];
    }
    exponents(m, H, 600, 0.01, lambda);
    for (size_t k = 0; k < H; k++)
        assert_close(lambda[k], log(fabs(e[k])), 1e-3, 1e-3, "lambda", k);
    sg_model_free(m);
}

/* A unit that is kept unchanged has exponent 0; a forget gate of f alone has ln f. */
static void an_lstm_that_keeps(void **state)
{
    double lambda[2 * H];
    sg_model *m = network(SG_CELL_LSTM);
    float *b = sg_model_find(m, "rnn.bias_ih_l0")->data;
    const double f[H] = {0.999999, 0.8, 0.5, 0.2};
    for (size_t i = 0; i < H; i++)
        b[H + i] = (float)log(f[i] / (1 - f[i]));
    exponents(m, H, 600, 1, lambda);
    for (size_t k = 0; k < H; k++)
        assert_close(lambda[k], log(f[k]), 1e-3, 1e-4, "lambda", k);
    sg_model_free(m);
}

/* A state that forgets everything at every step: nothing is left of a change, which counts as e^-80. */
static void a_state_that_keeps_nothing(void **state)
{
    double lambda[H];
    sg_model *m = network(SG_CELL_TANH);
    exponents(m, H, 200, 1, lambda);
    for (size_t k = 0; k < H; k++)
        assert_close(lambda[k], -80, 1e-9, 0, "lambda", k);
    sg_model_free(m);
}

/* A wide tanh network with strong weights is chaotic, with weak ones it is not (Sompolinsky et al. 1988). */
static void strong_weights_are_chaotic(void **state)
{
    double strong, weak;
    sg_error err;
    for (int which = 0; which < 2; which++) {
        sg_model *m = NULL;
        sg_rng rng;
        const size_t wide = 80;
        sg_model_shape shape = {.cell = SG_CELL_TANH, .layers = 1, .embedding = E, .hidden = {wide}};
        assert_ok(sg_model_new(&m, &shape, NULL, &err), err);
        sg_rng_seed(&rng, 2, 0);
        for (size_t i = 0; i < wide * wide; i++)
            sg_model_find(m, "rnn.weight_hh_l0")->data[i] =
                (float)((which ? 0.5 : 3.0) / sqrt((double)wide) * sg_rng_normal(&rng));
        exponents(m, 1, 1000, 0.1, which ? &weak : &strong);
        sg_model_free(m);
    }
    print_message("lambda_1: %.3f strong, %.3f weak\n", strong, weak);
    assert_true(strong > 0.05 && weak < -0.3);
}

static void bad_sizes_and_allocations(void **state)
{
    sg_error err;
    lyapunov *y = NULL;
    sg_model *m = network(SG_CELL_GRU);
    assert_int_equal(lyapunov_new(&y, m, 0, 1, &err), SG_EINVAL);
    assert_int_equal(lyapunov_new(&y, m, H + 1, 1, &err), SG_EINVAL);
    long before = sg_alloc_live();
    sg_status st = SG_ENOMEM;
    for (long allowed = 0; st != SG_OK; allowed++) {
        sg_alloc_fail_after(allowed);
        st = lyapunov_new(&y, m, 2, 1, &err);
        sg_alloc_fail_after(-1);
        assert_true(st == SG_OK || (st == SG_ENOMEM && !y && sg_alloc_live() == before));
        assert_true(allowed < 100);
    }
    lyapunov_free(y);
    sg_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_linear_system),
        cmocka_unit_test(an_lstm_that_keeps),
        cmocka_unit_test(a_state_that_keeps_nothing),
        cmocka_unit_test(strong_weights_are_chaotic),
        cmocka_unit_test(bad_sizes_and_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
