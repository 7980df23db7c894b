/* SPDX-License-Identifier: MIT */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <cblas.h>
#include <omp.h>
#include <pthread.h>

static void fill(sg_rng *r, double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = sg_rng_normal(r);
}

static void svd_reconstructs_with_orthonormal_vectors(void **state)
{
    (void)state;
    enum { MAX = 12 };
    static const size_t shape[][2] = {{1, 1}, {7, 3}, {3, 7}, {12, 12}};
    sg_rng rng;
    sg_error err;
    sg_rng_seed(&rng, 1, 0);
    for (size_t c = 0; c < 4; c++) {
        size_t m = shape[c][0], n = shape[c][1], r = m < n ? m : n;
        double A[MAX * MAX], work[MAX * MAX], S[MAX], only[MAX], P[MAX * MAX], Vt[MAX * MAX];
        fill(&rng, A, m * n);
        memcpy(work, A, sizeof A);
        assert_ok(la_svd(m, n, work, S, P, Vt, &err), err);
        memcpy(work, A, sizeof A);
        assert_ok(la_svd(m, n, work, only, NULL, NULL, &err), err);
        for (size_t k = 0; k < r; k++) {
            assert_close(S[k], only[k], 1e-12, 0, "singular value", k);
            assert_true(k == 0 || S[k] <= S[k - 1]);
        }
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++) {
                double sum = 0;
                for (size_t k = 0; k < r; k++)
                    sum += P[i * r + k] * S[k] * Vt[k * n + j];
                assert_close(sum, A[i * n + j], 1e-12, 1, "P S V^T", i * n + j);
            }
        for (size_t k = 0; k < r; k++)
            for (size_t l = 0; l < r; l++) {
                double right = 0;
                for (size_t j = 0; j < n; j++)
                    right += Vt[k * n + j] * Vt[l * n + j];
                assert_close(right, k == l, 1e-12, 1, "V^T V", k * r + l);
            }
    }
}

static void eigh_cholesky_and_solve_agree(void **state)
{
    (void)state;
    enum { N = 6, M = 2 };
    sg_rng rng;
    sg_error err;
    sg_rng_seed(&rng, 2, 0);
    double B[N * N], A[N * N], L[N * N], Q[N * N], w[N], X[N * M], Y[N * M];
    fill(&rng, B, N * N);
    la_dgemm(LA_N, LA_T, N, N, N, 1, B, N, B, N, 0, A, N);
    memcpy(L, A, sizeof A);
    memcpy(Q, A, sizeof A);
    assert_ok(la_cholesky(N, L, &err), err);
    double product[N * N];
    la_dgemm(LA_N, LA_T, N, N, N, 1, L, N, L, N, 0, product, N);
    for (size_t i = 0; i < N * N; i++)
        assert_close(product[i], A[i], 1e-12, 1, "L L^T", i);
    assert_close(L[1], 0, 0, 1, "upper triangle", 1);
    assert_ok(la_eigh(N, Q, w, true, &err), err);
    for (size_t k = 0; k < N; k++)
        for (size_t i = 0; i < N; i++) {
            double Av = 0;
            for (size_t j = 0; j < N; j++)
                Av += A[i * N + j] * Q[k * N + j];
            assert_close(Av, w[k] * Q[k * N + i], 1e-11, 1, "A v = w v", k * N + i);
        }
    fill(&rng, X, N * M);
    la_dgemm(LA_T, LA_N, N, M, N, 1, L, N, X, M, 0, Y, M);
    la_solve_lower(N, M, L, LA_T, Y);
    for (size_t i = 0; i < N * M; i++)
        assert_close(Y[i], X[i], 1e-10, 1, "L^-T L^T x", i);
    double bad[4] = {1, 2, 2, 1};
    assert_int_equal(la_cholesky(2, bad, &err), SG_ENOCONV);
}

