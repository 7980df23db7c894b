/* SPDX-License-Identifier: MIT */
/* Parts of a run: the block sums of `analyze --part I/N` in a file, and all of them together as the whole
 * run. */
#include "analysis/merge.h"
#include "analysis/results/metadata.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- a part ---- */

static sg_status put_weights(run_writer *w, const analysis *an, const an_sums *sums, sg_error *err)
{
    sg_status st = SG_OK;
    size_t CD = an->C * an->D, first = an->first_block * an->split, end = an->end_block * an->split;
    double *weight = sg_calloc(2 * CD, sizeof *weight);
    int64_t *pairs = sg_calloc(3 * CD, sizeof *pairs);
    if (!weight || !pairs)
        TRY(sg_fail(err, SG_ENOMEM, "part: no memory"));
    for (size_t b = first; b < end; b++) {
        size_t start[] = {b - first, 0, 0}, count[] = {1, an->C, an->D}, one[] = {1};
        int64_t number = (int64_t)b;
        for (size_t i = 0; i < CD; i++) {
            const sums_weight *x = sums_weight_at(sums, b, i / an->D, i % an->D);
            weight[i] = x->weight, weight[CD + i] = x->moment_weight;
            pairs[i] = x->pairs, pairs[CD + i] = x->moment_pairs, pairs[2 * CD + i] = x->exist;
        }
        TRY(run_writer_put_i64(w, RUN_ROOT, "part_block", start, one, &number, err));
        TRY(run_writer_put_f64(w, RUN_ROOT, "part_weight", start, count, weight, err));
        TRY(run_writer_put_f64(w, RUN_ROOT, "part_moment_weight", start, count, weight + CD, err));
        TRY(run_writer_put_i64(w, RUN_ROOT, "part_pairs", start, count, pairs, err));
        TRY(run_writer_put_i64(w, RUN_ROOT, "part_moment_pairs", start, count, pairs + CD, err));
        TRY(run_writer_put_i64(w, RUN_ROOT, "part_existing", start, count, pairs + 2 * CD, err));
    }
done:
    sg_free(weight);
    sg_free(pairs);
    return st;
}

/* Sums of squared gains: by block, and by word over the blocks of the part. */
static sg_status put_squares(run_writer *w, const analysis *an, const an_sums *sums, size_t g, int nc,
                             sg_error *err)
{
    sg_status st = SG_OK;
    const size_t first = an->first_block * an->split, end = an->end_block * an->split;
    double *x = sg_calloc(2 * SUMS_WORDS, an->D * sizeof *x);
    if (!an->words)
        goto done;
    NEED(x, err, "%zu delays", an->D);
    TRY(run_writer_define(w, nc, "part_square", err));
    TRY(run_writer_define(w, nc, "part_square_pairs", err));
    for (size_t b = first; b < end; b++) {
        size_t start[] = {b - first, 0, 0}, count[] = {1, SUMS_WORDS, an->D};
        for (size_t k = 0; k < SUMS_WORDS; k++)
            for (size_t d = 0; d < an->D; d++) {
                const sums_squares *from = sums_squares_at(sums, b, g, d);
                x[k * an->D + d] = from->square[k];
                x[(SUMS_WORDS + k) * an->D + d] = from->pairs[k];
            }
        TRY(run_writer_put_f64(w, nc, "part_square", start, count, x, err));
        TRY(run_writer_put_f64(w, nc, "part_square_pairs", start, count, x + SUMS_WORDS * an->D, err));
    }
    TRY(run_writer_define(w, nc, "part_word_square", err));
    TRY(run_writer_put_f64(w, nc, "part_word_square", NULL, NULL, word_sums_square(an->words, g, 0), err));
done:
    sg_free(x);
    return st;
}

/* Directions without each fold of words: of the model in the root, of its untrained copy in its groups. */
static sg_status put_folds(run_writer *w, const analysis *an, size_t m, int nc, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(run_writer_define(w, nc, "part_fold_vector", err));
    if (nc == RUN_ROOT)
        TRY(run_writer_define(w, nc, "part_fold_weight", err));
    for (size_t p = 0; p < an->P; p++) {
        size_t start[] = {p, 0, 0}, count[] = {1, PROPERTY_FOLDS, an->E};
        TRY(run_writer_put_f64(w, nc, "part_fold_vector", start, count, an->properties[p].fold[m], err));
        if (nc == RUN_ROOT)
            TRY(run_writer_put_f64(w, nc, "part_fold_weight", start, count, an->properties[p].fold_weight,
                                   err));
    }
done:
    return st;
}

