/* SPDX-License-Identifier: MIT */
/* Pairs of words: which ones a spec or a file chooses, and their gains and changes of state against single
 * steps of sg_gradient and plain states, summed here. */
#include "helpers/corpus_util.h"

#include "stategrad/analysis.h"
#include "stategrad/gradient.h"
#include "stategrad/run.h"

#include <math.h>

enum { MOST = 1600, SENTENCES = 110, E = 3, H = 4, D = 6, LABELS = 5, BLOCKS = 6, KINDS = 5 };

typedef struct {
    int word, upos, head, deprel; /* head: index in the sentence, -1: root */
    char number;
    bool eos, first;
    int start; /* of its sentence */
} token;

static token tokens[MOST];
static int T;
static const char *const uposes[] = {"NOUN", "PROPN", "VERB", "DET"}, *const deprels[] = {
                                                                          "nsubj", "nsubj:pass", "obj", "x"};

/* Sentences with random trees; n_words forms. */
static const char *write_corpus(int n_words, bool eos)
{
    static char text[MOST * 80];
    sg_rng r;
    size_t n = 0;
    sg_rng_seed(&r, 11, (uint64_t)n_words);
    T = 0;
    for (int s = 0; s < SENTENCES; s++) {
        int length = 1 + (int)sg_rng_below(&r, 12), start = T;
        for (int i = 0; i < length; i++) {
            token t = {.word = (int)sg_rng_below(&r, (uint32_t)n_words),
                       .upos = (int)sg_rng_below(&r, 4),
                       .start = start,
                       .first = i == 0};
            t.head = (int)sg_rng_below(&r, (uint32_t)length + 1) - 1;
            t.head = t.head == i ? -1 : t.head;
            t.deprel = (int)sg_rng_below(&r, 4);
            t.number = "SP_"[sg_rng_below(&r, 3)];
            n += (size_t)sprintf(text + n, "%d\tw%d\t_\t%s\t_\t%s\t%d\t%s\t_\t_\n", i + 1, t.word,
                                 uposes[t.upos],
                                 t.number == 'S'   ? "Case=Nom|Number=Sing"
                                 : t.number == 'P' ? "Number=Plur"
                                                   : "_",
                                 t.head + 1, deprels[t.deprel]);
            tokens[T++] = t;
        }
        if (eos)
            tokens[T++] = (token){.word = -1, .eos = true, .upos = KINDS - 1};
        n += (size_t)sprintf(text + n, "\n");
    }
    return write_text(&tmp, "c.conllu", text);
}

/* ---- what is chosen, naively ---- */

typedef struct {
    int read, now, label;
} chosen;

static chosen list[4 * MOST];
static int n_list, n_reversed, n_outside;

static void choose(int read, int now, int label)
{
    if (read > now)
        n_reversed++;
    else
        list[n_list++] = (chosen){read, now, label};
}

/* Labels 0 to 2: subject-verb and its two; 3: heads of obj, read first; 4: of the file. */
static void choose_all(void)
{
    n_list = n_reversed = n_outside = 0;
    for (int t = 0; t < T; t++) {
        const token *w = &tokens[t];
        if (w->eos)
            continue;
        int head = w->start + w->head;
        if ((w->deprel < 2 || w->deprel == 2) && w->head < 0)
            n_outside++;
        if (w->head < 0)
            continue;
        if (w->deprel < 2) {
            choose(t, head, 0);
            bool attractor = false;
            for (int i = t + 1; i < head; i++)
                attractor |= tokens[i].upos < 2 && tokens[i].number != '_' && tokens[i].number != w->number;
            if (w->number != '_') /* reversed or not, once for each label */
                choose(t, head, attractor ? 1 : 2);
        }
        if (w->deprel == 2)
            choose(head, t, 3);
    }
    for (int i = 0; i < 40; i++)
        choose(7 * i, 7 * i + i % 9, 4);
    choose(9, 3, 4);
    n_outside += 2;
}

static const char *write_pairs(void)
{
    char text[2000];
    size_t n =
        (size_t)sprintf(text, "# read now label\n\n9 3 mine\n%d %d mine\n 5\t%d mine  \n", T, T + 1, T);
    for (int i = 0; i < 40; i++)
        n += (size_t)sprintf(text + n, "%d %d mine\n", 7 * i, 7 * i + i % 9);
    return write_text(&tmp, "pairs.txt", text);
}

/* ---- what is followed, naively ---- */

typedef struct {
    sg_state_handling handling;
    size_t window, burn_in;
    const char *state;
    size_t layer;
    sg_cell cell;
} mode;

static double squares[2][MOST][D]; /* |G[t,d] L|^2 */
static bool exists[MOST][D];       /* the pair (t, t-d) is counted */

