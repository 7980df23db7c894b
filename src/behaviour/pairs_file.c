/* SPDX-License-Identifier: MIT */
#include "behaviour/pairs_file.h"

#include "base/base_internal.h"
#include "base/utf8.h"
#include "corpus/corpus_internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

enum { MAX_COLUMNS = 64, NO_COLUMN = MAX_COLUMNS };

typedef struct {
    pairs_file *f;
    const sg_pairs_config *cfg;
    const char *path;
    size_t line;
    bool apart;  /* punctuation marks are words */
    char *lower; /* a word in lower case */
    size_t room;
} reader;

/* WRONG("...", r->path, r->line, ...) */
#define WRONG(...) sg_fail(err, SG_EFORMAT, "%s:%zu: " __VA_ARGS__)

void pairs_file_free(pairs_file *f)
{
    string_table_free(f->word), string_table_free(f->condition), string_table_free(f->role);
    sg_free(f->words), sg_free(f->places), sg_free(f->entries);
    *f = (pairs_file){0};
}

/* ---- words ---- */

static sg_status lower(reader *r, const char **word, size_t *n, sg_error *err)
{
    sg_status st = array_reserve(&r->lower, &r->room, 4 * *n + 1, 1, err);
    if (st != SG_OK)
        return st;
    *n = utf8_lower(*word, *n, r->lower), *word = r->lower;
    return SG_OK;
}

static sg_status add_word(reader *r, const char *word, size_t n, sg_error *err)
{
    pairs_file *f = r->f;
    sg_status st = r->cfg->lowercase ? lower(r, &word, &n, err) : SG_OK;
    if (st == SG_OK)
        st = array_reserve(&f->words, &f->room_words, f->n_words + 1, sizeof *f->words, err);
    if (st == SG_OK)
        st = string_table_add(f->word, word, n, &f->words[f->n_words], NULL, err);
    f->n_words += st == SG_OK;
    return st;
}

/* Bytes of 's, 're, 've, 'll, 'd, 'm or n't at the end of a longer word. */
static size_t clitic(const char *word, size_t n)
{
    static const char *const clitics[] = {"n't", "'re", "'ve", "'ll", "'s", "'d", "'m"};
    for (size_t i = 0; i < sizeof clitics / sizeof *clitics; i++) {
        size_t k = strlen(clitics[i]);
        if (n > k && !strncasecmp(word + n - k, clitics[i], k))
            return k;
    }
    return 0;
}

/* "(dogs'," is ( dogs ' , and "don't" is do n't. */
static sg_status add_apart(reader *r, const char *word, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    size_t end = n;
    for (; n > 1 && strchr("\"'([", *word); word++, n--, end--)
        TRY(add_word(r, word, 1, err));
    while (end > 1 && strchr(".,!?;:\"')]", word[end - 1]))
        end--;
    size_t tail = clitic(word, end);
    TRY(add_word(r, word, end - tail, err));
    if (tail)
        TRY(add_word(r, word + end - tail, tail, err));
    for (; end < n; end++)
        TRY(add_word(r, word + end, 1, err));
done:
    return st;
}

/* The words of a text, which is cut into them. */
static sg_status add_words(reader *r, const char *what, char *text, size_t *begin, size_t *n, sg_error *err)
{
    char excerpt[64];
    *begin = r->f->n_words;
    for (char *word; (word = text_next_word(&text));) {
        size_t length = strlen(word);
        sg_status st = r->apart ? add_apart(r, word, length, err) : add_word(r, word, length, err);
        if (st != SG_OK)
            return st;
        *n = r->f->n_words - *begin;
        if (*n > PAIRS_MAX_WORDS)
            return WRONG("%s has more than %d words (at '%s')", r->path, r->line, what, (int)PAIRS_MAX_WORDS,
                         text_excerpt(excerpt, word, length));
    }
    *n = r->f->n_words - *begin;
    return *n ? SG_OK : WRONG("%s has no word", r->path, r->line, what);
}

