/* SPDX-License-Identifier: MIT */
/* The finder of a format, and the options of all finders: --map, --ignore, --output-activation. */
#include "import/find.h"

#include "base/base_internal.h"
#include "cell/cell.h"

#include <string.h>

/* "rnn.weight_ih_l12" for base "rnn.weight_ih_l" */
static bool is_numbered(const char *role, size_t length, const char *base)
{
    size_t n = strlen(base);
    if (length <= n || strncmp(role, base, n) != 0)
        return false;
    return strspn(role + n, "0123456789") == length - n;
}

static bool role_is_known(const char *role, size_t length)
{
    static const char *const whole[] = {"encoder.weight", "decoder.weight", "decoder.bias", "input.weight",
                                        "input.bias",     "output.weight",  "output.bias",  "after"};
    static const char *const numbered[] = {"rnn.weight_ih_l", "rnn.weight_hh_l", "rnn.bias_ih_l",
                                           "rnn.bias_hh_l",   "rnn.kernel_l",    "rnn.kernel_hx_l",
                                           "rnn.bias_l"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (strlen(whole[i]) == length && !strncmp(role, whole[i], length))
            return true;
    for (size_t i = 0; i < sizeof numbered / sizeof *numbered; i++)
        if (is_numbered(role, length, numbered[i]))
            return true;
    return false;
}

static sg_status check_maps(const tensor_file *b, const sg_import_config *cfg, sg_error *err)
{
    for (size_t i = 0; i < cfg->n_maps; i++) {
        const char *equals = strchr(cfg->maps[i], '=');
        if (!equals || !equals[1])
            return sg_fail(err, SG_EINVAL, "setting 'map' %s: expected ROLE=TENSOR", cfg->maps[i]);
        if (!role_is_known(cfg->maps[i], (size_t)(equals - cfg->maps[i])))
            return sg_fail(
                err, SG_EINVAL,
                "setting 'map' %s: no such role; expected encoder.weight, rnn.weight_ih_l0, "
                "rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0 (l1, l2 ...), rnn.kernel_l0, rnn.bias_l0, "
                "decoder.weight, decoder.bias, input.weight and input.bias (a linear map between embedding and "
                "recurrence), output.weight and output.bias (one between top layer and decoder) or after (acts after "
                "the recurrence)",
                cfg->maps[i]);
        if (!recipe_is_mapped_list(b, equals + 1) && b->format != SG_FILE_ONNX)
            return sg_fail(err, SG_EFORMAT,
                           "%s: setting 'map' %s: no tensor of this name (or several; give its whole name)",
                           b->path, cfg->maps[i]);
    }
    bool keras = b->format == SG_FILE_KERAS || b->format == SG_FILE_KERAS_ZIP || b->format == SG_FILE_TFJS;
    bool states_it = b->format == SG_FILE_ONNX || keras;
    if (states_it && (cfg->gate_order || cfg->transposed))
        return sg_fail(err, SG_EINVAL, "%s: %s: the format fixes this, and the option does not apply",
                       b->path, cfg->gate_order ? "setting 'gate_order'" : "setting 'transposed'");
    for (size_t i = 0; i < cfg->n_ignore; i++)
        if (!tensors_find(b, cfg->ignore[i]))
            return sg_fail(
                err, SG_EFORMAT,
                "%s: setting 'ignore' %s: no tensor of this name (or several; give its whole name)", b->path,
                cfg->ignore[i]);
    return SG_OK;
}

sg_status recipe_find(recipe *out, const tensor_file *b, const sg_import_config *cfg, sg_error *err)
{
    sg_status st;
    bool kernels = false;
    *out = (recipe){0};
    if (cfg->cell != SG_AUTO && cell_of((sg_cell)cfg->cell)->recurrence != CELL_DENSE)
        TRY(sg_fail(err, SG_EINVAL,
                    "setting 'cell' %s: models of this kind are read from stategrad's own files only",
                    sg_cell_name((sg_cell)cfg->cell)));
    TRY(check_maps(b, cfg, err));
    for (size_t i = 0; i < cfg->n_maps; i++)
        kernels |= !strncmp(cfg->maps[i], "rnn.kernel_", 11);
    if (kernels)
        TRY(find_tf_kernels(out, b, cfg, err));
    else if (b->format == SG_FILE_KERAS || b->format == SG_FILE_KERAS_ZIP || b->format == SG_FILE_TFJS)
        TRY(find_keras(out, b, cfg, err));
    else if (b->format == SG_FILE_ONNX)
        TRY(find_onnx(out, b, cfg, err));
    else
        TRY(find_by_name(out, b, cfg, err));
    for (size_t i = 0; i < cfg->n_ignore; i++) {
        size_t n = strlen(out->ignored);
        snprintf(out->ignored + n, sizeof out->ignored - n, "%s%.100s", n ? ", " : "", cfg->ignore[i]);
    }
    if (cfg->output != SG_AUTO)
        out->shape.output = (sg_output_activation)cfg->output;
    if (cfg->forget_bias != 0) {
        if (out->shape.cell != SG_CELL_LSTM)
            TRY(sg_fail(err, SG_EINVAL, "setting 'forget_bias': %s has no forget gate",
                        sg_cell_name(out->shape.cell)));
        out->forget_bias = cfg->forget_bias;
    }
done:
    return st;
}
