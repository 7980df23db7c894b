/* SPDX-License-Identifier: MIT */
/* run_data.c - what a report shows of a run, as JSON: one table assigns variables to keys. */
#include "base/base_internal.h"
#include "stategrad/stats.h"
#include "report/report_internal.h"
#include "run/run_internal.h"

#include <math.h>
#include <string.h>

/* A row of a variable's reports. */
typedef struct {
    const char *variable;
    run_report of;
} field;

/* What random directions give does not depend on the property: the first property's serves for all. */
static bool first_entry_only(const field *f)
{
    return strstr(f->variable, "_random") != NULL;
}

static const size_t subspaces[] = {0, 1, 2, 4, 9, 19};
enum { N_SUBSPACES = sizeof subspaces / sizeof *subspaces, SPECTRUM_NUMBERS = 24000 };

/* Singular values a cell of the spectrum shows: all, or as many as leave the page at 3.4 MB. */
static size_t spectrum_depth(const sg_run *r, size_t rank)
{
    size_t groups = 0;
    for (size_t g = 0; g < sg_run_groups(r); g++)
        groups += !strncmp(sg_run_group_name(r, g), "layer", 5);
    size_t cells = sg_run_classes(r) * sg_run_delays(r) * (groups ? groups : 1);
    size_t room = SPECTRUM_NUMBERS / (cells ? cells : 1);
    room = room < 8 ? 8 : room;
    return rank < room ? rank : room;
}

static void write_cut(json_out *j, const field *f, const double *x, size_t n, size_t depth)
{
    switch (f->of.cut) {
    case RUN_SUBSPACE:
        json_open(j, '[');
        for (size_t i = 0; i < N_SUBSPACES && subspaces[i] < n; i++)
            json_value(j, x[subspaces[i]]);
        json_close(j, ']');
        break;
    case RUN_LEADING:
        json_values(j, x, 1, &depth);
        break;
    default:
        json_value(j, *x);
    }
}

/* One variable, read and written a leading index at a time so that memory stays small. */
static sg_status write_field(json_out *j, const sg_run *r, const char *group, const field *f, sg_error *err)
{
    sg_status st = SG_OK;
    double *x = NULL;
    size_t rank, shape[SG_RUN_MAX_DIMS], start[SG_RUN_MAX_DIMS] = {0}, count[SG_RUN_MAX_DIMS];
    if (!sg_run_shape(r, group, f->variable, &rank, shape) || rank == 0)
        return sg_fail(err, SG_EFORMAT, "report: %s/%s is not an array", group, f->variable);
    memcpy(count, shape, sizeof count);
    count[0] = 1;
    size_t each = 1, last = f->of.cut == RUN_WHOLE ? 1 : shape[rank - 1], depth = 0;
    for (size_t i = 1; i < rank; i++)
        each *= count[i];
    if (f->of.cut == RUN_FIRST)
        each /= last, count[rank - 1] = last = 1;
    if (f->of.cut == RUN_LEADING) {
        depth = spectrum_depth(r, last);
        each = each / last * depth, count[rank - 1] = last = depth;
    }
    NEED(x = sg_calloc(each, sizeof *x), err, "%zu numbers of %s", each, f->variable);
    json_open(j, '[');
    const size_t entries =
        first_entry_only(f) && shape[0] > 1 ? 1 : shape[0]; /* a run without properties: 0 */
    for (start[0] = 0; start[0] < entries; start[0]++) {
        TRY(sg_run_read(r, group, f->variable, start, count, x, err));
        if (rank - 1 - (f->of.cut != RUN_WHOLE) == 0) {
            write_cut(j, f, x, last, depth);
        } else if (f->of.cut == RUN_WHOLE) {
            json_values(j, x, rank - 1, shape + 1);
        } else {
            size_t rows = shape[rank - 2], blocks = each / last / rows;
            for (size_t b = 0; b < blocks; b++) {
                if (b == 0 && rank > 3)
                    json_open(j, '[');
                json_open(j, '[');
                for (size_t i = 0; i < rows; i++)
                    write_cut(j, f, x + (b * rows + i) * last, last, depth);
                json_close(j, ']');
            }
            if (rank > 3)
                json_close(j, ']');
        }
    }
    json_close(j, ']');
done:
    sg_free(x);
    return st;
}

