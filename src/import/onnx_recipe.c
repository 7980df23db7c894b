/* SPDX-License-Identifier: MIT */
/* The reading of an ONNX graph: LSTM, GRU and RNN nodes, wherever they stand, followed down to the embedding
 * (Gather) and up to the decoder (MatMul and Add, or Gemm).
 *
 * W is (1, G*H, inputs), R (1, G*H, H), B (1, 2*G*H) = Wb, Rb; gates i,o,f,c (LSTM) and z,r,h (GRU). A GRU
 * multiplies before it resets when linear_before_reset is 1. */
#include "import/onnx.h"
#include "import/recipe.h"

#include "base/base_internal.h"

#include <string.h>

enum { MAX_RECURRENT = 64, MAX_WALK = 1 << 14 };

static bool is_recurrent(const Onnx__NodeProto *n)
{
    return onnx_is(n, "LSTM") || onnx_is(n, "GRU") || onnx_is(n, "RNN");
}

/* Operators that change the order of dimensions, the type or nothing. */
static bool passes_on(const Onnx__NodeProto *n)
{
    return onnx_is(n, "Squeeze") || onnx_is(n, "Unsqueeze") || onnx_is(n, "Transpose") ||
           onnx_is(n, "Identity") || onnx_is(n, "Dropout") || onnx_is(n, "Cast") || onnx_is(n, "Reshape");
}

static const char *input_of(const Onnx__NodeProto *n, size_t k)
{
    return k < n->n_input ? onnx_text(n->input[k]) : "";
}

static const char *label(const Onnx__NodeProto *n)
{
    return onnx_text(n->name)[0] ? n->name : n->n_output ? onnx_text(n->output[0]) : "without a name";
}

typedef struct {
    const onnx_node *node;
    const stored_tensor *W, *R, *B;
    uint64_t H, in, G;
    sg_cell cell;
    bool both;         /* bidirectional; the forward direction is read */
    int below;         /* the recurrent node whose output it reads; -1: none */
    onnx_value source; /* what it reads when that is no recurrent node */
} recurrent;

typedef struct {
    const tensor_file *b;
    recurrent at[MAX_RECURRENT];
    size_t n;
} recurrents;

/* ---- one node ---- */

static sg_status refuse(const tensor_file *b, const recurrent *r, const char *why, sg_error *err)
{
    return sg_fail(err, SG_EFORMAT, "%s: %s node %.150s (tensor %.200s) %s", b->path,
                   onnx_text(r->node->proto->op_type), label(r->node->proto),
                   r->W ? r->W->name : input_of(r->node->proto, 1), why);
}

static sg_status check_activations(const tensor_file *b, recurrent *r, sg_error *err)
{
    static const char *const usual[] = {"Sigmoid", "Tanh", "Tanh"};
    const Onnx__AttributeProto *a = onnx_attribute(r->node->proto, "activations");
    for (size_t i = 0; a && i < a->n_strings; i++) {
        const ProtobufCBinaryData *s = &a->strings[i];
        const char *want = r->G == 1 ? "Tanh" : i < 3 ? usual[i] : "none";
        if (r->G == 1 && s->len == 4 && !memcmp(s->data, "Relu", 4)) {
            r->cell = SG_CELL_RELU;
            continue;
        }
        if (s->len != strlen(want) || memcmp(s->data, want, s->len) != 0)
            return sg_fail(err, SG_EFORMAT,
                           "%s: %s node %.150s (tensor %.200s): activation %.*s is not supported, expected "
                           "%s",
                           b->path, onnx_text(r->node->proto->op_type), label(r->node->proto), r->W->name,
                           (int)(s->len < 40 ? s->len : 40), (const char *)s->data, want);
    }
    return SG_OK;
}

