/* SPDX-License-Identifier: MIT */
/* linalg.h - the only door to BLAS and LAPACK.
 *
 * Matrices are row-major with an explicit leading dimension (elements between row starts). `s` calls are
 * float32, `d` calls float64. Empty sizes return at once. beta = 0 overwrites: a NaN in old memory does not
 * survive. Sizes beyond an int are a caller's bug in the gemm calls (asserted) and SG_EINVAL in the
 * others. */
#ifndef SG_LINALG_H
#define SG_LINALG_H

#include "base/base_internal.h"

typedef enum { LA_N, LA_T } la_trans;

/* C (m,n) = alpha op(A) op(B) + beta C, op(A) is (m,k), op(B) is (k,n). */
void la_sgemm(la_trans ta, la_trans tb, size_t m, size_t n, size_t k, float alpha, const float *A, size_t lda,
              const float *B, size_t ldb, float beta, float *C, size_t ldc);
void la_dgemm(la_trans ta, la_trans tb, size_t m, size_t n, size_t k, double alpha, const double *A,
              size_t lda, const double *B, size_t ldb, double beta, double *C, size_t ldc);

/* Work of this process so far in float64, for tests of what a forecast counts: multiply-adds of la_dgemm; n^3
 * of each eigenvalue decomposition (n,n) and m n^2 of each SVD (m,n), m >= n. */
typedef struct {
    double products, decompositions;
} la_work;
la_work la_work_done(void);
void la_decomposed(size_t m, size_t n); /* along.c notes its own */

/* Serial regions: BLAS computes on the calling thread alone, so results have the same bytes for any number of
 * threads. Every call below is one; a region around many calls only spares the switching to and fro. Regions
 * may nest and overlap between threads: the first in sets BLAS to 1 thread, the last out restores what was
 * there. */
void la_serial_begin(void);
void la_serial_end(void);

/* SG_ENOMEM if the address space (ulimit -v) has no room for BLAS on this number of threads: OpenBLAS takes
 * 128 MiB for each and, where it cannot have them, asks for them for ever. To be called before products in
 * BLAS begin. */
sg_status la_room(int threads, sg_error *err);

/* A (m,n) = P diag(S) V^T, r = min(m,n): S (r) descending, P (m,r) and Vt (r,n) with orthonormal columns /
 * rows; signs are fixed so that the largest entry of each right vector is positive. P and Vt may both be
 * NULL. A is destroyed. */
sg_status la_svd(size_t m, size_t n, double *A, double *S, double *P, double *Vt, sg_error *err);

/* Symmetric A (n,n): eigenvalues ascending in w; eigenvectors in the rows of A if vectors, else A is
 * destroyed. */
sg_status la_eigh(size_t n, double *A, double *w, bool vectors, sg_error *err);

/* Eigenvalues ascending in w, and Y (p,n) <- Y times the eigenvectors as columns: for few vectors half the
 * time of la_eigh with all of them. A is destroyed; a row of NaN stays one. work: 2 n doubles. */
sg_status la_eigh_along(size_t n, double *A, double *w, size_t p, double *Y, double *work, sg_error *err);

/* The largest singular value of A (m,n), which is kept, to 1e-10 of it: with min(m,n) <= 128 from la_eigh,
 * else by Lanczos' method, which reports `done` to `watch` after each step: SG_ECANCELLED. work:
 * la_largest_work(m, n) doubles. The squares of A's values must be neither 0 nor infinite. */
size_t la_largest_work(size_t m, size_t n);
sg_status la_largest(double *sigma, size_t m, size_t n, const double *A, double *work, ticker *watch,
                     double done, sg_error *err);

/* A = L L^T in place: lower triangle L, strict upper triangle zeroed. SG_ENOCONV: not positive definite. */
sg_status la_cholesky(size_t n, double *A, sg_error *err);

/* B <- L^-1 B or L^-T B for lower triangular L (n,n), B (n,m). */
void la_solve_lower(size_t n, size_t m, const double *L, la_trans t, double *B);

/* Least squares min |A x - b| for A (m,n), m >= n, full rank; A and b are destroyed, x in b[0..n). */
sg_status la_lstsq(size_t m, size_t n, double *A, double *b, sg_error *err);

#endif
