/* SPDX-License-Identifier: MIT */
#include "behaviour/replacer.h"

#include "base/base_internal.h"
#include "gradient/tangent.h"
#include "linalg/linalg.h"
#include "lm/forward.h"
#include "lm/model_internal.h"
#include "lm/output_activation.h"

#include <math.h>
#include <string.h>

struct replacer {
    const sg_model *m;
    const sg_model_shape *shape;
    sg_parameters p;
    size_t n_states, most, n, E, V, H_top;
    replacer_state *states;
    const bool *with_kl;
    sg_forward *real, *other;
    tangents *linear;   /* G dx */
    float *x, *changed; /* (most, E): the real inputs; the same with another first row */
    float *state, *dx;  /* before the origin; (E) x' - x */
    float *log_p;       /* (delays with KL, V) of the real inputs */
    float *z, *active;  /* (V) (H_top) */
};

sg_status replacer_new(replacer **out, const sg_model *m, const replacer_state *states, size_t n_states,
                       size_t most, const bool *with_kl, sg_error *err)
{
    sg_status st = SG_OK;
    replacer *r = NULL;
    size_t kept = 0;
    *out = NULL;
    NEED(r = sg_calloc(1, sizeof *r), err, "a replacement");
    r->m = m, r->shape = sg_model_get_shape(m);
    r->p = model_parameters(m, model_block(m));
    r->n_states = n_states, r->most = most, r->with_kl = with_kl;
    r->E = r->shape->embedding, r->V = r->shape->vocabulary,
    r->H_top = r->shape->hidden[r->shape->layers - 1];
    for (size_t d = 0; with_kl && d < most; d++)
        kept += with_kl[d];
    if (kept && !r->p.decoder)
        TRY(sg_fail(err, SG_EINVAL, "replacement: the model has no decoder, so it predicts no next word"));
    TRY(forward_new(&r->real, m, most, err));
    TRY(forward_new(&r->other, m, most, err));
    TRY(tangents_new(&r->linear, m, 1, err));
    if (!(r->states = sg_calloc(n_states, sizeof *states)) ||
        !(r->x = sg_calloc(most, r->E * sizeof *r->x)) ||
        !(r->changed = sg_calloc(most, r->E * sizeof *r->changed)) ||
        !(r->dx = sg_calloc(r->E, sizeof *r->dx)) ||
        !(r->state = sg_calloc(forward_state_size(r->real), sizeof *r->state)) ||
        (kept &&
         (!(r->log_p = sg_calloc(kept, r->V * sizeof *r->log_p)) || !(r->z = sg_calloc(r->V, sizeof *r->z)) ||
          !(r->active = sg_calloc(r->H_top, sizeof *r->active)))))
        TRY(no_memory(err, "a replacement over %zu delays", most));
    memcpy(r->states, states, n_states * sizeof *states);
    *out = r, r = NULL;
done:
    replacer_free(r);
    return st;
}

void replacer_free(replacer *r)
{
    if (!r)
        return;
    tangents_free(r->linear);
    forward_free(r->real), forward_free(r->other);
    sg_free(r->states), sg_free(r->x), sg_free(r->changed), sg_free(r->state), sg_free(r->dx);
    sg_free(r->log_p), sg_free(r->z), sg_free(r->active);
    sg_free(r);
}

/* log p (V) = z - log sum exp z, z = W act(h) + b */
static void log_softmax(const replacer *r, const float *h, float *z)
{
    double most = -INFINITY, sum = 0;
    for (size_t j = 0; j < r->H_top; j++)
        r->active[j] = h[j];
    output_activate(r->shape->output, r->H_top, r->active);
    for (size_t i = 0; i < r->V; i++)
        z[i] = r->p.decoder_bias ? r->p.decoder_bias[i] : 0;
    la_sgemm(LA_N, LA_T, 1, r->V, r->H_top, 1, r->active, r->H_top, r->p.decoder, r->H_top, 1, z, r->V);
    for (size_t i = 0; i < r->V; i++)
        most = fmax(most, (double)z[i]);
    for (size_t i = 0; i < r->V; i++)
        sum += exp((double)z[i] - most);
    for (size_t i = 0; i < r->V; i++)
        z[i] = (float)((double)z[i] - most - log(sum));
}

sg_status replacer_origin(replacer *r, const float *state, const float *x, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    size_t kept = 0;
    r->n = n;
    memcpy(r->x, x, n * r->E * sizeof *x);
    memcpy(r->changed, x, n * r->E * sizeof *x);
    if (state)
        memcpy(r->state, state, forward_state_size(r->real) * sizeof *state);
    else
        memset(r->state, 0, forward_state_size(r->real) * sizeof *r->state);
    forward_set_state(r->real, r->state);
    TRY(forward_run(r->real, NULL, r->x, NULL, n, err));
    for (size_t d = 0; r->log_p && d < n; d++)
        if (r->with_kl[d])
            log_softmax(r, sg_forward_state(r->real, r->shape->layers - 1, SG_STATE_HIDDEN, d),
                        r->log_p + kept++ * r->V);
done:
    return st;
}

static replacement_effect compare(size_t H, const float *real, const float *other, const float *linear)
{
    double change = 0, straight = 0, dot = 0, miss = 0;
    for (size_t j = 0; j < H; j++) {
        double delta = (double)other[j] - (double)real[j], g = (double)linear[j];
        change += delta * delta, straight += g * g, dot += delta * g, miss += (delta - g) * (delta - g);
    }
    return (replacement_effect){sqrt(change), sqrt(straight), dot, miss};
}

/* sum p (log p - log q) = sum p (e^z - 1 - z), z = log q - log p, since both sum to 1: no term is negative,
 * and the rounding of the logs matters in second order only. */
static double divergence(size_t V, const float *log_p, const float *log_q)
{
    double kl = 0;
    for (size_t i = 0; i < V; i++) {
        double z = (double)log_q[i] - (double)log_p[i];
        kl += exp((double)log_p[i]) * (expm1(z) - z);
    }
    return kl;
}

sg_status replacer_run(replacer *r, const float *other, replacement_effect *effects, double *kl,
                       sg_error *err)
{
    sg_status st = SG_OK;
    size_t kept = 0, top = r->shape->layers - 1;
    memcpy(r->changed, r->x, r->n * r->E * sizeof *r->x);
    memcpy(r->changed, other, r->E * sizeof *other);
    forward_set_state(r->other, r->state);
    TRY(forward_run(r->other, NULL, r->changed, NULL, r->n, err));
    for (size_t e = 0; e < r->E; e++)
        r->dx[e] = other[e] - r->x[e];
    tangents_zero(r->linear);
    for (size_t d = 0; d < r->n; d++) {
        if (effects)
            tangents_step(r->linear, r->real, d, d ? NULL : r->dx);
        for (size_t g = 0; effects && g < r->n_states; g++) {
            const replacer_state *s = &r->states[g];
            effects[g * r->n + d] = compare(
                r->shape->hidden[s->layer], sg_forward_state(r->real, s->layer, s->kind, d),
                sg_forward_state(r->other, s->layer, s->kind, d), tangents_get(r->linear, s->layer, s->kind));
        }
        if (!kl)
            continue;
        kl[d] = 0;
        if (r->log_p && r->with_kl[d]) {
            log_softmax(r, sg_forward_state(r->other, top, SG_STATE_HIDDEN, d), r->z);
            kl[d] = divergence(r->V, r->log_p + kept++ * r->V, r->z);
        }
    }
done:
    return st;
}
