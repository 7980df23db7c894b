/* ONNX files: protobuf through protobuf-c and the messages of onnx.proto.
 *
 * Before protobuf-c may build anything, the wire format is walked once to bound how deep messages nest (protobuf-c
 * recurses), and it allocates from a budget: small files can ask for much. */
#include "onnx.h"

#include "base/base_internal.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_NESTING = 48, MAX_DEPTH = 48, MAX_STEPS = 1 << 18, HEADROOM = 40 << 20, BUFFER = 1 << 14 };

/* ---- views: boxes of initializers ---- */

typedef struct {
    uint32_t tensor;                /* in the bag */
    uint64_t offset;
    uint64_t stride[BAG_MAX_RANK];  /* in elements of the initializer, one a dimension of the view */
    uint64_t start[BAG_MAX_RANK];   /* the box within the view */
    uint64_t count[BAG_MAX_RANK];
} piece;

typedef struct {
    unsigned rank;
    uint64_t dims[BAG_MAX_RANK];
    size_t n;
    piece pieces[ONNX_MAX_PIECES];
} view;

typedef struct {
    const char *name;
    onnx_value value;
} definition;

typedef struct {
    const Onnx__GraphProto *proto;
    uint32_t parent, owner; /* the graph around it, and the node in that; itself for the outermost */
} graph;

typedef struct {
    uint64_t left;
} budget;

typedef struct {
    budget memory;
    ProtobufCAllocator allocator;
    Onnx__ModelProto *model;
    graph *graphs;
    size_t n_graphs;
    onnx_node *nodes;
    size_t n_nodes, nodes_room;
    definition *names;
    size_t n_names, names_room;
    const Onnx__TensorProto **tensors; /* of the bag's entries */
    size_t n_tensors, tensors_room;
    view **views;
    bag_tensor *view_tensors;          /* their faces to the world; storage is the number of the view */
    size_t n_views;
    size_t steps;                      /* of resolving constants: a graph can name the same node again and again */
} onnx;

static void onnx_close(bag *b)
{
    onnx *f = b->format;
    if (!f)
        return;
    if (f->model)
        onnx__model_proto__free_unpacked(f->model, &f->allocator);
    for (size_t i = 0; i < f->n_views; i++) {
        sg_free(f->views[i]);
        sg_free(f->view_tensors[i].name);
    }
    sg_free(f->views);
    sg_free(f->view_tensors);
    sg_free(f->graphs);
    sg_free(f->nodes);
    sg_free(f->names);
    sg_free(f->tensors);
    sg_free(f);
    b->format = NULL;
}

/* ---- unpacking within limits ---- */

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

/* Walks one message of the type that desc describes; false: malformed, or nested deeper than level allows. */
static bool nests_within(const unsigned char *at, const unsigned char *end, const ProtobufCMessageDescriptor *desc,
                         unsigned level)
{
    if (!level)
        return false;
    while (at < end) {
        uint64_t tag, n;
        if (!varint(&at, end, &tag))
            return false;
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(desc, (unsigned)(tag >> 3 & 0x1fffffff));
        switch (tag & 7) {
        case 0:
            if (!varint(&at, end, &n))
                return false;
            break;
        case 1:
        case 5:
            n = (tag & 7) == 1 ? 8 : 4;
            if ((uint64_t)(end - at) < n)
                return false;
            at += n;
            break;
        case 2:
            if (!varint(&at, end, &n) || n > (uint64_t)(end - at))
                return false;
            if (field && field->type == PROTOBUF_C_TYPE_MESSAGE &&
                !nests_within(at, at + n, field->descriptor, level - 1))
                return false;
            at += n;
            break;
        default:
            return false;
        }
    }
    return true;
}

/* Allocation from a budget; the size of a block is kept in front of it. */
static void *budget_take(void *ctx, size_t size)
{
    budget *m = ctx;
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
    budget *m = ctx;
    if (!pointer)
        return;
    size_t *p = (size_t *)(void *)((char *)pointer - 64);
    m->left += *p;
    sg_free(p);
}

static sg_status unpack(bag *b, sg_error *err)
{
    onnx *f = b->format;
    sg_status st;
    size_t n = (size_t)b->file_size;
    unsigned char *data = sg_calloc(n + 1, 1);
    if (!data)
        return sg_fail(err, SG_ENOMEM, "%s: no memory for %zu bytes", b->path, n);
    TRY(bag_pread(b, 0, data, n, err));
    if (!nests_within(data, data + n, &onnx__model_proto__descriptor, MAX_NESTING))
        TRY(sg_fail(err, SG_EFORMAT, "%s: not a whole ONNX model (truncated, damaged, or nested deeper than %d)", b->path,
                    MAX_NESTING));
    f->memory.left = n + HEADROOM;
    f->allocator = (ProtobufCAllocator){budget_take, budget_give, &f->memory};
    if (!(f->model = onnx__model_proto__unpack(&f->allocator, n, data)) || !f->model->graph)
        TRY(sg_fail(err, SG_EFORMAT, "%s: not an ONNX model, or one that unpacks to much more than its size", b->path));
done:
    sg_free(data);
    return st;
}

