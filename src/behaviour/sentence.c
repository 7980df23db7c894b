/* SPDX-License-Identifier: MIT */
/* sentence.c - exact gradients between all pairs of words of a sentence. */
#include "behaviour/sentence.h"

#include "base/base_internal.h"
#include "behaviour/replacer.h"
#include "cell/cell.h"
#include "gradient/single.h"
#include "lm/forward.h"
#include "lm/model_internal.h"
#include "lm/output_activation.h"
#include "lm/softmax.h"
#include "base/utf8.h"
#include "linalg/linalg.h"

#include <math.h>
#include <string.h>

enum { MAX_WORDS = 500, MAX_UNITS = 64 };

const char *show_state_name(const sg_show *s)
{
    return cell_state_name(s->cfg.state);
}

static const path_limits path_exactly = {.gap = 1e-4, .nodes = 4000};

static sg_status find_word(const sg_show *s, const char *word, const char *lacks, int32_t *id, sg_error *err)
{
    *id = sg_vocab_id(sg_model_vocab(s->model), word, strlen(word));
    if (*id < 0)
        return sg_fail(err, SG_EINVAL, "show: '%s' is not in the model's vocabulary: it has no %s", word,
                       lacks);
    return SG_OK;
}

/* The two words of path averages. */
static sg_status find_path(sg_show *s, sg_error *err)
{
    sg_status st = SG_OK;
    const char *const words[] = {s->cfg.path_a, s->cfg.path_b};
    for (size_t i = 0; i < 2; i++) {
        if (!words[i])
            return sg_fail(err, SG_EINVAL, "show: path averages need two words");
        NEED(s->path[i] = sg_strdup(words[i]), err, "the words of path averages");
        TRY(find_word(s, words[i], "embedding", &s->path_id[i], err));
    }
    if (s->path_id[0] == s->path_id[1])
        TRY(sg_fail(err, SG_EINVAL, "show: path averages need two words, found '%s' twice", words[0]));
done:
    s->cfg.path_a = s->path[0], s->cfg.path_b = s->path[1];
    return st;
}

/* The single units that are asked for, copied. */
static sg_status take_units(sg_show *s, sg_error *err)
{
    const sg_show_config *cfg = &s->cfg;
    if (cfg->n_units > MAX_UNITS)
        return sg_fail(err, SG_EINVAL, "show: setting 'units': %zu units, expected %d at most", cfg->n_units,
                       (int)MAX_UNITS);
    if (!cfg->units || !cfg->n_units) {
        s->cfg.units = NULL, s->cfg.n_units = 0;
        return SG_OK;
    }
    for (size_t i = 0; i < cfg->n_units; i++) {
        if (cfg->units[i] >= s->H)
            return sg_fail(err, SG_EINVAL,
                           "show: setting 'units': unit %zu: the %s state of layer %zu has units 0 to %zu",
                           cfg->units[i], show_state_name(s), cfg->layer, s->H - 1);
        for (size_t j = 0; j < i; j++)
            if (cfg->units[j] == cfg->units[i])
                return sg_fail(err, SG_EINVAL, "show: setting 'units': unit %zu twice", cfg->units[i]);
    }
    if (!(s->units = sg_calloc(cfg->n_units, sizeof *s->units)))
        return no_memory(err, "%zu units", cfg->n_units);
    memcpy(s->units, cfg->units, cfg->n_units * sizeof *s->units);
    s->cfg.units = s->units;
    return SG_OK;
}

/* "log p(are)", "logit(are) - logit(is)" */
static sg_status name_score(sg_show *s, sg_error *err)
{
    size_t size = 32 + (s->target ? strlen(s->target) : 0) + (s->against ? strlen(s->against) : 0);
    if (!(s->score_name = sg_calloc(size, 1)))
        return no_memory(err, "the sentence");
    if (s->against)
        snprintf(s->score_name, size, "logit(%s) - logit(%s)", s->target, s->against);
    else
        snprintf(s->score_name, size, "log p(%s)", s->target);
    return SG_OK;
}

