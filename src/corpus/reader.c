/* SPDX-License-Identifier: MIT */
/* Corpora: a list of files, each plain text, CoNLL-U, word/tag or characters, as one sequence of tokens. */
#include "corpus/corpus_internal.h"
#include "corpus/text_shape.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MAX_FOLDER_DEPTH = 32, TICK_EVERY = 1 << 16 };

typedef struct {
    char *path;
    bool in_folder; /* found there, not named */
    int spool_fd;   /* -1: read the path itself */
    memory_bytes memory;
} corpus_file;

/* Where something was first met that may not be meant; path NULL: nowhere. */
typedef struct {
    const char *path; /* borrowed from files */
    size_t line, times;
} remark;

/* A tags file, read with the corpus. */
typedef struct {
    char *path;
    scanner *text;
} tags_file;

struct sg_corpus {
    corpus_file *files;
    size_t n_files, files_cap, next_file;
    sg_format format;
    sg_unit unit;
    bool eos, lowercase;
    char *lower; /* the token given last, in lower case */
    size_t lower_room;
    sg_format current; /* of the open file */
    const char *path;  /* of the open file, borrowed from files */
    scanner *text;
    tags_file *layers;
    const char **layer_tags;             /* of the token given last */
    size_t n_layers, tag_layer;          /* tag_layer: its tags are sg_token.tag of plain text */
    const char *columns[CONLLU_COLUMNS]; /* of the token given last */
    sg_sha256 *hash;                     /* borrowed or NULL */
    bool ends_in_eos;                    /* the last word was a literal <eos> */
    bool at_start;                       /* the next token is the first of its sentence */
    uint8_t begins;                      /* what the next word begins: SG_BEGINS_... */
    remark inner_bom, lone_cr, literal_eos, lost_range, like_conllu, like_tagged;
    text_shape shape;           /* of plain text whose format was not said */
    long range_next, range_end; /* ids of words that a CoNLL-U range announced */
    size_t range_line;
    size_t line_words; /* words of this line so far, for messages about tags */
    bool plain_only;   /* a tags file of the configuration needs plain text */
    const sg_monitor *monitor;
    const char *doing; /* what the monitor receives */
    uint64_t read;
    double start;
};

static sg_status add_path(sg_corpus *c, const char *path, const sg_spool *spool, unsigned depth,
                          sg_error *err);

static sg_status add_file(sg_corpus *c, const char *path, int spool_fd, sg_error *err)
{
    sg_status st = array_reserve(&c->files, &c->files_cap, c->n_files + 1, sizeof *c->files, err);
    if (st != SG_OK)
        return st;
    corpus_file *f = &c->files[c->n_files];
    f->spool_fd = spool_fd;
    f->in_folder = false;
    f->memory = (memory_bytes){0};
    if (!(f->path = sg_strdup(path)))
        return no_memory(err, "%s", path);
    c->n_files++;
    return SG_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The files of a folder in the order of their bytes (so that the locale changes nothing), hidden ones left
 * out. */
static sg_status add_folder(sg_corpus *c, const char *path, unsigned depth, sg_error *err)
{
    sg_status st = SG_OK;
    char **names = NULL;
    size_t n = 0, cap = 0;
    const struct dirent *entry;
    DIR *dir = opendir(path);
    if (!dir)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        TRY(array_reserve(&names, &cap, n + 1, sizeof *names, err));
        size_t size = strlen(path) + strlen(entry->d_name) + 2;
        NEED(names[n] = sg_calloc(size, 1), err, "%s", path);
        bool slash = path[0] && path[strlen(path) - 1] == '/';
        snprintf(names[n++], size, "%s%s%s", path, slash ? "" : "/", entry->d_name);
    }
    if (n)
        qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 0, before = c->n_files; i < n; i++, before = c->n_files) {
        TRY(add_path(c, names[i], NULL, depth + 1, err));
        for (size_t k = before; k < c->n_files; k++)
            c->files[k].in_folder = true;
    }
