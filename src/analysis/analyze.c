/* SPDX-License-Identifier: MIT */
/* The analysis from end to end, its settings and what it will cost. */
#include "analysis/prepare.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <math.h>
#include <string.h>

void sg_analysis_defaults(sg_analysis_config *cfg, const sg_model *m)
{
    *cfg = (sg_analysis_config){.delays = 50,
                                .state = SG_STATE_HIDDEN,
                                .normalize = true,
                                .blocks = 20,
                                .seed = 1,
                                .checkpoint_minutes = 5,
                                .long_tolerance = 1e-6};
    if (m && sg_model_get_shape(m)->cell == SG_CELL_LSTM)
        cfg->state = SG_STATE_CELL;
}

static sg_status check_sampling(const sg_analysis_config *cfg, sg_error *err)
{
    if (!(cfg->precision >= 0) || cfg->precision >= 1)
        return sg_fail(err, SG_EINVAL, "precision: expected a share between 0 and 1, found %g",
                       cfg->precision);
    if (cfg->sample && cfg->precision > 0)
        return sg_fail(err, SG_EINVAL, "sample and precision: only one of them");
    if (cfg->precision > 0 && cfg->parts)
        return sg_fail(err, SG_EINVAL, "precision and part: a part cannot know the precision of the whole");
    if (cfg->precision > 0 && cfg->blocks < 20)
        return sg_fail(err, SG_EINVAL, "precision: needs at least 20 blocks, found %zu", cfg->blocks);
    return SG_OK;
}

sg_status sg_analysis_check(const sg_analysis_config *cfg, const sg_model *m, const sg_stream *s,
                            sg_error *err)
{
    const sg_model_shape *shape = sg_model_get_shape(m);
    uint64_t T = sg_stream_length(s);
    bool lstm = shape->cell == SG_CELL_LSTM;
    if (!cfg->delays)
        return sg_fail(err, SG_EINVAL, "delays: expected at least 1, found 0");
    if (cfg->delays > T)
        return sg_fail(err, SG_EINVAL, "delays: %zu delays, but the corpus has only %ju tokens", cfg->delays,
                       (uintmax_t)T);
    if (!cfg->state || cfg->state > SG_STATE_BOTH)
        return sg_fail(err, SG_EINVAL, "state: expected cell, hidden or both");
    if (cfg->state == SG_STATE_CELL && !lstm)
        return sg_fail(err, SG_EINVAL, "state: a %s has no cell state; expected hidden",
                       sg_cell_name(shape->cell));
    if (cfg->layer != SG_ALL_LAYERS && cfg->layer > shape->layers)
        return sg_fail(err, SG_EINVAL, "layer: expected 1 to %zu, found %zu", shape->layers, cfg->layer);
    if (cfg->handling == SG_WINDOW && !cfg->window)
        return sg_fail(err, SG_EINVAL, "state handling: expected window:N with N at least 1");
    if (!cfg->blocks || cfg->blocks > 10000)
        return sg_fail(err, SG_EINVAL, "blocks: expected 1 to 10000, found %zu", cfg->blocks);
    if (!(cfg->ridge >= 0) || cfg->ridge > 1e6)
        return sg_fail(err, SG_EINVAL, "ridge: expected 0 or more, found %g", cfg->ridge);
    if (cfg->parts && (!cfg->part || cfg->part > cfg->parts))
        return sg_fail(err, SG_EINVAL, "part: expected 1 to %zu, found %zu", cfg->parts, cfg->part);
    if (cfg->frequency_weighted && !shape->vocabulary)
        return sg_fail(err, SG_EINVAL, "covariance over tokens: the model has no words");
    if (!shape->vocabulary && !cfg->features_path)
        return sg_fail(err, SG_EINVAL,
                       "the model reads feature vectors, not words: they are given by --inputs FILE.npy");
    if (shape->vocabulary && cfg->features_path)
        return sg_fail(err, SG_EINVAL, "--inputs: the model reads words, not feature vectors");
    if (!(cfg->long_tolerance > 0) || cfg->long_tolerance > 0.1)
        return sg_fail(err, SG_EINVAL, "long tolerance: expected above 0, at most 0.1, found %g",
                       cfg->long_tolerance);
    return check_sampling(cfg, err);
}

