/* SPDX-License-Identifier: MIT */
/* word2vec.h - pre-trained embeddings: word2vec's text and binary files, GloVe's text without a header. */
#ifndef SG_WORD2VEC_H
#define SG_WORD2VEC_H

#include "stategrad/corpus.h"

/* Row id of encoder (V,E) is overwritten for every word of the vocabulary that the file has; others stay.
 * Text: a header line "words E" (or none), then "word x1 .. xE" a line; binary: the header, then word, a
 * space, E float32, perhaps a newline. *found: distinct words that got a vector. Memory does not grow with
 * the file. SG_EFORMAT: with line or word, a wrong number of values or of rows, a value that is not
 * finite (SG_ENONFINITE). Rows whose word holds a space are left out and counted in a warning. gzip is
 * read. */
sg_status word2vec_read(const char *path, const sg_vocab *vocab, size_t E, float *encoder, size_t *found,
                        const sg_monitor *monitor, sg_error *err);

#endif
