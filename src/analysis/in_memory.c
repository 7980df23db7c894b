/* SPDX-License-Identifier: MIT */
/* Results without a path: the run file is written to a folder of its own in TMPDIR, opened, and unlinked. */
#include "analysis/in_memory.h"
#include "stategrad/analysis.h"

#include "base/base_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

sg_status in_memory_folder(char **folder, char **path, sg_error *err)
{
    const char *tmp = getenv("TMPDIR");
    if (!tmp || !*tmp)
        tmp = "/tmp";
    const size_t size = strlen(tmp) + 32;
    *folder = sg_calloc(size, 1);
    *path = sg_calloc(size, 1);
    if (!*folder || !*path)
        return no_memory(err, "the analysis");
    snprintf(*folder, size, "%s/stategrad.XXXXXX", tmp);
    if (!mkdtemp(*folder)) {
        sg_status st = sg_fail(err, SG_EIO, "%s: cannot make a folder there: %s", tmp, strerror(errno));
        (*folder)[0] = 0;
        return st;
    }
    snprintf(*path, size, "%s/run.nc", *folder);
    return SG_OK;
}

void in_memory_remove(char *folder, char *path)
{
    if (path && path[0])
        unlink(path);
    if (folder && folder[0])
        rmdir(folder);
    sg_free(folder);
    sg_free(path);
}

sg_status sg_analyze_run(sg_run **out, const sg_model *m, const sg_stream *s, const sg_classes *k,
                         const sg_analysis_config *cfg, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    char *folder = NULL, *path = NULL;
    *out = NULL;
    TRY(in_memory_folder(&folder, &path, err));
    TRY(sg_analyze(path, m, s, k, cfg, monitor, err));
    TRY(sg_run_open(out, path, err));
done:
    in_memory_remove(folder, path);
    return st;
}
