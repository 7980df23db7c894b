/* SPDX-License-Identifier: MIT */
/* The run file: what is written is read, what is damaged is refused. `test_run write FILE` leaves one for
 * xarray. */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "run/missing.h"
#include "run/run_internal.h"

#include <sys/stat.h>
#include <unistd.h>

enum { D = 3, C = 2, E = 4, H = 5, R = 4 };

static double value(size_t c, size_t d, size_t i, size_t j)
{
    return (double)(c * 1000 + d * 100 + i * 10 + j);
}

static const char *normalization = "covariance";

static sg_status fill_root(run_writer *w, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const root[] = {"delay", "class_name", "class_tokens", "property_name",
                                       "embedding_covariance_factor"};
    double L[E * E] = {0};
    int64_t delays[D] = {0, 1, 2}, tokens[C] = {70, 30};
    TRY(run_writer_dim(w, RUN_ROOT, "delay", D, err));
    TRY(run_writer_dim(w, RUN_ROOT, "class", C, err));
    TRY(run_writer_dim(w, RUN_ROOT, "embedding", E, err));
    TRY(run_writer_dim(w, RUN_ROOT, "property", 0, err));
    for (size_t i = 0; i < 5; i++)
        TRY(run_writer_define(w, RUN_ROOT, root[i], err));
    TRY(run_writer_text(w, RUN_ROOT, NULL, "kind", RUN_KIND, err));
    TRY(run_writer_text(w, RUN_ROOT, NULL, "state_handling", "carry", err));
    if (normalization)
        TRY(run_writer_text(w, RUN_ROOT, NULL, "normalization", normalization, err));
    TRY(run_writer_integer(w, RUN_ROOT, NULL, "tokens", 70, err));
    TRY(run_writer_real(w, RUN_ROOT, NULL, "ridge", 0.25, err));
    for (size_t i = 0; i < E; i++)
        L[i * E + i] = 1 + (double)i;
    TRY(run_writer_put_i64(w, RUN_ROOT, "delay", NULL, NULL, delays, err));
    TRY(run_writer_put_i64(w, RUN_ROOT, "class_tokens", NULL, NULL, tokens, err));
    TRY(run_writer_put_f64(w, RUN_ROOT, "embedding_covariance_factor", NULL, NULL, L, err));
    TRY(run_writer_put_string(w, RUN_ROOT, "class_name", 0, "all", err));
    TRY(run_writer_put_string(w, RUN_ROOT, "class_name", 1, "noun \xc3\xa9<b>", err));
done:
    return st;
}

static sg_status fill_group(run_writer *w, const char *name, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const variables[] = {"pairs", "mean_gradient", "singular_value", "relative_memory"};
    int g;
    int64_t pairs[C * D] = {70, 69, 68, 30, 29, 28};
    float mean[H * E];
    double S[D * R];
    TRY(run_writer_group(w, name, &g, err));
    TRY(run_writer_dim(w, g, "unit", H, err));
    TRY(run_writer_dim(w, g, "rank", R, err));
    for (size_t i = 0; i < 4; i++)
        TRY(run_writer_define(w, g, variables[i], err));
    TRY(run_writer_put_i64(w, g, "pairs", NULL, NULL, pairs, err));
    for (size_t c = 0; c < C; c++) {
        for (size_t d = 0; d < D; d++) {
            size_t start[] = {c, d, 0, 0}, count[] = {1, 1, H, E};
            for (size_t i = 0; i < H * E; i++)
                mean[i] = (float)value(c, d, i / E, i % E);
            TRY(run_writer_put_f32(w, g, "mean_gradient", start, count, mean, err));
            for (size_t k = 0; k < R; k++)
                S[d * R + k] = d == 2 ? (double)NAN : value(c, d, 0, k) / 3;
        }
        size_t start[] = {c, 0, 0}, count[] = {1, D, R};
        TRY(run_writer_put_f64(w, g, "singular_value", start, count, S, err));
    }
    TRY(run_writer_text(w, g, "singular_value", "missing_reason", "too few pairs", err));
done:
    return st;
}

static sg_status write_small(const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    run_writer *w = NULL;
    TRY(run_writer_create(&w, path, err));
    TRY(fill_root(w, err));
    TRY(fill_group(w, "untrained.layer1.cell", err));
    TRY(fill_group(w, "layer1.hidden", err));
    TRY(fill_group(w, "layer1.cell", err));
    run_writer *ready = w;
    w = NULL;
    TRY(run_writer_commit(ready, err));
done:
    run_writer_abort(w);
    return st;
}

typedef struct {
    char folder[32], path[64];
} place;