static bool has_variable(const sg_run *r, const char *group, const char *variable)
{
    size_t rank, shape[SG_RUN_MAX_DIMS];
    return sg_run_shape(r, group, variable, &rank, shape);
}

/* "layer1.cell" for "untrained.layer1.cell"; NULL for a group that is no baseline. */
static const char *baseline_of(const char *group)
{
    return run_is_untrained(group) ? group + strlen(RUN_UNTRAINED) : NULL;
}

/* Field i of the table of variables; false: after the last. A reference curve (of_baseline) needs no
 * intervals, tests, properties and spectra of its own. */
static bool field_at(size_t i, field *f)
{
    for (const run_variable *v = run_variables; v->name; v++)
        for (size_t k = 0; k < 2; k++)
            if (v->report[k].key && i-- == 0) {
                *f = (field){v->name, v->report[k]};
                return true;
            }
    return false;
}

/* One kind of gain of all H units, of class all: NAMEsuffix at delay d, of property p (SIZE_MAX: of none). */
static sg_status read_units(const sg_run *r, const char *group, const char *name, const char *suffix,
                            size_t p, size_t d, size_t H, double *x, sg_error *err)
{
    char variable[64];
    size_t start[] = {p, 0, d, 0}, count[] = {1, 1, 1, H}, skip = p == SIZE_MAX;
    snprintf(variable, sizeof variable, "%s%s", name, suffix);
    return sg_run_read(r, group, variable, start + skip, count + skip, x, err);
}

/* H numbers of k columns each, (k, H), as rows of units. */
static void write_unit_rows(json_out *j, const double *x, size_t columns, size_t H)
{
    json_open(j, '[');
    for (size_t u = 0; u < H; u++) {
        json_open(j, '[');
        for (size_t k = 0; k < columns; k++)
            json_value(j, x[k * H + u]);
        json_close(j, ']');
    }
    json_close(j, ']');
}

/* Where there are any: [self gain at the last delay with both limits, its half-life with both limits]; why
 * limits are missing, of the gains and of half-lives. */
static sg_status write_self_gains(json_out *j, sg_run *r, const char *group, size_t H, size_t last,
                                  sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const names[] = {"unit_self_gain",          "unit_self_gain_low",
                                        "unit_self_gain_high",     "unit_self_half_life",
                                        "unit_self_half_life_low", "unit_self_half_life_high"};
    enum { COLUMNS = sizeof names / sizeof *names };
    const size_t start[] = {last, 0}, count[] = {1, H}, first = 0;
    size_t rank, shape[SG_RUN_MAX_DIMS];
    double *x = NULL;
    if (!last || !sg_run_shape(r, group, names[0], &rank, shape) || rank != 2 || shape[1] != H)
        return SG_OK;
    NEED(x = sg_calloc(COLUMNS * H, sizeof *x), err, "%zu units", H);
    for (size_t k = 0; k < COLUMNS; k++) {
        const size_t skip = k < COLUMNS / 2 ? 0 : 1;
        TRY(sg_run_read(r, group, names[k], skip ? &first : start, count + skip, x + k * H, err));
    }
    json_key(j, "self_missing"), json_open(j, '[');
    for (size_t k = 1; k < COLUMNS; k += COLUMNS / 2)
        json_text(j, sg_run_variable_attribute(r, group, names[k], "missing_reason"));
    json_close(j, ']');
    json_key(j, "self_rows"), write_unit_rows(j, x, COLUMNS, H);
done:
    sg_free(x);
    return st;
}

/* Where the run has them: a row for each unit, [gain at delay 0, at the last delay with both limits, along
 * each property at `at` with both limits, ...]; why limits are missing: of the gains, along properties. */
