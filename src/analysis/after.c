#include "after.h"

#include "../base/base_internal.h"
#include "../linalg/linalg.h"
#include "../spectrum/spectrum.h"
#include "stategrad/stats.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { NULL_DRAWS = 1000, BATCH_BYTES = 64 << 20 };
static const double LARGE_ERROR = 1e-4, SMALLEST = 1e-30; /* below it float32 has lost its digits anyway */

const char *const an_quantity_names[AN_QUANTITIES] = {"sigma_1", "sum of singular values", "largest rms gain"};

/* One thread's room. Sizes: H, E, R of the group; K = sp_count. */
typedef struct {
    double *T, *G;          /* (H,E) sum over blocks; a mean */
    double *MT, *M;         /* (E,E) the same of second moments */
    double *gram;           /* (E,E) */
    float *sum, *packed;    /* of one block */
    double *values;         /* (K) */
    double *without;        /* (B,K) leave-one-block-out replicates */
    double *weights, *moment_weights, *all_weights; /* (B) */
    double *left, *right;   /* (H,R), (R,E) */
    double *work;
    double *class_sums, *all_sums; /* (B,H,E) normalised */
    sg_class_test *test;
} worker;

/* What one (class, delay) gives; the arrays of a batch are written in one piece. */
typedef struct {
    sg_status st;
    sg_error err;
    bool empty;             /* no pairs */
    const char *interval_missing, *test_missing;
    float *mean, *moment, *left, *right, *gram; /* (H,E) (E,E) (R,H) (R,E) (B,packed) */
    sg_interval *x;         /* (K) */
    double *block_weight;   /* (B) */
    double *random;         /* (3) relative memory of random vectors: mean, low, high */
    sg_class_p p;
} item;

/* Of one group, kept for the whole of it: small. */
typedef struct {
    double *y, *error;      /* (C,Q,D) */
    double *norm;           /* (D) |mean gradient| of class all */
    double *without;        /* (C,Q,B,D) */
    double *p, *adjusted;   /* (C,D) */
    double *excess, *null_low, *null_high;
} series;

typedef struct {
    const char *variable;
    char first[200];
    size_t more;
} reason;
enum { REASON_EMPTY, REASON_INTERVAL, REASON_TEST, REASON_DECAY, REASON_HALF_LIFE, REASONS };

typedef struct {
    const an_plan *plan;
    const an_sums *sums;
    const an_group *group;
    size_t g;               /* number in sums */
    int nc;                 /* group of the writer */
    run_writer *w;
    sp_frame frame;
    sp_places at;
    size_t K, packed;
    bool moments;
    int threads;
    worker *workers;
    item *items;
    size_t batch;
    series s;
    sg_arena arena;
    reason reasons[REASONS];
    double *row;            /* (max(P,1), batch, R) for writing */
} after;

/* ---- room ---- */

/* Doubles of one thread, without its class test. */
static size_t worker_doubles(const after *a)
{
    const an_plan *p = a->plan;
    size_t H = a->frame.H, E = a->frame.E, R = a->frame.R, HE = H * E;
    size_t n = 2 * HE + 3 * E * E + HE / 2 + a->packed / 2 + a->K + p->B * a->K + 3 * p->B + H * R + R * E +
               sp_work(&a->frame) + (p->C > 1 ? 2 * p->B * HE : 0);
    return n + 16 * 16; /* alignment */
}

static size_t item_bytes(const after *a)
{
    size_t H = a->frame.H, E = a->frame.E, R = a->frame.R;
    size_t floats = H * E + E * E + R * H + R * E + (a->plan->store_gram ? a->plan->B * a->packed : 0);
    return floats * sizeof(float) + a->K * sizeof(sg_interval) + (a->plan->B + 3) * sizeof(double) + 16 * 64;
}

static size_t choose_batch(const after *a)
{
    size_t n = BATCH_BYTES / item_bytes(a);
    if (n < 4)
        n = 4;
    return n < a->plan->D ? n : a->plan->D;
}

static void worker_place(after *a, worker *w)
{
    const an_plan *p = a->plan;
    size_t H = a->frame.H, E = a->frame.E, R = a->frame.R, HE = H * E;
    sg_arena *m = &a->arena;
    w->T = sg_arena_take(m, HE, sizeof(double));
    w->G = sg_arena_take(m, HE, sizeof(double));
    w->MT = sg_arena_take(m, E * E, sizeof(double));
    w->M = sg_arena_take(m, E * E, sizeof(double));
    w->gram = sg_arena_take(m, E * E, sizeof(double));
    w->sum = sg_arena_take(m, HE, sizeof(float));
    w->packed = sg_arena_take(m, a->packed, sizeof(float));
    w->values = sg_arena_take(m, a->K, sizeof(double));
    w->without = sg_arena_take(m, p->B * a->K, sizeof(double));
    w->weights = sg_arena_take(m, p->B, sizeof(double));
    w->moment_weights = sg_arena_take(m, p->B, sizeof(double));
    w->all_weights = sg_arena_take(m, p->B, sizeof(double));
    w->left = sg_arena_take(m, H * R, sizeof(double));
    w->right = sg_arena_take(m, R * E, sizeof(double));
    w->work = sg_arena_take(m, sp_work(&a->frame), sizeof(double));
    if (p->C > 1) {
        w->class_sums = sg_arena_take(m, p->B * HE, sizeof(double));
        w->all_sums = sg_arena_take(m, p->B * HE, sizeof(double));
    }
}

