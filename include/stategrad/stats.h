/* SPDX-License-Identifier: MIT */
/* stats.h - errors from blocks of the corpus, tests of class differences, decay laws.
 *
 * Neighbouring steps share most of their gradient, so errors come from B contiguous blocks of the corpus. All
 * functions are pure. A value that cannot be determined is NaN, and `missing` states the reason ("pairs in 3
 * blocks, too few for an interval"); NULL: nothing is missing. Coverage: doc/statistics.md. */
#ifndef STATEGRAD_STATS_H
#define STATEGRAD_STATS_H

#include "stategrad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- intervals ---- */
typedef struct {
    double value; /* theta, from all blocks, not corrected */
    /* estimated bias; value - bias is the corrected estimate, the centre of the interval */
    double bias;
    double error;     /* standard error */
    double low, high; /* 95 % */
    const char *missing;
} sg_interval;

enum { SG_STATS_MIN_BLOCKS = 5 };

/* Delete-one-block jackknife for blocks of unequal size (Busing, Meijer and van der Leeden 1999). With
 * weights n_b (pairs of block b), h_b = N/n_b over the g blocks that are not empty:
 *
 *   corrected = g theta - sum_b (1 - 1/h_b) theta_(-b)          pseudo_b = h_b theta - (h_b - 1) theta_(-b)
 *   error^2   = 1/g sum_b (pseudo_b - corrected)^2 / (h_b - 1)
 *   interval  = corrected +- t_{.975, n_eff - 1} sqrt(error^2 + bias^2 / 10)
 *
 * (the bias is itself an estimate: without that term the interval of a singular value near its noise covers
 * 89 %.) n_eff = N^2 / sum n_b^2, the effective number of blocks. without[b*stride]: theta computed from all
 * blocks but b (not read where pairs[b] is 0). Missing: B < 5; n_eff < 3, or < 8 of 20 or more blocks; a
 * theta that is not finite. Then value is kept and the rest is NaN. */
SG_API void sg_stats_jackknife(sg_interval *out, size_t B, const double *pairs, double value,
                               const double *without, size_t stride);
/* The same, with the variance compared between blocks and their parts, `parts` of them (consecutive, some may
 * be empty; no more than B: nothing is compared). With r the ratio of their effective numbers, r >= 1.5: the
 * variance of blocks of length L lacks the dependence across their ends, V(L) = V - k / L, so where V grows
 * with L it is replaced by V_B + (V_B - V_parts) / (r - 1); where it grows by more than sqrt(r), no such law
 * holds and the interval is missing. */
SG_API void sg_stats_jackknife_parts(sg_interval *out, size_t B, const double *pairs, double value,
                                     const double *without, size_t stride, size_t parts,
                                     const double *part_pairs, const double *part_without,
                                     size_t part_stride);
/* Restricts the interval to [least, most], the domain of the quantity (singular values, cosines). Where the
 * correction of the bias moves the whole interval outside, it is missing. */
SG_API void sg_stats_clamp(sg_interval *x, double least, double most);
/* x with P(T <= x) = p for Student's t with nu > 0 degrees of freedom (not only whole ones); 0 < p < 1. */
SG_API double sg_stats_t_quantile(double p, double nu);
/* P(|T| >= |t|), two-sided. */
SG_API double sg_stats_t_p(double t, double nu);

/* ---- two estimates ---- */
/* An estimate and its values without each of B blocks, then without each of their parts (parts 0, or more
 * than B). */
