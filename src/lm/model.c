/* SPDX-License-Identifier: MIT */
/* A model: shape, vocabulary, metadata, and all tensors in one block, placed by one table. */
#include "lm/model_internal.h"

#include "base/base_internal.h"
#include "cell/cell.h"
#include "base/utf8.h"
#include "corpus/corpus_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TENSORS = 4 * SG_MAX_LAYERS + 3, LINE = 16 /* floats */ };

static const size_t max_size = 1u << 24; /* of E and each H: 4 H H floats still count in a size_t */

typedef struct {
    char *key, *value;
} meta_entry;

struct sg_model {
    sg_model_shape shape;
    sg_vocab *vocab;
    float *block;
    size_t block_size;
    sg_tensor tensor[MAX_TENSORS];
    char name[MAX_TENSORS][32];
    size_t n_tensors;
    meta_entry *meta;
    size_t n_meta;
};

sg_status sg_model_shape_check(const sg_model_shape *s, sg_error *err)
{
    if ((size_t)s->cell >= sg_cell_count())
        return sg_fail(err, SG_EINVAL, "cell: unknown kind %d", (int)s->cell);
    if (s->layers < 1 || s->layers > SG_MAX_LAYERS)
        return sg_fail(err, SG_EINVAL, "layers: expected 1 to %d, found %zu", (int)SG_MAX_LAYERS, s->layers);
    if (s->embedding < 1 || s->embedding > max_size)
        return sg_fail(err, SG_EINVAL, "embedding size: expected 1 to %zu, found %zu", max_size,
                       s->embedding);
    for (size_t k = 0; k < s->layers; k++)
        if (s->hidden[k] < 1 || s->hidden[k] > max_size)
            return sg_fail(err, SG_EINVAL, "hidden size of layer %zu: expected 1 to %zu, found %zu", k + 1,
                           max_size, s->hidden[k]);
    if (s->vocabulary > INT32_MAX)
        return sg_fail(err, SG_EINVAL, "vocabulary: expected at most %d, found %zu", INT32_MAX,
                       s->vocabulary);
    if (s->has_decoder && !s->vocabulary)
        return sg_fail(err, SG_EINVAL, "a decoder needs a vocabulary");
    if (s->tied && (!s->has_decoder || s->hidden[s->layers - 1] != s->embedding))
        return sg_fail(err, SG_EINVAL,
                       "tied: the hidden size of the top layer must be the embedding size: %zu and %zu",
                       s->hidden[s->layers - 1], s->embedding);
    if ((unsigned)s->output > SG_OUTPUT_TANH)
        return sg_fail(err, SG_EINVAL, "output activation: unknown kind %d", (int)s->output);
    return SG_OK;
}

static void place(sg_model *m, size_t rows, size_t cols, const char *role, int layer)
{
    sg_tensor *t = &m->tensor[m->n_tensors];
    if (layer < 0)
        snprintf(m->name[m->n_tensors], sizeof *m->name, "%s", role);
    else
        snprintf(m->name[m->n_tensors], sizeof *m->name, "rnn.%s_l%d", role, layer);
    *t = (sg_tensor){m->name[m->n_tensors], rows, cols ? cols : 1, cols ? 2 : 1, NULL};
    m->n_tensors++;
}

/* The one table: names, shapes, order. */
static void place_all(sg_model *m)
{
    const sg_model_shape *s = &m->shape;
    size_t G = sg_cell_gates(s->cell);
    bool dense = cell_of(s->cell)->recurrence == CELL_DENSE;
    if (s->vocabulary)
        place(m, s->vocabulary, s->embedding, "encoder.weight", -1);
    for (size_t k = 0; k < s->layers; k++) {
        size_t H = s->hidden[k];
        place(m, G * H, model_inputs(m, k), "weight_ih", (int)k);
        if (dense)
            place(m, G * H, H, "weight_hh", (int)k);
        place(m, G * H, 0, "bias_ih", (int)k);
        if (dense)
            place(m, G * H, 0, "bias_hh", (int)k);
    }
    if (s->has_decoder && !s->tied)
        place(m, s->vocabulary, s->hidden[s->layers - 1], "decoder.weight", -1);
    if (s->has_decoder)
        place(m, s->vocabulary, 0, "decoder.bias", -1);
}

static sg_status allocate(sg_model *m, sg_error *err)
{
    size_t total = 0, offset[MAX_TENSORS];
    for (size_t i = 0; i < m->n_tensors; i++) {
        sg_tensor *t = &m->tensor[i];
        if (t->rows > (SIZE_MAX / 64 - total) / t->cols)
            return sg_fail(err, SG_EINVAL, "%s: (%zu, %zu) does not fit any memory", t->name, t->rows,
                           t->cols);
        offset[i] = total;
        total += (t->rows * t->cols + LINE - 1) / LINE * LINE;
    }
    if (!(m->block = sg_calloc(total, sizeof *m->block)))
        return no_memory(err, "a model of %zu parameters", total);
    m->block_size = total;
    for (size_t i = 0; i < m->n_tensors; i++)
        m->tensor[i].data = m->block + offset[i];
    return SG_OK;
}

