/* SPDX-License-Identifier: MIT */
/* From gradients to the run file: every statistic of each class and delay (class_delay), with each block and
 * part left out (left_out), single units (units), how long curves last (decay) and the facts of text and
 * classes (metadata), each recomputed here from the gradients themselves by the definitions of
 * doc/method.md. */
#include "helpers/small_run.h"

#include "stategrad/accumulator.h"
#include "stategrad/stats.h"

enum {
    V = 30,
    T = 1920,
    E = 2,
    H = 3,
    HE = H * E,
    D = 8,
    C = 3,
    BLOCKS = 20,
    PARTS = 80,
    SIDE = 12,
    FOLDS = 10
};

/* Gains by delay: of most words, the peak at 2; of the rare ones. */
static const double curve[2][D] = {{1, 2, 4, 2, 1, 0.5, 0.25, 0.125},
                                   {1, 0.6, 0.36, 0.216, 0.1296, 0.07776, 0.046656, 0.0279936}};

/* Sums over pairs, of a part of a block or of several. */
typedef struct {
    double pairs, sum[HE], moment[E * E];
} sums;

static struct {
    int32_t ids[T];
    bool member[2 * T]; /* "most", "rare" */
    float X[V * E];
    double L[E * E], property[E], fold[FOLDS][E]; /* unit vectors in the whitened space */
    sums part[PARTS][C][D];
    size_t split;
    sg_run *run;
} w;

static bool in_class(size_t t, size_t c)
{
    return !c || w.member[2 * t + c - 1];
}

static size_t part_of(size_t t)
{
    size_t f = 0;
    while (f + 1 < BLOCKS * w.split && t >= T * (f + 1) / (BLOCKS * w.split))
        f++;
    return f;
}

static void add(sums *to, const sums *x, double sign)
{
    to->pairs += sign * x->pairs;
    for (size_t i = 0; i < HE; i++)
        to->sum[i] += sign * x->sum[i];
    for (size_t i = 0; i < E * E; i++)
        to->moment[i] += sign * x->moment[i];
}

/* ---- the text and its gradients ---- */

/* L of L L^T, the covariance of the rows of X. */
static void factor(void)
{
    double mean[E] = {0}, S[E * E] = {0};
    for (size_t i = 0; i < V * E; i++)
        mean[i % E] += (double)w.X[i] / V;
    for (size_t v = 0; v < V; v++)
        for (size_t i = 0; i < E; i++)
            for (size_t j = 0; j < E; j++)
                S[i * E + j] +=
                    ((double)w.X[v * E + i] - mean[i]) * ((double)w.X[v * E + j] - mean[j]) / (V - 1);
    w.L[0] = sqrt(S[0]), w.L[1] = 0, w.L[2] = S[2] / w.L[0], w.L[3] = sqrt(S[3] - w.L[2] * w.L[2]);
}

/* n = L^-1 delta / |.|, delta the difference of the sides' means without the words k of which k % FOLDS is
 * left_out. */
static void direction(double *n, size_t left_out)
{
    double delta[E] = {0};
    size_t count = 0;
    for (size_t k = 0; k < SIDE; k++)
        count += k % FOLDS != left_out;
    for (size_t k = 0; k < SIDE; k++)
        for (size_t e = 0; e < E && k % FOLDS != left_out; e++)
            delta[e] += ((double)w.X[(2 + k) * E + e] - (double)w.X[(2 + SIDE + k) * E + e]) / (double)count;
    n[0] = delta[0] / w.L[0];
    n[1] = (delta[1] - w.L[2] * n[0]) / w.L[3];
    const double length = sqrt(n[0] * n[0] + n[1] * n[1]);
    n[0] /= length, n[1] /= length;
}

