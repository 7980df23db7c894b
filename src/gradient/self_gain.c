/* SPDX-License-Identifier: MIT */
#include "gradient/self_gain.h"

#include "base/base_internal.h"
#include "cell/cell.h"
#include "kernel/float_env.h"
#include "lm/model_internal.h"

#include <string.h>

enum { SEED_OF_SIGNS = 0x51f7 };

struct self_gain_weights {
    const cell_type *cell;
    const sg_kernels *kernels;
    size_t layer, N, H, P;
    const float *W_ih, *W_hh;      /* the model's */
    float *packed[CELL_MAX_GATES]; /* W_hh^T of each gate, (H,H); NULL in a diagonal recurrence */
};

struct self_gains {
    const self_gain_weights *w;
    size_t D, lo, hi, room;   /* rows lo .. hi-1 are alive, oldest first */
    uint64_t seed, *position; /* (room) */
    float *z, *dh, *dc;       /* (room, H) */
    float *product;           /* (D, P H) */
    float *A[2];              /* packed (H,H): the step matrix of each product */
    float *wh, *wx, *diagonal;
    float *rest, *rest_packed, *work; /* of a Jacobian that is no sum of weighted rows */
};

/* ---- weights ---- */

sg_status self_gain_weights_new(self_gain_weights **out, const sg_model *m, size_t layer, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_layer_parameters p = model_parameters(m, model_block(m)).layer[layer];
    const sg_model_shape *shape = sg_model_get_shape(m);
    self_gain_weights *w = sg_calloc(1, sizeof *w);
    *out = NULL;
    NEED(w, err, "the self gains of layer %zu", layer + 1);
    *w = (self_gain_weights){.cell = cell_of(shape->cell), .kernels = kernels_best(), .layer = layer};
    w->N = model_inputs(m, layer), w->H = shape->hidden[layer], w->P = cell_states(w->cell);
    w->W_ih = p.W_ih, w->W_hh = p.W_hh;
    for (size_t g = 0; w->cell->recurrence == CELL_DENSE && g < w->cell->gates; g++) {
        const size_t H = w->H;
        NEED(w->packed[g] = sg_calloc(packed_size(H, H), sizeof(float)), err,
             "the self gains of layer %zu (%zu units)", layer + 1, H);
        w->kernels->product->pack(H, H, p.W_hh + g * H * H, 1, H, w->packed[g]);
    }
    *out = w, w = NULL;
done:
    self_gain_weights_free(w);
    return st;
}

void self_gain_weights_free(self_gain_weights *w)
{
    for (size_t g = 0; w && g < CELL_MAX_GATES; g++)
        sg_free(w->packed[g]);
    sg_free(w);
}

/* ---- making and freeing ---- */

sg_status self_gains_new(self_gains **out, const self_gain_weights *w, size_t D, uint64_t seed, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t H = w->H, room = 2 * D, f = sizeof(float);
    const bool dense = w->cell->recurrence == CELL_DENSE, rest = w->cell->jacobian_rest != NULL;
    self_gains *x = sg_calloc(1, sizeof *x);
    *out = NULL;
    NEED(x, err, "the self gains of layer %zu", w->layer + 1);
    *x = (self_gains){.w = w, .D = D, .room = room, .seed = (seed ^ SEED_OF_SIGNS) + w->layer};
    bool ok = (x->position = sg_calloc(room, sizeof *x->position)) && (x->z = sg_calloc(room, H * f)) &&
              (x->dh = sg_calloc(room, H * f)) && (x->dc = sg_calloc(w->P == 2 ? room : 1, H * f)) &&
              (x->product = sg_calloc(D, w->P * H * f)) && (x->wh = sg_calloc(w->cell->gates * H, f)) &&
              (x->wx = sg_calloc(w->cell->gates * H, f)) && (x->diagonal = sg_calloc(w->P * H, f));
    for (size_t p = 0; dense && p < w->P; p++)
        ok = ok && (x->A[p] = sg_calloc(packed_size(H, H), f));
    if (rest)
        ok = ok && (x->rest = sg_calloc(H, H * f)) && (x->rest_packed = sg_calloc(packed_size(H, H), f)) &&
             (x->work = sg_calloc(H + 1, H * f));
    NEED(ok, err, "the self gains of %zu units at %zu delays", H, D);
    *out = x, x = NULL;
done:
    self_gains_free(x);
    return st;
}

void self_gains_free(self_gains *x)
{
    if (!x)
        return;
    sg_free(x->position), sg_free(x->z), sg_free(x->dh), sg_free(x->dc), sg_free(x->product);
    sg_free(x->A[0]), sg_free(x->A[1]), sg_free(x->wh), sg_free(x->wx), sg_free(x->diagonal);
    sg_free(x->rest), sg_free(x->rest_packed), sg_free(x->work);
    sg_free(x);
}

size_t self_gains_bytes(const sg_model_shape *shape, size_t layer, size_t D)
{
    const cell_type *cell = cell_of(shape->cell);
    const size_t H = shape->hidden[layer], P = cell_states(cell),
                 matrices =
                     cell->recurrence == CELL_DENSE ? cell->gates + P + (cell->jacobian_rest ? 3 : 0) : 0;
    return (matrices * packed_size(H, H) + (6 + P) * D * H) * sizeof(float);
}

double self_gains_cost(const sg_model_shape *shape, size_t layer, size_t D)
{
    const cell_type *cell = cell_of(shape->cell);
    const double H = (double)shape->hidden[layer], P = (double)cell_states(cell);
    return cell->recurrence == CELL_DENSE ? 2 * P * H * H * (double)D + 2 * (double)cell->gates * H * H
                                          : 6 * H * (double)D;
}

/* ---- a step ---- */