static void item_place(after *a, item *o)
{
    size_t H = a->frame.H, E = a->frame.E, R = a->frame.R;
    sg_arena *m = &a->arena;
    o->mean = sg_arena_take(m, H * E, sizeof(float));
    o->moment = sg_arena_take(m, E * E, sizeof(float));
    o->left = sg_arena_take(m, R * H, sizeof(float));
    o->right = sg_arena_take(m, R * E, sizeof(float));
    if (a->plan->store_gram)
        o->gram = sg_arena_take(m, a->plan->B * a->packed, sizeof(float));
    o->x = sg_arena_take(m, a->K, sizeof(sg_interval));
    o->block_weight = sg_arena_take(m, a->plan->B, sizeof(double));
    o->random = sg_arena_take(m, 3, sizeof(double));
}

static void series_place(after *a)
{
    const an_plan *p = a->plan;
    size_t n = p->C * p->D, Q = AN_QUANTITIES;
    a->s.y = sg_arena_take(&a->arena, n * Q, sizeof(double));
    a->s.error = sg_arena_take(&a->arena, n * Q, sizeof(double));
    a->s.without = sg_arena_take(&a->arena, n * Q * p->B, sizeof(double));
    a->s.norm = sg_arena_take(&a->arena, p->D, sizeof(double));
    a->s.p = sg_arena_take(&a->arena, n, sizeof(double));
    a->s.adjusted = sg_arena_take(&a->arena, n, sizeof(double));
    a->s.excess = sg_arena_take(&a->arena, n, sizeof(double));
    a->s.null_low = sg_arena_take(&a->arena, n, sizeof(double));
    a->s.null_high = sg_arena_take(&a->arena, n, sizeof(double));
}

static size_t series_bytes(const an_plan *p)
{
    return (p->C * p->D * (AN_QUANTITIES * (2 + p->B) + 5) + p->D) * sizeof(double) + 16 * 64;
}

static size_t row_doubles(const after *a)
{
    const an_plan *p = a->plan;
    size_t n = a->batch * a->frame.R * (p->P ? p->P : 1), m = a->batch * p->B;
    return n > m ? n : m;
}

static void shape_of(after *a, const an_plan *plan, const an_group *group, bool moments)
{
    size_t H = group->units, R = H < plan->E ? H : plan->E;
    a->plan = plan;
    a->group = group;
    a->moments = moments;
    a->frame = (sp_frame){H, plan->E, R, plan->P, plan->L[group->model], plan->n[group->model]};
    a->at = sp_where(&a->frame);
    a->K = sp_count(&a->frame);
    a->packed = sums_packed(plan->E);
    a->batch = choose_batch(a);
    a->threads = plan->threads > 0 ? plan->threads : omp_get_max_threads();
    if ((size_t)a->threads > plan->D)
        a->threads = (int)plan->D;
}

static size_t arena_bytes(const after *a)
{
    return (size_t)a->threads * worker_doubles(a) * sizeof(double) + a->batch * item_bytes(a) + series_bytes(a->plan) +
           row_doubles(a) * sizeof(double) + 4096;
}

static sg_status room(after *a, sg_error *err)
{
    sg_status st = SG_OK;
    const an_plan *p = a->plan;
    TRY(sg_arena_init(&a->arena, arena_bytes(a), err));
    if (!(a->workers = sg_calloc((size_t)a->threads, sizeof *a->workers)) ||
        !(a->items = sg_calloc(a->batch, sizeof *a->items)))
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory for the spectra", a->group->name));
    for (int t = 0; t < a->threads; t++) {
        worker_place(a, &a->workers[t]);
        if (p->C > 1 && p->B >= 2)
            TRY(sg_class_test_new(&a->workers[t].test, p->B, a->frame.H, p->E, NULL_DRAWS, p->seed, err));
    }
    for (size_t i = 0; i < a->batch; i++)
        item_place(a, &a->items[i]);
    series_place(a);
    a->row = sg_arena_take(&a->arena, row_doubles(a), sizeof(double));
done:
    return st;
}

static void room_free(after *a)
{
    for (int t = 0; a->workers && t < a->threads; t++)
        sg_class_test_free(a->workers[t].test);
    sg_free(a->workers);
    sg_free(a->items);
    sg_arena_free(&a->arena);
}

void an_after_cost(const an_plan *plan, size_t *memory, size_t *file)
{
    *memory = *file = 0;
    for (size_t g = 0; g < plan->n_groups; g++) {
        after a = {0};
        shape_of(&a, plan, &plan->groups[g], true);
        size_t test = plan->C > 1 ? 8 * ((1 + plan->B) * a.frame.H * plan->E + NULL_DRAWS * plan->B * plan->B / 2) : 0;
        size_t bytes = arena_bytes(&a) + (size_t)a.threads * test;
        *memory = bytes > *memory ? bytes : *memory;
        *file += plan->C * plan->D * item_bytes(&a);
    }
}

/* ---- one class and delay ---- */

static void item_nan(const after *a, item *o)
{
    size_t H = a->frame.H, E = a->frame.E, R = a->frame.R;
    for (size_t i = 0; i < H * E; i++)
        o->mean[i] = NAN;
    for (size_t i = 0; i < E * E; i++)
        o->moment[i] = NAN;
    for (size_t i = 0; i < R * H; i++)
        o->left[i] = NAN;
    for (size_t i = 0; i < R * E; i++)
        o->right[i] = NAN;
    for (size_t i = 0; o->gram && i < a->plan->B * a->packed; i++)
        o->gram[i] = NAN;
    for (size_t k = 0; k < a->K; k++)
        o->x[k] = (sg_interval){NAN, NAN, NAN, NAN, NAN, NULL};
    for (size_t i = 0; i < 3; i++)
        o->random[i] = NAN;
    o->p = (sg_class_p){NAN, NAN, NAN, NAN, NULL};
}

