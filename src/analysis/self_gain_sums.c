/* SPDX-License-Identifier: MIT */
#include "analysis/self_gain_sums.h"

#include "base/base_internal.h"

size_t self_gain_sums_bytes(size_t F, size_t G, size_t D, const size_t *units)
{
    size_t n = F * D;
    for (size_t g = 0; g < G; g++)
        n += F * D * units[g];
    return n * sizeof(double);
}

sg_status self_gain_sums_new(self_gain_sums **out, size_t F, size_t G, size_t D, const size_t *units,
                             sg_error *err)
{
    sg_status st = SG_OK;
    self_gain_sums *s = sg_calloc(1, sizeof *s);
    *out = NULL;
    NEED(s, err, "the self gains");
    *s = (self_gain_sums){.F = F, .G = G, .D = D};
    NEED(s->pairs = sg_calloc(F, D * sizeof *s->pairs), err, "the self gains");
    for (size_t g = 0; g < G; g++) {
        s->units[g] = units[g];
        NEED(s->sum[g] = sg_calloc(F * D, units[g] * sizeof(double)), err,
             "the self gains of single units: %zu MiB; setting 'units' no does without",
             self_gain_sums_bytes(F, G, D, units) >> 20);
    }
    *out = s, s = NULL;
done:
    self_gain_sums_free(s);
    return st;
}

void self_gain_sums_free(self_gain_sums *s)
{
    for (size_t g = 0; s && g < s->G; g++)
        sg_free(s->sum[g]);
    if (s)
        sg_free(s->pairs);
    sg_free(s);
}

sg_status self_gain_sums_of_parts(self_gain_sums **out, const part_file *first, size_t F, sg_error *err)
{
    const sg_run *r = first->r;
    const size_t G = sg_run_groups(r);
    size_t rank, shape[SG_RUN_MAX_DIMS], units[RUN_MAX_GROUPS] = {0};
    *out = NULL;
    if (!sg_run_shape(r, NULL, "part_self_gain_pairs", &rank, shape))
        return SG_OK;
    for (size_t g = 0; g < G; g++)
        units[g] = sg_run_units(r, g);
    return self_gain_sums_new(out, F, G, sg_run_delays(r), units, err);
}

sg_status self_gain_sums_part_pairs(part_file *p, self_gain_sums *s, sg_error *err)
{
    sg_status st = SG_OK;
    if (!s)
        return SG_OK;
    const size_t shape[] = {p->rows, s->D};
    TRY(part_variable(p, "part_self_gain_pairs", 2, shape, err));
    for (size_t i = 0; i < p->rows; i++) {
        const size_t start[] = {i, 0}, count[] = {1, s->D};
        double *pairs = s->pairs + p->block[i] * s->D;
        TRY(part_f64(p, "part_self_gain_pairs", start, count, pairs, err));
        for (size_t d = 0; d < s->D; d++)
            if (!(pairs[d] >= 0))
                TRY(sg_fail(err, SG_EFORMAT, "%s: part_self_gain_pairs: %g", p->path, pairs[d]));
    }
done:
    return st;
}

sg_status self_gain_sums_part(part_file *p, self_gain_sums *s, size_t g, sg_error *err)
{
    sg_status st = SG_OK;
    if (!s)
        return SG_OK;
    const size_t shape[] = {p->rows, s->D, s->units[g]};
    TRY(part_variable(p, "part_self_gain", 3, shape, err));
    for (size_t i = 0; i < p->rows; i++) {
        const size_t start[] = {i, 0, 0}, count[] = {1, s->D, s->units[g]};
        TRY(part_f64(p, "part_self_gain", start, count, self_gain_sums_at(s, g, p->block[i]), err));
    }
done:
    return st;
}
