/* SPDX-License-Identifier: MIT */
/* Pairs of words: E small changes, the columns of L, are carried from each word that is read to the words
 * that follow, so that there is G[t,d] L at every delay; and the word is replaced. A part of the corpus at a
 * time, parts in parallel. */
#include "analysis/pass/shared.h"
#include "analysis/pass/word_law.h"

#include "base/base_internal.h"
#include "base/string_table.h"
#include "gradient/replacement_batch.h"
#include "gradient/tangent.h"
#include "kernel/float_env.h"
#include "cell/cell.h"
#include "lm/forward.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* Other words: two for each chosen one, and this many at least. */
enum { LEAST_OTHERS = 4000, SEED_OF_OTHERS = 0x07e5, SEED_OF_WORDS = 0x3a1f };

/* What is followed from one word. */
typedef struct {
    uint64_t at;
    size_t first, n; /* its pairs; n 0: an other word */
    size_t life;     /* delays 0 .. life-1 */
    tangents *change;
} followed;

typedef struct {
    const analysis *an;
    const sg_word_pairs *pairs;
    pair_sums *sums;
    float *L;                       /* (E,E): dx of column k is column k */
    float *states;                  /* (F, state size) before each part */
    uint64_t *zeros;                /* (F) where the state was zero last */
    size_t state_size, *first_pair; /* (F) */
    bool wanted[256];               /* kinds of words that pairs read */
    word_law any;
    replacement_weights *weights; /* NULL: nothing is replaced */
    const float *encoder;
} pair_pass;

/* One thread's room. */
typedef struct {
    sg_forward *f;
    followed *active;
    size_t n_active, room;
    tangents **idle;
    size_t n_idle, idle_room;
    sg_step *steps;
    int32_t *ids;
    float *x, *state, *others; /* (room of steps, E), state before the portion, features */
    bool *first;
    replacement_batch *batch;
    replacement_column *columns;
    replacement_effect *effects;
    followed *origins; /* of the portion */
} pair_room;

/* ---- which words are followed ---- */

/* Pairs *at and on that read position s; *at moves to the first of a later word. */
static size_t pairs_at(const pair_pass *p, size_t *at, uint64_t s)
{
    while (*at < p->pairs->n && p->pairs->pairs[*at].read < s)
        ++*at;
    size_t n = 0;
    while (*at + n < p->pairs->n && p->pairs->pairs[*at + n].read == s)
        n++;
    return n;
}

/* Is the word at s followed, and why? *at: as pairs_at. */
static bool is_followed(const pair_pass *p, size_t *at, uint64_t s, uint64_t zero, followed *out)
{
    const analysis *an = p->an;
    size_t n = pairs_at(p, at, s);
    *out = (followed){.at = s, .first = *at, .n = n, .life = p->sums->W};
    if (s - zero < an->cfg->burn_in || !p->wanted[p->pairs->kind[s]])
        return false;
    if (n) {
        size_t longest = 0;
        for (size_t i = 0; i < n; i++) {
            uint64_t d = p->pairs->pairs[*at + i].now - s;
            longest = d < an->D && d + 1 > longest ? (size_t)d + 1 : longest;
        }
        out->life = longest;
        return longest > 0;
    }
    return engine_sampled(an->cfg->seed ^ SEED_OF_OTHERS, s, p->sums->rate);
}

/* Number `field` of the followed word at delay d goes to its sums. */
static void add(const pair_pass *p, size_t part, const followed *x, size_t d, size_t field, double value)
{
    size_t kind = p->pairs->kind[x->at];
    if (!x->n)
        pair_sums_other(p->sums, field, part, kind)[d] += value;
    for (size_t i = x->first; i < x->first + x->n; i++)
        if (p->pairs->pairs[i].now - x->at == d)
            pair_sums_chosen(p->sums, field, part, p->pairs->pairs[i].label, kind)[d] += value;
}

/* ---- gradients ---- */

