/* SPDX-License-Identifier: MIT */
/* given_replaced.h - words replaced by the caller of an accumulator (accumulator.h): which these are, and the sums of what that
 * changed, as replacement.c has them. */
#ifndef SG_ANALYSIS_PASS_GIVEN_REPLACED_H
#define SG_ANALYSIS_PASS_GIVEN_REPLACED_H

#include "analysis/prepare.h"

typedef struct given_replaced given_replaced;
/* The analysis is borrowed. SG_EINVAL: no word can replace another. SG_ENOMEM. */
sg_status given_replaced_new(given_replaced **out, const analysis *an, sg_error *err);
/* See sg_accumulator_replacements and sg_accumulator_add_replaced. */
sg_status given_replaced_list(given_replaced *p, size_t most, sg_replacement *list, size_t *n, sg_error *err);
sg_status given_replaced_add(given_replaced *p, const sg_replacement *list, size_t n,
                             const float *const *change, const float *const *linear, const double *kl,
                             sg_error *err);
/* SG_EINVAL: some are not added yet. */
sg_status given_replaced_complete(given_replaced *p, sg_error *err);
/* Of p. */
const replacement_sums *given_replaced_sums(const given_replaced *p);
void given_replaced_free(given_replaced *p);

#endif
