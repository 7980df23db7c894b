/* SPDX-License-Identifier: MIT */
/* What an analysis will cost. */
#include "analysis/pass/replacement.h"
#include "analysis/pass/shared.h"
#include "analysis/prepare.h"
#include "analysis/team.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <math.h>
#include <string.h>
#include <zlib.h>

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

/* Seconds of one multiply-add of a product, one unit of a decomposition, one step of a loop and one byte
 * compressed, on one thread, from a few milliseconds of each. A step waits for the one before it and works on
 * one value: it takes as long as STEP multiply-adds of a product. */
static results_work measure_units(size_t E)
{
    enum { LEAST = 64, N = 160, TIMES = 4, BYTES = 1 << 16, STEP = 10 };
    const size_t n = E < N ? E : N, m = n < LEAST ? LEAST : n, compressed = compressBound(BYTES);
    results_work least = {INFINITY, INFINITY, 0, INFINITY};
    double *x = sg_calloc(4 * N, N * sizeof *x), *product = x ? x + N * N : NULL,
           *w = x ? x + 3 * N * N : NULL;
    unsigned char *bytes = sg_calloc(BYTES + compressed, 1);
    sg_rng rng;
    sg_rng_seed(&rng, 1, 0);
    for (size_t i = 0; x && i < N * N; i++)
        x[i] = sg_rng_normal(&rng);
    for (size_t i = 0; bytes && i < BYTES; i++) /* of four bytes of a shuffled float, one repeats */
        bytes[i] = i < BYTES / 4 ? 63 : (unsigned char)(sg_rng_next(&rng) >> 56);
    for (int i = 0; i < TIMES && x && bytes; i++) {
        uLongf size = compressed;
        const double start = sg_clock();
        la_dgemm(LA_T, LA_N, m, m, m, 1, x, m, x, m, 0, product, m);
        const double multiplied = sg_clock();
        la_dgemm(LA_T, LA_N, n, n, n, 1, x, n, x, n, 0, product, n);
        const double prepared = sg_clock();
        la_eigh(n, product, w, false, NULL);
        const double decomposed = sg_clock();
        compress2(bytes + BYTES, &size, bytes, BYTES, 1);
        const double compressing = sg_clock() - decomposed;
        least.products = fmin(least.products, (multiplied - start) / (double)(m * m * m));
        least.decompositions = fmin(least.decompositions, (decomposed - prepared) / (double)(n * n * n));
        least.bytes = fmin(least.bytes, compressing / BYTES);
    }
    least.steps = STEP * least.products;
    sg_free(x), sg_free(bytes);
    return isfinite(least.products) ? least : (results_work){5e-11, 5e-10, 5e-10, 2e-8};
}

/* One thread compresses while the others compute. */
static double spectra_seconds(const analysis *an, const results_input *input)
{
    results_work n;
    results_count(input, &n);
    const results_work each = measure_units(an->E);
    const double compute = n.products * each.products + n.decompositions * each.decompositions +
                           n.steps * each.steps,
                 compress = n.bytes * each.bytes;
    return fmax(compress, (compute + compress) / analysis_threads(an));
}

/* Seconds of rows first .. end-1: `flops` for the gradients of each token, and the states from where
 * they begin. The class sums come on top. */
static double share_seconds(const analysis *an, double flops, double rate, size_t first, size_t end)
{
    const double from = (double)analysis_part_start(an, first), to = (double)analysis_part_start(an, end);
    const double states = states_need_all(an) ? to : to - from + (double)an->cfg->warm_up;
    return to > from ? (flops * (to - from) / analysis_threads(an) + team_state_cost(an->shape) * states) *
                           (double)an->n_models / rate
                     : 0;
}

/* Of the process that takes longest. */
static double longest_share(const analysis *an, double flops, double rate)
{
    const sg_team *team = an->cfg->team;
    double longest = 0;
    if (!team || team->ranks < 2)
        return share_seconds(an, flops, rate, an->first_row, an->end_row);
    for (size_t r = 0, first, end; r < team->ranks; r++) {
        team_share(an, r, team->ranks, &first, &end);
        longest = fmax(longest, share_seconds(an, flops, rate, first, end));
    }
    return longest;
}

static void forecast(sg_analysis_estimate *out, const analysis *an)
{
    const sg_analysis_config *cfg = an->cfg;
    sg_engine_config engine = analysis_engine(an);
    double flops = team_token_cost(an),
           tokens = (double)(analysis_part_start(an, an->end_row) - analysis_part_start(an, an->first_row));
    size_t bytes = 0, units[2 * ANALYSIS_MAX_STATES], spectra, file;
    results_input input;
    analysis_results_input(an, &input);
    engine_cost(NULL, &bytes, an->shape, &engine);
    for (size_t g = 0; g < an->n_groups; g++)
        units[g] = an->groups[g].units;
    sums_shape shape = {an->B * an->split, an->n_groups, an->C, an->D, an->E, units, true};
    double share = cfg->sample && (double)cfg->sample < tokens ? (double)cfg->sample / tokens : 1;
    size_t table = an->B * an->split * an->C * an->D * sizeof(sums_weight);
    results_cost(&input, &spectra, &file);
    bytes += an->sets * accum_bytes_per_set(an->states, an->n_states, an->D, an->E, true);
    out->flops = flops * tokens * share * (double)an->n_models;
    const double rate = measure_rate();
    out->seconds = longest_share(an, flops * share, rate);
    out->spectra_seconds = spectra_seconds(an, &input);
    if (!cfg->parts)
        out->seconds += out->spectra_seconds;
    out->memory = (bytes > spectra ? bytes : spectra) + table;
    if (cfg->replace != SG_REPLACE_NONE)
        out->memory += replacement_bytes(an);
    if (cfg->units)
        out->memory += self_gain_bytes(an);
    out->scratch_bytes = sums_bytes_per_block(&shape) * (an->end_row - an->first_row);
    out->run_file_bytes = (cfg->parts ? out->scratch_bytes : file) + an->V * an->E * sizeof(float);
}

sg_status sg_analysis_forecast(sg_analysis_estimate *out, const sg_analysis_config *cfg, const sg_model *m,
                               const sg_stream *s, const sg_classes *k, sg_error *err)
{
    sg_analysis_config own;
    sg_analysis_defaults(&own, m);
    cfg = config_take(&own, sizeof own, cfg);
    analysis an = {0};
    sg_status st = analysis_sizes(&an, m, s, k, cfg, err);
    *out = (sg_analysis_estimate){0};
    if (st == SG_OK)
        st = la_room(1, err);
    if (st == SG_OK)
        forecast(out, &an);
    return st;
}
