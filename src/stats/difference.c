/* SPDX-License-Identifier: MIT */
/* Is a class remembered differently from a random class of its size? A randomisation test on block sums.
 *
 * In block b let R_b be the mean over all pairs and F_b = (class sum - n_b R_b) / N what the class adds to
 * its mean, so
 *
 *   class mean = A + sum_b F_b,     A = sum_b n_b R_b / N
 *
 * If class labels are exchangeable within blocks, F_b is noise about zero and its sign is a coin's: the class
 * means M(e) = A + sum_b e_b F_b, e_b = +-1, are draws from the null, with the noise (and so the upward bias
 * of sigma_1) of the real one. sigma_1(all) is the same under every relabelling, so sigma_1(M(e)) alone is
 * the statistic of the difference.
 *
 * All M(e) are looked at through the same k right directions V, chosen by a rule that does not see the signs
 * (an exact test for any V of that kind): leading eigenvectors of A'A + kappa sum F_b'F_b. In them the Gram
 * matrix of M(e) is linear in the products e_b e_b', and one product of (flips x pairs of blocks) by (pairs
 * of blocks x k^2) gives every draw. */
#include "stats/stats_internal.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <math.h>
#include <string.h>

struct sg_class_test {
    size_t B, H, E, k, flips, terms;
    double *signs;        /* (flips + 1, terms): 1, e_b, e_b e_b' for b < b'; row 0 is the data: all ones */
    double *means;        /* (1 + B, H, E): A, F_1 .. F_B */
    double *gram;         /* (E, E), its eigenvectors in the end */
    double *values;       /* (E) */
    double *turned;       /* (E, E): of a product by L */
    double *projected;    /* (H, (1 + B) k) */
    double *products;     /* ((1 + B) k)^2 */
    double *coefficients; /* (terms, k^2) */
    double *grams;        /* (flips + 1, k^2) */
    double *sigma;        /* (flips + 1) */
};

static void draw_signs(sg_class_test *t, uint64_t seed)
{
    sg_rng rng;
    sg_rng_seed(&rng, seed, 0);
    for (size_t r = 0; r <= t->flips; r++) {
        double *row = t->signs + r * t->terms, *e = row + 1, *pair = e + t->B;
        row[0] = 1;
        for (size_t b = 0; b < t->B; b++)
            e[b] = r && sg_rng_next(&rng) >> 63 ? -1 : 1;
        for (size_t b = 0; b < t->B; b++)
            for (size_t c = b + 1; c < t->B; c++)
                *pair++ = e[b] * e[c];
    }
}

sg_status sg_class_test_new(sg_class_test **out, size_t B, size_t H, size_t E, size_t flips, uint64_t seed,
                            sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    if (!B || !H || !E || !flips || B > 10000 || flips > 10000000)
        return sg_fail(err, SG_EINVAL, "statistics: a class test of %zu blocks, %zu x %zu, %zu permutations",
                       B, H, E, flips);
    sg_class_test *t = sg_calloc(1, sizeof *t);
    if (!t)
        return no_memory(err, "a class test");
    size_t k = E < TEST_DIRECTIONS ? E : TEST_DIRECTIONS, terms = 1 + B + B * (B - 1) / 2;
    *t = (sg_class_test){.B = B, .H = H, .E = E, .k = k, .flips = flips, .terms = terms};
    NEED((t->signs = sg_calloc(flips + 1, terms * sizeof(double))) &&
             (t->means = sg_calloc((1 + B) * H, E * sizeof(double))) &&
             (t->gram = sg_calloc(E, E * sizeof(double))) && (t->values = sg_calloc(E, sizeof(double))) &&
             (t->turned = sg_calloc(E, E * sizeof(double))) &&
             (t->projected = sg_calloc(H, (1 + B) * k * sizeof(double))) &&
             (t->products = sg_calloc((1 + B) * k, (1 + B) * k * sizeof(double))) &&
             (t->coefficients = sg_calloc(terms, k * k * sizeof(double))) &&
             (t->grams = sg_calloc(flips + 1, k * k * sizeof(double))) &&
             (t->sigma = sg_calloc(flips + 1, sizeof(double))),
         err, "a class test of %zu permutations, %zu blocks, %zu x %zu", flips, B, H, E);
    draw_signs(t, seed);
    *out = t, t = NULL;
done:
    sg_class_test_free(t);
    return st;
}

