/* SPDX-License-Identifier: MIT */
/* kernel.h - inner loops over vectors, one table of functions per instruction set, chosen once at run time.
 *
 * The table is read-only. Results of different instruction sets agree to rounding, not to the byte. */
#ifndef SG_KERNEL_H
#define SG_KERNEL_H

#include "kernel/gradient_kernel.h"
#include "kernel/product_kernel.h"

typedef struct {
    const char *name; /* "avx512", "avx2", "plain" */
    size_t lanes;     /* floats in a vector */
    /* y_i = tanh(x_i), 1/(1+exp(-x_i)), exp(x_i); relative error below 2e-7 of float64; x and y may be the
     * same. */
    void (*tanh)(size_t n, const float *x, float *y);
    void (*sigmoid)(size_t n, const float *x, float *y);
    void (*exp)(size_t n, const float *x, float *y);
    const sg_gradient_kernels *gradient;
    const sg_product_kernels *product;
} sg_kernels;

/* The best table for this machine; STATEGRAD_ISA=plain|avx2|avx512 in the environment asks for a lesser one
 * (an ISA the machine lacks is ignored). */
const sg_kernels *kernels_best(void);
/* By name, NULL if this build or this machine lacks it: for tests and the bench. */
const sg_kernels *kernels_named(const char *name);

#endif
