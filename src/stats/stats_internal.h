/* SPDX-License-Identifier: MIT */
/* stats_internal.h - what the files of this module share. */
#ifndef SG_STATS_INTERNAL_H
#define SG_STATS_INTERNAL_H

#include "stategrad/stats.h"

/* Of the tests of classes: blocks with both the class and other words that they need; directions in which
 * sg_class_test looks for the largest singular value. */
enum { TEST_LEAST_BLOCKS = 8, TEST_DIRECTIONS = 8 };

/* I_x(a, b), the regularised incomplete beta function, and its inverse in x. */
double stats_beta(double x, double a, double b);
double stats_beta_quantile(double p, double a, double b);

/* The loop over blocks of every jackknife. N = sum pairs > 0; the return value is corrected - value of
 * sg_stats_jackknife; each block's part in the error is (pseudo_b - corrected) / sqrt(h_b - 1), 0 for an
 * empty one: part (B) `step` apart, or NULL. error^2 is the sum of their squares over the number g of blocks
 * that are not empty; the covariance of two quantities is the sum of the products of their parts over g. */
double stats_jackknife(size_t B, const double *pairs, double value, const double *without, size_t stride,
                       double *sum_of_squares, double *part, size_t step);

/* N^2 / sum n_b^2: the effective number of blocks; 0 without pairs. */
double stats_effective(size_t B, const double *pairs);

/* Error, ends and p of a contrast from its bias and variance. */
void stats_settle(sg_contrast *out, double variance, double freedom);
/* Degrees of freedom of a sum of two variances (Welch and Satterthwaite). */
double stats_welch(double v_a, double nu_a, double v_b, double nu_b);

/* Ascending; NaN may not occur. */
void stats_sort(size_t n, double *x);
/* Linear interpolation between order statistics of sorted x, n > 0. */
double stats_quantile(size_t n, const double *x, double p);
/* The same of x in any order, which is changed; without sorting. NaN may not occur. */
double stats_quantile_of(size_t n, double *x, double p);

#endif
