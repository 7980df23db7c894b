/* SPDX-License-Identifier: MIT */
/* minGRU and minLSTM: Feng, Tung, Ahmed, Bengio, Hajimirsadeghi, "Were RNNs All We Needed?", arXiv
 * 2410.01201, the vanilla (not log-space) form of its sections 3.1 and 3.2. Gates depend on the input alone
 * and the candidate is linear, so h_t depends on h_{t-1} unit by unit, and states have no bound of their own.
 *
 *   minGRU   gates z h   z = sigmoid(a_z)               h_t = (1-z)*h_{t-1} + z*a_h
 *   minLSTM  gates f i h   f, i = sigmoid(a_f, a_i)       h_t = (f*h_{t-1} + i*a_h) / (f + i)
 *
 * Tensors of layer k: rnn.weight_ih_l{k} (G H, N) and rnn.bias_ih_l{k} (G H), rows gate by gate in the order
 * above, the weights and biases of the paper's linear maps. There is no weight_hh and no bias_hh.
 *
 * Tape: minGRU z h~ h_{t-1}; minLSTM f/(f+i) i/(f+i) h~ h_{t-1} sigmoid(-a_f) sigmoid(-a_i). */
#include "cell/plain.h"
#include "cell/slope.h"

#include <string.h>

/* ---- minGRU, tuned ---- */

static void gru_forward(const cell_units *u)
{
    float *restrict z = u->tape, *restrict n = z + u->H, *restrict old = n + u->H, *restrict h = u->h;
    if (u->preactivations)
        memcpy(u->preactivations, z, 2 * u->H * sizeof *z);
    u->kernels->sigmoid(u->n, z, z);
    memcpy(old, u->h_prev, u->n * sizeof *old);
    for (size_t j = 0; j < u->n; j++)
        h[j] = (1 - z[j]) * old[j] + z[j] * n[j];
}

static void gru_backward(const cell_adjoints *u)
{
    float *restrict z = u->tape, *restrict n = z + u->H, *restrict dh_prev = u->dh_prev;
    const float *restrict old = n + u->H, *restrict d = u->dh;
    for (size_t j = 0; j < u->n; j++) {
        float da_z = d[j] * (n[j] - old[j]) * z[j] * (1 - z[j]);
        dh_prev[j] += d[j] * (1 - z[j]);
        n[j] = d[j] * z[j];
        z[j] = da_z;
    }
}

static void gru_jacobian(size_t H, const float *tape, const float *a, float *wh, float *wx, float *diagonal)
{
    const float *z = tape, *n = z + H, *old = n + H;
    (void)wh;
    for (size_t j = 0; j < H; j++) {
        wx[j] = (n[j] - old[j]) * sigmoid_slope(a[j]);
        wx[H + j] = z[j];
        diagonal[j] = sigmoid_rest(a[j]);
    }
}

/* ---- minGRU, plain; kept: z h~ ---- */

static void gru_plain_step(const cell_plain *l, const double *x, const double *h, const double *c,
                           double *kept, double *h_new, double *c_new)
{
    (void)c, (void)c_new;
    for (size_t j = 0; j < l->H; j++) {
        double z = plain_sigmoid(plain_input(l, 0, j, x)), n = plain_input(l, 1, j, x);
        h_new[j] = (1 - z) * h[j] + z * n;
        kept[j] = z, kept[l->H + j] = n;
    }
}

static void gru_plain_reverse(const cell_plain *l, const double *kept, const double *h, const double *c,
                              double *dh, double *dc, double *da)
{
    (void)c, (void)dc;
    for (size_t j = 0; j < l->H; j++) {
        double z = kept[j], n = kept[l->H + j];
        da[j] = dh[j] * (n - h[j]) * z * (1 - z);
        da[l->H + j] = dh[j] * z;
        dh[j] *= 1 - z;
    }
}

/* ---- minLSTM, tuned ---- */

/* log(1 + exp(x)) */
static float softplus(float x)
{
    return (x > 0 ? x : 0) + log1pf(expf(-fabsf(x)));
}

/* f/(f+i) = sigmoid(log f - log i), log sigmoid(a) = -softplus(-a): f and i may both be too small for a
 * float. */
static void lstm_forward(const cell_units *u)
{
    size_t H = u->H;
    float *restrict f = u->tape, *restrict i = f + H, *restrict n = i + H, *restrict old = n + H;
    float *restrict rest_f = old + H, *restrict rest_i = rest_f + H, *restrict h = u->h;
    if (u->preactivations)
        memcpy(u->preactivations, f, 3 * H * sizeof *f);
    memcpy(old, u->h_prev, u->n * sizeof *old);
    for (size_t j = 0; j < u->n; j++) {
        float ratio = softplus(-i[j]) - softplus(-f[j]);
        rest_f[j] = sigmoid_rest(f[j]), rest_i[j] = sigmoid_rest(i[j]);
        f[j] = sigmoid_rest(-ratio), i[j] = sigmoid_rest(ratio);
        h[j] = f[j] * old[j] + i[j] * n[j];
    }
}

