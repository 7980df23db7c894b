/* SPDX-License-Identifier: MIT */
/* run_data.c - what a report shows of a run, as JSON: one table says which variable goes under which key. */
#include "base/base_internal.h"
#include "report/report_internal.h"

#include <math.h>
#include <string.h>

/* How a variable of a group is cut for the page. */
typedef enum {
    WHOLE,   /* as it is */
    FIRST,   /* entry 0 of the last dimension (rank) */
    LEADING, /* as many entries of the last dimension as the page has room for */
    SUBSPACE /* entries 0, 1, 2, 4, 9, 19 of the last dimension: the first 1, 2, 3, 5, 10, 20 vectors */
} cut;

typedef struct {
    const char *key, *variable;
    cut cut;
    int digits;
} field;

/* What random directions give does not depend on the property: the first property's stands for all. */
static bool first_entry_only(const field *f)
{
    return strstr(f->key, "_random") != NULL;
}

static const field fields[] = {
    {"pairs", "pairs", WHOLE, 12},
    {"sigma1", "singular_value", FIRST, 6},
    {"sigma1_low", "singular_value_low", FIRST, 4},
    {"sigma1_high", "singular_value_high", FIRST, 4},
    {"sum", "singular_sum", WHOLE, 6},
    {"sum_low", "singular_sum_low", WHOLE, 4},
    {"sum_high", "singular_sum_high", WHOLE, 4},
    {"rms", "rms_gain", FIRST, 6},
    {"rms_low", "rms_gain_low", FIRST, 4},
    {"rms_high", "rms_gain_high", FIRST, 4},
    {"coherence", "coherence", WHOLE, 6},
    {"coherence_low", "coherence_low", WHOLE, 4},
    {"coherence_high", "coherence_high", WHOLE, 4},
    {"effective_rank", "effective_rank", WHOLE, 6},
    {"effective_rank_low", "effective_rank_low", WHOLE, 4},
    {"effective_rank_high", "effective_rank_high", WHOLE, 4},
    {"spectrum", "singular_value", LEADING, 6},
    {"existing_pairs", "existing_pairs", WHOLE, 12},
    {"p", "class_difference_p", WHOLE, 4},
    {"q", "class_difference_p_adjusted", WHOLE, 4},
    {"null_low", "class_null_low", WHOLE, 4},
    {"null_high", "class_null_high", WHOLE, 4},
    {"decay_scale", "decay_scale", WHOLE, 5},
    {"decay_rate", "decay_rate", WHOLE, 5},
    {"decay_rate_error", "decay_rate_error", WHOLE, 3},
    {"decay_shape", "decay_shape", WHOLE, 5},
    {"decay_shape_error", "decay_shape_error", WHOLE, 3},
    {"decay_weight", "decay_weight", WHOLE, 4},
    {"half_life", "half_life", WHOLE, 5},
    {"half_life_error", "half_life_error", WHOLE, 3},
    {"relative_memory", "relative_memory", WHOLE, 6},
    {"relative_memory_low", "relative_memory_low", WHOLE, 4},
    {"relative_memory_high", "relative_memory_high", WHOLE, 4},
    {"relative_memory_random", "relative_memory_random", WHOLE, 3},
    {"relative_memory_random_low", "relative_memory_random_low", WHOLE, 3},
    {"relative_memory_random_high", "relative_memory_random_high", WHOLE, 3},
    {"cosine", "subspace_cosine", SUBSPACE, 6},
    {"cosine_low", "subspace_cosine_low", SUBSPACE, 3},
    {"cosine_high", "subspace_cosine_high", SUBSPACE, 3},
    {"cosine_random", "subspace_cosine_random", SUBSPACE, 3},
    {"cosine_random_low", "subspace_cosine_random_low", SUBSPACE, 3},
    {"cosine_random_high", "subspace_cosine_random_high", SUBSPACE, 3},
};

static const size_t subspaces[] = {0, 1, 2, 4, 9, 19};
enum { N_SUBSPACES = sizeof subspaces / sizeof *subspaces, SPECTRUM_NUMBERS = 40000 };

