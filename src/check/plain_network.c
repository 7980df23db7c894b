/* SPDX-License-Identifier: MIT */
#include "check/plain_network.h"

#include "base/base_internal.h"
#include "cell/cell.h"
#include "lm/model_internal.h"

#include <math.h>
#include <string.h>

typedef struct {
    cell_plain w;
    double *h, *c;   /* (T, H) */
    double *kept;    /* (T, CELL_KEPT, H) */
    double *dh, *dc; /* (H): adjoints of step s, then of s - 1 */
} layer;

struct plain_network {
    const cell_type *cell;
    size_t T, E, L;
    double *x; /* (T, E) */
    double *zero;
    double *da; /* (G, H max) */
    double *dx; /* (E or H max) */
    layer layers[SG_MAX_LAYERS];
};

sg_status network_new(plain_network **out, const sg_model *m, size_t T, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_model_shape *shape = sg_model_get_shape(m);
    const sg_parameters p = model_parameters(m, model_block(m));
    size_t widest = shape->embedding;
    *out = NULL;
    plain_network *r = sg_calloc(1, sizeof *r);
    if (!r)
        return no_memory(err, "the check");
    r->cell = cell_of(shape->cell);
    r->T = T;
    r->E = shape->embedding;
    r->L = shape->layers;
    for (size_t k = 0; k < r->L; k++) {
        layer *l = &r->layers[k];
        const sg_layer_parameters *q = &p.layer[k];
        size_t H = shape->hidden[k];
        l->w = (cell_plain){H, model_inputs(m, k), q->W_ih, q->W_hh, q->b_ih, q->b_hh};
        widest = H > widest ? H : widest;
        NEED((l->h = sg_calloc(T, H * sizeof(double))) && (l->c = sg_calloc(T, H * sizeof(double))) &&
                 (l->kept = sg_calloc(T, CELL_KEPT * H * sizeof(double))) &&
                 (l->dh = sg_calloc(H, sizeof(double))) && (l->dc = sg_calloc(H, sizeof(double))),
             err, "%zu steps of %zu units", T, H);
    }
    NEED((r->x = sg_calloc(T, r->E * sizeof(double))) && (r->zero = sg_calloc(widest, sizeof(double))) &&
             (r->da = sg_calloc(r->cell->gates, widest * sizeof(double))) &&
             (r->dx = sg_calloc(widest, sizeof(double))),
         err, "%zu steps of %zu inputs", T, r->E);
    *out = r, r = NULL;
done:
    network_free(r);
    return st;
}

void network_free(plain_network *r)
{
    if (!r)
        return;
    for (size_t k = 0; k < r->L; k++) {
        layer *l = &r->layers[k];
        sg_free(l->h);
        sg_free(l->c);
        sg_free(l->kept);
        sg_free(l->dh);
        sg_free(l->dc);
    }
    sg_free(r->x);
    sg_free(r->zero);
    sg_free(r->da);
    sg_free(r->dx);
    sg_free(r);
}

double *network_input(plain_network *r, size_t t)
{
    return r->x + t * r->E;
}

void network_copy(plain_network *r, const plain_network *from)
{
    memcpy(r->x, from->x, r->T * r->E * sizeof *r->x);
    for (size_t k = 0; k < r->L; k++) {
        layer *to = &r->layers[k];
        const layer *l = &from->layers[k];
        memcpy(to->h, l->h, r->T * l->w.H * sizeof *l->h);
        memcpy(to->c, l->c, r->T * l->w.H * sizeof *l->c);
    }
}

const double *network_state(const plain_network *r, size_t k, bool cell, size_t t)
{
    const layer *l = &r->layers[k];
    return (cell ? l->c : l->h) + t * l->w.H;
}

/* A state of the layer at step t, counted from 1: zero before the first. */
static double *at(const plain_network *r, double *state, size_t H, size_t t)
{
    return t ? state + (t - 1) * H : r->zero;
}

