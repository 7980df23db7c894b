/* SPDX-License-Identifier: MIT */
/* The analysis from end to end. */
#include "analysis/prepare.h"
#include "analysis/merge.h"
#include "analysis/team.h"
#include "analysis/pass/pass.h"
#include "analysis/results/metadata.h"

#include "base/base_internal.h"
#include "base/checkpoint.h"
#include "linalg/linalg.h"

/* Labels, and how many pairs there were. */
static sg_status put_pairs(run_writer *w, const analysis *an, const pair_sums *s, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_word_pairs *q = sg_stream_pairs(an->stream);
    if (!s)
        return SG_OK;
    const struct {
        const char *name;
        uint64_t n;
    } counts[] = {{"pairs_followed", q->n - s->beyond - s->unfollowed},
                  {"pairs_reversed", q->reversed},
                  {"pairs_outside", q->outside},
                  {"pairs_beyond_delays", s->beyond},
                  {"pairs_unfollowed", s->unfollowed}};
    TRY(run_writer_dim(w, RUN_ROOT, "pair_label", s->L, err));
    TRY(run_writer_define(w, RUN_ROOT, "pair_label", err));
    TRY(run_writer_put_strings(w, RUN_ROOT, "pair_label", 0, s->L, q->labels, err));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        TRY(run_writer_integer(w, RUN_ROOT, NULL, counts[i].name, (int64_t)counts[i].n, err));
    TRY(run_writer_real(w, RUN_ROOT, NULL, "pairs_other_share", s->rate, err));
done:
    return st;
}

/* One analysis under way. */
typedef struct {
    analysis an;
    sg_analysis_config cfg;
    const char *path;
    char *checkpoint; /* of this process among others */
    checkpoint_claim *claim;
    run_writer *w; /* NULL: another process writes */
    block_sums *sums;
    replacement_sums *replaced;
    pair_sums *pairs;
} work;

/* Everything before the pass. An output that cannot be written fails now, not in an hour. */
static sg_status begin(work *k, const sg_model *m, const sg_stream *s, const sg_classes *classes,
                       const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_team *team = k->cfg.team;
    if (team) {
        TRY(team_check(&k->cfg, err));
        if (k->cfg.checkpoint)
            TRY(team_checkpoint(&k->checkpoint, team, k->cfg.checkpoint, err));
        k->cfg.checkpoint = k->checkpoint;
    }
    if (k->cfg.checkpoint)
        TRY(checkpoint_claim_new(&k->claim, k->cfg.checkpoint, err));
    if (k->cfg.parts && sg_stream_pairs(s))
        TRY(sg_fail(err, SG_EINVAL, "setting 'part': pairs of words are followed in whole runs only"));
    if (team && sg_stream_pairs(s))
        TRY(sg_fail(err, SG_EINVAL,
                    "setting 'pairs' works in one process only: pairs of words are followed in whole runs"));
    TRY(analysis_prepare(&k->an, m, s, classes, &k->cfg, monitor, err));
    if (team)
        team_share(&k->an, team->rank, team->ranks, &k->an.first_row, &k->an.end_row);
    if (team && team->rank)
        return SG_OK;
    TRY(run_writer_create(&k->w, k->path, err));
done:
    return st;
}

/* What was summed, into the run file. */
static sg_status finish(work *k, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    results_input input;
    if (!k->w)
        return SG_OK;
    TRY(metadata_write(k->w, &k->an, err));
    TRY(put_pairs(k->w, &k->an, k->pairs, err));
    analysis_results_input(&k->an, &input);
    input.replaced = k->replaced;
    input.pairs = k->pairs;
    input.pair_labels = k->pairs ? sg_stream_pairs(k->an.stream)->labels : NULL;
    if (k->cfg.parts)
        TRY(part_write(k->w, k->path, &k->an, k->sums, k->replaced, err));
    else
        TRY(results_write(k->w, &input, k->sums, monitor, err));
    run_writer *ready = k->w;
    k->w = NULL;
    TRY(run_writer_commit(ready, err));
done:
    return st;
}

/* All processes go on, of one mind about what they do; or none does. */
static sg_status begin_together(work *k, sg_status begun, sg_error *err)
{
    char facts[IDENTITY_ROOM] = "";
    if (begun == SG_OK)
        begun = analysis_identity(&k->an, true, facts, err);
    return sg_team_agree(k->cfg.team, facts, begun, err);
}

sg_status sg_analyze(const char *run_path, const sg_model *m, const sg_stream *s, const sg_classes *classes,
                     const sg_analysis_config *cfg, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    work k = {.path = run_path};
    sg_analysis_defaults(&k.cfg, m);
    config_take(&k.cfg, sizeof k.cfg, cfg);
    const sg_team *team = k.cfg.team = k.cfg.team && k.cfg.team->ranks > 1 ? k.cfg.team : NULL;
    la_serial_begin();
    st = begin(&k, m, s, classes, monitor, err);
    if (team)
        st = begin_together(&k, st, err);
    TRY(st);
    TRY((k.cfg.precision > 0 ? sampled_run : exact_run)(&k.sums, &k.replaced, &k.an, run_path, err));
    TRY(growth_run(&k.an, err));
    TRY(pairs_run(&k.an, &k.pairs, err));
    if (team)
        TRY(team_gather(&k.an, k.sums, k.replaced, err));
    st = finish(&k, monitor, err);
    if (team)
        st = sg_team_agree(team, "", st, err);
    TRY(st);
    resume_forget(&k.an);
    if (k.cfg.csv_path && !k.cfg.parts && !(team && team->rank))
        TRY(sg_run_write_csv(run_path, k.cfg.csv_path, k.cfg.csv_style, err));
done:
    run_writer_abort(k.w);
    sums_free(k.sums);
    replacement_sums_free(k.replaced);
    pair_sums_free(k.pairs);
    analysis_free(&k.an);
    checkpoint_claim_free(k.claim);
    sg_free(k.checkpoint);
    la_serial_end();
    return st;
}

sg_status sg_features_shape(const char *path, uint64_t *rows, size_t *columns, sg_error *err)
{
    rows_file *f;
    sg_status st = rows_open(&f, path, err);
    if (st != SG_OK)
        return st;
    *rows = rows_count(f);
    *columns = rows_columns(f);
    rows_close(f);
    return SG_OK;
}
