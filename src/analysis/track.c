/* SPDX-License-Identifier: MIT */
/* Further properties on a finished run: from its mean gradients, Gram matrices without one block, words and
 * classes. */
#include "analysis/results/results.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"
#include "stats/random_table.h"
#include "analysis/results/intervals.h"
#include "analysis/property.h"
#include "run/missing.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* Words, embeddings and classes as the run stores them. */
typedef struct {
    const sg_run *run;
    size_t E, V, n_members;
    sg_vocab *vocab;        /* NULL: a model without words */
    float *X[2];            /* (V,E) of the model and of its untrained copy */
    size_t n_models;        /* 2: properties of the untrained copy are computed too */
    sg_class_word *members; /* by class, as stored */
    size_t *starts;         /* (C+1) */
} stored;

static void stored_free(stored *s)
{
    sg_vocab_free(s->vocab);
    sg_free(s->X[0]);
    sg_free(s->X[1]);
    sg_free(s->members);
    sg_free(s->starts);
}

static sg_status read_words(stored *s, sg_error *err)
{
    sg_status st = SG_OK;
    size_t rank, shape[SG_RUN_MAX_DIMS];
    char **words = NULL;
    s->n_models = 2;
    if (!sg_run_shape(s->run, NULL, "embedding_matrix", &rank, shape))
        return SG_OK;
    s->V = shape[0];
    if (!sg_run_shape(s->run, NULL, "untrained_embedding_matrix", &rank, shape) || shape[0] != s->V)
        s->n_models = 1;
    NEED((words = sg_calloc(s->V, sizeof *words)) && (s->X[0] = sg_calloc(s->V, s->E * sizeof(float))) &&
             (s->X[1] = sg_calloc(s->V, s->E * sizeof(float))),
         err, "%zu words (%s)", s->V, run_path(s->run));
    TRY(run_read_strings(s->run, "word", s->V, words, err));
    TRY(sg_vocab_from_words(&s->vocab, (const char *const *)words, NULL, s->V, err));
    TRY(run_read_f32(s->run, NULL, "embedding_matrix", NULL, NULL, s->X[0], err));
    if (s->n_models > 1)
        TRY(run_read_f32(s->run, NULL, "untrained_embedding_matrix", NULL, NULL, s->X[1], err));
done:
    for (size_t i = 0; words && i < s->V; i++)
        sg_string_free(words[i]);
    sg_free(words);
    return st;
}

static sg_status read_members(stored *s, sg_error *err)
{
    sg_status st = SG_OK;
    size_t rank, shape[SG_RUN_MAX_DIMS], C = sg_run_classes(s->run), n = 0;
    double *x = NULL;
    if (sg_run_shape(s->run, NULL, "member_word", &rank, shape))
        n = shape[0];
    s->n_members = n;
    NEED((s->starts = sg_calloc(C + 1, sizeof *s->starts)) &&
             (s->members = sg_calloc(n, sizeof *s->members)) && (x = sg_calloc(3 * n, sizeof *x)),
         err, "%zu members (%s)", n, run_path(s->run));
    if (n) {
        TRY(sg_run_read(s->run, NULL, "member_word", NULL, NULL, x, err));
        TRY(sg_run_read(s->run, NULL, "member_class", NULL, NULL, x + n, err));
        TRY(sg_run_read(s->run, NULL, "member_count", NULL, NULL, x + 2 * n, err));
    }
    for (size_t i = 0; i < n; i++) {
        double word = x[i], c = x[n + i], count = x[2 * n + i];
        if (!(word >= 0 && word < (double)s->V && c >= 0 && c < (double)C && count >= 0 && count < 1e18) ||
            (i && c < x[n + i - 1]))
            TRY(sg_fail(err, SG_EFORMAT, "%s: member %zu: word %g, class %g, count %g are invalid",
                        run_path(s->run), i, word, c, count));
        s->members[i] = (sg_class_word){(int32_t)word, (uint64_t)count};
        s->starts[(size_t)c + 1] = i + 1;
    }
    for (size_t c = 0; c < C; c++)
        if (s->starts[c + 1] < s->starts[c])
            s->starts[c + 1] = s->starts[c];
done:
    sg_free(x);
    return st;
}

static int32_t find_word(const void *ctx, const char *word, size_t length)
{
    const stored *s = ctx;
    return s->vocab ? sg_vocab_id(s->vocab, word, length) : -1;
}

