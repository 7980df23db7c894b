/* SPDX-License-Identifier: MIT */
/* text_file.h - output files of text, for which "-" is standard output. */
#ifndef BASE_TEXT_FILE_H
#define BASE_TEXT_FILE_H

#include "base/base_internal.h"

/* sg_outfile_open, and for "-" a file that commit copies to standard output, all of it or nothing. */
sg_status outfile_open_text(sg_outfile **out, const char *path, sg_error *err);

#endif
