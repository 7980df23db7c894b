/* SPDX-License-Identifier: MIT */
/* PyTorch files: what torch.save pickled, read as data.
 *
 * Tensors are calls of torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...) in the pickle,
 * storages persistent ids ('storage', type, key, location, elements). Both stay inert objects (pickle.h);
 * this file knows the names that matter and walks dicts, lists and modules (_parameters, _buffers, _modules)
 * in search of them. */
#include "import/torch_internal.h"

#include "base/base_internal.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 48, MAX_VISITS = 1 << 21, MAX_STORAGES = 1 << 16 };

void torch_close(tensor_file *b)
{
    torch *f = b->reader;
    if (!f)
        return;
    archive_close(f->zip);
    for (size_t i = 0; i < f->n_storages; i++)
        sg_free(f->storages[i].key);
    for (size_t i = 0; i < f->n_vocabularies; i++)
        sg_free(f->vocabularies[i].name);
    pickle_free(f->values);
    sg_free(f->storages);
    sg_free(f->prefix);
    sg_free(f->data);
    sg_free(f);
    b->reader = NULL;
}

/* ---- tensors ---- */

static tensor_dtype dtype_of_name(const char *name, size_t n)
{
    static const struct {
        const char *storage, *dtype;
        tensor_dtype d;
    } known[] = {
        {"FloatStorage", "float32", DTYPE_F32}, {"DoubleStorage", "float64", DTYPE_F64},
        {"HalfStorage", "float16", DTYPE_F16},  {"BFloat16Storage", "bfloat16", DTYPE_BF16},
        {"LongStorage", "int64", DTYPE_I64},    {"IntStorage", "int32", DTYPE_I32},
        {"ShortStorage", "int16", DTYPE_I16},   {"CharStorage", "int8", DTYPE_I8},
        {"ByteStorage", "uint8", DTYPE_U8},     {"BoolStorage", "bool", DTYPE_BOOL},
    };
    for (size_t i = 0; name && i < sizeof known / sizeof *known; i++)
        if ((n == strlen(known[i].storage) && !memcmp(name, known[i].storage, n)) ||
            (n == strlen(known[i].dtype) && !memcmp(name, known[i].dtype, n)))
            return known[i].d;
    return DTYPE_OTHER;
}

/* The storage that a persistent id names; *extra is an offset into it (legacy views). */
static sg_status find_storage(tensor_file *b, uint32_t id, size_t *out, uint64_t *extra, const char *name,
                              sg_error *err)
{
    torch *f = b->reader;
    const pickle *p = f->values;
    uint32_t tuple = pickle_item(p, id, 0), view = pickle_item(p, tuple, 5);
    size_t key_length, type_length;
    const char *key = pickle_text(p, pickle_item(p, tuple, 2), &key_length);
    const char *type = pickle_global_name(p, pickle_item(p, tuple, 1), &type_length);
    int64_t elements = pickle_int(p, pickle_item(p, tuple, 4));
    if (pickle_kind_of(p, id) != PICKLE_PERSID || !pickle_text_is(p, pickle_item(p, tuple, 0), "storage") ||
        !key || !type || elements < 0 || key_length >= 256)
        return sg_fail(err, SG_EFORMAT, "%s: tensor %s: its storage is not described in PyTorch's way",
                       b->path, name);
    *extra = 0;
    if (pickle_items(p, view) == 3) {
        int64_t offset = pickle_int(p, pickle_item(p, view, 1));
        if (offset < 0)
            return sg_fail(err, SG_EFORMAT, "%s: tensor %s: negative offset", b->path, name);
        *extra = (uint64_t)offset;
    }
    for (size_t i = 0; i < f->n_storages; i++)
        if (strlen(f->storages[i].key) == key_length && !memcmp(f->storages[i].key, key, key_length)) {
            *out = i;
            return SG_OK;
        }
    if (f->n_storages == f->storages_room) {
        size_t room = f->storages_room ? 2 * f->storages_room : 32;
        torch_storage *grown = f->n_storages >= MAX_STORAGES
                                   ? NULL
                                   : sg_regrow(f->storages, f->storages_room, room, sizeof *grown);
        if (!grown)
            return no_memory(err, "its list of storages (%s)", b->path);
        f->storages = grown;
        f->storages_room = room;
    }
    torch_storage s = {sg_strndup(key, key_length), dtype_of_name(type, type_length), (uint64_t)elements, 0};
    if (!s.key)
        return no_memory(err, "its list of storages (%s)", b->path);
    *out = f->n_storages;
    f->storages[f->n_storages++] = s;
    return SG_OK;
}

