/* SPDX-License-Identifier: MIT */
/* TensorFlow checkpoints ("bundles"): NAME.index is a sorted table of name -> place, NAME.data-0000k-of-0000n
 * hold the numbers.
 *
 * The table is LevelDB's: a footer of 48 bytes points to a block of blocks; a block is entries (shared,
 * unshared and value length as varints, the rest of the key, the value) followed by restart points. A value
 * is a protobuf message: dtype (1), shape (2), shard (3), offset (4), size (5). Only uncompressed blocks are
 * written by TensorFlow and read here. Shards are opened by the index's own name alone: no name inside the
 * file is followed. */
#include "import/tensors.h"

#include "base/base_internal.h"
#include "io/file.h"

#include <string.h>

enum { FOOTER = 48, MAX_INDEX = 1 << 26, MAX_SHARDS = 64 };

typedef struct {
    unsigned char *index; /* the whole .index file */
    size_t size;
    file_shard shards[MAX_SHARDS];
    unsigned shard[TENSORS_MAX_TENSORS]; /* of tensor i */
    uint64_t offset[TENSORS_MAX_TENSORS];
    unsigned n_shards;
} tf_bundle;

static void bundle_close(tensor_file *b)
{
    tf_bundle *f = b->reader;
    if (!f)
        return;
    for (size_t i = 0; i < MAX_SHARDS; i++)
        file_shard_close(&f->shards[i]);
    sg_free(f->index);
    sg_free(f);
    b->reader = NULL;
}

/* A part of the index that is read from its front. */
typedef struct {
    const unsigned char *p, *end;
    bool bad;
} span;

static uint64_t varint(span *s)
{
    uint64_t x = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (s->p >= s->end)
            break;
        unsigned char c = *s->p++;
        x |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80))
            return x;
    }
    s->bad = true;
    return 0;
}

static span sub(span *s, uint64_t n)
{
    span part = {s->p, s->p, false};
    if (s->bad || n > (uint64_t)(s->end - s->p)) {
        s->bad = true;
        return part;
    }
    part.end = s->p + n;
    s->p += n;
    return part;
}

static sg_status damaged(const tensor_file *b, const char *what, sg_error *err)
{
    return sg_fail(err, SG_EFORMAT, "%s: a TensorFlow checkpoint's index that is damaged: %s", b->path, what);
}

/* The block of a handle (offset, size), its restart points cut off. */
static sg_status block_at(span *out, const tensor_file *b, span *handle, sg_error *err)
{
    const tf_bundle *f = b->reader;
    uint64_t at = varint(handle), n = varint(handle);
    if (handle->bad || at > f->size || n > f->size - at || f->size - at - n < 5 || n < 4)
        return damaged(b, "a block lies beyond its end", err);
    const unsigned char *p = f->index + at, *end = p + n;
    if (p[n])
        return sg_fail(err, SG_EFORMAT, "%s: its index is compressed (type %u), which is not read", b->path,
                       p[n]);
    uint32_t restarts = (uint32_t)(end[-4] | end[-3] << 8 | end[-2] << 16) | (uint32_t)end[-1] << 24;
    if (restarts > (n - 4) / 4)
        return damaged(b, "too many restart points", err);
    *out = (span){p, end - 4 - 4 * (size_t)restarts, false};
    return SG_OK;
}

/* The next entry of a block into key (kept from the one before, as entries share their starts). */
static bool next_entry(span *block, char key[TENSORS_MAX_NAME], size_t *length, span *value)
{
    if (block->bad || block->p >= block->end)
        return false;
    uint64_t shared = varint(block), own = varint(block), n = varint(block);
    span rest = sub(block, own);
    *value = sub(block, n);
    if (block->bad || shared > *length || shared + own >= TENSORS_MAX_NAME) {
        block->bad = true;
        return false;
    }
    memcpy(key + shared, rest.p, (size_t)own);
    *length = (size_t)(shared + own);
    key[*length] = 0;
    return true;
}

