/* Long windows: origins that are old enough share a basis.
 *
 * The product of many steps' Jacobians has few singular values that matter: behind a few dozen steps the gradients of
 * all origins of a stretch lie, to within the tolerance, in a space of few dimensions. At each cut (every `tail`
 * tokens) the origins of the last stretch but one become a generation:
 *
 *   [C U of all layers][s] = B R_s        B (S, r) orthonormal, one for the generation; R_s (r, E), one an origin
 *
 * From then on B takes the steps, in the place of every origin's E columns, and G[t,s] = F_t R_s with F_t the rows of B
 * that belong to the state asked for. At each further cut B = Q T is made orthonormal again, R_s <- T R_s, and what
 * has fallen below the tolerance is cut off, so r goes on shrinking. The part of an origin that is dropped at a cut is at
 * most `tolerance` of its Frobenius norm then; doc/long-windows.md says what becomes of it later. */
#include "engine_internal.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <math.h>
#include <string.h>

static size_t state_rows(const sg_engine *e)
{
    size_t S = 0;
    for (size_t l = 0; l < e->L; l++)
        S += e->P * e->layer[l].H;
    return S;
}

static size_t padded(size_t n)
{
    return (n + SG_STRIP - 1) / SG_STRIP * SG_STRIP;
}

void tail_free(tail_generation *g)
{
    if (!g)
        return;
    sg_free(g->memory);
    sg_free(g->R);
    sg_free(g->F);
    sg_free(g->position);
    sg_free(g->set);
    sg_free(g->counts);
    sg_free(g);
}

/* Columns of Y (S,k), row-major in double, made orthonormal one after another (twice, for the sake of rounding); columns
 * that depend on earlier ones become zero. T (k,k) upper triangular, may be NULL: Y = Q T. */
static void orthonormalise(size_t S, size_t k, double *Y, double *T)
{
    for (size_t c = 0; c < k; c++) {
        double before = 0, after = 0;
        for (size_t i = 0; i < S; i++)
            before += Y[i * k + c] * Y[i * k + c];
        for (int pass = 0; pass < 2; pass++)
            for (size_t b = 0; b < c; b++) {
                double dot = 0;
                for (size_t i = 0; i < S; i++)
                    dot += Y[i * k + b] * Y[i * k + c];
                for (size_t i = 0; i < S; i++)
                    Y[i * k + c] -= dot * Y[i * k + b];
                if (T)
                    T[b * k + c] += dot;
            }
        for (size_t i = 0; i < S; i++)
            after += Y[i * k + c] * Y[i * k + c];
        bool keep = after > 1e-24 * before && after > 0;
        for (size_t i = 0; i < S; i++)
            Y[i * k + c] = keep ? Y[i * k + c] / sqrt(after) : 0;
        if (T)
            T[c * k + c] = keep ? sqrt(after) : 0;
    }
}

/* Given an orthonormal Q (S,k), rows U then C of each layer, and B (k,N): G = Q B, E columns an origin. Keeps as few directions as hold all but
 * `tolerance` of every origin, each counted relative to its own size, and moves them into the generation. weight: what
 * the rows of each layer's U, C have been multiplied by. */
