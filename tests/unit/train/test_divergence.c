/* SPDX-License-Identifier: MIT */
/* Training that diverges: what is said, what is saved; weights below the normal range of a float. */
#include "helpers/train_util.h"

#include "base/checksum.h"
#include "kernel/float_env.h"
#include "lm/model_internal.h"
#include "train/checkpoint.h"

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
    assert_non_null(strstr(err.msg, "setting 'lr'"));
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
        if (!strstr(err.msg, tensors[k]) || !strstr(err.msg, "epoch 2, step 1") ||
            !strstr(err.msg, "setting 'lr'"))
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
    assert_non_null(strstr(err.msg, "setting 'lr'"));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(divergence_is_told_and_the_best_weights_stay),
        cmocka_unit_test(divergence_names_the_tensor),
        cmocka_unit_test(overflowing_weights_are_not_saved),
        cmocka_unit_test(denormal_weights_train),
    };
    if (!mkdtemp(folder))
        return 1;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
