/* SPDX-License-Identifier: MIT */
/* What an analysis will cost. */
#include "analysis/prepare.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

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
    sg_engine_config engine = job_engine(job);
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
    sg_analysis_config own;
    sg_analysis_defaults(&own, m);
    cfg = config_take(&own, sizeof own, cfg);
    an_job job = {0};
    sg_status st = job_sizes(&job, m, s, k, cfg, err);
    *out = (sg_analysis_estimate){0};
    if (st == SG_OK)
        forecast(out, &job);
    return st;
}
