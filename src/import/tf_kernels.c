/* SPDX-License-Identifier: MIT */
/* Kernels over inputs and states side by side: TensorFlow's (inputs + H, gates * H) in the order i, j, f, o,
 * and cells written by hand as a linear layer of cat(x, h), (gates * H, inputs + H), or one such layer for
 * each gate. A GRU of this kind resets before it multiplies; TensorFlow keeps it in two kernels, r and u
 * together, then the candidate. */
#include "import/by_name.h"

#include "base/base_internal.h"

#include <string.h>

/* One layer's tensors and what follows from them. */
typedef struct {
    const stored_tensor *kernel[4], *bias[4];
    size_t n_kernel, n_bias;
    bool states_first; /* cat(h, x) */
    bool rows;         /* (gates * H, inputs + H) */
    bool either;       /* the sizes fit both orientations */
    unsigned G;
    uint64_t H, in;
} kernel_layer;

/* ---- tensors without a role ---- */

static sg_status refuse_tensor(const tensor_file *b, const stored_tensor *t, sg_error *err)
{
    char shape[96];
    const char *kind = names_kind_of_part(t->name);
    if (kind)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: tensor %s %s belongs to the recurrent part: it seems to be %s, which is not supported "
            "(if it acts after the recurrence: setting 'map' after=%s)",
            b->path, t->name, shape_text(t, shape), kind, t->name);
    return sg_fail(
        err, SG_EFORMAT,
        "%s: tensor %s %s belongs to the recurrent part by its name or size and has no role (a bias: setting 'map' "
        "rnn.bias_l0=%s; after the recurrence: setting 'map' after=%s)",
        b->path, t->name, shape_text(t, shape), t->name, t->name);
}

/* Peepholes (w_f_diag), projections, a bias that nobody mapped: in the scope of a kernel, or (by_size) of the
 * size of its gates. */
static sg_status judge_parts(const recipe *p, const tensor_file *b, const sg_import_config *cfg, bool by_size,
                             sg_error *err)
{
    for (size_t i = 0; i < b->n; i++) {
        const stored_tensor *t = &b->tensors[i];
        bool part = false;
        for (size_t k = 0; k < p->shape.layers; k++) {
            const char *kernel = p->layers[k].W_ih.tensor->name;
            uint64_t H = p->layers[k].H, rows = p->layers[k].W_ih.gates * H;
            size_t scope_of = (size_t)(names_leaf(kernel) - kernel);
            part |= by_size ? names_is_vector(t, rows) || names_is_vector(t, H)
                            : scope_of && !strncmp(kernel, t->name, scope_of);
        }
        if (part && t->elements > 1 && !names_is_used(p, t) && !recipe_ignored(cfg, t) &&
            !recipe_is_mapped(b, cfg, t, NULL) && !names_optimizer_state(t->name))
            return refuse_tensor(b, t, err);
    }
    return SG_OK;
}

/* ---- one layer ---- */

static sg_status find_tensors(kernel_layer *l, const tensor_file *b, const sg_import_config *cfg, size_t k,
                              sg_error *err)
{
    sg_status st;
    char role[32];
    *l = (kernel_layer){0};
    snprintf(role, sizeof role, "rnn.kernel_l%zu", k);
    TRY(recipe_mapped_parts(l->kernel, &l->n_kernel, b, cfg, role, err));
    if (!l->n_kernel) {
        snprintf(role, sizeof role, "rnn.kernel_hx_l%zu", k);
        TRY(recipe_mapped_parts(l->kernel, &l->n_kernel, b, cfg, role, err));
        l->states_first = l->n_kernel > 0;
    }
    snprintf(role, sizeof role, "rnn.bias_l%zu", k);
    TRY(recipe_mapped_parts(l->bias, &l->n_bias, b, cfg, role, err));
done:
    return st;
}

