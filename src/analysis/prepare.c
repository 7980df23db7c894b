/* SPDX-License-Identifier: MIT */
/* What can be known before the pass: counts, the covariance of the inputs, properties, words. */
#include "analysis/prepare.h"
#include "analysis/pass/shared.h"
#include "analysis/blocks.h"
#include "analysis/settings.h"

#include "base/base_internal.h"
#include "corpus/corpus_internal.h"
#include "linalg/linalg.h"
#include "stategrad/stats.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 4096, FEW_TOKENS = 20 };

static sg_status count_tokens(analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    sg_step *steps = sg_calloc(CHUNK, sizeof *steps);
    an->word_count = sg_calloc(an->V, sizeof *an->word_count);
    an->set_count = sg_calloc(an->sets, sizeof *an->set_count);
    NEED(steps && an->word_count && an->set_count, err, "%zu counts", an->V);
    for (uint64_t t = 0; t < an->T; t += CHUNK) {
        size_t n = an->T - t < CHUNK ? (size_t)(an->T - t) : CHUNK;
        TRY(sg_stream_read(an->stream, t, n, steps, err));
        for (size_t i = 0; i < n; i++) {
            if (an->V && (steps[i].id < 0 || (size_t)steps[i].id >= an->V))
                TRY(sg_fail(err, SG_EINVAL,
                            "corpus: word %d at token %ju is not in the model's vocabulary of %zu",
                            steps[i].id, (uintmax_t)(t + i), an->V));
            if (an->V)
                an->word_count[steps[i].id]++;
            if (steps[i].set < an->sets)
                an->set_count[steps[i].set]++;
        }
    }
done:
    sg_free(steps);
    return st;
}

/* Sample covariance of the rows of a feature file, in two passes and constant memory. */
static sg_status features_covariance(double *Sigma, const rows_file *f, sg_error *err)
{
    sg_status st = SG_OK;
    size_t E = rows_columns(f), rows = 1 + 65536 / E;
    uint64_t N = rows_count(f);
    float *x = sg_calloc(rows * E, sizeof *x);
    double *mean = sg_calloc(E, sizeof *mean), *y = sg_calloc(rows * E, sizeof *y);
    NEED(x && mean && y, err, "the covariance");
    if (N < 2)
        TRY(sg_fail(err, SG_EINVAL, "covariance: 1 row of features, at least 2 are needed"));
    for (int pass = 0; pass < 2; pass++)
        for (uint64_t t = 0; t < N; t += rows) {
            size_t n = N - t < rows ? (size_t)(N - t) : rows;
            TRY(rows_read(f, t, n, x, err));
            for (size_t i = 0; i < n * E; i++) {
                if (!pass)
                    mean[i % E] += (double)x[i] / (double)N;
                y[i] = (double)x[i] - mean[i % E];
            }
            if (pass)
                la_dgemm(LA_T, LA_N, E, E, n, 1 / (double)(N - 1), y, E, y, E, 1, Sigma, E);
        }
done:
    sg_free(x);
    sg_free(mean);
    sg_free(y);
    return st;
}

/* The factor of the covariance; SG_EINVAL: there is none, the rows do not vary. */
static sg_status factor(analysis *an, size_t m, sg_error *err)
{
    sg_status st = SG_OK;
    size_t E = an->E;
    double *Sigma = sg_calloc(E * E, sizeof *Sigma), *weights = NULL;
    NEED(Sigma, err, "a covariance of %zu x %zu", E, E);
    if (an->features)
        TRY(features_covariance(Sigma, an->features, err));
    else {
        if (an->cfg->frequency_weighted && !(weights = sg_calloc(an->V, sizeof *weights)))
            TRY(no_memory(err, "the covariance of the embeddings"));
        for (size_t i = 0; weights && i < an->V; i++)
            weights[i] = (double)an->word_count[i];
        TRY(sp_covariance(Sigma, an->V, E, an->embeddings[m], weights, err));
    }
    TRY(sp_factor(an->L[m], &an->how[m], E, Sigma, an->cfg->ridge, err));
    if (an->how[m].automatic)
        sg_warn(
            an->monitor,
            "the covariance of the %s%s is singular (rank %zu of %zu): %g of its mean variance was added to the "
            "diagonal; setting 'ridge' sets another share, setting 'normalize' none does without",
            m ? "untrained " : "", an->features ? "features" : "embeddings", an->how[m].rank, E,
            an->how[m].ridge);
done:
    sg_free(Sigma);
    sg_free(weights);
    return st;
}

