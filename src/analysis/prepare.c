/* SPDX-License-Identifier: MIT */
/* What can be known before the pass: sizes, counts, the covariance of the inputs, properties. */
#include "analysis/prepare.h"
#include "analysis/settings.h"

#include "base/base_internal.h"
#include "cell/cell.h"
#include "linalg/linalg.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum {
    CHUNK = 4096,
    EXACT_TOKENS = 20000,
    LARGEST_EVERY = 16,
    FEW_TOKENS = 20,
    LONG_DELAYS = 256,
    LONG_AFTER = 64
};

int job_threads(const an_job *job)
{
    return job->cfg->threads > 0 ? job->cfg->threads : omp_get_max_threads();
}

uint64_t job_block_start(const an_job *job, size_t b)
{
    uint64_t whole = job->T / job->B, rest = job->T % job->B; /* T b / B without overflow */
    return whole * b + rest * b / job->B;
}

static void add_state(an_job *job, size_t layer, sg_state_kind kind)
{
    job->states[job->n_states++] = (sg_accum_state){layer, kind, job->shape->hidden[layer - 1]};
}

static void list_states(an_job *job)
{
    const sg_analysis_config *cfg = job->cfg;
    size_t L = job->shape->layers, first = cfg->layer, last = cfg->layer;
    const sg_state_kind have = sg_cell_states(job->shape->cell);
    if (cfg->layer == 0)
        first = last = L;
    if (cfg->layer == SG_ALL_LAYERS)
        first = 1, last = L;
    for (size_t l = first; l <= last; l++) {
        if (have & cfg->state & SG_STATE_CELL)
            add_state(job, l, SG_STATE_CELL);
        if (!(have & SG_STATE_CELL) || (cfg->state & SG_STATE_HIDDEN))
            add_state(job, l, SG_STATE_HIDDEN);
    }
    for (size_t m = 0; m < job->n_models; m++)
        for (size_t i = 0; i < job->n_states; i++) {
            an_group *g = &job->groups[job->n_groups++];
            const sg_accum_state *s = &job->states[i];
            snprintf(g->name, sizeof g->name, "%slayer%zu.%s", m ? "untrained." : "", s->layer,
                     s->kind == SG_STATE_CELL ? "cell" : "hidden");
            g->units = s->units;
            g->model = m;
        }
}

/* G^T G at every k-th step: 2 H E^2 flops a pair beside 2 H^2 E a state (2 H E in a diagonal recurrence). All of them on
 * small corpora. */
static size_t choose_every(const an_job *job)
{
    if (job->cfg->second_moment_every)
        return job->cfg->second_moment_every;
    if (job->T <= EXACT_TOKENS)
        return 1;
    const cell_type *cell = cell_of(job->shape->cell);
    double product = 2 * (double)cell_states(cell), ratio = 0;
    for (size_t i = 0; i < job->n_states; i++)
        ratio += 2 * (double)job->E /
                 (product * (cell->recurrence == CELL_DENSE ? (double)job->states[i].units : 1));
    double every = ceil(10 * ratio);
    return every < 1 ? 1 : every > LARGEST_EVERY ? LARGEST_EVERY : (size_t)every;
}

static size_t choose_long(const an_job *job)
{
    const sg_analysis_config *cfg = job->cfg;
    if (!engine_shares_bases(job->shape))
        return 0;
    if (cfg->long_after)
        return cfg->long_after == SG_LONG_NEVER ? 0 : cfg->long_after;
    return cfg->delays >= LONG_DELAYS ? LONG_AFTER : 0;
}

sg_status job_sizes(an_job *job, const sg_model *m, const sg_stream *s, const sg_classes *k,
                    const sg_analysis_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(sg_analysis_check(cfg, m, s, err));
    job->cfg = cfg;
    job->models[0] = m;
    job->n_models = cfg->untrained_baseline ? 2 : 1;
    job->shape = sg_model_get_shape(m);
    job->stream = s;
    job->classes = k;
    job->T = sg_stream_length(s);
    job->D = cfg->delays;
    job->E = job->shape->embedding;
    job->V = job->shape->vocabulary;
    job->C = k ? sg_classes_count(k) : 1;
    job->sets = k ? sg_classes_sets(k) : 1;
    job->B = cfg->blocks < job->T ? cfg->blocks : (size_t)job->T;
    job->P = cfg->n_properties;
    job->end_block = job->B;
    if (cfg->parts) {
        job->first_block = job->B * (cfg->part - 1) / cfg->parts;
        job->end_block = job->B * cfg->part / cfg->parts;
        if (job->first_block == job->end_block)
            TRY(sg_fail(err, SG_EINVAL, "setting 'part' %zu/%zu: more parts than the %zu blocks", cfg->part,
                        cfg->parts, job->B));
    }
    list_states(job);
    job->used = *cfg;
    job->used.blocks = job->B;
    job->used.second_moment_every = choose_every(job);
    job->used.long_after = choose_long(job);
done:
    return st;
}