/* Against all eigenvectors: full rank, low rank (the rest is rounding), graded, diagonal, huge. */
static void components_along_eigenvectors_are_those_of_the_vectors(void **state)
{
    (void)state;
    enum { N = 24, P = 3, KINDS = 5 };
    sg_rng rng;
    sg_error err;
    sg_rng_seed(&rng, 5, 0);
    for (int kind = 0; kind < KINDS; kind++) {
        double B[N * N], A[N * N], V[N * N], w[N], got[N], Y[P * N], along[P * N], work[2 * N];
        fill(&rng, B, N * N);
        for (size_t i = 0; i < N * N; i++)
            B[i] *= kind == 1   ? i / N < 3
                    : kind == 2 ? exp2(-2.0 * (double)(i / N))
                    : kind == 3 ? i / N == i % N
                    : kind == 4 ? 1e120
                                : 1;
        la_dgemm(LA_T, LA_N, N, N, N, 1, B, N, B, N, 0, A, N);
        memcpy(V, A, sizeof A);
        fill(&rng, Y, P * N);
        for (size_t j = 0; j < N; j++)
            Y[N + j] = NAN; /* a property without a direction, between two that have one */
        memcpy(along, Y, sizeof Y);
        assert_ok(la_eigh(N, V, w, true, &err), err);
        assert_ok(la_eigh_along(N, A, got, P, along, work, &err), err);
        for (size_t k = 0; k < N; k++) {
            assert_close(got[k], w[k], 1e-13, w[N - 1], "eigenvalue", k);
            assert_true(isnan(along[N + k]));
            const double gap = fmin(k ? w[k] - w[k - 1] : INFINITY, k + 1 < N ? w[k + 1] - w[k] : INFINITY);
            for (size_t p = 0; p < P && gap > 1e-6 * w[N - 1]; p += 2) {
                double want = 0;
                for (size_t j = 0; j < N; j++)
                    want += Y[p * N + j] * V[k * N + j];
                assert_close(fabs(along[p * N + k]), fabs(want), 1e-9, 1, "component", p * N + k);
            }
        }
    }
    double bad[4] = {1, NAN, NAN, 1}, w[2], Y[2] = {1, 0}, work[4];
    assert_int_equal(la_eigh_along(2, bad, w, 1, Y, work, &err), SG_ENONFINITE);
}

/* Columns of X (m,r) made orthonormal, by Gram and Schmidt twice. */
static void orthonormal(sg_rng *rng, double *X, size_t m, size_t r)
{
    fill(rng, X, m * r);
    for (size_t j = 0; j < r; j++)
        for (int twice = 0; twice < 3; twice++) {
            double square = 0;
            for (size_t k = 0; k < j && twice < 2; k++) {
                double part = 0;
                for (size_t i = 0; i < m; i++)
                    part += X[i * r + k] * X[i * r + j];
                for (size_t i = 0; i < m; i++)
                    X[i * r + j] -= part * X[i * r + k];
            }
            for (size_t i = 0; i < m; i++)
                square += X[i * r + j] * X[i * r + j];
            for (size_t i = 0; i < m; i++)
                X[i * r + j] /= sqrt(square);
        }
}

typedef struct {
    int asked, stop;
} stopping;

static bool until(void *ctx, const sg_progress *p)
{
    (void)p;
    stopping *s = ctx;
    return ++s->asked != s->stop;
}

/* Spectra of all kinds: of random numbers (0), of equal values (1), of two that nearly agree (2), falling
 * fast (3), of few directions (4), of one that is alone (5), of nothing (6). */
static double singular(size_t kind, size_t j, size_t r)
{
    const double at = (double)j / (double)r;
    return kind == 1   ? 1
           : kind == 2 ? j == 0   ? 1
                         : j == 1 ? 1 - 1e-6
                                  : 0.9 * (1 - at)
           : kind == 3 ? exp(-20 * at)
           : kind == 4 ? (j < 3) / (1 + at)
           : kind == 5 ? (j == r / 2 ? 1 : 1e-3 * at)
                       : 0;
}

static void largest_is_that_of_the_svd(void **state)
{
    (void)state;
    static const size_t shape[][2] = {{5, 9}, {140, 200}, {200, 140}, {150, 150}};
    sg_rng rng;
    sg_error err;
    sg_rng_seed(&rng, 4, 0);
    for (size_t c = 0; c < 4; c++)
        for (size_t kind = 0; kind < 7; kind++) {
            const size_t m = shape[c][0], n = shape[c][1], r = m < n ? m : n;
            double *A = sg_calloc(m * n, sizeof *A), *copy = sg_calloc(m * n, sizeof *A),
                   *S = sg_calloc(r, sizeof *S), *P = sg_calloc(m * r, sizeof *P),
                   *Q = sg_calloc(n * r, sizeof *Q), *work = sg_calloc(la_largest_work(m, n), sizeof *work),
                   mine = -1;
            ticker watch = ticker_begin(NULL, "", 1);
            if (kind == 0)
                fill(&rng, A, m * n);
            else {
                orthonormal(&rng, P, m, r), orthonormal(&rng, Q, n, r);
                for (size_t i = 0; i < m; i++)
                    for (size_t j = 0; j < r; j++)
                        P[i * r + j] *= singular(kind, j, r);
                la_dgemm(LA_N, LA_T, m, n, r, 1, P, r, Q, r, 0, A, n);
            }
            memcpy(copy, A, m * n * sizeof *A);
            assert_ok(la_largest(&mine, m, n, A, work, &watch, 0, &err), err);
            assert_memory_equal(A, copy, m * n * sizeof *A);
            assert_ok(la_svd(m, n, copy, S, NULL, NULL, &err), err);
            assert_close(mine, S[0], 1e-10, 0, "largest singular value", 7 * c + kind);
            sg_free(A), sg_free(copy), sg_free(S), sg_free(P), sg_free(Q), sg_free(work);
        }
}

