/* SPDX-License-Identifier: MIT */
/* Relative errors of sigma_1, see sampled.h. */
#include "analysis/pass/sampled.h"
#include "analysis/pass/shared.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"
#include "stategrad/stats.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { LAST_DELAY = 20 };

/* One state, class and delay. */
typedef struct {
    const analysis *an;
    const block_sums *halves;
    size_t g, c, d, H, E, B;
    sp_frame frame;
    float *half[2], *mean;    /* (H,E): the halves of a block, both together; sums of the pairs that exist */
    double *T, *G;            /* (H,E) */
    double *left, *right, *a; /* (H,R), (R,E); (E): L v */
    double *gram, *values, *work;
    double *weights, *without; /* (B) */
} item;

static void item_free(item *x)
{
    for (int h = 0; h < 2; h++)
        sg_free(x->half[h]);
    sg_free(x->mean), sg_free(x->T), sg_free(x->G), sg_free(x->left), sg_free(x->right), sg_free(x->a);
    sg_free(x->gram), sg_free(x->values), sg_free(x->work), sg_free(x->weights), sg_free(x->without);
}

static sg_status item_init(item *x, const analysis *an, const block_sums *halves, size_t g, size_t c,
                           size_t d, sg_error *err)
{
    size_t H = an->groups[g].units, E = an->E, HE = H * E, R = H < E ? H : E;
    *x = (item){.an = an,
                .halves = halves,
                .g = g,
                .c = c,
                .d = d,
                .H = H,
                .E = E,
                .B = an->B,
                .frame = {H, E, R, 0, an->L[an->groups[g].model], NULL}};
    if (!(x->half[0] = sg_calloc(HE, sizeof(float))) || !(x->half[1] = sg_calloc(HE, sizeof(float))) ||
        !(x->mean = sg_calloc(HE, sizeof(float))) || !(x->T = sg_calloc(HE, sizeof(double))) ||
        !(x->G = sg_calloc(HE, sizeof(double))) || !(x->left = sg_calloc(H * R, sizeof(double))) ||
        !(x->right = sg_calloc(R * E, sizeof(double))) || !(x->a = sg_calloc(E, sizeof(double))) ||
        !(x->gram = sg_calloc(E * E, sizeof(double))) ||
        !(x->values = sg_calloc(sp_count(&x->frame), sizeof(double))) ||
        !(x->work = sg_calloc(sp_work(&x->frame), sizeof(double))) ||
        !(x->weights = sg_calloc(x->B, sizeof(double))) || !(x->without = sg_calloc(x->B, sizeof(double))))
        return no_memory(err, "the sampling errors");
    return SG_OK;
}

static const sums_weight *weight_of(const item *x, size_t b, size_t half)
{
    return sums_weight_at(x->halves, 2 * b + half, x->c, x->d);
}

/* The sums of block b: of its halves, and of both as they would be joined. */
static sg_status read_block(item *x, size_t b, sg_error *err)
{
    sg_status st = SG_OK;
    const sums_weight *w[2] = {weight_of(x, b, 0), weight_of(x, b, 1)};
    double pairs = (double)(w[0]->pairs + w[1]->pairs), weight = fmax(w[0]->weight, w[1]->weight);
    memset(x->mean, 0, x->H * x->E * sizeof *x->mean);
    for (size_t h = 0; h < 2; h++) {
        if (!(w[h]->weight > 0))
            continue;
        TRY(sums_get(x->halves, 2 * b + h, x->g, x->c, x->d, x->half[h], NULL, err));
        float share = (float)((double)w[h]->pairs / pairs / w[h]->weight * weight);
        for (size_t i = 0; i < x->H * x->E; i++)
            x->mean[i] += share * x->half[h][i];
    }
done:
    return st;
}

/* u' A L v for a sum A (H,E) */
static double project_sum(const item *x, const float *A)
{
    double total = 0;
    size_t R = x->frame.R;
    for (size_t j = 0; j < x->H; j++) {
        double row = 0;
        for (size_t e = 0; e < x->E; e++)
            row += (double)A[j * x->E + e] * x->a[e];
        total += x->left[j * R] * row;
    }
    return total;
}

