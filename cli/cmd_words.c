/* SPDX-License-Identifier: MIT */
/* stategrad words - the words at both ends of the strongest directions. */
#include "cli.h"

#include "stategrad/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* misuse: no such class; the message names one that may be meant, or those there are. */
static int unknown_class(const sg_run *r, const char *path, const char *class)
{
    enum { MOST = 512 };
    const char *all[MOST], *near;
    char names[400] = "";
    size_t used = 0, n = 0;
    for (size_t c = 0; c < sg_run_classes(r) && n < MOST; c++)
        all[n++] = sg_run_class_name(r, c);
    if ((near = sg_nearest_name(class, all, n)))
        return misuse("words: %s has no class '%s'; did you mean %s?", path, class, near);
    for (size_t c = 0; c < sg_run_classes(r) && used < sizeof names; c++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", c ? ", " : "",
                                 sg_run_class_name(r, c));
    return misuse("words: %s has no class '%s'; it has %s%s", path, class, names,
                  used < sizeof names ? "" : "...");
}

static int run(int argc, char **argv)
{
    sg_words_config cfg;
    sg_words_defaults(&cfg);
    const char *class = "all", *state = NULL;
    size_t layer = 0;
    bool json = false;
    const option table[] = {
        {"class", 0, OPT_STRING, &class, "NAME", "class of input words whose directions are shown", 0, 0},
        {"delay", 0, OPT_SIZE, &cfg.delay, "D", "default: 0", 0, 0},
        {"top", 'n', OPT_SIZE, &cfg.top, "N", "words at each end", 1, 1e6},
        {"directions", 'k', OPT_SIZE, &cfg.directions, "K", "the strongest K directions", 1, 1e6},
        {"min-count", 0, OPT_REAL, &cfg.min_count, "N",
         "only words seen at least N times in the analysed corpus", 0, 1e18},
        {"state", 's', OPT_STRING, &state, "cell|hidden", "default: the first in the file", 0, 0},
        {"layer", 'l', OPT_SIZE, &layer, "N", "1 is the lowest; default: the first in the file", 1, 1e6},
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON object on standard output", 0, 0},
        END_OF_OPTIONS,
    };
    int code = parse_options(&cmd_words, table, &argc, argv, 1, 1);
    if (code >= 0)
        return code;
    sg_error err = {""};
    sg_run *r = NULL;
    sg_status st = sg_run_open(&r, argv[0], &err);
    if (st != SG_OK)
        return fail(st, &err);
    for (cfg.class_index = 0; cfg.class_index < sg_run_classes(r); cfg.class_index++)
        if (!strcmp(sg_run_class_name(r, cfg.class_index), class))
            break;
    cfg.group = choose_state(r, state, layer);
    if (cfg.class_index == sg_run_classes(r))
        code = unknown_class(r, argv[0], class);
    else if (!cfg.group)
        code = no_such_state("words", r, argv[0], state, layer);
    else if (cfg.delay >= sg_run_delays(r))
        code = misuse("words: --delay %zu: %s has delays 0 .. %zu", cfg.delay, argv[0], sg_run_delays(r) - 1);
    else
        code = (st = sg_words_write(&standard_output, r, &cfg, json, &err)) == SG_OK ? EXIT_DONE
                                                                                     : fail(st, &err);
    sg_run_close(r);
    return code;
}

const command cmd_words = {
    .name = "words",
    .operands = "RUN.nc",
    .summary = "words at both ends of the strongest directions",
    .about = "For each of the strongest directions of a run: the words with the largest projections of "
             "their whitened embeddings at both ends, with their counts and classes in the analysed "
             "corpus, and the cosine of the direction with each class and property."
             " --class and --delay choose the gradients; the words are those of the whole vocabulary.",
    .examples = "stategrad words run.nc --class noun --delay 5 --top 8",
    .run = run,
};
