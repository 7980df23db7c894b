/* SPDX-License-Identifier: MIT */
/* The conclusion about a decay, in one sentence. */
#include "stats/decay_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *sg_decay_law_name(sg_decay_law law)
{
    static const char *const names[] = {"exponential", "power law", "stretched exponential"};
    return names[law];
}

static void formula(char *text, size_t size, const sg_decay_fit *f, sg_decay_law law)
{
    if (law == SG_DECAY_POWER)
        snprintf(text, size, "%.2g d^-%.2g", f->scale, f->rate);
    else if (law == SG_DECAY_EXPONENTIAL)
        snprintf(text, size, "%.2g exp(-d/%.3g)", f->scale, f->rate);
    else
        snprintf(text, size, "%.2g exp(-(d/%.2g)^%.2g)", f->scale, f->rate, f->shape);
}

static void law_part(char *text, size_t size, const char *quantity, const sg_decay *d)
{
    const sg_decay_fit *f = &d->fit[d->best];
    char law[120], beta[80] = "", among[120] = "";
    formula(law, sizeof law, f, d->best);
    if (isfinite(d->beta.low))
        snprintf(beta, sizeof beta, ", beta %.2g to %.2g", d->beta.low, d->beta.high);
    for (int l = 0; l < SG_DECAY_LAWS; l++)
        if (d->within[l])
            snprintf(among + strlen(among), sizeof among - strlen(among), "%s%s", *among ? " or " : "",
                     sg_decay_law_name((sg_decay_law)l));
    if (d->missing)
        snprintf(text, size, "%s has no decay law (%s)", quantity, d->missing);
    else if (d->verdict == SG_DECAY_ONE_LAW && sg_decay_determined(f))
        snprintf(text, size, "%s falls as %s %s, %s at delays d of 1 and more%s", quantity,
                 d->best == SG_DECAY_EXPONENTIAL ? "an" : "a", sg_decay_law_name(d->best), law, beta);
    else if (d->verdict == SG_DECAY_ONE_LAW)
        snprintf(text, size, "%s is compatible with %s %s whose parameters are not determined%s", quantity,
                 d->best == SG_DECAY_EXPONENTIAL ? "an" : "a", sg_decay_law_name(d->best), beta);
    else if (d->verdict == SG_DECAY_NO_LAW)
        snprintf(text, size,
                 "none of the decay laws fits %s within its error bars (closest: %s%s, off by %.1f %%%s)",
                 quantity, sg_decay_determined(f) ? "" : "a ",
                 sg_decay_determined(f) ? law : sg_decay_law_name(d->best), 100 * f->residual, beta);
    else if (*among)
        snprintf(text, size, "the law of %s is undecided (%s%s)", quantity, among, beta);
    else
        snprintf(text, size, "the law of %s is undecided (%s)", quantity,
                 d->beta.missing ? d->beta.missing : "its errors are not known");
}

static void left_part(char *text, size_t size, const char *step, const sg_decay *d)
{
    static const char *const words[SG_DECAY_SHARES] = {"half", "20 %", "10 %"};
    size_t n = 0;
    if (d->left[0].missing && isnan(d->left[0].value)) {
        snprintf(text, size, "half-life unknown: %s", d->left[0].missing);
        return;
    }
    for (size_t i = 0; i < SG_DECAY_SHARES && !isnan(d->left[i].value) && n < size; i++) {
        const sg_interval *x = &d->left[i];
        if (i == 0)
            n += (size_t)snprintf(text, size, "half of its value at delay %zu is left %.1f %ss later",
                                  d->peak, x->value, step);
        else
            n += (size_t)snprintf(text + n, size - n, ", %s after %.1f", words[i], x->value);
        if (isfinite(x->low) && n < size)
            n += (size_t)snprintf(text + n, size - n, " (%.1f to %.1f)", x->low, x->high);
    }
}

int sg_decay_sentence(char *text, size_t size, const char *quantity, const char *step, const sg_decay *d)
{
    char law[400], left[300];
    law_part(law, sizeof law, quantity, d);
    left_part(left, sizeof left, step, d);
    return snprintf(text, size, "%s; %s", law, left);
}
