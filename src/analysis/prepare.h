/* SPDX-License-Identifier: MIT */
/* prepare.h - one analysis in all its parts: what is asked, what it is asked of, what was found out
 * beforehand. */
#ifndef SG_ANALYSIS_PREPARE_H
#define SG_ANALYSIS_PREPARE_H

#include "analysis/results/results.h"
#include "gradient/cpu/engine.h"
#include "io/npy_rows.h"
#include "analysis/property.h"
#include "spectrum/spectrum.h"
#include "stategrad/analysis.h"

enum { AN_MAX_STATES = 2 * SG_MAX_LAYERS };

/* What --precision has come to: relative standard errors of sigma_1, the largest over states, classes and
 * delays 0 .. 20. */
typedef struct {
    double sampling;     /* from drawing origins instead of taking all */
    double total;        /* of the interval in the run file: the corpus' own variation included */
    size_t delay, state; /* where sampling is largest */
    size_t class;
    uint64_t origins, rounds;
} an_reached;

typedef struct {
    const sg_analysis_config *cfg; /* as given */
    sg_analysis_config used;       /* what was to be chosen is chosen; long_after 0: every origin is exact */
    const sg_monitor *monitor;
    const sg_model *models[2]; /* the model, its untrained copy */
    sg_model *untrained;       /* owned */
    size_t n_models;
    const sg_model_shape *shape;
    const sg_stream *stream;
    const sg_classes *classes; /* or NULL: "all" alone */
    rows_file *features;       /* or NULL */
    char features_sha256[65];
    uint64_t T; /* tokens */
    size_t D, E, V, C, B, sets;
    size_t first_block, end_block;        /* those of this part */
    sg_accum_state states[AN_MAX_STATES]; /* of one model */
    size_t n_states;
    an_group groups[2 * AN_MAX_STATES]; /* model by model */
    size_t n_groups;
    const char **class_names; /* (C) borrowed from classes */
    uint64_t *word_count;     /* (V) tokens of the word in the stream */
    uint64_t *set_count;      /* (sets) tokens of the class set */
    double *L[2], *n[2];      /* (E,E), (P,E) per model */
    sp_factoring how[2];
    char factor_missing[2][240]; /* why L is NaN, or empty */
    property *properties;        /* (P) */
    const char **property_missing;
    size_t P;
    an_reached reached;
} an_job;

/* Everything that can be known before the pass: sizes, counts, covariances, properties. Warns through the
 * monitor. */
sg_status job_prepare(an_job *job, const sg_model *m, const sg_stream *s, const sg_classes *k,
                      const sg_analysis_config *cfg, const sg_monitor *monitor, sg_error *err);
/* The sizes alone: enough for a forecast. */
sg_status job_sizes(an_job *job, const sg_model *m, const sg_stream *s, const sg_classes *k,
                    const sg_analysis_config *cfg, sg_error *err);
void job_free(an_job *job);
int job_threads(const an_job *job);
uint64_t job_block_start(const an_job *job, size_t b); /* T for b = B */
void job_plan(const an_job *job, an_plan *plan);
/* For the pass, without sampling. */
sg_engine_config job_engine(const an_job *job);
/* All that decides what the run file holds, in "name=value\n" lines: two analyses with the same text give the same
 * file. with_part: the part too. */
enum { IDENTITY_ROOM = 4096 };
sg_status job_identity(const an_job *job, bool with_part, char text[IDENTITY_ROOM], sg_error *err);

/* The root of the run file (or of a part): dimensions, variables, attributes. */
sg_status root_write(run_writer *w, const an_job *job, sg_error *err);
/* "2026-01-31T12:00:00Z", of SOURCE_DATE_EPOCH where that is set */
void root_created(char text[32]);

/* Runs the engine over the blocks of this part and leaves class sums in sums. Sampling, precision
 * (job->reached is filled) and checkpoints are inside. *sums is the caller's to free. */
sg_status pass_run(an_sums **sums, an_job *job, const char *run_path, sg_error *err);
/* After the run file is in place: the checkpoint and its scratch files are of no more use. */
void pass_forget_checkpoint(const an_job *job);

sg_status part_write(run_writer *w, const an_job *job, const an_sums *sums, sg_error *err);

#endif
