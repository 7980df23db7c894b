/* SPDX-License-Identifier: MIT */
/* Do the 95 % intervals hold what they promise, and are they withheld where they would not? Known truth: a
 * mean gradient of three ranks or six, sigma_1 = 1; each token adds noise that is autocorrelated from token
 * to token, across block borders too: of rows and columns of unequal size, or in proportion to the truth, as
 * it is in real runs. The same simulation tells how far the plain sigma_1 lies above the truth, and that
 * bootstrap percentiles would not do. The tables in doc/statistics.md are this program's output. */
#include "helpers/test_util.h"

#include "analysis/results/intervals.h"
#include "base/base_internal.h"
#include "linalg/linalg.h"
#include "spectrum/spectrum.h"
#include "stategrad/stats.h"

enum { H = 10, E = 6, R = E, P = 3, B = 20, REPETITIONS = 500, RESAMPLES = 100 };
enum { K = 2 * R + 3 + P * (2 + R) }; /* sp_count */
static const double RHO = 0.5;        /* from token to token; multiplies the variance of a mean by 3 */

/* What is looked at, by its place among the statistics. */
enum { SIGMA_1, SUM, RANK, QUANTITIES = 13 };
static const struct {
    const char *name;
    size_t at;
} quantities[QUANTITIES] = {
    {"sigma_1", 0},
    {"sum", R},
    {"eff.rank", R + 1},
    {"sigma_2", 1},
    {"sigma_3", 2},
    {"sigma_6", 5},
    {"gain_1", R + 3},
    {"gain_3", R + 5},
    {"coherence", R + 2},
    {"memory a", 2 * R + 3},
    {"memory b", 2 * R + 4},
    {"memory c", 2 * R + 5},
    {"cosine a2", 2 * R + 3 + P + 1},
};

typedef enum { THREE, SIX, SLOW, EQUAL } spectrum_kind;
static const double spectra[][E] = {{1, 0.6, 0.36},
                                    {1, 0.6, 0.36, 0.22, 0.13, 0.08},
                                    {1, 0.8, 0.64, 0.51, 0.41, 0.33},
                                    {1, 1, 0.5, 0.3, 0.2, 0.1}};
static const char *const spectrum_names[] = {"3 ranks", "6 ranks", "6, slow", "6, equal"};

typedef struct {
    double signal; /* sigma_1 of the truth / typical sigma_1 of the noise in the mean */
    spectrum_kind spectrum;
    bool proportional; /* noise in proportion to the truth */
    bool unequal;      /* blocks of 8 .. 72 tokens instead of 40 */
    bool bootstrap;
} setting;

typedef struct {
    double given[QUANTITIES], covered[QUANTITIES]; /* % of all runs, % of those where it is given */
    double uncorrected, percentile, bias, left, error;
} outcome;

/* k orthonormal vectors of n numbers, one a row: the truth's directions */
static void orthonormal(sg_rng *rng, size_t n, double *q, size_t k)
{
    for (size_t i = 0; i < k; i++) {
        double *v = q + i * n, length = 0;
        for (size_t j = 0; j < n; j++)
            v[j] = sg_rng_normal(rng);
        for (size_t l = 0; l < i; l++) {
            double dot = 0;
            for (size_t j = 0; j < n; j++)
                dot += v[j] * q[l * n + j];
            for (size_t j = 0; j < n; j++)
                v[j] -= dot * q[l * n + j];
        }
        for (size_t j = 0; j < n; j++)
            length += v[j] * v[j];
        for (size_t j = 0; j < n; j++)
            v[j] /= sqrt(length);
    }
}

/* ---- the truth ---- */

typedef struct {
    double T[H * E], scale[H * E]; /* mean; size of a token's noise in each entry */
    double L[E * E], n[P * E];
    sp_frame frame;
    double known[K];
} truth;

