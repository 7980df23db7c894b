/* SPDX-License-Identifier: MIT */
/* decay_internal.h - what the files of sg_stats_decay share. */
#ifndef SG_STATS_DECAY_INTERNAL_H
#define SG_STATS_DECAY_INTERNAL_H

#include "stategrad/stats.h"

/* The usable points of one series: n delays with logs and square roots of weights, the weights of mean 1. */
typedef struct {
    size_t n;
    double *d, *log_y, *root_w;
    double *A, *b; /* (n, 2) and (n): the equations, spent by each solution */
} decay_series;

/* x(d) of ln y = a - k x(d). */
double decay_abscissa(sg_decay_law law, double d, double beta);

/* decay_curve.c: the delay of the largest finite value, and the delays after it at which the shares are left:
 * value, or NaN and why. */
size_t decay_peak(size_t D, const double *y);
void decay_left(sg_interval left[SG_DECAY_SHARES], size_t D, const double *y, size_t peak);

/* decay_misfit.c: *p is P of a lack of fit as large as that of f if the law were true; NaN where it cannot be
 * known. SG_ENOMEM. */
sg_status decay_misfit(double *p, const decay_series *s, const sg_decay_fit *f, sg_decay_law law, size_t B,
                       const double *pairs, const double *without, size_t D, sg_error *err);

#endif
