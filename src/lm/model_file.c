/* SPDX-License-Identifier: MIT */
/* Model files: safetensors with the vocabulary and the shape in the metadata (doc/model-file.md). The
 * order of keys and tensors is fixed, so the same model gives the same bytes. */
#include "lm/model_internal.h"
#include "io/safetensors.h"

#include "base/base_internal.h"
#include "cell/cell.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *const reserved[] = {
    "format",     "version", "cell",      "unit",          "eos", "tied", "output_activation",
    "vocabulary", "counts",  "tokenizer", "tensors_sha256"};
enum { N_RESERVED = sizeof reserved / sizeof *reserved, MAX_VOCABULARY = 1 << 27 };

static const char *const activations[] = {"linear", "relu",
                                          "tanh"}; /* in the order of sg_output_activation */

static bool is_reserved(const char *key)
{
    for (size_t i = 0; i < N_RESERVED; i++)
        if (!strcmp(key, reserved[i]))
            return true;
    return false;
}

/* ---- writing ---- */

/* Adds key: value; takes value. False: no memory, or text that is not UTF-8. */
static bool put(json_t *object, const char *key, json_t *value)
{
    return value && json_object_set_new(object, key, value) == 0;
}

static bool put_text(json_t *object, const char *key, const char *text)
{
    return put(object, key, json_string(text));
}

/* An array as the text that a string of the metadata holds. */
static bool put_array(json_t *object, const char *key, json_t *array)
{
    char *text = array ? json_dumps(array, JSON_COMPACT) : NULL;
    bool ok = text && put_text(object, key, text);
    free(text);
    json_decref(array);
    return ok;
}

static json_t *words_array(const sg_vocab *v)
{
    json_t *a = json_array();
    for (size_t i = 0; a && i < sg_vocab_size(v); i++)
        if (json_array_append_new(a, json_string(sg_vocab_word(v, i))) != 0) {
            json_decref(a);
            return NULL;
        }
    return a;
}

static json_t *counts_array(const sg_vocab *v)
{
    json_t *a = json_array();
    for (size_t i = 0; a && i < sg_vocab_size(v); i++)
        if (json_array_append_new(a, json_integer((json_int_t)sg_vocab_count(v, i))) != 0) {
            json_decref(a);
            return NULL;
        }
    return a;
}

