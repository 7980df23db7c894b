/* SPDX-License-Identifier: MIT */
/* What was asked against the model and the corpus. */
#include "analysis/prepare.h"
#include "analysis/settings.h"

#include "base/base_internal.h"
#include "cell/cell.h"
#include "stategrad/stats.h"

#include <math.h>
#include <string.h>

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

static sg_status check_warm_up(const sg_analysis_config *cfg, sg_error *err)
{
    if (!cfg->warm_up)
        return SG_OK;
    if (cfg->handling == SG_RESET)
        return sg_fail(
            err, SG_EINVAL,
            "setting 'warm_up': with setting 'state_handling' reset states begin at sentence starts");
    if (cfg->precision > 0)
        return sg_fail(err, SG_EINVAL,
                       "setting 'warm_up': setting 'precision' measures by itself where states may begin");
    if (cfg->warm_up < cfg->burn_in)
        return sg_fail(err, SG_EINVAL,
                       "setting 'warm_up': expected at least setting 'burn_in', %zu, found %ju", cfg->burn_in,
                       (uintmax_t)cfg->warm_up);
    return SG_OK;
}

/* What corpus and settings show by themselves. */
static sg_status check_corpus(const sg_analysis_config *cfg, const sg_stream *s, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t T = sg_stream_length(s);
    TRY(settings_check_ranges(cfg, err));
    if (cfg->delays > T)
        return sg_fail(err, SG_EINVAL, "setting 'delays': %zu delay%s, but the corpus has only %ju token%s",
                       cfg->delays, cfg->delays == 1 ? "" : "s", (uintmax_t)T, T == 1 ? "" : "s");
    if (cfg->burn_in >= T)
        return sg_fail(err, SG_EINVAL, "setting 'burn_in': %zu word%s, all of the corpus of %ju token%s",
                       cfg->burn_in, cfg->burn_in == 1 ? "" : "s", (uintmax_t)T, T == 1 ? "" : "s");
    uint64_t longest = sg_stream_info(s)->longest;
    if (cfg->handling == SG_RESET && cfg->burn_in >= longest)
        return sg_fail(
            err, SG_EINVAL,
            "setting 'burn_in': %zu word%s, all of the longest sentence of %ju token%s: with setting "
            "'state_handling' reset nothing is left",
            cfg->burn_in, cfg->burn_in == 1 ? "" : "s", (uintmax_t)longest, longest == 1 ? "" : "s");
    if (cfg->handling == SG_WINDOW && !cfg->window)
        return sg_fail(err, SG_EINVAL, "setting 'state_handling': expected window:N with N at least 1");
    TRY(check_warm_up(cfg, err));
    if (cfg->features_path && cfg->features)
        return sg_fail(err, SG_EINVAL,
                       "setting 'inputs': given as a file and in memory, expected one of them");
done:
    return st;
}

sg_status analysis_check_states(const sg_accumulator_config *given, sg_error *err)
{
    enum { MOST = 1 << 24 };
    if (given->n_states < 1 || given->n_states > ANALYSIS_MAX_STATES)
        return sg_fail(err, SG_EINVAL, "states: expected 1 to %d, found %zu", (int)ANALYSIS_MAX_STATES,
                       given->n_states);
    if (given->embedding < 1 || given->embedding > MOST)
        return sg_fail(err, SG_EINVAL, "embedding: expected 1 to %d numbers, found %zu", (int)MOST,
                       given->embedding);
    for (size_t i = 0; i < given->n_states; i++) {
        const sg_accumulator_state *x = &given->states[i];
        if (!x->name || run_is_untrained(x->name) || !run_is_state(x->name))
            return sg_fail(err, SG_EINVAL, "state %zu: expected a name such as layer1.cell, found '%s'", i,
                           x->name ? x->name : "NULL");
        if (x->units < 1 || x->units > MOST)
            return sg_fail(err, SG_EINVAL, "state %s: expected 1 to %d units, found %zu", x->name, (int)MOST,
                           x->units);
        for (size_t j = 0; j < i; j++)
            if (!strcmp(given->states[j].name, x->name))
                return sg_fail(err, SG_EINVAL, "state %s: given twice", x->name);
    }
    return SG_OK;
}

