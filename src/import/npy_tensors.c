/* SPDX-License-Identifier: MIT */
/* NumPy arrays as tensors: one in a .npy, several in the zip that .npz is. */
#include "import/tensors.h"

#include "base/base_internal.h"
#include "io/npy.h"
#include "io/zip.h"

#include <string.h>

_Static_assert((int)NPY_MAX_RANK == (int)TENSORS_MAX_RANK, "arrays of one rank");

typedef struct {
    tensor_file *file; /* .npy: the file (the tensor file itself, or one that --map named); npz: NULL */
    size_t entry;      /* npz */
    uint64_t data;
} array_place;

typedef struct {
    archive *zip;
    array_place *places;
    size_t n, room;
} arrays;

static void arrays_close(tensor_file *b)
{
    arrays *f = b->reader;
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++)
        if (f->places[i].file != b)
            tensors_free(f->places[i].file);
    archive_close(f->zip);
    sg_free(f->places);
    sg_free(f);
    b->reader = NULL;
}

static sg_status fetch(tensor_file *b, const stored_tensor *t, uint64_t at, void *bytes, size_t n,
                       sg_error *err)
{
    arrays *f = b->reader;
    const array_place *p = &f->places[t->storage];
    if (p->file)
        return tensors_pread(p->file, p->data + at, bytes, n, err);
    return archive_fetch(f->zip, p->entry, p->data + at, bytes, n, t->name, err);
}

static sg_status read(tensor_file *b, const stored_tensor *t, tensor_sink sink, void *ctx, sg_error *err)
{
    return tensors_read_strided(b, t, fetch, sink, ctx, err);
}

/* One array of `bytes` bytes (header included) whose first n are in head. */
static sg_status add_array(tensor_file *b, const char *name, const unsigned char *head, size_t n,
                           uint64_t bytes, array_place place, sg_error *err)
{
    arrays *f = b->reader;
    sg_status st;
    npy_header h;
    stored_tensor *t;
    uint64_t strides[TENSORS_MAX_RANK], step = 1;
    TRY(npy_parse(&h, head, n, name, err));
    for (unsigned k = 0; k < h.rank && h.fortran; k++) {
        strides[k] = step;
        if (__builtin_mul_overflow(step, h.dims[k], &step))
            TRY(sg_fail(err, SG_EFORMAT, "%s: %s: its size overflows", b->path, name));
    }
    TRY(tensors_add(b, name, h.dtype, h.rank, h.dims, h.fortran ? strides : NULL, &t, err));
    if (t->elements > (bytes - h.data) / dtype_size(h.dtype))
        TRY(sg_fail(err, SG_EFORMAT, "%s: %s has %llu bytes, expected %llu numbers of %zu (truncated?)",
                    b->path, name, (unsigned long long)(bytes - h.data), (unsigned long long)t->elements,
                    dtype_size(h.dtype)));
    if (f->n == f->room) {
        size_t room = f->room ? 2 * f->room : 16;
        array_place *grown = sg_regrow(f->places, f->room, room, sizeof *grown);
        NEED(grown, err, "%s", b->path);
        f->places = grown;
        f->room = room;
    }
    place.data = h.data;
    t->storage = f->n;
    t->container = 1;
    f->places[f->n++] = place;
done:
    return st;
}

static sg_status begin(tensor_file *b, sg_error *err)
{
    b->read = read;
    b->close = arrays_close;
    if (!(b->reader = sg_calloc(1, sizeof(arrays))))
        return no_memory(err, "%s", b->path);
    return SG_OK;
}

sg_status npy_tensors_add(tensor_file *b, tensor_file *file, const char *name, sg_error *err)
{
    sg_status st;
    size_t n = file->file_size < NPY_MAX_HEADER ? (size_t)file->file_size : NPY_MAX_HEADER;
    unsigned char *head = sg_calloc(NPY_MAX_HEADER, 1);
    if (!head)
        return no_memory(err, "%s", b->path);
    TRY(tensors_pread(file, 0, head, n, err));
    TRY(add_array(b, name, head, n, file->file_size, (array_place){.file = file}, err));
done:
    sg_free(head);
    return st;
}

sg_status tensors_from_npy(tensor_file *b, sg_error *err)
{
    sg_status st;
    const char *slash = strrchr(b->path, '/'), *name = slash ? slash + 1 : b->path;
    TRY(begin(b, err));
    TRY(npy_tensors_add(b, b, strlen(name) < TENSORS_MAX_NAME && name[0] ? name : "array", err));
done:
    return st;
}

sg_status tensors_from_npz(tensor_file *b, sg_error *err)
{
    sg_status st;
    unsigned char *head = sg_calloc(NPY_MAX_HEADER, 1);
    if (!head)
        return no_memory(err, "%s", b->path);
    TRY(begin(b, err));
    arrays *f = b->reader;
    TRY(archive_open(&f->zip, b->path, err));
    for (size_t i = 0; i < archive_count(f->zip); i++) {
        char name[TENSORS_MAX_NAME];
        const char *entry = archive_name(f->zip, i);
        size_t length = entry ? strlen(entry) : 0;
        uint64_t bytes;
        if (length < 5 || length - 4 >= sizeof name || strcmp(entry + length - 4, ".npy") != 0)
            continue;
        memcpy(name, entry, length - 4);
        name[length - 4] = 0;
        TRY(archive_size(f->zip, i, &bytes, err));
        size_t n = bytes < NPY_MAX_HEADER ? (size_t)bytes : NPY_MAX_HEADER;
        TRY(archive_fetch(f->zip, i, 0, head, n, name, err));
        TRY(add_array(b, name, head, n, bytes, (array_place){.entry = i}, err));
    }
done:
    sg_free(head);
    return st;
}
