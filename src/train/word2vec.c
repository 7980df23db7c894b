/* SPDX-License-Identifier: MIT */
#include "train/word2vec.h"

#include "base/base_internal.h"
#include "io/file_kind.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <zlib.h>

enum { MAX_WORD = 1 << 16, MAX_VALUE = 64 };

typedef struct {
    gzFile f; /* plain or gzip */
    const char *path;
    const sg_vocab *vocab;
    size_t E, found, spaced; /* spaced: rows whose word holds a space */
    uint64_t marked;         /* the first line with a byte order mark inside the file; 0: none */
    float *encoder, *row;    /* row: E */
    char *line;              /* room + 1 */
    size_t room;
    bool *seen; /* V */
} reader;

/* A word's vector goes to its row; the first one of a word counts. */
static sg_status take(reader *r, const char *word, size_t length, uint64_t entry, sg_error *err)
{
    int32_t id = sg_vocab_id(r->vocab, word, length);
    if (id < 0 || r->seen[id])
        return SG_OK;
    for (size_t j = 0; j < r->E; j++)
        if (!isfinite(r->row[j]))
            return sg_fail(err, SG_ENONFINITE, "%s: entry %" PRIu64 " ('%.40s'): value %zu is %f", r->path,
                           entry, word, j + 1, (double)r->row[j]);
    memcpy(r->encoder + (size_t)id * r->E, r->row, r->E * sizeof *r->row);
    r->seen[id] = true;
    r->found++;
    return SG_OK;
}

static sg_status read_failed(reader *r, sg_error *err)
{
    int code;
    const char *why = gzerror(r->f, &code);
    if (code == Z_OK || code == Z_STREAM_END)
        return SG_OK;
    size_t n = strlen(r->path);
    if (!strncmp(why, r->path, n) && why[n] == ':') /* zlib says the path too */
        why += n + 1 + strspn(why + n + 1, " ");
    return sg_fail(err, code == Z_ERRNO ? SG_EIO : SG_EFORMAT, "%s: %s", r->path,
                   code == Z_ERRNO ? strerror(errno) : why);
}

/* The next line without its end into r->line; *more false: the end of the file. */
static sg_status read_line(reader *r, uint64_t number, size_t *length, bool *more, sg_error *err)
{
    size_t n = 0;
    int c;
    while ((c = gzgetc(r->f)) != -1 && c != '\n') {
        if (n == r->room)
            return sg_fail(err, SG_EFORMAT,
                           "%s:%" PRIu64 ": a line longer than %zu bytes, expected a word and %zu values",
                           r->path, number, r->room, r->E);
        r->line[n++] = (char)c;
    }
    *more = c != -1 || n > 0;
    while (n && (r->line[n - 1] == '\r' || r->line[n - 1] == ' ' || r->line[n - 1] == '\t'))
        n--;
    if (n >= 3 && !memcmp(r->line, "\xef\xbb\xbf", 3)) {
        r->marked = r->marked ? r->marked : number;
        n -= 3;
        memmove(r->line, r->line + 3, n);
    }
    r->line[n] = 0;
    *length = n;
    return c == -1 ? read_failed(r, err) : SG_OK;
}

/* A number as strtof reads it in the C locale, whatever the locale of the program is: digits, point,
 * exponent. */
static bool parse_value(const char *text, float *x)
{
    double value = 0, sign = 1;
    int exponent = 0;
    size_t digits = 0;
    const char *c = text;
    if (*c == '-' || *c == '+')
        sign = *c++ == '-' ? -1 : 1;
    if (!strcasecmp(c, "nan") || !strcasecmp(c, "inf") || !strcasecmp(c, "infinity")) {
        *x = *c == 'n' || *c == 'N' ? NAN : INFINITY;
        return true;
    }
    for (; isdigit((unsigned char)*c); c++, digits++)
        value = 10 * value + (*c - '0');
    if (*c == '.')
        for (c++; isdigit((unsigned char)*c); c++, exponent--, digits++)
            value = 10 * value + (*c - '0');
    if (digits && (*c == 'e' || *c == 'E')) {
        char *end;
        errno = 0;
        long e = strtol(c + 1, &end, 10);
        if (end == c + 1 || errno || e > 400 || e < -400)
            return false;
        exponent += (int)e;
        c = end;
    }
    *x = (float)(sign * value * pow(10, exponent));
    return *c == 0 && digits;
}

/* The last field of the first `end` bytes of the line, cut off there; false: none is left. */
static bool last_field(char *line, size_t *end, char **field)
{
    size_t n = *end;
    while (n && (line[n - 1] == ' ' || line[n - 1] == '\t'))
        n--;
    line[n] = 0;
    size_t start = n;
    while (start && line[start - 1] != ' ' && line[start - 1] != '\t')
        start--;
    *field = line + start;
    *end = start;
    return start < n;
}

typedef enum { ROW_EMPTY, ROW_WORD, ROW_SPACED } row_kind;

