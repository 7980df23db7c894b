/* SPDX-License-Identifier: MIT */
#include "report/words.h"

#include "base/base_internal.h"
#include "run/run_internal.h"
#include "linalg/linalg.h"

#include <math.h>
#include <string.h>

static bool has(const sg_run *r, const char *group, const char *variable, size_t *length)
{
    size_t rank, shape[SG_RUN_MAX_DIMS];
    if (!sg_run_shape(r, group, variable, &rank, shape) || rank == 0)
        return false;
    *length = shape[0];
    return true;
}

const char *words_missing(sg_run *r)
{
    size_t n;
    if (!has(r, NULL, "word", &n) || !has(r, NULL, "embedding_matrix", &n) || n == 0)
        return "the run file holds no words and embeddings";
    if (!has(r, NULL, "embedding_covariance_factor", &n))
        return "the run file holds no embedding_covariance_factor";
    return sg_run_variable_attribute(r, NULL, "embedding_covariance_factor", "missing_reason");
}

/* X (V,E) as stored becomes Z (E,V). */
static sg_status whiten(words *w, sg_run *r, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t V = w->V, E = w->E;
    double *X = sg_calloc(V, E * sizeof *X), *L = sg_calloc(E, E * sizeof *L);
    NEED(X && L, err, "%zu embeddings of %zu numbers", V, E);
    TRY(sg_run_read(r, NULL, "embedding_matrix", NULL, NULL, X, err));
    TRY(sg_run_read(r, NULL, "embedding_covariance_factor", NULL, NULL, L, err));
    for (size_t e = 0; e < E; e++) {
        double mean = 0;
        for (size_t i = 0; i < V; i++)
            mean += X[i * E + e] / (double)V;
        for (size_t i = 0; i < V; i++)
            w->Z[e * V + i] = X[i * E + e] - mean;
        if (!(fabs(L[e * E + e]) > 0))
            TRY(sg_fail(err, SG_EFORMAT, "words: embedding_covariance_factor has %g on its diagonal at %zu",
                        L[e * E + e], e));
    }
    la_solve_lower(E, V, L, LA_N, w->Z);
done:
    sg_free(X), sg_free(L);
    return st;
}

static sg_status read_members(words *w, sg_run *r, sg_error *err)
{
    sg_status st = SG_OK;
    size_t n = 0, m = 0;
    double *x = NULL;
    if (!has(r, NULL, "member_word", &n) || !has(r, NULL, "member_class", &m) || n != m ||
        !has(r, NULL, "member_count", &m) || n != m || n == 0)
        return SG_OK;
    x = sg_calloc(n, sizeof *x);
    w->member_word = sg_calloc(n, sizeof *w->member_word);
    w->member_class = sg_calloc(n, sizeof *w->member_class);
    w->member_count = sg_calloc(n, sizeof *w->member_count);
    NEED(x && w->member_word && w->member_class && w->member_count, err, "%zu class members", n);
    for (int which = 0; which < 2; which++) {
        const char *name = which ? "member_class" : "member_word";
        const size_t bound = which ? w->C : w->V;
        TRY(sg_run_read(r, NULL, name, NULL, NULL, x, err));
        for (size_t i = 0; i < n; i++) {
            if (!(x[i] >= 0 && x[i] < (double)bound))
                TRY(sg_fail(err, SG_EFORMAT, "words: %s[%zu] is %g, expected 0 .. %zu", name, i, x[i],
                            bound - 1));
            (which ? w->member_class : w->member_word)[i] = (size_t)x[i];
        }
    }
    TRY(sg_run_read(r, NULL, "member_count", NULL, NULL, w->member_count, err));
    w->n_members = n;
done:
    sg_free(x);
    return st;
}

