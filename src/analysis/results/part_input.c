/* SPDX-License-Identifier: MIT */
#include "analysis/results/part_input.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Directions without each fold of words, into the root or the groups of the untrained copy (model m). */
static sg_status put_folds(part_file *p, const analysis *an, size_t m, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(run_writer_define(p->w, p->nc, "part_fold_vector", err));
    for (size_t i = 0; i < an->P; i++) {
        size_t start[] = {i, 0, 0}, count[] = {1, PROPERTY_FOLDS, an->E};
        TRY(run_writer_put_f64(p->w, p->nc, "part_fold_vector", start, count, an->properties[i].fold[m],
                               err));
    }
done:
    return st;
}

static sg_status put_all_folds(part_file *p, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(part_dim(p, "part_fold", PROPERTY_FOLDS, err));
    TRY(put_folds(p, an, 0, err));
    TRY(run_writer_define(p->w, RUN_ROOT, "part_fold_weight", err));
    for (size_t i = 0; i < an->P; i++) {
        size_t start[] = {i, 0}, count[] = {1, PROPERTY_FOLDS};
        TRY(run_writer_put_f64(p->w, RUN_ROOT, "part_fold_weight", start, count,
                               an->properties[i].fold_weight, err));
    }
    for (size_t g = 0; g < an->n_groups; g++)
        if (an->groups[g].model) {
            TRY(part_group(p, an->groups[g].name, err));
            TRY(put_folds(p, an, 1, err));
        }
    TRY(part_group(p, NULL, err));
done:
    return st;
}

sg_status part_input_write(part_file *p, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    results_input x;
    analysis_results_input(an, &x);
    TRY(run_writer_text(p->w, RUN_ROOT, NULL, "block_gram", x.store_gram ? "yes" : x.gram_reason, err));
    if (!an->words)
        TRY(run_writer_text(p->w, RUN_ROOT, NULL, "words_missing", an->words_missing, err));
    TRY(run_writer_text(p->w, RUN_ROOT, NULL, "no_kl", x.no_kl ? x.no_kl : "", err));
    if (an->P)
        TRY(put_all_folds(p, an, err));
done:
    return st;
}

