/* SPDX-License-Identifier: MIT */
#include "helpers/naive_gradient.h"
#include "helpers/test_util.h"

#include "gradient/accum.h"
#include "base/base_internal.h"
#include "gradient/backend.h"
#include "kernel/float_env.h"
#include "kernel/kernel.h"
#include "lm/model_internal.h"

#include <float.h>
#include <limits.h>
#include <pthread.h>

#define N_CELLS sg_cell_count()
enum { SETS = 3 };

typedef struct {
    sg_cell cell;
    size_t layers, E, H[3], D, T;
    sg_state_handling handling;
    size_t window, burn_in, moments;
    double rate;       /* of origins; 0: all */
    size_t warm, skip; /* steps at the start that are not counted; skipped before those */
    size_t long_after; /* tolerance of the comparison then 1e-4 */
    float scale;       /* of all weights; 0: as they come */
    double tolerance;  /* of the long window */
    unsigned seed;
    bool (*go_on)(void *ctx);
    void *go_on_ctx;
} trial;

typedef struct {
    sg_model *m;
    sg_step *steps;
    float *x;
    sg_accum_state states[6];
    size_t n_states;
} material;

static bool sampled(void *ctx, uint64_t position, unsigned set)
{
    return engine_sampled(77, position, set == 1 ? 1 : *(const double *)ctx);
}

static material prepare(const trial *c)
{
    material a = {0};
    sg_error err;
    sg_model_shape shape = {.cell = c->cell, .layers = c->layers, .embedding = c->E};
    for (size_t l = 0; l < c->layers; l++)
        shape.hidden[l] = c->H[l];
    assert_ok(sg_model_new(&a.m, &shape, NULL, &err), err);
    /* An LSTM whose states have no bound grows, and float's rounding with it: smaller weights. */
    const bool grows = (c->cell == SG_CELL_LSTM_RELU || c->cell == SG_CELL_LSTM_HARD_RELU) && !c->long_after;
    sg_model_init_uniform(a.m, (grows ? 0.8f : 1.6f) / sqrtf((float)c->H[0]), 3 + c->seed);
    for (size_t i = 0; c->scale > 0 && i < model_block_size(a.m); i++)
        model_block(a.m)[i] *= c->scale;
    a.steps = calloc(c->T, sizeof *a.steps);
    a.x = calloc(c->T * c->E, sizeof *a.x);
    sg_rng r;
    sg_rng_seed(&r, c->seed, 1);
    for (size_t t = 0; t < c->T; t++) {
        a.steps[t].set = (unsigned)sg_rng_below(&r, SETS);
        a.steps[t].first = t == 0 || sg_rng_below(&r, 7) == 0;
        for (size_t e = 0; e < c->E; e++)
            a.x[t * c->E + e] = (float)sg_rng_normal(&r);
    }
    for (size_t l = 1; l <= c->layers; l++)
        for (size_t kind = 1; kind <= 2; kind++)
            if (kind == SG_STATE_HIDDEN || (sg_cell_states(c->cell) & SG_STATE_CELL))
                a.states[a.n_states++] = (sg_accum_state){l, (sg_state_kind)kind, c->H[l - 1]};
    return a;
}

static void release(material *a)
{
    sg_model_free(a->m);
    free(a->steps);
    free(a->x);
}

static sg_engine *new_engine(const trial *c, const material *a, int threads)
{
    sg_error err;
    sg_engine *e = NULL;
    sg_engine_config cfg = {.delays = c->D,
                            .states = a->states,
                            .n_states = a->n_states,
                            .handling = c->handling,
                            .window = c->window,
                            .burn_in = c->burn_in,
                            .second_moment_every = c->moments,
                            .long_after = c->long_after,
                            .long_tolerance = c->tolerance,
                            .threads = threads,
                            .sample = c->rate > 0 ? sampled : NULL,
                            .sample_ctx = (void *)&c->rate,
                            .go_on = c->go_on,
                            .go_on_ctx = c->go_on_ctx};
    assert_ok(engine_new(&e, a->m, &cfg, &err), err);
    return e;
}

