/* SPDX-License-Identifier: MIT */
#include "lm/forward.h"

#include "lm/model_internal.h"

#include "base/base_internal.h"
#include "cell/cell.h"
#include "linalg/linalg.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

typedef struct {
    size_t N, H, ld;       /* inputs, hidden size, tape row */
    float *hidden, *cell;  /* (max+1, H): row 0 is the state before the chunk; cell NULL: there is none */
    float *tape;           /* (max, ld) */
    float *preactivations; /* (max, G H) */
} layer_state;

struct sg_forward {
    const sg_model *m;
    sg_parameters p;
    size_t max_steps, L;
    const cell_type *cell;
    float *input; /* (max, E) */
    float *zero;  /* a zero state, as wide as the widest layer */
    size_t last;  /* steps of the last chunk */
    double room;  /* the largest input that no sum of the lowest layer overflows with */
    layer_state layer[SG_MAX_LAYERS];
};

static double largest(const float *x, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++) {
        float a = fabsf(x[i]);
        most = a > most ? a : most;
    }
    return (double)most;
}

static double total(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += fabs((double)x[i]);
    return sum;
}

/* The largest input of layer k with which each row of weights times inputs and states stays a finite float. A
 * sum that overflowed on the way would saturate a gate on the side of its first term, unseen. States without
 * a bound of their own can make it overflow whatever the inputs: there the preactivations are checked. */
static double room_for_inputs(const sg_forward *f, size_t k)
{
    const sg_layer_parameters *p = &f->p.layer[k];
    size_t N = f->layer[k].N, H = f->layer[k].H;
    double room = DBL_MAX, half = (double)FLT_MAX / 2;
    bool dense = f->cell->recurrence == CELL_DENSE;
    assert(p->W_ih && p->b_ih && (!dense || (p->W_hh && p->b_hh)));
    for (size_t i = 0; i < f->cell->gates * H; i++) {
        double weights = total(p->W_ih + i * N, N), rest = total(p->b_ih + i, 1);
        rest += dense ? total(p->b_hh + i, 1) : 0;
        rest += dense && f->cell->bounded ? total(p->W_hh + i * H, H) : 0;
        room = fmin(room, rest > half ? 0 : weights > 0 ? (half - rest) / weights : DBL_MAX);
    }
    return room;
}

static sg_status check_range(sg_forward *f, sg_error *err)
{
    const sg_model_shape *s = sg_model_get_shape(f->m);
    f->room = room_for_inputs(f, 0);
    for (size_t k = 0; k < f->L; k++) {
        double room = k ? room_for_inputs(f, k) : f->room;
        double input = k              ? f->cell->bounded
                       : f->p.encoder ? largest(f->p.encoder, s->vocabulary * s->embedding)
                                      : 0;
        if (input > room)
            return sg_fail(
                err, SG_ENONFINITE,
                "layer %zu: its weights times inputs of up to %g overflow a float32; inputs of %g would fit",
                k + 1, input, room);
    }
    return SG_OK;
}

