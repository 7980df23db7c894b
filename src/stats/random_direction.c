/* SPDX-License-Identifier: MIT */
/* What random unit vectors would show: the reference without which nobody can tell if a cosine of 0.4 is
 * much. */
#include "stats/stats_internal.h"

#include "base/base_internal.h"

#include <math.h>

void sg_stats_random_cosine(size_t k, size_t E, double *mean, double *low, double *high)
{
    if (k >= E) {
        *mean = *low = *high = 1;
        return;
    }
    double a = 0.5 * (double)k, b = 0.5 * (double)(E - k);
    /* E sqrt(X) for X ~ Beta(a, b) */
    *mean = exp(lgamma(a + 0.5) + lgamma(a + b) - lgamma(a) - lgamma(a + b + 0.5));
    *low = sqrt(stats_beta_quantile(0.025, a, b));
    *high = sqrt(stats_beta_quantile(0.975, a, b));
}

sg_status sg_stats_random_gain(size_t r, const double *S, size_t E, uint64_t seed, double *mean, double *low,
                               double *high, sg_error *err)
{
    enum { DRAWS = 2000 };
    *mean = *low = *high = NAN;
    if (!r || r > E)
        return sg_fail(err, SG_EINVAL, "statistics: %zu singular values in %zu dimensions", r, E);
    if (!(S[0] > 0) || !isfinite(S[0]))
        return SG_OK;
    double *gain = sg_calloc(DRAWS, sizeof *gain);
    if (!gain)
        return sg_fail(err, SG_ENOMEM, "statistics: %d draws do not fit in memory", (int)DRAWS);
    sg_rng rng;
    sg_rng_seed(&rng, seed, 0);
    double sum = 0;
    /* The direction is as random in the basis of right singular vectors as in any other. */
    for (size_t i = 0; i < DRAWS; i++) {
        double kept = 0, length = 0;
        for (size_t j = 0; j < E; j++) {
            double z = sg_rng_normal(&rng), s = j < r ? S[j] / S[0] : 0;
            length += z * z;
            kept += s * s * z * z;
        }
        gain[i] = sqrt(kept / length);
        sum += gain[i];
    }
    stats_sort(DRAWS, gain);
    *mean = sum / DRAWS;
    *low = stats_quantile(DRAWS, gain, 0.025);
    *high = stats_quantile(DRAWS, gain, 0.975);
    sg_free(gain);
    return SG_OK;
}