done:
    for (size_t i = 0; i < n; i++)
        sg_free(names[i]);
    sg_free(names);
    closedir(dir);
    return st;
}

static sg_status add_path(sg_corpus *c, const char *path, const sg_spool *spool, unsigned depth,
                          sg_error *err)
{
    struct stat info;
    int fd = spool_find(spool, path);
    if (fd >= 0 || !strcmp(path, "-"))
        return add_file(c, path, fd, err);
    if (!path[0])
        return sg_fail(err, SG_EINVAL, "a corpus without a name");
    if (stat(path, &info) != 0)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(info.st_mode))
        return add_file(c, path, -1, err);
    if (depth > MAX_FOLDER_DEPTH)
        return sg_fail(err, SG_EINVAL, "%s: folders nested more than %d deep", path, MAX_FOLDER_DEPTH);
    size_t before = c->n_files;
    sg_status st = add_folder(c, path, depth, err);
    if (st == SG_OK && depth == 0 && c->n_files == before)
        return sg_fail(err, SG_EFORMAT, "%s: a folder without files", path);
    return st;
}

/* A text in memory, or lines in place of feature vectors. */
static sg_status add_memory(sg_corpus *c, const sg_corpus_config *cfg, sg_error *err)
{
    static const char row[] = "row\n";
    sg_status st = add_file(c, cfg->text ? "the text in memory" : "the feature rows", -1, err);
    if (st != SG_OK)
        return st;
    c->files[0].memory = cfg->text ? (memory_bytes){cfg->text, cfg->text_size, cfg->text_size}
                                   : (memory_bytes){row, sizeof row - 1, (sizeof row - 1) * cfg->rows};
    return SG_OK;
}

sg_status sg_corpus_open(sg_corpus **out, const sg_corpus_config *cfg, sg_error *err)
{
    sg_corpus_config own = {0};
    cfg = config_take(&own, sizeof own, cfg);
    sg_status st = SG_OK;
    *out = NULL;
    const int given = (cfg->n_paths > 0) + (cfg->text != NULL) + (cfg->rows > 0);
    if (given != 1)
        return sg_fail(err, SG_EINVAL, "corpus: %s",
                       given ? "files, a text in memory and feature rows exclude each other"
                             : "no file given");
    if (cfg->rows > (uint64_t)1 << 48)
        return sg_fail(err, SG_EINVAL, "corpus: %ju feature rows, expected at most 2^48",
                       (uintmax_t)cfg->rows);
    if (cfg->unit == SG_UNIT_CHAR && (cfg->format == SG_FORMAT_CONLLU || cfg->format == SG_FORMAT_TAGGED))
        return sg_fail(err, SG_EINVAL,
                       "corpus: characters are read from plain text, not from CoNLL-U or word/tag");
    if (cfg->tags_path &&
        (cfg->unit == SG_UNIT_CHAR || cfg->format == SG_FORMAT_CONLLU || cfg->format == SG_FORMAT_TAGGED))
        return sg_fail(err, SG_EINVAL, "%s: a tags file needs plain text read by words", cfg->tags_path);
    sg_corpus *c = sg_calloc(1, sizeof *c);
    if (!c)
        return no_memory(err, "the corpus");
    c->format = cfg->format;
    c->unit = cfg->unit;
    c->eos = cfg->eos;
    c->lowercase = cfg->lowercase;
    c->monitor = cfg->monitor;
    c->doing = "reading";
    c->start = sg_clock();
    for (size_t i = 0; i < cfg->n_paths; i++)
        TRY(add_path(c, cfg->paths[i], cfg->spool, 0, err));
    if (!cfg->n_paths)
        TRY(add_memory(c, cfg, err));
    if (cfg->tags_path)
        TRY(corpus_read_layers(c, &cfg->tags_path, 1, 0, err));
    c->plain_only = cfg->tags_path != NULL;
    *out = c;
    c = NULL;
done:
    sg_corpus_close(c);
    return st;
}