/* L; NaN, with the reason, where the inputs cannot be normalised: what needs no factor is still worth
 * having. */
static sg_status normalisation(analysis *an, size_t m, sg_error *err)
{
    size_t E = an->E;
    sg_error why = {""};
    if (!(an->L[m] = sg_calloc(E * E, sizeof(double))))
        return no_memory(err, "a covariance of %zu x %zu", E, E);
    if (!an->cfg->normalize) {
        for (size_t i = 0; i < E; i++)
            an->L[m][i * E + i] = 1;
        return SG_OK;
    }
    sg_status st = factor(an, m, &why);
    if (st == SG_EINVAL && !(an->cfg->precision > 0)) {
        snprintf(an->factor_missing[m], sizeof an->factor_missing[m], "%s%s", m ? "untrained copy: " : "",
                 why.msg);
        for (size_t i = 0; i < E * E; i++)
            an->L[m][i] = NAN;
        sg_warn(an->monitor, "%s; all normalised values are missing", an->factor_missing[m]);
        return SG_OK;
    }
    return st == SG_OK ? SG_OK : sg_fail(err, st, "%s", why.msg);
}

static int32_t find_word(const void *ctx, const char *word, size_t length)
{
    const analysis *an = ctx;
    return an->vocab ? sg_vocab_id(an->vocab, word, length) : -1;
}

static bool find_class(const void *ctx, const char *name, const sg_class_word **words, size_t *n)
{
    const analysis *an = ctx;
    int32_t c = an->classes && an->V ? sg_classes_find(an->classes, name) : -1;
    if (c <= 0)
        return false;
    *n = sg_classes_words(an->classes, (size_t)c, words);
    return true;
}

static const char *class_name(const void *ctx, size_t i)
{
    const analysis *an = ctx;
    bool there = an->classes && an->V && i + 1 < sg_classes_count(an->classes);
    return there ? sg_classes_name(an->classes, i + 1) : NULL;
}

static sg_status words_where(const void *ctx, const char *text, const char *whose, sg_class_word **words,
                             size_t *n, sg_error *err)
{
    const analysis *an = ctx;
    *words = NULL;
    *n = 0;
    return an->classes && an->V ? classes_words_where(an->classes, text, whose, words, n, err)
                                : sg_fail(err, SG_EINVAL, "%s: there are no classes", whose);
}

static property_source source_of(const analysis *an)
{
    return (property_source){an,         an->E,       find_word,    find_class,
                             class_name, words_where, an->n_models, {an->embeddings[0], an->embeddings[1]}};
}

static sg_status check_names(const sg_analysis_config *cfg, sg_error *err)
{
    for (size_t p = 0; p < cfg->n_properties; p++)
        for (size_t q = 0; q < p; q++)
            if (!strcmp(cfg->properties[q].name, cfg->properties[p].name))
                return sg_fail(err, SG_EINVAL, "property %s: given twice", cfg->properties[p].name);
    return SG_OK;
}

sg_status sg_analysis_check_properties(const sg_analysis_config *cfg, const sg_model *m, const sg_stream *s,
                                       const sg_classes *k, sg_error *err)
{
    sg_analysis_config own;
    analysis an = {0};
    sg_analysis_defaults(&own, m);
    cfg = config_take(&own, sizeof own, cfg);
    sg_status st = analysis_sizes(&an, m, s, k, cfg, err);
    if (st == SG_OK)
        st = check_names(cfg, err);
    an.n_models = 1; /* the untrained copy has the same words */
    const property_source source = source_of(&an);
    for (size_t p = 0; p < cfg->n_properties && st == SG_OK; p++) {
        property found = {0};
        st = property_resolve(&found, &source, &cfg->properties[p], NULL, err);
        property_free(&found);
    }
    return st;
}

