/* SPDX-License-Identifier: MIT */
#include "analysis/pair_sums.h"

#include "base/base_internal.h"

sg_status pair_sums_new(pair_sums **out, size_t G, size_t F, size_t L, size_t K, size_t W, sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    pair_sums *s = sg_calloc(1, sizeof *s);
    NEED(s, err, "the sums of pairs");
    *s = (pair_sums){.G = G, .F = F, .L = L, .K = K, .W = W};
    size_t fields = PAIRS_FIRST_STATE + 2 * G;
    NEED((s->chosen = sg_calloc(fields * F, L * K * W * sizeof(double))) &&
             (s->other = sg_calloc(fields * F, K * W * sizeof(double))),
         err, "the sums of pairs: %zu labels, %zu kinds of word", L, K);
    *out = s;
    s = NULL;
done:
    pair_sums_free(s);
    return st;
}

double *pair_sums_chosen(const pair_sums *s, size_t field, size_t part, size_t label, size_t kind)
{
    return s->chosen + (((field * s->F + part) * s->L + label) * s->K + kind) * s->W;
}

double *pair_sums_other(const pair_sums *s, size_t field, size_t part, size_t kind)
{
    return s->other + ((field * s->F + part) * s->K + kind) * s->W;
}

void pair_sums_free(pair_sums *s)
{
    if (!s)
        return;
    sg_free(s->chosen);
    sg_free(s->other);
    sg_free(s);
}