/* Singular values etc. of the sum S over n tokens, with the sum M of G^T G. */
static void statistics(double values[K], const sp_frame *f, const double *S, const double *M, double n)
{
    double gram[E * E], mean[E * E], work[3 * E * E + 2 * E + H * E + R];
    sg_error err;
    la_dgemm(LA_T, LA_N, E, E, H, 1 / (n * n), S, E, S, E, 0, gram, E);
    for (size_t i = 0; i < E * E; i++)
        mean[i] = M[i] / n;
    assert_true(sp_work(f) <= sizeof work / sizeof *work);
    assert_ok(sp_from_gram(values, f, gram, mean, work, &err), err);
}

static void make_truth(truth *t, const setting *s, sg_rng *rng)
{
    double Q[E * H], V[E * E], M[E * E] = {0};
    const double *size = spectra[s->spectrum];
    /* entries near 1 / sqrt(tokens) give a noise of sigma_1 near sqrt(3/tokens) (sqrt H + sqrt E) */
    double unit = 1 / (s->signal * sqrt(3. / (40 * B)) * (sqrt(H) + sqrt(E)));
    memset(t, 0, sizeof *t);
    orthonormal(rng, H, Q, E);
    orthonormal(rng, E, V, E);
    for (size_t i = 0; i < E && s->proportional; i++) /* any basis is as good as another */
        for (size_t j = 0; j < E; j++)
            Q[i * H + j] = V[i * E + j] = i == j;
    for (size_t i = 0; i < E && s->proportional; i++)
        for (size_t j = E; j < H; j++)
            Q[i * H + j] = 0;
    for (size_t i = 0; i < H; i++)
        for (size_t j = 0; j < E; j++) {
            for (size_t k = 0; k < E; k++)
                t->T[i * E + j] += size[k] * Q[k * H + i] * V[k * E + j];
            t->scale[i * E + j] = unit * (0.3 + 1.4 * i / H) * (0.3 + 1.4 * j / E);
            if (s->proportional)
                t->scale[i * E + j] = i < E ? unit * sqrt(size[i] * size[j]) : 0;
        }
    for (size_t j = 0; j < E; j++) {
        t->L[j * E + j] = 1;
        t->n[j] = (V[j] + V[E + j] + V[2 * E + j]) / sqrt(3);           /* a */
        t->n[E + j] = V[2 * E + j];                                     /* b: sigma_3 */
        t->n[2 * E + j] = 0.1 * V[j] + sqrt(0.99) * V[(E - 1) * E + j]; /* c: mostly sigma_6 */
    }
    t->frame = (sp_frame){H, E, R, P, t->L, t->n};
    assert_int_equal(sp_count(&t->frame), K);
    la_dgemm(LA_T, LA_N, E, E, H, 1, t->T, E, t->T, E, 0, M, E);
    for (size_t i = 0; i < H * E; i++)
        M[i % E * (E + 1)] += t->scale[i] * t->scale[i] / (1 - RHO * RHO);
    statistics(t->known, &t->frame, t->T, M, 1);
}

/* ---- runs ---- */

typedef struct {
    double S[B][H * E], M[B][E * E], n[B];
} blocks;

/* Box-Muller with both of the pair: most of the time goes here */
static void normal_pair(sg_rng *rng, double z[2])
{
    double r = sqrt(-2 * log(1 - sg_rng_uniform(rng))), angle = 2 * M_PI * sg_rng_uniform(rng);
    z[0] = r * cos(angle);
    z[1] = r * sin(angle);
}

/* noise: of the token before, and then of this one; begins at its stationary size */
static void next_noise(sg_rng *rng, double *noise)
{
    double fresh[2] = {0};
    for (size_t j = 0; j < H * E; j++) {
        if (j % 2 == 0)
            normal_pair(rng, fresh);
        noise[j] = RHO * noise[j] + fresh[j % 2];
    }
}

