/* SPDX-License-Identifier: MIT */
/* prepare.h - one analysis in all its parts: what is asked, what it is asked of, what was found out
 * beforehand. */
#ifndef SG_ANALYSIS_PREPARE_H
#define SG_ANALYSIS_PREPARE_H

#include "analysis/exponents.h"
#include "analysis/results/results.h"
#include "gradient/backend.h"
#include "io/npy_rows.h"
#include "analysis/property.h"
#include "analysis/replacement_sums.h"
#include "spectrum/spectrum.h"
#include "stategrad/accumulator.h"

enum { ANALYSIS_MAX_STATES = 2 * SG_MAX_LAYERS };

/* Why what needs the model is missing where gradients are given. */
#define ANALYSIS_NO_MODEL "the gradients were given by the caller: this needs the model"

/* What --precision has come to: relative standard errors of sigma_1, the largest over states, classes and
 * delays 0 .. 20. */
typedef struct {
    double sampling;     /* from drawing origins instead of taking all */
    double total;        /* of the interval in the run file: the corpus' own variation included */
    size_t delay, state; /* where sampling is largest */
    size_t class;
    uint64_t origins, rounds;
} precision_reached;

/* What setting 'replace' comes to. */
typedef struct {
    double rate;    /* share of the words that is replaced; 0: none */
    double kl_rate; /* share of these whose KL is taken; 0: none */
    /* share of the words replaced by their partners whose gradient is averaged along the line */
    double path_rate;
    char none[200]; /* why nothing is replaced by default, or empty */
} replacement_share;

typedef struct {
    const sg_analysis_config *cfg; /* as given */
    sg_analysis_config used;       /* what was to be chosen is chosen; long_after 0: every origin is exact */
    const sg_monitor *monitor;
    const sg_accumulator_config *given; /* the caller's gradients, of a model that is not here; or NULL */
    const sg_model *models[2];          /* the model, its untrained copy; NULL where gradients are given */
    sg_model *untrained;                /* owned */
    size_t n_models;
    const sg_model_shape *shape; /* NULL where gradients are given */
    const char *cell;            /* its name */
    size_t layers;
    char model_sha256[65];
    const sg_vocab *vocab;      /* or NULL: no words */
    const float *embeddings[2]; /* (V,E) of the model and its untrained copy; NULL: no words */
    const sg_stream *stream;
    const sg_classes *classes; /* or NULL: "all" alone */
    rows_file *features;       /* or NULL */
    char features_sha256[65];
    uint64_t T; /* tokens */
    size_t D, E, V, C, B, sets;
    uint64_t documents;        /* of the stream, by used.documents */
    bool alone;                /* too few of them: intervals are of this text alone */
    size_t split;              /* parts of each block, see blocks.h */
    uint64_t *starts;          /* (B split + 1) of the parts; NULL: even */
    size_t first_row, end_row; /* the parts of blocks that this process does: those of a part or share */
    sg_accum_state states[ANALYSIS_MAX_STATES]; /* of one model */
    size_t n_states;
    state_group groups[2 * ANALYSIS_MAX_STATES]; /* model by model */
    size_t n_groups;
    const char **class_names; /* (C) borrowed from classes */
    uint64_t *word_count;     /* (V) tokens of the word in the stream */
    uint64_t *set_count;      /* (sets) tokens of the class set */
    int64_t *members;         /* (3, n_members) word, class, tokens of the word in the class */
    size_t n_members;
    unsigned char *holds;   /* (C, 2) word_held */
    uint64_t *class_tokens; /* (C) */
    word_sums *words;       /* squared gains by word, filled by the pass; NULL: words_missing is the reason */
    const char *words_missing;
    double *L[2], *n[2];   /* (E,E), (P,E) per model */
    double *folds[2];      /* (P, PROPERTY_FOLDS, E) */
    double *fold_weight;   /* (P, PROPERTY_FOLDS) */
    const char **no_folds; /* (P) */
    sp_factoring how[2];
    char factor_missing[2][240]; /* why L is NaN, or empty */
    property *properties;        /* (P) */
    const char **property_missing, **property_names;
    int64_t *property_pairs; /* (P) */
    size_t P;
    precision_reached reached;
    exponent_sums exponents;
    self_gain_sums *self_gains; /* filled by the pass; NULL without setting 'units' */
    replacement_share replace;
} analysis;

/* Everything that can be known before the pass: sizes, counts, covariances, properties. Warns through the
 * monitor. */
sg_status analysis_prepare(analysis *an, const sg_model *m, const sg_stream *s, const sg_classes *k,
                           const sg_analysis_config *cfg, const sg_monitor *monitor, sg_error *err);
/* The same for gradients that the caller gives; given, settings and what they point at are borrowed. */
sg_status analysis_prepare_given(analysis *an, const sg_accumulator_config *given, const sg_stream *s,
                                 const sg_classes *k, const sg_analysis_config *settings,
                                 const sg_monitor *monitor, sg_error *err);
/* The sizes alone: enough for a forecast. */
sg_status analysis_sizes(analysis *an, const sg_model *m, const sg_stream *s, const sg_classes *k,
                         const sg_analysis_config *cfg, sg_error *err);
/* The same of gradients that the caller computes. */
sg_status analysis_sizes_given(analysis *an, const sg_accumulator_config *given, const sg_stream *s,
                               const sg_classes *k, const sg_analysis_config *settings, sg_error *err);
/* (V,E) of a model of words, borrowed; NULL: none. */
const float *analysis_embeddings(const sg_model *m);
/* How many words are replaced, from the word counts: an->replace, and in used.replace their number, with
 * which another analysis draws the same words. */
void analysis_choose_replaced(analysis *an);
void analysis_free(analysis *an);
uint64_t analysis_block_start(const analysis *an, size_t b); /* T for b = B */
uint64_t analysis_part_start(const analysis *an, size_t f);  /* part f % split of block f / split */
void analysis_results_input(const analysis *an, results_input *input);
/* All that decides what the run file holds, in "name=value\n" lines: two analyses with the same text give the
 * same file. with_part: the part too. */
enum { IDENTITY_ROOM = 4096 };
sg_status analysis_identity(const analysis *an, bool with_part, char text[IDENTITY_ROOM], sg_error *err);

#endif
