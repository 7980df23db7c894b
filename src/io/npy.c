/* SPDX-License-Identifier: MIT */
/* NumPy arrays, one in a .npy, several in the zip that .npz is. */
#include "io/npy.h"
#include "import/archive.h"
#include "import/recipe.h"

#include "base/base_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- the header: a Python dict of three entries, {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4),
 * } ---- */

static const char *after_key(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    if (!at)
        return NULL;
    at += strlen(key);
    at += strspn(at, " ");
    if (*at++ != ':')
        return NULL;
    return at + strspn(at, " ");
}

static bool parse_descr(npy_header *h, const char *text)
{
    static const struct {
        const char *descr;
        bag_dtype d;
    } known[] = {{"'<f4'", BAG_F32}, {"'<f8'", BAG_F64}, {"'<f2'", BAG_F16},
                 {"'<i8'", BAG_I64}, {"'<i4'", BAG_I32}, {"'<i2'", BAG_I16},
                 {"'|i1'", BAG_I8},  {"'|u1'", BAG_U8},  {"'|b1'", BAG_BOOL}};
    const char *at = after_key(text, "'descr'");
    for (size_t i = 0; at && i < sizeof known / sizeof *known; i++)
        if (!strncmp(at, known[i].descr, 5)) {
            h->dtype = known[i].d;
            return true;
        }
    return false;
}

static bool parse_shape(npy_header *h, const char *text)
{
    const char *at = after_key(text, "'shape'");
    if (!at || *at++ != '(')
        return false;
    for (;;) {
        at += strspn(at, " ,");
        if (*at == ')')
            return true;
        if (*at < '0' || *at > '9' || h->rank == BAG_MAX_RANK || strspn(at, "0123456789") > 18)
            return false;
        char *end;
        h->dims[h->rank++] = strtoull(at, &end, 10);
        at = end;
    }
}

sg_status npy_parse(npy_header *out, const unsigned char *head, size_t n, const char *name, sg_error *err)
{
    char text[NPY_MAX_HEADER];
    *out = (npy_header){0};
    if (n < 12 || memcmp(head, "\x93NUMPY", 6) != 0 || head[6] < 1 || head[6] > 3)
        return sg_fail(err, SG_EFORMAT, "%s: not a NumPy array file (.npy)", name);
    size_t start = head[6] == 1 ? 10 : 12, length = head[8] | (size_t)head[9] << 8;
    if (head[6] > 1)
        length |= (size_t)head[10] << 16 | (size_t)head[11] << 24;
    if (length >= sizeof text || start + length > n)
        return sg_fail(err, SG_EFORMAT, "%s: its header has %zu bytes, expected at most %d (truncated?)",
                       name, length, NPY_MAX_HEADER - 16);
    memcpy(text, head + start, length);
    text[length] = 0;
    const char *order = after_key(text, "'fortran_order'");
    if (!parse_descr(out, text))
        return sg_fail(err, SG_EFORMAT,
                       "%s: expected little-endian floats (<f4, <f8, <f2) or integers, header is %.100s",
                       name, text);
    if (!order || !parse_shape(out, text))
        return sg_fail(err, SG_EFORMAT, "%s: a header that NumPy does not write: %.100s", name, text);
    out->fortran = !strncmp(order, "True", 4);
    out->data = start + length;
    return SG_OK;
}

/* ---- the bag ---- */

typedef struct {
    bag *file;    /* .npy: the file (the bag itself, or one that --map named); npz: NULL */
    size_t entry; /* npz */
    uint64_t data;
} array_place;

typedef struct {
    archive *zip;
    array_place *places;
    size_t n, room;
} arrays;

static void arrays_close(bag *b)
{
    arrays *f = b->format;
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++)
        if (f->places[i].file != b)
            bag_free(f->places[i].file);
    archive_close(f->zip);
    sg_free(f->places);
    sg_free(f);
    b->format = NULL;
}

static sg_status fetch(bag *b, const bag_tensor *t, uint64_t at, void *bytes, size_t n, sg_error *err)
{
    arrays *f = b->format;
    const array_place *p = &f->places[t->storage];
    if (p->file)
        return bag_pread(p->file, p->data + at, bytes, n, err);
    return archive_fetch(f->zip, p->entry, p->data + at, bytes, n, t->name, err);
}