static double square(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

static sg_status begin(const pair_pass *p, pair_room *r, const followed *x, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(array_reserve(&r->active, &r->room, r->n_active + 1, sizeof *r->active, err));
    TRY(array_reserve(&r->idle, &r->idle_room, r->n_active + r->n_idle + 1, sizeof(tangents *), err));
    followed *y = &r->active[r->n_active];
    *y = *x;
    if (r->n_idle)
        y->change = r->idle[--r->n_idle];
    else
        TRY(tangents_new(&y->change, p->an->models[0], p->an->E, err));
    tangents_zero(y->change);
    r->n_active++;
done:
    return st;
}

/* Step i of the portion, at t: what is followed goes on; what is over is taken off. */
static sg_status follow(const pair_pass *p, pair_room *r, size_t part, uint64_t t, size_t i, sg_error *err)
{
    const analysis *an = p->an;
    size_t kept = 0;
    for (size_t k = 0; k < r->n_active; k++) {
        followed *x = &r->active[k];
        size_t d = (size_t)(t - x->at);
        tangents_step(x->change, r->f, i, d ? NULL : p->L);
        add(p, part, x, d, PAIRS_COUNT, 1);
        for (size_t g = 0; g < an->n_states; g++) {
            double norm = square(tangents_get(x->change, an->states[g].layer - 1, an->states[g].kind),
                                 an->states[g].units * an->E);
            if (!isfinite(norm))
                return sg_fail(err, SG_ENONFINITE,
                               "pairs: the gradient of token %ju by token %ju is not finite", (uintmax_t)t,
                               (uintmax_t)x->at);
            add(p, part, x, d, PAIRS_FIRST_STATE + g, norm);
        }
        if (d + 1 < x->life)
            r->active[kept++] = *x;
        else
            r->idle[r->n_idle++] = x->change;
    }
    r->n_active = kept;
    return SG_OK;
}

static void drop_all(pair_room *r)
{
    for (size_t k = 0; k < r->n_active; k++)
        r->idle[r->n_idle++] = r->active[k].change;
    r->n_active = 0;
}

static sg_status gradients_of_part(const pair_pass *p, pair_room *r, size_t part, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    const sg_analysis_config *cfg = an->cfg;
    uint64_t start = analysis_part_start(an, part), end = analysis_part_start(an, part + 1),
             zero = p->zeros[part];
    size_t at = p->first_pair[part];
    forward_set_state(r->f, p->states + part * p->state_size);
    for (uint64_t t = start; t < end || (r->n_active && t < an->T);) {
        size_t n = an->T - t < PORTION ? (size_t)(an->T - t) : PORTION;
        TRY(read_portion(an, t, n, r->steps, r->others, err));
        for (size_t i = 0; i < n; i++) {
            r->ids[i] = r->steps[i].id;
            r->first[i] = cfg->handling == SG_RESET && r->steps[i].first;
        }
        TRY(forward_run(r->f, an->features ? NULL : r->ids, an->features ? r->others : NULL, r->first, n,
                        err));
        for (size_t i = 0; i < n; i++) {
            followed x;
            zero = r->first[i] ? t + i : zero;
            if (r->first[i] || (cfg->handling == SG_WINDOW && (t + i) % cfg->window == 0))
                drop_all(r);
            if (t + i < end && is_followed(p, &at, t + i, zero, &x))
                TRY(begin(p, r, &x, err));
            TRY(follow(p, r, part, t + i, i, err));
        }
        t += n;
    }
done:
    drop_all(r);
    return st;
}

/* ---- replacement ---- */

/* Delays of a word at step i of the n steps before the stream, its sentence or its window ends. */
static size_t life_of(const pair_pass *p, const pair_room *r, uint64_t begin, size_t i, size_t n)
{
    const sg_analysis_config *cfg = p->an->cfg;
    size_t life = n - i < p->sums->W ? n - i : p->sums->W;
    for (size_t d = 1; d < life; d++)
        if (r->first[i + d])
            return d;
    if (cfg->handling == SG_WINDOW) {
        uint64_t left = cfg->window - (begin + i) % cfg->window;
        life = left < life ? (size_t)left : life;
    }
    return life;
}

/* The words of the part's portion at t, n of them and `all` with those that follow, are replaced. */
static sg_status replace_portion(const pair_pass *p, pair_room *r, size_t part, uint64_t t, size_t n,
                                 size_t all, size_t *at, uint64_t *zero, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    size_t columns = 0, W = p->sums->W, G = an->n_states;
    TRY(read_portion(an, t, all, r->steps, NULL, err));
    for (size_t i = 0; i < all; i++) {
        memcpy(r->x + i * an->E, p->encoder + (size_t)r->steps[i].id * an->E, an->E * sizeof *r->x);
        r->first[i] = an->cfg->handling == SG_RESET && r->steps[i].first;
    }
    for (size_t i = 0; i < n; i++) {
        sg_rng rng;
        *zero = r->first[i] ? t + i : *zero;
        if (!is_followed(p, at, t + i, *zero, &r->origins[columns]))
            continue;
        sg_rng_seed(&rng, an->cfg->seed ^ SEED_OF_WORDS, t + i);
        size_t word = word_law_draw(&p->any, sg_rng_uniform(&rng), r->steps[i].id);
        r->columns[columns++] =
            (replacement_column){i, life_of(p, r, t, i, all), false, p->encoder + word * an->E};
    }
    TRY(replacement_batch_run(r->batch, r->state, r->x, r->first, all, r->columns, columns, r->effects, NULL,
                              err));
    for (size_t k = 0; k < columns; k++)
        for (size_t d = 0; d < r->columns[k].life; d++)
            for (size_t g = 0; g < G; g++)
                add(p, part, &r->origins[k], d, PAIRS_FIRST_STATE + G + g,
                    r->effects[(k * W + d) * G + g].change);
    replacement_batch_advance(r->batch, r->state, r->x, r->first, n);
done:
    return st;
}

static sg_status replace_part(const pair_pass *p, pair_room *r, size_t part, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    uint64_t end = analysis_part_start(an, part + 1), zero = p->zeros[part];
    size_t at = p->first_pair[part];
    if (!p->weights)
        return SG_OK;
    memcpy(r->state, p->states + part * p->state_size, p->state_size * sizeof *r->state);
    for (uint64_t t = analysis_part_start(an, part); t < end;) {
        size_t n = end - t < PORTION ? (size_t)(end - t) : PORTION, all = n + p->sums->W - 1;
        all = an->T - t < all ? (size_t)(an->T - t) : all;
        TRY(replace_portion(p, r, part, t, n, all, &at, &zero, err));
        t += n;
    }
done:
    return st;
}

/* ---- the pass ---- */

static sg_status room_new(const pair_pass *p, pair_room *r, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    size_t steps = PORTION + p->sums->W;
    TRY(forward_new(&r->f, an->models[0], PORTION, err));
    NEED((r->steps = sg_calloc(steps, sizeof *r->steps)) && (r->ids = sg_calloc(steps, sizeof *r->ids)) &&
             (r->first = sg_calloc(steps, 1)) && (r->x = sg_calloc(steps, an->E * sizeof *r->x)) &&
             (r->others = sg_calloc(PORTION, an->E * sizeof *r->others)) &&
             (r->state = sg_calloc(p->state_size, sizeof *r->state)) &&
             (r->origins = sg_calloc(PORTION, sizeof *r->origins)) &&
             (r->columns = sg_calloc(PORTION, sizeof *r->columns)),
         err, "the pairs");
    if (!p->weights)
        goto done;
    NEED(r->effects = sg_calloc(PORTION * p->sums->W, an->n_states * sizeof *r->effects), err, "the pairs");
    TRY(replacement_batch_new(&r->batch, p->weights, an->states, an->n_states, p->sums->W, NULL, PORTION,
                              err));
done:
    return st;
}

static void room_free(pair_room *r)
{
    forward_free(r->f);
    drop_all(r);
    for (size_t i = 0; i < r->n_idle; i++)
        tangents_free(r->idle[i]);
    replacement_batch_free(r->batch);
    sg_free(r->active), sg_free(r->idle), sg_free(r->steps), sg_free(r->ids), sg_free(r->first);
    sg_free(r->x), sg_free(r->others), sg_free(r->state), sg_free(r->origins), sg_free(r->columns);
    sg_free(r->effects);
}

/* The state before each part, by one walk through the corpus. */
static sg_status walk(pair_pass *p, pair_room *r, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    size_t part = 0, at = 0;
    uint64_t zero = 0;
    for (uint64_t t = 0; part < p->sums->F;) {
        uint64_t next = analysis_part_start(an, part);
        if (t == next) {
            forward_get_state(r->f, p->states + part * p->state_size);
            p->zeros[part] = zero;
            pairs_at(p, &at, t);
            p->first_pair[part++] = at;
            continue;
        }
        size_t n = next - t < PORTION ? (size_t)(next - t) : PORTION;
        TRY(read_portion(an, t, n, r->steps, r->others, err));
        for (size_t i = 0; i < n; i++) {
            r->ids[i] = r->steps[i].id;
            r->first[i] = an->cfg->handling == SG_RESET && r->steps[i].first;
            zero = r->first[i] ? t + i : zero;
        }
        TRY(forward_run(r->f, an->features ? NULL : r->ids, an->features ? r->others : NULL, r->first, n,
                        err));
        t += n;
    }
done:
    return st;
}

/* What there is to follow: the longest distance, kinds of words, the share of the others. */
static sg_status plan(pair_pass *p, pair_sums **out, sg_error *err)
{
    const analysis *an = p->an;
    const sg_word_pairs *q = p->pairs;
    uint64_t longest = 0, beyond = 0, read = 0, others = 0;
    for (uint64_t i = 0; i < q->n; i++) {
        uint64_t d = q->pairs[i].now - q->pairs[i].read;
        if (d >= an->D) {
            beyond++;
            continue;
        }
        longest = d > longest ? d : longest;
        read += !i || q->pairs[i - 1].read != q->pairs[i].read;
        p->wanted[q->kind[q->pairs[i].read]] = true;
    }
    for (uint64_t t = 0; t < an->T; t++)
        others += p->wanted[q->kind[t]];
    others -= read < others ? read : others;
    uint64_t draw = 2 * read > LEAST_OTHERS ? 2 * read : LEAST_OTHERS;
    sg_status st = pair_sums_new(out, an->n_states, an->B * an->split, q->n_labels, q->n_kinds,
                                 (size_t)longest + 1, err);
    if (st != SG_OK)
        return st;
    p->sums = *out;
    p->sums->beyond = beyond;
    p->sums->rate = draw < others ? (double)draw / (double)others : 1;
    return SG_OK;
}

static sg_status prepare(pair_pass *p, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    size_t E = an->E, F = p->sums->F;
    for (size_t l = 0; l < an->shape->layers; l++)
        p->state_size += cell_states(cell_of(an->shape->cell)) * an->shape->hidden[l];
    NEED((p->L = sg_calloc(E, E * sizeof *p->L)) &&
             (p->states = sg_calloc(F, p->state_size * sizeof *p->states)) &&
             (p->zeros = sg_calloc(F, sizeof *p->zeros)) &&
             (p->first_pair = sg_calloc(F, sizeof *p->first_pair)),
         err, "the pairs");
    for (size_t i = 0; i < E * E; i++)
        p->L[i] = (float)an->L[0][i];
    p->encoder = an->embeddings[0];
    size_t words = 0;
    for (size_t v = 0; v < an->V; v++)
        words += an->word_count[v] > 0;
    if (!(an->replace.rate > 0) || !p->encoder || words < 2)
        return SG_OK;
    TRY(word_law_new(&p->any, words, err));
    for (size_t v = 0; v < an->V; v++)
        if (an->word_count[v])
            word_law_add(&p->any, (int32_t)v, an->word_count[v]);
    TRY(replacement_weights_new(&p->weights, an->models[0], false, err));
    p->sums->replaced = true;
done:
    return st;
}

/* Parts first .. first+n-1, side by side. */
static sg_status run_parts(const pair_pass *p, pair_room *rooms, size_t first, size_t n, int threads,
                           sg_error *err)
{
    sg_status failed = SG_OK;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (size_t k = 0; k < n; k++) {
        sg_error inner = {""};
        sg_float_env env = float_env_begin();
        pair_room *r = &rooms[omp_get_thread_num()];
        sg_status st = gradients_of_part(p, r, first + k, &inner);
        if (st == SG_OK)
            st = replace_part(p, r, first + k, &inner);
        float_env_end(env);
        if (st != SG_OK) {
#pragma omp critical(pairs_failed)
            {
                failed = st;
                if (err)
                    *err = inner;
            }
        }
    }
    return failed;
}

static sg_status run_all(const pair_pass *p, pair_room *rooms, int threads, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    double began = sg_clock();
    size_t F = p->sums->F, at_once = 2 * (size_t)threads;
    for (size_t f = 0; f < F; f += at_once) {
        TRY(run_parts(p, rooms, f, F - f < at_once ? F - f : at_once, threads, err));
        sg_progress now = {"following pairs", (double)f, (double)F, sg_clock() - began, NAN, 0, 0};
        if (an->monitor && an->monitor->tick && !an->monitor->tick(an->monitor->ctx, &now))
            TRY(sg_fail(err, SG_ECANCELLED, "stopped"));
    }
done:
    return st;
}

static void count_unfollowed(const pair_pass *p)
{
    pair_sums *s = p->sums;
    double n = 0;
    for (size_t f = 0; f < s->F; f++)
        for (size_t l = 0; l < s->L; l++)
            for (size_t i = 0; i < s->K * s->W; i++)
                n += pair_sums_chosen(s, PAIRS_COUNT, f, l, 0)[i];
    s->unfollowed = p->pairs->n - s->beyond - (uint64_t)n;
}

static void warn_of_left_out(const analysis *an, const sg_word_pairs *q, const pair_sums *s)
{
    const struct {
        uint64_t n;
        const char *what;
    } left_out[] = {{q->outside, "have a word outside the corpus or sentence"},
                    {q->reversed, "are reversed: the word that is read comes after the other"},
                    {s->beyond, "are further apart than the delays"},
                    {s->unfollowed, "lie in the burn-in, or across a reset or window"}};
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (left_out[i].n)
            sg_warn(an->monitor, "pairs: %ju of %ju %s; they are left out", (uintmax_t)left_out[i].n,
                    (uintmax_t)(q->n + q->outside + q->reversed), left_out[i].what);
}

sg_status pairs_run(analysis *an, pair_sums **out, sg_error *err)
{
    sg_status st = SG_OK;
    pair_pass p = {.an = an, .pairs = sg_stream_pairs(an->stream)};
    int threads = analysis_threads(an);
    pair_room *rooms = NULL;
    *out = NULL;
    if (!p.pairs)
        return SG_OK;
    if (an->factor_missing[0][0]) {
        sg_warn(an->monitor, "pairs: %s: left out", an->factor_missing[0]);
        return SG_OK;
    }
    TRY(plan(&p, out, err));
    TRY(prepare(&p, err));
    NEED(rooms = sg_calloc((size_t)threads, sizeof *rooms), err, "the pairs");
    for (int i = 0; i < threads; i++)
        TRY(room_new(&p, &rooms[i], err));
    TRY(walk(&p, &rooms[0], err));
    TRY(run_all(&p, rooms, threads, err));
    count_unfollowed(&p);
    warn_of_left_out(an, p.pairs, p.sums);
done:
    for (int i = 0; rooms && i < threads; i++)
        room_free(&rooms[i]);
    sg_free(rooms);
    replacement_weights_free(p.weights);
    word_law_free(&p.any);
    sg_free(p.L), sg_free(p.states), sg_free(p.zeros), sg_free(p.first_pair);
    if (st != SG_OK) {
        pair_sums_free(*out);
        *out = NULL;
    }
    return st;
}