static int compare_tensor_names(const void *a, const void *b)
{
    const sg_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* As safetensors_sha256 of the file. A tied decoder, which the file holds too, is another name of the
 * encoder. */
static bool put_checksum(json_t *meta, const sg_model *m)
{
    size_t n = sg_model_tensors(m);
    char hex[65];
    sg_sha256 *hash = NULL;
    sg_tensor tied = {.name = "decoder.weight"};
    const sg_tensor **order = sg_calloc(n + 1, sizeof *order);
    bool ok = order && sg_sha256_new(&hash, NULL) == SG_OK;
    for (size_t i = 0; ok && i < n; i++)
        order[i] = sg_model_tensor(m, i);
    if (ok && sg_model_get_shape(m)->tied) {
        const sg_tensor *encoder = sg_model_find(m, "decoder.weight");
        tied.data = encoder->data, tied.rows = encoder->rows, tied.cols = encoder->cols;
        order[n++] = &tied;
    }
    if (ok) {
        qsort(order, n, sizeof *order, compare_tensor_names);
        for (size_t i = 0; i < n; i++)
            sg_sha256_add(hash, order[i]->data, order[i]->rows * order[i]->cols * sizeof *order[i]->data);
        sg_sha256_hex(hash, hex);
    }
    sg_sha256_free(hash);
    sg_free(order);
    return ok && put_text(meta, "tensors_sha256", hex);
}

static json_t *metadata(const sg_model *m)
{
    const sg_model_shape *s = sg_model_get_shape(m);
    const sg_vocab *v = sg_model_vocab(m);
    json_t *meta = json_object();
    bool ok = meta && put_text(meta, "format", "stategrad-model") && put_text(meta, "version", "1") &&
              put_text(meta, "cell", sg_cell_name(s->cell)) &&
              put_text(meta, "unit", s->unit == SG_UNIT_CHAR ? "char" : "word") &&
              put_text(meta, "eos", s->eos ? "true" : "false") &&
              put_text(meta, "tied", s->tied ? "true" : "false") &&
              put_text(meta, "output_activation", activations[s->output]) && put_checksum(meta, m);
    if (ok && v)
        ok = put_array(meta, "vocabulary", words_array(v)) && put_array(meta, "counts", counts_array(v)) &&
             (!sg_vocab_tokenizer(v) || put_text(meta, "tokenizer", sg_vocab_tokenizer(v)));
    for (size_t i = 0; ok && i < model_meta_count(m); i++) {
        const char *key, *value;
        model_meta_get(m, i, &key, &value);
        ok = is_reserved(key) || put_text(meta, key, value);
    }
    if (!ok) {
        json_decref(meta);
        return NULL;
    }
    return meta;
}

/* A tied model's file holds decoder.weight too, for load_state_dict. */
static bool add_entry(json_t *header, const char *name, const sg_tensor *t, uint64_t *at)
{
    uint64_t begin = *at;
    *at += (uint64_t)t->rows * t->cols * sizeof *t->data;
    json_t *entry = t->rank == 2
                        ? json_pack("{s:s,s:[I,I],s:[I,I]}", "dtype", "F32", "shape", (json_int_t)t->rows,
                                    (json_int_t)t->cols, "data_offsets", (json_int_t)begin, (json_int_t)*at)
                        : json_pack("{s:s,s:[I],s:[I,I]}", "dtype", "F32", "shape", (json_int_t)t->rows,
                                    "data_offsets", (json_int_t)begin, (json_int_t)*at);
    return put(header, name, entry);
}

static char *header_text(const sg_model *m)
{
    uint64_t at = 0;
    char *text = NULL;
    json_t *header = json_object();
    bool ok = header && put(header, "__metadata__", metadata(m));
    for (size_t i = 0; ok && i < sg_model_tensors(m); i++)
        ok = add_entry(header, sg_model_tensor(m, i)->name, sg_model_tensor(m, i), &at);
    if (ok && sg_model_get_shape(m)->tied)
        ok = add_entry(header, "decoder.weight", sg_model_find(m, "decoder.weight"), &at);
    if (ok)
        text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    return text;
}

static void write_tensor(FILE *f, const sg_tensor *t)
{
    fwrite(t->data, sizeof *t->data, t->rows * t->cols, f); /* errors are seen at commit */
}

sg_status sg_model_write(const sg_model *m, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    sg_outfile *o = NULL;
    char *text = header_text(m);
    if (!text)
        return sg_fail(err, SG_ENOMEM, "%s: no memory for the header, or a word that is not UTF-8", path);
    TRY(sg_outfile_open(&o, path, err));
    FILE *f = sg_outfile_stream(o);
    uint64_t length = strlen(text), padded = (length + 7) / 8 * 8;
    fwrite(&padded, sizeof padded, 1, f);
    fprintf(f, "%s%*s", text, (int)(padded - length), "");
    for (size_t i = 0; i < sg_model_tensors(m); i++)
        write_tensor(f, sg_model_tensor(m, i));
    if (sg_model_get_shape(m)->tied)
        write_tensor(f, sg_model_find(m, "decoder.weight"));
    st = sg_outfile_commit(o, err);
    o = NULL;
done:
    sg_outfile_abort(o);
    free(text);
    return st;
}

/* ---- reading ---- */

static sg_status expect_rank(const sg_safetensors *s, const char *path, const char *name, size_t rank,
                             const sg_safetensor **out, sg_error *err)
{
    const sg_safetensor *t = safetensors_find(s, name);
    if (!t)
        return sg_fail(err, SG_EFORMAT, "%s: tensor '%s' is missing", path, name);
    if (t->rank != rank)
        return sg_fail(err, SG_EFORMAT, "%s: tensor '%s' has %zu dimensions, expected %zu", path, name,
                       t->rank, rank);
    *out = t;
    return SG_OK;
}

static bool meta_true(const sg_safetensors *s, const char *key)
{
    const char *value = safetensors_meta(s, key);
    return value && !strcmp(value, "true");
}

/* Sizes from the tensors, the rest from the metadata. */
static sg_status read_shape(const sg_safetensors *s, const char *path, sg_model_shape *shape, sg_error *err)
{
    const sg_safetensor *t = NULL;
    const char *format = safetensors_meta(s, "format"), *cell = safetensors_meta(s, "cell");
    const char *output = safetensors_meta(s, "output_activation"), *unit = safetensors_meta(s, "unit");
    *shape = (sg_model_shape){0};
    if (!format || strcmp(format, "stategrad-model"))
        return sg_fail(err, SG_EFORMAT,
                       "%s: not a stategrad model (metadata format: expected 'stategrad-model', found "
                       "'%s'); stategrad import reads others",
                       path, format ? format : "none");
    if (!cell || !sg_cell_from_name(&shape->cell, cell))
        return sg_fail(err, SG_EFORMAT, "%s: unknown cell '%s'", path, cell ? cell : "none");
    if (unit && strcmp(unit, "word") && strcmp(unit, "char"))
        return sg_fail(err, SG_EFORMAT, "%s: unit: expected 'word' or 'char', found '%s'", path, unit);
    shape->unit = unit && !strcmp(unit, "char") ? SG_UNIT_CHAR : SG_UNIT_WORD;
    shape->eos = meta_true(s, "eos");
    shape->tied = meta_true(s, "tied");
    for (size_t i = 0; output && i < 3; i++)
        if (!strcmp(output, activations[i])) {
            shape->output = (sg_output_activation)i;
            output = NULL;
        }
    if (output)
        return sg_fail(err, SG_EFORMAT, "%s: unknown output_activation '%s'", path, output);
    for (size_t k = 0;; k++) {
        char name[48];
        snprintf(name, sizeof name, "rnn.weight_ih_l%zu", k);
        if (k && !safetensors_find(s, name))
            break;
        if (k == SG_MAX_LAYERS)
            return sg_fail(err, SG_EFORMAT, "%s: more than %d layers", path, (int)SG_MAX_LAYERS);
        sg_status st = expect_rank(s, path, name, 2, &t, err);
        if (st != SG_OK)
            return st;
        shape->hidden[k] = t->shape[0] / sg_cell_gates(shape->cell); /* a remainder is found by check_size */
        if (!k)
            shape->embedding = t->shape[1];
        shape->layers = k + 1;
    }
    if (safetensors_find(s, "encoder.weight")) {
        sg_status st = expect_rank(s, path, "encoder.weight", 2, &t, err);
        if (st != SG_OK)
            return st;
        if (!t->shape[0] || t->shape[0] > MAX_VOCABULARY)
            return sg_fail(err, SG_EFORMAT, "%s: encoder.weight has %zu rows, expected 1 to %d", path,
                           t->shape[0], (int)MAX_VOCABULARY);
        shape->vocabulary = t->shape[0];
    }
    shape->has_decoder = safetensors_find(s, "decoder.weight") != NULL;
    sg_error why;
    sg_status st = sg_model_shape_check(shape, &why);
    return st == SG_OK ? st : sg_fail(err, SG_EFORMAT, "%s: %s", path, why.msg);
}

static sg_status parse_array(json_t **out, const sg_safetensors *s, const char *path, const char *key,
                             size_t n, sg_error *err)
{
    json_error_t why;
    const char *text = safetensors_meta(s, key);
    *out = NULL;
    if (text && json_value_count(text, strlen(text)) > n + 2)
        return sg_fail(err, SG_EFORMAT, "%s: metadata '%s' is not an array of %zu entries", path, key, n);
    *out = text ? json_loads(text, 0, &why) : NULL;
    if (text && (!*out || !json_is_array(*out)))
        return sg_fail(err, SG_EFORMAT, "%s: metadata '%s' is not a JSON array", path, key);
    if (text && json_array_size(*out) != n)
        return sg_fail(err, SG_EFORMAT, "%s: metadata '%s' has %zu entries, expected %zu", path, key,
                       json_array_size(*out), n);
    return SG_OK;
}

static sg_status read_vocab(const sg_safetensors *s, const char *path, size_t n, sg_vocab **out,
                            sg_error *err)
{
    sg_status st = SG_OK;
    json_t *words = NULL, *counts = NULL, *value;
    const char **text = NULL;
    uint64_t *number = NULL;
    sg_error why;
    size_t i;
    TRY(parse_array(&words, s, path, "vocabulary", n, err));
    TRY(parse_array(&counts, s, path, "counts", n, err));
    if (!words)
        TRY(sg_fail(err, SG_EFORMAT, "%s: metadata 'vocabulary' is missing", path));
    NEED((text = sg_calloc(n, sizeof *text)) && (number = sg_calloc(n, sizeof *number)), err,
         "%zu words (%s)", n, path);
    json_array_foreach(words, i, value) if (!(text[i] = json_string_value(value)))
        TRY(sg_fail(err, SG_EFORMAT, "%s: vocabulary entry %zu is not a string", path, i));
    if (counts)
        json_array_foreach(counts, i, value)
        {
            if (!json_is_integer(value) || json_integer_value(value) < 0)
                TRY(sg_fail(err, SG_EFORMAT, "%s: counts entry %zu is not a whole number, 0 or more", path,
                            i));
            number[i] = (uint64_t)json_integer_value(value);
        }
    st = sg_vocab_from_words(out, text, counts ? number : NULL, n, &why);
    if (st != SG_OK)
        TRY(sg_fail(err, st == SG_EINVAL ? SG_EFORMAT : st, "%s: vocabulary: %s", path, why.msg));
    const char *tokenizer = safetensors_meta(s, "tokenizer");
    if (tokenizer && (st = sg_vocab_set_tokenizer(*out, tokenizer, &why)) != SG_OK)
        st = sg_fail(err, st, "%s: %s", path, why.msg);
done:
    json_decref(words);
    json_decref(counts);
    sg_free(text);
    sg_free(number);
    return st;
}

static sg_status check_tensor(const sg_safetensor *t, const sg_tensor *want, const char *path, sg_error *err)
{
    if (strcmp(t->dtype, "F32"))
        return sg_fail(err, SG_EFORMAT, "%s: %s is %s, expected F32", path, t->name, t->dtype);
    if (t->rank == want->rank && t->shape[0] == want->rows && (t->rank < 2 || t->shape[1] == want->cols))
        return SG_OK;
    if (want->rank == 1)
        return sg_fail(err, SG_EFORMAT, "%s: %s: expected (%zu), found %zu dimensions, the first %zu", path,
                       t->name, want->rows, t->rank, t->rank ? t->shape[0] : 0);
    return sg_fail(err, SG_EFORMAT, "%s: %s: expected (%zu, %zu), found (%zu, %zu)", path, t->name,
                   want->rows, want->cols, t->rank > 0 ? t->shape[0] : 0, t->rank > 1 ? t->shape[1] : 0);
}

/* All shapes agree with the table, and no tensor is outside it: known before a model is allocated. */
static sg_status check_names(const sg_safetensors *s, const sg_model *m, const char *path, sg_error *err)
{
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const sg_safetensor *t = safetensors_get(s, i);
        const sg_tensor *want = sg_model_find(m, t->name);
        if (!want)
            return sg_fail(err, SG_EFORMAT, "%s: tensor '%s' does not belong to a %s of %zu layer%s", path,
                           t->name, sg_cell_name(sg_model_get_shape(m)->cell), sg_model_get_shape(m)->layers,
                           sg_model_get_shape(m)->layers == 1 ? "" : "s");
        sg_status st = check_tensor(t, want, path, err);
        if (st != SG_OK)
            return st;
    }
    return SG_OK;
}