/* The whole stream in portions of at most `portion` steps. */
static sg_accum *run(const trial *c, const material *a, int threads, size_t portion)
{
    sg_error err;
    sg_accum *sums = NULL;
    sg_engine *e = new_engine(c, a, threads);
    assert_ok(engine_new_accum(e, &sums, &err), err);
    for (size_t t = 0; t < c->T;) {
        size_t end = t < c->skip ? c->skip : t < c->skip + c->warm ? c->skip + c->warm : c->T;
        size_t n = end - t < portion ? end - t : portion;
        if (t < c->skip)
            assert_ok(engine_skip(e, a->steps + t, a->x + t * c->E, n, &err), err);
        else
            assert_ok(engine_run(e, a->steps + t, a->x + t * c->E, n, t >= c->skip + c->warm, sums, &err),
                      err);
        t += n;
    }
    assert_ok(engine_flush(e, sums, &err), err);
    assert_int_equal(engine_position(e), c->T);
    engine_free(e);
    return sums;
}

/* What the sums must be, from the naive reference. */
typedef struct {
    double *S[6], *Q[6]; /* (SETS, D, H, E), (SETS, D, E, E) */
    uint64_t *pairs, *taken, *moments;
} expectation;

static expectation expect(const trial *c, const material *a)
{
    expectation x = {0};
    size_t E = c->E, D = c->D, zero = 0, *since = calloc(c->T, sizeof *since);
    naive *n = naive_new(a->m, c->T);
    for (size_t i = 0; i < a->n_states; i++) {
        x.S[i] = calloc(SETS * D * a->states[i].units * E, sizeof(double));
        x.Q[i] = calloc(SETS * D * E * E, sizeof(double));
    }
    x.pairs = calloc(SETS * D, sizeof *x.pairs), x.taken = calloc(SETS * D, sizeof *x.taken);
    x.moments = calloc(SETS * D, sizeof *x.moments);
    for (size_t t = 0; t < c->T; t++) {
        double in[160];
        bool reset = c->handling == SG_RESET && a->steps[t].first;
        for (size_t e = 0; e < E; e++)
            in[e] = (double)a->x[t * E + e];
        naive_step(n, in, reset);
        zero = reset ? t : zero;
        since[t] = t - zero;
        for (size_t d = 0; d < D && d <= t && t >= c->skip + c->warm; d++) {
            size_t s = t - d, set = a->steps[s].set, at = set * D + d;
            if (s < zero || s < c->skip || since[s] < c->burn_in)
                continue;
            if (c->handling == SG_WINDOW && s / c->window != t / c->window)
                continue;
            x.pairs[at]++;
            if (c->rate > 0 && !sampled((void *)&c->rate, s, (unsigned)set))
                continue;
            x.taken[at]++;
            bool moment = engine_moment_due(c->moments, t);
            x.moments[at] += moment;
            for (size_t i = 0; i < a->n_states; i++) {
                size_t H = a->states[i].units;
                const double *G = naive_get(n, a->states[i].layer, a->states[i].kind, s);
                for (size_t k = 0; k < H * E; k++)
                    x.S[i][at * H * E + k] += G[k];
                for (size_t p = 0; moment && p < E; p++)
                    for (size_t q = 0; q < E; q++)
                        for (size_t j = 0; j < H; j++)
                            x.Q[i][at * E * E + p * E + q] += G[j * E + p] * G[j * E + q];
            }
        }
    }
    naive_free(n);
    free(since);
    return x;
}

static void release_expectation(expectation *x)
{
    for (size_t i = 0; i < 6; i++)
        free(x->S[i]), free(x->Q[i]);
    free(x->pairs), free(x->taken), free(x->moments);
}

static double largest(const double *x, size_t n)
{
    double m = 0;
    for (size_t i = 0; i < n; i++)
        m = fmax(m, fabs(x[i]));
    return m;
}

