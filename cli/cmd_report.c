/* SPDX-License-Identifier: MIT */
/* stategrad report - runs as a page to read. */
#include "cli.h"

#include "stategrad/report.h"

#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv)
{
    const char *html = NULL;
    option_list given = {0};
    run_selection s = {0};
    const option table[] = {
        {"output", 'o', OPT_STRING, &html, "FILE", "the page to write; -: standard output", 0, 0},
        {"group", 'g', OPT_LIST, &given, "NAME=RUN.nc,RUN.nc,...",
         "several trained models of one architecture: means, and intervals over models (repeatable)", 0, 0},
        END_OF_OPTIONS,
    };
    int code = parse_options(&cmd_report, table, &argc, argv, 0, 0);
    if (code < 0 && !html)
        code = misuse("report: nothing to write: give -o REPORT.html");
    if (code < 0)
        code = select_runs(&s, "report", &given, argv, (size_t)argc);
    if (code < 0 && !s.n)
        code = misuse("report: a run is missing: stategrad report RUN.nc -o REPORT.html");
    if (code < 0)
        code = refuse_unwritable(html);
    if (code < 0)
        code = refuse_overwriting(html, s.paths, s.n);
    if (code < 0) {
        sg_error err = {""};
        sg_status st = open_runs(&s, &err);
        if (st == SG_OK)
            st = sg_report_write(html, s.runs, s.paths, s.groups, s.n, &err);
        code = st == SG_OK ? EXIT_DONE : fail(st, &err);
    }
    run_selection_free(&s);
    option_list_free(&given);
    return code;
}

const command cmd_report = {
    .name = "report",
    .operands = "[RUN.nc...]",
    .summary = "one self-contained page with charts and tables of one or several runs",
    .about =
        "Writes one HTML file that needs neither network nor server. Several runs are shown side by "
        "side and overlaid, on the same axes. Each chart has buttons that save it as SVG, PNG or CSV.\n\n"
        "One trained model is a sample of size one: statements about an architecture need several, with different seeds. "
        "--group combines them: the mean over the models with two intervals, over models (of the mean "
        "over training runs) and over blocks (of the mean over texts of this kind).",
    .examples =
        "stategrad report run.nc -o report.html\n"
        "stategrad report lstm.nc gru.nc -o both.html\n"
        "stategrad report --group lstm=lstm1.nc,lstm2.nc,lstm3.nc --group gru=gru1.nc,gru2.nc,gru3.nc -o groups.html",
    .run = run,
};
