/* SPDX-License-Identifier: MIT */
/* What follows from settings, shapes and counts: the states, the blocks, and every setting whose default is
 * chosen. */
#include "analysis/prepare.h"
#include "analysis/blocks.h"
#include "analysis/pass/replacement.h"
#include "analysis/pass/shared.h"
#include "analysis/settings.h"

#include "base/base_internal.h"
#include "cell/cell.h"

#include <math.h>
#include <stdlib.h>

enum { EXACT_TOKENS = 20000, LARGEST_EVERY = 16, LONG_DELAYS = 256, LONG_AFTER = 64 };

static void add_state(analysis *an, size_t layer, sg_state_kind kind)
{
    an->states[an->n_states++] = (sg_accum_state){layer, kind, an->shape->hidden[layer - 1]};
}

static void list_states(analysis *an)
{
    const sg_analysis_config *cfg = an->cfg;
    size_t L = an->shape->layers, first = cfg->layer, last = cfg->layer;
    const sg_state_kind have = sg_cell_states(an->shape->cell);
    if (cfg->layer == 0)
        first = last = L;
    if (cfg->layer == SG_ALL_LAYERS)
        first = 1, last = L;
    for (size_t l = first; l <= last; l++) {
        if (have & cfg->state & SG_STATE_CELL)
            add_state(an, l, SG_STATE_CELL);
        if (!(have & SG_STATE_CELL) || (cfg->state & SG_STATE_HIDDEN))
            add_state(an, l, SG_STATE_HIDDEN);
    }
    for (size_t m = 0; m < an->n_models; m++)
        for (size_t i = 0; i < an->n_states; i++) {
            state_group *g = &an->groups[an->n_groups++];
            const sg_accum_state *s = &an->states[i];
            snprintf(g->name, sizeof g->name, "%slayer%zu.%s", m ? RUN_UNTRAINED : "", s->layer,
                     cell_state_name(s->kind));
            g->units = s->units;
            g->model = m;
        }
}

/* G^T G at every k-th step: 2 H E^2 flops per pair, against 2 H^2 E per state (2 H E in a diagonal
 * recurrence). All of them on small corpora. */
static size_t choose_every(const analysis *an)
{
    if (an->cfg->second_moment_every)
        return an->cfg->second_moment_every;
    if (an->T <= EXACT_TOKENS)
        return 1;
    const cell_type *cell = an->shape ? cell_of(an->shape->cell) : NULL; /* given: as if of a dense one */
    double product = 2 * (cell ? (double)cell_states(cell) : 1), ratio = 0;
    for (size_t i = 0; i < an->n_states; i++)
        ratio += 2 * (double)an->E /
                 (product * (!cell || cell->recurrence == CELL_DENSE ? (double)an->states[i].units : 1));
    double every = ceil(10 * ratio);
    return every < 1 ? 1 : every > LARGEST_EVERY ? LARGEST_EVERY : (size_t)every;
}

static size_t choose_long(const analysis *an)
{
    const sg_analysis_config *cfg = an->cfg;
    if (!engine_shares_bases(an->shape))
        return 0;
    if (cfg->long_after)
        return cfg->long_after == SG_LONG_NEVER ? 0 : cfg->long_after;
    return cfg->delays >= LONG_DELAYS ? LONG_AFTER : 0;
}

const float *analysis_embeddings(const sg_model *m)
{
    const sg_tensor *x = sg_model_find(m, "encoder.weight");
    return x && sg_model_get_shape(m)->vocabulary ? x->data : NULL;
}

/* Sizes of corpus and settings. */
static void take_corpus(analysis *an, const sg_stream *s, const sg_classes *k, const sg_analysis_config *cfg)
{
    an->cfg = cfg;
    an->used = *cfg;
    an->stream = s;
    an->classes = k;
    an->T = sg_stream_length(s);
    an->D = cfg->delays;
    an->C = k ? sg_classes_count(k) : 1;
    an->sets = k ? sg_classes_sets(k) : 1;
    an->P = cfg->n_properties;
}

sg_status analysis_sizes(analysis *an, const sg_model *m, const sg_stream *s, const sg_classes *k,
                         const sg_analysis_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(sg_analysis_check(cfg, m, s, err));
    take_corpus(an, s, k, cfg);
    an->models[0] = m;
    an->n_models = cfg->untrained_baseline ? 2 : 1;
    an->shape = sg_model_get_shape(m);
    an->cell = sg_cell_name(an->shape->cell);
    an->layers = an->shape->layers;
    an->E = an->shape->embedding;
    an->V = an->shape->vocabulary;
    an->vocab = sg_model_vocab(m);
    an->embeddings[0] = analysis_embeddings(m);
    list_states(an);
    an->used.second_moment_every = choose_every(an);
    an->used.long_after = choose_long(an);
    blocks_choose(an);
    TRY(blocks_of_part(an, err));
done:
    return st;
}

