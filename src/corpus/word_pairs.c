/* SPDX-License-Identifier: MIT */
/* Relations of CoNLL-U, sentence by sentence, and pairs of positions from files. */
#include "corpus/word_pairs.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_SPECS = 32,
    MOST_KINDS = 255,
    MOST_WORDS = 1 << 20,
    COLUMN_ID = 0,
    COLUMN_HEAD = 6,
    COLUMN_DEPREL = 7
};

/* A relation; label, and the two that follow it where attractors are asked. */
typedef struct {
    char *text, *relation;
    bool to_head;    /* the dependent is read, its head is now; else the other way round */
    bool attractors; /* labels for pairs with one, and for those without */
    int32_t label;
    bool met;
} relation_spec;

/* A word of the sentence at hand. */
typedef struct {
    long id, head;
    uint64_t position;
    uint32_t specs; /* bits: the relation specs that its DEPREL fits */
    bool noun;
    char number; /* 'S', 'P', or 0 */
} sentence_word;

struct pair_collector {
    relation_spec specs[MOST_SPECS];
    size_t n_specs;
    string_table *labels, *kinds, *relations;
    sentence_word *words;
    size_t n_words, words_cap;
    sg_word_pair *pairs;
    size_t n_pairs, pairs_cap;
    uint8_t *kind;
    size_t n_kind, kind_cap;
    const char **names; /* labels, then kinds */
    sg_word_pairs view;
};

static const char to_head[] = "->head", from_head[] = "head->", attractors[] = ",attractors";

/* ---- specs ---- */

static sg_status add_label(pair_collector *p, const char *name, const char *more, int32_t *label,
                           sg_error *err)
{
    sg_status st = SG_OK;
    size_t size = strlen(name) + strlen(more) + 1;
    char *text = sg_calloc(size, 1);
    NEED(text, err, "the pairs");
    snprintf(text, size, "%s%s", name, more);
    st = string_table_add(p->labels, text, strlen(text), label, NULL, err);
done:
    sg_free(text);
    return st;
}

/* "deprel:REL->head" or "deprel:head->REL", perhaps ",attractors". *found false: it is none of these. */
static sg_status read_relation(pair_collector *p, const char *spec, bool *found, sg_error *err)
{
    static const char kind[] = "deprel:";
    sg_status st = SG_OK;
    const char *text = !strcmp(spec, "subject-verb") ? "subject-verb=deprel:nsubj->head,attractors" : spec;
    const char *column = strstr(text, kind), *rest = column ? column + strlen(kind) : text;
    char *name = NULL;
    int32_t unused;
    *found = column && (column == text || (column > text + 1 && column[-1] == '='));
    if (!*found)
        return SG_OK;
    if (p->n_specs == MOST_SPECS)
        return sg_fail(err, SG_EINVAL, "pairs '%s': more than %d relations", spec, MOST_SPECS);
    relation_spec *s = &p->specs[p->n_specs++];
    size_t n = strlen(rest), end = strlen(attractors), arrow = sizeof to_head - 1;
    s->attractors = n > end && !strcmp(rest + n - end, attractors);
    n -= s->attractors ? end : 0;
    s->to_head = n > arrow && !strncmp(rest + n - arrow, to_head, arrow);
    if (!s->to_head && (n <= arrow || strncmp(rest, from_head, arrow) != 0))
        return sg_fail(err, SG_EINVAL, "pairs '%s': expected deprel:RELATION->head or deprel:head->RELATION",
                       spec);
    NEED((s->text = sg_strdup(spec)) &&
             (s->relation = sg_strndup(s->to_head ? rest : rest + arrow, n - arrow)) &&
             (name = column > text ? sg_strndup(text, (size_t)(column - text) - 1)
                                   : sg_strndup(text, (size_t)(rest - text) + n)),
         err, "the pairs");
    TRY(add_label(p, name, "", &s->label, err));
    if (s->label + 1 != (int32_t)string_table_count(p->labels))
        TRY(sg_fail(err, SG_EINVAL, "pairs '%s': the label '%s' is given twice", spec, name));
    if (s->attractors) {
        TRY(add_label(p, name, ", attractor", &unused, err));
        TRY(add_label(p, name, ", no attractor", &unused, err));
    }
done:
    sg_free(name);
    return st;
}

