/* SPDX-License-Identifier: MIT */
/* Synthetic corpora: what README says of them is true of every sentence; same settings, same bytes. */
#include "helpers/corpus_util.h"

#include "stategrad/synth.h"

#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    char form[32], tag[16];
} word;

static char *file_in(const char *folder, const char *kind, const char *name)
{
    static char paths[8][300];
    static unsigned next;
    char *p = paths[next++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s/%s", folder, kind, name);
    return p;
}

static sg_synth_config settings(uint64_t tokens, size_t distance)
{
    sg_synth_config cfg;
    sg_synth_defaults(&cfg);
    cfg.tokens = tokens;
    cfg.distance = distance;
    return cfg;
}

/* Calls check with each sentence (<eos> left out). */
static uint64_t each_sentence(const char *path, void (*check)(const word *w, size_t n, size_t k), size_t k)
{
    static word words[4096];
    sg_corpus_config cfg = config_of(&path, 1);
    cfg.format = SG_FORMAT_TAGGED;
    sg_corpus *c = NULL;
    sg_error err = {0};
    sg_token t;
    bool end = false;
    size_t n = 0;
    uint64_t tokens = 0;
    assert_ok(sg_corpus_open(&c, &cfg, &err), err);
    for (;; tokens++) {
        assert_ok(sg_corpus_next(c, &t, &end, &err), err);
        if (end)
            break;
        if (t.eos) {
            check(words, n, k);
            n = 0;
            continue;
        }
        assert_true(n < 4096);
        snprintf(words[n].form, sizeof words[n].form, "%s", t.form);
        snprintf(words[n].tag, sizeof words[n].tag, "%s", t.tag);
        n++;
    }
    assert_int_equal(n, 0);
    sg_corpus_close(c);
    return tokens;
}

static bool is(const word *w, const char *tag)
{
    return !strcmp(w->tag, tag);
}

static double copy_nats; /* - sum of log p, found anew from the words */

static void check_copy(const word *w, size_t n, size_t k)
{
    for (size_t i = 0; i < n; i++) {
        bool due = i >= k && is(&w[i - k], "SRC");
        assert_true(is(&w[i], "ECHO") == due);
        if (due)
            assert_string_equal(w[i].form + 4, w[i - k].form + 6);
        else
            copy_nats -= log((i ? 0.96 : 1) * (is(&w[i], "SRC") ? 0.25 / 8 : 0.75 / 24));
    }
    copy_nats -= log(0.04);
}

static uint64_t right[3], echoes[3];

static void check_variance(const word *w, size_t n, size_t k)
{
    static const char *const tags[] = {"WIDE", "NARROW", "WEAK"}, *const stems[] = {"wide", "narrow", "weak"};
    for (size_t i = 0; i < n; i++) {
        int due = -1;
        for (int c = 0; c < 3; c++)
            if (i >= k && is(&w[i - k], tags[c]))
                due = c;
        assert_true(is(&w[i], "ECHO") == (due >= 0));
        if (due < 0)
            continue;
        size_t stem = strlen(stems[due]);
        assert_memory_equal(w[i].form, stems[due], stem);
        echoes[due]++;
        right[due] += w[i].form[strlen(w[i].form) - 1] == w[i - k].form[stem + 1];
    }
}

static void check_agreement(const word *w, size_t n, size_t k)
{
    size_t i = 2, before, after;
    assert_true(n >= 5 && is(&w[0], "DT") && (is(&w[1], "NN") || is(&w[1], "NNS")));
    bool plural = is(&w[1], "NNS");
    for (before = 0; i < n && is(&w[i], "RB"); i++)
        before++;
    assert_true(i < n && is(&w[i], plural ? "VBP" : "VBZ"));
    assert_true((w[i].form[strlen(w[i].form) - 1] == 's') == !plural &&
                (w[1].form[strlen(w[1].form) - 1] == 's') == plural);
    for (after = 0, i++; i < n && is(&w[i], "RB"); i++)
        after++;
    assert_int_equal(i, n);
    assert_true(before >= 1 && before <= k && after >= 1 && after <= k);
}

static void check_independent(const word *w, size_t n, size_t k)
{
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++)
        assert_true(is(&w[i], w[i].form[0] == 'a' ? "A" : "B"));
}

/* The echoes of a line are those of its switch, its first word. */
static void check_latch(const word *w, size_t n, size_t k)
{
    bool on = is(&w[0], "ON");
    assert_true(n > 0 && (on || is(&w[0], "OFF")));
    assert_string_equal(w[0].form, on ? "on" : "off");
    for (size_t i = 1; i < n; i++)
        if (is(&w[i], "ECHO"))
            assert_string_equal(w[i].form, on ? "echo_on" : "echo_off");
        else
            assert_true(is(&w[i], "FILL"));
}

static void (*const checks[SG_SYNTH_KINDS])(const word *, size_t, size_t) = {
    check_copy, check_agreement, check_variance, check_independent, check_latch};