/* T, MT and the weights of all blocks; the total weights. */
static sg_status add_blocks(const after *a, worker *w, size_t c, size_t d, double *N, double *Nm, sg_error *err)
{
    sg_status st = SG_OK;
    size_t HE = a->frame.H * a->frame.E, E = a->frame.E;
    *N = *Nm = 0;
    memset(w->T, 0, HE * sizeof *w->T);
    memset(w->MT, 0, E * E * sizeof *w->MT);
    for (size_t b = 0; b < a->plan->B; b++) {
        const sums_weight *x = sums_weight_at(a->sums, b, c, d);
        w->weights[b] = x->weight;
        w->moment_weights[b] = x->moment_weight;
        w->all_weights[b] = sums_weight_at(a->sums, b, 0, d)->weight;
        if (!(x->weight > 0))
            continue;
        TRY(sums_get(a->sums, b, a->g, c, d, w->sum, a->moments ? w->packed : NULL, err));
        for (size_t i = 0; i < HE; i++)
            w->T[i] += (double)w->sum[i];
        *N += x->weight;
        if (!a->moments || !(x->moment_weight > 0))
            continue;
        sums_unpack(E, w->packed, w->M);
        for (size_t i = 0; i < E * E; i++)
            w->MT[i] += w->M[i];
        *Nm += x->moment_weight;
    }
done:
    return st;
}

/* The statistics without block b, into its row; the Gram matrix into the item. */
static sg_status leave_out(const after *a, worker *w, item *o, size_t c, size_t d, size_t b, double N, double Nm,
                           sg_error *err)
{
    sg_status st = SG_OK;
    size_t H = a->frame.H, E = a->frame.E;
    double *row = w->without + b * a->K, left = N - w->weights[b], left_m = Nm - w->moment_weights[b];
    bool whole = !(w->weights[b] > 0), with_moment = a->moments && left_m > 0.5;
    for (size_t k = 0; k < a->K; k++)
        row[k] = NAN;
    if (o->gram)
        for (size_t i = 0; i < a->packed; i++)
            o->gram[b * a->packed + i] = NAN;
    if (!(left > 0.5)) /* all pairs are in this block */
        return SG_OK;
    if (whole)
        memset(w->sum, 0, H * E * sizeof *w->sum), memset(w->packed, 0, a->packed * sizeof *w->packed);
    else
        TRY(sums_get(a->sums, b, a->g, c, d, w->sum, with_moment ? w->packed : NULL, err));
    for (size_t i = 0; i < H * E; i++)
        w->G[i] = (w->T[i] - (double)w->sum[i]) / left;
    la_dgemm(LA_T, LA_N, E, E, H, 1, w->G, E, w->G, E, 0, w->gram, E);
    if (o->gram)
        sums_pack(E, w->gram, o->gram + b * a->packed);
    if (whole)
        return SG_OK; /* the jackknife does not read the row */
    if (with_moment) {
        sums_unpack(E, w->packed, w->M);
        for (size_t i = 0; i < E * E; i++)
            w->M[i] = (w->MT[i] - w->M[i]) / left_m;
    }
    TRY(sp_from_gram(row, &a->frame, w->gram, with_moment ? w->M : NULL, w->work, err));
done:
    return st;
}

static void intervals(const after *a, worker *w, item *o)
{
    const sp_places *at = &a->at;
    size_t R = a->frame.R;
    o->interval_missing = NULL;
    for (size_t k = 0; k < a->K; k++) {
        bool gain = k >= at->gain && k < at->gain + R;
        sg_stats_jackknife(&o->x[k], a->plan->B, gain ? w->moment_weights : w->weights, w->values[k], w->without + k,
                           a->K);
        double most = k >= at->relative || k == at->coherence ? 1 : k == at->rank ? (double)R : INFINITY;
        sg_stats_clamp(&o->x[k], k == at->rank ? 1 : 0, most);
    }
    o->interval_missing = o->x[at->S].missing;
}

/* Block sums of class c, times L: what the class test looks at. */
static sg_status normalised_sums(const after *a, worker *w, size_t c, size_t d, double *out, sg_error *err)
{
    sg_status st = SG_OK;
    size_t H = a->frame.H, E = a->frame.E;
    for (size_t b = 0; b < a->plan->B; b++) {
        double *S = out + b * H * E;
        if (!(sums_weight_at(a->sums, b, c, d)->weight > 0)) {
            memset(S, 0, H * E * sizeof *S);
            continue;
        }
        TRY(sums_get(a->sums, b, a->g, c, d, w->sum, NULL, err));
        for (size_t i = 0; i < H * E; i++)
            w->G[i] = (double)w->sum[i];
        la_dgemm(LA_N, LA_N, H, E, E, 1, w->G, E, a->frame.L, E, 0, S, E);
    }
done:
    return st;
}

static sg_status class_test(const after *a, worker *w, item *o, size_t c, size_t d, sg_error *err)
{
    sg_status st = SG_OK;
    o->p = (sg_class_p){NAN, NAN, NAN, NAN, NULL};
    o->test_missing = NULL;
    if (!c || !w->test)
        return SG_OK;
    TRY(normalised_sums(a, w, c, d, w->class_sums, err));
    TRY(normalised_sums(a, w, 0, d, w->all_sums, err));
    TRY(sg_class_test_run(w->test, &o->p, w->class_sums, w->weights, w->all_sums, w->all_weights, err));
    o->test_missing = o->p.missing;
done:
    return st;
}