static sg_status put_group(run_writer *w, const analysis *an, const an_sums *sums, size_t g, sg_error *err)
{
    sg_status st = SG_OK;
    size_t H = an->groups[g].units, E = an->E, packed = sums_packed(E);
    size_t first = an->first_block * an->split, end = an->end_block * an->split;
    float *sum = sg_calloc(H * E, sizeof *sum), *moment = sg_calloc(packed, sizeof *moment);
    double *missed = sg_calloc(an->D, 2 * sizeof *missed);
    int nc;
    if (!sum || !moment || !missed)
        TRY(sg_fail(err, SG_ENOMEM, "part: no memory"));
    TRY(run_writer_group(w, an->groups[g].name, &nc, err));
    TRY(run_writer_dim(w, nc, "unit", H, err));
    TRY(run_writer_define(w, nc, "part_sum", err));
    TRY(run_writer_define(w, nc, "part_moment", err));
    TRY(run_writer_define(w, nc, "part_missed", err));
    TRY(run_writer_define(w, nc, "part_missed_of", err));
    for (size_t b = first; b < end; b++) {
        size_t start[] = {b - first, 0}, count[] = {1, an->D};
        for (size_t d = 0; d < an->D; d++)
            missed[d] = sums_missed_at(sums, b, g, d)->norms,
            missed[an->D + d] = sums_missed_at(sums, b, g, d)->of;
        TRY(run_writer_put_f64(w, nc, "part_missed", start, count, missed, err));
        TRY(run_writer_put_f64(w, nc, "part_missed_of", start, count, missed + an->D, err));
    }
    TRY(put_squares(w, an, sums, g, nc, err));
    if (an->P && an->groups[g].model)
        TRY(put_folds(w, an, 1, nc, err));
    for (size_t b = first; b < end; b++)
        for (size_t i = 0; i < an->C * an->D; i++) {
            size_t c = i / an->D, d = i % an->D;
            size_t start[] = {b - first, c, d, 0, 0}, count[] = {1, 1, 1, H, E}, flat[] = {1, 1, 1, packed};
            TRY(sums_get(sums, b, g, c, d, sum, moment, err));
            TRY(run_writer_put_f32(w, nc, "part_sum", start, count, sum, err));
            TRY(run_writer_put_f32(w, nc, "part_moment", start, flat, moment, err));
        }
done:
    sg_free(sum);
    sg_free(moment);
    sg_free(missed);
    return st;
}

/* The growth of block b is in the row of its first part. */
static sg_status put_growth(run_writer *w, const analysis *an, size_t g, sg_error *err)
{
    sg_status st = SG_OK;
    const an_exponents *x = &an->exponents;
    const size_t m = an->groups[g].model;
    int nc;
    if (!x->K || x->missing)
        return SG_OK;
    TRY(run_writer_group(w, an->groups[g].name, &nc, err));
    TRY(run_writer_dim(w, nc, "exponent", x->K, err));
    TRY(run_writer_define(w, nc, "part_growth", err));
    TRY(run_writer_define(w, nc, "part_growth_steps", err));
    for (size_t b = an->first_block; b < an->end_block; b++) {
        size_t start[] = {(b - an->first_block) * an->split, 0}, count[] = {1, x->K};
        TRY(run_writer_put_f64(w, nc, "part_growth", start, count, x->growth[m] + b * x->K, err));
        TRY(run_writer_put_f64(w, nc, "part_growth_steps", start, count, x->steps[m] + b, err));
    }
done:
    return st;
}

/* The blocks of this part, model by model. */
static sg_status put_replaced(run_writer *w, const analysis *an, const replaced_sums *s, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t F = replaced_fields(s->G), first = an->first_block * an->split,
                 end = an->end_block * an->split;
    TRY(run_writer_dim(w, RUN_ROOT, "replaced_model", s->models, err));
    TRY(run_writer_dim(w, RUN_ROOT, "replaced_row", s->rows, err));
    TRY(run_writer_dim(w, RUN_ROOT, "replaced_sum", F, err));
    TRY(run_writer_define(w, RUN_ROOT, "part_replaced", err));
    for (size_t b = first; b < end; b++)
        for (size_t m = 0; m < s->models; m++) {
            size_t start[] = {b - first, m, 0, 0, 0}, count[] = {1, 1, s->rows, s->D, F};
            TRY(run_writer_put_f64(w, RUN_ROOT, "part_replaced", start, count,
                                   replaced_sums_at(s, m, b, 0, 0), err));
        }
done:
    return st;
}

