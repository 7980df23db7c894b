/* SPDX-License-Identifier: MIT */
/* What the two sides of a comparison are, and what they have in common. */
#include "compare/compare_internal.h"

#include "analysis/property.h"

#include <math.h>
#include <string.h>

static bool same_name(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

static const char *name_of(const sg_run *r, bool of_property, size_t i)
{
    return of_property ? sg_run_property_name(r, i) : sg_run_class_name(r, i);
}

/* Where the class or property is; the message names one that is near. */
static sg_status find(size_t *at, const sg_run *r, const char *path, bool of_property, const char *name,
                      sg_error *err)
{
    sg_status st = SG_OK;
    const size_t n = of_property ? sg_run_properties(r) : sg_run_classes(r);
    const char *what = of_property ? "property" : "class", **all = NULL, *near = NULL;
    char names[400] = "";
    size_t used = 0;
    for (*at = 0; *at < n; ++*at)
        if (!strcmp(name_of(r, of_property, *at), name))
            return SG_OK;
    NEED(all = sg_calloc(n, sizeof *all), err, "%zu names", n);
    for (size_t i = 0; i < n; i++)
        all[i] = name_of(r, of_property, i);
    if ((near = sg_nearest_name(name, all, n)))
        TRY(sg_fail(err, SG_EINVAL, "%s has no %s '%s'; did you mean %s?", path, what, name, near));
    for (size_t i = 0; i < n && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", all[i]);
    TRY(sg_fail(err, SG_EINVAL, "%s has no %s '%s'; it has %s%s", path, what, name, n ? names : "none",
                used < sizeof names ? "" : "..."));
done:
    sg_free(all);
    return st;
}

static sg_status find_state(const sg_run *r, const char *path, const char *state, sg_error *err)
{
    const char *all[64];
    char names[400] = "";
    size_t n = 0, used = 0;
    for (size_t g = 0; g < sg_run_groups(r); g++) {
        const char *name = sg_run_group_name(r, g);
        if (!strcmp(name, state))
            return SG_OK;
        if (n < sizeof all / sizeof *all)
            all[n++] = name;
        if (used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", g ? ", " : "", name);
    }
    const char *near = sg_nearest_name(state, all, n);
    return near ? sg_fail(err, SG_EINVAL, "%s has no state '%s'; did you mean %s?", path, state, near)
                : sg_fail(err, SG_EINVAL, "%s has no state '%s'; it has %s", path, state, names);
}

bool side_has(const side *s, const char *variable)
{
    size_t rank, shape[SG_RUN_MAX_DIMS];
    for (size_t i = 0; i < s->s->n; i++)
        if (!sg_run_shape(s->s->runs[i], s->s->state, variable, &rank, shape))
            return false;
    return true;
}

/* Blocks and replicates of run i; those of all runs of a side are the same. */
static sg_status read_shape(side *s, size_t i, sg_error *err)
{
    const sg_run *r = s->s->runs[i];
    const char *path = s->s->paths[i], *state = s->s->state;
    size_t rank[3], shape[3][SG_RUN_MAX_DIMS];
    if (!sg_run_shape(r, state, "left_out_pairs", &rank[0], shape[0]))
        return sg_fail(
            err, SG_EFORMAT,
            "%s: %s has no left_out_pairs, the replicates that comparisons need: it is of an earlier version; "
            "analyze again",
            path, state);
    if (rank[0] != 3 || !sg_run_shape(r, state, "block_pairs", &rank[1], shape[1]) || rank[1] != 3 ||
        !sg_run_shape(r, state, "left_out_property_gain", &rank[2], shape[2]) || rank[2] != 4 ||
        shape[0][2] <= shape[1][2] || shape[2][3] != 1 + shape[1][2] + PROPERTY_FOLDS)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: %s: block_pairs is missing, or its shape does not agree with that of left_out_pairs", path,
            state);
    if (i && (shape[1][2] != s->blocks || shape[0][2] != s->entries || shape[2][3] != s->words))
        return sg_fail(err, SG_EINVAL, "%s has %zu blocks, %s has %zu, expected the same of all runs of '%s'",
                       s->s->paths[0], s->blocks, path, shape[1][2], s->s->label);
    s->blocks = shape[1][2], s->entries = shape[0][2], s->words = shape[2][3];
    return SG_OK;
}

/* Several models of one text. */
static sg_status check_models(const sg_compare_side *s, size_t i, sg_error *err)
{
    const char *text = sg_run_attribute(s->runs[i], "corpus_sha256"),
               *first = sg_run_attribute(s->runs[0], "corpus_sha256");
    for (size_t k = 0; k < i; k++)
        if (same_name(sg_run_attribute(s->runs[i], "model_sha256"),
                      sg_run_attribute(s->runs[k], "model_sha256")))
            return sg_fail(err, SG_EINVAL,
                           "group %s: %s and %s analyse the same model, expected different trained models",
                           s->label, s->paths[k], s->paths[i]);
    if (!same_name(text, first))
        return sg_fail(err, SG_EINVAL, "group %s: %s and %s analyse different texts, expected one", s->label,
                       s->paths[0], s->paths[i]);
    return SG_OK;
}

sg_status side_open(side *out, const sg_compare_side *s, sg_error *err)
{
    sg_status st = SG_OK;
    *out = (side){.s = s, .effective_types = NAN};
    NEED((out->class = sg_calloc(s->n, sizeof *out->class)) &&
             (out->property = sg_calloc(s->n, sizeof *out->property)),
         err, "%zu runs", s->n);
    for (size_t i = 0; i < s->n; i++) {
        size_t rank, shape[SG_RUN_MAX_DIMS], one = 1;
        double types = NAN;
        TRY(check_models(s, i, err));
        TRY(find_state(s->runs[i], s->paths[i], s->state, err));
        TRY(find(&out->class[i], s -> runs[i], s -> paths[i], false,
                 s -> class_name ? s -> class_name : "all", err));
        if (s->property)
            TRY(find(&out->property[i], s->runs[i], s->paths[i], true, s->property, err));
        TRY(read_shape(out, i, err));
        if (sg_run_shape(s->runs[i], NULL, "class_effective_types", &rank, shape) && rank == 1)
            TRY(sg_run_read(s->runs[i], NULL, "class_effective_types", &out->class[i], &one, &types, err));
        out->effective_types = fmin(out->effective_types, types);
    }
done:
    return st;
}

void side_close(side *s)
{
    sg_free(s->class), sg_free(s->property);
}

static bool same_analysis(const sg_run *a, const sg_run *b)
{
    const char *x = sg_run_attribute(a, "identity_sha256"), *y = sg_run_attribute(b, "identity_sha256");
    return x && y && !strcmp(x, y);
}

sg_status sides_differ(const side *a, const side *b, sg_error *err)
{
    const sg_compare_side *x = a->s, *y = b->s;
    bool equal = x->n == y->n && same_name(x->state, y->state) && same_name(x->property, y->property) &&
                 a->class[0] == b->class[0];
    for (size_t i = 0; equal && i < x->n; i++)
        equal = x->runs[i] == y->runs[i] || same_analysis(x->runs[i], y->runs[i]);
    return equal ? sg_fail(err, SG_EINVAL, "A and B are the same: %s", x->label) : SG_OK;
}

const char *sides_without_unit(const side *a, const side *b)
{
    const sg_run *x = a->s->runs[0], *y = b->s->runs[0];
    const char *dot = strrchr(a->s->state, '.'), *other = strrchr(b->s->state, '.');
    if (!same_name(sg_run_attribute(x, "cell"), sg_run_attribute(y, "cell")))
        return "their models have cells of different kinds";
    if (!same_name(dot ? dot : a->s->state, other ? other : b->s->state))
        return "their states are of different kinds";
    if (!same_name(sg_run_attribute(x, "normalization"), sg_run_attribute(y, "normalization")) ||
        !same_name(sg_run_attribute(x, "covariance"), sg_run_attribute(y, "covariance")))
        return "they are normalised differently";
    return NULL;
}

/* (entries) weights of class all at delay 0 */
static double *weights(const side *s, sg_error *err)
{
    double *x = sg_calloc(s->entries, sizeof *x);
    size_t start[] = {0, 0, 0}, count[] = {1, 1, s->entries};
    if (!x)
        (void)no_memory(err, "%zu weights", s->entries);
    else if (sg_run_read(s->s->runs[0], s->s->state, "left_out_pairs", start, count, x, err) != SG_OK) {
        sg_free(x);
        return NULL;
    }
    return x;
}

sg_status sides_paired(bool *paired, const side *a, const side *b, sg_error *err)
{
    sg_status st = SG_OK;
    double *x = NULL, *y = NULL;
    *paired = a->blocks == b->blocks && a->entries == b->entries && a->words == b->words;
    if (a->s->runs[0] == b->s->runs[0] || !*paired)
        return SG_OK;
    *paired = same_name(sg_run_attribute(a->s->runs[0], "corpus_sha256"),
                        sg_run_attribute(b->s->runs[0], "corpus_sha256"));
    if (!*paired)
        return SG_OK;
    NEED((x = weights(a, err)) && (y = weights(b, err)), err, "%zu weights", a->entries);
    *paired = !memcmp(x, y, a->entries * sizeof *x);
done:
    sg_free(x), sg_free(y);
    return st;
}
