/* SPDX-License-Identifier: MIT */
/* The bytes of an ONNX file: protobuf through protobuf-c and the messages of onnx.proto, in bounded memory.
 *
 * Before protobuf-c may build anything, the wire format is walked once. That bounds how deep messages nest
 * (protobuf-c recurses) and leaves the numbers of large tensors in the file: the walk moves the bytes
 * together in place, a raw_data field becoming a segment with its place in the file. What is left unpacks
 * from a budget: small files can ask for much. */
#include "import/onnx_internal.h"

#include "base/base_internal.h"

#include <string.h>

enum { MAX_NESTING = 48, KEPT = 256, HEADROOM = 40 << 20 };
enum { TENSOR_SEGMENT = 3, TENSOR_RAW_DATA = 9 }; /* field numbers of TensorProto */

/* ---- the walk ---- */

static bool varint(const unsigned char **at, const unsigned char *end, uint64_t *x)
{
    *x = 0;
    for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
        unsigned char c = *(*at)++;
        *x |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80))
            return true;
    }
    return false;
}

typedef struct {
    const unsigned char *file; /* its first byte */
    unsigned char *out;        /* never beyond what has been read */
} walk;

static void keep(walk *w, const unsigned char *from, const unsigned char *end)
{
    memmove(w->out, from, (size_t)(end - from));
    w->out += end - from;
}

/* x in exactly `width` bytes: a shorter number may have leading zeros. */
static void put_varint(unsigned char *to, size_t width, uint64_t x)
{
    for (size_t i = 0; i < width; i++, x >>= 7)
        to[i] = (unsigned char)((x & 0x7f) | (i + 1 < width ? 0x80 : 0));
}

/* TensorProto.segment {begin, end}: less than KEPT bytes instead of the more than KEPT of the file. */
static void put_segment(walk *w, uint64_t begin, uint64_t end)
{
    enum { WIDTH = 10 };
    const unsigned char head[] = {TENSOR_SEGMENT << 3 | 2, 2 * (1 + WIDTH)};
    memcpy(w->out, head, sizeof head);
    w->out[2] = 1 << 3, w->out[3 + WIDTH] = 2 << 3; /* begin and end, both varints */
    put_varint(w->out + 3, WIDTH, begin);
    put_varint(w->out + 4 + WIDTH, WIDTH, end);
    w->out += sizeof head + 2 * (1 + WIDTH);
}

/* Walks one message of the type that desc describes; NULL: fine, else what is wrong with it. */
static const char *walk_message(walk *w, const unsigned char *at, const unsigned char *end,
                                const ProtobufCMessageDescriptor *desc, unsigned level)
{
    static const char *const damaged = "truncated or damaged";
    uint64_t once = 0; /* the fields of one message that have been seen, by their place in desc */
    if (!level)
        return "nested deeper than 48";
    while (at < end) {
        const unsigned char *field_at = at, *size_at;
        uint64_t tag, n;
        if (!varint(&at, end, &tag))
            return damaged;
        unsigned id = (unsigned)(tag >> 3 & 0x1fffffff);
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(desc, id);
        if (desc == &onnx__tensor_proto__descriptor && id == TENSOR_SEGMENT)
            return "a tensor is cut into segments, which are not read";
        switch (tag & 7) {
        case 0:
            if (!varint(&at, end, &n))
                return damaged;
            break;
        case 1:
        case 5:
            n = (tag & 7) == 1 ? 8 : 4;
            if ((uint64_t)(end - at) < n)
                return damaged;
            at += n;
            break;
        case 2:
            size_at = at;
            if (!varint(&at, end, &n) || n > (uint64_t)(end - at))
                return damaged;
            if (desc == &onnx__tensor_proto__descriptor && id == TENSOR_RAW_DATA && n > KEPT) {
                put_segment(w, (uint64_t)(at - w->file), (uint64_t)(at - w->file) + n);
                at += n;
                continue;
            }
            if (field && field->type == PROTOBUF_C_TYPE_MESSAGE) {
                uint64_t bit = UINT64_C(1) << (field - desc->fields) % 64;
                if (field->label != PROTOBUF_C_LABEL_REPEATED && once & bit)
                    return "a message that may occur once occurs twice"; /* protobuf-c copies all at each */
                once |= bit;
                size_t width = (size_t)(at - size_at);
                keep(w, field_at, at);
                unsigned char *inner = w->out;
                const char *wrong = walk_message(w, at, at + n, field->descriptor, level - 1);
                if (wrong)
                    return wrong;
                put_varint(inner - width, width, (uint64_t)(w->out - inner));
                at += n;
                continue;
            }
            at += n;
            break;
        default:
            return damaged;
        }
        keep(w, field_at, at);
    }
    return NULL;
}

