/* SPDX-License-Identifier: MIT */
/* naive_gradient.h - state gradients in double by plain products of whole Jacobians, nothing folded.
 *
 *   x_s input of step s   per layer, for each origin s <= t:  U[s] = d h_t/d x_s, C[s] = d c_t/d x_s    (H,E)
 *
 * The Jacobian of a step is that of the cell's plain twin, row by row from its reverse pass: any cell of the
 * table, and none of the tuned code. */
#ifndef NAIVE_GRADIENT_H
#define NAIVE_GRADIENT_H

#include "stategrad/gradient.h"

typedef struct naive naive;
naive *naive_new(const sg_model *m, size_t max_steps); /* aborts when there is no memory: a test */
/* x: E numbers. zero: state zero before this step, and what was read before has no gradient any more. */
void naive_step(naive *n, const double *x, bool zero);
/* d state_t / d x_s after the last step t; (H,E); all zero when a zero state lies between. layer from 1. */
const double *naive_get(const naive *n, size_t layer, sg_state_kind kind, size_t s);
const double *naive_state(const naive *n, size_t layer, sg_state_kind kind);
void naive_free(naive *n);

#endif
