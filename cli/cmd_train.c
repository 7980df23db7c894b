/* SPDX-License-Identifier: MIT */
/* stategrad train - a language model from a corpus. */
#include "cli.h"

#include "stategrad/import.h"
#include "stategrad/train.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEFAULT_VOCABULARY = 10000 };

typedef struct {
    const char *output, *vocab_file;
    int preset, cell, unit, format;
    option_list valid;
    size_t vocab_size, min_count, hidden;
    bool no_eos, quiet;
    sg_model_shape shape;
    sg_train_config train;
    setting_options options;
} settings;

enum { MAX_OPTIONS = MAX_SETTINGS + 24 };

/* Every other option overrides the preset, wherever it is written. */
static int apply_preset(settings *s, int argc, char **argv)
{
    const char *name = NULL;
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
        if (!strncmp(argv[i], "--preset=", 9))
            name = argv[i] + 9;
        else if (!strcmp(argv[i], "--preset") && i + 1 < argc)
            name = argv[i + 1];
    }
    if (name && strcmp(name, "paper"))
        return misuse("train: --preset: expected 'paper', found '%s'", name);
    sg_train_defaults(&s->train);
    if (name)
        sg_train_preset_paper(&s->train, &s->shape);
    return -1;
}

/* By its place among the cells that `train` offers. */
static sg_cell offered_cell(int choice)
{
    size_t c = 0;
    while (sg_cell_is_imported((sg_cell)c) || choice--)
        c++;
    return (sg_cell)c;
}

static int choose(settings *s)
{
    if (s->cell >= 0)
        s->shape.cell = offered_cell(s->cell);
    s->shape.unit = (sg_unit)s->unit;
    sg_train_config rates = s->train;
    sg_train_default_rates(&rates);
    s->train.lr = isnan(s->train.lr) ? rates.lr : s->train.lr;
    s->train.clip = isnan(s->train.clip) ? rates.clip : s->train.clip;
    for (size_t k = 0; k < SG_MAX_LAYERS; k++)
        s->shape.hidden[k] = s->hidden;
    s->shape.eos = !s->no_eos;
    s->shape.has_decoder = true;
    if (s->shape.tied && s->hidden != s->shape.embedding)
        return misuse("train: --tied: needs --hidden-size = --embedding-size, found %zu and %zu", s->hidden,
                      s->shape.embedding);
    if (s->shape.tied && s->train.freeze_embeddings)
        return misuse(
            "train: --freeze-embeddings cannot be combined with --tied: the decoder must be trained");
    if (s->train.freeze_embeddings && !s->train.embeddings)
        return misuse("train: --freeze-embeddings needs --embeddings FILE");
    if (s->train.resume && !s->train.checkpoint)
        return misuse("train: --resume needs --checkpoint FILE");
    if (s->vocab_file && (s->vocab_size || s->min_count))
        return misuse("train: --vocab cannot be combined with --vocab-size or --min-count");
    if (s->train.patience && !s->valid.n)
        return misuse("train: --patience needs --valid FILE");
    if (s->train.min_delta > 0 && !s->train.patience)
        return misuse("train: --min-delta needs --patience N");
    if (!s->output)
        return misuse("train: nowhere to write the model: give -o MODEL");
    return -1;
}

static sg_status make_vocab(sg_vocab **out, const settings *s, const sg_corpus_config *corpus,
                            const sg_monitor *monitor, sg_error *err)
{
    bool words = corpus->unit == SG_UNIT_WORD;
    sg_vocab_config cfg = {.size = s->vocab_size,
                           .min_count = s->min_count,
                           .unk = words,
                           .most = words ? DEFAULT_VOCABULARY : 0};
    sg_corpus *c = NULL;
    sg_status st = s->vocab_file ? sg_vocab_load(out, s->vocab_file, 0, monitor, err) : SG_OK;
    if (st == SG_OK)
        st = sg_corpus_open(&c, corpus, err);
    if (st == SG_OK)
        st = s->vocab_file ? sg_vocab_recount(*out, c, err) : sg_vocab_build(out, c, &cfg, err);
    sg_corpus_close(c);
    return st;
}