static void make_text(void)
{
    sg_rng r;
    sg_rng_seed(&r, 6, 0);
    for (size_t t = 0; t < T; t++) {
        const int32_t x = (int32_t)sg_rng_below(&r, V), y = (int32_t)sg_rng_below(&r, V);
        w.ids[t] = x < y ? x : y;
        w.member[2 * t + 1] = w.ids[t] % 5 == 3;
        w.member[2 * t] = !w.member[2 * t + 1] && t % 7; /* most tokens of a word, not all */
    }
    for (size_t i = 0; i < V * E; i++)
        w.X[i] = (float)(sg_rng_normal(&r) * (i % E ? 2 : 1));
    factor();
    direction(w.property, FOLDS);
    for (size_t k = 0; k < FOLDS; k++)
        direction(w.fold[k], k);
}

/* (D, H, E) of step t. */
static void gradients_of(size_t t, float *G, sg_rng *r)
{
    static const double A[HE] = {1, 0.5, -0.5, 2, -0.3, -0.2};
    for (size_t d = 0; d < D; d++)
        for (size_t i = 0; i < HE; i++)
            G[d * HE + i] = d > t ? NAN
                                  : (float)(curve[in_class(t - d, 2)][d] *
                                            (A[i] + 0.3 * sg_rng_normal(r))); /* NAN: not read */
}

static void sum_up(size_t t, const float *G)
{
    for (size_t d = 0; d <= t && d < D; d++)
        for (size_t c = 0; c < C; c++) {
            sums *x = &w.part[part_of(t)][c][d];
            const float *g = G + d * HE;
            if (!in_class(t - d, c))
                continue;
            x->pairs++;
            for (size_t i = 0; i < HE; i++)
                x->sum[i] += (double)g[i];
            for (size_t i = 0; i < E; i++)
                for (size_t j = 0; j < E; j++)
                    for (size_t u = 0; u < H; u++)
                        x->moment[i * E + j] += (double)g[u * E + i] * (double)g[u * E + j];
        }
}

static void accumulate(sg_accumulator *a)
{
    static float G[D * HE];
    const float *const states[] = {G};
    sg_error err = {""};
    sg_rng r;
    sg_rng_seed(&r, 9, 0);
    for (uint64_t t = 0; t < T; t++) {
        gradients_of(t, G, &r);
        assert_ok(sg_accumulator_add_steps(a, &t, 1, states, &err), err);
    }
    assert_ok(sg_accumulator_finish(a, &w.run, &err), err);
    sg_rng_seed(&r, 9, 0);
    w.split = strtoul(sg_run_attribute(w.run, "block_parts"), NULL, 10);
    assert_int_equal(w.split, PARTS / BLOCKS);
    for (size_t t = 0; t < T; t++) {
        gradients_of(t, G, &r);
        sum_up(t, G);
    }
}

static int make_run(void **state)
{
    static char texts[V][8];
    static const char *const names[] = {"most", "rare"};
    const char *words[V];
    sg_vocab *v;
    sg_classes *k;
    sg_stream *s;
    sg_accumulator *a;
    sg_analysis_config settings;
    sg_error err = {""};
    set_up(state);
    make_text();
    for (int i = 0; i < V; i++) {
        snprintf(texts[i], sizeof texts[i], i == 0 ? "<eos>" : i == 1 ? "<unk>" : "w%02d", i);
        words[i] = texts[i];
    }
    const sg_property property = {
        .name = "p", .words_a = words + 2, .words_b = words + 2 + SIDE, .n_words_a = SIDE, .n_words_b = SIDE};
    const sg_accumulator_state states[] = {{"layer1.hidden", H}};
    assert_ok(sg_vocab_from_words(&v, words, NULL, V, &err), err);
    assert_ok(sg_classes_from_names(&k, names, 2, v, &err), err);
    assert_ok(sg_stream_from_ids(&s, w.ids, NULL, T, w.member, v, k, &err), err);
    sg_analysis_defaults(&settings, NULL);
    settings.delays = D, settings.threads = 2, settings.blocks = BLOCKS, settings.lyapunov = 0;
    settings.units = true, settings.second_moment_every = 1;
    settings.properties = &property, settings.n_properties = 1, settings.replace = SG_REPLACE_NONE;
    const sg_accumulator_config given = {.struct_size = sizeof given,
                                         .states = states,
                                         .n_states = 1,
                                         .embedding = E,
                                         .vocab = v,
                                         .embeddings = w.X};
    assert_ok(sg_accumulator_new(&a, NULL, &given, s, k, &settings, NULL, &err), err);
    accumulate(a);
    sg_accumulator_free(a);
    sg_stream_free(s), sg_classes_free(k), sg_vocab_free(v);
    return 0;
}

