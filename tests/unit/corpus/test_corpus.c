/* SPDX-License-Identifier: MIT */
/* Readers: what a token is in each format, several files, gzip, standard input, and files that are none of
 * it. */
#include "helpers/corpus_util.h"

#include <fcntl.h>
#include <sys/wait.h>

static void expect_tokens(sg_corpus_config cfg, const char *path, const char *expected)
{
    char found[4096];
    sg_error err = {0};
    cfg.paths = &path;
    cfg.n_paths = 1;
    sg_status st = read_tokens(found, sizeof found, &cfg, &err);
    if (st != SG_OK)
        fail_msg("%s: status %d: %s", path, (int)st, err.msg);
    assert_string_equal(found, expected);
}

static void expect_error(sg_corpus_config cfg, const char *path, sg_status status, const char *part)
{
    static char found[1 << 16];
    sg_error err = {0};
    cfg.paths = &path;
    cfg.n_paths = 1;
    sg_status st = read_tokens(found, sizeof found, &cfg, &err);
    if (st != status || !strstr(err.msg, part) || strchr(err.msg, '\n'))
        fail_msg("%s: status %d, expected %d; '%s', expected '...%s...'", path, (int)st, (int)status, err.msg,
                 part);
}

static const sg_corpus_config text = {.eos = true}, no_eos = {.eos = false},
                              chars = {.eos = true, .unit = SG_UNIT_CHAR},
                              tagged = {.eos = true, .format = SG_FORMAT_TAGGED},
                              conllu = {.eos = true, .format = SG_FORMAT_CONLLU};

static void test_text(void **state)
{
    expect_tokens(text, write_text(&tmp, "a", "the cat\n\nsat .\n"), "|the cat <eos>|<eos>|sat . <eos>");
    expect_tokens(text, write_text(&tmp, "a", "the cat\nsat"), "|the cat <eos>|sat <eos>");
    expect_tokens(text, write_text(&tmp, "a", " \tthe\v\fcat  \r\nsat\r\n"), "|the cat <eos>|sat <eos>");
    expect_tokens(text, write_text(&tmp, "a", "\xef\xbb\xbfthe\n"), "|the <eos>");
    expect_tokens(text, write_text(&tmp, "a", "\xef\xbb\xbf"), "");
    expect_tokens(text, write_text(&tmp, "a", ""), "");
    expect_tokens(text, write_text(&tmp, "a", "\n"), "|<eos>");
    expect_tokens(text, write_text(&tmp, "a", "a\n "), "|a <eos>|<eos>");
    expect_tokens(no_eos, write_text(&tmp, "a", "the cat\n\nsat .\n"), "|the cat|sat .");
    /* no-break and ideographic spaces part words as they do for Python's split() */
    expect_tokens(text,
                  write_text(&tmp, "a",
                             "\xc2\xa0"
                             "10\xc2\xa0"
                             "000 \xe3\x80\x80\xe6\x97\xa5\xe3\x80\x80z\xe2\x80\xa8\n"),
                  "|10 000 \xe6\x97\xa5 z <eos>");
}

static void test_characters(void **state)
{
    expect_tokens(chars, write_text(&tmp, "a", "a \xc3\xa9\n\nb\n"), "|a   \xc3\xa9 \\n|\\n|b \\n");
    expect_tokens(chars, write_text(&tmp, "a", "a\r\nb"), "|a \\n|b");
    sg_corpus_config plain = chars;
    plain.eos = false;
    expect_tokens(plain, write_text(&tmp, "a", "ab\nc\n"), "|a b|c");
    expect_tokens(chars, write_text(&tmp, "a", "\xef\xbb\xbf\xf0\x9f\x98\x80"), "|\xf0\x9f\x98\x80");
}

static void test_tagged(void **state)
{
    expect_tokens(tagged, write_text(&tmp, "a", "\n\n\tThe/at 1/2/cd //in ./.\n\n\nand\\/or/cc"),
                  "|The~at 1/2~cd /~in .~. <eos>|and/or~cc <eos>");
    sg_corpus_config plain = tagged;
    plain.eos = false;
    expect_tokens(plain, write_text(&tmp, "a", "a/b\n\nc/d\n"), "|a~b|c~d");
    expect_error(tagged, write_text(&tmp, "a", "a/b\nword c/d\n"), SG_EFORMAT,
                 "/a:2: 'word', expected word/tag");
    expect_error(tagged, write_text(&tmp, "a", "/NN\n"), SG_EFORMAT, "a:1: '/NN'");
    expect_error(tagged, write_text(&tmp, "a", "cat/\n"), SG_EFORMAT, "a:1: 'cat/'");
    expect_error(tagged, write_text(&tmp, "a", "x\\/NN\n"), SG_EFORMAT, "a:1: 'x\\/NN'");
}

