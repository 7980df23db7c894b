/* SPDX-License-Identifier: MIT */
/* The GRU that resets before the product (Keras reset_after = False, ONNX's default), its gates by sigmoid or
 * hard sigmoid. Gates r z n; tape: r z n u h_{t-1} r*h_{t-1}.
 *
 *   r, z = gate(a_r, a_z)   u = W_hn (r*h_{t-1}) + b_hn   n = tanh(W_in x + b_in + u)   h_t = (1-z)*n +
 *                           z*h_{t-1} */
#include "cell/functions.h"
#include "linalg/linalg.h"

#include <string.h>

/* ---- tuned ---- */

static inline void forward_gates(cell_function gate, const cell_units *v)
{
    size_t H = v->H;
    float *r = v->tape, *z = r + H, *rh = r + 5 * H;
    if (v->preactivations)
        memcpy(v->preactivations, r, 2 * H * sizeof *r);
    function_values(gate, v->kernels, v->n, r, r);
    function_values(gate, v->kernels, v->n, z, z);
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
static inline void backward(cell_function gate, const cell_adjoints *v)
{
    size_t H = v->H;
    float *restrict z = v->tape + H, *restrict n = z + H, *restrict u = n + H;
    const float *restrict old = u + H, *restrict d = v->dh;
    for (size_t j = 0; j < v->n; j++) {
        u[j] = d[j] * (1 - z[j]) * (1 - n[j] * n[j]);
        v->dh_prev[j] += d[j] * z[j];
        z[j] = d[j] * (old[j] - n[j]) * function_slope_at(gate, z[j]);
        n[j] = u[j];
    }
}

static inline void backward_gates(cell_function gate, const cell_adjoints *v)
{
    size_t H = v->H;
    float *restrict r = v->tape;
    const float *restrict old = r + 4 * H, *restrict drh = v->dsource;
    for (size_t j = 0; j < v->n; j++) {
        v->dh_prev[j] += drh[j] * r[j];
        r[j] = drh[j] * old[j] * function_slope_at(gate, r[j]);
    }
}

static inline void jacobian(cell_function gate, size_t H, const float *tape, const float *a, float *wh,
                            float *wx, float *diagonal)
{
    const float *z = tape + H, *n = z + H, *h = n + 2 * H;
    for (size_t j = 0; j < H; j++) {
        wh[j] = wx[j] = 0; /* what passes through r goes by jacobian_rest */
        wh[H + j] = wx[H + j] = (h[j] - n[j]) * function_slope(gate, a[H + j]);
        wh[2 * H + j] = wx[2 * H + j] = function_rest(gate, a[H + j]) * tanh_slope(a[2 * H + j]);
        diagonal[j] = z[j];
    }
}

/* W_hn is scaled by r on the right, and r has an influence of its own: with w = wh[n] and
 * B = diag(w) W_hn diag(h gate'(a_r)),
 *
 *   A = wh[z] W_hz + diag(w) W_hn diag(r) + B W_hr       Ax = wx[z] W_iz + wx[n] W_in + B W_ir */
static inline void jacobian_rest(cell_function gate, size_t H, size_t N, const float *W_ih, const float *W_hh,
                                 const float *tape, const float *a, const float *wh, float *work, float *A,
                                 size_t lda, float *Ax, size_t ldx)
{
    const float *W_hn = W_hh + 2 * H * H, *w = wh + 2 * H, *r = tape, *h = tape + 4 * H;
    float *slope = work, *B = work + H; /* slope = h gate'(a_r) */
    for (size_t k = 0; k < H; k++)
        slope[k] = h[k] * function_slope(gate, a[k]);
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

static inline void plain_step(cell_function gate, const cell_plain *l, const double *x, const double *h,
                              double *kept, double *h_new)
{
    size_t H = l->H;
    double *r = kept, *z = r + H, *n = z + H;
    for (size_t j = 0; j < H; j++) {
        r[j] = plain_function(gate, plain_input(l, 0, j, x) + plain_recurrent(l, 0, j, h));
        z[j] = plain_function(gate, plain_input(l, 1, j, x) + plain_recurrent(l, 1, j, h));
    }
    for (size_t i = 0; i < H; i++) {
        double u = (double)l->b_hh[2 * H + i];
        for (size_t j = 0; j < H; j++)
            u += (double)l->W_hh[(2 * H + i) * H + j] * r[j] * h[j];
        n[i] = tanh(plain_input(l, 2, i, x) + u);
        h_new[i] = (1 - z[i]) * n[i] + z[i] * h[i];
    }
}

static inline void plain_reverse(cell_function gate, const cell_plain *l, const double *kept, const double *h,
                                 double *dh, double *da)
{
    size_t H = l->H;
    const double *r = kept, *z = r + H, *n = z + H;
    for (size_t j = 0; j < H; j++) {
        da[2 * H + j] = dh[j] * (1 - z[j]) * (1 - n[j] * n[j]);
        da[H + j] = dh[j] * (h[j] - n[j]) * plain_slope_at(gate, z[j]);
        dh[j] *= z[j];
    }
    for (size_t j = 0; j < H; j++) {
        double drh = 0; /* dL/d(r_j h_j) */
        for (size_t i = 0; i < H; i++)
            drh += (double)l->W_hh[(2 * H + i) * H + j] * da[2 * H + i];
        da[j] = drh * h[j] * plain_slope_at(gate, r[j]);
        dh[j] += drh * r[j];
    }
    plain_pull(l, 0, da, dh);
    plain_pull(l, 1, da + H, dh);
}

/* ---- the kinds ---- */

#define GRU_OF(name, GATE)                                                                                   \
    static void name##_forward_gates(const cell_units *v)                                                    \
    {                                                                                                        \
        forward_gates(GATE, v);                                                                              \
    }                                                                                                        \
    static void name##_backward_gates(const cell_adjoints *v)                                                \
    {                                                                                                        \
        backward_gates(GATE, v);                                                                             \
    }                                                                                                        \
    static void name##_backward(const cell_adjoints *v)                                                      \
    {                                                                                                        \
        backward(GATE, v);                                                                                   \
    }                                                                                                        \
    static void name##_jacobian(size_t H, const float *tape, const float *a, float *wh, float *wx,           \
                                float *diagonal)                                                             \
    {                                                                                                        \
        jacobian(GATE, H, tape, a, wh, wx, diagonal);                                                        \
    }                                                                                                        \
    static void name##_jacobian_rest(size_t H, size_t N, const float *W_ih, const float *W_hh,               \
                                     const float *tape, const float *a, const float *wh, float *work,        \
                                     float *A, size_t lda, float *Ax, size_t ldx)                            \
    {                                                                                                        \
        jacobian_rest(GATE, H, N, W_ih, W_hh, tape, a, wh, work, A, lda, Ax, ldx);                           \
    }                                                                                                        \
    static void name##_plain_step(const cell_plain *l, const double *x, const double *h, const double *c,    \
                                  double *kept, double *h_new, double *c_new)                                \
    {                                                                                                        \
        (void)c, (void)c_new;                                                                                \
        plain_step(GATE, l, x, h, kept, h_new);                                                              \
    }                                                                                                        \
    static void name##_plain_reverse(const cell_plain *l, const double *kept, const double *h,               \
                                     const double *c, double *dh, double *dc, double *da)                    \
    {                                                                                                        \
        (void)c, (void)dc;                                                                                   \
        plain_reverse(GATE, l, kept, h, dh, da);                                                             \
    }

