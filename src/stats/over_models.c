/* SPDX-License-Identifier: MIT */
/* One number of several trainings: mean, scatter of the models, errors of the text. */
#include "stats/stats_internal.h"

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

/* s^2 / n of x - y (y NULL: of x) */
static double variance_of_mean(size_t n, const double *x, const double *y)
{
    double mean = mean_of(n, x) - (y ? mean_of(n, y) : 0), squares = 0;
    for (size_t i = 0; i < n; i++) {
        double away = x[i] - (y ? y[i] : 0) - mean;
        squares += away * away;
    }
    return squares / ((double)n - 1) / (double)n;
}

void sg_stats_models_contrast(sg_contrast *out, size_t n_x, const double *x, size_t n_y, const double *y,
                              bool paired)
{
    *out = (sg_contrast){{mean_of(n_x, x) - mean_of(n_y, y), 0, NAN, NAN, NAN, NULL}, NAN, NAN};
    if (n_x < 2 || n_y < 2) {
        out->x.missing = "one model";
        return;
    }
    double nu_x = (double)n_x - 1, nu_y = (double)n_y - 1;
    double v_x = variance_of_mean(n_x, x, paired ? y : NULL),
           v_y = paired ? 0 : variance_of_mean(n_y, y, NULL);
    double v = v_x + v_y;
    stats_settle(out, v, paired ? nu_x : stats_welch(v_x, nu_x, v_y, nu_y));
}
