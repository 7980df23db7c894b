/* SPDX-License-Identifier: MIT */
#include "analysis/pass/external_gradients.h"
#include "analysis/pass/shared.h"

#include "base/base_internal.h"
#include "gradient/accum_internal.h"
#include "gradient/external_gradient.h"
#include "kernel/float_env.h"
#include "linalg/linalg.h"

#include <float.h>
#include <math.h>
#include <omp.h>
#include <string.h>

/* Positions of one SEGMENT of a fixed grid are added together; float32 sums are flushed between segments, so
 * that the same gradients in other calls give the same bytes. */
enum { SEGMENT = ACCUM_FLUSH_AFTER, WORTH_THREADS = 1 << 15 /* numbers */ };

/* A position of the text. */
typedef struct {
    uint64_t zero, first; /* the last zero state; the first origin that a pair with t here can have */
    int32_t id;
    uint16_t set;
    bool moment; /* second moments are taken of pairs with t here */
} place;

struct external_pass {
    analysis *an;
    block_sums *sums;
    external_gradient **rooms; /* (threads) */
    int threads;
    place *ring; /* positions read - ring_size .. read - 1 */
    size_t ring_size;
    uint64_t read, zero;
    external_order order; /* 0: nothing was added yet */
    uint64_t next;        /* positions before it are done */
    /* sums of the parts first_part .. first_part + n_open - 1, then cleared ones for later parts */
    sg_accum **open;
    size_t first_part, n_open, room;
    bool failed;
};

static sg_status open_rooms(external_pass *p, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    size_t H = 0, E = an->E;
    double *covariance = an->words ? sg_calloc(E * E, sizeof *covariance) : NULL;
    NEED((covariance || !an->words) && (p->rooms = sg_calloc((size_t)p->threads, sizeof *p->rooms)), err,
         "the covariance of %zu inputs", E);
    if (covariance)
        la_dgemm(LA_N, LA_T, E, E, E, 1, an->L[0], E, an->L[0], E, 0, covariance, E);
    for (size_t i = 0; i < an->n_states; i++)
        H = an->states[i].units > H ? an->states[i].units : H;
    for (int i = 0; i < p->threads; i++)
        TRY(external_gradient_new(&p->rooms[i], H, E, covariance, err));
done:
    sg_free(covariance);
    return st;
}

sg_status external_pass_new(external_pass **out, analysis *an, const char *run_path, sg_error *err)
{
    sg_status st = SG_OK;
    external_pass *p = sg_calloc(1, sizeof *p);
    *out = NULL;
    NEED(p, err, "the gradients");
    p->an = an;
    p->threads = analysis_threads(an);
    p->ring_size = an->D + SEGMENT;
    NEED(p->ring = sg_calloc(p->ring_size, sizeof *p->ring), err, "%zu delays", an->D);
    TRY(open_rooms(p, err));
    TRY(resume_sums(&p->sums, an, an->B * an->split, -1, run_path, err));
    *out = p, p = NULL;
done:
    external_pass_free(p);
    return st;
}

void external_pass_free(external_pass *p)
{
    if (!p)
        return;
    for (int i = 0; p->rooms && i < p->threads; i++)
        external_gradient_free(p->rooms[i]);
    for (size_t i = 0; i < p->room; i++)
        accum_free(p->open[i]);
    sums_free(p->sums);
    sg_free(p->rooms);
    sg_free(p->open);
    sg_free(p->ring);
    sg_free(p);
}

/* ---- pairs ---- */

static place *at(const external_pass *p, uint64_t t)
{
    return &p->ring[t % p->ring_size];
}

/* Everything that pairs of this position touch is in the ring. */
static sg_status read_for(external_pass *p, uint64_t position, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    uint64_t until = position + (p->order == GIVEN_ORIGINS ? an->D : 1);
    until = until < an->T ? until : an->T;
    while (p->read < until) {
        sg_step steps[PORTION];
        size_t n = until - p->read < PORTION ? (size_t)(until - p->read) : PORTION;
        TRY(sg_stream_read(an->stream, p->read, n, steps, err));
        for (size_t i = 0; i < n; i++, p->read++) {
            uint64_t t = p->read, first = 0;
            if (an->used.handling == SG_RESET && steps[i].first)
                p->zero = t;
            if (an->used.handling == SG_RESET)
                first = p->zero;
            if (an->used.handling == SG_WINDOW)
                first = t - t % an->used.window;
            *at(p, t) = (place){p->zero, first, steps[i].id, steps[i].set,
                                engine_moment_due(an->used.second_moment_every, t)};
        }
    }
done:
    return st;
}