static sg_status check_settings(const tensor_file *b, recurrent *r, const sg_import_config *cfg,
                                sg_error *err)
{
    const Onnx__NodeProto *n = r->node->proto;
    const Onnx__AttributeProto *direction = onnx_attribute(n, "direction");
    r->both = direction && direction->s.len == 13 && !memcmp(direction->s.data, "bidirectional", 13);
    if (direction && (direction->s.len != 7 || memcmp(direction->s.data, "forward", 7) != 0) &&
        !(r->both && cfg->forward_only))
        return refuse(
            b, r,
            "is not forward (bidirectional or reverse): its state reads words that come later, so a "
            "gradient with respect to past words does not describe it (--forward-only reads the forward direction of a "
            "bidirectional first layer)",
            err);
    if (onnx_attribute(n, "clip"))
        return refuse(b, r, "clips its gates, which is not supported", err);
    if (onnx_is(n, "LSTM") && input_of(n, 7)[0])
        return sg_fail(err, SG_EFORMAT,
                       "%s: LSTM node %.150s has peepholes (tensor %.200s), which are not supported", b->path,
                       label(n), input_of(n, 7));
    if (onnx_attribute_int(n, "input_forget", 0))
        return refuse(b, r, "couples input and forget gate, which is not supported", err);
    return check_activations(b, r, err);
}

static sg_status check_shapes(const tensor_file *b, recurrent *r, sg_error *err)
{
    char shape[96];
    if (r->W->rank != 3 || r->R->rank != 3 || r->W->dims[0] != 1u + r->both ||
        r->R->dims[0] != 1u + r->both || !r->W->elements || !r->R->elements)
        return sg_fail(err, SG_EFORMAT, "%s: %s: expected (1, G*H, inputs), file has %s", b->path, r->W->name,
                       shape_text(r->W, shape));
    r->H = r->R->dims[2];
    r->in = r->W->dims[2];
    if (r->R->dims[1] / r->H != r->G || r->R->dims[1] % r->H)
        return sg_fail(err, SG_EFORMAT, "%s: %s: expected (1, %llu, %llu), file has %s", b->path, r->R->name,
                       (unsigned long long)(r->G * r->H), (unsigned long long)r->H, shape_text(r->R, shape));
    if (r->W->dims[1] != r->R->dims[1])
        return sg_fail(err, SG_EFORMAT, "%s: %s: expected (1, %llu, inputs), file has %s", b->path,
                       r->W->name, (unsigned long long)r->R->dims[1], shape_text(r->W, shape));
    if (r->B && (r->B->rank != 2 || r->B->dims[0] != 1u + r->both || r->B->dims[1] != 2 * r->R->dims[1]))
        return sg_fail(err, SG_EFORMAT, "%s: %s: expected (1, %llu), file has %s", b->path, r->B->name,
                       (unsigned long long)(2 * r->R->dims[1]), shape_text(r->B, shape));
    if ((uint64_t)onnx_attribute_int(r->node->proto, "hidden_size", (int64_t)r->H) != r->H)
        return refuse(b, r, "has another hidden_size than its tensors", err);
    return SG_OK;
}

static sg_status read_node(recurrent *r, const tensor_file *b, const onnx_node *node,
                           const sg_import_config *cfg, sg_error *err)
{
    sg_status st;
    const Onnx__NodeProto *n = node->proto;
    *r = (recurrent){.node = node, .below = -1};
    r->G = onnx_is(n, "LSTM") ? 4 : onnx_is(n, "GRU") ? 3 : 1;
    r->cell = r->G == 4                                         ? SG_CELL_LSTM
              : r->G == 1                                       ? SG_CELL_TANH
              : onnx_attribute_int(n, "linear_before_reset", 0) ? SG_CELL_GRU
                                                                : SG_CELL_GRU_RESET_FIRST;
    TRY(onnx_constant(&r->W, b, input_of(n, 1), node->graph, "the weights W of a recurrent node", err));
    TRY(onnx_constant(&r->R, b, input_of(n, 2), node->graph, "the weights R of a recurrent node", err));
    TRY(onnx_constant(&r->B, b, input_of(n, 3), node->graph, "the bias B of a recurrent node", err));
    if (!r->W || !r->R || (!r->B && input_of(n, 3)[0]))
        TRY(refuse(b, r, "has weights that are not constants of the file", err));
    TRY(check_settings(b, r, cfg, err));
    TRY(check_shapes(b, r, err));
done:
    return st;
}

/* ---- who feeds whom ---- */

static int recurrent_of(const recurrents *all, const onnx_node *node)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->at[i].node == node)
            return (int)i;
    return -1;
}

