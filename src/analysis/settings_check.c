/* SPDX-License-Identifier: MIT */
/* What was asked against the model and the corpus. */
#include "analysis/settings.h"

#include "base/base_internal.h"
#include "cell/cell.h"
#include "stategrad/stats.h"

#include <math.h>

static sg_status check_sampling(const sg_analysis_config *cfg, sg_error *err)
{
    if (cfg->sample && cfg->precision > 0)
        return sg_fail(err, SG_EINVAL, "setting 'sample' and setting 'precision': only one of them");
    if (cfg->precision > 0 && cfg->parts)
        return sg_fail(
            err, SG_EINVAL,
            "setting 'precision' and setting 'part': a part cannot know the precision of the whole");
    if (cfg->precision > 0 && cfg->blocks < SG_STATS_MIN_BLOCKS)
        return sg_fail(err, SG_EINVAL, "setting 'precision': needs at least %d blocks, found %zu",
                       (int)SG_STATS_MIN_BLOCKS, cfg->blocks);
    return SG_OK;
}

/* Numbers in the states of all layers. */
static size_t state_size(const sg_model_shape *shape)
{
    size_t sum = 0, states = cell_states(cell_of(shape->cell));
    for (size_t l = 0; l < shape->layers; l++)
        sum += states * shape->hidden[l];
    return sum;
}

sg_status sg_analysis_check(const sg_analysis_config *cfg, const sg_model *m, const sg_stream *s,
                            sg_error *err)
{
    sg_analysis_config own;
    sg_analysis_defaults(&own, m);
    cfg = config_take(&own, sizeof own, cfg);
    sg_status st = SG_OK;
    const sg_model_shape *shape = sg_model_get_shape(m);
    uint64_t T = sg_stream_length(s);
    TRY(settings_check_ranges(cfg, err));
    if (cfg->delays > T)
        return sg_fail(err, SG_EINVAL, "setting 'delays': %zu delay%s, but the corpus has only %ju token%s",
                       cfg->delays, cfg->delays == 1 ? "" : "s", (uintmax_t)T, T == 1 ? "" : "s");
    if (!cfg->state || cfg->state > SG_STATE_BOTH)
        return sg_fail(err, SG_EINVAL, "setting 'state': expected cell, hidden or both");
    if (!(cfg->state & sg_cell_states(shape->cell)))
        return sg_fail(err, SG_EINVAL, "setting 'state': a %s has no cell state; expected hidden",
                       sg_cell_name(shape->cell));
    if (cfg->layer != SG_ALL_LAYERS && cfg->layer > shape->layers)
        return sg_fail(err, SG_EINVAL, "setting 'layer': expected 1 to %zu, found %zu", shape->layers,
                       cfg->layer);
    if (cfg->lyapunov > state_size(shape))
        return sg_fail(err, SG_EINVAL,
                       "setting 'lyapunov': expected at most %zu, the size of the state, found %zu",
                       state_size(shape), cfg->lyapunov);
    if (cfg->handling == SG_WINDOW && !cfg->window)
        return sg_fail(err, SG_EINVAL, "setting 'state_handling': expected window:N with N at least 1");
    if (cfg->replace > 1 && cfg->replace != floor(cfg->replace))
        return sg_fail(err, SG_EINVAL,
                       "setting 'replace': expected a number of words, or a share below 1, found %.15g",
                       cfg->replace);
    if (cfg->parts && (!cfg->part || cfg->part > cfg->parts))
        return sg_fail(err, SG_EINVAL, "setting 'part': expected 1 to %zu, found %zu", cfg->parts, cfg->part);
    if (cfg->frequency_weighted && !shape->vocabulary)
        return sg_fail(err, SG_EINVAL, "setting 'covariance': tokens, but the model has no words");
    const bool features = cfg->features_path || cfg->features;
    if (cfg->features_path && cfg->features)
        return sg_fail(err, SG_EINVAL,
                       "setting 'inputs': given as a file and in memory, expected one of them");
    if (!shape->vocabulary && !features)
        return sg_fail(err, SG_EINVAL,
                       "the model reads feature vectors, not words: setting 'inputs' names their file");
    if (shape->vocabulary && features)
        return sg_fail(err, SG_EINVAL, "setting 'inputs': the model reads words, not feature vectors");
    TRY(check_sampling(cfg, err));
done:
    return st;
}
