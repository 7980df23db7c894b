/* SPDX-License-Identifier: MIT */
/* In place of modules whose libraries are not here for AArch64 (tools/aarch64): what gradients and cells need
 * of src/linalg, written out, and what the tests do not reach. */
#include "corpus/corpus_internal.h"
#include "linalg/linalg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PRODUCT(name, real)                                                                                  \
    void name(la_trans ta, la_trans tb, size_t m, size_t n, size_t k, real alpha, const real *A, size_t lda, \
              const real *B, size_t ldb, real beta, real *C, size_t ldc)                                     \
    {                                                                                                        \
        for (size_t i = 0; i < m; i++)                                                                       \
            for (size_t j = 0; j < n; j++) {                                                                 \
                real sum = 0;                                                                                \
                for (size_t p = 0; p < k; p++)                                                               \
                    sum += (ta == LA_T ? A[p * lda + i] : A[i * lda + p]) *                                  \
                           (tb == LA_T ? B[j * ldb + p] : B[p * ldb + j]);                                   \
                C[i * ldc + j] = alpha * sum + (beta != 0 ? beta * C[i * ldc + j] : 0);                      \
            }                                                                                                \
    }
PRODUCT(la_sgemm, float)
PRODUCT(la_dgemm, double)

void la_serial_begin(void)
{
}

void la_serial_end(void)
{
}

sg_status la_room(int threads, sg_error *err)
{
    (void)threads, (void)err;
    return SG_OK;
}

/* One rotation of Jacobi's method: A[p][q] becomes 0, V (rows: eigenvectors) follows; false if it is 0 to
 * rounding. */
static bool rotate(size_t n, double *A, double *V, size_t p, size_t q)
{
    double apq = A[p * n + q], app = A[p * n + p], aqq = A[q * n + q];
    if (fabs(apq) <= 1e-18 * (fabs(app) + fabs(aqq)))
        return false;
    double theta = (aqq - app) / (2 * apq);
    double t = copysign(1, theta) / (fabs(theta) + hypot(theta, 1)), c = 1 / hypot(t, 1), s = t * c;
    for (size_t k = 0; k < n; k++) {
        double x = A[k * n + p], y = A[k * n + q];
        A[k * n + p] = c * x - s * y, A[k * n + q] = s * x + c * y;
    }
    for (size_t k = 0; k < n; k++) {
        double x = A[p * n + k], y = A[q * n + k];
        A[p * n + k] = c * x - s * y, A[q * n + k] = s * x + c * y;
        x = V[p * n + k], y = V[q * n + k];
        V[p * n + k] = c * x - s * y, V[q * n + k] = s * x + c * y;
    }
    return true;
}

sg_status la_eigh(size_t n, double *A, double *w, bool vectors, sg_error *err)
{
    double *V = sg_calloc(n * n, sizeof *V);
    if (!V)
        return no_memory(err, "eigenvectors");
    for (size_t i = 0; i < n; i++)
        V[i * n + i] = 1;
    bool turned = true;
    for (int sweep = 0; turned && sweep < 15; sweep++) {
        turned = false;
        for (size_t p = 0; p < n; p++)
            for (size_t q = p + 1; q < n; q++)
                turned |= rotate(n, A, V, p, q);
    }
    for (size_t i = 0; i < n; i++)
        w[i] = A[i * n + i];
    for (size_t i = 0; i < n; i++) { /* ascending */
        size_t least = i;
        for (size_t j = i + 1; j < n; j++)
            least = w[j] < w[least] ? j : least;
        double x = w[i];
        w[i] = w[least], w[least] = x;
        for (size_t k = 0; k < n; k++)
            x = V[i * n + k], V[i * n + k] = V[least * n + k], V[least * n + k] = x;
    }
    if (vectors)
        memcpy(A, V, n * n * sizeof *A);
    sg_free(V);
    return SG_OK;
}

/* What only models with words call. */
void never_reached(void);
void never_reached(void)
{
    abort();
}

void sg_printable(char *text)
{
    (void)text;
}

void sg_vocab_free(sg_vocab *v)
{
    if (v)
        abort();
}
