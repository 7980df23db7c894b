/* SPDX-License-Identifier: MIT */
/* figures.c - the report's charts as SVG and PDF files, one pair a chart. What a run lacks gives no file. */
#include "base/base_internal.h"
#include "report/plot.h"
#include "report/report_internal.h"
#include "report/words.h"

#include <cairo-pdf.h>
#include <cairo-svg.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

enum { SHOWN_CLASSES = 8, WORDS_TOP = 8 };

typedef struct {
    const char *dir, *prefix;
    sg_run *r;
    const char *group;
    size_t D, C, rank;
    size_t *written;
} context;

/* ---- files ---- */

static cairo_status_t put(void *stream, const unsigned char *data, unsigned int n)
{
    return fwrite(data, 1, n, stream) == n ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

typedef void drawing(cairo_t *c, const void *what);

/* created: the run's own date, so that the same run gives the same bytes. */
static sg_status write_one(const char *path, bool pdf, const char *created, drawing *draw, const void *what,
                           sg_error *err)
{
    sg_status st = SG_OK;
    sg_outfile *out = NULL;
    TRY(sg_outfile_open(&out, path, err));
    cairo_surface_t *surface =
        (pdf ? cairo_pdf_surface_create_for_stream
             : cairo_svg_surface_create_for_stream)(put, sg_outfile_stream(out), PLOT_WIDTH, PLOT_HEIGHT);
    if (!pdf)
        cairo_svg_surface_set_document_unit(surface, CAIRO_SVG_UNIT_PT);
    else if (created)
        cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_CREATE_DATE, created);
    cairo_t *c = cairo_create(surface);
    draw(c, what);
    cairo_show_page(c);
    cairo_status_t drawn = cairo_status(c);
    cairo_destroy(c);
    cairo_surface_finish(surface);
    if (drawn == CAIRO_STATUS_SUCCESS)
        drawn = cairo_surface_status(surface);
    cairo_surface_destroy(surface);
    if (drawn != CAIRO_STATUS_SUCCESS)
        TRY(sg_fail(err, drawn == CAIRO_STATUS_NO_MEMORY ? SG_ENOMEM : SG_EIO, "%s: %s", path,
                    cairo_status_to_string(drawn)));
    st = sg_outfile_commit(out, err), out = NULL;
done:
    sg_outfile_abort(out);
    return st;
}

static sg_status write_figure(const context *x, const char *name, drawing *draw, const void *what,
                              sg_error *err)
{
    char path[4096];
    for (int pdf = 0; pdf < 2; pdf++) {
        int n = snprintf(path, sizeof path, "%s/%s%s-%s.%s", x->dir, x->prefix, name, x->group,
                         pdf ? "pdf" : "svg");
        if (n < 0 || (size_t)n >= sizeof path)
            return sg_fail(err, SG_EINVAL, "figures: %s: the folder's name is too long", x->dir);
        sg_status st = write_one(path, pdf, sg_run_attribute(x->r, "created"), draw, what, err);
        if (st != SG_OK)
            return st;
        ++*x->written;
    }
    return SG_OK;
}

/* "layer 1, cell state" of "layer1.cell" */
static const char *group_title(const context *x, char text[96])
{
    const char *dot = strchr(x->group, '.');
    if (!dot || strncmp(x->group, "layer", 5))
        snprintf(text, 96, "%s", x->group);
    else
        snprintf(text, 96, "layer %.*s, %s state", (int)(dot - x->group - 5), x->group + 5, dot + 1);
    return text;
}

/* What a step is: words, or characters of a character model. */
static const char *delay_label(const context *x)
{
    const char *unit = sg_run_attribute(x->r, "unit");
    return unit && !strcmp(unit, "char") ? "delay d (characters)" : "delay d (words)";
}

/* ---- reading ---- */