bool part_input_attribute(const char *name)
{
    static const char *const names[] = {"part", "words_missing", "block_gram", "no_kl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

/* Unit vectors without each fold of words, as the first part has them. A property without them that is not a
 * vector has too few words. */
static sg_status read_folds(part_input *x, const part_file *first, sg_error *err)
{
    sg_status st = SG_OK;
    size_t P = x->input.P, E = x->input.E, n = P * PROPERTY_FOLDS;
    double *delta = sg_calloc(n + 1, E * sizeof *delta);
    NEED(delta && (x->fold_weight = sg_calloc(n, sizeof *x->fold_weight)) &&
             (x->no_folds = sg_calloc(P, sizeof *x->no_folds)),
         err, "the properties of %s", first->path);
    for (size_t g = 0; P && g < x->input.n_groups; g++) {
        size_t m = x->groups[g].model;
        if (x->folds[m])
            continue;
        NEED(x->folds[m] = sg_calloc(n, E * sizeof(double)), err, "the properties of %s", first->path);
        TRY(sg_run_read(first->r, m ? x->groups[g].name : NULL, "part_fold_vector", NULL, NULL, delta, err));
        for (size_t i = 0; i < n; i++)
            sp_direction(x->folds[m] + i * E, E, x->L[m], delta + i * E);
    }
    if (P)
        TRY(sg_run_read(first->r, NULL, "part_fold_weight", NULL, NULL, x->fold_weight, err));
    for (size_t p = 0; p < P; p++) {
        size_t one = 1;
        double a, b;
        TRY(sg_run_read(first->r, NULL, "property_words_a", &p, &one, &a, err));
        TRY(sg_run_read(first->r, NULL, "property_words_b", &p, &one, &b, err));
        if (a + b > 0 && isnan(x->folds[0][p * PROPERTY_FOLDS * E]))
            x->no_folds[p] = PROPERTY_FEW_WORDS;
    }
    for (size_t m = 0; m < 2; m++)
        x->input.folds[m] = (property_folds){x->folds[m], x->fold_weight, x->no_folds};
done:
    sg_free(delta);
    return st;
}

static int32_t word_id(const sg_run *r, const char *attribute, size_t V)
{
    const char *text = sg_run_attribute(r, attribute);
    long id = text ? strtol(text, NULL, 10) : -1;
    return id >= 0 && (size_t)id < V ? (int32_t)id : -1;
}

/* The n whole numbers of `variable`; below: their limit, 0: none. */
static sg_status read_counts(int64_t *x, const part_file *p, const char *variable, size_t n, size_t below,
                             sg_error *err)
{
    sg_status st = SG_OK;
    double *number = sg_calloc(n, sizeof *number);
    NEED(number, err, "%s of %s", variable, p->path);
    TRY(sg_run_read(p->r, NULL, variable, NULL, NULL, number, err));
    for (size_t i = 0; i < n; i++) {
        if (!(number[i] >= 0 && number[i] < (below ? (double)below : 1e18)))
            TRY(sg_fail(err, SG_EFORMAT, "%s: %s: %g", p->path, variable, number[i]));
        x[i] = (int64_t)number[i];
    }
done:
    sg_free(number);
    return st;
}

static size_t length_of(const sg_run *r, const char *variable)
{
    size_t rank, shape[SG_RUN_MAX_DIMS];
    return sg_run_shape(r, NULL, variable, &rank, shape) && rank ? shape[0] : 0;
}

/* The words of the corpus and of the classes, from the root. */
static sg_status read_words(part_input *x, const part_file *first, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const names[] = {"member_word", "member_class", "member_count"};
    sg_run *r = first->r;
    size_t C = sg_run_classes(r), V = length_of(r, "word_count"), n = length_of(r, "member_word");
    size_t below[] = {V, C, 0}, rank, shape[SG_RUN_MAX_DIMS];
    NEED((x->holds = sg_calloc(C, 2)) && (x->class_tokens = sg_calloc(C, sizeof *x->class_tokens)) &&
             (x->count = sg_calloc(V, sizeof *x->count)) &&
             (x->members = sg_calloc(3 * n, sizeof *x->members)),
         err, "the words of %s", first->path);
    if (V)
        TRY(read_counts((int64_t *)x->count, first, "word_count", V, 0, err));
    for (size_t i = 0; n && i < 3; i++)
        TRY(read_counts(x->members + i * n, first, names[i], n, below[i], err));
    corpus_words w = {.V = V, .count = x->count, .n = n, .word = x->members, .class = x->members + n};
    w.tokens = x->members + 2 * n, w.holds = x->holds, w.class_tokens = x->class_tokens;
    w.eos = word_id(r, "eos_word", V), w.unk = word_id(r, "unk_word", V);
    w.none = !(w.eos >= 0 && x->count[w.eos]) && !(w.unk >= 0 && x->count[w.unk]);
    for (size_t c = 0; c < C; c++) {
        uint64_t known = 0;
        x->class_tokens[c] = sg_run_class_tokens(r, c);
        for (size_t i = 0; i < n; i++)
            if ((size_t)w.class[i] == c) {
                known += (uint64_t)w.tokens[i];
                if (w.tokens[i] && w.word[i] == w.eos)
                    x->holds[2 * c] = WORD_HELD;
            }
        x->holds[2 * c + 1] = x->class_tokens[c] > known ? WORD_HELD : WORD_NOT_HELD;
    }
    x->holds[0] = x->holds[1] = WORD_HELD;
    if (sg_run_shape(r, NULL, "part_word_pairs", &rank, shape) && rank == 2 && shape[0] == V)
        TRY(word_sums_new(&x->words, x->input.n_groups, V, x->input.D, err));
    w.sums = x->words, w.missing = sg_run_attribute(r, "words_missing");
    x->input.words = w;
done:
    return st;
}

static sg_status read_sizes(part_input *x, const part_file *first, size_t B, size_t split, int threads,
                            sg_error *err)
{
    sg_status st = SG_OK;
    sg_run *r = first->r;
    size_t G = sg_run_groups(r), C = sg_run_classes(r), E = sg_run_embedding(r), P = sg_run_properties(r);
    double *delta = sg_calloc(E, sizeof *delta);
    const char *no_kl = sg_run_attribute(r, "no_kl");
    const char *gram = sg_run_attribute(r, "block_gram"), *seed = sg_run_attribute(r, "seed");
    long long number = 0;
    NEED(delta && (x->groups = sg_calloc(G, sizeof *x->groups)) &&
             (x->class_names = sg_calloc(C, sizeof *x->class_names)) &&
             (x->property_missing = sg_calloc(P, sizeof *x->property_missing)) &&
             (x->property_names = sg_calloc(P, sizeof *x->property_names)) &&
             (x->property_pairs = sg_calloc(P, sizeof *x->property_pairs)),
         err, "%s", first->path);
    for (size_t c = 0; c < C; c++)
        x->class_names[c] = sg_run_class_name(r, c);
    for (size_t g = 0; g < G; g++) {
        const char *name = sg_run_group_name(r, g);
        size_t m = run_is_untrained(name);
        x->groups[g] = (state_group){.units = sg_run_units(r, g), .model = m};
        snprintf(x->groups[g].name, sizeof x->groups[g].name, "%s", name);
        if (x->L[m])
            continue;
        NEED((x->L[m] = sg_calloc(E * E, sizeof(double))) && (x->n[m] = sg_calloc(P, E * sizeof(double))),
             err, "%s", first->path);
        TRY(sg_run_read(r, m ? name : NULL, "embedding_covariance_factor", NULL, NULL, x->L[m], err));
        x->factor_missing[m] =
            sg_run_variable_attribute(r, m ? name : NULL, "embedding_covariance_factor", "missing_reason");
        for (size_t p = 0; p < P; p++) {
            size_t start[] = {p, 0}, count[] = {1, E};
            TRY(sg_run_read(r, m ? name : NULL, "property_vector", start, count, delta, err));
            sp_direction(x->n[m] + p * E, E, x->L[m], delta);
        }
    }
    for (size_t p = 0; p < P; p++)
        x->property_names[p] = sg_run_property_name(r, p);
    if (length_of(r, "property_pairs") == P && P)
        TRY(read_counts(x->property_pairs, first, "property_pairs", P, 0, err));
    const char *why = sg_run_variable_attribute(r, NULL, "property_vector", "missing_reason");
    for (size_t p = 0; p < P; p++) /* the text names the property, and counts further ones */
        if (x->n[0] && isnan(x->n[0][p * E])) {
            x->property_missing[p] = why;
            break;
        }
    if (seed)
        sscanf(seed, "%lld", &number);
    x->input = (results_input){.D = sg_run_delays(r),
                               .C = C,
                               .E = E,
                               .B = B,
                               .split = split,
                               .P = P,
                               .n_groups = G,
                               .groups = x->groups,
                               .L = {x->L[0], x->L[1]},
                               .n = {x->n[0], x->n[1]},
                               .factor_missing = {x->factor_missing[0], x->factor_missing[1]},
                               .property_missing = x->property_missing,
                               .property_names = x->property_names,
                               .property_pairs = x->property_pairs,
                               .class_names = x->class_names,
                               .store_gram = gram && !strcmp(gram, "yes"),
                               .gram_reason = gram ? gram : "not stored",
                               .threads = threads,
                               .seed = (uint64_t)number,
                               .units = sg_run_attribute(r, "unit_gains") != NULL,
                               .no_kl = no_kl && *no_kl ? no_kl : NULL};
done:
    sg_free(delta);
    return st;
}

sg_status part_input_read(part_input *x, const part_file *first, size_t B, size_t split, int threads,
                          sg_error *err)
{
    sg_status st = SG_OK;
    TRY(la_room(1, err));
    TRY(read_sizes(x, first, B, split, threads, err));
    TRY(read_words(x, first, err));
    TRY(read_folds(x, first, err));
done:
    return st;
}

void part_input_free(part_input *x)
{
    void *const owned[] = {
        x->groups,         x->class_names, x->count,    x->class_tokens,     x->members,
        x->holds,          x->fold_weight, x->no_folds, x->property_missing, x->property_names,
        x->property_pairs, x->L[0],        x->L[1],     x->folds[0],         x->folds[1],
        x->n[0],           x->n[1]};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        sg_free(owned[i]);
    word_sums_free(x->words);
    *x = (part_input){0};
}