/* A rebuilt tensor: arguments storage, offset, size, stride, requires_grad, hooks [, dtype]. */
static sg_status add_tensor(tensor_file *b, uint32_t arguments, const char *name, const char *layer_class,
                            sg_error *err)
{
    sg_status st;
    torch *f = b->reader;
    const pickle *p = f->values;
    uint32_t size = pickle_item(p, arguments, 2), stride = pickle_item(p, arguments, 3);
    size_t rank = pickle_items(p, size), storage_index = 0;
    uint64_t dims[TENSORS_MAX_RANK], strides[TENSORS_MAX_RANK], extra = 0;
    int64_t offset = pickle_int(p, pickle_item(p, arguments, 1));
    stored_tensor *t;
    TRY(find_storage(b, pickle_item(p, arguments, 0), &storage_index, &extra, name, err));
    tensor_dtype dtype = f->storages[storage_index].dtype;
    if (pickle_items(p, arguments) >= 7) { /* an untyped storage counts bytes */
        size_t n;
        const char *type = pickle_global_name(p, pickle_item(p, arguments, 6), &n);
        if (type) {
            tensor_dtype own = dtype_of_name(type, n);
            if (dtype_size(dtype) != dtype_size(own) && dtype_size(own) && dtype == DTYPE_OTHER)
                f->storages[storage_index].elements /= dtype_size(own);
            f->storages[storage_index].dtype = dtype = own;
        }
    }
    if (offset < 0 || rank != pickle_items(p, stride) || rank > TENSORS_MAX_RANK)
        TRY(sg_fail(err, SG_EFORMAT, "%s: tensor %s: %zu sizes with %zu strides at offset %lld", b->path,
                    name, rank, pickle_items(p, stride), (long long)offset));
    for (size_t k = 0; k < rank; k++) {
        int64_t d = pickle_int(p, pickle_item(p, size, k)), s = pickle_int(p, pickle_item(p, stride, k));
        if (d < 0 || s < 0)
            TRY(sg_fail(err, SG_EFORMAT, "%s: tensor %s: negative size or stride", b->path, name));
        dims[k] = (uint64_t)d;
        strides[k] = (uint64_t)s;
    }
    TRY(tensors_add(b, name, dtype, (unsigned)rank, dims, strides, &t, err));
    t->storage = storage_index;
    t->container = f->container;
    if (dtype == DTYPE_OTHER) { /* ('storage', class, key, ...) */
        size_t n;
        uint32_t named = pickle_item(p, pickle_item(p, pickle_item(p, arguments, 0), 0), 1);
        const char *type = pickle_global_name(p, named, &n);
        if (type)
            snprintf(t->other_type, sizeof t->other_type, "%.*s", (int)(n < 15 ? n : 15), type);
    }
    if (__builtin_add_overflow((uint64_t)offset, extra, &t->offset) ||
        !tensor_view_fits(t, f->storages[storage_index].elements))
        TRY(sg_fail(err, SG_EFORMAT, "%s: tensor %s reaches beyond its storage of %llu elements", b->path,
                    name, (unsigned long long)f->storages[storage_index].elements));
    if (layer_class && !(t->layer_class = sg_strdup(layer_class)))
        TRY(no_memory(err, "the list of tensors (%s)", b->path));
done:
    return st;
}

/* ---- walking the values ---- */

typedef struct {
    char name[TENSORS_MAX_NAME];
    size_t length;
    char layer_class[64];
} walk_path;

static sg_status walk(tensor_file *b, uint32_t id, walk_path *path, unsigned depth, sg_error *err);

/* The name grows by ".key" while the value is walked. */
static sg_status walk_entry(tensor_file *b, uint32_t key, size_t index, uint32_t value, walk_path *path,
                            unsigned depth, sg_error *err)
{
    torch *f = b->reader;
    size_t n, before = path->length;
    char number[24];
    const char *text = pickle_text(f->values, key, &n);
    if (!text) {
        bool number_key = pickle_kind_of(f->values, key) == PICKLE_INT; /* an optimizer's keys are tensors */
        long long i = number_key ? (long long)pickle_int(f->values, key) : (long long)index;
        n = (size_t)snprintf(number, sizeof number, "%lld", i);
        text = number;
    }
    if (before + n + 2 > TENSORS_MAX_NAME || memchr(text, 0, n))
        return SG_OK; /* no tensor of a network has such a name */
    if (before)
        path->name[path->length++] = '.';
    memcpy(path->name + path->length, text, n);
    path->length += n;
    path->name[path->length] = 0;
    sg_status st = walk(b, value, path, depth + 1, err);
    path->length = before;
    path->name[before] = 0;
    return st;
}

