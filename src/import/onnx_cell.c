/* SPDX-License-Identifier: MIT */
/* One recurrent node of an ONNX graph: cell, settings and shapes.
 *
 * W is (1, G*H, inputs), R (1, G*H, H), B (1, 2*G*H) = Wb, Rb; gates i,o,f,c (LSTM) and z,r,h (GRU). A GRU
 * multiplies before it resets when linear_before_reset is 1. */
#include "import/onnx_recipe.h"

#include "import/cell_functions.h"

#include "base/base_internal.h"

#include <string.h>

sg_status onnx_refuse(const tensor_file *b, const onnx_recurrent *r, const char *why, sg_error *err)
{
    return sg_fail(err, SG_EFORMAT, "%s: %s node %.150s (tensor %.200s) %s", b->path,
                   onnx_text(r->node->proto->op_type), onnx_label(r->node->proto),
                   r->W ? r->W->name : onnx_input(r->node->proto, 1), why);
}

/* As the table of cells names it; NULL: another function. */
static const char *function_of(const ProtobufCBinaryData *s)
{
    static const char *const names[][2] = {
        {"Sigmoid", "sigmoid"}, {"HardSigmoid", "hard_sigmoid"}, {"Tanh", "tanh"}, {"Relu", "relu"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (s->len == strlen(names[i][0]) && !memcmp(s->data, names[i][0], s->len))
            return names[i][1];
    return NULL;
}

/* All values of an attribute of the activations are this one, or it is not there. */
static bool all_are(const onnx_recurrent *r, const char *name, float value)
{
    const Onnx__AttributeProto *a = onnx_attribute(r->node->proto, name);
    for (size_t i = 0; a && i < a->n_floats; i++)
        if (a->floats[i] != value)
            return false;
    return true;
}

/* Activations: of the gates, of the new state, and in an LSTM of the output; a simple cell has the second
 * alone. */
static sg_status read_functions(const tensor_file *b, onnx_recurrent *r, sg_error *err)
{
    const Onnx__AttributeProto *a = onnx_attribute(r->node->proto, "activations");
    const size_t most = r->G == 4 ? 3 : r->G == 3 ? 2 : 1;
    const char *f[3] = {r->G == 1 ? "tanh" : "sigmoid", "tanh", "tanh"};
    const ProtobufCBinaryData *bad = NULL;
    for (size_t i = 0; a && i < a->n_strings && !bad; i++) {
        const char *name = i < most ? function_of(&a->strings[i]) : NULL;
        if (name)
            f[i] = name;
        else
            bad = &a->strings[i];
    }
    if (bad)
        return sg_fail(err, SG_EFORMAT,
                       "%s: %s node %.150s (tensor %.200s): activation %.*s is not supported, expected %s",
                       b->path, onnx_text(r->node->proto->op_type), onnx_label(r->node->proto), r->W->name,
                       (int)(bad->len < 40 ? bad->len : 40), (const char *)bad->data,
                       cell_functions_known(r->cell));
    const bool hard = !strcmp(f[0], "hard_sigmoid");
    if (hard && (!all_are(r, "activation_alpha", 0.2F) || !all_are(r, "activation_beta", 0.5F)))
        return onnx_refuse(
            b, r, "has a HardSigmoid with another slope than 0.2 a + 0.5, which is not supported", err);
    if ((r->G == 4 && strcmp(f[1], f[2])) ||
        !cell_with_functions(&r->cell, r->G == 1 ? NULL : f[0], r->G == 1 ? f[0] : f[1]))
        return sg_fail(
            err, SG_EFORMAT,
            "%s: %s node %.150s (tensor %.200s): activations %s, %s, %s are not supported, expected "
            "%s",
            b->path, onnx_text(r->node->proto->op_type), onnx_label(r->node->proto), r->W->name, f[0], f[1],
            f[2], cell_functions_known(r->cell));
    return SG_OK;
}

static sg_status check_settings(const tensor_file *b, onnx_recurrent *r, const sg_import_config *cfg,
                                sg_error *err)
{
    const Onnx__NodeProto *n = r->node->proto;
    const Onnx__AttributeProto *direction = onnx_attribute(n, "direction");
    r->both = direction && direction->s.len == 13 && !memcmp(direction->s.data, "bidirectional", 13);
    if (direction && (direction->s.len != 7 || memcmp(direction->s.data, "forward", 7) != 0) &&
        !(r->both && cfg->forward_only))
        return onnx_refuse(
            b, r,
            "is not forward (bidirectional or reverse): its state reads words that come later, so a "
            "gradient with respect to past words does not describe it (setting 'forward_only' reads the forward direction of a "
            "bidirectional first layer)",
            err);
    if (onnx_attribute(n, "clip"))
        return onnx_refuse(b, r, "clips its gates, which is not supported", err);
    if (onnx_is(n, "LSTM") && onnx_input(n, 7)[0])
        return sg_fail(err, SG_EFORMAT,
                       "%s: LSTM node %.150s has peepholes (tensor %.200s), which are not supported", b->path,
                       onnx_label(n), onnx_input(n, 7));
    if (onnx_attribute_int(n, "input_forget", 0))
        return onnx_refuse(b, r, "couples input and forget gate, which is not supported", err);
    return read_functions(b, r, err);
}

static sg_status check_shapes(const tensor_file *b, onnx_recurrent *r, sg_error *err)
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
        return onnx_refuse(b, r, "has another hidden_size than its tensors", err);
    return SG_OK;
}

sg_status onnx_read_recurrent(onnx_recurrent *r, const tensor_file *b, const onnx_node *node,
                              const sg_import_config *cfg, sg_error *err)
{
    sg_status st;
    const Onnx__NodeProto *n = node->proto;
    *r = (onnx_recurrent){.node = node, .below = -1};
    r->G = onnx_is(n, "LSTM") ? 4 : onnx_is(n, "GRU") ? 3 : 1;
    r->cell = r->G == 4                                         ? SG_CELL_LSTM
              : r->G == 1                                       ? SG_CELL_TANH
              : onnx_attribute_int(n, "linear_before_reset", 0) ? SG_CELL_GRU
                                                                : SG_CELL_GRU_RESET_FIRST;
    TRY(onnx_constant(&r->W, b, onnx_input(n, 1), node->graph, "the weights W of a recurrent node", err));
    TRY(onnx_constant(&r->R, b, onnx_input(n, 2), node->graph, "the weights R of a recurrent node", err));
    TRY(onnx_constant(&r->B, b, onnx_input(n, 3), node->graph, "the bias B of a recurrent node", err));
    if (!r->W || !r->R || (!r->B && onnx_input(n, 3)[0]))
        TRY(onnx_refuse(b, r, "has weights that are not constants of the file", err));
    TRY(check_settings(b, r, cfg, err));
    TRY(check_shapes(b, r, err));
done:
    return st;
}

recipe_layer onnx_layer(const onnx_recurrent *r)
{
    /* by their number */
    static const uint8_t gates[5][4] = {{0}, {0, 1, 2, 3}, {0}, {1, 0, 2, 3}, {0, 3, 1, 2}};
    recipe_source s = {.tensor = r->W, .columns = r->in, .gates = (unsigned)r->G};
    memcpy(s.gate, gates[r->G], sizeof s.gate);
    recipe_layer l = {.H = (size_t)r->H, .in = (size_t)r->in, .W_ih = s, .W_hh = s, .n_before = r->n_before};
    memcpy(l.before, r->before, sizeof l.before);
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
