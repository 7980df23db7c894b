/* SPDX-License-Identifier: MIT */
/* class_expression.h - classes made of classes: intersections, unions, complements and crossings.
 *
 *   spec   = [name "="] factor { "*" factor }        several factors: a class per combination of their
 *          members
 *   factor = family | union                          family: upos, frequency, words:FILE, ... of many classes
 *   union  = intersection { "|" intersection }
 *   intersection = part { "&" part }
 *   part   = "!" part | "(" union ")" | label
 *   label  = [column ":"] text                       text: as it is, or in double quotes ("" is one of them)
 *
 * A label is met by a word that is in the class of that name, or whose annotation has it: upos, xpos (any
 * tag), feats, deprel, a tag of a named tags file, or of a lexicon that groups join. "column:" asks one of
 * them, "class:" the classes. Only with their column are asked lemma:be, column:8:nsubj, misc:SpaceAfter=No
 * and position:first. `rank A-B` are the words of these frequency ranks, `out of vocabulary` those without
 * one, `to end A-B` those A to B words before the last of their sentence, `all` every word. What a bare text
 * is called is known only after the corpus: expression_settled and expression_check come last. */
#ifndef SG_CLASS_EXPRESSION_H
#define SG_CLASS_EXPRESSION_H

#include "base/base_internal.h"
#include "base/string_table.h"

/* Where a word's labels come from. */
typedef enum {
    LABEL_ANY, /* of an expression: wherever it is found */
    LABEL_CLASS,
    LABEL_UPOS,
    LABEL_XPOS,
    LABEL_FEATS,
    LABEL_TAG, /* of a lexicon or words file with groups */
    LABEL_DEPREL,
    LABEL_LEMMA,  /* from here on a bare text does not ask them, and they are kept where an expression does */
    LABEL_COLUMN, /* "8:nsubj" */
    LABEL_MISC,   /* "SpaceAfter=No" */
    LABEL_POSITION, /* "first" */
    LABEL_TO_END,   /* "3" */
    LABEL_END,      /* of <eos>, which no expression holds */
    LABEL_RANK,
    LABEL_OUTSIDE,
    LABEL_ALL,
    LABEL_LAYER /* and the following: named tags files in their order; "name:tag" */
} label_kind;
enum { MAX_LAYERS = 16 };

/* A word as expressions see it; all borrowed. */
typedef struct {
    const char *labels; /* kind (a byte), label, NUL; and so on */
    size_t n_labels;    /* bytes */
    const int32_t *classes;
    size_t n_classes;
    const string_table *names; /* of the classes, which may become more */
    uint64_t rank;             /* 0: outside the vocabulary */
} expression_word;

enum { EXPRESSION_FACTORS = 8 };
typedef struct expression expression;
/* whose: begins messages ("classes"). crossing: several factors and families are allowed. SG_EINVAL: the
 * message has two more lines, the text and a caret below the character where it goes wrong. */
sg_status expression_parse(expression **out, const char *text, const char *whose, bool crossing,
                           sg_error *err);
/* Does text have what only expressions have: an operator, parentheses, quotes, an equals sign? */
bool expression_has_operators(const char *text);
/* Does it begin with a column's name and a colon, or is it "to end A-B"? */
bool expression_has_column(const char *text);
/* The name of its class: as given, else the text. */
const char *expression_name(const expression *x);
size_t expression_factors(const expression *x);
/* What factor f is: the spec of a family (else NULL), and its text. */
const char *expression_family(const expression *x, size_t f);
const char *expression_factor_text(const expression *x, size_t f);
bool expression_wants_ranks(const expression *x);
bool expression_by_rank(const expression *x); /* or asks for words outside the vocabulary */
/* Label i: its kind and (if text is not NULL) its text. */
size_t expression_labels(const expression *x);
label_kind expression_label(const expression *x, size_t i, const char **text);
/* SG_EINVAL that points at label i. */
sg_status expression_refuse(const expression *x, size_t i, const char *why, sg_error *err);
sg_status expression_no_ranks(const expression *x, const char *why, sg_error *err); /* at the first rank */
/* Is the word in factor f, which is no family? Remembers which labels were met, and where. */
bool expression_holds(expression *x, size_t f, const expression_word *w);
/* After the last word: every label was met, in one place or always in the same ones. */
bool expression_settled(const expression *x);
/* SG_EINVAL that points at the label that was not, with the nearest of the names. layers: names of
 * LABEL_LAYER and the following, NULL at its end. */
sg_status expression_check(const expression *x, const char *const *names, size_t n, const char *const *layers,
                           sg_error *err);
void expression_free(expression *x); /* NULL is fine */

#endif
