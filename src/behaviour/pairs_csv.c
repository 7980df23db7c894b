/* SPDX-License-Identifier: MIT */
/* pairs_csv.c - a scored suite as tables. */
#include "behaviour/pairs_internal.h"

#include "base/base_internal.h"
#include "base/csv_out.h"
#include "base/text_file.h"

#include <inttypes.h>
#include <math.h>

static void put_numbers(FILE *f, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fputc(',', f), csv_number(f, x[i]);
}

static void put_quantity(FILE *f, const char *condition, const char *role, const char *quantity,
                         uint64_t pairs, const double x[3], bool spreadsheet)
{
    csv_field(f, condition, spreadsheet), fputc(',', f);
    csv_field(f, role, spreadsheet);
    fprintf(f, ",%s,%" PRIu64, quantity, pairs);
    put_numbers(f, x, 3);
    fputc('\n', f);
}

static void put_conditions(FILE *f, const sg_pairs *p, bool spreadsheet)
{
    fputs("condition,role,quantity,pairs,value,low,high\n", f);
    for (size_t c = 0; c < p->n_conditions; c++) {
        const sg_pairs_condition *x = &p->conditions[c];
        const struct {
            const char *name;
            double x[3];
        } rows[] = {{"accuracy", {x->accuracy, x->accuracy_low, x->accuracy_high}},
                    {"difference", {x->difference, x->difference_low, x->difference_high}},
                    {"right", {(double)x->right, (double)NAN, (double)NAN}},
                    {"ties", {(double)x->ties, (double)NAN, (double)NAN}},
                    {"one_unknown", {(double)x->one_unknown, (double)NAN, (double)NAN}},
                    {"left_out", {(double)x->left_out, (double)NAN, (double)NAN}}};
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            put_quantity(f, x->name, "", rows[i].name, x->pairs, rows[i].x, spreadsheet);
        for (size_t i = 0; i < p->n_roles; i++) {
            const sg_pairs_role *r = &p->roles[c * p->n_roles + i];
            const double mean[] = {r->attribution, r->low, r->high},
                         less[] = {r->first_minus, r->first_minus_low, r->first_minus_high};
            put_quantity(f, x->name, r->name, "attribution", r->pairs, mean, spreadsheet);
            if (i)
                put_quantity(f, x->name, r->name, "first_minus", r->both, less, spreadsheet);
        }
    }
}

static const char *text_of(const sg_pairs *p, int32_t word)
{
    return word < 0 ? "" : string_table_get(p->file.word, (size_t)word, NULL);
}

/* A sentence is a field in quotes: what it is made of may hold anything. */
static void put_sentence(FILE *f, const sg_pairs *p, size_t begin, size_t n)
{
    fputs(",\"", f);
    for (size_t i = 0; i < n; i++) {
        if (i)
            fputc(' ', f);
        for (const char *c = text_of(p, p->file.words[begin + i]); *c; c++) {
            if (*c == '"')
                fputc('"', f);
            fputc(*c, f);
        }
    }
    fputc('"', f);
}

static void put_items(FILE *f, const sg_pairs *p, bool spreadsheet)
{
    fputs("line,condition,good,bad,log_p_good,log_p_bad,difference,unknown_words,left_out\n", f);
    for (size_t i = 0; i < p->file.n; i++) {
        const pairs_entry *e = &p->file.entries[i];
        sg_pairs_item x;
        sg_pairs_get_item(p, i, &x);
        fprintf(f, "%zu,", x.line);
        csv_field(f, x.condition, spreadsheet);
        put_sentence(f, p, e->good, e->n_good), put_sentence(f, p, e->bad, e->n_bad);
        put_numbers(f, (const double[]){x.log_p_good, x.log_p_bad, x.difference}, 3);
        fprintf(f, ",%" PRIu64 ",%d\n", x.unknown_words, x.left_out);
    }
}

static void put_word(FILE *f, const sg_pairs *p, const pairs_entry *e, const char *condition, size_t position,
                     const char *good, const char *bad, double attribution, bool spreadsheet)
{
    bool any = false;
    fprintf(f, "%zu,", e->line);
    csv_field(f, condition, spreadsheet);
    if (position < 1 + e->n_good)
        fprintf(f, ",%zu,", position);
    else
        fputs(",,", f);
    csv_field(f, good, spreadsheet), fputc(',', f);
    csv_field(f, bad, spreadsheet), fputc(',', f);
    for (size_t k = e->place; k < e->place + e->n_places; k++)
        if (p->file.places[k].word + 1 == position) {
            if (any)
                fputc(' ', f);
            csv_field(f, string_table_get(p->file.role, (size_t)p->file.places[k].role, NULL), spreadsheet);
            any = true;
        }
    put_numbers(f, &attribution, 1);
    fputc('\n', f);
}

static void put_words(FILE *f, const sg_pairs *p, bool spreadsheet)
{
    fputs("line,condition,position,good,bad,role,attribution\n", f);
    for (size_t i = 0; i < p->file.n; i++) {
        const pairs_entry *e = &p->file.entries[i];
        const pairs_result *r = &p->results[i];
        sg_pairs_item x;
        sg_pairs_get_item(p, i, &x);
        for (size_t k = p->summary.begins ? 0 : 1; k < r->n && !r->left_out; k++) {
            pairs_slot s;
            pairs_get_slot(p, i, k, &s);
            put_word(f, p, e, x.condition, k, k ? text_of(p, s.good) : "<eos>",
                     k ? text_of(p, s.bad) : "<eos>", s.attribution, spreadsheet);
        }
    }
}

sg_status sg_pairs_write_csv(const sg_pairs *p, sg_pairs_table table, const char *path, sg_csv_style style,
                             sg_error *err)
{
    sg_outfile *o;
    if (table == SG_PAIRS_WORDS && !p->attribution)
        return sg_fail(err, SG_EINVAL, "pairs: no attributions were computed: setting 'attribution'");
    sg_status st = outfile_open_text(&o, path, err);
    if (st != SG_OK)
        return st;
    static void (*const put[])(FILE *, const sg_pairs *, bool) = {put_conditions, put_items, put_words};
    put[table](sg_outfile_stream(o), p, style == SG_CSV_SPREADSHEET);
    return sg_outfile_commit(o, err);
}