/* (class c of) a variable by delay, first entry of a further dimension; false: not in the file. out (D). */
static sg_status by_delay(const context *x, const char *group, const char *variable, const size_t *leading,
                          size_t n_leading, size_t last, double *out, bool *there, sg_error *err)
{
    size_t rank, shape[SG_RUN_MAX_DIMS], start[SG_RUN_MAX_DIMS] = {0}, count[SG_RUN_MAX_DIMS];
    *there = sg_run_shape(x->r, group, variable, &rank, shape) && rank > n_leading &&
             shape[n_leading] == x->D && rank <= n_leading + 2 &&
             (rank == n_leading + 1 || last < shape[rank - 1]);
    for (size_t d = 0; d < x->D; d++)
        out[d] = NAN;
    if (!*there)
        return SG_OK;
    for (size_t i = 0; i < rank; i++)
        start[i] = i < n_leading ? leading[i] : i == n_leading ? 0 : last, count[i] = 1;
    count[n_leading] = x->D;
    return sg_run_read(x->r, group, variable, start, count, out, err);
}

/* "all" and the classes of most tokens, in file order. */
static size_t choose_classes(const context *x, size_t chosen[SHOWN_CLASSES])
{
    size_t n = 0;
    for (size_t c = 0; c < x->C; c++) {
        size_t larger = 0;
        for (size_t b = 1; b < x->C; b++)
            larger += sg_run_class_tokens(x->r, b) > sg_run_class_tokens(x->r, c) ||
                      (sg_run_class_tokens(x->r, b) == sg_run_class_tokens(x->r, c) && b < c);
        if ((c == 0 || larger < SHOWN_CLASSES - 1) && n < SHOWN_CLASSES)
            chosen[n++] = c;
    }
    return n;
}

/* ---- curves ---- */

typedef struct {
    char title[200], base_name[32];
    const char *x_label, *y_label;
    bool log_y, unit_range;
    size_t D, n;
    const char *names[SHOWN_CLASSES];
    bool black_first;                                 /* the first series is "all" */
    double *x, *y, *low, *high;                       /* (D), (n,D) */
    double *base, *random, *random_low, *random_high; /* (D) untrained "all"; random directions */
    bool has_base, has_random;
} curves;

static const plot_colour dark = {0.07, 0.07, 0.07}, middle = {0.5, 0.5, 0.5};

static plot_colour series_colour(const curves *k, size_t i)
{
    return k->black_first ? (i ? plot_palette(i - 1) : dark) : plot_palette(i);
}

static void range_of(const curves *k, double *low, double *high)
{
    *low = INFINITY, *high = -INFINITY;
    double least = INFINITY;
    for (size_t i = 0; i < k->n * k->D; i++) {
        double a = isfinite(k->low[i]) ? k->low[i] : k->y[i], b = isfinite(k->high[i]) ? k->high[i] : k->y[i];
        if (k->log_y && k->y[i] > 0)
            least = fmin(least, k->y[i]);
        if (isfinite(a) && (!k->log_y || a > 0))
            *low = fmin(*low, a);
        if (isfinite(b))
            *high = fmax(*high, b);
    }
    for (size_t d = 0; k->has_random && d < k->D; d++)
        if (isfinite(k->random_high[d]))
            *high = fmax(*high, k->random_high[d]);
    double fall = least;
    for (size_t d = 0; k->has_base && d < k->D; d++)
        if (isfinite(k->base[d]) && (!k->log_y || k->base[d] > 0))
            fall = fmin(fall, k->base[d]), *high = fmax(*high, k->base[d]);
    /* neither a band that nearly reaches 0 nor an untrained net may make the axis all its own */
    if (k->log_y) {
        *low = fmin(fmax(*low, least / 10), fmax(fall, least / 3)) * 0.85;
        *high *= 1.15;
    } else
        *low = 0, *high *= 1.05;
    if (k->unit_range)
        *low = 0, *high = 1;
    if (!(*high > *low) || !isfinite(*low) || !isfinite(*high))
        *low = k->log_y ? 0.1 : 0, *high = 1;
}