static sg_status resolve_properties(analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    size_t P = an->P, E = an->E;
    const property_source source = source_of(an);
    an->properties = sg_calloc(P, sizeof *an->properties);
    an->property_missing = sg_calloc(P, sizeof *an->property_missing);
    an->property_names = sg_calloc(P, sizeof *an->property_names);
    an->property_pairs = sg_calloc(P, sizeof *an->property_pairs);
    an->fold_weight = sg_calloc(P, PROPERTY_FOLDS * sizeof(double));
    an->no_folds = sg_calloc(P, sizeof *an->no_folds);
    for (size_t m = 0; m < an->n_models; m++) {
        an->n[m] = sg_calloc(P, E * sizeof(double));
        NEED(an->folds[m] = sg_calloc(P * PROPERTY_FOLDS, E * sizeof(double)), err, "%zu properties", P);
    }
    NEED(an->fold_weight && an->no_folds, err, "%zu properties", P);
    if (!an->properties || !an->property_missing || !an->property_names || !an->property_pairs || !an->n[0] ||
        (an->n_models > 1 && !an->n[1]))
        TRY(no_memory(err, "the properties"));
    TRY(check_names(an->cfg, err));
    for (size_t p = 0; p < P; p++) {
        TRY(property_resolve(&an->properties[p], &source, &an->cfg->properties[p], an->monitor, err));
        an->property_missing[p] = an->properties[p].missing;
        an->property_names[p] = an->properties[p].name;
        an->property_pairs[p] = (int64_t)an->properties[p].pairs;
        an->no_folds[p] = an->properties[p].no_folds;
        memcpy(an->fold_weight + p * PROPERTY_FOLDS, an->properties[p].fold_weight,
               sizeof an->properties[p].fold_weight);
        for (size_t m = 0; m < an->n_models; m++) {
            sp_direction(an->n[m] + p * E, E, an->L[m], an->properties[p].delta[m]);
            for (size_t k = 0; k < PROPERTY_FOLDS; k++)
                sp_direction(an->folds[m] + (p * PROPERTY_FOLDS + k) * E, E, an->L[m],
                             an->properties[p].fold[m] + k * E);
        }
    }
done:
    return st;
}

static sg_status open_features_in_memory(analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    sg_sha256 *hash = NULL;
    const float *x = an->cfg->features;
    TRY(rows_open_memory(&an->features, "features", x, an->T, an->E, err));
    TRY(sg_sha256_new(&hash, err));
    sg_sha256_add(hash, x, an->T * an->E * sizeof *x);
    sg_sha256_hex(hash, an->features_sha256);
done:
    sg_sha256_free(hash);
    return st;
}

static sg_status open_features(analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    const char *path = an->cfg->features_path;
    if (an->cfg->features)
        return open_features_in_memory(an, err);
    if (!path)
        return SG_OK;
    TRY(rows_open(&an->features, path, err));
    if (rows_columns(an->features) != an->E)
        TRY(sg_fail(err, SG_EFORMAT, "%s: rows of %zu numbers, the model reads %zu", path,
                    rows_columns(an->features), an->E));
    if (rows_count(an->features) != an->T)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %ju rows, %ju labels", path, (uintmax_t)rows_count(an->features),
                    (uintmax_t)an->T));
    TRY(sg_sha256_file(path, an->features_sha256, err));
done:
    return st;
}

/* The words of each class but all, and which classes hold <eos> and <unk>. */
static sg_status list_members(analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_vocab *v = an->vocab;
    const sg_class_word *words;
    NEED((an->holds = sg_calloc(an->C, 2)) && (an->class_tokens = sg_calloc(an->C, sizeof *an->class_tokens)),
         err, "%zu classes", an->C);
    an->holds[0] = an->holds[1] = WORD_HELD;
    for (size_t c = 0; c < an->C; c++)
        an->class_tokens[c] = c ? sg_stream_class_tokens(an->stream, an->classes, c) : an->T;
    if (!an->classes || !an->V || !v)
        return SG_OK;
    for (size_t c = 1; c < an->C; c++)
        an->n_members += sg_classes_words(an->classes, c, &words);
    NEED(an->members = sg_calloc(3 * an->n_members, sizeof *an->members), err, "%zu members of classes",
         an->n_members);
    int64_t *x = an->members;
    for (size_t c = 1; c < an->C; c++) {
        size_t m = sg_classes_words(an->classes, c, &words);
        uint64_t known = 0;
        for (size_t i = 0; i < m; i++, x++) {
            x[0] = words[i].id;
            x[an->n_members] = (int64_t)c;
            x[2 * an->n_members] = (int64_t)words[i].count;
            known += words[i].count;
            if (words[i].count && words[i].id == sg_vocab_eos(v))
                an->holds[2 * c] = WORD_HELD;
        }
        if (an->class_tokens[c] > known)
            an->holds[2 * c + 1] = WORD_HELD;
    }
done:
    return st;
}

