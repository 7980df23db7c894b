/* SPDX-License-Identifier: MIT */
/* The tests of `stategrad check`. Each compares vectors: relative difference = largest |a - b| over the
 * larger largest entry of both, with a floor of 1e-7 of the value at delay 0, for differences of their
 * rounding, and always of 1e-30, since a float's factors are flushed to zero at 1e-38: below these a
 * comparison is void. */
#include "stategrad/check.h"

#include "check/growth.h"
#include "check/plain_network.h"

#include "base/base_internal.h"
#include "cell/cell.h"
#include "gradient/backend.h"
#include "io/npy_rows.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* float32 through T steps keeps 1e-5 or better; a fault of any kind is above a hundredth */
static const double STATE_LIMIT = 1e-3, GRADIENT_LIMIT = 2e-3, SUM_LIMIT = 1e-3;
/* A net may amplify rounding by itself. Its sensitivity is measured: a second plain pass in double whose
 * states are rounded at every step as float rounds them. SAFETY times its distance from the first is
 * allowed. */
static const double FLOAT_ROUNDING = 0x1p-24, SAFETY = 64;

typedef struct {
    const sg_model *m;
    const sg_check_config *cfg;
    sg_check_source source;
    sg_gradient *own;
    plain_network *plain, *shaken, *rounded;
    bool sensitive; /* the rounded pass parts from the plain one by what matters to the limits */
    sg_rng rounding;
    size_t T, D, E, H; /* H: the widest layer */
    int32_t *ids;
    float *features; /* (T, E) for models without embedding */
    sg_step *steps;
    sg_rng rng;
    float *G;                                           /* (H, E) */
    double *u, *v, *Gv, *Gtu, *Gtu_rounded, *wide, *fd; /* u (H), v (E), G v (H), G'u (E), differences (H) */
    double *sums;                                       /* (states, D, H, E) of one window setting */
    sg_check_result *result;
    const sg_monitor *monitor;
} checker;

void sg_check_defaults_sized(sg_check_config *cfg, size_t struct_size)
{
    sg_check_config own = {.steps = 30, .delays = 16, .draws = 12, .seed = 1};
    config_give(cfg, struct_size, &own, sizeof own);
}

void sg_check_free(sg_check_result *result)
{
    sg_free(result->rows);
    *result = (sg_check_result){0};
}

static sg_status own_step(void *ctx, int32_t id, const float *features, sg_error *err)
{
    return sg_gradient_step(ctx, id, features, err);
}

static void own_get(void *ctx, size_t layer, sg_state_kind kind, size_t d, float *G)
{
    sg_gradient_get(ctx, layer, kind, d, G);
}

/* ---- what is read ---- */

static sg_status read_inputs(checker *k, sg_error *err)
{
    rows_file *f = NULL;
    sg_status st = rows_open(&f, k->cfg->inputs, err);
    if (st == SG_OK && (rows_columns(f) != k->E || rows_count(f) < k->T))
        st = sg_fail(err, SG_EINVAL, "%s: (%llu, %zu), expected %zu rows or more of %zu, as the model reads",
                     k->cfg->inputs, (unsigned long long)rows_count(f), rows_columns(f), k->T, k->E);
    if (st == SG_OK)
        st = rows_read(f, sg_rng_below(&k->rng, rows_count(f) - k->T + 1), k->T, k->features, err);
    if (f)
        rows_close(f);
    return st;
}

static sg_status read_tokens(checker *k, const sg_stream *tokens, sg_error *err)
{
    const sg_model_shape *shape = sg_model_get_shape(k->m);
    uint64_t n = tokens ? sg_stream_length(tokens) : 0;
    if (tokens)
        return sg_stream_read(tokens, n > k->T ? sg_rng_below(&k->rng, n - k->T + 1) : 0, k->T, k->steps,
                              err);
    for (size_t t = 0; t < k->T; t++)
        k->steps[t] =
            (sg_step){.id = shape->vocabulary ? (int32_t)sg_rng_below(&k->rng, shape->vocabulary) : 0};
    if (k->features && k->cfg->inputs)
        return read_inputs(k, err);
    for (size_t i = 0; k->features && i < k->T * k->E; i++)
        k->features[i] = (float)sg_rng_normal(&k->rng);
    return SG_OK;
}

