/* SPDX-License-Identifier: MIT */
/* The layers of a Keras file and the tensors of each: from the configuration, or from the names of groups
 * where a file has none. */
#include "import/keras_internal.h"

#include "base/base_internal.h"

#include <stdlib.h>
#include <string.h>

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
        json_object_foreach((json_t *)(uintptr_t)nodes, key, item)
        {
            if (strcmp(key, "mask") != 0)
                find_inbound(f, l, item, depth + 1);
            else
                l->masked |= json_is_object(item);
        }
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

sg_status keras_layers_from_config(tensor_file *b, sg_error *err)
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
sg_status keras_layers_from_names(tensor_file *b, const keras_names *list, sg_error *err)
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

sg_status keras_add_weights(tensor_file *b, const keras_names *list, sg_error *err)
{
    keras *f = b->reader;
    sg_status st = SG_OK;
    keras_names weights = {0};
    hid_t group = -1;
    for (size_t i = 0; i < list->n; i++) {
        int k = find_layer(f, list->at[i]);
        if (!list->at[i][0] || !keras_hard_path(f->root, list->at[i]) ||
            (group = H5Gopen2(f->root, list->at[i], H5P_DEFAULT)) < 0)
            TRY(sg_fail(err, SG_EFORMAT, "%s: group %.200s of layer_names is not in the file itself", b->path,
                        list->at[i]));
        TRY(keras_read_names(&weights, group, "weight_names", b, err));
        H5Gclose(group);
        group = -1;
        if (k >= 0)
            f->net.layers[k].first = b->n;
        for (size_t j = 0; j < weights.n; j++) {
            char name[TENSORS_MAX_NAME];
            if ((size_t)snprintf(name, sizeof name, "%s/%s", list->at[i], weights.at[j]) >= sizeof name)
                TRY(sg_fail(err, SG_EFORMAT, "%s: a tensor's name of more than %d bytes", b->path,
                            TENSORS_MAX_NAME - 1));
            TRY(keras_add_dataset(b, name, (unsigned)i, k >= 0 ? f->net.layers[k].class_name : "", err));
        }
        if (k >= 0)
            f->net.layers[k].n = b->n - f->net.layers[k].first;
        keras_names_free(&weights);
    }
done:
    keras_names_free(&weights);
    if (group >= 0)
        H5Gclose(group);
    return st;
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
                !keras_hard_path(f->root, name))
                break;
            TRY(keras_add_dataset(b, name, (unsigned)(l - f->net.layers), l->class_name, err));
        }
    l->n = b->n - l->first;
done:
    return st;
}

/* Groups are named by class and number, in the order of the layers: lstm, lstm_1, ... */
sg_status keras_add_v3_weights(tensor_file *b, const char *top, sg_error *err)
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
        if (!keras_hard_path(f->root, group))
            snprintf(group, sizeof group, "%s/%s", top, l->name);
        if (keras_hard_path(f->root, group))
            TRY(add_variables(b, l, group, err));
    }
done:
    return st;
}