static int drop_run(void **state)
{
    sg_run_close(w.run);
    return tear_down(state);
}

/* ---- statistics, by definition ---- */

typedef struct {
    double G[HE]; /* normalised mean */
    double sigma[2], total, rank, gain[2], all, coherence, property, unit[H], unit_property[H];
} statistics;

/* Eigenvalues of a symmetric 2 x 2 matrix, the larger first. */
static void eigenvalues(const double *S, double *x)
{
    const double mean = (S[0] + S[3]) / 2, root = hypot((S[0] - S[3]) / 2, S[1]);
    x[0] = mean + root, x[1] = fmax(mean - root, 0);
}

static double along(const double *row, const double *n)
{
    return row[0] * n[0] + row[1] * n[1];
}

static double gain_along(const statistics *x, const double *n)
{
    double square = 0;
    for (size_t u = 0; u < H; u++)
        square += along(x->G + u * E, n) * along(x->G + u * E, n);
    return sqrt(square);
}

static statistics statistics_of(const sums *x)
{
    statistics s = {.total = 0};
    double gram[E * E] = {0}, M[E * E] = {0}, squares = 0, trace = 0, p[2];
    for (size_t u = 0; u < H; u++)
        for (size_t i = 0; i < E; i++)
            for (size_t j = 0; j < E; j++)
                s.G[u * E + j] += x->sum[u * E + i] / x->pairs * w.L[i * E + j];
    for (size_t i = 0; i < E * E; i++) {
        const size_t a = i / E, b = i % E;
        for (size_t u = 0; u < H; u++)
            gram[i] += s.G[u * E + a] * s.G[u * E + b];
        for (size_t k = 0; k < E * E; k++)
            M[i] += w.L[k / E * E + a] * x->moment[k] / x->pairs * w.L[k % E * E + b];
    }
    for (size_t i = 0; i < HE; i++)
        squares += x->sum[i] / x->pairs * x->sum[i] / x->pairs;
    trace = (x->moment[0] + x->moment[3]) / x->pairs;
    eigenvalues(gram, s.sigma), eigenvalues(M, s.gain);
    s.all = sqrt(M[0] + M[3]);
    for (size_t k = 0; k < 2; k++)
        s.sigma[k] = sqrt(s.sigma[k]), s.gain[k] = sqrt(s.gain[k]);
    s.total = s.sigma[0] + s.sigma[1];
    p[0] = s.sigma[0] / s.total, p[1] = s.sigma[1] / s.total;
    s.rank = exp(-p[0] * log(p[0]) - p[1] * log(p[1]));
    s.coherence = squares / trace;
    s.property = gain_along(&s, w.property);
    for (size_t u = 0; u < H; u++) {
        s.unit[u] = hypot(s.G[u * E], s.G[u * E + 1]);
        s.unit_property[u] = along(s.G + u * E, w.property);
    }
    return s;
}

/* Of all parts but first .. end-1. */
static sums sums_without(size_t c, size_t d, size_t first, size_t end)
{
    sums x = {0};
    for (size_t f = 0; f < BLOCKS * w.split; f++)
        if (f < first || f >= end)
            add(&x, &w.part[f][c][d], 1);
    return x;
}

