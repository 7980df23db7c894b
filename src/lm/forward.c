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
    size_t N, H, ld;      /* inputs, hidden size, tape row */
    float *hidden, *cell; /* (max+1, H): row 0 is the state before the chunk */
    float *tape;          /* (max, ld) */
    float *before;        /* (max, G H) preactivations */
} layer_state;

struct sg_forward {
    const sg_model *m;
    sg_parameters p;
    size_t max_steps, L;
    sg_cell kind;
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
 * sum that overflowed on the way would saturate a gate on the side of its first term, unseen. Rectified
 * states have no bound of their own: there it is the states that are checked. */
static double room_for_inputs(const sg_forward *f, size_t k)
{
    const sg_layer_parameters *p = &f->p.layer[k];
    size_t N = f->layer[k].N, H = f->layer[k].H;
    double room = DBL_MAX, half = (double)FLT_MAX / 2;
    assert(p->W_ih && p->W_hh && p->b_ih && p->b_hh);
    for (size_t i = 0; i < sg_cell_gates(f->kind) * H; i++) {
        double weights = total(p->W_ih + i * N, N), rest = total(p->b_ih + i, 1) + total(p->b_hh + i, 1);
        if (f->kind != SG_CELL_RELU)
            rest += total(p->W_hh + i * H, H);
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
        double input = k              ? f->kind != SG_CELL_RELU
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
        return sg_fail(err, SG_ENOMEM, "forward pass: no memory");
    *f = (sg_forward){.m = m, .max_steps = max_steps, .L = s->layers, .kind = s->cell};
    f->p = model_parameters(m, model_block(m));
    if (!max_steps || max_steps > 1u << 24)
        TRY(sg_fail(err, SG_EINVAL, "forward pass: chunks of %zu steps, expected 1 to %u", max_steps,
                    1u << 24));
    bool ok = (f->input = sg_calloc(max_steps, s->embedding * sizeof(float))) != NULL;
    for (size_t k = 0; ok && k < f->L; k++) {
        layer_state *l = &f->layer[k];
        l->N = model_inputs(m, k);
        l->H = s->hidden[k];
        l->ld = cell_tape(f->kind) * l->H;
        widest = l->H > widest ? l->H : widest;
        ok = (l->hidden = sg_calloc(max_steps + 1, l->H * sizeof(float))) &&
             (l->cell =
                  f->kind == SG_CELL_LSTM ? sg_calloc(max_steps + 1, l->H * sizeof(float)) : l->hidden) &&
             (l->tape = sg_calloc(max_steps, l->ld * sizeof(float))) &&
             (l->before = sg_calloc(max_steps, sg_cell_gates(f->kind) * l->H * sizeof(float)));
    }
    if (!ok || !(f->zero = sg_calloc(widest, sizeof(float))))
        TRY(sg_fail(err, SG_ENOMEM, "forward pass: no memory for %zu steps", max_steps));
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
        if (f->kind == SG_CELL_LSTM)
            sg_free(f->layer[k].cell);
        sg_free(f->layer[k].hidden);
        sg_free(f->layer[k].tape);
        sg_free(f->layer[k].before);
    }
    sg_free(f->input);
    sg_free(f->zero);
    sg_free(f);
}

static void run_layer(sg_forward *f, layer_state *l, const sg_layer_parameters *p, const float *X,
                      const bool *first, size_t n)
{
    size_t H = l->H, G = sg_cell_gates(f->kind);
    cell_preload(f->kind, n, H, p->b_ih, p->b_hh, l->tape);
    la_sgemm(LA_N, LA_T, n, G * H, l->N, 1, X, l->N, p->W_ih, l->N, 1, l->tape, l->ld);
    for (size_t t = 0; t < n; t++) {
        bool zero = first && first[t];
        cell_forward(f->kind, 1, H, p->W_hh, zero ? f->zero : l->hidden + t * H,
                     zero ? f->zero : l->cell + t * H, l->tape + t * l->ld, l->hidden + (t + 1) * H,
                     l->cell + (t + 1) * H, l->before + t * G * H);
    }
}

/* The state must be finite: nothing NaN or infinite goes on to a gradient. */
static sg_status check_states(const sg_forward *f, size_t n, sg_error *err)
{
    for (size_t k = 0; k < f->L; k++)
        for (size_t t = 1; t <= n; t++) {
            const float *h = f->layer[k].hidden + t * f->layer[k].H,
                        *c = f->layer[k].cell + t * f->layer[k].H;
            float zero = 0;
            for (size_t j = 0; j < f->layer[k].H; j++)
                zero += h[j] * 0 + c[j] * 0;
            if (zero != 0)
                return sg_fail(err, SG_ENONFINITE,
                               "layer %zu: the state is not finite at step %zu of the chunk", k + 1, t - 1);
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
        if (f->kind == SG_CELL_LSTM)
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

const float *forward_before(const sg_forward *f, size_t layer, size_t t)
{
    const layer_state *l = &f->layer[layer];
    return l->before + t * sg_cell_gates(f->kind) * l->H;
}

const float *forward_hidden(const sg_forward *f, size_t layer, size_t t)
{
    return f->layer[layer].hidden + (t + 1) * f->layer[layer].H;
}

const float *forward_cell(const sg_forward *f, size_t layer, size_t t)
{
    return f->layer[layer].cell + (t + 1) * f->layer[layer].H;
}

void forward_reset(sg_forward *f)
{
    for (size_t k = 0; k < f->L; k++) {
        layer_state *l = &f->layer[k];
        memset(l->hidden + f->last * l->H, 0, l->H * sizeof(float));
        memset(l->cell + f->last * l->H, 0, l->H * sizeof(float));
    }
}

size_t forward_state_size(const sg_forward *f)
{
    size_t n = 0;
    for (size_t k = 0; k < f->L; k++)
        n += (f->kind == SG_CELL_LSTM ? 2 : 1) * f->layer[k].H;
    return n;
}

void forward_get_state(const sg_forward *f, float *state)
{
    for (size_t k = 0; k < f->L; k++) {
        size_t H = f->layer[k].H;
        memcpy(state, f->layer[k].hidden + f->last * H, H * sizeof(float));
        state += H;
        if (f->kind != SG_CELL_LSTM)
            continue;
        memcpy(state, f->layer[k].cell + f->last * H, H * sizeof(float));
        state += H;
    }
}

void forward_set_state(sg_forward *f, const float *state)
{
    for (size_t k = 0; k < f->L; k++) {
        size_t H = f->layer[k].H;
        memcpy(f->layer[k].hidden + f->last * H, state, H * sizeof(float));
        state += H;
        if (f->kind != SG_CELL_LSTM)
            continue;
        memcpy(f->layer[k].cell + f->last * H, state, H * sizeof(float));
        state += H;
    }
}
