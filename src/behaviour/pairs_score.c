/* SPDX-License-Identifier: MIT */
#include "behaviour/pairs_score.h"

#include "base/base_internal.h"
#include "behaviour/path.h"
#include "lm/forward.h"
#include "lm/model_internal.h"
#include "lm/output_activation.h"
#include "lm/softmax.h"
#include "train/layer.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* Rows of a batch, all steps of all sequences: enough for the kernels, little enough for the caches. */
enum { ROWS = 8192, MOST = 128 };

typedef struct {
    size_t pair;
    const int32_t *ids;
    const uint32_t *slots;
    size_t n; /* inputs */
} sequence;

/* A predicted token. */
typedef struct {
    size_t pair, row; /* row: t * B + sequence */
    int sign;         /* of its log p in D; those with 0 come last: what both sentences share */
    bool bad;
} prediction;

typedef struct {
    const sg_model *m;
    sg_parameters p;
    size_t T, B, L, E, V, widest, H[SG_MAX_LAYERS];
    sg_output_activation output;
    sg_layer *layer[SG_MAX_LAYERS];
    sg_softmax *softmax;
    float *X, *dH, *dX;    /* (T*B, widest) */
    float *top, *d_top;    /* (predictions, H) */
    sequence *sequences;   /* B */
    prediction *predicted; /* (T+1)*B */
    int32_t *targets;
    double *loss;
    size_t n_sequences, steps, n_predicted, n_signed;
} batch;

static void batch_free(batch *b)
{
    for (size_t k = 0; k < b->L; k++)
        layer_free(b->layer[k]);
    softmax_free(b->softmax);
    sg_free(b->X), sg_free(b->dH), sg_free(b->dX), sg_free(b->top), sg_free(b->d_top);
    sg_free(b->sequences), sg_free(b->predicted), sg_free(b->targets), sg_free(b->loss);
    *b = (batch){0};
}

static sg_status batch_init(batch *b, const sg_model *m, size_t T, size_t B, bool gradients, int threads,
                            sg_error *err)
{
    sg_status st = SG_OK;
    const sg_model_shape *s = sg_model_get_shape(m);
    const size_t rows = T * B, most = rows + B;
    *b = (batch){.m = m, .p = model_parameters(m, model_block(m)), .T = T, .B = B, .L = s->layers};
    b->E = b->widest = s->embedding, b->V = s->vocabulary, b->output = s->output;
    for (size_t k = 0; k < b->L; k++) {
        b->H[k] = s->hidden[k];
        b->widest = s->hidden[k] > b->widest ? s->hidden[k] : b->widest;
    }
    const size_t H = b->H[b->L - 1];
    NEED((b->X = sg_calloc(rows, b->E * sizeof(float))) && (b->top = sg_calloc(most, H * sizeof(float))) &&
             (!gradients || ((b->dH = sg_calloc(rows, b->widest * sizeof(float))) &&
                             (b->dX = sg_calloc(rows, b->widest * sizeof(float))) &&
                             (b->d_top = sg_calloc(most, H * sizeof(float))))) &&
             (b->sequences = sg_calloc(B, sizeof *b->sequences)) &&
             (b->predicted = sg_calloc(most, sizeof *b->predicted)) &&
             (b->targets = sg_calloc(most, sizeof *b->targets)) &&
             (b->loss = sg_calloc(most, sizeof *b->loss)),
         err, "a batch of %zu sentences of %zu words", B, T);
    for (size_t k = 0; k < b->L; k++)
        TRY(layer_new(&b->layer[k], cell_of(s->cell), T, B, model_inputs(m, k), b->H[k], threads, err));
    st = softmax_new(&b->softmax, b->V, H, most, gradients, threads, err);
done:
    if (st != SG_OK)
        batch_free(b);
    return st;
}

/* ---- what is in it ---- */

static void add_prediction(batch *b, size_t pair, size_t sequence_number, size_t t, int sign, bool bad,
                           int32_t target)
{
    b->targets[b->n_predicted] = target;
    b->predicted[b->n_predicted++] = (prediction){pair, t * b->B + sequence_number, sign, bad};
}

