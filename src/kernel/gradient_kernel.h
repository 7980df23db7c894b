/* SPDX-License-Identifier: MIT */
/* gradient_kernel.h - the inner loops of the gradient engine: one step of strips of columns.
 *
 * A strip is SG_STRIP columns of a matrix, rows contiguous: strip[k * SG_STRIP + j]. U, C and sums live in
 * strips for good, so a strip is the packed right-hand side of the product already and fits the first-level
 * cache.
 *
 * A packed step matrix: its rows (P H of them, K = K1 + K2 columns) are cut into tiles of at most rows/P rows
 * of the state, as equal as can be; tile of r state rows from row0: [k][P r] floats at packed + row0 P K, for
 * each k the r rows of the first product, then (P = 2) the same r rows of the second. One tile of
 * accumulators stays in registers for all k; the update and the sums are done on it before it is stored. */
#ifndef SG_GRADIENT_KERNEL_H
#define SG_GRADIENT_KERNEL_H

#include "stategrad/base.h"

enum { SG_STRIP = 32, SG_PACK_SLACK = 16 }; /* floats that kernels may read past the end */

/* One layer and token. */
typedef struct {
    const float *packed;
    const float *diagonal; /* (P,H) */
    size_t H, K1,
        K2; /* K1: from the layer's own U, H or (diagonal) 0; K2: from the layer below, 0 in the first */
    /* the packed matrix that will be asked for next, and its size: brought near meanwhile */
    const float *ahead;
    size_t ahead_floats; /* 0: not known */
} sg_step_matrix;

/* One strip to step, of up to a group's worth side by side. U (H), X (K2) are read, C is updated in place,
 * next gets the new U; next overlaps nothing. */
typedef struct {
    const float *U, *X;
    float *C, *next;
    float *sum_C, *sum_U; /* += the new C, U; NULL: not wanted */
    bool enters;          /* U is taken as zero and not read; C must be zero */
} sg_strip_job;

typedef struct {
    size_t rows; /* P r at most in a tile */
    /* two states: C <- d0 C + M U + Mx X, next <- d1 C + O U + Ox X */
    void (*step_pair)(const sg_step_matrix *m, size_t n, const sg_strip_job *jobs);
    /* one: next <- d0 U + A U + Ax X; C and sum_C are not touched */
    void (*step_single)(const sg_step_matrix *m, size_t n, const sg_strip_job *jobs);
    /* n_planes is 1, 2 or 3. out[k W + j] = sum_p coef[16 p + j] plane_p[k width_p + j], j < W <= 16, k < K;
     * coef is 0 from width_p on. Planes may be read SG_PACK_SLACK floats beyond the end; out is written in
     * its K W floats only. coef: 64-byte aligned. */
    void (*fold)(size_t K, size_t W, size_t n_planes, const float *const *planes, const size_t *widths,
                 const float *coef, float *out);
    /* R (32,32) += P^T Q for strips P, Q of H rows; where P is Q itself, entries below the diagonal may be
     * left out */
    void (*moment)(size_t H, const float *P, const float *Q, float *R);
    /* y (n) += x, x <- 0; false if some x is not finite. */
    bool (*flush)(size_t n, float *x, double *y);
    /* What the machine can do: runs `loops` rounds of independent FMAs on vectors and returns their flops. */
    double (*peak)(size_t loops, float *sink);
} sg_gradient_kernels;

/* State rows of tile i and the first of them; returns the number of tiles. H rows, P products, at most `rows`
 * rows. */
static inline size_t tile_count(size_t H, size_t P, size_t rows)
{
    size_t r = rows / P;
    return (H + r - 1) / r;
}
static inline size_t tile_first(size_t H, size_t tiles, size_t i)
{
    size_t base = H / tiles, longer = H % tiles;
    return i * base + (i < longer ? i : longer);
}

#endif
