/* SPDX-License-Identifier: MIT */
/* Words: --vocab FILE, else what the model's file holds, else numbers where that is allowed. */
#include "import/vocabulary.h"
#include "import/vocabulary_file.h"

#include "base/base_internal.h"
#include "base/utf8.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static sg_status from_words(sg_vocab **out, const word_list *w, const char *path, const char *name,
                            sg_error *err)
{
    sg_status st;
    sg_error why = {0};
    const char **words = sg_calloc(w->n, sizeof *words);
    if (!words)
        return no_memory(err, "%zu words (%s)", w->n, path);
    for (size_t i = 0; i < w->n; i++)
        words[i] = w->text + w->at[i];
    st = sg_vocab_from_words(out, words, NULL, w->n, &why);
    if (st != SG_OK)
        st = sg_fail(err, st == SG_EINVAL ? SG_EFORMAT : st, "%s: %s: %s", path, name, why.msg);
    sg_free(words);
    return st;
}

/* "#0", "#1", ...: enough to look at gradients, not to read a corpus. */
static sg_status numbered(sg_vocab **out, size_t V, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    word_list w = {.text = sg_calloc(V, 24), .at = sg_calloc(V, sizeof *w.at), .n = V};
    NEED(w.text && w.at, err, "%zu words (%s)", V, path);
    for (size_t i = 0; i < V; i++) {
        w.at[i] = 24 * i;
        snprintf(w.text + w.at[i], 24, "#%zu", i);
    }
    TRY(from_words(out, &w, path, "words", err));
done:
    word_list_free(&w);
    return st;
}

/* ---- Hugging Face's tokenizer.json: its vocabulary, and its rules for cutting text ---- */

/* The word of an id: from the model's vocabulary, or one of added_tokens. */
static sg_status place_word(const char **words, size_t V, const char *word, const json_t *id,
                            const char *path, sg_error *err)
{
    json_int_t i = json_integer_value(id);
    if (!word || !json_is_integer(id) || i < 0 || (uint64_t)i >= V)
        return sg_fail(err, SG_EFORMAT, "%s: '%.100s' has no id from 0 to %zu, as the model's words have",
                       path, word ? word : "an added token", V - 1);
    if (words[i] && strcmp(words[i], word) != 0)
        return sg_fail(err, SG_EFORMAT, "%s: both '%.100s' and '%.100s' have id %lld", path, words[i], word,
                       (long long)i);
    words[i] = word;
    return SG_OK;
}

static sg_status tokenizer_words(const char **words, size_t V, const json_t *root, const char *path,
                                 sg_error *err)
{
    sg_status st = SG_OK;
    const json_t *list = json_object_get(json_object_get(root, "model"), "vocab");
    const json_t *added = json_object_get(root, "added_tokens");
    const char *word;
    json_t *item;
    size_t i;
    if (!json_is_object(list))
        return sg_fail(err, SG_EFORMAT, "%s: tokenizer: model %.60s without a map of words is not supported",
                       path,
                       json_string_value(json_object_get(json_object_get(root, "model"), "type"))
                           ? json_string_value(json_object_get(json_object_get(root, "model"), "type"))
                           : "");
    json_object_foreach((json_t *)(uintptr_t)list, word, item)
        TRY(place_word(words, V, word, item, path, err));
    json_array_foreach(added, i, item)
        TRY(place_word(words, V, json_string_value(json_object_get(item, "content")),
                       json_object_get(item, "id"), path, err));
done:
    return st;
}

/* Words that the map leaves out get names that no text has. */
static sg_status name_unused(const char **words, size_t V, char **names, const char *path, sg_error *err)
{
    if (!(*names = sg_calloc(V, 32)))
        return no_memory(err, "%zu words (%s)", V, path);
    for (size_t i = 0; i < V; i++)
        if (!words[i]) {
            snprintf(*names + 32 * i, 32, "<unused %zu>", i);
            words[i] = *names + 32 * i;
        }
    return SG_OK;
}

enum { MAX_TOKENIZER = 1 << 28 };