static int make_place(void **state)
{
    static place p;
    p = (place){"/tmp/sg_run_XXXXXX", ""};
    if (!mkdtemp(p.folder))
        return -1;
    snprintf(p.path, sizeof p.path, "%s/run.nc", p.folder);
    *state = &p;
    sg_error err;
    return write_small(p.path, &err) == SG_OK ? 0 : -1;
}

static int remove_place(void **state)
{
    place *p = *state;
    unlink(p->path);
    return rmdir(p->folder); /* fails when something was left behind */
}

/* Gains of normalised gradients are per standard deviation, others per unit; what is never normalised is per
 * unit. */
static void units_follow_the_normalisation(void **state)
{
    place *p = *state;
    static const char *const of[][2] = {{"covariance", "state units per standard deviation of the embedding"},
                                        {"none", "state units per unit of the embedding"},
                                        {NULL, "state units per unit of the embedding"}};
    for (size_t i = 0; i < 3; i++) {
        sg_run *r;
        sg_error err;
        normalization = of[i][0];
        assert_ok(write_small(p->path, &err), err);
        assert_ok(sg_run_open(&r, p->path, &err), err);
        assert_string_equal(sg_run_variable_attribute(r, "layer1.cell", "singular_value", "units"), of[i][1]);
        assert_string_equal(sg_run_variable_attribute(r, "layer1.cell", "mean_gradient", "units"), of[1][1]);
        assert_string_equal(sg_run_variable_attribute(r, "layer1.cell", "relative_memory", "units"), "1");
        sg_run_close(r);
    }
    normalization = "covariance";
}

static void what_was_written_is_read(void **state)
{
    place *p = *state;
    sg_run *r;
    sg_error err;
    assert_ok(sg_run_open(&r, p->path, &err), err);
    assert_int_equal(sg_run_delays(r), D);
    assert_int_equal(sg_run_classes(r), C);
    assert_int_equal(sg_run_embedding(r), E);
    assert_int_equal(sg_run_properties(r), 0);
    assert_string_equal(sg_run_class_name(r, 1), "noun \xc3\xa9<b>");
    assert_int_equal(sg_run_class_tokens(r, 1), 30);
    assert_int_equal(sg_run_groups(r), 3);
    assert_string_equal(sg_run_group_name(r, 0), "layer1.cell");
    assert_string_equal(sg_run_group_name(r, 1), "layer1.hidden");
    assert_string_equal(sg_run_group_name(r, 2), "untrained.layer1.cell");
    assert_int_equal(sg_run_units(r, 0), H);
    assert_int_equal(sg_run_rank(r, 0), R);
    assert_string_equal(sg_run_attribute(r, "tokens"), "70");
    assert_string_equal(sg_run_attribute(r, "ridge"), "0.25");
    assert_null(sg_run_attribute(r, "no such"));
    double mean[2 * H * E];
    size_t start[] = {1, 1, 0, 0}, count[] = {1, 2, H, E}, rank, shape[SG_RUN_MAX_DIMS];
    assert_ok(sg_run_read(r, "layer1.cell", "mean_gradient", start, count, mean, &err), err);
    for (size_t i = 0; i < 2 * H * E; i++)
        assert_close(mean[i], value(1, 1 + i / (H * E), i / E % H, i % E), 0, 0, "mean_gradient", i);
    assert_true(sg_run_shape(r, "layer1.cell", "singular_value", &rank, shape));
    assert_int_equal(rank, 3);
    assert_int_equal(shape[2], R);
    char name[SG_RUN_NAME];
    assert_true(sg_run_variable_name(r, NULL, 1, name));
    assert_string_equal(name, "class_name");
    assert_true(sg_run_variable_name(r, "layer1.hidden", 3, name));
    assert_string_equal(name, "relative_memory");
    assert_false(sg_run_variable_name(r, "layer1.hidden", 4, name) ||
                 sg_run_variable_name(r, "layer7.cell", 0, name));
    assert_true(sg_run_dimension_name(r, "layer1.cell", "singular_value", 2, name));
    assert_string_equal(name, "rank");
    assert_true(sg_run_dimension_name(r, "layer1.cell", "singular_value", 0, name));
    assert_string_equal(name, "class");
    assert_false(sg_run_dimension_name(r, "layer1.cell", "singular_value", 3, name) ||
                 sg_run_dimension_name(r, "layer1.cell", "nonsense", 0, name));
    double S[C * D * R];
    assert_ok(sg_run_read(r, "layer1.cell", "singular_value", NULL, NULL, S, &err), err);
    assert_true(isnan(S[2 * R]) && S[D * R + 1] == value(1, 0, 0, 1) / 3);
    assert_string_equal(sg_run_variable_attribute(r, "layer1.cell", "singular_value", "missing_reason"),
                        "too few pairs");
    assert_string_equal(sg_run_variable_attribute(r, NULL, "delay", "units"), "tokens");
    assert_null(sg_run_variable_attribute(r, NULL, "delay", "missing_reason"));
    count[1] = 3;
    assert_int_equal(sg_run_read(r, "layer1.cell", "mean_gradient", start, count, mean, &err), SG_EINVAL);
    assert_int_equal(sg_run_read(r, "layer1.cell", "nonsense", NULL, NULL, mean, &err), SG_EINVAL);
    assert_int_equal(sg_run_read(r, "layer7.cell", "pairs", NULL, NULL, mean, &err), SG_EINVAL);
    char *text;
    assert_int_equal(sg_run_read_string(r, NULL, "class_name", C, &text, &err), SG_EINVAL);
    assert_null(text);
    sg_run_close(r);
}

