/* SPDX-License-Identifier: MIT */
/* From a plan to a model: every tensor is streamed through a small buffer to its place, gate blocks and
 * transposition on the way. Also what all finders share: --map, --ignore, notes, the chain of layers. */
#include "import/recipe.h"

#include "base/base_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void plan_note(plan *p, const char *format, ...)
{
    va_list args;
    if (p->n_notes == PLAN_MAX_NOTES)
        return;
    va_start(args, format);
    vsnprintf(p->notes[p->n_notes++], PLAN_NOTE, format, args);
    va_end(args);
}

/* ---- maps ---- */

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
    static const char *const whole[] = {"encoder.weight", "decoder.weight", "decoder.bias"};
    static const char *const numbered[] = {"rnn.weight_ih_l", "rnn.weight_hh_l", "rnn.bias_ih_l",
                                           "rnn.bias_hh_l",   "rnn.kernel_l",    "rnn.bias_l"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (strlen(whole[i]) == length && !strncmp(role, whole[i], length))
            return true;
    for (size_t i = 0; i < sizeof numbered / sizeof *numbered; i++)
        if (is_numbered(role, length, numbered[i]))
            return true;
    return false;
}

static sg_status check_maps(const bag *b, const sg_import_config *cfg, sg_error *err)
{
    for (size_t i = 0; i < cfg->n_maps; i++) {
        const char *equals = strchr(cfg->maps[i], '=');
        if (!equals || !equals[1])
            return sg_fail(err, SG_EINVAL, "--map %s: expected ROLE=TENSOR", cfg->maps[i]);
        if (!role_is_known(cfg->maps[i], (size_t)(equals - cfg->maps[i])))
            return sg_fail(
                err, SG_EINVAL,
                "--map %s: no such role; expected encoder.weight, rnn.weight_ih_l0, "
                "rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0 (l1, l2 ...), rnn.kernel_l0, rnn.bias_l0, "
                "decoder.weight or decoder.bias",
                cfg->maps[i]);
        if (!bag_find(b, equals + 1) && b->kind != SG_FILE_ONNX)
            return sg_fail(err, SG_EFORMAT,
                           "%s: --map %s: no tensor of this name (or several; give its whole name)", b->path,
                           cfg->maps[i]);
    }
    for (size_t i = 0; i < cfg->n_ignore; i++)
        if (!bag_find(b, cfg->ignore[i]))
            return sg_fail(err, SG_EFORMAT,
                           "%s: --ignore %s: no tensor of this name (or several; give its whole name)",
                           b->path, cfg->ignore[i]);
    return SG_OK;
}

sg_status plan_mapped(const bag_tensor **out, const bag *b, const sg_import_config *cfg, const char *role,
                      sg_error *err)
{
    size_t n = strlen(role);
    *out = NULL;
    for (size_t i = 0; i < cfg->n_maps; i++)
        if (!strncmp(cfg->maps[i], role, n) && cfg->maps[i][n] == '=') {
            if (*out)
                return sg_fail(err, SG_EINVAL, "--map %s is given twice", role);
            *out = bag_find(b, cfg->maps[i] + n + 1);
        }
    if (*out && !bag_is_float((*out)->dtype))
        return sg_fail(err, SG_EFORMAT, "%s: --map %s: tensor %s holds %s, expected floating-point numbers",
                       b->path, role, (*out)->name, bag_dtype_name((*out)->dtype));
    return SG_OK;
}

bool plan_ignored(const sg_import_config *cfg, const bag_tensor *t)
{
    size_t n = strlen(t->name);
    for (size_t i = 0; i < cfg->n_ignore; i++) {
        size_t m = strlen(cfg->ignore[i]);
        if (m <= n && !strcmp(t->name + n - m, cfg->ignore[i]) &&
            (m == n || strchr("./", t->name[n - m - 1])))
            return true;
    }
    return false;
}

