/* SPDX-License-Identifier: MIT */
/* plain_network.h - a plain network in double, forward and backward through time, of the cells' plain twins:
 * written from the equations, sharing nothing with the tuned code. Slow and obvious on purpose. */
#ifndef SG_CHECK_PLAIN_NETWORK_H
#define SG_CHECK_PLAIN_NETWORK_H

#include "stategrad/lm.h"

#include "base/base_internal.h"

typedef struct plain_network plain_network;
/* Room for T steps; inputs all zero. The model is borrowed. SG_EINVAL: a tensor is missing. */
sg_status network_new(plain_network **out, const sg_model *m, size_t T, sg_error *err);
void network_free(plain_network *r);

/* x_t, E numbers, to be set before network_run. */
double *network_input(plain_network *r, size_t t);
/* Steps from .. to (included), from the states of step from-1 (zero before step 0). */
void network_run(plain_network *r, size_t from, size_t to);
/* Inputs and states of `from`. Same model, same T. */
void network_copy(plain_network *r, const plain_network *from);
/* h_t or (cell) c_t of layer 0 .. L-1, borrowed. */
const double *network_state(const plain_network *r, size_t layer, bool cell, size_t t);
/* The states of step t, each times 1 +- share at random: rounding that a coarser number would make. */
void network_round(plain_network *r, size_t t, double share, sg_rng *rng);
/* The states of step t, all layers, plus share times x for x of random normal numbers whose Euclidean norm
 * over all of them is 1. */
void network_push(plain_network *r, size_t t, double share, sg_rng *rng);
/* Euclidean distance of the states of step t, over all layers. */
double network_distance(const plain_network *r, const plain_network *other, size_t t);
/* out (E) = (d s_t / d x_{t-d})' u for s = h or c of the layer; d <= t. */
void network_reverse(plain_network *r, size_t layer, bool cell, size_t t, size_t d, const double *u,
                     double *out);

#endif