/* ---- entries ---- */

static sg_status begin_entry(reader *r, pairs_entry *e, sg_error *err)
{
    pairs_file *f = r->f;
    *e = (pairs_entry){.line = r->line, .condition = -1, .place = f->n_places};
    return array_reserve(&f->entries, &f->room, f->n + 1, sizeof *f->entries, err);
}

static sg_status end_entry(reader *r, const pairs_entry *e, sg_error *err)
{
    pairs_file *f = r->f;
    if (e->n_good == e->n_bad && !memcmp(f->words + e->good, f->words + e->bad, e->n_good * sizeof *f->words))
        return WRONG("both sentences are the same, expected a good and a bad one", r->path, r->line);
    f->entries[f->n] = *e;
    f->entries[f->n++].n_places = f->n_places - e->place;
    return SG_OK;
}

static sg_status set_condition(reader *r, pairs_entry *e, const char *name, sg_error *err)
{
    return *name ? string_table_add(r->f->condition, name, strlen(name), &e->condition, NULL, err) : SG_OK;
}

/* position from 1 */
static sg_status add_place(reader *r, const pairs_entry *e, int32_t role, json_int_t position, sg_error *err)
{
    pairs_file *f = r->f;
    if (position < 1 || (size_t)position > e->n_good)
        return WRONG("role '%s': position %lld, expected 1 to %zu, the words of the sentence", r->path,
                     r->line, string_table_get(f->role, (size_t)role, NULL), (long long)position, e->n_good);
    sg_status st = array_reserve(&f->places, &f->room_places, f->n_places + 1, sizeof *f->places, err);
    if (st == SG_OK)
        f->places[f->n_places++] = (pairs_place){role, (size_t)position - 1};
    return st;
}

/* "7": a number of at most nine digits that ends the text or is followed by a comma; -1: none. */
static json_int_t number(const char *text, const char **end)
{
    size_t n = strspn(text, "0123456789");
    *end = text + n;
    return n && n < 10 && (!**end || **end == ',') ? strtoll(text, NULL, 10) : -1;
}

/* "2,5", "" or "-" */
static sg_status add_places(reader *r, const pairs_entry *e, int32_t role, const char *text, sg_error *err)
{
    const char *end = text;
    char excerpt[64];
    if (!*text || !strcmp(text, "-"))
        return SG_OK;
    for (const char *at = text;; at = end + 1) {
        json_int_t position = number(at, &end);
        if (position < 0)
            return WRONG("role '%s': '%s', expected positions as in 2 or 2,5", r->path, r->line,
                         string_table_get(r->f->role, (size_t)role, NULL),
                         text_excerpt(excerpt, text, strlen(text)));
        sg_status st = add_place(r, e, role, position, err);
        if (st != SG_OK || !*end)
            return st;
    }
}

/* A sentence with two forms of its word `at` (from 0; `first`: as the file counts, for the message). */
static sg_status add_forms(reader *r, pairs_entry *e, char *sentence, json_int_t at, unsigned first,
                           const char *right, const char *wrong, sg_error *err)
{
    pairs_file *f = r->f;
    sg_status st = SG_OK;
    char excerpt[64];
    TRY(add_words(r, "the sentence", sentence, &e->good, &e->n_good, err));
    const char *last = string_table_get(f->word, (size_t)f->words[f->n_words - 1], NULL);
    if (e->n_good > 1 && !strcmp(last, "<eos>")) /* the model adds its own */
        e->n_good--, f->n_words--;
    if (at < 0 || (size_t)at >= e->n_good)
        TRY(WRONG("position %lld, expected %u to %zu", r->path, r->line, (long long)at + first, first,
                  e->n_good - 1 + first));
    const char *there = string_table_get(f->word, (size_t)f->words[e->good + (size_t)at], NULL);
    if (strcasecmp(there, right))
        TRY(WRONG("word %lld is '%s', expected the right form '%s' (the first word is %u)", r->path, r->line,
                  (long long)at + first, text_excerpt(excerpt, there, strlen(there)), right, first));
    if (!*wrong)
        TRY(WRONG("no wrong form", r->path, r->line));
    e->bad = f->n_words, e->n_bad = e->n_good;
    TRY(array_reserve(&f->words, &f->room_words, f->n_words + e->n_good + 2, sizeof *f->words, err));
    memcpy(f->words + e->bad, f->words + e->good, e->n_good * sizeof *f->words);
    f->n_words += e->n_good;
    TRY(add_word(r, right, strlen(right), err));
    TRY(add_word(r, wrong, strlen(wrong), err));
    f->n_words -= 2;
    f->words[e->good + (size_t)at] = f->words[f->n_words];
    f->words[e->bad + (size_t)at] = f->words[f->n_words + 1];
done:
    return st;
}

