/* SPDX-License-Identifier: MIT */
/* How long a curve lasts, read from the curve itself: no law is assumed. */
#include "stats/decay_internal.h"

#include <math.h>

static const double shares[SG_DECAY_SHARES] = {0.5, 0.2, 0.1};
static const char *const never[SG_DECAY_SHARES] = {
    "never below half of the peak within the delays analysed",
    "never below 20 % of the peak within the delays analysed",
    "never below 10 % of the peak within the delays analysed",
};

double sg_decay_share(size_t i)
{
    return shares[i];
}

size_t decay_peak(size_t D, const double *y)
{
    size_t peak = 0;
    for (size_t d = 1; d < D; d++)
        if (y[d] > y[peak] || (isnan(y[peak]) && !isnan(y[d])))
            peak = d;
    return peak;
}

/* The first crossing after the peak, between the delays around it on a line of ln y. */
static double crossing(size_t D, const double *y, size_t peak, double level)
{
    for (size_t d = peak + 1; d < D && isfinite(y[d]); d++) {
        if (y[d] >= level)
            continue;
        double whole = (double)(d - peak);
        return y[d] > 0 ? whole - 1 + log(y[d - 1] / level) / log(y[d - 1] / y[d]) : whole;
    }
    return NAN;
}

void decay_left(sg_interval left[SG_DECAY_SHARES], size_t D, const double *y, size_t peak)
{
    bool there = y[peak] > 0 && isfinite(y[peak]);
    for (size_t i = 0; i < SG_DECAY_SHARES; i++) {
        left[i] = (sg_interval){NAN, NAN, NAN, NAN, NAN, "nothing at the peak"};
        if (!there)
            continue;
        left[i].value = crossing(D, y, peak, shares[i] * y[peak]);
        left[i].missing = isnan(left[i].value) ? never[i] : NULL;
    }
}

void sg_stats_half_life(sg_interval *out, size_t D, const double *y)
{
    sg_interval left[SG_DECAY_SHARES];
    decay_left(left, D, y, decay_peak(D, y));
    *out = left[0];
}
