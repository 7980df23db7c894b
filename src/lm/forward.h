/* SPDX-License-Identifier: MIT */
/* forward.h - the states of one sequence, a chunk of steps at a time: what gradients are taken of. */
#ifndef SG_FORWARD_H
#define SG_FORWARD_H

#include "stategrad/lm.h"

typedef struct sg_forward sg_forward;
/* Zero state; room for chunks of max_steps. The model is borrowed. SG_ENONFINITE: sums of a layer could
 * overflow a float (weights and embeddings of 1e30). */
sg_status forward_new(sg_forward **out, const sg_model *m, size_t max_steps, sg_error *err);
/* n <= max_steps consecutive inputs: word ids, or (ids NULL) rows of E features. first (may be NULL):
 * first[t] true zeroes the state before step t. SG_ENONFINITE names layer and step of the chunk. */
sg_status forward_run(sg_forward *f, const int32_t *ids, const float *features, const bool *first, size_t n,
                      sg_error *err);
/* Of step t of the last chunk, borrowed until the next run; layer counts from 0. Tape and preactivations: see
 * cell.h. State: H_l numbers, rows of neighbouring steps follow one another; kind must be one that the cell
 * has. */
const float *forward_tape(const sg_forward *f, size_t layer, size_t t);
const float *sg_forward_preactivations(const sg_forward *f, size_t layer, size_t t);
const float *sg_forward_state(const sg_forward *f, size_t layer, sg_state_kind kind, size_t t);
void forward_reset(sg_forward *f);
/* All states (h, c of every layer) as one vector, for checkpoints: size, get, set. */
size_t forward_state_size(const sg_forward *f);
void forward_get_state(const sg_forward *f, float *state);
void forward_set_state(sg_forward *f, const float *state);
void forward_free(sg_forward *f);

#endif
