/* SPDX-License-Identifier: MIT */
/* Which classes a token is in, the sets they make, and the words each class was seen with. */
#include "corpus/classes_internal.h"
#include "corpus/sentence_position.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SETS = 65536, COLUMN_LEMMA = 2, COLUMN_DEPREL = 7, COLUMN_MISC = 9 };

static bool vocab_has_counts(const sg_vocab *v)
{
    for (size_t i = 0; v && i < sg_vocab_size(v); i++)
        if (sg_vocab_count(v, i))
            return true;
    return false;
}

static sg_status classes_rank_by_vocab(sg_classes *k, sg_error *err)
{
    size_t n = sg_vocab_size(k->vocab);
    uint64_t *counts = sg_calloc(n, sizeof *counts);
    if (!counts)
        return no_memory(err, "%zu counts of classes", n);
    for (size_t i = 0; i < n; i++)
        counts[i] = sg_vocab_count(k->vocab, i);
    sg_status st = classes_rank(k, counts, err);
    sg_free(counts);
    return st;
}

/* With class "all" and set 0 alone, and room for specs. */
static sg_status classes_new(sg_classes **out, size_t n_specs, const sg_vocab *vocab, sg_error *err)
{
    sg_status st = SG_OK;
    int32_t id;
    *out = NULL;
    sg_classes *k = sg_calloc(1, sizeof *k);
    NEED(k && (k->specs = sg_calloc(n_specs, sizeof *k->specs)), err, "%zu specs", n_specs);
    k->vocab = vocab;
    k->unknown_band = -1;
    TRY(string_table_new(&k->names, err));
    TRY(string_table_new(&k->sets, err));
    TRY(string_table_new(&k->notes, err));
    TRY(array_reserve(&k->origins, &k->origins_cap, 1, sizeof *k->origins, err));
    TRY(string_table_add(k->names, "all", 3, &id, NULL, err));
    TRY(string_table_add(k->sets, "", 0, &id, NULL, err));
    TRY(array_reserve(&k->set_tokens, &k->set_tokens_cap, 1, sizeof *k->set_tokens, err));
    *out = k;
    k = NULL;
done:
    sg_classes_free(k);
    return st;
}

sg_status sg_classes_from_names(sg_classes **out, const char *const *names, size_t n, const sg_vocab *vocab,
                                sg_error *err)
{
    sg_status st = SG_OK;
    sg_classes *k = NULL;
    *out = NULL;
    if (n >= MAX_CLASSES)
        return sg_fail(err, SG_EINVAL, "classes: %zu names, expected at most %d", n, MAX_CLASSES - 1);
    TRY(classes_new(&k, 0, vocab, err));
    for (size_t i = 0; i < n; i++) {
        int32_t c;
        bool added;
        if (!names[i] || !names[i][0])
            TRY(sg_fail(err, SG_EINVAL, "classes: name %zu is empty", i));
        TRY(array_reserve(&k->origins, &k->origins_cap, i + 2, sizeof *k->origins, err));
        TRY(string_table_add(k->names, names[i], strlen(names[i]), &c, &added, err));
        if (!added)
            TRY(sg_fail(err, SG_EINVAL, "classes: name %zu, '%.60s': there is such a class already", i,
                        names[i]));
        NEED(k->origins[c] = sg_strdup("the array of members"), err, "the classes");
    }
    *out = k;
    k = NULL;
done:
    sg_classes_free(k);
    return st;
}

bool classes_have_specs(const sg_classes *k)
{
    return k->n_specs > 0;
}

static sg_status make_families(sg_classes *k, sg_error *err);

