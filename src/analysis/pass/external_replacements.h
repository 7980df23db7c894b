/* SPDX-License-Identifier: MIT */
/* external_replacements.h - words replaced by the caller of an accumulator (accumulator.h): which these are,
 * and the sums of what that changed, as replacement.c has them. */
#ifndef SG_ANALYSIS_PASS_EXTERNAL_REPLACEMENTS_H
#define SG_ANALYSIS_PASS_EXTERNAL_REPLACEMENTS_H

#include "analysis/prepare.h"

typedef struct external_replacements external_replacements;
/* The analysis is borrowed. SG_EINVAL: no word can replace another. SG_ENOMEM. */
sg_status external_replacements_new(external_replacements **out, const analysis *an, sg_error *err);
/* See sg_accumulator_replacements and sg_accumulator_add_replaced. */
sg_status external_replacements_list(external_replacements *p, size_t most, sg_replacement *list, size_t *n,
                                     sg_error *err);
sg_status external_replacements_add(external_replacements *p, const sg_replacement *list, size_t n,
                                    const float *const *change, const float *const *linear, const double *kl,
                                    sg_error *err);
/* SG_EINVAL: some are not added yet. */
sg_status external_replacements_complete(external_replacements *p, sg_error *err);
/* Of p. */
const replacement_sums *external_replacements_sums(const external_replacements *p);
void external_replacements_free(external_replacements *p);

#endif
