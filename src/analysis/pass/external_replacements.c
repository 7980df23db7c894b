/* SPDX-License-Identifier: MIT */
#include "analysis/pass/external_replacements.h"

#include "analysis/pass/replaced_words.h"
#include "analysis/pass/replacement.h"
#include "analysis/pass/shared.h"
#include "base/base_internal.h"

#include <math.h>

/* A walk through all replacements: in order of position, those of one position in the order in which they are
 * drawn. */
typedef struct {
    uint64_t read, zero; /* positions before `read` are done with; the last zero state before it */
    size_t k, n;         /* the next of the n drawn of position read - 1 */
    replaced_word *drawn;
    sg_replacement like; /* position, delays and kl of those */
    size_t set;
    uint64_t count;
} walk;

struct external_replacements {
    const analysis *an;
    replaced_words *words;
    walk listed, added;
    bool *kl_at; /* (D) */
    replacement_sums *sums;
    replacement_effect *effects; /* (D, states) work */
};

sg_status external_replacements_new(external_replacements **out, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    external_replacements *p = sg_calloc(1, sizeof *p);
    const size_t most = replaced_words_most(an);
    *out = NULL;
    NEED(p, err, "words to replace");
    p->an = an;
    TRY(replaced_words_new(&p->words, an, err));
    NEED((p->listed.drawn = sg_calloc(most, sizeof *p->listed.drawn)) &&
             (p->added.drawn = sg_calloc(most, sizeof *p->added.drawn)) &&
             (p->kl_at = sg_calloc(an->D, sizeof *p->kl_at)) &&
             (p->effects = sg_calloc(an->D, an->n_states * sizeof *p->effects)),
         err, "words to replace");
    for (size_t d = 0; d < an->D; d++)
        p->kl_at[d] = replacement_kl_delay(d);
    TRY(replacement_sums_new(&p->sums, 1, an->B * an->split, replacement_rows(an->C, an->P), an->D,
                             an->n_states, err));
    *out = p, p = NULL;
done:
    external_replacements_free(p);
    return st;
}

void external_replacements_free(external_replacements *p)
{
    if (!p)
        return;
    replaced_words_free(p->words);
    replacement_sums_free(p->sums);
    sg_free(p->listed.drawn), sg_free(p->added.drawn), sg_free(p->kl_at), sg_free(p->effects);
    sg_free(p);
}

const replacement_sums *external_replacements_sums(const external_replacements *p)
{
    return p->sums;
}

/* ---- which ---- */

/* Delays of position s before the text, its sentence or its window ends. */
static sg_status life_of(const analysis *an, uint64_t s, uint32_t *life, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t n = an->T - s < an->D ? an->T - s : an->D;
    if (an->used.handling == SG_WINDOW) {
        uint64_t left = an->used.window - s % an->used.window;
        n = left < n ? left : n;
    }
    for (uint64_t d = 1; an->used.handling == SG_RESET && d < n; d++) {
        sg_step step;
        TRY(sg_stream_read(an->stream, s + d, 1, &step, err));
        n = step.first ? d : n;
    }
    *life = (uint32_t)n;
done:
    return st;
}

/* Draws of the next positions, until one has some. */
static sg_status draw(const external_replacements *p, walk *w, sg_error *err)
{
    sg_status st = SG_OK;
    const analysis *an = p->an;
    while (w->k == w->n && w->read < an->T) {
        sg_step steps[PORTION];
        size_t n = an->T - w->read < PORTION ? (size_t)(an->T - w->read) : PORTION;
        TRY(sg_stream_read(an->stream, w->read, n, steps, err));
        for (size_t i = 0; i < n && w->k == w->n; i++) {
            const uint64_t s = w->read++;
            bool with_kl;
            if (an->used.handling == SG_RESET && steps[i].first)
                w->zero = s;
            if (s - w->zero < an->used.burn_in)
                continue;
            w->k = 0;
            w->n = replaced_words_draw(p->words, s, steps[i].id, steps[i].set, w->drawn, &with_kl);
            w->set = steps[i].set;
            if (!w->n)
                continue;
            w->like = (sg_replacement){.position = s, .kl = with_kl};
            TRY(life_of(an, s, &w->like.delays, err));
        }
    }
done:
    return st;
}

/* *found: the next replacement is *x, drawn as *word; false: there is none. */
static sg_status step_on(const external_replacements *p, walk *w, sg_replacement *x, replaced_word *word,
                         bool *found, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(draw(p, w, err));
    *found = w->k < w->n;
    if (!*found)
        goto done;
    *word = w->drawn[w->k++];
    *x = w->like;
    x->other = word->other, x->law = (uint32_t)word->law, x->row = (uint32_t)word->row;
    w->count++;
done:
    return st;
}

sg_status external_replacements_list(external_replacements *p, size_t most, sg_replacement *list, size_t *n,
                                     sg_error *err)
{
    sg_status st = SG_OK;
    bool found = true;
    replaced_word word;
    for (*n = 0; *n < most; ++*n) {
        TRY(step_on(p, &p->listed, &list[*n], &word, &found, err));
        if (!found)
            break;
    }
done:
    return st;
}

/* ---- what it changed ---- */

