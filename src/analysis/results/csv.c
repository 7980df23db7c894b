/* SPDX-License-Identifier: MIT */
/* The run as a tidy table. Names with commas, quotes or line breaks are quoted as in RFC 4180. */
#include "stategrad/analysis.h"
#include "stategrad/stats.h"

#include "base/base_internal.h"
#include "base/csv_out.h"
#include "base/text_file.h"
#include "run/run_internal.h"

#include <math.h>
#include <string.h>

typedef struct {
    FILE *f;
    bool spreadsheet;
    const sg_run *run;
    const char *group;
    double *x, *low, *high; /* (D, R) of one class */
    char *name, *suffix;    /* room bytes each: the longest name of a property, and the rest of a field */
    size_t room;
} table;

enum { LONGEST_LABEL = 2000 };
enum { BESIDE = 400 }; /* quantity, decay series and law, rank: what is written with the name of a property */

/* c NO_CLASS: of no class */
#define NO_CLASS SIZE_MAX
static void put_row(const table *t, size_t c, const char *delay, const char *quantity, const char *suffix,
                    double x, double low, double high)
{
    snprintf(t->name, t->room, "%s%s", quantity, suffix);
    csv_field(t->f, t->group, t->spreadsheet);
    fputc(',', t->f);
    csv_field(t->f, c == NO_CLASS ? "" : sg_run_class_name(t->run, c), t->spreadsheet);
    fprintf(t->f, ",%s,", delay);
    csv_field(t->f, t->name, t->spreadsheet);
    fputc(',', t->f);
    csv_number(t->f, x);
    fputc(',', t->f);
    csv_number(t->f, low);
    fputc(',', t->f);
    csv_number(t->f, high);
    fputs("\n", t->f);
}

/* (D, n) numbers of one class of a (class, delay[, rank]) variable, NaN where the file has no such
 * variable. */
static sg_status read_class(const table *t, const char *variable, const char *suffix, size_t n_lead,
                            size_t lead, size_t c, size_t n, double *out, sg_error *err)
{
    char name[80];
    size_t D = sg_run_delays(t->run), rank, shape[SG_RUN_MAX_DIMS], start[4] = {0}, count[4] = {0}, at = 0;
    snprintf(name, sizeof name, "%s%s", variable, suffix);
    if (!sg_run_shape(t->run, t->group, name, &rank, shape)) {
        for (size_t i = 0; i < D * n; i++)
            out[i] = NAN;
        return SG_OK;
    }
    if (n_lead)
        start[at] = lead, count[at++] = 1;
    if (c != NO_CLASS)
        start[at] = c, count[at++] = 1;
    count[at++] = D;
    count[at++] = n;
    return sg_run_read(t->run, t->group, name, start, count, out, err);
}

/* Values and bounds for (class, delay[, rank]), or of one property (NO_CLASS: whatever the class). */
static sg_status put_quantity(const table *t, const run_variable *q, size_t rank, size_t c,
                              const char *property, size_t p, sg_error *err)
{
    sg_status st = SG_OK;
    size_t found, shape[SG_RUN_MAX_DIMS];
    if (q->sometimes && !sg_run_shape(t->run, t->group, q->name, &found, shape))
        return SG_OK;
    const bool units = strstr(q->dims, "unit"), ranked = units || strstr(q->dims, "rank");
    const size_t first = units ? 0 : 1; /* units count from 0, as in the run file */
    if (units)
        rank = shape[found - 1];
    size_t D = sg_run_delays(t->run), n = ranked ? rank : 1, lead = property ? 1 : 0;
    TRY(read_class(t, q->name, "", lead, p, c, n, t->x, err));
    TRY(read_class(t, q->name, "_low", lead, p, c, n, t->low, err));
    TRY(read_class(t, q->name, "_high", lead, p, c, n, t->high, err));
    for (size_t d = 0; d < D; d++)
        for (size_t k = 0; k < n; k++) {
            char delay[32];
            size_t i = d * n + k;
            snprintf(delay, sizeof delay, "%zu", d);
            t->suffix[0] = 0;
            if (property && ranked)
                snprintf(t->suffix, t->room, "[%s][%zu]", property, k + first);
            else if (property)
                snprintf(t->suffix, t->room, "[%s]", property);
            else if (ranked)
                snprintf(t->suffix, t->room, "[%zu]", k + first);
            put_row(t, c, delay, q->name, t->suffix, t->x[i], t->low[i], t->high[i]);
        }
done:
    return st;
}