sg_status analysis_sizes_given(analysis *an, const sg_accumulator_config *given, const sg_stream *s,
                               const sg_classes *k, const sg_analysis_config *settings, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(analysis_check_given(given, settings, s, err));
    take_corpus(an, s, k, settings);
    an->cell = given->model ? given->model : "unknown";
    an->E = given->embedding;
    an->vocab = given->vocab;
    an->V = an->vocab ? sg_vocab_size(an->vocab) : 0;
    an->embeddings[0] = given->embeddings;
    for (size_t i = 0; i < given->n_states; i++) {
        const sg_accumulator_state *x = &given->states[i];
        state_group *g = &an->groups[an->n_groups++];
        snprintf(g->name, sizeof g->name, "%s", x->name);
        g->units = x->units;
        size_t layer = strtoul(x->name + strlen("layer"), NULL, 10);
        an->states[an->n_states++] = (sg_accum_state){layer, SG_STATE_HIDDEN, x->units};
        an->layers = layer > an->layers ? layer : an->layers;
    }
    an->used.second_moment_every = choose_every(an);
    an->used.long_after = an->used.lyapunov = 0;
    blocks_choose(an);
    TRY(blocks_of_part(an, err));
done:
    return st;
}

/* Operations, of the whole corpus. */
static double tenth_of_gradients(const analysis *an)
{
    enum { PRECISION_ORIGINS = 20000 }; /* taken where nobody knows yet how many are drawn */
    const sg_analysis_config *cfg = an->cfg;
    sg_engine_config engine = analysis_engine(an);
    double flops, origins = (double)an->T;
    if (cfg->sample || cfg->precision > 0)
        origins = fmin(origins, cfg->sample ? (double)cfg->sample : PRECISION_ORIGINS);
    engine_cost(&flops, NULL, an->shape, &engine);
    return flops * origins / 10;
}

/* Words of `words` replaced whose gradients are averaged along the line to their partner: at most MOST, as
 * many as a thirtieth of the gradients' operations pays for, but not fewer than LEAST. */
static void choose_paths(analysis *an, double words)
{
    enum { LEAST = 30, MOST = 300 };
    const double there = replacement_partners(an) * words / (double)an->T;
    if (there > 0) {
        double n = fmin(MOST, fmax(LEAST, tenth_of_gradients(an) / 3 / replacement_path_cost(an)));
        an->replace.path_rate = fmin(1, n / there);
    }
}

/* By default: `budget` operations per word, a tenth of the gradients'; half of it for the KL, and what states
 * leave. But not fewer than LEAST words. */
static void choose_replaced(analysis *an)
{
    enum { LEAST = 1000, LEAST_KL = 300 }; /* words, and a third of them for the KL: little in any case */
    double T = (double)an->T, budget = tenth_of_gradients(an) / T, states, kl;
    replacement_cost(an, &states, &kl);
    double rate = fmin(1, fmax((kl > 0 ? budget / 2 : budget) / states, LEAST / T));
    an->replace.rate = rate;
    an->replace.kl_rate = kl > 0 ? fmin(1, fmax((budget / rate - states) / kl, LEAST_KL / (rate * T))) : 0;
}

/* The same where the caller replaces them, at a cost that is not known here. */
static void choose_for_caller(analysis *an)
{
    enum { LEAST = 50 };
    an->replace.rate = fmin(1, fmax(LEAST / (double)an->T, 0.5 / (double)an->D));
    an->replace.kl_rate = an->given->output;
}

/* Why words are not replaced unless it is asked for, into replace.none. */
static void forbid_replaced(analysis *an)
{
    enum { LIMIT = 512 << 20 };
    const int32_t unk = an->V ? sg_vocab_unk(an->vocab) : -1;
    size_t able = 0, bytes = replacement_sums_bytes(an->n_models, an->B * an->split,
                                                    replacement_rows(an->C, an->P), an->D, an->n_states);
    for (size_t i = 0; i < an->V; i++)
        able += an->word_count[i] > 0 && (int32_t)i != unk;
    if (an->V ? able < 2 : an->T < 2)
        snprintf(an->replace.none, sizeof an->replace.none, "the corpus has nothing to replace a word with");
    else if (bytes > LIMIT)
        snprintf(an->replace.none, sizeof an->replace.none,
                 "their sums would take %zu MiB; setting 'replace' auto stops at %d", bytes >> 20,
                 LIMIT >> 20);
}

/* Of gradients that the caller gives. */
#define NOT_ASKED "the caller replaced no words"

/* How many words are replaced: used.replace their number, which asked for again draws the same words. */
void analysis_choose_replaced(analysis *an)
{
    double asked = an->cfg->replace, T = (double)an->T;
    an->replace = (replacement_share){0};
    if (asked == SG_REPLACE_NONE || (asked == 0 && an->given && !an->given->replaces)) {
        an->used.replace = SG_REPLACE_NONE;
        snprintf(an->replace.none, sizeof an->replace.none, "%s", an->given ? NOT_ASKED : "");
        return;
    }
    if (asked == 0) {
        forbid_replaced(an);
        if (an->given)
            choose_for_caller(an);
        else
            choose_replaced(an);
        if (an->replace.none[0])
            an->replace.rate = an->replace.kl_rate = 0;
    } else {
        an->replace.rate = asked < 1 ? asked : fmin(1, asked / T);
        an->replace.kl_rate = an->given ? an->given->output : an->shape->has_decoder;
    }
    double words = ceil(an->replace.rate * T - 1e-6);
    an->replace.rate = words / T;
    if (!an->given)
        choose_paths(an, words);
    an->used.replace = words > 0 ? words : SG_REPLACE_NONE;
}
