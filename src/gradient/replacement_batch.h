/* SPDX-License-Identifier: MIT */
/* replacement_batch.h - many replaced inputs carried along one segment of a stream, side by side.
 *
 *   column: the input of step `at` is x', the inputs after it are those of the stream
 *   Delta[d] = s_{at+d}(x') - s_{at+d}(x)          the change of the state, d = 0 .. life-1
 *   G dx                                           its linear prediction: G = d s_{at+d} / d x_at, dx = x' -
 *                                                  x
 *   kl[d] = KL(p_{at+d}(x) || p_{at+d}(x'))        of the distributions of the next word, in nats
 *
 * The columns alive at a step are the rows of one matrix: products of K x H by H x (gates H), one for the
 * states and one for G dx. A row's numbers do not depend on the other rows (product_kernel.h): however the
 * stream is cut into segments and columns are shared out, the bytes are the same, and x' = x gives exactly
 * 0. */
#ifndef SG_GRADIENT_REPLACEMENT_BATCH_H
#define SG_GRADIENT_REPLACEMENT_BATCH_H

#include "gradient/accum.h"
#include "stategrad/lm.h"

/* The model's weights in the order of the products; shared by threads. */
typedef struct replacement_weights replacement_weights;
/* The model is borrowed. with_kl: the decoder too, which the model must have. SG_ENOMEM. */
sg_status replacement_weights_new(replacement_weights **out, const sg_model *m, bool with_kl, sg_error *err);
void replacement_weights_free(replacement_weights *w);
size_t replacement_weights_bytes(const sg_model_shape *s, bool with_kl);

typedef struct {
    size_t at, life; /* step of the segment; delays 0 .. life-1 */
    bool with_kl;
    const float *x; /* (E) x', borrowed */
} replacement_column;

typedef struct {
    double change; /* |Delta| */
    double linear; /* |G dx| */
    double dot;    /* Delta . G dx */
    double miss;   /* |Delta - G dx|^2 */
} replacement_effect;

typedef struct replacement_batch replacement_batch; /* workspace of one thread */
/* Room for `most` columns in a segment. kl_at (D): the delays of a KL; NULL: none. States: layers from 1. All
 * is borrowed but `states`. SG_ENOMEM. */
sg_status replacement_batch_new(replacement_batch **out, const replacement_weights *w,
                                const sg_accum_state *states, size_t n_states, size_t D, const bool *kl_at,
                                size_t most, sg_error *err);
void replacement_batch_free(replacement_batch *r);
/* The state (in the order of forward_get_state) after the n inputs x (n, E); first[t] true: zero before step
 * t; first may be NULL. */
void replacement_batch_advance(replacement_batch *r, float *state, const float *x, const bool *first,
                               size_t n);
/* The n steps x of a segment that begins with `state`, and the columns of it: `at` does not fall, nor does at
 * + life, which is at most n; life is at most D. effects (n_columns, D, n_states), kl (n_columns, D): those
 * of delays that a column lives, and has a KL at, are written. SG_ENONFINITE: a changed state is not finite;
 * names the step. */
sg_status replacement_batch_run(replacement_batch *r, const float *state, const float *x, const bool *first,
                                size_t n, const replacement_column *columns, size_t n_columns,
                                replacement_effect *effects, double *kl, sg_error *err);

#endif
