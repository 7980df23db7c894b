/* SPDX-License-Identifier: MIT */
#include "gradient/accum_internal.h"
#include "gradient/backend.h"

#include "base/base_internal.h"

#include <string.h>

/* Sums of one set and state, delay by delay: float32 sums since the last flush, and what was flushed. */
typedef struct {
    float *partial, *moment_partial;
    double *total, *moment_total;
} state_sums;

typedef struct {
    state_sums *state;                  /* n_states */
    uint64_t *pairs, *sampled, *moment; /* D: counts of pairs */
    uint32_t *since, *moment_since;     /* D: terms since the last flush */
} set_sums;

struct sg_accum {
    sg_accum_state *states;
    size_t n_states, D, E;
    size_t *sum_size, moment_size; /* numbers of one sum of each state, of one second moment */
    bool moments;
    set_sums **set;      /* a pointer each, so that growing moves nothing */
    double *missed;      /* (n_states, D) */
    uint64_t *missed_of; /* (n_states, D) */
    size_t n_sets, room;
};

sg_status accum_new(sg_accum **out, const sg_accum_state *states, size_t n_states, size_t delays,
                    size_t embedding, bool moments, sg_error *err)
{
    sg_status st = SG_OK;
    sg_accum *a = NULL;
    *out = NULL;
    if (!n_states || !delays || !embedding)
        return sg_fail(err, SG_EINVAL,
                       "sums: %zu states, %zu delays, %zu inputs, expected at least 1 of each", n_states,
                       delays, embedding);
    NEED((a = sg_calloc(1, sizeof *a)) && (a->states = sg_calloc(n_states, sizeof *a->states)) &&
             (a->sum_size = sg_calloc(n_states, sizeof *a->sum_size)) &&
             (a->missed = sg_calloc(n_states, delays * sizeof *a->missed)) &&
             (a->missed_of = sg_calloc(n_states, delays * sizeof *a->missed_of)),
         err, "sums");
    memcpy(a->states, states, n_states * sizeof *states);
    for (size_t i = 0; i < n_states; i++)
        a->sum_size[i] = sum_floats(states[i].units, embedding);
    a->moment_size = sum_moment_floats(embedding);
    a->n_states = n_states, a->D = delays, a->E = embedding, a->moments = moments;
    *out = a, a = NULL;
done:
    accum_free(a);
    return st;
}

static void free_set(const sg_accum *a, set_sums *s)
{
    for (size_t i = 0; s && s->state && i < a->n_states; i++) {
        sg_free(s->state[i].partial);
        sg_free(s->state[i].total);
        sg_free(s->state[i].moment_partial);
        sg_free(s->state[i].moment_total);
    }
    if (s) {
        sg_free(s->state);
        sg_free(s->pairs);
        sg_free(s->sampled);
        sg_free(s->moment);
        sg_free(s->since);
        sg_free(s->moment_since);
    }
    sg_free(s);
}

void accum_free(sg_accum *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n_sets; i++)
        free_set(a, a->set[i]);
    sg_free(a->set);
    sg_free(a->missed);
    sg_free(a->missed_of);
    sg_free(a->states);
    sg_free(a->sum_size);
    sg_free(a);
}

static set_sums *new_set(const sg_accum *a)
{
    set_sums *s = sg_calloc(1, sizeof *s);
    bool ok = s && (s->state = sg_calloc(a->n_states, sizeof *s->state)) &&
              (s->pairs = sg_calloc(a->D, sizeof *s->pairs)) &&
              (s->sampled = sg_calloc(a->D, sizeof *s->sampled)) &&
              (s->moment = sg_calloc(a->D, sizeof *s->moment)) &&
              (s->since = sg_calloc(a->D, sizeof *s->since)) &&
              (s->moment_since = sg_calloc(a->D, sizeof *s->moment_since));
    for (size_t i = 0; ok && i < a->n_states; i++) {
        state_sums *p = &s->state[i];
        ok = (p->partial = sg_calloc(a->D, a->sum_size[i] * sizeof *p->partial)) &&
             (p->total = sg_calloc(a->D, a->sum_size[i] * sizeof *p->total));
        if (ok && a->moments)
            ok = (p->moment_partial = sg_calloc(a->D, a->moment_size * sizeof *p->moment_partial)) &&
                 (p->moment_total = sg_calloc(a->D, a->moment_size * sizeof *p->moment_total));
    }
    if (!ok) {
        free_set(a, s);
        return NULL;
    }
    return s;
}

