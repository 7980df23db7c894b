/* SPDX-License-Identifier: MIT */
/* The cells in float: gates through the machine's vector kernels. */
#include "cell/cell.h"

#include "kernel/kernel.h"
#include "linalg/linalg.h"

#include <assert.h>
#include <string.h>

#define REAL float
#define NAME(name) name
#define GEMM la_sgemm

static void vector_sigmoid(size_t n, float *x)
{
    kernels_best()->sigmoid(n, x, x);
}

static void vector_tanh(size_t n, const float *x, float *y)
{
    kernels_best()->tanh(n, x, y);
}

#include "cell/rnn.inc.h"
#include "cell/gru.inc.h"
#include "cell/lstm.inc.h"
#include "cell/layer.inc.h"