static bool find_class(const void *ctx, const char *name, const sg_class_word **words, size_t *n)
{
    const stored *s = ctx;
    for (size_t c = 1; s->vocab && c < sg_run_classes(s->run); c++)
        if (!strcmp(sg_run_class_name(s->run, c), name)) {
            *words = s->members + s->starts[c];
            *n = s->starts[c + 1] - s->starts[c];
            return true;
        }
    return false;
}

static const char *class_name(const void *ctx, size_t i)
{
    const stored *s = ctx;
    return s->vocab && i + 1 < sg_run_classes(s->run) ? sg_run_class_name(s->run, i + 1) : NULL;
}

typedef struct {
    sg_run *run;
    run_writer *w;
    const char *group;
    int nc, threads;
    size_t first, B, D, packed, K; /* first: number of the first new property; B 0: no Gram matrices */
    sp_frame frame;
    sp_places at;
    uint64_t seed;
    sg_interval *x;        /* (D,K) */
    double *random;        /* (D,3) */
    double *random_cosine; /* (R,3) */
    double *sigma;         /* (D) sigma_1 */
    double *pairs;         /* (B) of delay 0 */
    double *along,
        *words; /* (P,B,D) and (P,PROPERTY_FOLDS,D): gains without each block, and each fold of the words */
    double *left_out; /* (2, P, D, 1 + B + PROPERTY_FOLDS) weights, gains; NULL: the run has none */
    size_t n_left_out;
    random_table *directions;
    property_folds folds;
    bool *empty, *nothing_left; /* (D) no pairs; none without one of the blocks */
    const property *found;      /* (P) */
    const char *bounds_missing;
    reason property, relative, cosine, gain, half_life, half_life_error,
        replicate; /* why values and intervals are missing */
} track;

static sg_status read_blocks(const track *t, size_t c, size_t d, double *weights, float *grams, sg_error *err)
{
    sg_status st = SG_OK;
    size_t start[] = {c, d, 0, 0}, count[] = {1, 1, t->B, t->packed};
    TRY(sg_run_read(t->run, t->group, "block_pairs", start, count, weights, err));
    TRY(run_read_f32(t->run, t->group, "block_gram", start, count, grams, err));
done:
    return st;
}

/* What comparisons need: the gains without each block and without each fold of the words. */
static void keep_left_out(track *t, size_t d, const double *weights, const double *values,
                          const double *without, const double *right)
{
    const size_t P = t->frame.P, D = sg_run_delays(t->run), n = t->n_left_out,
                 blocks = n ? n - 1 - PROPERTY_FOLDS : 0;
    for (size_t p = 0; p < P && n; p++) {
        double *weight = t->left_out + (p * D + d) * n, *gain = t->left_out + ((P + p) * D + d) * n, N = 0;
        const double value = values[t->at.property + p];
        for (size_t b = 0; b < blocks; b++) {
            weight[1 + b] = b < t->B ? weights[b] : (double)NAN;
            gain[1 + b] = b >= t->B        ? (double)NAN
                          : weights[b] > 0 ? without[b * t->K + t->at.property + p]
                                           : value;
            N += weight[1 + b];
            t->nothing_left[d] |= t->B && isnan(gain[1 + b]) && !isnan(value);
        }
        weight[0] = N, gain[0] = value;
        results_fold_gains(gain + 1 + blocks, &t->frame, &t->folds, p, values + t->at.S, right);
        for (size_t k = 0; k < PROPERTY_FOLDS; k++)
            weight[1 + blocks + k] = t->folds.weight[p * PROPERTY_FOLDS + k];
    }
}

/* What half-lives need. */
static void keep_gains(track *t, size_t d, const double *weights, const double *values, const double *without,
                       const double *right)
{
    const size_t B = t->B;
    for (size_t p = 0; p < t->frame.P; p++) {
        double folds[PROPERTY_FOLDS];
        for (size_t b = 0; b < B; b++)
            t->along[(p * B + b) * t->D + d] =
                weights[b] > 0 ? without[b * t->K + t->at.property + p] : values[t->at.property + p];
        results_fold_gains(folds, &t->frame, &t->folds, p, values + t->at.S, right);
        for (size_t j = 0; j < PROPERTY_FOLDS; j++)
            t->words[(p * PROPERTY_FOLDS + j) * t->D + d] = folds[j];
    }
    if (d == 0)
        memcpy(t->pairs, weights, B * sizeof *weights);
}

