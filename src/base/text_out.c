/* SPDX-License-Identifier: MIT */
#include "base/text_out.h"

#include "base/base_internal.h"
#include "base/utf8.h"

#include <string.h>

/* C0, DEL, C1 (U+0080..9F), line and paragraph separators, and what turns the direction of writing around
 * (U+202A..202E, U+2066..2069): none may reach a terminal from a file. */
static int is_unsafe(const unsigned char *s, size_t n)
{
    if (n == 1)
        return s[0] < 0x20 || s[0] == 0x7F;
    if (n == 2)
        return s[0] == 0xC2 && s[1] < 0xA0;
    if (n == 3 && s[0] == 0xE2)
        return (s[1] == 0x80 && s[2] >= 0xA8 && s[2] <= 0xAE) ||
               (s[1] == 0x81 && s[2] >= 0xA6 && s[2] <= 0xA9);
    return 0;
}

static size_t next(const char *s, size_t left, int *unsafe)
{
    size_t n = utf8_length((const unsigned char *)s, left);
    *unsafe = n == 0 || is_unsafe((const unsigned char *)s, n);
    return n ? n : 1;
}

size_t text_width(const char *s)
{
    size_t width = 0, left = strlen(s), n;
    int unsafe;
    for (; left; s += n, left -= n, width++)
        n = next(s, left, &unsafe);
    return width;
}

void text_put(FILE *f, const char *s, size_t width, int pad)
{
    size_t left = strlen(s), whole = text_width(s), shown = 0, n;
    int unsafe;
    for (; left && shown < width; s += n, left -= n, shown++) {
        n = next(s, left, &unsafe);
        if (shown + 1 == width && whole > width)
            fputs("…", f);
        else if (unsafe)
            putc('?', f);
        else
            fwrite(s, 1, n, f);
    }
    for (; pad && shown < width; shown++)
        putc(' ', f);
}

void sg_printable(char *text)
{
    size_t left = strlen(text), n;
    char *to = text;
    int unsafe;
    for (const char *s = text; left; s += n, left -= n) {
        n = next(s, left, &unsafe);
        memmove(to, unsafe ? "?" : s, unsafe ? 1 : n);
        to += unsafe ? 1 : n;
    }
    *to = 0;
}
