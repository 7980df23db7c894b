/* SPDX-License-Identifier: MIT */
/* tokenizer.h - words into pieces, by the rules of a tokenizer.json. */
#ifndef SG_TOKENIZER_H
#define SG_TOKENIZER_H

#include "stategrad/base.h"

/* Finds the id of a piece of n bytes; -1: there is none. */
typedef struct {
    int32_t (*find)(const void *ctx, const char *piece, size_t n);
    const void *ctx;
} piece_ids;

typedef struct tokenizer tokenizer;
/* json: a tokenizer.json (its model's vocabulary may be left out: ids has it). SG_EFORMAT names what is not
 * supported. */
sg_status tokenizer_new(tokenizer **out, const char *json, const piece_ids *ids, sg_error *err);
void tokenizer_free(tokenizer *t);
const char *tokenizer_text(const tokenizer *t); /* the JSON it was made from */
/* The ids of a word's pieces, -1 for one without id if there is no unknown token. *ids grows to
 * *room as it must; the caller frees it. */
sg_status tokenizer_split(const tokenizer *t, const piece_ids *known, const char *word, size_t length,
                          int32_t **ids, size_t *room, size_t *n, sg_error *err);

#endif
