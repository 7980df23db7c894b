/* SPDX-License-Identifier: MIT */
/* Training: cut and resumed anywhere it ends in the same bytes; damaged and foreign checkpoints; divergence;
 * word vectors; failing allocations; threads. */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "kernel/float_env.h"
#include "lm/model_internal.h"
#include "stategrad/train.h"
#include "train/bptt.h"
#include "base/checksum.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"
#include "train/word2vec.h"

#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/sg_train_XXXXXX";
static char corpus_path[64];
static sg_vocab *vocab;
static sg_stream *stream;

static char *in_folder(const char *name)
{
    static char path[8][128];
    static int next;
    char *p = path[next++ % 8];
    snprintf(p, sizeof *path, "%s/%s", folder, name);
    return p;
}

static void put_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
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

static int tear_down(void **state)
{
    (void)state;
    sg_stream_free(stream);
    sg_vocab_free(vocab);
    unlink(corpus_path);
    return rmdir(folder); /* fails if a test left something */
}

static sg_model *new_model(sg_cell cell, size_t layers, bool tied)
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

static sg_train_config settings(void)
{
    sg_train_config c;
    sg_train_defaults(&c);
    c.steps = 7, c.batch = 4, c.epochs = 3, c.decay_after = 1, c.threads = 2, c.checkpoint_minutes = 1e6;
    c.optimizer = SG_SGD, c.lr = 1, c.clip = 5, c.dropout = 0.5;
    return c;
}

static void digest(const sg_model *m, char hex[65])
{
    assert_int_equal(sg_model_sha256(m, hex), SG_OK);
}

/* Asks to stop at the n-th call. */
typedef struct {
    int left;
    char warning[1024];
} stopper;

static bool stop_tick(void *ctx, const sg_progress *p)
{
    (void)p;
    return ((stopper *)ctx)->left-- > 0;
}

static void keep_warning(void *ctx, const char *line)
{
    snprintf(((stopper *)ctx)->warning, sizeof((stopper *)ctx)->warning, "%s", line);
}

static void loss_falls_and_best_epoch_is_kept(void **state)
{
    (void)state;
    for (int k = 0; k < 2 * (int)sg_cell_count(); k++) {
        sg_error err;
        sg_train_config c = settings();
        sg_train_result r;
        sg_eval e;
        c.epochs = 8, c.dropout = 0.1;
        c.optimizer = k % 2 ? SG_ADAM : SG_SGD;
        c.lr = k % 2 ? 0.01 : 1;
        sg_model *m = new_model((sg_cell)(k / 2), 1 + (size_t)k % 2, k > 3);
        assert_ok(sg_train(&r, m, stream, stream, &c, NULL, &err), err);
        assert_int_equal(r.epochs, 8);
        double uniform = log((double)sg_vocab_size(vocab));
        assert_true(r.best_valid_nats < 0.95 * uniform);
        assert_true(r.best_valid_nats <= r.valid_nats);
        assert_ok(sg_lm_eval(&e, m, stream, false, 1, NULL, &err), err);
        assert_close(e.nats_per_token, r.best_valid_nats, 1e-12, 0, "best", (size_t)k);
        assert_non_null(sg_model_meta(m, "best_epoch"));
        sg_model_free(m);
    }
}

static void threads_do_not_change_a_byte(void **state)
{
    (void)state;
    char first[65] = "", now[65];
    for (int threads = 1; threads <= 3; threads++) {
        sg_error err;
        sg_train_result r;
        sg_train_config c = settings();
        c.threads = threads;
        sg_model *m = new_model(SG_CELL_LSTM, 2, false);
        assert_ok(sg_train(&r, m, stream, stream, &c, NULL, &err), err);
        digest(m, now);
        if (threads > 1)
            assert_string_equal(first, now);
        strcpy(first, now);
        sg_model_free(m);
    }
}

/* With a fixed key dropout is a function like any other: its gradient is that of the loss, so both ways use
 * one mask. */
