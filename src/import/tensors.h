/* SPDX-License-Identifier: MIT */
/* tensors.h - what every format yields: named tensors whose numbers stay in the file until asked for, a few
 * attributes, and where the format has them, vocabularies.
 *
 *   file --bag_open--> bag (tensors, attributes) --roles--> plan --build--> sg_model
 *
 * One file per format fills a bag: torch_zip.c, torch_legacy.c, safetensors_bag.c, keras.c, onnx.c, npy.c.
 * Names are unique. */
#ifndef SG_IMPORT_TENSORS_H
#define SG_IMPORT_TENSORS_H

#include "stategrad/import.h"

typedef enum {
    BAG_F16,
    BAG_BF16,
    BAG_F32,
    BAG_F64,
    BAG_I8,
    BAG_U8,
    BAG_I16,
    BAG_I32,
    BAG_I64,
    BAG_BOOL,
    BAG_OTHER /* quantised, complex, 8-bit floats: listed, never read */
} bag_dtype;

enum { BAG_MAX_RANK = 8, BAG_MAX_TENSORS = 1 << 13, BAG_MAX_NAME = 512 };

typedef struct {
    char *name;        /* with its path: "model.rnn.weight_ih_l0" */
    char *layer_class; /* of the module or layer it belongs to ("Embedding"); NULL: not known */
    bag_dtype dtype;
    unsigned rank;
    uint64_t dims[BAG_MAX_RANK];
    uint64_t elements;  /* product of dims, checked */
    unsigned container; /* tensors of one state_dict or module share a number */
    /* where the numbers are; two tensors with the same storage, offset and strides are one (tied weights) */
    size_t storage;  /* the format's own number for it */
    uint64_t offset; /* of element 0, in elements of the storage */
    uint64_t strides[BAG_MAX_RANK];
} bag_tensor;

typedef struct {
    char *key, *value;
} bag_attribute;

/* Receives n values: logical (row-major) indices first, first+stride, first+2*stride, ... of the tensor. */
typedef void (*bag_sink)(void *ctx, uint64_t first, uint64_t stride, const float *v, size_t n);

/* Words of a vocabulary that the file holds, one text. */
typedef struct {
    char *text; /* NUL-terminated words, one after the other */
    size_t *at; /* where word i begins */
    size_t n;
} bag_words;

typedef struct bag bag;
struct bag {
    char *path;
    int fd; /* of the file; -1: the format keeps its own */
    uint64_t file_size;
    uint64_t held; /* bytes of numbers that the format had to unpack into memory */
    sg_file_kind kind;
    bool in_order; /* tensors stand in the order in which the network defines them */
    bag_tensor *tensors;
    size_t n, room;
    bag_attribute *attributes;
    size_t n_attributes, attributes_room;
    /* filled by the format */
    void *format;
    sg_status (*read)(bag *b, const bag_tensor *t, bag_sink sink, void *ctx, sg_error *err);
    /* A vocabulary of exactly V entries inside the file; out->n 0: there is none. name tells where it stood.
     * NULL: the format has no such thing. */
    sg_status (*vocabulary)(bag *b, size_t V, bag_words *out, char name[BAG_MAX_NAME], sg_error *err);
    void (*close)(bag *b);
};

/* Opens any file this program knows as a model (sg_file_kind_of says which format) and lists its tensors. */
sg_status bag_open(bag **out, const char *path, sg_error *err);
void bag_free(bag *b);

/* Formats fill it with these. dims and strides are copied; strides NULL: row-major. SG_EFORMAT: a name twice,
 * too long or empty, sizes that overflow, too many tensors. The tensor stays valid until the next call. */
sg_status bag_add(bag *b, const char *name, bag_dtype dtype, unsigned rank, const uint64_t *dims,
                  const uint64_t *strides, bag_tensor **out, sg_error *err);
sg_status bag_set_attribute(bag *b, const char *key, const char *value, sg_error *err);
const char *bag_attribute_of(const bag *b, const char *key); /* NULL: none */

/* ---- using it ---- */
/* whole name, or what stands after a container's path */
const bag_tensor *bag_find(const bag *b, const char *name);
bool bag_same_data(const bag_tensor *a, const bag_tensor *b);
bool bag_is_float(bag_dtype d);
size_t bag_dtype_size(bag_dtype d); /* bytes; 0: not readable */
const char *bag_dtype_name(bag_dtype d);
/* "(4, 10)" */
const char *bag_shape(const bag_tensor *t, char text[96]);
void bag_words_free(bag_words *w);

/* ---- for formats whose tensors are strided views of stored bytes ---- */
/* Bytes at .. at+n-1 of the tensor's storage; calls come with rising at. */
typedef sg_status (*bag_fetch)(bag *b, const bag_tensor *t, uint64_t at, void *bytes, size_t n,
                               sg_error *err);
/* Streams t in storage order through a buffer of fixed size. SG_EFORMAT: overlapping strides, no float
 * dtype. */
sg_status bag_read_strided(bag *b, const bag_tensor *t, bag_fetch fetch, bag_sink sink, void *ctx,
                           sg_error *err);
/* Does the view stay within a storage of n elements? */
bool bag_view_fits(const bag_tensor *t, uint64_t n);
void bag_to_float(float *out, const unsigned char *in, bag_dtype dtype, size_t n);
/* n bytes of the file at offset; SG_EFORMAT: they are not there. */
sg_status bag_pread(bag *b, uint64_t at, void *bytes, size_t n, sg_error *err);

/* ---- the formats ---- */
sg_status bag_fill_torch_zip(bag *b, sg_error *err);
sg_status bag_fill_torch_legacy(bag *b, sg_error *err);
sg_status bag_fill_safetensors(bag *b, sg_error *err);
sg_status bag_fill_keras(bag *b, sg_error *err);
sg_status bag_fill_onnx(bag *b, sg_error *err);
sg_status bag_fill_npy(bag *b, sg_error *err);
sg_status bag_fill_npz(bag *b, sg_error *err);
/* --map ROLE=OTHER.npy of a NumPy file: the other array joins the bag under the name it was given by. */
sg_status bag_add_named_arrays(bag *b, const sg_import_config *cfg, sg_error *err);

#endif
