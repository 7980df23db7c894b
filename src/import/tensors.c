/* SPDX-License-Identifier: MIT */
/* Named tensors of any file: the list, the conversions to float, the walk over strided storage. */
#include "import/tensors.h"

#include "base/base_internal.h"
#include "io/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *shape_text(const stored_tensor *t, char text[96])
{
    size_t n = 1;
    text[0] = '(';
    text[1] = 0;
    for (unsigned k = 0; k < t->rank && n < 70; k++) {
        int more = snprintf(text + n, 96 - n, "%s%llu", k ? ", " : "", (unsigned long long)t->dims[k]);
        n += (size_t)more;
    }
    snprintf(text + n, 96 - n, ")");
    return text;
}

const char *tensor_type_name(const stored_tensor *t)
{
    return t->dtype == DTYPE_OTHER && t->other_type[0] ? t->other_type : dtype_name(t->dtype);
}

void word_list_free(word_list *w)
{
    sg_free(w->text);
    sg_free(w->at);
    *w = (word_list){0};
}

/* ---- the list ---- */

void tensors_free(tensor_file *b)
{
    if (!b)
        return;
    if (b->close)
        b->close(b);
    for (size_t i = 0; i < b->n; i++) {
        sg_free(b->tensors[i].name);
        sg_free(b->tensors[i].layer_class);
    }
    for (size_t i = 0; i < b->n_attributes; i++) {
        sg_free(b->attributes[i].key);
        sg_free(b->attributes[i].value);
    }
    sg_free(b->tensors);
    sg_free(b->attributes);
    sg_free(b->path);
    if (b->fd >= 0)
        close(b->fd);
    sg_free(b);
}

static bool name_is_known(const tensor_file *b, const char *name)
{
    for (size_t i = 0; i < b->n; i++)
        if (!strcmp(b->tensors[i].name, name))
            return true;
    return false;
}

sg_status tensors_add(tensor_file *b, const char *name, tensor_dtype dtype, unsigned rank,
                      const uint64_t *dims, const uint64_t *strides, stored_tensor **out, sg_error *err)
{
    stored_tensor t = {.dtype = dtype, .rank = rank, .elements = 1};
    if (!name[0] || strlen(name) >= TENSORS_MAX_NAME)
        return sg_fail(err, SG_EFORMAT, "%s: a tensor's name has %zu bytes, expected 1 to %d", b->path,
                       strlen(name), TENSORS_MAX_NAME - 1);
    if (rank > TENSORS_MAX_RANK)
        return sg_fail(err, SG_EFORMAT, "%s: tensor %s has %u dimensions, at most %d are read", b->path, name,
                       rank, TENSORS_MAX_RANK);
    if (b->n >= TENSORS_MAX_TENSORS)
        return sg_fail(err, SG_EFORMAT, "%s: more than %d tensors", b->path, TENSORS_MAX_TENSORS);
    if (name_is_known(b, name))
        return sg_fail(err, SG_EFORMAT, "%s: tensor %s occurs twice", b->path, name);
    for (unsigned k = rank; k > 0; k--) {
        t.dims[k - 1] = dims[k - 1];
        t.strides[k - 1] = strides ? strides[k - 1] : t.elements;
        if (__builtin_mul_overflow(t.elements, dims[k - 1], &t.elements) || t.elements > UINT64_MAX / 16)
            return sg_fail(err, SG_EFORMAT, "%s: the size of tensor %s overflows", b->path, name);
    }
    if (b->n == b->room) {
        size_t room = b->room ? 2 * b->room : 32;
        stored_tensor *grown = sg_regrow(b->tensors, b->room, room, sizeof *grown);
        if (!grown)
            return no_memory(err, "the list of tensors (%s)", b->path);
        b->tensors = grown;
        b->room = room;
    }
    if (!(t.name = sg_strdup(name)))
        return no_memory(err, "the list of tensors (%s)", b->path);
    b->tensors[b->n] = t;
    *out = &b->tensors[b->n++];
    return SG_OK;
}

sg_status tensors_set_attribute(tensor_file *b, const char *key, const char *value, sg_error *err)
{
    file_attribute a = {0};
    if (b->n_attributes == b->attributes_room) {
        size_t room = b->attributes_room ? 2 * b->attributes_room : 16;
        file_attribute *grown = sg_regrow(b->attributes, b->attributes_room, room, sizeof *grown);
        if (!grown)
            return no_memory(err, "its attributes (%s)", b->path);
        b->attributes = grown;
        b->attributes_room = room;
    }
    a.key = sg_strdup(key);
    a.value = sg_strdup(value);
    if (!a.key || !a.value) {
        sg_free(a.key);
        sg_free(a.value);
        return no_memory(err, "its attributes (%s)", b->path);
    }
    b->attributes[b->n_attributes++] = a;
    return SG_OK;
}

const char *tensors_attribute(const tensor_file *b, const char *key)
{
    for (size_t i = 0; i < b->n_attributes; i++)
        if (!strcmp(b->attributes[i].key, key))
            return b->attributes[i].value;
    return NULL;
}

const stored_tensor *tensors_find(const tensor_file *b, const char *name)
{
    const stored_tensor *tail = NULL;
    size_t length = strlen(name);
    for (size_t i = 0; i < b->n; i++)
        if (!strcmp(b->tensors[i].name, name))
            return &b->tensors[i];
    for (size_t i = 0; i < b->n; i++) {
        const char *whole = b->tensors[i].name;
        size_t n = strlen(whole);
        if (n <= length || strcmp(whole + n - length, name) != 0 || !strchr("./", whole[n - length - 1]))
            continue;
        if (tail)
            return NULL; /* two tails: the caller must choose one */
        tail = &b->tensors[i];
    }
    return tail;
}

