/* SPDX-License-Identifier: MIT */
/* npy.h - NumPy's array files: header, shape, rows of float32. */
#ifndef SG_IO_NPY_H
#define SG_IO_NPY_H

#include "import/tensors.h"

typedef struct {
    bag_dtype dtype;
    bool fortran; /* column-major */
    unsigned rank;
    uint64_t dims[BAG_MAX_RANK];
    size_t data; /* where the numbers begin */
} npy_header;

enum { NPY_MAX_HEADER = 1 << 14 };
/* head: the first n bytes of the file. SG_EFORMAT: none, or of a kind that is not read (objects,
 * big-endian). */
sg_status npy_parse(npy_header *out, const unsigned char *head, size_t n, const char *name, sg_error *err);

#endif
