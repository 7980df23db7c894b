/* SPDX-License-Identifier: MIT */
/* plot.h - a small plotting layer over cairo: one panel with axes, ticks, bands, lines, marks, cells and a
 * legend.
 *
 * Data coordinates go through the frame's scales; NaN (and what a log scale cannot show) breaks a line and
 * leaves a cell empty. Lengths are in points (1/72 inch), text is 8 and 9 points: a figure fits a journal's
 * column and a half. */
#ifndef SG_REPORT_PLOT_H
#define SG_REPORT_PLOT_H

#include <cairo.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    double r, g, b;
} plot_colour;

typedef struct {
    const char *title, *x_label, *y_label;
    bool log_x, log_y;
    double x0, x1, y0, y1;      /* data range of the panel; y0 > y1: downwards */
    double left, right;         /* margins in points; 0: 48 and 118 (room for a legend) */
    const char *const *y_names; /* names of rows 0, 1, ... instead of numbers; n_names of them */
    size_t n_names;
} plot_frame;

enum { PLOT_WIDTH = 432, PLOT_HEIGHT = 260 };

typedef struct {
    cairo_t *c;
    plot_frame f;
    double left, right, top, bottom; /* of the panel, in points */
    double legend;                   /* where the next entry goes */
} plot;

/* Colour-blind-safe (Okabe and Ito; wine and olive after Tol); i beyond the last begins anew. */
plot_colour plot_palette(size_t i);

/* Clears, draws title, axes, grid and labels. */
void plot_begin(plot *p, cairo_t *c, const plot_frame *f);
void plot_band(plot *p, size_t n, const double *x, const double *low, const double *high, plot_colour k,
               double alpha);
/* dash 0: solid; 1: dashed; 2: dotted. */
void plot_line(plot *p, size_t n, const double *x, const double *y, plot_colour k, double width, int dash);
/* Every `step`-th point from `first`, shape 0 .. 5 (circle, square, triangle, diamond, cross, triangle down).
 */
void plot_marks(plot *p, size_t n, const double *x, const double *y, plot_colour k, int shape, size_t first,
                size_t step);
void plot_key(plot *p, const char *name, plot_colour k, int shape, int dash); /* shape -1: a line alone */
void plot_key_box(plot *p, const char *name, plot_colour k, double alpha);
/* A cell of a heatmap: x - 1/2 .. x + 1/2, y - 1/2 .. y + 1/2. */
void plot_cell(plot *p, double x, double y, plot_colour k);
void plot_dot(plot *p, double x, double y);
void plot_bar(plot *p, double y, double x, plot_colour k);
/* A colour bar at the right: colours at equal steps from below to above, marked low, middle, high; a note
 * below it (or NULL). */
void plot_scale(plot *p, const char *title, const plot_colour *k, size_t n, const char *low,
                const char *middle, const char *high, const char *note);
/* Text at most `limit` points wide, cut with an ellipsis. align 0: left, 0.5: centre, 1: right of x. */
void plot_text(plot *p, double x, double y, double align, double size, const char *text, double limit);

/* Viridis (0 .. 1) and a blue - white - orange (-1 .. 1) scale. */
plot_colour plot_viridis(double t);
plot_colour plot_diverging(double t);

#endif
