/* SPDX-License-Identifier: MIT */
#include "gradient/replacement_batch.h"

#include "base/base_internal.h"
#include "cell/cell.h"
#include "kernel/float_env.h"
#include "lm/model_internal.h"
#include "lm/output_activation.h"

#include <math.h>
#include <string.h>

enum { KL_BYTES = 16 << 20, KL_ROWS = 512 }; /* of logits at once */

typedef struct {
    size_t N, H, ld;                                    /* inputs, hidden size, tape row */
    float *W_ih[CELL_MAX_GATES], *W_hh[CELL_MAX_GATES]; /* packed: (N, H) (H, H) of each gate */
    const float *b_ih, *b_hh, *plain_W_ih, *plain_W_hh; /* the model's */
} packed_layer;

struct replacement_weights {
    const sg_model *m;
    const sg_model_shape *shape;
    const cell_type *cell;
    const sg_kernels *kernels;
    size_t L, E, V, P;
    packed_layer layer[SG_MAX_LAYERS];
    float *decoder; /* packed (H_top, V), or NULL */
    const float *decoder_bias;
};

/* Of one layer: the real trajectory, and a row for each column. */
typedef struct {
    float *h, *c, *tape, *preactivations; /* real: (H) (H) (ld) (G H) */
    float *wh, *wx, *diagonal;            /* (G H) (G H) (P H): the Jacobian of the real step */
    float *A, *Ax, *packed, *work;        /* of a Jacobian that is no sum of weighted rows */
    float *rows_h, *rows_c, *rows_tape;   /* (most, H) (most, H) (most + 1, ld) */
    float *rows_dh, *rows_dc;             /* (most, H): G dx */
} layer_room;

/* Rows whose logits are still to come. */
typedef struct {
    size_t room, used;            /* rows */
    float *h, *logits, *p, *work; /* (room, H_top) (room, V) (V) (2 V) */
    size_t *real;                 /* (room) the row of the real state; itself: it is one */
    double **place;               /* (room) where the KL goes */
} kl_room;

struct replacement_batch {
    const replacement_weights *w;
    size_t n_states, D, most;
    sg_accum_state *states;
    const bool *kl_at;
    layer_room layer[SG_MAX_LAYERS];
    float *scratch, *product, *gate; /* (G H) (most, P H) (most, H), H the widest */
    float *dx;                       /* (most, E) */
    kl_room kl;
};

/* ---- weights ---- */

static bool pack_layer(packed_layer *y, const replacement_weights *w, size_t l)
{
    const sg_layer_parameters p = model_parameters(w->m, model_block(w->m)).layer[l];
    *y = (packed_layer){.N = model_inputs(w->m, l), .H = w->shape->hidden[l], .b_ih = p.b_ih, .b_hh = p.b_hh};
    y->plain_W_ih = p.W_ih, y->plain_W_hh = p.W_hh;
    y->ld = w->cell->tape * y->H;
    for (size_t g = 0; g < w->cell->gates; g++) {
        size_t N = y->N, H = y->H;
        if (!(y->W_ih[g] = sg_calloc(packed_size(N, H), sizeof(float))))
            return false;
        w->kernels->product->pack(N, H, p.W_ih + g * H * N, 1, N, y->W_ih[g]);
        if (w->cell->recurrence != CELL_DENSE)
            continue;
        if (!(y->W_hh[g] = sg_calloc(packed_size(H, H), sizeof(float))))
            return false;
        w->kernels->product->pack(H, H, p.W_hh + g * H * H, 1, H, y->W_hh[g]);
    }
    return true;
}

sg_status replacement_weights_new(replacement_weights **out, const sg_model *m, bool with_kl, sg_error *err)
{
    sg_status st = SG_OK;
    replacement_weights *w = sg_calloc(1, sizeof *w);
    const sg_parameters p = model_parameters(m, model_block(m));
    *out = NULL;
    NEED(w, err, "replacement");
    w->m = m, w->shape = sg_model_get_shape(m), w->cell = cell_of(w->shape->cell),
    w->kernels = kernels_best();
    w->L = w->shape->layers, w->E = w->shape->embedding, w->V = w->shape->vocabulary;
    w->P = cell_states(w->cell);
    for (size_t l = 0; l < w->L; l++) {
        NEED(pack_layer(&w->layer[l], w, l), err, "the weights of a replacement");
    }
    if (with_kl) {
        const size_t H = w->shape->hidden[w->L - 1];
        w->decoder_bias = p.decoder_bias;
        NEED(w->decoder = sg_calloc(packed_size(H, w->V), sizeof(float)), err,
             "the decoder of a replacement");
        w->kernels->product->pack(H, w->V, p.decoder, 1, H, w->decoder);
    }
    *out = w, w = NULL;
done:
    replacement_weights_free(w);
    return st;
}

