/* SPDX-License-Identifier: MIT */
/* spectrum.h - from a mean gradient to memory: covariance, singular values, directions (doc/method.md,
 * section 3).
 *
 *   X (V,E) embeddings     Sigma = cov(X) = L L^T     G (H,E) mean gradient     Ghat = G L = P diag(S) V^T
 *   n = L^-1 delta / |L^-1 delta|     property gain |Ghat n|, relative memory |Ghat n| / S_1     cosine of
 *                                     order k |V_k^T n|
 *   M (E,E) mean of G^T G     rms gains: roots of the eigenvalues of L^T M L     coherence |G|_F^2 / tr M
 *
 * Everything that depends on Ghat through its singular values and right vectors alone follows from the Gram
 * matrix G^T G, E x E: that is what leave-one-block-out replicates use. float64 throughout. */
#ifndef SG_SPECTRUM_H
#define SG_SPECTRUM_H

#include "stategrad/base.h"

/* Sample covariance (divisor: sum of weights - 1) of the rows of X; weights (V) as counts, NULL: 1 each. Rows
 * of weight 0 do not count. SG_EINVAL: total weight below 2; SG_ENONFINITE. Sigma (E,E). */
sg_status sp_covariance(double *Sigma, size_t V, size_t E, const float *X, const double *weights,
                        sg_error *err);

/* What had to be done to get a factor. */
typedef struct {
    /* added to the diagonal, as a share of tr(Sigma)/E: the caller's, or a tiny one of our own */
    double ridge;
    bool automatic; /* true: Sigma was singular and ours was added; the caller must warn */
    size_t rank;    /* eigenvalues above 1e-10 of the largest, before the ridge */
} sp_factoring;
/* L (E,E) lower triangular with Sigma + ridge tr(Sigma)/E I = L L^T. A numerically singular Sigma without a
 * ridge gets the smallest of 1e-8, 1e-7, ... that works. SG_EINVAL: Sigma is 0 (all embeddings equal). Sigma
 * is kept. */
sg_status sp_factor(double *L, sp_factoring *how, size_t E, const double *Sigma, double ridge, sg_error *err);

/* n = L^-1 delta / |L^-1 delta|; false, and n all NaN, if delta is 0 or not finite. */
bool sp_direction(double *n, size_t E, const double *L, const double *delta);

/* What one averaged gradient is looked at through. */
typedef struct {
    size_t H, E, R;  /* R = min(H, E) */
    size_t P;        /* properties */
    const double *L; /* (E,E); NaN where the inputs cannot be normalised: all but coherence will be NaN */
    const double *n; /* (P,E) unit vectors, NaN rows for missing properties */
} sp_frame;

/* The table of statistics of one (class, delay). Names are those of variables in the run file. */
typedef struct {
    const char *name;
    bool per_property, per_rank; /* P numbers, R numbers, or P x R; else one */
    bool of_moment;              /* averaged over the pairs of the second moment */
    double least, most;          /* where it can lie; most 0: R */
} sp_statistic;
extern const sp_statistic sp_statistics[]; /* ends with a NULL name */
enum { SP_MAX_STATISTICS = 16 };

/* All of them are one vector of sp_count numbers in the order of the table, so that replicates are plain
 * rows. */
size_t sp_count(const sp_frame *f);
size_t sp_length(const sp_frame *f, const sp_statistic *s);   /* its numbers */
size_t sp_position(const sp_frame *f, const sp_statistic *s); /* of the first of them */
/* Positions of those that are asked for by name. */
typedef struct {
    size_t S, sum, rank, coherence, gain, relative, cosine, property;
} sp_places;
sp_places sp_where(const sp_frame *f);

/* Doubles of workspace for the two calls below. */
size_t sp_work(const sp_frame *f);

/* G (H,E) mean gradient; M (E,E) second moment or NULL (coherence, gains: NaN). values (sp_count); P_out
 * (H,R) and Vt_out (R,E) the singular vectors. work: sp_work doubles. SG_ENONFINITE, SG_ENOCONV. */
sg_status sp_from_mean(double *values, double *P_out, double *Vt_out, const sp_frame *f, const double *G,
                       const double *M, double *work, sg_error *err);
/* The same numbers from the Gram matrix G^T G (E,E). */
sg_status sp_from_gram(double *values, const sp_frame *f, const double *gram, const double *M, double *work,
                       sg_error *err);

/* exp(-sum p ln p), p = S / sum S; NaN if the sum is 0. */
double sp_effective_rank(size_t n, const double *S);

#endif
