/* SPDX-License-Identifier: MIT */
/* plain.h - what the cells' plain twins are written with: sums in double, libm's functions, one unit at a
 * time. */
#ifndef SG_CELL_PLAIN_H
#define SG_CELL_PLAIN_H

#include "cell/cell.h"

#include <math.h>

static inline double plain_dot(size_t n, const float *w, const double *x)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)w[i] * x[i];
    return sum;
}

static inline double plain_sigmoid(double a)
{
    return 1 / (1 + exp(-a));
}

/* W_ih x + b_ih, unit i of gate g */
static inline double plain_input(const cell_plain *l, size_t g, size_t i, const double *x)
{
    size_t row = g * l->H + i;
    return plain_dot(l->N, l->W_ih + row * l->N, x) + (double)l->b_ih[row];
}

/* W_hh h + b_hh */
static inline double plain_recurrent(const cell_plain *l, size_t g, size_t i, const double *h)
{
    size_t row = g * l->H + i;
    return plain_dot(l->H, l->W_hh + row * l->H, h) + (double)l->b_hh[row];
}

/* dh (H) += W_hh' da over the units of gate g */
static inline void plain_pull(const cell_plain *l, size_t g, const double *da, double *dh)
{
    for (size_t i = 0; i < l->H; i++)
        for (size_t j = 0; j < l->H; j++)
            dh[j] += da[i] * (double)l->W_hh[(g * l->H + i) * l->H + j];
}

#endif
