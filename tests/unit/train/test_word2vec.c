/* SPDX-License-Identifier: MIT */
/* Word vectors: text and binary files, frozen embeddings. */
#include "helpers/train_util.h"

#include "train/word2vec.h"

/* ---- word vectors ---- */

static sg_status read_vectors(const char *data, size_t n, float *encoder, size_t *found, sg_error *err)
{
    char *path = in_folder("vectors");
    put_file(path, data, n);
    sg_status st = word2vec_read(path, vocab, 2, encoder, found, NULL, err);
    if (st != SG_OK)
        assert_non_null(strstr(err->msg, path));
    unlink(path);
    return st;
}

static void word_vectors_text_and_binary(void **state)
{
    (void)state;
    enum { MAX_V = 64 };
    assert_true(sg_vocab_size(vocab) <= MAX_V);
    sg_error err;
    float e[2 * MAX_V];
    size_t found, n;
    int32_t w0 = sg_vocab_id(vocab, "w0", 2), w1 = sg_vocab_id(vocab, "w1", 2),
            w2 = sg_vocab_id(vocab, "w2", 2);
    static const char *const texts[] = {"3 2\nw0 1.5 -2e-1\nother 7 7\nw1 +3 .25\n", "w0 1.5 -0.2\nw1 3 0.25",
                                        "w0\t1.5  -.2 \r\nw1 3 25e-2\r\nw1 9 9\n"};
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < 2 * MAX_V; i++)
            e[i] = 100;
        assert_ok(read_vectors(texts[k], strlen(texts[k]), e, &found, &err), err);
        assert_int_equal(found, 2);
        assert_close(e[2 * w0], 1.5, 1e-7, 0, "w0", 0);
        assert_close(e[2 * w0 + 1], -0.2, 1e-7, 0, "w0", 1);
        assert_close(e[2 * w1 + 1], 0.25, 1e-7, 0, "w1", 1);
        assert_true(e[2 * w2] == 100);
    }
    for (int newline = 0; newline < 2; newline++) {
        char data[64];
        float v[] = {1.5f, -0.2f, 3, 0.25f};
        n = (size_t)sprintf(data, "2 2\nw0 ");
        memcpy(data + n, v, 8), n += 8;
        if (newline)
            data[n++] = '\n';
        n += (size_t)sprintf(data + n, "w1 ");
        memcpy(data + n, v + 2, 8), n += 8;
        assert_ok(read_vectors(data, n, e, &found, &err), err);
        assert_int_equal(found, 2);
        assert_true(e[2 * w0 + 1] == -0.2f && e[2 * w1 + 1] == 0.25f);
        for (size_t cut = 4; cut < n; cut++)
            assert_int_equal(read_vectors(data, cut, e, &found, &err), SG_EFORMAT);
    }
    static const char *const bad[] = {"",           "2 3\nw0 1 2 3\n", "w0 1\n",
                                      "w0 1 2 3\n", "w0 1 two\n",      "2 2\nw0 1 2\nw1 1\n"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        assert_int_equal(read_vectors(bad[k], strlen(bad[k]), e, &found, &err), SG_EFORMAT);
    assert_int_equal(read_vectors("w0 nan 1\n", 9, e, &found, &err), SG_ENONFINITE);
    assert_int_equal(read_vectors("w0 1e39 1\n", 10, e, &found, &err), SG_ENONFINITE);
}

static void embeddings_are_loaded_and_frozen(void **state)
{
    (void)state;
    sg_error err;
    sg_train_result r;
    sg_train_config c = settings();
    stopper s = {.left = 1 << 30};
    sg_monitor monitor = {stop_tick, keep_warning, &s};
    char *path = in_folder("vectors");
    const char *text = "w0 1 2 3 4 5 6\nw1 6 5 4 3 2 1\n";
    put_file(path, text, strlen(text));
    c.embeddings = path;
    int32_t w0 = sg_vocab_id(vocab, "w0", 2);
    for (int frozen = 0; frozen < 2; frozen++) {
        c.freeze_embeddings = frozen;
        sg_model *m = new_model(SG_CELL_LSTM, 1, false);
        assert_ok(sg_train(&r, m, stream, stream, &c, &monitor, &err), err);
        float *row = sg_model_find(m, "encoder.weight")->data + (size_t)w0 * 6;
        assert_true((row[2] == 3) == (frozen == 1));
        assert_non_null(strstr(s.warning, "vectors for 2 of"));
        sg_model_free(m);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(word_vectors_text_and_binary),
        cmocka_unit_test(embeddings_are_loaded_and_frozen),
    };
    if (!mkdtemp(folder))
        return 1;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
