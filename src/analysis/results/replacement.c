/* SPDX-License-Identifier: MIT */
/* What replacing words does, per class and delay: ratios of sums over pairs, their intervals by the block jackknife;
 * the mean change of state as one more series whose decay is fitted. */
#include "analysis/results/results_internal.h"

#include "base/base_internal.h"

#include <math.h>

enum { OF_STATE = 100 }; /* + a number of a state: its place follows from the group */

/* NAME = sum of `above` / sum of `below`; a block weighs as many pairs as `pairs` counts. */
static const struct {
    const char *name;
    size_t above, below, pairs;
    double least, most;
    run_reason why; /* it is missing */
} ratios[] = {
    {"state_change", OF_STATE + REPLACED_CHANGE, REPLACED_PAIRS, REPLACED_PAIRS, 0, INFINITY,
     RUN_NO_REPLACED},
    {"state_change_relative", OF_STATE + REPLACED_CHANGE, OF_STATE + REPLACED_START, REPLACED_PAIRS, 0,
     INFINITY, RUN_NO_REPLACED},
    {"linear_prediction", OF_STATE + REPLACED_LINEAR, REPLACED_PAIRS, REPLACED_PAIRS, 0, INFINITY,
     RUN_NO_REPLACED},
    {"linear_cosine", OF_STATE + REPLACED_COSINE, OF_STATE + REPLACED_COSINES, OF_STATE + REPLACED_COSINES,
     -1, 1, RUN_NO_REPLACED},
    {"infidelity", OF_STATE + REPLACED_MISS, OF_STATE + REPLACED_SQUARE, REPLACED_PAIRS, 0, INFINITY,
     RUN_NO_REPLACED},
    {"output_kl", REPLACED_KL, REPLACED_KL_PAIRS, REPLACED_KL_PAIRS, 0, INFINITY, RUN_NO_KL},
};
enum { RATIOS = sizeof ratios / sizeof *ratios };

typedef struct {
    double *pairs, *without;    /* (B + F): without a block, then without a part of one */
    double *value, *low, *high; /* (C, D) */
    int64_t *count;             /* (C, D) */
} room;

size_t group_quantities(const group_work *a)
{
    return a->input->replaced ? AN_QUANTITIES : AN_OF_GRADIENTS;
}

/* Number `field` of part b of the blocks, class c, delay d. */
static double sum_of(const group_work *a, size_t field, size_t b, size_t c, size_t d)
{
    const double *x = replaced_sums_at(a->input->replaced, a->group->model, b, c, d);
    size_t state = a->g % a->input->replaced->G;
    return field < OF_STATE ? x[field] : x[REPLACED_STATES + state * REPLACED_PER_STATE + field - OF_STATE];
}

static double sum_of_block(const group_work *a, size_t field, size_t b, size_t c, size_t d)
{
    double sum = 0;
    for (size_t f = b * a->input->split; f < (b + 1) * a->input->split; f++)
        sum += sum_of(a, field, f, c, d);
    return sum;
}

double block_replaced(const group_work *a, size_t b, size_t c, size_t d)
{
    return sum_of_block(a, REPLACED_PAIRS, b, c, d);
}

/* Ratio i of class c at delay d, with every block and without each, into r->pairs and r->without too. */
static sg_interval ratio(const group_work *a, const room *r, size_t i, size_t c, size_t d)
{
    const size_t B = a->input->B, F = B * a->input->split;
    double above = 0, below = 0;
    sg_interval x;
    for (size_t b = 0; b < B; b++)
        above += sum_of_block(a, ratios[i].above, b, c, d),
            below += sum_of_block(a, ratios[i].below, b, c, d);
    for (size_t b = 0; b < B + F; b++) {
        double (*const sum)(const group_work *, size_t, size_t, size_t, size_t) =
            b < B ? sum_of_block : sum_of;
        const size_t n = b < B ? b : b - B;
        r->pairs[b] = sum(a, ratios[i].pairs, n, c, d);
        r->without[b] =
            (above - sum(a, ratios[i].above, n, c, d)) / (below - sum(a, ratios[i].below, n, c, d));
    }
    if (!(below > 0))
        return (sg_interval){NAN, NAN, NAN, NAN, NAN, NULL};
    sg_stats_jackknife_parts(&x, B, r->pairs, above / below, r->without, 1, F, r->pairs + B, r->without + B,
                             1);
    sg_stats_clamp(&x, ratios[i].least, ratios[i].most);
    return x;
}

