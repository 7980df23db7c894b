/* SPDX-License-Identifier: MIT */
/* Vocabularies: order, <unk>, limits, files, encoded ids; every constructor with failing allocations. */
#include "helpers/corpus_util.h"

#include <signal.h>
#include <sys/resource.h>

static sg_status build(sg_vocab **v, const char *path, sg_vocab_config cfg, bool eos, sg_error *err)
{
    sg_corpus_config corpus = config_of(&path, 1);
    corpus.eos = eos;
    return build_vocab(v, &corpus, cfg, err);
}

/* "word:count word:count ..." in id order */
static void expect_vocab(const sg_vocab *v, const char *expected)
{
    char found[1024] = "";
    size_t n = 0;
    for (size_t i = 0; i < sg_vocab_size(v); i++) {
        const char *w = sg_vocab_word(v, i);
        assert_int_equal(sg_vocab_id(v, w, strlen(w)), i);
        n += (size_t)snprintf(found + n, sizeof found - n, "%s%s:%llu", i ? " " : "", w,
                              (unsigned long long)sg_vocab_count(v, i));
    }
    assert_string_equal(found, expected);
}

static void expect_build(const char *text, sg_vocab_config cfg, bool eos, const char *expected)
{
    sg_vocab *v;
    sg_error err = {0};
    assert_ok(build(&v, write_text(&tmp, "c", text), cfg, eos, &err), err);
    expect_vocab(v, expected);
    sg_vocab_free(v);
}

static void expect_build_error(const char *text, sg_vocab_config cfg, bool eos, const char *part)
{
    sg_vocab *v;
    sg_error err = {0};
    assert_int_equal(build(&v, write_text(&tmp, "c", text), cfg, eos, &err),
                     *text && strspn(text, " \n") != strlen(text) ? SG_EINVAL : SG_EFORMAT);
    assert_null(v);
    if (!strstr(err.msg, part))
        fail_msg("'%s', expected '...%s...'", err.msg, part);
}

static void test_order(void **state)
{
    const char *text = "b a b c\nd a b\n"; /* b 3, a 2, <eos> 2, c 1, d 1 */
    expect_build(text, (sg_vocab_config){0}, true, "b:3 a:2 <eos>:2 c:1 d:1");
    expect_build(text, (sg_vocab_config){.unk = true}, true, "b:3 a:2 <eos>:2 c:1 d:1 <unk>:1");
    expect_build(text, (sg_vocab_config){.unk = true}, false, "b:3 a:2 c:1 d:1 <unk>:1");
    /* c and d left out: <unk> counts both, and stands behind the earlier words of that count */
    expect_build(text, (sg_vocab_config){.unk = true, .min_count = 2}, true, "b:3 a:2 <eos>:2 <unk>:2");
    expect_build(text, (sg_vocab_config){.unk = true, .size = 4}, true, "b:3 a:2 <eos>:2 <unk>:2");
    /* <eos> stays whatever its rank */
    expect_build(text, (sg_vocab_config){.unk = true, .size = 3}, true, "<unk>:4 b:3 <eos>:2");
    expect_build(text, (sg_vocab_config){.unk = true, .size = 5}, true, "b:3 a:2 <eos>:2 c:1 <unk>:1");
    expect_build(text, (sg_vocab_config){.unk = true, .size = 6}, true, "b:3 a:2 <eos>:2 c:1 d:1 <unk>:1");
    expect_build("a <unk> b <unk>\n", (sg_vocab_config){.unk = true, .size = 3}, true, "<unk>:3 a:1 <eos>:1");
    /* most: a limit that need not be reached */
    expect_build(text, (sg_vocab_config){.unk = true, .most = 4}, true, "b:3 a:2 <eos>:2 <unk>:2");
    expect_build(text, (sg_vocab_config){.unk = true, .most = 6}, true, "b:3 a:2 <eos>:2 c:1 d:1 <unk>:1");
    expect_build(text, (sg_vocab_config){.unk = true, .most = 9}, true, "b:3 a:2 <eos>:2 c:1 d:1 <unk>:1");
    expect_build(text, (sg_vocab_config){.unk = true, .most = 9, .min_count = 2}, true,
                 "b:3 a:2 <eos>:2 <unk>:2");
}

