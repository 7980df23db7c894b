/* SPDX-License-Identifier: MIT */
/* pass.h - the pass over a corpus: class sums of every block. *sums is the caller's to free. Checkpoints are
 * inside. */
#ifndef SG_ANALYSIS_PASS_PASS_H
#define SG_ANALYSIS_PASS_PASS_H

#include "analysis/pair_sums.h"
#include "analysis/prepare.h"

/* Every token of this part in turn, all of them or a drawn share as origins. *replaced: what replacing words
 * does; NULL where none is replaced. */
sg_status exact_run(block_sums **sums, replacement_sums **replaced, analysis *an, const char *run_path,
                    sg_error *err);
/* Origins drawn in rounds until setting 'precision' is reached; fills an->reached. */
sg_status sampled_run(block_sums **sums, replacement_sums **replaced, analysis *an, const char *run_path,
                      sg_error *err);
/* an->exponents, by a pass of its own. SG_ENONFINITE. */
sg_status growth_run(analysis *an, sg_error *err);
/* Chosen pairs of words compared with others (pair_sums.h), by a pass of its own; *out NULL: none were
 * asked for, or nothing can be normalised. */
sg_status pairs_run(analysis *an, pair_sums **out, sg_error *err);
/* After the run file is in place: removes the checkpoint and its scratch files. */
void resume_forget(const analysis *an);

#endif
