/* SPDX-License-Identifier: MIT */
/* recipe.h - a reading of a tensor file: which tensor plays which role, and how its entries lie in it.
 *
 *   tensor file --recipe_find (by format)--> recipe --recipe_build--> sg_model
 *
 * Formats that carry a graph or a configuration (ONNX, Keras) are read from it; tensor files of names
 * (PyTorch, safetensors) by name and shape (by_name.c). A recipe owns nothing of the tensor file and lives no
 * longer. */
#ifndef SG_IMPORT_RECIPE_H
#define SG_IMPORT_RECIPE_H

#include "import/tensors.h"

/* How the matrix in the file relates to ours (rows = gates * H, columns = inputs). */
typedef enum {
    LAYOUT_ROWS,    /* as ours */
    LAYOUT_COLUMNS, /* (inputs, gates*H): its columns are our rows (Keras, TensorFlow, ONNX MatMul) */
    /* Keras CuDNN kernel (in, G*H): gate g's (in,H) block is, in memory order, our (H,in) */
    LAYOUT_CUDNN_INPUT,
    LAYOUT_CUDNN_RECURRENT /* Keras CuDNN kernel (H, G*H): gate g's block is ours, not transposed */
} recipe_layout;

/* Where the numbers of one role come from. */
typedef struct {
    const stored_tensor *tensor; /* NULL: zeros */
    /* One tensor per gate, each (H, columns): part[k] is our gate gate[k], tensor is part[0]. None: part[0]
     * NULL. */
    const stored_tensor *part[4];
    uint8_t part_block[4];     /* which block of H rows of part[k] it is */
    const stored_tensor *norm; /* weight norm: row r is norm[r] * v_r / |v_r|, v_r the row read; NULL: none */
    recipe_layout layout;
    uint64_t columns;       /* columns of the tensor as a matrix (its last dimension) */
    uint64_t row0, column0; /* where our block begins, counted in our rows and columns */
    uint8_t gate[4];        /* the file's gate block k is our gate gate[k] */
    unsigned gates;         /* 0: no gates (encoder, decoder) */
} recipe_source;

/* An affine map that the model multiplies into its weights: y = weight x + bias (rows of the output), or a
 * normalisation with fixed statistics, y = (x - mean) / sqrt(variance + epsilon) * weight + bias. */
typedef struct {
    size_t rows, columns;
    recipe_source weight, bias;
    recipe_source mean, variance; /* tensors of a normalisation; NULL in an ordinary map */
    bool normalisation;
    double epsilon, factor; /* factor: times y; 0 means 1 */
} recipe_map;

enum { RECIPE_MAX_NOTES = 16, RECIPE_NOTE = 512, RECIPE_MAPS = 8 };

typedef struct {
    size_t H, in;
    recipe_source W_ih, W_hh, b_ih, b_hh;
    /* between the embedding or the layer below and this one, in the order of their use */
    recipe_map before[RECIPE_MAPS];
    size_t n_before;
} recipe_layer;

typedef struct {
    sg_model_shape shape;
    recipe_layer layers[SG_MAX_LAYERS];
    recipe_source encoder, decoder, decoder_bias;
    bool one_hot;                  /* the embedding is the identity: inputs are one-hot vectors */
    recipe_map after[RECIPE_MAPS]; /* between the top layer and the decoder */
    size_t n_after;
    char vocabulary_from[TENSORS_MAX_NAME];    /* the entry of the file that holds the words; "": none did */
    char ignored[RECIPE_NOTE];                 /* names of the tensors left out by setting 'ignore' */
    double forget_bias;                        /* to add to the forget gate's bias_ih */
    char no_decoder[RECIPE_NOTE];              /* why has_decoder is false; "" when there simply is none */
    char notes[RECIPE_MAX_NOTES][RECIPE_NOTE]; /* assumptions made, one line each */
    size_t n_notes;
} recipe;

/* Reads the tensors into a new model with this vocabulary (NULL when the shape has none). SG_ENONFINITE names
 * the file's tensor and the index. */
sg_status recipe_build(sg_model **out, tensor_file *b, const recipe *p, const sg_vocab *vocab, sg_error *err);

/* ---- for the finders ---- */
void recipe_note(recipe *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Finders by format. */
sg_status find_by_name(recipe *p, const tensor_file *b, const sg_import_config *cfg, sg_error *err);
sg_status find_keras(recipe *p, const tensor_file *b, const sg_import_config *cfg, sg_error *err);
sg_status find_onnx(recipe *p, const tensor_file *b, const sg_import_config *cfg, sg_error *err);
sg_status find_tf_kernels(recipe *p, const tensor_file *b, const sg_import_config *cfg, sg_error *err);
/* The tensor that --map names for this role; NULL and SG_OK: the role is not mapped. */
sg_status recipe_mapped(const stored_tensor **out, const tensor_file *b, const sg_import_config *cfg,
                        const char *role, sg_error *err);
/* The tensors of a role that --map names: one, or one per gate with commas between. *n 0: not mapped. */
sg_status recipe_mapped_parts(const stored_tensor *out[4], size_t *n, const tensor_file *b,
                              const sg_import_config *cfg, const char *role, sg_error *err);
/* Does this text of --map name a tensor, or one per gate? */
bool recipe_is_mapped_list(const tensor_file *b, const char *text);
/* Does --map give this tensor to a role? role: to another one than this; NULL: to any. */
bool recipe_is_mapped(const tensor_file *b, const sg_import_config *cfg, const stored_tensor *t,
                      const char *role);
/* The gates of the file in its order, as in --gate-order or `usual` ("ifgo", "rzn"): gate[k] is our place of
 * block k.
 * SG_EINVAL: letters that do not name the cell's gates. */
sg_status recipe_gate_order(uint8_t gate[4], const sg_import_config *cfg, unsigned gates, const char *usual,
                            sg_error *err);
/* Are all numbers of the tensor 0? */
sg_status recipe_is_zero(bool *out, const tensor_file *b, const stored_tensor *t, sg_error *err);
bool recipe_ignored(const sg_import_config *cfg, const stored_tensor *t);
/* The width of what a layer and its maps read. */
size_t recipe_reads(const recipe_layer *l);
/* Shapes of consecutive layers fit; fills the shape's sizes from layers[0..n). */
sg_status recipe_chain(recipe *p, const tensor_file *b, size_t n, sg_error *err);

#endif
