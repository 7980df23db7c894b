/* SPDX-License-Identifier: MIT */
#include "lm/softmax.h"

#include "base/base_internal.h"
#include "kernel/float_env.h"
#include "kernel/kernel.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* A lane does its slices one after the other and sums their part of dX: few enough to add up at the end,
 * enough for the threads. */
enum { LANES = 8, MAX_SLICE = 1024, BLOCK = 256 /* rows: a slice of a block stays in the cache */ };

struct sg_softmax {
    size_t V, H, rows, slice, n_slices;
    int threads;
    /* (rows, V) as n_slices consecutive matrices (rows, slice); once summed, exp(logit - max) */
    float *logits;
    float *max;        /* (n_slices, rows): largest logit of a row in a slice */
    double *sum;       /* (n_slices, rows): sum exp(logit - max) */
    float *target;     /* (rows): logit of the target */
    double *log_total; /* (rows): log sum exp over all slices */
    float *dX;         /* (LANES, rows, H) */
    float *packed_W;   /* a slice of W or W^T for each thread, packed_size each */
    float *packed_X;   /* (rows, H) in blocks of BLOCK rows */
    size_t packed_size;
    const sg_product_kernels *kernels;
};

static size_t width(const sg_softmax *s, size_t k)
{
    return k + 1 < s->n_slices ? s->slice : s->V - k * s->slice;
}

sg_status softmax_new(sg_softmax **out, size_t V, size_t H, size_t n, bool gradients, int threads,
                      sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    sg_softmax *s = sg_calloc(1, sizeof *s);
    if (!s)
        return no_memory(err, "the softmax");
    size_t slice = ((V + LANES - 1) / LANES + 15) / 16 * 16, fit = ((size_t)64 << 20) / sizeof(float) / V;
    *s = (sg_softmax){.V = V, .H = H, .threads = threads, .kernels = kernels_best()->product};
    s->slice = slice < MAX_SLICE ? slice : MAX_SLICE;
    s->n_slices = (V + s->slice - 1) / s->slice;
    s->rows = n < fit ? n : fit < 64 ? (n < 64 ? n : 64) : fit;
    size_t forward = packed_size(H, s->slice), back = packed_size(s->slice, H);
    s->packed_size = forward > back ? forward : back;
    if (!(s->logits = sg_calloc(s->rows * s->n_slices, s->slice * sizeof(float))) ||
        !(s->max = sg_calloc(s->rows * s->n_slices, sizeof(float))) ||
        !(s->sum = sg_calloc(s->rows * s->n_slices, sizeof(double))) ||
        !(s->log_total = sg_calloc(s->rows, sizeof(double))) ||
        !(s->target = sg_calloc(s->rows, sizeof(float))) ||
        !(s->packed_W = sg_calloc((size_t)threads, s->packed_size * sizeof(float))) ||
        (gradients && (!(s->dX = sg_calloc(LANES * s->rows, H * sizeof(float))) ||
                       !(s->packed_X = sg_calloc(packed_size(s->rows, H), sizeof(float))))))
        TRY(no_memory(err, "a softmax of %zu rows of %zu words", s->rows, V));
    *out = s;
    s = NULL;
done:
    softmax_free(s);
    return st;
}

void softmax_free(sg_softmax *s)
{
    if (!s)
        return;
    sg_free(s->logits);
    sg_free(s->max);
    sg_free(s->sum);
    sg_free(s->log_total);
    sg_free(s->target);
    sg_free(s->dX);
    sg_free(s->packed_W);
    sg_free(s->packed_X);
    sg_free(s);
}

size_t softmax_rows(const sg_softmax *s)
{
    return s->rows;
}

static float *my_packed(const sg_softmax *s)
{
    return s->packed_W + (size_t)omp_get_thread_num() * s->packed_size;
}

/* Threads are worth their barriers only above some work. */
static int thread_count(const sg_softmax *s, size_t n)
{
    return n * s->V > (1u << 22) / s->H ? s->threads : 1;
}

static void slice_logits(sg_softmax *s, size_t k, size_t n, const float *X, const float *W, const float *b,
                         const int32_t *targets)
{
    size_t w = width(s, k), at = k * s->slice, H = s->H;
    float *packed = my_packed(s);
    s->kernels->pack(H, w, W + at * H, 1, H, packed);
    for (size_t r0 = 0; r0 < n; r0 += BLOCK) {
        size_t m = n - r0 < BLOCK ? n - r0 : BLOCK;
        float *L = s->logits + (k * s->rows + r0) * s->slice;
        s->kernels->multiply(m, w, H, X + r0 * H, H, 1, packed, H, L, s->slice, false);
        for (size_t i = 0; i < m; i++) {
            float *row = L + i * s->slice, max, sum;
            size_t target = (size_t)targets[r0 + i];
            if (target >= at && target < at + w)
                s->target[r0 + i] = row[target - at] + b[target];
            s->kernels->exp_sum(w, row, b + at, &max, &sum);
            s->max[k * s->rows + r0 + i] = max;
            s->sum[k * s->rows + r0 + i] = sum;
        }
    }
}