enum { MOST_DECAY = 64 };

/* NAMEsuffix (1, Q, third) of class c into x; NaN where the run has none. */
static sg_status read_decay(const table *t, const run_variable *q, const char *suffix, size_t c, size_t Q,
                            size_t third, double *x, bool *there, sg_error *err)
{
    char name[80];
    size_t rank, shape[SG_RUN_MAX_DIMS], start[] = {c, 0, 0}, count[] = {1, Q, third};
    snprintf(name, sizeof name, "%s%s", q->name, suffix);
    *there = sg_run_shape(t->run, t->group, name, &rank, shape);
    for (size_t i = 0; i < Q * third; i++)
        x[i] = NAN;
    return *there ? sg_run_read(t->run, t->group, name, start, count, x, err) : SG_OK;
}

/* "[sigma_1][power law]", "[sigma_1][0.2]": entry i of (Q, third). */
static sg_status decay_suffix(char *text, size_t size, const table *t, const run_variable *q, size_t third,
                              size_t i, sg_error *err)
{
    sg_status st = SG_OK;
    char *series = NULL, *law = NULL;
    TRY(sg_run_read_string(t->run, NULL, "decay_quantity", i / third, &series, err));
    if (strstr(q->dims, "decay_law"))
        TRY(sg_run_read_string(t->run, NULL, "decay_law", i % third, &law, err));
    if (law)
        snprintf(text, size, "[%.100s][%.100s]", series, law);
    else if (strstr(q->dims, "decay_share"))
        snprintf(text, size, "[%.100s][%g]", series, sg_decay_share(i % third));
    else
        snprintf(text, size, "[%.100s]", series);
done:
    sg_string_free(series), sg_string_free(law);
    return st;
}

/* Decay: one row per class and entry, its delay field empty; low and high as stored, or from the standard
 * error. */
static sg_status put_decay(const table *t, const run_variable *q, size_t c, sg_error *err)
{
    sg_status st = SG_OK;
    size_t rank, shape[SG_RUN_MAX_DIMS];
    if (!sg_run_shape(t->run, t->group, q->name, &rank, shape))
        return SG_OK;
    size_t Q = shape[1], third = rank > 2 ? shape[2] : 1;
    double x[MOST_DECAY], low[MOST_DECAY], high[MOST_DECAY], e[MOST_DECAY];
    bool there, bounds, error;
    if (Q * third > MOST_DECAY)
        return SG_OK;
    TRY(read_decay(t, q, "", c, Q, third, x, &there, err));
    TRY(read_decay(t, q, "_low", c, Q, third, low, &bounds, err));
    TRY(read_decay(t, q, "_high", c, Q, third, high, &bounds, err));
    TRY(read_decay(t, q, "_error", c, Q, third, e, &error, err));
    for (size_t i = 0; i < Q * third; i++) {
        char suffix[300];
        TRY(decay_suffix(suffix, sizeof suffix, t, q, third, i, err));
        put_row(t, c, "", q->name, suffix, x[i], bounds ? low[i] : x[i] - 1.96 * e[i],
                bounds ? high[i] : x[i] + 1.96 * e[i]);
    }
done:
    return st;
}

