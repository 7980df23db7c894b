/* SPDX-License-Identifier: MIT */
/* train_util.h - a small corpus for tests of training, models and settings for it, and a monitor that
 * stops. */
#ifndef TRAIN_UTIL_H
#define TRAIN_UTIL_H

#include "test_util.h"

#include "base/base_internal.h"
#include "stategrad/train.h"

#include <unistd.h>

static char folder[] = "/tmp/sg_train_XXXXXX";
static char corpus_path[64];
static sg_vocab *vocab;
static sg_stream *stream;

static inline char *in_folder(const char *name)
{
    static char path[8][128];
    static int next;
    char *p = path[next++ % 8];
    snprintf(p, sizeof *path, "%s/%s", folder, name);
    return p;
}

static inline void put_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static inline int set_up(void **state)
{
    (void)state;
    sg_error err;
    sg_rng r;
    sg_rng_seed(&r, 1, 0);
    snprintf(corpus_path, sizeof corpus_path, "%s/corpus.txt", folder);
    FILE *f = fopen(corpus_path, "w");
    for (int i = 0; f && i < 60; i++) {
        for (int k = 0; k < 9; k++)
            fprintf(f, "w%d ", (int)(12 * sg_rng_uniform(&r) * sg_rng_uniform(&r)));
        fputs("\n", f);
    }
    if (!f || fclose(f) != 0)
        return 1;
    const char *path = corpus_path;
    sg_corpus_config cfg = {.paths = &path, .n_paths = 1, .eos = true};
    sg_vocab_config words = {.unk = true};
    sg_corpus *c;
    if (sg_corpus_open(&c, &cfg, &err) || sg_vocab_build(&vocab, c, &words, &err))
        return 1;
    sg_corpus_close(c);
    return sg_stream_new(&stream, &cfg, vocab, NULL, NULL, &err) != SG_OK;
}

static inline int tear_down(void **state)
{
    (void)state;
    sg_stream_free(stream);
    sg_vocab_free(vocab);
    unlink(corpus_path);
    return rmdir(folder); /* fails if a test left something */
}

static inline sg_model *new_model(sg_cell cell, size_t layers, bool tied)
{
    sg_model *m;
    sg_error err;
    sg_model_shape s = {.cell = cell,
                        .layers = layers,
                        .vocabulary = sg_vocab_size(vocab),
                        .embedding = 6,
                        .hidden = {6, 6, 6},
                        .tied = tied,
                        .has_decoder = true,
                        .eos = true};
    assert_ok(sg_model_new(&m, &s, vocab, &err), err);
    return m;
}

/* LSTMs whose states are max(., 0) have no bound: at larger steps, and in several layers, they grow until
 * training diverges. */
static inline bool grows(sg_cell cell)
{
    return cell == SG_CELL_LSTM_RELU || cell == SG_CELL_LSTM_HARD_RELU;
}

/* What a cell learns with. */
static inline double learning_rate(sg_cell cell, bool adam)
{
    return adam ? grows(cell) ? 0.001 : 0.01 : grows(cell) ? 0.05 : 1;
}

static inline sg_train_config settings(void)
{
    sg_train_config c;
    sg_train_defaults(&c);
    c.steps = 7, c.batch = 4, c.epochs = 3, c.decay_after = 1, c.threads = 2, c.checkpoint_minutes = 1e6;
    c.optimizer = SG_SGD, c.lr = 1, c.clip = 5, c.dropout = 0.5;
    return c;
}

static inline void digest(const sg_model *m, char hex[65])
{
    assert_int_equal(sg_model_sha256(m, hex), SG_OK);
}

/* Asks to stop at the n-th call. */
typedef struct {
    int left;
    char warning[1024];
} stopper;

static inline bool stop_tick(void *ctx, const sg_progress *p)
{
    (void)p;
    return ((stopper *)ctx)->left-- > 0;
}

static inline void keep_warning(void *ctx, const char *line)
{
    snprintf(((stopper *)ctx)->warning, sizeof((stopper *)ctx)->warning, "%s", line);
}

#endif
