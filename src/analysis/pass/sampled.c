/* SPDX-License-Identifier: MIT */
/* --precision: origins drawn from segments all over the corpus, round by round, until sigma_1 is known well
 * enough.
 *
 * Each block of the corpus is cut into equal segments; a random order of them is divided in turn between two
 * halves. A round takes the next segments of each order and draws origins in them, about ORIGINS_ALIVE
 * within D tokens, so that those of one segment have little in common. No round works on what an earlier one
 * has drawn: once every segment was taken, a round goes through all of them with higher rates, for the
 * origins that were not drawn yet.
 *
 * A segment needs the state before it. Two states that are far apart become one when both read the same text:
 * after how many tokens is tried out at places all over the corpus, and a zero state that far before the
 * segment will do. A model (or a corpus) that does not let it gets exact states, from a pass over all tokens
 * before; so does a round whose segments together cost more than such a pass.
 *
 * (half, block) is a unit of work with an engine and sums of its own: the same bytes for any number of
 * threads. */
#include "analysis/pass/sampled.h"
#include "analysis/pass/shared.h"

#include "gradient/accum_internal.h"
#include "base/base_internal.h"
#include "lm/forward.h"

#include <assert.h>
#include <math.h>
#include <omp.h>
#include <stdatomic.h>
#include <string.h>

enum {
    FIRST_ORIGINS = 1500,
    FIRST_OF_CLASS = 200,
    FIRST_SEGMENTS = 4,
    ORIGINS_ALIVE = 2,
    WINDOWS_OF_SEGMENT = 8,
    SHORTEST = 128,
    MOST_SEGMENTS = 65536, /* of the corpus */
    PLACES = 8,
    LONGEST_MEMORY = 4096
};
static const double FORGOTTEN = 1e-5; /* of the largest entry of the state */

typedef struct {
    const analysis *an;
    precision_reached *reached;
    pass_state s;
    size_t n_segments; /* segments of a block */
    size_t from, to;   /* of each block's order: what this round takes */
    uint64_t round;
    /* (sets), in s.rates: origins of a set are drawn whose number lies in [low, high) */
    double *low, *high;
    size_t memory; /* tokens after which a state has forgotten where it began; 0: it does not */
    bool exact;    /* this round: states before segments from a pass over all tokens ... */
    float *states; /* ... (model, block, to - from; state), those of [states_from, states_to) */
    size_t states_from, states_to;
    int workers;
    double began, last_saved;
    atomic_bool stop;
    _Atomic uint64_t done, total; /* tokens of this round */
} rounds;

/* What a thread needs. */
typedef struct {
    const rounds *r;
    sg_engine *engine[2]; /* of each model */
    sg_forward *forward[2];
    sg_accum *accum;
    uint64_t begin, end; /* of the segment that origins are drawn in */
    sg_step steps[PORTION];
    float *features, *state;
    uint32_t *order, *past_set;
    bool *past_counts;
    uint64_t *pairs;   /* (sets, D) */
    int64_t *existing; /* (C, D) */
} worker;

static uint64_t segment_start(const rounds *r, size_t b, size_t segment)
{
    uint64_t start = analysis_block_start(r->an, b), length = analysis_block_start(r->an, b + 1) - start;
    return start + length * segment / r->n_segments;
}

/* The order in which the segments of block b are taken. */
static void order_of(const rounds *r, size_t b, uint32_t *order)
{
    sg_rng g;
    sg_rng_seed(&g, r->an->cfg->seed, (uint64_t)1 << 60 | b);
    for (size_t k = 0; k < r->n_segments; k++)
        order[k] = (uint32_t)k;
    for (size_t k = r->n_segments; k > 1; k--) {
        size_t other = (size_t)sg_rng_below(&g, k);
        uint32_t x = order[k - 1];
        order[k - 1] = order[other], order[other] = x;
    }
}