/* ---- names and scopes ---- */

const char *onnx_text(const char *s)
{
    return s ? s : "";
}

size_t onnx_nodes(const bag *b)
{
    return ((const onnx *)b->format)->n_nodes;
}

const onnx_node *onnx_node_at(const bag *b, size_t i)
{
    return &((const onnx *)b->format)->nodes[i];
}

bool onnx_is(const Onnx__NodeProto *n, const char *op_type)
{
    return !strcmp(onnx_text(n->op_type), op_type);
}

const Onnx__AttributeProto *onnx_attribute(const Onnx__NodeProto *n, const char *name)
{
    for (size_t i = 0; i < n->n_attribute; i++)
        if (!strcmp(onnx_text(n->attribute[i]->name), name))
            return n->attribute[i];
    return NULL;
}

int64_t onnx_attribute_int(const Onnx__NodeProto *n, const char *name, int64_t otherwise)
{
    const Onnx__AttributeProto *a = onnx_attribute(n, name);
    return a && a->has_i ? a->i : otherwise;
}

static int by_name(const void *a, const void *b)
{
    const definition *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->value.graph > y->value.graph) - (x->value.graph < y->value.graph);
}

onnx_value onnx_lookup(const bag *b, const char *name, uint32_t from)
{
    const onnx *f = b->format;
    onnx_value nothing = {0};
    if (!name || !name[0] || !f->n_names)
        return nothing;
    for (;;) {
        definition key = {name, {.graph = from}};
        const definition *found = bsearch(&key, f->names, f->n_names, sizeof key, by_name);
        if (found)
            return found->value;
        if (f->graphs[from].parent == from)
            return nothing;
        from = f->graphs[from].parent;
    }
}

static sg_status define(bag *b, const char *name, onnx_value value, sg_error *err)
{
    onnx *f = b->format;
    if (!name || !name[0])
        return SG_OK;
    if (f->n_names == f->names_room) {
        size_t room = f->names_room ? 2 * f->names_room : 256;
        definition *grown = sg_regrow(f->names, f->names_room, room, sizeof *grown);
        if (!grown)
            return sg_fail(err, SG_ENOMEM, "%s: no memory for its names", b->path);
        f->names = grown;
        f->names_room = room;
    }
    f->names[f->n_names++] = (definition){name, value};
    return SG_OK;
}

size_t onnx_subgraphs(const bag *b, uint32_t node, uint32_t out[2])
{
    const onnx *f = b->format;
    size_t n = 0;
    for (uint32_t g = 1; g < f->n_graphs && n < 2; g++)
        if (f->graphs[g].owner == node)
            out[n++] = g;
    return n;
}

const char *onnx_graph_output(const bag *b, uint32_t g, size_t k)
{
    const onnx *f = b->format;
    return k < f->graphs[g].proto->n_output ? f->graphs[g].proto->output[k]->name : NULL;
}

bool onnx_graph_owner(const bag *b, uint32_t g, uint32_t *node)
{
    const onnx *f = b->format;
    *node = f->graphs[g].owner;
    return f->graphs[g].parent != g;
}

/* ---- tensors ---- */

static bag_dtype dtype_of(int32_t type)
{
    static const bag_dtype known[] = {[1] = BAG_F32, [2] = BAG_U8,  [3] = BAG_I8,   [5] = BAG_I16,  [6] = BAG_I32,
                                      [7] = BAG_I64, [9] = BAG_BOOL, [10] = BAG_F16, [11] = BAG_F64, [16] = BAG_BF16};
    static const bool is_known[17] = {[1] = true, [2] = true, [3] = true,  [5] = true,  [6] = true,
                                      [7] = true, [9] = true, [10] = true, [11] = true, [16] = true};
    return type >= 0 && type <= 16 && is_known[type] ? known[type] : BAG_OTHER;
}

/* Do its numbers lie in the file, as many as its dims say? */
static bool has_data(const Onnx__TensorProto *t, bag_dtype d, uint64_t elements)
{
    size_t width = bag_dtype_size(d);
    if (t->n_external_data || (t->has_data_location && t->data_location))
        return false;
    if (t->has_raw_data)
        return width && t->raw_data.len / width == elements && t->raw_data.len % width == 0;
    if (d == BAG_F32)
        return t->n_float_data == elements;
    if (d == BAG_F64)
        return t->n_double_data == elements;
    if (d == BAG_I64)
        return t->n_int64_data == elements;
    return t->n_int32_data == elements;
}

