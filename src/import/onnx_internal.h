/* SPDX-License-Identifier: MIT */
/* onnx_internal.h - what the parts of the ONNX reader share: onnx_file.c unpacks the messages and fetches
 * numbers, onnx_tensors.c lists graphs, nodes and names, onnx.c looks them up, onnx_view.c follows constants
 * through the operators that only move numbers. */
#ifndef SG_IMPORT_ONNX_INTERNAL_H
#define SG_IMPORT_ONNX_INTERNAL_H

#include "import/onnx.h"

/* A box of one initializer, and where it lies in a view. */
typedef struct {
    uint32_t tensor; /* in the tensor_file */
    uint64_t offset;
    uint64_t stride[TENSORS_MAX_RANK]; /* in elements of the initializer, one per dimension of the view */
    uint64_t start[TENSORS_MAX_RANK];  /* the box within the view */
    uint64_t count[TENSORS_MAX_RANK];
} onnx_piece;

typedef struct {
    unsigned rank;
    uint64_t dims[TENSORS_MAX_RANK];
    size_t n;
    onnx_piece pieces[ONNX_MAX_PIECES];
} onnx_view;

typedef struct {
    const char *name;
    onnx_value value;
} onnx_definition;

typedef struct {
    const Onnx__GraphProto *proto;
    uint32_t parent, owner; /* the graph around it, and the node in that; itself for the outermost */
} onnx_graph;

typedef struct {
    uint64_t left;
} onnx_budget;

/* reader of an ONNX file */
typedef struct {
    onnx_budget memory;
    ProtobufCAllocator allocator;
    Onnx__ModelProto *model;
    onnx_graph *graphs;
    size_t n_graphs;
    onnx_node *nodes;
    size_t n_nodes, nodes_room;
    onnx_definition *names;
    size_t n_names, names_room;
    const Onnx__TensorProto **tensors; /* of the tensor file's entries */
    size_t n_tensors, tensors_room;
    onnx_view **views;
    stored_tensor *view_tensors; /* their faces to the world; storage is the number of the view */
    size_t n_views;
    size_t steps; /* of resolving constants: a graph can name the same node again and again */
} onnx;

/* Unpacks b's file into f->model. The numbers of large tensors stay in the file: such a tensor has a segment
 * (begin and end in the file) instead of raw_data. Sets b->held. */
sg_status onnx_unpack(tensor_file *b, sg_error *err);
void onnx_unpacked_free(onnx *f);
/* Does the file hold the tensor's numbers, as many as its dims need? */
bool onnx_has_data(const Onnx__TensorProto *t, tensor_dtype d, uint64_t elements);
/* A tensor_fetch; t->storage is the tensor's number in f->tensors. */
sg_status onnx_fetch(tensor_file *b, const stored_tensor *t, uint64_t at, void *bytes, size_t n,
                     sg_error *err);

/* Compares two onnx_definition by name and scope, for qsort and bsearch. */
int onnx_by_name(const void *a, const void *b);

/* b->read of an ONNX file: the tensor is one that onnx_constant gave. */
sg_status onnx_read(tensor_file *b, const stored_tensor *t, tensor_sink sink, void *ctx, sg_error *err);
tensor_dtype onnx_dtype(int32_t type); /* DTYPE_OTHER: not one that is read */

#endif
