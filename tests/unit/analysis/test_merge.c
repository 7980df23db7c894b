/* SPDX-License-Identifier: MIT */
/* Parts of a run together are the run: against the analysis of the whole, and against sums made here. */
#include "helpers/small_run.h"

#include "analysis/prepare.h"
#include "analysis/replacement_sums.h"
#include "linalg/linalg.h"

enum { PARTS = 3 };

static const char *write_part(small_run *s, size_t part, size_t parts)
{
    char name[40];
    snprintf(name, sizeof name, "part%zu-%zu.nc", part, parts);
    s->cfg.part = part, s->cfg.parts = parts;
    const char *path = small_run_write(s, name);
    s->cfg.part = s->cfg.parts = 0;
    return path;
}

static sg_status merge(const char *const *parts, size_t n, char out[300], sg_error *err)
{
    snprintf(out, 300, "%s/merged.nc", tmp.folder);
    return sg_merge(out, parts, n, 1, NULL, err);
}

static void parts_are_the_whole(void **state)
{
    (void)state;
    small_run s;
    const sg_property side = {"side", "w00,w02,w04,w06,w08,w10,w12,w14,w16,w18",
                              "w01,w03,w05,w07,w09,w11,w13,w15,w17,w19"};
    sg_error err = {""};
    char out[300];
    small_run_new(&s, "even", "three");
    s.cfg.properties = &side, s.cfg.n_properties = 1;
    s.cfg.untrained_baseline = true, s.cfg.state = SG_STATE_BOTH, s.cfg.lyapunov = 2, s.cfg.replace = 0.5;
    s.cfg.units = true;
    sg_run *whole = opened(small_run_write(&s, "whole.nc"));
    const char *parts[PARTS];
    for (size_t i = 0; i < PARTS; i++) /* in another order */
        parts[i] = write_part(&s, (i + 1) % PARTS + 1, PARTS);
    assert_ok(merge(parts, PARTS, out, &err), err);
    sg_run *merged = opened(out);
    assert_int_equal(sg_run_groups(whole), 4);
    assert_true(assert_same_groups(whole, merged, 0) > 4 * 60); /* to the bit */
    sg_run_close(whole);
    sg_run_close(merged);
    small_run_free(&s);
}

/* What the forecast counts for the decomposition is what a merge, which does nothing else, does. Every class
 * has pairs in every block. */
static void the_forecast_of_the_decomposition_counts_what_is_done(void **state)
{
    (void)state;
    const sg_property side = {"side", "w00,w02,w04,w06,w08,w10,w12,w14,w16,w18",
                              "w01,w03,w05,w07,w09,w11,w13,w15,w17,w19"};
    for (int kind = 0; kind < 3; kind++) { /* a property; parts of blocks; two models and all states */
        small_run s;
        analysis an = {0};
        results_input input;
        results_work count;
        char out[300];
        sg_error err = {""};
        small_run_new(&s, "even", "three");
        s.cfg.blocks = kind == 1 ? 20 : 9, s.cfg.replace = SG_REPLACE_NONE;
        if (kind == 0)
            s.cfg.properties = &side, s.cfg.n_properties = 1;
        if (kind == 2)
            s.cfg.untrained_baseline = true, s.cfg.state = SG_STATE_BOTH;
        const char *part = write_part(&s, 1, 1);
        const la_work before = la_work_done();
        assert_ok(merge(&part, 1, out, &err), err);
        const la_work after = la_work_done();
        assert_ok(analysis_sizes(&an, s.model, s.stream, s.classes, &s.cfg, &err), err);
        assert_int_equal(an.split, kind == 1 ? 4 : 1);
        analysis_results_input(&an, &input);
        results_count(&input, &count);
        assert_close(after.products - before.products, count.products, 0.05, 0, "multiply-adds",
                     (size_t)kind);
        assert_close(after.decompositions - before.decompositions, count.decompositions, 0.05, 0,
                     "decompositions", (size_t)kind);
        analysis_free(&an);
        small_run_free(&s);
    }
}

