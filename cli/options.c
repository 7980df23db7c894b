/* SPDX-License-Identifier: MIT */
/* One table per command generates parsing; manual.c makes help, manual pages and completion from the same. */
#include "team.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* "stategrad: TEXT", one line: what came in from names neither breaks it nor reaches the terminal as a
 * control character. */
static void complain(const char *format, va_list args)
{
    char text[1200];
    vsnprintf(text, sizeof text, format, args);
    sg_printable(text);
    char line[sizeof text + 16];
    snprintf(line, sizeof line, "stategrad: %s", text);
    team_say(line);
}

int misuse(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(format, args);
    va_end(args);
    return EXIT_MISUSE;
}

int failure(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(format, args);
    va_end(args);
    return EXIT_FAILED;
}

const char *shown(const char *name)
{
    static char *kept[4];
    static size_t at;
    char *copy = strdup(name ? name : "-");
    if (!copy)
        return "?";
    at = (at + 1) % (sizeof kept / sizeof *kept);
    free(kept[at]);
    kept[at] = copy;
    sg_printable(copy);
    return copy;
}

/* --no-NAME, which the library calls setting 'NAME' false */
static const char set_to_false[] = "' false";

void name_options(char *text)
{
    static const char mark[] = "setting '";
    char *to = text;
    for (const char *p = text; *p;) {
        if (strncmp(p, mark, sizeof mark - 1) != 0) {
            *to++ = *p++;
            continue;
        }
        p += sizeof mark - 1;
        size_t n = strcspn(p, "'");
        bool off = !strncmp(p + n, set_to_false, sizeof set_to_false - 1);
        to = stpcpy(to, off ? "--no-" : "--");
        for (size_t i = 0; i < n; i++, p++)
            *to++ = *p == '_' ? '-' : *p;
        p += off ? sizeof set_to_false - 1 : *p == '\'';
    }
    *to = 0;
}

const char *with_options(const char *message)
{
    static char text[1200];
    snprintf(text, sizeof text, "%s", message);
    name_options(text);
    return text;
}

int fail(sg_status st, const sg_error *err)
{
    char line[sizeof err->msg + 400];
    snprintf(line, sizeof line, "stategrad: %s",
             err->msg[0] ? with_options(err->msg) : "failed without a message");
    team_say(line);
    if (st == SG_ECANCELLED && interrupted())
        return 128 + interrupted();
    return st == SG_OK ? EXIT_DONE : st == SG_EINVAL ? EXIT_MISUSE : EXIT_FAILED;
}

const char *did_you_mean(char *room, size_t size, const char *dashes, const char *text,
                         const char *const *names, size_t n)
{
    const char *near = sg_nearest_name(text, names, n);
    room[0] = 0;
    if (near)
        snprintf(room, size, "did you mean %s%s? ", dashes, near);
    return room;
}

int find_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (int i = 0; *choices; i++) {
        size_t length = strcspn(choices, "|");
        if (length == n && !strncmp(choices, text, n))
            return i;
        choices += length + (choices[length] == '|');
    }
    return -1;
}

/* Without an exponent: 10000000, 0.000001. */
static void plain_number(char *text, size_t size, double x)
{
    if (x == floor(x) || fabs(x) >= 1e15) {
        snprintf(text, size, "%.0f", x);
        return;
    }
    int decimals = 0;
    for (double y = x; decimals < 15 && fabs(y - round(y)) > 1e-9 * fabs(y); decimals++)
        y = x * pow(10, decimals + 1);
    snprintf(text, size, decimals < 15 ? "%.*f" : "%.*g", decimals, x);
}

static bool is_number_kind(option_kind k)
{
    return k == OPT_SIZE || k == OPT_INT || k == OPT_THREADS || k == OPT_U64 || k == OPT_REAL;
}

/* More threads than the cores that this process may use only wait for one another. */
static int cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : INT_MAX;
}

static double number_value(const option *o)
{
    return o->kind == OPT_REAL                            ? *(const double *)o->value
           : o->kind == OPT_INT || o->kind == OPT_THREADS ? *(const int *)o->value
           : o->kind == OPT_SIZE                          ? (double)*(const size_t *)o->value
                                                          : (double)*(const uint64_t *)o->value;
}

