/* SPDX-License-Identifier: MIT */
/* The recipe of an ONNX graph: its LSTM, GRU and RNN nodes, followed down to the embedding (Gather) and up to
 * the decoder (MatMul and Add, or Gemm). */
#include "import/onnx_recipe.h"

#include "base/base_internal.h"

#include <string.h>

enum { MAX_RECURRENT = 64 };

typedef struct {
    const tensor_file *b;
    onnx_recurrent at[MAX_RECURRENT];
    size_t n;
} recurrents;

/* ---- one node ---- */

static bool same_weights(const tensor_file *b, const onnx_recurrent *x, const onnx_recurrent *y)
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

/* All recurrent nodes; a layer in both branches of an If counts once. */
static sg_status collect(recurrents *all, const sg_import_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    const tensor_file *b = all->b;
    for (size_t i = 0; i < onnx_nodes(b); i++) {
        const onnx_node *n = onnx_node_at(b, i);
        if (!onnx_is_recurrent(n->proto))
            continue;
        if (all->n == MAX_RECURRENT)
            TRY(sg_fail(err, SG_EFORMAT, "%s: more than %d recurrent nodes", b->path, MAX_RECURRENT));
        onnx_recurrent *r = &all->at[all->n];
        TRY(onnx_read_recurrent(r, b, n, cfg, err));
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

/* ---- who feeds whom ---- */

static int recurrent_of(const recurrents *all, const onnx_node *node)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->at[i].node == node)
            return (int)i;
    return -1;
}

