/* SPDX-License-Identifier: MIT */
/* Shared bases in a block of tokens: their steps, the sums F_t R_s, second moments R_s^T (F^T F) R_s, and
 * the error by the probes. See shared_basis.c. */
#include "gradient/cpu/engine_internal.h"

#include <math.h>
#include <string.h>

/* |p - B h| of a state, a root mean square over probes and origins. */
static double missed(const shared_basis *g, float *const *strips, size_t H)
{
    double sum = 0;
    for (size_t j = 0; j < H; j++) {
        double x[PROBES];
        for (size_t q = 0; q < PROBES; q++)
            x[q] = (double)strips[(g->r + q) / SG_STRIP][j * SG_STRIP + (g->r + q) % SG_STRIP];
        for (size_t c = 0; c < g->r; c++) {
            double b = (double)strips[c / SG_STRIP][j * SG_STRIP + c % SG_STRIP];
            for (size_t q = 0; q < PROBES; q++)
                x[q] -= b * g->h[c * PROBES + q];
        }
        for (size_t q = 0; q < PROBES; q++)
            sum += x[q] * x[q];
    }
    return sqrt(sum / (double)(PROBES * g->n));
}

/* F of token i: the rows of the basis that each wanted state consists of, transposed by blocks of 32; what
 * they miss. */
static void note_rows(const sg_engine *e, shared_basis *g, size_t i)
{
    size_t r = g->r, blocks = e->basis_rows / SG_STRIP;
    for (size_t l = 0; l < e->L; l++)
        for (int hidden = 0; hidden < 2; hidden++) {
            size_t state = e->sum_of[l][hidden], H = e->layer[l].H;
            if (state == NONE)
                continue;
            float *const *from = hidden ? g->U[l] : g->C[l];
            for (size_t b = 0; b * SG_STRIP < H; b++) {
                float *F = g->F + ((state * blocks + b) * e->block + i) * r * SG_STRIP;
                size_t rows = H - b * SG_STRIP < SG_STRIP ? H - b * SG_STRIP : SG_STRIP;
                for (size_t c = 0; c < r; c++)
                    for (size_t j = 0; j < rows; j++)
                        F[c * SG_STRIP + j] =
                            from[c / SG_STRIP][(b * SG_STRIP + j) * SG_STRIP + c % SG_STRIP];
            }
            g->missed[i * e->n_states + state] = missed(g, from, H);
        }
}

/* X = F^T F of a state: rows of all directions, 32 columns a strip. */
static void square(const sg_engine *e, const shared_basis *g, float *const *strips, size_t H, float *X)
{
    size_t n = g->strips;
    memset(X, 0, n * n * SG_STRIP * SG_STRIP * sizeof *X);
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b < n; b++) {
            float *block = X + (a * n + b) * SG_STRIP * SG_STRIP;
            e->kernels->moment(H, strips[b], strips[a], block);
            for (size_t i = 0; a == b && i < SG_STRIP;
                 i++) /* the kernel leaves out what is below the diagonal */
                for (size_t j = 0; j < i; j++)
                    block[i * SG_STRIP + j] = block[j * SG_STRIP + i];
        }
}

void basis_step(const sg_engine *e, shared_basis *g)
{
    for (size_t i = 0; i < e->n_tokens; i++) {
        if (!e->token[i].live)
            continue;
        for (size_t l = 0; l < e->L; l++) {
            const engine_layer *y = &e->layer[l];
            sg_step_matrix m = {y->packed[i], y->diagonal[i], y->H, y->K1, y->K2, NULL, 0};
            for (size_t s = 0; s < g->strips; s++) {
                sg_strip_job job = {g->U[l][s],
                                    l ? g->U[l - 1][s] : NULL,
                                    e->P == 2 ? g->C[l][s] : NULL,
                                    g->spare[l],
                                    NULL,
                                    NULL,
                                    false};
                (e->P == 2 ? e->kernels->step_pair : e->kernels->step_single)(&m, 1, &job);
                g->spare[l] = g->U[l][s], g->U[l][s] = job.next;
            }
        }
        note_rows(e, g, i);
    }
    for (size_t l = 0; l < e->L; l++)
        for (int hidden = 0; hidden < 2; hidden++) {
            size_t state = e->sum_of[l][hidden], square_size = g->strips * g->strips * SG_STRIP * SG_STRIP;
            if (state != NONE && g->X)
                square(e, g, hidden ? g->U[l] : g->C[l], e->layer[l].H, g->X + state * square_size);
        }
}

/* Is the pair of token i and origin o one that counts? */
static bool pair_counts(const sg_engine *e, const shared_basis *g, size_t i, size_t o)
{
    const block_token *t = &e->token[i];
    return t->counted && g->counts[o] && g->position[o] >= t->oldest;
}

/* Pairs of one delay, token i with origin o, token i + 1 with origin o + 1, ...: neighbours of one class set
 * are one product, F and R lying side by side. */
