/* SPDX-License-Identifier: MIT */
#include "helpers/test_util.h"

#include "base/base_internal.h"

#include <malloc.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void error_is_one_line_and_cut(void **state)
{
    (void)state;
    sg_error err;
    char long_name[4096];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    assert_int_equal(sg_fail(&err, SG_EIO, "a\nb\tc %s", long_name), SG_EIO);
    assert_int_equal(strncmp(err.msg, "a?b?c xxx", 9), 0);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    assert_int_equal(sg_fail(NULL, SG_EINVAL, "nobody listens"), SG_EINVAL);
}

static void allocation_checks_overflow_and_can_fail(void **state)
{
    (void)state;
    assert_null(sg_calloc(SIZE_MAX / 2, 4));
    long live = sg_alloc_live();
    sg_alloc_fail_after(1);
    void *p = sg_calloc(3, 8), *q = sg_calloc(1, 1);
    sg_alloc_fail_after(-1);
    assert_non_null(p);
    assert_null(q);
    assert_int_equal(sg_alloc_live(), live + 1);
    p = sg_regrow(p, 3, 5, 8);
    assert_int_equal(((uint64_t *)p)[4], 0);
    sg_free(p);
    assert_int_equal(sg_alloc_live(), live);
}

/* Large blocks, on memory that was used before, at sizes that are no whole number of pages. */
static void large_blocks_are_zeros(void **state)
{
    (void)state;
    const size_t sizes[] = {((size_t)1 << 26) - 64, (size_t)1 << 26, ((size_t)1 << 26) + 64,
                            ((size_t)70 << 20) + 8128};
    mallopt(M_MMAP_MAX, 0); /* from the heap, which keeps what is freed */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        void *before = sg_calloc(3 + k, 64); /* moves the next block against the pages */
        for (int turn = 0; turn < 2; turn++) {
            unsigned char *p = sg_calloc(sizes[k], 1);
            size_t used = 0;
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 64, 0);
            for (size_t i = 0; i < sizes[k]; i++)
                used += p[i] != 0;
            assert_int_equal(used, 0);
            memset(p, 0xff, sizes[k]);
            sg_free(p);
        }
        sg_free(before);
    }
    mallopt(M_MMAP_MAX, 65536);
}

static void arena_is_bounded(void **state)
{
    (void)state;
    sg_arena a;
    sg_error err;
    assert_ok(sg_arena_init(&a, 256, &err), err);
    assert_non_null(sg_arena_take(&a, 10, 4));
    assert_non_null(sg_arena_take(&a, 48, 4));
    assert_null(sg_arena_take(&a, 1, 1));
    assert_null(sg_arena_take(&a, SIZE_MAX, 2));
    sg_arena_free(&a);
}

static void rng_repeats_and_is_fair(void **state)
{
    (void)state;
    sg_rng a, b, c;
    sg_rng_seed(&a, 7, 0);
    sg_rng_seed(&b, 7, 0);
    for (uint64_t stream = 1; stream < 5;
         stream++) { /* streams of a seed, and seeds, are apart from the start */
        sg_rng_seed(&c, 7, stream);
        uint64_t first = sg_rng_next(&c);
        sg_rng_seed(&c, 7, 0);
        assert_true(first != sg_rng_next(&c));
        sg_rng_seed(&c, 7 + stream, 0);
        assert_true(first != sg_rng_next(&c));
    }
    sg_rng_seed(&c, 7, 1);
    bool differs = false;
    double sum = 0, square = 0, normal = 0, normal2 = 0;
    enum { N = 100000 };
    for (int i = 0; i < N; i++) {
        uint64_t x = sg_rng_next(&a);
        assert_int_equal(x, sg_rng_next(&b));
        differs |= x != sg_rng_next(&c);
        double u = sg_rng_uniform(&a), z = sg_rng_normal(&b);
        (void)sg_rng_next(&b), (void)sg_rng_next(&a), (void)sg_rng_next(&a);
        (void)sg_rng_next(&b);
        assert_true(u >= 0 && u < 1);
        sum += u, square += u * u, normal += z, normal2 += z * z;
        a = b;
    }
    assert_true(differs);
    /* five standard errors */
    assert_true(fabs(sum / N - 0.5) < 5 * sqrt(1 / 12.0 / N));
    assert_true(fabs(square / N - 1 / 3.0) < 5 * sqrt(4 / 45.0 / N));
    assert_true(fabs(normal / N) < 5 * sqrt(1.0 / N));
    assert_true(fabs(normal2 / N - 1) < 5 * sqrt(2.0 / N));
    int count[3] = {0};
    for (int i = 0; i < 30000; i++)
        count[sg_rng_below(&a, 3)]++;
    for (int k = 0; k < 3; k++)
        assert_true(abs(count[k] - 10000) < 5 * 82);
}

