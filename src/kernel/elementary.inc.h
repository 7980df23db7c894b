/* SPDX-License-Identifier: MIT */
/* elementary.inc.h - exp, the logistic function and tanh of one float, written so that loops over them
 * vectorise. */
#ifndef SG_ELEMENTARY_INC_H
#define SG_ELEMENTARY_INC_H

#include <stdint.h>
#include <string.h>

/* exp by Cody-Waite reduction and a polynomial of degree 6 on [-ln2/2, ln2/2]; saturates outside [-87.3,
 * 88.3]. */
static inline float exp_one(float x)
{
    x = x > 88.3762626f ? 88.3762626f : x;
    x = x < -87.3365479f ? -87.3365479f : x;
    float shifted = x * 1.44269504f + 12582912.0f; /* rounds to the nearest integer in the low bits */
    float n = shifted - 12582912.0f;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    uint32_t bits; /* the low bits of `shifted` are n, whatever x was: no conversion that a NaN could upset */
    float scale;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127u) << 23;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

static inline float sigmoid_one(float x)
{
    return 1.0f / (1.0f + exp_one(-x));
}

/* Odd polynomial near zero, where 1 - 2/(e^2x + 1) would cancel. */
static inline float tanh_one(float v)
{
    float a = v < 0 ? -v : v, s = v * v;
    float far = 1.0f - 2.0f / (exp_one(2.0f * a) + 1.0f);
    float near = -5.70498872745e-3f;
    near = near * s + 2.06390887954e-2f;
    near = near * s - 5.37397155531e-2f;
    near = near * s + 1.33314422036e-1f;
    near = near * s - 3.33332819422e-1f;
    near = near * s * a + a;
    float t = a < 0.625f ? near : far;
    return v < 0 ? -t : t;
}

#endif