bool default_text(const option *o, char *text, size_t size)
{
    const char *word = o->kind == OPT_STRING ? *(const char *const *)o->value : NULL;
    if (o->kind == OPT_CHOICE && *(const int *)o->value >= 0) {
        word = o->arg;
        for (int i = 0; i < *(const int *)o->value; i++)
            word += strcspn(word, "|") + 1;
        snprintf(text, size, "%.*s", (int)strcspn(word, "|"), word);
        return true;
    }
    if (word)
        snprintf(text, size, "%s", word);
    if (word || !is_number_kind(o->kind) || number_value(o) == 0 || isnan(number_value(o)))
        return word;
    plain_number(text, size, number_value(o));
    return true;
}

/* Bounds that are no bounds for anyone: beyond them a number is a slip anyway. */
static int out_of_range(const option *o, const char *text, double min, double max, bool above)
{
    char low[64], high[64];
    plain_number(low, sizeof low, min);
    plain_number(high, sizeof high, max);
    bool unlimited = max >= 1e15;
    if (above && unlimited)
        return misuse("--%s: %s is too large", o->name, text);
    if (min > 0 && min < 1e-6)
        return misuse("--%s: expected a number above 0%s%s, found %s", o->name, unlimited ? "" : ", at most ",
                      unlimited ? "" : high, text);
    if (unlimited)
        return misuse("--%s: expected at least %s, found %s", o->name, low, text);
    return misuse("--%s: expected %s to %s, found %s", o->name, low, high, text);
}

static int store_number(const option *o, const char *text)
{
    char *end = NULL;
    errno = 0;
    double real = strtod(text, &end);
    bool whole = o->kind != OPT_REAL, whole_int = o->kind == OPT_INT || o->kind == OPT_THREADS;
    if (end == text || *end || !isfinite(real) || (whole && strspn(text, "-+0123456789") != strlen(text)))
        return misuse("--%s: expected %s, found '%s'", o->name, whole ? "a whole number" : "a number", text);
    double min = o->min, max = o->max;
    if (!(min < max)) {
        min = o->kind == OPT_REAL ? -INFINITY : whole_int ? -2147483648.0 : 0;
        max = o->kind == OPT_REAL ? INFINITY
              : whole_int         ? 2147483647.0
                                  : 18446744073709551616.0; /* 2^64: strtoull reports overflow */
    }
    if (!(real >= min && real <= max))
        return out_of_range(o, text, min, max, real > max);
    errno = 0;
    if (o->kind == OPT_REAL)
        *(double *)o->value = real;
    else if (o->kind == OPT_INT)
        *(int *)o->value = (int)strtol(text, NULL, 10);
    else if (o->kind == OPT_THREADS)
        *(int *)o->value = (int)fmin(real, cores());
    else if (o->kind == OPT_SIZE)
        *(size_t *)o->value = (size_t)strtoull(text, NULL, 10);
    else
        *(uint64_t *)o->value = (uint64_t)strtoull(text, NULL, 10);
    if (errno == ERANGE)
        return misuse("--%s: %s is too large", o->name, text);
    return -1;
}

/* "a, b or c" of "a|b|c" */
static void list_choices(char *list, size_t size, const char *choices)
{
    size_t used = 0;
    while (*choices && used < size) {
        size_t n = strcspn(choices, "|");
        bool more = choices[n] == '|';
        used += (size_t)snprintf(list + used, size - used, "%.*s%s", (int)n, choices,
                                 !more                          ? ""
                                 : strchr(choices + n + 1, '|') ? ", "
                                                                : " or ");
        choices += n + more;
    }
}

static int store_choice(const option *o, const char *text)
{
    char list[256];
    int i = find_choice(o->arg, text);
    list_choices(list, sizeof list, o->arg);
    if (i < 0)
        return misuse("--%s: expected %s, found '%s'", o->name, list, text);
    *(int *)o->value = i;
    return -1;
}

