/* SPDX-License-Identifier: MIT */
#include "report/plot.h"

#include "base/base_internal.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double text_size = 8, title_size = 9;

plot_colour plot_palette(size_t i)
{
    static const plot_colour colours[] = {
        {0, 0.447, 0.698}, {0.835, 0.369, 0},     {0, 0.620, 0.451},     {0.8, 0.475, 0.655},
        {0.902, 0.624, 0}, {0.337, 0.706, 0.914}, {0.533, 0.133, 0.333}, {0.6, 0.6, 0.2},
    };
    return colours[i % (sizeof colours / sizeof *colours)];
}

static plot_colour between(plot_colour a, plot_colour b, double t)
{
    return (plot_colour){a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t};
}

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

plot_colour plot_viridis(double t)
{
    static const plot_colour at[] = {
        {0.267, 0.005, 0.329}, {0.283, 0.141, 0.458}, {0.254, 0.265, 0.530}, {0.207, 0.372, 0.553},
        {0.164, 0.471, 0.558}, {0.128, 0.567, 0.551}, {0.135, 0.659, 0.518}, {0.267, 0.749, 0.441},
        {0.478, 0.821, 0.318}, {0.741, 0.873, 0.150}, {0.993, 0.906, 0.144},
    };
    double x = clamp(t, 0, 1) * 10;
    size_t i = x >= 10 ? 9 : (size_t)x;
    return between(at[i], at[i + 1], x - (double)i);
}

plot_colour plot_diverging(double t)
{
    static const plot_colour blue = {0, 0.447, 0.698}, white = {0.957, 0.957, 0.949},
                             orange = {0.835, 0.369, 0};
    t = clamp(t, -1, 1);
    return t < 0 ? between(white, blue, -t) : between(white, orange, t);
}

/* ---- coordinates ---- */

static double scaled(double v, double a, double b, bool logarithmic)
{
    if (logarithmic)
        return v > 0 ? log(v / a) / log(b / a) : NAN;
    return (v - a) / (b - a);
}

static double at_x(const plot *p, double x)
{
    return p->left + (p->right - p->left) * scaled(x, p->f.x0, p->f.x1, p->f.log_x);
}

static double at_y(const plot *p, double y)
{
    return p->bottom - (p->bottom - p->top) * scaled(y, p->f.y0, p->f.y1, p->f.log_y);
}

static void ink(plot *p, plot_colour k, double alpha)
{
    cairo_set_source_rgba(p->c, k.r, k.g, k.b, alpha);
}

static const plot_colour black = {0.1, 0.1, 0.1}, grey = {0.35, 0.35, 0.35}, faint = {0.9, 0.9, 0.9};

/* ---- text ---- */

static void select_font(cairo_t *c, double size, bool bold)
{
    cairo_select_font_face(c, "Helvetica", CAIRO_FONT_SLANT_NORMAL,
                           bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c, size);
}

static double text_advance(cairo_t *c, const char *text)
{
    cairo_text_extents_t e;
    cairo_text_extents(c, text, &e);
    return e.x_advance;
}

/* The longest beginning of text, "…" added when cut, that is at most limit wide. */
static void fit(cairo_t *c, char *out, size_t size, const char *text, double limit)
{
    size_t used = 0, left = strlen(text), n;
    size_t whole = left < size - 4 ? left : size - 4;
    memcpy(out, text, whole), out[whole] = '\0';
    while (utf8_valid_prefix(out, strlen(out)) != strlen(out)) /* cut within a character, or never UTF-8 */
        out[utf8_valid_prefix(out, strlen(out))] = '\0';
    if (whole == left && text_advance(c, out) <= limit)
        return;
    for (char saved[256]; out[used]; used += n) {
        n = utf8_length((const unsigned char *)out + used, strlen(out + used));
        n = n ? n : 1;
        memcpy(saved, out, used + n), memcpy(saved + used + n, "…", sizeof "…");
        if (text_advance(c, saved) > limit)
            break;
    }
    memcpy(out + used, "…", sizeof "…");
}

void plot_text(plot *p, double x, double y, double align, double size, const char *text, double limit)
{
    char shown[240];
    select_font(p->c, size, false);
    fit(p->c, shown, sizeof shown, text, limit);
    cairo_move_to(p->c, x - align * text_advance(p->c, shown), y);
    cairo_show_text(p->c, shown);
}

