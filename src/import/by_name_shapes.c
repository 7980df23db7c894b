/* SPDX-License-Identifier: MIT */
/* Sizes, gates and orientation of recurrent layers from the shapes of their weights; the cell. */
#include "import/by_name.h"

#include "base/base_internal.h"

#include <string.h>

static sg_status missing(const tensor_file *b, const named_layer *l, const char *role, sg_error *err)
{
    const stored_tensor *t = l->W_ih ? l->W_ih : l->W_hh ? l->W_hh : l->b_ih ? l->b_ih : l->b_hh;
    return sg_fail(err, SG_EFORMAT, "%s: has %s, but no %s", b->path, t ? t->name : l->prefix, role);
}

recipe_source names_source(const stored_tensor *t, unsigned gates)
{
    return (recipe_source){
        .tensor = t, .columns = t && t->rank == 2 ? t->dims[1] : 1, .gate = {0, 1, 2, 3}, .gates = gates};
}

bool names_is_vector(const stored_tensor *t, uint64_t n)
{
    uint64_t longest = 1;
    for (unsigned k = 0; k < t->rank; k++)
        longest = t->dims[k] > longest ? t->dims[k] : longest;
    return t->elements == n && longest == n && t->rank >= 1;
}

sg_status names_check_bias(const tensor_file *b, const stored_tensor *t, uint64_t rows, sg_error *err)
{
    char shape[96];
    if (t && !names_is_vector(t, rows))
        return sg_fail(err, SG_EFORMAT, "%s: %s: expected (%llu), file has %s", b->path, t->name,
                       (unsigned long long)rows, shape_text(t, shape));
    if (t && !dtype_is_float(t->dtype))
        return sg_fail(err, SG_EFORMAT, "%s: %s %s holds %s, expected float16, bfloat16, float32 or float64",
                       b->path, t->name, shape_text(t, shape), tensor_type_name(t));
    return SG_OK;
}

/* The g of torch's weight norm. */
static sg_status check_norm(const tensor_file *b, const stored_tensor *t, uint64_t rows, sg_error *err)
{
    char shape[96];
    if (t && !names_is_vector(t, rows))
        return sg_fail(
            err, SG_EFORMAT,
            "%s: %s: a weight norm with %s norms: only one for each row, (%llu, 1), is read (dim=0)", b->path,
            t->name, shape_text(t, shape), (unsigned long long)rows);
    return names_check_bias(b, t, rows, err);
}

/* One layer's sizes. */
typedef struct {
    uint64_t H, in, G; /* G gates */
    bool turned;       /* weights are (inputs, G*H): x W */
    bool guessed;      /* squares only: either would fit */
} layer_sizes;

/* The sides of a weight, or of each of its gates' tensors. */
static sg_status sides(const tensor_file *b, const named_layer *l, size_t which, const stored_tensor *t,
                       uint64_t *rows, uint64_t *columns, uint64_t *parts, sg_error *err)
{
    char shape[96];
    if (t->rank != 2 || !t->elements)
        return sg_fail(err, SG_EFORMAT, "%s: %s: expected %s, file has %s", b->path, t->name,
                       which ? "(G*H, H)" : "(G*H, inputs)", shape_text(t, shape));
    if (!dtype_is_float(t->dtype))
        return sg_fail(err, SG_EFORMAT, "%s: %s %s holds %s, expected float16, bfloat16, float32 or float64",
                       b->path, t->name, shape_text(t, shape), tensor_type_name(t));
    *rows = t->dims[0];
    *columns = t->dims[1];
    *parts = 1;
    for (size_t k = 1; k < 4 && l->part[which][0] && l->part[which][k]; k++, (*parts)++) {
        const stored_tensor *other = l->part[which][k];
        if (other->rank != 2 || other->dims[0] != *rows || other->dims[1] != *columns)
            return sg_fail(err, SG_EFORMAT, "%s: %s: expected (%llu, %llu) as %s, file has %s", b->path,
                           other->name, (unsigned long long)*rows, (unsigned long long)*columns, t->name,
                           shape_text(other, shape));
    }
    return SG_OK;
}