sg_status plan_chain(plan *p, const bag *b, size_t n, sg_error *err)
{
    for (size_t k = 0; k < n; k++) {
        const plan_layer *l = &p->layers[k];
        if (k && l->in != p->layers[k - 1].H)
            return sg_fail(err, SG_EFORMAT,
                           "%s: %s reads %zu numbers, the layer below (%s) gives %zu: they are not stacked "
                           "one on the other",
                           b->path, l->W_ih.tensor->name, l->in, p->layers[k - 1].W_ih.tensor->name,
                           p->layers[k - 1].H);
        p->shape.hidden[k] = l->H;
    }
    p->shape.layers = n;
    p->shape.embedding = p->layers[0].in;
    return SG_OK;
}

sg_status plan_find(plan *out, const bag *b, const sg_import_config *cfg, sg_error *err)
{
    sg_status st;
    bool kernels = false;
    *out = (plan){0};
    TRY(check_maps(b, cfg, err));
    for (size_t i = 0; i < cfg->n_maps; i++)
        kernels |= !strncmp(cfg->maps[i], "rnn.kernel_l", 12);
    if (kernels)
        TRY(plan_find_kernels(out, b, cfg, err));
    else if (b->kind == SG_FILE_KERAS)
        TRY(plan_find_keras(out, b, cfg, err));
    else if (b->kind == SG_FILE_ONNX)
        TRY(plan_find_onnx(out, b, cfg, err));
    else
        TRY(plan_find_by_name(out, b, cfg, err));
    if (cfg->output != SG_AUTO)
        out->shape.output = (sg_output_activation)cfg->output;
    if (cfg->forget_bias != 0) {
        if (out->shape.cell != SG_CELL_LSTM)
            TRY(sg_fail(err, SG_EINVAL, "--forget-bias: %s has no forget gate",
                        sg_cell_name(out->shape.cell)));
        out->forget_bias = cfg->forget_bias;
    }
done:
    return st;
}

/* ---- raw TensorFlow kernels: [in+h, 4h] in the order i, j, f, o; [in+h, h] for a basic RNN ---- */