static bool same_replacement(const sg_replacement *a, const sg_replacement *b)
{
    return a->position == b->position && a->other == b->other && a->law == b->law && a->row == b->row &&
           a->delays == b->delays && a->kl == b->kl;
}

/* All n are the next ones. The walk stays where it was. */
static sg_status check_order(const external_replacements *p, const sg_replacement *list, size_t n,
                             sg_error *err)
{
    sg_status st = SG_OK;
    walk ahead = p->added;
    const size_t most = replaced_words_most(p->an);
    NEED(ahead.drawn = sg_calloc(most, sizeof *ahead.drawn), err, "words to replace");
    for (size_t k = 0; k < p->added.n; k++)
        ahead.drawn[k] = p->added.drawn[k];
    for (size_t i = 0; i < n; i++) {
        sg_replacement next = {0};
        replaced_word word;
        bool found = false;
        TRY(step_on(p, &ahead, &next, &word, &found, err));
        if (!found || !same_replacement(&next, &list[i]))
            TRY(sg_fail(
                err, SG_EINVAL,
                "replacement %ju (position %ju): not the next of those that were handed out, which are "
                "added in their order, each once",
                (uintmax_t)(p->added.count + i), (uintmax_t)list[i].position));
    }
done:
    sg_free(ahead.drawn);
    return st;
}

static sg_status check_vectors(const external_replacements *p, const char *what, const sg_replacement *list,
                               size_t n, const float *const *x, sg_error *err)
{
    const analysis *an = p->an;
    for (size_t g = 0; g < an->n_states; g++)
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0, H = an->states[g].units; k < list[i].delays * H; k++) {
                const float value = x[g][i * an->D * H + k];
                if (!isfinite(value))
                    return sg_fail(err, SG_EINVAL,
                                   "state %s: replacement at position %ju, delay %zu: %s of unit %zu is not "
                                   "finite (%g)",
                                   an->groups[g].name, (uintmax_t)list[i].position, k / H, what, k % H,
                                   (double)value);
            }
    return SG_OK;
}

static sg_status check_kl(const external_replacements *p, const sg_replacement *list, size_t n,
                          const double *kl, sg_error *err)
{
    const size_t D = p->an->D;
    for (size_t i = 0; kl && i < n; i++)
        for (size_t d = 0; list[i].kl && d < list[i].delays; d++)
            if (p->kl_at[d] && !(kl[i * D + d] >= 0 && isfinite(kl[i * D + d])))
                return sg_fail(err, SG_EINVAL,
                               "replacement at position %ju, delay %zu: a Kullback-Leibler divergence of %g, "
                               "expected a number from 0",
                               (uintmax_t)list[i].position, d, kl[i * D + d]);
    return SG_OK;
}

static replacement_effect effect_of(size_t H, const float *change, const float *linear)
{
    double cc = 0, ll = 0, cl = 0, miss = 0;
    for (size_t h = 0; h < H; h++) {
        const double c = (double)change[h], l = (double)linear[h];
        cc += c * c, ll += l * l, cl += c * l, miss += (c - l) * (c - l);
    }
    return (replacement_effect){.change = sqrt(cc), .linear = sqrt(ll), .dot = cl, .miss = miss};
}

/* Replacement i of a call, drawn as *word. */
static void add_one(external_replacements *p, const sg_replacement *x, const replaced_word *word, size_t i,
                    const float *const *change, const float *const *linear, const double *kl)
{
    const analysis *an = p->an;
    const size_t D = an->D, G = an->n_states;
    size_t part = 0, rows;
    for (size_t d = 0; d < x->delays; d++)
        for (size_t g = 0; g < G; g++) {
            const size_t H = an->states[g].units, at = (i * D + d) * H;
            p->effects[d * G + g] = effect_of(H, change[g] + at, linear[g] + at);
        }
    while (analysis_part_start(an, part + 1) <= x->position)
        part++;
    const size_t *row = replaced_words_rows(p->words, p->added.set, word, &rows);
    const replacement_seen seen = {
        .life = x->delays, .effects = p->effects, .kl = kl && x->kl ? kl + i * D : NULL, .kl_at = p->kl_at};
    for (size_t k = 0; k < rows; k++)
        replacement_sums_add(p->sums, 0, part, row[k], &seen);
}

sg_status external_replacements_add(external_replacements *p, const sg_replacement *list, size_t n,
                                    const float *const *change, const float *const *linear, const double *kl,
                                    sg_error *err)
{
    sg_status st = SG_OK;
    TRY(check_order(p, list, n, err));
    TRY(check_vectors(p, "the change", list, n, change, err));
    TRY(check_vectors(p, "the linear prediction", list, n, linear, err));
    TRY(check_kl(p, list, n, kl, err));
    for (size_t i = 0; i < n; i++) {
        sg_replacement next;
        replaced_word word = {0};
        bool found;
        TRY(step_on(p, &p->added, &next, &word, &found, err));
        add_one(p, &list[i], &word, i, change, linear, kl);
    }
done:
    return st;
}

sg_status external_replacements_complete(external_replacements *p, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(draw(p, &p->added, err));
    if (p->added.k < p->added.n)
        TRY(sg_fail(
            err, SG_EINVAL,
            "setting 'replace': %ju replacements were added, and there are more of them: ask for them "
            "until there are none, and add each",
            (uintmax_t)p->added.count));
done:
    return st;
}
