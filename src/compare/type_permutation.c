/* SPDX-License-Identifier: MIT */
/* Is A another kind of word than B? The words of both, exchanged among words of similar frequency. */
#include "compare/compare_internal.h"

#include <math.h>
#include <stdlib.h>

enum { DRAWS = 1000 };

/* Of the V words: tokens in A, and in A or B. */
typedef struct {
    size_t V, D;
    double *in_a, *square;
    uint64_t *count;
    sg_type_p *p;
} words;

static sg_status add_members(words *w, const sg_run *r, const char *path, size_t a, size_t b, sg_error *err)
{
    sg_status st = SG_OK;
    size_t rank, shape[SG_RUN_MAX_DIMS], n;
    double *x = NULL;
    if (!sg_run_shape(r, NULL, "member_word", &rank, shape) || rank != 1)
        return SG_OK;
    n = shape[0];
    NEED(x = sg_calloc(n, 3 * sizeof *x), err, "%zu members of classes", n);
    TRY(sg_run_read(r, NULL, "member_word", NULL, NULL, x, err));
    TRY(sg_run_read(r, NULL, "member_class", &(size_t){0}, &n, x + n, err));
    TRY(sg_run_read(r, NULL, "member_count", &(size_t){0}, &n, x + 2 * n, err));
    for (size_t i = 0; i < n; i++) {
        const double word = x[i], tokens = x[2 * n + i];
        if (!(word >= 0 && word < (double)w->V && tokens >= 0 && tokens < 1e18))
            TRY(sg_fail(err, SG_EFORMAT, "%s: member %zu: word %g, count %g are invalid", path, i, word,
                        tokens));
        if (x[n + i] == (double)a)
            w->in_a[(size_t)word] += tokens;
        if (x[n + i] == (double)a || x[n + i] == (double)b)
            w->count[(size_t)word] += (uint64_t)tokens;
    }
done:
    sg_free(x);
    return st;
}

/* <eos> and <unk> are no kinds of word. */
static void leave_out(words *w, const sg_run *r, const char *attribute)
{
    const char *text = sg_run_attribute(r, attribute);
    long id = text ? strtol(text, NULL, 10) : -1;
    if (id >= 0 && (size_t)id < w->V)
        w->count[id] = 0, w->in_a[id] = 0;
}

static const char *kinds_missing(const side *a, const side *b)
{
    size_t rank, shape[SG_RUN_MAX_DIMS];
    if (a->s->n > 1 || a->s->runs[0] != b->s->runs[0] || a->class[0] == b->class[0] || a->s->property)
        return "A and B are not two classes of one run";
    if (!a->class[0] || !b->class[0])
        return "class all has no words of its own: see p_types of the run file";
    if (a->effective_types < SG_STATS_MIN_TYPES || b->effective_types < SG_STATS_MIN_TYPES)
        return "fewer than 8 effective word types on a side";
    if (!sg_run_shape(a->s->runs[0], a->s->state, "word_gain", &rank, shape) || rank != 2)
        return "the run has no gains of words";
    return NULL;
}

sg_status kinds_test(double *p, const char **missing, const side *a, const side *b, size_t D, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_run *r = a->s->runs[0];
    const char *seed = sg_run_attribute(r, "seed");
    size_t rank, shape[SG_RUN_MAX_DIMS];
    words w = {.D = D};
    const char *why = kinds_missing(a, b);
    for (size_t d = 0; d < D; d++)
        p[d] = NAN, missing[d] = why;
    if (why || !sg_run_shape(r, a->s->state, "word_gain", &rank, shape))
        return SG_OK;
    w.V = shape[0];
    NEED((w.in_a = sg_calloc(w.V, sizeof *w.in_a)) && (w.count = sg_calloc(w.V, sizeof *w.count)) &&
             (w.square = sg_calloc(w.V, D * sizeof *w.square)) && (w.p = sg_calloc(D, sizeof *w.p)),
         err, "%zu words", w.V);
    TRY(add_members(&w, r, a->s->paths[0], a->class[0], b -> class[0], err));
    leave_out(&w, r, "eos_word"), leave_out(&w, r, "unk_word");
    TRY(sg_run_read(r, a->s->state, "word_gain", (size_t[]){0, 0}, (size_t[]){w.V, D}, w.square, err));
    for (size_t i = 0; i < w.V * D; i++)
        w.square[i] *= w.square[i];
    TRY(sg_stats_type_test(w.p, w.V, D, w.count, w.in_a, w.square, DRAWS, sg_stats_draws(D),
                           seed ? strtoull(seed, NULL, 10) : 1, err));
    for (size_t d = 0; d < D; d++)
        p[d] = w.p[d].p, missing[d] = w.p[d].missing;
done:
    sg_free(w.in_a), sg_free(w.count), sg_free(w.square), sg_free(w.p);
    return st;
}