static void the_same_content_is_the_same_bytes(void **state)
{
    place *p = *state;
    sg_error err;
    char other[80], *a, *b;
    size_t n, m;
    snprintf(other, sizeof other, "%s/again.nc", p->folder);
    sleep(1); /* a stored clock would show */
    assert_ok(write_small(other, &err), err);
    assert_ok(sg_read_file(&a, &n, p->path, 1 << 24, &err), err);
    assert_ok(sg_read_file(&b, &m, other, 1 << 24, &err), err);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    sg_free(a);
    sg_free(b);
    unlink(other);
}

static void properties_can_be_added(void **state)
{
    place *p = *state;
    sg_error err;
    char other[80];
    snprintf(other, sizeof other, "%s/more.nc", p->folder);
    run_writer *w;
    sg_run *r;
    int g;
    assert_ok(run_writer_modify(&w, p->path, other, NULL, &err), err);
    assert_ok(run_writer_group(w, "layer1.cell", &g, &err), err);
    assert_ok(run_writer_put_string(w, RUN_ROOT, "property_name", 0, "number", &err), err);
    double memory[C * D] = {1, 0.5, 0.25, 0.9, 0.8, 0.7};
    size_t start[] = {0, 0, 0}, count[] = {1, C, D};
    assert_ok(run_writer_put_f64(w, g, "relative_memory", start, count, memory, &err), err);
    assert_ok(run_writer_commit(w, &err), err);
    assert_ok(sg_run_open(&r, other, &err), err);
    assert_int_equal(sg_run_properties(r), 1);
    assert_string_equal(sg_run_property_name(r, 0), "number");
    double back[C * D];
    assert_ok(sg_run_read(r, "layer1.cell", "relative_memory", NULL, NULL, back, &err), err);
    for (size_t i = 0; i < C * D; i++)
        assert_close(back[i], memory[i], 0, 0, "relative_memory", i);
    assert_ok(sg_run_read(r, "layer1.hidden", "relative_memory", NULL, NULL, back, &err), err);
    assert_true(isnan(back[0])); /* not written: missing, not a number out of nowhere */
    sg_run_close(r);
    unlink(other);
}

/* Cut at many lengths, one bit changed at many places: refused with a message, never a crash. */
static void damage_is_refused(void **state)
{
    place *p = *state;
    sg_error err;
    char *bytes, other[80];
    size_t n;
    assert_ok(sg_read_file(&bytes, &n, p->path, 1 << 24, &err), err);
    snprintf(other, sizeof other, "%s/bad.nc", p->folder);
    size_t step = n / 200 + 1;
    for (size_t at = 0; at < n; at += step)
        for (int flip = 0; flip < 2; flip++) {
            FILE *f = fopen(other, "wb");
            assert_non_null(f);
            bytes[at] = (char)(bytes[at] ^ flip);
            size_t length = flip ? n : at;
            assert_int_equal(fwrite(bytes, 1, length, f), length);
            bytes[at] = (char)(bytes[at] ^ flip);
            fclose(f);
            sg_run *r;
            err.msg[0] = 0;
            sg_status st = sg_run_open(&r, other, &err);
            assert_int_equal(st, SG_EFORMAT);
            assert_null(r);
            assert_non_null(strstr(err.msg, "bad.nc"));
        }
    sg_free(bytes);
    unlink(other);
    sg_run *r;
    assert_int_equal(sg_run_open(&r, other, &err), SG_EIO);
    assert_int_equal(sg_run_open(&r, p->folder, &err), SG_EFORMAT);
}

