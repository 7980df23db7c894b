/* SPDX-License-Identifier: MIT */
/* The words of each class, and those for which an expression holds: how often each word was met with each
 * note. */
#include "corpus/classes_internal.h"

#include <stdlib.h>
#include <string.h>

expression_word classes_word_at(const sg_classes *k, const char *note, size_t n_note, const int32_t *classes,
                                size_t n_classes, int32_t id)
{
    return (expression_word){.labels = note + CLASS_SET_BYTES,
                             .n_labels = n_note - CLASS_SET_BYTES,
                             .classes = classes,
                             .n_classes = n_classes,
                             .names = k->names,
                             .rank = id >= 0 && k->ranks ? k->ranks[id] : 0};
}

/* ---- words per class ---- */

static size_t pair_slot(const uint64_t *keys, size_t n_slots, uint64_t key)
{
    uint64_t h = key * 0x9e3779b97f4a7c15u;
    size_t i = (h ^ (h >> 29)) & (n_slots - 1);
    while (keys[i] && keys[i] != key)
        i = (i + 1) & (n_slots - 1);
    return i;
}

static sg_status grow_pairs(sg_classes *k, sg_error *err)
{
    size_t n = k->n_slots ? 2 * k->n_slots : 1024;
    uint64_t *keys = sg_calloc(n, sizeof *keys), *counts = sg_calloc(n, sizeof *counts);
    if (!keys || !counts) {
        sg_free(keys);
        sg_free(counts);
        return no_memory(err, "the words of each class");
    }
    for (size_t i = 0; i < k->n_slots; i++)
        if (k->pair_keys[i]) {
            size_t slot = pair_slot(keys, n, k->pair_keys[i]);
            keys[slot] = k->pair_keys[i];
            counts[slot] = k->pair_counts[i];
        }
    sg_free(k->pair_keys);
    sg_free(k->pair_counts);
    k->pair_keys = keys;
    k->pair_counts = counts;
    k->n_slots = n;
    return SG_OK;
}

sg_status classes_count_pair(sg_classes *k, int32_t note, int32_t id, sg_error *err)
{
    if (2 * (k->n_pairs + 1) > k->n_slots) {
        sg_status st = grow_pairs(k, err);
        if (st != SG_OK)
            return st;
    }
    uint64_t key = ((uint64_t)note << 32 | (uint32_t)id) + 1;
    size_t slot = pair_slot(k->pair_keys, k->n_slots, key);
    k->n_pairs += !k->pair_keys[slot];
    k->pair_keys[slot] = key;
    k->pair_counts[slot]++;
    return SG_OK;
}

const char *classes_set_members(const sg_classes *k, size_t set, size_t *n)
{
    const char *bytes = string_table_get(k->sets, set, n);
    *n /= sizeof(int32_t);
    return bytes;
}

/* The set of what a pair's key names, and the rest of its note. */
static size_t set_of_note(const sg_classes *k, size_t note)
{
    uint32_t set;
    memcpy(&set, string_table_get(k->notes, note, NULL), sizeof set);
    return set;
}

int32_t classes_set_member(const char *bytes, size_t i)
{
    int32_t c; /* the pool of a string table is not aligned */
    memcpy(&c, bytes + i * sizeof c, sizeof c);
    return c;
}

typedef struct {
    int32_t c;
    sg_class_word word;
} class_entry;

static int compare_entries(const void *pa, const void *pb)
{
    const class_entry *a = pa, *b = pb;
    if (a->c != b->c)
        return a->c < b->c ? -1 : 1;
    return a->word.id < b->word.id ? -1 : a->word.id > b->word.id;
}

sg_status classes_list_words(sg_classes *k, sg_error *err)
{
    sg_status st = SG_OK;
    size_t total = 0, n, m = 0, n_classes = sg_classes_count(k), members;
    class_entry *entries = NULL;
    sg_class_word *words = NULL;
    size_t *starts = NULL;
    for (size_t i = 0; i < k->n_slots; i++)
        if (k->pair_keys[i]) {
            classes_set_members(k, set_of_note(k, (k->pair_keys[i] - 1) >> 32), &members);
            total += members + 1;
        }
    NEED((entries = sg_calloc(total, sizeof *entries)) && (words = sg_calloc(total, sizeof *words)) &&
             (starts = sg_calloc(n_classes + 1, sizeof *starts)),
         err, "the words of each class (%zu entries)", total);
    n = 0;
    for (size_t i = 0; i < k->n_slots; i++) {
        if (!k->pair_keys[i])
            continue;
        uint64_t key = k->pair_keys[i] - 1;
        const char *set = classes_set_members(k, set_of_note(k, key >> 32), &members);
        sg_class_word word = {(int32_t)(key & UINT32_MAX), k->pair_counts[i]};
        entries[n++] = (class_entry){0, word};
        for (size_t j = 0; j < members; j++)
            entries[n++] = (class_entry){classes_set_member(set, j), word};
    }
    if (n)
        qsort(entries, n, sizeof *entries, compare_entries);
    for (size_t i = 0; i < n; i++) {
        bool same = i && entries[i].c == entries[i - 1].c && entries[i].word.id == entries[i - 1].word.id;
        if (same) {
            words[m - 1].count += entries[i].word.count;
        } else {
            words[m++] = entries[i].word;
            starts[entries[i].c + 1]++;
        }
    }
    for (size_t c = 0; c < n_classes; c++)
        starts[c + 1] += starts[c];
    sg_free(k->words);
    sg_free(k->word_starts);
    k->words = words;
    k->word_starts = starts;
    words = NULL;
    starts = NULL;
done:
    sg_free(entries);
    sg_free(words);
    sg_free(starts);
    return st;
}