void replacement_weights_free(replacement_weights *w)
{
    if (!w)
        return;
    for (size_t l = 0; l < w->L; l++)
        for (size_t g = 0; g < CELL_MAX_GATES; g++)
            sg_free(w->layer[l].W_ih[g]), sg_free(w->layer[l].W_hh[g]);
    sg_free(w->decoder);
    sg_free(w);
}

size_t replacement_weights_bytes(const sg_model_shape *s, bool with_kl)
{
    const cell_type *cell = cell_of(s->cell);
    size_t floats = with_kl ? packed_size(s->hidden[s->layers - 1], s->vocabulary) : 0;
    for (size_t l = 0; l < s->layers; l++)
        floats +=
            cell->gates * (packed_size(l ? s->hidden[l - 1] : s->embedding, s->hidden[l]) +
                           (cell->recurrence == CELL_DENSE ? packed_size(s->hidden[l], s->hidden[l]) : 0));
    return floats * sizeof(float);
}

/* ---- room ---- */

static bool layer_new(layer_room *y, const replacement_weights *w, size_t l, size_t most)
{
    const packed_layer *p = &w->layer[l];
    const size_t H = p->H, G = w->cell->gates, f = sizeof(float);
    bool ok = (y->h = sg_calloc(H, f)) && (y->c = sg_calloc(H, f)) && (y->tape = sg_calloc(p->ld, f)) &&
              (y->preactivations = sg_calloc(G * H, f)) && (y->wh = sg_calloc(G * H, f)) &&
              (y->wx = sg_calloc(G * H, f)) && (y->diagonal = sg_calloc(w->P * H, f)) &&
              (y->rows_h = sg_calloc(most, H * f)) && (y->rows_c = sg_calloc(most, H * f)) &&
              (y->rows_tape = sg_calloc(most + 1, p->ld * f)) && (y->rows_dh = sg_calloc(most, H * f)) &&
              (y->rows_dc = sg_calloc(most, H * f));
    if (ok && w->cell->jacobian_rest) {
        const size_t wide = packed_size(p->N > H ? p->N : H, H);
        ok = (y->A = sg_calloc(H, H * f)) && (y->Ax = sg_calloc(H, p->N * f)) &&
             (y->packed = sg_calloc(wide, f)) && (y->work = sg_calloc(H + 1, H * f));
    }
    return ok;
}

static void layer_free(layer_room *y)
{
    sg_free(y->h), sg_free(y->c), sg_free(y->tape), sg_free(y->preactivations);
    sg_free(y->wh), sg_free(y->wx), sg_free(y->diagonal);
    sg_free(y->A), sg_free(y->Ax), sg_free(y->packed), sg_free(y->work);
    sg_free(y->rows_h), sg_free(y->rows_c), sg_free(y->rows_tape), sg_free(y->rows_dh), sg_free(y->rows_dc);
}

static bool kl_new(kl_room *k, const replacement_weights *w)
{
    const size_t V = w->V, H = w->shape->hidden[w->L - 1], fit = KL_BYTES / sizeof(float) / V;
    k->room = fit > KL_ROWS ? KL_ROWS : fit > 2 ? fit : 2;
    return (k->h = sg_calloc(k->room, H * sizeof(float))) &&
           (k->logits = sg_calloc(k->room, V * sizeof(float))) && (k->p = sg_calloc(V, sizeof(float))) &&
           (k->work = sg_calloc(2 * V, sizeof(float))) && (k->real = sg_calloc(k->room, sizeof *k->real)) &&
           (k->place = sg_calloc(k->room, sizeof *k->place));
}

