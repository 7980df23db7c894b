/* The pass over the corpus: engine, class sums at the end of each block, sampling in rounds, checkpoints. */
#include "pass.h"

#include "../base/base_internal.h"
#include "../linalg/linalg.h"
#include "stategrad/stats.h"

#include <math.h>
#include <omp.h>
#include <string.h>
#include <unistd.h>

/* The engine is flushed every FLUSH tokens, where it may be saved or asked to stop: the same places in every run, so
 * that an interrupted run gives the same bytes. */
enum { FLUSH = 512, PORTION = 64, FIRST_ORIGINS = 1500, PRECISION_DELAYS = 20 };

static sg_status stopped(const pass *p, sg_error *err)
{
    const char *checkpoint = p->job->cfg->checkpoint;
    if (checkpoint)
        return sg_fail(err, SG_ECANCELLED, "stopped; the same command goes on from %s", checkpoint);
    return sg_fail(err, SG_ECANCELLED, "stopped");
}

static bool tick(const pass *p, uint64_t position)
{
    const an_job *job = p->job;
    const sg_monitor *m = job->monitor;
    uint64_t from = job_block_start(job, job->first_block), to = job_block_start(job, job->end_block);
    double total = (double)(to - from), done = (double)(position > from ? position - from : 0);
    sg_progress now = {p->model ? "analysing the untrained copy" : p->round ? "analysing further origins" : "analysing",
                       done, total, sg_clock() - p->began, NAN, 0, 0};
    return !m || !m->tick || m->tick(m->ctx, &now);
}

/* ---- sampling ---- */

static bool drawn(void *ctx, uint64_t position, unsigned set)
{
    const pass *p = ctx;
    if (set >= p->job->sets)
        return false;
    uint64_t seed = p->job->cfg->seed;
    return sg_engine_sampled(seed, position, p->high[set]) && !sg_engine_sampled(seed, position, p->low[set]);
}

static bool contains(const an_job *job, size_t set, size_t c)
{
    return c == 0 || sg_classes_contains(job->classes, set, c);
}

/* Rates by set for `origins` in all: half of them at the same rate everywhere, half divided evenly between the classes,
 * so that a rare class gets its share; a set has the largest rate that one of its classes asks for. */
static void choose_rates(const an_job *job, double origins, double *rate)
{
    double T = (double)job->T, low = 0, high = 1;
    for (int i = 0; i < 60; i++) {
        double scale = (low + high) / 2, expected = 0;
        for (size_t s = 0; s < job->sets; s++) {
            double r = 0;
            for (size_t c = 0; c < job->C; c++) {
                double tokens = c ? (double)sg_stream_class_tokens(job->stream, job->classes, c) : T;
                double wanted = tokens > 0 ? scale * T / (2 * tokens * (double)job->C) + (c ? 0 : scale / 2) : 0;
                if (wanted > r && contains(job, s, c))
                    r = wanted;
            }
            rate[s] = r < 1 ? r : 1;
            expected += rate[s] * (double)job->set_count[s];
        }
        *(expected < origins ? &low : &high) = scale;
    }
    if (origins >= T)
        for (size_t s = 0; s < job->sets; s++)
            rate[s] = 1;
}

/* ---- class sums of a finished block ---- */

typedef struct {
    double *sum, *moment;
    float *rounded, *before, *packed, *packed_before;
} store_room;

static sg_status store_room_new(store_room *r, size_t HE, size_t E, sg_error *err)
{
    size_t packed = sums_packed(E);
    r->sum = sg_calloc(HE, sizeof(double));
    r->moment = sg_calloc(E * E, sizeof(double));
    r->rounded = sg_calloc(HE, sizeof(float));
    r->before = sg_calloc(HE, sizeof(float));
    r->packed = sg_calloc(packed, sizeof(float));
    r->packed_before = sg_calloc(packed, sizeof(float));
    if (!r->sum || !r->moment || !r->rounded || !r->before || !r->packed || !r->packed_before)
        return sg_fail(err, SG_ENOMEM, "sums: no memory for %zu numbers", HE);
    return SG_OK;
}

static void store_room_free(store_room *r)
{
    sg_free(r->sum);
    sg_free(r->moment);
    sg_free(r->rounded);
    sg_free(r->before);
    sg_free(r->packed);
    sg_free(r->packed_before);
}

