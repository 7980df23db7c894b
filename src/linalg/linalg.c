/* SPDX-License-Identifier: MIT */
/* Determinism: one BLAS thread gives the same bytes whatever the caller's number of threads; OpenBLAS with
 * several may split the k dimension. Whoever needs both speed and equal bytes splits work himself, in a
 * serial region. */
#include "linalg/linalg.h"

#include "base/base_internal.h"

#include <assert.h>
#include <cblas.h>
#include <lapacke.h>
#include <limits.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <sys/mman.h>

static int narrow(size_t n)
{
    assert(n <= INT_MAX);
    return (int)n;
}

static CBLAS_TRANSPOSE cblas_trans(la_trans t)
{
    return t == LA_T ? CblasTrans : CblasNoTrans;
}

/* OpenBLAS has one number of threads for the whole process, hence this one count for the whole process: with
 * a plain set and restore, one of two analyses at once would hand the other a BLAS of several threads.
 * OpenBLAS built on OpenMP sets the caller's number of OpenMP threads too, which is put back. */
static pthread_mutex_t serial_lock = PTHREAD_MUTEX_INITIALIZER;
static int serial_regions, threads_before;

static void blas_threads(int n)
{
    int openmp = omp_get_max_threads();
    openblas_set_num_threads(n);
    omp_set_num_threads(openmp);
}

void la_serial_begin(void)
{
    pthread_mutex_lock(&serial_lock);
    if (serial_regions++ == 0) {
        threads_before = openblas_get_num_threads();
        blas_threads(1);
    }
    pthread_mutex_unlock(&serial_lock);
}

void la_serial_end(void)
{
    pthread_mutex_lock(&serial_lock);
    assert(serial_regions > 0);
    if (--serial_regions == 0)
        blas_threads(threads_before);
    pthread_mutex_unlock(&serial_lock);
}

static la_work work_done;

la_work la_work_done(void)
{
    la_work now;
#pragma omp atomic read
    now.products = work_done.products;
#pragma omp atomic read
    now.decompositions = work_done.decompositions;
    return now;
}

void la_decomposed(size_t m, size_t n)
{
    const double cubes = (double)(m > n ? m : n) * (double)(m < n ? m : n) * (double)(m < n ? m : n);
#pragma omp atomic
    work_done.decompositions += cubes;
}

sg_status la_room(int threads, sg_error *err)
{
    size_t bytes =
        (size_t)(threads > 0 ? threads : 1) * (136u << 20); /* of one thread: its buffer and a little */
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return sg_fail(
            err, SG_ENOMEM,
            "linear algebra: no memory: OpenBLAS on %d thread%s needs %zu MiB of address space (ulimit -v)",
            threads > 0 ? threads : 1, threads > 1 ? "s" : "", bytes >> 20);
    munmap(p, bytes);
    /* OpenBLAS takes the first buffer now and keeps it. Later the caller's own memory could have left no room
     * for it, and OpenBLAS would try for ever. */
    double one = 1;
    la_serial_begin();
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, 1, 1, 1, &one, 1, &one, 1);
    la_serial_end();
    return SG_OK;
}

void la_sgemm(la_trans ta, la_trans tb, size_t m, size_t n, size_t k, float alpha, const float *A, size_t lda,
              const float *B, size_t ldb, float beta, float *C, size_t ldc)
{
    if (!m || !n)
        return;
    la_serial_begin();
    cblas_sgemm(CblasRowMajor, cblas_trans(ta), cblas_trans(tb), narrow(m), narrow(n), narrow(k), alpha, A,
                narrow(lda), B, narrow(ldb), beta, C, narrow(ldc));
    la_serial_end();
}

void la_dgemm(la_trans ta, la_trans tb, size_t m, size_t n, size_t k, double alpha, const double *A,
              size_t lda, const double *B, size_t ldb, double beta, double *C, size_t ldc)
{
    if (!m || !n)
        return;
    const double multiply_adds = (double)m * (double)n * (double)k;
#pragma omp atomic
    work_done.products += multiply_adds;
    la_serial_begin();
    cblas_dgemm(CblasRowMajor, cblas_trans(ta), cblas_trans(tb), narrow(m), narrow(n), narrow(k), alpha, A,
                narrow(lda), B, narrow(ldb), beta, C, narrow(ldc));
    la_serial_end();
}

