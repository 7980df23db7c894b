/* SPDX-License-Identifier: MIT */
/* The table of settings of training. A new setting is a field of sg_train_config and a row here. */
#include "train/settings.h"

#include "base/base_internal.h"
#include "base/settings.h"

#include <string.h>

#define FIELD(f) SETTING_FIELD(sg_train_config, f)
#define WORDS SETTING_WORDS

/* clang-format off */
static const setting_row rows[] = {
    {.s = {"epochs", 0, SG_SETTING_SIZE, "N", "10", 1, 1e6,
           "passes over the corpus"},
     FIELD(epochs)},
    {.s = {"checkpoint", 0, SG_SETTING_TEXT, "FILE", NULL, 0, 0,
           "save progress there after every epoch and every 10 minutes"},
     FIELD(checkpoint)},
    {.s = {"resume", 0, SG_SETTING_WORD, "yes|no", "no", 0, 0,
           "continue from the checkpoint"},
     FIELD(resume), WORDS({"no", false}, {"yes", true})},
    {.s = {"threads", 't', SG_SETTING_INT, "N", "0", 0, 1024,
           "number of threads (default: all cores); the result does not depend on it"},
     FIELD(threads)},
    {.s = {"init", 0, SG_SETTING_REAL, "X", "0.05", 1e-300, 1e6,
           "weights are initialised uniformly in -X .. X"},
     .s.advanced = true, FIELD(init), .decides = CONTENTS, .attribute = "init_range"},
    {.s = {"seed", 0, SG_SETTING_U64, "N", "1", 0, 0,
           "seed of weight initialisation and dropout"},
     .s.advanced = true, FIELD(seed), .decides = CONTENTS, .attribute = "seed"},
    {.s = {"embeddings", 0, SG_SETTING_TEXT, "FILE", NULL, 0, 0,
           "initialise with word2vec vectors (text or binary)"},
     .s.advanced = true, FIELD(embeddings)}, /* its hash is in the identity */
    {.s = {"freeze_embeddings", 0, SG_SETTING_WORD, "yes|no", "no", 0, 0,
           "do not train the embeddings"},
     .s.advanced = true, FIELD(freeze_embeddings), .decides = CONTENTS, WORDS({"no", false}, {"yes", true})},
    {.s = {"optimizer", 0, SG_SETTING_WORD, "sgd|adam", "adam", 0, 0,
           "update rule"},
     .s.advanced = true, FIELD(optimizer), .decides = CONTENTS, .attribute = "optimizer",
     WORDS({"sgd", SG_SGD}, {"adam", SG_ADAM})},
    {.s = {"loss_scale", 0, SG_SETTING_WORD, "mean|sum", "mean", 0, 0,
           "loss of a window: mean or sum over its steps"},
     .s.advanced = true, FIELD(loss_scale), .decides = CONTENTS, .attribute = "loss_scale",
     WORDS({"mean", SG_LOSS_MEAN}, {"sum", SG_LOSS_SUM})},
    {.s = {"lr", 0, SG_SETTING_REAL, "X", NULL, 1e-30, 1e30,
           "learning rate (default: 0.004 for adam; for sgd 20 with the mean, 1 with the sum)"},
     .s.advanced = true, FIELD(lr), .decides = CONTENTS, .attribute = "lr"},
    {.s = {"lr_decay", 0, SG_SETTING_REAL, "X", "0.7", 1e-30, 1e300,
           "factor on the learning rate for every epoch after the first decay_after"},
     .s.advanced = true, FIELD(lr_decay), .decides = CONTENTS, .attribute = "lr_decay"},
    {.s = {"decay_after", 0, SG_SETTING_SIZE, "N", "2", 0, 1e6,
           "epochs at the full learning rate"},
     .s.advanced = true, FIELD(decay_after), .decides = CONTENTS, .attribute = "decay_after"},
    {.s = {"clip", 0, SG_SETTING_REAL, "X", NULL, 0, 1e30,
           "clip the norm of the gradient to this; 0: no clipping (default: 0.25 with the mean, 5 with the sum)"},
     .s.advanced = true, FIELD(clip), .decides = CONTENTS, .attribute = "clip"},
    {.s = {"dropout", 0, SG_SETTING_REAL, "P", "0.35", 0, 0.999,
           "dropout rate on embeddings and layer outputs"},
     .s.advanced = true, FIELD(dropout), .decides = CONTENTS, .attribute = "dropout"},
    {.s = {"steps", 0, SG_SETTING_SIZE, "N", "50", 1, 1 << 20,
           "steps of truncated back-propagation through time; at most those of a sequence"},
     .s.advanced = true, FIELD(steps), .decides = CONTENTS, .attribute = "steps"},
    {.s = {"batch", 0, SG_SETTING_SIZE, "N", "20", 1, 1 << 20,
           "parallel sequences"},
     .s.advanced = true, FIELD(batch), .decides = CONTENTS, .attribute = "batch"},
    {.s = {"patience", 0, SG_SETTING_SIZE, "N", "0", 0, 1e6,
           "stop after N epochs without a lower validation perplexity (0: never)"},
     .s.advanced = true, FIELD(patience), .decides = CONTENTS},
    {.s = {"min_delta", 0, SG_SETTING_REAL, "SHARE", "0", 0, 0.999,
           "with patience: a validation perplexity counts as lower if it fell by more than this share (0.001: 0.1 %)"},
     .s.advanced = true, FIELD(min_delta), .decides = CONTENTS},
    {.s = {"checkpoint_minutes", 0, SG_SETTING_REAL, "X", "10", 0, 1e6,
           "minutes between checkpoints within an epoch"},
     .s.advanced = true, FIELD(checkpoint_minutes)},
    {.s = {"log", 0, SG_SETTING_TEXT, "FILE", NULL, 0, 0,
           "JSON lines, one per epoch; -: on standard output, in place of the summary"},
     .s.advanced = true, FIELD(log_path)},
};
/* clang-format on */
enum { ROWS = sizeof rows / sizeof *rows };
static const settings_table table = {rows, ROWS, "training"};

