/* SPDX-License-Identifier: MIT */
/* Steps through an ONNX graph that several parts of its reading take: down to an embedding, through operators
 * that pass a value on, and products with constants as linear maps. */
#include "import/onnx_recipe.h"

#include "base/base_internal.h"

#include <string.h>

bool onnx_is_recurrent(const Onnx__NodeProto *n)
{
    return onnx_is(n, "LSTM") || onnx_is(n, "GRU") || onnx_is(n, "RNN");
}

/* Operators that change the order of dimensions, the type or nothing. */
bool onnx_passes_on(const Onnx__NodeProto *n)
{
    return onnx_is(n, "Squeeze") || onnx_is(n, "Unsqueeze") || onnx_is(n, "Transpose") ||
           onnx_is(n, "Identity") || onnx_is(n, "Dropout") || onnx_is(n, "Cast") || onnx_is(n, "Reshape");
}

/* The one whole number of a constant; false: it is none. */
static bool constant_integer(int64_t *out, const tensor_file *b, const char *name, uint32_t graph)
{
    onnx_value v = onnx_lookup(b, name, graph);
    const Onnx__TensorProto *t = v.what == ONNX_TENSOR ? v.tensor : NULL;
    if (v.what == ONNX_NODE && onnx_is(onnx_node_at(b, v.node)->proto, "Constant")) {
        const Onnx__AttributeProto *a = onnx_attribute(onnx_node_at(b, v.node)->proto, "value");
        t = a ? a->t : NULL;
    }
    if (!t || t->data_type != 7) /* INT64 */
        return false;
    if (t->n_int64_data == 1) {
        *out = t->int64_data[0];
        return true;
    }
    if (!t->has_raw_data || t->raw_data.len != sizeof *out)
        return false;
    memcpy(out, t->raw_data.data, sizeof *out);
    return true;
}

bool onnx_takes_last(const tensor_file *b, const onnx_node *n)
{
    int64_t index;
    bool takes = onnx_is(n->proto, "Gather") || (onnx_is(n->proto, "Slice") && n->proto->n_input >= 3);
    return takes && constant_integer(&index, b, onnx_input(n->proto, 1), n->graph) && index == -1;
}

const char *onnx_input(const Onnx__NodeProto *n, size_t k)
{
    return k < n->n_input ? onnx_text(n->input[k]) : "";
}

const char *onnx_label(const Onnx__NodeProto *n)
{
    return onnx_text(n->name)[0] ? n->name : n->n_output ? onnx_text(n->output[0]) : "without a name";
}

/* Down from a value through operators that pass it on, and through If where both branches come to the
 * same. */
onnx_value onnx_walk_down(const tensor_file *b, onnx_value v, unsigned depth)
{
    for (; depth < 64 && v.what == ONNX_NODE; depth++) {
        const onnx_node *n = onnx_node_at(b, v.node);
        uint32_t sub[2];
        if (onnx_is(n->proto, "If") && onnx_subgraphs(b, v.node, sub) == 2) {
            onnx_value one =
                onnx_walk_down(b, onnx_lookup(b, onnx_graph_output(b, sub[0], v.output), sub[0]), depth + 1);
            onnx_value two =
                onnx_walk_down(b, onnx_lookup(b, onnx_graph_output(b, sub[1], v.output), sub[1]), depth + 1);
            if (one.what != two.what || one.node != two.node || one.tensor != two.tensor)
                return v;
            return one;
        }
        if (!onnx_passes_on(n->proto))
            return v;
        v = onnx_lookup(b, onnx_input(n->proto, 0), n->graph);
    }
    return v;
}

bool onnx_is_embedding(const tensor_file *b, const onnx_node *n)
{
    onnx_value table = n->proto->n_input ? onnx_walk_down(b, onnx_lookup(b, n->proto->input[0], n->graph), 0)
                                         : (onnx_value){0};
    return onnx_is(n->proto, "Gather") && table.what == ONNX_TENSOR && table.tensor->n_dims == 2 &&
           (table.tensor->data_type == 1 || table.tensor->data_type == 10 || table.tensor->data_type == 11 ||
            table.tensor->data_type == 16);
}

/* Is there an embedding or a recurrent node somewhere below this value? Each node is looked at once. */
static const onnx_node *words_below(const tensor_file *b, onnx_value v, bool *seen, unsigned depth)
{
    const onnx_node *found = NULL;
    uint32_t sub[2];
    if (v.what != ONNX_NODE || seen[v.node] || depth > 2000)
        return NULL;
    seen[v.node] = true;
    const onnx_node *n = onnx_node_at(b, v.node);
    if (onnx_is_embedding(b, n) || onnx_is_recurrent(n->proto))
        return n;
    for (size_t i = 0; i < n->proto->n_input && !found; i++)
        found = words_below(b, onnx_lookup(b, n->proto->input[i], n->graph), seen, depth + 1);
    size_t subs = onnx_subgraphs(b, v.node, sub);
    for (size_t s = 0; s < subs && !found; s++)
        found =
            words_below(b, onnx_lookup(b, onnx_graph_output(b, sub[s], v.output), sub[s]), seen, depth + 1);
    return found;
}

sg_status onnx_words_below(const onnx_node **out, const tensor_file *b, onnx_value v, sg_error *err)
{
    bool *seen = sg_calloc(onnx_nodes(b) + 1, sizeof *seen);
    if (!seen)
        return no_memory(err, "%s", b->path);
    *out = words_below(b, v, seen, 0);
    sg_free(seen);
    return SG_OK;
}

