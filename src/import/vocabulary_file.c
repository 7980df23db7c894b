/* SPDX-License-Identifier: MIT */
#include "import/vocabulary_file.h"

#include "import/torch_internal.h"

#include "base/base_internal.h"
#include "corpus/corpus_internal.h"
#include "io/file_kind.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 1 << 28, MAX_DEPTH = 8 };

/* ---- a list of words that grows by id ---- */

typedef struct {
    const char **word; /* room, borrowed; NULL: no word has the id */
    size_t V, n, room;
    bool any; /* V follows from the file */
} id_table;

/* false: an id out of range, or one that another word has */
static bool place(id_table *t, const char *word, json_int_t id)
{
    if (id < 0 || (uint64_t)id >= t->V || t->word[id])
        return false;
    t->word[id] = word;
    t->n++;
    return true;
}

static void clear(id_table *t)
{
    memset(t->word, 0, t->V * sizeof *t->word);
    t->n = 0;
}

/* Where V follows from the file: n, unless there is no room for them. */
static void set_size(id_table *t, size_t n)
{
    if (t->any)
        t->V = n < t->room ? n : t->room;
}

static sg_status to_list(word_list *out, const id_table *t, const char *path, sg_error *err)
{
    size_t bytes = 0;
    for (size_t i = 0; i < t->V; i++)
        bytes += t->word[i] ? strlen(t->word[i]) + 1 : 32;
    *out = (word_list){.text = sg_calloc(bytes + 1, 1), .at = sg_calloc(t->V, sizeof *out->at), .n = t->V};
    if (!out->text || !out->at) {
        word_list_free(out);
        return no_memory(err, "%zu words (%s)", t->V, path);
    }
    for (size_t i = 0, at = 0; i < t->V; i++) {
        out->at[i] = at;
        if (t->word[i])
            at += (size_t)snprintf(out->text + at, bytes + 1 - at, "%s", t->word[i]) + 1;
        else
            at += (size_t)snprintf(out->text + at, bytes + 1 - at, "<unused %zu>", i) + 1;
    }
    return SG_OK;
}

/* ---- JSON ---- */

/* "12" -> 12; -1: no whole number */
static json_int_t number_of(const char *text)
{
    size_t n = strspn(text, "0123456789");
    return n && n < 10 && !text[n] ? strtoll(text, NULL, 10) : -1;
}

/* Has a map of n words, either way round, the id n? */
static bool counts_from_one(const json_t *v, size_t n)
{
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)(uintptr_t)v, key,
                        item) if ((json_is_integer(item) ? json_integer_value(item) : number_of(key)) ==
                                  (json_int_t)n) return true;
    return false;
}

/* A list of V words, a map word -> id or id -> word; true: it fills the table (one id may be left out, as
 * Keras's 0). */
static bool take_json(id_table *t, const json_t *v)
{
    const char *key;
    json_t *item;
    size_t i, n = json_is_array(v) ? json_array_size(v) : json_object_size(v);
    set_size(t, n);
    if (t->any && n && json_is_object(v) && counts_from_one(v, n))
        set_size(t, n + 1);
    clear(t);
    if (n != t->V && !(json_is_object(v) && n + 1 == t->V))
        return false;
    json_array_foreach(v, i, item) if (!json_is_string(item) ||
                                       !place(t, json_string_value(item), (json_int_t)i)) return false;
    json_object_foreach((json_t *)(uintptr_t)v, key, item)
    {
        if (json_is_integer(item)
                ? !place(t, key, json_integer_value(item))
                : !json_is_string(item) || !place(t, json_string_value(item), number_of(key)))
            return false;
    }
    return t->n == n;
}

/* Keras keeps all words it saw in word_index, and uses those with ids below num_words: the first V of a
 * longer map. */
static bool take_first(id_table *t, const json_t *v)
{
    const char *key;
    json_t *item;
    clear(t);
    json_object_foreach((json_t *)(uintptr_t)v, key, item)
    {
        if (!json_is_integer(item))
            return false;
        if (json_integer_value(item) < (json_int_t)t->V && !place(t, key, json_integer_value(item)))
            return false;
    }
    return t->n + 1 >= t->V;
}

typedef struct {
    id_table *t;
    json_t *kept[32]; /* parsed texts, which hold the words */
    size_t n_kept;
    size_t longest;   /* where any number of words will do: that of the longest list or map; none is taken */
    char name[256];   /* the entry that was taken */
    bool longest_map; /* take the first V words of word_index */
} json_search;

