/* SPDX-License-Identifier: MIT */
/* stategrad report - runs as a page to read, or as figures for papers. */
#include "cli.h"

#include "stategrad/report.h"

#include <stdlib.h>

static sg_status write_all(const char *html, const char *figures, sg_run *const *runs,
                           const char *const *paths, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    size_t written;
    if (html)
        st = sg_report_write(html, runs, paths, n, err);
    if (st == SG_OK && figures && (st = sg_report_figures(figures, runs, paths, n, &written, err)) == SG_OK)
        printf("%s: %zu file%s\n", figures, written, PLURAL(written));
    return st;
}

static int run(int argc, char **argv)
{
    const char *html = NULL, *figures = NULL;
    const option table[] = {
        {"output", 'o', OPT_STRING, &html, "FILE", "the page to write; -: standard output", 0, 0},
        {"figures", 0, OPT_STRING, &figures, "DIR", "write each chart as SVG and PDF into this folder", 0, 0},
        END_OF_OPTIONS,
    };
    int code = parse_options(&cmd_report, table, &argc, argv, 1, 0);
    if (code >= 0)
        return code;
    if (!html && !figures)
        return misuse("report: nothing to write: give -o REPORT.html, or --figures DIR");
    const char *const *paths = (const char *const *)argv;
    if (html && (code = refuse_overwriting(html, paths, (size_t)argc)) >= 0)
        return code;
    sg_error err = {""};
    sg_status st = SG_OK;
    size_t n = 0;
    sg_run **runs = calloc((size_t)argc, sizeof *runs);
    if (!runs)
        st = SG_ENOMEM, snprintf(err.msg, sizeof err.msg, "report: no memory for %d runs", argc);
    for (; st == SG_OK && n < (size_t)argc; n++)
        st = sg_run_open(&runs[n], argv[n], &err);
    if (st == SG_OK)
        st = write_all(html, figures, runs, paths, n, &err);
    for (size_t i = 0; i < n; i++)
        sg_run_close(runs[i]);
    free(runs);
    return st == SG_OK ? EXIT_DONE : fail(st, &err);
}

const command cmd_report = {
    .name = "report",
    .operands = "RUN.nc...",
    .summary = "one self-contained page with charts and tables of one or several runs",
    .about = "Writes one HTML file that needs neither network nor server. Several runs are shown side by "
             "side and overlaid, on the same axes. --figures writes the charts as SVG and PDF for papers.",
    .examples = "stategrad report run.nc -o report.html\n"
                "stategrad report lstm.nc gru.nc -o both.html --figures figures",
    .run = run,
};
