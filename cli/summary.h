/* SPDX-License-Identifier: MIT */
/* Parts of the summary of a run (summary.c). */
#ifndef STATEGRAD_CLI_SUMMARY_H
#define STATEGRAD_CLI_SUMMARY_H

#include "cli.h"

#include "stategrad/run.h"

/* " (low to high)", the 95 % interval; nothing where it is missing. */
void print_range(double low, double high);

/* The first reason of the run file why class "all" has no value of this variable, in `text`. */
const char *why_missing(sg_run *r, const char *group, const char *variable, char text[256]);

/* Below values of which one lies outside its interval. */
#define OUTSIDE_INTERVAL                                                                                     \
    "  a value outside its interval: the interval is corrected for bias, the value is not\n"

/* The first `most` classes in the order of the report's charts: "all", those that are alone in their option,
 * then the others option by option. Their number. */
size_t classes_in_order(sg_run *r, size_t *order, size_t most);

/* Units that still move furthest at the last delay, and units that each property moves most; nothing where
 * the run has no gains of units. */
void print_units(sg_run *r, const char *group);

#endif