/* One more than the largest id. */
static size_t tokenizer_ids(const json_t *root)
{
    const char *word;
    json_t *item;
    size_t i;
    json_int_t most = -1;
    json_object_foreach(json_object_get(json_object_get(root, "model"), "vocab"), word, item) most =
        json_integer_value(item) > most ? json_integer_value(item) : most;
    json_array_foreach(json_object_get(root, "added_tokens"), i, item)
    {
        json_int_t id = json_integer_value(json_object_get(item, "id"));
        most = id > most ? id : most;
    }
    return most < INT32_MAX ? (size_t)(most + 1) : INT32_MAX;
}

/* *out stays NULL when the file is no tokenizer.json. V 0: as many words as it has. */
static sg_status read_tokenizer(sg_vocab **out, const char *path, size_t V, sg_error *err)
{
    sg_status st = SG_OK;
    sg_error why = {0};
    char *text = NULL, *names = NULL, *rules = NULL;
    const char **words = NULL;
    json_t *root = NULL;
    size_t size;
    sg_vocab *v = NULL;
    *out = NULL;
    TRY(sg_read_file(&text, &size, path, MAX_TOKENIZER, err));
    if (text[strspn(text, " \t\r\n")] != '{' ||
        !(root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL)) ||
        !json_is_object(json_object_get(root, "model")))
        goto done;
    V = V ? V : tokenizer_ids(root);
    NEED(words = sg_calloc(V, sizeof *words), err, "%zu words (%s)", V, path);
    TRY(tokenizer_words(words, V, root, path, err));
    TRY(name_unused(words, V, &names, path, err));
    st = sg_vocab_from_words(&v, words, NULL, V, &why);
    if (st == SG_OK) {
        json_object_del(json_object_get(root, "model"), "vocab");
        rules = json_dumps(root, JSON_COMPACT);
        st = rules ? sg_vocab_set_tokenizer(v, rules, &why) : no_memory(&why, "the tokenizer");
    }
    if (st != SG_OK)
        TRY(sg_fail(err, st == SG_EINVAL ? SG_EFORMAT : st, "%s: %s", path, why.msg));
    *out = v;
    v = NULL;
done:
    json_decref(root);
    sg_vocab_free(v);
    free(rules);
    sg_free(names);
    sg_free(words);
    sg_free(text);
    return st;
}

static bool is_special(const char *word)
{
    size_t n = strlen(word);
    return n > 2 && ((word[0] == '<' && word[n - 1] == '>') || (word[0] == '[' && word[n - 1] == ']'));
}

/* Characters, when every word is one code point (names like <unk> aside). */
static bool all_characters(const sg_vocab *v)
{
    size_t characters = 0;
    for (size_t i = 0; i < sg_vocab_size(v); i++) {
        const char *word = sg_vocab_word(v, i);
        if (utf8_count(word, strlen(word)) == 1)
            characters++;
        else if (!is_special(word))
            return false;
    }
    return characters > 0;
}

/* Tokenizers of pieces mark where words begin or go on: in these, at least a tenth of the entries do so. The
 * mark, or NULL. */
static const char *piece_mark(const sg_vocab *v)
{
    static const struct {
        const char *mark;
        bool at_end;
    } marks[] = {{"\xc4\xa0", false}, {"\xe2\x96\x81", false}, {"##", false}, {"</w>", true}, {"@@", true}};
    size_t size = sg_vocab_size(v);
    for (size_t k = 0; k < sizeof marks / sizeof *marks; k++) {
        size_t found = 0, m = strlen(marks[k].mark);
        for (size_t i = 0; i < size; i++) {
            const char *word = sg_vocab_word(v, i);
            size_t n = strlen(word);
            found += n > m && !strncmp(marks[k].at_end ? word + n - m : word, marks[k].mark, m);
        }
        if (found >= 3 && found >= size / 10)
            return marks[k].mark;
    }
    return NULL;
}

