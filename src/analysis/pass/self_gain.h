/* SPDX-License-Identifier: MIT */
/* self_gain.h - self gains of the units of the analysed layers along the corpus: the pass of setting 'units'
 * (doc/method.md, section 3). Every origin, or with setting 'sample' or 'precision' as large a share of them
 * as the gradients had.
 *
 * Pairs (t, t + d) are those of the gradients: none across a reset or a multiple of the window, none within
 * the burn-in. Costs about 1/E of the gradients' operations, and the states twice more. */
#ifndef SG_ANALYSIS_PASS_SELF_GAIN_H
#define SG_ANALYSIS_PASS_SELF_GAIN_H

#include "analysis/prepare.h"

#include <stdio.h>

/* Floating point operations per token; bytes of memory. From sizes alone. */
double self_gain_cost(const analysis *an);
size_t self_gain_bytes(const analysis *an);

typedef struct self_gain_pass self_gain_pass;
/* Nothing is done yet. The analysis is borrowed. */
sg_status self_gain_new(self_gain_pass **out, const analysis *an, sg_error *err);
void self_gain_free(self_gain_pass *x);
/* A few segments of the corpus for each thread; *more: there are others. SG_ENONFINITE. */
sg_status self_gain_round(self_gain_pass *x, bool *more, sg_error *err);
/* Tokens done and to do, of all models. */
sg_progress self_gain_progress(const self_gain_pass *x);
/* For checkpoints, between rounds. SG_EFORMAT: cut short, or not of this analysis. */
sg_status self_gain_save(const self_gain_pass *x, FILE *f, const char *path, sg_error *err);
sg_status self_gain_load(self_gain_pass *x, FILE *f, const char *path, sg_error *err);
/* The sums, which the caller now owns; x has none. */
self_gain_sums *self_gain_take(self_gain_pass *x);

#endif