/* All statistics of one class and delay with the new properties' directions. */
static sg_status compute(track *t, size_t c, size_t d, sg_error *err)
{
    sg_status st = SG_OK;
    const sp_frame *f = &t->frame;
    size_t H = f->H, E = f->E, R = f->R, B = t->B, start[] = {c, d, 0, 0}, count[] = {1, 1, H, E};
    double *G = sg_calloc(H * E, sizeof *G), *left = sg_calloc(H * R, sizeof *left),
           *right = sg_calloc(R * E, sizeof *right);
    double *work = sg_calloc(sp_work(f), sizeof *work), *values = sg_calloc(t->K, sizeof *values);
    double *without = sg_calloc(B + 1, t->K * sizeof *without), *weights = sg_calloc(B + 1, sizeof *weights);
    double *gram = sg_calloc(E * E, sizeof *gram), *draws = sg_calloc(RANDOM_DRAWS, sizeof *draws);
    float *grams = sg_calloc(B + 1, t->packed * sizeof *grams);
    sg_interval *x = t->x + d * t->K;
    NEED(G && left && right && work && values && without && weights && gram && draws && grams, err,
         "the properties");
    TRY(sg_run_read(t->run, t->group, "mean_gradient", start, count, G, err));
    for (size_t k = 0; k < t->K; k++)
        x[k] = (sg_interval){NAN, NAN, NAN, NAN, NAN, NULL};
    for (size_t b = 0; b < B && d == 0; b++)
        t->pairs[b] = 0;
    for (size_t i = 0; i < f->P * B; i++)
        t->along[i * t->D + d] = NAN;
    for (size_t i = 0; i < f->P * PROPERTY_FOLDS; i++)
        t->words[i * t->D + d] = NAN;
    t->empty[d] = isnan(G[0]), t->nothing_left[d] = false;
    if (t->empty[d])
        goto done;
    TRY(sp_from_mean(values, left, right, f, G, NULL, work, err));
    if (B)
        TRY(read_blocks(t, c, d, weights, grams, err));
    for (size_t b = 0; b < B; b++) {
        const float *packed = grams + b * t->packed;
        double *row = without + b * t->K;
        for (size_t k = 0; k < t->K; k++)
            row[k] = NAN;
        if (!isfinite(packed[0]) || !(weights[b] > 0))
            continue;
        sums_unpack(E, packed, gram);
        TRY(sp_from_gram(row, f, gram, NULL, work, err));
    }
    for (size_t k = 0; k < t->K; k++)
        x[k].value = values[k];
    keep_left_out(t, d, weights, values, without, right);
    if (B) {
        results_intervals(x, f, B, weights, weights, values, without, &(results_parts){0});
        results_property_errors(x, f, &t->folds, B, weights, values + t->at.S, right);
        keep_gains(t, d, weights, values, without, right);
    }
    t->sigma[d] = values[t->at.S];
    random_table_gain(t->directions, values + t->at.S, draws, &t->random[3 * d], &t->random[3 * d + 1],
                      &t->random[3 * d + 2]);
done:
    sg_free(G), sg_free(left), sg_free(right), sg_free(work), sg_free(values);
    sg_free(without), sg_free(weights), sg_free(gram), sg_free(draws), sg_free(grams);
    return st;
}

static sg_status put_left_out(track *t, size_t p, size_t c, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const names[2] = {"left_out_property_weight", "left_out_property_gain"};
    const size_t D = sg_run_delays(t->run), n = t->n_left_out;
    size_t start[] = {t->first + p, c, 0, 0}, count[] = {1, 1, D, n};
    for (size_t k = 0; n && k < 2; k++) {
        double *x = t->left_out + (k * t->frame.P + p) * D * n;
        for (size_t d = 0; d < D; d++)
            for (size_t i = 0; t->empty[d] && i < n; i++)
                x[d * n + i] = NAN;
        TRY(run_writer_put_f64(t->w, t->nc, names[k], start, count, x, err));
    }
done:
    return st;
}

