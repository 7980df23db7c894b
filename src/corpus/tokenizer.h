/* SPDX-License-Identifier: MIT */
/* tokenizer.h - words into pieces, as a tokenizer.json says. */
#ifndef SG_TOKENIZER_H
#define SG_TOKENIZER_H

#include "stategrad/corpus.h"

typedef struct tokenizer tokenizer;
/* json: a tokenizer.json (its model's vocabulary may be left out: v has it). SG_EFORMAT names what is not
 * supported. */
sg_status tokenizer_new(tokenizer **out, const char *json, const sg_vocab *v, sg_error *err);
void tokenizer_free(tokenizer *t);
const char *tokenizer_text(const tokenizer *t); /* the JSON it was made from */
/* The ids of a word's pieces, -1 for one that has none and no unknown token stands for it. *ids grows to
 * *room as it must; the caller frees it. */
sg_status tokenizer_split(const tokenizer *t, const sg_vocab *v, const char *word, size_t length,
                          int32_t **ids, size_t *room, size_t *n, sg_error *err);

#endif