sg_status replacement_batch_new(replacement_batch **out, const replacement_weights *w,
                                const sg_accum_state *states, size_t n_states, size_t D, const bool *kl_at,
                                size_t most, sg_error *err)
{
    sg_status st = SG_OK;
    replacement_batch *r = sg_calloc(1, sizeof *r);
    size_t widest = 0;
    *out = NULL;
    NEED(r, err, "replacement");
    r->w = w, r->n_states = n_states, r->D = D, r->most = most, r->kl_at = w->decoder ? kl_at : NULL;
    for (size_t l = 0; l < w->L; l++) {
        widest = w->layer[l].H > widest ? w->layer[l].H : widest;
        NEED(layer_new(&r->layer[l], w, l, most), err, "%zu replacements side by side", most);
    }
    NEED((r->states = sg_calloc(n_states, sizeof *states)) &&
             (r->scratch = sg_calloc(w->cell->gates, widest * sizeof(float))) &&
             (r->product = sg_calloc(most, w->P * widest * sizeof(float))) &&
             (r->gate = sg_calloc(most, widest * sizeof(float))) &&
             (r->dx = sg_calloc(most, w->E * sizeof(float))) && (!r->kl_at || kl_new(&r->kl, w)),
         err, "%zu replacements side by side", most);
    memcpy(r->states, states, n_states * sizeof *states);
    *out = r, r = NULL;
done:
    replacement_batch_free(r);
    return st;
}

void replacement_batch_free(replacement_batch *r)
{
    if (!r)
        return;
    for (size_t l = 0; l < r->w->L; l++)
        layer_free(&r->layer[l]);
    sg_free(r->states), sg_free(r->scratch), sg_free(r->product), sg_free(r->gate), sg_free(r->dx);
    sg_free(r->kl.h), sg_free(r->kl.logits), sg_free(r->kl.p), sg_free(r->kl.work);
    sg_free(r->kl.real), sg_free(r->kl.place);
    sg_free(r);
}

/* ---- states ---- */

/* Biases, and the products of the inputs X (m, N), in the rows of a tape. */
static void begin_rows(const replacement_weights *w, const packed_layer *p, size_t m, const float *X,
                       float *tape)
{
    cell_preload(w->cell, m, p->H, p->b_ih, p->b_hh, tape);
    for (size_t g = 0; g < w->cell->gates; g++)
        w->kernels->product->multiply(m, p->H, p->N, X, p->N, 1, p->W_ih[g], p->N, tape + g * p->H, p->ld,
                                      true);
}

/* One step of m rows whose tapes are begun, in place. pre: of the rows, `stride` apart (0: of none in
 * particular). */
static void step_rows(const replacement_weights *w, const packed_layer *p, size_t m, float *h, float *c,
                      float *tape, float *pre, size_t stride)
{
    const size_t H = p->H;
    for (size_t s = 0, gate = 0; s < w->cell->n_stages; s++) {
        const cell_stage *stage = &w->cell->stage[s];
        const bool from_h = stage->source == CELL_FROM_H;
        const float *source = from_h ? h : tape + (size_t)stage->source * H;
        for (size_t end = gate + stage->gates; gate < end; gate++)
            w->kernels->product->multiply(m, H, H, source, from_h ? H : p->ld, 1, p->W_hh[gate], H,
                                          tape + w->cell->slot[gate] * H, p->ld, true);
        for (size_t i = 0; i < m; i++) {
            cell_units u = {.n = H, .H = H, .tape = tape + i * p->ld, .kernels = w->kernels};
            u.h_prev = u.h = h + i * H, u.preactivations = pre + i * stride;
            if (w->P == 2)
                u.c_prev = u.c = c + i * H;
            stage->forward(&u);
        }
    }
}

/* The real trajectory's step; its tapes before the recurrent products go to `shared` of the lowest layer. */
static void real_step(replacement_batch *r, const float *x, bool zero, float *shared)
{
    for (size_t l = 0; l < r->w->L; l++) {
        const packed_layer *p = &r->w->layer[l];
        layer_room *y = &r->layer[l];
        if (zero)
            memset(y->h, 0, p->H * sizeof(float)), memset(y->c, 0, p->H * sizeof(float));
        begin_rows(r->w, p, 1, x, y->tape);
        if (!l && shared)
            memcpy(shared, y->tape, p->ld * sizeof(float));
        step_rows(r->w, p, 1, y->h, y->c, y->tape, y->preactivations, 0);
        x = y->h;
    }
}

