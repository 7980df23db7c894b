/* SPDX-License-Identifier: MIT */
/* One step at a time: forward accumulation with all delays of a layer side by side, through BLAS.
 *
 * U (and C) of a layer are (H, D E): slot s mod D of E columns belongs to origin s, so nothing is ever
 * shifted. Columns go through all layers in chunks, so that the products' results need room for one chunk
 * only. */
#include "stategrad/gradient.h"

#include "base/base_internal.h"
#include "kernel/float_env.h"
#include "linalg/linalg.h"
#include "lm/forward.h"
#include "gradient/single.h"
#include "gradient/step_matrix.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { CHUNK_COLUMNS = 2048 };

typedef struct {
    step_layer step;
    float *A;        /* (P H, K1 + K2): what comes from below, above the first layer, on the right */
    float *Ax;       /* (P H, E), first layer only */
    float *diagonal; /* (P,H) */
    float *U, *C;    /* (H, D E); C with a cell state only */
    size_t K1, K;    /* columns of A: recurrent ones, H or (diagonal) 0; all */
} layer_window;

struct sg_gradient {
    const cell_type *cell;
    size_t layers, E, D, P, chunk; /* chunk: columns at a time, a multiple of E */
    uint64_t steps;                /* since the last reset */
    sg_forward *forward;
    layer_window layer[SG_MAX_LAYERS];
    float *product; /* (P H_max, chunk) */
    float *zeros;   /* H_max: states before the first step, or that the model lacks */
};

static sg_status window_init(layer_window *w, const sg_gradient *g, const sg_model *m, size_t l,
                             sg_error *err)
{
    sg_status st = SG_OK;
    TRY(step_layer_init(&w->step, m, l, err));
    size_t H = w->step.H, columns = g->D * g->E;
    w->K1 = g->cell->recurrence == CELL_DENSE ? H : 0, w->K = w->K1 + (l ? w->step.N : 0);
    w->A = sg_calloc(g->P * H * w->K + 1, sizeof *w->A);
    w->diagonal = sg_calloc(g->P * H, sizeof *w->diagonal);
    w->U = sg_calloc(H, columns * sizeof *w->U);
    bool ok = w->A && w->diagonal && w->U;
    if (!l)
        ok = (w->Ax = sg_calloc(g->P * H * g->E, sizeof *w->Ax)) && ok;
    if (g->P == 2)
        ok = (w->C = sg_calloc(H, columns * sizeof *w->C)) && ok;
    NEED(ok, err, "%zu delays of %zu x %zu (layer %zu)", g->D, H, g->E, l + 1);
done:
    return st;
}

sg_status sg_gradient_new(sg_gradient **out, const sg_model *m, size_t D, sg_error *err)
{
    sg_status st = SG_OK;
    sg_gradient *g = NULL;
    const sg_model_shape *shape = sg_model_get_shape(m);
    size_t H_max = 0;
    *out = NULL;
    if (D == 0 || D > SIZE_MAX / sizeof(double) / shape->embedding)
        return sg_fail(err, SG_EINVAL, "gradient: %zu delays of %zu columns", D, shape->embedding);
    NEED(g = sg_calloc(1, sizeof *g), err, "the gradient");
    g->cell = cell_of(shape->cell), g->layers = shape->layers, g->E = shape->embedding, g->D = D;
    g->P = cell_states(g->cell);
    g->chunk = (g->E < CHUNK_COLUMNS ? CHUNK_COLUMNS / g->E : 1) * g->E;
    if (g->chunk > D * g->E)
        g->chunk = D * g->E;
    for (size_t l = 0; l < g->layers; l++) {
        H_max = shape->hidden[l] > H_max ? shape->hidden[l] : H_max;
        TRY(window_init(&g->layer[l], g, m, l, err));
    }
    NEED((g->product = sg_calloc(g->P * H_max, g->chunk * sizeof *g->product)) &&
             (g->zeros = sg_calloc(H_max, sizeof *g->zeros)),
         err, "%zu x %zu of work", g->P * H_max, g->chunk);
    TRY(forward_new(&g->forward, m, 1, err));
    *out = g, g = NULL;
done:
    sg_gradient_free(g);
    return st;
}

void sg_gradient_free(sg_gradient *g)
{
    if (!g)
        return;
    for (size_t l = 0; l < g->layers; l++) {
        layer_window *w = &g->layer[l];
        step_layer_free(&w->step);
        sg_free(w->A);
        sg_free(w->Ax);
        sg_free(w->diagonal);
        sg_free(w->U);
        sg_free(w->C);
    }
    sg_free(g->product);
    sg_free(g->zeros);
    forward_free(g->forward);
    sg_free(g);
}

void sg_gradient_reset(sg_gradient *g)
{
    g->steps = 0;
    forward_reset(g->forward);
}

/* C <- d0 C + product's first rows, U <- d1 C + its second; or U <- d0 U + product. n columns from c0 of
 * rows ld apart. False if anything is not finite. */
