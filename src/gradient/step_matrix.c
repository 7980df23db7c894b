/* SPDX-License-Identifier: MIT */
#include "gradient/step_matrix.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <string.h>

size_t step_products(sg_cell c)
{
    return c == SG_CELL_LSTM ? 2 : 1;
}

sg_status step_layer_init(step_layer *s, const sg_model *m, size_t l, sg_error *err)
{
    const sg_model_shape *shape = sg_model_get_shape(m);
    size_t H = shape->hidden[l], G = sg_cell_gates(shape->cell);
    char ih[40], hh[40];
    snprintf(ih, sizeof ih, "rnn.weight_ih_l%zu", l);
    snprintf(hh, sizeof hh, "rnn.weight_hh_l%zu", l);
    memset(s, 0, sizeof *s);
    s->cell = shape->cell, s->H = H, s->N = l ? shape->hidden[l - 1] : shape->embedding;
    s->Wih = sg_model_find(m, ih)->data;
    s->Whh = sg_model_find(m, hh)->data;
    s->wh = sg_calloc(G * H, sizeof *s->wh);
    s->wx = sg_calloc(G * H, sizeof *s->wx);
    s->right = sg_calloc(2 * H, sizeof *s->right);
    if (shape->cell == SG_CELL_GRU_RESET_FIRST)
        s->inner = sg_calloc(H * H, sizeof *s->inner);
    if (!s->wh || !s->wx || !s->right || (shape->cell == SG_CELL_GRU_RESET_FIRST && !s->inner))
        return sg_fail(err, SG_ENOMEM, "gradient: step matrices of layer %zu do not fit in memory", l + 1);
    return SG_OK;
}

void step_layer_free(step_layer *s)
{
    sg_free(s->wh);
    sg_free(s->wx);
    sg_free(s->right);
    sg_free(s->inner);
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

/* A (P H, n): the gates' rows of W (G H, n) weighted by w; gate o of the LSTM goes to the second product. */
static void fold_rows(const step_layer *s, size_t n, const float *W, const float *w, float *A, size_t ld)
{
    size_t H = s->H, G = sg_cell_gates(s->cell), summed = s->cell == SG_CELL_LSTM ? 3 : G;
    for (size_t j = 0; j < H; j++) {
        for (size_t g = 0; g < summed; g++)
            add_scaled(n, g > 0, w[g * H + j], W + (g * H + j) * n, A + j * ld);
        if (s->cell == SG_CELL_LSTM)
            add_scaled(n, false, w[3 * H + j], W + (3 * H + j) * n, A + (H + j) * ld);
    }
}

/* The terms of GRU_RESET_FIRST that are no row sums: columns of W_hn scaled by r; B W_hr and B W_ir, see
 * cell.h. */
static void fold_reset_first(step_layer *s, float *Ah, size_t ldh, float *Ax, size_t ldx)
{
    size_t H = s->H, N = s->N;
    const float *Whn = s->Whh + 2 * H * H, *wn = s->wh + 2 * H, *r = s->right, *inner = r + H;
    for (size_t j = 0; j < H; j++) {
        const float *row = Whn + j * H;
        float *a = Ah + j * ldh, *b = s->inner + j * H;
        for (size_t k = 0; k < H; k++) {
            a[k] += wn[j] * row[k] * (r[k] - 1); /* fold_rows has added wn row */
            b[k] = wn[j] * row[k] * inner[k];
        }
    }
    la_sgemm(LA_N, LA_N, H, H, H, 1, s->inner, H, s->Whh, H, 1, Ah, ldh);
    if (Ax)
        la_sgemm(LA_N, LA_N, H, N, H, 1, s->inner, H, s->Wih, N, 1, Ax, ldx);
}

void step_matrix_build(step_layer *s, const float *tape, const float *before, float *Ah, size_t ldh,
                       float *Ax, size_t ldx, float *diagonal)
{
    cell_fold(s->cell, s->H, tape, before, s->wh, s->wx, diagonal, s->right);
    fold_rows(s, s->H, s->Whh, s->wh, Ah, ldh);
    if (Ax)
        fold_rows(s, s->N, s->Wih, s->wx, Ax, ldx);
    if (s->cell == SG_CELL_GRU_RESET_FIRST)
        fold_reset_first(s, Ah, ldh, Ax, ldx);
}
