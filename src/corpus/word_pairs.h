/* SPDX-License-Identifier: MIT */
/* word_pairs.h - pairs of words that annotation, or a file, chooses: collected while a stream is encoded. */
#ifndef SG_CORPUS_WORD_PAIRS_H
#define SG_CORPUS_WORD_PAIRS_H

#include "corpus/corpus_internal.h"

typedef struct pair_collector pair_collector;
/* Reads the specs, and the files that they name. SG_EINVAL, SG_EIO, SG_EFORMAT: names file and line. */
sg_status pairs_new(pair_collector **out, const char *const *specs, size_t n, sg_error *err);
/* Token t was encoded; `position`: its last step in the stream, `n` of them. */
sg_status pairs_token(pair_collector *p, const sg_token *t, uint64_t position, size_t n, sg_error *err);
/* After the last: the pairs of a stream of T tokens. SG_EINVAL: a relation that no word has. */
sg_status pairs_finish(pair_collector *p, uint64_t T, sg_error *err);
const sg_word_pairs *pairs_view(const pair_collector *p); /* borrowed */
void pairs_free(pair_collector *p);                       /* NULL is fine */

#endif
