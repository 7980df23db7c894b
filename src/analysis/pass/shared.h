/* SPDX-License-Identifier: MIT */
/* shared.h - what the two kinds of pass share: exact.c (every token, one after another) and sampled.c
 * (segments drawn at random, until they are enough). */
#ifndef SG_ANALYSIS_PASS_SHARED_H
#define SG_ANALYSIS_PASS_SHARED_H

#include "analysis/pass/pass.h"
#include "analysis/pass/replacement.h"
#include "analysis/pass/self_gain.h"

/* ---- tokens and rates of origins (shared.c) ---- */

int analysis_threads(const analysis *an);
/* Without sampling. */
sg_engine_config analysis_engine(const analysis *an);

enum { PORTION = 64 }; /* tokens that are read at once */
/* Steps t .. t+n-1 of the stream, and their rows of features where the model reads those. */
sg_status read_portion(const analysis *an, uint64_t t, size_t n, sg_step *steps, float *features,
                       sg_error *err);

/* Where the state was last zero, at or before token t: the start of the sentence with setting
 * 'state_handling' reset, else 0. steps (PORTION) is work. */
sg_status last_sentence(const analysis *an, uint64_t t, sg_step *steps, uint64_t *zero, sg_error *err);
/* The token from which states run to reach t, from zero: setting 'warm_up' before t; otherwise as far back as
 * exact states need. steps (PORTION) is work. */
sg_status states_begin(const analysis *an, uint64_t t, sg_step *steps, uint64_t *zero, sg_error *err);
/* Exact states of a share need all tokens before it. */
bool states_need_all(const analysis *an);

/* rate (sets): for `origins` in all, half of them at the same rate everywhere, half divided evenly between
 * the classes, so that a rare class gets its share; a set has the largest rate that one of its classes asks
 * for. */
void sampling_rates(const analysis *an, double origins, double *rate);

/* ---- class sums (class_sums.c) ---- */

/* What `accum` holds of the states of a model, per class and delay, as the records of block b. earlier (or
 * NULL) has what was drawn of the block before: means are combined by their numbers of pairs. existing (C,D):
 * pairs there are in the block, which is what a record then weighs; NULL: those that the accumulator has
 * counted, of the sets it has seen. */
sg_status class_sums_block(const analysis *an, size_t model, const sg_accum *accum, block_sums *sums,
                           const block_sums *earlier, size_t b, const int64_t *existing, sg_error *err);
/* Record b of `to`: records i and j of `from`, two draws from the same pairs, together. */
sg_status class_sums_join(const analysis *an, block_sums *to, size_t b, const block_sums *from, size_t i,
                          size_t j, sg_error *err);

/* ---- checkpoints (resume.c) ---- */

enum { PASS_NUMBERS = 4 };

/* How far a pass has come: all that a checkpoint holds. */
typedef struct {
    const analysis *an;
    char identity[IDENTITY_ROOM];
    /* the pass's own numbers; none is above its `most` */
    uint64_t at[PASS_NUMBERS], most[PASS_NUMBERS];
    double *rates; /* n_rates; the pass's own */
    size_t n_rates;
    block_sums *sums[2]; /* [1] may be NULL */
    bool *done[2];       /* done[i][b]: the records of block b of sums[i] are whole */
    sg_engine *engine;   /* with its sums; NULL: nothing is under way between saves */
    sg_accum *accum;
    replacement *replace;      /* NULL: nothing is replaced */
    self_gain_pass *self_gain; /* NULL: not asked for */
} pass_state;

/* Nothing is pending in the engine. */
sg_status resume_save(pass_state *s, sg_error *err);
/* Fills numbers, rates, flags and weights from the checkpoint, see checkpoint_load; all stays as before if
 * there is none. engine and accum are loaded by resume_load_engine once they exist. *f: the caller's to
 * close, NULL: begin at the beginning. */
sg_status resume_load(pass_state *s, FILE **f, sg_error *err);
sg_status resume_load_engine(const pass_state *s, FILE *f, sg_error *err);
/* New sums of n_blocks records: with a checkpoint in "FILE.blocks0" (i = 0, 1), else (or i -1) in a nameless
 * file. */
sg_status resume_sums(block_sums **out, const analysis *an, size_t n_blocks, int i, const char *run_path,
                      sg_error *err);
/* SG_ECANCELLED, and where the work can go on from. */
sg_status resume_stopped(const analysis *an, sg_error *err);

#endif