static void dropout_has_the_same_mask_both_ways(void **state)
{
    (void)state;
    enum { T = 6, B = 4 };
    sg_error err;
    sg_bptt *b;
    int32_t ids[(T + 1) * B];
    sg_model *m = new_model(SG_CELL_LSTM, 2, false);
    sg_model_init_uniform(m, 0.5f, 5);
    size_t size = model_block_size(m), checked = 0;
    for (int i = 0; i < (T + 1) * B; i++)
        ids[i] = (i * 5) % (int)sg_vocab_size(vocab);
    float *g = sg_calloc(size, sizeof *g), *scratch = sg_calloc(size, sizeof *g), *w = model_block(m);
    assert_ok(bptt_new(&b, m, T, B, 1, &err), err);
    double dropped = bptt_window(b, T, ids, 0.5, 42, g);
    bptt_reset(b);
    assert_true(fabs(dropped - bptt_window(b, T, ids, 0, 42, scratch)) > 1e-4);
    for (size_t i = 0; i < size; i += 13) {
        float x = w[i];
        double loss[2];
        for (int k = 0; k < 2; k++) {
            w[i] = k ? x + 0.01f : x - 0.01f;
            bptt_reset(b);
            loss[k] = bptt_window(b, T, ids, 0.5, 42, scratch);
        }
        w[i] = x;
        assert_close(g[i], (loss[1] - loss[0]) / 0.02, 0.01, 0.01, "dL/dw", i);
        checked += fabsf(g[i]) > 1e-3f;
    }
    assert_true(checked > 10);
    bptt_free(b);
    sg_free(g);
    sg_free(scratch);
    sg_model_free(m);
}

/* The norm that is clipped is that of all parameters that learn, for every optimizer and kind of model: the sum of
 * squares of a gradient that is as large in the encoder's rows as elsewhere. */
static void the_clipped_norm_is_that_of_all_that_learns(void **state)
{
    (void)state;
    for (int k = 0; k < 8; k++) {
        bool adam = k & 1, tied = k & 2, frozen = (k & 4) && !tied;
        sg_error err;
        sg_stepper *s;
        sg_model *m = new_model(SG_CELL_LSTM, 2, tied);
        size_t size = model_block_size(m), V = sg_vocab_size(vocab), E = 6, n = 0;
        float *g = sg_calloc(size, sizeof *g);
        int32_t words[64];
        assert_true(V <= 64);
        for (size_t i = 0; i < sg_model_tensors(m); i++) {
            const sg_tensor *t = sg_model_tensor(m, i);
            float *of = g + (t->data - model_block(m));
            for (size_t j = 0; j < t->rows * t->cols; j++)
                of[j] = ((float)(j % 7) - 2.5f) * (of == g ? 4 : 1); /* the encoder comes first */
        }
        for (size_t w = 0; w < V && !tied; w++) { /* half of the words were read: the others' rows are zero */
            if (w % 2)
                words[n++] = (int32_t)w;
            else
                memset(g + w * E, 0, E * sizeof *g);
        }
        double all = 0, encoder = 0;
        for (size_t i = 0; i < size; i++) {
            all += (double)g[i] * g[i];
            encoder += i < V * E ? (double)g[i] * g[i] : 0;
        }
        assert_true(encoder > 0.05 * all);
        assert_ok(stepper_new(&s, m, adam ? SG_ADAM : SG_SGD, frozen, 2, &err), err);
        assert_close(stepper_norm(s, g, tied ? NULL : words, n), sqrt(frozen ? all - encoder : all), 1e-6, 0,
                     "norm", (size_t)k);
        stepper_free(s);
        sg_free(g);
        sg_model_free(m);
    }
}

/* Loss of the last epoch on `windows` windows of one word repeated, with weights that do not move. */
static double still_loss(double dropout, int windows, unsigned epochs)
{
    char *path = in_folder("same.txt");
    const char *paths = path;
    sg_error err;
    sg_stream *same;
    sg_train_result r;
    sg_train_config c = settings();
    sg_corpus_config cfg = {.paths = &paths, .n_paths = 1};
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i <= 40 * windows; i++)
        fputs("w1 ", f);
    assert_int_equal(fclose(f), 0);
    assert_ok(sg_stream_new(&same, &cfg, vocab, NULL, NULL, &err), err);
    c.steps = 40, c.batch = 1, c.dropout = dropout, c.lr = 1e-30, c.init = 0.4, c.epochs = epochs;
    sg_model *m = new_model(SG_CELL_TANH, 1, false);
    assert_ok(sg_train(&r, m, same, NULL, &c, NULL, &err), err);
    sg_model_free(m);
    sg_stream_free(same);
    unlink(path);
    return r.train_nats;
}

/* Where weights do not move and a text's windows are alike, losses differ by their dropout masks alone. */
static void every_window_and_epoch_has_its_own_dropout_masks(void **state)
{
    (void)state;
    for (int dropped = 0; dropped < 2; dropped++) {
        double p = dropped ? 0.5 : 0, one = still_loss(p, 1, 1), two = still_loss(p, 2, 1),
               three = still_loss(p, 3, 1);
        double epochs = fabs(still_loss(p, 1, 2) - one);
        /* the second window against the third: the state has settled by then */
        double windows = fabs((2 * two - one) - (3 * three - 2 * two));
        if (!dropped)
            assert_true(epochs == 0 && windows < 1e-4);
        else
            assert_true(epochs > 1e-3 && windows > 1e-3);
    }
}

