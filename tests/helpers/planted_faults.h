/* SPDX-License-Identifier: MIT */
/* planted_faults.h - G[t,d] by carrying every tangent of every origin through the linearised step, gate by
 * gate, in double: no folding, no blocks. And the same with a fault: what `check` must notice. */
#ifndef PLANTED_FAULTS_H
#define PLANTED_FAULTS_H

#include "stategrad/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum {
    NO_FAULT,
    /* the path through the forget gate (LSTM), the update gate (GRU), the slope of the RNN's nonlinearity */
    DROPPED_GATE_TERM,
    WRONG_GATE_ORDER,   /* the rows of the second and third gate change places */
    OFF_BY_ONE_DELAY,   /* G[t,d+1] for G[t,d] */
    TRANSPOSED_MATRIX,  /* W_hh' for W_hh */
    MISSING_LAYER_PATH, /* layers above the first hear of an origin only in its own step */
    FAULTS
} fault;

static const char *const fault_names[] = {"none",
                                          "dropped gate term",
                                          "wrong gate order",
                                          "off-by-one delay",
                                          "transposed matrix",
                                          "missing layer path"};

typedef struct {
    size_t H, N;
    const float *W, *U, *b, *bu;
    double *h, *c, *h_old, *c_old, *gate, *u;
    double *C, *Hd; /* (D origins, E, H): tangents dc, dh */
} naive_layer;

typedef struct {
    const sg_model *m;
    sg_model_shape shape;
    fault fault;
    size_t D, G, t; /* t: steps read */
    naive_layer layer[SG_MAX_LAYERS];
} naive;

static double *naive_room(size_t n)
{
    return calloc(n, sizeof(double));
}

