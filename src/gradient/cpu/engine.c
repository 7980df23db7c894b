/* SPDX-License-Identifier: MIT */
#include "gradient/cpu/engine_internal.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { MERGED_STRIPS = 4 };

/* ---- sizes ---- */

/* Columns of a layer's step matrix. */
static size_t step_columns(const sg_model_shape *s, size_t l)
{
    return (cell_of(s->cell)->recurrence == CELL_DENSE ? s->hidden[l] : 0) + (l ? s->hidden[l - 1] : 0);
}

/* Tokens of a block: enough that a step matrix is read for many columns, few where the matrices are large. */
static size_t block_tokens(const sg_model_shape *s)
{
    size_t one = 0, P = cell_states(cell_of(s->cell));
    for (size_t l = 0; l < s->layers; l++)
        one += P * s->hidden[l] * step_columns(s, l) * sizeof(float);
    return one * 8 <= (size_t)16 << 20 ? 8 : 4;
}

/* Floats of a group of origins: all strips of all layers. */
static size_t group_floats(const sg_engine *e)
{
    size_t n = 0;
    for (size_t l = 0; l < e->L; l++)
        n += e->P * (e->block * e->full + e->joined) * e->layer[l].strip;
    return n;
}

bool engine_shares_bases(const sg_model_shape *s)
{
    return cell_of(s->cell)->recurrence == CELL_DENSE;
}

void engine_cost(double *flops, size_t *bytes, const sg_model_shape *s, const sg_engine_config *cfg)
{
    enum { DIRECTIONS = 32 }; /* of a basis, as a guess */
    size_t products = cell_states(cell_of(s->cell)), columns;
    double P = (double)products, D = (double)cfg->delays, E = (double)s->embedding, f = 0, shared = 0;
    size_t block = block_tokens(s), floats = 0, delays = cfg->delays;
    if (engine_shares_bases(s) && cfg->long_after && 2 * cfg->long_after < delays) {
        delays = 2 * cfg->long_after, D = 1.5 * (double)cfg->long_after;
        shared = (double)(cfg->delays - delays);
    }
    size_t groups = (delays + 2 * block - 2) / block;
    for (size_t l = 0; l < s->layers; l++) {
        double H = (double)s->hidden[l], below = l ? (double)s->hidden[l - 1] : 0, bases = 0;
        columns = step_columns(s, l);
        if (shared > 0)
            bases = shared / (double)cfg->long_after * DIRECTIONS;
        /* a multiplication and an addition for the diagonal, K1 of each for the recurrent part, if there is
         * one */
        double recurrent = (double)columns - below;
        f += 2 * P * H *
             (E * ((recurrent > 0 ? recurrent : 1) * (D - 1) + below * D) + bases * (double)columns);
        floats += products * s->hidden[l] * (groups * block * s->embedding + block * columns) +
                  sg_cell_gates(s->cell) * s->hidden[l] * columns + (size_t)(bases * (P + (double)block) * H);
    }
    for (size_t i = 0; i < cfg->n_states; i++)
        f += 2 * shared * DIRECTIONS * E * (double)cfg->states[i].units;
    if (flops)
        *flops = f;
    if (bytes)
        *bytes = (floats + (size_t)(shared * DIRECTIONS * E)) * sizeof(float);
}

size_t engine_shared(const sg_engine *e, size_t *directions)
{
    size_t n = 0;
    *directions = 0;
    for (size_t i = 0; i < e->n_bases; i++)
        n += e->bases[i]->n, *directions += e->bases[i]->r;
    return n;
}

/* ---- making and freeing ---- */

static sg_status check(const sg_model_shape *s, const sg_engine_config *cfg, sg_error *err)
{
    if (!cfg->delays || cfg->delays > SIZE_MAX / sizeof(double) / s->embedding / 64)
        return sg_fail(err, SG_EINVAL, "gradient: %zu delays, expected 1 or more", cfg->delays);
    if (cfg->handling == SG_WINDOW && !cfg->window)
        return sg_fail(err, SG_EINVAL, "gradient: a window of 0 tokens");
    if (cfg->long_tolerance < 0 || cfg->long_tolerance >= 1)
        return sg_fail(err, SG_EINVAL, "gradient: a tolerance of %g, expected 0 to 1", cfg->long_tolerance);
    for (size_t i = 0; i < cfg->n_states; i++) {
        const sg_accum_state *q = &cfg->states[i];
        bool kind = q->kind != SG_STATE_BOTH && (q->kind & sg_cell_states(s->cell));
        if (q->layer < 1 || q->layer > s->layers || !kind || q->units != s->hidden[q->layer - 1])
            return sg_fail(err, SG_EINVAL,
                           "gradient: no %s state of %zu units in layer %zu of a %s of %zu layers",
                           cell_state_name(q->kind), q->units, q->layer, sg_cell_name(s->cell), s->layers);
    }
    return cfg->n_states ? SG_OK : sg_fail(err, SG_EINVAL, "gradient: no state asked for");
}

