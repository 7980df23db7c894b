/* SPDX-License-Identifier: MIT */
/* stategrad eval - perplexity of a model on a corpus. */
#include "cli.h"

#include "stategrad/lm.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static sg_status print_result(const sg_eval *e, double unknown, bool json, sg_error *err)
{
    if (json)
        return print_json(json_pack("{s:I, s:I, s:o, s:o}", "tokens", (json_int_t)e->tokens, "unknown_tokens",
                                    (json_int_t)e->unknown_tokens, "nats_per_token",
                                    json_finite(e->nats_per_token), "perplexity", json_finite(e->perplexity)),
                          17, err);
    printf("perplexity %.2f, %.4f nats per token, over %" PRIu64
           " predicted token%s (%.2f %% of the words unknown)\n",
           e->perplexity, e->nats_per_token, e->tokens, PLURAL(e->tokens), unknown);
    return SG_OK;
}

static int run(int argc, char **argv)
{
    int format = SG_FORMAT_AUTO, handling = 0;
    bool json = false, quiet = false, no_eos = false, lowercase = false;
    int threads = 0;
    model_options model = {0};
    sg_import_config import;
    const option table[] = {
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON object", 0, 0},
        {"format", 0, OPT_CHOICE, &format, FORMATS, "format of the corpus; auto: by extension", 0, 0},
        {"lowercase", 0, OPT_FLAG, &lowercase, NULL, "read the corpus in lower case", 0, 0},
        {"no-eos", 0, OPT_FLAG, &no_eos, NULL, "no <eos> at line ends (default: as the model was trained)", 0,
         0},
        {"state-handling", 0, OPT_CHOICE, &handling, "carry|reset", "reset: each sentence alone, from zero",
         0, 0},
        {"threads", 't', OPT_THREADS, &threads, "N", "number of threads (default: all cores)", 0, 1024},
        QUIET_OPTION(quiet),
        MODEL_OPTIONS(model),
        END_OF_OPTIONS,
    };
    int code = parse_options(&cmd_eval, table, &argc, argv, 2, 0);
    if (code < 0)
        code = import_config_from(&import, &model);
    if (code >= 0)
        return code;
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
                                   .format = (sg_format)format,
                                   .unit = shape->unit,
                                   .eos = shape->eos && !no_eos,
                                   .lowercase = lowercase};
        st = sg_stream_new(&s, &corpus, sg_model_vocab(m), NULL, &monitor, &err);
    }
    if (st == SG_OK)
        st = sg_lm_eval(&result, m, s, handling == 1, threads, &monitor, &err);
    progress_done(&line);
    if (st == SG_OK)
        st = print_result(&result, unknown_percent(s, sg_model_get_shape(m)->eos && !no_eos), json, &err);
    if (st == SG_OK)
        remark_on_predictions(m, &result), remark_on_line_ends(m, no_eos);
    code = st == SG_OK ? EXIT_DONE : fail(st, &err);
    sg_stream_free(s);
    sg_model_free(m);
    model_options_free(&model);
    return code;
}

const command cmd_eval = {
    .name = "eval",
    .operands = "MODEL CORPUS...",
    .summary = "perplexity of a model on a corpus",
    .about = "Mean loss in nats over the predicted tokens and its exponential. The state is carried along "
             "the corpus from zero, and every token but the first is predicted. With --state-handling "
             "reset it is zero at the start of each sentence; the first token of a sentence then has "
             "no context and is not counted: the loss is the sum over sentences scored independently, in any "
             "order.",
    .examples = "stategrad eval model.safetensors test.txt --json",
    .run = run,
};
