/* SPDX-License-Identifier: MIT */
/* Blocks are whole documents, as even as these allow. */
#include "helpers/corpus_util.h"

#include "analysis/blocks.h"

enum { T = 9000 };

/* T tokens in documents that begin at starts; NULL: in one. */
static sg_stream *stream_of(const uint64_t *starts, size_t n)
{
    static int32_t ids[T];
    sg_error err = {""};
    sg_stream *s = NULL;
    assert_ok(sg_stream_from_ids(&s, ids, NULL, T, NULL, NULL, NULL, &err), err);
    if (starts)
        assert_ok(sg_stream_mark_documents(s, starts, n, &err), err);
    return s;
}

static sg_model *model(void)
{
    sg_error err = {""};
    sg_model *m;
    sg_model_shape shape = {.cell = SG_CELL_LSTM, .layers = 1, .embedding = 2, .hidden = {2}};
    assert_ok(sg_model_new(&m, &shape, NULL, &err), err);
    return m;
}

/* Sizes and blocks of an analysis; free with analysis_free. */
static void plan(analysis *an, const sg_model *m, const sg_stream *s, sg_documents by, size_t blocks)
{
    static float features[2 * T];
    static sg_analysis_config cfg;
    sg_error err = {""};
    sg_analysis_defaults(&cfg, m);
    cfg.features = features, cfg.delays = 2, cfg.blocks = blocks, cfg.documents = by;
    *an = (analysis){0};
    assert_ok(analysis_sizes(an, m, s, NULL, &cfg, &err), err);
    assert_ok(blocks_place(an, &err), err);
    assert_int_equal(analysis_block_start(an, 0), 0);
    assert_int_equal(analysis_block_start(an, an->B), T);
}

static bool begins(const uint64_t *starts, size_t n, uint64_t t)
{
    for (size_t i = 0; i < n; i++)
        if (starts[i] == t)
            return true;
    return t == 0 || t == T;
}

static void few_documents_are_the_blocks(void **state)
{
    (void)state;
    const uint64_t starts[] = {0, 10, 500, 4000, 4001, 8999};
    sg_stream *s = stream_of(starts, 6);
    sg_model *m = model();
    analysis an;
    plan(&an, m, s, SG_DOCUMENTS_AUTO, 20);
    assert_int_equal(an.used.documents, SG_DOCUMENTS_FILE);
    assert_true(an.B == 6 && an.split == 1 && !an.alone && an.documents == 6);
    for (size_t b = 0; b < 6; b++)
        assert_int_equal(analysis_block_start(&an, b), starts[b]);
    analysis_free(&an);
    sg_model_free(m);
    sg_stream_free(s);
}

/* Every end is the nearest beginning to its even place: none is nearer. */
static void ends_are_nearest(void **state)
{
    (void)state;
    enum { N = 150 };
    uint64_t starts[N] = {0};
    sg_rng r;
    sg_rng_seed(&r, 3, 0);
    for (size_t i = 1; i < N; i++)
        starts[i] = starts[i - 1] + 1 + sg_rng_below(&r, 100);
    assert_true(starts[N - 1] < T);
    sg_stream *s = stream_of(starts, N);
    sg_model *m = model();
    analysis an;
    plan(&an, m, s, SG_DOCUMENTS_AUTO, 20);
    assert_true(an.documents == N && an.split == 4 && an.B >= 15 && an.B <= 20);
    for (size_t f = 0; f <= 4 * an.B; f++) {
        assert_true(begins(starts, N, analysis_part_start(&an, f)));
        assert_true(!f || analysis_part_start(&an, f) >= analysis_part_start(&an, f - 1));
    }
    for (size_t k = 0; k < 20; k++) { /* some end is as near to T k / 20 as a document allows */
        double target = T * (double)k / 20, best = T, got = T;
        for (size_t i = 0; i < N; i++)
            best = fmin(best, fabs((double)starts[i] - target));
        best = fmin(best, T - target);
        for (size_t b = 0; b <= an.B; b++)
            got = fmin(got, fabs((double)analysis_block_start(&an, b) - target));
        assert_true(got <= best + 0.5);
    }
    analysis_free(&an);
    plan(&an, m, s, SG_DOCUMENTS_NONE, 20); /* as ever: even */
    assert_true(an.B == 20 && an.split == 1 && an.alone && analysis_block_start(&an, 7) == T * 7 / 20);
    analysis_free(&an);
    sg_model_free(m);
    sg_stream_free(s);
}

static void few_documents_tell_nothing_of_others(void **state)
{
    (void)state;
    const uint64_t starts[] = {0, 4000, 6000, 7000};
    sg_model *m = model();
    analysis an;
    for (size_t n = 0; n <= 4; n += 4) {
        sg_stream *s = stream_of(n ? starts : NULL, n);
        plan(&an, m, s, SG_DOCUMENTS_AUTO, 20);
        assert_true(an.alone && an.B == 20 && an.split == 4 && an.documents == (n ? n : 1));
        assert_int_equal(analysis_block_start(&an, 1), T / 20);
        assert_int_equal(analysis_part_start(&an, 1), T / 80);
        analysis_free(&an);
        sg_stream_free(s);
    }
    sg_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_documents_are_the_blocks),
        cmocka_unit_test(ends_are_nearest),
        cmocka_unit_test(few_documents_tell_nothing_of_others),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
