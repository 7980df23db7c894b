/* SPDX-License-Identifier: MIT */
#include "io/npy_rows.h"

#include "base/base_internal.h"
#include "io/npy.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 2048 };

struct rows_file {
    const float *memory; /* borrowed; NULL: read fd */
    char *path;
    int fd;
    tensor_dtype type;
    off_t data;
    uint64_t rows;
    size_t columns;
};

/* Up to n bytes; *got is less than n at the end of the file. */
static sg_status read_at(const rows_file *f, off_t at, void *x, size_t n, size_t *got, sg_error *err)
{
    char *p = x;
    for (*got = 0; *got < n;) {
        ssize_t done = pread(f->fd, p + *got, n - *got, at + (off_t)*got);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return sg_fail(err, SG_EIO, "%s: %s", f->path, strerror(errno));
        if (done == 0)
            break;
        *got += (size_t)done;
    }
    return SG_OK;
}

static sg_status take_header(rows_file *f, const npy_header *h, uint64_t bytes, sg_error *err)
{
    uint64_t columns = h->rank ? h->dims[h->rank - 1] : 0;
    f->rows = h->rank == 2 ? h->dims[0] : 1;
    f->type = h->dtype;
    f->data = (off_t)h->data;
    if (!dtype_is_float(h->dtype))
        return sg_fail(err, SG_EFORMAT,
                       "%s: numbers of type %s, expected floating-point ('<f4', '<f8', '<f2')", f->path,
                       dtype_name(h->dtype));
    if (h->fortran)
        return sg_fail(err, SG_EFORMAT, "%s: in Fortran order, expected C order (numpy.ascontiguousarray)",
                       f->path);
    if (h->rank < 1 || h->rank > 2 || !f->rows || !columns || columns > 1 << 24 ||
        f->rows > (uint64_t)1 << 48)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: %u dimensions of up to %ju numbers, expected a matrix or a vector that is not empty",
            f->path, h->rank, (uintmax_t)(f->rows > columns ? f->rows : columns));
    f->columns = (size_t)columns;
    uint64_t have = (bytes - h->data) / dtype_size(h->dtype) / columns;
    if (have < f->rows)
        return sg_fail(err, SG_EFORMAT, "%s: ends too early: %ju of %ju rows", f->path, (uintmax_t)have,
                       (uintmax_t)f->rows);
    return SG_OK;
}

sg_status rows_open(rows_file **out, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    unsigned char *head = NULL;
    npy_header h;
    size_t n;
    struct stat info;
    rows_file *f = sg_calloc(1, sizeof *f);
    *out = NULL;
    if (!f)
        return no_memory(err, "%s", path);
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    NEED((f->path = sg_strdup(path)) && (head = sg_calloc(NPY_MAX_HEADER, 1)), err, "%s", path);
    if (f->fd < 0 || fstat(f->fd, &info) != 0)
        TRY(sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno)));
    if (!S_ISREG(info.st_mode))
        TRY(sg_fail(err, SG_EFORMAT, "%s: not a NumPy array file (.npy)", path));
    TRY(read_at(f, 0, head, NPY_MAX_HEADER, &n, err));
    TRY(npy_parse(&h, head, n, path, err));
    TRY(take_header(f, &h, (uint64_t)info.st_size, err));
    *out = f;
    f = NULL;
done:
    sg_free(head);
    rows_close(f);
    return st;
}

sg_status rows_open_memory(rows_file **out, const char *name, const float *x, uint64_t rows, size_t columns,
                           sg_error *err)
{
    rows_file *f = sg_calloc(1, sizeof *f);
    *out = NULL;
    if (!f || !(f->path = sg_strdup(name))) {
        sg_free(f);
        return no_memory(err, "%s", name);
    }
    f->memory = x;
    f->fd = -1;
    f->rows = rows;
    f->columns = columns;
    *out = f;
    return SG_OK;
}

uint64_t rows_count(const rows_file *f)
{
    return f->rows;
}

size_t rows_columns(const rows_file *f)
{
    return f->columns;
}

static sg_status read_file_rows(const rows_file *f, uint64_t start, size_t n, float *x, sg_error *err)
{
    sg_status st = SG_OK;
    unsigned char bytes[CHUNK * 8];
    const size_t size = dtype_size(f->type), total = n * f->columns;
    size_t got;
    off_t at = f->data + (off_t)(start * f->columns * size);
    for (size_t i = 0; i < total; i += CHUNK) {
        size_t m = total - i < CHUNK ? total - i : CHUNK;
        TRY(read_at(f, at + (off_t)(i * size), bytes, m * size, &got, err));
        if (got < m * size)
            TRY(sg_fail(err, SG_EFORMAT, "%s: became shorter while it was read", f->path));
        dtype_to_float(x + i, bytes, f->type, m);
    }
done:
    return st;
}

sg_status rows_read(const rows_file *f, uint64_t start, size_t n, float *x, sg_error *err)
{
    sg_status st = SG_OK;
    const size_t total = n * f->columns;
    if (start > f->rows || n > f->rows - start)
        return sg_fail(err, SG_EINVAL, "%s: has %ju rows, %zu from %ju asked for", f->path,
                       (uintmax_t)f->rows, n, (uintmax_t)start);
    if (f->memory)
        memcpy(x, f->memory + start * f->columns, total * sizeof *x);
    else
        TRY(read_file_rows(f, start, n, x, err));
    for (size_t i = 0; i < total; i++)
        if (!isfinite(x[i]))
            TRY(sg_fail(err, SG_ENONFINITE, "%s: row %ju, column %zu is not finite", f->path,
                        (uintmax_t)(start + i / f->columns), i % f->columns));
done:
    return st;
}

void rows_close(rows_file *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    sg_free(f->path);
    sg_free(f);
}
