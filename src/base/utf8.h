/* SPDX-License-Identifier: MIT */
/* utf8.h - UTF-8 by the letter of RFC 3629 (by utf8proc). */
#ifndef SG_BASE_UTF8_H
#define SG_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character at s, which has n > 0 bytes left; 0: no valid UTF-8 (overlong, surrogate, cut
 * short). */
size_t utf8_length(const unsigned char *s, size_t n);
/* Number of characters in n bytes of valid UTF-8. */
size_t utf8_count(const char *s, size_t n);
/* Is this byte a later one of a character? */
static inline bool utf8_continues(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}
/* Offset of the first byte that is no valid UTF-8; n if all is well. */
size_t utf8_valid_prefix(const char *s, size_t n);
/* Bytes of the white space character at s (as Python's str.split() sees it), 0: none. */
size_t utf8_space(const unsigned char *s, size_t n);
/* The n bytes of valid UTF-8 in lower case, code point by code point, NUL-terminated; out has room for 4 n +
 * 1. Returns its length. */
size_t utf8_lower(const char *s, size_t n, char *out);
/* A word for an error message: cut to 40 bytes or so at a character, "..." added. Returns buffer. */
const char *text_excerpt(char buffer[64], const char *s, size_t n);

#endif
