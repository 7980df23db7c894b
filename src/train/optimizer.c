/* SPDX-License-Identifier: MIT */
#include "train/optimizer.h"

#include "base/base_internal.h"
#include "kernel/kernel.h"

#include <math.h>

/* Work goes in chunks of fixed size, sums are added in the order of chunks: the same bytes for any number of
 * threads. */
enum { CHUNK = 1 << 14 };

struct sg_stepper {
    const sg_model *m;
    sg_optimizer kind;
    int threads;
    size_t begin, end; /* of the dense part of the block, in floats */
    /* the encoder is [0, sparse_end) when its rows are listed; 0: it is part of the dense part */
    size_t sparse_end;
    size_t E;
    double *sums; /* one per chunk */
    const sg_product_kernels *kernels;
    float *moments;
    uint64_t count;
};

sg_status stepper_new(sg_stepper **out, const sg_model *m, sg_optimizer kind, bool frozen, int threads,
                      sg_error *err)
{
    sg_status st = SG_OK;
    const sg_model_shape *shape = sg_model_get_shape(m);
    size_t size = model_block_size(m);
    *out = NULL;
    sg_stepper *s = sg_calloc(1, sizeof *s);
    if (!s)
        return no_memory(err, "the optimizer");
    *s = (sg_stepper){.m = m,
                      .kind = kind,
                      .threads = threads,
                      .end = size,
                      .E = shape->embedding,
                      .kernels = kernels_best()->product};
    size_t encoder = (size_t)(sg_model_find(m, "rnn.weight_ih_l0")->data - model_block(m));
    if (frozen)
        s->begin = encoder;
    else if (kind == SG_SGD && !shape->tied)
        s->begin = s->sparse_end = encoder;
    if (!(s->sums = sg_calloc(size / CHUNK + 2, sizeof *s->sums)) ||
        (kind == SG_ADAM && !(s->moments = sg_calloc(2, size * sizeof(float)))))
        TRY(no_memory(err, "an optimizer of %zu parameters", size));
    *out = s;
    s = NULL;
done:
    stepper_free(s);
    return st;
}

void stepper_free(sg_stepper *s)
{
    if (!s)
        return;
    sg_free(s->sums);
    sg_free(s->moments);
    sg_free(s);
}

double stepper_norm(const sg_stepper *s, const float *gradient, const int32_t *words, size_t n)
{
    size_t length = s->end - s->begin, chunks = (length + CHUNK - 1) / CHUNK;
    double sum = 0;
#pragma omp parallel for num_threads(chunks > 4 ? s->threads : 1) schedule(static)
    for (size_t k = 0; k < chunks; k++)
        s->sums[k] = s->kernels->square_sum(length - k * CHUNK < CHUNK ? length - k * CHUNK : CHUNK,
                                            gradient + s->begin + k * CHUNK);
    for (size_t k = 0; k < chunks; k++)
        sum += s->sums[k];
    if (s->sparse_end && words)
        for (size_t i = 0; i < n; i++)
            sum += s->kernels->square_sum(s->E, gradient + (size_t)words[i] * s->E);
    return sqrt(sum);
}

void stepper_apply(sg_stepper *s, float *gradient, const int32_t *words, size_t n, double lr, double scale)
{
    float *block = model_block(s->m);
    size_t length = s->end - s->begin, chunks = (length + CHUNK - 1) / CHUNK, size = model_block_size(s->m);
    float rate = (float)(lr * scale);
    s->count++;
    float adam_rate = (float)(lr / (1 - pow(0.9, (double)s->count)));
    float root = (float)(1 / sqrt(1 - pow(0.999, (double)s->count)));
#pragma omp parallel for num_threads(chunks > 4 ? s->threads : 1) schedule(static)
    for (size_t k = 0; k < chunks; k++) {
        size_t at = s->begin + k * CHUNK, m = s->end - at < CHUNK ? s->end - at : CHUNK;
        if (s->kind == SG_SGD)
            s->kernels->axpy(m, -rate, gradient + at, block + at);
        else
            s->kernels->adam(m, block + at, gradient + at, s->moments + at, s->moments + size + at,
                             (float)scale, adam_rate, root);
    }
    if (s->sparse_end && words)
        for (size_t i = 0; i < n; i++)
            s->kernels->axpy(s->E, -rate, gradient + (size_t)words[i] * s->E,
                             block + (size_t)words[i] * s->E);
}

float *stepper_moments(sg_stepper *s)
{
    return s->moments;
}

uint64_t *stepper_count(sg_stepper *s)
{
    return &s->count;
}
