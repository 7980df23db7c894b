/* SPDX-License-Identifier: MIT */
/* Safetensors as a bag: the container is read by lm/safetensors.h, the numbers in chunks from the file. */
#include "import/tensors.h"

#include "base/base_internal.h"
#include "io/safetensors.h"

#include <string.h>

typedef struct {
    uint64_t data; /* where the numbers begin in the file */
} safetensors;

static void safetensors_close(bag *b)
{
    sg_free(b->format);
    b->format = NULL;
}

static sg_status fetch(bag *b, const bag_tensor *t, uint64_t at, void *bytes, size_t n, sg_error *err)
{
    const safetensors *f = b->format;
    return bag_pread(b, f->data + t->storage + at, bytes, n, err);
}

static sg_status read(bag *b, const bag_tensor *t, bag_sink sink, void *ctx, sg_error *err)
{
    return bag_read_strided(b, t, fetch, sink, ctx, err);
}

static bag_dtype dtype_of(const char *name)
{
    static const struct {
        const char *name;
        bag_dtype d;
    } known[] = {{"F32", BAG_F32}, {"F16", BAG_F16},  {"BF16", BAG_BF16}, {"F64", BAG_F64},
                 {"I64", BAG_I64}, {"I32", BAG_I32},  {"I16", BAG_I16},   {"I8", BAG_I8},
                 {"U8", BAG_U8},   {"BOOL", BAG_BOOL}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, name))
            return known[i].d;
    return BAG_OTHER;
}

/* Python's save_model writes one of several shared tensors and notes the others as "name": "name of the
 * one". */
static sg_status add_shared(bag *b, const sg_safetensors *s, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t i = 0; i < sg_safetensors_meta_count(s); i++) {
        const char *key, *value;
        sg_safetensors_meta_get(s, i, &key, &value);
        const sg_safetensor *of = sg_safetensors_find(s, value);
        if (!of || sg_safetensors_find(s, key))
            continue;
        bag_tensor *t;
        uint64_t dims[BAG_MAX_RANK];
        for (size_t k = 0; k < of->rank; k++)
            dims[k] = of->shape[k];
        TRY(bag_add(b, key, dtype_of(of->dtype), (unsigned)of->rank, dims, NULL, &t, err));
        t->storage = (size_t)of->begin;
        t->container = 1;
    }
done:
    return st;
}

sg_status bag_fill_safetensors(bag *b, sg_error *err)
{
    sg_status st;
    sg_safetensors *s = NULL;
    unsigned char head[8];
    safetensors *f = sg_calloc(1, sizeof *f);
    if (!f)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", b->path);
    b->format = f;
    b->read = read;
    b->close = safetensors_close;
    TRY(sg_safetensors_open(&s, b->path, err));
    TRY(bag_pread(b, 0, head, sizeof head, err));
    for (int k = 7; k >= 0; k--)
        f->data = f->data << 8 | head[k];
    f->data += 8;
    for (size_t i = 0; i < sg_safetensors_count(s); i++) {
        const sg_safetensor *from = sg_safetensors_get(s, i);
        uint64_t dims[BAG_MAX_RANK];
        bag_tensor *t;
        for (size_t k = 0; k < from->rank; k++)
            dims[k] = from->shape[k];
        TRY(bag_add(b, from->name, dtype_of(from->dtype), (unsigned)from->rank, dims, NULL, &t, err));
        t->storage = (size_t)from->begin;
        t->container = 1;
    }
    TRY(add_shared(b, s, err));
done:
    sg_safetensors_close(s);
    return st;
}