static sg_status feed_network(checker *k, sg_error *err)
{
    sg_status st = SG_OK;
    ticker watch = ticker_begin(k->monitor, "reading", (double)k->T);
    const sg_tensor *embedding = sg_model_find(k->m, "encoder.weight");
    for (size_t t = 0; t < k->T; t++) {
        k->ids[t] = k->steps[t].id;
        const float *x = k->features ? k->features + t * k->E : embedding->data + (size_t)k->ids[t] * k->E;
        for (size_t j = 0; j < k->E; j++)
            network_input(k->plain, t)[j] = (double)x[j];
    }
    for (size_t t = 0; t < k->T; t++) {
        network_run(k->plain, t, t);
        TRY(ticker_tell(&watch, (double)t / 2, err));
    }
    network_copy(k->rounded, k->plain);
    for (size_t t = 0; t < k->T; t++) {
        network_run(k->rounded, t, t);
        network_round(k->rounded, t, FLOAT_ROUNDING, &k->rounding);
        TRY(ticker_tell(&watch, (double)(k->T + t + 1) / 2, err));
    }
done:
    return st;
}

/* ---- comparing ---- */

/* The place kept is that of the largest difference in units of what is allowed there: the row's own limit, or
 * `slack` if that is more. */
static void compare(sg_check_row *row, size_t n, const double *a, const double *b, double floor, double slack,
                    size_t t, size_t d)
{
    double worst = 0, size = fmax(floor, 1e-30);
    for (size_t i = 0; i < n; i++) {
        double away = fabs(a[i] - b[i]);
        worst = away <= worst ? worst : away; /* a NaN gets in */
        size = fmax(size, fmax(fabs(a[i]), fabs(b[i])));
    }
    double relative = worst > 0 ? worst / size : worst == 0 ? 0 : INFINITY;
    double allowed = fmax(row->base_limit, slack);
    if (!(relative / allowed <= row->worst / row->limit)) {
        row->worst = isnan(relative) ? INFINITY : relative;
        row->limit = allowed;
        row->t = t;
        row->d = d;
    }
}

/* max |a - b| / max |b| */
static double distance(size_t n, const double *a, const double *b)
{
    double worst = 0, size = 1e-300;
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs(a[i] - b[i]));
        size = fmax(size, fabs(b[i]));
    }
    return worst / size;
}

static double state_slack(const checker *k, const sg_accum_state *s, size_t t)
{
    bool cell = s->kind == SG_STATE_CELL;
    return SAFETY * distance(s->units, network_state(k->rounded, s->layer - 1, cell, t),
                             network_state(k->plain, s->layer - 1, cell, t));
}

/* Of G[t,d]'u, u in k->u; Gtu holds the plain one. A gradient is taken at the states: it is not known better
 * than they. */
static double gradient_slack(checker *k, const sg_accum_state *s, size_t t, size_t d)
{
    if (!k->sensitive)
        return 0;
    network_reverse(k->rounded, s->layer - 1, s->kind == SG_STATE_CELL, t, d, k->u, k->Gtu_rounded);
    return fmax(SAFETY * distance(k->E, k->Gtu_rounded, k->Gtu), state_slack(k, s, t));
}

static double largest(size_t n, const double *x)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

static void add_row(checker *k, sg_check_row row)
{
    row.pass = row.worst <= row.limit;
    k->result->failed += !row.pass;
    k->result->rows[k->result->n++] = row;
}

static void random_unit(sg_rng *rng, size_t n, double *x)
{
    double square = 0;
    for (size_t i = 0; i < n; i++) {
        x[i] = sg_rng_normal(rng);
        square += x[i] * x[i];
    }
    for (size_t i = 0; i < n; i++)
        x[i] /= sqrt(square);
}

/* Gv = G[t,d] v of the source's last step; returns its size at delay 0. */
static double gradient_times(checker *k, const sg_accum_state *s, size_t d, double *Gv)
{
    double at_zero = 0;
    for (int round = 0; round < 2; round++) {
        k->source.get(k->source.ctx, s->layer, s->kind, round ? d : 0, k->G);
        for (size_t i = 0; i < s->units; i++) {
            Gv[i] = 0;
            for (size_t j = 0; j < k->E; j++)
                Gv[i] += (double)k->G[i * k->E + j] * k->v[j];
        }
        if (!round)
            at_zero = largest(s->units, Gv);
    }
    return at_zero;
}

/* (s_t(x_{t-d} + eps v) - s_t(x_{t-d} - eps v)) / 2 eps, the error of order eps^2 removed by a second, wider
 * pair. Returns what rounding leaves in it; *between: by how much the two pairs part, a bound of what is left
 * of eps^2. */
