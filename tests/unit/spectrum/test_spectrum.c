/* SPDX-License-Identifier: MIT */
/* Covariance, spectra, properties: identities and closed forms; numpy has its say in analyze.py. */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"
#include "spectrum/spectrum.h"

enum { H = 9, E = 5, V = 40 };

static void fill(sg_rng *r, double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = sg_rng_normal(r);
}

static void covariance_is_the_textbook_one(void **state)
{
    (void)state;
    sg_rng rng;
    sg_error err;
    sg_rng_seed(&rng, 3, 0);
    float X[V * E], twice[2 * V * E];
    double Sigma[E * E], weighted[E * E], weights[V], L[E * E], product[E * E];
    for (size_t i = 0; i < V * E; i++)
        X[i] = (float)(sg_rng_normal(&rng) + 3);
    assert_ok(sp_covariance(Sigma, V, E, X, NULL, &err), err);
    for (size_t a = 0; a < E; a++)
        for (size_t b = 0; b < E; b++) {
            double ma = 0, mb = 0, sum = 0;
            for (size_t i = 0; i < V; i++)
                ma += X[i * E + a] / (double)V, mb += X[i * E + b] / (double)V;
            for (size_t i = 0; i < V; i++)
                sum += (X[i * E + a] - ma) * (X[i * E + b] - mb);
            assert_close(Sigma[a * E + b], sum / (V - 1), 1e-10, 1, "covariance", a * E + b);
        }
    /* weight 2 is the row twice, weight 0 no row */
    memcpy(twice, X, sizeof X);
    memcpy(twice + (V - 1) * E, X, sizeof X / V * (V - 1));
    for (size_t i = 0; i < V; i++)
        weights[i] = i < V - 1 ? 2 : 0;
    assert_ok(sp_covariance(Sigma, 2 * (V - 1), E, twice, NULL, &err), err);
    assert_ok(sp_covariance(weighted, V, E, X, weights, &err), err);
    for (size_t i = 0; i < E * E; i++)
        assert_close(weighted[i], Sigma[i], 1e-12, 1, "weighted covariance", i);
    sp_factoring how;
    /* a ridge is in units of the mean variance: L L' - Sigma = ridge trace(Sigma)/E on the diagonal */
    assert_ok(sp_factor(L, &how, E, Sigma, 0.25, &err), err);
    double unit = 0;
    for (size_t i = 0; i < E; i++)
        unit += Sigma[i * E + i] / E;
    for (size_t i = 0; i < E; i++)
        for (size_t j = 0; j < E; j++) {
            double both = 0;
            for (size_t k = 0; k < E; k++)
                both += L[i * E + k] * L[j * E + k];
            assert_close(both - Sigma[i * E + j], i == j ? 0.25 * unit : 0, 1e-9, unit, "ridge", i * E + j);
        }
    assert_ok(sp_factor(L, &how, E, Sigma, 0, &err), err);
    assert_false(how.automatic);
    assert_int_equal(how.rank, E);
    la_dgemm(LA_N, LA_T, E, E, E, 1, L, E, L, E, 0, product, E);
    for (size_t i = 0; i < E * E; i++)
        assert_close(product[i], Sigma[i], 1e-12, 1, "L L^T", i);
    assert_int_equal(sp_covariance(Sigma, 1, E, X, NULL, &err), SG_EINVAL);
    X[7] = NAN;
    assert_int_equal(sp_covariance(Sigma, V, E, X, NULL, &err), SG_ENONFINITE);
}

static void singular_covariance_says_so(void **state)
{
    (void)state;
    sg_rng rng;
    sg_error err;
    sg_rng_seed(&rng, 4, 0);
    float X[3 * E];
    double Sigma[E * E], L[E * E];
    for (size_t i = 0; i < 3 * E; i++)
        X[i] = (float)sg_rng_normal(&rng);
    assert_ok(sp_covariance(Sigma, 3, E, X, NULL, &err), err); /* three words, five dimensions */
    sp_factoring how;
    assert_ok(sp_factor(L, &how, E, Sigma, 0, &err), err);
    assert_true(how.automatic && how.ridge > 0 && how.ridge <= 1e-6);
    assert_int_equal(how.rank, 2);
    assert_ok(sp_factor(L, &how, E, Sigma, 0.5, &err), err);
    assert_true(!how.automatic && how.ridge == 0.5);
    for (size_t i = 0; i < 3 * E; i++)
        X[i] = 1;
    assert_ok(sp_covariance(Sigma, 3, E, X, NULL, &err), err);
    assert_int_equal(sp_factor(L, &how, E, Sigma, 0, &err), SG_EINVAL);
}

