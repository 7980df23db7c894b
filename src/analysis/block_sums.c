/* SPDX-License-Identifier: MIT */
#include "analysis/block_sums.h"

#include "base/base_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

struct block_sums {
    sums_shape shape;
    size_t *units;
    size_t *at; /* (G) floats from the start of a block's records to those of state g */
    size_t block_floats;
    sums_weight *weights;  /* (B,C,D) */
    sums_missed *missed;   /* (B,G,D) */
    sums_squares *squares; /* (B,G,D) */
    double *difference;    /* (B) */
    char *path;
    int fd;
    bool kept; /* path is the name of the file */
};

size_t sums_packed(size_t E)
{
    return E * (E + 1) / 2;
}

void sums_pack(size_t E, const double *full, float *packed)
{
    for (size_t i = 0; i < E; i++)
        for (size_t j = 0; j <= i; j++)
            *packed++ = (float)full[i * E + j];
}

void sums_unpack(size_t E, const float *packed, double *full)
{
    for (size_t i = 0; i < E; i++)
        for (size_t j = 0; j <= i; j++, packed++)
            full[i * E + j] = full[j * E + i] = (double)*packed;
}

static size_t moment_floats(const sums_shape *s)
{
    return s->moments ? sums_packed(s->E) : 0;
}

size_t sums_bytes_per_block(const sums_shape *s)
{
    size_t floats = 0;
    for (size_t g = 0; g < s->G; g++)
        floats += s->C * s->D * (s->units[g] * s->E + moment_floats(s));
    return floats * sizeof(float);
}

static const char magic[8] = "SGBLOCKS";

static bool has_magic(int fd)
{
    char head[sizeof magic];
    return pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head && !memcmp(head, magic, sizeof magic);
}

/* A scratch file that outlives its process begins with the magic; a new one is given it. */
static bool begins_as_ours(int fd)
{
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return false;
    if (!info.st_size)
        return pwrite(fd, magic, sizeof magic, 0) == (ssize_t)sizeof magic || errno == ENOSPC || errno == EIO;
    return has_magic(fd);
}

void sums_remove(const char *path)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    bool ours = has_magic(fd);
    close(fd);
    if (ours)
        unlink(path);
}

