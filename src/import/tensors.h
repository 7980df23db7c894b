/* SPDX-License-Identifier: MIT */
/* tensors.h - what every format yields: named tensors whose numbers stay in the file until asked for, a few
 * attributes, and where the format has them, vocabularies.
 *
 *   file --tensors_open--> tensor file (tensors, attributes) --recipe_find--> recipe --recipe_build-->
 *   sg_model
 *
 * Each format has its source file: torch_zip.c, torch_legacy.c, safetensors_tensors.c, keras.c,
 * onnx_tensors.c, npy_tensors.c. Names are unique. */
#ifndef SG_IMPORT_TENSORS_H
#define SG_IMPORT_TENSORS_H

#include "stategrad/import.h"

#include "io/dtype.h"

enum { TENSORS_MAX_RANK = 8, TENSORS_MAX_TENSORS = 1 << 13, TENSORS_MAX_NAME = 512 };

typedef struct {
    char *name;        /* with its path: "model.rnn.weight_ih_l0" */
    char *layer_class; /* of the module or layer it belongs to ("Embedding"); NULL: not known */
    tensor_dtype dtype;
    char other_type[16]; /* what the file calls a type that is DTYPE_OTHER; "" not known */
    unsigned rank;
    uint64_t dims[TENSORS_MAX_RANK];
    uint64_t elements;  /* product of dims, checked */
    unsigned container; /* tensors of one state_dict or module share a number */
    /* where the numbers are; two tensors with the same storage, offset and strides are one (tied weights) */
    size_t storage;  /* the format's own number for it */
    uint64_t offset; /* of element 0, in elements of the storage */
    uint64_t strides[TENSORS_MAX_RANK];
} stored_tensor;

typedef struct {
    char *key, *value;
} file_attribute;

/* Receives n values: logical (row-major) indices first, first+stride, first+2*stride, ... of the tensor. */
typedef void (*tensor_sink)(void *ctx, uint64_t first, uint64_t stride, const float *v, size_t n);

/* Words of a vocabulary that the file holds, one text. */
typedef struct {
    char *text; /* NUL-terminated words, one after the other */
    size_t *at; /* where word i begins */
    size_t n;
} word_list;

typedef struct tensor_file tensor_file;
struct tensor_file {
    char *path;
    int fd; /* of the file; -1: the format keeps its own */
    uint64_t file_size;
    uint64_t held; /* bytes of numbers that the format had to unpack into memory */
    sg_file_format format;
    bool in_order; /* tensors are in the order in which the network defines them */
    stored_tensor *tensors;
    size_t n, room;
    file_attribute *attributes;
    size_t n_attributes, attributes_room;
    /* filled by the format */
    void *reader;
    sg_status (*read)(tensor_file *b, const stored_tensor *t, tensor_sink sink, void *ctx, sg_error *err);
    /* A vocabulary of exactly V entries inside the file; out->n 0: there is none. name: its entry.
     * NULL: the format has no such thing. */
    sg_status (*vocabulary)(tensor_file *b, size_t V, word_list *out, char name[TENSORS_MAX_NAME],
                            sg_error *err);
    void (*close)(tensor_file *b);
};

/* Opens any file this program knows as a model (sg_file_format_of gives the format) and lists its tensors. */
sg_status tensors_open(tensor_file **out, const char *path, sg_error *err);
void tensors_free(tensor_file *b);
/* SG_EFORMAT: what a file is that no reader takes, and what to do (unsupported_formats.c). */
sg_status file_not_read(const char *path, sg_error *err);
/* Does the name end like that of a file of weights? */
bool file_is_weights(const char *name);

/* Formats fill it with these. dims and strides are copied; strides NULL: row-major. SG_EFORMAT: a name twice,
 * too long or empty, sizes that overflow, too many tensors. The tensor stays valid until the next call. */
sg_status tensors_add(tensor_file *b, const char *name, tensor_dtype dtype, unsigned rank,
                      const uint64_t *dims, const uint64_t *strides, stored_tensor **out, sg_error *err);
sg_status tensors_set_attribute(tensor_file *b, const char *key, const char *value, sg_error *err);
const char *tensors_attribute(const tensor_file *b, const char *key); /* NULL: none */

/* ---- using it ---- */
/* whole name, or the part after a container's path */
const stored_tensor *tensors_find(const tensor_file *b, const char *name);
const char *tensor_type_name(const stored_tensor *t); /* "float32", or what the file calls its own type */
bool tensors_same_data(const stored_tensor *a, const stored_tensor *b);
/* "(4, 10)" */
const char *shape_text(const stored_tensor *t, char text[96]);
void word_list_free(word_list *w);

/* ---- for formats whose tensors are strided views of stored bytes ---- */
/* Bytes at .. at+n-1 of the tensor's storage; calls come with rising at. */
typedef sg_status (*tensor_fetch)(tensor_file *b, const stored_tensor *t, uint64_t at, void *bytes, size_t n,
                                  sg_error *err);
/* Streams t in storage order through a buffer of fixed size. SG_EFORMAT: overlapping strides, no float
 * dtype. */
sg_status tensors_read_strided(tensor_file *b, const stored_tensor *t, tensor_fetch fetch, tensor_sink sink,
                               void *ctx, sg_error *err);
/* Does the view stay within a storage of n elements? */
bool tensor_view_fits(const stored_tensor *t, uint64_t n);
/* n bytes of the file at offset; SG_EFORMAT: they are not there. */
sg_status tensors_pread(tensor_file *b, uint64_t at, void *bytes, size_t n, sg_error *err);

/* ---- the formats ---- */
sg_status tensors_from_torch_zip(tensor_file *b, sg_error *err);
sg_status tensors_from_torch_legacy(tensor_file *b, sg_error *err);
sg_status tensors_from_safetensors(tensor_file *b, sg_error *err);
sg_status tensors_from_keras(tensor_file *b, sg_error *err);
sg_status tensors_from_tf_index(tensor_file *b, sg_error *err);
sg_status tensors_from_tfjs(tensor_file *b, sg_error *err);
sg_status tensors_from_onnx(tensor_file *b, sg_error *err);
sg_status tensors_from_npy(tensor_file *b, sg_error *err);
sg_status tensors_from_npz(tensor_file *b, sg_error *err);
/* The array of another .npy file joins b, a file of NumPy arrays, under this name. b owns `file` from then
 * on. */
sg_status npy_tensors_add(tensor_file *b, tensor_file *file, const char *name, sg_error *err);
/* --map ROLE=OTHER.npy of a NumPy file: the other array joins the tensor file under the name it was given
 * by. */
sg_status tensors_add_named_arrays(tensor_file *b, const sg_import_config *cfg, sg_error *err);

#endif
