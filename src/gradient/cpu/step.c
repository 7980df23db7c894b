/* SPDX-License-Identifier: MIT */
/* The origins of a block of tokens: every group of origins, strip by strip, goes through all tokens of the
 * block while its columns are in cache.
 *
 * A unit of work is (group, strip). Two units add to the same sums only if they have the same strip and
 * neighbouring groups: origins of groups further apart are more than a block apart, so no delay occurs in
 * both. Even groups go first, odd ones wait for their neighbours; so each sum has one order of terms,
 * whatever the threads do. Where second moments are wanted at any token (merged), a unit is a group with all
 * its strips: G^T G needs them together. */
#include "gradient/cpu/engine_internal.h"

#include "base/base_internal.h"
#include "kernel/float_env.h"

#include <assert.h>
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

typedef struct {
    sg_engine *e;
    sg_accum *a;
    int thread;
    sg_float_env env; /* the caller's */
} worker;

/* Between pieces of work, which are left out from then on. Only the caller's thread asks, in its own
 * floating-point environment. */
static bool stopped(const worker *w)
{
    sg_engine *e = w->e;
    if (w->thread == 0 && e->go_on && !__atomic_load_n(&e->stopped, __ATOMIC_RELAXED)) {
        float_env_end(w->env);
        if (!e->go_on(e->go_on_ctx))
            __atomic_store_n(&e->stopped, 1, __ATOMIC_RELAXED);
        float_env_begin();
    }
    return __atomic_load_n(&e->stopped, __ATOMIC_RELAXED);
}

/* Is origin j of g in the window at token t, and not in a shared basis? */
static bool in_window(const block_token *t, const group *g, size_t j)
{
    return g->position[j] >= t->oldest && g->position[j] >= t->exact && g->position[j] <= t->position;
}

static size_t delay(const block_token *t, const group *g, size_t j)
{
    return (size_t)(t->position - g->position[j]);
}

/* The float32 sum for state `kind` of layer l that origin j of g adds to at token t; NULL: none. */
static float *sum_for(const worker *w, const block_token *t, const group *g, size_t j, size_t l, int hidden)
{
    size_t state = w->e->sum_of[l][hidden];
    if (state == NONE || !t->counted || !g->counts[j])
        return NULL;
    return accum_partial(w->a, state, g->set[j], delay(t, g, j));
}

/* The first layer's U and C of an origin that enters at token i: n columns from col0 of the inputs. */
static void start_origin(const sg_engine *e, size_t i, size_t col0, size_t n, float *C, float *U)
{
    const engine_layer *y = &e->layer[0];
    size_t H = y->H, N = y->N, summed = e->cell->summed;
    const float *wx = y->wx[i], *q = y->diagonal[i] + H;
    for (size_t j = 0; j < H; j++) {
        float *u = U + j * SG_STRIP, *c = C ? C + j * SG_STRIP : u;
        for (size_t k = 0; k < n; k++)
            c[k] = y->Ax[i] ? y->Ax[i][j * N + col0 + k] : 0;
        for (size_t g = 0; g < summed && !y->Ax[i]; g++) {
            const float *W = y->W_ih + (g * H + j) * N + col0;
            for (size_t k = 0; k < n; k++)
                c[k] += wx[g * H + j] * W[k];
        }
        if (C) {
            const float *W = y->W_ih + (summed * H + j) * N + col0;
            for (size_t k = 0; k < n; k++)
                u[k] =
                    q[j] * c[k] + (y->Ax[i] ? y->Ax[i][(H + j) * N + col0 + k] : wx[summed * H + j] * W[k]);
        }
    }
}

static void add(size_t n, const float *x, float *sum)
{
    assert(!sum || x);
    for (size_t i = 0; sum && i < n; i++)
        sum[i] += x[i];
}