/* ---- tables ---- */

typedef struct {
    size_t good, bad, condition, sentence, position, right, wrong; /* columns; NO_COLUMN: not there */
    size_t n, role[MAX_COLUMNS];
    int32_t role_id[MAX_COLUMNS];
    size_t n_roles;
} columns;

/* Cuts a line at its tabs; how many fields it has, which may be more than are kept. Those beyond the last are
 * empty. */
static size_t cut(char *line, char *fields[MAX_COLUMNS])
{
    size_t n = 0;
    for (size_t i = 0; i < MAX_COLUMNS; i++)
        fields[i] = line + strlen(line);
    for (char *tab = line; tab; line = tab + 1) {
        tab = strchr(line, '\t');
        if (tab)
            *tab = 0;
        if (n < MAX_COLUMNS)
            fields[n] = line;
        n++;
        if (!tab)
            break;
    }
    return n;
}

static size_t find(char *const *fields, size_t n, const char *a, const char *b)
{
    for (size_t i = 0; i < n && i < MAX_COLUMNS; i++)
        if (!strcmp(fields[i], a) || (b && !strcmp(fields[i], b)))
            return i;
    return NO_COLUMN;
}

static sg_status find_roles(reader *r, columns *c, char *const *fields, sg_error *err)
{
    for (size_t i = 0; i < c->n; i++) {
        bool added;
        if (strncmp(fields[i], "role:", 5))
            continue;
        if (!fields[i][5])
            return WRONG("column %zu: role: without a name", r->path, r->line, i + 1);
        sg_status st = string_table_add(r->f->role, fields[i] + 5, strlen(fields[i] + 5),
                                        &c->role_id[c->n_roles], &added, err);
        if (st != SG_OK)
            return st;
        if (!added)
            return WRONG("column '%s' twice", r->path, r->line, fields[i]);
        c->role[c->n_roles++] = i;
    }
    return SG_OK;
}

/* The columns by the first line; *header: it names them, and is not a pair. */
static sg_status find_columns(reader *r, columns *c, char *const *fields, size_t n, bool *header,
                              sg_error *err)
{
    const char *condition = r->cfg->condition;
    char excerpt[64];
    if (n > MAX_COLUMNS)
        return WRONG("%zu columns, expected %d at most", r->path, r->line, n, (int)MAX_COLUMNS);
    *c = (columns){.n = n};
    c->good = find(fields, n, "good", "sentence_good"), c->bad = find(fields, n, "bad", "sentence_bad");
    c->sentence = find(fields, n, "sentence", NULL), c->position = find(fields, n, "position", NULL);
    c->right = find(fields, n, "right", NULL), c->wrong = find(fields, n, "wrong", NULL);
    r->f->forms = c->sentence < n && c->position < n && c->right < n && c->wrong < n;
    *header = r->f->forms || (c->good < n && c->bad < n);
    if (*header) {
        c->condition = condition     ? find(fields, n, condition, NULL)
                       : r->f->forms ? find(fields, n, "condition", "attractors")
                                     : find(fields, n, "condition", "UID");
        if (condition && c->condition == NO_COLUMN)
            return WRONG("no column '%s', which is to hold the condition", r->path, r->line, condition);
        return find_roles(r, c, fields, err);
    }
    if (r->cfg->format == SG_PAIRS_LINZEN)
        return WRONG("expected a header with the columns sentence, position, right and wrong, found '%s'",
                     r->path, r->line, text_excerpt(excerpt, fields[0], strlen(fields[0])));
    if (condition)
        return WRONG("no header: there is no column '%s'", r->path, r->line, condition);
    if (n != 2 && n != 3)
        return WRONG(
            "found %zu column%s, expected good and bad sentence and, if there, a condition, with tabs between "
            "them; or a header with the columns good and bad",
            r->path, r->line, n, n == 1 ? "" : "s");
    c->good = 0, c->bad = 1, c->condition = n == 3 ? 2 : NO_COLUMN;
    return SG_OK;
}

