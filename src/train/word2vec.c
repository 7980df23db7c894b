/* SPDX-License-Identifier: MIT */
#include "train/word2vec.h"

#include "base/base_internal.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_WORD = 1 << 16, MAX_VALUE = 64 };

typedef struct {
    FILE *f;
    const char *path;
    const sg_vocab *vocab;
    size_t E, found;
    float *encoder, *row; /* row: E */
    char *word;           /* MAX_WORD + 1 */
    bool *seen;           /* V */
} reader;

/* A word's vector goes to its row; the first one of a word counts. */
static sg_status take(reader *r, size_t length, uint64_t entry, sg_error *err)
{
    int32_t id = sg_vocab_id(r->vocab, r->word, length);
    if (id < 0 || r->seen[id])
        return SG_OK;
    for (size_t j = 0; j < r->E; j++)
        if (!isfinite(r->row[j]))
            return sg_fail(err, SG_ENONFINITE, "%s: entry %" PRIu64 " ('%.40s'): value %zu is %f", r->path,
                           entry, r->word, j + 1, (double)r->row[j]);
    memcpy(r->encoder + (size_t)id * r->E, r->row, r->E * sizeof *r->row);
    r->seen[id] = true;
    r->found++;
    return SG_OK;
}

/* Up to a space (consumed), a newline (left) or the end. SIZE_MAX: too long. */
static size_t read_word(reader *r)
{
    size_t n = 0;
    int c;
    while ((c = getc_unlocked(r->f)) != EOF && c != ' ' && c != '\t' && c != '\n') {
        if (n == MAX_WORD)
            return SIZE_MAX;
        r->word[n++] = (char)c;
    }
    if (c == '\n')
        ungetc(c, r->f);
    r->word[n] = 0;
    return n;
}

/* A number as strtof reads it in the C locale, whatever the locale of the program is: digits, point,
 * exponent. */
static bool parse_value(const char *text, float *x)
{
    double value = 0, sign = 1;
    int exponent = 0;
    const char *c = text;
    if (*c == '-' || *c == '+')
        sign = *c++ == '-' ? -1 : 1;
    if (!strcasecmp(c, "nan") || !strcasecmp(c, "inf") || !strcasecmp(c, "infinity")) {
        *x = *c == 'n' || *c == 'N' ? NAN : INFINITY;
        return true;
    }
    if (!isdigit((unsigned char)*c) && *c != '.')
        return false;
    for (; isdigit((unsigned char)*c); c++)
        value = 10 * value + (*c - '0');
    if (*c == '.')
        for (c++; isdigit((unsigned char)*c); c++, exponent--)
            value = 10 * value + (*c - '0');
    if (*c == 'e' || *c == 'E') {
        char *end;
        errno = 0;
        long e = strtol(c + 1, &end, 10);
        if (end == c + 1 || errno || e > 400 || e < -400)
            return false;
        exponent += (int)e;
        c = end;
    }
    *x = (float)(sign * value * pow(10, exponent));
    return *c == 0;
}

static sg_status read_text_row(reader *r, uint64_t line, size_t *length, sg_error *err)
{
    char text[MAX_VALUE + 1] = "";
    size_t values = 0;
    if ((*length = read_word(r)) == SIZE_MAX)
        return sg_fail(err, SG_EFORMAT, "%s:%" PRIu64 ": a word longer than %d bytes", r->path, line,
                       (int)MAX_WORD);
    for (;;) {
        size_t n = 0;
        int c;
        while ((c = getc_unlocked(r->f)) == ' ' || c == '\t' || c == '\r')
            ;
        if (c == EOF || c == '\n')
            break;
        for (; c != EOF && !isspace(c); c = getc_unlocked(r->f)) {
            if (n == MAX_VALUE)
                return sg_fail(err, SG_EFORMAT, "%s:%" PRIu64 ": value %zu is longer than %d bytes", r->path,
                               line, values + 1, (int)MAX_VALUE);
            text[n++] = (char)c;
        }
        text[n] = 0;
        if (values == r->E || !parse_value(text, &r->row[values]))
            return sg_fail(err, SG_EFORMAT,
                           values == r->E ? "%s:%" PRIu64 ": more than %zu values after the word"
                                          : "%s:%" PRIu64 ": value %zu is not a number",
                           r->path, line, values == r->E ? r->E : values + 1);
        values++;
        if (c == '\n' || c == EOF)
            break;
    }
    if (values != r->E && !(values == 0 && *length == 0))
        return sg_fail(err, SG_EFORMAT, "%s:%" PRIu64 ": expected %zu values after the word, found %zu",
                       r->path, line, r->E, values);
    return SG_OK;
}