static sg_status add_tensor(bag *b, const Onnx__TensorProto *proto, const char *name, uint32_t in, sg_error *err)
{
    onnx *f = b->format;
    sg_status st;
    uint64_t dims[BAG_MAX_RANK];
    char inner[BAG_MAX_NAME];
    bag_tensor *t;
    if (in && strlen(name) + 24 < sizeof inner) { /* names repeat in the branches of an If */
        snprintf(inner, sizeof inner, "%s (subgraph %u)", name, in);
        name = inner;
    }
    if (proto->n_dims > BAG_MAX_RANK)
        TRY(sg_fail(err, SG_EFORMAT, "%s: tensor %.200s has %zu dimensions, at most %d are read", b->path, name,
                    proto->n_dims, BAG_MAX_RANK));
    for (size_t k = 0; k < proto->n_dims; k++) {
        if (proto->dims[k] < 0)
            TRY(sg_fail(err, SG_EFORMAT, "%s: tensor %.200s has a negative size", b->path, name));
        dims[k] = (uint64_t)proto->dims[k];
    }
    TRY(bag_add(b, name, dtype_of(proto->data_type), (unsigned)proto->n_dims, dims, NULL, &t, err));
    t->storage = f->n_tensors;
    t->container = in + 1;
    if (f->n_tensors == f->tensors_room) {
        size_t room = f->tensors_room ? 2 * f->tensors_room : 64;
        const Onnx__TensorProto **grown = sg_regrow(f->tensors, f->tensors_room, room, sizeof *grown);
        if (!grown)
            TRY(sg_fail(err, SG_ENOMEM, "%s: no memory for the list of tensors", b->path));
        f->tensors = grown;
        f->tensors_room = room;
    }
    f->tensors[f->n_tensors++] = proto;
    if (bag_is_float(t->dtype) && !has_data(proto, t->dtype, t->elements))
        TRY(sg_fail(err, SG_EFORMAT, proto->n_external_data || proto->data_location
                                         ? "%s: tensor %.200s keeps its numbers in another file, which is not read"
                                         : "%s: tensor %.200s has more or fewer numbers than its shape says", b->path, name));
done:
    return st;
}

static sg_status add_graph(bag *b, const Onnx__GraphProto *proto, uint32_t parent, uint32_t owner, uint32_t *number,
                           sg_error *err)
{
    onnx *f = b->format;
    if (f->n_graphs == ONNX_MAX_GRAPHS)
        return sg_fail(err, SG_EFORMAT, "%s: more than %d subgraphs", b->path, ONNX_MAX_GRAPHS);
    *number = (uint32_t)f->n_graphs;
    f->graphs[f->n_graphs++] = (graph){proto, parent, owner};
    return SG_OK;
}

static sg_status add_node(bag *b, const Onnx__NodeProto *proto, uint32_t in, sg_error *err)
{
    onnx *f = b->format;
    sg_status st = SG_OK;
    uint32_t sub;
    if (f->n_nodes == f->nodes_room) {
        size_t room = f->nodes_room ? 2 * f->nodes_room : 128;
        onnx_node *grown = room > ONNX_MAX_NODES ? NULL : sg_regrow(f->nodes, f->nodes_room, room, sizeof *grown);
        if (!grown)
            TRY(sg_fail(err, SG_EFORMAT, "%s: more than %d nodes", b->path, ONNX_MAX_NODES));
        f->nodes = grown;
        f->nodes_room = room;
    }
    uint32_t number = (uint32_t)f->n_nodes++;
    f->nodes[number] = (onnx_node){proto, in};
    for (size_t k = 0; k < proto->n_output; k++)
        TRY(define(b, proto->output[k],
                   (onnx_value){.what = ONNX_NODE, .node = number, .output = (uint32_t)k, .graph = in}, err));
    for (size_t k = 0; k < proto->n_attribute; k++)
        if (proto->attribute[k]->g)
            TRY(add_graph(b, proto->attribute[k]->g, in, number, &sub, err));
done:
    return st;
}

