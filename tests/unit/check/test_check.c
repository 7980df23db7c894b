/* SPDX-License-Identifier: MIT */
/* `check` passes on every kind of model and fails on each planted fault. */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "cell/cell.h"
#include "helpers/planted_faults.h"
#include "stategrad/check.h"

enum { MOST_CELLS = 16, WIDE = 64 };

static sg_model *make_model_of(sg_cell cell, size_t layers, bool features, float range, uint64_t seed)
{
    sg_error err;
    sg_model *m = NULL;
    sg_vocab *vocab = NULL;
    static const char *const words[] = {"<unk>", "<eos>", "a", "b", "c", "d", "e"};
    sg_model_shape shape = {.cell = cell,
                            .layers = layers,
                            .vocabulary = features ? 0 : 7,
                            .embedding = 5,
                            .hidden = {6, 4, 5},
                            .has_decoder = !features,
                            .eos = true};
    if (!features)
        assert_ok(sg_vocab_from_words(&vocab, words, NULL, 7, &err), err);
    assert_ok(sg_model_new(&m, &shape, vocab, &err), err);
    sg_model_init_uniform(m, range, seed);
    sg_vocab_free(vocab);
    return m;
}

static sg_model *make_model(sg_cell cell, size_t layers, bool features, uint64_t seed)
{
    return make_model_of(cell, layers, features, 0.7f, seed);
}

static void passes_on_every_kind_of_model(void **state)
{
    sg_error err;
    double worst[MOST_CELLS] = {0};
    assert_true(sg_cell_count() <= MOST_CELLS);
    for (size_t c = 0; c < sg_cell_count(); c++)
        for (size_t layers = 1; layers <= 3; layers++)
            for (int features = 0; features < 2; features++) {
                sg_model *m = make_model((sg_cell)c, layers, features, 10 * c + layers);
                sg_check_config cfg;
                sg_check_result r;
                sg_check_defaults(&cfg);
                assert_ok(sg_check(&r, m, NULL, &cfg, NULL, &err), err);
                assert_int_equal(r.n, 5 * layers * (sg_cell_states((sg_cell)c) == SG_STATE_BOTH ? 2 : 1));
                for (size_t i = 0; i < r.n; i++) {
                    if (!r.rows[i].pass)
                        fail_msg("%s, layer %zu of %zu, %s: %g at t %zu d %zu", sg_cell_name((sg_cell)c),
                                 r.rows[i].layer, layers, r.rows[i].test, r.rows[i].worst, r.rows[i].t,
                                 r.rows[i].d);
                    worst[c] = fmax(worst[c], r.rows[i].worst);
                }
                assert_int_equal(r.failed, 0);
                sg_check_free(&r);
                sg_model_free(m);
            }
    for (size_t c = 0; c < sg_cell_count(); c++)
        print_message("%-16s largest relative difference %.1e\n", sg_cell_name((sg_cell)c), worst[c]);
}

/* Weights so large that many gates round to 0, 1 or -1 in float32. (Beyond these, states that differ in the
 * last bit of float32 already have other gradients.) */
static void passes_on_saturated_models(void **state)
{
    static const float ranges[] = {2, 4};
    sg_error err;
    size_t failed = 0;
    for (size_t c = 0; c < sg_cell_count(); c++)
        for (size_t k = 0; k < 2 && !cell_of((sg_cell)c)->kinked; k++) {
            double worst = 0;
            for (size_t seed = 0; seed < 10; seed++) {
                sg_model *m = make_model_of((sg_cell)c, 1 + seed % 2, seed % 3 == 0, ranges[k], 40 + seed);
                sg_check_config cfg;
                sg_check_result r;
                sg_check_defaults(&cfg);
                assert_ok(sg_check(&r, m, NULL, &cfg, NULL, &err), err);
                for (size_t i = 0; i < r.n; i++) {
                    worst = fmax(worst, r.rows[i].worst);
                    failed += !r.rows[i].pass;
                    if (!r.rows[i].pass)
                        print_message("%s, weights to %g, seed %zu, layer %zu, %s: %g at t %zu d %zu\n",
                                      sg_cell_name((sg_cell)c), (double)ranges[k], seed, r.rows[i].layer,
                                      r.rows[i].test, r.rows[i].worst, r.rows[i].t, r.rows[i].d);
                }
                sg_check_free(&r);
                sg_model_free(m);
            }
            print_message("%-16s weights to %g: largest relative difference %.1e\n", sg_cell_name((sg_cell)c),
                          (double)ranges[k], worst);
        }
    assert_int_equal(failed, 0);
}

