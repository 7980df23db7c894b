/* SPDX-License-Identifier: MIT */
/* An analysis of arrays, its result without a path: the same numbers as from files to a file. */
#include "helpers/corpus_util.h"

#include "stategrad/analysis.h"
#include "stategrad/run.h"

enum { ROWS = 400, E = 3, H = 4, DELAYS = 4 };

static float features[ROWS * E];

static sg_model *feature_model(void)
{
    sg_error err = {""};
    sg_model *m;
    sg_model_shape shape = {.cell = SG_CELL_LSTM, .layers = 1, .embedding = E, .hidden = {H}};
    sg_rng r;
    assert_ok(sg_model_new(&m, &shape, NULL, &err), err);
    sg_model_init_uniform(m, 0.5f, 3);
    sg_rng_seed(&r, 5, 0);
    for (size_t i = 0; i < ROWS * E; i++)
        features[i] = (float)sg_rng_normal(&r);
    return m;
}

static const char *write_npy(void)
{
    char header[128];
    static char bytes[128 + sizeof features];
    memset(header, ' ', sizeof header);
    int n =
        snprintf(header + 10, 118, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", ROWS, E);
    header[10 + n] = ' ';
    header[127] = '\n';
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    memcpy(bytes, header, 128);
    memcpy(bytes + 128, features, sizeof features);
    return write_bytes(&tmp, "x.npy", bytes, sizeof bytes);
}

static size_t entries_of(const char *folder)
{
    size_t n = 0;
    DIR *d = opendir(folder);
    while (d && readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Every number of these variables is the same to the bit. */
static void assert_same_runs(sg_run *a, sg_run *b)
{
    static const char *const names[] = {"pairs",    "mean_gradient", "singular_value", "singular_value_low",
                                        "rms_gain", "coherence"};
    static double x[1 << 14], y[1 << 14];
    sg_error err = {""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t rank, shape[SG_RUN_MAX_DIMS], n = 1;
        assert_true(sg_run_shape(a, "layer1.cell", names[i], &rank, shape));
        for (size_t k = 0; k < rank; k++)
            n *= shape[k];
        assert_in_range(n, 1, sizeof x / sizeof *x);
        assert_ok(sg_run_read(a, "layer1.cell", names[i], NULL, NULL, x, &err), err);
        assert_ok(sg_run_read(b, "layer1.cell", names[i], NULL, NULL, y, &err), err);
        assert_memory_equal(x, y, n * sizeof *x);
    }
}

static void arrays_give_the_numbers_of_files(void **state)
{
    (void)state;
    sg_error err = {""};
    sg_model *m = feature_model();
    sg_stream *from_rows, *from_array;
    sg_classes *k;
    sg_run *files, *arrays;
    sg_analysis_config cfg;
    const char *names[] = {"a"};
    bool member[ROWS], first[ROWS];
    char labels[2 * ROWS + 1] = "", spec[600], path[600];
    for (int i = 0; i < ROWS; i++) {
        member[i] = i % 3 == 0;
        first[i] = true; /* as the rows of a file: each is a line */
        memcpy(labels + 2 * i, member[i] ? "a\n" : "b\n", 2);
    }
    snprintf(spec, sizeof spec, "tags:%s", write_text(&tmp, "labels", labels));
    snprintf(path, sizeof path, "%s/run.nc", tmp.folder);
    const char *specs[] = {spec};
    sg_analysis_defaults(&cfg, m);
    assert_int_equal(cfg.struct_size, sizeof cfg);
    cfg.delays = DELAYS;
    cfg.threads = 1;

    cfg.features_path = write_npy();
    assert_ok(sg_classes_new(&k, specs, 1, NULL, &err), err);
    assert_ok(sg_stream_new(&from_rows, &(sg_corpus_config){.rows = ROWS}, NULL, k, NULL, &err), err);
    assert_ok(sg_analyze(path, m, from_rows, k, &cfg, NULL, &err), err);
    assert_ok(sg_run_open(&files, path, &err), err);
    sg_classes_free(k);

    cfg.features = features;
    assert_ok(sg_classes_from_names(&k, names, 1, NULL, &err), err);
    assert_ok(sg_stream_from_ids(&from_array, NULL, first, ROWS, member, NULL, k, &err), err);
    assert_int_equal(sg_analyze_run(&arrays, m, from_array, k, &cfg, NULL, &err),
                     SG_EINVAL); /* file and array */
    assert_null(arrays);
    cfg.features_path = NULL;
    setenv("TMPDIR", tmp.folder, 1);
    size_t before = entries_of(tmp.folder);
    assert_ok(sg_analyze_run(&arrays, m, from_array, k, &cfg, NULL, &err), err);
    assert_int_equal(entries_of(tmp.folder), before); /* the file has no name */
    unsetenv("TMPDIR");
    assert_int_equal(sg_run_class_tokens(arrays, 1), (ROWS + 2) / 3);
    double x[DELAYS], y[DELAYS]; /* class "a": index 1 in both; the file's run has "b" besides */
    const size_t start[] = {1, 0}, count[] = {1, DELAYS};
    assert_int_equal(sg_run_classes(files), 3);
    assert_ok(sg_run_read(files, "layer1.cell", "coherence", start, count, x, &err), err);
    assert_ok(sg_run_read(arrays, "layer1.cell", "coherence", start, count, y, &err), err);
    assert_memory_equal(x, y, sizeof x);
    sg_run_close(arrays);
    sg_classes_free(k);

    assert_ok(sg_classes_new(&k, specs, 1, NULL, &err), err); /* the same classes: every number */
    sg_stream_free(from_array);
    assert_ok(sg_stream_new(&from_array, &(sg_corpus_config){.rows = ROWS}, NULL, k, NULL, &err), err);
    assert_ok(sg_analyze_run(&arrays, m, from_array, k, &cfg, NULL, &err), err);
    assert_same_runs(files, arrays);
    features[7] += 1; /* would the comparison notice? */
    sg_run *other;
    assert_ok(sg_analyze_run(&other, m, from_array, k, &cfg, NULL, &err), err);
    double s1[DELAYS], s2[DELAYS];
    const size_t zero[] = {0, 0};
    assert_ok(sg_run_read(arrays, "layer1.cell", "coherence", zero, count, s1, &err), err);
    assert_ok(sg_run_read(other, "layer1.cell", "coherence", zero, count, s2, &err), err);
    assert_true(memcmp(s1, s2, sizeof s1) != 0);
    sg_run_close(other);
    sg_run_close(arrays);
    sg_run_close(files);
    sg_stream_free(from_rows);
    sg_stream_free(from_array);
    sg_classes_free(k);
    sg_model_free(m);
}

/* k may be NULL: the class "all" alone, with the numbers it has beside others. */
static void without_classes(void **state)
{
    (void)state;
    sg_error err = {""};
    sg_model *m = feature_model();
    sg_stream *s;
    sg_classes *k;
    sg_run *with, *without;
    sg_analysis_config cfg;
    sg_analysis_defaults(&cfg, m);
    cfg.delays = DELAYS, cfg.threads = 1, cfg.features = features;
    assert_ok(sg_classes_new(&k, NULL, 0, NULL, &err), err);
    assert_ok(sg_stream_from_ids(&s, NULL, NULL, ROWS, NULL, NULL, NULL, &err), err);
    assert_ok(sg_analyze_run(&without, m, s, NULL, &cfg, NULL, &err), err);
    assert_ok(sg_analyze_run(&with, m, s, k, &cfg, NULL, &err), err);
    assert_int_equal(sg_run_class_tokens(without, 0), ROWS);
    assert_same_runs(without, with);
    sg_run_close(with);
    sg_run_close(without);
    sg_stream_free(s);
    sg_classes_free(k);
    sg_model_free(m);
}

static void failures_leave_nothing(void **state)
{
    (void)state;
    sg_error err = {""};
    sg_model *m = feature_model();
    sg_stream *s;
    sg_run *r;
    sg_analysis_config cfg;
    sg_analysis_defaults(&cfg, m);
    cfg.delays = 2, cfg.threads = 1, cfg.features = features;
    features[11] = NAN;
    assert_ok(sg_stream_from_ids(&s, NULL, NULL, ROWS, NULL, NULL, NULL, &err), err);
    setenv("TMPDIR", tmp.folder, 1);
    size_t before = entries_of(tmp.folder);
    assert_int_equal(sg_analyze_run(&r, m, s, NULL, &cfg, NULL, &err), SG_ENONFINITE);
    assert_non_null(strstr(err.msg, "features: row 3, column 2"));
    assert_null(r);
    assert_int_equal(entries_of(tmp.folder), before);
    setenv("TMPDIR", "/nowhere", 1);
    assert_int_equal(sg_analyze_run(&r, m, s, NULL, &cfg, NULL, &err), SG_EIO);
    unsetenv("TMPDIR");
    sg_stream_free(s);
    sg_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_give_the_numbers_of_files),
        cmocka_unit_test(without_classes),
        cmocka_unit_test(failures_leave_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
