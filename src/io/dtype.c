/* SPDX-License-Identifier: MIT */
/* Types of stored numbers and their conversion to float32. */
#include "io/dtype.h"

#include <stdint.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
    bool real;
} dtypes[] = {
    [DTYPE_F16] = {"float16", 2, true},  [DTYPE_BF16] = {"bfloat16", 2, true},
    [DTYPE_F32] = {"float32", 4, true},  [DTYPE_F64] = {"float64", 8, true},
    [DTYPE_I8] = {"int8", 1, false},     [DTYPE_U8] = {"uint8", 1, false},
    [DTYPE_I16] = {"int16", 2, false},   [DTYPE_I32] = {"int32", 4, false},
    [DTYPE_I64] = {"int64", 8, false},   [DTYPE_BOOL] = {"bool", 1, false},
    [DTYPE_OTHER] = {"other", 0, false},
};

bool dtype_is_float(tensor_dtype d)
{
    return dtypes[d].real;
}

size_t dtype_size(tensor_dtype d)
{
    return dtypes[d].size;
}

const char *dtype_name(tensor_dtype d)
{
    return dtypes[d].name;
}

static float float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff;
    if (exponent == 31)
        return float_of_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent)
        return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float small = (float)fraction * 0x1p-24f;
    return sign ? -small : small;
}

void dtype_to_float(float *out, const unsigned char *in, tensor_dtype d, size_t n)
{
    for (size_t i = 0; i < n; i++, in += dtypes[d].size) {
        uint64_t x = 0;
        for (size_t k = 0; k < dtypes[d].size; k++)
            x |= (uint64_t)in[k] << (8 * k);
        if (d == DTYPE_F32)
            out[i] = float_of_bits((uint32_t)x);
        else if (d == DTYPE_F64) {
            double x64;
            memcpy(&x64, &x, sizeof x64);
            out[i] = (float)x64;
        } else
            out[i] = d == DTYPE_F16 ? half_to_float((uint16_t)x) : float_of_bits((uint32_t)x << 16);
    }
}
