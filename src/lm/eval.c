/* SPDX-License-Identifier: MIT */
/* Perplexity of a stream: the loss in nats of each next token. The state is carried from token to token, or
 * (reset) begins at zero with each sentence; then the first token of a sentence has no context, and is not
 * counted. */
#include "lm/forward.h"
#include "lm/model_internal.h"
#include "lm/output_activation.h"
#include "lm/softmax.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { CHUNK = 1024 };

void output_activate(sg_output_activation a, size_t n, float *x)
{
    if (a == SG_OUTPUT_RELU)
        for (size_t i = 0; i < n; i++)
            x[i] = x[i] < 0 ? 0 : x[i];
    if (a == SG_OUTPUT_TANH)
        for (size_t i = 0; i < n; i++)
            x[i] = tanhf(x[i]);
}

typedef struct {
    sg_forward *forward;
    sg_softmax *softmax;
    sg_step *steps; /* CHUNK + 1 */
    int32_t *ids;   /* CHUNK + 1 */
    bool *first;    /* CHUNK */
    float *top;     /* (CHUNK, H_L) */
    double *loss;   /* CHUNK */
} workspace;

static void workspace_free(workspace *w)
{
    forward_free(w->forward);
    softmax_free(w->softmax);
    sg_free(w->steps);
    sg_free(w->ids);
    sg_free(w->first);
    sg_free(w->top);
    sg_free(w->loss);
}

static sg_status workspace_init(workspace *w, const sg_model *m, int threads, sg_error *err)
{
    const sg_model_shape *s = sg_model_get_shape(m);
    size_t H = s->hidden[s->layers - 1];
    *w = (workspace){0};
    sg_status st = forward_new(&w->forward, m, CHUNK, err);
    if (st == SG_OK)
        st = softmax_new(&w->softmax, s->vocabulary, H, CHUNK, false, threads, err);
    if (st != SG_OK)
        return st;
    if (!(w->steps = sg_calloc(CHUNK + 1, sizeof *w->steps)) ||
        !(w->ids = sg_calloc(CHUNK + 1, sizeof *w->ids)) ||
        !(w->first = sg_calloc(CHUNK, sizeof *w->first)) ||
        !(w->top = sg_calloc(CHUNK, H * sizeof *w->top)) || !(w->loss = sg_calloc(CHUNK, sizeof *w->loss)))
        return no_memory(err, "the perplexity");
    return SG_OK;
}

/* n inputs from start; adds the losses of their n next tokens, without those that begin a sentence when
 * reset. */
static sg_status chunk(workspace *w, const sg_model *m, const sg_stream *s, uint64_t start, size_t n,
                       bool reset, double *sum, uint64_t *predicted, sg_error *err)
{
    const sg_model_shape *shape = sg_model_get_shape(m);
    sg_parameters p = model_parameters(m, model_block(m));
    size_t H = shape->hidden[shape->layers - 1];
    sg_error why;
    sg_status st = sg_stream_read(s, start, n + 1, w->steps, err);
    if (st != SG_OK)
        return st;
    for (size_t i = 0; i <= n; i++)
        w->ids[i] = w->steps[i].id;
    for (size_t i = 0; i < n; i++)
        w->first[i] = reset && w->steps[i].first;
    if ((st = forward_run(w->forward, w->ids, NULL, w->first, n, &why)) != SG_OK)
        return sg_fail(err, st, "tokens from %llu: %s", (unsigned long long)start, why.msg);
    memcpy(w->top, sg_forward_state(w->forward, shape->layers - 1, SG_STATE_HIDDEN, 0),
           n * H * sizeof *w->top);
    output_activate(shape->output, n * H, w->top);
    for (size_t i = 0; i < n;) {
        size_t k = n - i < softmax_rows(w->softmax) ? n - i : softmax_rows(w->softmax);
        softmax_loss(w->softmax, k, w->top + i * H, p.decoder, p.decoder_bias, w->ids + i + 1, w->loss);
        for (size_t j = 0; j < k; j++) {
            if (reset && w->steps[i + j + 1].first)
                continue;
            if (!isfinite(w->loss[j]))
                return sg_fail(err, SG_ENONFINITE, "token %llu: its loss is %f",
                               (unsigned long long)(start + i + j + 1), w->loss[j]);
            *sum += w->loss[j];
            ++*predicted;
        }
        i += k;
    }
    return SG_OK;
}

sg_status sg_lm_can_eval(const sg_model *m, sg_error *err)
{
    const char *why = sg_model_meta(m, "no_decoder");
    if (sg_model_get_shape(m)->has_decoder)
        return SG_OK;
    return sg_fail(err, SG_EFORMAT, "perplexity: the model has no decoder, it cannot predict%s%s",
                   why ? ": " : "", why ? why : "");
}

sg_status sg_lm_eval(sg_eval *out, const sg_model *m, const sg_stream *s, bool reset, int threads,
                     const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    workspace w = {0};
    double sum = 0, begun = sg_clock(), reported = begun;
    uint64_t length = sg_stream_length(s), predicted = 0;
    la_serial_begin();
    TRY(sg_lm_can_eval(m, err));
    if (length < 2)
        TRY(sg_fail(err, SG_EFORMAT, "perplexity: %llu token, expected at least 2",
                    (unsigned long long)length));
    TRY(workspace_init(&w, m, threads > 0 ? threads : omp_get_max_threads(), err));
    for (uint64_t at = 0; at + 1 < length;) {
        size_t n = length - 1 - at < CHUNK ? (size_t)(length - 1 - at) : CHUNK;
        TRY(chunk(&w, m, s, at, n, reset, &sum, &predicted, err));
        at += n;
        double now = sg_clock();
        if (now - reported < 0.2)
            continue;
        reported = now;
        sg_progress p = {
            "evaluating", (double)at, (double)(length - 1), now - begun, sum / (double)predicted, 0, 0};
        if (monitor && monitor->tick && !monitor->tick(monitor->ctx, &p))
            TRY(sg_fail(err, SG_ECANCELLED, "perplexity: stopped"));
    }
    if (!predicted)
        TRY(sg_fail(err, SG_EFORMAT,
                    "perplexity: every sentence has one token, so nothing can be predicted"));
    out->tokens = predicted;
    out->unknown_tokens = sg_stream_info(s)->unknown;
    out->nats_per_token = sum / (double)predicted;
    out->perplexity = exp(out->nats_per_token);
done:
    workspace_free(&w);
    la_serial_end();
    return st;
}