/* x = (mean of earlier rounds * n_before + mean of this round * n_now) / (n_before + n_now) * weight */
static void combine(size_t n, float *x, double weight_now, double n_now, const float *before, double weight_before,
                    double n_before, double weight)
{
    double total = n_now + n_before;
    double a = weight_now > 0 ? n_now / total / weight_now * weight : 0;
    double b = weight_before > 0 ? n_before / total / weight_before * weight : 0;
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(a * (double)x[i] + b * (double)before[i]);
}

static void widen(size_t n, const double *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)x[i];
}

static sg_status store_one(const pass *p, store_room *r, size_t c, size_t d, sg_error *err)
{
    sg_status st = SG_OK;
    const an_job *job = p->job;
    const sg_classes *k = job->classes;
    size_t E = job->E, now = p->round % 2;
    an_sums *sums = p->sums[now], *earlier = p->round ? p->sums[1 - now] : NULL;
    sums_weight *w = sums_weight_at(sums, p->block, c, d);
    const sums_weight *old = earlier ? sums_weight_at(earlier, p->block, c, d) : NULL;
    double weight = 0, moment_weight = 0;
    int64_t sampled = (int64_t)sg_accum_class_sampled(p->accum, k, c, d);
    for (size_t i = 0; i < job->n_states; i++) {
        size_t g = p->model * job->n_states + i, HE = job->states[i].units * E;
        weight = sg_accum_class_sum(p->accum, i, k, c, d, r->sum);
        moment_weight = sg_accum_class_moment(p->accum, i, k, c, d, r->moment);
        widen(HE, r->sum, r->rounded);
        sums_pack(E, r->moment, r->packed);
        if (old) {
            double total = weight > old->weight ? weight : old->weight;
            double moments = moment_weight > old->moment_weight ? moment_weight : old->moment_weight;
            TRY(sums_get(earlier, p->block, g, c, d, r->before, r->packed_before, err));
            combine(HE, r->rounded, weight, (double)sampled, r->before, old->weight, (double)old->pairs, total);
            combine(sums_packed(E), r->packed, moment_weight, (double)sampled, r->packed_before, old->moment_weight,
                    (double)old->pairs, moments);
        }
        TRY(sums_put(sums, p->block, g, c, d, r->rounded, r->packed, err));
    }
    for (size_t i = 0; c == 0 && i < job->n_states; i++) {
        size_t g = p->model * job->n_states + i;
        sums_missed *miss = sums_missed_at(sums, p->block, g, d);
        *miss = earlier ? *sums_missed_at(earlier, p->block, g, d) : (sums_missed){0};
        double norms;
        miss->of += (double)sg_accum_missed(p->accum, i, d, &norms);
        miss->norms += norms;
    }
    if (p->model)
        return SG_OK; /* the untrained copy sees the same pairs */
    *w = (sums_weight){weight, moment_weight, sampled, (int64_t)(moment_weight + 0.5),
                       (int64_t)sg_accum_class_pairs(p->accum, k, c, d)};
    if (old) {
        w->weight = fmax(w->weight, old->weight);
        w->moment_weight = fmax(w->moment_weight, old->moment_weight);
        w->pairs += old->pairs;
        w->moment_pairs = (int64_t)(w->moment_weight + 0.5);
    }
done:
    return st;
}

static sg_status store_block(const pass *p, sg_error *err)
{
    const an_job *job = p->job;
    size_t HE = 0, n = job->C * job->D;
    sg_status failed = SG_OK;
    for (size_t i = 0; i < job->n_states; i++)
        HE = job->states[i].units * job->E > HE ? job->states[i].units * job->E : HE;
#pragma omp parallel num_threads(job_threads(job))
    {
        store_room r = {0};
        sg_error inner = {""};
        sg_status st = store_room_new(&r, HE, job->E, &inner);
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < n; i++)
            if (st == SG_OK)
                st = store_one(p, &r, i / job->D, i % job->D, &inner);
        if (st != SG_OK) {
#pragma omp critical
            {
                failed = st;
                if (err)
                    *err = inner;
            }
        }
        store_room_free(&r);
    }
    return failed;
}

/* ---- the engine over the stream ---- */

typedef struct {
    sg_step *steps;
    float *features;
} portion;