static void store_vectors(const after *a, const worker *w, item *o, double N, double Nm)
{
    size_t H = a->frame.H, E = a->frame.E, R = a->frame.R;
    for (size_t i = 0; i < H * E; i++)
        o->mean[i] = (float)(w->T[i] / N);
    for (size_t i = 0; i < E * E; i++)
        o->moment[i] = Nm > 0 ? (float)(w->MT[i] / Nm) : NAN;
    for (size_t k = 0; k < R; k++)
        for (size_t i = 0; i < H; i++)
            o->left[k * H + i] = (float)w->left[i * R + k];
    for (size_t i = 0; i < R * E; i++)
        o->right[i] = (float)w->right[i];
}

static sg_status compute(const after *a, worker *w, item *o, size_t c, size_t d, sg_error *err)
{
    sg_status st = SG_OK;
    size_t H = a->frame.H, E = a->frame.E;
    double N, Nm;
    TRY(add_blocks(a, w, c, d, &N, &Nm, err));
    memcpy(o->block_weight, w->weights, a->plan->B * sizeof *w->weights);
    o->empty = !(N > 0);
    o->interval_missing = o->test_missing = NULL;
    if (o->empty) {
        item_nan(a, o);
        return SG_OK;
    }
    for (size_t i = 0; i < H * E; i++)
        w->G[i] = w->T[i] / N;
    for (size_t i = 0; Nm > 0 && i < E * E; i++)
        w->M[i] = w->MT[i] / Nm;
    TRY(sp_from_mean(w->values, w->left, w->right, &a->frame, w->G, Nm > 0 ? w->M : NULL, w->work, err));
    store_vectors(a, w, o, N, Nm);
    for (size_t i = 0; !c && i < H * E; i++)
        a->s.norm[d] += w->G[i] * w->G[i];
    for (size_t b = 0; b < a->plan->B; b++)
        TRY(leave_out(a, w, o, c, d, b, N, Nm, err));
    intervals(a, w, o);
    TRY(class_test(a, w, o, c, d, err));
    if (a->plan->P)
        TRY(sg_stats_random_gain(a->frame.R, w->values + a->at.S, E, a->plan->seed, &o->random[0], &o->random[1],
                                 &o->random[2], err));
    const an_plan *p = a->plan;
    size_t places[AN_QUANTITIES] = {a->at.S, a->at.sum, a->at.gain};
    for (size_t q = 0; q < AN_QUANTITIES; q++)
        for (size_t b = 0; b < p->B; b++)
            a->s.without[((c * AN_QUANTITIES + q) * p->B + b) * p->D + d] =
                w->weights[b] > 0 ? w->without[b * a->K + places[q]] : w->values[places[q]];
done:
    if (st != SG_OK && err) {
        sg_error inner = *err;
        sg_fail(err, st, "%s, class %s, delay %zu: %s", a->group->name, a->plan->class_names[c], d, inner.msg);
    }
    return st;
}

/* ---- writing ---- */

static const char *const always[] = {
    "pairs", "mean_gradient", "singular_value", "singular_value_low", "singular_value_high", "singular_value_se",
    "singular_value_bias", "right_singular_vector", "left_singular_vector", "singular_sum", "singular_sum_low",
    "singular_sum_high", "singular_sum_se", "effective_rank", "effective_rank_low", "effective_rank_high",
    "rms_gain", "rms_gain_low", "rms_gain_high", "coherence", "coherence_low", "coherence_high", "second_moment",
    "second_moment_pairs", "existing_pairs", "class_difference", "class_difference_low", "class_difference_high",
    "class_difference_p", "class_difference_p_adjusted", "class_null_low", "class_null_high", "decay_scale",
    "decay_scale_error", "decay_rate", "decay_rate_error", "decay_shape", "decay_shape_error", "decay_residual",
    "decay_aic", "decay_weight", "half_life", "half_life_error", "relative_memory", "relative_memory_low",
    "relative_memory_high", "relative_memory_random", "relative_memory_random_low", "relative_memory_random_high",
    "subspace_cosine", "subspace_cosine_low", "subspace_cosine_high", "subspace_cosine_random",
    "subspace_cosine_random_low", "subspace_cosine_random_high", "block_pairs", NULL};

static sg_status define(after *a, sg_error *err)
{
    sg_status st = SG_OK;
    const an_plan *p = a->plan;
    TRY(run_writer_group(a->w, a->group->name, &a->nc, err));
    TRY(run_writer_dim(a->w, a->nc, "unit", a->frame.H, err));
    TRY(run_writer_dim(a->w, a->nc, "rank", a->frame.R, err));
    TRY(run_writer_dim(a->w, a->nc, "embedding_2", p->E, err));
    TRY(run_writer_dim(a->w, a->nc, "block", p->B, err));
    for (size_t i = 0; always[i]; i++)
        TRY(run_writer_define(a->w, a->nc, always[i], err));
    if (p->store_gram) {
        TRY(run_writer_dim(a->w, a->nc, "packed", a->packed, err));
        TRY(run_writer_define(a->w, a->nc, "block_gram", err));
    } else
        TRY(run_writer_text(a->w, a->nc, NULL, "block_gram_missing", p->gram_reason, err));
    if (a->group->model) {
        TRY(run_writer_define(a->w, a->nc, "embedding_covariance_factor", err));
        TRY(run_writer_put_f64(a->w, a->nc, "embedding_covariance_factor", NULL, NULL, p->L[a->group->model], err));
    }
done:
    return st;
}

