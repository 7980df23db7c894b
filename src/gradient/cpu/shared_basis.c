/* SPDX-License-Identifier: MIT */
/* Long windows: origins that are old enough share a basis.
 *
 * The product of many steps' Jacobians has few singular values that matter: after a few dozen steps the
 * gradients of all origins of a segment lie, to within the tolerance, in a space of few dimensions. At each
 * cut (every `cut_every` tokens) the origins of the last segment but one are given a shared basis:
 *
 *   [U C of all layers][s] = B R_s        B (S, r) orthonormal, for all of them; R_s (r, E), one per
 *                                         origin
 *
 * From then on B takes the steps, in the place of every origin's E columns, and G[t,s] = F_t R_s with F_t the
 * rows of B that belong to the state asked for. At each further cut B = Q T is made orthonormal again, R_s <-
 * T R_s, and what has fallen below the tolerance is cut off, so r goes on shrinking. The part of an origin
 * that is dropped at a cut is at most `tolerance` of its Frobenius norm then. A segment that does not fit
 * into few directions stays exact and is tried again at the next cut.
 *
 * What the dropped parts have become is measured as we go. PROBES columns p = sum_s G[s] g_s,
 * g_s random and in proportion to 1 / |G[s]|, take the same steps as B; the basis gives B h for them,
 * h = sum_s R_s g_s. The expected |p - B h|^2 is the sum of |G[s] - B R_s|^2 / |G[s]|^2 over the origins,
 * however often directions were dropped. This file makes and changes bases, shared_basis_step.c uses them. */
#include "gradient/cpu/engine_internal.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <math.h>
#include <string.h>

enum { FIRST_DIRECTIONS = 64 };

/* Directions with what they hold: G = Q^T B, E columns an origin, rows U then C of each layer. */
typedef struct {
    size_t S, k, N;
    double *Q;      /* (k,S) rows orthonormal; rows of a layer's U, C multiplied by weight */
    double *B;      /* (k,N) */
    double *probes; /* (PROBES,S), not weighted */
    double weight[2 * SG_MAX_LAYERS];
} reduced;

static size_t state_rows(const sg_engine *e)
{
    size_t S = 0;
    for (size_t l = 0; l < e->L; l++)
        S += e->P * e->layer[l].H;
    return S;
}

void basis_free(shared_basis *g)
{
    if (!g)
        return;
    sg_free(g->memory);
    sg_free(g->R);
    sg_free(g->F);
    sg_free(g->X);
    sg_free(g->T);
    sg_free(g->h);
    sg_free(g->position);
    sg_free(g->set);
    sg_free(g->counts);
    sg_free(g->size);
    sg_free(g->missed);
    sg_free(g);
}

/* The most directions that are worth it. A step of one costs what a column of an origin costs; sums cost 2 E
 * units an origin and direction more. Half of where the two ways cost the same, but a strip is always worth
 * it. */
static size_t most_directions(const sg_engine *e)
{
    double step = 0, units = 0, columns = (double)(e->cut_every * e->E);
    for (size_t l = 0; l < e->L; l++)
        step += 2 * (double)(e->P * e->layer[l].H * (e->layer[l].K1 + e->layer[l].K2));
    for (size_t i = 0; i < e->n_states; i++)
        units += (double)e->states[i].units;
    double even = columns * step / (step + 2 * columns * units) / 2, room = TAIL_STRIPS * SG_STRIP - PROBES;
    return (size_t)fmax(SG_STRIP, fmin(even, room));
}

static shared_basis *new_basis(const sg_engine *e, size_t n)
{
    shared_basis *g = sg_calloc(1, sizeof *g);
    if (!g || !(g->position = sg_calloc(n, sizeof *g->position)) ||
        !(g->set = sg_calloc(n, sizeof *g->set)) || !(g->counts = sg_calloc(n, sizeof *g->counts)) ||
        !(g->size = sg_calloc(n, sizeof *g->size)) ||
        !(g->missed = sg_calloc(e->block, e->n_states * sizeof *g->missed))) {
        basis_free(g);
        return NULL;
    }
    return g;
}

