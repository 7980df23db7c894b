/* SPDX-License-Identifier: MIT */
/* The group in the run file, and why what is missing is missing. */
#include "analysis/results/results_internal.h"

#include "base/base_internal.h"

#include <math.h>
#include <string.h>

sg_status write_define(group_work *a, sg_error *err)
{
    sg_status st = SG_OK;
    const results_input *p = a->input;
    TRY(run_writer_group(a->w, a->group->name, &a->nc, err));
    TRY(run_writer_dim(a->w, a->nc, "unit", a->frame.H, err));
    TRY(run_writer_dim(a->w, a->nc, "rank", a->frame.R, err));
    TRY(run_writer_dim(a->w, a->nc, "embedding_2", p->E, err));
    TRY(run_writer_dim(a->w, a->nc, "block", p->B, err));
    TRY(run_writer_define_all(a->w, a->nc, err));
    if (p->pairs && !a->group->model)
        TRY(run_writer_define(a->w, a->nc, "pair_label", err));
    TRY(run_writer_coordinates(a->w, a->nc, err));
    TRY(left_out_define(a, err));
    if (p->store_gram) {
        TRY(run_writer_dim(a->w, a->nc, "packed", a->packed, err));
        TRY(run_writer_define(a->w, a->nc, "block_gram", err));
    } else
        TRY(run_writer_text(a->w, a->nc, NULL, "block_gram_missing", p->gram_reason, err));
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

/* The statistic whose field the variable holds ("coherence_low": low of coherence); NULL: none. */
static const sp_statistic *statistic_of(const run_variable *v, field *f)
{
    static const char *const suffixes[] = {[FIELD_VALUE] = "",
                                           [FIELD_LOW] = "_low",
                                           [FIELD_HIGH] = "_high",
                                           [FIELD_ERROR] = "_se",
                                           [FIELD_BIAS] = "_bias"};
    for (const sp_statistic *s = sp_statistics; s->name; s++) {
        size_t n = strlen(s->name);
        for (*f = FIELD_VALUE; *f <= FIELD_BIAS; ++*f)
            if (!strncmp(v->name, s->name, n) && !strcmp(v->name + n, suffixes[*f]))
                return s;
    }
    return NULL;
}

/* One field of a statistic, for ([property,] class, delay[, rank]). */
static sg_status put_statistic(group_work *a, const run_variable *v, const sp_statistic *s, field f, size_t c,
                               size_t d0, size_t n_items, sg_error *err)
{
    size_t P = s->per_property ? a->input->P : 1, n = s->per_rank ? a->frame.R : 1;
    size_t at = sp_position(&a->frame, s), start[] = {0, c, d0, 0}, count[] = {P, 1, n_items, n};
    for (size_t p = 0; p < P; p++)
        for (size_t i = 0; i < n_items; i++)
            for (size_t k = 0; k < n; k++)
                a->row[(p * n_items + i) * n + k] = field_of(&a->items[i].x[at + p * n + k], f);
    size_t skip = s->per_property ? 0 : 1;
    return P ? run_writer_put_f64(a->w, a->nc, v->name, start + skip, count + skip, a->row, err) : SG_OK;
}

static sg_status put_random(group_work *a, size_t c, size_t d0, size_t n_items, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const relative[] = {"relative_memory_random", "relative_memory_random_low",
                                           "relative_memory_random_high"};
    static const char *const gain[] = {"property_gain_random", "property_gain_random_low",
                                       "property_gain_random_high"};
    static const char *const cosine[] = {"subspace_cosine_random", "subspace_cosine_random_low",
                                         "subspace_cosine_random_high"};
    size_t P = a->input->P, R = a->frame.R, start[] = {0, c, d0, 0}, count[] = {P, 1, n_items, R};
    for (size_t v = 0; v < 3; v++) {
        for (size_t p = 0; p < P; p++)
            for (size_t i = 0; i < n_items; i++)
                a->row[p * n_items + i] = a->items[i].random[v];
        TRY(run_writer_put_f64(a->w, a->nc, relative[v], start, count, a->row, err));
        for (size_t i = 0; i < P * n_items; i++)
            a->row[i] *= a->items[i % n_items].sigma;
        TRY(run_writer_put_f64(a->w, a->nc, gain[v], start, count, a->row, err));
        for (size_t k = 0; k < R; k++)
            for (size_t i = 0; i < P * n_items; i++)
                a->row[i * R + k] = a->items[i % n_items].empty ? (double)NAN : a->random_cosine[3 * k + v];
        TRY(run_writer_put_f64(a->w, a->nc, cosine[v], start, count, a->row, err));
    }
done:
    return st;
}

static sg_status put_large(group_work *a, size_t c, size_t d0, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    size_t H = a->frame.H, E = a->frame.E, R = a->frame.R, B = a->input->B;
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

sg_status write_batch(group_work *a, size_t c, size_t d0, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    for (const run_variable *v = run_variables; v->name; v++) {
        field f;
        const sp_statistic *s = v->in_group ? statistic_of(v, &f) : NULL;
        if (s)
            TRY(put_statistic(a, v, s, f, c, d0, n, err));
    }
    TRY(put_large(a, c, d0, n, err));
    TRY(left_out_write(a, c, d0, n, err));
    if (a->input->P)
        TRY(put_random(a, c, d0, n, err));
done:
    return st;
}

sg_status write_pairs(group_work *a, sg_error *err)
{
    sg_status st = SG_OK;
    const results_input *p = a->input;
    int64_t *pairs = sg_calloc(3 * p->D, sizeof *pairs), *moment = pairs + p->D, *exist = moment + p->D;
    if (!pairs)
        return no_memory(err, "%s", a->group->name);
    for (size_t c = 0; c < p->C; c++) {
        size_t start[] = {c, 0}, count[] = {1, p->D};
        memset(pairs, 0, 3 * p->D * sizeof *pairs);
        for (size_t d = 0; d < p->D; d++)
            for (size_t b = 0; b < p->B * p->split; b++) {
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

/* Properties without a direction have no values, whatever the class and delay. */
static void note_properties(group_work *a)
{
    for (size_t p = 0; p < a->input->P; p++) {
        const char *why = a->input->property_missing ? a->input->property_missing[p] : NULL;
        if (isnan(a->frame.n[p * a->frame.E]) && (why || !a->input->factor_missing[a->group->model]))
            reason_note_plain(&a->reasons[RUN_NO_DIRECTION], why ? why : "a property without a direction");
    }
}

/* Every NaN has a reason in the file: those that the table of variables names. */
sg_status write_missing(group_work *a, sg_error *err)
{
    sg_status st = SG_OK;
    note_properties(a);
    reason_note_plain(&a->reasons[RUN_NO_FACTOR], a->input->factor_missing[a->group->model]);
    reason_note_plain(&a->reasons[RUN_IS_REFERENCE], "class all is the reference");
    reason_note_plain(&a->reasons[RUN_NO_SHAPE], "only a stretched exponential has a shape");
    for (const run_variable *v = run_variables; v->name; v++) {
        char text[1000] = "";
        field f;
        const sp_statistic *s = statistic_of(v, &f);
        if (!v->in_group || !run_writer_has(a->w, a->nc, v->name))
            continue;
        for (size_t k = 0; k < RUN_REASONS; k++)
            if (v->missing & RUN_BIT(k))
                reason_append(text, sizeof text,
                              k == RUN_NO_INTERVAL && s ? &a->intervals[s - sp_statistics] : &a->reasons[k]);
        if (text[0])
            TRY(run_writer_text(a->w, a->nc, v->name, "missing_reason", text, err));
    }
done:
    return st;
}