static double *read_all(const char *group, const char *name, size_t expected)
{
    size_t n;
    double *x = numbers(w.run, group, name, &n);
    if (!x || n != expected)
        fail_msg("%s: %zu numbers, expected %zu", name, x ? n : 0, expected);
    return x;
}

static double *of_group(const char *name, size_t expected)
{
    return read_all("layer1.hidden", name, expected);
}

/* ---- tests ---- */

static void every_class_and_delay(void **state)
{
    double *pairs = of_group("pairs", C * D), *mean = of_group("mean_gradient", C * D * HE),
           *moment = of_group("second_moment", C * D * E * E), *sigma = of_group("singular_value", C * D * E),
           *sum = of_group("singular_sum", C * D), *rank = of_group("effective_rank", C * D),
           *gain = of_group("rms_gain", C * D * E), *coherence = of_group("coherence", C * D),
           *property = of_group("property_gain", C * D), *relative = of_group("relative_memory", C * D),
           *weight = of_group("block_pairs", C * D * BLOCKS);
    for (size_t i = 0; i < C * D; i++) {
        const size_t c = i / D, d = i % D;
        const sums x = sums_without(c, d, 0, 0);
        const statistics s = statistics_of(&x);
        assert_close(pairs[i], x.pairs, 0, 0, "pairs", i);
        for (size_t k = 0; k < HE; k++)
            assert_close(mean[i * HE + k], x.sum[k] / x.pairs, 1e-5, 0.01, "mean", i);
        for (size_t k = 0; k < E * E; k++)
            assert_close(moment[i * E * E + k], x.moment[k] / x.pairs, 1e-5, 0.01, "moment", i);
        for (size_t k = 0; k < 2; k++) {
            assert_close(sigma[i * E + k], s.sigma[k], 1e-5, 0.01, "sigma", i);
            assert_close(gain[i * E + k], s.gain[k], 1e-5, 0.01, "rms gain", i);
        }
        assert_close(sum[i], s.total, 1e-5, 0, "sum", i);
        assert_close(rank[i], s.rank, 1e-5, 0, "effective rank", i);
        assert_close(coherence[i], s.coherence, 1e-5, 0, "coherence", i);
        assert_close(property[i], s.property, 1e-5, 0.01, "property gain", i);
        assert_close(relative[i], s.property / s.sigma[0], 1e-5, 0, "relative memory", i);
        for (size_t b = 0; b < BLOCKS; b++)
            assert_close(weight[i * BLOCKS + b],
                         x.pairs - sums_without(c, d, b * w.split, (b + 1) * w.split).pairs, 0, 0,
                         "pairs of a block", i);
    }
    sg_free(pairs), sg_free(mean), sg_free(moment), sg_free(sigma), sg_free(sum), sg_free(rank),
        sg_free(gain);
    sg_free(coherence), sg_free(property), sg_free(relative), sg_free(weight);
}

/* Entry 0: of all; then without each block, each part. */
static void blocks_and_parts_left_out(void **state)
{
    const size_t n = 1 + BLOCKS * (1 + w.split);
    double *pairs = of_group("left_out_pairs", C * D * n),
           *moments = of_group("left_out_moment_pairs", C * D * n),
           *sigma = of_group("left_out_sigma_1", C * D * n), *gain = of_group("left_out_rms_gain", C * D * n),
           *all = of_group("left_out_total_gain", C * D * n);
    for (size_t i = 0; i < C * D * n; i++) {
        const size_t c = i / n / D, d = i / n % D, k = i % n;
        const size_t first = k <= BLOCKS ? (k - 1) * w.split : k - 1 - BLOCKS,
                     end = k <= BLOCKS ? k * w.split : k - BLOCKS;
        const sums whole = sums_without(c, d, 0, 0), x = k ? sums_without(c, d, first, end) : whole;
        const statistics s = statistics_of(&x);
        const double left_out = k ? whole.pairs - x.pairs : whole.pairs;
        assert_close(pairs[i], left_out, 0, 0, "pairs left out", i);
        assert_close(moments[i], left_out, 0, 0, "pairs of moments left out", i);
        assert_close(sigma[i], s.sigma[0], 1e-5, 0, "sigma without", i);
        assert_close(gain[i], s.gain[0], 1e-5, 0, "rms gain without", i);
        assert_close(all[i], s.all, 1e-5, 0, "gain over all directions without", i);
    }
    sg_free(pairs), sg_free(moments), sg_free(sigma), sg_free(gain), sg_free(all);
}

