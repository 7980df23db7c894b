/* SPDX-License-Identifier: MIT */
/* The heap, with a count of what is out and a switch that makes it fail: every error path can be run. */
#include "base/base_internal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Both serve tests, neither changes a result. (Every mutable global of the library: doc/reliability.md.) */
static atomic_long allocations_left = -1;
static atomic_long live;

void sg_alloc_fail_after(long n)
{
    atomic_store(&allocations_left, n);
}

long sg_alloc_live(void)
{
    return atomic_load(&live);
}

static bool may_allocate(void)
{
    long left = atomic_load(&allocations_left);
    while (left >= 0) {
        if (left == 0)
            return false;
        if (atomic_compare_exchange_weak(&allocations_left, &left, left - 1))
            return true;
    }
    return true;
}

enum { ALIGN = 64, LARGE = 1 << 26 };

/* Zeros. The whole pages of a large block are given back to the system, which fills each with zeros when it
 * is first touched, by the thread that touches it: a gigabyte is ready at once, and on the node that uses
 * it. */
static void clear(char *p, size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t first = (page - (uintptr_t)p % page) % page;
    if (bytes < LARGE || page > LARGE / 2) {
        memset(p, 0, bytes);
        return;
    }
    const size_t whole = (bytes - first) / page * page;
    if (madvise(p + first, whole, MADV_DONTNEED) != 0)
        memset(p + first, 0, whole);
    memset(p, 0, first);
    memset(p + first + whole, 0, bytes - first - whole);
}

void *sg_calloc(size_t n, size_t size)
{
    if (size && n > (SIZE_MAX - ALIGN) / size)
        return NULL;
    size_t bytes = (n * size + ALIGN - 1) / ALIGN * ALIGN;
    if (!bytes)
        bytes = ALIGN;
    if (!may_allocate())
        return NULL;
    void *p = aligned_alloc(ALIGN, bytes);
    if (!p)
        return NULL;
    clear(p, bytes);
    atomic_fetch_add(&live, 1);
    return p;
}

void *sg_regrow(void *p, size_t old_n, size_t n, size_t size)
{
    void *q = sg_calloc(n, size);
    if (!q)
        return NULL;
    if (p) {
        memcpy(q, p, (old_n < n ? old_n : n) * size);
        sg_free(p);
    }
    return q;
}

char *sg_strndup(const char *s, size_t n)
{
    char *copy = sg_calloc(n + 1, 1);
    if (copy)
        memcpy(copy, s, n);
    return copy;
}

char *sg_strdup(const char *s)
{
    return sg_strndup(s, strlen(s));
}

void sg_free(void *p)
{
    if (!p)
        return;
    atomic_fetch_sub(&live, 1);
    free(p);
}

sg_status sg_arena_init(sg_arena *a, size_t bytes, sg_error *err)
{
    *a = (sg_arena){0};
    if (!(a->base = sg_calloc(bytes ? bytes : 1, 1)))
        return no_memory(err, "%zu bytes of workspace", bytes);
    a->size = bytes;
    return SG_OK;
}

void *sg_arena_take(sg_arena *a, size_t n, size_t size)
{
    if (size && n > (SIZE_MAX - ALIGN) / size)
        return NULL;
    size_t bytes = (n * size + ALIGN - 1) / ALIGN * ALIGN;
    if (a->base ? bytes > a->size - a->used : bytes > SIZE_MAX - a->used)
        return NULL;
    void *p = a->base ? a->base + a->used : NULL;
    a->used += bytes;
    return p;
}

void sg_arena_free(sg_arena *a)
{
    sg_free(a->base);
    *a = (sg_arena){0};
}