/* Large enough that threads share each phase: all gradients and the carried state of two windows, to the
 * byte. */
static void threads_share_a_window_without_a_trace(void **state)
{
    (void)state;
    enum { V = 9000, T = 6, B = 10 };
    static char text[V][8];
    static const char *words[V];
    static int32_t ids[(T + 1) * B];
    sg_error err;
    sg_vocab *v;
    for (int i = 0; i < V; i++) {
        snprintf(text[i], sizeof *text, "w%d", i);
        words[i] = text[i];
    }
    assert_ok(sg_vocab_from_words(&v, words, NULL, V, &err), err);
    for (int i = 0; i < (T + 1) * B; i++)
        ids[i] = (i * 7919) % V;
    for (size_t c = 0; c < sg_cell_count(); c++) {
        sg_model_shape shape = {.cell = (sg_cell)c,
                                .layers = 2,
                                .vocabulary = V,
                                .embedding = 10,
                                .hidden = {170, 165},
                                .has_decoder = true};
        sg_model *m;
        assert_ok(sg_model_new(&m, &shape, v, &err), err);
        sg_model_init_uniform(m, 0.1f, 3);
        size_t size = model_block_size(m);
        float *gradient[3], kept[3][4 * B * 170];
        double loss[3];
        for (int threads = 1; threads <= 3; threads++) {
            sg_bptt *b;
            float *g = gradient[threads - 1] = sg_calloc(size, sizeof *g);
            assert_ok(bptt_new(&b, m, T, B, threads, &err), err);
            bptt_window(b, T, ids, 0.3, 1, g);
            loss[threads - 1] = bptt_window(b, T - 1, ids + B, 0.3, 2, g);
            memset(kept[threads - 1], 0, sizeof *kept);
            bptt_get_state(b, kept[threads - 1]);
            bptt_free(b);
        }
        for (int k = 1; k < 3; k++) {
            assert_true(loss[k] == loss[0]);
            assert_memory_equal(gradient[k], gradient[0], size * sizeof(float));
            assert_memory_equal(kept[k], kept[0], sizeof *kept);
        }
        for (int k = 0; k < 3; k++)
            sg_free(gradient[k]);
        sg_model_free(m);
    }
    sg_vocab_free(v);
}

static void cut_anywhere_and_resumed_it_ends_the_same(void **state)
{
    (void)state;
    for (int k = 0; k < (int)sg_cell_count(); k++) {
        sg_error err;
        sg_train_result r;
        sg_train_config c = settings();
        char whole[65], parts[65], *checkpoint = in_folder("ckpt"), *previous = in_folder("ckpt.previous");
        c.optimizer = k % 2 ? SG_ADAM : SG_SGD;
        c.lr = k % 2 ? 0.01 : 1;
        sg_model *m = new_model((sg_cell)k, 2, k == 2);
        assert_ok(sg_train(&r, m, stream, stream, &c, NULL, &err), err);
        digest(m, whole);
        sg_model_free(m);
        c.checkpoint = checkpoint;
        c.checkpoint_minutes = 0; /* after every window */
        c.resume = true;
        int runs = 0;
        for (sg_status st = SG_ECANCELLED; st == SG_ECANCELLED; runs++) {
            stopper s = {.left = 0};
            sg_monitor monitor = {stop_tick, keep_warning, &s};
            m = new_model((sg_cell)k, 2, k == 2);
            st = sg_train(&r, m, stream, stream, &c, &monitor, &err);
            if (runs == 0)
                assert_non_null(strstr(s.warning, "from the beginning"));
            if (st == SG_OK)
                digest(m, parts);
            else {
                assert_int_equal(st, SG_ECANCELLED);
                assert_non_null(strstr(err.msg, checkpoint));
            }
            sg_model_free(m);
            assert_true(runs < 1000);
        }
        assert_true(runs > 60); /* one window at a time */
        assert_string_equal(whole, parts);
        /* what is finished stays finished; with more epochs than asked for, that is said */
        stopper s = {.left = 1 << 30};
        sg_monitor monitor = {stop_tick, keep_warning, &s};
        c.epochs = 2;
        m = new_model((sg_cell)k, 2, k == 2);
        assert_ok(sg_train(&r, m, stream, stream, &c, &monitor, &err), err);
        assert_non_null(strstr(s.warning, "3 epochs are done, more than the 2 asked for"));
        assert_int_equal(r.epochs, 3);
        sg_model_free(m);
        c.epochs = 3;
        s.warning[0] = 0;
        m = new_model((sg_cell)k, 2, k == 2);
        assert_ok(sg_train(&r, m, stream, stream, &c, &monitor, &err), err);
        assert_string_equal(s.warning, "");
        digest(m, parts);
        assert_string_equal(whole, parts);
        sg_model_free(m);
        unlink(checkpoint);
        unlink(previous);
    }
}

