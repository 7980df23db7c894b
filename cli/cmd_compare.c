/* SPDX-License-Identifier: MIT */
/* stategrad compare - A against B: classes, properties, states, models, groups of models. */
#include "cli.h"

#include "stategrad/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    option_list groups, classes, properties, delays, measures;
    const char *state, *csv, *page;
    size_t layer;
    int style;
    bool json;
} request;

/* All that a comparison borrows. */
typedef struct {
    run_selection runs;
    sg_compare_pair *pairs;
    size_t n_pairs, n_delays, n_measures;
    char **labels; /* of the pairs, owned; 2 n_pairs */
    size_t *delays;
    const char **measures;
    char *names; /* copies of the texts of --measure, cut at commas */
} task;

static void task_free(task *t)
{
    for (size_t i = 0; t->labels && i < 2 * t->n_pairs; i++)
        free(t->labels[i]);
    free(t->labels), free(t->pairs), free(t->delays), free(t->measures), free(t->names);
    run_selection_free(&t->runs);
}

/* ---- what is asked ---- */

static size_t parts_of(const option_list *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        n++;
        for (const char *c = l->items[i]; (c = strchr(c, ',')); c++)
            n++;
    }
    return n;
}

static int read_delays(task *t, const option_list *given)
{
    if (!given->n)
        return -1;
    if (!(t->delays = calloc(parts_of(given), sizeof *t->delays)))
        return failure("compare: no memory for the delays");
    for (size_t i = 0; i < given->n; i++)
        for (const char *c = given->items[i];; c++) {
            char *end;
            if (*c < '0' || *c > '9')
                return misuse("compare: --delay: expected whole numbers, as in 0,5,10, found '%s'",
                              given->items[i]);
            t->delays[t->n_delays++] = strtoul(c, &end, 10);
            if (*end && *end != ',')
                return misuse("compare: --delay: expected whole numbers, as in 0,5,10, found '%s'",
                              given->items[i]);
            if (!*(c = end))
                break;
        }
    return -1;
}

static int read_measures(task *t, const option_list *given)
{
    size_t bytes = 1;
    for (size_t i = 0; i < given->n; i++)
        bytes += strlen(given->items[i]) + 1;
    if (!given->n)
        return -1;
    char *at = t->names = malloc(bytes);
    t->measures = calloc(parts_of(given), sizeof *t->measures);
    if (!at || !t->measures)
        return failure("compare: no memory for the measures");
    for (size_t i = 0; i < given->n; i++) {
        size_t length = strlen(given->items[i]) + 1;
        memcpy(at, given->items[i], length);
        for (char *comma = at; comma; at = comma) {
            if ((comma = strchr(at, ',')))
                *comma++ = 0;
            t->measures[t->n_measures++] = at;
            if (!comma)
                break;
        }
        at += strlen(at) + 1;
    }
    return -1;
}

/* Run i, or all runs of the group that it is of. */
static sg_compare_side side_of(const run_selection *s, size_t i)
{
    sg_compare_side side = {.label = s->groups[i] ? s->groups[i] : s->paths[i],
                            .runs = s->runs + i,
                            .paths = s->paths + i,
                            .n = 1};
    while (s->groups[i] && i + side.n < s->n && s->groups[i + side.n] &&
           !strcmp(s->groups[i], s->groups[i + side.n]))
        side.n++;
    return side;
}

static int set_state(sg_compare_side *side, const request *q)
{
    side->state = choose_state(side->runs[0], q->state, q->layer);
    return side->state ? -1 : no_such_state("compare", side->runs[0], side->paths[0], q->state, q->layer);
}

static bool has_state(const sg_run *r, const char *name)
{
    for (size_t g = 0; g < sg_run_groups(r); g++)
        if (!strcmp(sg_run_group_name(r, g), name))
            return true;
    return false;
}

static bool has_property(const sg_run *r, const char *name)
{
    for (size_t p = 0; p < sg_run_properties(r); p++)
        if (!strcmp(sg_run_property_name(r, p), name))
            return true;
    return false;
}

static bool has_class(const sg_run *r, const char *name)
{
    for (size_t c = 0; c < sg_run_classes(r); c++)
        if (!strcmp(sg_run_class_name(r, c), name))
            return true;
    return false;
}