typedef enum { FIELD_VALUE, FIELD_LOW, FIELD_HIGH, FIELD_ERROR, FIELD_BIAS } field;

static double field_of(const sg_interval *x, field f)
{
    return f == FIELD_VALUE ? x->value : f == FIELD_LOW ? x->low : f == FIELD_HIGH ? x->high
           : f == FIELD_ERROR ? x->error : x->bias;
}

/* The statistic at position `place` (n numbers of it) of each item of the batch, for (class, delay[, rank]). */
static sg_status put_field(after *a, const char *variable, size_t c, size_t d0, size_t n_items, size_t place, size_t n,
                           bool has_rank, field f, sg_error *err)
{
    size_t start[] = {c, d0, 0}, count[] = {1, n_items, n};
    (void)has_rank;
    for (size_t i = 0; i < n_items; i++)
        for (size_t k = 0; k < n; k++)
            a->row[i * n + k] = field_of(&a->items[i].x[place + k], f);
    return run_writer_put_f64(a->w, a->nc, variable, start, count, a->row, err);
}

/* For (property, class, delay[, rank]): n numbers of each property, `stride` apart in the item. */
static sg_status put_property(after *a, const char *variable, size_t c, size_t d0, size_t n_items, size_t place,
                              size_t n, field f, sg_error *err)
{
    size_t P = a->plan->P, start[] = {0, c, d0, 0}, count[] = {P, 1, n_items, n};
    for (size_t p = 0; p < P; p++)
        for (size_t i = 0; i < n_items; i++)
            for (size_t k = 0; k < n; k++)
                a->row[(p * n_items + i) * n + k] = field_of(&a->items[i].x[place + p * n + k], f);
    return run_writer_put_f64(a->w, a->nc, variable, start, count, a->row, err);
}

static sg_status put_random(after *a, size_t c, size_t d0, size_t n_items, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const relative[] = {"relative_memory_random", "relative_memory_random_low",
                                           "relative_memory_random_high"};
    static const char *const cosine[] = {"subspace_cosine_random", "subspace_cosine_random_low",
                                         "subspace_cosine_random_high"};
    size_t P = a->plan->P, R = a->frame.R, start[] = {0, c, d0, 0}, count[] = {P, 1, n_items, R};
    for (size_t v = 0; v < 3; v++) {
        for (size_t p = 0; p < P; p++)
            for (size_t i = 0; i < n_items; i++)
                a->row[p * n_items + i] = a->items[i].random[v];
        TRY(run_writer_put_f64(a->w, a->nc, relative[v], start, count, a->row, err));
        for (size_t k = 0; k < R; k++) {
            double band[3];
            sg_stats_random_cosine(k + 1, a->frame.E, &band[0], &band[1], &band[2]);
            for (size_t i = 0; i < P * n_items; i++)
                a->row[i * R + k] = a->items[i % n_items].empty ? (double)NAN : band[v];
        }
        TRY(run_writer_put_f64(a->w, a->nc, cosine[v], start, count, a->row, err));
    }
done:
    return st;
}

static sg_status put_properties(after *a, size_t c, size_t d0, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const relative[] = {"relative_memory", "relative_memory_low", "relative_memory_high"};
    static const char *const cosine[] = {"subspace_cosine", "subspace_cosine_low", "subspace_cosine_high"};
    if (!a->plan->P)
        return SG_OK;
    for (field f = FIELD_VALUE; f <= FIELD_HIGH; f++) {
        TRY(put_property(a, relative[f], c, d0, n, a->at.relative, 1, f, err));
        TRY(put_property(a, cosine[f], c, d0, n, a->at.cosine, a->frame.R, f, err));
    }
    TRY(put_random(a, c, d0, n, err));
done:
    return st;
}

static sg_status put_large(after *a, size_t c, size_t d0, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    size_t H = a->frame.H, E = a->frame.E, R = a->frame.R, B = a->plan->B;
    for (size_t i = 0; i < n; i++) {
        const item *o = &a->items[i];
        size_t start[] = {c, d0 + i, 0, 0}, mean[] = {1, 1, H, E}, moment[] = {1, 1, E, E}, left[] = {1, 1, R, H},
               right[] = {1, 1, R, E}, gram[] = {1, 1, B, a->packed};
        TRY(run_writer_put_f32(a->w, a->nc, "mean_gradient", start, mean, o->mean, err));
        TRY(run_writer_put_f32(a->w, a->nc, "second_moment", start, moment, o->moment, err));
        TRY(run_writer_put_f32(a->w, a->nc, "left_singular_vector", start, left, o->left, err));
        TRY(run_writer_put_f32(a->w, a->nc, "right_singular_vector", start, right, o->right, err));
        if (o->gram)
            TRY(run_writer_put_f32(a->w, a->nc, "block_gram", start, gram, o->gram, err));
        memcpy(a->row + i * B, o->block_weight, B * sizeof *a->row);
    }
    size_t start[] = {c, d0, 0}, count[] = {1, n, B};
    TRY(run_writer_put_f64(a->w, a->nc, "block_pairs", start, count, a->row, err));
done:
    return st;
}

