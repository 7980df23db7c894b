/* SPDX-License-Identifier: MIT */
/* lyapunov.h - do small changes of the state grow or decay along a text?
 *
 *   lambda_k = lim 1/T sum_t ln R_kk(t),   (d s_t / d s_{t-1}) Q_{t-1} = Q_t R_t      nats per token
 *
 * the first K Lyapunov exponents by QR along the text (Benettin et al. 1980), s the states of all layers,
 * inputs held fixed. lambda_1 > 0: neighbouring trajectories diverge, so float32 and float64 do as well
 * (chaos). lambda_1 < 0: the gain at long delays falls as exp(lambda_1 d). */
#ifndef SG_BEHAVIOUR_LYAPUNOV_H
#define SG_BEHAVIOUR_LYAPUNOV_H

#include "gradient/tangent.h"

typedef struct lyapunov lyapunov;
/* K <= forward_state_size. Starts from random orthonormal columns. SG_EINVAL: K is 0 or too large. */
sg_status lyapunov_new(lyapunov **out, const sg_model *m, size_t K, uint64_t seed, sg_error *err);
void lyapunov_free(lyapunov *y);
/* Step i of the forward pass's last chunk. */
sg_status lyapunov_step(lyapunov *y, const sg_forward *f, size_t i, sg_error *err);
/* log_growth (K) += sums of ln R_kk since the last call; returns the steps since then. */
uint64_t lyapunov_take(lyapunov *y, double *log_growth);

#endif
