/* SPDX-License-Identifier: MIT */
/* Where documents begin, by headings, blank lines, files and "# newdoc". */
#include "helpers/corpus_util.h"

/* The beginnings in a stream as text, "0 7 12". */
static const char *beginnings(const sg_stream *s, sg_documents by)
{
    static char text[4096];
    sg_error err = {""};
    size_t n = 0;
    text[0] = 0;
    for (uint64_t t = 0; t < sg_stream_length(s); t++) {
        sg_step x;
        assert_ok(sg_stream_read(s, t, 1, &x, &err), err);
        if (sg_step_begins(&x, by))
            n += (size_t)snprintf(text + n, sizeof text - n, n ? " %d" : "%d", (int)t);
    }
    return text;
}

static sg_stream *stream_of(const sg_corpus_config *cfg)
{
    sg_error err = {""};
    sg_stream *s = NULL;
    assert_ok(sg_stream_new(&s, cfg, NULL, NULL, NULL, &err), err);
    return s;
}

static const char wiki[] = "\n = One = \n\na b\n = = Part = = \nc\n\n = Two words = \nd =\n= e\n==\n";

static void headings_of_wikitext(void **state)
{
    (void)state;
    sg_corpus_config cfg = {.text = wiki, .text_size = strlen(wiki), .eos = true};
    sg_stream *s = stream_of(&cfg);
    /* $ | = One = $ | $ | a b $ | = = Part = = $ | c $ | $ | = Two words = $ | ... */
    assert_string_equal(beginnings(s, SG_DOCUMENTS_HEADING), "1 18");
    assert_int_equal(sg_stream_documents(s, SG_DOCUMENTS_HEADING), 2);
    assert_string_equal(beginnings(s, SG_DOCUMENTS_BLANK), "1 6 18");
    assert_int_equal(sg_stream_documents(s, SG_DOCUMENTS_BLANK), 3);
    assert_string_equal(beginnings(s, SG_DOCUMENTS_FILE), "1");
    assert_string_equal(beginnings(s, SG_DOCUMENTS_NONE), "");
    assert_int_equal(sg_stream_documents(s, SG_DOCUMENTS_NONE), 1);
    assert_int_equal(sg_stream_documents(s, SG_DOCUMENTS_LINE), sg_stream_info(s)->sentences);
    sg_stream_free(s);
    cfg.eos = false;
    s = stream_of(&cfg);
    assert_string_equal(beginnings(s, SG_DOCUMENTS_HEADING), "0 11");
    assert_string_equal(beginnings(s, SG_DOCUMENTS_BLANK), "0 3 11");
    sg_stream_free(s);
    cfg.unit = SG_UNIT_CHAR, cfg.eos = true;
    s = stream_of(&cfg);
    assert_string_equal(beginnings(s, SG_DOCUMENTS_HEADING), "1 34");
    sg_stream_free(s);
}

/* More tokens between a line's first word and its end than the stream keeps in memory. */
static void a_heading_longer_than_the_buffer(void **state)
{
    (void)state;
    enum { WORDS = 20000 };
    static char text[2 * WORDS + 16];
    char *p = text + sprintf(text, "a\n= ");
    for (size_t i = 0; i < WORDS; i++)
        p += sprintf(p, "b ");
    strcpy(p, "=\nc\n");
    sg_stream *s = stream_of(&(sg_corpus_config){.text = text, .text_size = strlen(text), .eos = true});
    assert_string_equal(beginnings(s, SG_DOCUMENTS_HEADING), "2");
    assert_int_equal(sg_stream_documents(s, SG_DOCUMENTS_HEADING), 1);
    sg_stream_free(s);
}

static void files_and_formats(void **state)
{
    (void)state;
    const char *paths[] = {write_text(&tmp, "a.txt", "a b\nc\n"), write_text(&tmp, "b.txt", "\nd\n\ne\n")};
    sg_stream *s = stream_of(&(sg_corpus_config){.paths = paths, .n_paths = 2, .eos = true});
    assert_string_equal(beginnings(s, SG_DOCUMENTS_FILE), "0 6"); /* a b $ c $ | $ d $ $ e $ */
    assert_string_equal(beginnings(s, SG_DOCUMENTS_BLANK), "0 6 9");
    sg_stream_free(s);
    const char *tagged = write_text(&tmp, "t", "a/X b/Y\nc/X\n\n\nd/X\n");
    s = stream_of(
        &(sg_corpus_config){.paths = &tagged, .n_paths = 1, .eos = true, .format = SG_FORMAT_TAGGED});
    assert_string_equal(beginnings(s, SG_DOCUMENTS_BLANK), "0 5");
    sg_stream_free(s);
#define ROW(n, w) n "\t" w "\t_\t_\t_\t_\t_\t_\t_\t_\n"
    const char *conllu = write_text(&tmp, "c.conllu",
                                    "# newdoc id = x\n# newpar\n" ROW("1", "a") "\n# newdocument\n" ROW(
                                        "1", "b") "\n#newdoc\n# text = c\n" ROW("1", "c") ROW("2", "d"));
    s = stream_of(&(sg_corpus_config){.paths = &conllu, .n_paths = 1, .eos = true});
    assert_string_equal(beginnings(s, SG_DOCUMENTS_HEADING), "0 4");
    assert_string_equal(beginnings(s, SG_DOCUMENTS_BLANK), "0"); /* they part sentences there */
    sg_stream_free(s);
}

static void marks_of_arrays(void **state)
{
    (void)state;
    enum { N = 20000 };
    static int32_t ids[N];
    sg_error err = {""};
    sg_vocab *v = NULL;
    sg_stream *s = NULL;
    const char *words[] = {"a"};
    const uint64_t starts[] = {0, 5, 9999}, twice[] = {5, 5}, far[] = {N};
    assert_ok(sg_vocab_from_words(&v, words, NULL, 1, &err), err);
    assert_ok(sg_stream_from_ids(&s, ids, NULL, N, NULL, v, NULL, &err), err);
    assert_string_equal(beginnings(s, SG_DOCUMENTS_FILE), "0");
    assert_ok(sg_stream_mark_documents(s, starts, 3, &err), err);
    assert_string_equal(beginnings(s, SG_DOCUMENTS_FILE), "0 5 9999");
    assert_int_equal(sg_stream_documents(s, SG_DOCUMENTS_FILE), 3);
    assert_ok(sg_stream_mark_documents(s, starts + 2, 1, &err), err);
    assert_string_equal(beginnings(s, SG_DOCUMENTS_FILE), "0 9999");
    assert_int_equal(sg_stream_mark_documents(s, twice, 2, &err), SG_EINVAL);
    assert_non_null(strstr(err.msg, "entry 1 is 5"));
    assert_int_equal(sg_stream_mark_documents(s, far, 1, &err), SG_EINVAL);
    sg_stream_free(s);
    sg_vocab_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headings_of_wikitext),
        cmocka_unit_test(a_heading_longer_than_the_buffer),
        cmocka_unit_test(files_and_formats),
        cmocka_unit_test(marks_of_arrays),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
