/* SPDX-License-Identifier: MIT */
/* bench_analysis - how fast state gradients are, beside what the machine can do: one JSON object a line.
 *
 *   bench_analysis [--only NAME] [--seconds N] [--cpu 1]
 *
 *   peak, tokens_per_second: the best of the rounds. share: useful flops a second over the FMA peak measured
 *   just before and after each round; its quartiles over all rounds. Useful flops are those of engine_cost:
 *   4 H^2 E (D-1) a token for an LSTM, ... beside: another setting, timed in turns; times: time per token
 *   relative to it, its quartiles */
#include "../tests/helpers/naive_gradient.h"

#include "base/base_internal.h"
#include "gradient/backend.h"
#include "kernel/kernel.h"

#include <cblas.h>
#include <malloc.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    const char *name;
    sg_cell cell;
    size_t L, E, H, D;
    bool both; /* cell and hidden of the top layer */
    size_t sets, moments;
    double rate;   /* of origins; 0: all */
    size_t beside; /* number, from 1, of the setting that it is timed in turns with; 0: none */
} setting;

static void die(const sg_error *err)
{
    fprintf(stderr, "bench: %s\n", err->msg);
    exit(1);
}

/* Seconds: of the clock on the wall, or (--cpu 1) of the processor time of all our threads divided by their
 * number, which tells what the code does when others use the machine too. */
static bool cpu_time;
static double seconds(int threads)
{
    struct timespec t;
    if (!cpu_time)
        return sg_clock();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return ((double)t.tv_sec + 1e-9 * (double)t.tv_nsec) / threads;
}

/* A round of the chains, some milliseconds: the clock of a machine that others share drifts by a tenth within
 * seconds, so a share is taken between neighbours in time, and is the median of many. */
static double peak_round(int threads)
{
    const sg_gradient_kernels *k = kernels_best()->gradient;
    double flops = 0, start = seconds(threads);
#pragma omp parallel num_threads(threads) reduction(+ : flops)
    {
        float sink = 0;
        flops += k->peak(3000000, &sink);
    }
    return flops / (seconds(threads) - start);
}

static double gemm_round(int threads)
{
    enum { N = 1024 };
    float *a = sg_calloc(3, N * N * sizeof *a);
    if (!a)
        return 0;
    for (size_t i = 0; i < 2 * N * N; i++)
        a[i] = (float)(i % 7);
    int before = openblas_get_num_threads();
    openblas_set_num_threads(threads);
    double start = sg_clock();
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, a, N, a + N * N, N, 0, a + 2 * N * N,
                N);
    double rate = 2.0 * N * N * N / (sg_clock() - start);
    openblas_set_num_threads(before);
    sg_free(a);
    return rate;
}

static bool by_hash(void *ctx, uint64_t position, unsigned set)
{
    (void)set;
    return engine_sampled(1, position, *(const double *)ctx);
}

static sg_model *model_for(const setting *s)
{
    sg_model *m = NULL;
    sg_error err;
    sg_model_shape shape = {.cell = s->cell, .layers = s->L, .embedding = s->E};
    for (size_t l = 0; l < s->L; l++)
        shape.hidden[l] = s->H;
    if (sg_model_new(&m, &shape, NULL, &err) != SG_OK)
        die(&err);
    sg_model_init_uniform(m, 1.0f / sqrtf((float)s->H), 1);
    return m;
}

static sg_engine *engine_for(const setting *s, const sg_model *m, int threads, sg_accum **a)
{
    sg_engine *e = NULL;
    sg_error err;
    sg_accum_state states[2] = {{s->L, SG_STATE_HIDDEN, s->H}, {s->L, SG_STATE_CELL, s->H}};
    sg_engine_config cfg = {.delays = s->D,
                            .states = states,
                            .n_states = s->both ? 2 : 1,
                            .threads = threads,
                            .second_moment_every = s->moments,
                            .sample = s->rate > 0 ? by_hash : NULL,
                            .sample_ctx = (void *)&s->rate};
    if (engine_new(&e, m, &cfg, &err) != SG_OK || engine_new_accum(e, a, &err) != SG_OK)
        die(&err);
    return e;
}

static void feed(sg_engine *e, sg_accum *a, const setting *s, size_t n, sg_rng *r)
{
    sg_error err;
    sg_step *steps = sg_calloc(n, sizeof *steps);
    float *x = sg_calloc(n * s->E, sizeof *x);
    for (size_t t = 0; t < n; t++) {
        steps[t].set = (unsigned)sg_rng_below(r, s->sets ? s->sets : 1);
        for (size_t e1 = 0; e1 < s->E; e1++)
            x[t * s->E + e1] = (float)sg_rng_normal(r);
    }
    if (engine_run(e, steps, x, n, true, a, &err) != SG_OK)
        die(&err);
    sg_free(steps);
    sg_free(x);
}

