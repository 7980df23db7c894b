/* SPDX-License-Identifier: MIT */
/* How a class of words differs from the others: the ratio of rms gains with its interval, and two null
 * hypotheses, that the class is a random draw of tokens and that its words are random words of their
 * frequencies.
 *
 * The rms gain here is over all directions, sqrt(mean of |G L|^2): a number per pair, so that it can be
 * summed by word. */
#include "analysis/results/results_internal.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <math.h>
#include <omp.h>

static const char *no_reference(const group_work *a, size_t c)
{
    const corpus_words *words = &a->input->words;
    if (a->input->factor_missing[a->group->model])
        return a->input->factor_missing[a->group->model];
    return words->sums || !words->V || words->holds[2 * c] == WORD_HELD || words->none ? NULL
                                                                                       : words->missing;
}

/* The sum of squared gains of what class c is compared with in part f of the blocks, and its pairs. */
static double reference(const group_work *a, size_t c, size_t d, size_t f, double *pairs)
{
    const results_input *p = a->input;
    const corpus_words *words = &p->words;
    const sums_squares *x = sums_squares_at(a->sums, f, a->g, d);
    if (!words->sums) {
        *pairs = sums_weight_at(a->sums, f, 0, d)->moment_weight;
        return a->s.trace[d * p->B * p->split + f];
    }
    double square = x->square[SUMS_ALL_WORDS];
    *pairs = x->pairs[SUMS_ALL_WORDS];
    for (size_t k = 0; k < 2; k++)
        if (words->holds[2 * c + k] != WORD_HELD)
            square -= x->square[SUMS_EOS + k], *pairs -= x->pairs[SUMS_EOS + k];
    return square;
}

/* Of a class and of what it is compared with: sums of squared gains and pairs. */
typedef struct {
    double square, pairs, other, other_pairs;
} sides;

typedef struct {
    double *ratio, *low, *high, *tokens, *types, *adjusted, *null_low, *null_high; /* (C, D) */
    double *of_reference;                                                          /* (C, D) */
    sides *part, *block;                                                           /* (B split), (B) */
    double *pairs, *part_pairs, *without, *part_without, *sums, *means;
    sg_arena arena;
} kinds;

static void kinds_place(kinds *k, const results_input *p)
{
    double **const of_class[] = {&k->ratio,    &k->low,      &k->high,      &k->tokens,      &k->types,
                                 &k->adjusted, &k->null_low, &k->null_high, &k->of_reference};
    size_t n = p->C * p->D, F = p->B * p->split;
    for (size_t i = 0; i < sizeof of_class / sizeof *of_class; i++) {
        *of_class[i] = sg_arena_take(&k->arena, n, sizeof(double));
        for (size_t j = 0; *of_class[i] && j < n; j++)
            (*of_class[i])[j] = NAN;
    }
    k->part = sg_arena_take(&k->arena, F, sizeof(sides));
    k->block = sg_arena_take(&k->arena, p->B, sizeof(sides));
    k->part_pairs = sg_arena_take(&k->arena, F, sizeof(double));
    k->part_without = sg_arena_take(&k->arena, F, sizeof(double));
    k->pairs = sg_arena_take(&k->arena, p->B, sizeof(double));
    k->without = sg_arena_take(&k->arena, p->B, sizeof(double));
    k->sums = sg_arena_take(&k->arena, p->B, sizeof(double));
    k->means = sg_arena_take(&k->arena, p->B, sizeof(double));
}

static sg_status kinds_new(kinds *k, const results_input *p, sg_error *err)
{
    sg_status st = SG_OK;
    kinds counted = {0};
    kinds_place(&counted, p);
    TRY(sg_arena_init(&k->arena, counted.arena.used, err));
    kinds_place(k, p);
done:
    return st;
}

static void add_sides(sides *sum, const sides *x)
{
    sum->square += x->square, sum->pairs += x->pairs, sum->other += x->other,
        sum->other_pairs += x->other_pairs;
}

/* ln of the ratio of gains, without x */
static double log_ratio(const sides *all, const sides *x)
{
    double class = (all->square - x->square) / (all->pairs - x->pairs);
    return 0.5 * log(class / ((all->other - x->other) / (all->other_pairs - x->other_pairs)));
}

