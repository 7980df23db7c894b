/* SPDX-License-Identifier: MIT */
/* Where the initial state of a recurrent node of an ONNX graph comes from. It must be zero, or an input of
 * the graph. */
#include "import/onnx_recipe.h"

#include "base/base_internal.h"

/* Where a first state comes from, numbers alone: its shape may be computed from anything. */
typedef enum { STATE_ZERO, STATE_INPUT, STATE_CONSTANT, STATE_COMPUTED } state_origin;

typedef struct {
    state_origin what;
    const char *tensor;    /* CONSTANT: its name */
    const onnx_node *node; /* COMPUTED: by this one */
} first_state;

static sg_status origin_of(first_state *out, const tensor_file *b, const char *name, uint32_t graph,
                           unsigned depth, sg_error *err);

/* The least simple of two origins. */
static void join_origins(first_state *out, const first_state *other)
{
    if (other->what > out->what)
        *out = *other;
}

static bool moves_numbers(const Onnx__NodeProto *n)
{
    return onnx_passes_on(n) || onnx_is(n, "Expand") || onnx_is(n, "Slice") || onnx_is(n, "Gather") ||
           onnx_is(n, "Tile") || onnx_is(n, "Split");
}

static sg_status origin_of_node(first_state *out, const tensor_file *b, const onnx_value *v, const char *name,
                                unsigned depth, sg_error *err)
{
    sg_status st = SG_OK;
    const onnx_node *n = onnx_node_at(b, v->node);
    first_state other;
    uint32_t sub[2];
    *out = (first_state){.what = STATE_COMPUTED, .node = n};
    if (onnx_is(n->proto, "ConstantOfShape")) {
        const Onnx__AttributeProto *a = onnx_attribute(n->proto, "value");
        bool zero = !a || !a->t;
        if (!zero && a->t->has_raw_data) {
            zero = true;
            for (size_t i = 0; i < a->t->raw_data.len; i++)
                zero &= a->t->raw_data.data[i] == 0;
        } else if (!zero && a->t->n_float_data)
            zero = a->t->float_data[0] == 0;
        if (zero)
            *out = (first_state){0};
        else
            *out = (first_state){.what = STATE_CONSTANT, .tensor = onnx_label(n->proto)};
    } else if (moves_numbers(n->proto) && n->proto->n_input)
        TRY(origin_of(out, b, n->proto->input[0], n->graph, depth + 1, err));
    else if (onnx_is(n->proto, "Concat")) {
        *out = (first_state){0};
        for (size_t i = 0; i < n->proto->n_input; i++) {
            TRY(origin_of(&other, b, n->proto->input[i], n->graph, depth + 1, err));
            join_origins(out, &other);
        }
    } else if (onnx_is(n->proto, "Mul") && n->proto->n_input == 2) {
        for (size_t i = 0; i < 2; i++) {
            TRY(origin_of(&other, b, n->proto->input[i], n->graph, depth + 1, err));
            if (other.what == STATE_ZERO)
                *out = other;
        }
    } else if (onnx_is(n->proto, "If") && onnx_subgraphs(b, v->node, sub) == 2) {
        *out = (first_state){0};
        for (size_t s = 0; s < 2; s++) {
            const char *end = onnx_graph_output(b, sub[s], v->output);
            TRY(origin_of(&other, b, end ? end : "", sub[s], depth + 1, err));
            join_origins(out, &other);
        }
    } else if (onnx_is(n->proto, "Constant")) {
        const stored_tensor *t;
        bool zero = true;
        TRY(onnx_constant(&t, b, name, n->graph, "a first state", err));
        if (t)
            TRY(recipe_is_zero(&zero, b, t, err));
        *out = (first_state){0};
        if (!zero || !t)
            *out = (first_state){.what = STATE_CONSTANT, .tensor = name};
    }
done:
    return st;
}

static sg_status origin_of(first_state *out, const tensor_file *b, const char *name, uint32_t graph,
                           unsigned depth, sg_error *err)
{
    sg_status st = SG_OK;
    onnx_value v = onnx_lookup(b, name, graph);
    const stored_tensor *t;
    bool zero;
    *out = (first_state){0};
    if (depth > 48)
        return sg_fail(err, SG_EFORMAT, "%s: a first state passes through too many operators", b->path);
    if (v.what == ONNX_INPUT)
        out->what = STATE_INPUT;
    else if (v.what == ONNX_NODE)
        TRY(origin_of_node(out, b, &v, name, depth, err));
    else if (v.what == ONNX_TENSOR) {
        TRY(onnx_constant(&t, b, name, graph, "a first state", err));
        zero = false;
        if (t)
            TRY(recipe_is_zero(&zero, b, t, err));
        if (!zero)
            *out = (first_state){.what = STATE_CONSTANT, .tensor = onnx_text(v.tensor->name)};
    }
done:
    return st;
}

/* States begin at zero here. A state that is an input of the graph is the caller's, who begins with zeros. */
sg_status onnx_check_initial_state(const tensor_file *b, const onnx_recurrent *r, sg_error *err)
{
    sg_status st = SG_OK;
    first_state s;
    for (size_t k = 5; k <= 6; k++) {
        TRY(origin_of(&s, b, onnx_input(r->node->proto, k), r->node->graph, 0, err));
        if (s.what == STATE_CONSTANT)
            TRY(sg_fail(
                err, SG_EFORMAT,
                "%s: %s node %.150s starts from a state that is not zero (tensor %.150s), which is not supported: "
                "states begin at zero",
                b->path, onnx_text(r->node->proto->op_type), onnx_label(r->node->proto), s.tensor));
        if (s.what == STATE_COMPUTED && onnx_is_recurrent(s.node->proto))
            TRY(onnx_refuse(b, r, "starts from a state that another recurrent node computes", err));
        if (s.what == STATE_COMPUTED)
            TRY(sg_fail(
                err, SG_EFORMAT,
                "%s: %s node %.150s (tensor %.150s) starts from a state that node %.100s (%s) computes, which is not "
                "supported: states begin at zero",
                b->path, onnx_text(r->node->proto->op_type), onnx_label(r->node->proto), r->W->name,
                onnx_label(s.node->proto), onnx_text(s.node->proto->op_type)));
    }
done:
    return st;
}