/* The packed matrix that a unit needs after that of token i, layer l. */
static size_t next_packed(const sg_engine *e, size_t i, size_t l, const float **packed)
{
    *packed = NULL;
    if (++l == e->L)
        for (l = 0, i++; i < e->n_tokens && !e->token[i].live;)
            i++;
    if (i == e->n_tokens)
        return 0;
    *packed = e->layer[l].packed[i];
    return e->P * e->layer[l].H * (e->layer[l].K1 + e->layer[l].K2);
}

/* Steps strips of layer l at token i; where[k] is where strip k's U hangs, and gets the new one. */
static void run_jobs(const worker *w, size_t i, size_t l, size_t n, sg_strip_job *jobs, float ***where)
{
    sg_engine *e = w->e;
    const engine_layer *y = &e->layer[l];
    sg_step_matrix m = {y->packed[i], y->diagonal[i], y->H, y->K1, y->K2, NULL, 0};
    float **spare = e->spare + ((size_t)w->thread * e->L + l) * e->spares;
    m.ahead_floats = next_packed(e, i, l, &m.ahead);
    for (size_t k = 0; k < n; k++)
        jobs[k].next = spare[k];
    (e->P == 2 ? e->kernels->step_pair : e->kernels->step_single)(&m, n, jobs);
    for (size_t k = 0; k < n; k++)
        spare[k] = *where[k], *where[k] = jobs[k].next;
}

/* Strip c of all origins of g at token i. */
static void step_full(const worker *w, const group *g, size_t c, size_t i)
{
    sg_engine *e = w->e;
    const block_token *t = &e->token[i];
    for (size_t l = 0; l < e->L; l++) {
        const engine_layer *y = &e->layer[l];
        size_t offset = c * y->H * SG_STRIP, n = 0;
        sg_strip_job jobs[BLOCK_MAX];
        float **where[BLOCK_MAX];
        for (size_t j = 0; j < g->n; j++) {
            if (!in_window(t, g, j))
                continue;
            size_t s = j * e->full + c;
            bool enters = g->position[j] == t->position;
            float *sum_C = sum_for(w, t, g, j, l, 0), *sum_U = sum_for(w, t, g, j, l, 1);
            sum_C = sum_C ? sum_C + offset : NULL, sum_U = sum_U ? sum_U + offset : NULL;
            float *C = g->C[l] ? g->C[l][s] : NULL;
            if (enters && !l) {
                start_origin(e, i, c * SG_STRIP, SG_STRIP, C, g->U[l][s]);
                add(y->H * SG_STRIP, C, sum_C);
                add(y->H * SG_STRIP, g->U[l][s], sum_U);
                continue;
            }
            if (enters && C)
                memset(C, 0, y->H * SG_STRIP * sizeof *C);
            where[n] = &g->U[l][s];
            jobs[n++] = (sg_strip_job){g->U[l][s], l ? g->U[l - 1][s] : NULL, C, NULL, sum_C, sum_U, enters};
        }
        if (n)
            run_jobs(w, i, l, n, jobs, where);
    }
}

/* Adds the rest columns of origin j, spread over joined strips from x0 on, to a sum of (H, rest). */
static void add_rest(const sg_engine *e, size_t H, float *const *strips, size_t x0, float *sum)
{
    for (size_t x = x0; x < x0 + e->rest;) {
        size_t lane = x % SG_STRIP, n = SG_STRIP - lane;
        n = n < x0 + e->rest - x ? n : x0 + e->rest - x;
        assert(strips && strips[x / SG_STRIP]);
        const float *from = strips[x / SG_STRIP] + lane;
        for (size_t r = 0; r < H; r++)
            for (size_t k = 0; k < n; k++)
                sum[r * e->rest + x - x0 + k] += from[r * SG_STRIP + k];
        x += n;
    }
}

/* Does joined strip s hold a column of a live origin? */
static bool strip_in_window(const sg_engine *e, const block_token *t, const group *g, size_t s)
{
    assert(e->rest); /* else there are no joined strips */
    for (size_t j = s * SG_STRIP / e->rest; j < g->n && j * e->rest < (s + 1) * SG_STRIP; j++)
        if (in_window(t, g, j))
            return true;
    return false;
}

