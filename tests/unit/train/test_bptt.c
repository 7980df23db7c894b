/* SPDX-License-Identifier: MIT */
/* One window: dropout masks, the clipped norm, threads that share it. */
#include "helpers/train_util.h"

#include "lm/model_internal.h"
#include "train/bptt.h"
#include "train/optimizer.h"

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

/* The norm that is clipped is that of all parameters that learn, for every optimizer and kind of model: the
 * sum of squares of a gradient that is as large in the encoder's rows as elsewhere. */
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

/* Weights after steps of SGD and of Adam (beta 0.9 and 0.999, epsilon 1e-8, corrected for bias), in
 * double. */
static void steps_are_those_of_their_definition(void **state)
{
    (void)state;
    for (int adam = 0; adam < 2; adam++) {
        sg_error err;
        sg_stepper *s;
        sg_model *m = new_model(SG_CELL_LSTM, 1, false);
        size_t size = model_block_size(m);
        float *g = sg_calloc(size, sizeof *g);
        int32_t words[64];
        size_t V = sg_vocab_size(vocab);
        double *w = sg_calloc(size, sizeof *w), *first = sg_calloc(size, sizeof *first),
               *second = sg_calloc(size, sizeof *second), lr = 0.01, scale = 0.3;
        assert_true(V <= 64);
        for (size_t i = 0; i < V; i++)
            words[i] = (int32_t)i;
        for (size_t i = 0; i < size; i++)
            w[i] = (double)model_block(m)[i];
        assert_ok(stepper_new(&s, m, adam ? SG_ADAM : SG_SGD, false, 2, &err), err);
        for (int n = 1; n <= 4; n++) {
            for (size_t i = 0; i < size; i++) {
                g[i] = ((float)((i * 7 + (size_t)n * 3) % 11) - 4.5f) * (i % 3 ? 1.f : 1e-3f);
                double x = scale * (double)g[i];
                first[i] = 0.9 * first[i] + 0.1 * x, second[i] = 0.999 * second[i] + 0.001 * x * x;
                w[i] -=
                    adam ? lr * first[i] / (1 - pow(0.9, n)) / (sqrt(second[i] / (1 - pow(0.999, n))) + 1e-8)
                         : lr * x;
            }
            stepper_apply(s, g, words, V, lr, scale);
            for (size_t k = 0; k < sg_model_tensors(m); k++) { /* between them is room for alignment */
                const sg_tensor *of = sg_model_tensor(m, k);
                for (size_t i = 0, at = (size_t)(of->data - model_block(m)); i < of->rows * of->cols; i++)
                    assert_close((double)of->data[i], w[at + i], 2e-5, 1e-3, of->name, i);
            }
        }
        stepper_free(s);
        sg_free(g), sg_free(w), sg_free(first), sg_free(second);
        sg_model_free(m);
    }
}

/* Weights after training on one window of words, (block). */
static float *weights_after(double lr, double clip)
{
    char *path = in_folder("window.txt");
    const char *paths = path;
    sg_error err;
    sg_stream *window;
    sg_train_result r;
    sg_train_config c = settings();
    sg_corpus_config cfg = {.paths = &paths, .n_paths = 1};
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i <= 40; i++)
        fprintf(f, "w%d ", i % 3);
    assert_int_equal(fclose(f), 0);
    assert_ok(sg_stream_new(&window, &cfg, vocab, NULL, NULL, &err), err);
    c.optimizer = SG_SGD, c.steps = 40, c.batch = 1, c.dropout = 0, c.lr = lr, c.clip = clip, c.epochs = 1;
    sg_model *m = new_model(SG_CELL_TANH, 1, false);
    assert_ok(sg_train(&r, m, window, NULL, &c, NULL, &err), err);
    float *w = sg_calloc(model_block_size(m), sizeof *w);
    memcpy(w, model_block(m), model_block_size(m) * sizeof *w);
    sg_model_free(m);
    sg_stream_free(window);
    unlink(path);
    return w;
}

/* A step is as long as lr times the norm to which the gradient is clipped, and no longer where it is
 * below. */
static void a_clipped_step_has_the_length_of_the_clip(void **state)
{
    (void)state;
    sg_model *m = new_model(SG_CELL_TANH, 1, false);
    static const double clips[] = {0, 1e6, 0.02, 0.05};
    double length[4];
    float *still = weights_after(1e-30, 0);
    for (size_t k = 0; k < 4; k++) {
        float *moved = weights_after(0.5, clips[k]);
        length[k] = 0;
        for (size_t i = 0; i < model_block_size(m); i++)
            length[k] += ((double)moved[i] - (double)still[i]) * ((double)moved[i] - (double)still[i]);
        length[k] = sqrt(length[k]);
        sg_free(moved);
    }
    assert_true(length[0] > 0.5 * 0.1);
    assert_close(length[1], length[0], 1e-6, 0, "a clip that is not reached", 1);
    for (size_t k = 2; k < 4; k++)
        assert_close(length[k], 0.5 * clips[k], 1e-3, 0, "clip", k);
    sg_free(still);
    sg_model_free(m);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dropout_has_the_same_mask_both_ways),
        cmocka_unit_test(steps_are_those_of_their_definition),
        cmocka_unit_test(the_clipped_norm_is_that_of_all_that_learns),
        cmocka_unit_test(a_clipped_step_has_the_length_of_the_clip),
        cmocka_unit_test(every_window_and_epoch_has_its_own_dropout_masks),
        cmocka_unit_test(threads_share_a_window_without_a_trace),
    };
    if (!mkdtemp(folder))
        return 1;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