/* Gates by the number of tensors: one of all gates, one for each, or two of a GRU. */
static sg_status choose_cell(sg_cell *c, const kernel_layer *l, const sg_import_config *cfg, sg_error *err)
{
    static const sg_cell by_parts[] = {
        [1] = SG_CELL_LSTM, [2] = SG_CELL_GRU_RESET_FIRST, [3] = SG_CELL_GRU_RESET_FIRST, [4] = SG_CELL_LSTM};
    *c = cfg->cell == SG_AUTO ? by_parts[l->n_kernel] : (sg_cell)cfg->cell;
    size_t G = sg_cell_gates(*c);
    if (*c == SG_CELL_GRU)
        return sg_fail(
            err, SG_EINVAL,
            "setting 'cell' gru: the candidate of a GRU with kernels over inputs and states reads r*h: "
            "expected gru-reset-first");
    if (l->n_kernel > 1 && l->n_kernel != G && !(l->n_kernel == 2 && G == 3))
        return sg_fail(
            err, SG_EINVAL,
            "setting 'map' rnn.kernel_l0: %zu tensors, expected one, or one for each of the %zu gates of %s",
            l->n_kernel, G, sg_cell_name(*c));
    if (G == 3 && l->n_kernel == 1)
        return sg_fail(
            err, SG_EINVAL,
            "setting 'cell' %s: expected setting 'map' rnn.kernel_l0=GATES,CANDIDATE as TensorFlow keeps "
            "them, or one tensor for each gate",
            sg_cell_name(*c));
    return SG_OK;
}

/* Is the kernel's first tensor of `gates` gates of this orientation, by its bias? */
static bool fits(const kernel_layer *l, unsigned gates, bool rows)
{
    uint64_t high = l->kernel[0]->dims[rows ? 0 : 1], wide = l->kernel[0]->dims[rows ? 1 : 0];
    return high % gates == 0 && wide > high / gates &&
           (!l->n_bias || l->n_bias != l->n_kernel || names_is_vector(l->bias[0], high));
}

static sg_status find_sizes(kernel_layer *l, const tensor_file *b, const sg_import_config *cfg, sg_cell c,
                            sg_error *err)
{
    char shape[96];
    const stored_tensor *t = l->kernel[0];
    unsigned gates;
    l->G = (unsigned)sg_cell_gates(c);
    gates = l->n_kernel == 1 ? l->G : l->n_kernel == 2 ? 2 : 1;
    bool numpy = b->format == SG_FILE_TF_INDEX || b->format == SG_FILE_NPY || b->format == SG_FILE_NPZ;
    bool rows = t->rank == 2 && t->elements && fits(l, gates, true) && (l->n_bias || !numpy);
    bool columns = t->rank == 2 && t->elements && fits(l, gates, false);
    if (!rows && !columns)
        return sg_fail(err, SG_EFORMAT,
                       "%s: %s: expected (inputs + H, %u H) or (%u H, inputs + H)%s, file has %s", b->path,
                       t->name, gates, gates, l->n_bias ? " and a bias of its gates" : "",
                       shape_text(t, shape));
    if (cfg->transposed && !columns)
        return sg_fail(err, SG_EFORMAT,
                       "%s: setting 'transposed': expected %s of (inputs + H, %u H), file has %s", b->path,
                       t->name, gates, shape_text(t, shape));
    l->either = rows && columns;
    l->rows = rows && !(columns && (numpy || cfg->transposed));
    l->H = t->dims[l->rows ? 0 : 1] / gates;
    l->in = t->dims[l->rows ? 1 : 0] - l->H;
    for (size_t k = 1; k < l->n_kernel; k++) {
        const stored_tensor *other = l->kernel[k];
        if (other->rank != 2 || other->dims[l->rows ? 0 : 1] != l->H ||
            other->dims[l->rows ? 1 : 0] != l->in + l->H)
            return sg_fail(err, SG_EFORMAT, "%s: %s: expected (%llu, %llu) to match %s, file has %s", b->path,
                           other->name, (unsigned long long)(l->rows ? l->H : l->in + l->H),
                           (unsigned long long)(l->rows ? l->in + l->H : l->H), t->name,
                           shape_text(other, shape));
    }
    if (l->n_bias && l->n_bias != l->n_kernel && l->n_bias != 1)
        return sg_fail(err, SG_EINVAL, "setting 'map' rnn.bias_l0: %zu tensors, expected %zu", l->n_bias,
                       l->n_kernel);
    for (size_t k = 0; k < l->n_bias; k++) {
        uint64_t rows_of = l->n_bias == 1 ? l->G : l->n_bias == 2 && !k ? 2 : 1;
        sg_status st = names_check_bias(b, l->bias[k], rows_of * l->H, err);
        if (st != SG_OK)
            return st;
    }
    return SG_OK;
}

