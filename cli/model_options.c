/* SPDX-License-Identifier: MIT */
/* How commands load a model: one of ours, or one trained elsewhere with what must be said about it. */
#include "cli.h"

#include "stategrad/import.h"

#include <string.h>

/* -1, or the exit code of a misuse. */
static int choose(int *out, const char *option_name, const char *text, const char *const *names, int n)
{
    char list[128] = "";
    if (!text)
        return -1;
    for (int i = 0; i < n; i++) {
        if (!strcmp(text, names[i])) {
            *out = i;
            return -1;
        }
        strncat(list, i ? ", " : "", sizeof list - strlen(list) - 1);
        strncat(list, names[i], sizeof list - strlen(list) - 1);
    }
    return misuse("--%s: expected one of %s, found '%s'", option_name, list, text);
}

int import_config_from(sg_import_config *cfg, const model_options *o)
{
    static const char *const units[] = {"word", "char"}, *const outputs[] = {"linear", "relu", "tanh"};
    sg_import_defaults(cfg);
    cfg->maps = o->maps.items;
    cfg->n_maps = o->maps.n;
    cfg->ignore = o->ignore.items;
    cfg->n_ignore = o->ignore.n;
    cfg->vocab = o->vocab;
    cfg->forget_bias = o->forget_bias;
    int code = choose(&cfg->unit, "unit", o->unit, units, 2);
    if (code < 0)
        code = choose(&cfg->output, "output-activation", o->output, outputs, 3);
    sg_cell cell;
    if (code < 0 && o->cell) {
        if (!sg_cell_from_name(&cell, o->cell))
            return misuse("--cell: expected lstm, gru, gru-reset-first, rnn or rnn-relu, found '%s'",
                          o->cell);
        cfg->cell = (int)cell;
    }
    return code;
}

void model_options_free(model_options *o)
{
    option_list_free(&o->maps);
    option_list_free(&o->ignore);
}
