/* SPDX-License-Identifier: MIT */
/* The GRU of PyTorch (Keras reset_after, ONNX linear_before_reset = 1). Gates r z n; tape: r z n u h_{t-1}.
 *
 *   r, z = sigmoid(a_r, a_z)   u = W_hn h_{t-1} + b_hn   n = tanh(W_in x + b_in + r*u)   h_t = (1-z)*n +
 *                              z*h_{t-1} */
#include "cell/plain.h"
#include "cell/slope.h"

#include <string.h>

/* ---- tuned ---- */

static void forward(const cell_units *v)
{
    size_t H = v->H;
    float *r = v->tape, *z = r + H, *n = z + H, *u = n + H, *old = u + H, *h = v->h;
    if (!v->preactivations) {
        v->kernels->product->gru_forward(v->n, r, z, n, u, old, v->h_prev, h);
        return;
    }
    memcpy(v->preactivations, r, 2 * H * sizeof *r);
    v->kernels->sigmoid(2 * H, r, r);
    for (size_t j = 0; j < H; j++)
        n[j] += r[j] * u[j];
    memcpy(v->preactivations + 2 * H, n, H * sizeof *n);
    v->kernels->tanh(H, n, n);
    memcpy(old, v->h_prev, H * sizeof *old);
    for (size_t j = 0; j < H; j++)
        h[j] = (1 - z[j]) * n[j] + z[j] * old[j];
}

static void backward(const cell_adjoints *v)
{
    size_t H = v->H;
    float *r = v->tape;
    v->kernels->product->gru_backward(v->n, r, r + H, r + 2 * H, r + 3 * H, r + 4 * H, v->dh, v->dh_prev);
}

static void jacobian(size_t H, const float *tape, const float *a, float *wh, float *wx, float *diagonal)
{
    const float *r = tape, *z = r + H, *n = z + H, *u = n + H, *h = u + H;
    for (size_t j = 0; j < H; j++) {
        float dn = sigmoid_rest(a[H + j]) * tanh_slope(a[2 * H + j]);
        wh[j] = wx[j] = dn * u[j] * sigmoid_slope(a[j]);
        wh[H + j] = wx[H + j] = (h[j] - n[j]) * sigmoid_slope(a[H + j]);
        wh[2 * H + j] = dn * r[j];
        wx[2 * H + j] = dn;
        diagonal[j] = z[j];
    }
}

/* ---- plain; kept: r z n u ---- */

static void plain_step(const cell_plain *l, const double *x, const double *h, const double *c, double *kept,
                       double *h_new, double *c_new)
{
    (void)c, (void)c_new;
    size_t H = l->H;
    for (size_t j = 0; j < H; j++) {
        double r = plain_sigmoid(plain_input(l, 0, j, x) + plain_recurrent(l, 0, j, h));
        double z = plain_sigmoid(plain_input(l, 1, j, x) + plain_recurrent(l, 1, j, h));
        double u = plain_recurrent(l, 2, j, h), n = tanh(plain_input(l, 2, j, x) + r * u);
        h_new[j] = (1 - z) * n + z * h[j];
        kept[j] = r, kept[H + j] = z, kept[2 * H + j] = n, kept[3 * H + j] = u;
    }
}

static void plain_reverse(const cell_plain *l, const double *kept, const double *h, const double *c,
                          double *dh, double *dc, double *da)
{
    (void)c, (void)dc;
    size_t H = l->H;
    for (size_t j = 0; j < H; j++) {
        double r = kept[j], z = kept[H + j], n = kept[2 * H + j], u = kept[3 * H + j], d = dh[j];
        da[2 * H + j] = d * (1 - z) * (1 - n * n);
        da[H + j] = d * (h[j] - n) * z * (1 - z);
        da[j] = da[2 * H + j] * u * r * (1 - r);
        dh[j] = d * z;
    }
    plain_pull(l, 0, da, dh);
    plain_pull(l, 1, da + H, dh);
    for (size_t i = 0; i < H; i++)
        for (size_t j = 0; j < H; j++) /* du = r dn */
            dh[j] += kept[i] * da[2 * H + i] * (double)l->W_hh[(2 * H + i) * H + j];
}

extern const cell_type cell_gru;
const cell_type cell_gru = {
    .name = "gru",
    .formula = "r, z = sigmoid(a), n = tanh(a_n + r*(W_hn h + b_hn)); h = (1-z)*n + z*h",
    .states = SG_STATE_HIDDEN,
    .default_state = SG_STATE_HIDDEN,
    .recurrence = CELL_DENSE,
    .bounded = true,
    .gates = 3,
    .summed = 3,
    .tape = 5,
    .slot = {0, 1, 3},
    .n_stages = 1,
    .stage = {{3, CELL_FROM_H, forward, backward}},
    .jacobian = jacobian,
    .plain_step = plain_step,
    .plain_reverse = plain_reverse,
};
