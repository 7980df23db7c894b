/* SPDX-License-Identifier: MIT */
/* How commands load a model: our own, or one trained elsewhere with the options that describe it. */
#include "cli.h"

#include "stategrad/import.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

void remark_on_predictions(const sg_model *m, const sg_eval *e)
{
    size_t V = sg_model_get_shape(m)->vocabulary;
    const char *ignored = sg_model_meta(m, "ignored");
    if (ignored)
        fprintf(stderr, "stategrad: warning: computed without the tensors that --ignore left out: %s\n",
                shown(ignored));
    if (e && V > 1 && !(e->nats_per_token <= log((double)V)))
        fprintf(
            stderr,
            "stategrad: warning: %.3f nats per token, over %" PRIu64
            " predicted token%s, are worse than uniform over %zu words (%.3f): is the order of the gates or of the "
            "vocabulary right?\n",
            e->nats_per_token, e->tokens, PLURAL(e->tokens), V, log((double)V));
}

void remark_on_line_ends(const sg_model *m, bool no_eos)
{
    const sg_model_shape *s = sg_model_get_shape(m);
    const sg_vocab *v = sg_model_vocab(m);
    if (v && !no_eos && s->unit == SG_UNIT_WORD && sg_vocab_eos(v) < 0 && sg_model_meta(m, "imported_from") &&
        !sg_model_meta(m, "eos_word"))
        fprintf(
            stderr,
            "stategrad: warning: no word of the vocabulary is known to end a line: lines are read as one text, "
            "and the perplexity differs if the model was trained with such a word; --eos WORD names it, --eos none "
            "states that there is none\n");
}

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
    cfg->unk = o->unk;
    cfg->eos = o->eos;
    cfg->forget_bias = o->forget_bias;
    cfg->gate_order = o->gate_order;
    cfg->recurrent_activation = o->recurrent_activation;
    cfg->transposed = o->transposed;
    cfg->one_hot = o->one_hot;
    cfg->forward_only = o->forward_only;
    int code = choose(&cfg->unit, "unit", o->unit, units, 2);
    if (code < 0)
        code = choose(&cfg->output, "output-activation", o->output, outputs, 3);
    sg_cell cell;
    char names[200];
    if (code < 0 && o->cell) {
        if (!sg_cell_from_name(&cell, o->cell))
            return misuse("--cell: expected %s, found '%s'", cell_names(names, true), o->cell);
        cfg->cell = (int)cell;
    }
    return code;
}

const char *cell_names(char text[200], bool all)
{
    size_t at = 0;
    for (size_t i = 0; i < sg_cell_count() && at < 200; i++)
        if (all || !sg_cell_is_imported((sg_cell)i))
            at += (size_t)snprintf(text + at, 200 - at, "%s%s", at ? "|" : "", sg_cell_name((sg_cell)i));
    return text;
}

void model_options_free(model_options *o)
{
    option_list_free(&o->maps);
    option_list_free(&o->ignore);
}