typedef struct {
    double value;
    size_t blocks, parts;
    const double *pairs, *without; /* (blocks + parts) weights of what is left out; the estimate without it */
} sg_replicates;
typedef struct {
    sg_interval x; /* of a - b */
    double freedom;
    double p; /* two-sided, of a - b = 0; below 0.05 where the interval excludes 0. NaN without an interval */
} sg_contrast;
/* a - b, both of the same blocks (paired), or of independent texts. With w_b = n_b / N, what block b adds to
 * each side:
 *
 *   u_b = sqrt(g / (g - 1)) (v_b - mean v),   v_b = (1 - w_b) (theta - theta_(-b)): w_b (theta_b - theta) of
 *                                             a mean
 *   error^2 = sum_b (u_b^A - u_b^B)^2             paired: the covariance counts; freedom: the smaller n_eff -
 *                                                 1
 *   error^2 = sum_b (u_b^A)^2 + sum_b (u_b^B)^2   not paired; freedom by Welch and Satterthwaite
 *
 * (For blocks of equal size, error^2 is that of sg_stats_jackknife. For unequal blocks its weights do not
 * suit a difference: a block's effect must enter each side with the weight that the block has there.) Bias,
 * ends, and intervals widened or withheld because of the parts: as in sg_stats_jackknife_parts. For ratios,
 * give logarithms. paired needs the same number of blocks and parts on both sides. */
SG_API void sg_stats_contrast(sg_contrast *out, const sg_replicates *a, const sg_replicates *b, bool paired);
/* The same contrast with another, independent source of error (words in addition to blocks): errors and
 * biases add. */
SG_API void sg_stats_contrast_add(sg_contrast *c, const sg_contrast *other);

/* ---- several models ---- */
/* One quantity of n trained models. Two sources of variation are kept separate: training (the scatter of the
 * models) and the text (the intervals over its blocks). */
typedef struct {
    double mean;      /* over the models; NaN where one of them has no value */
    double low, high; /* 95 % interval over models: mean +- t_{.975, n-1} s / sqrt(n); NaN for one model */
    /* Means of the models' interval ends. All models read the same text, so their errors do not average out.
     * NaN where one of them has none. */
    double blocks_low, blocks_high;
} sg_over_models;
/* value[i], low[i], high[i] of model i; n >= 1. */
SG_API void sg_stats_over_models(sg_over_models *out, size_t n, const double *value, const double *low,
                                 const double *high);

/* Mean of x (n_x) minus mean of y (n_y) over models. paired: x[i] and y[i] are of the same model (n_x = n_y).
 * Otherwise Welch's t. Missing: fewer than two models on a side. */
SG_API void sg_stats_models_contrast(sg_contrast *out, size_t n_x, const double *x, size_t n_y,
                                     const double *y, bool paired);

/* ---- many tests at once ---- */
/* Benjamini and Hochberg 1995: adjusted[i] = min over j with p_j >= p_i of n p_j / rank_j, at most 1. NaN in
 * p: not a test; it remains NaN and is not counted in n. p and adjusted may be the same. */
SG_API sg_status sg_stats_adjust(size_t n, const double *p, double *adjusted, sg_error *err);

/* ---- differences between classes ---- */
/* Does sigma_1 of a class differ from that of a random class of its size? Null hypothesis: class labels are
 * exchangeable among the pairs of each block. The deviation of a class's sum from its block's mean then has a
 * random sign: `flips` seeded draws of all signs give the null distribution of sigma_1 with the same noise,
 * and so the same upward bias. Exact if these deviations are distributed symmetrically. */
typedef struct sg_class_test sg_class_test; /* workspace; one per thread, reused for every class and delay */
typedef struct {
    double p;                   /* two-sided, at least 2 / (1 + flips) */
    double excess;              /* sigma_1 - its mean under the null */
    double null_low, null_high; /* 95 % of sigma_1 under the null */
    const char *missing;        /* why all is NaN: no pairs, all pairs, or fewer than 8 blocks */
} sg_class_p;
/* SG_EINVAL: a size is 0; SG_ENOMEM. Memory: about 8 ((1+B) H E + flips B^2 / 2) bytes. */
SG_API sg_status sg_class_test_new(sg_class_test **out, size_t B, size_t H, size_t E, size_t flips,
                                   uint64_t seed, sg_error *err);
/* Sums (B, H, E) and pairs (B) of the class and of all. L (E, E): sums times L are those of normalised
 * gradients, which are tested; NULL: the sums as they are. SG_ENONFINITE: a sum is not finite. */
