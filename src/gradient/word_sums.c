/* SPDX-License-Identifier: MIT */
#include "gradient/word_sums.h"

#include "base/base_internal.h"

#include <string.h>

size_t word_sums_bytes(size_t S, size_t V, size_t D)
{
    return (2 * S + 1) * V * D * sizeof(double);
}

sg_status word_sums_new(word_sums **out, size_t S, size_t V, size_t D, sg_error *err)
{
    word_sums *w = sg_calloc(1, sizeof *w);
    *out = NULL;
    if (!w || !(w->square = sg_calloc(S * V, D * sizeof *w->square)) ||
        !(w->low = sg_calloc(S * V, D * sizeof *w->low)) ||
        !(w->pairs = sg_calloc(V, D * sizeof *w->pairs))) {
        word_sums_free(w);
        return no_memory(err, "the sums of %zu words and %zu delays", V, D);
    }
    w->S = S, w->V = V, w->D = D;
    *out = w;
    return SG_OK;
}

void word_sums_free(word_sums *w)
{
    if (!w)
        return;
    sg_free(w->square);
    sg_free(w->low);
    sg_free(w->pairs);
    sg_free(w);
}

double *word_sums_square(const word_sums *w, size_t s, size_t word)
{
    return w->square + (s * w->V + word) * w->D;
}

double *word_sums_low(const word_sums *w, size_t s, size_t word)
{
    return w->low + (s * w->V + word) * w->D;
}

void word_sums_add(word_sums *w, size_t s, size_t word, size_t d, double x)
{
    exact_add(word_sums_square(w, s, word) + d, word_sums_low(w, s, word) + d, x);
}

double *word_sums_pairs(const word_sums *w, size_t word)
{
    return w->pairs + word * w->D;
}

sg_status word_sums_save(const word_sums *w, FILE *f, sg_error *err)
{
    uint64_t size[] = {w->S, w->V, w->D};
    size_t n = w->V * w->D;
    if (fwrite(size, sizeof size, 1, f) != 1 ||
        fwrite(w->square, sizeof *w->square, w->S * n, f) != w->S * n ||
        fwrite(w->low, sizeof *w->low, w->S * n, f) != w->S * n ||
        fwrite(w->pairs, sizeof *w->pairs, n, f) != n)
        return sg_fail(err, SG_EIO, "checkpoint: the sums of %zu words could not be written", w->V);
    return SG_OK;
}

sg_status word_sums_load(word_sums *w, FILE *f, sg_error *err)
{
    uint64_t want[] = {w->S, w->V, w->D}, size[3];
    size_t n = w->V * w->D;
    if (fread(size, sizeof size, 1, f) != 1 || memcmp(size, want, sizeof size) != 0)
        return sg_fail(err, SG_EFORMAT, "checkpoint: not the sums of %zu words and %zu delays", w->V, w->D);
    if (fread(w->square, sizeof *w->square, w->S * n, f) != w->S * n ||
        fread(w->low, sizeof *w->low, w->S * n, f) != w->S * n ||
        fread(w->pairs, sizeof *w->pairs, n, f) != n)
        return sg_fail(err, SG_EFORMAT, "checkpoint: cut short in the sums of words");
    return SG_OK;
}
