/* SPDX-License-Identifier: MIT */
/* stategrad synth - corpora with a known memory demand. */
#include "cli.h"
#include "stategrad/synth.h"

#include <string.h>

static bool is_chosen(const char *kinds, sg_synth_kind k)
{
    return !strcmp(kinds, "all") || !strcmp(kinds, sg_synth_name(k));
}

static int run(int argc, char **argv)
{
    sg_synth_config cfg;
    sg_synth_defaults(&cfg);
    const char *folder = NULL, *kind = "all";
    bool quiet = false;
    const option table[] = {
        {"output", 'o', OPT_STRING, &folder, "DIR", "output folder: each kind gets a subfolder of its name",
         0, 0},
        {"kind", 0, OPT_STRING, &kind, "copy|agreement|variance|independent|latch|all", "which corpora", 0,
         0},
        {"tokens", 0, OPT_U64, &cfg.tokens, "N",
         "tokens of train.txt; valid.txt and test.txt have a tenth each", 100, 1e12},
        {"distance", 0, OPT_SIZE, &cfg.distance, "K",
         "tokens to remember (default: 4; variance: 3; latch: half a line, 100)", 1, 100},
        {"seed", 0, OPT_U64, &cfg.seed, "N", "seed of the random numbers", 0, 0},
        QUIET_OPTION(quiet),
        END_OF_OPTIONS,
    };
    int stop = parse_options(&cmd_synth, table, &argc, argv, 0, 0);
    if (stop >= 0)
        return stop;
    if (argc > 0)
        return misuse("synth: unexpected operand '%s'", argv[0]);
    if (!folder)
        return misuse("synth: the output folder is missing: -o DIR");
    if (!strcmp(folder, "-"))
        return misuse("synth: --output: expected a folder, found '-'");
    progress_line line;
    const sg_monitor monitor = progress_monitor(&line, quiet);
    cfg.monitor = &monitor;
    sg_error err = {0};
    bool known = false;
    for (sg_synth_kind k = 0; k < SG_SYNTH_KINDS; k++) {
        if (!is_chosen(kind, k))
            continue;
        known = true;
        sg_status st = sg_synth_check(folder, k, &cfg, &err); /* of all kinds before the first is made */
        if (st != SG_OK)
            return fail(st, &err);
    }
    if (!known)
        return misuse(
            "synth: --kind: expected copy, agreement, variance, independent, latch or all, found '%s'", kind);
    for (sg_synth_kind k = 0; k < SG_SYNTH_KINDS; k++) {
        if (!is_chosen(kind, k))
            continue;
        sg_status st = sg_synth_write(folder, k, &cfg, &err);
        progress_done(&line);
        if (st != SG_OK)
            return fail(st, &err);
        if (!quiet)
            printf("%s/%s: %s\n", shown(folder), sg_synth_name(k), sg_synth_summary(k));
    }
    return EXIT_DONE;
}

const command cmd_synth = {
    .name = "synth",
    .operands = "-o DIR",
    .summary = "corpora with a known memory demand, for validation",
    .about =
        "Writes corpora whose memory demand is known by construction, to validate an analysis:\n"
        "  copy         a word of class SRC is echoed exactly K tokens later; FILL\n"
        "               words carry no information. SRC is needed up to\n"
        "               delay K-1, FILL never\n"
        "  agreement    the number of a noun (NN, NNS) decides its verb after\n"
        "               1 .. K adverbs: the property number is needed up to the verb\n"
        "               and not after it\n"
        "  variance     three binary features; wide and narrow are of equal use, but\n"
        "               narrow varies 8 times less in the embeddings\n"
        "               (embeddings.txt: train --embeddings FILE\n"
        "               --freeze-embeddings), weak is as small and of less use:\n"
        "               only --normalize covariance ranks wide and narrow above weak\n"
        "  independent  words are drawn independently: no memory is needed,\n"
        "               classes A and B do not differ\n"
        "  latch        saturated gates store one bit indefinitely, in a model written\n"
        "               with the corpus: replacing the word moves the cell by 2\n"
        "               at every delay, while the gradient is almost 0\n"
        "Each has train.txt, valid.txt and test.txt (word/tag: --format tagged), words.txt (--classes words:FILE), "
        "and a README that states what is true, the entropy (the lowest possible loss), and the commands to run.",
    .examples = "stategrad synth -o synth && cat synth/copy/README",
    .run = run,
};
