/* SPDX-License-Identifier: MIT */
/* The group in the run file, and why what is missing is missing. */
#include "analysis/results/results_internal.h"

#include "base/base_internal.h"

#include <math.h>
#include <string.h>

static const char *const always[] = {"pairs",
                                     "mean_gradient",
                                     "singular_value",
                                     "singular_value_low",
                                     "singular_value_high",
                                     "singular_value_se",
                                     "singular_value_bias",
                                     "right_singular_vector",
                                     "left_singular_vector",
                                     "singular_sum",
                                     "singular_sum_low",
                                     "singular_sum_high",
                                     "singular_sum_se",
                                     "effective_rank",
                                     "effective_rank_low",
                                     "effective_rank_high",
                                     "rms_gain",
                                     "rms_gain_low",
                                     "rms_gain_high",
                                     "coherence",
                                     "coherence_low",
                                     "coherence_high",
                                     "second_moment",
                                     "second_moment_pairs",
                                     "existing_pairs",
                                     "class_difference",
                                     "class_difference_low",
                                     "class_difference_high",
                                     "class_difference_p",
                                     "class_difference_p_adjusted",
                                     "class_null_low",
                                     "class_null_high",
                                     "decay_scale",
                                     "decay_scale_error",
                                     "decay_rate",
                                     "decay_rate_error",
                                     "decay_shape",
                                     "decay_shape_error",
                                     "decay_residual",
                                     "decay_aic",
                                     "decay_weight",
                                     "half_life",
                                     "half_life_error",
                                     "relative_memory",
                                     "relative_memory_low",
                                     "relative_memory_high",
                                     "relative_memory_random",
                                     "relative_memory_random_low",
                                     "relative_memory_random_high",
                                     "subspace_cosine",
                                     "subspace_cosine_low",
                                     "subspace_cosine_high",
                                     "subspace_cosine_random",
                                     "subspace_cosine_random_low",
                                     "subspace_cosine_random_high",
                                     "block_pairs",
                                     NULL};

sg_status after_define(after *a, sg_error *err)
{
    sg_status st = SG_OK;
    const an_plan *p = a->plan;
    TRY(run_writer_group(a->w, a->group->name, &a->nc, err));
    TRY(run_writer_dim(a->w, a->nc, "unit", a->frame.H, err));
    TRY(run_writer_dim(a->w, a->nc, "rank", a->frame.R, err));
    TRY(run_writer_dim(a->w, a->nc, "embedding_2", p->E, err));
    TRY(run_writer_dim(a->w, a->nc, "block", p->B, err));
    for (size_t i = 0; always[i]; i++)
        TRY(run_writer_define(a->w, a->nc, always[i], err));
    if (p->store_gram) {
        TRY(run_writer_dim(a->w, a->nc, "packed", a->packed, err));
        TRY(run_writer_define(a->w, a->nc, "block_gram", err));
    } else
        TRY(run_writer_text(a->w, a->nc, NULL, "block_gram_missing", p->gram_reason, err));
    if (a->group->model) {
        TRY(run_writer_define(a->w, a->nc, "embedding_covariance_factor", err));
        TRY(run_writer_put_f64(a->w, a->nc, "embedding_covariance_factor", NULL, NULL, p->L[a->group->model],
                               err));
        if (p->factor_missing[a->group->model])
            TRY(run_writer_text(a->w, a->nc, "embedding_covariance_factor", "missing_reason",
                                p->factor_missing[a->group->model], err));
    }
done:
    return st;
}

typedef enum { FIELD_VALUE, FIELD_LOW, FIELD_HIGH, FIELD_ERROR, FIELD_BIAS } field;

static double field_of(const sg_interval *x, field f)
{
    return f == FIELD_VALUE   ? x->value
           : f == FIELD_LOW   ? x->low
           : f == FIELD_HIGH  ? x->high
           : f == FIELD_ERROR ? x->error
                              : x->bias;
}

/* The statistic at position `place` (n numbers of it) of each item of the batch, for (class, delay[, rank]). */
static sg_status put_field(after *a, const char *variable, size_t c, size_t d0, size_t n_items, size_t place,
                           size_t n, bool has_rank, field f, sg_error *err)
{
    size_t start[] = {c, d0, 0}, count[] = {1, n_items, n};
    (void)has_rank;
    for (size_t i = 0; i < n_items; i++)
        for (size_t k = 0; k < n; k++)
            a->row[i * n + k] = field_of(&a->items[i].x[place + k], f);
    return run_writer_put_f64(a->w, a->nc, variable, start, count, a->row, err);
}