/* Down from a value through operators that pass it on, and through If where both branches come to the
 * same. */
static onnx_value walk_down(const tensor_file *b, onnx_value v, unsigned depth)
{
    for (; depth < 64 && v.what == ONNX_NODE; depth++) {
        const onnx_node *n = onnx_node_at(b, v.node);
        uint32_t sub[2];
        if (onnx_is(n->proto, "If") && onnx_subgraphs(b, v.node, sub) == 2) {
            onnx_value one =
                walk_down(b, onnx_lookup(b, onnx_graph_output(b, sub[0], v.output), sub[0]), depth + 1);
            onnx_value two =
                walk_down(b, onnx_lookup(b, onnx_graph_output(b, sub[1], v.output), sub[1]), depth + 1);
            if (one.what != two.what || one.node != two.node || one.tensor != two.tensor)
                return v;
            return one;
        }
        if (!passes_on(n->proto))
            return v;
        v = onnx_lookup(b, input_of(n->proto, 0), n->graph);
    }
    return v;
}

static bool is_embedding(const tensor_file *b, const onnx_node *n)
{
    onnx_value table =
        n->proto->n_input ? walk_down(b, onnx_lookup(b, n->proto->input[0], n->graph), 0) : (onnx_value){0};
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
    if (is_embedding(b, n) || is_recurrent(n->proto))
        return n;
    for (size_t i = 0; i < n->proto->n_input && !found; i++)
        found = words_below(b, onnx_lookup(b, n->proto->input[i], n->graph), seen, depth + 1);
    size_t subs = onnx_subgraphs(b, v.node, sub);
    for (size_t s = 0; s < subs && !found; s++)
        found =
            words_below(b, onnx_lookup(b, onnx_graph_output(b, sub[s], v.output), sub[s]), seen, depth + 1);
    return found;
}

static sg_status find_words_below(const onnx_node **out, const tensor_file *b, onnx_value v, sg_error *err)
{
    bool *seen = sg_calloc(onnx_nodes(b) + 1, sizeof *seen);
    if (!seen)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", b->path);
    *out = words_below(b, v, seen, 0);
    sg_free(seen);
    return SG_OK;
}

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
    return passes_on(n) || onnx_is(n, "Expand") || onnx_is(n, "Slice") || onnx_is(n, "Gather") ||
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
            *out = (first_state){.what = STATE_CONSTANT, .tensor = label(n->proto)};
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
static sg_status check_first_state(const tensor_file *b, const recurrent *r, sg_error *err)
{
    sg_status st = SG_OK;
    first_state s;
    for (size_t k = 5; k <= 6; k++) {
        TRY(origin_of(&s, b, input_of(r->node->proto, k), r->node->graph, 0, err));
        if (s.what == STATE_CONSTANT)
            TRY(sg_fail(
                err, SG_EFORMAT,
                "%s: %s node %.150s starts from a state that is not zero (tensor %.150s), which is not supported: "
                "states begin at zero",
                b->path, onnx_text(r->node->proto->op_type), label(r->node->proto), s.tensor));
        if (s.what == STATE_COMPUTED && is_recurrent(s.node->proto))
            TRY(refuse(b, r, "starts from a state that another recurrent node computes", err));
        if (s.what == STATE_COMPUTED)
            TRY(sg_fail(
                err, SG_EFORMAT,
                "%s: %s node %.150s (tensor %.150s) starts from a state that node %.100s (%s) computes, which is not "
                "supported: states begin at zero",
                b->path, onnx_text(r->node->proto->op_type), label(r->node->proto), r->W->name,
                label(s.node->proto), onnx_text(s.node->proto->op_type)));
    }
done:
    return st;
}

static bool same_weights(const tensor_file *b, const recurrent *x, const recurrent *y)
{
    return x->cell == y->cell && onnx_same(b, x->W, y->W) && onnx_same(b, x->R, y->R) &&
           onnx_same(b, x->B, y->B);
}

