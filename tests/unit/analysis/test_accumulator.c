/* SPDX-License-Identifier: MIT */
/* Gradients that the caller gives: from those of sg_gradient the same run as sg_analyze's own, for every
 * cell, state handling and order; bad input; memory that fails. */
#include "helpers/small_run.h"

#include "analysis/pass/shared.h"
#include "stategrad/accumulator.h"

enum { T = 600, V = 30, D = 7 };

typedef struct {
    sg_cell cell;
    size_t layers, E, H[2];
    sg_state_handling handling;
    size_t window, burn_in;
    bool normalize;
} setting;

/* A text, a model, its gradients by steps and by origins for every state. */
typedef struct {
    sg_model *model;
    sg_vocab *vocab;
    sg_classes *classes;
    sg_stream *stream;
    sg_analysis_config cfg;
    sg_accumulator_config given;
    sg_accumulator_state states[4];
    float *steps[4], *origins[4];
    bool first[T];
} world;

static void make_text(world *w)
{
    static char texts[V][8];
    static bool member[2 * T];
    static const char *const names[] = {"even", "three"};
    const char *words[V];
    int32_t ids[T];
    sg_error err = {""};
    sg_rng r;
    for (int i = 0; i < V; i++) {
        snprintf(texts[i], sizeof texts[i], i ? "w%02d" : "<eos>", i);
        words[i] = texts[i];
    }
    sg_rng_seed(&r, 11, 0);
    for (size_t t = 0; t < T; t++) {
        w->first[t] = !t || ids[t - 1] == 0;
        ids[t] = (int32_t)sg_rng_below(&r, V);
        member[2 * t] = ids[t] % 2 == 0 && ids[t], member[2 * t + 1] = ids[t] % 3 == 1;
    }
    assert_ok(sg_vocab_from_words(&w->vocab, words, NULL, V, &err), err);
    assert_ok(sg_classes_from_names(&w->classes, names, 2, w->vocab, &err), err);
    assert_ok(sg_stream_from_ids(&w->stream, ids, w->first, T, member, w->vocab, w->classes, &err), err);
}

static void list_states(world *w, const sg_model_shape *shape)
{
    static char names[4][32];
    size_t n = 0;
    for (size_t l = 1; l <= shape->layers; l++)
        for (int hidden = 0; hidden < 2; hidden++)
            if (hidden || sg_cell_states(shape->cell) & SG_STATE_CELL) {
                snprintf(names[n], sizeof names[n], "layer%zu.%s", l, hidden ? "hidden" : "cell");
                w->states[n] = (sg_accumulator_state){names[n], shape->hidden[l - 1]};
                n++;
            }
    w->given = (sg_accumulator_config){.struct_size = sizeof w->given,
                                       .states = w->states,
                                       .n_states = n,
                                       .embedding = shape->embedding,
                                       .vocab = w->vocab,
                                       .embeddings = sg_model_find(w->model, "encoder.weight")->data};
}

static void make_gradients(world *w)
{
    sg_error err = {""};
    sg_gradient *g;
    assert_ok(sg_gradient_new(&g, w->model, D, &err), err);
    for (size_t i = 0; i < w->given.n_states; i++) {
        size_t HE = w->states[i].units * w->given.embedding;
        w->steps[i] = sg_calloc(T * D, HE * sizeof(float));
        w->origins[i] = sg_calloc(T * D, HE * sizeof(float));
    }
    for (size_t t = 0; t < T; t++) {
        sg_step step;
        assert_ok(sg_stream_read(w->stream, t, 1, &step, &err), err);
        if (w->cfg.handling == SG_RESET && w->first[t])
            sg_gradient_reset(g);
        assert_ok(sg_gradient_step(g, step.id, NULL, &err), err);
        for (size_t i = 0; i < w->given.n_states; i++)
            for (size_t d = 0; d < D; d++) {
                size_t HE = w->states[i].units * w->given.embedding;
                float *G = w->steps[i] + (t * D + d) * HE;
                if (d > t) { /* not read */
                    for (size_t k = 0; k < HE; k++)
                        G[k] = NAN;
                    continue;
                }
                sg_gradient_get(g, (size_t)(w->states[i].name[5] - '0'),
                                strstr(w->states[i].name, "cell") ? SG_STATE_CELL : SG_STATE_HIDDEN, d, G);
                memcpy(w->origins[i] + ((t - d) * D + d) * HE, G, HE * sizeof *G);
            }
    }
    for (size_t i = 0; i < w->given.n_states; i++)
        for (size_t s = 0; s < T; s++)
            for (size_t d = 0; d < D; d++)
                if (s + d >= T)
                    w->origins[i][(s * D + d) * w->states[i].units * w->given.embedding] = NAN; /* not read */
    sg_gradient_free(g);
}

