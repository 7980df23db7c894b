/* SPDX-License-Identifier: MIT */
/* Keras .h5 files: groups named by the attribute layer_names, datasets by weight_names, the network by
 * model_config.
 *
 * Only hard links within the file are followed, only datasets whose bytes lie in the file itself (no external
 * files, no virtual datasets) and pass through no filter but deflate, shuffle and the checksum are read. */
#include "import/keras.h"

#include "base/base_internal.h"
#include "corpus/corpus_internal.h"
#include "io/file.h"
#include "io/zip.h"

#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_NAMES = 1 << 13, MAX_TEXT = 1 << 24, MAX_CHUNK = 1 << 25, BLOCK = 1 << 15 };

/* ids of HDF5 are valid above 0; fd and size: of the HDF5 file itself, which may come out of a zip */
typedef struct {
    keras_net net;
    int fd; /* a temporary file of model.weights.h5; -1: b->fd is the HDF5 file */
    uint64_t size;

    hid_t file, root;
    size_t layers_room;
} keras;

const keras_net *keras_net_of(const tensor_file *b)
{
    return &((const keras *)b->reader)->net;
}

static void keras_close(tensor_file *b)
{
    keras *f = b->reader;
    if (!f)
        return;
    sg_hdf5_lock();
    if (f->root > 0 && f->root != f->file)
        H5Gclose(f->root);
    if (f->file > 0)
        H5Fclose(f->file);
    sg_hdf5_unlock();
    if (f->fd >= 0)
        close(f->fd);
    json_decref(f->net.config);
    sg_free(f->net.layers);
    sg_free(f);
    b->reader = NULL;
}

/* ---- attributes that hold text ---- */

typedef struct {
    char **at;
    size_t n;
} names;

static void names_free(names *l)
{
    for (size_t i = 0; i < l->n && l->at; i++)
        sg_free(l->at[i]);
    sg_free(l->at);
    *l = (names){0};
}

