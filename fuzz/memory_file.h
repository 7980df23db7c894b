/* SPDX-License-Identifier: MIT */
/* memory_file.h - bytes of the fuzzer as a file with a path, and claims that must hold. */
#ifndef MEMORY_FILE_H
#define MEMORY_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static inline void must(bool claim)
{
    if (!claim)
        abort();
}

typedef struct {
    int fd;
    char path[32];
} memory_file;

static inline memory_file memory_file_of(const void *data, size_t size)
{
    memory_file m = {.fd = memfd_create("fuzz", MFD_CLOEXEC)};
    must(m.fd >= 0);
    snprintf(m.path, sizeof m.path, "/proc/self/fd/%d", m.fd);
    must(!size || write(m.fd, data, size) == (ssize_t)size);
    return m;
}

static inline void memory_file_close(memory_file *m)
{
    close(m->fd);
}

/* HDF5 wants a path that realpath() knows: one temporary file, written anew for each input. */
static char real_path[] = "/tmp/sg_fuzz_XXXXXX";

static inline void remove_real_file(void)
{
    unlink(real_path);
}

static inline const char *real_file(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (fd < 0) {
        must((fd = mkstemp(real_path)) >= 0);
        atexit(remove_real_file);
    }
    must(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    return real_path;
}

#endif
