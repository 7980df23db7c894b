/* SPDX-License-Identifier: MIT */
/* Sums per block on disk: every record is its own, whatever the order of writing; the file's checksum, its
 * end, its copy in memory against a plain array. */
#include "helpers/corpus_util.h"

#include "analysis/block_sums.h"

#include <zlib.h>

enum { B = 3, G = 2, C = 2, D = 4, E = 3, PACKED = E * (E + 1) / 2 };
static const size_t units[G] = {2, 5};

static float value(size_t b, size_t g, size_t c, size_t d, size_t i, bool moment)
{
    return (float)(((((b * 7 + g) * 7 + c) * 7 + d) * 31 + i) * 2 + moment) / 8;
}

static void fill(float *sum, float *moment, size_t b, size_t g, size_t c, size_t d)
{
    for (size_t i = 0; i < units[g] * E; i++)
        sum[i] = value(b, g, c, d, i, false);
    for (size_t i = 0; i < PACKED; i++)
        moment[i] = value(b, g, c, d, i, true);
}

static const sums_shape shape = {B, G, C, D, E, units, true};

static block_sums *filled(const char *keep)
{
    sg_error err = {""};
    block_sums *s;
    char beside[600];
    float sum[5 * E], moment[PACKED];
    snprintf(beside, sizeof beside, "%s/run.nc", tmp.folder);
    assert_ok(sums_new(&s, &shape, beside, keep, &err), err);
    for (size_t k = 0; k < B * G * C * D;
         k++) { /* 5 and 48 have no common factor: every record, out of order */
        size_t r = k * 5 % (B * G * C * D), d = r % D, c = r / D % C, g = r / D / C % G, b = r / D / C / G;
        fill(sum, moment, b, g, c, d);
        assert_ok(sums_put(s, b, g, c, d, sum, moment, &err), err);
    }
    return s;
}

static void assert_holds_all(const block_sums *s)
{
    sg_error err = {""};
    float sum[5 * E], moment[PACKED], want[5 * E], want_moment[PACKED];
    for (size_t b = 0; b < B; b++)
        for (size_t g = 0; g < G; g++)
            for (size_t c = 0; c < C; c++)
                for (size_t d = 0; d < D; d++) {
                    fill(want, want_moment, b, g, c, d);
                    assert_ok(sums_get(s, b, g, c, d, sum, NULL, &err), err);
                    assert_ok(sums_get(s, b, g, c, d, NULL, moment, &err), err);
                    assert_memory_equal(sum, want, units[g] * E * sizeof *sum);
                    assert_memory_equal(moment, want_moment, sizeof moment);
                }
}

static void every_record_is_its_own(void **state)
{
    (void)state;
    block_sums *s = filled(NULL);
    assert_holds_all(s);
    for (size_t b = 0; b < B; b++)
        for (size_t c = 0; c < C; c++)
            for (size_t d = 0; d < D; d++)
                sums_weight_at(s, b, c, d)->weight = value(b, 0, c, d, 0, false);
    for (size_t b = 0; b < B; b++)
        for (size_t c = 0; c < C; c++)
            for (size_t d = 0; d < D; d++)
                assert_true(sums_weight_at(s, b, c, d)->weight == (double)value(b, 0, c, d, 0, false));
    sums_free(s);
}

static void the_kept_file_is_what_is_hashed(void **state)
{
    (void)state;
    sg_error err = {""};
    char keep[600];
    snprintf(keep, sizeof keep, "%s/kept", tmp.folder);
    block_sums *s = filled(keep);
    assert_ok(sums_sync(s, &err), err);
    char *bytes;
    size_t n, block = sums_bytes_per_block(&shape);
    assert_ok(sg_read_file(&bytes, &n, keep, 1 << 20, &err), err);
    assert_int_equal(block, C * D * ((2 + 5) * E + G * PACKED) * sizeof(float));
    const size_t head = 8; /* what tells our scratch files from others */
    assert_int_equal(n, head + B * block);
    assert_memory_equal(bytes, "SGBLOCKS", head);
    for (size_t b = 0; b < B; b++) {
        uint32_t crc;
        assert_ok(sums_crc(s, b, &crc, &err), err);
        assert_int_equal(crc, crc32(0, (const unsigned char *)bytes + head + b * block, (uInt)block));
    }
    sg_free(bytes);
    sums_free(s);
    assert_ok(sums_new(&s, &shape, "unused", keep, &err), err); /* opened again */
    assert_holds_all(s);
    float sum[5 * E];
    assert_int_equal(truncate(keep, (off_t)(head + B * block - 4)), 0);
    assert_int_equal(sums_get(s, B - 1, G - 1, C - 1, D - 1, sum, NULL, &err), SG_OK); /* the moment is cut */
    assert_int_equal(sums_get(s, B - 1, G - 1, C - 1, D - 1, NULL, sum, &err), SG_EIO);
    assert_non_null(strstr(err.msg, keep));
    sums_free(s);
    assert_int_equal(sums_new(&s, &shape, "/nowhere/run.nc", NULL, &err), SG_EIO);
    assert_null(s);
}

static void packed_moments_come_back_symmetric(void **state)
{
    (void)state;
    double full[E * E], back[E * E];
    float packed[PACKED];
    for (size_t i = 0; i < E; i++)
        for (size_t j = 0; j < E; j++)
            full[i * E + j] = (double)((i + 1) * (j + 1)) + 0.5 * (double)(i + j);
    assert_int_equal(sums_packed(E), PACKED);
    sums_pack(E, full, packed);
    sums_unpack(E, packed, back);
    assert_memory_equal(full, back, sizeof full);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    long live = sg_alloc_live();
    for (long n = 0;; n++) {
        sg_error err = {""};
        block_sums *s = (void *)1;
        char beside[600];
        snprintf(beside, sizeof beside, "%s/run.nc", tmp.folder);
        sg_alloc_fail_after(n);
        sg_status st = sums_new(&s, &shape, beside, NULL, &err);
        sg_alloc_fail_after(-1);
        if (st == SG_OK) {
            sums_free(s);
            assert_true(n > 5);
            break;
        }
        assert_int_equal(st, SG_ENOMEM);
        assert_null(s);
        assert_int_equal(sg_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_is_its_own),
        cmocka_unit_test(the_kept_file_is_what_is_hashed),
        cmocka_unit_test(packed_moments_come_back_symmetric),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
