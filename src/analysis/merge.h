/* SPDX-License-Identifier: MIT */
/* merge.h - a part of a run: the block sums of setting 'part' in a file. */
#ifndef SG_ANALYSIS_MERGE_H
#define SG_ANALYSIS_MERGE_H

#include "analysis/prepare.h"

sg_status part_write(run_writer *w, const analysis *an, const an_sums *sums, sg_error *err);

#endif