/* ---- axes ---- */

/* 1, 2 or 5 times a power of ten, for about `want` ticks. */
static double nice_step(double range, int want)
{
    double raw = fabs(range) / want, power = pow(10, floor(log10(raw))), x = raw / power;
    return power * (x < 1.5 ? 1 : x < 3.5 ? 2 : x < 7.5 ? 5 : 10);
}

static void tick_x(plot *p, double v, const char *label)
{
    double x = at_x(p, v);
    ink(p, grey, 1);
    cairo_set_line_width(p->c, 0.6);
    cairo_move_to(p->c, x, p->bottom), cairo_line_to(p->c, x, p->bottom + 3);
    cairo_stroke(p->c);
    ink(p, black, 1);
    plot_text(p, x, p->bottom + 12, 0.5, text_size, label, 60);
}

static void tick_y(plot *p, double v, const char *label, bool grid)
{
    double y = at_y(p, v);
    cairo_set_line_width(p->c, 0.5);
    if (grid) {
        ink(p, faint, 1);
        cairo_move_to(p->c, p->left, y), cairo_line_to(p->c, p->right, y);
        cairo_stroke(p->c);
    }
    ink(p, grey, 1);
    cairo_move_to(p->c, p->left - (label[0] ? 3 : 1.5), y), cairo_line_to(p->c, p->left, y);
    cairo_stroke(p->c);
    ink(p, black, 1);
    plot_text(p, p->left - 5, y + 2.8, 1, text_size, label, p->left - 16);
}

static void number_label(char text[32], double v)
{
    snprintf(text, 32, fabs(v) >= 1e5 || (v != 0 && fabs(v) < 1e-3) ? "%.0e" : "%.6g", v);
    char *comma = strchr(text, ',');
    if (comma)
        *comma = '.';
}

/* Decades, and within few decades 2 and 5 of each; the others as small ticks without a label. */
static void ticks_log(plot *p, double a, double b, void (*tick)(plot *p, double v, const char *label))
{
    char text[32];
    double decades = log10(b / a);
    int every = decades > 8 ? (int)ceil(decades / 6) : 1;
    for (int e = (int)floor(log10(a)); e <= (int)ceil(log10(b)); e++)
        for (int m = 1; m < 10; m++) {
            double v = m * pow(10, e);
            if (v < a * 0.999 || v > b * 1.001)
                continue;
            number_label(text, v);
            bool labelled = m == 1 ? e % every == 0 : decades < 2.2 && (m == 2 || m == 5);
            if (labelled || decades < 6)
                tick(p, v, labelled ? text : "");
        }
}

static void tick_y_grid(plot *p, double v, const char *label)
{
    tick_y(p, v, label, label[0] != '\0');
}

static void axes(plot *p)
{
    char text[32];
    const plot_frame *f = &p->f;
    if (f->y_names) {
        size_t step = f->n_names > 40 ? f->n_names / 20 : 1;
        for (size_t i = 0; i < f->n_names; i += step)
            tick_y(p, (double)i, f->y_names[i], false);
    } else if (f->log_y) {
        ticks_log(p, f->y0, f->y1, tick_y_grid);
    } else {
        double step = nice_step(f->y1 - f->y0, 6), low = fmin(f->y0, f->y1), high = fmax(f->y0, f->y1);
        double first = ceil(low / step - 1e-9), last = floor(high / step + 1e-9);
        for (size_t i = 0; first + (double)i <= last; i++)
            number_label(text, (first + (double)i) * step), tick_y(p, (first + (double)i) * step, text, true);
    }
    if (f->log_x) {
        ticks_log(p, f->x0, f->x1, tick_x);
    } else {
        double step = nice_step(f->x1 - f->x0, 8);
        if (strstr(f->x_label, "delay") && step < 1)
            step = 1;
        double first = ceil(f->x0 / step - 1e-9), last = floor(f->x1 / step + 1e-9);
        for (size_t i = 0; first + (double)i <= last; i++)
            number_label(text, (first + (double)i) * step), tick_x(p, (first + (double)i) * step, text);
    }
    ink(p, grey, 1);
    cairo_set_line_width(p->c, 0.7);
    cairo_move_to(p->c, p->left, p->top), cairo_line_to(p->c, p->left, p->bottom);
    cairo_line_to(p->c, p->right, p->bottom);
    cairo_stroke(p->c);
}