static sg_status check_embeddings(const sg_accumulator_config *given, sg_error *err)
{
    if (!given->vocab != !given->embeddings)
        return sg_fail(err, SG_EINVAL, "embeddings: %s, expected both or neither",
                       given->vocab ? "a vocabulary without embeddings" : "embeddings without a vocabulary");
    for (size_t w = 0; given->vocab && w < sg_vocab_size(given->vocab); w++)
        for (size_t e = 0; e < given->embedding; e++)
            if (!isfinite(given->embeddings[w * given->embedding + e]))
                return sg_fail(err, SG_EINVAL, "embeddings: number %zu of word %zu ('%.80s') is not finite",
                               e, w, sg_vocab_word(given->vocab, w));
    return SG_OK;
}

sg_status analysis_check_given(const sg_accumulator_config *given, const sg_analysis_config *cfg,
                               const sg_stream *s, sg_error *err)
{
    sg_status st = SG_OK;
    const bool features = cfg->features_path || cfg->features;
    TRY(check_corpus(cfg, s, err));
    TRY(settings_check_given(cfg, err));
    TRY(analysis_check_states(given, err));
    TRY(check_embeddings(given, err));
    if (cfg->frequency_weighted && !given->vocab)
        return sg_fail(err, SG_EINVAL, "setting 'covariance': tokens, but there are no words");
    if (given->vocab && features)
        return sg_fail(err, SG_EINVAL, "setting 'inputs': the inputs are words with embeddings already");
    if (cfg->normalize && !given->vocab && !features)
        return sg_fail(
            err, SG_EINVAL,
            "setting 'normalize': covariance needs embeddings, or setting 'inputs'; expected none");
done:
    return st;
}

sg_status sg_analysis_check(const sg_analysis_config *cfg, const sg_model *m, const sg_stream *s,
                            sg_error *err)
{
    sg_analysis_config own;
    sg_analysis_defaults(&own, m);
    cfg = config_take(&own, sizeof own, cfg);
    sg_status st = SG_OK;
    const sg_model_shape *shape = sg_model_get_shape(m);
    TRY(check_corpus(cfg, s, err));
    if (!cfg->state || cfg->state > SG_STATE_BOTH)
        return sg_fail(err, SG_EINVAL, "setting 'state': expected cell, hidden or both");
    if (!(cfg->state & sg_cell_states(shape->cell)))
        return sg_fail(err, SG_EINVAL, "setting 'state': a %s has no cell state; expected hidden",
                       sg_cell_name(shape->cell));
    if (cfg->layer != SG_ALL_LAYERS && cfg->layer > shape->layers)
        return sg_fail(err, SG_EINVAL, "setting 'layer': %zu, but the model has %zu layer%s", cfg->layer,
                       shape->layers, shape->layers == 1 ? "" : "s");
    if (cfg->lyapunov > state_size(shape))
        return sg_fail(err, SG_EINVAL,
                       "setting 'lyapunov': expected at most %zu, the size of the state, found %zu",
                       state_size(shape), cfg->lyapunov);
    if (cfg->replace > 1 && cfg->replace != floor(cfg->replace))
        return sg_fail(err, SG_EINVAL,
                       "setting 'replace': expected a number of words, or a share below 1, found %.15g",
                       cfg->replace);
    if (cfg->parts && (!cfg->part || cfg->part > cfg->parts))
        return sg_fail(err, SG_EINVAL, "setting 'part': expected 1 to %zu, found %zu", cfg->parts, cfg->part);
    if (cfg->frequency_weighted && !shape->vocabulary)
        return sg_fail(err, SG_EINVAL, "setting 'covariance': tokens, but the model has no words");
    const bool features = cfg->features_path || cfg->features;
    if (!shape->vocabulary && !features)
        return sg_fail(err, SG_EINVAL,
                       "the model reads feature vectors, not words: setting 'inputs' names their file");
    if (shape->vocabulary && features)
        return sg_fail(err, SG_EINVAL, "setting 'inputs': the model reads words, not feature vectors");
    TRY(check_sampling(cfg, err));
done:
    return st;
}
