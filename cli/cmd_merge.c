/* SPDX-License-Identifier: MIT */
/* stategrad merge - the parts of a run into one. */
#include "cli.h"

#include "stategrad/analysis.h"

#include <string.h>

static int run(int argc, char **argv)
{
    const char *output = NULL, *csv = NULL;
    bool quiet = false, ascii = false;
    int threads = 0, style = SG_CSV_PLAIN;
    const option table[] = {
        {"output", 'o', OPT_STRING, &output, "RUN.nc", "the whole run", 0, 0},
        {"csv", 0, OPT_STRING, &csv, "FILE",
         "also write a tidy table: state, class, delay, quantity, value, low, high; -: on standard output, in place of the summary",
         0, 0},
        {"csv-style", 0, OPT_CHOICE, &style, CSV_STYLES, CSV_STYLE_HELP, 0, 0},
        {"threads", 't', OPT_THREADS, &threads, "N",
         "number of threads (default: all cores); the result does not depend on it", 0, 1024},
        {"ascii", 0, OPT_FLAG, &ascii, NULL, "no Unicode in the summary", 0, 0},
        QUIET_OPTION(quiet),
        END_OF_OPTIONS,
    };
    int code = parse_options(&cmd_merge, table, &argc, argv, 1, 0);
    if (code < 0 && !output)
        code = misuse("merge: the run file's name is missing: -o RUN.nc");
    if (code < 0)
        code = refuse_stdout(output);
    if (code < 0)
        code = refuse_unwritable(output);
    if (code < 0)
        code = refuse_unwritable(csv);
    if (code < 0)
        code = refuse_overwriting(output, (const char *const *)argv, (size_t)argc);
    if (code < 0)
        code = refuse_overwriting(csv, (const char *const *)argv, (size_t)argc);
    if (code < 0)
        code = refuse_overwriting(csv, &output, 1);
    if (code >= 0)
        return code;
    sg_error err = {""};
    progress_line line;
    sg_monitor monitor = progress_monitor(&line, quiet);
    sg_status st = sg_merge(output, (const char *const *)argv, (size_t)argc, threads, &monitor, &err);
    if (st == SG_OK && csv)
        st = sg_run_write_csv(output, csv, (sg_csv_style)style, &err);
    progress_done(&line);
    if (st == SG_OK)
        return quiet || (csv && !strcmp(csv, "-")) ? EXIT_DONE : print_summary(output, ascii);
    code = fail(st, &err);
    return st == SG_ECANCELLED && interrupted() ? 128 + interrupted() : code;
}

const command cmd_merge = {
    .name = "merge",
    .operands = "PART.nc...",
    .summary = "join the parts of a run into one run",
    .about = "Joins all N files written by analyze --part I/N into the run file of a single analysis of "
             "the whole corpus, including the pairs across the cuts. Parts of another model, corpus or "
             "setting are refused.",
    .examples = "stategrad merge part1.nc part2.nc -o run.nc",
    .run = run,
};
