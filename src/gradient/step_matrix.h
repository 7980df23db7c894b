/* SPDX-License-Identifier: MIT */
/* step_matrix.h - the folded matrices of one layer and token as plain row-major arrays.
 *
 * P products a row of the state: 2 for the LSTM (rows of M, then rows of O), 1 for the others (rows of A). */
#ifndef SG_STEP_MATRIX_H
#define SG_STEP_MATRIX_H

#include "cell/cell.h"

typedef struct {
    sg_cell cell;
    size_t H, N;      /* hidden size, inputs */
    const float *Wih; /* (G H, N), the model's */
    const float *Whh; /* (G H, H) */
    float *wh, *wx;   /* (G,H) work */
    float *right;     /* (2,H) work */
    float *inner;     /* (H,H) work of GRU_RESET_FIRST, else NULL */
} step_layer;

/* Layer l (from 0) of the model. SG_ENOMEM leaves *s empty but fit for step_layer_free. */
sg_status step_layer_init(step_layer *s, const sg_model *m, size_t l, sg_error *err);
void step_layer_free(step_layer *s);
size_t step_products(sg_cell c);

/* From the tape and preactivations of a step: Ah (P H, H) rows ldh apart, Ax (P H, N) rows ldx apart (NULL:
 * not wanted), diagonal (P,H). */
void step_matrix_build(step_layer *s, const float *tape, const float *before, float *Ah, size_t ldh,
                       float *Ax, size_t ldx, float *diagonal);

#endif
