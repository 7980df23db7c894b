/* SPDX-License-Identifier: MIT */
/* compare.h - A against B, from run files: classes, properties, states, models, groups of models.
 *
 * For every measure x and delay: x_A, x_B, their ratio and difference, each with a 95 % interval from the
 * blocks of the text. Where A and B are of the same blocks, the intervals are paired: effects of a block
 * on both cancel (sg_stats_contrast). p-values test ln(x_A / x_B) = 0 and are adjusted over all
 * rows of one call (Benjamini-Hochberg). */
#ifndef STATEGRAD_COMPARE_H
#define STATEGRAD_COMPARE_H

#include "stategrad/analysis.h"
#include "stategrad/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One side: n models of one kind, analysed on one text; x is their geometric mean in ratios, their mean in
 * differences. All borrowed for the call. */
typedef struct {
    const char *label;        /* as shown */
    sg_run *const *runs;      /* n >= 1 */
    const char *const *paths; /* (n), for messages */
    size_t n;
    const char *state;      /* "layer1.cell" */
    const char *class_name; /* NULL: all words */
    const char *property;   /* NULL: none */
} sg_compare_side;

typedef struct {
    sg_compare_side a, b;
} sg_compare_pair;

/* Measures:
 *
 *   rms_gain, total_gain, sigma_1   gain of the strongest direction, over all directions, of the mean
 *                                   gradient
 *   state_change                    mean change of the state when the word is replaced
 *   property_gain                   gain along a property
 *   relative_memory                 the same over sigma_1
 *   ..._left                        share of its value at delay 0
 *   ..._half_life                   delays after the peak at which half is left; one number for all delays */
typedef struct {
    size_t struct_size; /* see base.h */
    /* names, or NULL: all that apply, except ..._left of total_gain and sigma_1 */
    const char *const *measures;
    size_t n_measures;
    const size_t *delays; /* or NULL: 0, 1, 5, 10, 20 and the last */
    size_t n_delays;
} sg_compare_config;

#define SG_COMPARE_NO_DELAY ((size_t)-1)
typedef struct {
    size_t pair; /* number of the pair */
    const char *measure;
    size_t delay; /* SG_COMPARE_NO_DELAY: a half-life */
    double a, b;
    double ratio, ratio_low, ratio_high;                /* a / b, over blocks */
    double difference, difference_low, difference_high; /* a - b, over blocks */
    /* Interval of the ratio over models, if both sides have several models or A and B are the same models;
     * else NaN. If given, p tests this ratio. */
    double models_low, models_high;
    double p, p_adjusted;
    /* total_gain of two classes of one run: are the words of A random words of A and B, of similar frequency
     * (sg_stats_type_test)? Adjusted among themselves. NaN: not applicable, or `no_types` is the reason. */
    double p_types, p_types_adjusted;
    const char *no_types;
    /* A is "higher" or "lower", where p_adjusted < 0.05; else "undecided"; NULL: no_verdict is the reason */
    const char *verdict;
    const char *no_verdict;
    const char *missing; /* why intervals and p are NaN */
} sg_compare_row;

typedef struct sg_comparison sg_comparison;
/* SG_EINVAL: an unknown measure, state, class or property (near names are given); a delay beyond the runs; A
 * equals B; measures without a common unit that were asked for; runs of a side that have the same model or
 * other texts. SG_EFORMAT: a run file without replicates (of an earlier version). SG_ENOMEM. */
SG_API sg_status sg_compare(sg_comparison **out, const sg_compare_pair *pairs, size_t n,
                            const sg_compare_config *cfg, sg_error *err);
SG_API const sg_compare_row *sg_comparison_rows(const sg_comparison *c, size_t *n);
/* Number i = 0, 1, ... of a row, in *x, and its name: "a", "b", "ratio", "ratio_low", ...,
 * "p_types_adjusted". NULL after the last. row NULL: the name alone. */
SG_API const char *sg_compare_number(const sg_compare_row *row, size_t i, double *x);
/* Number of p-values adjusted together. */
SG_API size_t sg_comparison_tests(const sg_comparison *c);
/* Blocks by which pair i is paired; 0: it is not. */
SG_API size_t sg_comparison_paired(const sg_comparison *c, size_t i);
/* Remarks for its reader, one sentence each: i = 0, 1, ...; NULL after the last. */
SG_API const char *sg_comparison_note(const sg_comparison *c, size_t i);
SG_API void sg_comparison_free(sg_comparison *c);
/* The rows as CSV (RFC 4180), missing numbers as empty fields; "-": standard output. pairs: those of
 * sg_compare. */
SG_API sg_status sg_comparison_write_csv(const sg_comparison *c, const sg_compare_pair *pairs,
                                         const char *path, sg_csv_style style, sg_error *err);

#ifdef __cplusplus
}
#endif
#endif