static sg_status add_pair(pair_collector *p, uint64_t read, uint64_t now, int32_t label, sg_error *err)
{
    sg_status st = array_reserve(&p->pairs, &p->pairs_cap, p->n_pairs + 1, sizeof *p->pairs, err);
    if (st == SG_OK)
        p->pairs[p->n_pairs++] = (sg_word_pair){read, now, (uint32_t)label};
    return st;
}

/* A token's number at *text, which is moved past it. */
static bool read_position(char **text, uint64_t *x)
{
    char *end;
    *text += strspn(*text, " \t");
    size_t n = strspn(*text, "0123456789");
    *x = strtoull(*text, &end, 10);
    bool good = n && n < 19 && (*end == ' ' || *end == '\t');
    *text = end;
    return good;
}

/* Lines "read now label". */
static sg_status read_file(pair_collector *p, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    text_lines l = {0};
    char *line, excerpt[64];
    size_t before = p->n_pairs;
    TRY(text_lines_open(&l, path, err));
    while ((line = text_lines_next(&l))) {
        uint64_t read, now;
        int32_t label;
        char *rest = line;
        size_t blank = strspn(line, " \t");
        if (!line[blank] || line[blank] == '#')
            continue;
        text_excerpt(excerpt, line, strlen(line));
        bool good = read_position(&rest, &read) && read_position(&rest, &now);
        rest += strspn(rest, " \t");
        size_t n = strlen(rest);
        while (n && strchr(" \t", rest[n - 1]))
            n--;
        if (!good || !n)
            TRY(sg_fail(
                err, SG_EFORMAT,
                "%s:%zu: '%s', expected two token positions, the word that is read and the later one, and a "
                "label",
                path, l.line, excerpt));
        TRY(string_table_add(p->labels, rest, n, &label, NULL, err));
        TRY(add_pair(p, read, now, label, err));
    }
    if (p->n_pairs == before)
        TRY(sg_fail(err, SG_EFORMAT, "%s: no pairs, expected lines 'read now label'", path));
done:
    text_lines_close(&l);
    return st;
}

static sg_status read_spec(pair_collector *p, const char *spec, sg_error *err)
{
    sg_status st = SG_OK;
    bool found;
    TRY(read_relation(p, spec, &found, err));
    if (found)
        goto done;
    st = read_file(p, spec, err);
    if (st == SG_EIO)
        return sg_fail(
            err, SG_EINVAL,
            "pairs '%s': expected subject-verb, deprel:RELATION->head, deprel:head->RELATION or a file that "
            "can be read",
            spec);
done:
    return st;
}

sg_status pairs_new(pair_collector **out, const char *const *specs, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    pair_collector *p = sg_calloc(1, sizeof *p);
    NEED(p, err, "the pairs");
    TRY(string_table_new(&p->labels, err));
    TRY(string_table_new(&p->kinds, err));
    TRY(string_table_new(&p->relations, err));
    for (size_t i = 0; i < n; i++)
        TRY(read_spec(p, specs[i], err));
    *out = p;
    p = NULL;
done:
    pairs_free(p);
    return st;
}

/* ---- a sentence ---- */

static const sentence_word *find_word(const pair_collector *p, long id)
{
    /* ids count from 1 in nearly every file */
    if (id >= 1 && (size_t)id <= p->n_words && p->words[id - 1].id == id)
        return &p->words[id - 1];
    for (size_t i = 0; i < p->n_words; i++)
        if (p->words[i].id == id)
            return &p->words[i];
    return NULL;
}