static sg_status table_line(reader *r, const columns *c, char *const *fields, sg_error *err)
{
    sg_status st = SG_OK;
    pairs_entry e;
    char excerpt[64];
    TRY(begin_entry(r, &e, err));
    if (c->condition < c->n)
        TRY(set_condition(r, &e, fields[c->condition], err));
    if (r->f->forms) {
        const char *end, *text = fields[c->position];
        json_int_t position = number(text, &end);
        if (position < 0 || *end)
            TRY(WRONG("position '%s', expected a whole number", r->path, r->line,
                      text_excerpt(excerpt, text, strlen(text))));
        TRY(add_forms(r, &e, fields[c->sentence], position - 1, 1, fields[c->right], fields[c->wrong], err));
    } else {
        TRY(add_words(r, "the good sentence", fields[c->good], &e.good, &e.n_good, err));
        TRY(add_words(r, "the bad sentence", fields[c->bad], &e.bad, &e.n_bad, err));
    }
    for (size_t i = 0; i < c->n_roles; i++)
        TRY(add_places(r, &e, c->role_id[i], fields[c->role[i]], err));
    st = end_entry(r, &e, err);
done:
    return st;
}

static bool blank(const char *line)
{
    return !line[strspn(line, " \t\r")];
}

static sg_status read_table(reader *r, text_lines *l, sg_error *err)
{
    char *line, *fields[MAX_COLUMNS];
    columns c = {0};
    sg_status st = SG_OK;
    while (st == SG_OK && (line = text_lines_next(l))) {
        bool header = false;
        r->line = l->line;
        if (blank(line))
            continue;
        size_t n = cut(line, fields);
        if (!c.n)
            st = find_columns(r, &c, fields, n, &header, err);
        if (st != SG_OK || header)
            continue;
        if (n != c.n)
            st = WRONG("found %zu column%s, expected %zu as in the first line", r->path, r->line, n,
                       n == 1 ? "" : "s", c.n);
        else
            st = table_line(r, &c, fields, err);
    }
    return st;
}

/* ---- JSON lines ---- */

static sg_status add_json_places(reader *r, const pairs_entry *e, int32_t role, const json_t *v,
                                 sg_error *err)
{
    sg_status st = SG_OK;
    if (json_is_integer(v))
        return add_place(r, e, role, json_integer_value(v), err);
    if (!json_is_array(v))
        return WRONG("role '%s': expected a position or a list of them", r->path, r->line,
                     string_table_get(r->f->role, (size_t)role, NULL));
    for (size_t i = 0; st == SG_OK && i < json_array_size(v); i++) {
        const json_t *x = json_array_get(v, i);
        st = json_is_integer(x) ? add_place(r, e, role, json_integer_value(x), err)
                                : WRONG("role '%s': entry %zu is no whole number", r->path, r->line,
                                        string_table_get(r->f->role, (size_t)role, NULL), i + 1);
    }
    return st;
}