/* All graphs, outermost first; the list grows while it is walked. */
static sg_status collect(bag *b, sg_error *err)
{
    onnx *f = b->format;
    sg_status st;
    uint32_t top;
    TRY(add_graph(b, f->model->graph, 0, UINT32_MAX, &top, err));
    for (uint32_t g = 0; g < f->n_graphs; g++) {
        const Onnx__GraphProto *p = f->graphs[g].proto;
        for (size_t i = 0; i < p->n_initializer; i++) {
            const Onnx__TensorProto *t = p->initializer[i];
            TRY(add_tensor(b, t, onnx_text(t->name), g, err));
            TRY(define(b, t->name, (onnx_value){.what = ONNX_TENSOR, .tensor = t, .graph = g}, err));
        }
        for (size_t i = 0; i < p->n_node; i++)
            TRY(add_node(b, p->node[i], g, err));
        for (size_t i = 0; i < p->n_input; i++) {
            size_t k = 0; /* before IR version 4 initializers are inputs too */
            while (k < p->n_initializer && strcmp(onnx_text(p->initializer[k]->name), onnx_text(p->input[i]->name)) != 0)
                k++;
            if (k == p->n_initializer)
                TRY(define(b, p->input[i]->name, (onnx_value){.what = ONNX_INPUT, .graph = g}, err));
        }
    }
    if (f->n_names)
        qsort(f->names, f->n_names, sizeof *f->names, by_name);
    for (size_t i = 1; i < f->n_names; i++)
        if (!by_name(&f->names[i - 1], &f->names[i]))
            TRY(sg_fail(err, SG_EFORMAT, "%s: two values are named %.200s", b->path, f->names[i].name));
done:
    return st;
}

/* ---- constants ---- */

/* Up to 16 whole numbers of a constant (axes, starts, shapes). */
static bool constant_ints(const bag *b, const char *name, uint32_t from, int64_t out[16], size_t *n)
{
    onnx_value v = onnx_lookup(b, name, from);
    const Onnx__TensorProto *t = v.what == ONNX_TENSOR ? v.tensor : NULL;
    if (v.what == ONNX_NODE && onnx_is(onnx_node_at(b, v.node)->proto, "Constant")) {
        const Onnx__NodeProto *node = onnx_node_at(b, v.node)->proto;
        const Onnx__AttributeProto *a = onnx_attribute(node, "value");
        t = a ? a->t : NULL;
        if ((a = onnx_attribute(node, "value_int")) || (a = onnx_attribute(node, "value_ints"))) {
            *n = a->n_ints ? a->n_ints : 1;
            if (*n > 16)
                return false;
            for (size_t i = 0; i < *n; i++)
                out[i] = a->n_ints ? a->ints[i] : a->i;
            return true;
        }
    }
    if (!t || (t->data_type != 7 && t->data_type != 6) || t->n_external_data)
        return false;
    size_t width = t->data_type == 7 ? 8 : 4;
    *n = t->has_raw_data ? t->raw_data.len / width : width == 8 ? t->n_int64_data : t->n_int32_data;
    if (*n > 16)
        return false;
    for (size_t i = 0; i < *n; i++) {
        uint64_t x = 0;
        for (size_t k = 0; k < width && t->has_raw_data; k++)
            x |= (uint64_t)t->raw_data.data[i * width + k] << (8 * k);
        out[i] = t->has_raw_data ? (width == 8 ? (int64_t)x : (int64_t)(int32_t)(uint32_t)x)
                                 : width == 8 ? t->int64_data[i] : t->int32_data[i];
    }
    return true;
}

/* A list of numbers that newer operator sets take as input k, older ones as an attribute. */
static bool node_ints(const bag *b, const onnx_node *n, size_t k, const char *attribute, int64_t out[16], size_t *count)
{
    if (k < n->proto->n_input && onnx_text(n->proto->input[k])[0])
        return constant_ints(b, n->proto->input[k], n->graph, out, count);
    const Onnx__AttributeProto *a = onnx_attribute(n->proto, attribute);
    if (!a || a->n_ints > 16)
        return false;
    *count = a->n_ints;
    memcpy(out, a->ints, a->n_ints * sizeof *out);
    return true;
}

static void insert_axis(view *v, unsigned at)
{
    for (unsigned k = v->rank; k > at; k--)
        v->dims[k] = v->dims[k - 1];
    v->dims[at] = 1;
    for (size_t i = 0; i < v->n; i++) {
        piece *p = &v->pieces[i];
        for (unsigned k = v->rank; k > at; k--) {
            p->stride[k] = p->stride[k - 1];
            p->start[k] = p->start[k - 1];
            p->count[k] = p->count[k - 1];
        }
        p->stride[at] = 0;
        p->start[at] = 0;
        p->count[at] = 1;
    }
    v->rank++;
}

static void remove_axis(view *v, unsigned at)
{
    v->rank--;
    for (unsigned k = at; k < v->rank; k++)
        v->dims[k] = v->dims[k + 1];
    for (size_t i = 0; i < v->n; i++)
        for (unsigned k = at; k < v->rank; k++) {
            piece *p = &v->pieces[i];
            p->stride[k] = p->stride[k + 1];
            p->start[k] = p->start[k + 1];
            p->count[k] = p->count[k + 1];
        }
}

