/* SPDX-License-Identifier: MIT */
/* merge.h - a part of a run: the block sums of setting 'part' in a file. */
#ifndef SG_ANALYSIS_MERGE_H
#define SG_ANALYSIS_MERGE_H

#include "analysis/prepare.h"

/* path: for messages. replaced: what replacing words does, or NULL. */
sg_status part_write(run_writer *w, const char *path, analysis *an, block_sums *sums,
                     replacement_sums *replaced, sg_error *err);

#endif