static double row_loss(sg_softmax *s, size_t i)
{
    double max = -INFINITY, total = 0;
    for (size_t k = 0; k < s->n_slices; k++)
        max = fmax(max, s->max[k * s->rows + i]);
    for (size_t k = 0; k < s->n_slices; k++)
        total += s->sum[k * s->rows + i] * exp(s->max[k * s->rows + i] - max);
    s->log_total[i] = max + log(total);
    return s->log_total[i] - s->target[i];
}

void softmax_loss(sg_softmax *s, size_t n, const float *X, const float *W, const float *b,
                  const int32_t *targets, double *loss)
{
#pragma omp parallel num_threads(thread_count(s, n))
    {
        sg_float_env env = float_env_begin();
#pragma omp for schedule(dynamic, 1)
        for (size_t k = 0; k < s->n_slices; k++)
            slice_logits(s, k, n, X, W, b, targets);
#pragma omp for schedule(static)
        for (size_t i = 0; i < n; i++)
            loss[i] = row_loss(s, i);
        float_env_end(env);
    }
}

/* exp(logit - max) to scale * (P - onehot), in place, for a block of rows; its sum over rows is added to
 * bias. */
static void to_gradient(const sg_softmax *s, float *L, size_t k, size_t row, size_t m, const int32_t *targets,
                        float scale, float *bias)
{
    size_t w = width(s, k), at = k * s->slice;
    for (size_t i = row; i < row + m; i++, L += s->slice) {
        double factor = scale * exp(s->max[k * s->rows + i] - s->log_total[i]);
        s->kernels->scale_add(w, (float)factor, L, bias);
        size_t target = (size_t)targets[i];
        if (target >= at && target < at + w) {
            L[target - at] -= scale;
            bias[target - at] -= scale;
        }
    }
}

static void slice_back(sg_softmax *s, size_t k, size_t n, const float *W, const int32_t *targets, float scale,
                       float *dX, float *gW, float *gb, bool add)
{
    size_t w = width(s, k), at = k * s->slice, H = s->H;
    float bias[MAX_SLICE] = {0}, *packed = my_packed(s);
    s->kernels->pack(w, H, W + at * H, H, 1, packed);
    for (size_t r0 = 0; r0 < n; r0 += BLOCK) {
        size_t m = n - r0 < BLOCK ? n - r0 : BLOCK;
        float *P = s->logits + (k * s->rows + r0) * s->slice;
        to_gradient(s, P, k, r0, m, targets, scale, bias);
        s->kernels->multiply(m, H, w, P, s->slice, 1, packed, w, dX + r0 * H, H, k >= LANES);
        if (gW)
            s->kernels->multiply(w, H, m, P, 1, s->slice, s->packed_X + packed_size(r0, H), m, gW + at * H, H,
                                 r0 || add);
    }
    for (size_t j = 0; j < w && gb; j++)
        gb[at + j] = (add ? gb[at + j] : 0) + bias[j];
}

void softmax_back(sg_softmax *s, size_t n, const float *X, const float *W, const int32_t *targets,
                  float scale, float *dX, float *gW, float *gb, bool add)
{
    size_t lanes = s->n_slices < LANES ? s->n_slices : LANES, H = s->H;
#pragma omp parallel num_threads(thread_count(s, n))
    {
        sg_float_env env = float_env_begin();
#pragma omp for schedule(static)
        for (size_t r0 = 0; r0 < (gW ? n : 0); r0 += BLOCK)
            s->kernels->pack(n - r0 < BLOCK ? n - r0 : BLOCK, H, X + r0 * H, H, 1,
                             s->packed_X + packed_size(r0, H));
#pragma omp for schedule(dynamic, 1)
        for (size_t lane = 0; lane < lanes; lane++)
            for (size_t k = lane; k < s->n_slices; k += LANES)
                slice_back(s, k, n, W, targets, scale, s->dX + lane * s->rows * H, gW, gb, add);
#pragma omp for schedule(static)
        for (size_t i = 0; i < n; i++) {
            memcpy(dX + i * H, s->dX + i * H, H * sizeof *dX);
            for (size_t lane = 1; lane < lanes; lane++)
                s->kernels->add(H, s->dX + (lane * s->rows + i) * H, dX + i * H);
        }
        float_env_end(env);
    }
}
