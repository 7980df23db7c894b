/* SPDX-License-Identifier: MIT */
/* Every seed of the import fuzz targets cut short at every byte, with every allocation failing in turn; the
 * numbers of float16; what the pickle interpreter makes of values. The folder of seeds comes with
 * STATEGRAD_SEEDS. */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "import/tensors.h"
#include "io/pickle.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

static const char *const targets[] = {"import_torch_zip", "import_torch_legacy", "import_safetensors",
                                      "import_keras",     "import_onnx",         "import_npz",
                                      "import_keras_zip", "import_tfjs"};
enum { N_TARGETS = sizeof targets / sizeof *targets };

typedef void (*seed_test)(const char *name, const char *data, size_t size);

/* Each file of each folder of seeds; fails when there are none: a test over nothing proves nothing. */
static void for_each_seed(seed_test run)
{
    const char *seeds = getenv("STATEGRAD_SEEDS");
    size_t n = 0;
    assert_non_null(seeds);
    for (size_t i = 0; i < N_TARGETS; i++) {
        char folder[512], path[1024];
        snprintf(folder, sizeof folder, "%s/%s", seeds, targets[i]);
        DIR *d = opendir(folder);
        assert_non_null(d);
        for (struct dirent *e; (e = readdir(d));) {
            char *data;
            size_t size;
            sg_error err;
            if (e->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
            assert_ok(sg_read_file(&data, &size, path, 1 << 20, &err), err);
            run(path, data, size);
            sg_free(data);
            n++;
        }
        closedir(d);
    }
    assert_true(n >= 12);
}

/* data NULL: removes the temporary file at the end. */
static sg_status load_bytes(const char *data, size_t size, sg_error *err)
{
    static const char *const maps[] = {"rnn.kernel_l0=kernel", "rnn.bias_l0=bias"};
    /* a real file: HDF5 wants one; in memory: a busy disk made thousands of them take minutes. Its folder has
     * the shard that seeds of TensorFlow.js name. */
    static char folder[64], path[80], shard[96];
    static int fd = -1;
    sg_model *m = NULL;
    sg_import_config cfg;
    sg_import_defaults(&cfg);
    cfg.numbered_vocabulary = true;
    if (!data) {
        unlink(path);
        unlink(shard);
        rmdir(folder);
        return SG_OK;
    }
    if (fd < 0) {
        static const char zeros[1024];
        snprintf(folder, sizeof folder, "%s/sg_import_XXXXXX",
                 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/model", folder);
        snprintf(shard, sizeof shard, "%s/group1-shard1of1.bin", folder);
        fd = open(shard, O_RDWR | O_CREAT | O_EXCL, 0600);
        assert_true(fd >= 0 && write(fd, zeros, sizeof zeros) == sizeof zeros && close(fd) == 0);
        fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    }
    assert_true(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    cfg.maps = maps;
    cfg.n_maps = size > 100 && memmem(data, size, "kernel.npy", 10) ? 2 : 0;
    err->msg[0] = 0;
    sg_status st = sg_model_load(&m, path, &cfg, NULL, err);
    assert_true((st == SG_OK) == (m != NULL));
    assert_true(st == SG_OK || err->msg[0]);
    assert_null(strchr(err->msg, '\n'));
    sg_model_free(m);
    return st;
}

/* Found by a fuzzer: an error as a whole too (an endless heap; a zip whose decoder bias cannot be unpacked; a
 * bias under a damaged name, which has no role). */
static bool is_damaged(const char *name)
{
    return strstr(name, "/endless-") || strstr(name, "import_torch_zip/name-not-utf8") ||
           strstr(name, "import_torch_legacy/name-not-utf8");
}

/* HDF5 takes its time under the address sanitizer: 40,000 cuts of the Keras seeds were six minutes. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define UNDER_ADDRESS_SANITIZER 1
#endif
#endif
#if defined __SANITIZE_ADDRESS__ || defined UNDER_ADDRESS_SANITIZER
enum { KERAS_STEP = 17 };
#else
enum { KERAS_STEP = 1 };
#endif

static void cut_short(const char *name, const char *data, size_t size)
{
    sg_error err;
    long live = sg_alloc_live();
    bool finding = is_damaged(name);
    if ((load_bytes(data, size, &err) == SG_OK) == finding)
        fail_msg("%s: %s", name, finding ? "loads" : err.msg);
    if (finding)
        return;
    size_t step = strstr(name, "keras_zip") ? 61 /* 14 KiB each, mostly the padding of HDF5 */
                  : strstr(name, "keras")   ? KERAS_STEP
                                            : 1;
    for (size_t n = 0; n < size; n += step)
        if (load_bytes(data, n, &err) == SG_OK) /* what is left off may be padding, never a tensor */
            if (n + 64 < size)
                fail_msg("%s: cut to %zu of %zu bytes it still loads", name, n, size);
    assert_int_equal(sg_alloc_live(), live);
}

/* The address sanitizer keeps freed memory for a while; little of it, so that the limit below means something
 * there too. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=4";
}

/* Largest resident size of this process, in bytes. */
static size_t peak_memory(void)
{
    char line[256];
    size_t kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f) && sscanf(line, "VmHWM: %zu kB", &kib) != 1)
        continue;
    if (f)
        fclose(f);
    assert_true(kib > 0);
    return kib << 10;
}