static bool update(const layer_window *w, bool two, const float *product, size_t ldp, size_t c0, size_t n,
                   size_t ld)
{
    size_t H = w->step.H;
    int bad = 0;
    for (size_t j = 0; j < H; j++) {
        float d0 = w->diagonal[j], *restrict u = w->U + j * ld + c0;
        const float *restrict p = product + j * ldp;
        if (two) {
            float q = w->diagonal[H + j], *restrict c = w->C + j * ld + c0;
            const float *restrict po = product + (H + j) * ldp;
            for (size_t k = 0; k < n; k++) {
                c[k] = d0 * c[k] + p[k];
                u[k] = q * c[k] + po[k];
                bad |= !(fabsf(u[k]) <= FLT_MAX) | !(fabsf(c[k]) <= FLT_MAX);
            }
        } else {
            for (size_t k = 0; k < n; k++) {
                u[k] = d0 * u[k] + p[k];
                bad |= !(fabsf(u[k]) <= FLT_MAX);
            }
        }
    }
    return !bad;
}

/* One step of n <= chunk columns from c0, all layers. enters: they belong to the origin that enters now.
 * Returns 0, or the number (from 1) of the first layer with something that is not finite. */
static size_t step_columns(sg_gradient *g, size_t c0, size_t n, bool enters)
{
    size_t ld = g->D * g->E;
    bool two = g->P == 2;
    for (size_t l = 0; l < g->layers; l++) {
        const layer_window *w = &g->layer[l];
        size_t H = w->step.H, rows = g->P * H;
        const float *product = g->product;
        size_t ldp = n;
        bool recurrent = !enters && w->K1;
        if (enters)
            for (size_t j = 0; j < H; j++) {
                memset(w->U + j * ld + c0, 0, n * sizeof *w->U);
                if (two)
                    memset(w->C + j * ld + c0, 0, n * sizeof *w->C);
            }
        if (enters && l == 0)
            product = w->Ax, ldp = g->E;
        if (recurrent)
            la_sgemm(LA_N, LA_N, rows, n, H, 1, w->A, w->K, w->U + c0, ld, 0, g->product, n);
        if (l)
            la_sgemm(LA_N, LA_N, rows, n, w->step.N, 1, w->A + w->K1, w->K, g->layer[l - 1].U + c0, ld,
                     recurrent ? 1 : 0, g->product, n);
        else if (!enters && !recurrent)
            memset(g->product, 0, rows * n * sizeof *g->product);
        if (!update(w, two, product, ldp, c0, n, ld))
            return l + 1;
    }
    return 0;
}

sg_status sg_gradient_step(sg_gradient *g, int32_t id, const float *features, sg_error *err)
{
    ticker nobody = ticker_begin(NULL, "", 0);
    return gradient_step_watched(g, id, features, &nobody, 0, err);
}

sg_status gradient_step_watched(sg_gradient *g, int32_t id, const float *features, ticker *watch, double done,
                                sg_error *err)
{
    sg_status st = SG_OK;
    sg_float_env env = float_env_begin();
    size_t bad = 0, slot = (size_t)(g->steps % g->D), live = g->steps < g->D ? (size_t)g->steps : g->D;
    TRY(forward_run(g->forward, features ? NULL : &id, features, NULL, 1, err));
    for (size_t l = 0; l < g->layers; l++) {
        layer_window *w = &g->layer[l];
        float *Ax = l ? w->A + w->K1 : w->Ax;
        step_matrix_build(&w->step, forward_tape(g->forward, l, 0),
                          sg_forward_preactivations(g->forward, l, 0), w->A, w->K, Ax, l ? w->K : g->E,
                          w->diagonal);
    }
    for (size_t c = 0, end = live * g->E; c < end && !bad;) {
        size_t n = end - c < g->chunk ? end - c : g->chunk, own = slot * g->E;
        if (c == own) { /* the slot of the origin that enters: its old content is not needed any more */
            c += g->E;
            continue;
        }
        if (c < own && c + n > own)
            n = own - c;
        bad = step_columns(g, c, n, false);
        c += n;
        TRY(ticker_tell(watch, done, err));
    }
    if (!bad)
        bad = step_columns(g, slot * g->E, g->E, true);
    if (bad)
        TRY(sg_fail(err, SG_ENONFINITE,
                    "gradient: the state gradient of layer %zu is not finite at step %llu", bad,
                    (unsigned long long)g->steps));
    g->steps++;
done:
    float_env_end(env);
    return st;
}

void sg_gradient_get(const sg_gradient *g, size_t layer, sg_state_kind kind, size_t d, float *G)
{
    const layer_window *w = &g->layer[layer - 1];
    size_t H = w->step.H, ld = g->D * g->E;
    const float *from = kind == SG_STATE_CELL ? w->C : w->U;
    if (d >= g->D || d >= g->steps || !from) {
        memset(G, 0, H * g->E * sizeof *G);
        return;
    }
    size_t slot = (size_t)((g->steps - 1 - d) % g->D);
    for (size_t j = 0; j < H; j++)
        memcpy(G + j * g->E, from + j * ld + slot * g->E, g->E * sizeof *G);
}

const float *sg_gradient_state(const sg_gradient *g, size_t layer, sg_state_kind kind)
{
    if (!g->steps || (kind == SG_STATE_CELL && g->P < 2))
        return g->zeros;
    return sg_forward_state(g->forward, layer - 1, kind, 0);
}