static void damaged_checkpoints_fall_back_to_the_one_before(void **state)
{
    (void)state;
    sg_error err;
    sg_train_result r;
    sg_train_config c = settings();
    char whole[65], now[65], *checkpoint = in_folder("ckpt"), *previous = in_folder("ckpt.previous"), *good;
    size_t n;
    sg_model *m = new_model(SG_CELL_LSTM, 1, false);
    assert_ok(sg_train(&r, m, stream, stream, &c, NULL, &err), err);
    digest(m, whole);
    sg_model_free(m);
    c.checkpoint = checkpoint;
    m = new_model(SG_CELL_LSTM, 1, false);
    c.epochs = 2;
    assert_ok(sg_train(&r, m, stream, stream, &c, NULL, &err), err);
    sg_model_free(m);
    c.epochs = 3;
    c.resume = true;
    assert_ok(sg_read_file(&good, &n, checkpoint, 1 << 24, &err), err);
    assert_int_equal(access(previous, F_OK), 0);
    char *before;
    size_t n_before;
    assert_ok(sg_read_file(&before, &n_before, previous, 1 << 24, &err), err);
    for (int k = 0; k < 6; k++) {
        stopper s = {.left = 1 << 30};
        sg_monitor monitor = {stop_tick, keep_warning, &s};
        char *bad = sg_calloc(n, 1);
        memcpy(bad, good, n);
        size_t length = n;
        if (k < 3)
            length = k == 0 ? 0 : k == 1 ? n / 2 : n - 1;
        else
            bad[k == 3 ? 3 : k == 4 ? n / 2 : n - 3] ^= 1;
        put_file(checkpoint, bad, length);
        put_file(previous, before, n_before);
        m = new_model(SG_CELL_LSTM, 1, false);
        assert_ok(sg_train(&r, m, stream, stream, &c, &monitor, &err), err);
        assert_non_null(strstr(s.warning, "damaged"));
        assert_non_null(strstr(s.warning, previous));
        digest(m, now);
        assert_string_equal(whole, now);
        /* and with both damaged it stops, and leaves them */
        put_file(checkpoint, bad, length);
        put_file(previous, bad, length);
        assert_int_equal(sg_train(&r, m, stream, stream, &c, &monitor, &err), SG_EFORMAT);
        assert_non_null(strstr(err.msg, "damaged"));
        sg_model_free(m);
        sg_free(bad);
    }
    /* damaged, and none before it: from the beginning; another kind of file is left alone */
    for (int k = 0; k < 3; k++) {
        stopper s = {.left = 1 << 30};
        sg_monitor monitor = {stop_tick, keep_warning, &s};
        unlink(previous);
        put_file(checkpoint, k == 2 ? "notes" : good, k == 2 ? 5 : k == 1 ? 0 : n / 3);
        m = new_model(SG_CELL_LSTM, 1, false);
        sg_status st = sg_train(&r, m, stream, stream, &c, &monitor, &err);
        assert_int_equal(st, k == 2 ? SG_EFORMAT : SG_OK);
        if (k < 2) {
            assert_non_null(strstr(s.warning, "from the beginning"));
            digest(m, now);
            assert_string_equal(whole, now);
        }
        sg_model_free(m);
    }
    /* only the one before is there: a kill between two renames */
    unlink(checkpoint);
    put_file(previous, before, n_before);
    m = new_model(SG_CELL_LSTM, 1, false);
    assert_ok(sg_train(&r, m, stream, stream, &c, NULL, &err), err);
    digest(m, now);
    assert_string_equal(whole, now);
    sg_model_free(m);
    /* another run's */
    struct {
        const char *name;
        sg_train_config c;
    } other[] = {{"seed", c}, {"dropout", c}, {"steps", c}, {"optimizer", c}};
    other[0].c.seed = 9, other[1].c.dropout = 0.25, other[2].c.steps = 8, other[3].c.optimizer = SG_ADAM;
    for (size_t k = 0; k < 4; k++) {
        m = new_model(SG_CELL_LSTM, 1, false);
        assert_int_equal(sg_train(&r, m, stream, stream, &other[k].c, NULL, &err), SG_EINVAL);
        assert_non_null(strstr(err.msg, other[k].name));
        sg_model_free(m);
    }
    m = new_model(SG_CELL_GRU, 1, false);
    assert_int_equal(sg_train(&r, m, stream, stream, &c, NULL, &err), SG_EINVAL);
    assert_non_null(strstr(err.msg, "cell=lstm there, cell=gru now"));
    sg_model_free(m);
    sg_free(good);
    sg_free(before);
    unlink(checkpoint);
    unlink(previous);
}

