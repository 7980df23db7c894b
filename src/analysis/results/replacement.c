/* SPDX-License-Identifier: MIT */
/* What replacing words does, per law, class or property, and delay: ratios of sums over pairs, their
 * intervals by the block jackknife; the mean change of state, any word in the place, as one more series whose
 * decay is fitted. */
#include "analysis/results/results_internal.h"

#include "base/base_internal.h"

#include <math.h>

enum { OF_STATE = 100 }; /* + a number of a state: its place follows from the group */

/* NAME = sum of `above` / sum of `below`; a block weighs as many pairs as `pairs` counts. */
static const struct {
    const char *name;
    size_t above, below, pairs;
    double least, most;
    bool of_partners; /* of REPLACED_BY_PARTNER alone */
} ratios[] = {
    {"state_change", OF_STATE + REPLACED_CHANGE, REPLACED_PAIRS, REPLACED_PAIRS, 0, INFINITY},
    {"state_change_relative", OF_STATE + REPLACED_CHANGE, OF_STATE + REPLACED_START, REPLACED_PAIRS, 0,
     INFINITY},
    {"linear_prediction", OF_STATE + REPLACED_LINEAR, REPLACED_PAIRS, REPLACED_PAIRS, 0, INFINITY},
    {"linear_cosine", OF_STATE + REPLACED_COSINE, OF_STATE + REPLACED_COSINES, OF_STATE + REPLACED_COSINES,
     -1, 1},
    {"infidelity", OF_STATE + REPLACED_MISS, OF_STATE + REPLACED_SQUARE, REPLACED_PAIRS, 0, INFINITY},
    {"output_kl", REPLACED_KL, REPLACED_KL_PAIRS, REPLACED_KL_PAIRS, 0, INFINITY},
    {"path_average", OF_STATE + REPLACED_AVERAGE, REPLACED_PATHS, REPLACED_PATHS, 0, INFINITY, true},
    {"path_gap", OF_STATE + REPLACED_GAP, OF_STATE + REPLACED_GAPS, OF_STATE + REPLACED_GAPS, 0, INFINITY,
     true},
};
enum { RATIOS = sizeof ratios / sizeof *ratios };

/* NAME = a sum. */
static const struct {
    const char *name;
    size_t field;
    bool of_partners;
} counts[] = {
    {"replaced_pairs", REPLACED_PAIRS},
    {"output_kl_pairs", REPLACED_KL_PAIRS},
    {"path_pairs", REPLACED_PATHS, true},
};
enum { COUNTS = sizeof counts / sizeof *counts };

/* The variables' prefix, and why values and intervals, and those of the KL, are missing. */
static const struct {
    const char *prefix;
    run_reason none, no_interval, no_kl, no_kl_interval;
} laws[REPLACED_LAWS] = {
    [REPLACED_BY_ANY] = {"", RUN_NO_REPLACED, RUN_NO_REPLACED_INTERVAL, RUN_NO_KL, RUN_NO_KL_INTERVAL},
    [REPLACED_IN_CLASS] = {"within_", RUN_NO_IN_CLASS, RUN_NO_IN_CLASS_INTERVAL, RUN_NO_IN_CLASS,
                           RUN_NO_IN_CLASS_INTERVAL},
    [REPLACED_BY_PARTNER] = {"partner_", RUN_NO_PARTNER, RUN_NO_PARTNER_INTERVAL, RUN_NO_PARTNER,
                             RUN_NO_PARTNER_INTERVAL},
};

typedef struct {
    double *pairs, *without;    /* (B + F): without a block, then without a part of one */
    double *value, *low, *high; /* (rows of a law, D) */
    int64_t *count;             /* (rows of a law, D) */
    double *left_out[2];        /* (D, left_out_length) of one class: pairs, mean change */
} room;

static size_t rows_of(const group_work *a, replacement_law law)
{
    return law == REPLACED_BY_PARTNER ? a->input->P : a->input->C;
}

size_t group_quantities(const group_work *a)
{
    return a->input->replaced ? DECAY_QUANTITIES : DECAY_OF_GRADIENTS;
}

/* Number `field` of part b of the blocks, row c, delay d. */
static double sum_of(const group_work *a, size_t field, size_t b, size_t c, size_t d)
{
    const double *x = replacement_sums_at(a->input->replaced, a->group->model, b, c, d);
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

/* Ratio i of row c at delay d, with every block and without each, into r->pairs and r->without too. */
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

static bool is_kl(size_t i)
{
    return ratios[i].above == REPLACED_KL;
}

static bool is_path(size_t i)
{
    return ratios[i].of_partners;
}

/* Words of class c that can replace each other. */
static size_t words_of(const corpus_words *w, size_t c)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        n += (size_t)w->class[i] == c && w->tokens[i] > 0 && w->word[i] != w->unk;
    return n;
}

