/* SPDX-License-Identifier: MIT */
/* The covariance of the embeddings and its Cholesky factor: what whitens the input space. */
#include "spectrum/spectrum.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <math.h>
#include <string.h>

sg_status sp_covariance(double *Sigma, size_t V, size_t E, const float *X, const double *weights,
                        sg_error *err)
{
    sg_status st = SG_OK;
    enum { ROWS = 64 };
    double total = 0, *mean = sg_calloc(E, sizeof *mean), *block = sg_calloc(ROWS * E, sizeof *block);
    NEED(mean && block, err, "%zu columns", E);
    for (size_t i = 0; i < V; i++) {
        double w = weights ? weights[i] : 1;
        total += w;
        for (size_t j = 0; j < E; j++)
            mean[j] += w * (double)X[i * E + j];
    }
    if (!(total >= 2))
        TRY(sg_fail(err, SG_EINVAL, "covariance: %g rows, at least 2 are needed", total));
    for (size_t j = 0; j < E; j++) {
        mean[j] /= total;
        if (!isfinite(mean[j]))
            TRY(sg_fail(err, SG_ENONFINITE, "covariance: column %zu of the embeddings is not finite", j));
    }
    TRY(la_room(1, err));
    memset(Sigma, 0, E * E * sizeof *Sigma);
    for (size_t i = 0; i < V; i += ROWS) { /* sum of w (x - mean)(x - mean)^T, a block of rows at a time */
        size_t n = V - i < ROWS ? V - i : ROWS;
        for (size_t k = 0; k < n; k++) {
            double root = sqrt(weights ? weights[i + k] : 1);
            for (size_t j = 0; j < E; j++)
                block[k * E + j] = root * ((double)X[(i + k) * E + j] - mean[j]);
        }
        la_dgemm(LA_T, LA_N, E, E, n, 1 / (total - 1), block, E, block, E, 1, Sigma, E);
    }
done:
    sg_free(mean);
    sg_free(block);
    return st;
}

static double trace(size_t n, const double *A)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += A[i * n + i];
    return sum;
}

static void add_ridge(double *L, size_t E, const double *Sigma, double amount)
{
    memcpy(L, Sigma, E * E * sizeof *L);
    for (size_t i = 0; i < E; i++)
        L[i * E + i] += amount;
}

sg_status sp_factor(double *L, sp_factoring *how, size_t E, const double *Sigma, double ridge, sg_error *err)
{
    sg_status st = SG_OK;
    double unit = trace(E, Sigma) / (double)E, *A = NULL, *w = NULL;
    *how = (sp_factoring){.ridge = ridge};
    if (!isfinite(unit))
        return sg_fail(err, SG_ENONFINITE, "the covariance of the embeddings is not finite");
    if (!(unit > 0))
        return sg_fail(err, SG_EINVAL,
                       "the embeddings are all equal and cannot be normalised (setting 'normalize' none)");
    NEED((A = sg_calloc(E * E, sizeof *A)) && (w = sg_calloc(E, sizeof *w)), err, "%zu x %zu", E, E);
    memcpy(A, Sigma, E * E * sizeof *A);
    TRY(la_eigh(E, A, w, false, err));
    for (size_t i = 0; i < E; i++)
        how->rank += w[i] > 1e-10 * w[E - 1];
    if (ridge == 0 && how->rank < E) {
        how->automatic = true;
        how->ridge = 1e-8;
    }
    for (;; how->ridge *= 10) {
        add_ridge(L, E, Sigma, how->ridge * unit);
        st = la_cholesky(E, L, err);
        if (st != SG_ENOCONV || how->ridge > 1 || ridge > 0)
            break;
        if (!how->automatic) {
            how->automatic = true;
            how->ridge = 1e-9;
        }
    }
done:
    sg_free(A);
    sg_free(w);
    return st;
}

bool sp_direction(double *n, size_t E, const double *L, const double *delta)
{
    double square = 0;
    memcpy(n, delta, E * sizeof *n);
    la_solve_lower(E, 1, L, LA_N, n);
    for (size_t j = 0; j < E; j++)
        square += n[j] * n[j];
    bool usable = square > 0 && isfinite(square);
    for (size_t j = 0; j < E; j++)
        n[j] = usable ? n[j] / sqrt(square) : (double)NAN;
    return usable;
}
