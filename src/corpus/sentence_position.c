/* SPDX-License-Identifier: MIT */
/* Places of words: a reader of its own goes a sentence ahead and keeps a byte per token. */
#include "corpus/sentence_position.h"

#include <string.h>

const char *const place_names[PLACES] = {"first", "last", "quoted", "bracketed"};

/* What a token is, until its sentence is known; then its PLACE_... bits. */
enum { A_WORD, AN_END, A_QUOTE, OPENS, CLOSES = OPENS + 3 };

static const char *const quotes[] = {"\"",           "``",           "''",       "\xe2\x80\x9c",
                                     "\xe2\x80\x9d", "\xe2\x80\x9e", "\xc2\xab", "\xc2\xbb"};
/* By kind: three that open, three that close. */
static const char *const brackets[6][2] = {{"(", "-LRB-"}, {"[", "-LSB-"}, {"{", "-LCB-"},
                                           {")", "-RRB-"}, {"]", "-RSB-"}, {"}", "-RCB-"}};

struct place_reader {
    sg_corpus *corpus;
    uint8_t *tokens; /* of the sentence: what they are, then their places */
    size_t n, at, cap, words;
    size_t *open; /* brackets that are open */
    size_t open_cap;
    uint8_t pending; /* the first token of the next sentence */
    bool has_pending, end;
};

static uint8_t what_is(const sg_token *t)
{
    if (t->eos)
        return AN_END;
    for (size_t i = 0; i < sizeof quotes / sizeof *quotes; i++)
        if (!strcmp(t->form, quotes[i]))
            return A_QUOTE;
    for (uint8_t i = 0; i < 6; i++)
        if (!strcmp(t->form, brackets[i][0]) || !strcmp(t->form, brackets[i][1]))
            return (uint8_t)(OPENS + i);
    return A_WORD;
}

static void mark_between(uint8_t *in, size_t from, size_t to, uint8_t bit)
{
    for (size_t i = from + 1; i < to; i++)
        in[i] |= bit;
}

/* A bracket closes the last open one of its kind; those opened after that one are never closed. Marks lie in
 * the high bits until what the tokens are is no longer needed. */
static sg_status resolve(place_reader *p, sg_error *err)
{
    enum { SHIFT = 4, WHAT = 15 };
    sg_status st = SG_OK;
    size_t n_open = 0, quote = SIZE_MAX;
    p->words = 0;
    for (size_t i = 0; i < p->n; i++) {
        uint8_t what = p->tokens[i] & WHAT;
        p->words += what != AN_END;
        if (what == A_QUOTE && quote == SIZE_MAX)
            quote = i;
        else if (what == A_QUOTE) {
            mark_between(p->tokens, quote, i, PLACE_QUOTED << SHIFT);
            quote = SIZE_MAX;
        } else if (what >= OPENS && what < CLOSES) {
            TRY(array_reserve(&p->open, &p->open_cap, n_open + 1, sizeof *p->open, err));
            p->open[n_open++] = i;
        } else if (what >= CLOSES) {
            size_t j = n_open;
            while (j && (p->tokens[p->open[j - 1]] & WHAT) != what - CLOSES + OPENS)
                j--;
            if (j) {
                mark_between(p->tokens, p->open[j - 1], i, (uint8_t)(PLACE_BRACKETED << SHIFT));
                n_open = j - 1;
            }
        }
    }
    for (size_t i = 0, word = 0; i < p->n; i++) {
        bool is_word = (p->tokens[i] & WHAT) != AN_END;
        p->tokens[i] >>= SHIFT;
        word += is_word;
        if (is_word && word == 1)
            p->tokens[i] |= PLACE_FIRST;
        if (is_word && word == p->words)
            p->tokens[i] |= PLACE_LAST;
    }
done:
    return st;
}

static sg_status put(place_reader *p, uint8_t what, sg_error *err)
{
    sg_status st = array_reserve(&p->tokens, &p->cap, p->n + 1, 1, err);
    if (st == SG_OK)
        p->tokens[p->n++] = what;
    return st;
}

static sg_status read_sentence(place_reader *p, sg_error *err)
{
    sg_status st = SG_OK;
    sg_token t;
    p->n = p->at = 0;
    if (p->has_pending)
        TRY(put(p, p->pending, err));
    p->has_pending = false;
    while (!p->end) {
        TRY(sg_corpus_next(p->corpus, &t, &p->end, err));
        if (p->end)
            break;
        if (t.first && p->n) {
            p->pending = what_is(&t);
            p->has_pending = true;
            break;
        }
        TRY(put(p, what_is(&t), err));
    }
    st = resolve(p, err);
done:
    return st;
}

sg_status places_open(place_reader **out, const sg_corpus_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    sg_corpus_config own = *cfg;
    place_reader *p = sg_calloc(1, sizeof *p);
    NEED(p, err, "the places of words");
    own.monitor = NULL; /* the parallel reader reports progress */
    own.tags_path = NULL;
    TRY(sg_corpus_open(&p->corpus, &own, err));
    *out = p;
    p = NULL;
done:
    places_close(p);
    return st;
}

sg_status places_next(place_reader *p, word_place *place, sg_error *err)
{
    *place = (word_place){0};
    if (p->at == p->n) {
        sg_status st = read_sentence(p, err);
        if (st != SG_OK)
            return st;
    }
    if (p->at == p->n) /* no token is left: a file that has changed */
        return sg_fail(err, SG_EIO, "%s: changed while it was read", corpus_first_path(p->corpus));
    place->in = p->tokens[p->at++];
    p->words -= p->words > 0;
    place->to_end = p->words;
    return SG_OK;
}

void places_close(place_reader *p)
{
    if (!p)
        return;
    sg_corpus_close(p->corpus);
    sg_free(p->tokens);
    sg_free(p->open);
    sg_free(p);
}
