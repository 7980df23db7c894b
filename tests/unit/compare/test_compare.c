/* SPDX-License-Identifier: MIT */
/* Contrasts between two classes of one run, against the run's own numbers and against the same contrast
 * turned round. */
#include "helpers/corpus_util.h"

#include "stategrad/analysis.h"
#include "stategrad/compare.h"
#include "stategrad/run.h"

enum { T = 3000, E = 3, H = 4, DELAYS = 3, STATE_RANKS = 3 };

static sg_run *run; /* classes all, a, b: a reads inputs three times as large as b's */

static int make_run(void **state)
{
    static float x[T * E];
    static bool member[T * 2];
    const char *names[] = {"a", "b"};
    sg_error err = {""};
    sg_model *m;
    sg_classes *k;
    sg_stream *s;
    sg_analysis_config cfg;
    sg_model_shape shape = {.cell = SG_CELL_LSTM, .layers = 1, .embedding = E, .hidden = {H}};
    sg_rng r;
    set_up(state);
    setenv("TMPDIR", tmp.folder, 1);
    sg_rng_seed(&r, 11, 0);
    for (size_t t = 0; t < T; t++) {
        const bool a = sg_rng_below(&r, 2);
        member[2 * t + !a] = true;
        for (size_t i = 0; i < E; i++)
            x[t * E + i] = (a ? 3 : 1) * (float)sg_rng_normal(&r);
    }
    assert_ok(sg_model_new(&m, &shape, NULL, &err), err);
    sg_model_init_uniform(m, 0.8f, 3);
    assert_ok(sg_classes_from_names(&k, names, 2, NULL, &err), err);
    assert_ok(sg_stream_from_ids(&s, NULL, NULL, T, member, NULL, k, &err), err);
    sg_analysis_defaults(&cfg, m);
    cfg.features = x, cfg.delays = DELAYS, cfg.threads = 1, cfg.replace = SG_REPLACE_NONE, cfg.lyapunov = 0;
    cfg.documents = SG_DOCUMENTS_NONE, cfg.second_moment_every = 1;
    assert_ok(sg_analyze_run(&run, m, s, k, &cfg, NULL, &err), err);
    sg_stream_free(s);
    sg_classes_free(k);
    sg_model_free(m);
    return 0;
}

static int drop_run(void **state)
{
    sg_run_close(run);
    return tear_down(state);
}

static sg_compare_side side_of(const char *class_name)
{
    static const char *path = "run.nc";
    return (sg_compare_side){class_name, &run, &path, 1, "layer1.cell", class_name, NULL};
}

static sg_comparison *compared(const char *a, const char *b, const char *measure, size_t delay)
{
    sg_error err = {""};
    sg_comparison *c;
    const sg_compare_pair pair = {side_of(a), side_of(b)};
    const sg_compare_config cfg = {sizeof cfg, &measure, 1, &delay, 1};
    assert_ok(sg_compare(&c, &pair, 1, &cfg, &err), err);
    return c;
}

/* rms gains of class c at delay d: their squares add up to that of the gain over all directions, |G
 * L|_F^2. */
static double total_gain(size_t c, size_t d)
{
    double x[STATE_RANKS], sum = 0;
    sg_error err = {""};
    assert_ok(sg_run_read(run, "layer1.cell", "rms_gain", (size_t[]){c, d, 0}, (size_t[]){1, 1, STATE_RANKS},
                          x, &err),
              err);
    for (size_t k = 0; k < STATE_RANKS; k++)
        sum += x[k] * x[k];
    return sqrt(sum);
}

static void gains_are_those_of_the_run(void **state)
{
    for (size_t d = 0; d < DELAYS; d++) {
        size_t n;
        sg_comparison *c = compared("a", "b", "total_gain", d);
        const sg_compare_row *row = sg_comparison_rows(c, &n);
        assert_int_equal(n, 1);
        assert_int_equal(row->delay, d);
        assert_close(row->a, total_gain(1, d), 1e-5, 0, "a", d);
        assert_close(row->b, total_gain(2, d), 1e-5, 0, "b", d);
        assert_close(row->ratio, row->a / row->b, 1e-12, 0, "ratio", d);
        assert_close(row->difference, row->a - row->b, 1e-9, 1, "difference", d);
        assert_true(row->ratio_low < row->ratio && row->ratio < row->ratio_high);
        assert_true(row->difference_low < row->difference && row->difference < row->difference_high);
        assert_true(row->p > 0 && row->p <= row->p_adjusted && row->p_adjusted <= 1);
        assert_int_equal(sg_comparison_tests(c), 1);
        assert_int_equal(sg_comparison_paired(c, 0), 20);
        sg_comparison_free(c);
    }
}