static sg_status write_units(json_out *j, sg_run *r, const char *group, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const suffixes[] = {"", "_low", "_high"};
    size_t rank, shape[SG_RUN_MAX_DIMS];
    const size_t P = sg_run_properties(r), last = sg_run_delays(r) - 1, at = last > 0, columns = 4 + 3 * P;
    double *x = NULL;
    if (!sg_run_shape(r, group, "unit_gain", &rank, shape) || rank != 3)
        return SG_OK;
    const size_t H = shape[2];
    NEED(x = sg_calloc(columns * H, sizeof *x), err, "%zu units", H);
    TRY(read_units(r, group, "unit_gain", "", SIZE_MAX, 0, H, x, err));
    for (size_t k = 0; k < 3; k++) {
        TRY(read_units(r, group, "unit_gain", suffixes[k], SIZE_MAX, last, H, x + (1 + k) * H, err));
        for (size_t p = 0; p < P; p++)
            TRY(read_units(r, group, "unit_property_gain", suffixes[k], p, at, H, x + (4 + 3 * p + k) * H,
                           err));
    }
    json_key(j, "unit_gains"), json_open(j, '{');
    json_key(j, "last"), json_count(j, last);
    json_key(j, "at"), json_count(j, at);
    json_key(j, "missing"), json_open(j, '[');
    for (size_t k = 0; k < 2; k++)
        json_text(j, sg_run_variable_attribute(r, group, k ? "unit_property_gain_low" : "unit_gain_low",
                                               "missing_reason"));
    json_close(j, ']');
    json_key(j, "rows"), write_unit_rows(j, x, columns, H);
    TRY(write_self_gains(j, r, group, H, last, err));
    json_close(j, '}');
done:
    sg_free(x);
    return st;
}

