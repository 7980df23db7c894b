/* SPDX-License-Identifier: MIT */
#include "import/by_name.h"

#include "base/base_internal.h"

#include <string.h>

/* ---- raw TensorFlow kernels: [in+h, 4h] in the order i, j, f, o; [in+h, h] for a basic RNN ---- */

/* Peepholes (w_f_diag), projections, a bias that nobody mapped: in the scope of a kernel, or of the size of
 * its gates. */
static sg_status judge_leftovers(const recipe *p, const tensor_file *b, const sg_import_config *cfg,
                                 sg_error *err)
{
    char shape[96];
    for (size_t i = 0; i < b->n; i++) {
        const stored_tensor *t = &b->tensors[i];
        bool part = false;
        for (size_t k = 0; k < p->shape.layers; k++) {
            const char *kernel = p->layers[k].W_ih.tensor->name;
            uint64_t H = p->layers[k].H;
            size_t scope_of = (size_t)(names_leaf(kernel) - kernel);
            part |= (scope_of && !strncmp(kernel, t->name, scope_of)) ||
                    names_is_vector(t, p->layers[k].W_ih.gates * H) || names_is_vector(t, H);
        }
        if (part && t->elements > 1 && !names_is_used(p, t) && !recipe_ignored(cfg, t) &&
            !recipe_is_mapped(b, cfg, t, NULL) && !names_optimizer_state(t->name))
            return sg_fail(
                err, SG_EFORMAT,
                "%s: tensor %s %s belongs to the recurrent part by its name or size and has no role (a bias: setting 'map' "
                "rnn.bias_l0=%s; peepholes and projections are not supported; after the recurrence: setting 'map' after=%s)",
                b->path, t->name, shape_text(t, shape), t->name, t->name);
    }
    return SG_OK;
}

sg_status find_tf_kernels(recipe *p, const tensor_file *b, const sg_import_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    char role[32], shape[96];
    const stored_tensor *kernel, *bias, *t;
    sg_cell c = cfg->cell == SG_AUTO ? SG_CELL_LSTM : (sg_cell)cfg->cell;
    unsigned G = (unsigned)sg_cell_gates(c);
    size_t n = 0;
    uint8_t gate[4];
    TRY(recipe_gate_order(gate, cfg, G, "ijfo", err));
    if (cfg->transposed)
        TRY(sg_fail(err, SG_EINVAL,
                    "setting 'transposed': TensorFlow's kernels are (inputs + H, gates * H) already"));
    if (G == 3)
        TRY(sg_fail(err, SG_EINVAL,
                    "setting 'cell' %s: TensorFlow keeps a GRU in two kernels, which are not read",
                    sg_cell_name(c)));
    for (; n < SG_MAX_LAYERS; n++) {
        snprintf(role, sizeof role, "rnn.kernel_l%zu", n);
        TRY(recipe_mapped(&kernel, b, cfg, role, err));
        if (!kernel)
            break;
        snprintf(role, sizeof role, "rnn.bias_l%zu", n);
        TRY(recipe_mapped(&bias, b, cfg, role, err));
        if (kernel->rank != 2 || !kernel->elements || kernel->dims[1] % G ||
            kernel->dims[0] <= kernel->dims[1] / G)
            TRY(sg_fail(err, SG_EFORMAT, "%s: %s: expected (inputs + H, %u H), file has %s", b->path,
                        kernel->name, G, shape_text(kernel, shape)));
        uint64_t H = kernel->dims[1] / G, in = kernel->dims[0] - H;
        if (bias && (bias->rank != 1 || bias->dims[0] != G * H))
            TRY(sg_fail(err, SG_EFORMAT, "%s: %s: expected (%llu), file has %s", b->path, bias->name,
                        (unsigned long long)(G * H), shape_text(bias, shape)));
        recipe_source s = {
            .tensor = kernel, .layout = LAYOUT_COLUMNS, .columns = kernel->dims[1], .gates = G};
        memcpy(s.gate, gate, sizeof gate);
        p->layers[n] = (recipe_layer){.H = (size_t)H, .in = (size_t)in, .W_ih = s, .W_hh = s};
        p->layers[n].W_hh.column0 = in;
        if (bias) {
            p->layers[n].b_ih = (recipe_source){.tensor = bias, .columns = 1, .gates = G};
            memcpy(p->layers[n].b_ih.gate, gate, sizeof gate);
        }
    }
    if (!n)
        TRY(sg_fail(err, SG_EINVAL, "setting 'map' rnn.kernel_l0 is missing: layers are counted from 0"));
    if (G == 4)
        recipe_note(p, "%.150s: assumed: gates in the order %s%s, a forget bias of %g%s",
                    p->layers[0].W_ih.tensor->name, cfg->gate_order ? cfg->gate_order : "i,j,f,o",
                    cfg->gate_order ? "" : " (setting 'gate_order' for another)", cfg->forget_bias,
                    cfg->forget_bias != 0
                        ? ""
                        : " (TensorFlow's cells add 1 outside their weights: setting 'forget_bias' 1)");
    p->shape.cell = c;
    TRY(recipe_chain(p, b, n, err));
    TRY(recipe_mapped(&t, b, cfg, "encoder.weight", err));
    if (t) {
        if (t->rank != 2 || t->dims[1] != p->shape.embedding || t->dims[0] < 2)
            TRY(sg_fail(err, SG_EFORMAT, "%s: encoder.weight: expected (V, %zu), %s has %s", b->path,
                        p->shape.embedding, t->name, shape_text(t, shape)));
        p->encoder = (recipe_source){.tensor = t, .columns = t->dims[1]};
        p->shape.vocabulary = (size_t)t->dims[0];
    }
    TRY(recipe_mapped(&t, b, cfg, "decoder.weight", err));
    if (t) {
        uint64_t V = p->shape.vocabulary, H = p->layers[n - 1].H;
        bool turned = t->rank == 2 && t->dims[0] == H && t->dims[1] == V;
        if (turned && V == H)
            recipe_note(p, "%.150s: assumed: h W, its columns are words (it is square)", t->name);
        if (!V || t->rank != 2 || (!turned && (t->dims[0] != V || t->dims[1] != H)))
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: decoder.weight: expected (%llu, %llu) or its transpose, %s has %s", b->path,
                        (unsigned long long)V, (unsigned long long)H, t->name, shape_text(t, shape)));
        p->decoder = (recipe_source){
            .tensor = t, .columns = t->dims[1], .layout = turned ? LAYOUT_COLUMNS : LAYOUT_ROWS};
        p->shape.has_decoder = true;
        TRY(recipe_mapped(&t, b, cfg, "decoder.bias", err));
        if (t && (t->rank != 1 || t->dims[0] != V))
            TRY(sg_fail(err, SG_EFORMAT, "%s: decoder.bias: expected (%llu), %s has %s", b->path,
                        (unsigned long long)V, t->name, shape_text(t, shape)));
        p->decoder_bias = (recipe_source){.tensor = t, .columns = 1};
    }
    TRY(judge_leftovers(p, b, cfg, err));
done:
    return st;
}
