/* SPDX-License-Identifier: MIT */
#include "import/recipe.h"

#include "base/base_internal.h"

/* ---- raw TensorFlow kernels: [in+h, 4h] in the order i, j, f, o; [in+h, h] for a basic RNN ---- */

sg_status find_tf_kernels(recipe *p, const tensor_file *b, const sg_import_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    char role[32], shape[96];
    const stored_tensor *kernel, *bias, *t;
    sg_cell c = cfg->cell == SG_AUTO ? SG_CELL_LSTM : (sg_cell)cfg->cell;
    unsigned G = (unsigned)sg_cell_gates(c);
    size_t n = 0;
    if (G == 3)
        TRY(sg_fail(err, SG_EINVAL, "--cell %s: TensorFlow keeps a GRU in two kernels, which are not read",
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
        recipe_source s = {.tensor = kernel,
                           .layout = LAYOUT_COLUMNS,
                           .columns = kernel->dims[1],
                           .gate = {0, 2, 1, 3},
                           .gates = G};
        p->layers[n] = (recipe_layer){.H = (size_t)H, .in = (size_t)in, .W_ih = s, .W_hh = s};
        p->layers[n].W_hh.column0 = in;
        if (bias)
            p->layers[n].b_ih =
                (recipe_source){.tensor = bias, .columns = 1, .gate = {0, 2, 1, 3}, .gates = G};
    }
    if (!n)
        TRY(sg_fail(err, SG_EINVAL, "--map rnn.kernel_l0 is missing: layers are counted from 0"));
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
        if (!V || t->rank != 2 || (!turned && (t->dims[0] != V || t->dims[1] != H)))
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: decoder.weight: expected (%llu, %llu) or its transpose, %s has %s", b->path,
                        (unsigned long long)V, (unsigned long long)H, t->name, shape_text(t, shape)));
        p->decoder = (recipe_source){
            .tensor = t, .columns = t->dims[1], .layout = turned && V != H ? LAYOUT_COLUMNS : LAYOUT_ROWS};
        p->shape.has_decoder = true;
        TRY(recipe_mapped(&t, b, cfg, "decoder.bias", err));
        if (t && (t->rank != 1 || t->dims[0] != V))
            TRY(sg_fail(err, SG_EFORMAT, "%s: decoder.bias: expected (%llu), %s has %s", b->path,
                        (unsigned long long)V, t->name, shape_text(t, shape)));
        p->decoder_bias = (recipe_source){.tensor = t, .columns = 1};
    }
done:
    return st;
}
