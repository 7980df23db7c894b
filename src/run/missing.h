/* SPDX-License-Identifier: MIT */
/* missing.h - why values are missing, for the attribute missing_reason of their variable: the first case of a
 * kind in words, the others counted. */
#ifndef SG_RUN_MISSING_H
#define SG_RUN_MISSING_H

#include <stddef.h>

typedef struct {
    char first[300]; /* "class noun, delay 3: no pairs"; empty: nothing is missing */
    size_t more;
} reason;

/* d SIZE_MAX: of no single delay. why NULL: nothing happens. */
void reason_note(reason *r, const char *class_name, size_t d, const char *why);
/* The same of a `kind` of thing: "property number, delay 3: ..." */
void reason_note_of(reason *r, const char *kind, const char *name, size_t d, const char *why);
/* Unchanged, for what concerns every class and delay. */
void reason_note_plain(reason *r, const char *why);
/* Adds "; ..." to text of `size` bytes (terminated, perhaps empty), cut where it does not fit. */
void reason_append(char *text, size_t size, const reason *r);

#endif