static void test_limits(void **state)
{
    const char *text = "b a b c\nd a b\n";
    expect_build_error(text, (sg_vocab_config){.unk = true, .size = 7}, true,
                       "setting 'vocab_size': 7 requested, the corpus has only 6 distinct words");
    expect_build_error(text, (sg_vocab_config){.unk = true, .size = 2}, true,
                       "setting 'vocab_size': 2 requested, expected at least 3");
    expect_build_error(text, (sg_vocab_config){.unk = true, .min_count = 4}, true,
                       "setting 'min_count': no word");
    expect_build_error("", (sg_vocab_config){.unk = true}, true, "an empty corpus");
    expect_build_error(" \n\n", (sg_vocab_config){.unk = true}, false, "an empty corpus");
}

static sg_status read_vocab(sg_vocab **v, const char *name, const char *text, sg_error *err)
{
    return sg_vocab_read(v, write_text(&tmp, name, text), err);
}

static void test_read(void **state)
{
    static const struct {
        const char *name, *text, *expected;
    } good[] = {
        {"v", "<unk>\nthe\ncat\n", "<unk>:0 the:0 cat:0"},
        {"v", "\xef\xbb\xbfthe\r\ncat", "the:0 cat:0"},
        {"v", "a b\n \n#\n", "a b:0  :0 #:0"},
        {"v", "[PAD]\n[UNK]\nthe\n", "[PAD]:0 [UNK]:0 the:0"},
        {"v.json", "[\"the\", \"c\\u00e4t\"]", "the:0 c\xc3\xa4t:0"},
        {"v", " [\n\"the\"]", "the:0"},
        {"v", "{\"the\": 1, \"cat\": 0}", "cat:0 the:0"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        sg_vocab *v;
        sg_error err = {0};
        assert_ok(read_vocab(&v, good[i].name, good[i].text, &err), err);
        expect_vocab(v, good[i].expected);
        sg_vocab_free(v);
    }
    static const struct {
        const char *name, *text, *message;
    } bad[] = {
        {"v", "", "v: vocabulary: no words"},
        {"v", "the\n\ncat\n", "v:2: an empty line"},
        {"v", "the\ncat\nthe\n", "'the' occurs twice, as word 0 and as word 2"},
        {"v", "the\n\xff\n", "v:2: invalid UTF-8"},
        {"v.json", "[\"the\", 3]", "entry 1 of the list is not a string"},
        {"v.json", "[\"the\",", "v.json:1: not JSON"},
        {"v.json", "3", "not JSON"},
        {"v.json", "[]", "no words"},
        {"v.json", "[\"\"]", "word 0 is empty"},
        {"v.json", "{\"a\": 0, \"b\": 0}", "has id 0, as has another word"},
        {"v.json", "{\"a\": 0, \"b\": 2}",
         "the id of 'b' is out of range, expected a whole number from 0 to 1"},
        {"v.json", "{\"a\": 0, \"b\": 1.5}", "the id of 'b' is no whole number"},
        {"v.json", "{\"a\": 0, \"a\": 1}", "not JSON: duplicate"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sg_vocab *v;
        sg_error err = {0};
        sg_status st = read_vocab(&v, bad[i].name, bad[i].text, &err);
        if (st != SG_EFORMAT || v || !strstr(err.msg, bad[i].message))
            fail_msg("%s: status %d, '%s', expected '...%s...'", bad[i].text, (int)st, err.msg,
                     bad[i].message);
    }
    sg_vocab *v;
    sg_error err = {0};
    assert_int_equal(sg_vocab_read(&v, "/nonexistent/v", &err), SG_EIO);
    /* a map may leave out ids of a model that has more */
    assert_ok(sg_vocab_read_ids(&v, write_text(&tmp, "v", "{\"b\": 2, \"a\": 0}"), 4, &err), err);
    expect_vocab(v, "a:0 <unused 1>:0 b:0 <unused 3>:0");
    sg_vocab_free(v);
}

static void test_special_words(void **state)
{
    const char *a[] = {"x", "<unk>", "</s>"}, *b[] = {"[UNK]", "[EOS]"}, *c[] = {"x"};
    sg_vocab *v;
    sg_error err = {0};
    assert_ok(sg_vocab_from_words(&v, a, NULL, 3, &err), err);
    assert_int_equal(sg_vocab_unk(v), 1);
    assert_int_equal(sg_vocab_eos(v), 2);
    sg_vocab_free(v);
    assert_ok(sg_vocab_from_words(&v, b, NULL, 2, &err), err);
    assert_int_equal(sg_vocab_unk(v), 0);
    assert_int_equal(sg_vocab_eos(v), 1);
    sg_vocab_free(v);
    assert_ok(sg_vocab_from_words(&v, c, NULL, 1, &err), err);
    assert_int_equal(sg_vocab_unk(v), -1);
    assert_int_equal(sg_vocab_eos(v), -1);
    sg_vocab_free(v);
}

static void test_encoding(void **state)
{
    const char *words[] = {"the", "<unk>", "</s>", "cat"},
               *path = write_text(&tmp, "c", "the dog\ncat <unk>\n");
    const int32_t ids[] = {0, 1, 2, 3, 1, 2};
    const unsigned first[] = {1, 0, 0, 1, 0, 0};
    sg_corpus_config cfg = config_of(&path, 1);
    sg_vocab *v, *bare;
    sg_stream *s;
    sg_step steps[6];
    sg_error err = {0};
    assert_ok(sg_vocab_from_words(&v, words, NULL, 4, &err), err);
    assert_ok(sg_stream_new(&s, &cfg, v, NULL, NULL, &err), err);
    assert_int_equal(sg_stream_length(s), 6);
    assert_ok(sg_stream_read(s, 0, 6, steps, &err), err);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(steps[i].id, ids[i]);
        assert_int_equal(steps[i].first, first[i]);
        assert_int_equal(steps[i].set, 0);
    }
    assert_int_equal(sg_stream_info(s)->unknown, 1); /* dog; the text's own <unk> is a word it knows */
    assert_int_equal(sg_stream_info(s)->sentences, 2);
    assert_int_equal(sg_stream_read(s, 1, 6, steps, &err), SG_EINVAL);
    assert_int_equal(sg_stream_read(s, UINT64_MAX, 2, steps, &err), SG_EINVAL);
    assert_ok(sg_stream_read(s, 6, 0, steps, &err), err);
    sg_stream_free(s);

    sg_corpus *c;
    assert_ok(sg_corpus_open(&c, &cfg, &err), err);
    assert_ok(sg_vocab_recount(v, c, &err), err);
    sg_corpus_close(c);
    expect_vocab(v, "the:1 <unk>:2 </s>:2 cat:1");
    sg_vocab_free(v);

    /* without <unk>: the first word outside is refused by name */
    assert_ok(sg_vocab_from_words(&bare, (const char *[]){"the", "cat", "<eos>"}, NULL, 3, &err), err);
    assert_int_equal(sg_stream_new(&s, &cfg, bare, NULL, NULL, &err), SG_EFORMAT);
    assert_null(s);
    assert_non_null(strstr(err.msg, "c:1: 'dog' is not in the vocabulary, which has no <unk>"));
    sg_vocab_free(bare);
    assert_ok(sg_vocab_from_words(&bare, (const char *[]){"the", "dog"}, NULL, 2, &err), err);
    assert_int_equal(sg_stream_new(&s, &cfg, bare, NULL, NULL, &err), SG_EINVAL);
    assert_non_null(strstr(err.msg, "setting 'eos' false"));
    sg_vocab_free(bare);
}

typedef struct {
    int ticks, stop_at; /* stop_at 0: never */
    double done;
    const char *what;
} watcher;

static bool watch(void *ctx, const sg_progress *p)
{
    watcher *w = ctx;
    assert_true(p->done > w->done && !(p->total > 0));
    w->done = p->done;
    w->what = p->what;
    return ++w->ticks != w->stop_at;
}

/* Counting and encoding tell of every 65536th token, and stop when told to. */
static void test_cancel(void **state)
{
    static char text[1 << 20];
    for (size_t i = 0; i + 1 < sizeof text; i++)
        text[i] = i % 2 ? ' ' : 'x';
    const char *path = write_text(&tmp, "c", text), *words[] = {"x", "<eos>"};
    sg_corpus_config cfg = config_of(&path, 1);
    sg_vocab *v, *counted;
    sg_stream *s;
    sg_error err = {0};
    assert_ok(sg_vocab_from_words(&v, words, NULL, 2, &err), err);
    for (int stop_at = 0; stop_at < 3; stop_at++) {
        const int ticks = stop_at ? stop_at : (1 << 19) / 65536; /* 2^19 x, and <eos> */
        const sg_status expected = stop_at ? SG_ECANCELLED : SG_OK;
        watcher w[3];
        sg_monitor m[3];
        for (size_t i = 0; i < 3; i++) {
            w[i] = (watcher){.stop_at = stop_at};
            m[i] = (sg_monitor){.tick = watch, .ctx = &w[i]};
        }
        assert_int_equal(sg_stream_new(&s, &cfg, v, NULL, &m[0], &err), expected);
        assert_true(stop_at ? !s : sg_stream_length(s) == (1 << 19) + 1);
        sg_stream_free(s);
        cfg.monitor = &m[1];
        assert_int_equal(build_vocab(&counted, &cfg, (sg_vocab_config){0}, &err), expected);
        sg_vocab_free(counted);
        cfg.monitor = &m[2];
        sg_corpus *c;
        assert_ok(sg_corpus_open(&c, &cfg, &err), err);
        assert_int_equal(sg_vocab_recount(v, c, &err), expected);
        sg_corpus_close(c);
        cfg.monitor = NULL;
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(w[i].ticks, ticks);
            assert_int_equal((int)w[i].done, 65536 * ticks);
            assert_string_equal(w[i].what, i ? "counting words" : "reading");
        }
        if (stop_at)
            assert_non_null(strstr(err.msg, "stopped while reading the corpus"));
    }
    sg_vocab_free(v);
}

