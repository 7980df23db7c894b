/* SPDX-License-Identifier: MIT */
/* Training: the loss falls, threads do not change a byte, settings are checked, extreme models, failing
 * allocations. */
#include "helpers/train_util.h"

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
        const sg_cell cell = (sg_cell)(k / 2);
        c.lr = learning_rate(cell, k % 2);
        sg_model *m = new_model(cell, k % 2 && !grows(cell) ? 2 : 1, k > 3);
        assert_ok(sg_train(&r, m, stream, stream, &c, NULL, &err), err);
        assert_int_equal(r.epochs, 8);
        double uniform = log((double)sg_vocab_size(vocab));
        assert_true(r.best_valid_nats < (grows(cell) ? 0.98 : 0.95) * uniform);
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

/* The epoch after which training stops, from the losses of a training that did not stop. */
static unsigned stops_after(const double *nats, unsigned n, unsigned patience, double delta)
{
    double last = nats[0];
    for (unsigned e = 1, since = 0; e < n; e++) {
        if (exp(nats[e]) < (1 - delta) * exp(last))
            last = nats[e], since = 0;
        else if (++since == patience)
            return e + 1;
    }
    return n;
}

static void a_small_fall_of_the_perplexity_does_not_count(void **state)
{
    (void)state;
    enum { EPOCHS = 14 };
    static const double deltas[] = {0, 0.002, 0.01, 0.05, 0.2};
    sg_error err;
    sg_train_result r;
    double nats[EPOCHS];
    unsigned stops[5];
    for (unsigned e = 0; e < EPOCHS; e++) {
        sg_train_config c = settings();
        c.epochs = e + 1, c.lr_decay = 0.6;
        sg_model *m = new_model(SG_CELL_LSTM, 1, false);
        assert_ok(sg_train(&r, m, stream, stream, &c, NULL, &err), err);
        nats[e] = r.valid_nats;
        sg_model_free(m);
    }
    for (size_t k = 0; k < 5; k++) {
        sg_train_config c = settings();
        c.epochs = EPOCHS, c.lr_decay = 0.6, c.patience = 3, c.min_delta = deltas[k];
        sg_model *m = new_model(SG_CELL_LSTM, 1, false);
        assert_ok(sg_train(&r, m, stream, stream, &c, NULL, &err), err);
        stops[k] = stops_after(nats, EPOCHS, 3, deltas[k]);
        assert_int_equal(r.epochs, stops[k]);
        sg_model_free(m);
    }
    assert_true(stops[0] > stops[1] && stops[1] > stops[2] && stops[2] > stops[3]);
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
        cmocka_unit_test(early_stopping_stops),
        cmocka_unit_test(a_small_fall_of_the_perplexity_does_not_count),
        cmocka_unit_test(settings_that_make_no_sense_are_refused),
        cmocka_unit_test(training_survives_failing_allocation),
        cmocka_unit_test(extreme_but_legal_models_train),
    };
    if (!mkdtemp(folder))
        return 1;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
