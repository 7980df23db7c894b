/* SPDX-License-Identifier: MIT */
/* Corpora that lie in memory: a text, feature rows, arrays of ids; the same stream as from a file. */
#include "helpers/corpus_util.h"

#include "corpus/corpus_internal.h"

static const char text[] = "the cat sat\nthe dog\n\nsat sat\n";

static void assert_same_steps(const sg_stream *a, const sg_stream *b)
{
    sg_error err = {""};
    sg_step x, y;
    assert_int_equal(sg_stream_length(a), sg_stream_length(b));
    for (uint64_t t = 0; t < sg_stream_length(a); t++) {
        assert_ok(sg_stream_read(a, t, 1, &x, &err), err);
        assert_ok(sg_stream_read(b, t, 1, &y, &err), err);
        assert_true(x.id == y.id && x.set == y.set && x.first == y.first && x.begins == y.begins);
    }
}

static void a_text_reads_as_its_file(void **state)
{
    (void)state;
    sg_error err = {""};
    const char *paths[] = {write_text(&tmp, "text", text)}, *specs[] = {"frequency"};
    sg_corpus_config file = config_of(paths, 1), memory = {.struct_size = sizeof memory,
                                                           .eos = true,
                                                           .text = text,
                                                           .text_size = sizeof text - 1};
    sg_vocab *v[2];
    sg_classes *k[2];
    sg_stream *s[2];
    for (int i = 0; i < 2; i++) {
        const sg_corpus_config *c = i ? &memory : &file;
        assert_ok(build_vocab(&v[i], c, (sg_vocab_config){.unk = true}, &err), err);
        assert_ok(sg_classes_new(&k[i], specs, 1, v[i], &err), err);
        assert_ok(sg_stream_new(&s[i], c, v[i], k[i], NULL, &err), err);
    }
    assert_int_equal(sg_stream_length(s[0]), 11);
    assert_same_steps(s[0], s[1]);
    assert_string_equal(sg_stream_sha256(s[0]), sg_stream_sha256(s[1]));
    for (int i = 0; i < 2; i++) {
        sg_stream_free(s[i]);
        sg_classes_free(k[i]);
        sg_vocab_free(v[i]);
    }
}

/* Larger than a block, so that copying stops and goes on within the text and within a row. */
static void long_texts_and_rows_cross_blocks(void **state)
{
    (void)state;
    enum { LINES = 30000 };
    sg_error err = {""};
    char *lines = calloc(LINES, 16);
    size_t n = 0;
    for (int i = 0; i < LINES; i++)
        n += (size_t)sprintf(lines + n, "w%d\n", i);
    const char *paths[] = {write_bytes(&tmp, "long", lines, n)};
    char *rows = calloc(LINES, 4);
    for (int i = 0; i < LINES; i++)
        memcpy(rows + 4 * i, "row\n", 4);
    const char *row_paths[] = {write_bytes(&tmp, "rows", rows, (size_t)4 * LINES)};
    const sg_corpus_config pairs[2][2] = {{{.paths = paths, .n_paths = 1}, {.text = lines, .text_size = n}},
                                          {{.paths = row_paths, .n_paths = 1}, {.rows = LINES}}};
    for (int i = 0; i < 2; i++) {
        sg_stream *a, *b;
        assert_ok(sg_stream_new(&a, &pairs[i][0], NULL, NULL, NULL, &err), err);
        assert_ok(sg_stream_new(&b, &pairs[i][1], NULL, NULL, NULL, &err), err);
        assert_int_equal(sg_stream_length(b), LINES);
        assert_same_steps(a, b);
        assert_string_equal(sg_stream_sha256(a), sg_stream_sha256(b));
        sg_stream_free(a);
        sg_stream_free(b);
    }
    free(lines);
    free(rows);
}