static sg_status read_portion(const pass *p, uint64_t at, size_t n, portion *x, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(sg_stream_read(p->job->stream, at, n, x->steps, err));
    if (p->job->features)
        TRY(rows_read(p->job->features, at, n, x->features, err));
done:
    return st;
}

/* States without gradients up to where the first counted pair needs origins; then origins without counting. */
static sg_status warm_up(pass *p, portion *x, sg_error *err)
{
    sg_status st = SG_OK;
    const an_job *job = p->job;
    uint64_t start = job_block_start(job, p->block), before = job->D - 1;
    uint64_t origins = start > before ? start - before : 0;
    for (uint64_t t = 0; t < start;) {
        uint64_t end = t < origins ? origins : start;
        size_t n = end - t < PORTION ? (size_t)(end - t) : PORTION;
        TRY(read_portion(p, t, n, x, err));
        if (t < origins)
            TRY(sg_engine_skip(p->engine, x->steps, x->features, n, err));
        else
            TRY(sg_engine_run(p->engine, x->steps, x->features, n, false, p->accum, err));
        t += n;
        if (!tick(p, t))
            TRY(stopped(p, err));
    }
    TRY(sg_engine_flush(p->engine, p->accum, err));
done:
    return st;
}

static sg_status maybe_save(pass *p, bool force, sg_error *err)
{
    double now = sg_clock();
    const sg_analysis_config *cfg = p->job->cfg;
    if (!cfg->checkpoint || (!force && now - p->last_saved < 60 * cfg->checkpoint_minutes))
        return SG_OK;
    p->last_saved = now;
    return checkpoint_save(p, err);
}

static sg_status run_block(pass *p, portion *x, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t end = job_block_start(p->job, p->block + 1);
    for (uint64_t t = sg_engine_position(p->engine); t < end;) {
        uint64_t stop = (t / FLUSH + 1) * FLUSH;
        if (stop > end)
            stop = end;
        size_t n = stop - t < PORTION ? (size_t)(stop - t) : PORTION;
        TRY(read_portion(p, t, n, x, err));
        TRY(sg_engine_run(p->engine, x->steps, x->features, n, true, p->accum, err));
        t += n;
        bool go_on = tick(p, t);
        if (t < stop && (go_on || p->job->cfg->checkpoint)) /* with a checkpoint: on to where it can be saved */
            continue;
        if (!go_on && t < stop)
            TRY(stopped(p, err));
        TRY(sg_engine_flush(p->engine, p->accum, err));
        TRY(maybe_save(p, !go_on, err));
        if (!go_on)
            TRY(stopped(p, err));
    }
done:
    return st;
}

static sg_status open_engine(pass *p, sg_error *err)
{
    sg_status st = SG_OK;
    const an_job *job = p->job;
    sg_engine_config cfg = {.delays = job->D, .states = job->states, .n_states = job->n_states,
                            .handling = job->cfg->handling, .window = job->cfg->window,
                            .burn_in = job->cfg->burn_in, .second_moment_every = job->second_moment_every,
                            .long_after = job->long_after, .long_tolerance = job->cfg->long_tolerance,
                            .threads = job->cfg->threads, .sample = p->high ? drawn : NULL, .sample_ctx = p};
    sg_engine_free(p->engine);
    sg_accum_free(p->accum);
    p->engine = NULL;
    p->accum = NULL;
    TRY(sg_engine_new(&p->engine, job->models[p->model], &cfg, err));
    TRY(sg_engine_new_accum(p->engine, &p->accum, err));
done:
    return st;
}

/* The rest of this round: of this model, then of the ones after it. */
static sg_status run_round(pass *p, portion *x, FILE *resume, sg_error *err)
{
    sg_status st = SG_OK;
    const an_job *job = p->job;
    for (; p->model < job->n_models; p->model++, p->block = job->first_block) {
        p->began = sg_clock();
        TRY(open_engine(p, err));
        if (resume) {
            TRY(checkpoint_load_engine(p, resume, err));
            resume = NULL;
        } else
            TRY(warm_up(p, x, err));
        while (p->block < job->end_block) {
            TRY(run_block(p, x, err));
            TRY(store_block(p, err));
            sg_accum_clear(p->accum);
            p->block++;
            TRY(maybe_save(p, false, err));
        }
    }
    p->model = 0;
    p->block = job->first_block;
done:
    return st;
}

