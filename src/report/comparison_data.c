/* SPDX-License-Identifier: MIT */
/* comparison_data.c - a comparison of runs as the page has it. */
#include "report/report_internal.h"

static void side_write(json_out *j, const sg_compare_side *s)
{
    json_open(j, '{');
    json_key(j, "label"), json_text(j, s->label);
    json_key(j, "state"), json_text(j, s->state);
    json_close(j, '}');
}

static void row_write(json_out *j, const sg_compare_row *r)
{
    const char *name;
    double x;
    json_open(j, '{');
    json_key(j, "pair"), json_count(j, r->pair);
    json_key(j, "measure"), json_text(j, r->measure);
    if (r->delay != SG_COMPARE_NO_DELAY)
        json_key(j, "delay"), json_count(j, r->delay);
    for (size_t i = 0; (name = sg_compare_number(r, i, &x)); i++)
        json_key(j, name), json_value(j, x);
    json_key(j, "verdict"), json_text(j, r->verdict);
    json_key(j, "no_verdict"), json_text(j, r->no_verdict);
    json_close(j, '}');
}

void comparison_write(json_out *j, const sg_comparison *c, const sg_compare_pair *pairs, size_t n_pairs)
{
    size_t n;
    if (!c) {
        json_text(j, NULL);
        return;
    }
    const sg_compare_row *rows = sg_comparison_rows(c, &n);
    json_open(j, '{');
    json_key(j, "tests"), json_count(j, sg_comparison_tests(c));
    json_key(j, "pairs"), json_open(j, '[');
    for (size_t i = 0; i < n_pairs; i++) {
        json_open(j, '{');
        json_key(j, "a"), side_write(j, &pairs[i].a);
        json_key(j, "b"), side_write(j, &pairs[i].b);
        json_key(j, "blocks"), json_count(j, sg_comparison_paired(c, i));
        json_close(j, '}');
    }
    json_close(j, ']');
    json_key(j, "rows"), json_open(j, '[');
    for (size_t i = 0; i < n; i++)
        row_write(j, &rows[i]);
    json_close(j, ']');
    json_key(j, "notes"), json_open(j, '[');
    for (size_t i = 0; sg_comparison_note(c, i); i++)
        json_text(j, sg_comparison_note(c, i));
    json_close(j, ']');
    json_close(j, '}');
}
