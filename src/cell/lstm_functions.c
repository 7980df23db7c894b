/* SPDX-License-Identifier: MIT */
/* LSTMs with other functions than sigmoid and tanh: gates f, state s. Gates and tape as in lstm.c, with
 * s(c_t) for tanh(c_t).
 *
 *   i, f, o = f(a_i, a_f, a_o)   g = s(a_g)   c_t = f*c_{t-1} + i*g   h_t = o*s(c_t) */
#include "cell/functions.h"

#include <assert.h>
#include <string.h>

/* ---- tuned ---- */

static inline void forward(cell_function gate, cell_function state, const cell_units *u)
{
    const size_t H = u->H, n = u->n;
    float *restrict i = u->tape, *restrict f = i + H, *restrict g = f + H, *restrict o = g + H;
    float *restrict q = o + H, *restrict old = q + H, *restrict c = u->c, *restrict h = u->h;
    assert(u->c_prev && c);
    if (u->preactivations)
        memcpy(u->preactivations, i, 4 * H * sizeof *i);
    function_values(gate, u->kernels, n, i, i);
    function_values(gate, u->kernels, n, f, f);
    function_values(state, u->kernels, n, g, g);
    function_values(gate, u->kernels, n, o, o);
    memcpy(old, u->c_prev, n * sizeof *old);
    for (size_t j = 0; j < n; j++)
        c[j] = f[j] * old[j] + i[j] * g[j];
    function_values(state, u->kernels, n, c, q);
    for (size_t j = 0; j < n; j++)
        h[j] = o[j] * q[j];
}

static inline void backward(cell_function gate, cell_function state, const cell_adjoints *u)
{
    const size_t H = u->H;
    float *restrict i = u->tape, *restrict f = i + H, *restrict g = f + H, *restrict o = g + H;
    const float *restrict q = o + H, *restrict old = q + H, *restrict dh = u->dh;
    float *restrict dc = u->dc;
    for (size_t j = 0; j < u->n; j++) {
        const float d = dc[j] + dh[j] * o[j] * function_slope_at(state, q[j]);
        dc[j] = d * f[j];
        o[j] = dh[j] * q[j] * function_slope_at(gate, o[j]);
        f[j] = d * old[j] * function_slope_at(gate, f[j]);
        const float di = d * g[j] * function_slope_at(gate, i[j]);
        g[j] = d * i[j] * function_slope_at(state, g[j]);
        i[j] = di;
    }
}

static inline void jacobian(cell_function gate, cell_function state, size_t H, const float *tape,
                            const float *a, float *wh, float *wx, float *diagonal)
{
    const float *i = tape, *f = i + H, *g = f + H, *o = g + H, *q = o + H, *c = q + H;
    for (size_t j = 0; j < H; j++) {
        wh[j] = g[j] * function_slope(gate, a[j]);
        wh[H + j] = c[j] * function_slope(gate, a[H + j]);
        wh[2 * H + j] = i[j] * function_slope(state, a[2 * H + j]);
        wh[3 * H + j] = q[j] * function_slope(gate, a[3 * H + j]);
        diagonal[j] = f[j];
        diagonal[H + j] = o[j] * function_slope(state, f[j] * c[j] + i[j] * g[j]);
    }
    memcpy(wx, wh, 4 * H * sizeof *wx);
}

/* ---- plain; kept: i f g o s(c_t) ---- */

static inline void plain_step(cell_function gate, cell_function state, const cell_plain *l, const double *x,
                              const double *h, const double *c, double *kept, double *h_new, double *c_new)
{
    const size_t H = l->H;
    for (size_t j = 0; j < H; j++) {
        double a[4];
        for (size_t g = 0; g < 4; g++)
            a[g] = plain_input(l, g, j, x) + plain_recurrent(l, g, j, h);
        double i = plain_function(gate, a[0]), f = plain_function(gate, a[1]);
        double g = plain_function(state, a[2]), o = plain_function(gate, a[3]);
        c_new[j] = f * c[j] + i * g;
        kept[j] = i, kept[H + j] = f, kept[2 * H + j] = g, kept[3 * H + j] = o;
        kept[4 * H + j] = plain_function(state, c_new[j]);
        h_new[j] = o * kept[4 * H + j];
    }
}