sg_status part_write(run_writer *w, const analysis *an, const an_sums *sums, const replaced_sums *replaced,
                     sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const variables[] = {"part_block", "part_weight",       "part_moment_weight",
                                            "part_pairs", "part_moment_pairs", "part_existing"};
    results_input input;
    analysis_results_input(an, &input);
    TRY(run_writer_dim(w, RUN_ROOT, "part_block", (an->end_block - an->first_block) * an->split, err));
    TRY(run_writer_dim(w, RUN_ROOT, "packed", sums_packed(an->E), err));
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        TRY(run_writer_define(w, RUN_ROOT, variables[i], err));
    TRY(run_writer_text(w, RUN_ROOT, NULL, "block_gram", input.store_gram ? "yes" : input.gram_reason, err));
    if (an->words) {
        TRY(run_writer_dim(w, RUN_ROOT, "part_which", SUMS_WORDS, err));
        TRY(run_writer_define(w, RUN_ROOT, "part_word_pairs", err));
        TRY(run_writer_put_f64(w, RUN_ROOT, "part_word_pairs", NULL, NULL, word_sums_pairs(an->words, 0),
                               err));
    } else
        TRY(run_writer_text(w, RUN_ROOT, NULL, "words_missing", an->words_missing, err));
    TRY(run_writer_text(w, RUN_ROOT, NULL, "no_kl", input.no_kl ? input.no_kl : "", err));
    if (an->P) {
        TRY(run_writer_dim(w, RUN_ROOT, "part_fold", PROPERTY_FOLDS, err));
        TRY(put_folds(w, an, 0, RUN_ROOT, err));
    }
    TRY(put_weights(w, an, sums, err));
    if (replaced)
        TRY(put_replaced(w, an, replaced, err));
    for (size_t g = 0; g < an->n_groups; g++)
        TRY(put_group(w, an, sums, g, err));
    for (size_t g = 0; g < an->n_groups; g++)
        TRY(put_growth(w, an, g, err));
done:
    return st;
}

/* ---- all parts ---- */

typedef struct {
    const char *path;
    sg_run *run;
    size_t part, parts, blocks;
    int64_t *block; /* (blocks) numbers in the whole */
} piece;

static sg_status same(const piece *first, const piece *p, const char *attribute, sg_error *err)
{
    const char *a = sg_run_attribute(first->run, attribute), *b = sg_run_attribute(p->run, attribute);
    if (a && b && !strcmp(a, b))
        return SG_OK;
    return sg_fail(err, SG_EFORMAT, "%s: does not belong to %s: %s is %s there, %s here", p->path,
                   first->path, attribute, a ? a : "missing", b ? b : "missing");
}

/* All that the file says of model, corpus and settings is the same in all parts; identity_sha256 last, others tell
 * more. */
static sg_status check_attributes(const piece *first, const piece *p, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const of_part[] = {"part", "command", "created", "identity_sha256"};
    for (size_t i = 0; i < sg_run_attributes(first->run); i++) {
        const char *name = sg_run_attribute_name(first->run, i);
        bool differs = name[0] == '_';
        for (size_t k = 0; k < sizeof of_part / sizeof *of_part; k++)
            differs |= !strcmp(name, of_part[k]);
        if (!differs)
            TRY(same(first, p, name, err));
    }
    TRY(same(first, p, "identity_sha256", err));
done:
    return st;
}

static sg_status open_piece(piece *p, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    size_t rank, shape[SG_RUN_MAX_DIMS];
    double *x = NULL;
    p->path = path;
    TRY(run_open_part(&p->run, path, err));
    const char *part = sg_run_attribute(p->run, "part");
    if (!run_is_part(p->run))
        TRY(sg_fail(err, SG_EFORMAT, "%s: is a whole run, not a part of one", path));
    if (!part || sscanf(part, "%zu/%zu", &p->part, &p->parts) != 2 || !p->part || p->part > p->parts)
        TRY(sg_fail(err, SG_EFORMAT, "%s: attribute part is '%s', expected I/N", path, part ? part : ""));
    if (!sg_run_shape(p->run, NULL, "part_block", &rank, shape) || !shape[0])
        TRY(sg_fail(err, SG_EFORMAT, "%s: variable part_block is missing", path));
    p->blocks = shape[0];
    if (!(p->block = sg_calloc(p->blocks, sizeof *p->block)) || !(x = sg_calloc(p->blocks, sizeof *x)))
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", path));
    TRY(sg_run_read(p->run, NULL, "part_block", NULL, NULL, x, err));
    for (size_t i = 0; i < p->blocks; i++)
        p->block[i] = x[i] >= 0 && x[i] < 1e9 ? (int64_t)x[i] : -1;
done:
    sg_free(x);
    return st;
}

