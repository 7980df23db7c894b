/* SPDX-License-Identifier: MIT */
/* What every public header leans on: text to a caller's function, configurations that grow. */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "stategrad/train.h"

typedef struct {
    char text[64];
    size_t n, room;
} sink;

static bool put(void *ctx, const char *text, size_t n)
{
    sink *s = ctx;
    if (n > s->room - s->n)
        return false;
    memcpy(s->text + s->n, text, n);
    s->n += n;
    return true;
}

static void a_writer_gets_the_text(void **state)
{
    (void)state;
    sg_error err = {""};
    for (size_t room = 0; room <= 12; room++) {
        sink s = {.room = room};
        const sg_writer to = {put, &s};
        FILE *f;
        assert_ok(writer_open(&f, &to, &err), err);
        fprintf(f, "%s %d", "hello", 12345);
        assert_int_equal(writer_close(f, &err), room < 11 ? SG_EIO : SG_OK);
        if (room >= 11)
            assert_memory_equal(s.text, "hello 12345", 11);
    }
    FILE *f;
    assert_int_equal(writer_open(&f, &(sg_writer){0}, &err), SG_EINVAL);
    assert_null(f);
    assert_int_equal(writer_close(NULL, &err), SG_OK);
}

/* A program whose structure ends before the last fields: they are neither read nor written. */
static void an_older_structure_works(void **state)
{
    (void)state;
    sg_error err = {""};
    sg_train_config cfg, ours;
    const size_t older = offsetof(sg_train_config, checkpoint_minutes);
    memset(&cfg, 0xff, sizeof cfg);
    sg_train_defaults_sized(&cfg, older);
    sg_train_defaults(&ours);
    assert_int_equal(cfg.struct_size, older);
    assert_int_equal(ours.struct_size, sizeof ours);
    const unsigned char *beyond = (const unsigned char *)&cfg + older;
    for (size_t i = 0; i < sizeof cfg - older; i++)
        assert_int_equal(beyond[i], 0xff);
    assert_true(cfg.steps == ours.steps && cfg.lr == ours.lr && cfg.seed == ours.seed);
    sg_train_config taken = ours;
    assert_ptr_equal(config_take(&taken, sizeof taken, &cfg), &taken);
    assert_true(taken.checkpoint_minutes == ours.checkpoint_minutes && taken.resume == ours.resume);
    sg_model_shape shape = {.cell = SG_CELL_LSTM,
                            .layers = 1,
                            .embedding = 2,
                            .hidden = {2},
                            .vocabulary = 3,
                            .has_decoder = true};
    assert_ok(sg_train_check(&cfg, &shape, &err), err); /* 0xff... in checkpoint_minutes would be a NaN */
    cfg.steps = 0;
    assert_int_equal(sg_train_check(&cfg, &shape, &err), SG_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_writer_gets_the_text),
        cmocka_unit_test(an_older_structure_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
