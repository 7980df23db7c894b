/* SPDX-License-Identifier: MIT */
/* file.h - regular files: opening, reading at an offset. */
#ifndef SG_IO_FILE_H
#define SG_IO_FILE_H

#include "stategrad/base.h"

/* Opens for reading; *size in bytes. SG_EIO: cannot be opened; SG_EFORMAT: a folder, a device. On failure *fd
 * may be open: the caller closes it when it is not negative. */
sg_status file_open(int *fd, uint64_t *size, const char *path, sg_error *err);
/* n bytes at offset `at` of a file of `size` bytes. SG_EFORMAT: they are not there. */
sg_status file_pread(int fd, uint64_t size, uint64_t at, void *bytes, size_t n, const char *path,
                     sg_error *err);

#endif
