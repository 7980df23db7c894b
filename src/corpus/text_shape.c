/* SPDX-License-Identifier: MIT */
#include "corpus/text_shape.h"

#include <string.h>

enum {
    COLUMNS = 10,     /* of a line of CoNLL-U */
    ROWS = 3,         /* numbered lines of ten words: no text has them */
    TAGGED_WORDS = 3, /* least words of a line of which each has a tag */
    TAGGED_LINES = 2,
    MOST_DIGITS = 9
};

static long whole_number(const char *form, size_t n)
{
    long x = 0;
    if (n > MOST_DIGITS)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (form[i] < '0' || form[i] > '9')
            return 0;
        x = 10 * x + (form[i] - '0');
    }
    return x;
}

void text_shape_word(text_shape *s, const char *form, size_t n)
{
    if (s->words++ == 0)
        s->id = whole_number(form, n);
    if (n > 2 && memchr(form + 1, '/', n - 2))
        s->tagged++;
}

sg_format text_shape_line(text_shape *s)
{
    const bool row = s->words == COLUMNS && (s->id == 1 || (s->id > 0 && s->id == s->rows + 1));
    const bool tagged = s->words >= TAGGED_WORDS && s->tagged == s->words;
    s->rows = row ? s->id : 0;
    if (s->words)
        s->tagged_lines = tagged ? s->tagged_lines + 1 : 0;
    s->words = s->tagged = 0;
    return s->rows == ROWS                   ? SG_FORMAT_CONLLU
           : s->tagged_lines == TAGGED_LINES ? SG_FORMAT_TAGGED
                                             : SG_FORMAT_TEXT;
}