static sg_status put_batch(after *a, size_t c, size_t d0, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    const sp_places *at = &a->at;
    size_t R = a->frame.R;
    const struct {
        const char *variable;
        size_t place, n;
        field f;
    } rows[] = {
        {"singular_value", at->S, R, FIELD_VALUE},
        {"singular_value_low", at->S, R, FIELD_LOW},
        {"singular_value_high", at->S, R, FIELD_HIGH},
        {"singular_value_se", at->S, R, FIELD_ERROR},
        {"singular_value_bias", at->S, R, FIELD_BIAS},
        {"rms_gain", at->gain, R, FIELD_VALUE},
        {"rms_gain_low", at->gain, R, FIELD_LOW},
        {"rms_gain_high", at->gain, R, FIELD_HIGH},
        {"singular_sum", at->sum, 1, FIELD_VALUE},
        {"singular_sum_low", at->sum, 1, FIELD_LOW},
        {"singular_sum_high", at->sum, 1, FIELD_HIGH},
        {"singular_sum_se", at->sum, 1, FIELD_ERROR},
        {"effective_rank", at->rank, 1, FIELD_VALUE},
        {"effective_rank_low", at->rank, 1, FIELD_LOW},
        {"effective_rank_high", at->rank, 1, FIELD_HIGH},
        {"coherence", at->coherence, 1, FIELD_VALUE},
        {"coherence_low", at->coherence, 1, FIELD_LOW},
        {"coherence_high", at->coherence, 1, FIELD_HIGH},
    };
    for (size_t v = 0; v < sizeof rows / sizeof *rows; v++)
        TRY(put_field(a, rows[v].variable, c, d0, n, rows[v].place, rows[v].n, rows[v].n > 1, rows[v].f, err));
    TRY(put_large(a, c, d0, n, err));
    TRY(put_properties(a, c, d0, n, err));
done:
    return st;
}

static void note(after *a, int kind, size_t c, size_t d, const char *why)
{
    reason *r = &a->reasons[kind];
    if (!why)
        return;
    if (r->first[0]) {
        r->more++;
        return;
    }
    char name[64];
    snprintf(name, sizeof name, "%s", a->plan->class_names[c]);
    if (d == SIZE_MAX)
        snprintf(r->first, sizeof r->first, "class %s: %s", name, why);
    else
        snprintf(r->first, sizeof r->first, "class %s, delay %zu: %s", name, d, why);
}

/* What outlives the batch: series for decay, class differences and the p-values. */
static void keep(after *a, size_t c, size_t d, const item *o)
{
    const an_plan *p = a->plan;
    size_t places[AN_QUANTITIES] = {a->at.S, a->at.sum, a->at.gain}, i = c * p->D + d;
    for (size_t q = 0; q < AN_QUANTITIES; q++) {
        a->s.y[(c * AN_QUANTITIES + q) * p->D + d] = o->x[places[q]].value;
        a->s.error[(c * AN_QUANTITIES + q) * p->D + d] = o->x[places[q]].error;
        for (size_t b = 0; o->empty && b < p->B; b++)
            a->s.without[((c * AN_QUANTITIES + q) * p->B + b) * p->D + d] = NAN;
    }
    a->s.p[i] = o->p.p;
    a->s.excess[i] = o->p.excess;
    a->s.null_low[i] = o->p.null_low;
    a->s.null_high[i] = o->p.null_high;
    note(a, REASON_EMPTY, c, d, o->empty ? "no pairs" : NULL);
    note(a, REASON_INTERVAL, c, d, o->empty ? "no pairs" : o->interval_missing);
    if (c)
        note(a, REASON_TEST, c, d, o->empty ? "no pairs" : a->workers[0].test ? o->test_missing : "one block");
}

static sg_status run_batch(after *a, size_t c, size_t d0, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
#pragma omp parallel for schedule(dynamic, 1) num_threads(a->threads)
    for (size_t i = 0; i < n; i++)
        a->items[i].st = compute(a, &a->workers[omp_get_thread_num()], &a->items[i], c, d0 + i, &a->items[i].err);
    for (size_t i = 0; i < n; i++) {
        if (a->items[i].st != SG_OK) {
            if (err)
                *err = a->items[i].err;
            return a->items[i].st;
        }
        keep(a, c, d0 + i, &a->items[i]);
    }
    TRY(put_batch(a, c, d0, n, err));
done:
    return st;
}

/* ---- of the whole group ---- */

static sg_status put_pairs(after *a, sg_error *err)
{
    sg_status st = SG_OK;
    const an_plan *p = a->plan;
    int64_t *pairs = sg_calloc(3 * p->D, sizeof *pairs), *moment = pairs + p->D, *exist = moment + p->D;
    if (!pairs)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", a->group->name);
    for (size_t c = 0; c < p->C; c++) {
        size_t start[] = {c, 0}, count[] = {1, p->D};
        memset(pairs, 0, 3 * p->D * sizeof *pairs);
        for (size_t d = 0; d < p->D; d++)
            for (size_t b = 0; b < p->B; b++) {
                const sums_weight *x = sums_weight_at(a->sums, b, c, d);
                pairs[d] += x->pairs, moment[d] += x->moment_pairs, exist[d] += x->exist;
            }
        TRY(run_writer_put_i64(a->w, a->nc, "pairs", start, count, pairs, err));
        TRY(run_writer_put_i64(a->w, a->nc, "second_moment_pairs", start, count, moment, err));
        TRY(run_writer_put_i64(a->w, a->nc, "existing_pairs", start, count, exist, err));
    }
done:
    sg_free(pairs);
    return st;
}