static void configure(sg_engine *e, const sg_model *m, const sg_engine_config *cfg)
{
    const sg_model_shape *s = sg_model_get_shape(m);
    e->model = m, e->kernels = kernels_best()->gradient;
    e->cell = cell_of(s->cell), e->L = s->layers, e->E = s->embedding, e->D = cfg->delays;
    e->P = cell_states(e->cell), e->G = e->cell->gates;
    e->block = e->spares = block_tokens(s);
    e->full = e->E / SG_STRIP, e->rest = e->E % SG_STRIP;
    e->joined = (e->block * e->rest + SG_STRIP - 1) / SG_STRIP;
    e->threads = cfg->threads > 0 ? cfg->threads : omp_get_max_threads();
    e->go_on = cfg->go_on, e->go_on_ctx = cfg->go_on_ctx;
    e->handling = cfg->handling, e->window = cfg->window, e->burn_in = cfg->burn_in;
    e->moment_every = cfg->second_moment_every;
    e->cut_every = engine_shares_bases(s) ? (cfg->long_after + e->block - 1) / e->block * e->block : 0;
    e->tolerance = cfg->long_tolerance > 0 ? cfg->long_tolerance : 1e-6;
    e->exact = cfg->start;
    /* few strips fit the cache together; shared bases take second moments at the block's end only */
    if (cfg->origin_rate > 0) { /* an even number of groups where all steps are origins, else about eight */
        double groups = cfg->origin_rate >= 1 ? 2 : 8 / fmax(cfg->origin_rate, 1e-6);
        uint64_t even = 2 * (e->cut_every ? e->cut_every : e->block);
        e->grid = ((uint64_t)(groups * (double)e->block) + even - 1) / even * even;
    }
    e->merged = e->moment_every && !e->cut_every && e->full + (e->rest > 0) <= MERGED_STRIPS;
    e->sample = cfg->sample, e->sample_ctx = cfg->sample_ctx;
    e->position = e->boundary = e->zero = cfg->start;
    e->n_states = cfg->n_states;
    for (size_t l = 0; l < SG_MAX_LAYERS; l++)
        e->sum_of[l][0] = e->sum_of[l][1] = NONE;
    for (size_t i = 0; i < cfg->n_states; i++) {
        size_t rows = (cfg->states[i].units + SG_STRIP - 1) / SG_STRIP * SG_STRIP;
        e->basis_rows = rows > e->basis_rows ? rows : e->basis_rows;
        e->sum_of[cfg->states[i].layer - 1][cfg->states[i].kind == SG_STATE_HIDDEN] = i;
    }
}

/* What sums by word need: the covariance as second moments lie in memory, room for one of each thread. */
static sg_status open_words(sg_engine *e, const sg_engine_config *cfg, sg_error *err)
{
    size_t n = sum_moment_floats(e->E);
    if (!(e->word = sg_calloc(e->D + BLOCK_MAX, sizeof *e->word)))
        return no_memory(err, "the gradients");
    if (!cfg->words || !e->moment_every)
        return SG_OK;
    if (!(e->covariance = sg_calloc(n, sizeof *e->covariance)) ||
        !(e->moment = sg_calloc((size_t)e->threads * n, sizeof *e->moment)) ||
        !(e->squared = sg_calloc(BLOCK_MAX * e->n_states, e->D * sizeof *e->squared)))
        return no_memory(err, "sums by word");
    sum_moment_weights(e->E, cfg->covariance, e->covariance);
    e->words = cfg->words, e->first_state = cfg->first_state, e->origin_weight = cfg->origin_weight;
    return SG_OK;
}

