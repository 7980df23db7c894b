/* SPDX-License-Identifier: MIT */
/* model_internal.h - a model's parameter block as the trainer and the forward pass see it. */
#ifndef SG_MODEL_INTERNAL_H
#define SG_MODEL_INTERNAL_H

#include "stategrad/lm.h"

typedef struct {
    float *W_ih, *W_hh, *b_ih,
        *b_hh; /* (GH,N) (GH,H) (GH) (GH); a diagonal recurrence has no W_hh, b_hh: NULL */
} sg_layer_parameters;

/* Pointers into one block. encoder NULL: no embedding; decoder NULL: no decoder; tied: decoder == encoder. */
typedef struct {
    float *encoder, *decoder, *decoder_bias;
    sg_layer_parameters layer[SG_MAX_LAYERS];
} sg_parameters;

/* The block: all tensors in the table's order, each starting on a 64-byte line, zeros between them. */
float *model_block(const sg_model *m);
size_t model_block_size(const sg_model *m); /* floats */
/* The model's pointers moved into another block of the same layout: gradients, moments, best weights. */
sg_parameters model_parameters(const sg_model *m, float *block);
/* Inputs of layer k (from 0): E or H of the layer below. */
size_t model_inputs(const sg_model *m, size_t layer);
/* The largest absolute value is finite? Otherwise SG_ENONFINITE naming `where`, tensor and index. block: of
 * the model's layout. */
sg_status model_check_finite(const sg_model *m, const float *block, const char *where, sg_error *err);

/* Which words of the vocabulary replace unknown ones and end a line (vocab_choose), kept in the metadata as
 * unk_word and eos_word. SG_EINVAL: no such word, or the model reads no words. */
sg_status model_choose_words(sg_model *m, const char *unk, const char *eos, sg_error *err);

/* Metadata in the order it was set, for the file. */
size_t model_meta_count(const sg_model *m);
void model_meta_get(const sg_model *m, size_t i, const char **key, const char **value);

#endif
