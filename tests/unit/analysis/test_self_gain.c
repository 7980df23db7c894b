/* SPDX-License-Identifier: MIT */
/* Self gains of single units: an analysis that is stopped while it follows them goes on to the same numbers.
 * (Which numbers: tests/against/self_gain.py.) */
#include "helpers/small_run.h"

typedef struct {
    size_t rounds, stop_at; /* ticks of the pass so far; the one that stops, from 1; 0: none */
} watcher;

static bool tick(void *ctx, const sg_progress *now)
{
    watcher *w = ctx;
    if (strcmp(now->what, "following single units"))
        return true;
    assert_true(now->done > 0 && now->done <= now->total && now->total == 2. * TOKENS);
    return ++w->rounds != w->stop_at;
}

static void stopped_anywhere(void **state)
{
    (void)state;
    small_run s;
    watcher all = {0};
    sg_error err = {""};
    char path[300], checkpoint[300];
    size_t stops = 0;
    small_run_new(&s, "even", "third");
    s.cfg.units = true, s.cfg.untrained_baseline = true, s.cfg.replace = SG_REPLACE_NONE;
    snprintf(path, sizeof path, "%s/resumed.nc", tmp.folder);
    snprintf(checkpoint, sizeof checkpoint, "%s/c", tmp.folder);
    sg_run *whole = opened(small_run_write(&s, "whole.nc"));
    const sg_monitor monitor = {.tick = tick, .ctx = &all};
    assert_ok(sg_analyze(path, s.model, s.stream, s.classes, &s.cfg, &monitor, &err), err);
    assert_true(all.rounds > 4);
    s.cfg.checkpoint = checkpoint, s.cfg.checkpoint_minutes = 1e-9;
    for (watcher w = {.stop_at = 1};; w.stop_at = 1 + stops % 2) { /* at the first, or after one more round */
        w.rounds = 0;
        const sg_monitor stopping = {.tick = tick, .ctx = &w};
        sg_status st = sg_analyze(path, s.model, s.stream, s.classes, &s.cfg, &stopping, &err);
        if (st == SG_OK)
            break;
        assert_int_equal(st, SG_ECANCELLED);
        stops++;
        assert_true(stops < 2 * all.rounds); /* it gets on */
    }
    assert_true(stops > 3);
    sg_run *resumed = opened(path);
    assert_true(assert_same_groups(whole, resumed, 0) > 2 * 60);
    sg_run_close(whole), sg_run_close(resumed);
    small_run_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stopped_anywhere)};
    return cmocka_run_group_tests_name("self gains", tests, set_up, tear_down);
}
