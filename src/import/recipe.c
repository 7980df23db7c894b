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

/* The text after "role=" of entry i, or NULL when it maps another role. */
static const char *map_value(const sg_import_config *cfg, size_t i, const char *role)
{
    size_t n = strlen(role);
    return !strncmp(cfg->maps[i], role, n) && cfg->maps[i][n] == '=' ? cfg->maps[i] + n + 1 : NULL;
}

/* "a,b,c": one tensor of that whole name, or those between the commas. */
static size_t named_parts(const stored_tensor *out[4], const tensor_file *b, const char *text)
{
    char name[TENSORS_MAX_NAME];
    size_t n = 0;
    if ((out[0] = tensors_find(b, text)))
        return 1;
    while (n < 4) {
        size_t length = strcspn(text, ",");
        if (!length || length >= sizeof name)
            return 0;
        memcpy(name, text, length);
        name[length] = 0;
        if (!(out[n] = tensors_find(b, name)))
            return 0;
        n++;
        if (!text[length])
            return n;
        text += length + 1;
    }
    return 0;
}

bool recipe_is_mapped_list(const tensor_file *b, const char *text)
{
    const stored_tensor *parts[4];
    return named_parts(parts, b, text) > 0;
}

sg_status recipe_mapped_parts(const stored_tensor *out[4], size_t *n, const tensor_file *b,
                              const sg_import_config *cfg, const char *role, sg_error *err)
{
    bool given = false;
    *n = 0;
    for (size_t i = 0; i < cfg->n_maps; i++) {
        const char *text = map_value(cfg, i, role);
        if (text && given)
            return sg_fail(err, SG_EINVAL, "setting 'map' %s is given twice", role);
        if (!text)
            continue;
        given = true;
        *n = named_parts(out, b, text);
        for (size_t k = 0; k < *n; k++)
            if (!dtype_is_float(out[k]->dtype))
                return sg_fail(err, SG_EFORMAT,
                               "%s: setting 'map' %s: tensor %s holds %s, expected floating-point numbers",
                               b->path, role, out[k]->name, tensor_type_name(out[k]));
    }
    return SG_OK;
}

sg_status recipe_mapped(const stored_tensor **out, const tensor_file *b, const sg_import_config *cfg,
                        const char *role, sg_error *err)
{
    const stored_tensor *parts[4];
    size_t n;
    *out = NULL;
    sg_status st = recipe_mapped_parts(parts, &n, b, cfg, role, err);
    if (st == SG_OK && n > 1)
        st = sg_fail(err, SG_EINVAL, "setting 'map' %s: expected one tensor, found %zu", role, n);
    if (st == SG_OK && n)
        *out = parts[0];
    return st;
}

bool recipe_is_mapped(const tensor_file *b, const sg_import_config *cfg, const stored_tensor *t,
                      const char *role)
{
    const stored_tensor *parts[4];
    for (size_t i = 0; i < cfg->n_maps; i++) {
        const char *equals = strchr(cfg->maps[i], '=');
        if (!equals || (role && map_value(cfg, i, role)))
            continue;
        for (size_t n = named_parts(parts, b, equals + 1); n > 0; n--)
            if (parts[n - 1] == t)
                return true;
    }
    return false;
}

/* i, f, g (also c or j), o of an LSTM; r, z (also u), n (also h or c) of a GRU */
static int gate_number(char letter, unsigned gates)
{
    static const char *const lstm[] = {"i", "f", "gcj", "o"}, *const gru[] = {"r", "zu", "nhc"};
    for (unsigned k = 0; k < gates; k++)
        if (letter && strchr(gates == 4 ? lstm[k] : gru[k], letter))
            return (int)k;
    return -1;
}

sg_status recipe_gate_order(uint8_t gate[4], const sg_import_config *cfg, unsigned gates, const char *usual,
                            sg_error *err)
{
    const char *text = cfg->gate_order ? cfg->gate_order : usual;
    unsigned n = 0, seen = 0;
    if (gates != 3 && gates != 4) {
        if (cfg->gate_order)
            return sg_fail(err, SG_EINVAL, "setting 'gate_order' %s: the cell has no gates", cfg->gate_order);
        memset(gate, 0, 4);
        return SG_OK;
    }
    for (const char *c = text; *c; c++) {
        if (*c == ',' || *c == ' ')
            continue;
        int k = gate_number(*c, gates);
        if (k < 0 || n == gates || (seen & 1u << k)) {
            n = 0;
            break;
        }
        seen |= 1u << k;
        gate[n++] = (uint8_t)k;
    }
    if (n == gates)
        return SG_OK;
    return sg_fail(err, SG_EINVAL, "setting 'gate_order' %s: expected an order of %s", text,
                   gates == 4 ? "i, f, g, o (g also written c or j), as in i,f,o,g"
                              : "r, z, n (n also written h), as in z,r,n");
}

