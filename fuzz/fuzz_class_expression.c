/* SPDX-License-Identifier: MIT */
/* Expressions of classes. Whatever the text is, reading ends in an expression or in three lines of error with
 * a caret; a word is in a class, in parentheses and complemented twice alike, and not in its complement. */
#include "corpus/class_expression.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { UPOS = LABEL_UPOS, XPOS = LABEL_XPOS, FEATS = LABEL_FEATS };

static unsigned lines_of(const char *text)
{
    unsigned n = 1;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static bool holds(const char *format, const char *text, const expression_word *w, bool *read)
{
    char *whole = malloc(strlen(format) + strlen(text) + 1);
    expression *x = NULL;
    sg_error err = {""};
    must(whole != NULL);
    sprintf(whole, format, text);
    *read = expression_parse(&x, whole, "fuzz", false, &err) == SG_OK;
    must(*read ? x != NULL : !x && lines_of(err.msg) == 3);
    bool in = *read && expression_holds(x, 0, w);
    expression_free(x);
    free(whole);
    return in;
}

static void check_whole(const char *text)
{
    expression *x = NULL;
    sg_error err = {""};
    if (expression_parse(&x, text, "fuzz", true, &err) != SG_OK) {
        must(!x && lines_of(err.msg) == 3 && err.msg[strlen(err.msg) - 1] == '^');
        return;
    }
    must(expression_name(x) && expression_name(x)[0] && expression_factors(x) > 0);
    must(expression_factors(x) <= EXPRESSION_FACTORS);
    for (size_t f = 0; f < expression_factors(x); f++)
        must(expression_factor_text(x, f)[0]);
    static const char *const names[] = {"NOUN", "Number=Plur"}, *const layers[] = {"ner", NULL};
    if (!expression_settled(x))
        must(expression_check(x, names, 2, layers, &err) == SG_EINVAL && lines_of(err.msg) == 3);
    else
        must(expression_check(x, names, 2, layers, &err) == SG_OK);
    expression_free(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    must(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    check_whole(text);
    static const char labels[] = {UPOS, 'N', 'O', 'U', 'N',          0,   XPOS, 'N',         'N', 0,   FEATS,
                                  'X',  '=', 'Y', 0,   LABEL_TO_END, '3', 0,    LABEL_LAYER, 'n', 'e', 'r',
                                  ':',  'X', 0};
    string_table *names = NULL;
    int32_t classes[] = {1}, unused;
    must(string_table_new(&names, NULL) == SG_OK &&
         string_table_add(names, "all", 3, &unused, NULL, NULL) == SG_OK &&
         string_table_add(names, "pets", 4, &unused, NULL, NULL) == SG_OK);
    const expression_word w = {.labels = labels,
                               .n_labels = sizeof labels,
                               .classes = classes,
                               .n_classes = 1,
                               .names = names,
                               .rank = 7};
    bool read, also;
    bool in = holds("%s", text, &w, &read);
    bool again = holds("(%s)", text, &w, &also);
    must(!read || !also || in == again);
    again = holds("!(%s)", text, &w, &also);
    must(!read || !also || in != again);
    again = holds("NOUN&!!(%s)", text, &w, &also);
    must(!read || !also || in == again);
    again = holds("all|%s", text, &w, &also);
    must(!also || again);
    string_table_free(names);
    free(text);
    return 0;
}