/* With F = f/(f+i), I = i/(f+i): dF/da_f = F I (1-f), dF/da_i = -F I (1-i), I = 1 - F. */
static void lstm_backward(const cell_adjoints *u)
{
    size_t H = u->H;
    float *restrict f = u->tape, *restrict i = f + H, *restrict n = i + H, *restrict dh_prev = u->dh_prev;
    const float *restrict old = n + H, *restrict rest_f = old + H, *restrict rest_i = rest_f + H;
    const float *restrict d = u->dh;
    for (size_t j = 0; j < u->n; j++) {
        float common = d[j] * (old[j] - n[j]) * f[j] * i[j];
        dh_prev[j] += d[j] * f[j];
        n[j] = d[j] * i[j];
        f[j] = common * rest_f[j], i[j] = -common * rest_i[j];
    }
}

static void lstm_jacobian(size_t H, const float *tape, const float *a, float *wh, float *wx, float *diagonal)
{
    const float *f = tape, *i = f + H, *n = i + H, *old = n + H, *rest_f = old + H, *rest_i = rest_f + H;
    (void)a, (void)wh;
    for (size_t j = 0; j < H; j++) {
        float common = (old[j] - n[j]) * f[j] * i[j];
        wx[j] = common * rest_f[j];
        wx[H + j] = -common * rest_i[j];
        wx[2 * H + j] = i[j];
        diagonal[j] = f[j];
    }
}

/* ---- minLSTM, plain; kept: f i h~ ---- */

static void lstm_plain_step(const cell_plain *l, const double *x, const double *h, const double *c,
                            double *kept, double *h_new, double *c_new)
{
    (void)c, (void)c_new;
    size_t H = l->H;
    for (size_t j = 0; j < H; j++) {
        double f = plain_sigmoid(plain_input(l, 0, j, x)), i = plain_sigmoid(plain_input(l, 1, j, x));
        double n = plain_input(l, 2, j, x);
        h_new[j] = (f * h[j] + i * n) / (f + i);
        kept[j] = f, kept[H + j] = i, kept[2 * H + j] = n;
    }
}

static void lstm_plain_reverse(const cell_plain *l, const double *kept, const double *h, const double *c,
                               double *dh, double *dc, double *da)
{
    (void)c, (void)dc;
    size_t H = l->H;
    for (size_t j = 0; j < H; j++) {
        double f = kept[j], i = kept[H + j], n = kept[2 * H + j], now = (f * h[j] + i * n) / (f + i),
               d = dh[j];
        da[j] = d * (h[j] - now) / (f + i) * f * (1 - f);
        da[H + j] = d * (n - now) / (f + i) * i * (1 - i);
        da[2 * H + j] = d * i / (f + i);
        dh[j] = d * f / (f + i);
    }
}

extern const cell_type cell_mingru, cell_minlstm;
const cell_type cell_mingru = {
    .name = "mingru",
    .formula = "z = sigmoid(a_z); h = (1-z)*h + z*a_h; a = W_ih x + b_ih",
    .states = SG_STATE_HIDDEN,
    .default_state = SG_STATE_HIDDEN,
    .recurrence = CELL_DIAGONAL,
    .gates = 2,
    .summed = 2,
    .tape = 3,
    .slot = {0, 1},
    .n_stages = 1,
    .stage = {{0, CELL_FROM_H, gru_forward, gru_backward}},
    .jacobian = gru_jacobian,
    .plain_step = gru_plain_step,
    .plain_reverse = gru_plain_reverse,
};
const cell_type cell_minlstm = {
    .name = "minlstm",
    .formula = "f, i = sigmoid(a_f, a_i); h = (f*h + i*a_h) / (f + i); a = W_ih x + b_ih",
    .states = SG_STATE_HIDDEN,
    .default_state = SG_STATE_HIDDEN,
    .recurrence = CELL_DIAGONAL,
    .gates = 3,
    .summed = 3,
    .tape = 6,
    .slot = {0, 1, 2},
    .n_stages = 1,
    .stage = {{0, CELL_FROM_H, lstm_forward, lstm_backward}},
    .jacobian = lstm_jacobian,
    .plain_step = lstm_plain_step,
    .plain_reverse = lstm_plain_reverse,
};