static void world_new(world *w, const setting *x)
{
    sg_error err = {""};
    sg_model_shape shape = {.cell = x->cell,
                            .layers = x->layers,
                            .vocabulary = V,
                            .embedding = x->E,
                            .hidden = {x->H[0], x->H[1]},
                            .has_decoder = true};
    memset(w, 0, sizeof *w);
    make_text(w);
    assert_ok(sg_model_new(&w->model, &shape, w->vocab, &err), err);
    sg_model_init_uniform(w->model, 0.7f, 3);
    sg_analysis_defaults(&w->cfg, w->model);
    w->cfg.delays = D, w->cfg.threads = 2;
    w->cfg.state = sg_cell_states(x->cell), w->cfg.layer = SG_ALL_LAYERS;
    w->cfg.handling = x->handling, w->cfg.window = x->window, w->cfg.burn_in = x->burn_in;
    w->cfg.normalize = x->normalize;
    w->cfg.replace = SG_REPLACE_NONE, w->cfg.lyapunov = 0;
    list_states(w, &shape);
    make_gradients(w);
}

static void world_free(world *w)
{
    for (size_t i = 0; i < w->given.n_states; i++)
        sg_free(w->steps[i]), sg_free(w->origins[i]);
    sg_stream_free(w->stream);
    sg_classes_free(w->classes);
    sg_model_free(w->model);
    sg_vocab_free(w->vocab);
}

/* Positions n of which i is the first, of all states, in one call. */
static sg_status add(const world *w, sg_accumulator *a, bool by_steps, const uint64_t *positions, size_t n,
                     sg_error *err)
{
    const float *G[4];
    for (size_t i = 0; i < w->given.n_states; i++)
        G[i] = (by_steps ? w->steps : w->origins)[i] +
               positions[0] * D * w->states[i].units * w->given.embedding;
    return by_steps ? sg_accumulator_add_steps(a, positions, n, G, err)
                    : sg_accumulator_add(a, positions, n, G, err);
}

static sg_status new_for(const world *w, sg_accumulator **a, const char *path, sg_error *err)
{
    sg_analysis_config settings = w->cfg;
    settings.layer = 0;
    return sg_accumulator_new(a, path, &w->given, w->stream, w->classes, &settings, NULL, err);
}

/* Words that are replaced change nothing. */
static sg_status replace_without_change(const world *w, sg_accumulator *a, sg_error *err)
{
    static const float zero[D * 16];
    const float *vectors[] = {zero, zero, zero, zero};
    sg_replacement r;
    size_t n = 1;
    sg_status st = SG_OK;
    while (st == SG_OK && n) {
        st = sg_accumulator_replacements(a, 1, &r, &n, err);
        if (st == SG_OK)
            st = sg_accumulator_add_replaced(a, &r, n, vectors, vectors, NULL, err);
    }
    return st;
}

/* All of it in calls of `portion` positions. */
static sg_status accumulate(const world *w, const char *path, bool by_steps, size_t portion, sg_run **run,
                            sg_error *err)
{
    uint64_t positions[T];
    sg_accumulator *a = NULL;
    for (size_t t = 0; t < T; t++)
        positions[t] = t;
    sg_status st = new_for(w, &a, path, err);
    for (size_t t = 0; st == SG_OK && t < T; t += portion)
        st = add(w, a, by_steps, positions + t, T - t < portion ? T - t : portion, err);
    if (st == SG_OK && w->cfg.replace != SG_REPLACE_NONE)
        st = replace_without_change(w, a, err);
    if (st == SG_OK)
        st = sg_accumulator_finish(a, run, err);
    sg_accumulator_free(a);
    return st;
}

