/* SPDX-License-Identifier: MIT */
/* Names of classes: a new one each, distinguished where two specs have the same. */
#include "corpus/classes_internal.h"

#include <string.h>

static const class_kind_row class_kinds[] = {
    {"upos", BY_UPOS, NO_ARGUMENT},
    {"xpos", BY_XPOS, NO_ARGUMENT},
    {"feats", BY_FEATS, NO_ARGUMENT},
    {"tags", BY_TAG, NO_ARGUMENT},
    {"tags", BY_TAGS_FILE, A_FILE},
    {"lexicon", BY_LEXICON, A_FILE},
    {"words", BY_WORDS, A_FILE},
    {"frequency", BY_FREQUENCY, NO_ARGUMENT},
    {"deprel", BY_DEPREL, NO_ARGUMENT},
    {"lemma", BY_LEMMA, NO_ARGUMENT},
    {"column", BY_COLUMN, A_KEY},
    {"misc", BY_MISC, A_KEY},
    {"position", BY_POSITION, NO_ARGUMENT},
    {"to-end", BY_TO_END, NO_ARGUMENT},
};
enum { KINDS = sizeof class_kinds / sizeof *class_kinds };

const char class_groups[] = ",groups=";

static const char *kind_name(class_kind kind)
{
    for (size_t i = 0; i < KINDS; i++)
        if (class_kinds[i].kind == kind)
            return class_kinds[i].name;
    return "expression";
}

/* What follows the colon: a file may have any name; a number, a key without what makes it a label or an
 * expression. */
static bool fits(const class_kind_row *row, const char *argument, size_t n)
{
    return row->argument == A_FILE || (row->kind == BY_COLUMN ? strspn(argument, "0123456789") >= n
                                                              : strcspn(argument, "&|*()\"!=") >= n);
}

const class_kind_row *class_kind_of(const char *spec)
{
    const char *end = spec + strlen(spec);
    for (const char *p = strstr(spec, class_groups); p; p = strstr(p + 1, class_groups))
        end = p;
    const char *colon = memchr(spec, ':', (size_t)(end - spec));
    size_t n = (size_t)((colon ? colon : end) - spec);
    for (size_t i = 0; i < KINDS; i++)
        if (strlen(class_kinds[i].name) == n && !strncmp(spec, class_kinds[i].name, n) &&
            (class_kinds[i].argument != NO_ARGUMENT) == (colon != NULL) &&
            (!colon || fits(&class_kinds[i], colon + 1, (size_t)(end - colon) - 1)))
            return &class_kinds[i];
    return NULL;
}

const char *class_kind_near(const char *spec)
{
    char word[32];
    const char *names[KINDS];
    size_t n = strcspn(spec, ":,");
    if (n >= sizeof word)
        return NULL;
    memcpy(word, spec, n), word[n] = 0;
    if (!strcmp(word, "pos")) /* parts of speech, rather than positions */
        return "upos";
    for (size_t i = 0; i < KINDS; i++)
        names[i] = class_kinds[i].name;
    return sg_nearest_name(word, names, KINDS);
}

sg_status classes_add(sg_classes *k, const class_spec *spec, const char *name, const char *origin, int32_t *c,
                      sg_error *err)
{
    sg_status st = SG_OK;
    char *longer = NULL, *copy = NULL;
    bool added;
    size_t n = string_table_count(k->names), size;
    char excerpt[64];
    text_excerpt(excerpt, name, strlen(name));
    if (n >= MAX_CLASSES)
        return sg_fail(err, SG_EINVAL, "classes '%s': '%s' would be class number %d, too many; use groups",
                       spec->text, excerpt, MAX_CLASSES + 1);
    if (string_table_find(k->names, name, strlen(name)) >= 0) {
        size = strlen(spec->text) + strlen(name) + 2;
        NEED(longer = sg_calloc(size, 1), err, "the classes");
        snprintf(longer, size, "%s:%s", spec->name ? spec->name : kind_name(spec->kind), name);
        if (string_table_find(k->names, longer, strlen(longer)) >= 0)
            snprintf(longer, size, "%s:%s", spec->text, name);
        name = longer;
    }
    if (origin && !(copy = sg_strdup(origin)))
        TRY(no_memory(err, "the classes"));
    TRY(array_reserve(&k->origins, &k->origins_cap, n + 1, sizeof *k->origins, err));
    TRY(array_reserve(&k->spec_of, &k->spec_of_cap, n + 1, sizeof *k->spec_of, err));
    TRY(string_table_add(k->names, name, strlen(name), c, &added, err));
    if (!added)
        TRY(sg_fail(err, SG_EINVAL, "classes '%s': class '%s' exists already", spec->text, excerpt));
    k->spec_of[n] = spec->name                    ? spec->name
                    : spec->kind == BY_EXPRESSION ? spec->text
                                                  : kind_name(spec->kind);
    k->origins[n] = copy;
    copy = NULL;
done:
    sg_free(longer);
    sg_free(copy);
    return st;
}

size_t sg_classes_count(const sg_classes *k)
{
    return string_table_count(k->names);
}

const char *sg_classes_name(const sg_classes *k, size_t c)
{
    return string_table_get(k->names, c, NULL);
}

const char *sg_classes_spec(const sg_classes *k, size_t c)
{
    return c < k->spec_of_cap ? k->spec_of[c] : NULL;
}

int32_t sg_classes_find(const sg_classes *k, const char *name)
{
    return string_table_find(k->names, name, strlen(name));
}
