/* SPDX-License-Identifier: MIT */
#include "analysis/pass/shared.h"

#include "base/base_internal.h"

#include <omp.h>

sg_status read_portion(const analysis *an, uint64_t t, size_t n, sg_step *steps, float *features,
                       sg_error *err)
{
    sg_status st = SG_OK;
    TRY(sg_stream_read(an->stream, t, n, steps, err));
    if (an->features)
        TRY(rows_read(an->features, t, n, features, err));
done:
    return st;
}

sg_status last_sentence(const analysis *an, uint64_t t, sg_step *steps, uint64_t *zero, sg_error *err)
{
    sg_status st = SG_OK;
    *zero = 0;
    for (uint64_t end = t + 1; an->cfg->handling == SG_RESET && end > 0;) {
        size_t n = end < PORTION ? (size_t)end : PORTION;
        TRY(sg_stream_read(an->stream, end - n, n, steps, err));
        for (size_t i = n; i > 0; i--)
            if (steps[i - 1].first) {
                *zero = end - n + i - 1;
                goto done;
            }
        end -= n;
    }
done:
    return st;
}

sg_status states_begin(const analysis *an, uint64_t t, sg_step *steps, uint64_t *zero, sg_error *err)
{
    const uint64_t warm_up = an->cfg->warm_up;
    if (!warm_up)
        return last_sentence(an, t, steps, zero, err);
    *zero = t > warm_up ? t - warm_up : 0;
    return SG_OK;
}

bool states_need_all(const analysis *an)
{
    return !an->cfg->warm_up && an->cfg->handling != SG_RESET;
}

static bool contains(const analysis *an, size_t set, size_t c)
{
    return c == 0 || sg_classes_contains(an->classes, set, c);
}

void sampling_rates(const analysis *an, double origins, double *rate)
{
    double T = (double)an->T, low = 0, high = 1;
    for (int i = 0; i < 60; i++) {
        double scale = (low + high) / 2, expected = 0;
        for (size_t s = 0; s < an->sets; s++) {
            double r = 0;
            for (size_t c = 0; c < an->C; c++) {
                double tokens = c ? (double)sg_stream_class_tokens(an->stream, an->classes, c) : T;
                double wanted =
                    tokens > 0 ? scale * T / (2 * tokens * (double)an->C) + (c ? 0 : scale / 2) : 0;
                if (wanted > r && contains(an, s, c))
                    r = wanted;
            }
            rate[s] = r < 1 ? r : 1;
            expected += rate[s] * (double)an->set_count[s];
        }
        *(expected < origins ? &low : &high) = scale;
    }
    if (origins >= T)
        for (size_t s = 0; s < an->sets; s++)
            rate[s] = 1;
}

int analysis_threads(const analysis *an)
{
    return an->cfg->threads > 0 ? an->cfg->threads : omp_get_max_threads();
}

sg_engine_config analysis_engine(const analysis *an)
{
    const sg_analysis_config *c = &an->used;
    sg_engine_config cfg = engine_config(an->D, an->states, an->n_states, c->handling, c->window, c->threads);
    cfg.burn_in = c->burn_in;
    cfg.second_moment_every = c->second_moment_every;
    cfg.long_after = c->long_after;
    cfg.long_tolerance = c->long_tolerance;
    return cfg;
}
