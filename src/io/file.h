/* SPDX-License-Identifier: MIT */
/* file.h - regular files: opening, reading at an offset. */
#ifndef SG_IO_FILE_H
#define SG_IO_FILE_H

#include "stategrad/base.h"

/* A file that belongs to another, in its folder, opened when it is first read. Begins as {.fd = -1}. */
typedef struct {
    int fd;
    uint64_t bytes;
} file_shard;

/* Opens for reading; *size in bytes. SG_EIO: cannot be opened; SG_EFORMAT: a folder, a device. On failure *fd
 * may be open: the caller closes it when it is not negative. */
sg_status file_open(int *fd, uint64_t *size, const char *path, sg_error *err);
/* n bytes at offset `at` of a file of `size` bytes. SG_EFORMAT: they are not there. */
sg_status file_pread(int fd, uint64_t size, uint64_t at, void *bytes, size_t n, const char *path,
                     sg_error *err);

/* Its path is the first `kept` bytes of `path`, then `name`; does nothing if it is open. As file_open, but
 * closed on failure. */
sg_status file_shard_open(file_shard *s, const char *path, size_t kept, const char *name, sg_error *err);
void file_shard_close(file_shard *s);

#endif