/* A noun of the other number between two words. */
static bool has_attractor(const sentence_word *dependent, const sentence_word *a, const sentence_word *b)
{
    for (const sentence_word *w = a + 1; w < b; w++)
        if (w->noun && w->number && w->number != dependent->number)
            return true;
    return false;
}

static sg_status pair_up(pair_collector *p, const sentence_word *dependent, relation_spec *s, sg_error *err)
{
    sg_status st = SG_OK;
    const sentence_word *head = find_word(p, dependent->head);
    s->met = true;
    if (!head || head == dependent) {
        p->view.outside++;
        return SG_OK;
    }
    const sentence_word *read = s->to_head ? dependent : head, *now = s->to_head ? head : dependent;
    if (read > now) {
        p->view.reversed += s->attractors && dependent->number ? 2 : 1; /* once for each label */
        return SG_OK;
    }
    TRY(add_pair(p, read->position, now->position, s->label, err));
    if (s->attractors && dependent->number)
        TRY(add_pair(p, read->position, now->position,
                     s->label + (has_attractor(dependent, read, now) ? 1 : 2), err));
done:
    return st;
}

static sg_status end_sentence(pair_collector *p, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t i = 0; i < p->n_words; i++)
        for (size_t s = 0; s < p->n_specs; s++)
            if (p->words[i].specs >> s & 1)
                TRY(pair_up(p, &p->words[i], &p->specs[s], err));
    p->n_words = 0;
done:
    return st;
}

/* A relation fits its subtypes: nsubj fits nsubj:pass. */
static bool relation_includes(const char *deprel, const char *relation)
{
    size_t n = strlen(relation);
    return !strncmp(deprel, relation, n) && (!deprel[n] || deprel[n] == ':');
}

static char number_of(const char *feats)
{
    static const char number[] = "Number=";
    for (const char *f = feats; f; f = (f = strchr(f, '|')) ? f + 1 : NULL)
        if (!strncmp(f, number, sizeof number - 1)) {
            const char *value = f + sizeof number - 1;
            return !strncmp(value, "Sing", 4) ? 'S' : !strncmp(value, "Plur", 4) ? 'P' : 0;
        }
    return 0;
}

static sg_status add_word(pair_collector *p, const sg_token *t, uint64_t position, sg_error *err)
{
    sg_status st = SG_OK;
    const char *id = t->columns[COLUMN_ID], *head = t->columns[COLUMN_HEAD],
               *deprel = t->columns[COLUMN_DEPREL];
    sentence_word w = {.id = id ? strtol(id, NULL, 10) : 0,
                       .head = head ? strtol(head, NULL, 10) : 0,
                       .position = position,
                       .noun = t->upos && (!strcmp(t->upos, "NOUN") || !strcmp(t->upos, "PROPN")),
                       .number = number_of(t->feats)};
    for (size_t s = 0; deprel && s < p->n_specs; s++)
        w.specs |= relation_includes(deprel, p->specs[s].relation) ? (uint32_t)1 << s : 0;
    int32_t unused;
    if (deprel)
        TRY(string_table_add(p->relations, deprel, strlen(deprel), &unused, NULL, err));
    if (p->n_words == MOST_WORDS)
        TRY(sg_fail(err, SG_EFORMAT, "%s:%zu: a sentence of more than %d words", t->path, t->line,
                    MOST_WORDS));
    TRY(array_reserve(&p->words, &p->words_cap, p->n_words + 1, sizeof *p->words, err));
    p->words[p->n_words++] = w;
done:
    return st;
}