static bool drawn(void *ctx, uint64_t position, unsigned set)
{
    const worker *w = ctx;
    const rounds *r = w->r;
    uint64_t seed = r->an->cfg->seed;
    return position >= w->begin && position < w->end && set < r->an->sets &&
           engine_sampled(seed, position, r->high[set]) && !engine_sampled(seed, position, r->low[set]);
}

/* ---- states ---- */

/* The state goes through tokens [t, end); twin (or NULL): another state through the same ones. */
static sg_status go_through(const rounds *r, worker *w, sg_forward *f, sg_forward *twin, uint64_t t,
                            uint64_t end, sg_error *err)
{
    sg_status st = SG_OK;
    int32_t ids[PORTION];
    bool first[PORTION];
    for (size_t n; t < end; t += n) {
        n = end - t < PORTION ? (size_t)(end - t) : PORTION;
        TRY(read_portion(r->an, t, n, w->steps, w->features, err));
        for (size_t i = 0; i < n; i++)
            ids[i] = w->steps[i].id, first[i] = w->steps[i].first && r->an->cfg->handling == SG_RESET;
        TRY(forward_run(f, r->an->V ? ids : NULL, r->an->V ? NULL : w->features, first, n, err));
        if (twin)
            TRY(forward_run(twin, r->an->V ? ids : NULL, r->an->V ? NULL : w->features, first, n, err));
    }
done:
    return st;
}

/* Tokens after which two states of the model are the same to FORGOTTEN at each of some places, twice that to
 * be safe; 0: they do not become so. */
static sg_status measure_memory(const rounds *r, worker *w, size_t model, size_t *memory, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t T = r->an->T;
    sg_forward *f = w->forward[model], *twin = NULL;
    size_t n = forward_state_size(f), longest = PORTION / 2;
    float *x = sg_calloc(2, n * sizeof *x), *y = x + n;
    *memory = 0;
    NEED(x, err, "the sampling");
    TRY(forward_new(&twin, r->an->models[model], PORTION, err));
    for (size_t i = 0; i < PLACES && T >= 2 * PLACES * PORTION; i++) {
        uint64_t at = T / PLACES * i, elsewhere = T / PLACES * (i ? i - 1 : PLACES - 1);
        double most = 1, apart = 1;
        forward_reset(f), forward_reset(twin);
        TRY(go_through(r, w, twin, NULL, elsewhere, elsewhere + PORTION, err));
        size_t read = 0;
        for (; apart > FORGOTTEN * most && read < LONGEST_MEMORY && at + read + PORTION <= T;
             read += PORTION) {
            TRY(go_through(r, w, f, twin, at + read, at + read + PORTION, err));
            forward_get_state(f, x), forward_get_state(twin, y);
            most = apart = 0;
            for (size_t j = 0; j < n; j++)
                most = fmax(most, fabs((double)x[j])), apart = fmax(apart, fabs((double)x[j] - (double)y[j]));
        }
        if (apart > FORGOTTEN * most)
            goto done;
        longest = read > longest ? read : longest;
    }
    *memory = T >= 2 * PLACES * PORTION ? 2 * longest : 0;
done:
    forward_free(twin);
    sg_free(x);
    return st;
}

/* The caller's thread reports the progress of all, and asks whether to continue. */
static sg_status report_progress(rounds *r, const char *what, double done, double total, sg_error *err)
{
    const sg_monitor *m = r->an->monitor;
    if (omp_get_thread_num() == 0 && m && m->tick) {
        sg_progress now = {what, done, total, sg_clock() - r->began, NAN, 0, 0};
        if (!m->tick(m->ctx, &now))
            atomic_store(&r->stop, true);
    }
    return atomic_load(&r->stop) ? resume_stopped(r->an, err) : SG_OK;
}