static void close_layers(sg_corpus *c)
{
    for (size_t i = 0; i < c->n_layers; i++) {
        scan_close(c->layers[i].text);
        sg_free(c->layers[i].path);
    }
    sg_free(c->layers);
    sg_free(c->layer_tags);
    c->layers = NULL;
    c->layer_tags = NULL;
    c->n_layers = 0;
}

sg_status corpus_read_layers(sg_corpus *c, const char *const *paths, size_t n, size_t tag_layer,
                             sg_error *err)
{
    sg_status st = SG_OK;
    close_layers(c);
    NEED((c->layers = sg_calloc(n, sizeof *c->layers)) &&
             (c->layer_tags = sg_calloc(n, sizeof *c->layer_tags)),
         err, "%zu tags files", n);
    c->tag_layer = tag_layer;
    for (size_t i = 0; i < n; i++) {
        tags_file *f = &c->layers[c->n_layers];
        NEED(f->path = sg_strdup(paths[i]), err, "%s", paths[i]);
        c->n_layers++;
        TRY(scan_open(&f->text, f->path, -1, (memory_bytes){0}, NULL, err));
    }
done:
    return st;
}

void sg_corpus_close(sg_corpus *c)
{
    if (!c)
        return;
    scan_close(c->text);
    close_layers(c);
    for (size_t i = 0; i < c->n_files; i++)
        sg_free(c->files[i].path);
    sg_free(c->files);
    sg_free(c->lower);
    sg_free(c);
}

static void remark_on(remark *r, const char *path, size_t line)
{
    if (!line)
        return;
    if (!r->path)
        *r = (remark){path, line, 0};
    r->times++;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && !strcmp(s + n - k, end);
}

/* By its name, which decides where no format is set. */
static bool named_conllu(const char *path)
{
    return ends_with(path, ".conllu") || ends_with(path, ".conllu.gz");
}

static void warn_of_format(const sg_corpus *c, const remark *r, const char *format, const char *name)
{
    if (r->path)
        sg_warn(
            c->monitor,
            "%s:%zu: lines like this look like %s and are read as plain text: setting 'format' %s, or text if they are plain",
            r->path, r->line, format, name);
}

/* A file that comes with a corpus and is none, by its name. */
static bool beside_corpus(const char *path)
{
    static const char *const names[] = {"readme",    "license", "licence", "copying",
                                        "changelog", "notice",  "makefile"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strncasecmp(name, names[i], strlen(names[i])))
            return true;
    return false;
}

/* What was read because it is in a folder, and may not have been meant. */
static void warn_of_folders(const sg_corpus *c)
{
    const char *odd = NULL, *plain = NULL, *conllu = NULL;
    for (size_t i = 0; i < c->n_files; i++) {
        const char *path = c->files[i].path;
        if (!c->files[i].in_folder)
            continue;
        odd = !odd && beside_corpus(path) ? path : odd;
        plain = !plain && !named_conllu(path) ? path : plain;
        conllu = !conllu && named_conllu(path) ? path : conllu;
    }
    if (odd)
        sg_warn(c->monitor, "%s: read as a part of the corpus, because it is in the folder", odd);
    else if (c->format == SG_FORMAT_AUTO && plain && conllu)
        sg_warn(c->monitor, "%s: read as plain text, beside CoNLL-U (%s) in the folder", plain, conllu);
}

void corpus_warn(const sg_corpus *c)
{
    const sg_monitor *monitor = c->monitor;
    if (c->inner_bom.path)
        sg_warn(monitor, "%s:%zu: a byte order mark inside the file: dropped", c->inner_bom.path,
                c->inner_bom.line);
    if (c->lone_cr.path)
        sg_warn(
            monitor,
            "%s:%zu: a carriage return without a line feed: read as %s, not as a line end; if lines end so, convert the "
            "file",
            c->lone_cr.path, c->lone_cr.line, c->unit == SG_UNIT_CHAR ? "a character" : "white space");
    if (c->literal_eos.path)
        sg_warn(
            monitor,
            "%s:%zu: the line ends in a literal <eos>, and one is added at every line end: two each (%zu lines); "
            "setting 'eos' false adds none",
            c->literal_eos.path, c->literal_eos.line, c->literal_eos.times);
    if (c->lost_range.path)
        sg_warn(
            monitor,
            "%s:%zu: a range without its words below it: its text is lost (%zu of them); ranges are not words themselves",
            c->lost_range.path, c->lost_range.line, c->lost_range.times);
    warn_of_format(c, &c->like_conllu, "CoNLL-U", "conllu");
    warn_of_format(c, &c->like_tagged, "word/tag", "tagged");
    warn_of_folders(c);
}

