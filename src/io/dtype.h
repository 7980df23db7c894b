/* SPDX-License-Identifier: MIT */
/* dtype.h - types of stored numbers and their conversion to float32. */
#ifndef SG_IO_DTYPE_H
#define SG_IO_DTYPE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_F32,
    DTYPE_F64,
    DTYPE_I8,
    DTYPE_U8,
    DTYPE_I16,
    DTYPE_I32,
    DTYPE_I64,
    DTYPE_BOOL,
    DTYPE_OTHER /* quantised, complex, 8-bit floats: listed, never read */
} tensor_dtype;

bool dtype_is_float(tensor_dtype d);
size_t dtype_size(tensor_dtype d); /* bytes; 0: not readable */
const char *dtype_name(tensor_dtype d);
/* n little-endian floating-point numbers of this type. */
void dtype_to_float(float *out, const unsigned char *in, tensor_dtype d, size_t n);

#endif