sg_status sg_show_new(sg_show **out, const sg_model *m, const sg_show_config *cfg, sg_error *err)
{
    sg_show_config own = {0};
    cfg = config_take(&own, sizeof own, cfg);
    sg_status st = SG_OK;
    const sg_model_shape *shape = sg_model_get_shape(m);
    sg_show *s = NULL;
    *out = NULL;
    if (!shape->vocabulary)
        return sg_fail(err, SG_EINVAL, "show: the model reads feature vectors, not words");
    if (cfg->layer > shape->layers)
        return sg_fail(err, SG_EINVAL, "show: layer %zu: the model has %zu layer%s", cfg->layer,
                       shape->layers, shape->layers == 1 ? "" : "s");
    if (cfg->state && !(cfg->state & sg_cell_states(shape->cell)))
        return sg_fail(err, SG_EINVAL, "show: a %s has no cell state, only a hidden one",
                       sg_cell_name(shape->cell));
    if (cfg->target && !shape->has_decoder)
        return sg_fail(err, SG_EINVAL, "show: the model has no decoder and cannot score words");
    if (!(s = sg_calloc(1, sizeof *s)))
        return no_memory(err, "the sentence");
    s->model = m, s->cfg = *cfg;
    s->cfg.layer = cfg->layer ? cfg->layer : shape->layers;
    s->cfg.state = cfg->state ? cfg->state : sg_cell_default_state(shape->cell);
    s->H = shape->hidden[s->cfg.layer - 1], s->E = shape->embedding;
    for (size_t i = 0; i < shape->vocabulary; i++)
        s->by_frequency = s->by_frequency || sg_vocab_count(sg_model_vocab(m), i) > 1;
    if (cfg->target) {
        if (!(s->target = sg_strdup(cfg->target)) ||
            (cfg->against && !(s->against = sg_strdup(cfg->against))))
            TRY(no_memory(err, "the sentence"));
        TRY(find_word(s, s->target, "score", &s->target_id, err));
        if (s->against)
            TRY(find_word(s, s->against, "score", &s->against_id, err));
        TRY(name_score(s, err));
    }
    s->cfg.target = s->target, s->cfg.against = s->against;
    TRY(take_units(s, err));
    if (cfg->path_a || cfg->path_b)
        TRY(find_path(s, err));
    *out = s, s = NULL;
done:
    sg_show_free(s);
    return st;
}

static void sentence_clear(sentence *x)
{
    if (x->text)
        for (size_t t = 0; t < x->T; t++)
            sg_free(x->text[t]);
    sg_free(x->text), sg_free(x->unknown), sg_free(x->frobenius), sg_free(x->spectral);
    sg_free(x->score), sg_free(x->use), sg_free(x->effect), sg_free(x->change), sg_free(x->kl);
    sg_free(x->unit_value), sg_free(x->unit_gain);
    for (size_t i = 0; i < x->n_paths; i++)
        sg_free(x->paths[i].effects);
    sg_free(x->paths);
    *x = (sentence){0};
}

void sg_show_free(sg_show *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        sentence_clear(&s->sentences[i]);
    sg_free(s->sentences), sg_free(s->target), sg_free(s->against), sg_free(s->score_name);
    sg_free(s->path[0]), sg_free(s->path[1]), sg_free(s->units);
    sg_free(s);
}

size_t sg_show_sentences(const sg_show *s)
{
    return s->n;
}

/* The next word of text from *at; its length, 0 at the end. Characters are words of a character model. */
static size_t next_word(const char *text, size_t size, size_t *at, sg_unit unit)
{
    size_t n = 0;
    if (unit == SG_UNIT_CHAR)
        return *at < size ? utf8_length((const unsigned char *)text + *at, size - *at) : 0;
    for (size_t blank; *at < size && (blank = utf8_space((const unsigned char *)text + *at, size - *at));
         *at += blank)
        ;
    while (*at + n < size && !utf8_space((const unsigned char *)text + *at + n, size - *at - n))
        n += utf8_length((const unsigned char *)text + *at + n, size - *at - n);
    return n;
}

