/* SPDX-License-Identifier: MIT */
/* The table of settings of training: every field has its row; defaults, ranges, texts, and which settings
 * decide the weights. */
#include "helpers/test_util.h"

#include "train/settings.h"

static sg_train_config defaults(void)
{
    sg_train_config cfg;
    sg_train_defaults(&cfg);
    return cfg;
}

static sg_model_shape shape(void)
{
    return (sg_model_shape){.layers = 1, .embedding = 3, .hidden = {4}, .vocabulary = 5, .has_decoder = true};
}

/* A text that is not the default. */
static const char *other(const sg_setting *s)
{
    return !strcmp(s->values, "yes|no")     ? "yes"
           : !strcmp(s->values, "sgd|adam") ? "sgd"
           : !strcmp(s->values, "mean|sum") ? "sum"
           : s->type == SG_SETTING_TEXT     ? "file"
           : s->type == SG_SETTING_REAL     ? "0.125"
                                            : "3";
}

/* Each row changes its own field and nothing else, and every field of the header has a row. */
static void each_setting_has_a_field_of_its_own(void **state)
{
    const sg_train_config usual = defaults();
    char taken[sizeof usual] = {0};
    for (size_t i = 0; sg_train_setting(i); i++) {
        const sg_setting *s = sg_train_setting(i);
        sg_error err = {""};
        sg_train_config cfg = usual;
        assert_ok(sg_train_set(&cfg, s->name, other(s), &err), err);
        size_t changed = 0;
        for (size_t k = 0; k < sizeof cfg; k++)
            if (((const char *)&cfg)[k] != ((const char *)&usual)[k]) {
                assert_true(k >= s->offset && k < s->offset + sizeof(double));
                assert_int_equal(taken[k], 0);
                changed++;
            }
        assert_in_range(changed, 1, sizeof(double));
        taken[s->offset] = 1;
    }
    const size_t fields[] = {offsetof(sg_train_config, steps),
                             offsetof(sg_train_config, batch),
                             offsetof(sg_train_config, epochs),
                             offsetof(sg_train_config, patience),
                             offsetof(sg_train_config, min_delta),
                             offsetof(sg_train_config, optimizer),
                             offsetof(sg_train_config, loss_scale),
                             offsetof(sg_train_config, lr),
                             offsetof(sg_train_config, lr_decay),
                             offsetof(sg_train_config, decay_after),
                             offsetof(sg_train_config, clip),
                             offsetof(sg_train_config, dropout),
                             offsetof(sg_train_config, init),
                             offsetof(sg_train_config, seed),
                             offsetof(sg_train_config, embeddings),
                             offsetof(sg_train_config, freeze_embeddings),
                             offsetof(sg_train_config, threads),
                             offsetof(sg_train_config, log_path),
                             offsetof(sg_train_config, checkpoint),
                             offsetof(sg_train_config, checkpoint_minutes),
                             offsetof(sg_train_config, resume)};
    for (size_t k = 0; k < sizeof fields / sizeof *fields; k++)
        assert_int_equal(taken[fields[k]], 1);
}

static void defaults_are_those_of_the_header(void **state)
{
    const sg_train_config c = defaults();
    assert_true(c.steps == 50 && c.batch == 20 && c.epochs == 10 && c.patience == 0 && c.min_delta == 0 && c.seed == 1);
    assert_true(c.optimizer == SG_ADAM && c.loss_scale == SG_LOSS_MEAN && c.decay_after == 2);
    assert_true(c.lr == 0.004 && c.clip == 0.25 && c.lr_decay == 0.7 && c.dropout == 0.35 && c.init == 0.05);
    assert_true(!c.resume && !c.freeze_embeddings && !c.embeddings && !c.checkpoint && !c.log_path);
    assert_true(c.checkpoint_minutes == 10 && c.threads == 0);
}

/* Both ends of a range are taken, what is beyond is refused by name. */
static void ranges(void **state)
{
    const sg_model_shape s = shape();
    size_t seen = 0;
    for (size_t i = 0; sg_train_setting(i); i++) {
        const sg_setting *x = sg_train_setting(i);
        if (x->type != SG_SETTING_REAL)
            continue;
        sg_error err = {""};
        char named[64];
        snprintf(named, sizeof named, "setting '%s'", x->name);
        const double wrong[] = {x->most * 1.001, x->least > 0 ? x->least / 2 : -1, NAN, INFINITY};
        sg_train_config cfg = defaults();
        double *at = (double *)((char *)&cfg + x->offset);
        *at = x->least;
        assert_ok(sg_train_check(&cfg, &s, &err), err);
        *at = x->most;
        assert_ok(sg_train_check(&cfg, &s, &err), err);
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
            *at = wrong[k];
            assert_int_equal(sg_train_check(&cfg, &s, &err), SG_EINVAL);
            assert_non_null(strstr(err.msg, named));
        }
        seen++;
    }
    assert_in_range(seen, 5, 20);
}

static void words(void **state)
{
    const sg_model_shape s = shape();
    sg_error err = {""};
    sg_train_config cfg = defaults();
    assert_int_equal(sg_train_set(&cfg, "optimizer", "adamw", &err), SG_EINVAL);
    assert_non_null(strstr(err.msg, "setting 'optimizer': expected sgd or adam, found 'adamw'"));
    assert_int_equal(sg_train_set(&cfg, "burn_in", "1", &err), SG_EINVAL);
    assert_non_null(strstr(err.msg, "burn_in is not a setting of training"));
    assert_int_equal(sg_train_set(&cfg, "epochs", "2.5", &err), SG_EINVAL);
    cfg.optimizer = (sg_optimizer)7;
    assert_int_equal(sg_train_check(&cfg, &s, &err), SG_EINVAL);
    assert_non_null(strstr(err.msg, "setting 'optimizer'"));
}

/* What continues a training must not differ; what may differ is named here. */
static void identity(void **state)
{
    static const char *const free_to_differ[] = {"epochs",    "checkpoint",         "resume",
                                                 "threads",   "checkpoint_minutes", "log",
                                                 "embeddings" /* by its hash */};
    char usual[1000] = "", changed[1000];
    const sg_train_config first = defaults();
    train_settings_describe(&first, usual, sizeof usual);
    for (size_t i = 0; sg_train_setting(i); i++) {
        const sg_setting *s = sg_train_setting(i);
        bool may = false;
        for (size_t k = 0; k < sizeof free_to_differ / sizeof *free_to_differ; k++)
            may |= !strcmp(s->name, free_to_differ[k]);
        sg_error err = {""};
        sg_train_config cfg = first;
        assert_ok(sg_train_set(&cfg, s->name, other(s), &err), err);
        changed[0] = 0;
        train_settings_describe(&cfg, changed, sizeof changed);
        assert_int_equal(strcmp(usual, changed) == 0, may);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_setting_has_a_field_of_its_own),
        cmocka_unit_test(defaults_are_those_of_the_header),
        cmocka_unit_test(ranges),
        cmocka_unit_test(words),
        cmocka_unit_test(identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
