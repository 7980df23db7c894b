/* SPDX-License-Identifier: MIT */
/* pair_sums.h - gradients of chosen pairs of words (sg_word_pairs), and of other words of the same kind,
 * summed per part of a block of the corpus (blocks.h): that of the word read.
 *
 *   chosen (field, part, label, kind, delay)   pairs of a label whose word read is of this kind
 *   other  (field, part, kind, delay)          words of the kind that no pair reads, all of them or a drawn
 *          share */
#ifndef SG_ANALYSIS_PAIR_SUMS_H
#define SG_ANALYSIS_PAIR_SUMS_H

#include "stategrad/corpus.h"

/* Fields: the number of pairs, then of each state sum |G L|^2, then of each state sum |Delta| (the word
 * replaced by any word of the corpus; without replacement they stay 0). */
enum { PAIRS_COUNT, PAIRS_FIRST_STATE };
typedef struct {
    size_t G, F, L, K,
        W; /* states, parts, labels, kinds; delays 0 .. W-1, the longest distance of a chosen pair */
    double *chosen, *other;
    bool replaced;
    uint64_t beyond;     /* pairs whose distance is D or more */
    uint64_t unfollowed; /* within the burn-in, or across a reset or window */
    double rate;         /* share of the other words that is drawn */
} pair_sums;

sg_status pair_sums_new(pair_sums **out, size_t G, size_t F, size_t L, size_t K, size_t W, sg_error *err);
/* (W) */
double *pair_sums_chosen(const pair_sums *s, size_t field, size_t part, size_t label, size_t kind);
double *pair_sums_other(const pair_sums *s, size_t field, size_t part, size_t kind);
void pair_sums_free(pair_sums *s); /* NULL is fine */

#endif
