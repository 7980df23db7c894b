/* SPDX-License-Identifier: MIT */
/* TensorFlow.js: model.json holds the configuration of a Keras network (modelTopology) and a list of weights
 * (weightsManifest). Their numbers follow one another in shards, files of the same folder.
 *
 * A shard is opened only by a plain name (letters, digits, '.', '_', '-') in the folder of model.json: no
 * path in the file is followed. */
#include "import/keras_internal.h"

#include "base/base_internal.h"
#include "corpus/corpus_internal.h"
#include "io/file.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_JSON = 1 << 21, MAX_SHARDS = 256, MAX_GROUPS = 64, SHARD_NAME = 128 };

typedef struct {
    char name[SHARD_NAME];
    file_shard file;
} shard;

/* Weights of a group lie in its shards as if these were one file. */
typedef struct {
    size_t first, n; /* shards */
} group;

typedef struct {
    keras k; /* first: what the reading of a Keras network expects of a reader */
    json_t *root;
    shard shards[MAX_SHARDS];
    size_t n_shards;
    group groups[MAX_GROUPS];
    size_t n_groups;
    int16_t layer_of[TENSORS_MAX_TENSORS];  /* of weight i of the manifest; -1: none */
    unsigned group_of[TENSORS_MAX_TENSORS]; /* of tensor i, and where it begins there */
    uint64_t offset[TENSORS_MAX_TENSORS];
} tfjs;

static void tfjs_close(tensor_file *b)
{
    tfjs *f = b->reader;
    if (!f)
        return;
    for (size_t i = 0; i < f->n_shards; i++)
        file_shard_close(&f->shards[i].file);
    json_decref(f->root);
    sg_free(f->k.net.layers);
    sg_free(f);
    b->reader = NULL;
}

/* ---- shards ---- */

static bool is_plain_name(const char *s)
{
    size_t n = strlen(s);
    return n && n < SHARD_NAME && s[0] != '.' &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static sg_status open_shard(const tensor_file *b, shard *s, sg_error *err)
{
    const char *slash = strrchr(b->path, '/');
    return file_shard_open(&s->file, b->path, slash ? (size_t)(slash - b->path) + 1 : 0, s->name, err);
}

/* n bytes at offset `at` of a group, which may lie in several shards. */
static sg_status read_group(const tensor_file *b, const group *g, uint64_t at, unsigned char *bytes, size_t n,
                            const char *name, sg_error *err)
{
    sg_status st = SG_OK;
    tfjs *f = b->reader;
    for (size_t i = g->first; i < g->first + g->n && n; i++) {
        shard *s = &f->shards[i];
        TRY(open_shard(b, s, err));
        if (at >= s->file.bytes) {
            at -= s->file.bytes;
            continue;
        }
        size_t part = s->file.bytes - at < n ? (size_t)(s->file.bytes - at) : n;
        TRY(file_pread(s->file.fd, s->file.bytes, at, bytes, part, s->name, err));
        bytes += part;
        n -= part;
        at = 0;
    }
    if (n)
        TRY(sg_fail(err, SG_EFORMAT, "%s: tensor %s lies beyond the end of its shards (truncated?)", b->path,
                    name));
done:
    return st;
}

static sg_status fetch(tensor_file *b, const stored_tensor *t, uint64_t at, void *bytes, size_t n,
                       sg_error *err)
{
    const tfjs *f = b->reader;
    return read_group(b, &f->groups[f->group_of[t->storage]], f->offset[t->storage] + at, bytes, n, t->name,
                      err);
}

static sg_status read_tensor(tensor_file *b, const stored_tensor *t, tensor_sink sink, void *ctx,
                             sg_error *err)
{
    return tensors_read_strided(b, t, fetch, sink, ctx, err);
}

/* A model is bounded by its file's size: that of this one is the sum of its shards. */
static void add_shards(tensor_file *b)
{
    tfjs *f = b->reader;
    for (size_t i = 0; i < f->n_shards; i++)
        if (open_shard(b, &f->shards[i], NULL) == SG_OK)
            b->file_size += f->shards[i].file.bytes;
}

/* ---- weights ---- */

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* Bytes of a number as it is stored; 0: a type without a fixed width. Quantized numbers have a type of their
 * own; of these float16 is read. */
static size_t type_of(tensor_dtype *type, char other[16], const json_t *weight)
{
    static const struct {
        const char *name;
        tensor_dtype type;
        size_t width;
    } known[] = {{"float32", DTYPE_F32, 4},    {"float16", DTYPE_F16, 2}, {"int32", DTYPE_I32, 4},
                 {"uint8", DTYPE_U8, 1},       {"bool", DTYPE_BOOL, 1},   {"uint16", DTYPE_OTHER, 2},
                 {"complex64", DTYPE_OTHER, 8}};
    const json_t *quantized = json_object_get(weight, "quantization");
    const char *name = text_of(json_is_object(quantized) ? quantized : weight, "dtype");
    other[0] = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name)) {
            *type = known[i].type;
            if (json_is_object(quantized) && *type != DTYPE_F16) {
                *type = DTYPE_OTHER;
                snprintf(other, 16, "quantized %.5s", name);
            } else if (*type == DTYPE_OTHER)
                snprintf(other, 16, "%.15s", name);
            return known[i].width;
        }
    return 0;
}

