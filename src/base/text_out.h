/* SPDX-License-Identifier: MIT */
/* text_out.h - words of users on a terminal: no control character reaches it (sg_printable in place), columns
 * are counted in characters. */
#ifndef SG_BASE_TEXT_OUT_H
#define SG_BASE_TEXT_OUT_H

#include <stddef.h>
#include <stdio.h>

/* Characters (code points) that text_put writes of s. */
size_t text_width(const char *s);
/* At most `width` characters of s ("…" for the rest, when cut), padded with blanks to width if pad. Control
 * characters, bidirectional overrides and bytes that are no UTF-8 become "?". */
void text_put(FILE *f, const char *s, size_t width, int pad);

#endif
