/* SPDX-License-Identifier: MIT */
/* safetensors.h - the container format: 8 bytes of header length, a JSON header, raw little-endian tensors.
 *
 * Opening checks the whole header before anything is read: lengths inside the file, shapes that do
 * not overflow and agree with their bytes, no two tensors overlapping, no gaps, no name twice. Memory: the
 * header and its parse; tensors are read from their place in the file, into memory of the caller's. */
#ifndef SG_IO_SAFETENSORS_H
#define SG_IO_SAFETENSORS_H

#include "stategrad/base.h"

enum { SG_SAFETENSORS_MAX_RANK = 8 };

typedef struct {
    const char *name;
    const char *dtype; /* "F32", "F16", "BF16", "F64", "I64", ... */
    size_t rank, shape[SG_SAFETENSORS_MAX_RANK];
    size_t elements;     /* product of the shape (1 for rank 0) */
    uint64_t begin, end; /* bytes from the start of the data */
} sg_safetensor;

typedef struct sg_safetensors sg_safetensors;
/* SG_EIO: cannot be opened; SG_EFORMAT: with file, tensor, found and expected. */
sg_status safetensors_open(sg_safetensors **out, const char *path, sg_error *err);
/* in the order of the header */
size_t safetensors_count(const sg_safetensors *s);
const sg_safetensor *safetensors_get(const sg_safetensors *s, size_t i);
const sg_safetensor *safetensors_find(const sg_safetensors *s, const char *name); /* NULL: none */
const char *safetensors_meta(const sg_safetensors *s, const char *key);           /* NULL: none; borrowed */
size_t safetensors_meta_count(const sg_safetensors *s);
/* Entry i of __metadata__, in the order of the file. */
void safetensors_meta_get(const sg_safetensors *s, size_t i, const char **key, const char **value);
/* The tensor's elements as float32; F64, F16 and BF16 are converted. SG_EFORMAT: another dtype; SG_EIO.
 * Infinities and NaN pass: the caller knows what they mean. */
sg_status safetensors_read(const sg_safetensors *s, const sg_safetensor *t, float *values, sg_error *err);
/* Hex SHA-256 of the bytes of all tensors, in the byte order of their names, wherever they lie in the
 * file. */
sg_status safetensors_sha256(const sg_safetensors *s, char hex[65], sg_error *err);
void safetensors_close(sg_safetensors *s);

/* At least as many values as a parser will make of this JSON text: known before it takes memory for them. */
size_t json_value_count(const char *text, size_t n);

#endif
