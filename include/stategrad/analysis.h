/* analysis.h - the main job: state gradients of a whole corpus, averaged per class and delay, into a run file.
 *
 *   stream -> forward states -> gradients -> sums per class set, delay and block -> means, spectra, errors
 *          -> run file */
#ifndef STATEGRAD_ANALYSIS_H
#define STATEGRAD_ANALYSIS_H

#include "stategrad/gradient.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A direction in embedding space: mean embedding of side a - mean embedding of side b (or a vector file). */
typedef struct {
    const char *name;
    const char *a, *b; /* a class name, a file of words, or a word list "w1 w2 ..."; b NULL: a is a file of pairs
                        * or .npy */
} sg_property;

typedef struct {
    size_t delays;              /* D, 50 */
    sg_state_kind state;        /* CELL for LSTM, HIDDEN for the others */
    size_t layer;               /* 1 .. L; 0: top; SG_ALL_LAYERS */
    sg_state_handling handling; /* carry */
    size_t window;              /* N of window:N */
    size_t burn_in;             /* 0 */
    bool normalize;             /* by the covariance of the embeddings, true */
    bool frequency_weighted;    /* covariance over tokens instead of word types, false */
    double ridge;               /* added to the covariance, ridge*tr/E; 0 */
    const sg_property *properties;
    size_t n_properties;
    uint64_t sample;            /* origins; 0: every one */
    double precision;           /* stop at this relative standard error; 0: never */
    size_t blocks;              /* 20 */
    uint64_t seed;
    int threads;                /* 0: all cores */
    size_t part, parts;         /* part I of N, from 1; parts 0: the whole */
    size_t second_moment_every; /* 0: chosen so that it costs at most a tenth; 1: every token */
    bool untrained_baseline;
    const char *features_path;  /* .npy inputs instead of words; or NULL */
    const char *checkpoint;     /* or NULL */
    double checkpoint_minutes;
    const char *csv_path;       /* or NULL */
    const char *command;        /* recorded in the run file */
} sg_analysis_config;

#define SG_ALL_LAYERS ((size_t)-1)

void sg_analysis_defaults(sg_analysis_config *cfg, const sg_model *m);
sg_status sg_analysis_check(const sg_analysis_config *cfg, const sg_model *m, const sg_stream *s, sg_error *err);

/* What it will cost: floating point operations, bytes of memory, seconds on this machine (measured in a blink). */
typedef struct {
    double flops, seconds;
    size_t memory, run_file_bytes;
} sg_analysis_estimate;
sg_status sg_analysis_forecast(sg_analysis_estimate *out, const sg_analysis_config *cfg, const sg_model *m,
                               const sg_stream *s, const sg_classes *k, sg_error *err);

/* Writes the run file whole or not at all. Same bytes for any number of threads ("created" aside). */
sg_status sg_analyze(const char *run_path, const sg_model *m, const sg_stream *s, const sg_classes *k,
                     const sg_analysis_config *cfg, const sg_monitor *monitor, sg_error *err);

#ifdef __cplusplus
}
#endif
#endif
