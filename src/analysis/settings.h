/* SPDX-License-Identifier: MIT */
/* settings.h - what the analysis makes of the table of settings (settings.c): checks, identity,
 * attributes. */
#ifndef SG_ANALYSIS_SETTINGS_H
#define SG_ANALYSIS_SETTINGS_H

#include "run/run_internal.h"
#include "stategrad/accumulator.h"

/* Every number lies in its range, or has the default that means "chosen" or "off". */
sg_status settings_check_ranges(const sg_analysis_config *cfg, sg_error *err);
/* Settings that control how a model is run have their defaults (sg_setting.without_model). */
sg_status settings_check_given(const sg_analysis_config *cfg, sg_error *err);
/* Number, names and sizes of the states, and of the input. */
sg_status analysis_check_states(const sg_accumulator_config *given, sg_error *err);
/* As sg_analysis_check, for gradients that the caller gives. */
sg_status analysis_check_given(const sg_accumulator_config *given, const sg_analysis_config *cfg,
                               const sg_stream *s, sg_error *err);
/* The settings that decide what the run file holds, as "name=value\n" lines; with_part: the part too. */
void settings_identity(const sg_analysis_config *cfg, bool with_part, char *text, size_t size);
/* The attribute of the root that holds the setting called `attribute` there; nothing where it does not apply.
 * attribute NULL: those of all settings that the root does not have yet. */
sg_status settings_put(run_writer *w, const sg_analysis_config *cfg, const char *attribute, sg_error *err);

#endif