static sg_status link_layers(recurrents *all, sg_error *err)
{
    sg_status st = SG_OK;
    const tensor_file *b = all->b;
    for (size_t i = 0; i < all->n; i++) {
        onnx_recurrent *r = &all->at[i];
        const onnx_node *found;
        r->source = onnx_walk_down(b, onnx_lookup(b, onnx_input(r->node->proto, 0), r->node->graph), 0);
        TRY(onnx_walk_maps_down(r, b, err));
        if (r->source.what == ONNX_NODE && onnx_is_recurrent(onnx_node_at(b, r->source.node)->proto)) {
            r->below = recurrent_of(all, onnx_node_at(b, r->source.node));
            if (r->below < 0 || (size_t)r->below == i)
                TRY(onnx_refuse(b, r, "reads a recurrent node in another branch", err));
            if (r->source.output)
                TRY(onnx_refuse(
                    b, r,
                    "reads the last state alone of the layer below it, not its states: they do not "
                    "form a stack",
                    err));
        } else if (r->source.what == ONNX_NODE && !onnx_is_embedding(b, onnx_node_at(b, r->source.node))) {
            const onnx_node *between = onnx_node_at(b, r->source.node);
            TRY(onnx_words_below(&found, b, r->source, err));
            if (found)
                TRY(sg_fail(err, SG_EFORMAT,
                            "%s: node %.150s (%s) lies between %s %.150s and the recurrence of tensor %.200s",
                            b->path, onnx_label(between->proto), onnx_text(between->proto->op_type),
                            onnx_is_recurrent(found->proto) ? "layer" : "embedding",
                            onnx_is_recurrent(found->proto) ? onnx_label(found->proto)
                                                            : onnx_input(found->proto, 0),
                            r->W->name));
        }
        TRY(onnx_check_initial_state(b, r, err));
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
        const onnx_recurrent *r = &all->at[i];
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
            "%s: %zu recurrent stacks could be the model; choose with setting 'map' rnn.weight_ih_l0=TENSOR, one of %s",
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

static sg_status find_bottom(recipe *p, const tensor_file *b, const onnx_recurrent *r,
                             const sg_import_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    char shape[96];
    const onnx_node *n = r->source.what == ONNX_NODE ? onnx_node_at(b, r->source.node) : NULL;
    bool one_hot = cfg->one_hot || cfg->vocab || (n && onnx_is(n->proto, "OneHot"));
    if ((!n || !onnx_is_embedding(b, n)) && one_hot && p->layers[0].in >= 2) {
        recipe_note(
            p,
            "no embedding: the inputs are read as one-hot vectors of %zu words; gradients are with respect to these",
            p->layers[0].in);
        p->one_hot = true;
        p->shape.vocabulary = p->layers[0].in;
        return st;
    }
    if (!n || !onnx_is_embedding(b, n)) {
        recipe_note(p, "no embedding: inputs are feature vectors of %zu numbers%s%.100s%s", p->layers[0].in,
                    n ? ", what node " : "", n ? onnx_label(n->proto) : "", n ? " gives" : "");
        return st;
    }
    const stored_tensor *table;
    uint64_t in = recipe_reads(&p->layers[0]);
    p->shape.embedding = (size_t)in;
    TRY(onnx_constant(&table, b, n->proto->input[0], n->graph, "the embedding", err));
    if (!table || table->rank != 2 || table->dims[1] != in || table->dims[0] < 2 ||
        onnx_attribute_int(n->proto, "axis", 0))
        TRY(sg_fail(err, SG_EFORMAT,
                    "%s: the embedding of node %.150s: expected (V, %llu), file has %.200s %s", b->path,
                    onnx_label(n->proto), (unsigned long long)in, table ? table->name : "none",
                    table ? shape_text(table, shape) : ""));
    p->encoder = (recipe_source){.tensor = table, .columns = table->dims[1]};
    p->shape.vocabulary = (size_t)table->dims[0];
    onnx_value ids = onnx_walk_down(b, onnx_lookup(b, onnx_input(n->proto, 1), n->graph), 0);
    if (ids.what == ONNX_NODE)
        recipe_note(
            p,
            "node %.100s (%.40s) computes the numbers of the words before the embedding: here a word's "
            "number is its row",
            onnx_label(onnx_node_at(b, ids.node)->proto),
            onnx_text(onnx_node_at(b, ids.node)->proto->op_type));
done:
    return st;
}

static void no_decoder(recipe *p, const Onnx__NodeProto *n, const char *why)
{
    const char *tensor = n->n_input > 1 ? onnx_text(n->input[1]) : "";
    snprintf(p->no_decoder, sizeof p->no_decoder, "node %.120s (%.40s%s%.120s) %.80s", onnx_label(n),
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

/* The decoder, or a linear map on the way to it. */
static sg_status read_product(recipe *p, const tensor_file *b, const onnx_node *n, sg_error *err)
{
    sg_status st;
    recipe_map m;
    bool fine;
    uint64_t V = p->shape.vocabulary,
             H = p->n_after ? p->after[p->n_after - 1].rows : p->layers[p->shape.layers - 1].H;
    TRY(onnx_read_map(&m, &fine, b, n, H, err));
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

/* BatchNormalization between the layers and the decoder. */
static sg_status read_normalisation(recipe *p, const tensor_file *b, const onnx_node *n, sg_error *err)
{
    bool fine = false;
    sg_status st = SG_OK;
    size_t H = p->n_after ? p->after[p->n_after - 1].rows : p->layers[p->shape.layers - 1].H;
    if (p->n_after < RECIPE_MAPS && p->shape.output == SG_OUTPUT_LINEAR)
        TRY(onnx_read_normalisation(&p->after[p->n_after], &fine, b, n, H, err));
    if (fine)
        p->n_after++;
    else
        no_decoder(p, n->proto, "lies between the recurrent layers and the output");
done:
    return st;
}

/* The bias of the decoder or of the last linear map. */
static sg_status read_bias(recipe *p, const tensor_file *b, const onnx_node *n, sg_error *err)
{
    sg_status st;
    size_t which;
    const stored_tensor *constant;
    recipe_source *bias = p->shape.has_decoder ? &p->decoder_bias : &p->after[p->n_after - 1].bias;
    uint64_t width = p->shape.has_decoder ? p->shape.vocabulary : p->after[p->n_after - 1].rows;
    TRY(onnx_constant_operand(&constant, &which, b, n, err));
    if (constant && constant->elements == width && !bias->tensor)
        *bias = (recipe_source){.tensor = constant, .columns = 1};
    else
        no_decoder(p, n->proto,
                   p->shape.has_decoder ? "changes the scores of the words"
                                        : "lies between the recurrent layers and the output");
done:
    return st;
}

/* What leaves the order of the scores and their softmax as they are, or only uses them. */
static bool uses_scores(const Onnx__NodeProto *n)
{
    static const char *const ends[] = {"Softmax", "LogSoftmax",  "ArgMax", "TopK",
                                       "Hardmax", "Multinomial", "Loss",   "SoftmaxCrossEntropyLoss"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (onnx_is(n, ends[i]))
            return true;
    return false;
}

/* One node above the top layer. *end: the decoder is known. */
static sg_status read_above(recipe *p, const tensor_file *b, const onnx_node *n, size_t readers, bool *end,
                            sg_error *err)
{
    sg_status st = SG_OK;
    const Onnx__NodeProto *node = n->proto;
    bool passes = onnx_passes_on(node) || onnx_takes_last(b, n), has = p->shape.has_decoder;
    sg_output_activation kind = onnx_is(node, "Relu")   ? SG_OUTPUT_RELU
                                : onnx_is(node, "Tanh") ? SG_OUTPUT_TANH
                                                        : SG_OUTPUT_LINEAR;
    *end = has && (readers > 1 || uses_scores(node));
    if (*end || passes)
        return st;
    if (readers > 1)
        no_decoder(p, node, "and other nodes read the top layer's output, not a decoder alone");
    else if (onnx_is(node, "Add") && (has || p->n_after))
        TRY(read_bias(p, b, n, err));
    else if (has)
        no_decoder(p, node, "changes the scores of the words");
    else if (onnx_is(node, "MatMul") || onnx_is(node, "Gemm"))
        TRY(read_product(p, b, n, err));
    else if (onnx_is(node, "BatchNormalization"))
        TRY(read_normalisation(p, b, n, err));
    else if (p->n_after)
        no_decoder(p, node, "lies between two linear maps after the recurrent layers");
    else if (kind != SG_OUTPUT_LINEAR && p->shape.output == SG_OUTPUT_LINEAR)
        p->shape.output = kind;
    else
        no_decoder(p, node, "lies between the recurrent layers and the output");
done:
    return st;
}

/* From the top layer's output up: activation, product, bias. */
static sg_status find_top(recipe *p, const tensor_file *b, const onnx_recurrent *top, sg_error *err)
{
    sg_status st = SG_OK;
    const Onnx__NodeProto *from = top->node->proto;
    uint32_t graph = top->node->graph, owner;
    const char *name = from->n_output ? onnx_text(from->output[0]) : "";
    size_t readers;
    bool end = false;
    if (from->n_output > 1 && (!name[0] || (!reader_of(b, onnx_lookup(b, name, graph), name, &readers) &&
                                            !onnx_graph_owner(b, graph, &owner))))
        name = onnx_text(from->output[1]); /* only the last state is used */
    for (size_t steps = 0; steps < 64 && name[0] && !end; steps++) {
        onnx_value v = onnx_lookup(b, name, graph);
        const onnx_node *n = reader_of(b, v, name, &readers);
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
        TRY(read_above(p, b, n, readers, &end, err));
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

sg_status find_onnx(recipe *p, const tensor_file *b, const sg_import_config *cfg, sg_error *err)
{
    sg_status st;
    int stack[SG_MAX_LAYERS] = {0};
    size_t n;
    recurrents *all = sg_calloc(1, sizeof *all);
    if (!all)
        return no_memory(err, "%s", b->path);
    all->b = b;
    for (size_t i = 0; i < cfg->n_maps; i++)
        if (strncmp(cfg->maps[i], "rnn.weight_ih_l0=", 17) != 0)
            TRY(sg_fail(
                err, SG_EINVAL,
                "%s: setting 'map' %s: an ONNX file is read by its graph; only rnn.weight_ih_l0 chooses "
                "between its stacks",
                b->path, cfg->maps[i]));
    TRY(collect(all, cfg, err));
    TRY(link_layers(all, err));
    TRY(order(all, stack, &n, cfg, err));
    bool both = all->at[stack[0]].both;
    if (both)
        n = 1; /* the layers above read both directions */
    for (size_t k = 0; k < n; k++) {
        const onnx_recurrent *r = &all->at[stack[k]];
        if (k && r->cell != p->shape.cell)
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: layer %.150s is a %s, the one below a %s: layers of different cells", b->path,
                        r->W->name, sg_cell_name(r->cell), sg_cell_name(p->shape.cell)));
        p->shape.cell = r->cell;
        p->layers[k] = onnx_layer(r);
    }
    if (cfg->cell != SG_AUTO && (sg_cell)cfg->cell != p->shape.cell)
        TRY(sg_fail(err, SG_EFORMAT, "%s: setting 'cell' %s, but the graph has %s", b->path,
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