/* Block k of the gates lies in one of the tensors. */
static void set_parts(recipe_source *s, const stored_tensor *const *parts, size_t n)
{
    s->tensor = parts[0];
    if (n == 2) { /* r and u in one, then the candidate */
        s->part[0] = s->part[1] = parts[0];
        s->part[2] = parts[1];
        s->part_block[1] = 1;
    }
    for (size_t k = 0; k < n && n > 2; k++)
        s->part[k] = parts[k];
}

static void set_layer(recipe_layer *out, const kernel_layer *l, const uint8_t gate[4])
{
    recipe_source s = {
        .layout = l->rows ? LAYOUT_ROWS : LAYOUT_COLUMNS, .columns = l->kernel[0]->dims[1], .gates = l->G};
    memcpy(s.gate, gate, sizeof s.gate);
    set_parts(&s, l->kernel, l->n_kernel);
    *out = (recipe_layer){.H = (size_t)l->H, .in = (size_t)l->in, .W_ih = s, .W_hh = s};
    out->W_ih.column0 = l->states_first ? l->H : 0;
    out->W_hh.column0 = l->states_first ? 0 : l->in;
    if (!l->n_bias)
        return;
    out->b_ih = (recipe_source){.columns = 1, .gates = l->G};
    memcpy(out->b_ih.gate, gate, sizeof s.gate);
    set_parts(&out->b_ih, l->bias, l->n_bias);
}

static void note_assumptions(recipe *p, const kernel_layer *l, const sg_import_config *cfg, const char *order)
{
    char gates[96] = "", forget[160] = "";
    if (l->G > 1)
        snprintf(gates, sizeof gates, ", gates in the order %s%s", cfg->gate_order ? cfg->gate_order : order,
                 cfg->gate_order ? "" : " (setting 'gate_order' for another)");
    if (l->G == 4)
        snprintf(forget, sizeof forget, ", a forget bias of %g%s", cfg->forget_bias,
                 cfg->forget_bias != 0 || l->rows
                     ? ""
                     : " (TensorFlow's cells add 1 outside their weights: setting 'forget_bias' 1)");
    recipe_note(p, "%.120s: assumed: %s%s, %s%s%s", l->kernel[0]->name,
                l->rows ? "W x, its rows are units" : "x W, its columns are units",
                l->either ? " (both fit its shape)" : "",
                l->states_first ? "states before inputs"
                                : "inputs before states (rnn.kernel_hx_l0 for the other)",
                gates, forget);
}

static sg_status find_layers(recipe *p, size_t *n, const tensor_file *b, const sg_import_config *cfg,
                             sg_error *err)
{
    sg_status st = SG_OK;
    kernel_layer l;
    uint8_t gate[4];
    for (*n = 0; *n < SG_MAX_LAYERS; ++*n) {
        sg_cell c;
        TRY(find_tensors(&l, b, cfg, *n, err));
        if (!l.n_kernel)
            break;
        TRY(choose_cell(&c, &l, cfg, err));
        if (*n && c != p->shape.cell)
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: %s makes a %s, the layer below is a %s: layers of different cells", b->path,
                        l.kernel[0]->name, sg_cell_name(c), sg_cell_name(p->shape.cell)));
        p->shape.cell = c;
        TRY(find_sizes(&l, b, cfg, c, err));
        const char *order = l.G == 3 ? "r,z,n" : l.rows ? "i,f,g,o" : "i,j,f,o";
        TRY(recipe_gate_order(gate, cfg, l.G, order, err));
        set_layer(&p->layers[*n], &l, gate);
        if (!*n)
            note_assumptions(p, &l, cfg, order);
    }
    if (!*n)
        TRY(sg_fail(err, SG_EINVAL, "setting 'map' rnn.kernel_l0 is missing: layers are counted from 0"));
done:
    return st;
}

sg_status find_tf_kernels(recipe *p, const tensor_file *b, const sg_import_config *cfg, sg_error *err)
{
    sg_status st;
    size_t n;
    named_layers *none = sg_calloc(1, sizeof *none);
    scope s = {b, cfg, p, 0};
    if (!none)
        return no_memory(err, "%s", b->path);
    TRY(find_layers(p, &n, b, cfg, err));
    TRY(recipe_chain(p, b, n, err));
    TRY(judge_parts(p, b, cfg, false, err));
    TRY(names_find_words(p, &s, none, err));
    TRY(judge_parts(p, b, cfg, true, err));
done:
    sg_free(none);
    return st;
}
