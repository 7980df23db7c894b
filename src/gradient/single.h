/* SPDX-License-Identifier: MIT */
/* single.h - sg_gradient_step for callers that can be stopped. */
#ifndef SG_GRADIENT_SINGLE_H
#define SG_GRADIENT_SINGLE_H

#include "base/base_internal.h"
#include "stategrad/gradient.h"

/* As sg_gradient_step; `done` is reported to watch from time to time. SG_ECANCELLED: g is to be freed or
 * reset. */
sg_status gradient_step_watched(sg_gradient *g, int32_t id, const float *features, ticker *watch, double done,
                                sg_error *err);

#endif
