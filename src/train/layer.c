/* SPDX-License-Identifier: MIT */
#include "train/layer.h"

#include "base/base_internal.h"
#include "kernel/float_env.h"
#include "kernel/kernel.h"

#include <omp.h>
#include <string.h>

struct sg_layer {
    const cell_type *cell;
    size_t T, n, N, H, G, ld; /* ld: floats in a row of the tape */
    int threads;
    const sg_product_kernels *k;
    float *hidden, *cells;      /* ((T+1)*n, H): the first n rows are the state before the window */
    float *tape;                /* (T*n, ld) */
    float *dc;                  /* (n, H) */
    float *dsource;             /* (n, H) with two stages */
    float *input;               /* W_ih^T (N, GH) packed, then W_ih (GH, N) packed */
    float *recurrent;           /* W_hh^T (H, H) packed for each gate, then W_hh (GH, H) packed */
    float *packed_X, *packed_H; /* (T*n, N), (T*n, H) packed, for the weights' gradients */
    float *packed_source;       /* the same of the second stage's source */
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

sg_status layer_new(sg_layer **out, const cell_type *cell, size_t T, size_t n, size_t N, size_t H,
                    int threads, sg_error *err)
{
    sg_status st = SG_OK;
    size_t G = cell->gates, rows = T * n;
    bool dense = cell->recurrence == CELL_DENSE, two = cell->n_stages > 1;
    *out = NULL;
    sg_layer *l = sg_calloc(1, sizeof *l);
    if (!l)
        return no_memory(err, "the training");
    *l = (sg_layer){.cell = cell,
                    .T = T,
                    .n = n,
                    .N = N,
                    .H = H,
                    .G = G,
                    .ld = cell->tape * H,
                    .threads = threads,
                    .k = kernels_best()->product};
    size_t input = larger(packed_size(N, G * H), packed_size(G * H, N));
    size_t recurrent = larger(G * packed_size(H, H), packed_size(G * H, H));
    if (!(l->hidden = sg_calloc(rows + n, H * sizeof(float))) ||
        (cell_states(cell) == 2 && !(l->cells = sg_calloc(rows + n, H * sizeof(float)))) ||
        !(l->tape = sg_calloc(rows, l->ld * sizeof(float))) || !(l->dc = sg_calloc(n, H * sizeof(float))) ||
        !(l->input = sg_calloc(input, sizeof(float))) ||
        !(l->packed_X = sg_calloc(packed_size(rows, N), sizeof(float))) ||
        (dense && (!(l->recurrent = sg_calloc(recurrent, sizeof(float))) ||
                   !(l->packed_H = sg_calloc(packed_size(rows, H), sizeof(float))))) ||
        (two && (!(l->dsource = sg_calloc(n, H * sizeof(float))) ||
                 !(l->packed_source = sg_calloc(packed_size(rows, H), sizeof(float))))))
        TRY(no_memory(err, "windows of %zu steps of %zu sequences", T, n));
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
    float *const buffers[] = {l->hidden, l->cells,     l->tape,     l->dc,       l->dsource,
                              l->input,  l->recurrent, l->packed_X, l->packed_H, l->packed_source};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        sg_free(buffers[i]);
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
static int thread_count(const sg_layer *l)
{
    size_t columns = l->cell->recurrence == CELL_DENSE ? l->H : l->N;
    return l->n * l->G * l->H * columns > 1u << 18 ? l->threads : 1;
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

static void activate(const sg_layer *l, const cell_stage *stage, size_t t, size_t u0, size_t u1)
{
    size_t H = l->H, step = l->n * H;
    cell_units u = {.n = u1 - u0, .H = H, .kernels = kernels_best()};
    for (size_t b = 0; b < l->n; b++) {
        size_t at = t * step + b * H + u0;
        u.tape = l->tape + (t * l->n + b) * l->ld + u0;
        u.h_prev = l->hidden + at, u.h = l->hidden + at + step;
        if (l->cells)
            u.c_prev = l->cells + at, u.c = l->cells + at + step;
        stage->forward(&u);
    }
}

/* What the products of a stage at step t multiply, rows *ld apart. */
static const float *source_of(const sg_layer *l, const cell_stage *stage, size_t t, size_t *ld)
{
    bool own = stage->source == CELL_FROM_H;
    *ld = own ? l->H : l->ld;
    return own ? l->hidden + t * l->n * l->H : l->tape + t * l->n * l->ld + (size_t)stage->source * l->H;
}

static void steps_forward(sg_layer *l, size_t steps)
{
    size_t H = l->H, u0, u1, gate_size = packed_size(H, H), ld;
    my_units(H, &u0, &u1);
    for (size_t t = 0; t < steps; t++)
        for (size_t s = 0, gate = 0; s < l->cell->n_stages; s++) {
            const cell_stage *stage = &l->cell->stage[s];
            const float *source = source_of(l, stage, t, &ld);
            for (size_t end = gate + stage->gates; gate < end; gate++)
                if (u0 < u1)
                    l->k->multiply(l->n, u1 - u0, H, source, ld, 1, l->recurrent + gate * gate_size + u0 * H,
                                   H, l->tape + t * l->n * l->ld + l->cell->slot[gate] * H + u0, l->ld, true);
            if (u0 < u1)
                activate(l, stage, t, u0, u1);
            if (stage->gates) { /* else units do not need each other */
#pragma omp barrier
            }
        }
}

void layer_run(sg_layer *l, size_t steps, const sg_layer_parameters *w, const float *X)
{
    size_t H = l->H;
    bool dense = l->cell->recurrence == CELL_DENSE;
#pragma omp parallel num_threads(thread_count(l))
    {
        sg_float_env env = float_env_begin();
        pack_shared(l, l->N, l->G * H, w->W_ih, 1, l->N, l->input);
        for (size_t g = 0; dense && g < l->G; g++)
            pack_shared(l, H, H, w->W_hh + g * H * H, 1, H, l->recurrent + g * packed_size(H, H));
#pragma omp barrier
        input_product(l, steps * l->n, w, X);
        steps_forward(l, steps);
        float_env_end(env);
    }
}

/* ---- backward ---- */

static void differentiate(const sg_layer *l, const cell_stage *stage, size_t t, float *dH, size_t u0,
                          size_t u1)
{
    size_t H = l->H;
    cell_adjoints u = {.n = u1 - u0, .H = H, .kernels = kernels_best()};
    for (size_t b = 0; b < l->n; b++) {
        size_t at = b * H + u0;
        float *d = dH + t * l->n * H + at;
        u.tape = l->tape + (t * l->n + b) * l->ld + u0;
        u.dh = d, u.dc = l->dc + at, u.dsource = l->dsource ? l->dsource + at : NULL;
        u.dh_prev = t ? d - l->n * H : l->dc + at; /* dL/dh before the window is nobody's */
        stage->backward(&u);
    }
}

/* dL/d(source) of a stage's products at step t, for the thread's units: added to dL/dh_{t-1}, or set. */
static void source_gradient(const sg_layer *l, size_t s, size_t first, size_t t, float *dH, size_t u0,
                            size_t u1)
{
    const cell_stage *stage = &l->cell->stage[s];
    size_t H = l->H, rows = l->G * H;
    bool own = stage->source == CELL_FROM_H;
    if ((own && !t) || u0 == u1)
        return;
    float *to = (own ? dH + (t - 1) * l->n * H : l->dsource) + u0;
    for (size_t gate = first, end = first + stage->gates, n; gate < end; gate += n) {
        n = cell_run(l->cell, gate, end);
        l->k->multiply(l->n, u1 - u0, n * H, l->tape + t * l->n * l->ld + l->cell->slot[gate] * H, l->ld, 1,
                       l->recurrent + u0 * rows + gate * H * SG_PANEL, rows, to, H, own || gate > first);
    }
}

static void steps_backward(sg_layer *l, size_t steps, float *dH)
{
    size_t H = l->H, u0, u1;
    my_units(H, &u0, &u1);
    for (size_t b = 0; b < l->n && u0 < u1; b++)
        memset(l->dc + b * H + u0, 0, (u1 - u0) * sizeof *l->dc);
    for (size_t t = steps; t-- > 0;)
        for (size_t s = l->cell->n_stages, first = l->G; s-- > 0;) {
            const cell_stage *stage = &l->cell->stage[s];
            first -= stage->gates;
            if (u0 < u1)
                differentiate(l, stage, t, dH, u0, u1);
            if (!stage->gates)
                continue;
#pragma omp barrier
            source_gradient(l, s, first, t, dH, u0, u1);
        }
}

static void input_gradient(sg_layer *l, size_t rows, float *dX)
{
#pragma omp for schedule(static) nowait
    for (size_t r = 0; r < rows; r += ROWS)
        l->k->multiply(rows - r < ROWS ? rows - r : ROWS, l->N, l->G * l->H, l->tape + r * l->ld, l->ld, 1,
                       l->input, l->G * l->H, dX + r * l->N, l->N, false);
}

/* dL/dW += da^T X, m units of a gate at `slot` of the tape. */
static void unit_gradients(const sg_layer *l, size_t rows, const float *da, size_t m, const float *packed,
                           size_t columns, float *W, float *b)
{
    l->k->multiply(m, columns, rows, da, 1, l->ld, packed, rows, W, columns, false);
    memset(b, 0, m * sizeof *b);
    for (size_t r = 0; r < rows; r++)
        l->k->add(m, da + r * l->ld, b);
}

static void weight_gradients(sg_layer *l, size_t rows, const sg_layer_parameters *g)
{
    size_t H = l->H, per_gate = (H + UNITS - 1) / UNITS;
#pragma omp for schedule(dynamic, 1)
    for (size_t task = 0; task < l->G * per_gate; task++) {
        size_t gate = task / per_gate, u = task % per_gate * UNITS, m = H - u < UNITS ? H - u : UNITS;
        size_t at = gate * H + u;
        const float *source = gate < l->cell->stage[0].gates ? l->packed_H : l->packed_source;
        unit_gradients(l, rows, l->tape + at, m, l->packed_X, l->N, g->W_ih + at * l->N, g->b_ih + at);
        if (source)
            unit_gradients(l, rows, l->tape + l->cell->slot[gate] * H + u, m, source, H, g->W_hh + at * H,
                           g->b_hh + at);
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
    size_t H = l->H, N = l->N, rows = steps * l->n, ld;
#pragma omp parallel num_threads(thread_count(l)) private(ld)
    {
        sg_float_env env = float_env_begin();
        if (l->recurrent)
            pack_shared(l, l->G * H, H, w->W_hh, H, 1, l->recurrent);
        if (l->recurrent && g)
            pack_shared(l, rows, H, l->hidden, H, 1, l->packed_H);
        pack_shared(l, l->G * H, N, w->W_ih, N, 1, l->input);
        if (g)
            pack_shared(l, rows, N, X, N, 1, l->packed_X);
        if (l->packed_source && g) {
            const float *source = source_of(l, &l->cell->stage[1], 0, &ld);
            pack_shared(l, rows, H, source, ld, 1, l->packed_source);
        }
#pragma omp barrier
        steps_backward(l, steps, dH);
#pragma omp barrier
        input_gradient(l, rows, dX);
        if (g)
            weight_gradients(l, rows, g);
        float_env_end(env);
    }
    carry(l, steps);
}
