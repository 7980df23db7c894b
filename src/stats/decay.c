/* SPDX-License-Identifier: MIT */
/* Which law does a memory curve follow? Three laws, each a straight line in some abscissa of the logs:
 *
 *   ln y = a - k x(d)
 *   exponential x = d, k = 1/tau    power x = ln d, k = alpha    stretched x = d^beta, k = tau^-beta */
#include "stats/decay_internal.h"
#include "stats/stats_internal.h"

#include "base/base_internal.h"
#include "linalg/linalg.h"

#include <math.h>

enum { MIN_POINTS = 6 };
static const double BETA_MIN = 0.02, BETA_MAX = 4;

static const sg_decay_fit no_fit = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
typedef decay_series series;

/* a, k and the weighted residual sum of squares of one straight line */
typedef struct {
    double a, k, rss;
    double variance_a, variance_k; /* with the residual scale put in */
    double beta;
} line;

static sg_status fit_line(line *out, const series *s, sg_decay_law law, double beta, sg_error *err)
{
    double sw = 0, sx = 0, sxx = 0;
    for (size_t i = 0; i < s->n; i++) {
        double x = decay_abscissa(law, s->d[i], beta), w = s->root_w[i] * s->root_w[i];
        s->A[2 * i] = s->root_w[i];
        s->A[2 * i + 1] = -s->root_w[i] * x;
        s->b[i] = s->root_w[i] * s->log_y[i];
        sw += w;
        sx += w * x;
    }
    sg_status st = la_lstsq(s->n, 2, s->A, s->b, err);
    if (st != SG_OK)
        return st;
    *out = (line){.a = s->b[0], .k = s->b[1], .beta = beta};
    for (size_t i = 0; i < s->n; i++) {
        double x = decay_abscissa(law, s->d[i], beta), r = s->root_w[i] * (s->log_y[i] - out->a + out->k * x);
        out->rss += r * r;
        sxx += s->root_w[i] * s->root_w[i] * (x - sx / sw) * (x - sx / sw);
    }
    double scale = out->rss / (double)(s->n - (law == SG_DECAY_STRETCHED ? 3 : 2));
    out->variance_k = scale / sxx;
    out->variance_a = scale * (1 / sw + sx * sx / (sw * sw * sxx));
    return SG_OK;
}

/* The stretch exponent: a grid on ln beta, then golden sections around its best point. The profile may have
 * flat ends, never a problem for a search that keeps its best point. */
static sg_status fit_stretched(line *best, const series *s, sg_error *err)
{
    enum { GRID = 24 };
    const double step = log(BETA_MAX / BETA_MIN) / (GRID - 1), golden = 0.6180339887498949;
    sg_status st = SG_OK;
    line at;
    size_t least = 0;
    for (size_t i = 0; i < GRID; i++) {
        TRY(fit_line(&at, s, SG_DECAY_STRETCHED, BETA_MIN * exp((double)i * step), err));
        if (i == 0 || at.rss < best->rss) {
            *best = at;
            least = i;
        }
    }
    double low = log(BETA_MIN) + step * (least ? (double)least - 1 : 0);
    double high = log(BETA_MIN) + step * (double)(least + 1 < GRID ? least + 1 : GRID - 1);
    line one, two;
    TRY(fit_line(&one, s, SG_DECAY_STRETCHED, exp(high - golden * (high - low)), err));
    TRY(fit_line(&two, s, SG_DECAY_STRETCHED, exp(low + golden * (high - low)), err));
    while (high - low > 1e-7) {
        bool left = one.rss < two.rss;
        const line *better = left ? &one : &two;
        if (better->rss < best->rss)
            *best = *better;
        if (left) {
            high = log(two.beta);
            two = one;
            TRY(fit_line(&one, s, SG_DECAY_STRETCHED, exp(high - golden * (high - low)), err));
        } else {
            low = log(one.beta);
            one = two;
            TRY(fit_line(&two, s, SG_DECAY_STRETCHED, exp(low + golden * (high - low)), err));
        }
    }
done:
    return st;
}