static int by_number(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static bool apply_unsqueeze(view *v, int64_t *axes, size_t n)
{
    int64_t rank = (int64_t)v->rank + (int64_t)n;
    if (rank > BAG_MAX_RANK)
        return false;
    for (size_t i = 0; i < n; i++)
        axes[i] += axes[i] < 0 ? rank : 0;
    qsort(axes, n, sizeof *axes, by_number);
    for (size_t i = 0; i < n; i++) {
        if (axes[i] < 0 || axes[i] > v->rank || (i && axes[i] == axes[i - 1]))
            return false;
        insert_axis(v, (unsigned)axes[i]);
    }
    return true;
}

static bool apply_squeeze(view *v, int64_t *axes, size_t n, bool all)
{
    for (size_t i = 0; i < n; i++)
        axes[i] += axes[i] < 0 ? (int64_t)v->rank : 0;
    for (unsigned k = v->rank; k > 0; k--) {
        bool wanted = all && v->dims[k - 1] == 1;
        for (size_t i = 0; i < n; i++)
            wanted |= axes[i] == (int64_t)k - 1;
        if (wanted && v->dims[k - 1] != 1)
            return false;
        if (wanted)
            remove_axis(v, k - 1);
    }
    return true;
}

static bool apply_transpose(view *v, const Onnx__AttributeProto *perm)
{
    view old = *v;
    bool seen[BAG_MAX_RANK] = {false};
    if (perm && perm->n_ints != v->rank)
        return false;
    for (unsigned k = 0; k < v->rank; k++) {
        int64_t from = perm ? perm->ints[k] : (int64_t)(v->rank - 1 - k);
        if (from < 0 || from >= v->rank || seen[from])
            return false;
        seen[from] = true;
        v->dims[k] = old.dims[from];
        for (size_t i = 0; i < v->n; i++) {
            v->pieces[i].stride[k] = old.pieces[i].stride[from];
            v->pieces[i].start[k] = old.pieces[i].start[from];
            v->pieces[i].count[k] = old.pieces[i].count[from];
        }
    }
    return true;
}

/* [start, end) of one axis with step 1, as NumPy clips it. */
static bool slice_axis(view *v, int64_t axis, int64_t start, int64_t end, int64_t step)
{
    axis += axis < 0 ? v->rank : 0;
    if (axis < 0 || axis >= v->rank || step != 1)
        return false;
    int64_t size = (int64_t)v->dims[axis];
    start += start < 0 ? size : 0;
    end += end < 0 ? size : 0;
    start = start < 0 ? 0 : start > size ? size : start;
    end = end < 0 ? 0 : end > size ? size : end;
    if (end <= start)
        return false;
    uint64_t a = (uint64_t)start, z = (uint64_t)end;
    size_t kept = 0;
    for (size_t i = 0; i < v->n; i++) {
        piece p = v->pieces[i];
        uint64_t from = p.start[axis] > a ? p.start[axis] : a, to = p.start[axis] + p.count[axis];
        to = to < z ? to : z;
        if (from >= to)
            continue;
        p.offset += (from - p.start[axis]) * p.stride[axis];
        p.start[axis] = from - a;
        p.count[axis] = to - from;
        v->pieces[kept++] = p;
    }
    v->n = kept;
    v->dims[axis] = z - a;
    return true;
}

static bool apply_slice(view *v, const bag *b, const onnx_node *n)
{
    int64_t starts[16], ends[16], axes[16], steps[16];
    size_t n_starts, n_ends, n_axes, n_steps;
    if (!node_ints(b, n, 1, "starts", starts, &n_starts) || !node_ints(b, n, 2, "ends", ends, &n_ends) ||
        n_starts != n_ends)
        return false;
    if (!node_ints(b, n, 3, "axes", axes, &n_axes))
        for (n_axes = 0; n_axes < n_starts; n_axes++)
            axes[n_axes] = (int64_t)n_axes;
    if (!node_ints(b, n, 4, "steps", steps, &n_steps))
        for (n_steps = 0; n_steps < n_starts; n_steps++)
            steps[n_steps] = 1;
    if (n_axes != n_starts || n_steps != n_starts)
        return false;
    for (size_t i = 0; i < n_starts; i++)
        if (!slice_axis(v, axes[i], starts[i], ends[i], steps[i]))
            return false;
    return true;
}

/* Only of a whole, untouched initializer. */
static bool apply_reshape(view *v, const int64_t *shape, size_t n)
{
    uint64_t elements = 1, known = 1, expected = 1;
    int infer = -1;
    for (unsigned k = v->rank; k > 0; k--) {
        if (v->n != 1 || (v->dims[k - 1] > 1 && v->pieces[0].stride[k - 1] != expected))
            return false;
        expected *= v->dims[k - 1];
    }
    elements = expected;
    if (v->n != 1 || n > BAG_MAX_RANK || n == 0)
        return false;
    uint64_t dims[BAG_MAX_RANK];
    for (size_t i = 0; i < n; i++) {
        if (shape[i] == -1 && infer < 0) {
            infer = (int)i;
            continue;
        }
        uint64_t d = shape[i] == 0 && i < v->rank ? v->dims[i] : (uint64_t)shape[i];
        if (shape[i] < 0 || !d || known > elements / d)
            return false;
        dims[i] = d;
        known *= d;
    }
    if (elements % known || (infer < 0 && known != elements))
        return false;
    if (infer >= 0)
        dims[infer] = elements / known;
    v->rank = (unsigned)n;
    piece *p = &v->pieces[0];
    for (size_t k = n, step = 1; k > 0; k--) {
        v->dims[k - 1] = p->count[k - 1] = dims[k - 1];
        p->start[k - 1] = 0;
        p->stride[k - 1] = step;
        step *= dims[k - 1];
    }
    return true;
}

static bool join(view *v, const view *other, unsigned axis)
{
    if (v->rank != other->rank || axis >= v->rank || v->n + other->n > ONNX_MAX_PIECES)
        return false;
    for (unsigned k = 0; k < v->rank; k++)
        if (k != axis && v->dims[k] != other->dims[k])
            return false;
    for (size_t i = 0; i < other->n; i++) {
        v->pieces[v->n] = other->pieces[i];
        v->pieces[v->n++].start[axis] += v->dims[axis];
    }
    return !__builtin_add_overflow(v->dims[axis], other->dims[axis], &v->dims[axis]);
}

static bool whole_tensor(view *v, const bag *b, const Onnx__TensorProto *t)
{
    const onnx *f = b->format;
    for (size_t i = 0; i < b->n; i++) {
        if (f->tensors[b->tensors[i].storage] != t)
            continue;
        const bag_tensor *from = &b->tensors[i];
        *v = (view){.rank = from->rank, .n = 1};
        v->pieces[0].tensor = (uint32_t)i;
        for (unsigned k = 0; k < from->rank; k++) {
            v->dims[k] = v->pieces[0].count[k] = from->dims[k];
            v->pieces[0].stride[k] = from->strides[k];
        }
        return bag_is_float(from->dtype) && from->elements > 0;
    }
    return false;
}

typedef enum { VIEW_NONE, VIEW_FINE, VIEW_STUCK } view_result;

static view_result resolve(view *v, const bag *b, const char *name, uint32_t from, unsigned depth, const char **stuck);

static view_result resolve_concat(view *v, const bag *b, const onnx_node *n, unsigned depth, const char **stuck)
{
    const Onnx__NodeProto *p = n->proto;
    view_result r = p->n_input ? resolve(v, b, p->input[0], n->graph, depth + 1, stuck) : VIEW_NONE;
    view *other = r == VIEW_FINE ? sg_calloc(1, sizeof *other) : NULL;
    int64_t axis = onnx_attribute_int(p, "axis", 0);
    if (r == VIEW_FINE && !other)
        r = VIEW_STUCK;
    axis += axis < 0 && r == VIEW_FINE ? v->rank : 0;
    for (size_t i = 1; i < p->n_input && r == VIEW_FINE; i++) {
        r = resolve(other, b, p->input[i], n->graph, depth + 1, stuck);
        if (r == VIEW_FINE && (axis < 0 || !join(v, other, (unsigned)axis)))
            r = VIEW_STUCK;
    }
    sg_free(other);
    return r;
}

/* Operators that put numbers elsewhere and change none. */
static bool moves_only(const Onnx__NodeProto *p)
{
    static const char *const known[] = {"Identity", "Cast",      "Dropout", "Unsqueeze",
                                        "Squeeze",  "Transpose", "Slice",   "Reshape"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (onnx_is(p, known[i]))
            return true;
    return false;
}

static view_result resolve_node(view *v, const bag *b, const onnx_node *n, unsigned depth, const char **stuck)
{
    const Onnx__NodeProto *p = n->proto;
    int64_t list[16];
    size_t count = 0;
    bool fine = false;
    if (onnx_is(p, "Constant")) {
        const Onnx__AttributeProto *a = onnx_attribute(p, "value");
        return a && a->t && whole_tensor(v, b, a->t) ? VIEW_FINE : VIEW_NONE;
    }
    if (onnx_is(p, "Concat"))
        return resolve_concat(v, b, n, depth, stuck);
    if (!moves_only(p)) { /* arithmetic: on constants alone it is one too, but not one that is read */
        for (size_t i = 0; i < p->n_input; i++)
            if (onnx_text(p->input[i])[0] && resolve(v, b, p->input[i], n->graph, depth + 1, stuck) == VIEW_NONE)
                return VIEW_NONE;
        *stuck = onnx_text(p->op_type);
        return p->n_input ? VIEW_STUCK : VIEW_NONE;
    }
    view_result r = p->n_input ? resolve(v, b, p->input[0], n->graph, depth + 1, stuck) : VIEW_NONE;
    if (r != VIEW_FINE)
        return r;
    if (onnx_is(p, "Identity") || onnx_is(p, "Cast") || onnx_is(p, "Dropout"))
        fine = true;
    else if (onnx_is(p, "Unsqueeze"))
        fine = node_ints(b, n, 1, "axes", list, &count) && apply_unsqueeze(v, list, count);
    else if (onnx_is(p, "Squeeze")) {
        bool given = node_ints(b, n, 1, "axes", list, &count);
        fine = (given || p->n_input < 2) && apply_squeeze(v, list, count, !given);
    } else if (onnx_is(p, "Transpose"))
        fine = apply_transpose(v, onnx_attribute(p, "perm"));
    else if (onnx_is(p, "Slice"))
        fine = apply_slice(v, b, n);
    else if (onnx_is(p, "Reshape"))
        fine = node_ints(b, n, 1, "shape", list, &count) && apply_reshape(v, list, count);
    if (!fine)
        *stuck = onnx_text(p->op_type);
    return fine ? VIEW_FINE : VIEW_STUCK;
}

static view_result resolve(view *v, const bag *b, const char *name, uint32_t from, unsigned depth, const char **stuck)
{
    onnx_value value = onnx_lookup(b, name, from);
    if (depth > MAX_DEPTH || ++((onnx *)b->format)->steps > MAX_STEPS) { /* also what a circle of nodes comes to */
        *stuck = "too many operators, or a circle of them";
        return VIEW_STUCK;
    }
    if (value.what == ONNX_TENSOR)
        return whole_tensor(v, b, value.tensor) ? VIEW_FINE : VIEW_NONE;
    if (value.what == ONNX_NODE)
        return resolve_node(v, b, onnx_node_at(b, value.node), depth, stuck);
    return VIEW_NONE;
}

/* "W", or "W_i + W_f" when it is put together from several. */
static void view_name(char out[BAG_MAX_NAME], const bag *b, const view *v)
{
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < v->n; i++) {
        bool told = false;
        for (size_t k = 0; k < i; k++)
            told |= v->pieces[k].tensor == v->pieces[i].tensor;
        const char *name = b->tensors[v->pieces[i].tensor].name;
        if (!told && n + strlen(name) + 4 < BAG_MAX_NAME)
            n += (size_t)snprintf(out + n, BAG_MAX_NAME - n, "%s%s", n ? " + " : "", name);
    }
}

sg_status onnx_constant(const bag_tensor **out, const bag *b, const char *name, uint32_t from, const char *what,
                        sg_error *err)
{
    onnx *f = b->format;
    sg_status st = SG_OK;
    char text[BAG_MAX_NAME];
    const char *stuck = "an operator with inputs that are no constants";
    view *v = NULL;
    *out = NULL;
    if (f->n_views == ONNX_MAX_VIEWS)
        TRY(sg_fail(err, SG_EFORMAT, "%s: more than %d constants of recurrent layers", b->path, ONNX_MAX_VIEWS));
    if (!(v = sg_calloc(1, sizeof *v)))
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory for %s", b->path, what));
    view_result r = resolve(v, b, name, from, 0, &stuck);
    if (r == VIEW_STUCK)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %s (%.200s) passes through %s, which is not understood", b->path, what,
                    onnx_text(name), stuck));
    if (r == VIEW_NONE)
        goto done;
    bag_tensor t = {.dtype = BAG_F32, .rank = v->rank, .elements = 1, .storage = f->n_views};
    for (unsigned k = v->rank; k > 0; k--) {
        t.dims[k - 1] = v->dims[k - 1];
        t.strides[k - 1] = t.elements;
        if (__builtin_mul_overflow(t.elements, t.dims[k - 1], &t.elements) || t.elements > UINT64_MAX / 16)
            TRY(sg_fail(err, SG_EFORMAT, "%s: the size of %s overflows", b->path, what));
    }
    view_name(text, b, v);
    if (!(t.name = sg_strdup(text)))
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory for %s", b->path, what));
    f->views[f->n_views] = v;
    v = NULL;
    f->view_tensors[f->n_views] = t;
    *out = &f->view_tensors[f->n_views++];
