/* SPDX-License-Identifier: MIT */
#include "analysis/pass/replaced_words.h"

#include "analysis/pass/word_law.h"
#include "base/base_internal.h"

struct replaced_words {
    const analysis *an;
    word_law any, *in; /* of the corpus; (C) of each class, that of "all" empty */
    int32_t *partner;  /* (P, V) or -1; NULL: no properties, no words */
    size_t *row;       /* rows of a set under REPLACED_BY_ANY, the concatenation of all */
    size_t *rows;      /* (sets + 1) where each begins */
    size_t *each;      /* (rows) 0, 1, 2, ... */
};

/* A word without tokens, and <unk>, replace none. */
static void add_word(word_law *l, const analysis *an, size_t id, uint64_t tokens)
{
    if (tokens && (int32_t)id != sg_vocab_unk(an->vocab))
        word_law_add(l, (int32_t)id, tokens);
}

static sg_status list_laws(replaced_words *w, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = w->an;
    const size_t M = an->n_members;
    const int64_t *x = an->members; /* words, classes, tokens */
    NEED(w->in = sg_calloc(an->C, sizeof *w->in), err, "%zu classes", an->C);
    if (!an->V)
        goto done;
    TRY(word_law_new(&w->any, an->V, err));
    for (size_t i = 0; i < an->V; i++)
        add_word(&w->any, an, i, an->word_count[i]);
    if (w->any.n < 2)
        TRY(sg_fail(
            err, SG_EINVAL,
            "setting 'replace': the corpus has %zu word%s of the vocabulary: none can replace another",
            w->any.n, w->any.n == 1 ? "" : "s"));
    for (size_t i = 0, end; i < M; i = end) {
        for (end = i; end < M && x[M + end] == x[M + i]; end++)
            ;
        word_law *in = &w->in[x[M + i]];
        TRY(word_law_new(in, end - i, err));
        for (size_t k = i; k < end; k++)
            add_word(in, an, (size_t)x[k], (uint64_t)x[2 * M + k]);
    }
done:
    return st;
}

static sg_status list_partners(replaced_words *w, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = w->an;
    if (!an->P || !an->V)
        return SG_OK;
    NEED(w->partner = sg_calloc(an->P, an->V * sizeof *w->partner), err, "partners of %zu words", an->V);
    for (size_t i = 0; i < an->P * an->V; i++)
        w->partner[i] = -1;
    for (size_t p = 0; p < an->P; p++) /* from the last pair on: the first one of a word remains */
        for (size_t i = an->properties[p].pairs; i-- > 0;) {
            const int32_t *pair = an->properties[p].pair[i];
            w->partner[p * an->V + (size_t)pair[0]] = pair[1];
            w->partner[p * an->V + (size_t)pair[1]] = pair[0];
        }
done:
    return st;
}

/* The classes of each set, "all" among them: the rows of the sums. Within "all", any word is drawn. */
static bool list_rows(replaced_words *w)
{
    const analysis *an = w->an;
    size_t n = 0;
    if (!(w->rows = sg_calloc(an->sets + 1, sizeof *w->rows)) ||
        !(w->each = sg_calloc(replacement_rows(an->C, an->P), sizeof *w->each)))
        return false;
    for (size_t i = 0; i < replacement_rows(an->C, an->P); i++)
        w->each[i] = i;
    for (int fill = 0; fill < 2; fill++) {
        n = 0;
        for (size_t s = 0; s < an->sets; s++) {
            w->rows[s] = n;
            if (fill)
                w->row[n] = 0, w->row[n + 1] = replacement_row(an->C, REPLACED_IN_CLASS, 0);
            n += 2;
            for (size_t c = 1; c < an->C; c++)
                if (sg_classes_contains(an->classes, s, c)) {
                    if (fill)
                        w->row[n] = c;
                    n++;
                }
        }
        w->rows[an->sets] = n;
        if (!fill && !(w->row = sg_calloc(n, sizeof *w->row)))
            return false;
    }
    return true;
}

sg_status replaced_words_new(replaced_words **out, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    replaced_words *w = sg_calloc(1, sizeof *w);
    *out = NULL;
    NEED(w, err, "words to replace");
    w->an = an;
    TRY(list_laws(w, err));
    TRY(list_partners(w, err));
    NEED(list_rows(w), err, "words to replace");
    *out = w, w = NULL;
done:
    replaced_words_free(w);
    return st;
}

void replaced_words_free(replaced_words *w)
{
    if (!w)
        return;
    for (size_t c = 0; w->in && c < w->an->C; c++)
        word_law_free(&w->in[c]);
    word_law_free(&w->any);
    sg_free(w->in), sg_free(w->partner), sg_free(w->each), sg_free(w->row), sg_free(w->rows);
    sg_free(w);
}

size_t replaced_words_most(const analysis *an)
{
    size_t most = 1 + an->P;
    for (size_t s = 0; s < an->sets; s++) {
        size_t n = 1 + an->P;
        for (size_t c = 1; c < an->C; c++)
            n += sg_classes_contains(an->classes, s, c);
        most = n > most ? n : most;
    }
    return most;
}

/* x' of any word, or another row of features. */
static uint64_t draw_any(const replaced_words *w, uint64_t s, int32_t id, double u)
{
    if (!w->an->features)
        return word_law_draw(&w->any, u, id);
    uint64_t other = (uint64_t)(u * (double)(w->an->T - 1));
    return other + (other >= s);
}

size_t replaced_words_draw(const replaced_words *w, uint64_t s, int32_t id, size_t set, replaced_word *out,
                           bool *with_kl)
{
    const analysis *an = w->an;
    size_t n = 0;
    sg_rng rng;
    sg_rng_seed(&rng, an->cfg->seed ^ REPLACEMENT_SEED, s);
    const bool replaced = sg_rng_uniform(&rng) < an->replace.rate && set < an->sets;
    *with_kl = sg_rng_uniform(&rng) < an->replace.kl_rate;
    if (!replaced)
        return 0;
    out[n++] = (replaced_word){REPLACED_BY_ANY, 0, draw_any(w, s, id, sg_rng_uniform(&rng)), false};
    for (size_t k = w->rows[set] + 2; k < w->rows[set + 1] && an->V; k++) { /* its classes but all */
        const word_law *in = &w->in[w->row[k]];
        const double u = sg_rng_uniform(&rng);
        if (in->n > 1)
            out[n++] = (replaced_word){REPLACED_IN_CLASS, w->row[k], word_law_draw(in, u, id), false};
    }
    for (size_t p = 0; w->partner && p < an->P; p++) {
        const int32_t partner = w->partner[p * an->V + (size_t)id];
        if (partner < 0)
            continue;
        const bool averaged = an->replace.path_rate > 0 && sg_rng_uniform(&rng) < an->replace.path_rate;
        out[n++] = (replaced_word){REPLACED_BY_PARTNER, p, (uint64_t)partner, averaged};
    }
    return n;
}

const size_t *replaced_words_rows(const replaced_words *w, size_t set, const replaced_word *x, size_t *n)
{
    if (x->law == REPLACED_BY_ANY) {
        *n = w->rows[set + 1] - w->rows[set];
        return w->row + w->rows[set];
    }
    *n = 1;
    return w->each + replacement_row(w->an->C, x->law, x->row);
}