/* For (property, class, delay[, rank]): n numbers of each property, `stride` apart in the item. */
static sg_status put_property(after *a, const char *variable, size_t c, size_t d0, size_t n_items,
                              size_t place, size_t n, field f, sg_error *err)
{
    size_t P = a->plan->P, start[] = {0, c, d0, 0}, count[] = {P, 1, n_items, n};
    for (size_t p = 0; p < P; p++)
        for (size_t i = 0; i < n_items; i++)
            for (size_t k = 0; k < n; k++)
                a->row[(p * n_items + i) * n + k] = field_of(&a->items[i].x[place + p * n + k], f);
    return run_writer_put_f64(a->w, a->nc, variable, start, count, a->row, err);
}

static sg_status put_random(after *a, size_t c, size_t d0, size_t n_items, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const relative[] = {"relative_memory_random", "relative_memory_random_low",
                                           "relative_memory_random_high"};
    static const char *const cosine[] = {"subspace_cosine_random", "subspace_cosine_random_low",
                                         "subspace_cosine_random_high"};
    size_t P = a->plan->P, R = a->frame.R, start[] = {0, c, d0, 0}, count[] = {P, 1, n_items, R};
    for (size_t v = 0; v < 3; v++) {
        for (size_t p = 0; p < P; p++)
            for (size_t i = 0; i < n_items; i++)
                a->row[p * n_items + i] = a->items[i].random[v];
        TRY(run_writer_put_f64(a->w, a->nc, relative[v], start, count, a->row, err));
        for (size_t k = 0; k < R; k++) {
            double band[3];
            sg_stats_random_cosine(k + 1, a->frame.E, &band[0], &band[1], &band[2]);
            for (size_t i = 0; i < P * n_items; i++)
                a->row[i * R + k] = a->items[i % n_items].empty ? (double)NAN : band[v];
        }
        TRY(run_writer_put_f64(a->w, a->nc, cosine[v], start, count, a->row, err));
    }
done:
    return st;
}

static sg_status put_properties(after *a, size_t c, size_t d0, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const relative[] = {"relative_memory", "relative_memory_low", "relative_memory_high"};
    static const char *const cosine[] = {"subspace_cosine", "subspace_cosine_low", "subspace_cosine_high"};
    if (!a->plan->P)
        return SG_OK;
    for (field f = FIELD_VALUE; f <= FIELD_HIGH; f++) {
        TRY(put_property(a, relative[f], c, d0, n, a->at.relative, 1, f, err));
        TRY(put_property(a, cosine[f], c, d0, n, a->at.cosine, a->frame.R, f, err));
    }
    TRY(put_random(a, c, d0, n, err));
done:
    return st;
}

static sg_status put_large(after *a, size_t c, size_t d0, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    size_t H = a->frame.H, E = a->frame.E, R = a->frame.R, B = a->plan->B;
    for (size_t i = 0; i < n; i++) {
        const item *o = &a->items[i];
        size_t start[] = {c, d0 + i, 0, 0}, mean[] = {1, 1, H, E}, moment[] = {1, 1, E, E},
               left[] = {1, 1, R, H}, right[] = {1, 1, R, E}, gram[] = {1, 1, B, a->packed};
        TRY(run_writer_put_f32(a->w, a->nc, "mean_gradient", start, mean, o->mean, err));
        TRY(run_writer_put_f32(a->w, a->nc, "second_moment", start, moment, o->moment, err));
        TRY(run_writer_put_f32(a->w, a->nc, "left_singular_vector", start, left, o->left, err));
        TRY(run_writer_put_f32(a->w, a->nc, "right_singular_vector", start, right, o->right, err));
        if (o->gram)
            TRY(run_writer_put_f32(a->w, a->nc, "block_gram", start, gram, o->gram, err));
        memcpy(a->row + i * B, o->block_weight, B * sizeof *a->row);
    }
    size_t start[] = {c, d0, 0}, count[] = {1, n, B};
    TRY(run_writer_put_f64(a->w, a->nc, "block_pairs", start, count, a->row, err));
done:
    return st;
}