/* exact: the states before all segments of this round, in one pass over the tokens. */
static sg_status states_before_segments(rounds *r, worker *w, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = r->an;
    size_t n = forward_state_size(w->forward[0]), count = r->to - r->from, *place = NULL;
    if (r->states && r->states_from == r->from && r->states_to == r->to)
        return SG_OK;
    sg_free(r->states);
    r->states_from = r->states_to = 0;
    NEED((r->states = sg_calloc(an->n_models * an->B * count, n * sizeof *r->states)) &&
             (place = sg_calloc(r->n_segments, sizeof *place)),
         err, "%zu states", an->n_models * an->B * count);
    for (size_t m = 0; m < an->n_models; m++) {
        uint64_t t = 0;
        forward_reset(w->forward[m]);
        for (size_t b = 0; b < an->B; b++) {
            order_of(r, b, w->order);
            for (size_t j = 0; j < r->n_segments; j++)
                place[w->order[j]] = j;
            for (size_t segment = 0; segment < r->n_segments; segment++) {
                uint64_t start = segment_start(r, b, segment);
                if (place[segment] < r->from || place[segment] >= r->to)
                    continue;
                TRY(go_through(r, w, w->forward[m], NULL, t, start, err));
                t = start;
                TRY(report_progress(r, "reading", (double)(m * an->T + t), (double)(an->n_models * an->T),
                                    err));
                forward_get_state(w->forward[m],
                                  r->states + ((m * an->B + b) * count + place[segment] - r->from) * n);
            }
        }
    }
    r->states_from = r->from, r->states_to = r->to;
done:
    sg_free(place);
    return st;
}

/* The state before segment j of block b's order, which starts at token `start`. */
static sg_status state_before(const rounds *r, worker *w, size_t model, size_t b, size_t j, uint64_t start,
                              uint64_t zero, const float **state, sg_error *err)
{
    sg_status st = SG_OK;
    sg_forward *f = w->forward[model];
    size_t n = forward_state_size(f);
    if (r->exact) {
        *state = r->states + ((model * r->an->B + b) * (r->to - r->from) + j - r->from) * n;
        return SG_OK;
    }
    uint64_t from = start > r->memory ? start - r->memory : 0;
    forward_reset(f);
    TRY(go_through(r, w, f, NULL, from > zero ? from : zero, start, err));
    forward_get_state(f, w->state);
    *state = w->state;
done:
    return st;
}

/* ---- a unit of work: a half of a block ---- */

static sg_status advance(rounds *r, uint64_t tokens, sg_error *err)
{
    double done = (double)(atomic_fetch_add(&r->done, tokens) + tokens);
    return report_progress(r, r->round ? "analysing further origins" : "analysing", done, (double)r->total,
                           err);
}

static sg_status run_segment(rounds *r, worker *w, size_t model, size_t b, size_t j, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t T = r->an->T, zero, t = segment_start(r, b, w->order[j]), last;
    const float *state;
    bool any = false;
    w->begin = t, w->end = segment_start(r, b, w->order[j] + 1);
    last = T - w->end < r->an->D - 1 ? T : w->end + r->an->D - 1; /* pairs with the last origin end here */
    for (uint64_t s = w->begin; s < w->end && !any; s += PORTION) {
        size_t n = w->end - s < PORTION ? (size_t)(w->end - s) : PORTION;
        TRY(sg_stream_read(r->an->stream, s, n, w->steps, err));
        for (size_t i = 0; i < n && !any; i++)
            any = drawn(w, s + i, w->steps[i].set);
    }
    if (any) {
        TRY(last_sentence(r->an, t, w->steps, &zero, err));
        TRY(state_before(r, w, model, b, j, t, zero, &state, err));
        engine_start(w->engine[model], t, state, zero);
    }
    for (size_t n; any && t < last; t += n) {
        n = last - t < PORTION ? (size_t)(last - t) : PORTION;
        TRY(read_portion(r->an, t, n, w->steps, w->features, err));
        TRY(engine_run(w->engine[model], w->steps, w->features, n, true, w->accum, err));
    }
    TRY(engine_flush(w->engine[model], w->accum, err));
    TRY(advance(r, w->end - w->begin, err));
done:
    return st;
}