/* The pieces that the model's tokenizer makes of a word, each shown as in the vocabulary. */
static sg_status read_pieces(sentence *x, const sg_vocab *vocab, const char *word, size_t length,
                             int32_t *ids, sg_error *err)
{
    int32_t *pieces = NULL;
    size_t room = 0, n = 0;
    sg_status st;
    TRY(sg_vocab_split(vocab, word, length, &pieces, &room, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (x->T == MAX_WORDS)
            TRY(sg_fail(err, SG_EINVAL, "show: a sentence of more than %d words: shorten it",
                        (int)MAX_WORDS));
        if (pieces[i] < 0)
            TRY(sg_fail(err, SG_EINVAL, "show: '%.*s' has a piece that is not in the model's vocabulary",
                        (int)length, word));
        x->unknown[x->T] = pieces[i] == sg_vocab_unk(vocab);
        ids[x->T] = pieces[i];
        NEED(x->text[x->T] = sg_strdup(sg_vocab_word(vocab, (size_t)pieces[i])), err, "the sentence");
        x->T++;
    }
done:
    sg_ids_free(pieces);
    return st;
}

static sg_status read_words(sentence *x, const sg_show *s, const char *text, int32_t *ids, sg_error *err)
{
    const sg_vocab *vocab = sg_model_vocab(s->model);
    const sg_unit unit = sg_model_get_shape(s->model)->unit;
    size_t size = strlen(text), n;
    if (utf8_valid_prefix(text, size) != size)
        return sg_fail(err, SG_EFORMAT, "show: the text is not UTF-8 at byte %zu",
                       utf8_valid_prefix(text, size));
    for (size_t at = 0; (n = next_word(text, size, &at, unit)); at += n) {
        if (x->T == MAX_WORDS)
            return sg_fail(err, SG_EINVAL, "show: a sentence of more than %d words: shorten it",
                           (int)MAX_WORDS);
        if (sg_vocab_tokenizer(vocab)) {
            sg_status st = read_pieces(x, vocab, text + at, n, ids, err);
            if (st != SG_OK)
                return st;
            continue;
        }
        int32_t id = sg_vocab_id(vocab, text + at, n), unk = sg_vocab_unk(vocab);
        if (id < 0 && unk < 0)
            return sg_fail(err, SG_EINVAL,
                           "show: '%.*s' is not in the model's vocabulary, which has no <unk>", (int)n,
                           text + at);
        x->unknown[x->T] = id < 0;
        ids[x->T] = id < 0 ? unk : id;
        if (!(x->text[x->T] = sg_strndup(text + at, n)))
            return no_memory(err, "the sentence");
        x->T++;
    }
    return x->T ? SG_OK : sg_fail(err, SG_EINVAL, "show: the text holds no word");
}

/* Workspace of one sentence. */
typedef struct {
    float *G;            /* (H,E) of the state shown, or of the top layer's hidden state */
    double *A, *largest; /* (H,E); la_largest_work(H, E) */
    double *z, *dh;      /* (V) logits, then d y / d logits; (H_L) d y_t / d h_t */
    double *g;           /* (E) d y_t / d x_s */
} work;

static double frobenius(size_t n, const float *G)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)G[i] * G[i];
    return sqrt(sum);
}

/* The largest singular value of G; scale: its Frobenius norm. */
static sg_status spectral(double *sigma, const sg_show *s, work *k, double scale, ticker *watch, double done,
                          sg_error *err)
{
    *sigma = 0;
    if (!(scale > 0))
        return SG_OK;
    for (size_t i = 0; i < s->H * s->E; i++)
        k->A[i] = k->G[i] / scale; /* squares of tiny gradients would underflow */
    sg_status st = la_largest(sigma, s->H, s->E, k->A, k->largest, watch, done, err);
    *sigma *= scale;
    return st;
}