static void words_of_a_property_left_out(void **state)
{
    const size_t n = 1 + BLOCKS + FOLDS;
    double *weight = of_group("left_out_property_weight", C * D * n),
           *gain = of_group("left_out_property_gain", C * D * n);
    for (size_t i = 0; i < C * D * n; i++) {
        const size_t c = i / n / D, d = i / n % D, k = i % n, fold = k - 1 - BLOCKS;
        const bool block = k && k <= BLOCKS;
        const sums whole = sums_without(c, d, 0, 0),
                   x = block ? sums_without(c, d, (k - 1) * w.split, k * w.split) : whole;
        const statistics s = statistics_of(&x);
        const size_t words = k <= BLOCKS ? 0 : SIDE / FOLDS + (fold < SIDE % FOLDS);
        assert_close(weight[i],
                     !k      ? whole.pairs
                     : block ? whole.pairs - x.pairs
                             : (double)words / SIDE,
                     1e-12, 0, "weight", i);
        assert_close(gain[i], k <= BLOCKS ? s.property : gain_along(&s, w.fold[fold]), 1e-5, 0.01,
                     "gain along the property", i);
    }
    sg_free(weight), sg_free(gain);
}

/* Values by definition; the ends of the intervals from the replicates by definition. */
static void single_units(void **state)
{
    const size_t N = BLOCKS * (1 + w.split);
    double *gain = of_group("unit_gain", C * D * H), *low = of_group("unit_gain_low", C * D * H),
           *high = of_group("unit_gain_high", C * D * H),
           *property = of_group("unit_property_gain", C * D * H);
    for (size_t i = 0; i < C * D; i++) {
        const size_t c = i / D, d = i % D;
        const sums whole = sums_without(c, d, 0, 0);
        const statistics s = statistics_of(&whole);
        double without[H][BLOCKS * (1 + PARTS)], pairs[BLOCKS * (1 + PARTS)];
        for (size_t k = 0; k < N; k++) {
            const size_t first = k < BLOCKS ? k * w.split : k - BLOCKS,
                         end = k < BLOCKS ? first + w.split : first + 1;
            const sums x = sums_without(c, d, first, end);
            const statistics y = statistics_of(&x);
            pairs[k] = whole.pairs - x.pairs;
            for (size_t u = 0; u < H; u++)
                without[u][k] = y.unit[u];
        }
        for (size_t u = 0; u < H; u++) {
            sg_interval x;
            sg_stats_jackknife_parts(&x, BLOCKS, pairs, s.unit[u], without[u], 1, N - BLOCKS, pairs + BLOCKS,
                                     without[u] + BLOCKS, 1);
            sg_stats_clamp(&x, 0, INFINITY);
            assert_close(gain[i * H + u], s.unit[u], 1e-5, 0, "gain of a unit", i);
            assert_close(property[i * H + u], s.unit_property[u], 1e-5, 0.01, "of it along the property", i);
            assert_int_equal(isnan(low[i * H + u]), isnan(x.low));
            if (!isnan(x.low)) {
                assert_close(low[i * H + u], x.low, 1e-4, 0, "low end", i);
                assert_close(high[i * H + u], x.high, 1e-4, 0, "high end", i);
            }
        }
    }
    assert_false(isnan(low[0]));
    sg_free(gain), sg_free(low), sg_free(high), sg_free(property);
}

