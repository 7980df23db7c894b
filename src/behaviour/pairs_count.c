/* SPDX-License-Identifier: MIT */
/* pairs_count.c - accuracy, differences and attributions by condition, with their intervals. */
#include "behaviour/pairs_internal.h"

#include "base/base_internal.h"
#include "stategrad/stats.h"

#include <math.h>
#include <string.h>

/* Mean and sum of squared deviations, one number after the other (Welford). */
typedef struct {
    uint64_t n;
    double mean, squares;
} moments;

static void add(moments *m, double x)
{
    const double before = x - m->mean;
    m->n++;
    m->mean += before / (double)m->n;
    m->squares += before * (x - m->mean);
}

/* mean +- t_{.975, n-1} s / sqrt(n) */
static void interval(const moments *m, double *mean, double *low, double *high)
{
    const double n = (double)m->n;
    *mean = m->n ? m->mean : (double)NAN;
    const double half =
        m->n > 1 ? sg_stats_t_quantile(0.975, n - 1) * sqrt(m->squares / (n - 1) / n) : (double)NAN;
    *low = *mean - half, *high = *mean + half;
}

/* Wilson 1927: the shares p with |k/n - p| <= z sqrt(p (1 - p) / n); k may be a half. */
static void wilson(double k, double n, double *low, double *high)
{
    const double z = 1.959963984540054, share = k / n, centre = share + z * z / (2 * n),
                 half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)), scale = 1 + z * z / n;
    *low = n > 0 ? fmax(0, (centre - half) / scale) : (double)NAN;
    *high = n > 0 ? fmin(1, (centre + half) / scale) : (double)NAN;
}

static bool in_condition(const pairs_entry *e, size_t condition)
{
    return !condition || e->condition == (int32_t)condition - 1;
}

static void count_condition(const sg_pairs *p, size_t c, sg_pairs_condition *out)
{
    moments m = {0};
    *out = (sg_pairs_condition){.name = c ? string_table_get(p->file.condition, c - 1, NULL) : "all"};
    for (size_t i = 0; i < p->file.n; i++) {
        const pairs_result *r = &p->results[i];
        if (!in_condition(&p->file.entries[i], c))
            continue;
        out->left_out += r->left_out;
        if (r->left_out)
            continue;
        out->pairs++;
        out->one_unknown += r->one_unknown;
        out->right += r->difference > 0;
        out->ties += !(r->difference > 0) && !(r->difference < 0);
        add(&m, r->difference);
    }
    const double right = (double)out->right + (double)out->ties / 2, n = (double)out->pairs;
    out->accuracy = out->pairs ? right / n : (double)NAN;
    wilson(right, n, &out->accuracy_low, &out->accuracy_high);
    interval(&m, &out->difference, &out->difference_low, &out->difference_high);
}

/* Sum over the words of a role that are read in a pair; false: there are none. */
static bool role_sum(const sg_pairs *p, size_t i, size_t role, double *sum)
{
    const pairs_entry *e = &p->file.entries[i];
    bool any = false;
    *sum = 0;
    for (size_t k = e->place; k < e->place + e->n_places; k++) {
        const double x = p->attribution[p->results[i].attribution + 1 + p->file.places[k].word];
        if (p->file.places[k].role != (int32_t)role || isnan(x))
            continue;
        *sum += x;
        any = true;
    }
    return any;
}

static void count_role(const sg_pairs *p, size_t c, size_t role, sg_pairs_role *out)
{
    moments m = {0}, less = {0};
    double first, x;
    *out = (sg_pairs_role){.name = string_table_get(p->file.role, role, NULL)};
    for (size_t i = 0; i < p->file.n; i++) {
        if (p->results[i].left_out || !in_condition(&p->file.entries[i], c) || !role_sum(p, i, role, &x))
            continue;
        add(&m, x);
        if (role && role_sum(p, i, 0, &first))
            add(&less, first - x);
    }
    out->pairs = m.n, out->both = less.n;
    interval(&m, &out->attribution, &out->low, &out->high);
    interval(&less, &out->first_minus, &out->first_minus_low, &out->first_minus_high);
}

/* What the nodes leave of the differences. */
static void count_gaps(sg_pairs *p)
{
    double gaps = 0, changes = 0, largest = 0;
    bool path = false;
    for (size_t i = 0; i < p->file.n && p->attribution; i++) {
        const pairs_result *r = &p->results[i];
        double sum = 0;
        if (isnan(r->origin))
            continue;
        for (const double *x = p->attribution + r->attribution; x < p->attribution + r->attribution + r->n;
             x++)
            sum += isnan(*x) ? 0 : *x;
        const double change = r->difference - r->origin, gap = fabs(sum - change);
        path = true, gaps += gap, changes += fabs(change), largest = fmax(largest, gap);
    }
    p->summary.gap = path ? gaps / changes : (double)NAN;
    p->summary.largest_gap = path ? largest : (double)NAN;
}

sg_status pairs_count(sg_pairs *p, sg_error *err)
{
    sg_status st = SG_OK;
    p->n_conditions = 1 + string_table_count(p->file.condition);
    p->n_roles = p->attribution ? string_table_count(p->file.role) : 0;
    NEED((p->conditions = sg_calloc(p->n_conditions, sizeof *p->conditions)) &&
             (p->roles = sg_calloc(p->n_conditions, p->n_roles * sizeof *p->roles)),
         err, "%zu conditions", p->n_conditions);
    for (size_t c = 0; c < p->n_conditions; c++) {
        count_condition(p, c, &p->conditions[c]);
        for (size_t role = 0; role < p->n_roles; role++)
            count_role(p, c, role, &p->roles[c * p->n_roles + role]);
    }
    count_gaps(p);
done:
    return st;
}

const sg_pairs_condition *sg_pairs_get_condition(const sg_pairs *p, size_t condition)
{
    return condition < p->n_conditions ? &p->conditions[condition] : NULL;
}

const sg_pairs_role *sg_pairs_get_role(const sg_pairs *p, size_t condition, size_t role)
{
    return condition < p->n_conditions && role < p->n_roles ? &p->roles[condition * p->n_roles + role] : NULL;
}
