/* SPDX-License-Identifier: MIT */
/* Models: tensors, files (round trip, every truncation, hostile headers), forward pass, failing
 * allocations. */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "lm/forward.h"
#include "lm/model_internal.h"

#include <unistd.h>

static char folder[] = "/tmp/sg_lm_XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static sg_vocab *small_vocab(size_t n)
{
    static const char *const words[] = {"<unk>",      "<eos>",       "the", "caf\xc3\xa9",
                                        "\"quoted\"", "back\\slash", "x",   "y"};
    static const uint64_t counts[] = {3, 10, 9, 5, 4, 2, 1, 1};
    sg_vocab *v;
    sg_error err;
    assert_ok(sg_vocab_from_words(&v, words, counts, n, &err), err);
    return v;
}

static sg_model *small_model(sg_cell cell, size_t layers, bool tied)
{
    sg_error err;
    sg_model *m;
    sg_vocab *v = small_vocab(8);
    sg_model_shape shape = {.cell = cell,
                            .layers = layers,
                            .vocabulary = 8,
                            .embedding = 3,
                            .hidden = {4, 3, 3},
                            .tied = tied,
                            .has_decoder = true,
                            .eos = true};
    if (tied)
        shape.hidden[layers - 1] = 3;
    assert_ok(sg_model_new(&m, &shape, v, &err), err);
    sg_vocab_free(v);
    sg_model_init_uniform(m, 0.5f, 11);
    assert_ok(sg_model_set_meta(m, "init_range", "0.5", &err), err);
    return m;
}

static void names_are_pytorchs(void **state)
{
    (void)state;
    sg_model *m = small_model(SG_CELL_GRU, 2, false);
    static const char *const names[] = {"encoder.weight",   "rnn.weight_ih_l0", "rnn.weight_hh_l0",
                                        "rnn.bias_ih_l0",   "rnn.bias_hh_l0",   "rnn.weight_ih_l1",
                                        "rnn.weight_hh_l1", "rnn.bias_ih_l1",   "rnn.bias_hh_l1",
                                        "decoder.weight",   "decoder.bias"};
    assert_int_equal(sg_model_tensors(m), 11);
    for (size_t i = 0; i < 11; i++)
        assert_string_equal(sg_model_tensor(m, i)->name, names[i]);
    assert_int_equal(sg_model_find(m, "rnn.weight_ih_l1")->rows, 9);
    assert_int_equal(sg_model_find(m, "rnn.weight_ih_l1")->cols, 4);
    assert_null(sg_model_find(m, "rnn.weight_ih_l2"));
    sg_model_free(m);
}

static void shapes_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    sg_error err;
    sg_model *m = (sg_model *)&err;
    sg_model_shape good = {.cell = SG_CELL_LSTM, .layers = 1, .embedding = 2, .hidden = {2}}, bad;
    bad = good, bad.layers = 0;
    assert_int_equal(sg_model_new(&m, &bad, NULL, &err), SG_EINVAL);
    assert_null(m);
    bad = good, bad.hidden[0] = 0;
    assert_int_equal(sg_model_new(&m, &bad, NULL, &err), SG_EINVAL);
    bad = good, bad.embedding = SIZE_MAX / 2;
    assert_int_equal(sg_model_new(&m, &bad, NULL, &err), SG_EINVAL);
    bad = good, bad.has_decoder = true;
    assert_int_equal(sg_model_new(&m, &bad, NULL, &err), SG_EINVAL);
    bad = good, bad.vocabulary = 5;
    assert_int_equal(sg_model_new(&m, &bad, NULL, &err), SG_EINVAL);
    sg_vocab *v = small_vocab(5);
    bad = good, bad.vocabulary = 5, bad.has_decoder = bad.tied = true, bad.hidden[0] = 3;
    assert_int_equal(sg_model_new(&m, &bad, v, &err), SG_EINVAL);
    sg_vocab_free(v);
}