/* The constant operand of a node with two inputs; *other is which of them it is. */
sg_status onnx_constant_operand(const stored_tensor **out, size_t *which, const tensor_file *b,
                                const onnx_node *n, sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    for (size_t k = n->proto->n_input < 2 ? n->proto->n_input : 2; k > 0 && !*out; k--) {
        *which = k - 1;
        TRY(onnx_constant(out, b, n->proto->input[k - 1], n->graph, "the decoder", err));
    }
done:
    return st;
}

/* MatMul or Gemm with a constant second operand, as a map of `columns` inputs (0: any). */
sg_status onnx_read_map(recipe_map *m, bool *fine, const tensor_file *b, const onnx_node *n, uint64_t columns,
                        sg_error *err)
{
    sg_status st;
    const stored_tensor *W, *bias = NULL;
    size_t which = 0;
    bool gemm = onnx_is(n->proto, "Gemm"), rows = gemm && onnx_attribute_int(n->proto, "transB", 0);
    const Onnx__AttributeProto *alpha = onnx_attribute(n->proto, "alpha"),
                               *beta = onnx_attribute(n->proto, "beta");
    *m = (recipe_map){0};
    TRY(onnx_constant_operand(&W, &which, b, n, err));
    *fine = W && which == 1 && W->rank == 2 && (!columns || W->dims[rows ? 1 : 0] == columns) &&
            !(alpha && alpha->f != 1) && !(beta && beta->f != 1) &&
            !onnx_attribute_int(n->proto, "transA", 0);
    if (!*fine)
        return st;
    m->rows = (size_t)W->dims[rows ? 0 : 1];
    m->columns = (size_t)W->dims[rows ? 1 : 0];
    m->weight =
        (recipe_source){.tensor = W, .layout = rows ? LAYOUT_ROWS : LAYOUT_COLUMNS, .columns = W->dims[1]};
    if (gemm && onnx_input(n->proto, 2)[0]) {
        TRY(onnx_constant(&bias, b, onnx_input(n->proto, 2), n->graph, "a bias", err));
        *fine = bias && bias->elements == m->rows;
        m->bias = (recipe_source){.tensor = bias, .columns = 1};
    }
done:
    return st;
}

sg_status onnx_read_normalisation(recipe_map *m, bool *fine, const tensor_file *b, const onnx_node *n,
                                  uint64_t width, sg_error *err)
{
    sg_status st = SG_OK;
    const Onnx__AttributeProto *epsilon = onnx_attribute(n->proto, "epsilon");
    recipe_source *const sources[] = {&m->weight, &m->bias, &m->mean, &m->variance};
    *m = (recipe_map){.rows = (size_t)width,
                      .columns = (size_t)width,
                      .normalisation = true,
                      .epsilon = epsilon ? (double)epsilon->f : 1e-5};
    *fine = !onnx_attribute_int(n->proto, "training_mode", 0);
    for (size_t k = 0; k < 4 && *fine; k++) {
        const stored_tensor *t;
        TRY(onnx_constant(&t, b, onnx_input(n->proto, k + 1), n->graph, "a normalisation", err));
        *fine = t && t->elements == width;
        *sources[k] = (recipe_source){.tensor = t, .columns = 1};
    }
done:
    return st;
}

sg_status onnx_walk_maps_down(onnx_recurrent *r, const tensor_file *b, sg_error *err)
{
    sg_status st = SG_OK;
    recipe_map maps[RECIPE_MAPS];
    size_t n = 0;
    uint64_t width = r->in;
    onnx_value v = r->source;
    recipe_source bias = {0};
    r->n_before = 0;
    while (v.what == ONNX_NODE && n < RECIPE_MAPS) {
        const onnx_node *node = onnx_node_at(b, v.node);
        const stored_tensor *constant = NULL;
        size_t which = 0;
        bool fine;
        if (onnx_is_embedding(b, node) || onnx_is_recurrent(node->proto))
            break;
        if (onnx_is(node->proto, "Add") && !bias.tensor) {
            TRY(onnx_constant_operand(&constant, &which, b, node, err));
            if (!constant || constant->elements != width)
                goto done;
            bias = (recipe_source){.tensor = constant, .columns = 1};
            v = onnx_walk_down(b, onnx_lookup(b, node->proto->input[1 - which], node->graph), 0);
            continue;
        }
        if (onnx_is(node->proto, "BatchNormalization") && !bias.tensor) {
            TRY(onnx_read_normalisation(&maps[n], &fine, b, node, width, err));
            if (!fine)
                goto done;
            n++;
            v = onnx_walk_down(b, onnx_lookup(b, node->proto->input[0], node->graph), 0);
            continue;
        }
        if (!onnx_is(node->proto, "MatMul") && !onnx_is(node->proto, "Gemm"))
            goto done;
        TRY(onnx_read_map(&maps[n], &fine, b, node, 0, err));
        if (!fine || maps[n].rows != width || (bias.tensor && maps[n].bias.tensor))
            goto done;
        if (bias.tensor)
            maps[n].bias = bias;
        bias = (recipe_source){0};
        width = maps[n++].columns;
        v = onnx_walk_down(b, onnx_lookup(b, node->proto->input[0], node->graph), 0);
    }
    if (!n || bias.tensor || v.what != ONNX_NODE)
        goto done;
    const onnx_node *below = onnx_node_at(b, v.node);
    if (!onnx_is_embedding(b, below) && !onnx_is_recurrent(below->proto))
        goto done;
    for (size_t k = 0; k < n; k++)
        r->before[k] = maps[n - 1 - k];
    r->n_before = n;
    r->source = v;
done:
    return st;
}
