/* SPDX-License-Identifier: MIT */
#include "io/safetensors.h"

#include "base/base_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_HEADER = 100 << 20,
    MAX_TENSORS = 1 << 20,
    VALUE_BYTES = 128 /* that a parsed JSON value may take */
};

typedef struct {
    const char *key, *value;
} meta_entry;

struct sg_safetensors {
    char *path;
    int fd;
    uint64_t data; /* offset of the data in the file */
    json_t *header;
    sg_safetensor *tensors;
    size_t n;
    meta_entry *meta;
    size_t n_meta;
};

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8},     {"I64", 8},
              {"I32", 4}, {"I16", 2}, {"I8", 1},   {"U8", 1},      {"BOOL", 1},
              {"U16", 2}, {"U32", 4}, {"U64", 8},  {"F8_E4M3", 1}, {"F8_E5M2", 1}};

static size_t dtype_bytes(const char *name)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (!strcmp(dtypes[i].name, name))
            return dtypes[i].bytes;
    return 0;
}

static sg_status read_at(const sg_safetensors *s, uint64_t offset, void *to, size_t n, sg_error *err)
{
    unsigned char *p = to;
    while (n) {
        ssize_t got = pread(s->fd, p, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return sg_fail(err, SG_EIO, "%s: %s", s->path, strerror(errno));
        if (got == 0)
            return sg_fail(err, SG_EFORMAT, "%s: became shorter while it was read", s->path);
        p += got, offset += (uint64_t)got, n -= (size_t)got;
    }
    return SG_OK;
}

static sg_status parse_tensor(const sg_safetensors *s, sg_safetensor *t, const char *name, json_t *entry,
                              uint64_t data_size, sg_error *err)
{
    json_t *dtype = json_object_get(entry, "dtype"), *shape = json_object_get(entry, "shape");
    json_t *offsets = json_object_get(entry, "data_offsets"), *value;
    size_t i;
    t->name = name;
    t->elements = 1;
    if (!json_is_string(dtype) || !json_is_array(shape) || !json_is_array(offsets) ||
        json_array_size(offsets) != 2)
        return sg_fail(err, SG_EFORMAT, "%s: tensor '%s' needs dtype, shape and two data_offsets", s->path,
                       name);
    t->dtype = json_string_value(dtype);
    size_t bytes = dtype_bytes(t->dtype);
    if (!bytes)
        return sg_fail(err, SG_EFORMAT, "%s: tensor '%s' has unknown dtype '%s'", s->path, name, t->dtype);
    if ((t->rank = json_array_size(shape)) > SG_SAFETENSORS_MAX_RANK)
        return sg_fail(err, SG_EFORMAT, "%s: tensor '%s' has %zu dimensions, expected at most %d", s->path,
                       name, t->rank, (int)SG_SAFETENSORS_MAX_RANK);
    json_array_foreach(shape, i, value)
    {
        json_int_t n = json_is_integer(value) ? json_integer_value(value) : -1;
        if (n < 0)
            return sg_fail(err, SG_EFORMAT,
                           "%s: tensor '%s', dimension %zu: expected a whole number, 0 or more", s->path,
                           name, i);
        t->shape[i] = (size_t)n;
        if (n && t->elements > SIZE_MAX / 8 / (size_t)n)
            return sg_fail(err, SG_EFORMAT, "%s: tensor '%s' is larger than any memory", s->path, name);
        t->elements *= (size_t)n;
    }
    json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    json_int_t b = json_is_integer(begin) ? json_integer_value(begin) : -1;
    json_int_t e = json_is_integer(end) ? json_integer_value(end) : -1;
    if (b < 0 || e < b || (uint64_t)e > data_size)
        return sg_fail(err, SG_EFORMAT,
                       "%s: tensor '%s' at bytes %lld to %lld, the file holds %llu bytes of data", s->path,
                       name, (long long)b, (long long)e, (unsigned long long)data_size);
    if ((uint64_t)(e - b) != (uint64_t)t->elements * bytes)
        return sg_fail(err, SG_EFORMAT, "%s: tensor '%s': %lld bytes, its shape needs %zu", s->path, name,
                       (long long)(e - b), t->elements * bytes);
    t->begin = (uint64_t)b, t->end = (uint64_t)e;
    return SG_OK;
}

static int by_begin(const void *a, const void *b)
{
    const sg_safetensor *x = *(const sg_safetensor *const *)a, *y = *(const sg_safetensor *const *)b;
    return x->begin != y->begin ? (x->begin < y->begin ? -1 : 1) : (x->end > y->end) - (x->end < y->end);
}

/* Every byte of the data belongs to exactly one tensor. */
static sg_status check_layout(const sg_safetensors *s, uint64_t data_size, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t at = 0;
    const sg_safetensor **order = sg_calloc(s->n, sizeof *order);
    if (!order)
        return no_memory(err, "%zu tensors (%s)", s->n, s->path);
    for (size_t i = 0; i < s->n; i++)
        order[i] = &s->tensors[i];
    qsort(order, s->n, sizeof *order, by_begin);
    for (size_t i = 0; i < s->n; i++) {
        if (order[i]->begin < at)
            TRY(sg_fail(err, SG_EFORMAT, "%s: tensors '%s' and '%s' overlap", s->path, order[i - 1]->name,
                        order[i]->name));
        if (order[i]->begin > at)
            TRY(sg_fail(err, SG_EFORMAT, "%s: bytes %llu to %llu of the data belong to no tensor", s->path,
                        (unsigned long long)at, (unsigned long long)order[i]->begin));
        at = order[i]->end;
    }
    if (at != data_size)
        TRY(sg_fail(err, SG_EFORMAT, "%s: tensors end at byte %llu of the data, the file holds %llu", s->path,
                    (unsigned long long)at, (unsigned long long)data_size));
done:
    sg_free(order);
    return st;
}

static sg_status parse_meta(sg_safetensors *s, json_t *meta, sg_error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(meta))
        return sg_fail(err, SG_EFORMAT, "%s: __metadata__ is not an object", s->path);
    if (!(s->meta = sg_calloc(json_object_size(meta), sizeof *s->meta)))
        return no_memory(err, "the metadata (%s)", s->path);
    json_object_foreach(meta, key, value)
    {
        if (!json_is_string(value))
            return sg_fail(err, SG_EFORMAT, "%s: metadata '%s' is not a string", s->path, key);
        s->meta[s->n_meta++] = (meta_entry){key, json_string_value(value)};
    }
    return SG_OK;
}