static void save_then_load_is_identity(void **state)
{
    (void)state;
    for (size_t k = 0; k < 10; k++) {
        sg_error err;
        bool tied = k % 2;
        sg_model *m = small_model((sg_cell)(k / 2), 1 + k % 3, tied), *back;
        char first[128], second[128], a[65], b[65], *x, *y;
        size_t nx, ny;
        strcpy(first, in_folder("first")), strcpy(second, in_folder("second"));
        assert_ok(sg_model_write(m, first, &err), err);
        assert_ok(sg_model_read(&back, first, &err), err);
        assert_ok(sg_model_write(back, second, &err), err);
        assert_ok(sg_read_file(&x, &nx, first, 1 << 20, &err), err);
        assert_ok(sg_read_file(&y, &ny, second, 1 << 20, &err), err);
        assert_int_equal(nx, ny);
        assert_memory_equal(x, y, nx);
        assert_int_equal(nx % 4, 0);
        assert_memory_equal(model_block(m), model_block(back), model_block_size(m) * sizeof(float));
        assert_ok(sg_model_sha256(m, a), err);
        assert_ok(sg_model_sha256(back, b), err);
        assert_string_equal(a, b);
        assert_string_equal(sg_model_meta(back, "init_range"), "0.5");
        assert_int_equal(sg_vocab_count(sg_model_vocab(back), 3), 5);
        assert_string_equal(sg_vocab_word(sg_model_vocab(back), 5), "back\\slash");
        model_block(back)[0] += 1;
        assert_ok(sg_model_sha256(back, b), err);
        assert_string_not_equal(a, b);
        sg_free(x), sg_free(y);
        sg_model_free(m), sg_model_free(back);
        unlink(first), unlink(second);
    }
}

static void put_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    sg_error err;
    sg_model *m = small_model(SG_CELL_LSTM, 1, false), *back;
    char path[128], *x;
    size_t n;
    strcpy(path, in_folder("cut"));
    assert_ok(sg_model_write(m, path, &err), err);
    assert_ok(sg_read_file(&x, &n, path, 1 << 20, &err), err);
    for (size_t k = 0; k < n; k++) {
        put_file(path, x, k);
        assert_int_equal(sg_model_read(&back, path, &err), SG_EFORMAT);
        assert_null(back);
        assert_non_null(strstr(err.msg, path));
    }
    /* a byte changed anywhere never crashes, and what loads is finite */
    for (size_t k = 0; k < n; k++) {
        x[k] ^= 0x41;
        put_file(path, x, n);
        if (sg_model_read(&back, path, &err) == SG_OK)
            sg_model_free(back);
        else
            assert_null(back);
        x[k] ^= 0x41;
    }
    unlink(path);
    sg_free(x);
    sg_model_free(m);
}

static void nan_in_a_tensor_is_named(void **state)
{
    (void)state;
    sg_error err;
    sg_model *m = small_model(SG_CELL_TANH, 1, false), *back;
    sg_model_find(m, "rnn.weight_hh_l0")->data[5] = NAN;
    char path[128];
    strcpy(path, in_folder("nan"));
    assert_ok(sg_model_write(m, path, &err), err);
    assert_int_equal(sg_model_read(&back, path, &err), SG_ENONFINITE);
    assert_non_null(strstr(err.msg, "rnn.weight_hh_l0[5]"));
    unlink(path);
    sg_model_free(m);
}

static sg_status read_header(const char *header, size_t data)
{
    static char file[8192];
    sg_error err;
    sg_model *m;
    uint64_t n = strlen(header);
    memset(file, 0, sizeof file);
    memcpy(file, &n, sizeof n);
    memcpy(file + 8, header, n);
    put_file(in_folder("hostile"), file, 8 + n + data);
    sg_status st = sg_model_read(&m, in_folder("hostile"), &err);
    assert_null(m);
    assert_non_null(strstr(err.msg, "hostile"));
    unlink(in_folder("hostile"));
    return st;
}

#define META "\"__metadata__\":{\"format\":\"stategrad-model\",\"cell\":\"rnn\"}"
#define RNN                                                                                                  \
    "\"rnn.weight_hh_l0\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]},"                       \
    "\"rnn.weight_ih_l0\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[4,8]}"

static void hostile_headers_are_refused(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{}",
        "[]",
        "{\"a\":1}",
        "{" META "}",
        "nonsense",
        "{" META "," RNN "}", /* biases missing */
        "{" META "," RNN ",\"rnn.weight_ih_l0\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[4,8]}}",
        "{" META
        ",\"x\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4294967296],\"data_offsets\":[0,8]}}",
        "{" META ",\"x\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,8]}}",
        "{" META ",\"x\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[8,4]}}",
        "{" META ",\"x\":{\"dtype\":\"Q9\",\"shape\":[2],\"data_offsets\":[0,8]}}",
        "{" META ",\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9223372036854775807]}}",
        "{" META ",\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
        "\"y\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
        "{\"__metadata__\":{\"format\":3}}",
        "{\"__metadata__\":[]}",
        "{" META ",\"rnn.weight_hh_l0\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]}}",
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        assert_int_equal(read_header(headers[i], 8), SG_EFORMAT);
    assert_int_equal(read_header("{" META "," RNN "}", 4), SG_EFORMAT);
    assert_int_equal(read_header("{" META "," RNN "}", 12), SG_EFORMAT);
}