sg_status pairs_token(pair_collector *p, const sg_token *t, uint64_t position, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    const char *name = t->eos ? "<eos>" : t->upos ? t->upos : t->tag ? t->tag : "word";
    int32_t kind = string_table_find(p->kinds, name, strlen(name));
    if (kind < 0 && string_table_count(p->kinds) < MOST_KINDS)
        TRY(string_table_add(p->kinds, name, strlen(name), &kind, NULL, err));
    TRY(array_reserve(&p->kind, &p->kind_cap, p->n_kind + n, 1, err));
    for (size_t i = 0; i < n; i++)
        p->kind[p->n_kind++] = kind < 0 ? MOST_KINDS : (uint8_t)kind;
    if (t->first)
        TRY(end_sentence(p, err));
    if (t->columns && p->n_specs)
        TRY(add_word(p, t, position, err));
done:
    return st;
}

/* ---- after the last token ---- */

static int compare_pairs(const void *pa, const void *pb)
{
    const sg_word_pair *a = pa, *b = pb;
    if (a->read != b->read)
        return a->read < b->read ? -1 : 1;
    if (a->now != b->now)
        return a->now < b->now ? -1 : 1;
    return a->label < b->label ? -1 : a->label > b->label;
}

static sg_status check_met(const pair_collector *p, const relation_spec *s, sg_error *err)
{
    sg_status st = SG_OK;
    size_t n = string_table_count(p->relations);
    const char **names = NULL;
    if (s->met)
        return SG_OK;
    NEED(names = sg_calloc(n, sizeof *names), err, "the pairs");
    for (size_t i = 0; i < n; i++)
        names[i] = string_table_get(p->relations, i, NULL);
    const char *near = sg_nearest_name(s->relation, names, n);
    st = sg_fail(err, SG_EINVAL, "pairs '%s': no word of the corpus has the relation '%s'%s%s%s", s->text,
                 s->relation,
                 near ? "; did you mean "
                 : n  ? ""
                      : " (a column of CoNLL-U: files named .conllu, or setting 'format' conllu)",
                 near ? near : "", near ? "?" : "");
done:
    sg_free(names);
    return st;
}

sg_status pairs_finish(pair_collector *p, uint64_t T, sg_error *err)
{
    sg_status st = SG_OK;
    size_t kept = 0, n_labels = string_table_count(p->labels), n_kinds = string_table_count(p->kinds);
    TRY(end_sentence(p, err));
    for (size_t s = 0; s < p->n_specs; s++)
        TRY(check_met(p, &p->specs[s], err));
    for (size_t i = 0; i < p->n_pairs; i++) {
        const sg_word_pair x = p->pairs[i];
        if (x.read >= T || x.now >= T)
            p->view.outside++;
        else if (x.read > x.now)
            p->view.reversed++;
        else
            p->pairs[kept++] = x;
    }
    if (kept)
        qsort(p->pairs, kept, sizeof *p->pairs, compare_pairs);
    NEED(p->names = sg_calloc(n_labels + n_kinds + 1, sizeof *p->names), err, "the pairs");
    for (size_t i = 0; i < n_labels; i++)
        p->names[i] = string_table_get(p->labels, i, NULL);
    for (size_t i = 0; i < n_kinds; i++)
        p->names[n_labels + i] = string_table_get(p->kinds, i, NULL);
    p->view.pairs = p->pairs;
    p->view.n = kept;
    p->view.labels = p->names;
    p->view.n_labels = n_labels;
    p->view.kind = p->kind;
    p->view.kinds = p->names + n_labels;
    p->view.n_kinds = n_kinds == MOST_KINDS ? MOST_KINDS + 1 : n_kinds;
    p->names[n_labels + n_kinds] = "other";
done:
    return st;
}

const sg_word_pairs *pairs_view(const pair_collector *p)
{
    return &p->view;
}

void pairs_free(pair_collector *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_specs; i++) {
        sg_free(p->specs[i].text);
        sg_free(p->specs[i].relation);
    }
    string_table_free(p->labels);
    string_table_free(p->kinds);
    string_table_free(p->relations);
    sg_free(p->words);
    sg_free(p->pairs);
    sg_free(p->kind);
    sg_free(p->names);
    sg_free(p);
}
