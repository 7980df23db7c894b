/* SPDX-License-Identifier: MIT */
/* part.h - the file of a part of a run (setting 'part'), written or read; or the same numbers on their way
 * from one process to another (team.h).
 *
 * A quantity that is summed over blocks has one function that names its variables, in the file of the
 * quantity: sums_part, word_squares_part, exponents_part, replacement_sums_part. The same function writes it
 * into a part and reads it back; merge.c calls them all, for both. Rows of a variable are blocks (or their
 * quarters, where blocks have them); block[i] is the number of row i in the whole run. */
#ifndef SG_ANALYSIS_PART_H
#define SG_ANALYSIS_PART_H

#include "run/run_internal.h"

struct team_stream;

typedef struct {
    const char *path;
    bool out;                   /* written; false: read */
    run_writer *w;              /* the file that is written, or NULL */
    sg_run *r;                  /* the file that is read, or NULL */
    struct team_stream *stream; /* in place of a file, or NULL */
    const char *group;          /* of the variables that follow; NULL: the root */
    int nc;                     /* the same, of the writer */
    size_t part, parts;
    size_t rows;
    size_t *block; /* (rows) */
} part_file;

/* Rows first .. first + rows - 1 of the whole to or from another process; path: a name for messages. */
sg_status part_of_stream(part_file *p, struct team_stream *stream, bool out, const char *path, size_t first,
                         size_t rows, sg_error *err);
/* Into w: rows first .. first + rows - 1 of the whole. */
sg_status part_begin(part_file *p, run_writer *w, const char *path, size_t first, size_t rows, sg_error *err);
/* SG_EFORMAT: no part. */
sg_status part_open(part_file *p, const char *path, sg_error *err);
void part_close(part_file *p); /* not the writer */

/* The group of a state, from here on; name NULL: the root. */
sg_status part_group(part_file *p, const char *name, sg_error *err);
/* Written: a dimension of the group. Read: nothing. */
sg_status part_dim(part_file *p, const char *name, size_t length, sg_error *err);
/* Written: defines the variable. Read: SG_EFORMAT unless it has this shape. */
sg_status part_variable(part_file *p, const char *name, size_t rank, const size_t *shape, sg_error *err);
/* Written: x is stored. Read: x is filled. start, count as in run_writer_put_f64, and not NULL. */
sg_status part_f64(part_file *p, const char *variable, const size_t *start, const size_t *count, double *x,
                   sg_error *err);
sg_status part_f32(part_file *p, const char *variable, const size_t *start, const size_t *count, float *x,
                   sg_error *err);
/* All numbers of a variable of two dimensions. */
sg_status part_matrix(part_file *p, const char *variable, size_t rows, size_t columns, double *x,
                      sg_error *err);

#endif
