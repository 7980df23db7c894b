/* SPDX-License-Identifier: MIT */
/* in_memory.h - a run without a path: a file in a folder of its own in TMPDIR, which goes when it has been
 * opened. */
#ifndef SG_ANALYSIS_IN_MEMORY_H
#define SG_ANALYSIS_IN_MEMORY_H

#include "stategrad/base.h"

/* A new folder; *path is the file to be written in it. Both are freed by in_memory_remove, also after a
 * failure. */
sg_status in_memory_folder(char **folder, char **path, sg_error *err);
/* Removes and frees both. NULLs are fine. */
void in_memory_remove(char *folder, char *path);

#endif
