/* SPDX-License-Identifier: MIT */
/* Replacement against the definition: two naive forward passes in double and the naive gradient times dx. */
#include "helpers/naive_gradient.h"
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "behaviour/replacer.h"
#include "lm/forward.h"

#include <math.h>
#include <string.h>

enum { E = 3, T = 9, S = 2, V = 7, LAYERS = 2 }; /* steps in all; the origin; words */

static sg_model *random_model(sg_cell cell, bool words, uint64_t seed)
{
    static const char *const names[V] = {"a", "b", "c", "d", "e", "<unk>", "<eos>"};
    sg_error err;
    sg_vocab *vocab = NULL;
    sg_model *m = NULL;
    sg_model_shape shape = {.cell = cell, .layers = LAYERS, .embedding = E, .hidden = {5, 4}};
    if (words) {
        assert_ok(sg_vocab_from_words(&vocab, names, NULL, V, &err), err);
        shape.vocabulary = V, shape.has_decoder = true, shape.output = SG_OUTPUT_TANH;
    }
    assert_ok(sg_model_new(&m, &shape, vocab, &err), err);
    sg_model_init_uniform(m, 0.8f, seed);
    for (size_t i = 0; words && i < V; i++)
        sg_model_find(m, "decoder.bias")->data[i] = 0.3f * (float)i;
    sg_vocab_free(vocab);
    return m;
}

static void feed(naive *n, const float *x)
{
    double row[E];
    for (size_t e = 0; e < E; e++)
        row[e] = (double)x[e];
    naive_step(n, row, false);
}

static void next_word(const sg_model *m, const double *h, double *p)
{
    const sg_model_shape *shape = sg_model_get_shape(m);
    const float *W = sg_model_find(m, "decoder.weight")->data, *b = sg_model_find(m, "decoder.bias")->data;
    double sum = 0;
    size_t H = shape->hidden[LAYERS - 1];
    for (size_t i = 0; i < V; i++) {
        double z = (double)b[i];
        for (size_t j = 0; j < H; j++)
            z += (double)W[i * H + j] * tanh(h[j]);
        sum += p[i] = exp(z);
    }
    for (size_t i = 0; i < V; i++)
        p[i] /= sum;
}

