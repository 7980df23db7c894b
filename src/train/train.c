/* SPDX-License-Identifier: MIT */
/* The training loop: windows, epochs, validation, the log, checkpoints. What happens next depends only on the
 * numbers, weights, moments and states that a checkpoint holds, so a run that was cut anywhere ends in the
 * same bytes. */
#include "train/bptt.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"
#include "train/settings.h"
#include "train/word2vec.h"

#include "base/base_internal.h"
#include "base/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IDENTITY = 4096, MAX_ARRAYS = 4 };

typedef struct {
    sg_model *m;
    const sg_stream *train, *valid;
    const sg_train_config *cfg;
    const sg_monitor *monitor;
    int threads;
    size_t length;    /* tokens of each of the B sequences */
    size_t T;         /* steps of a window, at most what a sequence has */
    uint64_t windows; /* of an epoch */
    sg_bptt *bptt;
    sg_stepper *stepper;
    float *gradient, *best, *state;
    sg_step *steps; /* T + 1 */
    int32_t *ids;   /* (T + 1, B) */
    sg_train_numbers now;
    char identity[IDENTITY];
    sg_checkpoint_array arrays[MAX_ARRAYS];
    size_t n_arrays;
    FILE *log;
    double begun, reported, saved; /* clock */
    double recent;                 /* of the last windows: loss, for the progress line only */
    uint64_t trained;              /* tokens in this process */
    double train_seconds;
} trainer;

/* ---- set-up ---- */

static sg_status cut_into_sequences(trainer *t, sg_error *err)
{
    uint64_t n = sg_stream_length(t->train);
    size_t B = t->cfg->batch;
    if (n / B < 2)
        return sg_fail(err, SG_EFORMAT,
                       "training corpus: %" PRIu64 " token%s, expected at least %zu: two for each of %zu "
                       "sequence%s (setting 'batch')",
                       n, n == 1 ? "" : "s", 2 * B, B, B == 1 ? "" : "s");
    t->length = (size_t)(n / B); /* the remainder is dropped, as PyTorch's batchify does */
    t->T = t->cfg->steps < t->length - 1 ? t->cfg->steps : t->length - 1;
    t->windows = (t->length - 1 + t->T - 1) / t->T;
    return SG_OK;
}

static sg_status describe(trainer *t, sg_error *err)
{
    const sg_train_config *c = t->cfg;
    const sg_model_shape *s = sg_model_get_shape(t->m);
    char file[65] = "none", hidden[SG_MAX_LAYERS * 24] = "";
    for (size_t k = 0, at = 0; k < s->layers; k++)
        at += (size_t)snprintf(hidden + at, sizeof hidden - at, k ? ",%zu" : "%zu", s->hidden[k]);
    if (c->embeddings) {
        sg_status st = sg_sha256_file(c->embeddings, file, err);
        if (st != SG_OK)
            return st;
    }
    size_t used = (size_t)snprintf(
        t->identity, sizeof t->identity,
        "work=training\nversion=%s\ncell=%s\nlayers=%zu\nembedding size=%zu\nhidden size=%s\nvocabulary=%zu\ntied=%d\n"
        "unit=%s\neos=%d\nembeddings=%s\ncorpus tokens=%" PRIu64 "\ncorpus=%s\nvalidation=%s\n",
        sg_version(), sg_cell_name(s->cell), s->layers, s->embedding, hidden, s->vocabulary, s->tied,
        s->unit == SG_UNIT_CHAR ? "char" : "word", s->eos, file, sg_stream_length(t->train),
        sg_stream_sha256(t->train), t->valid ? sg_stream_sha256(t->valid) : "none");
    train_settings_describe(c, t->identity + used, sizeof t->identity - used);
    return SG_OK;
}

static sg_status allocate(trainer *t, sg_error *err)
{
    const sg_train_config *c = t->cfg;
    size_t size = model_block_size(t->m);
    sg_status st = bptt_new(&t->bptt, t->m, t->T, c->batch, t->threads, err);
    if (st == SG_OK)
        st = stepper_new(&t->stepper, t->m, c->optimizer, c->freeze_embeddings, t->threads, err);
    if (st != SG_OK)
        return st;
    size_t states = bptt_state_size(t->bptt);
    if (!(t->gradient = sg_calloc(size, sizeof(float))) || !(t->best = sg_calloc(size, sizeof(float))) ||
        !(t->state = sg_calloc(states, sizeof(float))) ||
        !(t->steps = sg_calloc(t->T + 1, sizeof *t->steps)) ||
        !(t->ids = sg_calloc((t->T + 1) * c->batch, sizeof *t->ids)))
        return no_memory(err, "the training of %zu parameters", size);
    t->arrays[t->n_arrays++] = (sg_checkpoint_array){model_block(t->m), size};
    t->arrays[t->n_arrays++] = (sg_checkpoint_array){t->best, size};
    t->arrays[t->n_arrays++] = (sg_checkpoint_array){t->state, states};
    if (stepper_moments(t->stepper))
        t->arrays[t->n_arrays++] = (sg_checkpoint_array){stepper_moments(t->stepper), 2 * size};
    return SG_OK;
}