/* What there is in place of an LSTM, GRU or RNN. */
static sg_status no_recurrence(const tensor_file *b, sg_error *err)
{
    const char *loop = NULL, *quantized = NULL;
    size_t products = 0, sigmoids = 0, tanhs = 0;
    for (size_t i = 0; i < onnx_nodes(b); i++) {
        const Onnx__NodeProto *n = onnx_node_at(b, i)->proto;
        const char *type = onnx_text(n->op_type);
        if (!strcmp(type, "Loop") || !strcmp(type, "Scan"))
            loop = type;
        if (strstr(type, "Quantize") || strstr(type, "QLinear") || strstr(type, "MatMulInteger"))
            quantized = type;
        products += !strcmp(type, "MatMul") || !strcmp(type, "Gemm");
        sigmoids += !strcmp(type, "Sigmoid");
        tanhs += !strcmp(type, "Tanh");
    }
    if (quantized)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: no node is an LSTM, GRU or RNN: the graph is quantized (%.60s), which is not read: give the "
            "model before its quantization",
            b->path, quantized);
    if (loop)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: no node is an LSTM, GRU or RNN: its recurrence is written out in a %s, which is not read: "
            "export it with the recurrent operator",
            b->path, loop);
    if (products && sigmoids + tanhs)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: no node is an LSTM, GRU or RNN: if its recurrence is written out in %zu products, %zu Sigmoid "
            "and %zu Tanh, it is not read: export it with the recurrent operator",
            b->path, products, sigmoids, tanhs);
    return sg_fail(err, SG_EFORMAT, "%s: no node is an LSTM, GRU or RNN", b->path);
}

/* All recurrent nodes; a layer that stands in both branches of an If counts once. */
static sg_status collect(recurrents *all, const sg_import_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    const tensor_file *b = all->b;
    for (size_t i = 0; i < onnx_nodes(b); i++) {
        const onnx_node *n = onnx_node_at(b, i);
        if (!is_recurrent(n->proto))
            continue;
        if (all->n == MAX_RECURRENT)
            TRY(sg_fail(err, SG_EFORMAT, "%s: more than %d recurrent nodes", b->path, MAX_RECURRENT));
        recurrent *r = &all->at[all->n];
        TRY(read_node(r, b, n, cfg, err));
        bool again = false;
        for (size_t k = 0; k < all->n; k++)
            again |= same_weights(b, &all->at[k], r);
        all->n += !again;
    }
    if (!all->n)
        TRY(no_recurrence(b, err));
done:
    return st;
}

