#include "softmax.h"

#include "../base/base_internal.h"
#include "../kernel/kernel.h"
#include "../linalg/linalg.h"

#include <math.h>
#include <string.h>

/* A lane does its slices one after the other and sums their part of dX: few enough to add up at the end, enough for
 * the threads. */
enum { LANES = 8, MAX_SLICE = 1024, BLOCK = 256 /* rows: a slice of a block stays in the cache */ };

struct sg_softmax {
    size_t V, H, rows, slice, n_slices;
    int threads;
    float *logits;    /* (rows, V) as n_slices consecutive matrices (rows, slice) */
    float *max;       /* (n_slices, rows): largest logit of a row in a slice */
    double *sum;      /* (n_slices, rows): sum exp(logit - max) */
    float *log_total; /* (rows): log sum exp over all slices */
    float *dX;        /* (LANES, rows, H) */
};

static size_t width(const sg_softmax *s, size_t k)
{
    return k + 1 < s->n_slices ? s->slice : s->V - k * s->slice;
}

sg_status sg_softmax_new(sg_softmax **out, size_t V, size_t H, size_t n, bool gradients, int threads, sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    sg_softmax *s = sg_calloc(1, sizeof *s);
    if (!s)
        return sg_fail(err, SG_ENOMEM, "softmax: no memory");
    size_t slice = ((V + LANES - 1) / LANES + 15) / 16 * 16, fit = ((size_t)64 << 20) / sizeof(float) / V;
    *s = (sg_softmax){.V = V, .H = H, .threads = threads};
    s->slice = slice < MAX_SLICE ? slice : MAX_SLICE;
    s->n_slices = (V + s->slice - 1) / s->slice;
    s->rows = n < fit ? n : fit < 64 ? (n < 64 ? n : 64) : fit;
    if (!(s->logits = sg_calloc(s->rows * s->n_slices, s->slice * sizeof(float))) ||
        !(s->max = sg_calloc(s->rows * s->n_slices, sizeof(float))) ||
        !(s->sum = sg_calloc(s->rows * s->n_slices, sizeof(double))) ||
        !(s->log_total = sg_calloc(s->rows, sizeof(float))) ||
        (gradients && !(s->dX = sg_calloc(LANES * s->rows, H * sizeof(float)))))
        TRY(sg_fail(err, SG_ENOMEM, "softmax: no memory for %zu rows of %zu words", s->rows, V));
    *out = s;
    s = NULL;
done:
    sg_softmax_free(s);
    return st;
}

void sg_softmax_free(sg_softmax *s)
{
    if (!s)
        return;
    sg_free(s->logits);
    sg_free(s->max);
    sg_free(s->sum);
    sg_free(s->log_total);
    sg_free(s->dX);
    sg_free(s);
}

size_t sg_softmax_rows(const sg_softmax *s)
{
    return s->rows;
}

static void slice_logits(sg_softmax *s, size_t k, size_t n, const float *X, const float *W, const float *b)
{
    size_t w = width(s, k), at = k * s->slice;
    const sg_kernels *kernels = sg_kernels_best();
    for (size_t r0 = 0; r0 < n; r0 += BLOCK) {
        size_t m = n - r0 < BLOCK ? n - r0 : BLOCK;
        float *L = s->logits + k * s->rows * s->slice + r0 * s->slice, e[MAX_SLICE];
        for (size_t i = 0; i < m; i++)
            memcpy(L + i * s->slice, b + at, w * sizeof *L);
        la_sgemm(LA_N, LA_T, m, w, s->H, 1, X + r0 * s->H, s->H, W + at * s->H, s->H, 1, L, s->slice);
        for (size_t i = 0; i < m; i++) {
            const float *row = L + i * s->slice;
            float max = row[0], sum = 0;
            for (size_t j = 1; j < w; j++)
                max = row[j] > max ? row[j] : max;
            for (size_t j = 0; j < w; j++)
                e[j] = row[j] - max;
            kernels->exp(w, e, e);
            for (size_t j = 0; j < w; j++)
                sum += e[j];
            s->max[k * s->rows + r0 + i] = max;
            s->sum[k * s->rows + r0 + i] = sum;
        }
    }
}

