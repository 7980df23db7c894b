/* SPDX-License-Identifier: MIT */
/* pairs.c - from a file of pairs to the model's tokens, and to their scores. */
#include "behaviour/pairs_internal.h"

#include "base/base_internal.h"
#include "base/utf8.h"
#include "behaviour/pairs_score.h"
#include "behaviour/path.h"

#include <math.h>
#include <string.h>

enum { MAX_TOKENS = 8000, MAX_NODES = 4096 };

/* The model's tokens of every distinct word of the file. */
typedef struct {
    const sg_model *m;
    const sg_vocab *vocab;
    bool chars, eos;
    int32_t eos_id, unk;
    size_t *at, *n; /* of each word, in ids */
    bool *unknown;
    int32_t *ids;
    size_t n_ids, room;
} tokens;

/* Both sentences of every pair in tokens, and the slot of attribution of each. */
typedef struct {
    int32_t *ids;
    uint32_t *slots;
    size_t n, room_ids, room_slots;
} sequences;

static void tokens_free(tokens *t)
{
    sg_free(t->at), sg_free(t->n), sg_free(t->unknown), sg_free(t->ids);
}

static sg_status put_id(tokens *t, int32_t id, sg_error *err)
{
    sg_status st = array_reserve(&t->ids, &t->room, t->n_ids + 1, sizeof *t->ids, err);
    if (st == SG_OK)
        t->ids[t->n_ids++] = id;
    return st;
}

static sg_status put_characters(tokens *t, const char *word, size_t n, bool *unknown, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t i = 0, k; st == SG_OK && i < n; i += k) {
        k = utf8_length((const unsigned char *)word + i, n - i);
        int32_t id = sg_vocab_id(t->vocab, word + i, k);
        *unknown = *unknown || id < 0;
        st = put_id(t, id < 0 ? t->unk : id, err);
    }
    return st;
}

static sg_status put_pieces(tokens *t, const char *word, size_t n, bool *unknown, sg_error *err)
{
    int32_t *pieces = NULL;
    size_t room = 0, count = 0;
    sg_status st;
    TRY(sg_vocab_split(t->vocab, word, n, &pieces, &room, &count, err));
    for (size_t i = 0; i < count; i++) {
        *unknown = *unknown || pieces[i] < 0 || pieces[i] == t->unk;
        TRY(put_id(t, pieces[i], err));
    }
done:
    sg_ids_free(pieces);
    return st;
}

static sg_status put_word(tokens *t, size_t number, const char *word, size_t n, sg_error *err)
{
    sg_status st;
    char excerpt[64];
    t->at[number] = t->n_ids;
    if (t->chars)
        st = put_characters(t, word, n, &t->unknown[number], err);
    else if (sg_vocab_tokenizer(t->vocab))
        st = put_pieces(t, word, n, &t->unknown[number], err);
    else {
        int32_t id = sg_vocab_id(t->vocab, word, n);
        t->unknown[number] = id < 0;
        st = put_id(t, id < 0 ? t->unk : id, err);
    }
    t->n[number] = t->n_ids - t->at[number];
    for (size_t i = t->at[number]; st == SG_OK && i < t->n_ids; i++)
        if (t->ids[i] < 0)
            return sg_fail(err, SG_EFORMAT, "'%s' is not in the model's vocabulary, which has no <unk>",
                           text_excerpt(excerpt, word, n));
    return st;
}

/* The first line with a word. */
static size_t line_with(const pairs_file *f, size_t word)
{
    for (size_t i = 0; i < f->n; i++) {
        const pairs_entry *e = &f->entries[i];
        for (size_t k = 0; k < e->n_good; k++)
            if (f->words[e->good + k] == (int32_t)word)
                return e->line;
        for (size_t k = 0; k < e->n_bad; k++)
            if (f->words[e->bad + k] == (int32_t)word)
                return e->line;
    }
    return 0;
}