static void test_lower_case(void **state)
{
    sg_corpus_config cfg = text;
    cfg.lowercase = true;
    expect_tokens(
        cfg,
        write_text(&tmp, "a",
                   "The CAT \xc3\x89T\xc3\x89 \xc8\xba\n\xc4\xb0 42\n"), /* É, Ⱥ (longer below), İ */
        "|the cat \xc3\xa9t\xc3\xa9 \xe2\xb1\xa5 <eos>|i 42 <eos>");
    cfg.format = SG_FORMAT_TAGGED;
    expect_tokens(cfg, write_text(&tmp, "a", "The/AT Cat/NN"), "|the~AT cat~NN <eos>");
    cfg = chars;
    cfg.lowercase = true;
    expect_tokens(cfg, write_text(&tmp, "a", "aB\n"), "|a b \\n");
}

static void test_conllu(void **state)
{
    const char *good =
        "# sent_id = 1\n1-2\tdon't\t_\t_\t_\t_\t_\t_\t_\t_\n1\tdo\tdo\tAUX\tVBP\tMood=Ind|Tense=Pres\t0\troot\t_\t_\n"
        "2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_\n2.1\tx\t_\t_\t_\t_\t_\t_\t_\t_\n\n\n# c\n"
        "1\tNew York\t_\tPROPN\t_\t_\t0\troot\t_\t_";
    expect_tokens(conllu, write_text(&tmp, "a", good), "|do~VBP n't~RB <eos>|New York <eos>");
    expect_tokens(text, write_text(&tmp, "b.conllu", good), "|do~VBP n't~RB <eos>|New York <eos>");
    expect_tokens(
        conllu,
        write_text(&tmp, "a", "1\tdo\t_\t_\tVB\t_\t_\t_\t_\t_\r\n\r\n1\tgo\t_\t_\tVB\t_\t_\t_\t_\t_\r\n"),
        "|do~VB <eos>|go~VB <eos>");
    sg_corpus_config plain = conllu;
    plain.eos = false;
    expect_tokens(plain, write_text(&tmp, "a", good), "|do~VBP n't~RB|New York");
    expect_error(conllu, write_text(&tmp, "a", "# x\n1\tdo\tdo\n"), SG_EFORMAT, "a:2: 3 columns");
    expect_error(conllu, write_text(&tmp, "a", "1 do do AUX VBP _ 0 root _ _\n"), SG_EFORMAT,
                 "a:1: 1 column sep");
    expect_error(conllu, write_text(&tmp, "a", "x\tdo\t_\t_\t_\t_\t_\t_\t_\t_\n"), SG_EFORMAT,
                 "a:1: 'x' in the first");
    expect_error(conllu, write_text(&tmp, "a", "1-\tdo\t_\t_\t_\t_\t_\t_\t_\t_\n"), SG_EFORMAT,
                 "'1-' in the first");
    expect_error(conllu, write_text(&tmp, "a", "1\t\t_\t_\t_\t_\t_\t_\t_\t_\n"), SG_EFORMAT,
                 "second column is empty");
}

static void test_tags_file(void **state)
{
    sg_corpus_config cfg = text;
    const char *corpus = write_text(&tmp, "words", "the cat\n\nsat\n");
    cfg.tags_path = write_text(&tmp, "tags", "DT NN\n \nVBD\n");
    expect_tokens(cfg, corpus, "|the~DT cat~NN <eos>|<eos>|sat~VBD <eos>");
    cfg.eos = false;
    expect_tokens(cfg, corpus, "|the~DT cat~NN|sat~VBD");
    cfg.tags_path = write_text(&tmp, "tags", "DT NN\n\nVBD RB\n");
    expect_error(cfg, corpus, SG_EFORMAT, "tags:3: 2 tags, expected 1");
    cfg.tags_path = write_text(&tmp, "tags", "DT\n\nVBD\n");
    expect_error(cfg, corpus, SG_EFORMAT, "tags:1: 1 tags, expected 2");
    cfg.tags_path = write_text(&tmp, "tags", "DT NN\n\n");
    expect_error(cfg, corpus, SG_EFORMAT, "tags: ends after line 2, expected tags for line 3");
    cfg.tags_path = write_text(&tmp, "tags", "DT NN\n\nVBD\nVB\n");
    expect_error(cfg, corpus, SG_EFORMAT, "tags:4: more lines than the corpus");
    cfg.tags_path = "/nonexistent/tags";
    expect_error(cfg, corpus, SG_EIO, "/nonexistent/tags: No such file");
    cfg.format = SG_FORMAT_TAGGED;
    expect_error(cfg, corpus, SG_EINVAL, "a tags file needs plain text");
}

