/* SPDX-License-Identifier: MIT */
/* A against B: contrasts over blocks and over models, p-values, verdicts. */
#include "compare/compare_internal.h"

#include "analysis/property.h"

#include <math.h>
#include <string.h>

static const double LEVEL = 0.05;
enum { FOLDS = PROPERTY_FOLDS };

/* One measure of one pair. */
typedef struct {
    sg_comparison *c;
    size_t pair;
    const side *a, *b;
    const measure *m;
    bool paired;
    series x, y;
    double *room;     /* entries of both sides, models of both */
    double *kinds;    /* (D) p-values, or NULL */
    const char **why; /* (D) why they are NaN */
} contest;

/* ---- one row ---- */

/* Entry l of row d: the mean over models of x, or of ln x. */
static double mean_of(const series *s, size_t d, size_t l, bool logs)
{
    double sum = 0;
    for (size_t i = 0; i < s->n; i++) {
        double x = s->x[(i * s->D + d) * s->L + l];
        sum += logs ? log(x) : x;
    }
    return sum / (double)s->n;
}

static sg_replicates replicates(const series *s, size_t d, bool logs, bool by_words, double *room)
{
    for (size_t l = 0; l < s->L; l++)
        room[l] = mean_of(s, d, l, logs);
    return (sg_replicates){room[0], s->B, by_words ? 0 : s->L - 1 - s->B, s->weight + d * s->L + 1, room + 1};
}

/* A property's direction is estimated: the error that comes from its words. Those of one property are the
 * same words on both sides. */
static void add_words(sg_contrast *out, const contest *t, const sg_replicates *a, const sg_replicates *b)
{
    sg_contrast words;
    const sg_replicates folds[2] = {
        {a->value, FOLDS, 0, a->pairs + a->blocks, a->without + a->blocks},
        {b->value, FOLDS, 0, b->pairs + b->blocks, b->without + b->blocks},
    };
    sg_replicates given = folds[0];
    double none[FOLDS], weight[FOLDS];
    const bool fixed[2] = {isnan(folds[0].without[0]), isnan(folds[1].without[0])};
    if (fixed[0] && fixed[1])
        return; /* vectors, given and not estimated */
    for (size_t k = 0; k < FOLDS; k++)
        weight[k] = 1.0 / FOLDS, none[k] = folds[fixed[0] ? 0 : 1].value;
    given = (sg_replicates){none[0], FOLDS, 0, weight, none};
    sg_stats_contrast(&words, fixed[0] ? &given : &folds[0], fixed[1] ? &given : &folds[1],
                      !fixed[0] && !fixed[1] && !strcmp(t->a->s->property, t->b->s->property));
    sg_stats_contrast_add(out, &words);
}

static sg_contrast contrast_of(const contest *t, size_t d, bool logs)
{
    sg_contrast out;
    sg_replicates a = replicates(&t->x, d, logs, t->m->of_property, t->room),
                  b = replicates(&t->y, d, logs, t->m->of_property, t->room + t->x.L);
    sg_stats_contrast(&out, &a, &b, t->paired);
    if (t->m->of_property)
        add_words(&out, t, &a, &b);
    return out;
}

static bool same_models(const contest *t)
{
    bool same = t->x.n == t->y.n;
    for (size_t i = 0; same && i < t->x.n; i++)
        same = t->a->s->runs[i] == t->b->s->runs[i];
    return same;
}

/* The ratio over models; its p takes the place of that over blocks. */
static void over_models(const contest *t, size_t d, sg_compare_row *row)
{
    const size_t n = t->x.n, k = t->y.n;
    double *a = t->room, *b = t->room + n;
    sg_contrast c;
    if (n < 2 || k < 2)
        return;
    for (size_t i = 0; i < n; i++)
        a[i] = log(t->x.x[(i * t->x.D + d) * t->x.L]);
    for (size_t i = 0; i < k; i++)
        b[i] = log(t->y.x[(i * t->y.D + d) * t->y.L]);
    sg_stats_models_contrast(&c, n, a, k, b, same_models(t));
    row->models_low = exp(c.x.low), row->models_high = exp(c.x.high), row->p = c.p;
}

/* A side's own interval at delay d, as the run files have it: why it has none (or NULL), and whether it lies
 * above 0. */