static sg_status read(bag *b, const bag_tensor *t, bag_sink sink, void *ctx, sg_error *err)
{
    return bag_read_strided(b, t, fetch, sink, ctx, err);
}

/* One array of `bytes` bytes (header included) whose first n are in head. */
static sg_status add_array(bag *b, const char *name, const unsigned char *head, size_t n, uint64_t bytes,
                           array_place place, sg_error *err)
{
    arrays *f = b->format;
    sg_status st;
    npy_header h;
    bag_tensor *t;
    uint64_t strides[BAG_MAX_RANK], step = 1;
    TRY(npy_parse(&h, head, n, name, err));
    for (unsigned k = 0; k < h.rank && h.fortran; k++) {
        strides[k] = step;
        if (__builtin_mul_overflow(step, h.dims[k], &step))
            TRY(sg_fail(err, SG_EFORMAT, "%s: %s: its size overflows", b->path, name));
    }
    TRY(bag_add(b, name, h.dtype, h.rank, h.dims, h.fortran ? strides : NULL, &t, err));
    if (t->elements > (bytes - h.data) / bag_dtype_size(h.dtype))
        TRY(sg_fail(err, SG_EFORMAT, "%s: %s has %llu bytes, expected %llu numbers of %zu (truncated?)",
                    b->path, name, (unsigned long long)(bytes - h.data), (unsigned long long)t->elements,
                    bag_dtype_size(h.dtype)));
    if (f->n == f->room) {
        size_t room = f->room ? 2 * f->room : 16;
        array_place *grown = sg_regrow(f->places, f->room, room, sizeof *grown);
        if (!grown)
            TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", b->path));
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

static sg_status begin(bag *b, sg_error *err)
{
    b->read = read;
    b->close = arrays_close;
    if (!(b->format = sg_calloc(1, sizeof(arrays))))
        return sg_fail(err, SG_ENOMEM, "%s: no memory", b->path);
    return SG_OK;
}

static sg_status add_file(bag *b, bag *file, const char *name, sg_error *err)
{
    sg_status st;
    size_t n = file->file_size < NPY_MAX_HEADER ? (size_t)file->file_size : NPY_MAX_HEADER;
    unsigned char *head = sg_calloc(NPY_MAX_HEADER, 1);
    if (!head)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", b->path);
    TRY(bag_pread(file, 0, head, n, err));
    TRY(add_array(b, name, head, n, file->file_size, (array_place){.file = file}, err));
done:
    sg_free(head);
    return st;
}

sg_status bag_fill_npy(bag *b, sg_error *err)
{
    sg_status st;
    const char *slash = strrchr(b->path, '/'), *name = slash ? slash + 1 : b->path;
    TRY(begin(b, err));
    TRY(add_file(b, b, strlen(name) < BAG_MAX_NAME && name[0] ? name : "array", err));
done:
    return st;
}

sg_status bag_fill_npz(bag *b, sg_error *err)
{
    sg_status st;
    unsigned char *head = sg_calloc(NPY_MAX_HEADER, 1);
    if (!head)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", b->path);
    TRY(begin(b, err));
    arrays *f = b->format;
    TRY(archive_open(&f->zip, b, err));
    for (size_t i = 0; i < archive_count(f->zip); i++) {
        char name[BAG_MAX_NAME];
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

/* --map ROLE=OTHER.npy names a file beside the one that is imported: its array joins the bag under that
 * name. */
sg_status bag_add_named_arrays(bag *b, const sg_import_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t i = 0; i < cfg->n_maps && (b->kind == SG_FILE_NPY || b->kind == SG_FILE_NPZ); i++) {
        const char *equals = strchr(cfg->maps[i], '=');
        size_t n = equals ? strlen(equals + 1) : 0;
        bag *file;
        if (n < 5 || strcmp(equals + n - 3, ".npy") != 0 || bag_find(b, equals + 1))
            continue;
        TRY(bag_open(&file, equals + 1, err));
        if (file->kind != SG_FILE_NPY) {
            st = sg_fail(err, SG_EFORMAT, "%s: expected a NumPy array", equals + 1);
            bag_free(file);
            goto done;
        }
        st = add_file(b, file, equals + 1, err);
        if (st != SG_OK) { /* a file that made it into the list is the bag's to free */
            bag_free(file);
            goto done;
        }
        b->file_size += file->file_size;
    }
done:
    return st;
}