/* Returns how many variables there are. Vectors of singular values that lie near each other turn with the
 * last digits of the gradients. */
static size_t assert_same_runs(const sg_run *a, const sg_run *b)
{
    size_t variables = 0;
    assert_int_equal(sg_run_groups(a), sg_run_groups(b));
    for (size_t g = 0; g <= sg_run_groups(a); g++) {
        const char *group = g ? sg_run_group_name(a, g - 1) : NULL;
        for (const run_variable *v = run_variables; v->name; v++)
            if (v->in_group == (g > 0) && v->type != RUN_STRING)
                variables += assert_same_variable(a, b, group, v->name,
                                                  strstr(v->name, "singular_vector") ? 1e-3 : 1e-5);
    }
    for (size_t c = 0; c < sg_run_classes(a); c++)
        assert_string_equal(sg_run_class_name(a, c), sg_run_class_name(b, c));
    return variables;
}

static const setting settings[] = {
    {SG_CELL_LSTM, 2, 6, {7, 5}, SG_CARRY, 0, 0, true}, {SG_CELL_LSTM, 1, 6, {7}, SG_RESET, 0, 2, true},
    {SG_CELL_GRU, 1, 37, {6}, SG_CARRY, 0, 0, true},    {SG_CELL_GRU, 2, 5, {3, 9}, SG_WINDOW, 11, 3, false},
    {SG_CELL_MINGRU, 1, 4, {9}, SG_CARRY, 0, 0, true},
};

static void the_run_of_the_library(void **state)
{
    (void)state;
    sg_error err = {""};
    for (size_t k = 0; k < sizeof settings / sizeof *settings; k++) {
        world w;
        sg_run *own, *run;
        world_new(&w, &settings[k]);
        assert_ok(sg_analyze_run(&own, w.model, w.stream, w.classes, &w.cfg, NULL, &err), err);
        for (int by_steps = 0; by_steps < 2; by_steps++) {
            assert_ok(accumulate(&w, NULL, by_steps, by_steps ? 1 : 37, &run, &err), err);
            assert_int_equal(sg_run_groups(run), w.given.n_states);
            assert_true(assert_same_runs(own, run) > 12 + 60 * w.given.n_states);
            assert_string_equal(sg_run_attribute(run, "gradients"), "given by the caller");
            assert_null(sg_run_attribute(own, "gradients"));
            sg_run_close(run);
        }
        sg_run_close(own);
        world_free(&w);
    }
}

#define refused(call, ...)                                                                                   \
    do {                                                                                                     \
        const char *const parts_[] = {__VA_ARGS__};                                                          \
        assert_int_equal(call, SG_EINVAL);                                                                   \
        for (size_t i_ = 0; i_ < sizeof parts_ / sizeof *parts_; i_++)                                       \
            if (!strstr(err.msg, parts_[i_]))                                                                \
                fail_msg("'%s' lacks '%s'", err.msg, parts_[i_]);                                            \
    } while (0)

/* States of steps s .. s+n-1 with the word `other` at s, and log probabilities of the next word, from the
 * start of the text. */
typedef struct {
    float state[4][D * 16];
    double log_p[D * V];
} followed;

static void log_probabilities(const world *w, const float *hidden, double *log_p)
{
    const sg_tensor *W = sg_model_find(w->model, "decoder.weight"),
                    *b = sg_model_find(w->model, "decoder.bias");
    const size_t H = sg_model_get_shape(w->model)->hidden[sg_model_get_shape(w->model)->layers - 1];
    double sum = 0;
    for (size_t v = 0; v < V; v++) {
        log_p[v] = (double)b->data[v];
        for (size_t h = 0; h < H; h++)
            log_p[v] += (double)W->data[v * H + h] * (double)hidden[h];
        sum += exp(log_p[v]);
    }
    for (size_t v = 0; v < V; v++)
        log_p[v] -= log(sum);
}

