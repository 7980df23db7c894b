/* SPDX-License-Identifier: MIT */
/* The run as a tidy table. Names with commas, quotes or line breaks are quoted as in RFC 4180. */
#include "stategrad/analysis.h"

#include "base/base_internal.h"
#include "stategrad/run.h"

#include <math.h>
#include <string.h>

typedef struct {
    FILE *f;
    const sg_run *run;
    const char *group;
    double *x, *low, *high; /* (D, R) of one class */
} table;

static void put_field(FILE *f, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', f);
        fputc(*text, f);
    }
    fputc('"', f);
}

/* Always with a point, whatever the locale. */
static void put_number(FILE *f, double x)
{
    char text[40];
    if (!isfinite(x))
        return;
    snprintf(text, sizeof text, "%.9g", x);
    for (char *c = text; *c; c++)
        if (*c == ',')
            *c = '.';
    fputs(text, f);
}

static void put_row(const table *t, size_t c, const char *delay, const char *quantity, const char *suffix,
                    double x, double low, double high)
{
    char name[400];
    snprintf(name, sizeof name, "%s%s", quantity, suffix);
    put_field(t->f, t->group);
    fputc(',', t->f);
    put_field(t->f, sg_run_class_name(t->run, c));
    fprintf(t->f, ",%s,", delay);
    put_field(t->f, name);
    fputc(',', t->f);
    put_number(t->f, x);
    fputc(',', t->f);
    put_number(t->f, low);
    fputc(',', t->f);
    put_number(t->f, high);
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
    start[at] = c, count[at++] = 1;
    count[at++] = D;
    count[at++] = n;
    return sg_run_read(t->run, t->group, name, start, count, out, err);
}

typedef struct {
    const char *variable;
    bool ranked, bounded;
} quantity;

static const quantity quantities[] = {
    {"pairs", false, false},
    {"singular_value", true, true},
    {"singular_sum", false, true},
    {"effective_rank", false, true},
    {"rms_gain", true, true},
    {"coherence", false, true},
    {"class_difference", false, true},
    {"class_difference_p", false, false},
    {"class_difference_p_adjusted", false, false},
};

static sg_status put_quantity(const table *t, const quantity *q, size_t rank, size_t c, const char *property,
                              size_t p, sg_error *err)
{
    sg_status st = SG_OK;
    size_t D = sg_run_delays(t->run), n = q->ranked ? rank : 1, lead = property ? 1 : 0;
    TRY(read_class(t, q->variable, "", lead, p, c, n, t->x, err));
    TRY(read_class(t, q->variable, q->bounded ? "_low" : " none", lead, p, c, n, t->low, err));
    TRY(read_class(t, q->variable, q->bounded ? "_high" : " none", lead, p, c, n, t->high, err));
    for (size_t d = 0; d < D; d++)
        for (size_t k = 0; k < n; k++) {
            char delay[32], suffix[400] = "";
            size_t i = d * n + k;
            snprintf(delay, sizeof delay, "%zu", d);
            if (property && q->ranked)
                snprintf(suffix, sizeof suffix, "[%.300s][%zu]", property, k + 1);
            else if (property)
                snprintf(suffix, sizeof suffix, "[%.300s]", property);
            else if (q->ranked)
                snprintf(suffix, sizeof suffix, "[%zu]", k + 1);
            put_row(t, c, delay, q->variable, suffix, t->x[i], t->low[i], t->high[i]);
        }
done:
    return st;
}

/* Decay: one row a class and parameter, its delay field empty; low and high from the standard error. */
static sg_status put_decay(const table *t, size_t c, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const names[] = {"decay_scale", "decay_rate", "decay_shape", "decay_weight",
                                        "half_life"};
    size_t rank, shape[SG_RUN_MAX_DIMS];
    char *series = NULL, *law = NULL;
    for (size_t v = 0; v < 5; v++) {
        if (!sg_run_shape(t->run, t->group, names[v], &rank, shape) || shape[1] > 16 ||
            (rank > 2 && shape[2] > 16))
            continue;
        size_t Q = shape[1], laws = rank > 2 ? shape[2] : 1, start[] = {c, 0, 0}, count[] = {1, Q, laws};
        double x[256], e[256];
        char error[80];
        TRY(sg_run_read(t->run, t->group, names[v], start, count, x, err));
        snprintf(error, sizeof error, "%s_error", names[v]);
        bool known = sg_run_shape(t->run, t->group, error, &rank, shape);
        if (known)
            TRY(sg_run_read(t->run, t->group, error, start, count, e, err));
        for (size_t i = 0; i < Q * laws; i++) {
            char suffix[300];
            TRY(sg_run_read_string(t->run, NULL, "decay_quantity", i / laws, &series, err));
            if (laws > 1)
                TRY(sg_run_read_string(t->run, NULL, "decay_law", i % laws, &law, err));
            snprintf(suffix, sizeof suffix, law ? "[%.100s][%.100s]" : "[%.100s]", series, law ? law : "");
            put_row(t, c, "", names[v], suffix, x[i], known ? x[i] - 1.96 * e[i] : (double)NAN,
                    known ? x[i] + 1.96 * e[i] : (double)NAN);
            sg_string_free(series), sg_string_free(law);
            series = law = NULL;
        }
    }
done:
    sg_string_free(series);
    sg_string_free(law);
    return st;
}

sg_status sg_run_write_csv(const char *run_path, const char *csv_path, sg_error *err)
{
    static const quantity of_properties[] = {{"relative_memory", false, true},
                                             {"subspace_cosine", true, true}};
    sg_status st = SG_OK;
    sg_run *r = NULL;
    sg_outfile *o = NULL;
    table t = {0};
    size_t n = 0;
    TRY(sg_run_open(&r, run_path, err));
    TRY(sg_outfile_open(&o, csv_path, err));
    for (size_t g = 0; g < sg_run_groups(r); g++)
        n = sg_run_rank(r, g) > n ? sg_run_rank(r, g) : n;
    n *= sg_run_delays(r);
    t = (table){sg_outfile_stream(o), r, NULL, sg_calloc(n, 8), sg_calloc(n, 8), sg_calloc(n, 8)};
    if (!t.x || !t.low || !t.high)
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", csv_path));
    fputs("state,class,delay,quantity,value,low,high\n", t.f);
    for (size_t g = 0; g < sg_run_groups(r); g++)
        for (size_t c = 0; c < sg_run_classes(r); c++) {
            t.group = sg_run_group_name(r, g);
            for (size_t q = 0; q < sizeof quantities / sizeof *quantities; q++)
                TRY(put_quantity(&t, &quantities[q], sg_run_rank(r, g), c, NULL, 0, err));
            for (size_t p = 0; p < sg_run_properties(r); p++)
                for (size_t q = 0; q < 2; q++)
                    TRY(put_quantity(&t, &of_properties[q], sg_run_rank(r, g), c, sg_run_property_name(r, p),
                                     p, err));
            TRY(put_decay(&t, c, err));
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
    return st;
}
