/* SPDX-License-Identifier: MIT */
/* results_internal.h - one group of the run file, class by class in batches of delays.
 *
 *   group.c        the group as a whole: batches, class differences, decay
 *   class_ratios.c classes relative to all words: ratios of gains, nulls of tokens and of word types
 *   left_out.c     replicates that are stored
 *   class_delay.c  one class and delay: means, spectra, replicates without each block, class test
 *   replacement.c  what replacing words does
 *   word_pairs.c   chosen pairs of words, compared with others
 *   units.c        single units of the state
 *   self_gain.c    how much of a change of a unit is left in it
 *   workspace.c    memory for both
 *   write.c        into the run file, with a reason for whatever is missing */
#ifndef SG_ANALYSIS_RESULTS_RESULTS_INTERNAL_H
#define SG_ANALYSIS_RESULTS_RESULTS_INTERNAL_H

#include "analysis/results/intervals.h"
#include "analysis/results/results.h"
#include "base/base_internal.h"
#include "run/missing.h"
#include "spectrum/spectrum.h"
#include "stats/random_table.h"
#include "stategrad/stats.h"

enum { NULL_DRAWS = 1000 };

/* One thread's room. Sizes: H, E, R of the group; K = sp_count. */
typedef struct {
    double *T, *G;                 /* (H,E) sum over blocks; a mean */
    double *MT, *M;                /* (E,E) the same of second moments */
    double *gram;                  /* (E,E) */
    float *sum, *packed;           /* of one block */
    double *values;                /* (K) */
    double *without;               /* (B,K) leave-one-block-out replicates */
    results_parts parts;           /* the same for the parts of blocks, where there are any */
    float *part_sum, *part_packed; /* of one part */
    double *weights, *moment_weights, *all_weights; /* (B) */
    double *left, *right;                           /* (H,R), (R,E) */
    double *work;
    double *class_sums, *all_sums; /* (B,H,E) */
    double *draws;                 /* (RANDOM_DRAWS) */
    sg_class_test *test;
} worker;

/* What one (class, delay) gives; the arrays of a batch are written in one piece. */
typedef struct {
    sg_status st;
    sg_error err;
    bool empty;                                 /* no pairs */
    float *mean, *moment, *left, *right, *gram; /* (H,E) (E,E) (R,H) (R,E) (B,packed) */
    sg_interval *x;                             /* (K) */
    double *block_weight;                       /* (B) */
    double *left_out;                           /* (LEFT_OUT_KINDS, left_out_length) */
    double *left_out_property;                  /* (2, P, left_out_words): weights, gains */
    bool no_replicate, no_fold; /* one of them, or of a property's folds, is NaN; its value is not */
    double *random;             /* (3) relative memory of random vectors: mean, low, high */
    double sigma;               /* sigma_1 */
    sg_class_p p;
} item;

/* Of one group, kept for the whole of it: small. */
typedef struct {
    double *y, *error;    /* (C,Q,D) */
    double *norm;         /* (D) |mean gradient|^2 of class all */
    double *coherence;    /* (D) of class all */
    double *without;      /* (C,Q,B,D) */
    double *parts;        /* (C,F,D) sigma_1 without a part of a block; NULL: no parts */
    double *property;     /* (P,C,D) gain along each property */
    double *along;        /* (C,P,B,D) the same without each block */
    double *words;        /* (C,P,PROPERTY_FOLDS,D) and without each fold of the property's words */
    double *trace;        /* (C,D,F) sum of |G L|^2 in each part of a block */
    double *p, *adjusted; /* (C,D) */
    double *excess, *null_low, *null_high;
} series;

typedef struct {
    const results_input *input;
    const block_sums *sums;
    const state_group *group;
    size_t g; /* number in sums */
    int nc;   /* group of the writer */
    run_writer *w;
    sp_frame frame;
    sp_places at;
    size_t K, packed;
    bool moments;
    int threads;
    worker *workers;
    item *pool;            /* (2, at_once) one batch is written while the next is computed */
    size_t at_once, batch; /* items of a batch; delays of a class in it */
    const item *items;     /* (batch) being written */
    series s;
    sg_arena arena;
    reason reasons[RUN_REASONS];
    reason intervals[SP_MAX_STATISTICS]; /* RUN_NO_INTERVAL, of each statistic */
    random_table *directions;            /* or NULL: no properties */
    double *random_cosine;               /* (R,3) of random vectors: mean, low, high */
    double *row;                         /* (max(P,1), batch, R) for writing */
    double *covariance;                  /* (E,E) L L^T */
} group_work;

/* Sizes and the number of threads; then everything in one arena. workspace_free: at any time after. */
void workspace_shape(group_work *a, const results_input *input, const state_group *group, bool moments);
sg_status workspace_new(group_work *a, sg_error *err);
void workspace_free(group_work *a);

/* Statistics of class c, delay d into *o, and their replicates without each block into a->s. From several
 * threads at once, one worker each. */
sg_status class_delay_compute(const group_work *a, worker *w, item *o, size_t c, size_t d, sg_error *err);

/* left_out.c: what remains without each block, each part of a block and each fold of a property's words, for
 * comparisons. */
enum { LEFT_OUT_KINDS = 5 };
size_t left_out_length(const results_input *p); /* 1 + blocks + parts */
size_t left_out_words(const results_input *p);  /* 1 + blocks + folds */
/* Into the item, from the worker's replicates of class c, delay d with N pairs. */
void left_out_keep(const group_work *a, const worker *w, item *o, size_t c, size_t d);
void left_out_nothing(const group_work *a, item *o); /* of no pairs */
sg_status left_out_define(group_work *a, sg_error *err);
sg_status left_out_write(group_work *a, size_t c, size_t d0, size_t n, sg_error *err);
/* Weight of block b in the mean of class c, delay d. */
double block_pairs(const group_work *a, size_t b, size_t c, size_t d);
/* Why a gain below 1e-30 is missing. */
extern const char results_too_small[];
/* A reason for a missing value of class c, delay d (SIZE_MAX: of no single one); why NULL: nothing
 * happens. */
void group_note(group_work *a, run_reason of, size_t c, size_t d, const char *why);
/* replacement.c: what replacing words does; the change of state into a->s. */
sg_status replacement_write(group_work *a, sg_error *err);
size_t group_quantities(const group_work *a);
/* word_pairs.c: chosen pairs of words. */
sg_status pairs_write(group_work *a, sg_error *err);
/* units.c: gains of single units of the state. */
sg_status units_write(group_work *a, sg_error *err);
/* self_gain.c: self gains of single units, and their half-lives. */
sg_status self_gain_write(group_work *a, sg_error *err);
/* Words of block b, class c that were replaced and have delay d. */
double block_replaced(const group_work *a, size_t b, size_t c, size_t d);
/* decay.c: laws of decay, half-lives and the delays of the shares. */
sg_status decay_write(group_work *a, sg_error *err);
/* class_ratios.c: all that compares classes by their rms gain. */
sg_status class_ratios_write(group_work *a, sg_error *err);
/* Dimensions and variables of the group. */
sg_status write_define(group_work *a, sg_error *err);
/* items[0..n) are class c, delays d0 .. d0+n-1. */
sg_status write_batch(group_work *a, size_t c, size_t d0, size_t n, sg_error *err);
sg_status write_pairs(group_work *a, sg_error *err);
sg_status write_missing(group_work *a, sg_error *err);

#endif