static void naive_squares(const sg_model *m, const mode *x, const int32_t *ids, const double *L)
{
    sg_gradient *g;
    sg_error err;
    float G[H * E];
    int zero = 0;
    assert_ok(sg_gradient_new(&g, m, D, &err), err);
    for (int t = 0; t < T; t++) {
        if (x->handling == SG_RESET && tokens[t].first) {
            sg_gradient_reset(g);
            zero = t;
        }
        assert_ok(sg_gradient_step(g, ids[t], NULL, &err), err);
        for (int d = 0; d < D; d++) {
            exists[t][d] = t - d >= zero && t - d - zero >= (int)x->burn_in &&
                           (x->handling != SG_WINDOW || (size_t)(t - d) / x->window == (size_t)t / x->window);
            for (int s = 0; s < 2; s++) {
                if (!s && x->cell != SG_CELL_LSTM)
                    continue;
                double sum = 0;
                sg_gradient_get(g, x->layer, s ? SG_STATE_HIDDEN : SG_STATE_CELL, (size_t)d, G);
                for (int i = 0; i < H; i++)
                    for (int k = 0; k < E; k++) {
                        double y = 0;
                        for (int e = 0; e < E; e++)
                            y += (double)G[i * E + e] * L[e * E + k];
                        sum += y * y;
                    }
                squares[s][t][d] = sum;
            }
        }
    }
    sg_gradient_free(g);
}

static void near(const char *what, int label, int d, double found, double expected)
{
    if (isnan(expected) ? !isnan(found) : !(fabs(found - expected) <= 2e-5 * (fabs(expected) + 1e-7)))
        fail_msg("%s of label %d at %d: %.9g, expected %.9g", what, label, d, found, expected);
}

/* Gain (of squares; without root: mean) of chosen and other words of a label at delay d, D: all. */
static void naive(double x[MOST][D], int label, int d, bool root, double *gain, double *other, int *pairs)
{
    static bool read[MOST];
    double sum = 0, n_kind[KINDS][D] = {{0}}, y[KINDS][D] = {{0}}, n_other[KINDS][D] = {{0}}, matched = 0,
           total = 0;
    *pairs = 0;
    memset(read, 0, sizeof read);
    for (int i = 0; i < n_list; i++) {
        read[list[i].read] = true;
        int e = list[i].now - list[i].read;
        if (list[i].label != label || e >= D || (d < D && e != d) || !exists[list[i].now][e])
            continue;
        ++*pairs;
        sum += x[list[i].now][e];
        n_kind[tokens[list[i].read].upos][e]++;
    }
    for (int t = 0; t < T; t++)
        for (int e = 0; e < D && e <= t; e++)
            if (exists[t][e] && !read[t - e])
                y[tokens[t - e].upos][e] += x[t][e], n_other[tokens[t - e].upos][e]++;
    for (int k = 0; k < KINDS; k++)
        for (int e = 0; e < D; e++)
            if (n_kind[k][e] > 0 && n_other[k][e] > 0)
                matched += n_kind[k][e], total += n_kind[k][e] * y[k][e] / n_other[k][e];
    *gain = *pairs ? sum / *pairs : NAN;
    *other = matched > 0 ? total / matched : NAN;
    if (root)
        *gain = sqrt(*gain), *other = sqrt(*other);
}

typedef struct {
    sg_model *m;
    sg_vocab *v;
    sg_stream *s;
    sg_run *r;
    int32_t ids[MOST];
    double L[E * E];
} analysed;

static void analyse(analysed *a, const mode *x, int n_words, bool eos)
{
    static const char *words[] = {"<eos>", "<unk>", "w0", "w1", "w2", "w3",
                                  "w4",    "w5",    "w6", "w7", "w8", "w9"};
    sg_error err = {""};
    const char *path = write_corpus(n_words, eos);
    sg_corpus_config cfg = config_of(&path, 1);
    sg_analysis_config config;
    char run[600];
    choose_all();
    const char *specs[] = {"subject-verb", "heads=deprel:head->obj", write_pairs()};
    cfg.eos = eos, cfg.pairs = specs, cfg.n_pairs = 3;
    sg_model_shape shape = {.cell = x->cell,
                            .layers = 2,
                            .vocabulary = 2 + (size_t)n_words,
                            .embedding = E,
                            .hidden = {H, H},
                            .has_decoder = true};
    assert_ok(sg_vocab_from_words(&a->v, words, NULL, 2 + (size_t)n_words, &err), err);
    assert_ok(sg_model_new(&a->m, &shape, a->v, &err), err);
    sg_model_init_uniform(a->m, 0.9f, 3);
    assert_ok(sg_stream_new(&a->s, &cfg, a->v, NULL, NULL, &err), err);
    assert_int_equal(sg_stream_length(a->s), T);
    for (int t = 0; t < T; t++)
        a->ids[t] = tokens[t].word < 0 ? 0 : tokens[t].word + 2;
    sg_analysis_defaults(&config, a->m);
    config.delays = D, config.blocks = BLOCKS, config.handling = x->handling, config.window = x->window,
    config.burn_in = x->burn_in;
    config.layer = x->layer, config.threads = 2, config.documents = SG_DOCUMENTS_NONE;
    config.state = SG_STATE_HIDDEN | (x->cell == SG_CELL_LSTM ? SG_STATE_CELL : 0);
    snprintf(run, sizeof run, "%s/run.nc", tmp.folder);
    assert_ok(sg_analyze(run, a->m, a->s, NULL, &config, NULL, &err), err);
    assert_ok(sg_run_open(&a->r, run, &err), err);
    assert_ok(sg_run_read(a->r, NULL, "embedding_covariance_factor", NULL, NULL, a->L, &err), err);
}