SG_API sg_status sg_class_test_run(sg_class_test *t, sg_class_p *out, const double *class_sums,
                                   const double *class_pairs, const double *all_sums, const double *all_pairs,
                                   const double *L, sg_error *err);
SG_API void sg_class_test_free(sg_class_test *t);

/* ---- sets of tokens and of word types ---- */
/* Does the mean of a class differ from that of a random draw of tokens? sums, pairs (B): of the class in each
 * block; reference (B): the mean of the tokens it is compared with, in the block. If labels are exchangeable
 * within blocks, sums - pairs * reference has a random sign in each: p (two-sided, at least 1 / (1 + draws))
 * is the share of `draws` seeded draws of signs whose sum is at least as extreme. *missing, p NaN: fewer than
 * 8 blocks have pairs of the class and others. */
SG_API void sg_stats_token_test(double *p, const char **missing, size_t B, const double *sums,
                                const double *pairs, const double *reference, size_t draws, uint64_t seed);

enum { SG_STATS_MIN_TYPES = 8 };
typedef struct {
    double value; /* mean squared gain of the words of the class, weighted by their tokens in it */
    double p;     /* two-sided, at least 2 / (1 + the draws made) */
    double null_low, null_middle, null_high; /* of value for random words: 2.5, 50 and 97.5 % */
    const char *missing;                     /* why all but value is NaN */
} sg_type_p;
/* Does a class of word types differ from other words of similar frequency? Of V word types: count, tokens of
 * the word (0: excluded); in_class, those of them in the class; square (V,D), its mean squared gain at each
 * delay, NaN: unknown. Null hypothesis: the shares in_class/count are exchangeable among the words of a band,
 * 2^k <= count < 2^(k+1). `draws` seeded permutations, the same for all delays, and up to `most` where fewer
 * than 20 of them are beyond the class at some delay (most <= draws: no more); out (D). Missing: fewer than
 * SG_STATS_MIN_TYPES effective types, (sum n)^2 / sum n^2 with n = in_class, in bands that have other words
 * too (a quarter of them). SG_EINVAL: a size is 0. Cost: draws x D x words of the class. */
SG_API sg_status sg_stats_type_test(sg_type_p *out, size_t V, size_t D, const uint64_t *count,
                                    const double *in_class, const double *square, size_t draws, size_t most,
                                    uint64_t seed, sg_error *err);
/* Draws for each of `tests` permutation tests that are adjusted together: 40 a test, 1,000 to 10,000. Up to
 * 250 tests one p-value at its lower limit, 2 / (1 + draws), is then below 0.05 / tests. */
SG_API size_t sg_stats_draws(size_t tests);

/* ---- random directions ---- */
/* |V_k^T n| for a uniformly random unit vector n in R^E, k orthonormal columns: mean and 2.5 % and 97.5 %
 * quantiles, exact (its square is Beta(k/2, (E-k)/2)). Needs 1 <= k <= E. */
SG_API void sg_stats_random_cosine(size_t k, size_t E, double *mean, double *low, double *high);
/* |A n| / sigma_1(A) likewise, A with singular values S[0..r), r <= E: by 20,000 seeded draws. NaN if S[0] is
 * not above 0. */
SG_API sg_status sg_stats_random_gain(size_t r, const double *S, size_t E, uint64_t seed, double *mean,
                                      double *low, double *high, sg_error *err);

/* ---- decay ---- */
typedef enum { SG_DECAY_EXPONENTIAL, SG_DECAY_POWER, SG_DECAY_STRETCHED, SG_DECAY_LAWS } sg_decay_law;
typedef enum {
    SG_DECAY_UNDECIDED, /* several laws are compatible with the data, or there are no errors */
    SG_DECAY_ONE_LAW,   /* `best` alone is compatible */
    SG_DECAY_NO_LAW     /* no law is compatible with the data; `best` is the nearest */
} sg_decay_verdict;
enum { SG_DECAY_SHARES = 3 };
/* 0.5, 0.2, 0.1: the shares of the peak whose delays are estimated. */
SG_API double sg_decay_share(size_t i);

