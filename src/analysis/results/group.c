/* SPDX-License-Identifier: MIT */
/* A group of the run file as a whole: its batches, then what needs all delays and classes. */
#include "analysis/results/results_internal.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <math.h>
#include <omp.h>

static const double LEAST_COHERENCE = 1e-2, LEAST_GAIN = 1e-4, /* of that at delay 0 */
    LARGE_ERROR = 1e-4, SMALLEST = 1e-30; /* below it float32 has lost its digits anyway */

const char *const decay_quantity_names[DECAY_QUANTITIES] = {"sigma_1", "sum of singular values",
                                                            "largest rms gain", "change of state"};

/* Why intervals of a statistic are missing. Where nothing can be normalised, or a property has no direction,
 * that is the reason for what depends on it. */
static void note_intervals(group_work *a, size_t c, size_t d, const item *o, const sp_statistic *s)
{
    size_t at = sp_position(&a->frame, s), n = sp_length(&a->frame, s), each = s->per_rank ? a->frame.R : 1;
    if (a->input->factor_missing[a->group->model] &&
        run_variable_find(s->name, true)->missing & RUN_BIT(RUN_NO_FACTOR))
        return;
    for (size_t i = 0; i < n; i++)
        if (!s->per_property || !isnan(a->frame.n[i / each * a->frame.E]))
            reason_note(&a->intervals[s - sp_statistics], a->input->class_names[c], d, o->x[at + i].missing);
}

static void note_item(group_work *a, size_t c, size_t d, const item *o)
{
    size_t blocks = 0;
    group_note(a, RUN_NO_PAIRS, c, d, o->empty ? "no pairs" : NULL);
    const char *small = o->x[a->at.S].missing == results_too_small      ? results_too_small
                        : o->x[a->at.gain].missing == results_too_small ? results_too_small
                                                                        : NULL;
    group_note(a, RUN_TOO_SMALL, c, d, small);
    if (!o->empty && !small && isnan(o->x[a->at.coherence].value))
        group_note(a, RUN_NO_MOMENT, c, d, "no pair at a step whose second moment was taken");
    for (size_t b = 0; b < a->input->B; b++)
        blocks += o->block_weight[b] > 0;
    group_note(a, RUN_NO_GRAM, c, d, blocks == 1 ? "no pairs without one of the blocks" : NULL);
    group_note(a, RUN_NO_REPLICATE, c, d,
               o->no_replicate ? "no pairs are left when one of the blocks is left out" : NULL);
    if (o->no_fold)
        reason_note_plain(
            &a->reasons[RUN_NO_FOLD],
            "without a fold of its words: the property is a vector, or has fewer than 10 words on a side");
    for (const sp_statistic *s = sp_statistics; s->name; s++)
        note_intervals(a, c, d, o, s);
    if (c && !a->input->factor_missing[a->group->model])
        group_note(a, RUN_NO_TEST, c, d, o->p.missing);
}

/* What outlives the batch: series for decay, class differences and the p-values. */
static void keep(group_work *a, size_t c, size_t d, const item *o)
{
    const results_input *p = a->input;
    size_t places[DECAY_OF_GRADIENTS] = {a->at.S, a->at.sum, a->at.gain}, i = c * p->D + d;
    for (size_t f = 0; o->empty && a->s.parts && f < p->B * p->split; f++)
        a->s.parts[(c * p->B * p->split + f) * p->D + d] = NAN;
    for (size_t q = 0; q < DECAY_OF_GRADIENTS; q++) {
        a->s.y[(c * DECAY_QUANTITIES + q) * p->D + d] = o->x[places[q]].value;
        a->s.error[(c * DECAY_QUANTITIES + q) * p->D + d] = o->x[places[q]].error;
        for (size_t b = 0; o->empty && b < p->B; b++)
            a->s.without[((c * DECAY_QUANTITIES + q) * p->B + b) * p->D + d] = NAN;
    }
    if (!c)
        a->s.coherence[d] = o->x[a->at.coherence].value;
    for (size_t k = 0; k < p->P; k++) {
        const double *without = o->left_out_property + (p->P + k) * left_out_words(p) + 1;
        size_t row = c * p->P + k;
        a->s.property[(k * p->C + c) * p->D + d] = o->x[a->at.property + k].value;
        for (size_t b = 0; b < p->B; b++)
            a->s.along[(row * p->B + b) * p->D + d] = without[b];
        for (size_t j = 0; j < PROPERTY_FOLDS; j++)
            a->s.words[(row * PROPERTY_FOLDS + j) * p->D + d] = without[p->B + j];
    }
    a->s.p[i] = o->p.p;
    a->s.excess[i] = o->p.excess;
    a->s.null_low[i] = o->p.null_low;
    a->s.null_high[i] = o->p.null_high;
    note_item(a, c, d, o);
}

