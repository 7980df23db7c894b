/* SPDX-License-Identifier: MIT */
/* word_sums.h - squared gains of every word of the vocabulary, summed over the corpus:
 *
 *   square[s][w][d] = sum of |G[t,d] L|^2 = <G^T G, L L^T>     pairs[w][d] = their number
 *
 * over the counted pairs (t, t-d) at second-moment steps whose input is word w, for states s of one or two
 * models (which see the same pairs). Sampled origins weigh 1 / their rate. Squares are kept as square + low,
 * the exact sum: any order of terms and any division of the corpus gives the same bytes. Memory: 8 (2 S + 1)
 * V D bytes. */
#ifndef SG_GRADIENT_WORD_SUMS_H
#define SG_GRADIENT_WORD_SUMS_H

#include "stategrad/base.h"

#include <stdio.h>

typedef struct {
    size_t S, V, D;
    double *square; /* (S, V, D) */
    double *low;    /* the same shape: rounding error of square (compensation term) */
    double *pairs;  /* (V, D) */
} word_sums;

sg_status word_sums_new(word_sums **out, size_t S, size_t V, size_t D, sg_error *err);
void word_sums_free(word_sums *w);
size_t word_sums_bytes(size_t S, size_t V, size_t D);
/* Adds x to *high + *low, and loses nothing while the terms are within 2^50 of each other (Knuth's
 * TwoSum). */
static inline void exact_add(double *high, double *low, double x)
{
    double sum = *high + x, part = sum - *high;
    *low += (*high - (sum - part)) + (x - part);
    *high = sum;
}
void word_sums_add(word_sums *w, size_t s, size_t word, size_t d, double x);
double *word_sums_square(const word_sums *w, size_t s, size_t word); /* (D) */
double *word_sums_low(const word_sums *w, size_t s, size_t word);    /* (D) */
double *word_sums_pairs(const word_sums *w, size_t word);            /* (D) */
/* For checkpoints. SG_EFORMAT: made for other sizes, or cut short. */
sg_status word_sums_save(const word_sums *w, FILE *f, sg_error *err);
sg_status word_sums_load(word_sums *w, FILE *f, sg_error *err);

#endif
