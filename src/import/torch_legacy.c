/* SPDX-License-Identifier: MIT */
/* PyTorch before 1.6: magic number, protocol, machine, the pickle, a pickled list of storage keys, then for
 * each key its number of elements (8 bytes) and its bytes. */
#include "import/torch_internal.h"

#include "base/base_internal.h"

#include <string.h>

enum { PREFIX = 1 << 20 };

static sg_status fetch_legacy(tensor_file *b, const stored_tensor *t, uint64_t at, void *bytes, size_t n,
                              sg_error *err)
{
    const torch *f = b->reader;
    return tensors_pread(b, f->storages[t->storage].at + at, bytes, n, err);
}

static sg_status read_legacy(tensor_file *b, const stored_tensor *t, tensor_sink sink, void *ctx,
                             sg_error *err)
{
    return tensors_read_strided(b, t, fetch_legacy, sink, ctx, err);
}

typedef struct {
    pickle *head[3]; /* magic number, protocol, machine */
    pickle *values, *keys;
} legacy_pickles;

static void legacy_free(legacy_pickles *l)
{
    for (int i = 0; i < 3; i++)
        pickle_free(l->head[i]);
    pickle_free(l->values);
    pickle_free(l->keys);
    *l = (legacy_pickles){0};
}

/* The first pickle is PyTorch's magic number. */
static bool is_magic(const pickle *first)
{
    static const char magic[] = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    size_t n;
    const char *number = pickle_text(first, pickle_root(first), &n);
    return number && n == sizeof magic - 1 && !memcmp(number, magic, n);
}

/* The five pickles at the start of data; *used is where they end. */
static sg_status read_pickles(legacy_pickles *l, const unsigned char *data, size_t size, size_t *used,
                              bool *cut_short, const char *path, sg_error *err)
{
    sg_status st;
    pickle **const all[] = {&l->head[0], &l->head[1], &l->head[2], &l->values, &l->keys};
    *used = 0;
    for (size_t i = 0; i < 5; i++) {
        size_t n;
        TRY(pickle_read(all[i], data + *used, size - *used, &n, cut_short, path, err));
        *used += n;
        if (!i && !is_magic(l->head[0]))
            TRY(sg_fail(
                err, SG_EFORMAT,
                "%s: is a pickle, but not one of torch.save: save its arrays with numpy.savez, or the "
                "state_dict with torch.save",
                path));
    }
done:
    return st;
}

static sg_status check_head(tensor_file *b, const legacy_pickles *l, sg_error *err)
{
    uint32_t endian = pickle_get(l->head[2], pickle_root(l->head[2]), "little_endian");
    if (pickle_int(l->head[1], pickle_root(l->head[1])) != 1001)
        return sg_fail(err, SG_EFORMAT, "%s: PyTorch protocol %lld, expected 1001", b->path,
                       (long long)pickle_int(l->head[1], pickle_root(l->head[1])));
    if (endian && !pickle_int(l->head[2], endian))
        return sg_fail(err, SG_EFORMAT,
                       "%s: was written in big-endian byte order, only little-endian is read", b->path);
    return SG_OK;
}

/* After the pickles: for each key its number of elements and its bytes. */
static sg_status place_storages(tensor_file *b, const pickle *keys, uint64_t at, sg_error *err)
{
    torch *f = b->reader;
    sg_status st = SG_OK;
    uint32_t list = pickle_root(keys);
    bool *placed = sg_calloc(f->n_storages + 1, sizeof *placed);
    if (!placed)
        return no_memory(err, "%s", b->path);
    for (size_t i = 0; i < pickle_items(keys, list); i++) {
        unsigned char bytes[8];
        uint64_t elements = 0;
        size_t k = 0;
        TRY(tensors_pread(b, at, bytes, sizeof bytes, err));
        for (int j = 7; j >= 0; j--)
            elements = elements << 8 | bytes[j];
        at += 8;
        while (k < f->n_storages && !pickle_text_is(keys, pickle_item(keys, list, i), f->storages[k].key))
            k++;
        if (k == f->n_storages)
            TRY(sg_fail(err, SG_EFORMAT, "%s: holds a storage that no tensor uses, its size is not known",
                        b->path));
        torch_storage *s = &f->storages[k];
        size_t width = dtype_size(s->dtype);
        if (!width || elements != s->elements || elements > b->file_size / width ||
            elements * width > b->file_size - at)
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: storage %s has %llu elements, expected %llu, at byte %llu of %llu "
                        "(truncated?)",
                        b->path, s->key, (unsigned long long)elements, (unsigned long long)s->elements,
                        (unsigned long long)at, (unsigned long long)b->file_size));
        s->at = at;
        placed[k] = true;
        at += elements * width;
    }
    for (size_t k = 0; k < f->n_storages; k++)
        if (!placed[k])
            TRY(sg_fail(err, SG_EFORMAT, "%s: storage %s is not in the file (truncated?)", b->path,
                        f->storages[k].key));
done:
    sg_free(placed);
    return st;
}

sg_status tensors_from_torch_legacy(tensor_file *b, sg_error *err)
{
    sg_status st = SG_OK;
    legacy_pickles l = {0};
    size_t used = 0;
    torch *f = sg_calloc(1, sizeof *f);
    if (!f)
        return no_memory(err, "%s", b->path);
    b->reader = f;
    b->close = torch_close;
    b->read = read_legacy;
    /* The pickles are small and lie in front of the numbers: read as much as they need, not the file. */
    for (uint64_t size = PREFIX;; size *= 4) {
        bool cut_short = false;
        size_t n = (size_t)(size < b->file_size ? size : b->file_size);
        NEED(f->data = sg_calloc(n + 1, 1), err, "its pickles (%s)", b->path);
        TRY(tensors_pread(b, 0, f->data, n, err));
        st = read_pickles(&l, f->data, n, &used, &cut_short, b->path, err);
        if (st == SG_OK || !cut_short || n == b->file_size)
            break;
        legacy_free(&l);
        sg_free(f->data);
        f->data = NULL;
    }
    if (st != SG_OK)
        goto done;
    TRY(check_head(b, &l, err));
    if (memmem(f->data, used, "nn.quantized", 12))
        TRY(tensors_set_attribute(b, "quantized", "its modules are of torch.nn.quantized", err));
    f->values = l.values;
    l.values = NULL;
    TRY(torch_fill_from_pickle(b, err));
    TRY(place_storages(b, l.keys, used, err));
done:
    legacy_free(&l);
    return st;
}
