/* SPDX-License-Identifier: MIT */
/* Words, characters and lines of one file, as they pass. A line may be longer than memory, a word may not. */
#include "corpus/corpus_internal.h"

#include <string.h>

/* No word, and no CoNLL-U line, is longer than that; what is longer is no text. */
enum { MAX_WORD = 1 << 20, MAX_LINE = 1 << 24 };

struct scanner {
    corpus_source *source;
    const char *path; /* borrowed */
    const unsigned char *p, *end;
    bool eof, started;
    size_t line;     /* line of what comes next, from 1 */
    size_t reported; /* line of what was returned last */
    size_t inner_bom, lone_cr;
    bool mark_alone; /* the run is a byte order mark within its line: a word, as WikiText-2 has it */
    bool line_open;  /* this line has text already */
    char *buffer;
    size_t cap, length, position; /* a run without ASCII white space, and how much of it was given out */
};

sg_status scan_open(scanner **out, const char *path, int spool_fd, memory_bytes memory, sg_sha256 *hash,
                    sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    scanner *s = sg_calloc(1, sizeof *s);
    if (!s)
        return no_memory(err, "%s", path);
    s->path = path;
    s->line = 1;
    TRY(array_reserve(&s->buffer, &s->cap, 256, 1, err));
    TRY(source_open(&s->source, path, spool_fd, memory, hash, err));
    *out = s;
    s = NULL;
done:
    scan_close(s);
    return st;
}

/* Makes p < end, or sets eof. */
static sg_status scan_fill(scanner *s, sg_error *err)
{
    size_t n = 0;
    sg_status st = s->eof ? SG_OK : source_next(s->source, &s->p, &n, err);
    if (st != SG_OK)
        return st;
    s->eof |= n == 0;
    if (s->eof)
        s->p = NULL;
    s->end = s->p ? s->p + n : NULL;
    if (!s->started && s->p) {
        st = text_refuse_other_kinds(s->path, s->p, n, err);
        if (st != SG_OK)
            return st;
        if (n >= 3 && !memcmp(s->p, "\xef\xbb\xbf", 3))
            s->p += 3; /* the byte-order mark is no part of the text */
    }
    s->started = true;
    if (s->p == s->end && !s->eof)
        return scan_fill(s, err); /* a file of a byte-order mark and nothing else */
    return SG_OK;
}

static sg_status scan_push(scanner *s, const unsigned char *from, size_t n, size_t limit, sg_error *err)
{
    if (s->length + n > limit)
        return sg_fail(err, SG_EFORMAT, "%s:%zu: a %s of more than %zu bytes: not a text?", s->path, s->line,
                       limit == MAX_WORD ? "word" : "line", limit);
    sg_status st = array_reserve(&s->buffer, &s->cap, s->length + n + 1, 1, err);
    if (st == SG_OK && n) {
        memcpy(s->buffer + s->length, from, n);
        s->length += n;
    }
    return st;
}

static sg_status scan_check(const scanner *s, sg_error *err)
{
    if (memchr(s->buffer, 0, s->length))
        return sg_fail(err, SG_EFORMAT, "%s:%zu: a NUL byte (a binary file?), expected UTF-8 text", s->path,
                       s->line);
    size_t good = utf8_valid_prefix(s->buffer, s->length);
    if (good < s->length)
        return sg_fail(err, SG_EFORMAT, "%s:%zu: invalid UTF-8, byte 0x%02x: expected UTF-8 text", s->path,
                       s->line, (unsigned)(unsigned char)s->buffer[good]);
    return SG_OK;
}

static bool ascii_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

static bool is_mark(const unsigned char *b, size_t n)
{
    return n >= 3 && !memcmp(b, "\xef\xbb\xbf", 3);
}

/* Collects bytes up to ASCII white space (which stays); length 0 when white space or the end comes first. */
static sg_status scan_run(scanner *s, sg_error *err)
{
    sg_status st = SG_OK;
    s->length = s->position = 0;
    for (;;) {
        if (s->p == s->end)
            TRY(scan_fill(s, err));
        const unsigned char *from = s->p, *p = s->p, *end = s->end;
        while (p < end && !ascii_space(*p))
            p++;
        s->p = p;
        if (p > from)
            TRY(scan_push(s, from, (size_t)(p - from), MAX_WORD, err));
        if (s->eof || p < end)
            break;
    }
    if (s->length) {
        TRY(scan_check(s, err));
        s->mark_alone = s->line_open && s->length == 3 && is_mark((unsigned char *)s->buffer, 3);
        s->line_open = true;
    }
    s->buffer[s->length] = 0;
done:
    return st;
}

/* White space, or a byte order mark, as files joined to one leave them. */
static size_t space_or_mark(scanner *s, const unsigned char *b, size_t n)
{
    if (s->mark_alone || !is_mark(b, n))
        return utf8_space(b, n);
    if (!s->inner_bom)
        s->inner_bom = s->line;
    return 3;
}

