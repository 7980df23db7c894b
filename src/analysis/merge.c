/* SPDX-License-Identifier: MIT */
/* Parts of a run: what is summed over blocks into a file, and the files of all parts together as the whole
 * run. */
#include "analysis/merge.h"
#include "analysis/team.h"
#include "analysis/results/metadata.h"
#include "analysis/results/part_input.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <string.h>

/* All that is summed over blocks. words, replaced and self_gains may be NULL. */
typedef struct {
    block_sums *sums;
    word_sums *words;
    replacement_sums *replaced;
    exponent_sums *exponents;
    self_gain_sums *self_gains;
} totals;

/* Every total into a part, or the rows of a part into the totals: see part.h. */
static sg_status transfer(part_file *p, const totals *t, const results_input *x, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(part_group(p, NULL, err));
    TRY(sums_part_weights(p, t->sums, t->words, err));
    TRY(replacement_sums_part(p, t->replaced, err));
    TRY(self_gain_sums_part_pairs(p, t->self_gains, err));
    for (size_t g = 0; g < x->n_groups; g++) {
        TRY(part_group(p, x->groups[g].name, err));
        TRY(sums_part(p, t->sums, t->words, g, err));
        TRY(exponents_part(p, t->exponents, x->groups[g].model, x->split, err));
        TRY(self_gain_sums_part(p, t->self_gains, g, err));
    }
done:
    return st;
}

sg_status part_write(run_writer *w, const char *path, analysis *an, block_sums *sums,
                     replacement_sums *replaced, sg_error *err)
{
    sg_status st = SG_OK;
    const totals t = {sums, an->words, replaced, &an->exponents, an->self_gains};
    part_file p;
    results_input input;
    analysis_results_input(an, &input);
    TRY(part_begin(&p, w, path, an->first_row, an->end_row - an->first_row, err));
    TRY(part_input_write(&p, an, err));
    TRY(transfer(&p, &t, &input, err));
done:
    part_close(&p);
    return st;
}

/* The rows of one rank: to rank 0, or from it. */
static sg_status exchange(analysis *an, size_t rank, const totals *t, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_team *team = an->cfg->team;
    part_file p = {0};
    team_stream *stream = NULL;
    results_input input;
    char name[32];
    size_t first, end;
    analysis_results_input(an, &input);
    team_share(an, rank, team->ranks, &first, &end);
    snprintf(name, sizeof name, "rank %zu", rank);
    TRY(team_stream_new(&stream, team, team->rank ? 0 : rank, err));
    TRY(part_of_stream(&p, stream, team->rank > 0, name, first, end - first, err));
    TRY(transfer(&p, t, &input, err));
    if (p.out)
        TRY(team_flush(stream, err));
done:
    part_close(&p);
    team_stream_free(stream);
    return st;
}

sg_status team_gather(analysis *an, block_sums *sums, replacement_sums *replaced, sg_error *err)
{
    sg_status st = SG_OK;
    const totals t = {sums, an->words, replaced, &an->exponents, an->self_gains};
    const sg_team *team = an->cfg->team;
    for (size_t r = 1; r < team->ranks; r++)
        if (!team->rank || r == team->rank)
            TRY(exchange(an, r, &t, err));
done:
    return st;
}

static sg_status check_same_attribute(const part_file *first, const part_file *p, const char *attribute,
                                      sg_error *err)
{
    const char *a = sg_run_attribute(first->r, attribute), *b = sg_run_attribute(p->r, attribute);
    if (a && b && !strcmp(a, b))
        return SG_OK;
    return sg_fail(err, SG_EFORMAT, "%s: does not belong to %s: %s is %s there, %s here", p->path,
                   first->path, attribute, a ? a : "missing", b ? b : "missing");
}

/* All that the files record of model, corpus and settings is the same in all parts; identity_sha256 last,
 * others are more specific. */
static sg_status check_attributes(const part_file *first, const part_file *p, sg_error *err)
{
    sg_status st = SG_OK;
    static const char *const of_part[] = {"part", "command", "created", "identity_sha256"};
    const part_file *const both[] = {first, p};
    for (size_t f = 0; f < 2; f++)
        for (size_t i = 0; i < sg_run_attributes(both[f]->r); i++) {
            const char *name = sg_run_attribute_name(both[f]->r, i);
            bool differs = name[0] == '_';
            for (size_t k = 0; k < sizeof of_part / sizeof *of_part; k++)
                differs |= !strcmp(name, of_part[k]);
            if (!differs)
                TRY(check_same_attribute(first, p, name, err));
        }
    TRY(check_same_attribute(first, p, "identity_sha256", err));
done:
    return st;
}

/* A total that the first part lacks is made for none: no other part may have it. (One that the first part
 * has, and another lacks, is noticed when it is read.) */
