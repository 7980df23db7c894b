/* SPDX-License-Identifier: MIT */
/* json_out.h - JSON written as it goes, fit to be inside a <script type="application/json"> element.
 *
 * Besides what JSON asks for, `<`, `>`, `&`, U+2028 and U+2029 are written as \uXXXX, so that no text can end
 * the element or become markup. Bytes that are no UTF-8 become U+FFFD. Commas are placed by the writer. */
#ifndef SG_JSON_OUT_H
#define SG_JSON_OUT_H

#include "stategrad/base.h"

#include <stdio.h>

typedef struct {
    FILE *f;    /* where it goes; write errors are noticed when f is closed or committed */
    bool comma; /* a comma is due before the next value */
} json_out;

void json_open(json_out *j, char bracket);  /* '{' or '[' */
void json_close(json_out *j, char bracket); /* '}' or ']' */
void json_key(json_out *j, const char *key);
void json_text(json_out *j, const char *text);       /* NULL: null */
void json_number(json_out *j, double x, int digits); /* significant digits; null for NaN and infinities */
void json_count(json_out *j, uint64_t n);
void json_bool(json_out *j, bool b);
/* Of a page, which rounds it for display: a whole number as it is, another with digits enough that the page's
 * rounding is the only one that is seen. */
enum { JSON_PAGE_DIGITS = 7 };
void json_value(json_out *j, double x);
/* An array of arrays of these in row-major order; rank 0 is one number. */
void json_values(json_out *j, const double *x, size_t rank, const size_t *shape);

#endif