static void follow(const world *w, uint64_t s, int32_t other, size_t n, followed *x)
{
    sg_error err = {""};
    sg_gradient *g;
    const size_t layers = sg_model_get_shape(w->model)->layers;
    assert_ok(sg_gradient_new(&g, w->model, 1, &err), err);
    for (uint64_t t = 0; t < s + n; t++) {
        sg_step step;
        assert_ok(sg_stream_read(w->stream, t, 1, &step, &err), err);
        if (w->cfg.handling == SG_RESET && w->first[t])
            sg_gradient_reset(g);
        assert_ok(sg_gradient_step(g, t == s ? other : step.id, NULL, &err), err);
        for (size_t i = 0; t >= s && i < w->given.n_states; i++) {
            const size_t H = w->states[i].units;
            memcpy(x->state[i] + (t - s) * H,
                   sg_gradient_state(g, (size_t)(w->states[i].name[5] - '0'),
                                     strstr(w->states[i].name, "cell") ? SG_STATE_CELL : SG_STATE_HIDDEN),
                   H * sizeof(float));
        }
        if (t >= s)
            log_probabilities(w, sg_gradient_state(g, layers, SG_STATE_HIDDEN), x->log_p + (t - s) * V);
    }
    sg_gradient_free(g);
}

typedef struct {
    float change[4][D * 16], linear[4][D * 16];
    double kl[D];
} measured;

/* What a replacement changes, by running the text twice. */
static void measure(const world *w, const sg_replacement *r, measured *out)
{
    static followed as_it_is, replaced;
    const size_t E = w->given.embedding;
    sg_step step;
    sg_error err = {""};
    assert_ok(sg_stream_read(w->stream, r->position, 1, &step, &err), err);
    follow(w, r->position, step.id, r->delays, &as_it_is);
    follow(w, r->position, (int32_t)r->other, r->delays, &replaced);
    for (size_t d = 0; d < r->delays; d++) {
        for (size_t i = 0; i < w->given.n_states; i++)
            for (size_t h = 0, H = w->states[i].units; h < H; h++) {
                const float *G = w->origins[i] + ((r->position * D + d) * H + h) * E;
                const float *from = w->given.embeddings + (size_t)step.id * E,
                            *to = w->given.embeddings + (size_t)r->other * E;
                out->change[i][d * H + h] = replaced.state[i][d * H + h] - as_it_is.state[i][d * H + h];
                out->linear[i][d * H + h] = 0;
                for (size_t e = 0; e < E; e++)
                    out->linear[i][d * H + h] += G[e] * (to[e] - from[e]);
            }
        out->kl[d] = 0;
        for (size_t v = 0; v < V; v++)
            out->kl[d] +=
                exp(as_it_is.log_p[d * V + v]) * (as_it_is.log_p[d * V + v] - replaced.log_p[d * V + v]);
        out->kl[d] = fmax(out->kl[d], 0);
    }
}

static sg_status add_measured(const world *w, sg_accumulator *a, const sg_replacement *r, const measured *m,
                              sg_error *err)
{
    const float *change[4], *linear[4];
    for (size_t i = 0; i < w->given.n_states; i++)
        change[i] = m->change[i], linear[i] = m->linear[i];
    return sg_accumulator_add_replaced(a, r, 1, change, linear, w->given.output ? m->kl : NULL, err);
}

