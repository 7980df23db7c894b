/* SPDX-License-Identifier: MIT */
/* What stands between users' texts and the page or the terminal: JSON for script elements, columns for
 * terminals. */
#include "helpers/test_util.h"

#include "report/assets.h"
#include "report/json_out.h"
#include "base/text_out.h"

static char *written(FILE *f, char **text)
{
    fclose(f);
    return *text;
}

static void check_json(const char *in, const char *expected)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    json_out j = {f, false};
    json_text(&j, in);
    assert_string_equal(written(f, &text), expected);
    free(text);
}

static void test_json_text(void **state)
{
    (void)state;
    check_json("plain é 🙂", "\"plain é 🙂\"");
    check_json("</script><!--&\"\\", "\"\\u003c/script\\u003e\\u003c!--\\u0026\\u0022\\u005c\"");
    check_json("a\n\t\x01\x7f", "\"a\\u000a\\u0009\\u0001\\u007f\"");
    check_json("\xE2\x80\xA8|\xE2\x80\xA9|\xE2\x80\xAA", "\"\\u2028|\\u2029|\xE2\x80\xAA\"");
    check_json("\xC3|\xFF|\xED\xA0\x80|\xC0\xAF", "\"\\ufffd|\\ufffd|\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd\"");
    check_json(NULL, "null");
}

static void check_number(double x, int digits, const char *expected)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    json_out j = {f, false};
    json_number(&j, x, digits);
    assert_string_equal(written(f, &text), expected);
    free(text);
}

static void test_json_numbers(void **state)
{
    (void)state;
    check_number(0, 6, "0");
    check_number(-1.5, 6, "-1.5");
    check_number(1.0 / 3, 6, "0.333333");
    check_number(1.25e-7, 6, "1.25e-7");
    check_number(1e300, 6, "1e300");
    check_number(2.5e10, 6, "2.5e10");
    check_number(NAN, 6, "null");
    check_number(-INFINITY, 6, "null");
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    json_out j = {f, false};
    const double x[6] = {1, 2, 3, 4, 5, NAN};
    const size_t shape[2] = {2, 3};
    json_open(&j, '{');
    json_key(&j, "a"), json_values(&j, x, 2, shape);
    json_key(&j, "b"), json_bool(&j, true);
    json_close(&j, '}');
    assert_string_equal(written(f, &text), "{\"a\":[[1,2,3],[4,5,null]],\"b\":true}");
    free(text);
}

static void check_text(const char *in, size_t width, int pad, const char *expected)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    text_put(f, in, width, pad);
    assert_string_equal(written(f, &text), expected);
    free(text);
}

static void test_terminal_text(void **state)
{
    (void)state;
    assert_int_equal(text_width("né🙂"), 3);
    check_text("né", 4, 1, "né  ");
    check_text("né", 4, 0, "né");
    check_text("abcdef", 4, 1, "abc…");
    check_text("abcd", 4, 1, "abcd");
    check_text("\033[2J\n\x7f\xC2\x9B", 20, 0, "?[2J???");
    check_text("a\xE2\x80\xAE"
               "b\xE2\x81\xA6",
               20, 0, "a?b?");
    check_text("\xFF\xC3", 20, 0, "??");
    check_text("", 3, 1, "   ");
}

static void test_assets(void **state)
{
    (void)state;
    const char *data;
    size_t size;
    for (const char *const *name =
             (const char *const[]){"report.html", "show.html", "vega.min.js", "vega-lite.min.js",
                                   "curves.vl.json", "words.vl.json", NULL};
         *name; name++) {
        assert_true(report_asset(*name, &data, &size));
        assert_true(size > 100 && data[size] == '\0');
    }
    assert_false(report_asset("nothing", &data, &size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_text),
        cmocka_unit_test(test_json_numbers),
        cmocka_unit_test(test_terminal_text),
        cmocka_unit_test(test_assets),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