static sg_status put_half_life(track *t, size_t p, size_t c, const double *gain, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const names[] = {"property_half_life", "property_half_life_low",
                                        "property_half_life_high"};
    size_t start[] = {t->first + p, c}, count[] = {1, 1};
    sg_interval x;
    TRY(results_property_half_life(&x, &t->folds, p, t->D, gain, t->B, t->pairs, t->along + p * t->B * t->D,
                                   t->words + p * PROPERTY_FOLDS * t->D, err));
    if (isnan(x.value) && !isnan(gain[0]))
        reason_note(&t->half_life, sg_run_class_name(t->run, c), SIZE_MAX, x.missing);
    if (!isnan(gain[0]))
        reason_note(&t->half_life_error, sg_run_class_name(t->run, c), SIZE_MAX, x.missing);
    const double values[] = {x.value, x.low, x.high};
    for (size_t v = 0; v < 3; v++) {
        TRY(run_writer_define(t->w, t->nc, names[v], err));
        TRY(run_writer_put_f64(t->w, t->nc, names[v], start, count, &values[v], err));
    }
done:
    return st;
}

/* One property, one class: rows for (property, class, delay[, rank]). */
static sg_status put_one(track *t, size_t p, size_t c, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const suffixes[] = {"", "_low", "_high", "_random", "_random_low", "_random_high"};
    size_t D = sg_run_delays(t->run), R = t->frame.R;
    size_t start[] = {t->first + p, c, 0, 0}, count[] = {1, 1, D, R};
    double *relative = sg_calloc(D, sizeof *relative), *cosine = sg_calloc(D, R * sizeof *cosine);
    double *gain = sg_calloc(D, sizeof *gain);
    NEED(relative && cosine && gain, err, "the properties");
    for (size_t v = 0; v < 6; v++) {
        char name[64];
        for (size_t d = 0; d < D; d++) {
            const sg_interval *x = t->x + d * t->K;
            const sg_interval *r = x + t->at.relative + p;
            const sg_interval *g = x + t->at.property + p;
            gain[d] = v == 0   ? g->value
                      : v == 1 ? g->low
                      : v == 2 ? g->high
                               : t->random[3 * d + v - 3] * t->sigma[d];
            relative[d] = v == 0 ? r->value : v == 1 ? r->low : v == 2 ? r->high : t->random[3 * d + v - 3];
            for (size_t k = 0; k < R; k++) {
                const sg_interval *i = x + t->at.cosine + p * R + k;
                cosine[d * R + k] = v == 0   ? i->value
                                    : v == 1 ? i->low
                                    : v == 2 ? i->high
                                             : t->random_cosine[3 * k + v - 3];
            }
            for (size_t k = 0; t->empty[d] && k < R; k++)
                relative[d] = gain[d] = cosine[d * R + k] = NAN;
        }
        snprintf(name, sizeof name, "relative_memory%s", suffixes[v]);
        TRY(run_writer_define(t->w, t->nc, name, err));
        TRY(run_writer_put_f64(t->w, t->nc, name, start, count, relative, err));
        snprintf(name, sizeof name, "property_gain%s", suffixes[v]);
        TRY(run_writer_define(t->w, t->nc, name, err));
        TRY(run_writer_put_f64(t->w, t->nc, name, start, count, gain, err));
        if (v == 0)
            TRY(put_half_life(t, p, c, gain, err));
        snprintf(name, sizeof name, "subspace_cosine%s", suffixes[v]);
        TRY(run_writer_define(t->w, t->nc, name, err));
        TRY(run_writer_put_f64(t->w, t->nc, name, start, count, cosine, err));
    }
done:
    sg_free(relative);
    sg_free(cosine);
    sg_free(gain);
    return st;
}

/* Notes what is missing of class c, but for properties without a direction. */
static void note_class(track *t, size_t c)
{
    size_t D = sg_run_delays(t->run), R = t->frame.R;
    const char *name = sg_run_class_name(t->run, c);
    for (size_t d = 0; d < D; d++)
        reason_note(&t->replicate, name, d,
                    t->empty[d]          ? "no pairs"
                    : t->nothing_left[d] ? "no pairs are left when one of the blocks is left out"
                                         : NULL);
    for (size_t d = 0; d < D && t->B; d++)
        for (size_t p = 0; p < t->frame.P; p++) {
            const sg_interval *x = t->x + d * t->K;
            if (t->found[p].missing)
                continue;
            reason_note(&t->relative, name, d, t->empty[d] ? "no pairs" : x[t->at.relative + p].missing);
            reason_note(&t->gain, name, d, t->empty[d] ? "no pairs" : x[t->at.property + p].missing);
            for (size_t k = 0; k < R; k++)
                reason_note(&t->cosine, name, d,
                            t->empty[d] ? "no pairs" : x[t->at.cosine + p * R + k].missing);
        }
}