/* Entry d of a position: the pair (t, s); false: the text has no such pair. */
static bool in_text(const external_pass *p, uint64_t position, size_t d, uint64_t *s, uint64_t *t)
{
    if (p->order == GIVEN_STEPS && d > position)
        return false;
    *s = p->order == GIVEN_ORIGINS ? position : position - d;
    *t = *s + d;
    return *t < p->an->T;
}

/* The same for the pairs that count. */
static bool counts(const external_pass *p, uint64_t position, size_t d, uint64_t *s, uint64_t *t)
{
    return in_text(p, position, d, s, t) && at(p, *t)->first <= *s &&
           *s - at(p, *s)->zero >= p->an->used.burn_in;
}

/* ---- parts of blocks ---- */

static size_t part_of(const external_pass *p, uint64_t t)
{
    size_t f = p->first_part;
    while (analysis_part_start(p->an, f + 1) <= t)
        f++;
    return f;
}

static sg_accum *sums_of(const external_pass *p, size_t part)
{
    return p->open[part - p->first_part];
}

static sg_status open_part(external_pass *p, size_t part, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    for (; p->n_open <= part - p->first_part; p->n_open++) {
        if (p->n_open == p->room) {
            sg_accum **more = sg_regrow(p->open, p->room, p->room + 1, sizeof *more);
            NEED(more, err, "%zu blocks", p->room + 1);
            p->open = more, p->room++;
        }
        if (!p->open[p->n_open])
            TRY(accum_new(&p->open[p->n_open], an->states, an->n_states, an->D, an->E, true, err));
    }
done:
    return st;
}

/* Parts that no pair of a position from `position` on can reach. */
static sg_status close_parts(external_pass *p, uint64_t position, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t parts = p->an->B * p->an->split;
    while (p->first_part < parts && analysis_part_start(p->an, p->first_part + 1) <= position) {
        TRY(open_part(p, p->first_part, err));
        sg_accum *done_with = p->open[0];
        TRY(class_sums_block(p->an, 0, done_with, p->sums, NULL, p->first_part, NULL, err));
        accum_clear(done_with);
        memmove(p->open, p->open + 1, (p->room - 1) * sizeof *p->open);
        p->open[p->room - 1] = done_with;
        p->first_part++, p->n_open--;
    }
done:
    return st;
}

/* ---- what is added ---- */

/* The sums of word `id`, where there are sums by word. */
static bool is_word(const external_pass *p, int32_t id)
{
    return p->an->words && id >= 0 && (size_t)id < p->an->V;
}

/* x of all words, and of <eos> or <unk>, of a pair whose input is word id. */
static void add_square(const external_pass *p, double x[SUMS_WORDS], int32_t id, double value)
{
    x[SUMS_ALL_WORDS] += value;
    if (id == sg_vocab_eos(p->an->vocab))
        x[SUMS_EOS] += value;
    if (id == sg_vocab_unk(p->an->vocab))
        x[SUMS_UNK] += value;
}

/* The pairs of a position exist; drawn: their gradients are added as well. */
static sg_status count(external_pass *p, uint64_t position, bool drawn, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    TRY(read_for(p, position, err));
    for (size_t d = 0; d < an->D; d++) {
        uint64_t s, t;
        if (!counts(p, position, d, &s, &t))
            continue;
        size_t part = part_of(p, t), set = at(p, s)->set;
        int32_t id = at(p, s)->id;
        TRY(open_part(p, part, err));
        TRY(accum_need_set(sums_of(p, part), set, err));
        accum_count(sums_of(p, part), set, d, drawn);
        if (!drawn || !at(p, t)->moment)
            continue;
        accum_count_moment(sums_of(p, part), set, d);
        if (!is_word(p, id))
            continue;
        word_sums_pairs(an->words, (size_t)id)[d]++;
        for (size_t g = 0; g < an->n_states; g++)
            add_square(p, sums_squares_at(p->sums, part, g, d)->pairs, id, 1);
    }
    p->next = position + 1;
done:
    return st;
}

