/* SPDX-License-Identifier: MIT */
/* replacement.h - words of the corpus replaced by others, and what that does to the states that follow: the
 * pass of setting 'replace' (doc/method.md, section 5). Which words are replaced, and by which:
 * replaced_words.h.
 *
 * Pairs (s, s + d) are those of the gradients: none across a reset or a multiple of the window, none within
 * the burn-in. Costs as many forward steps as there are replacements and delays. */
#ifndef SG_ANALYSIS_PASS_REPLACEMENT_H
#define SG_ANALYSIS_PASS_REPLACEMENT_H

#include "analysis/prepare.h"

#include <stdio.h>

/* Which delays have a KL: 0, 1, 2, 4, 8, ... */
bool replacement_kl_delay(size_t d);
/* Floating point operations of one replaced word, under all laws on average: states and G dx; and of the
 * KL. */
void replacement_cost(const analysis *an, double *states, double *kl);
/* Operations' time of the average along one line; and how many words of the corpus have a partner, counted
 * once for each property. */
double replacement_path_cost(const analysis *an);
double replacement_partners(const analysis *an);

/* Bytes of memory, from sizes alone. */
size_t replacement_bytes(const analysis *an);

typedef struct replacement replacement;
/* Nothing is replaced yet. The analysis is borrowed. SG_EINVAL: no word can replace another. */
sg_status replacement_new(replacement **out, const analysis *an, sg_error *err);
void replacement_free(replacement *r);
/* Replaces words of this part's positions before `until` with the model's states; a model's positions come in
 * order, models too, and a later model begins anew. go_on (may be NULL) is asked between segments; *stopped:
 * it returned false, and the next call continues from there. SG_ENONFINITE. */
sg_status replacement_run(replacement *r, size_t model, uint64_t until, bool (*go_on)(void *ctx), void *ctx,
                          bool *stopped, sg_error *err);
/* For checkpoints, between calls. SG_EFORMAT: cut short, or not of this analysis. */
sg_status replacement_save(const replacement *r, FILE *f, const char *path, sg_error *err);
sg_status replacement_load(replacement *r, FILE *f, const char *path, sg_error *err);
/* The sums, which the caller now owns; r has none. */
replacement_sums *replacement_take(replacement *r);

#endif