done:
    sg_free(v);
    return st;
}

bool onnx_same(const bag *b, const bag_tensor *x, const bag_tensor *y)
{
    const onnx *f = b->format;
    if (!x || !y)
        return x == y;
    const view *v = f->views[x->storage], *w = f->views[y->storage];
    if (v->rank != w->rank || v->n != w->n || memcmp(v->dims, w->dims, v->rank * sizeof *v->dims) != 0)
        return false;
    for (size_t i = 0; i < v->n; i++) {
        const piece *p = &v->pieces[i], *q = &w->pieces[i];
        size_t bytes = v->rank * sizeof *p->stride;
        if (p->tensor != q->tensor || p->offset != q->offset || memcmp(p->stride, q->stride, bytes) != 0 ||
            memcmp(p->start, q->start, bytes) != 0 || memcmp(p->count, q->count, bytes) != 0)
            return false;
    }
    return true;
}

/* ---- reading ---- */

/* n numbers of an initializer from `at` on, stride apart. */
static void take(const Onnx__TensorProto *t, bag_dtype d, uint64_t at, uint64_t stride, size_t n, float *out)
{
    size_t width = bag_dtype_size(d);
    for (size_t i = 0; i < n; i++, at += stride) {
        if (t->has_raw_data)
            bag_to_float(&out[i], t->raw_data.data + at * width, d, 1);
        else if (d == BAG_F32)
            out[i] = t->float_data[at];
        else if (d == BAG_F64)
            out[i] = (float)t->double_data[at];
        else {
            unsigned char bytes[2] = {(unsigned char)(t->int32_data[at] & 0xff),
                                      (unsigned char)(t->int32_data[at] >> 8 & 0xff)};
            bag_to_float(&out[i], bytes, d, 1);
        }
    }
}