/* Numbers first .. first+n-1 of the group's classes and delays: i is delay i mod D of class i / D. */
typedef struct {
    size_t first, n;
    item *items;
} batch;

static sg_status write_items(group_work *a, const batch *b, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t done = 0, n; done < b->n; done += n) {
        const size_t D = a->input->D, d0 = (b->first + done) % D, rest = b->n - done;
        n = rest < D - d0 ? rest : D - d0;
        a->items = b->items + done;
        TRY(write_batch(a, (b->first + done) / D, d0, n, err));
    }
done:
    return st;
}

/* All threads compute `now`; the caller's first writes the batch before it. One thread compresses for as long
 * as a few compute. */
static sg_status run_batch(group_work *a, const batch *now, const batch *before, sg_error *err)
{
    const size_t D = a->input->D;
    sg_status st = la_room(a->threads, err), written = SG_OK;
    if (st != SG_OK)
        return st;
#pragma omp parallel num_threads(a->threads)
    {
#pragma omp master
        written = write_items(a, before, err);
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < now->n; i++) {
            item *o = &now->items[i];
            o->st = class_delay_compute(a, &a->workers[omp_get_thread_num()], o, (now->first + i) / D,
                                        (now->first + i) % D, &o->err);
        }
    }
    TRY(written);
    for (size_t i = 0; i < now->n; i++) {
        const item *o = &now->items[i];
        if (o->st != SG_OK && err)
            *err = o->err;
        TRY(o->st);
        keep(a, (now->first + i) / D, (now->first + i) % D, o);
    }
done:
    return st;
}

/* Whole classes, or delays of one where its items fill the memory. */
static batch next_batch(const group_work *a, const batch *before)
{
    const size_t D = a->input->D, first = before->first + before->n,
                 end = a->at_once < D ? first - first % D + D : a->input->C * D;
    return (batch){first, end - first < a->at_once ? end - first : a->at_once,
                   before->items == a->pool ? a->pool + a->at_once : a->pool};
}

static sg_status run_batches(group_work *a, const sg_monitor *monitor, double began, double *done_items,
                             double total, sg_error *err)
{
    sg_status st = SG_OK;
    batch before = {0, 0, NULL};
    while (before.first + before.n < a->input->C * a->input->D) {
        const batch now = next_batch(a, &before);
        TRY(run_batch(a, &now, &before, err));
        before = now;
        *done_items += (double)now.n;
        sg_progress progress = {"decomposing", *done_items, total, sg_clock() - began, NAN, 0, 0};
        if (monitor && monitor->tick && !monitor->tick(monitor->ctx, &progress))
            TRY(sg_fail(err, SG_ECANCELLED, "stopped"));
    }
    TRY(write_items(a, &before, err));
done:
    return st;
}

/* sigma_1(class) - sigma_1(all): intervals from the difference of the replicates; p-values adjusted over the
 * group. */