static sg_status copy_vocab(sg_vocab **out, const sg_vocab *v, sg_error *err)
{
    sg_status st = SG_OK;
    size_t n = sg_vocab_size(v);
    const char **words = sg_calloc(n, sizeof *words);
    uint64_t *counts = sg_calloc(n, sizeof *counts);
    NEED(words && counts, err, "%zu words", n);
    for (size_t i = 0; i < n; i++) {
        words[i] = sg_vocab_word(v, i);
        counts[i] = sg_vocab_count(v, i);
    }
    TRY(sg_vocab_from_words(out, words, counts, n, err));
    if (sg_vocab_tokenizer(v))
        TRY(sg_vocab_set_tokenizer(*out, sg_vocab_tokenizer(v), err));
    vocab_copy_choice(*out, v);
done:
    sg_free(words);
    sg_free(counts);
    return st;
}

sg_status sg_model_new(sg_model **out, const sg_model_shape *shape, const sg_vocab *vocab, sg_error *err)
{
    *out = NULL;
    sg_status st = sg_model_shape_check(shape, err);
    if (st != SG_OK)
        return st;
    if (shape->vocabulary != (vocab ? sg_vocab_size(vocab) : 0))
        return sg_fail(err, SG_EINVAL, "vocabulary: the shape has %zu words, the vocabulary %zu",
                       shape->vocabulary, vocab ? sg_vocab_size(vocab) : 0);
    sg_model *m = sg_calloc(1, sizeof *m);
    if (!m)
        return no_memory(err, "the model");
    m->shape = *shape;
    place_all(m);
    TRY(allocate(m, err));
    if (vocab)
        TRY(copy_vocab(&m->vocab, vocab, err));
    *out = m;
    m = NULL;
done:
    sg_model_free(m);
    return st;
}

void sg_model_free(sg_model *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n_meta; i++) {
        sg_free(m->meta[i].key);
        sg_free(m->meta[i].value);
    }
    sg_free(m->meta);
    sg_vocab_free(m->vocab);
    sg_free(m->block);
    sg_free(m);
}

void sg_model_init_uniform(sg_model *m, float range, uint64_t seed)
{
    for (size_t i = 0; i < m->n_tensors; i++) {
        const sg_tensor *t = &m->tensor[i];
        bool zero = !strcmp(t->name, "decoder.bias");
        sg_rng r;
        sg_rng_seed(&r, seed, i);
        for (size_t k = 0; k < t->rows * t->cols; k++)
            t->data[k] = zero ? 0 : range * (float)(2 * sg_rng_uniform(&r) - 1);
    }
}

sg_status sg_model_new_untrained(sg_model **out, const sg_model *m, uint64_t seed, sg_error *err)
{
    const char *text = sg_model_meta(m, "init_range");
    double range = text ? strtod(text, NULL) : 0.05;
    sg_status st = sg_model_new(out, &m->shape, m->vocab, err);
    if (st == SG_OK)
        sg_model_init_uniform(*out, isfinite(range) && range > 0 ? (float)range : 0.05f, seed);
    return st;
}

const sg_model_shape *sg_model_get_shape(const sg_model *m)
{
    return &m->shape;
}

const sg_vocab *sg_model_vocab(const sg_model *m)
{
    return m->vocab;
}

sg_status model_choose_words(sg_model *m, const char *unk, const char *eos, sg_error *err)
{
    sg_status st = SG_OK;
    if (!unk && !eos)
        return SG_OK;
    if (!m->vocab)
        return sg_fail(err, SG_EINVAL, "%s: the model reads no words",
                       unk ? "setting 'unk'" : "setting 'eos'");
    TRY(vocab_choose(m->vocab, unk, eos, m->shape.unit, &m->shape.eos, err));
    if (unk)
        TRY(sg_model_set_meta(m, "unk_word", unk, err));
    if (eos)
        TRY(sg_model_set_meta(m, "eos_word", eos, err));
done:
    return st;
}

size_t sg_model_tensors(const sg_model *m)
{
    return m->n_tensors;
}

const sg_tensor *sg_model_tensor(const sg_model *m, size_t i)
{
    return &m->tensor[i];
}

const sg_tensor *sg_model_find(const sg_model *m, const char *name)
{
    if (m->shape.tied && !strcmp(name, "decoder.weight"))
        name = "encoder.weight";
    for (size_t i = 0; i < m->n_tensors; i++)
        if (!strcmp(m->tensor[i].name, name))
            return &m->tensor[i];
    return NULL;
}

