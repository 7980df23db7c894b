/* SPDX-License-Identifier: MIT */
/* Eigenvalues of a symmetric matrix, and the components of a few vectors along its eigenvectors, without
 * these (as Golub and Welsch do for quadrature).
 *
 *   A = Q T Q^T     T tridiagonal: d on the diagonal, e below it; Q product of reflections (LAPACK's dsytrd)
 *   T = Z W Z^T     implicit QL steps (Golub and Van Loan, Matrix Computations, section 8.3)
 *   Y Q Z           each reflection and rotation is applied to the rows of Y alone
 *
 * A rotation costs 6 operations a row, n rows of eigenvectors would cost 6 n. */
#include "linalg/linalg.h"

#include <float.h>
#include <lapacke.h>
#include <limits.h>
#include <math.h>

enum { MOST_STEPS = 50 }; /* for one eigenvalue; two are usual */

/* Y <- Y Q: column i of A below the diagonal is reflection i, its first entry 1. */
static void reflect(size_t n, const double *A, const double *tau, size_t p, double *Y)
{
    for (size_t k = 0; k < p; k++) {
        double *y = Y + k * n;
        for (size_t i = 0; i + 1 < n; i++) {
            const double *v = A + i * n;
            double c = y[i + 1];
            for (size_t j = i + 2; j < n; j++)
                c += v[j] * y[j];
            c *= tau[i];
            y[i + 1] -= c;
            for (size_t j = i + 2; j < n; j++)
                y[j] -= c * v[j];
        }
    }
}

static void rotate(size_t n, size_t p, double *Y, size_t i, double c, double s)
{
    for (size_t k = 0; k < p; k++) {
        double *y = Y + k * n + i, right = y[1];
        y[1] = s * y[0] + c * right;
        y[0] = c * y[0] - s * right;
    }
}

/* The first m >= l whose off-diagonal entry is nothing relative to the largest entries, which are near 1:
 * each step rounds by that much, so that smaller ones, of a matrix of low rank, would never be reached. */
static size_t end_of_block(size_t n, size_t l, const double *e)
{
    size_t m = l;
    while (m + 1 < n && fabs(e[m]) > DBL_EPSILON)
        m++;
    return m;
}

/* One QL step on rows l .. m, with Wilkinson's shift. */
static void step(size_t n, size_t l, size_t m, double *d, double *e, size_t p, double *Y)
{
    double g = (d[l + 1] - d[l]) / (2 * e[l]), shift = 0, s = 1, c = 1;
    g = d[m] - d[l] + e[l] / (g + copysign(hypot(g, 1), g));
    for (size_t i = m; i-- > l;) {
        const double f = s * e[i], b = c * e[i], r = sqrt(f * f + g * g);
        e[i + 1] = r;
        if (r == 0) { /* the matrix falls apart here */
            d[i + 1] -= shift;
            e[m] = 0;
            return;
        }
        s = f / r, c = g / r;
        g = d[i + 1] - shift;
        const double x = (d[i] - g) * s + 2 * c * b;
        shift = s * x;
        d[i + 1] = g + shift;
        g = c * x - b;
        rotate(n, p, Y, i, c, s);
    }
    d[l] -= shift;
    e[l] = g;
    e[m] = 0;
}

/* Ascending, the columns of Y with them. */
static void sort(size_t n, double *w, size_t p, double *Y)
{
    for (size_t i = 0; i + 1 < n; i++) {
        size_t least = i;
        for (size_t j = i + 1; j < n; j++)
            least = w[j] < w[least] ? j : least;
        const double swap = w[i];
        w[i] = w[least], w[least] = swap;
        for (size_t k = 0; k < p && least != i; k++) {
            double *y = Y + k * n, other = y[i];
            y[i] = y[least], y[least] = other;
        }
    }
}

/* The power of 2 that makes the largest entry 1/2 to 1: no square of one is infinite. */
static double scale_of(size_t n, const double *d, const double *e)
{
    double largest = 0;
    int power;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fmax(fabs(d[i]), i + 1 < n ? fabs(e[i]) : 0));
    frexp(largest, &power);
    return largest > 0 ? ldexp(1, power) : 1;
}

sg_status la_eigh_along(size_t n, double *A, double *w, size_t p, double *Y, double *work, sg_error *err)
{
    if (!n)
        return SG_OK;
    if (n > INT_MAX / n)
        return sg_fail(err, SG_EINVAL, "eigenvalues: a matrix of %zu x %zu does not fit a BLAS int", n, n);
    double *e = work, *tau = work + n;
    la_decomposed(n, n);
    la_serial_begin();
    lapack_int info = LAPACKE_dsytrd(LAPACK_COL_MAJOR, 'L', (int)n, A, (int)n, w, e, tau);
    la_serial_end();
    if (info == LAPACK_WORK_MEMORY_ERROR)
        return no_memory(err, "eigenvalues");
    if (info < 0)
        return sg_fail(err, SG_ENONFINITE, "eigenvalues: argument %d is not finite or not legal", -(int)info);
    reflect(n, A, tau, p, Y);
    const double scale = scale_of(n, w, e);
    for (size_t i = 0; i < n; i++)
        w[i] /= scale, e[i] = i + 1 < n ? e[i] / scale : 0;
    for (size_t l = 0; l < n; l++) {
        size_t m, steps = 0;
        while ((m = end_of_block(n, l, e)) > l) {
            if (steps++ == MOST_STEPS)
                return sg_fail(err, SG_ENOCONV, "eigenvalues: did not converge (%zu of %zu)", l, n);
            step(n, l, m, w, e, p, Y);
        }
    }
    for (size_t i = 0; i < n; i++)
        w[i] *= scale;
    sort(n, w, p, Y);
    return SG_OK;
}
