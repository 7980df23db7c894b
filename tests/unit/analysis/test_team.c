/* SPDX-License-Identifier: MIT */
/* How the parts of blocks are divided among processes, against all possible divisions. */
#include "helpers/test_util.h"

#include "analysis/team.h"
#include "analysis/pass/self_gain.h"
#include "analysis/pass/shared.h"
#include "base/base_internal.h"
#include "stategrad/analysis.h"

#include <math.h>

enum { T = 6000, E = 3, H = 40, BLOCKS = 11, MOST = 5 };

static float x[T * E];

typedef struct {
    sg_model *m;
    sg_stream *s;
    sg_analysis_config cfg;
    analysis an;
} fixture;

/* Sentences of ten tokens. */
static void make(fixture *f, sg_state_handling handling, uint64_t warm_up)
{
    sg_error err = {""};
    sg_model_shape shape = {.cell = SG_CELL_LSTM, .layers = 2, .embedding = E, .hidden = {H, H}};
    static bool first[T];
    sg_rng r;
    sg_rng_seed(&r, 5, 0);
    for (size_t t = 0; t < T; t++) {
        first[t] = t % 10 == 0;
        for (size_t e = 0; e < E; e++)
            x[t * E + e] = (float)sg_rng_normal(&r);
    }
    *f = (fixture){0};
    assert_ok(sg_model_new(&f->m, &shape, NULL, &err), err);
    assert_ok(sg_stream_from_ids(&f->s, NULL, first, T, NULL, NULL, NULL, &err), err);
    sg_analysis_defaults(&f->cfg, f->m);
    f->cfg.features = x, f->cfg.delays = 4, f->cfg.threads = 1, f->cfg.replace = SG_REPLACE_NONE;
    f->cfg.blocks = BLOCKS, f->cfg.documents = SG_DOCUMENTS_NONE;
    f->cfg.handling = handling, f->cfg.warm_up = warm_up;
    assert_ok(analysis_prepare(&f->an, f->m, f->s, NULL, &f->cfg, NULL, &err), err);
}

static void drop(fixture *f)
{
    analysis_free(&f->an);
    sg_stream_free(f->s);
    sg_model_free(f->m);
}

/* Of rows first .. end-1, in gradients of one token: each token, and the states of all before the first. */
static double cost(const fixture *f, double per_state, size_t first, size_t end)
{
    const double from = (double)analysis_part_start(&f->an, first),
                 to = (double)analysis_part_start(&f->an, end);
    return end > first ? to - from + per_state * from : 0;
}

/* The least that the most costly of n shares of rows first .. rows-1 can cost, by trying all. */
static double least(const fixture *f, double per_state, size_t first, size_t rows, size_t n)
{
    double best = INFINITY;
    if (n == 1)
        return cost(f, per_state, first, rows);
    for (size_t end = first; end <= rows; end++)
        best = fmin(best, fmax(cost(f, per_state, first, end), least(f, per_state, end, rows, n - 1)));
    return best;
}

static void check_shares(const fixture *f, double per_state)
{
    const size_t rows = f->an.B * f->an.split;
    assert_int_equal(rows, BLOCKS);
    for (size_t ranks = 1; ranks <= MOST; ranks++) {
        double most = 0;
        size_t at = 0;
        for (size_t r = 0; r < ranks; r++) {
            size_t first, end;
            team_share(&f->an, r, ranks, &first, &end);
            assert_int_equal(first, at);
            assert_true(end >= first);
            most = fmax(most, cost(f, per_state, first, end));
            at = end;
        }
        assert_int_equal(at, rows); /* each row is in one share */
        assert_close(most, least(f, per_state, 0, rows, ranks), 1e-9, most, "the most costly share of",
                     (int)ranks);
    }
}

static void shares_cost_as_little_as_they_can(void **state)
{
    fixture f;
    double gradient;
    make(&f, SG_CARRY, 0);
    const sg_engine_config engine = analysis_engine(&f.an);
    engine_cost(&gradient, NULL, f.an.shape, &engine);
    const double per_state = team_state_cost(f.an.shape) / gradient;
    assert_true(per_state > 0.05); /* otherwise the division would be even */
    check_shares(&f, per_state);
    drop(&f);
    (void)state;
}

/* Self gains add to the cost of a token, not to that of the states before a share. */
static void shares_count_self_gains(void **state)
{
    fixture f;
    double gradient;
    make(&f, SG_CARRY, 0);
    f.cfg.units = true;
    const sg_engine_config engine = analysis_engine(&f.an);
    engine_cost(&gradient, NULL, f.an.shape, &engine);
    const double gains = self_gain_cost(&f.an), states = team_state_cost(f.an.shape);
    assert_true(gains > 0.1 * gradient);
    assert_close(team_token_cost(&f.an), gradient + gains, 1e-12, gradient, "the cost of a token", 0);
    check_shares(&f, states / (gradient + gains));
    drop(&f);
    (void)state;
}

static void states_that_begin_at_the_parts_cost_nothing_before(void **state)
{
    fixture f;
    make(&f, SG_CARRY, 20);
    check_shares(&f, 0);
    drop(&f);
    make(&f, SG_RESET, 0);
    check_shares(&f, 0);
    drop(&f);
    (void)state;
}

/* Where the states of a part begin: by definition. */
static void states_begin_where_they_must(void **state)
{
    sg_error err = {""};
    sg_step steps[PORTION];
    const struct {
        sg_state_handling handling;
        uint64_t warm_up, t, zero;
    } cases[] = {{SG_CARRY, 0, 1234, 0},    {SG_CARRY, 20, 1234, 1214}, {SG_CARRY, 20, 7, 0},
                 {SG_RESET, 0, 1234, 1230}, {SG_RESET, 0, 1230, 1230},  {SG_RESET, 0, 1229, 1220},
                 {SG_RESET, 0, 5, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f;
        uint64_t zero = T;
        make(&f, cases[i].handling, cases[i].warm_up);
        assert_ok(states_begin(&f.an, cases[i].t, steps, &zero, &err), err);
        assert_int_equal(zero, cases[i].zero);
        assert_int_equal(states_need_all(&f.an), cases[i].handling != SG_RESET && !cases[i].warm_up);
        drop(&f);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_cost_as_little_as_they_can),
        cmocka_unit_test(shares_count_self_gains),
        cmocka_unit_test(states_that_begin_at_the_parts_cost_nothing_before),
        cmocka_unit_test(states_begin_where_they_must),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