/* A full disk and a missing folder under the temporary file: the error says so and names the way out. */
static void test_no_room(void **state)
{
    static char text[200000];
    for (size_t i = 0; i + 1 < sizeof text; i++)
        text[i] = i % 2 ? ' ' : 'x';
    const char *path = write_text(&tmp, "c", text), *words[] = {"x", "<eos>"}, *old = getenv("TMPDIR");
    char *saved = old ? strdup(old) : NULL;
    sg_corpus_config cfg = config_of(&path, 1);
    sg_vocab *v;
    sg_stream *s;
    sg_error err = {0};
    assert_ok(sg_vocab_from_words(&v, words, NULL, 2, &err), err);
    setenv("TMPDIR", "/nonexistent", 1);
    assert_int_equal(sg_stream_new(&s, &cfg, v, NULL, NULL, &err), SG_EIO);
    assert_null(s);
    assert_non_null(strstr(err.msg, "/nonexistent: cannot make a temporary file there: No such file"));
    if (saved)
        setenv("TMPDIR", saved, 1);
    else
        unsetenv("TMPDIR");
    free(saved);
    struct rlimit limit, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 100000; /* 8 bytes for each of 100000 tokens do not fit */
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    sg_status st = sg_stream_new(&s, &cfg, v, NULL, NULL, &err);
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_int_equal(st, SG_EIO);
    assert_null(s);
    assert_non_null(strstr(err.msg, "the temporary file cannot be written: File too large (TMPDIR"));
    sg_vocab_free(v);
}

