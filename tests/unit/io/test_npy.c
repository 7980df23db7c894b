/* SPDX-License-Identifier: MIT */
/* Rows of NumPy files, written here byte by byte. */
#include "helpers/corpus_util.h"

#include "io/npy_rows.h"

enum { ROWS = 3, COLUMNS = 2, HEADER = 128 };

/* A file of version 1.0 with this dict, and n bytes of numbers behind it. */
static const char *write_file(const char *dict, const void *numbers, size_t n)
{
    static char bytes[HEADER + 4096];
    memset(bytes, ' ', HEADER);
    memcpy(bytes, "\x93NUMPY\x01\x00\x76\x00", 10);
    memcpy(bytes + 10, dict, strlen(dict));
    bytes[HEADER - 1] = '\n';
    memcpy(bytes + HEADER, numbers, n);
    return write_bytes(&tmp, "rows.npy", bytes, HEADER + n);
}

static const double want[ROWS * COLUMNS] = {0.5, -2, 1024, 0, 0.25, -0.125};

/* float16 of a number that it holds exactly: sign, exponent + 15, ten bits. */
static uint16_t half(double x)
{
    int e;
    if (x == 0)
        return 0;
    const double m = frexp(fabs(x), &e);
    return (uint16_t)((x < 0 ? 0x8000 : 0) | (e - 1 + 15) << 10 | (int)((2 * m - 1) * 1024));
}

static void all_widths_give_the_same_rows(void **state)
{
    float f4[ROWS * COLUMNS], got[ROWS * COLUMNS];
    uint16_t f2[ROWS * COLUMNS];
    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        f4[i] = (float)want[i], f2[i] = half(want[i]);
    const struct {
        const char *type;
        const void *numbers;
        size_t size;
    } of[] = {{"<f4", f4, sizeof f4}, {"<f8", want, sizeof want}, {"<f2", f2, sizeof f2}};
    for (size_t k = 0; k < 3; k++) {
        char dict[100];
        sg_error err = {""};
        rows_file *f;
        snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': (3, 2), }", of[k].type);
        assert_ok(rows_open(&f, write_file(dict, of[k].numbers, of[k].size), &err), err);
        assert_true(rows_count(f) == ROWS && rows_columns(f) == COLUMNS);
        assert_ok(rows_read(f, 0, ROWS, got, &err), err);
        for (size_t i = 0; i < ROWS * COLUMNS; i++)
            assert_close(got[i], want[i], 0, 0, of[k].type, i);
        assert_ok(rows_read(f, 1, 1, got, &err), err);
        assert_true(got[0] == 1024 && got[1] == 0);
        rows_close(f);
    }
}

static void a_vector_is_one_row_and_memory_is_a_file(void **state)
{
    sg_error err = {""};
    rows_file *f;
    float x[ROWS * COLUMNS], got[ROWS * COLUMNS];
    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        x[i] = (float)want[i];
    assert_ok(
        rows_open(&f,
                  write_file("{'descr': '<f8', 'fortran_order': False, 'shape': (6,), }", want, sizeof want),
                  &err),
        err);
    assert_true(rows_count(f) == 1 && rows_columns(f) == 6);
    rows_close(f);
    assert_ok(rows_open_memory(&f, "x", x, ROWS, COLUMNS, &err), err);
    assert_ok(rows_read(f, 0, ROWS, got, &err), err);
    assert_memory_equal(got, x, sizeof x);
    x[3] = NAN;
    assert_int_equal(rows_read(f, 0, ROWS, got, &err), SG_ENONFINITE);
    assert_true(strstr(err.msg, "x") && strstr(err.msg, "1"));
    rows_close(f);
}

static void what_is_not_read_is_refused(void **state)
{
    static const char *const dicts[][2] = {
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }", "Fortran"},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (3, 2), }", "floating-point"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (3, 2), }", ""},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (3, 2), }", ""},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2, 1), }", "3 dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "0 dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2), }", "not empty"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 2), }", "3 of 4 rows"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999999999, 2), }", ""},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 2), }", ""},
        {"{'fortran_order': False, 'shape': (3, 2), }", ""},
    };
    const float x[ROWS * COLUMNS] = {0};
    for (size_t i = 0; i < sizeof dicts / sizeof *dicts; i++) {
        sg_error err = {""};
        rows_file *f;
        if (rows_open(&f, write_file(dicts[i][0], x, sizeof x), &err) != SG_EFORMAT)
            fail_msg("%s: taken", dicts[i][0]);
        assert_null(f);
        if (!strstr(err.msg, dicts[i][1]) || !strstr(err.msg, "rows.npy"))
            fail_msg("%s: %s", dicts[i][0], err.msg);
    }
}

/* Cut short at any byte: refused, never read beyond. */
static void every_truncation(void **state)
{
    char bytes[HEADER + sizeof want];
    FILE *in = fopen(
        write_file("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }", want, sizeof want), "rb");
    assert_int_equal(fread(bytes, 1, sizeof bytes, in), sizeof bytes);
    fclose(in);
    for (size_t n = 0; n < sizeof bytes; n++) {
        sg_error err = {""};
        rows_file *f;
        if (rows_open(&f, write_bytes(&tmp, "cut.npy", bytes, n), &err) != SG_EFORMAT)
            fail_msg("%zu bytes: taken", n);
        assert_null(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_widths_give_the_same_rows),
        cmocka_unit_test(a_vector_is_one_row_and_memory_is_a_file),
        cmocka_unit_test(what_is_not_read_is_refused),
        cmocka_unit_test(every_truncation),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
