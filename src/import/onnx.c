/* SPDX-License-Identifier: MIT */
/* Names and scopes of an ONNX graph. */
#include "import/onnx_internal.h"

#include <stdlib.h>
#include <string.h>

const char *onnx_text(const char *s)
{
    return s ? s : "";
}

size_t onnx_nodes(const tensor_file *b)
{
    return ((const onnx *)b->reader)->n_nodes;
}

const onnx_node *onnx_node_at(const tensor_file *b, size_t i)
{
    return &((const onnx *)b->reader)->nodes[i];
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

int onnx_by_name(const void *a, const void *b)
{
    const onnx_definition *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->value.graph > y->value.graph) - (x->value.graph < y->value.graph);
}

onnx_value onnx_lookup(const tensor_file *b, const char *name, uint32_t from)
{
    const onnx *f = b->reader;
    onnx_value nothing = {0};
    if (!name || !name[0] || !f->n_names)
        return nothing;
    for (;;) {
        onnx_definition key = {name, {.graph = from}};
        const onnx_definition *found = bsearch(&key, f->names, f->n_names, sizeof key, onnx_by_name);
        if (found)
            return found->value;
        if (f->graphs[from].parent == from)
            return nothing;
        from = f->graphs[from].parent;
    }
}

size_t onnx_subgraphs(const tensor_file *b, uint32_t node, uint32_t out[2])
{
    const onnx *f = b->reader;
    size_t n = 0;
    for (uint32_t g = 1; g < f->n_graphs && n < 2; g++)
        if (f->graphs[g].owner == node)
            out[n++] = g;
    return n;
}

const char *onnx_graph_output(const tensor_file *b, uint32_t g, size_t k)
{
    const onnx *f = b->reader;
    return k < f->graphs[g].proto->n_output ? f->graphs[g].proto->output[k]->name : NULL;
}

bool onnx_graph_owner(const tensor_file *b, uint32_t g, uint32_t *node)
{
    const onnx *f = b->reader;
    *node = f->graphs[g].owner;
    return f->graphs[g].parent != g;
}