sg_status words_new(words **out, sg_run *r, sg_error *err)
{
    sg_status st = SG_OK;
    size_t rank, shape[SG_RUN_MAX_DIMS], n = 0;
    const char *missing = words_missing(r);
    words *w = NULL;
    *out = NULL;
    if (missing)
        return sg_fail(err, SG_EFORMAT, "words: %s", missing);
    if (la_room(1, err) != SG_OK)
        return SG_ENOMEM;
    if (!(w = sg_calloc(1, sizeof *w)))
        return no_memory(err, "the words");
    sg_run_shape(r, NULL, "embedding_matrix", &rank, shape);
    has(r, NULL, "word", &n);
    if (rank != 2 || shape[0] != n || shape[1] != sg_run_embedding(r))
        TRY(sg_fail(err, SG_EFORMAT, "words: embedding_matrix is not (word, embedding) = (%zu, %zu)", n,
                    sg_run_embedding(r)));
    w->V = n, w->E = shape[1], w->C = sg_run_classes(r);
    if (w->V > SIZE_MAX / sizeof *w->Z / w->E || !(w->Z = sg_calloc(w->V * w->E, sizeof *w->Z)) ||
        !(w->counts = sg_calloc(w->V, sizeof *w->counts)) || !(w->names = sg_calloc(w->V, sizeof *w->names)))
        TRY(no_memory(err, "%zu embeddings of %zu numbers", w->V, w->E));
    TRY(run_read_strings(r, "word", w->V, w->names, err));
    if (has(r, NULL, "word_count", &n) && n == w->V)
        TRY(sg_run_read(r, NULL, "word_count", NULL, NULL, w->counts, err));
    TRY(whiten(w, r, err));
    TRY(read_members(w, r, err));
    *out = w, w = NULL;
done:
    words_free(w);
    return st;
}

void words_free(words *w)
{
    if (!w)
        return;
    if (w->names)
        for (size_t i = 0; i < w->V; i++)
            sg_string_free(w->names[i]);
    sg_free(w->names), sg_free(w->Z), sg_free(w->counts);
    sg_free(w->member_word), sg_free(w->member_class), sg_free(w->member_count);
    sg_free(w);
}

sg_status words_along(const words *w, sg_run *r, const char *group, size_t c, size_t d, size_t n, double *v,
                      double *p, sg_error *err)
{
    size_t rank, shape[SG_RUN_MAX_DIMS];
    const size_t start[4] = {c, d, 0, 0}, count[4] = {1, 1, n, w->E};
    if (!sg_run_shape(r, group, "right_singular_vector", &rank, shape) || rank != 4 || shape[2] < n)
        return sg_fail(err, SG_EFORMAT, "words: %s holds no %zu right_singular_vector", group, n);
    sg_status st = sg_run_read(r, group, "right_singular_vector", start, count, v, err);
    if (st == SG_OK)
        la_dgemm(LA_N, LA_N, n, w->V, w->E, 1, v, w->E, w->Z, w->V, 0, p, w->V);
    return st;
}

size_t words_furthest(const words *w, const double *p, double sign, double min_count, size_t top, size_t *ids)
{
    size_t n = 0;
    for (size_t i = 0; i < w->V && top; i++) {
        if (!(w->counts[i] >= min_count) || !isfinite(p[i]) ||
            (n == top && !(sign * p[i] > sign * p[ids[n - 1]])))
            continue;
        size_t at = n < top ? n++ : top - 1;
        for (; at > 0 && sign * p[i] > sign * p[ids[at - 1]]; at--)
            ids[at] = ids[at - 1];
        ids[at] = i;
    }
    return n;
}

static bool normalise(double *n, size_t E)
{
    double square = 0;
    for (size_t e = 0; e < E; e++)
        square += n[e] * n[e];
    if (!(square > 0) || !isfinite(square))
        return false;
    for (size_t e = 0; e < E; e++)
        n[e] /= sqrt(square);
    return true;
}

bool words_class_direction(const words *w, size_t c, double *n)
{
    size_t members = 0;
    memset(n, 0, w->E * sizeof *n);
    for (size_t i = 0; i < w->n_members; i++) {
        if (w->member_class[i] != c)
            continue;
        members++;
        for (size_t e = 0; e < w->E; e++)
            n[e] += w->Z[e * w->V + w->member_word[i]];
    }
    return members > 0 && members < w->V && normalise(n, w->E);
}

sg_status words_property_direction(sg_run *r, size_t p, double *n, bool *known, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t E = sg_run_embedding(r), start[2] = {p, 0}, count[2] = {1, E};
    size_t length;
    double *L = NULL;
    *known = false;
    if (!has(r, NULL, "property_vector", &length) || p >= length)
        return SG_OK;
    NEED(L = sg_calloc(E, E * sizeof *L), err, "the words");
    TRY(sg_run_read(r, NULL, "embedding_covariance_factor", NULL, NULL, L, err));
    TRY(sg_run_read(r, NULL, "property_vector", start, count, n, err));
    la_solve_lower(E, 1, L, LA_N, n);
    *known = normalise(n, E);
done:
    sg_free(L);
    return st;
}
