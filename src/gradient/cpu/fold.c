/* SPDX-License-Identifier: MIT */
/* Step matrices of a block of tokens, packed: built once, used by all origins and threads.
 *
 * A cell's matrix is a sum of at most three weight matrices with rows scaled ("planes"), with two states the
 * rows of M and O side by side: LSTM [p_i W_i | p_o W_o] + [p_f W_f | 0] + [p_g W_g | 0]; GRU r, z, n; RNN
 * one. The planes are cut into the kernel's tiles when the engine is made, so folding is one pass over
 * memory. */
#include "gradient/cpu/engine_internal.h"

#include "base/base_internal.h"
#include "lm/model_internal.h"

#include <assert.h>
#include <string.h>

/* Gate of plane p's column j of a tile of r rows; the columns beyond the first r are the second product's. */
static size_t plane_gate(const cell_type *cell, size_t p, bool second)
{
    return second ? cell->summed + p : p;
}

/* k-th weight of gate row `row` of [W_hh W_ih] */
static float weight(const engine_layer *y, size_t row, size_t k)
{
    return k < y->K1 ? y->W_hh[row * y->H + k] : y->W_ih[row * y->N + k - y->K1];
}

static void fill_planes(const engine_layer *y, const cell_type *cell)
{
    size_t K = y->K1 + y->K2;
    for (size_t p = 0; p < y->n_planes; p++)
        for (size_t i = 0; i < y->tiles; i++) {
            size_t row0 = tile_first(y->H, y->tiles, i), r = tile_first(y->H, y->tiles, i + 1) - row0;
            assert(r); /* no tile is empty */
            size_t width = y->mult[p] * r;
            float *out = y->plane[p] + row0 * y->mult[p] * K;
            for (size_t k = 0; k < K; k++)
                for (size_t j = 0; j < width; j++)
                    out[k * width + j] = weight(y, plane_gate(cell, p, j >= r) * y->H + row0 + j % r, k);
        }
}

static sg_status dense_init(engine_layer *y, const sg_engine *e, size_t l, sg_error *err)
{
    sg_status st = SG_OK;
    size_t rows = e->P * y->H;
    TRY(step_layer_init(&y->dense, e->model, l, err));
    NEED(y->dense_rows = sg_calloc(rows, (y->K1 + y->K2) * sizeof *y->dense_rows), err,
         "step matrices of layer %zu", l + 1);
    for (size_t t = 0; !l && t < e->block; t++)
        NEED(y->Ax[t] = sg_calloc(rows, y->N * sizeof *y->Ax[t]), err, "input matrices");
done:
    return st;
}

sg_status engine_layer_init(engine_layer *y, const sg_engine *e, size_t l, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_layer_parameters w = model_parameters(e->model, model_block(e->model)).layer[l];
    y->H = sg_model_get_shape(e->model)->hidden[l], y->N = model_inputs(e->model, l);
    y->K1 = e->cell->recurrence == CELL_DENSE ? y->H : 0, y->K2 = l ? y->N : 0;
    y->W_ih = w.W_ih, y->W_hh = w.W_hh;
    y->tiles = tile_count(y->H, e->P, e->kernels->rows);
    /* not a multiple of a page: neighbouring strips must not share cache sets */
    y->strip = y->H * SG_STRIP + 16;
    size_t K = y->K1 + y->K2;
    bool ok = true;
    if (e->cell->jacobian_rest) {
        TRY(dense_init(y, e, l, err));
    } else {
        y->n_planes = e->cell->summed;
        for (size_t p = 0; p < y->n_planes; p++) {
            y->mult[p] = e->cell->summed + p < e->G ? 2 : 1;
            ok = ok && (y->plane[p] = sg_calloc(y->mult[p] * y->H * K + SG_PACK_SLACK, sizeof *y->plane[p]));
        }
        if (ok)
            fill_planes(y, e->cell);
    }
    for (size_t t = 0; t < e->block; t++)
        ok = ok && (y->packed[t] = sg_calloc(e->P * y->H * K + SG_PACK_SLACK, sizeof(float))) &&
             (y->wh[t] = sg_calloc(e->G * y->H, sizeof(float))) &&
             (y->wx[t] = sg_calloc(e->G * y->H, sizeof(float))) &&
             (y->diagonal[t] = sg_calloc(e->P * y->H, sizeof(float)));
    NEED(ok, err, "step matrices of layer %zu (%zu tokens of %zu x %zu)", l + 1, e->block, e->P * y->H, K);
done:
    return st;
}