/* The parts are those of one run, each once, none missing. */
static sg_status check_pieces(const piece *pieces, size_t n, size_t *B, size_t *split, sg_error *err)
{
    sg_status st = SG_OK;
    size_t blocks = 0;
    bool *seen = NULL;
    for (size_t i = 0; i < n; i++) {
        TRY(check_attributes(&pieces[0], &pieces[i], err));
        if (pieces[i].parts != pieces[0].parts)
            TRY(sg_fail(err, SG_EFORMAT, "%s: is part %zu of %zu, %s one of %zu", pieces[i].path,
                        pieces[i].part, pieces[i].parts, pieces[0].path, pieces[0].parts));
        for (size_t j = 0; j < i; j++)
            if (pieces[j].part == pieces[i].part)
                TRY(sg_fail(err, SG_EFORMAT, "%s: is part %zu of %zu, as %s is", pieces[i].path,
                            pieces[i].part, pieces[i].parts, pieces[j].path));
        blocks += pieces[i].blocks;
    }
    for (size_t part = 1; part <= pieces[0].parts; part++) {
        bool there = false;
        for (size_t i = 0; i < n; i++)
            there |= pieces[i].part == part;
        if (!there)
            TRY(sg_fail(err, SG_EFORMAT, "part %zu of %zu is missing", part, pieces[0].parts));
    }
    const char *text = sg_run_attribute(pieces[0].run, "blocks"),
               *parts = sg_run_attribute(pieces[0].run, "block_parts");
    if (!text || sscanf(text, "%zu", B) != 1 || !*B || !parts || sscanf(parts, "%zu", split) != 1 ||
        *B > blocks || *split != blocks / *B || blocks % *B)
        TRY(sg_fail(err, SG_EFORMAT, "%s: the parts have %zu parts of blocks, the run has %s times %s",
                    pieces[0].path, blocks, text ? text : "?", parts ? parts : "?"));
    if (!(seen = sg_calloc(blocks, sizeof *seen)))
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory for %zu blocks", pieces[0].path, blocks));
    for (size_t i = 0; i < n; i++)
        for (size_t b = 0; b < pieces[i].blocks; b++) {
            int64_t k = pieces[i].block[b];
            if (k < 0 || (size_t)k >= blocks || seen[k])
                TRY(sg_fail(err, SG_EFORMAT, "%s: block %jd is not one of its own", pieces[i].path,
                            (intmax_t)k));
            seen[k] = true;
        }
done:
    sg_free(seen);
    return st;
}

static sg_status read_weights(const piece *p, an_sums *sums, sg_error *err)
{
    sg_status st = SG_OK;
    const sums_shape *s = sums_get_shape(sums);
    static const char *const names[] = {"part_weight", "part_moment_weight", "part_pairs",
                                        "part_moment_pairs", "part_existing"};
    size_t CD = s->C * s->D;
    double *x = sg_calloc(5 * CD, sizeof *x);
    if (!x)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", p->path);
    for (size_t b = 0; b < p->blocks; b++) {
        size_t start[] = {b, 0, 0}, count[] = {1, s->C, s->D};
        for (size_t v = 0; v < 5; v++)
            TRY(sg_run_read(p->run, NULL, names[v], start, count, x + v * CD, err));
        for (size_t i = 0; i < CD; i++) {
            for (size_t v = 0; v < 5; v++)
                if (!(x[v * CD + i] >= 0 && x[v * CD + i] < 1e18))
                    TRY(sg_fail(err, SG_EFORMAT, "%s: %s: %g is not a number of pairs", p->path, names[v],
                                x[v * CD + i]));
            *sums_weight_at(sums, (size_t)p->block[b], i / s->D, i % s->D) = (sums_weight){
                x[i], x[CD + i], (int64_t)x[2 * CD + i], (int64_t)x[3 * CD + i], (int64_t)x[4 * CD + i]};
        }
    }
done:
    sg_free(x);
    return st;
}

/* Of one model, from its group. */
static sg_status read_growth(const piece *p, an_exponents *x, size_t split, const an_group *group,
                             sg_error *err)
{
    sg_status st = SG_OK;
    size_t rank, shape[SG_RUN_MAX_DIMS], m = group->model;
    if (!sg_run_shape(p->run, group->name, "part_growth", &rank, shape)) {
        x->missing = exponents_reset;
        return SG_OK;
    }
    if (rank != 2 || shape[0] != p->blocks || shape[1] != x->K)
        return sg_fail(err, SG_EFORMAT, "%s: part_growth: (%zu, %zu), expected (%zu, %zu)", p->path, shape[0],
                       shape[1], p->blocks, x->K);
    for (size_t i = 0; i < p->blocks; i++) {
        size_t b = (size_t)p->block[i], start[] = {i, 0}, count[] = {1, x->K};
        if (b % split)
            continue;
        b /= split;
        TRY(sg_run_read(p->run, group->name, "part_growth", start, count, x->growth[m] + b * x->K, err));
        TRY(sg_run_read(p->run, group->name, "part_growth_steps", start, count, x->steps[m] + b, err));
        if (!(x->steps[m][b] >= 0))
            TRY(sg_fail(err, SG_EFORMAT, "%s: part_growth_steps: %g", p->path, x->steps[m][b]));
    }
done:
    return st;
}