/* Sum over all sets, weighted as sampling demands. */
static void compare(const trial *c, const material *a, const sg_accum *got, const expectation *x)
{
    size_t E = c->E, D = c->D;
    double *sum = calloc(64 * 64 + 64 * E + E * E, sizeof *sum),
           *want = calloc(64 * 64 + 64 * E + E * E, sizeof *want);
    for (size_t d = 0; d < D; d++) {
        for (size_t set = 0; set < SETS; set++) {
            assert_int_equal(accum_pairs(got, set, d), x->pairs[set * D + d]);
            assert_int_equal(accum_sampled(got, set, d), x->taken[set * D + d]);
        }
        for (size_t i = 0; i < a->n_states; i++) {
            size_t n = a->states[i].units * E;
            double weight = 0, scale = 0;
            memset(want, 0, n * sizeof *want);
            for (size_t set = 0; set < SETS; set++) {
                size_t at = set * D + d;
                double w = x->taken[at] ? (double)x->pairs[at] / (double)x->taken[at] : 0;
                for (size_t k = 0; k < n; k++)
                    want[k] += w * x->S[i][at * n + k];
                weight += x->taken[at] ? (double)x->pairs[at] : 0;
                scale += w * largest(x->S[i] + at * n, n);
            }
            assert_close(accum_class_sum(got, i, NULL, 0, d, sum), weight, 1e-12, 0, "weight", d);
            for (size_t k = 0; k < n; k++)
                assert_close(sum[k], want[k], c->long_after ? 5e-5 : 3e-6, scale + 1e-25, "sum", k);
            if (!c->moments)
                continue;
            n = E * E, weight = scale = 0;
            memset(want, 0, n * sizeof *want);
            for (size_t set = 0; set < SETS; set++) {
                size_t at = set * D + d;
                double w = x->moments[at] ? (double)x->pairs[at] / (double)x->moments[at] : 0;
                for (size_t k = 0; k < n; k++)
                    want[k] += w * x->Q[i][at * n + k];
                weight += x->moments[at] ? (double)x->pairs[at] : 0;
                scale += w * largest(x->Q[i] + at * n, n);
            }
            assert_close(accum_class_moment(got, i, NULL, 0, d, sum), weight, 1e-12, 0, "moment weight", d);
            for (size_t k = 0; k < n; k++)
                assert_close(sum[k], want[k], c->long_after ? 1e-4 : 1e-5, scale + 1e-25, "moment", k);
        }
    }
    free(sum);
    free(want);
}

static char *bytes_of(const sg_accum *a, size_t *n)
{
    char *p = NULL;
    sg_error err;
    FILE *f = open_memstream(&p, n);
    assert_ok(accum_save(a, f, &err), err);
    fclose(f);
    return p;
}

static void same_bytes(const sg_accum *a, const sg_accum *b)
{
    size_t n, m;
    char *p = bytes_of(a, &n), *q = bytes_of(b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(p, q, n);
    free(p);
    free(q);
}

static void check_trial(const trial *c)
{
    material a = prepare(c);
    expectation x = expect(c, &a);
    sg_accum *one = run(c, &a, 1, c->T), *two = run(c, &a, 2, 5), *three = run(c, &a, 3, 1);
    compare(c, &a, one, &x);
    same_bytes(one, two);
    same_bytes(one, three);
    accum_free(one);
    accum_free(two);
    accum_free(three);
    release_expectation(&x);
    release(&a);
}

static bool everything; /* else each trial with one cell only, the next trial with the next */

/* The cell of a trial is left open. */
static void check_trials(const trial *trials, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < N_CELLS; c++) {
            trial one = trials[i];
            one.cell = (sg_cell)c;
            if (everything || c == (N_CELLS - 1 + 2 * i) % N_CELLS)
                check_trial(&one);
        }
}

#define CHECK(...)                                                                                           \
    do {                                                                                                     \
        const trial trials[] = {__VA_ARGS__};                                                                \
        check_trials(trials, sizeof trials / sizeof *trials);                                                \
    } while (0)

static void cells_and_shapes(void **state)
{
    (void)state;
    CHECK({0, 1, 32, {17}, 9, 30, SG_CARRY, .seed = 1},
          {0, 2, 40, {10, 15}, 12, 30, SG_CARRY, .moments = 1, .seed = 2},
          {0, 3, 5, {8, 13, 30}, 20, 45, SG_CARRY, .moments = 3, .seed = 3},
          {0, 1, 1, {1}, 1, 20, SG_CARRY, .seed = 4},
          {0, 1, 140, {9}, 6, 30, SG_CARRY, .moments = 3, .seed = 6},
          {0, 2, 64, {17, 3}, 30, 20, SG_CARRY, .moments = 16, .seed = 5});
}