/* Words that the caller replaces give what the library's own replacement gives. */
static void replaced_by_the_caller(void **state)
{
    (void)state;
    sg_error err = {""};
    for (size_t k = 0; k < 4; k++) {
        world w;
        sg_run *own, *run;
        sg_accumulator *a;
        sg_replacement list[7];
        measured m;
        size_t n, total = 0;
        world_new(&w, &settings[k]);
        w.cfg.replace = k % 2 ? 12 : 0.02, w.given.output = true;
        assert_ok(sg_analyze_run(&own, w.model, w.stream, w.classes, &w.cfg, NULL, &err), err);
        assert_ok(new_for(&w, &a, NULL, &err), err);
        for (uint64_t s = 0; s < T; s++)
            assert_ok(add(&w, a, false, &s, 1, &err), err);
        refused(sg_accumulator_finish(a, &run, &err), "setting 'replace'", "0 replacements");
        do {
            assert_ok(sg_accumulator_replacements(a, 7, list, &n, &err), err);
            for (size_t i = 0; i < n; i++, total++) {
                measure(&w, &list[i], &m);
                assert_ok(add_measured(&w, a, &list[i], &m, &err), err);
            }
        } while (n);
        assert_in_range(total, 8, 100);
        assert_ok(sg_accumulator_finish(a, &run, &err), err);
        assert_true(assert_same_runs(own, run) > 12 + 60 * w.given.n_states);
        size_t rank, shape[SG_RUN_MAX_DIMS];
        assert_true(sg_run_shape(run, w.states[0].name, "output_kl", &rank, shape));
        sg_accumulator_free(a);
        sg_run_close(run);
        sg_run_close(own);
        world_free(&w);
    }
}

/* Each, in its order, once, with numbers that can be. */
static void replacements_that_cannot_be(void **state)
{
    (void)state;
    sg_error err = {""};
    world w;
    sg_accumulator *a;
    sg_replacement list[3], other;
    measured m;
    size_t n;
    world_new(&w, &settings[1]);
    assert_ok(new_for(&w, &a, NULL, &err), err);
    refused(sg_accumulator_replacements(a, 3, list, &n, &err), "setting 'replace': no word is replaced");
    sg_accumulator_free(a);
    w.cfg.replace = 50, w.given.output = true;
    assert_ok(new_for(&w, &a, NULL, &err), err);
    assert_ok(sg_accumulator_replacements(a, 3, list, &n, &err), err);
    assert_int_equal(n, 3);
    measure(&w, &list[0], &m);
    refused(add_measured(&w, a, &list[1], &m, &err), "replacement 0", "not the next");
    for (int field = 0; field < 6; field++) {
        other = list[0];
        other.position += field == 0, other.other += field == 1, other.law += field == 2;
        other.row += field == 3, other.delays += field == 4, other.kl ^= field == 5;
        refused(add_measured(&w, a, &other, &m, &err), "not the next");
    }
    const measured good = m;
    m.change[0][1] = NAN;
    refused(add_measured(&w, a, &list[0], &m, &err), "layer1.cell", "delay 0", "the change of unit 1", "nan");
    m = good, m.linear[1][0] = INFINITY;
    refused(add_measured(&w, a, &list[0], &m, &err), "layer1.hidden", "the linear prediction of unit 0",
            "inf");
    m = good, m.kl[0] = -0.1;
    refused(add_measured(&w, a, &list[0], &m, &err), "delay 0", "divergence of -0.1");
    m = good;
    assert_ok(add_measured(&w, a, &list[0], &m, &err), err);
    refused(add_measured(&w, a, &list[0], &m, &err), "replacement 1", "not the next");
    sg_accumulator_free(a);
    world_free(&w);
}

static char *bytes_of(const char *path, size_t *n)
{
    sg_error err = {""};
    char *bytes;
    assert_ok(sg_read_file(&bytes, n, path, 1 << 28, &err), err);
    return bytes;
}

/* The division into calls and the number of threads leave every byte as it is. */
static void calls_and_threads_leave_the_bytes(void **state)
{
    (void)state;
    sg_error err = {""};
    world w;
    world_new(&w, &settings[0]);
    setenv("SOURCE_DATE_EPOCH", "0", 1);
    for (int by_steps = 0; by_steps < 2; by_steps++) {
        char path[300], *first = NULL;
        size_t size = 0, n;
        static const size_t portions[] = {1, 37, T};
        for (size_t i = 0; i < 3; i++) {
            w.cfg.threads = 1 + (int)i;
            snprintf(path, sizeof path, "%s/%d-%zu.nc", tmp.folder, by_steps, i);
            assert_ok(accumulate(&w, path, by_steps, portions[i], NULL, &err), err);
            char *bytes = bytes_of(path, &n);
            if (first) {
                assert_int_equal(n, size);
                assert_memory_equal(bytes, first, n);
            }
            sg_free(first);
            first = bytes, size = n;
        }
        sg_free(first);
    }
    unsetenv("SOURCE_DATE_EPOCH");
    world_free(&w);
}