/* The layer that one part of the name is ("lstm_1/lstm_cell/kernel"); -1: none. */
static int layer_of(const keras_net *net, const char *name)
{
    for (const char *c = name; *c; c += *c != 0) {
        size_t n = strcspn(c, "/");
        for (size_t i = 0; i < net->n && c[n]; i++)
            if (strlen(net->layers[i].name) == n && !strncmp(net->layers[i].name, c, n))
                return (int)i;
        c += n;
    }
    return -1;
}

/* Weight w of the manifest, if it is of this layer; *at moves behind its numbers. */
static sg_status add_weight(tensor_file *b, const json_t *weight, size_t w, unsigned g, uint64_t *at,
                            int layer, sg_error *err)
{
    tfjs *f = b->reader;
    const char *name = text_of(weight, "name");
    const json_t *shape = json_object_get(weight, "shape");
    uint64_t dims[TENSORS_MAX_RANK] = {0}, elements = 1;
    tensor_dtype type = DTYPE_OTHER;
    char other[16];
    stored_tensor *t;
    const size_t rank = json_array_size(shape), width = type_of(&type, other, weight);
    if (!json_is_array(shape) || rank > TENSORS_MAX_RANK || !width)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: a TensorFlow.js model: weight %.200s of type '%.30s' and %zu dimensions, expected a "
            "number type and at most %d",
            b->path, name, text_of(weight, "dtype"), rank, TENSORS_MAX_RANK);
    for (size_t k = 0; k < rank; k++) {
        json_int_t n = json_integer_value(json_array_get(shape, k));
        if (n < 0 || (n && elements > (UINT64_MAX >> 8) / (uint64_t)n))
            return sg_fail(err, SG_EFORMAT,
                           "%s: a TensorFlow.js model: weight %.200s has sizes that overflow", b->path, name);
        dims[k] = (uint64_t)n;
        elements *= dims[k];
    }
    uint64_t begin = *at;
    if (elements * width > UINT64_MAX - begin)
        return sg_fail(err, SG_EFORMAT, "%s: a TensorFlow.js model: its weights overflow", b->path);
    *at += elements * width;
    if (layer != f->layer_of[w])
        return SG_OK;
    sg_status st = tensors_add(b, name, type, (unsigned)rank, dims, NULL, &t, err);
    if (st != SG_OK)
        return st;
    memcpy(t->other_type, other, sizeof other);
    t->storage = b->n - 1;
    t->container = (unsigned)(layer + 1);
    f->group_of[t->storage] = g;
    f->offset[t->storage] = begin;
    if (layer >= 0 && !(t->layer_class = sg_strdup(f->k.net.layers[layer].class_name)))
        return no_memory(err, "the list of tensors (%s)", b->path);
    return SG_OK;
}

/* The weights of one layer (-1: of none), from all groups: those of a layer come one after the other. */
static sg_status add_layer(tensor_file *b, int layer, sg_error *err)
{
    tfjs *f = b->reader;
    sg_status st = SG_OK;
    const json_t *manifest = json_object_get(f->root, "weightsManifest");
    size_t first = b->n, w = 0, g, i;
    json_t *entry, *weight;
    json_array_foreach(manifest, g, entry)
    {
        uint64_t at = 0;
        json_array_foreach(json_object_get(entry, "weights"), i, weight)
            TRY(add_weight(b, weight, w++, (unsigned)g, &at, layer, err));
    }
    if (layer >= 0) {
        f->k.net.layers[layer].first = first;
        f->k.net.layers[layer].n = b->n - first;
    }
done:
    return st;
}

