/* SPDX-License-Identifier: MIT */
/* stategrad check - are the gradients of the user's own model right? */
#include "cli.h"

#include "stategrad/check.h"

#include <math.h>
#include <string.h>

static const char *kind_name(sg_state_kind kind)
{
    return kind == SG_STATE_CELL ? "cell" : "hidden";
}

static json_t *result_json(const sg_check_result *r, const sg_check_config *cfg, uint64_t tokens)
{
    static const char *const verdicts[] = {"decays", "grows at first", "persists", "grows"};
    const sg_check_growth *g = &r->growth;
    json_t *rows = json_array();
    for (size_t i = 0; i < r->n; i++) {
        const sg_check_row *row = &r->rows[i];
        json_array_append_new(rows, json_pack("{s:s, s:I, s:s, s:o, s:f, s:I, s:I, s:b}", "test", row->test,
                                              "layer", (json_int_t)row->layer, "state", kind_name(row->kind),
                                              "largest_relative_difference", json_finite(row->worst), "limit",
                                              row->limit, "at_step", (json_int_t)row->t, "at_delay",
                                              (json_int_t)row->d, "pass", row->pass));
    }
    json_t *growth = json_pack("{s:I, s:f, s:o, s:I, s:o, s:s}", "steps", (json_int_t)g->steps, "size",
                               g->size, "largest", json_finite(g->largest), "at_step", (json_int_t)g->at,
                               "left", json_finite(g->left), "verdict", verdicts[g->verdict]);
    return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:b, s:o}", "pass", !r->failed, "tests",
                     (json_int_t)r->n, "failed", (json_int_t)r->failed, "steps", (json_int_t)r->steps,
                     "delays", (json_int_t)r->delays, "draws", (json_int_t)cfg->draws, "seed",
                     (json_int_t)cfg->seed, "corpus_tokens", (json_int_t)tokens, "results", rows, "sensitive",
                     r->sensitive, "growth", growth);
}

static void print_growth(const sg_check_growth *g)
{
    printf("growth: small changes of the state, followed over %zu tokens in double\n"
           "  largest on the way %.3g times the change (after %zu), at the end %s%.2g times: ",
           g->steps, g->largest, g->at, g->left > SG_GROWTH_LEAST ? "" : "less than ", g->left);
    if (g->verdict == SG_GROWTH_NONE)
        puts("they decay");
    else if (g->verdict == SG_GROWTH_AT_FIRST)
        puts("WARNING, they grow before they decay: gains may rise with the delay before they fall");
    else if (g->verdict == SG_GROWTH_PERSISTS)
        puts("WARNING, they do not decay: gains need not fall with the delay");
    else
        puts(
            "WARNING, they grow: float32 and float64 may follow different trajectories, and values of an analysis "
            "may depend on rounding");
}

static void print_table(const sg_check_result *r, const sg_check_config *cfg)
{
    static const struct {
        const char *test, *says;
    } meanings[] = {
        {"states", "float states against a plain forward pass in double"},
        {"differences", "gradients against central differences in double"},
        {"reverse", "gradients against back-propagation through time (adjoint identity)"},
        {"carry", "the corpus engine's sums against single gradients, one stream"},
        {"window", "the same with windows: no pair crosses a boundary, the state is carried"},
    };
    if (r->steps < cfg->steps)
        printf("steps: %zu instead of %zu, the corpus has no more tokens\n", r->steps, cfg->steps);
    if (r->delays < cfg->delays)
        printf("delays: %zu instead of %zu, as many as steps%s\n", r->delays, cfg->delays,
               r->steps < cfg->steps ? "" : "; --steps N reads more tokens");
    for (size_t m = 0; m < sizeof meanings / sizeof *meanings; m++) {
        printf("%s: %s\n", meanings[m].test, meanings[m].says);
        for (size_t i = 0; i < r->n; i++) {
            const sg_check_row *row = &r->rows[i];
            if (!strcmp(row->test, meanings[m].test))
                printf(
                    "  layer %zu %-6s  largest relative difference %8.1e (limit %.0e, step %zu, delay %zu)  %s%s\n",
                    row->layer, kind_name(row->kind), row->worst, row->limit, row->t, row->d,
                    row->pass ? "PASS" : "FAIL",
                    row->limit > 0.3               ? ", cannot be distinguished from rounding there"
                    : row->limit > row->base_limit ? ", the net amplifies rounding itself"
                                                   : "");
        }
    }
    print_growth(&r->growth);
    if (r->failed)
        printf(
            "FAIL: %zu of %zu test%s: %s\n", r->failed, r->n, PLURAL(r->n),
            r->sensitive
                ? "the model is sensitive to rounding, but the difference exceeds what that explains: a fault"
                : "the model is not sensitive to rounding: a fault");
    else
        printf("PASS: %zu test%s%s\n", r->n, PLURAL(r->n),
               r->growth.verdict == SG_GROWTH_GROWS ? "; the model is sensitive, see the warning"
               : r->sensitive                       ? "; the model amplifies rounding"
                                                    : "");
}