/* The origins that setting 'sample' draws, given alone: its means. */
static void a_sample_is_weighted_as_the_library_does(void **state)
{
    (void)state;
    sg_error err = {""};
    world w;
    sg_run *own, *run;
    sg_accumulator *a;
    analysis an;
    double rate[64];
    size_t drawn = 0;
    world_new(&w, &settings[0]);
    w.cfg.sample = 200;
    assert_ok(sg_analyze_run(&own, w.model, w.stream, w.classes, &w.cfg, NULL, &err), err);
    assert_ok(analysis_prepare(&an, w.model, w.stream, w.classes, &w.cfg, NULL, &err), err);
    assert_true(an.sets <= 64);
    sampling_rates(&an, 200, rate);
    w.cfg.sample = 0;
    assert_ok(new_for(&w, &a, NULL, &err), err);
    for (uint64_t s = 0; s < T; s++) {
        sg_step step;
        assert_ok(sg_stream_read(w.stream, s, 1, &step, &err), err);
        if (!engine_sampled(w.cfg.seed, s, rate[step.set]))
            continue;
        assert_ok(add(&w, a, false, &s, 1, &err), err);
        drawn++;
    }
    assert_in_range(drawn, 100, 300);
    assert_ok(sg_accumulator_finish(a, &run, &err), err);
    static const char *const same[] = {"pairs",         "existing_pairs", "mean_gradient",
                                       "second_moment", "singular_value", "singular_value_low",
                                       "rms_gain",      "block_pairs"};
    for (size_t g = 0; g < sg_run_groups(own); g++)
        for (size_t i = 0; i < sizeof same / sizeof *same; i++)
            assert_true(assert_same_variable(own, run, sg_run_group_name(own, g), same[i], 1e-5));
    sg_accumulator_free(a);
    analysis_free(&an);
    sg_run_close(run);
    sg_run_close(own);
    world_free(&w);
}

/* Inputs without words: features in memory normalise, or nothing does. A state with a name of its own. */
static void inputs_without_words(void **state)
{
    (void)state;
    sg_error err = {""};
    sg_run *run;
    sg_accumulator *a;
    sg_stream *s;
    sg_analysis_config settings_;
    sg_rng r;
    enum { N = 50, E = 2, H = 3 };
    static float features[N * E], G[N * 2 * H * E];
    const float *of_state[] = {G};
    uint64_t origins[N];
    const sg_accumulator_state states[] = {{"layer3.ssm-1", H}};
    const sg_accumulator_config given = {
        .struct_size = sizeof given, .states = states, .n_states = 1, .embedding = E, .model = "mamba"};
    sg_rng_seed(&r, 3, 0);
    for (size_t i = 0; i < N * E; i++)
        features[i] = (float)sg_rng_normal(&r);
    for (size_t i = 0; i < N * 2 * H * E; i++)
        G[i] = (float)sg_rng_normal(&r);
    for (size_t i = 0; i < N; i++)
        origins[i] = i;
    assert_ok(sg_stream_from_ids(&s, NULL, NULL, N, NULL, NULL, NULL, &err), err);
    sg_analysis_defaults(&settings_, NULL);
    settings_.delays = 2;
    assert_int_equal(sg_accumulator_new(&a, NULL, &given, s, NULL, &settings_, NULL, &err), SG_EINVAL);
    assert_non_null(strstr(err.msg, "setting 'normalize'"));
    assert_null(a);
    for (int normalize = 0; normalize < 2; normalize++) {
        settings_.normalize = normalize, settings_.features = normalize ? features : NULL;
        assert_ok(sg_accumulator_new(&a, NULL, &given, s, NULL, &settings_, NULL, &err), err);
        assert_ok(sg_accumulator_add(a, origins, N, of_state, &err), err);
        assert_ok(sg_accumulator_finish(a, &run, &err), err);
        sg_accumulator_free(a);
        assert_string_equal(sg_run_group_name(run, 0), "layer3.ssm-1");
        assert_string_equal(sg_run_attribute(run, "cell"), "mamba");
        assert_non_null(strstr(sg_run_attribute(run, "replace_none"), "the caller replaced no words"));
        assert_non_null(strstr(sg_run_attribute(run, "lyapunov_none"), "needs the model"));
        size_t n, rank, shape[SG_RUN_MAX_DIMS];
        assert_false(sg_run_shape(run, "layer3.ssm-1", "lyapunov_exponent", &rank, shape));
        assert_false(sg_run_shape(run, "layer3.ssm-1", "output_kl", &rank, shape));
        double *mean = numbers(run, "layer3.ssm-1", "mean_gradient", &n), naive = 0;
        for (size_t i = 0; i < N - 1; i++) /* delay 1 */
            naive += (double)G[(i * 2 + 1) * H * E + 4];
        assert_close(mean[H * E + 4], naive / (N - 1), 1e-6, 1e-3, "mean_gradient", 0);
        sg_free(mean);
        double *L = numbers(run, NULL, "embedding_covariance_factor", &n);
        assert_true(normalize ? L[0] != 1 : L[0] == 1);
        sg_free(L);
        sg_run_close(run);
    }
    sg_stream_free(s);
}

