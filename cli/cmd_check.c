/* stategrad check - are the gradients of the user's own model right? */
#include "cli.h"

#include "stategrad/check.h"

#include <math.h>
#include <string.h>

static const char *kind_name(sg_state_kind kind)
{
    return kind == SG_STATE_CELL ? "cell" : "hidden";
}

static void print_json(const sg_check_result *r, const sg_check_config *cfg, uint64_t tokens)
{
    printf("{\"pass\": %s, \"tests\": %zu, \"failed\": %zu, \"steps\": %zu, \"delays\": %zu, \"draws\": %zu, \"seed\": %llu, "
           "\"corpus_tokens\": %llu, \"results\": [",
           r->failed ? "false" : "true", r->n, r->failed, cfg->steps, cfg->delays, cfg->draws,
           (unsigned long long)cfg->seed, (unsigned long long)tokens);
    for (size_t i = 0; i < r->n; i++) {
        const sg_check_row *row = &r->rows[i];
        char worst[32] = "null";
        if (isfinite(row->worst))
            snprintf(worst, sizeof worst, "%.3g", row->worst);
        printf("%s{\"test\": \"%s\", \"layer\": %zu, \"state\": \"%s\", \"largest_relative_difference\": %s, \"limit\": %g, "
               "\"at_step\": %zu, \"at_delay\": %zu, \"pass\": %s}",
               i ? ", " : "", row->test, row->layer, kind_name(row->kind), worst, row->limit, row->t, row->d,
               row->pass ? "true" : "false");
    }
    puts("]}");
}

static void print_table(const sg_check_result *r)
{
    static const struct {
        const char *test, *says;
    } meanings[] = {
        {"states", "float states against a plain forward pass in double"},
        {"differences", "gradients against central differences in double"},
        {"reverse", "gradients against back-propagation through time (adjoint identity)"},
        {"carry", "the corpus engine's sums against single gradients, one stream"},
        {"window", "the same with windows: nothing crosses a boundary, the state goes on"},
    };
    for (size_t m = 0; m < sizeof meanings / sizeof *meanings; m++) {
        printf("%s: %s\n", meanings[m].test, meanings[m].says);
        for (size_t i = 0; i < r->n; i++) {
            const sg_check_row *row = &r->rows[i];
            if (!strcmp(row->test, meanings[m].test))
                printf("  layer %zu %-6s  largest relative difference %8.1e (limit %.0e, step %zu, delay %zu)  %s\n",
                       row->layer, kind_name(row->kind), row->worst, row->limit, row->t, row->d,
                       row->pass ? "PASS" : "FAIL");
        }
    }
    if (r->failed)
        printf("FAIL: %zu of %zu tests\n", r->failed, r->n);
    else
        printf("PASS: %zu tests\n", r->n);
}

static sg_status open_corpus(sg_stream **tokens, const sg_model *m, char **paths, int n, sg_error *err)
{
    const sg_model_shape *shape = sg_model_get_shape(m);
    sg_corpus_config corpus = {.paths = (const char *const *)paths, .n_paths = (size_t)n, .unit = shape->unit,
                               .eos = shape->eos};
    if (!sg_model_vocab(m)) {
        snprintf(err->msg, sizeof err->msg, "check: the model reads feature vectors: a corpus of words does not fit it");
        return SG_EINVAL;
    }
    return sg_stream_new(tokens, &corpus, sg_model_vocab(m), NULL, NULL, err);
}

static int run(int argc, char **argv)
{
    sg_check_config cfg;
    sg_check_defaults(&cfg);
    bool json = false, quiet = false;
    model_options model = {0};
    sg_import_config import;
    const option table[] = {
        {"steps", 0, OPT_SIZE, &cfg.steps, "N", "tokens read (30)", 2, 100000},
        {"delays", 'D', OPT_SIZE, &cfg.delays, "D", "delays carried, at most as many as steps (16)", 1, 100000},
        {"draws", 0, OPT_SIZE, &cfg.draws, "N", "random times, delays and directions a test (12)", 1, 100000},
        {"seed", 0, OPT_U64, &cfg.seed, "N", "of tokens, times and directions (1)", 0, 0},
        {"threads", 0, OPT_INT, &cfg.threads, "N", "threads (all cores)", 0, 4096},
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON object on standard output", 0, 0},
        {"quiet", 'q', OPT_FLAG, &quiet, NULL, "nothing but the result", 0, 0},
        MODEL_OPTIONS(model),
        {NULL, 0, OPT_FLAG, NULL, NULL, NULL, 0, 0},
    };
    int code = parse_options(&cmd_check, table, &argc, argv, 1, 0);
    if (code < 0)
        code = import_config_from(&import, &model);
    if (code >= 0)
        return code;
    import.numbered_vocabulary = argc == 1; /* random ids need no words */
    sg_error err = {""};
    sg_model *m = NULL;
    sg_stream *tokens = NULL;
    sg_check_result result = {0};
    progress_line line;
    sg_monitor monitor = progress_monitor(&line, quiet);
    sg_status st = sg_model_load(&m, argv[0], &import, &monitor, &err);
    if (st == SG_OK && argc > 1)
        st = open_corpus(&tokens, m, argv + 1, argc - 1, &err);
    if (st == SG_OK)
        st = sg_check(&result, m, tokens, &cfg, &monitor, &err);
    progress_done(&line);
    if (st != SG_OK)
        code = fail(st, &err);
    else if (json)
        print_json(&result, &cfg, tokens ? sg_stream_length(tokens) : 0);
    else
        print_table(&result);
    if (st == SG_OK)
        code = result.failed ? EXIT_FAILED : EXIT_DONE;
    sg_check_free(&result);
    sg_stream_free(tokens);
    sg_model_free(m);
    model_options_free(&model);
    return code;
}

const command cmd_check = {
    "check", "MODEL [CORPUS...]", "the gradients of a model against finite differences",
    "Takes the model's gradients as analyze computes them and compares them with central differences and with\n"
    "back-propagation through time, both in double and both written separately, at random times, delays and\n"
    "directions, for every layer and state. Reads random tokens, or a random place of a corpus. Prints the largest\n"
    "relative differences and PASS or FAIL; exit 1 on FAIL. Example:\n"
    "  stategrad check model.safetensors valid.txt",
    run};
