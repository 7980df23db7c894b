/* SPDX-License-Identifier: MIT */
/* text_shape.h - plain text that looks like another format: lines of CoNLL-U, lines of word/tag. */
#ifndef STATEGRAD_CORPUS_TEXT_SHAPE_H
#define STATEGRAD_CORPUS_TEXT_SHAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "stategrad/corpus.h"

/* Zero: no line has been seen. */
typedef struct {
    size_t words, tagged; /* of this line so far; tagged: with a slash between two characters */
    long id;              /* the line's first word, where it is a whole number; else 0 */
    long rows;            /* lines of ten words so far that are numbered 1, 2, ... one after the other */
    size_t tagged_lines;  /* such lines, one after the other */
} text_shape;

void text_shape_word(text_shape *s, const char *form, size_t n);
/* At a line end: the format that this line and those before it look like; SG_FORMAT_TEXT: no other. */
sg_format text_shape_line(text_shape *s);

#endif
