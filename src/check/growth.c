/* SPDX-License-Identifier: MIT */
#include "check/growth.h"

#include "base/base_internal.h"
#include "check/plain_network.h"

#include <math.h>

/* Before the changes: a tenth as many tokens, so that the states are the text's. */
enum { LEAD_IN = SG_GROWTH_STEPS / 10 };
static const double SIZE = 1e-6, GROWS = 10, DOUBLES = 2, PERSISTS = 0.1;

/* Steps first .. last. */
static sg_status run(plain_network *n, size_t first, size_t last, double before, ticker *watch, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t t = first; t <= last && st == SG_OK; t++) {
        network_run(n, t, t);
        st = ticker_tell(watch, before + (double)t + 1, err);
    }
    return st;
}

static sg_status follow(sg_check_growth *out, plain_network *changed, const plain_network *plain,
                        size_t first, size_t T, double before, sg_rng *rng, ticker *watch, sg_error *err)
{
    network_copy(changed, plain);
    network_push(changed, first, SIZE, rng);
    sg_status st = run(changed, first + 1, T - 1, before, watch, err);
    if (st != SG_OK)
        return st;
    for (size_t t = first + 1; t < T; t++) {
        double grown = network_distance(changed, plain, t) / SIZE;
        if (!(grown <= out->largest))
            out->largest = isnan(grown) ? INFINITY : grown, out->at = t - first;
    }
    out->left += log(fmax(network_distance(changed, plain, T - 1) / SIZE, SG_GROWTH_LEAST)) / SG_GROWTH_CHANGES;
    return SG_OK;
}

sg_status growth_follow(sg_check_growth *out, const sg_model *m, const double *inputs, size_t T,
                        uint64_t seed, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    ticker watch = ticker_begin(monitor, "following small changes", (double)((1 + SG_GROWTH_CHANGES) * T));
    size_t E = sg_model_get_shape(m)->embedding, first = T / (1 + SG_GROWTH_STEPS / LEAD_IN);
    plain_network *plain = NULL, *changed = NULL;
    sg_rng rng;
    *out = (sg_check_growth){.steps = T - 1 - first, .size = SIZE};
    sg_rng_seed(&rng, seed, 3);
    TRY(network_new(&plain, m, T, err));
    TRY(network_new(&changed, m, T, err));
    for (size_t t = 0; t < T; t++)
        for (size_t i = 0; i < E; i++)
            network_input(plain, t)[i] = inputs[t * E + i];
    TRY(run(plain, 0, T - 1, 0, &watch, err));
    for (size_t i = 0; i < SG_GROWTH_CHANGES; i++)
        TRY(follow(out, changed, plain, first, T, (double)((i + 1) * T), &rng, &watch, err));
    out->left = exp(out->left);
    out->verdict = !(out->largest < GROWS && out->left < 1) ? SG_GROWTH_GROWS
                   : !(out->left < PERSISTS)                ? SG_GROWTH_PERSISTS
                   : !(out->largest < DOUBLES)              ? SG_GROWTH_AT_FIRST
                                                            : SG_GROWTH_NONE;
done:
    network_free(plain);
    network_free(changed);
    return st;
}
