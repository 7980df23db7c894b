/* SPDX-License-Identifier: MIT */
/* The table of settings: texts, ranges, and which of them decide what a run file holds. */
#include "helpers/test_util.h"

#include "analysis/settings.h"

static sg_analysis_config defaults(void)
{
    sg_analysis_config cfg;
    sg_analysis_defaults(&cfg, NULL);
    return cfg;
}

static void set(sg_analysis_config *cfg, const char *name, const char *value)
{
    sg_error err = {""};
    assert_ok(sg_analysis_set(cfg, name, value, &err), err);
}

/* The number of a setting, through its offset in the public struct. */
static double number(const sg_analysis_config *cfg, const sg_setting *s)
{
    const char *at = (const char *)cfg + s->offset;
    return s->type == SG_SETTING_REAL ? *(const double *)at : (double)*(const size_t *)at;
}

static void defaults_lie_in_their_ranges(void **state)
{
    sg_error err = {""};
    const sg_analysis_config cfg = defaults();
    assert_ok(settings_check_ranges(&cfg, &err), err);
    assert_int_equal(cfg.delays, 50);
    assert_int_equal(cfg.blocks, 20);
    assert_true(cfg.normalize && cfg.handling == SG_CARRY && cfg.documents == SG_DOCUMENTS_AUTO);
}

/* Both ends of a range are taken, what lies beyond is refused by name. */
static void ranges(void **state)
{
    size_t seen = 0;
    for (size_t i = 0; sg_analysis_setting(i); i++) {
        const sg_setting *s = sg_analysis_setting(i);
        if (s->type != SG_SETTING_REAL || !(s->least < s->most))
            continue;
        sg_error err = {""};
        sg_analysis_config cfg = defaults();
        double *at = (double *)((char *)&cfg + s->offset);
        *at = s->most;
        assert_ok(settings_check_ranges(&cfg, &err), err);
        *at = s->most * 1.001 + 1;
        assert_int_equal(settings_check_ranges(&cfg, &err), SG_EINVAL);
        char named[64];
        snprintf(named, sizeof named, "setting '%s'", s->name);
        assert_non_null(strstr(err.msg, named));
        *at = NAN;
        assert_int_equal(settings_check_ranges(&cfg, &err), SG_EINVAL);
        seen++;
    }
    assert_in_range(seen, 3, 20);
}

static void texts(void **state)
{
    sg_analysis_config cfg = defaults();
    set(&cfg, "delays", "7");
    set(&cfg, "state_handling", "window:20");
    set(&cfg, "part", "2/8");
    set(&cfg, "ridge", "0.25");
    set(&cfg, "normalize", "none");
    set(&cfg, "replace", "none");
    set(&cfg, "layer", "all");
    assert_int_equal(cfg.delays, 7);
    assert_true(cfg.handling == SG_WINDOW && cfg.window == 20);
    assert_true(cfg.part == 2 && cfg.parts == 8);
    assert_true(cfg.ridge == 0.25);
    assert_true(!cfg.normalize && cfg.replace == SG_REPLACE_NONE && cfg.layer == SG_ALL_LAYERS);
    static const char *const wrong[][2] = {{"delays", "seven"},  {"delays", "-1"},
                                           {"normalize", "yes"}, {"part", "2"},
                                           {"ridge", "0.25x"},   {"state_handling", "window:"},
                                           {"delays", ""},       {"no_such", "1"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sg_error err = {""};
        const sg_analysis_config before = cfg;
        if (sg_analysis_set(&cfg, wrong[i][0], wrong[i][1], &err) != SG_EINVAL)
            fail_msg("%s=%s was taken", wrong[i][0], wrong[i][1]);
        assert_non_null(strstr(err.msg, wrong[i][0]));
        assert_int_equal(before.delays, cfg.delays);
    }
}

static bool decides(const char *name, const char *value, bool with_part)
{
    char before[8192] = "", after[8192] = "";
    sg_analysis_config cfg = defaults();
    settings_identity(&cfg, with_part, before, sizeof before);
    set(&cfg, name, value);
    settings_identity(&cfg, with_part, after, sizeof after);
    return strcmp(before, after) != 0;
}

/* What changes a number of the run file changes the identity; threads, checkpoints and tables do not. */
static void identity(void **state)
{
    static const char *const yes[][2] = {{"delays", "9"},     {"seed", "7"},    {"ridge", "0.5"},
                                         {"blocks", "11"},    {"burn_in", "3"}, {"normalize", "none"},
                                         {"replace", "none"}, {"sample", "99"}, {"documents", "none"}};
    static const char *const no[][2] = {{"threads", "3"},
                                        {"checkpoint", "x"},
                                        {"checkpoint_minutes", "1"},
                                        {"csv", "x"},
                                        {"csv_style", "spreadsheet"}};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!decides(yes[i][0], yes[i][1], false))
            fail_msg("%s does not change the identity", yes[i][0]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (decides(no[i][0], no[i][1], true))
            fail_msg("%s changes the identity", no[i][0]);
    assert_true(decides("part", "1/2", true) && !decides("part", "1/2", false));
}

/* Every default in the table is the text of what sg_analysis_defaults sets. */
static void defaults_are_those_of_the_table(void **state)
{
    const sg_analysis_config want = defaults();
    for (size_t i = 0; sg_analysis_setting(i); i++) {
        const sg_setting *s = sg_analysis_setting(i);
        if (s->type == SG_SETTING_TEXT || s->type == SG_SETTING_WORD || !s->fallback ||
            !strcmp(s->fallback, "0")) /* 0 stands for "off" or "chosen": no text is its own */
            continue;
        sg_analysis_config cfg = defaults();
        set(&cfg, s->name, s->fallback);
        if (number(&cfg, s) != number(&want, s))
            fail_msg("%s: %s is not its default", s->name, s->fallback);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_lie_in_their_ranges),
        cmocka_unit_test(ranges),
        cmocka_unit_test(texts),
        cmocka_unit_test(identity),
        cmocka_unit_test(defaults_are_those_of_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