/* The constant operand of a node with two inputs; *other is which of them it is. */
static sg_status constant_operand(const stored_tensor **out, size_t *which, const tensor_file *b,
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

static sg_status read_map(recipe_map *m, bool *fine, const tensor_file *b, const onnx_node *n,
                          uint64_t columns, sg_error *err);

/* Down from what the lowest layer reads through linear maps to an embedding: those maps, in the order of their use. *end
 * is where the walk stops; p->n_before 0: it is no chain of maps. */
static sg_status walk_maps_down(recipe *p, onnx_value *end, const tensor_file *b, onnx_value v,
                                uint64_t width, sg_error *err)
{
    sg_status st = SG_OK;
    recipe_map maps[RECIPE_MAPS];
    size_t n = 0;
    recipe_source bias = {0};
    p->n_before = 0;
    *end = v;
    while (v.what == ONNX_NODE && n < RECIPE_MAPS) {
        const onnx_node *node = onnx_node_at(b, v.node);
        const stored_tensor *constant = NULL;
        size_t which = 0;
        bool fine;
        if (is_embedding(b, node))
            break;
        if (onnx_is(node->proto, "Add") && !bias.tensor) {
            TRY(constant_operand(&constant, &which, b, node, err));
            if (!constant || constant->elements != width)
                goto done;
            bias = (recipe_source){.tensor = constant, .columns = 1};
            v = walk_down(b, onnx_lookup(b, node->proto->input[1 - which], node->graph), 0);
            continue;
        }
        if (!onnx_is(node->proto, "MatMul") && !onnx_is(node->proto, "Gemm"))
            goto done;
        TRY(read_map(&maps[n], &fine, b, node, 0, err));
        if (!fine || maps[n].rows != width || (bias.tensor && maps[n].bias.tensor))
            goto done;
        if (bias.tensor)
            maps[n].bias = bias;
        bias = (recipe_source){0};
        width = maps[n++].columns;
        v = walk_down(b, onnx_lookup(b, node->proto->input[0], node->graph), 0);
    }
    if (!n || bias.tensor || v.what != ONNX_NODE || !is_embedding(b, onnx_node_at(b, v.node)))
        goto done;
    for (size_t k = 0; k < n; k++)
        p->before[k] = maps[n - 1 - k];
    p->n_before = n;
    *end = v;
done:
    return st;
}

static sg_status link_layers(recurrents *all, recipe *p, sg_error *err)
{
    sg_status st = SG_OK;
    const tensor_file *b = all->b;
    for (size_t i = 0; i < all->n; i++) {
        recurrent *r = &all->at[i];
        const onnx_node *found;
        r->source = walk_down(b, onnx_lookup(b, input_of(r->node->proto, 0), r->node->graph), 0);
        if (r->source.what == ONNX_NODE && is_recurrent(onnx_node_at(b, r->source.node)->proto)) {
            r->below = recurrent_of(all, onnx_node_at(b, r->source.node));
            if (r->below < 0 || (size_t)r->below == i)
                TRY(refuse(b, r, "reads a recurrent node in another branch", err));
        } else if (r->source.what == ONNX_NODE && !is_embedding(b, onnx_node_at(b, r->source.node))) {
            const onnx_node *between = onnx_node_at(b, r->source.node);
            onnx_value end;
            TRY(walk_maps_down(p, &end, b, r->source, r->in, err));
            if (p->n_before) {
                r->source = end;
                TRY(check_first_state(b, r, err));
                continue;
            }
            TRY(find_words_below(&found, b, r->source, err));
            if (found)
                TRY(sg_fail(err, SG_EFORMAT,
                            "%s: node %.150s (%s) lies between %s %.150s and the recurrence of tensor %.200s",
                            b->path, label(between->proto), onnx_text(between->proto->op_type),
                            is_recurrent(found->proto) ? "layer" : "embedding",
                            is_recurrent(found->proto) ? label(found->proto) : input_of(found->proto, 0),
                            r->W->name));
        }
        TRY(check_first_state(b, r, err));
    }
done:
    return st;
}

/* The order from the bottom up; every node must be in it. */
static sg_status order(const recurrents *all, int out[SG_MAX_LAYERS], size_t *n, const sg_import_config *cfg,
                       sg_error *err)
{
    int bottom = -1;
    size_t bottoms = 0;
    char text[400] = "";
    for (size_t i = 0; i < all->n; i++) {
        const recurrent *r = &all->at[i];
        if (r->below >= 0)
            continue;
        bool chosen = false;
        for (size_t k = 0; k < cfg->n_maps; k++) {
            const char *equals = strchr(cfg->maps[k], '=');
            chosen |= !strncmp(cfg->maps[k], "rnn.weight_ih_l0=", 17) && !strcmp(equals + 1, r->W->name);
        }
        bottoms++;
        if (bottom < 0 || chosen)
            bottom = (int)i;
        if (chosen) {
            bottoms = 1;
            break;
        }
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%.100s", used ? ", " : "", r->W->name);
    }
    if (bottoms != 1)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: %zu recurrent stacks could be the model; choose with --map rnn.weight_ih_l0=TENSOR, one of %s",
            all->b->path, bottoms, text);
    *n = 0;
    for (int at = bottom; at >= 0;) {
        int next = -1;
        if (*n == SG_MAX_LAYERS)
            return sg_fail(err, SG_EFORMAT, "%s: more than %d recurrent layers", all->b->path, SG_MAX_LAYERS);
        out[(*n)++] = at;
        for (size_t i = 0; i < all->n; i++)
            if (all->at[i].below == at) {
                if (next >= 0)
                    return sg_fail(
                        err, SG_EFORMAT,
                        "%s: layers %.150s and %.150s both read %.150s: they do not form one stack",
                        all->b->path, all->at[next].W->name, all->at[i].W->name, all->at[at].W->name);
                next = (int)i;
            }
        at = next;
    }
    return SG_OK;
}

/* ---- embedding and decoder ---- */

