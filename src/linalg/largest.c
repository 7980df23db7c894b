/* SPDX-License-Identifier: MIT */
/* The largest singular value alone: Lanczos' method on C = A A^T or A^T A, whichever is smaller (Golub and
 * Van Loan, Matrix Computations, section 10.1).
 *
 *   V_k = [v_1 .. v_k] orthonormal
 *   T_k = V_k^T C V_k     tridiagonal: alpha on the diagonal, beta next to it
 *   theta, s              largest eigenvalue of T_k and its vector
 *   |theta - lambda| <= beta_k |s_k| for an eigenvalue lambda of C; theta rises with k, and is never above
 *   the largest one
 *
 * A step costs two products of A with a vector; the decomposition of C costs n^3. For n = 2048 these are 50
 * steps against 20 seconds that nobody can interrupt. */
#include "linalg/linalg.h"

#include "base/base_internal.h"

#include <math.h>

enum { DENSE = 128, MOST = 300, BETWEEN = 10 }; /* order decomposed at once; steps; steps between two looks */
static const double enough = 1e-10;             /* of theta, beta_k |s_k| */
static const double none = 1e-13;               /* of the largest alpha, beta_k: C leads nowhere else */

static size_t smaller(size_t m, size_t n)
{
    return m < n ? m : n;
}

static size_t steps_of(size_t r)
{
    return r < MOST ? r : MOST;
}

size_t la_largest_work(size_t m, size_t n)
{
    size_t r = smaller(m, n), k = steps_of(r);
    return r * r + r + (r <= DENSE ? 0 : (k + 1) * r + m + n + k * k + 3 * k);
}

static double dot(size_t n, const double *x, const double *y)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

static sg_status by_decomposition(double *sigma, size_t m, size_t n, const double *A, double *work,
                                  sg_error *err)
{
    const size_t r = smaller(m, n);
    double *C = work, *w = C + r * r;
    la_dgemm(m < n ? LA_N : LA_T, m < n ? LA_T : LA_N, r, r, m < n ? n : m, 1, A, n, A, n, 0, C, r);
    sg_status st = la_eigh(r, C, w, false, err);
    *sigma = st == SG_OK ? sqrt(w[r - 1] > 0 ? w[r - 1] : 0) : 0;
    return st;
}

/* y = C x; between: (max(m,n)) */
static void product(size_t m, size_t n, const double *A, const double *x, double *between, double *y)
{
    const la_trans first = m < n ? LA_T : LA_N, then = m < n ? LA_N : LA_T;
    const size_t r = smaller(m, n), other = m < n ? n : m;
    la_dgemm(first, LA_N, other, 1, r, 1, A, n, x, 1, 0, between, 1);
    la_dgemm(then, LA_N, r, 1, other, 1, A, n, between, 1, 0, y, 1);
}

/* y less its part in the k rows of V, twice: once leaves the error of rounding. */
static void orthogonalise(size_t r, size_t k, const double *V, double *y, double *part)
{
    for (int twice = 0; twice < 2; twice++) {
        la_dgemm(LA_N, LA_N, k, 1, r, 1, V, r, y, 1, 0, part, 1);
        la_dgemm(LA_T, LA_N, r, 1, k, -1, V, r, part, 1, 1, y, 1);
    }
}

/* theta, and beta_k |s_k| as error. */
static sg_status largest_of(double *theta, double *error, size_t k, const double *alpha, const double *beta,
                            double *T, double *w, sg_error *err)
{
    for (size_t i = 0; i < k * k; i++)
        T[i] = 0;
    for (size_t i = 0; i < k; i++) {
        T[i * k + i] = alpha[i];
        if (i + 1 < k)
            T[i * k + i + 1] = T[(i + 1) * k + i] = beta[i];
    }
    sg_status st = la_eigh(k, T, w, true, err);
    if (st == SG_OK)
        *theta = w[k - 1], *error = beta[k - 1] * fabs(T[(k - 1) * k + k - 1]);
    return st;
}

sg_status la_largest(double *sigma, size_t m, size_t n, const double *A, double *work, ticker *watch,
                     double done, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t r = smaller(m, n), most = steps_of(r);
    *sigma = 0;
    if (r <= DENSE)
        return r ? by_decomposition(sigma, m, n, A, work, err) : SG_OK;
    double *V = work + r * r + r, *between = V + (most + 1) * r, *T = between + m + n,
           *alpha = T + most * most, *beta = alpha + most, *w = beta + most;
    double theta = 0, error = INFINITY, length, scale = 0;
    sg_rng rng;
    sg_rng_seed(&rng, 1, 0);
    for (size_t i = 0; i < r; i++)
        V[i] = sg_rng_normal(&rng);
    length = sqrt(dot(r, V, V));
    for (size_t i = 0; i < r; i++)
        V[i] /= length;
    for (size_t k = 0; k < most && error > enough * theta; k++) {
        double *y = V + (k + 1) * r;
        product(m, n, A, V + k * r, between, y);
        alpha[k] = dot(r, V + k * r, y);
        orthogonalise(r, k + 1, V, y, between);
        beta[k] = k + 1 < r ? sqrt(dot(r, y, y)) : 0;
        scale = fmax(scale, alpha[k]);
        const bool whole = !(beta[k] > none * scale); /* of what the first vector leads to */
        if ((k + 1) % BETWEEN == 0 || k + 1 == most || whole)
            TRY(largest_of(&theta, &error, k + 1, alpha, beta, T, w, err));
        if (whole)
            break;
        for (size_t i = 0; i < r; i++)
            y[i] /= beta[k];
        TRY(ticker_tell(watch, done, err));
    }
    if (error > enough * theta && error > none * scale)
        return by_decomposition(sigma, m, n, A, work, err);
    *sigma = sqrt(theta > 0 ? theta : 0);
done:
    return st;
}
