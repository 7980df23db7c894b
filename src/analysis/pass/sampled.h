/* SPDX-License-Identifier: MIT */
/* sampled.h - how well the origins drawn so far give sigma_1.
 *
 *   sampling error   standard error of sigma_1 as an estimate of what all origins of the corpus would give:
 *                    from the two halves of each block, which are drawn alike:  var = sum_b w_b^2 (u' (A_b -
 *                    B_b) v)^2 n_A n_B / n^2 (1 - n / N),  A_b, B_b their normalised means, n_A, n_B their
 *                    pairs, n both, N those that exist, w_b the block's share of the pairs, u, v the first
 *                    singular vectors of the whole mean
 *   total error      of the run file's interval: jackknife over blocks; holds the sampling error and how far
 *                    blocks of the corpus differ, which no drawing makes smaller
 *
 * Both relative to sigma_1. A (state, class, delay) is known well enough for P if the total error is at most
 * P; or if the sampling error is at most P and at most half of the total. */
#ifndef SG_ANALYSIS_PASS_SAMPLED_H
#define SG_ANALYSIS_PASS_SAMPLED_H

#include "analysis/pass/shared.h"

/* halves: records 2b and 2b+1 are the halves of block b. *growth: by how much the number of origins must
 * grow; at most 1: all states of the model, classes and delays 0 .. min(D-1, 20) are known well enough for
 * an->cfg->precision (but for those without an error, which do not count). Fills sampling, total, delay,
 * state, class, origins of *out. */
sg_status sampling_errors(precision_reached *out, double *growth, const analysis *an,
                          const block_sums *halves, sg_error *err);

#endif