static void gradients_that_cannot_be(void **state)
{
    (void)state;
    sg_error err = {""};
    world w;
    sg_accumulator *a;
    sg_run *run;
    world_new(&w, &settings[0]);
    assert_ok(new_for(&w, &a, NULL, &err), err);
    refused(sg_accumulator_finish(a, NULL, &err), "run_path");
    uint64_t ten = 10, beyond = T, twice[] = {20, 20}, back[] = {30, 29}, three[] = {11, 12, 13}, end = T - 1;
    assert_ok(add(&w, a, false, &ten, 1, &err), err);
    refused(add(&w, a, true, &ten, 1, &err), "gradients by steps after gradients by origins");
    refused(add(&w, a, false, &beyond, 1, &err), "origin 600", "600 tokens");
    refused(add(&w, a, false, &ten, 1, &err), "origin 10", "each once");
    refused(add(&w, a, false, twice, 2, &err), "origin 20", "each once");
    refused(add(&w, a, false, back, 2, &err), "origin 29", "after origin 30");
    for (int kind = 0; kind < 3; kind++) {
        const size_t H = w.states[1].units, E = w.given.embedding;
        float *x = &w.origins[1][((12 * D + 3) * H + 4) * E + 2], was = *x;
        *x = (float[]){NAN, INFINITY, -INFINITY}[kind];
        refused(add(&w, a, false, three, 3, &err),
                "state layer1.hidden: origin 12, delay 3: unit 4, input 2");
        *x = was;
    }
    assert_ok(add(&w, a, false, three, 3, &err), err); /* nothing of what was refused was added */
    assert_ok(add(&w, a, false, &end, 1, &err), err);
    assert_ok(sg_accumulator_add(a, NULL, 0, NULL, &err), err);
    assert_ok(sg_accumulator_finish(a, &run, &err), err);
    size_t n;
    double *pairs = numbers(run, "layer1.cell", "pairs", &n),
           *exist = numbers(run, "layer1.cell", "existing_pairs", &n);
    assert_true(pairs[0] == 5 && pairs[1] == 4 && exist[0] == T && exist[1] == T - 1);
    sg_free(pairs), sg_free(exist);
    sg_run_close(run);
    refused(sg_accumulator_finish(a, &run, &err), "finished already");
    refused(add(&w, a, false, &end, 1, &err), "finished");
    sg_accumulator_free(a);
    assert_ok(new_for(&w, &a, NULL, &err), err);
    refused(sg_accumulator_finish(a, &run, &err), "no gradient");
    assert_null(run);
    sg_accumulator_free(a);
    sg_accumulator_free(NULL);
    world_free(&w);
}

