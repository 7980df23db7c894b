/* SPDX-License-Identifier: MIT */
/* replaced_words.h - which words of the corpus are replaced, and by which (setting 'replace'; doc/method.md,
 * section 5).
 *
 * It depends on seed and position alone. The word at position s:
 *
 *   u1, u2, u3   the first numbers of sg_rng seeded with (seed ^ REPLACEMENT_SEED, s)
 *   replaced     if u1 < rate; its KL is taken if u2 < kl_rate
 *   x'           the word with the floor(u3 (N - n_x))-th token, words in order of id, each with its n tokens
 *                in the corpus, x itself and <unk> left out (N: tokens without <unk>; n_x = 0 where x is
 *                <unk>)
 *   a row of features: the floor(u3 (T - 1))-th of the others
 *   u4, u5, ...  the same for x' within each class of the word, in their order, n being its tokens in this
 *                class; a class of fewer than two words has none
 *   partner      of each property, the other word of the first pair that has x, where there is one; then the
 *                next number u: the gradient is averaged along the line from x to x' if u < path_rate */
#ifndef SG_ANALYSIS_PASS_REPLACED_WORDS_H
#define SG_ANALYSIS_PASS_REPLACED_WORDS_H

#include "analysis/prepare.h"

#define REPLACEMENT_SEED 0x7265706c61636564u /* "replaced" */

/* One word in the place of another. */
typedef struct {
    replacement_law law;
    size_t row;     /* REPLACED_IN_CLASS: the class; REPLACED_BY_PARTNER: the property; else 0 */
    uint64_t other; /* the id of x'; of features, their row */
    bool averaged;  /* along the line from x to x' */
} replaced_word;

typedef struct replaced_words replaced_words;
/* The analysis is borrowed. SG_EINVAL: no word can replace another. SG_ENOMEM. */
sg_status replaced_words_new(replaced_words **out, const analysis *an, sg_error *err);
void replaced_words_free(replaced_words *w);
/* Replacements of one word at most. */
size_t replaced_words_most(const analysis *an);
/* Those of the word at position s with its id and class set, under each law: their number; 0 where it is not
 * replaced. */
size_t replaced_words_draw(const replaced_words *w, uint64_t s, int32_t id, size_t set, replaced_word *out,
                           bool *with_kl);
/* The rows of the sums that a replacement of a word of this class set goes to; *n of them. */
const size_t *replaced_words_rows(const replaced_words *w, size_t set, const replaced_word *x, size_t *n);

#endif