/* Room for r directions and the probes; what was there is gone. */
static sg_status make_room(const sg_engine *e, shared_basis *g, size_t r, sg_error *err)
{
    size_t one = 0, wide = basis_padded(e->E), rows = e->block * e->n_states * e->basis_rows;
    g->r = r, g->strips = basis_padded(r + PROBES) / SG_STRIP;
    for (size_t l = 0; l < e->L; l++)
        one += e->layer[l].strip;
    size_t spare = one, floats = e->P * g->strips * one + spare,
           square = g->strips * g->strips * SG_STRIP * SG_STRIP;
    float **const old[] = {&g->memory, &g->R, &g->F, &g->X, &g->T};
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        sg_free(*old[i]);
        *old[i] = NULL;
    }
    sg_free(g->h);
    g->h = NULL;
    if (!(g->memory = sg_calloc(floats, sizeof *g->memory)) ||
        !(g->R = sg_calloc(g->n * wide, r * sizeof *g->R)) || !(g->F = sg_calloc(rows, r * sizeof *g->F)) ||
        !(g->h = sg_calloc(r, PROBES * sizeof *g->h)) ||
        (e->moment_every && (!(g->X = sg_calloc(e->n_states, square * sizeof *g->X)) ||
                             !(g->T = sg_calloc(g->strips * SG_STRIP, wide * sizeof *g->T)))))
        return no_memory(err, "a basis of %zu directions", r);
    float *at = g->memory;
    for (size_t l = 0; l < e->L; l++) {
        for (size_t p = 0; p < e->P; p++)
            for (size_t s = 0; s < g->strips; s++, at += e->layer[l].strip)
                *(p ? &g->C[l][s] : &g->U[l][s]) = at;
        g->spare[l] = at, at += e->layer[l].strip;
    }
    return SG_OK;
}

/* The random numbers of a basis's probes: a row of E numbers for each probe and origin, asked for in
 * order. */
static void probe_row(sg_rng *rng, const shared_basis *g, size_t o, size_t E, double *row)
{
    for (size_t c = 0; c < E; c++)
        row[c] = g->size[o] > 0 ? sg_rng_normal(rng) / g->size[o] : 0;
}

/* h (r, PROBES) from R. */
static sg_status probe_basis(const sg_engine *e, shared_basis *g, sg_error *err)
{
    sg_rng rng;
    double *row = sg_calloc(e->E, sizeof *row);
    if (!row)
        return no_memory(err, "the long window");
    sg_rng_seed(&rng, 2, g->position[0]);
    for (size_t q = 0; q < PROBES; q++)
        for (size_t o = 0; o < g->n; o++) {
            probe_row(&rng, g, o, e->E, row);
            for (size_t j = 0; j < g->r; j++)
                for (size_t c = 0; c < e->E; c++)
                    g->h[j * PROBES + q] += (double)*basis_R(g, o, j, c) * row[c];
        }
    sg_free(row);
    return SG_OK;
}

/* Rows of Y (k,S) made orthonormal one after another (twice, for the sake of rounding); rows that depend on
 * earlier ones become zero. T (k,k) upper triangular, may be NULL: Y^T = Q^T T. work: k. */
static void orthonormalise(size_t S, size_t k, double *Y, double *T, double *work)
{
    for (size_t c = 0; c < k; c++) {
        double before = 0, after = 0, *y = Y + c * S;
        for (size_t i = 0; i < S; i++)
            before += y[i] * y[i];
        for (int pass = 0; pass < 2 && c; pass++) {
            la_dgemm(LA_N, LA_T, 1, c, S, 1, y, S, Y, S, 0, work, c);
            la_dgemm(LA_N, LA_N, 1, S, c, -1, work, c, Y, S, 1, y, S);
            for (size_t b = 0; T && b < c; b++)
                T[b * k + c] += work[b];
        }
        for (size_t i = 0; i < S; i++)
            after += y[i] * y[i];
        bool keep = after > 1e-24 * before && after > 0;
        for (size_t i = 0; i < S; i++)
            y[i] = keep ? y[i] / sqrt(after) : 0;
        if (T)
            T[c * k + c] = keep ? sqrt(after) : 0;
    }
}

/* V (k,k), eigenvectors in its rows from the least to the most important, and how few of them hold all but
 * `tolerance` of every origin, each counted relative to its own size. */