static sg_status initialise(trainer *t, sg_error *err)
{
    const sg_train_config *c = t->cfg;
    sg_model_init_uniform(t->m, (float)c->init, c->seed);
    t->now.train_nats = t->now.valid_nats = t->now.best_nats = t->now.plateau_nats = NAN;
    if (!c->embeddings)
        return SG_OK;
    size_t found = 0, V = sg_model_get_shape(t->m)->vocabulary;
    sg_status st = word2vec_read(c->embeddings, sg_model_vocab(t->m), sg_model_get_shape(t->m)->embedding,
                                 model_parameters(t->m, model_block(t->m)).encoder, &found, t->monitor, err);
    if (st == SG_OK && !found)
        st = sg_fail(err, SG_EINVAL, "%s: has no vector for any of the %zu words of the vocabulary",
                     c->embeddings, V);
    if (st == SG_OK && found < V)
        sg_warn(t->monitor,
                "%s: vectors for %zu of %zu words (%.1f %%); the others keep their initialisation",
                c->embeddings, found, V, 100 * (double)found / (double)V);
    return st;
}

/* From the checkpoint, if that is wanted and there is one. */
static sg_status resume(trainer *t, sg_error *err)
{
    bool found = false;
    if (!t->cfg->resume)
        return SG_OK;
    sg_status st = train_checkpoint_read(t->cfg->checkpoint, t->identity, &t->now, t->arrays, t->n_arrays,
                                         &found, t->monitor, err);
    if (st != SG_OK)
        return st;
    if (!found) {
        if (access(t->cfg->checkpoint, F_OK) != 0)
            sg_warn(t->monitor, "%s: no checkpoint yet, training starts from the beginning",
                    t->cfg->checkpoint);
        return SG_OK;
    }
    if (t->now.window > t->windows)
        return sg_fail(err, SG_EFORMAT, "%s: damaged checkpoint: window %" PRIu64 " of %" PRIu64,
                       t->cfg->checkpoint, t->now.window, t->windows);
    if (t->now.epoch > t->cfg->epochs)
        sg_warn(
            t->monitor,
            "%s: %" PRIu64
            " epochs are done, more than the %zu asked for: nothing is trained, the model is the best of all %" PRIu64,
            t->cfg->checkpoint, t->now.epoch, t->cfg->epochs, t->now.epoch);
    *stepper_count(t->stepper) = t->now.optimizer_steps;
    bptt_set_state(t->bptt, t->state);
    return SG_OK;
}

/* The log keeps the lines of epochs that the checkpoint knows; later ones will be written again. "-":
 * standard output, which keeps nothing. It grows line by line, so it may be a pipe or a device, but no name
 * in /proc: what /dev/stdout leads to is written by others too, from another place in the file. */
static sg_status open_log(trainer *t, sg_error *err)
{
    const char *path = t->cfg->log_path;
    char *target = NULL;
    struct stat info;
    if (!path)
        return SG_OK;
    if (!strcmp(path, "-")) {
        int fd = dup(STDOUT_FILENO);
        if (fd >= 0 && !(t->log = fdopen(fd, "wb")))
            close(fd);
        return t->log ? SG_OK : sg_fail(err, SG_EIO, "standard output: %s", strerror(errno));
    }
    sg_status st = outfile_target(&target, path, err);
    sg_free(target);
    if (st != SG_OK)
        return st;
    if (!(t->log = fopen(path, t->now.log_bytes ? "r+b" : "wb")) &&
        !(t->now.log_bytes && errno == ENOENT && (t->log = fopen(path, "wb"))))
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    if (fstat(fileno(t->log), &info) == 0 && info.st_mode & (S_ISUID | S_ISGID) &&
        fchmod(fileno(t->log), info.st_mode & 0777) != 0)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    if (fseek(t->log, 0, SEEK_END) != 0)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    if ((uint64_t)ftell(t->log) > t->now.log_bytes &&
        (ftruncate(fileno(t->log), (off_t)t->now.log_bytes) != 0 || fseek(t->log, 0, SEEK_END) != 0))
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    return SG_OK;
}

