/* SPDX-License-Identifier: MIT */
/* Vocabulary files: one word per line, a JSON list, a JSON map word -> id. */
#include "corpus/corpus_internal.h"

#include <jansson.h>
#include <string.h>

enum { MAX_VOCABULARY_FILE = 1 << 28 };

/* Word lists of their own may start with "[PAD]" or "{": JSON goes on with a quote (or closes at once). */
static bool looks_like_json(const char *path, const char *text)
{
    size_t n = strlen(path);
    if (n > 5 && !strcmp(path + n - 5, ".json"))
        return true;
    text += strspn(text, " \t\r\n");
    if (*text != '[' && *text != '{')
        return false;
    char close = *text == '[' ? ']' : '}';
    text++;
    text += strspn(text, " \t\r\n");
    return *text == '"' || *text == close;
}

static sg_status from_json_list(const char **words, const json_t *root, const char *path, sg_error *err)
{
    size_t i;
    json_t *item;
    json_array_foreach(root, i, item)
    {
        if (!json_is_string(item))
            return sg_fail(err, SG_EFORMAT, "%s: entry %zu of the list is not a string", path, i);
        words[i] = json_string_value(item);
    }
    return SG_OK;
}

static sg_status from_json_map(const char **words, size_t n, const json_t *root, const char *path,
                               sg_error *err)
{
    const char *word;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)root, word, value)
    {
        json_int_t id = json_integer_value(value);
        char excerpt[64];
        text_excerpt(excerpt, word, strlen(word));
        if (!json_is_integer(value) || id < 0 || (uint64_t)id >= n)
            return sg_fail(err, SG_EFORMAT, "%s: the id of '%s' is %s, expected a whole number from 0 to %zu",
                           path, excerpt, json_is_integer(value) ? "out of range" : "no whole number", n - 1);
        if (words[id])
            return sg_fail(err, SG_EFORMAT, "%s: '%s' has id %lld, as has another word", path, excerpt,
                           (long long)id);
        words[id] = word;
    }
    return SG_OK;
}

/* Ids of a map that no word has get words that no text has. */
static sg_status name_unused(const char **words, size_t n, char (**names)[32], const char *path,
                             sg_error *err)
{
    size_t unused = 0;
    for (size_t i = 0; i < n; i++)
        unused += !words[i];
    if (!unused)
        return SG_OK;
    if (!(*names = sg_calloc(unused, sizeof **names)))
        return no_memory(err, "%zu words (%s)", n, path);
    for (size_t i = 0, k = 0; i < n; i++)
        if (!words[i]) {
            snprintf((*names)[k], sizeof **names, "<unused %zu>", i);
            words[i] = (*names)[k++];
        }
    return SG_OK;
}

static sg_status read_json(sg_vocab **out, const char *path, size_t ids, sg_error *err)
{
    sg_status st = SG_OK;
    char *text = NULL;
    size_t size = 0;
    const char **words = NULL;
    char(*names)[32] = NULL;
    json_t *root = NULL;
    json_error_t why;
    TRY(sg_read_file(&text, &size, path, MAX_VOCABULARY_FILE, err));
    size_t bom = size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
    if (!(root = json_loadb(text + bom, size - bom, JSON_REJECT_DUPLICATES, &why)))
        TRY(sg_fail(err, SG_EFORMAT, "%s:%d: not JSON: %s", path, why.line, why.text));
    if (!json_is_array(root) && !json_is_object(root))
        TRY(sg_fail(err, SG_EFORMAT, "%s: expected a JSON list of words or a map from words to ids", path));
    size_t n = json_is_array(root) ? json_array_size(root) : json_object_size(root);
    if (json_is_object(root) && ids > n)
        n = ids;
    NEED(words = sg_calloc(n, sizeof *words), err, "%zu words (%s)", n, path);
    TRY(json_is_array(root) ? from_json_list(words, root, path, err)
                            : from_json_map(words, n, root, path, err));
    TRY(name_unused(words, n, &names, path, err));
    st = sg_vocab_from_words(out, words, NULL, n, err);
done:
    json_decref(root);
    sg_free(names);
    sg_free(words);
    sg_free(text);
    return st;
}

static sg_status read_lines(sg_vocab **out, text_lines *l, sg_error *err)
{
    sg_status st = SG_OK;
    const char **words = NULL;
    char *line;
    size_t n = 0, cap = 0;
    while ((line = text_lines_next(l))) {
        if (!line[0])
            TRY(sg_fail(err, SG_EFORMAT, "%s:%zu: an empty line, expected a word", l->path, l->line));
        TRY(array_reserve(&words, &cap, n + 1, sizeof *words, err));
        words[n++] = line;
    }
    st = sg_vocab_from_words(out, words, NULL, n, err);
done:
    sg_free(words);
    return st;
}

sg_status sg_vocab_read(sg_vocab **out, const char *path, sg_error *err)
{
    return sg_vocab_read_ids(out, path, 0, err);
}

sg_status sg_vocab_read_ids(sg_vocab **out, const char *path, size_t ids, sg_error *err)
{
    sg_error why = {0};
    text_lines l;
    *out = NULL;
    sg_status st = text_lines_open(&l, path, err);
    if (st != SG_OK)
        return st;
    if (looks_like_json(path, l.next))
        st = read_json(out, path, ids, &why);
    else
        st = read_lines(out, &l, &why);
    /* a message of sg_vocab_from_words names no file */
    if (st == SG_EINVAL)
        st = sg_fail(err, SG_EFORMAT, "%s: %s", path, why.msg);
    else if (st != SG_OK && err)
        *err = why;
    text_lines_close(&l);
    return st;
}