typedef struct {
    sg_accum *a;
    size_t state, rows, width, offset; /* of the piece; its place in the sum */
    const float *F, *R;
} piece;

static void sum_delay(const sg_engine *e, const shared_basis *g, const piece *p, size_t i, size_t o)
{
    size_t one = g->r * SG_STRIP;
    while (i < e->n_tokens && o < g->n) {
        size_t n = 0;
        bool wanted = pair_counts(e, g, i, o);
        do
            n++;
        while (i + n < e->n_tokens && o + n < g->n && g->position[o + n] == g->position[o] + n &&
               g->set[o + n] == g->set[o] && pair_counts(e, g, i + n, o + n) == wanted);
        if (wanted) {
            size_t d = (size_t)(e->token[i].position - g->position[o]);
            float *sum = accum_partial(p->a, p->state, g->set[o], d) + p->offset;
            if (p->rows == SG_STRIP && p->width == SG_STRIP) {
                e->kernels->moment(n * g->r, p->F + i * one, p->R + o * one, sum);
            } else {
                _Alignas(64) float part[SG_STRIP * SG_STRIP] = {0};
                e->kernels->moment(n * g->r, p->F + i * one, p->R + o * one, part);
                for (size_t j = 0; j < p->rows; j++)
                    for (size_t c = 0; c < p->width; c++)
                        sum[j * p->width + c] += part[j * SG_STRIP + c];
            }
        }
        if (o + n < g->n && g->position[o + n] != g->position[o] + n)
            return; /* the delay goes on elsewhere */
        i += n, o += n;
    }
}

/* sum[32 rows][32 columns] of a (state, row block, strip of E), all pairs of all shared bases, in one
 * order. */
void basis_sum(const sg_engine *e, sg_accum *a, size_t state, size_t block, size_t strip)
{
    size_t H = e->states[state].units, blocks = e->basis_rows / SG_STRIP;
    piece p = {.a = a, .state = state};
    p.rows = H - block * SG_STRIP < SG_STRIP ? H - block * SG_STRIP : SG_STRIP;
    p.width = strip < e->full ? SG_STRIP : e->rest;
    p.offset = strip * H * SG_STRIP + block * SG_STRIP * p.width;
    for (size_t n = 0; n < e->n_bases; n++) {
        const shared_basis *g = e->bases[n];
        p.F = g->F + (state * blocks + block) * e->block * g->r * SG_STRIP;
        p.R = g->R + strip * g->n * g->r * SG_STRIP;
        for (size_t o = g->n; o-- > 0;) /* from short delays to long ones */
            for (size_t i = 0; i < e->n_tokens; i++)
                if (!i || !o || g->position[o - 1] + 1 != g->position[o])
                    sum_delay(e, g, &p, i, o);
    }
}

/* Every origin has a delay of its own at one token: nothing else adds to its sum. */
void basis_moments(const sg_engine *e, sg_accum *a, const shared_basis *g)
{
    size_t n = g->strips, strips = e->full + (e->rest > 0), last = e->n_tokens - 1,
           column = n * SG_STRIP * SG_STRIP;
    for (size_t state = 0; state < e->n_states; state++)
        for (size_t o = 0; o < g->n; o++) {
            if (!pair_counts(e, g, last, o))
                continue;
            const float *X = g->X + state * n * column;
            memset(g->T, 0, strips * column * sizeof *g->T);
            for (size_t p = 0; p < strips; p++)
                for (size_t s = 0; s < n; s++)
                    e->kernels->moment(g->r, X + s * column, basis_R(g, o, 0, p * SG_STRIP),
                                       g->T + p * column + s * SG_STRIP * SG_STRIP);
            size_t d = (size_t)(e->token[last].position - g->position[o]);
            float *sum = accum_moment_partial(a, state, g->set[o], d), *whole = moment_begin(e, sum),
                  *M = whole;
            for (size_t p = 0; p < strips; p++)
                for (size_t q = p; q < strips; q++, M += SG_STRIP * SG_STRIP)
                    e->kernels->moment(g->r, basis_R(g, o, 0, p * SG_STRIP), g->T + q * column, M);
            moment_end(e, whole, sum, last, state, d);
        }
}

void basis_count(const sg_engine *e, sg_accum *a, bool moments)
{
    for (size_t k = 0; k < e->n_bases; k++) {
        const shared_basis *g = e->bases[k];
        for (size_t i = 0; i < e->n_tokens; i++)
            for (size_t o = 0; o < g->n; o++) {
                if (!pair_counts(e, g, i, o))
                    continue;
                size_t d = (size_t)(e->token[i].position - g->position[o]);
                if (moments && i + 1 == e->n_tokens) {
                    accum_count_moment(a, g->set[o], d);
                    moment_of_word(e, i, g->position[o], g->set[o]);
                }
                for (size_t state = 0; state < e->n_states; state++)
                    accum_miss(a, state, d, g->missed[i * e->n_states + state] * g->size[o]);
            }
    }
}