/* y = scale exp(-d/tau) | scale d^-alpha | scale exp(-(d/tau)^beta)      d >= 1 */
typedef struct {
    double scale, scale_error;
    double rate, rate_error;   /* tau, in delays (exponential, stretched); alpha (power) */
    double shape, shape_error; /* beta (stretched), NaN for the others */
    double residual;           /* weighted root mean square of ln y - ln fit: 0.03 is 3 % */
    /* Akaike's criterion, small-sample corrected; exp(-aic/2) normalised to sum 1. Neighbouring delays share
     * their blocks, so these rank the fits and decide nothing. */
    double aic, weight;
    double misfit_p; /* P of a lack of fit this large if the law were true; NaN without blocks */
} sg_decay_fit;

typedef struct {
    sg_decay_fit fit[SG_DECAY_LAWS];
    sg_interval beta; /* of the stretched exponential; if it contains 1, the exponential is compatible */
    sg_decay_verdict verdict;
    sg_decay_law best;
    bool within[SG_DECAY_LAWS]; /* laws that are compatible */
    size_t points;              /* delays used: d >= 1, y > 0 and finite, error finite */
    const char *missing;        /* reason for a missing fit, or NULL */
    size_t peak;                /* delay of the largest value */
    /* Delays after the peak at which y first falls below a share of the peak, interpolated on logs; left[0]
     * is the half-life. */
    sg_interval left[SG_DECAY_SHARES];
} sg_decay;

/* Weighted least squares on ln y, weights (y/error)^2, delays 1 .. D-1; beta by a search in [0.02, 4]. error
 * NULL, or nowhere above 0: equal weights. Errors come from the jackknife over blocks when `without` (B, D)
 * row-major, the series from all blocks but b, and pairs (B) are given, otherwise from the fit's covariance.
 *
 * Verdict, from the blocks alone (neighbouring delays have correlation 0.99, so delays are not independent).
 * Lack of fit: three smooth contrasts c of ln y that the law cannot move, with their jackknife covariance S;
 * Hotelling's T^2 = c' S^-1 c. A law is compatible while p >= 0.01. The exponential is called the law if
 * beta's 95 % interval contains 1 and it is compatible. Another law is called so only if that interval
 * excludes 1, the exponential has p < 0.05, and the law is the only compatible one and determined (each error
 * below half of the value).
 *
 * Missing: fewer than 6 usable points; a constant series; one that grows. SG_EINVAL: D is 0. */
SG_API sg_status sg_stats_decay(sg_decay *out, size_t D, const double *y, const double *error, size_t B,
                                const double *pairs, const double *without, sg_error *err);
/* left[0] alone, without an interval: the half-life of any series y (D), no law assumed; D >= 1. */
SG_API void sg_stats_half_life(sg_interval *out, size_t D, const double *y);
/* "exponential", "power law", "stretched exponential" */
SG_API const char *sg_decay_law_name(sg_decay_law law);
/* The verdict, `best` and `within`, from fits and beta alone: as sg_stats_decay does, for fits read from a
 * run file. */
SG_API void sg_decay_decide(sg_decay *d);
/* Scale, rate and shape each have an error below half of the value. */
SG_API bool sg_decay_determined(const sg_decay_fit *f);
/* One sentence, as snprintf: "sigma_1 falls as a stretched exponential, 1.9 exp(-(d/0.96)^0.34) (beta 0.3 to
 * 0.39); half of its value at delay 0 is left 2.9 words later (2.7 to 3.1), ...". step: what one delay is
 * ("word", "character"). */
SG_API int sg_decay_sentence(char *text, size_t size, const char *quantity, const char *step,
                             const sg_decay *d);

#ifdef __cplusplus
}
#endif
#endif
