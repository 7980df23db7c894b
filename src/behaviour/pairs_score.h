/* SPDX-License-Identifier: MIT */
/* pairs_score.h - log probabilities of many pairs of sequences and the gradient of their difference, in
 * batches of like length.
 *
 *   good, bad (n ids): the first is only read, the others are read and predicted; D = log p(good) - log
 *   p(bad) attribution of token i of a sequence: sum over e of dD/dx[i][e] x[i][e], by u x at the nodes u of
 *   a path */
#ifndef SG_BEHAVIOUR_PAIRS_SCORE_H
#define SG_BEHAVIOUR_PAIRS_SCORE_H

#include "stategrad/lm.h"

typedef struct {
    const int32_t *good, *bad; /* the model's ids */
    size_t n_good, n_bad;
    size_t from;                          /* the first token in which they differ; above 0 where by_word */
    const uint32_t *slot_good, *slot_bad; /* where a token's attribution is added: attribution[slot] */
    double *attribution;                  /* NULL: not wanted */
    double log_p_good, log_p_bad, difference;
    double origin; /* D with all inputs 0; NaN without path */
} pairs_sequences;

typedef struct {
    bool by_word; /* only token `from` */
    size_t path;  /* nodes, a multiple of 4; 0: none */
    int threads;
} pairs_scoring;

/* Fills the results of n pairs. On failure *at is the pair whose fault it is, n if it is that of none. */
sg_status pairs_score(const sg_model *m, const pairs_scoring *how, pairs_sequences *pairs, size_t n,
                      size_t *at, const sg_monitor *monitor, sg_error *err);

#endif