sg_status after_put_batch(after *a, size_t c, size_t d0, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    const sp_places *at = &a->at;
    size_t R = a->frame.R;
    const struct {
        const char *variable;
        size_t place, n;
        field f;
    } rows[] = {
        {"singular_value", at->S, R, FIELD_VALUE},        {"singular_value_low", at->S, R, FIELD_LOW},
        {"singular_value_high", at->S, R, FIELD_HIGH},    {"singular_value_se", at->S, R, FIELD_ERROR},
        {"singular_value_bias", at->S, R, FIELD_BIAS},    {"rms_gain", at->gain, R, FIELD_VALUE},
        {"rms_gain_low", at->gain, R, FIELD_LOW},         {"rms_gain_high", at->gain, R, FIELD_HIGH},
        {"singular_sum", at->sum, 1, FIELD_VALUE},        {"singular_sum_low", at->sum, 1, FIELD_LOW},
        {"singular_sum_high", at->sum, 1, FIELD_HIGH},    {"singular_sum_se", at->sum, 1, FIELD_ERROR},
        {"effective_rank", at->rank, 1, FIELD_VALUE},     {"effective_rank_low", at->rank, 1, FIELD_LOW},
        {"effective_rank_high", at->rank, 1, FIELD_HIGH}, {"coherence", at->coherence, 1, FIELD_VALUE},
        {"coherence_low", at->coherence, 1, FIELD_LOW},   {"coherence_high", at->coherence, 1, FIELD_HIGH},
    };
    for (size_t v = 0; v < sizeof rows / sizeof *rows; v++)
        TRY(put_field(a, rows[v].variable, c, d0, n, rows[v].place, rows[v].n, rows[v].n > 1, rows[v].f,
                      err));
    TRY(put_large(a, c, d0, n, err));
    TRY(put_properties(a, c, d0, n, err));
done:
    return st;
}

sg_status after_put_pairs(after *a, sg_error *err)
{
    sg_status st = SG_OK;
    const an_plan *p = a->plan;
    int64_t *pairs = sg_calloc(3 * p->D, sizeof *pairs), *moment = pairs + p->D, *exist = moment + p->D;
    if (!pairs)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", a->group->name);
    for (size_t c = 0; c < p->C; c++) {
        size_t start[] = {c, 0}, count[] = {1, p->D};
        memset(pairs, 0, 3 * p->D * sizeof *pairs);
        for (size_t d = 0; d < p->D; d++)
            for (size_t b = 0; b < p->B; b++) {
                const sums_weight *x = sums_weight_at(a->sums, b, c, d);
                pairs[d] += x->pairs, moment[d] += x->moment_pairs, exist[d] += x->exist;
            }
        TRY(run_writer_put_i64(a->w, a->nc, "pairs", start, count, pairs, err));
        TRY(run_writer_put_i64(a->w, a->nc, "second_moment_pairs", start, count, moment, err));
        TRY(run_writer_put_i64(a->w, a->nc, "existing_pairs", start, count, exist, err));
    }
done:
    sg_free(pairs);
    return st;
}

enum { /* the kinds as bits */
       EMPTY = 1 << REASON_EMPTY,
       MOMENT = 1 << REASON_MOMENT,
       GRAM = 1 << REASON_GRAM,
       SIGMA = 1 << REASON_SIGMA,
       SUM = 1 << REASON_SUM,
       RANK = 1 << REASON_RANK,
       GAIN = 1 << REASON_GAIN,
       COHERENCE = 1 << REASON_COHERENCE,
       RELATIVE = 1 << REASON_RELATIVE,
       COSINE = 1 << REASON_COSINE,
       DIFFERENCE = 1 << REASON_DIFFERENCE,
       TEST = 1 << REASON_TEST,
       DECAY = 1 << REASON_DECAY,
       HALF_LIFE = 1 << REASON_HALF_LIFE,
       DECAY_ERROR = 1 << REASON_DECAY_ERROR,
       HALF_LIFE_ERROR = 1 << REASON_HALF_LIFE_ERROR,
       REFERENCE = 1 << REASON_REFERENCE,
       SHAPE = 1 << REASON_SHAPE,
       PROPERTY = 1 << REASON_PROPERTY,
       FACTOR = 1 << REASON_FACTOR
};

