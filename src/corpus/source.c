/* SPDX-License-Identifier: MIT */
/* The bytes of one file: plain or gzip (also several members, one after the other), a pipe, or a spooled
 * copy. */
#include "corpus/corpus_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { BLOCK = 1 << 16 };

struct corpus_source {
    const char *path; /* borrowed */
    int fd;
    bool owned, positioned; /* fd is ours to close; fd is read with pread at `offset` */
    off_t offset;
    memory_bytes memory;
    sg_sha256 *hash;
    bool started, zipped, in_member, finished;
    z_stream z;
    bool z_ready;
    unsigned char *raw, *plain;
};

static void copy_block(corpus_source *s, size_t *n)
{
    const memory_bytes *m = &s->memory;
    while (*n < BLOCK && (uint64_t)s->offset < m->total) {
        size_t from = (size_t)((uint64_t)s->offset % m->size), left = m->size - from, room = BLOCK - *n;
        size_t k = left < room ? left : room;
        memcpy(s->raw + *n, m->data + from, k);
        *n += k;
        s->offset += (off_t)k;
    }
}

static sg_status read_block(corpus_source *s, size_t *n, sg_error *err)
{
    *n = 0;
    if (s->memory.data) {
        copy_block(s, n);
        return SG_OK;
    }
    while (*n < BLOCK) {
        ssize_t k = s->positioned ? pread(s->fd, s->raw + *n, BLOCK - *n, s->offset)
                                  : read(s->fd, s->raw + *n, BLOCK - *n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return sg_fail(err, SG_EIO, "%s: %s", s->path, strerror(errno));
        if (k == 0)
            break;
        s->offset += k;
        *n += (size_t)k;
    }
    return SG_OK;
}

static void *z_alloc(void *unused, unsigned n, unsigned size)
{
    (void)unused;
    return sg_calloc(n, size);
}

static void z_free(void *unused, void *p)
{
    (void)unused;
    sg_free(p);
}

sg_status source_open(corpus_source **out, const char *path, int spool_fd, memory_bytes memory,
                      sg_sha256 *hash, sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    corpus_source *s = sg_calloc(1, sizeof *s);
    if (!s)
        return no_memory(err, "%s", path);
    *s = (corpus_source){.path = path, .fd = -1, .memory = memory, .hash = hash};
    NEED(s->raw = sg_calloc(BLOCK, 1), err, "%s", path);
    if (memory.data) {
        s->fd = -1;
    } else if (spool_fd >= 0) {
        s->fd = spool_fd;
        s->positioned = true;
    } else if (!strcmp(path, "-")) {
        s->fd = STDIN_FILENO;
    } else {
        struct stat info;
        if ((s->fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
            TRY(sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno)));
        s->owned = true;
        if (fstat(s->fd, &info) == 0 && S_ISDIR(info.st_mode))
            TRY(sg_fail(err, SG_EFORMAT, "%s: is a folder, expected a file", path));
    }
    *out = s;
    s = NULL;
done:
    source_close(s);
    return st;
}

/* Looks at the first block: gzip is known by its first two bytes (no UTF-8 text starts so), not by its
 * name. */
static sg_status source_start(corpus_source *s, size_t n, sg_error *err)
{
    size_t length = strlen(s->path);
    s->started = true;
    s->zipped = n >= 2 && s->raw[0] == 0x1f && s->raw[1] == 0x8b;
    if (!s->zipped) {
        if (length > 3 && !strcmp(s->path + length - 3, ".gz"))
            return sg_fail(err, SG_EFORMAT, "%s: named .gz, but it is not gzip", s->path);
        return SG_OK;
    }
    if (!(s->plain = sg_calloc(BLOCK, 1)))
        return no_memory(err, "%s", s->path);
    s->z.zalloc = z_alloc;
    s->z.zfree = z_free;
    int rc = inflateInit2(&s->z, 15 + 16);
    if (rc == Z_MEM_ERROR)
        return no_memory(err, "decompression (%s)", s->path);
    if (rc != Z_OK)
        return sg_fail(err, SG_EFORMAT, "%s: zlib cannot start: %s", s->path,
                       s->z.msg ? s->z.msg : "unknown");
    s->z_ready = true;
    s->in_member = true;
    s->z.next_in = s->raw;
    s->z.avail_in = (unsigned)n;
    return SG_OK;
}

/* Between two members: zeros are padding (tapes, block devices); anything else must be another gzip
 * header. */
static sg_status next_member(corpus_source *s, sg_error *err)
{
    while (s->z.avail_in && *s->z.next_in == 0) {
        s->z.next_in++;
        s->z.avail_in--;
    }
    if (!s->z.avail_in)
        return SG_OK;
    if (*s->z.next_in != 0x1f)
        return sg_fail(err, SG_EFORMAT, "%s: %u bytes that are not gzip after the end of the gzip data",
                       s->path, s->z.avail_in);
    s->in_member = true;
    return inflateReset(&s->z) == Z_OK ? SG_OK : sg_fail(err, SG_EFORMAT, "%s: zlib failed", s->path);
}

static sg_status inflate_block(corpus_source *s, size_t *n, sg_error *err)
{
    sg_status st = SG_OK;
    s->z.next_out = s->plain;
    s->z.avail_out = BLOCK;
    while (s->z.avail_out && !s->finished) {
        if (!s->z.avail_in) {
            size_t got;
            TRY(read_block(s, &got, err));
            if (!got) {
                if (s->in_member)
                    TRY(sg_fail(err, SG_EFORMAT, "%s: the gzip data end too early (a truncated file)",
                                s->path));
                s->finished = true;
                break;
            }
            s->z.next_in = s->raw;
            s->z.avail_in = (unsigned)got;
        }
        if (!s->in_member) {
            TRY(next_member(s, err));
            continue;
        }
        int rc = inflate(&s->z, Z_NO_FLUSH);
        if (rc == Z_STREAM_END)
            s->in_member = false;
        else if (rc == Z_MEM_ERROR)
            TRY(no_memory(err, "decompression (%s)", s->path));
        else if (rc != Z_OK)
            TRY(sg_fail(err, SG_EFORMAT, "%s: damaged gzip data: %s", s->path,
                        s->z.msg ? s->z.msg : "unknown"));
    }
    *n = BLOCK - s->z.avail_out;
done:
    return st;
}

sg_status source_next(corpus_source *s, const unsigned char **data, size_t *n, sg_error *err)
{
    sg_status st = SG_OK;
    *n = 0;
    if (s->finished)
        return SG_OK;
    if (!s->started || !s->zipped)
        TRY(read_block(s, n, err));
    if (!s->started)
        TRY(source_start(s, *n, err));
    *data = s->raw;
    if (s->zipped) {
        *data = s->plain;
        TRY(inflate_block(s, n, err));
    }
    s->finished |= *n == 0;
    if (s->hash)
        sg_sha256_add(s->hash, *data, *n);
done:
    return st;
}

void source_close(corpus_source *s)
{
    if (!s)
        return;
    if (s->z_ready)
        inflateEnd(&s->z);
    if (s->owned)
        close(s->fd);
    sg_free(s->raw);
    sg_free(s->plain);
    sg_free(s);
}
