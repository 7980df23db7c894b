/* SPDX-License-Identifier: MIT */
/* Is a kind of word different from other words of similar frequency? Labels exchanged among word types.
 *
 * The mean squared gain of a class is the mean of its words' own, m = sum_w a_w q_w / sum_w a_w with a_w =
 * f_w n_w: n_w tokens of word w, the share f_w of them in the class. Under the null hypothesis the shares f
 * are exchangeable among words of like frequency: a draw gives every share of a band to another word of it.
 * Bands: 2^k <= n_w < 2^(k+1). All delays share a draw. */
#include "stats/stats_internal.h"

#include "base/base_internal.h"

#include <math.h>
#include <string.h>

enum { BANDS = 64, FEW_BEYOND = 20 };

size_t sg_stats_draws(size_t tests)
{
    enum { LEAST = 1000, MOST = 10000, PER_TEST = 40 }; /* 2 / (1 + 40 n) < 0.05 / n */
    return tests > MOST / PER_TEST ? MOST : tests < LEAST / PER_TEST ? LEAST : PER_TEST * tests;
}

static size_t band_of(uint64_t n)
{
    size_t k = 0;
    while (n >>= 1)
        k++;
    return k;
}

typedef struct {
    size_t V, D, draws;
    const uint64_t *count;
    const double *in_class, *square;
    uint32_t *words;         /* (V) words that occur, band by band */
    size_t start[BANDS + 1]; /* of each band in words */
    double *share;           /* shares above 0, band by band */
    size_t share_start[BANDS + 1];
    double *drawn;        /* (D, room) */
    size_t room;          /* at least draws */
    double *sum, *weight; /* (D) */
    double *known;        /* (V, D) square, 0 where it is unknown */
    bool *whole;          /* (V) known at every delay */
} test;

static void fill_bands(test *t)
{
    size_t at = 0, shares = 0;
    for (size_t k = 0; k < BANDS; k++) {
        t->start[k] = at, t->share_start[k] = shares;
        for (size_t w = 0; w < t->V; w++)
            if (t->count[w] && band_of(t->count[w]) == k) {
                t->words[at++] = (uint32_t)w;
                if (t->in_class[w] > 0)
                    t->share[shares++] = t->in_class[w] / (double)t->count[w];
            }
    }
    t->start[BANDS] = at, t->share_start[BANDS] = shares;
}

/* Effective number of the class's words that could be exchanged: at least a quarter of the words of their
 * band are not, or less than by half, in the class. */
static double exchangeable(const test *t)
{
    double sum = 0, squares = 0;
    for (size_t k = 0; k < BANDS; k++) {
        size_t n = t->start[k + 1] - t->start[k], others = n;
        for (size_t i = t->share_start[k]; i < t->share_start[k + 1]; i++)
            others -= t->share[i] >= 0.5;
        if (4 * others < n)
            continue;
        for (size_t i = t->start[k]; i < t->start[k + 1]; i++) {
            double a = t->in_class[t->words[i]];
            sum += a, squares += a * a;
        }
    }
    return squares > 0 ? sum * sum / squares : 0;
}

static void fill_known(test *t)
{
    for (size_t w = 0; w < t->V; w++) {
        t->whole[w] = true;
        for (size_t d = 0; d < t->D; d++) {
            const double q = t->square[w * t->D + d];
            t->whole[w] = t->whole[w] && q >= 0; /* not NaN: the word was seen at this delay */
            t->known[w * t->D + d] = q >= 0 ? q : 0;
        }
    }
}

/* *all: the weight of words known at every delay. */
static void add(const test *t, size_t w, double a, double *all)
{
    const double *q = t->known + w * t->D;
    for (size_t d = 0; d < t->D; d++)
        t->sum[d] += a * q[d];
    if (t->whole[w])
        *all += a;
    for (size_t d = 0; d < t->D && !t->whole[w]; d++)
        t->weight[d] += t->square[w * t->D + d] >= 0 ? a : 0;
}

static void begin(const test *t)
{
    memset(t->sum, 0, t->D * sizeof *t->sum);
    memset(t->weight, 0, t->D * sizeof *t->weight);
}

static double mean_at(const test *t, size_t d, double all)
{
    return t->sum[d] / (t->weight[d] + all);
}

/* The shares of every band go to words of it, drawn without replacement. */
static void draw(test *t, size_t r, sg_rng *rng)
{
    double all = 0;
    begin(t);
    for (size_t k = 0; k < BANDS; k++) {
        uint32_t *word = t->words + t->start[k];
        size_t n = t->start[k + 1] - t->start[k], m = t->share_start[k + 1] - t->share_start[k];
        for (size_t i = 0; i < m; i++) {
            size_t j = i + (size_t)sg_rng_below(rng, n - i);
            uint32_t w = word[j];
            word[j] = word[i], word[i] = w;
            add(t, w, t->share[t->share_start[k] + i] * (double)t->count[w], &all);
        }
    }
    for (size_t d = 0; d < t->D; d++)
        t->drawn[d * t->room + r] = mean_at(t, d, all);
}