/* "word x1 .. xE": the last E fields are the vector. *length: of the word, at the start of r->line. */
static sg_status parse_row(reader *r, uint64_t number, size_t n, size_t *length, row_kind *kind,
                           sg_error *err)
{
    size_t end = n, fields = 0;
    char *field;
    *kind = ROW_EMPTY;
    if (!n)
        return SG_OK;
    for (const char *c = r->line; *c;) { /* counted first, for the message */
        c += strspn(c, " \t");
        fields += *c != 0;
        c += strcspn(c, " \t");
    }
    if (fields < r->E + 1)
        return sg_fail(err, SG_EFORMAT, "%s:%" PRIu64 ": expected %zu values after the word, found %zu",
                       r->path, number, r->E, fields - 1);
    for (size_t j = r->E; j > 0; j--) {
        if (!last_field(r->line, &end, &field) || strlen(field) > MAX_VALUE)
            return sg_fail(err, SG_EFORMAT, "%s:%" PRIu64 ": value %zu is longer than %d bytes", r->path,
                           number, j, (int)MAX_VALUE);
        if (!parse_value(field, &r->row[j - 1]))
            return sg_fail(err, SG_EFORMAT, "%s:%" PRIu64 ": value %zu is not a number ('%.20s')", r->path,
                           number, j, field);
    }
    while (end && (r->line[end - 1] == ' ' || r->line[end - 1] == '\t'))
        end--;
    r->line[end] = 0;
    *length = end;
    *kind = ROW_WORD;
    if (fields == r->E + 1)
        return SG_OK;
    *kind = ROW_SPACED;
    float unused;
    size_t left = end;
    bool numbers = true;
    while (numbers &&
           fields-- > r->E + 1) /* are all fields but the first numbers? then it is the size that is wrong */
        numbers = last_field(r->line, &left, &field) && parse_value(field, &unused);
    if (numbers)
        return sg_fail(err, SG_EFORMAT, "%s:%" PRIu64 ": more than %zu values after the word", r->path,
                       number, r->E);
    return SG_OK;
}

static sg_status read_text(reader *r, uint64_t line, bool counted, uint64_t words, sg_error *err)
{
    sg_status st;
    uint64_t rows = 0;
    for (;; line++) {
        size_t n, length = 0;
        bool more;
        row_kind kind;
        TRY(read_line(r, line, &n, &more, err));
        if (!more)
            break;
        TRY(parse_row(r, line, n, &length, &kind, err));
        rows += kind != ROW_EMPTY;
        r->spaced += kind == ROW_SPACED;
        if (counted && rows > words)
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s:%" PRIu64 ": more rows than the %" PRIu64 " words that its first line promises",
                        r->path, line, words));
        if (kind == ROW_WORD)
            TRY(take(r, r->line, length, line, err));
    }
    if (counted && rows < words)
        TRY(sg_fail(err, SG_EFORMAT,
                    "%s: ends after line %" PRIu64 " with %" PRIu64 " rows, its first line promises %" PRIu64
                    " (cut short?)",
                    r->path, line - 1, rows, words));
done:
    return st;
}

/* Four printable bytes in every value: text, not numbers. */
static bool looks_like_text(const float *x, size_t n)
{
    const unsigned char *c = (const unsigned char *)x;
    for (size_t i = 0; i < n * sizeof *x; i++)
        if (!isprint(c[i]) && c[i] != '\n' && c[i] != '\r' && c[i] != '\t')
            return false;
    return n >= 2;
}

/* Word vectors are neither huge nor tiny in most of their values; float64 or another byte order is. */
static sg_status check_plausible(const reader *r, uint64_t entry, sg_error *err)
{
    size_t odd = 0, first = 0;
    for (size_t j = 0; j < r->E; j++) {
        float size = fabsf(r->row[j]);
        if (size != 0 && isfinite(size) && (size < 1e-20f || size > 1e10f))
            first = odd++ ? first : j;
    }
    if (2 * odd <= r->E)
        return SG_OK;
    return sg_fail(err, SG_EFORMAT,
                   "%s: entry %" PRIu64
                   " ('%.40s'): most of its values are implausible, as value %zu, %g: not float32 "
                   "in little-endian byte order?",
                   r->path, entry, r->line, first + 1, (double)r->row[first]);
}

static sg_status read_binary(reader *r, uint64_t words, sg_error *err)
{
    sg_status st = SG_OK;
    int c;
    for (uint64_t i = 0; i < words; i++) {
        size_t n = 0;
        while ((c = gzgetc(r->f)) == '\n')
            ;
        for (; c != -1 && c != ' ' && c != '\t'; c = gzgetc(r->f)) {
            if (n == MAX_WORD)
                TRY(sg_fail(err, SG_EFORMAT,
                            "%s: entry %" PRIu64 " of %" PRIu64 ": a word longer than %d bytes", r->path,
                            i + 1, words, (int)MAX_WORD));
            r->line[n++] = (char)c;
        }
        r->line[n] = 0;
        if (c == -1)
            TRY(read_failed(r, err));
        if (!n)
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: entry %" PRIu64 " of %" PRIu64 ": no word (is the file cut short?)", r->path,
                        i + 1, words));
        size_t bytes = r->E * sizeof *r->row;
        if (gzread(r->f, r->row, (unsigned)bytes) != (int)bytes)
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: entry %" PRIu64 " of %" PRIu64 " ('%.40s'): the file ends in its "
                        "vector",
                        r->path, i + 1, words, r->line));
        if (looks_like_text(r->row, r->E))
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: entry %" PRIu64
                        " ('%.40s'): its vector is text: neither rows of text as the first line "
                        "promises, nor binary",
                        r->path, i + 1, r->line));
        TRY(check_plausible(r, i + 1, err));
        TRY(take(r, r->line, n, i + 1, err));
    }
    while ((c = gzgetc(r->f)) == '\n')
        ;
    if (c != -1)
        TRY(sg_fail(err, SG_EFORMAT, "%s: continues after the %" PRIu64 " words that its first line promises",
                    r->path, words));
    TRY(read_failed(r, err));
