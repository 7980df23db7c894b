/* SPDX-License-Identifier: MIT */
/* Class specs and the files they name: "KIND[:FILE][,groups=FILE]". */
#include "corpus/classes_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- lists per key ---- */

sg_status links_add(link_lists *l, size_t key, int32_t value, sg_error *err)
{
    sg_status st = array_reserve(&l->heads, &l->heads_cap, key + 1, sizeof *l->heads, err);
    if (st == SG_OK)
        st = array_reserve(&l->links, &l->links_cap, l->n_links + 1, sizeof *l->links, err);
    if (st != SG_OK)
        return st;
    if (l->n_links >= INT32_MAX)
        return sg_fail(err, SG_EINVAL, "classes: more than %d entries", INT32_MAX);
    while (l->n_heads <= key)
        l->heads[l->n_heads++] = -1;
    int32_t *tail = &l->heads[key];
    for (; *tail >= 0; tail = &l->links[*tail].next)
        if (l->links[*tail].value == value)
            return SG_OK;
    *tail = (int32_t)l->n_links;
    l->links[l->n_links++] = (class_link){value, -1};
    return SG_OK;
}

int32_t links_first(const link_lists *l, size_t key)
{
    return l->heads && key < l->n_heads ? l->heads[key] : -1;
}

static void links_free(link_lists *l)
{
    sg_free(l->heads);
    sg_free(l->links);
    *l = (link_lists){0};
}

/* ---- "name: word word ..." ---- */

/* Cuts a line at the first colon with white space (or nothing) after it; a colon at the end of a name
 * without any such is taken too. NULL: there is none, or no name before it. */
static char *cut_name(char *line, char **rest)
{
    char *colon = NULL;
    for (char *p = strchr(line, ':'); p && !colon; p = strchr(p + 1, ':'))
        if (!p[1] || utf8_space((const unsigned char *)p + 1, strlen(p + 1)))
            colon = p;
    if (!colon)
        colon = strchr(line, ':');
    line += strspn(line, " \t");
    if (!colon || colon <= line)
        return NULL;
    *rest = colon + 1;
    while (colon > line && (colon[-1] == ' ' || colon[-1] == '\t'))
        colon--;
    *colon = 0;
    return line[0] ? line : NULL;
}

/* A class of this file: made when its name is new, the same when the line goes on with an earlier one. */
static sg_status named_class(sg_classes *k, const class_spec *spec, string_table *own, link_lists *own_class,
                             const text_lines *l, const char *name, int32_t *c, sg_error *err)
{
    sg_status st = SG_OK;
    int32_t n;
    bool added;
    char *origin = NULL;
    TRY(string_table_add(own, name, strlen(name), &n, &added, err));
    if (!added) {
        int32_t first = links_first(own_class, (size_t)n);
        assert(own_class->links && first >= 0); /* every name of `own` got its class when it was added */
        *c = own_class->links[first].value;
        goto done;
    }
    size_t size = strlen(l->path) + 32;
    NEED(origin = sg_calloc(size, 1), err, "%s", l->path);
    snprintf(origin, size, "%s:%zu", l->path, l->line);
    TRY(classes_add(k, spec, name, origin, c, err));
    TRY(links_add(own_class, (size_t)n, *c, err));
done:
    sg_free(origin);
    return st;
}

/* Groups (groups true): each member is a label, the name a class. Words: the name is a label (and, without
 * groups, a class), each member a word that has it. */
