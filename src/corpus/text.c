/* SPDX-License-Identifier: MIT */
/* Small text files cut into lines and words. */
#include "corpus/corpus_internal.h"

#include "io/file_kind.h"

#include <string.h>

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

sg_status text_refuse_other_kinds(const char *path, const void *bytes, size_t n, sg_error *err)
{
    const file_kind *kind = file_kind_of(bytes, n < FILE_KIND_BYTES ? n : FILE_KIND_BYTES);
    if (!kind || kind->may_be_text)
        return SG_OK;
    return file_kind_refuse(kind, path, "UTF-8 text", NULL, err);
}

sg_status text_lines_open(text_lines *l, const char *path, sg_error *err)
{
    size_t n = 0;
    *l = (text_lines){.path = path};
    sg_status st = sg_read_file(&l->text, &n, path, MAX_SMALL_FILE, err);
    if (st != SG_OK)
        return st;
    l->next = l->text;
    l->end = l->text + n;
    st = text_refuse_other_kinds(path, l->text, n, err);
    if (st != SG_OK) {
        text_lines_close(l);
        return st;
    }
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
                       nul ? "a NUL byte (a binary file?)" : "invalid UTF-8");
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