/* Float32 products a second, one thread, from a few milliseconds of them. */
static double measure_rate(void)
{
    enum { N = 192 };
    float *x = sg_calloc(3 * N * N, sizeof *x);
    if (!x)
        return 1e10;
    for (size_t i = 0; i < (size_t)(2 * N * N); i++)
        x[i] = (float)(i % 7) - 3;
    double best = 0;
    for (int i = 0; i < 6; i++) {
        double start = sg_clock();
        la_sgemm(LA_N, LA_N, N, N, N, 1, x, N, x + N * N, N, 0, x + 2 * N * N, N);
        double rate = 2.0 * N * N * N / (sg_clock() - start + 1e-9);
        best = rate > best ? rate : best;
    }
    sg_free(x);
    return best;
}

/* What the spectra cost, in float32 products: decompositions run at a tenth of that rate, so they count ten
 * times. */
static double spectra_flops(const an_job *job)
{
    double E = (double)job->E, B = (double)job->B, flops = 0, blocks_of_classes = job->C > 1 ? 3 : 1;
    for (size_t g = 0; g < job->n_groups; g++) {
        double H = (double)job->groups[g].units;
        flops += 2 * blocks_of_classes * (B + 1) * 2 * H * E * E +
                 10 * (B + 1) * (job->P ? 30 : 12) * E * E * E + 10 * 20 * H * E * E;
    }
    return flops * (double)(job->C * job->D);
}

static void forecast(sg_analysis_estimate *out, const an_job *job)
{
    const sg_analysis_config *cfg = job->cfg;
    sg_engine_config engine = {.delays = job->D,
                               .states = job->states,
                               .n_states = job->n_states,
                               .handling = cfg->handling,
                               .window = cfg->window,
                               .burn_in = cfg->burn_in,
                               .second_moment_every = job->second_moment_every,
                               .threads = cfg->threads,
                               .long_after = job->long_after};
    double flops = 0,
           tokens = (double)(job_block_start(job, job->end_block) - job_block_start(job, job->first_block));
    size_t bytes = 0, units[2 * AN_MAX_STATES], after, file;
    an_plan plan;
    job_plan(job, &plan);
    engine_cost(&flops, &bytes, job->shape, &engine);
    for (size_t g = 0; g < job->n_groups; g++)
        units[g] = job->groups[g].units;
    sums_shape shape = {job->B, job->n_groups, job->C, job->D, job->E, units, true};
    double share = cfg->sample && (double)cfg->sample < tokens ? (double)cfg->sample / tokens : 1;
    size_t table = job->B * job->C * job->D * sizeof(sums_weight);
    an_after_cost(&plan, &after, &file);
    bytes += job->sets * accum_bytes_per_set(job->states, job->n_states, job->D, job->E, true);
    out->flops = flops * tokens * share * (double)job->n_models;
    double rate = measure_rate() * job_threads(job);
    out->seconds = out->flops / rate; /* the forward pass and the class sums come on top */
    if (!cfg->parts)
        out->seconds += spectra_flops(job) / rate;
    out->memory = (bytes > after ? bytes : after) + table;
    out->scratch_bytes = sums_bytes_per_block(&shape) * (job->end_block - job->first_block);
    out->run_file_bytes = (cfg->parts ? out->scratch_bytes : file) + job->V * job->E * sizeof(float);
}