/* A header may claim sizes of which the file holds only a part: compare the parameters' count with the
 * data. */
static sg_status check_size(const sg_safetensors *s, const sg_model_shape *shape, const char *path,
                            sg_error *err)
{
    double want = (double)shape->vocabulary * (double)shape->embedding, have = 0;
    for (size_t k = 0; k < shape->layers; k++) {
        double H = (double)shape->hidden[k], N = (double)(k ? shape->hidden[k - 1] : shape->embedding);
        want += cell_parameters(cell_of(shape->cell), N, H);
    }
    if (shape->has_decoder)
        want += (double)shape->vocabulary * ((double)shape->hidden[shape->layers - 1] + 1);
    for (size_t i = 0; i < safetensors_count(s); i++)
        have += (double)safetensors_get(s, i)->elements;
    if (want != have)
        return sg_fail(err, SG_EFORMAT, "%s: the tensors hold %.0f numbers, a %s of their sizes has %.0f",
                       path, have, sg_cell_name(shape->cell), want);
    return SG_OK;
}

static sg_status read_tensors(const sg_safetensors *s, sg_model *m, const char *path, sg_error *err)
{
    for (size_t i = 0; i < sg_model_tensors(m); i++) {
        const sg_tensor *t = sg_model_tensor(m, i);
        const sg_safetensor *from = safetensors_find(s, t->name);
        if (!from)
            return sg_fail(err, SG_EFORMAT, "%s: tensor '%s' is missing", path, t->name);
        sg_status st = safetensors_read(s, from, t->data, err);
        if (st != SG_OK)
            return st;
    }
    return model_check_finite(m, model_block(m), path, err);
}