void sg_class_test_free(sg_class_test *t)
{
    if (!t)
        return;
    sg_free(t->signs);
    sg_free(t->means);
    sg_free(t->gram);
    sg_free(t->values);
    sg_free(t->turned);
    sg_free(t->projected);
    sg_free(t->products);
    sg_free(t->coefficients);
    sg_free(t->grams);
    sg_free(t->sigma);
    sg_free(t);
}

/* A and the F_b */
static void split_means(sg_class_test *t, const double *class_sums, const double *class_pairs, double N,
                        const double *all_sums, const double *all_pairs)
{
    size_t size = t->H * t->E;
    double *A = t->means;
    memset(A, 0, size * sizeof *A);
    for (size_t b = 0; b < t->B; b++) {
        double *F = A + (1 + b) * size, share = all_pairs[b] > 0 ? class_pairs[b] / all_pairs[b] : 0;
        const double *of_class = class_sums + b * size, *of_all = all_sums + b * size;
        if (!(class_pairs[b] > 0)) {
            memset(F, 0, size * sizeof *F);
            continue;
        }
        for (size_t i = 0; i < size; i++) {
            double expected = share * of_all[i];
            A[i] += expected / N;
            F[i] = (of_class[i] - expected) / N;
        }
    }
}

/* Fills projected: A V and F_b V side by side; with L they stand for A L and F_b L, and only the small
 * matrices are multiplied: (A L)'(A L) = L' A'A L, (A L) V = A (L V). */
static sg_status project(sg_class_test *t, const double *L, sg_error *err)
{
    size_t B = t->B, H = t->H, E = t->E, k = t->k, width = (1 + B) * k;
    const double *A = t->means, *F = A + H * E;
    double kappa = sqrt((double)B); /* between the noise (1) and a class effect shared by all blocks (B) */
    la_dgemm(LA_T, LA_N, E, E, H, 1, A, E, A, E, 0, t->gram, E);
    la_dgemm(LA_T, LA_N, E, E, B * H, kappa, F, E, F, E, 1, t->gram, E);
    if (L) {
        la_dgemm(LA_N, LA_N, E, E, E, 1, t->gram, E, L, E, 0, t->turned, E);
        la_dgemm(LA_T, LA_N, E, E, E, 1, L, E, t->turned, E, 0, t->gram, E);
    }
    sg_status st = la_eigh(E, t->gram, t->values, true, err);
    if (st != SG_OK)
        return st;
    const double *V = t->gram + (E - k) * E; /* rows of the k largest */
    if (L) {
        la_dgemm(LA_N, LA_T, k, E, E, 1, V, E, L, E, 0, t->turned, E);
        V = t->turned;
    }
    for (size_t b = 0; b <= B; b++)
        la_dgemm(LA_N, LA_T, H, k, E, 1, A + b * H * E, E, V, E, 0, t->projected + b * k, width);
    return SG_OK;
}

static void add_block(double *sum, const double *products, size_t width, size_t k, size_t b, size_t c)
{
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < k; j++)
            sum[i * k + j] += products[(b * k + i) * width + c * k + j];
}

/* The k x k Gram matrix of M(e) for every row of signs. */
static void gram_of_each_draw(sg_class_test *t)
{
    size_t B = t->B, k = t->k, kk = k * k, width = (1 + B) * k;
    la_dgemm(LA_T, LA_N, width, width, t->H, 1, t->projected, width, t->projected, width, 0, t->products,
             width);
    memset(t->coefficients, 0, t->terms * kk * sizeof *t->coefficients);
    double *constant = t->coefficients, *linear = constant + kk, *pair = linear + B * kk;
    add_block(constant, t->products, width, k, 0, 0);
    for (size_t b = 1; b <= B; b++) {
        add_block(constant, t->products, width, k, b, b);
        add_block(linear + (b - 1) * kk, t->products, width, k, 0, b);
        add_block(linear + (b - 1) * kk, t->products, width, k, b, 0);
        for (size_t c = b + 1; c <= B; c++, pair += kk) {
            add_block(pair, t->products, width, k, b, c);
            add_block(pair, t->products, width, k, c, b);
        }
    }
    la_dgemm(LA_N, LA_N, t->flips + 1, kk, t->terms, 1, t->signs, t->terms, t->coefficients, kk, 0, t->grams,
             kk);
}