static double differences(checker *k, const sg_accum_state *s, size_t t, size_t d, double *out,
                          double *between)
{
    bool cell = s->kind == SG_STATE_CELL;
    /* what is straight but for kinks: a small step crosses fewer; what is wild is straight for a small step
     * only */
    double share_of_x = k->sensitive || cell_of(sg_model_get_shape(k->m)->cell)->kinked ? 1e-6 : 1e-3;
    double eps = share_of_x * fmax(largest(k->E, network_input(k->plain, t - d)), 1e-3);
    static const double reach[] = {1, 2}, share[] = {4. / 3, -1. / 3};
    memset(out, 0, s->units * sizeof *out);
    memset(k->wide, 0, s->units * sizeof *k->wide);
    for (int pair = 0; pair < 2; pair++)
        for (int sign = -1; sign <= 1; sign += 2) {
            network_copy(k->shaken, k->plain);
            double *x = network_input(k->shaken, t - d), step = reach[pair] * eps;
            for (size_t j = 0; j < k->E; j++)
                x[j] += sign * step * k->v[j];
            network_run(k->shaken, t - d, t);
            const double *state = network_state(k->shaken, s->layer - 1, cell, t);
            for (size_t i = 0; i < s->units; i++)
                out[i] += sign * share[pair] * state[i] / (2 * step);
            for (size_t i = 0; pair && i < s->units; i++)
                k->wide[i] += sign * state[i] / (2 * step);
        }
    *between = distance(s->units, k->wide, out);
    return 16 * DBL_EPSILON * largest(s->units, network_state(k->plain, s->layer - 1, cell, t)) / eps;
}

/* One (t, d, u, v) of both tests against truth; the source is at step t. */
static void test_draw(checker *k, const sg_accum_state *s, size_t t, size_t d, sg_check_row *by_difference,
                      sg_check_row *by_reverse)
{
    random_unit(&k->rng, k->E, k->v);
    random_unit(&k->rng, s->units, k->u);
    double floor = 1e-7 * gradient_times(k, s, d, k->Gv);
    double between, rounding = differences(k, s, t, d, k->fd, &between);
    /* u chosen along G v, so that the product is not small by chance alone */
    for (size_t i = 0; i < s->units; i++)
        k->u[i] = 0.1 * k->u[i] + (floor > 0 ? k->Gv[i] / fmax(largest(s->units, k->Gv), 1e-300) : 0);
    double left = 0, right = 0;
    network_reverse(k->plain, s->layer - 1, s->kind == SG_STATE_CELL, t, d, k->u, k->Gtu);
    double slack = gradient_slack(k, s, t, d);
    /* what the two pairs part by matters in a sensitive net only: elsewhere it is below the limit */
    compare(by_difference, s->units, k->Gv, k->fd, fmax(floor, rounding / GRADIENT_LIMIT),
            fmax(slack, k->sensitive ? 4 * between : 0), t, d);
    for (size_t i = 0; i < s->units; i++)
        left += k->u[i] * k->Gv[i];
    for (size_t j = 0; j < k->E; j++)
        right += k->Gtu[j] * k->v[j];
    compare(by_reverse, 1, &left, &right, floor, slack, t, d);
}

static void test_state(checker *k, const sg_accum_state *s, size_t t, sg_check_row *row)
{
    const float *state = k->own ? sg_gradient_state(k->own, s->layer, s->kind) : NULL;
    if (!state)
        return;
    for (size_t i = 0; i < s->units; i++)
        k->Gv[i] = (double)state[i];
    compare(row, s->units, k->Gv, network_state(k->plain, s->layer - 1, s->kind == SG_STATE_CELL, t), 1e-9,
            state_slack(k, s, t), t, 0);
}

/* ---- single gradients ---- */

/* The delays looked at: 0, 1, 2 and D-1, then random ones; each at a random t that has it. */
static void choose(checker *k, size_t draw, size_t *t, size_t *d)
{
    static const size_t first[] = {0, 1, 2};
    *d = draw < 3 ? first[draw] : draw == 3 ? k->D - 1 : sg_rng_below(&k->rng, k->D);
    *d = *d < k->D ? *d : k->D - 1;
    *t = *d + sg_rng_below(&k->rng, k->T - *d);
}

/* Adds the source's G[t,d] of every state and delay to sums, pairs that cross a multiple of window left
 * out. */
