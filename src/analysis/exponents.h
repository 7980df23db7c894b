/* SPDX-License-Identifier: MIT */
/* exponents.h - Lyapunov exponents along the corpus, block by block (behaviour/lyapunov.h). */
#ifndef SG_ANALYSIS_EXPONENTS_H
#define SG_ANALYSIS_EXPONENTS_H

#include "analysis/part.h"
#include "stategrad/stats.h"

/* Of the model and its untrained copy. A long corpus is followed in the head of each block only. */
typedef struct {
    size_t K, B;
    double *growth[2];   /* (B,K) sums of ln R_kk; NULL: not that model, or `missing` */
    double *steps[2];    /* (B) */
    const char *missing; /* why there are none */
} exponent_sums;

/* Exponent k of model m, nats per token: sum growth / sum steps, jackknife over blocks by steps. work (2
 * B). */
void exponents_interval(sg_interval *out, const exponent_sums *x, size_t m, size_t k, double *work);
/* lyapunov_exponent with its bounds, into a group of model m. */
sg_status exponents_write(run_writer *w, int group, const exponent_sums *x, size_t m, sg_error *err);
/* Room for what the parts of a run hold, as `first` has it. */
sg_status exponents_of_parts(exponent_sums *x, const sg_run *first, size_t B, sg_error *err);
/* The growth of model m, whose group p is at; split rows to a block: see part.h. */
sg_status exponents_part(part_file *p, exponent_sums *x, size_t m, size_t split, sg_error *err);
/* Why there are none with setting 'state_handling' reset. */
extern const char exponents_reset[];
void exponents_free(exponent_sums *x);

#endif
