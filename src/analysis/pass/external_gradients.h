/* SPDX-License-Identifier: MIT */
/* external_gradients.h - the pass over gradients that the caller gives (accumulator.h): which pairs there
 * are, and the class sums of each part of a block, as exact.c has them.
 *
 * Positions are gone through in order, those without a gradient too: their pairs exist and were not drawn. A
 * part is open while a later position can still have a pair in it: with origins s its pairs are at s ..
 * s+D-1, with steps t at t alone. */
#ifndef SG_ANALYSIS_PASS_EXTERNAL_GRADIENTS_H
#define SG_ANALYSIS_PASS_EXTERNAL_GRADIENTS_H

#include "analysis/prepare.h"

typedef enum { GIVEN_ORIGINS = 1, GIVEN_STEPS } external_order;

typedef struct external_pass external_pass;
/* The analysis is borrowed; its sums by word are filled. */
sg_status external_pass_new(external_pass **out, analysis *an, const char *run_path, sg_error *err);
/* See sg_accumulator_add and sg_accumulator_add_steps. */
sg_status external_pass_add(external_pass *p, external_order order, const uint64_t *positions, size_t n,
                            const float *const *G, sg_error *err);
/* The sums of the whole text, which the caller now owns. SG_EINVAL: nothing was added. */
sg_status external_pass_finish(external_pass *p, block_sums **sums, sg_error *err);
void external_pass_free(external_pass *p);

#endif
