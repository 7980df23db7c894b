/* SPDX-License-Identifier: MIT */
/* recipe.h - a reading of a bag: which tensor plays which role, and how its entries lie in it.
 *
 *   bag --plan_find (by format)--> plan --plan_build--> sg_model
 *
 * Formats that carry a graph or a configuration (ONNX, Keras) are read from it; bags of names (PyTorch,
 * safetensors) by name and shape (roles.c). A plan owns nothing of the bag and lives no longer. */
#ifndef SG_IMPORT_RECIPE_H
#define SG_IMPORT_RECIPE_H

#include "import/tensors.h"

/* How the matrix in the file lies beside ours (rows = gates * H, columns = inputs). */
typedef enum {
    LAYOUT_ROWS,    /* as ours */
    LAYOUT_COLUMNS, /* (inputs, gates*H): its columns are our rows (Keras, TensorFlow, ONNX MatMul) */
    /* Keras CuDNN kernel (in, G*H): gate g's (in,H) block is, in memory order, our (H,in) */
    LAYOUT_CUDNN_INPUT,
    LAYOUT_CUDNN_RECURRENT /* Keras CuDNN kernel (H, G*H): gate g's block is ours, not transposed */
} plan_layout;

/* Where the numbers of one role come from. */
typedef struct {
    const bag_tensor *tensor; /* NULL: zeros */
    plan_layout layout;
    uint64_t columns;       /* the tensor seen as a matrix of so many columns (its last dimension) */
    uint64_t row0, column0; /* where our block begins, counted in our rows and columns */
    uint8_t gate[4];        /* the file's gate block k is our gate gate[k] */
    unsigned gates;         /* 0: no gates (encoder, decoder) */
} plan_source;

typedef struct {
    size_t H, in;
    plan_source W_ih, W_hh, b_ih, b_hh;
} plan_layer;

enum { PLAN_MAX_NOTES = 16, PLAN_NOTE = 400 };

typedef struct {
    sg_model_shape shape;
    plan_layer layers[SG_MAX_LAYERS];
    plan_source encoder, decoder, decoder_bias;
    double forget_bias;                    /* to add to the forget gate's bias_ih */
    char no_decoder[PLAN_NOTE];            /* why has_decoder is false; "" when there simply is none */
    char notes[PLAN_MAX_NOTES][PLAN_NOTE]; /* assumptions made, one line each */
    size_t n_notes;
} plan;

/* The reading of the bag, or SG_EFORMAT with the reason why there is none: tensor, what is wrong, what would
 * help. */
sg_status plan_find(plan *out, const bag *b, const sg_import_config *cfg, sg_error *err);
/* Reads the tensors into a new model with this vocabulary (NULL when the shape has none). SG_ENONFINITE names
 * the file's tensor and the index. */
sg_status plan_build(sg_model **out, bag *b, const plan *p, const sg_vocab *vocab, sg_error *err);

/* ---- for the finders ---- */
void plan_note(plan *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Finders by format. */
sg_status plan_find_by_name(plan *p, const bag *b, const sg_import_config *cfg, sg_error *err);
sg_status plan_find_keras(plan *p, const bag *b, const sg_import_config *cfg, sg_error *err);
sg_status plan_find_onnx(plan *p, const bag *b, const sg_import_config *cfg, sg_error *err);
sg_status plan_find_kernels(plan *p, const bag *b, const sg_import_config *cfg, sg_error *err);
/* The tensor that --map names for this role; NULL and SG_OK: the role is not mapped. */
sg_status plan_mapped(const bag_tensor **out, const bag *b, const sg_import_config *cfg, const char *role,
                      sg_error *err);
bool plan_ignored(const sg_import_config *cfg, const bag_tensor *t);
/* Shapes of consecutive layers fit; fills the shape's sizes from layers[0..n). */
sg_status plan_chain(plan *p, const bag *b, size_t n, sg_error *err);

#endif
