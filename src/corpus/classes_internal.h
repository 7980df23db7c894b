/* SPDX-License-Identifier: MIT */
/* classes_internal.h - what the parts of the classes share: class_names.c adds classes, class_specs.c reads
 * specs, classes.c uses both.
 *
 *   token --key--> labels (tags; the lines of a words file) --labels--> classes (the label's own, or its
 *   groups) */
#ifndef SG_CLASSES_INTERNAL_H
#define SG_CLASSES_INTERNAL_H

#include "corpus/corpus_internal.h"

typedef enum {
    BY_UPOS,
    BY_XPOS,
    BY_FEATS,
    BY_TAG,
    BY_TAGS_FILE,
    BY_LEXICON,
    BY_WORDS,
    BY_FREQUENCY
} class_kind;

/* A list of lists of small numbers: list i is items[starts[i]] .. ; made in any order by linking. */
typedef struct {
    int32_t value, next; /* next: index of the following link, -1: last */
} class_link;

typedef struct {
    int32_t *heads; /* per key, -1: empty */
    size_t n_heads, heads_cap;
    class_link *links;
    size_t n_links, links_cap;
} link_lists;
/* Appends value to the list of key unless it is there. */
sg_status links_add(link_lists *l, size_t key, int32_t value, sg_error *err);
int32_t links_first(const link_lists *l, size_t key); /* index of a link or -1 */
void links_free(link_lists *l);

typedef struct {
    class_kind kind;
    char *text;          /* the spec as given: borrowed parts below point into copies */
    char *path;          /* tags, lexicon, words: its file; else NULL */
    char *groups_path;   /* or NULL */
    string_table *words; /* lexicon, words: key -> labels */
    link_lists word_labels;
    string_table *labels; /* tags, or names of a words file */
    link_lists label_classes;
    bool grouped; /* labels not in the table are in no class; else a new label makes a class */
    bool used;    /* a token had a label */
} class_spec;

struct sg_classes {
    const sg_vocab *vocab;
    class_spec *specs;
    size_t n_specs;
    string_table *names; /* of the classes */
    /* per class: "groups.txt:3", reported when it stays empty; NULL: found in the corpus */
    char **origins;
    size_t origins_cap;

    bool by_frequency;
    int32_t *bands;       /* per vocabulary id: its class; NULL: not ranked yet */
    int32_t unknown_band; /* class of words outside the vocabulary; -1: none seen yet */

    string_table *sets;   /* bytes of the sorted class numbers, 0 left out */
    uint64_t *set_tokens; /* in all streams so far */
    size_t set_tokens_cap;
    int32_t *current; /* classes of the token at hand */
    size_t n_current, current_cap;

    uint64_t *pair_keys; /* open addressing: set << 32 | id, plus 1; 0: free */
    uint64_t *pair_counts;
    size_t n_pairs, n_slots;

    size_t *word_starts; /* per class, n+1: where its words begin */
    sg_class_word *words;
};

enum { MAX_CLASSES = 10000 };

/* A new class; the name is prefixed where an earlier spec has it. origin may be NULL. */
sg_status classes_add(sg_classes *k, const class_spec *spec, const char *name, const char *origin, int32_t *c,
                      sg_error *err);
/* Fills spec from its text; makes the classes its files name. */
sg_status class_spec_read(sg_classes *k, class_spec *spec, const char *text, sg_error *err);
void class_spec_free(class_spec *spec);
/* What a spec may begin with; CLASS_KINDS of them. */
typedef struct {
    const char *name;
    class_kind kind;
    bool has_file;
} class_kind_row;
enum { CLASS_KINDS = 8 };
extern const class_kind_row class_kinds[CLASS_KINDS];
const char *class_kind_name(class_kind kind);

#endif
