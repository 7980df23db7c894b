/* SPDX-License-Identifier: MIT */
/* show_print.c - a sentence as a triangle on the terminal and as JSON. */
#include "report/json_out.h"
#include "report/report_internal.h"
#include "behaviour/sentence.h"
#include "base/text_out.h"

#include "base/base_internal.h"
#include "base/text_file.h"

#include <math.h>
#include <string.h>

enum { LABEL = 14 };

/* Darkest to brightest of xterm's 256 colours, in steps of about equal lightness; dark ink from BRIGHT on. */
static const int ramp[] = {234, 235, 17, 18, 24, 30, 36, 42, 78, 114, 150, 186, 222, 229};
enum { RAMP = sizeof ramp / sizeof *ramp, BRIGHT = 7 };

/* 1 and above: full; 0.001 and below: none; in between by the logarithm. */
static int shade(double x)
{
    double level = x > 0 ? 1 + log10(x) / 3 : 0;
    level = level < 0 ? 0 : level > 1 ? 1 : level;
    return (int)lround(level * (RAMP - 1));
}

/* "0.42", "1.3", "12" as the width allows; what would round to nothing with its power of ten, "4e-3". */
static void number(char text[16], double x, int width)
{
    double size = fabs(x);
    if (size < 1e-9) {
        snprintf(text, 16, "%*d", width, 0);
    } else if (size < 0.005) {
        char digits[16]; /* "4e-03" */
        snprintf(digits, sizeof digits, "%.0e", x);
        char *zero = strstr(digits, "e-0");
        if (zero)
            memmove(zero + 2, zero + 3, strlen(zero + 3) + 1);
        snprintf(text, 16, "%*s", width, digits);
    } else
        snprintf(text, 16, "%*.*f", width,
                 width < 6 && size >= 9.95    ? 0
                 : width < 6 && size >= 0.995 ? 1
                                              : 2,
                 x);
}

typedef struct {
    FILE *f;
    const sentence *x;
    int cell;     /* characters of a column */
    bool numbers; /* print them, or colour alone */
    bool colour;
} triangle;

static void cell(const triangle *p, double value, double strength)
{
    char text[16] = "";
    if (p->numbers)
        number(text, value, p->cell - 1);
    if (p->colour) {
        int k = shade(strength);
        fprintf(p->f, "\033[48;5;%d;38;5;%dm%*s \033[0m", ramp[k], k >= BRIGHT ? 16 : 252, p->cell - 1, text);
    } else {
        fprintf(p->f, "%*s ", p->cell - 1, text);
    }
}

/* The power of ten that brings the largest of n numbers between 1 and 10, if it is below 0.1; else 1. */
static int unit_of(const double *m, size_t n, double *most)
{
    *most = 0;
    for (size_t i = 0; i < n; i++)
        *most = fmax(*most, fabs(m[i]));
    return *most > 0 && *most < 0.1 ? (int)floor(log10(*most)) : 0;
}

static void words_line(const triangle *p)
{
    for (size_t t = 0; t < p->x->T; t++) {
        text_put(p->f, p->x->text[t], (size_t)p->cell - 1, 1);
        putc(' ', p->f);
    }
    putc('\n', p->f);
}

/* Rows: words read; columns: words now. left: values are divided by the diagonal; else by 10^unit, and
 * strength is by the largest. */
static void draw(const triangle *p, const double *m, bool left, int unit, double most)
{
    const size_t T = p->x->T;
    fprintf(p->f, "%*s", LABEL + 1, "");
    words_line(p);
    for (size_t s = 0; s < T; s++) {
        text_put(p->f, p->x->text[s], LABEL, 1);
        putc(' ', p->f);
        for (size_t t = 0; t < T; t++) {
            double v = m[t * T + s];
            if (t < s)
                fprintf(p->f, "%*s", p->cell, "");
            else if (left)
                v = m[s * T + s] > 0 ? v / m[s * T + s] : 0, cell(p, v, v / most);
            else
                cell(p, v * pow(10, -unit), most > 0 ? fabs(v) / most : 0);
        }
        putc('\n', p->f);
    }
}

