/* SPDX-License-Identifier: MIT */
/* Compiled once per instruction set with -DKERNEL_ISA=name; see meson.build. */
#include "kernel/kernel.h"

#include "kernel/elementary.inc.h"

#include <math.h>
#include <string.h>

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX2__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

static void kernel_exp(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = exp_one(x[i]);
}

static void kernel_sigmoid(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = sigmoid_one(x[i]);
}

static void kernel_tanh(size_t n, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = tanh_one(x[i]);
}

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

extern const sg_gradient_kernels JOIN(gradient_kernels_, KERNEL_ISA);
extern const sg_product_kernels JOIN(product_kernels_, KERNEL_ISA);
extern const sg_kernels JOIN(kernels_, KERNEL_ISA);
const sg_kernels JOIN(kernels_, KERNEL_ISA) = {
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
    .name = TEXT(KERNEL_ISA),
    .lanes = LANES,
    .tanh = kernel_tanh,
    .sigmoid = kernel_sigmoid,
    .exp = kernel_exp,
    .gradient = &JOIN(gradient_kernels_, KERNEL_ISA),
    .product = &JOIN(product_kernels_, KERNEL_ISA),
};