static void state_handling(void **state)
{
    (void)state;
    CHECK({0, 2, 33, {9, 14}, 10, 40, SG_RESET, .seed = 1},
          {0, 2, 33, {9, 14}, 10, 40, SG_RESET, .burn_in = 3, .moments = 2, .seed = 2},
          {0, 1, 20, {9}, 10, 60, SG_WINDOW, .window = 13, .seed = 3},
          {0, 1, 32, {9}, 10, 60, SG_CARRY, .burn_in = 25, .seed = 4},
          {0, 2, 36, {9, 8}, 10, 45, SG_CARRY, .warm = 11, .skip = 14, .seed = 5},
          /* counted at once after skipping: no pair may begin at a skipped step */
          {0, 1, 36, {9}, 10, 45, SG_CARRY, .skip = 14, .seed = 7},
          {0, 1, 36, {9}, 10, 45, SG_RESET, .warm = 3, .skip = 14, .burn_in = 2, .moments = 2, .seed = 8},
          {0, 1, 36, {9}, 10, 60, SG_WINDOW, .window = 3, .warm = 5, .skip = 10, .seed = 6});
}

/* A rate is the share of the positions that are drawn; each depends on its position and on the seed alone. */
static void a_rate_is_a_share_of_the_positions(void **state)
{
    (void)state;
    enum { N = 40000 };
    static const double rates[] = {0, 0.1, 0.5, 0.9, 1};
    for (size_t k = 0; k < sizeof rates / sizeof *rates; k++) {
        double rate = rates[k], drawn = 0, early = 0, same = 0, next = 0;
        for (uint64_t t = 0; t < N; t++) {
            bool it = engine_sampled(3, t, rate);
            assert_int_equal(it, engine_sampled(3, t, rate));
            drawn += it, early += it && t < N / 2, same += it && engine_sampled(4, t, rate);
            next += it && engine_sampled(3, t + 1, rate);
        }
        double far = 4 * sqrt(N * rate * (1 - rate));
        assert_true(fabs(drawn - N * rate) <= far && fabs(early - drawn / 2) <= far);
        double both = N * rate * rate, apart = 4 * sqrt(both * (1 - rate * rate));
        assert_true(fabs(same - both) <= apart && fabs(next - both) <= 2 * apart);
    }
}

static void sampled_origins(void **state)
{
    (void)state;
    CHECK({0, 1, 32, {6}, 14, 100, SG_CARRY, .rate = 0.1, .moments = 2, .seed = 1},
          {0, 2, 39, {6, 5}, 25, 60, SG_RESET, .rate = 0.4, .seed = 2},
          {0, 2, 7, {5, 7}, 60, 100, SG_CARRY, .rate = 0.7, .moments = 8, .seed = 3});
}

/* Origins that share a basis: within 1e-4 of the largest entry at every delay, and the same bytes as ever. */
static void long_windows(void **state)
{
    (void)state;
    CHECK({0, 1, 5, {33}, 60, 110, SG_CARRY, .long_after = 8, .seed = 1},
          {0, 2, 34, {6, 9}, 28, 70, SG_CARRY, .long_after = 8, .seed = 2},
          {0, 1, 32, {7}, 30, 90, SG_RESET, .burn_in = 2, .long_after = 8, .seed = 3},
          {0, 1, 9, {7}, 60, 100, SG_CARRY, .rate = 0.5, .long_after = 8, .seed = 4},
          {0, 1, 37, {40}, 50, 80, SG_CARRY, .moments = 5, .long_after = 16, .seed = 5},
          {0, 2, 5, {33, 9}, 40, 90, SG_WINDOW, .window = 37, .moments = 1, .long_after = 8, .seed = 6});
}

/* Gradients that shrink by 1e9 a step, and by half a step for 200 steps, end below the normal range of a
 * float: they are flushed to zero there, right before, and whoever called has the floating-point environment
 * that he had. */
static void denormals(void **state)
{
    (void)state;
    sg_float_env before = float_env_now();
    trial small = {SG_CELL_TANH, 2, 5, {7, 4}, 9, 40, SG_CARRY, .moments = 2, .scale = 1e-9f, .seed = 1};
    material a = prepare(&small);
    expectation x = expect(&small, &a);
    double tiny = largest(x.S[0] + 4 * 7 * 5, 7 * 5); /* set 0, delay 4 */
    assert_true(tiny > 0 && tiny < FLT_MIN);
    release_expectation(&x);
    release(&a);
    CHECK(small, {0, 1, 2, {3}, 150, 180, SG_CARRY, .scale = 1e-9f, .seed = 2},
          {0, 1, 2, {3}, 150, 180, SG_CARRY, .scale = 1e-9f, .long_after = 50, .seed = 2});
    long changed = 0;
#pragma omp parallel num_threads(3) reduction(+ : changed)
    changed += float_env_now() != before; /* the threads that did the work, too */
    assert_int_equal(changed, 0);
}

