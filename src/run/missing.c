/* SPDX-License-Identifier: MIT */
#include "run/missing.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

void reason_note_plain(reason *r, const char *why)
{
    if (!why)
        return;
    if (r->first[0])
        r->more++;
    else
        snprintf(r->first, sizeof r->first, "%s", why);
}

void reason_note(reason *r, const char *class_name, size_t d, const char *why)
{
    reason_note_of(r, "class", class_name, d, why);
}

void reason_note_of(reason *r, const char *kind, const char *name, size_t d, const char *why)
{
    char text[sizeof r->first];
    if (!why)
        return;
    if (d == SIZE_MAX)
        snprintf(text, sizeof text, "%s %.60s: %s", kind, name, why);
    else
        snprintf(text, sizeof text, "%s %.60s, delay %zu: %s", kind, name, d, why);
    reason_note_plain(r, text);
}

void reason_append(char *text, size_t size, const reason *r)
{
    size_t used = strlen(text);
    if (!r->first[0])
        return;
    snprintf(text + used, size - used, r->more ? "%s%s (and %zu more)" : "%s%s", used ? "; " : "", r->first,
             r->more);
}