static void first_noise(sg_rng *rng, double *noise)
{
    for (size_t j = 0; j < H * E; j++)
        noise[j] = sg_rng_normal(rng) / sqrt(1 - RHO * RHO);
}

static void draw(blocks *x, const truth *t, bool unequal, sg_rng *rng)
{
    double noise[H * E], G[H * E];
    memset(x, 0, sizeof *x);
    first_noise(rng, noise);
    for (size_t b = 0; b < B; b++) {
        x->n[b] = unequal ? 8 + 8 * (b % 9) : 40;
        for (size_t token = 0; token < x->n[b]; token++) {
            next_noise(rng, noise);
            for (size_t j = 0; j < H * E; j++)
                x->S[b][j] += G[j] = t->T[j] + t->scale[j] * noise[j];
            for (size_t i = 0; i < H; i++)
                for (size_t j = 0; j < E; j++)
                    for (size_t k = 0; k < E; k++)
                        x->M[b][j * E + k] += G[i * E + j] * G[i * E + k];
        }
    }
}

/* Sums over all blocks but `out` (B: over all); the tokens. */
static double total(const blocks *x, size_t out, double *S, double *M)
{
    double n = 0;
    memset(S, 0, H * E * sizeof *S);
    memset(M, 0, E * E * sizeof *M);
    for (size_t b = 0; b < B; b++) {
        if (b == out)
            continue;
        n += x->n[b];
        for (size_t j = 0; j < H * E; j++)
            S[j] += x->S[b][j];
        for (size_t j = 0; j < E * E; j++)
            M[j] += x->M[b][j];
    }
    return n;
}

static double percentile_covers(sg_rng *rng, const truth *t, const blocks *x)
{
    size_t below = 0, above = 0;
    for (size_t r = 0; r < RESAMPLES; r++) {
        double S[H * E] = {0}, N = 0, values[K], M[E * E] = {0};
        for (size_t i = 0; i < B; i++) {
            size_t b = sg_rng_below(rng, B);
            N += x->n[b];
            for (size_t j = 0; j < H * E; j++)
                S[j] += x->S[b][j];
        }
        statistics(values, &t->frame, S, M, N);
        below += values[0] < 1;
        above += values[0] > 1;
    }
    return below >= RESAMPLES * 0.025 && above >= RESAMPLES * 0.025;
}

static outcome simulate(const setting *s, uint64_t seed)
{
    sg_rng rng;
    truth t;
    blocks x;
    outcome o = {0};
    double S[H * E], M[E * E], whole[K], without[B][K];
    sg_interval got[K];
    sg_rng_seed(&rng, seed, 0);
    make_truth(&t, s, &rng);
    for (size_t run = 0; run < REPETITIONS; run++) {
        draw(&x, &t, s->unequal, &rng);
        for (size_t b = 0; b <= B; b++) {
            double n = total(&x, b, S, M);
            statistics(b < B ? without[b] : whole, &t.frame, S, M, n);
        }
        results_intervals(got, &t.frame, B, x.n, x.n, whole, without[0], &(results_parts){0});
        for (size_t q = 0; q < QUANTITIES; q++) {
            const sg_interval *i = &got[quantities[q].at];
            assert_true(isnan(i->low) == (i->missing != NULL));
            o.given[q] += !i->missing;
            o.covered[q] += i->low <= t.known[quantities[q].at] && t.known[quantities[q].at] <= i->high;
        }
        o.uncorrected += fabs(got->value - 1) <= 0.5 * (got->high - got->low) ? 100. / REPETITIONS : 0;
        o.bias += (got->value - 1) / REPETITIONS;
        o.left += (got->value - got->bias - 1) / REPETITIONS;
        o.error += got->error / REPETITIONS;
        if (s->bootstrap)
            o.percentile += percentile_covers(&rng, &t, &x) * 100. / REPETITIONS;
    }
    for (size_t q = 0; q < QUANTITIES; q++) {
        o.covered[q] *= 100 / o.given[q];
        o.given[q] *= 100. / REPETITIONS;
    }
    return o;
}

