/* SPDX-License-Identifier: MIT */
/* sentence_position.h - where a word is in its sentence, which is known only at its end.
 *
 *   quoted      between the first and second quote mark of the sentence, the third and fourth, ...: " `` '' “
 *               ” „ « »
 *   bracketed   between a bracket and the one that closes it, in the same sentence: ( [ { -LRB- -LSB- -LCB-
 *
 * Marks are words of their own. A sentence is what sg_token.first begins: of plain text, a line. */
#ifndef SG_CORPUS_SENTENCE_POSITION_H
#define SG_CORPUS_SENTENCE_POSITION_H

#include "corpus/corpus_internal.h"

/* One bit each. */
enum { PLACE_FIRST = 1, PLACE_LAST = 2, PLACE_QUOTED = 4, PLACE_BRACKETED = 8, PLACES = 4 };
extern const char *const place_names[PLACES]; /* by bit: "first", ... */

typedef struct word_place {
    uint8_t in;      /* PLACE_... */
    uint64_t to_end; /* words after it; <eos> is none */
} word_place;

typedef struct place_reader place_reader;
/* Reads the corpus a second time, a sentence ahead. */
sg_status places_open(place_reader **out, const sg_corpus_config *cfg, sg_error *err);
/* Of the next token, <eos> included (which has no place). Memory grows with the longest sentence. */
sg_status places_next(place_reader *p, word_place *place, sg_error *err);
void places_close(place_reader *p); /* NULL is fine */

#endif
