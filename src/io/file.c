/* SPDX-License-Identifier: MIT */
/* Regular files: opening, reading at an offset, shards. */
#include "io/file.h"

#include "base/base_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

sg_status file_open(int *fd, uint64_t *size, const char *path, sg_error *err)
{
    struct stat info;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    if (fstat(*fd, &info) != 0)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return sg_fail(err, SG_EFORMAT, "%s: is not a regular file", path);
    *size = (uint64_t)info.st_size;
    return SG_OK;
}

sg_status file_pread(int fd, uint64_t size, uint64_t at, void *bytes, size_t n, const char *path,
                     sg_error *err)
{
    char *to = bytes;
    if (at > size || n > size - at)
        return sg_fail(err, SG_EFORMAT, "%s: has %llu bytes, expected %llu or more (truncated?)", path,
                       (unsigned long long)size, (unsigned long long)(at + n));
    while (n > 0) {
        ssize_t got = pread(fd, to, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return sg_fail(err, SG_EIO, "%s: %s", path,
                           got < 0 ? strerror(errno) : "became shorter while it was read");
        to += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return SG_OK;
}

sg_status file_shard_open(file_shard *s, const char *path, size_t kept, const char *name, sg_error *err)
{
    char full[4096];
    if (s->fd >= 0)
        return SG_OK;
    if (kept + strlen(name) >= sizeof full)
        return sg_fail(err, SG_EFORMAT, "%s: too long a path", path);
    snprintf(full, sizeof full, "%.*s%s", (int)kept, path, name);
    sg_status st = file_open(&s->fd, &s->bytes, full, err);
    if (st != SG_OK)
        file_shard_close(s); /* a folder is open, but not to be read */
    return st;
}

void file_shard_close(file_shard *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}