static void log_has_one_line_an_epoch_also_after_a_cut(void **state)
{
    (void)state;
    sg_error err;
    sg_train_result r;
    sg_train_config c = settings();
    char *checkpoint = in_folder("ckpt"), *previous = in_folder("ckpt.previous"), *log = in_folder("log"),
         *text;
    size_t n;
    c.checkpoint = checkpoint, c.log_path = log, c.epochs = 2;
    sg_model *m = new_model(SG_CELL_LSTM, 1, false);
    assert_ok(sg_train(&r, m, stream, stream, &c, NULL, &err), err);
    FILE *f = fopen(log, "a");
    fputs("{\"epoch\":3, a line that was written before the machine died, and its check", f);
    fclose(f);
    c.resume = true, c.epochs = 4;
    assert_ok(sg_train(&r, m, stream, stream, &c, NULL, &err), err);
    assert_ok(sg_read_file(&text, &n, log, 1 << 20, &err), err);
    int line = 0;
    for (char *s = strtok(text, "\n"); s; s = strtok(NULL, "\n")) {
        char want[32];
        snprintf(want, sizeof want, "{\"epoch\":%d,", ++line);
        assert_int_equal(strncmp(s, want, strlen(want)), 0);
        assert_non_null(strstr(s, "\"valid_perplexity\":"));
    }
    assert_int_equal(line, 4);
    sg_free(text);
    sg_model_free(m);
    unlink(log), unlink(checkpoint), unlink(previous);
}

static void divergence_is_told_and_the_best_weights_stay(void **state)
{
    (void)state;
    sg_error err;
    sg_train_result r;
    sg_eval e;
    sg_train_config c = settings();
    c.lr = 1e30, c.clip = 0;
    sg_model *m = new_model(SG_CELL_RELU, 1, false);
    sg_status st = sg_train(&r, m, stream, stream, &c, NULL, &err);
    assert_true(st == SG_ENONFINITE || st == SG_ENOCONV);
    assert_non_null(strstr(err.msg, "epoch 1, step "));
    assert_non_null(strstr(err.msg, "--lr"));
    assert_int_equal(r.epochs, 0);
    sg_model_free(m);
    /* it goes wrong in a later epoch: lr grows. The best weights stay, and so does the checkpoint of the last
     * good epoch */
    char *checkpoint = in_folder("ckpt"), *previous = in_folder("ckpt.previous"), whole[65], now[65];
    c = settings();
    c.lr_decay = 1e12, c.clip = 0, c.epochs = 6, c.checkpoint = checkpoint;
    m = new_model(SG_CELL_RELU, 2, false);
    st = sg_train(&r, m, stream, stream, &c, NULL, &err);
    assert_true(st == SG_ENONFINITE || st == SG_ENOCONV);
    assert_true(r.epochs > 0);
    char epoch[40];
    snprintf(epoch, sizeof epoch, "epoch %u, step ", r.epochs + 1);
    assert_non_null(strstr(err.msg, epoch));
    assert_ok(sg_lm_eval(&e, m, stream, false, 1, NULL, &err), err);
    assert_close(e.nats_per_token, r.best_valid_nats, 1e-12, 0, "best", 0);
    sg_model_free(m);
    c.epochs = r.epochs, c.checkpoint = NULL;
    m = new_model(SG_CELL_RELU, 2, false);
    assert_ok(sg_train(&r, m, stream, stream, &c, NULL, &err), err);
    digest(m, whole);
    sg_model_free(m);
    c.checkpoint = checkpoint, c.resume = true;
    m = new_model(SG_CELL_RELU, 2, false);
    assert_ok(sg_train(&r, m, stream, stream, &c, NULL, &err), err);
    assert_true(r.tokens_per_second == 0); /* nothing was trained anew */
    digest(m, now);
    assert_string_equal(whole, now);
    sg_model_free(m);
    unlink(checkpoint), unlink(previous);
}

/* The weights of one tensor in a checkpoint become infinite; its checksum is made anew. */
static void poison_checkpoint(const char *path, const sg_model *m, const char *tensor)
{
    sg_error err;
    char *bytes;
    size_t n;
    uint64_t identity;
    const sg_tensor *t = sg_model_find(m, tensor);
    float infinite = INFINITY;
    assert_ok(sg_read_file(&bytes, &n, path, 1 << 24, &err), err);
    memcpy(&identity, bytes + 8, sizeof identity);
    size_t weights = 8 + 8 + (size_t)identity + sizeof(sg_train_numbers) + 8;
    for (size_t i = 0; i < t->rows * t->cols; i++)
        memcpy(bytes + weights + sizeof(float) * ((size_t)(t->data - model_block(m)) + i), &infinite,
               sizeof infinite);
    put_file(path, bytes, n - 24);
    FILE *f = fopen(path, "r+b");
    assert_ok(checksum_append(f, path, &err), err);
    fclose(f);
    sg_free(bytes);
}