sg_status accum_need_set(sg_accum *a, size_t set, sg_error *err)
{
    while (a->n_sets <= set) {
        if (a->n_sets == a->room) {
            size_t room = a->room ? 2 * a->room : 16;
            set_sums **p = sg_regrow(a->set, a->room, room, sizeof *p);
            if (!p)
                return no_memory(err, "the sums of %zu class sets", room);
            a->set = p, a->room = room;
        }
        set_sums *s = new_set(a);
        if (!s)
            return no_memory(
                err, "class set %zu (%zu states of %zu x %zu x %zu numbers): set fewer classes or delays",
                a->n_sets, a->n_states, a->D, a->states[0].units, a->E);
        a->set[a->n_sets++] = s;
    }
    return SG_OK;
}

void accum_clear(sg_accum *a)
{
    memset(a->missed, 0, a->n_states * a->D * sizeof *a->missed);
    memset(a->missed_of, 0, a->n_states * a->D * sizeof *a->missed_of);
    for (size_t i = 0; i < a->n_sets; i++) {
        set_sums *s = a->set[i];
        for (size_t k = 0; k < a->n_states; k++) {
            state_sums *p = &s->state[k];
            for (size_t d = 0; d < a->D; d++) { /* most sets have few pairs: touch only what was used */
                size_t n = a->sum_size[k], q = a->moment_size;
                if (s->sampled[d]) {
                    memset(p->partial + d * n, 0, n * sizeof *p->partial);
                    memset(p->total + d * n, 0, n * sizeof *p->total);
                }
                if (s->moment[d]) {
                    memset(p->moment_partial + d * q, 0, q * sizeof *p->moment_partial);
                    memset(p->moment_total + d * q, 0, q * sizeof *p->moment_total);
                }
            }
        }
        memset(s->pairs, 0, a->D * sizeof *s->pairs);
        memset(s->sampled, 0, a->D * sizeof *s->sampled);
        memset(s->moment, 0, a->D * sizeof *s->moment);
        memset(s->since, 0, a->D * sizeof *s->since);
        memset(s->moment_since, 0, a->D * sizeof *s->moment_since);
    }
}

size_t accum_sets(const sg_accum *a)
{
    return a->n_sets;
}

size_t accum_bytes_per_set(const sg_accum_state *states, size_t n_states, size_t delays, size_t embedding,
                           bool moments)
{
    size_t n = 0, one = sizeof(float) + sizeof(double);
    for (size_t i = 0; i < n_states; i++)
        n += delays * one * sum_floats(states[i].units, embedding);
    if (moments)
        n += n_states * delays * one * sum_moment_floats(embedding);
    return n + delays * (3 * sizeof(uint64_t) + 2 * sizeof(uint32_t));
}

/* ---- what the engine adds ---- */

void accum_count(sg_accum *a, size_t set, size_t d, bool sampled)
{
    set_sums *s = a->set[set];
    s->pairs[d]++;
    s->sampled[d] += sampled;
    s->since[d] += sampled;
}

void accum_count_moment(sg_accum *a, size_t set, size_t d)
{
    a->set[set]->moment[d]++;
    a->set[set]->moment_since[d]++;
}

void accum_miss(sg_accum *a, size_t state, size_t d, double norm)
{
    a->missed[state * a->D + d] += norm;
    a->missed_of[state * a->D + d]++;
}

void accum_set_pairs(sg_accum *a, size_t set, size_t d, uint64_t pairs)
{
    a->set[set]->pairs[d] = pairs;
}

float *accum_partial(sg_accum *a, size_t state, size_t set, size_t d)
{
    return a->set[set]->state[state].partial + d * a->sum_size[state];
}

float *accum_moment_partial(sg_accum *a, size_t state, size_t set, size_t d)
{
    return a->set[set]->state[state].moment_partial + d * a->moment_size;
}

/* Up to max (set, d) that are due, from *cursor on; returns how many. */
static size_t list_due(const sg_accum *a, size_t *cursor, size_t max, size_t (*due)[2])
{
    size_t n = 0;
    for (; *cursor < a->n_sets * a->D && n < max; ++*cursor) {
        const set_sums *s = a->set[*cursor / a->D];
        size_t d = *cursor % a->D;
        if (s->since[d] > ACCUM_FLUSH_AFTER || s->moment_since[d] > ACCUM_FLUSH_AFTER)
            due[n][0] = *cursor / a->D, due[n][1] = d, n++;
    }
    return n;
}