static sg_status choose_directions(const sg_engine *e, const reduced *x, double *V, size_t *r, sg_error *err)
{
    sg_status st = SG_OK;
    size_t E = e->E, k = x->k, N = x->N;
    double *values = sg_calloc(k, sizeof *values), *scaled = sg_calloc(k, N * sizeof *scaled);
    NEED(values && scaled, err, "the long window");
    for (size_t o = 0; o < N / E; o++) {
        double norm = 0;
        for (size_t j = 0; j < k; j++)
            for (size_t c = 0; c < E; c++)
                norm += x->B[j * N + o * E + c] * x->B[j * N + o * E + c];
        for (size_t j = 0; j < k && norm > 0; j++)
            for (size_t c = 0; c < E; c++)
                scaled[j * N + o * E + c] = x->B[j * N + o * E + c] / sqrt(norm);
    }
    la_dgemm(LA_N, LA_T, k, k, N, 1, scaled, N, scaled, N, 0, V, k);
    TRY(la_eigh(k, V, values, true, err)); /* ascending */
    double dropped = 0, most = e->tolerance * e->tolerance;
    for (*r = k; *r > 1 && dropped + fmax(values[k - *r], 0) <= most; --*r)
        dropped += fmax(values[k - *r], 0);
done:
    sg_free(values);
    sg_free(scaled);
    return st;
}

/* The most important directions of x and the probes become the basis. */
static sg_status keep_directions(const sg_engine *e, shared_basis *g, const reduced *x, sg_error *err)
{
    sg_status st = SG_OK;
    size_t k = x->k, N = x->N, S = x->S, row = 0, r = 0;
    double *V = sg_calloc(k, k * sizeof *V), *kept = NULL, *R = NULL;
    NEED(V, err, "the long window");
    TRY(choose_directions(e, x, V, &r, err));
    NEED((kept = sg_calloc(r, S * sizeof *kept)) && (R = sg_calloc(r, N * sizeof *R)), err,
         "the long window");
    TRY(make_room(e, g, r, err));
    la_dgemm(LA_N, LA_N, r, S, k, 1, V + (k - r) * k, k, x->Q, S, 0, kept, S);
    la_dgemm(LA_N, LA_N, r, N, k, 1, V + (k - r) * k, k, x->B, N, 0, R, N);
    for (size_t l = 0; l < e->L; l++)
        for (size_t p = 0; p < e->P; p++, row += e->layer[l].H)
            for (size_t c = 0; c < r + PROBES; c++) {
                float *strip = (p ? g->C[l] : g->U[l])[c / SG_STRIP] + c % SG_STRIP;
                for (size_t j = 0; j < e->layer[l].H; j++)
                    strip[j * SG_STRIP] = (float)(c < r ? kept[c * S + row + j] / x->weight[l * e->P + p]
                                                        : x->probes[(c - r) * S + row + j]);
            }
    for (size_t o = 0; o < g->n; o++)
        for (size_t j = 0; j < r; j++)
            for (size_t c = 0; c < e->E; c++)
                *basis_R(g, o, j, c) = (float)R[j * N + o * e->E + c];
    TRY(probe_basis(e, g, err));
done:
    sg_free(V);
    sg_free(kept);
    sg_free(R);
    return st;
}

/* ---- a new basis ---- */

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

/* The largest share of an origin's norm that Q^T B misses of G. rest: as G. */
static double worst_missing(const sg_engine *e, const shared_basis *g, const reduced *x, const double *G,
                            double *rest)
{
    double worst = 0;
    memcpy(rest, G, x->S * x->N * sizeof *rest);
    la_dgemm(LA_T, LA_N, x->S, x->N, x->k, -1, x->Q, x->S, x->B, x->N, 1, rest, x->N);
    for (size_t o = 0; o < g->n; o++) {
        double left = 0;
        for (size_t i = 0; i < x->S; i++)
            for (size_t c = 0; c < e->E; c++)
                left += rest[i * x->N + o * e->E + c] * rest[i * x->N + o * e->E + c];
        worst = g->size[o] > 0 ? fmax(worst, sqrt(left) / g->size[o]) : worst;
    }
    return worst;
}

/* Q, B with G = Q^T B to well within the tolerance, from random combinations of G's columns; *fits false:
 * that takes more directions than are worth it. */