static sg_status tokens_init(tokens *t, const sg_model *m, const pairs_file *f, bool no_eos, const char *path,
                             sg_error *err)
{
    sg_status st = SG_OK;
    const sg_model_shape *shape = sg_model_get_shape(m);
    const size_t words = string_table_count(f->word);
    sg_error why = {""};
    *t = (tokens){.m = m, .vocab = sg_model_vocab(m), .chars = shape->unit == SG_UNIT_CHAR};
    t->unk = sg_vocab_unk(t->vocab);
    t->eos_id = t->chars ? sg_vocab_id(t->vocab, "\n", 1) : sg_vocab_eos(t->vocab);
    t->eos = shape->eos && !no_eos && t->eos_id >= 0;
    NEED((t->at = sg_calloc(words, sizeof *t->at)) && (t->n = sg_calloc(words, sizeof *t->n)) &&
             (t->unknown = sg_calloc(words, sizeof *t->unknown)),
         err, "%zu words", words);
    for (size_t i = 0; i < words; i++) {
        size_t n;
        const char *word = string_table_get(f->word, i, &n);
        if ((st = put_word(t, i, word, n, &why)) == SG_OK)
            continue;
        const size_t line = st == SG_EFORMAT ? line_with(f, i) : 0;
        if (line)
            TRY(sg_fail(err, st, "%s:%zu: %s", path, line, why.msg));
        else if (st != SG_EFORMAT) /* else no sentence has the word in the end */
            TRY(sg_fail(err, st, "%s", why.msg));
        st = SG_OK;
    }
done:
    return st;
}

/* ---- sentences in tokens ---- */

static sg_status put_token(sequences *s, int32_t id, size_t slot, sg_error *err)
{
    sg_status st = array_reserve(&s->ids, &s->room_ids, s->n + 1, sizeof *s->ids, err);
    if (st == SG_OK)
        st = array_reserve(&s->slots, &s->room_slots, s->n + 1, sizeof *s->slots, err);
    if (st == SG_OK)
        s->ids[s->n] = id, s->slots[s->n++] = (uint32_t)slot;
    return st;
}

/* Number of the good word that shares its place with bad word i, for i at or beyond same_begin; n_good: none
 * does. */
static size_t place_of_bad(const pairs_entry *e, const pairs_result *r, size_t i)
{
    if (i + r->same_end >= e->n_bad)
        return i + e->n_good - e->n_bad;
    return e->n_good == e->n_bad ? i : e->n_good;
}

/* Slot of word i: 0 is what is read before the first one. */
static size_t slot_of(const pairs_entry *e, const pairs_result *r, bool bad, size_t i)
{
    if (!bad || i < r->same_begin)
        return i + 1;
    const size_t place = place_of_bad(e, r, i);
    return place < e->n_good ? place + 1 : 1 + e->n_good + i - r->same_begin;
}

static sg_status put_sentence(sequences *s, const tokens *t, const pairs_file *f, const pairs_entry *e,
                              const pairs_result *r, bool bad, sg_error *err)
{
    sg_status st = SG_OK;
    const int32_t *words = f->words + (bad ? e->bad : e->good);
    const size_t begin = s->n;
    const int32_t space = t->chars ? sg_vocab_id(t->vocab, " ", 1) : -1;
    if (t->eos)
        TRY(put_token(s, t->eos_id, 0, err));
    for (size_t i = 0; i < (bad ? e->n_bad : e->n_good); i++) {
        const size_t word = (size_t)words[i], slot = slot_of(e, r, bad, i);
        if (i && space >= 0)
            TRY(put_token(s, space, slot, err));
        for (size_t k = 0; k < t->n[word]; k++)
            TRY(put_token(s, t->ids[t->at[word] + k], slot, err));
        if (s->n - begin > MAX_TOKENS)
            TRY(sg_fail(err, SG_EFORMAT, "a sentence of more than %d tokens", (int)MAX_TOKENS));
    }
    if (t->eos)
        TRY(put_token(s, t->eos_id, 0, err));
    if (s->n - begin < 2)
        TRY(sg_fail(err, SG_EFORMAT,
                    "a sentence of one token: without <eos> there is nothing to predict it from"));
done:
    return st;
}