static sg_status find_bottom(recipe *p, const tensor_file *b, const recurrent *r, const sg_import_config *cfg,
                             sg_error *err)
{
    sg_status st = SG_OK;
    char shape[96];
    const onnx_node *n = r->source.what == ONNX_NODE ? onnx_node_at(b, r->source.node) : NULL;
    bool one_hot = cfg->one_hot || cfg->vocab || (n && onnx_is(n->proto, "OneHot"));
    if ((!n || !is_embedding(b, n)) && one_hot && p->layers[0].in >= 2) {
        recipe_note(
            p,
            "no embedding: the inputs are read as one-hot vectors of %zu words; gradients are with respect to these",
            p->layers[0].in);
        p->one_hot = true;
        p->shape.vocabulary = p->layers[0].in;
        return st;
    }
    if (!n || !is_embedding(b, n)) {
        recipe_note(p, "no embedding: inputs are feature vectors of %zu numbers%s%.100s%s", p->layers[0].in,
                    n ? ", what node " : "", n ? label(n->proto) : "", n ? " gives" : "");
        return st;
    }
    const stored_tensor *table;
    uint64_t in = p->n_before ? p->before[0].columns : r->in;
    p->shape.embedding = (size_t)in;
    TRY(onnx_constant(&table, b, n->proto->input[0], n->graph, "the embedding", err));
    if (!table || table->rank != 2 || table->dims[1] != in || table->dims[0] < 2 ||
        onnx_attribute_int(n->proto, "axis", 0))
        TRY(sg_fail(err, SG_EFORMAT,
                    "%s: the embedding of node %.150s: expected (V, %llu), file has %.200s %s", b->path,
                    label(n->proto), (unsigned long long)in, table ? table->name : "none",
                    table ? shape_text(table, shape) : ""));
    p->encoder = (recipe_source){.tensor = table, .columns = table->dims[1]};
    p->shape.vocabulary = (size_t)table->dims[0];
done:
    return st;
}

static void no_decoder(recipe *p, const Onnx__NodeProto *n, const char *why)
{
    const char *tensor = n->n_input > 1 ? onnx_text(n->input[1]) : "";
    snprintf(p->no_decoder, sizeof p->no_decoder, "node %.120s (%.40s%s%.120s) %.80s", label(n),
             onnx_text(n->op_type), tensor[0] ? ", input " : "", tensor, why);
}

/* The one node that reads a value (Shape aside), or the If whose output it is: then that output is
 * followed. */
static const onnx_node *reader_of(const tensor_file *b, onnx_value v, const char *name, size_t *readers)
{
    const onnx_node *found = NULL;
    *readers = 0;
    for (size_t i = 0; i < onnx_nodes(b); i++) {
        const onnx_node *n = onnx_node_at(b, i);
        for (size_t k = 0; k < n->proto->n_input; k++) {
            if (strcmp(onnx_text(n->proto->input[k]), name) != 0 || onnx_is(n->proto, "Shape"))
                continue;
            onnx_value from = onnx_lookup(b, name, n->graph);
            if (from.what == v.what && from.node == v.node && from.output == v.output && n != found) {
                found = n;
                (*readers)++;
            }
        }
    }
    return found;
}

/* MatMul or Gemm with a constant second operand, as a map of `columns` inputs (0: any). */
static sg_status read_map(recipe_map *m, bool *fine, const tensor_file *b, const onnx_node *n,
                          uint64_t columns, sg_error *err)
{
    sg_status st;
    const stored_tensor *W, *bias = NULL;
    size_t which = 0;
    bool gemm = onnx_is(n->proto, "Gemm"), rows = gemm && onnx_attribute_int(n->proto, "transB", 0);
    const Onnx__AttributeProto *alpha = onnx_attribute(n->proto, "alpha"),
                               *beta = onnx_attribute(n->proto, "beta");
    *m = (recipe_map){0};
    TRY(constant_operand(&W, &which, b, n, err));
    *fine = W && which == 1 && W->rank == 2 && (!columns || W->dims[rows ? 1 : 0] == columns) &&
            !(alpha && alpha->f != 1) && !(beta && beta->f != 1) &&
            !onnx_attribute_int(n->proto, "transA", 0);
    if (!*fine)
        return st;
    m->rows = (size_t)W->dims[rows ? 0 : 1];
    m->columns = (size_t)W->dims[rows ? 1 : 0];
    m->weight =
        (recipe_source){.tensor = W, .layout = rows ? LAYOUT_ROWS : LAYOUT_COLUMNS, .columns = W->dims[1]};
    if (gemm && input_of(n->proto, 2)[0]) {
        TRY(onnx_constant(&bias, b, input_of(n->proto, 2), n->graph, "a bias", err));
        *fine = bias && bias->elements == m->rows;
        m->bias = (recipe_source){.tensor = bias, .columns = 1};
    }
done:
    return st;
}