/* ---- words of an expression ---- */

static int compare_words(const void *pa, const void *pb)
{
    const sg_class_word *a = pa, *b = pb;
    return a->id < b->id ? -1 : a->id > b->id;
}

sg_status classes_check_labels(const sg_classes *k, const expression *x, sg_error *err)
{
    sg_status st = SG_OK;
    string_table *known = NULL;
    const char **names = NULL, *layers[MAX_LAYERS + 1] = {NULL};
    size_t n;
    int32_t number;
    if (expression_settled(x))
        return SG_OK;
    TRY(string_table_new(&known, err));
    for (size_t c = 1; c < sg_classes_count(k); c++) {
        const char *name = sg_classes_name(k, c);
        if (!strpbrk(name, "&|!*()")) /* a class that is an expression lies near its own first name */
            TRY(string_table_add(known, name, strlen(name), &number, NULL, err));
    }
    for (size_t i = 0; i < string_table_count(k->notes); i++) {
        const char *note = string_table_get(k->notes, i, &n);
        for (const char *p = note + CLASS_SET_BYTES; p < note + n; p += strlen(p) + 1)
            TRY(string_table_add(known, p + 1, strlen(p + 1), &number, NULL, err));
    }
    for (size_t i = 0; i < k->n_layers; i++)
        layers[i] = k->layers[i].name ? k->layers[i].name : "";
    n = string_table_count(known);
    NEED(names = sg_calloc(n, sizeof *names), err, "the names of the classes");
    for (size_t i = 0; i < n; i++)
        names[i] = string_table_get(known, i, NULL);
    st = expression_check(x, names, n, layers, err);
done:
    string_table_free(known);
    sg_free(names);
    return st;
}

/* Is the word `id` with this note in the expression? members: room for the classes of any set. */
static bool note_holds(const sg_classes *k, expression *x, size_t note, int32_t id, int32_t *members)
{
    size_t n_note, n;
    const char *bytes = string_table_get(k->notes, note, &n_note),
               *set = classes_set_members(k, set_of_note(k, note), &n);
    if (n_note > CLASS_SET_BYTES && bytes[CLASS_SET_BYTES] == LABEL_END)
        return false;
    memcpy(members, set, n * sizeof *members);
    const expression_word w = classes_word_at(k, bytes, n_note, members, n, id);
    return expression_holds(x, 0, &w);
}

sg_status classes_words_where(const sg_classes *k, const char *text, const char *whose, sg_class_word **words,
                              size_t *n, sg_error *err)
{
    sg_status st = SG_OK;
    expression *x = NULL;
    bool *holds = NULL, by_rank;
    int32_t *members = NULL;
    size_t m = 0, n_notes = string_table_count(k->notes);
    *words = NULL;
    *n = 0;
    TRY(expression_parse(&x, text, whose, false, err));
    TRY(classes_check_kept(k, x, err));
    by_rank = expression_by_rank(x);
    if (expression_wants_ranks(x) && !k->ranks)
        TRY(expression_no_ranks(x, "the ranks of words are not known: add classes 'frequency'", err));
    NEED((holds = sg_calloc(n_notes, 1)) && (members = sg_calloc(sg_classes_count(k), sizeof *members)) &&
             (*words = sg_calloc(k->n_pairs, sizeof **words)),
         err, "the words of an expression");
    for (size_t i = 0; i < n_notes; i++)
        holds[i] = note_holds(k, x, i, -1, members);
    TRY(classes_check_labels(k, x, err));
    for (size_t i = 0; i < k->n_slots; i++) {
        if (!k->pair_keys[i])
            continue;
        size_t note = (k->pair_keys[i] - 1) >> 32;
        int32_t id = (int32_t)((k->pair_keys[i] - 1) & UINT32_MAX);
        if (by_rank ? note_holds(k, x, note, id, members) : holds[note])
            (*words)[m++] = (sg_class_word){id, k->pair_counts[i]};
    }
    if (m)
        qsort(*words, m, sizeof **words, compare_words);
    for (size_t i = 0; i < m; i++)
        if (*n && (*words)[*n - 1].id == (*words)[i].id)
            (*words)[*n - 1].count += (*words)[i].count;
        else
            (*words)[(*n)++] = (*words)[i];
done:
    if (st != SG_OK) {
        sg_free(*words);
        *words = NULL;
        *n = 0;
    }
    expression_free(x);
    sg_free(holds);
    sg_free(members);
    return st;
}