static sg_status fit_law(sg_decay_fit *out, const series *s, sg_decay_law law, sg_error *err)
{
    line l = {0};
    *out = no_fit;
    out->aic = INFINITY, out->weight = 0;
    sg_status st = law == SG_DECAY_STRETCHED ? fit_stretched(&l, s, err) : fit_line(&l, s, law, 0, err);
    if (st != SG_OK)
        return st;
    out->scale = exp(l.a);
    out->scale_error = out->scale * sqrt(l.variance_a);
    out->rate = law == SG_DECAY_POWER ? l.k : 1 / l.k;
    out->rate_error = law == SG_DECAY_POWER ? sqrt(l.variance_k) : sqrt(l.variance_k) / (l.k * l.k);
    if (law == SG_DECAY_STRETCHED) {
        out->shape = l.beta;
        out->rate = l.k > 0 ? pow(l.k, -1 / l.beta) : NAN;
        out->rate_error = out->shape_error = NAN; /* from the blocks only */
    }
    double n = (double)s->n, K = law == SG_DECAY_STRETCHED ? 4 : 3, mean = fmax(l.rss / n, 1e-24);
    out->residual = sqrt(l.rss / n);
    out->aic = n * log(mean) + 2 * K + 2 * K * (K + 1) / (n - K - 1);
    if (!(l.k > 0)) /* does not fall: no law of decay */
        out->aic = INFINITY;
    return SG_OK;
}

/* errors NULL: equal weights. Returns the number of usable points. */
static size_t collect(series *s, size_t D, const double *y, const double *error)
{
    s->n = 0;
    double total = 0;
    for (size_t d = 1; d < D; d++) {
        if (!(y[d] > 0) || !isfinite(y[d]) || (error && !(error[d] > 0 && isfinite(error[d]))))
            continue;
        s->d[s->n] = (double)d;
        s->log_y[s->n] = log(y[d]);
        s->root_w[s->n] = error ? y[d] / error[d] : 1;
        total += s->root_w[s->n] * s->root_w[s->n];
        s->n++;
    }
    for (size_t i = 0; i < s->n; i++)
        s->root_w[i] *= sqrt((double)s->n / total);
    return s->n;
}

static bool varies(const series *s)
{
    double least = INFINITY, most = -INFINITY;
    for (size_t i = 0; i < s->n; i++) {
        least = fmin(least, s->log_y[i]);
        most = fmax(most, s->log_y[i]);
    }
    return most - least > 1e-6; /* less is the rounding of float32 sums */
}

static void set_akaike_weights(sg_decay *out)
{
    double least = INFINITY, sum = 0;
    for (int law = 0; law < SG_DECAY_LAWS; law++)
        least = fmin(least, out->fit[law].aic);
    for (int law = 0; law < SG_DECAY_LAWS; law++) {
        out->fit[law].weight = isfinite(least) ? exp(-0.5 * (out->fit[law].aic - least)) : NAN;
        sum += out->fit[law].weight;
    }
    for (int law = 0; law < SG_DECAY_LAWS; law++)
        out->fit[law].weight /= sum;
}

/* Everything with an error of its own, in one row: per law scale, rate, shape; ln beta; the delays of the
 * shares. */
enum { LOG_BETA = 3 * SG_DECAY_LAWS, LEFT, ROW = LEFT + SG_DECAY_SHARES };

static void to_row(double row[ROW], const sg_decay *d)
{
    for (int law = 0; law < SG_DECAY_LAWS; law++) {
        row[3 * law] = d->fit[law].scale;
        row[3 * law + 1] = d->fit[law].rate;
        row[3 * law + 2] = d->fit[law].shape;
    }
    row[LOG_BETA] = log(d->fit[SG_DECAY_STRETCHED].shape);
    for (size_t i = 0; i < SG_DECAY_SHARES; i++)
        row[LEFT + i] = d->left[i].value;
}

