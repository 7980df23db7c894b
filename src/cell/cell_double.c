/* SPDX-License-Identifier: MIT */
/* The cells in double, for tests and `stategrad check`: the same source with libm's functions. */
#include "cell/cell.h"

#include "linalg/linalg.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define REAL double
#define NAME(name) name##_d
#define GEMM la_dgemm

static void vector_sigmoid(size_t n, double *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 1 / (1 + exp(-x[i]));
}

static void vector_tanh(size_t n, const double *x, double *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = tanh(x[i]);
}

#include "cell/rnn.inc.h"
#include "cell/gru.inc.h"
#include "cell/lstm.inc.h"
#include "cell/layer.inc.h"
