/* SPDX-License-Identifier: MIT */
/* growth.h - small changes of the state, followed over a text in double. */
#ifndef SG_CHECK_GROWTH_H
#define SG_CHECK_GROWTH_H

#include "stategrad/check.h"

enum { GROWTH_TOKENS = SG_GROWTH_STEPS + SG_GROWTH_STEPS / 10 + 1 };
/* inputs (T, E), T at least 2; the changes come after the first eleventh of them. Costs 5 T steps of the
 * plain network.
 * SG_ECANCELLED: stopped by the monitor. */
sg_status growth_follow(sg_check_growth *out, const sg_model *m, const double *inputs, size_t T,
                        uint64_t seed, const sg_monitor *monitor, sg_error *err);

#endif
