/* SPDX-License-Identifier: MIT */
/* accumulator.h - the analysis of gradients that the caller computes, for any recurrent model.
 *
 *   s_t: state of the caller's model, H numbers      x_s: input of step s, E numbers
 *   G[t,d] = d s_t / d x_{t-d}     H x E, row-major float, delays d = 0 .. D-1
 *   pairs (t, t-d) -> sums per class of the word at t-d, delay and block -> means, spectra, intervals, tests
 *   against random classes, decay laws -> run file
 *                                   (doc/method.md, doc/run-file.md; the same code as sg_analyze)
 *
 * Words are replaced by the caller, where setting 'replace' asks for it (sg_accumulator_replacements).
 * Averages along the line between the two embeddings and Lyapunov exponents need the model: they are absent,
 * and the attribute lyapunov_none of the run file states why.
 *
 * Memory: 12 D E (H + E) bytes for each state and class set and for each block that pairs can still reach
 * (one, and the next while delays cross its start); it does not grow with the text. Sums of finished blocks
 * are in a scratch file next to the run file.
 *
 * Threads: an accumulator belongs to one thread at a time; several accumulators may be used at once. Its own
 * calls use as many threads as setting 'threads' gives; the result does not depend on their number, nor on
 * how gradients are divided into calls. */
#ifndef STATEGRAD_ACCUMULATOR_H
#define STATEGRAD_ACCUMULATOR_H

#include "stategrad/analysis.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A state of the model: a group of the run file. */
typedef struct {
    /* "layerN.NAME", N from 1, NAME of letters, digits, _ and -: "layer1.cell", "layer2.ssm" */
    const char *name;
    size_t units; /* H */
} sg_accumulator_state;

typedef struct {
    size_t struct_size; /* see base.h; begin with {.struct_size = sizeof cfg, ...} */
    const sg_accumulator_state *states;
    size_t n_states;
    size_t embedding; /* E */
    /* Words of the ids in the stream and their embeddings (V,E), row-major, for the normalisation, properties
     * and sums by word. Both or neither. Without them the ids are not used, and gradients are normalised by
     * the covariance of setting 'inputs' (or sg_analysis_config.features) or, with setting 'normalize' none,
     * not at all. */
    const sg_vocab *vocab;
    const float *embeddings;
    const char *model; /* attribute cell of the run file: "mamba"; NULL: "unknown" */
    bool replaces;     /* setting 'replace' auto: one word in 2 D, at least 50; false: none */
    bool output;       /* replacements come with the change of the distribution of the next word */
} sg_accumulator_config;

typedef struct sg_accumulator sg_accumulator;

/* Nothing added yet. s is the text that the gradients belong to: token i is step i, with its class set,
 * sentence and document; k its classes, or NULL. s, k, vocab, embeddings and the features are borrowed until
 * sg_accumulator_free; all else is copied. settings NULL: the defaults, sg_analysis_defaults(&settings,
 * NULL). Settings that control how a model is run do not apply and must have their defaults (layer, sample,
 * checkpoint, ...: sg_setting.without_model). run_path NULL: the run is only returned, by
 * sg_accumulator_finish.
 * SG_EINVAL: names the setting, state or word. SG_EIO: the run file cannot be written. SG_ENOMEM. */
SG_API sg_status sg_accumulator_new(sg_accumulator **out, const char *run_path,
                                    const sg_accumulator_config *cfg, const sg_stream *s, const sg_classes *k,
                                    const sg_analysis_config *settings, const sg_monitor *monitor,
                                    sg_error *err);

/* All gradients of n inputs. origins (n) are positions in the stream, ascending, within a call and from call
 * to call;
 *   G[i] (n, D, H_i, E) for state i of the configuration: G[i][o][d] = d s_{t} / d x_{origins[o]} at t =
 *   origins[o] + d.
 * Entries at t beyond the end of the text are not read. Entries of pairs that state_handling and burn_in
 * exclude are checked but not added. Inputs that are left out count as not drawn, as with setting 'sample':
 * each class set is weighted by its pairs in the text, so a sample must be drawn at random (at any rate per
 * class set).
 * SG_EINVAL, and nothing is added: an origin out of range, twice or before the previous one; a number that is
 * not finite (names state, origin, delay, unit and input); by steps were added before. SG_EIO, SG_ENOMEM,
 * SG_ENONFINITE (a sum overflows): only sg_accumulator_free may follow. */
SG_API sg_status sg_accumulator_add(sg_accumulator *a, const uint64_t *origins, size_t n,
                                    const float *const *G, sg_error *err);

/* The same by steps, for gradients obtained by back-propagation from a state: steps (n) ascending, G[i] (n,
 * D, H_i, E) with G[i][o][d] = d s_t / d x_{t-d} at t = steps[o]. Entries before the start of the text (d >
 * t) are not read. An accumulator takes origins or steps, not both. */
SG_API sg_status sg_accumulator_add_steps(sg_accumulator *a, const uint64_t *steps, size_t n,
                                          const float *const *G, sg_error *err);

/* One word of the text replaced by another, the words after it unchanged. */
typedef struct {
    uint64_t position; /* s: its input x_s becomes x' */
    uint64_t other;    /* x': the embedding of this id; without a vocabulary, the input of this position */
    uint32_t law, row; /* 0 by any word, 1 by one of class `row`, 2 by the partner in property `row` */
    uint32_t delays;   /* how many are compared: states of steps s .. s+delays-1 */
    uint32_t kl; /* 1: the distributions of the next word are compared too, after delays 0, 1, 2, 4, 8, ... */
} sg_replacement;

/* Whether words are to be replaced. */
SG_API bool sg_accumulator_replaces(const sg_accumulator *a);
/* The next replacements, at most `most`, in order of position; *n 0: there are no more. Seed and
 * text determine them, as in sg_analyze. Any number of calls. SG_EINVAL: no word is replaced.
 * SG_EIO. */
SG_API sg_status sg_accumulator_replacements(sg_accumulator *a, size_t most, sg_replacement *list, size_t *n,
                                             sg_error *err);
/* What n of them changed, in the order in which they were handed out, in any number of calls:
 *   change[i] (n, D, H_i): Delta[d] = s_{s+d}(x') - s_{s+d}(x) of state i
 *   linear[i] (n, D, H_i): its linear prediction G[s+d,d] (x' - x)
 *   kl (n, D) or NULL: KL(p_{s+d}(x) || p_{s+d}(x')) in nats, read where it is compared
 * Entries at d >= delays are not read. SG_EINVAL, SG_EIO, SG_ENOMEM, and nothing is added: another order; a
 * number that is not finite; a divergence below 0; the text cannot be read. */
SG_API sg_status sg_accumulator_add_replaced(sg_accumulator *a, const sg_replacement *list, size_t n,
                                             const float *const *change, const float *const *linear,
                                             const double *kl, sg_error *err);

/* Computes the results and writes the run file (and setting 'csv') atomically. run (or NULL) is the run,
 * open, to be closed with sg_run_close; without a run_path it is required, and the run is stored in an
 * unnamed file. Only sg_accumulator_free may follow, also after a failure. SG_EINVAL: no gradient was added.
 * SG_EINVAL, and the accumulator can still be used: replacements are missing. SG_ECANCELLED: stopped by the
 * monitor, which must still exist. */
SG_API sg_status sg_accumulator_finish(sg_accumulator *a, sg_run **run, sg_error *err);
/* Without sg_accumulator_finish nothing is written. NULL is allowed. */
SG_API void sg_accumulator_free(sg_accumulator *a);

#ifdef __cplusplus
}
#endif
#endif