void self_gains_drop(self_gains *x)
{
    x->lo = x->hi = 0;
}

size_t self_gains_live(const self_gains *x)
{
    return x->hi - x->lo;
}

uint64_t self_gains_origin(const self_gains *x, size_t k)
{
    return x->position[x->lo + k];
}

/* out (n,32) = or += W (n,32) with column j times w[j]: one panel of a packed matrix */
static void fold_panel(size_t n, bool add, const float *restrict w, const float *restrict W,
                       float *restrict out)
{
    for (size_t k = 0; k < n; k++, W += SG_PANEL, out += SG_PANEL)
        if (add)
            for (size_t j = 0; j < SG_PANEL; j++)
                out[j] += w[j] * W[j];
        else
            for (size_t j = 0; j < SG_PANEL; j++)
                out[j] = w[j] * W[j];
}

/* A = sum of diag(wh[g]) W_hh[g], transposed and packed; gates from `summed` on go to the second product. */
static void fold(self_gains *x)
{
    const self_gain_weights *w = x->w;
    const size_t H = w->H, summed = w->cell->summed;
    for (size_t j0 = 0; j0 < H; j0 += SG_PANEL)
        for (size_t g = 0; g < w->cell->gates; g++) {
            float scale[SG_PANEL] = {0};
            const size_t n = H - j0 < SG_PANEL ? H - j0 : SG_PANEL;
            memcpy(scale, x->wh + g * H + j0, n * sizeof *scale);
            fold_panel(H, g > 0 && g != summed, scale, w->packed[g] + j0 * H, x->A[g / summed] + j0 * H);
        }
}

/* product (n, P H) = [A dh, O dh] of the rows from lo on */
static void multiply(self_gains *x, const sg_forward *f, size_t i)
{
    const self_gain_weights *w = x->w;
    const size_t H = w->H, n = x->hi - x->lo;
    const float *dh = x->dh + x->lo * H;
    const sg_product_kernels *k = w->kernels->product;
    if (w->cell->recurrence != CELL_DENSE) {
        memset(x->product, 0, n * w->P * H * sizeof *x->product);
        return;
    }
    fold(x);
    for (size_t p = 0; p < w->P; p++)
        k->multiply(n, H, H, dh, H, 1, x->A[p], H, x->product + p * H, w->P * H, false);
    if (!w->cell->jacobian_rest)
        return;
    memset(x->rest, 0, H * H * sizeof *x->rest);
    w->cell->jacobian_rest(H, w->N, w->W_ih, w->W_hh, forward_tape(f, w->layer, i),
                           sg_forward_preactivations(f, w->layer, i), x->wh, x->work, x->rest, H, NULL, 0);
    k->pack(H, H, x->rest, 1, H, x->rest_packed);
    k->multiply(n, H, H, dh, H, 1, x->rest_packed, H, x->product, w->P * H, true);
}

/* The equations of cell.h for one row, and what of z is left in it. */
static void update(const self_gains *x, size_t k, const float *restrict product, double *restrict sum)
{
    const size_t H = x->w->H, P = x->w->P;
    float *restrict one = (P == 2 ? x->dc : x->dh) + k * H, *restrict dh = x->dh + k * H;
    const float *restrict d = x->diagonal, *restrict z = x->z + k * H;
    for (size_t j = 0; j < H; j++) {
        const float s = d[j] * one[j] + product[j];
        one[j] = s;
        sum[j] += (double)(z[j] * s);
    }
    for (size_t j = 0; P == 2 && j < H; j++)
        dh[j] = d[H + j] * one[j] + product[H + j];
}

/* The state of this step becomes an origin: ds = z. */
static void enter(self_gains *x, uint64_t position, double *sum)
{
    const size_t H = x->w->H, P = x->w->P;
    sg_rng rng;
    uint64_t bits = 0;
    if (x->hi == x->room) {
        const size_t n = x->hi - x->lo, row = H * sizeof(float);
        memmove(x->position, x->position + x->lo, n * sizeof *x->position);
        memmove(x->z, x->z + x->lo * H, n * row), memmove(x->dh, x->dh + x->lo * H, n * row);
        if (P == 2)
            memmove(x->dc, x->dc + x->lo * H, n * row);
        x->lo = 0, x->hi = n;
    }
    const size_t k = x->hi++;
    float *z = x->z + k * H, *dh = x->dh + k * H;
    x->position[k] = position;
    sg_rng_seed(&rng, x->seed, position);
    for (size_t j = 0; j < H; j++, bits >>= 1) {
        bits = j % 64 ? bits : sg_rng_next(&rng);
        z[j] = bits & 1 ? 1 : -1;
        dh[j] = P == 2 ? x->diagonal[H + j] * z[j] : z[j];
        sum[j] += 1;
    }
    if (P == 2)
        memcpy(x->dc + k * H, z, H * sizeof *z);
}

void self_gains_step(self_gains *x, const sg_forward *f, size_t i, uint64_t position, bool is_origin,
                     double *sum)
{
    const self_gain_weights *w = x->w;
    const size_t H = w->H;
    while (x->lo < x->hi && position - x->position[x->lo] >= x->D)
        x->lo++;
    if (x->lo == x->hi && !is_origin)
        return;
    sg_float_env env = float_env_begin();
    w->cell->jacobian(H, forward_tape(f, w->layer, i), sg_forward_preactivations(f, w->layer, i), x->wh,
                      x->wx, x->diagonal);
    if (x->lo < x->hi)
        multiply(x, f, i);
    for (size_t k = x->lo; k < x->hi; k++)
        update(x, k, x->product + (k - x->lo) * w->P * H, sum + (position - x->position[k]) * H);
    if (is_origin)
        enter(x, position, sum);
    float_env_end(env);
}