static sg_status read_exponents(an_exponents *x, const piece *pieces, size_t n, size_t B, size_t split,
                                const an_group *groups, size_t n_groups, sg_error *err)
{
    sg_status st = SG_OK;
    const char *K = sg_run_attribute(pieces[0].run, "lyapunov");
    *x = (an_exponents){.B = B};
    if (!K || sscanf(K, "%zu", &x->K) != 1 || !x->K || x->K > 1000000)
        return x->K = 0, SG_OK;
    for (size_t g = 0; g < n_groups; g++) {
        size_t m = groups[g].model;
        if (x->growth[m])
            continue; /* the same in every group of the model */
        NEED((x->growth[m] = sg_calloc(B, x->K * sizeof(double))) &&
                 (x->steps[m] = sg_calloc(B, sizeof(double))),
             err, "%zu Lyapunov exponents", x->K);
        for (size_t i = 0; i < n; i++)
            TRY(read_growth(&pieces[i], x, split, &groups[g], err));
    }
done:
    return st;
}

static sg_status read_missed(const piece *p, an_sums *sums, const an_group *groups, sg_error *err)
{
    sg_status st = SG_OK;
    const sums_shape *s = sums_get_shape(sums);
    double *norms = sg_calloc(s->D, 2 * sizeof *norms), *of = norms + s->D;
    if (!norms)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", p->path);
    for (size_t g = 0; g < s->G; g++)
        for (size_t b = 0; b < p->blocks; b++) {
            size_t start[] = {b, 0}, count[] = {1, s->D};
            TRY(sg_run_read(p->run, groups[g].name, "part_missed", start, count, norms, err));
            TRY(sg_run_read(p->run, groups[g].name, "part_missed_of", start, count, of, err));
            for (size_t d = 0; d < s->D; d++) {
                if (!(norms[d] >= 0) || !(of[d] >= 0))
                    TRY(sg_fail(err, SG_EFORMAT, "%s: part_missed: %g of %g", p->path, norms[d], of[d]));
                *sums_missed_at(sums, (size_t)p->block[b], g, d) = (sums_missed){norms[d], of[d]};
            }
        }
done:
    sg_free(norms);
    return st;
}

static sg_status read_sums(const piece *p, an_sums *sums, const an_group *groups, sg_error *err)
{
    sg_status st = SG_OK;
    const sums_shape *s = sums_get_shape(sums);
    size_t largest = 0, packed = sums_packed(s->E);
    for (size_t g = 0; g < s->G; g++)
        largest = s->units[g] > largest ? s->units[g] : largest;
    float *sum = sg_calloc(largest * s->E, sizeof *sum), *moment = sg_calloc(packed, sizeof *moment);
    if (!sum || !moment)
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", p->path));
    for (size_t g = 0; g < s->G; g++)
        for (size_t b = 0; b < p->blocks; b++)
            for (size_t i = 0; i < s->C * s->D; i++) {
                size_t c = i / s->D, d = i % s->D, start[] = {b, c, d, 0, 0},
                       count[] = {1, 1, 1, s->units[g], s->E};
                size_t flat[] = {1, 1, 1, packed};
                TRY(run_read_f32(p->run, groups[g].name, "part_sum", start, count, sum, err));
                TRY(run_read_f32(p->run, groups[g].name, "part_moment", start, flat, moment, err));
                TRY(sums_put(sums, (size_t)p->block[b], g, c, d, sum, moment, err));
            }
done:
    sg_free(sum);
    sg_free(moment);
    return st;
}

/* The squared gains of a part: into the records of its blocks, added to the sums of words. */
static sg_status read_squares(const piece *p, an_sums *sums, word_sums *words, const an_group *groups,
                              sg_error *err)
{
    sg_status st = SG_OK;
    const sums_shape *s = sums_get_shape(sums);
    size_t n = words ? words->V * words->D : 0, room = n > 2 * SUMS_WORDS * s->D ? n : 2 * SUMS_WORDS * s->D;
    double *x = sg_calloc(room, sizeof *x);
    NEED(x, err, "the squared gains of %s", p->path);
    for (size_t g = 0; words && g < s->G; g++) {
        for (size_t b = 0; b < p->blocks; b++) {
            size_t start[] = {b, 0, 0}, count[] = {1, SUMS_WORDS, s->D};
            double *pairs = x + SUMS_WORDS * s->D;
            TRY(sg_run_read(p->run, groups[g].name, "part_square", start, count, x, err));
            TRY(sg_run_read(p->run, groups[g].name, "part_square_pairs", start, count, pairs, err));
            for (size_t i = 0; i < SUMS_WORDS * s->D; i++) {
                sums_squares *to = sums_squares_at(sums, (size_t)p->block[b], g, i % s->D);
                if (!(x[i] >= -1e-6 * fabs(x[i % s->D])) || !(pairs[i] >= 0))
                    TRY(sg_fail(err, SG_EFORMAT, "%s: part_square: %g of %g pairs", p->path, x[i], pairs[i]));
                to->square[i / s->D] = x[i], to->pairs[i / s->D] = pairs[i];
            }
        }
        TRY(sg_run_read(p->run, groups[g].name, "part_word_square", NULL, NULL, x, err));
        for (size_t i = 0; i < n; i++)
            word_sums_square(words, g, 0)[i] += x[i];
    }
    if (words) {
        TRY(sg_run_read(p->run, NULL, "part_word_pairs", NULL, NULL, x, err));
        for (size_t i = 0; i < n; i++)
            word_sums_pairs(words, 0)[i] += x[i];
    }
done:
    sg_free(x);
    return st;
}