/* The largest eigenvalue of a symmetric positive semidefinite G (k,k), k <= TEST_DIRECTIONS: P = G^256 /
 * trace by squaring is nearly the projector on the leading eigenvector, trace(G P) the eigenvalue; never
 * above it, and at worst, for two nearly equal ones, below it by a 500th. */
static double leading_eigenvalue(size_t k, const double *G)
{
    double P[TEST_DIRECTIONS * TEST_DIRECTIONS], square[TEST_DIRECTIONS * TEST_DIRECTIONS], trace = 0,
                                                                                            value = 0;
    for (size_t i = 0; i < k; i++)
        trace += G[i * k + i];
    if (!(trace > 0))
        return trace;
    for (size_t i = 0; i < k * k; i++)
        P[i] = G[i] / trace;
    for (int step = 0; step < 8; step++) {
        trace = 0;
        memset(square, 0, sizeof square);
        for (size_t i = 0; i < k; i++) {
            for (size_t l = 0; l < k; l++)
                for (size_t j = i; j < k; j++)
                    square[i * k + j] += P[i * k + l] * P[l * k + j];
            for (size_t j = i + 1; j < k; j++)
                square[j * k + i] = square[i * k + j];
            trace += square[i * k + i];
        }
        for (size_t i = 0; i < k * k; i++)
            P[i] = square[i] / trace;
    }
    for (size_t i = 0; i < k * k; i++)
        value += G[i] * P[i];
    return value;
}

static const char *why_not(const sg_class_test *t, const double *class_pairs, const double *all_pairs,
                           double *N)
{
    double all = 0;
    size_t present = 0;
    *N = 0;
    for (size_t b = 0; b < t->B; b++) {
        *N += class_pairs[b];
        all += all_pairs[b];
        present += class_pairs[b] > 0 && class_pairs[b] < all_pairs[b];
    }
    if (!(*N > 0))
        return "no pairs in the class";
    if (!(*N < all))
        return "no pairs outside the class";
    if (present < TEST_LEAST_BLOCKS)
        return "class and others occur together in fewer than 8 blocks";
    return NULL;
}

sg_status sg_class_test_run(sg_class_test *t, sg_class_p *out, const double *class_sums,
                            const double *class_pairs, const double *all_sums, const double *all_pairs,
                            const double *L, sg_error *err)
{
    double N;
    *out = (sg_class_p){NAN, NAN, NAN, NAN, NULL};
    out->missing = why_not(t, class_pairs, all_pairs, &N);
    if (out->missing)
        return SG_OK;
    split_means(t, class_sums, class_pairs, N, all_sums, all_pairs);
    for (size_t i = 0; i < (1 + t->B) * t->H * t->E; i++)
        if (!isfinite(t->means[i]))
            return sg_fail(err, SG_ENONFINITE, "statistics: a sum of gradients is not finite");
    sg_status st = project(t, L, err);
    if (st != SG_OK)
        return st;
    gram_of_each_draw(t);
    size_t above = 0, below = 0;
    double sum = 0;
    for (size_t r = 0; r <= t->flips; r++)
        t->sigma[r] = sqrt(fmax(0, leading_eigenvalue(t->k, t->grams + r * t->k * t->k)));
    double seen = t->sigma[0], tie = 1e-10 * seen;
    for (size_t r = 1; r <= t->flips; r++) {
        above += t->sigma[r] >= seen - tie;
        below += t->sigma[r] <= seen + tie;
        sum += t->sigma[r];
    }
    out->p = fmin(1, 2 * (1 + (double)(above < below ? above : below)) / (1 + (double)t->flips));
    out->excess = seen - sum / (double)t->flips;
    stats_sort(t->flips, t->sigma + 1);
    out->null_low = stats_quantile(t->flips, t->sigma + 1, 0.025);
    out->null_high = stats_quantile(t->flips, t->sigma + 1, 0.975);
    return SG_OK;
}
