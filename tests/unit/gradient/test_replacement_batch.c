/* SPDX-License-Identifier: MIT */
/* Many replacements side by side against one at a time (behaviour/replacer.h, which is tested against the
 * definition): every cell, columns that overlap, live for different times, and are cut into stretches. */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "behaviour/replacer.h"
#include "gradient/replacement_batch.h"
#include "lm/forward.h"

#include <math.h>
#include <string.h>

enum { E = 3, T = 14, D = 6, V = 7, LAYERS = 2, COLUMNS = 5, MAX_STATES = 4 };

static const size_t at[COLUMNS] = {0, 2, 2, 3, 9}, life[COLUMNS] = {4, 6, 6, 6, 5};
static const bool first[T] = {false, false, false,
                              true}; /* a zero state before step 3: later columns start from it */
static const bool kl_at[D] = {true, true, true, false, true, false};

static sg_model *random_model(sg_cell cell)
{
    static const char *const names[V] = {"a", "b", "c", "d", "e", "<unk>", "<eos>"};
    sg_error err;
    sg_vocab *vocab = NULL;
    sg_model *m = NULL;
    sg_model_shape shape = {.cell = cell, .layers = LAYERS, .embedding = E, .hidden = {5, 4}};
    assert_ok(sg_vocab_from_words(&vocab, names, NULL, V, &err), err);
    shape.vocabulary = V, shape.has_decoder = true, shape.output = SG_OUTPUT_TANH;
    assert_ok(sg_model_new(&m, &shape, vocab, &err), err);
    sg_model_init_uniform(m, 0.8f, 3 + (uint64_t)cell);
    sg_vocab_free(vocab);
    return m;
}

static size_t list_states(sg_cell cell, sg_accum_state *many, replacer_state *one)
{
    size_t n = 0;
    for (size_t l = 0; l < LAYERS; l++)
        for (int kind = SG_STATE_CELL; kind <= SG_STATE_HIDDEN; kind++)
            if (kind & (int)sg_cell_states(cell)) {
                many[n] = (sg_accum_state){l + 1, kind, l ? 4 : 5};
                one[n++] = (replacer_state){l, kind};
            }
    return n;
}

static void fill(float *x, size_t n, uint64_t seed)
{
    sg_rng rng;
    sg_rng_seed(&rng, seed, 0);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)sg_rng_normal(&rng);
}

/* Column k alone: the state before it by a plain pass, then one replacement. */
static void check_column(const sg_model *m, const replacer_state *states, size_t n, const float *x,
                         const float *other, size_t k, const replacement_effect *effects, const double *kl)
{
    sg_error err;
    sg_forward *before = NULL;
    replacer *r = NULL;
    replacement_effect one[MAX_STATES * D];
    double divergence[D];
    size_t s = at[k];
    assert_ok(forward_new(&before, m, T, &err), err);
    if (s)
        assert_ok(forward_run(before, NULL, x, first, s, &err), err);
    if (first[s])
        forward_reset(before);
    float *state = calloc(forward_state_size(before), sizeof *state);
    forward_get_state(before, state);
    assert_ok(replacer_new(&r, m, states, n, D, kl_at, &err), err);
    assert_ok(replacer_origin(r, state, x + s * E, life[k], &err), err);
    assert_ok(replacer_run(r, other, one, divergence, &err), err);
    for (size_t d = 0; d < life[k]; d++) {
        for (size_t g = 0; g < n; g++) {
            const replacement_effect *a = &effects[(k * D + d) * n + g];
            const replacement_effect *b = &one[g * life[k] + d];
            assert_close(a->change, b->change, 1e-5, 1e-6, "change", d);
            assert_close(a->linear, b->linear, 1e-5, 1e-6, "linear", d);
            assert_true(fabs(a->dot - b->dot) <=
                        1e-5 * b->change * b->linear + 1e-12); /* its terms may cancel */
            assert_close(a->miss, b->miss, 1e-4, 1e-6, "miss", d);
        }
        if (kl_at[d])
            assert_close(kl[k * D + d], divergence[d], 1e-4, 1e-7, "KL", d);
        else
            assert_true(kl[k * D + d] == -1);
    }
    replacer_free(r), forward_free(before);
    free(state);
}

static size_t state_size(const sg_model *m)
{
    sg_error err;
    sg_forward *f = NULL;
    assert_ok(forward_new(&f, m, 1, &err), err);
    const size_t size = forward_state_size(f);
    forward_free(f);
    return size;
}

