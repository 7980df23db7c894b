/* SPDX-License-Identifier: MIT */
#include "base/settings.h"

#include "base/base_internal.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const setting_row *setting_find(const settings_table *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (!strcmp(t->rows[i].s.name, name))
            return &t->rows[i];
    return NULL;
}

size_t setting_whole(const setting_row *r, const void *cfg)
{
    const char *at = (const char *)cfg + r->s.offset;
    unsigned choice;
    size_t whole;
    if (r->size == sizeof(bool))
        return *(const bool *)at;
    if (r->size == sizeof choice)
        return memcpy(&choice, at, sizeof choice), choice;
    return memcpy(&whole, at, sizeof whole), whole;
}

double setting_number(const setting_row *r, const void *cfg)
{
    double x;
    return r->s.type == SG_SETTING_REAL ? memcpy(&x, (const char *)cfg + r->s.offset, sizeof x),
           x                            : (double)setting_whole(r, cfg);
}

/* Words in place of a real number. */
static bool is_word(const setting_row *r, const void *cfg, const setting_word *w)
{
    return r->s.type == SG_SETTING_REAL ? setting_number(r, cfg) == (double)(int64_t)w->value
                                        : setting_whole(r, cfg) == w->value;
}

static void put_whole(const setting_row *r, void *cfg, size_t value)
{
    char *at = (char *)cfg + r->s.offset;
    unsigned choice = (unsigned)value;
    double real = (double)(int64_t)value;
    if (r->s.type == SG_SETTING_REAL)
        memcpy(at, &real, sizeof real);
    else if (r->size == sizeof(bool))
        *(bool *)at = value != 0;
    else
        memcpy(at, r->size == sizeof choice ? (void *)&choice : (void *)&value, r->size);
}

static size_t *second_of(const setting_row *r, void *cfg)
{
    return (size_t *)(void *)((char *)cfg + r->second);
}

static bool in_range(const sg_setting *s, double x)
{
    return !(s->least < s->most) || (x >= s->least && x <= s->most);
}

static bool read_whole(const char *text, size_t *n)
{
    char *end;
    errno = 0;
    *n = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && !*end && !errno;
}

/* true: text is one of the words. */
static bool read_word(const setting_row *r, void *cfg, const char *text)
{
    for (const setting_word *w = r->words; w && w->word; w++) {
        size_t stem = strcspn(w->word, "N");
        if (w->word[stem] ? strncmp(text, w->word, stem) != 0 : strcmp(text, w->word) != 0)
            continue;
        size_t n = 0;
        if (w->word[stem] && (!read_whole(text + stem, &n) || !n))
            return false;
        put_whole(r, cfg, w->value);
        if (r->second)
            *second_of(r, cfg) = n;
        return true;
    }
    return false;
}

static bool read_part(const setting_row *r, void *cfg, const char *text)
{
    size_t part, parts;
    int used = 0;
    if (sscanf(text, "%zu/%zu%n", &part, &parts, &used) != 2 || text[used] || !part || part > parts)
        return false;
    put_whole(r, cfg, part);
    *second_of(r, cfg) = parts;
    return true;
}

static bool read_number(const setting_row *r, void *cfg, const char *text)
{
    char *at = (char *)cfg + r->s.offset, *end;
    size_t whole = 0;
    double x = strtod(text, &end);
    bool real = r->s.type == SG_SETTING_REAL,
         good = end != text && !*end && isfinite(x) && in_range(&r->s, x);
    if (!good || (!real && !read_whole(text, &whole)))
        return false;
    if (real)
        memcpy(at, &x, sizeof x);
    else
        put_whole(r, cfg, whole);
    return true;
}

/* The meaning of the letter in `values`. */
static const char *meaning(const setting_row *r, char *text, size_t size)
{
    const bool whole = r->s.type != SG_SETTING_REAL;
    text[0] = 0;
    if (r->s.type == SG_SETTING_WORD || r->s.type == SG_SETTING_TEXT || !(r->s.least < r->s.most))
        return text;
    if (whole && r->s.most >= 1e6)
        snprintf(text, size, " (a whole number from %g on)", r->s.least);
    else
        snprintf(text, size, " (a %snumber from %g to %g)", whole ? "whole " : "", r->s.least, r->s.most);
    return text;
}