/* Looks for the words in v and below it. Keras writes maps as texts of JSON within JSON. */
static bool search(json_search *s, json_t *v, const char *name, unsigned depth)
{
    const char *key;
    json_t *item;
    if (depth > MAX_DEPTH)
        return false;
    if (json_is_string(v) && json_string_value(v)[0] == '{' && s->n_kept < 32) {
        json_t *inner = json_loads(json_string_value(v), 0, NULL);
        if (inner)
            s->kept[s->n_kept++] = inner;
        return inner && search(s, inner, name, depth + 1);
    }
    if (s->t->any && take_json(s->t, v)) {
        s->longest = s->t->V > s->longest ? s->t->V : s->longest;
        return false;
    }
    if (take_json(s->t, v) || (s->longest_map && !strcmp(name, "word_index") && take_first(s->t, v))) {
        snprintf(s->name, sizeof s->name, "%s", name);
        return true;
    }
    if (json_is_object(v))
        json_object_foreach(v, key, item) if (search(s, item, key, depth + 1)) return true;
    return false;
}

static sg_status from_json(word_list *out, const char *path, const char *text, size_t size, id_table *t,
                           char *note, size_t note_room, sg_error *err)
{
    sg_status st = SG_OK;
    json_search s = {.t = t};
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root) || json_is_object(json_object_get(root, "model")))
        goto done; /* lists and tokenizer.json are read elsewhere; what is no JSON is named there */
    bool found = search(&s, root, "the whole", 0);
    if (t->any) {
        t->any = false;
        t->V = s.longest;
        found = s.longest && search(&s, root, "the whole", 0);
    } else if (!found) {
        s.longest_map = true;
        found = search(&s, root, "the whole", 0);
    }
    if (!found)
        goto done;
    if (strcmp(s.name, "the whole"))
        snprintf(note, note_room, "%s: the words are taken from its entry %.60s%s", path, s.name,
                 json_is_string(json_object_get(root, "class_name"))
                     ? "; what the tokenizer does to a text (lower case, "
                       "punctuation) is not done here"
                     : "");
    TRY(to_list(out, t, path, err));
done:
    for (size_t i = 0; i < s.n_kept; i++)
        json_decref(s.kept[i]);
    json_decref(root);
    return st;
}

/* ---- lines of a word and a number ---- */

typedef struct {
    char *word, *number;
} pair;

/* Cuts "word 12" (space or tab) in two; false: the line is none such. */
static bool cut_pair(char *line, pair *p)
{
    size_t n = strlen(line), end = n;
    while (end && line[end - 1] != ' ' && line[end - 1] != '\t')
        end--;
    if (!end || end == n)
        return false;
    *p = (pair){line, line + end};
    char *stop;
    (void)strtod(p->number, &stop);
    if (*stop || strpbrk(p->number, "xX"))
        return false;
    line[end - 1] = 0;
    return line[0] && !strpbrk(line, " \t");
}

static bool is_whole_number(const char *s)
{
    return s[0] && !s[strspn(s, "0123456789")];
}

/* Each of 1 to n once, for n words: neither ids of these nor counts. */
static sg_status are_from_one(const pair *p, size_t n, id_table *t, const char *path, sg_error *err)
{
    bool all = n > 2;
    set_size(t, n + 1);
    if (t->V < n)
        return SG_OK;
    clear(t);
    for (size_t i = 0; i < n && all; i++) {
        json_int_t number = is_whole_number(p[i].number) ? number_of(p[i].number) : 0;
        all = number > 0 && place(t, p[i].word, number - 1);
    }
    if (!all || t->n != n)
        return SG_OK;
    return sg_fail(
        err, SG_EFORMAT,
        "%s: the numbers after its words are 1 to %zu, each once: ids from 1 are not those of %zu words; "
        "expected ids from 0, or words alone in the order of their ids",
        path, n, t->V);
}

/* What the pairs are: ids, or counts and scores after words in id order, with fairseq's four words in
 * front. */