/* What the engine says of its own error: no less than a third of it, not a hundred times more; and there are
 * few directions indeed. */
static void knows_its_error(const trial *c, const material *a, const expectation *x)
{
    sg_error err;
    sg_accum *sums = NULL;
    sg_engine *e = new_engine(c, a, 2);
    size_t directions, H = c->H[0], E = c->E;
    bool shares = engine_shares_bases(sg_model_get_shape(a->m)); /* else nothing is missed */
    assert_ok(engine_new_accum(e, &sums, &err), err);
    assert_ok(engine_run(e, a->steps, a->x, c->T, true, sums, &err), err);
    assert_ok(engine_flush(e, sums, &err), err);
    size_t origins = engine_shared(e, &directions);
    assert_true(shares ? origins >= c->D - 2 * c->long_after - 8 && directions * 2 < origins * E : !origins);
    double *sum = calloc(H * E, sizeof *sum), worst = 0, told = 0;
    for (size_t i = 0; i < a->n_states; i++)
        for (size_t d = 0; d < c->D; d++) {
            double missed, difference = 0, norm = 0;
            uint64_t of = accum_missed(sums, i, d, &missed);
            double n = accum_class_sum(sums, i, NULL, 0, d, sum);
            for (size_t j = 0; j < H * E; j++) {
                double want = 0;
                for (size_t set = 0; set < SETS; set++)
                    want += x->S[i][(set * c->D + d) * H * E + j];
                difference += (sum[j] - want) * (sum[j] - want), norm += want * want;
            }
            difference = sqrt(difference) / n, norm = sqrt(norm) / n;
            double error = of ? missed / (double)of : 0;
            assert_true(!of == (!shares || d <= c->long_after));
            assert_true(difference < 3 * error + 1e-6 * norm);
            if (norm > 1e-30)
                worst = fmax(worst, difference / norm), told = fmax(told, error / norm);
        }
    assert_true(!shares ||
                (worst > 1e-3 * c->tolerance && told < 100 * worst)); /* there is an error to be seen */
    free(sum);
    accum_free(sums);
    engine_free(e);
}

static void long_windows_know_their_error(void **state)
{
    (void)state;
    for (sg_cell cell = 0; cell < N_CELLS; cell++) {
        if (!everything && cell != SG_CELL_LSTM && cell != SG_CELL_MINLSTM) /* with shared bases, without */
            continue;
        trial c = {cell, 1, 6, {60}, 90, 160, SG_CARRY, .long_after = 16, .seed = 3};
        material a = prepare(&c);
        expectation x = expect(&c, &a); /* at any tolerance */
        for (size_t k = 0; k < 2; k++) {
            c.tolerance = k ? 1e-2 : 1e-5;
            knows_its_error(&c, &a, &x);
        }
        release_expectation(&x);
        release(&a);
    }
}

/* The lesser instruction sets give the same to rounding. */
static void instruction_sets(void **state)
{
    (void)state;
    static const char *const names[] = {"plain", "avx2", "avx512"};
    for (size_t i = 0; i < 3; i++) {
        if (!kernels_named(names[i])) {
            print_message("skipped: no %s on this machine\n", names[i]);
            continue;
        }
        setenv("STATEGRAD_ISA", names[i], 1);
        check_trial(&(trial){SG_CELL_LSTM, 2, 45, {17, 19}, 12, 30, SG_CARRY, .moments = 4, .seed = 2});
        if (!everything)
            continue;
        check_trial(&(trial){SG_CELL_GRU, 2, 45, {29, 31}, 12, 40, SG_CARRY, .moments = 4, .seed = 2});
        check_trial(&(trial){SG_CELL_TANH, 2, 13, {64, 5}, 12, 40, SG_CARRY, .seed = 2});
    }
    unsetenv("STATEGRAD_ISA");
}

