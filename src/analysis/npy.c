#include "npy.h"

#include "../base/base_internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_HEADER = 65536, CHUNK = 2048 };

struct an_npy {
    char *path;
    int fd;
    off_t data;
    uint64_t rows;
    size_t columns, size; /* bytes of a number: 4 or 8 */
};

static sg_status read_at(const an_npy *f, off_t at, void *x, size_t n, sg_error *err)
{
    char *p = x;
    while (n) {
        ssize_t done = pread(f->fd, p, n, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return sg_fail(err, SG_EIO, "%s: %s", f->path, strerror(errno));
        if (done == 0)
            return sg_fail(err, SG_EFORMAT, "%s: ends too early", f->path);
        p += done, at += done, n -= (size_t)done;
    }
    return SG_OK;
}

/* The text behind 'key': in the header's Python dictionary; NULL: not there. */
static const char *value_of(const char *header, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s':", key);
    const char *p = strstr(header, quoted);
    if (!p)
        return NULL;
    p += strlen(quoted);
    while (isspace((unsigned char)*p))
        p++;
    return p;
}

static sg_status parse_header(an_npy *f, const char *h, sg_error *err)
{
    const char *type = value_of(h, "descr"), *order = value_of(h, "fortran_order"), *shape = value_of(h, "shape");
    uint64_t n[2] = {1, 1};
    int dims = 0;
    if (!type || !order || !shape || *shape != '(')
        return sg_fail(err, SG_EFORMAT, "%s: the header lacks descr, fortran_order or shape", f->path);
    if (!strncmp(type, "'<f4'", 5))
        f->size = 4;
    else if (!strncmp(type, "'<f8'", 5))
        f->size = 8;
    else
        return sg_fail(err, SG_EFORMAT, "%s: numbers of type %.6s, expected '<f4' or '<f8'", f->path, type);
    if (strncmp(order, "False", 5))
        return sg_fail(err, SG_EFORMAT, "%s: in Fortran order, expected C order (numpy.ascontiguousarray)", f->path);
    for (const char *p = shape + 1; *p && *p != ')';) {
        char *end;
        errno = 0;
        if (!isdigit((unsigned char)*p) || dims == 2)
            return sg_fail(err, SG_EFORMAT, "%s: expected one or two dimensions, found shape %.40s", f->path, shape);
        n[dims++] = strtoull(p, &end, 10);
        if (errno)
            return sg_fail(err, SG_EFORMAT, "%s: shape %.40s is too large", f->path, shape);
        for (p = end; *p == ',' || *p == ' ';)
            p++;
    }
    f->rows = dims == 2 ? n[0] : 1;
    uint64_t columns = dims == 2 ? n[1] : n[0];
    if (!dims || !f->rows || !columns || columns > 1 << 24 || f->rows > (uint64_t)1 << 48)
        return sg_fail(err, SG_EFORMAT, "%s: expected a matrix with rows and columns, found shape %.40s", f->path, shape);
    f->columns = (size_t)columns;
    return SG_OK;
}

sg_status npy_open(an_npy **out, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    unsigned char start[12];
    char *header = NULL;
    struct stat info;
    an_npy *f = sg_calloc(1, sizeof *f);
    *out = NULL;
    if (!f)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", path);
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (!(f->path = sg_strdup(path)))
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", path));
    if (f->fd < 0 || fstat(f->fd, &info) != 0)
        TRY(sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno)));
    if (!S_ISREG(info.st_mode) || info.st_size < (off_t)sizeof start)
        TRY(sg_fail(err, SG_EFORMAT, "%s: is not a .npy file", path));
    TRY(read_at(f, 0, start, sizeof start, err));
    if (memcmp(start, "\x93NUMPY", 6) || start[6] < 1 || start[6] > 3)
        TRY(sg_fail(err, SG_EFORMAT, "%s: is not a .npy file", path));
    size_t length = start[8] | (size_t)start[9] << 8;
    f->data = 10;
    if (start[6] > 1) {
        length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
        f->data = 12;
    }
    if (length > MAX_HEADER)
        TRY(sg_fail(err, SG_EFORMAT, "%s: a header of %zu bytes", path, length));
    if (!(header = sg_calloc(length + 1, 1)))
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", path));
    TRY(read_at(f, f->data, header, length, err));
    f->data += (off_t)length;
    TRY(parse_header(f, header, err));
    uint64_t have = (uint64_t)(info.st_size - f->data) / f->size / f->columns;
    if (have < f->rows)
        TRY(sg_fail(err, SG_EFORMAT, "%s: ends too early: %ju of %ju rows", path, (uintmax_t)have,
                    (uintmax_t)f->rows));
    *out = f;
    f = NULL;
done:
    sg_free(header);
    npy_close(f);
    return st;
}

uint64_t npy_rows(const an_npy *f)
{
    return f->rows;
}

size_t npy_columns(const an_npy *f)
{
    return f->columns;
}

sg_status npy_read(const an_npy *f, uint64_t start, size_t n, float *x, sg_error *err)
{
    sg_status st = SG_OK;
    double wide[CHUNK] = {0};
    bool narrow = f->size == 4;
    if (start > f->rows || n > f->rows - start)
        return sg_fail(err, SG_EINVAL, "%s: has %ju rows, %zu from %ju asked for", f->path, (uintmax_t)f->rows, n,
                       (uintmax_t)start);
    size_t total = n * f->columns;
    off_t at = f->data + (off_t)(start * f->columns * f->size);
    for (size_t i = 0; i < total; i += CHUNK) {
        size_t m = total - i < CHUNK ? total - i : CHUNK;
        TRY(read_at(f, at + (off_t)(i * f->size), narrow ? (void *)(x + i) : wide, m * f->size, err));
        for (size_t j = 0; !narrow && j < m; j++)
            x[i + j] = (float)wide[j];
    }
    for (size_t i = 0; i < total; i++)
        if (!isfinite(x[i]))
            TRY(sg_fail(err, SG_ENONFINITE, "%s: row %ju, column %zu is not finite", f->path,
                        (uintmax_t)(start + i / f->columns), i % f->columns));
done:
    return st;
}

void npy_close(an_npy *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    sg_free(f->path);
    sg_free(f);
}