/* ---- precision ---- */

/* Jackknife standard error of sigma_1 over sigma_1, of one class and delay. NaN where it is not known. */
static sg_status relative_error(const pass *p, size_t g, size_t c, size_t d, double *out, sg_error *err)
{
    sg_status st = SG_OK;
    const an_job *job = p->job;
    const an_sums *sums = p->sums[p->round % 2];
    const an_group *group = &job->groups[g];
    size_t H = group->units, E = job->E, HE = H * E, R = H < E ? H : E, B = job->B;
    sp_frame f = {H, E, R, 0, job->L[group->model], NULL};
    size_t K = sp_count(&f);
    float *sum = sg_calloc(B, HE * sizeof *sum);
    double *T = sg_calloc(HE, sizeof *T), *G = sg_calloc(HE, sizeof *G), *gram = sg_calloc(E * E, sizeof *gram);
    double *values = sg_calloc(K, sizeof *values), *work = sg_calloc(sp_work(&f), sizeof *work);
    double *without = sg_calloc(B, sizeof *without), *weights = sg_calloc(B, sizeof *weights), N = 0, whole = NAN;
    *out = NAN;
    if (!sum || !T || !G || !gram || !values || !work || !without || !weights)
        TRY(sg_fail(err, SG_ENOMEM, "precision: no memory"));
    for (size_t b = 0; b < B; b++) {
        weights[b] = sums_weight_at(sums, b, c, d)->weight;
        N += weights[b];
        if (weights[b] > 0)
            TRY(sums_get(sums, b, g, c, d, sum + b * HE, NULL, err));
        for (size_t i = 0; i < HE; i++)
            T[i] += (double)sum[b * HE + i];
    }
    for (size_t b = 0; b <= B && N > 0; b++) { /* b = B: nothing left out */
        double left = b < B ? N - weights[b] : N;
        without[b < B ? b : 0] = b < B ? (double)NAN : without[0];
        if (!(left > 0.5))
            continue;
        for (size_t i = 0; i < HE; i++)
            G[i] = (T[i] - (b < B ? (double)sum[b * HE + i] : 0)) / left;
        la_dgemm(LA_T, LA_N, E, E, H, 1, G, E, G, E, 0, gram, E);
        TRY(sp_from_gram(values, &f, gram, NULL, work, err));
        *(b < B ? &without[b] : &whole) = values[0];
    }
    sg_interval x;
    sg_stats_jackknife(&x, B, weights, whole, without, 1);
    *out = x.error / whole;
done:
    sg_free(sum), sg_free(T), sg_free(G), sg_free(gram);
    sg_free(values), sg_free(work), sg_free(without), sg_free(weights);
    return st;
}

/* The largest relative error over classes, states and the first delays; 0 where nothing is known. */
static sg_status worst_error(const pass *p, double *worst, sg_error *err)
{
    const an_job *job = p->job;
    size_t D = job->D < PRECISION_DELAYS + 1 ? job->D : PRECISION_DELAYS + 1, n = job->n_states * job->C * D;
    sg_status failed = SG_OK;
    double largest = 0;
    int before = la_set_threads(1);
#pragma omp parallel for schedule(dynamic, 1) num_threads(job_threads(job)) reduction(max : largest)
    for (size_t i = 0; i < n; i++) {
        double e = NAN;
        sg_error inner;
        sg_status st = relative_error(p, i / (job->C * D), i / D % job->C, i % D, &e, &inner);
        if (st != SG_OK) {
#pragma omp critical
            {
                failed = st;
                if (err)
                    *err = inner;
            }
        }
        if (e > largest)
            largest = e;
    }
    la_set_threads(before);
    *worst = largest;
    return failed;
}

/* Sets the rates of the first round, or of the next; *more false: nothing is left to draw. */
static void next_rates(pass *p, double origins, bool *more)
{
    const an_job *job = p->job;
    *more = false;
    memcpy(p->low, p->high, job->sets * sizeof *p->low);
    choose_rates(job, origins, p->high);
    for (size_t s = 0; s < job->sets; s++) {
        p->high[s] = fmax(p->high[s], p->low[s]);
        *more |= p->high[s] > p->low[s] && job->set_count[s] > 0;
    }
}