/* Layer and tensor are in the tensor's name. */
static void divergence_names_the_tensor(void **state)
{
    (void)state;
    sg_error err;
    sg_train_result r;
    sg_train_config c = settings();
    static const char *const tensors[] = {"encoder.weight", "rnn.weight_hh_l0", "rnn.weight_hh_l1",
                                          "decoder.weight"};
    for (size_t k = 0; k < sizeof tensors / sizeof *tensors; k++) {
        sg_model *m = new_model(SG_CELL_TANH, 2, false);
        c.lr = 1, c.clip = 0, c.init = 0.1;
        c.checkpoint = in_folder("ckpt");
        c.epochs = 1;
        assert_ok(sg_train(&r, m, stream, stream, &c, NULL, &err), err);
        c.epochs = 2, c.resume = true;
        poison_checkpoint(c.checkpoint, m, tensors[k]);
        assert_int_equal(sg_train(&r, m, stream, stream, &c, NULL, &err), SG_ENONFINITE);
        if (!strstr(err.msg, tensors[k]) || !strstr(err.msg, "epoch 2, step 1") || !strstr(err.msg, "--lr"))
            fail_msg("'%s' does not name %s", err.msg, tensors[k]);
        c.resume = false;
        sg_model_free(m);
        unlink(c.checkpoint), unlink(in_folder("ckpt.previous"));
    }
}

/* An update that overflows is not written over the good checkpoint, however soon that is due. */
static void overflowing_weights_are_not_saved(void **state)
{
    (void)state;
    sg_error err;
    sg_train_result r;
    sg_train_config c = settings();
    char *checkpoint = in_folder("ckpt"), *previous = in_folder("ckpt.previous"), *good, *now;
    size_t n, n_now;
    c.checkpoint = checkpoint, c.epochs = 1, c.lr_decay = 1e300, c.clip = 0;
    sg_model *m = new_model(SG_CELL_TANH, 1, false);
    assert_ok(sg_train(&r, m, stream, NULL, &c, NULL, &err), err);
    assert_ok(sg_read_file(&good, &n, checkpoint, 1 << 24, &err), err);
    c.resume = true, c.checkpoint_minutes = 0, c.epochs = 2;
    assert_int_equal(sg_train(&r, m, stream, NULL, &c, NULL, &err), SG_ENONFINITE);
    assert_non_null(strstr(err.msg, "epoch 2, step 1: "));
    assert_non_null(strstr(err.msg, "weight: "));
    assert_non_null(strstr(err.msg, "--lr"));
    assert_ok(sg_read_file(&now, &n_now, checkpoint, 1 << 24, &err), err);
    assert_int_equal(n, n_now);
    assert_memory_equal(good, now, n);
    sg_free(good);
    sg_free(now);
    sg_model_free(m);
    unlink(checkpoint), unlink(previous);
}

/* Weights, and products of weights, below the normal range of a float: flushed to zero, the model guesses
 * evenly, and whoever called has the floating-point environment that he had. */
static void denormal_weights_train(void **state)
{
    (void)state;
    sg_error err;
    sg_train_result r;
    sg_eval e;
    sg_train_config c = settings();
    double chance = log((double)sg_vocab_size(vocab));
    sg_float_env before = float_env_now();
    for (int k = 0; k < (int)sg_cell_count(); k++) {
        sg_model *m = new_model((sg_cell)k, 2, false);
        c.epochs = 1, c.lr = 1e-30, c.init = 1e-39;
        assert_ok(sg_train(&r, m, stream, stream, &c, NULL, &err), err);
        assert_close(r.train_nats, chance, 1e-6, 0, "nats", k);
        for (size_t i = 0; i < model_block_size(m); i++) /* they were not touched, nor flushed in place */
            assert_true(fabsf(model_block(m)[i]) < 1e-29f);
        sg_model_init_uniform(m, 1e-39f, 1);
        assert_true(fpclassify(model_block(m)[3]) == FP_SUBNORMAL);
        assert_ok(sg_lm_eval(&e, m, stream, false, 2, NULL, &err), err);
        assert_close(e.nats_per_token, chance, 1e-6, 0, "nats", k);
        sg_model_free(m);
    }
    long changed = 0;
#pragma omp parallel num_threads(3) reduction(+ : changed)
    changed += float_env_now() != before; /* the threads that did the work, too */
    assert_int_equal(changed, 0);
}

