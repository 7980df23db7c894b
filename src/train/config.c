/* SPDX-License-Identifier: MIT */
#include "stategrad/train.h"

#include "base/base_internal.h"

#include <math.h>

void sg_train_defaults_sized(sg_train_config *cfg, size_t struct_size)
{
    sg_train_config own = {.steps = 50,
                           .batch = 20,
                           .epochs = 10,
                           .optimizer = SG_ADAM,
                           .loss_scale = SG_LOSS_MEAN,
                           .lr_decay = 0.7,
                           .decay_after = 2,
                           .dropout = 0.35,
                           .init = 0.05,
                           .seed = 1,
                           .checkpoint_minutes = 10};
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

static sg_status above(double x, double low, const char *what, sg_error *err)
{
    if (!(x > low) || !isfinite(x))
        return sg_fail(err, SG_EINVAL, "%s: expected a number above %g, found %g", what, low, x);
    return SG_OK;
}

sg_status sg_train_check(const sg_train_config *cfg, const sg_model_shape *shape, sg_error *err)
{
    sg_train_config own;
    sg_train_defaults(&own);
    const sg_train_config *c = config_take(&own, sizeof own, cfg);
    sg_status st = SG_OK;
    if (c->steps < 1 || c->steps > 1u << 20)
        return sg_fail(err, SG_EINVAL, "steps: expected 1 to %u, found %zu", 1u << 20, c->steps);
    if (c->batch < 1 || c->batch > 1u << 20 || c->batch > (1u << 24) / c->steps)
        return sg_fail(err, SG_EINVAL,
                       "batch: %zu sequences of %zu steps, expected at most %u tokens a window", c->batch,
                       c->steps, 1u << 24);
    if (c->epochs < 1)
        return sg_fail(err, SG_EINVAL, "epochs: expected at least 1, found 0");
    if (c->optimizer != SG_SGD && c->optimizer != SG_ADAM)
        return sg_fail(err, SG_EINVAL, "optimizer: unknown kind %d", (int)c->optimizer);
    if (c->loss_scale != SG_LOSS_MEAN && c->loss_scale != SG_LOSS_SUM)
        return sg_fail(err, SG_EINVAL, "loss scale: unknown kind %d", (int)c->loss_scale);
    TRY(above(c->lr, 0, "lr", err));
    TRY(above(c->lr_decay, 0, "lr decay", err));
    TRY(above(c->init, 0, "init", err));
    if (!(c->clip >= 0) || !isfinite(c->clip))
        return sg_fail(err, SG_EINVAL, "clip: expected 0 (none) or more, found %g", c->clip);
    if (!(c->dropout >= 0 && c->dropout < 1))
        return sg_fail(err, SG_EINVAL, "dropout: expected at least 0 and less than 1, found %g", c->dropout);
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
