/* SPDX-License-Identifier: MIT */
/* word_law.h - a distribution over words, in proportion to their tokens. */
#ifndef SG_ANALYSIS_PASS_WORD_LAW_H
#define SG_ANALYSIS_PASS_WORD_LAW_H

#include "stategrad/base.h"

/* Words in order of id, and the tokens up to each and with it. */
typedef struct {
    size_t n;
    int32_t *id;
    uint64_t *up_to;
} word_law;

/* Room for n words. SG_ENOMEM; free in any case. */
sg_status word_law_new(word_law *l, size_t n, sg_error *err);
/* In order of id; tokens > 0. */
void word_law_add(word_law *l, int32_t id, uint64_t tokens);
/* The word with token floor(u (N - n)) of those that are not of `excluded`, which has n of the N tokens. 0 <=
 * u < 1; there is another word. */
size_t word_law_draw(const word_law *l, double u, int32_t excluded);
void word_law_free(word_law *l);

#endif
