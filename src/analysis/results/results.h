/* SPDX-License-Identifier: MIT */
/* results.h - from block sums to the groups of the run file: means, spectra, intervals, nulls, decay.
 *
 * Independent of where the sums came from (one pass, sampled rounds, merged parts). Work is split over
 * (class, delay) in the same way for any number of threads: same bytes. */
#ifndef SG_ANALYSIS_RESULTS_RESULTS_H
#define SG_ANALYSIS_RESULTS_RESULTS_H

#include "analysis/results/intervals.h"
#include "run/run_internal.h"
#include "analysis/block_sums.h"
#include "analysis/exponents.h"
#include "gradient/word_sums.h"
#include "analysis/pair_sums.h"
#include "analysis/replacement_sums.h"
#include "analysis/self_gain_sums.h"

/* Series whose decay is fitted: sigma_1, sum, rms gain; the change of state, where words were replaced. */
enum { DECAY_QUANTITIES = 4, DECAY_OF_GRADIENTS = 3, DECAY_LAWS = 3 };
extern const char *const decay_quantity_names[DECAY_QUANTITIES];

typedef struct {
    char name[48]; /* "layer1.cell" */
    size_t units;
    size_t model; /* 0: the model, 1: its untrained copy */
} state_group;

/* The words of the corpus and of its classes. */
typedef enum { WORD_NOT_HELD, WORD_HELD } word_held;
typedef struct {
    size_t V;              /* 0: the model reads no words */
    const uint64_t *count; /* (V) tokens of the word */
    int32_t eos, unk;      /* ids, or -1 */
    /* (n) tokens of the word in the class, for every pair of them that occurs; class all is left out */
    size_t n;
    const int64_t *word, *class, *tokens;
    const unsigned char *holds;   /* (C, 2) word_held: does the class hold <eos>, does it hold <unk> */
    const uint64_t *class_tokens; /* (C) */
    bool none;                    /* neither occurs */
    const word_sums *sums;        /* groups in their order; NULL: `missing` is the reason */
    const char *missing;
} corpus_words;

typedef struct {
    size_t D, C, E, B, P;
    size_t split; /* the sums have B * split records: each block in parts (analysis/blocks.h) */
    corpus_words words;
    size_t n_groups;
    const state_group *groups;
    const double *L[2]; /* (E,E) for the model and, where there is one, its untrained copy */
    const double *n[2]; /* (P,E) unit vectors, NaN where missing */
    property_folds folds[2];
    const char *factor_missing[2];       /* why L is NaN (all normalised values will be), or NULL */
    const char *const *property_missing; /* (P) reason or NULL */
    const int64_t *property_pairs;       /* (P) pairs of words; NULL: P is 0 */
    const char *const *property_names;   /* (P) */
    const char *const *class_names;
    const exponent_sums *exponents;
    bool store_gram;
    const char *gram_reason; /* why not, when not */
    int threads;
    uint64_t seed;
    const replacement_sums *replaced; /* or NULL: no words were replaced */
    const char *no_kl;                /* why there is no KL at all, or NULL */
    bool units;                       /* gains of single units are asked for */
    const self_gain_sums *self_gains; /* or NULL: not asked for, or no model */
    const pair_sums *pairs;           /* or NULL: none were chosen */
    const char *const *pair_labels;
} results_input;

/* Dimensions unit, rank, ..., all variables and their contents, for every group of the input; the root's
 * dimensions exist. SG_ENONFINITE names state, class and delay. */
sg_status results_write(run_writer *w, const results_input *input, const block_sums *sums,
                        const sg_monitor *monitor, sg_error *err);
/* Bytes of memory that results_write takes, and of the groups in the file before compression. */
void results_cost(const results_input *input, size_t *memory, size_t *file);
/* What its time goes to, where every class has pairs in every block: multiply-adds of products; n^3 of each
 * decomposition (n,n), m n^2 of one (m,n); steps of plain loops over values; bytes that are compressed. */
typedef struct {
    double products, decompositions, steps, bytes;
} results_work;
void results_count(const results_input *input, results_work *work);

#endif