/* Singular values a cell of the spectrum shows: all, or as many as keep the page of 3 MB small. */
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
    switch (f->cut) {
    case SUBSPACE:
        json_open(j, '[');
        for (size_t i = 0; i < N_SUBSPACES && subspaces[i] < n; i++)
            json_number(j, x[subspaces[i]], f->digits);
        json_close(j, ']');
        break;
    case LEADING:
        json_values(j, x, 1, &depth, f->digits);
        break;
    default:
        json_number(j, *x, f->digits);
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
    size_t each = 1, last = f->cut == WHOLE ? 1 : shape[rank - 1], depth = 0;
    for (size_t i = 1; i < rank; i++)
        each *= count[i];
    if (f->cut == FIRST)
        each /= last, count[rank - 1] = last = 1;
    if (f->cut == LEADING) {
        depth = spectrum_depth(r, last);
        each = each / last * depth, count[rank - 1] = last = depth;
    }
    if (!(x = sg_calloc(each, sizeof *x)))
        TRY(sg_fail(err, SG_ENOMEM, "report: %zu numbers of %s do not fit in memory", each, f->variable));
    json_open(j, '[');
    const size_t entries =
        first_entry_only(f) && shape[0] > 1 ? 1 : shape[0]; /* a run without properties: 0 */
    for (start[0] = 0; start[0] < entries; start[0]++) {
        TRY(sg_run_read(r, group, f->variable, start, count, x, err));
        if (rank - 1 - (f->cut != WHOLE) == 0) {
            write_cut(j, f, x, last, depth);
        } else if (f->cut == WHOLE) {
            json_values(j, x, rank - 1, shape + 1, f->digits);
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

static bool present(const sg_run *r, const char *group, const char *variable)
{
    size_t rank, shape[SG_RUN_MAX_DIMS];
    return sg_run_shape(r, group, variable, &rank, shape);
}

/* "layer1.cell" for "untrained.layer1.cell"; NULL for a group that is no baseline. */
static const char *baseline_of(const char *group)
{
    return strncmp(group, "untrained.", 10) ? NULL : group + 10;
}

/* A reference curve needs no intervals, tests, properties and spectra of its own. */
static bool drawn_of_baseline(const field *f)
{
    static const char *const drawn[] = {"pairs", "sigma1", "sum", "rms", "coherence", "effective_rank"};
    for (size_t i = 0; i < sizeof drawn / sizeof *drawn; i++)
        if (!strcmp(f->key, drawn[i]))
            return true;
    return false;
}

static sg_status write_group(json_out *j, sg_run *r, size_t g, sg_error *err)
{
    sg_status st;
    const char *name = sg_run_group_name(r, g);
    const size_t n = sizeof fields / sizeof *fields;
    json_open(j, '{');
    json_key(j, "name"), json_text(j, name);
    json_key(j, "baseline_of"), json_text(j, baseline_of(name));
    json_key(j, "units"), json_count(j, sg_run_units(r, g));
    json_key(j, "rank"), json_count(j, sg_run_rank(r, g));
    json_key(j, "values"), json_open(j, '{');
    for (size_t i = 0; i < n; i++) {
        if (!present(r, name, fields[i].variable))
            continue;
        if (baseline_of(name) && !drawn_of_baseline(&fields[i]))
            continue;
        json_key(j, fields[i].key);
        if ((st = write_field(j, r, name, &fields[i], err)) != SG_OK)
            return st;
    }
    json_close(j, '}');
    json_key(j, "missing"), json_open(j, '{');
    for (size_t i = 0; i < n; i++) {
        const char *why = NULL;
        if (present(r, name, fields[i].variable))
            why = sg_run_variable_attribute(r, name, fields[i].variable, "missing_reason");
        else
            why = "the run file has no such variable";
        if (why)
            json_key(j, fields[i].key), json_text(j, why);
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

static sg_status write_property(json_out *j, const sg_run *r, size_t p, sg_error *err)
{
    static const char *const sides[] = {"property_words_a", "property_words_b"};
    static const char *const keys[] = {"words_a", "words_b"};
    const size_t one = 1;
    json_open(j, '{');
    json_key(j, "name"), json_text(j, sg_run_property_name(r, p));
    for (int side = 0; side < 2; side++) {
        double n = NAN;
        if (present(r, NULL, sides[side])) {
            sg_status st = sg_run_read(r, NULL, sides[side], &p, &one, &n, err);
            if (st != SG_OK)
                return st;
        }
        json_key(j, keys[side]), json_number(j, n, 15);
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
        json_open(j, '[');
        json_text(j, name), json_text(j, sg_run_attribute(r, name));
        json_close(j, ']');
    }
    json_close(j, ']');
    json_key(j, "delays"), json_count(j, sg_run_delays(r));
    json_key(j, "embedding"), json_count(j, sg_run_embedding(r));
    json_key(j, "classes"), json_open(j, '[');
    for (size_t c = 0; c < sg_run_classes(r); c++) {
        json_open(j, '{');
        json_key(j, "name"), json_text(j, sg_run_class_name(r, c));
        json_key(j, "tokens"), json_count(j, sg_run_class_tokens(r, c));
        json_close(j, '}');
    }
    json_close(j, ']');
    json_key(j, "properties"), json_open(j, '[');
    for (size_t p = 0; p < sg_run_properties(r); p++)
        TRY(write_property(j, r, p, err));
    json_close(j, ']');
    TRY(write_strings(j, r, "decay_quantity", err));
    TRY(write_strings(j, r, "decay_law", err));
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
