/* SPDX-License-Identifier: MIT */
/* The passes over a corpus, each against a naive recomputation: words drawn to replace others (word_law,
 * replaced_words), growth of small changes (growth, exponents), origins in rounds (sampled, sampling_error),
 * checkpoints (resume). */
#include "helpers/corpus_util.h"

#include "analysis/pass/replaced_words.h"
#include "analysis/pass/sampled.h"
#include "analysis/pass/word_law.h"
#include "base/checkpoint.h"

enum { V = 12, E = 2, H = 3, MOST_TOKENS = 60000, CLASSES = 3 };

/* A text of words of unequal frequency; classes: most tokens of even ids, multiples of three, id 7 alone. */
typedef struct {
    size_t T;
    int32_t ids[MOST_TOKENS];
    bool first[MOST_TOKENS], member[CLASSES * MOST_TOKENS];
    sg_vocab *vocab;
    sg_model *model;
    sg_classes *classes;
    sg_stream *stream;
    sg_analysis_config cfg;
    sg_property property;
} world;

static world shared_world; /* one at a time: too large for the stack */

static world *world_new(size_t T, float weights)
{
    static const char *const words[V] = {"<unk>", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"};
    static const char *const names[CLASSES] = {"even", "three", "seven"};
    static const char *const side_a[] = {"a", "b", "a", "f"}, *const side_b[] = {"c", "d", "e", "g"};
    world *w = &shared_world;
    sg_model_shape shape = {.cell = SG_CELL_TANH,
                            .layers = 1,
                            .vocabulary = V,
                            .embedding = E,
                            .hidden = {H},
                            .has_decoder = true};
    sg_error err = {""};
    sg_rng r;
    memset(w, 0, sizeof *w);
    w->T = T;
    sg_rng_seed(&r, 5, 0);
    for (size_t t = 0; t < T; t++) {
        const int32_t x = (int32_t)sg_rng_below(&r, V - 1), y = (int32_t)sg_rng_below(&r, V - 1);
        w->ids[t] = x < y ? x : y; /* "k" does not occur */
        w->first[t] = t % 23 == 0;
        w->member[CLASSES * t] = w->ids[t] % 2 == 0 && t % 5;
        w->member[CLASSES * t + 1] = w->ids[t] % 3 == 0;
        w->member[CLASSES * t + 2] = w->ids[t] == 7;
    }
    assert_ok(sg_vocab_from_words(&w->vocab, words, NULL, V, &err), err);
    assert_ok(sg_model_new(&w->model, &shape, w->vocab, &err), err);
    sg_model_init_uniform(w->model, weights, 3);
    assert_ok(sg_classes_from_names(&w->classes, names, CLASSES, w->vocab, &err), err);
    assert_ok(sg_stream_from_ids(&w->stream, w->ids, w->first, T, w->member, w->vocab, w->classes, &err),
              err);
    sg_analysis_defaults(&w->cfg, w->model);
    w->cfg.delays = 4, w->cfg.threads = 1, w->cfg.blocks = 5, w->cfg.lyapunov = 0;
    w->property = (sg_property){
        .name = "p", .words_a = side_a, .words_b = side_b, .n_words_a = 4, .n_words_b = 4, .pairs = true};
    w->cfg.properties = &w->property, w->cfg.n_properties = 1;
    return w;
}

static void world_free(world *w)
{
    sg_stream_free(w->stream);
    sg_classes_free(w->classes);
    sg_model_free(w->model);
    sg_vocab_free(w->vocab);
}

static void prepared(analysis *an, const world *w)
{
    sg_error err = {""};
    *an = (analysis){0};
    assert_ok(analysis_prepare(an, w->model, w->stream, w->classes, &w->cfg, NULL, &err), err);
}

/* ---- words that replace others ---- */

/* All tokens listed in order of id, those of the excluded word left out: the one that u points at. */
static void a_law_draws_in_proportion_to_tokens(void **state)
{
    static const struct {
        int32_t id;
        uint64_t tokens;
    } words[] = {{2, 3}, {3, 1}, {7, 40}, {8, 2}, {11, 5}};
    enum { N = sizeof words / sizeof *words };
    word_law l = {0};
    sg_error err = {""};
    int32_t list[100];
    assert_ok(word_law_new(&l, N, &err), err);
    for (size_t i = 0; i < N; i++)
        word_law_add(&l, words[i].id, words[i].tokens);
    for (int32_t excluded = 0; excluded < 13; excluded++) {
        size_t n = 0;
        for (size_t i = 0; i < N; i++)
            for (uint64_t k = 0; k < words[i].tokens && words[i].id != excluded; k++)
                list[n++] = words[i].id;
        for (size_t k = 0; k < 4 * n; k++) /* quarters of a token */
            assert_int_equal(word_law_draw(&l, ((double)k + 0.5) / (double)(4 * n), excluded), list[k / 4]);
        assert_int_equal(word_law_draw(&l, 0, excluded), list[0]);
        assert_int_equal(word_law_draw(&l, 1 - 1e-16, excluded), list[n - 1]);
    }
    word_law_free(&l);
}

/* The token number floor(u n) of the n tokens of class c (0: of all), in order of id, without <unk> and x. */
static int32_t naive_draw(const world *w, size_t c, double u, int32_t x)
{
    static int32_t list[MOST_TOKENS];
    size_t n = 0;
    for (int32_t id = 1; id < V; id++)
        for (size_t t = 0; t < w->T; t++)
            if (w->ids[t] == id && id != x && (!c || w->member[CLASSES * t + c - 1]))
                list[n++] = id;
    return n ? list[(size_t)(u * (double)n)] : -1;
}

/* Distinct words of the class that can replace others, <unk> is none. */
static size_t naive_types(const world *w, size_t c)
{
    bool seen[V] = {false};
    size_t n = 0;
    for (size_t t = 0; t < w->T; t++)
        if (w->ids[t] && w->member[CLASSES * t + c - 1] && !seen[w->ids[t]])
            seen[w->ids[t]] = true, n++;
    return n;
}

static void expect(const replaced_word *found, replacement_law law, size_t row, int32_t other)
{
    assert_int_equal(found->law, law);
    assert_int_equal(found->row, row);
    assert_int_equal(found->other, other);
}

/* Every replacement of a text, from the numbers that replaced_words.h says it is drawn with. */
static void replacements_are_those_of_their_definition(void **state)
{
    static const int32_t partner[V] = {-1, 3, 4, 1, 2, 1, 7, 6, -1, -1, -1, -1}; /* a: c is its first */
    world *w = world_new(500, 0.8f);
    analysis an;
    replaced_words *words;
    sg_error err = {""};
    size_t replaced = 0, with_kl_count = 0, by_partner = 0, averaged = 0, most = 0;
    w->cfg.replace = 0.5;
    prepared(&an, w);
    an.replace = (replacement_share){.rate = 0.5, .kl_rate = 0.25, .path_rate = 0.5};
    assert_ok(replaced_words_new(&words, &an, &err), err);
    for (uint64_t s = 0; s < w->T; s++) {
        replaced_word out[8];
        sg_step step;
        sg_rng r;
        bool with_kl;
        const int32_t x = w->ids[s];
        assert_ok(sg_stream_read(w->stream, s, 1, &step, &err), err);
        size_t n = replaced_words_draw(words, s, x, step.set, out, &with_kl), i = 0;
        sg_rng_seed(&r, w->cfg.seed ^ REPLACEMENT_SEED, s);
        const bool is = sg_rng_uniform(&r) < 0.5, kl = sg_rng_uniform(&r) < 0.25;
        assert_int_equal(n > 0, is);
        assert_int_equal(with_kl, kl);
        if (!is)
            continue;
        expect(&out[i++], REPLACED_BY_ANY, 0, naive_draw(w, 0, sg_rng_uniform(&r), x));
        for (size_t c = 1; c <= CLASSES; c++)
            if (w->member[CLASSES * s + c - 1]) {
                const double u = sg_rng_uniform(&r);
                if (naive_types(w, c) > 1)
                    expect(&out[i++], REPLACED_IN_CLASS, c, naive_draw(w, c, u, x));
            }
        if (partner[x] >= 0) {
            expect(&out[i], REPLACED_BY_PARTNER, 0, partner[x]);
            const bool average = sg_rng_uniform(&r) < 0.5;
            assert_int_equal(out[i].averaged, average);
            by_partner++, averaged += average, i++;
        }
        assert_int_equal(n, i);
        for (size_t k = 0; k < n; k++)
            assert_true((int32_t)out[k].other != x && out[k].other != 0);
        replaced++, with_kl_count += kl, most = n > most ? n : most;
    }
    assert_in_range(replaced, 200, 300);
    assert_true(with_kl_count > 20 && by_partner > 50 && averaged > 20 && averaged < by_partner);
    assert_in_range(most, 4, replaced_words_most(&an)); /* any, "even", "three", a partner */
    replaced_words_free(words);
    analysis_free(&an);
    world_free(w);
}

/* A replacement by any word goes to a row of each class of the word, one within a class to its row. */
static void rows_of_a_replacement(void **state)
{
    world *w = world_new(100, 0.8f);
    analysis an;
    replaced_words *words;
    sg_error err = {""};
    size_t n;
    prepared(&an, w);
    const size_t C = an.C, within = replacement_row(C, REPLACED_IN_CLASS, 0);
    assert_ok(replaced_words_new(&words, &an, &err), err);
    for (uint64_t s = 0; s < w->T; s++) {
        sg_step step;
        bool expected[64] = {false}, found[64] = {false};
        assert_ok(sg_stream_read(w->stream, s, 1, &step, &err), err);
        expected[0] = expected[within] = true;
        for (size_t c = 1; c < C; c++)
            expected[c] = w->member[CLASSES * s + c - 1];
        const size_t *rows =
            replaced_words_rows(words, step.set, &(replaced_word){REPLACED_BY_ANY, 0, 1, false}, &n);
        for (size_t i = 0; i < n; i++)
            assert_false(found[rows[i]]), found[rows[i]] = true;
        assert_memory_equal(expected, found, sizeof found);
    }
    for (size_t c = 1; c < C; c++) {
        const size_t *row =
            replaced_words_rows(words, 0, &(replaced_word){REPLACED_IN_CLASS, c, 1, false}, &n);
        assert_int_equal(n, 1);
        assert_int_equal(*row, replacement_row(C, REPLACED_IN_CLASS, c));
    }
    replaced_words_free(words);
    analysis_free(&an);
    world_free(w);
}

/* ---- growth of small changes ---- */

static double determinant(const double *a) /* 3 x 3 */
{
    return a[0] * (a[4] * a[8] - a[5] * a[7]) - a[1] * (a[3] * a[8] - a[5] * a[6]) +
           a[2] * (a[3] * a[7] - a[4] * a[6]);
}

static const float *tensor(const world *w, const char *name)
{
    const sg_tensor *t = sg_model_find(w->model, name);
    assert_non_null(t);
    return t->data;
}

/* h_t of h_t = tanh(W x_t + U h_{t-1} + b), in double; returns ln |det d h_t / d h_{t-1}| = sum_j ln (1 -
 * h_j^2) + ln |det U|. */
static double naive_step(const world *w, int32_t id, double *h)
{
    const float *X = tensor(w, "encoder.weight"), *W = tensor(w, "rnn.weight_ih_l0"),
                *U = tensor(w, "rnn.weight_hh_l0"), *b = tensor(w, "rnn.bias_ih_l0"),
                *c = tensor(w, "rnn.bias_hh_l0");
    double next[H], matrix[H * H], sum = 0;
    for (size_t j = 0; j < H; j++) {
        double a = (double)b[j] + (double)c[j];
        for (size_t e = 0; e < E; e++)
            a += (double)W[j * E + e] * (double)X[(size_t)id * E + e];
        for (size_t k = 0; k < H; k++)
            a += (double)U[j * H + k] * h[k], matrix[j * H + k] = (double)U[j * H + k];
        next[j] = tanh(a);
        sum += log(1 - next[j] * next[j]);
    }
    memcpy(h, next, sizeof next);
    return sum + log(fabs(determinant(matrix)));
}

/* All H exponents together are the growth of volumes, block by block. */
static void check_growth(size_t T, size_t burn_in)
{
    world *w = world_new(T, 1.2f);
    analysis an;
    sg_error err = {""};
    double h[H] = {0};
    w->cfg.lyapunov = H, w->cfg.documents = SG_DOCUMENTS_NONE;
    prepared(&an, w);
    assert_ok(growth_run(&an, &err), err);
    const exponent_sums *x = &an.exponents;
    assert_int_equal(x->B, an.B);
    const bool all = T <= 50000;
    const size_t head = 50000 / an.B + 1;
    double total = 0, steps = 0;
    for (size_t b = 0; b < an.B; b++) {
        const size_t begin = (size_t)analysis_block_start(&an, b),
                     end = (size_t)analysis_block_start(&an, b + 1);
        double expected = 0, found = 0, counted = 0;
        for (size_t t = begin; t < end; t++) {
            const double growth = naive_step(w, w->ids[t], h);
            const size_t since = all ? t : t - begin; /* the start of what is followed */
            if (since >= burn_in && (all || since < head))
                expected += growth, counted++;
        }
        for (size_t k = 0; k < H; k++)
            found += x->growth[0][b * H + k];
        assert_close(x->steps[0][b], counted, 0, 0, "steps", b);
        assert_close(found, expected, 2e-4, 1, "growth of volumes", b);
        total += expected, steps += counted;
    }
    double sum = 0, *work = sg_calloc(2 * an.B, sizeof *work);
    for (size_t k = 0; k < H; k++) {
        sg_interval lambda;
        exponents_interval(&lambda, x, 0, k, work);
        assert_true(lambda.low < lambda.value && lambda.value < lambda.high);
        sum += lambda.value;
    }
    assert_close(sum, total / steps, 2e-4, 0, "sum of exponents", 0);
    sg_free(work);
    analysis_free(&an);
    world_free(w);
}

static void small_changes_grow_as_volumes_do(void **state)
{
    check_growth(500, 50);    /* a tenth is not counted */
    check_growth(60000, 100); /* the head of each block alone */
}

/* By hand: lambda = sum growth / sum steps; in blocks of equal size the textbook's delete-one jackknife. */
static void the_interval_of_an_exponent(void **state)
{
    double growth[] = {-1, 9, -2, 9, -4, 9, -2, 9, -1, 9, -3, 9}, steps[] = {10, 10, 10, 10, 10, 10},
           work[12], error = 0;
    exponent_sums x = {.K = 2, .B = 6, .growth = {growth}, .steps = {steps}};
    sg_interval t;
    exponents_interval(&t, &x, 0, 0, work);
    assert_close(t.value, -13. / 60, 1e-14, 0, "lambda", 0);
    for (size_t b = 0; b < 6; b++) {
        const double without = (-13 - growth[2 * b]) / 50;
        error += 5. / 6 * (without + 13. / 60) * (without + 13. / 60);
    }
    assert_close(t.error, sqrt(error), 1e-12, 0, "its error", 0);
    x.missing = "no reason";
    exponents_interval(&t, &x, 0, 0, work);
    assert_true(isnan(t.value) && isnan(t.low) && !strcmp(t.missing, "no reason"));
}

/* ---- origins drawn in rounds ---- */

static block_sums *run_of(analysis *an, bool sampled)
{
    block_sums *sums;
    replacement_sums *replaced;
    char path[300];
    sg_error err = {""};
    snprintf(path, sizeof path, "%s/run.nc", tmp.folder);
    assert_ok((sampled ? sampled_run : exact_run)(&sums, &replaced, an, path, &err), err);
    replacement_sums_free(replaced);
    return sums;
}

/* Over all records: the sum (H,E), its weight, the pairs there are and those averaged over. (A pair belongs
 * to the block of its later word in one pass, to that of its input word in the other.) */
static double whole_of(const block_sums *s, size_t c, size_t d, double *sum, int64_t *exist, int64_t *pairs)
{
    float part[H * E];
    double weight = 0;
    sg_error err = {""};
    memset(sum, 0, H * E * sizeof *sum);
    *pairs = *exist = 0;
    for (size_t b = 0; b < sums_get_shape(s)->B; b++) {
        const sums_weight *x = sums_weight_at(s, b, c, d);
        weight += x->weight, *exist += x->exist, *pairs += x->pairs;
        if (!(x->weight > 0))
            continue;
        assert_ok(sums_get(s, b, 0, c, d, part, NULL, &err), err);
        for (size_t i = 0; i < H * E; i++)
            sum[i] += (double)part[i];
    }
    return weight;
}

/* A precision that needs every origin gives the sums of all of them (with classes nearly: each half weights
 * its class sets as the block does); a coarse one draws fewer, and weights them as all there are. */
static void check_rounds(sg_state_handling handling, size_t burn_in, bool classes)
{
    world *w = world_new(3000, 0.8f);
    analysis an, all, few;
    sg_error err = {""};
    w->cfg.handling = handling, w->cfg.burn_in = burn_in, w->cfg.replace = SG_REPLACE_NONE;
    w->cfg.documents = SG_DOCUMENTS_NONE;
    w->cfg.window = handling == SG_WINDOW ? 9 : 0;
    if (!classes) {
        sg_stream_free(w->stream), sg_classes_free(w->classes);
        w->classes = NULL;
        assert_ok(sg_stream_from_ids(&w->stream, w->ids, w->first, w->T, NULL, w->vocab, NULL, &err), err);
    }
    prepared(&an, w);
    block_sums *exact = run_of(&an, false);
    w->cfg.precision = 1e-6;
    prepared(&all, w);
    block_sums *drawn = run_of(&all, true);
    sg_analysis_config coarse = w->cfg;
    coarse.precision = 0.2;
    few = (analysis){0};
    assert_ok(analysis_prepare(&few, w->model, w->stream, w->classes, &coarse, NULL, &err), err);
    block_sums *sample = run_of(&few, true);
    assert_int_equal(all.B, an.B);
    int64_t n[3], pairs[3];
    for (size_t i = 0; i < an.C * an.D; i++) {
        const size_t c = i / an.D, d = i % an.D;
        double x[H * E], y[H * E], z[H * E];
        const double weight[] = {whole_of(exact, c, d, x, &n[0], &pairs[0]),
                                 whole_of(drawn, c, d, y, &n[1], &pairs[1]),
                                 whole_of(sample, c, d, z, &n[2], &pairs[2])};
        assert_true(n[0] == n[1] && n[0] == n[2] && pairs[0] == n[0] && pairs[1] == n[0]);
        assert_true(pairs[2] > 0 && (c ? pairs[2] <= n[0] : pairs[2] < n[0]));
        for (size_t k = 0; k < 3; k++)
            assert_close(weight[k], n[0], 1e-12, 0, "weight", i);
        for (size_t k = 0; k < H * E; k++)
            assert_close(x[k], y[k], classes ? 0.02 : 1e-5, classes ? weight[0] / 10 : 1, "sum", k);
    }
    assert_true(few.reached.total <= 0.2 || few.reached.sampling <= 0.2);
    sums_free(exact), sums_free(drawn), sums_free(sample);
    analysis_free(&an), analysis_free(&all), analysis_free(&few);
    world_free(w);
}

static void rounds_end_at_the_sums_of_all_origins(void **state)
{
    check_rounds(SG_CARRY, 0, false);
    check_rounds(SG_RESET, 2, false);
    check_rounds(SG_WINDOW, 0, false);
    check_rounds(SG_RESET, 0, true);
}

/* ---- how well the origins drawn give sigma_1 ---- */

enum { BLOCKS = 6, PAIRS = 40, DRAWN = 10 };

/* The larger singular value of a 2 x 2 matrix. */
static double sigma_of(const double *a)
{
    const double s = a[0] * a[0] + a[1] * a[1] + a[2] * a[2] + a[3] * a[3], det = a[0] * a[3] - a[1] * a[2];
    return sqrt((s + sqrt(fmax(s * s - 4 * det * det, 0))) / 2);
}

typedef struct {
    analysis an;
    block_sums *halves;
    double L[4], population[BLOCKS][PAIRS][4];
} drawing;

static void drawing_new(drawing *x, double blocks_differ, double pairs_differ)
{
    static const size_t units[] = {2};
    static sg_analysis_config cfg;
    const sums_shape shape = {2 * BLOCKS, 1, 1, 1, 2, units, false};
    sg_error err = {""};
    sg_rng r;
    char path[300];
    snprintf(path, sizeof path, "%s/run.nc", tmp.folder);
    cfg = (sg_analysis_config){.threads = 1, .precision = 0.01};
    *x = (drawing){.L = {1, 0, 0.5, 2}};
    x->an = (analysis){
        .cfg = &cfg, .B = BLOCKS, .C = 1, .D = 1, .E = 2, .n_states = 1, .n_groups = 1, .n_models = 1};
    x->an.groups[0].units = 2;
    x->an.L[0] = x->L;
    sg_rng_seed(&r, 4, 0);
    for (size_t b = 0; b < BLOCKS; b++) {
        double shift[4];
        for (size_t i = 0; i < 4; i++)
            shift[i] = (i == 0 ? 3 : i == 3) + blocks_differ * sg_rng_normal(&r);
        for (size_t k = 0; k < PAIRS; k++)
            for (size_t i = 0; i < 4; i++)
                x->population[b][k][i] = shift[i] + pairs_differ * sg_rng_normal(&r);
    }
    assert_ok(sums_new(&x->halves, &shape, path, NULL, &err), err);
}

/* Draws DRAWN pairs into each half of each block, none twice; returns the matrix that they give, times L. */
static void draw(drawing *x, sg_rng *r, double *whole)
{
    sg_error err = {""};
    double mean[4] = {0};
    for (size_t b = 0; b < BLOCKS; b++) {
        size_t order[PAIRS];
        for (size_t k = 0; k < PAIRS; k++)
            order[k] = k;
        for (size_t h = 0; h < 2; h++) {
            float sum[4];
            double of_half[4] = {0};
            for (size_t k = h * DRAWN; k < (h + 1) * DRAWN; k++) {
                size_t other = k + sg_rng_below(r, PAIRS - k), keep = order[k];
                order[k] = order[other], order[other] = keep;
                for (size_t i = 0; i < 4; i++)
                    of_half[i] += x->population[b][order[k]][i] / DRAWN;
            }
            for (size_t i = 0; i < 4; i++)
                sum[i] = (float)(of_half[i] * PAIRS), mean[i] += of_half[i] / (2 * BLOCKS);
            *sums_weight_at(x->halves, 2 * b + h, 0, 0) = (sums_weight){PAIRS, 0, DRAWN, 0, PAIRS};
            assert_ok(sums_put(x->halves, 2 * b + h, 0, 0, 0, sum, NULL, &err), err);
        }
    }
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++)
            whole[2 * i + j] = mean[2 * i] * x->L[j] + mean[2 * i + 1] * x->L[2 + j];
}

