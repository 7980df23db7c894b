/* stategrad info - what a model file or a run file holds. */
#include "cli.h"

#include "stategrad/import.h"

static int run(int argc, char **argv)
{
    bool json = false;
    model_options model = {0};
    const option table[] = {
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON object on standard output", 0, 0},
        MODEL_OPTIONS(model),
        {NULL, 0, OPT_FLAG, NULL, NULL, NULL, 0, 0},
    };
    sg_import_config cfg;
    sg_file_kind kind;
    sg_error err = {""};
    int code = parse_options(&cmd_info, table, &argc, argv, 1, 1);
    if (code < 0)
        code = import_config_from(&cfg, &model);
    if (code < 0) {
        sg_status st = sg_file_kind_of(&kind, argv[0], &err);
        if (st == SG_OK)
            st = sg_import_describe(stdout, argv[0], &cfg, json, &err);
        code = st == SG_OK ? EXIT_DONE : fail(st, &err);
    }
    model_options_free(&model);
    return code;
}

const command cmd_info = {
    "info", "FILE", "what a model or run holds",
    "Of a model file, one of ours or one trained elsewhere: its tensors with shapes and types, and the reading that import\n"
    "makes of it, or why it makes none. Example:\n"
    "  stategrad info lm.pt",
    run};