static sg_status lapack_status(lapack_int info, const char *routine, sg_error *err)
{
    if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR)
        return no_memory(err, "%s", routine);
    if (info < 0)
        return sg_fail(err, SG_ENONFINITE, "%s: argument %d is not finite or not legal", routine, -(int)info);
    if (info > 0)
        return sg_fail(err, SG_ENOCONV, "%s: did not converge (info %d)", routine, (int)info);
    return SG_OK;
}

static sg_status fits_int(size_t m, size_t n, const char *routine, sg_error *err)
{
    if (m > INT_MAX || n > INT_MAX || (n && m > INT_MAX / n))
        return sg_fail(err, SG_EINVAL, "%s: a matrix of %zu x %zu does not fit a BLAS int", routine, m, n);
    return SG_OK;
}

static void fix_signs(size_t m, size_t n, size_t r, double *P, double *Vt)
{
    for (size_t k = 0; k < r; k++) {
        double *v = Vt + k * n, largest = 0;
        for (size_t j = 0; j < n; j++)
            if (fabs(v[j]) > fabs(largest))
                largest = v[j];
        if (largest >= 0)
            continue;
        for (size_t j = 0; j < n; j++)
            v[j] = -v[j];
        for (size_t i = 0; i < m; i++)
            P[i * r + k] = -P[i * r + k];
    }
}

sg_status la_svd(size_t m, size_t n, double *A, double *S, double *P, double *Vt, sg_error *err)
{
    sg_status st = fits_int(m, n, "SVD", err);
    size_t r = m < n ? m : n;
    if (st != SG_OK || !r)
        return st;
    la_decomposed(m, n);
    la_serial_begin();
    lapack_int info = LAPACKE_dgesdd(LAPACK_ROW_MAJOR, P ? 'S' : 'N', narrow(m), narrow(n), A, narrow(n), S,
                                     P, narrow(P ? r : 1), Vt, narrow(n));
    la_serial_end();
    st = lapack_status(info, "SVD", err);
    if (st == SG_OK && P)
        fix_signs(m, n, r, P, Vt);
    return st;
}

sg_status la_eigh(size_t n, double *A, double *w, bool vectors, sg_error *err)
{
    sg_status st = fits_int(n, n, "eigenvalues", err);
    if (st != SG_OK || !n)
        return st;
    la_decomposed(n, n);
    /* Column-major on a symmetric matrix: no transposition, and eigenvectors come out in the rows of A. */
    la_serial_begin();
    lapack_int info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, vectors ? 'V' : 'N', 'L', narrow(n), A, narrow(n), w);
    la_serial_end();
    return lapack_status(info, "eigenvalues", err);
}

sg_status la_cholesky(size_t n, double *A, sg_error *err)
{
    sg_status st = fits_int(n, n, "Cholesky", err);
    if (st != SG_OK || !n)
        return st;
    la_serial_begin();
    lapack_int info = LAPACKE_dpotrf(LAPACK_ROW_MAJOR, 'L', narrow(n), A, narrow(n));
    la_serial_end();
    if (info > 0)
        return sg_fail(err, SG_ENOCONV, "Cholesky: the matrix is not positive definite (pivot %d)",
                       (int)info);
    st = lapack_status(info, "Cholesky", err);
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++)
            A[i * n + j] = 0;
    return st;
}

void la_solve_lower(size_t n, size_t m, const double *L, la_trans t, double *B)
{
    if (!n || !m)
        return;
    la_serial_begin();
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, cblas_trans(t), CblasNonUnit, narrow(n), narrow(m), 1.0,
                L, narrow(n), B, narrow(m));
    la_serial_end();
}

sg_status la_lstsq(size_t m, size_t n, double *A, double *b, sg_error *err)
{
    sg_status st = fits_int(m, n, "least squares", err);
    if (st != SG_OK || !n)
        return st;
    la_serial_begin();
    lapack_int info = LAPACKE_dgels(LAPACK_ROW_MAJOR, 'N', narrow(m), narrow(n), 1, A, narrow(n), b, 1);
    la_serial_end();
    return lapack_status(info, "least squares", err);
}