static void read_piece(const bag *b, const view *v, const piece *p, float *buffer, bag_sink sink, void *ctx)
{
    const onnx *f = b->format;
    const bag_tensor *from = &b->tensors[p->tensor];
    const Onnx__TensorProto *t = f->tensors[from->storage];
    uint64_t index[BAG_MAX_RANK] = {0}, run = v->rank ? p->count[v->rank - 1] : 1;
    for (;;) {
        uint64_t at = p->offset, logical = 0;
        for (unsigned k = 0; k < v->rank; k++) {
            at += index[k] * p->stride[k];
            logical = logical * v->dims[k] + p->start[k] + index[k];
        }
        for (uint64_t done = 0; done < run; done += BUFFER) {
            size_t n = run - done < BUFFER ? (size_t)(run - done) : BUFFER;
            uint64_t stride = v->rank ? p->stride[v->rank - 1] : 0;
            take(t, from->dtype, at + done * stride, stride, n, buffer);
            sink(ctx, logical + done, 1, buffer, n);
        }
        unsigned k;
        for (k = v->rank ? v->rank - 1 : 0; k > 0; k--) {
            if (++index[k - 1] < p->count[k - 1])
                break;
            index[k - 1] = 0;
        }
        if (!k)
            return;
    }
}

static sg_status read(bag *b, const bag_tensor *t, bag_sink sink, void *ctx, sg_error *err)
{
    const onnx *f = b->format;
    const view *v = f->views[t->storage];
    float *buffer = sg_calloc(BUFFER, sizeof *buffer);
    if (!buffer)
        return sg_fail(err, SG_ENOMEM, "%s: no memory to read tensor %s", b->path, t->name);
    for (size_t i = 0; i < v->n; i++)
        read_piece(b, v, &v->pieces[i], buffer, sink, ctx);
    sg_free(buffer);
    return SG_OK;
}