/* y_t and d y_t / d h_t from the top hidden state; log p by log-sum-exp less the maximum. */
static double score(const sg_show *s, const float *h, work *k)
{
    const sg_model_shape *shape = sg_model_get_shape(s->model);
    const size_t V = shape->vocabulary, H = shape->hidden[shape->layers - 1];
    const float *W = sg_model_find(s->model, "decoder.weight")->data;
    const sg_tensor *bias = sg_model_find(s->model, "decoder.bias");
    double most = -INFINITY, sum = 0, y;
    double *z = k->z;
    for (size_t i = 0; i < V; i++) {
        z[i] = bias ? bias->data[i] : 0;
        for (size_t j = 0; j < H; j++) {
            double a = shape->output == SG_OUTPUT_RELU   ? fmax(h[j], 0)
                       : shape->output == SG_OUTPUT_TANH ? tanh(h[j])
                                                         : h[j];
            z[i] += W[i * H + j] * a;
        }
        most = fmax(most, z[i]);
    }
    if (s->against) {
        y = z[s->target_id] - z[s->against_id];
        memset(z, 0, V * sizeof *z);
        z[s->target_id] += 1, z[s->against_id] -= 1;
    } else {
        for (size_t i = 0; i < V; i++)
            sum += exp(z[i] - most);
        y = z[s->target_id] - most - log(sum);
        for (size_t i = 0; i < V; i++)
            z[i] = (i == (size_t)s->target_id) - exp(z[i] - most) / sum;
    }
    memset(k->dh, 0, H * sizeof *k->dh);
    for (size_t i = 0; i < V; i++)
        for (size_t j = 0; j < H && z[i] != 0; j++)
            k->dh[j] += z[i] * W[i * H + j];
    for (size_t j = 0; j < H; j++)
        k->dh[j] *= shape->output == SG_OUTPUT_RELU   ? h[j] > 0
                    : shape->output == SG_OUTPUT_TANH ? 1 - tanh(h[j]) * tanh(h[j])
                                                      : 1;
    return y;
}

/* Row t of the score's matrices; G's room may hold a top layer of another size than the state shown. */
static void score_row(sentence *x, const sg_show *s, const sg_gradient *g, const int32_t *ids, size_t t,
                      work *k)
{
    const sg_model_shape *shape = sg_model_get_shape(s->model);
    const size_t E = s->E, L = shape->layers, H = shape->hidden[L - 1];
    const float *encoder = sg_model_find(s->model, "encoder.weight")->data;
    x->score[t] = score(s, sg_gradient_state(g, L, SG_STATE_HIDDEN), k);
    for (size_t i = 0; i <= t; i++) {
        const float *word = encoder + (size_t)ids[i] * E;
        double square = 0, effect = 0;
        sg_gradient_get(g, L, SG_STATE_HIDDEN, t - i, k->G);
        memset(k->g, 0, E * sizeof *k->g);
        for (size_t j = 0; j < H; j++)
            for (size_t e = 0; e < E; e++)
                k->g[e] += k->dh[j] * k->G[j * E + e];
        for (size_t e = 0; e < E; e++)
            square += k->g[e] * k->g[e], effect += k->g[e] * word[e];
        x->use[t * x->T + i] = sqrt(square), x->effect[t * x->T + i] = effect;
    }
}

static sg_status compute(sentence *x, const sg_show *s, const int32_t *ids, work *k, sg_error *err)
{
    sg_status st = SG_OK;
    sg_gradient *g = NULL;
    const size_t T = x->T;
    ticker watch = ticker_begin(s->cfg.monitor, "differentiating", (double)T);
    TRY(sg_gradient_new(&g, s->model, T, err));
    for (size_t t = 0; t < T; t++) {
        TRY(gradient_step_watched(g, ids[t], NULL, &watch, (double)t, err));
        for (size_t i = 0; i <= t; i++) {
            sg_gradient_get(g, s->cfg.layer, s->cfg.state, t - i, k->G);
            double norm = frobenius(s->H * s->E, k->G);
            if (!isfinite(norm))
                TRY(sg_fail(err, SG_ENONFINITE, "show: the gradient from word %zu to word %zu is not finite",
                            i + 1, t + 1));
            x->frobenius[t * T + i] = norm;
            for (size_t u = 0; u < s->cfg.n_units; u++)
                x->unit_gain[(u * T + t) * T + i] = frobenius(s->E, k->G + s->units[u] * s->E);
            TRY(spectral(&x->spectral[t * T + i], s, k, norm, &watch, (double)t, err));
            TRY(ticker_tell(&watch, (double)t, err));
        }
        for (size_t u = 0; u < s->cfg.n_units; u++)
            x->unit_value[u * T + t] = sg_gradient_state(g, s->cfg.layer, s->cfg.state)[s->units[u]];
        if (s->target)
            score_row(x, s, g, ids, t, k);
        TRY(ticker_tell(&watch, (double)(t + 1), err));
    }
done:
    sg_gradient_free(g);
    return st;
}