/* Within one decomposition: the monitor is asked again and again, and what it says is heard at once. */
static void largest_can_be_stopped(void **state)
{
    (void)state;
    enum { N = 300 };
    sg_rng rng;
    sg_error err;
    double *A = sg_calloc((size_t)N * N, sizeof *A), *work = sg_calloc(la_largest_work(N, N), sizeof *work),
           sigma;
    sg_rng_seed(&rng, 5, 0);
    fill(&rng, A, (size_t)N * N);
    for (int stop = 1; stop < 4; stop++) {
        stopping s = {.stop = stop};
        const sg_monitor monitor = {.tick = until, .ctx = &s};
        ticker watch = ticker_begin(&monitor, "", 0); /* 0 of 0: at each step */
        assert_int_equal(la_largest(&sigma, N, N, A, work, &watch, 0, &err), SG_ECANCELLED);
        assert_int_equal(s.asked, stop);
    }
    sg_free(A), sg_free(work);
}

static void beta_zero_overwrites_nan(void **state)
{
    (void)state;
    float a = 2, b = 3, c = NAN;
    la_sgemm(LA_N, LA_N, 1, 1, 1, 1, &a, 1, &b, 1, 0, &c, 1);
    assert_true(c == 6.0f);
    la_sgemm(LA_N, LA_N, 0, 1, 1, 1, &a, 1, &b, 1, 0, &c, 1);
}

typedef struct {
    pthread_barrier_t inside, outer_left;
    int while_other_is_in, after_other_left;
} overlap;

static void *inner_region(void *argument)
{
    overlap *o = argument;
    la_serial_begin();
    pthread_barrier_wait(&o->inside);
    o->while_other_is_in = openblas_get_num_threads();
    pthread_barrier_wait(&o->outer_left);
    o->after_other_left = openblas_get_num_threads();
    la_serial_end();
    return NULL;
}

/* Two analyses at once: the one that ends first must not give the other a BLAS of several threads. */
static void serial_regions_overlap(void **state)
{
    (void)state;
    overlap o;
    pthread_t thread;
    pthread_barrier_init(&o.inside, NULL, 2);
    pthread_barrier_init(&o.outer_left, NULL, 2);
    int found = openblas_get_num_threads(), openmp = omp_get_max_threads();
    openblas_set_num_threads(2);
    assert_int_equal(openblas_get_num_threads(), 2);
    la_serial_begin();
    la_serial_begin();
    la_serial_end();
    assert_int_equal(openblas_get_num_threads(), 1);
    assert_int_equal(pthread_create(&thread, NULL, inner_region, &o), 0);
    pthread_barrier_wait(&o.inside);
    la_serial_end();
    pthread_barrier_wait(&o.outer_left);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(o.while_other_is_in, 1);
    assert_int_equal(o.after_other_left, 1);
    assert_int_equal(openblas_get_num_threads(), 2);
    assert_int_equal(omp_get_max_threads(), openmp);
    openblas_set_num_threads(found);
    pthread_barrier_destroy(&o.inside);
    pthread_barrier_destroy(&o.outer_left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(svd_reconstructs_with_orthonormal_vectors),
        cmocka_unit_test(eigh_cholesky_and_solve_agree),
        cmocka_unit_test(components_along_eigenvectors_are_those_of_the_vectors),
        cmocka_unit_test(largest_is_that_of_the_svd),
        cmocka_unit_test(largest_can_be_stopped),
        cmocka_unit_test(beta_zero_overwrites_nan),
        cmocka_unit_test(serial_regions_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