sg_status sg_analysis_forecast(sg_analysis_estimate *out, const sg_analysis_config *cfg, const sg_model *m,
                               const sg_stream *s, const sg_classes *k, sg_error *err)
{
    an_job job = {0};
    sg_status st = job_sizes(&job, m, s, k, cfg, err);
    *out = (sg_analysis_estimate){0};
    if (st == SG_OK)
        forecast(out, &job);
    return st;
}

/* A baseline's own factor and property vectors stand in its groups. */
static sg_status put_untrained(run_writer *w, const an_job *job, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t g = 0; g < job->n_groups; g++) {
        int nc;
        if (!job->groups[g].model)
            continue;
        TRY(run_writer_group(w, job->groups[g].name, &nc, err));
        TRY(run_writer_define(w, nc, "embedding_covariance_factor", err));
        TRY(run_writer_put_f64(w, nc, "embedding_covariance_factor", NULL, NULL, job->L[1], err));
        if (job->factor_missing[1][0])
            TRY(run_writer_text(w, nc, "embedding_covariance_factor", "missing_reason",
                                job->factor_missing[1], err));
        TRY(run_writer_define(w, nc, "property_vector", err));
        for (size_t p = 0; p < job->P; p++) {
            size_t start[] = {p, 0}, count[] = {1, job->E};
            TRY(run_writer_put_f64(w, nc, "property_vector", start, count, job->properties[p].delta[1], err));
        }
    }
done:
    return st;
}

static sg_status put_reached(run_writer *w, const an_job *job, sg_error *err)
{
    sg_status st = SG_OK;
    const an_reached *x = &job->reached;
    if (!(job->cfg->precision > 0))
        return SG_OK;
    TRY(run_writer_real(w, RUN_ROOT, NULL, "precision_sampling_error", x->sampling, err));
    TRY(run_writer_real(w, RUN_ROOT, NULL, "precision_total_error", x->total, err));
    TRY(run_writer_text(w, RUN_ROOT, NULL, "precision_worst_class", job->class_names[x->class], err));
    TRY(run_writer_integer(w, RUN_ROOT, NULL, "precision_worst_delay", (int64_t)x->delay, err));
    TRY(run_writer_integer(w, RUN_ROOT, NULL, "precision_origins", (int64_t)x->origins, err));
    TRY(run_writer_integer(w, RUN_ROOT, NULL, "precision_rounds", (int64_t)x->rounds, err));
done:
    return st;
}

sg_status sg_analyze(const char *run_path, const sg_model *m, const sg_stream *s, const sg_classes *k,
                     const sg_analysis_config *cfg, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    an_job job = {0};
    an_sums *sums = NULL;
    run_writer *w = NULL;
    an_plan plan;
    la_serial_begin();
    TRY(job_prepare(&job, m, s, k, cfg, monitor, err));
    /* first: an output that cannot be written fails now, not in an hour */
    TRY(run_writer_create(&w, run_path, err));
    TRY(root_write(w, &job, err));
    TRY(put_untrained(w, &job, err));
    TRY(pass_run(&sums, &job, run_path, err));
    TRY(put_reached(w, &job, err));
    job_plan(&job, &plan);
    if (cfg->parts)
        TRY(part_write(w, &job, sums, err));
    else
        TRY(an_after(w, &plan, sums, monitor, err));
    run_writer *ready = w;
    w = NULL;
    TRY(run_writer_commit(ready, err));
    pass_forget_checkpoint(&job);
    if (cfg->csv_path && !cfg->parts)
        TRY(sg_run_write_csv(run_path, cfg->csv_path, err));
done:
    run_writer_abort(w);
    sums_free(sums);
    job_free(&job);
    la_serial_end();
    return st;
}

sg_status sg_features_shape(const char *path, uint64_t *rows, size_t *columns, sg_error *err)
{
    rows_file *f;
    sg_status st = rows_open(&f, path, err);
    if (st != SG_OK)
        return st;
    *rows = rows_count(f);
    *columns = rows_columns(f);
    rows_close(f);
    return SG_OK;
}