static void test_rules(void **state)
{
    sg_error err = {0};
    for (sg_synth_kind kind = 0; kind < SG_SYNTH_KINDS; kind++)
        for (size_t k = 1; k < 8; k += 3) {
            sg_synth_config cfg = settings(5000, k);
            assert_ok(sg_synth_write(tmp.folder, kind, &cfg, &err), err);
            uint64_t n =
                each_sentence(file_in(tmp.folder, sg_synth_name(kind), "train.txt"), checks[kind], k);
            assert_true(n >= 5000 && n < 6500);
            n = each_sentence(file_in(tmp.folder, sg_synth_name(kind), "test.txt"), checks[kind], k);
            assert_true(n >= 500 && n < 1500);
        }
}

/* The shares of right echoes. */
static void test_shares(void **state)
{
    sg_error err = {0};
    sg_synth_config cfg = settings(60000, 3);
    assert_ok(sg_synth_write(tmp.folder, SG_SYNTH_VARIANCE, &cfg, &err), err);
    memset(right, 0, sizeof right);
    memset(echoes, 0, sizeof echoes);
    each_sentence(file_in(tmp.folder, "variance", "train.txt"), check_variance, 3);
    static const double share[] = {0.9, 0.9, 0.75};
    for (size_t c = 0; c < 3; c++) {
        double se = sqrt(share[c] * (1 - share[c]) / (double)echoes[c]);
        assert_true(echoes[c] > 4000);
        assert_true(fabs((double)right[c] / (double)echoes[c] - share[c]) < 4 * se);
    }
}

static double readme_entropy(const char *kind, const char *name)
{
    char *text, *at;
    size_t n;
    sg_error err = {0};
    assert_ok(sg_read_file(&text, &n, file_in(tmp.folder, kind, "README"), 1 << 20, &err), err);
    assert_non_null(at = strstr(text, name));
    double nats = -1;
    unsigned long long tokens;
    assert_int_equal(sscanf(at + strlen(name), "%llu %lf", &tokens, &nats), 2);
    sg_free(text);
    return nats;
}

/* Two ways to the same number: the draws' own probabilities, and a formula or the counts of the file. */
static void test_entropy(void **state)
{
    sg_error err = {0};
    sg_synth_config cfg = settings(60000, 0);
    assert_ok(sg_synth_write(tmp.folder, SG_SYNTH_INDEPENDENT, &cfg, &err), err);
    /* per sentence: mean 50 words of ln 40, an <eos> after each with 1/50 */
    double per_word = log(40) - 0.02 * log(0.02) - 0.98 * log(0.98), expected = per_word * 50 / 51;
    assert_close(readme_entropy("independent", "train.txt"), expected, 0.005, 0, "independent", 0);
    assert_ok(sg_synth_write(tmp.folder, SG_SYNTH_AGREEMENT, &cfg, &err), err);
    /* ln 20 noun, ln 4 for each run's length, mean 2.5 adverbs of ln 12 in each, ln 8 verb; 4 + 5 tokens */
    double nats = log(20) + 2 * log(4) + 5 * log(12) + log(8), tokens = 4 + 5;
    assert_close(readme_entropy("agreement", "train.txt"), nats / tokens, 0.005, 0, "agreement", 0);
    assert_ok(sg_synth_write(tmp.folder, SG_SYNTH_COPY, &cfg, &err), err);
    double copy = readme_entropy("copy", "train.txt");
    copy_nats = 0;
    uint64_t n = each_sentence(file_in(tmp.folder, "copy", "train.txt"), check_copy, 4);
    assert_close(copy, copy_nats / (double)n, 1e-4, 0, "copy", 0);
}

static void test_same_bytes(void **state)
{
    sg_error err = {0};
    char a[65], b[65], c[65];
    sg_synth_config cfg = settings(2000, 0);
    for (sg_synth_kind kind = 0; kind < SG_SYNTH_KINDS; kind++) {
        const char *path = file_in(tmp.folder, sg_synth_name(kind), "train.txt");
        cfg.seed = 1;
        assert_ok(sg_synth_write(tmp.folder, kind, &cfg, &err), err);
        assert_ok(sg_sha256_file(path, a, &err), err);
        assert_ok(sg_synth_write(tmp.folder, kind, &cfg, &err), err);
        assert_ok(sg_sha256_file(path, b, &err), err);
        cfg.seed = 2;
        assert_ok(sg_synth_write(tmp.folder, kind, &cfg, &err), err);
        assert_ok(sg_sha256_file(path, c, &err), err);
        assert_string_equal(a, b);
        assert_string_not_equal(a, c);
        assert_ok(sg_sha256_file(file_in(tmp.folder, sg_synth_name(kind), "test.txt"), b, &err), err);
        assert_string_not_equal(b, c);
    }
}