static sg_status read_manifest(tensor_file *b, sg_error *err)
{
    tfjs *f = b->reader;
    const json_t *manifest = json_object_get(f->root, "weightsManifest");
    size_t g, i;
    json_t *entry, *weight, *path;
    if (!json_is_array(manifest) || json_array_size(manifest) > MAX_GROUPS)
        return sg_fail(err, SG_EFORMAT,
                       "%s: a TensorFlow.js model: expected a weightsManifest of at most %d groups", b->path,
                       MAX_GROUPS);
    size_t w = 0;
    json_array_foreach(manifest, g, entry)
    {
        json_array_foreach(json_object_get(entry, "weights"), i, weight)
        {
            if (w == TENSORS_MAX_TENSORS)
                return sg_fail(err, SG_EFORMAT, "%s: a TensorFlow.js model of more than %d weights", b->path,
                               TENSORS_MAX_TENSORS);
            f->layer_of[w++] = (int16_t)layer_of(&f->k.net, text_of(weight, "name"));
        }
        f->groups[f->n_groups++] = (group){.first = f->n_shards};
        json_array_foreach(json_object_get(entry, "paths"), i, path)
        {
            const char *name = json_string_value(path);
            if (!name || !is_plain_name(name))
                return sg_fail(
                    err, SG_EFORMAT,
                    "%s: a TensorFlow.js model: shard '%.200s' is not a plain file name in its folder, "
                    "and no path in a file is followed",
                    b->path, name ? name : "");
            if (f->n_shards == MAX_SHARDS)
                return sg_fail(err, SG_EFORMAT, "%s: a TensorFlow.js model of more than %d shards", b->path,
                               MAX_SHARDS);
            shard *s = &f->shards[f->n_shards++];
            s->file.fd = -1;
            snprintf(s->name, sizeof s->name, "%s", name);
            f->groups[f->n_groups - 1].n++;
        }
    }
    return SG_OK;
}

static sg_status fill(tensor_file *b, sg_error *err)
{
    tfjs *f = b->reader;
    sg_status st;
    char *text = NULL;
    size_t size;
    json_error_t why;
    TRY(sg_read_file(&text, &size, b->path, MAX_JSON, err));
    if (!(f->root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why)))
        TRY(sg_fail(err, SG_EFORMAT, "%s: a TensorFlow.js model whose JSON is damaged in line %d: %s",
                    b->path, why.line, why.text));
    json_t *topology = json_object_get(f->root, "modelTopology");
    if (json_is_array(json_object_get(topology, "node")) ||
        !strcmp(text_of(f->root, "format"), "graph-model"))
        TRY(sg_fail(
            err, SG_EFORMAT,
            "%s: a TensorFlow.js graph model, whose graph is not read: import what it was converted from",
            b->path));
    f->k.net.third = strtol(text_of(topology, "keras_version"), NULL, 10) >= 3;
    f->k.net.config = json_is_object(json_object_get(topology, "model_config"))
                          ? json_object_get(topology, "model_config")
                          : topology;
    if (!json_is_object(json_object_get(f->k.net.config, "config")) &&
        !json_is_array(json_object_get(f->k.net.config, "config")))
        TRY(sg_fail(err, SG_EFORMAT, "%s: a TensorFlow.js model without layers in its modelTopology",
                    b->path));
    NEED(f->k.net.layers = sg_calloc(KERAS_MAX_LAYERS, sizeof *f->k.net.layers), err, "%s", b->path);
    TRY(keras_layers_from_config(b, err));
    TRY(read_manifest(b, err));
    for (size_t k = 0; k < f->k.net.n; k++)
        TRY(add_layer(b, (int)k, err));
    TRY(add_layer(b, -1, err));
    add_shards(b);
done:
    sg_free(text);
    return st;
}

sg_status tensors_from_tfjs(tensor_file *b, sg_error *err)
{
    if (!(b->reader = sg_calloc(1, sizeof(tfjs))))
        return no_memory(err, "%s", b->path);
    b->read = read_tensor;
    b->close = tfjs_close;
    b->in_order = true;
    return fill(b, err);
}