/* sigma_1(class) - sigma_1(all): intervals from the difference of the replicates; p-values adjusted over the group. */
static sg_status put_differences(after *a, sg_error *err)
{
    sg_status st = SG_OK;
    const an_plan *p = a->plan;
    size_t D = p->D, B = p->B, n = p->C * D;
    double *without = sg_calloc(B, sizeof *without), *weights = sg_calloc(B, sizeof *weights);
    double *x = sg_calloc(3 * n, sizeof *x);
    if (!without || !weights || !x)
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", a->group->name));
    for (size_t i = 0; i < n; i++) {
        size_t c = i / D, d = i % D;
        for (size_t b = 0; b < B; b++) {
            weights[b] = sums_weight_at(a->sums, b, c, d)->weight;
            without[b] = a->s.without[(c * AN_QUANTITIES * B + b) * D + d] - a->s.without[b * D + d];
        }
        sg_interval t = {NAN, NAN, NAN, NAN, NAN, NULL};
        if (c)
            sg_stats_jackknife(&t, B, weights, a->s.y[c * AN_QUANTITIES * D + d] - a->s.y[d], without, 1);
        x[i] = t.value, x[n + i] = t.low, x[2 * n + i] = t.high;
    }
    TRY(sg_stats_adjust(n, a->s.p, a->s.adjusted, err));
    TRY(run_writer_put_f64(a->w, a->nc, "class_difference", NULL, NULL, x, err));
    TRY(run_writer_put_f64(a->w, a->nc, "class_difference_low", NULL, NULL, x + n, err));
    TRY(run_writer_put_f64(a->w, a->nc, "class_difference_high", NULL, NULL, x + 2 * n, err));
    TRY(run_writer_put_f64(a->w, a->nc, "class_difference_p", NULL, NULL, a->s.p, err));
    TRY(run_writer_put_f64(a->w, a->nc, "class_difference_p_adjusted", NULL, NULL, a->s.adjusted, err));
    TRY(run_writer_put_f64(a->w, a->nc, "class_null_low", NULL, NULL, a->s.null_low, err));
    TRY(run_writer_put_f64(a->w, a->nc, "class_null_high", NULL, NULL, a->s.null_high, err));
done:
    sg_free(without);
    sg_free(weights);
    sg_free(x);
    return st;
}

static sg_status put_decay(after *a, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const names[] = {"decay_scale", "decay_scale_error", "decay_rate", "decay_rate_error",
                                        "decay_shape", "decay_shape_error", "decay_residual", "decay_aic",
                                        "decay_weight"};
    enum { FIELDS = sizeof names / sizeof *names };
    const an_plan *p = a->plan;
    size_t D = p->D, B = p->B, n = p->C * AN_QUANTITIES;
    double *x = sg_calloc(n * (FIELDS * AN_LAWS + 2), sizeof *x), *weights = sg_calloc(B, sizeof *weights);
    if (!x || !weights)
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", a->group->name));
    double *half = x + n * FIELDS * AN_LAWS, *half_error = half + n;
    for (size_t i = 0; i < n; i++) {
        size_t c = i / AN_QUANTITIES;
        sg_decay fit;
        for (size_t b = 0; b < B; b++)
            weights[b] = sums_weight_at(a->sums, b, c, 0)->weight;
        TRY(sg_stats_decay(&fit, D, a->s.y + i * D, a->s.error + i * D, B, weights, a->s.without + i * B * D, err));
        for (size_t l = 0; l < AN_LAWS; l++) {
            const sg_decay_fit *f = &fit.fit[l];
            double v[FIELDS] = {f->scale, f->scale_error, f->rate, f->rate_error, f->shape, f->shape_error,
                                f->residual, f->aic, f->weight};
            for (size_t k = 0; k < FIELDS; k++)
                x[(k * n + i) * AN_LAWS + l] = fit.missing ? (double)NAN : v[k];
        }
        half[i] = fit.half_life_missing ? (double)NAN : fit.half_life;
        half_error[i] = fit.half_life_missing ? (double)NAN : fit.half_life_error;
        note(a, REASON_DECAY, c, SIZE_MAX, fit.missing);
        note(a, REASON_HALF_LIFE, c, SIZE_MAX, fit.half_life_missing);
    }
    for (size_t k = 0; k < FIELDS; k++)
        TRY(run_writer_put_f64(a->w, a->nc, names[k], NULL, NULL, x + k * n * AN_LAWS, err));
    TRY(run_writer_put_f64(a->w, a->nc, "half_life", NULL, NULL, half, err));
    TRY(run_writer_put_f64(a->w, a->nc, "half_life_error", NULL, NULL, half_error, err));
done:
    sg_free(x);
    sg_free(weights);
    return st;
}

/* What long windows cost in accuracy: the file has it, and whoever loses more than 1e-4 is told. */
static sg_status put_missed(after *a, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    const an_plan *p = a->plan;
    double *error = sg_calloc(p->D, sizeof *error), worst = 0, gradients = 0;
    size_t at = 0;
    if (!error)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", a->group->name);
    for (size_t d = 0; d < p->D; d++) {
        double norms = 0, of = 0, norm = sqrt(a->s.norm[d]);
        for (size_t b = 0; b < p->B; b++) {
            const sums_missed *x = sums_missed_at(a->sums, b, a->g, d);
            norms += x->norms, of += x->of;
        }
        gradients += of;
        error[d] = of > 0 ? norms / of : 0;
        if (norm > SMALLEST && error[d] > worst * norm)
            worst = error[d] / norm, at = d;
    }
    if (!(gradients > 0))
        goto done;
    TRY(run_writer_define(a->w, a->nc, "mean_gradient_error", err));
    TRY(run_writer_put_f64(a->w, a->nc, "mean_gradient_error", NULL, NULL, error, err));
    if (worst > LARGE_ERROR)
        sg_warn(monitor, "%s: what long delays lose because old origins share bases is up to %.1g of the mean gradient "
                         "(delay %zu; see mean_gradient_error); a smaller --long-tolerance or --long-after never helps",
                a->group->name, worst, at);
done:
    sg_free(error);
    return st;
}

