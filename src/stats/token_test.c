/* SPDX-License-Identifier: MIT */
/* Is a set of tokens different from a random draw of tokens? Signs flipped by block, for a mean of numbers.
 *
 * F_b = S_b - n_b R_b is what block b adds to the difference of the class's sum from the expected one: S_b
 * the sum of its n_b values, R_b the mean of the reference in the block. With labels exchangeable within
 * blocks its sign is a coin's. */
#include "stats/stats_internal.h"

#include "base/base_internal.h"

#include <math.h>

/* F_b; 0 where the class has no tokens, or nothing but the class has. */
static double part_of(const double *sums, const double *pairs, const double *reference, size_t b)
{
    double expected = pairs[b] * reference[b], F = sums[b] - expected;
    return pairs[b] > 0 && isfinite(reference[b]) && fabs(F) > 1e-5 * fabs(expected) ? F : 0;
}

void sg_stats_token_test(double *p, const char **missing, size_t B, const double *sums, const double *pairs,
                         const double *reference, size_t draws, uint64_t seed)
{
    double observed = 0;
    size_t blocks = 0, extreme = 0;
    sg_rng rng;
    *p = NAN, *missing = NULL;
    for (size_t b = 0; b < B; b++)
        blocks += part_of(sums, pairs, reference, b) != 0;
    if (blocks < TEST_LEAST_BLOCKS) {
        *missing = "fewer than 8 blocks with pairs of the class and others";
        return;
    }
    sg_rng_seed(&rng, seed, 0);
    for (size_t r = 0; r <= draws; r++) {
        double sum = 0;
        for (size_t b = 0; b < B; b++) {
            double F = part_of(sums, pairs, reference, b);
            sum += r && sg_rng_next(&rng) >> 63 ? -F : F;
        }
        if (!r)
            observed = fabs(sum) * (1 - 1e-12);
        else
            extreme += fabs(sum) >= observed;
    }
    *p = (double)(1 + extreme) / (double)(1 + draws);
}