typedef struct {
    double rate, peak; /* tokens/s, flops/s: the best */
    double share[3];   /* of the peak just before and after: quartiles over the rounds */
    double megabytes, minimum;
    double beside[3]; /* quartiles of the time beside A's; NaN */
} result;

static double flops_of(const setting *s, const sg_model *m)
{
    sg_accum_state state = {s->L, SG_STATE_HIDDEN, s->H};
    double flops = 0;
    engine_cost(&flops, NULL, sg_model_get_shape(m),
                &(sg_engine_config){.delays = s->D, .states = &state, .n_states = 1});
    return flops;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* An engine that has gone through so many tokens that its window is full and all its sums have been
 * touched. */
typedef struct {
    const setting *s;
    sg_model *m;
    sg_engine *e;
    sg_accum *a;
    sg_rng r;
    size_t bytes; /* of e and a */
} rig;

static size_t allocated(void)
{
    const struct mallinfo2 heap = mallinfo2();
    return heap.uordblks + heap.hblkhd;
}

static void rig_up(rig *x, const setting *s, int threads)
{
    x->s = s, x->m = model_for(s), x->a = NULL;
    const size_t before = allocated();
    x->e = engine_for(s, x->m, threads, &x->a);
    sg_rng_seed(&x->r, 1, 1);
    feed(x->e, x->a, s, (s->D + 15) / 16 * 16 + (s->sets ? 128 : 0), &x->r);
    x->bytes = allocated() - before;
}

static void rig_down(rig *x)
{
    engine_free(x->e);
    accum_free(x->a);
    sg_model_free(x->m);
}

enum { MOST_ROUNDS = 400 };

static void quartiles(double *x, size_t n, double out[3])
{
    qsort(x, n, sizeof *x, ascending);
    for (size_t q = 0; q < 3; q++)
        out[q] = x[(q + 1) * (n - 1) / 4];
}

/* Rounds of about 40 ms, or of the fewest tokens that go together, until `length` seconds are over. */
static result measure(const setting *s, const setting *base, int threads, double length)
{
    result out = {.beside = {NAN, NAN, NAN}};
    rig x, other;
    double ratio[MOST_ROUNDS], share[MOST_ROUNDS], begun = sg_clock();
    rig_up(&x, s, threads);
    if (s->beside)
        rig_up(&other, base, threads);
    double flops = flops_of(s, x.m) * (s->rate > 0 ? s->rate : 1), before = peak_round(threads);
    size_t chunk = 8 * (size_t)ceil(0.04 * before / flops / 8), n = 0;
    chunk = chunk > 20000 ? 20000 : chunk;
    size_t base_chunk = s->beside ? 8 * (size_t)ceil(0.04 * before / flops_of(base, other.m) / 8) : 0;
    while (n < MOST_ROUNDS && (n < 3 || sg_clock() - begun < length)) {
        double start = seconds(threads);
        feed(x.e, x.a, s, chunk, &x.r);
        double took = seconds(threads) - start, rate = (double)chunk / took, after = peak_round(threads);
        out.peak = fmax(out.peak, fmax(before, after)), out.rate = fmax(out.rate, rate);
        share[n] = rate * flops / (0.5 * (before + after));
        before = after;
        if (s->beside) {
            start = seconds(threads);
            feed(other.e, other.a, base, base_chunk, &other.r);
            ratio[n] = took / (double)chunk / ((seconds(threads) - start) / (double)base_chunk);
            before = peak_round(threads);
        }
        n++;
    }
    quartiles(share, n, out.share);
    if (s->beside) {
        quartiles(ratio, n, out.beside);
        rig_down(&other);
    }
    size_t P = sg_cell_states(s->cell) == SG_STATE_BOTH ? 2 : 1, states = s->both ? 2 : 1,
           sets = accum_sets(x.a);
    out.megabytes = (double)x.bytes / 1e6;
    out.minimum =
        ((double)(P * s->L * s->D * s->H * s->E) * 4 + (double)(states * sets * s->D * s->H * s->E) * 8 +
         (s->moments ? (double)(states * sets * s->D * s->E * s->E) * 4 : 0)) /
        1e6;
    rig_down(&x);
    return out;
}

/* Largest difference of a mean from the double reference, of its largest entry, over all delays: the same
 * cell and depth at a size that the reference can do. */
static double error_of(const setting *full)
{
    setting s = *full;
    s.E = 24, s.H = 48, s.D = 20, s.sets = 1, s.rate = 0;
    enum { T = 60 };
    sg_error err;
    sg_model *m = model_for(&s);
    sg_accum *a = NULL;
    sg_engine *e = engine_for(&s, m, 2, &a);
    naive *n = naive_new(m, T);
    float x[24 * T];
    double in[24], *sum = sg_calloc(s.H * s.E, 2 * sizeof *sum),
                   *want = sg_calloc(s.D * s.H * s.E, sizeof *want);
    sg_rng r;
    sg_rng_seed(&r, 2, 2);
    for (size_t i = 0; i < 24 * T; i++)
        x[i] = (float)sg_rng_normal(&r);
    sg_step steps[T] = {{0}};
    if (engine_run(e, steps, x, T, true, a, &err) != SG_OK || engine_flush(e, a, &err) != SG_OK)
        die(&err);
    for (size_t t = 0; t < T; t++) {
        for (size_t i = 0; i < s.E; i++)
            in[i] = (double)x[t * s.E + i];
        naive_step(n, in, false);
        for (size_t d = 0; d < s.D && d <= t; d++) {
            const double *G = naive_get(n, s.L, SG_STATE_HIDDEN, t - d);
            for (size_t i = 0; i < s.H * s.E; i++)
                want[d * s.H * s.E + i] += G[i];
        }
    }
    double worst = 0;
    for (size_t d = 0; d < s.D; d++) {
        double scale = 0, most = 0;
        accum_class_sum(a, 0, NULL, 0, d, sum);
        for (size_t i = 0; i < s.H * s.E; i++) {
            scale = fmax(scale, fabs(want[d * s.H * s.E + i]));
            most = fmax(most, fabs(sum[i] - want[d * s.H * s.E + i]));
        }
        worst = fmax(worst, most / scale);
    }
    naive_free(n);
    sg_free(sum);
    sg_free(want);
    engine_free(e);
    accum_free(a);
    sg_model_free(m);
    return worst;
}

static void print_setting(const setting *s, const char *base, int threads, const result *r, double error)
{
    printf(
        "{\"setting\": \"%s\", \"threads\": %d, \"peak\": %g, \"tokens_per_second\": %g, \"share\": [%g, %g, %g], "
        "\"bytes\": %g, \"minimum_bytes\": %g",
        s->name, threads, r->peak, r->rate, r->share[0], r->share[1], r->share[2], r->megabytes * 1e6,
        r->minimum * 1e6);
    if (!isnan(error))
        printf(", \"error\": %g", error);
    if (s->beside)
        printf(", \"beside\": \"%s\", \"times\": [%g, %g, %g]", base, r->beside[0], r->beside[1],
               r->beside[2]);
    printf("}\n");
    fflush(stdout);
}

#define A_LSTM .cell = SG_CELL_LSTM, .L = 1, .E = 64, .H = 256

int main(int argc, char **argv)
{
    static const setting settings[] = {
        {.name = "A lstm", A_LSTM, .D = 50},
        {.name = "B lstm", .cell = SG_CELL_LSTM, .L = 2, .E = 200, .H = 200, .D = 35},
        {.name = "C lstm", .cell = SG_CELL_LSTM, .L = 2, .E = 650, .H = 650, .D = 20},
        {.name = "A gru", .cell = SG_CELL_GRU, .L = 1, .E = 64, .H = 256, .D = 50},
        {.name = "A rnn", .cell = SG_CELL_TANH, .L = 1, .E = 64, .H = 256, .D = 50},
        {.name = "A both states, 20 classes", A_LSTM, .D = 50, .both = true, .sets = 20, .beside = 1},
        {.name = "A second moment every 8", A_LSTM, .D = 50, .moments = 8, .beside = 1},
        {.name = "A second moment every 1", A_LSTM, .D = 50, .moments = 1, .beside = 1},
        {.name = "A mingru", .cell = SG_CELL_MINGRU, .L = 1, .E = 64, .H = 256, .D = 50, .beside = 4},
        {.name = "A minlstm", .cell = SG_CELL_MINLSTM, .L = 1, .E = 64, .H = 256, .D = 50, .beside = 1},
        {.name = "A 5 % of origins", A_LSTM, .D = 50, .rate = 0.05},
        {.name = "A D = 200", A_LSTM, .D = 200},
    };
    const char *only = NULL;
    int cores = omp_get_max_threads();
    double length = 2;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--only"))
            only = argv[i + 1];
        else if (!strcmp(argv[i], "--seconds"))
            length = atof(argv[i + 1]);
        else if (!strcmp(argv[i], "--cpu"))
            cpu_time = atoi(argv[i + 1]) != 0;
    }
    for (int threads = 1; threads <= cores; threads += cores > 1 ? cores - 1 : 1) {
        double gemm = 0, peak = 0;
        for (int i = 0; i < 5; i++)
            gemm = fmax(gemm, gemm_round(threads)), peak = fmax(peak, peak_round(threads));
        printf("{\"machine\": \"%s\", \"threads\": %d, \"gemm\": %g, \"peak\": %g}\n", kernels_best()->name,
               threads, gemm, peak);
    }
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        for (int threads = 1; threads <= cores; threads += cores > 1 ? cores - 1 : 1) {
            const setting *s = &settings[i], *base = &settings[s->beside ? s->beside - 1 : 0];
            if (only && strncmp(s->name, only, strlen(only)))
                continue;
            result r = measure(s, base, threads, length);
            print_setting(s, base->name, threads, &r, threads == 1 ? error_of(s) : NAN);
        }
    return 0;
}