static void test_hostile(void **state)
{
    expect_error(text, write_bytes(&tmp, "a", "ab\nc\0d\n", 7), SG_EFORMAT, "a:2: a NUL byte");
    expect_error(chars, write_bytes(&tmp, "a", "ab\nc\0d\n", 7), SG_EFORMAT, "a:2: a NUL byte");
    expect_error(conllu, write_bytes(&tmp, "a", "#b\nc\0d\n", 7), SG_EFORMAT, "a:2: a NUL byte");
    const char *bad[] = {"\xff",         "\xc0\x80",         "\xe0\x80\x80",         "\xf0\x80\x80\x80",
                         "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\x80",
                         "a\xc3",        "\xe2\x82",         "\xf0\x9f\x98"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char line[32];
        snprintf(line, sizeof line, "ok\n%s\n", bad[i]);
        const char *path = write_text(&tmp, "a", line);
        expect_error(text, path, SG_EFORMAT, "a:2: invalid UTF-8");
        expect_error(chars, path, SG_EFORMAT, "a:2: invalid UTF-8");
    }
    expect_error(text,
                 write_bytes(&tmp, "a",
                             "\xff\xfe"
                             "a\0",
                             4),
                 SG_EFORMAT, "UTF-16");
    expect_error(text, write_text(&tmp, "a.gz", "plain"), SG_EFORMAT, "named .gz");
    expect_error(text, "/nonexistent/file", SG_EIO, "/nonexistent/file: No such file");
    char *large = calloc(1, (1 << 20) + 2);
    memset(large, 'x', (1 << 20) + 1);
    expect_error(text, write_text(&tmp, "a", large), SG_EFORMAT, "a:1: a word of more than 1048576 bytes");
    free(large);
    mkdir(write_text(&tmp, "gone", ""), 0700);
    sg_corpus_config cfg = chars;
    cfg.format = SG_FORMAT_TAGGED;
    expect_error(cfg, "x", SG_EINVAL, "characters are read from plain text");
}

static void test_paths(void **state)
{
    char folder[512], inner[600], found[64];
    snprintf(folder, sizeof folder, "%s/empty", tmp.folder);
    mkdir(folder, 0700);
    expect_error(text, folder, SG_EFORMAT, "empty: a folder without files");
    expect_error(text, "", SG_EINVAL, "a corpus without a name");
    sg_error err = {0};
    sg_corpus_config none = text;
    assert_int_equal(read_tokens(found, sizeof found, &none, &err), SG_EINVAL);
    assert_non_null(strstr(err.msg, "no file given"));
    /* a folder that holds itself is left after some depth, not walked for ever */
    snprintf(inner, sizeof inner, "%s/self", folder);
    assert_int_equal(symlink(".", inner), 0);
    expect_error(text, folder, SG_EINVAL, "folders nested more than");
    unlink(inner);
    expect_error(chars, write_text(&tmp, "x.conllu", "# c\n"), SG_EINVAL,
                 "characters are read from plain text");
    /* a space, a newline and a slash at the end of names */
    snprintf(folder, sizeof folder, "%s/a folder\n", tmp.folder);
    mkdir(folder, 0700);
    write_text(&tmp, "a folder\n/b c", "x\n");
    strcat(folder, "/");
    expect_tokens(text, folder, "|x <eos>");
    /* a pipe: read once, or spooled */
    snprintf(inner, sizeof inner, "%s/pipe", tmp.folder);
    assert_int_equal(mkfifo(inner, 0600), 0);
    for (int spooled = 0; spooled < 2; spooled++) {
        const char *path = inner;
        sg_corpus_config cfg = config_of(&path, 1);
        sg_spool *spool = NULL;
        pid_t child = fork();
        if (child == 0) {
            int fd = open(inner, O_WRONLY);
            _exit(write(fd, "a b\n", 4) != 4);
        }
        if (spooled)
            assert_ok(sg_spool_new(&spool, &path, 1, &err), err);
        cfg.spool = spool;
        for (int time = 0; time <= spooled; time++) {
            assert_ok(read_tokens(found, sizeof found, &cfg, &err), err);
            assert_string_equal(found, "|a b <eos>");
        }
        sg_spool_free(spool);
        waitpid(child, NULL, 0);
    }
}

