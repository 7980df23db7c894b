/* SPDX-License-Identifier: MIT */
/* merge.h - a part of a run: the block sums of setting 'part' in a file, or those of a process in rank 0. */
#ifndef SG_ANALYSIS_MERGE_H
#define SG_ANALYSIS_MERGE_H

#include "analysis/prepare.h"

/* path: for messages. replaced: what replacing words does, or NULL. */
sg_status part_write(run_writer *w, const char *path, analysis *an, block_sums *sums,
                     replacement_sums *replaced, sg_error *err);
/* Collective (team.h): all sums go to rank 0, which adds them in the order of ranks, that is of blocks. */
sg_status team_gather(analysis *an, block_sums *sums, replacement_sums *replaced, sg_error *err);

#endif
