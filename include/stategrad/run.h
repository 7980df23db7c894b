/* SPDX-License-Identifier: MIT */
/* run.h - the run file (NetCDF-4): the results of an analysis, readable by xarray. Names and shapes:
 * doc/run-file.md.
 *
 * Variables are read by name and hyperslab, so that memory stays small. The file is checked at open;
 * SG_EFORMAT: inconsistent dimensions, missing variables, invalid sizes, a wrong checksum. */
#ifndef STATEGRAD_RUN_H
#define STATEGRAD_RUN_H

#include "stategrad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sg_run sg_run;
SG_API sg_status sg_run_open(sg_run **out, const char *path, sg_error *err);
SG_API void sg_run_close(sg_run *r);

SG_API size_t sg_run_delays(const sg_run *r);  /* D */
SG_API size_t sg_run_classes(const sg_run *r); /* "all" is class 0 */
SG_API const char *sg_run_class_name(const sg_run *r, size_t c);
SG_API uint64_t sg_run_class_tokens(const sg_run *r, size_t c);
SG_API size_t sg_run_properties(const sg_run *r);
SG_API const char *sg_run_property_name(const sg_run *r, size_t p);
SG_API size_t sg_run_embedding(const sg_run *r); /* E */

/* Groups: "layer1.cell", "layer1.hidden", ..., in this order; baselines as "untrained.layer1.cell". */
SG_API size_t sg_run_groups(const sg_run *r);
SG_API const char *sg_run_group_name(const sg_run *r, size_t g);
SG_API size_t sg_run_units(const sg_run *r, size_t g); /* H */
SG_API size_t sg_run_rank(const sg_run *r, size_t g);  /* min(H, E) */

/* Attributes of the root as text (numbers are formatted); NULL: none. Borrowed. */
SG_API size_t sg_run_attributes(const sg_run *r);
SG_API const char *sg_run_attribute_name(const sg_run *r, size_t i);
SG_API const char *sg_run_attribute(const sg_run *r, const char *name);
/* One of them for readers: eos_word and unk_word are ids in the file; here they are the word, or "none".
 * *out: NULL if there is no such attribute; free with sg_string_free. SG_EIO, SG_EFORMAT: the words cannot be
 * read; SG_ENOMEM. */
SG_API sg_status sg_run_attribute_shown(const sg_run *r, const char *name, char **out, sg_error *err);

/* A variable's number of dimensions and their lengths; group NULL: the root. *rank 0 and
 * false: no such variable. */
enum { SG_RUN_MAX_DIMS = 6 };
SG_API bool sg_run_shape(const sg_run *r, const char *group, const char *variable, size_t *rank,
                         size_t shape[SG_RUN_MAX_DIMS]);
/* Variables of a group (NULL: the root) are i = 0, 1, ... in the order of the file, and so are the dimensions
 * k = 0, 1, ... of a variable. The name goes into `name`. false: no such variable, no such dimension. */
enum { SG_RUN_NAME = 257 };
SG_API bool sg_run_variable_name(const sg_run *r, const char *group, size_t i, char name[SG_RUN_NAME]);
SG_API bool sg_run_dimension_name(const sg_run *r, const char *group, const char *variable, size_t k,
                                  char name[SG_RUN_NAME]);
/* count numbers from start, in row-major order, as double; missing values are NaN. start, count: one per
 * dimension; both NULL: the whole variable. */
SG_API sg_status sg_run_read(const sg_run *r, const char *group, const char *variable, const size_t *start,
                             const size_t *count, double *out, sg_error *err);
/* Entry i of a string variable; *out is owned by the caller, free with sg_string_free. */
SG_API sg_status sg_run_read_string(const sg_run *r, const char *group, const char *variable, size_t i,
                                    char **out, sg_error *err);
/* A text attribute of a variable ("long_name", "units", "missing_reason"); NULL: none. Borrowed. */
SG_API const char *sg_run_variable_attribute(sg_run *r, const char *group, const char *variable,
                                             const char *name);
SG_API void sg_string_free(char *s);

#ifdef __cplusplus
}
#endif
#endif