/* Files without a checksum, as others write them, pass. */
static sg_status check_checksum(const sg_safetensors *s, const char *path, sg_error *err)
{
    char hex[65];
    const char *want = safetensors_meta(s, "tensors_sha256");
    sg_status st = want ? safetensors_sha256(s, hex, err) : SG_OK;
    if (st != SG_OK || !want || !strcmp(want, hex))
        return st;
    return sg_fail(
        err, SG_EFORMAT,
        "%s: damaged: its tensors do not have the checksum in its metadata (tensors_sha256; a program that "
        "changes tensors on purpose leaves that entry out)",
        path);
}

sg_status sg_model_read(sg_model **out, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    sg_safetensors *s = NULL;
    sg_vocab *vocab = NULL;
    sg_model *m = NULL;
    sg_model_shape shape;
    *out = NULL;
    TRY(safetensors_open(&s, path, err));
    TRY(read_shape(s, path, &shape, err));
    TRY(check_size(s, &shape, path, err));
    if (shape.vocabulary)
        TRY(read_vocab(s, path, shape.vocabulary, &vocab, err));
    TRY(sg_model_new(&m, &shape, vocab, err));
    TRY(check_names(s, m, path, err));
    TRY(read_tensors(s, m, path, err));
    TRY(check_checksum(s, path, err));
    for (size_t i = 0; i < safetensors_meta_count(s); i++) {
        const char *key, *value;
        safetensors_meta_get(s, i, &key, &value);
        if (!is_reserved(key))
            TRY(sg_model_set_meta(m, key, value, err));
    }
    const char *unk = sg_model_meta(m, "unk_word"), *eos = sg_model_meta(m, "eos_word");
    sg_error why;
    if ((st = model_choose_words(m, unk, eos, &why)) != SG_OK)
        TRY(sg_fail(err, st == SG_EINVAL ? SG_EFORMAT : st, "%s: metadata: %s", path, why.msg));
    *out = m;
    m = NULL;
done:
    sg_model_free(m);
    sg_vocab_free(vocab);
    safetensors_close(s);
    return st;
}