/* Ratio, interval and the null of tokens of one class and delay. */
static void compare(group_work *a, const kinds *k, size_t c, size_t d)
{
    const results_input *p = a->input;
    size_t i = c * p->D + d, F = p->B * p->split;
    sides all = {0};
    const sides nothing = {0};
    const char *why = NULL;
    for (size_t b = 0; b < p->B; b++)
        k->block[b] = nothing;
    for (size_t f = 0; f < F; f++) {
        sides *x = &k->part[f];
        *x = (sides){a->s.trace[i * F + f], sums_weight_at(a->sums, f, c, d)->moment_weight, 0, 0};
        x->other = reference(a, c, d, f, &x->other_pairs);
        k->part_pairs[f] = x->pairs;
        add_sides(&k->block[f / p->split], x), add_sides(&all, x);
    }
    double value = log_ratio(&all, &nothing);
    sg_interval x = {NAN, NAN, NAN, NAN, NAN, "no pairs at the steps of second moments"};
    if (isfinite(value)) {
        for (size_t b = 0; b < p->B; b++)
            k->pairs[b] = k->block[b].pairs, k->without[b] = log_ratio(&all, &k->block[b]);
        for (size_t f = 0; f < F; f++)
            k->part_without[f] = log_ratio(&all, &k->part[f]);
        sg_stats_jackknife_parts(&x, p->B, k->pairs, value, k->without, 1, F, k->part_pairs, k->part_without,
                                 1);
        k->ratio[i] = exp(value), k->low[i] = exp(x.low), k->high[i] = exp(x.high);
        k->of_reference[i] = all.other / all.other_pairs;
    } else
        group_note(a, RUN_NO_RATIO, c, d, x.missing);
    group_note(a, RUN_NO_RATIO_INTERVAL, c, d, x.missing);
    for (size_t b = 0; b < p->B; b++)
        k->sums[b] = k->block[b].square, k->pairs[b] = k->block[b].pairs,
        k->means[b] = k->block[b].other / k->block[b].other_pairs;
    sg_stats_token_test(&k->tokens[i], &why, p->B, k->sums, k->pairs, k->means,
                        sg_stats_draws((p->C - 1) * p->D), p->seed);
    group_note(a, RUN_NO_TOKEN_TEST, c, d, why);
}

/* ---- the null of types ---- */

/* (V,D) mean squared gain of each word; NaN where it has no pair. */
static double *gains_by_word(const group_work *a)
{
    const word_sums *x = a->input->words.sums;
    double *square = sg_calloc(x->V, x->D * sizeof *square);
    for (size_t i = 0; square && i < x->V * x->D; i++)
        square[i] =
            (word_sums_square(x, a->g, 0)[i] + word_sums_low(x, a->g, 0)[i]) / word_sums_pairs(x, 0)[i];
    return square;
}

/* N^2 / sum n^2 over the words of class c, <unk> being one. */
static double effective_types(const corpus_words *words, size_t c)
{
    double known = 0, squares = 0, all = (double)words->class_tokens[c];
    for (size_t i = 0; i < words->n; i++)
        if ((size_t)words->class[i] == c)
            known += (double)words->tokens[i], squares += (double)words->tokens[i] * (double)words->tokens[i];
    if (all > known)
        squares += (all - known) * (all - known), known = all;
    return squares > 0 ? known * known / squares : 0;
}

static sg_status type_test(group_work *a, const kinds *k, const double *square, const uint64_t *count,
                           size_t c, sg_error *err)
{
    sg_status st = SG_OK;
    const results_input *p = a->input;
    const corpus_words *words = &p->words;
    double *in_class = sg_calloc(words->V, sizeof *in_class);
    sg_type_p *out = sg_calloc(p->D, sizeof *out);
    if (effective_types(words, c) < SG_STATS_MIN_TYPES) {
        group_note(a, RUN_NO_TYPE_TEST, c, SIZE_MAX,
                   "fewer than 8 effective word types, too few for a statement about a kind of word");
        goto done;
    }
    NEED(in_class && out, err, "%zu words", words->V);
    for (size_t i = 0; i < words->n; i++)
        if ((size_t)words->class[i] == c && count[words->word[i]])
            in_class[words->word[i]] = (double)words->tokens[i];
    TRY(sg_stats_type_test(out, words->V, p->D, count, in_class, square, NULL_DRAWS,
                           sg_stats_draws((p->C - 1) * p->D), p->seed, err));
    for (size_t d = 0; d < p->D; d++) {
        size_t i = c * p->D + d;
        k->types[i] = out[d].p;
        k->null_low[i] = sqrt(out[d].null_low / k->of_reference[i]);
        k->null_high[i] = sqrt(out[d].null_high / k->of_reference[i]);
        if (isfinite(out[d].p) && !isfinite(k->ratio[i]))
            k->types[i] = k->null_low[i] = k->null_high[i] = NAN;
        group_note(a, RUN_NO_TYPE_TEST, c, d, out[d].missing);
    }
done:
    sg_free(in_class);
    sg_free(out);
    return st;
}

