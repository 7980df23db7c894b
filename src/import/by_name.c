/* SPDX-License-Identifier: MIT */
/* Roles by name and shape: tensor files whose tensors have PyTorch's names (state_dicts, modules,
 * safetensors).
 *
 * The recurrent layers carry fixed names (weight_ih_l0, ...; weight_ih in a cell). What lies before them is
 * the stack. The embedding must have as many columns as the lowest layer reads, the decoder as many as the
 * top layer has units and one row a word; names and module classes decide between tensors of one shape.
 * Anything that is left over and might lie between embedding and recurrence is a reason to stop and ask,
 * never to guess. */
#include "import/by_name.h"

#include "base/base_internal.h"

#include <string.h>

sg_status names_find_words(recipe *p, scope *s, const named_layers *all, sg_error *err)
{
    sg_status st;
    bool decoder_mapped = false;
    TRY(names_check_initial_states(s, err));
    TRY(names_find_encoder(p, s, err));
    if (!p->encoder.tensor && s->container && !s->cfg->one_hot) {
        /* parts saved as dicts of their own: {"encoder": ..., "rnn": ..., "decoder": ...} */
        unsigned container = s->container;
        bool alone = true;
        for (size_t i = 0; i < s->b->n && alone; i++)
            alone = !names_in_scope(s, &s->b->tensors[i]);
        if (alone) {
            s->container = 0;
            TRY(names_find_encoder(p, s, err));
            s->container = p->encoder.tensor ? 0 : container;
        }
    }
    if (!p->encoder.tensor) {
        TRY(names_settle_one_hot(p, s, err));
        if (!p->one_hot) {
            TRY(names_judge_recurrent(p, s, all, err));
            return st;
        }
    }
    TRY(names_find_decoder(p, s, &decoder_mapped, err));
    TRY(names_judge_leftovers(p, s, all, decoder_mapped, err));
done:
    return st;
}

/* No layer was found by name: what the file is instead, where that is known. */
static sg_status none_found(const tensor_file *b, sg_error *err)
{
    for (size_t i = 0; i < b->n; i++)
        if (strstr(b->tensors[i].name, "_packed_params") || strstr(b->tensors[i].name, "_all_weight_values"))
            return sg_fail(
                err, SG_EFORMAT,
                "%s: %s: a dynamically quantized model: its weights are packed in 8-bit integers, which are not "
                "read; save the model before quantize_dynamic",
                b->path, b->tensors[i].name);
    if (tensors_attribute(b, "quantized"))
        return sg_fail(
            err, SG_EFORMAT,
            "%s: %s: a dynamically quantized model: its weights are packed in 8-bit integers, which are not "
            "read; save the model before quantize_dynamic",
            b->path, tensors_attribute(b, "quantized"));
    if (!b->n)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: holds no tensors (arrays of NumPy within a .pt are not read; torch.jit.freeze turns weights into "
            "constants of the code: save the model before it)",
            b->path);
    if (b->format == SG_FILE_TF_INDEX)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: a TensorFlow checkpoint of %zu tensors without a graph: name its cells with setting 'map' "
            "rnn.kernel_l0=TENSOR setting 'map' rnn.bias_l0=TENSOR (kernels [inputs + H, 4H]; setting 'forget_bias' 1), or "
            "rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0 with setting 'gate_order'",
            b->path, b->n);
    for (size_t i = 0; i < b->n; i++)
        if (strstr(b->tensors[i].name, "attn") || strstr(b->tensors[i].name, "attention"))
            return sg_fail(
                err, SG_EFORMAT,
                "%s: none of its %zu tensors is named weight_ih_l0 or weight_ih, but %s is there: attention in "
                "place of a recurrence? Only recurrent nets are read",
                b->path, b->n, b->tensors[i].name);
    return sg_fail(
        err, SG_EFORMAT,
        "%s: none of its %zu tensors is named weight_ih_l0 or weight_ih: no recurrent layer "
        "found; name them with setting 'map' rnn.weight_ih_l0=TENSOR setting 'map' rnn.weight_hh_l0=TENSOR ... (a layer over "
        "inputs and states side by side: setting 'map' rnn.kernel_l0=TENSOR)",
        b->path, b->n);
}

sg_status find_by_name(recipe *p, const tensor_file *b, const sg_import_config *cfg, sg_error *err)
{
    sg_status st;
    named_layers *all = sg_calloc(1, sizeof *all);
    if (!all)
        return no_memory(err, "%s", b->path);
    TRY(names_collect_layers(all, b, cfg, err));
    if (all->n)
        TRY(names_choose_stack(p, all, b, cfg, err));
    TRY(names_apply_maps(all, b, cfg, err));
    if (!all->n)
        TRY(none_found(b, err));
    if (all->n > SG_MAX_LAYERS)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %zu recurrent layers, at most %d are read", b->path, all->n,
                    SG_MAX_LAYERS));
    unsigned gates = 0;
    for (size_t k = 0; k < all->n; k++) {
        unsigned own;
        TRY(names_read_shapes(&p->layers[k], &own, p, b, &all->at[k], cfg, err));
        if (k && own != gates)
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: %s has %u gates, the layer below has %u: layers of different cells", b->path,
                        all->at[k].W_hh->name, own, gates));
        gates = own;
    }
    TRY(names_choose_cell(p, gates, b, &all->at[0], cfg, err));
    TRY(recipe_chain(p, b, all->n, err));
    scope s = {b, cfg, p, all->at[0].container};
    TRY(names_find_words(p, &s, all, err));
done:
    sg_free(all);
    return st;
}
