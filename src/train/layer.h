/* SPDX-License-Identifier: MIT */
/* layer.h - a recurrent layer over a window of steps and its back-propagation, on several threads: packed
 * weights, units shared among threads, a barrier per stage of a step. Results do not depend on the number of
 * threads. */
#ifndef SG_LAYER_H
#define SG_LAYER_H

#include "cell/cell.h"
#include "lm/model_internal.h"

typedef struct sg_layer sg_layer;
/* Windows of at most T steps of n sequences. */
sg_status layer_new(sg_layer **out, const cell_type *cell, size_t T, size_t n, size_t N, size_t H,
                    int threads, sg_error *err);
/* steps <= T. X (steps*n, N). The state before the window is what the last window left (or layer_last_state
 * put). */
void layer_run(sg_layer *l, size_t steps, const sg_layer_parameters *w, const float *X);
/* h_t of the last window: (steps*n, H). */
const float *layer_hidden(const sg_layer *l);
/* dH (steps*n, H) dL/dh_t from above, destroyed; dX (steps*n, N) is overwritten, so are the gradients g.
 * g NULL: they are not wanted, and X is not read. Consumes the tape; afterwards the state is carried to the
 * next window. */
void layer_back(sg_layer *l, size_t steps, const sg_layer_parameters *w, const float *X, float *dH, float *dX,
                const sg_layer_parameters *g);
/* The carried state: (n, H) each; cell is NULL where there is none. */
float *layer_last_state(sg_layer *l, float **cell);
void layer_free(sg_layer *l);

#endif