const sg_setting *sg_train_setting(size_t i)
{
    return i < ROWS ? &rows[i].s : NULL;
}

sg_status sg_train_set(sg_train_config *cfg, const char *name, const char *value, sg_error *err)
{
    return setting_set(&table, cfg, name, value, err);
}

void sg_train_defaults_sized(sg_train_config *cfg, size_t struct_size)
{
    sg_train_config own = {0};
    settings_give_defaults(&table, &own);
    sg_train_default_rates(&own);
    config_give(cfg, struct_size, &own, sizeof own);
}

void sg_train_default_rates(sg_train_config *cfg)
{
    bool sum = cfg->loss_scale == SG_LOSS_SUM;
    cfg->lr = cfg->optimizer == SG_ADAM ? 0.004 : sum ? 1 : 20;
    cfg->clip = sum ? 5 : 0.25;
}

void sg_train_preset_paper(sg_train_config *cfg, sg_model_shape *shape)
{
    sg_train_defaults(cfg);
    cfg->steps = 200;
    cfg->epochs = 39;
    cfg->optimizer = SG_SGD;
    cfg->loss_scale = SG_LOSS_SUM;
    cfg->lr_decay = 0.8;
    cfg->decay_after = 6;
    cfg->dropout = 0.5;
    sg_train_default_rates(cfg);
    shape->cell = SG_CELL_LSTM;
    shape->layers = 1;
    shape->embedding = 64;
    for (size_t k = 0; k < SG_MAX_LAYERS; k++)
        shape->hidden[k] = 256;
}

sg_status sg_train_check(const sg_train_config *cfg, const sg_model_shape *shape, sg_error *err)
{
    sg_train_config own;
    sg_train_defaults(&own);
    const sg_train_config *c = config_take(&own, sizeof own, cfg);
    sg_status st = SG_OK;
    TRY(settings_in_range(&table, c, err));
    if (c->batch > (1u << 24) / c->steps)
        return sg_fail(err, SG_EINVAL,
                       "setting 'batch': %zu sequences of %zu steps, expected at most %u tokens a window",
                       c->batch, c->steps, 1u << 24);
    if (c->freeze_embeddings && shape->tied)
        return sg_fail(err, SG_EINVAL,
                       "frozen embeddings cannot be tied to the decoder, which must be trained");
    if (!shape->has_decoder || !shape->vocabulary)
        return sg_fail(err, SG_EINVAL, "training needs a model with a vocabulary and a decoder");
    if (shape->output != SG_OUTPUT_LINEAR)
        return sg_fail(err, SG_EINVAL, "training supports only the linear output activation");
done:
    return st;
}

void train_settings_describe(const sg_train_config *cfg, char *text, size_t size)
{
    settings_describe(&table, cfg, false, text, size);
}

sg_status train_settings_record(const sg_train_config *cfg, sg_model *m, sg_error *err)
{
    char text[64];
    sg_status st = SG_OK;
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].attribute) {
            setting_print(&rows[i], cfg, 9, text, sizeof text);
            TRY(sg_model_set_meta(m, rows[i].attribute, text, err));
        }
done:
    return st;
}
