/* SPDX-License-Identifier: MIT */
/* PyTorch since 1.6: a zip. NAME/data.pkl is a pickle, NAME/data/KEY the bytes of storage KEY. */
#include "import/torch_internal.h"

#include "base/base_internal.h"

#include <string.h>

static sg_status fetch_zip(tensor_file *b, const stored_tensor *t, uint64_t at, void *bytes, size_t n,
                           sg_error *err)
{
    torch *f = b->reader;
    return archive_fetch(f->zip, (size_t)f->storages[t->storage].at, at, bytes, n, t->name, err);
}

static sg_status read_zip(tensor_file *b, const stored_tensor *t, tensor_sink sink, void *ctx, sg_error *err)
{
    return tensors_read_strided(b, t, fetch_zip, sink, ctx, err);
}

/* Each storage's entry, with a check that it holds as many bytes as the pickle states. */
static sg_status match_storages(tensor_file *b, sg_error *err)
{
    torch *f = b->reader;
    sg_status st = SG_OK;
    for (size_t i = 0; i < f->n_storages; i++) {
        torch_storage *s = &f->storages[i];
        char name[TENSORS_MAX_NAME + 300];
        uint64_t size;
        size_t width = dtype_size(s->dtype);
        snprintf(name, sizeof name, "%sdata/%s", f->prefix, s->key);
        int64_t entry = archive_find(f->zip, name);
        if (entry < 0)
            TRY(sg_fail(err, SG_EFORMAT, "%s: holds no %s, the storage of a tensor", b->path, name));
        TRY(archive_size(f->zip, (size_t)entry, &size, err));
        if (width && s->elements > size / width)
            TRY(sg_fail(err, SG_EFORMAT, "%s: %s has %llu bytes, expected %llu elements of %zu", b->path,
                        name, (unsigned long long)size, (unsigned long long)s->elements, width));
        s->at = (uint64_t)entry;
    }
done:
    return st;
}

/* A zip of something else: what to unpack. */
static sg_status no_pickle(const tensor_file *b, sg_error *err)
{
    const torch *f = b->reader;
    char inside[300] = "";
    size_t n = archive_count(f->zip);
    for (size_t i = 0; i < n && i < 2000; i++) {
        const char *name = archive_name(f->zip, i);
        size_t used = strlen(inside);
        if (name && used < 200 && file_is_weights(name))
            snprintf(inside + used, sizeof inside - used, "%s%.90s", used ? ", " : "", name);
    }
    if (inside[0])
        return sg_fail(err, SG_EFORMAT,
                       "%s: is a zip archive without data.pkl, not one of PyTorch: unpack it and import "
                       "one of %s",
                       b->path, inside);
    return sg_fail(err, SG_EFORMAT, "%s: is a zip archive without data.pkl, not one of PyTorch", b->path);
}

/* The entry NAME/data.pkl; f->prefix becomes "NAME/". */
static sg_status find_pickle(tensor_file *b, size_t *entry, sg_error *err)
{
    torch *f = b->reader;
    for (size_t i = 0; i < archive_count(f->zip); i++) {
        const char *name = archive_name(f->zip, i);
        size_t n = name ? strlen(name) : 0;
        if (n < 8 || n >= TENSORS_MAX_NAME || strcmp(name + n - 8, "data.pkl") != 0 ||
            (n > 8 && name[n - 9] != '/'))
            continue;
        if (!(f->prefix = sg_strndup(name, n - 8)))
            return no_memory(err, "%s", b->path);
        *entry = i;
        return SG_OK;
    }
    return no_pickle(b, err);
}

sg_status tensors_from_torch_zip(tensor_file *b, sg_error *err)
{
    sg_status st = SG_OK;
    size_t used, size, entry = 0;
    unsigned char *order = NULL;
    char name[TENSORS_MAX_NAME + 16];
    torch *f = sg_calloc(1, sizeof *f);
    if (!f)
        return no_memory(err, "%s", b->path);
    b->reader = f;
    b->close = torch_close;
    b->read = read_zip;
    TRY(archive_open(&f->zip, b->path, err));
    TRY(find_pickle(b, &entry, err));
    snprintf(name, sizeof name, "%sbyteorder", f->prefix);
    int64_t byteorder = archive_find(f->zip, name);
    if (byteorder >= 0) {
        TRY(archive_read(f->zip, (size_t)byteorder, &order, &size, err));
        if (size != 6 || memcmp(order, "little", 6) != 0)
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: was written in big-endian byte order, only little-endian is read", b->path));
    }
    TRY(archive_read(f->zip, entry, &f->data, &size, err));
    TRY(pickle_read(&f->values, f->data, size, &used, NULL, b->path, err));
    if (memmem(f->data, size, "nn.quantized", 12))
        TRY(tensors_set_attribute(b, "quantized", "its modules are of torch.nn.quantized", err));
    TRY(torch_fill_from_pickle(b, err));
    TRY(match_storages(b, err));
done:
    sg_free(order);
    return st;
}
