/* SPDX-License-Identifier: MIT */
#include "base/csv_out.h"

#include <math.h>
#include <string.h>

void csv_field(FILE *f, const char *text, bool spreadsheet)
{
    const char *apostrophe = spreadsheet && *text && strchr("=+-@\t\r", *text) ? "'" : "";
    if (!text[strcspn(text, ",\"\r\n")]) {
        fprintf(f, "%s%s", apostrophe, text);
        return;
    }
    fprintf(f, "\"%s", apostrophe);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', f);
        fputc(*text, f);
    }
    fputc('"', f);
}

void csv_number(FILE *f, double x)
{
    char text[40];
    if (!isfinite(x))
        return;
    snprintf(text, sizeof text, "%.9g", x);
    for (char *c = text; *c; c++)
        if (*c == ',')
            *c = '.';
    fputs(text, f);
}