/* Every word of the corpus has an embedding; halves differ by exactly 2 size in one dimension. */
static void test_embeddings(void **state)
{
    sg_error err = {0};
    sg_synth_config cfg = settings(3000, 0);
    char line[1024], name[64];
    int rows, columns;
    double means[6][10] = {{0}}, x[10], largest = 0;
    static const char *const halves[] = {"wide_a", "wide_b", "narrow_a", "narrow_b", "weak_a", "weak_b"};
    static const double sizes[] = {2, 0.25, 0.25};
    assert_ok(sg_synth_write(tmp.folder, SG_SYNTH_VARIANCE, &cfg, &err), err);
    FILE *f = fopen(file_in(tmp.folder, "variance", "embeddings.txt"), "r");
    assert_int_equal(fscanf(f, "%d %d\n", &rows, &columns), 2);
    assert_int_equal(columns, 10);
    for (int i = 0; i < rows; i++) {
        assert_non_null(fgets(line, sizeof line, f));
        int at = 0, step;
        assert_int_equal(sscanf(line, "%63s%n", name, &at), 1);
        for (int e = 0; e < 10; e++, at += step) {
            assert_int_equal(sscanf(line + at, "%lf%n", &x[e], &step), 1);
            largest = fmax(largest, fabs(x[e]));
        }
        for (int h = 0; h < 6; h++)
            if (!strncmp(name, halves[h], strlen(halves[h])) && !strstr(name, "_was_"))
                for (int e = 0; e < 10; e++)
                    means[h][e] += x[e] / 4;
    }
    assert_null(fgets(line, sizeof line, f));
    fclose(f);
    assert_true(largest > 0.5 && largest < 5);
    for (int c = 0; c < 3; c++)
        for (int e = 0; e < 10; e++)
            assert_close(means[2 * c][e] - means[2 * c + 1][e], e == c ? 2 * sizes[c] : 0, 1e-9, 1,
                         halves[2 * c], e);
}

enum { LONG = 20000000 };

/* Of a monitor: stops at this tick. */
static bool count_down(void *ctx, const sg_progress *p)
{
    assert_string_equal(p->what, "writing");
    assert_true(p->done > 0 && p->done <= p->total);
    assert_true(p->total < LONG || p->done < p->total); /* that one is not written to its end */
    return --*(int *)ctx > 0;
}

/* At the end of each file, and within a file that takes seconds; only what was there before remains. */
static void test_stop(void **state)
{
    static const char *const names[] = {"train.txt", "valid.txt", "test.txt"};
    sg_error err = {0};
    char folder[280];
    snprintf(folder, sizeof folder, "%s/stopped", tmp.folder);
    for (int at = 1; at <= 4; at++) {
        int left = at;
        const sg_monitor monitor = {count_down, NULL, &left};
        sg_synth_config cfg = settings(at == 4 ? LONG : 2000, 0);
        left = at == 4 ? 1 : at;
        cfg.monitor = &monitor;
        assert_int_equal(sg_synth_write(folder, SG_SYNTH_LATCH, &cfg, &err), SG_ECANCELLED);
        assert_int_equal(left, 0);
        assert_int_equal(access(folder, F_OK), -1);
        if (at == 4)
            break;
        assert_int_equal(mkdir(folder, 0777), 0); /* the user's: files that are finished remain */
        assert_int_equal(mkdir(file_in(folder, "latch", ""), 0777), 0);
        left = at;
        assert_int_equal(sg_synth_write(folder, SG_SYNTH_LATCH, &cfg, &err), SG_ECANCELLED);
        for (int i = 0; i < 3; i++) {
            const char *path = file_in(folder, "latch", names[i]);
            assert_int_equal(access(path, F_OK), i < at - 1 ? 0 : -1);
            unlink(path);
        }
        assert_int_equal(rmdir(file_in(folder, "latch", "")), 0); /* no temporary file */
        assert_int_equal(rmdir(folder), 0);
    }
}

static void test_errors(void **state)
{
    sg_error err = {0};
    sg_synth_config cfg = settings(10, 0);
    assert_int_equal(sg_synth_write(tmp.folder, SG_SYNTH_COPY, &cfg, &err), SG_EINVAL);
    cfg = settings(1000, 101);
    assert_int_equal(sg_synth_write(tmp.folder, SG_SYNTH_COPY, &cfg, &err), SG_EINVAL);
    cfg = settings(1000, 0);
    assert_int_equal(sg_synth_write(write_text(&tmp, "file", ""), SG_SYNTH_COPY, &cfg, &err), SG_EIO);
    assert_non_null(strstr(err.msg, "file: the folder cannot be made"));
    assert_int_equal(sg_synth_write("/nonexistent/a", SG_SYNTH_COPY, &cfg, &err), SG_EIO);
    long live = sg_alloc_live();
    for (long n = 0;; n++) {
        sg_alloc_fail_after(n);
        sg_status st = sg_synth_write(tmp.folder, SG_SYNTH_VARIANCE, &cfg, &err);
        sg_alloc_fail_after(-1);
        assert_int_equal(sg_alloc_live(), live);
        if (st == SG_OK)
            break;
        assert_int_equal(st, SG_ENOMEM);
        assert_true(n < 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),      cmocka_unit_test(test_shares),     cmocka_unit_test(test_entropy),
        cmocka_unit_test(test_same_bytes), cmocka_unit_test(test_embeddings), cmocka_unit_test(test_stop),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