/* Why row i of a law has no values at all, whatever the delay; NULL: it may have. */
static const char *reason_for_no_pairs(const group_work *a, replacement_law law, size_t i)
{
    const results_input *x = a->input;
    if (law == REPLACED_BY_PARTNER && !x->property_pairs[i])
        return "none of its words has a partner";
    if (law == REPLACED_IN_CLASS && i && !x->words.V)
        return "rows of features are not drawn within a class";
    if (law == REPLACED_IN_CLASS && i && words_of(&x->words, i) < 2)
        return "the corpus has fewer than two words of it: none can replace another";
    return NULL;
}

/* Why ratio i has no value in this row. */
static const char *reason_of(const group_work *a, size_t i, size_t row, size_t d)
{
    double pairs = 0;
    for (size_t b = 0; b < a->input->B; b++)
        pairs += block_replaced(a, b, row, d);
    return !(pairs > 0) ? "no word of it was replaced"
           : is_path(i) ? "no gradient was averaged along the line to the partner"
           : is_kl(i)   ? "no Kullback-Leibler divergence was taken"
                        : "the state does not change";
}

static void note(group_work *a, run_reason kind, replacement_law law, size_t i, size_t d, const char *why)
{
    if (law == REPLACED_BY_PARTNER)
        reason_note_of(&a->reasons[kind], "property", a->input->property_names[i], d, why);
    else
        group_note(a, kind, i, d, why);
}

/* The series whose decay is fitted. */
static void keep_change(group_work *a, const room *r, const sg_interval *x, size_t c, size_t d)
{
    const size_t B = a->input->B, D = a->input->D, at = c * DECAY_QUANTITIES + DECAY_OF_GRADIENTS;
    a->s.y[at * D + d] = x->value, a->s.error[at * D + d] = x->error;
    for (size_t b = 0; b < B; b++)
        a->s.without[(at * B + b) * D + d] = r->pairs[b] > 0 ? r->without[b] : x->value;
}

/* The same for comparisons: with every block, without each, without each part of one. */
static void keep_left_out(group_work *a, const room *r, const sg_interval *x, size_t c, size_t d)
{
    const size_t n = left_out_length(a->input), B = a->input->B;
    double *pairs = r->left_out[0] + d * n, *change = r->left_out[1] + d * n;
    bool none = false;
    pairs[0] = 0, change[0] = x->value;
    for (size_t b = 0; b + 1 < n; b++) {
        pairs[b + 1] = r->pairs[b];
        pairs[0] += b < B ? r->pairs[b] : 0;
        change[b + 1] = !(r->pairs[b] > 0) ? x->value : isfinite(r->without[b]) ? r->without[b] : (double)NAN;
        none |= isnan(change[b + 1]);
    }
    if (none && !isnan(x->value))
        group_note(a, RUN_NO_REPLICATE, c, d, "no pairs are left when one of the blocks is left out");
}

static sg_status put_left_out(group_work *a, const room *r, size_t c, sg_error *err)
{
    sg_status st = SG_OK;
    size_t start[] = {c, 0, 0}, count[] = {1, a->input->D, left_out_length(a->input)};
    TRY(run_writer_put_f64(a->w, a->nc, "left_out_replaced_pairs", start, count, r->left_out[0], err));
    TRY(run_writer_put_f64(a->w, a->nc, "left_out_state_change", start, count, r->left_out[1], err));
done:
    return st;
}

static sg_status put_ratio(group_work *a, room *r, replacement_law law, size_t i, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t D = a->input->D;
    const run_reason none = is_path(i) ? RUN_NO_PATH
                            : is_kl(i) ? laws[law].no_kl
                                       : laws[law].none,
                     no_interval = is_path(i) ? RUN_NO_PATH_INTERVAL
                                   : is_kl(i) ? laws[law].no_kl_interval
                                              : laws[law].no_interval;
    static const char *const suffixes[] = {"", "_low", "_high"};
    const double *const values[] = {r->value, r->low, r->high};
    const char *why = NULL;
    for (size_t k = 0; k < rows_of(a, law) * D; k++) {
        const size_t c = k / D, d = k % D, row = replacement_row(a->input->C, law, c);
        why = d ? why : reason_for_no_pairs(a, law, c);
        sg_interval x = ratio(a, r, i, row, d);
        if (!i && law == REPLACED_BY_ANY)
            keep_change(a, r, &x, c, d), keep_left_out(a, r, &x, c, d);
        if (!i && law == REPLACED_BY_ANY && d + 1 == D)
            TRY(put_left_out(a, r, c, err));
        r->value[k] = x.value, r->low[k] = x.low, r->high[k] = x.high;
        if (is_path(i) && !why && d >= REPLACED_PATH_DELAYS)
            continue; /* at no property: reported once */
        if (is_kl(i) && !why && (a->input->no_kl || (d & (d - 1))))
            continue; /* at no class: reported once */
        if (why && (d || i))
            continue; /* of no delay and no ratio: reported once */
        if (isnan(x.value))
            note(a, none, law, c, why ? SIZE_MAX : d, why ? why : reason_of(a, i, row, d));
        if (!why)
            note(a, no_interval, law, c, d, x.missing);
    }
    for (size_t v = 0; v < 3; v++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s%s", laws[law].prefix, ratios[i].name, suffixes[v]);
        TRY(run_writer_put_f64(a->w, a->nc, name, (size_t[]){0, 0}, (size_t[]){rows_of(a, law), D}, values[v],
                               err));
    }
done:
    return st;
}

