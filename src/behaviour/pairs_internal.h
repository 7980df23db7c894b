/* SPDX-License-Identifier: MIT */
/* pairs_internal.h - a scored suite, for those who write it out. */
#ifndef SG_BEHAVIOUR_PAIRS_INTERNAL_H
#define SG_BEHAVIOUR_PAIRS_INTERNAL_H

#include "behaviour/pairs_file.h"

/* attribution: of what is read before the first word; of the good words, each with the bad word that it
 * shares a place with; of the bad words that have no such place. NaN: not read. */
typedef struct {
    size_t same_begin, same_end; /* words that both sentences begin and end with */
    size_t attribution, n;       /* in sg_pairs.attribution */
    uint64_t unknown;            /* words, of both sentences */
    bool left_out, one_unknown;
    double log_p_good, log_p_bad, difference, origin;
} pairs_result;

struct sg_pairs {
    pairs_file file;
    pairs_result *results;
    double *attribution; /* NULL: not asked for */
    size_t n_attribution, n_conditions, n_roles;
    sg_pairs_condition *conditions; /* n_conditions, the first is all */
    sg_pairs_role *roles;           /* (n_conditions, n_roles) */
    sg_pairs_summary summary;
    sg_model_shape shape;
    sg_pairs_config cfg; /* as applied; its condition is owned */
    char *condition;
};

/* A place in both sentences: a word of each, the same word where they agree, and their attribution. */
typedef struct {
    int32_t good, bad; /* numbers in file.word; -1: this sentence has no word there */
    double attribution;
} pairs_slot;
/* Slot k of pair i, 0 <= k < results[i].n; slot 0 has no words: it is what is read before the first one. */
void pairs_get_slot(const sg_pairs *p, size_t i, size_t k, pairs_slot *out);

/* Tables of conditions and roles, from the results. */
sg_status pairs_count(sg_pairs *p, sg_error *err);

#endif