/* The joined strips of g at token i. Columns of origins that are gone go on, unused; those to come are
 * zero. */
static void step_joined(const worker *w, const group *g, size_t i)
{
    sg_engine *e = w->e;
    const block_token *t = &e->token[i];
    size_t first = e->block * e->full;
    for (size_t l = 0; l < e->L; l++) {
        const engine_layer *y = &e->layer[l];
        float **U = g->U[l] + first, **C = g->C[l] ? g->C[l] + first : NULL;
        sg_strip_job jobs[BLOCK_MAX];
        float **where[BLOCK_MAX];
        size_t stepped = 0;
        for (size_t s = 0; s < e->joined; s++) { /* at most `block` of them */
            if (!strip_in_window(e, t, g, s))
                continue;
            where[stepped] = &U[s];
            jobs[stepped++] = (sg_strip_job){
                U[s], l ? g->U[l - 1][first + s] : NULL, C ? C[s] : NULL, NULL, NULL, NULL, false};
        }
        if (stepped)
            run_jobs(w, i, l, stepped, jobs, where);
        for (size_t j = 0; j < g->n; j++) {
            if (!in_window(t, g, j))
                continue;
            size_t x0 = j * e->rest, offset = e->full * y->H * SG_STRIP;
            for (size_t x = x0; !l && g->position[j] == t->position && x < x0 + e->rest;) {
                size_t lane = x % SG_STRIP, n = SG_STRIP - lane;
                n = n < x0 + e->rest - x ? n : x0 + e->rest - x;
                start_origin(e, i, e->full * SG_STRIP + x - x0, n, C ? C[x / SG_STRIP] + lane : NULL,
                             U[x / SG_STRIP] + lane);
                x += n;
            }
            float *sum_C = sum_for(w, t, g, j, l, 0), *sum_U = sum_for(w, t, g, j, l, 1);
            if (sum_C)
                add_rest(e, y->H, C, x0, sum_C + offset);
            if (sum_U)
                add_rest(e, y->H, U, x0, sum_U + offset);
        }
    }
}

/* ---- second moments: at a token every origin has a delay of its own ---- */

float *moment_begin(const sg_engine *e, float *sum)
{
    if (!e->words)
        return sum;
    size_t n = sum_moment_floats(e->E);
    float *moment = e->moment + (size_t)omp_get_thread_num() * n;
    memset(moment, 0, n * sizeof *moment);
    return moment;
}

void moment_end(const sg_engine *e, const float *moment, float *sum, size_t i, size_t state, size_t d)
{
    if (e->words)
        e->squared[(i * e->n_states + state) * e->D + d] = sum_moment_add(e->E, moment, e->covariance, sum);
}

void moment_of_word(const sg_engine *e, size_t i, uint64_t position, unsigned set)
{
    int32_t word = e->word[position % (e->D + BLOCK_MAX)];
    if (!e->words || word < 0 || (size_t)word >= e->words->V)
        return;
    size_t d = (size_t)(e->token[i].position - position);
    double weight = e->origin_weight ? e->origin_weight[set] : 1;
    for (size_t s = 0; s < e->n_states; s++)
        word_sums_add(e->words, e->first_state + s, (size_t)word, d,
                      weight * e->squared[(i * e->n_states + s) * e->D + d]);
    if (!e->first_state)
        word_sums_pairs(e->words, (size_t)word)[d] += weight;
}

static const float *moment_strip(const worker *w, size_t j, float *const *strips, size_t H, size_t p)
{
    sg_engine *e = w->e;
    if (p < e->full)
        return strips[j * e->full + p];
    float *out = e->gathered + (size_t)w->thread * e->strip_max;
    for (size_t x = 0; x < e->rest; x++) {
        size_t at = j * e->rest + x;
        const float *from = strips[e->block * e->full + at / SG_STRIP] + at % SG_STRIP;
        for (size_t r = 0; r < H; r++)
            out[r * SG_STRIP + x] = from[r * SG_STRIP];
    }
    return out;
}