static void mean_and_gram_agree_and_keep_the_identities(void **state)
{
    (void)state;
    static const size_t heights[] = {H, 3, 1};
    for (size_t s = 0; s < 3; s++) {
        size_t h = heights[s], R = h < E ? h : E;
        sg_rng rng;
        sg_error err;
        sg_rng_seed(&rng, 5, s);
        double G[H * E], L[E * E] = {0}, n[2 * E], delta[E], gram[E * E], M[E * E], extra[E];
        fill(&rng, G, h * E);
        for (size_t i = 0; i < E; i++)
            for (size_t j = 0; j <= i; j++)
                L[i * E + j] = sg_rng_normal(&rng) + (i == j ? 3 : 0);
        for (size_t p = 0; p < 2; p++) {
            fill(&rng, delta, E);
            assert_true(sp_direction(n + p * E, E, L, delta));
        }
        la_dgemm(LA_T, LA_N, E, E, h, 1, G, E, G, E, 0, gram, E);
        fill(&rng, extra, E);
        for (size_t i = 0; i < E * E; i++)
            /* a mean of squares is at least the square of the mean */
            M[i] = gram[i] + extra[i / E] * extra[i % E];
        sp_frame f = {h, E, R, 2, L, n};
        sp_places at = sp_where(&f);
        size_t K = sp_count(&f);
        double a[64], b[64], P[H * E], Vt[E * E], work[400];
        assert_true(K <= 64 && sp_work(&f) <= 400);
        assert_ok(sp_from_mean(a, P, Vt, &f, G, M, work, &err), err);
        assert_ok(sp_from_gram(b, &f, gram, M, work, &err), err);
        for (size_t k = 0; k < K; k++)
            assert_close(a[k], b[k], 1e-9, 1e-6, "mean against Gram", k);
        assert_close(a[at.cosine + R - 1], R == E ? 1 : a[at.cosine + R - 1], 1e-12, 0,
                     "cosine with everything", 0);
        double Ghat[H * E], norm = 0, image = 0;
        la_dgemm(LA_N, LA_N, h, E, E, 1, G, E, L, E, 0, Ghat, E);
        for (size_t i = 0; i < h * E; i++) {
            double sum = 0;
            for (size_t k = 0; k < R; k++)
                sum += P[i / E * R + k] * a[at.S + k] * Vt[k * E + i % E];
            assert_close(sum, Ghat[i], 1e-12, 1, "P S V^T", i);
            norm += G[i] * G[i];
        }
        for (size_t i = 0; i < h; i++) {
            double y = 0;
            for (size_t j = 0; j < E; j++)
                y += Ghat[i * E + j] * n[E + j];
            image += y * y;
        }
        assert_close(a[at.relative + 1], sqrt(image) / a[at.S], 1e-10, 0, "relative memory", 1);
        double trace = 0;
        for (size_t i = 0; i < E; i++)
            trace += M[i * E + i];
        assert_close(a[at.coherence], norm / trace, 1e-12, 0, "coherence", 0);
        assert_true(a[at.coherence] < 1);
        for (size_t k = 0; k < R; k++)
            assert_true(a[at.gain + k] >= a[at.S + k] * (1 - 1e-9)); /* M >= G^T G */
        assert_true(a[at.rank] >= 1 - 1e-12 && a[at.rank] <= (double)R + 1e-9);
        assert_ok(sp_from_mean(a, P, Vt, &f, G, NULL, work, &err), err);
        assert_true(isnan(a[at.coherence]) && isnan(a[at.gain]) && !isnan(a[at.S]));
        G[2] = NAN;
        assert_int_equal(sp_from_mean(a, P, Vt, &f, G, NULL, work, &err), SG_ENONFINITE);
        gram[2] = INFINITY;
        assert_int_equal(sp_from_gram(a, &f, gram, NULL, work, &err), SG_ENONFINITE);
    }
}

static void whitening_makes_directions_comparable(void **state)
{
    (void)state;
    /* one unit of x_0 is 10 standard deviations, of x_1 a tenth: the identity gradient remembers x_1's word
     * best */
    double L[4] = {0.1, 0, 0, 10}, delta[2] = {1, 10}, n[2], zero[2] = {0, 0};
    assert_true(sp_direction(n, 2, L, delta));
    assert_close(n[0], 10 / sqrt(101), 1e-14, 0, "n", 0);
    assert_false(sp_direction(n, 2, L, zero));
    assert_true(isnan(n[0]));
    sg_error err;
    double G[4] = {1, 0, 0, 1}, values[16], P[4], Vt[4], work[64];
    sp_frame f = {2, 2, 2, 1, L, n};
    assert_ok(sp_from_mean(values, P, Vt, &f, G, NULL, work, &err), err);
    assert_close(values[0], 10, 1e-14, 0, "sigma", 0);
    assert_close(Vt[1], 1, 1e-14, 0, "v", 1);
    assert_true(isnan(values[sp_where(&f).relative])); /* a missing property stays missing */
    double equal[4] = {2, 2, 2, 2}, one[3] = {5, 0, 0}, none[2] = {0, 0};
    assert_close(sp_effective_rank(4, equal), 4, 1e-14, 0, "effective rank", 0);
    assert_close(sp_effective_rank(3, one), 1, 1e-14, 0, "effective rank", 1);
    assert_true(isnan(sp_effective_rank(2, none)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(covariance_is_the_textbook_one),
        cmocka_unit_test(singular_covariance_says_so),
        cmocka_unit_test(mean_and_gram_agree_and_keep_the_identities),
        cmocka_unit_test(whitening_makes_directions_comparable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