static void wrong_shapes_are_named(void **state)
{
    place *p = *state;
    sg_error err;
    char other[80];
    snprintf(other, sizeof other, "%s/odd.nc", p->folder);
    run_writer *w;
    sg_run *r;
    int g;
    /* no variable mean_gradient */
    assert_ok(run_writer_create(&w, other, &err), err);
    assert_ok(fill_root(w, &err), err);
    assert_ok(run_writer_group(w, "layer1.cell", &g, &err), err);
    assert_ok(run_writer_dim(w, g, "unit", H, &err), err);
    assert_ok(run_writer_dim(w, g, "rank", R, &err), err);
    assert_ok(run_writer_define(w, g, "pairs", &err), err);
    assert_ok(run_writer_commit(w, &err), err);
    assert_int_equal(sg_run_open(&r, other, &err), SG_EFORMAT);
    assert_non_null(strstr(err.msg, "mean_gradient is missing"));
    /* a rank that is not min(unit, embedding) */
    assert_ok(run_writer_create(&w, other, &err), err);
    assert_ok(fill_root(w, &err), err);
    assert_ok(run_writer_group(w, "layer1.cell", &g, &err), err);
    assert_ok(run_writer_dim(w, g, "unit", H, &err), err);
    assert_ok(run_writer_dim(w, g, "rank", R + 1, &err), err);
    assert_ok(run_writer_commit(w, &err), err);
    assert_int_equal(sg_run_open(&r, other, &err), SG_EFORMAT);
    assert_non_null(strstr(err.msg, "rank is 5"));
    /* no group at all */
    assert_ok(run_writer_create(&w, other, &err), err);
    assert_ok(fill_root(w, &err), err);
    assert_ok(run_writer_commit(w, &err), err);
    assert_int_equal(sg_run_open(&r, other, &err), SG_EFORMAT);
    /* a part is no run */
    assert_ok(run_writer_modify(&w, p->path, other, NULL, &err), err);
    assert_ok(run_writer_text(w, RUN_ROOT, NULL, "kind", RUN_KIND_PART, &err), err);
    assert_ok(run_writer_text(w, RUN_ROOT, NULL, "part", "2/4", &err), err);
    assert_ok(run_writer_commit(w, &err), err);
    assert_int_equal(sg_run_open(&r, other, &err), SG_EFORMAT);
    assert_non_null(strstr(err.msg, "part 2/4"));
    unlink(other);
}

static void every_allocation_may_fail(void **state)
{
    place *p = *state;
    sg_error err;
    char other[80];
    snprintf(other, sizeof other, "%s/memory.nc", p->folder);
    for (int what = 0; what < 2; what++) {
        bool done = false;
        for (long n = 0; !done && n < 500; n++) {
            long live = sg_alloc_live();
            sg_run *r = NULL;
            sg_alloc_fail_after(n);
            sg_status st = what ? write_small(other, &err) : sg_run_open(&r, p->path, &err);
            sg_alloc_fail_after(-1);
            done = st == SG_OK;
            assert_true(done || st == SG_ENOMEM);
            sg_run_close(r);
            assert_int_equal(sg_alloc_live(), live);
        }
        assert_true(done);
    }
    unlink(other);
}

/* The first of each kind is told in words, the others are counted. */
static void reasons_tell_the_first_and_count_the_rest(void **state)
{
    (void)state;
    reason r = {0}, plain = {0}, none = {0};
    char text[400] = "", small[20] = "";
    reason_note(&r, "noun", 3, "no pairs");
    reason_append(text, sizeof text, &r);
    assert_string_equal(text, "class noun, delay 3: no pairs");
    reason_note(&r, "verb", 4, "one pair");
    reason_note(&r, "verb", 5, NULL);
    reason_note(&r, "adverb", SIZE_MAX, "no words");
    reason_note_plain(&plain, "none at all");
    text[0] = 0;
    reason_append(text, sizeof text, &r);
    reason_append(text, sizeof text, &none);
    reason_append(text, sizeof text, &plain);
    assert_string_equal(text, "class noun, delay 3: no pairs (and 2 more); none at all");
    reason_append(small, sizeof small, &r);
    assert_string_equal(small, "class noun, delay 3");
    reason of = {0}, whole = {0};
    reason_note_of(&of, "property", "number", 2, "few words");
    reason_note(&whole, "verb", SIZE_MAX, "no words");
    text[0] = 0;
    reason_append(text, sizeof text, &of);
    reason_append(text, sizeof text, &whole);
    assert_string_equal(text, "property number, delay 2: few words; class verb: no words");
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "write")) {
        sg_error err;
        if (write_small(argv[2], &err) == SG_OK)
            return 0;
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_is_read, make_place, remove_place),
        cmocka_unit_test_setup_teardown(units_follow_the_normalisation, make_place, remove_place),
        cmocka_unit_test_setup_teardown(the_same_content_is_the_same_bytes, make_place, remove_place),
        cmocka_unit_test_setup_teardown(properties_can_be_added, make_place, remove_place),
        cmocka_unit_test_setup_teardown(damage_is_refused, make_place, remove_place),
        cmocka_unit_test_setup_teardown(wrong_shapes_are_named, make_place, remove_place),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, make_place, remove_place),
        cmocka_unit_test(reasons_tell_the_first_and_count_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
