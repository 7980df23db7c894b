/* SPDX-License-Identifier: MIT */
/* part_input.h - what results_write needs to know besides the sums: into a part, and read back from it. */
#ifndef SG_ANALYSIS_RESULTS_PART_INPUT_H
#define SG_ANALYSIS_RESULTS_PART_INPUT_H

#include "analysis/part.h"
#include "analysis/prepare.h"

/* `input` borrows from the rest, and from the run. words: zeros, to be added to; NULL: the parts have
 * none. */
typedef struct {
    results_input input;
    state_group *groups;
    const char **class_names;
    double *L[2], *n[2];
    /* property_missing and _names (P); texts are the first part's */
    const char *factor_missing[2], **property_missing, **property_names;
    int64_t *property_pairs; /* (P) */
    uint64_t *count, *class_tokens;
    int64_t *members;
    unsigned char *holds;
    word_sums *words;
    double *folds[2], *fold_weight;
    const char **no_folds;
} part_input;

/* Beside metadata_write, in the root and the groups of the untrained copy. */
sg_status part_input_write(part_file *p, const analysis *an, sg_error *err);
/* An attribute of the root that parts alone have. */
bool part_input_attribute(const char *name);
/* From the first part of a run of B blocks, each of them `split` rows of parts. part_input_free: in any
 * case. */
sg_status part_input_read(part_input *x, const part_file *first, size_t B, size_t split, int threads,
                          sg_error *err);
void part_input_free(part_input *x);

#endif