static void configurations_that_cannot_be(void **state)
{
    (void)state;
    sg_error err = {""};
    world w;
    sg_accumulator *a;
    world_new(&w, &settings[4]);
    const world good = w;
#define bad(change, ...)                                                                                     \
    do {                                                                                                     \
        change;                                                                                              \
        refused(sg_accumulator_new(&a, NULL, &w.given, w.stream, w.classes, &w.cfg, NULL, &err),             \
                __VA_ARGS__);                                                                                \
        assert_null(a);                                                                                      \
        w = good, w.given.states = w.states, w.cfg.layer = 0;                                                \
    } while (0)
    w.cfg.layer = 0;
    bad(w.cfg.delays = T + 1, "setting 'delays'");
    bad(w.cfg.sample = 10, "setting 'sample'");
    bad(w.cfg.precision = 0.1, "setting 'precision'");
    bad(w.cfg.layer = 1, "setting 'layer'");
    bad(w.cfg.lyapunov = 2, "setting 'lyapunov'");
    bad(w.cfg.warm_up = 9, "setting 'warm_up'");
    bad(w.cfg.part = w.cfg.parts = 1, "setting 'part'");
    bad(w.cfg.untrained_baseline = true, "setting 'baseline'");
    bad(w.cfg.checkpoint = "c", "setting 'checkpoint'");
    bad(w.cfg.long_after = 64, "setting 'long_after'");
    bad(w.cfg.blocks = 0, "setting 'blocks'");
    bad(w.given.n_states = 0, "states: expected 1");
    bad(w.given.n_states = 100000, "states: expected 1");
    bad(w.given.embedding = 0, "embedding: expected 1");
    bad(w.given.vocab = NULL, "embeddings without a vocabulary");
    bad(w.given.embeddings = NULL, "vocabulary without embeddings");
    bad(w.states[0].units = 0, "layer1.hidden", "units");
    static const char *const names[] = {"cell",       "layer0.cell", "layer1.",
                                        "layer1.a b", "layer1",      "untrained.layer1.cell",
                                        "layer1/x",   NULL,          "layer1.a_name_of_more_than_24_letters"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        bad(w.states[0].name = names[i], "state 0: expected a name such as layer1.cell");
    bad((w.given.n_states = 2, w.states[1] = w.states[0]), "given twice");
    float *x = (float *)w.given.embeddings + 4 * 3 + 1, was = *x;
    *x = NAN;
    bad((void)0, "embeddings: number 1 of word 3 ('w03')");
    *x = was;
    assert_int_equal(
        sg_accumulator_new(&a, "/nowhere/run.nc", &w.given, w.stream, w.classes, &w.cfg, NULL, &err), SG_EIO);
    assert_null(a);
    world_free(&w);
}

/* One allocation or other fails: SG_ENOMEM, nothing lost. */
static void memory_that_fails(void **state)
{
    (void)state;
    sg_error err = {""};
    world w;
    sg_run *run = NULL;
    world_new(&w, &(setting){SG_CELL_GRU, 1, 3, {2}, SG_CARRY, 0, 0, true});
    w.cfg.threads = 1, w.cfg.blocks = 3, w.cfg.replace = 5;
    long before = sg_alloc_live(), n = 0;
    for (sg_status st = SG_ENOMEM; st != SG_OK; n += 1 + n / 20) {
        sg_alloc_fail_after(n);
        st = accumulate(&w, NULL, false, T, &run, &err);
        sg_alloc_fail_after(-1);
        if (st != SG_OK && st != SG_ENOMEM)
            fail_msg("allocation %ld: status %d: %s", n, (int)st, err.msg);
        sg_run_close(run);
        run = NULL;
        assert_int_equal(sg_alloc_live(), before);
    }
    assert_true(n > 50);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_run_of_the_library),
        cmocka_unit_test(replaced_by_the_caller),
        cmocka_unit_test(replacements_that_cannot_be),
        cmocka_unit_test(calls_and_threads_leave_the_bytes),
        cmocka_unit_test(a_sample_is_weighted_as_the_library_does),
        cmocka_unit_test(inputs_without_words),
        cmocka_unit_test(gradients_that_cannot_be),
        cmocka_unit_test(configurations_that_cannot_be),
        cmocka_unit_test(memory_that_fails),
    };
    return cmocka_run_group_tests_name("accumulator", tests, set_up, tear_down);
}