/* ---- gzip ---- */

static size_t gzip_bytes(unsigned char *out, size_t size, const char *data, size_t n)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)data;
    z.avail_in = (unsigned)n;
    z.next_out = out;
    z.avail_out = (unsigned)size;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t made = size - z.avail_out;
    deflateEnd(&z);
    return made;
}

static void test_gzip(void **state)
{
    static unsigned char z[1 << 16];
    const char *a = "the cat\nsa", *b = "t on the mat\n";
    size_t n = gzip_bytes(z, sizeof z, a, strlen(a)), first = n;
    expect_tokens(text, write_bytes(&tmp, "a.gz", z, n), "|the cat <eos>|sa <eos>");
    n += gzip_bytes(z + n, sizeof z - n, b, strlen(b)); /* a second member goes on where the first ended */
    const char *joined = "|the cat <eos>|sat on the mat <eos>";
    expect_tokens(text, write_bytes(&tmp, "a.gz", z, n), joined);
    expect_tokens(text, write_bytes(&tmp, "noname", z, n), joined);
    for (size_t cut = 3; cut < n; cut++)
        if (cut != first)
            expect_error(text, write_bytes(&tmp, "a.gz", z, cut), SG_EFORMAT,
                         cut > first ? "a.gz: " : "too early");
    memset(z + n, 0, 100); /* zeros behind the end are padding */
    expect_tokens(text, write_bytes(&tmp, "a.gz", z, n + 100), joined);
    memcpy(z + n, "garbage", 7);
    expect_error(text, write_bytes(&tmp, "a.gz", z, n + 7), SG_EFORMAT, "not gzip after the end");
    z[first / 2] ^= 0x55;
    expect_error(text, write_bytes(&tmp, "a.gz", z, n), SG_EFORMAT, "damaged gzip data");
}

/* A large file: blocks end inside words and characters; plain, gzip and a pipe give the same stream. */
static char *large_text(size_t *n)
{
    char *s = malloc(1 << 20);
    size_t k = 0;
    sg_rng r;
    sg_rng_seed(&r, 7, 0);
    while (k < (1 << 20) - 64) {
        k += (size_t)sprintf(s + k, "w%llu\xc3\xa9\xe6\x97\xa5%s", (unsigned long long)sg_rng_below(&r, 500),
                             sg_rng_below(&r, 12)  ? " "
                             : sg_rng_below(&r, 9) ? "\n"
                                                   : "\n\n");
    }
    *n = k;
    return s;
}

static sg_stream *encode(const char *const *paths, size_t n, const sg_vocab *v, const sg_corpus_config *like)
{
    sg_corpus_config cfg = *like;
    cfg.paths = paths;
    cfg.n_paths = n;
    sg_stream *s = NULL;
    sg_error err = {0};
    assert_ok(sg_stream_new(&s, &cfg, v, NULL, NULL, &err), err);
    return s;
}

static sg_vocab *vocab_of(const char *path, const sg_corpus_config *like)
{
    sg_corpus_config cfg = *like;
    cfg.paths = &path;
    cfg.n_paths = 1;
    sg_vocab *v = NULL;
    sg_error err = {0};
    assert_ok(build_vocab(&v, &cfg, (sg_vocab_config){.unk = like->unit == SG_UNIT_WORD}, &err), err);
    return v;
}

/* The stream against the reader: every id, every start of a sentence. */
static void expect_read(const sg_stream *s, const char *path, const sg_vocab *v, const sg_corpus_config *like)
{
    sg_corpus_config cfg = *like;
    cfg.paths = &path;
    cfg.n_paths = 1;
    sg_corpus *c = NULL;
    sg_error err = {0};
    sg_token t;
    bool end = false;
    uint64_t n = 0;
    assert_ok(sg_corpus_open(&c, &cfg, &err), err);
    for (;; n++) {
        sg_step step;
        assert_ok(sg_corpus_next(c, &t, &end, &err), err);
        if (end)
            break;
        assert_ok(sg_stream_read(s, n, 1, &step, &err), err);
        if (strcmp(sg_vocab_word(v, (size_t)step.id), t.form) || step.first != t.first)
            fail_msg("token %llu: '%s' (%d), expected '%s' (%d)", (unsigned long long)n,
                     sg_vocab_word(v, (size_t)step.id), step.first, t.form, t.first);
    }
    sg_corpus_close(c);
    assert_int_equal(n, sg_stream_length(s));
}

