/* SPDX-License-Identifier: MIT */
/* Checkpoints of an analysis: where it stands, the weights of the blocks done, engine and running sums. The
 * sums of finished blocks stay in scratch files beside the checkpoint, each with its CRC in the
 * checkpoint. */
#include "analysis/pass/shared.h"

#include "base/base_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "SGANCKP3";

typedef struct {
    char magic[8];
    char identity[72];
    uint64_t at[STANDING_NUMBERS], rates, engine;
} header;

sg_status checkpoint_stopped(const an_job *job, sg_error *err)
{
    if (job->cfg->checkpoint)
        return sg_fail(err, SG_ECANCELLED, "stopped; the same command goes on from %s", job->cfg->checkpoint);
    return sg_fail(err, SG_ECANCELLED, "stopped");
}

static char *scratch_path(const char *checkpoint, int i)
{
    size_t n = strlen(checkpoint) + 16;
    char *path = sg_calloc(n, 1);
    if (path)
        snprintf(path, n, "%s.blocks%d", checkpoint, i);
    return path;
}

static char *previous_path(const char *checkpoint)
{
    size_t n = strlen(checkpoint) + 16;
    char *path = sg_calloc(n, 1);
    if (path)
        snprintf(path, n, "%s.previous", checkpoint);
    return path;
}

void pass_forget_checkpoint(const an_job *job)
{
    const char *file = job->cfg->checkpoint;
    char *previous = file ? previous_path(file) : NULL;
    if (file)
        unlink(file);
    if (previous)
        unlink(previous);
    for (int i = 0; file && i < 2; i++) {
        char *scratch = scratch_path(file, i);
        if (scratch)
            unlink(scratch);
        sg_free(scratch);
    }
    sg_free(previous);
}

static sg_status put(FILE *f, const void *x, size_t n, const char *path, sg_error *err)
{
    if (n && fwrite(x, n, 1, f) != 1)
        return sg_fail(err, SG_EIO, "%s: cannot be written: %s", path, strerror(errno));
    return SG_OK;
}

static sg_status get(FILE *f, void *x, size_t n, const char *path, sg_error *err)
{
    if (n && fread(x, n, 1, f) != 1)
        return sg_fail(err, SG_EFORMAT, "%s: ends too early", path);
    return SG_OK;
}

sg_status checkpoint_sums(an_sums **out, const an_job *job, size_t n_blocks, int i, const char *run_path,
                          sg_error *err)
{
    sg_status st = SG_OK;
    const char *checkpoint = job->cfg->checkpoint;
    size_t units[2 * AN_MAX_STATES];
    char *keep = NULL;
    for (size_t g = 0; g < job->n_groups; g++)
        units[g] = job->groups[g].units;
    sums_shape shape = {n_blocks, job->n_groups, job->C, job->D, job->E, units, true};
    if (checkpoint && i >= 0 && !(keep = scratch_path(checkpoint, i)))
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", checkpoint));
    TRY(sums_new(out, &shape, run_path, keep, err));
done:
    sg_free(keep);
    return st;
}

/* Of each block: is it done, the CRC of its records if so, its weights. */
static sg_status put_sums(const standing *s, FILE *f, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    for (int i = 0; i < 2; i++)
        for (size_t b = 0; s->sums[i] && b < sums_get_shape(s->sums[i])->B; b++) {
            uint32_t note[2] = {s->done[i][b], 0};
            if (note[0])
                TRY(sums_crc(s->sums[i], b, &note[1], err));
            TRY(put(f, note, sizeof note, path, err));
            TRY(put(f, sums_weight_at(s->sums[i], b, 0, 0), s->job->C * s->job->D * sizeof(sums_weight), path,
                    err));
            TRY(put(f, sums_missed_at(s->sums[i], b, 0, 0),
                    s->job->n_groups * s->job->D * sizeof(sums_missed), path, err));
        }
done:
    return st;
}

static sg_status get_sums(const standing *s, FILE *f, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    for (int i = 0; i < 2; i++)
        for (size_t b = 0; s->sums[i] && b < sums_get_shape(s->sums[i])->B; b++) {
            uint32_t note[2] = {0, 0}, found = 0;
            TRY(get(f, note, sizeof note, path, err));
            TRY(get(f, sums_weight_at(s->sums[i], b, 0, 0), s->job->C * s->job->D * sizeof(sums_weight), path,
                    err));
            TRY(get(f, sums_missed_at(s->sums[i], b, 0, 0),
                    s->job->n_groups * s->job->D * sizeof(sums_missed), path, err));
            s->done[i][b] = note[0] != 0;
            if (!note[0])
                continue;
            TRY(sums_crc(s->sums[i], b, &found, err));
            if (found != note[1])
                TRY(sg_fail(err, SG_EFORMAT, "%s: the sums of block %zu beside it are damaged", path, b));
        }
done:
    return st;
}

