/* stategrad report - runs as a page to read, or as figures for papers. */
#include "cli.h"

#include "stategrad/report.h"

#include <stdlib.h>

static int run(int argc, char **argv)
{
    const char *html = NULL;
    const option table[] = {
        {"output", 'o', OPT_STRING, &html, "FILE", "the page to write", 0, 0},
        {NULL, 0, OPT_FLAG, NULL, NULL, NULL, 0, 0},
    };
    int code = parse_options(&cmd_report, table, &argc, argv, 1, 0);
    if (code >= 0)
        return code;
    if (!html)
        return misuse("report: nothing to write: give -o REPORT.html");
    sg_error err = {""};
    sg_status st = SG_OK;
    size_t n = 0;
    sg_run **runs = calloc((size_t)argc, sizeof *runs);
    if (!runs)
        return EXIT_FAILED;
    for (; n < (size_t)argc && st == SG_OK; n++)
        st = sg_run_open(&runs[n], argv[n], &err);
    if (st == SG_OK)
        st = sg_report_write(html, runs, (const char *const *)argv, n, &err);
    for (size_t i = 0; i < n; i++)
        sg_run_close(runs[i]);
    free(runs);
    return st == SG_OK ? EXIT_DONE : fail(st, &err);
}

const command cmd_report = {
    "report", "RUN.nc...", "curves, heatmaps, tables of one run or several as one self-contained page",
    "Writes one HTML file that needs nothing else: no network, no server. Several runs are shown side by side and\n"
    "overlaid, on the same axes. Example:\n"
    "  stategrad report run.nc -o report.html",
    run};
