/* SPDX-License-Identifier: MIT */
/* onnx.h - an ONNX file as a graph: nodes of all subgraphs, names resolved through scopes, constant tensors
 * as views.
 *
 * A constant may pass through Slice, Concat, Unsqueeze, Squeeze, Transpose, Reshape, Identity, Cast before it
 * reaches a recurrent node. Such a value is a view: boxes of initializers, nothing is computed or copied
 * until it is read. */
#ifndef SG_IMPORT_ONNX_H
#define SG_IMPORT_ONNX_H

#include "import/tensors.h"

#include "onnx.pb-c.h"

enum { ONNX_MAX_NODES = 1 << 16, ONNX_MAX_GRAPHS = 1 << 10, ONNX_MAX_PIECES = 64, ONNX_MAX_VIEWS = 512 };

typedef struct {
    const Onnx__NodeProto *proto;
    uint32_t graph;
} onnx_node;

/* What a name means in its scope. */
typedef enum { ONNX_NOTHING, ONNX_NODE, ONNX_TENSOR, ONNX_INPUT } onnx_what;
typedef struct {
    onnx_what what;
    uint32_t node; /* NODE: its number, and which of its outputs */
    uint32_t output;
    const Onnx__TensorProto *tensor; /* TENSOR */
    uint32_t graph;                  /* where it is defined */
} onnx_value;

const char *onnx_text(const char *s); /* "" for a field that is not there */
size_t onnx_nodes(const tensor_file *b);
const onnx_node *onnx_node_at(const tensor_file *b, size_t i);
/* The name as seen from inside a graph; empty names are ONNX_NOTHING. */
onnx_value onnx_lookup(const tensor_file *b, const char *name, uint32_t graph);
const Onnx__AttributeProto *onnx_attribute(const Onnx__NodeProto *n, const char *name); /* NULL: none */
int64_t onnx_attribute_int(const Onnx__NodeProto *n, const char *name, int64_t otherwise);
bool onnx_is(const Onnx__NodeProto *n, const char *op_type);
/* The subgraphs of a node (If: two), and where output k of one of them is made. */
size_t onnx_subgraphs(const tensor_file *b, uint32_t node, uint32_t graphs[2]);
const char *onnx_graph_output(const tensor_file *b, uint32_t graph, size_t k); /* NULL: none */
/* The node that holds a graph; false: it is the outermost. */
bool onnx_graph_owner(const tensor_file *b, uint32_t graph, uint32_t *node);

/* The constant float tensor behind a name, as a tensor that the tensor file can read; NULL and SG_OK: it is
 * no constant. `what` names it in messages. SG_EFORMAT: it passes through an operator that is not understood,
 * or reaches outside. */
sg_status onnx_constant(const stored_tensor **out, const tensor_file *b, const char *name, uint32_t graph,
                        const char *what, sg_error *err);
/* Are two constants the same boxes of the same initializers? */
bool onnx_same(const tensor_file *b, const stored_tensor *x, const stored_tensor *y);

#endif