/* Adds to the text of earlier properties. */
static sg_status put_reason(track *t, const char *variable, const reason *r, sg_error *err)
{
    char text[1000] = "";
    const char *before = sg_run_variable_attribute(t->run, t->group, variable, "missing_reason");
    if (before)
        snprintf(text, sizeof text, "%s", before);
    reason_append(text, sizeof text, &t->property);
    if (r)
        reason_append(text, sizeof text, r);
    return text[0] ? run_writer_text(t->w, t->nc, variable, "missing_reason", text, err) : SG_OK;
}

static sg_status put_left_out_reasons(track *t, sg_error *err)
{
    sg_status st = SG_OK;
    size_t rank, shape[SG_RUN_MAX_DIMS];
    for (size_t p = 0; p < t->frame.P; p++)
        if (!t->found[p].missing &&
            (t->folds.missing[p] || isnan(t->folds.n[p * PROPERTY_FOLDS * t->frame.E])))
            reason_note_of(&t->replicate, "property", t->found[p].name, SIZE_MAX,
                           t->folds.missing[p] ? t->folds.missing[p] : "a vector has no folds of words");
    reason_note_plain(&t->replicate, t->bounds_missing);
    if (!sg_run_shape(t->run, t->group, "left_out_property_gain", &rank, shape))
        return SG_OK;
    TRY(put_reason(t, "left_out_property_weight", &t->replicate, err));
    TRY(put_reason(t, "left_out_property_gain", &t->replicate, err));
done:
    return st;
}

static sg_status put_reasons(track *t, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t p = 0; p < t->frame.P; p++)
        reason_note_plain(&t->property, t->found[p].missing);
    reason_note_plain(&t->relative, t->bounds_missing);
    reason_note_plain(&t->cosine, t->bounds_missing);
    reason_note_plain(&t->gain, t->bounds_missing);
    reason_note_plain(&t->half_life_error, t->bounds_missing);
    TRY(put_reason(t, "relative_memory", NULL, err));
    TRY(put_reason(t, "relative_memory_low", &t->relative, err));
    TRY(put_reason(t, "relative_memory_high", &t->relative, err));
    TRY(put_reason(t, "property_gain", NULL, err));
    TRY(put_reason(t, "property_gain_low", &t->gain, err));
    TRY(put_left_out_reasons(t, err));
    TRY(put_reason(t, "property_gain_high", &t->gain, err));
    TRY(put_reason(t, "property_half_life", &t->half_life, err));
    TRY(put_reason(t, "property_half_life_low", &t->half_life_error, err));
    TRY(put_reason(t, "property_half_life_high", &t->half_life_error, err));
    TRY(put_reason(t, "subspace_cosine", NULL, err));
    TRY(put_reason(t, "subspace_cosine_low", &t->cosine, err));
    TRY(put_reason(t, "subspace_cosine_high", &t->cosine, err));
done:
    return st;
}

/* A finished run has no sums by block of single units: rows of nothing for a new property, with the
 * reason. */
static sg_status put_units(track *t, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const names[] = {"unit_property_gain", "unit_property_gain_low",
                                        "unit_property_gain_high"};
    size_t rank, shape[SG_RUN_MAX_DIMS];
    reason why = {"", 0};
    double *none = NULL;
    if (!sg_run_shape(t->run, t->group, names[0], &rank, shape))
        return SG_OK;
    const size_t each = shape[1] * shape[2] * shape[3];
    NEED(none = sg_calloc(each, sizeof *none), err, "the gains of units");
    for (size_t i = 0; i < each; i++)
        none[i] = NAN;
    for (size_t p = 0; p < t->frame.P; p++)
        reason_note_of(&why, "property", t->found[p].name, SIZE_MAX,
                       "added by track, which knows no single units");
    for (size_t k = 0; k < 3; k++) {
        for (size_t p = 0; p < t->frame.P; p++)
            TRY(run_writer_put_f64(t->w, t->nc, names[k], (size_t[]){t->first + p, 0, 0, 0},
                                   (size_t[]){1, shape[1], shape[2], shape[3]}, none, err));
        TRY(put_reason(t, names[k], &why, err));
    }
done:
    sg_free(none);
    return st;
}