void network_run(plain_network *r, size_t from, size_t to)
{
    for (size_t t = from; t <= to; t++) {
        const double *x = r->x + t * r->E;
        for (size_t k = 0; k < r->L; k++) {
            layer *l = &r->layers[k];
            size_t H = l->w.H;
            double *h = at(r, l->h, H, t + 1);
            r->cell->plain_step(&l->w, x, at(r, l->h, H, t), at(r, l->c, H, t), l->kept + t * CELL_KEPT * H,
                                h, at(r, l->c, H, t + 1));
            x = h;
        }
    }
}

void network_round(plain_network *r, size_t t, double share, sg_rng *rng)
{
    for (size_t k = 0; k < r->L; k++) {
        layer *l = &r->layers[k];
        for (size_t i = 0; i < l->w.H; i++) {
            l->h[t * l->w.H + i] *= 1 + (sg_rng_below(rng, 2) ? share : -share);
            l->c[t * l->w.H + i] *= 1 + (sg_rng_below(rng, 2) ? share : -share);
        }
    }
}

/* Layer by layer h, then c where the cell has one. */
static size_t state_parts(const plain_network *r, double *part[2 * SG_MAX_LAYERS],
                          size_t length[2 * SG_MAX_LAYERS], size_t t)
{
    size_t n = 0, kinds = cell_states(r->cell);
    for (size_t k = 0; k < r->L; k++)
        for (size_t s = 0; s < kinds; s++, n++) {
            const layer *l = &r->layers[k];
            length[n] = l->w.H;
            part[n] = (s ? l->c : l->h) + t * l->w.H;
        }
    return n;
}

void network_push(plain_network *r, size_t t, double share, sg_rng *rng)
{
    double *part[2 * SG_MAX_LAYERS], square = 0;
    size_t length[2 * SG_MAX_LAYERS], n = state_parts(r, part, length, t);
    sg_rng again = *rng; /* the same numbers twice: their norm, then they */
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < length[k]; i++) {
            double x = sg_rng_normal(rng);
            square += x * x;
        }
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < length[k]; i++)
            part[k][i] += share / sqrt(square) * sg_rng_normal(&again);
}

double network_distance(const plain_network *r, const plain_network *other, size_t t)
{
    double *a[2 * SG_MAX_LAYERS] = {0}, *b[2 * SG_MAX_LAYERS] = {0}, square = 0;
    size_t length[2 * SG_MAX_LAYERS], n = state_parts(r, a, length, t);
    state_parts(other, b, length, t);
    for (size_t k = 0; k < n && a[k] && b[k]; k++)
        for (size_t i = 0; i < length[k]; i++)
            square += (a[k][i] - b[k][i]) * (a[k][i] - b[k][i]);
    return sqrt(square);
}

void network_reverse(plain_network *r, size_t top, bool cell, size_t t, size_t d, const double *u,
                     double *out)
{
    for (size_t k = 0; k <= top; k++) {
        layer *l = &r->layers[k];
        memset(l->dh, 0, l->w.H * sizeof *l->dh);
        memset(l->dc, 0, l->w.H * sizeof *l->dc);
    }
    memcpy(cell ? r->layers[top].dc : r->layers[top].dh, u, r->layers[top].w.H * sizeof *u);
    for (size_t s = t + 1; s-- > t - d;)
        for (size_t k = top + 1; k-- > 0;) {
            layer *l = &r->layers[k];
            size_t H = l->w.H, N = l->w.N;
            r->cell->plain_reverse(&l->w, l->kept + s * CELL_KEPT * H, at(r, l->h, H, s), at(r, l->c, H, s),
                                   l->dh, l->dc, r->da);
            double *dx = k ? r->layers[k - 1].dh : r->dx;
            if (!k)
                memset(dx, 0, N * sizeof *dx);
            for (size_t row = 0; row < r->cell->gates * H; row++)
                for (size_t j = 0; j < N; j++)
                    dx[j] += r->da[row] * (double)l->w.W_ih[row * N + j];
        }
    memcpy(out, r->dx, r->E * sizeof *out);
}