static bool flush_one(sg_accum *a, size_t set, size_t d, bool (*flush)(size_t n, float *x, double *y))
{
    set_sums *s = a->set[set];
    bool finite = true;
    for (size_t k = 0; k < a->n_states; k++) {
        size_t n = a->sum_size[k], q = a->moment_size;
        state_sums *p = &s->state[k];
        if (s->since[d])
            finite = flush(n, p->partial + d * n, p->total + d * n) && finite;
        if (s->moment_since[d])
            finite = flush(q, p->moment_partial + d * q, p->moment_total + d * q) && finite;
    }
    s->since[d] = s->moment_since[d] = 0;
    return finite;
}

bool accum_flush_due(sg_accum *a, int threads, bool (*flush)(size_t n, float *x, double *y), size_t *set,
                     size_t *d)
{
    enum { BATCH = 256 };
    size_t due[BATCH][2], n, cursor = 0, first_bad = SIZE_MAX;
    while (first_bad == SIZE_MAX && (n = list_due(a, &cursor, BATCH, due)) > 0) {
#pragma omp parallel for num_threads(threads) schedule(dynamic) reduction(min : first_bad)
        for (size_t i = 0; i < n; i++)
            if (!flush_one(a, due[i][0], due[i][1], flush))
                first_bad = i;
    }
    if (first_bad != SIZE_MAX)
        *set = due[first_bad][0], *d = due[first_bad][1];
    return first_bad == SIZE_MAX;
}

/* ---- what is asked of it ---- */

uint64_t accum_pairs(const sg_accum *a, size_t set, size_t d)
{
    return set < a->n_sets ? a->set[set]->pairs[d] : 0;
}

uint64_t accum_sampled(const sg_accum *a, size_t set, size_t d)
{
    return set < a->n_sets ? a->set[set]->sampled[d] : 0;
}

static bool member(const sg_classes *k, size_t set, size_t c)
{
    return k ? sg_classes_contains(k, set, c) : c == 0;
}

uint64_t accum_class_pairs(const sg_accum *a, const sg_classes *k, size_t c, size_t d)
{
    uint64_t n = 0;
    for (size_t i = 0; i < a->n_sets; i++)
        n += member(k, i, c) ? accum_pairs(a, i, d) : 0;
    return n;
}

uint64_t accum_class_sampled(const sg_accum *a, const sg_classes *k, size_t c, size_t d)
{
    uint64_t n = 0;
    for (size_t i = 0; i < a->n_sets; i++)
        n += member(k, i, c) ? accum_sampled(a, i, d) : 0;
    return n;
}

double accum_class_sum(const sg_accum *a, size_t state, const sg_classes *k, size_t c, size_t d, double *sum)
{
    size_t n = a->sum_size[state];
    double weight = 0;
    memset(sum, 0, a->states[state].units * a->E * sizeof *sum);
    for (size_t i = 0; i < a->n_sets; i++) {
        const set_sums *s = a->set[i];
        if (!s->sampled[d] || !member(k, i, c))
            continue;
        const state_sums *p = &s->state[state];
        sum_read(a->states[state].units, a->E, (double)s->pairs[d] / (double)s->sampled[d], p->total + d * n,
                 p->partial + d * n, sum);
        weight += (double)s->pairs[d];
    }
    return weight;
}

double accum_class_moment(const sg_accum *a, size_t state, const sg_classes *k, size_t c, size_t d,
                          double *sum)
{
    size_t n = a->moment_size;
    double weight = 0;
    memset(sum, 0, a->E * a->E * sizeof *sum);
    for (size_t i = 0; a->moments && i < a->n_sets; i++) {
        const set_sums *s = a->set[i];
        if (!s->moment[d] || !member(k, i, c))
            continue;
        const state_sums *p = &s->state[state];
        sum_read_moment(a->E, (double)s->pairs[d] / (double)s->moment[d], p->moment_total + d * n,
                        p->moment_partial + d * n, sum);
        weight += (double)s->pairs[d];
    }
    return weight;
}