/* mean_gradient = sum over the rows of all parts / sum of their weights; pairs are added. */
static void means_are_of_sums(void **state)
{
    (void)state;
    enum { C = 3, CELLS = C * SMALL_D, HE = SMALL_H * SMALL_E };
    small_run s;
    sg_error err = {""};
    double sum[CELLS * HE] = {0}, weight[CELLS] = {0}, pairs[CELLS] = {0};
    char out[300];
    const char *paths[2];
    small_run_new(&s, "even", "three");
    for (size_t p = 0; p < 2; p++) {
        sg_run *part;
        size_t n_sum, n_weight, n_pairs;
        paths[p] = write_part(&s, p + 1, 2);
        assert_ok(run_open_part(&part, paths[p], &err), err);
        double *x = numbers(part, "layer1.cell", "part_sum", &n_sum),
               *w = numbers(part, NULL, "part_weight", &n_weight),
               *k = numbers(part, NULL, "part_pairs", &n_pairs);
        assert_int_equal(n_sum, n_weight * HE);
        for (size_t i = 0; i < n_sum; i++)
            sum[i % (CELLS * HE)] += x[i];
        for (size_t i = 0; i < n_weight; i++)
            weight[i % CELLS] += w[i], pairs[i % CELLS] += k[i];
        sg_free(x), sg_free(w), sg_free(k);
        sg_run_close(part);
    }
    assert_ok(merge(paths, 2, out, &err), err);
    sg_run *r = opened(out);
    size_t n;
    double *mean = numbers(r, "layer1.cell", "mean_gradient", &n),
           *counted = numbers(r, "layer1.cell", "pairs", &n);
    assert_int_equal(counted[0], TOKENS);
    for (size_t i = 0; i < CELLS; i++)
        assert_int_equal(counted[i], pairs[i]);
    for (size_t i = 0; i < CELLS * HE; i++)
        assert_close(mean[i], sum[i] / weight[i / HE], 1e-5, 1e-6, "mean_gradient", i);
    sg_free(mean), sg_free(counted);
    sg_run_close(r);
    small_run_free(&s);
}

static void refused(const char *const *parts, size_t n, const char *told)
{
    sg_error err = {""};
    char out[300];
    snprintf(out, sizeof out, "%s/merged.nc", tmp.folder);
    unlink(out);
    assert_int_equal(merge(parts, n, out, &err), SG_EFORMAT);
    if (!strstr(err.msg, told))
        fail_msg("'%s' does not say '%s'", err.msg, told);
    assert_int_not_equal(access(out, F_OK), 0);
}

/* A copy of a part in which the first number of a variable is x. */
static const char *damaged(const char *part, const char *group, const char *variable, double x)
{
    static char path[300];
    const size_t zero[SG_RUN_MAX_DIMS] = {0}, one[] = {1, 1, 1, 1, 1, 1};
    sg_error err = {""};
    run_writer *w;
    int nc = RUN_ROOT;
    snprintf(path, sizeof path, "%s/damaged.nc", tmp.folder);
    assert_ok(run_writer_modify(&w, part, path, NULL, &err), err);
    if (group)
        assert_ok(run_writer_group(w, group, &nc, &err), err);
    assert_ok(run_writer_put_f64(w, nc, variable, zero, one, &x, &err), err);
    assert_ok(run_writer_commit(w, &err), err);
    return path;
}

/* A copy of a part with one more attribute. */
static const char *with_attribute(const char *part, const char *name, const char *text)
{
    static char path[300];
    sg_error err = {""};
    run_writer *w;
    snprintf(path, sizeof path, "%s/attribute.nc", tmp.folder);
    assert_ok(run_writer_modify(&w, part, path, NULL, &err), err);
    assert_ok(run_writer_text(w, RUN_ROOT, NULL, name, text, &err), err);
    assert_ok(run_writer_commit(w, &err), err);
    return path;
}

