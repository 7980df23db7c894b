/* SPDX-License-Identifier: MIT */
/* A comparison as a table. */
#include "compare/compare_internal.h"

#include "base/csv_out.h"
#include "base/text_file.h"

static void put_row(FILE *f, const sg_compare_row *r, const sg_compare_pair *pair, bool spreadsheet)
{
    const double numbers[] = {r->a,
                              r->b,
                              r->ratio,
                              r->ratio_low,
                              r->ratio_high,
                              r->difference,
                              r->difference_low,
                              r->difference_high,
                              r->models_low,
                              r->models_high,
                              r->p,
                              r->p_adjusted,
                              r->p_types,
                              r->p_types_adjusted};
    csv_field(f, pair->a.label, spreadsheet), fputc(',', f);
    csv_field(f, pair->b.label, spreadsheet), fputc(',', f);
    fprintf(f, "%s,", r->measure);
    if (r->delay != SG_COMPARE_NO_DELAY)
        fprintf(f, "%zu", r->delay);
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        fputc(',', f), csv_number(f, numbers[k]);
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
    fputs(
        "a,b,measure,delay,value_a,value_b,ratio,ratio_low,ratio_high,difference,difference_low,difference_high,"
        "ratio_models_low,ratio_models_high,p,p_adjusted,p_types,p_types_adjusted,verdict,reason\n",
        f);
    for (size_t i = 0; i < c->n; i++)
        put_row(f, &c->rows[i], &pairs[c->rows[i].pair], style == SG_CSV_SPREADSHEET);
    return sg_outfile_commit(o, err);
}
