/* SPDX-License-Identifier: MIT */
/* A table of strings: open addressing over one pool of bytes; numbers follow the order of entry. */
#include "base/string_table.h"

#include "base/base_internal.h"

#include <string.h>

struct string_table {
    uint32_t *slots; /* number + 1; 0: free */
    size_t n_slots;  /* a power of two, at least twice the entries */
    size_t *starts;  /* entry i: pool[starts[i] .. starts[i+1]-1), a NUL after it */
    size_t starts_cap;
    uint32_t *hashes;
    size_t hashes_cap;
    char *pool;
    size_t used, pool_cap, count;
};

sg_status array_reserve(void *array_pointer, size_t *cap, size_t n, size_t size, sg_error *err)
{
    if (n <= *cap)
        return SG_OK;
    size_t grown = *cap ? *cap : 16;
    while (grown < n) {
        if (grown > SIZE_MAX / 2)
            return no_memory(err, "%zu elements", n);
        grown *= 2;
    }
    void *array, *bigger;
    memcpy(&array, array_pointer, sizeof array);
    if (!(bigger = sg_regrow(array, *cap, grown, size)))
        return no_memory(err, "%zu elements of %zu bytes", grown, size);
    memcpy(array_pointer, &bigger, sizeof bigger);
    *cap = grown;
    return SG_OK;
}

static uint32_t hash_bytes(const unsigned char *s, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a, then the finish of splitmix64 to spread the low bits */
    for (size_t i = 0; i < n; i++)
        h = (h ^ s[i]) * 0x100000001b3u;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    return (uint32_t)(h ^ (h >> 32));
}

sg_status string_table_new(string_table **out, sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    string_table *t = sg_calloc(1, sizeof *t);
    NEED(t && (t->slots = sg_calloc(64, sizeof *t->slots)), err, "a table of words");
    t->n_slots = 64;
    TRY(array_reserve(&t->starts, &t->starts_cap, 1, sizeof *t->starts, err));
    *out = t;
    t = NULL;
done:
    string_table_free(t);
    return st;
}

/* The slot that holds the string, or the free one where it belongs. */
static size_t find_slot(const string_table *t, const void *s, size_t n, uint32_t hash)
{
    size_t mask = t->n_slots - 1, i = hash & mask;
    for (; t->slots[i]; i = (i + 1) & mask) {
        size_t id = t->slots[i] - 1, start = t->starts[id];
        if (t->hashes[id] == hash && t->starts[id + 1] - start - 1 == n && !memcmp(t->pool + start, s, n))
            break;
    }
    return i;
}

static sg_status grow_slots(string_table *t, sg_error *err)
{
    size_t n = t->n_slots * 2;
    uint32_t *slots = sg_calloc(n, sizeof *slots);
    if (!slots)
        return no_memory(err, "a table of %zu words", t->count);
    for (size_t id = 0; id < t->count; id++) {
        size_t i = t->hashes[id] & (n - 1);
        while (slots[i])
            i = (i + 1) & (n - 1);
        slots[i] = (uint32_t)id + 1;
    }
    sg_free(t->slots);
    t->slots = slots;
    t->n_slots = n;
    return SG_OK;
}

sg_status string_table_add(string_table *t, const void *s, size_t n, int32_t *id, bool *added, sg_error *err)
{
    sg_status st = SG_OK;
    uint32_t hash = hash_bytes(s, n);
    size_t slot = find_slot(t, s, n, hash);
    if (added)
        *added = !t->slots[slot];
    if (t->slots[slot]) {
        *id = (int32_t)(t->slots[slot] - 1);
        return SG_OK;
    }
    if (t->count >= INT32_MAX - 2)
        return sg_fail(err, SG_EINVAL, "more than %d distinct words", INT32_MAX - 2);
    if (2 * (t->count + 1) > t->n_slots) {
        TRY(grow_slots(t, err));
        slot = find_slot(t, s, n, hash);
    }
    TRY(array_reserve(&t->starts, &t->starts_cap, t->count + 2, sizeof *t->starts, err));
    TRY(array_reserve(&t->hashes, &t->hashes_cap, t->count + 1, sizeof *t->hashes, err));
    TRY(array_reserve(&t->pool, &t->pool_cap, t->used + n + 1, 1, err));
    if (n)
        memcpy(t->pool + t->used, s, n);
    t->pool[t->used + n] = 0;
    t->hashes[t->count] = hash;
    t->starts[t->count] = t->used;
    t->used += n + 1;
    t->starts[t->count + 1] = t->used;
    *id = (int32_t)t->count++;
    t->slots[slot] = (uint32_t)t->count;
done:
    return st;
}

int32_t string_table_find(const string_table *t, const void *s, size_t n)
{
    size_t slot = find_slot(t, s, n, hash_bytes(s, n));
    return t->slots[slot] ? (int32_t)(t->slots[slot] - 1) : -1;
}

const char *string_table_get(const string_table *t, size_t id, size_t *n)
{
    if (n)
        *n = t->starts[id + 1] - t->starts[id] - 1;
    return t->pool + t->starts[id];
}

size_t string_table_count(const string_table *t)
{
    return t->count;
}

void string_table_free(string_table *t)
{
    if (!t)
        return;
    sg_free(t->slots);
    sg_free(t->starts);
    sg_free(t->hashes);
    sg_free(t->pool);
    sg_free(t);
}