/* Layer by layer h then c: the real state into `all`, or out of it. */
static void move_state(replacement_batch *r, bool save, float *all)
{
    for (size_t l = 0; l < r->w->L; l++)
        for (size_t i = 0; i < r->w->P; i++, all += r->w->layer[l].H) {
            float *here = i ? r->layer[l].c : r->layer[l].h;
            memcpy(save ? all : here, save ? here : all, r->w->layer[l].H * sizeof(float));
        }
}

void replacement_batch_advance(replacement_batch *r, float *state, const float *x, const bool *first,
                               size_t n)
{
    sg_float_env env = float_env_begin();
    move_state(r, false, state);
    for (size_t t = 0; t < n; t++)
        real_step(r, x + t * r->w->E, first && first[t], NULL);
    move_state(r, true, state);
    float_env_end(env);
}

/* Columns lo .. hi-1, of which those from `fresh` on begin here. shared: the real step's tape of the lowest
 * layer. */
static void changed_step(replacement_batch *r, const replacement_column *columns, size_t lo, size_t fresh,
                         size_t hi, const float *shared)
{
    for (size_t l = 0; l < r->w->L; l++) {
        const packed_layer *p = &r->w->layer[l];
        layer_room *y = &r->layer[l];
        if (l)
            begin_rows(r->w, p, hi - lo, r->layer[l - 1].rows_h + lo * p->N, y->rows_tape + lo * p->ld);
        for (size_t k = lo; !l && k < fresh; k++)
            memcpy(y->rows_tape + k * p->ld, shared, p->ld * sizeof(float));
        for (size_t k = fresh; !l && k < hi; k++)
            begin_rows(r->w, p, 1, columns[k].x, y->rows_tape + k * p->ld);
        step_rows(r->w, p, hi - lo, y->rows_h + lo * p->H, y->rows_c + lo * p->H, y->rows_tape + lo * p->ld,
                  r->scratch, 0);
    }
}

/* ---- G dx ---- */

/* product (m, P H) += sum over gates of diag(weight[g]) W[g] in, gate g into its product; in (m, n). */
static void add_weighted_gates(const replacement_batch *r, size_t m, size_t n, size_t H, const float *in,
                               float *const *W, const float *weight, float *product)
{
    const cell_type *cell = r->w->cell;
    for (size_t g = 0; g < cell->gates; g++) {
        r->w->kernels->product->multiply(m, H, n, in, n, 1, W[g], n, r->gate, H, false);
        for (size_t i = 0; i < m; i++) {
            float *restrict out = product + (i * r->w->P + g / cell->summed) * H;
            const float *restrict gate = r->gate + i * H, *restrict a = weight + g * H;
            for (size_t j = 0; j < H; j++)
                out[j] += a[j] * gate[j];
        }
    }
}

/* product (m, H) += in B^T, B (H, n) */
static void add_rest(const replacement_batch *r, layer_room *y, size_t m, size_t n, size_t H, const float *in,
                     const float *B, float *product)
{
    r->w->kernels->product->pack(n, H, B, 1, n, y->packed);
    r->w->kernels->product->multiply(m, H, n, in, n, 1, y->packed, n, product, H, true);
}

/* The equations of cell.h for columns lo .. hi-1 of layer l. */
static void tangent_step(replacement_batch *r, size_t l, size_t lo, size_t fresh, size_t hi)
{
    const cell_type *cell = r->w->cell;
    const packed_layer *p = &r->w->layer[l];
    layer_room *y = &r->layer[l];
    const size_t H = p->H, N = p->N, P = r->w->P, from = l ? lo : fresh; /* rows with an input that changes */
    float *dh = y->rows_dh, *dc = y->rows_dc, *product = r->product;
    const float *dx = l ? r->layer[l - 1].rows_dh : r->dx;
    cell->jacobian(H, y->tape, y->preactivations, y->wh, y->wx, y->diagonal);
    memset(product, 0, (hi - lo) * P * H * sizeof *product);
    if (cell->recurrence == CELL_DENSE)
        add_weighted_gates(r, fresh - lo, H, H, dh + lo * H, p->W_hh, y->wh, product);
    add_weighted_gates(r, hi - from, N, H, dx + from * N, p->W_ih, y->wx, product + (from - lo) * P * H);
    if (cell->jacobian_rest) {
        memset(y->A, 0, H * H * sizeof(float)), memset(y->Ax, 0, H * N * sizeof(float));
        cell->jacobian_rest(H, N, p->plain_W_ih, p->plain_W_hh, y->tape, y->preactivations, y->wh, y->work,
                            y->A, H, y->Ax, N);
        add_rest(r, y, fresh - lo, H, H, dh + lo * H, y->A, product);
        add_rest(r, y, hi - from, N, H, dx + from * N, y->Ax, product + (from - lo) * H);
    }
    for (size_t k = lo; k < hi; k++, product += P * H) {
        float *restrict one = (P == 2 ? dc : dh) + k * H, *restrict h = dh + k * H;
        const float *restrict d = y->diagonal;
        for (size_t j = 0; j < H; j++)
            one[j] = d[j] * one[j] + product[j];
        for (size_t j = 0; P == 2 && j < H; j++)
            h[j] = d[H + j] * one[j] + product[H + j];
    }
}