/* Jackknife over blocks, and the halves against each other; NaN where not known. */
static sg_status errors_of(item *x, double *sampling, double *total, sg_error *err)
{
    sg_status st = SG_OK;
    size_t H = x->H, E = x->E, HE = H * E;
    double N = 0, variance = 0, known = 0, whole;
    *sampling = *total = NAN;
    for (size_t b = 0; b < x->B; b++) {
        x->weights[b] = fmax(weight_of(x, b, 0)->weight, weight_of(x, b, 1)->weight);
        N += x->weights[b];
        TRY(read_block(x, b, err));
        for (size_t i = 0; i < HE; i++)
            x->T[i] += (double)x->mean[i];
    }
    if (!(N > 0.5))
        return SG_OK;
    for (size_t i = 0; i < HE; i++)
        x->G[i] = x->T[i] / N;
    TRY(sp_from_mean(x->values, x->left, x->right, &x->frame, x->G, NULL, x->work, err));
    whole = x->values[0];
    for (size_t i = 0; i < E; i++) {
        x->a[i] = 0;
        for (size_t j = 0; j <= i; j++)
            x->a[i] += x->frame.L[i * E + j] * x->right[j];
    }
    for (size_t b = 0; b < x->B; b++) {
        const sums_weight *w[2] = {weight_of(x, b, 0), weight_of(x, b, 1)};
        double n[2] = {(double)w[0]->pairs, (double)w[1]->pairs}, pairs = n[0] + n[1],
               left = N - x->weights[b];
        TRY(read_block(x, b, err));
        if (n[0] > 0 && n[1] > 0) {
            double apart =
                project_sum(x, x->half[0]) / w[0]->weight - project_sum(x, x->half[1]) / w[1]->weight;
            double share = x->weights[b] / N, rest = fmax(0, 1 - pairs / (double)w[0]->exist);
            variance += share * share * apart * apart * n[0] * n[1] / (pairs * pairs) * rest;
            known += share;
        }
        x->without[b] = NAN;
        if (!(left > 0.5))
            continue;
        for (size_t i = 0; i < HE; i++)
            x->G[i] = (x->T[i] - (double)x->mean[i]) / left;
        la_dgemm(LA_T, LA_N, E, E, H, 1, x->G, E, x->G, E, 0, x->gram, E);
        TRY(sp_from_gram(x->values, &x->frame, x->gram, NULL, x->work, err));
        x->without[b] = x->values[0];
    }
    sg_interval interval;
    sg_stats_jackknife(&interval, x->B, x->weights, whole, x->without, 1);
    *total = interval.error / whole;
    *sampling = known >= 0.5 ? sqrt(variance / known) / whole : *total;
done:
    return st;
}

/* The factor by which the number of origins must grow. */
static double growth_of(double s, double e, double P)
{
    double blocks = fmax(e * e - s * s, 0); /* what no drawing makes smaller, squared */
    if (!(e > P) || (s <= P && s <= e / 2))
        return 0;
    double alone = s * s / fmin(P * P, blocks / 3),
           together = blocks < P * P ? s * s / (P * P - blocks) : INFINITY;
    return 1.2 * fmin(alone, together);
}

sg_status sampling_errors(precision_reached *out, double *growth, const analysis *an,
                          const block_sums *halves, sg_error *err)
{
    size_t D = an->D < LAST_DELAY + 1 ? an->D : LAST_DELAY + 1, n = an->n_states * an->C * D;
    double *s = sg_calloc(n, sizeof *s), *e = sg_calloc(n, sizeof *e);
    sg_status failed = SG_OK;
    *growth = 0;
    if (!s || !e) {
        failed = no_memory(err, "the sampling errors");
        n = 0;
    }
#pragma omp parallel for schedule(dynamic, 1) num_threads(analysis_threads(an))
    for (size_t i = 0; i < n; i++) {
        item x;
        sg_error inner;
        sg_status st = item_init(&x, an, halves, i / (an->C * D), i / D % an->C, i % D, &inner);
        if (st == SG_OK)
            st = errors_of(&x, &s[i], &e[i], &inner);
        item_free(&x);
        if (st != SG_OK) {
#pragma omp critical(precision_failed)
            {
                failed = st;
                if (err)
                    *err = inner;
            }
        }
    }
    out->sampling = out->total = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(e[i]))
            continue;
        double g = growth_of(s[i], e[i], an->cfg->precision);
        *growth = g > *growth ? g : *growth;
        out->total = e[i] > out->total ? e[i] : out->total;
        if (s[i] > out->sampling)
            out->sampling = s[i], out->state = i / (an->C * D), out->class = i / D % an->C,
            out->delay = i % D;
    }
    out->origins = 0;
    for (size_t b = 0; b < 2 * an->B; b++)
        out->origins += (uint64_t)sums_weight_at(halves, b, 0, 0)->pairs;
    sg_free(s);
    sg_free(e);
    return failed;
}
