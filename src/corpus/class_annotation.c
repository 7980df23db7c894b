/* SPDX-License-Identifier: MIT */
/* What is asked of the annotation: tags files of the corpus, and labels that are kept where an expression
 * needs them. */
#include "corpus/classes_internal.h"
#include "corpus/sentence_position.h"

#include <stdlib.h>
#include <string.h>

/* ---- tags files ---- */

sg_status classes_layer(sg_classes *k, const class_spec *spec, size_t *number, sg_error *err)
{
    sg_status st = SG_OK;
    size_t i = 0;
    while (i < k->n_layers && strcmp(k->layers[i].path, spec->path) != 0)
        i++;
    *number = i;
    for (size_t j = 0; spec->name && j < k->n_layers; j++)
        if (j != i && k->layers[j].name && !strcmp(k->layers[j].name, spec->name))
            return sg_fail(err, SG_EINVAL, "classes '%s': the name is that of %s already", spec->text,
                           k->layers[j].path);
    char as_label[80];
    snprintf(as_label, sizeof as_label, "%.70s:x", spec->name ? spec->name : "");
    if (spec->name && (expression_has_column(as_label) || class_kind_of(spec->name)))
        return sg_fail(err, SG_EINVAL, "classes '%s': '%s' has another meaning, expected a new name",
                       spec->text, spec->name);
    if (i == MAX_LAYERS)
        return sg_fail(err, SG_EINVAL, "classes '%s': more than %d tags files", spec->text, MAX_LAYERS);
    class_layer *layer = &k->layers[i];
    if (i == k->n_layers) {
        NEED(layer->path = sg_strdup(spec->path), err, "the classes");
        k->n_layers++;
    }
    if (spec->name && !layer->name)
        NEED(layer->name = sg_strdup(spec->name), err, "the classes");
done:
    return st;
}

const char *classes_layer_path(const sg_classes *k, size_t i, bool *named)
{
    if (i >= k->n_layers)
        return NULL;
    *named = k->layers[i].name != NULL;
    return k->layers[i].path;
}

/* ---- labels ---- */

static sg_status want(class_wants *w, label_kind kind, const char *text, sg_error *err)
{
    sg_status st = SG_OK;
    int32_t key;
    w->lemma |= kind == LABEL_LEMMA;
    w->position |= kind == LABEL_POSITION;
    w->to_end |= kind == LABEL_TO_END;
    if (kind == LABEL_COLUMN) {
        unsigned long number = strtoul(text, NULL, 10);
        if (number >= 1 && number <= CONLLU_COLUMNS)
            w->columns[number - 1] = true;
    }
    if (kind == LABEL_MISC) {
        if (!w->keys)
            TRY(string_table_new(&w->keys, err));
        TRY(string_table_add(w->keys, text, strcspn(text, "="), &key, NULL, err));
    }
done:
    return st;
}

static bool is_wanted(const class_wants *w, label_kind kind, const char *text)
{
    switch (kind) {
    case LABEL_LEMMA:
        return w->lemma;
    case LABEL_POSITION:
        return w->position;
    case LABEL_TO_END:
        return w->to_end;
    case LABEL_COLUMN:
        return w->columns[strtoul(text, NULL, 10) - 1];
    case LABEL_MISC:
        return w->keys && string_table_find(w->keys, text, strcspn(text, "=")) >= 0;
    default:
        return true;
    }
}

sg_status classes_keep_for(sg_classes *k, const expression *x, sg_error *err)
{
    sg_status st = SG_OK;
    const char *text;
    for (size_t i = 0; i < expression_labels(x); i++) {
        label_kind kind = expression_label(x, i, &text);
        TRY(want(&k->wants, kind, text, err));
    }
done:
    return st;
}

sg_status classes_check_kept(const sg_classes *k, const expression *x, sg_error *err)
{
    const char *text;
    for (size_t i = 0; i < expression_labels(x); i++) {
        label_kind kind = expression_label(x, i, &text);
        if (!is_wanted(&k->wants, kind, text))
            return expression_refuse(
                x, i, "this annotation was not kept: call sg_classes_keep before the corpus is read", err);
    }
    return SG_OK;
}

sg_status sg_classes_keep(sg_classes *k, const char *text, sg_error *err)
{
    static const struct {
        const char *before;
        label_kind kind;
    } marks[] = {{"lemma:", LABEL_LEMMA},
                 {"column:", LABEL_COLUMN},
                 {"misc:", LABEL_MISC},
                 {"position:", LABEL_POSITION},
                 {"to end", LABEL_TO_END}};
    sg_status st = SG_OK;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        for (const char *p = text; (p = strstr(p, marks[i].before)) != NULL;) {
            p += strlen(marks[i].before);
            TRY(want(&k->wants, marks[i].kind, p, err));
        }
done:
    return st;
}

/* Families ask the places of every word too. */
bool classes_want_places(const sg_classes *k)
{
    for (size_t i = 0; i < k->n_specs; i++)
        if (k->specs[i].kind == BY_POSITION || k->specs[i].kind == BY_TO_END)
            return true;
    return k->wants.position || k->wants.to_end || (k->families && classes_want_places(k->families));
}