static sg_status keep_directions(sg_engine *e, tail_generation *g, size_t k, const double *Q, const double *B,
                                 const double *weight, sg_error *err)
{
    sg_status st = SG_OK;
    size_t E = e->E, N = g->n * E, r = 0, wide = padded(E);
    double *gram = sg_calloc(k * k, sizeof *gram), *values = sg_calloc(k, sizeof *values);
    double *scaled = sg_calloc(k * N, sizeof *scaled);
    if (!gram || !values || !scaled)
        TRY(sg_fail(err, SG_ENOMEM, "gradient: no memory for the long window"));
    for (size_t o = 0; o < g->n; o++) {
        double norm = 0;
        for (size_t j = 0; j < k; j++)
            for (size_t c = 0; c < E; c++)
                norm += B[j * N + o * E + c] * B[j * N + o * E + c];
        for (size_t j = 0; j < k; j++)
            for (size_t c = 0; c < E; c++)
                scaled[j * N + o * E + c] = norm > 0 ? B[j * N + o * E + c] / sqrt(norm) : 0;
    }
    la_dgemm(LA_N, LA_T, k, k, N, 1, scaled, N, scaled, N, 0, gram, k);
    TRY(la_eigh(k, gram, values, true, err)); /* eigenvectors in the rows, values ascending */
    double dropped = 0, most = e->tail_tolerance * e->tail_tolerance;
    for (r = k; r > 1 && dropped + fmax(values[k - r], 0) <= most; r--)
        dropped += fmax(values[k - r], 0);
    size_t strips = padded(r) / SG_STRIP, floats = 0;
    if (strips > TAIL_STRIPS)
        TRY(sg_fail(err, SG_EINVAL, "gradient: a basis of %zu directions: the window is too short to be a long one", r));
    for (size_t l = 0; l < e->L; l++)
        floats += e->P * strips * e->layer[l].strip;
    sg_free(g->memory), sg_free(g->R), sg_free(g->F);
    g->F = NULL, g->R = NULL, g->r = r, g->strips = strips;
    if (!(g->memory = sg_calloc(2 * floats, sizeof *g->memory)) ||
        !(g->R = sg_calloc(g->n * wide * r, sizeof *g->R)) ||
        !(g->F = sg_calloc(e->block * e->n_states * r, e->tail_rows * sizeof *g->F)))
        TRY(sg_fail(err, SG_ENOMEM, "gradient: a basis of %zu directions does not fit in memory", r));
    const double *V = gram + (k - r) * k; /* (r,k) */
    float *at = g->memory;
    size_t row = 0;
    for (size_t l = 0; l < e->L; l++)
        for (size_t p = 0; p < e->P; p++, row += e->layer[l].H)
            for (size_t s = 0; s < strips; s++, at += e->layer[l].strip) {
                *(p ? &g->C[l][s] : &g->U[l][s]) = at;
                for (size_t j = 0; j < e->layer[l].H; j++)
                    for (size_t c = 0; c < SG_STRIP && s * SG_STRIP + c < r; c++) {
                        double x = 0;
                        for (size_t i = 0; i < k; i++)
                            x += Q[(row + j) * k + i] * V[(s * SG_STRIP + c) * k + i];
                        at[j * SG_STRIP + c] = (float)(x / weight[l * e->P + p]);
                    }
            }
    for (size_t l = 0; l < e->L; at += e->layer[l++].strip)
        g->spare[l] = at;
    la_dgemm(LA_N, LA_N, r, N, k, 1, V, k, B, N, 0, scaled, N);
    for (size_t o = 0; o < g->n; o++) /* R_s by strips of E: (strip, r, 32) */
        for (size_t j = 0; j < r; j++)
            for (size_t c = 0; c < E; c++)
                g->R[o * wide * r + (c / SG_STRIP * r + j) * SG_STRIP + c % SG_STRIP] =
                    (float)scaled[j * N + o * E + c];
done:
    sg_free(gram);
    sg_free(values);
    sg_free(scaled);
    return st;
}

/* Column c of an origin, all layers, U then C: S numbers N apart. */
static void gather(const sg_engine *e, const group *g, size_t j, size_t N, double *out)
{
    for (size_t l = 0; l < e->L; l++)
        for (size_t p = 0; p < e->P; p++) {
            float *const *strips = p ? g->C[l] : g->U[l];
            for (size_t row = 0; row < e->layer[l].H; row++, out += N)
                for (size_t c = 0; c < e->E; c++) {
                    size_t x = j * e->rest + c - e->full * SG_STRIP;
                    const float *s = c < e->full * SG_STRIP ? strips[j * e->full + c / SG_STRIP]
                                                            : strips[e->block * e->full + x / SG_STRIP];
                    out[c] = (double)s[row * SG_STRIP + (c < e->full * SG_STRIP ? c : x) % SG_STRIP];
                }
        }
}

