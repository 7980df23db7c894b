/* SPDX-License-Identifier: MIT */
/* team.h - several processes that do one analysis together: sg_analysis_config.team. stategrad-mpi (mpi/)
 * connects them by MPI.
 *
 * Every process opens the same model and corpus and makes the same call. sg_analyze divides the blocks of the
 * corpus among them by cost; the sums go to rank 0, in the order of blocks, and it writes the run file: the
 * bytes are those of one process. If the work fails in one process, only that process returns an error; the
 * caller must end the others. */
#ifndef STATEGRAD_TEAM_H
#define STATEGRAD_TEAM_H

#include "stategrad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* send and receive: n bytes to or from another rank, in order, waiting until it is done. false: asked to
 * stop. */
typedef struct {
    size_t rank, ranks; /* 0 .. ranks-1 */
    bool (*send)(void *ctx, size_t to, const void *bytes, size_t n);
    bool (*receive)(void *ctx, size_t from, void *bytes, size_t n);
    void *ctx;
} sg_team;

/* Collective: every process calls it. SG_OK everywhere if st is SG_OK and the facts (lines "name=value", at
 * most 4 KiB) are the same everywhere. Otherwise, everywhere, the status and message of the lowest rank that
 * failed ("rank 2: ..."), or SG_EINVAL: which fact differs, and where. SG_ECANCELLED: stopped while
 * waiting. */
SG_API sg_status sg_team_agree(const sg_team *t, const char *facts, sg_status st, sg_error *err);

#ifdef __cplusplus
}
#endif
#endif