static void analysed_free(analysed *a)
{
    sg_run_close(a->r);
    sg_stream_free(a->s);
    sg_model_free(a->m);
    sg_vocab_free(a->v);
}

/* Values of a state in the run file against those of x. */
static void compare(const analysed *a, const char *group, const char *const names[3], double x[MOST][D],
                    bool root)
{
    double y[LABELS * D], all[LABELS], low[LABELS * D], high[LABELS * D];
    sg_error err;
    char name[64];
    for (int v = 0; v < 3; v++) {
        assert_ok(sg_run_read(a->r, group, names[v], NULL, NULL, y, &err), err);
        snprintf(name, sizeof name, "%s_all", names[v]);
        assert_ok(sg_run_read(a->r, group, name, NULL, NULL, all, &err), err);
        snprintf(name, sizeof name, "%s_low", names[v]);
        assert_ok(sg_run_read(a->r, group, name, NULL, NULL, low, &err), err);
        snprintf(name, sizeof name, "%s_high", names[v]);
        assert_ok(sg_run_read(a->r, group, name, NULL, NULL, high, &err), err);
        for (int l = 0; l < LABELS; l++)
            for (int d = 0; d <= D; d++) {
                double value[3];
                int n;
                naive(x, l, d, root, &value[0], &value[1], &n);
                value[2] = value[0] / value[1];
                near(names[v], l, d, d < D ? y[l * D + d] : all[l], value[v]);
                if (d < D && !isnan(low[l * D + d]))
                    assert_true(low[l * D + d] <= y[l * D + d] * 1.5 && high[l * D + d] > low[l * D + d]);
            }
    }
}

static void gains_are_those_of_single_steps(void **state)
{
    static const mode modes[] = {{SG_CARRY, 0, 0, "both", 2, SG_CELL_LSTM},
                                 {SG_RESET, 0, 2, "both", 2, SG_CELL_LSTM},
                                 {SG_WINDOW, 16, 0, "hidden", 1, SG_CELL_GRU}};
    static const char *const names[] = {"pair_gain", "pair_other_gain", "pair_gain_ratio"};
    (void)state;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        analysed a;
        sg_error err;
        double count[LABELS * D];
        char group[32];
        analyse(&a, &modes[i], 10, true);
        naive_squares(a.m, &modes[i], a.ids, a.L);
        for (int s = modes[i].cell == SG_CELL_LSTM ? 0 : 1; s < 2; s++) {
            snprintf(group, sizeof group, "layer%zu.%s", modes[i].layer, s ? "hidden" : "cell");
            compare(&a, group, names, squares[s], true);
        }
        assert_ok(sg_run_read(a.r, group, "pair_count", NULL, NULL, count, &err), err);
        int beyond = 0, lost = 0;
        for (int k = 0; k < n_list; k++) {
            int d = list[k].now - list[k].read;
            beyond += d >= D;
            lost += d < D && !exists[list[k].now][d];
        }
        for (int l = 0; l < LABELS; l++)
            for (int d = 0; d < D; d++) {
                double gain, other;
                int n;
                naive(squares[1], l, d, true, &gain, &other, &n);
                assert_int_equal((int)count[l * D + d], n);
            }
        const char *const attributes[] = {"pairs_reversed", "pairs_outside", "pairs_beyond_delays",
                                          "pairs_unfollowed"};
        const int expected[] = {n_reversed, n_outside, beyond, lost};
        for (int k = 0; k < 4; k++)
            assert_int_equal(atoi(sg_run_attribute(a.r, attributes[k])), expected[k]);
        analysed_free(&a);
    }
}