static void look_for_nonzero(void *ctx, uint64_t first, uint64_t stride, const float *v, size_t n)
{
    (void)first;
    (void)stride;
    for (size_t i = 0; i < n; i++)
        *(bool *)ctx &= v[i] == 0;
}

sg_status recipe_is_zero(bool *out, const tensor_file *b, const stored_tensor *t, sg_error *err)
{
    *out = true;
    return b->read((tensor_file *)(uintptr_t)b, t, look_for_nonzero, out, err);
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

size_t recipe_reads(const recipe_layer *l)
{
    return l->n_before ? l->before[0].columns : l->in;
}

sg_status recipe_chain(recipe *p, const tensor_file *b, size_t n, sg_error *err)
{
    for (size_t k = 0; k < n; k++) {
        const recipe_layer *l = &p->layers[k];
        if (k && recipe_reads(l) != p->layers[k - 1].H)
            return sg_fail(
                err, SG_EFORMAT,
                "%s: %s reads %zu numbers, the layer below (%s) has %zu outputs: they do not form a stack",
                b->path, l->W_ih.tensor->name, recipe_reads(l), p->layers[k - 1].W_ih.tensor->name,
                p->layers[k - 1].H);
        p->shape.hidden[k] = l->H;
    }
    p->shape.layers = n;
    p->shape.embedding = recipe_reads(&p->layers[0]);
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

static sg_status read_matrix(float *out, uint64_t rows, uint64_t columns, tensor_file *b,
                             const recipe_source *s, size_t H, sg_error *err)
{
    sg_status st = SG_OK;
    float *g = NULL;
    for (size_t k = 0; k < 4 && s->tensor; k++) {
        recipe_source one = *s;
        placing p = {.s = &one, .out = out, .rows = rows, .columns = columns, .H = H ? H : 1};
        if (s->part[0]) {
            if (!s->part[k])
                break;
            one.tensor = s->part[k];
            one.gates = 0;
            if (s->part[k]->rank == 2 && s->columns > 1)
                one.columns = s->part[k]->dims[1];
            one.row0 = s->part_block[k] * (uint64_t)H;
            p.out = out + s->gate[k] * H * columns;
            p.rows = H;
        } else if (k)
            break;
        TRY(b->read(b, one.tensor, place, &p, err));
        if (p.found_bad)
            TRY(sg_fail(err, SG_ENONFINITE, "%s: tensor %s holds a NaN or an infinity at index %llu", b->path,
                        one.tensor->name, (unsigned long long)p.bad));
    }
    if (s->norm) { /* W = g v / |v|, row by row */
        recipe_source scale = {.tensor = s->norm, .columns = 1, .gates = s->gates};
        memcpy(scale.gate, s->gate, sizeof scale.gate);
        NEED(g = sg_calloc(rows, sizeof *g), err, "%s (%s)", s->norm->name, b->path);
        TRY(read_matrix(g, rows, 1, b, &scale, H, err));
        for (uint64_t r = 0; r < rows; r++) {
            double square = 0;
            for (uint64_t j = 0; j < columns; j++)
                square += (double)out[r * columns + j] * (double)out[r * columns + j];
            for (uint64_t j = 0; j < columns && square > 0; j++)
                out[r * columns + j] = (float)(out[r * columns + j] * g[r] / sqrt(square));
        }
    }
done:
    sg_free(g);
    return st;
}

static sg_status fill(sg_model *m, const char *name, tensor_file *b, const recipe_source *s, size_t H,
                      sg_error *err)
{
    const sg_tensor *to = sg_model_find(m, name);
    if (!s->tensor)
        return SG_OK;
    if (!to)
        return sg_fail(err, SG_EFORMAT, "%s: %s has no place in the model", b->path, name);
    return read_matrix(to->data, to->rows, to->cols, b, s, H, err);
}

/* ---- affine maps, multiplied out in double ---- */

/* y = A x + c, A (rows, columns) */
typedef struct {
    double *A, *c;
    size_t rows, columns;
} affine;

static void affine_free(affine *a)
{
    sg_free(a->A);
    sg_free(a->c);
    *a = (affine){0};
}

static sg_status affine_new(affine *a, size_t rows, size_t columns, const tensor_file *b, sg_error *err)
{
    *a = (affine){.A = sg_calloc(rows * columns, sizeof *a->A),
                  .c = sg_calloc(rows, sizeof *a->c),
                  .rows = rows,
                  .columns = columns};
    if (a->A && a->c)
        return SG_OK;
    affine_free(a);
    return no_memory(err, "a map of %zu x %zu (%s)", rows, columns, b->path);
}

/* out += W a, where W is (rows, a->rows) in float; offset += W a->c. Any of out and offset is float or
 * double. */
static void multiply_row(double *out, double *offset, const float *w, const affine *a)
{
    for (size_t k = 0; k < a->rows; k++) {
        const double *from = a->A + k * a->columns, x = (double)w[k];
        for (size_t j = 0; j < a->columns; j++)
            out[j] += x * from[j];
        *offset += x * a->c[k];
    }
}

static sg_status apply_normalisation(affine *a, tensor_file *b, const recipe_map *m, sg_error *err)
{
    sg_status st = SG_OK;
    const recipe_source *const sources[] = {&m->weight, &m->bias, &m->mean, &m->variance};
    float *v = sg_calloc(4 * a->rows, sizeof *v);
    if (!v)
        return no_memory(err, "a normalisation (%s)", b->path);
    for (size_t i = 0; i < a->rows; i++)
        v[i] = v[3 * a->rows + i] = 1;
    for (size_t k = 0; k < 4; k++)
        TRY(read_matrix(v + k * a->rows, a->rows, 1, b, sources[k], 0, err));
    for (size_t i = 0; i < a->rows; i++) {
        double spread = (double)v[3 * a->rows + i] + m->epsilon;
        double s = (double)v[i] / sqrt(spread);
        if (!isfinite(s))
            TRY(sg_fail(err, SG_ENONFINITE, "%s: %s: a variance of %g at index %zu", b->path,
                        m->variance.tensor ? m->variance.tensor->name : "normalisation", spread, i));
        for (size_t j = 0; j < a->columns; j++)
            a->A[i * a->columns + j] *= s;
        a->c[i] = (a->c[i] - (double)v[2 * a->rows + i]) * s + (double)v[a->rows + i];
    }
done:
    sg_free(v);
    return st;
}

/* The product of n maps, the first applied first, to vectors of `columns` numbers. */
static sg_status product_of(affine *out, tensor_file *b, const recipe_map *maps, size_t n, size_t columns,
                            sg_error *err)
{
    sg_status st;
    affine a = {0}, next = {0};
    float *W = NULL, *bias = NULL;
    *out = (affine){0};
    TRY(affine_new(&a, columns, columns, b, err));
    for (size_t i = 0; i < columns; i++)
        a.A[i * columns + i] = 1;
    for (size_t k = 0; k < n; k++) {
        const recipe_map *m = &maps[k];
        if (m->normalisation) {
            TRY(apply_normalisation(&a, b, m, err));
        } else if (m->weight.tensor) {
            NEED((W = sg_calloc(m->rows * m->columns, sizeof *W)) &&
                     (bias = sg_calloc(m->rows, sizeof *bias)),
                 err, "%s (%s)", m->weight.tensor->name, b->path);
            TRY(read_matrix(W, m->rows, m->columns, b, &m->weight, 0, err));
            TRY(read_matrix(bias, m->rows, 1, b, &m->bias, 0, err));
            TRY(affine_new(&next, m->rows, columns, b, err));
            for (size_t i = 0; i < m->rows; i++) {
                next.c[i] = (double)bias[i];
                multiply_row(next.A + i * columns, &next.c[i], W + i * m->columns, &a);
            }
            affine_free(&a);
            a = next;
            next = (affine){0};
            sg_free(W);
            sg_free(bias);
            W = bias = NULL;
        }
        for (size_t i = 0; m->factor != 0 && i < a.rows * columns; i++)
            a.A[i] *= m->factor;
        for (size_t i = 0; m->factor != 0 && i < a.rows; i++)
            a.c[i] *= m->factor;
    }
    *out = a;
    a = (affine){0};
done:
    sg_free(W);
    sg_free(bias);
    affine_free(&next);
    affine_free(&a);
    return st;
}

/* A matrix of the model that follows the maps: to = from (rows, a.rows) times a; its bias gets from times a's
 * offset. */
static sg_status fill_behind(sg_model *m, const char *name, const char *bias_name, tensor_file *b,
                             const recipe_source *s, size_t H, const recipe_map *maps, size_t n,
                             sg_error *err)
{
    sg_status st;
    const sg_tensor *to = sg_model_find(m, name), *bias = sg_model_find(m, bias_name);
    affine a = {0};
    float *from = NULL;
    double *row = NULL;
    TRY(product_of(&a, b, maps, n, to->cols, err));
    NEED((from = sg_calloc(to->rows * a.rows, sizeof *from)) && (row = sg_calloc(to->cols, sizeof *row)), err,
         "%s (%s)", s->tensor->name, b->path);
    TRY(read_matrix(from, to->rows, a.rows, b, s, H, err));
    for (size_t i = 0; i < to->rows; i++) {
        double offset = (double)bias->data[i];
        memset(row, 0, to->cols * sizeof *row);
        multiply_row(row, &offset, from + i * a.rows, &a);
        for (size_t j = 0; j < to->cols; j++) {
            to->data[i * to->cols + j] = (float)row[j];
            if (!isfinite(to->data[i * to->cols + j]))
                TRY(sg_fail(err, SG_ENONFINITE, "%s: %s is not finite once multiplied out", b->path,
                            s->tensor->name));
        }
        bias->data[i] = (float)offset;
    }
done:
    affine_free(&a);
    sg_free(from);
    sg_free(row);
    return st;
}

/* A model that is much larger than its file comes from storage that is used again and again, or from a
 * bomb. */
static sg_status check_size(const tensor_file *b, const recipe *p, sg_error *err)
{
    double bytes = 0, file = (double)b->file_size;
    const sg_model_shape *s = &p->shape;
    for (size_t k = 0; k < s->layers; k++)
        bytes += 4.0 *
                 cell_parameters(cell_of(s->cell), (double)recipe_reads(&p->layers[k]), (double)s->hidden[k]);
    bytes += 4.0 * (double)s->vocabulary * (double)s->embedding;
    if (s->has_decoder && !s->tied)
        bytes += 4.0 * (double)s->vocabulary * (double)(s->hidden[s->layers - 1] + 1);
    if (bytes > 2.0 * file + 16e6 && p->one_hot)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: one-hot inputs of %zu words make an embedding of %.0f bytes from a file of %.0f, which is "
            "not read",
            b->path, s->vocabulary, 4.0 * (double)s->vocabulary * (double)s->embedding, file);
    if (bytes > 2.0 * file + 16e6)
        return sg_fail(
            err, SG_EFORMAT,
            "%s: its tensors make a model of %.0f bytes from a file of %.0f: they overlap, or the file is a "
            "decompression bomb",
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
    if (p->one_hot) {
        const sg_tensor *encoder = sg_model_find(m, "encoder.weight");
        for (size_t i = 0; i < encoder->rows; i++)
            encoder->data[i * encoder->cols + i] = 1;
    }
    for (size_t k = 0; k < p->shape.layers; k++) {
        const recipe_layer *l = &p->layers[k];
        const recipe_source *const sources[] = {&l->W_ih, &l->W_hh, &l->b_ih, &l->b_hh};
        char name[32], weight[32];
        for (size_t r = 0; r < 4; r++) {
            snprintf(name, sizeof name, "rnn.%s_l%zu", names[r], k);
            if (!r && l->n_before)
                continue; /* below, when its bias is there */
            TRY(fill(m, name, b, sources[r], l->H, err));
        }
        snprintf(name, sizeof name, "rnn.bias_ih_l%zu", k);
        snprintf(weight, sizeof weight, "rnn.weight_ih_l%zu", k);
        if (l->n_before)
            TRY(fill_behind(m, weight, name, b, &l->W_ih, l->H, l->before, l->n_before, err));
        const sg_tensor *bias = sg_model_find(m, name);
        for (size_t i = 0; bias && p->forget_bias != 0 && i < l->H; i++)
            if (!isfinite(bias->data[l->H + i] += (float)p->forget_bias))
                TRY(sg_fail(err, SG_ENONFINITE, "%s: %s[%zu]: not finite with a forget bias of %g", b->path,
                            name, l->H + i, p->forget_bias));
    }
    if (p->shape.has_decoder) {
        TRY(fill(m, "decoder.bias", b, &p->decoder_bias, 0, err));
        if (!p->shape.tied && p->n_after)
            TRY(fill_behind(m, "decoder.weight", "decoder.bias", b, &p->decoder, 0, p->after, p->n_after,
                            err));
        else if (!p->shape.tied)
            TRY(fill(m, "decoder.weight", b, &p->decoder, 0, err));
    }
    if (p->no_decoder[0])
        TRY(sg_model_set_meta(m, "no_decoder", p->no_decoder, err));
    if (p->ignored[0])
        TRY(sg_model_set_meta(m, "ignored", p->ignored, err));
    if (p->one_hot)
        TRY(sg_model_set_meta(m, "embedding_kind", "one-hot", err));
    TRY(sg_model_set_meta(m, "imported_from", sg_file_format_name(b->format), err));
    *out = m;
    m = NULL;
done:
    sg_model_free(m);
    return st;
}