sg_status plan_find_kernels(plan *p, const bag *b, const sg_import_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    char role[32], shape[96];
    const bag_tensor *kernel, *bias, *t;
    sg_cell c = cfg->cell == SG_AUTO ? SG_CELL_LSTM : (sg_cell)cfg->cell;
    unsigned G = (unsigned)sg_cell_gates(c);
    size_t n = 0;
    if (G == 3)
        TRY(sg_fail(err, SG_EINVAL, "--cell %s: TensorFlow keeps a GRU in two kernels, which are not read",
                    sg_cell_name(c)));
    for (; n < SG_MAX_LAYERS; n++) {
        snprintf(role, sizeof role, "rnn.kernel_l%zu", n);
        TRY(plan_mapped(&kernel, b, cfg, role, err));
        if (!kernel)
            break;
        snprintf(role, sizeof role, "rnn.bias_l%zu", n);
        TRY(plan_mapped(&bias, b, cfg, role, err));
        if (kernel->rank != 2 || !kernel->elements || kernel->dims[1] % G ||
            kernel->dims[0] <= kernel->dims[1] / G)
            TRY(sg_fail(err, SG_EFORMAT, "%s: %s: expected (inputs + H, %u H), file has %s", b->path,
                        kernel->name, G, bag_shape(kernel, shape)));
        uint64_t H = kernel->dims[1] / G, in = kernel->dims[0] - H;
        if (bias && (bias->rank != 1 || bias->dims[0] != G * H))
            TRY(sg_fail(err, SG_EFORMAT, "%s: %s: expected (%llu), file has %s", b->path, bias->name,
                        (unsigned long long)(G * H), bag_shape(bias, shape)));
        plan_source s = {.tensor = kernel,
                         .layout = LAYOUT_COLUMNS,
                         .columns = kernel->dims[1],
                         .gate = {0, 2, 1, 3},
                         .gates = G};
        p->layers[n] = (plan_layer){.H = (size_t)H, .in = (size_t)in, .W_ih = s, .W_hh = s};
        p->layers[n].W_hh.column0 = in;
        if (bias)
            p->layers[n].b_ih = (plan_source){.tensor = bias, .columns = 1, .gate = {0, 2, 1, 3}, .gates = G};
    }
    if (!n)
        TRY(sg_fail(err, SG_EINVAL, "--map rnn.kernel_l0 is missing: layers are counted from 0"));
    p->shape.cell = c;
    TRY(plan_chain(p, b, n, err));
    TRY(plan_mapped(&t, b, cfg, "encoder.weight", err));
    if (t) {
        if (t->rank != 2 || t->dims[1] != p->shape.embedding || t->dims[0] < 2)
            TRY(sg_fail(err, SG_EFORMAT, "%s: encoder.weight: expected (V, %zu), %s has %s", b->path,
                        p->shape.embedding, t->name, bag_shape(t, shape)));
        p->encoder = (plan_source){.tensor = t, .columns = t->dims[1]};
        p->shape.vocabulary = (size_t)t->dims[0];
    }
    TRY(plan_mapped(&t, b, cfg, "decoder.weight", err));
    if (t) {
        uint64_t V = p->shape.vocabulary, H = p->layers[n - 1].H;
        bool turned = t->rank == 2 && t->dims[0] == H && t->dims[1] == V;
        if (!V || t->rank != 2 || (!turned && (t->dims[0] != V || t->dims[1] != H)))
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: decoder.weight: expected (%llu, %llu) or its transpose, %s has %s", b->path,
                        (unsigned long long)V, (unsigned long long)H, t->name, bag_shape(t, shape)));
        p->decoder = (plan_source){
            .tensor = t, .columns = t->dims[1], .layout = turned && V != H ? LAYOUT_COLUMNS : LAYOUT_ROWS};
        p->shape.has_decoder = true;
        TRY(plan_mapped(&t, b, cfg, "decoder.bias", err));
        if (t && (t->rank != 1 || t->dims[0] != V))
            TRY(sg_fail(err, SG_EFORMAT, "%s: decoder.bias: expected (%llu), %s has %s", b->path,
                        (unsigned long long)V, t->name, bag_shape(t, shape)));
        p->decoder_bias = (plan_source){.tensor = t, .columns = 1};
    }
done:
    return st;
}

/* ---- building ---- */

typedef struct {
    const plan_source *s;
    float *out;
    uint64_t rows, columns, H;
    uint64_t bad; /* index of the first number that is none, in the file's tensor */
    bool found_bad;
} placing;

/* Entry (i,j) of the file's matrix to row and column of ours, before gates are put in order. */
static void our_place(const plan_source *s, uint64_t H, uint64_t in, uint64_t i, uint64_t j, uint64_t *row,
                      uint64_t *column)
{
    uint64_t f;
    switch (s->layout) {
    case LAYOUT_ROWS:
        *row = i;
        *column = j;
        break;
    case LAYOUT_COLUMNS:
        *row = j;
        *column = i;
        break;
    case LAYOUT_CUDNN_INPUT: /* within the gate's block, entry f of memory is entry f of our (H,in) */
        f = i * H + j % H;
        *row = j / H * H + f / in;
        *column = f % in;
        break;
    case LAYOUT_CUDNN_RECURRENT:
        *row = j / H * H + i;
        *column = j % H;
        break;
    }
}

static void place(void *ctx, uint64_t first, uint64_t stride, const float *v, size_t n)
{
    placing *p = ctx;
    const plan_source *s = p->s;
    for (size_t k = 0; k < n; k++) {
        uint64_t index = first + k * stride, row = 0, column = 0;
        our_place(s, p->H, p->columns, index / s->columns, index % s->columns, &row, &column);
        if (row < s->row0 || row - s->row0 >= p->rows || column < s->column0 ||
            column - s->column0 >= p->columns)
            continue;
        row -= s->row0;
        column -= s->column0;
        if (s->gates)
            row = s->gate[row / p->H] * p->H + row % p->H;
        p->out[row * p->columns + column] = v[k];
        if (!isfinite(v[k]) && !p->found_bad) {
            p->found_bad = true;
            p->bad = index;
        }
    }
}