static void draw_curves(cairo_t *c, const void *what)
{
    const curves *k = what;
    plot p;
    plot_frame f = {.title = k->title,
                    .x_label = k->x_label,
                    .y_label = k->y_label,
                    .log_y = k->log_y,
                    .x1 = k->D > 1 ? (double)(k->D - 1) : 1};
    range_of(k, &f.y0, &f.y1);
    plot_begin(&p, c, &f);
    size_t step = (k->D + 11) / 12;
    if (k->has_random) {
        plot_band(&p, k->D, k->x, k->random_low, k->random_high, middle, 0.25);
        plot_line(&p, k->D, k->x, k->random, middle, 0.8, 2);
    }
    for (size_t i = k->n; i-- > 0;)
        plot_band(&p, k->D, k->x, k->low + i * k->D, k->high + i * k->D, series_colour(k, i), 0.18);
    if (k->has_base)
        plot_line(&p, k->D, k->x, k->base, dark, 0.9, 1);
    for (size_t i = k->n; i-- > 0;) {
        plot_line(&p, k->D, k->x, k->y + i * k->D, series_colour(k, i), 1.2, 0);
        plot_marks(&p, k->D, k->x, k->y + i * k->D, series_colour(k, i), (int)i, (k->n - i) % step, step);
    }
    for (size_t i = 0; i < k->n; i++)
        plot_key(&p, k->names[i], series_colour(k, i), (int)i, 0);
    if (k->has_base)
        plot_key(&p, k->base_name, dark, -1, 1);
    if (k->has_random)
        plot_key_box(&p, "random, 95 %", middle, 0.25);
}

static void curves_free(curves *k)
{
    sg_free(k->x);
    *k = (curves){0};
}

static sg_status curves_new(curves *k, const context *x, size_t n, sg_error *err)
{
    const size_t D = x->D;
    *k = (curves){.D = D, .n = n, .x_label = delay_label(x)};
    if (!(k->x = sg_calloc(5 + 3 * n, D * sizeof *k->x)))
        return no_memory(err, "the figures");
    k->y = k->x + D, k->low = k->y + n * D, k->high = k->low + n * D, k->base = k->high + n * D;
    k->random = k->base + D, k->random_low = k->random + D, k->random_high = k->random_low + D;
    for (size_t d = 0; d < D; d++)
        k->x[d] = (double)d;
    return SG_OK;
}

typedef struct {
    const char *name, *variable, *title, *y_label;
    bool log_y, unit_range;
} quantity;

static const quantity quantities[] = {
    {"sigma1", "singular_value", "Largest singular value", "largest singular value", true, false},
    {"sum", "singular_sum", "Sum of singular values", "sum of singular values", true, false},
    {"rms", "rms_gain", "Rms gain, strongest direction", "rms gain", true, false},
    {"coherence", "coherence", "Coherence", "coherence", false, true},
    {"effective-rank", "effective_rank", "Effective rank", "effective rank (directions)", false, false},
};

/* A curve far below is drawn magnified so that it begins where class all does, with a note. */
static void scale_base(curves *k)
{
    double factor = k->log_y && k->base[0] > 0 && k->y[0] > 10 * k->base[0] ? k->y[0] / k->base[0] : 1;
    for (size_t d = 0; d < k->D; d++)
        k->base[d] *= factor;
    if (factor > 1)
        snprintf(k->base_name, sizeof k->base_name, "untrained × %.3g", factor);
    else
        snprintf(k->base_name, sizeof k->base_name, "all, untrained");
}