void engine_layer_free(engine_layer *y)
{
    for (size_t p = 0; p < 3; p++)
        sg_free(y->plane[p]);
    for (size_t t = 0; t < BLOCK_MAX; t++) {
        sg_free(y->packed[t]);
        sg_free(y->wh[t]);
        sg_free(y->wx[t]);
        sg_free(y->diagonal[t]);
        sg_free(y->Ax[t]);
    }
    sg_free(y->dense_rows);
    step_layer_free(&y->dense);
    memset(y, 0, sizeof *y);
}

/* Columns [k0, k0 + n) of one tile: w is wh or wx. */
static void fold_tile(const sg_engine *e, const engine_layer *y, size_t i, size_t k0, size_t n,
                      const float *w, float *packed)
{
    size_t K = y->K1 + y->K2, row0 = tile_first(y->H, y->tiles, i);
    size_t r = tile_first(y->H, y->tiles, i + 1) - row0, widths[3];
    _Alignas(64) float coef[3 * 16] = {0};
    const float *planes[3];
    for (size_t p = 0; p < y->n_planes; p++) {
        widths[p] = y->mult[p] * r;
        planes[p] = y->plane[p] + row0 * y->mult[p] * K + k0 * widths[p];
        for (size_t j = 0; j < widths[p]; j++)
            coef[16 * p + j] = w[plane_gate(e->cell, p, j >= r) * y->H + row0 + j % r];
    }
    e->kernels->fold(n, e->P * r, y->n_planes, planes, widths, coef,
                     packed + row0 * e->P * K + k0 * e->P * r);
}

/* The matrix in rows, then cut into tiles. */
static void fold_dense(sg_engine *e, size_t l, size_t t)
{
    engine_layer *y = &e->layer[l];
    size_t K = y->K1 + y->K2, P = e->P;
    step_matrix_build(&y->dense, forward_tape(e->forward, l, t), sg_forward_preactivations(e->forward, l, t),
                      y->dense_rows, K, l ? y->dense_rows + y->K1 : y->Ax[t], l ? K : y->N, y->diagonal[t]);
    for (size_t i = 0; i < y->tiles; i++) {
        size_t row0 = tile_first(y->H, y->tiles, i), r = tile_first(y->H, y->tiles, i + 1) - row0;
        float *out = y->packed[t] + row0 * P * K;
        for (size_t j = 0; j < P * r; j++)
            for (size_t k = 0; k < K; k++)
                out[k * P * r + j] = y->dense_rows[(j / r * y->H + row0 + j % r) * K + k];
    }
}

void engine_fold(sg_engine *e)
{
    bool dense = e->cell->jacobian_rest != NULL;
#pragma omp single
    for (size_t l = 0; l < e->L; l++)
        for (size_t t = 0; t < e->n_tokens; t++) {
            engine_layer *y = &e->layer[l];
            if (!e->token[t].live)
                continue;
            if (dense)
                fold_dense(e, l, t);
            else
                e->cell->jacobian(y->H, forward_tape(e->forward, l, t),
                                  sg_forward_preactivations(e->forward, l, t), y->wh[t], y->wx[t],
                                  y->diagonal[t]);
        }
    for (size_t l = 0; l < e->L && !dense; l++) {
        engine_layer *y = &e->layer[l];
#pragma omp for schedule(static) nowait
        for (size_t i = 0; i < y->tiles; i++)
            for (size_t t = 0; t < e->n_tokens; t++)
                if (e->token[t].live) {
                    if (y->K1)
                        fold_tile(e, y, i, 0, y->K1, y->wh[t], y->packed[t]);
                    if (y->K2)
                        fold_tile(e, y, i, y->K1, y->K2, y->wx[t], y->packed[t]);
                }
    }
#pragma omp barrier
}
