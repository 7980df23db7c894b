/* SPDX-License-Identifier: MIT */
#include "train/layer.h"

#include "base/base_internal.h"
#include "kernel/float_env.h"
#include "kernel/kernel.h"

#include <omp.h>
#include <string.h>

struct sg_layer {
    sg_cell cell;
    size_t T, n, N, H, G, ld; /* ld: floats in a row of the tape */
    int threads;
    const sg_product_kernels *k;
    float *hidden, *cells;      /* ((T+1)*n, H): the first n rows are the state before the window */
    float *tape;                /* (T*n, ld) */
    float *dc;                  /* (n, H) */
    float *input;               /* W_ih^T (N, GH) packed, then W_ih (GH, N) packed */
    float *recurrent;           /* W_hh^T (H, H) packed for each gate, then W_hh (GH, H) packed */
    float *packed_X, *packed_H; /* (T*n, N), (T*n, H) packed, for the weights' gradients */
    float *work;                /* (2*n, H), reset first only */
};

/* Slots of the tape that hold dL/da and dL/du, in the order of W_hh's rows: the GRU's third stands in slot
 * 3. */
static size_t recurrent_slot(const sg_layer *l, size_t gate)
{
    return l->cell == SG_CELL_GRU && gate == 2 ? 3 : gate;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

sg_status layer_new(sg_layer **out, sg_cell cell, size_t T, size_t n, size_t N, size_t H, int threads,
                    sg_error *err)
{
    sg_status st = SG_OK;
    size_t G = sg_cell_gates(cell), rows = T * n;
    *out = NULL;
    sg_layer *l = sg_calloc(1, sizeof *l);
    if (!l)
        return sg_fail(err, SG_ENOMEM, "training: no memory");
    *l = (sg_layer){.cell = cell,
                    .T = T,
                    .n = n,
                    .N = N,
                    .H = H,
                    .G = G,
                    .ld = cell_tape(cell) * H,
                    .threads = threads,
                    .k = kernels_best()->product};
    size_t input = larger(packed_size(N, G * H), packed_size(G * H, N));
    size_t recurrent = larger(G * packed_size(H, H), packed_size(G * H, H));
    if (!(l->hidden = sg_calloc(rows + n, H * sizeof(float))) ||
        (cell == SG_CELL_LSTM && !(l->cells = sg_calloc(rows + n, H * sizeof(float)))) ||
        !(l->tape = sg_calloc(rows, l->ld * sizeof(float))) || !(l->dc = sg_calloc(n, H * sizeof(float))) ||
        !(l->input = sg_calloc(input, sizeof(float))) ||
        !(l->recurrent = sg_calloc(recurrent, sizeof(float))) ||
        !(l->packed_X = sg_calloc(packed_size(rows, N), sizeof(float))) ||
        !(l->packed_H = sg_calloc(packed_size(rows, H), sizeof(float))) ||
        (cell == SG_CELL_GRU_RESET_FIRST && !(l->work = sg_calloc(2 * n, H * sizeof(float)))))
        TRY(sg_fail(err, SG_ENOMEM, "training: no memory for windows of %zu steps of %zu sequences", T, n));
    *out = l;
    l = NULL;
done:
    layer_free(l);
    return st;
}

void layer_free(sg_layer *l)
{
    if (!l)
        return;
    sg_free(l->hidden);
    sg_free(l->cells);
    sg_free(l->tape);
    sg_free(l->dc);
    sg_free(l->input);
    sg_free(l->recurrent);
    sg_free(l->packed_X);
    sg_free(l->packed_H);
    sg_free(l->work);
    sg_free(l);
}

const float *layer_hidden(const sg_layer *l)
{
    return l->hidden + l->n * l->H;
}

float *layer_last_state(sg_layer *l, float **cell)
{
    *cell = l->cells;
    return l->hidden;
}

/* Barriers cost about a microsecond: threads are worth it where a step of all sequences is longer. */
static int crew(const sg_layer *l)
{
    return l->n * l->G * l->H * l->H > 1u << 18 ? l->threads : 1;
}

/* The columns of B, panel by panel, shared among the threads of the region. */
static void pack_shared(const sg_layer *l, size_t k, size_t n, const float *B, size_t row, size_t column,
                        float *packed)
{
#pragma omp for schedule(static) nowait
    for (size_t j = 0; j < n; j += SG_PANEL)
        l->k->pack(k, n - j < SG_PANEL ? n - j : SG_PANEL, B + j * column, row, column, packed + j * k);
}

/* This thread's units [*begin, *end): whole panels. */
static void my_units(size_t H, size_t *begin, size_t *end)
{
    size_t panels = (H + SG_PANEL - 1) / SG_PANEL, me = (size_t)omp_get_thread_num();
    size_t all = (size_t)omp_get_num_threads();
    *begin = panels * me / all * SG_PANEL;
    *end = panels * (me + 1) / all * SG_PANEL;
    *end = *end < H ? *end : H;
    *begin = *begin < H ? *begin : H;
}

/* rows, units of a task of the products over a whole window: multiples of a tile */
enum { ROWS = 120, UNITS = 60 };

/* ---- forward ---- */

static void input_product(sg_layer *l, size_t rows, const sg_layer_parameters *w, const float *X)
{
#pragma omp for schedule(static)
    for (size_t r = 0; r < rows; r += ROWS) {
        size_t m = rows - r < ROWS ? rows - r : ROWS;
        float *tape = l->tape + r * l->ld;
        cell_preload(l->cell, m, l->H, w->b_ih, w->b_hh, tape);
        l->k->multiply(m, l->G * l->H, l->N, X + r * l->N, l->N, 1, l->input, l->N, tape, l->ld, true);
    }
}

static void activate(const sg_layer *l, size_t t, size_t u0, size_t u1)
{
    size_t H = l->H, step = l->n * H, m = u1 - u0;
    for (size_t b = 0; b < l->n; b++) {
        float *a = l->tape + (t * l->n + b) * l->ld + u0;
        const float *prev = l->hidden + t * step + b * H + u0;
        float *h = l->hidden + (t + 1) * step + b * H + u0;
        if (l->cell == SG_CELL_LSTM)
            l->k->lstm_forward(m, a, a + H, a + 2 * H, a + 3 * H, a + 4 * H, a + 5 * H,
                               l->cells + t * step + b * H + u0, l->cells + (t + 1) * step + b * H + u0, h);
        else if (l->cell == SG_CELL_GRU)
            l->k->gru_forward(m, a, a + H, a + 2 * H, a + 3 * H, a + 4 * H, prev, h);
        else
            l->k->rnn_forward(l->cell == SG_CELL_RELU, m, a, h);
    }
}

static void steps_forward(sg_layer *l, size_t steps)
{
    size_t H = l->H, step = l->n * H, u0, u1, gate_size = packed_size(H, H);
    my_units(H, &u0, &u1);
    for (size_t t = 0; t < steps; t++) {
        for (size_t g = 0; g < l->G && u0 < u1; g++)
            l->k->multiply(l->n, u1 - u0, H, l->hidden + t * step, H, 1,
                           l->recurrent + g * gate_size + u0 * H, H,
                           l->tape + t * l->n * l->ld + recurrent_slot(l, g) * H + u0, l->ld, true);
        if (u0 < u1)
            activate(l, t, u0, u1);
#pragma omp barrier
    }
}

void layer_run(sg_layer *l, size_t steps, const sg_layer_parameters *w, const float *X)
{
    size_t H = l->H;
    if (l->cell == SG_CELL_GRU_RESET_FIRST) {
        sg_float_env env = float_env_begin();
        layer_forward(l->cell, steps, l->n, l->N, H, w->W_ih, w->W_hh, w->b_ih, w->b_hh, X, l->hidden, NULL,
                      l->tape);
        float_env_end(env);
        return;
    }
#pragma omp parallel num_threads(crew(l))
    {
        sg_float_env env = float_env_begin();
        pack_shared(l, l->N, l->G * H, w->W_ih, 1, l->N, l->input);
        for (size_t g = 0; g < l->G; g++)
            pack_shared(l, H, H, w->W_hh + g * H * H, 1, H, l->recurrent + g * packed_size(H, H));
#pragma omp barrier
        input_product(l, steps * l->n, w, X);
        steps_forward(l, steps);
        float_env_end(env);
    }
}

/* ---- backward ---- */

static void differentiate(const sg_layer *l, size_t t, float *dH, size_t u0, size_t u1)
{
    size_t H = l->H, m = u1 - u0;
    for (size_t b = 0; b < l->n; b++) {
        float *a = l->tape + (t * l->n + b) * l->ld + u0, *d = dH + (t * l->n + b) * H + u0;
        float *before = t ? d - l->n * H : l->dc + b * H + u0; /* dL/dh before the window is nobody's */
        if (l->cell == SG_CELL_LSTM)
            l->k->lstm_backward(m, a, a + H, a + 2 * H, a + 3 * H, a + 4 * H, a + 5 * H, d,
                                l->dc + b * H + u0);
        else if (l->cell == SG_CELL_GRU)
            l->k->gru_backward(m, a, a + H, a + 2 * H, a + 3 * H, a + 4 * H, d, before);
        else
            l->k->rnn_backward(l->cell == SG_CELL_RELU, m, a, d);
    }
}

/* dL/dh_{t-1} += dL/da_t W_hh for the thread's units: all gates at once, the GRU's third from its own
 * slot. */
static void steps_backward(sg_layer *l, size_t steps, float *dH)
{
    size_t H = l->H, u0, u1, rows = l->G * H, joined = l->cell == SG_CELL_GRU ? 2 * H : rows;
    my_units(H, &u0, &u1);
    const float *packed = l->recurrent + u0 * rows;
    for (size_t b = 0; b < l->n && u0 < u1; b++)
        memset(l->dc + b * H + u0, 0, (u1 - u0) * sizeof *l->dc);
    for (size_t t = steps; t-- > 0;) {
        if (u0 < u1)
            differentiate(l, t, dH, u0, u1);
#pragma omp barrier
        if (!t || u0 == u1)
            continue;
        const float *a = l->tape + t * l->n * l->ld;
        float *before = dH + (t - 1) * l->n * H + u0;
        l->k->multiply(l->n, u1 - u0, joined, a, l->ld, 1, packed, rows, before, H, true);
        if (joined < rows)
            l->k->multiply(l->n, u1 - u0, H, a + 3 * H, l->ld, 1, packed + 2 * H * SG_PANEL, rows, before, H,
                           true);
    }
}

static void input_gradient(sg_layer *l, size_t rows, float *dX)
{
#pragma omp for schedule(static) nowait
    for (size_t r = 0; r < rows; r += ROWS)
        l->k->multiply(rows - r < ROWS ? rows - r : ROWS, l->N, l->G * l->H, l->tape + r * l->ld, l->ld, 1,
                       l->input, l->G * l->H, dX + r * l->N, l->N, false);
}

static void weight_gradients(sg_layer *l, size_t rows, const sg_layer_parameters *g)
{
    size_t H = l->H, per_gate = (H + UNITS - 1) / UNITS;
#pragma omp for schedule(dynamic, 1)
    for (size_t task = 0; task < l->G * per_gate; task++) {
        size_t gate = task / per_gate, u = task % per_gate * UNITS, m = H - u < UNITS ? H - u : UNITS;
        size_t at = gate * H + u, slot = recurrent_slot(l, gate);
        const float *da = l->tape + at, *du = l->tape + slot * H + u;
        l->k->multiply(m, l->N, rows, da, 1, l->ld, l->packed_X, rows, g->W_ih + at * l->N, l->N, false);
        l->k->multiply(m, H, rows, du, 1, l->ld, l->packed_H, rows, g->W_hh + at * H, H, false);
        memset(g->b_ih + at, 0, m * sizeof(float));
        memset(g->b_hh + at, 0, m * sizeof(float));
        for (size_t r = 0; r < rows; r++) {
            l->k->add(m, da + r * l->ld, g->b_ih + at);
            l->k->add(m, du + r * l->ld, g->b_hh + at);
        }
    }
}

static void carry(sg_layer *l, size_t steps)
{
    size_t step = l->n * l->H;
    memmove(l->hidden, l->hidden + steps * step, step * sizeof(float));
    if (l->cells)
        memmove(l->cells, l->cells + steps * step, step * sizeof(float));
}

void layer_back(sg_layer *l, size_t steps, const sg_layer_parameters *w, const float *X, float *dH, float *dX,
                const sg_layer_parameters *g)
{
    size_t H = l->H, N = l->N, rows = steps * l->n;
    if (l->cell == SG_CELL_GRU_RESET_FIRST) {
        memset(g->W_ih, 0, l->G * H * N * sizeof(float));
        memset(g->W_hh, 0, l->G * H * H * sizeof(float));
        memset(g->b_ih, 0, l->G * H * sizeof(float));
        memset(g->b_hh, 0, l->G * H * sizeof(float));
        sg_float_env env = float_env_begin();
        layer_backward(l->cell, steps, l->n, N, H, w->W_ih, w->W_hh, X, l->hidden, l->tape, dH, dX, g->W_ih,
                       g->W_hh, g->b_ih, g->b_hh, l->work);
        float_env_end(env);
        carry(l, steps);
        return;
    }
#pragma omp parallel num_threads(crew(l))
    {
        sg_float_env env = float_env_begin();
        pack_shared(l, l->G * H, H, w->W_hh, H, 1, l->recurrent);
        pack_shared(l, l->G * H, N, w->W_ih, N, 1, l->input);
        pack_shared(l, rows, N, X, N, 1, l->packed_X);
        pack_shared(l, rows, H, l->hidden, H, 1, l->packed_H);
#pragma omp barrier
        steps_backward(l, steps, dH);
#pragma omp barrier
        input_gradient(l, rows, dX);
        weight_gradients(l, rows, g);
        float_env_end(env);
    }
    carry(l, steps);
}