static sg_status put_counts(group_work *a, room *r, replacement_law law, const char *of, size_t field,
                            sg_error *err)
{
    const size_t D = a->input->D, n = rows_of(a, law) * D;
    char name[64];
    for (size_t k = 0; k < n; k++) {
        double sum = 0;
        for (size_t b = 0; b < a->input->B; b++)
            sum += sum_of_block(a, field, b, replacement_row(a->input->C, law, k / D), k % D);
        r->count[k] = (int64_t)sum;
    }
    snprintf(name, sizeof name, "%s%s", laws[law].prefix, of);
    return run_writer_put_i64(a->w, a->nc, name, (size_t[]){0, 0}, (size_t[]){rows_of(a, law), D}, r->count,
                              err);
}

static sg_status define(group_work *a, replacement_law law, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const suffixes[] = {"", "_low", "_high"};
    for (size_t i = 0; i < 3 * RATIOS + COUNTS; i++) {
        const bool ratio = i < 3 * RATIOS;
        char name[64];
        snprintf(name, sizeof name, "%s%s%s", laws[law].prefix,
                 ratio ? ratios[i / 3].name : counts[i - 3 * RATIOS].name, ratio ? suffixes[i % 3] : "");
        if (law == REPLACED_BY_PARTNER ||
            !(ratio ? ratios[i / 3].of_partners : counts[i - 3 * RATIOS].of_partners))
            TRY(run_writer_define(a->w, a->nc, name, err));
    }
    TRY(run_writer_define(a->w, a->nc, "left_out_replaced_pairs", err));
    TRY(run_writer_define(a->w, a->nc, "left_out_state_change", err));
done:
    return st;
}

sg_status replacement_write(group_work *a, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t B = a->input->B * (1 + a->input->split), rows = replacement_rows(a->input->C, a->input->P),
                 n = rows * a->input->D;
    const size_t left_out = a->input->D * left_out_length(a->input);
    room r = {0};
    if (!a->input->replaced)
        return SG_OK;
    NEED((r.pairs = sg_calloc(2 * B, sizeof *r.pairs)) &&
             (r.left_out[0] = sg_calloc(2 * left_out, sizeof *r.left_out[0])) &&
             (r.value = sg_calloc(3 * n, sizeof *r.value)) && (r.count = sg_calloc(n, sizeof *r.count)),
         err, "what replacing words does in %s", a->group->name);
    r.left_out[1] = r.left_out[0] + left_out;
    r.without = r.pairs + B, r.low = r.value + n, r.high = r.low + n;
    for (replacement_law law = 0; law < REPLACED_LAWS; law++)
        TRY(define(a, law, err));
    for (replacement_law law = 0; law < REPLACED_LAWS; law++) {
        if (!rows_of(a, law))
            continue;
        for (size_t i = 0; i < RATIOS; i++)
            if (law == REPLACED_BY_PARTNER || !ratios[i].of_partners)
                TRY(put_ratio(a, &r, law, i, err));
        for (size_t i = 0; i < COUNTS; i++)
            if (law == REPLACED_BY_PARTNER || !counts[i].of_partners)
                TRY(put_counts(a, &r, law, counts[i].name, counts[i].field, err));
    }
    if (a->input->P && a->input->D > REPLACED_PATH_DELAYS)
        reason_note_plain(&a->reasons[RUN_NO_PATH], "averaged at delays 0 to 63 only");
    reason_note_plain(&a->reasons[RUN_NO_KL], a->input->no_kl   ? a->input->no_kl
                                              : a->input->D > 3 ? "taken at delays 0, 1, 2, 4, 8, ... only"
                                                                : NULL);
done:
    sg_free(r.pairs), sg_free(r.value), sg_free(r.count), sg_free(r.left_out[0]);
    return st;
}
