/* SPDX-License-Identifier: MIT */
/* From a recipe to a model: every tensor is streamed through a small buffer to its place, gate blocks and
 * transposition on the way. Also what all finders share: --map, --ignore, notes, the chain of layers. */
#include "import/recipe.h"

#include "base/base_internal.h"
#include "cell/cell.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void recipe_note(recipe *p, const char *format, ...)
{
    va_list args;
    if (p->n_notes == RECIPE_MAX_NOTES)
        return;
    va_start(args, format);
    vsnprintf(p->notes[p->n_notes++], RECIPE_NOTE, format, args);
    va_end(args);
}

/* ---- maps ---- */

sg_status recipe_mapped(const stored_tensor **out, const tensor_file *b, const sg_import_config *cfg,
                        const char *role, sg_error *err)
{
    size_t n = strlen(role);
    *out = NULL;
    for (size_t i = 0; i < cfg->n_maps; i++)
        if (!strncmp(cfg->maps[i], role, n) && cfg->maps[i][n] == '=') {
            if (*out)
                return sg_fail(err, SG_EINVAL, "--map %s is given twice", role);
            *out = tensors_find(b, cfg->maps[i] + n + 1);
        }
    if (*out && !dtype_is_float((*out)->dtype))
        return sg_fail(err, SG_EFORMAT, "%s: --map %s: tensor %s holds %s, expected floating-point numbers",
                       b->path, role, (*out)->name, dtype_name((*out)->dtype));
    return SG_OK;
}

bool recipe_ignored(const sg_import_config *cfg, const stored_tensor *t)
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

sg_status recipe_chain(recipe *p, const tensor_file *b, size_t n, sg_error *err)
{
    for (size_t k = 0; k < n; k++) {
        const recipe_layer *l = &p->layers[k];
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

/* ---- building ---- */

typedef struct {
    const recipe_source *s;
    float *out;
    uint64_t rows, columns, H;
    uint64_t bad; /* index of the first number that is none, in the file's tensor */
    bool found_bad;
} placing;

/* Entry (i,j) of the file's matrix to row and column of ours, before gates are put in order. */
static void our_place(const recipe_source *s, uint64_t H, uint64_t in, uint64_t i, uint64_t j, uint64_t *row,
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
    const recipe_source *s = p->s;
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

static sg_status fill(sg_model *m, const char *name, tensor_file *b, const recipe_source *s, size_t H,
                      sg_error *err)
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
static sg_status check_size(const tensor_file *b, const recipe *p, sg_error *err)
{
    double bytes = 0, file = (double)b->file_size;
    const sg_model_shape *s = &p->shape;
    for (size_t k = 0; k < s->layers; k++)
        bytes += 4.0 * cell_parameters(cell_of(s->cell), (double)p->layers[k].in, (double)s->hidden[k]);
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

sg_status recipe_build(sg_model **out, tensor_file *b, const recipe *p, const sg_vocab *vocab, sg_error *err)
{
    static const char *const names[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    sg_status st;
    sg_model *m = NULL;
    *out = NULL;
    TRY(check_size(b, p, err));
    TRY(sg_model_new(&m, &p->shape, vocab, err));
    TRY(fill(m, "encoder.weight", b, &p->encoder, 0, err));
    for (size_t k = 0; k < p->shape.layers; k++) {
        const recipe_layer *l = &p->layers[k];
        const recipe_source *const sources[] = {&l->W_ih, &l->W_hh, &l->b_ih, &l->b_hh};
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
    TRY(sg_model_set_meta(m, "imported_from", sg_file_format_name(b->format), err));
    *out = m;
    m = NULL;
done:
    sg_model_free(m);
    return st;
}