/* The next word within the run: other white space than ASCII's parts words too. */
static bool run_word(scanner *s, char **word, size_t *n)
{
    unsigned char *b = (unsigned char *)s->buffer;
    size_t i = s->position, space = 0;
    while (i < s->length && (space = space_or_mark(s, b + i, s->length - i)))
        i += space;
    size_t start = i;
    for (space = 0; i < s->length &&
                    !(b[i] >= 0xc2 && b[i] <= 0xef && (space = space_or_mark(s, b + i, s->length - i)));)
        i++;
    if (i == start) {
        s->position = s->length;
        return false;
    }
    s->position = i + space;
    b[i] = 0;
    *word = s->buffer + start;
    *n = i - start;
    return true;
}

static void end_line(scanner *s, scan_kind *kind)
{
    *kind = SCAN_LINE_END;
    s->reported = s->line++;
    s->line_open = false;
}

sg_status scan_word(scanner *s, scan_kind *kind, char **word, size_t *n, sg_error *err)
{
    sg_status st = SG_OK;
    for (;;) {
        s->reported = s->line;
        if (s->position < s->length && run_word(s, word, n)) {
            *kind = SCAN_WORD;
            break;
        }
        TRY(scan_run(s, err));
        if (s->length)
            continue;
        if (s->eof) {
            *kind = SCAN_FILE_END;
            if (s->line_open)
                end_line(s, kind);
            break;
        }
        unsigned char c = *s->p++;
        if (c == '\n') {
            end_line(s, kind);
            break;
        }
        if (c == '\r' && !s->lone_cr) {
            if (s->p == s->end)
                TRY(scan_fill(s, err));
            if (!s->eof && *s->p != '\n')
                s->lone_cr = s->line;
        }
        s->line_open = true;
    }
done:
    return st;
}

static sg_status take_byte(scanner *s, bool *got, sg_error *err)
{
    sg_status st = SG_OK;
    if (s->p == s->end)
        TRY(scan_fill(s, err));
    *got = !s->eof && s->p;
    if (*got)
        s->buffer[s->length++] = (char)*s->p++;
done:
    return st;
}

sg_status scan_char(scanner *s, scan_kind *kind, char **c, size_t *n, sg_error *err)
{
    sg_status st = SG_OK;
    bool got;
    s->length = s->position = 0;
    s->reported = s->line;
    *kind = SCAN_FILE_END;
    TRY(take_byte(s, &got, err));
    if (!got)
        goto done;
    unsigned char lead = (unsigned char)s->buffer[0];
    if (lead == '\r') { /* "\r\n" is one line end; a lone "\r" is a character */
        if (s->p == s->end)
            TRY(scan_fill(s, err));
        if (!s->eof && *s->p == '\n') {
            s->p++;
            lead = '\n';
        }
    }
    if (lead == '\n') {
        end_line(s, kind);
        goto done;
    }
    if (lead == '\r' && !s->lone_cr)
        s->lone_cr = s->line;
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 1;
    while (s->length < want && got)
        TRY(take_byte(s, &got, err));
    TRY(scan_check(s, err));
    s->buffer[s->length] = 0;
    if (!s->line_open && s->length == 3 && !memcmp(s->buffer, "\xef\xbb\xbf", 3)) {
        s->inner_bom = s->inner_bom ? s->inner_bom : s->line;
        return scan_char(s, kind, c, n, err);
    }
    s->line_open = true;
    *kind = SCAN_WORD;
    *c = s->buffer;
    *n = s->length;
done:
    s->position = s->length;
    return st;
}

sg_status scan_line(scanner *s, scan_kind *kind, char **line, size_t *n, sg_error *err)
{
    sg_status st = SG_OK;
    s->length = 0;
    s->reported = s->line;
    *kind = SCAN_FILE_END;
    for (bool open = false;;) {
        if (s->p == s->end)
            TRY(scan_fill(s, err));
        if (s->eof && !open)
            goto done;
        open = true;
        size_t left = (size_t)(s->end - s->p);
        const unsigned char *stop = left ? memchr(s->p, '\n', left) : NULL;
        TRY(scan_push(s, s->p, stop ? (size_t)(stop - s->p) : left, MAX_LINE, err));
        s->p = stop ? stop + 1 : s->end;
        if (stop || s->eof)
            break;
    }
    TRY(scan_check(s, err));
    if (s->length && s->buffer[s->length - 1] == '\r')
        s->length--;
    if (s->length >= 3 && !memcmp(s->buffer, "\xef\xbb\xbf", 3)) {
        s->inner_bom = s->inner_bom ? s->inner_bom : s->line;
        s->length -= 3;
        memmove(s->buffer, s->buffer + 3, s->length);
    }
    s->buffer[s->length] = 0;
    s->line++;
    *kind = SCAN_WORD;
    *line = s->buffer;
    *n = s->length;
done:
    s->position = s->length;
    return st;
}

size_t scan_inner_bom(const scanner *s)
{
    return s->inner_bom;
}

size_t scan_lone_cr(const scanner *s)
{
    return s->lone_cr;
}

size_t scan_line_number(const scanner *s)
{
    return s->reported;
}

void scan_close(scanner *s)
{
    if (!s)
        return;
    source_close(s->source);
    sg_free(s->buffer);
    sg_free(s);
}
