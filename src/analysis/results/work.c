/* SPDX-License-Identifier: MIT */
/* Operations of results_write, counted from its sizes. */
#include "analysis/results/results_internal.h"
#include "stats/stats_internal.h"

#include <math.h>

/* Of sp_from_gram, or sp_from_mean without its own decomposition. */
static void add_spectrum(results_work *x, double n, double E)
{
    x->products += n * 4 * E * E * E; /* L^T G^T G L and L^T M L */
    x->decompositions += n * 2 * E * E * E;
}

/* sg_class_test_run with L. */
static void add_test(results_work *x, double n, double B, double H, double E)
{
    const double k = fmin(E, TEST_DIRECTIONS), means = 1 + B, pairs = 1 + B + B * (B - 1) / 2;
    x->products += n * (means * (H * E * E + H * E * k) + 2 * E * E * E + E * E * k +
                        means * k * means * k * H + (NULL_DRAWS + 1) * k * k * pairs);
    x->decompositions += n * E * E * E;
    x->steps += n * (6 * B * H * E + (NULL_DRAWS + 1) * 4 * k * k * k);
}

void results_count(const results_input *p, results_work *x)
{
    size_t memory, file;
    *x = (results_work){0};
    results_cost(p, &memory, &file);
    for (size_t g = 0; g < p->n_groups; g++) {
        const double H = (double)p->groups[g].units, E = (double)p->E, B = (double)p->B,
                     parts = p->split > 1 ? B * (double)p->split : 0, n = (double)(p->C * p->D),
                     smaller = fmin(H, E);
        x->products += n * (H * E * E + 2 * E * E * E + (B + parts) * H * E * E);
        x->decompositions += n * (fmax(H, E) * smaller * smaller + E * E * E);
        add_spectrum(x, n * (B + parts), E);
        x->steps += n * (3 * (B + parts) * (H * E + E * E) + (p->P ? RANDOM_DRAWS * smaller : 0));
        if (p->C > 1 && p->B >= TEST_LEAST_BLOCKS)
            add_test(x, n - (double)p->D, B, H, E);
        if (p->words.sums) /* the words of all classes, at most as often as there are draws */
            x->steps += (double)p->words.n * (double)p->D * (double)sg_stats_draws((p->C - 1) * p->D);
    }
    x->bytes = (double)file;
}
