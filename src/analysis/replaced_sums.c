/* SPDX-License-Identifier: MIT */
#include "analysis/replaced_sums.h"

#include "base/base_internal.h"

size_t replaced_fields(size_t G)
{
    return REPLACED_STATES + REPLACED_PER_STATE * G;
}

size_t replaced_row(size_t C, replaced_law law, size_t i)
{
    return (size_t)law * C + i;
}

size_t replaced_rows(size_t C, size_t P)
{
    return replaced_row(C, REPLACED_BY_PARTNER, P);
}

size_t replaced_sums_bytes(size_t models, size_t B, size_t rows, size_t D, size_t G)
{
    return models * B * rows * D * replaced_fields(G) * sizeof(double);
}

sg_status replaced_sums_new(replaced_sums **out, size_t models, size_t B, size_t rows, size_t D, size_t G,
                            sg_error *err)
{
    sg_status st = SG_OK;
    replaced_sums *s = sg_calloc(1, sizeof *s);
    *out = NULL;
    NEED(s, err, "the sums of replacements");
    *s = (replaced_sums){.models = models, .B = B, .rows = rows, .D = D, .G = G};
    NEED(s->x = sg_calloc(models * B * rows, D * replaced_fields(G) * sizeof *s->x), err,
         "the sums of replacements: %zu MiB; setting 'replace' none does without",
         replaced_sums_bytes(models, B, rows, D, G) >> 20);
    *out = s, s = NULL;
done:
    replaced_sums_free(s);
    return st;
}

double *replaced_sums_at(const replaced_sums *s, size_t model, size_t b, size_t row, size_t d)
{
    return s->x + (((model * s->B + b) * s->rows + row) * s->D + d) * replaced_fields(s->G);
}

void replaced_sums_free(replaced_sums *s)
{
    if (s)
        sg_free(s->x);
    sg_free(s);
}
