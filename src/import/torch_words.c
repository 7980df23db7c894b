/* SPDX-License-Identifier: MIT */
/* The vocabulary among the values that a PyTorch file pickled: a list or a map of as many words as the model
 * has. */
#include "import/torch_internal.h"

#include "base/base_internal.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

bool torch_whole_number(const pickle *p, uint32_t id, int64_t *out)
{
    uint32_t callee = pickle_item(p, id, PICKLE_CALLEE), arguments = pickle_item(p, id, PICKLE_ARGUMENTS);
    uint32_t type = pickle_item(p, pickle_item(p, arguments, 0), PICKLE_ARGUMENTS);
    size_t n, k;
    *out = pickle_int(p, id);
    if (pickle_kind_of(p, id) != PICKLE_OBJECT)
        return pickle_kind_of(p, id) == PICKLE_INT;
    if (!pickle_is_global(p, callee, "numpy.core.multiarray", "scalar") &&
        !pickle_is_global(p, callee, "numpy._core.multiarray", "scalar"))
        return false;
    const char *kind = pickle_text(p, pickle_item(p, type, 0), &k);
    const unsigned char *bytes = (const unsigned char *)pickle_text(p, pickle_item(p, arguments, 1), &n);
    if (!kind || !bytes || k != 2 || (kind[0] != 'i' && kind[0] != 'u') || !n ||
        n != (size_t)(kind[1] - '0') || n > 8)
        return false;
    uint64_t x = kind[0] == 'i' && bytes[n - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = n; i > 0; i--)
        x = x << 8 | bytes[i - 1];
    *out = (int64_t)x;
    return true;
}

/* Word i of a torch_words of V words, or NULL where it does not hold one of each id. index: word node of each
 * id. */
static bool order_words(const pickle *p, const torch_words *c, size_t V, uint32_t *index)
{
    bool dict = pickle_kind_of(p, c->node) == PICKLE_DICT;
    size_t step = dict ? 2 : 1, n = pickle_items(p, c->node) / step;
    for (size_t i = 0; i < n; i++) {
        uint32_t key = pickle_item(p, c->node, step * i),
                 value = dict ? pickle_item(p, c->node, 2 * i + 1) : 0;
        uint32_t word = pickle_kind_of(p, key) == PICKLE_STRING ? key : value,
                 number = word == key ? value : key;
        int64_t id = (int64_t)i;
        if (pickle_kind_of(p, word) != PICKLE_STRING || (dict && !torch_whole_number(p, number, &id)) ||
            id < 0 || (uint64_t)id >= V || index[id])
            return false;
        index[id] = word;
    }
    return true;
}

static size_t character(const char *s, size_t left)
{
    size_t n = 1;
    while (n < left && utf8_continues(s[n]))
        n++;
    return n;
}

static bool copy_words(const pickle *p, const torch_words *c, size_t V, word_list *out)
{
    size_t bytes = 0, n = 0, length;
    uint32_t *index = NULL;
    bool fine = false;
    const char *text = pickle_text(p, c->node, &length);
    if (!(out->at = sg_calloc(V, sizeof *out->at)))
        return false;
    if (text) { /* a string of characters */
        if (!(out->text = sg_calloc(2 * length + 1, 1)))
            goto done;
        for (size_t i = 0; i < length && n < c->n; n++) {
            size_t k = character(text + i, length - i);
            out->at[n] = bytes;
            memcpy(out->text + bytes, text + i, k);
            bytes += k + 1;
            i += k;
        }
    } else {
        if (!(index = sg_calloc(V, sizeof *index)) || !order_words(p, c, V, index))
            goto done;
        for (size_t i = 0; i < V; i++) {
            bool there = pickle_text(p, index[i], &length);
            bytes += there ? length + 1 : 32;
        }
        if (!(out->text = sg_calloc(bytes, 1)))
            goto done;
        for (size_t i = 0, at = 0; i < V; i++) {
            const char *word = pickle_text(p, index[i], &length);
            out->at[i] = at;
            if (word)
                memcpy(out->text + at, word, length);
            else /* no word has this id */
                length = (size_t)snprintf(out->text + at, 32, "<unused %zu>", i);
            at += length + 1;
        }
        n = V;
    }
    out->n = n;
    fine = n == V;
done:
    sg_free(index);
    if (!fine)
        word_list_free(out);
    return fine;
}

static bool same_words(const word_list *a, const word_list *b)
{
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->text + a->at[i], b->text + b->at[i]) != 0)
            return false;
    return a->n == b->n;
}

sg_status torch_vocabulary(tensor_file *b, size_t V, word_list *out, char name[TENSORS_MAX_NAME],
                           sg_error *err)
{
    torch *f = b->reader;
    sg_status st = SG_OK;
    word_list other = {0};
    *out = (word_list){0};
    for (size_t i = 0; i < f->n_vocabularies; i++) {
        if (f->vocabularies[i].n != V)
            continue;
        if (!out->n) {
            if (copy_words(f->values, &f->vocabularies[i], V, out))
                snprintf(name, TENSORS_MAX_NAME, "%s", f->vocabularies[i].name);
        } else if (copy_words(f->values, &f->vocabularies[i], V, &other)) {
            if (!same_words(out, &other))
                TRY(sg_fail(
                    err, SG_EFORMAT,
                    "%s: both %s and %s could be the vocabulary of %zu words; write the right one as a "
                    "JSON list and give it with setting 'vocab'",
                    b->path, name, f->vocabularies[i].name, V));
            word_list_free(&other);
        }
    }
done:
    word_list_free(&other);
    if (st != SG_OK)
        word_list_free(out);
    return st;
}

void torch_vocabulary_with_gap(tensor_file *b, size_t V, word_list *out, char name[TENSORS_MAX_NAME])
{
    torch *f = b->reader;
    *out = (word_list){0};
    for (size_t i = 0; i < f->n_vocabularies && !out->n; i++) {
        const torch_words *c = &f->vocabularies[i];
        if (c->n + 1 == V && pickle_kind_of(f->values, c->node) == PICKLE_DICT &&
            copy_words(f->values, c, V, out))
            snprintf(name, TENSORS_MAX_NAME, "%s", c->name);
    }
}