/* What replacing words does in the parts' blocks; *out NULL: nothing was replaced. */
static sg_status read_replaced(replaced_sums **out, const piece *pieces, size_t n, const results_input *x,
                               sg_error *err)
{
    sg_status st = SG_OK;
    size_t rank, shape[SG_RUN_MAX_DIMS];
    *out = NULL;
    for (size_t i = 0; i < n; i++) {
        const piece *p = &pieces[i];
        if (!sg_run_shape(p->run, NULL, "part_replaced", &rank, shape)) {
            if (*out)
                TRY(sg_fail(err, SG_EFORMAT, "%s: variable part_replaced is missing", p->path));
            continue;
        }
        const size_t models = rank == 5 ? shape[1] : 0, G = models ? x->n_groups / models : 0,
                     rows = replaced_rows(x->C, x->P);
        if (rank != 5 || !models || models > 2 || x->n_groups % models || shape[0] != p->blocks ||
            shape[2] != rows || shape[3] != x->D || shape[4] != replaced_fields(G) || (i && !*out))
            TRY(sg_fail(err, SG_EFORMAT, "%s: variable part_replaced does not fit the run", p->path));
        if (!*out)
            TRY(replaced_sums_new(out, models, x->B * x->split, rows, x->D, G, err));
        for (size_t b = 0; b < p->blocks; b++)
            for (size_t m = 0; m < models; m++) {
                size_t start[] = {b, m, 0, 0, 0}, count[] = {1, 1, rows, x->D, shape[4]};
                TRY(sg_run_read(p->run, NULL, "part_replaced", start, count,
                                replaced_sums_at(*out, m, (size_t)p->block[b], 0, 0), err));
            }
    }
done:
    return st;
}

static size_t product(size_t rank, const size_t *shape)
{
    size_t n = 1;
    for (size_t i = 0; i < rank; i++)
        n *= shape[i];
    return n;
}

static sg_status copy_dims(run_writer *w, const sg_run *r, sg_error *err)
{
    sg_status st = SG_OK;
    static const struct {
        const char *dim, *variable; /* a variable whose first dimension it is */
    } optional[] = {{"decay_quantity", "decay_quantity"},
                    {"decay_law", "decay_law"},
                    {"decay_share", "decay_share"},
                    {"word", "word"},
                    {"member", "member_word"}};
    TRY(run_writer_dim(w, RUN_ROOT, "delay", sg_run_delays(r), err));
    TRY(run_writer_dim(w, RUN_ROOT, "class", sg_run_classes(r), err));
    TRY(run_writer_dim(w, RUN_ROOT, "embedding", sg_run_embedding(r), err));
    TRY(run_writer_dim(w, RUN_ROOT, "property", 0, err));
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        size_t rank, shape[SG_RUN_MAX_DIMS];
        if (sg_run_shape(r, NULL, optional[i].variable, &rank, shape) && rank && shape[0])
            TRY(run_writer_dim(w, RUN_ROOT, optional[i].dim, shape[0], err));
    }
done:
    return st;
}

static sg_status copy_variable(run_writer *w, int nc, sg_run *r, const char *group, const run_variable *v,
                               sg_error *err)
{
    sg_status st = SG_OK;
    size_t rank, shape[SG_RUN_MAX_DIMS], start[SG_RUN_MAX_DIMS] = {0};
    double *x = NULL;
    int64_t *whole = NULL;
    char *text = NULL;
    if (!sg_run_shape(r, group, v->name, &rank, shape))
        return SG_OK;
    TRY(run_writer_define(w, nc, v->name, err));
    const char *why = sg_run_variable_attribute(r, group, v->name, "missing_reason");
    if (why)
        TRY(run_writer_text(w, nc, v->name, "missing_reason", why, err));
    size_t n = product(rank, shape);
    if (!n)
        return SG_OK;
    if (v->type == RUN_STRING) {
        for (size_t i = 0; i < n; i++) {
            TRY(sg_run_read_string(r, group, v->name, i, &text, err));
            TRY(run_writer_put_string(w, nc, v->name, i, text, err));
            sg_string_free(text);
            text = NULL;
        }
        goto done;
    }
    if (!(x = sg_calloc(n, sizeof *x)) || !(whole = sg_calloc(n, sizeof *whole)))
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", run_path(r)));
    TRY(sg_run_read(r, group, v->name, NULL, NULL, x, err));
    for (size_t i = 0; i < n; i++)
        whole[i] = (int64_t)x[i];
    if (v->type == RUN_F32 || v->type == RUN_F64)
        TRY(run_writer_put_f64(w, nc, v->name, start, shape, x, err));
    else
        TRY(run_writer_put_i64(w, nc, v->name, start, shape, whole, err));
done:
    sg_free(x);
    sg_free(whole);
    sg_string_free(text);
    return st;
}

