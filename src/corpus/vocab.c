/* SPDX-License-Identifier: MIT */
/* Vocabularies: words by falling frequency, found by a hash table of our own. */
#include "corpus/corpus_internal.h"
#include "corpus/tokenizer.h"

#include <stdlib.h>
#include <string.h>

struct sg_vocab {
    string_table *words;
    uint64_t *counts;
    int32_t unk, eos;     /* -1: none */
    tokenizer *tokenizer; /* NULL: a word is a word */
};

static void vocab_find_special(sg_vocab *v)
{
    static const char *const unk[] = {"<unk>", "<UNK>", "[UNK]"}, *const eos[] = {"<eos>", "</s>", "<EOS>",
                                                                                  "[EOS]"};
    v->unk = v->eos = -1;
    for (size_t i = 0; i < sizeof unk / sizeof *unk && v->unk < 0; i++)
        v->unk = string_table_find(v->words, unk[i], strlen(unk[i]));
    for (size_t i = 0; i < sizeof eos / sizeof *eos && v->eos < 0; i++)
        v->eos = string_table_find(v->words, eos[i], strlen(eos[i]));
}

static sg_status vocab_new(sg_vocab **out, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    sg_vocab *v = sg_calloc(1, sizeof *v);
    NEED(v && (v->counts = sg_calloc(n, sizeof *v->counts)), err, "%zu words", n);
    v->unk = v->eos = -1;
    TRY(string_table_new(&v->words, err));
    *out = v;
    v = NULL;
done:
    sg_vocab_free(v);
    return st;
}

sg_status sg_vocab_from_words(sg_vocab **out, const char *const *words, const uint64_t *counts, size_t n,
                              sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    sg_vocab *v = NULL;
    if (!n)
        return sg_fail(err, SG_EINVAL, "vocabulary: no words");
    TRY(vocab_new(&v, n, err));
    for (size_t i = 0; i < n; i++) {
        int32_t id;
        bool added;
        char excerpt[64];
        if (!words[i][0])
            TRY(sg_fail(err, SG_EINVAL, "vocabulary: word %zu is empty", i));
        TRY(string_table_add(v->words, words[i], strlen(words[i]), &id, &added, err));
        if (!added)
            TRY(sg_fail(err, SG_EINVAL, "vocabulary: '%s' occurs twice, as word %d and as word %zu",
                        text_excerpt(excerpt, words[i], strlen(words[i])), id, i));
        v->counts[i] = counts ? counts[i] : 0;
    }
    vocab_find_special(v);
    *out = v;
    v = NULL;
done:
    sg_vocab_free(v);
    return st;
}

static sg_status choose_word(int32_t *id, const sg_vocab *v, const char *option, const char *word,
                             sg_error *err)
{
    char excerpt[64], other[64];
    const size_t n = sg_vocab_size(v);
    const int32_t found = sg_vocab_id(v, word, strlen(word));
    if (found >= 0) {
        *id = found;
        return SG_OK;
    }
    const char **words = sg_calloc(n, sizeof *words);
    if (!words)
        return no_memory(err, "%zu words", n);
    for (size_t i = 0; i < n; i++)
        words[i] = sg_vocab_word(v, i);
    const char *near = sg_nearest_name(word, words, n);
    sg_free(words);
    return sg_fail(err, SG_EINVAL, "%s: '%s' is not among the %zu words of the vocabulary%s%s%s", option,
                   text_excerpt(excerpt, word, strlen(word)), n, near ? "; did you mean '" : "",
                   near ? text_excerpt(other, near, strlen(near)) : "", near ? "'?" : "");
}

sg_status vocab_choose(sg_vocab *v, const char *unk, const char *eos, sg_unit unit, bool *ends_lines,
                       sg_error *err)
{
    sg_status st = SG_OK;
    if (unk && v->tokenizer)
        return sg_fail(err, SG_EINVAL,
                       "setting 'unk': the tokenizer itself determines which piece is unknown");
    if (unk)
        TRY(choose_word(&v->unk, v, "setting 'unk'", unk, err));
    if (!eos)
        return SG_OK;
    *ends_lines = strcmp(eos, "none") != 0;
    if (*ends_lines && unit == SG_UNIT_CHAR)
        return sg_fail(
            err, SG_EINVAL,
            "setting 'eos': a line of characters ends in the character \\n; expected none, found '%.40s'",
            eos);
    if (*ends_lines)
        TRY(choose_word(&v->eos, v, "setting 'eos'", eos, err));
done:
    return st;
}

