/* SPDX-License-Identifier: MIT */
/* team.h - how an analysis is divided among processes, and the bytes that go between them. */
#ifndef SG_ANALYSIS_TEAM_H
#define SG_ANALYSIS_TEAM_H

#include "analysis/prepare.h"
#include "stategrad/team.h"

/* Rows first .. end-1 of the sums are those of the rank; some ranks may have none. The most costly share is
 * as cheap as it can be: a token costs its gradients, and every token before the share the states. */
void team_share(const analysis *an, size_t rank, size_t ranks, size_t *first, size_t *end);
/* The states of one token, which are computed on one thread, in floating-point operations at the rate of
 * gradients. */
double team_state_cost(const sg_model_shape *s);
/* The gradients of one token of one model, in the same unit, self gains of units included. */
double team_token_cost(const analysis *an);
/* SG_EINVAL: names a setting that works in one process only. */
sg_status team_check(const sg_analysis_config *cfg, sg_error *err);
/* "FILE.2of4": the checkpoint of a process; sg_free. SG_EINVAL: there are checkpoints of another number of
 * processes. */
sg_status team_checkpoint(char **out, const sg_team *t, const char *checkpoint, sg_error *err);

/* Many small pieces in few messages, in one direction; both ends name the same pieces in the same order. */
typedef struct team_stream team_stream;
sg_status team_stream_new(team_stream **out, const sg_team *t, size_t peer, sg_error *err);
void team_stream_free(team_stream *s);
sg_status team_put(team_stream *s, const void *bytes, size_t n, sg_error *err);
sg_status team_get(team_stream *s, void *bytes, size_t n, sg_error *err);
/* What was put is on its way. */
sg_status team_flush(team_stream *s, sg_error *err);

#endif
