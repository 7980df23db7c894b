/* Do the 95 % intervals hold what they promise? Known truth: a mean gradient of three ranks (or six), sigma_1 = 1; each token adds
 * noise with rows and columns of unequal size that is autocorrelated from token to token, across block borders too. The
 * same simulation tells how far the plain sigma_1 lies above the truth, and that bootstrap percentiles would not do.
 * The table in doc/statistics.md is this program's output. */
#include "test_util.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"
#include "stategrad/stats.h"

enum { H = 10, E = 6, B = 20, REPETITIONS = 500, RESAMPLES = 100 };

enum { SIGMA_1, SUM, RANK, QUANTITIES };

/* sigma_1, sum of singular values, effective rank of S / n */
static void spectrum(double value[QUANTITIES], const double *S, double n)
{
    double gram[E * E], w[E], entropy = 0;
    sg_error err;
    la_dgemm(LA_T, LA_N, E, E, H, 1 / (n * n), S, E, S, E, 0, gram, E);
    assert_ok(la_eigh(E, gram, w, false, &err), err);
    value[SIGMA_1] = sqrt(fmax(w[E - 1], 0));
    value[SUM] = 0;
    for (size_t k = 0; k < E; k++)
        value[SUM] += w[k] = sqrt(fmax(w[k], 0));
    for (size_t k = 0; k < E; k++)
        entropy -= w[k] > 0 ? w[k] / value[SUM] * log(w[k] / value[SUM]) : 0;
    value[RANK] = exp(entropy);
}

static double sigma_1(const double *S, double n)
{
    double value[QUANTITIES];
    spectrum(value, S, n);
    return value[SIGMA_1];
}

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

typedef struct {
    double signal;  /* sigma_1 of the truth / typical sigma_1 of the noise in the mean */
    bool unequal;   /* blocks of 8 .. 72 tokens instead of 40 */
    bool bootstrap;
    bool tail;      /* the truth has all six ranks: 1, .6, .36, .22, .13, .08, instead of the first three */
} setting;

typedef struct {
    double jackknife, uncorrected, percentile, bias, left, error, missing, sum, rank;
} outcome;

static double percentile_covers(sg_rng *rng, double sums[B][H * E], const double *n)
{
    double draws[RESAMPLES];
    for (size_t r = 0; r < RESAMPLES; r++) {
        double S[H * E] = {0}, N = 0;
        for (size_t i = 0; i < B; i++) {
            size_t b = sg_rng_below(rng, B);
            N += n[b];
            for (size_t j = 0; j < H * E; j++)
                S[j] += sums[b][j];
        }
        draws[r] = sigma_1(S, N);
    }
    size_t below = 0, above = 0;
    for (size_t r = 0; r < RESAMPLES; r++) {
        below += draws[r] < 1;
        above += draws[r] > 1;
    }
    return below >= RESAMPLES * 0.025 && above >= RESAMPLES * 0.025;
}

/* Box-Muller with both of the pair: most of the time goes here */
static void normal_pair(sg_rng *rng, double z[2])
{
    double r = sqrt(-2 * log(1 - sg_rng_uniform(rng))), angle = 2 * M_PI * sg_rng_uniform(rng);
    z[0] = r * cos(angle);
    z[1] = r * sin(angle);
}

