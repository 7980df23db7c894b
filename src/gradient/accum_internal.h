/* SPDX-License-Identifier: MIT */
/* accum_internal.h - for those who add to the sums. Numbers of a sum lie as the back end wants them
 * (backend.h). */
#ifndef SG_GRADIENT_ACCUM_INTERNAL_H
#define SG_GRADIENT_ACCUM_INTERNAL_H

#include "gradient/accum.h"

enum { ACCUM_FLUSH_AFTER = 64 /* terms that a float32 sum takes before it goes to float64 */ };

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

/* Sums with more than ACCUM_FLUSH_AFTER terms since their last flush go to float64; flush is the kernels'
 * (gradient_kernel.h). False: the sum of (*set, *d) is not finite. */
bool accum_flush_due(sg_accum *a, int threads, bool (*flush)(size_t n, float *x, double *y), size_t *set,
                     size_t *d);

#endif