uint64_t accum_missed(const sg_accum *a, size_t state, size_t d, double *sum)
{
    *sum = a->missed[state * a->D + d];
    return a->missed_of[state * a->D + d];
}

/* ---- checkpoints ---- */

/* Everything of a set, in one order for writing and reading. Returns false when the file does not take or
 * give it. */
static bool transfer_set(const sg_accum *a, set_sums *s, FILE *f,
                         bool (*move)(FILE *f, void *p, size_t bytes))
{
    bool ok = move(f, s->pairs, a->D * sizeof *s->pairs) && move(f, s->sampled, a->D * sizeof *s->sampled) &&
              move(f, s->moment, a->D * sizeof *s->moment) && move(f, s->since, a->D * sizeof *s->since) &&
              move(f, s->moment_since, a->D * sizeof *s->moment_since);
    for (size_t k = 0; ok && k < a->n_states; k++) {
        size_t n = a->D * a->sum_size[k], q = a->D * a->moment_size;
        state_sums *p = &s->state[k];
        ok = move(f, p->partial, n * sizeof *p->partial) && move(f, p->total, n * sizeof *p->total);
        if (ok && a->moments)
            ok = move(f, p->moment_partial, q * sizeof *p->moment_partial) &&
                 move(f, p->moment_total, q * sizeof *p->moment_total);
    }
    return ok;
}

static bool move_out(FILE *f, void *p, size_t bytes)
{
    return fwrite(p, 1, bytes, f) == bytes;
}

static bool move_in(FILE *f, void *p, size_t bytes)
{
    return fread(p, 1, bytes, f) == bytes;
}

enum { HEADER = 5 };
static void header(const sg_accum *a, uint64_t h[HEADER])
{
    h[0] = a->n_states, h[1] = a->D, h[2] = a->E, h[3] = a->moments, h[4] = 0;
    for (size_t i = 0; i < a->n_states; i++)
        h[4] = h[4] * 1000003 + a->states[i].layer * 31 + (uint64_t)a->states[i].kind * 7 +
               a->states[i].units * 131;
}

sg_status accum_save(const sg_accum *a, FILE *f, sg_error *err)
{
    uint64_t h[HEADER], sets = a->n_sets;
    header(a, h);
    size_t n = a->n_states * a->D;
    bool ok = move_out(f, h, sizeof h) && move_out(f, &sets, sizeof sets) &&
              move_out(f, a->missed, n * sizeof *a->missed) &&
              move_out(f, a->missed_of, n * sizeof *a->missed_of);
    for (size_t i = 0; ok && i < a->n_sets; i++)
        ok = transfer_set(a, a->set[i], f, move_out);
    return ok ? SG_OK
              : sg_fail(err, SG_EIO, "checkpoint: the sums of %zu class sets could not be written",
                        a->n_sets);
}

sg_status accum_load(sg_accum *a, FILE *f, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t want[HEADER], h[HEADER], sets = 0;
    accum_clear(a);
    header(a, want);
    if (!move_in(f, h, sizeof h) || !move_in(f, &sets, sizeof sets))
        return sg_fail(err, SG_EFORMAT, "checkpoint: cut short in the header of the sums");
    if (memcmp(h, want, sizeof h) || sets > INT32_MAX)
        return sg_fail(err, SG_EFORMAT,
                       "checkpoint: sums of %llu states, %llu delays, %llu inputs, expected %zu, %zu, "
                       "%zu",
                       (unsigned long long)h[0], (unsigned long long)h[1], (unsigned long long)h[2],
                       a->n_states, a->D, a->E);
    size_t n = a->n_states * a->D;
    if (!move_in(f, a->missed, n * sizeof *a->missed) || !move_in(f, a->missed_of, n * sizeof *a->missed_of))
        TRY(sg_fail(err, SG_EFORMAT, "checkpoint: cut short in the errors"));
    for (size_t i = 0; i < sets; i++) {
        TRY(accum_need_set(a, i, err));
        if (!transfer_set(a, a->set[i], f, move_in)) {
            for (size_t d = 0; d < a->D; d++) { /* clear touches what is counted only */
                a->set[i]->sampled[d] = 1;
                a->set[i]->moment[d] = a->moments;
            }
            TRY(sg_fail(err, SG_EFORMAT, "checkpoint: cut short in the sums of class set %zu", i));
        }
    }
done:
    if (st != SG_OK)
        accum_clear(a);
    return st;
}