/* A field of a protobuf message: its number, and its number or bytes. */
static bool next_field(span *s, unsigned *field, uint64_t *number, span *bytes)
{
    if (s->bad || s->p >= s->end)
        return false;
    uint64_t tag = varint(s);
    *field = (unsigned)(tag >> 3);
    *number = 0;
    *bytes = (span){0};
    switch (tag & 7) {
    case 0:
        *number = varint(s);
        break;
    case 1:
        (void)sub(s, 8);
        break;
    case 2:
        *bytes = sub(s, varint(s));
        break;
    case 5:
        (void)sub(s, 4);
        break;
    default:
        s->bad = true;
    }
    return !s->bad;
}

static tensor_dtype dtype_of(uint64_t type)
{
    static const tensor_dtype known[] = {
        [0] = DTYPE_OTHER, [1] = DTYPE_F32, [2] = DTYPE_F64,  [3] = DTYPE_I32,
        [4] = DTYPE_U8,    [5] = DTYPE_I16, [6] = DTYPE_I8,   [7] = DTYPE_OTHER,
        [8] = DTYPE_OTHER, [9] = DTYPE_I64, [10] = DTYPE_BOOL};
    return type < sizeof known / sizeof *known ? known[type]
           : type == 14                        ? DTYPE_BF16
           : type == 19                        ? DTYPE_F16
                                               : DTYPE_OTHER;
}

static sg_status read_shape(uint64_t dims[TENSORS_MAX_RANK], unsigned *rank, const tensor_file *b, span shape,
                            sg_error *err)
{
    unsigned field;
    uint64_t number;
    span bytes;
    *rank = 0;
    while (next_field(&shape, &field, &number, &bytes)) {
        if (field != 2)
            continue;
        if (*rank == TENSORS_MAX_RANK)
            return damaged(b, "a tensor of too many dimensions", err);
        dims[*rank] = 0;
        span inner;
        uint64_t size;
        while (next_field(&bytes, &field, &size, &inner))
            if (field == 1)
                dims[*rank] = size;
        (*rank)++;
    }
    return SG_OK;
}

static sg_status add_entry(tensor_file *b, const char *name, span value, sg_error *err)
{
    tf_bundle *f = b->reader;
    unsigned field, rank = 0;
    uint64_t number, type = 0, shard = 0, offset = 0, size = 0, dims[TENSORS_MAX_RANK];
    span bytes, shape = {0};
    stored_tensor *t;
    while (next_field(&value, &field, &number, &bytes)) {
        type = field == 1 ? number : type;
        shape = field == 2 ? bytes : shape;
        shard = field == 3 ? number : shard;
        offset = field == 4 ? number : offset;
        size = field == 5 ? number : size;
        if (field == 7)
            return sg_fail(err, SG_EFORMAT, "%s: tensor %s is kept in slices, which are not read", b->path,
                           name);
    }
    if (value.bad)
        return damaged(b, name, err);
    sg_status st = read_shape(dims, &rank, b, shape, err);
    if (st == SG_OK)
        st = tensors_add(b, name, dtype_of(type), rank, dims, NULL, &t, err);
    if (st != SG_OK)
        return st;
    size_t width = dtype_size(t->dtype);
    if (shard >= f->n_shards || (width && (t->elements > UINT64_MAX / width || t->elements * width != size)))
        return sg_fail(err, SG_EFORMAT,
                       "%s: tensor %s has %llu bytes in shard %llu of %u, expected %llu numbers", b->path,
                       name, (unsigned long long)size, (unsigned long long)shard, f->n_shards,
                       (unsigned long long)t->elements);
    t->container = 1;
    t->storage = b->n - 1;
    f->shard[b->n - 1] = (unsigned)shard;
    f->offset[b->n - 1] = offset;
    return SG_OK;
}

/* The first entry has no name: a message of the number of shards. */
static sg_status read_header(const tensor_file *b, span value, sg_error *err)
{
    tf_bundle *f = b->reader;
    unsigned field;
    uint64_t number;
    span bytes;
    f->n_shards = 1;
    while (next_field(&value, &field, &number, &bytes)) {
        if (field == 1)
            f->n_shards = number <= MAX_SHARDS ? (unsigned)number : MAX_SHARDS + 1;
        if (field == 2 && number)
            return sg_fail(err, SG_EFORMAT,
                           "%s: was written in big-endian byte order, only little-endian is read", b->path);
    }
    if (f->n_shards < 1 || f->n_shards > MAX_SHARDS)
        return sg_fail(err, SG_EFORMAT, "%s: has more than %d shards", b->path, MAX_SHARDS);
    return SG_OK;
}

