/* SPDX-License-Identifier: MIT */
#include "behaviour/path.h"

#include "base/base_internal.h"
#include "gradient/tangent.h"
#include "lm/forward.h"

#include <math.h>
#include <string.h>

/* Pieces are halved at most DEPTH times: below 2^-24 of the line the inputs differ by less than the precision
 * of float32. */
enum { DEPTH = 24 };

const double path_node_at[PATH_NODES] = {-0.8611363115940526, -0.3399810435848563, 0.3399810435848563,
                                         0.8611363115940526};
const double path_node_weight[PATH_NODES] = {0.3478548451374538, 0.6521451548625461, 0.6521451548625461,
                                             0.3478548451374538};

struct path_work {
    sg_forward *f;
    tangents *tangent;
    size_t layer, H, E, n;
    sg_state_kind kind;
    path_limits limits;
    ticker *watch; /* or NULL */
    double done;
    const float *state;          /* before the origin, of the call */
    float *x, *dx;               /* (most, E) inputs, the first to be set; (E) */
    float *from;                 /* (E) x */
    float *begin, *left;         /* (most, H) states at u = 0, and at the left end of the piece */
    float *right[DEPTH + 1];     /* (most, H) states at the right ends that are waiting, the nearest last */
    double *piece, *sum, *scale; /* (most, H) integrals times dx, of a piece and so far; (most) |Delta| */
};

sg_status path_new(path_work **out, const sg_model *m, size_t layer, sg_state_kind kind, size_t most,
                   path_limits limits, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_model_shape *shape = sg_model_get_shape(m);
    path_work *p = sg_calloc(1, sizeof *p);
    *out = NULL;
    NEED(p, err, "path averages");
    p->limits = limits;
    p->layer = layer, p->kind = kind, p->H = shape->hidden[layer], p->E = shape->embedding;
    TRY(forward_new(&p->f, m, most, err));
    TRY(tangents_new(&p->tangent, m, 1, err));
    const size_t states = p->H * sizeof(float);
    bool room =
        (p->x = sg_calloc(most, p->E * sizeof *p->x)) && (p->dx = sg_calloc(p->E, sizeof *p->dx)) &&
        (p->from = sg_calloc(p->E, sizeof *p->from)) && (p->begin = sg_calloc(most, states)) &&
        (p->left = sg_calloc(most, states)) && (p->piece = sg_calloc(most, p->H * sizeof *p->piece)) &&
        (p->sum = sg_calloc(most, p->H * sizeof *p->sum)) && (p->scale = sg_calloc(most, sizeof *p->scale));
    for (size_t i = 0; room && i <= DEPTH; i++)
        room = (p->right[i] = sg_calloc(most, states));
    NEED(room, err, "path averages over %zu steps", most);
    *out = p, p = NULL;
done:
    path_free(p);
    return st;
}

void path_free(path_work *p)
{
    if (!p)
        return;
    forward_free(p->f), tangents_free(p->tangent);
    sg_free(p->x), sg_free(p->dx), sg_free(p->from), sg_free(p->begin), sg_free(p->left);
    sg_free(p->piece), sg_free(p->sum), sg_free(p->scale);
    for (size_t i = 0; i <= DEPTH; i++)
        sg_free(p->right[i]);
    sg_free(p);
}

void path_watch(path_work *p, ticker *watch, double done)
{
    p->watch = watch;
    p->done = done;
}

/* The forward pass with x + u dx. */
static sg_status run_at(path_work *p, double u, sg_error *err)
{
    for (size_t e = 0; e < p->E; e++)
        p->x[e] = (float)((double)p->from[e] + u * (double)p->dx[e]);
    forward_set_state(p->f, p->state);
    return forward_run(p->f, NULL, p->x, NULL, p->n, err);
}

static sg_status states_at(path_work *p, double u, float *states, sg_error *err)
{
    sg_status st = run_at(p, u, err);
    if (st == SG_OK)
        memcpy(states, sg_forward_state(p->f, p->layer, p->kind, 0), p->n * p->H * sizeof *states);
    return st;
}

/* out (n, H) += weight G dx of the pass that was run. */
static void add_tangents(path_work *p, double weight, double *out)
{
    tangents_zero(p->tangent);
    for (size_t d = 0; d < p->n; d++, out += p->H) {
        tangents_step(p->tangent, p->f, d, d ? NULL : p->dx);
        const float *g = tangents_get(p->tangent, p->layer, p->kind);
        for (size_t j = 0; j < p->H; j++)
            out[j] += weight * (double)g[j];
    }
}