static void add_sequence(batch *b, size_t pair, const int32_t *ids, const uint32_t *slots, size_t n)
{
    b->sequences[b->n_sequences++] = (sequence){pair, ids, slots, n};
    b->steps = n > b->steps ? n : b->steps;
}

/* The tokens of a sequence that are in D, or those that are not: what comes before the difference. */
static void predict(batch *b, size_t pair, size_t number, const int32_t *ids, size_t begin, size_t end,
                    int sign, bool bad)
{
    for (size_t i = begin ? begin : 1; i < end; i++)
        add_prediction(b, pair, number, i - 1, sign, bad, ids[i]);
}

static void fill(batch *b, const pairs_scoring *how, const pairs_sequences *pairs, const size_t *order,
                 size_t n)
{
    b->n_sequences = b->steps = b->n_predicted = 0;
    for (size_t i = 0; i < n; i++) {
        const pairs_sequences *x = &pairs[order[i]];
        const size_t number = b->n_sequences;
        if (how->by_word) {
            add_sequence(b, order[i], x->good, x->slot_good, x->from);
            add_prediction(b, order[i], number, x->from - 1, 1, false, x->good[x->from]);
            add_prediction(b, order[i], number, x->from - 1, -1, true, x->bad[x->from]);
            continue;
        }
        add_sequence(b, order[i], x->good, x->slot_good, x->n_good - 1);
        add_sequence(b, order[i], x->bad, x->slot_bad, x->n_bad - 1);
        predict(b, order[i], number, x->good, x->from, x->n_good, 1, false);
        predict(b, order[i], number + 1, x->bad, x->from, x->n_bad, -1, true);
    }
    b->n_signed = b->n_predicted;
    for (size_t i = 0; i < n && !how->by_word; i++)
        predict(b, order[i], 2 * i, pairs[order[i]].good, 1, pairs[order[i]].from, 0, false);
}

/* ---- forward and back ---- */

static void zero_states(batch *b)
{
    for (size_t k = 0; k < b->L; k++) {
        float *cell, *hidden = layer_last_state(b->layer[k], &cell);
        memset(hidden, 0, b->B * b->H[k] * sizeof *hidden);
        if (cell)
            memset(cell, 0, b->B * b->H[k] * sizeof *cell);
    }
}

/* Inputs u x. */
static void run_forward(batch *b, double u)
{
    memset(b->X, 0, b->steps * b->B * b->E * sizeof *b->X);
    for (size_t i = 0; i < b->n_sequences; i++)
        for (size_t t = 0; t < b->sequences[i].n; t++) {
            const float *word = b->p.encoder + (size_t)b->sequences[i].ids[t] * b->E;
            float *x = b->X + (t * b->B + i) * b->E;
            for (size_t e = 0; e < b->E; e++)
                x[e] = (float)(u * (double)word[e]);
        }
    zero_states(b);
    for (size_t k = 0; k < b->L; k++)
        layer_run(b->layer[k], b->steps, &b->p.layer[k], k ? layer_hidden(b->layer[k - 1]) : b->X);
}

/* dD/dh of the predictions from d(loss)/d(activated h), which is -d(log p). */
static void add_to_states(batch *b, size_t begin, size_t n)
{
    const size_t H = b->H[b->L - 1];
    for (size_t i = begin; i < begin + n; i++) {
        const float *d = b->d_top + i * H, *a = b->top + i * H;
        float *dh = b->dH + b->predicted[i].row * H, sign = (float)-b->predicted[i].sign;
        for (size_t j = 0; j < H; j++)
            dh[j] += sign * d[j] *
                     (b->output == SG_OUTPUT_RELU   ? (float)(a[j] > 0)
                      : b->output == SG_OUTPUT_TANH ? 1 - a[j] * a[j]
                                                    : 1);
    }
}