static sg_status find_basis(const sg_engine *e, const shared_basis *g, const double *G, reduced *x,
                            bool *fits, sg_error *err)
{
    sg_status st = SG_OK;
    size_t S = x->S, N = x->N, most = most_directions(e);
    double *omega = NULL, *work = NULL, *rest = sg_calloc(S, N * sizeof *rest);
    NEED(rest, err, "the long window");
    most = most > FIRST_DIRECTIONS ? most : FIRST_DIRECTIONS;
    most = most < S ? most : S;
    most = most < N ? most : N;
    for (size_t k = FIRST_DIRECTIONS; x->k < most; k *= 2) {
        sg_rng rng;
        x->k = k < most ? k : most;
        sg_rng_seed(&rng, 1, e->position);
        sg_free(omega), sg_free(work), sg_free(x->Q), sg_free(x->B);
        x->Q = x->B = work = NULL;
        NEED((omega = sg_calloc(x->k, N * sizeof *omega)) && (x->Q = sg_calloc(x->k, S * sizeof *x->Q)) &&
                 (x->B = sg_calloc(x->k, N * sizeof *x->B)) && (work = sg_calloc(x->k, sizeof *work)),
             err, "a basis of %zu directions", x->k);
        for (size_t i = 0; i < x->k * N; i++)
            omega[i] = g->size[i % N / e->E] > 0 ? sg_rng_normal(&rng) / g->size[i % N / e->E] : 0;
        la_dgemm(LA_N, LA_T, x->k, S, N, 1, omega, N, G, N, 0, x->Q, S);
        orthonormalise(S, x->k, x->Q, NULL, work);
        la_dgemm(LA_N, LA_N, x->k, N, S, 1, x->Q, S, G, N, 0, x->B, N);
        *fits = worst_missing(e, g, x, G, rest) <= 0.5 * e->tolerance || x->k == S || x->k == N;
        if (*fits)
            break;
    }
done:
    sg_free(omega);
    sg_free(work);
    sg_free(rest);
    return st;
}

/* Each layer's U and C count alike, however small they are. Then the origins' sizes, and the probes. */
static void scale_layers(const sg_engine *e, shared_basis *g, double *G, reduced *x)
{
    size_t N = x->N, row = 0;
    sg_rng rng;
    sg_rng_seed(&rng, 2, g->position[0]);
    for (size_t b = 0; b < e->L * e->P; b++) {
        size_t numbers = e->layer[b / e->P].H * N;
        double norm = 0;
        for (size_t i = 0; i < numbers; i++)
            norm += G[row + i] * G[row + i];
        x->weight[b] = norm > 0 ? 1 / sqrt(norm) : 1;
        for (size_t i = 0; i < numbers; i++)
            G[row + i] *= x->weight[b];
        row += numbers;
    }
    for (size_t i = 0; i < x->S * N; i++)
        g->size[i % N / e->E] += G[i] * G[i];
    for (size_t o = 0; o < g->n; o++)
        g->size[o] = sqrt(g->size[o]);
}

static sg_status set_probes(const sg_engine *e, const shared_basis *g, const double *G, reduced *x,
                            sg_error *err)
{
    sg_rng rng;
    size_t row = 0;
    double *random = sg_calloc(PROBES, x->N * sizeof *random);
    if (!random)
        return no_memory(err, "the long window");
    sg_rng_seed(&rng, 2, g->position[0]);
    for (size_t i = 0; i < PROBES * g->n; i++)
        probe_row(&rng, g, i % g->n, e->E, random + i * e->E);
    la_dgemm(LA_N, LA_T, PROBES, x->S, x->N, 1, random, x->N, G, x->N, 0, x->probes, x->S);
    for (size_t b = 0; b < e->L * e->P; b++)
        for (size_t j = 0; j < e->layer[b / e->P].H; j++, row++)
            for (size_t q = 0; q < PROBES; q++)
                x->probes[q * x->S + row] /= x->weight[b];
    sg_free(random);
    return SG_OK;
}

static void list_origins(const sg_engine *e, uint64_t from, uint64_t until, shared_basis *g, size_t N,
                         double *G)
{
    for (size_t b = 0; b < e->n_groups; b++)
        for (size_t j = 0; j < e->groups[b]->n; j++) {
            const group *of = e->groups[b];
            if (of->position[j] < from || of->position[j] >= until)
                continue;
            gather(e, of, j, N, G + g->n * e->E);
            g->position[g->n] = of->position[j], g->set[g->n] = of->set[j], g->counts[g->n] = of->counts[j];
            g->n++;
        }
}

static size_t count_origins(const sg_engine *e, uint64_t from, uint64_t until)
{
    size_t n = 0;
    for (size_t b = 0; b < e->n_groups; b++)
        for (size_t j = 0; j < e->groups[b]->n; j++)
            n += e->groups[b]->position[j] >= from && e->groups[b]->position[j] < until;
    return n;
}

static sg_status add_basis(sg_engine *e, shared_basis *g, sg_error *err)
{
    if (e->n_bases == e->basis_room) {
        size_t room = e->basis_room ? 2 * e->basis_room : 8;
        shared_basis **p = sg_regrow(e->bases, e->basis_room, room, sizeof(shared_basis *));
        if (!p)
            return no_memory(err, "the long window");
        e->bases = p, e->basis_room = room;
    }
    e->bases[e->n_bases++] = g;
    return SG_OK;
}

