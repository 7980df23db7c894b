/* SPDX-License-Identifier: MIT */
/* lm.h - recurrent language models: embedding, stacked cells, softmax.
 *
 *   V words   E embedding size   L layers   H_l hidden size of layer l (1 = lowest)
 *   G gates (LSTM 4, GRU 3, RNN 1, minGRU 2, minLSTM 3)
 *   x_t = encoder[w_t]      a = W_ih x + b_ih + W_hh h_{t-1} + b_hh      logits = decoder h^L_t + bias
 *
 * Gate rows are in PyTorch's order: LSTM i,f,g,o; GRU r,z,n; minGRU z,h; minLSTM f,i,h. Tensors, row-major
 * float32, in one block:
 *   encoder.weight (V,E)  rnn.weight_ih_l{k} (G H, in)  rnn.weight_hh_l{k} (G H, H)  rnn.bias_ih_l{k} (G H)
 *   rnn.bias_hh_l{k} (G H)  decoder.weight (V,H_L)  decoder.bias (V)          k = 0 .. L-1
 * minGRU and minLSTM have no weight_hh and no bias_hh: their gates depend on x_t alone. */
#ifndef STATEGRAD_LM_H
#define STATEGRAD_LM_H

#include "stategrad/base.h"
#include "stategrad/corpus.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    SG_CELL_TANH, /* h = tanh(a) */
    SG_CELL_RELU, /* h = max(a, 0) */
    /* n = tanh(a_n + r*(W_hn h + b_hn)): PyTorch, Keras reset_after, ONNX linear_before_reset=1 */
    SG_CELL_GRU,
    SG_CELL_GRU_RESET_FIRST, /* n = tanh(a_n + W_hn (r*h) + b_hn): Keras reset_after=False, ONNX default */
    SG_CELL_LSTM,
    SG_CELL_MINGRU, /* minGRU, minLSTM of Feng et al. 2024: no W_hh, no b_hh */
    SG_CELL_MINLSTM,
    /* Gates by min(max(0.2 a + 0.5, 0), 1), the default of Keras 1 and 2; states by max(a, 0) */
    SG_CELL_LSTM_HARD,
    SG_CELL_LSTM_RELU,
    SG_CELL_LSTM_HARD_RELU,
    SG_CELL_GRU_RESET_FIRST_HARD
} sg_cell;

/* The states of a layer: h, which the next layer reads, and the cell state c of an LSTM. */
typedef enum { SG_STATE_CELL = 1, SG_STATE_HIDDEN = 2, SG_STATE_BOTH = 3 } sg_state_kind;

typedef enum { SG_OUTPUT_LINEAR, SG_OUTPUT_RELU, SG_OUTPUT_TANH } sg_output_activation;

enum { SG_MAX_LAYERS = 16 };

typedef struct {
    sg_cell cell;
    size_t layers;
    size_t vocabulary;            /* V; 0: no embedding, inputs are feature vectors of size E */
    size_t embedding;             /* E */
    size_t hidden[SG_MAX_LAYERS]; /* H_1 .. H_L */
    bool tied;                    /* decoder.weight is encoder.weight (needs H_L = E) */
    bool has_decoder;             /* false: states only, no perplexity */
    sg_output_activation output;  /* between the last layer and the decoder */
    sg_unit unit;
    bool eos; /* lines ended with <eos> in training */
} sg_model_shape;

/* Cells are numbered 0 .. sg_cell_count() - 1; equations: doc/method.md. Names: "rnn" (tanh), "rnn-relu",
 * "gru", "gru-reset-first", "lstm", "mingru", "minlstm", "lstm-hard", ... sg_cell_from_name returns false for
 * an unknown name. */