static inline void plain_reverse(cell_function gate, cell_function state, const cell_plain *l,
                                 const double *kept, const double *c, double *dh, double *dc, double *da)
{
    const size_t H = l->H;
    for (size_t j = 0; j < H; j++) {
        double i = kept[j], f = kept[H + j], g = kept[2 * H + j], o = kept[3 * H + j], q = kept[4 * H + j];
        double d = dc[j] + dh[j] * o * plain_slope_at(state, q);
        da[j] = d * g * plain_slope_at(gate, i);
        da[H + j] = d * c[j] * plain_slope_at(gate, f);
        da[2 * H + j] = d * i * plain_slope_at(state, g);
        da[3 * H + j] = dh[j] * q * plain_slope_at(gate, o);
        dc[j] = d * f;
        dh[j] = 0;
    }
    for (size_t g = 0; g < 4; g++)
        plain_pull(l, g, da + g * H, dh);
}

/* ---- the kinds ---- */

#define LSTM_OF(name, GATE, STATE)                                                                           \
    static void name##_forward(const cell_units *u)                                                          \
    {                                                                                                        \
        forward(GATE, STATE, u);                                                                             \
    }                                                                                                        \
    static void name##_backward(const cell_adjoints *u)                                                      \
    {                                                                                                        \
        backward(GATE, STATE, u);                                                                            \
    }                                                                                                        \
    static void name##_jacobian(size_t H, const float *tape, const float *a, float *wh, float *wx,           \
                                float *diagonal)                                                             \
    {                                                                                                        \
        jacobian(GATE, STATE, H, tape, a, wh, wx, diagonal);                                                 \
    }                                                                                                        \
    static void name##_plain_step(const cell_plain *l, const double *x, const double *h, const double *c,    \
                                  double *kept, double *h_new, double *c_new)                                \
    {                                                                                                        \
        plain_step(GATE, STATE, l, x, h, c, kept, h_new, c_new);                                             \
    }                                                                                                        \
    static void name##_plain_reverse(const cell_plain *l, const double *kept, const double *h,               \
                                     const double *c, double *dh, double *dc, double *da)                    \
    {                                                                                                        \
        (void)h;                                                                                             \
        plain_reverse(GATE, STATE, l, kept, c, dh, dc, da);                                                  \
    }

#define LSTM_ROW(function)                                                                                   \
    .states = SG_STATE_BOTH, .default_state = SG_STATE_CELL, .recurrence = CELL_DENSE, .imported = true,     \
    .kinked = true, .gates = 4, .summed = 3, .tape = 6, .slot = {0, 1, 2, 3}, .n_stages = 1,                 \
    .stage = {{4, CELL_FROM_H, function##_forward, function##_backward}}, .jacobian = function##_jacobian,   \
    .plain_step = function##_plain_step, .plain_reverse = function##_plain_reverse

LSTM_OF(hard, CELL_HARD_SIGMOID, CELL_TANH)
LSTM_OF(relu, CELL_SIGMOID, CELL_RELU)
LSTM_OF(hard_relu, CELL_HARD_SIGMOID, CELL_RELU)

extern const cell_type cell_lstm_hard, cell_lstm_relu, cell_lstm_hard_relu;
const cell_type cell_lstm_hard = {
    .name = "lstm-hard",
    .formula = "i, f, o = min(max(0.2 a + 0.5, 0), 1), g = tanh(a_g); c = f*c + i*g, h = o*tanh(c)",
    .bounded = true,
    LSTM_ROW(hard)};
const cell_type cell_lstm_relu = {.name = "lstm-relu",
                                  .formula =
                                      "i, f, o = sigmoid(a), g = max(a_g, 0); c = f*c + i*g, h = o*max(c, 0)",
                                  LSTM_ROW(relu)};
const cell_type cell_lstm_hard_relu = {
    .name = "lstm-hard-relu",
    .formula = "i, f, o = min(max(0.2 a + 0.5, 0), 1), g = max(a_g, 0); c = f*c + i*g, h = o*max(c, 0)",
    LSTM_ROW(hard_relu)};