/* Orthonormal Q (S,k) with G = Q Q^T G to well within the tolerance, from random combinations of G's columns. */
static sg_status find_basis(sg_engine *e, size_t S, size_t N, const double *G, size_t *k, double **Q, double **B,
                            sg_error *err)
{
    sg_status st = SG_OK;
    double *omega = NULL, *rest = sg_calloc(S, N * sizeof *rest), *norm = sg_calloc(N / e->E, sizeof *norm);
    if (!rest || !norm)
        TRY(sg_fail(err, SG_ENOMEM, "gradient: no memory for the long window"));
    for (size_t i = 0; i < S * N; i++)
        norm[i % N / e->E] += G[i] * G[i];
    for (*k = 64;; *k *= 2) {
        *k = *k < S ? *k : S;
        *k = *k < N ? *k : N;
        sg_rng r;
        sg_rng_seed(&r, 1, e->position);
        sg_free(omega), sg_free(*Q), sg_free(*B);
        *Q = *B = NULL;
        if (!(omega = sg_calloc(N, *k * sizeof *omega)) || !(*Q = sg_calloc(S, *k * sizeof **Q)) ||
            !(*B = sg_calloc(*k, N * sizeof **B)))
            TRY(sg_fail(err, SG_ENOMEM, "gradient: no memory for a basis of %zu directions", *k));
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < *k; j++)
                omega[i * *k + j] = norm[i / e->E] > 0 ? sg_rng_normal(&r) / sqrt(norm[i / e->E]) : 0;
        la_dgemm(LA_N, LA_N, S, *k, N, 1, G, N, omega, *k, 0, *Q, *k);
        orthonormalise(S, *k, *Q, NULL);
        la_dgemm(LA_T, LA_N, *k, N, S, 1, *Q, *k, G, N, 0, *B, N);
        memcpy(rest, G, S * N * sizeof *rest);
        la_dgemm(LA_N, LA_N, S, N, *k, -1, *Q, *k, *B, N, 1, rest, N);
        double worst = 0;
        for (size_t o = 0; o < N / e->E; o++) {
            double left = 0;
            for (size_t i = 0; i < S; i++)
                for (size_t c = 0; c < e->E; c++)
                    left += rest[i * N + o * e->E + c] * rest[i * N + o * e->E + c];
            worst = norm[o] > 0 ? fmax(worst, left / norm[o]) : worst;
        }
        if (worst <= 0.25 * e->tail_tolerance * e->tail_tolerance || *k == S || *k == N)
            break;
    }
done:
    sg_free(omega);
    sg_free(rest);
    sg_free(norm);
    return st;
}

/* Exact origins before `until` become a generation. */
static sg_status new_generation(sg_engine *e, uint64_t oldest, uint64_t until, sg_error *err)
{
    sg_status st = SG_OK;
    size_t S = state_rows(e), n = 0, k = 0;
    double *G = NULL, *Q = NULL, *B = NULL, weight[2 * SG_MAX_LAYERS];
    tail_generation *g = sg_calloc(1, sizeof *g);
    for (size_t b = 0; b < e->n_groups; b++)
        for (size_t j = 0; j < e->groups[b]->n; j++)
            n += e->groups[b]->position[j] >= oldest && e->groups[b]->position[j] < until;
    if (!n)
        goto done;
    if (!g || !(G = sg_calloc(S * n * e->E, sizeof *G)) || !(g->position = sg_calloc(n, sizeof *g->position)) ||
        !(g->set = sg_calloc(n, sizeof *g->set)) || !(g->counts = sg_calloc(n, sizeof *g->counts)))
        TRY(sg_fail(err, SG_ENOMEM, "gradient: no memory for the long window"));
    for (size_t b = 0; b < e->n_groups; b++)
        for (size_t j = 0; j < e->groups[b]->n; j++) {
            const group *from = e->groups[b];
            if (from->position[j] < oldest || from->position[j] >= until)
                continue;
            gather(e, from, j, n * e->E, G + g->n * e->E);
            g->position[g->n] = from->position[j], g->set[g->n] = from->set[j], g->counts[g->n] = from->counts[j];
            g->n++;
        }
    for (size_t b = 0, row = 0; b < e->L * e->P; b++) { /* each layer's U and C count alike, however small they are */
        size_t numbers = e->layer[b / e->P].H * n * e->E;
        double norm = 0;
        for (size_t i = 0; i < numbers; i++)
            norm += G[row + i] * G[row + i];
        weight[b] = norm > 0 ? 1 / sqrt(norm) : 1;
        for (size_t i = 0; i < numbers; i++)
            G[row + i] *= weight[b];
        row += numbers;
    }
    TRY(find_basis(e, S, n * e->E, G, &k, &Q, &B, err));
    TRY(keep_directions(e, g, k, Q, B, weight, err));
    if (e->n_tail == e->tail_room) {
        size_t room = e->tail_room ? 2 * e->tail_room : 8;
        tail_generation **p = sg_regrow(e->tails, e->tail_room, room, sizeof(tail_generation *));
        if (!p)
            TRY(sg_fail(err, SG_ENOMEM, "gradient: no memory for the long window"));
        e->tails = p, e->tail_room = room;
    }
    e->tails[e->n_tail++] = g, g = NULL;
done:
    tail_free(g);
    sg_free(G);
    sg_free(Q);
    sg_free(B);
    return st;
}