static sg_status add_json_roles(reader *r, const pairs_entry *e, json_t *roles, sg_error *err)
{
    const char *name;
    json_t *v;
    sg_status st = SG_OK;
    if (!roles)
        return SG_OK;
    if (!json_is_object(roles))
        return WRONG("\"roles\": expected an object of names and positions", r->path, r->line);
    json_object_foreach(roles, name, v)
    {
        int32_t id;
        if (st == SG_OK)
            st = string_table_add(r->f->role, name, strlen(name), &id, NULL, err);
        if (st == SG_OK)
            st = add_json_places(r, e, id, v, err);
    }
    return st;
}

/* A string, number or boolean as a condition. */
static sg_status json_condition(reader *r, pairs_entry *e, const json_t *o, sg_error *err)
{
    const char *key = r->cfg->condition ? r->cfg->condition : json_object_get(o, "UID") ? "UID" : "condition";
    const json_t *v = json_object_get(o, key);
    char text[32] = "";
    if (!v && r->cfg->condition)
        return WRONG("no key \"%s\", which is to hold the condition", r->path, r->line, key);
    if (!v || json_is_string(v))
        return set_condition(r, e, v ? json_string_value(v) : "", err);
    if (!json_is_integer(v) && !json_is_boolean(v))
        return WRONG("\"%s\": expected a string, a whole number, true or false", r->path, r->line, key);
    if (json_is_integer(v))
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
    else
        snprintf(text, sizeof text, "%s", json_is_true(v) ? "true" : "false");
    return set_condition(r, e, text, err);
}

static sg_status json_words(reader *r, const json_t *o, const char *key, size_t *begin, size_t *n,
                            sg_error *err)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_string(v))
        return WRONG("%s \"%s\", expected a string", r->path, r->line, v ? "no string in" : "no", key);
    char *copy = sg_strdup(json_string_value(v));
    if (!copy)
        return no_memory(err, "a sentence");
    sg_status st = add_words(r, key, copy, begin, n, err);
    sg_free(copy);
    return st;
}

static sg_status json_line(reader *r, const char *line, sg_error *err)
{
    sg_status st = SG_OK;
    pairs_entry e;
    json_error_t why;
    json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, &why);
    if (!o)
        TRY(WRONG("not JSON at character %d: %s", r->path, r->line, why.column, why.text));
    if (!json_is_object(o))
        TRY(WRONG("expected a JSON object with \"sentence_good\" and \"sentence_bad\"", r->path, r->line));
    TRY(begin_entry(r, &e, err));
    TRY(json_words(r, o, "sentence_good", &e.good, &e.n_good, err));
    TRY(json_words(r, o, "sentence_bad", &e.bad, &e.n_bad, err));
    TRY(json_condition(r, &e, o, err));
    TRY(add_json_roles(r, &e, json_object_get(o, "roles"), err));
    st = end_entry(r, &e, err);
done:
    json_decref(o);
    return st;
}

static sg_status read_json(reader *r, text_lines *l, sg_error *err)
{
    sg_status st = SG_OK;
    for (char *line; st == SG_OK && (line = text_lines_next(l));) {
        r->line = l->line;
        if (!blank(line))
            st = json_line(r, line, err);
    }
    return st;
}

/* ---- FILE.text and FILE.gold ---- */

static sg_status gold_line(reader *r, char *sentence, char *gold, const char *gold_path, sg_error *err)
{
    char *fields[MAX_COLUMNS], condition[64];
    const char *end = "";
    pairs_entry e;
    size_t n = cut(gold, fields);
    json_int_t at = n ? number(fields[0], &end) : -1;
    if (n != 4 || at < 0 || *end || !*fields[1] || !*fields[2] || !*fields[3])
        return sg_fail(
            err, SG_EFORMAT,
            "%s:%zu: expected position, right form, wrong form and number of attractors, with tabs between them",
            gold_path, r->line);
    sg_status st = begin_entry(r, &e, err);
    if (st == SG_OK)
        st = add_forms(r, &e, sentence, at, 0, fields[1], fields[2], err);
    text_excerpt(condition, fields[3], strlen(fields[3]));
    strncat(condition, strcmp(fields[3], "1") ? " attractors" : " attractor",
            sizeof condition - strlen(condition) - 1);
    if (st == SG_OK)
        st = set_condition(r, &e, condition, err);
    return st == SG_OK ? end_entry(r, &e, err) : st;
}