static void sum_gradients(checker *k, double *sums, const sg_accum_state *states, size_t n_states, size_t t,
                          size_t window)
{
    assert(window); /* T is at least 2 */
    size_t reach = t % window < k->D - 1 ? t % window : k->D - 1;
    for (size_t i = 0; i < n_states; i++)
        for (size_t d = 0; d <= reach; d++) {
            double *sum = sums + (i * k->D + d) * k->H * k->E;
            k->source.get(k->source.ctx, states[i].layer, states[i].kind, d, k->G);
            for (size_t j = 0; j < states[i].units * k->E; j++)
                sum[j] += (double)k->G[j];
        }
}

static size_t window_of(const checker *k, bool carry)
{
    return carry ? k->T : k->T / 2 - k->T / 8; /* not a divisor of T as a rule: the last window is cut */
}

/* One pass of the source over the tokens; everything that looks at single gradients hangs on it. */
static sg_status test_gradients(checker *k, const sg_accum_state *states, size_t n_states, sg_error *err)
{
    enum { KINDS = 3 };
    sg_status st = SG_OK;
    ticker watch = ticker_begin(k->monitor, "comparing gradients", (double)k->T);
    size_t draws = k->cfg->draws, (*at)[2] = sg_calloc(draws * n_states, sizeof *at);
    sg_check_row *rows = sg_calloc(n_states, KINDS * sizeof *rows);
    NEED(at && rows, err, "%zu draws", draws);
    for (size_t i = 0; i < n_states; i++) {
        for (size_t draw = 0; draw < draws; draw++)
            choose(k, draw, &at[i * draws + draw][0], &at[i * draws + draw][1]);
        sg_check_row row = {.layer = states[i].layer,
                            .kind = states[i].kind,
                            .limit = GRADIENT_LIMIT,
                            .base_limit = GRADIENT_LIMIT};
        static const char *const names[KINDS] = {"states", "differences", "reverse"};
        for (size_t kind = 0; kind < KINDS; kind++) {
            rows[i * KINDS + kind] = row;
            rows[i * KINDS + kind].test = names[kind];
        }
        rows[i * KINDS].limit = rows[i * KINDS].base_limit = STATE_LIMIT;
    }
    size_t per_setting = n_states * k->D * k->H * k->E;
    for (size_t t = 0; t < k->T; t++) {
        TRY(k->source.step(k->source.ctx, k->ids[t], k->features ? k->features + t * k->E : NULL, err));
        for (size_t i = 0; i < n_states; i++) {
            test_state(k, &states[i], t, &rows[i * KINDS]);
            for (size_t draw = 0; draw < draws; draw++)
                if (at[i * draws + draw][0] == t) {
                    test_draw(k, &states[i], t, at[i * draws + draw][1], &rows[i * KINDS + 1],
                              &rows[i * KINDS + 2]);
                    TRY(ticker_tell(&watch, (double)t, err));
                }
        }
        TRY(ticker_tell(&watch, (double)(t + 1), err));
        for (int carry = 0; carry < 2; carry++)
            sum_gradients(k, k->sums + (size_t)carry * per_setting, states, n_states, t, window_of(k, carry));
    }
    for (size_t kind = k->own ? 0 : 1; kind < KINDS;
         kind++) /* a source of another's making has no states to test */
        for (size_t i = 0; i < n_states; i++)
            add_row(k, rows[i * KINDS + kind]);
done:
    sg_free(at);
    sg_free(rows);
    return st;
}

/* ---- the corpus engine ---- */

/* Pairs (t, t-d) inside windows. */
static uint64_t pairs_in_windows(size_t T, size_t window, size_t d)
{
    uint64_t n = 0;
    for (size_t t = 0; t < T; t++)
        n += t % window >= d;
    return n;
}

/* The sums' own: the largest of their gradients', at a few steps. */
static double sum_slack(checker *k, const sg_accum_state *s, size_t d)
{
    double most = 0;
    for (size_t n = 0; k->sensitive && n < 4; n++) {
        size_t t = k->T - 1 - n * (k->T - 1 - d) / 4;
        random_unit(&k->rounding, s->units, k->u);
        network_reverse(k->plain, s->layer - 1, s->kind == SG_STATE_CELL, t, d, k->u, k->Gtu);
        most = fmax(most, gradient_slack(k, s, t, d));
    }
    return most;
}

