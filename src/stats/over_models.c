/* SPDX-License-Identifier: MIT */
/* One number of several trainings: mean, scatter of the models, errors of the text. */
#include "stategrad/stats.h"

#include <math.h>

static double mean_of(size_t n, const double *x)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

void sg_stats_over_models(sg_over_models *out, size_t n, const double *value, const double *low,
                          const double *high)
{
    double squares = 0, mean = mean_of(n, value);
    for (size_t i = 0; i < n; i++)
        squares += (value[i] - mean) * (value[i] - mean);
    double reach =
        n > 1 ? sg_stats_t_quantile(0.975, (double)n - 1) * sqrt(squares / ((double)n - 1) / (double)n) : NAN;
    *out = (sg_over_models){mean, mean - reach, mean + reach, mean_of(n, low), mean_of(n, high)};
}