void corpus_hash_into(sg_corpus *c, sg_sha256 *hash)
{
    c->hash = hash;
}

const char *corpus_first_path(const sg_corpus *c)
{
    return c->files[0].path;
}

static sg_status open_next(sg_corpus *c, sg_error *err)
{
    const corpus_file *f = &c->files[c->next_file++];
    c->path = f->path;
    c->current = c->format;
    if (c->format == SG_FORMAT_AUTO) {
        bool conllu = named_conllu(f->path);
        c->current = conllu ? SG_FORMAT_CONLLU : SG_FORMAT_TEXT;
        if (conllu && (c->unit == SG_UNIT_CHAR || c->plain_only))
            return sg_fail(err, SG_EINVAL, "%s: a CoNLL-U file, but %s plain text", f->path,
                           c->plain_only ? "a tags file belongs to" : "characters are read from");
    }
    c->at_start = true;
    c->begins = SG_BEGINS_FILE;
    c->line_words = 0;
    c->shape = (text_shape){0};
    return scan_open(&c->text, f->path, f->spool_fd, f->memory, c->hash, err);
}

static void fill_token(sg_corpus *c, sg_token *t, const char *form, size_t length)
{
    *t = (sg_token){.form = form,
                    .length = length,
                    .first = c->at_start,
                    .begins = c->begins,
                    .path = c->path,
                    .line = scan_line_number(c->text)};
    c->at_start = false;
    c->begins = 0;
}

static void give_line_end(sg_corpus *c, sg_token *t)
{
    bool chars = c->unit == SG_UNIT_CHAR;
    uint8_t begins = c->begins; /* the next word's, not this line end's */
    fill_token(c, t, chars ? "\n" : "<eos>", chars ? 1 : 5);
    t->begins = 0;
    c->begins = begins;
    t->eos = !chars;
    c->at_start = true;
}

/* ---- tags from other files where asked ---- */

/* What is wrong where a tags file has a word or a line end and the corpus has the other. */
static sg_status tags_differ(sg_corpus *c, const tags_file *f, scan_kind kind, scan_kind tag_kind,
                             sg_error *err)
{
    sg_status st = SG_OK;
    size_t n, line = c->text ? scan_line_number(c->text) : 0, tags_line = scan_line_number(f->text);
    if (tag_kind == SCAN_FILE_END)
        return sg_fail(err, SG_EFORMAT, "%s: ends after line %zu, expected tags for line %zu of %s", f->path,
                       tags_line - 1, line, c->path);
    if (kind == SCAN_FILE_END)
        return sg_fail(err, SG_EFORMAT, "%s:%zu: more lines than the corpus, which ends with %s", f->path,
                       tags_line, c->path);
    if (c->current != SG_FORMAT_TEXT)
        return sg_fail(err, SG_EFORMAT, "%s:%zu: %s tags than words of the sentence at %s:%zu", f->path,
                       tags_line, kind == SCAN_WORD ? "fewer" : "more", c->path, line);
    size_t words = c->line_words, tags = c->line_words;
    char *rest;
    for (; kind == SCAN_WORD; words++)
        TRY(scan_word(c->text, &kind, &rest, &n, err));
    for (; tag_kind == SCAN_WORD; tags++)
        TRY(scan_word(f->text, &tag_kind, &rest, &n, err));
    return sg_fail(err, SG_EFORMAT, "%s:%zu: %zu tags, expected %zu, one for each word of %s:%zu", f->path,
                   tags_line, tags, words, c->path, line);
done:
    return st;
}

