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
    for (size_t p = 0; an->properties && p < an->P; p++)
        for (size_t i = 0; i < an->properties[p].pairs; i++)
            for (size_t side = 0; side < 2; side++)
                n += (double)an->word_count[an->properties[p].pair[i][side]];
    return 1 + n / (double)an->T;
}

/* Products of states and of G dx, and what is elementwise: ELEMENT operations' time of each unit; of a KL, of each
 * word. Measured, see doc/analyze.md. */
void replacement_cost(const analysis *an, double *states, double *kl)
{
    enum { ELEMENT = 3400, WORD = 860 };
    const sg_model_shape *s = an->shape;
    const cell_type *cell = cell_of(s->cell);
    const double G = (double)cell->gates, D = (double)an->D;
    *states = *kl = 0;
    for (size_t l = 0; l < s->layers; l++) {
        double H = (double)s->hidden[l], below = l ? (double)s->hidden[l - 1] : 0;
        *states += D * H * (4 * G * ((cell->recurrence == CELL_DENSE ? H : 0) + below) + ELEMENT);
    }
    if (s->has_decoder)
        *kl =
            (double)kl_delays(an->D) * (double)s->vocabulary * (2 * (double)s->hidden[s->layers - 1] + WORD);
    *states *= columns_of_word(an), *kl *= columns_of_word(an);
}
