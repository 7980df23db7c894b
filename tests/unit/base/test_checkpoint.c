/* SPDX-License-Identifier: MIT */
/* The frame of checkpoints: a damaged one is never read, its predecessor is; another work's is refused. */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "base/checkpoint.h"

#include <unistd.h>

static const char *const identity = "work=a\nseed=1\n";

static sg_status put(void *ctx, FILE *f, const char *path, sg_error *err)
{
    return checkpoint_put(f, ctx, sizeof(uint64_t), path, err);
}

static sg_status get(void *ctx, FILE *f, const char *path, sg_error *err)
{
    return checkpoint_get(f, ctx, sizeof(uint64_t), path, err);
}

typedef struct {
    char text[1024];
} warning;

static void warn(void *ctx, const char *line)
{
    snprintf(((warning *)ctx)->text, sizeof((warning *)ctx)->text, "%s", line);
}

static sg_status load(const char *path, const char *of, uint64_t *x, bool *found, warning *w, sg_error *err)
{
    const sg_monitor monitor = {NULL, warn, w};
    w->text[0] = 0;
    return checkpoint_load(path, of, get, x, NULL, found, &monitor, err);
}

static void save(const char *path, uint64_t x)
{
    sg_error err;
    assert_ok(checkpoint_save(path, identity, put, &x, &err), err);
}

static size_t read_all(const char *path, char *bytes, size_t size)
{
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(bytes, 1, size, f) : 0;
    assert_non_null(f);
    fclose(f);
    return n;
}

static void write_all(const char *path, const char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void damage_and_predecessors(void **state)
{
    (void)state;
    char folder[] = "/tmp/sg_checkpoint_XXXXXX", path[64], bytes[256] = "";
    sg_error err;
    uint64_t x = 0;
    bool found;
    warning w;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/c", folder);
    assert_ok(load(path, identity, &x, &found, &w, &err), err);
    assert_false(found);
    save(path, 1), save(path, 2);
    assert_ok(load(path, identity, &x, &found, &w, &err), err);
    assert_true(found && x == 2 && !w.text[0]);

    /* other work, by its own name and value */
    assert_int_equal(load(path, "work=a\nseed=7\n", &x, &found, &w, &err), SG_EINVAL);
    assert_non_null(strstr(err.msg, "seed=1 there, seed=7 now"));

    /* any byte changed, any end cut off, a byte more: the predecessor */
    const size_t n = read_all(path, bytes, sizeof bytes);
    assert_in_range(n, 8 + 8 + strlen(identity) + 8 + 1, sizeof bytes - 1);
    for (size_t i = 0; i < 2 * n + 1; i++) {
        bytes[i % n] ^= (char)(i < n ? 0x10 : 0);
        write_all(path, bytes, i < n ? n : i < 2 * n ? i - n : n + 1);
        bytes[i % n] ^= (char)(i < n ? 0x10 : 0);
        x = 0;
        if (load(path, identity, &x, &found, &w, &err) != SG_OK || !found || x != 1)
            fail_msg("damage %zu: read %llu, %s", i, (unsigned long long)x, err.msg);
        assert_non_null(strstr(w.text, "continuing from its predecessor"));
    }

    /* without one: from the beginning, and said */
    char previous[80];
    snprintf(previous, sizeof previous, "%s.previous", path);
    assert_int_equal(unlink(previous), 0);
    write_all(path, bytes, n - 1);
    assert_ok(load(path, identity, &x, &found, &w, &err), err);
    assert_false(found);
    assert_non_null(strstr(w.text, "starting from the beginning"));
    checkpoint_remove(path);
    assert_int_equal(rmdir(folder), 0);
}

static void a_claim_is_exclusive(void **state)
{
    (void)state;
    char folder[] = "/tmp/sg_checkpoint_XXXXXX", path[64], kept[16];
    sg_error err;
    checkpoint_claim *one = NULL, *two = NULL;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/c", folder);
    assert_ok(checkpoint_claim_new(&one, path, &err), err);
    assert_int_equal(checkpoint_claim_new(&two, path, &err), SG_EIO);
    assert_null(two);
    checkpoint_claim_free(one);
    assert_ok(checkpoint_claim_new(&two, path, &err), err);
    checkpoint_claim_free(two);

    /* a file of another kind is refused and left as it is */
    write_all(path, "my notes", 8);
    assert_int_equal(checkpoint_claim_new(&one, path, &err), SG_EFORMAT);
    assert_int_equal(read_all(path, kept, sizeof kept), 8);
    assert_memory_equal(kept, "my notes", 8);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0); /* the lock is gone too */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_and_predecessors),
        cmocka_unit_test(a_claim_is_exclusive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