static void replacement_table(const triangle *p, const double *m, const char *what, const char *quantity)
{
    double most;
    const int unit = unit_of(m, p->x->T * p->x->T, &most);
    fprintf(p->f, "\nEffect of replacing a word (row) by another on %s after each later word (column): %s",
            what, quantity);
    if (unit)
        fprintf(p->f, ", in 1e%d", unit);
    putc('\n', p->f);
    draw(p, m, false, unit, most);
}

static void replacement_text(const triangle *p, const sg_show *s)
{
    char quantity[80], what[40];
    const sentence *x = p->x;
    if (!x->change)
        return;
    snprintf(quantity, sizeof quantity, "|change|, mean over %zu word%s drawn %s", s->cfg.replace,
             s->cfg.replace == 1 ? "" : "s", s->by_frequency ? "by frequency" : "with equal probability");
    snprintf(what, sizeof what, "the %s state", show_state_name(s));
    replacement_table(p, x->change, what, quantity);
    if (x->kl)
        replacement_table(p, x->kl, "the prediction", "KL divergence of the next word, in nats");
}

static void path_text(FILE *f, const sg_show *s, const sentence *x)
{
    if (s->path[0] && !x->n_paths)
        fprintf(f, "\nPath averages: neither '%s' nor '%s' is in the sentence\n", s->path[0], s->path[1]);
    for (size_t i = 0; i < x->n_paths; i++) {
        const sentence_path *y = &x->paths[i];
        fprintf(
            f,
            "\nWord %zu, %s, replaced by %s: change of the %s state after each later word, as the gradient predicts "
            "it, and as its average along the line from one word to the other gives it (%zu nodes%s)\n",
            y->origin + 1, s->path[!y->first], s->path[y->first], show_state_name(s), y->nodes,
            y->reached ? "" : "; too few: the gap is larger than asked for");
        fprintf(f, "%-*s %10s %10s %12s %10s\n", LABEL, "", "|change|", "|G dx|", "path average", "gap");
        for (size_t d = 0; d < x->T - y->origin; d++) {
            const path_effect *e = &y->effects[d];
            text_put(f, x->text[y->origin + d], LABEL, 1);
            fprintf(f, " %10.4g %10.4g %12.4g", e->change, e->linear, e->average);
            if (isfinite(e->gap))
                fprintf(f, " %10.2g\n", e->gap);
            else
                fprintf(f, " %10s\n", "-");
        }
    }
}

/* What single units hold after each word, and what moves them. */
static void units_text(const triangle *p, const sg_show *s)
{
    const size_t T = p->x->T, n = s->cfg.n_units;
    double most;
    if (!n)
        return;
    int unit = unit_of(p->x->unit_value, n * T, &most);
    fprintf(p->f, "\nSingle units of the %s state (row) after each word (column): value", show_state_name(s));
    if (unit)
        fprintf(p->f, ", in 1e%d", unit);
    fprintf(p->f, "\n%*s", LABEL + 1, "");
    words_line(p);
    for (size_t u = 0; u < n; u++) {
        char label[32];
        snprintf(label, sizeof label, "unit %zu", s->units[u]);
        fprintf(p->f, "%-*s", LABEL + 1, label);
        for (size_t t = 0; t < T; t++) {
            const double v = p->x->unit_value[u * T + t];
            cell(p, v * pow(10, -unit), most > 0 ? fabs(v) / most : 0);
        }
        putc('\n', p->f);
    }
    for (size_t u = 0; u < n; u++) {
        const double *m = p->x->unit_gain + u * T * T;
        unit = unit_of(m, T * T, &most);
        fprintf(p->f,
                "\nGain from each word (row) to unit %zu after each word (column): |d unit / d embedding|",
                s->units[u]);
        if (unit)
            fprintf(p->f, ", in 1e%d", unit);
        putc('\n', p->f);
        draw(p, m, false, unit, most);
    }
}

