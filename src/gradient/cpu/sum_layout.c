/* SPDX-License-Identifier: MIT */
#include "gradient/cpu/sum_layout.h"

size_t sum_moment_floats(size_t E)
{
    size_t n = (E + SG_STRIP - 1) / SG_STRIP;
    return n * (n + 1) / 2 * SG_STRIP * SG_STRIP;
}

void sum_moment_weights(size_t E, const double *matrix, float *out)
{
    size_t strips = (E + SG_STRIP - 1) / SG_STRIP;
    for (size_t p = 0; p < strips; p++)
        for (size_t q = p; q < strips; q++)
            for (size_t i = 0; i < SG_STRIP * SG_STRIP; i++, out++) {
                size_t row = p * SG_STRIP + i / SG_STRIP, col = q * SG_STRIP + i % SG_STRIP;
                *out = row > col || col >= E ? 0 : (float)((row == col ? 1 : 2) * matrix[row * E + col]);
            }
}

double sum_moment_add(size_t E, const float *moment, const float *weights, float *sum)
{
    enum { LANES = 16 };
    double square = 0;
    for (size_t k = 0, n = sum_moment_floats(E); k < n; k += SG_STRIP * SG_STRIP) {
        float part[LANES] = {0};
        for (size_t j = k; j < k + SG_STRIP * SG_STRIP; j += LANES)
            for (size_t x = 0; x < LANES; x++) {
                sum[j + x] += moment[j + x];
                part[x] += moment[j + x] * weights[j + x];
            }
        for (size_t x = 0; x < LANES; x++)
            square += (double)part[x];
    }
    return square;
}

size_t sum_floats(size_t H, size_t E)
{
    return (H * E + 15) / 16 * 16;
}

void sum_read(size_t H, size_t E, double w, const double *total, const float *partial, double *sum)
{
    size_t full = E / SG_STRIP, rest = E % SG_STRIP;
    for (size_t c = 0; c <= full; c++) {
        size_t width = c < full ? SG_STRIP : rest, at = c * H * SG_STRIP;
        for (size_t j = 0; j < H; j++)
            for (size_t e = 0; e < width; e++) {
                size_t i = at + j * width + e;
                sum[j * E + c * SG_STRIP + e] += w * (total[i] + (double)partial[i]);
            }
    }
}

void sum_read_moment(size_t E, double w, const double *total, const float *partial, double *sum)
{
    size_t n = (E + SG_STRIP - 1) / SG_STRIP, block = 0;
    for (size_t p = 0; p < n; p++)
        for (size_t q = p; q < n; q++, block++)
            for (size_t i = 0; i < SG_STRIP * SG_STRIP; i++) {
                size_t row = p * SG_STRIP + i / SG_STRIP, col = q * SG_STRIP + i % SG_STRIP;
                size_t at = block * SG_STRIP * SG_STRIP + i;
                if (row >= E || col >= E || col < row)
                    continue;
                double x = w * (total[at] + (double)partial[at]);
                sum[row * E + col] += x;
                if (row != col)
                    sum[col * E + row] += x;
            }
}