static double expected_origins(const pass *p)
{
    double n = 0;
    for (size_t s = 0; s < p->job->sets; s++)
        n += p->high[s] * (double)p->job->set_count[s];
    return n;
}

/* After a round: is the precision reached? Otherwise the rates of the next. */
static sg_status plan_round(pass *p, bool *more, sg_error *err)
{
    sg_status st = SG_OK;
    const an_job *job = p->job;
    double worst, wanted = job->cfg->precision, n;
    *more = false;
    if (!(wanted > 0))
        return SG_OK;
    n = expected_origins(p);
    TRY(worst_error(p, &worst, err));
    if (worst > 0 && worst <= wanted)
        return SG_OK;
    double factor = worst > 0 ? 1.2 * worst * worst / wanted / wanted : 4;
    factor = factor < 1.3 ? 1.3 : factor > 16 ? 16 : factor;
    /* nearly everything would be drawn: draw everything */
    next_rates(p, n * factor > 0.7 * (double)job->T ? (double)job->T : n * factor, more);
    if (!*more)
        sg_warn(job->monitor, "--precision %g: all origins were used, the largest relative error is %.3g", wanted, worst);
done:
    return st;
}

/* ---- all of it ---- */

static sg_status open_sums(pass *p, const char *run_path, sg_error *err)
{
    sg_status st = SG_OK;
    const an_job *job = p->job;
    const char *checkpoint = job->cfg->checkpoint;
    size_t units[2 * AN_MAX_STATES];
    char *keep = NULL;
    for (size_t g = 0; g < job->n_groups; g++)
        units[g] = job->groups[g].units;
    sums_shape shape = {job->B, job->n_groups, job->C, job->D, job->E, units, true};
    for (int i = 0; i < (job->cfg->precision > 0 ? 2 : 1); i++) {
        if (checkpoint && !(keep = checkpoint_scratch(checkpoint, i)))
            TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", checkpoint));
        TRY(sums_new(&p->sums[i], &shape, run_path, keep, err));
        sg_free(keep);
        keep = NULL;
    }
done:
    sg_free(keep);
    return st;
}

static sg_status start_sampling(pass *p, sg_error *err)
{
    const an_job *job = p->job;
    bool more;
    if (!job->cfg->sample && !(job->cfg->precision > 0))
        return SG_OK;
    p->low = sg_calloc(job->sets, sizeof *p->low);
    p->high = sg_calloc(job->sets, sizeof *p->high);
    if (!p->low || !p->high)
        return sg_fail(err, SG_ENOMEM, "sampling: no memory");
    double origins = job->cfg->sample ? (double)job->cfg->sample : FIRST_ORIGINS * (double)job->C;
    next_rates(p, origins, &more);
    return SG_OK;
}

sg_status pass_run(an_sums **sums, const an_job *job, const char *run_path, sg_error *err)
{
    sg_status st = SG_OK;
    pass p = {.job = job, .block = job->first_block, .last_saved = sg_clock()};
    portion x = {0};
    FILE *resume = NULL;
    bool found = false, more = true;
    *sums = NULL;
    TRY(job_identity(job, true, p.identity, err));
    TRY(open_sums(&p, run_path, err));
    TRY(start_sampling(&p, err));
    if (!(x.steps = sg_calloc(PORTION, sizeof *x.steps)) ||
        (job->features && !(x.features = sg_calloc(PORTION, job->E * sizeof *x.features))))
        TRY(sg_fail(err, SG_ENOMEM, "analysis: no memory"));
    if (job->cfg->checkpoint)
        TRY(checkpoint_open(&p, &resume, &found, err));
    for (; more; p.round += more) {
        TRY(run_round(&p, &x, found ? resume : NULL, err));
        found = false;
        TRY(plan_round(&p, &more, err));
    }
    *sums = p.sums[p.round % 2];
    p.sums[p.round % 2] = NULL;
done:
    if (resume)
        fclose(resume);
    sg_engine_free(p.engine);
    sg_accum_free(p.accum);
    for (int i = 0; i < 2; i++)
        sums_free(p.sums[i]);
    sg_free(p.low);
    sg_free(p.high);
    sg_free(x.steps);
    sg_free(x.features);
    return st;
}