void vocab_copy_choice(sg_vocab *v, const sg_vocab *from)
{
    v->unk = from->unk, v->eos = from->eos;
}

/* ---- counting ---- */

typedef struct {
    string_table *types; /* by first appearance */
    uint64_t *counts;
    size_t cap;
    uint64_t tokens;
} type_counts;

static sg_status count_types(type_counts *t, sg_corpus *c, sg_error *err)
{
    sg_status st = SG_OK;
    sg_token token;
    bool end = false;
    TRY(string_table_new(&t->types, err));
    corpus_is_counted(c);
    for (;;) {
        int32_t id;
        TRY(sg_corpus_next(c, &token, &end, err));
        if (end)
            break;
        TRY(string_table_add(t->types, token.form, token.length, &id, NULL, err));
        TRY(array_reserve(&t->counts, &t->cap, (size_t)id + 1, sizeof *t->counts, err));
        t->counts[id]++;
        t->tokens++;
    }
    if (!t->tokens)
        TRY(sg_fail(err, SG_EFORMAT, "%s: an empty corpus: no words", corpus_first_path(c)));
done:
    return st;
}

typedef struct {
    uint64_t count;
    int32_t type;
} ranked;

static int compare_ranked(const void *pa, const void *pb)
{
    const ranked *a = pa, *b = pb;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return a->type < b->type ? -1 : a->type > b->type;
}

/* Marks the words to keep: <unk> (if there is one) and <eos> always, then by rank. types[] is sorted. Returns
 * how many; the tokens of the words left out are added to *left_out. */
static size_t choose_words(bool *keep, const ranked *types, size_t n, const sg_vocab_config *cfg, int32_t unk,
                           int32_t eos, uint64_t *left_out)
{
    size_t kept = 0, room = cfg->size ? cfg->size : cfg->most ? cfg->most : SIZE_MAX;
    for (size_t i = 0; i < n; i++)
        kept += keep[i] = types[i].type == unk || types[i].type == eos;
    for (size_t i = 0; i < n; i++) {
        if (keep[i])
            continue;
        if (kept < room && types[i].count >= cfg->min_count) {
            keep[i] = true;
            kept++;
        } else {
            *left_out += types[i].count;
        }
    }
    return kept;
}

sg_status sg_vocab_build(sg_vocab **out, sg_corpus *c, const sg_vocab_config *cfg, sg_error *err)
{
    sg_vocab_config own = {0};
    cfg = config_take(&own, sizeof own, cfg);
    sg_status st = SG_OK;
    *out = NULL;
    type_counts t = {0};
    ranked *types = NULL;
    bool *keep = NULL;
    sg_vocab *v = NULL;
    int32_t unk = -1, id;
    uint64_t left_out = 0;
    TRY(count_types(&t, c, err));
    /* An <unk> of the text itself (Penn Treebank, WikiText) is the <unk>. */
    unk = string_table_find(t.types, "<unk>", 5);
    bool drops = cfg->unk || cfg->size || cfg->most || cfg->min_count > 1;
    if (unk < 0 && drops) {
        TRY(string_table_add(t.types, "<unk>", 5, &unk, NULL, err));
        TRY(array_reserve(&t.counts, &t.cap, (size_t)unk + 1, sizeof *t.counts, err));
    }
    int32_t eos = string_table_find(t.types, "<eos>", 5);
    size_t n = string_table_count(t.types), least = 1 + (size_t)(unk >= 0) + (size_t)(eos >= 0);
    if (cfg->size > n)
        TRY(sg_fail(err, SG_EINVAL,
                    "setting 'vocab_size': %zu requested, the corpus has only %zu distinct words", cfg->size,
                    n));
    if (cfg->size && cfg->size < least)
        TRY(sg_fail(err, SG_EINVAL,
                    "setting 'vocab_size': %zu requested, expected at least %zu (<unk> and <eos> count)",
                    cfg->size, least));
    NEED((types = sg_calloc(n, sizeof *types)) && (keep = sg_calloc(n, sizeof *keep)), err, "%zu words", n);
    for (size_t i = 0; i < n; i++)
        types[i] = (ranked){t.counts[i], (int32_t)i};
    qsort(types, n, sizeof *types, compare_ranked);
    size_t kept = choose_words(keep, types, n, cfg, unk, eos, &left_out);
    if (cfg->min_count > 1 && kept < least)
        TRY(sg_fail(err, SG_EINVAL, "setting 'min_count': no word occurs %zu times in the corpus",
                    cfg->min_count));
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (keep[i])
            types[m++] = types[i];
    /* <unk> replaces the words left out, so it has their rank too. */
    for (size_t i = 0; i < m; i++)
        if (types[i].type == unk)
            types[i].count = types[i].count + left_out ? types[i].count + left_out : 1;
    qsort(types, m, sizeof *types, compare_ranked);
    TRY(vocab_new(&v, m, err));
    for (size_t i = 0; i < m; i++) {
        size_t length;
        const char *word = string_table_get(t.types, (size_t)types[i].type, &length);
        TRY(string_table_add(v->words, word, length, &id, NULL, err));
        v->counts[i] = types[i].count;
    }
    vocab_find_special(v);
    *out = v;
    v = NULL;
done:
    string_table_free(t.types);
    sg_free(t.counts);
    sg_free(types);
    sg_free(keep);
    sg_vocab_free(v);
    return st;
}

