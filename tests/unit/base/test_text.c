/* SPDX-License-Identifier: MIT */
/* Texts: UTF-8 against an encoder of its own over all code points, tables of strings, fields of a table. */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "base/csv_out.h"
#include "base/string_table.h"
#include "base/utf8.h"

/* ---- UTF-8 ---- */

/* RFC 3629, without its exclusion of surrogates and of what lies above 0x10ffff. */
static size_t encode(unsigned c, unsigned char out[4])
{
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    const size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (unsigned char)(0x80 | (c & 0x3f));
    out[0] = (unsigned char)(lead[n] | c);
    return n;
}

/* Python: [c for c in range(0x110000) if chr(c).isspace()] */
static const unsigned spaces[] = {0x9,    0xa,    0xb,    0xc,    0xd,    0x1c,   0x1d,   0x1e,
                                  0x1f,   0x20,   0x85,   0xa0,   0x1680, 0x2000, 0x2001, 0x2002,
                                  0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a,
                                  0x2028, 0x2029, 0x202f, 0x205f, 0x3000};

static void every_code_point(void **state)
{
    (void)state;
    size_t n_spaces = 0;
    for (unsigned c = 1; c < 0x120000; c++) {
        unsigned char s[5] = {0};
        const size_t n = encode(c, s);
        const bool valid = c < 0x110000 && (c < 0xd800 || c > 0xdfff);
        assert_int_equal(utf8_length(s, n), valid ? n : 0);
        assert_int_equal(utf8_valid_prefix((const char *)s, n), valid ? n : 0);
        for (size_t cut = 1; cut < n; cut++)
            assert_int_equal(utf8_length(s, cut), 0);
        if (!valid)
            continue;
        const bool space = n_spaces < sizeof spaces / sizeof *spaces && spaces[n_spaces] == c;
        assert_int_equal(utf8_space(s, n), space ? n : 0);
        n_spaces += space;
    }
    assert_int_equal(n_spaces, sizeof spaces / sizeof *spaces);
}

static void what_is_not_utf8(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf5\x80\x80\x80",
        "\xff", "\xc3(",    "\xe2\x82("};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[16];
        assert_int_equal(utf8_length((const unsigned char *)wrong[i], strlen(wrong[i])), 0);
        snprintf(text, sizeof text, "ab%s", wrong[i]);
        assert_int_equal(utf8_valid_prefix(text, strlen(text)), 2);
    }
}

static void lower_case_and_excerpts(void **state)
{
    (void)state;
    const char *text = "A\xc3\x84 \xce\xa3 \xc8\xba z"; /* A, A with dots, Sigma, A with a stroke (3 bytes) */
    char out[64], buffer[64], long_text[200];
    const size_t n = utf8_lower(text, strlen(text), out);
    assert_string_equal(out, "a\xc3\xa4 \xcf\x83 \xe2\xb1\xa5 z");
    assert_int_equal(n, strlen(out));
    assert_string_equal(text_excerpt(buffer, "short", 5), "short");
    for (size_t i = 0; i < 100; i++)
        memcpy(long_text + 2 * i, "\xc3\xa4", 2);
    text_excerpt(buffer, long_text, sizeof long_text);
    const size_t kept = strlen(buffer) - 3;
    assert_string_equal(buffer + kept, "...");
    assert_int_equal(utf8_valid_prefix(buffer, kept), kept); /* no character is cut */
    assert_memory_equal(buffer, long_text, kept);
}

/* ---- tables of strings ---- */

enum { STRINGS = 5000 };

/* Any bytes, NUL among them. */
static size_t string_of(size_t i, char out[16])
{
    memset(out, 0, 16);
    memcpy(out, &i, sizeof i);
    return 2 + i % 7;
}