static sg_status pairs_to_list(word_list *out, const char *path, const pair *p, size_t n, id_table *t,
                               char *note, size_t note_room, sg_error *err)
{
    static const char *const fairseq[] = {"<s>", "<pad>", "</s>", "<unk>"};
    bool numbers = true, ids = true;
    for (size_t i = 0; i < n; i++)
        numbers &= is_whole_number(p[i].number);
    set_size(t, n);
    for (size_t i = 0; i < n && numbers; i++)
        if (number_of(p[i].number) == (json_int_t)n)
            set_size(t, n + 1);
    clear(t);
    for (size_t i = 0; i < n && ids && numbers; i++)
        ids = place(t, p[i].word, number_of(p[i].number));
    if (ids && numbers && (n == t->V || n + 1 == t->V)) {
        snprintf(note, note_room, "%s: the number after each word is taken as its id", path);
        return to_list(out, t, path, err);
    }
    if (are_from_one(p, n, t, path, err) != SG_OK)
        return SG_EFORMAT;
    size_t front = numbers && !t->any && n + 4 == t->V ? 4 : 0;
    set_size(t, n);
    clear(t);
    if (n + front != t->V)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: %zu lines of a word and a number, expected %zu words (or %zu with the four that fairseq puts in "
            "front): words alone, one per line, are read too",
            path, n, t->V, t->V >= 4 ? t->V - 4 : 0);
    for (size_t i = 0; i < front; i++)
        (void)place(t, fairseq[i], (json_int_t)i);
    for (size_t i = 0; i < n; i++)
        (void)place(t, p[i].word, (json_int_t)(i + front));
    snprintf(
        note, note_room,
        "%s: every line is a word and a number: the numbers are taken for %s, the words for ids in order%s",
        path, numbers ? "counts" : "scores (pieces of words; a text must be cut into them already)",
        front ? " after <s> <pad> </s> <unk>, as fairseq does" : "");
    return to_list(out, t, path, err);
}

/* Whether every line has a blank within it; numbered: a whole number before that, and not only after it. */
static bool all_lines_are_columns(const char *text, bool numbered)
{
    size_t lines = 0;
    bool words = !numbered;
    for (const char *line = text; *line; lines++) {
        size_t n = strcspn(line, "\r\n"), first = strcspn(line, " \t\r\n"),
               digits = strspn(line, "0123456789");
        if (!first || first + 1 >= n || (numbered && digits != first))
            return false;
        words |= first + 1 + strspn(line + first + 1, "0123456789") < n;
        line += strcspn(line, "\n");
        line += *line != 0;
    }
    return lines > 1 && words;
}

/* Does every line, the first aside, end in a comma and a whole number? */
static bool is_csv(const char *text)
{
    size_t lines = 0, numbered = 0;
    for (const char *line = text; *line; lines++) {
        size_t n = strcspn(line, "\r\n"), digits = n;
        while (digits && line[digits - 1] >= '0' && line[digits - 1] <= '9')
            digits--;
        numbered += digits > 1 && digits < n && line[digits - 1] == ',';
        line += strcspn(line, "\n");
        line += *line != 0;
    }
    return numbered > 1 && numbered + 1 >= lines;
}

/* Lines "12 word", in any order; true: they fill the table. */
static bool take_numbered(id_table *t, char *text, size_t lines)
{
    set_size(t, lines);
    clear(t);
    if (t->V != lines)
        return false;
    for (char *line = text; *line;) {
        char *end = line + strcspn(line, "\n");
        bool last = !*end;
        *end = 0;
        if (end > line && end[-1] == '\r')
            end[-1] = 0;
        size_t n = strcspn(line, " \t");
        line[n] = 0;
        if (!place(t, line + n + 1, number_of(line)))
            return false;
        line = last ? end : end + 1;
    }
    return t->n == lines;
}

/* Lines of several columns: a number and a word are read; others are no words alone. */
static sg_status from_columns(word_list *out, const char *path, char *text, id_table *t, size_t lines,
                              char *note, size_t note_room, sg_error *err)
{
    if (all_lines_are_columns(text, true) && take_numbered(t, text, lines)) {
        snprintf(note, note_room, "%s: the number before each word is taken as its id", path);
        return to_list(out, t, path, err);
    }
    return sg_fail(
        err, SG_EFORMAT,
        "%s: each of its %zu lines holds several columns, expected a word alone, a word and a number, or "
        "numbers from 0 with their words",
        path, lines);
}