/* One number of a property and class, or (NO_CLASS) of a label of pairs, its delay field empty. */
static sg_status put_of_property(const table *t, const run_variable *q, const char *of, size_t p, size_t c,
                                 sg_error *err)
{
    sg_status st = SG_OK;
    size_t start[] = {p, c}, count[] = {1, 1}, rank, shape[SG_RUN_MAX_DIMS];
    static const char *const suffixes[] = {"", "_low", "_high"};
    double x[3] = {NAN, NAN, NAN};
    char name[128];
    for (size_t v = 0; v < 3; v++) {
        snprintf(name, sizeof name, "%s%s", q->name, suffixes[v]);
        if (sg_run_shape(t->run, t->group, name, &rank, shape))
            TRY(sg_run_read(t->run, t->group, name, start, count, &x[v], err));
        else if (v == 0)
            return SG_OK;
    }
    snprintf(t->suffix, t->room, "[%s]", of);
    put_row(t, c, "", q->name, t->suffix, x[0], x[1], x[2]);
done:
    return st;
}

/* All rows of one group and class: by delay, of each property, laws of decay. */
static sg_status put_class(const table *t, size_t rank, size_t c, sg_error *err)
{
    sg_status st = SG_OK;
    for (const run_variable *v = run_variables; v->name; v++)
        if (v->csv && !strncmp(v->dims, "class delay", 11))
            TRY(put_quantity(t, v, rank, c, NULL, 0, err));
    for (size_t p = 0; p < sg_run_properties(t->run); p++)
        for (const run_variable *v = run_variables; v->name; v++)
            if (v->csv && !strncmp(v->dims, "property class delay", 20))
                TRY(put_quantity(t, v, rank, c, sg_run_property_name(t->run, p), p, err));
    for (size_t p = 0; p < sg_run_properties(t->run); p++)
        for (const run_variable *v = run_variables; v->name; v++)
            if (v->csv && !strcmp(v->dims, "property class"))
                TRY(put_of_property(t, v, sg_run_property_name(t->run, p), p, c, err));
    for (const run_variable *v = run_variables; v->name; v++)
        if (v->csv && !strncmp(v->dims, "class decay", 11))
            TRY(put_decay(t, v, c, err));
done:
    return st;
}

static size_t labels_of(const sg_run *r)
{
    size_t rank, shape[SG_RUN_MAX_DIMS];
    return sg_run_shape(r, NULL, "pair_label", &rank, shape) ? shape[0] : 0;
}

/* Chosen pairs: rows of no class, by label and delay, and over all distances. */
static sg_status put_labels(const table *t, sg_error *err)
{
    sg_status st = SG_OK;
    char *label = NULL;
    for (size_t l = 0; l < labels_of(t->run); l++) {
        TRY(sg_run_read_string(t->run, NULL, "pair_label", l, &label, err));
        if (strlen(label) + BESIDE > t->room)
            label[t->room - BESIDE] = 0;
        for (const run_variable *v = run_variables; v->name; v++)
            if (v->csv && !strcmp(v->dims, "pair_label delay"))
                TRY(put_quantity(t, v, 1, NO_CLASS, label, l, err));
            else if (v->csv && !strcmp(v->dims, "pair_label"))
                TRY(put_of_property(t, v, label, l, NO_CLASS, err));
        sg_string_free(label);
        label = NULL;
    }
done:
    sg_string_free(label);
    return st;
}

/* One number of each unit, of no class and delay. */
static sg_status put_unit_numbers(const table *t, const run_variable *q, sg_error *err)
{
    sg_status st = SG_OK;
    size_t rank, shape[SG_RUN_MAX_DIMS];
    static const char *const suffixes[] = {"", "_low", "_high"};
    double *const x[] = {t->x, t->low, t->high};
    if (!sg_run_shape(t->run, t->group, q->name, &rank, shape))
        return SG_OK;
    for (size_t v = 0; v < 3; v++) {
        snprintf(t->name, t->room, "%s%s", q->name, suffixes[v]);
        TRY(sg_run_read(t->run, t->group, t->name, NULL, NULL, x[v], err));
    }
    for (size_t u = 0; u < shape[0]; u++) {
        snprintf(t->suffix, t->room, "[%zu]", u);
        put_row(t, NO_CLASS, "", q->name, t->suffix, t->x[u], t->low[u], t->high[u]);
    }
done:
    return st;
}

