/* SPDX-License-Identifier: MIT */
/* accum_internal.h - how the sums lie in memory: for the engine, which adds to them.
 *
 * A sum (H,E) is stored by strips of 32 columns: strip c (H,32) at c*H*32, then what is left of E as (H, E
 * mod 32). The second moment (E,E) is stored in blocks of 32 x 32 over E rounded up: blocks (p,q), p <= q, p
 * outer. */
#ifndef SG_GRADIENT_ACCUM_INTERNAL_H
#define SG_GRADIENT_ACCUM_INTERNAL_H

#include "gradient/accum.h"

enum {
    ACCUM_STRIP = 32,
    ACCUM_FLUSH_AFTER = 64, /* terms that a float32 sum takes before it goes to float64 */
};

/* Makes sets 0 .. set. The only allocation after accum_new. */
sg_status accum_need_set(sg_accum *a, size_t set, sg_error *err);
/* One pair more at (set, d); sampled: it is added too. */
void accum_count(sg_accum *a, size_t set, size_t d, bool sampled);
void accum_count_moment(sg_accum *a, size_t set, size_t d);
/* Pairs of a set, one that exists, that there are at delay d: instead of those that were counted. */
void accum_set_pairs(sg_accum *a, size_t set, size_t d, uint64_t pairs);
/* The float32 sums to add to. */
float *accum_partial(sg_accum *a, size_t state, size_t set, size_t d);
float *accum_moment_partial(sg_accum *a, size_t state, size_t set, size_t d);
/* A gradient at delay d lacks so much (norm), by estimate. */
void accum_miss(sg_accum *a, size_t state, size_t d, double norm);
size_t accum_blocks(size_t E); /* 32 x 32 blocks of a second moment */
size_t accum_moment_floats(size_t E);
/* A symmetric matrix (E,E) as weights of a second moment, out (accum_moment_floats): <Q, matrix> is the sum of products. The
 * kernels may leave out what lies below the diagonal, so it has no weight and what lies above it counts twice. */
void accum_moment_weights(size_t E, const double *matrix, float *out);
/* sum += moment; returns <moment, matrix> by its weights. */
double accum_moment_add(size_t E, const float *moment, const float *weights, float *sum);

/* Sums with more than ACCUM_FLUSH_AFTER terms since their last flush go to float64; flush is the kernels'
 * (gradient_kernel.h). False: the sum of (*set, *d) is not finite. */
bool accum_flush_due(sg_accum *a, int threads, bool (*flush)(size_t n, float *x, double *y), size_t *set,
                     size_t *d);

#endif
