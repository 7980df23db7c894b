/* Checkpoints of an analysis: where it stands, the weights of the blocks done, engine and running sums. The sums of
 * finished blocks stay in scratch files beside the checkpoint, each with its CRC in the checkpoint. */
#include "pass.h"

#include "../base/base_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "SGANCKP2";

typedef struct {
    char magic[8];
    char identity[72];
    uint64_t model, round, block, position, sets, sampled;
} header;

char *checkpoint_scratch(const char *checkpoint, int i)
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
        char *scratch = checkpoint_scratch(file, i);
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

/* Is the record of block b complete in sums[i] when p stands where it stands? */
static bool block_done(const pass *p, size_t b, int i)
{
    const an_job *job = p->job;
    bool current = (size_t)i == p->round % 2;
    if (b < job->first_block || b >= job->end_block)
        return false;
    if (!current)
        return p->round > 0;
    return b < p->block;
}

static sg_status put_sums(const pass *p, FILE *f, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    const an_job *job = p->job;
    for (int i = 0; i < 2; i++)
        for (size_t b = job->first_block; p->sums[i] && b < job->end_block; b++) {
            uint32_t crc = 0;
            /* With a baseline the records of a block are filled model by model: no CRC until both are there. */
            bool whole = block_done(p, b, i) && p->model + 1 == job->n_models;
            if (whole)
                TRY(sums_crc(p->sums[i], b, &crc, err));
            TRY(put(f, &crc, sizeof crc, path, err));
            TRY(put(f, sums_weight_at(p->sums[i], b, 0, 0), job->C * job->D * sizeof(sums_weight), path, err));
            TRY(put(f, sums_missed_at(p->sums[i], b, 0, 0), job->n_groups * job->D * sizeof(sums_missed), path, err));
        }
done:
    return st;
}

static sg_status get_sums(pass *p, FILE *f, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    const an_job *job = p->job;
    for (int i = 0; i < 2; i++)
        for (size_t b = job->first_block; p->sums[i] && b < job->end_block; b++) {
            uint32_t crc = 0, found = 0;
            TRY(get(f, &crc, sizeof crc, path, err));
            TRY(get(f, sums_weight_at(p->sums[i], b, 0, 0), job->C * job->D * sizeof(sums_weight), path, err));
            TRY(get(f, sums_missed_at(p->sums[i], b, 0, 0), job->n_groups * job->D * sizeof(sums_missed), path, err));
            if (!block_done(p, b, i) || p->model + 1 != job->n_models)
                continue;
            TRY(sums_crc(p->sums[i], b, &found, err));
            if (found != crc)
                TRY(sg_fail(err, SG_EFORMAT, "%s: the sums of block %zu beside it are damaged", path, b));
        }
done:
    return st;
}

sg_status checkpoint_save(const pass *p, sg_error *err)
{
    sg_status st = SG_OK;
    const an_job *job = p->job;
    const char *path = job->cfg->checkpoint;
    char *previous = previous_path(path);
    sg_outfile *o = NULL;
    header h = {.model = p->model, .round = p->round, .block = p->block,
                .position = sg_engine_position(p->engine), .sets = job->sets, .sampled = p->high != NULL};
    memcpy(h.magic, magic, sizeof magic);
    memcpy(h.identity, p->identity, sizeof p->identity);
    if (!previous)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", path);
    for (int i = 0; i < 2; i++)
        if (p->sums[i])
            TRY(sums_sync(p->sums[i], err));
    TRY(sg_outfile_open(&o, path, err));
    FILE *f = sg_outfile_stream(o);
    TRY(put(f, &h, sizeof h, path, err));
    if (h.sampled) {
        TRY(put(f, p->low, job->sets * sizeof *p->low, path, err));
        TRY(put(f, p->high, job->sets * sizeof *p->high, path, err));
    }
    TRY(put_sums(p, f, path, err));
    TRY(sg_engine_save(p->engine, f, err));
    TRY(sg_accum_save(p->accum, f, err));
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

/* One candidate. SG_EFORMAT: damaged. *found false without failure: another analysis. */
static sg_status try_open(pass *p, const char *path, FILE **f, bool *found, sg_error *err)
{
    sg_status st = SG_OK;
    const an_job *job = p->job;
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
    if (strcmp(h.identity, p->identity)) {
        sg_warn(job->monitor, "%s: is the checkpoint of another model, corpus or setting; starting anew", path);
        goto done;
    }
    if (h.model >= job->n_models || h.block < job->first_block || h.block > job->end_block || h.sets != job->sets ||
        h.position > job->T || (h.sampled != 0) != (p->high != NULL))
        TRY(sg_fail(err, SG_EFORMAT, "%s: does not fit this analysis", path));
    p->model = (size_t)h.model;
    p->round = (size_t)h.round;
    p->block = (size_t)h.block;
    if (p->high) {
        TRY(get(*f, p->low, job->sets * sizeof *p->low, path, err));
        TRY(get(*f, p->high, job->sets * sizeof *p->high, path, err));
    }
    TRY(get_sums(p, *f, path, err));
    *found = true;
done:
    if (!*found && *f) {
        fclose(*f);
        *f = NULL;
    }
    if (st != SG_OK)
        p->model = p->round = 0, p->block = job->first_block;
    return st;
}

sg_status checkpoint_open(pass *p, FILE **f, bool *found, sg_error *err)
{
    sg_status st = SG_OK;
    const char *path = p->job->cfg->checkpoint;
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
        st = try_open(p, path, f, found, &first);
        if (st == SG_OK)
            goto done;
        sg_warn(p->job->monitor, "%s", first.msg);
    }
    st = SG_OK;
    if (access(previous, F_OK) == 0) {
        st = try_open(p, previous, f, found, &first);
        if (st == SG_OK && *found)
            sg_warn(p->job->monitor, "%s: using the checkpoint before", path);
        else if (st != SG_OK)
            sg_warn(p->job->monitor, "%s; starting anew", first.msg);
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

sg_status checkpoint_load_engine(pass *p, FILE *f, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(sg_engine_load(p->engine, f, err));
    TRY(sg_accum_load(p->accum, f, err));
done:
    return st;
}