static sg_status count_tokens(an_job *job, sg_error *err)
{
    sg_status st = SG_OK;
    sg_step *steps = sg_calloc(CHUNK, sizeof *steps);
    job->word_count = sg_calloc(job->V, sizeof *job->word_count);
    job->set_count = sg_calloc(job->sets, sizeof *job->set_count);
    if (!steps || !job->word_count || !job->set_count)
        TRY(sg_fail(err, SG_ENOMEM, "analysis: no memory for %zu counts", job->V));
    for (uint64_t t = 0; t < job->T; t += CHUNK) {
        size_t n = job->T - t < CHUNK ? (size_t)(job->T - t) : CHUNK;
        TRY(sg_stream_read(job->stream, t, n, steps, err));
        for (size_t i = 0; i < n; i++) {
            if (job->V && (steps[i].id < 0 || (size_t)steps[i].id >= job->V))
                TRY(sg_fail(err, SG_EINVAL,
                            "corpus: word %d at token %ju is not in the model's vocabulary of %zu",
                            steps[i].id, (uintmax_t)(t + i), job->V));
            if (job->V)
                job->word_count[steps[i].id]++;
            if (steps[i].set < job->sets)
                job->set_count[steps[i].set]++;
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
    if (!x || !mean || !y)
        TRY(sg_fail(err, SG_ENOMEM, "covariance: no memory"));
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

static const float *embeddings(const an_job *job, size_t m)
{
    const sg_tensor *x = job->V ? sg_model_find(job->models[m], "encoder.weight") : NULL;
    return x ? x->data : NULL;
}

/* The factor of the covariance; SG_EINVAL: there is none, the rows do not vary. */
static sg_status factor(an_job *job, size_t m, sg_error *err)
{
    sg_status st = SG_OK;
    size_t E = job->E;
    double *Sigma = sg_calloc(E * E, sizeof *Sigma), *weights = NULL;
    if (!Sigma)
        TRY(sg_fail(err, SG_ENOMEM, "covariance: no memory for %zu x %zu", E, E));
    if (job->features)
        TRY(features_covariance(Sigma, job->features, err));
    else {
        if (job->cfg->frequency_weighted && !(weights = sg_calloc(job->V, sizeof *weights)))
            TRY(sg_fail(err, SG_ENOMEM, "covariance: no memory"));
        for (size_t i = 0; weights && i < job->V; i++)
            weights[i] = (double)job->word_count[i];
        TRY(sp_covariance(Sigma, job->V, E, embeddings(job, m), weights, err));
    }
    TRY(sp_factor(job->L[m], &job->how[m], E, Sigma, job->cfg->ridge, err));
    if (job->how[m].automatic)
        sg_warn(
            job->monitor,
            "the covariance of the %s%s is singular (rank %zu of %zu): %g of its mean variance was added to the "
            "diagonal; setting 'ridge' sets another share, setting 'normalize' none does without",
            m ? "untrained " : "", job->features ? "features" : "embeddings", job->how[m].rank, E,
            job->how[m].ridge);
done:
    sg_free(Sigma);
    sg_free(weights);
    return st;
}

/* L; NaN, with the reason, where the inputs cannot be normalised: what needs no factor is still worth
 * having. */
static sg_status normalisation(an_job *job, size_t m, sg_error *err)
{
    size_t E = job->E;
    sg_error why = {""};
    if (!(job->L[m] = sg_calloc(E * E, sizeof(double))))
        return sg_fail(err, SG_ENOMEM, "covariance: no memory for %zu x %zu", E, E);
    if (!job->cfg->normalize) {
        for (size_t i = 0; i < E; i++)
            job->L[m][i * E + i] = 1;
        return SG_OK;
    }
    sg_status st = factor(job, m, &why);
    if (st == SG_EINVAL && !(job->cfg->precision > 0)) {
        snprintf(job->factor_missing[m], sizeof job->factor_missing[m], "%s%s", m ? "untrained copy: " : "",
                 why.msg);
        for (size_t i = 0; i < E * E; i++)
            job->L[m][i] = NAN;
        sg_warn(job->monitor, "%s; all normalised values are missing", job->factor_missing[m]);
        return SG_OK;
    }
    return st == SG_OK ? SG_OK : sg_fail(err, st, "%s", why.msg);
}

static int32_t find_word(const void *ctx, const char *word, size_t length)
{
    const an_job *job = ctx;
    const sg_vocab *v = sg_model_vocab(job->models[0]);
    return v ? sg_vocab_id(v, word, length) : -1;
}

static bool find_class(const void *ctx, const char *name, const sg_class_word **words, size_t *n)
{
    const an_job *job = ctx;
    int32_t c = job->classes && job->V ? sg_classes_find(job->classes, name) : -1;
    if (c <= 0)
        return false;
    *n = sg_classes_words(job->classes, (size_t)c, words);
    return true;
}

static sg_status resolve_properties(an_job *job, sg_error *err)
{
    sg_status st = SG_OK;
    size_t P = job->P, E = job->E;
    property_source source = {job, E, find_word, find_class, job->n_models, {embeddings(job, 0), NULL}};
    if (job->n_models > 1)
        source.embeddings[1] = embeddings(job, 1);
    job->properties = sg_calloc(P, sizeof *job->properties);
    job->property_missing = sg_calloc(P, sizeof *job->property_missing);
    for (size_t m = 0; m < job->n_models; m++)
        job->n[m] = sg_calloc(P, E * sizeof(double));
    if (!job->properties || !job->property_missing || !job->n[0] || (job->n_models > 1 && !job->n[1]))
        TRY(sg_fail(err, SG_ENOMEM, "property: no memory"));
    for (size_t p = 0; p < P; p++)
        for (size_t q = 0; q < p; q++)
            if (!strcmp(job->cfg->properties[q].name, job->cfg->properties[p].name))
                TRY(sg_fail(err, SG_EINVAL, "property %s: given twice", job->cfg->properties[p].name));
    for (size_t p = 0; p < P; p++) {
        TRY(property_resolve(&job->properties[p], &source, &job->cfg->properties[p], job->monitor, err));
        job->property_missing[p] = job->properties[p].missing;
        for (size_t m = 0; m < job->n_models; m++)
            sp_direction(job->n[m] + p * E, E, job->L[m], job->properties[p].delta[m]);
    }
done:
    return st;
}

static sg_status open_features_in_memory(an_job *job, sg_error *err)
{
    sg_status st = SG_OK;
    sg_sha256 *hash = NULL;
    const float *x = job->cfg->features;
    TRY(rows_open_memory(&job->features, "features", x, job->T, job->E, err));
    TRY(sg_sha256_new(&hash, err));
    sg_sha256_add(hash, x, job->T * job->E * sizeof *x);
    sg_sha256_hex(hash, job->features_sha256);
done:
    sg_sha256_free(hash);
    return st;
}

static sg_status open_features(an_job *job, sg_error *err)
{
    sg_status st = SG_OK;
    const char *path = job->cfg->features_path;
    if (job->cfg->features)
        return open_features_in_memory(job, err);
    if (!path)
        return SG_OK;
    TRY(rows_open(&job->features, path, err));
    if (rows_columns(job->features) != job->E)
        TRY(sg_fail(err, SG_EINVAL, "%s: rows of %zu numbers, the model reads %zu", path,
                    rows_columns(job->features), job->E));
    if (rows_count(job->features) != job->T)
        TRY(sg_fail(err, SG_EINVAL, "%s: %ju rows, %ju labels", path, (uintmax_t)rows_count(job->features),
                    (uintmax_t)job->T));
    TRY(sg_sha256_file(path, job->features_sha256, err));
done:
    return st;
}

static void warn_small_classes(const an_job *job)
{
    if (job->B < 20)
        sg_warn(job->monitor, "%zu blocks: intervals need at least 20, theirs will be missing", job->B);
    for (size_t c = 1; c < job->C; c++) {
        uint64_t n = sg_stream_class_tokens(job->stream, job->classes, c);
        if (n < FEW_TOKENS)
            sg_warn(job->monitor, "class %s has %ju token%s: too few to say much", job->class_names[c],
                    (uintmax_t)n, n == 1 ? "" : "s");
    }
}

sg_status job_prepare(an_job *job, const sg_model *m, const sg_stream *s, const sg_classes *k,
                      const sg_analysis_config *cfg, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    *job = (an_job){.monitor = monitor};
    TRY(job_sizes(job, m, s, k, cfg, err));
    if (cfg->untrained_baseline) {
        TRY(sg_model_new_untrained(&job->untrained, m, cfg->seed, err));
        job->models[1] = job->untrained;
    }
    if (!(job->class_names = sg_calloc(job->C, sizeof *job->class_names)))
        TRY(sg_fail(err, SG_ENOMEM, "analysis: no memory"));
    for (size_t c = 0; c < job->C; c++)
        job->class_names[c] = k ? sg_classes_name(k, c) : "all";
    TRY(open_features(job, err));
    TRY(count_tokens(job, err));
    for (size_t i = 0; i < job->n_models; i++)
        TRY(normalisation(job, i, err));
    job->used.ridge = job->how[0].ridge;
    TRY(resolve_properties(job, err));
    warn_small_classes(job);
done:
    if (st != SG_OK)
        job_free(job);
    return st;
}

void job_free(an_job *job)
{
    for (size_t p = 0; job->properties && p < job->P; p++)
        property_free(&job->properties[p]);
    for (size_t m = 0; m < 2; m++) {
        sg_free(job->L[m]);
        sg_free(job->n[m]);
    }
    sg_free(job->properties);
    sg_free(job->property_missing);
    sg_free(job->class_names);
    sg_free(job->word_count);
    sg_free(job->set_count);
    rows_close(job->features);
    sg_model_free(job->untrained);
    *job = (an_job){0};
}

void job_plan(const an_job *job, an_plan *plan)
{
    enum { GRAM_LIMIT = 512 << 20 };
    size_t gram = job->C * job->D * job->B * sums_packed(job->E) * sizeof(float) * job->n_groups;
    bool fits = gram <= GRAM_LIMIT;
    *plan = (an_plan){.D = job->D,
                      .C = job->C,
                      .E = job->E,
                      .B = job->B,
                      .P = job->P,
                      .n_groups = job->n_groups,
                      .groups = job->groups,
                      .L = {job->L[0], job->L[1]},
                      .n = {job->n[0], job->n[1]},
                      .factor_missing = {job->factor_missing[0][0] ? job->factor_missing[0] : NULL,
                                         job->factor_missing[1][0] ? job->factor_missing[1] : NULL},
                      .property_missing = job->property_missing,
                      .class_names = job->class_names,
                      .store_gram = job->cfg->block_gram == SG_GRAM_YES ||
                                    (job->cfg->block_gram == SG_GRAM_AUTO && fits),
                      .gram_reason = job->cfg->block_gram == SG_GRAM_NO
                                         ? "not stored: setting 'block_gram' no"
                                         : "not stored: above 512 MiB; setting 'block_gram' yes stores it",
                      .threads = job_threads(job),
                      .seed = job->cfg->seed};
}

sg_engine_config job_engine(const an_job *job)
{
    const sg_analysis_config *c = &job->used;
    return (sg_engine_config){.delays = job->D,
                              .states = job->states,
                              .n_states = job->n_states,
                              .handling = c->handling,
                              .window = c->window,
                              .burn_in = c->burn_in,
                              .second_moment_every = c->second_moment_every,
                              .threads = c->threads,
                              .long_after = c->long_after,
                              .long_tolerance = c->long_tolerance};
}

/* Classes by name and size, and how many tokens each set of them has. */
static void add_classes(const an_job *job, sg_sha256 *h)
{
    for (size_t k = 0; k < job->C; k++) {
        uint64_t tokens = sg_stream_class_tokens(job->stream, job->classes, k);
        sg_sha256_add(h, job->class_names[k], strlen(job->class_names[k]) + 1);
        sg_sha256_add(h, &tokens, sizeof tokens);
    }
    sg_sha256_add(h, job->set_count, job->sets * sizeof *job->set_count);
}

static void add_properties(const an_job *job, sg_sha256 *h)
{
    for (size_t p = 0; p < job->P; p++) {
        sg_sha256_add(h, job->properties[p].name, strlen(job->properties[p].name) + 1);
        sg_sha256_add(h, job->properties[p].delta[0], job->E * sizeof(double));
    }
}

sg_status job_identity(const an_job *job, bool with_part, char text[IDENTITY_ROOM], sg_error *err)
{
    sg_status st = SG_OK;
    sg_sha256 *h = NULL;
    char model[65], classes[65], properties[65];
    TRY(sg_sha256_new(&h, err));
    NEED(sg_model_sha256(job->models[0], model) == SG_OK, err, "the hash of the model");
    add_classes(job, h);
    sg_sha256_hex(h, classes);
    add_properties(job, h);
    sg_sha256_hex(h, properties);
    snprintf(
        text, IDENTITY_ROOM,
        "work=analysis\nversion=%s\nmodel=%s\ncorpus=%s\nfeatures=%s\ntokens=%ju\nclasses=%s\nproperties=%s\n",
        sg_version(), model, sg_stream_sha256(job->stream), job->features ? job->features_sha256 : "none",
        (uintmax_t)job->T, classes, properties);
    settings_identity(&job->used, with_part, text, IDENTITY_ROOM);
done:
    sg_sha256_free(h);
    return st;
}
