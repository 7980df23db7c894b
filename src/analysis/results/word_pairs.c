/* SPDX-License-Identifier: MIT */
/* Chosen pairs of words compared with other words of the same kind at the same distances, of each label and
 * delay, and over all distances of a label. With n_k pairs whose word read is of kind k, at delay d:
 *
 *   gain  = sqrt(sum of |G L|^2 / n)       other = sqrt(sum over k of n_k (mean |G L|^2 of the others of kind
 *         k) / n)
 *   change, other change: means of |Delta| alike, where words were replaced
 *
 * Intervals by the block jackknife of logarithms. */
#include "analysis/results/results_internal.h"

#include "base/base_internal.h"

#include <math.h>
#include <string.h>

/* Names, and what they are of: a field beyond PAIRS_FIRST_STATE. */
static const struct {
    const char *chosen, *other, *ratio;
    bool square, of_replacement;
} measures[] = {{"pair_gain", "pair_other_gain", "pair_gain_ratio", true, false},
                {"pair_change", "pair_other_change", "pair_change_ratio", false, true}};
enum { MEASURES = sizeof measures / sizeof *measures, CHOSEN = 0, OTHER, RATIO, VALUES };

/* Sums over some parts, of one label: (K, W) each. */
typedef struct {
    double *n, *x, *others, *y;
} tallies;

typedef struct {
    const pair_sums *s;
    tallies all, rest;          /* of all parts; without some */
    double *weights, *without;  /* (B + F); (VALUES, B + F) */
    double *value, *low, *high; /* (VALUES, L, W + 1): the last is of all distances */
} room;

static size_t field_of(const group_work *a, size_t m)
{
    const pair_sums *s = a->input->pairs;
    return PAIRS_FIRST_STATE + a->g + (measures[m].of_replacement ? s->G : 0);
}

/* Parts first .. first+n-1 times `sign`. */
static void tally(const pair_sums *s, size_t field, size_t label, size_t first, size_t n, double sign,
                  tallies *t)
{
    size_t KW = s->K * s->W;
    for (size_t f = first; f < first + n; f++) {
        const double *const from[] = {pair_sums_chosen(s, PAIRS_COUNT, f, label, 0),
                                      pair_sums_chosen(s, field, f, label, 0),
                                      pair_sums_other(s, PAIRS_COUNT, f, 0), pair_sums_other(s, field, f, 0)};
        double *const to[] = {t->n, t->x, t->others, t->y};
        for (size_t k = 0; k < 4; k++)
            for (size_t i = 0; i < KW; i++)
                to[k][i] += sign * from[k][i];
    }
}

/* Logarithms of chosen, other, ratio at delay d (W: all). Returns the number of pairs. */
static double evaluate(const pair_sums *s, const tallies *t, size_t d, bool square, double out[VALUES])
{
    double n = 0, x = 0, matched = 0, y = 0;
    for (size_t k = 0; k < s->K; k++)
        for (size_t e = d < s->W ? d : 0; e < (d < s->W ? d + 1 : s->W); e++) {
            size_t i = k * s->W + e;
            n += t->n[i], x += t->x[i];
            if (t->n[i] > 0.5 && t->others[i] > 0.5)
                matched += t->n[i], y += t->n[i] * t->y[i] / t->others[i];
        }
    double half = square ? 0.5 : 1;
    out[CHOSEN] = n > 0.5 ? half * log(x / n) : (double)NAN;
    out[OTHER] = matched > 0.5 ? half * log(y / matched) : (double)NAN;
    out[RATIO] = out[CHOSEN] - out[OTHER];
    return n;
}

/* All values of label l at delay d, with intervals, at index i of the room's. */
static void estimate(group_work *a, room *r, size_t m, size_t l, size_t d)
{
    const pair_sums *s = r->s;
    const size_t B = a->input->B, split = a->input->split, F = B * split, N = B + F, KW = s->K * s->W;
    double now[VALUES], whole[VALUES];
    evaluate(s, &r->all, d, measures[m].square, whole);
    for (size_t b = 0; b < N; b++) {
        size_t first = b < B ? b * split : b - B, n = b < B ? split : 1;
        memcpy(r->rest.n, r->all.n, 4 * KW * sizeof(double));
        tally(s, field_of(a, m), l, first, n, -1, &r->rest);
        double left = evaluate(s, &r->rest, d, measures[m].square, now), total = 0;
        for (size_t k = 0; k < s->K; k++)
            for (size_t e = d < s->W ? d : 0; e < (d < s->W ? d + 1 : s->W); e++)
                total += r->all.n[k * s->W + e];
        r->weights[b] = total - left > 0.5 ? total - left : 0;
        for (size_t v = 0; v < VALUES; v++)
            r->without[v * N + b] = now[v];
    }
    for (size_t v = 0; v < VALUES; v++) {
        const size_t i = (v * s->L + l) * (s->W + 1) + d;
        const double *without = r->without + v * N;
        sg_interval x;
        sg_stats_jackknife_parts(&x, B, r->weights, whole[v], without, 1, F, r->weights + B, without + B, 1);
        r->value[i] = exp(whole[v]), r->low[i] = exp(x.low), r->high[i] = exp(x.high);
        const size_t delay = d < s->W ? d : SIZE_MAX;
        const char *label = a->input->pair_labels[l];
        if (isnan(whole[v]))
            reason_note_of(&a->reasons[RUN_NO_CHOSEN], "label", label, delay,
                           isnan(whole[CHOSEN]) ? "no pairs" : "no other words of the kind");
        else
            reason_note_of(&a->reasons[RUN_NO_CHOSEN_INTERVAL], "label", label, delay, x.missing);
    }
}

