/* SPDX-License-Identifier: MIT */
/* block_sums.h - sums of gradients per block of the corpus, on disk: memory does not grow with the number of
 * blocks.
 *
 *   S[b,g,c,d] (H_g,E)   sum over pairs of block b (by t), state g, class c, delay d
 *   M[b,g,c,d] (E,E)     the same of G^T G
 *
 * The weight of a sum makes it a mean: mean = sum S / sum weight, over any set of blocks. Without sampling it
 * is the number of pairs. Sums are float32 in a scratch file of fixed records; weights are in memory. */
#ifndef SG_ANALYSIS_BLOCK_SUMS_H
#define SG_ANALYSIS_BLOCK_SUMS_H

#include "analysis/part.h"
#include "gradient/word_sums.h"

#include <stdio.h>

typedef struct {
    size_t B, G, C, D, E; /* blocks, states, classes, delays, inputs */
    const size_t *units;  /* (G) H of each state */
    bool moments;
} sums_shape;

/* Of one (block, class, delay); the same for every state. */
typedef struct {
    double weight, moment_weight;
    int64_t pairs; /* averaged over */
    int64_t moment_pairs;
    int64_t exist; /* pairs there are: more than `pairs` when origins are sampled */
} sums_weight;

/* What gradients of one (block, state, delay) lack in a long window: the sum of their norms, over how
 * many. */
typedef struct {
    double norms, of;
} sums_missed;

/* Squared gains |G L|^2 of one (block, state, delay), summed over the pairs at second-moment steps: of all
 * input words, and of <eos> and <unk> among them; the number of pairs (weighted as the origins are drawn).
 * Zero without sums by word. */
typedef enum { SUMS_ALL_WORDS, SUMS_EOS, SUMS_UNK, SUMS_WORDS } sums_which;
typedef struct {
    double square[SUMS_WORDS], pairs[SUMS_WORDS];
    /* all of them up to the end of this block, exact: what the next one is counted from */
    double square_until[SUMS_WORDS], low_until[SUMS_WORDS], pairs_until[SUMS_WORDS];
} sums_squares;

typedef struct block_sums block_sums;
/* keep NULL: an unnamed file in the folder of `near`; otherwise the file `keep`, opened if it is there. */
sg_status sums_new(block_sums **out, const sums_shape *shape, const char *near, const char *keep,
                   sg_error *err);
/* Removes the file `path` that sums_new kept; a file of something else stays. */
void sums_remove(const char *path);
void sums_free(block_sums *s);
/* Removes the scratch file `keep` if it holds nothing yet: the work is refused before it began. */
void sums_forget_empty(const block_sums *s);
const sums_shape *sums_get_shape(const block_sums *s);
sums_weight *sums_weight_at(const block_sums *s, size_t b, size_t c, size_t d);
sums_squares *sums_squares_at(const block_sums *s, size_t b, size_t g, size_t d);
sums_missed *sums_missed_at(const block_sums *s, size_t b, size_t g, size_t d);
/* Setting 'warm_up': the state with which the block ends and the one begun from zero before the next block,
 * their largest difference relative to the largest entry; 0 without the setting. */
double *sums_difference_at(const block_sums *s, size_t b);
double sums_largest_difference(const block_sums *s);
/* Numbers of M that are kept: the lower triangle, E (E+1) / 2. */
size_t sums_packed(size_t E);
void sums_pack(size_t E, const double *full, float *packed);
void sums_unpack(size_t E, const float *packed, double *full);

/* sum (H,E), moment (packed). Safe from several threads at once. */
sg_status sums_put(block_sums *s, size_t b, size_t g, size_t c, size_t d, const float *sum,
                   const float *moment, sg_error *err);
/* Either may be NULL. */
sg_status sums_get(const block_sums *s, size_t b, size_t g, size_t c, size_t d, float *sum, float *moment,
                   sg_error *err);
/* Block b is on the disk. */
sg_status sums_sync(block_sums *s, sg_error *err);
/* CRC-32 of the records of block b, for checkpoints. */
sg_status sums_crc(const block_sums *s, size_t b, uint32_t *crc, sg_error *err);
size_t sums_bytes_per_block(const sums_shape *shape);

/* In a part (part.h): the weights, in the root; all of state g, in its group. words NULL: without sums by
 * word. */
sg_status sums_part_weights(part_file *p, block_sums *sums, word_sums *words, sg_error *err);
sg_status sums_part(part_file *p, block_sums *sums, word_sums *words, size_t g, sg_error *err);

#endif
