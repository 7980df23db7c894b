/* stats.h - numbers one can trust: errors from blocks of the corpus, nulls for class differences, laws of decay.
 *
 * Neighbouring steps share most of their gradient, so errors come from B contiguous blocks of the corpus (B >= 20).
 * Everything here is a pure function of its arguments. What cannot be known is NaN, and `missing` says why in one
 * phrase ("pairs in 3 blocks, too few for an interval"); NULL: nothing is missing. doc/statistics.md has the evidence. */
#ifndef STATEGRAD_STATS_H
#define STATEGRAD_STATS_H

#include "stategrad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- intervals ---- */
typedef struct {
    double value;       /* theta: from all blocks, as it stands */
    double bias;        /* its estimated bias; value - bias is the corrected estimate, the middle of the interval */
    double error;       /* standard error */
    double low, high;   /* 95 % */
    const char *missing;
} sg_interval;

enum { SG_STATS_MIN_BLOCKS = 20 };

/* Delete-one-block jackknife for blocks of unequal size (Busing, Meijer and van der Leeden 1999). With weights n_b (pairs of
 * block b), h_b = N/n_b over the g blocks that are not empty:
 *
 *   corrected = g theta - sum_b (1 - 1/h_b) theta_(-b)          pseudo_b = h_b theta - (h_b - 1) theta_(-b)
 *   error^2   = 1/g sum_b (pseudo_b - corrected)^2 / (h_b - 1)
 *   interval  = corrected +- t_{.975, n_eff - 1} sqrt(error^2 + bias^2 / 4)
 *
 * (the bias is itself an estimate: without its quarter the interval of a singular value near its noise covers 89 %.) n_eff = N^2 / sum n_b^2, the effective number of blocks. without[b*stride]: theta computed from all blocks but b (not
 * read where pairs[b] is 0). Missing: B < 20; n_eff < 8; a theta that is not finite. Then value stays, the rest is NaN. */
void sg_stats_jackknife(sg_interval *out, size_t B, const double *pairs, double value, const double *without,
                        size_t stride);
/* The interval moved into [least, most]: for quantities that cannot lie outside (singular values, cosines). */
void sg_stats_clamp(sg_interval *x, double least, double most);
/* x with P(T <= x) = p for Student's t with nu > 0 degrees of freedom (not only whole ones); 0 < p < 1. */
double sg_stats_t_quantile(double p, double nu);
/* P(|T| >= |t|), two-sided. */
double sg_stats_t_p(double t, double nu);

/* ---- many tests at once ---- */
/* Benjamini and Hochberg 1995: adjusted[i] = min over j with p_j >= p_i of n p_j / rank_j, at most 1. NaN in p: not a
 * test, NaN stays and is not counted in n. p and adjusted may be the same. */
sg_status sg_stats_adjust(size_t n, const double *p, double *adjusted, sg_error *err);

/* ---- random directions ---- */
/* |V_k^T n| for a uniformly random unit vector n in R^E, k orthonormal columns: mean and 2.5 % and 97.5 % quantiles,
 * exact (its square is Beta(k/2, (E-k)/2)). Needs 1 <= k <= E. */
void sg_stats_random_cosine(size_t k, size_t E, double *mean, double *low, double *high);
/* |A n| / sigma_1(A) likewise, A with singular values S[0..r), r <= E: by 2000 seeded draws. NaN if S[0] is not above 0. */
sg_status sg_stats_random_gain(size_t r, const double *S, size_t E, uint64_t seed, double *mean, double *low,
                               double *high, sg_error *err);

/* ---- decay ---- */
typedef enum { SG_DECAY_EXPONENTIAL, SG_DECAY_POWER, SG_DECAY_STRETCHED, SG_DECAY_LAWS } sg_decay_law;

/* y = scale exp(-d/tau) | scale d^-alpha | scale exp(-(d/tau)^beta)      d >= 1 */
typedef struct {
    double scale, scale_error;
    double rate, rate_error;   /* tau, in delays (exponential, stretched); alpha (power) */
    double shape, shape_error; /* beta (stretched), NaN for the others */
    double residual;           /* weighted root mean square of ln y - ln fit */
    double aic, weight;        /* Akaike's criterion, small-sample corrected; exp(-aic/2) normalised to sum 1 */
} sg_decay_fit;

typedef struct {
    sg_decay_fit fit[SG_DECAY_LAWS];
    sg_decay_law best;            /* of largest weight */
    size_t points;                /* delays used: d >= 1, y > 0 and finite, error finite */
    double half_life;             /* in delays: where y first falls below y[0]/2, interpolated on logs */
    double half_life_error;
    const char *missing;          /* no fit, or NULL */
    const char *half_life_missing;
} sg_decay;

/* Weighted least squares on ln y, weights (y/error)^2, delays 1 .. D-1; beta by a search in [0.02, 4]. error NULL, or
 * nowhere above 0: equal weights. The scale of the errors is estimated from the residuals, since delays share blocks: aic =
 * n ln(sum w r^2 / sum w) + 2K + 2K(K+1)/(n-K-1) with K = parameters + 1. Parameter errors: jackknife over blocks when
 * `without` (B, D) row-major, the series from all blocks but b, and pairs (B) are given (the honest ones), otherwise from
 * the fit's covariance. Missing: fewer than 6 usable points; a constant series; one that grows. SG_EINVAL: D is 0. */
sg_status sg_stats_decay(sg_decay *out, size_t D, const double *y, const double *error, size_t B, const double *pairs,
                         const double *without, sg_error *err);
/* "exponential", "power law", "stretched exponential" */
const char *sg_decay_law_name(sg_decay_law law);
/* One plain sentence, as snprintf: "sigma_1 falls as d^-1.3 (power law 0.97, exponential 0.00, stretched exponential 0.03);
 * half of delay 0 is gone by delay 2". */
int sg_decay_sentence(char *text, size_t size, const char *quantity, const sg_decay *d);

#ifdef __cplusplus
}
#endif
#endif
