/* SPDX-License-Identifier: MIT */
#include "gradient/tangent.h"

#include "base/base_internal.h"
#include "gradient/step_matrix.h"
#include "linalg/linalg.h"

#include <string.h>

typedef struct {
    step_layer step;
    float *A, *Ax, *diagonal; /* (P H, H) (P H, N) (P, H) of one step */
    float *dh, *dc, *product; /* (H, K) (H, K) (P H, K) */
} layer_tangents;

struct tangents {
    const cell_type *cell;
    size_t layers, P, K;
    layer_tangents layer[SG_MAX_LAYERS];
};

static sg_status layer_init(layer_tangents *y, const tangents *t, const sg_model *m, size_t l, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(step_layer_init(&y->step, m, l, err));
    size_t H = y->step.H, N = y->step.N, P = t->P, K = t->K;
    NEED((y->A = sg_calloc(P * H, H * sizeof *y->A)) && (y->Ax = sg_calloc(P * H, N * sizeof *y->Ax)) &&
             (y->diagonal = sg_calloc(P, H * sizeof *y->diagonal)) &&
             (y->dh = sg_calloc(H, K * sizeof *y->dh)) && (y->dc = sg_calloc(H, K * sizeof *y->dc)) &&
             (y->product = sg_calloc(P * H, K * sizeof *y->product)),
         err, "%zu columns of layer %zu", K, l + 1);
done:
    return st;
}

sg_status tangents_new(tangents **out, const sg_model *m, size_t K, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_model_shape *shape = sg_model_get_shape(m);
    tangents *t = NULL;
    *out = NULL;
    NEED(t = sg_calloc(1, sizeof *t), err, "the tangents");
    *t = (tangents){.cell = cell_of(shape->cell), .layers = shape->layers, .K = K};
    t->P = cell_states(t->cell);
    for (size_t l = 0; l < t->layers; l++)
        TRY(layer_init(&t->layer[l], t, m, l, err));
    *out = t, t = NULL;
done:
    tangents_free(t);
    return st;
}

void tangents_free(tangents *t)
{
    if (!t)
        return;
    for (size_t l = 0; l < t->layers; l++) {
        layer_tangents *y = &t->layer[l];
        step_layer_free(&y->step);
        sg_free(y->A), sg_free(y->Ax), sg_free(y->diagonal);
        sg_free(y->dh), sg_free(y->dc), sg_free(y->product);
    }
    sg_free(t);
}

void tangents_zero(tangents *t)
{
    for (size_t l = 0; l < t->layers; l++) {
        memset(t->layer[l].dh, 0, t->layer[l].step.H * t->K * sizeof(float));
        memset(t->layer[l].dc, 0, t->layer[l].step.H * t->K * sizeof(float));
    }
}

/* The equations of cell.h: product = A dh_{t-1} + Ax dx; then
 *   two states   dc = d0 dc + product_0    dh = d1 dc + product_1
 *   one          dh = d0 dh + product_0 */
static void layer_step(const tangents *t, layer_tangents *y, const sg_forward *f, size_t l, size_t i,
                       const float *dx)
{
    size_t H = y->step.H, N = y->step.N, P = t->P, K = t->K;
    step_matrix_build(&y->step, forward_tape(f, l, i), sg_forward_preactivations(f, l, i), y->A, H,
                      dx ? y->Ax : NULL, N, y->diagonal);
    memset(y->product, 0, P * H * K * sizeof *y->product);
    if (t->cell->recurrence == CELL_DENSE)
        la_sgemm(LA_N, LA_N, P * H, K, H, 1, y->A, H, y->dh, K, 0, y->product, K);
    if (dx)
        la_sgemm(LA_N, LA_N, P * H, K, N, 1, y->Ax, N, dx, K, 1, y->product, K);
    for (size_t j = 0; j < H; j++) {
        const float *product = y->product + j * K, *lower = y->product + (H + j) * K;
        float *first = (P == 2 ? y->dc : y->dh) + j * K;
        for (size_t k = 0; k < K; k++)
            first[k] = y->diagonal[j] * first[k] + product[k];
        for (size_t k = 0; P == 2 && k < K; k++)
            y->dh[j * K + k] = y->diagonal[H + j] * first[k] + lower[k];
    }
}

void tangents_step(tangents *t, const sg_forward *f, size_t i, const float *dx)
{
    for (size_t l = 0; l < t->layers; l++) {
        layer_step(t, &t->layer[l], f, l, i, dx);
        dx = t->layer[l].dh;
    }
}

const float *tangents_get(const tangents *t, size_t layer, sg_state_kind kind)
{
    return kind == SG_STATE_CELL ? t->layer[layer].dc : t->layer[layer].dh;
}

/* Layer by layer, dh then dc: into `all`, or out of it. */
static void move(const tangents *t, bool save, float *all)
{
    for (size_t l = 0, at = 0; l < t->layers; l++)
        for (size_t s = 0; s < t->P; s++) {
            size_t n = t->layer[l].step.H * t->K;
            float *here = s ? t->layer[l].dc : t->layer[l].dh;
            memcpy(save ? all + at : here, save ? here : all + at, n * sizeof *here);
            at += n;
        }
}

void tangents_read(const tangents *t, float *all)
{
    move(t, true, all);
}

void tangents_write(tangents *t, const float *all)
{
    move(t, false, (float *)all); /* only read */
}