static void sha256_of_abc(void **state)
{
    (void)state;
    sg_sha256 *h;
    sg_error err;
    char hex[65];
    assert_ok(sg_sha256_new(&h, &err), err);
    sg_sha256_add(h, "a", 1);
    sg_sha256_add(h, "bc", 2);
    sg_sha256_hex(h, hex);
    assert_string_equal(hex,
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); /* FIPS 180-2 */
    sg_sha256_free(h);
}

static void output_appears_whole_or_not_at_all(void **state)
{
    (void)state;
    char folder[] = "/tmp/sg_base_XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/out", folder);
    sg_outfile *o;
    sg_error err;
    assert_ok(sg_outfile_open(&o, path, &err), err);
    fputs("new", sg_outfile_stream(o));
    assert_int_not_equal(access(path, F_OK), 0);
    sg_outfile_abort(o);
    assert_int_equal(rmdir(folder), 0); /* nothing was left */
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_ok(sg_outfile_open(&o, path, &err), err);
    fputs("new", sg_outfile_stream(o));
    assert_ok(sg_outfile_commit(o, &err), err);
    char *text;
    size_t size;
    assert_ok(sg_read_file(&text, &size, path, 100, &err), err);
    assert_string_equal(text, "new");
    sg_free(text);
    assert_int_equal(sg_read_file(&text, &size, path, 2, &err), SG_EFORMAT);
    assert_null(text);
    assert_int_equal(sg_outfile_open(&o, folder, &err), SG_EIO);
    assert_non_null(strstr(err.msg, folder));
    assert_int_equal(sg_outfile_open(&o, "/nonexistent/x", &err), SG_EIO);
    assert_int_equal(sg_text_write("/nonexistent/x", "text", &err), SG_EIO);
    assert_ok(sg_text_write(path, "a %s\n", &err), err);
    assert_ok(sg_read_file(&text, &size, path, 100, &err), err);
    assert_string_equal(text, "a %s\n");
    sg_free(text);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

static void output_keeps_permissions_and_clears_leftovers(void **state)
{
    (void)state;
    char folder[] = "/tmp/sg_base_XXXXXX", path[300], left[300];
    struct stat info;
    sg_outfile *o, *other;
    sg_error err;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/%0255d", folder, 7); /* the longest name */
    mode_t mask = umask(027);
    assert_ok(sg_outfile_open(&o, path, &err), err);
    assert_ok(sg_outfile_commit(o, &err), err);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
    umask(mask);
    assert_int_equal(chmod(path, 0604), 0);

    /* A killed writer: its file stays, its lock does not. A living one's is left alone. */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(sg_outfile_open(&o, path, NULL) != SG_OK);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_ok(sg_outfile_open(&o, path, &err), err);
    assert_ok(sg_outfile_open(&other, path, &err), err);
    snprintf(left, sizeof left, "%s", sg_outfile_temp_path(o));
    fputs("one", sg_outfile_stream(o));
    fputs("other", sg_outfile_stream(other));
    assert_int_equal(access(left, F_OK), 0);
    assert_ok(sg_outfile_commit(other, &err), err);
    assert_ok(sg_outfile_commit(o, &err), err);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, 3);
    assert_int_equal(info.st_mode & 0777, 0604);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing was left */
    assert_int_equal(sg_outfile_open(&o, "", &err), SG_EIO);
    assert_int_equal(sg_outfile_open(&o, "folder/", &err), SG_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_is_one_line_and_cut),
        cmocka_unit_test(allocation_checks_overflow_and_can_fail),
        cmocka_unit_test(large_blocks_are_zeros),
        cmocka_unit_test(arena_is_bounded),
        cmocka_unit_test(rng_repeats_and_is_fair),
        cmocka_unit_test(sha256_of_abc),
        cmocka_unit_test(output_appears_whole_or_not_at_all),
        cmocka_unit_test(output_keeps_permissions_and_clears_leftovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