SG_API size_t sg_cell_count(void);
SG_API const char *sg_cell_name(sg_cell c);
SG_API bool sg_cell_from_name(sg_cell *out, const char *name);
SG_API const char *sg_cell_formula(sg_cell c); /* one line, human-readable */
/* A variant that occurs in files of other frameworks; `stategrad train` does not offer it. */
SG_API bool sg_cell_is_imported(sg_cell c);
SG_API size_t sg_cell_gates(sg_cell c);
SG_API sg_state_kind sg_cell_states(sg_cell c);        /* HIDDEN or BOTH */
SG_API sg_state_kind sg_cell_default_state(sg_cell c); /* the state analysed by default: CELL or HIDDEN */

SG_API sg_status sg_model_shape_check(const sg_model_shape *shape, sg_error *err);

typedef struct sg_model sg_model;

/* All parameters zero. vocab is copied into the model (NULL when V is 0). SG_EINVAL:
 * inconsistent sizes or overflow. */
SG_API sg_status sg_model_new(sg_model **out, const sg_model_shape *shape, const sg_vocab *vocab,
                              sg_error *err);
/* U(-range, range) for all weights including biases (decoder bias 0), as in the papers. */
SG_API void sg_model_init_uniform(sg_model *m, float range, uint64_t seed);
/* The same shape and vocabulary with the initialisation recorded in its metadata (else U(-0.05, 0.05)). */
SG_API sg_status sg_model_new_untrained(sg_model **out, const sg_model *m, uint64_t seed, sg_error *err);
SG_API const sg_model_shape *sg_model_get_shape(const sg_model *m);
SG_API const sg_vocab *sg_model_vocab(const sg_model *m); /* borrowed; NULL when V is 0 */
SG_API void sg_model_free(sg_model *m);

/* ---- tensors and metadata ---- */
typedef struct {
    const char *name;
    size_t rows, cols; /* cols 1 and rank 1 for biases */
    unsigned rank;
    float *data; /* rows*cols, inside the model's block */
} sg_tensor;
SG_API size_t sg_model_tensors(const sg_model *m);
SG_API const sg_tensor *sg_model_tensor(const sg_model *m, size_t i);
SG_API const sg_tensor *sg_model_find(const sg_model *m, const char *name); /* NULL: none */
/* Strings for the file's metadata ("trained_epochs", "valid_perplexity", ...). Keys that record shape and
 * vocabulary (format, cell, vocabulary, ...) are reserved. Bytes of a value that are not UTF-8 become '?'. */
SG_API sg_status sg_model_set_meta(sg_model *m, const char *key, const char *value, sg_error *err);
SG_API const char *sg_model_meta(const sg_model *m, const char *key); /* NULL: none */

/* ---- files (safetensors: doc/model-file.md) ---- */
SG_API sg_status sg_model_write(const sg_model *m, const char *path, sg_error *err);
/* Reads a stategrad-model file. SG_EFORMAT: another format, truncated, wrong shape; SG_ENONFINITE: names
 * tensor and index. */
SG_API sg_status sg_model_read(sg_model **out, const char *path, sg_error *err);
/* Hexadecimal SHA-256 of shape, vocabulary and weights, independent of the file format. On failure
 * (SG_ENOMEM) hex is empty. */
SG_API sg_status sg_model_sha256(const sg_model *m, char hex[65]);

/* ---- perplexity ---- */
typedef struct {
    uint64_t tokens; /* predicted tokens */
    uint64_t unknown_tokens;
    double nats_per_token, perplexity;
} sg_eval;
/* SG_EFORMAT: the model has no decoder; for an imported model, the message states why. */
SG_API sg_status sg_lm_can_eval(const sg_model *m, sg_error *err);
/* The state is carried along the stream from zero, and every token but the first is predicted. reset: the
 * state is zero at each sentence start, and the first token of a sentence, which has no context, is not
 * counted: the loss is the sum over sentences scored independently, in any order. */
SG_API sg_status sg_lm_eval(sg_eval *out, const sg_model *m, const sg_stream *s, bool reset, int threads,
                            const sg_monitor *monitor, sg_error *err);

#ifdef __cplusplus
}
#endif
#endif