/* The decoder, or a linear map on the way to it. */
static sg_status read_product(recipe *p, const tensor_file *b, const onnx_node *n, sg_error *err)
{
    sg_status st;
    recipe_map m;
    bool fine;
    uint64_t V = p->shape.vocabulary,
             H = p->n_after ? p->after[p->n_after - 1].rows : p->layers[p->shape.layers - 1].H;
    TRY(read_map(&m, &fine, b, n, H, err));
    if (fine && m.rows == V) {
        p->shape.has_decoder = true;
        p->decoder = m.weight;
        p->decoder_bias = m.bias;
    } else if (fine && p->n_after < RECIPE_MAPS && p->shape.output == SG_OUTPUT_LINEAR)
        p->after[p->n_after++] = m;
    else
        no_decoder(p, n->proto, "is not a decoder of this embedding and these layers");
done:
    return st;
}

/* From the top layer's output up: activation, product, bias. */
static sg_status find_top(recipe *p, const tensor_file *b, const recurrent *top, sg_error *err)
{
    sg_status st = SG_OK;
    const Onnx__NodeProto *from = top->node->proto;
    uint32_t graph = top->node->graph;
    const char *name = from->n_output ? onnx_text(from->output[0]) : "";
    if (!name[0] && from->n_output > 1)
        name = onnx_text(from->output[1]); /* only the last state is used */
    for (size_t steps = 0; steps < 64 && name[0]; steps++) {
        size_t readers, which;
        onnx_value v = onnx_lookup(b, name, graph);
        const onnx_node *n = reader_of(b, v, name, &readers);
        uint32_t owner;
        if (!n && onnx_graph_owner(b, v.graph, &owner)) { /* the output of a branch is that of its If */
            const onnx_node *holder = onnx_node_at(b, owner);
            size_t k = 0;
            while (k < holder->proto->n_output && onnx_graph_output(b, v.graph, k) &&
                   strcmp(onnx_graph_output(b, v.graph, k), name) != 0)
                k++;
            name = k < holder->proto->n_output ? onnx_text(holder->proto->output[k]) : "";
            graph = holder->graph;
            continue;
        }
        if (!n)
            break;
        const stored_tensor *constant = NULL;
        if (readers > 1)
            no_decoder(p, n->proto, "and other nodes read the top layer's output, not a decoder alone");
        else if (onnx_is(n->proto, "MatMul") || onnx_is(n->proto, "Gemm")) {
            if (p->shape.has_decoder)
                break;
            TRY(read_product(p, b, n, err));
        } else if (onnx_is(n->proto, "Add") && p->n_after && !p->shape.has_decoder &&
                   !p->after[p->n_after - 1].bias.tensor) {
            TRY(constant_operand(&constant, &which, b, n, err));
            if (constant && constant->elements == p->after[p->n_after - 1].rows)
                p->after[p->n_after - 1].bias = (recipe_source){.tensor = constant, .columns = 1};
            else
                no_decoder(p, n->proto, "lies between the recurrent layers and the output");
        } else if (onnx_is(n->proto, "Add") && p->shape.has_decoder) {
            TRY(constant_operand(&constant, &which, b, n, err));
            if (constant && constant->elements == p->shape.vocabulary && !p->decoder_bias.tensor)
                p->decoder_bias = (recipe_source){.tensor = constant, .columns = 1};
            break;
        } else if (p->shape.has_decoder && !passes_on(n->proto))
            break; /* a softmax, or whatever is done with the scores */
        else if (p->n_after && !passes_on(n->proto))
            no_decoder(p, n->proto, "lies between two linear maps after the recurrent layers");
        else if (onnx_is(n->proto, "Relu"))
            p->shape.output = SG_OUTPUT_RELU;
        else if (onnx_is(n->proto, "Tanh"))
            p->shape.output = SG_OUTPUT_TANH;
        else if (!passes_on(n->proto))
            no_decoder(p, n->proto, "lies between the recurrent layers and the output");
        if (p->no_decoder[0])
            break;
        name = n->proto->n_output ? onnx_text(n->proto->output[0]) : "";
        graph = n->graph;
    }
    if (p->n_after && !p->shape.has_decoder && !p->no_decoder[0])
        snprintf(p->no_decoder, sizeof p->no_decoder, "tensor %.200s is not a decoder of %zu words",
                 p->after[p->n_after - 1].weight.tensor->name, p->shape.vocabulary);
    if (p->no_decoder[0])
        p->shape.has_decoder = false;
    if (!p->shape.has_decoder)
        p->n_after = 0;
done:
    return st;
}

