/* SPDX-License-Identifier: MIT */
/* Safetensors as a tensor file: the container is read by io/safetensors.h, the numbers in chunks from the
 * file. */
#include "import/tensors.h"

#include "base/base_internal.h"
#include "io/safetensors.h"

#include <string.h>

typedef struct {
    uint64_t data; /* where the numbers begin in the file */
} safetensors;

static void close_safetensors(tensor_file *b)
{
    sg_free(b->reader);
    b->reader = NULL;
}

static sg_status fetch(tensor_file *b, const stored_tensor *t, uint64_t at, void *bytes, size_t n,
                       sg_error *err)
{
    const safetensors *f = b->reader;
    return tensors_pread(b, f->data + t->storage + at, bytes, n, err);
}

static sg_status read(tensor_file *b, const stored_tensor *t, tensor_sink sink, void *ctx, sg_error *err)
{
    return tensors_read_strided(b, t, fetch, sink, ctx, err);
}

static tensor_dtype dtype_of(const char *name)
{
    static const struct {
        const char *name;
        tensor_dtype d;
    } known[] = {{"F32", DTYPE_F32}, {"F16", DTYPE_F16},  {"BF16", DTYPE_BF16}, {"F64", DTYPE_F64},
                 {"I64", DTYPE_I64}, {"I32", DTYPE_I32},  {"I16", DTYPE_I16},   {"I8", DTYPE_I8},
                 {"U8", DTYPE_U8},   {"BOOL", DTYPE_BOOL}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, name))
            return known[i].d;
    return DTYPE_OTHER;
}

/* Python's save_model writes one of several shared tensors and notes the others as "name": "name of the
 * one". */
static sg_status add_shared(tensor_file *b, const sg_safetensors *s, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t i = 0; i < safetensors_meta_count(s); i++) {
        const char *key, *value;
        safetensors_meta_get(s, i, &key, &value);
        const sg_safetensor *of = safetensors_find(s, value);
        if (!of || safetensors_find(s, key))
            continue;
        stored_tensor *t;
        uint64_t dims[TENSORS_MAX_RANK];
        for (size_t k = 0; k < of->rank; k++)
            dims[k] = of->shape[k];
        TRY(tensors_add(b, key, dtype_of(of->dtype), (unsigned)of->rank, dims, NULL, &t, err));
        t->storage = (size_t)of->begin;
        t->container = 1;
    }
done:
    return st;
}

sg_status tensors_from_safetensors(tensor_file *b, sg_error *err)
{
    sg_status st;
    sg_safetensors *s = NULL;
    unsigned char head[8];
    safetensors *f = sg_calloc(1, sizeof *f);
    if (!f)
        return no_memory(err, "%s", b->path);
    b->reader = f;
    b->read = read;
    b->close = close_safetensors;
    TRY(safetensors_open(&s, b->path, err));
    TRY(tensors_pread(b, 0, head, sizeof head, err));
    for (int k = 7; k >= 0; k--)
        f->data = f->data << 8 | head[k];
    f->data += 8;
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const sg_safetensor *from = safetensors_get(s, i);
        uint64_t dims[TENSORS_MAX_RANK];
        stored_tensor *t;
        for (size_t k = 0; k < from->rank; k++)
            dims[k] = from->shape[k];
        TRY(tensors_add(b, from->name, dtype_of(from->dtype), (unsigned)from->rank, dims, NULL, &t, err));
        t->storage = (size_t)from->begin;
        snprintf(t->other_type, sizeof t->other_type, "%s", from->dtype);
        t->container = 1;
    }
    TRY(add_shared(b, s, err));
done:
    safetensors_close(s);
    return st;
}