static sg_status read_gold(reader *r, sg_error *err)
{
    sg_status st = SG_OK;
    text_lines text = {0}, gold = {0};
    size_t stem = strlen(r->path) - 5;
    char *paths[2] = {sg_strdup(r->path), sg_strdup(r->path)};
    NEED(paths[0] && paths[1], err, "the names of files");
    memcpy(paths[0] + stem, ".text", 5), memcpy(paths[1] + stem, ".gold", 5);
    if (r->cfg->condition)
        TRY(sg_fail(err, SG_EINVAL, "%s: its condition is the number of attractors, there is no '%s'",
                    paths[1], r->cfg->condition));
    TRY(text_lines_open(&text, paths[0], err));
    TRY(text_lines_open(&gold, paths[1], err));
    r->path = paths[0], r->f->forms = true;
    for (;;) {
        char *sentence = text_lines_next(&text), *line = text_lines_next(&gold);
        if (!sentence && !line)
            break;
        if (!sentence || !line)
            TRY(sg_fail(err, SG_EFORMAT, "%s: ends after line %zu, but %s continues", paths[sentence ? 1 : 0],
                        sentence ? gold.line : text.line, paths[sentence ? 0 : 1]));
        r->line = text.line;
        TRY(gold_line(r, sentence, line, paths[1], err));
    }
done:
    text_lines_close(&text), text_lines_close(&gold);
    sg_free(paths[0]), sg_free(paths[1]);
    return st;
}

/* ---- which of them ---- */

static bool ends_with(const char *path, const char *end)
{
    size_t n = strlen(path), k = strlen(end);
    return n > k && !strcasecmp(path + n - k, end);
}

static sg_status read_lines(reader *r, sg_error *err)
{
    text_lines l = {0};
    sg_status st = text_lines_open(&l, r->path, err);
    if (st != SG_OK)
        return st;
    const char *first = l.next + strspn(l.next, " \t\r\n");
    bool json = r->cfg->format == SG_PAIRS_BLIMP ||
                (r->cfg->format == SG_PAIRS_AUTO &&
                 (*first == '{' || ends_with(r->path, ".jsonl") || ends_with(r->path, ".json")));
    r->apart = r->cfg->split == SG_PAIRS_PUNCTUATION || (r->cfg->split == SG_PAIRS_SPLIT_AUTO && json);
    st = json ? read_json(r, &l, err) : read_table(r, &l, err);
    text_lines_close(&l);
    return st;
}

sg_status pairs_file_read(pairs_file *f, const char *path, const sg_pairs_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    reader r = {.f = f, .cfg = cfg, .path = path, .apart = cfg->split == SG_PAIRS_PUNCTUATION};
    bool two = (cfg->format == SG_PAIRS_AUTO || cfg->format == SG_PAIRS_LINZEN) &&
               (ends_with(path, ".text") || ends_with(path, ".gold"));
    *f = (pairs_file){0};
    TRY(string_table_new(&f->word, err));
    TRY(string_table_new(&f->condition, err));
    TRY(string_table_new(&f->role, err));
    TRY(two ? read_gold(&r, err) : read_lines(&r, err));
    if (!f->n)
        TRY(sg_fail(err, SG_EFORMAT, "%s: no pair of sentences", path));
    if (cfg->format == SG_PAIRS_TSV && f->forms)
        TRY(sg_fail(err, SG_EFORMAT, "%s: has the columns of setting 'format' linzen", path));
    f->apart = r.apart;
done:
    sg_free(r.lower);
    if (st != SG_OK)
        pairs_file_free(f);
    return st;
}
