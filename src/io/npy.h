/* SPDX-License-Identifier: MIT */
/* npy.h - NumPy's array files: header, shape, rows of float32. */
#ifndef SG_IO_NPY_H
#define SG_IO_NPY_H

#include "stategrad/base.h"

#include "io/dtype.h"

enum { NPY_MAX_HEADER = 1 << 14, NPY_MAX_RANK = 8 };

typedef struct {
    tensor_dtype dtype;
    bool fortran; /* column-major */
    unsigned rank;
    uint64_t dims[NPY_MAX_RANK];
    size_t data; /* where the numbers begin */
} npy_header;

/* head: the first n bytes of the file. SG_EFORMAT: none, or of a kind that is not read (objects,
 * big-endian). */
sg_status npy_parse(npy_header *out, const unsigned char *head, size_t n, const char *name, sg_error *err);

#endif
