/* SPDX-License-Identifier: MIT */
/* The pass over the corpus: every token in turn through the engine, class sums at the end of each block,
 * checkpoints. */
#include "analysis/pass/shared.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <math.h>
#include <omp.h>
#include <string.h>
#include <unistd.h>

/* The engine is flushed every FLUSH tokens, where it may be saved or asked to stop, and where a part of a
 * block ends. The number of tokens that it works on together affects the last bits of states and gradients.
 * The places are therefore the same in every run, also before its first block. */
enum { FLUSH = 512 };

/* The first of them after token t, which is not past the end of `row`, a part of a block. */
static uint64_t flush_after(const analysis *an, uint64_t t, size_t row)
{
    uint64_t end = analysis_part_start(an, row + 1), stop = (t / FLUSH + 1) * FLUSH;
    return stop < end ? stop : end;
}

typedef struct {
    const analysis *an;
    size_t model, part; /* of a block, see blocks.h */
    size_t first, end;  /* parts of this part of the run */
    pass_state s;
    double began, last_saved, last_told;
    double *covariance;    /* (E,E) L L^T of the model in work */
    double *origin_weight; /* (sets) 1 / rate, or NULL */
    float *state[2];       /* (engine_state_size) work */
} pass;

static bool tick(pass *p, uint64_t position)
{
    p->last_told = sg_clock();
    const analysis *an = p->an;
    const sg_monitor *m = an->monitor;
    uint64_t from = analysis_part_start(an, an->first_row), to = analysis_part_start(an, an->end_row);
    double total = (double)(to - from), done = (double)(position > from ? position - from : 0);
    sg_progress now = {p->model ? "analysing the untrained copy" : "analysing",
                       done,
                       total,
                       sg_clock() - p->began,
                       NAN,
                       0,
                       0};
    return !m || !m->tick || m->tick(m->ctx, &now);
}

/* Within a block of the engine, which takes minutes where layers have thousands of units. With a checkpoint
 * the work goes on to where it can be saved. */
static bool go_on(void *ctx)
{
    enum { PER_SECOND = 10 };
    pass *p = ctx;
    return sg_clock() - p->last_told < 1.0 / PER_SECOND || tick(p, engine_position(p->s.engine)) ||
           p->an->cfg->checkpoint;
}

/* ---- sampling ---- */

static bool drawn(void *ctx, uint64_t position, unsigned set)
{
    const pass *p = ctx;
    return set < p->an->sets && engine_sampled(p->an->cfg->seed, position, p->s.rates[set]);
}

/* ---- the engine over the stream ---- */

typedef struct {
    sg_step *steps;
    float *features;
} portion;

/* States without gradients, from where they begin up to where the first counted pair needs origins; then
 * origins without counting. */
static sg_status warm_up(pass *p, portion *x, bool may_stop, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    uint64_t start = analysis_part_start(an, p->part), origins = engine_warm_start(p->s.engine, start), zero;
    TRY(states_begin(an, origins, x->steps, &zero, err));
    memset(p->state[0], 0, engine_state_size(p->s.engine) * sizeof *p->state[0]);
    engine_start(p->s.engine, zero, p->state[0], zero);
    size_t row = p->part;
    while (row && analysis_part_start(an, row) > zero)
        row--;
    for (uint64_t t = zero; t < start;) {
        while (analysis_part_start(an, row + 1) <= t)
            row++;
        uint64_t flush = flush_after(an, t, row), end = t < origins && origins < flush ? origins : flush;
        size_t n = end - t < PORTION ? (size_t)(end - t) : PORTION;
        TRY(read_portion(p->an, t, n, x->steps, x->features, err));
        if (t < origins)
            TRY(engine_skip(p->s.engine, x->steps, x->features, n, err));
        else
            TRY(engine_run(p->s.engine, x->steps, x->features, n, false, p->s.accum, err));
        t += n;
        if (t == flush)
            TRY(engine_flush(p->s.engine, p->s.accum, err));
        if (!tick(p, start) && may_stop)
            TRY(resume_stopped(p->an, err));
    }
done:
    return st;
}

