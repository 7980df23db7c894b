/* SPDX-License-Identifier: MIT */
/* stategrad eval - perplexity of a model on a corpus. */
#include "cli.h"

#include "stategrad/lm.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void print_result(const sg_eval *e, uint64_t read, bool json)
{
    char perplexity[32] = "null"; /* beyond a double: JSON has no infinity */
    if (isfinite(e->perplexity))
        snprintf(perplexity, sizeof perplexity, "%.17g", e->perplexity);
    if (json)
        printf("{\"tokens\": %" PRIu64 ", \"unknown_tokens\": %" PRIu64 ", \"nats_per_token\": %.17g, "
               "\"perplexity\": %s}\n",
               e->tokens, e->unknown_tokens, e->nats_per_token, perplexity);
    else
        printf("perplexity %.2f, %.4f nats per token, over %" PRIu64 " predicted tokens (%.2f %% <unk>)\n",
               e->perplexity, e->nats_per_token, e->tokens, 100 * (double)e->unknown_tokens / (double)read);
}

static int run(int argc, char **argv)
{
    const char *format = "auto", *handling = "carry";
    bool json = false, quiet = false, no_eos = false;
    int threads = 0;
    model_options model = {0};
    sg_import_config import;
    const option table[] = {
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON object", 0, 0},
        {"format", 0, OPT_STRING, &format, "FORMAT", "auto (by extension), text, conllu or tagged", 0, 0},
        {"no-eos", 0, OPT_FLAG, &no_eos, NULL, "no <eos> at line ends (default: as the model was trained)", 0,
         0},
        {"state-handling", 0, OPT_STRING, &handling, "HOW",
         "carry (default) or reset: each sentence alone, from zero", 0, 0},
        {"threads", 0, OPT_THREADS, &threads, "N", "all cores", 0, 1024},
        {"quiet", 'q', OPT_FLAG, &quiet, NULL, "no progress", 0, 0},
        MODEL_OPTIONS(model),
        {NULL, 0, OPT_FLAG, NULL, NULL, NULL, 0, 0},
    };
    static const char *const formats[] = {"auto", "text", "conllu", "tagged"};
    int code = parse_options(&cmd_eval, table, &argc, argv, 2, 0);
    if (code < 0)
        code = import_config_from(&import, &model);
    if (code >= 0)
        return code;
    int kind = -1;
    for (int i = 0; i < 4; i++)
        kind = strcmp(format, formats[i]) ? kind : i;
    if (kind < 0)
        return misuse("eval: --format: expected auto, text, conllu or tagged, found '%s'", format);
    if (strcmp(handling, "carry") && strcmp(handling, "reset"))
        return misuse("eval: --state-handling: expected carry or reset, found '%s'", handling);
    sg_error err = {""};
    sg_model *m = NULL;
    sg_stream *s = NULL;
    sg_eval result;
    progress_line line;
    sg_monitor monitor = progress_monitor(&line, quiet);
    sg_status st = sg_model_load(&m, argv[0], &import, &monitor, &err);
    if (st == SG_OK)
        st = sg_lm_can_eval(m, &err);
    if (st == SG_OK) {
        const sg_model_shape *shape = sg_model_get_shape(m);
        sg_corpus_config corpus = {.paths = (const char *const *)argv + 1,
                                   .n_paths = (size_t)argc - 1,
                                   .format = (sg_format)kind,
                                   .unit = shape->unit,
                                   .eos = shape->eos && !no_eos};
        st = sg_stream_new(&s, &corpus, sg_model_vocab(m), NULL, &monitor, &err);
    }
    if (st == SG_OK)
        st = sg_lm_eval(&result, m, s, !strcmp(handling, "reset"), threads, &monitor, &err);
    progress_done(&line);
    if (st == SG_OK)
        print_result(&result, sg_stream_length(s), json);
    if (st == SG_OK && !quiet)
        remark_on_predictions(m, result.nats_per_token);
    code = st == SG_OK ? EXIT_DONE : fail(st, &err);
    sg_stream_free(s);
    sg_model_free(m);
    model_options_free(&model);
    return code;
}

const command cmd_eval = {
    "eval", "MODEL CORPUS...", "perplexity of a model on a corpus",
    "Mean loss in nats over the predicted tokens and its exponential. The state is carried along the corpus\n"
    "from zero, and every token but the first is predicted. With --state-handling reset it is zero at the\n"
    "start of each sentence; the first token of a sentence then has nothing to be predicted from and is not\n"
    "counted, so sums are those of each sentence alone, in any order. Example:\n"
    "  stategrad eval model.safetensors test.txt --json",
    run};
