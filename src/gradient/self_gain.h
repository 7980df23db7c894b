/* SPDX-License-Identifier: MIT */
/* self_gain.h - how much of a small change of one unit of a layer is left in the same unit, d steps later:
 *
 *   J[t,d] = d s_{t+d} / d s_t        (H,H), inputs held fixed; s: the cell state where there is one (h_t =
 *                                     o_t act(c_t) changes with it), else the hidden state
 *   self gain of unit u = J[t,d]_uu   1 at d = 0
 *
 * estimated without the matrices: with z a vector of independent random signs, E z_u (J z)_u = J_uu, since
 * E z_u z_v = 0 for v != u; the variance is the sum of J_uv^2 over v != u. (Bekas, Kokiopoulou and Saad, "An
 * estimator for the diagonal of a matrix", 2007.) Where J is diagonal the estimate is exact.
 *
 * Each origin t has one z and one tangent J[t,d] z. The tangents of all live origins are the rows of one
 * matrix: a step costs one folded step matrix and P products of K x H by H x H, K live origins. A row's
 * numbers do not depend on the other rows (product_kernel.h). */
#ifndef SG_GRADIENT_SELF_GAIN_H
#define SG_GRADIENT_SELF_GAIN_H

#include "lm/forward.h"

/* The recurrent weights of one layer in the order of the products; shared by threads. The model is
 * borrowed. */
typedef struct self_gain_weights self_gain_weights;
sg_status self_gain_weights_new(self_gain_weights **out, const sg_model *m, size_t layer, sg_error *err);
void self_gain_weights_free(self_gain_weights *w);

/* Origins of one layer that are followed, at delays 0 .. D-1. Weights are borrowed. */
typedef struct self_gains self_gains;
sg_status self_gains_new(self_gains **out, const self_gain_weights *w, size_t D, uint64_t seed,
                         sg_error *err);
void self_gains_free(self_gains *x);
/* Bytes of both, of one layer. */
size_t self_gains_bytes(const sg_model_shape *shape, size_t layer, size_t D);
/* Floating point operations of a step with all origins alive. */
double self_gains_cost(const sg_model_shape *shape, size_t layer, size_t D);
/* No origin is followed any more. */
void self_gains_drop(self_gains *x);
/* Step i of the forward pass's last chunk, at `position` of the stream; is_origin: its state is one. The
 * signs depend on seed, layer and position alone. sum (D, H) += z_u (J z)_u of each live origin at its
 * delay. */
void self_gains_step(self_gains *x, const sg_forward *f, size_t i, uint64_t position, bool is_origin,
                     double *sum);
/* Origins that are alive, and the position of the one that entered as number k of them. */
size_t self_gains_live(const self_gains *x);
uint64_t self_gains_origin(const self_gains *x, size_t k);

#endif
