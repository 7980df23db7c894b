/* SPDX-License-Identifier: MIT */
/* Writing the synthetic corpora: folders, files, README. */
#include "synth/synth_internal.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIN_TOKENS = 100, MAX_DISTANCE = 100, FILES = 7 };

/* The name of file i of a kind, README last; NULL: this kind does not have it. */
static const char *file_name(const synth_kind *k, size_t i)
{
    const char *const names[FILES] = {"train.txt",
                                      "valid.txt",
                                      "test.txt",
                                      "words.txt",
                                      k->model ? "model.safetensors" : NULL,
                                      k->embeddings ? "embeddings.txt" : NULL,
                                      "README"};
    return names[i];
}

void sg_synth_defaults_sized(sg_synth_config *cfg, size_t struct_size)
{
    sg_synth_config own = {.tokens = 60000, .distance = 0, .seed = 1};
    config_give(cfg, struct_size, &own, sizeof own);
}

const char *sg_synth_name(sg_synth_kind kind)
{
    return synth_kinds[kind].name;
}

const char *sg_synth_summary(sg_synth_kind kind)
{
    return synth_kinds[kind].summary;
}

/* A new folder goes again, unless something is in it, when the work fails or a signal ends it. */
static sg_status make_folder(char *path, bool *made, sg_error *err)
{
    struct stat info;
    *made = mkdir(path, 0777) == 0;
    if (*made) {
        temporary_remember(path);
        return SG_OK;
    }
    int e = errno;
    if (e == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return SG_OK;
    return sg_fail(err, SG_EIO, "%s: the folder cannot be made: %s", path, strerror(e));
}

static void end_folder(char *path, bool made, bool keep)
{
    if (!made)
        return;
    temporary_forget(path);
    if (!keep)
        rmdir(path);
}

static sg_status join(char **out, const char *folder, const char *name, sg_error *err)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    if (!(*out = sg_calloc(size, 1)))
        return no_memory(err, "%s", folder);
    snprintf(*out, size, "%s/%s", folder, name);
    return SG_OK;
}

/* The finished files in a folder that was made for them. */
static void remove_files(const char *folder, const synth_kind *k)
{
    char *path;
    for (size_t i = 0; i < FILES; i++)
        if (file_name(k, i) && join(&path, folder, file_name(k, i), NULL) == SG_OK) {
            unlink(path);
            sg_free(path);
        }
}

static sg_status open_in(sg_outfile **out, const char *folder, const char *name, sg_error *err)
{
    char *path = NULL;
    sg_status st = join(&path, folder, name, err);
    if (st == SG_OK)
        st = sg_outfile_open(out, path, err);
    sg_free(path);
    return st;
}

/* A folder that is there, or can be made: in one that is there. */
static sg_status check_folder(const char *path, bool *there, sg_error *err)
{
    struct stat info;
    char target[PATH_MAX];
    *there = stat(path, &info) == 0;
    if (!*there)
        return sg_output_check(path, target, sizeof target, err);
    return S_ISDIR(info.st_mode)
               ? SG_OK
               : sg_fail(err, SG_EIO, "%s: the folder cannot be made: a file has its name", path);
}

static sg_status check_file(const char *folder, const char *name, sg_error *err)
{
    char *path = NULL, target[PATH_MAX];
    sg_status st = join(&path, folder, name, err);
    if (st == SG_OK)
        st = sg_output_check(path, target, sizeof target, err);
    sg_free(path);
    return st;
}

sg_status sg_synth_check(const char *folder, sg_synth_kind kind, const sg_synth_config *cfg, sg_error *err)
{
    sg_synth_config own;
    sg_synth_defaults(&own);
    cfg = config_take(&own, sizeof own, cfg);
    sg_status st = SG_OK;
    const synth_kind *k = &synth_kinds[kind];
    char *inner = NULL;
    bool there;
    if (cfg->tokens < MIN_TOKENS)
        return sg_fail(err, SG_EINVAL, "synth: %llu tokens, expected at least %d",
                       (unsigned long long)cfg->tokens, MIN_TOKENS);
    if (cfg->distance > MAX_DISTANCE)
        return sg_fail(err, SG_EINVAL, "synth: distance %zu, expected 1 to %d", cfg->distance, MAX_DISTANCE);
    TRY(check_folder(folder, &there, err));
    TRY(join(&inner, folder, k->name, err));
    if (there)
        TRY(check_folder(inner, &there, err));
    for (size_t i = 0; there && i < FILES; i++)
        if (file_name(k, i))
            TRY(check_file(inner, file_name(k, i), err));
done:
    sg_free(inner);
    return st;
}

typedef struct {
    uint64_t tokens;
    double nats; /* per token */
} synth_part;