/* What both names are: classes, else properties, else states; where they are not of one kind, what A is, for
 * the message. */
static void name_sides(sg_compare_side *a, sg_compare_side *b, const char *first, const char *second)
{
    static bool (*const has[])(const sg_run *, const char *) = {has_class, has_property, has_state};
    enum { CLASS, PROPERTY, STATE, KINDS };
    const sg_run *r = a->runs[0];
    size_t kind = 0;
    while (kind < KINDS && !(has[kind](r, first) && has[kind](r, second)))
        kind++;
    for (size_t k = 0; k < KINDS && kind == KINDS; k++)
        kind = has[k](r, first) ? k : kind;
    if (kind == PROPERTY)
        a->property = first, b->property = second;
    else if (kind == STATE)
        a->state = first, b->state = second;
    else
        a->class_name = first, b->class_name = second;
}

/* "lstm, number, noun"; NULLs are left out. */
static char *joined(const char *name, const char *property, const char *class)
{
    const size_t size = strlen(name) + (property ? strlen(property) : 0) + (class ? strlen(class) : 0) + 5;
    char *text = malloc(size);
    if (text)
        snprintf(text, size, "%s%s%s%s%s", name, property ? ", " : "", property ? property : "",
                 class ? ", " : "", class ? class : "");
    return text;
}

/* A and B for each class and property that is asked for. */
static int add_each(task *t, const request *q, sg_compare_side a, sg_compare_side b, const char *label_a,
                    const char *label_b)
{
    const size_t C = q->classes.n ? q->classes.n : 1, P = q->properties.n ? q->properties.n : 1;
    for (size_t i = 0; i < C * P; i++) {
        const char *class = q->classes.n ? q->classes.items[i / P] : NULL,
                   *property = q->properties.n ? q->properties.items[i % P] : NULL;
        if (class)
            a.class_name = b.class_name = class;
        if (property)
            a.property = b.property = property;
        char **labels = t->labels + 2 * t->n_pairs;
        sg_compare_pair *pair = &t->pairs[t->n_pairs++];
        if (!(labels[0] = joined(label_a, property, class)) ||
            !(labels[1] = joined(label_b, property, class)))
            return failure("compare: no memory for names");
        *pair = (sg_compare_pair){a, b};
        pair->a.label = labels[0], pair->b.label = labels[1];
    }
    return -1;
}

/* Two names within one run or one group. */
static int add_names(task *t, const request *q, const char *first, const char *second)
{
    sg_compare_side a = side_of(&t->runs, 0), b;
    int code = set_state(&a, q);
    b = a;
    name_sides(&a, &b, first, second);
    if (code < 0 && a.class_name && q->classes.n)
        code = misuse("compare: --class: A and B are classes already: %s, %s", first, second);
    if (code < 0 && (a.property || a.class_name) && q->properties.n)
        code = misuse("compare: --property: A and B are given already: %s, %s", first, second);
    return code < 0 ? add_each(t, q, a, b, first, second) : code;
}

/* Two runs or groups. */
static int add_models(task *t, const request *q)
{
    sg_compare_side a = side_of(&t->runs, 0), b = side_of(&t->runs, a.n);
    int code = set_state(&a, q);
    if (code < 0)
        code = set_state(&b, q);
    return code < 0 ? add_each(t, q, a, b, a.label, b.label) : code;
}

/* ---- what is shown ---- */

static void print_ends(double low, double high, int width)
{
    char text[64] = "-";
    if (isfinite(low))
        snprintf(text, sizeof text, "%.3g to %.3g", low, high);
    printf("  %-*s", width, text);
}

static void print_number(double x, int width)
{
    if (isfinite(x))
        printf(" %*.3g", width, x);
    else
        printf(" %*s", width, "-");
}