/* Losses of predictions 0 .. n-1; with gradients dD/dh of the top layer. */
static void predict_tokens(batch *b, size_t n, bool gradients)
{
    const size_t H = b->H[b->L - 1];
    const float *h = layer_hidden(b->layer[b->L - 1]);
    for (size_t i = 0; i < n; i++)
        memcpy(b->top + i * H, h + b->predicted[i].row * H, H * sizeof *h);
    output_activate(b->output, n * H, b->top);
    if (gradients)
        memset(b->dH, 0, b->steps * b->B * H * sizeof *b->dH);
    for (size_t i = 0, k; i < n; i += k) {
        const size_t end = gradients && i < b->n_signed ? b->n_signed : n; /* the rest has no gradient */
        k = end - i < softmax_rows(b->softmax) ? end - i : softmax_rows(b->softmax);
        const float *X = b->top + i * H;
        softmax_loss(b->softmax, k, X, b->p.decoder, b->p.decoder_bias, b->targets + i, b->loss + i);
        if (!gradients || i >= b->n_signed)
            continue;
        softmax_back(b->softmax, k, X, b->p.decoder, b->targets + i, 1, b->d_top + i * H, NULL, NULL, false);
        add_to_states(b, i, k);
    }
}

/* attribution += weight (dD/dx) . x */
static void run_back(batch *b, pairs_sequences *pairs, double weight)
{
    for (size_t k = b->L; k-- > 0;) {
        layer_back(b->layer[k], b->steps, &b->p.layer[k], NULL, b->dH, b->dX, NULL);
        float *swap = b->dH;
        b->dH = b->dX, b->dX = swap;
    }
    for (size_t i = 0; i < b->n_sequences; i++)
        for (size_t t = 0; t < b->sequences[i].n; t++) {
            const sequence *s = &b->sequences[i];
            const float *word = b->p.encoder + (size_t)s->ids[t] * b->E, *d = b->dH + (t * b->B + i) * b->E;
            double dot = 0;
            for (size_t e = 0; e < b->E; e++)
                dot += (double)d[e] * (double)word[e];
            pairs[s->pair].attribution[s->slots[t]] += weight * dot;
        }
}

/* D of each pair, into `difference` or `origin`. */
static void add_differences(const batch *b, size_t n, pairs_sequences *pairs, bool origin)
{
    for (size_t i = 0; i < n; i++) {
        pairs_sequences *x = &pairs[b->predicted[i].pair];
        *(origin ? &x->origin : &x->difference) -= b->predicted[i].sign * b->loss[i];
        if (origin)
            continue;
        if (!b->predicted[i].bad)
            x->log_p_good -= b->loss[i];
        if (b->predicted[i].bad || !b->predicted[i].sign)
            x->log_p_bad -= b->loss[i];
    }
}

static sg_status integrate(batch *b, pairs_sequences *pairs, size_t nodes, ticker *watch, double done,
                           sg_error *err)
{
    sg_status st = SG_OK;
    const size_t pieces = nodes / PATH_NODES;
    run_forward(b, 0);
    predict_tokens(b, b->n_signed, false);
    add_differences(b, b->n_signed, pairs, true);
    for (size_t i = 0; i < pieces * PATH_NODES; i++) {
        const double half = 0.5 / (double)pieces, middle = (2 * (double)(i / PATH_NODES) + 1) * half;
        run_forward(b, middle + path_node_at[i % PATH_NODES] * half);
        predict_tokens(b, b->n_signed, true);
        run_back(b, pairs, path_node_weight[i % PATH_NODES] * half);
        TRY(ticker_tell(watch, done, err));
    }
done:
    return st;
}

/* done: tokens before the batch, for the ticker. */
static sg_status run_batch(batch *b, const pairs_scoring *how, pairs_sequences *pairs, const size_t *order,
                           size_t n, ticker *watch, double done, sg_error *err)
{
    const bool gradients = pairs[order[0]].attribution && !how->path;
    fill(b, how, pairs, order, n);
    for (size_t i = 0; i < n; i++) {
        pairs_sequences *x = &pairs[order[i]];
        x->log_p_good = x->log_p_bad = x->difference = 0, x->origin = how->path ? 0 : (double)NAN;
    }
    run_forward(b, 1);
    predict_tokens(b, b->n_predicted, gradients);
    add_differences(b, b->n_predicted, pairs, false);
    if (gradients)
        run_back(b, pairs, 1);
    return how->path ? integrate(b, pairs, how->path, watch, done, err) : SG_OK;
}

