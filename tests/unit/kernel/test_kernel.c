/* SPDX-License-Identifier: MIT */
#include "helpers/test_util.h"

#include "kernel/float_env.h"
#include "kernel/kernel.h"

#include <float.h>

static const char *const names[] = {"plain", "avx2", "avx512"};

static void functions_agree_with_libm(void **state)
{
    (void)state;
    enum { N = 4001 };
    static float x[N], y[N];
    for (int i = 0; i < N; i++)
        x[i] = (float)(i - N / 2) * 0.04f; /* -80 .. 80 */
    for (size_t k = 0; k < 3; k++) {
        const sg_kernels *kernels = kernels_named(names[k]);
        if (!kernels) {
            print_message("skipped: no %s on this machine\n", names[k]);
            continue;
        }
        kernels->exp(N, x, y);
        for (size_t i = 0; i < N; i++)
            assert_close(y[i], exp((double)x[i]), 2e-7, 0, "exp", i);
        kernels->sigmoid(N, x, y);
        for (size_t i = 0; i < N; i++)
            assert_close(y[i], 1 / (1 + exp(-(double)x[i])), 2e-7, 0, "sigmoid", i);
        kernels->tanh(N, x, y);
        for (size_t i = 0; i < N; i++)
            assert_close(y[i], tanh((double)x[i]), 2e-7, 0, "tanh", i);
        float extreme[] = {-1e30f, 1e30f, 0}, out[3];
        kernels->sigmoid(3, extreme, out);
        assert_true(out[0] >= 0 && out[0] < 1e-37f && out[1] == 1 && out[2] == 0.5f);
        kernels->tanh(3, extreme, out);
        assert_true(out[0] == -1 && out[1] == 1 && out[2] == 0);
        float nan = NAN;
        kernels->tanh(1, &nan, out);
        assert_true(isnan(out[0]));
        kernels->sigmoid(1, &nan, out);
        assert_true(isnan(out[0]));
    }
}

/* Products against sums in double: every width and height of a tile, both layouts of A and B, added or
 * not. */
static void products_agree_with_naive_sums(void **state)
{
    (void)state;
    static const size_t shape[][3] = {{1, 1, 1},     {13, 33, 5},   {12, 32, 16},
                                      {27, 70, 300}, {5, 100, 900}, {60, 17, 40}};
    uint32_t seed = 1;
    for (size_t q = 0; q < 3; q++) {
        const sg_kernels *kernels = kernels_named(names[q]);
        if (!kernels) {
            print_message("skipped: no %s on this machine\n", names[q]);
            continue;
        }
        const sg_product_kernels *k = kernels->product;
        for (size_t c = 0; c < 4 * sizeof shape / sizeof *shape; c++) {
            size_t m = shape[c / 4][0], n = shape[c / 4][1], K = shape[c / 4][2], ta = c & 1, tb = c >> 1 & 1;
            float *A = calloc(m * K, sizeof *A), *B = calloc(K * n, sizeof *B),
                  *C = calloc(m * (n + 3), sizeof *C);
            float *packed = aligned_alloc(64, packed_size(K, n) * sizeof *packed);
            for (size_t i = 0; i < m * K; i++)
                A[i] = (float)((seed = seed * 1664525 + 1013904223) >> 8) * 0x1p-24f - 0.5f;
            for (size_t i = 0; i < K * n; i++)
                B[i] = (float)((seed = seed * 1664525 + 1013904223) >> 8) * 0x1p-24f - 0.5f;
            for (size_t i = 0; i < m * (n + 3); i++)
                C[i] = NAN; /* overwritten where it belongs to C, nowhere else */
            k->pack(K, n, B, tb ? 1 : n, tb ? K : 1, packed);
            for (int add = 0; add < 2; add++) {
                k->multiply(m, n, K, A, ta ? 1 : K, ta ? m : 1, packed, K, C, n + 3, add);
                for (size_t i = 0; i < m; i++)
                    for (size_t j = 0; j < n + 3; j++) {
                        double sum = 0;
                        for (size_t p = 0; j < n && p < K; p++)
                            sum +=
                                (double)A[ta ? p * m + i : i * K + p] * (double)B[tb ? j * K + p : p * n + j];
                        if (j < n)
                            assert_close(C[i * (n + 3) + j], (1 + add) * sum, 1e-6, sqrt((double)K), names[q],
                                         i * n + j);
                        else
                            assert_true(isnan(C[i * (n + 3) + j]));
                    }
            }
            free(A), free(B), free(C), free(packed);
        }
    }
}

/* Between begin and end what would be denormal is zero, as a result and as an operand, in scalars and in
 * vectors; after the end it is not. */
static void denormals_are_flushed_between_begin_and_end(void **state)
{
    (void)state;
    enum { N = 64 };
    const sg_product_kernels *k = kernels_best()->product;
    volatile float least = FLT_MIN, half = 0.5f, denormal = FLT_MIN / 2, many = 1e30f;
    float x[N], y[N], z[N];
    for (size_t i = 0; i < N; i++)
        x[i] = FLT_MIN, y[i] = z[i] = 0;
    sg_float_env before = float_env_now(), old = float_env_begin();
    volatile float result = least * half, operand = denormal * many;
    k->axpy(N, half, x, y);
    float_env_end(old);
    volatile float kept = least * half, used = denormal * many;
    k->axpy(N, half, x, z);
    assert_true(float_env_now() == before);
    assert_true(kept == FLT_MIN / 2 && used > 0);
#if defined(__SSE2__) || defined(__aarch64__)
    assert_true(result == 0 && operand == 0);
#endif
    for (size_t i = 0; i < N; i++) {
        assert_true(z[i] == FLT_MIN / 2);
#if defined(__SSE2__) || defined(__aarch64__)
        assert_true(y[i] == 0);
#endif
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(products_agree_with_naive_sums),
                                       cmocka_unit_test(denormals_are_flushed_between_begin_and_end),
                                       cmocka_unit_test(functions_agree_with_libm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