/* The words that may replace another: all but <unk>, by their counts in the training corpus, or equally
 * where those are not known. */
typedef struct {
    double *up_to; /* (V) sum of the weights of words 0 .. i */
    size_t V;
} unigram;

static sg_status unigram_init(unigram *u, const sg_vocab *vocab, bool by_frequency, sg_error *err)
{
    double total = 0;
    size_t able = 0;
    u->V = sg_vocab_size(vocab);
    if (!(u->up_to = sg_calloc(u->V, sizeof *u->up_to)))
        return no_memory(err, "the sentence");
    for (size_t i = 0; i < u->V; i++) {
        double weight = by_frequency ? (double)sg_vocab_count(vocab, i) : 1;
        weight = (int32_t)i == sg_vocab_unk(vocab) ? 0 : weight;
        able += weight > 0;
        u->up_to[i] = total += weight;
    }
    return able > 1 ? SG_OK
                    : sg_fail(err, SG_EINVAL, "show: a vocabulary of %zu word%s: no word can replace another",
                              able, able == 1 ? "" : "s");
}

/* Any word but `not`. */
static size_t unigram_draw(const unigram *u, sg_rng *rng, int32_t not )
{
    for (;;) {
        double at = sg_rng_uniform(rng) * u->up_to[u->V - 1];
        size_t low = 0, high = u->V - 1;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (u->up_to[middle] > at)
                high = middle;
            else
                low = middle + 1;
        }
        if ((int32_t)low != not )
            return low;
    }
}

/* One origin: column s of the matrices. */
static sg_status replace_word(sentence *x, const sg_show *s, replacer *r, const unigram *u, sg_rng *rng,
                              const int32_t *ids, size_t origin, replacement_effect *effect, double *kl,
                              ticker *watch, sg_error *err)
{
    sg_status st = SG_OK;
    const float *encoder = sg_model_find(s->model, "encoder.weight")->data;
    const size_t n = x->T - origin, K = s->cfg.replace;
    for (size_t k = 0; k < K; k++) {
        size_t other = unigram_draw(u, rng, ids[origin]);
        TRY(replacer_run(r, encoder + other * s->E, effect, kl, err));
        TRY(ticker_tell(watch, (double)origin, err));
        for (size_t d = 0; d < n; d++) {
            x->change[(origin + d) * x->T + origin] += effect[d].change / (double)K;
            if (x->kl)
                x->kl[(origin + d) * x->T + origin] += kl[d] / (double)K;
        }
    }
done:
    return st;
}