/* Draws at delay d that lie as far from their middle as the value, on its side; *finite: all are. */
static size_t beyond(const test *t, size_t d, double value, bool *finite)
{
    const double *x = t->drawn + d * t->room;
    size_t below = 0, above = 0;
    *finite = true;
    for (size_t r = 0; r < t->draws; r++) {
        *finite = *finite && isfinite(x[r]);
        below += x[r] <= value * (1 + 1e-12), above += x[r] >= value * (1 - 1e-12);
    }
    return below < above ? below : above;
}

/* Results of the draws for the class itself, at one delay. */
static void summarise_draws(sg_type_p *out, const test *t, size_t d)
{
    double *x = t->drawn + d * t->room;
    bool finite;
    size_t least = beyond(t, d, out->value, &finite);
    if (!isfinite(out->value))
        out->missing = "no word of the class has a pair";
    else if (!finite)
        out->missing = "no pairs of the words drawn";
    if (out->missing)
        return;
    out->p = fmin(1, 2 * (double)(1 + least) / (double)(1 + t->draws));
    stats_sort(t->draws, x);
    out->null_low = stats_quantile(t->draws, x, 0.025);
    out->null_middle = stats_quantile(t->draws, x, 0.5);
    out->null_high = stats_quantile(t->draws, x, 0.975);
}

/* Are there too few draws beyond the class at some delay to know a small p-value? */
static bool wants_more(const test *t, const sg_type_p *out)
{
    bool finite;
    for (size_t d = 0; d < t->D; d++)
        if (isfinite(out[d].value) && beyond(t, d, out[d].value, &finite) < FEW_BEYOND && finite)
            return true;
    return false;
}

static sg_status make_room(test *t, size_t draws, sg_error *err)
{
    double *larger = sg_calloc(t->D, draws * sizeof *larger);
    if (!larger)
        return no_memory(err, "%zu permutations at %zu delays", draws, t->D);
    for (size_t d = 0; d < t->D && t->drawn; d++)
        memcpy(larger + d * draws, t->drawn + d * t->room, t->draws * sizeof *larger);
    sg_free(t->drawn);
    t->drawn = larger, t->room = draws;
    return SG_OK;
}

static sg_status draw_up_to(test *t, size_t draws, sg_rng *rng, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(make_room(t, draws, err));
    for (; t->draws < draws; t->draws++)
        draw(t, t->draws, rng);
done:
    return st;
}

static void values_of_class(const test *t, sg_type_p *out)
{
    double all = 0;
    begin(t);
    for (size_t w = 0; w < t->V; w++)
        if (t->count[w] && t->in_class[w] > 0)
            add(t, w, t->in_class[w], &all);
    for (size_t d = 0; d < t->D; d++)
        out[d] = (sg_type_p){mean_at(t, d, all), NAN, NAN, NAN, NAN, NULL};
}

sg_status sg_stats_type_test(sg_type_p *out, size_t V, size_t D, const uint64_t *count,
                             const double *in_class, const double *square, size_t draws, size_t most,
                             uint64_t seed, sg_error *err)
{
    sg_status st = SG_OK;
    test t = {.V = V, .D = D, .count = count, .in_class = in_class, .square = square};
    sg_rng rng;
    if (!V || !D || !draws || V > UINT32_MAX || draws > 10000000 || most > 10000000)
        return sg_fail(err, SG_EINVAL, "statistics: a test of %zu words, %zu delays, %zu permutations", V, D,
                       draws > most ? draws : most);
    NEED((t.words = sg_calloc(V, sizeof *t.words)) && (t.share = sg_calloc(V, sizeof *t.share)) &&
             (t.known = sg_calloc(V, D * sizeof *t.known)) && (t.whole = sg_calloc(V, sizeof *t.whole)) &&
             (t.sum = sg_calloc(2 * D, sizeof *t.sum)),
         err, "a test of %zu words, %zu permutations", V, draws);
    t.weight = t.sum + D;
    fill_bands(&t);
    fill_known(&t);
    values_of_class(&t, out);
    if (exchangeable(&t) < SG_STATS_MIN_TYPES) {
        for (size_t d = 0; d < D; d++)
            out[d].missing = "fewer than 8 effective word types that have others of similar frequency";
        goto done;
    }
    sg_rng_seed(&rng, seed, 0);
    TRY(draw_up_to(&t, draws, &rng, err));
    if (most > draws && wants_more(&t, out))
        TRY(draw_up_to(&t, most, &rng, err));
    for (size_t d = 0; d < D; d++)
        summarise_draws(&out[d], &t, d);
done:
    sg_free(t.words);
    sg_free(t.share);
    sg_free(t.known);
    sg_free(t.whole);
    sg_free(t.drawn);
    sg_free(t.sum);
    return st;
}
