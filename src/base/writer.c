/* SPDX-License-Identifier: MIT */
/* A stdio stream over the callback of a sg_writer. */
#include "base/base_internal.h"

static ssize_t stream_write(void *cookie, const char *data, size_t n)
{
    const sg_writer *to = cookie;
    return to->write(to->ctx, data, n) ? (ssize_t)n : 0;
}

sg_status writer_open(FILE **f, const sg_writer *to, sg_error *err)
{
    *f = NULL;
    if (!to || !to->write)
        return sg_fail(err, SG_EINVAL, "writer: there is no function to write with");
    /* fopencookie does not change *to */
    *f = fopencookie((void *)(uintptr_t)to, "w", (cookie_io_functions_t){.write = stream_write});
    return *f ? SG_OK : no_memory(err, "a stream");
}

sg_status writer_close(FILE *f, sg_error *err)
{
    if (!f)
        return SG_OK;
    bool failed = ferror(f) != 0;
    failed |= fclose(f) != 0;
    return failed ? sg_fail(err, SG_EIO, "the text could not be written") : SG_OK;
}