/* The fits and the delays of the shares of the series without block b. The weights are made without it too:
 * they are estimates like the rest, and held fixed they would hide a quarter of the scatter. They follow the
 * errors `whole` of the whole series, which may be wider than those of the blocks at some delays and missing
 * at others: every fit uses the same delays. */
static sg_status without_block(double row[ROW], series *s, size_t D, const double *y, size_t peak,
                               const double *spread, size_t B, size_t b, const double *whole, double *error,
                               sg_error *err)
{
    sg_status st = SG_OK;
    sg_decay one = {0};
    decay_left(one.left, D, y, peak);
    for (size_t d = 0; d < D; d++) {
        double all = 0, rest = 0;
        for (size_t other = 0; other < B; other++) {
            double square = spread[other * D + d] * spread[other * D + d];
            all += square;
            rest += other == b ? 0 : square;
        }
        error[d] = whole ? whole[d] * sqrt(rest / all) : NAN;
    }
    size_t n = collect(s, D, y, whole ? error : NULL);
    for (int law = 0; law < SG_DECAY_LAWS; law++) {
        one.fit[law] = (sg_decay_fit){.scale = NAN, .rate = NAN, .shape = NAN};
        if (n >= MIN_POINTS && varies(s))
            TRY(fit_law(&one.fit[law], s, (sg_decay_law)law, err));
    }
    to_row(row, &one);
done:
    return st;
}

/* Replaces the errors by those of the block jackknife: the same fit of each series without a block.
 * whole_error NULL: without weights. */
static sg_status block_errors(sg_decay *out, series *s, size_t D, const double *y, const double *whole_error,
                              size_t B, const double *pairs, const double *without, sg_error *err)
{
    sg_status st = SG_OK;
    double whole[ROW], *rows = sg_calloc(B, ROW * sizeof *rows), *spread = sg_calloc(B, D * sizeof *spread);
    double *error = sg_calloc(D, sizeof *error);
    NEED(rows && spread && error, err, "%zu decay fits over %zu delays", B, D);
    for (size_t d = 0; d < D; d++) { /* (B, D): each block's part in the error of each delay */
        double sum;
        stats_jackknife(B, pairs, y[d], without + d, D, &sum, spread + d, D);
    }
    for (size_t b = 0; b < B; b++)
        if (pairs[b] > 0)
            TRY(without_block(rows + b * ROW, s, D, without + b * D, out->peak, spread, B, b, whole_error,
                              error, err));
    to_row(whole, out);
    for (size_t i = 0; i < ROW; i++) {
        sg_interval x;
        sg_stats_jackknife(&x, B, pairs, whole[i], rows + i, ROW);
        if (i < LOG_BETA) {
            sg_decay_fit *fit = &out->fit[i / 3];
            *(i % 3 == 0 ? &fit->scale_error : i % 3 == 1 ? &fit->rate_error : &fit->shape_error) = x.error;
        } else if (i == LOG_BETA) {
            double beta = out->fit[SG_DECAY_STRETCHED].shape;
            out->beta =
                (sg_interval){beta, beta * x.bias, beta * x.error, exp(x.low), exp(x.high), x.missing};
        } else if (!out->left[i - LEFT].missing) {
            out->left[i - LEFT] = x;
            sg_stats_clamp(&out->left[i - LEFT], 0, INFINITY);
        }
    }
done:
    sg_free(rows);
    sg_free(spread);
    sg_free(error);
    return st;
}

bool sg_decay_determined(const sg_decay_fit *f)
{
    return f->scale_error < 0.5 * f->scale && f->rate_error < 0.5 * fabs(f->rate) &&
           (isnan(f->shape) || f->shape_error < 0.5 * f->shape);
}