static double row_loss(sg_softmax *s, size_t i, int32_t target)
{
    double max = -INFINITY, total = 0;
    for (size_t k = 0; k < s->n_slices; k++)
        max = fmax(max, s->max[k * s->rows + i]);
    for (size_t k = 0; k < s->n_slices; k++)
        total += s->sum[k * s->rows + i] * exp(s->max[k * s->rows + i] - max);
    size_t k = (size_t)target / s->slice, j = (size_t)target % s->slice;
    double log_total = max + log(total);
    s->log_total[i] = (float)log_total;
    return log_total - s->logits[k * s->rows * s->slice + i * s->slice + j];
}

void sg_softmax_loss(sg_softmax *s, size_t n, const float *X, const float *W, const float *b, const int32_t *targets,
                     double *loss)
{
#pragma omp parallel num_threads(s->threads)
    {
#pragma omp for schedule(dynamic, 1)
        for (size_t k = 0; k < s->n_slices; k++)
            slice_logits(s, k, n, X, W, b);
#pragma omp for schedule(static)
        for (size_t i = 0; i < n; i++)
            loss[i] = row_loss(s, i, targets[i]);
    }
}

/* Logits to scale * (P - onehot), in place. */
static void to_gradient(const sg_softmax *s, float *L, size_t k, size_t row, size_t m, const int32_t *targets,
                        float scale)
{
    size_t w = width(s, k), at = k * s->slice;
    for (size_t i = 0; i < m; i++) {
        float *p = L + i * s->slice, shift = s->log_total[row + i];
        for (size_t j = 0; j < w; j++)
            p[j] -= shift;
        sg_kernels_best()->exp(w, p, p);
        for (size_t j = 0; j < w; j++)
            p[j] *= scale;
        size_t target = (size_t)targets[row + i];
        if (target >= at && target < at + w)
            p[target - at] -= scale;
    }
}

static void slice_back(sg_softmax *s, size_t k, size_t n, const float *X, const float *W, const int32_t *targets,
                       float scale, float *dX, float *gW, float *gb, bool add)
{
    size_t w = width(s, k), at = k * s->slice, H = s->H;
    float bias[MAX_SLICE] = {0};
    for (size_t r0 = 0; r0 < n; r0 += BLOCK) {
        size_t m = n - r0 < BLOCK ? n - r0 : BLOCK;
        float *P = s->logits + k * s->rows * s->slice + r0 * s->slice;
        to_gradient(s, P, k, r0, m, targets, scale);
        la_sgemm(LA_N, LA_N, m, H, w, 1, P, s->slice, W + at * H, H, k >= LANES, dX + r0 * H, H);
        la_sgemm(LA_T, LA_N, w, H, m, 1, P, s->slice, X + r0 * H, H, r0 || add, gW + at * H, H);
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < w; j++)
                bias[j] += P[i * s->slice + j];
    }
    for (size_t j = 0; j < w; j++)
        gb[at + j] = (add ? gb[at + j] : 0) + bias[j];
}

void sg_softmax_back(sg_softmax *s, size_t n, const float *X, const float *W, const int32_t *targets, float scale,
                     float *dX, float *gW, float *gb, bool add)
{
    size_t lanes = s->n_slices < LANES ? s->n_slices : LANES, H = s->H;
#pragma omp parallel num_threads(s->threads)
    {
#pragma omp for schedule(dynamic, 1)
        for (size_t lane = 0; lane < lanes; lane++)
            for (size_t k = lane; k < s->n_slices; k += LANES)
                slice_back(s, k, n, X, W, targets, scale, s->dX + lane * s->rows * H, gW, gb, add);
#pragma omp for schedule(static)
        for (size_t i = 0; i < n; i++) {
            memcpy(dX + i * H, s->dX + i * H, H * sizeof *dX);
            for (size_t lane = 1; lane < lanes; lane++)
                for (size_t j = 0; j < H; j++)
                    dX[i * H + j] += s->dX[(lane * s->rows + i) * H + j];
        }
    }
}
