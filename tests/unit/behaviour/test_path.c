/* SPDX-License-Identifier: MIT */
/* Path averages of every cell: completeness, against the replacement of the same word (behaviour/replacer.h,
 * which is tested against the definition); a gate that saturates; a word that is its own other. */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "behaviour/path.h"
#include "behaviour/replacer.h"
#include "lm/forward.h"

#include <math.h>

enum { E = 3, T = 7, LAYERS = 2 };

static const path_limits limits = {1e-4, 4000};

static sg_model *random_model(sg_cell cell, float scale)
{
    sg_error err;
    sg_model *m = NULL;
    sg_model_shape shape = {.cell = cell, .layers = LAYERS, .embedding = E, .hidden = {5, 4}};
    assert_ok(sg_model_new(&m, &shape, NULL, &err), err);
    sg_model_init_uniform(m, scale, 3 + (uint64_t)cell);
    return m;
}

static void fill(float *x, size_t n, uint64_t seed)
{
    sg_rng rng;
    sg_rng_seed(&rng, seed, 0);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)sg_rng_normal(&rng);
}

/* scale: of the weights. With large ones gates saturate along the line, and small changes may grow: what is
 * not reached is then said, and the gap stands for it. */
static void one_model(sg_cell cell, float scale)
{
    sg_error err;
    sg_model *m = random_model(cell, scale);
    float x[T * E], other[E];
    fill(x, T * E, 1), fill(other, E, 2);
    const replacer_state top = {LAYERS - 1, SG_STATE_HIDDEN};
    replacer *r = NULL;
    path_work *p = NULL;
    sg_forward *f = NULL;
    replacement_effect exact[T];
    path_effect found[T];
    size_t nodes = 0;
    bool reached = false;
    assert_ok(forward_new(&f, m, T, &err), err);
    float *state = calloc(forward_state_size(f), sizeof *state);
    fill(state, forward_state_size(f), 5);
    for (size_t i = 0; i < forward_state_size(f); i++)
        state[i] = 0.5f * tanhf(state[i]);
    assert_ok(replacer_new(&r, m, &top, 1, T, NULL, &err), err);
    assert_ok(replacer_origin(r, state, x, T, &err), err);
    assert_ok(replacer_run(r, other, exact, NULL, &err), err);
    assert_ok(path_new(&p, m, top.layer, top.kind, T, limits, &err), err);
    assert_ok(path_average(p, state, x, T, other, found, &nodes, &reached, &err), err);
    assert_true(nodes >= 4 && (reached || (scale > 1 && nodes >= limits.nodes)));
    for (size_t d = 0; d < T; d++) {
        assert_close(found[d].change, exact[d].change, 1e-5, 1e-6, "change", d);
        assert_close(found[d].linear, exact[d].linear, 1e-4, 1e-6, "linear", d);
        const double off = fabs(found[d].average - exact[d].change);
        assert_true(off <= found[d].gap * found[d].change * 1.001 + 1e-9); /* |a| - |b| is at most |a - b| */
        if (reached)
            assert_close(found[d].average, exact[d].change, 1e-3, 1e-5, "path average", d);
    }
    assert_ok(path_average(p, state, x, T, x, found, &nodes, &reached, &err), err);
    for (size_t d = 0; d < T; d++)
        assert_true(reached && found[d].change == 0 && found[d].average == 0 && isnan(found[d].gap));
    path_free(p), replacer_free(r), forward_free(f), sg_model_free(m);
    free(state);
}

static void every_cell_is_complete(void **state)
{
    for (sg_cell cell = SG_CELL_TANH; cell <= SG_CELL_MINLSTM; cell++) {
        one_model(cell, 0.8f);
        one_model(cell, 5);
    }
}

static void failing_allocations(void **state)
{
    sg_error err;
    sg_model *m = random_model(SG_CELL_LSTM, 0.8f);
    path_work *p = NULL;
    long before = sg_alloc_live();
    sg_status st = SG_ENOMEM;
    for (long allowed = 0; st != SG_OK; allowed++) {
        sg_alloc_fail_after(allowed);
        st = path_new(&p, m, LAYERS - 1, SG_STATE_CELL, T, limits, &err);
        sg_alloc_fail_after(-1);
        assert_true(st == SG_OK || (st == SG_ENOMEM && !p && sg_alloc_live() == before));
        assert_true(allowed < 200);
    }
    path_free(p);
    assert_int_equal(sg_alloc_live(), before);
    sg_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_is_complete),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
