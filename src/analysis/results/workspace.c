/* SPDX-License-Identifier: MIT */
/* Memory for the spectra of a group, and what all of its files ask of it. */
#include "analysis/results/results_internal.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <omp.h>

enum { BATCH_BYTES = 64 << 20 };

static void worker_place(group_work *a, worker *w)
{
    const results_input *p = a->input;
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
    if (p->split > 1) {
        w->parts.F = p->B * p->split;
        w->parts.without = sg_arena_take(m, w->parts.F * a->K, sizeof(double));
        w->parts.pairs = sg_arena_take(m, w->parts.F, sizeof(double));
        w->parts.moment_pairs = sg_arena_take(m, w->parts.F, sizeof(double));
        w->part_sum = sg_arena_take(m, HE, sizeof(float));
        w->part_packed = sg_arena_take(m, a->packed, sizeof(float));
    }
    w->weights = sg_arena_take(m, p->B, sizeof(double));
    w->moment_weights = sg_arena_take(m, p->B, sizeof(double));
    w->all_weights = sg_arena_take(m, p->B, sizeof(double));
    w->left = sg_arena_take(m, H * R, sizeof(double));
    w->right = sg_arena_take(m, R * E, sizeof(double));
    w->work = sg_arena_take(m, sp_work(&a->frame), sizeof(double));
    if (p->P)
        w->draws = sg_arena_take(m, RANDOM_DRAWS, sizeof(double));
    if (p->C > 1) {
        w->class_sums = sg_arena_take(m, p->B * HE, sizeof(double));
        w->all_sums = sg_arena_take(m, p->B * HE, sizeof(double));
    }
}

static void item_place(const group_work *a, sg_arena *m, item *o)
{
    size_t H = a->frame.H, E = a->frame.E, R = a->frame.R;
    o->mean = sg_arena_take(m, H * E, sizeof(float));
    o->moment = sg_arena_take(m, E * E, sizeof(float));
    o->left = sg_arena_take(m, R * H, sizeof(float));
    o->right = sg_arena_take(m, R * E, sizeof(float));
    if (a->input->store_gram)
        o->gram = sg_arena_take(m, a->input->B * a->packed, sizeof(float));
    o->x = sg_arena_take(m, a->K, sizeof(sg_interval));
    o->block_weight = sg_arena_take(m, a->input->B, sizeof(double));
    o->left_out = sg_arena_take(m, LEFT_OUT_KINDS * left_out_length(a->input), sizeof(double));
    if (a->input->P)
        o->left_out_property = sg_arena_take(m, 2 * a->input->P * left_out_words(a->input), sizeof(double));
    o->random = sg_arena_take(m, 3, sizeof(double));
}

static void series_place(group_work *a)
{
    const results_input *p = a->input;
    size_t n = p->C * p->D, Q = DECAY_QUANTITIES;
    a->s.y = sg_arena_take(&a->arena, n * Q, sizeof(double));
    a->s.error = sg_arena_take(&a->arena, n * Q, sizeof(double));
    a->s.without = sg_arena_take(&a->arena, n * Q * p->B, sizeof(double));
    if (p->split > 1)
        a->s.parts = sg_arena_take(&a->arena, n * p->B * p->split, sizeof(double));
    a->s.coherence = sg_arena_take(&a->arena, p->D, sizeof(double));
    a->s.property = sg_arena_take(&a->arena, n * p->P, sizeof(double));
    a->s.along = sg_arena_take(&a->arena, n * p->P * p->B, sizeof(double));
    a->s.words = sg_arena_take(&a->arena, n * p->P * PROPERTY_FOLDS, sizeof(double));
    a->s.trace = sg_arena_take(&a->arena, n * p->B * p->split, sizeof(double));
    a->covariance = sg_arena_take(&a->arena, p->E * p->E, sizeof(double));
    a->s.norm = sg_arena_take(&a->arena, p->D, sizeof(double));
    a->s.p = sg_arena_take(&a->arena, n, sizeof(double));
    a->s.adjusted = sg_arena_take(&a->arena, n, sizeof(double));
    a->s.excess = sg_arena_take(&a->arena, n, sizeof(double));
    a->s.null_low = sg_arena_take(&a->arena, n, sizeof(double));
    a->s.null_high = sg_arena_take(&a->arena, n, sizeof(double));
}

static size_t row_doubles(const group_work *a)
{
    const results_input *p = a->input;
    size_t n = a->batch * a->frame.R * (p->P ? p->P : 1), m = a->batch * left_out_length(p),
           words = a->batch * p->P * left_out_words(p);
    n = n > m ? n : m;
    return n > words ? n : words;
}

/* All of the group's arrays, in the arena; with workers and pool NULL they are only counted. */
static void place(group_work *a)
{
    worker nobody;
    item nothing;
    for (int t = 0; t < a->threads; t++)
        worker_place(a, a->workers ? &a->workers[t] : &nobody);
    for (size_t i = 0; i < 2 * a->at_once; i++)
        item_place(a, &a->arena, a->pool ? &a->pool[i] : &nothing);
    series_place(a);
    a->row = sg_arena_take(&a->arena, row_doubles(a), sizeof(double));
    a->random_cosine = sg_arena_take(&a->arena, 3 * a->frame.R, sizeof(double));
}

