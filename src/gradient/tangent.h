/* SPDX-License-Identifier: MIT */
/* tangent.h - K small changes carried along a forward pass: products of the Jacobians with K vectors, without
 * the Jacobians.
 *
 *   ds_t = (d s_t / d s_{t-1}) ds_{t-1} + (d s_t / d x_t) dx_t        s: the states of all layers
 *
 * Costs one step matrix (cell.h) and P products of H x H by H x K per layer and step. */
#ifndef SG_GRADIENT_TANGENT_H
#define SG_GRADIENT_TANGENT_H

#include "lm/forward.h"
#include "stategrad/gradient.h"

typedef struct tangents tangents;
/* All zero. SG_ENOMEM. The model is borrowed. */
sg_status tangents_new(tangents **out, const sg_model *m, size_t K, sg_error *err);
void tangents_free(tangents *t);
void tangents_zero(tangents *t);
/* Step i of the forward pass's last chunk. dx (E, K); NULL: the input is held fixed. */
void tangents_step(tangents *t, const sg_forward *f, size_t i, const float *dx);
/* (H, K) of layer (from 0), borrowed until the next step. The kind must be one that the cell has. */
const float *tangents_get(const tangents *t, size_t layer, sg_state_kind kind);
/* All of it as one (forward_state_size, K) matrix, in the order of forward_get_state. */
void tangents_read(const tangents *t, float *all);
void tangents_write(tangents *t, const float *all);

#endif