/* A fault must be seen by the differences and by the reverse pass, each on its own, and by the engine's
 * sums. */
static void fails_on_each_planted_fault(void **state)
{
    static const sg_cell cells[] = {SG_CELL_LSTM, SG_CELL_GRU, SG_CELL_GRU_RESET_FIRST, SG_CELL_TANH,
                                    SG_CELL_RELU};
    sg_error err;
    for (size_t c = 0; c < 5; c++)
        for (fault f = NO_FAULT; f < FAULTS; f++) {
            if (f == WRONG_GATE_ORDER && sg_cell_gates(cells[c]) == 1)
                continue; /* one gate has no order */
            sg_model *m = make_model(cells[c], 2, false, 100 + c);
            naive *n = naive_new(m, 12, f);
            sg_check_source source = {naive_step, naive_get, n};
            sg_check_config cfg;
            sg_check_result r;
            sg_check_defaults(&cfg);
            cfg.delays = 12;
            cfg.source = &source;
            assert_ok(sg_check(&r, m, NULL, &cfg, NULL, &err), err);
            size_t failed[3] = {0};
            for (size_t i = 0; i < r.n; i++) {
                failed[0] += !r.rows[i].pass && !strcmp(r.rows[i].test, "differences");
                failed[1] += !r.rows[i].pass && !strcmp(r.rows[i].test, "reverse");
                failed[2] += !r.rows[i].pass &&
                             (!strcmp(r.rows[i].test, "carry") || !strcmp(r.rows[i].test, "window"));
            }
            if (f == NO_FAULT && r.failed)
                fail_msg("%s: the naive recursion without a fault fails %zu tests", sg_cell_name(cells[c]),
                         r.failed);
            for (int test = 0; test < 3; test++)
                if (f != NO_FAULT && !failed[test])
                    fail_msg("%s: %s is not seen by test %d", sg_cell_name(cells[c]), fault_names[f], test);
            sg_check_free(&r);
            naive_free(n);
            sg_model_free(m);
        }
}

static void not_a_number_fails(void **state)
{
    sg_error err;
    sg_model *m = make_model(SG_CELL_TANH, 1, false, 5), *other = make_model(SG_CELL_TANH, 1, false, 5);
    sg_model_find(other, "rnn.weight_hh_l0")->data[3] = NAN; /* the source computes from another model */
    naive *n = naive_new(other, 16, NO_FAULT);
    sg_check_source source = {naive_step, naive_get, n};
    sg_check_config cfg;
    sg_check_result r;
    sg_check_defaults(&cfg);
    cfg.source = &source;
    assert_ok(sg_check(&r, m, NULL, &cfg, NULL, &err), err);
    assert_true(r.failed >= 2);
    assert_true(isinf(r.rows[0].worst));
    sg_check_free(&r);
    naive_free(n);
    sg_model_free(m);
    sg_model_free(other);
}

static void misuse_and_failing_allocations(void **state)
{
    sg_error err;
    sg_check_config cfg;
    sg_check_result r;
    sg_model *m = make_model(SG_CELL_LSTM, 2, false, 6);
    sg_check_defaults(&cfg);
    cfg.delays = 0;
    assert_int_equal(sg_check(&r, m, NULL, &cfg, NULL, &err), SG_EINVAL);
    cfg.delays = 4;
    cfg.steps = 1;
    assert_int_equal(sg_check(&r, m, NULL, &cfg, NULL, &err), SG_EINVAL);
    cfg.steps = 3; /* fewer than delays: as many delays as steps */
    assert_ok(sg_check(&r, m, NULL, &cfg, NULL, &err), err);
    assert_int_equal(r.failed, 0);
    assert_int_equal(r.steps, 3);
    assert_int_equal(r.delays, 3);
    sg_check_free(&r);
    cfg.steps = 6;
    cfg.threads = 1;
    long before = sg_alloc_live();
    sg_status st = SG_ENOMEM;
    for (long allowed = 0; st != SG_OK; allowed++) {
        sg_alloc_fail_after(allowed);
        st = sg_check(&r, m, NULL, &cfg, NULL, &err);
        sg_alloc_fail_after(-1);
        assert_true(st == SG_OK || st == SG_ENOMEM);
        assert_true(st == SG_OK || sg_alloc_live() == before);
        assert_true(allowed < 2000);
    }
    sg_check_free(&r);
    assert_int_equal(sg_alloc_live(), before);
    sg_model_free(m);
}

