/* SPDX-License-Identifier: MIT */
/* Single units of the state, in the summary of a run. */
#include "summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 5 };

/* The n of H numbers that are furthest from 0, the largest first; fewer where there are no more. */
static size_t largest(const double *x, size_t H, size_t *at, size_t n)
{
    size_t found = 0;
    for (; found < n; found++) {
        size_t best = H;
        for (size_t u = 0; u < H; u++) {
            bool taken = !isfinite(x[u]);
            for (size_t k = 0; k < found; k++)
                taken |= at[k] == u;
            if (!taken && (best == H || fabs(x[u]) > fabs(x[best])))
                best = u;
        }
        if (best == H)
            break;
        at[found] = best;
    }
    return found;
}

/* VARIABLEsuffix of class all at delay d, of property p (SIZE_MAX: of none): (H). */
static bool read_units(const sg_run *r, const char *group, const char *variable, const char *suffix, size_t p,
                       size_t d, size_t H, double *x)
{
    char name[64];
    size_t start[] = {p, 0, d, 0}, count[] = {1, 1, 1, H}, skip = p == SIZE_MAX;
    snprintf(name, sizeof name, "%s%s", variable, suffix);
    return sg_run_read(r, group, name, start + skip, count + skip, x, NULL) == SG_OK;
}

/* The units at[0..n) with what they move, and why one has no interval, or one that does not hold its value.
 * first: (H) at delay 0, of which a share is left; x: that is what is shown; NULL: x has signs. */
static void print_list(sg_run *r, const char *group, const char *variable, size_t n, const size_t *at,
                       const double *x, const double *low, const double *high, const double *first)
{
    char name[64], why[256];
    bool withheld = false, outside = false;
    for (size_t k = 0; k < n; k++) {
        const size_t u = at[k];
        printf(first ? "    unit %4zu  %.3g" : "    unit %4zu  %+.3g", u, x[u]);
        print_range(low[u], high[u]);
        if (first && first != x)
            printf(", %.3g %% of that at delay 0", 100 * x[u] / first[u]);
        putchar('\n');
        withheld |= !isfinite(low[u]);
        outside |= x[u] < low[u] || x[u] > high[u];
    }
    snprintf(name, sizeof name, "%s_low", variable);
    if (!n)
        puts("    none has a value");
    if (withheld)
        printf("  no interval: %s\n", why_missing(r, group, name, why));
    if (outside)
        fputs(OUTSIDE_INTERVAL, stdout);
}

/* Half-lives of which NaN is beyond all delays, the longest first; then by what is left. */
typedef struct {
    double half, left;
    size_t unit;
} kept_unit;

static int by_length(const void *a, const void *b)
{
    const kept_unit *x = a, *y = b;
    const double p = isnan(x->half) ? INFINITY : x->half, q = isnan(y->half) ? INFINITY : y->half;
    if (p != q)
        return p > q ? -1 : 1;
    if (x->left != y->left)
        return x->left > y->left ? -1 : 1;
    return (x->unit > y->unit) - (x->unit < y->unit);
}

static void print_half_life(double x, size_t last)
{
    if (isnan(x))
        printf("above %zu", last);
    else
        printf("%.3g", x);
}

/* The units in which a change of them is left longest. */
static void print_self_gains(sg_run *r, const char *group)
{
    size_t rank, shape[SG_RUN_MAX_DIMS], last = sg_run_delays(r) - 1, row[] = {last, 0};
    if (!last || !sg_run_shape(r, group, "unit_self_gain", &rank, shape) || rank != 2)
        return;
    size_t H = shape[1], one_row[] = {1, H}, found = 0;
    double *half = calloc(2 * H, sizeof *half), *left = half + H;
    kept_unit *units = calloc(H, sizeof *units);
    if (half && units && sg_run_read(r, group, "unit_self_half_life", NULL, NULL, half, NULL) == SG_OK &&
        sg_run_read(r, group, "unit_self_gain", row, one_row, left, NULL) == SG_OK)
        for (size_t u = 0; u < H; u++)
            if (isfinite(left[u]))
                units[found++] = (kept_unit){half[u], left[u], u};
    if (found) {
        qsort(units, found, sizeof *units, by_length);
        printf(
            "  self gain, what is left in a unit of a small change of it: half-life in tokens (share left at "
            "delay %zu)\n   ",
            last);
        for (size_t k = 0; k < SHOWN && k < found; k++) {
            printf("%s unit %zu: ", k ? "," : "", units[k].unit);
            print_half_life(units[k].half, last);
            printf(" (%.2g)", units[k].left);
        }
        printf("; the middle one of %zu units: ", found);
        print_half_life(units[found / 2].half, last);
        putchar('\n');
    }
    free(half), free(units);
}

/* Number of intervals if all of them contain 0: the largest of such units would be a list of chance. */
static size_t all_contain_zero(const double *low, const double *high, size_t H)
{
    size_t known = 0;
    for (size_t u = 0; u < H; u++) {
        if (low[u] > 0 || high[u] < 0)
            return 0;
        known += isfinite(low[u]) ? 1 : 0;
    }
    return known;
}

/* Units by what a step along property p adds to them at delay d; x: room for 3 H. */
static void print_property_units(sg_run *r, const char *group, size_t p, size_t d, size_t H, double *x)
{
    double *low = x + H, *high = low + H;
    size_t at[SHOWN], known;
    if (!read_units(r, group, "unit_property_gain", "", p, d, H, x) ||
        !read_units(r, group, "unit_property_gain", "_low", p, d, H, low) ||
        !read_units(r, group, "unit_property_gain", "_high", p, d, H, high))
        return;
    if ((known = all_contain_zero(low, high, H))) {
        printf("  units that a step along %s moves most, delay %zu: none is shown, since all %zu intervals "
               "contain 0\n",
               shown(sg_run_property_name(r, p)), d, known);
        return;
    }
    printf("  units that a step along %s moves most, delay %zu\n", shown(sg_run_property_name(r, p)), d);
    print_list(r, group, "unit_property_gain", largest(x, H, at, SHOWN), at, x, low, high, NULL);
}

void print_units(sg_run *r, const char *group)
{
    size_t rank, shape[SG_RUN_MAX_DIMS], at[SHOWN], D = sg_run_delays(r);
    if (!sg_run_shape(r, group, "unit_gain", &rank, shape))
        return;
    const size_t H = shape[2];
    double *x = calloc(4 * H, sizeof *x), *low = x + H, *high = low + H, *first = high + H;
    if (x && read_units(r, group, "unit_gain", "", SIZE_MAX, D - 1, H, x) &&
        read_units(r, group, "unit_gain", "_low", SIZE_MAX, D - 1, H, low) &&
        read_units(r, group, "unit_gain", "_high", SIZE_MAX, D - 1, H, high) &&
        read_units(r, group, "unit_gain", "", SIZE_MAX, 0, H, first)) {
        printf(
            "\n%s: units with the largest gain at delay %zu, each along its own best direction (95 %% interval)\n",
            shown(group), D - 1);
        print_list(r, group, "unit_gain", largest(x, H, at, SHOWN), at, x, low, high, D > 1 ? first : x);
    }
    for (size_t p = 0; x && p < sg_run_properties(r); p++)
        print_property_units(r, group, p, D > 1, H, x);
    free(x);
    print_self_gains(r, group);
}