/* The effect of replacing each word; the state advances in parallel, one word at a time. */
static sg_status compute_replacement(sentence *x, const sg_show *s, const int32_t *ids, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t T = x->T, E = s->E;
    const float *encoder = sg_model_find(s->model, "encoder.weight")->data;
    const replacer_state shown = {s->cfg.layer - 1, s->cfg.state};
    sg_forward *f = NULL;
    replacer *r = NULL;
    unigram u = {0};
    sg_rng rng;
    float *state = NULL, *inputs = NULL;
    bool *everywhere = NULL;
    replacement_effect *effect = NULL;
    double *kl = NULL;
    ticker watch = ticker_begin(s->cfg.monitor, "replacing words", (double)T);
    TRY(forward_new(&f, s->model, 1, err));
    TRY(unigram_init(&u, sg_model_vocab(s->model), s->by_frequency, err));
    NEED((state = sg_calloc(forward_state_size(f), sizeof *state)) &&
             (inputs = sg_calloc(T, E * sizeof *inputs)) && (everywhere = sg_calloc(T, sizeof *everywhere)) &&
             (effect = sg_calloc(T, sizeof *effect)) && (kl = sg_calloc(T, sizeof *kl)),
         err, "a sentence of %zu words", T);
    for (size_t t = 0; t < T; t++) {
        memcpy(inputs + t * E, encoder + (size_t)ids[t] * E, E * sizeof *inputs);
        everywhere[t] = true;
    }
    sg_rng_seed(&rng, s->cfg.seed, 0);
    TRY(replacer_new(&r, s->model, &shown, 1, T, x->kl ? everywhere : NULL, err));
    for (size_t t = 0; t < T; t++) {
        forward_get_state(f, state);
        TRY(replacer_origin(r, state, inputs + t * E, T - t, err));
        TRY(replace_word(x, s, r, &u, &rng, ids, t, effect, kl, &watch, err));
        TRY(ticker_tell(&watch, (double)(t + 1), err));
        TRY(forward_run(f, ids + t, NULL, NULL, 1, err));
    }
done:
    replacer_free(r), forward_free(f);
    sg_free(u.up_to), sg_free(state), sg_free(inputs), sg_free(everywhere), sg_free(effect), sg_free(kl);
    return st;
}

/* Each of the two words replaced by the other; the state advances in parallel, one word at a time. */
static sg_status compute_paths(sentence *x, const sg_show *s, const int32_t *ids, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t T = x->T, E = s->E;
    const float *encoder = sg_model_find(s->model, "encoder.weight")->data;
    sg_forward *f = NULL;
    path_work *p = NULL;
    float *state = NULL, *inputs = NULL;
    ticker watch = ticker_begin(s->cfg.monitor, "averaging along paths", (double)T);
    TRY(forward_new(&f, s->model, 1, err));
    TRY(path_new(&p, s->model, s->cfg.layer - 1, s->cfg.state, T, path_exactly, err));
    NEED((state = sg_calloc(forward_state_size(f), sizeof *state)) &&
             (inputs = sg_calloc(T, E * sizeof *inputs)) && (x->paths = sg_calloc(T, sizeof *x->paths)),
         err, "path averages of a sentence of %zu words", T);
    for (size_t t = 0; t < T; t++)
        memcpy(inputs + t * E, encoder + (size_t)ids[t] * E, E * sizeof *inputs);
    for (size_t t = 0; t < T; t++) {
        const bool first = ids[t] == s->path_id[0];
        if (first || ids[t] == s->path_id[1]) {
            sentence_path *y = &x->paths[x->n_paths];
            *y = (sentence_path){.origin = t, .first = first};
            NEED(y->effects = sg_calloc(T - t, sizeof *y->effects), err, "path averages of %zu words", T);
            x->n_paths++;
            forward_get_state(f, state);
            path_watch(p, &watch, (double)t);
            TRY(path_average(p, state, inputs + t * E, T - t, encoder + (size_t)s->path_id[first] * E,
                             y->effects, &y->nodes, &y->reached, err));
        }
        TRY(forward_run(f, ids + t, NULL, NULL, 1, err));
    }
done:
    path_free(p), forward_free(f);
    sg_free(state), sg_free(inputs);
    return st;
}

static sg_status take_room(sentence *x, work *k, const sg_show *s, sg_error *err)
{
    const sg_model_shape *shape = sg_model_get_shape(s->model);
    const size_t H = s->H, E = s->E, top = shape->hidden[shape->layers - 1], T = x->T;
    bool ok = (k->G = sg_calloc(H > top ? H : top, E * sizeof *k->G)) &&
              (k->A = sg_calloc(H, E * sizeof *k->A)) &&
              (k->largest = sg_calloc(la_largest_work(H, E), sizeof *k->largest)) &&
              (x->frobenius = sg_calloc(T, T * sizeof *x->frobenius)) &&
              (x->spectral = sg_calloc(T, T * sizeof *x->spectral));
    if (ok && s->target)
        ok = (k->z = sg_calloc(shape->vocabulary, sizeof *k->z)) && (k->dh = sg_calloc(top, sizeof *k->dh)) &&
             (k->g = sg_calloc(E, sizeof *k->g)) && (x->score = sg_calloc(T, sizeof *x->score)) &&
             (x->use = sg_calloc(T, T * sizeof *x->use)) && (x->effect = sg_calloc(T, T * sizeof *x->effect));
    if (ok && s->cfg.n_units)
        ok = (x->unit_value = sg_calloc(s->cfg.n_units, T * sizeof *x->unit_value)) &&
             (x->unit_gain = sg_calloc(s->cfg.n_units * T, T * sizeof *x->unit_gain));
    if (ok && s->cfg.replace)
        ok = (x->change = sg_calloc(T, T * sizeof *x->change)) &&
             (!shape->has_decoder || (x->kl = sg_calloc(T, T * sizeof *x->kl)));
    return ok ? SG_OK : no_memory(err, "a sentence of %zu words", T);
}