/* Of two words each is replaced by the other. */
static void changes_are_those_of_plain_states(void **state)
{
    static const char *const names[] = {"pair_change", "pair_other_change", "pair_change_ratio"};
    static double change[MOST][D];
    const mode x = {SG_CARRY, 0, 0, "both", 2, SG_CELL_LSTM};
    (void)state;
    analysed a;
    sg_error err;
    sg_gradient *g;
    static float plain[MOST][H];
    analyse(&a, &x, 2, false);
    naive_squares(a.m, &x, a.ids, a.L);
    assert_ok(sg_gradient_new(&g, a.m, 1, &err), err);
    for (int t = 0; t < T; t++) {
        assert_ok(sg_gradient_step(g, a.ids[t], NULL, &err), err);
        memcpy(plain[t], sg_gradient_state(g, 2, SG_STATE_CELL), sizeof plain[t]);
    }
    for (int s = 0; s < T; s++) {
        sg_gradient_reset(g);
        for (int t = 0; t < s + D && t < T; t++) {
            assert_ok(sg_gradient_step(g, t == s ? 5 - a.ids[t] : a.ids[t], NULL, &err), err);
            double sum = 0;
            const float *h = sg_gradient_state(g, 2, SG_STATE_CELL);
            for (int i = 0; i < H; i++)
                sum += ((double)h[i] - (double)plain[t][i]) * ((double)h[i] - (double)plain[t][i]);
            if (t >= s)
                change[t][t - s] = sqrt(sum);
        }
    }
    sg_gradient_free(g);
    compare(&a, "layer2.cell", names, change, false);
    analysed_free(&a);
}

static void bad_specs_are_told(void **state)
{
    (void)state;
    const char *path = write_corpus(10, true), *text = write_text(&tmp, "t.txt", "w1 w2\n");
    const struct {
        const char *corpus, *spec;
        sg_status st;
        const char *part;
    } bad[] = {
        {path, "subject-vreb", SG_EINVAL,
         "pairs 'subject-vreb': expected subject-verb, deprel:RELATION->head"},
        {path, "deprel:nsubj", SG_EINVAL, "expected deprel:RELATION->head or deprel:head->RELATION"},
        {path, "deprel:->head", SG_EINVAL, "expected deprel:RELATION->head or"},
        {path, "deprel:nsubk->head", SG_EINVAL,
         "no word of the corpus has the relation 'nsubk'; did you mean nsubj?"},
        {text, "subject-verb", SG_EINVAL,
         "no word of the corpus has the relation 'nsubj' (a column of CoNLL-U"},
        {path, write_text(&tmp, "p1", "1 2 x\n3 y z\n"), SG_EFORMAT,
         "p1:2: '3 y z', expected two token positions"},
        {path, write_text(&tmp, "p2", "1 2\n"), SG_EFORMAT, "p2:1: '1 2', expected two token positions"},
        {path, write_text(&tmp, "p3", "-1 2 x\n"), SG_EFORMAT, "p3:1: '-1 2 x', expected"},
        {path, write_text(&tmp, "p4", "1 99999999999999999999 x\n"), SG_EFORMAT, "p4:1:"},
        {path, write_text(&tmp, "p5", "# none\n"), SG_EFORMAT,
         "p5: no pairs, expected lines 'read now label'"},
        {path, write_text(&tmp, "p6", "1 2 \xff\n"), SG_EFORMAT, "p6:1: invalid UTF-8"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sg_stream *s = NULL;
        sg_error err = {""};
        sg_corpus_config cfg = config_of(&bad[i].corpus, 1);
        cfg.pairs = &bad[i].spec, cfg.n_pairs = 1;
        sg_status st = sg_stream_new(&s, &cfg, NULL, NULL, NULL, &err);
        if (st != bad[i].st || !strstr(err.msg, bad[i].part))
            fail_msg("%s: status %d: '%s', expected '...%s...'", bad[i].spec, (int)st, err.msg, bad[i].part);
        assert_null(s);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    const char *path = write_corpus(10, true);
    const char *specs[] = {"subject-verb", write_pairs()};
    long live = sg_alloc_live();
    bool done = false;
    for (long n = 0; !done; n++) {
        sg_stream *s = NULL;
        sg_error err = {""};
        sg_corpus_config cfg = config_of(&path, 1);
        cfg.pairs = specs, cfg.n_pairs = 2;
        sg_alloc_fail_after(n);
        sg_status st = sg_stream_new(&s, &cfg, NULL, NULL, NULL, &err);
        sg_alloc_fail_after(-1);
        done = st == SG_OK;
        if (!done && st != SG_ENOMEM)
            fail_msg("allocation %ld failing: status %d: %s", n, (int)st, err.msg);
        sg_stream_free(s);
        assert_int_equal(sg_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gains_are_those_of_single_steps),
        cmocka_unit_test(changes_are_those_of_plain_states),
        cmocka_unit_test(bad_specs_are_told),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
