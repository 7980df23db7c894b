/* SPDX-License-Identifier: MIT */
/* Words of a corpus, and the nats of who knows how it is drawn. */
#include "synth/synth_internal.h"

#include <math.h>

void synth_put(synth_writer *w, double p, const char *word, const char *tag)
{
    fprintf(w->f, "%s%s/%s", w->started ? " " : "", word, tag);
    w->started = true;
    w->tokens++;
    w->nats -= log(p);
}

void synth_end(synth_writer *w, double p)
{
    fputc('\n', w->f);
    w->started = false;
    w->tokens++;
    w->nats -= log(p);
}