static sg_status test_engine(checker *k, const sg_accum_state *states, size_t n_states, bool carry,
                             sg_error *err)
{
    sg_status st = SG_OK;
    size_t window = window_of(k, carry);
    const double *sums = k->sums + (carry ? n_states * k->D * k->H * k->E : 0);
    const sg_engine_config cfg =
        engine_config(k->D, states, n_states, carry ? SG_CARRY : SG_WINDOW, window, k->cfg->threads);
    sg_engine *engine = NULL;
    sg_accum *accum = NULL;
    ticker watch = ticker_begin(k->monitor, "comparing sums", (double)(n_states * k->D));
    double *sum = sg_calloc(k->H, k->E * sizeof *sum);
    NEED(sum, err, "%zu x %zu", k->H, k->E);
    for (size_t t = 0; t < k->T; t++)
        k->steps[t].set = 0, k->steps[t].first = 0;
    TRY(engine_new(&engine, k->m, &cfg, err));
    TRY(engine_new_accum(engine, &accum, err));
    TRY(engine_run(engine, k->steps, k->features, k->T, true, accum, err));
    TRY(engine_flush(engine, accum, err));
    for (size_t i = 0; i < n_states; i++) {
        size_t n = states[i].units * k->E;
        sg_check_row row = {carry ? "carry" : "window",
                            states[i].layer,
                            states[i].kind,
                            0,
                            SUM_LIMIT,
                            k->T - 1,
                            0,
                            false,
                            SUM_LIMIT};
        double floor = 1e-7 * largest(n, sums + i * k->D * k->H * k->E);
        for (size_t d = 0; d < k->D; d++) {
            double weight = accum_class_sum(accum, i, NULL, 0, d, sum);
            compare(&row, n, sum, sums + (i * k->D + d) * k->H * k->E, floor, sum_slack(k, &states[i], d),
                    k->T - 1, d);
            if (weight != (double)pairs_in_windows(k->T, window, d))
                row.worst = INFINITY, row.limit = SUM_LIMIT, row.d = d;
            TRY(ticker_tell(&watch, (double)(i * k->D + d + 1), err));
        }
        add_row(k, row);
    }
done:
    accum_free(accum);
    engine_free(engine);
    sg_free(sum);
    return st;
}

/* ---- small changes of the state ---- */

/* The tokens of a stream at a random place, or as many random ones as a text would have; (T, E) as double. */
static sg_status growth_inputs(const checker *k, const sg_stream *tokens, double *x, size_t T, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_tensor *embedding = sg_model_find(k->m, "encoder.weight");
    size_t V = sg_model_get_shape(k->m)->vocabulary;
    sg_step step;
    sg_rng rng;
    sg_rng_seed(&rng, k->cfg->seed, 2);
    uint64_t from = tokens ? sg_rng_below(&rng, sg_stream_length(tokens) - T + 1) : 0;
    for (size_t t = 0; t < T; t++) {
        const float *row =
            k->features ? k->features + t % k->T * k->E : NULL; /* what was read, over and over */
        if (!row) {
            if (tokens)
                TRY(sg_stream_read(tokens, from + t, 1, &step, err));
            row = embedding->data + (tokens ? (size_t)step.id : sg_rng_below(&rng, V)) * k->E;
        }
        for (size_t i = 0; i < k->E; i++)
            x[t * k->E + i] = (double)row[i];
    }
done:
    return st;
}

static sg_status follow_growth(checker *k, const sg_stream *tokens, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t length = tokens ? sg_stream_length(tokens) : GROWTH_TOKENS;
    size_t T = length < GROWTH_TOKENS ? (size_t)length : GROWTH_TOKENS;
    double *x = sg_calloc(T, k->E * sizeof *x);
    NEED(x, err, "%zu inputs of %zu numbers", T, k->E);
    TRY(growth_inputs(k, tokens, x, T, err));
    TRY(growth_follow(&k->result->growth, k->m, x, T, k->cfg->seed, k->monitor, err));
    k->result->sensitive = k->sensitive;
done:
    sg_free(x);
    return st;
}

/* ---- all of it ---- */

static size_t list_states(const sg_model_shape *shape, sg_accum_state *states)
{
    size_t n = 0;
    for (size_t l = 1; l <= shape->layers; l++) {
        if (sg_cell_states(shape->cell) & SG_STATE_CELL)
            states[n++] = (sg_accum_state){l, SG_STATE_CELL, shape->hidden[l - 1]};
        states[n++] = (sg_accum_state){l, SG_STATE_HIDDEN, shape->hidden[l - 1]};
    }
    return n;
}