static void print_row(const sg_compare_row *r, bool models, bool kinds)
{
    char delay[24] = "";
    if (r->delay != SG_COMPARE_NO_DELAY)
        snprintf(delay, sizeof delay, "%zu", r->delay);
    printf("  %-22s %5s", r->measure, delay);
    print_number(r->a, 9), print_number(r->b, 9), print_number(r->ratio, 8);
    print_ends(r->ratio_low, r->ratio_high, 16);
    if (models)
        print_ends(r->models_low, r->models_high, 16);
    print_number(r->difference, 9);
    print_ends(r->difference_low, r->difference_high, 22);
    print_number(r->p, 8), print_number(r->p_adjusted, 8);
    if (kinds)
        print_number(r->p_types_adjusted, 8);
    printf("  %s\n", r->verdict ? r->verdict : "-");
}

static bool any_kinds(const sg_compare_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isnan(rows[i].p_types))
            return true;
    return false;
}

static bool any_models(const sg_compare_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isnan(rows[i].models_low))
            return true;
    return false;
}

static void print_pair(const task *t, size_t pair, const sg_comparison *c, bool models, bool kinds)
{
    size_t n, blocks = sg_comparison_paired(c, pair);
    const sg_compare_row *rows = sg_comparison_rows(c, &n);
    const sg_compare_side *a = &t->pairs[pair].a, *b = &t->pairs[pair].b;
    printf("%sA: %s (%s)\nB: %s (%s)\n", pair ? "\n" : "", shown(a->label), shown(a->state), shown(b->label),
           shown(b->state));
    if (blocks)
        printf("95 %% intervals over %zu blocks of the text, the same for A and B (paired)\n\n", blocks);
    else
        printf("95 %% intervals over blocks of each text (not paired)\n\n");
    printf("  %-22s %5s %9s %9s %8s  %-16s", "measure", "delay", "A", "B", "A/B", "95 %");
    if (models)
        printf("  %-16s", "over models");
    printf(" %9s  %-22s %8s %8s", "A-B", "95 %", "p", "adjusted");
    if (kinds)
        printf(" %8s", "kind p");
    printf("  A is\n");
    for (size_t i = 0; i < n; i++)
        if (rows[i].pair == pair)
            print_row(&rows[i], models, kinds);
}

/* Each reason once. */
static void print_reasons(const sg_compare_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *why = rows[i].no_verdict;
        bool first = why != NULL;
        for (size_t k = 0; k < i && first; k++)
            first = !rows[k].no_verdict || strcmp(rows[k].no_verdict, why) != 0;
        if (first)
            printf("-: %s\n", shown(why));
    }
}

static void print_text(const task *t, const sg_comparison *c)
{
    size_t n, tests = sg_comparison_tests(c);
    const sg_compare_row *rows = sg_comparison_rows(c, &n);
    const bool models = any_models(rows, n), kinds = any_kinds(rows, n);
    for (size_t i = 0; i < t->n_pairs; i++)
        print_pair(t, i, c, models, kinds);
    printf(
        "\np: of the hypothesis that A/B is 1%s; adjusted over the %zu comparison%s of this table (Benjamini-Hochberg)\n",
        models ? ", over models" : "", tests, PLURAL(tests));
    if (kinds)
        printf(
            "kind p: the words of A are random words of A and B, of similar frequency; adjusted. All other values "
            "refer to these words as they occur in the text\n");
    print_reasons(rows, n);
    for (size_t i = 0; sg_comparison_note(c, i); i++)
        printf("%s\n", shown(sg_comparison_note(c, i)));
}

static json_t *side_json(const sg_compare_side *s)
{
    json_t *runs = json_array(), *x = json_object();
    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(runs, json_utf8(s->paths[i]));
    json_object_set_new(x, "label", json_utf8(s->label));
    json_object_set_new(x, "runs", runs);
    json_object_set_new(x, "state", json_utf8(s->state));
    json_object_set_new(x, "class", json_utf8(s->class_name ? s->class_name : "all"));
    json_object_set_new(x, "property", s->property ? json_utf8(s->property) : json_null());
    return x;
}

static json_t *row_json(const sg_compare_row *r)
{
    const char *name;
    double number;
    json_t *x = json_object();
    json_object_set_new(x, "pair", json_integer((json_int_t)r->pair));
    json_object_set_new(x, "measure", json_utf8(r->measure));
    json_object_set_new(x, "delay",
                        r->delay == SG_COMPARE_NO_DELAY ? json_null() : json_integer((json_int_t)r->delay));
    for (size_t i = 0; (name = sg_compare_number(r, i, &number)); i++)
        json_object_set_new(x, name, json_finite(number));
    json_object_set_new(x, "verdict", r->verdict ? json_utf8(r->verdict) : json_null());
    json_object_set_new(x, "reason", r->no_verdict ? json_utf8(r->no_verdict) : json_null());
    return x;
}