/* (L, D) from the room's (L, W + 1): NaN beyond. */
static sg_status put(group_work *a, const char *name, const char *suffix, const pair_sums *s, const double *x,
                     double *row, sg_error *err)
{
    sg_status st = SG_OK;
    char text[64];
    const size_t D = a->input->D;
    for (size_t l = 0; l < s->L; l++) {
        for (size_t d = 0; d < D; d++)
            row[d] = d < s->W ? x[l * (s->W + 1) + d] : (double)NAN;
        snprintf(text, sizeof text, "%s%s", name, suffix);
        TRY(run_writer_put_f64(a->w, a->nc, text, (size_t[]){l, 0}, (size_t[]){1, D}, row, err));
        snprintf(text, sizeof text, "%s_all%s", name, suffix);
        TRY(run_writer_put_f64(a->w, a->nc, text, (size_t[]){l}, (size_t[]){1}, &x[l * (s->W + 1) + s->W],
                               err));
    }
done:
    return st;
}

static sg_status put_measure(group_work *a, room *r, size_t m, double *row, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const suffixes[] = {"", "_low", "_high"};
    const pair_sums *s = r->s;
    const char *const names[VALUES] = {measures[m].chosen, measures[m].other, measures[m].ratio};
    for (size_t l = 0; l < s->L; l++) {
        memset(r->all.n, 0, 4 * s->K * s->W * sizeof(double));
        tally(s, field_of(a, m), l, 0, s->F, 1, &r->all);
        for (size_t d = 0; d <= s->W; d++)
            estimate(a, r, m, l, d);
    }
    for (size_t v = 0; v < VALUES; v++)
        for (size_t k = 0; k < 3; k++) {
            const double *const values[] = {r->value, r->low, r->high};
            TRY(put(a, names[v], suffixes[k], s, values[k] + v * s->L * (s->W + 1), row, err));
        }
done:
    return st;
}

static sg_status put_counts(group_work *a, const pair_sums *s, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t D = a->input->D;
    int64_t *count = sg_calloc(D, sizeof *count);
    NEED(count, err, "the pairs");
    for (size_t l = 0; l < s->L; l++) {
        memset(count, 0, D * sizeof *count);
        for (size_t f = 0; f < s->F; f++)
            for (size_t k = 0; k < s->K; k++)
                for (size_t d = 0; d < s->W; d++)
                    count[d] += (int64_t)pair_sums_chosen(s, PAIRS_COUNT, f, l, k)[d];
        TRY(run_writer_put_i64(a->w, a->nc, "pair_count", (size_t[]){l, 0}, (size_t[]){1, D}, count, err));
    }
done:
    sg_free(count);
    return st;
}

static sg_status define(group_work *a, bool replaced, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const suffixes[] = {"", "_low", "_high", "_all", "_all_low", "_all_high"};
    TRY(run_writer_define(a->w, a->nc, "pair_label", err));
    TRY(run_writer_define(a->w, a->nc, "pair_count", err));
    for (size_t m = 0; m < MEASURES; m++)
        for (size_t v = 0; v < VALUES && (replaced || !measures[m].of_replacement); v++)
            for (size_t k = 0; k < 6; k++) {
                const char *const names[VALUES] = {measures[m].chosen, measures[m].other, measures[m].ratio};
                char text[64];
                snprintf(text, sizeof text, "%s%s", names[v], suffixes[k]);
                TRY(run_writer_define(a->w, a->nc, text, err));
            }
done:
    return st;
}

sg_status pairs_write(group_work *a, sg_error *err)
{
    sg_status st = SG_OK;
    const pair_sums *s = a->input->pairs;
    room r = {.s = s};
    double *row = NULL;
    if (!s || a->group->model)
        return SG_OK;
    const size_t KW = s->K * s->W, N = a->input->B * (1 + a->input->split), n = VALUES * s->L * (s->W + 1);
    NEED((r.all.n = sg_calloc(4 * KW, sizeof(double))) && (r.rest.n = sg_calloc(4 * KW, sizeof(double))) &&
             (r.weights = sg_calloc(N, sizeof(double))) &&
             (r.without = sg_calloc(VALUES * N, sizeof(double))) &&
             (r.value = sg_calloc(3 * n, sizeof(double))) && (row = sg_calloc(a->input->D, sizeof(double))),
         err, "the pairs in %s", a->group->name);
    r.low = r.value + n, r.high = r.low + n;
    r.all.x = r.all.n + KW, r.all.others = r.all.x + KW, r.all.y = r.all.others + KW;
    r.rest.x = r.rest.n + KW, r.rest.others = r.rest.x + KW, r.rest.y = r.rest.others + KW;
    TRY(define(a, s->replaced, err));
    TRY(put_counts(a, s, err));
    for (size_t m = 0; m < MEASURES && (s->replaced || !measures[m].of_replacement); m++)
        TRY(put_measure(a, &r, m, row, err));
    if (s->W < a->input->D)
        reason_note_plain(&a->reasons[RUN_NO_CHOSEN], "no pair is so far apart");
done:
    sg_free(r.all.n), sg_free(r.rest.n), sg_free(r.weights), sg_free(r.without), sg_free(r.value),
        sg_free(row);
    return st;
}