static void one_cell(sg_cell cell, bool words)
{
    sg_error err;
    sg_model *m = random_model(cell, words, 5 + (uint64_t)cell);
    replacer_state states[2 * LAYERS];
    size_t n_states = 0;
    for (size_t l = 0; l < LAYERS; l++)
        for (int kind = SG_STATE_CELL; kind <= SG_STATE_HIDDEN; kind++)
            if (kind == SG_STATE_HIDDEN || cell == SG_CELL_LSTM)
                states[n_states++] = (replacer_state){l, kind};
    float x[T * E], other[E];
    sg_rng rng;
    sg_rng_seed(&rng, 3, cell);
    for (size_t i = 0; i < T * E; i++)
        x[i] = (float)sg_rng_normal(&rng);
    for (size_t e = 0; e < E; e++)
        other[e] = (float)sg_rng_normal(&rng);

    /* the state before the origin */
    sg_forward *before = NULL;
    assert_ok(forward_new(&before, m, T, &err), err);
    assert_ok(forward_run(before, NULL, x, NULL, S, &err), err);
    float *start = calloc(forward_state_size(before), sizeof *start);
    forward_get_state(before, start);

    const bool with_kl[T] = {true, false, true, true, true, true, true, true, true};
    replacer *r = NULL;
    replacement_effect effect[2 * LAYERS * T];
    double kl[T];
    const size_t n = T - S;
    assert_ok(replacer_new(&r, m, states, n_states, T, words ? with_kl : NULL, &err), err);
    for (int again = 0; again < 2; again++) { /* nothing of the first run is left in the second */
        assert_ok(replacer_origin(r, start, x + S * E, n, &err), err);
        assert_ok(replacer_run(r, again ? other : x, effect, kl, &err), err);
    }

    naive *real = naive_new(m, T), *changed = naive_new(m, T);
    for (size_t t = 0; t < T; t++) {
        feed(real, x + t * E);
        feed(changed, t == S ? other : x + t * E);
        if (t < S)
            continue;
        for (size_t g = 0; g < n_states; g++) {
            size_t H = sg_model_get_shape(m)->hidden[states[g].layer];
            const double *a = naive_state(real, states[g].layer + 1, states[g].kind);
            const double *b = naive_state(changed, states[g].layer + 1, states[g].kind);
            const double *G = naive_get(real, states[g].layer + 1, states[g].kind, S);
            double change = 0, linear = 0, dot = 0, miss = 0;
            for (size_t j = 0; j < H; j++) {
                double line = 0, delta = b[j] - a[j];
                for (size_t e = 0; e < E; e++)
                    line += G[j * E + e] * ((double)other[e] - (double)x[S * E + e]);
                change += delta * delta, linear += line * line, dot += delta * line;
                miss += (delta - line) * (delta - line);
            }
            const replacement_effect *f = &effect[g * n + t - S];
            assert_close(f->change, sqrt(change), 1e-4, 1e-6, "change", t);
            assert_close(f->linear, sqrt(linear), 1e-4, 1e-6, "linear", t);
            assert_close(f->dot, dot, 1e-4, 1e-6, "dot", t);
            assert_close(f->miss, miss, 1e-3, 1e-6, "miss", t);
        }
        if (words && with_kl[t - S]) {
            double p[V], q[V], sum = 0;
            next_word(m, naive_state(real, LAYERS, SG_STATE_HIDDEN), p);
            next_word(m, naive_state(changed, LAYERS, SG_STATE_HIDDEN), q);
            for (size_t i = 0; i < V; i++)
                sum += p[i] * log(p[i] / q[i]);
            assert_close(kl[t - S], sum, 1e-3, 1e-7, "KL", t);
        } else
            assert_true(kl[t - S] == 0);
    }
    naive_free(real), naive_free(changed);
    replacer_free(r), forward_free(before), sg_model_free(m);
    free(start);
}

static void every_cell_agrees_with_the_definition(void **state)
{
    for (sg_cell cell = SG_CELL_TANH; cell <= SG_CELL_LSTM; cell++)
        for (int words = 0; words < 2; words++)
            one_cell(cell, words);
}

static void no_decoder_no_divergence(void **state)
{
    sg_error err;
    const bool with_kl[T] = {true};
    const replacer_state top = {LAYERS - 1, SG_STATE_HIDDEN};
    sg_model *m = random_model(SG_CELL_GRU, false, 1);
    replacer *r;
    assert_int_equal(replacer_new(&r, m, &top, 1, T, with_kl, &err), SG_EINVAL);
    assert_non_null(strstr(err.msg, "no decoder"));
    assert_null(r);
    sg_model_free(m);
}

static void failing_allocations(void **state)
{
    sg_error err;
    const bool with_kl[T] = {true};
    const replacer_state top = {LAYERS - 1, SG_STATE_HIDDEN};
    sg_model *m = random_model(SG_CELL_LSTM, true, 1);
    replacer *r = NULL;
    long before = sg_alloc_live();
    sg_status st = SG_ENOMEM;
    for (long allowed = 0; st != SG_OK; allowed++) {
        sg_alloc_fail_after(allowed);
        st = replacer_new(&r, m, &top, 1, T, with_kl, &err);
        sg_alloc_fail_after(-1);
        assert_true(st == SG_OK || (st == SG_ENOMEM && !r && sg_alloc_live() == before));
        assert_true(allowed < 200);
    }
    replacer_free(r);
    assert_int_equal(sg_alloc_live(), before);
    sg_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_agrees_with_the_definition),
        cmocka_unit_test(no_decoder_no_divergence),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
