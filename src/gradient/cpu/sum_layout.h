/* SPDX-License-Identifier: MIT */
/* sum_layout.h - how the CPU's sums lie in memory.
 *
 * A sum (H,E) is stored by strips of 32 columns: strip c (H,32) at c*H*32, then what is left of E as (H, E
 * mod 32). The second moment (E,E) is stored in blocks of 32 x 32 over E rounded up: blocks (p,q), p <= q, p
 * outer. backend.h declares what others need: sizes, and reading as matrices. */
#ifndef SG_GRADIENT_CPU_SUM_LAYOUT_H
#define SG_GRADIENT_CPU_SUM_LAYOUT_H

#include "gradient/backend.h"
#include "kernel/kernel.h"

/* A symmetric matrix (E,E) as weights of a second moment, out (sum_moment_floats): <Q, matrix> is the sum of
 * products. The kernels may leave out what lies below the diagonal, so it has no weight and what lies above
 * it counts twice. */
void sum_moment_weights(size_t E, const double *matrix, float *out);
/* sum += moment; returns <moment, matrix> by its weights. */
double sum_moment_add(size_t E, const float *moment, const float *weights, float *sum);

#endif