static sg_status integrate(path_work *p, double a, double b, sg_error *err)
{
    sg_status st = SG_OK;
    memset(p->piece, 0, p->n * p->H * sizeof *p->piece);
    for (size_t i = 0; i < PATH_NODES; i++) {
        TRY(run_at(p, (a + b) / 2 + path_node_at[i] * (b - a) / 2, err));
        add_tangents(p, path_node_weight[i] * (b - a) / 2, p->piece);
    }
done:
    return st;
}

static double norm_of_difference(size_t n, const float *a, const float *b, const double *minus)
{
    double square = 0;
    for (size_t j = 0; j < n; j++) {
        const double x = (double)a[j] - (double)b[j] - (minus ? minus[j] : 0);
        square += x * x;
    }
    return sqrt(square);
}

/* What the rounding of the states may hide at delay d. */
static double rounding(const path_work *p, size_t d)
{
    double square = 0;
    for (size_t j = 0; j < p->H; j++)
        square += (double)p->begin[d * p->H + j] * (double)p->begin[d * p->H + j];
    return 1e-6 * sqrt(square);
}

/* Is integral `x` the change of state from a to b, within `tolerance` of the whole change, at every delay? */
static bool complete(const path_work *p, const float *a, const float *b, const double *x, double tolerance)
{
    bool good = true;
    for (size_t d = 0; d < p->n; d++) {
        const size_t at = d * p->H;
        good = good &&
               norm_of_difference(p->H, b + at, a + at, x + at) <= tolerance * p->scale[d] + rounding(p, d);
    }
    return good;
}

/* The line from left to right, piece by piece. */
static sg_status sweep(path_work *p, double tolerance, size_t *nodes, sg_error *err)
{
    sg_status st = SG_OK;
    double end[DEPTH + 1] = {1}, at = 0;
    size_t waiting = 1;
    memcpy(p->left, p->begin, p->n * p->H * sizeof *p->left);
    memset(p->sum, 0, p->n * p->H * sizeof *p->sum);
    TRY(states_at(p, 1, p->right[0], err));
    while (waiting) {
        const double b = end[waiting - 1];
        float *right = p->right[waiting - 1];
        TRY(integrate(p, at, b, err));
        *nodes += PATH_NODES;
        if (p->watch)
            TRY(ticker_tell(p->watch, p->done, err));
        if (waiting <= DEPTH && *nodes < p->limits.nodes &&
            !complete(p, p->left, right, p->piece, tolerance)) {
            end[waiting] = (at + b) / 2;
            TRY(states_at(p, end[waiting], p->right[waiting], err));
            waiting++;
            continue;
        }
        for (size_t i = 0; i < p->n * p->H; i++)
            p->sum[i] += p->piece[i];
        memcpy(p->left, right, p->n * p->H * sizeof *p->left);
        at = b, waiting--;
    }
done:
    return st;
}

sg_status path_average(path_work *p, const float *state, const float *x, size_t n, const float *other,
                       path_effect *effects, size_t *nodes, bool *reached, sg_error *err)
{
    sg_status st = SG_OK;
    p->state = state, p->n = n, *nodes = 0, *reached = false;
    memcpy(p->x, x, n * p->E * sizeof *x);
    memcpy(p->from, x, p->E * sizeof *x);
    for (size_t e = 0; e < p->E; e++)
        p->dx[e] = other[e] - x[e];
    TRY(states_at(p, 1, p->right[0], err));
    TRY(states_at(p, 0, p->begin, err));
    memset(p->piece, 0, n * p->H * sizeof *p->piece);
    add_tangents(p, 1, p->piece);
    for (size_t d = 0; d < n; d++) {
        double square = 0;
        for (size_t j = 0; j < p->H; j++)
            square += p->piece[d * p->H + j] * p->piece[d * p->H + j];
        p->scale[d] = norm_of_difference(p->H, p->right[0] + d * p->H, p->begin + d * p->H, NULL);
        effects[d] = (path_effect){.change = p->scale[d], .linear = sqrt(square)};
    }
    for (double gap = p->limits.gap; !*reached && *nodes < p->limits.nodes; gap /= 8) {
        TRY(sweep(p, gap, nodes, err)); /* errors of pieces add up: then each must be smaller */
        *reached = complete(p, p->begin, p->left, p->sum, p->limits.gap);
    }
    for (size_t d = 0; d < n; d++) {
        const size_t at = d * p->H;
        double square = 0;
        for (size_t j = 0; j < p->H; j++)
            square += p->sum[at + j] * p->sum[at + j];
        effects[d].average = sqrt(square);
        effects[d].gap =
            norm_of_difference(p->H, p->left + at, p->begin + at, p->sum + at) / effects[d].change;
    }
done:
    return st;
}