static sg_status put_differences(group_work *a, sg_error *err)
{
    sg_status st = SG_OK;
    const results_input *p = a->input;
    size_t D = p->D, B = p->B, n = p->C * D;
    size_t F = a->s.parts ? B * p->split : B;
    double *without = sg_calloc(B + F, sizeof *without), *weights = sg_calloc(B + F, sizeof *weights);
    double *x = sg_calloc(3 * n, sizeof *x);
    NEED(without && weights && x, err, "%s", a->group->name);
    for (size_t i = 0; i < n; i++) {
        size_t c = i / D, d = i % D;
        for (size_t f = 0; a->s.parts && f < F; f++) {
            weights[B + f] = sums_weight_at(a->sums, f, c, d)->weight;
            without[B + f] = a->s.parts[(c * F + f) * D + d] - a->s.parts[f * D + d];
        }
        for (size_t b = 0; b < B; b++) {
            weights[b] = block_pairs(a, b, c, d);
            without[b] = a->s.without[(c * DECAY_QUANTITIES * B + b) * D + d] - a->s.without[b * D + d];
        }
        sg_interval t = {NAN, NAN, NAN, NAN, NAN, NULL}; /* class all is the reference */
        if (c)
            sg_stats_jackknife_parts(&t, B, weights, a->s.y[c * DECAY_QUANTITIES * D + d] - a->s.y[d],
                                     without, 1, F, weights + B, without + B, 1);
        group_note(a, RUN_NO_DIFFERENCE, c, d, a->input->factor_missing[a->group->model] ? NULL : t.missing);
        x[i] = t.value, x[n + i] = t.low, x[2 * n + i] = t.high;
    }
    TRY(sg_stats_adjust(n, a->s.p, a->s.adjusted, err));
    TRY(run_writer_put_f64(a->w, a->nc, "class_difference", NULL, NULL, x, err));
    TRY(run_writer_put_f64(a->w, a->nc, "class_difference_low", NULL, NULL, x + n, err));
    TRY(run_writer_put_f64(a->w, a->nc, "class_difference_high", NULL, NULL, x + 2 * n, err));
    TRY(run_writer_put_f64(a->w, a->nc, "class_difference_p", NULL, NULL, a->s.p, err));
    TRY(run_writer_put_f64(a->w, a->nc, "class_difference_p_adjusted", NULL, NULL, a->s.adjusted, err));
    TRY(run_writer_put_f64(a->w, a->nc, "class_null_low", NULL, NULL, a->s.null_low, err));
    TRY(run_writer_put_f64(a->w, a->nc, "class_null_high", NULL, NULL, a->s.null_high, err));
done:
    sg_free(without);
    sg_free(weights);
    sg_free(x);
    return st;
}

/* Half-lives of the gains along properties. */
static sg_status put_half_lives(group_work *a, sg_error *err)
{
    sg_status st = SG_OK;
    const results_input *p = a->input;
    double *pairs = sg_calloc(p->B, sizeof *pairs);
    NEED(pairs, err, "%s", a->group->name);
    for (size_t k = 0; k < p->P; k++)
        for (size_t c = 0; c < p->C; c++) {
            const double *y = a->s.property + (k * p->C + c) * p->D;
            size_t start[] = {k, c}, count[] = {1, 1}, row = c * p->P + k;
            sg_interval x;
            for (size_t b = 0; b < p->B; b++)
                pairs[b] = block_pairs(a, b, c, 0);
            TRY(results_property_half_life(&x, &p->folds[a->group->model], k, p->D, y, p->B, pairs,
                                           a->s.along + row * p->B * p->D,
                                           a->s.words + row * PROPERTY_FOLDS * p->D, err));
            if (!isnan(y[0]))
                group_note(a, isnan(x.value) ? RUN_NO_PROPERTY_HALF_LIFE : RUN_NO_PROPERTY_HALF_LIFE_ERROR, c,
                           SIZE_MAX, x.missing);
            TRY(run_writer_put_f64(a->w, a->nc, "property_half_life", start, count, &x.value, err));
            TRY(run_writer_put_f64(a->w, a->nc, "property_half_life_low", start, count, &x.low, err));
            TRY(run_writer_put_f64(a->w, a->nc, "property_half_life_high", start, count, &x.high, err));
        }
done:
    sg_free(pairs);
    return st;
}

/* What long windows cost in accuracy: stored, with a warning above 1e-4. */
static sg_status put_missed(group_work *a, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    const results_input *p = a->input;
    double *error = sg_calloc(p->D, sizeof *error), worst = 0, gradients = 0;
    size_t at = 0;
    if (!error)
        return no_memory(err, "%s", a->group->name);
    for (size_t d = 0; d < p->D; d++) {
        double norms = 0, of = 0, norm = sqrt(a->s.norm[d]);
        for (size_t b = 0; b < p->B * p->split; b++) {
            const sums_missed *x = sums_missed_at(a->sums, b, a->g, d);
            norms += x->norms, of += x->of;
        }
        gradients += of;
        error[d] = of > 0 ? norms / of : 0;
        if (norm > SMALLEST && error[d] > worst * norm)
            worst = error[d] / norm, at = d;
    }
    if (!(gradients > 0))
        goto done;
    TRY(run_writer_define(a->w, a->nc, "mean_gradient_error", err));
    TRY(run_writer_put_f64(a->w, a->nc, "mean_gradient_error", NULL, NULL, error, err));
    if (worst > LARGE_ERROR)
        sg_warn(monitor,
                "%s: the truncation error of shared bases reaches %.1g of the mean gradient (delay %zu; see "
                "mean_gradient_error); lower setting 'long_tolerance', or use setting 'long_after' never",
                a->group->name, worst, at);
done:
    sg_free(error);
    return st;
}