static sg_status fill(sg_model *m, const char *name, bag *b, const plan_source *s, size_t H, sg_error *err)
{
    const sg_tensor *to = sg_model_find(m, name);
    if (!s->tensor)
        return SG_OK;
    if (!to)
        return sg_fail(err, SG_EFORMAT, "%s: %s has no place in the model", b->path, name);
    placing p = {.s = s, .out = to->data, .rows = to->rows, .columns = to->cols, .H = H ? H : 1};
    sg_status st = b->read(b, s->tensor, place, &p, err);
    if (st == SG_OK && p.found_bad)
        st = sg_fail(err, SG_ENONFINITE, "%s: tensor %s holds a NaN or an infinity at index %llu", b->path,
                     s->tensor->name, (unsigned long long)p.bad);
    return st;
}

/* A model that is much larger than its file comes from storage that is used again and again, or from a
 * bomb. */
static sg_status check_size(const bag *b, const plan *p, sg_error *err)
{
    double bytes = 0, file = (double)b->file_size;
    const sg_model_shape *s = &p->shape;
    for (size_t k = 0; k < s->layers; k++)
        bytes += 4.0 * (double)sg_cell_gates(s->cell) * (double)s->hidden[k] *
                 (double)(p->layers[k].in + s->hidden[k] + 2);
    bytes += 4.0 * (double)s->vocabulary * (double)s->embedding;
    if (s->has_decoder && !s->tied)
        bytes += 4.0 * (double)s->vocabulary * (double)(s->hidden[s->layers - 1] + 1);
    if (bytes > 2.0 * file + 16e6)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: its tensors make a model of %.0f bytes from a file of %.0f: they overlap or are packed "
            "like a bomb",
            b->path, bytes, file);
    if (bytes + (double)b->held > 2.0 * file + 58e6)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: it takes %.0f bytes to read, expected at most twice the file of %.0f: write its numbers as "
            "raw data",
            b->path, bytes + (double)b->held, file);
    return SG_OK;
}

sg_status plan_build(sg_model **out, bag *b, const plan *p, const sg_vocab *vocab, sg_error *err)
{
    static const char *const names[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    sg_status st;
    sg_model *m = NULL;
    *out = NULL;
    TRY(check_size(b, p, err));
    TRY(sg_model_new(&m, &p->shape, vocab, err));
    TRY(fill(m, "encoder.weight", b, &p->encoder, 0, err));
    for (size_t k = 0; k < p->shape.layers; k++) {
        const plan_layer *l = &p->layers[k];
        const plan_source *const sources[] = {&l->W_ih, &l->W_hh, &l->b_ih, &l->b_hh};
        char name[32];
        for (size_t r = 0; r < 4; r++) {
            snprintf(name, sizeof name, "rnn.%s_l%zu", names[r], k);
            TRY(fill(m, name, b, sources[r], l->H, err));
        }
        snprintf(name, sizeof name, "rnn.bias_ih_l%zu", k);
        const sg_tensor *bias = sg_model_find(m, name);
        for (size_t i = 0; bias && p->forget_bias != 0 && i < l->H; i++)
            if (!isfinite(bias->data[l->H + i] += (float)p->forget_bias))
                TRY(sg_fail(err, SG_ENONFINITE, "%s: %s[%zu]: not finite with a forget bias of %g", b->path,
                            name, l->H + i, p->forget_bias));
    }
    if (p->shape.has_decoder) {
        if (!p->shape.tied)
            TRY(fill(m, "decoder.weight", b, &p->decoder, 0, err));
        TRY(fill(m, "decoder.bias", b, &p->decoder_bias, 0, err));
    }
    if (p->no_decoder[0])
        TRY(sg_model_set_meta(m, "no_decoder", p->no_decoder, err));
    TRY(sg_model_set_meta(m, "imported_from", sg_file_kind_name(b->kind), err));
    *out = m;
    m = NULL;
done:
    sg_model_free(m);
    return st;
}