static sg_status own_interval(const char **why, bool *above, const contest *t, const side *s, size_t d,
                              sg_error *err)
{
    for (size_t i = 0; i < s->s->n && !*why; i++) {
        size_t start[] = {s->property[i], s->class[i], d}, count[] = {1, 1, 1};
        double low = NAN;
        sg_status st = sg_run_read(s->s->runs[i], s->s->state, t->m->interval, start, count, &low, err);
        if (st != SG_OK)
            return st;
        *above &= low > 0;
        if (!isnan(low))
            continue;
        char text[500];
        const char *reason =
            sg_run_variable_attribute(s->s->runs[i], s->s->state, t->m->interval, "missing_reason");
        snprintf(text, sizeof text, "%s has no interval of its own at delay %zu: %s", s->s->label, d,
                 reason ? reason : "the run file gives no reason");
        if (!(*why = text_keep(t->c, text)))
            return no_memory(err, "a reason");
    }
    return SG_OK;
}

/* A gain along a property may be near 0, where its logarithm is meaningless: a ratio needs intervals of both
 * sides above 0, a share one of the gain at delay 0. */
static sg_status check_property(const char **why, bool *ratio, const contest *t, size_t d, sg_error *err)
{
    sg_status st = SG_OK;
    const side *const sides[] = {t->a, t->b};
    for (size_t k = 0; k < 2; k++) {
        bool first = true;
        TRY(own_interval(why, ratio, t, sides[k], d, err));
        if (t->m->form == MEASURE_LEFT)
            TRY(own_interval(why, &first, t, sides[k], 0, err));
        if (!*why && !first)
            *why = "the interval of the gain at delay 0 reaches 0: no share of it can be given";
    }
    if (!*why && !*ratio)
        TRY(note_add(
            t->c, err,
            "the ratio has no interval where that of A or of B reaches 0; p is then of the difference"));
done:
    return st;
}

static sg_status no_value(const char **why, const contest *t, const side *s, sg_error *err)
{
    char text[300];
    snprintf(text, sizeof text, "%s has no value here%s", s->s->label,
             t->m->form == MEASURE_HALF_LIFE ? ": it never falls below half of its peak, or has none" : "");
    *why = text_keep(t->c, text);
    return *why ? SG_OK : no_memory(err, "a reason");
}

static void fill(sg_compare_row *row, const contest *t, size_t d, bool ratio)
{
    sg_contrast logs = contrast_of(t, d, true), plain = contrast_of(t, d, false);
    if (t->m->form == MEASURE_OVER_SIGMA)
        sg_stats_clamp(&plain.x, -1, 1);
    row->ratio = exp(logs.x.value);
    row->difference = plain.x.value, row->difference_low = plain.x.low, row->difference_high = plain.x.high;
    if (ratio)
        row->ratio_low = exp(logs.x.low), row->ratio_high = exp(logs.x.high);
    row->p = ratio ? logs.p : plain.p;
    row->missing = ratio && logs.x.missing ? logs.x.missing : plain.x.missing;
}

static bool positive(double x)
{
    return x > 0 && isfinite(x);
}

static sg_status add_row(const contest *t, size_t d, sg_error *err)
{
    sg_status st = SG_OK;
    sg_compare_row row = {.pair = t->pair,
                          .measure = t->m->name,
                          .delay = t->m->form == MEASURE_HALF_LIFE ? SG_COMPARE_NO_DELAY : d,
                          .models_low = NAN,
                          .models_high = NAN,
                          .ratio_low = NAN,
                          .ratio_high = NAN,
                          .p_types = NAN,
                          .p_types_adjusted = NAN};
    if (t->kinds)
        row.p_types = t->kinds[d], row.no_types = t->why[d];
    const char *why = NULL;
    bool ratio = true;
    row.a = mean_of(&t->x, d, 0, false), row.b = mean_of(&t->y, d, 0, false);
    if (!positive(row.a) || !positive(row.b)) {
        TRY(no_value(&why, t, positive(row.a) ? t->b : t->a, err));
        row.ratio = row.difference = NAN;
    } else {
        if (t->m->of_property)
            TRY(check_property(&why, &ratio, t, d, err));
        fill(&row, t, d, ratio);
    }
    if (why) {
        row.missing = why;
        row.p = row.ratio_low = row.ratio_high = row.difference_low = row.difference_high = NAN;
    } else
        over_models(t, d, &row);
    sg_compare_row *grown = sg_regrow(t->c->rows, t->c->n, t->c->n + 1, sizeof *grown);
    NEED(grown, err, "%zu rows", t->c->n + 1);
    t->c->rows = grown, t->c->rows[t->c->n++] = row;
done:
    return st;
}

/* ---- all rows ---- */