/* Each tags file must have a word for each word, a line end for each line end (or end of a sentence). */
static sg_status match_tags(sg_corpus *c, scan_kind kind, sg_token *t, sg_error *err)
{
    sg_status st = SG_OK;
    scan_kind tag_kind;
    char *tag;
    size_t n;
    for (size_t i = 0; i < c->n_layers; i++) {
        TRY(scan_word(c->layers[i].text, &tag_kind, &tag, &n, err));
        if (kind != tag_kind)
            return tags_differ(c, &c->layers[i], kind, tag_kind, err);
        c->layer_tags[i] = kind == SCAN_WORD ? tag : NULL;
    }
    c->line_words = kind == SCAN_WORD ? c->line_words + 1 : 0;
    if (kind != SCAN_WORD || !c->n_layers)
        return SG_OK;
    t->layers = c->layer_tags;
    if (c->current == SG_FORMAT_TEXT && c->tag_layer < c->n_layers)
        t->tag = c->layer_tags[c->tag_layer];
done:
    return st;
}

/* ---- plain text ---- */

static void look_at_shape(sg_corpus *c, scan_kind kind, const char *form, size_t n)
{
    if (kind == SCAN_WORD) {
        text_shape_word(&c->shape, form, n);
        return;
    }
    const sg_format like = text_shape_line(&c->shape);
    if (like != SG_FORMAT_TEXT)
        remark_on(like == SG_FORMAT_CONLLU ? &c->like_conllu : &c->like_tagged, c->path,
                  scan_line_number(c->text));
}

static sg_status next_text(sg_corpus *c, sg_token *t, bool *file_end, sg_error *err)
{
    sg_status st = SG_OK;
    scan_kind kind;
    char *form = NULL;
    size_t n = 0;
    for (;;) {
        TRY(c->unit == SG_UNIT_CHAR ? scan_char(c->text, &kind, &form, &n, err)
                                    : scan_word(c->text, &kind, &form, &n, err));
        *file_end = kind == SCAN_FILE_END;
        if (*file_end)
            break;
        if (c->format == SG_FORMAT_AUTO && c->unit == SG_UNIT_WORD)
            look_at_shape(c, kind, form, n);
        if (kind == SCAN_LINE_END && c->at_start)
            c->begins |= SG_BEGINS_BLANK;
        if (kind == SCAN_WORD)
            fill_token(c, t, form, n);
        else if (c->eos) {
            if (c->ends_in_eos)
                remark_on(&c->literal_eos, c->path, scan_line_number(c->text));
            give_line_end(c, t);
        } else
            c->at_start = true;
        TRY(match_tags(c, kind, t, err));
        c->ends_in_eos = kind == SCAN_WORD && c->unit == SG_UNIT_WORD && n == 5 && !memcmp(form, "<eos>", 5);
        if (kind == SCAN_WORD || c->eos)
            break;
    }
done:
    return st;
}

/* ---- word/tag ---- */

/* "Atlanta's/np$": the last slash separates word and tag; a slash after a backslash is part of the word. */
static sg_status split_tag(const sg_corpus *c, char *form, size_t *n, const char **tag, sg_error *err)
{
    size_t slash = *n, kept = 0;
    for (size_t i = *n; i-- > 1 && slash == *n;)
        if (form[i] == '/' && form[i - 1] != '\\')
            slash = i;
    if (slash == *n || slash + 1 == *n) {
        char excerpt[64];
        return sg_fail(err, SG_EFORMAT, "%s:%zu: '%s', expected word/tag", c->path, scan_line_number(c->text),
                       text_excerpt(excerpt, form, *n));
    }
    form[slash] = 0;
    *tag = form + slash + 1;
    for (size_t i = 0; i < slash; i++)
        if (form[i] != '\\' || form[i + 1] != '/')
            form[kept++] = form[i];
    form[kept] = 0;
    *n = kept;
    return SG_OK;
}

