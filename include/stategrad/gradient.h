/* SPDX-License-Identifier: MIT */
/* gradient.h - exact derivatives of the current state with respect to all earlier inputs.
 *
 *   s_t: state of layer l (cell or hidden), H_l numbers      x_s: input of step s, E numbers
 *   G[t,d] = d s_t / d x_{t-d}     H_l x E, row-major, delays d = 0 .. D-1
 *                                                                               (doc/method.md, section 2)
 *
 * Forward accumulation: all delays of step t follow from those of step t-1 by one product per layer
 * with the gates folded into the recurrent matrix; 4 H^2 E D flops per token and layer (LSTM), 2 H^2
 * E D (GRU, RNN). */
#ifndef STATEGRAD_GRADIENT_H
#define STATEGRAD_GRADIENT_H

#include "stategrad/lm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* carry: one stream; reset: the state is zero at each sentence start, and no pair crosses one; window N: the
 * state is carried, and no pair crosses a multiple of N tokens (doc/method.md, section 1) */
typedef enum { SG_CARRY, SG_RESET, SG_WINDOW } sg_state_handling;

/* One step at a time; gives access to every G[t,d]. For sentences, checks and users of the library.
 * sg_analyze processes whole corpora with the same cells and a blocked kernel. */
typedef struct sg_gradient sg_gradient;
/* Window of D delays, zero state, no inputs read. SG_EINVAL: D is 0; SG_ENOMEM. The model is borrowed. */
SG_API sg_status sg_gradient_new(sg_gradient **out, const sg_model *m, size_t D, sg_error *err);
/* Reads word id (for a model without embedding, E numbers at features). SG_ENONFINITE:
 * names step and layer. */
SG_API sg_status sg_gradient_step(sg_gradient *g, int32_t id, const float *features, sg_error *err);
/* Copies G[t,d], H_l x E, of the last step; zero if step t-d is before the start. layer 1 .. L; kind CELL
 * (LSTM only) or HIDDEN. */
SG_API void sg_gradient_get(const sg_gradient *g, size_t layer, sg_state_kind kind, size_t d, float *G);
/* The state itself, H_l numbers, borrowed until the next step. */
SG_API const float *sg_gradient_state(const sg_gradient *g, size_t layer, sg_state_kind kind);
/* Zero state, no inputs read. */
SG_API void sg_gradient_reset(sg_gradient *g);
SG_API void sg_gradient_free(sg_gradient *g);

#ifdef __cplusplus
}
#endif
#endif