sg_status sg_model_set_meta(sg_model *m, const char *key, const char *value, sg_error *err)
{
    size_t i = 0;
    while (i < m->n_meta && strcmp(m->meta[i].key, key))
        i++;
    char *copy = sg_strdup(value);
    for (size_t n = strlen(value), at = 0; copy && (at += utf8_valid_prefix(copy + at, n - at)) < n;)
        copy[at] = '?';
    char *name = i == m->n_meta ? sg_strdup(key) : NULL;
    meta_entry *grown = i == m->n_meta && copy && name
                            ? sg_regrow(m->meta, m->n_meta, m->n_meta + 1, sizeof *m->meta)
                            : m->meta;
    if (!copy || (i == m->n_meta && (!name || !grown))) {
        sg_free(copy);
        sg_free(name);
        return no_memory(err, "metadata '%s'", key);
    }
    m->meta = grown;
    if (i == m->n_meta)
        m->meta[m->n_meta++].key = name;
    sg_free(m->meta[i].value);
    m->meta[i].value = copy;
    return SG_OK;
}

const char *sg_model_meta(const sg_model *m, const char *key)
{
    for (size_t i = 0; i < m->n_meta; i++)
        if (!strcmp(m->meta[i].key, key))
            return m->meta[i].value;
    return NULL;
}

size_t model_meta_count(const sg_model *m)
{
    return m->n_meta;
}

void model_meta_get(const sg_model *m, size_t i, const char **key, const char **value)
{
    *key = m->meta[i].key;
    *value = m->meta[i].value;
}

float *model_block(const sg_model *m)
{
    return m->block;
}

size_t model_block_size(const sg_model *m)
{
    return m->block_size;
}

size_t model_inputs(const sg_model *m, size_t layer)
{
    return layer ? m->shape.hidden[layer - 1] : m->shape.embedding;
}

sg_parameters model_parameters(const sg_model *m, float *block)
{
    sg_parameters p = {0};
    size_t i = 0;
    bool dense = cell_of(m->shape.cell)->recurrence == CELL_DENSE;
#define NEXT() (block + (m->tensor[i++].data - m->block))
    if (m->shape.vocabulary)
        p.encoder = NEXT();
    for (size_t k = 0; k < m->shape.layers; k++) {
        p.layer[k].W_ih = NEXT();
        p.layer[k].W_hh = dense ? NEXT() : NULL;
        p.layer[k].b_ih = NEXT();
        p.layer[k].b_hh = dense ? NEXT() : NULL;
    }
    if (m->shape.has_decoder)
        p.decoder = m->shape.tied ? p.encoder : NEXT();
    if (m->shape.has_decoder)
        p.decoder_bias = NEXT();
#undef NEXT
    return p;
}

sg_status model_check_finite(const sg_model *m, const float *block, const char *where, sg_error *err)
{
    for (size_t i = 0; i < m->n_tensors; i++) {
        const sg_tensor *t = &m->tensor[i];
        const float *x = block + (t->data - m->block);
        size_t n = t->rows * t->cols;
        float zero = 0;
        for (size_t k = 0; k < n; k++)
            zero += x[k] * 0; /* 0 unless something is not finite */
        for (size_t k = 0; zero != 0 && k < n; k++)
            if (!isfinite(x[k]))
                return sg_fail(err, SG_ENONFINITE, "%s: %s[%zu] is %f", where, t->name, k, (double)x[k]);
    }
    return SG_OK;
}

sg_status sg_model_sha256(const sg_model *m, char hex[65])
{
    const sg_model_shape *s = &m->shape;
    sg_sha256 *h;
    char text[160];
    hex[0] = 0;
    sg_status st = sg_sha256_new(&h, NULL);
    if (st != SG_OK)
        return st;
    snprintf(text, sizeof text,
             "%s layers %zu embedding %zu vocabulary %zu tied %d decoder %d output %d unit %d eos %d\n",
             sg_cell_name(s->cell), s->layers, s->embedding, s->vocabulary, s->tied, s->has_decoder,
             (int)s->output, (int)s->unit, s->eos);
    sg_sha256_add(h, text, strlen(text));
    const char *const chosen[] = {sg_model_meta(m, "unk_word"), sg_model_meta(m, "eos_word")};
    for (size_t i = 0; i < 2; i++)
        if (chosen[i])
            sg_sha256_add(h, chosen[i], strlen(chosen[i]) + 1);
    for (size_t i = 0; i < s->vocabulary; i++) {
        const char *word = sg_vocab_word(m->vocab, i);
        sg_sha256_add(h, word, strlen(word) + 1);
    }
    for (size_t i = 0; i < m->n_tensors; i++) {
        const sg_tensor *t = &m->tensor[i];
        snprintf(text, sizeof text, "%s %zu %zu\n", t->name, t->rows, t->cols);
        sg_sha256_add(h, text, strlen(text));
        sg_sha256_add(h, t->data, t->rows * t->cols * sizeof *t->data);
    }
    sg_sha256_hex(h, hex);
    sg_sha256_free(h);
    return SG_OK;
}