/* The signature of chaos (doc/statistics.md): perturbations grow, so float32 and float64 follow different
 * trajectories, and a few terms rule the mean. The first sign that is seen, in words, or none. */
static bool chaos_sign(const group_work *a, char *text, size_t size, double *work)
{
    const results_input *p = a->input;
    const double *rms = a->s.y + 2 * p->D, *coherence = a->s.coherence;
    sg_interval exponent = {.value = NAN};
    if (p->exponents->K)
        exponents_interval(&exponent, p->exponents, a->group->model, 0, work);
    if (exponent.value > 0)
        return snprintf(text, size, "the largest Lyapunov exponent is %.3g (%.3g to %.3g) per token",
                        exponent.value, exponent.low, exponent.high) > 0;
    if (p->D > 2 && rms[p->D - 1] > rms[1] && rms[p->D - 1] > LEAST_GAIN * rms[0])
        return snprintf(text, size, "the rms gain at delay %zu, %.3g, is above that at delay 1, %.3g",
                        p->D - 1, rms[p->D - 1], rms[1]) > 0;
    for (size_t d = 1; d < p->D; d++)
        if (coherence[d] < LEAST_COHERENCE)
            return snprintf(text, size, "the coherence falls to %.2g at delay %zu", coherence[d], d) > 0;
    return false;
}

static sg_status put_chaos(group_work *a, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    char sign[160];
    double *work = sg_calloc(2 * a->input->B, sizeof *work);
    NEED(work, err, "%zu blocks", a->input->B);
    if (a->group->model || !chaos_sign(a, sign, sizeof sign, work)) /* an untrained copy is a baseline only */
        goto done;
    TRY(run_writer_text(a->w, a->nc, NULL, "chaos", sign, err));
    sg_warn(
        monitor,
        "%s: %s: small changes may grow along this text. The program's states are then one of many trajectories, and "
        "intervals of mean gradients may not hold",
        a->group->name, sign);
done:
    sg_free(work);
    return st;
}

static sg_status one_group(group_work *a, const sg_monitor *monitor, double began, double *done_items,
                           double total, sg_error *err)
{
    sg_status st = SG_OK;
    TRY(workspace_new(a, err));
    TRY(write_define(a, err));
    TRY(run_batches(a, monitor, began, done_items, total, err));
    TRY(write_pairs(a, err));
    TRY(put_differences(a, err));
    TRY(class_ratios_write(a, err));
    TRY(replacement_write(a, err));
    TRY(pairs_write(a, err));
    TRY(units_write(a, err));
    TRY(self_gain_write(a, err));
    TRY(put_half_lives(a, err));
    TRY(decay_write(a, err));
    TRY(exponents_write(a->w, a->nc, a->input->exponents, a->group->model, err));
    TRY(put_chaos(a, monitor, err));
    TRY(put_missed(a, monitor, err));
    TRY(write_missing(a, err));
done:
    workspace_free(a);
    return st;
}

/* What setting 'warm_up' changes. */
static sg_status put_difference(run_writer *w, const block_sums *sums, const sg_monitor *monitor,
                                sg_error *err)
{
    static const double LARGE = 1e-3;
    const double x = sums_largest_difference(sums);
    if (!run_writer_has_attribute(w, "warm_up"))
        return SG_OK;
    if (x > LARGE)
        sg_warn(monitor,
                "setting 'warm_up': states begun from zero differ from those carried along by up to %.2g of "
                "their largest entry; a larger number brings them closer",
                x);
    return run_writer_real(w, RUN_ROOT, NULL, "warm_up_difference", x, err);
}

sg_status results_write(run_writer *w, const results_input *input, const block_sums *sums,
                        const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    double began = sg_clock(), done_items = 0, total = (double)(input->n_groups * input->C * input->D);
    TRY(la_room(1, err));
    TRY(put_difference(w, sums, monitor, err));
    for (size_t g = 0; g < input->n_groups; g++) {
        group_work a = {.g = g, .w = w, .sums = sums};
        workspace_shape(&a, input, &input->groups[g], sums_get_shape(sums)->moments);
        TRY(one_group(&a, monitor, began, &done_items, total, err));
    }
done:
    return st;
}
