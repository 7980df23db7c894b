/* SPDX-License-Identifier: MIT */
/* import.h - models trained elsewhere: PyTorch, Keras, ONNX, safetensors, raw TensorFlow kernels.
 *
 *   file -> tensors by name and shape -> roles -> sg_model
 *
 * Roles have the names of the model file (doc/model-file.md): encoder.weight, rnn.weight_ih_l0,
 * rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0, ..., decoder.weight, decoder.bias (lm.h). Nothing in a
 * file is executed and no path in it is followed. Memory stays below twice the file's size plus 64 MiB. */
#ifndef STATEGRAD_IMPORT_H
#define STATEGRAD_IMPORT_H

#include "stategrad/lm.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    SG_FILE_UNKNOWN,
    SG_FILE_MODEL, /* stategrad's model file */
    SG_FILE_RUN,   /* stategrad's run file (NetCDF-4) */
    SG_FILE_SAFETENSORS,
    SG_FILE_TORCH_ZIP,    /* torch.save since 1.6 */
    SG_FILE_TORCH_LEGACY, /* before 1.6 */
    SG_FILE_KERAS,        /* HDF5 */
    SG_FILE_ONNX,
    SG_FILE_NPY,
    SG_FILE_NPZ,
    SG_FILE_TF_INDEX,  /* TensorFlow checkpoint: the index; its shards are in the same folder */
    SG_FILE_KERAS_ZIP, /* Keras 3: a zip of config.json and model.weights.h5 */
    SG_FILE_TFJS       /* TensorFlow.js: model.json; its shards are in the same folder */
} sg_file_format;

/* Detected by content, not by extension. SG_EIO: cannot be read. */
SG_API sg_status sg_file_format_of(sg_file_format *out, const char *path, sg_error *err);
SG_API const char *sg_file_format_name(sg_file_format k); /* "PyTorch (zip)" */

typedef enum { SG_AUTO = -1 } sg_import_auto;

typedef struct {
    size_t struct_size;      /* see base.h */
    const char *const *maps; /* "ROLE=TENSOR": overrides the search */
    size_t n_maps;
    const char *const *ignore; /* tensors to be ignored */
    size_t n_ignore;
    /* file: one token per line in id order, JSON list, JSON map word->id, tokenizer.json; or NULL */
    const char *vocab;
    int unit;               /* sg_unit, or SG_AUTO: characters if every token is one character */
    int output;             /* sg_output_activation, or SG_AUTO: as recorded in the file, else linear */
    int cell;               /* sg_cell, or SG_AUTO: from shapes and the file */
    const char *gate_order; /* of tensors named by maps: "i,f,o,g", "z,r,n"; NULL: i,f,g,o and r,z,n */
    bool transposed;        /* recurrent tensors named by maps are (inputs, gates*H): x W in place of W x */
    bool one_hot;           /* a net without embedding reads one-hot vectors: words */
    bool forward_only;      /* of a bidirectional net, the forward direction of the first layer */
    /* "sigmoid", "hard_sigmoid": of gates, whatever the file states; NULL: as it states */
    const char *recurrent_activation;
    double forget_bias;       /* added to the LSTM's forget gate (raw TensorFlow kernels: usually 1) */
    bool numbered_vocabulary; /* without a vocabulary, name the words #0, #1, ... instead of failing */
    /* word of the vocabulary that replaces unknown ones, word that ends a line ("none": none is added);
     * NULL: <unk> and <eos> by their usual names (sg_vocab_unk, sg_vocab_eos). Of stategrad's own files
     * too. */
    const char *unk, *eos;
} sg_import_config;

/* All automatic. */
#define sg_import_defaults(cfg) sg_import_defaults_sized((cfg), sizeof *(cfg))
SG_API void sg_import_defaults_sized(sg_import_config *cfg, size_t struct_size);

/* Loads stategrad's model file or a foreign one, detected by content. cfg NULL: defaults; for stategrad's own
 * file only `unk` and `eos` may be set, SG_EINVAL names another. SG_EFORMAT: two interpretations fit; names
 * both and the entry of maps that decides. Assumptions are reported through monitor->warn. */
SG_API sg_status sg_model_load(sg_model **out, const char *path, const sg_import_config *cfg,
                               const sg_monitor *monitor, sg_error *err);

/* The words of a vocabulary file of any kind that a model may come with (doc/import.md): lines, JSON, pickles
 * (nothing is executed), tokenizer.json, lines of a word and a number. ids: how many the model has; 0: as
 * many as the file has, of several lists the longest. Assumptions are reported through monitor->warn.
 * SG_EFORMAT: none of these, another number. */
SG_API sg_status sg_vocab_load(sg_vocab **out, const char *path, size_t ids, const sg_monitor *monitor,
                               sg_error *err);

/* Writes a description of a model file to `to`, as text or as one JSON object: kind, tensors with shape and
 * dtype, and how sg_model_load would interpret it, or why it cannot be loaded; this is not an error. */
SG_API sg_status sg_import_describe(const sg_writer *to, const char *path, const sg_import_config *cfg,
                                    bool json, sg_error *err);

#ifdef __cplusplus
}
#endif
#endif