static sg_status make_room(checker *k, const sg_model_shape *shape, size_t n_states, sg_error *err)
{
    for (size_t l = 0; l < shape->layers; l++)
        k->H = shape->hidden[l] > k->H ? shape->hidden[l] : k->H;
    if (!(k->ids = sg_calloc(k->T, sizeof *k->ids)) || !(k->steps = sg_calloc(k->T, sizeof *k->steps)) ||
        (!shape->vocabulary && !(k->features = sg_calloc(k->T, k->E * sizeof *k->features))) ||
        !(k->G = sg_calloc(k->H, k->E * sizeof *k->G)) || !(k->u = sg_calloc(k->H, sizeof *k->u)) ||
        !(k->v = sg_calloc(k->E, sizeof *k->v)) || !(k->Gv = sg_calloc(k->H, sizeof *k->Gv)) ||
        !(k->Gtu = sg_calloc(k->E, sizeof *k->Gtu)) ||
        !(k->Gtu_rounded = sg_calloc(k->E, sizeof *k->Gtu_rounded)) ||
        !(k->wide = sg_calloc(k->H, sizeof *k->wide)) || !(k->fd = sg_calloc(k->H, sizeof *k->fd)) ||
        !(k->sums = sg_calloc(2 * n_states * k->D, k->H * k->E * sizeof *k->sums)) ||
        !(k->result->rows = sg_calloc(5 * n_states, sizeof *k->result->rows)))
        return no_memory(err, "%zu delays of %zu x %zu", k->D, k->H, k->E);
    return SG_OK;
}

sg_status sg_check(sg_check_result *result, const sg_model *m, const sg_stream *tokens,
                   const sg_check_config *cfg, const sg_monitor *monitor, sg_error *err)
{
    sg_check_config own;
    sg_check_defaults(&own);
    cfg = config_take(&own, sizeof own, cfg);
    sg_status st = SG_OK;
    const sg_model_shape *shape = sg_model_get_shape(m);
    sg_accum_state states[2 * SG_MAX_LAYERS];
    size_t n_states = list_states(shape, states);
    checker k = {.m = m,
                 .cfg = cfg,
                 .T = cfg->steps,
                 .D = cfg->delays,
                 .E = shape->embedding,
                 .result = result,
                 .monitor = monitor};
    *result = (sg_check_result){0};
    if (tokens && sg_stream_length(tokens) < k.T)
        k.T = (size_t)sg_stream_length(tokens);
    if (k.T < 2 || !k.D || !cfg->draws)
        return sg_fail(err, SG_EINVAL, "check: %zu steps, %zu delays, %zu draws: at least 2, 1, 1 are needed",
                       k.T, k.D, cfg->draws);
    k.D = k.D < k.T ? k.D : k.T;
    result->steps = k.T, result->delays = k.D;
    sg_rng_seed(&k.rng, cfg->seed, 0);
    sg_rng_seed(&k.rounding, cfg->seed, 1);
    TRY(make_room(&k, shape, n_states, err));
    TRY(network_new(&k.plain, m, k.T, err));
    TRY(network_new(&k.shaken, m, k.T, err));
    TRY(network_new(&k.rounded, m, k.T, err));
    TRY(read_tokens(&k, tokens, err));
    TRY(feed_network(&k, err));
    for (size_t i = 0; i < n_states; i++)
        for (size_t t = 0; t < k.T; t++)
            k.sensitive |= state_slack(&k, &states[i], t) > STATE_LIMIT / 4;
    if (cfg->source) {
        k.source = *cfg->source;
    } else {
        TRY(sg_gradient_new(&k.own, m, k.D, err));
        k.source = (sg_check_source){own_step, own_get, k.own};
    }
    TRY(test_gradients(&k, states, n_states, err));
    TRY(test_engine(&k, states, n_states, true, err));
    TRY(test_engine(&k, states, n_states, false, err));
    TRY(follow_growth(&k, tokens, err));
done:
    if (st != SG_OK)
        sg_check_free(result);
    network_free(k.plain);
    network_free(k.shaken);
    sg_gradient_free(k.own);
    sg_free(k.ids);
    sg_free(k.features);
    sg_free(k.steps);
    sg_free(k.G);
    sg_free(k.u);
    sg_free(k.v);
    sg_free(k.Gv);
    sg_free(k.Gtu);
    sg_free(k.Gtu_rounded);
    sg_free(k.wide);
    network_free(k.rounded);
    sg_free(k.fd);
    sg_free(k.sums);
    return st;
}