/* Sums by word, where they fit. */
static sg_status open_words(analysis *an, sg_error *err)
{
    static const size_t limit = (size_t)1 << 30;
    if (!an->V)
        an->words_missing = "the model reads no words";
    else if (an->cfg->precision > 0)
        an->words_missing = "setting 'precision' keeps no sums by word";
    else if (word_sums_bytes(an->n_groups, an->V, an->D) > limit)
        an->words_missing = "sums by word would take more than 1 GiB: fewer delays";
    else if (an->factor_missing[0][0])
        an->words_missing = an->factor_missing[0];
    else
        return word_sums_new(&an->words, an->n_groups, an->V, an->D, err);
    return SG_OK;
}

static void warn_small_classes(const analysis *an)
{
    if (an->B < SG_STATS_MIN_BLOCKS)
        sg_warn(an->monitor, "%zu block%s: intervals need at least %d and will be missing", an->B,
                an->B == 1 ? "" : "s", (int)SG_STATS_MIN_BLOCKS);
    char list[400] = "";
    size_t small = 0, used = 0, listed = 0;
    for (size_t c = 1; c < an->C; c++) {
        uint64_t n = sg_stream_class_tokens(an->stream, an->classes, c);
        if (n >= FEW_TOKENS)
            continue;
        small++;
        if (used + strlen(an->class_names[c]) + 40 < sizeof list) {
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s (%ju)", listed ? ", " : "",
                                     an->class_names[c], (uintmax_t)n);
            listed++;
        }
    }
    if (small)
        sg_warn(an->monitor, "%zu class%s with fewer than %d tokens, too few for reliable values: %s%s",
                small, small == 1 ? "" : "es", (int)FEW_TOKENS, list, listed < small ? ", ..." : "");
}

/* What is known of corpus and embeddings, once the sizes are. */
static sg_status gather(analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_classes *k = an->classes;
    NEED(an->class_names = sg_calloc(an->C, sizeof *an->class_names), err, "the analysis");
    for (size_t c = 0; c < an->C; c++)
        an->class_names[c] = k ? sg_classes_name(k, c) : "all";
    TRY(la_room(1, err));
    TRY(open_features(an, err));
    TRY(count_tokens(an, err));
    TRY(blocks_place(an, err));
    for (size_t i = 0; i < an->n_models; i++)
        TRY(normalisation(an, i, err));
    an->used.ridge = an->how[0].ridge;
    TRY(resolve_properties(an, err));
    TRY(list_members(an, err));
    analysis_choose_replaced(an);
    TRY(open_words(an, err));
    warn_small_classes(an);
done:
    return st;
}

sg_status analysis_prepare(analysis *an, const sg_model *m, const sg_stream *s, const sg_classes *k,
                           const sg_analysis_config *cfg, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    *an = (analysis){.monitor = monitor};
    TRY(analysis_sizes(an, m, s, k, cfg, err));
    NEED(sg_model_sha256(m, an->model_sha256) == SG_OK, err, "the hash of the model");
    if (cfg->untrained_baseline) {
        TRY(sg_model_new_untrained(&an->untrained, m, cfg->seed, err));
        an->models[1] = an->untrained;
        an->embeddings[1] = analysis_embeddings(an->untrained);
    }
    TRY(gather(an, err));
done:
    if (st != SG_OK)
        analysis_free(an);
    return st;
}