/* PyTorch 0.1 to 0.3 call the class: Parameter(tensor), then set its state. */
static bool is_parameter(const pickle *p, uint32_t callee)
{
    return pickle_is_global(p, callee, "torch.nn.parameter", "Parameter") ||
           pickle_is_global(p, callee, "torch.nn.parameter", "Buffer") ||
           pickle_is_global(p, callee, "torch.autograd.variable", "Variable");
}

static bool is_tensor_like(const pickle *p, uint32_t id)
{
    uint32_t callee = pickle_item(p, id, PICKLE_CALLEE);
    return pickle_kind_of(p, id) == PICKLE_OBJECT &&
           (pickle_is_global(p, callee, "torch._utils", "_rebuild_tensor_v2") ||
            pickle_is_global(p, callee, "torch._utils", "_rebuild_tensor_v3") ||
            pickle_is_global(p, callee, "torch._utils", "_rebuild_tensor") ||
            pickle_is_global(p, callee, "torch._utils", "_rebuild_qtensor") ||
            pickle_is_global(p, callee, "torch._utils", "_rebuild_parameter") ||
            pickle_is_global(p, callee, "torch._utils", "_rebuild_parameter_with_state") ||
            is_parameter(p, callee));
}

/* Could this list, dict or string be a vocabulary: words in order, words with ids, ids with words,
 * characters? Its number of words; 0: it is none. */
static size_t vocabulary_size(torch *f, uint32_t id, const char *name)
{
    const pickle *p = f->values;
    pickle_kind k = pickle_kind_of(p, id);
    bool numbers_first = false;
    size_t n = pickle_items(p, id), step = k == PICKLE_DICT ? 2 : 1;
    if (k == PICKLE_STRING && (strstr(name, "char") || strstr(name, "vocab") || strstr(name, "alphabet"))) {
        size_t length;
        const char *text = pickle_text(p, id, &length);
        return utf8_count(text, length);
    }
    if ((k != PICKLE_LIST && k != PICKLE_TUPLE && k != PICKLE_DICT) || n < 2 * step)
        return 0;
    int64_t unused;
    numbers_first = step == 2 && torch_whole_number(p, pickle_item(p, id, 0), &unused);
    for (size_t i = 0; i < n; i += step, f->visits++) {
        uint32_t word = pickle_item(p, id, i + numbers_first),
                 number = pickle_item(p, id, i + !numbers_first);
        if (pickle_kind_of(p, word) != PICKLE_STRING ||
            (step == 2 && !torch_whole_number(p, number, &unused)))
            return 0;
    }
    return n / step;
}

static sg_status note_vocabulary(tensor_file *b, uint32_t id, const char *name, sg_error *err)
{
    torch *f = b->reader;
    size_t n = vocabulary_size(f, id, name);
    if (n < 2 || f->n_vocabularies == MAX_VOCABULARIES)
        return SG_OK;
    for (size_t i = 0; i < f->n_vocabularies; i++)
        if (f->vocabularies[i].node == id)
            return SG_OK;
    torch_words c = {sg_strdup(name), id, n};
    if (!c.name)
        return no_memory(err, "its vocabulary (%s)", b->path);
    f->vocabularies[f->n_vocabularies++] = c;
    return SG_OK;
}

static sg_status walk_dict(tensor_file *b, uint32_t id, walk_path *path, unsigned depth, sg_error *err)
{
    torch *f = b->reader;
    const pickle *p = f->values;
    size_t n = pickle_items(p, id);
    sg_status st = SG_OK;
    /* A dict that holds tensors itself is one container with all below it. Above that, each entry begins
     * one. */
    bool holds = false;
    for (size_t i = 1; i < n && !holds; i += 2)
        holds = is_tensor_like(p, pickle_item(p, id, i));
    unsigned outer = f->container;
    if (holds && !f->container)
        f->container = ++f->containers;
    for (size_t i = 0; i + 1 < n; i += 2)
        TRY(walk_entry(b, pickle_item(p, id, i), i / 2, pickle_item(p, id, i + 1), path, depth, err));
done:
    f->container = outer;
    return st;
}

/* Old OrderedDicts carry their entries as a list of pairs among the arguments. */
static sg_status walk_pairs(tensor_file *b, uint32_t list, walk_path *path, unsigned depth, sg_error *err)
{
    torch *f = b->reader;
    const pickle *p = f->values;
    sg_status st = SG_OK;
    unsigned outer = f->container;
    bool holds = false;
    for (size_t i = 0; i < pickle_items(p, list); i++)
        holds |= is_tensor_like(p, pickle_item(p, pickle_item(p, list, i), 1));
    if (holds && !f->container)
        f->container = ++f->containers;
    for (size_t i = 0; i < pickle_items(p, list); i++) {
        uint32_t pair = pickle_item(p, list, i);
        if (pickle_items(p, pair) == 2)
            TRY(walk_entry(b, pickle_item(p, pair, 0), i, pickle_item(p, pair, 1), path, depth, err));
    }
done:
    f->container = outer;
    return st;
}