bool keras_config_lists_layers(const keras *f)
{
    const json_t *model = json_object_get(f->net.config, "config");
    return json_is_array(model) || json_is_array(json_object_get(model, "layers"));
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

/* What a layer under a name of the user's own is, by its variables; NULL: not known. */
static const char *class_of_variables(const tensor_file *b, const keras_layer *l)
{
    if (!l->n)
        return NULL;
    const stored_tensor *t = &b->tensors[l->first];
    uint64_t H = l->n > 1 ? t[1].dims[0] : 0;
    if (l->n >= 2 && l->n <= 3 && strstr(t->name, "/cell/vars/") && t[0].rank == 2 && t[1].rank == 2 && H)
        return t[1].dims[1] == 4 * H   ? "LSTM"
               : t[1].dims[1] == 3 * H ? "GRU"
               : t[1].dims[1] == H     ? "SimpleRNN"
                                       : NULL;
    if (l->n == 1 && t->rank == 2)
        return "Embedding";
    return l->n == 2 && t[0].rank == 2 && t[1].rank == 1 && t[1].dims[0] == t[0].dims[1] ? "Dense" : NULL;
}

/* Groups of a model's own that are no layers. */
static bool is_no_layer(const char *name)
{
    static const char *const names[] = {"optimizer", "compile_metrics", "loss_tracker",
                                        "metrics",   "seed_generator",  "vars"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

const char *keras_group_of_layers(const keras *f)
{
    H5G_info_t info;
    if (keras_hard_path(f->root, "layers"))
        return "layers";
    if (keras_hard_path(f->root, "_layer_checkpoint_dependencies"))
        return "_layer_checkpoint_dependencies";
    if (H5Gget_info(f->root, &info) < 0)
        return NULL;
    for (hsize_t i = 0; i < info.nlinks && i < KERAS_MAX_LAYERS; i++) {
        char name[KERAS_NAME], path[KERAS_NAME + 16];
        ssize_t n =
            H5Lget_name_by_idx(f->root, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
        if (n <= 0 || (size_t)n >= sizeof name)
            continue;
        snprintf(path, sizeof path, "%s/cell/vars", name);
        if (keras_hard_path(f->root, path))
            return "";
    }
    return NULL;
}

static long group_number(const char *group)
{
    const char *last = strrchr(group, '_');
    return last && last[1] >= '0' && last[1] <= '9' ? strtol(last + 1, NULL, 10) : 0;
}

/* Where a class is used: embeddings first, recurrent layers, normalisations, dense layers. */
static int place_of_class(const char *name)
{
    static const char order[5][20] = {"Embedding", "LSTM", "GRU", "SimpleRNN", "BatchNormalization"};
    for (int i = 0; i < 5; i++)
        if (!strcmp(order[i], name))
            return i >= 1 && i <= 3 ? 1 : i;
    return 5;
}

static int by_use(const void *a, const void *b)
{
    const keras_layer *x = a, *y = b;
    int m = place_of_class(x->class_name), n = place_of_class(y->class_name);
    long i = group_number(x->name), j = group_number(y->name);
    return m != n ? (m < n ? -1 : 1) : (i > j) - (i < j);
}

/* Weights without a configuration: the groups give the classes, not their connections. Read is what can only
 * be one chain: embedding, recurrent layers by their numbers, dense layers. */
sg_status keras_layers_from_groups(tensor_file *b, const char *top, sg_error *err)
{
    keras *f = b->reader;
    sg_status st = SG_OK;
    H5G_info_t info;
    hid_t group = H5Gopen2(f->root, top[0] ? top : ".", H5P_DEFAULT);
    const keras_layer *named[6] = {NULL}; /* of each place, under names of the user's own */
    if (group < 0 || H5Gget_info(group, &info) < 0 || info.nlinks > KERAS_MAX_LAYERS)
        TRY(sg_fail(err, SG_EFORMAT, "%s: group %s cannot be read, or holds more than %d layers", b->path,
                    top, KERAS_MAX_LAYERS));
    for (hsize_t i = 0; i < info.nlinks; i++) {
        char name[KERAS_NAME], path[2 * KERAS_NAME], inner[2 * KERAS_NAME + 16];
        size_t order;
        keras_layer *l;
        ssize_t n =
            H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
        if (n <= 0 || (size_t)n >= sizeof name)
            TRY(sg_fail(err, SG_EFORMAT, "%s: a layer's name of more than %d bytes", b->path,
                        KERAS_NAME - 1));
        if (!top[0] && is_no_layer(name))
            continue;
        snprintf(path, sizeof path, "%s%s%s", top, top[0] ? "/" : "", name);
        const char *class_name = class_of_group(name, &order);
        snprintf(inner, sizeof inner, "%s/layers", path);
        if (keras_hard_path(f->root, inner))
            TRY(sg_fail(
                err, SG_EFORMAT,
                "%s: layer %s is a model of its own within the model, whose layers are not read: save that "
                "model alone",
                b->path, name));
        TRY(new_layer(f, name, &l, b, err));
        if (class_name)
            snprintf(l->class_name, sizeof l->class_name, "%s", class_name);
        TRY(add_variables(b, l, path, err));
        if (!class_name && !strncmp(name, "bidirectional", 13) && (class_name = class_of_variables(b, l))) {
            snprintf(l->class_name, sizeof l->class_name, "%s", class_name);
            snprintf(l->wrapper, sizeof l->wrapper, "Bidirectional");
        }
        if (!class_name && !top[0] && (class_name = class_of_variables(b, l))) {
            snprintf(l->class_name, sizeof l->class_name, "%s", class_name);
            const keras_layer **of_place = &named[place_of_class(l->class_name)];
            if (*of_place)
                TRY(sg_fail(
                    err, SG_EFORMAT,
                    "%s: layers %s and %s (tensor %s) are both %s, and a weights file does not record their "
                    "order",
                    b->path, (*of_place)->name, name, b->tensors[l->first].name, class_name));
            *of_place = l;
        }
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
