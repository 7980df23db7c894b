/* SPDX-License-Identifier: MIT */
/* stategrad info - what a model file or a run file holds. */
#include "cli.h"

#include "stategrad/import.h"
#include "stategrad/run.h"

#include <stdlib.h>

static json_t *named(const char *name, const char *key, uint64_t n)
{
    return json_pack("{s:o, s:I}", "name", json_utf8(name), key, (json_int_t)n);
}

static json_t *run_json(const sg_run *r)
{
    json_t *attributes = json_object(), *states = json_array(), *classes = json_array(),
           *properties = json_array();
    for (size_t i = 0; i < sg_run_attributes(r); i++) {
        const char *name = sg_run_attribute_name(r, i);
        json_object_set_new(attributes, name, json_utf8(sg_run_attribute(r, name)));
    }
    for (size_t g = 0; g < sg_run_groups(r); g++)
        json_array_append_new(states, named(sg_run_group_name(r, g), "units", sg_run_units(r, g)));
    for (size_t c = 0; c < sg_run_classes(r); c++)
        json_array_append_new(classes, named(sg_run_class_name(r, c), "tokens", sg_run_class_tokens(r, c)));
    for (size_t p = 0; p < sg_run_properties(r); p++)
        json_array_append_new(properties, json_utf8(sg_run_property_name(r, p)));
    return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o}", "kind", "run", "delays",
                     (json_int_t)sg_run_delays(r), "embedding", (json_int_t)sg_run_embedding(r), "attributes",
                     attributes, "states", states, "classes", classes, "properties", properties);
}

static sg_status print_run(const sg_run *r, sg_error *err)
{
    sg_status st = SG_OK;
    printf("state gradients: %zu delay%s, inputs of %zu number%s\n", sg_run_delays(r),
           PLURAL(sg_run_delays(r)), sg_run_embedding(r), PLURAL(sg_run_embedding(r)));
    for (size_t g = 0; g < sg_run_groups(r); g++)
        printf("  state     %-24s %zu unit%s\n", shown(sg_run_group_name(r, g)), sg_run_units(r, g),
               PLURAL(sg_run_units(r, g)));
    for (size_t c = 0; c < sg_run_classes(r); c++)
        printf("  class     %-24s %ju token%s\n", shown(sg_run_class_name(r, c)),
               (uintmax_t)sg_run_class_tokens(r, c), PLURAL(sg_run_class_tokens(r, c)));
    for (size_t p = 0; p < sg_run_properties(r); p++)
        printf("  property  %s\n", shown(sg_run_property_name(r, p)));
    for (size_t i = 0; i < sg_run_attributes(r) && st == SG_OK; i++) {
        char *text = NULL;
        st = sg_run_attribute_shown(r, sg_run_attribute_name(r, i), &text, err);
        if (st == SG_OK)
            printf("  %-22s %s\n", shown(sg_run_attribute_name(r, i)), text ? shown(text) : "-");
        sg_string_free(text);
    }
    return st;
}

static bool collect(void *ctx, const char *text, size_t n)
{
    return fwrite(text, 1, n, ctx) == n;
}

static sg_status describe_run(const char *path, bool json, sg_error *err)
{
    sg_run *r;
    sg_status st = sg_run_open(&r, path, err);
    if (st != SG_OK)
        return st;
    if (json)
        st = print_json(run_json(r), 17, err);
    else
        st = print_run(r, err);
    sg_run_close(r);
    return st;
}

/* A model file to standard output, with the program's options in place of the settings. */
static sg_status describe_model(const char *path, const sg_import_config *cfg, bool json, sg_error *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    sg_writer to = {collect, f};
    sg_status st = f ? sg_import_describe(&to, path, cfg, json, err) : SG_ENOMEM;
    if (f && fclose(f) && st == SG_OK)
        st = SG_ENOMEM;
    if (st == SG_OK) {
        name_options(text);
        fputs(text, stdout);
    } else if (st == SG_ENOMEM && !err->msg[0])
        snprintf(err->msg, sizeof err->msg, "no memory for the description of %s", path);
    free(text);
    return st;
}

static int run(int argc, char **argv)
{
    bool json = false;
    model_options model = {0};
    const option table[] = {
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON object on standard output", 0, 0},
        MODEL_OPTIONS(model),
        END_OF_OPTIONS,
    };
    sg_import_config cfg;
    sg_file_format kind;
    sg_error err = {""};
    int code = parse_options(&cmd_info, table, &argc, argv, 1, 1);
    if (code < 0)
        code = import_config_from(&cfg, &model);
    if (code < 0) {
        sg_status st = sg_file_format_of(&kind, argv[0], &err);
        if (st == SG_OK && kind == SG_FILE_RUN)
            st = describe_run(argv[0], json, &err);
        else if (st == SG_OK)
            st = describe_model(argv[0], &cfg, json, &err);
        code = st == SG_OK ? EXIT_DONE : fail(st, &err);
    }
    model_options_free(&model);
    return code;
}

const command cmd_info = {
    .name = "info",
    .operands = "FILE",
    .summary = "describe a model or a run",
    .about = "For a model file, native or foreign: its tensors with shapes and types, and how import "
             "interprets it, or why it cannot be imported. For a run file: states, classes, properties and "
             "settings.",
    .examples = "stategrad info lm.pt",
    .run = run,
};
