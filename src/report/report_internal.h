/* SPDX-License-Identifier: MIT */
/* report_internal.h - the parts of a page. */
#ifndef SG_REPORT_INTERNAL_H
#define SG_REPORT_INTERNAL_H

#include "report/json_out.h"
#include "stategrad/report.h"

/* Writes the asset `template` to f with every @@NAME@@ replaced: @@DATA@@ by what data() writes, any other
 * NAME by the asset of that name, as it is. SG_EFORMAT: names a part that is not there. */
sg_status page_write(FILE *f, const char *template,
                     sg_status (*data)(json_out *j, const void *ctx, sg_error *err), const void *ctx,
                     sg_error *err);

/* One run as a JSON object: {file, attributes, delays, classes, ..., groups: [{name, baseline, values,
 * missing}]}. */
sg_status run_data_write(json_out *j, sg_run *r, const char *path, sg_error *err);

/* Groups of models as a JSON array: [{name, runs: [index], classes, properties, delays, states: [{name,
 * series: {key: {of, values}}}]}]: sg_report_write's groups. */
sg_status model_groups_write(json_out *j, sg_run *const *runs, const char *const *paths,
                             const char *const *groups, size_t n, sg_error *err);

/* A comparison as a JSON object: {tests, pairs: [{a: {label, state}, b, blocks}], rows: [sg_compare_row],
 * notes: [text]}; null where c is NULL. */
void comparison_write(json_out *j, const sg_comparison *c, const sg_compare_pair *pairs, size_t n_pairs);

/* The words along the best directions of a run as a JSON object; {missing: why} where the run holds none. */
sg_status words_data_write(json_out *j, sg_run *r, sg_error *err);

#endif
