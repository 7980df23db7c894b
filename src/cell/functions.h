/* SPDX-License-Identifier: MIT */
/* functions.h - the functions of gates and states that some files name in place of sigmoid and tanh.
 *
 *   hard sigmoid   min(max(0.2 a + 0.5, 0), 1): the default of Keras 1 and 2, and of ONNX's HardSigmoid
 *   relu           max(a, 0)
 *
 * Inline with a constant function: what is left is the one case. */
#ifndef SG_CELL_FUNCTIONS_H
#define SG_CELL_FUNCTIONS_H

#include "cell/plain.h"
#include "cell/slope.h"

typedef enum { CELL_SIGMOID, CELL_HARD_SIGMOID, CELL_TANH, CELL_RELU } cell_function;

static inline void function_values(cell_function f, const sg_kernels *k, size_t n, const float *a, float *y)
{
    switch (f) {
    case CELL_SIGMOID:
        k->sigmoid(n, a, y);
        break;
    case CELL_TANH:
        k->tanh(n, a, y);
        break;
    case CELL_HARD_SIGMOID:
        for (size_t j = 0; j < n; j++) {
            float v = 0.2f * a[j] + 0.5f;
            v = v < 0 ? 0 : v; /* a NaN stays one */
            y[j] = v > 1 ? 1 : v;
        }
        break;
    case CELL_RELU:
        for (size_t j = 0; j < n; j++)
            y[j] = a[j] < 0 ? 0 : a[j];
    }
}

/* The slope at a preactivation. */
static inline float function_slope(cell_function f, float a)
{
    return f == CELL_SIGMOID        ? sigmoid_slope(a)
           : f == CELL_TANH         ? tanh_slope(a)
           : f == CELL_HARD_SIGMOID ? (fabsf(a) < 2.5f ? 0.2f : 0)
                                    : (float)(a > 0);
}

/* The same from the value. */
static inline float function_slope_at(cell_function f, float y)
{
    return f == CELL_SIGMOID        ? y * (1 - y)
           : f == CELL_TANH         ? 1 - y * y
           : f == CELL_HARD_SIGMOID ? (y > 0 && y < 1 ? 0.2f : 0)
                                    : (float)(y > 0);
}

/* 1 - value of a gate, without cancellation. */
static inline float function_rest(cell_function f, float a)
{
    return f == CELL_SIGMOID ? sigmoid_rest(a) : fminf(fmaxf(0.5f - 0.2f * a, 0), 1);
}

static inline double plain_function(cell_function f, double a)
{
    return f == CELL_SIGMOID        ? plain_sigmoid(a)
           : f == CELL_TANH         ? tanh(a)
           : f == CELL_HARD_SIGMOID ? fmin(fmax(0.2 * a + 0.5, 0), 1)
                                    : fmax(a, 0);
}

static inline double plain_slope_at(cell_function f, double y)
{
    return f == CELL_SIGMOID        ? y * (1 - y)
           : f == CELL_TANH         ? 1 - y * y
           : f == CELL_HARD_SIGMOID ? (y > 0 && y < 1 ? 0.2 : 0)
                                    : (double)(y > 0);
}

#endif
