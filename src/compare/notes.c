/* SPDX-License-Identifier: MIT */
/* What to know when reading a comparison, in sentences. */
#include "compare/compare_internal.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

static const char *keep(char ***list, size_t *n, const char *text)
{
    for (size_t i = 0; i < *n; i++)
        if (!strcmp((*list)[i], text))
            return (*list)[i];
    char **grown = sg_regrow(*list, *n, *n + 1, sizeof *grown), *copy = grown ? sg_strdup(text) : NULL;
    if (grown)
        *list = grown;
    if (copy)
        (*list)[(*n)++] = copy;
    return copy;
}

const char *text_keep(sg_comparison *c, const char *text)
{
    return keep(&c->texts, &c->n_texts, text);
}

sg_status note_add(sg_comparison *c, sg_error *err, const char *format, ...)
{
    char text[800];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return keep(&c->notes, &c->n_notes, text) ? SG_OK : no_memory(err, "a note");
}

static bool of_this_text(const side *s)
{
    const char *hold = sg_run_attribute(s->s->runs[0], "intervals_hold_for");
    return hold && !strcmp(hold, "this text alone");
}

/* Both sides of the same trained models: no difference between trainings can be among the results. */
static bool one_model(const sg_compare_side *a, const sg_compare_side *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const char *x = sg_run_attribute(a->runs[i], "model_sha256"),
                   *y = sg_run_attribute(b->runs[i], "model_sha256");
        if (a->runs[i] != b->runs[i] && (!x || !y || strcmp(x, y) != 0))
            return false;
    }
    return true;
}

sg_status notes_of_pair(sg_comparison *c, const side *a, const side *b, bool paired, sg_error *err)
{
    sg_status st = SG_OK;
    const bool models = !one_model(a->s, b->s);
    if (!paired)
        TRY(note_add(
            c, err,
            "%s and %s are not of the same blocks of one text: their errors add, and a difference of the texts "
            "counts as a difference of A and B",
            a->s->label, b->s->label));
    if (models && (a->s->n < 2 || b->s->n < 2))
        TRY(note_add(
            c, err,
            "one trained model on a side: intervals cover the choice of text; another training run may differ by more "
            "(compare groups of trained models)"));
    if (of_this_text(a) || of_this_text(b))
        TRY(note_add(c, err, "the corpus is one document: intervals are of this text alone"));
    for (int k = 0; k < 2; k++) {
        const side *s = k ? b : a;
        if (s->effective_types < SG_STATS_MIN_TYPES)
            TRY(note_add(
                c, err,
                "class %s has %.1f effective word types, fewer than 8: its rows are of these words, not of a kind "
                "of word",
                s->s->class_name ? s->s->class_name : "all", s->effective_types));
    }
done:
    return st;
}
