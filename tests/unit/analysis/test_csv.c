/* SPDX-License-Identifier: MIT */
/* The tidy table: read back by a reader of RFC 4180 written here, and compared with the run file. */
#include "helpers/small_run.h"

enum { FIELDS = 7 };
typedef char record[FIELDS][200];

/* One record; false: the end. */
static bool next_record(FILE *f, record out)
{
    int c = fgetc(f);
    if (c == EOF)
        return false;
    for (size_t i = 0;; i++) {
        size_t n = 0;
        bool quoted = c == '"';
        assert_true(i < FIELDS);
        for (c = quoted ? fgetc(f) : c; quoted || (c != ',' && c != '\n'); c = fgetc(f)) {
            if (quoted && c == '"' && (c = fgetc(f)) != '"')
                break;
            assert_true(c != EOF && n + 1 < sizeof out[i]);
            out[i][n++] = (char)c;
        }
        out[i][n] = '\0';
        if (c == '\n') {
            assert_int_equal(i, FIELDS - 1);
            return true;
        }
        assert_int_equal(c, ',');
        c = fgetc(f);
    }
}

/* SIZE_MAX: of no class. */
static size_t class_of(const sg_run *r, const char *name)
{
    if (!*name)
        return SIZE_MAX;
    for (size_t c = 0; c < sg_run_classes(r); c++)
        if (!strcmp(sg_run_class_name(r, c), name))
            return c;
    fail_msg("no class '%s'", name);
    return 0;
}

/* A field holds the number of the run file; an empty one stands for NaN. */
static void check_field(const sg_run *r, const char *group, const char *variable, size_t property,
                        bool of_property, size_t c, size_t d, size_t k, const char *text)
{
    sg_error err = {""};
    size_t rank, shape[SG_RUN_MAX_DIMS], start[4], at = 0;
    const size_t one[] = {1, 1, 1, 1};
    double x;
    if (of_property)
        start[at++] = property;
    if (c != SIZE_MAX)
        start[at++] = c;
    start[at++] = d, start[at++] = k;
    if (!sg_run_shape(r, group, variable, &rank, shape)) {
        assert_string_equal(text, "");
        return;
    }
    assert_ok(sg_run_read(r, group, variable, start, one, &x, &err), err);
    if (isnan(x))
        assert_string_equal(text, "");
    else if (!(fabs(strtod(text, NULL) - x) <= 1e-8 * fabs(x)))
        fail_msg("%s, class %zu, delay %zu: '%s' against %.17g", variable, c, d, text, x);
}

/* Rows of a delay: quantity "name", "name[rank]", "name[property]" or "name[property][rank]". */
static void check_row(const sg_run *r, record row)
{
    char name[200], variable[220];
    size_t k = 0, at = strcspn(row[3], "[");
    const char *rest = row[3] + at;
    const bool of_property = !strncmp(rest, "[side]", 6);
    snprintf(name, sizeof name, "%.*s", (int)at, row[3]);
    rest += of_property ? 6 : 0;
    if (*rest)
        k = strtoul(rest + 1, NULL, 10) - 1;
    static const char *const suffixes[] = {"", "_low", "_high"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(variable, sizeof variable, "%s%s", name, suffixes[i]);
        check_field(r, row[0], variable, 0, of_property, class_of(r, row[1]), strtoul(row[2], NULL, 10), k,
                    row[4 + i]);
    }
}

static void every_number_is_the_runs(void **state)
{
    (void)state;
    small_run s;
    sg_error err = {""};
    char csv[300];
    record row;
    size_t by_delay = 0, others = 0, expected = 0, ranked = 0;
    const sg_property side = {"side", "w00,w02,w04", "w01,w03,w05"};
    small_run_new(&s, "a, \"b\"", "two\nlines");
    s.cfg.properties = &side, s.cfg.n_properties = 1;
    const char *path = small_run_write(&s, "run.nc");
    snprintf(csv, sizeof csv, "%s/run.csv", tmp.folder);
    assert_ok(sg_run_write_csv(path, csv, SG_CSV_PLAIN, &err), err);
    sg_run *r = opened(path);
    FILE *f = fopen(csv, "r");
    assert_true(next_record(f, row));
    assert_string_equal(row[0], "state");
    assert_string_equal(row[6], "high");
    while (next_record(f, row)) {
        if (row[2][0])
            check_row(r, row);
        ranked += !strncmp(row[3], "singular_value[", 15);
        ++*(row[2][0] ? &by_delay : &others);
    }
    fclose(f);
    for (const run_variable *v = run_variables; v->name; v++) {
        size_t rank, shape[SG_RUN_MAX_DIMS];
        if (!v->csv || !sg_run_shape(r, "layer1.cell", v->name, &rank, shape))
            continue;
        if (strstr(v->dims, "class delay"))
            expected += 3 * SMALL_D * (strstr(v->dims, "rank") ? SMALL_E : 1);
        else if (!strcmp(v->dims, "property delay"))
            expected += SMALL_D;
    }
    assert_int_equal(by_delay, expected);
    assert_int_equal(ranked, 3 * SMALL_D * SMALL_E);
    assert_true(others > 3);
    sg_run_close(r);
    small_run_free(&s);
}

/* Names that a spreadsheet would compute are text there, in that style alone. */
static void names_that_begin_a_formula(void **state)
{
    (void)state;
    small_run s;
    sg_error err = {""};
    small_run_new(&s, "=1+1", "-b,c");
    const char *path = small_run_write(&s, "run.nc");
    for (sg_csv_style style = SG_CSV_PLAIN; style <= SG_CSV_SPREADSHEET; style++) {
        char csv[300];
        record row;
        size_t found[2] = {0};
        const char *const names[] = {style ? "'=1+1" : "=1+1", style ? "'-b,c" : "-b,c"};
        snprintf(csv, sizeof csv, "%s/style%d.csv", tmp.folder, (int)style);
        assert_ok(sg_run_write_csv(path, csv, style, &err), err);
        FILE *f = fopen(csv, "r");
        while (next_record(f, row))
            for (size_t i = 0; i < 2; i++)
                found[i] += !strcmp(row[1], names[i]);
        fclose(f);
        assert_true(found[0] > 10);
        assert_int_equal(found[0], found[1]);
    }
    small_run_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_is_the_runs),
        cmocka_unit_test(names_that_begin_a_formula),
    };
    return cmocka_run_group_tests_name("csv", tests, set_up, tear_down);
}