static sg_status curves_figure(const context *x, const quantity *q, sg_error *err)
{
    sg_status st = SG_OK;
    size_t chosen[SHOWN_CLASSES] = {0}, n = choose_classes(x, chosen);
    bool there = true, ignored;
    char variable[64], baseline[96], of[96];
    curves k;
    TRY(curves_new(&k, x, n, err));
    for (size_t i = 0; i < n && there; i++) {
        k.names[i] = sg_run_class_name(x->r, chosen[i]);
        TRY(by_delay(x, x->group, q->variable, &chosen[i], 1, 0, k.y + i * x->D, &there, err));
        snprintf(variable, sizeof variable, "%s_low", q->variable);
        TRY(by_delay(x, x->group, variable, &chosen[i], 1, 0, k.low + i * x->D, &ignored, err));
        snprintf(variable, sizeof variable, "%s_high", q->variable);
        TRY(by_delay(x, x->group, variable, &chosen[i], 1, 0, k.high + i * x->D, &ignored, err));
    }
    snprintf(baseline, sizeof baseline, "untrained.%s", x->group);
    TRY(by_delay(x, baseline, q->variable, chosen, 1, 0, k.base, &k.has_base, err));
    snprintf(k.title, sizeof k.title, "%s by delay, %s", q->title, group_title(x, of));
    k.y_label = q->y_label, k.log_y = q->log_y, k.unit_range = q->unit_range, k.black_first = true;
    scale_base(&k);
    if (there)
        TRY(write_figure(x, q->name, draw_curves, &k, err));
done:
    curves_free(&k);
    return st;
}

/* Properties of class all: relative memory, and the cosine with the first 10 directions. */
static sg_status property_figure(const context *x, bool cosine, sg_error *err)
{
    sg_status st = SG_OK;
    const char *const base = cosine ? "subspace_cosine" : "relative_memory";
    static const char *const suffixes[] = {"", "_low", "_high", "_random", "_random_low", "_random_high"};
    size_t n = sg_run_properties(x->r), last = x->rank < 10 ? x->rank - 1 : 9;
    n = n < SHOWN_CLASSES ? n : SHOWN_CLASSES;
    curves k = {0};
    char variable[64], label[64], of[96];
    bool there = n > 0, found;
    if (!there)
        return SG_OK;
    TRY(curves_new(&k, x, n, err));
    for (size_t i = 0; i < n; i++) {
        const size_t leading[2] = {i, 0};
        double *const out[] = {k.y + i * x->D, k.low + i * x->D, k.high + i * x->D,
                               k.random,       k.random_low,     k.random_high};
        k.names[i] = sg_run_property_name(x->r, i);
        for (size_t s = 0; s < (i ? 3 : 6); s++) {
            snprintf(variable, sizeof variable, "%s%s", base, suffixes[s]);
            TRY(by_delay(x, x->group, variable, leading, 2, last, out[s], &found, err));
            there = there && (s || found);
            k.has_random = s >= 3 ? found : k.has_random;
        }
    }
    snprintf(label, sizeof label, cosine ? "cosine with the first %zu directions" : "relative memory",
             last + 1);
    snprintf(k.title, sizeof k.title, "%s by delay, class all, %s",
             cosine ? "Subspace cosine" : "Relative memory", group_title(x, of));
    k.y_label = label, k.unit_range = cosine;
    if (there)
        TRY(write_figure(x, cosine ? "subspace-cosine" : "relative-memory", draw_curves, &k, err));
done:
    curves_free(&k);
    return st;
}

/* ---- heatmaps ---- */

typedef struct {
    char title[200], low[32], middle[32], high[32];
    const char *x_label, *y_label, *scale_title, *note;
    size_t D, rows;
    const char **names; /* (rows) or NULL: 1 .. rows */
    double *t;          /* (rows,D) place on the colour scale */
    bool *dots;         /* (rows,D) */
    bool diverging;
} heatmap;