static sg_status read_specs(sg_classes **out, const char *const *specs, size_t n_specs, const sg_vocab *vocab,
                            bool with_families, sg_error *err)
{
    sg_status st = SG_OK;
    sg_classes *k = NULL;
    *out = NULL;
    TRY(classes_new(&k, n_specs, vocab, err));
    for (size_t i = 0; i < n_specs; i++) {
        class_spec *spec = &k->specs[i];
        k->n_specs = i + 1;
        for (size_t j = 0; j < i; j++)
            if (!strcmp(specs[i], specs[j]))
                TRY(sg_fail(err, SG_EINVAL, "classes '%s': given twice", specs[i]));
        TRY(class_spec_read(k, spec, specs[i], err));
        if (spec->kind == BY_FREQUENCY && !vocab)
            TRY(sg_fail(err, SG_EINVAL, "classes 'frequency': the model has no vocabulary"));
        if (spec->kind == BY_FREQUENCY) {
            k->by_frequency = true;
            if (vocab_has_counts(vocab))
                TRY(classes_rank_by_vocab(k, err));
        }
        if (spec->expression && expression_wants_ranks(spec->expression)) {
            if (!vocab)
                TRY(expression_no_ranks(spec->expression, "the model has no vocabulary, and no ranks", err));
            k->wants_ranks = true;
        }
    }
    if (with_families)
        TRY(make_families(k, err));
    if (!k->ranks && vocab_has_counts(vocab))
        TRY(classes_rank_by_vocab(k, err));
    *out = k;
    k = NULL;
done:
    sg_classes_free(k);
    return st;
}

sg_status sg_classes_new(sg_classes **out, const char *const *specs, size_t n_specs, const sg_vocab *vocab,
                         sg_error *err)
{
    return read_specs(out, specs, n_specs, vocab, true, err);
}

/* The families of all crossings, each once, as classes of their own. */
static sg_status make_families(sg_classes *k, sg_error *err)
{
    sg_status st = SG_OK;
    size_t n = 0;
    const char **texts = sg_calloc(k->n_specs * EXPRESSION_FACTORS, sizeof *texts);
    NEED(texts, err, "the classes");
    for (size_t i = 0; i < k->n_specs; i++) {
        const expression *x = k->specs[i].expression;
        for (size_t f = 0; x && f < expression_factors(x); f++) {
            const char *family = expression_family(x, f);
            size_t j = 0;
            while (family && j < n && strcmp(texts[j], family) != 0)
                j++;
            if (family && j == n)
                texts[n++] = family;
            k->specs[i].families[f] = family ? (int32_t)j : -1;
        }
    }
    if (!n)
        goto done;
    NEED(k->family_ends = sg_calloc(n, sizeof *k->family_ends), err, "the classes");
    TRY(read_specs(&k->families, texts, n, k->vocab, false, err));
    for (size_t i = 0; i < n; i++)
        if (k->families->specs[i].kind == BY_TAGS_FILE)
            TRY(classes_layer(k, &k->families->specs[i], &k->families->specs[i].number, err));
done:
    sg_free(texts);
    return st;
}

/* ---- frequency ---- */

bool classes_want_counts(const sg_classes *k)
{
    bool wanted = k->by_frequency || k->wants_ranks || (k->families && k->families->by_frequency);
    return wanted && !k->ranks;
}

typedef struct {
    uint64_t count;
    int32_t id;
} ranked;