/* Lines without words part sentences in such corpora and are none themselves. */
static sg_status next_tagged(sg_corpus *c, sg_token *t, bool *file_end, sg_error *err)
{
    sg_status st = SG_OK;
    scan_kind kind;
    char *form = NULL;
    const char *tag = NULL;
    size_t n = 0;
    for (;;) {
        TRY(scan_word(c->text, &kind, &form, &n, err));
        *file_end = kind == SCAN_FILE_END;
        if (kind != SCAN_LINE_END)
            break;
        bool blank = c->at_start;
        c->begins |= blank ? SG_BEGINS_BLANK : 0;
        c->at_start = true;
        if (!blank)
            TRY(match_tags(c, SCAN_LINE_END, t, err));
        if (c->eos && !blank) {
            c->at_start = false;
            give_line_end(c, t);
            return SG_OK;
        }
    }
    if (*file_end)
        return SG_OK;
    TRY(split_tag(c, form, &n, &tag, err));
    fill_token(c, t, form, n);
    t->tag = tag;
    TRY(match_tags(c, SCAN_WORD, t, err));
done:
    return st;
}

/* ---- CoNLL-U ---- */

/* 1: a word; 0: a range (1-2) or an empty node (1.1), which are no syntactic words; -1: no id. */
static int conllu_id(const char *id)
{
    size_t n = strspn(id, "0123456789"), m;
    if (!n)
        return -1;
    if (!id[n])
        return 1;
    m = strspn(id + n + 1, "0123456789");
    return (id[n] == '-' || id[n] == '.') && m && !id[n + 1 + m] ? 0 : -1;
}

static const char *conllu_value(const char *column)
{
    return strcmp(column, "_") && column[0] ? column : NULL;
}

/* A range announces words that follow it: ids range_next .. range_end. */
static void begin_range(sg_corpus *c, const char *id, size_t line)
{
    char *end;
    if (c->range_line)
        remark_on(&c->lost_range, c->path, c->range_line);
    c->range_next = strtol(id, &end, 10);
    c->range_end = strtol(end + 1, NULL, 10);
    c->range_line = line;
}

/* The word `id` comes, or (-1) the sentence ends. */
static void next_in_range(sg_corpus *c, long id)
{
    if (!c->range_line)
        return;
    if (id != c->range_next)
        remark_on(&c->lost_range, c->path, c->range_line);
    if (id != c->range_next || id >= c->range_end)
        c->range_line = 0;
    c->range_next++;
}

/* Cuts the line into its columns and gives the token; *word false: to be skipped. */
static sg_status conllu_token(sg_corpus *c, char *line, sg_token *t, bool *word, sg_error *err)
{
    char *column[CONLLU_COLUMNS];
    char excerpt[64];
    size_t n = 0, number = scan_line_number(c->text), length = strlen(line);
    text_excerpt(excerpt, line, length);
    for (char *p = line; p; n++) {
        if (n < CONLLU_COLUMNS)
            column[n] = p;
        if ((p = strchr(p, '\t')))
            *p++ = 0;
    }
    if (n != CONLLU_COLUMNS)
        return sg_fail(err, SG_EFORMAT,
                       "%s:%zu: %zu column%s separated by tabs, expected the %d of CoNLL-U: '%s'", c->path,
                       number, n, n == 1 ? "" : "s", CONLLU_COLUMNS, excerpt);
    int kind = conllu_id(column[0]);
    if (kind < 0)
        return sg_fail(err, SG_EFORMAT,
                       "%s:%zu: '%s' in the first column, expected a number, a range or a decimal", c->path,
                       number, text_excerpt(excerpt, column[0], strlen(column[0])));
    if (kind > 0 && !column[1][0])
        return sg_fail(err, SG_EFORMAT, "%s:%zu: the second column is empty, expected a word", c->path,
                       number);
    if (kind > 0)
        next_in_range(c, strtol(column[0], NULL, 10));
    else if (strchr(column[0], '-'))
        begin_range(c, column[0], number);
    if ((*word = kind > 0)) {
        fill_token(c, t, column[1], strlen(column[1]));
        for (size_t i = 0; i < CONLLU_COLUMNS; i++)
            c->columns[i] = conllu_value(column[i]);
        t->columns = c->columns;
        t->upos = c->columns[3];
        t->tag = c->columns[4];
        t->feats = c->columns[5];
        return match_tags(c, SCAN_WORD, t, err);
    }
    return SG_OK;
}