/* "a, b or c" of "a|b|c". */
static const char *alternatives(const char *values, char *text, size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (const char *v = values; *v && used < size;) {
        size_t n = strcspn(v, "|");
        const char *after = v + n + (v[n] == '|');
        const char *join = !*after ? "" : strchr(after, '|') ? ", " : " or ";
        used += (size_t)snprintf(text + used, size - used, "%.*s%s", (int)n, v, join);
        v = after;
    }
    return text;
}

sg_status setting_set(const settings_table *t, void *cfg, const char *name, const char *value, sg_error *err)
{
    char text[80], values[160];
    size_t struct_size;
    const setting_row *r = setting_find(t, name);
    if (!r)
        return sg_fail(err, SG_EINVAL, "%s is not a setting of %s", name, t->of);
    memcpy(&struct_size, cfg, sizeof struct_size);
    if (struct_size && r->s.offset + r->size > struct_size)
        return sg_fail(err, SG_EINVAL,
                       "setting '%s': the program was compiled with headers that do not have it", name);
    if (r->s.type == SG_SETTING_TEXT)
        memcpy((char *)cfg + r->s.offset, &value, sizeof value);
    else if (!read_word(r, cfg, value) &&
             !(r->s.type == SG_SETTING_WORD ? !r->words && read_part(r, cfg, value)
                                            : read_number(r, cfg, value)))
        return sg_fail(err, SG_EINVAL, "setting '%s': expected %s%s, found '%s'", name,
                       alternatives(r->s.values, values, sizeof values), meaning(r, text, sizeof text),
                       value);
    return SG_OK;
}

/* digits 0: as few as give the same number when they are read. */
static void print_real(double x, int digits, char *text, size_t size)
{
    for (int n = digits ? digits : 6; n <= 17; n++) {
        snprintf(text, size, "%.*g", n, x);
        if (digits || strtod(text, NULL) == x)
            return;
    }
}

void setting_print(const setting_row *r, const void *cfg, int digits, char *text, size_t size)
{
    size_t whole = r->s.type == SG_SETTING_REAL ? 0 : setting_whole(r, cfg);
    size_t second = r->second ? *second_of(r, (void *)cfg) : 0;
    for (const setting_word *w = r->words; w && w->word; w++)
        if (is_word(r, cfg, w)) {
            bool has_number = r->second && strchr(w->word, 'N');
            snprintf(text, size, has_number ? "%.*s%zu" : "%.*s", (int)strcspn(w->word, "N"), w->word,
                     second);
            return;
        }
    if (r->s.type == SG_SETTING_REAL)
        print_real(setting_number(r, cfg), digits, text, size);
    else
        snprintf(text, size, r->second ? "%zu/%zu" : "%zu", whole, second);
}

void settings_give_defaults(const settings_table *t, void *cfg)
{
    for (size_t i = 0; i < t->n; i++) {
        const char *text = t->rows[i].s.fallback;
        if (text && strcmp(text, "0"))
            setting_set(t, cfg, t->rows[i].s.name, text, NULL);
    }
}

sg_status settings_in_range(const settings_table *t, const void *cfg, sg_error *err)
{
    char values[160];
    for (size_t i = 0; i < t->n; i++) {
        const setting_row *r = &t->rows[i];
        const sg_setting *s = &r->s;
        if (s->type == SG_SETTING_TEXT || (s->type == SG_SETTING_WORD && !r->words))
            continue;
        double x = setting_number(r, cfg);
        bool off = x == 0 && s->fallback && (!strcmp(s->fallback, "0") || !strcmp(s->fallback, "auto"));
        bool word_of_it = false;
        for (const setting_word *w = r->words; w && w->word; w++)
            word_of_it |= is_word(r, cfg, w);
        if (s->type == SG_SETTING_WORD && !word_of_it)
            return sg_fail(err, SG_EINVAL, "setting '%s': expected %s, found the number %.15g", s->name,
                           alternatives(s->values, values, sizeof values), x);
        if (!off && !word_of_it && !in_range(s, x))
            return sg_fail(err, SG_EINVAL, "setting '%s': expected %.15g to %.15g, found %.15g", s->name,
                           s->least, s->most, x);
    }
    return SG_OK;
}

void settings_describe(const settings_table *t, const void *cfg, bool with_part, char *text, size_t size)
{
    char value[64];
    size_t used = strlen(text);
    for (size_t i = 0; i < t->n; i++) {
        const setting_row *r = &t->rows[i];
        if (r->decides == NOTHING || (r->decides == WHICH_PART && !with_part))
            continue;
        setting_print(r, cfg, 0, value, sizeof value);
        used += (size_t)snprintf(text + used, size - used, "%s=%s\n", r->s.name, value);
    }
}
