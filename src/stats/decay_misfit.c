/* SPDX-License-Identifier: MIT */
/* Is a curve compatible with a law, given its errors? The errors of neighbouring delays are nearly the same,
 * so residuals of single delays are no evidence. Three smooth contrasts of the logs are used instead,
 *
 *   c_j = sum_d w_d a_jd ln y_d,      a_j: polynomials in ln d, orthogonal (weights w) to what the law can
 *                                     reach,
 *
 * which are 0 under the law, up to noise. Their covariance S comes from the jackknife over blocks, and
 * T^2 = c' S^-1 c with (g-q) / (q (g-1)) T^2 ~ F(q, g-q) for g blocks (Hotelling 1931). */
#include "stats/decay_internal.h"
#include "stats/stats_internal.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <math.h>

enum { CONTRASTS = 3, TANGENTS = 3, POWERS = 6, COLUMNS = TANGENTS + POWERS };

double decay_abscissa(sg_decay_law law, double d, double beta)
{
    return law == SG_DECAY_EXPONENTIAL ? d : law == SG_DECAY_POWER ? log(d) : pow(d, beta);
}

static double dot(const decay_series *s, const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < s->n; i++)
        sum += s->root_w[i] * s->root_w[i] * a[i] * b[i];
    return sum;
}

/* Makes column x orthogonal to the n before it and of norm 1; false if next to nothing is left. */
static bool orthogonalise(const decay_series *s, double *columns, size_t n, double *x)
{
    double norm = sqrt(dot(s, x, x));
    for (int again = 0; again < 2; again++)
        for (size_t k = 0; k < n; k++) {
            const double *q = columns + k * s->n;
            double along = dot(s, q, x);
            for (size_t i = 0; i < s->n; i++)
                x[i] -= along * q[i];
        }
    double left = sqrt(dot(s, x, x));
    if (!(left > 1e-6 * norm))
        return false;
    for (size_t i = 0; i < s->n; i++)
        x[i] /= left;
    return true;
}

/* columns: first what the law reaches (1, x(d), for the stretched exponential also d x / d beta), then the
 * contrasts. Returns where the contrasts start; NULL: there are fewer than CONTRASTS. */
static const double *contrasts(const decay_series *s, const sg_decay_fit *f, sg_decay_law law,
                               double *columns)
{
    size_t n = 0, tangents, powers = 0;
    size_t wanted = law == SG_DECAY_STRETCHED ? 3 : 2;
    for (size_t t = 0; t < wanted; t++) {
        double *x = columns + n * s->n;
        for (size_t i = 0; i < s->n; i++) {
            double at = decay_abscissa(law, s->d[i], f->shape);
            x[i] = t == 0 ? 1 : t == 1 ? at : at * log(s->d[i]);
        }
        n += orthogonalise(s, columns, n, x);
    }
    tangents = n;
    for (int power = 1; power <= POWERS && powers < CONTRASTS; power++) {
        double *x = columns + n * s->n;
        for (size_t i = 0; i < s->n; i++)
            x[i] = pow(log(s->d[i]) / log(s->d[s->n - 1]), power);
        bool new = orthogonalise(s, columns, n, x);
        n += new, powers += new;
    }
    return powers == CONTRASTS ? columns + tangents * s->n : NULL;
}

static void evaluate(double c[CONTRASTS], const decay_series *s, const double *a, const double *y)
{
    for (size_t j = 0; j < CONTRASTS; j++) {
        c[j] = 0;
        for (size_t i = 0; i < s->n; i++)
            c[j] += s->root_w[i] * s->root_w[i] * a[j * s->n + i] * log(y[(size_t)s->d[i]]);
    }
}

/* c: the contrasts, corrected for bias; S (CONTRASTS, CONTRASTS): their covariance. Returns the effective
 * number of blocks. work: (2 B, CONTRASTS). */
static double jackknife(double c[CONTRASTS], double *S, const decay_series *s, const double *a, size_t B,
                        const double *pairs, const double *without, size_t D, double *work)
{
    double N = 0, squares = 0, g = 0, sum, *one = work, *part = work + B * CONTRASTS;
    for (size_t b = 0; b < B; b++) {
        N += pairs[b], squares += pairs[b] * pairs[b], g += pairs[b] > 0;
        if (pairs[b] > 0)
            evaluate(one + b * CONTRASTS, s, a, without + b * D);
    }
    for (size_t j = 0; j < CONTRASTS; j++) {
        double whole = 0;
        for (size_t i = 0; i < s->n; i++)
            whole += s->root_w[i] * s->root_w[i] * a[j * s->n + i] * s->log_y[i];
        c[j] = whole + stats_jackknife(B, pairs, whole, one + j, CONTRASTS, &sum, part + j, CONTRASTS);
    }
    for (size_t b = 0; b < B; b++)
        for (size_t j = 0; j < CONTRASTS; j++)
            for (size_t k = 0; k < CONTRASTS; k++)
                S[j * CONTRASTS + k] += part[b * CONTRASTS + j] * part[b * CONTRASTS + k] / g;
    return N * N / squares;
}

sg_status decay_misfit(double *p, const decay_series *s, const sg_decay_fit *f, sg_decay_law law, size_t B,
                       const double *pairs, const double *without, size_t D, sg_error *err)
{
    double c[CONTRASTS], S[CONTRASTS * CONTRASTS] = {0}, scale[CONTRASTS];
    sg_status st = SG_OK;
    sg_error ignored;
    *p = NAN;
    double *columns = sg_calloc(COLUMNS, s->n * sizeof *columns),
           *work = sg_calloc(2 * B, CONTRASTS * sizeof *work);
    NEED(columns && work, err, "the lack of fit of a decay");
    const double *a = contrasts(s, f, law, columns);
    if (!a)
        goto done;
    double g = jackknife(c, S, s, a, B, pairs, without, D, work);
    if (!(g > CONTRASTS + 4))
        goto done;
    for (size_t j = 0; j < CONTRASTS; j++)
        if (!((scale[j] = sqrt(S[j * CONTRASTS + j])) > 0) || !isfinite(scale[j]) || !isfinite(c[j]))
            goto done;
    for (size_t j = 0; j < CONTRASTS; j++) {
        c[j] /= scale[j];
        for (size_t k = 0; k < CONTRASTS; k++)
            S[j * CONTRASTS + k] /= scale[j] * scale[k];
    }
    if (la_cholesky(CONTRASTS, S, &ignored) != SG_OK)
        goto done;
    la_solve_lower(CONTRASTS, 1, S, LA_N, c);
    double T2 = 0, q = CONTRASTS;
    for (size_t j = 0; j < CONTRASTS; j++)
        T2 += c[j] * c[j];
    double F = T2 * (g - q) / (q * (g - 1));
    *p = stats_beta((g - q) / (g - q + q * F), 0.5 * (g - q), 0.5 * q);
done:
    sg_free(columns);
    sg_free(work);
    return st;
}