/* What the sentences share, and which of the words that differ are unknown. */
static void look_at(pairs_result *r, const tokens *t, const pairs_file *f, const pairs_entry *e)
{
    const int32_t *good = f->words + e->good, *bad = f->words + e->bad;
    const size_t least = e->n_good < e->n_bad ? e->n_good : e->n_bad;
    size_t unknown[2] = {0, 0};
    while (r->same_begin < least && good[r->same_begin] == bad[r->same_begin])
        r->same_begin++;
    while (r->same_begin + r->same_end < least &&
           good[e->n_good - 1 - r->same_end] == bad[e->n_bad - 1 - r->same_end])
        r->same_end++;
    const size_t differ[2] = {e->n_good - r->same_begin - r->same_end,
                              e->n_bad - r->same_begin - r->same_end};
    for (size_t i = 0; i < differ[0]; i++)
        unknown[0] += t->unknown[good[r->same_begin + i]];
    for (size_t i = 0; i < differ[1]; i++)
        unknown[1] += t->unknown[bad[r->same_begin + i]];
    r->left_out = differ[0] && differ[1] && unknown[0] == differ[0] && unknown[1] == differ[1];
    r->one_unknown = !r->left_out && unknown[0] + unknown[1] > 0;
    for (size_t i = 0; i < e->n_good; i++)
        r->unknown += t->unknown[good[i]];
    for (size_t i = 0; i < e->n_bad; i++)
        r->unknown += t->unknown[bad[i]];
    r->n = 1 + e->n_good + (differ[0] == differ[1] ? 0 : differ[1]);
}

/* The tokens of pair i, at begin[0] and begin[1] of s; whether the sentences differ for the model. */
static sg_status put_pair(sg_pairs *p, sequences *s, const tokens *t, size_t i, size_t begin[2],
                          pairs_sequences *x, sg_error *err)
{
    const pairs_entry *e = &p->file.entries[i];
    pairs_result *r = &p->results[i];
    sg_status st = SG_OK;
    for (int bad = 0; bad < 2; bad++) {
        begin[bad] = s->n;
        TRY(put_sentence(s, t, &p->file, e, r, bad, err));
    }
    x->n_good = begin[1] - begin[0], x->n_bad = s->n - begin[1];
    const size_t least = x->n_good < x->n_bad ? x->n_good : x->n_bad;
    while (x->from < least && s->ids[begin[0] + x->from] == s->ids[begin[1] + x->from])
        x->from++;
    r->left_out = r->left_out || (x->from == x->n_good && x->from == x->n_bad);
    if (p->summary.by_word && !r->left_out && (!x->from || x->from == least))
        st =
            sg_fail(err, SG_EFORMAT, "the sentences differ %s, where %s: nothing to compare by word",
                    x->from ? "in length alone" : "in the first token",
                    x->from ? "the shorter one has no word" : "without <eos> no token before it predicts it");
done:
    return st;
}

/* ---- scores ---- */

typedef struct {
    pairs_sequences *pairs; /* those that are scored */
    size_t *number;         /* their numbers */
    size_t n;
} work;

/* Attributions of the words that are read begin at 0. */
static void begin_attribution(const pairs_sequences *x, size_t n, bool by_word)
{
    for (size_t i = 0; i < n; i++)
        x->attribution[i] = (double)NAN;
    for (size_t i = 0; i < (by_word ? x->from : x->n_good - 1); i++)
        x->attribution[x->slot_good[i]] = 0;
    for (size_t i = 0; i + 1 < x->n_bad && !by_word; i++)
        x->attribution[x->slot_bad[i]] = 0;
}