static void draw_heatmap(cairo_t *c, const void *what)
{
    const heatmap *k = what;
    plot p;
    plot_colour bar[64];
    plot_frame f = {.title = k->title,
                    .x_label = k->x_label,
                    .y_label = k->y_label,
                    .x0 = -0.5,
                    .x1 = (double)k->D - 0.5,
                    .y0 = (double)k->rows - 0.5,
                    .y1 = -0.5,
                    .left = k->names ? 92 : 48,
                    .right = 80,
                    .y_names = k->names,
                    .n_names = k->names ? k->rows : 0};
    if (!k->names)
        f.y0 += 1, f.y1 += 1;
    plot_begin(&p, c, &f);
    for (size_t i = 0; i < k->rows; i++)
        for (size_t d = 0; d < k->D; d++) {
            double t = k->t[i * k->D + d], y = (double)(k->names ? i : i + 1);
            if (!isfinite(t))
                continue;
            plot_cell(&p, (double)d, y, k->diverging ? plot_diverging(t) : plot_viridis(t));
            if (k->dots && k->dots[i * k->D + d])
                plot_dot(&p, (double)d, y);
        }
    for (size_t i = 0; i < 64; i++)
        bar[i] = k->diverging ? plot_diverging((double)i / 31.5 - 1) : plot_viridis((double)i / 63);
    plot_scale(&p, k->scale_title, bar, 64, k->low, k->middle, k->high, k->note);
}

/* sigma_1 of each class relative to random classes of its size (or to all, where there was no such test). */
static sg_status classes_figure(const context *x, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t D = x->D, rows = x->C < 41 ? x->C - 1 : 40;
    bool tested, there, ignored, dotted = false;
    char of[96];
    double most = log(1.05);
    heatmap k = {.D = D, .rows = rows, .x_label = delay_label(x), .diverging = true, .middle = "1"};
    double *y = NULL;
    if (!rows)
        return SG_OK;
    k.t = sg_calloc(rows, D * sizeof *k.t), k.dots = sg_calloc(rows, D * sizeof *k.dots);
    k.names = sg_calloc(rows, sizeof *k.names), y = sg_calloc(4, D * sizeof *y);
    NEED(k.t && k.dots && k.names && y, err, "the figures");
    for (size_t i = 0, c = 1; i < rows; i++, c++) {
        const size_t zero = 0;
        k.names[i] = sg_run_class_name(x->r, c);
        TRY(by_delay(x, x->group, "singular_value", &c, 1, 0, y, &there, err));
        TRY(by_delay(x, x->group, "class_null_low", &c, 1, 0, y + D, &tested, err));
        TRY(by_delay(x, x->group, "class_null_high", &c, 1, 0, y + 2 * D, &ignored, err));
        TRY(by_delay(x, x->group, "class_difference_p_adjusted", &c, 1, 0, y + 3 * D, &ignored, err));
        if (!tested)
            TRY(by_delay(x, x->group, "singular_value", &zero, 1, 0, y + D, &there, err));
        for (size_t d = 0; d < D; d++) {
            double beside = tested ? sqrt(y[D + d] * y[2 * D + d]) : y[D + d];
            k.t[i * D + d] = y[d] > 0 && beside > 0 ? log(y[d] / beside) : NAN;
            k.dots[i * D + d] = y[3 * D + d] < 0.05;
            dotted = dotted || k.dots[i * D + d];
            most = fmax(most, isfinite(k.t[i * D + d]) ? fabs(k.t[i * D + d]) : 0);
        }
    }
    for (size_t i = 0; i < rows * D; i++)
        k.t[i] /= most;
    snprintf(k.title, sizeof k.title, "Largest singular value by class over that of %s, %s",
             tested ? "as many random tokens" : "all words", group_title(x, of));
    snprintf(k.low, sizeof k.low, "%.2g", exp(-most)), snprintf(k.high, sizeof k.high, "%.2g", exp(most));
    k.scale_title = "ratio", k.note = dotted ? "dot: q < 0.05" : NULL;
    TRY(write_figure(x, "classes", draw_heatmap, &k, err));
done:
    sg_free(k.t), sg_free(k.dots), sg_free(k.names), sg_free(y);
    return st;
}