void sg_decay_decide(sg_decay *out)
{
    bool holds_one = out->beta.low <= 1 && out->beta.high >= 1;
    bool other = out->beta.low > 1 || out->beta.high < 1; /* neither: there is no interval */
    size_t n = 0;
    double least = INFINITY;
    out->verdict = SG_DECAY_UNDECIDED;
    for (int law = 0; law < SG_DECAY_LAWS; law++)
        if (out->fit[law].aic < least)
            least = out->fit[law].aic, out->best = (sg_decay_law)law;
    if (!holds_one && !other)
        return;
    for (int law = 0; law < SG_DECAY_LAWS; law++)
        out->within[law] = out->fit[law].misfit_p >= 0.01 && isfinite(out->fit[law].aic);
    if (holds_one && out->within[SG_DECAY_EXPONENTIAL]) {
        out->verdict = SG_DECAY_ONE_LAW;
        out->best = SG_DECAY_EXPONENTIAL;
        return;
    }
    if (other && out->fit[SG_DECAY_EXPONENTIAL].misfit_p < 0.05)
        out->within[SG_DECAY_EXPONENTIAL] = false;
    for (int law = 0; law < SG_DECAY_LAWS; law++)
        if (out->within[law]) {
            out->best = n ? out->best : (sg_decay_law)law;
            n++;
        }
    if (n == 0)
        out->verdict = SG_DECAY_NO_LAW;
    else if (n == 1 && sg_decay_determined(&out->fit[out->best]))
        out->verdict = SG_DECAY_ONE_LAW;
}

sg_status sg_stats_decay(sg_decay *out, size_t D, const double *y, const double *error, size_t B,
                         const double *pairs, const double *without, sg_error *err)
{
    sg_status st = SG_OK;
    series s = {0};
    bool weighted = false;
    const char *no_blocks = "no blocks, so no errors";
    *out = (sg_decay){.beta = {NAN, NAN, NAN, NAN, NAN, no_blocks}};
    for (int law = 0; law < SG_DECAY_LAWS; law++)
        out->fit[law] = no_fit;
    if (!D)
        return sg_fail(err, SG_EINVAL, "statistics: a decay without delays");
    for (size_t d = 1; error && d < D; d++)
        weighted = weighted || (error[d] > 0 && isfinite(error[d]));
    NEED((s.d = sg_calloc(D, sizeof *s.d)) && (s.log_y = sg_calloc(D, sizeof *s.log_y)) &&
             (s.root_w = sg_calloc(D, sizeof *s.root_w)) && (s.A = sg_calloc(D, 2 * sizeof *s.A)) &&
             (s.b = sg_calloc(D, sizeof *s.b)),
         err, "a decay over %zu delays", D);
    out->peak = decay_peak(D, y);
    decay_left(out->left, D, y, out->peak);
    out->points = collect(&s, D, y, weighted ? error : NULL);
    if (out->points < MIN_POINTS)
        out->missing = "fewer than 6 usable delays beyond 0";
    else if (!varies(&s))
        out->missing = "the series is constant";
    for (int law = 0; !out->missing && law < SG_DECAY_LAWS; law++)
        TRY(fit_law(&out->fit[law], &s, (sg_decay_law)law, err));
    if (!out->missing) {
        set_akaike_weights(out);
        if (isnan(out->fit[0].weight))
            out->missing = "the series does not fall with the delay";
    }
    for (int law = 0; out->missing && law < SG_DECAY_LAWS; law++)
        out->fit[law] = no_fit;
    if (B && pairs && without) {
        TRY(block_errors(out, &s, D, y, weighted ? error : NULL, B, pairs, without, err));
        out->points = collect(&s, D, y, weighted ? error : NULL);
        for (int law = 0; !out->missing && law < SG_DECAY_LAWS; law++)
            TRY(decay_misfit(&out->fit[law].misfit_p, &s, &out->fit[law], (sg_decay_law)law, B, pairs,
                             without, D, err));
    }
    if (!out->missing)
        sg_decay_decide(out);
done:
    sg_free(s.d);
    sg_free(s.log_y);
    sg_free(s.root_w);
    sg_free(s.A);
    sg_free(s.b);
    return st;
}