/* The scored pairs, with borrowed pointers into s. begins: (entries, 2) */
static void point(sg_pairs *p, work *w, const sequences *s, const size_t (*begins)[2])
{
    for (size_t k = 0; k < w->n; k++) {
        const size_t i = w->number[k];
        pairs_sequences *x = &w->pairs[k];
        x->good = s->ids + begins[i][0], x->bad = s->ids + begins[i][1];
        x->slot_good = s->slots + begins[i][0], x->slot_bad = s->slots + begins[i][1];
        x->attribution = p->attribution ? p->attribution + p->results[i].attribution : NULL;
        if (x->attribution)
            begin_attribution(x, p->results[i].n, p->summary.by_word);
    }
}

static size_t nodes_of(const sg_pairs_config *cfg)
{
    return (cfg->path + PATH_NODES - 1) / PATH_NODES * PATH_NODES;
}

static sg_status score(sg_pairs *p, work *w, const sg_model *m, const sg_pairs_config *cfg, const char *path,
                       const sg_monitor *monitor, sg_error *err)
{
    size_t at = 0;
    sg_error why = {""};
    const pairs_scoring how = {p->summary.by_word, nodes_of(cfg), cfg->threads};
    sg_status st = w->n ? pairs_score(m, &how, w->pairs, w->n, &at, monitor, &why) : SG_OK;
    if (st != SG_OK && at < w->n)
        return sg_fail(err, st, "%s:%zu: %s", path, p->file.entries[w->number[at]].line, why.msg);
    if (st != SG_OK)
        return sg_fail(err, st, "%s", why.msg);
    for (size_t k = 0; k < w->n; k++) {
        pairs_result *r = &p->results[w->number[k]];
        const pairs_sequences *x = &w->pairs[k];
        r->log_p_good = x->log_p_good, r->log_p_bad = x->log_p_bad;
        r->difference = x->difference, r->origin = x->origin;
    }
    return SG_OK;
}

static sg_status encode_and_score(sg_pairs *p, const sg_model *m, const sg_pairs_config *cfg,
                                  const char *path, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t n = p->file.n;
    tokens t = {0};
    sequences s = {0};
    work w = {0};
    sg_error why = {""};
    size_t(*begins)[2] = sg_calloc(n, sizeof *begins);
    NEED(begins && (w.pairs = sg_calloc(n, sizeof *w.pairs)) && (w.number = sg_calloc(n, sizeof *w.number)) &&
             (p->results = sg_calloc(n, sizeof *p->results)),
         err, "%zu pairs", n);
    TRY(tokens_init(&t, m, &p->file, cfg->no_eos, path, err));
    p->summary.begins = t.eos;
    for (size_t i = 0; i < n; i++) {
        pairs_result *r = &p->results[i];
        r->log_p_good = r->log_p_bad = r->difference = r->origin = (double)NAN;
        look_at(r, &t, &p->file, &p->file.entries[i]);
        w.pairs[w.n] = (pairs_sequences){0};
        if ((st = put_pair(p, &s, &t, i, begins[i], &w.pairs[w.n], &why)) != SG_OK)
            TRY(st == SG_EFORMAT ? sg_fail(err, st, "%s:%zu: %s", path, p->file.entries[i].line, why.msg)
                                 : sg_fail(err, st, "%s", why.msg));
        if (!r->left_out)
            w.number[w.n++] = i;
        r->attribution = p->n_attribution;
        p->n_attribution += r->n;
        p->summary.words += p->file.entries[i].n_good + p->file.entries[i].n_bad;
        p->summary.unknown_words += r->unknown;
    }
    if (p->summary.attribution)
        NEED(p->attribution = sg_calloc(p->n_attribution, sizeof *p->attribution), err,
             "the attributions of %zu words", p->n_attribution);
    point(p, &w, &s, begins);
    st = score(p, &w, m, cfg, path, monitor, err);
done:
    tokens_free(&t);
    sg_free(s.ids), sg_free(s.slots), sg_free(begins), sg_free(w.pairs), sg_free(w.number);
    return st;
}

/* ---- the public side ---- */

