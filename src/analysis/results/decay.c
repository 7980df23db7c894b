/* SPDX-License-Identifier: MIT */
/* Laws of decay, and how long each curve lasts, of every class and series. */
#include "analysis/results/results_internal.h"

#include "base/base_internal.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* One number per law. */
static const struct {
    const char *name;
    size_t at;
} of_law[] = {
    {"decay_scale", offsetof(sg_decay_fit, scale)},
    {"decay_scale_error", offsetof(sg_decay_fit, scale_error)},
    {"decay_rate", offsetof(sg_decay_fit, rate)},
    {"decay_rate_error", offsetof(sg_decay_fit, rate_error)},
    {"decay_shape", offsetof(sg_decay_fit, shape)},
    {"decay_shape_error", offsetof(sg_decay_fit, shape_error)},
    {"decay_residual", offsetof(sg_decay_fit, residual)},
    {"decay_aic", offsetof(sg_decay_fit, aic)},
    {"decay_weight", offsetof(sg_decay_fit, weight)},
    {"decay_misfit_p", offsetof(sg_decay_fit, misfit_p)},
};
/* One number per series; the value, low and high of beta; per share the delay after the peak. */
enum { FIELDS = sizeof of_law / sizeof *of_law, SHARES = SG_DECAY_SHARES };

typedef struct {
    size_t n;                                                          /* classes times series */
    double *of_law[FIELDS], *beta_low, *beta_high;                     /* (n, laws) */
    double *verdict, *peak, *half, *half_low, *half_high, *half_error; /* (n) */
    double *share, *share_low, *share_high;                            /* (n, shares) */
} columns;

static bool columns_new(columns *x, double **room, size_t n)
{
    *x = (columns){.n = n};
    const size_t laws = n * DECAY_LAWS, shares = n * SHARES;
    double *at = *room = sg_calloc((FIELDS + 2) * laws + 6 * n + 3 * shares, sizeof *at);
    if (!at)
        return false;
    for (size_t k = 0; k < FIELDS; k++, at += laws)
        x->of_law[k] = at;
    x->beta_low = at, x->beta_high = at + laws, at += 2 * laws;
    x->verdict = at, x->peak = at + n, x->half = at + 2 * n, x->half_low = at + 3 * n;
    x->half_high = at + 4 * n, x->half_error = at + 5 * n, at += 6 * n;
    x->share = at, x->share_low = at + shares, x->share_high = at + 2 * shares;
    return true;
}

static void fill(columns *x, size_t i, const sg_decay *fit)
{
    for (size_t l = 0; l < DECAY_LAWS; l++) {
        for (size_t k = 0; k < FIELDS; k++) {
            double value;
            memcpy(&value, (const char *)&fit->fit[l] + of_law[k].at, sizeof value);
            x->of_law[k][i * DECAY_LAWS + l] = fit->missing ? (double)NAN : value;
        }
        bool beta = l == SG_DECAY_STRETCHED && !fit->missing;
        x->beta_low[i * DECAY_LAWS + l] = beta ? fit->beta.low : (double)NAN;
        x->beta_high[i * DECAY_LAWS + l] = beta ? fit->beta.high : (double)NAN;
    }
    x->verdict[i] = fit->missing || fit->verdict == SG_DECAY_UNDECIDED ? -2
                    : fit->verdict == SG_DECAY_NO_LAW                  ? -1
                                                                       : (double)fit->best;
    x->peak[i] = fit->left[0].missing && isnan(fit->left[0].value) && fit->peak == 0 && fit->points == 0
                     ? (double)NAN
                     : (double)fit->peak;
    x->half[i] = fit->left[0].value, x->half_low[i] = fit->left[0].low, x->half_high[i] = fit->left[0].high;
    x->half_error[i] = fit->left[0].error;
    for (size_t s = 0; s < SHARES; s++) {
        x->share[i * SHARES + s] = fit->left[s].value;
        x->share_low[i * SHARES + s] = fit->left[s].low;
        x->share_high[i * SHARES + s] = fit->left[s].high;
    }
}

static void note_reasons(group_work *a, size_t c, const sg_decay *fit)
{
    const char *no_misfit = NULL;
    group_note(a, RUN_NO_DECAY, c, SIZE_MAX, fit->missing);
    if (!fit->missing)
        group_note(a, RUN_NO_DECAY_ERROR, c, SIZE_MAX, fit->beta.missing);
    for (size_t l = 0; !fit->missing && l < DECAY_LAWS; l++)
        if (isnan(fit->fit[l].misfit_p))
            no_misfit = "the blocks do not determine the errors of a lack of fit";
    group_note(a, RUN_NO_MISFIT, c, SIZE_MAX, no_misfit);
    for (size_t s = 0; s < SHARES; s++) {
        const sg_interval *x = &fit->left[s];
        bool there = !isnan(x->value);
        group_note(a, there ? RUN_NO_SHARE_ERROR : RUN_NO_SHARE, c, SIZE_MAX, x->missing);
        if (s == 0)
            group_note(a, there ? RUN_NO_HALF_LIFE_ERROR : RUN_NO_HALF_LIFE, c, SIZE_MAX, x->missing);
    }
}

static sg_status write_columns(group_work *a, const columns *x, sg_error *err)
{
    sg_status st = SG_OK;
    const struct {
        const char *name;
        const double *x;
    } rest[] = {
        {"decay_shape_low", x->beta_low},
        {"decay_shape_high", x->beta_high},
        {"decay_verdict", x->verdict},
        {"peak_delay", x->peak},
        {"half_life", x->half},
        {"half_life_low", x->half_low},
        {"half_life_high", x->half_high},
        {"half_life_error", x->half_error},
        {"share_delay", x->share},
        {"share_delay_low", x->share_low},
        {"share_delay_high", x->share_high},
    };
    for (size_t k = 0; k < FIELDS; k++)
        TRY(run_writer_put_f64(a->w, a->nc, of_law[k].name, NULL, NULL, x->of_law[k], err));
    for (size_t k = 0; k < sizeof rest / sizeof *rest; k++)
        TRY(run_writer_put_f64(a->w, a->nc, rest[k].name, NULL, NULL, rest[k].x, err));
done:
    return st;
}

sg_status decay_write(group_work *a, sg_error *err)
{
    sg_status st = SG_OK;
    const results_input *p = a->input;
    size_t D = p->D, B = p->B, Q = group_quantities(a), n = p->C * Q;
    columns x;
    double *room = NULL, *weights = sg_calloc(B, sizeof *weights);
    NEED(columns_new(&x, &room, n) && weights, err, "%s", a->group->name);
    for (size_t i = 0; i < n; i++) {
        const size_t c = i / Q, q = i % Q, at = c * DECAY_QUANTITIES + q;
        sg_decay fit;
        for (size_t b = 0; b < B; b++)
            weights[b] = q < DECAY_OF_GRADIENTS ? block_pairs(a, b, c, 0) : block_replaced(a, b, c, 0);
        TRY(sg_stats_decay(&fit, D, a->s.y + at * D, a->s.error + at * D, B, weights,
                           a->s.without + at * B * D, err));
        fill(&x, i, &fit);
        if (!p->factor_missing[a->group->model]) /* inputs that do not vary change nothing when replaced */
            note_reasons(a, c, &fit);
    }
    TRY(write_columns(a, &x, err));
done:
    sg_free(room);
    sg_free(weights);
    return st;
}
