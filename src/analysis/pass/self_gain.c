/* SPDX-License-Identifier: MIT */
/* Segments of the corpus, each with the states that its last origins need; states are carried from segment to
 * segment by one thread, segments are worked on in parallel, their sums added in order. Segments end at fixed
 * places, and chunks of the forward pass do: parts, ranks and threads give the same bytes. */
#include "analysis/pass/self_gain.h"

#include "analysis/pass/shared.h"
#include "base/base_internal.h"
#include "base/checkpoint.h"
#include "cell/cell.h"
#include "gradient/backend.h"
#include "gradient/self_gain.h"
#include "linalg/linalg.h"
#include "lm/forward.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* A segment is long, so that the steps after it are few in comparison. */
enum { SEGMENT = 1024, SEGMENT_DELAYS = 8, JOBS_PER_THREAD = 2, SEED_OF_ORIGINS = 0x6a1d };

/* One segment, within one part of a block. */
typedef struct {
    uint64_t begin, end, zero; /* zero: where the state was zero last, at begin */
    size_t part;
    float *state;  /* before token `begin` */
    double *sum;   /* (G) one after another, each (D, H) */
    double *pairs; /* (D) */
} job;

/* One thread's room. */
typedef struct {
    sg_forward *f;
    self_gains *layer[ANALYSIS_MAX_STATES]; /* of each state; NULL: that of an earlier one */
    sg_step *steps;                         /* (PORTION) */
    int32_t *ids;
    bool *first;
    float *features;
} room;

struct self_gain_pass {
    const analysis *an;
    size_t model, G, D, state_size, sum_size;
    size_t at[ANALYSIS_MAX_STATES];   /* of each state in a job's sums; two states of a layer share theirs */
    bool again[ANALYSIS_MAX_STATES];  /* its layer is that of an earlier state */
    uint64_t segment, position, zero; /* of the next segment; where the state was zero last */
    bool begun;                       /* `state` is that before `position` */
    double rate;                      /* share of the origins */
    self_gain_weights *weights[ANALYSIS_MAX_STATES];
    int threads;
    room *rooms;
    job *jobs;
    float *state;
    self_gain_sums *sums;
};

/* ---- making and freeing ---- */

static void sizes(self_gain_pass *x, const analysis *an)
{
    x->an = an, x->G = an->n_states, x->D = an->D, x->threads = analysis_threads(an);
    x->segment =
        SEGMENT_DELAYS * an->D > SEGMENT ? (SEGMENT_DELAYS * an->D + PORTION) / PORTION * PORTION : SEGMENT;
    for (size_t l = 0; l < an->shape->layers; l++)
        x->state_size += cell_states(cell_of(an->shape->cell)) * an->shape->hidden[l];
    for (size_t i = 0; i < x->G; i++) {
        x->at[i] = x->sum_size;
        for (size_t k = 0; k < i && !x->again[i]; k++)
            if (an->states[k].layer == an->states[i].layer)
                x->again[i] = true, x->at[i] = x->at[k];
        if (!x->again[i])
            x->sum_size += an->D * an->states[i].units;
    }
}

size_t self_gain_bytes(const analysis *an)
{
    self_gain_pass x = {0};
    size_t units[2 * ANALYSIS_MAX_STATES] = {0}, bytes = 0;
    sizes(&x, an);
    for (size_t g = 0; g < an->n_groups; g++)
        units[g] = an->groups[g].units;
    for (size_t i = 0; i < x.G; i++)
        bytes += x.again[i] ? 0 : self_gains_bytes(an->shape, an->states[i].layer - 1, an->D);
    return (size_t)x.threads * (bytes + JOBS_PER_THREAD * (x.sum_size + x.D) * sizeof(double)) +
           self_gain_sums_bytes(an->B * an->split, an->n_groups, an->D, units);
}

static void leave_model(self_gain_pass *x)
{
    for (int t = 0; x->rooms && t < x->threads; t++) {
        forward_free(x->rooms[t].f);
        x->rooms[t].f = NULL;
        for (size_t i = 0; i < x->G; i++)
            self_gains_free(x->rooms[t].layer[i]), x->rooms[t].layer[i] = NULL;
    }
    for (size_t i = 0; i < x->G; i++)
        self_gain_weights_free(x->weights[i]), x->weights[i] = NULL;
}