static int store(const option *o, const char *text)
{
    if (!*text && strcmp(o->arg, "TEXT") != 0)
        return misuse("--%s: expected %s, found ''", o->name, o->arg);
    if (o->kind == OPT_STRING) {
        *(const char **)o->value = text;
        return -1;
    }
    if (o->kind == OPT_CHOICE)
        return store_choice(o, text);
    if (o->kind != OPT_LIST)
        return store_number(o, text);
    option_list *l = o->value;
    const char **items = realloc(l->items, (l->n + 1) * sizeof *items);
    if (!items)
        return misuse("--%s: no memory", o->name);
    l->items = items;
    l->items[l->n++] = text;
    return -1;
}

static const option *find_option(const option *table, const char *text, bool is_long, size_t length)
{
    for (const option *o = table; o->name; o++)
        if (o->kind != OPT_SECTION &&
            (is_long ? strlen(o->name) == length && !strncmp(o->name, text + 2, length)
                     : o->letter && o->letter == text[1]))
            return o;
    return NULL;
}

static int unknown_option(const command *c, const option *table, const char *text, bool is_long,
                          size_t length)
{
    enum { MOST = 128 };
    const char *names[MOST] = {"help"};
    char asked[64], hint[96];
    size_t n = 1;
    for (const option *o = table; o->name && n < MOST; o++)
        if (o->kind != OPT_SECTION)
            names[n++] = o->name;
    snprintf(asked, sizeof asked, "%.*s", (int)length, text + 2);
    return misuse("%s: unknown option '%.*s'; %sstategrad %s --help lists them", c->name,
                  (int)(is_long ? length + 2 : 2), text,
                  did_you_mean(hint, sizeof hint, "--", is_long ? asked : "", names, n), c->name);
}

/* "-" is a value, and so is a negative number for an option that wants a number. */
static bool is_value(const option *o, const char *text)
{
    return text &&
           (text[0] != '-' || !text[1] || (is_number_kind(o->kind) && strchr("0123456789.", text[1])));
}

/* The option at argv[*i] with its value; -1, or the exit code of a misuse. */
static int take_option(const command *c, const option *table, int argc, char **argv, int *i)
{
    char *a = argv[*i];
    const char *value = NULL;
    bool is_long = a[1] == '-';
    size_t length = is_long ? strcspn(a + 2, "=") : 1;
    const option *found = find_option(table, a, is_long, length);
    if (!found)
        return unknown_option(c, table, a, is_long, length);
    if (is_long ? a[2 + length] == '=' : a[2] != 0)
        value = a + (is_long ? 3 + length : 2);
    if (found->kind == OPT_FLAG) {
        if (value)
            return misuse("%s: --%s takes no value, found '%s'", c->name, found->name, value);
        *(bool *)found->value = true;
        return -1;
    }
    if (!value) {
        if (*i + 1 >= argc || !is_value(found, argv[*i + 1]))
            return misuse("%s: --%s needs a value (%s)", c->name, found->name, found->arg);
        value = argv[++*i];
    }
    return store(found, value);
}

int parse_options(const command *c, const option *table, int *argc, char **argv, int min_operands,
                  int max_operands)
{
    int n = 0, stop;
    bool options = true;
    if (*argc == 3 && !strcmp(argv[1], "--generate"))
        return generate_part(argv[2], c, table);
    for (int i = 1; i < *argc; i++) {
        char *a = argv[i];
        if (!options || a[0] != '-' || !a[1]) {
            argv[n++] = a;
            while (max_operands < 0 && ++i < *argc)
                argv[n++] = argv[i];
        } else if (!strcmp(a, "--"))
            options = false;
        else if (!strcmp(a, "--help") || !strcmp(a, "-h")) {
            print_help(stdout, c, table);
            return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
        } else if ((stop = take_option(c, table, *argc, argv, &i)) >= 0)
            return stop;
    }
    *argc = n;
    if (n < min_operands)
        return misuse("%s: expected %s, found %d operand%s; see stategrad %s --help", c->name, c->operands, n,
                      n == 1 ? "" : "s", c->name);
    if (max_operands > 0 && n > max_operands)
        return misuse("%s: one operand too many: '%s'", c->name, argv[max_operands]);
    return -1;
}

void option_list_free(option_list *l)
{
    free(l->items);
    *l = (option_list){0};
}