static sg_status copy_root(run_writer *w, const piece *first, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    sg_run *r = first->run;
    char created[32];
    metadata_created(created);
    TRY(copy_dims(w, r, err));
    for (const run_variable *v = run_variables; v->name; v++)
        if (!v->in_group && strncmp(v->name, "part_", 5))
            TRY(copy_variable(w, RUN_ROOT, r, NULL, v, err));
    for (size_t i = 0; i < sg_run_attributes(r); i++) {
        const char *name = sg_run_attribute_name(r, i);
        if (!strcmp(name, "kind"))
            TRY(run_writer_text(w, RUN_ROOT, NULL, name, RUN_KIND, err));
        else if (!strcmp(name, "created"))
            TRY(run_writer_text(w, RUN_ROOT, NULL, name, created, err));
        else if (strcmp(name, "part") && strcmp(name, "words_missing") && strcmp(name, "block_gram") &&
                 strcmp(name, "no_kl") && name[0] != '_')
            TRY(run_writer_copy_attribute(w, r, name, err));
    }
    TRY(run_writer_integer(w, RUN_ROOT, NULL, "merged_parts", (int64_t)n, err));
done:
    return st;
}

/* What the parts' root tells of the input. */
typedef struct {
    results_input input;
    an_group *groups;
    const char **class_names;
    double *L[2], *n[2];
    /* property_missing and _names (P); texts are the first part's */
    const char *factor_missing[2], **property_missing, **property_names;
    int64_t *property_pairs; /* (P) */
    uint64_t *count, *class_tokens;
    int64_t *members;
    unsigned char *holds;
    word_sums *words;
    double *folds[2], *fold_weight;
    const char **no_folds;
} whole;

/* Unit vectors without each fold of words, as the first part has them. A property that is no vector and has none lacks words. */
static sg_status read_folds(whole *x, const piece *first, sg_error *err)
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
        TRY(sg_run_read(first->run, m ? x->groups[g].name : NULL, "part_fold_vector", NULL, NULL, delta,
                        err));
        for (size_t i = 0; i < n; i++)
            sp_direction(x->folds[m] + i * E, E, x->L[m], delta + i * E);
    }
    if (P)
        TRY(sg_run_read(first->run, NULL, "part_fold_weight", NULL, NULL, x->fold_weight, err));
    for (size_t p = 0; p < P; p++) {
        size_t one = 1;
        double a, b;
        TRY(sg_run_read(first->run, NULL, "property_words_a", &p, &one, &a, err));
        TRY(sg_run_read(first->run, NULL, "property_words_b", &p, &one, &b, err));
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

/* Number i of `variable`, n of them. */
static sg_status read_counts(int64_t *x, const piece *p, const char *variable, size_t n, size_t below,
                             sg_error *err)
{
    sg_status st = SG_OK;
    double *number = sg_calloc(n, sizeof *number);
    NEED(number, err, "%s of %s", variable, p->path);
    TRY(sg_run_read(p->run, NULL, variable, NULL, NULL, number, err));
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

/* The words of the corpus and of the classes, as the root tells them. */
static sg_status read_words(whole *x, const piece *first, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const names[] = {"member_word", "member_class", "member_count"};
    sg_run *r = first->run;
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
    an_words w = {.V = V, .count = x->count, .n = n, .word = x->members, .class = x->members + n};
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
                    x->holds[2 * c] = AN_HELD;
            }
        x->holds[2 * c + 1] = x->class_tokens[c] > known ? AN_HELD : AN_NOT_HELD;
    }
    x->holds[0] = x->holds[1] = AN_HELD;
    if (sg_run_shape(r, NULL, "part_word_pairs", &rank, shape) && rank == 2 && shape[0] == V)
        TRY(word_sums_new(&x->words, x->input.n_groups, V, x->input.D, err));
    w.sums = x->words, w.missing = sg_run_attribute(r, "words_missing");
    x->input.words = w;
done:
    return st;
}

