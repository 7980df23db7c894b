/* SPDX-License-Identifier: MIT */
/* Parts of the summary of a run (summary.c). */
#ifndef STATEGRAD_CLI_SUMMARY_H
#define STATEGRAD_CLI_SUMMARY_H

#include "cli.h"

#include "stategrad/run.h"

/* " (low to high)", the 95 % interval; nothing where it is missing. */
void print_range(double low, double high);

/* Units that still move furthest at the last delay, and units that each property moves most; nothing where
 * the run has no gains of units. */
void print_units(sg_run *r, const char *group);

#endif
