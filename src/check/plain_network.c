/* SPDX-License-Identifier: MIT */
#include "check/plain_network.h"

#include "base/base_internal.h"

#include <math.h>
#include <string.h>

typedef struct {
    size_t H, N;                 /* units and inputs */
    const float *W, *U, *b, *bu; /* weight_ih, weight_hh (G H rows), bias_ih, bias_hh */
    double *h, *c, *u;           /* (T, H); u: W_hn h + b_hn of the GRUs */
    double *gate;                /* (T, G, H), after the nonlinearity */
    double *dh, *dc;             /* (H): adjoints of step s, then of s - 1 */
} layer;

struct reference {
    sg_cell cell;
    size_t T, E, L, G;
    double *x; /* (T, E) */
    double *zero;
    double *da; /* (G, H max) */
    double *dx; /* (E or H max) */
    layer layers[SG_MAX_LAYERS];
};

static const float *tensor(const sg_model *m, const char *what, size_t k, sg_error *err, sg_status *st)
{
    char name[64];
    snprintf(name, sizeof name, "rnn.%s_l%zu", what, k);
    const sg_tensor *t = sg_model_find(m, name);
    if (!t && *st == SG_OK)
        *st = sg_fail(err, SG_EINVAL, "check: the model has no tensor '%s'", name);
    return t ? t->data : NULL;
}

sg_status reference_new(reference **out, const sg_model *m, size_t T, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_model_shape *shape = sg_model_get_shape(m);
    size_t widest = shape->embedding, G = sg_cell_gates(shape->cell);
    *out = NULL;
    reference *r = sg_calloc(1, sizeof *r);
    if (!r)
        return sg_fail(err, SG_ENOMEM, "check: no memory");
    r->cell = shape->cell;
    r->T = T;
    r->E = shape->embedding;
    r->L = shape->layers;
    r->G = G;
    for (size_t k = 0; k < r->L; k++) {
        layer *l = &r->layers[k];
        size_t H = shape->hidden[k];
        l->H = H;
        l->N = k ? shape->hidden[k - 1] : r->E;
        widest = H > widest ? H : widest;
        l->W = tensor(m, "weight_ih", k, err, &st);
        l->U = tensor(m, "weight_hh", k, err, &st);
        l->b = tensor(m, "bias_ih", k, err, &st);
        l->bu = tensor(m, "bias_hh", k, err, &st);
        TRY(st);
        if (!(l->h = sg_calloc(T, H * sizeof(double))) || !(l->c = sg_calloc(T, H * sizeof(double))) ||
            !(l->u = sg_calloc(T, H * sizeof(double))) || !(l->gate = sg_calloc(T, G * H * sizeof(double))) ||
            !(l->dh = sg_calloc(H, sizeof(double))) || !(l->dc = sg_calloc(H, sizeof(double))))
            TRY(sg_fail(err, SG_ENOMEM, "check: %zu steps of %zu units do not fit in memory", T, H));
    }
    if (!(r->x = sg_calloc(T, r->E * sizeof(double))) || !(r->zero = sg_calloc(widest, sizeof(double))) ||
        !(r->da = sg_calloc(G, widest * sizeof(double))) || !(r->dx = sg_calloc(widest, sizeof(double))))
        TRY(sg_fail(err, SG_ENOMEM, "check: %zu steps of %zu inputs do not fit in memory", T, r->E));
    *out = r, r = NULL;
done:
    reference_free(r);
    return st;
}

void reference_free(reference *r)
{
    if (!r)
        return;
    for (size_t k = 0; k < r->L; k++) {
        layer *l = &r->layers[k];
        sg_free(l->h);
        sg_free(l->c);
        sg_free(l->u);
        sg_free(l->gate);
        sg_free(l->dh);
        sg_free(l->dc);
    }
    sg_free(r->x);
    sg_free(r->zero);
    sg_free(r->da);
    sg_free(r->dx);
    sg_free(r);
}

double *reference_input(reference *r, size_t t)
{
    return r->x + t * r->E;
}