static outcome simulate(const setting *s, uint64_t seed)
{
    sg_rng rng;
    sg_rng_seed(&rng, seed, 0);
    double P[E * H], V[E * E], truth[H * E], scale[H * E];
    static const double size[] = {1, 0.6, 0.36, 0.22, 0.13, 0.08};
    orthonormal(&rng, H, P, E);
    orthonormal(&rng, E, V, E);
    for (size_t i = 0; i < H; i++)
        for (size_t j = 0; j < E; j++) {
            truth[i * E + j] = 0;
            for (size_t k = 0; k < (s->tail ? E : 3); k++)
                truth[i * E + j] += size[k] * P[k * H + i] * V[k * E + j];
            scale[i * E + j] = (0.3 + 1.4 * i / H) * (0.3 + 1.4 * j / E);
        }
    /* AR(1) with rho = 0.5 multiplies the variance of a mean by 3; entries near 1 / sqrt(tokens) then give a noise
     * sigma_1 near sqrt(3/tokens) (sqrt H + sqrt E) */
    const double rho = 0.5, tokens = 40 * B;
    double unit = 1 / (s->signal * sqrt(3 / tokens) * (sqrt(H) + sqrt(E)));
    outcome o = {0};
    double known[QUANTITIES];
    spectrum(known, truth, 1);
    for (size_t run = 0; run < REPETITIONS; run++) {
        double sums[B][H * E], total[H * E] = {0}, n[B], N = 0, without[B][QUANTITIES], whole[QUANTITIES], noise[H * E], fresh[2];
        for (size_t j = 0; j < H * E; j++)
            noise[j] = sg_rng_normal(&rng) / sqrt(1 - rho * rho);
        for (size_t b = 0; b < B; b++) {
            n[b] = s->unequal ? 8 + 8 * (b % 9) : 40;
            N += n[b];
            memset(sums[b], 0, sizeof sums[b]);
            for (size_t t = 0; t < n[b]; t++)
                for (size_t j = 0; j < H * E; j++) {
                    if (j % 2 == 0)
                        normal_pair(&rng, fresh);
                    noise[j] = rho * noise[j] + fresh[j % 2];
                    sums[b][j] += truth[j] + unit * scale[j] * noise[j];
                }
            for (size_t j = 0; j < H * E; j++)
                total[j] += sums[b][j];
        }
        for (size_t b = 0; b < B; b++) {
            double rest[H * E];
            for (size_t j = 0; j < H * E; j++)
                rest[j] = total[j] - sums[b][j];
            spectrum(without[b], rest, N - n[b]);
        }
        sg_interval x;
        spectrum(whole, total, N);
        for (int q = SUM; q <= RANK; q++) {
            sg_stats_jackknife(&x, B, n, whole[q], without[0] + q, QUANTITIES);
            *(q == SUM ? &o.sum : &o.rank) += (x.low <= known[q] && known[q] <= x.high) * 100. / REPETITIONS;
        }
        sg_stats_jackknife(&x, B, n, whole[SIGMA_1], without[0] + SIGMA_1, QUANTITIES);
        o.missing += x.missing != NULL;
        o.jackknife += (x.low <= 1 && 1 <= x.high) * 100. / REPETITIONS;
        o.uncorrected += fabs(x.value - 1) <= 0.5 * (x.high - x.low) ? 100. / REPETITIONS : 0;
        o.bias += (x.value - 1) / REPETITIONS;
        o.left += (x.value - x.bias - 1) / REPETITIONS;
        o.error += x.error / REPETITIONS;
        if (s->bootstrap)
            o.percentile += percentile_covers(&rng, sums, n) * 100. / REPETITIONS;
    }
    return o;
}

static void intervals_for_sigma_1_cover(void **state)
{
    (void)state;
    static const setting settings[] = {
        {20, false, true, false},  {5, false, false, false},  {2.5, false, false, false}, {1.5, false, true, false},
        {1, false, false, false},  {5, true, false, false},   {1.5, true, false, false},  {20, false, false, true},
        {5, false, false, true},   {1.5, false, false, true},
    };
    bool good = true;
    print_message("signal blocks   ranks  jackknife  not corrected  bootstrap    bias  left after correction  error "
                  "   sum   rank\n");
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const setting *s = &settings[i];
        outcome o = simulate(s, 11 + i);
        print_message("%6.1f %s     %d %8.1f%% %13.1f%% ", s->signal, s->unequal ? "unequal" : "equal  ", s->tail ? 6 : 3, o.jackknife,
                      o.uncorrected);
        if (s->bootstrap)
            print_message("%9.1f%%", o.percentile);
        else
            print_message("         -");
        print_message("  %+.4f  %+.4f %21.4f  %5.1f%% %5.1f%%\n", o.bias, o.left, o.error, o.sum, o.rank);
        assert_true(o.missing == 0);
        good = good && o.jackknife >= 92 && o.jackknife <= 98;
        if (s->tail && s->signal >= 5)
            good = good && o.sum >= 91 && o.rank >= 85; /* where the tail is noise these two cannot be told */
        if (s->signal <= 1.5)
            good = good && fabs(o.left) < 0.35 * o.bias; /* most of the upward bias is taken away */
        if (s->bootstrap && s->signal <= 1.5)
            good = good && o.percentile < 85; /* the reason for the jackknife */
    }
    assert_true(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(intervals_for_sigma_1_cover)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