/* Largest difference, relative to the largest entry. */
static double difference(size_t n, const float *carried, const float *begun)
{
    double most = 0, apart = 0;
    for (size_t i = 0; i < n; i++) {
        most = fmax(most, fmax(fabs((double)carried[i]), fabs((double)begun[i])));
        apart = fmax(apart, fabs((double)carried[i] - (double)begun[i]));
    }
    return apart > 0 ? apart / most : 0;
}

/* Setting 'warm_up': a part begins as it would in another process, and what that changes is kept. */
static sg_status begin_anew(pass *p, portion *x, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    const size_t n = engine_state_size(p->s.engine);
    const uint64_t start = analysis_part_start(an, p->part);
    if (!an->cfg->warm_up || start == an->T || start == analysis_part_start(an, p->part - 1))
        return SG_OK;
    engine_get_state(p->s.engine, p->state[1]);
    TRY(warm_up(p, x, !an->cfg->checkpoint, err)); /* with one: on to where it can be saved */
    engine_get_state(p->s.engine, p->state[0]);
    double *kept = sums_difference_at(p->s.sums[0], p->part - 1);
    *kept = fmax(*kept, difference(n, p->state[1], p->state[0]));
done:
    return st;
}

enum { AT_MODEL, AT_BLOCK, AT_TOKEN };

static sg_status maybe_save(pass *p, bool force, sg_error *err)
{
    double now = sg_clock();
    const sg_analysis_config *cfg = p->an->cfg;
    if (!cfg->checkpoint || (!force && now - p->last_saved < 60 * cfg->checkpoint_minutes))
        return SG_OK;
    p->last_saved = now;
    p->s.at[AT_MODEL] = p->model, p->s.at[AT_BLOCK] = p->part,
    p->s.at[AT_TOKEN] = engine_position(p->s.engine);
    return resume_save(&p->s, err);
}

static sg_status run_block(pass *p, portion *x, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t end = analysis_part_start(p->an, p->part + 1);
    for (uint64_t t = engine_position(p->s.engine); t < end;) {
        uint64_t stop = flush_after(p->an, t, p->part);
        size_t n = stop - t < PORTION ? (size_t)(stop - t) : PORTION;
        TRY(read_portion(p->an, t, n, x->steps, x->features, err));
        TRY(engine_run(p->s.engine, x->steps, x->features, n, true, p->s.accum, err));
        t += n;
        bool go_on = tick(p, t);
        if (t < stop &&
            (go_on || p->an->cfg->checkpoint)) /* with a checkpoint: on to where it can be saved */
            continue;
        if (!go_on && t < stop)
            TRY(resume_stopped(p->an, err));
        TRY(engine_flush(p->s.engine, p->s.accum, err));
        TRY(maybe_save(p, !go_on, err));
        if (!go_on)
            TRY(resume_stopped(p->an, err));
    }
done:
    return st;
}

static sg_status open_engine(pass *p, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    sg_engine_config cfg = analysis_engine(an);
    cfg.sample = p->s.rates ? drawn : NULL, cfg.sample_ctx = p, cfg.origin_rate = 1;
    if (p->s.rates) {
        double origins = 0;
        for (size_t s = 0; s < an->sets; s++)
            origins += p->s.rates[s] * (double)an->set_count[s];
        cfg.origin_rate = fmin(1, fmax(1, origins) / (double)an->T);
    }
    if (an->words) {
        const double *L = an->L[p->model];
        la_dgemm(LA_N, LA_T, an->E, an->E, an->E, 1, L, an->E, L, an->E, 0, p->covariance, an->E);
        cfg.words = an->words, cfg.first_state = p->model * an->n_states;
        cfg.covariance = p->covariance, cfg.origin_weight = p->origin_weight;
    }
    cfg.go_on = go_on, cfg.go_on_ctx = p;
    engine_free(p->s.engine);
    accum_free(p->s.accum);
    p->s.engine = NULL;
    p->s.accum = NULL;
    TRY(engine_new(&p->s.engine, an->models[p->model], &cfg, err));
    TRY(engine_new_accum(p->s.engine, &p->s.accum, err));
    const size_t n = engine_state_size(p->s.engine);
    for (size_t i = 0; i < 2; i++)
        NEED(p->state[i] || (p->state[i] = sg_calloc(n, sizeof *p->state[i])), err, "a state of %zu units",
             n);
done:
    return st;
}