static void sentence_text(FILE *f, const sg_show *s, const sentence *x, size_t width, bool colour)
{
    const size_t room = width > LABEL + 1 ? width - LABEL - 1 : 0;
    triangle p = {f, x, 8, true, colour};
    if (width && x->T * 8 > room)
        p.cell = x->T * 5 <= room || !colour ? 5 : 3;
    p.numbers = p.cell > 3;
    fprintf(f,
            "Gain from each word (row) to each later state (column): |d %s / d embedding|, relative to the "
            "word itself\n",
            show_state_name(s));
    double most = 1; /* a network may amplify what it read: then the largest is full colour */
    for (size_t i = 0; i < x->T * x->T; i++)
        most = fmax(most, x->frobenius[i] > 0 ? x->frobenius[i] / x->frobenius[i % x->T * (x->T + 1)] : 0);
    draw(&p, x->frobenius, true, 0, most);
    replacement_text(&p, s);
    path_text(f, s, x);
    units_text(&p, s);
    if (!s->target)
        return;
    const int unit = unit_of(x->effect, x->T * x->T, &most);
    fputs("\n"
          "Effect of each word (row) on the score ",
          f);
    text_put(f, s->score_name, 60, 0);
    fputs(" after each word (column), to first order", f);
    if (unit)
        fprintf(f, ", in 1e%d", unit);
    putc('\n', f);
    draw(&p, x->effect, false, unit, most);
    fprintf(f, "%-*s ", LABEL, "the score");
    for (size_t t = 0; t < x->T; t++) {
        char text[16] = "";
        if (p.numbers)
            number(text, x->score[t], p.cell - 1);
        fprintf(f, "%*s ", p.cell - 1, text);
    }
    putc('\n', f);
}

sg_status sg_show_text(const sg_writer *to, const sg_show *s, size_t width, bool colour, sg_error *err)
{
    FILE *f;
    sg_status st = writer_open(&f, to, err);
    if (st != SG_OK)
        return st;
    for (size_t i = 0; i < s->n; i++) {
        const sentence *x = &s->sentences[i];
        size_t unknown = 0;
        if (i)
            putc('\n', f);
        sentence_text(f, s, x, width, colour);
        for (size_t t = 0; t < x->T; t++)
            unknown += x->unknown[t];
        if (unknown) {
            fprintf(f, "read as <unk>:");
            for (size_t t = 0; t < x->T; t++)
                if (x->unknown[t])
                    putc(' ', f), text_put(f, x->text[t], 40, 0);
            putc('\n', f);
        }
    }
    return writer_close(f, err);
}

/* Rows t with entries s = 0 .. t; divided by the diagonal entry of s if left. */
static void json_triangle(json_out *j, const char *key, size_t T, const double *m, bool left, int digits)
{
    json_key(j, key), json_open(j, '[');
    for (size_t t = 0; t < T; t++) {
        json_open(j, '[');
        for (size_t s = 0; s <= t; s++)
            json_number(j, left ? m[t * T + s] / m[s * T + s] : m[t * T + s], digits);
        json_close(j, ']');
    }
    json_close(j, ']');
}

/* Entries from the word itself on. */
static void json_path(json_out *j, const sg_show *s, const sentence_path *y, size_t n, int digits)
{
    static const char *const keys[] = {"change", "linear_prediction", "path_average", "gap"};
    json_open(j, '{');
    json_key(j, "word"), json_count(j, y->origin);
    json_key(j, "from"), json_text(j, s->path[!y->first]);
    json_key(j, "to"), json_text(j, s->path[y->first]);
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        json_key(j, keys[k]), json_open(j, '[');
        for (size_t d = 0; d < n; d++) {
            const path_effect *e = &y->effects[d];
            const double values[] = {e->change, e->linear, e->average, e->gap};
            json_number(j, values[k], digits);
        }
        json_close(j, ']');
    }
    json_key(j, "nodes"), json_count(j, y->nodes);
    json_key(j, "reached"), json_bool(j, y->reached);
    json_close(j, '}');
}