/* Over 400 drawings from the same pairs: the variance of sigma_1 is the mean of the squared errors. */
static void the_sampling_error_is_the_spread_of_drawings(void **state)
{
    enum { TIMES = 400 };
    drawing x;
    sg_error err = {""};
    sg_rng r;
    double sum = 0, squares = 0, errors = 0, growth;
    drawing_new(&x, 0.3, 0.5);
    sg_rng_seed(&r, 8, 0);
    for (int i = 0; i < TIMES; i++) {
        precision_reached out;
        double whole[4];
        draw(&x, &r, whole);
        const double sigma = sigma_of(whole);
        assert_ok(sampling_errors(&out, &growth, &x.an, x.halves, &err), err);
        assert_int_equal(out.origins, 2 * BLOCKS * DRAWN);
        sum += sigma, squares += sigma * sigma, errors += out.sampling * out.sampling * sigma * sigma;
    }
    const double variance = (squares - sum * sum / TIMES) / (TIMES - 1);
    assert_close(errors / TIMES, variance, 0.12, 0, "variance of sigma_1", 0); /* its own error: 7 % */
    sums_free(x.halves);
}

/* Blocks of equal size: the textbook's delete-one jackknife over the blocks' means. */
static void the_total_error_is_the_jackknife(void **state)
{
    drawing x;
    precision_reached out;
    sg_error err = {""};
    sg_rng r;
    double whole[4], growth, of_block[BLOCKS][4], without[BLOCKS], mean = 0, error = 0;
    drawing_new(&x, 0.3, 0.5);
    sg_rng_seed(&r, 9, 0);
    draw(&x, &r, whole);
    for (size_t b = 0; b < BLOCKS; b++) {
        float half[2][4];
        double m[4];
        for (size_t h = 0; h < 2; h++)
            assert_ok(sums_get(x.halves, 2 * b + h, 0, 0, 0, half[h], NULL, &err), err);
        for (size_t i = 0; i < 4; i++)
            m[i] = ((double)half[0][i] + (double)half[1][i]) / (2 * PAIRS);
        for (size_t i = 0; i < 2; i++)
            for (size_t j = 0; j < 2; j++)
                of_block[b][2 * i + j] = m[2 * i] * x.L[j] + m[2 * i + 1] * x.L[2 + j];
    }
    for (size_t b = 0; b < BLOCKS; b++) {
        double rest[4];
        for (size_t i = 0; i < 4; i++)
            rest[i] = (whole[i] * BLOCKS - of_block[b][i]) / (BLOCKS - 1);
        without[b] = sigma_of(rest), mean += without[b] / BLOCKS;
    }
    for (size_t b = 0; b < BLOCKS; b++)
        error += (without[b] - mean) * (without[b] - mean) * (BLOCKS - 1) / BLOCKS;
    assert_ok(sampling_errors(&out, &growth, &x.an, x.halves, &err), err);
    assert_close(out.total, sqrt(error) / sigma_of(whole), 1e-5, 0, "total error", 0);

    /* known well enough if the total error is at most P; or the sampling error, and at most half of it */
    sg_analysis_config cfg = *x.an.cfg;
    x.an.cfg = &cfg;
    const double e = out.total, s = out.sampling;
    assert_true(s < 0.5 * e); /* so is this population */
    for (size_t i = 0; i < 3; i++) {
        cfg.precision = i == 0 ? 1.01 * e : i == 1 ? 1.01 * s : 0.99 * s;
        assert_ok(sampling_errors(&out, &growth, &x.an, x.halves, &err), err);
        assert_int_equal(growth > 1, i == 2);
    }
    sums_free(x.halves);
}