static json_t *to_json(const task *t, const sg_comparison *c)
{
    json_t *all = json_object(), *pairs = json_array(), *rows = json_array(), *notes = json_array();
    size_t n;
    const sg_compare_row *r = sg_comparison_rows(c, &n);
    for (size_t i = 0; i < t->n_pairs; i++) {
        json_t *pair = json_object();
        json_object_set_new(pair, "a", side_json(&t->pairs[i].a));
        json_object_set_new(pair, "b", side_json(&t->pairs[i].b));
        json_object_set_new(pair, "paired", json_boolean(sg_comparison_paired(c, i)));
        json_array_append_new(pairs, pair);
    }
    for (size_t i = 0; i < n; i++)
        json_array_append_new(rows, row_json(&r[i]));
    for (size_t i = 0; sg_comparison_note(c, i); i++)
        json_array_append_new(notes, json_utf8(sg_comparison_note(c, i)));
    json_object_set_new(all, "pairs", pairs);
    json_object_set_new(all, "rows", rows);
    json_object_set_new(all, "comparisons", json_integer((json_int_t)sg_comparison_tests(c)));
    json_object_set_new(all, "adjustment", json_string("Benjamini-Hochberg"));
    json_object_set_new(all, "notes", notes);
    return all;
}

static int compare_and_show(task *t, const request *q)
{
    sg_error err = {""};
    sg_comparison *c = NULL;
    const sg_compare_config cfg = {sizeof cfg, t->measures, t->n_measures, t->delays, t->n_delays};
    sg_status st = sg_compare(&c, t->pairs, t->n_pairs, &cfg, &err);
    if (st == SG_OK && q->csv)
        st = sg_comparison_write_csv(c, t->pairs, q->csv, (sg_csv_style)q->style, &err);
    if (st == SG_OK && q->page)
        st = sg_report_write_comparison(q->page, t->runs.runs, t->runs.paths, t->runs.groups, t->runs.n, c,
                                        t->pairs, t->n_pairs, &err);
    if (st == SG_OK && q->json)
        st = print_json(to_json(t, c), 12, &err);
    else if (st == SG_OK && !to_stdout(q->csv) && !to_stdout(q->page))
        print_text(t, c);
    sg_comparison_free(c);
    return st == SG_OK ? EXIT_DONE : fail(st, &err);
}

/* ---- the command ---- */

/* How many of the operands are runs; 0: misuse, and reported. */
static size_t runs_among(size_t groups, size_t n)
{
    if (groups == 0 && (n == 2 || n == 3))
        return n == 2 ? 2 : 1;
    if ((groups == 1 && n == 1) || (groups == 1 && n == 2) || (groups == 2 && !n))
        return n == 1;
    return SIZE_MAX;
}

static int prepare(task *t, const request *q, int argc, char **argv)
{
    const size_t n = (size_t)argc, runs = runs_among(q->groups.n, n),
                 most = (q->classes.n + 1) * (q->properties.n + 1);
    sg_error err = {""};
    if (runs == SIZE_MAX)
        return misuse(
            "compare: expected RUN.nc A B, RUN.nc RUN.nc, two --group, or one --group and A B; see stategrad compare --help");
    if (!q->groups.n && n == 2 && !strpbrk(argv[1], "./") && access(argv[1], F_OK))
        return misuse("compare: %s is not a file: expected a second run, or two names of %s", argv[1], argv[0]);
    int code = read_delays(t, &q->delays);
    if (code < 0)
        code = read_measures(t, &q->measures);
    if (code < 0)
        code = select_runs(&t->runs, "compare", &q->groups, argv, runs);
    const char *const outputs[] = {q->csv, q->page};
    for (size_t i = 0; code < 0 && i < 2; i++) {
        code = refuse_unwritable(outputs[i]);
        if (code < 0)
            code = refuse_overwriting(outputs[i], t->runs.paths, t->runs.n);
        if (code < 0)
            code = refuse_overwriting(outputs[i], outputs, i);
    }
    if (code >= 0)
        return code;
    t->pairs = calloc(most, sizeof *t->pairs);
    t->labels = calloc(2 * most, sizeof *t->labels);
    if (!t->pairs || !t->labels)
        return failure("compare: no memory for %zu comparisons", most);
    sg_status st = open_runs(&t->runs, &err);
    if (st != SG_OK)
        return fail(st, &err);
    return n - runs == 2 ? add_names(t, q, argv[runs], argv[runs + 1]) : add_models(t, q);
}

