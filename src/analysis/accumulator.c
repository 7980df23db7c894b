/* SPDX-License-Identifier: MIT */
/* The analysis of given gradients from end to end: analyze.c without a model. */
#include "stategrad/accumulator.h"
#include "analysis/in_memory.h"
#include "analysis/pass/external_gradients.h"
#include "analysis/pass/external_replacements.h"
#include "analysis/results/metadata.h"
#include "analysis/settings.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <string.h>

struct sg_accumulator {
    sg_accumulator_config cfg;
    sg_analysis_config settings;
    sg_monitor monitor;
    sg_accumulator_state *states;
    char **texts; /* copies of what the configuration points at */
    size_t n_texts;
    char *folder, *path; /* folder NULL: the path is the caller's */
    bool nameless, over;
    analysis an;
    run_writer *w;
    external_pass *pass;
    external_replacements *replaced; /* NULL: nothing is replaced */
};

/* *text becomes a copy that is freed with a. */
static sg_status keep(sg_accumulator *a, const char **text, sg_error *err)
{
    if (!*text)
        return SG_OK;
    char **grown = sg_regrow(a->texts, a->n_texts, a->n_texts + 1, sizeof *grown), *copy = sg_strdup(*text);
    a->texts = grown ? grown : a->texts;
    if (!grown || !copy) {
        sg_free(copy);
        return no_memory(err, "the accumulator");
    }
    *text = a->texts[a->n_texts++] = copy;
    return SG_OK;
}

static sg_status take(sg_accumulator *a, const sg_accumulator_config *cfg, const sg_analysis_config *settings,
                      const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    config_take(&a->cfg, sizeof a->cfg, cfg);
    sg_analysis_defaults(&a->settings, NULL);
    if (settings)
        config_take(&a->settings, sizeof a->settings, settings);
    if (monitor)
        a->monitor = *monitor;
    TRY(analysis_check_states(&a->cfg, err));
    NEED(a->states = sg_calloc(a->cfg.n_states, sizeof *a->states), err, "%zu states", a->cfg.n_states);
    memcpy(a->states, a->cfg.states, a->cfg.n_states * sizeof *a->states);
    a->cfg.states = a->states;
    for (size_t i = 0; i < a->cfg.n_states; i++)
        TRY(keep(a, &a->states[i].name, err));
    TRY(keep(a, &a->cfg.model, err));
    TRY(keep(a, &a->settings.csv_path, err));
    TRY(keep(a, &a->settings.command, err));
done:
    return st;
}

sg_status sg_accumulator_new(sg_accumulator **out, const char *run_path, const sg_accumulator_config *cfg,
                             const sg_stream *s, const sg_classes *k, const sg_analysis_config *settings,
                             const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    sg_accumulator *a = sg_calloc(1, sizeof *a);
    *out = NULL;
    la_serial_begin();
    NEED(a, err, "the accumulator");
    TRY(take(a, cfg, settings, monitor, err));
    TRY(analysis_prepare_given(&a->an, &a->cfg, s, k, &a->settings, &a->monitor, err));
    a->nameless = !run_path;
    if (run_path)
        NEED(a->path = sg_strdup(run_path), err, "%s", run_path);
    else
        TRY(in_memory_folder(&a->folder, &a->path, err));
    TRY(run_writer_create(&a->w, a->path, err));
    TRY(metadata_write(a->w, &a->an, err));
    TRY(external_pass_new(&a->pass, &a->an, a->path, err));
    if (a->an.replace.rate > 0)
        TRY(external_replacements_new(&a->replaced, &a->an, err));
    *out = a, a = NULL;
done:
    sg_accumulator_free(a);
    la_serial_end();
    return st;
}

sg_status sg_accumulator_add(sg_accumulator *a, const uint64_t *origins, size_t n, const float *const *G,
                             sg_error *err)
{
    if (a->over)
        return sg_fail(err, SG_EINVAL, "the accumulator is finished: it takes no more gradients");
    return external_pass_add(a->pass, GIVEN_ORIGINS, origins, n, G, err);
}

sg_status sg_accumulator_add_steps(sg_accumulator *a, const uint64_t *steps, size_t n, const float *const *G,
                                   sg_error *err)
{
    if (a->over)
        return sg_fail(err, SG_EINVAL, "the accumulator is finished: it takes no more gradients");
    return external_pass_add(a->pass, GIVEN_STEPS, steps, n, G, err);
}

bool sg_accumulator_replaces(const sg_accumulator *a)
{
    return a->replaced != NULL;
}

static sg_status takes_replacements(const sg_accumulator *a, sg_error *err)
{
    if (a->over)
        return sg_fail(err, SG_EINVAL, "the accumulator is finished: it takes no more replacements");
    if (!a->replaced)
        return sg_fail(err, SG_EINVAL,
                       "setting 'replace': no word is replaced, expected a number or a share");
    return SG_OK;
}

sg_status sg_accumulator_replacements(sg_accumulator *a, size_t most, sg_replacement *list, size_t *n,
                                      sg_error *err)
{
    sg_status st = SG_OK;
    *n = 0;
    TRY(takes_replacements(a, err));
    TRY(external_replacements_list(a->replaced, most, list, n, err));
done:
    return st;
}

sg_status sg_accumulator_add_replaced(sg_accumulator *a, const sg_replacement *list, size_t n,
                                      const float *const *change, const float *const *linear,
                                      const double *kl, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(takes_replacements(a, err));
    TRY(external_replacements_add(a->replaced, list, n, change, linear, kl, err));
done:
    return st;
}

sg_status sg_accumulator_finish(sg_accumulator *a, sg_run **run, sg_error *err)
{
    sg_status st = SG_OK;
    block_sums *sums = NULL;
    results_input input;
    if (run)
        *run = NULL;
    la_serial_begin();
    if (a->over)
        TRY(sg_fail(err, SG_EINVAL, "the accumulator is finished already"));
    if (a->nameless && !run)
        TRY(sg_fail(err, SG_EINVAL, "run_path is NULL: expected a place for the result (run)"));
    if (a->replaced)
        TRY(external_replacements_complete(a->replaced, err));
    a->over = true;
    TRY(external_pass_finish(a->pass, &sums, err));
    analysis_results_input(&a->an, &input);
    input.replaced = a->replaced ? external_replacements_sums(a->replaced) : NULL;
    TRY(results_write(a->w, &input, sums, &a->monitor, err));
    run_writer *ready = a->w;
    a->w = NULL;
    TRY(run_writer_commit(ready, err));
    if (a->settings.csv_path)
        TRY(sg_run_write_csv(a->path, a->settings.csv_path, a->settings.csv_style, err));
    if (run)
        TRY(sg_run_open(run, a->path, err));
done:
    sums_free(sums);
    la_serial_end();
    return st;
}

void sg_accumulator_free(sg_accumulator *a)
{
    if (!a)
        return;
    run_writer_abort(a->w);
    external_pass_free(a->pass);
    external_replacements_free(a->replaced);
    analysis_free(&a->an);
    if (a->nameless)
        in_memory_remove(a->folder, a->path);
    else
        sg_free(a->path);
    for (size_t i = 0; i < a->n_texts; i++)
        sg_free(a->texts[i]);
    sg_free(a->texts);
    sg_free(a->states);
    sg_free(a);
}