/* In place of the model's hash, one of all that is known of it. */
static sg_status hash_of_given(analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    sg_sha256 *h = NULL;
    TRY(sg_sha256_new(&h, err));
    for (size_t g = 0; g < an->n_groups; g++) {
        uint64_t units = an->groups[g].units;
        sg_sha256_add(h, an->groups[g].name, strlen(an->groups[g].name) + 1);
        sg_sha256_add(h, &units, sizeof units);
    }
    for (size_t w = 0; w < an->V; w++)
        sg_sha256_add(h, sg_vocab_word(an->vocab, w), strlen(sg_vocab_word(an->vocab, w)) + 1);
    sg_sha256_add(h, an->embeddings[0], an->V * an->E * sizeof(float));
    if (an->given->model)
        sg_sha256_add(h, an->given->model, strlen(an->given->model));
    sg_sha256_hex(h, an->model_sha256);
done:
    sg_sha256_free(h);
    return st;
}

sg_status analysis_prepare_given(analysis *an, const sg_accumulator_config *given, const sg_stream *s,
                                 const sg_classes *k, const sg_analysis_config *settings,
                                 const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    *an = (analysis){.monitor = monitor, .given = given, .n_models = 1};
    TRY(analysis_sizes_given(an, given, s, k, settings, err));
    TRY(hash_of_given(an, err));
    TRY(gather(an, err));
done:
    if (st != SG_OK)
        analysis_free(an);
    return st;
}

void analysis_free(analysis *an)
{
    for (size_t p = 0; an->properties && p < an->P; p++)
        property_free(&an->properties[p]);
    for (size_t m = 0; m < 2; m++) {
        sg_free(an->L[m]);
        sg_free(an->n[m]);
        sg_free(an->folds[m]);
    }
    sg_free(an->fold_weight);
    sg_free(an->no_folds);
    sg_free(an->properties);
    sg_free(an->property_missing), sg_free(an->property_names), sg_free(an->property_pairs);
    sg_free(an->class_names);
    sg_free(an->word_count);
    sg_free(an->starts);
    exponents_free(&an->exponents);
    self_gain_sums_free(an->self_gains);
    sg_free(an->set_count);
    word_sums_free(an->words);
    sg_free(an->members);
    sg_free(an->holds);
    sg_free(an->class_tokens);
    rows_close(an->features);
    sg_model_free(an->untrained);
    *an = (analysis){0};
}

static corpus_words words_of(const analysis *an)
{
    const sg_vocab *v = an->vocab;
    int32_t eos = v ? sg_vocab_eos(v) : -1, unk = v ? sg_vocab_unk(v) : -1;
    const int64_t *x = an->members;
    bool some = (eos >= 0 && an->word_count && an->word_count[eos]) ||
                (unk >= 0 && an->word_count && an->word_count[unk]);
    return (corpus_words){.V = an->V,
                          .count = an->word_count,
                          .eos = eos,
                          .unk = unk,
                          .n = an->n_members,
                          .word = x,
                          .class = x ? x + an->n_members : NULL,
                          .tokens = x ? x + 2 * an->n_members : NULL,
                          .holds = an->holds,
                          .class_tokens = an->class_tokens,
                          .none = !some,
                          .sums = an->words,
                          .missing = an->words_missing};
}

