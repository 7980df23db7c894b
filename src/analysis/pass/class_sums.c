/* SPDX-License-Identifier: MIT */
/* Class sums of a finished block: from the accumulator's sums per set to one record a state, class and
 * delay. */
#include "analysis/pass/shared.h"

#include "base/base_internal.h"

#include <math.h>
#include <string.h>

typedef struct {
    double *sum, *moment;
    float *rounded, *before, *packed, *packed_before;
} room;

static sg_status room_new(room *r, const analysis *an, sg_error *err)
{
    size_t packed = sums_packed(an->E), HE = 0;
    for (size_t i = 0; i < an->n_states; i++)
        HE = an->states[i].units * an->E > HE ? an->states[i].units * an->E : HE;
    r->sum = sg_calloc(HE, sizeof(double));
    r->moment = sg_calloc(an->E * an->E, sizeof(double));
    r->rounded = sg_calloc(HE, sizeof(float));
    r->before = sg_calloc(HE, sizeof(float));
    r->packed = sg_calloc(packed, sizeof(float));
    r->packed_before = sg_calloc(packed, sizeof(float));
    if (!r->sum || !r->moment || !r->rounded || !r->before || !r->packed || !r->packed_before)
        return no_memory(err, "sums of %zu numbers", HE);
    return SG_OK;
}

static void room_free(room *r)
{
    sg_free(r->sum);
    sg_free(r->moment);
    sg_free(r->rounded);
    sg_free(r->before);
    sg_free(r->packed);
    sg_free(r->packed_before);
}

/* x = (x / weight_x * n_x + y / weight_y * n_y) / (n_x + n_y) * weight: means combined by their numbers of
 * pairs */
static void combine(size_t n, float *x, double weight_x, double n_x, const float *y, double weight_y,
                    double n_y, double weight)
{
    double total = n_x + n_y;
    double a = weight_x > 0 ? n_x / total / weight_x * weight : 0;
    double b = weight_y > 0 ? n_y / total / weight_y * weight : 0;
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(a * (double)x[i] + b * (double)y[i]);
}

/* The record of two draws from the same pairs. */
static sums_weight add_weights(const sums_weight *x, const sums_weight *y)
{
    sums_weight w = {fmax(x->weight, y->weight), fmax(x->moment_weight, y->moment_weight),
                     x->pairs + y->pairs, 0, x->exist > y->exist ? x->exist : y->exist};
    w.moment_pairs = (int64_t)(w.moment_weight + 0.5);
    return w;
}

static void rounded(size_t n, const double *x, double scale, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(scale * x[i]);
}

/* Record (c, d) of block b. */
static sg_status put_record(const analysis *an, size_t model, const sg_accum *a, block_sums *sums,
                            const block_sums *earlier, size_t b, const int64_t *existing, size_t c, size_t d,
                            room *r, sg_error *err)
{
    sg_status st = SG_OK;
    const sg_classes *k = an->classes;
    size_t E = an->E;
    sums_weight now = {.pairs = (int64_t)accum_class_sampled(a, k, c, d),
                       .exist = existing ? existing[c * an->D + d] : (int64_t)accum_class_pairs(a, k, c, d)};
    sums_weight both = now;
    const sums_weight *old = earlier ? sums_weight_at(earlier, b, c, d) : NULL;
    for (size_t i = 0; i < an->n_states; i++) {
        size_t g = model * an->n_states + i, HE = an->states[i].units * E;
        double seen = accum_class_sum(a, i, k, c, d, r->sum), wanted = existing ? (double)now.exist : seen;
        double seen_moment = accum_class_moment(a, i, k, c, d, r->moment);
        double wanted_moment = existing ? (double)now.exist : seen_moment;
        now.weight = seen > 0 ? wanted : 0;
        now.moment_weight = seen_moment > 0 ? wanted_moment : 0;
        now.moment_pairs = (int64_t)(now.moment_weight + 0.5);
        rounded(HE, r->sum, seen > 0 && existing ? wanted / seen : 1, r->rounded);
        for (size_t j = 0; existing && seen_moment > 0 && j < E * E; j++)
            r->moment[j] *= wanted_moment / seen_moment;
        sums_pack(E, r->moment, r->packed);
        if (old) {
            both = add_weights(&now, old);
            TRY(sums_get(earlier, b, g, c, d, r->before, r->packed_before, err));
            combine(HE, r->rounded, now.weight, (double)now.pairs, r->before, old->weight, (double)old->pairs,
                    both.weight);
            combine(sums_packed(E), r->packed, now.moment_weight, (double)now.pairs, r->packed_before,
                    old->moment_weight, (double)old->pairs, both.moment_weight);
        }
        TRY(sums_put(sums, b, g, c, d, r->rounded, r->packed, err));
    }
    for (size_t i = 0; !c && i < an->n_states; i++) {
        size_t g = model * an->n_states + i;
        sums_missed *miss = sums_missed_at(sums, b, g, d);
        double norms;
        *miss = old ? *sums_missed_at(earlier, b, g, d) : (sums_missed){0};
        miss->of += (double)accum_missed(a, i, d, &norms);
        miss->norms += norms;
    }
    if (!model) /* the untrained copy sees the same pairs */
        *sums_weight_at(sums, b, c, d) = old ? both : now;
done:
    return st;
}

sg_status class_sums_block(const analysis *an, size_t model, const sg_accum *accum, block_sums *sums,
                           const block_sums *earlier, size_t b, const int64_t *existing, sg_error *err)
{
    size_t n = an->C * an->D;
    sg_status failed = SG_OK;
#pragma omp parallel num_threads(analysis_threads(an))
    {
        room r = {0};
        sg_error inner = {""};
        sg_status st = room_new(&r, an, &inner);
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < n; i++)
            if (st == SG_OK)
                st = put_record(an, model, accum, sums, earlier, b, existing, i / an->D, i % an->D, &r,
                                &inner);
        if (st != SG_OK) {
#pragma omp critical(class_sums_failed)
            {
                failed = st;
                if (err)
                    *err = inner;
            }
        }
        room_free(&r);
    }
    return failed;
}

sg_status class_sums_join(const analysis *an, block_sums *to, size_t b, const block_sums *from, size_t i,
                          size_t j, sg_error *err)
{
    room r = {0};
    sg_status st = SG_OK;
    TRY(room_new(&r, an, err));
    for (size_t n = 0; n < an->C * an->D; n++) {
        size_t c = n / an->D, d = n % an->D;
        const sums_weight *x = sums_weight_at(from, i, c, d), *y = sums_weight_at(from, j, c, d);
        sums_weight both = add_weights(x, y);
        for (size_t g = 0; g < an->n_groups; g++) {
            TRY(sums_get(from, i, g, c, d, r.rounded, r.packed, err));
            TRY(sums_get(from, j, g, c, d, r.before, r.packed_before, err));
            combine(an->groups[g].units * an->E, r.rounded, x->weight, (double)x->pairs, r.before, y->weight,
                    (double)y->pairs, both.weight);
            combine(sums_packed(an->E), r.packed, x->moment_weight, (double)x->pairs, r.packed_before,
                    y->moment_weight, (double)y->pairs, both.moment_weight);
            TRY(sums_put(to, b, g, c, d, r.rounded, r.packed, err));
            const sums_missed *mx = sums_missed_at(from, i, g, d), *my = sums_missed_at(from, j, g, d);
            *sums_missed_at(to, b, g, d) = (sums_missed){mx->norms + my->norms, mx->of + my->of};
        }
        *sums_weight_at(to, b, c, d) = both;
    }
done:
    room_free(&r);
    return st;
}
