/* SPDX-License-Identifier: MIT */
/* The GRU that resets before the product (Keras reset_after = False, ONNX's default). Gates r z n; tape: r z n u h_{t-1}
 * r*h_{t-1}.
 *
 *   r, z = sigmoid(a_r, a_z)   u = W_hn (r*h_{t-1}) + b_hn   n = tanh(W_in x + b_in + u)   h_t = (1-z)*n + z*h_{t-1} */
#include "cell/plain.h"
#include "cell/slope.h"
#include "linalg/linalg.h"

#include <string.h>

/* ---- tuned ---- */

static void forward_gates(const cell_units *v)
{
    size_t H = v->H;
    float *r = v->tape, *z = r + H, *rh = r + 5 * H;
    if (v->preactivations)
        memcpy(v->preactivations, r, 2 * H * sizeof *r);
    v->kernels->sigmoid(v->n, r, r);
    v->kernels->sigmoid(v->n, z, z);
    for (size_t j = 0; j < v->n; j++)
        rh[j] = r[j] * v->h_prev[j];
}

static void forward(const cell_units *v)
{
    size_t H = v->H;
    float *z = v->tape + H, *n = z + H, *u = n + H, *old = u + H;
    for (size_t j = 0; j < v->n; j++)
        n[j] += u[j];
    if (v->preactivations)
        memcpy(v->preactivations + 2 * H, n, H * sizeof *n);
    v->kernels->tanh(v->n, n, n);
    memcpy(old, v->h_prev, v->n * sizeof *old);
    for (size_t j = 0; j < v->n; j++)
        v->h[j] = (1 - z[j]) * n[j] + z[j] * old[j];
}

/* z, n, u become dL/da_z, dL/da_n, dL/du. */
static void backward(const cell_adjoints *v)
{
    size_t H = v->H;
    float *restrict z = v->tape + H, *restrict n = z + H, *restrict u = n + H;
    const float *restrict old = u + H, *restrict d = v->dh;
    for (size_t j = 0; j < v->n; j++) {
        u[j] = d[j] * (1 - z[j]) * (1 - n[j] * n[j]);
        v->dh_prev[j] += d[j] * z[j];
        z[j] = d[j] * (old[j] - n[j]) * z[j] * (1 - z[j]);
        n[j] = u[j];
    }
}

static void backward_gates(const cell_adjoints *v)
{
    size_t H = v->H;
    float *restrict r = v->tape;
    const float *restrict old = r + 4 * H, *restrict drh = v->dsource;
    for (size_t j = 0; j < v->n; j++) {
        v->dh_prev[j] += drh[j] * r[j];
        r[j] = drh[j] * old[j] * r[j] * (1 - r[j]);
    }
}

static void jacobian(size_t H, const float *tape, const float *a, float *wh, float *wx, float *diagonal)
{
    const float *z = tape + H, *n = z + H, *h = n + 2 * H;
    for (size_t j = 0; j < H; j++) {
        wh[j] = wx[j] = 0; /* what passes through r goes by jacobian_rest */
        wh[H + j] = wx[H + j] = (h[j] - n[j]) * sigmoid_slope(a[H + j]);
        wh[2 * H + j] = wx[2 * H + j] = sigmoid_rest(a[H + j]) * tanh_slope(a[2 * H + j]);
        diagonal[j] = z[j];
    }
}

/* W_hn is scaled by r on the right, and r has an influence of its own: with w = wh[n] and
 * B = diag(w) W_hn diag(h r (1-r)),
 *
 *   A = wh[z] W_hz + diag(w) W_hn diag(r) + B W_hr       Ax = wx[z] W_iz + wx[n] W_in + B W_ir */
static void jacobian_rest(size_t H, size_t N, const float *W_ih, const float *W_hh, const float *tape,
                          const float *a, const float *wh, float *work, float *A, size_t lda, float *Ax,
                          size_t ldx)
{
    const float *W_hn = W_hh + 2 * H * H, *w = wh + 2 * H, *r = tape, *h = tape + 4 * H;
    float *slope = work, *B = work + H; /* slope = h r (1-r) */
    for (size_t k = 0; k < H; k++)
        slope[k] = h[k] * sigmoid_slope(a[k]);
    for (size_t j = 0; j < H; j++)
        for (size_t k = 0; k < H; k++) {
            A[j * lda + k] += w[j] * W_hn[j * H + k] * (r[k] - 1); /* diag(w) W_hn is in A */
            B[j * H + k] = w[j] * W_hn[j * H + k] * slope[k];
        }
    la_sgemm(LA_N, LA_N, H, H, H, 1, B, H, W_hh, H, 1, A, lda);
    if (Ax)
        la_sgemm(LA_N, LA_N, H, N, H, 1, B, H, W_ih, N, 1, Ax, ldx);
}

/* ---- plain; kept: r z n ---- */

static void plain_step(const cell_plain *l, const double *x, const double *h, const double *c, double *kept,
                       double *h_new, double *c_new)
{
    (void)c, (void)c_new;
    size_t H = l->H;
    double *r = kept, *z = r + H, *n = z + H;
    for (size_t j = 0; j < H; j++) {
        r[j] = plain_sigmoid(plain_input(l, 0, j, x) + plain_recurrent(l, 0, j, h));
        z[j] = plain_sigmoid(plain_input(l, 1, j, x) + plain_recurrent(l, 1, j, h));
    }
    for (size_t i = 0; i < H; i++) {
        double u = (double)l->b_hh[2 * H + i];
        for (size_t j = 0; j < H; j++)
            u += (double)l->W_hh[(2 * H + i) * H + j] * r[j] * h[j];
        n[i] = tanh(plain_input(l, 2, i, x) + u);
        h_new[i] = (1 - z[i]) * n[i] + z[i] * h[i];
    }
}

static void plain_reverse(const cell_plain *l, const double *kept, const double *h, const double *c,
                          double *dh, double *dc, double *da)
{
    (void)c, (void)dc;
    size_t H = l->H;
    const double *r = kept, *z = r + H, *n = z + H;
    for (size_t j = 0; j < H; j++) {
        da[2 * H + j] = dh[j] * (1 - z[j]) * (1 - n[j] * n[j]);
        da[H + j] = dh[j] * (h[j] - n[j]) * z[j] * (1 - z[j]);
        dh[j] *= z[j];
    }
    for (size_t j = 0; j < H; j++) {
        double drh = 0; /* dL/d(r_j h_j) */
        for (size_t i = 0; i < H; i++)
            drh += (double)l->W_hh[(2 * H + i) * H + j] * da[2 * H + i];
        da[j] = drh * h[j] * r[j] * (1 - r[j]);
        dh[j] += drh * r[j];
    }
    plain_pull(l, 0, da, dh);
    plain_pull(l, 1, da + H, dh);
}

extern const cell_type cell_gru_reset_first;
const cell_type cell_gru_reset_first = {
    .name = "gru-reset-first",
    .formula = "r, z = sigmoid(a), n = tanh(a_n + W_hn (r*h) + b_hn); h = (1-z)*n + z*h",
    .states = SG_STATE_HIDDEN,
    .default_state = SG_STATE_HIDDEN,
    .recurrence = CELL_DENSE,
    .bounded = true,
    .gates = 3,
    .summed = 3,
    .tape = 6,
    .slot = {0, 1, 3},
    .n_stages = 2,
    .stage = {{2, CELL_FROM_H, forward_gates, backward_gates}, {1, 5, forward, backward}},
    .jacobian = jacobian,
    .jacobian_rest = jacobian_rest,
    .plain_step = plain_step,
    .plain_reverse = plain_reverse,
};