static const setting settings[] = {
    {.signal = 20, .spectrum = THREE, .bootstrap = true},
    {.signal = 5, .spectrum = THREE},
    {.signal = 2.5, .spectrum = THREE},
    {.signal = 1.5, .spectrum = THREE, .bootstrap = true},
    {.signal = 1, .spectrum = THREE},
    {.signal = 5, .spectrum = THREE, .unequal = true},
    {.signal = 1.5, .spectrum = THREE, .unequal = true},
    {.signal = 20, .spectrum = SIX},
    {.signal = 5, .spectrum = SIX},
    {.signal = 1.5, .spectrum = SIX},
    {.signal = 20, .spectrum = SLOW},
    {.signal = 7, .spectrum = SLOW, .unequal = true},
    {.signal = 5, .spectrum = SIX, .proportional = true},
    {.signal = 1.5, .spectrum = SIX, .proportional = true},
    {.signal = 2.5, .spectrum = SLOW, .proportional = true, .unequal = true},
    {.signal = 5, .spectrum = EQUAL},
    {.signal = 5, .spectrum = EQUAL, .proportional = true},
    {.signal = 0.7, .spectrum = SIX},
    {.signal = 0.7, .spectrum = SLOW, .proportional = true, .unequal = true},
    {.signal = 0.35, .spectrum = THREE},
    {.signal = 0.35, .spectrum = SIX, .unequal = true},
};
enum { SETTINGS = sizeof settings / sizeof *settings, OFTEN = 20 };

static void print_setting(const setting *s)
{
    print_message("%5.1f %s%s%s", s->signal, spectrum_names[s->spectrum],
                  s->proportional ? " prop." : "      ", s->unequal ? " uneq." : "      ");
}

/* sigma_1 is given always and covers; why the jackknife, and why corrected */
static bool sigma_1_holds(const setting *s, const outcome *o)
{
    bool good = o->given[SIGMA_1] == 100 && o->covered[SIGMA_1] >= 92 && o->covered[SIGMA_1] <= 98;
    if (s->signal >= 1 && s->signal <= 1.5 && !s->proportional)
        good = good && fabs(o->left) < 0.35 * o->bias; /* most of the upward bias is taken away */
    if (s->bootstrap && s->signal <= 1.5)
        good = good && o->percentile < 85;
    return good;
}

/* Where an interval is given in a fifth of the runs or more, it covers; and the noisy tails are without. */
static bool others_hold(const setting *s, const outcome *o)
{
    bool good = true;
    for (size_t q = SUM; q < QUANTITIES; q++) {
        double least = q <= RANK ? 92 : 88;
        if (o->given[q] >= OFTEN && !(o->covered[q] >= least)) {
            print_message("too low: %s %.1f\n", quantities[q].name, o->covered[q]);
            good = false;
        }
        if (q <= RANK && o->given[q] >= OFTEN)
            good = good && o->covered[q] <= 98;
    }
    if (s->spectrum == THREE)
        good = good && o->given[SUM] < 5 && o->given[RANK] < 5;
    if ((s->proportional && s->signal > 1) || s->signal == 20)
        good = good && (s->spectrum == THREE || o->given[SUM] > 85);
    return good;
}

