/* SPDX-License-Identifier: MIT */
/* settings.h - a table of settings: a row for each field of a configuration that users set
 * (stategrad/settings.h), read and printed here, whatever the configuration. Its first field is struct_size
 * (base.h). */
#ifndef SG_BASE_SETTINGS_H
#define SG_BASE_SETTINGS_H

#include "stategrad/settings.h"

/* A word that a field can be given as, and its value. "window:N": a number for the second field follows. */
typedef struct {
    const char *word;
    size_t value;
} setting_word;

typedef enum { NOTHING, CONTENTS, WHICH_PART } setting_decides; /* of the result */

typedef struct {
    sg_setting s;
    size_t size, second;       /* bytes of the field; offset of a second one */
    const setting_word *words; /* up to one without text, or NULL */
    setting_decides decides;
    const char *attribute; /* its name in the result, or NULL */
    const char *needs;     /* the attribute is written only if this setting is not 0 */
} setting_row;

typedef struct {
    const setting_row *rows;
    size_t n;
    const char *of; /* "the analysis" */
} settings_table;

#define SETTING_FIELD(type, f) .s.offset = offsetof(type, f), .size = sizeof(((type *)0)->f)
#define SETTING_WORDS(...)                                                                                   \
    .words = (const setting_word[])                                                                          \
    {                                                                                                        \
        __VA_ARGS__,                                                                                         \
        {                                                                                                    \
            NULL, 0                                                                                          \
        }                                                                                                    \
    }

/* The row called name, or NULL. */
const setting_row *setting_find(const settings_table *t, const char *name);
/* A field, as a whole number or as any number. */
size_t setting_whole(const setting_row *r, const void *cfg);
double setting_number(const setting_row *r, const void *cfg);
/* From text: "50", "window:20", "2/8". A SG_SETTING_TEXT borrows value. SG_EINVAL: an unknown setting, an
 * invalid value, or a setting that the caller's configuration is too short for. */
sg_status setting_set(const settings_table *t, void *cfg, const char *name, const char *value, sg_error *err);
/* As setting_set reads it; reals with `digits` digits, or with as many as they need (0). Not of
 * SG_SETTING_TEXT. */
void setting_print(const setting_row *r, const void *cfg, int digits, char *text, size_t size);

/* Sets every field that has a default other than 0. */
void settings_give_defaults(const settings_table *t, void *cfg);
/* Every number is in its range, or is the 0 that means "chosen" or "off"; every word is one of the row's. */
sg_status settings_in_range(const settings_table *t, const void *cfg, sg_error *err);
/* Appends the settings that decide the contents of the result as "name=value\n" lines; with_part: also which
 * part of it. */
void settings_describe(const settings_table *t, const void *cfg, bool with_part, char *text, size_t size);

#endif
