/* SPDX-License-Identifier: MIT */
/* train.h - training by truncated back-propagation through time, full softmax, loss in nats per token. */
#ifndef STATEGRAD_TRAIN_H
#define STATEGRAD_TRAIN_H

#include "stategrad/lm.h"
#include "stategrad/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { SG_SGD, SG_ADAM } sg_optimizer;

/* Loss of a window of `steps` steps of `batch` sequences. It sets the scale of the gradient, hence of the
 * learning rate of SGD and of the clipping norm:
 *   SG_LOSS_MEAN   mean over steps and batch (PyTorch's word_language_model)
 *   SG_LOSS_SUM    sum over the steps, mean over the batch (TensorFlow's PTB tutorial, the papers)
 * The gradient of the second is `steps` times that of the first: lr 1 and clip 5 with the sum over 200 steps
 * are lr 200 and clip 0.025 with the mean. Reported losses are nats per token in both cases. */
typedef enum { SG_LOSS_MEAN, SG_LOSS_SUM } sg_loss_scale;

typedef struct {
    size_t struct_size; /* see base.h */
    size_t steps;       /* BPTT window, 50 */
    size_t batch;       /* parallel streams, 20 */
    size_t epochs;      /* 10 */
    /* stop after this number of epochs without a lower validation perplexity (see min_delta); 0: never */
    size_t patience;
    sg_optimizer optimizer;   /* Adam */
    sg_loss_scale loss_scale; /* mean */
    double lr;                /* sg_train_default_rates */
    double lr_decay;          /* 0.7, per epoch ... */
    size_t decay_after;       /* ... after this epoch, 2 */
    double clip;              /* gradient clipping, largest norm; 0: none. sg_train_default_rates */
    double dropout;           /* 0.35: on embeddings and layer outputs */
    double init;              /* U(-init, init), 0.05 */
    uint64_t seed;
    const char *embeddings; /* word2vec file (text or binary), or NULL */
    bool freeze_embeddings;
    int threads;               /* 0: all cores */
    const char *log_path;      /* JSON lines, one per epoch; "-": standard output; or NULL */
    const char *checkpoint;    /* or NULL */
    double checkpoint_minutes; /* 10 */
    bool resume;
    /* for patience, a perplexity is lower if it is below (1 - min_delta) times the one that last was; 0 */
    double min_delta;
} sg_train_config;

#define sg_train_defaults(cfg) sg_train_defaults_sized((cfg), sizeof *(cfg))
SG_API void sg_train_defaults_sized(sg_train_config *cfg, size_t struct_size);
/* Sets lr and clip for cfg->optimizer and cfg->loss_scale.
 *   lr:    Adam 0.004; SGD 20 (mean) or 1 (sum)        clip: 0.25 (mean) or 5 (sum) */
SG_API void sg_train_default_rates(sg_train_config *cfg);
/* The recipe of Verwimp et al. 2018 and 2020: 1 LSTM layer, E=64, H=256, 39 epochs, windows of 200 steps,
 * batch 20, SGD with the loss summed over the steps, lr 1, times 0.8 for every epoch after the 6th, clip 5,
 * dropout 0.5, weights from U(-0.05, 0.05). Sets the shape too. */
SG_API void sg_train_preset_paper(sg_train_config *cfg, sg_model_shape *shape);
/* SG_EINVAL: names the setting, what was found and what was expected. */
SG_API sg_status sg_train_check(const sg_train_config *cfg, const sg_model_shape *shape, sg_error *err);

/* The table of settings: i = 0, 1, ...; NULL after the last. */
SG_API const sg_setting *sg_train_setting(size_t i);
/* From text: "50", "sgd", "yes". A SG_SETTING_TEXT borrows value. SG_EINVAL: an unknown setting or an invalid
 * value. lr and clip do not follow when optimizer or loss_scale change: see sg_train_default_rates. */
SG_API sg_status sg_train_set(sg_train_config *cfg, const char *name, const char *value, sg_error *err);

typedef struct {
    unsigned epochs; /* done */
    double train_nats, valid_nats, best_valid_nats;
    double tokens_per_second;
} sg_train_result;

/* Initialises and trains m; at the end m holds the weights of the best epoch (by validation perplexity;
 * without a validation stream, of the last one) and records in its metadata how it was trained. The same
 * seed, build and machine give the same bytes, for any number of threads, whether or not it was interrupted
 * and resumed. SG_ENONFINITE: divergence, with epoch, step and tensor; SG_ENOCONV: the loss diverges;
 * SG_ECANCELLED: stopped by the monitor, checkpoint written. In these cases result is filled too, and if
 * result->epochs > 0, m has the best weights so far. SG_EFORMAT, SG_EINVAL on resume: the checkpoint and
 * its predecessor are damaged, or of another run. If there is no checkpoint file, resume starts from the
 * beginning. A checkpoint with more epochs than asked for gives a warning, and the model is the best of its
 * epochs. */
SG_API sg_status sg_train(sg_train_result *result, sg_model *m, const sg_stream *train,
                          const sg_stream *valid, const sg_train_config *cfg, const sg_monitor *monitor,
                          sg_error *err);

#ifdef __cplusplus
}
#endif
#endif
