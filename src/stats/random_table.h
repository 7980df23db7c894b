/* SPDX-License-Identifier: MIT */
/* random_table.h - uniformly random unit vectors, drawn once and used for every matrix: what |A n| /
 * sigma_1(A) is for a random n (sg_stats_random_gain). 4 RANDOM_DRAWS r bytes. */
#ifndef SG_STATS_RANDOM_TABLE_H
#define SG_STATS_RANDOM_TABLE_H

#include "stategrad/base.h"

enum { RANDOM_DRAWS = 20000 };
typedef struct random_table random_table;
/* For matrices with r singular values in R^E. SG_EINVAL: r is 0 or above E. */
sg_status random_table_new(random_table **out, size_t r, size_t E, uint64_t seed, sg_error *err);
void random_table_free(random_table *t);
/* S (r) singular values; room: RANDOM_DRAWS doubles. NaN if S[0] is not above 0. From several threads at
 * once. */
void random_table_gain(const random_table *t, const double *S, double *room, double *mean, double *low,
                       double *high);

/* sg_stats_random_cosine of the orders 1 .. r into out (r,3). */
void random_cosines(size_t r, size_t E, double *out);

#endif
