/* SPDX-License-Identifier: MIT */
/* product_kernel.h - matrix products with a packed right-hand side, for training: BLAS packs both sides at
 * every call, which costs a third of the time at the shapes of a recurrent step.
 *
 * Packed B (k,n): panels of SG_PANEL columns, [panel][row][SG_PANEL], columns beyond n zero:
 * packed_size(k, n) floats, 64-byte aligned. An element of a product is the sum over k in one fixed order:
 * it does not depend on how rows and panels are shared out among calls. */
#ifndef SG_PRODUCT_KERNEL_H
#define SG_PRODUCT_KERNEL_H

#include "stategrad/base.h"

enum { SG_PANEL = 32 };

static inline size_t packed_size(size_t k, size_t n)
{
    return (n + SG_PANEL - 1) / SG_PANEL * SG_PANEL * k;
}

typedef struct {
    /* B[i][j] = source[i*row + j*column]; one of row, column is 1. */
    void (*pack)(size_t k, size_t n, const float *source, size_t row, size_t column, float *packed);
    /* C (m,n; rows ldc apart) = or += A B; A[i][p] = A[i*row + p*column], one of row, column is 1.
     * rows_packed: rows of B in the packed block, of which k are used from the one that `packed` points
     * at. */
    void (*multiply)(size_t m, size_t n, size_t k, const float *A, size_t row, size_t column,
                     const float *packed, size_t rows_packed, float *C, size_t ldc, bool add);
    /* x_j <- exp(x_j + b_j - max), max = largest x_j + b_j, sum = sum of the new x_j */
    void (*exp_sum)(size_t n, float *x, const float *b, float *max, float *sum);
    /* x <- a x, y += x */
    void (*scale_add)(size_t n, float a, float *x, float *y);
    /* y += x; y += a x; sum of x^2 */
    void (*add)(size_t n, const float *x, float *y);
    void (*axpy)(size_t n, float a, const float *x, float *y);
    double (*square_sum)(size_t n, const float *x);

    /* The elementwise part of a step of a cell, n units of one sequence; names and tapes as in src/cell.
     * Forward: gates hold preactivations before, their values after. Backward: they hold values before, dL/da
     * after; dc and dh_prev as in cell_adjoints. */
    void (*lstm_forward)(size_t n, float *i, float *f, float *g, float *o, float *q, float *old,
                         const float *c_prev, float *c, float *h);
    void (*lstm_backward)(size_t n, float *i, float *f, float *g, float *o, const float *q, const float *old,
                          const float *dh, float *dc);
    void (*gru_forward)(size_t n, float *r, float *z, float *cand, const float *u, float *old,
                        const float *h_prev, float *h);
    void (*gru_backward)(size_t n, float *r, float *z, float *cand, float *u, const float *old,
                         const float *dh, float *dh_prev);
    void (*rnn_forward)(bool relu, size_t n, float *a, float *h);
    void (*rnn_backward)(bool relu, size_t n, float *a, const float *dh);
    /* y = x / (1-p) where a hash of row and column is at least threshold = p 2^32, else 0; y may be x. */
    void (*drop)(size_t n, const float *x, float *y, uint32_t row, uint32_t threshold, float scale);
    /* One step of Adam (beta 0.9, 0.999): m and v from scale g, w -= rate m / (sqrt(v) root + 1e-8). */
    void (*adam)(size_t n, float *w, const float *g, float *m, float *v, float scale, float rate, float root);
} sg_product_kernels;

#endif
