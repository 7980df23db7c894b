/* SPDX-License-Identifier: MIT */
/* csv_out.h - fields of a table as in RFC 4180. */
#ifndef BASE_CSV_OUT_H
#define BASE_CSV_OUT_H

#include <stdbool.h>
#include <stdio.h>

/* Quoted where it must be. spreadsheet: an apostrophe before what a spreadsheet would evaluate as a
 * formula. */
void csv_field(FILE *f, const char *text, bool spreadsheet);
/* Nine significant digits, always with a point; nothing for what is not finite. */
void csv_number(FILE *f, double x);

#endif