sg_status sg_vocab_recount(sg_vocab *v, sg_corpus *c, sg_error *err)
{
    sg_status st = SG_OK;
    sg_token token;
    bool end = false;
    int32_t *pieces = NULL;
    size_t n = sg_vocab_size(v), room = 0, m;
    uint64_t *counts = sg_calloc(n, sizeof *counts);
    if (!counts)
        return no_memory(err, "%zu counts of words", n);
    corpus_is_counted(c);
    for (;;) {
        TRY(sg_corpus_next(c, &token, &end, err));
        if (end)
            break;
        if (v->tokenizer && !token.eos) {
            TRY(sg_vocab_split(v, token.form, token.length, &pieces, &room, &m, err));
            for (size_t i = 0; i < m; i++)
                if (pieces[i] >= 0)
                    counts[pieces[i]]++;
            continue;
        }
        int32_t id = token.eos ? v->eos : sg_vocab_id(v, token.form, token.length);
        if (id < 0)
            id = v->unk;
        if (id >= 0)
            counts[id]++;
    }
    sg_free(v->counts);
    v->counts = counts;
    counts = NULL;
done:
    sg_free(counts);
    sg_ids_free(pieces);
    return st;
}

size_t sg_vocab_size(const sg_vocab *v)
{
    return string_table_count(v->words);
}

const char *sg_vocab_word(const sg_vocab *v, size_t id)
{
    return string_table_get(v->words, id, NULL);
}

uint64_t sg_vocab_count(const sg_vocab *v, size_t id)
{
    return v->counts[id];
}

int32_t sg_vocab_id(const sg_vocab *v, const char *word, size_t length)
{
    return string_table_find(v->words, word, length);
}

static int32_t find_piece(const void *ctx, const char *piece, size_t n)
{
    return sg_vocab_id(ctx, piece, n);
}

sg_status sg_vocab_set_tokenizer(sg_vocab *v, const char *json, sg_error *err)
{
    tokenizer *t;
    const piece_ids ids = {find_piece, v};
    sg_status st = tokenizer_new(&t, json, &ids, err);
    if (st != SG_OK)
        return st;
    tokenizer_free(v->tokenizer);
    v->tokenizer = t;
    return SG_OK;
}

const char *sg_vocab_tokenizer(const sg_vocab *v)
{
    return v->tokenizer ? tokenizer_text(v->tokenizer) : NULL;
}

void sg_ids_free(int32_t *ids)
{
    sg_free(ids);
}

sg_status sg_vocab_split(const sg_vocab *v, const char *word, size_t length, int32_t **ids, size_t *room,
                         size_t *n, sg_error *err)
{
    const piece_ids known = {find_piece, v};
    return tokenizer_split(v->tokenizer, &known, word, length, ids, room, n, err);
}

int32_t sg_vocab_unk(const sg_vocab *v)
{
    return v->unk;
}

int32_t sg_vocab_eos(const sg_vocab *v)
{
    return v->eos;
}

void sg_vocab_free(sg_vocab *v)
{
    if (!v)
        return;
    tokenizer_free(v->tokenizer);
    string_table_free(v->words);
    sg_free(v->counts);
    sg_free(v);
}