/* The weights of the model, and the rooms that use them; from the beginning of its rows. */
static sg_status use_model(self_gain_pass *x, size_t model, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = x->an;
    leave_model(x);
    x->model = model, x->position = analysis_part_start(an, an->first_row), x->zero = 0, x->begun = false;
    for (size_t i = 0; i < x->G; i++)
        if (!x->again[i])
            TRY(self_gain_weights_new(&x->weights[i], an->models[model], an->states[i].layer - 1, err));
    for (int t = 0; t < x->threads; t++) {
        TRY(forward_new(&x->rooms[t].f, an->models[model], PORTION, err));
        for (size_t i = 0; i < x->G; i++)
            if (!x->again[i])
                TRY(self_gains_new(&x->rooms[t].layer[i], x->weights[i], x->D, an->cfg->seed, err));
    }
done:
    return st;
}

static double share_of_origins(const analysis *an)
{
    const double T = (double)an->T;
    const double wanted = an->cfg->precision > 0 ? (double)an->reached.origins : (double)an->cfg->sample;
    return wanted > 0 && wanted < T ? wanted / T : 1;
}

sg_status self_gain_new(self_gain_pass **out, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    size_t units[2 * ANALYSIS_MAX_STATES] = {0};
    self_gain_pass *x = sg_calloc(1, sizeof *x);
    *out = NULL;
    NEED(x, err, "the self gains");
    sizes(x, an);
    x->rate = share_of_origins(an);
    TRY(la_room(x->threads, err));
    for (size_t g = 0; g < an->n_groups; g++)
        units[g] = an->groups[g].units;
    TRY(self_gain_sums_new(&x->sums, an->B * an->split, an->n_groups, x->D, units, err));
    NEED((x->rooms = sg_calloc((size_t)x->threads, sizeof *x->rooms)) &&
             (x->jobs = sg_calloc(JOBS_PER_THREAD * (size_t)x->threads, sizeof *x->jobs)) &&
             (x->state = sg_calloc(x->state_size, sizeof *x->state)),
         err, "the self gains");
    for (int t = 0; t < x->threads; t++) {
        room *r = &x->rooms[t];
        NEED((r->steps = sg_calloc(PORTION, sizeof *r->steps)) &&
                 (r->ids = sg_calloc(PORTION, sizeof *r->ids)) && (r->first = sg_calloc(PORTION, 1)) &&
                 (!an->features || (r->features = sg_calloc(PORTION, an->E * sizeof *r->features))),
             err, "the self gains");
    }
    for (size_t i = 0; i < JOBS_PER_THREAD * (size_t)x->threads; i++) {
        job *j = &x->jobs[i];
        NEED((j->state = sg_calloc(x->state_size, sizeof *j->state)) &&
                 (j->sum = sg_calloc(x->sum_size, sizeof *j->sum)) &&
                 (j->pairs = sg_calloc(x->D, sizeof *j->pairs)),
             err, "the self gains");
    }
    TRY(use_model(x, 0, err));
    *out = x, x = NULL;
done:
    self_gain_free(x);
    return st;
}

void self_gain_free(self_gain_pass *x)
{
    if (!x)
        return;
    leave_model(x);
    for (int t = 0; x->rooms && t < x->threads; t++) {
        room *r = &x->rooms[t];
        sg_free(r->steps), sg_free(r->ids), sg_free(r->first), sg_free(r->features);
    }
    for (size_t i = 0; x->jobs && i < JOBS_PER_THREAD * (size_t)x->threads; i++)
        sg_free(x->jobs[i].state), sg_free(x->jobs[i].sum), sg_free(x->jobs[i].pairs);
    self_gain_sums_free(x->sums);
    sg_free(x->rooms), sg_free(x->jobs), sg_free(x->state);
    sg_free(x);
}

self_gain_sums *self_gain_take(self_gain_pass *x)
{
    self_gain_sums *s = x->sums;
    x->sums = NULL;
    return s;
}

/* ---- states ---- */

/* Chunks of the forward pass end at multiples of PORTION, and segments at multiples of their length; both
 * where a part of a block ends. */
static uint64_t next_end(uint64_t t, uint64_t grid, uint64_t end)
{
    const uint64_t next = (t / grid + 1) * grid;
    return next < end ? next : end;
}

/* Steps t .. t+n-1 through the forward pass. */
static sg_status run_chunk(const self_gain_pass *x, room *r, uint64_t t, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = x->an;
    TRY(read_portion(an, t, n, r->steps, r->features, err));
    for (size_t i = 0; i < n; i++) {
        r->ids[i] = r->steps[i].id;
        r->first[i] = an->cfg->handling == SG_RESET && r->steps[i].first;
    }
    TRY(forward_run(r->f, an->features ? NULL : r->ids, an->features ? r->features : NULL, r->first, n, err));
done:
    return st;
}