sg_status engine_new(sg_engine **out, const sg_model *m, const sg_engine_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    sg_engine *e = NULL;
    *out = NULL;
    TRY(check(sg_model_get_shape(m), cfg, err));
    NEED(e = sg_calloc(1, sizeof *e), err, "the gradient");
    configure(e, m, cfg);
    size_t threads = (size_t)e->threads, spare = 0, at = 0;
    for (size_t l = 0; l < e->L; l++) {
        TRY(engine_layer_init(&e->layer[l], e, l, err));
        spare += threads * e->spares * e->layer[l].strip;
        e->strip_max = e->layer[l].strip > e->strip_max ? e->layer[l].strip : e->strip_max;
    }
    NEED((e->states = sg_calloc(e->n_states, sizeof *e->states)) &&
             (e->past = sg_calloc(e->D, sizeof *e->past)) &&
             (e->spare = sg_calloc(threads * e->L * e->spares, sizeof *e->spare)) &&
             (e->spare_memory = sg_calloc(spare, sizeof *e->spare_memory)) &&
             (e->gathered = sg_calloc(threads * e->strip_max, sizeof *e->gathered)) &&
             (e->features = sg_calloc(e->block * e->E, sizeof *e->features)),
         err, "%d threads", e->threads);
    memcpy(e->states, cfg->states, e->n_states * sizeof *e->states);
    for (size_t i = 0; i < threads * e->L * e->spares; i++) {
        e->spare[i] = e->spare_memory + at;
        at += e->layer[i / e->spares % e->L].strip;
    }
    TRY(open_words(e, cfg, err));
    TRY(forward_new(&e->forward, m, e->block, err));
    *out = e, e = NULL;
done:
    engine_free(e);
    return st;
}

sg_status engine_new_accum(const sg_engine *e, sg_accum **out, sg_error *err)
{
    return accum_new(out, e->states, e->n_states, e->D, e->E, e->moment_every > 0, err);
}

static void free_group(group *g)
{
    if (!g)
        return;
    sg_free(g->memory);
    sg_free(g->pointers);
    sg_free(g);
}

void engine_free(sg_engine *e)
{
    if (!e)
        return;
    for (size_t b = 0; b < e->n_groups; b++)
        free_group(e->groups[b]);
    for (group *g = e->free_groups, *next; g; g = next) {
        next = g->next;
        free_group(g);
    }
    for (size_t i = 0; i < e->n_bases; i++)
        basis_free(e->bases[i]);
    for (size_t l = 0; l < e->L; l++)
        engine_layer_free(&e->layer[l]);
    sg_free(e->bases);
    sg_free(e->groups);
    sg_free(e->done);
    sg_free(e->states);
    sg_free(e->past);
    sg_free(e->spare);
    sg_free(e->spare_memory);
    sg_free(e->gathered);
    sg_free(e->features);
    sg_free(e->word);
    sg_free(e->covariance);
    sg_free(e->moment);
    sg_free(e->squared);
    forward_free(e->forward);
    sg_free(e);
}

/* ---- groups of origins ---- */

static group *new_group(sg_engine *e)
{
    size_t strips = e->block * e->full + e->joined;
    group *g = sg_calloc(1, sizeof *g);
    if (!g || !(g->memory = sg_calloc(group_floats(e), sizeof *g->memory)) ||
        !(g->pointers = sg_calloc(e->L * e->P * strips, sizeof *g->pointers))) {
        free_group(g);
        return NULL;
    }
    float **p = g->pointers, *memory = g->memory;
    for (size_t l = 0; l < e->L; l++)
        for (size_t k = 0; k < e->P; k++) {
            *(k ? &g->C[l] : &g->U[l]) = p;
            for (size_t s = 0; s < strips; s++, memory += e->layer[l].strip)
                *p++ = memory;
        }
    return g;
}

sg_status engine_open_group(sg_engine *e, sg_error *err)
{
    size_t strips = e->full + (e->rest > 0);
    if (e->n_groups == e->room) {
        size_t room = e->room ? 2 * e->room : 8;
        group **p = sg_regrow(e->groups, e->room, room, sizeof(group *));
        if (!p)
            return no_memory(err, "%zu groups of origins", room);
        e->groups = p;
        int *done = sg_regrow(e->done, e->done_room, room * strips, sizeof *done);
        if (!done)
            return no_memory(err, "%zu groups of origins", room);
        e->done = done, e->done_room = room * strips, e->room = room;
    }
    group *g = e->free_groups;
    if (g)
        e->free_groups = g->next;
    else if (!(g = new_group(e)))
        return no_memory(err, "%zu origins: set fewer delays", (e->n_groups + 1) * e->block);
    for (size_t l = 0; l < e->L; l++)
        for (size_t s = e->block * e->full; s < e->block * e->full + e->joined; s++) {
            memset(g->U[l][s], 0, e->layer[l].H * SG_STRIP * sizeof(float));
            if (g->C[l])
                memset(g->C[l][s], 0, e->layer[l].H * SG_STRIP * sizeof(float));
        }
    g->n = 0, g->next = NULL;
    e->groups[e->n_groups++] = g;
    return SG_OK;
}