static naive *naive_new(const sg_model *m, size_t D, fault f)
{
    naive *n = calloc(1, sizeof *n);
    n->m = m;
    n->shape = *sg_model_get_shape(m);
    n->fault = f;
    n->D = D + 1; /* one more than asked for, so that the off-by-one has something to give */
    n->G = sg_cell_gates(n->shape.cell);
    for (size_t k = 0; k < n->shape.layers; k++) {
        naive_layer *l = &n->layer[k];
        char name[64];
        const float **tensors[] = {&l->W, &l->U, &l->b, &l->bu};
        static const char *const what[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
        for (int i = 0; i < 4; i++) {
            snprintf(name, sizeof name, "rnn.%s_l%zu", what[i], k);
            *tensors[i] = sg_model_find(m, name)->data;
        }
        l->H = n->shape.hidden[k];
        l->N = k ? n->shape.hidden[k - 1] : n->shape.embedding;
        l->h = naive_room(l->H), l->c = naive_room(l->H), l->h_old = naive_room(l->H),
        l->c_old = naive_room(l->H);
        l->gate = naive_room(n->G * l->H), l->u = naive_room(l->H);
        l->C = naive_room(n->D * n->shape.embedding * l->H),
        l->Hd = naive_room(n->D * n->shape.embedding * l->H);
    }
    return n;
}

static void naive_free(naive *n)
{
    for (size_t k = 0; k < n->shape.layers; k++) {
        naive_layer *l = &n->layer[k];
        free(l->h), free(l->c), free(l->h_old), free(l->c_old), free(l->gate), free(l->u), free(l->C),
            free(l->Hd);
    }
    free(n);
}

static double naive_sigmoid(double a)
{
    return 1 / (1 + exp(-a));
}

/* sum over the inputs, and over the units, of row i of gate g. The faults of rows and of transposition live
 * here. */
static double naive_W(const naive *n, const naive_layer *l, fault f, size_t g, size_t i, const double *x)
{
    double sum = 0;
    if (f == WRONG_GATE_ORDER && n->G >= 3)
        g = g == 1 ? 2 : g == 2 ? 1 : g;
    for (size_t j = 0; j < l->N; j++)
        sum += l->W[(g * l->H + i) * l->N + j] * x[j];
    return sum;
}

static double naive_U(const naive *n, const naive_layer *l, fault f, size_t g, size_t i, const double *h,
                      const double *factor)
{
    double sum = 0;
    if (f == WRONG_GATE_ORDER && n->G >= 3)
        g = g == 1 ? 2 : g == 2 ? 1 : g;
    for (size_t j = 0; j < l->H; j++)
        sum += l->U[f == TRANSPOSED_MATRIX ? (g * l->H + j) * l->H + i : (g * l->H + i) * l->H + j] * h[j] *
               (factor ? factor[j] : 1);
    return sum;
}

static void naive_forward(naive *n, naive_layer *l, const double *x)
{
    size_t H = l->H;
    sg_cell cell = n->shape.cell;
    double *gate = l->gate;
    memcpy(l->h_old, l->h, H * sizeof(double));
    memcpy(l->c_old, l->c, H * sizeof(double));
    for (size_t g = 0; g < n->G; g++)
        for (size_t i = 0; i < H; i++) {
            double a = naive_W(n, l, NO_FAULT, g, i, x) + l->b[g * H + i];
            bool gru_n = n->G == 3 && g == 2;
            double u = naive_U(n, l, NO_FAULT, g, i, l->h_old,
                               gru_n && cell == SG_CELL_GRU_RESET_FIRST ? gate : NULL) +
                       l->bu[g * H + i];
            if (gru_n)
                l->u[i] = u;
            a += gru_n && cell == SG_CELL_GRU ? gate[i] * u : u;
            bool is_tanh = n->G == 1 || gru_n || (n->G == 4 && g == 2);
            gate[g * H + i] = cell == SG_CELL_RELU ? fmax(a, 0) : is_tanh ? tanh(a) : naive_sigmoid(a);
        }
    for (size_t i = 0; i < H; i++) {
        if (n->G == 4) {
            l->c[i] = gate[H + i] * l->c_old[i] + gate[i] * gate[2 * H + i];
            l->h[i] = gate[3 * H + i] * tanh(l->c[i]);
        } else if (n->G == 3) {
            l->h[i] = (1 - gate[H + i]) * gate[2 * H + i] + gate[H + i] * l->h_old[i];
        } else {
            l->h[i] = gate[i];
        }
    }
}

/* One tangent: dx in; dc, dh in and out. */
static void naive_tangent(const naive *n, const naive_layer *l, const double *dx, double *dc, double *dh)
{
    size_t H = l->H, G = n->G;
    fault f = n->fault;
    const double *gate = l->gate;
    double *da = naive_room(G * H), *dr = naive_room(H);
    bool reset_first = n->shape.cell == SG_CELL_GRU_RESET_FIRST, drop = f == DROPPED_GATE_TERM;
    for (size_t g = 0; g < G; g++)
        for (size_t i = 0; i < H; i++) {
            double in = naive_W(n, l, f, g, i, dx), rec = naive_U(n, l, f, g, i, dh, NULL);
            if (G == 3 && g == 2) {
                dr[i] = da[i] * gate[i] * (1 - gate[i]);
                da[g * H + i] = in + (reset_first ? 0 : gate[i] * rec + dr[i] * l->u[i]);
            } else {
                da[g * H + i] = in + rec;
            }
        }
    if (reset_first) {
        double *v = naive_room(H);
        for (size_t j = 0; j < H; j++)
            v[j] = gate[j] * dh[j] + dr[j] * l->h_old[j];
        for (size_t i = 0; i < H; i++)
            da[2 * H + i] += naive_U(n, l, f, 2, i, v, NULL);
        free(v);
    }
    for (size_t i = 0; i < H; i++) {
        if (G == 4) {
            double in = gate[i], forget = gate[H + i], g = gate[2 * H + i], o = gate[3 * H + i],
                   tc = tanh(l->c[i]);
            dc[i] = forget * dc[i] + (drop ? 0 : l->c_old[i] * forget * (1 - forget) * da[H + i]) +
                    g * in * (1 - in) * da[i] + in * (1 - g * g) * da[2 * H + i];
            dh[i] = o * (1 - tc * tc) * dc[i] + tc * o * (1 - o) * da[3 * H + i];
        } else if (G == 3) {
            double z = gate[H + i], c = gate[2 * H + i], dz = drop ? 0 : z * (1 - z) * da[H + i];
            dh[i] = (1 - z) * (1 - c * c) * da[2 * H + i] + (l->h_old[i] - c) * dz + z * dh[i];
        } else {
            dh[i] = da[i] * (drop ? 1 : n->shape.cell == SG_CELL_TANH ? 1 - l->h[i] * l->h[i] : l->h[i] > 0);
        }
    }
    free(da);
    free(dr);
}

static sg_status naive_step(void *ctx, int32_t id, const float *features, sg_error *err)
{
    (void)err;
    naive *n = ctx;
    size_t E = n->shape.embedding, newest = n->t % n->D;
    const float *row = features ? features : sg_model_find(n->m, "encoder.weight")->data + (size_t)id * E;
    double *x = naive_room(E);
    for (size_t j = 0; j < E; j++)
        x[j] = row[j];
    const double *below = x;
    for (size_t k = 0; k < n->shape.layers; k++) {
        naive_layer *l = &n->layer[k];
        naive_forward(n, l, below);
        below = l->h;
        memset(l->C + newest * E * l->H, 0, E * l->H * sizeof(double));
        memset(l->Hd + newest * E * l->H, 0, E * l->H * sizeof(double));
    }
    n->t++;
    size_t origins = n->t < n->D ? n->t : n->D, widest = E;
    for (size_t k = 0; k < n->shape.layers; k++)
        widest = n->layer[k].H > widest ? n->layer[k].H : widest;
    double *dx = naive_room(widest);
    for (size_t o = 0; o < origins; o++)
        for (size_t e = 0; e < E; e++)
            for (size_t k = 0; k < n->shape.layers; k++) {
                naive_layer *l = &n->layer[k];
                memset(dx, 0, widest * sizeof *dx);
                if (k == 0 && o == newest)
                    dx[e] = 1;
                if (k > 0 && (n->fault != MISSING_LAYER_PATH || o == newest))
                    memcpy(dx, n->layer[k - 1].Hd + (o * E + e) * l->N, l->N * sizeof *dx);
                naive_tangent(n, l, dx, l->C + (o * E + e) * l->H, l->Hd + (o * E + e) * l->H);
            }
    free(dx);
    free(x);
    return SG_OK;
}

static void naive_get(void *ctx, size_t layer, sg_state_kind kind, size_t d, float *G)
{
    const naive *n = ctx;
    const naive_layer *l = &n->layer[layer - 1];
    size_t E = n->shape.embedding;
    if (n->fault == OFF_BY_ONE_DELAY)
        d++;
    memset(G, 0, l->H * E * sizeof *G);
    if (d >= n->t)
        return;
    const double *from = (kind == SG_STATE_CELL ? l->C : l->Hd) + (n->t - 1 - d) % n->D * E * l->H;
    for (size_t e = 0; e < E; e++)
        for (size_t i = 0; i < l->H; i++)
            G[i * E + e] = (float)from[e * l->H + i];
}

#endif
