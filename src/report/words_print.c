/* SPDX-License-Identifier: MIT */
/* words_print.c - the word view as text and as JSON. */
#include "base/base_internal.h"
#include "report/json_out.h"
#include "base/text_out.h"
#include "report/words.h"
#include "stategrad/report.h"
#include "stategrad/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void sg_words_defaults_sized(sg_words_config *cfg, size_t struct_size)
{
    sg_words_config own = {.directions = 3, .top = 10};
    config_give(cfg, struct_size, &own, sizeof own);
}

/* How one direction lines up with a class or a property. */
typedef struct {
    const char *name;
    bool property;
    double cosine;
} alignment;

typedef struct {
    FILE *f;
    json_out json;
    sg_run *run;
    words *w;
    const sg_words_config *cfg;
    const char *group;
    size_t n_directions;
    size_t *up, *down;  /* (top) ids of the words at the two ends */
    double *v, *p, *S;  /* vectors (n,E), projections (n,V), singular values (n) */
    double *targets;    /* (n_targets,E) unit vectors of classes and properties */
    alignment *aligned; /* (n_targets) */
    size_t n_targets;
    double random_high; /* 97.5 % of |cosine| with a random vector */
} view;

static sg_status find_group(view *x, sg_error *err)
{
    for (size_t g = 0; g < sg_run_groups(x->run); g++) {
        const char *name = sg_run_group_name(x->run, g);
        if (x->cfg->group ? strcmp(name, x->cfg->group) : strncmp(name, "layer", 5))
            continue;
        x->group = name;
        x->n_directions =
            x->cfg->directions < sg_run_rank(x->run, g) ? x->cfg->directions : sg_run_rank(x->run, g);
        break;
    }
    if (!x->group)
        return sg_fail(err, SG_EINVAL, "words: the run has no group %s",
                       x->cfg->group ? x->cfg->group : "layerN");
    if (x->cfg->class_index >= sg_run_classes(x->run))
        return sg_fail(err, SG_EINVAL, "words: class %zu, the run has %zu", x->cfg->class_index,
                       sg_run_classes(x->run));
    if (x->cfg->delay >= sg_run_delays(x->run))
        return sg_fail(err, SG_EINVAL, "words: delay %zu, the run has delays 0 .. %zu", x->cfg->delay,
                       sg_run_delays(x->run) - 1);
    return SG_OK;
}

static sg_status collect(view *x, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(words_new(&x->w, x->run, err));
    const size_t E = x->w->E, V = x->w->V, n = x->n_directions, top = x->cfg->top < V ? x->cfg->top : V;
    const size_t C = sg_run_classes(x->run), P = sg_run_properties(x->run);
    const size_t start[3] = {x->cfg->class_index, x->cfg->delay, 0}, count[3] = {1, 1, n};
    x->up = sg_calloc(top, sizeof *x->up), x->down = sg_calloc(top, sizeof *x->down);
    x->v = sg_calloc(n * E, sizeof *x->v), x->p = sg_calloc(n * V, sizeof *x->p),
    x->S = sg_calloc(n, sizeof *x->S);
    x->targets = sg_calloc((C + P) * E, sizeof *x->targets),
    x->aligned = sg_calloc(C + P, sizeof *x->aligned);
    NEED(x->up && x->down && x->v && x->p && x->S && x->targets && x->aligned, err, "%zu words", V);
    TRY(words_along(x->w, x->run, x->group, start[0], start[1], n, x->v, x->p, err));
    TRY(sg_run_read(x->run, x->group, "singular_value", start, count, x->S, err));
    if (n && !isfinite(x->v[0]))
        TRY(sg_fail(err, SG_EFORMAT, "words: %s has no directions for class %s at delay %zu (too few pairs)",
                    x->group, sg_run_class_name(x->run, start[0]), start[1]));
    for (size_t p = 0; p < P; p++) {
        bool known;
        TRY(words_property_direction(x->run, p, x->targets + x->n_targets * E, &known, err));
        if (known)
            x->aligned[x->n_targets++] = (alignment){sg_run_property_name(x->run, p), true, 0};
    }
    for (size_t c = 1; c < C; c++)
        if (words_class_direction(x->w, c, x->targets + x->n_targets * E))
            x->aligned[x->n_targets++] = (alignment){sg_run_class_name(x->run, c), false, 0};
    double mean, low;
    sg_stats_random_cosine(1, E, &mean, &low, &x->random_high);
done:
    return st;
}

