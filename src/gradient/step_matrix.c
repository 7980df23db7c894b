/* SPDX-License-Identifier: MIT */
#include "gradient/step_matrix.h"

#include "base/base_internal.h"
#include "lm/model_internal.h"

#include <string.h>

sg_status step_layer_init(step_layer *s, const sg_model *m, size_t l, sg_error *err)
{
    const sg_model_shape *shape = sg_model_get_shape(m);
    const sg_layer_parameters p = model_parameters(m, model_block(m)).layer[l];
    const cell_type *cell = cell_of(shape->cell);
    size_t H = shape->hidden[l];
    *s = (step_layer){.cell = cell, .H = H, .N = model_inputs(m, l), .W_ih = p.W_ih, .W_hh = p.W_hh};
    s->wh = sg_calloc(cell->gates * H, sizeof *s->wh);
    s->wx = sg_calloc(cell->gates * H, sizeof *s->wx);
    if (cell->jacobian_rest)
        s->rest = sg_calloc(H + 1, H * sizeof *s->rest);
    if (!s->wh || !s->wx || (cell->jacobian_rest && !s->rest))
        return no_memory(err, "step matrices of layer %zu", l + 1);
    return SG_OK;
}

void step_layer_free(step_layer *s)
{
    sg_free(s->wh);
    sg_free(s->wx);
    sg_free(s->rest);
    memset(s, 0, sizeof *s);
}

/* row <- (keep ? row : 0) + w W, n numbers */
static void add_scaled(size_t n, bool keep, float w, const float *restrict W, float *restrict row)
{
    if (!keep)
        for (size_t k = 0; k < n; k++)
            row[k] = w * W[k];
    else
        for (size_t k = 0; k < n; k++)
            row[k] += w * W[k];
}

/* A (P H, n): the gates' rows of W (G H, n) weighted by w; gates that the first product does not sum go to
 * the second. */
static void fold_rows(const step_layer *s, size_t n, const float *W, const float *w, float *A, size_t ld)
{
    size_t H = s->H, summed = s->cell->summed;
    for (size_t j = 0; j < H; j++)
        for (size_t g = 0; g < s->cell->gates; g++)
            add_scaled(n, g > 0 && g != summed, w[g * H + j], W + (g * H + j) * n,
                       A + (g / summed * H + j) * ld);
}

void step_matrix_build(step_layer *s, const float *tape, const float *preactivations, float *Ah, size_t ldh,
                       float *Ax, size_t ldx, float *diagonal)
{
    s->cell->jacobian(s->H, tape, preactivations, s->wh, s->wx, diagonal);
    if (s->W_hh)
        fold_rows(s, s->H, s->W_hh, s->wh, Ah, ldh);
    if (Ax)
        fold_rows(s, s->N, s->W_ih, s->wx, Ax, ldx);
    if (s->cell->jacobian_rest)
        s->cell->jacobian_rest(s->H, s->N, s->W_ih, s->W_hh, tape, preactivations, s->wh, s->rest, Ah, ldh,
                               Ax, ldx);
}