/* B = Q T, R <- T R, and what has become negligible goes. */
static sg_status shrink(sg_engine *e, tail_generation *g, sg_error *err)
{
    sg_status st = SG_OK;
    size_t S = state_rows(e), r = g->r, N = g->n * e->E, wide = padded(e->E), row = 0;
    double weight[2 * SG_MAX_LAYERS];
    double *Q = sg_calloc(S * r, sizeof *Q), *T = sg_calloc(r * r, sizeof *T), *R = sg_calloc(r * N, sizeof *R);
    double *B = sg_calloc(r, (N > r ? N : r) * sizeof *B);
    if (!Q || !T || !R || !B)
        TRY(sg_fail(err, SG_ENOMEM, "gradient: no memory for the long window"));
    for (size_t l = 0; l < e->L; l++)
        for (size_t p = 0; p < e->P; p++)
            for (size_t j = 0; j < e->layer[l].H; j++, row++)
                for (size_t c = 0; c < r; c++)
                    Q[row * r + c] = (double)(p ? g->C[l] : g->U[l])[c / SG_STRIP][j * SG_STRIP + c % SG_STRIP];
    for (size_t o = 0; o < g->n; o++)
        for (size_t j = 0; j < r; j++)
            for (size_t c = 0; c < e->E; c++)
                R[j * N + o * e->E + c] =
                    (double)g->R[o * wide * r + (c / SG_STRIP * r + j) * SG_STRIP + c % SG_STRIP];
    la_dgemm(LA_N, LA_T, r, r, N, 1, R, N, R, N, 0, B, r); /* B is free as yet */
    for (size_t b = 0, first = 0; b < e->L * e->P; b++) { /* |rows R|^2 = sum of (rows^T rows) * (R R^T) */
        size_t numbers = e->layer[b / e->P].H;
        double norm = 0;
        la_dgemm(LA_T, LA_N, r, r, numbers, 1, Q + first * r, r, Q + first * r, r, 0, T, r);
        for (size_t i = 0; i < r * r; i++)
            norm += T[i] * B[i];
        weight[b] = norm > 0 ? 1 / sqrt(norm) : 1;
        for (size_t i = 0; i < numbers * r; i++)
            Q[first * r + i] *= weight[b];
        first += numbers;
    }
    memset(T, 0, r * r * sizeof *T);
    orthonormalise(S, r, Q, T);
    la_dgemm(LA_N, LA_N, r, N, r, 1, T, r, R, N, 0, B, N);
    TRY(keep_directions(e, g, r, Q, B, weight, err));
done:
    sg_free(Q);
    sg_free(T);
    sg_free(R);
    sg_free(B);
    return st;
}