/* ---- checkpoints ---- */

enum { RECORDS = 4, RATES = 3 };

static void fill_state(pass_state *s, uint64_t seed)
{
    sg_error err = {""};
    sg_rng r;
    sg_rng_seed(&r, seed, 0);
    for (size_t i = 0; i < PASS_NUMBERS; i++)
        s->at[i] = sg_rng_below(&r, 50);
    for (size_t i = 0; i < RATES; i++)
        s->rates[i] = sg_rng_uniform(&r);
    for (size_t i = 0; i < 2; i++)
        for (size_t b = 0; b < RECORDS; b++) {
            float sum[4], moment[3];
            for (size_t k = 0; k < 4; k++)
                sum[k] = (float)sg_rng_normal(&r), moment[k % 3] = sum[k];
            s->done[i][b] = (b + i) % 2 == 0;
            *sums_weight_at(s->sums[i], b, 0, 0) = (sums_weight){sg_rng_uniform(&r), 1, (int64_t)b, 2, 3};
            sums_missed_at(s->sums[i], b, 0, 0)->norms = sg_rng_uniform(&r);
            sums_squares_at(s->sums[i], b, 0, 0)->square[SUMS_EOS] = sg_rng_uniform(&r);
            *sums_difference_at(s->sums[i], b) = sg_rng_uniform(&r);
            assert_ok(sums_put(s->sums[i], b, 0, 0, 0, sum, moment, &err), err);
        }
}