/* Delays after the peak until a share of it is left, between two delays on the logarithm. */
static double naive_share(const double *y, size_t peak, double share)
{
    for (size_t d = peak; d + 1 < D; d++)
        if (y[d + 1] < share * y[peak])
            return (double)(d - peak) + log(y[d] / (share * y[peak])) / log(y[d] / y[d + 1]);
    return NAN;
}

/* Series q: sigma_1, the sum of sigma, the rms gain. */
static double of_series(size_t q, const sums *x)
{
    const statistics s = statistics_of(x);
    return q == 0 ? s.sigma[0] : q == 1 ? s.total : s.gain[0];
}

/* The interval of the half-life, from the series without each block. */
static sg_decay naive_decay(size_t c, size_t q, const double *y)
{
    double without[BLOCKS * D], pairs[BLOCKS];
    sg_decay x;
    sg_error err = {""};
    for (size_t i = 0; i < BLOCKS * D; i++) {
        const size_t b = i / D, d = i % D;
        const sums whole = sums_without(c, d, 0, 0),
                   rest = sums_without(c, d, b * w.split, (b + 1) * w.split);
        without[i] = of_series(q, &rest);
        if (!d)
            pairs[b] = whole.pairs - rest.pairs;
    }
    assert_ok(sg_stats_decay(&x, D, y, NULL, BLOCKS, pairs, without, &err), err);
    return x;
}

static void how_long_curves_last(void **state)
{
    enum { Q = 3, SHARES = 3, LAWS = 3 };
    static const double shares[] = {0.5, 0.2, 0.1};
    double *peak = of_group("peak_delay", C * Q), *half = of_group("half_life", C * Q),
           *low = of_group("half_life_low", C * Q), *high = of_group("half_life_high", C * Q),
           *left = of_group("share_delay", C * Q * SHARES), *rate = of_group("decay_rate", C * Q * LAWS),
           *scale = of_group("decay_scale", C * Q * LAWS), *shape = of_group("decay_shape", C * Q * LAWS);
    for (size_t i = 0; i < C * Q; i++) {
        const size_t c = i / Q, q = i % Q;
        double y[D];
        size_t most = 0;
        for (size_t d = 0; d < D; d++) {
            const sums x = sums_without(c, d, 0, 0);
            y[d] = of_series(q, &x);
            most = y[d] > y[most] ? d : most;
        }
        const sg_decay expected = naive_decay(c, q, y);
        assert_close(peak[i], most, 0, 0, "peak", i);
        assert_int_equal(most, c == 2 ? 0 : 2);
        assert_close(half[i], naive_share(y, most, 0.5), 1e-4, 0, "half-life", i);
        assert_close(low[i], expected.left[0].low, 1e-3, 0, "its low end", i);
        assert_close(high[i], expected.left[0].high, 1e-3, 0, "its high end", i);
        for (size_t k = 0; k < SHARES; k++)
            assert_close(left[i * SHARES + k], naive_share(y, most, shares[k]), 1e-4, 0, "delay of a share",
                         i);
        if (c == 2) { /* 0.6^d: tau = -1 / ln 0.6, beta 1 */
            assert_close(rate[i * LAWS], -1 / log(0.6), 0.05, 0, "tau", i);
            assert_close(scale[i * LAWS], y[0], 0.1, 0, "scale", i);
            assert_close(shape[i * LAWS + SG_DECAY_STRETCHED], 1, 0.1, 0, "beta", i);
        }
    }
    sg_free(low), sg_free(high);
    sg_free(peak), sg_free(half), sg_free(left), sg_free(rate), sg_free(scale), sg_free(shape);
}

