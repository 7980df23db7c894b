/* SPDX-License-Identifier: MIT */
/* stategrad import - a model trained elsewhere becomes a model file of ours. */
#include "cli.h"

#include "stategrad/import.h"

/* Perplexity on a text: the quickest sign of a wrong order of gates or words. */
static sg_status try_text(const sg_model *m, const char *text, const sg_monitor *monitor, sg_error *err)
{
    sg_stream *s = NULL;
    sg_eval result;
    const sg_model_shape *shape = sg_model_get_shape(m);
    sg_corpus_config corpus = {.paths = &text, .n_paths = 1, .unit = shape->unit, .eos = shape->eos};
    sg_status st = sg_lm_can_eval(m, err);
    if (st == SG_OK)
        st = sg_stream_new(&s, &corpus, sg_model_vocab(m), NULL, monitor, err);
    if (st == SG_OK)
        st = sg_lm_eval(&result, m, s, false, 0, monitor, err);
    if (st == SG_OK) {
        printf("%s: perplexity %.2f, %.4f nats per token\n", shown(text), result.perplexity,
               result.nats_per_token);
        remark_on_predictions(m, &result), remark_on_line_ends(m, false);
    }
    sg_stream_free(s);
    return st;
}

static int run(int argc, char **argv)
{
    const char *output = NULL, *text = NULL;
    bool quiet = false;
    model_options model = {0};
    const option table[] = {
        {"output", 'o', OPT_STRING, &output, "MODEL", "the model file to write", 0, 0},
        {"text", 0, OPT_STRING, &text, "FILE",
         "also report its perplexity on this text, to verify the conversion", 0, 0},
        QUIET_OPTION(quiet),
        MODEL_OPTIONS(model),
        END_OF_OPTIONS,
    };
    sg_model *m = NULL;
    sg_import_config cfg;
    sg_error err = {""};
    progress_line line;
    int code = parse_options(&cmd_import, table, &argc, argv, 1, 1);
    if (code >= 0)
        goto done;
    if (!output) {
        code = misuse("import: nothing to write: give -o MODEL");
        goto done;
    }
    code = refuse_stdout(output);
    if (code < 0)
        code = refuse_unwritable(output);
    if (code < 0)
        code = refuse_overwriting(output, (const char *const *)argv, 1);
    if (code < 0)
        code = refuse_overwriting(output, &model.vocab, 1);
    if (code < 0)
        code = import_config_from(&cfg, &model);
    if (code >= 0)
        goto done;
    sg_monitor monitor = progress_monitor(&line, quiet);
    sg_status st = sg_model_load(&m, argv[0], &cfg, &monitor, &err);
    if (st == SG_OK)
        st = sg_model_write(m, output, &err);
    if (st == SG_OK && text)
        st = try_text(m, text, &monitor, &err);
    code = st == SG_OK ? EXIT_DONE : fail(st, &err);
    if (st == SG_OK && !quiet) {
        const sg_model_shape *s = sg_model_get_shape(m);
        size_t inputs = s->vocabulary ? s->vocabulary : s->embedding;
        printf("%s: %s, %zu layer%s, %zu %s%s, %s\n", shown(output), sg_cell_name(s->cell), s->layers,
               PLURAL(s->layers), inputs, s->vocabulary ? "word" : "feature", PLURAL(inputs),
               s->has_decoder ? "with its decoder" : "states only");
    }
done:
    sg_model_free(m);
    model_options_free(&model);
    return code;
}

const command cmd_import = {
    .name = "import",
    .operands = "FILE",
    .summary = "convert a model trained elsewhere to a model file",
    .about =
        "Reads safetensors, PyTorch .pt/.pth (zip and legacy; nothing in them is executed), Keras "
        ".h5 and .keras, ONNX, TensorFlow checkpoints (.index), TensorFlow.js (model.json) and raw "
        "TensorFlow kernels (.npy, .npz), by content. Finds the recurrent layers, the embedding and the "
        "decoder by name and shape. Where two interpretations fit, it lists them, and --map chooses one. "
        "`stategrad info FILE` shows the interpretation.",
    .examples =
        "stategrad import lm.pt -o lm.safetensors\n"
        "stategrad import chars.pt --vocab chars.json -o chars.safetensors\n"
        "stategrad import kernel.npy --map rnn.kernel_l0=kernel.npy --map rnn.bias_l0=bias.npy --forget-bias 1 -o tf.safetensors",
    .run = run,
};
