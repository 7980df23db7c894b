/* SPDX-License-Identifier: MIT */
/* Memory for the spectra of a group. */
#include "analysis/results/results_internal.h"

#include "base/base_internal.h"

#include <omp.h>

enum { BATCH_BYTES = 64 << 20 };

static void worker_place(after *a, worker *w)
{
    const an_plan *p = a->plan;
    size_t H = a->frame.H, E = a->frame.E, R = a->frame.R, HE = H * E;
    sg_arena *m = &a->arena;
    w->T = sg_arena_take(m, HE, sizeof(double));
    w->G = sg_arena_take(m, HE, sizeof(double));
    w->MT = sg_arena_take(m, E * E, sizeof(double));
    w->M = sg_arena_take(m, E * E, sizeof(double));
    w->gram = sg_arena_take(m, E * E, sizeof(double));
    w->sum = sg_arena_take(m, HE, sizeof(float));
    w->packed = sg_arena_take(m, a->packed, sizeof(float));
    w->values = sg_arena_take(m, a->K, sizeof(double));
    w->without = sg_arena_take(m, p->B * a->K, sizeof(double));
    w->weights = sg_arena_take(m, p->B, sizeof(double));
    w->moment_weights = sg_arena_take(m, p->B, sizeof(double));
    w->all_weights = sg_arena_take(m, p->B, sizeof(double));
    w->left = sg_arena_take(m, H * R, sizeof(double));
    w->right = sg_arena_take(m, R * E, sizeof(double));
    w->work = sg_arena_take(m, sp_work(&a->frame), sizeof(double));
    if (p->C > 1) {
        w->class_sums = sg_arena_take(m, p->B * HE, sizeof(double));
        w->all_sums = sg_arena_take(m, p->B * HE, sizeof(double));
    }
}

static void item_place(const after *a, sg_arena *m, item *o)
{
    size_t H = a->frame.H, E = a->frame.E, R = a->frame.R;
    o->mean = sg_arena_take(m, H * E, sizeof(float));
    o->moment = sg_arena_take(m, E * E, sizeof(float));
    o->left = sg_arena_take(m, R * H, sizeof(float));
    o->right = sg_arena_take(m, R * E, sizeof(float));
    if (a->plan->store_gram)
        o->gram = sg_arena_take(m, a->plan->B * a->packed, sizeof(float));
    o->x = sg_arena_take(m, a->K, sizeof(sg_interval));
    o->block_weight = sg_arena_take(m, a->plan->B, sizeof(double));
    o->random = sg_arena_take(m, 3, sizeof(double));
}

static void series_place(after *a)
{
    const an_plan *p = a->plan;
    size_t n = p->C * p->D, Q = AN_QUANTITIES;
    a->s.y = sg_arena_take(&a->arena, n * Q, sizeof(double));
    a->s.error = sg_arena_take(&a->arena, n * Q, sizeof(double));
    a->s.without = sg_arena_take(&a->arena, n * Q * p->B, sizeof(double));
    a->s.norm = sg_arena_take(&a->arena, p->D, sizeof(double));
    a->s.p = sg_arena_take(&a->arena, n, sizeof(double));
    a->s.adjusted = sg_arena_take(&a->arena, n, sizeof(double));
    a->s.excess = sg_arena_take(&a->arena, n, sizeof(double));
    a->s.null_low = sg_arena_take(&a->arena, n, sizeof(double));
    a->s.null_high = sg_arena_take(&a->arena, n, sizeof(double));
}

static size_t row_doubles(const after *a)
{
    const an_plan *p = a->plan;
    size_t n = a->batch * a->frame.R * (p->P ? p->P : 1), m = a->batch * p->B;
    return n > m ? n : m;
}

/* All of the group's arrays, in the arena; with workers and items NULL they are only counted. */
static void place(after *a)
{
    worker nobody;
    item nothing;
    for (int t = 0; t < a->threads; t++)
        worker_place(a, a->workers ? &a->workers[t] : &nobody);
    for (size_t i = 0; i < a->batch; i++)
        item_place(a, &a->arena, a->items ? &a->items[i] : &nothing);
    series_place(a);
    a->row = sg_arena_take(&a->arena, row_doubles(a), sizeof(double));
}

static size_t item_bytes(const after *a)
{
    item nothing;
    sg_arena counted = {0};
    item_place(a, &counted, &nothing);
    return counted.used;
}

/* Delays that are computed and written together. */
static size_t choose_batch(const after *a)
{
    size_t n = BATCH_BYTES / item_bytes(a);
    if (n < 4)
        n = 4;
    return n < a->plan->D ? n : a->plan->D;
}

void after_shape(after *a, const an_plan *plan, const an_group *group, bool moments)
{
    size_t H = group->units, R = H < plan->E ? H : plan->E;
    a->plan = plan;
    a->group = group;
    a->moments = moments;
    a->frame = (sp_frame){H, plan->E, R, plan->P, plan->L[group->model], plan->n[group->model]};
    a->at = sp_where(&a->frame);
    a->K = sp_count(&a->frame);
    a->packed = sums_packed(plan->E);
    a->batch = choose_batch(a);
    a->threads = plan->threads > 0 ? plan->threads : omp_get_max_threads();
    if ((size_t)a->threads > plan->D)
        a->threads = (int)plan->D;
}

static size_t arena_bytes(const after *a)
{
    after counted = *a;
    counted.arena = (sg_arena){0};
    counted.workers = NULL, counted.items = NULL;
    place(&counted);
    return counted.arena.used;
}

sg_status after_room(after *a, sg_error *err)
{
    sg_status st = SG_OK;
    const an_plan *p = a->plan;
    TRY(sg_arena_init(&a->arena, arena_bytes(a), err));
    NEED((a->workers = sg_calloc((size_t)a->threads, sizeof *a->workers)) &&
             (a->items = sg_calloc(a->batch, sizeof *a->items)),
         err, "the spectra of %s", a->group->name);
    place(a);
    for (int t = 0; p->C > 1 && p->B >= 2 && t < a->threads; t++)
        TRY(sg_class_test_new(&a->workers[t].test, p->B, a->frame.H, p->E, AFTER_NULL_DRAWS, p->seed, err));
done:
    return st;
}

void after_room_free(after *a)
{
    for (int t = 0; a->workers && t < a->threads; t++)
        sg_class_test_free(a->workers[t].test);
    sg_free(a->workers);
    sg_free(a->items);
    sg_arena_free(&a->arena);
}

void an_after_cost(const an_plan *plan, size_t *memory, size_t *file)
{
    *memory = *file = 0;
    for (size_t g = 0; g < plan->n_groups; g++) {
        after a = {0};
        after_shape(&a, plan, &plan->groups[g], true);
        size_t test =
            plan->C > 1 ? 8 * ((1 + plan->B) * a.frame.H * plan->E + AFTER_NULL_DRAWS * plan->B * plan->B / 2)
                        : 0;
        size_t bytes = arena_bytes(&a) + (size_t)a.threads * test;
        *memory = bytes > *memory ? bytes : *memory;
        *file += plan->C * plan->D * item_bytes(&a);
    }
}
