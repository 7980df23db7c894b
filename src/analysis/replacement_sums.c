/* SPDX-License-Identifier: MIT */
#include "analysis/replacement_sums.h"

#include "base/base_internal.h"

size_t replacement_fields(size_t G)
{
    return REPLACED_STATES + REPLACED_PER_STATE * G;
}

size_t replacement_row(size_t C, replacement_law law, size_t i)
{
    return (size_t)law * C + i;
}

size_t replacement_rows(size_t C, size_t P)
{
    return replacement_row(C, REPLACED_BY_PARTNER, P);
}

size_t replacement_sums_bytes(size_t models, size_t B, size_t rows, size_t D, size_t G)
{
    return models * B * rows * D * replacement_fields(G) * sizeof(double);
}

sg_status replacement_sums_new(replacement_sums **out, size_t models, size_t B, size_t rows, size_t D,
                               size_t G, sg_error *err)
{
    sg_status st = SG_OK;
    replacement_sums *s = sg_calloc(1, sizeof *s);
    *out = NULL;
    NEED(s, err, "the sums of replacements");
    *s = (replacement_sums){.models = models, .B = B, .rows = rows, .D = D, .G = G};
    NEED(s->x = sg_calloc(models * B * rows, D * replacement_fields(G) * sizeof *s->x), err,
         "the sums of replacements: %zu MiB; setting 'replace' none does without",
         replacement_sums_bytes(models, B, rows, D, G) >> 20);
    *out = s, s = NULL;
done:
    replacement_sums_free(s);
    return st;
}

double *replacement_sums_at(const replacement_sums *s, size_t model, size_t b, size_t row, size_t d)
{
    return s->x + (((model * s->B + b) * s->rows + row) * s->D + d) * replacement_fields(s->G);
}

static void add_average(double *sums, const path_effect *e)
{
    sums[REPLACED_AVERAGE] += e->average;
    if (e->change > 0)
        sums[REPLACED_GAP] += e->gap, sums[REPLACED_GAPS]++;
}

static void add_effect(double *sums, const replacement_effect *e, double start)
{
    const double both = e->change * e->linear;
    sums[REPLACED_CHANGE] += e->change, sums[REPLACED_START] += start, sums[REPLACED_LINEAR] += e->linear;
    if (both > 0)
        sums[REPLACED_COSINE] += e->dot / both, sums[REPLACED_COSINES]++;
    sums[REPLACED_MISS] += e->miss, sums[REPLACED_SQUARE] += e->change * e->change;
}

void replacement_sums_add(replacement_sums *s, size_t model, size_t b, size_t row, const replacement_seen *x)
{
    for (size_t d = 0; d < x->life; d++) {
        double *sums = replacement_sums_at(s, model, b, row, d), *of_state = sums + REPLACED_STATES;
        sums[REPLACED_PAIRS]++;
        if (x->kl && x->kl_at[d])
            sums[REPLACED_KL] += x->kl[d], sums[REPLACED_KL_PAIRS]++;
        sums[REPLACED_PATHS] += d < x->path_delays;
        for (size_t g = 0; g < s->G; g++, of_state += REPLACED_PER_STATE) {
            if (d < x->path_delays)
                add_average(of_state, &x->averages[g * x->path_delays + d]);
            add_effect(of_state, &x->effects[d * s->G + g], x->effects[g].change);
        }
    }
}

sg_status replacement_sums_of_parts(replacement_sums **out, const part_file *first, size_t B, sg_error *err)
{
    const sg_run *r = first->r;
    const size_t rows = replacement_rows(sg_run_classes(r), sg_run_properties(r)), groups = sg_run_groups(r);
    size_t rank, shape[SG_RUN_MAX_DIMS];
    *out = NULL;
    if (!sg_run_shape(r, NULL, "part_replaced", &rank, shape))
        return SG_OK;
    if (rank != 5 || !shape[1] || shape[1] > 2 || groups % shape[1])
        return sg_fail(err, SG_EFORMAT, "%s: variable part_replaced does not fit the run", first->path);
    return replacement_sums_new(out, shape[1], B, rows, sg_run_delays(r), groups / shape[1], err);
}

sg_status replacement_sums_part(part_file *p, replacement_sums *s, sg_error *err)
{
    sg_status st = SG_OK;
    if (!s)
        return SG_OK;
    const size_t F = replacement_fields(s->G), shape[] = {p->rows, s->models, s->rows, s->D, F};
    TRY(part_dim(p, "replaced_model", s->models, err));
    TRY(part_dim(p, "replaced_row", s->rows, err));
    TRY(part_dim(p, "replaced_sum", F, err));
    TRY(part_variable(p, "part_replaced", 5, shape, err));
    for (size_t i = 0; i < p->rows; i++)
        for (size_t m = 0; m < s->models; m++) {
            const size_t start[] = {i, m, 0, 0, 0}, count[] = {1, 1, s->rows, s->D, F};
            TRY(part_f64(p, "part_replaced", start, count, replacement_sums_at(s, m, p->block[i], 0, 0),
                         err));
        }
done:
    return st;
}

void replacement_sums_free(replacement_sums *s)
{
    if (s)
        sg_free(s->x);
    sg_free(s);
}