/* Takes groups whose origins are all before `oldest` off the front. */
static void retire_groups(sg_engine *e, uint64_t oldest)
{
    size_t n = 0;
    while (n < e->n_groups && (!e->groups[n]->n || e->groups[n]->position[e->groups[n]->n - 1] < oldest)) {
        e->groups[n]->next = e->free_groups;
        e->free_groups = e->groups[n++];
    }
    if (!n)
        return;
    memmove(e->groups, e->groups + n, (e->n_groups - n) * sizeof *e->groups);
    e->n_groups -= n, e->first_group += n;
}

void engine_drop_groups(sg_engine *e)
{
    retire_groups(e, UINT64_MAX);
}

/* A group of its own for the first origin after a place of the grid, with an even number: an empty one goes
 * before it where the last has that. So the groups, and the order in which they add, are the same wherever
 * the engine began. */
static sg_status add_origin(sg_engine *e, uint64_t position, unsigned set, bool counts, sg_error *err)
{
    sg_status st = SG_OK;
    const group *last = e->n_groups ? e->groups[e->n_groups - 1] : NULL;
    bool begins = e->grid && (!last || position / e->grid != last->position[0] / e->grid);
    if (begins && !last)
        e->first_group = 0;
    if (begins && (e->first_group + e->n_groups) % 2)
        TRY(engine_open_group(e, err));
    if (begins || !last || last->n == e->block)
        TRY(engine_open_group(e, err));
    group *g = e->groups[e->n_groups - 1];
    g->position[g->n] = position, g->set[g->n] = set, g->counts[g->n] = counts;
    g->n++;
done:
    return st;
}

/* ---- a block of tokens ---- */

/* Token i enters: limits of its window, whether it is an origin, the pairs it closes. */
static sg_status enter_token(sg_engine *e, size_t i, sg_accum *a, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t t = e->position + i;
    const sg_step *step = &e->steps[i];
    if (e->handling == SG_RESET && step->first)
        e->boundary = e->zero = t;
    if (e->handling == SG_WINDOW && t - t % e->window > e->boundary)
        e->boundary = t - t % e->window;
    if (e->mode[i] == STEP_SKIPPED)
        e->boundary = t + 1;
    uint64_t oldest = t + 1 > e->D && t + 1 - e->D > e->boundary ? t + 1 - e->D : e->boundary;
    past_step *now = &e->past[t % e->D];
    e->word[t % (e->D + BLOCK_MAX)] = step->id;
    *now = (past_step){.set = step->set, .counts = t - e->zero >= e->burn_in};
    now->origin = e->mode[i] != STEP_SKIPPED && (!e->sample || e->sample(e->sample_ctx, t, step->set));
    if (now->origin)
        TRY(add_origin(e, t, step->set, now->counts, err));
    bool counted = a && e->mode[i] == STEP_COUNTED, live = false;
    if (counted)
        TRY(accum_need_set(a, step->set, err));
    for (uint64_t s = oldest; s <= t; s++) {
        const past_step *p = &e->past[s % e->D];
        live = live || p->origin;
        if (counted && p->counts) {
            TRY(accum_need_set(a, p->set, err));
            accum_count(a, p->set, (size_t)(t - s), p->origin);
        }
    }
    bool moment = counted && engine_moment_due(e->moment_every, t);
    e->token[i] = (block_token){t, oldest, e->exact, counted, live, moment};
done:
    return st;
}

static sg_status run_block(sg_engine *e, sg_accum *a, sg_error *err)
{
    sg_status st = SG_OK;
    int32_t ids[BLOCK_MAX];
    bool first[BLOCK_MAX], words = sg_model_get_shape(e->model)->vocabulary > 0, live = false;
    size_t n = e->pending, set = 0, d = 0;
    la_serial_begin(); /* the same bytes for any number of threads */
    for (size_t i = 0; i < n; i++)
        ids[i] = e->steps[i].id, first[i] = e->steps[i].first && e->handling == SG_RESET;
    e->pending = 0;
    TRY(forward_run(e->forward, words ? ids : NULL, words ? NULL : e->features, first, n, err));
    for (size_t i = 0; i < n; i++) {
        TRY(enter_token(e, i, a, err));
        live = live || e->token[i].live;
    }
    e->n_tokens = n;
    bool finite = !live || engine_step(e, a, &set, &d);
    if (e->stopped)
        TRY(sg_fail(err, SG_ECANCELLED, "stopped"));
    if (!finite)
        TRY(sg_fail(err, SG_ENONFINITE,
                    "gradient: the state gradients at delay %zu are not finite near token %llu", d,
                    (unsigned long long)e->position));
    e->position += n;
    if (e->cut_every)
        TRY(basis_cut(e, e->token[n - 1].oldest, err));
    retire_groups(e, e->token[n - 1].oldest > e->exact ? e->token[n - 1].oldest : e->exact);
done:
    la_serial_end();
    return st;
}