static void goes_on(const trial *c)
{
    material a = prepare(c);
    expectation x = expect(c, &a);
    sg_error err;
    sg_accum *whole = NULL, *again = NULL;
    sg_engine *e = new_engine(c, &a, 2), *f = new_engine(c, &a, 1);
    assert_ok(engine_new_accum(e, &whole, &err), err);
    assert_ok(engine_new_accum(f, &again, &err), err);
    size_t cut = 307;
    assert_ok(engine_run(e, a.steps, a.x, cut, true, whole, &err), err);
    assert_ok(engine_flush(e, whole, &err), err);
    char *p = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&p, &n);
    assert_ok(engine_save(e, out, &err), err);
    assert_ok(accum_save(whole, out, &err), err);
    fclose(out);
    assert_ok(engine_run(e, a.steps + cut, a.x + cut * c->E, c->T - cut, true, whole, &err), err);
    assert_ok(engine_flush(e, whole, &err), err);
    compare(c, &a, whole, &x);
    FILE *in = fmemopen(p, n, "r");
    assert_ok(engine_load(f, in, &err), err);
    assert_ok(accum_load(again, in, &err), err);
    fclose(in);
    assert_ok(engine_run(f, a.steps + cut, a.x + cut * c->E, c->T - cut, true, again, &err), err);
    assert_ok(engine_flush(f, again, &err), err);
    same_bytes(whole, again);
    for (size_t m = 0; m < n; m += 1 + m / 3) { /* cut short anywhere: refused */
        in = fmemopen(p, m ? m : 1, "r");
        bool loaded = engine_load(f, in, &err) == SG_OK && accum_load(again, in, &err) == SG_OK;
        fclose(in);
        assert_false(loaded);
    }
    free(p);
    engine_free(e);
    engine_free(f);
    accum_free(whole);
    accum_free(again);
    release_expectation(&x);
    release(&a);
}

/* Float32 sums are flushed: many terms stay exact to rounding, and a saved and loaded run ends with the same
 * bytes. */
static void long_runs_and_checkpoints(void **state)
{
    (void)state;
    goes_on(&(trial){SG_CELL_LSTM, 2, 3, {5, 4}, 6, 450, SG_RESET, .moments = 4, .seed = 9});
    /* cut within the burn-in of a sentence: where the state was zero is saved too */
    for (unsigned seed = 9; seed < 13; seed++)
        goes_on(
            &(trial){SG_CELL_TANH, 1, 3, {5}, 6, 450, SG_RESET, .burn_in = 12, .moments = 4, .seed = seed});
    goes_on(
        &(trial){SG_CELL_LSTM, 2, 3, {5, 4}, 60, 450, SG_CARRY, .moments = 4, .long_after = 8, .seed = 9});
}

/* Parts of a stream, each with its own engine, into the same sums: the whole. */
static void parts_add_up(void **state)
{
    (void)state;
    trial c = {SG_CELL_GRU, 2, 33, {12, 9}, 11, 90, SG_CARRY, .moments = 2, .seed = 9};
    material a = prepare(&c);
    expectation x = expect(&c, &a);
    sg_accum *all = NULL;
    sg_error err;
    for (size_t part = 0; part < 3; part++) {
        size_t start = part * 30, before = start > c.D - 1 ? start - (c.D - 1) : 0;
        sg_engine *e = new_engine(&c, &a, 2);
        if (!all)
            assert_ok(engine_new_accum(e, &all, &err), err);
        assert_ok(engine_skip(e, a.steps, a.x, before, &err), err);
        assert_ok(engine_flush(e, NULL, &err), err);
        assert_ok(engine_run(e, a.steps + before, a.x + before * c.E, start - before, false, all, &err), err);
        assert_ok(engine_run(e, a.steps + start, a.x + start * c.E, 30, true, all, &err), err);
        assert_ok(engine_flush(e, all, &err), err);
        engine_free(e);
    }
    compare(&c, &a, all, &x);
    accum_clear(all);
    assert_int_equal(accum_pairs(all, 0, 0), 0);
    double *sum = calloc(12 * 33, sizeof *sum);
    assert_true(accum_class_sum(all, 0, NULL, 0, 0, sum) == 0 && sum[0] == 0);
    free(sum);
    accum_free(all);
    release_expectation(&x);
    release(&a);
}