/* Sums by word of one state and delay: word `only`, or all of them (-1), exactly. */
static void sum_words(const word_sums *words, size_t g, size_t d, int32_t only, double *square, double *low,
                      double *pairs)
{
    size_t first = only < 0 ? 0 : (size_t)only, end = only < 0 ? words->V : first + 1;
    *square = *low = *pairs = 0;
    for (size_t w = first; w < end; w++) {
        exact_add(square, low, word_sums_square(words, g, w)[d]);
        *low += word_sums_low(words, g, w)[d];
        *pairs += word_sums_pairs(words, w)[d];
    }
}

/* What the sums by word have gained in part b of the blocks: all words together, <eos> and <unk>. */
static void block_squares(const analysis *an, size_t model, block_sums *sums, size_t first, size_t b)
{
    const sg_vocab *v = an->vocab;
    int32_t id[SUMS_WORDS] = {[SUMS_EOS] = v ? sg_vocab_eos(v) : -1, [SUMS_UNK] = v ? sg_vocab_unk(v) : -1};
    id[SUMS_ALL_WORDS] = -1;
    for (size_t g = model * an->n_states; an->words && g < (model + 1) * an->n_states; g++)
        for (size_t d = 0; d < an->D; d++) {
            sums_squares *out = sums_squares_at(sums, b, g, d), none = {0};
            const sums_squares *before = b > first ? sums_squares_at(sums, b - 1, g, d) : &none;
            *out = none;
            for (int k = 0; k < SUMS_WORDS; k++) {
                if (k != SUMS_ALL_WORDS && id[k] < 0)
                    continue;
                sum_words(an->words, g, d, id[k], &out->square_until[k], &out->low_until[k],
                          &out->pairs_until[k]);
                double high = out->square_until[k], low = out->low_until[k] - before->low_until[k];
                exact_add(&high, &low, -before->square_until[k]);
                out->square[k] = high + low;
                out->pairs[k] = out->pairs_until[k] - before->pairs_until[k];
            }
            if (model) /* the untrained copy sees the same pairs, and they were counted once */
                memcpy(out->pairs, sums_squares_at(sums, b, g % an->n_states, d)->pairs, sizeof out->pairs);
        }
}

/* Words replaced, as far as the blocks are done. */
static bool replacing_tick(void *ctx)
{
    pass *p = ctx;
    return tick(p, analysis_part_start(p->an, p->part));
}

static sg_status replace_words(pass *p, sg_error *err)
{
    sg_status st = SG_OK;
    bool stopped;
    if (!p->s.replace)
        return SG_OK;
    TRY(replacement_run(p->s.replace, p->model, analysis_part_start(p->an, p->part), replacing_tick, p,
                        &stopped, err));
    if (stopped) {
        TRY(maybe_save(p, true, err));
        TRY(resume_stopped(p->an, err));
    }
done:
    return st;
}

/* After the last block: self gains of single units, with the engine as it is at its end. */
static sg_status follow_units(pass *p, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_monitor *m = p->an->monitor;
    bool more = p->s.self_gain && p->first < p->end;
    p->model = p->an->n_models - 1, p->part = p->end, p->began = sg_clock();
    while (more) {
        TRY(self_gain_round(p->s.self_gain, &more, err));
        sg_progress now = self_gain_progress(p->s.self_gain);
        now.seconds = sg_clock() - p->began;
        const bool go_on = !m || !m->tick || m->tick(m->ctx, &now);
        TRY(maybe_save(p, !go_on, err));
        if (!go_on)
            TRY(resume_stopped(p->an, err));
    }
done:
    return st;
}

