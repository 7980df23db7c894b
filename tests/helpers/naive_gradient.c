/* SPDX-License-Identifier: MIT */
#include "naive_gradient.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    size_t H, N;
    double *Wi, *Wh, *bi, *bh;
    double *h, *c;
    double *U, *C; /* (max_steps, H, E) */
} layer;

struct naive {
    sg_cell cell;
    size_t L, G, E, steps, max;
    layer layer[SG_MAX_LAYERS];
};

static void *need(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p)
        abort();
    return p;
}

static double *tensor(const sg_model *m, const char *what, size_t l)
{
    char name[64];
    snprintf(name, sizeof name, "rnn.%s_l%zu", what, l);
    const sg_tensor *t = sg_model_find(m, name);
    double *d = need(t->rows * t->cols, sizeof *d);
    for (size_t i = 0; i < t->rows * t->cols; i++)
        d[i] = (double)t->data[i];
    return d;
}

naive *naive_new(const sg_model *m, size_t max_steps)
{
    const sg_model_shape *s = sg_model_get_shape(m);
    naive *n = need(1, sizeof *n);
    n->cell = s->cell, n->L = s->layers, n->E = s->embedding, n->max = max_steps;
    n->G = s->cell == SG_CELL_LSTM ? 4 : s->cell == SG_CELL_GRU || s->cell == SG_CELL_GRU_RESET_FIRST ? 3 : 1;
    for (size_t l = 0; l < n->L; l++) {
        layer *y = &n->layer[l];
        y->H = s->hidden[l], y->N = l ? s->hidden[l - 1] : s->embedding;
        y->Wi = tensor(m, "weight_ih", l), y->Wh = tensor(m, "weight_hh", l);
        y->bi = tensor(m, "bias_ih", l), y->bh = tensor(m, "bias_hh", l);
        y->h = need(y->H, sizeof(double)), y->c = need(y->H, sizeof(double));
        y->U = need(max_steps * y->H * n->E, sizeof(double));
        y->C = need(max_steps * y->H * n->E, sizeof(double));
    }
    return n;
}

void naive_free(naive *n)
{
    for (size_t l = 0; l < n->L; l++) {
        layer *y = &n->layer[l];
        free(y->Wi), free(y->Wh), free(y->bi), free(y->bh), free(y->h), free(y->c), free(y->U), free(y->C);
    }
    free(n);
}