/* ---- what a step shows ---- */

static replacement_effect compare(size_t H, const float *real, const float *other, const float *linear)
{
    double change = 0, straight = 0, dot = 0, miss = 0;
    for (size_t j = 0; j < H; j++) {
        double delta = (double)other[j] - (double)real[j], g = (double)linear[j];
        change += delta * delta, straight += g * g, dot += delta * g, miss += (delta - g) * (delta - g);
    }
    return (replacement_effect){sqrt(change), sqrt(straight), dot, miss};
}

static sg_status note_effects(const replacement_batch *r, const replacement_column *columns, size_t lo,
                              size_t hi, size_t t, replacement_effect *effects, sg_error *err)
{
    for (size_t k = lo; k < hi; k++)
        for (size_t g = 0; g < r->n_states; g++) {
            const size_t l = r->states[g].layer - 1, H = r->w->layer[l].H, d = t - columns[k].at;
            const layer_room *y = &r->layer[l];
            const bool cell = r->states[g].kind == SG_STATE_CELL;
            replacement_effect e = compare(H, cell ? y->c : y->h, (cell ? y->rows_c : y->rows_h) + k * H,
                                           (cell ? y->rows_dc : y->rows_dh) + k * H);
            if (!isfinite(e.change) || !isfinite(e.linear) || !isfinite(e.miss))
                return sg_fail(
                    err, SG_ENONFINITE,
                    "replacement: layer %zu: the changed state is not finite %zu steps after a word is "
                    "replaced",
                    l + 1, d);
            effects[(k * r->D + d) * r->n_states + g] = e;
        }
    return SG_OK;
}

/* ---- KL ---- */

/* x <- x + b - log sum exp (x + b) */
static void log_softmax(const sg_kernels *kernels, size_t n, const float *b, float *x, float *work)
{
    float most = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        x[i] += b ? b[i] : 0;
        most = x[i] > most ? x[i] : most;
    }
    for (size_t i = 0; i < n; i++)
        work[i] = x[i] - most;
    kernels->exp(n, work, work);
    for (size_t i = 0; i < n; i++)
        sum += (double)work[i];
    const float total = (float)((double)most + log(fmax(sum, 1))); /* the largest term is 1 */
    for (size_t i = 0; i < n; i++)
        x[i] -= total;
}

/* KL(p || q) of rows log p, p and log q (n): sum p (e^z - 1 - z), z = log q - log p, since both sum to 1. No
 * term is negative, and the rounding of the logs matters in second order only. work: (2 n). */
static double divergence(size_t n, const float *log_p, const float *p, const float *log_q, float *work)
{
    float *z = work, *e = work + n;
    double kl = 0;
    for (size_t i = 0; i < n; i++)
        z[i] = log_q[i] - log_p[i];
    kernels_best()->exp(n, z, e);
    for (size_t i = 0; i < n; i++) {
        float a = z[i],
              s = a * a * (1 / 2.f + a * (1 / 6.f + a * (1 / 24.f + a * (1 / 120.f + a * (1 / 720.f)))));
        kl += (double)(p[i] * (fabsf(a) < 0.3f ? s : e[i] - 1 - a));
    }
    return kl;
}

