/* SPDX-License-Identifier: MIT */
/* output_activation.h - the activation between the last layer and the decoder. */
#ifndef SG_LM_OUTPUT_ACTIVATION_H
#define SG_LM_OUTPUT_ACTIVATION_H

#include "stategrad/lm.h"

/* In place. */
void output_activate(sg_output_activation a, size_t n, float *x);

#endif
