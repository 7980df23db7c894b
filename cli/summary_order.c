/* SPDX-License-Identifier: MIT */
/* The order of the classes in the summary of a run: that of the report's charts. */
#include "summary.h"

#include <stdlib.h>
#include <string.h>

/* The --classes option of each class, all of them or none; (C) */
static bool read_specs(sg_run *r, char **specs, size_t C)
{
    size_t rank, shape[SG_RUN_MAX_DIMS];
    if (!sg_run_shape(r, NULL, "class_spec", &rank, shape) || rank != 1 || shape[0] != C)
        return false;
    for (size_t c = 0; c < C; c++)
        if (sg_run_read_string(r, NULL, "class_spec", c, &specs[c], NULL) != SG_OK)
            return false;
    return true;
}

static bool is_first(char *const *specs, size_t c)
{
    for (size_t k = 0; k < c; k++)
        if (!strcmp(specs[k], specs[c]))
            return false;
    return true;
}

static size_t members(char *const *specs, size_t C, const char *spec)
{
    size_t n = 0;
    for (size_t c = 0; c < C; c++)
        n += !strcmp(specs[c], spec) ? 1 : 0;
    return n;
}

size_t classes_in_order(sg_run *r, size_t *order, size_t most)
{
    const size_t C = sg_run_classes(r);
    size_t n = 0;
    char **specs = calloc(C + 1, sizeof *specs);
    if (specs && read_specs(r, specs, C)) {
        for (size_t c = 0; c < C && n < most; c++) /* "all", and classes alone in their option */
            if (!*specs[c] || members(specs, C, specs[c]) == 1)
                order[n++] = c;
        for (size_t f = 0; f < C && n < most; f++)
            if (*specs[f] && is_first(specs, f) && members(specs, C, specs[f]) > 1)
                for (size_t c = f; c < C && n < most; c++)
                    if (!strcmp(specs[c], specs[f]))
                        order[n++] = c;
    } else {
        for (; n < C && n < most; n++)
            order[n] = n;
    }
    for (size_t c = 0; specs && c < C; c++)
        sg_string_free(specs[c]);
    free(specs);
    return n;
}
