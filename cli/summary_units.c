/* SPDX-License-Identifier: MIT */
/* Single units of the state, in the summary of a run. */
#include "summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

void print_units(sg_run *r, const char *group)
{
    enum { SHOWN = 5 };
    size_t rank, shape[SG_RUN_MAX_DIMS], at[SHOWN], D = sg_run_delays(r);
    if (!sg_run_shape(r, group, "unit_gain", &rank, shape))
        return;
    const size_t H = shape[2], d = D > 1;
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
    for (size_t p = 0; x && p < sg_run_properties(r); p++) {
        if (!read_units(r, group, "unit_property_gain", "", p, d, H, x) ||
            !read_units(r, group, "unit_property_gain", "_low", p, d, H, low) ||
            !read_units(r, group, "unit_property_gain", "_high", p, d, H, high))
            break;
        printf("  units that a step along %s moves most, delay %zu\n", shown(sg_run_property_name(r, p)), d);
        print_list(r, group, "unit_property_gain", largest(x, H, at, SHOWN), at, x, low, high, NULL);
    }
    free(x);
}