static recipe_layer layer_of(const recurrent *r)
{
    /* by their number */
    static const uint8_t gates[5][4] = {{0}, {0, 1, 2, 3}, {0}, {1, 0, 2, 3}, {0, 3, 1, 2}};
    recipe_source s = {.tensor = r->W, .columns = r->in, .gates = (unsigned)r->G};
    memcpy(s.gate, gates[r->G], sizeof s.gate);
    recipe_layer l = {.H = (size_t)r->H, .in = (size_t)r->in, .W_ih = s, .W_hh = s};
    l.W_hh.tensor = r->R;
    l.W_hh.columns = r->H;
    if (r->B) {
        l.b_ih = l.b_hh = s;
        l.b_ih.tensor = l.b_hh.tensor = r->B;
        l.b_ih.columns = l.b_hh.columns = 1;
        l.b_hh.row0 = r->G * r->H;
    }
    return l;
}

sg_status find_onnx(recipe *p, const tensor_file *b, const sg_import_config *cfg, sg_error *err)
{
    sg_status st;
    int stack[SG_MAX_LAYERS] = {0};
    size_t n;
    recurrents *all = sg_calloc(1, sizeof *all);
    if (!all)
        return sg_fail(err, SG_ENOMEM, "%s: no memory", b->path);
    all->b = b;
    for (size_t i = 0; i < cfg->n_maps; i++)
        if (strncmp(cfg->maps[i], "rnn.weight_ih_l0=", 17) != 0)
            TRY(sg_fail(err, SG_EINVAL,
                        "%s: --map %s: an ONNX file is read by its graph; only rnn.weight_ih_l0 chooses "
                        "between its stacks",
                        b->path, cfg->maps[i]));
    TRY(collect(all, cfg, err));
    TRY(link_layers(all, p, err));
    TRY(order(all, stack, &n, cfg, err));
    bool both = all->at[stack[0]].both;
    if (both)
        n = 1; /* what stands above reads both directions */
    for (size_t k = 0; k < n; k++) {
        const recurrent *r = &all->at[stack[k]];
        if (k && r->cell != p->shape.cell)
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: layer %.150s is a %s, the one below a %s: layers of different cells", b->path,
                        r->W->name, sg_cell_name(r->cell), sg_cell_name(p->shape.cell)));
        p->shape.cell = r->cell;
        p->layers[k] = layer_of(r);
    }
    if (cfg->cell != SG_AUTO && (sg_cell)cfg->cell != p->shape.cell)
        TRY(sg_fail(err, SG_EFORMAT, "%s: --cell %s, but the graph says %s", b->path,
                    sg_cell_name((sg_cell)cfg->cell), sg_cell_name(p->shape.cell)));
    TRY(recipe_chain(p, b, n, err));
    TRY(find_bottom(p, b, &all->at[stack[0]], cfg, err));
    if (both)
        snprintf(p->no_decoder, sizeof p->no_decoder,
                 "of a bidirectional layer (tensor %.200s) only the forward direction was read",
                 p->layers[0].W_ih.tensor->name);
    else if (p->shape.vocabulary)
        TRY(find_top(p, b, &all->at[stack[n - 1]], err));
done:
    sg_free(all);
    return st;
}