/* Constant nodes with float tensors join the initializers, under the name of their output. */
static sg_status add_constants(bag *b, sg_error *err)
{
    onnx *f = b->format;
    sg_status st = SG_OK;
    for (size_t i = 0; i < f->n_nodes; i++) {
        const Onnx__NodeProto *p = f->nodes[i].proto;
        const Onnx__AttributeProto *a = onnx_is(p, "Constant") ? onnx_attribute(p, "value") : NULL;
        if (a && a->t && bag_is_float(dtype_of(a->t->data_type)) && a->t->n_dims && p->n_output &&
            onnx_text(p->output[0])[0])
            TRY(add_tensor(b, a->t, onnx_text(p->output[0]), f->nodes[i].graph, err));
    }
done:
    return st;
}

sg_status bag_fill_onnx(bag *b, sg_error *err)
{
    sg_status st;
    onnx *f = sg_calloc(1, sizeof *f);
    if (!f)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", b->path);
    b->format = f;
    b->close = onnx_close;
    b->read = read;
    if (!(f->graphs = sg_calloc(ONNX_MAX_GRAPHS, sizeof *f->graphs)) ||
        !(f->views = sg_calloc(ONNX_MAX_VIEWS, sizeof *f->views)) ||
        !(f->view_tensors = sg_calloc(ONNX_MAX_VIEWS, sizeof *f->view_tensors)))
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", b->path));
    TRY(unpack(b, err));
    TRY(collect(b, err));
    TRY(add_constants(b, err));
done:
    return st;
}
