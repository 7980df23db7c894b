/* SPDX-License-Identifier: MIT */
#include "helpers/naive_gradient.h"
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "gradient/single.h"

#include <time.h>

#define N_CELLS sg_cell_count()

/* A model without embedding whose state lives long enough to be worth a gradient. */
static sg_model *random_model(sg_cell cell, size_t layers, size_t E, const size_t *H, uint64_t seed)
{
    sg_error err;
    sg_model *m = NULL;
    sg_model_shape shape = {.cell = cell, .layers = layers, .embedding = E};
    for (size_t l = 0; l < layers; l++)
        shape.hidden[l] = H[l];
    assert_ok(sg_model_new(&m, &shape, NULL, &err), err);
    sg_model_init_uniform(m, 1.6f / sqrtf((float)H[0]), seed);
    return m;
}

static float *random_features(size_t n, uint64_t seed)
{
    sg_rng r;
    sg_rng_seed(&r, seed, 0);
    float *x = calloc(n, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)sg_rng_normal(&r);
    return x;
}

static void naive_feed(naive *n, const float *x, size_t E, bool zero)
{
    double *d = calloc(E, sizeof *d);
    for (size_t e = 0; e < E; e++)
        d[e] = (double)x[e];
    naive_step(n, d, zero);
    free(d);
}

static size_t kinds(sg_cell cell)
{
    return sg_cell_states(cell);
}

/* The reference itself, against central differences of its own states. */
static void reference_agrees_with_differences(void **state)
{
    (void)state;
    enum { E = 3, T = 6 };
    const size_t H[] = {5, 4};
    for (size_t c = 0; c < N_CELLS; c++) {
        sg_model *m = random_model((sg_cell)c, 2, E, H, 11 + c);
        float *x = random_features(T * E, 5);
        for (size_t s = 0; s < T; s++)
            for (size_t e = 0; e < E; e++) {
                naive *run[3];
                double eps = 1e-5;
                for (int k = 0; k < 3; k++) {
                    run[k] = naive_new(m, T);
                    for (size_t t = 0; t < T; t++) {
                        double in[E];
                        for (size_t i = 0; i < E; i++)
                            in[i] = (double)x[t * E + i] + (t == s && i == e ? (k - 1) * eps : 0);
                        naive_step(run[k], in, false);
                    }
                }
                for (size_t l = 1; l <= 2; l++)
                    for (size_t kind = 1; kind <= 2; kind++) {
                        if (!(kinds((sg_cell)c) & kind))
                            continue;
                        const double *up = naive_state(run[2], l, kind), *down = naive_state(run[0], l, kind);
                        const double *G = naive_get(run[1], l, kind, s);
                        for (size_t j = 0; j < H[l - 1]; j++)
                            assert_close(G[j * E + e], (up[j] - down[j]) / (2 * eps), 1e-6, 1e-2,
                                         "difference", j);
                    }
                for (int k = 0; k < 3; k++)
                    naive_free(run[k]);
            }
        free(x);
        sg_model_free(m);
    }
}

/* Every G of the one-step-at-a-time interface, at every step, delay, layer and state. */
static void one_step_at_a_time(void **state)
{
    (void)state;
    enum { T = 17 };
    const size_t H[] = {19, 23, 6}, Es[] = {1, 7, 40}, Ds[] = {1, 5, 30};
    sg_error err;
    for (size_t c = 0; c < N_CELLS; c++)
        for (size_t v = 0; v < 3; v++) {
            size_t E = Es[v], D = Ds[(v + c) % 3], L = 1 + v;
            sg_model *m = random_model((sg_cell)c, L, E, H, 100 + c);
            float *x = random_features(T * E, 7), G[23 * 40];
            naive *n = naive_new(m, T);
            sg_gradient *g = NULL;
            assert_ok(sg_gradient_new(&g, m, D, &err), err);
            for (size_t t = 0; t < T; t++) {
                assert_ok(sg_gradient_step(g, 0, x + t * E, &err), err);
                naive_feed(n, x + t * E, E, false);
                for (size_t l = 1; l <= L; l++)
                    for (size_t kind = 1; kind <= 2; kind++)
                        for (size_t d = 0; d < D + 2 && (kinds((sg_cell)c) & kind); d++) {
                            sg_gradient_get(g, l, kind, d, G);
                            const double *want = d < D && d <= t ? naive_get(n, l, kind, t - d) : NULL;
                            double scale = 0;
                            for (size_t i = 0; want && i < H[l - 1] * E; i++)
                                scale = fmax(scale, fabs(want[i]));
                            for (size_t i = 0; i < H[l - 1] * E; i++)
                                assert_close(G[i], want ? want[i] : 0, 2e-5, scale, "G", i);
                        }
            }
            sg_gradient_reset(g);
            assert_ok(sg_gradient_step(g, 0, x, &err), err);
            sg_gradient_get(g, 1, SG_STATE_HIDDEN, 1, G);
            assert_true(G[0] == 0);
            sg_gradient_free(g);
            naive_free(n);
            free(x);
            sg_model_free(m);
        }
}

static void constructors_survive_lack_of_memory(void **state)
{
    (void)state;
    const size_t H[] = {3, 2};
    sg_model *m = random_model(SG_CELL_GRU_RESET_FIRST, 2, 2, H, 1);
    sg_error err;
    long live = sg_alloc_live();
    for (long n = 0;; n++) {
        sg_gradient *g = NULL;
        sg_alloc_fail_after(n);
        sg_status st = sg_gradient_new(&g, m, 3, &err);
        sg_alloc_fail_after(-1);
        sg_gradient_free(g);
        assert_int_equal(sg_alloc_live(), live);
        if (st == SG_OK)
            break;
        assert_int_equal(st, SG_ENOMEM);
        assert_null(g);
    }
    sg_gradient *g = NULL;
    assert_int_equal(sg_gradient_new(&g, m, 0, &err), SG_EINVAL);
    sg_model_free(m);
}

static bool stop(void *calls, const sg_progress *p)
{
    ++*(int *)calls;
    assert_true(p->done == 3 && p->total == 9);
    return false;
}

/* Within a step, whose cost grows with the delays; after a reset all goes on. */
static void a_step_can_be_stopped(void **state)
{
    (void)state;
    const size_t H[] = {3};
    int calls = 0;
    const sg_monitor monitor = {.tick = stop, .ctx = &calls};
    const float x[2] = {0.5f, -1};
    sg_model *m = random_model(SG_CELL_LSTM, 1, 2, H, 1);
    sg_gradient *g = NULL;
    sg_error err;
    float before[6], after[6];
    assert_ok(sg_gradient_new(&g, m, 3, &err), err);
    assert_ok(sg_gradient_step(g, 0, x, &err), err);
    sg_gradient_get(g, 1, SG_STATE_CELL, 0, before);
    ticker watch = ticker_begin(&monitor, "differentiating", 9);
    nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL); /* it is told at most ten times per second */
    assert_int_equal(gradient_step_watched(g, 0, x, &watch, 3, &err), SG_ECANCELLED);
    assert_int_equal(calls, 1);
    sg_gradient_reset(g);
    assert_ok(sg_gradient_step(g, 0, x, &err), err);
    sg_gradient_get(g, 1, SG_STATE_CELL, 0, after);
    assert_memory_equal(before, after, sizeof before);
    sg_gradient_free(g);
    sg_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_agrees_with_differences),
        cmocka_unit_test(one_step_at_a_time),
        cmocka_unit_test(a_step_can_be_stopped),
        cmocka_unit_test(constructors_survive_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