static int by_size(const void *a, const void *b)
{
    double x = fabs(((const alignment *)a)->cosine), y = fabs(((const alignment *)b)->cosine);
    return (x < y) - (x > y);
}

/* Cosines of direction k with every target, largest first; `out` has n_targets places. */
static void align(const view *x, size_t k, alignment *out)
{
    const size_t E = x->w->E;
    for (size_t i = 0; i < x->n_targets; i++) {
        out[i] = x->aligned[i];
        out[i].cosine = 0;
        for (size_t e = 0; e < E; e++)
            out[i].cosine += x->targets[i * E + e] * x->v[k * E + e];
    }
    qsort(out, x->n_targets, sizeof *out, by_size);
}

/* "rank 11-100" and the like: what the word's count shows already. */
static bool is_band(const char *class)
{
    return !strncmp(class, "rank ", 5) && class[5] >= '0' && class[5] <= '9';
}

/* The classes word id was seen in, most frequent first, as one line of text ("noun, verb"); at most three. */
static void classes_of(const view *x, size_t id, char *text, size_t size)
{
    size_t used = 0, shown = 0;
    double last = INFINITY;
    size_t last_at = 0;
    text[0] = '\0';
    for (; shown < 3; shown++) { /* few classes a word: a selection by falling count, ties in file order */
        double best = -1;
        size_t at = 0;
        for (size_t i = 0; i < x->w->n_members; i++) {
            double n = x->w->member_count[i];
            bool later = n < last || (n == last && i > last_at);
            if (x->w->member_word[i] == id && x->w->member_class[i] && later && n > best &&
                !is_band(sg_run_class_name(x->run, x->w->member_class[i])))
                best = n, at = i;
        }
        if (best < 0)
            return;
        last = best, last_at = at;
        int n = snprintf(text + used, size - used, "%s%s", shown ? ", " : "",
                         sg_run_class_name(x->run, x->w->member_class[at]));
        if (n < 0 || (size_t)n >= size - used)
            return;
        used += (size_t)n;
    }
}

static void text_half(const view *x, const double *p, const size_t *ids, size_t n, size_t i)
{
    char classes[96];
    if (i >= n) {
        fprintf(x->f, "%40s", "");
        return;
    }
    fprintf(x->f, "%6.2f  ", p[ids[i]]);
    text_put(x->f, x->w->names[ids[i]], 16, 1);
    fprintf(x->f, "%7.0f ", x->w->counts[ids[i]]);
    classes_of(x, ids[i], classes, sizeof classes);
    text_put(x->f, classes, 15, 1);
}

static void text_direction(const view *x, size_t k, size_t n_up, size_t n_down, const alignment *a)
{
    const double *p = x->p + k * x->w->V;
    fprintf(x->f, "\ndirection %zu   singular value %.4g", k + 1, x->S[k]);
    if (k)
        fprintf(x->f, ", %.0f %% of the first", 100 * x->S[k] / x->S[0]);
    putc('\n', x->f);
    fprintf(x->f, "  %-39s   %s\n", "+    word              count classes",
            "-    word              count classes");
    for (size_t i = 0; i < n_up || i < n_down; i++) {
        text_half(x, p, x->up, n_up, i);
        fputs("  ", x->f);
        text_half(x, p, x->down, n_down, i);
        putc('\n', x->f);
    }
    if (!x->n_targets)
        return;
    fputs("  lines up with", x->f);
    for (size_t i = 0; i < x->n_targets && i < 6; i++) {
        fputs(i ? ", " : " ", x->f);
        text_put(x->f, a[i].name, 24, 0);
        fprintf(x->f, "%s %+.2f", a[i].property ? " (property)" : "", a[i].cosine);
    }
    fprintf(x->f, "   (random vectors: within %.2f; random sets of words can lie beyond)\n", x->random_high);
}