/* A finished run has no word replaced by its partner for a new property: rows of nothing, with the reason. */
static sg_status put_partners(track *t, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t D = sg_run_delays(t->run);
    size_t rank, shape[SG_RUN_MAX_DIMS], start[] = {t->first, 0}, count[] = {t->frame.P, D};
    reason why = {"", 0};
    int64_t *none = sg_calloc(t->frame.P, D * sizeof *none);
    double *missing = sg_calloc(t->frame.P, D * sizeof *missing);
    NEED(none && missing, err, "the projections");
    for (size_t i = 0; i < t->frame.P * D; i++)
        missing[i] = NAN;
    for (size_t p = 0; p < t->frame.P; p++)
        reason_note_of(&why, "property", t->found[p].name, SIZE_MAX,
                       "added by track, which replaces no words");
    for (const run_variable *v = run_variables; v->name; v++) {
        if (!v->in_group || strcmp(v->dims, "property delay") ||
            !sg_run_shape(t->run, t->group, v->name, &rank, shape))
            continue;
        TRY(run_writer_define(t->w, t->nc, v->name, err));
        if (v->type == RUN_I64) {
            TRY(run_writer_put_i64(t->w, t->nc, v->name, start, count, none, err));
            continue;
        }
        char text[1000] = "";
        const char *before = sg_run_variable_attribute(t->run, t->group, v->name, "missing_reason");
        snprintf(text, sizeof text, "%s", before ? before : "");
        reason_append(text, sizeof text, &why);
        TRY(run_writer_put_f64(t->w, t->nc, v->name, start, count, missing, err));
        TRY(run_writer_text(t->w, t->nc, v->name, "missing_reason", text, err));
    }
done:
    sg_free(none), sg_free(missing);
    return st;
}

static sg_status one_group(track *t, ticker *watch, sg_error *err)
{
    sg_status st = SG_OK;
    size_t D = sg_run_delays(t->run), C = sg_run_classes(t->run), rank, shape[SG_RUN_MAX_DIMS];
    t->x = sg_calloc(D, t->K * sizeof *t->x);
    t->random = sg_calloc(D, 3 * sizeof *t->random);
    t->empty = sg_calloc(2 * D, sizeof *t->empty);
    t->nothing_left = t->empty ? t->empty + D : NULL;
    t->sigma = sg_calloc(D, sizeof *t->sigma);
    t->D = D;
    t->pairs = sg_calloc(t->B + 1, sizeof *t->pairs);
    t->along = sg_calloc(t->frame.P * (t->B + 1), D * sizeof *t->along);
    t->words = sg_calloc(t->frame.P * PROPERTY_FOLDS, D * sizeof *t->words);
    t->random_cosine = sg_calloc(t->frame.R, 3 * sizeof *t->random_cosine);
    NEED(t->x && t->random && t->empty && t->sigma && t->pairs && t->along && t->words && t->random_cosine,
         err, "the properties");
    random_cosines(t->frame.R, t->frame.E, t->random_cosine);
    if (sg_run_shape(t->run, t->group, "left_out_property_gain", &rank, shape) && rank == 4 &&
        shape[3] > PROPERTY_FOLDS)
        t->n_left_out = shape[3];
    NEED(!t->n_left_out || (t->left_out = sg_calloc(2 * t->frame.P * D, t->n_left_out * sizeof *t->left_out)),
         err, "the properties");
    TRY(random_table_new(&t->directions, t->frame.R, t->frame.E, t->seed, err));
    TRY(la_room(t->threads, err));
    for (size_t c = 0; c < C; c++) {
        sg_status failed = SG_OK;
        size_t done = c * D;
        bool stop = false;
#pragma omp parallel for schedule(dynamic, 1) num_threads(t->threads)
        for (size_t d = 0; d < D; d++) {
            sg_error inner = {""};
            bool stopped;
            size_t now;
#pragma omp atomic read
            stopped = stop;
            if (stopped)
                continue;
            sg_status one = compute(t, c, d, &inner);
#pragma omp atomic capture
            now = ++done;
            if (one == SG_OK && omp_get_thread_num() == 0)
                one = ticker_tell(watch, (double)now, &inner);
            if (one != SG_OK) {
#pragma omp atomic write
                stop = true;
#pragma omp critical
                {
                    failed = one;
                    if (err)
                        *err = inner;
                }
            }
        }
        TRY(failed);
        TRY(ticker_tell(watch, (double)((c + 1) * D), err));
        for (size_t p = 0; p < t->frame.P; p++) {
            TRY(put_one(t, p, c, err));
            TRY(put_left_out(t, p, c, err));
        }
        note_class(t, c);
    }
    TRY(put_reasons(t, err));
    TRY(put_partners(t, err));
    TRY(put_units(t, err));
done:
    sg_free(t->x);
    sg_free(t->random);
    sg_free(t->random_cosine);
    t->random_cosine = NULL;
    sg_free(t->empty);
    sg_free(t->sigma);
    sg_free(t->left_out);
    sg_free(t->pairs), sg_free(t->along), sg_free(t->words);
    random_table_free(t->directions);
    t->directions = NULL, t->sigma = t->left_out = t->pairs = t->along = t->words = NULL;
    t->x = NULL, t->random = NULL, t->empty = NULL;
    return st;
}