static sg_status open_scratch(block_sums *s, const char *near, const char *keep, sg_error *err)
{
    sg_status st = SG_OK;
    char *name = NULL;
    int code;
    if (keep) {
        s->kept = true;
        s->fd = open(keep, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
        code = errno;
        if (!(s->path = sg_strdup(keep)))
            return no_memory(err, "%s", keep);
        if (s->fd >= 0 && !begins_as_ours(s->fd))
            return sg_fail(
                err, SG_EFORMAT,
                "%s: exists and is not the scratch file of an analysis, which needs this name; it is not changed",
                keep);
    } else {
        const char *slash = strrchr(near, '/');
        size_t n = slash ? (size_t)(slash - near) : 0;
        if (!(name = sg_calloc(n + 32, 1)))
            return no_memory(err, "%s", near);
        snprintf(name, n + 32, "%.*s.stategrad.XXXXXX", (int)(slash ? n + 1 : 0), near);
        s->fd = mkostemp(name, O_CLOEXEC);
        code = errno;
        if (s->fd >= 0)
            unlink(name); /* gone with the process, however it ends */
        sg_free(name);
        n = strlen(near) + 32;
        if (!(s->path = sg_calloc(n, 1)))
            return no_memory(err, "%s", near);
        snprintf(s->path, n, "%s: its scratch file", near); /* what errors name */
    }
    if (s->fd < 0)
        st = sg_fail(err, SG_EIO, "%s: cannot be written: %s", s->path, strerror(code));
    return st;
}

sg_status sums_new(block_sums **out, const sums_shape *shape, const char *near, const char *keep,
                   sg_error *err)
{
    sg_status st = SG_OK;
    block_sums *s = sg_calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return no_memory(err, "the sums");
    s->fd = -1;
    s->shape = *shape;
    NEED((s->units = sg_calloc(shape->G, sizeof *s->units)) && (s->at = sg_calloc(shape->G, sizeof *s->at)) &&
             (s->weights = sg_calloc(shape->B * shape->C, shape->D * sizeof *s->weights)) &&
             (s->missed = sg_calloc(shape->B * shape->G, shape->D * sizeof *s->missed)) &&
             (s->squares = sg_calloc(shape->B * shape->G, shape->D * sizeof *s->squares)) &&
             (s->difference = sg_calloc(shape->B, sizeof *s->difference)),
         err, "%zu blocks of %zu classes and %zu delays", shape->B, shape->C, shape->D);
    memcpy(s->units, shape->units, shape->G * sizeof *s->units);
    s->shape.units = s->units;
    for (size_t g = 0; g < shape->G; g++) {
        s->at[g] = s->block_floats;
        s->block_floats += shape->C * shape->D * (shape->units[g] * shape->E + moment_floats(shape));
    }
    TRY(open_scratch(s, near, keep, err));
    *out = s;
    s = NULL;
done:
    sums_free(s);
    return st;
}

void sums_forget_empty(const block_sums *s)
{
    struct stat info;
    if (s->kept && fstat(s->fd, &info) == 0 && info.st_size <= (off_t)sizeof magic)
        unlink(s->path);
}

void sums_free(block_sums *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    sg_free(s->units);
    sg_free(s->at);
    sg_free(s->weights);
    sg_free(s->missed);
    sg_free(s->difference);
    sg_free(s->squares);
    sg_free(s->path);
    sg_free(s);
}

const sums_shape *sums_get_shape(const block_sums *s)
{
    return &s->shape;
}

sums_weight *sums_weight_at(const block_sums *s, size_t b, size_t c, size_t d)
{
    return &s->weights[(b * s->shape.C + c) * s->shape.D + d];
}

sums_squares *sums_squares_at(const block_sums *s, size_t b, size_t g, size_t d)
{
    return &s->squares[(b * s->shape.G + g) * s->shape.D + d];
}

double *sums_difference_at(const block_sums *s, size_t b)
{
    return &s->difference[b];
}

double sums_largest_difference(const block_sums *s)
{
    double most = 0;
    for (size_t b = 0; b < s->shape.B; b++)
        most = fmax(most, s->difference[b]);
    return most;
}

sums_missed *sums_missed_at(const block_sums *s, size_t b, size_t g, size_t d)
{
    return &s->missed[(b * s->shape.G + g) * s->shape.D + d];
}

static off_t record_at(const block_sums *s, size_t b, size_t g, size_t c, size_t d)
{
    size_t record = s->units[g] * s->shape.E + moment_floats(&s->shape);
    return (off_t)(sizeof magic +
                   (b * s->block_floats + s->at[g] + (c * s->shape.D + d) * record) * sizeof(float));
}

static sg_status write_all(const block_sums *s, off_t at, const float *x, size_t n, sg_error *err)
{
    const char *p = (const char *)x;
    for (size_t left = n * sizeof *x; left;) {
        ssize_t done = pwrite(s->fd, p, left, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return sg_fail(err, SG_EIO, "%s: cannot be written: %s", s->path,
                           done ? strerror(errno) : "disk full");
        p += done, at += done, left -= (size_t)done;
    }
    return SG_OK;
}

static sg_status read_all(const block_sums *s, off_t at, void *x, size_t bytes, sg_error *err)
{
    char *p = x;
    while (bytes) {
        ssize_t done = pread(s->fd, p, bytes, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return sg_fail(err, SG_EIO, "%s: cannot be read: %s", s->path,
                           done ? strerror(errno) : "too short");
        p += done, at += done, bytes -= (size_t)done;
    }
    return SG_OK;
}

sg_status sums_put(block_sums *s, size_t b, size_t g, size_t c, size_t d, const float *sum,
                   const float *moment, sg_error *err)
{
    size_t n = s->units[g] * s->shape.E;
    off_t at = record_at(s, b, g, c, d);
    sg_status st = write_all(s, at, sum, n, err);
    if (st == SG_OK && s->shape.moments)
        st = write_all(s, at + (off_t)(n * sizeof(float)), moment, sums_packed(s->shape.E), err);
    return st;
}

sg_status sums_get(const block_sums *s, size_t b, size_t g, size_t c, size_t d, float *sum, float *moment,
                   sg_error *err)
{
    sg_status st = SG_OK;
    size_t n = s->units[g] * s->shape.E;
    off_t at = record_at(s, b, g, c, d);
    if (sum)
        TRY(read_all(s, at, sum, n * sizeof(float), err));
    if (moment && s->shape.moments)
        TRY(read_all(s, at + (off_t)(n * sizeof(float)), moment, sums_packed(s->shape.E) * sizeof(float),
                     err));
done:
    return st;
}

sg_status sums_sync(block_sums *s, sg_error *err)
{
    if (fdatasync(s->fd) != 0)
        return sg_fail(err, SG_EIO, "%s: cannot be written: %s", s->path, strerror(errno));
    return SG_OK;
}

sg_status sums_crc(const block_sums *s, size_t b, uint32_t *crc, sg_error *err)
{
    sg_status st = SG_OK;
    unsigned char buffer[16384];
    uLong sum = crc32(0, NULL, 0);
    size_t left = s->block_floats * sizeof(float);
    off_t at = record_at(s, b, 0, 0, 0);
    while (left) {
        size_t n = left < sizeof buffer ? left : sizeof buffer;
        TRY(read_all(s, at, buffer, n, err));
        sum = crc32(sum, buffer, (uInt)n);
        at += (off_t)n, left -= n;
    }
    *crc = (uint32_t)sum;
done:
    return st;
}
