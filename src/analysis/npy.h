/* npy.h - NumPy's .npy files: float32 or float64, C order, one or two dimensions, read by rows in constant memory. */
#ifndef SG_NPY_H
#define SG_NPY_H

#include "stategrad/base.h"

typedef struct an_npy an_npy;
/* A vector of n is 1 row of n. SG_EFORMAT: names what was found and what was expected. */
sg_status npy_open(an_npy **out, const char *path, sg_error *err);
uint64_t npy_rows(const an_npy *f);
size_t npy_columns(const an_npy *f);
/* Rows start .. start+n-1 as float32. SG_ENONFINITE: names row and column. */
sg_status npy_read(const an_npy *f, uint64_t start, size_t n, float *x, sg_error *err);
void npy_close(an_npy *f);

#endif
