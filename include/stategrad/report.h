/* report.h - what people look at: a page for runs, figures for papers, the words along the best kept directions.
 *
 * Nothing is computed here beyond formatting: every number shown stands in the run file. What a run file lacks is
 * said to be absent, with the reason the file gives. */
#ifndef STATEGRAD_REPORT_H
#define STATEGRAD_REPORT_H

#include "stategrad/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One self-contained HTML page about n >= 1 runs, side by side and overlaid; paths[i] is the file name shown for
 * runs[i]. Written whole or not at all. SG_EINVAL: n is 0; SG_EIO, SG_ENOMEM. */
sg_status sg_report_write(const char *html_path, sg_run *const *runs, const char *const *paths, size_t n,
                          sg_error *err);

#ifdef __cplusplus
}
#endif
#endif