/* ---- checkpoints ---- */

/* what: "loss 3, gradient norm inf" or so. Names the first tensor, of the weights or of their gradient, that
 * overflowed. */
static sg_status diverged(const trainer *t, uint64_t step, const char *what, sg_error *err)
{
    sg_error tensor = {""};
    if (model_check_finite(t->m, model_block(t->m), "weight", &tensor) == SG_OK)
        model_check_finite(t->m, t->gradient, "gradient", &tensor);
    return sg_fail(err, SG_ENONFINITE,
                   "training diverged in epoch %" PRIu64 ", step %" PRIu64
                   ": %s%s%s; a smaller setting 'lr' (now %g) or setting 'clip' "
                   "(now %g) may help",
                   t->now.epoch + 1, step, what, tensor.msg[0] ? ", " : "", tensor.msg, t->cfg->lr,
                   t->cfg->clip);
}

/* Weights that overflowed are neither written over a good checkpoint nor validated. */
static sg_status check_weights(const trainer *t, sg_error *err)
{
    if (model_check_finite(t->m, model_block(t->m), "", NULL) == SG_OK)
        return SG_OK;
    return diverged(t, t->now.window, "the last update was too large", err);
}

static sg_status save(trainer *t, sg_error *err)
{
    if (!t->cfg->checkpoint)
        return SG_OK;
    sg_status st = check_weights(t, err);
    if (st != SG_OK)
        return st;
    t->now.optimizer_steps = *stepper_count(t->stepper);
    bptt_get_state(t->bptt, t->state);
    double clock = sg_clock();
    t->now.seconds += clock - t->saved;
    t->saved = clock;
    return train_checkpoint_write(t->cfg->checkpoint, t->identity, &t->now, t->arrays, t->n_arrays, err);
}

/* ---- one window ---- */

static sg_status load_window(trainer *t, size_t *n, sg_error *err)
{
    size_t T = t->T, B = t->cfg->batch, at = (size_t)t->now.window * T, left = t->length - 1 - at;
    *n = left < T ? left : T;
    for (size_t b = 0; b < B; b++) {
        sg_status st = sg_stream_read(t->train, (uint64_t)b * t->length + at, *n + 1, t->steps, err);
        if (st != SG_OK)
            return st;
        for (size_t i = 0; i <= *n; i++)
            t->ids[i * B + b] = t->steps[i].id;
    }
    return SG_OK;
}

static double learning_rate(const trainer *t)
{
    uint64_t epoch = t->now.epoch + 1, late = epoch > t->cfg->decay_after ? epoch - t->cfg->decay_after : 0;
    return t->cfg->lr * pow(t->cfg->lr_decay, (double)late);
}

static sg_status step(trainer *t, sg_error *err)
{
    const sg_train_config *c = t->cfg;
    size_t n, n_words;
    sg_status st = load_window(t, &n, err);
    if (st != SG_OK)
        return st;
    double begun = sg_clock();
    uint64_t key = c->seed * 0x9e3779b97f4a7c15u ^ (t->now.epoch << 40) ^ t->now.window;
    double loss = bptt_window(t->bptt, n, t->ids, c->dropout, key, t->gradient);
    const int32_t *words = bptt_words(t->bptt, &n_words);
    /* the window's gradient is that of the mean; that of the sum over its n steps is n times as large */
    double factor = c->loss_scale == SG_LOSS_SUM ? (double)n : 1;
    double norm = factor * stepper_norm(t->stepper, t->gradient, words, n_words);
    if (!isfinite(loss) || !isfinite(norm)) {
        char what[80];
        snprintf(what, sizeof what, "loss %g, gradient norm %g", loss, norm);
        return diverged(t, t->now.window + 1, what, err);
    }
    double chance = log((double)sg_model_get_shape(t->m)->vocabulary);
    if (loss > 3 * chance + 10)
        return sg_fail(
            err, SG_ENOCONV,
            "training diverges in epoch %" PRIu64 ", step %" PRIu64
            ": loss %.1f nats per token, random guessing has %.1f; a smaller setting 'lr' (now %g) or setting 'clip' (now %g) "
            "may help",
            t->now.epoch + 1, t->now.window + 1, loss, chance, c->lr, c->clip);
    double scale = c->clip > 0 && norm > c->clip ? c->clip / (norm + 1e-6) : 1;
    stepper_apply(t->stepper, t->gradient, words, n_words, learning_rate(t), scale * factor);
    uint64_t tokens = (uint64_t)n * c->batch;
    t->now.loss_sum += loss * (double)tokens;
    t->now.loss_tokens += tokens;
    t->now.window++;
    t->trained += tokens;
    t->train_seconds += sg_clock() - begun;
    t->recent = isfinite(t->recent) ? 0.95 * t->recent + 0.05 * loss : loss;
    return SG_OK;
}