static sg_status spectrum_figure(const context *x, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t D = x->D, rows = x->rank < 64 ? x->rank : 64;
    double least = INFINITY, most = 0;
    char of[96];
    heatmap k = {.D = D,
                 .rows = rows,
                 .x_label = delay_label(x),
                 .y_label = "direction k",
                 .scale_title = "singular value"};
    const size_t start[3] = {0}, count[3] = {1, D, rows};
    double *S = sg_calloc(D, rows * sizeof *S);
    k.t = sg_calloc(rows, D * sizeof *k.t);
    NEED(S && k.t, err, "the figures");
    TRY(sg_run_read(x->r, x->group, "singular_value", start, count, S, err));
    for (size_t i = 0; i < D * rows; i++)
        if (S[i] > 0)
            least = fmin(least, S[i]), most = fmax(most, S[i]);
    least = fmax(least, most * 1e-4); /* below it noise, and in most runs float32 */
    for (size_t d = 0; d < D; d++)
        for (size_t i = 0; i < rows; i++) {
            double s = S[d * rows + i];
            k.t[i * D + d] = !(s > 0) ? NAN : most > least ? fmax(0, log(s / least) / log(most / least)) : 1;
        }
    snprintf(k.title, sizeof k.title, "Singular values by delay, class all, %s", group_title(x, of));
    snprintf(k.low, sizeof k.low, "%.1g", least), snprintf(k.high, sizeof k.high, "%.2g", most);
    snprintf(k.middle, sizeof k.middle, "%.1g", sqrt(least * most));
    if (most > 0)
        TRY(write_figure(x, "spectrum", draw_heatmap, &k, err));
done:
    sg_free(S), sg_free(k.t);
    return st;
}

/* ---- words ---- */

typedef struct {
    char title[200];
    size_t n, up;
    const char *names[2 * WORDS_TOP];
    double by[2 * WORDS_TOP];
} word_bars;

static void draw_words(cairo_t *c, const void *what)
{
    const word_bars *k = what;
    plot p;
    double most = 0;
    for (size_t i = 0; i < k->n; i++)
        most = fmax(most, fabs(k->by[i]));
    plot_frame f = {.title = k->title,
                    .x_label = "projection (standard deviations)",
                    .x0 = -most * 1.05,
                    .x1 = most * 1.05,
                    .y0 = (double)k->n - 0.4,
                    .y1 = -0.6,
                    .left = 110,
                    .right = 30,
                    .y_names = (const char *const *)k->names,
                    .n_names = k->n};
    plot_begin(&p, c, &f);
    for (size_t i = 0; i < k->n; i++)
        plot_bar(&p, (double)i, k->by[i], plot_palette(i >= k->up));
}

/* The first direction of class all at delay 1 (0 if there is no other). */
static sg_status words_figure(const context *x, sg_error *err)
{
    sg_status st = SG_OK;
    words *w = NULL;
    double *v = NULL, *p = NULL;
    word_bars k = {0};
    char of[96];
    size_t ids[WORDS_TOP], delay = x->D > 1, n, rank, shape[SG_RUN_MAX_DIMS];
    if (words_missing(x->r) || !sg_run_shape(x->r, x->group, "right_singular_vector", &rank, shape))
        return SG_OK;
    TRY(words_new(&w, x->r, err));
    NEED((v = sg_calloc(w->E, sizeof *v)) && (p = sg_calloc(w->V, sizeof *p)), err, "the figures");
    TRY(words_along(w, x->r, x->group, 0, delay, 1, v, p, err));
    k.up = n = words_furthest(w, p, 1, 0, WORDS_TOP, ids);
    for (size_t i = 0; i < n; i++, k.n++)
        k.names[k.n] = w->names[ids[i]], k.by[k.n] = p[ids[i]];
    n = words_furthest(w, p, -1, 0, WORDS_TOP, ids);
    for (size_t i = n; i-- > 0; k.n++)
        k.names[k.n] = w->names[ids[i]], k.by[k.n] = p[ids[i]];
    snprintf(k.title, sizeof k.title, "Words along the strongest direction, delay %zu, class all, %s", delay,
             group_title(x, of));
    if (k.n)
        TRY(write_figure(x, "words", draw_words, &k, err));
done:
    words_free(w);
    sg_free(v), sg_free(p);
    return st;
}