sg_status forward_new(sg_forward **out, const sg_model *m, size_t max_steps, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_model_shape *s = sg_model_get_shape(m);
    size_t widest = 0;
    *out = NULL;
    sg_forward *f = sg_calloc(1, sizeof *f);
    if (!f)
        return no_memory(err, "the forward pass");
    *f = (sg_forward){.m = m, .max_steps = max_steps, .L = s->layers, .cell = cell_of(s->cell)};
    f->p = model_parameters(m, model_block(m));
    TRY(la_room(1, err));
    if (!max_steps || max_steps > 1u << 24)
        TRY(sg_fail(err, SG_EINVAL, "forward pass: chunks of %zu steps, expected 1 to %u", max_steps,
                    1u << 24));
    bool ok = (f->input = sg_calloc(max_steps, s->embedding * sizeof(float))) != NULL;
    for (size_t k = 0; ok && k < f->L; k++) {
        layer_state *l = &f->layer[k];
        l->N = model_inputs(m, k);
        l->H = s->hidden[k];
        l->ld = f->cell->tape * l->H;
        widest = l->H > widest ? l->H : widest;
        ok = (l->hidden = sg_calloc(max_steps + 1, l->H * sizeof(float))) &&
             (l->tape = sg_calloc(max_steps, l->ld * sizeof(float))) &&
             (l->preactivations = sg_calloc(max_steps, f->cell->gates * l->H * sizeof(float)));
        if (ok && cell_states(f->cell) == 2)
            ok = (l->cell = sg_calloc(max_steps + 1, l->H * sizeof(float))) != NULL;
    }
    NEED(ok && (f->zero = sg_calloc(widest, sizeof(float))), err, "%zu steps", max_steps);
    TRY(check_range(f, err));
    *out = f;
    f = NULL;
done:
    forward_free(f);
    return st;
}

void forward_free(sg_forward *f)
{
    if (!f)
        return;
    for (size_t k = 0; k < f->L; k++) {
        sg_free(f->layer[k].hidden);
        sg_free(f->layer[k].cell);
        sg_free(f->layer[k].tape);
        sg_free(f->layer[k].preactivations);
    }
    sg_free(f->input);
    sg_free(f->zero);
    sg_free(f);
}

/* One step: stage by stage the recurrent products, then what the cell makes of them. */
static void run_step(const sg_forward *f, const layer_state *l, const float *W_hh, cell_units *u)
{
    size_t H = l->H, gate = 0;
    for (size_t s = 0; s < f->cell->n_stages; s++) {
        const cell_stage *stage = &f->cell->stage[s];
        const float *source = stage->source == CELL_FROM_H ? u->h_prev : u->tape + (size_t)stage->source * H;
        for (size_t end = gate + stage->gates, n; gate < end; gate += n) {
            n = cell_run(f->cell, gate, end);
            la_sgemm(LA_N, LA_T, 1, n * H, H, 1, source, H, W_hh + gate * H * H, H, 1,
                     u->tape + f->cell->slot[gate] * H, l->ld);
        }
        stage->forward(u);
    }
}

static void run_layer(sg_forward *f, layer_state *l, const sg_layer_parameters *p, const float *X,
                      const bool *first, size_t n)
{
    size_t H = l->H, G = f->cell->gates;
    cell_preload(f->cell, n, H, p->b_ih, p->b_hh, l->tape);
    la_sgemm(LA_N, LA_T, n, G * H, l->N, 1, X, l->N, p->W_ih, l->N, 1, l->tape, l->ld);
    for (size_t t = 0; t < n; t++) {
        bool zero = first && first[t];
        cell_units u = {.n = H, .H = H, .tape = l->tape + t * l->ld, .kernels = kernels_best()};
        u.h_prev = zero ? f->zero : l->hidden + t * H, u.h = l->hidden + (t + 1) * H;
        if (l->cell)
            u.c_prev = zero ? f->zero : l->cell + t * H, u.c = l->cell + (t + 1) * H;
        u.preactivations = l->preactivations + t * G * H;
        run_step(f, l, p->W_hh, &u);
    }
}

static bool all_finite(const float *x, size_t n)
{
    float zero = 0;
    for (size_t i = 0; i < n; i++)
        zero += x[i] * 0;
    return zero == 0;
}

/* The state must be finite: nothing NaN or infinite goes on to a gradient. */
static sg_status check_states(const sg_forward *f, size_t n, sg_error *err)
{
    for (size_t k = 0; k < f->L; k++)
        for (size_t t = 0; t < n; t++) {
            const layer_state *l = &f->layer[k];
            size_t H = l->H, all = f->cell->gates * H;
            if (!all_finite(l->hidden + (t + 1) * H, H) ||
                (l->cell && !all_finite(l->cell + (t + 1) * H, H)) ||
                (!f->cell->bounded && !all_finite(l->preactivations + t * all, all)))
                return sg_fail(err, SG_ENONFINITE,
                               "layer %zu: the state is not finite at step %zu of the chunk", k + 1, t);
        }
    return SG_OK;
}

