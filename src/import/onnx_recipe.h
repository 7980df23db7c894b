/* SPDX-License-Identifier: MIT */
/* onnx_recipe.h - what the parts of the reading of an ONNX graph share: onnx_walk.c follows values,
 * onnx_cell.c reads one recurrent node, onnx_state.c its initial state, onnx_recipe.c puts the recipe
 * together. */
#ifndef SG_IMPORT_ONNX_RECIPE_H
#define SG_IMPORT_ONNX_RECIPE_H

#include "import/onnx.h"
#include "import/recipe.h"

typedef struct {
    const onnx_node *node;
    const stored_tensor *W, *R, *B;
    uint64_t H, in, G;
    sg_cell cell;
    bool both;                      /* bidirectional; the forward direction is read */
    int below;                      /* the recurrent node whose output it reads; -1: none */
    onnx_value source;              /* what it reads when that is not a recurrent node */
    recipe_map before[RECIPE_MAPS]; /* linear maps between what is below and it, in the order of their use */
    size_t n_before;
} onnx_recurrent;

/* ---- onnx_walk.c ---- */
bool onnx_is_recurrent(const Onnx__NodeProto *n);
/* Operators that change the order of dimensions, the type or nothing. */
bool onnx_passes_on(const Onnx__NodeProto *n);
/* The last step of a sequence: Gather or Slice at the constant index -1. */
bool onnx_takes_last(const tensor_file *b, const onnx_node *n);
const char *onnx_input(const Onnx__NodeProto *n, size_t k); /* "": none */
const char *onnx_label(const Onnx__NodeProto *n);           /* its name, or that of its output */
/* Down from a value through operators that pass it on. depth: 0. */
onnx_value onnx_walk_down(const tensor_file *b, onnx_value v, unsigned depth);
bool onnx_is_embedding(const tensor_file *b, const onnx_node *n);
/* An embedding or a recurrent node below this value; NULL: none. */
sg_status onnx_words_below(const onnx_node **out, const tensor_file *b, onnx_value v, sg_error *err);
/* The constant operand of a node with two inputs (NULL: none); *which of them it is. */
sg_status onnx_constant_operand(const stored_tensor **out, size_t *which, const tensor_file *b,
                                const onnx_node *n, sg_error *err);
/* MatMul or Gemm with a constant second operand, as a map of `columns` inputs (0: any). */
sg_status onnx_read_map(recipe_map *m, bool *fine, const tensor_file *b, const onnx_node *n, uint64_t columns,
                        sg_error *err);
/* BatchNormalization in evaluation, as a map of `width` numbers. */
sg_status onnx_read_normalisation(recipe_map *m, bool *fine, const tensor_file *b, const onnx_node *n,
                                  uint64_t width, sg_error *err);
/* Down from what a layer reads (r->source) through linear maps to an embedding or a recurrent node: those
 * maps in r->before, and r->source where the walk stops. r->n_before 0: not a chain of maps. */
sg_status onnx_walk_maps_down(onnx_recurrent *r, const tensor_file *b, sg_error *err);

/* ---- onnx_cell.c ---- */
/* SG_EFORMAT: "FILE: LSTM node NAME (tensor T) " and why. */
sg_status onnx_refuse(const tensor_file *b, const onnx_recurrent *r, const char *why, sg_error *err);
sg_status onnx_read_recurrent(onnx_recurrent *r, const tensor_file *b, const onnx_node *node,
                              const sg_import_config *cfg, sg_error *err);
recipe_layer onnx_layer(const onnx_recurrent *r);

/* ---- onnx_state.c ---- */
/* States begin at zero here. A state that is an input of the graph is the caller's, who begins with zeros. */
sg_status onnx_check_initial_state(const tensor_file *b, const onnx_recurrent *r, sg_error *err);

#endif