/* All pairs that exist whose input word is in block b: by set and delay, and by class and delay. */
static sg_status count_pairs(const rounds *r, worker *w, size_t b, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = r->an;
    const sg_analysis_config *cfg = an->cfg;
    uint64_t start = analysis_block_start(an, b), end = analysis_block_start(an, b + 1), D = an->D, zero;
    uint64_t last = an->T - end < D - 1 ? an->T : end + D - 1, boundary = start;
    assert(D > 0); /* sg_analysis_check */
    memset(w->pairs, 0, an->sets * an->D * sizeof *w->pairs);
    memset(w->existing, 0, an->C * an->D * sizeof *w->existing);
    TRY(last_sentence(r->an, start, w->steps, &zero, err));
    for (uint64_t t = start; t < last; t++) {
        size_t i = (size_t)(t - start) % PORTION;
        if (!i)
            TRY(sg_stream_read(an->stream, t, last - t < PORTION ? (size_t)(last - t) : PORTION, w->steps,
                               err));
        if (cfg->handling == SG_RESET && w->steps[i].first)
            boundary = zero = t;
        if (cfg->handling == SG_WINDOW && t - t % cfg->window > boundary)
            boundary = t - t % cfg->window;
        w->past_set[t % D] = w->steps[i].set;
        w->past_counts[t % D] = t - zero >= cfg->burn_in && t < end && w->steps[i].set < an->sets;
        for (uint64_t s = t + 1 > D && t + 1 - D > boundary ? t + 1 - D : boundary; s <= t; s++)
            w->pairs[w->past_set[s % D] * D + t - s] += w->past_counts[s % D];
    }
    for (size_t s = 0; s < an->sets; s++) {
        for (size_t c = 0; c < an->C; c++)
            for (size_t d = 0; d < D && (!c || sg_classes_contains(an->classes, s, c)); d++)
                w->existing[c * D + d] += (int64_t)w->pairs[s * D + d];
        for (size_t d = 0; d < D && s < accum_sets(w->accum); d++)
            accum_set_pairs(w->accum, s, d, w->pairs[s * D + d]);
    }
done:
    return st;
}

static sg_status run_unit(rounds *r, worker *w, size_t unit, sg_error *err)
{
    sg_status st = SG_OK;
    size_t b = unit / 2, now = r->round % 2;
    for (size_t m = 0; m < r->an->n_models; m++) {
        accum_clear(w->accum);
        order_of(r, b, w->order);
        for (size_t j = r->from; j < r->to; j++)
            if (j % 2 == unit % 2)
                TRY(run_segment(r, w, m, b, j, err));
        TRY(count_pairs(r, w, b, err));
        TRY(class_sums_block(r->an, m, w->accum, r->s.sums[now], r->round ? r->s.sums[1 - now] : NULL, unit,
                             w->existing, err));
    }
done:
    return st;
}

/* ---- workers ---- */

static void worker_free(worker *w)
{
    if (!w)
        return;
    for (size_t m = 0; m < 2; m++) {
        engine_free(w->engine[m]);
        forward_free(w->forward[m]);
    }
    accum_free(w->accum);
    sg_free(w->features);
    sg_free(w->state);
    sg_free(w->order);
    sg_free(w->past_set);
    sg_free(w->past_counts);
    sg_free(w->pairs);
    sg_free(w->existing);
    sg_free(w);
}