void plot_begin(plot *p, cairo_t *c, const plot_frame *f)
{
    *p = (plot){.c = c, .f = *f};
    p->left = f->left > 0 ? f->left : 48, p->right = PLOT_WIDTH - (f->right > 0 ? f->right : 118);
    p->top = 30, p->bottom = PLOT_HEIGHT - 36, p->legend = p->top + 6;
    cairo_set_source_rgb(c, 1, 1, 1);
    cairo_paint(c);
    ink(p, black, 1);
    plot_text(p, 10, 14, 0, title_size, f->title, PLOT_WIDTH - 20);
    axes(p);
    ink(p, black, 1);
    plot_text(p, (p->left + p->right) / 2, PLOT_HEIGHT - 10, 0.5, title_size, f->x_label, p->right - p->left);
    if (!f->y_label)
        return;
    cairo_save(c);
    cairo_translate(c, 13, (p->top + p->bottom) / 2);
    cairo_rotate(c, -M_PI / 2);
    plot_text(p, 0, 0, 0.5, title_size, f->y_label, p->bottom - p->top + 20);
    cairo_restore(c);
}

/* ---- data ---- */

static void clip(plot *p)
{
    cairo_save(p->c);
    cairo_rectangle(p->c, p->left - 3, p->top - 3, p->right - p->left + 6, p->bottom - p->top + 3);
    cairo_clip(p->c);
}

void plot_band(plot *p, size_t n, const double *x, const double *low, const double *high, plot_colour k,
               double alpha)
{
    clip(p);
    ink(p, k, alpha);
    for (size_t i = 0; i + 1 < n; i++) { /* piece by piece: a gap in the data is a gap in the band */
        double a = p->f.log_y ? fmax(low[i], p->f.y0) : low[i],
               b = p->f.log_y ? fmax(low[i + 1], p->f.y0) : low[i + 1];
        double y[4] = {at_y(p, a), at_y(p, b), at_y(p, high[i + 1]), at_y(p, high[i])};
        double u = at_x(p, x[i]), v = at_x(p, x[i + 1]);
        if (!isfinite(low[i] + low[i + 1] + y[0] + y[1] + y[2] + y[3] + u + v))
            continue;
        cairo_move_to(p->c, u, y[0]), cairo_line_to(p->c, v, y[1]);
        cairo_line_to(p->c, v, y[2]), cairo_line_to(p->c, u, y[3]);
        cairo_close_path(p->c);
    }
    cairo_fill(p->c);
    cairo_restore(p->c);
}

static void set_dash(plot *p, int dash)
{
    static const double dashes[][2] = {{0, 0}, {4, 2.5}, {1, 2}, {7, 2}};
    cairo_set_dash(p->c, dashes[dash % 4], dash % 4 ? 2 : 0, 0);
}

void plot_line(plot *p, size_t n, const double *x, const double *y, plot_colour k, double width, int dash)
{
    bool down = false;
    clip(p);
    ink(p, k, 1);
    cairo_set_line_width(p->c, width);
    cairo_set_line_join(p->c, CAIRO_LINE_JOIN_ROUND);
    set_dash(p, dash);
    for (size_t i = 0; i < n; i++) {
        double u = at_x(p, x[i]), v = at_y(p, y[i]);
        if (!isfinite(u) || !isfinite(v))
            down = false;
        else if (down)
            cairo_line_to(p->c, u, v);
        else
            cairo_move_to(p->c, u, v), down = true;
    }
    cairo_stroke(p->c);
    set_dash(p, 0);
    cairo_restore(p->c);
}

static void mark(plot *p, double x, double y, plot_colour k, int shape)
{
    static const double corners[][9] = {/* number of corners, then x, y of each */
                                        {0},
                                        {4, -1, -1, 1, -1, 1, 1, -1, 1},
                                        {3, 0, -1.3, 1.2, 1, -1.2, 1},
                                        {4, 0, -1.4, 1.2, 0, 0, 1.4, -1.2, 0},
                                        {0},
                                        {3, 0, 1.3, 1.2, -1, -1.2, -1}};
    const double size = 2;
    ink(p, k, 1);
    if (shape % 6 == 4) {
        cairo_set_line_width(p->c, 1.3);
        cairo_move_to(p->c, x - size * 1.2, y), cairo_line_to(p->c, x + size * 1.2, y);
        cairo_move_to(p->c, x, y - size * 1.2), cairo_line_to(p->c, x, y + size * 1.2);
        cairo_stroke(p->c);
        return;
    }
    const double *q = corners[shape % 6];
    for (int i = 0; i < (int)q[0]; i++)
        cairo_line_to(p->c, x + size * q[1 + 2 * i], y + size * q[2 + 2 * i]);
    if (q[0] == 0)
        cairo_arc(p->c, x, y, size, 0, 2 * M_PI);
    cairo_close_path(p->c);
    cairo_fill(p->c);
}