static sg_status read_index(tensor_file *b, sg_error *err)
{
    sg_status st;
    const tf_bundle *f = b->reader;
    char outer[TENSORS_MAX_NAME] = "", key[TENSORS_MAX_NAME] = "";
    size_t outer_length = 0, length = 0;
    span footer = {f->index + f->size - FOOTER, f->index + f->size - 8, false}, blocks, handle, block, value;
    (void)varint(&footer); /* the block of metadata */
    (void)varint(&footer);
    TRY(block_at(&blocks, b, &footer, err));
    while (next_entry(&blocks, outer, &outer_length, &handle)) {
        TRY(block_at(&block, b, &handle, err));
        length = 0;
        while (next_entry(&block, key, &length, &value)) {
            if (!length)
                TRY(read_header(b, value, err));
            else if (strcmp(key, "_CHECKPOINTABLE_OBJECT_GRAPH") != 0)
                TRY(add_entry(b, key, value, err));
        }
        if (block.bad)
            TRY(damaged(b, "an entry ends in the middle", err));
    }
    if (blocks.bad)
        TRY(damaged(b, "an entry ends in the middle", err));
done:
    return st;
}

/* NAME.data-00000-of-00001 in the folder of NAME.index, opened when it is first read. */
static sg_status open_shard(tensor_file *b, unsigned k, sg_error *err)
{
    tf_bundle *f = b->reader;
    char name[40];
    size_t n = strlen(b->path);
    if (n < 6 || strcmp(b->path + n - 6, ".index") != 0)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: the index of a TensorFlow checkpoint: its name must end in .index, its shards are "
            "in the same folder",
            b->path);
    snprintf(name, sizeof name, ".data-%05u-of-%05u", k, f->n_shards);
    return file_shard_open(&f->shards[k], b->path, n - 6, name, err);
}

static sg_status fetch(tensor_file *b, const stored_tensor *t, uint64_t at, void *bytes, size_t n,
                       sg_error *err)
{
    const tf_bundle *f = b->reader;
    unsigned k = f->shard[t->storage];
    sg_status st = open_shard(b, k, err);
    if (st != SG_OK)
        return st;
    const file_shard *s = &f->shards[k];
    if (f->offset[t->storage] > s->bytes)
        return sg_fail(err, SG_EFORMAT, "%s: tensor %s lies beyond its shard (truncated?)", b->path, t->name);
    return file_pread(s->fd, s->bytes, f->offset[t->storage] + at, bytes, n, b->path, err);
}

static sg_status read_tensor(tensor_file *b, const stored_tensor *t, tensor_sink sink, void *ctx,
                             sg_error *err)
{
    return tensors_read_strided(b, t, fetch, sink, ctx, err);
}

/* A model is bounded by its file's size: that of a checkpoint is the sum of its shards. */
static void add_shards(tensor_file *b)
{
    tf_bundle *f = b->reader;
    for (unsigned k = 0; k < f->n_shards; k++)
        if (open_shard(b, k, NULL) == SG_OK)
            b->file_size += f->shards[k].bytes;
}

sg_status tensors_from_tf_index(tensor_file *b, sg_error *err)
{
    sg_status st;
    tf_bundle *f = sg_calloc(1, sizeof *f);
    if (!f)
        return no_memory(err, "%s", b->path);
    for (size_t i = 0; i < MAX_SHARDS; i++)
        f->shards[i].fd = -1;
    f->n_shards = 1;
    b->reader = f;
    b->read = read_tensor;
    b->close = bundle_close;
    if (b->file_size < FOOTER || b->file_size > MAX_INDEX)
        TRY(sg_fail(err, SG_EFORMAT, "%s: an index of %llu bytes, at most %d are read", b->path,
                    (unsigned long long)b->file_size, MAX_INDEX));
    f->size = (size_t)b->file_size;
    NEED(f->index = sg_calloc(f->size, 1), err, "%s", b->path);
    TRY(tensors_pread(b, 0, f->index, f->size, err));
    TRY(read_index(b, err));
    add_shards(b);
done:
    return st;
}