static void rows_take_tags_line_by_line(void **state)
{
    (void)state;
    sg_error err = {""};
    char spec[600];
    snprintf(spec, sizeof spec, "tags:%s", write_text(&tmp, "labels", "on\noff\non\n"));
    const char *specs[] = {spec};
    sg_classes *k;
    sg_stream *s = NULL;
    assert_ok(sg_classes_new(&k, specs, 1, NULL, &err), err);
    assert_ok(sg_stream_new(&s, &(sg_corpus_config){.rows = 3}, NULL, k, NULL, &err), err);
    assert_int_equal(sg_stream_class_tokens(s, k, (size_t)sg_classes_find(k, "on")), 2);
    sg_stream_free(s);
    sg_classes_free(k);
    assert_ok(sg_classes_new(&k, specs, 1, NULL, &err), err);
    assert_int_equal(sg_stream_new(&s, &(sg_corpus_config){.rows = 4}, NULL, k, NULL, &err), SG_EFORMAT);
    assert_null(s);
    assert_non_null(strstr(err.msg, "the feature rows"));
    sg_classes_free(k);
}

static void one_origin_only(void **state)
{
    (void)state;
    sg_error err = {""};
    sg_corpus *c;
    const char *paths[] = {"x"};
    const sg_corpus_config wrong[] = {{.rows = 3, .text = "a", .text_size = 1},
                                      {.paths = paths, .n_paths = 1, .rows = 1},
                                      {.struct_size = 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(sg_corpus_open(&c, &wrong[i], &err), SG_EINVAL);
        assert_null(c);
    }
}

/* ---- arrays of ids ---- */

static sg_vocab *three_words(void)
{
    sg_error err = {""};
    const char *words[] = {"a", "b", "c"};
    sg_vocab *v;
    assert_ok(sg_vocab_from_words(&v, words, NULL, 3, &err), err);
    return v;
}

static void ids_and_members(void **state)
{
    (void)state;
    sg_error err = {""};
    const char *names[] = {"even", "late"};
    const int32_t ids[] = {2, 0, 1, 2, 0};
    const bool first[] = {false, false, true, false, false};
    const bool member[] = {1, 0, 0, 0, 1, 1, 0, 1, 1, 1};
    sg_vocab *v = three_words();
    sg_classes *k;
    sg_stream *s;
    sg_step x[5];
    assert_ok(sg_classes_from_names(&k, names, 2, v, &err), err);
    assert_int_equal(sg_classes_count(k), 3);
    assert_ok(sg_stream_from_ids(&s, ids, first, 5, member, v, k, &err), err);
    assert_ok(sg_stream_read(s, 0, 5, x, &err), err);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(x[i].id, ids[i]);
        assert_int_equal(x[i].first, i == 0 || i == 2); /* token 0 always begins a sentence */
        assert_true(sg_classes_contains(k, x[i].set, 0));
        for (size_t c = 0; c < 2; c++)
            assert_int_equal(sg_classes_contains(k, x[i].set, c + 1), member[2 * i + c]);
    }
    assert_int_equal(sg_stream_class_tokens(s, k, 1), 3);
    assert_int_equal(sg_stream_class_tokens(s, k, 2), 3);
    assert_int_equal(sg_classes_word_count(k, 2, 2), 1); /* "c" at position 3 */
    assert_int_equal(sg_stream_info(s)->sentences, 2);
    assert_int_equal(sg_stream_info(s)->unclassed, 1);
    assert_int_equal(sg_stream_info(s)->unknown, 0);
    /* of ids as 4 bytes, little endian, and first: python3 -c "import hashlib, struct; print(hashlib.sha256(
     * b''.join(struct.pack('<iB', *x) for x in [(2,1),(0,0),(1,1),(2,0),(0,0)])).hexdigest())" */
    assert_string_equal(sg_stream_sha256(s),
                        "14f38e80d8ee6c5da0c5ccfe38fca886dae9c980a3dee41e85bca2b0a509c62c");
    sg_stream_free(s);
    sg_classes_free(k);
    sg_vocab_free(v);
}