/* The loss of the sentence alone; words whose loss is not finite are not counted. */
static sg_status add_loss(sg_show *s, const sentence *x, const int32_t *ids, sg_error *err)
{
    const sg_model_shape *shape = sg_model_get_shape(s->model);
    size_t H = shape->hidden[shape->layers - 1];
    sg_status st = SG_OK;
    sg_forward *forward = NULL;
    sg_softmax *softmax = NULL;
    float *top = NULL;
    double loss;
    for (size_t t = 0; t < x->T; t++)
        s->unknown += x->unknown[t];
    if (!shape->has_decoder || x->T < 2)
        return SG_OK;
    sg_parameters p = model_parameters(s->model, model_block(s->model));
    TRY(forward_new(&forward, s->model, x->T, err));
    TRY(softmax_new(&softmax, shape->vocabulary, H, 1, false, 1, err));
    NEED(top = sg_calloc(H, sizeof *top), err, "show: %zu units", H);
    TRY(forward_run(forward, ids, NULL, NULL, x->T, err));
    for (size_t t = 0; t + 1 < x->T; t++) {
        memcpy(top, sg_forward_state(forward, shape->layers - 1, SG_STATE_HIDDEN, t), H * sizeof *top);
        output_activate(shape->output, H, top);
        softmax_loss(softmax, 1, top, p.decoder, p.decoder_bias, ids + t + 1, &loss);
        if (!isfinite(loss))
            continue;
        s->nats += loss;
        s->predicted++;
    }
done:
    forward_free(forward);
    softmax_free(softmax);
    sg_free(top);
    return st;
}

void sg_show_predictions(sg_eval *out, const sg_show *s)
{
    *out = (sg_eval){.tokens = s->predicted, .unknown_tokens = s->unknown};
    if (s->predicted) {
        out->nats_per_token = s->nats / (double)s->predicted;
        out->perplexity = exp(out->nats_per_token);
    }
}

sg_status sg_show_add(sg_show *s, const char *text, sg_error *err)
{
    sg_status st = SG_OK;
    sentence x = {0};
    work k = {0};
    sentence *more;
    int32_t *ids = sg_calloc(MAX_WORDS, sizeof *ids);
    x.text = sg_calloc(MAX_WORDS, sizeof *x.text), x.unknown = sg_calloc(MAX_WORDS, sizeof *x.unknown);
    NEED(ids && x.text && x.unknown, err, "the sentence");
    TRY(read_words(&x, s, text, ids, err));
    TRY(take_room(&x, &k, s, err));
    TRY(compute(&x, s, ids, &k, err));
    if (s->cfg.replace)
        TRY(compute_replacement(&x, s, ids, err));
    if (s->path[0])
        TRY(compute_paths(&x, s, ids, err));
    NEED(more = sg_regrow(s->sentences, s->n, s->n + 1, sizeof *more), err, "the sentence");
    s->sentences = more;
    TRY(add_loss(s, &x, ids, err));
    s->sentences[s->n++] = x;
    x = (sentence){0};
done:
    sentence_clear(&x);
    sg_free(ids), sg_free(k.G), sg_free(k.A), sg_free(k.largest), sg_free(k.z), sg_free(k.dh), sg_free(k.g);
    return st;
}
