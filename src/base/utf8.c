/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

#include <string.h>
#include <utf8proc.h>

size_t utf8_length(const unsigned char *s, size_t n)
{
    utf8proc_int32_t unused;
    if (s[0] < 0x80)
        return 1;
    utf8proc_ssize_t length = utf8proc_iterate(s, n < 4 ? (utf8proc_ssize_t)n : 4, &unused);
    return length > 0 ? (size_t)length : 0;
}

size_t utf8_count(const char *s, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += !utf8_continues(s[i]);
    return count;
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
    utf8proc_int32_t c = s[0];
    utf8proc_ssize_t length = 1;
    if (c >= 0x80)
        length = utf8proc_iterate(s, n < 4 ? (utf8proc_ssize_t)n : 4, &c);
    if (length <= 0)
        return 0;
    bool control = (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f) || c == 0x85;
    utf8proc_category_t category = control ? UTF8PROC_CATEGORY_CC : utf8proc_category(c);
    bool separator = category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
                     category == UTF8PROC_CATEGORY_ZP;
    return control || separator ? (size_t)length : 0;
}

size_t utf8_lower(const char *s, size_t n, char *out)
{
    size_t used = 0;
    for (size_t at = 0; at < n;) {
        utf8proc_int32_t x;
        utf8proc_ssize_t length =
            utf8proc_iterate((const utf8proc_uint8_t *)s + at, (utf8proc_ssize_t)(n - at), &x);
        if (length <= 0)
            break;
        used += (size_t)utf8proc_encode_char(utf8proc_tolower(x), (utf8proc_uint8_t *)out + used);
        at += (size_t)length;
    }
    out[used] = 0;
    return used;
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