/* The comparison can fail: one wrong number in the model is seen. */
static void faults_are_seen(void **state)
{
    (void)state;
    trial c = {SG_CELL_LSTM, 2, 33, {12, 9}, 11, 40, SG_CARRY, .seed = 9};
    material a = prepare(&c);
    expectation x = expect(&c, &a);
    static const char *const names[] = {"rnn.weight_hh_l0", "rnn.weight_ih_l1", "rnn.weight_ih_l0",
                                        "rnn.bias_hh_l1"};
    for (size_t k = 0; k < 4; k++) {
        const sg_tensor *t = sg_model_find(a.m, names[k]);
        t->data[1] += 0.01f;
        sg_accum *sums = run(&c, &a, 1, c.T);
        t->data[1] -= 0.01f;
        double worst = 0, *sum = calloc(12 * 33, sizeof *sum);
        for (size_t d = 0; d < c.D; d++)
            for (size_t i = 0; i < a.n_states; i++) {
                size_t n = a.states[i].units * c.E;
                accum_class_sum(sums, i, NULL, 0, d, sum);
                for (size_t j = 0; j < n; j++) {
                    double want = 0;
                    for (size_t set = 0; set < SETS; set++)
                        want += x.S[i][(set * c.D + d) * n + j];
                    worst = fmax(worst, fabs(sum[j] - want) / largest(x.S[i] + d * n, n));
                }
            }
        assert_true(worst > 1e-4);
        free(sum);
        accum_free(sums);
    }
    release_expectation(&x);
    release(&a);
}

static void bad_configurations(void **state)
{
    (void)state;
    trial c = {SG_CELL_GRU, 1, 3, {4}, 5, 8, SG_CARRY, .seed = 9};
    material a = prepare(&c);
    sg_error err;
    sg_engine *e = NULL;
    sg_accum_state cell = {1, SG_STATE_CELL, 4}, deep = {2, SG_STATE_HIDDEN, 4};
    sg_engine_config cfg = {.delays = 0, .states = a.states, .n_states = 1, .threads = 1};
    assert_int_equal(engine_new(&e, a.m, &cfg, &err), SG_EINVAL);
    cfg.delays = 3, cfg.states = &cell;
    assert_int_equal(engine_new(&e, a.m, &cfg, &err), SG_EINVAL);
    cfg.states = &deep;
    assert_int_equal(engine_new(&e, a.m, &cfg, &err), SG_EINVAL);
    cfg.states = a.states, cfg.handling = SG_WINDOW;
    assert_int_equal(engine_new(&e, a.m, &cfg, &err), SG_EINVAL);
    assert_null(e);
    cfg.handling = SG_CARRY;
    for (long n = 0;; n++) { /* memory fails anywhere between new and the last step */
        long live = sg_alloc_live();
        sg_accum *sums = NULL;
        sg_alloc_fail_after(n);
        sg_status st = engine_new(&e, a.m, &cfg, &err);
        st = st == SG_OK ? engine_new_accum(e, &sums, &err) : st;
        st = st == SG_OK ? engine_run(e, a.steps, a.x, c.T, true, sums, &err) : st;
        sg_alloc_fail_after(-1);
        engine_free(e);
        accum_free(sums);
        assert_int_equal(sg_alloc_live(), live);
        if (st == SG_OK)
            break;
        assert_int_equal(st, SG_ENOMEM);
    }
    release(&a);
}

/* Gradients that overflow are reported, not summed: here state and gradient grow 30-fold a step. */
static void explosions_are_reported(void **state)
{
    (void)state;
    trial c = {SG_CELL_RELU, 1, 3, {2}, 60, 400, SG_CARRY, .seed = 9};
    material a = prepare(&c);
    const float Whh[4] = {0, 30, 30, 0};
    memcpy(sg_model_find(a.m, "rnn.weight_hh_l0")->data, Whh, sizeof Whh);
    for (size_t t = 0; t < c.T;
         t++) /* unit 0 and 1 in turn: an input that takes back what the other has grown to */
        for (size_t e = 0; e < c.E; e++)
            a.x[t * c.E + e] = 0;
    sg_model_find(a.m, "rnn.bias_hh_l0")->data[0] = sg_model_find(a.m, "rnn.bias_hh_l0")->data[1] = 1e-30f;
    sg_model_find(a.m, "rnn.bias_ih_l0")->data[0] = sg_model_find(a.m, "rnn.bias_ih_l0")->data[1] = 0;
    sg_error err;
    sg_engine *e = new_engine(&c, &a, 2);
    sg_accum *sums = NULL;
    assert_ok(engine_new_accum(e, &sums, &err), err);
    sg_status st = engine_run(e, a.steps, a.x, c.T, true, sums, &err);
    assert_int_equal(st, SG_ENONFINITE);
    engine_free(e);
    accum_free(sums);
    release(&a);
}