static void assert_same_state(const pass_state *a, const pass_state *b)
{
    assert_memory_equal(a->at, b->at, sizeof a->at);
    assert_memory_equal(a->rates, b->rates, RATES * sizeof *a->rates);
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < RECORDS; k++) {
            float x[4], y[4];
            sg_error err = {""};
            assert_int_equal(a->done[i][k], b->done[i][k]);
            assert_memory_equal(sums_weight_at(a->sums[i], k, 0, 0), sums_weight_at(b->sums[i], k, 0, 0),
                                sizeof(sums_weight));
            assert_memory_equal(sums_missed_at(a->sums[i], k, 0, 0), sums_missed_at(b->sums[i], k, 0, 0),
                                sizeof(sums_missed));
            assert_memory_equal(sums_squares_at(a->sums[i], k, 0, 0), sums_squares_at(b->sums[i], k, 0, 0),
                                sizeof(sums_squares));
            assert_true(*sums_difference_at(a->sums[i], k) == *sums_difference_at(b->sums[i], k));
            assert_ok(sums_get(a->sums[i], k, 0, 0, 0, x, NULL, &err), err);
            assert_ok(sums_get(b->sums[i], k, 0, 0, 0, y, NULL, &err), err);
            assert_memory_equal(x, y, sizeof x);
        }
}