bool tensors_same_data(const stored_tensor *a, const stored_tensor *b)
{
    return a == b || (a->storage == b->storage && a->offset == b->offset && a->dtype == b->dtype &&
                      a->rank == b->rank && !memcmp(a->dims, b->dims, sizeof a->dims) &&
                      !memcmp(a->strides, b->strides, sizeof a->strides));
}

/* ---- numbers ---- */

bool tensor_view_fits(const stored_tensor *t, uint64_t n)
{
    uint64_t last = t->offset, step;
    if (!t->elements)
        return true;
    for (unsigned k = 0; k < t->rank; k++)
        if (__builtin_mul_overflow(t->dims[k] - 1, t->strides[k], &step) ||
            __builtin_add_overflow(last, step, &last))
            return false;
    return last < n;
}

sg_status tensors_pread(tensor_file *b, uint64_t at, void *bytes, size_t n, sg_error *err)
{
    return file_pread(b->fd, b->file_size, at, bytes, n, b->path, err);
}

/* One dimension of a walk in storage order: how far a step goes in storage and in logical row-major order. */
typedef struct {
    uint64_t size, stride, logical;
} axis;

/* The dimensions with more than one entry, largest stride first, neighbours that walk as one joined. */
static unsigned storage_axes(const stored_tensor *t, axis axes[TENSORS_MAX_RANK])
{
    unsigned n = 0;
    uint64_t logical = 1;
    for (unsigned k = t->rank; k > 0; k--) {
        if (t->dims[k - 1] > 1)
            axes[n++] = (axis){t->dims[k - 1], t->strides[k - 1], logical};
        logical *= t->dims[k - 1];
    }
    for (unsigned i = 1; i < n; i++)
        for (unsigned j = i; j > 0 && axes[j].stride > axes[j - 1].stride; j--) {
            axis swap = axes[j];
            axes[j] = axes[j - 1];
            axes[j - 1] = swap;
        }
    unsigned kept = 0;
    for (unsigned i = 0; i < n; i++) {
        axis *outer = kept ? &axes[kept - 1] : NULL, inner = axes[i];
        if (outer && outer->stride == inner.stride * inner.size &&
            outer->logical == inner.logical * inner.size)
            *outer = (axis){outer->size * inner.size, inner.stride, inner.logical};
        else
            axes[kept++] = inner;
    }
    return kept;
}

enum { CHUNK = 1 << 14 };

typedef struct {
    unsigned char bytes[CHUNK * 8];
    float values[CHUNK];
} read_buffer;

/* size elements from `at` on, each `stride` apart in storage and `logical` apart in the tensor. */
static sg_status read_run(tensor_file *b, const stored_tensor *t, const axis *run, uint64_t at,
                          uint64_t first, tensor_fetch fetch, tensor_sink sink, void *ctx,
                          read_buffer *buffer, sg_error *err)
{
    size_t width = dtype_size(t->dtype);
    for (uint64_t done = 0; done < run->size;) {
        size_t n = run->stride == 1 ? CHUNK : 1;
        if (n > run->size - done)
            n = (size_t)(run->size - done);
        sg_status st = fetch(b, t, (at + done * run->stride) * width, buffer->bytes, n * width, err);
        if (st != SG_OK)
            return st;
        dtype_to_float(buffer->values, buffer->bytes, t->dtype, n);
        sink(ctx, first + done * run->logical, run->logical, buffer->values, n);
        done += n;
    }
    return SG_OK;
}

sg_status tensors_read_strided(tensor_file *b, const stored_tensor *t, tensor_fetch fetch, tensor_sink sink,
                               void *ctx, sg_error *err)
{
    sg_status st = SG_OK;
    axis axes[TENSORS_MAX_RANK + 1];
    uint64_t index[TENSORS_MAX_RANK + 1] = {0};
    read_buffer *buffer = NULL;
    if (!t->elements)
        return SG_OK;
    if (!dtype_is_float(t->dtype))
        return sg_fail(err, SG_EFORMAT, "%s: tensor %s holds %s, expected floating-point numbers", b->path,
                       t->name, tensor_type_name(t));
    unsigned n = storage_axes(t, axes);
    if (!n)
        axes[n++] = (axis){1, 1, 1};
    for (unsigned k = 0; k < n; k++) {
        uint64_t inner = k + 1 < n ? axes[k + 1].stride * (axes[k + 1].size - 1) : 0;
        if (axes[k].stride <= inner || !axes[k].stride)
            return sg_fail(err, SG_EFORMAT,
                           "%s: tensor %s: its strides make entries overlap, expected an ordinary "
                           "matrix",
                           b->path, t->name);
    }
    if (!(buffer = sg_calloc(1, sizeof *buffer)))
        return no_memory(err, "tensor %s (%s)", t->name, b->path);
    for (;;) {
        uint64_t at = t->offset, first = 0;
        for (unsigned k = 0; k + 1 < n; k++) {
            at += index[k] * axes[k].stride;
            first += index[k] * axes[k].logical;
        }
        TRY(read_run(b, t, &axes[n - 1], at, first, fetch, sink, ctx, buffer, err));
        unsigned k = n - 1;
        while (k > 0 && ++index[k - 1] == axes[k - 1].size)
            index[--k] = 0;
        if (!k)
            break;
    }
done:
    sg_free(buffer);
    return st;
}
