/* SPDX-License-Identifier: MIT */
/* train.h - training by truncated back-propagation through time, full softmax, loss in nats per token. */
#ifndef STATEGRAD_TRAIN_H
#define STATEGRAD_TRAIN_H

#include "stategrad/lm.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { SG_SGD, SG_ADAM } sg_optimizer;

typedef struct {
    size_t steps;    /* BPTT window, 50 */
    size_t batch;    /* parallel streams, 20 */
    unsigned epochs; /* 10 */
    /* stop after so many epochs without a better validation perplexity; 0: never */
    unsigned patience;
    sg_optimizer optimizer; /* SGD */
    double lr;              /* 1; Adam wants about 0.001 */
    double lr_decay;        /* 0.8, per epoch ... */
    unsigned decay_after;   /* ... after this epoch, 6 */
    double clip;            /* largest gradient norm, 5; 0: none */
    double dropout;         /* 0.5: on embeddings and layer outputs */
    double init;            /* U(-init, init), 0.05 */
    uint64_t seed;
    const char *embeddings; /* word2vec file (text or binary), or NULL */
    bool freeze_embeddings;
    int threads;               /* 0: all cores */
    const char *log_path;      /* JSON lines, one an epoch; or NULL */
    const char *checkpoint;    /* or NULL */
    double checkpoint_minutes; /* 10 */
    bool resume;
} sg_train_config;

void sg_train_defaults(sg_train_config *cfg);
/* The settings of Verwimp et al. 2020, including the shape: 1 layer, E=64, H=256, BPTT 200 (doc/findings.md). */
void sg_train_preset_paper(sg_train_config *cfg, sg_model_shape *shape);
sg_status sg_train_check(const sg_train_config *cfg, const sg_model_shape *shape, sg_error *err);

typedef struct {
    unsigned epochs; /* done */
    double train_nats, valid_nats, best_valid_nats;
    double tokens_per_second;
} sg_train_result;

/* Initialises and trains m; at the end m holds the weights of the best epoch (by validation perplexity;
 * without a validation stream, of the last one) and tells in its metadata how it was trained. Same seed,
 * build and machine: same bytes, for any number of threads, interrupted and resumed or not. SG_ENONFINITE:
 * divergence, with epoch, step and tensor; SG_ENOCONV: the loss explodes; SG_ECANCELLED: asked to stop,
 * checkpoint written. In these cases result is filled too, and if result->epochs > 0 the best weights so far
 * are in m. SG_EFORMAT, SG_EINVAL on resume: the checkpoint and its predecessor are damaged, or of another
 * run. Without a checkpoint file yet, resume starts anew. */
sg_status sg_train(sg_train_result *result, sg_model *m, const sg_stream *train, const sg_stream *valid,
                   const sg_train_config *cfg, const sg_monitor *monitor, sg_error *err);

#ifdef __cplusplus
}
#endif
#endif