static int run(int argc, char **argv)
{
    request q = {.style = SG_CSV_PLAIN};
    task t = {0};
    const option table[] = {
        {"class", 0, OPT_LIST, &q.classes, "NAME",
         "class on which models or states are compared (repeatable; default: all)", 0, 0},
        {"property", 'p', OPT_LIST, &q.properties, "NAME",
         "property on which models are compared (repeatable)", 0, 0},
        {"measure", 'm', OPT_LIST, &q.measures, "NAME,NAME,...",
         "measures to compare (default: all but total_gain_left and sigma_1_left)", 0, 0},
        {"delay", 0, OPT_LIST, &q.delays, "D,D,...",
         "delays to compare at (default: 0, 1, 5, 10, 20 and the last)", 0, 0},
        {"group", 'g', OPT_LIST, &q.groups, "NAME=RUN.nc,RUN.nc,...",
         "several trained models of one architecture, in place of a run: intervals over models (at most two)",
         0, 0},
        {"state", 's', OPT_STRING, &q.state, "cell|hidden", "default: the first in the file", 0, 0},
        {"layer", 'l', OPT_SIZE, &q.layer, "N", "1 is the lowest; default: the first in the file", 1, 1e6},
        {"output", 'o', OPT_STRING, &q.page, "FILE",
         "also write the report of these runs, with the comparison as a section; -: on standard output, in place of the text",
         0, 0},
        {"csv", 0, OPT_STRING, &q.csv, "FILE",
         "also write the table; -: on standard output, in place of the text", 0, 0},
        {"csv-style", 0, OPT_CHOICE, &q.style, CSV_STYLES, CSV_STYLE_HELP, 0, 0},
        {"json", 0, OPT_FLAG, &q.json, NULL, "one JSON object on standard output", 0, 0},
        END_OF_OPTIONS,
    };
    int code = parse_options(&cmd_compare, table, &argc, argv, 0, 0);
    if (code < 0 && q.json + to_stdout(q.csv) + to_stdout(q.page) > 1)
        code = misuse("compare: --json, --csv - and -o -: one of them only on standard output");
    if (code < 0)
        code = prepare(&t, &q, argc, argv);
    if (code < 0)
        code = compare_and_show(&t, &q);
    task_free(&t);
    option_list *const lists[] = {&q.groups, &q.classes, &q.properties, &q.delays, &q.measures};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        option_list_free(lists[i]);
    return code;
}

const command cmd_compare = {
    .name = "compare",
    .operands = "[RUN.nc [RUN.nc]] [A B]",
    .summary = "A against B: classes, properties, states, models or groups of models",
    .about =
        "A and B are two classes, properties or states of one run (\"layer1.cell\"), two runs, or two groups of runs. For each "
        "measure and delay: both values, their ratio and difference with 95 % intervals, and a p-value, adjusted over all "
        "rows of the table. Where A and B are of the same blocks of one text, intervals are paired: effects of a block "
        "on both cancel in their difference.\n\n"
        "Measures: rms_gain, total_gain (all directions), sigma_1; state_change (words replaced); property_gain, "
        "relative_memory; NAME_left, the share of the value at delay 0; NAME_half_life. Gains of different kinds of cells or "
        "states have no common unit: only shares and half-lives are compared.",
    .examples =
        "stategrad compare run.nc noun verb -o report.html\n"
        "stategrad compare lstm.nc gru.nc --class noun --measure rms_gain_left --delay 1,5\n"
        "stategrad compare --group lstm=lstm1.nc,lstm2.nc,lstm3.nc --group gru=gru1.nc,gru2.nc,gru3.nc",
    .run = run,
};