/* Every NaN has a reason in the file. */
static sg_status put_reasons(after *a, sg_error *err)
{
    sg_status st = SG_OK;
    static const struct {
        int kind;
        const char *variable;
    } where[] = {
        {REASON_EMPTY, "mean_gradient"}, {REASON_EMPTY, "singular_value"}, {REASON_EMPTY, "singular_sum"},
        {REASON_EMPTY, "effective_rank"}, {REASON_EMPTY, "rms_gain"}, {REASON_EMPTY, "coherence"},
        {REASON_EMPTY, "second_moment"}, {REASON_EMPTY, "left_singular_vector"},
        {REASON_EMPTY, "right_singular_vector"}, {REASON_EMPTY, "class_difference"},
        {REASON_INTERVAL, "singular_value_low"}, {REASON_INTERVAL, "singular_value_high"},
        {REASON_INTERVAL, "singular_value_se"}, {REASON_INTERVAL, "singular_value_bias"},
        {REASON_INTERVAL, "singular_sum_low"}, {REASON_INTERVAL, "singular_sum_high"},
        {REASON_INTERVAL, "singular_sum_se"}, {REASON_INTERVAL, "effective_rank_low"},
        {REASON_INTERVAL, "effective_rank_high"}, {REASON_INTERVAL, "rms_gain_low"},
        {REASON_INTERVAL, "rms_gain_high"}, {REASON_INTERVAL, "coherence_low"}, {REASON_INTERVAL, "coherence_high"},
        {REASON_INTERVAL, "relative_memory_low"}, {REASON_INTERVAL, "relative_memory_high"},
        {REASON_INTERVAL, "subspace_cosine_low"}, {REASON_INTERVAL, "subspace_cosine_high"},
        {REASON_INTERVAL, "class_difference_low"}, {REASON_INTERVAL, "class_difference_high"},
        {REASON_TEST, "class_difference_p"}, {REASON_TEST, "class_difference_p_adjusted"},
        {REASON_TEST, "class_null_low"}, {REASON_TEST, "class_null_high"}, {REASON_DECAY, "decay_scale"},
        {REASON_DECAY, "decay_rate"}, {REASON_DECAY, "decay_shape"}, {REASON_DECAY, "decay_weight"},
        {REASON_DECAY, "decay_aic"}, {REASON_HALF_LIFE, "half_life"},
    };
    for (size_t i = 0; i < sizeof where / sizeof *where; i++) {
        const reason *r = &a->reasons[where[i].kind];
        char text[300];
        if (!r->first[0])
            continue;
        snprintf(text, sizeof text, r->more ? "%s (and %zu more)" : "%s", r->first, r->more);
        TRY(run_writer_text(a->w, a->nc, where[i].variable, "missing_reason", text, err));
    }
    for (size_t p = 0; p < a->plan->P; p++)
        if (a->plan->property_missing && a->plan->property_missing[p]) {
            TRY(run_writer_text(a->w, a->nc, "relative_memory", "missing_reason", a->plan->property_missing[p], err));
            TRY(run_writer_text(a->w, a->nc, "subspace_cosine", "missing_reason", a->plan->property_missing[p], err));
        }
done:
    return st;
}

static sg_status one_group(after *a, const sg_monitor *monitor, double began, double *done_items, double total,
                           sg_error *err)
{
    sg_status st = SG_OK;
    const an_plan *p = a->plan;
    TRY(room(a, err));
    TRY(define(a, err));
    for (size_t c = 0; c < p->C; c++)
        for (size_t d0 = 0; d0 < p->D; d0 += a->batch) {
            size_t n = p->D - d0 < a->batch ? p->D - d0 : a->batch;
            TRY(run_batch(a, c, d0, n, err));
            *done_items += (double)n;
            sg_progress now = {"decomposing", *done_items, total, sg_clock() - began, NAN, 0, 0};
            if (monitor && monitor->tick && !monitor->tick(monitor->ctx, &now))
                TRY(sg_fail(err, SG_ECANCELLED, "stopped"));
        }
    TRY(put_pairs(a, err));
    TRY(put_differences(a, err));
    TRY(put_decay(a, err));
    TRY(put_missed(a, monitor, err));
    TRY(put_reasons(a, err));
done:
    room_free(a);
    return st;
}

sg_status an_after(run_writer *w, const an_plan *plan, const an_sums *sums, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    double began = sg_clock(), done_items = 0, total = (double)(plan->n_groups * plan->C * plan->D);
    int threads_before = la_set_threads(1);
    for (size_t g = 0; g < plan->n_groups; g++) {
        after a = {.g = g, .w = w, .sums = sums};
        shape_of(&a, plan, &plan->groups[g], sums_get_shape(sums)->moments);
        TRY(one_group(&a, monitor, began, &done_items, total, err));
    }
done:
    la_set_threads(threads_before);
    return st;
}