static sg_status find_sizes(layer_sizes *s, const tensor_file *b, const named_layer *l,
                            const sg_import_config *cfg, sg_error *err)
{
    sg_status st;
    char shape[96];
    uint64_t rows, columns, parts, in_rows, in_columns, in_parts;
    *s = (layer_sizes){0};
    TRY(sides(b, l, 1, l->W_hh, &rows, &columns, &parts, err));
    TRY(sides(b, l, 0, l->W_ih, &in_rows, &in_columns, &in_parts, err));
    s->turned = columns > rows;
    s->H = s->turned ? rows : columns;
    s->G = (s->turned ? columns : rows) / s->H;
    if ((s->turned ? columns : rows) % s->H || (parts > 1 && s->G != 1) ||
        (parts == 1 && s->G != 1 && s->G != 3 && s->G != 4) || parts == 2)
        TRY(sg_fail(err, SG_EFORMAT,
                    "%s: %s: expected (4H, H) for LSTM, (3H, H) for GRU or (H, H) for RNN, file has %s",
                    b->path, l->W_hh->name, shape_text(l->W_hh, shape)));
    uint64_t wide = s->G * s->H;  /* of one tensor */
    if (s->G == 1 && l->mapped) { /* squares: the inputs' matrix decides, if it is not square itself */
        s->turned = in_rows != wide && in_columns == wide;
        s->guessed = in_rows == in_columns;
        if (s->guessed)
            s->turned = cfg->transposed;
    }
    if (l->mapped && cfg->transposed && !s->turned)
        TRY(sg_fail(err, SG_EFORMAT, "%s: setting 'transposed': expected %s of (inputs, %llu), file has %s",
                    b->path, l->W_ih->name, (unsigned long long)wide, shape_text(l->W_ih, shape)));
    if ((s->turned ? in_columns : in_rows) != wide || in_parts != parts)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %s: expected (%llu, inputs) to match %s, file has %s", b->path,
                    l->W_ih->name, (unsigned long long)wide, l->W_hh->name, shape_text(l->W_ih, shape)));
    s->in = s->turned ? in_rows : in_columns;
    s->G *= parts;
done:
    return st;
}

static void set_source(recipe_source *out, const named_layer *l, size_t which, const stored_tensor *t,
                       const layer_sizes *s, const uint8_t gate[4])
{
    *out = names_source(t, (unsigned)s->G);
    memcpy(out->gate, gate, 4);
    if (l->part[which][0])
        memcpy(out->part, l->part[which], sizeof out->part);
    if (which >= 2)
        out->columns = 1;
    else if (s->turned)
        out->layout = LAYOUT_COLUMNS;
}

/* Options about mapped tensors, where none is mapped and the file has torch's own. */
static sg_status refuse_needless(const tensor_file *b, const named_layer *l, const layer_sizes *s,
                                 const sg_import_config *cfg, sg_error *err)
{
    bool mapped = l->mapped || s->turned;
    for (size_t i = 0; i < cfg->n_maps; i++)
        mapped |= !strncmp(cfg->maps[i], "rnn.", 4);
    if (mapped || (!cfg->gate_order && !cfg->transposed))
        return SG_OK;
    return sg_fail(
        err, SG_EINVAL,
        "%s: %s: tensor %s has PyTorch's name and shape, which fix this, and the option does not apply "
        "(where they mislead: setting 'map' rnn.weight_ih_l0=%s)",
        b->path, cfg->gate_order ? "setting 'gate_order'" : "setting 'transposed'", l->W_ih->name,
        l->W_ih->name);
}

