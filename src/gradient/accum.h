/* SPDX-License-Identifier: MIT */
/* accum.h - running sums of state gradients over a corpus, per class set and delay.
 *
 *   S[set][d] = sum of G[t,d]           over counted pairs (t, t-d) whose input word has the class set (H,E)
 *   Q[set][d] = sum of G[t,d]^T G[t,d]  the same, at one t of k only                                   (E,E)
 *
 * An origin has exactly one set, so a pair is added once however many classes there are; sums of classes are
 * formed from sums of sets when they are asked for. The engine adds in float32 and flushes into float64 every
 * few dozen terms (one place: accum_flush_due); memory is 12 H E bytes a set, delay and state, taken when a
 * set first appears.
 *
 * With sampled origins a set has `pairs` that exist and `sampled` ones that were added; class sums then
 * weight each set by pairs/sampled, so that the mean of a class is unbiased whatever the rates of its
 * sets. */
#ifndef SG_GRADIENT_ACCUM_H
#define SG_GRADIENT_ACCUM_H

#include "stategrad/gradient.h"

#include <stdio.h>

/* One analysed state. */
typedef struct {
    size_t layer;       /* 1 .. L */
    sg_state_kind kind; /* CELL or HIDDEN */
    size_t units;       /* H_l */
} sg_accum_state;

typedef struct sg_accum sg_accum;
/* Nothing summed, no sets yet. moments: keep Q too. states is copied. */
sg_status accum_new(sg_accum **out, const sg_accum_state *states, size_t n_states, size_t delays,
                    size_t embedding, bool moments, sg_error *err);
/* As new; memory of the sets is kept. */
void accum_clear(sg_accum *a);
void accum_free(sg_accum *a);

size_t accum_sets(const sg_accum *a); /* 1 + the largest set seen */
/* Bytes that a set more takes. */
size_t accum_bytes_per_set(const sg_accum_state *states, size_t n_states, size_t delays, size_t embedding,
                           bool moments);

/* Pairs of a set at delay d: all that exist, and those that were added (equal without sampling). */
uint64_t accum_pairs(const sg_accum *a, size_t set, size_t d);
uint64_t accum_sampled(const sg_accum *a, size_t set, size_t d);
/* Pairs whose input is in class c; k NULL: class 0, all. */
uint64_t accum_class_pairs(const sg_accum *a, const sg_classes *k, size_t c, size_t d);
uint64_t accum_class_sampled(const sg_accum *a, const sg_classes *k, size_t c, size_t d);
/* sum (H,E) row-major, overwritten: of G[t,d] over the pairs of class c. Returns their weight: mean = sum /
 * weight; 0 and zeros without pairs. Without sampling the weight is the number of pairs. Sums and
 * weights of parts of a corpus add up. */
double accum_class_sum(const sg_accum *a, size_t state, const sg_classes *k, size_t c, size_t d, double *sum);
/* The same for G^T G, sum (E,E) symmetric in full; needs moments. */
double accum_class_moment(const sg_accum *a, size_t state, const sg_classes *k, size_t c, size_t d,
                          double *sum);

/* What gradients at delay d lack because origins share bases (long windows): the sum of estimated Frobenius
 * norms, over how many gradients. */
uint64_t accum_missed(const sg_accum *a, size_t state, size_t d, double *sum);

/* For checkpoints: everything, so that a resumed run gives the same bytes. Load replaces what a holds;
 * SG_EFORMAT: made for other shapes, or cut short. On failure a is empty. */
sg_status accum_save(const sg_accum *a, FILE *f, sg_error *err);
sg_status accum_load(sg_accum *a, FILE *f, sg_error *err);

#endif
