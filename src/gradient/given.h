/* SPDX-License-Identifier: MIT */
/* given.h - gradients that exist as matrices, added to the sums of accum.h one by one:
 *
 *   S[set][d] += G      Q[set][d] += G^T G      <G^T G, L L^T> = |G L|^2 */
#ifndef SG_GRADIENT_GIVEN_H
#define SG_GRADIENT_GIVEN_H

#include "gradient/accum.h"

/* One thread's room. */
typedef struct given given;
/* For states of at most H units. covariance (E,E), L L^T, is read here only; NULL: squares are not wanted. */
sg_status given_new(given **out, size_t H, size_t E, const double *covariance, sg_error *err);
void given_free(given *x);
/* G (H,E) row-major, of a pair that accum_count has counted. Different delays from different threads. */
void given_add(given *x, sg_accum *a, size_t state, size_t H, size_t set, size_t d, const float *G);
/* G^T G of the gradient added last, of a pair that accum_count_moment has counted; returns |G L|^2, 0 without covariance. */
double given_add_moment(given *x, sg_accum *a, size_t state, size_t set, size_t d);
/* Sums that have taken many terms go to float64; false: (*set, *d) is not finite. */
bool given_flush(sg_accum *a, int threads, size_t *set, size_t *d);

#endif