/* From token t to `end`, within a part of a block: states alone. */
static sg_status walk(self_gain_pass *x, uint64_t t, uint64_t end, sg_error *err)
{
    sg_status st = SG_OK;
    room *r = &x->rooms[0];
    for (uint64_t stop; t < end; t = stop) {
        stop = next_end(t, PORTION, end);
        TRY(run_chunk(x, r, t, (size_t)(stop - t), err));
        for (size_t i = 0; i < stop - t; i++)
            x->zero = r->first[i] ? t + i : x->zero;
    }
done:
    return st;
}

/* The state before part `part` of the blocks, from where states begin. */
static sg_status begin_states(self_gain_pass *x, size_t part, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = x->an;
    const uint64_t start = analysis_part_start(an, part);
    uint64_t t;
    size_t row = 0;
    TRY(states_begin(an, start, x->rooms[0].steps, &t, err));
    forward_reset(x->rooms[0].f);
    if (!an->cfg->warm_up) /* the chunk in which a sentence begins is the same wherever states begin */
        t = t / PORTION * PORTION;
    x->zero = t;
    while (analysis_part_start(an, row + 1) <= t && row < part)
        row++;
    for (; row < part; row++) {
        const uint64_t end = analysis_part_start(an, row + 1);
        TRY(walk(x, t, end, err));
        t = end > t ? end : t;
    }
    forward_get_state(x->rooms[0].f, x->state);
    x->begun = true;
done:
    return st;
}

/* The next segment; the state goes on to its end. */
static sg_status plan_job(self_gain_pass *x, job *j, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = x->an;
    size_t part = an->first_row;
    while (analysis_part_start(an, part + 1) <= x->position)
        part++;
    if (!x->begun || (an->cfg->warm_up && x->position == analysis_part_start(an, part)))
        TRY(begin_states(x, part, err));
    j->begin = x->position, j->zero = x->zero, j->part = part;
    j->end = next_end(x->position, x->segment, analysis_part_start(an, part + 1));
    memcpy(j->state, x->state, x->state_size * sizeof *j->state);
    forward_set_state(x->rooms[0].f, x->state);
    TRY(walk(x, j->begin, j->end, err));
    forward_get_state(x->rooms[0].f, x->state);
    x->position = j->end;
done:
    return st;
}

/* ---- a segment ---- */

static bool is_origin(const self_gain_pass *x, const job *j, uint64_t t, uint64_t zero)
{
    const sg_analysis_config *cfg = x->an->cfg;
    return t < j->end && t - zero >= cfg->burn_in &&
           (!(x->rate < 1) || engine_sampled(cfg->seed ^ SEED_OF_ORIGINS, t, x->rate));
}

/* Step i of the chunk, at t, in every layer. Returns the origins that are alive. */
static size_t one_step(const self_gain_pass *x, room *r, job *j, size_t i, uint64_t t, uint64_t *zero)
{
    const sg_analysis_config *cfg = x->an->cfg;
    const bool cut = r->first[i] || (cfg->handling == SG_WINDOW && t % cfg->window == 0);
    size_t live = 0;
    *zero = r->first[i] ? t : *zero;
    const bool origin = is_origin(x, j, t, *zero);
    for (size_t s = 0; s < x->G; s++) {
        if (x->again[s])
            continue;
        if (cut)
            self_gains_drop(r->layer[s]);
        self_gains_step(r->layer[s], r->f, i, t, origin, j->sum + x->at[s]);
        live = self_gains_live(r->layer[s]);
        for (size_t k = 0; !s && k < live; k++)
            j->pairs[t - self_gains_origin(r->layer[s], k)]++;
    }
    return live;
}

static sg_status run_job(const self_gain_pass *x, room *r, job *j, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = x->an;
    uint64_t zero = j->zero;
    size_t live = 0;
    memset(j->sum, 0, x->sum_size * sizeof *j->sum);
    memset(j->pairs, 0, x->D * sizeof *j->pairs);
    for (size_t s = 0; s < x->G; s++)
        if (!x->again[s])
            self_gains_drop(r->layer[s]);
    forward_set_state(r->f, j->state);
    for (uint64_t t = j->begin, stop; t < j->end || (live && t < an->T); t = stop) {
        stop = next_end(t, PORTION, t < j->end ? j->end : an->T);
        TRY(run_chunk(x, r, t, (size_t)(stop - t), err));
        for (size_t i = 0; i < stop - t && (t < j->end || live); i++)
            live = one_step(x, r, j, i, t + i, &zero);
    }
    for (size_t s = 0; s < x->G; s++)
        for (size_t k = 0, n = x->D * an->states[s].units; k < n; k++)
            if (!isfinite(j->sum[x->at[s] + k]))
                TRY(sg_fail(
                    err, SG_ENONFINITE,
                    "layer %zu: the self gain of unit %zu is not finite at delay %zu after tokens %ju to %ju",
                    an->states[s].layer, k % an->states[s].units, k / an->states[s].units,
                    (uintmax_t)j->begin, (uintmax_t)(j->end - 1)));
done:
    return st;
}