static sg_status copy_fixed(names *out, hid_t attribute, hid_t type, size_t n, const tensor_file *b,
                            sg_error *err)
{
    sg_status st = SG_OK;
    size_t width = H5Tget_size(type);
    char *text = NULL;
    if (!width || width > MAX_TEXT / (n ? n : 1))
        return sg_fail(err, SG_EFORMAT, "%s: an attribute of %zu texts of %zu bytes", b->path, n, width);
    NEED(text = sg_calloc(n * width + 1, 1), err, "an attribute (%s)", b->path);
    if (H5Aread(attribute, type, text) < 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: an attribute cannot be read", b->path));
    for (; out->n < n; out->n++)
        NEED(out->at[out->n] = sg_strndup(text + out->n * width, strnlen(text + out->n * width, width)), err,
             "an attribute (%s)", b->path);
done:
    sg_free(text);
    return st;
}

static sg_status copy_variable(names *out, hid_t attribute, hid_t space, size_t n, const tensor_file *b,
                               sg_error *err)
{
    sg_status st = SG_OK;
    char **text = sg_calloc(n, sizeof *text);
    hid_t type = H5Tcopy(H5T_C_S1);
    bool read = false;
    if (!text || type < 0 || H5Tset_size(type, H5T_VARIABLE) < 0)
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory for an attribute", b->path));
    hid_t own = H5Aget_type(attribute);
    if (own >= 0) {
        H5Tset_cset(type, H5Tget_cset(own));
        H5Tclose(own);
    }
    if (H5Aread(attribute, type, text) < 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: an attribute cannot be read", b->path));
    read = true;
    for (; out->n < n; out->n++) {
        if (text[out->n] && strlen(text[out->n]) > MAX_TEXT)
            TRY(sg_fail(err, SG_EFORMAT, "%s: an attribute of more than %d bytes", b->path, MAX_TEXT));
        NEED(out->at[out->n] = sg_strdup(text[out->n] ? text[out->n] : ""), err, "an attribute (%s)",
             b->path);
    }
done:
    if (read)
        H5Dvlen_reclaim(type, space, H5P_DEFAULT, text);
    if (type >= 0)
        H5Tclose(type);
    sg_free(text);
    return st;
}

/* The texts of an attribute; none when it is not there. */
static sg_status read_attribute(names *out, hid_t object, const char *name, const tensor_file *b,
                                sg_error *err)
{
    sg_status st = SG_OK;
    hid_t attribute = -1, type = -1, space = -1;
    *out = (names){0};
    if (H5Aexists(object, name) <= 0)
        return SG_OK;
    if ((attribute = H5Aopen(object, name, H5P_DEFAULT)) < 0 || (type = H5Aget_type(attribute)) < 0 ||
        (space = H5Aget_space(attribute)) < 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: attribute %s cannot be read", b->path, name));
    hssize_t n = H5Sget_simple_extent_npoints(space);
    if (n <= 0 || H5Tget_class(type) != H5T_STRING) /* an empty list is stored as float64 */
        goto done;
    if (n > MAX_NAMES)
        TRY(sg_fail(err, SG_EFORMAT, "%s: attribute %s holds %lld texts, at most %d are read", b->path, name,
                    (long long)n, MAX_NAMES));
    NEED(out->at = sg_calloc((size_t)n, sizeof *out->at), err, "an attribute (%s)", b->path);
    if (H5Tis_variable_str(type) > 0)
        TRY(copy_variable(out, attribute, space, (size_t)n, b, err));
    else
        TRY(copy_fixed(out, attribute, type, (size_t)n, b, err));
done:
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    if (attribute >= 0)
        H5Aclose(attribute);
    if (st != SG_OK)
        names_free(out);
    return st;
}

/* Long lists are cut into NAME0, NAME1, ...: HDF5 limits the size of an attribute. */
static sg_status read_names(names *out, hid_t object, const char *name, const tensor_file *b, sg_error *err)
{
    sg_status st;
    names part = {0};
    TRY(read_attribute(out, object, name, b, err));
    for (unsigned k = 0; !H5Aexists(object, name) && k < MAX_NAMES; k++) {
        char numbered[64];
        snprintf(numbered, sizeof numbered, "%s%u", name, k);
        if (H5Aexists(object, numbered) <= 0)
            break;
        TRY(read_attribute(&part, object, numbered, b, err));
        char **grown = sg_regrow(out->at, out->n, out->n + part.n, sizeof *grown);
        NEED(grown, err, "an attribute (%s)", b->path);
        out->at = grown;
        if (part.n)
            memcpy(out->at + out->n, part.at, part.n * sizeof *part.at);
        out->n += part.n;
        sg_free(part.at);
        part = (names){0};
    }
done:
    names_free(&part);
    if (st != SG_OK)
        names_free(out);
    return st;
}

/* ---- datasets ---- */

/* Every link on the way is a hard one: nothing outside the file is reached, nothing loops. */
static bool hard_path(hid_t from, const char *path)
{
    char part[TENSORS_MAX_NAME];
    size_t n = strlen(path);
    if (!n || n >= sizeof part)
        return false;
    for (size_t i = 1; i <= n; i++)
        if (path[i] == '/' || !path[i]) {
            H5L_info_t info;
            memcpy(part, path, i);
            part[i] = 0;
            if (H5Lexists(from, part, H5P_DEFAULT) <= 0 || H5Lget_info(from, part, &info, H5P_DEFAULT) < 0 ||
                info.type != H5L_TYPE_HARD)
                return false;
        }
    return true;
}

static sg_status check_storage(hid_t dataset, const tensor_file *b, const char *name, sg_error *err)
{
    sg_status st = SG_OK;
    hid_t p = H5Dget_create_plist(dataset);
    if (p < 0)
        return sg_fail(err, SG_EFORMAT, "%s: dataset %s cannot be read", b->path, name);
    H5D_layout_t layout = H5Pget_layout(p);
    if (H5Pget_external_count(p) != 0 ||
        (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED))
        TRY(sg_fail(err, SG_EFORMAT, "%s: dataset %s stores its data in other files, which are not read",
                    b->path, name));
    int filters = H5Pget_nfilters(p);
    for (int i = 0; i < filters; i++) {
        unsigned flags;
        size_t n = 0;
        char filter[64] = "";
        H5Z_filter_t id = H5Pget_filter2(p, (unsigned)i, &flags, &n, NULL, sizeof filter, filter, NULL);
        if (id != H5Z_FILTER_DEFLATE && id != H5Z_FILTER_SHUFFLE && id != H5Z_FILTER_FLETCHER32)
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: dataset %s passes through filter %d %.40s; only deflate, shuffle and "
                        "fletcher32 are read",
                        b->path, name, (int)id, filter));
    }
    if (layout == H5D_CHUNKED) {
        hsize_t chunk[TENSORS_MAX_RANK] = {0}, size = 8;
        int rank = H5Pget_chunk(p, TENSORS_MAX_RANK, chunk);
        for (int k = 0; k < rank && k < TENSORS_MAX_RANK; k++)
            size = chunk[k] && size <= MAX_CHUNK ? size * chunk[k] : MAX_CHUNK + 1;
        if (rank <= 0 || size > MAX_CHUNK)
            TRY(sg_fail(err, SG_EFORMAT, "%s: dataset %s: its chunks are larger than 32 MiB", b->path, name));
    }
done:
    H5Pclose(p);
    return st;
}

static tensor_dtype dtype_of(hid_t type)
{
    size_t n = H5Tget_size(type);
    if (H5Tget_class(type) == H5T_FLOAT)
        return n == 2 ? DTYPE_F16 : n == 4 ? DTYPE_F32 : n == 8 ? DTYPE_F64 : DTYPE_OTHER;
    if (H5Tget_class(type) == H5T_INTEGER)
        return n == 1 ? DTYPE_I8 : n == 2 ? DTYPE_I16 : n == 4 ? DTYPE_I32 : n == 8 ? DTYPE_I64 : DTYPE_OTHER;
    return DTYPE_OTHER;
}

static sg_status add_dataset(tensor_file *b, const char *name, unsigned layer, const char *class_name,
                             sg_error *err)
{
    keras *f = b->reader;
    sg_status st = SG_OK;
    hid_t dataset = -1, space = -1, type = -1;
    hsize_t dims[H5S_MAX_RANK];
    uint64_t sizes[TENSORS_MAX_RANK];
    stored_tensor *t;
    if (!hard_path(f->root, name))
        TRY(sg_fail(err, SG_EFORMAT,
                    "%s: dataset %.200s is not in the file itself (missing, or a link to another place)",
                    b->path, name));
    if ((dataset = H5Dopen2(f->root, name, H5P_DEFAULT)) < 0 || (space = H5Dget_space(dataset)) < 0 ||
        (type = H5Dget_type(dataset)) < 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: dataset %.200s cannot be read", b->path, name));
    int rank = H5Sget_simple_extent_ndims(space);
    if (rank < 0 || rank > TENSORS_MAX_RANK || H5Sget_simple_extent_dims(space, dims, NULL) < 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: dataset %.200s has %d dimensions, at most %d are read", b->path,
                    name, rank, TENSORS_MAX_RANK));
    TRY(check_storage(dataset, b, name, err));
    for (int k = 0; k < rank; k++)
        sizes[k] = dims[k];
    TRY(tensors_add(b, name, dtype_of(type), (unsigned)rank, sizes, NULL, &t, err));
    t->storage = b->n;
    t->container = layer + 1;
    if (class_name[0] && !(t->layer_class = sg_strdup(class_name)))
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory for the list of tensors", b->path));
done:
    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    if (dataset >= 0)
        H5Dclose(dataset);
    return st;
}

/* Blocks of whole rows (of the last dimension), or pieces of one row, through a small buffer. */
static sg_status read_rows(const tensor_file *b, const stored_tensor *t, hid_t dataset, hid_t space,
                           float *buffer, tensor_sink sink, void *ctx, sg_error *err)
{
    hsize_t start[TENSORS_MAX_RANK] = {0}, count[TENSORS_MAX_RANK];
    uint64_t columns = t->rank ? t->dims[t->rank - 1] : 1;
    for (uint64_t done = 0; done < t->elements;) {
        uint64_t rest = done, n = columns - done % columns < BLOCK ? columns - done % columns : BLOCK;
        for (unsigned k = t->rank; k > 0; k--) {
            start[k - 1] = rest % t->dims[k - 1];
            rest /= t->dims[k - 1];
            count[k - 1] = 1;
        }
        if (t->rank)
            count[t->rank - 1] = n;
        if (t->rank >= 2 && n == columns && done % columns == 0) { /* several rows at once */
            uint64_t rows = BLOCK / columns, left = t->dims[t->rank - 2] - start[t->rank - 2];
            rows = rows < 1 ? 1 : rows > left ? left : rows;
            count[t->rank - 2] = rows;
            n *= rows;
        }
        hsize_t flat = n;
        hid_t memory = H5Screate_simple(1, &flat, NULL);
        herr_t bad = memory < 0;
        if (!bad && t->rank)
            bad = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0;
        if (!bad)
            bad = H5Dread(dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, buffer) < 0;
        if (memory >= 0)
            H5Sclose(memory);
        if (bad)
            return sg_fail(err, SG_EFORMAT, "%s: dataset %s cannot be read (truncated or damaged)", b->path,
                           t->name);
        sink(ctx, done, 1, buffer, (size_t)n);
        done += n;
    }
    return SG_OK;
}

static sg_status read_dataset(tensor_file *b, const stored_tensor *t, tensor_sink sink, void *ctx,
                              sg_error *err)
{
    keras *f = b->reader;
    sg_status st = SG_OK;
    hid_t dataset = -1, space = -1;
    float *buffer = NULL;
    if (!dtype_is_float(t->dtype))
        return sg_fail(err, SG_EFORMAT, "%s: tensor %s holds %s, expected floating-point numbers", b->path,
                       t->name, dtype_name(t->dtype));
    if (!(buffer = sg_calloc(BLOCK, sizeof *buffer)))
        return sg_fail(err, SG_ENOMEM, "%s: no memory to read tensor %s", b->path, t->name);
    sg_hdf5_lock();
    if ((dataset = H5Dopen2(f->root, t->name, H5P_DEFAULT)) < 0 || (space = H5Dget_space(dataset)) < 0)
        st = sg_fail(err, SG_EFORMAT, "%s: dataset %s cannot be read", b->path, t->name);
    else
        st = read_rows(b, t, dataset, space, buffer, sink, ctx, err);
    if (space >= 0)
        H5Sclose(space);
    if (dataset >= 0)
        H5Dclose(dataset);
    sg_hdf5_unlock();
    sg_free(buffer);
    return st;
}

/* ---- layers ---- */

/* Keras 3 numbers the variables of a layer; what they are follows from its class. */
static int variable_number(const keras_layer *l, const char *name)
{
    static const struct {
        const char *class_name, *names[4];
    } known[] = {{"Embedding", {"embeddings"}},
                 {"BatchNormalization", {"gamma", "beta", "moving_mean", "moving_variance"}},
                 {"Dense", {"kernel", "bias"}},
                 {"LSTM", {"kernel", "recurrent_kernel", "bias"}},
                 {"GRU", {"kernel", "recurrent_kernel", "bias"}},
                 {"SimpleRNN", {"kernel", "recurrent_kernel", "bias"}}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        for (int k = 0; k < 4 && !strcmp(known[i].class_name, l->class_name); k++)
            if (known[i].names[k] && !strcmp(known[i].names[k], name))
                return k;
    return -1;
}

const stored_tensor *keras_weight(const tensor_file *b, const keras_layer *l, const char *name)
{
    size_t n = strlen(name);
    int number = variable_number(l, name);
    for (size_t i = l->first; i < l->first + l->n; i++) {
        const char *slash = strrchr(b->tensors[i].name, '/'), *leaf = slash ? slash + 1 : b->tensors[i].name;
        if (!strncmp(leaf, name, n) && (!leaf[n] || leaf[n] == ':'))
            return &b->tensors[i];
        if (number >= 0 && leaf[0] == '0' + number && !leaf[1])
            return &b->tensors[i];
    }
    return NULL;
}

const stored_tensor *keras1_weight(const tensor_file *b, const keras_layer *l, const char *end)
{
    size_t n = strlen(end);
    for (size_t i = l->first; i < l->first + l->n; i++) {
        const char *name = b->tensors[i].name;
        size_t length = strcspn(strrchr(name, '/') ? strrchr(name, '/') : name, ":");
        const char *leaf = strrchr(name, '/') ? strrchr(name, '/') : name;
        if (length > n && !strncmp(leaf + length - n, end, n))
            return &b->tensors[i];
    }
    return NULL;
}

static sg_status new_layer(keras *f, const char *name, keras_layer **out, const tensor_file *b, sg_error *err)
{
    if (f->net.n >= KERAS_MAX_LAYERS || strlen(name) >= KERAS_NAME)
        return sg_fail(err, SG_EFORMAT, "%s: more than %d layers, or a layer's name of more than %d bytes",
                       b->path, KERAS_MAX_LAYERS, KERAS_NAME - 1);
    for (size_t i = 0; i < f->net.n; i++)
        if (!strcmp(f->net.layers[i].name, name))
            return sg_fail(err, SG_EFORMAT, "%s: layer %s occurs twice", b->path, name);
    *out = &f->net.layers[f->net.n++];
    snprintf((*out)->name, sizeof(*out)->name, "%s", name);
    return SG_OK;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static int find_layer(const keras *f, const char *name)
{
    for (size_t i = 0; i < f->net.n; i++)
        if (!strcmp(f->net.layers[i].name, name))
            return (int)i;
    return -1;
}

static void add_inbound(const keras *f, keras_layer *l, const char *name)
{
    int from = name ? find_layer(f, name) : -1;
    for (size_t i = 0; i < l->n_inbound && i < KERAS_MAX_INBOUND; i++)
        if (l->inbound[i] == from)
            return;
    if (from >= 0 && l->n_inbound < KERAS_MAX_INBOUND)
        l->inbound[l->n_inbound] = from;
    if (from >= 0)
        l->n_inbound++;
}

/* Keras 2: [[["embedding", 0, 0, {}], ...], ...]; Keras 3: tensors carry {"keras_history": ["embedding", 0,
 * 0]}. */
static void find_inbound(const keras *f, keras_layer *l, const json_t *nodes, unsigned depth)
{
    size_t i;
    json_t *item;
    const char *key;
    if (depth > 8)
        return;
    if (json_is_array(nodes)) {
        const json_t *first = json_array_get(nodes, 0);
        if (json_is_string(first) && json_is_integer(json_array_get(nodes, 1))) {
            add_inbound(f, l, json_string_value(first));
            first = json_array_get(nodes, 3); /* keyword arguments may be tensors too (initial_state) */
            if (first)
                find_inbound(f, l, first, depth + 1);
            return;
        }
        json_array_foreach(nodes, i, item) find_inbound(f, l, item, depth + 1);
    } else if (json_is_object(nodes))
        json_object_foreach((json_t *)(uintptr_t)nodes, key, item) find_inbound(f, l, item, depth + 1);
}

static void set_class(keras_layer *l, const json_t *layer)
{
    const json_t *config = json_object_get(layer, "config"), *inner = json_object_get(config, "layer");
    snprintf(l->class_name, sizeof l->class_name, "%.60s", text_of(layer, "class_name"));
    l->config = config;
    if (json_is_object(inner)) {
        memcpy(l->wrapper, l->class_name, sizeof l->wrapper);
        snprintf(l->class_name, sizeof l->class_name, "%.60s", text_of(inner, "class_name"));
        l->config = json_object_get(inner, "config");
    }
    const json_t *cell = json_object_get(l->config, "cell");
    if (!strcmp(l->class_name, "RNN") && json_is_object(cell)) { /* RNN(LSTMCell(...)) */
        snprintf(l->class_name, sizeof l->class_name, "%.60s", text_of(cell, "class_name"));
        char *end = strstr(l->class_name, "Cell");
        if (end)
            *end = 0;
        l->config = json_object_get(cell, "config");
    }
}

static sg_status layers_from_config(tensor_file *b, sg_error *err)
{
    keras *f = b->reader;
    sg_status st = SG_OK;
    const json_t *model = json_object_get(f->net.config, "config");
    const json_t *list = json_is_array(model) ? model : json_object_get(model, "layers");
    bool sequential = !strcmp(text_of(f->net.config, "class_name"), "Sequential");
    size_t i;
    json_t *item;
    keras_layer *l;
    if (!json_is_array(list))
        return sg_fail(err, SG_EFORMAT, "%s: model_config has no list of layers", b->path);
    json_array_foreach(list, i, item)
    {
        const char *name = text_of(item, "name");
        if (!name[0])
            name = text_of(json_object_get(item, "config"), "name");
        TRY(new_layer(f, name, &l, b, err));
        set_class(l, item);
    }
    json_array_foreach(list, i, item)
    {
        l = &f->net.layers[i];
        if (!sequential)
            find_inbound(f, l, json_object_get(item, "inbound_nodes"), 0);
        else if (i) {
            l->inbound[0] = (int)i - 1;
            l->n_inbound = 1;
        }
    }
done:
    return st;
}

/* Without configuration: the layers in their order, each fed by the one before, classes by the weights they
 * have. */
static sg_status layers_from_names(tensor_file *b, const names *list, sg_error *err)
{
    keras *f = b->reader;
    sg_status st = SG_OK;
    for (size_t i = 0; i < list->n; i++) {
        keras_layer *l;
        TRY(new_layer(f, list->at[i], &l, b, err));
        l->inbound[0] = (int)i - 1;
        l->n_inbound = i > 0;
    }
done:
    return st;
}

static sg_status add_weights(tensor_file *b, const names *list, sg_error *err)
{
    keras *f = b->reader;
    sg_status st = SG_OK;
    names weights = {0};
    hid_t group = -1;
    for (size_t i = 0; i < list->n; i++) {
        int k = find_layer(f, list->at[i]);
        if (!list->at[i][0] || !hard_path(f->root, list->at[i]) ||
            (group = H5Gopen2(f->root, list->at[i], H5P_DEFAULT)) < 0)
            TRY(sg_fail(err, SG_EFORMAT, "%s: group %.200s of layer_names is not in the file itself", b->path,
                        list->at[i]));
        TRY(read_names(&weights, group, "weight_names", b, err));
        H5Gclose(group);
        group = -1;
        if (k >= 0)
            f->net.layers[k].first = b->n;
        for (size_t j = 0; j < weights.n; j++) {
            char name[TENSORS_MAX_NAME];
            if ((size_t)snprintf(name, sizeof name, "%s/%s", list->at[i], weights.at[j]) >= sizeof name)
                TRY(sg_fail(err, SG_EFORMAT, "%s: a tensor's name of more than %d bytes", b->path,
                            TENSORS_MAX_NAME - 1));
            TRY(add_dataset(b, name, (unsigned)i, k >= 0 ? f->net.layers[k].class_name : "", err));
        }
        if (k >= 0)
            f->net.layers[k].n = b->n - f->net.layers[k].first;
        names_free(&weights);
    }
done:
    names_free(&weights);
    if (group >= 0)
        H5Gclose(group);
    return st;
}

/* ---- what libhdf5 does not check itself ---- */

/* A global heap collection (where variable-length text lies): "GCOL", version 1, size; then objects of 16
 * bytes and their data. libhdf5 1.10 walks a free-space object of size 0 for ever. Returns false for such a
 * collection. */
static bool heap_is_sound(const unsigned char *at, uint64_t size)
{
    uint64_t pos = 16;
    while (pos + 16 <= size) {
        uint64_t n = 0;
        for (size_t k = 8; k > 0; k--)
            n = n << 8 | at[pos + 7 + k];
        bool free_space = !(at[pos] | at[pos + 1]);
        if (n > size - pos || (free_space && n < 16))
            return false;
        pos += free_space ? n : 16 + (n + 7) / 8 * 8;
    }
    return true;
}

static sg_status pread_h5(tensor_file *b, uint64_t at, void *bytes, size_t n, sg_error *err)
{
    const keras *f = b->reader;
    return file_pread(f->fd >= 0 ? f->fd : b->fd, f->size, at, bytes, n, b->path, err);
}

/* Looks for collections in the whole file; sizes of 8 bytes are what Keras's files have. */
static sg_status check_heaps(tensor_file *b, sg_error *err)
{
    const keras *f = b->reader;
    enum { WINDOW = 1 << 16, MAX_HEAP = 1 << 26 };
    sg_status st = SG_OK;
    unsigned char *window = sg_calloc(WINDOW, 1), *heap = NULL;
    uint64_t walked = 0; /* heaps do not overlap: together they are smaller than the file */
    if (!window)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", b->path);
    for (uint64_t at = 0; at + 16 <= f->size; at += WINDOW - 16) {
        size_t n = f->size - at < WINDOW ? (size_t)(f->size - at) : WINDOW;
        TRY(pread_h5(b, at, window, n, err));
        for (size_t i = 0; i + 16 <= n; i++) {
            if (window[i] != 'G' || memcmp(window + i, "GCOL\1\0\0\0", 8) != 0)
                continue;
            uint64_t size = 0;
            for (size_t k = 8; k > 0; k--)
                size = size << 8 | window[i + 7 + k];
            if (size < 16 || size > f->size - at - i || size > MAX_HEAP || (walked += size) > f->size)
                TRY(sg_fail(err, SG_EFORMAT, "%s: damaged: its heap at byte %llu reaches beyond its end",
                            b->path, (unsigned long long)(at + i)));
            NEED(heap = sg_calloc((size_t)size, 1), err, "%s", b->path);
            TRY(pread_h5(b, at + i, heap, (size_t)size, err));
            if (!heap_is_sound(heap, size))
                TRY(sg_fail(err, SG_EFORMAT, "%s: damaged: its heap at byte %llu", b->path,
                            (unsigned long long)(at + i)));
            sg_free(heap);
            heap = NULL;
        }
    }
done:
    sg_free(heap);
    sg_free(window);
    return st;
}

/* Offsets and lengths of 8 bytes, as h5py and Keras write them; anything else would be walked unchecked. */
static sg_status check_superblock(tensor_file *b, sg_error *err)
{
    unsigned char head[16];
    sg_status st = pread_h5(b, 0, head, sizeof head, err);
    if (st != SG_OK)
        return st;
    size_t at = head[8] < 2 ? 13 : 9;
    if (head[8] > 3 || head[at] != 8 || head[at + 1] != 8)
        return sg_fail(err, SG_EFORMAT, "%s: an HDF5 file of version %u with offsets of %u bytes, expected 8",
                       b->path, head[8], head[at]);
    return check_heaps(b, err);
}

/* ---- Keras 3 ---- */

static bool is_wrapper(const char *name)
{
    return !strncmp(name, "bidirectional", 13) || !strncmp(name, "time_distributed", 16);
}

/* "SimpleRNN" -> "simple_rnn", as Keras names the groups of its layers. */
static void snake_case(char out[KERAS_NAME], const char *name)
{
    size_t n = 0;
    for (size_t i = 0; name[i] && n + 3 < KERAS_NAME; i++) {
        char c = name[i], before = i ? name[i - 1] : 0;
        bool upper = c >= 'A' && c <= 'Z', lower_before = before >= 'a' && before <= 'z';
        bool lower_behind = name[i + 1] >= 'a' && name[i + 1] <= 'z';
        if (i && upper && (lower_before || lower_behind))
            out[n++] = '_';
        out[n++] = upper ? (char)(c - 'A' + 'a') : c;
    }
    out[n] = 0;
}

/* The variables of a layer's group: in vars, below a cell, below a wrapped layer. */
static sg_status add_variables(tensor_file *b, keras_layer *l, const char *group, sg_error *err)
{
    static const char *const places[] = {"vars",
                                         "cell/vars",
                                         "layer/vars",
                                         "layer/cell/vars",
                                         "forward_layer/vars",
                                         "forward_layer/cell/vars"};
    keras *f = b->reader;
    sg_status st = SG_OK;
    char name[TENSORS_MAX_NAME];
    l->first = b->n;
    for (size_t p = 0; p < sizeof places / sizeof *places; p++)
        for (unsigned i = 0; i < 16; i++) {
            if ((size_t)snprintf(name, sizeof name, "%s/%s/%u", group, places[p], i) >= sizeof name ||
                !hard_path(f->root, name))
                break;
            TRY(add_dataset(b, name, (unsigned)(l - f->net.layers), l->class_name, err));
        }
    l->n = b->n - l->first;
done:
    return st;
}

/* Groups are named by class and number, in the order of the layers: lstm, lstm_1, ... */
static sg_status add_v3_weights(tensor_file *b, const char *top, sg_error *err)
{
    keras *f = b->reader;
    sg_status st = SG_OK;
    for (size_t k = 0; k < f->net.n; k++) {
        keras_layer *l = &f->net.layers[k];
        char base[KERAS_NAME], group[2 * KERAS_NAME];
        size_t same = 0;
        snake_case(base, l->wrapper[0] ? l->wrapper : l->class_name);
        for (size_t i = 0; i < k; i++) {
            const keras_layer *other = &f->net.layers[i];
            same += !strcmp(other->wrapper[0] ? other->wrapper : other->class_name,
                            l->wrapper[0] ? l->wrapper : l->class_name);
        }
        if (same)
            snprintf(group, sizeof group, "%s/%s_%zu", top, base, same);
        else
            snprintf(group, sizeof group, "%s/%s", top, base);
        if (!hard_path(f->root, group))
            snprintf(group, sizeof group, "%s/%s", top, l->name);
        if (hard_path(f->root, group))
            TRY(add_variables(b, l, group, err));
    }
done:
    return st;
}

static const char *class_of_group(const char *group, size_t *order)
{
    static const struct {
        const char *group, *name;
    } known[] = {{"embedding", "Embedding"},
                 {"lstm", "LSTM"},
                 {"gru", "GRU"},
                 {"simple_rnn", "SimpleRNN"},
                 {"batch_normalization", "BatchNormalization"},
                 {"dense", "Dense"}};
    size_t n = strlen(group), digits = n;
    while (digits && group[digits - 1] >= '0' && group[digits - 1] <= '9')
        digits--;
    if (digits > 1 && digits < n && group[digits - 1] == '_')
        n = digits - 1;
    for (*order = 0; *order < sizeof known / sizeof *known; (*order)++)
        if (strlen(known[*order].group) == n && !strncmp(group, known[*order].group, n))
            return known[*order].name;
    return NULL;
}

static long group_number(const char *group)
{
    const char *last = strrchr(group, '_');
    return last && last[1] >= '0' && last[1] <= '9' ? strtol(last + 1, NULL, 10) : 0;
}

static int by_use(const void *a, const void *b)
{
    const keras_layer *x = a, *y = b;
    size_t m, n;
    (void)class_of_group(x->name, &m);
    (void)class_of_group(y->name, &n);
    m = m >= 1 && m <= 3 ? 1 : m;
    n = n >= 1 && n <= 3 ? 1 : n;
    long i = group_number(x->name), j = group_number(y->name);
    return m != n ? (m < n ? -1 : 1) : (i > j) - (i < j);
}

/* Weights without a configuration: the groups say the classes, not who feeds whom. Read is what can only be one chain:
 * embedding, recurrent layers by their numbers, dense layers. */
static sg_status layers_from_groups(tensor_file *b, const char *top, sg_error *err)
{
    keras *f = b->reader;
    sg_status st = SG_OK;
    H5G_info_t info;
    hid_t group = H5Gopen2(f->root, top, H5P_DEFAULT);
    if (group < 0 || H5Gget_info(group, &info) < 0 || info.nlinks > KERAS_MAX_LAYERS)
        TRY(sg_fail(err, SG_EFORMAT, "%s: group %s cannot be read, or holds more than %d layers", b->path,
                    top, KERAS_MAX_LAYERS));
    for (hsize_t i = 0; i < info.nlinks; i++) {
        char name[KERAS_NAME], path[2 * KERAS_NAME];
        size_t order;
        keras_layer *l;
        ssize_t n =
            H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
        if (n <= 0 || (size_t)n >= sizeof name)
            TRY(sg_fail(err, SG_EFORMAT, "%s: a layer's name of more than %d bytes", b->path,
                        KERAS_NAME - 1));
        snprintf(path, sizeof path, "%s/%s", top, name);
        const char *class_name = class_of_group(name, &order);
        TRY(new_layer(f, name, &l, b, err));
        if (class_name)
            snprintf(l->class_name, sizeof l->class_name, "%s", class_name);
        TRY(add_variables(b, l, path, err));
        if (!l->n)
            f->net.n--; /* dropout, masks: nothing that is known of them matters */
        else if (!class_name)
            TRY(sg_fail(
                err, SG_EFORMAT,
                "%s: layer %s (tensor %s) has weights, and a weights file does not record its %s: import the whole "
                "model (.keras)",
                b->path, name, b->tensors[l->first].name, is_wrapper(name) ? "class" : "place"));
    }
    qsort(f->net.layers, f->net.n, sizeof *f->net.layers, by_use);
    for (size_t i = 1; i < f->net.n; i++) {
        f->net.layers[i].inbound[0] = (int)i - 1;
        f->net.layers[i].n_inbound = 1;
    }
done:
    if (group >= 0)
        H5Gclose(group);
    return st;
}

/* config.json and model.weights.h5 out of a .keras file; the latter into a temporary file, as HDF5 wants one. */
static sg_status unpack(tensor_file *b, char **name, sg_error *err)
{
    enum { COPY = 1 << 16, GROWTH = 1 << 23 };
    keras *f = b->reader;
    sg_status st;
    archive *zip = NULL;
    unsigned char *text = NULL, *copy = NULL;
    size_t size;
    json_error_t why;
    TRY(archive_open(&zip, b->path, err));
    int64_t config = archive_find(zip, "config.json"), weights = archive_find(zip, "model.weights.h5");
    if (config < 0 || weights < 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: a Keras zip without %s (%s)", b->path,
                    config < 0 ? "config.json" : "model.weights.h5",
                    "expected config.json and model.weights.h5"));
    TRY(archive_read(zip, (size_t)config, &text, &size, err));
    if (!(f->net.config = json_loadb((char *)text, size, 0, &why)))
        TRY(sg_fail(err, SG_EFORMAT, "%s: config.json is no JSON: %s", b->path, why.text));
    TRY(archive_size(zip, (size_t)weights, &f->size, err));
    if (f->size > b->file_size + GROWTH)
        TRY(sg_fail(err, SG_EFORMAT,
                    "%s: model.weights.h5 unpacks to %llu bytes from a file of %llu (a zip bomb?)", b->path,
                    (unsigned long long)f->size, (unsigned long long)b->file_size));
    NEED(copy = sg_calloc(COPY, 1), err, "%s", b->path);
    TRY(temp_file_named(&f->fd, name, err));
    for (uint64_t at = 0; at < f->size;) {
        size_t n = f->size - at < COPY ? (size_t)(f->size - at) : COPY;
        TRY(archive_fetch(zip, (size_t)weights, at, copy, n, "model.weights.h5", err));
        TRY(temp_file_write(f->fd, copy, n, err));
        at += n;
    }
done:
    sg_free(text);
    sg_free(copy);
    archive_close(zip);
    return st;
}

static sg_status fill(tensor_file *b, sg_error *err)
{
    keras *f = b->reader;
    sg_status st = SG_OK;
    names config = {0}, layers = {0};
    json_error_t why;
    char *unpacked = NULL; /* the name of f->fd's file */
    f->size = b->file_size;
    if (b->format == SG_FILE_KERAS_ZIP)
        TRY(unpack(b, &unpacked, err));
    TRY(check_superblock(b, err));
    if ((f->file = H5Fopen(unpacked ? unpacked : b->path, H5F_ACC_RDONLY, H5P_DEFAULT)) < 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: not a whole HDF5 file (truncated or damaged)", b->path));
    f->root = f->file;
    if (hard_path(f->file, "model_weights") &&
        (f->root = H5Gopen2(f->file, "model_weights", H5P_DEFAULT)) < 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: group model_weights cannot be read", b->path));
    TRY(read_attribute(&config, f->file, "model_config", b, err));
    TRY(read_names(&layers, f->root, "layer_names", b, err));
    const char *top = hard_path(f->root, "layers") ? "layers"
                      : hard_path(f->root, "_layer_checkpoint_dependencies")
                          ? "_layer_checkpoint_dependencies"
                          : NULL;
    if (!layers.n && !top)
        TRY(sg_fail(
            err, SG_EFORMAT,
            "%s: an HDF5 file without the attribute layer_names or the group layers, not one of Keras",
            b->path));
    NEED(f->net.layers = sg_calloc(KERAS_MAX_LAYERS, sizeof *f->net.layers), err, "%s", b->path);
    if (!layers.n) {
        if (f->net.config)
            TRY(layers_from_config(b, err));
        if (f->net.config)
            TRY(add_v3_weights(b, top, err));
        else
            TRY(layers_from_groups(b, top, err));
        goto done;
    }
    if (config.n) {
        if (!(f->net.config = json_loads(config.at[0], 0, &why)))
            TRY(sg_fail(err, SG_EFORMAT, "%s: model_config is not JSON: %s", b->path, why.text));
        TRY(layers_from_config(b, err));
    } else
        TRY(layers_from_names(b, &layers, err));
    TRY(add_weights(b, &layers, err));
done:
    if (unpacked)
        unlink(unpacked);
    sg_free(unpacked);
    names_free(&config);
    names_free(&layers);
    return st;
}

sg_status tensors_from_keras(tensor_file *b, sg_error *err)
{
    sg_status st;
    if (!(b->reader = sg_calloc(1, sizeof(keras))))
        return sg_fail(err, SG_ENOMEM, "%s: no memory", b->path);
    ((keras *)b->reader)->fd = -1;
    b->read = read_dataset;
    b->close = keras_close;
    b->in_order = true;
    sg_hdf5_lock();
    st = fill(b, err);
    sg_hdf5_unlock();
    return st;
}
