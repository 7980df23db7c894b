/* SPDX-License-Identifier: MIT */
/* Singular values, directions and what is read off them, from a mean gradient or from its Gram matrix. */
#include "spectrum/spectrum.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <math.h>
#include <string.h>

const sp_statistic sp_statistics[] = {
    {"singular_value", false, true, false, 0, INFINITY},
    {"singular_sum", false, false, false, 0, INFINITY},
    {"effective_rank", false, false, false, 1, 0},
    {"coherence", false, false, false, 0, 1},
    {"rms_gain", false, true, true, 0, INFINITY},
    {"relative_memory", true, false, false, 0, 1},
    {"subspace_cosine", true, true, false, 0, 1},
    {"property_gain", true, false, false, 0, INFINITY},
    {NULL, false, false, false, 0, 0},
};
_Static_assert(sizeof sp_statistics / sizeof *sp_statistics <= SP_MAX_STATISTICS, "room for each in arrays");

static const sp_statistic *find(const char *name)
{
    const sp_statistic *s = sp_statistics;
    while (s->name && strcmp(s->name, name))
        s++;
    return s->name ? s : NULL;
}

size_t sp_length(const sp_frame *f, const sp_statistic *s)
{
    return (s->per_property ? f->P : 1) * (s->per_rank ? f->R : 1);
}

size_t sp_position(const sp_frame *f, const sp_statistic *s)
{
    size_t at = 0;
    for (const sp_statistic *t = sp_statistics; t->name && t != s; t++)
        at += sp_length(f, t);
    return at;
}

size_t sp_count(const sp_frame *f)
{
    return sp_position(f, NULL);
}

static size_t at(const sp_frame *f, const char *name)
{
    return sp_position(f, find(name));
}

sp_places sp_where(const sp_frame *f)
{
    return (sp_places){at(f, "singular_value"),  at(f, "singular_sum"), at(f, "effective_rank"),
                       at(f, "coherence"),       at(f, "rms_gain"),     at(f, "relative_memory"),
                       at(f, "subspace_cosine"), at(f, "property_gain")};
}

size_t sp_work(const sp_frame *f)
{
    size_t E = f->E, small = 3 * E * E + (4 + f->P) * E, svd = f->H * E + f->R + f->P * E;
    return small > svd ? small : svd;
}

double sp_effective_rank(size_t n, const double *S)
{
    double sum = 0, entropy = 0;
    for (size_t i = 0; i < n; i++)
        sum += S[i];
    if (!(sum > 0))
        return NAN;
    for (size_t i = 0; i < n; i++)
        if (S[i] > 0)
            entropy -= S[i] / sum * log(S[i] / sum);
    return exp(entropy);
}

static void fill(double *x, size_t n, double value)
{
    for (size_t i = 0; i < n; i++)
        x[i] = value;
}

