/* SPDX-License-Identifier: MIT */
/* metadata.h - the root of the run file (or of a part): dimensions, variables, attributes. */
#ifndef SG_ANALYSIS_RESULTS_METADATA_H
#define SG_ANALYSIS_RESULTS_METADATA_H

#include "analysis/prepare.h"

sg_status metadata_write(run_writer *w, const analysis *an, sg_error *err);
/* The same into the whole run, from the first of its parts, by the calls of metadata_write in the same
 * order: the bytes are those of a run that was never divided. */
sg_status metadata_copy(run_writer *w, sg_run *part, sg_error *err);
/* "2026-01-31T12:00:00Z", of SOURCE_DATE_EPOCH where that is set */
void metadata_created(char text[32]);

#endif
