/* SPDX-License-Identifier: MIT */
#include "behaviour/lyapunov.h"

#include "base/base_internal.h"
#include "cell/cell.h"

#include <math.h>
#include <string.h>

struct lyapunov {
    tangents *t;
    size_t S, K;
    float *all;  /* (S, K) as carried */
    double *Q;   /* (K, S): columns as rows */
    double *sum; /* (K) */
    uint64_t steps;
};

/* Modified Gram-Schmidt, twice for columns that are nearly dependent; ln R_kk is added to sum. A column of
 * which nothing is left (the map is singular) starts anew along the axis least used, and counts as
 * e^-LOST. */
static const double LOST = 80;

static void orthonormalise(lyapunov *y)
{
    for (size_t k = 0; k < y->K; k++) {
        double *q = y->Q + k * y->S, r = 1;
        for (int again = 0; again < 2; again++) {
            for (size_t j = 0; j < k; j++) {
                const double *p = y->Q + j * y->S;
                double along = 0;
                for (size_t i = 0; i < y->S; i++)
                    along += p[i] * q[i];
                for (size_t i = 0; i < y->S; i++)
                    q[i] -= along * p[i];
            }
            double square = 0;
            for (size_t i = 0; i < y->S; i++)
                square += q[i] * q[i];
            double norm = sqrt(square);
            r *= norm;
            if (norm > 0)
                for (size_t i = 0; i < y->S; i++)
                    q[i] /= norm;
            else {
                r = exp(-LOST);
                q[k] = 1; /* K <= S */
            }
        }
        y->sum[k] += log(r);
    }
}

sg_status lyapunov_new(lyapunov **out, const sg_model *m, size_t K, uint64_t seed, sg_error *err)
{
    sg_status st = SG_OK;
    lyapunov *y = NULL;
    sg_rng rng;
    *out = NULL;
    const sg_model_shape *shape = sg_model_get_shape(m);
    size_t S = 0, P = cell_states(cell_of(shape->cell));
    for (size_t l = 0; l < shape->layers; l++)
        S += P * shape->hidden[l];
    if (!K || K > S)
        TRY(sg_fail(err, SG_EINVAL,
                    "Lyapunov exponents: %zu asked for, expected 1 to %zu, the size of the state", K, S));
    NEED(y = sg_calloc(1, sizeof *y), err, "Lyapunov exponents");
    y->S = S, y->K = K;
    TRY(tangents_new(&y->t, m, K, err));
    NEED((y->all = sg_calloc(S, K * sizeof *y->all)) && (y->Q = sg_calloc(K, S * sizeof *y->Q)) &&
             (y->sum = sg_calloc(K, sizeof *y->sum)),
         err, "%zu Lyapunov exponents of a state of %zu", K, S);
    sg_rng_seed(&rng, seed, 7);
    for (size_t i = 0; i < K * S; i++)
        y->Q[i] = sg_rng_normal(&rng);
    orthonormalise(y);
    memset(y->sum, 0, K * sizeof *y->sum);
    *out = y, y = NULL;
done:
    lyapunov_free(y);
    return st;
}

void lyapunov_free(lyapunov *y)
{
    if (!y)
        return;
    tangents_free(y->t);
    sg_free(y->all), sg_free(y->Q), sg_free(y->sum);
    sg_free(y);
}

sg_status lyapunov_step(lyapunov *y, const sg_forward *f, size_t i, sg_error *err)
{
    for (size_t k = 0; k < y->K; k++)
        for (size_t s = 0; s < y->S; s++)
            y->all[s * y->K + k] = (float)y->Q[k * y->S + s];
    tangents_write(y->t, y->all);
    tangents_step(y->t, f, i, NULL);
    tangents_read(y->t, y->all);
    for (size_t k = 0; k < y->K; k++)
        for (size_t s = 0; s < y->S; s++)
            y->Q[k * y->S + s] = (double)y->all[s * y->K + k];
    orthonormalise(y);
    y->steps++;
    return isfinite(y->sum[0]) ? SG_OK
                               : sg_fail(err, SG_ENONFINITE, "Lyapunov exponents: a tangent is not finite");
}

uint64_t lyapunov_take(lyapunov *y, double *log_growth)
{
    uint64_t steps = y->steps;
    for (size_t k = 0; k < y->K; k++)
        log_growth[k] += y->sum[k], y->sum[k] = 0;
    y->steps = 0;
    return steps;
}