typedef struct {
    int asked, most;
    pthread_t caller;
} patience;

static bool lasts(void *ctx)
{
    patience *p = ctx;
    assert_true(pthread_equal(pthread_self(), p->caller));
    return p->asked++ < p->most;
}

/* Wherever go_on says no, the step ends there, with other threads at work or not. */
static void stops_between_pieces_of_work(void **state)
{
    (void)state;
    const trial trials[] = {
        {SG_CELL_LSTM, 1, 40, {24}, 9, 60, SG_CARRY, .seed = 9},
        {SG_CELL_GRU, 2, 40, {8, 5}, 9, 60, SG_CARRY, .moments = 1, .seed = 9},
        {SG_CELL_LSTM, 1, 40, {8}, 9, 60, SG_CARRY, .moments = 12, .seed = 9},
        {SG_CELL_LSTM, 1, 40, {8}, 9, 60, SG_CARRY, .moments = 1, .rate = 0.01, .seed = 9}};
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++)
        for (int threads = 1; threads <= 3; threads += 2) {
            material a = prepare(&trials[i]);
            int all = 0;
            for (int most = INT_MAX;; most = most == INT_MAX ? 0 : 1 + 3 * most) {
                sg_error err;
                sg_accum *sums = NULL;
                patience p = {0, most, pthread_self()};
                trial c = trials[i];
                c.go_on = lasts, c.go_on_ctx = &p;
                sg_engine *e = new_engine(&c, &a, threads);
                assert_ok(engine_new_accum(e, &sums, &err), err);
                sg_status st = engine_run(e, a.steps, a.x, trials[i].T, true, sums, &err);
                st = st == SG_OK ? engine_flush(e, sums, &err) : st;
                engine_free(e);
                accum_free(sums);
                if (most == INT_MAX)
                    all = p.asked;
                assert_int_equal(st, p.asked > most ? SG_ECANCELLED : SG_OK);
                assert_true(p.asked <= most || p.asked == most + 1); /* not asked again */
                if (most != INT_MAX && most > all)
                    break;
            }
            assert_true(threads > 1 || all > 20); /* of several threads, the others may do most */
            release(&a);
        }
}

/* One position of each window; and no delay meets its own choice of origins: at every delay the phases of the
 * origins are those of a fair die, to five standard deviations. A fixed stride has one phase a delay. */
static void second_moments_mix_the_origins_of_all_delays(void **state)
{
    enum { EVERY = 8, WINDOWS = 8000 };
    for (uint64_t w = 0; w < WINDOWS; w++) {
        size_t n = 0;
        for (uint64_t t = w * EVERY; t < (w + 1) * EVERY; t++)
            n += engine_moment_due(EVERY, t);
        assert_int_equal(n, 1);
    }
    for (uint64_t d = 0; d < 2 * EVERY; d++) {
        size_t phase[EVERY] = {0};
        for (uint64_t t = 2 * EVERY; t < WINDOWS * EVERY; t++)
            phase[(t - d) % EVERY] += engine_moment_due(EVERY, t);
        for (size_t k = 0; k < EVERY; k++)
            assert_true(fabs(phase[k] - WINDOWS / (double)EVERY) < 5 * sqrt(WINDOWS / (double)EVERY));
    }
    assert_false(engine_moment_due(0, 0));
    assert_true(engine_moment_due(1, 12345));
}

/* usage: test_engine [everything]   - with it every trial is made with every cell. */
int main(int argc, char **argv)
{
    (void)argv;
    everything = argc > 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_and_shapes),
        cmocka_unit_test(state_handling),
        cmocka_unit_test(a_rate_is_a_share_of_the_positions),
        cmocka_unit_test(sampled_origins),
        cmocka_unit_test(instruction_sets),
        cmocka_unit_test(long_windows),
        cmocka_unit_test(denormals),
        cmocka_unit_test(long_windows_know_their_error),
        cmocka_unit_test(long_runs_and_checkpoints),
        cmocka_unit_test(parts_add_up),
        cmocka_unit_test(faults_are_seen),
        cmocka_unit_test(bad_configurations),
        cmocka_unit_test(explosions_are_reported),
        cmocka_unit_test(stops_between_pieces_of_work),
        cmocka_unit_test(second_moments_mix_the_origins_of_all_delays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
