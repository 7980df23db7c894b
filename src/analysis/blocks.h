/* SPDX-License-Identifier: MIT */
/* blocks.h - where the blocks of the jackknife end.
 *
 * Tokens of one document depend on each other over its whole length, so blocks are whole documents, as even
 * as these allow. Fewer than MIN_DOCUMENTS of them do not show how documents differ: blocks are then cut
 * evenly anywhere, and intervals hold for this text alone.
 *
 * Each block may consist of `split` parts (whole documents as well, or empty): the jackknife over parts shows
 * whether the variance still grows with the length of blocks (sg_stats_jackknife_nested). */
#ifndef SG_ANALYSIS_BLOCKS_H
#define SG_ANALYSIS_BLOCKS_H

#include "analysis/prepare.h"

/* Documents, number of blocks and parts, from sizes and counts alone; an->B may become smaller in
 * blocks_place. */
void blocks_choose(analysis *an);
/* an->starts, from one reading of the stream, and the blocks of this part of the run. SG_EINVAL: setting
 * 'part' asks for more parts than there are blocks. */
sg_status blocks_place(analysis *an, sg_error *err);
/* an->first_row, an->end_row, of setting 'part'. */
sg_status blocks_of_part(analysis *an, sg_error *err);

#endif
