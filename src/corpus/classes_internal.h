/* SPDX-License-Identifier: MIT */
/* classes_internal.h - what the parts of the classes share: class_names.c adds classes, class_specs.c reads
 * specs, classes.c uses both; class_words.c counts words.
 *
 *   token --key--> labels (tags; the lines of a words file) --labels--> classes (the label's own, or its
 *   groups) */
#ifndef SG_CLASSES_INTERNAL_H
#define SG_CLASSES_INTERNAL_H

#include "corpus/class_expression.h"
#include "corpus/corpus_internal.h"

typedef enum {
    BY_UPOS,
    BY_XPOS,
    BY_FEATS,
    BY_TAG,
    BY_TAGS_FILE,
    BY_LEXICON,
    BY_WORDS,
    BY_FREQUENCY,
    BY_DEPREL,
    BY_LEMMA,
    BY_COLUMN,
    BY_MISC,
    BY_POSITION,
    BY_TO_END,
    BY_EXPRESSION
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

typedef struct {
    class_kind kind;
    char *text;          /* the spec as given: borrowed parts below point into copies */
    char *path;          /* tags, lexicon, words: its file; else NULL */
    char *key;           /* misc: its key; column: its number; else NULL */
    char *name;          /* NAME of NAME=tags:FILE, or NULL */
    size_t number;       /* of its column, or of its layer */
    char *groups_path;   /* or NULL */
    string_table *words; /* lexicon, words: key -> labels */
    link_lists word_labels;
    string_table *labels; /* tags, or names of a words file */
    link_lists label_classes;
    bool grouped; /* labels not in the table are in no class; else a new label makes a class */
    bool used;    /* a token had a label */
    /* BY_EXPRESSION, else NULL. Its class; a crossing (0) has a label, and a class, for each combination
     * met. */
    expression *expression;
    int32_t class;
    int32_t families[EXPRESSION_FACTORS]; /* factors that are families: specs of sg_classes.families */
} class_spec;

/* A tags file, and the name by which expressions ask for its tags (or NULL). */
typedef struct {
    char *path, *name;
} class_layer;

/* What expressions ask of the annotation in addition to what is always kept. */
typedef struct {
    bool lemma, position, to_end;
    bool columns[CONLLU_COLUMNS];
    string_table *keys; /* of MISC; NULL: none */
} class_wants;

struct sg_classes {
    const sg_vocab *vocab;
    class_layer layers[MAX_LAYERS];
    size_t n_layers;
    class_wants wants;
    class_spec *specs;
    size_t n_specs;
    string_table *names; /* of the classes */
    /* per class: "groups.txt:3", reported when it stays empty; NULL: found in the corpus */
    char **origins;
    size_t origins_cap;
    const char **spec_of; /* per class: sg_classes_spec, as long as origins; NULL: none */
    size_t spec_of_cap;

    sg_classes *families; /* of crossings, with classes of their own; NULL: there are none */
    size_t *family_ends;  /* per family: where its classes of the token at hand end in families->current */

    bool by_frequency, wants_ranks;
    uint64_t *ranks;      /* per vocabulary id, by frequency from 1; <unk>: 0; NULL: not ranked yet */
    int32_t *bands;       /* per vocabulary id: its class; NULL: not ranked yet */
    int32_t unknown_band; /* class of words outside the vocabulary; -1: none seen yet */

    string_table *sets;   /* bytes of the sorted class numbers, 0 left out */
    uint64_t *set_tokens; /* in all streams so far */
    size_t set_tokens_cap;
    int32_t *current; /* classes of the token at hand */
    size_t n_current, current_cap;

    /* What expressions may ask of a token: the number of its set, then labels as in expression_word. */
    char *note; /* of the token at hand */
    size_t n_note, note_cap;
    string_table *notes;
    char *name; /* of a crossing's class, not ended by NUL */
    size_t n_name, name_cap;

    uint64_t *pair_keys; /* open addressing: note << 32 | id, plus 1; 0: free */
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
/* The number of a tags file; name may be NULL. SG_EINVAL: too many, a name twice. */
sg_status classes_layer(sg_classes *k, const class_spec *spec, size_t *number, sg_error *err);
/* What a spec may begin with. */
typedef enum { NO_ARGUMENT, A_FILE, A_KEY } class_argument;
typedef struct {
    const char *name;
    class_kind kind;
    class_argument argument; /* after a colon */
} class_kind_row;
extern const char class_groups[]; /* ",groups=" */
/* The row that a spec, with its file and groups, begins with; NULL: none. */
const class_kind_row *class_kind_of(const char *spec);
const char *class_kind_near(const char *spec); /* the kind that was meant; NULL: none is near */

/* ---- class_words.c ---- */

/* A note begins with the number of its set, a uint32_t. */
enum { CLASS_SET_BYTES = sizeof(uint32_t) };
/* One more token of word `id` with note number `note`. SG_ENOMEM. */
sg_status classes_count_pair(sg_classes *k, int32_t note, int32_t id, sg_error *err);
/* The *n classes of a set besides "all", borrowed; number i of them. */
const char *classes_set_members(const sg_classes *k, size_t set, size_t *n);
int32_t classes_set_member(const char *members, size_t i);
/* What an expression may ask of word `id` (-1: none) with a note of n_note bytes and these classes. All is
 * borrowed. */
expression_word classes_word_at(const sg_classes *k, const char *note, size_t n_note, const int32_t *classes,
                                size_t n_classes, int32_t id);
/* What the labels of the expression ask is kept of the tokens that follow. */
sg_status classes_keep_for(sg_classes *k, const expression *x, sg_error *err);
/* SG_EINVAL: it asks what was not kept. */
sg_status classes_check_kept(const sg_classes *k, const expression *x, sg_error *err);
/* SG_EINVAL: a label of the expression was never met; near labels and names of classes are given. */
sg_status classes_check_labels(const sg_classes *k, const expression *x, sg_error *err);
/* Fills k->words and k->word_starts from what was counted. SG_ENOMEM. */
sg_status classes_list_words(sg_classes *k, sg_error *err);

#endif