/* Single units: rows of no class, by unit and delay, and by unit. */
static sg_status put_units(const table *t, sg_error *err)
{
    sg_status st = SG_OK;
    for (const run_variable *v = run_variables; v->name; v++)
        if (v->csv && !strcmp(v->dims, "delay unit"))
            TRY(put_quantity(t, v, 1, NO_CLASS, NULL, 0, err));
        else if (v->csv && !strcmp(v->dims, "unit"))
            TRY(put_unit_numbers(t, v, err));
done:
    return st;
}

/* What a class consists of: rows of no state and delay. */
static sg_status put_words(const table *t, size_t c, sg_error *err)
{
    sg_status st = SG_OK;
    for (const run_variable *v = run_variables; v->name; v++) {
        size_t rank, shape[SG_RUN_MAX_DIMS], one = 1;
        double x;
        if (!v->csv || strcmp(v->dims, "class") || !sg_run_shape(t->run, NULL, v->name, &rank, shape))
            continue;
        TRY(sg_run_read(t->run, NULL, v->name, &c, &one, &x, err));
        put_row(t, c, "", v->name, "", x, NAN, NAN);
    }
done:
    return st;
}

sg_status sg_run_write_csv(const char *run_path, const char *csv_path, sg_csv_style style, sg_error *err)
{
    sg_status st = SG_OK;
    sg_run *r = NULL;
    sg_outfile *o = NULL;
    table t = {0};
    size_t n = 0, longest = 0;
    TRY(sg_run_open(&r, run_path, err));
    TRY(outfile_open_text(&o, csv_path, err));
    for (size_t g = 0; g < sg_run_groups(r); g++)
        n = sg_run_units(r, g) > n ? sg_run_units(r, g) : n; /* at least the rank */
    for (size_t p = 0; p < sg_run_properties(r); p++) {
        size_t length = strlen(sg_run_property_name(r, p));
        longest = length > longest ? length : longest;
    }
    n *= sg_run_delays(r);
    t = (table){sg_outfile_stream(o), style == SG_CSV_SPREADSHEET, r, NULL, sg_calloc(n, 8), sg_calloc(n, 8),
                sg_calloc(n, 8)};
    t.room = (longest > LONGEST_LABEL ? longest : LONGEST_LABEL) + BESIDE;
    NEED(t.x && t.low && t.high && (t.name = sg_calloc(t.room, 1)) && (t.suffix = sg_calloc(t.room, 1)), err,
         "%s", csv_path);
    fputs("state,class,delay,quantity,value,low,high\n", t.f);
    t.group = "";
    for (size_t c = 0; c < sg_run_classes(r); c++)
        TRY(put_words(&t, c, err));
    for (size_t g = 0; g < sg_run_groups(r); g++) {
        t.group = sg_run_group_name(r, g);
        for (size_t c = 0; c < sg_run_classes(r); c++)
            TRY(put_class(&t, sg_run_rank(r, g), c, err));
        for (size_t p = 0; p < sg_run_properties(r); p++)
            for (const run_variable *v = run_variables; v->name; v++)
                if (v->csv && !strcmp(v->dims, "property delay"))
                    TRY(put_quantity(&t, v, 1, NO_CLASS, sg_run_property_name(r, p), p, err));
        TRY(put_labels(&t, err));
        TRY(put_units(&t, err));
    }
    sg_outfile *ready = o;
    o = NULL;
    TRY(sg_outfile_commit(ready, err));
done:
    sg_outfile_abort(o);
    sg_run_close(r);
    sg_free(t.x);
    sg_free(t.low);
    sg_free(t.high);
    sg_free(t.name), sg_free(t.suffix);
    return st;
}