static sg_status compare_measure(sg_comparison *c, size_t pair, const side *a, const side *b, bool paired,
                                 const measure *m, size_t D, const sg_compare_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    contest t = {.c = c, .pair = pair, .a = a, .b = b, .m = m, .paired = paired};
    TRY(series_read(&t.x, a, m, D, err));
    TRY(series_read(&t.y, b, m, D, err));
    NEED(t.room = sg_calloc(t.x.L + t.y.L + t.x.n + t.y.n, sizeof *t.room), err, "%s", m->name);
    if (m->of_kinds) {
        NEED((t.kinds = sg_calloc(D, sizeof *t.kinds)) && (t.why = sg_calloc(D, sizeof *t.why)), err, "%s",
             m->name);
        TRY(kinds_test(t.kinds, t.why, a, b, D, err));
    }
    if (m->form == MEASURE_HALF_LIFE)
        TRY(add_row(&t, 0, err));
    else
        for (size_t i = 0; i < cfg->n_delays; i++)
            if (cfg->delays[i] || m->form != MEASURE_LEFT)
                TRY(add_row(&t, cfg->delays[i], err));
done:
    series_free(&t.x), series_free(&t.y);
    sg_free(t.room), sg_free(t.kinds), sg_free(t.why);
    return st;
}

static bool asked_for(const sg_compare_config *cfg, const measure *m)
{
    for (size_t i = 0; i < cfg->n_measures; i++)
        if (!strcmp(cfg->measures[i], m->name))
            return true;
    return !cfg->n_measures && !m->on_demand;
}

static sg_status compare_pair(sg_comparison *c, size_t pair, const side *a, const side *b, size_t D,
                              const sg_compare_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    const char *units = sides_without_unit(a, b);
    bool paired, of_property = a->s->property != NULL;
    TRY(sides_differ(a, b, err));
    TRY(sides_paired(&paired, a, b, err));
    c->paired[pair] = paired ? a->blocks : 0;
    TRY(notes_of_pair(c, a, b, paired, err));
    for (const measure *m = compare_measures; m->name; m++) {
        if (!asked_for(cfg, m))
            continue;
        if (m->of_property != of_property) {
            if (cfg->n_measures)
                TRY(sg_fail(err, SG_EINVAL, "measure %s applies to %s; %s is not one", m->name,
                            m->of_property ? "a property" : "a class without a property", a->s->label));
            continue;
        }
        if (m->absolute && units) {
            if (cfg->n_measures)
                TRY(sg_fail(err, SG_EINVAL,
                            "measure %s: gains of %s and %s have no common unit: %s; compare %s_left",
                            m->name, a->s->label, b->s->label, units, m->name));
            TRY(note_add(
                c, err,
                "gains of %s and %s have no common unit (%s): only shares and half-lives are compared",
                a->s->label, b->s->label, units));
            continue;
        }
        if (!side_has(a, m->source) || !side_has(b, m->source)) {
            if (cfg->n_measures)
                TRY(sg_fail(err, SG_EINVAL,
                            "measure %s: %s has no %s (analyze with setting 'replace' adds it)", m->name,
                            (side_has(a, m->source) ? b : a)->s->label, m->source));
            continue;
        }
        if (m->form == MEASURE_HALF_LIFE)
            TRY(note_add(
                c, err,
                "half-lives are counted from the peak of each curve, which may be at another delay for A than for B"));
        TRY(compare_measure(c, pair, a, b, paired, m, D, cfg, err));
    }
done:
    return st;
}

static void give_verdict(sg_compare_row *r)
{
    if (isnan(r->p))
        r->no_verdict = r->missing;
    else if (!r->no_verdict)
        r->verdict = r->p_adjusted >= LEVEL ? "undecided" : r->difference > 0 ? "higher" : "lower";
}

static sg_status adjust(sg_comparison *c, sg_error *err)
{
    sg_status st = SG_OK;
    double *p = sg_calloc(2 * c->n, sizeof *p), *types = p ? p + c->n : NULL;
    NEED(p, err, "%zu p-values", c->n);
    for (size_t i = 0; i < c->n; i++)
        p[i] = c->rows[i].p, types[i] = c->rows[i].p_types, c->tests += isnan(p[i]) ? 0 : 1;
    TRY(sg_stats_adjust(c->n, p, p, err));
    TRY(sg_stats_adjust(c->n, types, types, err));
    for (size_t i = 0; i < c->n; i++) {
        c->rows[i].p_adjusted = p[i], c->rows[i].p_types_adjusted = types[i];
        give_verdict(&c->rows[i]);
    }
done:
    sg_free(p);
    return st;
}

/* A class of few word types is no kind of word: no verdict against another class. */
static void withhold_verdicts(sg_comparison *c, size_t pair, const side *a, const side *b)
{
    const char *x = a->s->class_name ? a->s->class_name : "all",
               *y = b->s->class_name ? b->s->class_name : "all";
    bool few =
        strcmp(x, y) && (a->effective_types < SG_STATS_MIN_TYPES || b->effective_types < SG_STATS_MIN_TYPES);
    for (size_t i = 0; few && i < c->n; i++)
        if (c->rows[i].pair == pair)
            c->rows[i].no_verdict =
                "fewer than 8 effective word types: a result of these words, not of a kind of word";
}

