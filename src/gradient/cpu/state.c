/* SPDX-License-Identifier: MIT */
/* Checkpoints of the engine: its position in the stream, the recurrent state, and all origins. */
#include "gradient/cpu/engine_internal.h"

#include "base/base_internal.h"

#include <string.h>

static bool put(FILE *f, const void *p, size_t bytes)
{
    return fwrite(p, 1, bytes, f) == bytes;
}

static bool get(FILE *f, void *p, size_t bytes)
{
    return fread(p, 1, bytes, f) == bytes;
}

enum { HEADER = 12, AT = 7 };
static void header(const sg_engine *e, uint64_t h[HEADER])
{
    uint64_t units = 0;
    for (size_t l = 0; l < e->L; l++)
        units = units * 1000003 + e->layer[l].H;
    const uint64_t values[HEADER] = {(uint64_t)sg_model_get_shape(e->model)->cell,
                                     e->L,
                                     units,
                                     e->E,
                                     e->D,
                                     e->block,
                                     e->window,
                                     e->burn_in,
                                     (uint64_t)e->handling,
                                     e->moment_every,
                                     e->cut_every,
                                     0};
    memcpy(h, values, sizeof values);
    memcpy(&h[HEADER - 1], &e->tolerance, sizeof e->tolerance);
}

/* The strips of a group in one order, for writing and reading. */
static bool move_strips(const sg_engine *e, const group *g, FILE *f, bool out)
{
    size_t strips = e->block * e->full + e->joined;
    bool ok = true;
    for (size_t l = 0; l < e->L; l++)
        for (size_t s = 0; s < strips; s++) {
            size_t bytes = e->layer[l].H * SG_STRIP * sizeof(float);
            ok = ok && (out ? put(f, g->U[l][s], bytes) : get(f, g->U[l][s], bytes));
            if (g->C[l])
                ok = ok && (out ? put(f, g->C[l][s], bytes) : get(f, g->C[l][s], bytes));
        }
    return ok;
}

sg_status engine_save(const sg_engine *e, FILE *f, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t h[HEADER],
        at[AT] = {e->position, e->boundary, e->zero, e->n_groups, e->first_group, e->exact, e->n_bases};
    size_t n = forward_state_size(e->forward);
    float *state = NULL;
    if (e->pending)
        return sg_fail(err, SG_EINVAL, "gradient: %zu steps are pending: flush before a checkpoint",
                       e->pending);
    NEED(state = sg_calloc(n, sizeof *state), err, "the checkpoint");
    forward_get_state(e->forward, state);
    header(e, h);
    bool ok = put(f, h, sizeof h) && put(f, at, sizeof at) && put(f, state, n * sizeof *state) &&
              put(f, e->past, e->D * sizeof *e->past) &&
              put(f, e->word, (e->D + BLOCK_MAX) * sizeof *e->word);
    for (size_t b = 0; ok && b < e->n_groups; b++) {
        const group *g = e->groups[b];
        uint64_t origins = g->n;
        ok = put(f, &origins, sizeof origins) && put(f, g->position, sizeof g->position) &&
             put(f, g->set, sizeof g->set) && put(f, g->counts, sizeof g->counts) &&
             move_strips(e, g, f, true);
    }
    for (size_t i = 0; ok && i < e->n_bases; i++)
        ok = basis_save(e, e->bases[i], f);
    if (!ok)
        TRY(sg_fail(err, SG_EIO, "checkpoint: the state of the analysis could not be written"));
done:
    sg_free(state);
    return st;
}

static sg_status load_group(sg_engine *e, FILE *f, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t origins = 0;
    TRY(engine_open_group(e, err));
    group *g = e->groups[e->n_groups - 1];
    bool ok = get(f, &origins, sizeof origins) && origins <= e->block &&
              get(f, g->position, sizeof g->position) && get(f, g->set, sizeof g->set) &&
              get(f, g->counts, sizeof g->counts) && move_strips(e, g, f, false);
    if (!ok)
        TRY(sg_fail(err, SG_EFORMAT, "checkpoint: cut short in the origins"));
    g->n = (size_t)origins;
done:
    return st;
}

sg_status engine_load(sg_engine *e, FILE *f, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t want[HEADER], h[HEADER], at[AT];
    size_t n = forward_state_size(e->forward);
    float *state = NULL;
    header(e, want);
    engine_drop_groups(e);
    basis_drop(e, UINT64_MAX);
    e->pending = 0;
    NEED(state = sg_calloc(n, sizeof *state), err, "the checkpoint");
    if (!get(f, h, sizeof h))
        TRY(sg_fail(err, SG_EFORMAT, "checkpoint: cut short in the header of the gradients"));
    if (memcmp(h, want, sizeof h))
        TRY(sg_fail(err, SG_EFORMAT, "checkpoint: made with another model or other settings"));
    if (!get(f, at, sizeof at) || at[3] > 2 * e->D + 4 || at[6] > e->D + 2 ||
        !get(f, state, n * sizeof *state) || !get(f, e->past, e->D * sizeof *e->past) ||
        !get(f, e->word, (e->D + BLOCK_MAX) * sizeof *e->word))
        TRY(sg_fail(err, SG_EFORMAT, "checkpoint: cut short in the state"));
    for (uint64_t b = 0; b < at[3]; b++)
        TRY(load_group(e, f, err));
    for (uint64_t i = 0; i < at[6]; i++)
        TRY(basis_load(e, f, err));
    e->position = at[0], e->boundary = at[1], e->zero = at[2], e->first_group = at[4], e->exact = at[5];
    forward_set_state(e->forward, state);
done:
    sg_free(state);
    return st;
}
