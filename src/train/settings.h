/* SPDX-License-Identifier: MIT */
/* settings.h - what training makes of its table of settings (settings.c): identity, metadata. */
#ifndef SG_TRAIN_SETTINGS_H
#define SG_TRAIN_SETTINGS_H

#include "stategrad/train.h"

/* Appends the settings that decide the trained weights, as "name=value\n" lines. */
void train_settings_describe(const sg_train_config *cfg, char *text, size_t size);
/* Records them in the metadata of the model. */
sg_status train_settings_record(const sg_train_config *cfg, sg_model *m, sg_error *err);

#endif