static void expect_same(const sg_stream *a, const sg_stream *b)
{
    sg_error err = {0};
    assert_int_equal(sg_stream_length(a), sg_stream_length(b));
    assert_string_equal(sg_stream_sha256(a), sg_stream_sha256(b));
    for (uint64_t at = 0; at < sg_stream_length(a);) {
        sg_step x[777], y[777];
        size_t n = sg_stream_length(a) - at < 777 ? (size_t)(sg_stream_length(a) - at) : 777;
        assert_ok(sg_stream_read(a, at, n, x, &err), err);
        assert_ok(sg_stream_read(b, at, n, y, &err), err);
        for (size_t i = 0; i < n; i++) /* files may begin elsewhere */
            assert_true(x[i].id == y[i].id && x[i].set == y[i].set && x[i].first == y[i].first);
        at += n;
    }
}

static void test_same_stream_whatever_the_source(void **state)
{
    size_t n, half;
    char *s = large_text(&n);
    for (half = n / 2; s[half - 1] != '\n'; half++)
        ;
    const char *whole = write_bytes(&tmp, "whole", s, n);
    const char *parts[] = {write_bytes(&tmp, "part1", s, half),
                           write_bytes(&tmp, "part2", s + half, n - half)};
    unsigned char *z = malloc(n);
    const char *zipped = write_bytes(&tmp, "whole.gz", z, gzip_bytes(z, n, s, n));
    char folder[512];
    snprintf(folder, sizeof folder, "%s/folder", tmp.folder);
    mkdir(folder, 0700);
    snprintf(folder, sizeof folder, "%s/folder/b", tmp.folder);
    mkdir(folder, 0700);
    write_bytes(&tmp, "folder/a.txt", s, half);
    write_bytes(&tmp, "folder/b/c.txt", s + half, n - half);
    write_text(&tmp, "folder/.hidden", "not read");
    snprintf(folder, sizeof folder, "%s/folder", tmp.folder);
    const char *folder_path = folder, *dash = "-";
    const sg_corpus_config *configs[] = {&text, &chars, &no_eos};
    for (size_t i = 0; i < 3; i++) {
        sg_vocab *v = vocab_of(whole, configs[i]);
        sg_stream *a = encode(&whole, 1, v, configs[i]), *b = encode(&zipped, 1, v, configs[i]),
                  *c = encode(parts, 2, v, configs[i]), *d = encode(&folder_path, 1, v, configs[i]);
        int saved = dup(0), in = open(whole, O_RDONLY);
        dup2(in, 0);
        sg_stream *e = encode(&dash, 1, v, configs[i]);
        dup2(saved, 0);
        close(in);
        close(saved);
        expect_read(a, whole, v, configs[i]);
        expect_same(a, b);
        expect_same(a, c);
        expect_same(a, d);
        expect_same(a, e);
        assert_int_equal(sg_stream_info(a)->unknown, 0);
        sg_stream_free(a), sg_stream_free(b), sg_stream_free(c), sg_stream_free(d), sg_stream_free(e);
        sg_vocab_free(v);
    }
    free(s);
    free(z);
}

static void test_spool(void **state)
{
    const char *path = write_text(&tmp, "in", "b a\na\n"), *dash = "-", *twice[] = {"-", "-"};
    sg_error err = {0};
    sg_spool *spool = NULL;
    sg_vocab *v = NULL;
    sg_corpus_config cfg = config_of(&dash, 1);
    int saved = dup(0), in = open(path, O_RDONLY);
    dup2(in, 0);
    assert_ok(sg_spool_new(&spool, &dash, 1, &err), err);
    dup2(saved, 0);
    close(in);
    close(saved);
    cfg.spool = spool;
    assert_ok(build_vocab(&v, &cfg, (sg_vocab_config){.unk = true}, &err), err);
    assert_string_equal(sg_vocab_word(v, 0), "a");
    sg_stream *s = encode(&dash, 1, v, &cfg);
    assert_int_equal(sg_stream_length(s), 5);
    sg_stream_free(s);
    sg_vocab_free(v);
    sg_spool_free(spool);
    assert_int_equal(sg_spool_new(&spool, twice, 2, &err), SG_EINVAL);
    assert_null(spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_lower_case),
        cmocka_unit_test(test_tagged),
        cmocka_unit_test(test_conllu),
        cmocka_unit_test(test_tags_file),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_spool),
        cmocka_unit_test(test_same_stream_whatever_the_source),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