/* Of origin j of g at token i. */
static void moments_of(const worker *w, const group *g, size_t j, size_t i)
{
    enum { ROWS = 128 }; /* of two strips fit the first-level cache for all blocks */
    sg_engine *e = w->e;
    const block_token *t = &e->token[i];
    if (!in_window(t, g, j) || !g->counts[j])
        return;
    size_t strips = e->full + (e->rest > 0);
    for (size_t l = 0; l < e->L; l++)
        for (int hidden = 0; hidden < 2; hidden++) {
            if (e->sum_of[l][hidden] == NONE)
                continue;
            size_t H = e->layer[l].H;
            float *const *from = hidden ? g->U[l] : g->C[l];
            float *sum = accum_moment_partial(w->a, e->sum_of[l][hidden], g->set[j], delay(t, g, j));
            float *R = moment_begin(e, sum);
            const float *last = moment_strip(w, j, from, H, strips - 1);
            for (size_t row = 0; row < H; row += ROWS) {
                size_t n = H - row < ROWS ? H - row : ROWS, block = 0, at = row * SG_STRIP;
                for (size_t p = 0; p < strips; p++)
                    for (size_t q = p; q < strips; q++, block++)
                        e->kernels->moment(n, (p + 1 < strips ? from[j * e->full + p] : last) + at,
                                           (q + 1 < strips ? from[j * e->full + q] : last) + at,
                                           R + block * SG_STRIP * SG_STRIP);
            }
            moment_end(e, R, sum, i, e->sum_of[l][hidden], delay(t, g, j));
        }
}

/* ---- units of work ---- */

static void step_strip(const worker *w, const group *g, size_t c, size_t i)
{
    if (c < w->e->full)
        step_full(w, g, c, i);
    else
        step_joined(w, g, i);
}

/* Strip c of a group, through all tokens of the block. */
static void step_unit(const worker *w, const group *g, size_t c)
{
    for (size_t i = 0; i < w->e->n_tokens; i++)
        if (w->e->token[i].live)
            step_strip(w, g, c, i);
}

/* All strips of a group, and its second moments. */
static void step_merged(const worker *w, const group *g)
{
    sg_engine *e = w->e;
    for (size_t i = 0; i < e->n_tokens; i++) {
        for (size_t c = 0; e->token[i].live && c < e->full + (e->rest > 0); c++)
            step_strip(w, g, c, i);
        for (size_t j = 0; e->token[i].moment && j < g->n; j++)
            moments_of(w, g, j, i);
    }
}

/* Few origins, merged: token by token, so that all threads have something to do. */
static void step_tokens(const worker *w)
{
    sg_engine *e = w->e;
    size_t strips = e->full + (e->rest > 0);
    for (size_t i = 0; i < e->n_tokens; i++) {
        if (!e->token[i].live)
            continue;
#pragma omp for schedule(dynamic)
        for (size_t c = 0; c < strips; c++)
            for (size_t b = 0; b < e->n_groups && !stopped(w); b++)
                step_strip(w, e->groups[b], c, i);
        if (e->token[i].moment) {
#pragma omp for schedule(dynamic)
            for (size_t k = 0; k < e->n_groups * e->block; k++)
                if (k % e->block < e->groups[k / e->block]->n && !stopped(w))
                    moments_of(w, e->groups[k / e->block], k % e->block, i);
        }
    }
}

/* ---- order of work ---- */

static void wait_for(const int *done)
{
    for (unsigned spins = 0; !__atomic_load_n(done, __ATOMIC_ACQUIRE); spins++)
        if (spins > 1000)
            sched_yield(); /* the machine may have fewer cores than we have threads */
}

/* Groups in the order even, odd; a group's parity is its number's since the start. */
static size_t group_at(const sg_engine *e, size_t n)
{
    size_t first_even = e->first_group % 2, evens = (e->n_groups - first_even + 1) / 2;
    return n < evens ? first_even + 2 * n : 1 - first_even + 2 * (n - evens);
}