/* All recurrent and input weights times `by`. */
static sg_model *scaled(sg_cell cell, size_t layers, double by)
{
    sg_error err;
    sg_model *m = NULL;
    sg_model_shape shape = {.cell = cell, .layers = layers, .embedding = 12};
    char name[64];
    for (size_t l = 0; l < layers; l++)
        shape.hidden[l] = WIDE;
    assert_ok(sg_model_new(&m, &shape, NULL, &err), err);
    sg_model_init_uniform(m, 1 / sqrtf(WIDE), 5);
    for (size_t l = 0; l < layers; l++)
        for (int hh = 0; hh < 2; hh++) {
            snprintf(name, sizeof name, "rnn.weight_%s_l%zu", hh ? "hh" : "ih", l);
            sg_tensor *t = (sg_tensor *)sg_model_find(m, name);
            for (size_t i = 0; i < 4 * WIDE * (hh || l ? WIDE : 12); i++)
                t->data[i] *= (float)by;
        }
    return m;
}

static sg_check_growth growth_of(sg_model *m, size_t *failed)
{
    sg_error err;
    sg_check_config cfg;
    sg_check_result r;
    sg_check_defaults(&cfg);
    assert_ok(sg_check(&r, m, NULL, &cfg, NULL, &err), err);
    sg_check_growth g = r.growth;
    *failed = r.failed;
    sg_check_free(&r);
    sg_model_free(m);
    return g;
}

/* An LSTM with weights ten times as large, and four layers with five times as large ones: both pass every
 * test of gradients. */
static void growing_changes_are_told(void **state)
{
    size_t failed;
    sg_check_growth g = growth_of(scaled(SG_CELL_LSTM, 1, 1), &failed);
    assert_true(!failed && g.verdict == SG_GROWTH_NONE && g.steps == SG_GROWTH_STEPS && g.largest < 1);
    g = growth_of(scaled(SG_CELL_LSTM, 1, 10), &failed);
    print_message("LSTM x 10: largest %.3g, left %.3g\n", g.largest, g.left);
    assert_true(!failed && g.verdict == SG_GROWTH_GROWS);
    g = growth_of(scaled(SG_CELL_LSTM, 4, 1), &failed);
    assert_true(!failed && g.verdict == SG_GROWTH_NONE);
    g = growth_of(scaled(SG_CELL_LSTM, 4, 5), &failed);
    print_message("4 layers x 5: largest %.3g, left %.3g\n", g.largest, g.left);
    assert_true(!failed && g.verdict != SG_GROWTH_NONE);
}

/* h = relu(f h + x + b), far above its kink: a change shrinks by f at every step. */
static void a_known_rate(void **state)
{
    static const double rate[] = {0.99, 0.999};
    static const sg_growth verdict[] = {SG_GROWTH_NONE, SG_GROWTH_PERSISTS};
    for (size_t k = 0; k < 2; k++) {
        sg_error err;
        size_t failed;
        sg_model *m = NULL;
        sg_model_shape shape = {.cell = SG_CELL_RELU, .layers = 1, .embedding = 2, .hidden = {5}};
        assert_ok(sg_model_new(&m, &shape, NULL, &err), err);
        for (size_t i = 0; i < 5; i++) {
            sg_model_find(m, "rnn.weight_hh_l0")->data[6 * i] = (float)rate[k];
            sg_model_find(m, "rnn.bias_ih_l0")->data[i] = 1;
        }
        sg_check_growth g = growth_of(m, &failed);
        double f = (double)(float)rate[k];
        assert_close(g.largest, f, 1e-6, 0, "largest", k);
        assert_close(log(g.left), (double)SG_GROWTH_STEPS * log(f), 1e-3, 1e-3, "left", k);
        assert_int_equal(g.verdict, verdict[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_on_every_kind_of_model),  cmocka_unit_test(passes_on_saturated_models),
        cmocka_unit_test(fails_on_each_planted_fault),    cmocka_unit_test(not_a_number_fails),
        cmocka_unit_test(growing_changes_are_told),       cmocka_unit_test(a_known_rate),
        cmocka_unit_test(misuse_and_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
