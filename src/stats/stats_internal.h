/* SPDX-License-Identifier: MIT */
/* stats_internal.h - what the files of this module share. */
#ifndef SG_STATS_INTERNAL_H
#define SG_STATS_INTERNAL_H

#include "stategrad/stats.h"

/* I_x(a, b), the regularised incomplete beta function, and its inverse in x. */
double stats_beta(double x, double a, double b);
double stats_beta_quantile(double p, double a, double b);

/* Ascending; NaN may not occur. */
void stats_sort(size_t n, double *x);
/* Linear interpolation between order statistics of sorted x, n > 0. */
double stats_quantile(size_t n, const double *x, double p);

#endif