static sg_status check_measures(const sg_compare_config *cfg, sg_error *err)
{
    enum { MOST = sizeof(const char *) * 8 };
    const char *all[MOST];
    size_t n = 0;
    while (n < MOST && compare_measures[n].name)
        all[n] = compare_measures[n].name, n++;
    for (size_t i = 0; i < cfg->n_measures; i++) {
        bool known = false;
        for (size_t k = 0; k < n; k++)
            known |= !strcmp(all[k], cfg->measures[i]);
        const char *near = known ? NULL : sg_nearest_name(cfg->measures[i], all, n);
        if (!known)
            return sg_fail(err, SG_EINVAL, "setting 'measure': there is no measure '%s'%s%s%s",
                           cfg->measures[i], near ? "; did you mean " : "", near ? near : "",
                           near ? "?" : "");
    }
    return SG_OK;
}

/* The delays that all runs have. */
static size_t common_delays(const sg_compare_pair *pairs, size_t n)
{
    size_t D = SIZE_MAX;
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            const sg_compare_side *s = k ? &pairs[i].b : &pairs[i].a;
            for (size_t r = 0; r < s->n; r++)
                D = sg_run_delays(s->runs[r]) < D ? sg_run_delays(s->runs[r]) : D;
        }
    return D;
}

static sg_status choose_delays(sg_compare_config *cfg, size_t room[6], size_t D, sg_error *err)
{
    static const size_t usual[] = {0, 1, 5, 10, 20};
    for (size_t i = 0; i < cfg->n_delays; i++)
        if (cfg->delays[i] >= D)
            return sg_fail(err, SG_EINVAL, "setting 'delay': %zu: all runs have the delays 0 .. %zu",
                           cfg->delays[i], D - 1);
    if (cfg->n_delays)
        return SG_OK;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (usual[i] < D)
            room[cfg->n_delays++] = usual[i];
    if (room[cfg->n_delays - 1] != D - 1)
        room[cfg->n_delays++] = D - 1;
    cfg->delays = room;
    return SG_OK;
}

sg_status sg_compare(sg_comparison **out, const sg_compare_pair *pairs, size_t n,
                     const sg_compare_config *given, sg_error *err)
{
    sg_status st = SG_OK;
    sg_compare_config cfg = {.struct_size = sizeof cfg};
    size_t room[6], D;
    side a = {0}, b = {0};
    sg_comparison *c = NULL;
    *out = NULL;
    if (given)
        memcpy(&cfg, given,
               given->struct_size && given->struct_size < sizeof cfg ? given->struct_size : sizeof cfg);
    if (!n)
        return sg_fail(err, SG_EINVAL, "compare: nothing to compare");
    TRY(check_measures(&cfg, err));
    D = common_delays(pairs, n);
    TRY(choose_delays(&cfg, room, D, err));
    NEED((c = sg_calloc(1, sizeof *c)) && (c->paired = sg_calloc(n, sizeof *c->paired)), err,
         "%zu comparisons", n);
    c->n_pairs = n;
    for (size_t i = 0; i < n; i++) {
        side_close(&a), side_close(&b);
        a = b = (side){0};
        TRY(side_open(&a, &pairs[i].a, err));
        TRY(side_open(&b, &pairs[i].b, err));
        TRY(compare_pair(c, i, &a, &b, D, &cfg, err));
        withhold_verdicts(c, i, &a, &b);
    }
    TRY(adjust(c, err));
    *out = c;
    c = NULL;
done:
    side_close(&a), side_close(&b);
    sg_comparison_free(c);
    return st;
}

const sg_compare_row *sg_comparison_rows(const sg_comparison *c, size_t *n)
{
    *n = c->n;
    return c->rows;
}

size_t sg_comparison_tests(const sg_comparison *c)
{
    return c->tests;
}

size_t sg_comparison_paired(const sg_comparison *c, size_t i)
{
    return i < c->n_pairs ? c->paired[i] : 0;
}

const char *sg_comparison_note(const sg_comparison *c, size_t i)
{
    return i < c->n_notes ? c->notes[i] : NULL;
}

void sg_comparison_free(sg_comparison *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_notes; i++)
        sg_free(c->notes[i]);
    for (size_t i = 0; i < c->n_texts; i++)
        sg_free(c->texts[i]);
    sg_free(c->notes), sg_free(c->texts), sg_free(c->rows), sg_free(c->paired), sg_free(c);
}
