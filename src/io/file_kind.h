/* SPDX-License-Identifier: MIT */
/* file_kind.h - what a file is by its first bytes, for messages about a file of an unexpected kind. */
#ifndef SG_IO_FILE_KIND_H
#define SG_IO_FILE_KIND_H

#include "stategrad/base.h"

enum { FILE_KIND_BYTES = 512 }; /* of the start of a file that decide */

typedef struct {
    const char *name;   /* with its article: "a zip archive" */
    const char *advice; /* what to do with it; NULL: that depends on what was expected */
    bool archive;       /* of other files, or one file compressed */
    bool may_be_text;   /* a text could begin like this, too */
} file_kind;

/* bytes: the first n of a file, FILE_KIND_BYTES or all. NULL: none of the kinds listed, as most texts. */
const file_kind *file_kind_of(const void *bytes, size_t n);

/* SG_EFORMAT "path: is NAME, expected EXPECTED: ADVICE". expected NULL: left out. advice: of kinds with
 * none of their own; NULL: none. */
sg_status file_kind_refuse(const file_kind *kind, const char *path, const char *expected, const char *advice,
                           sg_error *err);

#endif
