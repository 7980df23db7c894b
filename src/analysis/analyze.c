/* SPDX-License-Identifier: MIT */
/* The analysis from end to end. */
#include "analysis/prepare.h"
#include "analysis/merge.h"
#include "analysis/pass/pass.h"
#include "analysis/results/metadata.h"

#include "base/base_internal.h"
#include "base/checkpoint.h"
#include "linalg/linalg.h"

/* A baseline's own factor and property vectors are in its groups. */
static sg_status put_untrained(run_writer *w, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t g = 0; g < an->n_groups; g++) {
        int nc;
        if (!an->groups[g].model)
            continue;
        TRY(run_writer_group(w, an->groups[g].name, &nc, err));
        TRY(run_writer_define(w, nc, "embedding_covariance_factor", err));
        TRY(run_writer_put_f64(w, nc, "embedding_covariance_factor", NULL, NULL, an->L[1], err));
        if (an->factor_missing[1][0])
            TRY(run_writer_text(w, nc, "embedding_covariance_factor", "missing_reason", an->factor_missing[1],
                                err));
        TRY(run_writer_define(w, nc, "property_vector", err));
        for (size_t p = 0; p < an->P; p++) {
            size_t start[] = {p, 0}, count[] = {1, an->E};
            TRY(run_writer_put_f64(w, nc, "property_vector", start, count, an->properties[p].delta[1], err));
        }
    }
done:
    return st;
}

static sg_status put_reached(run_writer *w, const analysis *an, sg_error *err)
{
    sg_status st = SG_OK;
    const precision_reached *x = &an->reached;
    if (!(an->cfg->precision > 0))
        return SG_OK;
    TRY(run_writer_real(w, RUN_ROOT, NULL, "precision_sampling_error", x->sampling, err));
    TRY(run_writer_real(w, RUN_ROOT, NULL, "precision_total_error", x->total, err));
    TRY(run_writer_text(w, RUN_ROOT, NULL, "precision_worst_class", an->class_names[x->class], err));
    TRY(run_writer_integer(w, RUN_ROOT, NULL, "precision_worst_delay", (int64_t)x->delay, err));
    TRY(run_writer_integer(w, RUN_ROOT, NULL, "precision_origins", (int64_t)x->origins, err));
    TRY(run_writer_integer(w, RUN_ROOT, NULL, "precision_rounds", (int64_t)x->rounds, err));
done:
    return st;
}

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

sg_status sg_analyze(const char *run_path, const sg_model *m, const sg_stream *s, const sg_classes *k,
                     const sg_analysis_config *cfg, const sg_monitor *monitor, sg_error *err)
{
    sg_analysis_config own;
    sg_analysis_defaults(&own, m);
    cfg = config_take(&own, sizeof own, cfg);
    sg_status st = SG_OK;
    analysis an = {0};
    block_sums *sums = NULL;
    replacement_sums *replaced = NULL;
    pair_sums *pairs = NULL;
    run_writer *w = NULL;
    results_input input;
    checkpoint_claim *claim = NULL;
    la_serial_begin();
    if (cfg->checkpoint)
        TRY(checkpoint_claim_new(&claim, cfg->checkpoint, err));
    if (cfg->parts && sg_stream_pairs(s))
        TRY(sg_fail(err, SG_EINVAL, "setting 'part': pairs of words are followed in whole runs only"));
    TRY(analysis_prepare(&an, m, s, k, cfg, monitor, err));
    /* first: an output that cannot be written fails now, not in an hour */
    TRY(run_writer_create(&w, run_path, err));
    TRY(metadata_write(w, &an, err));
    TRY(put_untrained(w, &an, err));
    TRY((cfg->precision > 0 ? sampled_run : exact_run)(&sums, &replaced, &an, run_path, err));
    TRY(growth_run(&an, err));
    TRY(pairs_run(&an, &pairs, err));
    TRY(put_pairs(w, &an, pairs, err));
    TRY(put_reached(w, &an, err));
    analysis_results_input(&an, &input);
    input.replaced = replaced;
    input.pairs = pairs;
    input.pair_labels = pairs ? sg_stream_pairs(s)->labels : NULL;
    if (cfg->parts)
        TRY(part_write(w, run_path, &an, sums, replaced, err));
    else
        TRY(results_write(w, &input, sums, monitor, err));
    run_writer *ready = w;
    w = NULL;
    TRY(run_writer_commit(ready, err));
    resume_forget(&an);
    if (cfg->csv_path && !cfg->parts)
        TRY(sg_run_write_csv(run_path, cfg->csv_path, cfg->csv_style, err));
done:
    run_writer_abort(w);
    sums_free(sums);
    replacement_sums_free(replaced);
    pair_sums_free(pairs);
    analysis_free(&an);
    checkpoint_claim_free(claim);
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