/* ---- unpacking ---- */

/* Allocation from a budget; the size of a block is kept in front of it. */
static void *budget_take(void *ctx, size_t size)
{
    onnx_budget *m = ctx;
    if (size > m->left)
        return NULL;
    size_t *p = sg_calloc(1, size + 64);
    if (!p)
        return NULL;
    m->left -= size;
    *p = size;
    return (char *)p + 64;
}

static void budget_give(void *ctx, void *pointer)
{
    onnx_budget *m = ctx;
    if (!pointer)
        return;
    size_t *p = (size_t *)(void *)((char *)pointer - 64);
    m->left += *p;
    sg_free(p);
}

sg_status onnx_unpack(tensor_file *b, sg_error *err)
{
    onnx *f = b->reader;
    sg_status st;
    size_t n = (size_t)b->file_size;
    unsigned char *data = sg_calloc(n + 1, 1);
    if (!data)
        return no_memory(err, "%zu bytes (%s)", n, b->path);
    TRY(tensors_pread(b, 0, data, n, err));
    walk w = {data, data};
    const char *wrong = walk_message(&w, data, data + n, &onnx__model_proto__descriptor, MAX_NESTING);
    if (wrong)
        TRY(sg_fail(err, SG_EFORMAT, "%s: not an ONNX model that can be read: %s", b->path, wrong));
    f->memory.left = n + HEADROOM;
    f->allocator = (ProtobufCAllocator){budget_take, budget_give, &f->memory};
    f->model = onnx__model_proto__unpack(&f->allocator, (size_t)(w.out - data), data);
    if (!f->model || !f->model->graph)
        TRY(sg_fail(err, SG_EFORMAT, "%s: not an ONNX model, or one that unpacks to much more than its size",
                    b->path));
    b->held = n + HEADROOM - f->memory.left;
done:
    sg_free(data);
    return st;
}

void onnx_unpacked_free(onnx *f)
{
    if (f->model)
        onnx__model_proto__free_unpacked(f->model, &f->allocator);
    f->model = NULL;
}

/* ---- numbers ---- */

tensor_dtype onnx_dtype(int32_t type)
{
    static const struct {
        bool known;
        tensor_dtype d;
    } types[] = {[1] = {true, DTYPE_F32},  [2] = {true, DTYPE_U8},   [3] = {true, DTYPE_I8},
                 [5] = {true, DTYPE_I16},  [6] = {true, DTYPE_I32},  [7] = {true, DTYPE_I64},
                 [9] = {true, DTYPE_BOOL}, [10] = {true, DTYPE_F16}, [11] = {true, DTYPE_F64},
                 [16] = {true, DTYPE_BF16}};
    return type >= 0 && type <= 16 && types[type].known ? types[type].d : DTYPE_OTHER;
}

bool onnx_has_data(const Onnx__TensorProto *t, tensor_dtype d, uint64_t elements)
{
    size_t width = dtype_size(d);
    if (t->n_external_data || (t->has_data_location && t->data_location))
        return false;
    if (t->segment || t->has_raw_data) {
        uint64_t bytes = t->segment ? (uint64_t)(t->segment->end - t->segment->begin) : t->raw_data.len;
        return width && bytes / width == elements && bytes % width == 0;
    }
    if (d == DTYPE_F32)
        return t->n_float_data == elements;
    if (d == DTYPE_F64)
        return t->n_double_data == elements;
    if (d == DTYPE_I64)
        return t->n_int64_data == elements;
    return t->n_int32_data == elements;
}

sg_status onnx_fetch(tensor_file *b, const stored_tensor *t, uint64_t at, void *bytes, size_t n,
                     sg_error *err)
{
    const onnx *f = b->reader;
    const Onnx__TensorProto *p = f->tensors[t->storage];
    unsigned char *to = bytes;
    if (p->segment)
        return tensors_pread(b, (uint64_t)p->segment->begin + at, bytes, n, err);
    if (p->has_raw_data)
        memcpy(to, p->raw_data.data + at, n);
    else if (t->dtype == DTYPE_F32)
        memcpy(to, (const char *)p->float_data + at, n);
    else if (t->dtype == DTYPE_F64)
        memcpy(to, (const char *)p->double_data + at, n);
    else /* 16 bits, each in an int32 of its own */
        for (size_t i = 0; i < n; i++)
            to[i] = (unsigned char)(p->int32_data[(at + i) / 2] >> ((at + i) % 2 * 8) & 0xff);
    return SG_OK;
}