static sg_status read_named_lines(sg_classes *k, class_spec *spec, const char *path, bool groups,
                                  sg_error *err)
{
    sg_status st = SG_OK;
    text_lines l = {0};
    string_table *own = NULL;
    link_lists own_class = {0};
    char *line, *rest, *name, *word;
    TRY(string_table_new(&own, err));
    TRY(text_lines_open(&l, path, err));
    while ((line = text_lines_next(&l))) {
        char excerpt[64];
        size_t blank = strspn(line, " \t");
        int32_t c = -1, label = -1, key;
        if (!line[blank] || line[blank] == '#')
            continue;
        text_excerpt(excerpt, line, strlen(line));
        if (!(name = cut_name(line, &rest)))
            TRY(sg_fail(err, SG_EFORMAT, "%s:%zu: '%s', expected 'name: %s ...'", path, l.line, excerpt,
                        groups ? "tag tag" : "word word"));
        if (groups || !spec->grouped)
            TRY(named_class(k, spec, own, &own_class, &l, name, &c, err));
        if (!groups && spec->grouped)
            label = string_table_find(spec->labels, name, strlen(name));
        else if (!groups) {
            TRY(string_table_add(spec->labels, name, strlen(name), &label, NULL, err));
            TRY(links_add(&spec->label_classes, (size_t)label, c, err));
        }
        size_t members = 0;
        for (; (word = text_next_word(&rest)); members++) {
            TRY(string_table_add(groups ? spec->labels : spec->words, word, strlen(word), &key, NULL, err));
            if (groups)
                TRY(links_add(&spec->label_classes, (size_t)key, c, err));
            else if (label >= 0)
                TRY(links_add(&spec->word_labels, (size_t)key, label, err));
        }
        if (!members)
            TRY(sg_fail(err, SG_EFORMAT, "%s:%zu: '%s' has no %s", path, l.line, name,
                        groups ? "tags" : "words"));
    }
    if (!string_table_count(own) && (groups || !spec->grouped))
        TRY(sg_fail(err, SG_EFORMAT, "%s: empty, expected lines 'name: %s ...'", path,
                    groups ? "tag tag" : "word word"));
done:
    string_table_free(own);
    links_free(&own_class);
    text_lines_close(&l);
    return st;
}

/* ---- "word tag tag ..." ---- */

static sg_status read_lexicon(class_spec *spec, sg_error *err)
{
    sg_status st = SG_OK;
    text_lines l = {0};
    char *line, *word, *tag;
    TRY(text_lines_open(&l, spec->path, err));
    while ((line = text_lines_next(&l))) {
        int32_t key, label;
        size_t tags = 0;
        if (!(word = text_next_word(&line)))
            continue;
        TRY(string_table_add(spec->words, word, strlen(word), &key, NULL, err));
        for (; (tag = text_next_word(&line)); tags++) {
            if (spec->grouped)
                label = string_table_find(spec->labels, tag, strlen(tag));
            else
                TRY(string_table_add(spec->labels, tag, strlen(tag), &label, NULL, err));
            if (label >= 0)
                TRY(links_add(&spec->word_labels, (size_t)key, label, err));
        }
        char excerpt[64];
        if (!tags)
            TRY(sg_fail(err, SG_EFORMAT, "%s:%zu: '%s' has no tag, expected 'word tag tag ...'", spec->path,
                        l.line, text_excerpt(excerpt, word, strlen(word))));
    }
    if (!string_table_count(spec->words))
        TRY(sg_fail(err, SG_EFORMAT, "%s: empty, expected lines 'word tag tag ...'", spec->path));
done:
    text_lines_close(&l);
    return st;
}

/* ---- specs ---- */

static bool names_file(const char *path)
{
    return !path || !strchr(path, '*') || access(path, F_OK) == 0;
}

/* NAME of "NAME=tags:FILE"; *rest: what follows the sign. Not a name: the text as it is. */
static sg_status cut_layer_name(class_spec *spec, const char **rest, sg_error *err)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-",
                      tags[] = "tags:";
    sg_status st = SG_OK;
    const char *equals = strchr(spec->text, '=');
    *rest = spec->text;
    if (!equals || strncmp(equals + 1, tags, sizeof tags - 1) != 0 || strchr(spec->text, ':') < equals)
        return SG_OK;
    size_t n = (size_t)(equals - spec->text);
    if (!n || strspn(spec->text, plain) < n)
        return sg_fail(
            err, SG_EINVAL,
            "classes '%s': the name before '=' has a character that is no letter, digit, '-' or '_'",
            spec->text);
    NEED(spec->name = sg_strndup(spec->text, n), err, "the classes");
    *rest = equals + 1;
done:
    return st;
}

