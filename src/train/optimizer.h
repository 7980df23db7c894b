/* SPDX-License-Identifier: MIT */
/* optimizer.h - from a gradient to new weights: norm, clipping, SGD, Adam. */
#ifndef SG_OPTIMIZER_H
#define SG_OPTIMIZER_H

#include "lm/model_internal.h"
#include "stategrad/train.h"

typedef struct sg_stepper sg_stepper;
/* frozen: the encoder stays as it is and does not count in the norm. The model is borrowed. */
sg_status stepper_new(sg_stepper **out, const sg_model *m, sg_optimizer kind, bool frozen, int threads,
                      sg_error *err);
/* |gradient|_2 over all parameters that learn. words (n): the only rows of the encoder's gradient that are
 * not zero; NULL: all may be. */
double stepper_norm(const sg_stepper *s, const float *gradient, const int32_t *words, size_t n);
/* SGD: w -= lr * scale * g. Adam (beta 0.9, 0.999, epsilon 1e-8, corrected for bias) with scale * g. */
void stepper_apply(sg_stepper *s, float *gradient, const int32_t *words, size_t n, double lr, double scale);
/* Adam's moments (2 * block size; NULL for SGD) and number of steps, for checkpoints. */
float *stepper_moments(sg_stepper *s);
uint64_t *stepper_count(sg_stepper *s);
void stepper_free(sg_stepper *s);

#endif