/* ---- the order ---- */

typedef struct {
    size_t length, pair;
} job;

static int by_length(const void *a, const void *b)
{
    const job *x = a, *y = b;
    return x->length != y->length ? (x->length > y->length) - (x->length < y->length)
                                  : (x->pair > y->pair) - (x->pair < y->pair);
}

static size_t length_of(const pairs_scoring *how, const pairs_sequences *x)
{
    return how->by_word ? x->from : (x->n_good > x->n_bad ? x->n_good : x->n_bad) - 1;
}

static sg_status sort_pairs(size_t **order, size_t *lengths, const pairs_scoring *how,
                            const pairs_sequences *pairs, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    job *jobs = sg_calloc(n, sizeof *jobs);
    NEED(jobs && (*order = sg_calloc(n, sizeof **order)), err, "%zu pairs", n);
    for (size_t i = 0; i < n; i++)
        jobs[i] = (job){length_of(how, &pairs[i]), i};
    qsort(jobs, n, sizeof *jobs, by_length);
    for (size_t i = 0; i < n; i++)
        (*order)[i] = jobs[i].pair, lengths[i] = jobs[i].length;
done:
    sg_free(jobs);
    return st;
}

/* Weights and embeddings whose sums would overflow a float. */
static sg_status check_range(const sg_model *m, sg_error *err)
{
    sg_forward *f = NULL;
    sg_status st = forward_new(&f, m, 1, err);
    forward_free(f);
    return st;
}

static sg_status check_results(const pairs_sequences *pairs, const size_t *order, size_t n, size_t *at,
                               sg_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const pairs_sequences *x = &pairs[order[i]];
        if (isfinite(x->log_p_good) && isfinite(x->log_p_bad))
            continue;
        *at = order[i];
        return sg_fail(err, SG_ENONFINITE, "log p is %f and %f", x->log_p_good, x->log_p_bad);
    }
    return SG_OK;
}

sg_status pairs_score(const sg_model *m, const pairs_scoring *how, pairs_sequences *pairs, size_t n,
                      size_t *at, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    size_t *order = NULL, *lengths = NULL, each = how->by_word ? 1 : 2;
    batch b = {0};
    double done = 0, total = 0;
    const int threads = how->threads > 0 ? how->threads : omp_get_max_threads();
    *at = n;
    TRY(check_range(m, err));
    NEED(lengths = sg_calloc(n, sizeof *lengths), err, "%zu pairs", n);
    TRY(sort_pairs(&order, lengths, how, pairs, n, err));
    for (size_t i = 0; i < n; i++)
        total += (double)(each * lengths[i]);
    ticker watch = ticker_begin(monitor, "scoring", total);
    for (size_t i = 0, k; i < n; i += k) {
        if (!b.X || lengths[i] > b.T) { /* room for all up to the next power of two */
            size_t T = b.T ? b.T : 8;
            for (; T < lengths[i]; T *= 2)
                ;
            batch_free(&b);
            const size_t fit = ROWS / T < 2 ? 2 : ROWS / T < MOST ? ROWS / T : MOST;
            TRY(batch_init(&b, m, T, fit < each * (n - i) ? fit : each * (n - i),
                           pairs[order[i]].attribution != NULL, threads, err));
        }
        double before = done;
        for (k = 0; i + k < n && (k + 1) * each <= b.B && lengths[i + k] <= b.T; k++)
            done += (double)(each * lengths[i + k]);
        TRY(run_batch(&b, how, pairs, order + i, k, &watch, before, err));
        TRY(check_results(pairs, order + i, k, at, err));
        TRY(ticker_tell(&watch, done, err));
    }
done:
    batch_free(&b);
    sg_free(order), sg_free(lengths);
    return st;
}
