/* SPDX-License-Identifier: MIT */
/* The simple cell: h_t = tanh(a) or max(a, 0). Tape: h_t. */
#include "cell/plain.h"
#include "cell/slope.h"

#include <string.h>

/* ---- tuned ---- */

static void forward(const cell_units *u, bool relu)
{
    float *a = u->tape;
    if (!u->preactivations) {
        u->kernels->product->rnn_forward(relu, u->n, a, u->h);
        return;
    }
    memcpy(u->preactivations, a, u->n * sizeof *a);
    if (relu)
        for (size_t j = 0; j < u->n; j++)
            a[j] = a[j] < 0 ? 0 : a[j]; /* a NaN stays one */
    else
        u->kernels->tanh(u->n, a, a);
    memcpy(u->h, a, u->n * sizeof *a);
}

static void tanh_forward(const cell_units *u)
{
    forward(u, false);
}

static void relu_forward(const cell_units *u)
{
    forward(u, true);
}

static void tanh_backward(const cell_adjoints *u)
{
    u->kernels->product->rnn_backward(false, u->n, u->tape, u->dh);
}

static void relu_backward(const cell_adjoints *u)
{
    u->kernels->product->rnn_backward(true, u->n, u->tape, u->dh);
}

static void tanh_jacobian(size_t H, const float *tape, const float *a, float *wh, float *wx, float *diagonal)
{
    (void)tape;
    for (size_t j = 0; j < H; j++) {
        wh[j] = wx[j] = tanh_slope(a[j]);
        diagonal[j] = 0;
    }
}

static void relu_jacobian(size_t H, const float *tape, const float *a, float *wh, float *wx, float *diagonal)
{
    (void)tape;
    for (size_t j = 0; j < H; j++) {
        wh[j] = wx[j] = (float)(a[j] > 0);
        diagonal[j] = 0;
    }
}

/* ---- plain; kept: h_t ---- */

static void plain_step(const cell_plain *l, bool relu, const double *x, const double *h, double *kept,
                       double *h_new)
{
    for (size_t i = 0; i < l->H; i++) {
        double a = plain_input(l, 0, i, x) + plain_recurrent(l, 0, i, h);
        h_new[i] = kept[i] = relu ? fmax(a, 0) : tanh(a);
    }
}

static void tanh_plain_step(const cell_plain *l, const double *x, const double *h, const double *c,
                            double *kept, double *h_new, double *c_new)
{
    (void)c, (void)c_new;
    plain_step(l, false, x, h, kept, h_new);
}

static void relu_plain_step(const cell_plain *l, const double *x, const double *h, const double *c,
                            double *kept, double *h_new, double *c_new)
{
    (void)c, (void)c_new;
    plain_step(l, true, x, h, kept, h_new);
}

static void plain_reverse(const cell_plain *l, bool relu, const double *kept, double *dh, double *da)
{
    for (size_t i = 0; i < l->H; i++) {
        da[i] = dh[i] * (relu ? kept[i] > 0 : 1 - kept[i] * kept[i]);
        dh[i] = 0;
    }
    plain_pull(l, 0, da, dh);
}

static void tanh_plain_reverse(const cell_plain *l, const double *kept, const double *h, const double *c,
                               double *dh, double *dc, double *da)
{
    (void)h, (void)c, (void)dc;
    plain_reverse(l, false, kept, dh, da);
}

static void relu_plain_reverse(const cell_plain *l, const double *kept, const double *h, const double *c,
                               double *dh, double *dc, double *da)
{
    (void)h, (void)c, (void)dc;
    plain_reverse(l, true, kept, dh, da);
}

extern const cell_type cell_tanh, cell_relu;
const cell_type cell_tanh = {
    .name = "rnn",
    .formula = "h = tanh(W_ih x + b_ih + W_hh h + b_hh)",
    .states = SG_STATE_HIDDEN,
    .default_state = SG_STATE_HIDDEN,
    .recurrence = CELL_DENSE,
    .bounded = true,
    .gates = 1,
    .summed = 1,
    .tape = 1,
    .slot = {0},
    .n_stages = 1,
    .stage = {{1, CELL_FROM_H, tanh_forward, tanh_backward}},
    .jacobian = tanh_jacobian,
    .plain_step = tanh_plain_step,
    .plain_reverse = tanh_plain_reverse,
};
const cell_type cell_relu = {
    .name = "rnn-relu",
    .formula = "h = max(W_ih x + b_ih + W_hh h + b_hh, 0)",
    .states = SG_STATE_HIDDEN,
    .default_state = SG_STATE_HIDDEN,
    .recurrence = CELL_DENSE,
    .kinked = true,
    .gates = 1,
    .summed = 1,
    .tape = 1,
    .slot = {0},
    .n_stages = 1,
    .stage = {{1, CELL_FROM_H, relu_forward, relu_backward}},
    .jacobian = relu_jacobian,
    .plain_step = relu_plain_step,
    .plain_reverse = relu_plain_reverse,
};
