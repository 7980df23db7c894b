#include "bptt.h"

#include "../base/base_internal.h"
#include "../cell/cell.h"
#include "../linalg/linalg.h"
#include "../lm/softmax.h"

#include <string.h>

typedef struct {
    size_t N, H;
    float *hidden, *cells; /* ((T+1)*B, H): the first B rows are the state before the window */
    float *tape;           /* (T*B, tape*H) */
} layer_state;

struct sg_bptt {
    const sg_model *m;
    sg_cell cell;
    size_t T, B, L, E, V, widest;
    int threads;
    layer_state layer[SG_MAX_LAYERS];
    float *input[SG_MAX_LAYERS + 1]; /* (T*B, N) what layer k reads; entry L: what the decoder reads; after dropout */
    float *dH, *dX;                  /* (T*B, widest) */
    float *work;                     /* (2*B, widest) */
    double *loss;                    /* T*B */
    int32_t *words;                  /* T*B */
    uint8_t *seen;                   /* V */
    size_t n_words;
    sg_softmax *softmax;
};

static bool allocate(sg_bptt *b)
{
    size_t rows = b->T * b->B;
    bool ok = (b->input[0] = sg_calloc(rows, b->E * sizeof(float))) &&
              (b->dH = sg_calloc(rows, b->widest * sizeof(float))) &&
              (b->dX = sg_calloc(rows, b->widest * sizeof(float))) &&
              (b->work = sg_calloc(2 * b->B, b->widest * sizeof(float))) &&
              (b->loss = sg_calloc(rows, sizeof *b->loss)) && (b->words = sg_calloc(rows, sizeof *b->words)) &&
              (b->seen = sg_calloc(b->V, 1));
    for (size_t k = 0; ok && k < b->L; k++) {
        layer_state *l = &b->layer[k];
        ok = (l->hidden = sg_calloc(rows + b->B, l->H * sizeof(float))) &&
             (b->cell != SG_CELL_LSTM || (l->cells = sg_calloc(rows + b->B, l->H * sizeof(float)))) &&
             (l->tape = sg_calloc(rows, sg_cell_tape(b->cell) * l->H * sizeof(float))) &&
             (b->input[k + 1] = sg_calloc(rows, l->H * sizeof(float)));
    }
    return ok;
}

sg_status sg_bptt_new(sg_bptt **out, const sg_model *m, size_t T, size_t B, int threads, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_model_shape *s = sg_model_get_shape(m);
    *out = NULL;
    sg_bptt *b = sg_calloc(1, sizeof *b);
    if (!b)
        return sg_fail(err, SG_ENOMEM, "training: no memory");
    *b = (sg_bptt){.m = m, .cell = s->cell, .T = T, .B = B, .L = s->layers, .E = s->embedding, .V = s->vocabulary,
                   .widest = s->embedding, .threads = threads};
    for (size_t k = 0; k < b->L; k++) {
        b->layer[k].N = sg_model_inputs(m, k);
        b->layer[k].H = s->hidden[k];
        b->widest = s->hidden[k] > b->widest ? s->hidden[k] : b->widest;
    }
    if (!allocate(b))
        TRY(sg_fail(err, SG_ENOMEM, "training: no memory for windows of %zu steps of %zu sequences", T, B));
    TRY(sg_softmax_new(&b->softmax, b->V, s->hidden[b->L - 1], T * B, true, threads, err));
    *out = b;
    b = NULL;
done:
    sg_bptt_free(b);
    return st;
}

void sg_bptt_free(sg_bptt *b)
{
    if (!b)
        return;
    for (size_t k = 0; k < b->L; k++) {
        sg_free(b->layer[k].hidden);
        sg_free(b->layer[k].cells);
        sg_free(b->layer[k].tape);
        sg_free(b->input[k + 1]);
    }
    sg_free(b->input[0]);
    sg_free(b->dH);
    sg_free(b->dX);
    sg_free(b->work);
    sg_free(b->loss);
    sg_free(b->words);
    sg_free(b->seen);
    sg_softmax_free(b->softmax);
    sg_free(b);
}

/* ---- dropout ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* y = x * mask / (1-p), the mask a hash of key, row and column: the same forward and backward, nothing is stored. y may
 * be x. */