static bool at_end(reader *r)
{
    int c = getc_unlocked(r->f);
    if (c != EOF)
        ungetc(c, r->f);
    return c == EOF;
}

static sg_status read_text(reader *r, uint64_t line, sg_error *err)
{
    for (; !at_end(r); line++) {
        size_t length;
        sg_status st = read_text_row(r, line, &length, err);
        if (st == SG_OK && length)
            st = take(r, length, line, err);
        if (st != SG_OK)
            return st;
    }
    return SG_OK;
}

static sg_status read_binary(reader *r, uint64_t words, sg_error *err)
{
    for (uint64_t i = 0; i < words; i++) {
        int c = getc_unlocked(r->f);
        if (c != '\n' && c != EOF)
            ungetc(c, r->f);
        size_t length = read_word(r);
        if (length == SIZE_MAX || length == 0)
            return sg_fail(err, SG_EFORMAT, "%s: entry %" PRIu64 " of %" PRIu64 ": %s", r->path, i + 1, words,
                           length ? "a word longer than 65536 bytes" : "no word (is the file cut short?)");
        if (fread(r->row, sizeof *r->row, r->E, r->f) != r->E)
            return sg_fail(err, SG_EFORMAT,
                           "%s: entry %" PRIu64 " of %" PRIu64 " ('%.40s'): the file ends in its "
                           "vector",
                           r->path, i + 1, words, r->word);
        sg_status st = take(r, length, i + 1, err);
        if (st != SG_OK)
            return st;
    }
    return SG_OK;
}

/* "words E" and nothing else on the first line. */
static bool parse_header(const char *line, uint64_t *words, uint64_t *size)
{
    char *end;
    errno = 0;
    if (!isdigit((unsigned char)line[0]))
        return false;
    *words = strtoull(line, &end, 10);
    if (*end != ' ' || !isdigit((unsigned char)end[1]))
        return false;
    *size = strtoull(end + 1, &end, 10);
    return !errno && (!strcmp(end, "\n") || !strcmp(end, "\r\n") || !strcmp(end, " \n"));
}

/* After the header: text, if the first row can be read as such. */
static bool looks_like_text(reader *r)
{
    long at = ftell(r->f);
    size_t length;
    bool text = read_text_row(r, 2, &length, NULL) == SG_OK && length;
    return fseek(r->f, at, SEEK_SET) == 0 && text;
}

static sg_status read_all(reader *r, sg_error *err)
{
    char first[128] = "";
    uint64_t words = 0, size = 0;
    if (!fgets(first, sizeof first, r->f))
        return sg_fail(err, SG_EFORMAT, "%s: is empty, expected word vectors", r->path);
    if (!parse_header(first, &words, &size)) {
        rewind(r->f);
        return read_text(r, 1, err);
    }
    if (size != r->E)
        return sg_fail(err, SG_EFORMAT, "%s: vectors of %" PRIu64 " values, the embedding size is %zu",
                       r->path, size, r->E);
    return looks_like_text(r) ? read_text(r, 2, err) : read_binary(r, words, err);
}

sg_status word2vec_read(const char *path, const sg_vocab *vocab, size_t E, float *encoder, size_t *found,
                        sg_error *err)
{
    sg_status st = SG_OK;
    struct stat info;
    reader r = {.path = path, .vocab = vocab, .E = E, .encoder = encoder};
    if (!(r.f = fopen(path, "rb")))
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    if (fstat(fileno(r.f), &info) != 0 || !S_ISREG(info.st_mode))
        TRY(sg_fail(err, SG_EFORMAT, "%s: is not a regular file", path));
    if (!(r.row = sg_calloc(E, sizeof *r.row)) || !(r.word = sg_calloc(MAX_WORD + 1, 1)) ||
        !(r.seen = sg_calloc(sg_vocab_size(vocab), sizeof *r.seen)))
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", path));
    TRY(read_all(&r, err));
    if (ferror(r.f))
        TRY(sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno)));
    *found = r.found;
done:
    fclose(r.f);
    sg_free(r.row);
    sg_free(r.word);
    sg_free(r.seen);
    return st;
}
