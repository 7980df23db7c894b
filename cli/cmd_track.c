/* SPDX-License-Identifier: MIT */
/* stategrad track - further properties on a finished run. */
#include "cli.h"

#include "stategrad/analysis.h"
#include "stategrad/run.h"

#include <math.h>
#include <string.h>

static void print_new(const char *path, size_t n)
{
    sg_run *r;
    if (sg_run_open(&r, path, NULL) != SG_OK)
        return;
    for (size_t p = sg_run_properties(r) - n; p < sg_run_properties(r); p++)
        for (size_t g = 0; g < sg_run_groups(r); g++)
            if (strncmp(sg_run_group_name(r, g), "untrained.", 10))
                print_property(r, sg_run_group_name(r, g), p);
    sg_run_close(r);
}

static int run(int argc, char **argv)
{
    const char *output = NULL, *csv = NULL;
    bool quiet = false;
    int threads = 0, style = SG_CSV_PLAIN;
    option_list given = {0};
    sg_property *properties = NULL;
    const option table[] = {
        {"property", 'p', OPT_LIST, &given, "NAME=A-B",
         "classes, word lists or files of words; or NAME=PAIRS, NAME=VECTOR.npy (repeatable)", 0, 0},
        {"output", 'o', OPT_STRING, &output, "RUN.nc", "write to another file instead of adding to RUN.nc", 0,
         0},
        {"csv", 0, OPT_STRING, &csv, "FILE",
         "also write the run as a tidy table; -: on standard output, in place of the summary", 0, 0},
        {"csv-style", 0, OPT_CHOICE, &style, CSV_STYLES, CSV_STYLE_HELP, 0, 0},
        {"threads", 't', OPT_THREADS, &threads, "N", "number of threads (default: all cores)", 0, 1024},
        QUIET_OPTION(quiet),
        END_OF_OPTIONS,
    };
    int code = parse_options(&cmd_track, table, &argc, argv, 1, 1);
    if (code < 0 && !given.n)
        code = misuse("track: a property is missing: --property NAME=A-B");
    if (code < 0)
        code = refuse_stdout(output);
    if (code < 0)
        code = refuse_unwritable(output);
    if (code < 0)
        code = refuse_unwritable(csv);
    if (code < 0)
        code = refuse_overwriting(csv, (const char *const *)argv, 1);
    if (code < 0)
        code = refuse_overwriting(csv, &output, 1);
    if (code < 0)
        code = refuse_overwriting_parts(output, &given);
    if (code < 0)
        code = refuse_overwriting_parts(csv, &given);
    if (code < 0)
        code = read_properties(&given, &properties);
    if (code < 0) {
        sg_error err = {""};
        progress_line line;
        sg_monitor monitor = progress_monitor(&line, quiet);
        const char *target = output ? output : argv[0];
        sg_status st = sg_track(argv[0], target, properties, given.n, threads, &monitor, &err);
        if (st == SG_OK && csv)
            st = sg_run_write_csv(target, csv, (sg_csv_style)style, &err);
        progress_done(&line);
        if (st == SG_OK && !quiet && !(csv && !strcmp(csv, "-")))
            print_new(target, given.n);
        code = st == SG_OK ? EXIT_DONE : fail(st, &err);
        if (st == SG_ECANCELLED && interrupted())
            code = 128 + interrupted();
    }
    free_properties(properties);
    option_list_free(&given);
    return code;
}

const command cmd_track = {
    .name = "track",
    .operands = "RUN.nc",
    .summary = "add properties to a finished run",
    .about =
        "A property is a direction in the embedding space, such as plural - singular nouns. Adds the "
        "gain along it with its half-life, the gain relative to sigma_1 (relative memory) and the cosine to "
        "the leading directions to the run file, computed from the stored mean gradients without another "
        "pass over the corpus.",
    .examples = "stategrad track run.nc --property number=NNS-NN --property animacy=pairs.txt",
    .run = run,
};