typedef struct {
    sg_spool *spool;
    sg_vocab *vocab;
    sg_stream *train, *valid;
    sg_model *model;
} work;

static void work_free(work *w)
{
    sg_model_free(w->model);
    sg_stream_free(w->train);
    sg_stream_free(w->valid);
    sg_vocab_free(w->vocab);
    sg_spool_free(w->spool);
}

/* Streams and an empty model. */
static sg_status prepare(work *w, settings *s, const char *const *paths, size_t n_paths,
                         const sg_monitor *monitor, sg_error *err)
{
    sg_status st = sg_spool_new(&w->spool, paths, n_paths, err);
    sg_corpus_config corpus = {.paths = paths,
                               .n_paths = n_paths,
                               .format = (sg_format)s->format,
                               .unit = s->shape.unit,
                               .eos = s->shape.eos,
                               .spool = w->spool,
                               .monitor = monitor};
    if (st != SG_OK || (st = make_vocab(&w->vocab, s, &corpus, monitor, err)) != SG_OK ||
        (st = sg_stream_new(&w->train, &corpus, w->vocab, NULL, monitor, err)) != SG_OK)
        return st;
    if (s->valid.n) {
        corpus.paths = s->valid.items;
        corpus.n_paths = s->valid.n;
        corpus.spool = NULL;
        if ((st = sg_stream_new(&w->valid, &corpus, w->vocab, NULL, monitor, err)) != SG_OK)
            return st;
    }
    s->shape.vocabulary = sg_vocab_size(w->vocab);
    return sg_model_new(&w->model, &s->shape, w->vocab, err);
}

static void print_result(const settings *s, const work *w, const sg_train_result *r)
{
    const sg_stream_counts *n = sg_stream_info(w->train);
    const char *best = sg_model_meta(w->model, "best_epoch");
    printf("%s: %s, %zu layer%s, %zu %s, trained on %" PRIu64 " tokens (%.1f %% of the words unknown)\n",
           shown(s->output), sg_cell_name(s->shape.cell), s->shape.layers, s->shape.layers == 1 ? "" : "s",
           s->shape.vocabulary, s->shape.unit == SG_UNIT_CHAR ? "characters" : "words", n->tokens,
           unknown_percent(w->train, s->shape.eos));
    if (w->valid)
        printf("Best of %u epoch%s: epoch %s, validation perplexity %.2f (%.4f nats per token)", r->epochs,
               r->epochs == 1 ? "" : "s", best ? best : "?", exp(r->best_valid_nats), r->best_valid_nats);
    else
        printf("%u epoch%s, training perplexity %.2f (no --valid: the last epoch is kept)", r->epochs,
               r->epochs == 1 ? "" : "s", exp(r->train_nats));
    if (r->tokens_per_second > 0)
        printf("; training ran at %.0f tokens/s", r->tokens_per_second);
    puts(".");
}

static int train(settings *s, const char *const *paths, size_t n_paths)
{
    work w = {0};
    sg_error err = {""}, second = {""};
    sg_train_result result = {0};
    progress_line line;
    bool log_shown = s->train.log_path && !strcmp(s->train.log_path, "-");
    /* On a terminal the lines of the log are the progress: a bar would run into them. */
    sg_monitor monitor = progress_monitor(&line, s->quiet || (log_shown && isatty(STDOUT_FILENO)));
    line.saves = true;
    sg_status st = prepare(&w, s, paths, n_paths, &monitor, &err);
    bool begun = st == SG_OK;
    if (begun)
        st = sg_train(&result, w.model, w.train, w.valid, &s->train, &monitor, &err);
    progress_done(&line);
    /* A run that diverged, or that was stopped without a checkpoint, leaves its best weights. */
    bool rescue = begun && result.epochs > 0 &&
                  (st == SG_ENONFINITE || st == SG_ENOCONV || (st == SG_ECANCELLED && !s->train.checkpoint));
    if (st == SG_OK) {
        st = sg_model_write(w.model, s->output, &err);
        if (st == SG_OK && !log_shown && !s->quiet)
            print_result(s, &w, &result);
    } else if (rescue && sg_model_write(w.model, s->output, &second) == SG_OK)
        fprintf(stderr, "stategrad: the best of the %u completed epoch%s is in %s\n", result.epochs,
                PLURAL(result.epochs), shown(s->output));
    int code = st == SG_OK ? EXIT_DONE : fail(st, &err);
    work_free(&w);
    return code;
}