/* "# newdoc" or "# newdoc id = ..." */
static bool is_newdoc(const char *line)
{
    line += 1 + strspn(line + 1, " \t");
    return !strncmp(line, "newdoc", 6) && (!line[6] || line[6] == ' ' || line[6] == '\t');
}

static sg_status next_conllu(sg_corpus *c, sg_token *t, bool *file_end, sg_error *err)
{
    sg_status st = SG_OK;
    scan_kind kind;
    char *line = NULL;
    size_t n = 0;
    bool word = false;
    while (!word) {
        TRY(scan_line(c->text, &kind, &line, &n, err));
        bool blank = kind == SCAN_FILE_END || strspn(line, " \t") == n;
        if (blank)
            next_in_range(c, -1);
        if (blank && !c->at_start) {
            TRY(match_tags(c, SCAN_LINE_END, t, err));
            if (c->eos) {
                give_line_end(c, t);
                return SG_OK;
            }
            c->at_start = true;
        }
        *file_end = kind == SCAN_FILE_END;
        if (*file_end)
            return SG_OK;
        if (!blank && line[0] != '#')
            TRY(conllu_token(c, line, t, &word, err));
        else if (!blank && is_newdoc(line))
            c->begins |= SG_BEGINS_HEADING;
    }
done:
    return st;
}

void corpus_is_counted(sg_corpus *c)
{
    c->doing = "counting words";
}

static sg_status tick(sg_corpus *c, sg_error *err)
{
    if (++c->read % TICK_EVERY || !c->monitor || !c->monitor->tick)
        return SG_OK;
    sg_progress p = {
        .what = c->doing, .done = (double)c->read, .seconds = sg_clock() - c->start, .loss = (double)NAN};
    return c->monitor->tick(c->monitor->ctx, &p)
               ? SG_OK
               : sg_fail(err, SG_ECANCELLED, "stopped while reading the corpus");
}

static sg_status to_lower(sg_corpus *c, sg_token *t, sg_error *err)
{
    sg_status st = array_reserve(&c->lower, &c->lower_room, 4 * t->length + 1, 1, err);
    if (st != SG_OK)
        return st;
    t->length = utf8_lower(t->form, t->length, c->lower);
    t->form = c->lower;
    return SG_OK;
}

sg_status sg_corpus_next(sg_corpus *c, sg_token *token, bool *end, sg_error *err)
{
    sg_status st = SG_OK;
    *end = false;
    for (;;) {
        bool file_end = false;
        if (!c->text) {
            if (c->next_file == c->n_files) {
                *end = true;
                /* set on the way: a tags file must end where the corpus does */
                TRY(match_tags(c, SCAN_FILE_END, token, err));
                break;
            }
            TRY(open_next(c, err));
        }
        TRY(c->current == SG_FORMAT_CONLLU   ? next_conllu(c, token, &file_end, err)
            : c->current == SG_FORMAT_TAGGED ? next_tagged(c, token, &file_end, err)
                                             : next_text(c, token, &file_end, err));
        if (!file_end) {
            if (c->lowercase)
                TRY(to_lower(c, token, err));
            break;
        }
        remark_on(&c->inner_bom, c->path, scan_inner_bom(c->text));
        remark_on(&c->lone_cr, c->path, scan_lone_cr(c->text));
        scan_close(c->text);
        c->text = NULL;
    }
    TRY(tick(c, err));
done:
    return st;
}