void reference_copy(reference *r, const reference *from)
{
    memcpy(r->x, from->x, r->T * r->E * sizeof *r->x);
    for (size_t k = 0; k < r->L; k++) {
        layer *to = &r->layers[k];
        const layer *l = &from->layers[k];
        memcpy(to->h, l->h, r->T * l->H * sizeof *l->h);
        memcpy(to->c, l->c, r->T * l->H * sizeof *l->c);
    }
}

const double *reference_state(const reference *r, size_t k, bool cell, size_t t)
{
    const layer *l = &r->layers[k];
    return (cell ? l->c : l->h) + t * l->H;
}

/* ---- forward ---- */

static double dot(size_t n, const float *w, const double *x)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)w[i] * x[i];
    return sum;
}

static double sigmoid(double a)
{
    return 1 / (1 + exp(-a));
}

/* rows g H + i of both matrices with both biases */
static double preactivation(const layer *l, size_t g, size_t i, const double *x, const double *h)
{
    size_t row = g * l->H + i;
    return dot(l->N, l->W + row * l->N, x) + dot(l->H, l->U + row * l->H, h) + (double)l->b[row] +
           (double)l->bu[row];
}

static void lstm_step(const layer *l, const double *x, const double *h, const double *c, double *gate,
                      double *h_new, double *c_new)
{
    size_t H = l->H;
    for (size_t i = 0; i < H; i++) {
        double in = sigmoid(preactivation(l, 0, i, x, h)), forget = sigmoid(preactivation(l, 1, i, x, h));
        double g = tanh(preactivation(l, 2, i, x, h)), o = sigmoid(preactivation(l, 3, i, x, h));
        gate[i] = in, gate[H + i] = forget, gate[2 * H + i] = g, gate[3 * H + i] = o;
        c_new[i] = forget * c[i] + in * g;
        h_new[i] = o * tanh(c_new[i]);
    }
}

static void gru_step(const layer *l, bool reset_first, const double *x, const double *h, double *gate,
                     double *u, double *h_new)
{
    size_t H = l->H;
    double *r = gate, *z = gate + H, *n = gate + 2 * H;
    for (size_t i = 0; i < H; i++) {
        r[i] = sigmoid(preactivation(l, 0, i, x, h));
        z[i] = sigmoid(preactivation(l, 1, i, x, h));
    }
    for (size_t i = 0; i < H; i++) {
        size_t row = 2 * H + i;
        const float *w = l->U + row * H;
        u[i] = (double)l->bu[row];
        for (size_t j = 0; j < H; j++)
            u[i] += (double)w[j] * h[j] * (reset_first ? r[j] : 1);
        n[i] = tanh(dot(l->N, l->W + row * l->N, x) + (double)l->b[row] + (reset_first ? u[i] : r[i] * u[i]));
        h_new[i] = (1 - z[i]) * n[i] + z[i] * h[i];
    }
}

void reference_run(reference *r, size_t from, size_t to)
{
    for (size_t t = from; t <= to; t++) {
        const double *x = r->x + t * r->E;
        for (size_t k = 0; k < r->L; k++) {
            layer *l = &r->layers[k];
            size_t H = l->H;
            const double *h = t ? l->h + (t - 1) * H : r->zero, *c = t ? l->c + (t - 1) * H : r->zero;
            double *h_new = l->h + t * H, *c_new = l->c + t * H, *gate = l->gate + t * r->G * H,
                   *u = l->u + t * H;
            if (r->cell == SG_CELL_LSTM)
                lstm_step(l, x, h, c, gate, h_new, c_new);
            else if (r->cell == SG_CELL_GRU || r->cell == SG_CELL_GRU_RESET_FIRST)
                gru_step(l, r->cell == SG_CELL_GRU_RESET_FIRST, x, h, gate, u, h_new);
            else
                for (size_t i = 0; i < H; i++) {
                    double a = preactivation(l, 0, i, x, h);
                    h_new[i] = r->cell == SG_CELL_TANH ? tanh(a) : fmax(a, 0);
                }
            x = h_new;
        }
    }
}

/* ---- backward ---- */