static sg_status worker_new(worker **out, const rounds *r, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = r->an;
    worker *w = sg_calloc(1, sizeof *w);
    *out = NULL;
    if (!w)
        return no_memory(err, "the sampling errors");
    w->r = r;
    sg_engine_config cfg = analysis_engine(an);
    cfg.threads = analysis_threads(an) / r->workers, cfg.sample = drawn, cfg.sample_ctx = w;
    for (size_t m = 0; m < an->n_models; m++) {
        TRY(engine_new(&w->engine[m], an->models[m], &cfg, err));
        TRY(forward_new(&w->forward[m], an->models[m], PORTION, err));
    }
    TRY(engine_new_accum(w->engine[0], &w->accum, err));
    NEED((w->features = sg_calloc(PORTION, an->E * sizeof *w->features)) &&
             (w->state = sg_calloc(forward_state_size(w->forward[0]), sizeof *w->state)) &&
             (w->order = sg_calloc(r->n_segments, sizeof *w->order)) &&
             (w->past_set = sg_calloc(an->D, sizeof *w->past_set)) &&
             (w->past_counts = sg_calloc(an->D, sizeof *w->past_counts)) &&
             (w->pairs = sg_calloc(an->sets, an->D * sizeof *w->pairs)) &&
             (w->existing = sg_calloc(an->C, an->D * sizeof *w->existing)),
         err, "the sampling");
    *out = w;
    w = NULL;
done:
    worker_free(w);
    return st;
}

/* Threads that work side by side, each with sums of its own: not more than memory allows. */
static int count_workers(const rounds *r)
{
    const analysis *an = r->an;
    sg_engine_config cfg = analysis_engine(an);
    size_t bytes = 0, threads = (size_t)analysis_threads(an), limit = (size_t)1 << 30;
    engine_cost(NULL, &bytes, an->shape, &cfg);
    bytes =
        bytes * an->n_models + an->sets * accum_bytes_per_set(an->states, an->n_states, an->D, an->E, true);
    size_t n = limit / (bytes + 1) > 1 ? limit / (bytes + 1) : 1;
    n = n < 2 * an->B ? n : 2 * an->B;
    return (int)(n < threads ? n : threads);
}

/* ---- rounds ---- */

enum { AT_ROUND, AT_FROM, AT_TO };

static sg_status save(rounds *r, bool force, sg_error *err)
{
    double now = sg_clock();
    const sg_analysis_config *cfg = r->an->cfg;
    if (!cfg->checkpoint || (!force && now - r->last_saved < 60 * cfg->checkpoint_minutes))
        return SG_OK;
    r->last_saved = now;
    r->s.at[AT_ROUND] = r->round, r->s.at[AT_FROM] = r->from, r->s.at[AT_TO] = r->to;
    return resume_save(&r->s, err);
}

static sg_status run_round(rounds *r, worker **workers, sg_error *err)
{
    const analysis *an = r->an;
    size_t units = 2 * an->B;
    double segments = (double)(an->B * (r->to - r->from));
    /* twice: the pass over all tokens is one thread's */
    r->exact = !r->memory || segments * (double)r->memory > 2 * (double)an->T;
    sg_status failed = SG_OK;
    bool *done = r->s.done[r->round % 2];
    r->began = sg_clock();
    atomic_store(&r->done, 0);
    atomic_store(&r->total, an->n_models * (uint64_t)((double)an->T * (double)(r->to - r->from) /
                                                      (double)r->n_segments));
    if (r->exact)
        failed = states_before_segments(r, workers[0], err);
    r->began = sg_clock();
    if (failed == SG_OK)
        failed = save(r, true, err);
#pragma omp parallel for schedule(dynamic, 1) num_threads(r->workers)
    for (size_t u = 0; u < units; u++) {
        sg_error inner = {""};
        bool skip;
#pragma omp critical(precision)
        skip = failed != SG_OK || done[u];
        if (skip)
            continue;
        sg_status st = run_unit(r, workers[omp_get_thread_num()], u, &inner);
#pragma omp critical(precision)
        {
            if (st == SG_OK && failed == SG_OK) {
                done[u] = true;
                st = save(r, false, &inner);
            }
            if (st != SG_OK && failed == SG_OK) {
                failed = st;
                atomic_store(&r->stop, true);
                if (err)
                    *err = inner;
            }
        }
    }
    if (failed == SG_ECANCELLED && save(r, true, err) != SG_OK)
        failed = SG_EIO;
    return failed;
}

static double expected_origins(const rounds *r)
{
    double n = 0;
    for (size_t s = 0; s < r->an->sets; s++)
        n += r->high[s] * (double)r->an->set_count[s];
    return n;
}