static void early_stopping_stops(void **state)
{
    (void)state;
    sg_error err;
    sg_train_result r;
    sg_train_config c = settings();
    c.epochs = 50, c.patience = 2, c.lr = 1e-12, c.init = 0.3; /* steps too small to change a float */
    sg_model *m = new_model(SG_CELL_TANH, 1, false);
    assert_ok(sg_train(&r, m, stream, stream, &c, NULL, &err), err);
    assert_int_equal(r.epochs, 3);
    sg_model_free(m);
}

static void settings_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    sg_error err;
    sg_train_result r;
    sg_model *m = new_model(SG_CELL_LSTM, 1, true);
    struct {
        const char *name;
        sg_train_config c;
    } bad[] = {{"steps", settings()},  {"batch", settings()},   {"epochs", settings()}, {"lr", settings()},
               {"clip", settings()},   {"dropout", settings()}, {"init", settings()},   {"tied", settings()},
               {"tokens", settings()}, {"resume", settings()}};
    bad[0].c.steps = 0, bad[1].c.batch = 1u << 30, bad[2].c.epochs = 0, bad[3].c.lr = NAN, bad[4].c.clip = -1;
    bad[5].c.dropout = 1, bad[6].c.init = 0, bad[7].c.freeze_embeddings = true, bad[8].c.batch = 400;
    bad[9].c.resume = true;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        /* a corpus that is too small for the batch is a matter of the file */
        assert_int_equal(sg_train(&r, m, stream, stream, &bad[k].c, NULL, &err),
                         strcmp(bad[k].name, "tokens") ? SG_EINVAL : SG_EFORMAT);
        assert_non_null(strstr(err.msg, bad[k].name));
    }
    sg_model_free(m);
}

/* ---- word vectors ---- */

static sg_status read_vectors(const char *data, size_t n, float *encoder, size_t *found, sg_error *err)
{
    char *path = in_folder("vectors");
    put_file(path, data, n);
    sg_status st = word2vec_read(path, vocab, 2, encoder, found, NULL, err);
    if (st != SG_OK)
        assert_non_null(strstr(err->msg, path));
    unlink(path);
    return st;
}

static void word_vectors_text_and_binary(void **state)
{
    (void)state;
    enum { MAX_V = 64 };
    assert_true(sg_vocab_size(vocab) <= MAX_V);
    sg_error err;
    float e[2 * MAX_V];
    size_t found, n;
    int32_t w0 = sg_vocab_id(vocab, "w0", 2), w1 = sg_vocab_id(vocab, "w1", 2),
            w2 = sg_vocab_id(vocab, "w2", 2);
    static const char *const texts[] = {"3 2\nw0 1.5 -2e-1\nother 7 7\nw1 +3 .25\n", "w0 1.5 -0.2\nw1 3 0.25",
                                        "w0\t1.5  -.2 \r\nw1 3 25e-2\r\nw1 9 9\n"};
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < 2 * MAX_V; i++)
            e[i] = 100;
        assert_ok(read_vectors(texts[k], strlen(texts[k]), e, &found, &err), err);
        assert_int_equal(found, 2);
        assert_close(e[2 * w0], 1.5, 1e-7, 0, "w0", 0);
        assert_close(e[2 * w0 + 1], -0.2, 1e-7, 0, "w0", 1);
        assert_close(e[2 * w1 + 1], 0.25, 1e-7, 0, "w1", 1);
        assert_true(e[2 * w2] == 100);
    }
    for (int newline = 0; newline < 2; newline++) {
        char data[64];
        float v[] = {1.5f, -0.2f, 3, 0.25f};
        n = (size_t)sprintf(data, "2 2\nw0 ");
        memcpy(data + n, v, 8), n += 8;
        if (newline)
            data[n++] = '\n';
        n += (size_t)sprintf(data + n, "w1 ");
        memcpy(data + n, v + 2, 8), n += 8;
        assert_ok(read_vectors(data, n, e, &found, &err), err);
        assert_int_equal(found, 2);
        assert_true(e[2 * w0 + 1] == -0.2f && e[2 * w1 + 1] == 0.25f);
        for (size_t cut = 4; cut < n; cut++)
            assert_int_equal(read_vectors(data, cut, e, &found, &err), SG_EFORMAT);
    }
    static const char *const bad[] = {"",           "2 3\nw0 1 2 3\n", "w0 1\n",
                                      "w0 1 2 3\n", "w0 1 two\n",      "2 2\nw0 1 2\nw1 1\n"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        assert_int_equal(read_vectors(bad[k], strlen(bad[k]), e, &found, &err), SG_EFORMAT);
    assert_int_equal(read_vectors("w0 nan 1\n", 9, e, &found, &err), SG_ENONFINITE);
    assert_int_equal(read_vectors("w0 1e39 1\n", 10, e, &found, &err), SG_ENONFINITE);
}