static sg_status put_words(group_work *a, double *square, sg_error *err)
{
    sg_status st = SG_OK;
    size_t n = a->input->words.V * a->input->D;
    for (size_t i = 0; i < n; i++)
        square[i] = sqrt(square[i]);
    TRY(run_writer_define(a->w, a->nc, "word_gain", err));
    TRY(run_writer_put_f64(a->w, a->nc, "word_gain", NULL, NULL, square, err));
    for (size_t i = 0; i < n; i++)
        if (isnan(square[i]))
            reason_note_plain(&a->reasons[RUN_NO_WORD],
                              "a word without a pair at the steps of second moments");
done:
    return st;
}

/* Words that can be exchanged: all that occur but <eos> and <unk>. */
static sg_status type_tests(group_work *a, const kinds *k, sg_error *err)
{
    sg_status st = SG_OK;
    const corpus_words *words = &a->input->words;
    double *square = NULL;
    uint64_t *count = NULL;
    if (!words->sums || a->input->factor_missing[a->group->model]) {
        group_note(a, RUN_NO_TYPE_TEST, 0, SIZE_MAX, words->missing);
        return SG_OK;
    }
    NEED((square = gains_by_word(a)) && (count = sg_calloc(words->V, sizeof *count)), err, "%zu words",
         words->V);
    for (size_t w = 0; w < words->V; w++)
        count[w] = (int64_t)w == words->eos || (int64_t)w == words->unk ? 0 : words->count[w];
    for (size_t c = 1; c < a->input->C; c++)
        TRY(type_test(a, k, square, count, c, err));
    TRY(put_words(a, square, err));
done:
    sg_free(square);
    sg_free(count);
    return st;
}

sg_status class_ratios_write(group_work *a, sg_error *err)
{
    sg_status st = SG_OK;
    const results_input *p = a->input;
    kinds k = {0};
    TRY(kinds_new(&k, p, err));
    for (size_t c = 1; c < p->C; c++) {
        const char *why = no_reference(a, c);
        for (size_t d = 0; !why && d < p->D; d++)
            compare(a, &k, c, d);
        group_note(a, RUN_NO_RATIO, c, SIZE_MAX, why);
    }
    TRY(type_tests(a, &k, err));
    TRY(run_writer_put_f64(a->w, a->nc, "gain_ratio", NULL, NULL, k.ratio, err));
    TRY(run_writer_put_f64(a->w, a->nc, "gain_ratio_low", NULL, NULL, k.low, err));
    TRY(run_writer_put_f64(a->w, a->nc, "gain_ratio_high", NULL, NULL, k.high, err));
    TRY(run_writer_put_f64(a->w, a->nc, "p_tokens", NULL, NULL, k.tokens, err));
    TRY(sg_stats_adjust(p->C * p->D, k.tokens, k.adjusted, err));
    TRY(run_writer_put_f64(a->w, a->nc, "p_tokens_adjusted", NULL, NULL, k.adjusted, err));
    TRY(run_writer_put_f64(a->w, a->nc, "p_types", NULL, NULL, k.types, err));
    TRY(sg_stats_adjust(p->C * p->D, k.types, k.adjusted, err));
    TRY(run_writer_put_f64(a->w, a->nc, "p_types_adjusted", NULL, NULL, k.adjusted, err));
    TRY(run_writer_put_f64(a->w, a->nc, "types_null_low", NULL, NULL, k.null_low, err));
    TRY(run_writer_put_f64(a->w, a->nc, "types_null_high", NULL, NULL, k.null_high, err));
done:
    sg_arena_free(&k.arena);
    return st;
}