static sg_status open_corpus(sg_stream **tokens, const sg_model *m, char **paths, int n, sg_format format,
                             const sg_monitor *monitor, sg_error *err)
{
    const sg_model_shape *shape = sg_model_get_shape(m);
    sg_corpus_config corpus = {.paths = (const char *const *)paths,
                               .n_paths = (size_t)n,
                               .format = format,
                               .unit = shape->unit,
                               .eos = shape->eos};
    if (!sg_model_vocab(m)) {
        snprintf(err->msg, sizeof err->msg,
                 "check: the model reads feature vectors: a corpus of words does not fit it");
        return SG_EINVAL;
    }
    return sg_stream_new(tokens, &corpus, sg_model_vocab(m), NULL, monitor, err);
}

static int check_and_print(const char *model, char **paths, int n, sg_format format,
                           const sg_check_config *cfg, const sg_import_config *import, bool json,
                           const sg_monitor *monitor)
{
    sg_error err = {""};
    sg_model *m = NULL;
    sg_stream *tokens = NULL;
    sg_check_result result = {0};
    sg_status st = sg_model_load(&m, model, import, monitor, &err);
    if (st == SG_OK && n)
        st = open_corpus(&tokens, m, paths, n, format, monitor, &err);
    if (st == SG_OK)
        st = sg_check(&result, m, tokens, cfg, monitor, &err);
    if (st == SG_OK && json)
        st = print_json(result_json(&result, cfg, tokens ? sg_stream_length(tokens) : 0), 3, &err);
    else if (st == SG_OK)
        print_table(&result, cfg);
    int code = st != SG_OK ? fail(st, &err) : result.failed ? EXIT_FAILED : EXIT_DONE;
    sg_check_free(&result);
    sg_stream_free(tokens);
    sg_model_free(m);
    return code;
}

static int run(int argc, char **argv)
{
    sg_check_config cfg;
    sg_check_defaults(&cfg);
    model_options foreign = {0};
    int format = SG_FORMAT_AUTO;
    bool json = false, quiet = false;
    const option table[] = {
        {"steps", 0, OPT_SIZE, &cfg.steps, "N", "tokens read", 2, 100000},
        {"delays", 'd', OPT_SIZE, &cfg.delays, "D", "delays; at most as many as tokens are read", 1, 100000},
        {"draws", 0, OPT_SIZE, &cfg.draws, "N", "random times, delays and directions per test", 1, 100000},
        {"seed", 0, OPT_U64, &cfg.seed, "N", "seed of tokens, times and directions", 0, 9e18},
        {"format", 0, OPT_CHOICE, &format, FORMATS, "format of the corpus; auto: by extension", 0, 0},
        {"inputs", 0, OPT_STRING, &cfg.inputs, "FILE",
         "inputs of a model of feature vectors: rows of a NumPy file (.npy)", 0, 0},
        {"threads", 't', OPT_THREADS, &cfg.threads, "N", "number of threads (default: all cores)", 0, 1024},
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON object", 0, 0},
        QUIET_OPTION(quiet),
        MODEL_OPTIONS(foreign),
        END_OF_OPTIONS,
    };
    int code = parse_options(&cmd_check, table, &argc, argv, 1, 0);
    sg_import_config import;
    if (code < 0)
        code = import_config_from(&import, &foreign);
    if (code < 0) {
        progress_line line;
        sg_monitor monitor = progress_monitor(&line, quiet);
        import.numbered_vocabulary = argc == 1; /* random ids need no words */
        code = check_and_print(argv[0], argv + 1, argc - 1, (sg_format)format, &cfg, &import, json, &monitor);
        progress_done(&line);
    }
    model_options_free(&foreign);
    return code;
}

const command cmd_check = {
    .name = "check",
    .operands = "MODEL [CORPUS...]",
    .summary = "test the gradients of a model against finite differences",
    .about = "Compares the gradients that analyze computes with central differences and with back-"
             "propagation through time, both implemented independently in double precision, at random "
             "times, delays and directions, for every layer and state. Reads random tokens, or a random "
             "position of a corpus. Prints the largest relative differences and PASS or FAIL; exit 1 on "
             "FAIL.",
    .examples = "stategrad check model.safetensors valid.txt",
    .run = run,
};