/* False: stop soon. */
static bool report_progress(trainer *t, const char *what)
{
    double clock = sg_clock(), epoch_tokens = (double)(t->length - 1) * (double)t->cfg->batch;
    if (!t->monitor || !t->monitor->tick || clock - t->reported < 0.1)
        return true;
    t->reported = clock;
    sg_progress p = {what,
                     (double)t->trained,
                     0,
                     clock - t->begun,
                     t->recent,
                     (unsigned)t->now.epoch + 1,
                     (unsigned)t->cfg->epochs};
    double left = (double)(t->cfg->epochs - t->now.epoch) * epoch_tokens - (double)t->now.loss_tokens;
    p.total = p.done + (left > 0 ? left : 0);
    return t->monitor->tick(t->monitor->ctx, &p);
}

static sg_status cancel(trainer *t, sg_error *err)
{
    sg_status st = save(t, err);
    if (st != SG_OK)
        return st;
    return sg_fail(err, SG_ECANCELLED, "training stopped in epoch %" PRIu64 ", step %" PRIu64 "%s%s",
                   t->now.epoch + 1, t->now.window,
                   t->cfg->checkpoint ? "; setting 'resume' continues from " : "",
                   t->cfg->checkpoint ? t->cfg->checkpoint : "");
}

/* ---- one epoch ---- */

static bool relay_tick(void *ctx, const sg_progress *p)
{
    (void)p;
    return report_progress(ctx, "validating");
}

static sg_status write_log(trainer *t, double lr, sg_error *err)
{
    if (!t->log)
        return SG_OK;
    json_t *line = json_pack("{s:I,s:f,s:f,s:f}", "epoch", (json_int_t)t->now.epoch, "lr", lr, "train_nats",
                             t->now.train_nats, "train_perplexity", exp(t->now.train_nats));
    bool ok = line != NULL;
    if (ok && t->valid)
        ok = json_object_set_new(line, "valid_nats", json_real(t->now.valid_nats)) == 0 &&
             json_object_set_new(line, "valid_perplexity", json_real(exp(t->now.valid_nats))) == 0 &&
             json_object_set_new(line, "best", json_boolean(t->now.best_epoch == t->now.epoch)) == 0;
    double rate = t->train_seconds > 0 ? (double)t->trained / t->train_seconds : 0;
    ok = ok && json_object_set_new(line, "tokens_per_second", json_real(round(rate))) == 0 &&
         json_object_set_new(line, "seconds", json_real(round(1000 * (sg_clock() - t->begun)) / 1000)) == 0;
    char *text = ok ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(10)) : NULL;
    json_decref(line);
    if (!text)
        return no_memory(err, "a line (%s)", t->cfg->log_path);
    errno = 0;
    bool bad = fprintf(t->log, "%s\n", text) < 0 || fflush(t->log) != 0;
    bool kept = strcmp(t->cfg->log_path, "-") != 0;
    t->now.log_bytes = kept ? t->now.log_bytes + strlen(text) + 1 : 0;
    free(text);
    return bad ? sg_fail(err, SG_EIO, "%s: %s", kept ? t->cfg->log_path : "standard output", strerror(errno))
               : SG_OK;
}

static sg_status end_epoch(trainer *t, sg_error *err)
{
    double lr = learning_rate(t);
    sg_eval eval = {0};
    sg_status st = check_weights(t, err);
    if (st != SG_OK)
        return st;
    if (t->valid) {
        sg_monitor monitor = {relay_tick, NULL, t};
        st = sg_lm_eval(&eval, t->m, t->valid, false, t->threads, &monitor, err);
        if (st == SG_ECANCELLED)
            return cancel(t, err);
        if (st != SG_OK)
            return st;
    }
    t->now.train_nats = t->now.loss_sum / (double)t->now.loss_tokens;
    t->now.valid_nats = t->valid ? eval.nats_per_token : NAN;
    t->now.epoch++;
    t->now.window = 0;
    t->now.loss_sum = 0;
    t->now.loss_tokens = 0;
    bptt_reset(t->bptt);
    t->now.stale++;
    if (!t->valid || !t->now.best_epoch ||
        t->now.valid_nats < t->now.plateau_nats + log1p(-t->cfg->min_delta)) {
        t->now.plateau_nats = t->now.valid_nats;
        t->now.stale = 0;
    }
    if (!t->valid || !t->now.best_epoch || t->now.valid_nats < t->now.best_nats) {
        t->now.best_nats = t->now.valid_nats;
        t->now.best_epoch = t->now.epoch;
        memcpy(t->best, model_block(t->m), model_block_size(t->m) * sizeof *t->best);
    }
    st = write_log(t, lr, err);
    return st == SG_OK ? save(t, err) : st;
}