static int compare_ranked(const void *pa, const void *pb)
{
    const ranked *a = pa, *b = pb;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static const class_spec *frequency_spec(const sg_classes *k)
{
    for (size_t i = 0; i < k->n_specs; i++)
        if (k->specs[i].kind == BY_FREQUENCY)
            return &k->specs[i];
    return NULL;
}

/* Decades of ranks; <unk> has none, its tokens are many different rare words. */
sg_status classes_rank(sg_classes *k, const uint64_t *counts, sg_error *err)
{
    sg_status st = SG_OK;
    size_t n = sg_vocab_size(k->vocab), m = 0, first = 1, last = 10;
    ranked *words = sg_calloc(n, sizeof *words);
    int32_t *bands = sg_calloc(n, sizeof *bands), band = 0;
    uint64_t *ranks = sg_calloc(n, sizeof *ranks);
    NEED(words && bands && ranks, err, "the ranks of %zu words", n);
    for (size_t i = 0; i < n; i++)
        if ((int32_t)i != sg_vocab_unk(k->vocab))
            words[m++] = (ranked){counts[i], (int32_t)i};
    if (m)
        qsort(words, m, sizeof *words, compare_ranked);
    for (size_t rank = 1; rank <= m; rank++) {
        if (rank > last) {
            first = last + 1;
            last *= 10;
        }
        if (rank == first && k->by_frequency) {
            char name[64];
            snprintf(name, sizeof name, "rank %zu-%zu", first, last);
            TRY(classes_add(k, frequency_spec(k), name, NULL, &band, err));
        }
        bands[words[rank - 1].id] = band;
        ranks[words[rank - 1].id] = rank;
    }
    if (k->families && !k->families->ranks)
        TRY(classes_rank(k->families, counts, err));
    k->bands = bands;
    k->ranks = ranks;
    bands = NULL;
    ranks = NULL;
done:
    sg_free(words);
    sg_free(bands);
    sg_free(ranks);
    return st;
}

/* ---- one token ---- */

static sg_status push_class(sg_classes *k, int32_t c, sg_error *err)
{
    sg_status st = array_reserve(&k->current, &k->current_cap, k->n_current + 1, sizeof *k->current, err);
    if (st == SG_OK)
        k->current[k->n_current++] = c;
    return st;
}

static sg_status add_note(sg_classes *k, label_kind kind, const char *label, size_t n, sg_error *err)
{
    sg_status st = array_reserve(&k->note, &k->note_cap, k->n_note + n + 2, 1, err);
    if (st != SG_OK)
        return st;
    k->note[k->n_note++] = (char)kind;
    memcpy(k->note + k->n_note, label, n);
    k->note[k->n_note + n] = 0;
    k->n_note += n + 1;
    return SG_OK;
}

/* Goes on with the label added last. */
static sg_status extend_note(sg_classes *k, const char *label, size_t n, sg_error *err)
{
    sg_status st = array_reserve(&k->note, &k->note_cap, k->n_note + n, 1, err);
    if (st != SG_OK)
        return st;
    memcpy(k->note + k->n_note - 1, label, n);
    k->n_note += n;
    k->note[k->n_note - 1] = 0;
    return SG_OK;
}

/* The next of "Number=Plur|Case=Nom", of n bytes; NULL: no more. */
static const char *next_feature(const char **rest, size_t *n)
{
    const char *f = *rest, *found = NULL;
    while (f && *f && !found) {
        *n = strcspn(f, "|");
        found = *n ? f : NULL;
        f += *n + (f[*n] == '|');
    }
    *rest = f;
    return found;
}

/* The labels that expressions may ask with their column alone. */
static sg_status note_wanted(sg_classes *k, const sg_token *t, const word_place *place, sg_error *err)
{
    sg_status st = SG_OK;
    const class_wants *w = &k->wants;
    size_t n;
    if (t->columns && t->columns[COLUMN_LEMMA] && w->lemma)
        TRY(add_note(k, LABEL_LEMMA, t->columns[COLUMN_LEMMA], strlen(t->columns[COLUMN_LEMMA]), err));
    for (size_t i = 0; t->columns && i < CONLLU_COLUMNS; i++)
        if (w->columns[i] && t->columns[i]) {
            char number[8];
            int digits = snprintf(number, sizeof number, "%zu:", i + 1);
            TRY(add_note(k, LABEL_COLUMN, number, (size_t)digits, err));
            TRY(extend_note(k, t->columns[i], strlen(t->columns[i]), err));
        }
    for (const char *rest = t->columns && w->keys ? t->columns[COLUMN_MISC] : NULL, *f;
         (f = next_feature(&rest, &n));) {
        const char *equals = memchr(f, '=', n);
        if (equals && string_table_find(w->keys, f, (size_t)(equals - f)) >= 0)
            TRY(add_note(k, LABEL_MISC, f, n, err));
    }
    for (size_t i = 0; place && w->position && i < PLACES; i++)
        if (place->in >> i & 1)
            TRY(add_note(k, LABEL_POSITION, place_names[i], strlen(place_names[i]), err));
    if (place && w->to_end) {
        char number[24];
        int digits = snprintf(number, sizeof number, "%ju", (uintmax_t)place->to_end);
        TRY(add_note(k, LABEL_TO_END, number, (size_t)digits, err));
    }
done:
    return st;
}

/* The columns of a token (NULL: of an array), after room for its set. */
static sg_status begin_note(sg_classes *k, const sg_token *t, const word_place *place, sg_error *err)
{
    sg_status st = SG_OK;
    size_t n;
    TRY(array_reserve(&k->note, &k->note_cap, CLASS_SET_BYTES, 1, err));
    k->n_note = CLASS_SET_BYTES;
    if (t && t->eos)
        return add_note(k, LABEL_END, "", 0, err);
    if (t && t->upos)
        TRY(add_note(k, LABEL_UPOS, t->upos, strlen(t->upos), err));
    if (t && t->tag)
        TRY(add_note(k, LABEL_XPOS, t->tag, strlen(t->tag), err));
    for (const char *rest = t ? t->feats : NULL, *f; (f = next_feature(&rest, &n));)
        TRY(add_note(k, LABEL_FEATS, f, n, err));
    if (t && t->columns && t->columns[COLUMN_DEPREL])
        TRY(add_note(k, LABEL_DEPREL, t->columns[COLUMN_DEPREL], strlen(t->columns[COLUMN_DEPREL]), err));
    for (size_t i = 0; t && t->layers && i < k->n_layers; i++)
        if (k->layers[i].name) {
            TRY(add_note(k, (label_kind)(LABEL_LAYER + i), k->layers[i].name, strlen(k->layers[i].name),
                         err));
            TRY(extend_note(k, ":", 1, err));
            TRY(extend_note(k, t->layers[i], strlen(t->layers[i]), err));
        }
    if (t)
        TRY(note_wanted(k, t, place, err));
done:
    return st;
}

static sg_status push_frequency(sg_classes *k, int32_t id, sg_error *err)
{
    if (id >= 0 && id != sg_vocab_unk(k->vocab))
        return push_class(k, k->bands[id], err);
    if (k->unknown_band < 0) {
        sg_status st = classes_add(k, frequency_spec(k), "out of vocabulary", NULL, &k->unknown_band, err);
        if (st != SG_OK)
            return st;
    }
    return push_class(k, k->unknown_band, err);
}

static sg_status push_label(sg_classes *k, class_spec *spec, int32_t label, sg_error *err)
{
    sg_status st = SG_OK;
    link_lists *l = &spec->label_classes;
    if (links_first(l, (size_t)label) < 0) {
        int32_t c;
        TRY(classes_add(k, spec, string_table_get(spec->labels, (size_t)label, NULL), NULL, &c, err));
        TRY(links_add(l, (size_t)label, c, err));
    }
    for (int32_t i = links_first(l, (size_t)label); i >= 0; i = l->links[i].next)
        TRY(push_class(k, l->links[i].value, err));
    spec->used = true;
done:
    return st;
}

static sg_status push_tag(sg_classes *k, class_spec *spec, const char *tag, size_t n, sg_error *err)
{
    int32_t label;
    if (spec->grouped) {
        label = string_table_find(spec->labels, tag, n);
        return label < 0 ? SG_OK : push_label(k, spec, label, err);
    }
    sg_status st = string_table_add(spec->labels, tag, n, &label, NULL, err);
    return st == SG_OK ? push_label(k, spec, label, err) : st;
}

/* The one tag that the token has of this kind, or NULL. */
static const char *tag_of(const class_spec *spec, const sg_token *t)
{
    const char *const *columns = t->columns;
    switch (spec->kind) {
    case BY_UPOS:
        return t->upos;
    case BY_TAGS_FILE:
        return t->layers ? t->layers[spec->number] : NULL;
    case BY_DEPREL:
        return columns ? columns[COLUMN_DEPREL] : NULL;
    case BY_LEMMA:
        return columns ? columns[COLUMN_LEMMA] : NULL;
    case BY_COLUMN:
        return columns ? columns[spec->number - 1] : NULL;
    default:
        return t->tag;
    }
}

/* Bands of the distance to the sentence's end: "to end 0", "to end 1", "to end 2-3", "to end 4-7", ... */
static sg_status push_to_end(sg_classes *k, class_spec *spec, uint64_t distance, sg_error *err)
{
    char name[64];
    uint64_t first = 1;
    while (2 * first <= distance)
        first *= 2;
    int n = distance < 2
                ? snprintf(name, sizeof name, "to end %ju", (uintmax_t)distance)
                : snprintf(name, sizeof name, "to end %ju-%ju", (uintmax_t)first, (uintmax_t)(2 * first - 1));
    return push_tag(k, spec, name, (size_t)n, err);
}

static sg_status push_spec(sg_classes *k, class_spec *spec, const sg_token *t, const word_place *place,
                           sg_error *err)
{
    sg_status st = SG_OK;
    int32_t key;
    size_t length;
    const char *tag = tag_of(spec, t);
    switch (spec->kind) {
    case BY_UPOS:
    case BY_XPOS:
    case BY_TAG:
    case BY_TAGS_FILE:
    case BY_DEPREL:
    case BY_LEMMA:
    case BY_COLUMN:
        if (tag)
            TRY(push_tag(k, spec, tag, strlen(tag), err));
        break;
    case BY_FEATS:
        for (const char *rest = t->feats, *f; (f = next_feature(&rest, &length));)
            TRY(push_tag(k, spec, f, length, err));
        break;
    case BY_MISC:
        for (const char *rest = t->columns ? t->columns[COLUMN_MISC] : NULL, *f;
             (f = next_feature(&rest, &length));) {
            size_t n = strlen(spec->key);
            if (length > n && f[n] == '=' && !strncmp(f, spec->key, n))
                TRY(push_tag(k, spec, f, length, err));
        }
        break;
    case BY_POSITION:
        for (size_t i = 0; i < PLACES; i++)
            if (place->in >> i & 1)
                TRY(push_tag(k, spec, place_names[i], strlen(place_names[i]), err));
        break;
    case BY_TO_END:
        TRY(push_to_end(k, spec, place->to_end, err));
        break;
    case BY_LEXICON:
    case BY_WORDS:
        key = string_table_find(spec->words, t->form, t->length);
        for (int32_t i = key < 0 ? -1 : links_first(&spec->word_labels, (size_t)key); i >= 0;
             i = spec->word_labels.links[i].next) {
            int32_t label = spec->word_labels.links[i].value;
            if (spec->grouped) {
                tag = string_table_get(spec->labels, (size_t)label, &length);
                TRY(add_note(k, LABEL_TAG, tag, length, err));
            }
            TRY(push_label(k, spec, label, err));
        }
        break;
    case BY_FREQUENCY:
    case BY_EXPRESSION:
        break;
    }
done:
    return st;
}

/* ---- expressions ---- */

static sg_status push_families(sg_classes *f, size_t *ends, const sg_token *t, const word_place *place,
                               int32_t id, sg_error *err)
{
    sg_status st = SG_OK;
    f->n_current = 0;
    TRY(begin_note(f, NULL, NULL, err));
    for (size_t i = 0; i < f->n_specs; i++) {
        if (f->specs[i].kind == BY_FREQUENCY)
            TRY(push_frequency(f, id, err));
        else
            TRY(push_spec(f, &f->specs[i], t, place, err));
        ends[i] = f->n_current;
    }
done:
    return st;
}

/* The classes of a crossing: a name per combination of one member of each factor, counted through like
 * digits. */
static sg_status push_crossing(sg_classes *k, class_spec *spec, sg_error *err)
{
    sg_status st = SG_OK;
    const expression *x = spec->expression;
    size_t n = expression_factors(x), at[EXPRESSION_FACTORS] = {0}, start[EXPRESSION_FACTORS],
           members[EXPRESSION_FACTORS], f;
    for (f = 0; f < n; f++) {
        int32_t family = spec->families[f];
        start[f] = family > 0 ? k->family_ends[family - 1] : 0;
        members[f] = family < 0 ? 1 : k->family_ends[family] - start[f];
        if (!members[f])
            return SG_OK;
    }
    do {
        k->n_name = 0;
        for (f = 0; f < n; f++) {
            const sg_classes *of = k->families;
            const char *name = !of || spec->families[f] < 0
                                   ? expression_factor_text(x, f)
                                   : sg_classes_name(of, (size_t)of->current[start[f] + at[f]]);
            size_t length = strlen(name);
            TRY(array_reserve(&k->name, &k->name_cap, k->n_name + length + 1, 1, err));
            if (f)
                k->name[k->n_name++] = '&';
            memcpy(k->name + k->n_name, name, length);
            k->n_name += length;
        }
        TRY(push_tag(k, spec, k->name, k->n_name, err));
        for (f = 0; f < n && ++at[f] == members[f]; f++)
            at[f] = 0;
    } while (f < n);
done:
    return st;
}

/* In the order of the specs: an expression may name those before it. */
static sg_status push_expressions(sg_classes *k, const sg_token *t, const word_place *place, int32_t id,
                                  sg_error *err)
{
    sg_status st = SG_OK;
    if (k->families)
        TRY(push_families(k->families, k->family_ends, t, place, id, err));
    for (size_t i = 0; i < k->n_specs; i++) {
        class_spec *spec = &k->specs[i];
        if (!spec->expression)
            continue;
        const expression_word w = classes_word_at(k, k->note, k->n_note, k->current, k->n_current, id);
        bool holds = true;
        for (size_t f = 0; f < expression_factors(spec->expression); f++) {
            bool family = expression_family(spec->expression, f) != NULL;
            holds = (family || expression_holds(spec->expression, f, &w)) && holds;
        }
        if (!holds)
            continue;
        if (spec->class) {
            TRY(push_class(k, spec->class, err));
            spec->used = true;
        } else
            TRY(push_crossing(k, spec, err));
    }
done:
    return st;
}

/* Sorts what the token is in, drops doubles. Lists are short. */
static void sort_current(sg_classes *k)
{
    size_t n = 0;
    for (size_t i = 1; i < k->n_current; i++) {
        int32_t c = k->current[i];
        size_t j = i;
        for (; j && k->current[j - 1] > c; j--)
            k->current[j] = k->current[j - 1];
        k->current[j] = c;
    }
    for (size_t i = 0; i < k->n_current; i++)
        if (!n || k->current[n - 1] != k->current[i])
            k->current[n++] = k->current[i];
    k->n_current = n;
}

/* The set of the classes in k->current. path, line: where the token is. */
static sg_status enter_set(sg_classes *k, int32_t id, const char *path, uint64_t line, uint32_t *set,
                           sg_error *err)
{
    sg_status st = SG_OK;
    int32_t number, note;
    bool added;
    sort_current(k);
    TRY(string_table_add(k->sets, k->n_current ? (const void *)k->current : "",
                         k->n_current * sizeof *k->current, &number, &added, err));
    if (number >= MAX_SETS)
        TRY(sg_fail(err, SG_EINVAL, "%s:%ju: more than %d different combinations of classes; use groups",
                    path, (uintmax_t)line, MAX_SETS));
    if (added)
        TRY(array_reserve(&k->set_tokens, &k->set_tokens_cap, (size_t)number + 1, sizeof *k->set_tokens,
                          err));
    k->set_tokens[number]++;
    *set = (uint32_t)number;
    memcpy(k->note, set, CLASS_SET_BYTES);
    TRY(string_table_add(k->notes, k->note, k->n_note, &note, NULL, err));
    if (id >= 0 && k->vocab && id != sg_vocab_unk(k->vocab))
        TRY(classes_count_pair(k, note, id, err));
done:
    return st;
}

sg_status classes_assign(sg_classes *k, const sg_token *t, const word_place *place, int32_t id, uint32_t *set,
                         sg_error *err)
{
    sg_status st = SG_OK;
    k->n_current = 0;
    TRY(begin_note(k, t, place, err));
    for (size_t i = 0; i < k->n_specs && !t->eos; i++)
        TRY(push_spec(k, &k->specs[i], t, place, err));
    if (k->by_frequency)
        TRY(push_frequency(k, id, err));
    if (!t->eos)
        TRY(push_expressions(k, t, place, id, err));
    TRY(enter_set(k, id, t->path, t->line, set, err));
done:
    return st;
}

sg_status classes_assign_members(sg_classes *k, const bool *member, int32_t id, uint64_t where, uint32_t *set,
                                 sg_error *err)
{
    sg_status st = SG_OK;
    k->n_current = 0;
    TRY(begin_note(k, NULL, NULL, err));
    for (size_t c = 1; member && c < sg_classes_count(k); c++)
        if (member[c - 1])
            TRY(push_class(k, (int32_t)c, err));
    TRY(enter_set(k, id, "token", where, set, err));
done:
    return st;
}

/* ---- after the last token ---- */

static sg_status check_used(const sg_classes *k, sg_error *err)
{
    sg_status st = SG_OK;
    size_t n_classes = sg_classes_count(k), members;
    bool *used = sg_calloc(n_classes, sizeof *used);
    if (!used)
        return no_memory(err, "the classes");
    for (size_t s = 0; s < sg_classes_sets(k); s++) {
        const char *set = classes_set_members(k, s, &members);
        for (size_t j = 0; j < members; j++)
            used[classes_set_member(set, j)] |= k->set_tokens[s] > 0;
    }
    for (size_t i = 0; i < k->n_specs; i++)
        if (k->specs[i].expression)
            TRY(classes_check_labels(k, k->specs[i].expression, err));
    for (size_t i = 0; i < k->n_specs; i++) {
        const class_spec *spec = &k->specs[i];
        bool column = spec->kind <= BY_FEATS || (spec->kind >= BY_DEPREL && spec->kind <= BY_MISC);
        if (!spec->used && spec->kind != BY_FREQUENCY)
            TRY(sg_fail(err, SG_EINVAL, "classes '%s': contains no word of the corpus%s", spec->text,
                        column ? " (a column of CoNLL-U: files named .conllu, or setting 'format' conllu)"
                        : spec->kind == BY_TAG ? " (word/tag is read with setting 'format' tagged)"
                                               : ""));
    }
    for (size_t c = 1; c < n_classes; c++)
        if (!used[c] && k->origins[c]) /* classes from an array of names have no specs: no file is at fault */
            TRY(sg_fail(err, k->n_specs ? SG_EFORMAT : SG_EINVAL,
                        "%s: class '%s' contains no word of the corpus", k->origins[c],
                        sg_classes_name(k, c)));
done:
    sg_free(used);
    return st;
}

sg_status classes_finish(sg_classes *k, sg_error *err)
{
    sg_status st = check_used(k, err);
    return st == SG_OK ? classes_list_words(k, err) : st;
}

size_t sg_classes_sets(const sg_classes *k)
{
    return string_table_count(k->sets);
}

bool sg_classes_contains(const sg_classes *k, size_t set, size_t c)
{
    size_t n;
    const char *members = classes_set_members(k, set, &n);
    for (size_t i = 0; i < n; i++)
        if (classes_set_member(members, i) == (int32_t)c)
            return true;
    return c == 0;
}

size_t sg_classes_words(const sg_classes *k, size_t c, const sg_class_word **words)
{
    if (!k->words) {
        *words = NULL;
        return 0;
    }
    *words = k->words + k->word_starts[c];
    return k->word_starts[c + 1] - k->word_starts[c];
}

uint64_t sg_classes_word_count(const sg_classes *k, size_t c, int32_t id)
{
    const sg_class_word *words;
    size_t low = 0, high = sg_classes_words(k, c, &words);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (words[middle].id == id)
            return words[middle].count;
        if (words[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

void sg_classes_free(sg_classes *k)
{
    if (!k)
        return;
    for (size_t i = 0; k->specs && i < k->n_specs; i++)
        class_spec_free(&k->specs[i]);
    for (size_t c = 0; k->names && k->origins && c < sg_classes_count(k); c++)
        sg_free(k->origins[c]);
    sg_free(k->specs);
    sg_free(k->origins);
    sg_free(k->spec_of);
    string_table_free(k->names);
    string_table_free(k->sets);
    sg_free(k->set_tokens);
    sg_free(k->bands);
    sg_free(k->ranks);
    sg_classes_free(k->families);
    sg_free(k->family_ends);
    sg_free(k->name);
    sg_free(k->note);
    string_table_free(k->notes);
    sg_free(k->current);
    sg_free(k->pair_keys);
    sg_free(k->pair_counts);
    sg_free(k->word_starts);
    sg_free(k->words);
    for (size_t i = 0; i < k->n_layers; i++) {
        sg_free(k->layers[i].path);
        sg_free(k->layers[i].name);
    }
    string_table_free(k->wants.keys);
    sg_free(k);
}
