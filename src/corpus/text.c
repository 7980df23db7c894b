/* SPDX-License-Identifier: MIT */
/* UTF-8 by the letter of RFC 3629, white space, and small text files cut into lines. */
#include "corpus/corpus_internal.h"

#include <string.h>

size_t utf8_length(const unsigned char *s, size_t n)
{
    unsigned char c = s[0];
    if (c < 0x80)
        return 1;
    size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || n < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (c == 0xe0 && s[1] < 0xa0) || (c == 0xf0 && s[1] < 0x90);
    bool surrogate = c == 0xed && s[1] > 0x9f;
    bool beyond = c == 0xf4 && s[1] > 0x8f; /* U+10FFFF is the last */
    return overlong || surrogate || beyond ? 0 : length;
}

size_t utf8_valid_prefix(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        size_t length = utf8_length((const unsigned char *)s + i, n - i);
        if (!length)
            break;
        i += length;
    }
    return i;
}

size_t utf8_space(const unsigned char *s, size_t n)
{
    unsigned char c = s[0];
    if (c < 0x80)
        return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
    if (c == 0xc2 && n >= 2)
        return s[1] == 0x85 || s[1] == 0xa0 ? 2 : 0;
    if (n < 3)
        return 0;
    bool space = (c == 0xe1 && s[1] == 0x9a && s[2] == 0x80) || /* U+1680 */
                 (c == 0xe2 && s[1] == 0x80 &&
                  ((s[2] >= 0x80 && s[2] <= 0x8a) || /* U+2000 .. U+200A */
                   s[2] == 0xa8 || s[2] == 0xa9 || s[2] == 0xaf)) ||
                 (c == 0xe2 && s[1] == 0x81 && s[2] == 0x9f) || (c == 0xe3 && s[1] == 0x80 && s[2] == 0x80);
    return space ? 3 : 0;
}

const char *text_excerpt(char buffer[64], const char *s, size_t n)
{
    size_t keep = 0;
    while (keep < n && keep < 40) {
        size_t length = utf8_length((const unsigned char *)s + keep, n - keep);
        if (!length)
            break;
        keep += length;
    }
    memcpy(buffer, s, keep);
    memcpy(buffer + keep, "...", 4);
    if (keep == n)
        buffer[keep] = 0;
    return buffer;
}

char *text_next_word(char **cursor)
{
    char *p = *cursor, *end = p + strlen(p);
    size_t space;
    while (*p && (space = utf8_space((const unsigned char *)p, (size_t)(end - p))))
        p += space;
    if (!*p) {
        *cursor = p;
        return NULL;
    }
    char *word = p;
    while (*p && !(space = utf8_space((const unsigned char *)p, (size_t)(end - p))))
        p++;
    if (*p) {
        *p = 0;
        p += space;
    }
    *cursor = p;
    return word;
}

enum { MAX_SMALL_FILE = 1 << 28 };

sg_status text_lines_open(text_lines *l, const char *path, sg_error *err)
{
    size_t n = 0;
    *l = (text_lines){.path = path};
    sg_status st = sg_read_file(&l->text, &n, path, MAX_SMALL_FILE, err);
    if (st != SG_OK)
        return st;
    l->next = l->text;
    l->end = l->text + n;
    size_t good = utf8_valid_prefix(l->text, n);
    char *nul = memchr(l->text, 0, n);
    if (nul && (size_t)(nul - l->text) < good)
        good = (size_t)(nul - l->text);
    if (good < n) {
        size_t line = 1;
        for (size_t i = 0; i < good; i++)
            line += l->text[i] == '\n';
        text_lines_close(l);
        return sg_fail(err, SG_EFORMAT, "%s:%zu: %s, expected UTF-8 text", path, line,
                       nul ? "a NUL byte (a binary file?)" : "wrong UTF-8");
    }
    if (n >= 3 && !memcmp(l->text, "\xef\xbb\xbf", 3))
        l->next += 3;
    return SG_OK;
}

char *text_lines_next(text_lines *l)
{
    if (l->next >= l->end)
        return NULL;
    char *line = l->next, *stop = memchr(line, '\n', (size_t)(l->end - line));
    if (!stop)
        stop = l->end;
    l->next = stop + 1;
    *stop = 0;
    if (stop > line && stop[-1] == '\r')
        stop[-1] = 0;
    l->line++;
    return line;
}

void text_lines_close(text_lines *l)
{
    sg_free(l->text);
    *l = (text_lines){0};
}