static double dot(size_t n, const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void reverse(size_t n, double *x)
{
    for (size_t i = 0; i < n / 2; i++) {
        double other = x[i];
        x[i] = x[n - 1 - i], x[n - 1 - i] = other;
    }
}

/* All that follows from S and the components of the properties' directions along the right vectors: that of
 * property p and vector k is at p E + k. */
static void read_off(double *values, const sp_frame *f, const double *S, const double *along)
{
    sp_places at = sp_where(f);
    size_t R = f->R;
    double sum = 0;
    for (size_t k = 0; k < R; k++) {
        values[at.S + k] = S[k];
        sum += S[k];
    }
    values[at.sum] = sum;
    values[at.rank] = sp_effective_rank(R, S);
    for (size_t p = 0; p < f->P; p++) {
        double cosine = 0, gain = 0; /* both squared; |Ghat n|^2 = sum_k S_k^2 (v_k . n)^2 */
        for (size_t k = 0; k < R; k++) {
            const double c = along[p * f->E + k];
            cosine += c * c;
            gain += S[k] * S[k] * c * c;
            values[at.cosine + p * R + k] = cosine > 1 ? 1 : sqrt(cosine);
        }
        double relative = sqrt(gain) / S[0];
        values[at.property + p] = sqrt(gain);
        values[at.relative + p] = S[0] > 0 ? (relative > 1 ? 1 : relative) : (double)NAN;
    }
}

/* A = L^T B L for symmetric B; T is workspace (E,E). */
static void sandwich(size_t E, const double *L, const double *B, double *T, double *A)
{
    la_dgemm(LA_N, LA_N, E, E, E, 1, B, E, L, E, 0, T, E);
    la_dgemm(LA_T, LA_N, E, E, E, 1, L, E, T, E, 0, A, E);
}

static sg_status check_finite(size_t n, const double *x, const char *what, sg_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return sg_fail(
                err, SG_ENONFINITE,
                "the %s is not finite: gradients of 1e18 and more, or their squares, exceed float32; "
                "divide the state by a constant",
                what);
    return SG_OK;
}

/* Coherence and root-mean-square gains. frobenius = |G|_F^2. work: 2 E^2 + E. */
static sg_status second_moment(double *values, const sp_frame *f, double frobenius, const double *M,
                               double *work, sg_error *err)
{
    sp_places at = sp_where(f);
    size_t E = f->E;
    double *A = work, *T = A + E * E, *w = T + E * E, trace = 0;
    fill(values + at.gain, f->R, NAN);
    values[at.coherence] = NAN;
    if (!M)
        return SG_OK;
    for (size_t i = 0; i < E; i++)
        trace += M[i * E + i];
    if (trace > 0)
        values[at.coherence] = frobenius / trace;
    if (isnan(f->L[0]))
        return SG_OK;
    sandwich(E, f->L, M, T, A);
    sg_status st = check_finite(E * E, A, "sum of squared gradients", err);
    if (st == SG_OK)
        st = la_eigh(E, A, w, false, err);
    for (size_t k = 0; st == SG_OK && k < f->R; k++)
        values[at.gain + k] = w[E - 1 - k] > 0 ? sqrt(w[E - 1 - k]) : 0;
    return st;
}

sg_status sp_from_mean(double *values, double *P_out, double *Vt_out, const sp_frame *f, const double *G,
                       const double *M, double *work, sg_error *err)
{
    sg_status st = SG_OK;
    size_t H = f->H, E = f->E;
    double *Ghat = work, *S = work + H * E, *along = S + f->R;
    TRY(check_finite(H * E, G, "mean gradient", err));
    if (isnan(f->L[0])) {
        fill(values, sp_count(f), NAN);
        fill(P_out, H * f->R, NAN);
        fill(Vt_out, f->R * E, NAN);
        TRY(second_moment(values, f, dot(H * E, G, G), M, work, err));
        goto done;
    }
    la_dgemm(LA_N, LA_N, H, E, E, 1, G, E, f->L, E, 0, Ghat, E);
    TRY(la_svd(H, E, Ghat, S, P_out, Vt_out, err));
    for (size_t p = 0; p < f->P; p++)
        for (size_t k = 0; k < f->R; k++)
            along[p * E + k] = dot(E, Vt_out + k * E, f->n + p * E);
    read_off(values, f, S, along);
    TRY(second_moment(values, f, dot(H * E, G, G), M, work, err));
done:
    return st;
}

sg_status sp_from_gram(double *values, const sp_frame *f, const double *gram, const double *M, double *work,
                       sg_error *err)
{
    sg_status st = SG_OK;
    size_t E = f->E;
    double *A = work, *T = A + E * E, *w = T + E * E, *S = w + E, *along = S + E, *room = along + f->P * E,
           frobenius = 0;
    for (size_t i = 0; i < E; i++)
        frobenius += gram[i * E + i];
    if (isnan(f->L[0])) {
        fill(values, sp_count(f), NAN);
        TRY(second_moment(values, f, frobenius, M, work, err));
        goto done;
    }
    sandwich(E, f->L, gram, T, A);
    TRY(check_finite(E * E, A, "square of the mean gradient", err));
    if (f->P) {
        memcpy(along, f->n, f->P * E * sizeof *along);
        TRY(la_eigh_along(E, A, w, f->P, along, room, err));
    } else
        TRY(la_eigh(E, A, w, false, err));
    for (size_t k = 0; k < f->R; k++)
        S[k] = w[E - 1 - k] > 0 ? sqrt(w[E - 1 - k]) : 0;
    for (size_t p = 0; p < f->P; p++) /* eigenvalues ascend, singular values descend */
        reverse(E, along + p * E);
    read_off(values, f, S, along);
    TRY(second_moment(values, f, frobenius, M, work, err));
done:
    return st;
}
