/* SPDX-License-Identifier: MIT */
/* From a file to a model: open, find the roles, find the words, build. */
#include "import/find.h"
#include "import/vocabulary.h"

#include "base/base_internal.h"
#include "lm/model_internal.h"

#include <string.h>

void sg_import_defaults_sized(sg_import_config *cfg, size_t struct_size)
{
    sg_import_config own = {.unit = SG_AUTO, .output = SG_AUTO, .cell = SG_AUTO};
    config_give(cfg, struct_size, &own, sizeof own);
}

static void tell_notes(const recipe *p, const char *path, const sg_monitor *monitor)
{
    for (size_t i = 0; i < p->n_notes; i++)
        sg_warn(monitor, "%s: %s", path, p->notes[i]);
    if (p->no_decoder[0])
        sg_warn(monitor, "%s: states only, no predictions: %s", path, p->no_decoder);
}

static sg_status load_foreign(sg_model **out, const char *path, const sg_import_config *cfg,
                              const sg_monitor *monitor, sg_error *err)
{
    sg_status st;
    tensor_file *b = NULL;
    recipe *p = NULL;
    sg_vocab *vocab = NULL;
    const char *gates = cfg->recurrent_activation;
    if (gates && strcmp(gates, "sigmoid") != 0 && strcmp(gates, "hard_sigmoid") != 0)
        return sg_fail(err, SG_EINVAL,
                       "setting 'recurrent_activation': expected sigmoid or hard_sigmoid, found '%s'", gates);
    if (!(p = sg_calloc(1, sizeof *p)))
        return no_memory(err, "%s", path);
    TRY(tensors_open(&b, path, err));
    TRY(tensors_add_named_arrays(b, cfg, err));
    TRY(recipe_find(p, b, cfg, err));
    TRY(vocabulary_find(&vocab, p, b, cfg, err));
    TRY(recipe_build(out, b, p, vocab, err));
    tell_notes(p, path, monitor);
done:
    sg_vocab_free(vocab);
    sg_free(p);
    tensors_free(b);
    return st;
}

/* A setting for what the file itself states; NULL: none was given. */
static const char *name_superfluous_option(const sg_import_config *cfg)
{
    return cfg->vocab                  ? "setting 'vocab'"
           : cfg->gate_order           ? "setting 'gate_order'"
           : cfg->transposed           ? "setting 'transposed'"
           : cfg->recurrent_activation ? "setting 'recurrent_activation'"
           : cfg->one_hot              ? "setting 'one_hot'"
           : cfg->forward_only         ? "setting 'forward_only'"
           : cfg->n_ignore             ? "setting 'ignore'"
           : cfg->unit != SG_AUTO      ? "setting 'unit'"
           : cfg->cell != SG_AUTO      ? "setting 'cell'"
           : cfg->output != SG_AUTO    ? "setting 'output_activation'"
           : cfg->forget_bias != 0     ? "setting 'forget_bias'"
                                       : NULL;
}

sg_status sg_model_load(sg_model **out, const char *path, const sg_import_config *cfg,
                        const sg_monitor *monitor, sg_error *err)
{
    sg_import_config automatic;
    sg_file_format format;
    sg_error why;
    *out = NULL;
    sg_import_defaults(&automatic);
    cfg = cfg ? config_take(&automatic, sizeof automatic, cfg) : &automatic;
    sg_status st = sg_file_format_of(&format, path, err);
    if (st != SG_OK)
        return st;
    if (format == SG_FILE_MODEL && !cfg->n_maps) {
        if (name_superfluous_option(cfg))
            return sg_fail(err, SG_EINVAL,
                           "%s: %s: a model file of stategrad fixes this, and the option does not apply",
                           path, name_superfluous_option(cfg));
        st = sg_model_read(out, path, err);
    } else
        st = load_foreign(out, path, cfg, monitor, err);
    if (st == SG_OK && (st = model_choose_words(*out, cfg->unk, cfg->eos, &why)) != SG_OK) {
        sg_model_free(*out);
        *out = NULL;
        return sg_fail(err, st, "%s: %s", path, why.msg);
    }
    return st;
}
