/* SPDX-License-Identifier: MIT */
#include "train/bptt.h"

#include "base/base_internal.h"
#include "kernel/float_env.h"
#include "kernel/kernel.h"
#include "lm/softmax.h"
#include "train/layer.h"

#include <string.h>

struct sg_bptt {
    const sg_model *m;
    const cell_type *cell;
    size_t T, B, L, E, V, widest;
    int threads;
    sg_layer *layer[SG_MAX_LAYERS];
    size_t H[SG_MAX_LAYERS];
    const sg_product_kernels *kernels;
    /* (T*B, N) what layer k reads; entry L: what the decoder reads; after dropout */
    float *input[SG_MAX_LAYERS + 1];
    float *dH, *dX; /* (T*B, widest) */
    double *loss;   /* T*B */
    int32_t *words; /* T*B */
    uint8_t *seen;  /* V */
    size_t n_words;
    sg_softmax *softmax;
};

static bool allocate(sg_bptt *b)
{
    size_t rows = b->T * b->B;
    bool ok = (b->input[0] = sg_calloc(rows, b->E * sizeof(float))) &&
              (b->dH = sg_calloc(rows, b->widest * sizeof(float))) &&
              (b->dX = sg_calloc(rows, b->widest * sizeof(float))) &&
              (b->loss = sg_calloc(rows, sizeof *b->loss)) &&
              (b->words = sg_calloc(rows, sizeof *b->words)) && (b->seen = sg_calloc(b->V, 1));
    for (size_t k = 0; ok && k < b->L; k++)
        ok = (b->input[k + 1] = sg_calloc(rows, b->H[k] * sizeof(float))) != NULL;
    return ok;
}

sg_status bptt_new(sg_bptt **out, const sg_model *m, size_t T, size_t B, int threads, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_model_shape *s = sg_model_get_shape(m);
    *out = NULL;
    sg_bptt *b = sg_calloc(1, sizeof *b);
    if (!b)
        return no_memory(err, "the training");
    *b = (sg_bptt){.m = m,
                   .cell = cell_of(s->cell),
                   .T = T,
                   .B = B,
                   .L = s->layers,
                   .E = s->embedding,
                   .V = s->vocabulary,
                   .widest = s->embedding,
                   .threads = threads,
                   .kernels = kernels_best()->product};
    for (size_t k = 0; k < b->L; k++) {
        b->H[k] = s->hidden[k];
        b->widest = s->hidden[k] > b->widest ? s->hidden[k] : b->widest;
    }
    NEED(allocate(b), err, "windows of %zu steps of %zu sequences", T, B);
    for (size_t k = 0; k < b->L; k++)
        TRY(layer_new(&b->layer[k], b->cell, T, B, model_inputs(m, k), b->H[k], threads, err));
    TRY(softmax_new(&b->softmax, b->V, s->hidden[b->L - 1], T * B, true, threads, err));
    *out = b;
    b = NULL;
done:
    bptt_free(b);
    return st;
}

void bptt_free(sg_bptt *b)
{
    if (!b)
        return;
    for (size_t k = 0; k < b->L; k++) {
        layer_free(b->layer[k]);
        sg_free(b->input[k + 1]);
    }
    sg_free(b->input[0]);
    sg_free(b->dH);
    sg_free(b->dX);
    sg_free(b->loss);
    sg_free(b->words);
    sg_free(b->seen);
    softmax_free(b->softmax);
    sg_free(b);
}

/* ---- dropout ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* y = x * mask / (1-p), the mask a hash of key, row and column: the same forward and backward, nothing is
 * stored. y may be x. */
static void drop(const sg_bptt *b, size_t rows, size_t cols, const float *x, float *y, double p, uint64_t key)
{
    const uint32_t threshold = (uint32_t)(p * 4294967296.0);
    const float scale = (float)(1 / (1 - p));
#pragma omp parallel for num_threads(rows *cols > 1 << 16 ? b->threads : 1) schedule(static)
    for (size_t i = 0; i < rows; i++)
        b->kernels->drop(cols, x + i * cols, y + i * cols,
                         (uint32_t)(mix(key + i * 0x9e3779b97f4a7c15u) >> 16), threshold, scale);
}

static uint64_t place_key(uint64_t key, size_t place)
{
    return mix(key ^ mix(place + 1));
}

/* ---- one window ---- */

static void embed(sg_bptt *b, size_t rows, const int32_t *ids, const float *encoder)
{
    for (size_t i = 0; i < rows; i++)
        memcpy(b->input[0] + i * b->E, encoder + (size_t)ids[i] * b->E, b->E * sizeof(float));
}

