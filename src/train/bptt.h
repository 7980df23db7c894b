/* SPDX-License-Identifier: MIT */
/* bptt.h - loss and gradient of one window: embedding, layers, softmax, and back.
 *
 *   B sequences side by side, T steps; rows are (t, sequence), t-major
 *   L = mean over the window's T*B tokens of the loss of the next token, in nats
 *
 * The state is carried from window to window, its gradient is not (truncated back-propagation through time).
 * Dropout falls on embeddings and on every layer's output; which numbers it takes depends on `key`, row and
 * column alone. */
#ifndef SG_BPTT_H
#define SG_BPTT_H

#include "lm/model_internal.h"

typedef struct sg_bptt sg_bptt;
/* For windows of at most T steps. The model is borrowed; its weights may change between windows. */
sg_status bptt_new(sg_bptt **out, const sg_model *m, size_t T, size_t B, int threads, sg_error *err);
/* ids (n+1, B): inputs are rows 0..n-1, targets rows 1..n. gradient: a block of the model's layout,
 * overwritten with dL/dparameters; of the encoder's gradient only the rows of the words read now and in the
 * window before are touched (untied), so the block must be zero before the first window. Returns L. */
double bptt_window(sg_bptt *b, size_t n, const int32_t *ids, double dropout, uint64_t key, float *gradient);
/* The words read in the last window, each once, in order of appearance: rows of the encoder's gradient that
 * are not zero. Of a tied model all rows may be. */
const int32_t *bptt_words(const sg_bptt *b, size_t *n);
/* The carried states as one vector. */
size_t bptt_state_size(const sg_bptt *b);
void bptt_get_state(const sg_bptt *b, float *state);
void bptt_set_state(sg_bptt *b, const float *state);
void bptt_reset(sg_bptt *b); /* zero */
void bptt_free(sg_bptt *b);

#endif
