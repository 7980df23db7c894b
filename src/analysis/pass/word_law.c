/* SPDX-License-Identifier: MIT */
#include "analysis/pass/word_law.h"

#include "base/base_internal.h"

#include <stdlib.h>

sg_status word_law_new(word_law *l, size_t n, sg_error *err)
{
    sg_status st = SG_OK;
    NEED((l->id = sg_calloc(n, sizeof *l->id)) && (l->up_to = sg_calloc(n, sizeof *l->up_to)), err,
         "%zu words to replace others", n);
done:
    return st;
}

void word_law_free(word_law *l)
{
    sg_free(l->id), sg_free(l->up_to);
}

void word_law_add(word_law *l, int32_t id, uint64_t tokens)
{
    l->id[l->n] = id;
    l->up_to[l->n] = tokens + (l->n ? l->up_to[l->n - 1] : 0);
    l->n++;
}

static int compare_ids(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

size_t word_law_draw(const word_law *l, double u, int32_t excluded)
{
    const int32_t *found = bsearch(&excluded, l->id, l->n, sizeof *l->id, compare_ids);
    const size_t k = found ? (size_t)(found - l->id) : 0;
    const uint64_t before = k ? l->up_to[k - 1] : 0, own = found ? l->up_to[k] - before : 0,
                   N = l->up_to[l->n - 1] - own;
    uint64_t at = (uint64_t)(u * (double)N);
    at = at < N ? at : N - 1;
    at += at >= before ? own : 0;
    size_t low = 0, high = l->n - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (l->up_to[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return (size_t)l->id[low];
}
