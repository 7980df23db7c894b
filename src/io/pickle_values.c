/* SPDX-License-Identifier: MIT */
/* The values of a pickle that was read. */
#include "io/pickle_internal.h"

#include <string.h>

static bool has_items(uint8_t kind)
{
    return kind >= PICKLE_TUPLE && kind != PICKLE_GLOBAL;
}

uint32_t pickle_root(const pickle *p)
{
    return p->root;
}

pickle_kind pickle_kind_of(const pickle *p, uint32_t id)
{
    return id && id < p->n_nodes ? (pickle_kind)pickle_node_at(p, id)->kind : PICKLE_NONE;
}

int64_t pickle_int(const pickle *p, uint32_t id)
{
    pickle_kind k = pickle_kind_of(p, id);
    return k == PICKLE_BOOL || k == PICKLE_INT ? pickle_node_at(p, id)->u.i : 0;
}

double pickle_float(const pickle *p, uint32_t id)
{
    return pickle_kind_of(p, id) == PICKLE_FLOAT ? pickle_node_at(p, id)->u.f : (double)pickle_int(p, id);
}

const char *pickle_text(const pickle *p, uint32_t id, size_t *length)
{
    pickle_kind k = pickle_kind_of(p, id);
    *length = 0;
    if (k != PICKLE_STRING && k != PICKLE_BYTES && k != PICKLE_GLOBAL && k != PICKLE_LONG)
        return NULL;
    *length = pickle_node_at(p, id)->n;
    return (const char *)p->data + pickle_node_at(p, id)->u.at;
}

bool pickle_text_is(const pickle *p, uint32_t id, const char *text)
{
    size_t n;
    const char *t = pickle_text(p, id, &n);
    return t && n == strlen(text) && !memcmp(t, text, n);
}

size_t pickle_items(const pickle *p, uint32_t id)
{
    pickle_kind k = pickle_kind_of(p, id);
    return has_items((uint8_t)k) ? pickle_node_at(p, id)->n : 0;
}

uint32_t pickle_item(const pickle *p, uint32_t id, size_t i)
{
    return i < pickle_items(p, id) ? p->pool.at[pickle_node_at(p, id)->u.at + i] : 0;
}

uint32_t pickle_get(const pickle *p, uint32_t dict, const char *key)
{
    if (pickle_kind_of(p, dict) != PICKLE_DICT)
        return 0;
    for (size_t i = pickle_items(p, dict); i >= 2; i -= 2)
        if (pickle_text_is(p, pickle_item(p, dict, i - 2), key))
            return pickle_item(p, dict, i - 1);
    return 0;
}

/* The two ways to name a global: one text, or an object without callee that holds module and name. */
static void split_global(const pickle *p, uint32_t id, const char **module, size_t *m, const char **name,
                         size_t *n)
{
    *module = *name = NULL;
    *m = *n = 0;
    if (pickle_kind_of(p, id) == PICKLE_GLOBAL) {
        size_t length;
        const char *text = pickle_text(p, id, &length), *end = memchr(text, '\n', length);
        *module = text;
        *m = end ? (size_t)(end - text) : length;
        *name = end ? end + 1 : text + length;
        *n = end ? length - *m - 1 : 0;
    } else if (pickle_kind_of(p, id) == PICKLE_OBJECT && !pickle_item(p, id, PICKLE_CALLEE)) {
        uint32_t both = pickle_item(p, id, PICKLE_ARGUMENTS);
        *module = pickle_text(p, pickle_item(p, both, 0), m);
        *name = pickle_text(p, pickle_item(p, both, 1), n);
    }
}

bool pickle_is_global(const pickle *p, uint32_t id, const char *module, const char *name)
{
    size_t m, n;
    const char *mt, *nt;
    split_global(p, id, &mt, &m, &nt, &n);
    return mt && nt && m == strlen(module) && n == strlen(name) && !memcmp(mt, module, m) &&
           !memcmp(nt, name, n);
}

const char *pickle_global_name(const pickle *p, uint32_t id, size_t *length)
{
    size_t m;
    const char *module, *name;
    split_global(p, id, &module, &m, &name, length);
    return name;
}