/* Entry d of a position; gradient[i] is its gradient of state i. */
static void add_pair(const external_pass *p, external_gradient *x, uint64_t position, size_t d,
                     const float *const *gradient, size_t offset)
{
    const analysis *an = p->an;
    uint64_t s, t;
    if (!counts(p, position, d, &s, &t))
        return;
    size_t part = part_of(p, t), set = at(p, s)->set;
    int32_t id = at(p, s)->id;
    for (size_t i = 0; i < an->n_states; i++) {
        size_t H = an->states[i].units;
        external_gradient_add(x, sums_of(p, part), i, H, set, d, gradient[i] + offset * H * an->E);
        if (!at(p, t)->moment)
            continue;
        double square = external_gradient_add_moment(x, sums_of(p, part), i, set, d);
        if (!is_word(p, id))
            continue;
        word_sums_add(an->words, i, (size_t)id, d, square);
        add_square(p, sums_squares_at(p->sums, part, i, d)->square, id, square);
    }
}

/* Threads for the gradients of n positions: waking them takes longer than adding few numbers. */
static int threads_for(const external_pass *p, size_t n)
{
    const analysis *an = p->an;
    size_t numbers = 0;
    for (size_t i = 0; i < an->n_states; i++)
        numbers += n * an->D * an->states[i].units * an->E;
    return numbers < WORTH_THREADS ? 1 : p->threads;
}

/* Positions of one segment. A thread has a delay to itself, and adds to its sums in the order of
 * positions. */
static void add_segment(external_pass *p, const uint64_t *positions, size_t first, size_t n,
                        const float *const *G)
{
    const size_t D = p->an->D;
#pragma omp parallel num_threads(threads_for(p, n))
    {
        sg_float_env env = float_env_begin();
#pragma omp for schedule(dynamic)
        for (size_t d = 0; d < D; d++)
            for (size_t i = first; i < first + n; i++)
                add_pair(p, p->rooms[omp_get_thread_num()], positions[i], d, G, i * D + d);
        float_env_end(env);
    }
}

static sg_status flush(external_pass *p, sg_error *err)
{
    size_t set, d;
    for (size_t i = 0; i < p->n_open; i++)
        if (!external_gradient_flush(p->open[i], p->threads, &set, &d))
            return sg_fail(err, SG_ENONFINITE, "the sums of gradients at delay %zu are not finite", d);
    return SG_OK;
}

/* Positions before `until` that have no gradient. */
static sg_status leave_out(external_pass *p, uint64_t until, sg_error *err)
{
    sg_status st = SG_OK;
    while (p->next < until) {
        TRY(count(p, p->next, false, err));
        TRY(close_parts(p, p->next, err));
    }
done:
    return st;
}

static sg_status add_all(external_pass *p, const uint64_t *positions, size_t n, const float *const *G,
                         sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t first = 0, m; first < n; first += m) {
        uint64_t segment = positions[first] / SEGMENT;
        if (p->next && (p->next - 1) / SEGMENT != segment)
            TRY(flush(p, err));
        TRY(leave_out(p, positions[first], err));
        for (m = 0; first + m < n && positions[first + m] / SEGMENT == segment; m++) {
            while (p->next < positions[first + m])
                TRY(count(p, p->next, false, err));
            TRY(count(p, positions[first + m], true, err));
        }
        add_segment(p, positions, first, m, G);
        TRY(close_parts(p, p->next, err));
    }
done:
    return st;
}

/* ---- what is asked of the caller ---- */