static void facts_of_text_and_classes(void **state)
{
    size_t rank, shape[SG_RUN_MAX_DIMS], n = 0;
    uint64_t tokens[V][C] = {{0}}, all[C] = {0};
    sg_error err = {""};
    for (size_t t = 0; t < T; t++)
        for (size_t c = 0; c < C; c++)
            if (in_class(t, c))
                tokens[w.ids[t]][c]++, all[c]++;
    assert_true(sg_run_shape(w.run, NULL, "member_word", &rank, shape));
    double *word = read_all(NULL, "member_word", shape[0]), *of = read_all(NULL, "member_class", shape[0]),
           *count = read_all(NULL, "member_count", shape[0]), *types = read_all(NULL, "class_types", C),
           *effective = read_all(NULL, "class_effective_types", C),
           *share = read_all(NULL, "class_top_share", C), *class_tokens = read_all(NULL, "class_tokens", C),
           *word_count = read_all(NULL, "word_count", V), *vector = read_all(NULL, "property_vector", E),
           *L = read_all(NULL, "embedding_covariance_factor", E * E);
    for (size_t c = 0; c < C; c++) {
        double squares = 0;
        size_t top = 0, distinct = 0;
        char *name;
        for (size_t v = 0; v < V; v++) {
            distinct += tokens[v][c] > 0, squares += (double)(tokens[v][c] * tokens[v][c]);
            top = tokens[v][c] > tokens[top][c] ? v : top;
        }
        assert_close(class_tokens[c], all[c], 0, 0, "tokens", c);
        assert_close(types[c], distinct, 0, 0, "types", c);
        assert_close(effective[c], (double)(all[c] * all[c]) / squares, 1e-12, 0, "effective types", c);
        assert_close(share[c], (double)tokens[top][c] / (double)all[c], 1e-12, 0, "top share", c);
        assert_ok(sg_run_read_string(w.run, NULL, "class_top_word", c, &name, &err), err);
        assert_int_equal(top > 1 ? strtoul(name + 1, NULL, 10) : top, top);
        sg_free(name);
        for (size_t v = 0; v < V; v++)
            n += c && v != 1 && tokens[v][c];
    }
    assert_int_equal(n, shape[0]); /* class all and <unk> are left out */
    for (size_t i = 0; i < n; i++) {
        assert_true(of[i] >= 1 && of[i] < C && word[i] >= 0 && word[i] < V);
        assert_close(count[i], tokens[(size_t)word[i]][(size_t)of[i]], 0, 0, "tokens of a word in a class",
                     i);
        for (size_t k = 0; k < i; k++)
            assert_false(word[k] == word[i] && of[k] == of[i]);
    }
    for (size_t v = 0; v < V; v++)
        assert_close(word_count[v], tokens[v][0], 0, 0, "tokens of a word", v);
    for (size_t i = 0; i < E * E; i++)
        assert_close(L[i], w.L[i], 1e-6, 1e-3, "factor", i);
    const double n0 = vector[0] / w.L[0], n1 = (vector[1] - w.L[2] * n0) / w.L[3];
    assert_close(n0 / hypot(n0, n1), w.property[0], 1e-5, 0, "property", 0);
    assert_close(n1 / hypot(n0, n1), w.property[1], 1e-5, 0, "property", 1);
    assert_int_equal(strtoul(sg_run_attribute(w.run, "tokens"), NULL, 10), T);
    assert_int_equal(strtoul(sg_run_attribute(w.run, "unknown_tokens"), NULL, 10), tokens[1][0]);
    assert_int_equal(strtoul(sg_run_attribute(w.run, "vocabulary"), NULL, 10), V);
    sg_free(word), sg_free(of), sg_free(count), sg_free(types), sg_free(effective), sg_free(share);
    sg_free(class_tokens), sg_free(word_count), sg_free(vector), sg_free(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_class_and_delay),        cmocka_unit_test(blocks_and_parts_left_out),
        cmocka_unit_test(words_of_a_property_left_out), cmocka_unit_test(single_units),
        cmocka_unit_test(how_long_curves_last),         cmocka_unit_test(facts_of_text_and_classes),
    };
    return cmocka_run_group_tests(tests, make_run, drop_run);
}