/* dict-like contents of an object: entries set on it, or pairs it was made from */
static sg_status walk_contents(tensor_file *b, uint32_t object, walk_path *path, unsigned depth,
                               sg_error *err)
{
    torch *f = b->reader;
    const pickle *p = f->values;
    uint32_t entries = pickle_item(p, object, PICKLE_ENTRIES);
    uint32_t pairs = pickle_item(p, pickle_item(p, object, PICKLE_ARGUMENTS), 0);
    if (entries) { /* of an OrderedDict, a defaultdict */
        sg_status st = note_vocabulary(b, entries, path->name, err);
        return st != SG_OK || vocabulary_size(f, entries, path->name)
                   ? st
                   : walk_dict(b, entries, path, depth, err);
    }
    if (pickle_kind_of(p, pairs) == PICKLE_LIST)
        return walk_pairs(b, pairs, path, depth, err);
    return SG_OK;
}

static sg_status walk_held(tensor_file *b, uint32_t id, walk_path *path, unsigned depth, sg_error *err)
{
    const pickle *p = ((torch *)b->reader)->values;
    if (pickle_kind_of(p, id) == PICKLE_DICT)
        return walk_dict(b, id, path, depth, err);
    return walk_contents(b, id, path, depth, err);
}

/* What a recurrent module records of itself, as attributes "PATH.mode" and so on. */
static sg_status note_settings(tensor_file *b, uint32_t state, const walk_path *path, sg_error *err)
{
    static const char *const keys[] = {"mode", "nonlinearity", "bidirectional", "proj_size"};
    const pickle *p = ((torch *)b->reader)->values;
    sg_status st = SG_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        uint32_t v = pickle_get(p, state, keys[i]);
        char key[TENSORS_MAX_NAME + 32], value[64];
        size_t n;
        const char *text = pickle_text(p, v, &n);
        if (!v || (text && n >= sizeof value))
            continue;
        if (text)
            snprintf(value, sizeof value, "%.*s", (int)n, text);
        else
            snprintf(value, sizeof value, "%lld", (long long)pickle_int(p, v));
        snprintf(key, sizeof key, "%s%s%s", path->name, path->length ? "." : "", keys[i]);
        TRY(tensors_set_attribute(b, key, value, err));
    }
done:
    return st;
}

/* A pickled torch.nn.Module: parameters, buffers, then submodules in their order; other attributes may hold
 * words. */
static sg_status walk_module(tensor_file *b, uint32_t object, uint32_t state, walk_path *path, unsigned depth,
                             sg_error *err)
{
    torch *f = b->reader;
    const pickle *p = f->values;
    sg_status st = SG_OK;
    char outer_class[sizeof path->layer_class];
    unsigned outer = f->container;
    uint32_t callee = pickle_item(p, object, PICKLE_CALLEE);
    size_t n;
    const char *name;
    if (pickle_is_global(p, callee, "copyreg", "_reconstructor") ||
        pickle_is_global(p, callee, "copy_reg", "_reconstructor"))
        callee = pickle_item(p, pickle_item(p, object, PICKLE_ARGUMENTS), 0);
    if (pickle_kind_of(p, callee) == PICKLE_PERSID) /* legacy: ('module', class, source file, source) */
        callee = pickle_item(p, pickle_item(p, callee, 0), 1);
    memcpy(outer_class, path->layer_class, sizeof outer_class);
    name = pickle_global_name(p, callee, &n);
    snprintf(path->layer_class, sizeof path->layer_class, "%.*s", name ? (int)(n < 60 ? n : 60) : 0,
             name ? name : "");
    if (!f->container)
        f->container = ++f->containers;
    TRY(note_settings(b, state, path, err));
    TRY(walk_held(b, pickle_get(p, state, "_parameters"), path, depth, err));
    TRY(walk_held(b, pickle_get(p, state, "_buffers"), path, depth, err));
    TRY(walk_held(b, pickle_get(p, state, "_modules"), path, depth, err));
    for (size_t i = 0; i + 1 < pickle_items(p, state); i += 2) {
        char word[64];
        const char *key = pickle_text(p, pickle_item(p, state, i), &n);
        if (!key || n >= sizeof word || key[0] == '_')
            continue;
        snprintf(word, sizeof word, "%.*s", (int)n, key);
        TRY(note_vocabulary(b, pickle_item(p, state, i + 1), word, err));
    }
done:
    f->container = outer;
    memcpy(path->layer_class, outer_class, sizeof outer_class);
    return st;
}