/* Cuts ",groups=FILE" and ":FILE" off a spec that begins with a kind. */
static sg_status cut_spec(class_spec *spec, const char *text, const class_kind_row *row, sg_error *err)
{
    sg_status st = SG_OK;
    const char *found = NULL;
    for (const char *p = strstr(text, class_groups); p; p = strstr(p + 1, class_groups))
        found = p;
    size_t n = found ? (size_t)(found - text) : strlen(text);
    spec->kind = row->kind;
    spec->grouped = found != NULL;
    if (found)
        NEED(spec->groups_path = sg_strdup(found + strlen(class_groups)), err, "the classes");
    if (row->argument != NO_ARGUMENT) {
        size_t start = strlen(row->name) + 1;
        char *argument = sg_strndup(text + start, n - start);
        NEED(argument, err, "the classes");
        *(row->argument == A_FILE ? &spec->path : &spec->key) = argument;
    }
done:
    return st;
}

/* Finds the kind: of a spec, or an expression. In front of '*' a spec is a factor, unless a file has that
 * name. */
static sg_status parse_spec(class_spec *spec, const char *text, sg_error *err)
{
    sg_status st = SG_OK;
    NEED(spec->text = sg_strdup(text), err, "the classes");
    const char *rest;
    TRY(cut_layer_name(spec, &rest, err));
    const class_kind_row *row = class_kind_of(rest);
    if (row)
        TRY(cut_spec(spec, rest, row, err));
    if (!row || !names_file(spec->path) || !names_file(spec->groups_path)) {
        if (!expression_has_operators(text) && !expression_has_column(text)) {
            const char *near = row ? NULL : class_kind_near(rest);
            TRY(sg_fail(
                err, SG_EINVAL,
                "classes '%s': expected upos, xpos, feats, deprel, lemma, column:N, misc:KEY, tags, tags:FILE, "
                "lexicon:FILE, words:FILE, frequency, position or to-end, with ,groups=FILE or without, or an "
                "expression (upos:NOUN, NAME=NOUN&rank 1-100)%s%s%s",
                text, near ? "; did you mean " : "", near ? near : "", near ? "?" : ""));
        }
        spec->kind = BY_EXPRESSION;
        spec->grouped = false;
        return expression_parse(&spec->expression, text, "classes", true, err);
    }
    if ((spec->path && !spec->path[0]) || (spec->groups_path && !spec->groups_path[0]))
        TRY(sg_fail(err, SG_EINVAL, "classes '%s': the name of the file is missing", text));
    if (spec->key && !spec->key[0])
        TRY(sg_fail(err, SG_EINVAL, "classes '%s': %s is missing", text,
                    spec->kind == BY_MISC ? "a key of the column MISC" : "the number of a column"));
    if (spec->kind == BY_COLUMN && spec->key) {
        spec->number = strtoul(spec->key, NULL, 10);
        if (spec->number < 1 || spec->number > CONLLU_COLUMNS)
            TRY(sg_fail(err, SG_EINVAL, "classes '%s': CoNLL-U has the columns 1 to %d", text,
                        CONLLU_COLUMNS));
    }
    if (spec->kind == BY_FREQUENCY && spec->grouped)
        TRY(sg_fail(err, SG_EINVAL, "classes '%s': frequency bands have no groups", text));
done:
    return st;
}

sg_status class_spec_read(sg_classes *k, class_spec *spec, const char *text, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(parse_spec(spec, text, err));
    TRY(string_table_new(&spec->labels, err));
    TRY(string_table_new(&spec->words, err));
    if (spec->expression && expression_factors(spec->expression) == 1)
        TRY(classes_add(k, spec, expression_name(spec->expression), NULL, &spec->class, err));
    if (spec->expression)
        TRY(classes_keep_for(k, spec->expression, err));
    if (spec->kind == BY_TAGS_FILE)
        TRY(classes_layer(k, spec, &spec->number, err));
    if (spec->grouped)
        TRY(read_named_lines(k, spec, spec->groups_path, true, err));
    if (spec->kind == BY_WORDS)
        TRY(read_named_lines(k, spec, spec->path, false, err));
    else if (spec->kind == BY_LEXICON)
        TRY(read_lexicon(spec, err));
done:
    return st;
}

void class_spec_free(class_spec *spec)
{
    sg_free(spec->text);
    sg_free(spec->path);
    sg_free(spec->key);
    sg_free(spec->name);
    sg_free(spec->groups_path);
    expression_free(spec->expression);
    string_table_free(spec->words);
    string_table_free(spec->labels);
    links_free(&spec->word_labels);
    links_free(&spec->label_classes);
    *spec = (class_spec){0};
}