static sg_status write_part(synth_part *part, const char *folder, const char *name, const synth_kind *kind,
                            const sg_synth_config *cfg, uint64_t tokens, uint64_t stream, sg_error *err)
{
    enum { PORTION = 10000 }; /* tokens, less than 10 ms */
    sg_outfile *file = NULL;
    sg_status st = open_in(&file, folder, name, err);
    if (st != SG_OK)
        return st;
    synth_writer w = {.f = sg_outfile_stream(file), .k = cfg->distance ? cfg->distance : kind->distance};
    sg_rng_seed(&w.rng, cfg->seed, stream);
    ticker watch = ticker_begin(cfg->monitor, "writing", (double)tokens);
    for (uint64_t next = 0; st == SG_OK && w.tokens < tokens; kind->sentence(&w))
        if (w.tokens >= next) {
            st = ticker_tell(&watch, (double)w.tokens, err);
            next = w.tokens + PORTION;
        }
    if (st == SG_OK)
        st = ticker_tell(&watch, (double)tokens, err);
    if (st != SG_OK) {
        sg_outfile_abort(file);
        return st;
    }
    *part = (synth_part){w.tokens, w.nats / (double)w.tokens};
    return sg_outfile_commit(file, err);
}

/* The text may name k once, as %zu. */
static void put_text(FILE *f, const char *text, size_t k)
{
    const char *mark = strstr(text, "%zu");
    if (!mark) {
        fputs(text, f);
        return;
    }
    fprintf(f, "%.*s%zu%s", (int)(mark - text), text, k, mark + strlen("%zu"));
}

static sg_status write_readme(const char *folder, const synth_kind *kind, const sg_synth_config *cfg,
                              const synth_part parts[3], sg_error *err)
{
    sg_outfile *file = NULL;
    sg_status st = open_in(&file, folder, "README", err);
    if (st != SG_OK)
        return st;
    FILE *f = sg_outfile_stream(file);
    fprintf(f, "%s: %s\n\n", kind->name, kind->summary);
    put_text(f, kind->truth, cfg->distance ? cfg->distance : kind->distance);
    fprintf(f, "\n"
               "file       tokens (with <eos>)   entropy, nats per token   perplexity\n");
    static const char *const names[] = {"train.txt", "valid.txt", "test.txt"};
    for (int i = 0; i < 3; i++)
        fprintf(f, "%-10s %19llu %23.4f %12.3f\n", names[i], (unsigned long long)parts[i].tokens,
                parts[i].nats, exp(parts[i].nats));
    fprintf(
        f,
        "\n"
        "The entropy is the lowest possible expected loss; a model that has learned everything comes near.\n"
        "\n"
        "To see it (in this folder):\n"
        "\n"
        "%s\n"
        "Made by stategrad %s synth --kind %s --tokens %llu --distance %zu --seed %llu\n",
        kind->commands, sg_version(), kind->name, (unsigned long long)cfg->tokens,
        cfg->distance ? cfg->distance : kind->distance, (unsigned long long)cfg->seed);
    return sg_outfile_commit(file, err);
}

static sg_status write_model(const char *folder, const synth_kind *kind, const sg_synth_config *cfg,
                             sg_error *err)
{
    char *path = NULL;
    sg_status st = join(&path, folder, "model.safetensors", err);
    if (st == SG_OK)
        st = kind->model(path, cfg, cfg->distance ? cfg->distance : kind->distance, err);
    sg_free(path);
    return st;
}

static sg_status write_extras(const char *folder, const synth_kind *kind, const sg_synth_config *cfg,
                              sg_error *err)
{
    sg_outfile *file = NULL;
    sg_status st = open_in(&file, folder, "words.txt", err);
    if (st != SG_OK)
        return st;
    kind->words(sg_outfile_stream(file));
    st = sg_outfile_commit(file, err);
    if (st == SG_OK && kind->model)
        st = write_model(folder, kind, cfg, err);
    if (st != SG_OK || !kind->embeddings)
        return st;
    if ((st = open_in(&file, folder, "embeddings.txt", err)) != SG_OK)
        return st;
    kind->embeddings(sg_outfile_stream(file), cfg->seed);
    return sg_outfile_commit(file, err);
}

sg_status sg_synth_write(const char *folder, sg_synth_kind kind, const sg_synth_config *cfg, sg_error *err)
{
    sg_synth_config own;
    sg_synth_defaults(&own);
    cfg = config_take(&own, sizeof own, cfg);
    sg_status st = SG_OK;
    const synth_kind *k = &synth_kinds[kind];
    char *outer = NULL, *inner = NULL;
    bool made_outer = false, made_inner = false;
    synth_part parts[3];
    TRY(sg_synth_check(folder, kind, cfg, err));
    NEED(outer = sg_strdup(folder), err, "%s", folder);
    TRY(make_folder(outer, &made_outer, err));
    TRY(join(&inner, folder, k->name, err));
    TRY(make_folder(inner, &made_inner, err));
    TRY(write_part(&parts[0], inner, "train.txt", k, cfg, cfg->tokens, 1, err));
    TRY(write_part(&parts[1], inner, "valid.txt", k, cfg, cfg->tokens / 10, 2, err));
    TRY(write_part(&parts[2], inner, "test.txt", k, cfg, cfg->tokens / 10, 3, err));
    TRY(write_extras(inner, k, cfg, err));
    TRY(write_readme(inner, k, cfg, parts, err));
done:
    if (made_inner && st != SG_OK)
        remove_files(inner, k);
    end_folder(inner, made_inner, st == SG_OK);
    end_folder(outer, made_outer, st == SG_OK);
    sg_free(inner);
    sg_free(outer);
    return st;
}