static sg_status check_positions(const external_pass *p, const uint64_t *positions, size_t n, sg_error *err)
{
    const char *what = p->order == GIVEN_ORIGINS ? "origin" : "step";
    uint64_t next = p->next;
    for (size_t i = 0; i < n; i++) {
        if (positions[i] >= p->an->T)
            return sg_fail(err, SG_EINVAL, "%s %ju: the text has %ju tokens, expected 0 to %ju", what,
                           (uintmax_t)positions[i], (uintmax_t)p->an->T, (uintmax_t)(p->an->T - 1));
        if (positions[i] < next)
            return sg_fail(err, SG_EINVAL,
                           "%s %ju: comes after %s %ju, expected ascending positions, each once", what,
                           (uintmax_t)positions[i], what, (uintmax_t)(next - 1));
        next = positions[i] + 1;
    }
    return SG_OK;
}

#define LARGEST 1e15F /* of a gradient: sums of squares over a text are finite in float32 */

static bool all_can_be_summed(size_t n, const float *x)
{
    int bad = 0;
    for (size_t i = 0; i < n; i++)
        bad |= !(fabsf(x[i]) <= LARGEST);
    return !bad;
}

/* Every number that is read is finite, and none is too large. */
static sg_status check_numbers(const external_pass *p, const uint64_t *positions, size_t n,
                               const float *const *G, sg_error *err)
{
    const analysis *an = p->an;
    const size_t D = an->D;
    size_t first_bad = SIZE_MAX;
    for (size_t i = 0; i < an->n_states && first_bad == SIZE_MAX; i++) {
        size_t HE = an->states[i].units * an->E;
#pragma omp parallel for num_threads(threads_for(p, n)) reduction(min : first_bad)
        for (size_t k = 0; k < n * D; k++) {
            uint64_t s, t;
            if (in_text(p, positions[k / D], k % D, &s, &t) && !all_can_be_summed(HE, G[i] + k * HE))
                first_bad = k < first_bad ? k : first_bad;
        }
        if (first_bad == SIZE_MAX)
            continue;
        const float *x = G[i] + first_bad * HE;
        size_t bad = 0;
        while (fabsf(x[bad]) <= LARGEST)
            bad++;
        char why[48] = "";
        if (isfinite(x[bad]))
            snprintf(why, sizeof why, "too large, at most %g expected", (double)LARGEST);
        return sg_fail(err, SG_EINVAL, "state %s: %s %ju, delay %zu: unit %zu, input %zu is %s (%g)",
                       an->groups[i].name, p->order == GIVEN_ORIGINS ? "origin" : "step",
                       (uintmax_t)positions[first_bad / D], first_bad % D, bad / an->E, bad % an->E,
                       why[0] ? why : "not finite", (double)x[bad]);
    }
    return SG_OK;
}

sg_status external_pass_add(external_pass *p, external_order order, const uint64_t *positions, size_t n,
                            const float *const *G, sg_error *err)
{
    sg_status st = SG_OK;
    const external_order before = p->order;
    if (p->failed)
        return sg_fail(err, SG_EINVAL, "the accumulator failed before: it takes no more gradients");
    if (before && before != order)
        return sg_fail(
            err, SG_EINVAL, "gradients by %s after gradients by %s: an accumulator takes one of them",
            order == GIVEN_ORIGINS ? "origins" : "steps", order == GIVEN_ORIGINS ? "steps" : "origins");
    if (!n)
        return SG_OK;
    p->order = order;
    st = check_positions(p, positions, n, err);
    if (st == SG_OK)
        st = check_numbers(p, positions, n, G, err);
    if (st != SG_OK) {
        p->order = before;
        return st;
    }
    p->failed = true; /* unless all of it is added */
    TRY(add_all(p, positions, n, G, err));
    p->failed = false;
done:
    return st;
}

sg_status external_pass_finish(external_pass *p, block_sums **sums, sg_error *err)
{
    sg_status st = SG_OK;
    *sums = NULL;
    if (p->failed)
        return sg_fail(err, SG_EINVAL, "the accumulator failed before: there is nothing to finish");
    if (!p->order)
        return sg_fail(err, SG_EINVAL, "no gradient was added");
    p->failed = true;
    TRY(leave_out(p, p->an->T, err));
    TRY(close_parts(p, p->an->T, err));
    *sums = p->sums;
    p->sums = NULL;
done:
    return st;
}