/* Segments of each block for `origins` in all at the present rates; even, so that the halves are equal. */
static size_t segments_for(const rounds *r, double origins)
{
    double n = ceil(origins / expected_origins(r) * (double)r->n_segments / 2) * 2;
    return n < (double)r->n_segments ? (size_t)n : r->n_segments;
}

static void first_round(rounds *r)
{
    const analysis *an = r->an;
    double alive = ORIGINS_ALIVE, T = (double)an->T,
           share = alive < (double)an->D ? alive / (double)an->D : 1;
    sampling_rates(an, T * share, r->high);
    r->from = 0;
    r->to = segments_for(r, FIRST_ORIGINS + FIRST_OF_CLASS * (double)(an->C - 1));
    if (r->to < FIRST_SEGMENTS)
        r->to = FIRST_SEGMENTS < r->n_segments ? FIRST_SEGMENTS : r->n_segments;
}

/* After a round: false if the precision is reached, or nothing is left to draw. */
static sg_status plan_round(rounds *r, bool *more, sg_error *err)
{
    sg_status st = SG_OK;
    precision_reached *x = r->reached;
    const analysis *an = r->an;
    double growth, T = (double)an->T;
    double n = expected_origins(r) * (double)r->to / (double)r->n_segments;
    *more = false;
    TRY(sampling_errors(x, &growth, an, r->s.sums[r->round % 2], err));
    x->rounds = r->round + 1;
    if (growth <= 1)
        return SG_OK;
    growth = growth < 1.3 ? 1.3 : growth > 16 ? 16 : growth;
    if (r->to < r->n_segments) {
        r->from = r->to;
        r->to = segments_for(r, n * growth);
        *more = true;
    } else {
        memcpy(r->low, r->high, an->sets * sizeof *r->low);
        sampling_rates(an, n * growth > 0.7 * T ? T : n * growth,
                       r->high); /* nearly everything: everything */
        r->from = 0;
        for (size_t s = 0; s < an->sets; s++) {
            r->high[s] = fmax(r->high[s], r->low[s]);
            *more |= r->high[s] > r->low[s] && an->set_count[s] > 0;
        }
    }
    r->round += *more;
    if (*more)
        memset(r->s.done[r->round % 2], 0, 2 * an->B * sizeof(bool));
    else
        sg_warn(an->monitor,
                "setting 'precision' %g: all origins were used, the largest relative error is %.3g",
                an->cfg->precision, x->total);
done:
    return st;
}

static sg_status start(rounds *r, const char *run_path, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = r->an;
    FILE *f = NULL;
    size_t length = WINDOWS_OF_SEGMENT * (an->D - 1), block = (size_t)(an->T / an->B);
    length = length > SHORTEST ? length : SHORTEST;
    length = length > an->T / MOST_SEGMENTS ? length : (size_t)(an->T / MOST_SEGMENTS);
    r->n_segments = block / length > 2 * FIRST_SEGMENTS ? block / length : 2 * FIRST_SEGMENTS;
    TRY(analysis_identity(an, true, r->s.identity, err));
    for (int i = 0; i < 2; i++) {
        TRY(resume_sums(&r->s.sums[i], an, 2 * an->B, i, run_path, err));
        NEED(r->s.done[i] = sg_calloc(2 * an->B, sizeof(bool)), err, "the sampling");
    }
    r->s.n_rates = 2 * an->sets;
    NEED(r->s.rates = sg_calloc(r->s.n_rates, sizeof *r->s.rates), err, "the sampling");
    r->low = r->s.rates, r->high = r->low + an->sets;
    r->s.most[AT_ROUND] = 1000, r->s.most[AT_FROM] = r->s.most[AT_TO] = r->n_segments;
    TRY(resume_load(&r->s, &f, err));
    if (f)
        r->round = r->s.at[AT_ROUND], r->from = (size_t)r->s.at[AT_FROM], r->to = (size_t)r->s.at[AT_TO];
    else
        first_round(r);
    r->workers = count_workers(r);
done:
    if (f)
        fclose(f);
    return st;
}