/* B against A: one over the ratio, minus the difference, the same p, the other verdict. */
static void turned_round(void **state)
{
    size_t n;
    sg_comparison *c = compared("a", "b", "total_gain", 0), *back = compared("b", "a", "total_gain", 0);
    const sg_compare_row *x = sg_comparison_rows(c, &n), *y = sg_comparison_rows(back, &n);
    assert_close(x->ratio * y->ratio, 1, 1e-12, 0, "ratio", 0);
    assert_close(x->ratio_low * y->ratio_high, 1, 1e-9, 0, "low and high", 0);
    assert_close(x->ratio_high * y->ratio_low, 1, 1e-9, 0, "high and low", 0);
    assert_close(x->difference, -y->difference, 1e-9, 0, "difference", 0);
    assert_close(x->difference_low, -y->difference_high, 1e-9, 0, "ends", 0);
    assert_close(x->p, y->p, 1e-9, 1e-300, "p", 0);
    if (x->verdict && y->verdict && x->p_adjusted < 0.05)
        assert_string_equal(x->verdict, x->ratio > 1 ? "higher" : "lower");
    if (x->verdict && y->verdict && x->p_adjusted < 0.05)
        assert_string_equal(y->verdict, x->ratio > 1 ? "lower" : "higher");
    sg_comparison_free(c);
    sg_comparison_free(back);
}

/* Every number of a row under its own name: the JSON object, the table and the page have no other names. */
static void numbers_have_their_names(void **state)
{
    (void)state;
    const sg_compare_row row = {.a = 1,
                                .b = 2,
                                .ratio = 3,
                                .ratio_low = 4,
                                .ratio_high = 5,
                                .difference = 6,
                                .difference_low = 7,
                                .difference_high = 8,
                                .models_low = 9,
                                .models_high = 10,
                                .p = 11,
                                .p_adjusted = 12,
                                .p_types = 13,
                                .p_types_adjusted = 14};
    static const char *const names[] = {"a",
                                        "b",
                                        "ratio",
                                        "ratio_low",
                                        "ratio_high",
                                        "difference",
                                        "difference_low",
                                        "difference_high",
                                        "ratio_models_low",
                                        "ratio_models_high",
                                        "p",
                                        "p_adjusted",
                                        "p_types",
                                        "p_types_adjusted"};
    const size_t n = sizeof names / sizeof *names;
    double x = 0;
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(sg_compare_number(&row, i, &x), names[i]);
        assert_close(x, (double)i + 1, 0, 0, names[i], i);
        assert_string_equal(sg_compare_number(NULL, i, NULL), names[i]);
    }
    assert_null(sg_compare_number(&row, n, &x));
}

static void misuse(void **state)
{
    const char *wrong = "totalgain", *right = "total_gain";
    const size_t delay = 0, beyond = DELAYS;
    const struct {
        sg_compare_pair pair;
        const char **measure;
        const size_t *delay;
        const char *says;
    } of[] = {
        {{side_of("a"), side_of("a")}, &right, &delay, ""},
        {{side_of("a"), side_of("c")}, &right, &delay, "c"},
        {{side_of("a"), side_of("b")}, &wrong, &delay, "total_gain"}, /* what was meant */
        {{side_of("a"), side_of("b")}, &right, &beyond, "delay"},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        sg_error err = {""};
        sg_comparison *c;
        const sg_compare_config cfg = {sizeof cfg, of[i].measure, 1, of[i].delay, 1};
        assert_int_equal(sg_compare(&c, &of[i].pair, 1, &cfg, &err), SG_EINVAL);
        assert_null(c);
        if (!strstr(err.msg, of[i].says))
            fail_msg("%zu: %s", i, err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gains_are_those_of_the_run),
        cmocka_unit_test(turned_round),
        cmocka_unit_test(numbers_have_their_names),
        cmocka_unit_test(misuse),
    };
    return cmocka_run_group_tests(tests, make_run, drop_run);
}