static void truncation_at_every_byte_is_an_error(void **state)
{
    (void)state;
    const size_t before = peak_memory();
    for_each_seed(cut_short);
    /* the seeds are small: twice their size adds nothing to 64 MiB */
    const size_t grown = peak_memory() - before;
    printf("every seed cut at every byte: %.1f MiB beyond the start\n", (double)grown / (1 << 20));
    assert_true(grown < (size_t)64 << 20);
}

static void starved(const char *name, const char *data, size_t size)
{
    sg_error err;
    long live = sg_alloc_live();
    if (is_damaged(name))
        return;
    for (long n = 0;; n++) {
        sg_alloc_fail_after(n);
        sg_status st = load_bytes(data, size, &err);
        sg_alloc_fail_after(-1);
        if (sg_alloc_live() != live)
            fail_msg("%s: %ld allocations leak when number %ld fails (%s)", name, sg_alloc_live() - live, n,
                     err.msg);
        if (st == SG_OK)
            break;
        if (n == 5000)
            fail_msg("%s: does not load with 5000 allocations: %s", name, err.msg);
    }
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    for_each_seed(starved);
}

static void every_half_is_right(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 1 << 16; h++) {
        unsigned char bytes[2] = {(unsigned char)h, (unsigned char)(h >> 8)};
        int exponent = (int)(h >> 10 & 31), fraction = (int)(h & 1023);
        double want = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        float got;
        dtype_to_float(&got, bytes, DTYPE_F16, 1);
        if (exponent == 31)
            assert_true(fraction ? isnan(got) : isinf(got) && (got < 0) == (h >> 15));
        else
            assert_true(got == (h >> 15 ? -want : want) && !!signbit(got) == (int)(h >> 15));
    }
}

static pickle *read_values(const char *data, size_t size)
{
    pickle *p;
    size_t used;
    sg_error err;
    assert_ok(pickle_read(&p, (const unsigned char *)data, size, &used, NULL, "test", &err), err);
    assert_int_equal(used, size);
    return p;
}

static void pickles_become_inert_values(void **state)
{
    (void)state;
    /* {'a': -2, 'b': (1.5, None)}, then os.system('x') as a third entry, its call only an object */
    static const char data[] = "\x80\x02}q\x00(X\x01\x00\x00\x00"
                               "aJ\xfe\xff\xff\xffX\x01\x00\x00\x00"
                               "bG\x3f\xf8\x00\x00\x00\x00\x00\x00N\x86X\x01\x00\x00\x00"
                               "ccos\nsystem\nX\x01\x00\x00\x00x\x85Ru.";
    pickle *p = read_values(data, sizeof data - 1);
    uint32_t root = pickle_root(p), pair = pickle_get(p, root, "b"), call = pickle_get(p, root, "c");
    assert_int_equal(pickle_kind_of(p, root), PICKLE_DICT);
    assert_int_equal(pickle_int(p, pickle_get(p, root, "a")), -2);
    assert_int_equal(pickle_items(p, pair), 2);
    assert_true(pickle_float(p, pickle_item(p, pair, 0)) == 1.5);
    assert_int_equal(pickle_kind_of(p, pickle_item(p, pair, 1)), PICKLE_NONE);
    assert_int_equal(pickle_kind_of(p, call), PICKLE_OBJECT);
    assert_true(pickle_is_global(p, pickle_item(p, call, PICKLE_CALLEE), "os", "system"));
    assert_false(pickle_is_global(p, pickle_item(p, call, PICKLE_CALLEE), "o", "ssystem"));
    assert_int_equal(pickle_get(p, root, "d"), 0);
    assert_int_equal(pickle_items(p, 0), 0);
    assert_int_equal(pickle_kind_of(p, UINT32_MAX), PICKLE_NONE);
    pickle_free(p);
    /* a list that holds itself, read to any depth one likes */
    p = read_values("\x80\x02]q\x00h\x00"
                    "a.",
                    9);
    uint32_t id = pickle_root(p);
    for (int i = 0; i < 1000; i++)
        id = pickle_item(p, id, 0);
    assert_int_equal(id, pickle_root(p));
    pickle_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_is_right),
        cmocka_unit_test(pickles_become_inert_values),
        cmocka_unit_test(truncation_at_every_byte_is_an_error),
        cmocka_unit_test(every_allocation_can_fail),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)load_bytes(NULL, 0, &(sg_error){0});
    return failed;
}