/* The one of positions window*every .. window*every + every - 1 at which moments are due. */
static uint64_t due_in(uint64_t every, uint64_t window)
{
    sg_rng r;
    sg_rng_seed(&r, 0x5ec0d, window);
    return window * every + sg_rng_below(&r, every);
}

bool engine_moment_due(uint64_t every, uint64_t position)
{
    return every && position == due_in(every, position / every);
}

/* Does the block end with the step at this position? The grid is fixed in the stream: second moments are
 * taken at a block's last token (unless merged); after that, and without them, every `block` tokens; and
 * where old origins are cut. */
static bool block_ends(const sg_engine *e, uint64_t position)
{
    uint64_t every = e->merged ? 0 : e->moment_every, window = every ? position / every : 0, after = 0;
    if (every && due_in(every, window) <= position)
        after = due_in(every, window) + 1;
    else if (window)
        after = due_in(every, window - 1) + 1;
    return after == position + 1 || (position + 1 - after) % e->block == 0 ||
           (e->cut_every && (position + 1) % e->cut_every == 0);
}

static sg_status take(sg_engine *e, const sg_step *steps, const float *features, size_t n, step_mode mode,
                      sg_accum *a, sg_error *err)
{
    sg_status st = SG_OK;
    if (!features && !sg_model_get_shape(e->model)->vocabulary)
        return sg_fail(err, SG_EINVAL, "gradient: the model has no embedding: feature vectors are needed");
    for (size_t i = 0; i < n; i++) {
        e->steps[e->pending] = steps[i], e->mode[e->pending] = mode;
        if (features)
            memcpy(e->features + e->pending * e->E, features + i * e->E, e->E * sizeof *features);
        e->pending++;
        if (block_ends(e, e->position + e->pending - 1))
            TRY(run_block(e, a, err));
    }
done:
    return st;
}

sg_status engine_run(sg_engine *e, const sg_step *steps, const float *features, size_t n, bool counted,
                     sg_accum *a, sg_error *err)
{
    return take(e, steps, features, n, counted ? STEP_COUNTED : STEP_WARM, a, err);
}

sg_status engine_flush(sg_engine *e, sg_accum *a, sg_error *err)
{
    return e->pending ? run_block(e, a, err) : SG_OK;
}

uint64_t engine_warm_start(const sg_engine *e, uint64_t t)
{
    uint64_t before = e->D - 1 + 2 * e->cut_every;
    return t > before && e->grid ? (t - before) / e->grid * e->grid : 0;
}

sg_status engine_skip(sg_engine *e, const sg_step *steps, const float *features, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t i = 0; i < e->pending; i++)
        if (e->mode[i] != STEP_SKIPPED)
            return sg_fail(err, SG_EINVAL, "gradient: steps are pending: flush before skipping");
    TRY(take(e, steps, features, n, STEP_SKIPPED, NULL, err));
done:
    return st;
}

void engine_start(sg_engine *e, uint64_t position, const float *state, uint64_t zero)
{
    engine_drop_groups(e);
    basis_drop(e, UINT64_MAX);
    /* nothing is left of what was before: the same bytes wherever the engine comes from */
    e->first_group = 0;
    e->position = e->boundary = e->exact = position;
    e->zero = zero;
    memset(e->past, 0, e->D * sizeof *e->past);
    forward_set_state(e->forward, state);
}

size_t engine_state_size(const sg_engine *e)
{
    return forward_state_size(e->forward);
}

void engine_get_state(const sg_engine *e, float *state)
{
    forward_get_state(e->forward, state);
}

uint64_t engine_position(const sg_engine *e)
{
    return e->position + e->pending;
}

bool engine_sampled(uint64_t seed, uint64_t position, double rate)
{
    sg_rng r;
    sg_rng_seed(&r, seed, position);
    return sg_rng_uniform(&r) < rate;
}