/* da of step t from the adjoints dh, dc of its states; leaves in dh, dc the part that reaches step t-1
 * without passing a recurrent matrix. */
static void cell_backward(const reference *r, layer *l, size_t t, double *da)
{
    size_t H = l->H;
    const double *gate = l->gate + t * r->G * H, *h = l->h + t * H, *u = l->u + t * H, *c = l->c + t * H;
    const double *h_old = t ? h - H : r->zero, *c_old = t ? c - H : r->zero;
    for (size_t i = 0; i < H; i++) {
        double dh = l->dh[i], dc = l->dc[i];
        l->dh[i] = l->dc[i] = 0;
        if (r->cell == SG_CELL_LSTM) {
            double in = gate[i], forget = gate[H + i], g = gate[2 * H + i], o = gate[3 * H + i],
                   tc = tanh(c[i]);
            dc += dh * o * (1 - tc * tc);
            da[i] = dc * g * in * (1 - in);
            da[H + i] = dc * c_old[i] * forget * (1 - forget);
            da[2 * H + i] = dc * in * (1 - g * g);
            da[3 * H + i] = dh * tc * o * (1 - o);
            l->dc[i] = dc * forget;
        } else if (r->G == 3) {
            double reset = gate[i], z = gate[H + i], n = gate[2 * H + i], dn = dh * (1 - z) * (1 - n * n);
            da[i] = dn * u[i] * reset * (1 - reset); /* reset first: put right in recurrent_backward */
            da[H + i] = dh * (h_old[i] - n) * z * (1 - z);
            da[2 * H + i] = dn;
            l->dh[i] = dh * z;
        } else {
            da[i] = dh * (r->cell == SG_CELL_TANH ? 1 - h[i] * h[i] : h[i] > 0);
        }
    }
}

/* dh += (d a / d h_{t-1})' da, and for reset-first GRUs da of the reset gate, which hangs on the product. */
static void recurrent_backward(const reference *r, layer *l, size_t t, double *da)
{
    size_t H = l->H;
    const double *gate = l->gate + t * r->G * H, *h_old = t ? l->h + (t - 1) * H : r->zero;
    if (r->cell == SG_CELL_GRU_RESET_FIRST)
        for (size_t j = 0; j < H; j++) {
            double q = 0;
            for (size_t i = 0; i < H; i++)
                q += (double)l->U[(2 * H + i) * H + j] * da[2 * H + i];
            da[j] = q * h_old[j] * gate[j] * (1 - gate[j]);
            l->dh[j] += q * gate[j];
        }
    for (size_t g = 0; g < r->G; g++)
        for (size_t i = 0; i < H; i++) {
            double d = da[g * H + i];
            if (r->G == 3 && g == 2)
                d = r->cell == SG_CELL_GRU ? d * gate[i] : 0;
            const float *w = l->U + (g * H + i) * H;
            for (size_t j = 0; j < H; j++)
                l->dh[j] += d * (double)w[j];
        }
}

void reference_reverse(reference *r, size_t top, bool cell, size_t t, size_t d, const double *u, double *out)
{
    for (size_t k = 0; k <= top; k++) {
        layer *l = &r->layers[k];
        memset(l->dh, 0, l->H * sizeof *l->dh);
        memset(l->dc, 0, l->H * sizeof *l->dc);
    }
    memcpy(cell ? r->layers[top].dc : r->layers[top].dh, u, r->layers[top].H * sizeof *u);
    for (size_t s = t + 1; s-- > t - d;)
        for (size_t k = top + 1; k-- > 0;) {
            layer *l = &r->layers[k];
            cell_backward(r, l, s, r->da);
            recurrent_backward(r, l, s, r->da);
            double *dx = k ? r->layers[k - 1].dh : r->dx;
            if (!k)
                memset(dx, 0, l->N * sizeof *dx);
            for (size_t row = 0; row < r->G * l->H; row++)
                for (size_t j = 0; j < l->N; j++)
                    dx[j] += r->da[row] * (double)l->W[row * l->N + j];
        }
    memcpy(out, r->dx, r->E * sizeof *out);
}
