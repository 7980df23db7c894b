/* SPDX-License-Identifier: MIT */
/* One table per command generates parsing and help. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int misuse(const char *format, ...)
{
    va_list args;
    char text[1024];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    /* One line: whatever came in from names must not break it, nor reach the terminal as an escape
     * sequence. */
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    fprintf(stderr, "stategrad: %s\n", text);
    return EXIT_MISUSE;
}

const char *with_options(const char *message)
{
    static const char mark[] = "setting '";
    static char text[1200];
    char *to = text, *end = text + sizeof text - 3;
    for (const char *p = message; *p && to < end;) {
        const char *name = strncmp(p, mark, sizeof mark - 1) ? NULL : p + sizeof mark - 1;
        if (!name) {
            *to++ = *p++;
            continue;
        }
        *to++ = '-', *to++ = '-';
        for (p = name; *p && *p != '\'' && to < end; p++)
            *to++ = *p == '_' ? '-' : *p;
        p += *p == '\'';
    }
    *to = 0;
    return text;
}

int fail(sg_status st, const sg_error *err)
{
    fprintf(stderr, "stategrad: %s\n", err->msg[0] ? with_options(err->msg) : "failed without a message");
    if (st == SG_ECANCELLED && interrupted())
        return 128 + interrupted();
    return st == SG_OK ? EXIT_DONE : EXIT_FAILED;
}

void print_help(FILE *f, const command *c, const option *table)
{
    fprintf(f, "usage: stategrad %s %s [options]\n\n%s\n\n", c->name, c->operands,
            c->about ? c->about : c->summary);
    for (const option *o = table; o->name; o++) {
        char left[64];
        char letter[8] = "    ";
        if (o->letter)
            snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        fprintf(f, "  %-30s%s%s\n", left, strlen(left) > 29 ? "\n                                " : "",
                o->help);
    }
    fprintf(f, "  %-30s%s\n", "-h, --help", "this text");
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

static int store(const option *o, const char *text)
{
    char *end = NULL;
    errno = 0;
    if (o->kind == OPT_STRING) {
        *(const char **)o->value = text;
        return -1;
    }
    if (o->kind == OPT_LIST) {
        option_list *l = o->value;
        const char **items = realloc(l->items, (l->n + 1) * sizeof *items);
        if (!items)
            return misuse("--%s: no memory", o->name);
        l->items = items;
        l->items[l->n++] = text;
        return -1;
    }
    double real = strtod(text, &end);
    bool whole = o->kind != OPT_REAL, whole_int = o->kind == OPT_INT || o->kind == OPT_THREADS;
    if (end == text || *end || !isfinite(real) || (whole && strspn(text, "-+0123456789") != strlen(text)))
        return misuse("--%s: expected %s, found '%s'", o->name, whole ? "a whole number" : "a number", text);
    double min = o->min, max = o->max;
    if (!(min < max)) {
        min = o->kind == OPT_REAL ? -INFINITY : whole_int ? -2147483648.0 : 0;
        max = o->kind == OPT_REAL ? INFINITY : whole_int ? 2147483647.0 : 18446744073709549568.0;
    }
    if (!(real >= min && real <= max)) {
        if (isinf(max) || max > 1e18)
            return misuse("--%s: expected at least %g, found %s", o->name, min, text);
        return misuse("--%s: expected %g to %g, found %s", o->name, min, max, text);
    }
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

int parse_options(const command *c, const option *table, int *argc, char **argv, int min_operands,
                  int max_operands)
{
    int n = 0;
    bool options = true;
    for (int i = 1; i < *argc; i++) {
        char *a = argv[i];
        if (!options || a[0] != '-' || !a[1]) {
            argv[n++] = a;
            continue;
        }
        if (!strcmp(a, "--")) {
            options = false;
            continue;
        }
        if (!strcmp(a, "--help") || !strcmp(a, "-h")) {
            print_help(stdout, c, table);
            return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
        }
        const option *found = NULL;
        const char *value = NULL;
        bool is_long = a[1] == '-';
        size_t length = is_long ? strcspn(a + 2, "=") : 1;
        for (const option *o = table; o->name && !found; o++)
            if (is_long ? strlen(o->name) == length && !strncmp(o->name, a + 2, length)
                        : o->letter && o->letter == a[1])
                found = o;
        if (!found)
            return misuse("%s: unknown option '%.*s'; stategrad %s --help lists them", c->name,
                          (int)(is_long ? length + 2 : 2), a, c->name);
        if (is_long ? a[2 + length] == '=' : a[2] != 0)
            value = a + (is_long ? 3 + length : 2);
        if (found->kind == OPT_FLAG) {
            if (value)
                return misuse("%s: --%s takes no value, found '%s'", c->name, found->name, value);
            *(bool *)found->value = true;
            continue;
        }
        if (!value) {
            /* "-" is a value, and so is a negative number for an option that wants a number */
            bool missing =
                i + 1 >= *argc || (argv[i + 1][0] == '-' && argv[i + 1][1] &&
                                   !(is_number_kind(found->kind) && strchr("0123456789.", argv[i + 1][1])));
            if (missing)
                return misuse("%s: --%s needs a value (%s)", c->name, found->name, found->arg);
            value = argv[++i];
        }
        int stop = store(found, value);
        if (stop >= 0)
            return stop;
    }
    *argc = n;
    if (n < min_operands)
        return misuse("%s: expected %s, found %d operand%s; see stategrad %s --help", c->name, c->operands, n,
                      n == 1 ? "" : "s", c->name);
    if (max_operands && n > max_operands)
        return misuse("%s: one operand too many: '%s'", c->name, argv[max_operands]);
    return -1;
}

void option_list_free(option_list *l)
{
    free(l->items);
    *l = (option_list){0};
}