static bool finished(const trainer *t)
{
    return t->now.epoch >= t->cfg->epochs ||
           (t->cfg->patience && t->valid && t->now.stale >= t->cfg->patience);
}

static sg_status run(trainer *t, sg_error *err)
{
    while (!finished(t)) {
        while (t->now.window < t->windows) {
            sg_status st = step(t, err);
            if (st != SG_OK)
                return st;
            if (!report_progress(t, "training"))
                return cancel(t, err);
            if (t->cfg->checkpoint && sg_clock() - t->saved >= 60 * t->cfg->checkpoint_minutes &&
                (st = save(t, err)) != SG_OK)
                return st;
        }
        sg_status st = end_epoch(t, err);
        if (st != SG_OK)
            return st;
    }
    return SG_OK;
}

/* How it was trained, for the model file: nothing that differs from run to run. */
static sg_status record(trainer *t, sg_error *err)
{
    sg_status st = train_settings_record(t->cfg, t->m, err);
    char text[256];
#define PUT(key, ...) (snprintf(text, sizeof text, __VA_ARGS__), TRY_PUT(key))
#define TRY_PUT(key) (st == SG_OK ? (st = sg_model_set_meta(t->m, key, text, err)) : st)
    PUT("trained_epochs", "%" PRIu64, t->now.epoch);
    PUT("best_epoch", "%" PRIu64, t->now.best_epoch);
    PUT("train_nats", "%.9g", t->now.train_nats);
    if (t->valid)
        PUT("valid_perplexity", "%.9g", exp(t->now.best_nats));
    PUT("corpus_tokens", "%" PRIu64, sg_stream_length(t->train));
    PUT("corpus_sha256", "%s", sg_stream_sha256(t->train));
    PUT("stategrad_version", "%s", sg_version());
#undef PUT
#undef TRY_PUT
    return st;
}

sg_status sg_train(sg_train_result *result, sg_model *m, const sg_stream *train, const sg_stream *valid,
                   const sg_train_config *cfg, const sg_monitor *monitor, sg_error *err)
{
    sg_train_config own;
    sg_train_defaults(&own);
    cfg = config_take(&own, sizeof own, cfg);
    *result = (sg_train_result){.train_nats = NAN, .valid_nats = NAN, .best_valid_nats = NAN};
    sg_status st = sg_train_check(cfg, sg_model_get_shape(m), err);
    if (st != SG_OK)
        return st;
    if (cfg->resume && !cfg->checkpoint)
        return sg_fail(err, SG_EINVAL, "resume: needs the file of the checkpoint");
    checkpoint_claim *claim = NULL;
    trainer *t = sg_calloc(1, sizeof *t);
    NEED(t, err, "training");
    if (cfg->checkpoint)
        TRY(checkpoint_claim_new(&claim, cfg->checkpoint, err));
    *t = (trainer){.m = m,
                   .train = train,
                   .valid = valid,
                   .cfg = cfg,
                   .monitor = monitor,
                   .recent = NAN,
                   .threads = cfg->threads > 0 ? cfg->threads : omp_get_max_threads()};
    TRY(cut_into_sequences(t, err));
    TRY(describe(t, err));
    TRY(allocate(t, err));
    TRY(initialise(t, err));
    TRY(resume(t, err));
    TRY(open_log(t, err));
    t->begun = t->saved = sg_clock();
    st = run(t, err);
    bool any = t->now.best_epoch > 0;
    *result =
        (sg_train_result){(unsigned)t->now.epoch, t->now.train_nats, t->now.valid_nats, t->now.best_nats,
                          t->train_seconds > 0 ? (double)t->trained / t->train_seconds : 0};
    if (any) {
        memcpy(model_block(m), t->best, model_block_size(m) * sizeof(float));
        if (st == SG_OK)
            st = record(t, err);
        else
            record(t, NULL);
    }
done:
    checkpoint_claim_free(claim);
    if (t) {
        if (t->log)
            fclose(t->log);
        bptt_free(t->bptt);
        stepper_free(t->stepper);
        sg_free(t->gradient);
        sg_free(t->best);
        sg_free(t->state);
        sg_free(t->steps);
        sg_free(t->ids);
        sg_free(t);
    }
    return st;
}