/* A copy of a part without replacements, with variables for them. */
static const char *with_replaced(const char *part, size_t delays)
{
    static char path[300];
    const struct {
        const char *name;
        size_t length;
    } dims[] = {{"replaced_model", 1},
                {"replaced_row", replacement_rows(3, 0)},
                {"replaced_sum", replacement_fields(1)}};
    sg_error err = {""};
    run_writer *w;
    size_t rank, shape[SG_RUN_MAX_DIMS];
    snprintf(path, sizeof path, "%s/more.nc", tmp.folder);
    assert_ok(run_writer_modify(&w, part, path, NULL, &err), err);
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        assert_ok(run_writer_dim(w, RUN_ROOT, dims[i].name, dims[i].length, &err), err);
    assert_ok(run_writer_define(w, RUN_ROOT, "part_replaced", &err), err);
    assert_ok(run_writer_commit(w, &err), err);
    sg_run *r;
    assert_ok(run_open_part(&r, path, &err), err);
    assert_true(sg_run_shape(r, NULL, "part_replaced", &rank, shape));
    assert_int_equal(shape[3], delays);
    sg_run_close(r);
    return path;
}

/* A total that only a later part has would be left out of the whole. */
static void totals_of_one_part(void **state)
{
    (void)state;
    small_run s;
    sg_error err = {""};
    char out[300];
    small_run_new(&s, "even", "three");
    s.cfg.replace = SG_REPLACE_NONE;
    const char *first = write_part(&s, 1, 2), *second = write_part(&s, 2, 2);
    assert_ok(merge((const char *[]){first, second}, 2, out, &err), err);
    const char *more = with_replaced(second, SMALL_D);
    refused((const char *[]){first, more}, 2, "variable part_replaced is missing there, not here");
    refused((const char *[]){more, first}, 2, "variable part_replaced is missing or does not fit");
    small_run_free(&s);
}

static void what_does_not_fit(void **state)
{
    (void)state;
    small_run s;
    small_run_new(&s, "even", "three");
    const char *whole = small_run_write(&s, "whole.nc"), *first = write_part(&s, 1, 2),
               *second = write_part(&s, 2, 2), *third = write_part(&s, 3, 3);
    s.cfg.seed = 2;
    s.cfg.part = 2, s.cfg.parts = 2;
    const char *other = small_run_write(&s, "other.nc");
    refused((const char *[]){first}, 1, "part 2 of 2 is missing");
    refused((const char *[]){first, first}, 2, "is part 1 of 2, as");
    refused((const char *[]){first, other}, 2, "seed");
    refused((const char *[]){first, third}, 2, "is part 3 of 3");
    refused((const char *[]){first, with_attribute(second, "kin", "7")}, 2, "kin is missing there, 7 here");
    refused((const char *[]){first, whole}, 2, "is a whole run");
    refused((const char *[]){first, damaged(second, NULL, "part_weight", -1)}, 2, "part_weight: -1");
    refused((const char *[]){first, damaged(second, NULL, "part_pairs", -3)}, 2, "part_pairs: -3");
    refused((const char *[]){first, damaged(second, NULL, "part_block", 0)}, 2,
            "block 0 is not one of its own");
    refused((const char *[]){first, damaged(second, "layer1.cell", "part_missed", NAN)}, 2,
            "part_missed: nan");
    refused((const char *[]){first, damaged(second, "layer1.cell", "part_square", -9)}, 2, "part_square: -9");
    refused((const char *[]){first, damaged(second, "layer1.cell", "part_growth_steps", -1)}, 2,
            "part_growth_steps: -1");
    small_run_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_the_whole),
        cmocka_unit_test(the_forecast_of_the_decomposition_counts_what_is_done),
        cmocka_unit_test(means_are_of_sums),
        cmocka_unit_test(what_does_not_fit),
        cmocka_unit_test(totals_of_one_part),
    };
    return cmocka_run_group_tests_name("merge", tests, set_up, tear_down);
}
