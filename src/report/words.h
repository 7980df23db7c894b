/* SPDX-License-Identifier: MIT */
/* words.h - the words of a run along its directions.
 *
 *   Z = L^-1 (X - mean)^T   (E,V) whitened embeddings, unit covariance over the vocabulary
 *   v (E)  a right singular vector      v^T Z  (V)  projections, in standard deviations of a random direction
 */
#ifndef SG_REPORT_WORDS_H
#define SG_REPORT_WORDS_H

#include "stategrad/run.h"

typedef struct {
    size_t V, E, C;
    double *Z;        /* (E,V) */
    double *counts;   /* (V) tokens in the analysed corpus, 0 where the run does not record them */
    char **names;     /* (V) */
    size_t n_members; /* (word, class) pairs seen, as in the run file */
    size_t *member_word, *member_class;
    double *member_count;
} words;

/* What a run must hold for this; NULL: all there. */
const char *words_missing(sg_run *r);
/* SG_EFORMAT: words_missing is the reason; SG_ENOMEM: 8 V E bytes and more. */
sg_status words_new(words **out, sg_run *r, sg_error *err);
void words_free(words *w);

/* Right singular vectors 0 .. n-1 of (group, class, delay): v (n,E), and the projections p (n,V). NaN where
 * the file has none. */
sg_status words_along(const words *w, sg_run *r, const char *group, size_t c, size_t d, size_t n, double *v,
                      double *p, sg_error *err);
/* The `top` words furthest along p (V), best first, sign +1 or -1, of those seen min_count times; ties by id.
 * Returns how many there are. */
size_t words_furthest(const words *w, const double *p, double sign, double min_count, size_t top,
                      size_t *ids);
/* Unit vector n (E) from the mean of the vocabulary to the mean of the word types seen in class c, whitened;
 * false: no such word, or all of them. */
bool words_class_direction(const words *w, size_t c, double *n);
/* L^-1 delta / |.| of a property; false: not known. */
sg_status words_property_direction(sg_run *r, size_t p, double *n, bool *known, sg_error *err);

#endif