/* Refuses what the script of the jobs sets; notes the files of the command. */
static int check_plan(const settings *s, int argc, char **argv, job_plan *p)
{
    p->output = s->output, p->log = s->train.log_path;
    for (int i = 0; i < argc; i++)
        if (!strcmp(argv[i], "-"))
            return misuse("train: -: a job has no standard input; name a file");
    if (s->train.checkpoint || s->train.resume || s->train.threads)
        return misuse("train: --%s: cluster writes it into the script; leave it out",
                      s->train.checkpoint ? "checkpoint"
                      : s->train.resume   ? "resume"
                                          : "threads");
    int code = -1;
    for (int i = 0; code < 0 && i < argc; i++)
        code = refuse_unreadable("train", argv[i], true);
    for (size_t i = 0; code < 0 && i < s->valid.n; i++)
        code = refuse_unreadable("train: --valid", s->valid.items[i], true);
    if (code < 0)
        code = refuse_unreadable("train: --vocab", s->vocab_file, false);
    if (code < 0)
        code = refuse_unreadable("train: --embeddings", s->train.embeddings, false);
    return code;
}

static sg_status set(void *cfg, const char *name, const char *value, sg_error *err)
{
    return sg_train_set(cfg, name, value, err);
}

static int train_or_plan(int argc, char **argv, job_plan *plan)
{
    settings s = {.preset = -1,
                  .cell = -1,
                  .shape = {.cell = SG_CELL_LSTM, .layers = 1, .embedding = 64, .hidden = {256}},
                  .options = {.row = sg_train_setting, .set = set}};
    s.options.cfg = &s.train;
    int code = apply_preset(&s, argc, argv);
    if (code >= 0)
        return code;
    s.hidden = s.shape.hidden[0];
    s.train.lr = s.train.clip = NAN; /* not given: follow from optimizer and loss scale */
    const double sizes = 1 << 24;
    char names[200] = "";
    const option first[] = {
        {"output", 'o', OPT_STRING, &s.output, "MODEL", "the model file to write", 0, 0},
        {"valid", 0, OPT_LIST, &s.valid, "FILE",
         "validation corpus: the epoch with the lowest perplexity on it is kept", 0, 0},
        {"preset", 0, OPT_CHOICE, &s.preset, "paper",
         "the recipe of Verwimp et al.: --optimizer sgd --loss-scale sum --steps 200 --epochs 39 --dropout 0.5",
         0, 0},
        {"cell", 0, OPT_CHOICE, &s.cell, cell_names(names, false), "recurrent cell (default: lstm)", 0, 0},
        {"layers", 0, OPT_SIZE, &s.shape.layers, "N", "recurrent layers", 1, SG_MAX_LAYERS},
        {"embedding-size", 0, OPT_SIZE, &s.shape.embedding, "N", "numbers per word", 1, sizes},
        {"hidden-size", 0, OPT_SIZE, &s.hidden, "N", "units of every layer", 1, sizes},
        {"tied", 0, OPT_FLAG, &s.shape.tied, NULL, "tie the weights of the decoder to the embeddings", 0, 0},
    };
    const option more[] = {
        QUIET_OPTION(s.quiet),
        SECTION("Corpus and vocabulary"),
        {"format", 0, OPT_CHOICE, &s.format, FORMATS, "format of the corpus; auto: by extension", 0, 0},
        {"unit", 0, OPT_CHOICE, &s.unit, "word|char", "what a token is", 0, 0},
        {"no-eos", 0, OPT_FLAG, &s.no_eos, NULL, "no <eos> at line ends", 0, 0},
        {"vocab-size", 0, OPT_SIZE, &s.vocab_size, "N",
         "words, <unk> and <eos> included (default: at most 10000)", 2, 1 << 27},
        {"min-count", 0, OPT_SIZE, &s.min_count, "N", "replace words seen less often with <unk>", 1, 1e15},
        {"vocab", 0, OPT_STRING, &s.vocab_file, "FILE",
         "one word per line in id order, JSON, a pickle, ... (doc/import.md)", 0, 0},
        SECTION("Training"),
    };
    const option last = END_OF_OPTIONS;
    option table[MAX_OPTIONS];
    memcpy(table, first, sizeof first);
    size_t n = add_setting_options(&s.options, table, sizeof first / sizeof *first, false);
    memcpy(table + n, more, sizeof more);
    n = add_setting_options(&s.options, table, n + sizeof more / sizeof *more, true);
    table[n] = last;
    code = parse_options(&cmd_train, table, &argc, argv, 1, 0);
    if (code < 0)
        code = read_setting_options(&s.options, "train");
    if (code < 0)
        code = choose(&s);
    if (code < 0)
        code = refuse_stdout(s.output);
    if (code < 0)
        code = refuse_stdout(s.train.checkpoint);
    const char *inputs[3] = {s.vocab_file, s.train.embeddings, s.output};
    const char *outputs[] = {s.output, s.train.checkpoint, s.train.log_path};
    for (size_t i = 0; code < 0 && i < 3; i++) {
        code = i < 2 ? refuse_unwritable(outputs[i]) : -1; /* the log may go to a pipe or a device */
        if (code < 0)
            code = refuse_overwriting(outputs[i], (const char *const *)argv, (size_t)argc);
        if (code < 0 && s.valid.n)
            code = refuse_overwriting(outputs[i], s.valid.items, s.valid.n);
        if (code < 0)
            code = refuse_overwriting(outputs[i], inputs, i ? 3 : 2);
        if (code < 0 && i == 2)
            code = refuse_overwriting(outputs[2], outputs + 1, 1);
    }
    const char *others[] = {s.output, s.train.log_path, s.vocab_file, s.train.embeddings};
    if (code < 0)
        code = refuse_side_files(s.train.checkpoint, others, 4, NULL);
    if (code < 0)
        code = refuse_side_files(s.train.checkpoint, (const char *const *)argv, (size_t)argc, NULL);
    if (code < 0)
        code = refuse_side_files(s.train.checkpoint, s.valid.items, s.valid.n, NULL);
    if (code < 0 && plan)
        code = check_plan(&s, argc, argv, plan);
    else if (code < 0)
        code = train(&s, (const char *const *)argv, (size_t)argc);
    option_list_free(&s.valid);
    return code;
}

static int run(int argc, char **argv)
{
    return train_or_plan(argc, argv, NULL);
}

int plan_training(int argc, char **argv, job_plan *plan)
{
    return train_or_plan(argc, argv, plan);
}

const command cmd_train = {
    .name = "train",
    .operands = "CORPUS...",
    .summary = "train a language model",
    .about = "Trains a recurrent language model by truncated back-propagation through time and writes it "
             "as a safetensors file that PyTorch's word_language_model accepts. The corpus is text (one "
             "sentence per line), CoNLL-U or word/tag; .gz, folders and - are read.\n\n"
             "--loss-scale determines the scale of lr and clip. mean: the loss is averaged over the steps "
             "and sequences of a window, as in PyTorch's examples. sum: it is summed over the steps and "
             "averaged over the sequences, as in TensorFlow's PTB tutorial and the papers. lr 1 and clip 5 "
             "with the sum over 200 steps equal lr 200 and clip 0.025 with the mean. Losses are shown in "
             "nats per token in both cases.",
    .examples =
        "stategrad train train.txt --valid valid.txt --epochs 10 --checkpoint run.ckpt -o model.safetensors",
    .run = run,
};