static void drop(size_t rows, size_t cols, const float *x, float *y, double p, uint64_t key)
{
    const uint32_t threshold = (uint32_t)(p * 4294967296.0);
    const float scale = (float)(1 / (1 - p));
    for (size_t i = 0; i < rows; i++) {
        uint32_t row = (uint32_t)(mix(key + i * 0x9e3779b97f4a7c15u) >> 16);
        for (size_t j = 0; j < cols; j++) {
            uint32_t h = row ^ ((uint32_t)j * 0x9e3779b9u);
            h = (h ^ (h >> 16)) * 0x7feb352du;
            h = (h ^ (h >> 15)) * 0x846ca68bu;
            h ^= h >> 16;
            y[i * cols + j] = h >= threshold ? x[i * cols + j] * scale : 0;
        }
    }
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

static void forward(sg_bptt *b, size_t n, const int32_t *ids, const sg_parameters *p, double dropout, uint64_t key)
{
    size_t rows = n * b->B;
    embed(b, rows, ids, p->encoder);
    if (dropout > 0)
        drop(rows, b->E, b->input[0], b->input[0], dropout, place_key(key, 0));
    for (size_t k = 0; k < b->L; k++) {
        layer_state *l = &b->layer[k];
        const sg_layer_parameters *w = &p->layer[k];
        sg_layer_forward(b->cell, n, b->B, l->N, l->H, w->W_ih, w->W_hh, w->b_ih, w->b_hh, b->input[k], l->hidden,
                         l->cells, l->tape);
        if (dropout > 0)
            drop(rows, l->H, l->hidden + b->B * l->H, b->input[k + 1], dropout, place_key(key, k + 1));
        else
            memcpy(b->input[k + 1], l->hidden + b->B * l->H, rows * l->H * sizeof(float));
    }
}

static double output(sg_bptt *b, size_t rows, const int32_t *targets, const sg_parameters *p, const sg_parameters *g)
{
    size_t H = b->layer[b->L - 1].H;
    double sum = 0;
    for (size_t i = 0; i < rows;) {
        size_t k = rows - i < sg_softmax_rows(b->softmax) ? rows - i : sg_softmax_rows(b->softmax);
        const float *X = b->input[b->L] + i * H;
        sg_softmax_loss(b->softmax, k, X, p->decoder, p->decoder_bias, targets + i, b->loss + i);
        sg_softmax_back(b->softmax, k, X, p->decoder, targets + i, 1 / (float)rows, b->dH + i * H, g->decoder,
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
        layer_state *l = &b->layer[k];
        const sg_layer_parameters *w = &p->layer[k], *d = &g->layer[k];
        size_t G = sg_cell_gates(b->cell), H = l->H;
        if (dropout > 0)
            drop(rows, H, b->dH, b->dH, dropout, place_key(key, k + 1));
        memset(d->W_ih, 0, G * H * l->N * sizeof(float));
        memset(d->W_hh, 0, G * H * H * sizeof(float));
        memset(d->b_ih, 0, G * H * sizeof(float));
        memset(d->b_hh, 0, G * H * sizeof(float));
        sg_layer_backward(b->cell, n, b->B, l->N, H, w->W_ih, w->W_hh, b->input[k], l->hidden, l->tape, b->dH, b->dX,
                          d->W_ih, d->W_hh, d->b_ih, d->b_hh, b->work);
        float *swap = b->dH;
        b->dH = b->dX;
        b->dX = swap;
    }
    if (dropout > 0)
        drop(rows, b->E, b->dH, b->dH, dropout, place_key(key, 0));
}

static void embedding_gradient(sg_bptt *b, size_t rows, const int32_t *ids, float *encoder, bool tied)
{
    for (size_t i = 0; !tied && i < b->n_words; i++) /* of the window before */
        memset(encoder + (size_t)b->words[i] * b->E, 0, b->E * sizeof *encoder);
    b->n_words = 0;
    for (size_t i = 0; i < rows; i++) {
        float *row = encoder + (size_t)ids[i] * b->E;
        if (!b->seen[ids[i]])
            b->words[b->n_words++] = ids[i];
        b->seen[ids[i]] = 1;
        for (size_t j = 0; j < b->E; j++)
            row[j] += b->dH[i * b->E + j];
    }
    for (size_t i = 0; i < b->n_words; i++)
        b->seen[b->words[i]] = 0;
}

double sg_bptt_window(sg_bptt *b, size_t n, const int32_t *ids, double dropout, uint64_t key, float *gradient)
{
    sg_parameters p = sg_model_parameters(b->m, sg_model_block(b->m)), g = sg_model_parameters(b->m, gradient);
    size_t rows = n * b->B;
    forward(b, n, ids, &p, dropout, key);
    double loss = output(b, rows, ids + b->B, &p, &g);
    backward(b, n, &p, &g, dropout, key);
    embedding_gradient(b, rows, ids, g.encoder, p.encoder == p.decoder);
    for (size_t k = 0; k < b->L; k++) {
        size_t H = b->layer[k].H;
        memmove(b->layer[k].hidden, b->layer[k].hidden + rows * H, b->B * H * sizeof(float));
        if (b->layer[k].cells)
            memmove(b->layer[k].cells, b->layer[k].cells + rows * H, b->B * H * sizeof(float));
    }
    return loss;
}

const int32_t *sg_bptt_words(const sg_bptt *b, size_t *n)
{
    *n = b->n_words;
    return b->words;
}

/* ---- carried states ---- */

size_t sg_bptt_state_size(const sg_bptt *b)
{
    size_t n = 0;
    for (size_t k = 0; k < b->L; k++)
        n += (b->layer[k].cells ? 2 : 1) * b->B * b->layer[k].H;
    return n;
}

void sg_bptt_get_state(const sg_bptt *b, float *state)
{
    for (size_t k = 0; k < b->L; k++) {
        size_t n = b->B * b->layer[k].H;
        memcpy(state, b->layer[k].hidden, n * sizeof *state);
        state += n;
        if (!b->layer[k].cells)
            continue;
        memcpy(state, b->layer[k].cells, n * sizeof *state);
        state += n;
    }
}

void sg_bptt_set_state(sg_bptt *b, const float *state)
{
    for (size_t k = 0; k < b->L; k++) {
        size_t n = b->B * b->layer[k].H;
        memcpy(b->layer[k].hidden, state, n * sizeof *state);
        state += n;
        if (!b->layer[k].cells)
            continue;
        memcpy(b->layer[k].cells, state, n * sizeof *state);
        state += n;
    }
}

void sg_bptt_reset(sg_bptt *b)
{
    for (size_t k = 0; k < b->L; k++) {
        size_t n = b->B * b->layer[k].H;
        memset(b->layer[k].hidden, 0, n * sizeof(float));
        if (b->layer[k].cells)
            memset(b->layer[k].cells, 0, n * sizeof(float));
    }
}
