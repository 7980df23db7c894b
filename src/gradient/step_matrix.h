/* SPDX-License-Identifier: MIT */
/* step_matrix.h - the folded Jacobian of one layer and step as plain row-major arrays.
 *
 * P products of H rows, one per state: M then O, or A alone (cell.h). */
#ifndef SG_STEP_MATRIX_H
#define SG_STEP_MATRIX_H

#include "cell/cell.h"

typedef struct {
    const cell_type *cell;
    size_t H, N;              /* hidden size, inputs */
    const float *W_ih, *W_hh; /* the model's: (G H, N) (G H, H); W_hh NULL in a diagonal recurrence */
    float *wh, *wx;           /* (G,H) work */
    float *rest;              /* (H+1, H) work of jacobian_rest; NULL where there is none */
} step_layer;

/* Layer l (from 0) of the model. SG_ENOMEM leaves *s empty but fit for step_layer_free. */
sg_status step_layer_init(step_layer *s, const sg_model *m, size_t l, sg_error *err);
void step_layer_free(step_layer *s);

/* Ah (P H, H) rows ldh apart (not touched in a diagonal recurrence), Ax (P H, N) rows ldx apart (NULL: not
 * wanted), diagonal (P,H). */
void step_matrix_build(step_layer *s, const float *tape, const float *preactivations, float *Ah, size_t ldh,
                       float *Ax, size_t ldx, float *diagonal);

#endif