/* Of ids, each <unk> is a word outside the vocabulary; without <unk> there is none. */
static void unknown_words_of_ids(void **state)
{
    (void)state;
    sg_error err = {""};
    const char *words[] = {"a", "<unk>", "c"};
    const int32_t ids[] = {1, 0, 1, 2, 1, 0};
    const bool first[] = {true, false, false, false, true, false};
    sg_vocab *v, *none = three_words();
    sg_stream *s;
    assert_ok(sg_vocab_from_words(&v, words, NULL, 3, &err), err);
    assert_ok(sg_stream_from_ids(&s, ids, first, 6, NULL, v, NULL, &err), err);
    assert_int_equal(sg_stream_info(s)->unknown, 3);
    assert_int_equal(sg_stream_info(s)->longest, 4);
    sg_stream_free(s);
    assert_ok(sg_stream_from_ids(&s, ids, NULL, 6, NULL, none, NULL, &err), err);
    assert_int_equal(sg_stream_info(s)->unknown, 0);
    assert_int_equal(sg_stream_info(s)->longest, 6);
    sg_stream_free(s);
    assert_ok(sg_stream_from_ids(&s, NULL, NULL, 6, NULL, NULL, NULL, &err), err); /* feature vectors */
    assert_int_equal(sg_stream_info(s)->unknown, 0);
    sg_stream_free(s);
    sg_vocab_free(none);
    sg_vocab_free(v);
}

static void bad_arrays_are_refused(void **state)
{
    (void)state;
    sg_error err = {""};
    const char *names[] = {"x", "y"}, *twice[] = {"x", "x"}, *all[] = {"all"}, *empty[] = {""},
               *specs[] = {"upos"};
    const int32_t ids[] = {0, 3}, good[] = {0, 1};
    const bool member[] = {1, 0, 1, 0};
    sg_vocab *v = three_words();
    sg_classes *k = NULL;
    sg_stream *s = NULL;
    assert_int_equal(sg_classes_from_names(&k, twice, 2, v, &err), SG_EINVAL);
    assert_int_equal(sg_classes_from_names(&k, all, 1, v, &err), SG_EINVAL);
    assert_int_equal(sg_classes_from_names(&k, empty, 1, v, &err), SG_EINVAL);
    assert_null(k);
    assert_int_equal(sg_stream_from_ids(&s, ids, NULL, 2, NULL, v, NULL, &err), SG_EINVAL);
    assert_non_null(strstr(err.msg, "token 1: id 3, expected 0 to 2"));
    assert_int_equal(sg_stream_from_ids(&s, good, NULL, 0, NULL, v, NULL, &err), SG_EINVAL);
    assert_int_equal(sg_stream_from_ids(&s, good, NULL, 2, member, v, NULL, &err), SG_EINVAL);
    assert_ok(sg_classes_from_names(&k, names, 2, v, &err), err);
    assert_int_equal(sg_stream_from_ids(&s, good, NULL, 2, member, v, k, &err), SG_EINVAL);
    assert_non_null(strstr(err.msg, "class 'y'"));
    sg_classes_free(k);
    assert_ok(sg_classes_new(&k, specs, 1, v, &err), err);
    assert_int_equal(sg_stream_from_ids(&s, good, NULL, 2, NULL, v, k, &err), SG_EINVAL);
    assert_null(s);
    sg_classes_free(k);
    sg_vocab_free(v);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    const char *names[] = {"x", "y"};
    const int32_t ids[] = {0, 1};
    const bool member[] = {1, 0, 0, 1};
    sg_vocab *v = three_words();
    long live = sg_alloc_live();
    for (long n = 0;; n++) {
        sg_error err = {""};
        sg_classes *k = NULL;
        sg_stream *s = NULL;
        sg_alloc_fail_after(n);
        sg_status st = sg_classes_from_names(&k, names, 2, v, &err);
        if (st == SG_OK)
            st = sg_stream_from_ids(&s, ids, NULL, 2, member, v, k, &err);
        sg_alloc_fail_after(-1);
        assert_true(st == SG_OK || (st == SG_ENOMEM && !s && err.msg[0]));
        sg_stream_free(s);
        sg_classes_free(k);
        assert_int_equal(sg_alloc_live(), live);
        if (st == SG_OK)
            break;
    }
    sg_vocab_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_reads_as_its_file),
        cmocka_unit_test(long_texts_and_rows_cross_blocks),
        cmocka_unit_test(rows_take_tags_line_by_line),
        cmocka_unit_test(one_origin_only),
        cmocka_unit_test(ids_and_members),
        cmocka_unit_test(unknown_words_of_ids),
        cmocka_unit_test(bad_arrays_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