/* ---- several runs in one ---- */

static sg_status overlay_figure(const context *x, sg_run *const *runs, const char *const *paths, size_t n,
                                sg_error *err)
{
    sg_status st = SG_OK;
    size_t longest = 0;
    bool there, any = false;
    char of[96];
    curves k;
    context y = *x;
    n = n < SHOWN_CLASSES ? n : SHOWN_CLASSES;
    for (size_t i = 0; i < n; i++)
        longest = sg_run_delays(runs[i]) > longest ? sg_run_delays(runs[i]) : longest;
    y.D = longest, y.prefix = "";
    TRY(curves_new(&k, &y, n, err));
    for (size_t i = 0; i < n; i++) {
        const size_t zero = 0;
        const char *slash = strrchr(paths[i], '/');
        k.names[i] = slash ? slash + 1 : paths[i];
        for (size_t d = 0; d < longest; d++)
            k.y[i * longest + d] = k.low[i * longest + d] = k.high[i * longest + d] = NAN;
        y.r = runs[i], y.D = sg_run_delays(runs[i]);
        TRY(by_delay(&y, x->group, "singular_value", &zero, 1, 0, k.y + i * longest, &there, err));
        any = any || there;
        TRY(by_delay(&y, x->group, "singular_value_low", &zero, 1, 0, k.low + i * longest, &there, err));
        TRY(by_delay(&y, x->group, "singular_value_high", &zero, 1, 0, k.high + i * longest, &there, err));
    }
    snprintf(k.title, sizeof k.title, "Largest singular value by delay, class all, %s", group_title(x, of));
    k.y_label = "largest singular value", k.log_y = true;
    if (any)
        TRY(write_figure(&y, "runs-sigma1", draw_curves, &k, err));
done:
    curves_free(&k);
    return st;
}

static sg_status run_figures(context *x, sg_error *err)
{
    sg_status st = SG_OK;
    x->D = sg_run_delays(x->r), x->C = sg_run_classes(x->r);
    for (size_t g = 0; g < sg_run_groups(x->r); g++) {
        x->group = sg_run_group_name(x->r, g), x->rank = sg_run_rank(x->r, g);
        if (strncmp(x->group, "layer", 5))
            continue;
        for (size_t q = 0; q < sizeof quantities / sizeof *quantities; q++)
            TRY(curves_figure(x, &quantities[q], err));
        TRY(property_figure(x, false, err));
        TRY(property_figure(x, true, err));
        TRY(classes_figure(x, err));
        TRY(spectrum_figure(x, err));
        TRY(words_figure(x, err));
    }
done:
    return st;
}

sg_status sg_report_figures(const char *folder, sg_run *const *runs, const char *const *paths, size_t n,
                            size_t *written, sg_error *err)
{
    sg_status st = SG_OK;
    char prefix[32];
    struct stat info;
    *written = 0;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return sg_fail(err, SG_EIO, "%s: %s", folder, strerror(errno));
    if (stat(folder, &info) != 0 || !S_ISDIR(info.st_mode))
        return sg_fail(err, SG_EIO, "%s: is not a folder", folder);
    for (size_t i = 0; i < n; i++) {
        snprintf(prefix, sizeof prefix, "run%zu-", i + 1);
        context x = {.dir = folder, .prefix = n > 1 ? prefix : "", .r = runs[i], .written = written};
        TRY(run_figures(&x, err));
    }
    for (size_t g = 0; n > 1 && g < sg_run_groups(runs[0]); g++) {
        context x = {.dir = folder,
                     .prefix = "",
                     .r = runs[0],
                     .written = written,
                     .group = sg_run_group_name(runs[0], g)};
        if (!strncmp(x.group, "layer", 5))
            TRY(overlay_figure(&x, runs, paths, n, err));
    }
done:
    return st;
}
