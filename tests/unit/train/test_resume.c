/* SPDX-License-Identifier: MIT */
/* Training that is cut: it ends in the same bytes; damaged and foreign checkpoints; the log. */
#include "helpers/train_util.h"

#include "base/checksum.h"
#include "train/checkpoint.h"

#include <sys/stat.h>

static void cut_anywhere_and_resumed_it_ends_the_same(void **state)
{
    (void)state;
    for (int k = 0; k < (int)sg_cell_count(); k++) {
        sg_error err;
        sg_train_result r;
        sg_train_config c = settings();
        char whole[65], parts[65], *checkpoint = in_folder("ckpt"), *previous = in_folder("ckpt.previous");
        c.optimizer = k % 2 ? SG_ADAM : SG_SGD;
        c.lr = learning_rate((sg_cell)k, k % 2);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_anywhere_and_resumed_it_ends_the_same),
        cmocka_unit_test(damaged_checkpoints_fall_back_to_the_one_before),
        cmocka_unit_test(log_has_one_line_an_epoch_also_after_a_cut),
    };
    if (!mkdtemp(folder))
        return 1;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