static void intervals_cover_or_are_withheld(void **state)
{
    (void)state;
    outcome o[SETTINGS];
    bool good = true;
    print_message(
        "sigma_1: coverage, as wide but not corrected, bootstrap percentiles, bias, bias left, error\n");
    for (size_t i = 0; i < SETTINGS; i++) {
        o[i] = simulate(&settings[i], 11 + i);
        print_setting(&settings[i]);
        print_message(" %6.1f %6.1f %6.1f %+8.4f %+8.4f %7.4f%s\n", o[i].covered[SIGMA_1], o[i].uncorrected,
                      settings[i].bootstrap ? o[i].percentile : (double)NAN, o[i].bias, o[i].left, o[i].error,
                      sigma_1_holds(&settings[i], &o[i]) ? "" : "  FAILED");
        good = good && sigma_1_holds(&settings[i], &o[i]);
    }
    print_message("%% of runs in which the others are given : coverage where they are\n%32s", "");
    for (size_t q = SUM; q < QUANTITIES; q++)
        print_message("%10s", quantities[q].name);
    for (size_t i = 0; i < SETTINGS; i++) {
        print_message("\n");
        print_setting(&settings[i]);
        for (size_t q = SUM; q < QUANTITIES; q++)
            print_message(o[i].given[q] >= OFTEN ? " %3.0f:%5.1f" : " %3.0f:   - ", o[i].given[q],
                          o[i].covered[q]);
        bool held = others_hold(&settings[i], &o[i]);
        print_message("%s", held ? "" : "  FAILED");
        good = good && held;
    }
    print_message("\n");
    assert_true(good);
}

/* sigma_1(class) - sigma_1(all): a class of three tokens in ten, its gradient `gain` times the others'. */
static double difference_covers(double gain, double signal, uint64_t seed)
{
    enum { CLASS, ALL };
    const double share = 0.3;
    setting s = {.signal = signal, .spectrum = THREE};
    truth t;
    sg_rng rng;
    double covered = 0;
    sg_rng_seed(&rng, seed, 0);
    make_truth(&t, &s, &rng);
    double known = gain - (1 + share * (gain - 1));
    for (size_t run = 0; run < REPETITIONS; run++) {
        static double S[2][B][H * E];
        double n[2][B] = {{0}}, noise[H * E], all[H * E], M[E * E] = {0}, values[K], whole[2], without[B][2],
               part[B];
        memset(S, 0, sizeof S);
        first_noise(&rng, noise);
        for (size_t b = 0; b < B; b++)
            for (size_t token = 0; token < 40; token++) {
                bool in = sg_rng_uniform(&rng) < share;
                next_noise(&rng, noise);
                for (int set = in ? CLASS : ALL; set <= ALL; set++) {
                    n[set][b]++;
                    for (size_t j = 0; j < H * E; j++)
                        S[set][b][j] += (in ? gain : 1) * t.T[j] + t.scale[j] * noise[j];
                }
            }
        for (size_t out = 0; out <= B; out++)
            for (int set = CLASS; set <= ALL; set++) {
                double N = 0;
                memset(all, 0, sizeof all);
                for (size_t b = 0; b < B; b++)
                    for (size_t j = 0; j < H * E && b != out; j++)
                        all[j] += S[set][b][j];
                for (size_t b = 0; b < B; b++)
                    N += b != out ? n[set][b] : 0;
                statistics(values, &t.frame, all, M, N);
                (out < B ? without[out] : whole)[set] = values[0];
            }
        for (size_t b = 0; b < B; b++)
            part[b] = without[b][CLASS] - without[b][ALL];
        sg_interval x;
        sg_stats_jackknife(&x, B, n[CLASS], whole[CLASS] - whole[ALL], part, 1);
        covered += (x.low <= known && known <= x.high) * 100. / REPETITIONS;
    }
    return covered;
}

static void intervals_of_class_differences_cover(void **state)
{
    (void)state;
    static const double gain[] = {1, 1.3, 0.7, 1.3}, signal[] = {10, 10, 5, 3};
    bool good = true;
    for (size_t i = 0; i < 4; i++) {
        double covered = difference_covers(gain[i], signal[i], 31 + i);
        print_message("class difference, gain %.1f, signal %4.1f: %.1f\n", gain[i], signal[i], covered);
        good = good && covered >= 92 && covered <= 98;
    }
    assert_true(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_cover_or_are_withheld),
        cmocka_unit_test(intervals_of_class_differences_cover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
