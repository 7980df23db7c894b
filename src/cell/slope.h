/* SPDX-License-Identifier: MIT */
/* slope.h - slopes of the gates' functions from their preactivations: 1 - g^2 and i (1 - i) are 0 in float
 * where g or i rounds to 1, and with them all of a saturated unit's gradient would be lost. */
#ifndef SG_CELL_SLOPE_H
#define SG_CELL_SLOPE_H

#include <math.h>

/* 1 - tanh(a)^2 = 4 exp(-2|a|) / (1 + exp(-2|a|))^2 */
static inline float tanh_slope(float a)
{
    float e = expf(-2 * fabsf(a));
    return 4 * e / ((1 + e) * (1 + e));
}

/* sigmoid(a) (1 - sigmoid(a)) */
static inline float sigmoid_slope(float a)
{
    float e = expf(-fabsf(a));
    return e / ((1 + e) * (1 + e));
}

/* 1 - sigmoid(a) */
static inline float sigmoid_rest(float a)
{
    float e = expf(-fabsf(a));
    return (a > 0 ? e : 1) / (1 + e);
}

#endif
