/* SPDX-License-Identifier: MIT */
/* external_gradient.h - gradients that exist as matrices, added to the sums of accum.h one by one:
 *
 *   S[set][d] += G      Q[set][d] += G^T G      <G^T G, L L^T> = |G L|^2 */
#ifndef SG_GRADIENT_EXTERNAL_GRADIENT_H
#define SG_GRADIENT_EXTERNAL_GRADIENT_H

#include "gradient/accum.h"

/* One thread's room. */
typedef struct external_gradient external_gradient;
/* For states of at most H units. covariance (E,E), L L^T, is read here only; NULL: squares are not wanted. */
sg_status external_gradient_new(external_gradient **out, size_t H, size_t E, const double *covariance,
                                sg_error *err);
void external_gradient_free(external_gradient *x);
/* G (H,E) row-major, of a pair that accum_count has counted. Different delays from different threads. */
void external_gradient_add(external_gradient *x, sg_accum *a, size_t state, size_t H, size_t set, size_t d,
                           const float *G);
/* G^T G of the gradient added last, of a pair that accum_count_moment has counted; returns |G L|^2, 0 without
 * covariance. */
double external_gradient_add_moment(external_gradient *x, sg_accum *a, size_t state, size_t set, size_t d);
/* Sums that have taken many terms go to float64; false: (*set, *d) is not finite. */
bool external_gradient_flush(sg_accum *a, int threads, size_t *set, size_t *d);

#endif