static sg_status read_plan(whole *x, const piece *first, size_t B, size_t split, int threads, sg_error *err)
{
    sg_status st = SG_OK;
    sg_run *r = first->run;
    size_t G = sg_run_groups(r), C = sg_run_classes(r), E = sg_run_embedding(r), P = sg_run_properties(r);
    double *delta = sg_calloc(E, sizeof *delta);
    const char *no_kl = sg_run_attribute(r, "no_kl");
    const char *gram = sg_run_attribute(r, "block_gram"), *seed = sg_run_attribute(r, "seed");
    long long number = 0;
    if (!delta || !(x->groups = sg_calloc(G, sizeof *x->groups)) ||
        !(x->class_names = sg_calloc(C, sizeof *x->class_names)) ||
        !(x->property_missing = sg_calloc(P, sizeof *x->property_missing)) ||
        !(x->property_names = sg_calloc(P, sizeof *x->property_names)) ||
        !(x->property_pairs = sg_calloc(P, sizeof *x->property_pairs)))
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", first->path));
    for (size_t c = 0; c < C; c++)
        x->class_names[c] = sg_run_class_name(r, c);
    for (size_t g = 0; g < G; g++) {
        const char *name = sg_run_group_name(r, g);
        size_t m = !strncmp(name, "untrained.", 10);
        x->groups[g] = (an_group){.units = sg_run_units(r, g), .model = m};
        snprintf(x->groups[g].name, sizeof x->groups[g].name, "%s", name);
        if (x->L[m])
            continue;
        if (!(x->L[m] = sg_calloc(E * E, sizeof(double))) || !(x->n[m] = sg_calloc(P, E * sizeof(double))))
            TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", first->path));
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
                               .no_kl = no_kl && *no_kl ? no_kl : NULL};
done:
    sg_free(delta);
    return st;
}

static sg_status copy_untrained(run_writer *w, const whole *x, const piece *first, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t g = 0; g < x->input.n_groups; g++) {
        int nc;
        if (!x->groups[g].model)
            continue;
        TRY(run_writer_group(w, x->groups[g].name, &nc, err));
        TRY(copy_variable(w, nc, first->run, x->groups[g].name,
                          run_variable_find("embedding_covariance_factor"), err));
        TRY(copy_variable(w, nc, first->run, x->groups[g].name, run_variable_find("property_vector"), err));
    }
done:
    return st;
}

sg_status sg_merge(const char *run_path, const char *const *parts, size_t n_parts, int threads,
                   const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    size_t B = 0, split = 1, units[RUN_MAX_GROUPS];
    whole x = {0};
    an_sums *sums = NULL;
    an_exponents exponents = {0};
    replaced_sums *replaced = NULL;
    run_writer *w = NULL;
    piece *pieces = sg_calloc(n_parts, sizeof *pieces);
    la_serial_begin();
    if (!n_parts || !pieces)
        TRY(sg_fail(err, n_parts ? SG_ENOMEM : SG_EINVAL,
                    n_parts ? "merge: no memory" : "merge: no parts given"));
    for (size_t i = 0; i < n_parts; i++)
        TRY(open_piece(&pieces[i], parts[i], err));
    TRY(check_pieces(pieces, n_parts, &B, &split, err));
    TRY(read_plan(&x, &pieces[0], B, split, threads, err));
    TRY(read_words(&x, &pieces[0], err));
    TRY(read_folds(&x, &pieces[0], err));
    for (size_t g = 0; g < x.input.n_groups; g++)
        units[g] = x.groups[g].units;
    sums_shape shape = {B * split, x.input.n_groups, x.input.C, x.input.D, x.input.E, units, true};
    TRY(run_writer_create(&w, run_path, err));
    TRY(copy_root(w, &pieces[0], n_parts, err));
    TRY(copy_untrained(w, &x, &pieces[0], err));
    TRY(sums_new(&sums, &shape, run_path, NULL, err));
    for (size_t i = 0; i < n_parts; i++) {
        TRY(read_weights(&pieces[i], sums, err));
        TRY(read_missed(&pieces[i], sums, x.groups, err));
        TRY(read_sums(&pieces[i], sums, x.groups, err));
        TRY(read_squares(&pieces[i], sums, x.words, x.groups, err));
    }
    TRY(read_exponents(&exponents, pieces, n_parts, B, split, x.groups, x.input.n_groups, err));
    x.input.exponents = &exponents;
    TRY(read_replaced(&replaced, pieces, n_parts, &x.input, err));
    x.input.replaced = replaced;
    TRY(results_write(w, &x.input, sums, monitor, err));
    run_writer *ready = w;
    w = NULL;
    TRY(run_writer_commit(ready, err));
done:
    run_writer_abort(w);
    sums_free(sums);
    replaced_sums_free(replaced);
    for (size_t i = 0; pieces && i < n_parts; i++) {
        sg_run_close(pieces[i].run);
        sg_free(pieces[i].block);
    }
    sg_free(pieces);
    exponents_free(&exponents);
    sg_free(x.groups);
    sg_free(x.class_names);
    sg_free(x.count);
    sg_free(x.class_tokens);
    sg_free(x.members);
    sg_free(x.holds);
    word_sums_free(x.words);
    sg_free(x.fold_weight);
    sg_free(x.no_folds);
    sg_free(x.property_missing), sg_free(x.property_names), sg_free(x.property_pairs);
    for (size_t m = 0; m < 2; m++) {
        sg_free(x.L[m]);
        sg_free(x.folds[m]);
        sg_free(x.n[m]);
    }
    la_serial_end();
    return st;
}