sg_status tail_cut(sg_engine *e, uint64_t oldest, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t end = e->position; /* of the next token */
    size_t kept = 0;
    for (size_t i = 0; i < e->n_tail; i++) {
        tail_generation *g = e->tails[i];
        if (g->position[g->n - 1] < oldest)
            tail_free(g);
        else
            e->tails[kept++] = g;
    }
    e->n_tail = kept;
    if (end % e->tail)
        return SG_OK;
    for (size_t i = 0; i < e->n_tail; i++)
        TRY(shrink(e, e->tails[i], err));
    if (end >= e->tail && end - e->tail > e->exact) {
        uint64_t until = end - e->tail;
        TRY(new_generation(e, oldest > e->exact ? oldest : e->exact, until, err));
        e->exact = until;
    }
done:
    return st;
}

/* ---- a block of tokens ---- */

/* F (state, row block, r, 32) of token i: the transposed rows of the basis that each wanted state consists of. */
static void note_rows(const sg_engine *e, tail_generation *g, size_t i)
{
    for (size_t l = 0; l < e->L; l++)
        for (int hidden = 0; hidden < 2; hidden++) {
            size_t state = e->sum_of[l][hidden], H = e->layer[l].H;
            if (state == NONE)
                continue;
            float *F = g->F + (i * e->n_states + state) * g->r * e->tail_rows;
            float *const *from = hidden ? g->U[l] : g->C[l];
            for (size_t j = 0; j < H; j++)
                for (size_t c = 0; c < g->r; c++)
                    F[(j / SG_STRIP * g->r + c) * SG_STRIP + j % SG_STRIP] =
                        from[c / SG_STRIP][j * SG_STRIP + c % SG_STRIP];
        }
}

void tail_step(sg_engine *e, tail_generation *g)
{
    for (size_t i = 0; i < e->n_tokens; i++) {
        for (size_t l = 0; l < e->L; l++) {
            const engine_layer *y = &e->layer[l];
            sg_step_matrix m = {y->packed[i], y->diagonal[i], y->H, y->H, y->K2, NULL, 0};
            for (size_t s = 0; s < g->strips; s++) {
                sg_strip_job job = {g->U[l][s], l ? g->U[l - 1][s] : NULL, e->P == 2 ? g->C[l][s] : NULL,
                                    g->spare[l], NULL, NULL, false};
                (e->P == 2 ? e->kernels->step_pair : e->kernels->step_single)(&m, 1, &job);
                g->spare[l] = g->U[l][s], g->U[l][s] = job.next;
            }
        }
        note_rows(e, g, i);
    }
}

/* sum[32 rows][32 columns] of a (state, row block, strip of E), all pairs of all generations, in one order. */
void tail_sum(sg_engine *e, sg_accum *a, size_t state, size_t block, size_t strip)
{
    size_t H = e->states[state].units, rows = H - block * SG_STRIP < SG_STRIP ? H - block * SG_STRIP : SG_STRIP;
    size_t width = strip < e->full ? SG_STRIP : e->rest, wide = padded(e->E);
    for (size_t n = 0; n < e->n_tail; n++) {
        const tail_generation *g = e->tails[n];
        for (size_t o = 0; o < g->n; o++)
            for (size_t i = 0; i < e->n_tokens && g->counts[o]; i++) {
                const block_token *t = &e->token[i];
                if (!t->counted || g->position[o] < t->oldest)
                    continue;
                float *sum = accum_partial(a, state, g->set[o], (size_t)(t->position - g->position[o])) +
                             strip * H * SG_STRIP + block * SG_STRIP * width;
                const float *F = g->F + ((i * e->n_states + state) * e->tail_rows + block * SG_STRIP) * g->r;
                const float *R = g->R + o * wide * g->r + strip * g->r * SG_STRIP;
                if (rows == SG_STRIP && width == SG_STRIP) {
                    e->kernels->moment(g->r, F, R, sum);
                    continue;
                }
                _Alignas(64) float part[SG_STRIP * SG_STRIP] = {0};
                e->kernels->moment(g->r, F, R, part);
                for (size_t j = 0; j < rows; j++)
                    for (size_t c = 0; c < width; c++)
                        sum[j * width + c] += part[j * SG_STRIP + c];
            }
    }
}
