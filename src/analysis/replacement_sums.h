/* SPDX-License-Identifier: MIT */
/* replacement_sums.h - what replacing words does, summed per part of a block of the corpus (blocks.h), row
 * and delay. In memory. The part is that of the word replaced, and so are its rows:
 *
 *   REPLACED_BY_ANY      each of its classes: another word of the corpus in its place
 *   REPLACED_IN_CLASS    each of its classes: another word of this class
 *   REPLACED_BY_PARTNER  each property of which it is in a pair: the other word of the pair */
#ifndef SG_ANALYSIS_REPLACEMENT_SUMS_H
#define SG_ANALYSIS_REPLACEMENT_SUMS_H

#include "analysis/part.h"
#include "behaviour/path.h"
#include "gradient/replacement_batch.h"

/* Of each (model, block, row, delay): these, then REPLACED_PER_STATE of each state. */
enum {
    REPLACED_PAIRS,
    REPLACED_KL,
    REPLACED_KL_PAIRS,
    /* pairs whose gradient was averaged along the line between the two embeddings (behaviour/path.h) */
    REPLACED_PATHS,
    REPLACED_STATES
};
enum {
    REPLACED_CHANGE,  /* sum of |Delta[d]| */
    REPLACED_START,   /* sum of |Delta[0]| over the same origins */
    REPLACED_LINEAR,  /* sum of |G dx| */
    REPLACED_COSINE,  /* sum of the cosines of Delta and G dx */
    REPLACED_COSINES, /* pairs that have one: neither is 0 */
    REPLACED_MISS,    /* sum of |Delta - G dx|^2 */
    REPLACED_SQUARE,  /* sum of |Delta|^2 */
    REPLACED_AVERAGE, /* sum of |G~ dx|, over REPLACED_PATHS */
    REPLACED_GAP,     /* sum of |Delta - G~ dx| / |Delta| */
    REPLACED_GAPS,    /* pairs that have one: the state changes */
    REPLACED_PER_STATE
};

/* Delays at most of the averages along lines. */
enum { REPLACED_PATH_DELAYS = 64 };

typedef enum { REPLACED_BY_ANY, REPLACED_IN_CLASS, REPLACED_BY_PARTNER, REPLACED_LAWS } replacement_law;

typedef struct {
    size_t models, B, rows, D, G; /* B: parts of blocks; rows: of all laws; G: states of one model */
    double *x;                    /* (models, B, rows, D, replacement_fields) */
} replacement_sums;

size_t replacement_fields(size_t G);
/* Row i of a law, of C classes; the number of rows, with P properties. */
size_t replacement_row(size_t C, replacement_law law, size_t i);
size_t replacement_rows(size_t C, size_t P);
/* SG_ENOMEM: the message has the bytes. */
sg_status replacement_sums_new(replacement_sums **out, size_t models, size_t B, size_t rows, size_t D,
                               size_t G, sg_error *err);
double *replacement_sums_at(const replacement_sums *s, size_t model, size_t b, size_t row, size_t d);
/* One replacement, at delays 0 .. life-1. */
typedef struct {
    size_t life;
    const replacement_effect *effects; /* (life, G) */
    const double *kl;                  /* (life), where kl_at (life) is true; NULL: none was taken */
    const bool *kl_at;
    const path_effect *averages; /* (G, path_delays) along the line between the two embeddings; NULL: none */
    size_t path_delays;
} replacement_seen;
/* Into one row of a block. */
void replacement_sums_add(replacement_sums *s, size_t model, size_t b, size_t row, const replacement_seen *x);
size_t replacement_sums_bytes(size_t models, size_t B, size_t rows, size_t D, size_t G);
/* Room for what the parts of a run hold, as `first` has it; B: parts of blocks. NULL: nothing was
 * replaced. */
sg_status replacement_sums_of_parts(replacement_sums **out, const part_file *first, size_t B, sg_error *err);
sg_status replacement_sums_part(part_file *p, replacement_sums *s,
                                sg_error *err); /* s NULL is fine; see part.h */
void replacement_sums_free(replacement_sums *s);

#endif
