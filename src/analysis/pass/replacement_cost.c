/* SPDX-License-Identifier: MIT */
/* What replacing a word costs. */
#include "analysis/pass/replacement.h"

#include "cell/cell.h"

bool replacement_kl_delay(size_t d)
{
    return !(d & (d - 1)) || !d;
}

static size_t kl_delays(size_t D)
{
    size_t n = 0;
    for (size_t d = 0; d < D; d++)
        n += replacement_kl_delay(d);
    return n;
}

double replacement_partners(const analysis *an)
{
    double n = 0;
    for (size_t p = 0; an->V && an->properties && p < an->P; p++)
        for (size_t i = 0; i < an->properties[p].pairs; i++)
            for (size_t side = 0; side < 2; side++)
                n += (double)an->word_count[an->properties[p].pair[i][side]];
    return n;
}

/* Columns of a replaced word, on average. */
static double columns_of_word(const analysis *an)
{
    const size_t M = an->n_members;
    const int64_t *x = an->members; /* words, classes, tokens */
    double n = 0;
    for (size_t i = 0, end; i < M; i = end) {
        double of_class = 0;
        size_t words = 0;
        for (end = i; end < M && x[M + end] == x[M + i]; end++)
            words += x[2 * M + end] > 0, of_class += (double)x[2 * M + end];
        n += words > 1 ? of_class : 0;
    }
    return 1 + (n + replacement_partners(an)) / (double)an->T;
}

/* One column of replacements, D delays of it. Products of states and of G dx, and what is elementwise:
 * ELEMENT operations' time of each unit. Measured, see doc/analyze.md. */
static double column_cost(const analysis *an, size_t D)
{
    enum { ELEMENT = 3400 };
    const sg_model_shape *s = an->shape;
    const cell_type *cell = cell_of(s->cell);
    const double G = (double)cell->gates;
    double cost = 0;
    for (size_t l = 0; l < s->layers; l++) {
        double H = (double)s->hidden[l], below = l ? (double)s->hidden[l - 1] : 0;
        cost += (double)D * H * (4 * G * ((cell->recurrence == CELL_DENSE ? H : 0) + below) + ELEMENT);
    }
    return cost;
}

/* A KL: WORD operations' time of each word. Measured, see doc/analyze.md. */
void replacement_cost(const analysis *an, double *states, double *kl)
{
    enum { WORD = 860 };
    const sg_model_shape *s = an->shape;
    *states = column_cost(an, an->D), *kl = 0;
    if (s->has_decoder)
        *kl =
            (double)kl_delays(an->D) * (double)s->vocabulary * (2 * (double)s->hidden[s->layers - 1] + WORD);
    *states *= columns_of_word(an), *kl *= columns_of_word(an);
}

/* One vector at a time, so products wait for memory: ALONE times as slow. NODES on average, each state by
 * itself. */
double replacement_path_cost(const analysis *an)
{
    enum { NODES = 16, ALONE = 8 };
    const size_t D = an->D < REPLACED_PATH_DELAYS ? an->D : REPLACED_PATH_DELAYS;
    return NODES * ALONE * (double)an->n_states * column_cost(an, D);
}