sg_status checkpoint_save(const standing *s, sg_error *err)
{
    sg_status st = SG_OK;
    const char *path = s->job->cfg->checkpoint;
    char *previous = previous_path(path);
    sg_outfile *o = NULL;
    header h = {.rates = s->n_rates, .engine = s->engine != NULL};
    memcpy(h.magic, magic, sizeof magic);
    memcpy(h.identity, s->identity, sizeof s->identity);
    memcpy(h.at, s->at, sizeof h.at);
    if (!previous)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", path);
    for (int i = 0; i < 2; i++)
        if (s->sums[i])
            TRY(sums_sync(s->sums[i], err));
    TRY(sg_outfile_open(&o, path, err));
    FILE *f = sg_outfile_stream(o);
    TRY(put(f, &h, sizeof h, path, err));
    TRY(put(f, s->rates, s->n_rates * sizeof *s->rates, path, err));
    TRY(put_sums(s, f, path, err));
    if (s->engine) {
        TRY(sg_engine_save(s->engine, f, err));
        TRY(sg_accum_save(s->accum, f, err));
    }
    TRY(run_checksum_write(f, path, err));
    if (rename(path, previous) != 0 && errno != ENOENT)
        TRY(sg_fail(err, SG_EIO, "%s: cannot be renamed: %s", path, strerror(errno)));
    sg_outfile *ready = o;
    o = NULL;
    TRY(sg_outfile_commit(ready, err));
done:
    sg_outfile_abort(o);
    sg_free(previous);
    return st;
}

static sg_status get_standing(standing *s, FILE *f, const header *h, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    bool fits = h->rates == s->n_rates && h->engine <= 1;
    for (size_t i = 0; i < STANDING_NUMBERS; i++)
        fits = fits && h->at[i] <= s->most[i];
    if (!fits)
        TRY(sg_fail(err, SG_EFORMAT, "%s: does not fit this analysis", path));
    memcpy(s->at, h->at, sizeof s->at);
    TRY(get(f, s->rates, s->n_rates * sizeof *s->rates, path, err));
    TRY(get_sums(s, f, path, err));
done:
    return st;
}

static void forget(standing *s)
{
    memset(s->at, 0, sizeof s->at);
    if (s->n_rates)
        memset(s->rates, 0, s->n_rates * sizeof *s->rates);
    for (int i = 0; i < 2; i++)
        if (s->sums[i])
            memset(s->done[i], 0, sums_get_shape(s->sums[i])->B * sizeof *s->done[i]);
}

/* One candidate. SG_EFORMAT: damaged. *found false without failure: another analysis. */
static sg_status try_open(standing *s, const char *path, FILE **f, bool *found, sg_error *err)
{
    sg_status st = SG_OK;
    header h;
    uint64_t length = 0;
    struct stat info;
    *found = false;
    *f = NULL;
    TRY(run_checksum_verify(path, &length, err));
    if (!(*f = fopen(path, "rb")) || fstat(fileno(*f), &info) != 0)
        TRY(sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno)));
    if ((uint64_t)info.st_size <= length)
        TRY(sg_fail(err, SG_EFORMAT, "%s: is cut short, the checksum at its end is missing", path));
    TRY(get(*f, &h, sizeof h, path, err));
    if (memcmp(h.magic, magic, sizeof magic))
        TRY(sg_fail(err, SG_EFORMAT, "%s: is no checkpoint of an analysis", path));
    h.identity[sizeof h.identity - 1] = 0;
    if (strcmp(h.identity, s->identity)) {
        sg_warn(s->job->monitor, "%s: is the checkpoint of another model, corpus or setting; starting anew",
                path);
        goto done;
    }
    TRY(get_standing(s, *f, &h, path, err));
    *found = true;
done:
    if (!*found && *f) {
        fclose(*f);
        *f = NULL;
    }
    if (st != SG_OK)
        forget(s);
    return st;
}

sg_status checkpoint_open(standing *s, FILE **f, bool *found, sg_error *err)
{
    sg_status st = SG_OK;
    const char *path = s->job->cfg->checkpoint;
    sg_error first = {""};
    char *previous = previous_path(path);
    *found = false;
    *f = NULL;
    struct stat info;
    if (!previous)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", path);
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        TRY(sg_fail(err, SG_EIO, "%s: is not a regular file, cannot be a checkpoint", path));
    if (access(path, F_OK) == 0) {
        st = try_open(s, path, f, found, &first);
        if (st == SG_OK)
            goto done;
        sg_warn(s->job->monitor, "%s", first.msg);
    }
    st = SG_OK;
    if (access(previous, F_OK) == 0) {
        st = try_open(s, previous, f, found, &first);
        if (st == SG_OK && *found)
            sg_warn(s->job->monitor, "%s: using the checkpoint before", path);
        else if (st != SG_OK)
            sg_warn(s->job->monitor, "%s; starting anew", first.msg);
    }
    if (st != SG_OK && st != SG_EFORMAT && st != SG_EIO) {
        if (err)
            *err = first;
    } else
        st = SG_OK;
done:
    sg_free(previous);
    return st;
}

sg_status checkpoint_load_engine(const standing *s, FILE *f, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(sg_engine_load(s->engine, f, err));
    TRY(sg_accum_load(s->accum, f, err));
done:
    return st;
}
