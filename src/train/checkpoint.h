/* SPDX-License-Identifier: MIT */
/* checkpoint.h - everything an interrupted training needs to go on as if nothing had happened: numbers, then
 * arrays, in the frame of base/checkpoint.h. */
#ifndef SG_CHECKPOINT_H
#define SG_CHECKPOINT_H

#include "stategrad/base.h"

/* Written as they are in memory. */
typedef struct {
    uint64_t epoch;  /* epochs done */
    uint64_t window; /* windows done in the epoch under way */
    uint64_t optimizer_steps;
    uint64_t best_epoch;  /* 0: none yet */
    uint64_t stale;       /* epochs since plateau_nats */
    uint64_t log_bytes;   /* of the log file that belong to what is done */
    uint64_t loss_tokens; /* of the epoch under way */
    double loss_sum;
    double train_nats, valid_nats, best_nats; /* of the last epoch, of the best */
    double plateau_nats;                      /* of the last epoch whose perplexity fell by min_delta */
    double seconds;                           /* spent so far */
} sg_train_numbers;

typedef struct {
    float *data;
    size_t n;
} sg_checkpoint_array;

/* arrays: weights, best weights, moments, states ...: always the same number with the same lengths for one
 * identity. */
sg_status train_checkpoint_write(const char *path, const char *identity, const sg_train_numbers *numbers,
                                 const sg_checkpoint_array *arrays, size_t n_arrays, sg_error *err);
/* As checkpoint_load. On failure numbers and arrays may have been written to. */
sg_status train_checkpoint_read(const char *path, const char *identity, sg_train_numbers *numbers,
                                const sg_checkpoint_array *arrays, size_t n_arrays, bool *found,
                                const sg_monitor *monitor, sg_error *err);

#endif