static void one_cell(sg_cell cell)
{
    sg_error err;
    sg_model *m = random_model(cell);
    sg_accum_state many[MAX_STATES];
    replacer_state one[MAX_STATES];
    size_t n = list_states(cell, many, one);
    float x[T * E], other[COLUMNS * E];
    fill(x, T * E, 1), fill(other, COLUMNS * E, 2);
    replacement_column columns[COLUMNS];
    for (size_t k = 0; k < COLUMNS; k++)
        columns[k] = (replacement_column){at[k], life[k], true, other + k * E};
    replacement_weights *w = NULL;
    replacement_batch *r = NULL;
    replacement_effect effects[COLUMNS * D * MAX_STATES], again[COLUMNS * D * MAX_STATES];
    double kl[COLUMNS * D], kl_again[COLUMNS * D];
    for (size_t i = 0; i < COLUMNS * D; i++)
        kl[i] = kl_again[i] = -1;
    assert_ok(replacement_weights_new(&w, m, true, &err), err);
    assert_ok(replacement_batch_new(&r, w, many, n, D, kl_at, COLUMNS, &err), err);
    const size_t size = state_size(m);
    float *state = calloc(size, sizeof *state);
    /* no reset: all columns; then columns 3 and 4 in a stretch of their own, to the byte */
    assert_ok(replacement_batch_run(r, state, x, NULL, T, columns, COLUMNS, effects, kl, &err), err);
    replacement_batch_advance(r, state, x, NULL, 3);
    for (size_t k = 3; k < COLUMNS; k++)
        columns[k].at -= 3;
    assert_ok(replacement_batch_run(r, state, x + 3 * E, NULL, T - 3, columns + 3, 2, again, kl_again, &err),
              err);
    for (size_t k = 3; k < COLUMNS; k++)
        for (size_t d = 0; d < life[k]; d++) {
            assert_memory_equal(&effects[(k * D + d) * n], &again[((k - 3) * D + d) * n],
                                n * sizeof *effects);
            assert_true(kl[k * D + d] == kl_again[(k - 3) * D + d]);
        }
    /* with a reset before step 3: columns from there on start from zero */
    memset(state, 0, size * sizeof *state);
    columns[0].life = 3;
    for (size_t k = 3; k < COLUMNS; k++)
        columns[k].at += 3;
    columns[1].life = columns[2].life = 1;
    assert_ok(replacement_batch_run(r, state, x, first, T, columns, COLUMNS, effects, kl, &err), err);
    for (size_t k = 3; k < COLUMNS; k++)
        check_column(m, one, n, x, other + k * E, k, effects, kl);
    /* the word itself in its place: nothing at all */
    columns[3].x = x + 3 * E;
    assert_ok(replacement_batch_run(r, state, x, first, T, columns + 3, 1, effects, kl, &err), err);
    for (size_t i = 0; i < life[3] * n; i++)
        assert_true(effects[i].change == 0 && effects[i].linear == 0 && effects[i].miss == 0);
    assert_true(kl[0] == 0 && kl[1] == 0);
    replacement_batch_free(r), replacement_weights_free(w), sg_model_free(m);
    free(state);
}

static void every_cell_agrees_with_one_at_a_time(void **state)
{
    for (sg_cell cell = SG_CELL_TANH; cell <= SG_CELL_MINLSTM; cell++)
        one_cell(cell);
}

static void failing_allocations(void **state)
{
    sg_error err;
    sg_model *m = random_model(SG_CELL_GRU_RESET_FIRST);
    sg_accum_state top = {LAYERS, SG_STATE_HIDDEN, 4};
    replacement_weights *w = NULL;
    replacement_batch *r = NULL;
    long before = sg_alloc_live();
    sg_status st = SG_ENOMEM;
    for (long allowed = 0; st != SG_OK; allowed++) {
        sg_alloc_fail_after(allowed);
        st = replacement_weights_new(&w, m, true, &err);
        if (st == SG_OK)
            st = replacement_batch_new(&r, w, &top, 1, D, kl_at, COLUMNS, &err);
        sg_alloc_fail_after(-1);
        if (st != SG_OK) {
            assert_true(st == SG_ENOMEM && !r);
            replacement_weights_free(w), w = NULL;
            assert_int_equal(sg_alloc_live(), before);
        }
        assert_true(allowed < 300);
    }
    replacement_batch_free(r), replacement_weights_free(w);
    assert_int_equal(sg_alloc_live(), before);
    sg_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_agrees_with_one_at_a_time),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
