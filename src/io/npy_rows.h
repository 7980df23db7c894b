/* SPDX-License-Identifier: MIT */
/* npy_rows.h - the rows of a NumPy file: a matrix or vector of floating-point numbers in C order, read in
 * constant memory. */
#ifndef SG_IO_NPY_ROWS_H
#define SG_IO_NPY_ROWS_H

#include "stategrad/base.h"

typedef struct rows_file rows_file;
/* A vector of n is 1 row of n. SG_EFORMAT: names what was found and what was expected. */
sg_status rows_open(rows_file **out, const char *path, sg_error *err);
/* The same over an array in memory, borrowed: rows x columns, row-major. name: for messages. */
sg_status rows_open_memory(rows_file **out, const char *name, const float *x, uint64_t rows, size_t columns,
                           sg_error *err);
uint64_t rows_count(const rows_file *f);
size_t rows_columns(const rows_file *f);
/* Rows start .. start+n-1 as float32. SG_ENONFINITE: names row and column. */
sg_status rows_read(const rows_file *f, uint64_t start, size_t n, float *x, sg_error *err);
void rows_close(rows_file *f);

#endif