/* The words of a file of any kind; V 0: as many as it has. */
static sg_status read_file(sg_vocab **out, const char *path, size_t V, char note[RECIPE_NOTE], sg_error *err)
{
    sg_status st;
    word_list words = {0};
    note[0] = 0;
    TRY(read_tokenizer(out, path, V, err));
    if (*out)
        return SG_OK;
    TRY(vocabulary_file_read(&words, path, V, note, RECIPE_NOTE, err));
    if (words.n)
        TRY(from_words(out, &words, path, "words", err));
    else
        TRY(sg_vocab_read_ids(out, path, V, err));
done:
    word_list_free(&words);
    return st;
}

sg_status sg_vocab_load(sg_vocab **out, const char *path, size_t ids, const sg_monitor *monitor,
                        sg_error *err)
{
    char note[RECIPE_NOTE];
    *out = NULL;
    sg_status st = read_file(out, path, ids, note, err);
    if (st == SG_OK && note[0])
        sg_warn(monitor, "%s", note);
    return st;
}

/* What the inputs of the net are, for a message. */
static const char *inputs_of(const recipe *p)
{
    return p->encoder.tensor ? p->encoder.tensor->name : "one-hot inputs";
}

sg_status vocabulary_find(sg_vocab **out, recipe *p, tensor_file *b, const sg_import_config *cfg,
                          sg_error *err)
{
    sg_status st = SG_OK;
    size_t V = p->shape.vocabulary;
    word_list words = {0};
    char name[TENSORS_MAX_NAME] = "vocabulary";
    sg_vocab *v = NULL;
    *out = NULL;
    p->shape.unit = cfg->unit == SG_AUTO ? SG_UNIT_WORD : (sg_unit)cfg->unit;
    if (!V) {
        if (cfg->vocab)
            return sg_fail(err, SG_EINVAL,
                           "%s: has no embedding that reads words, so setting 'vocab' %s does not apply",
                           b->path, cfg->vocab);
        return SG_OK;
    }
    if (cfg->vocab) {
        char note[RECIPE_NOTE];
        TRY(read_file(&v, cfg->vocab, V, note, err));
        if (note[0])
            recipe_note(p, "%s", note);
        if (sg_vocab_size(v) != V)
            TRY(sg_fail(err, SG_EFORMAT, "%s: has %zu words, %s has %zu", cfg->vocab, sg_vocab_size(v),
                        inputs_of(p), V));
    } else {
        if (b->vocabulary)
            TRY(b->vocabulary(b, V, &words, name, err));
        if (words.n) {
            TRY(from_words(&v, &words, b->path, name, err));
            snprintf(p->vocabulary_from, sizeof p->vocabulary_from, "%s", name);
        } else if (cfg->numbered_vocabulary)
            TRY(numbered(&v, V, b->path, err));
        else
            TRY(sg_fail(
                err, SG_EFORMAT,
                "%s: holds no vocabulary for its %zu words (%s): give one with setting 'vocab' FILE, one token per line in "
                "id order, or JSON",
                b->path, V, inputs_of(p)));
    }
    const char *mark = sg_vocab_tokenizer(v) ? NULL : piece_mark(v);
    if (mark)
        recipe_note(
            p,
            "%.150s: its entries are pieces of words, as \"%s\" in them indicates: a text must be cut into such pieces "
            "already (a tokenizer.json as setting 'vocab' cuts it, where its rules are supported)",
            cfg->vocab ? cfg->vocab : name, mark);
    if (cfg->unit == SG_AUTO && !sg_vocab_tokenizer(v) && all_characters(v)) {
        p->shape.unit = SG_UNIT_CHAR;
        if (sg_vocab_eos(v) >= 0 && sg_vocab_id(v, "\n", 1) < 0)
            recipe_note(
                p, "every word is one character, and there is <eos>: read as characters, without line ends "
                   "(setting 'unit' word for words)");
    }
    p->shape.eos = p->shape.unit == SG_UNIT_CHAR ? sg_vocab_id(v, "\n", 1) >= 0 : sg_vocab_eos(v) >= 0;
    *out = v;
    v = NULL;
done:
    word_list_free(&words);
    sg_vocab_free(v);
    return st;
}