static void json_end(view *x, const char *key, const double *p, const size_t *ids, size_t n)
{
    json_out *j = &x->json;
    json_key(j, key), json_open(j, '[');
    for (size_t i = 0; i < n; i++) {
        json_open(j, '{');
        json_key(j, "word"), json_text(j, x->w->names[ids[i]]);
        json_key(j, "projection"), json_number(j, p[ids[i]], 9);
        json_key(j, "count"), json_number(j, x->w->counts[ids[i]], 15);
        json_key(j, "classes"), json_open(j, '[');
        for (size_t m = 0; m < x->w->n_members; m++) {
            if (x->w->member_word[m] != ids[i])
                continue;
            json_open(j, '{');
            json_key(j, "name"), json_text(j, sg_run_class_name(x->run, x->w->member_class[m]));
            json_key(j, "count"), json_number(j, x->w->member_count[m], 15);
            json_close(j, '}');
        }
        json_close(j, ']'), json_close(j, '}');
    }
    json_close(j, ']');
}

static void json_direction(view *x, size_t k, size_t n_up, size_t n_down, const alignment *a)
{
    json_out *j = &x->json;
    const double *p = x->p + k * x->w->V;
    json_open(j, '{');
    json_key(j, "direction"), json_count(j, k + 1);
    json_key(j, "singular_value"), json_number(j, x->S[k], 9);
    json_end(x, "positive", p, x->up, n_up);
    json_end(x, "negative", p, x->down, n_down);
    for (int property = 1; property >= 0; property--) {
        json_key(j, property ? "properties" : "classes"), json_open(j, '[');
        for (size_t i = 0; i < x->n_targets; i++) {
            if (a[i].property != (bool)property)
                continue;
            json_open(j, '{');
            json_key(j, "name"), json_text(j, a[i].name);
            json_key(j, "cosine"), json_number(j, a[i].cosine, 9);
            json_close(j, '}');
        }
        json_close(j, ']');
    }
    json_close(j, '}');
}

static void json_head(view *x)
{
    json_out *j = &x->json;
    json_open(j, '{');
    json_key(j, "state"), json_text(j, x->group);
    json_key(j, "class"), json_text(j, sg_run_class_name(x->run, x->cfg->class_index));
    json_key(j, "delay"), json_count(j, x->cfg->delay);
    json_key(j, "random_cosine_high"), json_number(j, x->random_high, 9);
    json_key(j, "directions"), json_open(j, '[');
}

sg_status sg_words_write(const sg_writer *to, sg_run *r, const sg_words_config *cfg, bool json, sg_error *err)
{
    sg_words_config own;
    sg_words_defaults(&own);
    cfg = config_take(&own, sizeof own, cfg);
    sg_status st = SG_OK;
    view x = {.run = r, .cfg = cfg};
    FILE *f = NULL;
    alignment *a = NULL;
    TRY(find_group(&x, err));
    TRY(collect(&x, err));
    NEED(a = sg_calloc(x.n_targets, sizeof *a), err, "the words");
    TRY(writer_open(&f, to, err));
    x.f = f;
    x.json.f = f;
    if (json)
        json_head(&x);
    else {
        fprintf(f, "%s, class ", x.group);
        text_put(f, sg_run_class_name(r, cfg->class_index), 40, 0);
        fprintf(f, ", delay %zu: words of the whole vocabulary along ", cfg->delay);
        if (x.n_directions == 1)
            fputs("the strongest direction\n", f);
        else
            fprintf(f, "the %zu strongest directions\n", x.n_directions);
    }
    const size_t top = cfg->top < x.w->V ? cfg->top : x.w->V;
    for (size_t k = 0; k < x.n_directions; k++) {
        size_t n_up = words_furthest(x.w, x.p + k * x.w->V, 1, cfg->min_count, top, x.up);
        size_t n_down = words_furthest(x.w, x.p + k * x.w->V, -1, cfg->min_count, top, x.down);
        align(&x, k, a);
        if (json)
            json_direction(&x, k, n_up, n_down, a);
        else
            text_direction(&x, k, n_up, n_down, a);
    }
    if (json)
        json_close(&x.json, ']'), json_close(&x.json, '}'), putc('\n', f);
    st = writer_close(f, err);
    f = NULL;
done:
    (void)writer_close(f, NULL);
    words_free(x.w);
    sg_free(a), sg_free(x.up), sg_free(x.down), sg_free(x.v), sg_free(x.p), sg_free(x.S);
    sg_free(x.targets), sg_free(x.aligned);
    return st;
}