static void strings_have_numbers_in_order(void **state)
{
    (void)state;
    sg_error err;
    string_table *t;
    char s[16];
    int32_t id;
    bool added;
    assert_ok(string_table_new(&t, &err), err);
    for (size_t round = 0; round < 2; round++)
        for (size_t i = 0; i < STRINGS; i++) {
            const size_t n = string_of(i, s);
            assert_int_equal(string_table_find(t, s, n), round ? (int)i : -1);
            assert_ok(string_table_add(t, s, n, &id, &added, &err), err);
            assert_int_equal(id, i);
            assert_int_equal(added, round == 0);
        }
    assert_int_equal(string_table_count(t), STRINGS);
    for (size_t i = 0; i < STRINGS; i++) {
        size_t n, want = string_of(i, s);
        const char *got = string_table_get(t, i, &n);
        assert_int_equal(n, want);
        assert_memory_equal(got, s, n);
        assert_int_equal(got[n], 0);
        assert_int_equal(string_table_find(t, s, want + 1), -1); /* one byte more is another string */
    }
    assert_ok(string_table_add(t, "", 0, &id, NULL, &err), err);
    assert_int_equal(id, STRINGS);
    string_table_free(t);
}

/* Whatever allocation fails, the table has what it had. */
static void a_failed_entry_changes_nothing(void **state)
{
    (void)state;
    sg_error err;
    const long live = sg_alloc_live();
    string_table *t;
    char s[16];
    int32_t id;
    size_t failures = 0;
    sg_alloc_fail_after(0);
    assert_int_equal(string_table_new(&t, &err), SG_ENOMEM);
    assert_null(t);
    sg_alloc_fail_after(-1);
    assert_ok(string_table_new(&t, &err), err);
    for (size_t i = 0; i < STRINGS; i++) {
        const size_t n = string_of(i, s);
        sg_status st = SG_ENOMEM;
        for (long after = 0; st == SG_ENOMEM; after++) {
            sg_alloc_fail_after(after);
            st = string_table_add(t, s, n, &id, NULL, &err);
            sg_alloc_fail_after(-1);
            assert_true(st == SG_OK || st == SG_ENOMEM);
            assert_int_equal(string_table_count(t), i + (st == SG_OK));
            assert_int_equal(string_table_find(t, s, n), st == SG_OK ? (int)i : -1);
            failures += st == SG_ENOMEM;
        }
    }
    assert_true(failures > 5);
    string_table_free(t);
    assert_int_equal(sg_alloc_live(), live);
}

/* ---- fields of a table ---- */

static void fields_of_a_table(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool spreadsheet;
        const char *field;
    } of[] = {{"plain", false, "plain"},
              {"", true, ""},
              {"a,b", false, "\"a,b\""},
              {"say \"no\"", false, "\"say \"\"no\"\"\""},
              {"two\nlines", false, "\"two\nlines\""},
              {"=1+1", false, "=1+1"},
              {"=1+1", true, "'=1+1"},
              {"-a,b", true, "\"'-a,b\""},
              {"a=b", true, "a=b"}};
    char out[64];
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        FILE *f = fmemopen(out, sizeof out, "w");
        out[0] = 0; /* of no text, fmemopen writes none */
        csv_field(f, of[i].text, of[i].spreadsheet);
        fclose(f);
        assert_string_equal(out, of[i].field);
    }
    const double numbers[] = {1.5, -0.1, 1e-30, NAN, INFINITY, 123456789.123};
    FILE *f = fmemopen(out, sizeof out, "w");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        csv_number(f, numbers[i]), fputc(';', f);
    fclose(f);
    assert_string_equal(out, "1.5;-0.1;1e-30;;;123456789;");
}

/* ---- names that were meant ---- */

static void nearest_names(void **state)
{
    (void)state;
    static const char *const names[] = {"delays", "burn-in", "hidden-size", "state", "state-handling"};
    static const struct {
        const char *text, *name;
    } of[] = {{"del", "delays"},
              {"dealys", "delays"},
              {"hiden", "hidden-size"},
              {"STATE", "state"},
              {"state-han", "state-handling"},
              {"burnin", "burn-in"},
              {"zzzzzz", NULL}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        const char *got = sg_nearest_name(of[i].text, names, sizeof names / sizeof *names);
        if (of[i].name)
            assert_string_equal(got, of[i].name);
        else
            assert_null(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point),
        cmocka_unit_test(what_is_not_utf8),
        cmocka_unit_test(lower_case_and_excerpts),
        cmocka_unit_test(strings_have_numbers_in_order),
        cmocka_unit_test(a_failed_entry_changes_nothing),
        cmocka_unit_test(fields_of_a_table),
        cmocka_unit_test(nearest_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