static sg_status check(const sg_model *m, const sg_pairs_config *cfg, sg_error *err)
{
    const sg_model_shape *shape = sg_model_get_shape(m);
    if (!shape->vocabulary)
        return sg_fail(err, SG_EINVAL, "pairs: the model reads feature vectors, not words");
    if (cfg->path > MAX_NODES)
        return sg_fail(err, SG_EINVAL, "pairs: setting 'path': %zu nodes, expected %d at most", cfg->path,
                       (int)MAX_NODES);
    return sg_lm_can_eval(m, err);
}

sg_status sg_pairs_new(sg_pairs **out, const sg_model *m, const char *path, const sg_pairs_config *cfg,
                       const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    sg_pairs_config own = {0};
    cfg = config_take(&own, sizeof own, cfg);
    sg_pairs *p = NULL;
    *out = NULL;
    TRY(check(m, cfg, err));
    NEED(p = sg_calloc(1, sizeof *p), err, "the pairs");
    if (own.split == SG_PAIRS_SPLIT_AUTO &&
        (sg_vocab_tokenizer(sg_model_vocab(m)) || sg_model_get_shape(m)->unit == SG_UNIT_CHAR))
        own.split = SG_PAIRS_SPACES;
    TRY(pairs_file_read(&p->file, path, &own, err));
    p->shape = *sg_model_get_shape(m);
    p->cfg = own, p->cfg.condition = NULL;
    p->cfg.path = nodes_of(&own);
    if (own.condition)
        NEED(p->cfg.condition = p->condition = sg_strdup(own.condition), err, "the pairs");
    p->summary.by_word = own.score == SG_PAIRS_WORD || (own.score == SG_PAIRS_SCORE_AUTO && p->file.forms);
    p->summary.attribution = own.attribution || own.path || string_table_count(p->file.role);
    TRY(encode_and_score(p, m, &own, path, monitor, err));
    TRY(pairs_count(p, err));
    *out = p, p = NULL;
done:
    sg_pairs_free(p);
    return st;
}

void sg_pairs_free(sg_pairs *p)
{
    if (!p)
        return;
    pairs_file_free(&p->file);
    sg_free(p->results), sg_free(p->attribution), sg_free(p->conditions), sg_free(p->roles);
    sg_free(p->condition);
    sg_free(p);
}

/* Number of the bad word in the place of good word i; n_bad: there is none. */
static size_t bad_in_place(const pairs_entry *e, const pairs_result *r, size_t i)
{
    if (i < r->same_begin || e->n_good == e->n_bad)
        return i;
    return i + r->same_end >= e->n_good ? i + e->n_bad - e->n_good : e->n_bad;
}

void pairs_get_slot(const sg_pairs *p, size_t i, size_t k, pairs_slot *out)
{
    const pairs_entry *e = &p->file.entries[i];
    const pairs_result *r = &p->results[i];
    const int32_t *good = p->file.words + e->good, *bad = p->file.words + e->bad;
    *out = (pairs_slot){-1, -1, p->attribution ? p->attribution[r->attribution + k] : (double)NAN};
    if (k > e->n_good) {
        out->bad = bad[r->same_begin + k - e->n_good - 1];
    } else if (k) {
        const size_t place = bad_in_place(e, r, k - 1);
        out->good = good[k - 1];
        out->bad = place < e->n_bad ? bad[place] : -1;
    }
}

const sg_pairs_summary *sg_pairs_get_summary(const sg_pairs *p)
{
    return &p->summary;
}

size_t sg_pairs_count(const sg_pairs *p)
{
    return p->file.n;
}

void sg_pairs_get_item(const sg_pairs *p, size_t i, sg_pairs_item *out)
{
    const pairs_entry *e = &p->file.entries[i];
    const pairs_result *r = &p->results[i];
    *out = (sg_pairs_item){
        .line = e->line,
        .condition = e->condition < 0 ? "" : string_table_get(p->file.condition, (size_t)e->condition, NULL),
        .log_p_good = r->log_p_good,
        .log_p_bad = r->log_p_bad,
        .difference = r->difference,
        .left_out = r->left_out,
        .unknown_words = r->unknown};
}