/* Sizes from W_hh, which is (G H, H), or turned by 90 degrees where another library wrote it. */
sg_status names_read_shapes(recipe_layer *out, unsigned *gates, recipe *p, const tensor_file *b,
                            const named_layer *l, const sg_import_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    layer_sizes s;
    uint8_t gate[4];
    if (!l->W_ih || !l->W_hh)
        TRY(missing(b, l, l->W_ih ? "weight_hh" : "weight_ih", err));
    TRY(find_sizes(&s, b, l, cfg, err));
    TRY(refuse_needless(b, l, &s, cfg, err));
    TRY(recipe_gate_order(gate, cfg, (unsigned)s.G, s.G == 4 ? "ifgo" : "rzn", err));
    *out = (recipe_layer){.H = (size_t)s.H, .in = (size_t)s.in};
    bool two = l->b_ih && !l->b_hh && l->b_ih->rank == 2 && l->b_ih->dims[0] == 2 &&
               l->b_ih->dims[1] == s.G * s.H && dtype_is_float(l->b_ih->dtype);
    set_source(&out->W_ih, l, 0, l->W_ih, &s, gate);
    set_source(&out->W_hh, l, 1, l->W_hh, &s, gate);
    set_source(&out->b_ih, l, 2, l->b_ih, &s, gate);
    set_source(&out->b_hh, l, 3, l->b_hh, &s, gate);
    if (two) { /* Keras: (2, 3H), the second row for the states */
        out->b_hh = out->b_ih;
        out->b_hh.row0 = s.G * s.H;
    }
    out->W_ih.norm = l->norm_ih;
    out->W_hh.norm = l->norm_hh;
    TRY(check_norm(b, l->norm_ih, s.G * s.H, err));
    TRY(check_norm(b, l->norm_hh, s.G * s.H, err));
    for (size_t k = 0; k < 4 && !two; k++) {
        TRY(names_check_bias(b,
                             l->part[2][0] ? l->part[2][k]
                             : k           ? NULL
                                           : l->b_ih,
                             l->part[2][0] ? s.H : s.G * s.H, err));
        TRY(names_check_bias(b,
                             l->part[3][0] ? l->part[3][k]
                             : k           ? NULL
                                           : l->b_hh,
                             l->part[3][0] ? s.H : s.G * s.H, err));
    }
    if (l->mapped || s.turned) /* torch's own are W x */
        recipe_note(p, "%.150s: assumed: %s%s%s%s%s", l->W_ih->name,
                    s.turned ? "x W, its columns are units" : "W x, its rows are units",
                    s.guessed ? " (it is square: setting 'transposed' for the other)" : "",
                    s.G > 1 ? ", gates in the order " : "",
                    s.G == 1          ? ""
                    : cfg->gate_order ? cfg->gate_order
                    : s.G == 4        ? "i,f,g,o"
                                      : "r,z,n",
                    s.G > 1 && !cfg->gate_order ? " (setting 'gate_order' for another)" : "");
    *gates = (unsigned)s.G;
done:
    return st;
}

sg_status names_choose_cell(recipe *p, unsigned gates, const tensor_file *b, const named_layer *first,
                            const sg_import_config *cfg, sg_error *err)
{
    static const sg_cell by_gates[] = {[1] = SG_CELL_TANH, [3] = SG_CELL_GRU, [4] = SG_CELL_LSTM};
    sg_cell c = by_gates[gates];
    char key[TENSORS_MAX_NAME + 16];
    snprintf(key, sizeof key, "%smode", first->prefix);
    const char *mode = tensors_attribute(b, key);
    snprintf(key, sizeof key, "%snonlinearity", first->prefix);
    const char *how = tensors_attribute(b, key);
    if (gates == 1 && ((mode && !strcmp(mode, "RNN_RELU")) || (how && !strcmp(how, "relu"))))
        c = SG_CELL_RELU;
    else if (gates == 1 && cfg->cell == SG_AUTO && !mode && !how)
        recipe_note(
            p,
            "the file does not record the RNN's nonlinearity: tanh is assumed (setting 'cell' rnn-relu for relu)");
    else if (gates == 3 && cfg->cell == SG_AUTO &&
             (first->mapped || p->layers[0].W_ih.layout == LAYOUT_COLUMNS))
        recipe_note(p,
                    "%.150s: assumed: the GRU multiplies before it resets, r*(W h) (setting 'cell' "
                    "gru-reset-first for W (r*h))",
                    first->W_hh->name);
    if (cfg->cell != SG_AUTO) {
        c = (sg_cell)cfg->cell;
        if (sg_cell_gates(c) != gates)
            return sg_fail(err, SG_EFORMAT, "%s: setting 'cell' %s has %zu gates, %s has rows for %u",
                           b->path, sg_cell_name(c), sg_cell_gates(c), first->W_hh->name, gates);
    }
    p->shape.cell = c;
    return SG_OK;
}