static void json_paths(json_out *j, const sg_show *s, const sentence *x, int digits)
{
    json_key(j, "paths"), json_open(j, '[');
    for (size_t i = 0; i < x->n_paths; i++)
        json_path(j, s, &x->paths[i], x->T - x->paths[i].origin, digits);
    json_close(j, ']');
}

static void json_units(json_out *j, const sg_show *s, const sentence *x, int digits)
{
    json_key(j, "units"), json_open(j, '[');
    for (size_t u = 0; u < s->cfg.n_units; u++) {
        json_open(j, '{');
        json_key(j, "unit"), json_count(j, s->units[u]);
        json_key(j, "value"), json_open(j, '[');
        for (size_t t = 0; t < x->T; t++)
            json_number(j, x->unit_value[u * x->T + t], digits);
        json_close(j, ']');
        json_triangle(j, "gain", x->T, x->unit_gain + u * x->T * x->T, false, digits);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void json_sentence(json_out *j, const sg_show *s, const sentence *x, int digits)
{
    json_open(j, '{');
    json_key(j, "words"), json_open(j, '[');
    for (size_t t = 0; t < x->T; t++) {
        json_open(j, '{');
        json_key(j, "text"), json_text(j, x->text[t]);
        json_key(j, "unknown"), json_bool(j, x->unknown[t]);
        if (s->target)
            json_key(j, "score"), json_number(j, x->score[t], digits);
        json_close(j, '}');
    }
    json_close(j, ']');
    json_triangle(j, "gain_frobenius", x->T, x->frobenius, false, digits);
    json_triangle(j, "gain_spectral", x->T, x->spectral, false, digits);
    json_triangle(j, "left_frobenius", x->T, x->frobenius, true, digits);
    json_triangle(j, "left_spectral", x->T, x->spectral, true, digits);
    if (x->change)
        json_triangle(j, "replacement_change", x->T, x->change, false, digits);
    if (x->kl)
        json_triangle(j, "replacement_kl", x->T, x->kl, false, digits);
    if (s->path[0])
        json_paths(j, s, x, digits);
    if (s->cfg.n_units)
        json_units(j, s, x, digits);
    if (s->target) {
        json_triangle(j, "score_gradient", x->T, x->use, false, digits);
        json_triangle(j, "score_effect", x->T, x->effect, false, digits);
    }
    json_close(j, '}');
}

static void show_data_write(json_out *j, const sg_show *s, int digits)
{
    json_open(j, '{');
    json_key(j, "version"), json_text(j, sg_version());
    json_key(j, "layer"), json_count(j, s->cfg.layer);
    json_key(j, "state"), json_text(j, show_state_name(s));
    json_key(j, "score"), json_text(j, s->score_name);
    json_key(j, "replacements"), json_count(j, s->cfg.replace);
    json_key(j, "replacement_law"), json_text(j, s->by_frequency ? "by frequency" : "with equal probability");
    json_key(j, "sentences"), json_open(j, '[');
    for (size_t i = 0; i < s->n; i++)
        json_sentence(j, s, &s->sentences[i], digits);
    json_close(j, ']'), json_close(j, '}');
}

sg_status sg_show_json(const sg_writer *to, const sg_show *s, sg_error *err)
{
    FILE *f;
    sg_status st = writer_open(&f, to, err);
    if (st != SG_OK)
        return st;
    json_out j = {f, false};
    show_data_write(&j, s, 9);
    putc('\n', f);
    return writer_close(f, err);
}

static sg_status page_data(json_out *j, const void *ctx, sg_error *err)
{
    (void)err;
    show_data_write(j, ctx, JSON_PAGE_DIGITS);
    return SG_OK;
}

sg_status sg_show_page(const char *html_path, const sg_show *s, sg_error *err)
{
    sg_status st = SG_OK;
    sg_outfile *out = NULL;
    TRY(outfile_open_text(&out, html_path, err));
    TRY(page_write(sg_outfile_stream(out), "show.html", page_data, s, err));
    st = sg_outfile_commit(out, err), out = NULL;
done:
    sg_outfile_abort(out);
    return st;
}