/* Into the sums of its part: pairs are those of all models, and counted with the first. */
static void add_job(self_gain_pass *x, const job *j)
{
    const analysis *an = x->an;
    for (size_t s = 0; s < x->G; s++) {
        double *sum = self_gain_sums_at(x->sums, x->model * x->G + s, j->part);
        for (size_t k = 0; k < x->D * an->states[s].units; k++)
            sum[k] += j->sum[x->at[s] + k];
    }
    for (size_t d = 0; !x->model && d < x->D; d++)
        x->sums->pairs[j->part * x->D + d] += j->pairs[d];
}

/* ---- the pass ---- */

sg_status self_gain_round(self_gain_pass *x, bool *more, sg_error *err)
{
    sg_status failed = SG_OK;
    const analysis *an = x->an;
    const uint64_t end = analysis_part_start(an, an->end_row);
    size_t n = 0;
    *more = false;
    if (x->position >= end && x->model + 1 < an->n_models)
        failed = use_model(x, x->model + 1, err);
    while (failed == SG_OK && n < JOBS_PER_THREAD * (size_t)x->threads && x->position < end)
        failed = plan_job(x, &x->jobs[n++], err);
    if (failed != SG_OK)
        return failed;
#pragma omp parallel for schedule(dynamic, 1) num_threads(x->threads)
    for (size_t i = 0; i < n; i++) {
        sg_error inner = {""};
        const sg_status st = run_job(x, &x->rooms[omp_get_thread_num()], &x->jobs[i], &inner);
        if (st != SG_OK) {
#pragma omp critical(self_gain_failed)
            {
                failed = st;
                if (err)
                    *err = inner;
            }
        }
    }
    for (size_t i = 0; failed == SG_OK && i < n; i++) /* in their order, whichever was done first */
        add_job(x, &x->jobs[i]);
    *more = x->position < end || (x->model + 1 < an->n_models && an->first_row < an->end_row);
    return failed;
}

sg_progress self_gain_progress(const self_gain_pass *x)
{
    const analysis *an = x->an;
    const double begin = (double)analysis_part_start(an, an->first_row),
                 of_model = (double)analysis_part_start(an, an->end_row) - begin;
    return (sg_progress){"following single units",
                         (double)x->model * of_model + (double)x->position - begin,
                         (double)an->n_models * of_model,
                         0,
                         NAN,
                         0,
                         0};
}

/* ---- checkpoints ---- */

typedef struct {
    uint64_t model, position, zero, begun;
} header;

typedef sg_status transfer(FILE *f, void *x, size_t n, const char *path, sg_error *err);

static sg_status put(FILE *f, void *x, size_t n, const char *path, sg_error *err)
{
    return checkpoint_put(f, x, n, path, err);
}

static sg_status move_numbers(const self_gain_pass *x, FILE *f, transfer *move, const char *path,
                              sg_error *err)
{
    sg_status st = SG_OK;
    const self_gain_sums *s = x->sums;
    TRY(move(f, x->state, x->state_size * sizeof *x->state, path, err));
    TRY(move(f, s->pairs, s->F * s->D * sizeof *s->pairs, path, err));
    for (size_t g = 0; g < s->G; g++)
        TRY(move(f, s->sum[g], s->F * s->D * s->units[g] * sizeof(double), path, err));
done:
    return st;
}

sg_status self_gain_save(const self_gain_pass *x, FILE *f, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    const header h = {x->model, x->position, x->zero, x->begun};
    TRY(checkpoint_put(f, &h, sizeof h, path, err));
    TRY(move_numbers(x, f, put, path, err));
done:
    return st;
}

sg_status self_gain_load(self_gain_pass *x, FILE *f, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    header h;
    TRY(checkpoint_get(f, &h, sizeof h, path, err));
    if (h.model >= x->an->n_models || h.position > x->an->T || h.zero > h.position || h.begun > 1)
        TRY(sg_fail(err, SG_EFORMAT, "%s: does not fit this analysis", path));
    TRY(move_numbers(x, f, checkpoint_get, path, err));
    if (h.model != x->model)
        TRY(use_model(x, (size_t)h.model, err));
    x->position = h.position, x->zero = h.zero, x->begun = h.begun != 0;
done:
    return st;
}