static void embeddings_are_loaded_and_frozen(void **state)
{
    (void)state;
    sg_error err;
    sg_train_result r;
    sg_train_config c = settings();
    stopper s = {.left = 1 << 30};
    sg_monitor monitor = {stop_tick, keep_warning, &s};
    char *path = in_folder("vectors");
    const char *text = "w0 1 2 3 4 5 6\nw1 6 5 4 3 2 1\n";
    put_file(path, text, strlen(text));
    c.embeddings = path;
    int32_t w0 = sg_vocab_id(vocab, "w0", 2);
    for (int frozen = 0; frozen < 2; frozen++) {
        c.freeze_embeddings = frozen;
        sg_model *m = new_model(SG_CELL_LSTM, 1, false);
        assert_ok(sg_train(&r, m, stream, stream, &c, &monitor, &err), err);
        float *row = sg_model_find(m, "encoder.weight")->data + (size_t)w0 * 6;
        assert_true((row[2] == 3) == (frozen == 1));
        assert_non_null(strstr(s.warning, "vectors for 2 of"));
        sg_model_free(m);
    }
    unlink(path);
}

static void training_survives_failing_allocation(void **state)
{
    (void)state;
    sg_error err;
    sg_train_result r;
    sg_train_config c = settings();
    char *checkpoint = in_folder("ckpt"), *previous = in_folder("ckpt.previous"), *log = in_folder("log");
    c.epochs = 1, c.checkpoint = checkpoint, c.log_path = log, c.threads = 1;
    sg_model *m = new_model(SG_CELL_LSTM, 1, false);
    for (long n = 0;; n++) {
        long live = sg_alloc_live();
        sg_alloc_fail_after(n);
        sg_status st = sg_train(&r, m, stream, stream, &c, NULL, &err);
        sg_alloc_fail_after(-1);
        if (st == SG_OK) {
            assert_true(n > 20);
            break;
        }
        assert_int_equal(st, SG_ENOMEM);
        if (r.epochs == 0)
            assert_int_equal(sg_alloc_live(), live);
        assert_true(n < 1000);
    }
    sg_model_free(m);
    unlink(checkpoint), unlink(previous), unlink(log);
}

static void extreme_but_legal_models_train(void **state)
{
    (void)state;
    sg_error err;
    sg_train_result r;
    sg_train_config c = settings();
    for (int k = 0; k < (int)sg_cell_count(); k++) {
        sg_model *m;
        sg_model_shape s = {.cell = (sg_cell)k,
                            .layers = 1,
                            .vocabulary = sg_vocab_size(vocab),
                            .embedding = 1,
                            .hidden = {1},
                            .has_decoder = true,
                            .eos = true};
        assert_ok(sg_model_new(&m, &s, vocab, &err), err);
        c.batch = 1, c.steps = 1, c.epochs = 1, c.lr = 0.1;
        assert_ok(sg_train(&r, m, stream, NULL, &c, NULL, &err), err);
        assert_true(isfinite(r.train_nats));
        sg_model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_falls_and_best_epoch_is_kept),
        cmocka_unit_test(threads_do_not_change_a_byte),
        cmocka_unit_test(dropout_has_the_same_mask_both_ways),
        cmocka_unit_test(the_clipped_norm_is_that_of_all_that_learns),
        cmocka_unit_test(every_window_and_epoch_has_its_own_dropout_masks),
        cmocka_unit_test(threads_share_a_window_without_a_trace),
        cmocka_unit_test(cut_anywhere_and_resumed_it_ends_the_same),
        cmocka_unit_test(damaged_checkpoints_fall_back_to_the_one_before),
        cmocka_unit_test(log_has_one_line_an_epoch_also_after_a_cut),
        cmocka_unit_test(divergence_is_told_and_the_best_weights_stay),
        cmocka_unit_test(divergence_names_the_tensor),
        cmocka_unit_test(overflowing_weights_are_not_saved),
        cmocka_unit_test(denormal_weights_train),
        cmocka_unit_test(early_stopping_stops),
        cmocka_unit_test(settings_that_make_no_sense_are_refused),
        cmocka_unit_test(word_vectors_text_and_binary),
        cmocka_unit_test(embeddings_are_loaded_and_frozen),
        cmocka_unit_test(training_survives_failing_allocation),
        cmocka_unit_test(extreme_but_legal_models_train),
    };
    if (!mkdtemp(folder))
        return 1;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