static sg_status choose_states(rounds *r, worker *w, sg_error *err)
{
    sg_status st = SG_OK;
    size_t longest = 0;
    for (size_t m = 0; m < r->an->n_models; m++) {
        TRY(measure_memory(r, w, m, &r->memory, err));
        if (!r->memory)
            return SG_OK;
        longest = r->memory > longest ? r->memory : longest;
    }
    r->memory = longest;
done:
    return st;
}

/* After the last round: words replaced, throughout the corpus. */
static bool replacing_tick(void *ctx)
{
    const rounds *r = ctx;
    const sg_monitor *m = r->an->monitor;
    const sg_progress now = {"replacing words", 0, 0, sg_clock() - r->began, NAN, 0, 0};
    return !m || !m->tick || m->tick(m->ctx, &now);
}

static sg_status replace_words(rounds *r, sg_error *err)
{
    sg_status st = SG_OK;
    bool stopped = false;
    r->began = sg_clock();
    for (size_t m = 0; r->s.replace && m < r->an->n_models; m++)
        for (size_t b = 0; b < r->an->B && !stopped; b++)
            TRY(replacement_run(r->s.replace, m, analysis_block_start(r->an, b + 1), replacing_tick, r,
                                &stopped, err));
    if (stopped)
        TRY(resume_stopped(r->an, err));
done:
    return st;
}

/* After the last round: self gains of single units. */
static sg_status follow_units(rounds *r, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_monitor *m = r->an->monitor;
    bool more = r->an->cfg->units;
    r->began = sg_clock();
    if (more)
        TRY(self_gain_new(&r->s.self_gain, r->an, err));
    while (more) {
        TRY(self_gain_round(r->s.self_gain, &more, err));
        sg_progress now = self_gain_progress(r->s.self_gain);
        now.seconds = sg_clock() - r->began;
        if (m && m->tick && !m->tick(m->ctx, &now))
            TRY(resume_stopped(r->an, err));
    }
done:
    return st;
}

sg_status sampled_run(block_sums **sums, replacement_sums **replaced, analysis *an, const char *run_path,
                      sg_error *err)
{
    sg_status st = SG_OK;
    rounds r = {.an = an, .s.an = an, .reached = &an->reached, .last_saved = sg_clock()};
    worker **workers = NULL;
    block_sums *whole = NULL;
    bool more = true;
    *sums = NULL, *replaced = NULL;
    TRY(start(&r, run_path, err));
    NEED(workers = sg_calloc((size_t)r.workers, sizeof *workers), err, "the sampling");
    for (int i = 0; i < r.workers; i++)
        TRY(worker_new(&workers[i], &r, err));
    TRY(choose_states(&r, workers[0], err));
    while (more) {
        TRY(run_round(&r, workers, err));
        TRY(plan_round(&r, &more, err));
    }
    TRY(resume_sums(&whole, an, an->B, -1, run_path, err));
    for (size_t b = 0; b < an->B; b++)
        TRY(class_sums_join(an, whole, b, r.s.sums[r.round % 2], 2 * b, 2 * b + 1, err));
    if (an->replace.rate > 0)
        TRY(replacement_new(&r.s.replace, an, err));
    TRY(replace_words(&r, err));
    TRY(follow_units(&r, err));
    *replaced = r.s.replace ? replacement_take(r.s.replace) : NULL;
    an->self_gains = r.s.self_gain ? self_gain_take(r.s.self_gain) : NULL;
    *sums = whole;
    whole = NULL;
done:
    replacement_free(r.s.replace);
    self_gain_free(r.s.self_gain);
    for (int i = 0; workers && i < r.workers; i++)
        worker_free(workers[i]);
    sg_free(workers);
    sums_free(whole);
    for (int i = 0; i < 2; i++) {
        sums_free(r.s.sums[i]);
        sg_free(r.s.done[i]);
    }
    sg_free(r.s.rates);
    sg_free(r.states);
    return st;
}