static sg_status parse_header(sg_safetensors *s, uint64_t data_size, sg_error *err)
{
    const char *name;
    json_t *entry;
    size_t n = json_object_size(s->header);
    if (n > MAX_TENSORS)
        return sg_fail(err, SG_EFORMAT, "%s: %zu tensors, expected at most %d", s->path, n, (int)MAX_TENSORS);
    if (!(s->tensors = sg_calloc(n, sizeof *s->tensors)))
        return no_memory(err, "%zu tensors (%s)", n, s->path);
    json_object_foreach(s->header, name, entry)
    {
        sg_status st = strcmp(name, "__metadata__")
                           ? parse_tensor(s, &s->tensors[s->n++], name, entry, data_size, err)
                           : parse_meta(s, entry, err);
        if (st != SG_OK)
            return st;
    }
    return check_layout(s, data_size, err);
}

size_t json_value_count(const char *text, size_t n)
{
    size_t values = 1;
    bool inside = false;
    for (size_t i = 0; i < n; i++) {
        if (inside && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            inside = !inside;
        else if (!inside)
            values += text[i] == ',' || text[i] == ':' || text[i] == '[' || text[i] == '{';
    }
    return values;
}

sg_status safetensors_open(sg_safetensors **out, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    char *text = NULL;
    uint64_t length;
    struct stat info;
    json_error_t why;
    *out = NULL;
    sg_safetensors *s = sg_calloc(1, sizeof *s);
    if (!s)
        return no_memory(err, "%s", path);
    s->fd = -1;
    NEED(s->path = sg_strdup(path), err, "%s", path);
    if ((s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0 || fstat(s->fd, &info) != 0)
        TRY(sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno)));
    if (!S_ISREG(info.st_mode))
        TRY(sg_fail(err, SG_EFORMAT, "%s: is not a regular file", path));
    uint64_t size = (uint64_t)info.st_size;
    if (size < 10)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %llu bytes are too few for a safetensors file", path,
                    (unsigned long long)size));
    TRY(read_at(s, 0, &length, sizeof length, err));
    if (length < 2 || length > MAX_HEADER || length > size - 8)
        TRY(sg_fail(err, SG_EFORMAT,
                    "%s: not a safetensors file or cut short: a header of %llu bytes in a file of %llu", path,
                    (unsigned long long)length, (unsigned long long)size));
    NEED(text = sg_calloc((size_t)length, 1), err, "a header of %llu bytes (%s)", (unsigned long long)length,
         path);
    TRY(read_at(s, 8, text, (size_t)length, err));
    if (json_value_count(text, (size_t)length) > (size + ((uint64_t)32 << 20)) / VALUE_BYTES)
        TRY(sg_fail(err, SG_EFORMAT, "%s: not a safetensors file: a header of %zu values", path,
                    json_value_count(text, (size_t)length)));
    if (!(s->header = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &why)))
        TRY(json_error_code(&why) == json_error_out_of_memory
                ? no_memory(err, "the header (%s)", path)
                : sg_fail(err, SG_EFORMAT, "%s: not a safetensors file: header, byte %d: %s", path,
                          why.position, why.text));
    if (!json_is_object(s->header))
        TRY(sg_fail(err, SG_EFORMAT, "%s: not a safetensors file: the header is not an object", path));
    s->data = 8 + length;
    TRY(parse_header(s, size - s->data, err));
    *out = s;
    s = NULL;
