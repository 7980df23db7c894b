/* SPDX-License-Identifier: MIT */
/* path.h - the gradient averaged along the straight line from one input to another.
 *
 *   x_s the input of step s, x' another in its place, dx = x' - x; the inputs after s stay as they are
 *   G~[d]   integral over u in [0, 1] of G[d] = d s_{s+d} / d x_s at x + u dx
 *   Delta[d] = s_{s+d}(x') - s_{s+d}(x) = G~[d] dx          (completeness)
 *
 * By Gauss-Legendre nodes on pieces of the line. Of each piece the change of state is known, so its error is
 * too: pieces are halved where it is largest, however narrow the place where a saturated gate moves. */
#ifndef SG_BEHAVIOUR_PATH_H
#define SG_BEHAVIOUR_PATH_H

#include "base/base_internal.h"
#include "stategrad/gradient.h"

/* Gauss-Legendre on [-1, 1] */
enum { PATH_NODES = 4 };
extern const double path_node_at[PATH_NODES], path_node_weight[PATH_NODES];

/* Where it stops: every |Delta - G~ dx| at most `gap` |Delta|, or no more nodes. */
typedef struct {
    double gap;
    size_t nodes;
} path_limits;

typedef struct {
    double change;  /* |Delta| */
    double linear;  /* |G dx|, G at x */
    double average; /* |G~ dx| */
    double gap;     /* |Delta - G~ dx| / |Delta|; NaN where Delta is 0 */
} path_effect;

typedef struct path_work path_work;
/* Room for n <= most steps. Layer from 0. The model is borrowed. SG_ENOMEM. */
sg_status path_new(path_work **out, const sg_model *m, size_t layer, sg_state_kind kind, size_t most,
                   path_limits limits, sg_error *err);
void path_free(path_work *p);
/* Receives progress of path_average, `done` of it; borrowed. SG_ECANCELLED then, if it stops the
 * work. */
void path_watch(path_work *p, ticker *watch, double done);
/* The inputs x (n, E) of steps s .. s+n-1, the state before step s (as forward_get_state gives it), `other`
 * (E) in the place of x_s. effects (n). *nodes: how many there were; *reached: the gap is as small as asked
 * for, but for the rounding of the states. Each node costs one forward pass and the tangents of n steps. */
sg_status path_average(path_work *p, const float *state, const float *x, size_t n, const float *other,
                       path_effect *effects, size_t *nodes, bool *reached, sg_error *err);

#endif
