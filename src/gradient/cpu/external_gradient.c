/* SPDX-License-Identifier: MIT */
#include "gradient/external_gradient.h"

#include "gradient/accum_internal.h"
#include "gradient/cpu/sum_layout.h"

#include "base/base_internal.h"

#include <string.h>

struct external_gradient {
    size_t E, H;    /* H: rows of what was added last */
    float *strips;  /* G in strips of 32 columns, the last filled up with zeros */
    float *moment;  /* of one gradient */
    float *weights; /* of the covariance, or NULL */
};

static size_t strips_of(size_t E)
{
    return (E + SG_STRIP - 1) / SG_STRIP;
}

sg_status external_gradient_new(external_gradient **out, size_t H, size_t E, const double *covariance,
                                sg_error *err)
{
    sg_status st = SG_OK;
    external_gradient *x = sg_calloc(1, sizeof *x);
    *out = NULL;
    NEED(x && (x->strips = sg_calloc(strips_of(E) * SG_STRIP, H * sizeof *x->strips)) &&
             (x->moment = sg_calloc(sum_moment_floats(E), sizeof *x->moment)) &&
             (!covariance || (x->weights = sg_calloc(sum_moment_floats(E), sizeof *x->weights))),
         err, "a gradient of %zu x %zu", H, E);
    x->E = E;
    if (covariance)
        sum_moment_weights(E, covariance, x->weights);
    *out = x, x = NULL;
done:
    external_gradient_free(x);
    return st;
}

void external_gradient_free(external_gradient *x)
{
    if (!x)
        return;
    sg_free(x->strips);
    sg_free(x->moment);
    sg_free(x->weights);
    sg_free(x);
}

void external_gradient_add(external_gradient *x, sg_accum *a, size_t state, size_t H, size_t set, size_t d,
                           const float *G)
{
    float *sum = accum_partial(a, state, set, d);
    x->H = H;
    for (size_t c = 0; c < strips_of(x->E); c++) {
        size_t width = x->E - c * SG_STRIP < SG_STRIP ? x->E - c * SG_STRIP : SG_STRIP;
        float *strip = x->strips + c * H * SG_STRIP;
        for (size_t r = 0; r < H; r++, sum += width)
            for (size_t e = 0; e < width; e++)
                sum[e] += strip[r * SG_STRIP + e] = G[r * x->E + c * SG_STRIP + e];
        for (size_t r = 0; width < SG_STRIP && r < H; r++)
            memset(strip + r * SG_STRIP + width, 0, (SG_STRIP - width) * sizeof *strip);
    }
}

double external_gradient_add_moment(external_gradient *x, sg_accum *a, size_t state, size_t set, size_t d)
{
    size_t strips = strips_of(x->E), column = x->H * SG_STRIP;
    float *R = x->moment, *sum = accum_moment_partial(a, state, set, d);
    memset(R, 0, sum_moment_floats(x->E) * sizeof *R);
    for (size_t p = 0; p < strips; p++)
        for (size_t q = p; q < strips; q++, R += SG_STRIP * SG_STRIP)
            kernels_best()->gradient->moment(x->H, x->strips + p * column, x->strips + q * column, R);
    if (x->weights)
        return sum_moment_add(x->E, x->moment, x->weights, sum);
    for (size_t i = 0; i < sum_moment_floats(x->E); i++)
        sum[i] += x->moment[i];
    return 0;
}

bool external_gradient_flush(sg_accum *a, int threads, size_t *set, size_t *d)
{
    return accum_flush_due(a, threads, kernels_best()->gradient->flush, set, d);
}
