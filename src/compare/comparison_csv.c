/* SPDX-License-Identifier: MIT */
/* The numbers of a comparison by name, and as a table. */
#include "compare/compare_internal.h"

#include "base/csv_out.h"
#include "base/text_file.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    size_t offset;
} numbers[] = {
#define FIELD(f) offsetof(sg_compare_row, f)
    {"a", FIELD(a)},
    {"b", FIELD(b)},
    {"ratio", FIELD(ratio)},
    {"ratio_low", FIELD(ratio_low)},
    {"ratio_high", FIELD(ratio_high)},
    {"difference", FIELD(difference)},
    {"difference_low", FIELD(difference_low)},
    {"difference_high", FIELD(difference_high)},
    {"ratio_models_low", FIELD(models_low)},
    {"ratio_models_high", FIELD(models_high)},
    {"p", FIELD(p)},
    {"p_adjusted", FIELD(p_adjusted)},
    {"p_types", FIELD(p_types)},
    {"p_types_adjusted", FIELD(p_types_adjusted)},
#undef FIELD
};

const char *sg_compare_number(const sg_compare_row *row, size_t i, double *x)
{
    if (i >= sizeof numbers / sizeof *numbers)
        return NULL;
    if (row)
        memcpy(x, (const char *)row + numbers[i].offset, sizeof *x);
    return numbers[i].name;
}

static void put_row(FILE *f, const sg_compare_row *r, const sg_compare_pair *pair, bool spreadsheet)
{
    double x;
    csv_field(f, pair->a.label, spreadsheet), fputc(',', f);
    csv_field(f, pair->b.label, spreadsheet), fputc(',', f);
    fprintf(f, "%s,", r->measure);
    if (r->delay != SG_COMPARE_NO_DELAY)
        fprintf(f, "%zu", r->delay);
    for (size_t i = 0; sg_compare_number(r, i, &x); i++)
        fputc(',', f), csv_number(f, x);
    fprintf(f, ",%s,", r->verdict ? r->verdict : "");
    csv_field(f, r->no_verdict ? r->no_verdict : r->missing ? r->missing : "", false);
    fputc('\n', f);
}

sg_status sg_comparison_write_csv(const sg_comparison *c, const sg_compare_pair *pairs, const char *path,
                                  sg_csv_style style, sg_error *err)
{
    sg_outfile *o;
    sg_status st = outfile_open_text(&o, path, err);
    if (st != SG_OK)
        return st;
    FILE *f = sg_outfile_stream(o);
    const char *name;
    fputs("a,b,measure,delay", f);
    for (size_t i = 0; (name = sg_compare_number(NULL, i, NULL)); i++)
        fprintf(f, ",%s%s", i < 2 ? "value_" : "", name); /* columns a and b are labels */
    fputs(",verdict,reason\n", f);
    for (size_t i = 0; i < c->n; i++)
        put_row(f, &c->rows[i], &pairs[c->rows[i].pair], style == SG_CSV_SPREADSHEET);
    return sg_outfile_commit(o, err);
}
