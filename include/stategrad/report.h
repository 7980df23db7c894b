/* report.h - what people look at: a page for runs, figures for papers, the words along the best kept directions.
 *
 * Nothing is computed here beyond formatting: every number shown stands in the run file. What a run file lacks is
 * said to be absent, with the reason the file gives. */
#ifndef STATEGRAD_REPORT_H
#define STATEGRAD_REPORT_H

#include "stategrad/run.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One self-contained HTML page about n >= 1 runs, side by side and overlaid; paths[i] is the file name shown for
 * runs[i]. Written whole or not at all. SG_EINVAL: n is 0; SG_EIO, SG_ENOMEM. */
sg_status sg_report_write(const char *html_path, sg_run *const *runs, const char *const *paths, size_t n,
                          sg_error *err);

/* ---- words along the best kept directions ---- */
typedef struct {
    const char *group;  /* "layer1.cell"; NULL: the first */
    size_t class_index; /* 0: all */
    size_t delay;       /* 0 */
    size_t directions;  /* the strongest so many, 3 */
    size_t top;         /* words at each end, 10 */
    double min_count;   /* only words seen so often in the analysed corpus, 0 */
} sg_words_config;
void sg_words_defaults(sg_words_config *cfg);

/* For each direction v_k (right singular vector) the words whose embeddings, whitened (mean 0, covariance 1 over the
 * vocabulary), project furthest on it at both ends, with count and classes; and the cosine of v_k with each property
 * and with each class (mean of its word types), beside the 95 % bound of random vectors. Text, or one JSON object.
 * SG_EINVAL: no such group, class, delay; SG_EFORMAT: the run holds no words (it says what is missing). */
sg_status sg_words_write(FILE *f, sg_run *r, const sg_words_config *cfg, bool json, sg_error *err);

#ifdef __cplusplus
}
#endif
#endif