/* Lets 0, 1, 2, ... allocations succeed until the whole of reading, counting and encoding does. */
static void test_failing_allocations(void **state)
{
    static char text[4096];
    for (size_t i = 0, n = 0; n + 16 < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "w%zu%c", i % 90, i % 7 ? ' ' : '\n');
    unsigned char z[8192];
    z_stream zs = {.next_in = (unsigned char *)text,
                   .avail_in = (unsigned)strlen(text),
                   .next_out = z,
                   .avail_out = sizeof z};
    deflateInit2(&zs, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
    deflate(&zs, Z_FINISH);
    const char *path = write_bytes(&tmp, "c.gz", z, sizeof z - zs.avail_out);
    deflateEnd(&zs);
    const char *list = write_text(&tmp, "v", "a\nb\n"),
               *json = write_text(&tmp, "v.json", "{\"a\":0,\"b\":1}");
    long live = sg_alloc_live();
    bool done = false;
    for (long n = 0; !done; n++) {
        sg_vocab *v[5] = {0};
        int32_t *ids = NULL;
        size_t room = 0, pieces;
        sg_stream *s = (void *)1;
        sg_corpus *c = NULL;
        sg_spool *spool = NULL;
        sg_error err = {0};
        sg_corpus_config cfg = config_of(&path, 1);
        sg_alloc_fail_after(n);
        sg_status st = sg_spool_new(&spool, &path, 1, &err);
        cfg.spool = spool;
        if (st == SG_OK)
            st = sg_vocab_read(&v[0], list, &err);
        if (st == SG_OK)
            st = sg_vocab_read(&v[1], json, &err);
        if (st == SG_OK)
            st = sg_vocab_read_ids(&v[3], json, 3, &err);
        if (st == SG_OK)
            st = sg_vocab_from_words(&v[4], (const char *const[]){"a", "b"}, NULL, 2, &err);
        if (st == SG_OK)
            st = sg_vocab_set_tokenizer(
                v[4],
                "{\"pre_tokenizer\":{\"type\":\"Whitespace\"},\"model\":{\"type\":\"BPE\",\"merges\":[]}}",
                &err);
        if (st == SG_OK)
            st = sg_vocab_split(v[4], "ab", 2, &ids, &room, &pieces, &err);
        sg_ids_free(ids);
        if (st == SG_OK)
            st = sg_corpus_open(&c, &cfg, &err);
        if (st == SG_OK)
            st = sg_vocab_build(&v[2], c, &(sg_vocab_config){.unk = true, .size = 50}, &err);
        sg_corpus_close(c);
        c = NULL;
        if (st == SG_OK)
            st = sg_corpus_open(&c, &cfg, &err);
        if (st == SG_OK)
            st = sg_vocab_recount(v[2], c, &err);
        if (st == SG_OK) {
            st = sg_stream_new(&s, &cfg, v[2], NULL, NULL, &err);
            assert_true((st == SG_OK) == (s != NULL));
            sg_stream_free(s);
        }
        sg_alloc_fail_after(-1);
        done = st == SG_OK;
        if (!done && st != SG_ENOMEM)
            fail_msg("allocation %ld failing: status %d: %s", n, (int)st, err.msg);
        sg_corpus_close(c);
        sg_spool_free(spool);
        for (size_t i = 0; i < 5; i++)
            sg_vocab_free(v[i]);
        assert_int_equal(sg_alloc_live(), live);
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),    cmocka_unit_test(test_limits),
        cmocka_unit_test(test_read),     cmocka_unit_test(test_special_words),
        cmocka_unit_test(test_encoding), cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_no_room),  cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