/* Why ratio i has no value. */
static const char *reason_of(const group_work *a, size_t i, size_t c, size_t d)
{
    double pairs = 0;
    for (size_t b = 0; b < a->input->B; b++)
        pairs += block_replaced(a, b, c, d);
    return !(pairs > 0)                 ? "no word of it was replaced"
           : ratios[i].why == RUN_NO_KL ? "no Kullback-Leibler divergence was taken"
                                        : "the state does not change";
}

static bool is_kl(size_t i)
{
    return ratios[i].why == RUN_NO_KL;
}

/* The series whose decay is fitted. */
static void keep_change(group_work *a, const room *r, const sg_interval *x, size_t c, size_t d)
{
    const size_t B = a->input->B, D = a->input->D, at = c * AN_QUANTITIES + AN_OF_GRADIENTS;
    a->s.y[at * D + d] = x->value, a->s.error[at * D + d] = x->error;
    for (size_t b = 0; b < B; b++)
        a->s.without[(at * B + b) * D + d] = r->pairs[b] > 0 ? r->without[b] : x->value;
}

static sg_status put_ratio(group_work *a, room *r, size_t i, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t D = a->input->D, n = a->input->C * D;
    char name[64];
    for (size_t k = 0; k < n; k++) {
        const size_t c = k / D, d = k % D;
        sg_interval x = ratio(a, r, i, c, d);
        if (!i)
            keep_change(a, r, &x, c, d);
        r->value[k] = x.value, r->low[k] = x.low, r->high[k] = x.high;
        if (is_kl(i) && (a->input->no_kl || (d & (d - 1))))
            continue; /* at no class: said once */
        if (isnan(x.value))
            group_note(a, ratios[i].why, c, d, reason_of(a, i, c, d));
        group_note(a, is_kl(i) ? RUN_NO_KL_INTERVAL : RUN_NO_REPLACED_INTERVAL, c, d, x.missing);
    }
    TRY(run_writer_put_f64(a->w, a->nc, ratios[i].name, NULL, NULL, r->value, err));
    snprintf(name, sizeof name, "%s_low", ratios[i].name);
    TRY(run_writer_put_f64(a->w, a->nc, name, NULL, NULL, r->low, err));
    snprintf(name, sizeof name, "%s_high", ratios[i].name);
    TRY(run_writer_put_f64(a->w, a->nc, name, NULL, NULL, r->high, err));
done:
    return st;
}

static sg_status put_counts(group_work *a, room *r, const char *name, size_t field, sg_error *err)
{
    const size_t D = a->input->D, n = a->input->C * D;
    for (size_t k = 0; k < n; k++) {
        double sum = 0;
        for (size_t b = 0; b < a->input->B; b++)
            sum += sum_of_block(a, field, b, k / D, k % D);
        r->count[k] = (int64_t)sum;
    }
    return run_writer_put_i64(a->w, a->nc, name, NULL, NULL, r->count, err);
}

static sg_status define(group_work *a, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const suffixes[] = {"", "_low", "_high"};
    for (size_t i = 0; i < 3 * RATIOS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", ratios[i / 3].name, suffixes[i % 3]);
        TRY(run_writer_define(a->w, a->nc, name, err));
    }
    TRY(run_writer_define(a->w, a->nc, "replaced_pairs", err));
    TRY(run_writer_define(a->w, a->nc, "output_kl_pairs", err));
done:
    return st;
}

sg_status replacement_write(group_work *a, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t B = a->input->B * (1 + a->input->split), n = a->input->C * a->input->D;
    room r = {0};
    if (!a->input->replaced)
        return SG_OK;
    NEED((r.pairs = sg_calloc(2 * B, sizeof *r.pairs)) && (r.value = sg_calloc(3 * n, sizeof *r.value)) &&
             (r.count = sg_calloc(n, sizeof *r.count)),
         err, "what replacing words does in %s", a->group->name);
    r.without = r.pairs + B, r.low = r.value + n, r.high = r.low + n;
    TRY(define(a, err));
    for (size_t i = 0; i < RATIOS; i++)
        TRY(put_ratio(a, &r, i, err));
    reason_note_plain(&a->reasons[RUN_NO_KL], a->input->no_kl   ? a->input->no_kl
                                              : a->input->D > 3 ? "taken at delays 0, 1, 2, 4, 8, ... only"
                                                                : NULL);
    TRY(put_counts(a, &r, "replaced_pairs", REPLACED_PAIRS, err));
    TRY(put_counts(a, &r, "output_kl_pairs", REPLACED_KL_PAIRS, err));
done:
    sg_free(r.pairs), sg_free(r.value), sg_free(r.count);
    return st;
}
