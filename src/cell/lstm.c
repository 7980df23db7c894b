/* SPDX-License-Identifier: MIT */
/* The LSTM. Gates i f g o; tape: i f g o tanh(c_t) c_{t-1}.
 *
 *   i, f, o = sigmoid(a_i, a_f, a_o)   g = tanh(a_g)   c_t = f*c_{t-1} + i*g   h_t = o*tanh(c_t) */
#include "cell/plain.h"
#include "cell/slope.h"

#include <assert.h>
#include <string.h>

/* ---- tuned ---- */

static void forward(const cell_units *u)
{
    size_t H = u->H;
    float *restrict i = u->tape, *restrict f = i + H, *restrict g = f + H, *restrict o = g + H;
    float *restrict q = o + H, *restrict old = q + H, *restrict c = u->c, *restrict h = u->h;
    assert(u->c_prev && c);
    if (!u->preactivations) {
        u->kernels->product->lstm_forward(u->n, i, f, g, o, q, old, u->c_prev, c, h);
        return;
    }
    memcpy(u->preactivations, i, 4 * H * sizeof *i);
    u->kernels->sigmoid(2 * H, i, i);
    u->kernels->tanh(H, g, g);
    u->kernels->sigmoid(H, o, o);
    memcpy(old, u->c_prev, H * sizeof *old);
    for (size_t j = 0; j < H; j++)
        c[j] = f[j] * old[j] + i[j] * g[j];
    u->kernels->tanh(H, c, q);
    for (size_t j = 0; j < H; j++)
        h[j] = o[j] * q[j];
}

static void backward(const cell_adjoints *u)
{
    size_t H = u->H;
    float *i = u->tape;
    u->kernels->product->lstm_backward(u->n, i, i + H, i + 2 * H, i + 3 * H, i + 4 * H, i + 5 * H, u->dh,
                                       u->dc);
}

/* p_i = g i (1-i), p_f = c_{t-1} f (1-f), p_g = i (1-g^2), p_o = tanh(c_t) o (1-o); f and q = o
 * (1-tanh(c_t)^2) */
static void jacobian(size_t H, const float *tape, const float *a, float *wh, float *wx, float *diagonal)
{
    const float *i = tape, *f = i + H, *g = f + H, *o = g + H, *th = o + H, *c = th + H;
    for (size_t j = 0; j < H; j++) {
        wh[j] = g[j] * sigmoid_slope(a[j]);
        wh[H + j] = c[j] * sigmoid_slope(a[H + j]);
        wh[2 * H + j] = i[j] * tanh_slope(a[2 * H + j]);
        wh[3 * H + j] = th[j] * sigmoid_slope(a[3 * H + j]);
        diagonal[j] = f[j];
        diagonal[H + j] = o[j] * tanh_slope(f[j] * c[j] + i[j] * g[j]);
    }
    memcpy(wx, wh, 4 * H * sizeof *wx);
}

/* ---- plain; kept: i f g o tanh(c_t) ---- */

static void plain_step(const cell_plain *l, const double *x, const double *h, const double *c, double *kept,
                       double *h_new, double *c_new)
{
    size_t H = l->H;
    for (size_t j = 0; j < H; j++) {
        double a[4];
        for (size_t g = 0; g < 4; g++)
            a[g] = plain_input(l, g, j, x) + plain_recurrent(l, g, j, h);
        double i = plain_sigmoid(a[0]), f = plain_sigmoid(a[1]), g = tanh(a[2]), o = plain_sigmoid(a[3]);
        c_new[j] = f * c[j] + i * g;
        h_new[j] = o * tanh(c_new[j]);
        kept[j] = i, kept[H + j] = f, kept[2 * H + j] = g, kept[3 * H + j] = o;
        kept[4 * H + j] = tanh(c_new[j]);
    }
}

static void plain_reverse(const cell_plain *l, const double *kept, const double *h, const double *c,
                          double *dh, double *dc, double *da)
{
    (void)h;
    size_t H = l->H;
    for (size_t j = 0; j < H; j++) {
        double i = kept[j], f = kept[H + j], g = kept[2 * H + j], o = kept[3 * H + j], th = kept[4 * H + j];
        double d = dc[j] + dh[j] * o * (1 - th * th);
        da[j] = d * g * i * (1 - i);
        da[H + j] = d * c[j] * f * (1 - f);
        da[2 * H + j] = d * i * (1 - g * g);
        da[3 * H + j] = dh[j] * th * o * (1 - o);
        dc[j] = d * f;
        dh[j] = 0;
    }
    for (size_t g = 0; g < 4; g++)
        plain_pull(l, g, da + g * H, dh);
}

extern const cell_type cell_lstm;
const cell_type cell_lstm = {
    .name = "lstm",
    .formula = "i, f, o = sigmoid(a), g = tanh(a_g); c = f*c + i*g, h = o*tanh(c)",
    .states = SG_STATE_BOTH,
    .default_state = SG_STATE_CELL,
    .recurrence = CELL_DENSE,
    .bounded = true,
    .gates = 4,
    .summed = 3,
    .tape = 6,
    .slot = {0, 1, 2, 3},
    .n_stages = 1,
    .stage = {{4, CELL_FROM_H, forward, backward}},
    .jacobian = jacobian,
    .plain_step = plain_step,
    .plain_reverse = plain_reverse,
};