static void forward(sg_bptt *b, size_t n, const int32_t *ids, const sg_parameters *p, double dropout,
                    uint64_t key)
{
    size_t rows = n * b->B;
    embed(b, rows, ids, p->encoder);
    if (dropout > 0)
        drop(b, rows, b->E, b->input[0], b->input[0], dropout, place_key(key, 0));
    for (size_t k = 0; k < b->L; k++) {
        layer_run(b->layer[k], n, &p->layer[k], b->input[k]);
        const float *hidden = layer_hidden(b->layer[k]);
        if (dropout > 0)
            drop(b, rows, b->H[k], hidden, b->input[k + 1], dropout, place_key(key, k + 1));
        else
            memcpy(b->input[k + 1], hidden, rows * b->H[k] * sizeof(float));
    }
}

static double output(sg_bptt *b, size_t rows, const int32_t *targets, const sg_parameters *p,
                     const sg_parameters *g)
{
    size_t H = b->H[b->L - 1];
    double sum = 0;
    for (size_t i = 0; i < rows;) {
        size_t k = rows - i < softmax_rows(b->softmax) ? rows - i : softmax_rows(b->softmax);
        const float *X = b->input[b->L] + i * H;
        softmax_loss(b->softmax, k, X, p->decoder, p->decoder_bias, targets + i, b->loss + i);
        softmax_back(b->softmax, k, X, p->decoder, targets + i, 1 / (float)rows, b->dH + i * H, g->decoder,
                     g->decoder_bias, i > 0);
        i += k;
    }
    for (size_t i = 0; i < rows; i++)
        sum += b->loss[i];
    return sum / (double)rows;
}

static void backward(sg_bptt *b, size_t n, const sg_parameters *p, const sg_parameters *g, double dropout,
                     uint64_t key)
{
    size_t rows = n * b->B;
    for (size_t k = b->L; k-- > 0;) {
        if (dropout > 0)
            drop(b, rows, b->H[k], b->dH, b->dH, dropout, place_key(key, k + 1));
        layer_back(b->layer[k], n, &p->layer[k], b->input[k], b->dH, b->dX, &g->layer[k]);
        float *swap = b->dH;
        b->dH = b->dX;
        b->dX = swap;
    }
    if (dropout > 0)
        drop(b, rows, b->E, b->dH, b->dH, dropout, place_key(key, 0));
}

static void embedding_gradient(sg_bptt *b, size_t rows, const int32_t *ids, float *encoder, bool tied)
{
    sg_float_env env = float_env_begin();
    for (size_t i = 0; !tied && i < b->n_words; i++) /* of the window before */
        memset(encoder + (size_t)b->words[i] * b->E, 0, b->E * sizeof *encoder);
    b->n_words = 0;
    for (size_t i = 0; i < rows; i++) {
        float *row = encoder + (size_t)ids[i] * b->E;
        if (!b->seen[ids[i]])
            b->words[b->n_words++] = ids[i];
        b->seen[ids[i]] = 1;
        b->kernels->add(b->E, b->dH + i * b->E, row);
    }
    for (size_t i = 0; i < b->n_words; i++)
        b->seen[b->words[i]] = 0;
    float_env_end(env);
}

double bptt_window(sg_bptt *b, size_t n, const int32_t *ids, double dropout, uint64_t key, float *gradient)
{
    sg_parameters p = model_parameters(b->m, model_block(b->m)), g = model_parameters(b->m, gradient);
    size_t rows = n * b->B;
    forward(b, n, ids, &p, dropout, key);
    double loss = output(b, rows, ids + b->B, &p, &g);
    backward(b, n, &p, &g, dropout, key);
    embedding_gradient(b, rows, ids, g.encoder, p.encoder == p.decoder);
    return loss;
}

const int32_t *bptt_words(const sg_bptt *b, size_t *n)
{
    *n = b->n_words;
    return b->words;
}

/* ---- carried states ---- */

size_t bptt_state_size(const sg_bptt *b)
{
    size_t n = 0;
    for (size_t k = 0; k < b->L; k++)
        n += cell_states(b->cell) * b->B * b->H[k];
    return n;
}

/* Layer by layer, h then c, from `from` to the layers or (NULL) from the layers to `to`. */
static void move_state(const sg_bptt *b, const float *from, float *to)
{
    for (size_t k = 0; k < b->L; k++) {
        float *part[2] = {NULL, NULL};
        part[0] = layer_last_state(b->layer[k], &part[1]);
        size_t n = b->B * b->H[k];
        for (int i = 0; i < 2 && part[i]; i++) {
            if (from) {
                memcpy(part[i], from, n * sizeof(float));
                from += n;
            } else if (to) {
                memcpy(to, part[i], n * sizeof(float));
                to += n;
            } else
                memset(part[i], 0, n * sizeof(float));
        }
    }
}

void bptt_get_state(const sg_bptt *b, float *state)
{
    move_state(b, NULL, state);
}

void bptt_set_state(sg_bptt *b, const float *state)
{
    move_state(b, state, NULL);
}

void bptt_reset(sg_bptt *b)
{
    move_state(b, NULL, NULL);
}
