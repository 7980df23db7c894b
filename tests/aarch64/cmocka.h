/* SPDX-License-Identifier: MIT */
/* cmocka.h - the part of cmocka that the tests of tools/aarch64 use: cmocka is not here for that machine. A
 * failed assertion ends its test; tests named in LEAVE_OUT in the environment are not run. */
#ifndef AARCH64_CMOCKA_H
#define AARCH64_CMOCKA_H

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};
#define cmocka_unit_test(f) ((struct CMUnitTest){#f, f})

static jmp_buf test_failed;

#define print_message(...) ((void)printf(__VA_ARGS__))
#define fail_msg(...)                                                                                        \
    do {                                                                                                     \
        printf("%s:%d: ", __FILE__, __LINE__);                                                               \
        printf(__VA_ARGS__);                                                                                 \
        printf("\n");                                                                                        \
        longjmp(test_failed, 1);                                                                             \
    } while (0)
#define assert_true(x)                                                                                       \
    do {                                                                                                     \
        if (!(x))                                                                                            \
            fail_msg("%s", #x);                                                                              \
    } while (0)
#define assert_false(x) assert_true(!(x))
#define assert_null(p) assert_true((p) == NULL)
#define assert_int_equal(a, b)                                                                               \
    do {                                                                                                     \
        long long a_ = (long long)(a), b_ = (long long)(b);                                                  \
        if (a_ != b_)                                                                                        \
            fail_msg("%s: %lld, not %lld", #a, a_, b_);                                                      \
    } while (0)
#define assert_memory_equal(a, b, n) assert_true(memcmp((a), (b), (n)) == 0)

static inline bool left_out(const char *name)
{
    const char *list = getenv("LEAVE_OUT");
    size_t n = strlen(name);
    for (const char *at = list; at && (at = strstr(at, name)); at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
            return true;
    return false;
}

static inline int cmocka_run_group_tests_(const struct CMUnitTest *tests, size_t n)
{
    volatile int failed = 0, passed = 0;
    for (volatile size_t i = 0; i < n; i++)
        if (left_out(tests[i].name)) {
            printf("left out: %s\n", tests[i].name);
        } else if (!setjmp(test_failed)) {
            tests[i].run(NULL);
            passed++;
        } else {
            printf("FAILED: %s\n", tests[i].name);
            failed++;
        }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
#define cmocka_run_group_tests(tests, before, after)                                                         \
    cmocka_run_group_tests_(tests, sizeof(tests) / sizeof *(tests))

#endif