void plot_marks(plot *p, size_t n, const double *x, const double *y, plot_colour k, int shape, size_t first,
                size_t step)
{
    clip(p);
    for (size_t i = first; i < n; i += step) {
        double u = at_x(p, x[i]), v = at_y(p, y[i]);
        if (isfinite(u) && isfinite(v))
            mark(p, u, v, k, shape);
    }
    cairo_restore(p->c);
}

void plot_cell(plot *p, double x, double y, plot_colour k)
{
    double u = at_x(p, x - 0.5), v = at_x(p, x + 0.5), a = at_y(p, y - 0.5), b = at_y(p, y + 0.5);
    ink(p, k, 1);
    /* A little wider than it is, under its neighbour to come: else hairlines show between cells. */
    double over_x = v + 0.4 < p->right ? 0.4 : 0, over_y = fmax(a, b) + 0.4 < p->bottom ? 0.4 : 0;
    cairo_rectangle(p->c, u, fmin(a, b), v - u + over_x, fabs(b - a) + over_y);
    cairo_fill(p->c);
}

void plot_dot(plot *p, double x, double y)
{
    ink(p, black, 1);
    cairo_arc(p->c, at_x(p, x), at_y(p, y), 1, 0, 2 * M_PI);
    cairo_fill(p->c);
}

void plot_bar(plot *p, double y, double x, plot_colour k)
{
    double a = at_y(p, y - 0.38), b = at_y(p, y + 0.38), zero = at_x(p, 0), u = at_x(p, x);
    ink(p, k, 1);
    cairo_rectangle(p->c, fmin(zero, u), fmin(a, b), fabs(u - zero), fabs(b - a));
    cairo_fill(p->c);
}

/* ---- legends ---- */

static double legend_entry(plot *p, const char *name)
{
    double y = p->legend;
    ink(p, black, 1);
    plot_text(p, p->right + 32, y + 2.8, 0, text_size, name, PLOT_WIDTH - p->right - 36);
    p->legend += 12;
    return y;
}

void plot_key(plot *p, const char *name, plot_colour k, int shape, int dash)
{
    double y = legend_entry(p, name), x = p->right + 10;
    ink(p, k, 1);
    cairo_set_line_width(p->c, 1.2);
    set_dash(p, dash);
    cairo_move_to(p->c, x, y), cairo_line_to(p->c, x + 18, y);
    cairo_stroke(p->c);
    set_dash(p, 0);
    if (shape >= 0)
        mark(p, x + 9, y, k, shape);
}

void plot_key_box(plot *p, const char *name, plot_colour k, double alpha)
{
    double y = legend_entry(p, name);
    ink(p, k, alpha);
    cairo_rectangle(p->c, p->right + 10, y - 4, 18, 8);
    cairo_fill(p->c);
}

void plot_scale(plot *p, const char *title, const plot_colour *k, size_t n, const char *low,
                const char *middle, const char *high, const char *note)
{
    const double x = p->right + 14, top = p->top + 14, height = 120;
    ink(p, black, 1);
    plot_text(p, x - 4, p->top + 4, 0, text_size, title, PLOT_WIDTH - x);
    for (size_t i = n; i-- > 0;) {
        ink(p, k[i], 1);
        cairo_rectangle(p->c, x, top + height * (double)(n - 1 - i) / (double)n, 9,
                        height / (double)n + (i ? 0.4 : 0));
        cairo_fill(p->c);
    }
    ink(p, black, 1);
    plot_text(p, x + 13, top + height, 0, text_size, low, 60);
    plot_text(p, x + 13, top + height / 2 + 3, 0, text_size, middle, 60);
    plot_text(p, x + 13, top + 6, 0, text_size, high, 60);
    if (note)
        plot_text(p, x - 4, top + height + 16, 0, text_size, note, PLOT_WIDTH - x);
}