static const struct {
    const char *variable;
    unsigned kinds;
} concerned[] = {
    {"mean_gradient", EMPTY},
    {"second_moment", EMPTY | MOMENT},
    {"block_gram", EMPTY | GRAM},
    {"singular_value", EMPTY | FACTOR},
    {"singular_value_low", SIGMA | FACTOR},
    {"singular_value_high", SIGMA | FACTOR},
    {"singular_value_se", SIGMA | FACTOR},
    {"singular_value_bias", SIGMA | FACTOR},
    {"left_singular_vector", EMPTY | FACTOR},
    {"right_singular_vector", EMPTY | FACTOR},
    {"singular_sum", EMPTY | FACTOR},
    {"singular_sum_low", SUM | FACTOR},
    {"singular_sum_high", SUM | FACTOR},
    {"singular_sum_se", SUM | FACTOR},
    {"effective_rank", EMPTY | FACTOR},
    {"effective_rank_low", RANK | FACTOR},
    {"effective_rank_high", RANK | FACTOR},
    {"rms_gain", EMPTY | MOMENT | FACTOR},
    {"rms_gain_low", GAIN | FACTOR},
    {"rms_gain_high", GAIN | FACTOR},
    {"coherence", EMPTY | MOMENT},
    {"coherence_low", COHERENCE},
    {"coherence_high", COHERENCE},
    {"relative_memory", EMPTY | PROPERTY | FACTOR},
    {"relative_memory_low", RELATIVE | PROPERTY | FACTOR},
    {"relative_memory_high", RELATIVE | PROPERTY | FACTOR},
    {"relative_memory_random", EMPTY | FACTOR},
    {"relative_memory_random_low", EMPTY | FACTOR},
    {"relative_memory_random_high", EMPTY | FACTOR},
    {"subspace_cosine", EMPTY | PROPERTY | FACTOR},
    {"subspace_cosine_low", COSINE | PROPERTY | FACTOR},
    {"subspace_cosine_high", COSINE | PROPERTY | FACTOR},
    {"subspace_cosine_random", EMPTY},
    {"subspace_cosine_random_low", EMPTY},
    {"subspace_cosine_random_high", EMPTY},
    {"class_difference", DIFFERENCE | REFERENCE | FACTOR},
    {"class_difference_low", DIFFERENCE | REFERENCE | FACTOR},
    {"class_difference_high", DIFFERENCE | REFERENCE | FACTOR},
    {"class_difference_p", TEST | REFERENCE | FACTOR},
    {"class_difference_p_adjusted", TEST | REFERENCE | FACTOR},
    {"class_null_low", TEST | REFERENCE | FACTOR},
    {"class_null_high", TEST | REFERENCE | FACTOR},
    {"decay_scale", DECAY | FACTOR},
    {"decay_scale_error", DECAY | DECAY_ERROR | FACTOR},
    {"decay_rate", DECAY | FACTOR},
    {"decay_rate_error", DECAY | DECAY_ERROR | FACTOR},
    {"decay_shape", DECAY | SHAPE | FACTOR},
    {"decay_shape_error", DECAY | DECAY_ERROR | SHAPE | FACTOR},
    {"decay_residual", DECAY | FACTOR},
    {"decay_aic", DECAY | FACTOR},
    {"decay_weight", DECAY | FACTOR},
    {"half_life", HALF_LIFE | FACTOR},
    {"half_life_error", HALF_LIFE | HALF_LIFE_ERROR | FACTOR},
};
enum { CONCERNED = sizeof concerned / sizeof *concerned };

/* Properties without a direction have no values, whatever the class and delay. */
static void note_properties(after *a)
{
    for (size_t p = 0; p < a->plan->P; p++) {
        const char *why = a->plan->property_missing ? a->plan->property_missing[p] : NULL;
        if (isnan(a->frame.n[p * a->frame.E]) && (why || !a->plan->factor_missing[a->group->model]))
            reason_note_plain(&a->reasons[REASON_PROPERTY], why ? why : "a property without a direction");
    }
}

/* Every NaN has a reason in the file: for each variable all that concerns it, kind after kind. */
sg_status after_put_reasons(after *a, sg_error *err)
{
    sg_status st = SG_OK;
    note_properties(a);
    reason_note_plain(&a->reasons[REASON_FACTOR], a->plan->factor_missing[a->group->model]);
    reason_note_plain(&a->reasons[REASON_REFERENCE], "class all is what the others are compared with");
    reason_note_plain(&a->reasons[REASON_SHAPE], "only a stretched exponential has a shape");
    for (size_t i = 0; i < CONCERNED; i++) {
        char text[1000] = "";
        if (!strcmp(concerned[i].variable, "block_gram") && !a->plan->store_gram)
            continue;
        for (size_t k = 0; k < REASONS; k++)
            if (concerned[i].kinds & 1u << k)
                reason_append(text, sizeof text, &a->reasons[k]);
        if (text[0])
            TRY(run_writer_text(a->w, a->nc, concerned[i].variable, "missing_reason", text, err));
    }
done:
    return st;
}