done:
    return st;
}

/* "words E" and nothing else on the first line. */
static bool parse_header(const char *line, uint64_t *words, uint64_t *size)
{
    char *end;
    errno = 0;
    if (!isdigit((unsigned char)line[0]))
        return false;
    *words = strtoull(line, &end, 10);
    size_t space = strspn(end, " \t");
    if (!space || !isdigit((unsigned char)end[space]))
        return false;
    *size = strtoull(end + space, &end, 10);
    return !errno && !*end;
}

/* Is what follows the header text, in UTF-8 or another encoding: no control bytes? Floats have such bytes in
 * the first rows already. */
static bool text_follows(reader *r)
{
    z_off_t at = gztell(r->f);
    int n = gzread(r->f, r->line, 4096);
    bool text = n > 0;
    for (int i = 0; i < n && text; i++)
        text = (unsigned char)r->line[i] >= 0x20 || strchr("\t\r\n", r->line[i] ? r->line[i] : 1);
    return gzseek(r->f, at, SEEK_SET) == at && text;
}

static sg_status read_all(reader *r, sg_error *err)
{
    sg_status st;
    char first[FILE_KIND_BYTES];
    uint64_t words = 0, size = 0;
    size_t n;
    bool more;
    int got = gzread(r->f, first, sizeof first);
    if (got <= 0) {
        TRY(read_failed(r, err));
        return sg_fail(err, SG_EFORMAT, "%s: is empty, expected word vectors", r->path);
    }
    const file_kind *kind = file_kind_of(first, (size_t)got);
    if (kind)
        return file_kind_refuse(kind, r->path, "word vectors", "save them with save_word2vec_format", err);
    bool mark = got >= 3 && !memcmp(first, "\xef\xbb\xbf", 3);
    if (gzseek(r->f, mark ? 3 : 0, SEEK_SET) < 0)
        return sg_fail(err, SG_EFORMAT, "%s: cannot be read", r->path);
    TRY(read_line(r, 1, &n, &more, err));
    if (!parse_header(r->line, &words, &size)) {
        if (gzseek(r->f, mark ? 3 : 0, SEEK_SET) < 0)
            return sg_fail(err, SG_EFORMAT, "%s: cannot be read", r->path);
        return read_text(r, 1, false, 0, err);
    }
    if (size != r->E)
        return sg_fail(err, SG_EFORMAT, "%s: vectors of %" PRIu64 " values, the embedding size is %zu",
                       r->path, size, r->E);
    st = text_follows(r) ? read_text(r, 2, true, words, err) : read_binary(r, words, err);
done:
    return st;
}

sg_status word2vec_read(const char *path, const sg_vocab *vocab, size_t E, float *encoder, size_t *found,
                        const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    struct stat info;
    reader r = {
        .path = path, .vocab = vocab, .E = E, .encoder = encoder, .room = MAX_WORD + E * (MAX_VALUE + 1)};
    if (stat(path, &info) != 0)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return sg_fail(err, SG_EFORMAT, "%s: is not a regular file", path);
    if (E > (size_t)1 << 20)
        return sg_fail(err, SG_EINVAL, "%s: an embedding size of %zu, at most %d is read", path, E, 1 << 20);
    if (!(r.f = gzopen(path, "rb")))
        return sg_fail(err, errno == ENOMEM || !errno ? SG_ENOMEM : SG_EIO, "%s: %s", path, strerror(errno));
    NEED((r.row = sg_calloc(E, sizeof *r.row)) && (r.line = sg_calloc(r.room + 1, 1)) &&
             (r.seen = sg_calloc(sg_vocab_size(vocab), sizeof *r.seen)),
         err, "%s", path);
    TRY(read_all(&r, err));
    if (r.marked)
        sg_warn(monitor, "%s:%" PRIu64 ": a byte order mark inside the file: dropped", path, r.marked);
    if (r.spaced)
        sg_warn(monitor, "%s: %zu rows whose word holds a space are left out: no word of a corpus has one",
                path, r.spaced);
    *found = r.found;
done:
    gzclose(r.f);
    sg_free(r.row);
    sg_free(r.line);
    sg_free(r.seen);
    return st;
}