static sg_status from_lines(word_list *out, const char *path, char *text, size_t size, id_table *t,
                            char *note, size_t note_room, sg_error *err)
{
    sg_status st = SG_OK;
    pair *pairs = NULL;
    size_t n = 0, cap = 0, lines = 0;
    char *first = text;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    lines += size && text[size - 1] != '\n';
    set_size(t, lines + 1);
    if (lines + 1 == t->V &&
        (!strncmp(first, "@@UNKNOWN@@\n", 12) || !strncmp(first, "@@UNKNOWN@@\r\n", 13))) {
        clear(t);
        (void)place(t, "@@PADDING@@", 0);
        for (size_t i = 1; i < t->V; i++) {
            char *end = text + strcspn(text, "\n");
            bool last = !*end;
            *end = 0;
            if (end > text && end[-1] == '\r')
                end[-1] = 0;
            (void)place(t, i == 1 ? "<unk>" : text, (json_int_t)i);
            text = last ? end : end + 1;
        }
        snprintf(note, note_room,
                 "%s: AllenNLP's list without its padding: id 0 is @@PADDING@@, @@UNKNOWN@@ is <unk>", path);
        return to_list(out, t, path, err);
    }
    if (is_csv(text))
        return sg_fail(
            err, SG_EFORMAT,
            "%s: its lines end in a comma and a number (CSV): expected a word alone, or a word and a number "
            "with a tab or blank between",
            path);
    bool columns = all_lines_are_columns(text, false), numbered = all_lines_are_columns(text, true);
    for (char *line = text; *line && !numbered;) {
        char *end = line + strcspn(line, "\n");
        bool last = !*end;
        pair p;
        *end = 0;
        if (end > line && end[-1] == '\r')
            end[-1] = 0;
        if (!cut_pair(line, &p)) { /* phrases in some lines are words */
            st = columns ? from_columns(out, path, line, t, lines, note, note_room, err) : SG_OK;
            goto done;
        }
        TRY(array_reserve(&pairs, &cap, n + 1, sizeof *pairs, err));
        pairs[n++] = p;
        line = last ? end : end + 1;
    }
    if (numbered)
        TRY(from_columns(out, path, text, t, lines, note, note_room, err));
    else if (n >= 2)
        TRY(pairs_to_list(out, path, pairs, n, t, note, note_room, err));
done:
    sg_free(pairs);
    return st;
}

/* ---- pickles ---- */

/* A pickle or a file of torch.save, opened for its words alone. SG_EFORMAT: neither. */
static sg_status open_values(tensor_file **out, const char *path, sg_error *err)
{
    enum { MAX_PICKLE = 1 << 28 };
    sg_status st;
    sg_error why;
    char *data = NULL;
    size_t size, used;
    tensor_file *b = NULL;
    *out = NULL;
    if (tensors_open(out, path, &why) == SG_OK && (*out)->vocabulary)
        return SG_OK; /* torch.save */
    tensors_free(*out);
    *out = NULL;
    if (!(b = sg_calloc(1, sizeof *b)))
        return no_memory(err, "%s", path);
    b->fd = -1;
    b->close = torch_close;
    torch *f = b->reader = sg_calloc(1, sizeof *f);
    NEED(f && (b->path = sg_strdup(path)), err, "%s", path);
    TRY(sg_read_file(&data, &size, path, MAX_PICKLE, err));
    const file_kind *kind = file_kind_of(data, size < FILE_KIND_BYTES ? size : FILE_KIND_BYTES);
    if (kind && kind->archive)
        TRY(file_kind_refuse(kind, path, "a vocabulary", NULL, err));
    f->data = (unsigned char *)data;
    TRY(pickle_read(&f->values, f->data, size, &used, NULL, path, err));
    TRY(torch_fill_from_pickle(b, err));
    *out = b;
    b = NULL;
done:
    tensors_free(b);
    return st;
}

/* The longest list or map below `below` words that is a vocabulary: one word for each id, or all but id 0. */
static sg_status longest_of_pickle(word_list *out, tensor_file *b, char name[TENSORS_MAX_NAME], sg_error *err)
{
    sg_status st = SG_OK;
    const torch *f = b->reader;
    for (size_t below = SIZE_MAX, n = 0; !out->n; below = n) {
        n = 0;
        for (size_t i = 0; i < f->n_vocabularies; i++)
            if (f->vocabularies[i].n < below && f->vocabularies[i].n > n)
                n = f->vocabularies[i].n;
        if (!n)
            break;
        TRY(b->vocabulary(b, n, out, name, err));
        if (!out->n)
            torch_vocabulary_with_gap(b, n + 1, out, name);
    }
done:
    return st;
}