typedef struct {
    pass_state s;
    bool done[2][RECORDS];
    double rates[RATES];
} saved_pass;

static void pass_begin(saved_pass *p, const analysis *an)
{
    sg_error err = {""};
    *p = (saved_pass){.s = {.an = an, .identity = "a=1\n", .n_rates = RATES, .most = {50, 50, 50, 50}}};
    p->s.rates = p->rates;
    for (int i = 0; i < 2; i++) {
        p->s.done[i] = p->done[i];
        assert_ok(resume_sums(&p->s.sums[i], an, RECORDS, i, "unused/run.nc", &err), err);
    }
}

static void pass_end(saved_pass *p)
{
    sums_free(p->s.sums[0]), sums_free(p->s.sums[1]);
}

static sg_status load(saved_pass *p, const analysis *an, bool *found, sg_error *err)
{
    FILE *f;
    pass_begin(p, an);
    sg_status st = resume_load(&p->s, &f, err);
    *found = f != NULL;
    if (f)
        fclose(f);
    return st;
}

/* What was saved comes back, to the bit; sums that changed since, and a checkpoint of something else, are
 * refused; nothing is left behind. */
static void a_pass_goes_on_where_it_was(void **state)
{
    char checkpoint[300], scratch[320];
    snprintf(checkpoint, sizeof checkpoint, "%s/check", tmp.folder);
    snprintf(scratch, sizeof scratch, "%s.blocks1", checkpoint);
    sg_analysis_config cfg = {.checkpoint = checkpoint};
    analysis an = {.cfg = &cfg, .n_groups = 1, .C = 1, .D = 1, .E = 2};
    an.groups[0].units = 2;
    saved_pass first, second;
    sg_error err = {""};
    bool found;
    assert_ok(load(&first, &an, &found, &err), err);
    assert_false(found);
    fill_state(&first.s, 1);
    assert_ok(resume_save(&first.s, &err), err);
    assert_ok(load(&second, &an, &found, &err), err);
    assert_true(found);
    assert_same_state(&first.s, &second.s);

    second.s.most[2] = second.s.at[2] - 1; /* more than there can be */
    FILE *f;
    assert_int_equal(resume_load(&second.s, &f, &err), SG_EFORMAT);
    assert_non_null(strstr(err.msg, "does not fit"));
    pass_end(&second);

    FILE *damaged = fopen(scratch, "r+b"); /* block 1 of the second sums is done */
    assert_non_null(damaged);
    const float other = 7;
    const size_t record = sums_bytes_per_block(sums_get_shape(first.s.sums[1]));
    fseek(damaged, 0, SEEK_END);
    fseek(damaged, (long)((size_t)ftell(damaged) - (RECORDS - 1) * record), SEEK_SET);
    assert_int_equal(fwrite(&other, sizeof other, 1, damaged), 1);
    fclose(damaged);
    assert_int_equal(load(&second, &an, &found, &err), SG_EFORMAT);
    assert_non_null(strstr(err.msg, "block 1 are damaged"));
    pass_end(&first), pass_end(&second);

    assert_int_equal(resume_stopped(&an, &err), SG_ECANCELLED);
    assert_non_null(strstr(err.msg, checkpoint));
    resume_forget(&an);
    assert_int_equal(access(checkpoint, F_OK), -1);
    assert_int_equal(access(scratch, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_law_draws_in_proportion_to_tokens),
        cmocka_unit_test(replacements_are_those_of_their_definition),
        cmocka_unit_test(rows_of_a_replacement),
        cmocka_unit_test(small_changes_grow_as_volumes_do),
        cmocka_unit_test(the_interval_of_an_exponent),
        cmocka_unit_test(rounds_end_at_the_sums_of_all_origins),
        cmocka_unit_test(the_sampling_error_is_the_spread_of_drawings),
        cmocka_unit_test(the_total_error_is_the_jackknife),
        cmocka_unit_test(a_pass_goes_on_where_it_was),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