/* The rest of the blocks: of this model, then of the ones after it. */
static sg_status run_models(pass *p, portion *x, FILE *resume, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    for (; p->model < an->n_models && p->first < p->end; p->model++, p->part = p->first) {
        p->began = sg_clock();
        TRY(open_engine(p, err));
        if (resume) {
            TRY(resume_load_engine(&p->s, resume, err));
            resume = NULL;
        } else
            TRY(warm_up(p, x, true, err));
        TRY(replace_words(p, err)); /* what was left of the last block when the checkpoint was written */
        while (p->part < p->end) {
            TRY(run_block(p, x, err));
            TRY(class_sums_block(an, p->model, p->s.accum, p->s.sums[0], NULL, p->part, NULL, err));
            block_squares(an, p->model, p->s.sums[0], p->first, p->part);
            accum_clear(p->s.accum);
            p->s.done[0][p->part] = p->model + 1 == an->n_models;
            p->part++;
            TRY(begin_anew(p, x, err));
            TRY(replace_words(p, err));
            TRY(maybe_save(p, false, err));
        }
    }
done:
    return st;
}

static sg_status start(pass *p, const char *run_path, FILE **resume, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    TRY(analysis_identity(an, true, p->s.identity, err));
    p->first = an->first_row, p->end = an->end_row;
    TRY(resume_sums(&p->s.sums[0], an, an->B * an->split, 0, run_path, err));
    p->s.n_rates = an->cfg->sample ? an->sets : 0;
    if (an->replace.rate > 0)
        TRY(replacement_new(&p->s.replace, an, err));
    if (an->cfg->units)
        TRY(self_gain_new(&p->s.self_gain, an, err));
    if (!(p->s.done[0] = sg_calloc(an->B * an->split, sizeof(bool))) ||
        (an->cfg->sample && !(p->s.rates = sg_calloc(an->sets, sizeof *p->s.rates))))
        TRY(no_memory(err, "the analysis"));
    p->s.most[AT_MODEL] = an->n_models - 1, p->s.most[AT_BLOCK] = p->end, p->s.most[AT_TOKEN] = an->T;
    TRY(resume_load(&p->s, resume, err));
    p->part = p->first;
    if (*resume && p->s.at[AT_BLOCK] >= p->first)
        p->model = (size_t)p->s.at[AT_MODEL], p->part = (size_t)p->s.at[AT_BLOCK];
    if (p->s.rates)
        sampling_rates(an, (double)an->cfg->sample, p->s.rates);
    NEED((p->covariance = sg_calloc(an->E * an->E, sizeof *p->covariance)) &&
             (!p->s.rates || (p->origin_weight = sg_calloc(an->sets, sizeof *p->origin_weight))),
         err, "the covariance of %zu inputs", an->E);
    for (size_t s = 0; p->s.rates && s < an->sets; s++)
        p->origin_weight[s] = p->s.rates[s] > 0 ? (float)(1 / p->s.rates[s]) : 0; /* their sums are exact */
done:
    return st;
}

sg_status exact_run(block_sums **sums, replacement_sums **replaced, analysis *an, const char *run_path,
                    sg_error *err)
{
    sg_status st = SG_OK;
    pass p = {.an = an, .s.an = an, .last_saved = sg_clock()};
    portion x = {0};
    FILE *resume = NULL;
    *sums = NULL, *replaced = NULL;
    TRY(start(&p, run_path, &resume, err));
    if (!(x.steps = sg_calloc(PORTION, sizeof *x.steps)) ||
        (an->features && !(x.features = sg_calloc(PORTION, an->E * sizeof *x.features))))
        TRY(no_memory(err, "the analysis"));
    TRY(run_models(&p, &x, resume, err));
    TRY(follow_units(&p, err));
    *sums = p.s.sums[0];
    p.s.sums[0] = NULL;
    *replaced = p.s.replace ? replacement_take(p.s.replace) : NULL;
    an->self_gains = p.s.self_gain ? self_gain_take(p.s.self_gain) : NULL;
done:
    replacement_free(p.s.replace);
    self_gain_free(p.s.self_gain);
    if (resume)
        fclose(resume);
    engine_free(p.s.engine);
    accum_free(p.s.accum);
    sums_free(p.s.sums[0]);
    sg_free(p.s.done[0]);
    sg_free(p.s.rates);
    sg_free(p.covariance);
    sg_free(p.origin_weight);
    sg_free(p.state[0]), sg_free(p.state[1]);
    sg_free(x.steps);
    sg_free(x.features);
    return st;
}