/* Exact origins from `from` on, before `until`, are given a shared basis, if they fit into one. */
static sg_status make_basis(sg_engine *e, uint64_t from, uint64_t until, bool *fits, sg_error *err)
{
    sg_status st = SG_OK;
    size_t n = count_origins(e, from, until);
    reduced x = {.S = state_rows(e), .N = n * e->E};
    double *G = NULL;
    shared_basis *g = NULL;
    *fits = true;
    if (!n)
        return SG_OK;
    NEED((g = new_basis(e, n)) && (G = sg_calloc(x.S, x.N * sizeof *G)) &&
             (x.probes = sg_calloc(PROBES, x.S * sizeof *x.probes)),
         err, "the long window");
    list_origins(e, from, until, g, x.N, G);
    scale_layers(e, g, G, &x);
    TRY(find_basis(e, g, G, &x, fits, err));
    if (!*fits)
        goto done;
    TRY(set_probes(e, g, G, &x, err));
    TRY(keep_directions(e, g, &x, err));
    TRY(add_basis(e, g, err));
    g = NULL;
done:
    basis_free(g);
    sg_free(G);
    sg_free(x.Q);
    sg_free(x.B);
    sg_free(x.probes);
    return st;
}

/* ---- at a cut ---- */

/* The basis and the probes as rows of doubles. */
static void read_basis(const sg_engine *e, const shared_basis *g, reduced *x)
{
    size_t row = 0;
    for (size_t l = 0; l < e->L; l++)
        for (size_t p = 0; p < e->P; p++, row += e->layer[l].H)
            for (size_t c = 0; c < g->r + PROBES; c++) {
                const float *strip = (p ? g->C[l] : g->U[l])[c / SG_STRIP] + c % SG_STRIP;
                double *to = (c < g->r ? x->Q + c * x->S : x->probes + (c - g->r) * x->S) + row;
                for (size_t j = 0; j < e->layer[l].H; j++)
                    to[j] = (double)strip[j * SG_STRIP];
            }
}

/* B = Q T, R <- T R, and what has become negligible goes. */
static sg_status shrink(const sg_engine *e, shared_basis *g, sg_error *err)
{
    sg_status st = SG_OK;
    size_t r = g->r, first = 0;
    reduced x = {.S = state_rows(e), .k = r, .N = g->n * e->E};
    double *T = sg_calloc(r, r * sizeof *T), *RR = sg_calloc(r, r * sizeof *RR),
           *R = sg_calloc(r, x.N * sizeof *R);
    double *work = sg_calloc(r, sizeof *work);
    x.Q = sg_calloc(r, x.S * sizeof *x.Q), x.B = sg_calloc(r, x.N * sizeof *x.B);
    x.probes = sg_calloc(PROBES, x.S * sizeof *x.probes);
    NEED(T && RR && R && work && x.Q && x.B && x.probes, err, "the long window");
    read_basis(e, g, &x);
    for (size_t o = 0; o < g->n; o++)
        for (size_t j = 0; j < r; j++)
            for (size_t c = 0; c < e->E; c++)
                R[j * x.N + o * e->E + c] = (double)*basis_R(g, o, j, c);
    la_dgemm(LA_N, LA_T, r, r, x.N, 1, R, x.N, R, x.N, 0, RR, r);
    for (size_t b = 0; b < e->L * e->P; b++) { /* |rows R|^2 = sum of (rows^T rows) * (R R^T) */
        size_t numbers = e->layer[b / e->P].H;
        double norm = 0;
        la_dgemm(LA_N, LA_T, r, r, numbers, 1, x.Q + first, x.S, x.Q + first, x.S, 0, T, r);
        for (size_t i = 0; i < r * r; i++)
            norm += T[i] * RR[i];
        x.weight[b] = norm > 0 ? 1 / sqrt(norm) : 1;
        for (size_t i = 0; i < numbers * r; i++)
            x.Q[i / numbers * x.S + first + i % numbers] *= x.weight[b];
        first += numbers;
    }
    memset(T, 0, r * r * sizeof *T);
    orthonormalise(x.S, r, x.Q, T, work);
    la_dgemm(LA_N, LA_N, r, x.N, r, 1, T, r, R, x.N, 0, x.B, x.N);
    TRY(keep_directions(e, g, &x, err));
done:
    sg_free(T);
    sg_free(RR);
    sg_free(R);
    sg_free(work);
    sg_free(x.Q);
    sg_free(x.B);
    sg_free(x.probes);
    return st;
}