/* The logits of all rows that wait, and their KL. */
static void kl_flush(replacement_batch *r)
{
    kl_room *k = &r->kl;
    const size_t V = r->w->V, H = r->w->shape->hidden[r->w->L - 1];
    r->w->kernels->product->multiply(k->used, V, H, k->h, H, 1, r->w->decoder, H, k->logits, V, false);
    for (size_t i = 0; i < k->used; i++) {
        float *x = k->logits + i * V;
        log_softmax(r->w->kernels, V, r->w->decoder_bias, x, k->work);
        if (k->real[i] == i)
            r->w->kernels->exp(V, x, k->p);
        else
            *k->place[i] = divergence(V, k->logits + k->real[i] * V, k->p, x, k->work);
    }
    k->used = 0;
}

static size_t kl_add(replacement_batch *r, const float *h, size_t real, double *place)
{
    kl_room *k = &r->kl;
    const size_t H = r->w->shape->hidden[r->w->L - 1], i = k->used++;
    memcpy(k->h + i * H, h, H * sizeof *h);
    output_activate(r->w->shape->output, H, k->h + i * H);
    k->real[i] = real == SIZE_MAX ? i : real;
    k->place[i] = place;
    return i;
}

static void note_kl(replacement_batch *r, const replacement_column *columns, size_t lo, size_t hi, size_t t,
                    double *kl)
{
    const layer_room *top = &r->layer[r->w->L - 1];
    const size_t H = r->w->layer[r->w->L - 1].H;
    size_t real = SIZE_MAX;
    for (size_t k = lo; k < hi; k++) {
        const size_t d = t - columns[k].at;
        if (!columns[k].with_kl || !r->kl_at[d])
            continue;
        if (real == SIZE_MAX || r->kl.used == r->kl.room) {
            if (r->kl.used + 2 > r->kl.room)
                kl_flush(r);
            real = kl_add(r, top->h, SIZE_MAX, NULL);
        }
        kl_add(r, top->rows_h + k * H, real, kl + k * r->D + d);
    }
}

/* ---- a segment ---- */

/* Columns that begin at this step: the real state before it, no tangent yet, dx. */
static void begin_columns(replacement_batch *r, const replacement_column *columns, size_t fresh, size_t hi,
                          const float *x, bool zero)
{
    for (size_t k = fresh; k < hi; k++) {
        for (size_t l = 0; l < r->w->L; l++) {
            layer_room *y = &r->layer[l];
            const size_t H = r->w->layer[l].H, bytes = H * sizeof(float);
            memcpy(y->rows_h + k * H, y->h, bytes), memcpy(y->rows_c + k * H, y->c, bytes);
            if (zero)
                memset(y->rows_h + k * H, 0, bytes), memset(y->rows_c + k * H, 0, bytes);
            memset(y->rows_dh + k * H, 0, bytes), memset(y->rows_dc + k * H, 0, bytes);
        }
        for (size_t e = 0; e < r->w->E; e++)
            r->dx[k * r->w->E + e] = columns[k].x[e] - x[e];
    }
}

sg_status replacement_batch_run(replacement_batch *r, const float *state, const float *x, const bool *first,
                                size_t n, const replacement_column *columns, size_t n_columns,
                                replacement_effect *effects, double *kl, sg_error *err)
{
    sg_status st = SG_OK;
    size_t lo = 0, hi = 0;
    float *shared = r->layer[0].rows_tape + r->most * r->w->layer[0].ld;
    sg_float_env env = float_env_begin();
    move_state(r, false, (float *)state); /* only read */
    for (size_t t = 0; t < n && lo < n_columns; t++) {
        const bool zero = first && first[t];
        const size_t fresh = hi;
        while (hi < n_columns && columns[hi].at == t)
            hi++;
        while (lo < hi && columns[lo].at + columns[lo].life <= t)
            lo++;
        begin_columns(r, columns, fresh, hi, x + t * r->w->E, zero);
        real_step(r, x + t * r->w->E, zero, shared);
        if (lo == hi)
            continue;
        changed_step(r, columns, lo, fresh, hi, shared);
        for (size_t l = 0; l < r->w->L; l++)
            tangent_step(r, l, lo, fresh, hi);
        TRY(note_effects(r, columns, lo, hi, t, effects, err));
        if (r->kl_at)
            note_kl(r, columns, lo, hi, t, kl);
    }
    if (r->kl.used)
        kl_flush(r);
done:
    r->kl.used = 0;
    float_env_end(env);
    return st;
}