static size_t item_bytes(const group_work *a)
{
    item nothing;
    sg_arena counted = {0};
    item_place(a, &counted, &nothing);
    return counted.used;
}

/* Items that are computed together: delays of one class, or whole classes. */
static size_t choose_batch(const group_work *a)
{
    const size_t D = a->input->D, n = BATCH_BYTES / 2 / item_bytes(a), classes = n / D;
    if (classes)
        return (classes < a->input->C ? classes : a->input->C) * D;
    return n > 4 ? n : D > 4 ? 4 : D;
}

void workspace_shape(group_work *a, const results_input *input, const state_group *group, bool moments)
{
    size_t H = group->units, R = H < input->E ? H : input->E;
    a->input = input;
    a->group = group;
    a->moments = moments;
    a->frame = (sp_frame){H, input->E, R, input->P, input->L[group->model], input->n[group->model]};
    a->at = sp_where(&a->frame);
    a->K = sp_count(&a->frame);
    a->packed = sums_packed(input->E);
    a->at_once = choose_batch(a);
    a->batch = a->at_once < input->D ? a->at_once : input->D;
    a->threads = input->threads > 0 ? input->threads : omp_get_max_threads();
    if ((size_t)a->threads > a->at_once)
        a->threads = (int)a->at_once;
}

static size_t arena_bytes(const group_work *a)
{
    group_work counted = *a;
    counted.arena = (sg_arena){0};
    counted.workers = NULL, counted.pool = NULL;
    place(&counted);
    return counted.arena.used;
}

sg_status workspace_new(group_work *a, sg_error *err)
{
    sg_status st = SG_OK;
    const results_input *p = a->input;
    TRY(sg_arena_init(&a->arena, arena_bytes(a), err));
    NEED((a->workers = sg_calloc((size_t)a->threads, sizeof *a->workers)) &&
             (a->pool = sg_calloc(2 * a->at_once, sizeof *a->pool)),
         err, "the spectra of %s", a->group->name);
    place(a);
    la_dgemm(LA_N, LA_T, p->E, p->E, p->E, 1, a->frame.L, p->E, a->frame.L, p->E, 0, a->covariance, p->E);
    if (p->P) {
        TRY(random_table_new(&a->directions, a->frame.R, p->E, p->seed, err));
        random_cosines(a->frame.R, p->E, a->random_cosine);
    }
    for (int t = 0; p->C > 1 && p->B >= 2 && t < a->threads; t++)
        TRY(sg_class_test_new(&a->workers[t].test, p->B, a->frame.H, p->E, NULL_DRAWS, p->seed, err));
done:
    return st;
}

void workspace_free(group_work *a)
{
    for (int t = 0; a->workers && t < a->threads; t++)
        sg_class_test_free(a->workers[t].test);
    random_table_free(a->directions);
    sg_free(a->workers);
    sg_free(a->pool);
    sg_arena_free(&a->arena);
}

/* What units.c and self_gain.c need, and write. */
static void add_units(const group_work *a, size_t *memory, size_t *file)
{
    const results_input *p = a->input;
    const size_t H = a->frame.H, values = (1 + p->P) * H, written = 3 * values * p->D * sizeof(double);
    if (!p->units)
        return;
    *memory += (5 * H * a->frame.E + (values + 1) * p->B * (1 + p->split)) * sizeof(double) + written;
    *file += p->C * written;
    /* self_gain.c */
    *memory += (p->D * p->B * (1 + p->split) + 3 * p->D * H) * sizeof(double);
    *file += 3 * p->D * H * sizeof(double);
}

void results_cost(const results_input *input, size_t *memory, size_t *file)
{
    *memory = *file = 0;
    for (size_t g = 0; g < input->n_groups; g++) {
        group_work a = {0};
        workspace_shape(&a, input, &input->groups[g], true);
        size_t test = input->C > 1
                          ? 8 * ((1 + input->B) * a.frame.H * input->E + NULL_DRAWS * input->B * input->B / 2)
                          : 0;
        size_t directions = input->P ? RANDOM_DRAWS * a.frame.R * sizeof(float) : 0;
        size_t bytes = directions + arena_bytes(&a) + (size_t)a.threads * test;
        *file += input->C * input->D * item_bytes(&a);
        add_units(&a, &bytes, file);
        *memory = bytes > *memory ? bytes : *memory;
    }
}

void group_note(group_work *a, run_reason of, size_t c, size_t d, const char *why)
{
    reason_note(&a->reasons[of], a->input->class_names[c], d, why);
}

double block_pairs(const group_work *a, size_t b, size_t c, size_t d)
{
    double sum = 0;
    for (size_t f = b * a->input->split; f < (b + 1) * a->input->split; f++)
        sum += sums_weight_at(a->sums, f, c, d)->weight;
    return sum;
}
