/* SPDX-License-Identifier: MIT */
/* replacer.h - what exchanging one word does to all that follows.
 *
 *   x_s the input of step s, x' another in its place; the inputs after s stay as they are
 *   Delta[d] = s_{s+d}(x') - s_{s+d}(x)       the change of the state, d = 0 .. n-1
 *   G dx                                      its linear prediction: G = d s_{s+d} / d x_s, dx = x' - x
 *   kl[d] = KL(p_{s+d}(x) || p_{s+d}(x'))     of the distributions of the next word, in nats
 *
 * Costs two forward steps and one step matrix per delay, and one product with the decoder per delay with a
 * KL. For one sentence (`show`), and the plain twin that tests hold gradient/replacement_batch.h to, which
 * carries many words at once. */
#ifndef SG_BEHAVIOUR_REPLACER_H
#define SG_BEHAVIOUR_REPLACER_H

#include "gradient/replacement_batch.h"
#include "stategrad/gradient.h"

typedef struct {
    size_t layer; /* from 0 */
    sg_state_kind kind;
} replacer_state;

typedef struct replacer replacer;
/* Room for n <= most steps. with_kl (most), borrowed: at which delays KL is taken; NULL: at none. The model
 * is borrowed. SG_EINVAL: a KL is asked of a model without decoder. */
sg_status replacer_new(replacer **out, const sg_model *m, const replacer_state *states, size_t n_states,
                       size_t most, const bool *with_kl, sg_error *err);
/* The inputs x (n, E) of steps s .. s+n-1 and the state before step s (as forward_get_state gives it; NULL:
 * zero). */
sg_status replacer_origin(replacer *r, const float *state, const float *x, size_t n, sg_error *err);
/* `other` (E) in the place of x_s. effects (n_states, n), kl (n; 0 where it is not taken); either may be
 * NULL. */
sg_status replacer_run(replacer *r, const float *other, replacement_effect *effects, double *kl,
                       sg_error *err);
void replacer_free(replacer *r);

#endif