static void forward_in_chunks_is_forward_at_once(void **state)
{
    (void)state;
    static const int32_t ids[] = {2, 3, 1, 0, 7, 6, 5, 4, 2, 2};
    static const bool first[] = {true, false, false, true, false, false, false, true, false, false};
    for (size_t k = 0; k < sg_cell_count(); k++)
        for (int reset = 0; reset < 2; reset++) {
            sg_error err;
            sg_model *m = small_model((sg_cell)k, 2, false);
            sg_forward *whole, *parts;
            assert_ok(forward_new(&whole, m, 10, &err), err);
            assert_ok(forward_new(&parts, m, 4, &err), err);
            assert_ok(forward_run(whole, ids, NULL, reset ? first : NULL, 10, &err), err);
            for (size_t t = 0; t < 10;) {
                size_t n = 10 - t < 3 ? 10 - t : 3;
                assert_ok(forward_run(parts, ids + t, NULL, reset ? first + t : NULL, n, &err), err);
                float saved[64];
                assert_true(forward_state_size(parts) <= 64);
                forward_get_state(parts, saved);
                for (size_t i = 0; i < n; i++)
                    for (size_t l = 0; l < 2; l++) {
                        size_t H = sg_model_get_shape(m)->hidden[l];
                        for (size_t j = 0; j < H; j++) {
                            assert_close(sg_forward_state(parts, l, SG_STATE_HIDDEN, i)[j],
                                         sg_forward_state(whole, l, SG_STATE_HIDDEN, t + i)[j], 1e-6, 1e-2,
                                         "hidden", t + i);
                            if (sg_cell_states(sg_model_get_shape(m)->cell) == SG_STATE_BOTH)
                                assert_close(sg_forward_state(parts, l, SG_STATE_CELL, i)[j],
                                             sg_forward_state(whole, l, SG_STATE_CELL, t + i)[j], 1e-6, 1e-2,
                                             "cell", t + i);
                        }
                    }
                forward_reset(parts);
                forward_set_state(parts, saved);
                t += n;
            }
            assert_int_equal(forward_run(whole, (const int32_t[]){8}, NULL, NULL, 1, &err), SG_EINVAL);
            forward_free(whole), forward_free(parts);
            sg_model_free(m);
        }
}

static void constructors_survive_failing_allocation(void **state)
{
    (void)state;
    sg_error err;
    sg_model *m = small_model(SG_CELL_LSTM, 2, true), *copy;
    sg_forward *f;
    char path[128];
    strcpy(path, in_folder("alloc"));
    assert_ok(sg_model_write(m, path, &err), err);
    long live = sg_alloc_live();
    for (int what = 0; what < 4; what++)
        for (long n = 0;; n++) {
            copy = NULL, f = NULL;
            sg_alloc_fail_after(n);
            sg_status st = what == 0   ? sg_model_new(&copy, sg_model_get_shape(m), sg_model_vocab(m), &err)
                           : what == 1 ? sg_model_read(&copy, path, &err)
                           : what == 2 ? forward_new(&f, m, 3, &err)
                                       : sg_model_new_untrained(&copy, m, 1, &err);
            sg_alloc_fail_after(-1);
            if (st == SG_OK) {
                sg_model_free(copy);
                forward_free(f);
                assert_true(n > 3);
                break;
            }
            assert_int_equal(st, SG_ENOMEM);
            assert_null(copy);
            assert_null(f);
            assert_int_equal(sg_alloc_live(), live);
            assert_true(n < 1000);
        }
    assert_int_equal(sg_alloc_live(), live);
    unlink(path);
    sg_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_pytorchs),
        cmocka_unit_test(shapes_that_make_no_sense_are_refused),
        cmocka_unit_test(save_then_load_is_identity),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(nan_in_a_tensor_is_named),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(forward_in_chunks_is_forward_at_once),
        cmocka_unit_test(constructors_survive_failing_allocation),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