/* Adds to the text of earlier properties. */
static sg_status put_vector_reason(run_writer *w, sg_run *r, const property *found, size_t n, sg_error *err)
{
    const char *before = sg_run_variable_attribute(r, NULL, "property_vector", "missing_reason");
    char text[1000] = "";
    reason why = {"", 0};
    for (size_t p = 0; p < n; p++)
        reason_note_plain(&why, found[p].missing);
    if (!why.first[0])
        return SG_OK;
    if (before)
        snprintf(text, sizeof text, "%s", before);
    reason_append(text, sizeof text, &why);
    return run_writer_text(w, RUN_ROOT, "property_vector", "missing_reason", text, err);
}

static sg_status put_root(run_writer *w, const property *p, size_t at, size_t E, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const names[] = {"property_name", "property_words_a", "property_words_b",
                                        "property_pairs", "property_vector"};
    size_t start[] = {at, 0}, count[] = {1, E}, one[] = {1};
    const int64_t pairs = (int64_t)p->pairs;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        TRY(run_writer_define(w, RUN_ROOT, names[i], err));
    TRY(run_writer_put_string(w, RUN_ROOT, "property_name", at, p->name, err));
    TRY(run_writer_put_i64(w, RUN_ROOT, "property_words_a", start, one, &p->words_a, err));
    TRY(run_writer_put_i64(w, RUN_ROOT, "property_words_b", start, one, &p->words_b, err));
    TRY(run_writer_put_i64(w, RUN_ROOT, "property_pairs", start, one, &pairs, err));
    TRY(run_writer_put_f64(w, RUN_ROOT, "property_vector", start, count, p->delta[0], err));
done:
    return st;
}

static sg_status resolve(property *out, const stored *s, const sg_property *given, size_t count,
                         const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    property_source source = {s,          s->E, find_word,   find_class,
                              class_name, NULL, s->n_models, {s->X[0], s->X[1]}};
    for (size_t p = 0; p < count; p++) {
        for (size_t q = 0; q < sg_run_properties(s->run); q++)
            if (!strcmp(sg_run_property_name(s->run, q), given[p].name))
                TRY(sg_fail(err, SG_EINVAL, "property %s: the run already has a property of that name",
                            given[p].name));
        for (size_t q = 0; q < p; q++)
            if (!strcmp(given[q].name, given[p].name))
                TRY(sg_fail(err, SG_EINVAL, "property %s: given twice", given[p].name));
        TRY(property_resolve(&out[p], &source, &given[p], monitor, err));
    }
done:
    return st;
}

/* The group's own covariance factor, and the directions in it. L (E,E), n (P,E). */
static sg_status read_directions(double *L, double *n, double *folds, double *weights, const char **missing,
                                 track *t, size_t E, size_t P, size_t m, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(sg_run_read(t->run, m ? t->group : NULL, "embedding_covariance_factor", NULL, NULL, L, err));
    for (size_t p = 0; p < P; p++) {
        size_t start[] = {t->first + p, 0}, count[] = {1, E};
        sp_direction(n + p * E, E, L, t->found[p].delta[m]);
        for (size_t k = 0; k < PROPERTY_FOLDS; k++) {
            sp_direction(folds + (p * PROPERTY_FOLDS + k) * E, E, L, t->found[p].fold[m] + k * E);
            weights[p * PROPERTY_FOLDS + k] = t->found[p].fold_weight[k];
        }
        missing[p] = t->found[p].no_folds;
        if (m)
            TRY(run_writer_put_f64(t->w, t->nc, "property_vector", start, count, t->found[p].delta[m], err));
    }
done:
    return st;
}