#define GRU_ROW(function)                                                                                    \
    .states = SG_STATE_HIDDEN, .default_state = SG_STATE_HIDDEN, .recurrence = CELL_DENSE, .bounded = true,  \
    .gates = 3, .summed = 3, .tape = 6, .slot = {0, 1, 3}, .n_stages = 2,                                    \
    .stage = {{2, CELL_FROM_H, function##_forward_gates, function##_backward_gates},                         \
              {1, 5, forward, function##_backward}},                                                         \
    .jacobian = function##_jacobian, .jacobian_rest = function##_jacobian_rest,                              \
    .plain_step = function##_plain_step, .plain_reverse = function##_plain_reverse

GRU_OF(sigmoid, CELL_SIGMOID)
GRU_OF(hard, CELL_HARD_SIGMOID)

extern const cell_type cell_gru_reset_first, cell_gru_reset_first_hard;
const cell_type cell_gru_reset_first = {
    .name = "gru-reset-first",
    .formula = "r, z = sigmoid(a), n = tanh(a_n + W_hn (r*h) + b_hn); h = (1-z)*n + z*h",
    GRU_ROW(sigmoid)};
const cell_type cell_gru_reset_first_hard = {
    .name = "gru-reset-first-hard",
    .formula = "r, z = min(max(0.2 a + 0.5, 0), 1), n = tanh(a_n + W_hn (r*h) + b_hn); h = (1-z)*n + z*h",
    .imported = true,
    .kinked = true,
    GRU_ROW(hard)};