static sg_status write_group(json_out *j, sg_run *r, size_t g, sg_error *err)
{
    sg_status st;
    const char *name = sg_run_group_name(r, g);
    json_open(j, '{');
    json_key(j, "name"), json_text(j, name);
    json_key(j, "baseline_of"), json_text(j, baseline_of(name));
    json_key(j, "units"), json_count(j, sg_run_units(r, g));
    json_key(j, "rank"), json_count(j, sg_run_rank(r, g));
    if (!baseline_of(name) && (st = write_units(j, r, name, err)) != SG_OK)
        return st;
    json_key(j, "values"), json_open(j, '{');
    field f;
    for (size_t i = 0; field_at(i, &f); i++) {
        if (!has_variable(r, name, f.variable) || (baseline_of(name) && !f.of.of_baseline))
            continue;
        json_key(j, f.of.key);
        if ((st = write_field(j, r, name, &f, err)) != SG_OK)
            return st;
    }
    json_close(j, '}');
    json_key(j, "missing"), json_open(j, '{');
    for (size_t i = 0; field_at(i, &f); i++) {
        const char *why = "the run file has no such variable";
        if (has_variable(r, name, f.variable))
            why = sg_run_variable_attribute(r, name, f.variable, "missing_reason");
        if (why)
            json_key(j, f.of.key), json_text(j, why);
    }
    json_close(j, '}');
    json_close(j, '}');
    return SG_OK;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The words of class c, where the file has them. */
static sg_status write_class(json_out *j, const sg_run *r, size_t c, sg_error *err)
{
    static const char *const names[] = {"class_types", "class_effective_types", "class_top_share"};
    static const char *const keys[] = {"types", "effective_types", "top_share"};
    const size_t one = 1;
    char *word;
    sg_status st;
    json_open(j, '{');
    json_key(j, "name"), json_text(j, sg_run_class_name(r, c));
    json_key(j, "tokens"), json_count(j, sg_run_class_tokens(r, c));
    for (size_t i = 0; i < sizeof names / sizeof *names && has_variable(r, NULL, names[i]); i++) {
        double x;
        if ((st = sg_run_read(r, NULL, names[i], &c, &one, &x, err)) != SG_OK)
            return st;
        json_key(j, keys[i]), json_value(j, x);
    }
    static const char *const texts[][2] = {{"class_top_word", "top_word"}, {"class_spec", "spec"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!has_variable(r, NULL, texts[i][0]))
            continue;
        if ((st = sg_run_read_string(r, NULL, texts[i][0], c, &word, err)) != SG_OK)
            return st;
        json_key(j, texts[i][1]), json_text(j, word);
        sg_string_free(word);
    }
    json_close(j, '}');
    return SG_OK;
}

static sg_status write_property(json_out *j, const sg_run *r, size_t p, sg_error *err)
{
    static const char *const sides[] = {"property_words_a", "property_words_b"};
    static const char *const keys[] = {"words_a", "words_b"};
    const size_t one = 1;
    json_open(j, '{');
    json_key(j, "name"), json_text(j, sg_run_property_name(r, p));
    for (int side = 0; side < 2; side++) {
        double n = NAN;
        if (has_variable(r, NULL, sides[side])) {
            sg_status st = sg_run_read(r, NULL, sides[side], &p, &one, &n, err);
            if (st != SG_OK)
                return st;
        }
        json_key(j, keys[side]), json_value(j, n);
    }
    json_close(j, '}');
    return SG_OK;
}

/* A string variable of the root under its own name; an empty array where the file has none. */
static sg_status write_strings(json_out *j, const sg_run *r, const char *variable, sg_error *err)
{
    size_t rank, shape[SG_RUN_MAX_DIMS], n = 0;
    char *text;
    if (sg_run_shape(r, NULL, variable, &rank, shape) && rank == 1)
        n = shape[0];
    json_key(j, variable), json_open(j, '[');
    for (size_t i = 0; i < n; i++) {
        sg_status st = sg_run_read_string(r, NULL, variable, i, &text, err);
        if (st != SG_OK)
            return st;
        json_text(j, text);
        sg_string_free(text);
    }
    json_close(j, ']');
    return SG_OK;
}

sg_status run_data_write(json_out *j, sg_run *r, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    json_open(j, '{');
    json_key(j, "file"), json_text(j, base_name(path));
    json_key(j, "attributes"), json_open(j, '[');
    for (size_t i = 0; i < sg_run_attributes(r); i++) {
        const char *name = sg_run_attribute_name(r, i);
        char *text = NULL;
        TRY(sg_run_attribute_shown(r, name, &text, err));
        json_open(j, '[');
        json_text(j, name), json_text(j, text);
        json_close(j, ']');
        sg_string_free(text);
    }
    json_close(j, ']');
    json_key(j, "delays"), json_count(j, sg_run_delays(r));
    json_key(j, "embedding"), json_count(j, sg_run_embedding(r));
    json_key(j, "classes"), json_open(j, '[');
    for (size_t c = 0; c < sg_run_classes(r); c++)
        TRY(write_class(j, r, c, err));
    json_close(j, ']');
    json_key(j, "properties"), json_open(j, '[');
    for (size_t p = 0; p < sg_run_properties(r); p++)
        TRY(write_property(j, r, p, err));
    json_close(j, ']');
    TRY(write_strings(j, r, "decay_quantity", err));
    TRY(write_strings(j, r, "decay_law", err));
    TRY(write_strings(j, r, "pair_label", err));
    size_t rank, shape[SG_RUN_MAX_DIMS];
    json_key(j, "decay_share"), json_open(j, '[');
    if (sg_run_shape(r, NULL, "decay_share", &rank, shape))
        for (size_t i = 0; i < SG_DECAY_SHARES && i < shape[0]; i++)
            json_value(j, sg_decay_share(i));
    json_close(j, ']');
    json_key(j, "words");
    TRY(words_data_write(j, r, err));
    json_key(j, "subspaces"), json_open(j, '[');
    for (size_t i = 0; i < N_SUBSPACES; i++)
        json_count(j, subspaces[i] + 1);
    json_close(j, ']');
    json_key(j, "groups"), json_open(j, '[');
    for (size_t g = 0; g < sg_run_groups(r); g++)
        TRY(write_group(j, r, g, err));
    json_close(j, ']'), json_close(j, '}');
done:
    return st;
}