static double dot(const double *a, const double *b, size_t n)
{
    double s = 0;
    for (size_t k = 0; k < n; k++)
        s += a[k] * b[k];
    return s;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* column e of a (rows, E) matrix */
static void column(const double *M, size_t rows, size_t E, size_t e, double *out)
{
    for (size_t k = 0; k < rows; k++)
        out[k] = M[k * E + e];
}

/* One layer, one tangent: dx of the input and dh, dc of the state before give dh, dc after (in place). With
 * h, c NULL the values themselves are moved: x, h, c in, h, c out. v* are the values, d* the tangents. */
static void cell_step(const naive *n, const layer *y, const double *x, const double *h0, const double *c0,
                      const double *dx, double *dh, double *dc, double *h1, double *c1)
{
    size_t H = y->H, N = y->N;
    double *old = need(H, sizeof *old), *rh = need(H, sizeof *rh), *drh = need(H, sizeof *drh);
    memcpy(old, dh, H * sizeof *old);
    for (size_t j = 0; j < H; j++) {
        double a[4], da[4], w[4], dw[4]; /* input part and recurrent part of each gate */
        for (size_t g = 0; g < n->G; g++) {
            size_t row = g * H + j;
            a[g] = dot(y->Wi + row * N, x, N) + y->bi[row];
            da[g] = dot(y->Wi + row * N, dx, N);
            w[g] = dot(y->Wh + row * H, h0, H) + y->bh[row];
            dw[g] = dot(y->Wh + row * H, old, H);
        }
        switch (n->cell) {
        case SG_CELL_LSTM: {
            double i = sigmoid(a[0] + w[0]), f = sigmoid(a[1] + w[1]), g = tanh(a[2] + w[2]),
                   o = sigmoid(a[3] + w[3]);
            double di = i * (1 - i) * (da[0] + dw[0]), df = f * (1 - f) * (da[1] + dw[1]);
            double dg = (1 - g * g) * (da[2] + dw[2]), d_o = o * (1 - o) * (da[3] + dw[3]);
            double c = f * c0[j] + i * g, dcj = df * c0[j] + f * dc[j] + di * g + i * dg;
            dc[j] = dcj;
            dh[j] = d_o * tanh(c) + o * (1 - tanh(c) * tanh(c)) * dcj;
            c1[j] = c, h1[j] = o * tanh(c);
            break;
        }
        case SG_CELL_GRU: {
            double r = sigmoid(a[0] + w[0]), z = sigmoid(a[1] + w[1]), m = tanh(a[2] + r * w[2]);
            double dr = r * (1 - r) * (da[0] + dw[0]), dz = z * (1 - z) * (da[1] + dw[1]);
            double dm = (1 - m * m) * (da[2] + dr * w[2] + r * dw[2]);
            dh[j] = (1 - z) * dm - dz * m + dz * h0[j] + z * old[j];
            h1[j] = (1 - z) * m + z * h0[j];
            break;
        }
        case SG_CELL_GRU_RESET_FIRST: {
            double r = sigmoid(a[0] + w[0]), dr = r * (1 - r) * (da[0] + dw[0]);
            rh[j] = r * h0[j], drh[j] = dr * h0[j] + r * old[j];
            break;
        }
        default: {
            double s = a[0] + w[0], ds = da[0] + dw[0];
            bool relu = n->cell == SG_CELL_RELU;
            h1[j] = relu ? (s > 0 ? s : 0) : tanh(s);
            dh[j] = relu ? (s > 0 ? ds : 0) : (1 - tanh(s) * tanh(s)) * ds;
        }
        }
    }
    for (size_t j = 0; n->cell == SG_CELL_GRU_RESET_FIRST && j < H; j++) {
        size_t zr = H + j, nr = 2 * H + j;
        double z = sigmoid(dot(y->Wi + zr * N, x, N) + y->bi[zr] + dot(y->Wh + zr * H, h0, H) + y->bh[zr]);
        double dz = z * (1 - z) * (dot(y->Wi + zr * N, dx, N) + dot(y->Wh + zr * H, old, H));
        double m = tanh(dot(y->Wi + nr * N, x, N) + y->bi[nr] + dot(y->Wh + nr * H, rh, H) + y->bh[nr]);
        double dm = (1 - m * m) * (dot(y->Wi + nr * N, dx, N) + dot(y->Wh + nr * H, drh, H));
        dh[j] = (1 - z) * dm - dz * m + dz * h0[j] + z * old[j];
        h1[j] = (1 - z) * m + z * h0[j];
    }
    free(old), free(rh), free(drh);
}

void naive_step(naive *n, const double *x, bool zero)
{
    size_t E = n->E, t = n->steps++, H_max = E;
    if (t >= n->max)
        abort();
    for (size_t l = 0; l < n->L; l++) {
        layer *y = &n->layer[l];
        H_max = y->H > H_max ? y->H : H_max;
        if (zero) {
            memset(y->h, 0, y->H * sizeof *y->h);
            memset(y->c, 0, y->H * sizeof *y->c);
            memset(y->U, 0, t * y->H * E * sizeof *y->U);
            memset(y->C, 0, t * y->H * E * sizeof *y->C);
        }
    }
    double *dx = need(H_max, sizeof *dx), *dh = need(H_max, sizeof *dh), *dc = need(H_max, sizeof *dc);
    double *h1[SG_MAX_LAYERS], *c1[SG_MAX_LAYERS];
    for (size_t l = 0; l < n->L; l++) {
        layer *y = &n->layer[l];
        const double *in = l ? h1[l - 1] : x;
        h1[l] = need(y->H, sizeof(double)), c1[l] = need(y->H, sizeof(double));
        for (size_t s = 0; s <= t; s++)
            for (size_t e = 0; e < E; e++) {
                double *U = y->U + s * y->H * E, *C = y->C + s * y->H * E;
                if (l)
                    column(n->layer[l - 1].U + s * y->N * E, y->N, E, e, dx);
                else
                    for (size_t k = 0; k < E; k++)
                        dx[k] = s == t && k == e;
                column(U, y->H, E, e, dh), column(C, y->H, E, e, dc);
                cell_step(n, y, in, y->h, y->c, dx, dh, dc, h1[l], c1[l]);
                for (size_t j = 0; j < y->H; j++)
                    U[j * E + e] = dh[j], C[j * E + e] = dc[j];
            }
    }
    for (size_t l = 0; l < n->L; l++) {
        memcpy(n->layer[l].h, h1[l], n->layer[l].H * sizeof(double));
        memcpy(n->layer[l].c, c1[l], n->layer[l].H * sizeof(double));
        free(h1[l]), free(c1[l]);
    }
    free(dx), free(dh), free(dc);
}

const double *naive_get(const naive *n, size_t l, sg_state_kind kind, size_t s)
{
    const layer *y = &n->layer[l - 1];
    return (kind == SG_STATE_CELL ? y->C : y->U) + s * y->H * n->E;
}

const double *naive_state(const naive *n, size_t l, sg_state_kind kind)
{
    return kind == SG_STATE_CELL ? n->layer[l - 1].c : n->layer[l - 1].h;
}