static void work(const worker *w, bool whole, size_t *next)
{
    sg_engine *e = w->e;
    size_t strips = e->merged ? 1 : e->full + (e->rest > 0), units = whole ? strips : strips * e->n_groups;
    for (;;) {
        size_t u = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED);
        if (u >= units)
            return;
        if (whole) { /* few origins: a unit is a strip of all groups */
            for (size_t b = 0; b < e->n_groups && !stopped(w); b++)
                step_unit(w, e->groups[b], u);
            continue;
        }
        size_t b = group_at(e, u / strips), c = u % strips;
        if ((e->first_group + b) % 2) {
            if (b > 0)
                wait_for(&e->done[(b - 1) * strips + c]);
            if (b + 1 < e->n_groups)
                wait_for(&e->done[(b + 1) * strips + c]);
        }
        if (stopped(w))
            ; /* but neighbours wait for it */
        else if (e->merged)
            step_merged(w, e->groups[b]);
        else
            step_unit(w, e->groups[b], c);
        __atomic_store_n(&e->done[b * strips + c], 1, __ATOMIC_RELEASE);
    }
}

/* Not merged: second moments at the block's last token, of all origins. */
static void last_moments(const worker *w)
{
    sg_engine *e = w->e;
#pragma omp barrier
#pragma omp for schedule(dynamic)
    for (size_t k = 0; k < e->n_groups * e->block; k++)
        if (k % e->block < e->groups[k / e->block]->n && !stopped(w))
            moments_of(w, e->groups[k / e->block], k % e->block, e->n_tokens - 1);
}

static void count_moments(const sg_engine *e, sg_accum *a)
{
    for (size_t i = 0; i < e->n_tokens; i++)
        for (size_t b = 0; e->token[i].moment && b < e->n_groups; b++)
            for (size_t j = 0; j < e->groups[b]->n; j++) {
                const group *g = e->groups[b];
                if (!in_window(&e->token[i], g, j) || !g->counts[j])
                    continue;
                accum_count_moment(a, g->set[j], delay(&e->token[i], g, j));
                moment_of_word(e, i, g->position[j], g->set[j]);
            }
}

bool engine_step(sg_engine *e, sg_accum *a, size_t *set, size_t *d)
{
    size_t strips = e->full + (e->rest > 0), origins = 0, next = 0;
    for (size_t b = 0; b < e->n_groups; b++)
        origins += e->groups[b]->n;
    bool whole = origins <= e->block, moments = !e->merged && e->token[e->n_tokens - 1].moment;
    memset(e->done, 0, strips * e->n_groups * sizeof *e->done);
#pragma omp parallel num_threads(e->threads)
    {
        sg_float_env env = float_env_begin();
        worker w = {e, a, omp_get_thread_num(), env};
        engine_fold(e);
        if (whole && e->merged)
            step_tokens(&w);
        else
            work(&w, whole, &next);
        if (e->n_bases) {
            size_t blocks = e->basis_rows / SG_STRIP, per_state = blocks * strips;
#pragma omp for schedule(dynamic)
            for (size_t k = 0; k < e->n_bases; k++)
                basis_step(e, e->bases[k]);
#pragma omp for schedule(dynamic)
            for (size_t k = 0; k < e->n_states * per_state; k++)
                if (a && k % per_state / strips * SG_STRIP < e->states[k / per_state].units)
                    basis_sum(e, a, k / per_state, k % per_state / strips, k % strips);
            if (moments) {
#pragma omp for schedule(dynamic)
                for (size_t k = 0; k < e->n_bases; k++)
                    basis_moments(e, a, e->bases[k]);
            }
        }
        if (moments)
            last_moments(&w);
        float_env_end(env);
    }
    if (a) {
        count_moments(e, a);
        basis_count(e, a, moments);
    }
    return !a || accum_flush_due(a, e->threads, e->kernels->flush, set, d);
}
