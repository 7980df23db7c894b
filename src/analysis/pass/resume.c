/* SPDX-License-Identifier: MIT */
/* Checkpoints of an analysis: how far it has come, the weights of the blocks done, engine and running sums.
 * The sums of finished blocks stay in scratch files in the folder of the checkpoint, each with its CRC in the
 * checkpoint. */
#include "analysis/pass/shared.h"

#include "base/base_internal.h"
#include "base/checkpoint.h"

#include <string.h>

typedef struct {
    uint64_t at[PASS_NUMBERS], rates, engine;
} header;

sg_status resume_stopped(const analysis *an, sg_error *err)
{
    if (an->cfg->checkpoint)
        return sg_fail(err, SG_ECANCELLED, "stopped; the same command continues from %s",
                       an->cfg->checkpoint);
    return sg_fail(err, SG_ECANCELLED, "stopped");
}

/* Next to the checkpoint, or to the file that it links to. */
static sg_status scratch_path(char **out, const char *checkpoint, int i, sg_error *err)
{
    sg_status st = SG_OK;
    char *target = NULL;
    *out = NULL;
    TRY(outfile_target(&target, checkpoint, err));
    size_t n = strlen(target) + 16;
    NEED(*out = sg_calloc(n, 1), err, "the name of %s", checkpoint);
    snprintf(*out, n, "%s.blocks%d", target, i);
done:
    sg_free(target);
    return st;
}

void resume_forget(const analysis *an)
{
    const char *file = an->cfg->checkpoint;
    if (!file)
        return;
    checkpoint_remove(file);
    for (int i = 0; i < 2; i++) {
        char *scratch;
        if (scratch_path(&scratch, file, i, NULL) == SG_OK)
            sums_remove(scratch);
        sg_free(scratch);
    }
}

sg_status resume_sums(block_sums **out, const analysis *an, size_t n_blocks, int i, const char *run_path,
                      sg_error *err)
{
    sg_status st = SG_OK;
    const char *checkpoint = an->cfg->checkpoint;
    size_t units[2 * ANALYSIS_MAX_STATES];
    char *keep = NULL;
    for (size_t g = 0; g < an->n_groups; g++)
        units[g] = an->groups[g].units;
    sums_shape shape = {n_blocks, an->n_groups, an->C, an->D, an->E, units, true};
    if (checkpoint && i >= 0)
        TRY(scratch_path(&keep, checkpoint, i, err));
    TRY(sums_new(out, &shape, run_path, keep, err));
done:
    sg_free(keep);
    return st;
}

typedef sg_status transfer(FILE *f, void *x, size_t n, const char *path, sg_error *err);

static sg_status put(FILE *f, void *x, size_t n, const char *path, sg_error *err)
{
    return checkpoint_put(f, x, n, path, err);
}

/* Of each block: is it done, the CRC of its records if so, its weights. move: put or checkpoint_get. */
static sg_status move_sums(const pass_state *s, FILE *f, transfer *move, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    for (int i = 0; i < 2; i++)
        for (size_t b = 0; s->sums[i] && b < sums_get_shape(s->sums[i])->B; b++) {
            uint32_t note[2] = {s->done[i][b], 0}, found = 0;
            if (move == put && note[0])
                TRY(sums_crc(s->sums[i], b, &note[1], err));
            TRY(move(f, note, sizeof note, path, err));
            TRY(move(f, sums_weight_at(s->sums[i], b, 0, 0), s->an->C * s->an->D * sizeof(sums_weight), path,
                     err));
            TRY(move(f, sums_missed_at(s->sums[i], b, 0, 0), s->an->n_groups * s->an->D * sizeof(sums_missed),
                     path, err));
            TRY(move(f, sums_squares_at(s->sums[i], b, 0, 0),
                     s->an->n_groups * s->an->D * sizeof(sums_squares), path, err));
            TRY(move(f, sums_difference_at(s->sums[i], b), sizeof(double), path, err));
            if (move == put)
                continue;
            s->done[i][b] = note[0] != 0;
            if (note[0])
                TRY(sums_crc(s->sums[i], b, &found, err));
            if (note[0] && found != note[1])
                TRY(sg_fail(err, SG_EFORMAT, "%s: the sums of block %zu are damaged", path, b));
        }
done:
    return st;
}

static sg_status put_state(void *ctx, FILE *f, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    pass_state *s = ctx;
    header h = {.rates = s->n_rates, .engine = s->engine != NULL};
    memcpy(h.at, s->at, sizeof h.at);
    TRY(checkpoint_put(f, &h, sizeof h, path, err));
    TRY(checkpoint_put(f, s->rates, s->n_rates * sizeof *s->rates, path, err));
    TRY(move_sums(s, f, put, path, err));
    if (s->an->words)
        TRY(word_sums_save(s->an->words, f, err));
    if (s->replace)
        TRY(replacement_save(s->replace, f, path, err));
    if (s->self_gain)
        TRY(self_gain_save(s->self_gain, f, path, err));
    if (s->engine) {
        TRY(engine_save(s->engine, f, err));
        TRY(accum_save(s->accum, f, err));
    }
done:
    return st;
}

static sg_status get_state(void *ctx, FILE *f, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    pass_state *s = ctx;
    header h;
    TRY(checkpoint_get(f, &h, sizeof h, path, err));
    bool fits = h.rates == s->n_rates && h.engine <= 1;
    for (size_t i = 0; i < PASS_NUMBERS; i++)
        fits = fits && h.at[i] <= s->most[i];
    if (!fits)
        TRY(sg_fail(err, SG_EFORMAT, "%s: does not fit this analysis", path));
    memcpy(s->at, h.at, sizeof s->at);
    TRY(checkpoint_get(f, s->rates, s->n_rates * sizeof *s->rates, path, err));
    TRY(move_sums(s, f, checkpoint_get, path, err));
    if (s->an->words)
        TRY(word_sums_load(s->an->words, f, err));
    if (s->replace)
        TRY(replacement_load(s->replace, f, path, err));
    if (s->self_gain)
        TRY(self_gain_load(s->self_gain, f, path, err));
done:
    return st;
}

sg_status resume_save(pass_state *s, sg_error *err)
{
    sg_status st = SG_OK;
    for (int i = 0; i < 2; i++)
        if (s->sums[i])
            TRY(sums_sync(s->sums[i], err));
    TRY(checkpoint_save(s->an->cfg->checkpoint, s->identity, put_state, s, err));
done:
    return st;
}

sg_status resume_load(pass_state *s, FILE **f, sg_error *err)
{
    bool found;
    *f = NULL;
    if (!s->an->cfg->checkpoint)
        return SG_OK;
    sg_status st =
        checkpoint_load(s->an->cfg->checkpoint, s->identity, get_state, s, f, &found, s->an->monitor, err);
    for (int i = 0; i < 2; i++)
        if (st != SG_OK && s->sums[i])
            sums_forget_empty(s->sums[i]);
    return st;
}

sg_status resume_load_engine(const pass_state *s, FILE *f, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(engine_load(s->engine, f, err));
    TRY(accum_load(s->accum, f, err));
done:
    return st;
}