void analysis_results_input(const analysis *an, results_input *input)
{
    enum { GRAM_LIMIT = 512 << 20 };
    size_t gram = an->C * an->D * an->B * sums_packed(an->E) * sizeof(float) * an->n_groups;
    bool fits = gram <= GRAM_LIMIT;
    *input = (results_input){
        .D = an->D,
        .C = an->C,
        .E = an->E,
        .B = an->B,
        .split = an->split,
        .exponents = &an->exponents,
        .P = an->P,
        .words = words_of(an),
        .n_groups = an->n_groups,
        .groups = an->groups,
        .L = {an->L[0], an->L[1]},
        .n = {an->n[0], an->n[1]},
        .folds = {{an->folds[0], an->fold_weight, an->no_folds},
                  {an->folds[1], an->fold_weight, an->no_folds}},
        .factor_missing = {an->factor_missing[0][0] ? an->factor_missing[0] : NULL,
                           an->factor_missing[1][0] ? an->factor_missing[1] : NULL},
        .property_missing = an->property_missing,
        .property_names = an->property_names,
        .property_pairs = an->property_pairs,
        .class_names = an->class_names,
        .store_gram = an->cfg->block_gram == SG_GRAM_YES || (an->cfg->block_gram == SG_GRAM_AUTO && fits),
        .gram_reason = an->cfg->block_gram == SG_GRAM_NO
                           ? "not stored: setting 'block_gram' no"
                           : "not stored: above 512 MiB; setting 'block_gram' yes stores it",
        .threads = analysis_threads(an),
        .seed = an->cfg->seed,
        .units = an->cfg->units,
        .self_gains = an->self_gains,
        .no_kl = an->given ? (an->given->output ? NULL : "the caller gave no predictions of the next word")
                 : an->shape->has_decoder ? NULL
                                          : "the model has no decoder: it predicts no next word"};
}

/* Classes by name and size, and how many tokens each set of them has. */
static void add_classes(const analysis *an, sg_sha256 *h)
{
    for (size_t k = 0; k < an->C; k++) {
        uint64_t tokens = sg_stream_class_tokens(an->stream, an->classes, k);
        sg_sha256_add(h, an->class_names[k], strlen(an->class_names[k]) + 1);
        sg_sha256_add(h, &tokens, sizeof tokens);
    }
    sg_sha256_add(h, an->set_count, an->sets * sizeof *an->set_count);
}

static void add_properties(const analysis *an, sg_sha256 *h)
{
    for (size_t p = 0; p < an->P; p++) {
        sg_sha256_add(h, an->properties[p].name, strlen(an->properties[p].name) + 1);
        sg_sha256_add(h, an->properties[p].delta[0], an->E * sizeof(double));
    }
}

/* "pairs=..." where some are followed: labels, and each pair. */
static void add_pairs(const analysis *an, sg_sha256 *h, char text[IDENTITY_ROOM])
{
    const sg_word_pairs *q = an->stream ? sg_stream_pairs(an->stream) : NULL;
    char hex[65];
    if (!q)
        return;
    for (size_t l = 0; l < q->n_labels; l++)
        sg_sha256_add(h, q->labels[l], strlen(q->labels[l]) + 1);
    for (uint64_t i = 0; i < q->n; i++) {
        const uint64_t pair[] = {q->pairs[i].read, q->pairs[i].now, q->pairs[i].label};
        sg_sha256_add(h, pair, sizeof pair);
    }
    sg_sha256_hex(h, hex);
    size_t used = strlen(text);
    snprintf(text + used, IDENTITY_ROOM - used, "pairs=%s\n", hex);
}

sg_status analysis_identity(const analysis *an, bool with_part, char text[IDENTITY_ROOM], sg_error *err)
{
    sg_status st = SG_OK;
    sg_sha256 *h = NULL;
    char classes[65], properties[65], ends[65];
    TRY(sg_sha256_new(&h, err));
    for (size_t f = 0; f <= an->B * an->split; f++) {
        uint64_t start = analysis_part_start(an, f);
        sg_sha256_add(h, &start, sizeof start);
    }
    sg_sha256_hex(h, ends);
    add_classes(an, h);
    sg_sha256_hex(h, classes);
    add_properties(an, h);
    sg_sha256_hex(h, properties);
    snprintf(
        text, IDENTITY_ROOM,
        "work=analysis\nversion=%s\nmodel=%s\ncorpus=%s\nfeatures=%s\ntokens=%ju\nclasses=%s\nproperties=%s\n",
        sg_version(), an->model_sha256, sg_stream_sha256(an->stream),
        an->features ? an->features_sha256 : "none", (uintmax_t)an->T, classes, properties);
    settings_identity(&an->used, with_part, text, IDENTITY_ROOM);
    size_t used = strlen(text);
    snprintf(text + used, IDENTITY_ROOM - used, "block_ends=%s\nreplace_kl=%.17g\n", ends,
             an->replace.kl_rate);
    add_pairs(an, h, text);
done:
    sg_sha256_free(h);
    return st;
}
