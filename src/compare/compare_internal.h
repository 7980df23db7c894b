/* SPDX-License-Identifier: MIT */
/* compare_internal.h - what the files of this module share.
 *
 *   measures.c        the table of measures; their values and replicates, read from the run files of one side
 *   sides.c           are both sides there, do they have a common unit, do they share their blocks
 *   type_permutation.c  A and B as kinds of word
 *   notes.c           what to know when reading a comparison
 *   compare.c         contrasts, p-values, verdicts
 *   comparison_csv.c  the numbers of a row by name, and as a table */
#ifndef SG_COMPARE_INTERNAL_H
#define SG_COMPARE_INTERNAL_H

#include "base/base_internal.h"
#include "stategrad/compare.h"
#include "stategrad/stats.h"

typedef enum { MEASURE_VALUE, MEASURE_LEFT, MEASURE_OVER_SIGMA, MEASURE_HALF_LIFE } measure_form;
typedef struct {
    const char *name;
    const char *source, *weight; /* variables of the run file */
    const char *interval;        /* whose own interval must be there; NULL: none */
    measure_form form;
    bool of_property, absolute,
        of_kinds; /* absolute: in units of the state; of_kinds: of the squares that type_permutation.c has */
    bool on_demand; /* not among the defaults */
} measure;
extern const measure compare_measures[]; /* ends with a NULL name */

/* Places of class and property in each run of a side; (n) each. */
typedef struct {
    const sg_compare_side *s;
    size_t *class, *property;
    size_t blocks, entries, words; /* B, 1 + B + parts, 1 + B + folds */
    double effective_types;        /* the least of the runs; NaN: unknown */
} side;

/* A measure of one side: (n, D, L) values, entry 0 of all blocks, then without each; weights (D, L) of the
 * first run. */
typedef struct {
    size_t n, D, L, B;
    double *x, *weight;
} series;

sg_status side_open(side *out, const sg_compare_side *s, sg_error *err);
void side_close(side *s);
/* Why gains of A and B are in different units; NULL: they are not. */
const char *sides_without_unit(const side *a, const side *b);
/* A and B saw the same pairs in the same blocks. */
sg_status sides_paired(bool *paired, const side *a, const side *b, sg_error *err);
/* SG_EINVAL: A and B are the same. */
sg_status sides_differ(const side *a, const side *b, sg_error *err);
bool side_has(const side *s, const char *variable);

/* p (D), missing (D): the words of class A are a random half of those of A and B (sg_stats_type_test), by
 * delay. */
sg_status kinds_test(double *p, const char **missing, const side *a, const side *b, size_t D, sg_error *err);

sg_status series_read(series *out, const side *s, const measure *m, size_t D, sg_error *err);
void series_free(series *x);

struct sg_comparison {
    sg_compare_row *rows;
    size_t n, tests, n_pairs, n_notes;
    size_t *paired;        /* (n_pairs) blocks, or 0 */
    char **notes, **texts; /* texts: what rows point to */
    size_t n_texts;
};
/* Adds a sentence, unless it is there. */
sg_status note_add(sg_comparison *c, sg_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A text that is freed with c; the same text twice is kept once. NULL: no memory. */
const char *text_keep(sg_comparison *c, const char *text);
sg_status notes_of_pair(sg_comparison *c, const side *a, const side *b, bool paired, sg_error *err);

#endif
