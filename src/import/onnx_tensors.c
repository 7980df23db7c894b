/* SPDX-License-Identifier: MIT */
/* An ONNX file as a tensor file: lists of its graphs, nodes and names; its initializers are the tensors. */
#include "import/onnx_internal.h"

#include "base/base_internal.h"

#include <stdlib.h>
#include <string.h>

static void onnx_close(tensor_file *b)
{
    onnx *f = b->reader;
    if (!f)
        return;
    onnx_unpacked_free(f);
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
    b->reader = NULL;
}

static sg_status define(tensor_file *b, const char *name, onnx_value value, sg_error *err)
{
    onnx *f = b->reader;
    if (!name || !name[0])
        return SG_OK;
    if (f->n_names == f->names_room) {
        size_t room = f->names_room ? 2 * f->names_room : 256;
        onnx_definition *grown = sg_regrow(f->names, f->names_room, room, sizeof *grown);
        if (!grown)
            return no_memory(err, "its names (%s)", b->path);
        f->names = grown;
        f->names_room = room;
    }
    f->names[f->n_names++] = (onnx_definition){name, value};
    return SG_OK;
}

static sg_status add_tensor(tensor_file *b, const Onnx__TensorProto *proto, const char *name, uint32_t in,
                            sg_error *err)
{
    onnx *f = b->reader;
    sg_status st;
    uint64_t dims[TENSORS_MAX_RANK];
    char inner[TENSORS_MAX_NAME];
    stored_tensor *t;
    if (in && strlen(name) + 24 < sizeof inner) { /* names repeat in the branches of an If */
        snprintf(inner, sizeof inner, "%s (subgraph %u)", name, in);
        name = inner;
    }
    if (proto->n_dims > TENSORS_MAX_RANK)
        TRY(sg_fail(err, SG_EFORMAT, "%s: tensor %.200s has %zu dimensions, at most %d are read", b->path,
                    name, proto->n_dims, TENSORS_MAX_RANK));
    for (size_t k = 0; k < proto->n_dims; k++) {
        if (proto->dims[k] < 0)
            TRY(sg_fail(err, SG_EFORMAT, "%s: tensor %.200s has a negative size", b->path, name));
        dims[k] = (uint64_t)proto->dims[k];
    }
    TRY(tensors_add(b, name, onnx_dtype(proto->data_type), (unsigned)proto->n_dims, dims, NULL, &t, err));
    t->storage = f->n_tensors;
    t->container = in + 1;
    if (f->n_tensors == f->tensors_room) {
        size_t room = f->tensors_room ? 2 * f->tensors_room : 64;
        const Onnx__TensorProto **grown = sg_regrow(f->tensors, f->tensors_room, room, sizeof *grown);
        NEED(grown, err, "the list of tensors (%s)", b->path);
        f->tensors = grown;
        f->tensors_room = room;
    }
    f->tensors[f->n_tensors++] = proto;
    if (dtype_is_float(t->dtype) && !onnx_has_data(proto, t->dtype, t->elements))
        TRY(sg_fail(err, SG_EFORMAT,
                    proto->n_external_data || proto->data_location
                        ? "%s: tensor %.200s stores its data in another file, which is not read"
                        : "%s: tensor %.200s has a number of values other than its shape requires",
                    b->path, name));
done:
    return st;
}

static sg_status add_graph(tensor_file *b, const Onnx__GraphProto *proto, uint32_t parent, uint32_t owner,
                           uint32_t *number, sg_error *err)
{
    onnx *f = b->reader;
    if (f->n_graphs == ONNX_MAX_GRAPHS)
        return sg_fail(err, SG_EFORMAT, "%s: more than %d subgraphs", b->path, ONNX_MAX_GRAPHS);
    *number = (uint32_t)f->n_graphs;
    f->graphs[f->n_graphs++] = (onnx_graph){proto, parent, owner};
    return SG_OK;
}

static sg_status add_node(tensor_file *b, const Onnx__NodeProto *proto, uint32_t in, sg_error *err)
{
    onnx *f = b->reader;
    sg_status st = SG_OK;
    uint32_t sub;
    if (f->n_nodes == f->nodes_room) {
        size_t room = f->nodes_room ? 2 * f->nodes_room : 128;
        if (room > ONNX_MAX_NODES)
            TRY(sg_fail(err, SG_EFORMAT, "%s: more than %d nodes", b->path, ONNX_MAX_NODES));
        onnx_node *grown = sg_regrow(f->nodes, f->nodes_room, room, sizeof *grown);
        NEED(grown, err, "the nodes (%s)", b->path);
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
static sg_status collect(tensor_file *b, sg_error *err)
{
    onnx *f = b->reader;
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
            while (k < p->n_initializer &&
                   strcmp(onnx_text(p->initializer[k]->name), onnx_text(p->input[i]->name)) != 0)
                k++;
            if (k == p->n_initializer)
                TRY(define(b, p->input[i]->name, (onnx_value){.what = ONNX_INPUT, .graph = g}, err));
        }
    }
    if (f->n_names)
        qsort(f->names, f->n_names, sizeof *f->names, onnx_by_name);
    for (size_t i = 1; i < f->n_names; i++)
        if (!onnx_by_name(&f->names[i - 1], &f->names[i]))
            TRY(sg_fail(err, SG_EFORMAT, "%s: two values are named %.200s", b->path, f->names[i].name));
done:
    return st;
}

/* Constant nodes with float tensors join the initializers, under the name of their output. */
static sg_status add_constants(tensor_file *b, sg_error *err)
{
    onnx *f = b->reader;
    sg_status st = SG_OK;
    for (size_t i = 0; i < f->n_nodes; i++) {
        const Onnx__NodeProto *p = f->nodes[i].proto;
        const Onnx__AttributeProto *a = onnx_is(p, "Constant") ? onnx_attribute(p, "value") : NULL;
        if (a && a->t && dtype_is_float(onnx_dtype(a->t->data_type)) && a->t->n_dims && p->n_output &&
            onnx_text(p->output[0])[0])
            TRY(add_tensor(b, a->t, onnx_text(p->output[0]), f->nodes[i].graph, err));
    }
done:
    return st;
}

sg_status tensors_from_onnx(tensor_file *b, sg_error *err)
{
    sg_status st;
    onnx *f = sg_calloc(1, sizeof *f);
    if (!f)
        return no_memory(err, "%s", b->path);
    b->reader = f;
    b->close = onnx_close;
    b->read = onnx_read;
    NEED((f->graphs = sg_calloc(ONNX_MAX_GRAPHS, sizeof *f->graphs)) &&
             (f->views = sg_calloc(ONNX_MAX_VIEWS, sizeof *f->views)) &&
             (f->view_tensors = sg_calloc(ONNX_MAX_VIEWS, sizeof *f->view_tensors)),
         err, "%s", b->path);
    TRY(onnx_unpack(b, err));
    TRY(collect(b, err));
    TRY(add_constants(b, err));
done:
    return st;
}