done:
    sg_free(text);
    safetensors_close(s);
    return st;
}

size_t safetensors_count(const sg_safetensors *s)
{
    return s->n;
}

const sg_safetensor *safetensors_get(const sg_safetensors *s, size_t i)
{
    return &s->tensors[i];
}

const sg_safetensor *safetensors_find(const sg_safetensors *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->tensors[i].name, name))
            return &s->tensors[i];
    return NULL;
}

const char *safetensors_meta(const sg_safetensors *s, const char *key)
{
    for (size_t i = 0; i < s->n_meta; i++)
        if (!strcmp(s->meta[i].key, key))
            return s->meta[i].value;
    return NULL;
}

size_t safetensors_meta_count(const sg_safetensors *s)
{
    return s->n_meta;
}

void safetensors_meta_get(const sg_safetensors *s, size_t i, const char **key, const char **value)
{
    *key = s->meta[i].key;
    *value = s->meta[i].value;
}

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float from_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, fraction = h & 1023u;
    if (exponent == 31)
        return from_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent)
        return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float tiny = (float)fraction * 0x1p-24f;
    return sign ? -tiny : tiny;
}

static float convert(const char *dtype, const unsigned char *p)
{
    uint16_t half;
    double wide;
    if (dtype[1] == '6') {
        memcpy(&wide, p, sizeof wide);
        return (float)wide;
    }
    memcpy(&half, p, sizeof half);
    return dtype[0] == 'B' ? from_bits((uint32_t)half << 16) : from_half(half);
}

sg_status safetensors_read(const sg_safetensors *s, const sg_safetensor *t, float *values, sg_error *err)
{
    if (!strcmp(t->dtype, "F32"))
        return read_at(s, s->data + t->begin, values, t->elements * sizeof *values, err);
    if (strcmp(t->dtype, "F64") && strcmp(t->dtype, "F16") && strcmp(t->dtype, "BF16"))
        return sg_fail(err, SG_EFORMAT, "%s: tensor '%s' is %s, expected F32, F64, F16 or BF16", s->path,
                       t->name, t->dtype);
    unsigned char block[8192];
    size_t width = dtype_bytes(t->dtype), room = sizeof block / width;
    for (size_t i = 0; i < t->elements; i += room) {
        size_t n = t->elements - i < room ? t->elements - i : room;
        sg_status st = read_at(s, s->data + t->begin + i * width, block, n * width, err);
        if (st != SG_OK)
            return st;
        for (size_t k = 0; k < n; k++)
            values[i + k] = convert(t->dtype, block + k * width);
    }
    return SG_OK;
}

static int compare_tensor_names(const void *a, const void *b)
{
    const sg_safetensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

sg_status safetensors_sha256(const sg_safetensors *s, char hex[65], sg_error *err)
{
    enum { BLOCK = 1 << 16 };
    sg_status st = SG_OK;
    sg_sha256 *hash = NULL;
    const sg_safetensor **order = sg_calloc(s->n, sizeof *order);
    unsigned char *block = sg_calloc(BLOCK, 1);
    NEED(order && block, err, "%s", s->path);
    TRY(sg_sha256_new(&hash, err));
    for (size_t i = 0; i < s->n; i++)
        order[i] = &s->tensors[i];
    if (s->n)
        qsort(order, s->n, sizeof *order, compare_tensor_names);
    for (size_t i = 0; i < s->n; i++)
        for (uint64_t at = order[i]->begin; at < order[i]->end;) {
            size_t n = order[i]->end - at < BLOCK ? (size_t)(order[i]->end - at) : BLOCK;
            TRY(read_at(s, s->data + at, block, n, err));
            sg_sha256_add(hash, block, n);
            at += n;
        }
    sg_sha256_hex(hash, hex);
done:
    sg_sha256_free(hash);
    sg_free(order);
    sg_free(block);
    return st;
}

void safetensors_close(sg_safetensors *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    json_decref(s->header);
    sg_free(s->tensors);
    sg_free(s->meta);
    sg_free(s->path);
    sg_free(s);
}