static sg_status check_variables(const part_file *first, const part_file *p, sg_error *err)
{
    size_t rank, shape[SG_RUN_MAX_DIMS];
    for (const run_variable *v = run_variables; v->name; v++)
        for (size_t g = 0; g < (v->in_group ? sg_run_groups(p->r) : 1); g++) {
            const char *group = v->in_group ? sg_run_group_name(p->r, g) : NULL;
            if (!strncmp(v->name, "part_", 5) && sg_run_shape(p->r, group, v->name, &rank, shape) &&
                !sg_run_shape(first->r, group, v->name, &rank, shape))
                return sg_fail(err, SG_EFORMAT,
                               "%s: does not belong to %s: variable %s is missing there, not here", p->path,
                               first->path, v->name);
        }
    return SG_OK;
}

/* The parts are those of one run, each once, none missing. */
static sg_status check_parts(const part_file *files, size_t n, size_t *B, size_t *split, sg_error *err)
{
    sg_status st = SG_OK;
    size_t blocks = 0;
    bool *seen = NULL;
    for (size_t i = 0; i < n; i++) {
        TRY(check_attributes(&files[0], &files[i], err));
        TRY(check_variables(&files[0], &files[i], err));
        if (files[i].parts != files[0].parts)
            TRY(sg_fail(err, SG_EFORMAT, "%s: is part %zu of %zu, %s one of %zu", files[i].path,
                        files[i].part, files[i].parts, files[0].path, files[0].parts));
        for (size_t j = 0; j < i; j++)
            if (files[j].part == files[i].part)
                TRY(sg_fail(err, SG_EFORMAT, "%s: is part %zu of %zu, as %s is", files[i].path, files[i].part,
                            files[i].parts, files[j].path));
        blocks += files[i].rows;
    }
    for (size_t part = 1; part <= files[0].parts; part++) {
        bool there = false;
        for (size_t i = 0; i < n; i++)
            there |= files[i].part == part;
        if (!there)
            TRY(sg_fail(err, SG_EFORMAT, "part %zu of %zu is missing", part, files[0].parts));
    }
    const char *text = sg_run_attribute(files[0].r, "blocks"),
               *parts = sg_run_attribute(files[0].r, "block_parts");
    if (!text || sscanf(text, "%zu", B) != 1 || !*B || !parts || sscanf(parts, "%zu", split) != 1 ||
        *B > blocks || *split != blocks / *B || blocks % *B)
        TRY(sg_fail(err, SG_EFORMAT, "%s: the parts have %zu parts of blocks, the run has %s times %s",
                    files[0].path, blocks, text ? text : "?", parts ? parts : "?"));
    NEED(seen = sg_calloc(blocks, sizeof *seen), err, "%zu blocks of %s", blocks, files[0].path);
    for (size_t i = 0; i < n; i++)
        for (size_t b = 0; b < files[i].rows; b++) {
            size_t k = files[i].block[b];
            if (k >= blocks || seen[k])
                TRY(sg_fail(err, SG_EFORMAT, "%s: block %jd is not one of its own", files[i].path,
                            (intmax_t)k));
            seen[k] = true;
        }
done:
    sg_free(seen);
    return st;
}

sg_status sg_merge(const char *run_path, const char *const *parts, size_t n_parts, int threads,
                   const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    size_t B = 0, split = 1, units[RUN_MAX_GROUPS];
    part_input x = {0};
    exponent_sums exponents = {0};
    totals t = {.exponents = &exponents};
    run_writer *w = NULL;
    part_file *files = sg_calloc(n_parts, sizeof *files);
    la_serial_begin();
    if (!n_parts)
        TRY(sg_fail(err, SG_EINVAL, "merge: no parts given"));
    NEED(files, err, "%zu parts", n_parts);
    for (size_t i = 0; i < n_parts; i++)
        TRY(part_open(&files[i], parts[i], err));
    TRY(check_parts(files, n_parts, &B, &split, err));
    TRY(part_input_read(&x, &files[0], B, split, threads, err));
    for (size_t g = 0; g < x.input.n_groups; g++)
        units[g] = x.groups[g].units;
    sums_shape shape = {B * split, x.input.n_groups, x.input.C, x.input.D, x.input.E, units, true};
    TRY(run_writer_create(&w, run_path, err));
    TRY(metadata_copy(w, files[0].r, err));
    TRY(sums_new(&t.sums, &shape, run_path, NULL, err));
    TRY(replacement_sums_of_parts(&t.replaced, &files[0], B * split, err));
    TRY(exponents_of_parts(&exponents, files[0].r, B, err));
    TRY(self_gain_sums_of_parts(&t.self_gains, &files[0], B * split, err));
    t.words = x.words;
    for (size_t i = 0; i < n_parts; i++)
        TRY(transfer(&files[i], &t, &x.input, err));
    x.input.exponents = &exponents;
    x.input.replaced = t.replaced;
    x.input.self_gains = t.self_gains;
    TRY(results_write(w, &x.input, t.sums, monitor, err));
    run_writer *ready = w;
    w = NULL;
    TRY(run_writer_commit(ready, err));
done:
    run_writer_abort(w);
    sums_free(t.sums);
    replacement_sums_free(t.replaced);
    exponents_free(&exponents);
    self_gain_sums_free(t.self_gains);
    part_input_free(&x);
    for (size_t i = 0; files && i < n_parts; i++)
        part_close(&files[i]);
    sg_free(files);
    la_serial_end();
    return st;
}