static sg_status from_pickle(word_list *out, const char *path, size_t V, char *note, size_t note_room,
                             sg_error *err)
{
    sg_status st;
    char name[TENSORS_MAX_NAME] = "";
    tensor_file *b = NULL;
    TRY(open_values(&b, path, err));
    if (!V)
        TRY(longest_of_pickle(out, b, name, err));
    else
        TRY(b->vocabulary(b, V, out, name, err));
    if (V && !out->n)
        torch_vocabulary_with_gap(b, V, out, name);
    if (!out->n && !V)
        TRY(sg_fail(err, SG_EFORMAT, "%s: a pickle without a list or map of words", path));
    if (!out->n)
        TRY(sg_fail(
            err, SG_EFORMAT,
            "%s: a pickle without a list or map of %zu words (arrays and texts of NumPy are not read)", path,
            V));
    snprintf(note, note_room, "%s: the words are taken from %s", path, name[0] ? name : "its one value");
done:
    tensors_free(b);
    return st;
}

/* What is no vocabulary, by its first bytes. */
static sg_status refuse_other_kinds(const char *path, const char *text, size_t size, sg_error *err)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *what;
    } kinds[] = {
        {"#version: ", 10,
         "is a list of merges, not of words: give the vocab.json of its folder, or a tokenizer.json"},
        {"[[", 2, "is a JSON list of lists, expected a list of words or a map of words and ids"},
        {"[{", 2, "is a JSON list of objects, expected a list of words or a map of words and ids"}};
    const file_kind *kind = file_kind_of(text, size < FILE_KIND_BYTES ? size : FILE_KIND_BYTES);
    if (kind)
        return file_kind_refuse(kind, path, "a vocabulary", "write its words as a JSON list", err);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (size >= kinds[i].n && !memcmp(text, kinds[i].bytes, kinds[i].n))
            return sg_fail(err, SG_EFORMAT, "%s: %s", path, kinds[i].what);
    return SG_OK;
}

/* A pickle of protocol 0 or 1 has no signature: it begins with what it makes and ends in its stop. */
static bool is_old_pickle(const char *text, size_t size)
{
    static const char *const begins[] = {"(dp",        "(lp", "}q", "]q", "(d.", "(l.", "ccollections\n",
                                         "ccopy_reg\n"};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (size > 14 && text[size - 1] == '.' && !strncmp(text, begins[i], strlen(begins[i])))
            return true;
    return false;
}

sg_status vocabulary_file_read(word_list *out, const char *path, size_t V, char *note, size_t note_room,
                               sg_error *err)
{
    sg_status st;
    char *text = NULL;
    size_t size = 0;
    id_table t = {.V = V, .any = !V};
    *out = (word_list){0};
    note[0] = 0;
    TRY(sg_read_file(&text, &size, path, MAX_FILE, err));
    if (size >= 2 && (((unsigned char)text[0] == 0x80 && text[1] >= 1 && text[1] <= 5) ||
                      !memcmp(text, "PK", 2) || is_old_pickle(text, size))) {
        TRY(from_pickle(out, path, V, note, note_room, err));
        goto done;
    }
    TRY(refuse_other_kinds(path, text, size, err));
    if (size > 16 && text[0] == '\n' && memmem(text, size < 4096 ? size : 4096, "<unk>", 5) &&
        memchr(text, 0, size))
        TRY(sg_fail(
            err, SG_EFORMAT,
            "%s: a SentencePiece model, which is not read: cut the corpus with spm_encode, and give its .vocab file",
            path));
    if (memchr(text, 0, size))
        goto done;                 /* a binary file: sg_vocab_read_ids reports it */
    t.room = V ? V : size / 4 + 8; /* an entry takes at least four bytes: "a", or a line "a 1" */
    NEED(t.word = sg_calloc(t.room, sizeof *t.word), err, "%zu words (%s)", t.room, path);
    const char *start = text + strspn(text, " \t\r\n");
    if (*start == '{')
        TRY(from_json(out, path, text, size, &t, note, note_room, err));
    else if (*start != '[' || start[1] != '"')
        TRY(from_lines(out, path, text, size, &t, note, note_room, err));
done:
    if (st != SG_OK)
        word_list_free(out);
    sg_free(t.word);
    sg_free(text);
    return st;
}