static sg_status track_group(track *t, const stored *s, size_t g, size_t P, const sg_monitor *monitor,
                             sg_error *err)
{
    sg_status st = SG_OK;
    const char *seed = sg_run_attribute(t->run, "seed");
    size_t E = s->E, rank, shape[SG_RUN_MAX_DIMS], m = run_is_untrained(t->group);
    unsigned long long number = 1;
    double *L = sg_calloc(E * E, sizeof *L), *n = sg_calloc(P, E * sizeof *n);
    double *folds = sg_calloc(P * PROPERTY_FOLDS, E * sizeof *folds),
           *weights = sg_calloc(P, PROPERTY_FOLDS * sizeof *weights);
    const char **missing = sg_calloc(P, sizeof *missing);
    NEED(L && n && folds && weights && missing, err, "the properties");
    TRY(run_writer_group(t->w, t->group, &t->nc, err));
    TRY(run_writer_coordinates(t->w, t->nc, err));
    if (m && s->n_models < 2) {
        reason_note_plain(&t->property,
                          "tracked property: the run does not hold the embeddings of the untrained copy");
        TRY(put_reasons(t, err));
        goto done;
    }
    TRY(read_directions(L, n, folds, weights, missing, t, E, P, m, err));
    t->folds = (property_folds){folds, weights, missing};
    if (seed && sscanf(seed, "%llu", &number) == 1)
        t->seed = number;
    t->frame = (sp_frame){sg_run_units(t->run, g), E, sg_run_rank(t->run, g), P, L, n};
    t->at = sp_where(&t->frame);
    t->K = sp_count(&t->frame);
    if (sg_run_shape(t->run, t->group, "block_gram", &rank, shape) && shape[3] == t->packed)
        t->B = shape[2];
    else
        t->bounds_missing = "the run has no block_gram (analyze with setting 'block_gram' yes stores it)";
    ticker watch =
        ticker_begin(monitor, "tracking", (double)(sg_run_classes(t->run) * sg_run_delays(t->run)));
    TRY(one_group(t, &watch, err));
done:
    sg_free(folds);
    sg_free(weights);
    sg_free(missing);
    sg_free(L);
    sg_free(n);
    return st;
}

sg_status sg_track(const char *path, const char *out_path, const sg_property *properties, size_t n,
                   int threads, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    sg_run *r = NULL;
    run_writer *w = NULL;
    stored s = {0};
    property *found = sg_calloc(n, sizeof *found);
    la_serial_begin();
    if (!n || !found)
        TRY(sg_fail(err, n ? SG_ENOMEM : SG_EINVAL, n ? "track: no memory" : "track: no property given"));
    TRY(la_room(1, err));
    TRY(sg_run_open(&r, path, err));
    s = (stored){.run = r, .E = sg_run_embedding(r)};
    TRY(read_words(&s, err));
    TRY(read_members(&s, err));
    TRY(resolve(found, &s, properties, n, monitor, err));
    TRY(run_writer_modify(&w, path, out_path, monitor, err));
    for (size_t p = 0; p < n; p++)
        TRY(put_root(w, &found[p], sg_run_properties(r) + p, s.E, err));
    TRY(put_vector_reason(w, r, found, n, err));
    for (size_t g = 0; g < sg_run_groups(r); g++) {
        track t = {.run = r,
                   .w = w,
                   .group = sg_run_group_name(r, g),
                   .first = sg_run_properties(r),
                   .packed = sums_packed(s.E),
                   .threads = threads > 0 ? threads : omp_get_max_threads(),
                   .found = found,
                   .seed = 1};
        TRY(track_group(&t, &s, g, n, monitor, err));
    }
    run_writer *ready = w;
    w = NULL;
    sg_run_close(r); /* before its file is replaced */
    r = NULL;
    s.run = NULL;
    TRY(run_writer_commit(ready, err));
done:
    la_serial_end();
    run_writer_abort(w);
    stored_free(&s);
    for (size_t p = 0; found && p < n; p++)
        property_free(&found[p]);
    sg_free(found);
    sg_run_close(r);
    return st;
}