sg_status forward_run(sg_forward *f, const int32_t *ids, const float *features, const bool *first, size_t n,
                      sg_error *err)
{
    size_t E = sg_model_get_shape(f->m)->embedding, V = sg_model_get_shape(f->m)->vocabulary;
    if (n > f->max_steps)
        return sg_fail(err, SG_EINVAL, "forward pass: %zu steps, room for %zu", n, f->max_steps);
    for (size_t t = 0; ids && t < n; t++) {
        if (ids[t] < 0 || (size_t)ids[t] >= V)
            return sg_fail(err, SG_EINVAL, "forward pass: word id %d, expected 0 to %zu", (int)ids[t], V - 1);
        memcpy(f->input + t * E, f->p.encoder + (size_t)ids[t] * E, E * sizeof(float));
    }
    if (!ids && !(largest(features, n * E) <= f->room))
        return sg_fail(err, SG_ENONFINITE,
                       "layer 1: its weights times features of up to %g overflow a float32",
                       largest(features, n * E));
    for (size_t k = 0; k < f->L; k++) { /* the state after the last chunk is the one before this */
        layer_state *l = &f->layer[k];
        memmove(l->hidden, l->hidden + f->last * l->H, l->H * sizeof(float));
        if (l->cell)
            memmove(l->cell, l->cell + f->last * l->H, l->H * sizeof(float));
    }
    f->last = n;
    for (size_t k = 0; k < f->L; k++)
        run_layer(f, &f->layer[k], &f->p.layer[k],
                  k     ? f->layer[k - 1].hidden + f->layer[k - 1].H
                  : ids ? f->input
                        : features,
                  first, n);
    return check_states(f, n, err);
}

const float *forward_tape(const sg_forward *f, size_t layer, size_t t)
{
    return f->layer[layer].tape + t * f->layer[layer].ld;
}

const float *sg_forward_preactivations(const sg_forward *f, size_t layer, size_t t)
{
    return f->layer[layer].preactivations + t * f->cell->gates * f->layer[layer].H;
}

const float *sg_forward_state(const sg_forward *f, size_t layer, sg_state_kind kind, size_t t)
{
    const layer_state *l = &f->layer[layer];
    return (kind == SG_STATE_CELL ? l->cell : l->hidden) + (t + 1) * l->H;
}

void forward_reset(sg_forward *f)
{
    for (size_t k = 0; k < f->L; k++) {
        layer_state *l = &f->layer[k];
        memset(l->hidden + f->last * l->H, 0, l->H * sizeof(float));
        if (l->cell)
            memset(l->cell + f->last * l->H, 0, l->H * sizeof(float));
    }
}

size_t forward_state_size(const sg_forward *f)
{
    size_t n = 0;
    for (size_t k = 0; k < f->L; k++)
        n += cell_states(f->cell) * f->layer[k].H;
    return n;
}

/* Layer by layer, h then c: out of the chunk's last step, or into it. */
static void move_state(const sg_forward *f, bool save, float *all)
{
    size_t at = 0;
    for (size_t k = 0; k < f->L; k++)
        for (size_t i = 0; i < cell_states(f->cell); i++, at += f->layer[k].H) {
            const layer_state *l = &f->layer[k];
            float *here = (i ? l->cell : l->hidden) + f->last * l->H;
            memcpy(save ? all + at : here, save ? here : all + at, l->H * sizeof(float));
        }
}

void forward_get_state(const sg_forward *f, float *state)
{
    move_state(f, true, state);
}

void forward_set_state(sg_forward *f, const float *state)
{
    move_state(f, false, (float *)state); /* only read */
}