static sg_status walk_object(tensor_file *b, uint32_t id, walk_path *path, unsigned depth, sg_error *err)
{
    const pickle *p = ((torch *)b->reader)->values;
    sg_status st = SG_OK;
    uint32_t callee = pickle_item(p, id, PICKLE_CALLEE), arguments = pickle_item(p, id, PICKLE_ARGUMENTS);
    uint32_t state = pickle_item(p, id, PICKLE_STATE);
    const char *layer_class = path->layer_class[0] ? path->layer_class : NULL;
    if (pickle_is_global(p, callee, "torch._tensor", "_rebuild_from_type_v2")) {
        callee = pickle_item(p, arguments, 0);
        arguments = pickle_item(p, arguments, 2);
    }
    if (pickle_is_global(p, callee, "torch._utils", "_rebuild_tensor_v2") ||
        pickle_is_global(p, callee, "torch._utils", "_rebuild_tensor_v3") ||
        pickle_is_global(p, callee, "torch._utils", "_rebuild_qtensor") || /* named, its type is not read */
        pickle_is_global(p, callee, "torch._utils", "_rebuild_tensor"))
        return add_tensor(b, arguments, path->length ? path->name : "tensor", layer_class, err);
    if (pickle_is_global(p, callee, "torch._utils", "_rebuild_sparse_tensor") ||
        pickle_is_global(p, callee, "torch._utils", "_rebuild_sparse_csr_tensor"))
        return sg_fail(err, SG_EFORMAT, "%s: tensor %s is sparse, expected a dense one (to_dense())", b->path,
                       path->length ? path->name : "tensor");
    if (pickle_is_global(p, callee, "torch._utils", "_rebuild_parameter") ||
        pickle_is_global(p, callee, "torch._utils", "_rebuild_parameter_with_state") ||
        is_parameter(p, callee))
        return walk(b, pickle_item(p, arguments, 0), path, depth + 1, err);
    if (pickle_kind_of(p, state) == PICKLE_TUPLE && pickle_items(p, state) == 2) /* (None, slots) */
        state = pickle_item(p, state, pickle_kind_of(p, pickle_item(p, state, 0)) == PICKLE_DICT ? 0 : 1);
    if (pickle_get(p, state, "_modules") && pickle_get(p, state, "_parameters"))
        return walk_module(b, id, state, path, depth, err);
    TRY(walk_contents(b, id, path, depth, err));
    if (pickle_kind_of(p, state) == PICKLE_DICT && !pickle_get(p, state, "_metadata"))
        TRY(walk_dict(b, state, path, depth, err));
done:
    return st;
}

static sg_status walk(tensor_file *b, uint32_t id, walk_path *path, unsigned depth, sg_error *err)
{
    torch *f = b->reader;
    const pickle *p = f->values;
    sg_status st = SG_OK;
    if (depth > MAX_DEPTH || ++f->visits > MAX_VISITS)
        return sg_fail(err, SG_EFORMAT, "%s: its values are nested too deep or too often (a pickle bomb?)",
                       b->path);
    switch (pickle_kind_of(p, id)) {
    case PICKLE_STRING:
        return note_vocabulary(b, id, path->name, err);
    case PICKLE_DICT:
        TRY(note_vocabulary(b, id, path->name, err));
        return vocabulary_size(f, id, path->name) ? SG_OK : walk_dict(b, id, path, depth, err);
    case PICKLE_TUPLE:
    case PICKLE_LIST:
        TRY(note_vocabulary(b, id, path->name, err));
        if (vocabulary_size(f, id, path->name))
            return SG_OK;
        for (size_t i = 0; i < pickle_items(p, id); i++)
            if (pickle_kind_of(p, pickle_item(p, id, i)) >= PICKLE_TUPLE)
                TRY(walk_entry(b, 0, i, pickle_item(p, id, i), path, depth, err));
        break;
    case PICKLE_OBJECT:
        return walk_object(b, id, path, depth, err);
    default:
        break;
    }
done:
    return st;
}

sg_status torch_fill_from_pickle(tensor_file *b, sg_error *err)
{
    torch *f = b->reader;
    walk_path path = {0};
    b->in_order = true;
    b->vocabulary = torch_vocabulary;
    return walk(b, pickle_root(f->values), &path, 0, err);
}