void basis_drop(sg_engine *e, uint64_t oldest)
{
    size_t kept = 0;
    for (size_t i = 0; i < e->n_bases; i++) {
        shared_basis *g = e->bases[i];
        if (g->position[g->n - 1] < oldest)
            basis_free(g);
        else
            e->bases[kept++] = g;
    }
    e->n_bases = kept;
}

static sg_status shrink_all(sg_engine *e, sg_error *err)
{
    sg_status failed = SG_OK;
#pragma omp parallel for schedule(dynamic) num_threads(e->threads)
    for (size_t i = 0; i < e->n_bases; i++) {
        sg_error inner = {""};
        sg_status st = shrink(e, e->bases[i], &inner);
        if (st != SG_OK) {
#pragma omp critical
            {
                failed = st;
                if (err)
                    *err = inner;
            }
        }
    }
    return failed;
}

sg_status basis_cut(sg_engine *e, uint64_t oldest, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t end = e->position; /* of the next token */
    basis_drop(e, oldest);
    if (end % e->cut_every)
        return SG_OK;
    TRY(shrink_all(e, err));
    if (oldest > e->exact)
        e->exact = oldest;
    for (;;) {
        uint64_t until = (e->exact / e->cut_every + 1) * e->cut_every;
        bool fits;
        if (until + e->cut_every > end)
            break;
        TRY(make_basis(e, e->exact, until, &fits, err));
        if (!fits)
            break;
        e->exact = until;
    }
done:
    return st;
}

/* ---- checkpoints ---- */

bool basis_save(const sg_engine *e, const shared_basis *g, FILE *f)
{
    uint64_t h[2] = {g->n, g->r};
    bool ok = fwrite(h, sizeof h, 1, f) == 1 && fwrite(g->position, sizeof *g->position, g->n, f) == g->n &&
              fwrite(g->set, sizeof *g->set, g->n, f) == g->n &&
              fwrite(g->counts, sizeof *g->counts, g->n, f) == g->n &&
              fwrite(g->size, sizeof *g->size, g->n, f) == g->n;
    size_t numbers = g->n * basis_padded(e->E) * g->r;
    ok = ok && fwrite(g->R, sizeof *g->R, numbers, f) == numbers;
    for (size_t l = 0; ok && l < e->L; l++)
        for (size_t i = 0; ok && i < e->P * g->strips; i++) {
            numbers = e->layer[l].H * SG_STRIP;
            ok = fwrite(i < g->strips ? g->U[l][i] : g->C[l][i - g->strips], sizeof(float), numbers, f) ==
                 numbers;
        }
    return ok;
}

sg_status basis_load(sg_engine *e, FILE *f, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t h[2];
    shared_basis *g = NULL;
    if (fread(h, sizeof h, 1, f) != 1 || !h[0] || h[0] > e->D + e->cut_every || !h[1] ||
        h[1] > state_rows(e) || h[1] > TAIL_STRIPS * SG_STRIP - PROBES)
        TRY(sg_fail(err, SG_EFORMAT, "checkpoint: cut short in the shared bases"));
    NEED(g = new_basis(e, (size_t)h[0]), err, "the checkpoint");
    g->n = (size_t)h[0];
    TRY(make_room(e, g, (size_t)h[1], err));
    size_t numbers = g->n * basis_padded(e->E) * g->r;
    bool ok = fread(g->position, sizeof *g->position, g->n, f) == g->n &&
              fread(g->set, sizeof *g->set, g->n, f) == g->n &&
              fread(g->counts, sizeof *g->counts, g->n, f) == g->n &&
              fread(g->size, sizeof *g->size, g->n, f) == g->n &&
              fread(g->R, sizeof *g->R, numbers, f) == numbers;
    for (size_t l = 0; ok && l < e->L; l++)
        for (size_t i = 0; ok && i < e->P * g->strips; i++) {
            numbers = e->layer[l].H * SG_STRIP;
            ok = fread(i < g->strips ? g->U[l][i] : g->C[l][i - g->strips], sizeof(float), numbers, f) ==
                 numbers;
        }
    if (!ok)
        TRY(sg_fail(err, SG_EFORMAT, "checkpoint: cut short in the shared bases"));
    TRY(probe_basis(e, g, err));
    TRY(add_basis(e, g, err));
    g = NULL;
done:
    basis_free(g);
    return st;
}
