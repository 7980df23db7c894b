/* SPDX-License-Identifier: MIT */
/* JSON on standard output. What goes into a page is written by the library (src/report/json_out.h). */
#include "cli.h"

#include <math.h>
#include <string.h>

json_t *json_finite(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

json_t *json_utf8(const char *text)
{
    json_t *s = json_string(text);
    return s ? s : json_string("(not UTF-8)");
}

sg_status print_json(json_t *object, int digits, sg_error *err)
{
    bool printed = object && json_dumpf(object, stdout, JSON_REAL_PRECISION((size_t)digits)) == 0;
    json_decref(object);
    if (printed && putchar('\n') != EOF)
        return SG_OK;
    snprintf(err->msg, sizeof err->msg, "the JSON object cannot be written");
    return SG_EIO;
}
