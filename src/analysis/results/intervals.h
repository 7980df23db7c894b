/* SPDX-License-Identifier: MIT */
/* intervals.h - 95 % intervals for all statistics of one class and delay, and which of them can be given.
 *
 * The block jackknife of stats.h, statistic by statistic (order: sp_count), moved into where the statistic
 * can lie. Near the noise some statistics lose the smoothness that the jackknife needs; their interval is
 * then withheld (NaN, with a reason in `missing`). The rules, with their coverage by simulation in
 * doc/statistics.md:
 *
 *   all but properties     while the variance does not grow too fast from parts to blocks (stats.h)
 *   sum, effective rank    while the bias of the sum is at most half its standard error
 *   sigma_k, k >= 2        while noise makes up at most 5 % of sigma_k^2, and its neighbours are two standard
 *                          errors of the difference away
 *   relative memory        while noise makes up at most 10 % of |Ghat n|^2, and sigma_2 is two and a half
 *                          standard errors of the difference away from sigma_1
 *   cosine, k < R          while sigma_k is four standard errors of the difference away from sigma_{k+1}
 *
 * sigma_1, the rms gains and coherence are always given. Where sigma_1 meets sigma_2, or is mere noise, the
 * jackknife takes away only about half of its upward bias: low of sigma_1 is half of the estimated bias
 * deeper, at least at 0. */
#ifndef SG_ANALYSIS_RESULTS_INTERVALS_H
#define SG_ANALYSIS_RESULTS_INTERVALS_H

#include "analysis/property.h"
#include "spectrum/spectrum.h"
#include "stategrad/stats.h"

/* Parts of the blocks: F of them, their weights (F) and replicates without each (F,K). F 0: blocks have no
 * parts. Properties have none: sg_track knows whole blocks only. */
typedef struct {
    size_t F;
    double *pairs, *moment_pairs, *without;
} results_parts;

/* Directions of the properties without each fold of their words. */
typedef struct {
    const double *n;      /* (P, PROPERTY_FOLDS, E) unit vectors; NaN: the property is a vector, given */
    const double *weight; /* (P, PROPERTY_FOLDS) */
    const char *const *missing; /* (P) why the property has no interval at all, or NULL */
} property_folds;

/* After results_intervals: adds the error that comes from the words to the intervals of gain, relative memory
 * and cosine, or withholds them. pairs (B): weights of the blocks; S (R), Vt (R,E) of all blocks. */
void results_property_errors(sg_interval *x, const sp_frame *f, const property_folds *folds, size_t B,
                             const double *pairs, const double *S, const double *Vt);

/* The half-life of the gain along property p, with both sources of error. gain (D); blocks (B,D): without
 * each block of weight pairs (B), B 0: no interval; words (PROPERTY_FOLDS,D): without each fold of the
 * words. */
sg_status results_property_half_life(sg_interval *out, const property_folds *folds, size_t p, size_t D,
                                     const double *gain, size_t B, const double *pairs, const double *blocks,
                                     const double *words, sg_error *err);

/* x: by blocks (their effective number); now with the error from the words of a property too: `without` is
 * the value without each fold of them, of this weight. */
void results_add_words(sg_interval *x, const double without[PROPERTY_FOLDS], const double *weight,
                       double blocks, double least, double most);
/* (sum w)^2 / sum w^2 */
double results_effective(size_t n, const double *weight);

/* Gain along property p without each fold of its words; NaN: the property is a vector, or has no folds. */
void results_fold_gains(double gains[PROPERTY_FOLDS], const sp_frame *f, const property_folds *folds,
                        size_t p, const double *S, const double *Vt);

/* x (K = sp_count). values (K): from all blocks. without (B,K): from all blocks but b. pairs (B): weights of
 * the blocks; moment_pairs (B): the same for the rms gains. */
void results_intervals(sg_interval *x, const sp_frame *f, size_t B, const double *pairs,
                       const double *moment_pairs, const double *values, const double *without,
                       const results_parts *parts);

#endif
