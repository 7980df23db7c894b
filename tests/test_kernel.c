#include "test_util.h"

#include "kernel/kernel.h"

static const char *const names[] = {"plain", "avx2", "avx512"};

static void functions_agree_with_libm(void **state)
{
    (void)state;
    enum { N = 4001 };
    static float x[N], y[N];
    for (int i = 0; i < N; i++)
        x[i] = (float)(i - N / 2) * 0.04f; /* -80 .. 80 */
    for (size_t k = 0; k < 3; k++) {
        const sg_kernels *kernels = sg_kernels_named(names[k]);
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(functions_agree_with_libm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
