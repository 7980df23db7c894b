/* SPDX-License-Identifier: MIT */
/* self_gain_sums.h - estimates of self gains (gradient/self_gain.h), summed per part of a block of the corpus
 * (blocks.h), group, delay and unit. In memory. The part is that of the origin. */
#ifndef SG_ANALYSIS_SELF_GAIN_SUMS_H
#define SG_ANALYSIS_SELF_GAIN_SUMS_H

#include "analysis/part.h"

typedef struct {
    size_t F, G, D;               /* parts of blocks; groups of the run file; delays */
    size_t units[RUN_MAX_GROUPS]; /* (G) */
    double *sum[RUN_MAX_GROUPS];  /* (G) each (F, D, units) */
    double *pairs;                /* (F, D) the same origins in all groups */
} self_gain_sums;

/* SG_ENOMEM: the message has the bytes. */
sg_status self_gain_sums_new(self_gain_sums **out, size_t F, size_t G, size_t D, const size_t *units,
                             sg_error *err);
void self_gain_sums_free(self_gain_sums *s);
size_t self_gain_sums_bytes(size_t F, size_t G, size_t D, const size_t *units);
static inline double *self_gain_sums_at(const self_gain_sums *s, size_t g, size_t f)
{
    return s->sum[g] + f * s->D * s->units[g];
}
/* Room for what the parts of a run hold, as `first` has it. NULL: they have none. */
sg_status self_gain_sums_of_parts(self_gain_sums **out, const part_file *first, size_t F, sg_error *err);
/* See part.h; s NULL is fine. In the root, and in the group of number g. */
sg_status self_gain_sums_part_pairs(part_file *p, self_gain_sums *s, sg_error *err);
sg_status self_gain_sums_part(part_file *p, self_gain_sums *s, size_t g, sg_error *err);

#endif
