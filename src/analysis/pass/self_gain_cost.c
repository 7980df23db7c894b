/* SPDX-License-Identifier: MIT */
/* What the self gains of the analysed states cost. */
#include "analysis/pass/self_gain.h"
#include "gradient/self_gain.h"

double self_gain_cost(const analysis *an)
{
    double flops = 0;
    for (size_t i = 0; i < an->n_states; i++) {
        bool again = false; /* both states of a layer have the same self gain */
        for (size_t k = 0; k < i; k++)
            again |= an->states[k].layer == an->states[i].layer;
        flops += again ? 0 : self_gains_cost(an->shape, an->states[i].layer - 1, an->D);
    }
    return flops;
}
