/* SPDX-License-Identifier: MIT */
/* small_run.h - a small model of words with a corpus in two classes, analysed in a moment. */
#ifndef SMALL_RUN_H
#define SMALL_RUN_H

#include "corpus_util.h"

#include "run/run_internal.h"
#include "stategrad/analysis.h"

enum { WORDS = 30, TOKENS = 900, SMALL_E = 3, SMALL_H = 4, SMALL_D = 3 };

typedef struct {
    sg_model *model;
    sg_vocab *vocab;
    sg_classes *classes; /* "all", names[0], names[1] */
    sg_stream *stream;
    sg_analysis_config cfg;
    int32_t ids[TOKENS];
} small_run;

/* Words w00 .. w29; those with an even number are in the first class, multiples of three in the second. */
static inline void small_run_new(small_run *s, const char *first, const char *second)
{
    static char texts[WORDS][8];
    static bool member[2 * TOKENS];
    const char *words[WORDS], *names[] = {first, second};
    sg_error err = {""};
    sg_rng rng;
    sg_model_shape shape = {.cell = SG_CELL_LSTM,
                            .layers = 1,
                            .vocabulary = WORDS,
                            .embedding = SMALL_E,
                            .hidden = {SMALL_H},
                            .has_decoder = true};
    for (int i = 0; i < WORDS; i++) {
        snprintf(texts[i], sizeof texts[i], "w%02d", i);
        words[i] = texts[i];
    }
    assert_ok(sg_vocab_from_words(&s->vocab, words, NULL, WORDS, &err), err);
    assert_ok(sg_model_new(&s->model, &shape, s->vocab, &err), err);
    sg_model_init_uniform(s->model, 0.8f, 3);
    sg_rng_seed(&rng, 7, 0);
    for (int t = 0; t < TOKENS; t++) {
        s->ids[t] = (int32_t)sg_rng_below(&rng, WORDS);
        member[2 * t] = s->ids[t] % 2 == 0, member[2 * t + 1] = s->ids[t] % 3 == 0;
    }
    assert_ok(sg_classes_from_names(&s->classes, names, 2, s->vocab, &err), err);
    assert_ok(sg_stream_from_ids(&s->stream, s->ids, NULL, TOKENS, member, s->vocab, s->classes, &err), err);
    sg_analysis_defaults(&s->cfg, s->model);
    s->cfg.delays = SMALL_D, s->cfg.threads = 1, s->cfg.blocks = 6;
}

static inline void small_run_free(small_run *s)
{
    sg_stream_free(s->stream);
    sg_classes_free(s->classes);
    sg_model_free(s->model);
    sg_vocab_free(s->vocab);
}

/* The run file; the path lives in one of 16 static buffers. */
static inline const char *small_run_write(small_run *s, const char *name)
{
    static char paths[16][300];
    static unsigned next;
    char *path = paths[next++ % 16];
    sg_error err = {""};
    snprintf(path, sizeof paths[0], "%s/%s", tmp.folder, name);
    assert_ok(sg_analyze(path, s->model, s->stream, s->classes, &s->cfg, NULL, &err), err);
    return path;
}

static inline sg_run *opened(const char *path)
{
    sg_error err = {""};
    sg_run *r;
    assert_ok(sg_run_open(&r, path, &err), err);
    return r;
}

/* All numbers of a variable, *n of them; free with sg_free. NULL: not there. */
static inline double *numbers(const sg_run *r, const char *group, const char *variable, size_t *n)
{
    sg_error err = {""};
    size_t rank, shape[SG_RUN_MAX_DIMS];
    *n = 1;
    if (!sg_run_shape(r, group, variable, &rank, shape))
        return NULL;
    for (size_t i = 0; i < rank; i++)
        *n *= shape[i];
    double *x = sg_calloc(*n, sizeof *x);
    assert_non_null(x);
    assert_ok(sg_run_read(r, group, variable, NULL, NULL, x, &err), err);
    return x;
}

/* Every number of a variable: within tol of its largest, and missing in both or in none. Returns whether it
 * is there. */
static inline bool assert_same_variable(const sg_run *a, const sg_run *b, const char *group,
                                        const char *variable, double tol)
{
    size_t n, m;
    double *x = numbers(a, group, variable, &n), *y = numbers(b, group, variable, &m), largest = 0;
    bool there = x != NULL;
    assert_true(!x == !y);
    assert_true(!x || n == m);
    for (size_t i = 0; x && i < n; i++)
        largest = fabs(x[i]) > largest ? fabs(x[i]) : largest;
    for (size_t i = 0; x && i < n; i++)
        if (!(isnan(x[i]) && isnan(y[i])) && !(fabs(x[i] - y[i]) <= tol * largest))
            fail_msg("%s/%s[%zu]: %.9g against %.9g", group ? group : "root", variable, i, x[i], y[i]);
    sg_free(x);
    sg_free(y);
    return there;
}

/* All numbers of the groups of both runs. Returns how many variables there were. */
static inline size_t assert_same_groups(const sg_run *a, const sg_run *b, double tol)
{
    size_t variables = 0;
    assert_int_equal(sg_run_groups(a), sg_run_groups(b));
    for (size_t g = 0; g < sg_run_groups(a); g++)
        for (const run_variable *v = run_variables; v->name; v++)
            if (v->in_group && v->type != RUN_STRING)
                variables += assert_same_variable(a, b, sg_run_group_name(a, g), v->name, tol);
    return variables;
}

#endif
