/* SPDX-License-Identifier: MIT */
/* stategrad analyze - state gradients of a corpus, averaged, into a run file. */
#include "team.h"

#include "stategrad/analysis.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = MAX_SETTINGS + 32 };

typedef struct {
    sg_analysis_config cfg;
    const char *output;
    int format;
    setting_options options;
    option_list classes, properties, pairs;
    model_options model;
    bool no_eos, lowercase, quiet, ascii;
    sg_property *property;
    char *command;
    job_plan *plan; /* only this is wanted; or NULL */
} settings;

/* Is arg this option, alone or with its value after it? */
static bool is_option(const char *arg, const char *name, bool *takes_value)
{
    size_t n = strlen(name);
    if (strncmp(arg, name, n))
        return false;
    *takes_value = !arg[n];
    return !arg[n] || arg[n] == '=' || n == 2;
}

/* Options that change what is printed or how fast, not what is found: two runs that differ in them alone are
 * the same. */
static bool is_neutral(const char *arg, bool *takes_value)
{
    static const char *const flags[] = {"--quiet", "-q", "--ascii"};
    const sg_setting *x;
    *takes_value = false;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (!strcmp(arg, flags[i]))
            return true;
    if (is_option(arg, "--output", takes_value) || is_option(arg, "-o", takes_value))
        return true;
    for (size_t i = 0; (x = sg_analysis_setting(i)); i++) {
        char name[40];
        const char letter[3] = {'-', x->letter};
        spell_option(name, sizeof name, x->name);
        if (x->neutral &&
            (is_option(arg, name, takes_value) || (x->letter && is_option(arg, letter, takes_value))))
            return true;
    }
    return false;
}

/* The command as it was typed, without the neutral options; arguments with odd characters in quotes. */
static char *command_text(int argc, char **argv)
{
    size_t size = 64;
    for (int i = 1; i < argc; i++)
        size += 4 * strlen(argv[i]) + 3;
    char *text = calloc(size, 1), *p = text;
    if (!text)
        return NULL;
    p += sprintf(p, "stategrad analyze");
    for (int i = 1; i < argc; i++) {
        bool takes_value;
        if (is_neutral(argv[i], &takes_value)) {
            i += takes_value;
            continue;
        }
        *p++ = ' ';
        bool plain =
            argv[i][0] && !argv[i][strspn(argv[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                   "0123456789-_=+:,./%@")];
        if (!plain)
            *p++ = '\'';
        for (const char *c = argv[i]; *c; c++)
            p = *c == '\'' ? p + sprintf(p, "'\\''") : (*p = *c, p + 1);
        if (!plain)
            *p++ = '\'';
    }
    return text;
}

static sg_status set(void *cfg, const char *name, const char *value, sg_error *err)
{
    return sg_analysis_set(cfg, name, value, err);
}

int read_properties(const option_list *given, sg_property **out)
{
    *out = calloc(given->n + 1, sizeof **out);
    if (!*out)
        return misuse("no memory");
    for (size_t i = 0; i < given->n; i++) {
        char *text = strdup(given->items[i]), *equals = text ? strchr(text, '=') : NULL;
        if (!equals || equals == text || !equals[1]) {
            free(text);
            return misuse("--property: expected NAME=A-B, NAME=PAIRS or NAME=VECTOR.npy, found '%s'",
                          given->items[i]);
        }
        *equals = 0;
        (*out)[i] = (sg_property){text, equals + 1, NULL};
    }
    return -1;
}

void free_properties(sg_property *p)
{
    for (size_t i = 0; p && p[i].name; i++)
        free((char *)p[i].name);
    free(p);
}

static sg_status open_corpus(settings *s, const sg_model *m, int argc, char **argv, sg_classes **k,
                             sg_stream **stream, const sg_monitor *monitor, sg_error *err)
{
    const sg_model_shape *shape = sg_model_get_shape(m);
    sg_corpus_config corpus = {.paths = (const char *const *)argv + 1,
                               .n_paths = (size_t)argc - 1,
                               .format = (sg_format)s->format,
                               .unit = shape->unit,
                               .eos = shape->eos && !s->no_eos,
                               .lowercase = s->lowercase};
    sg_status st = SG_OK;
    if (s->cfg.features_path) {
        uint64_t rows = 0;
        size_t columns;
        st = sg_features_shape(s->cfg.features_path, &rows, &columns, err);
        corpus = (sg_corpus_config){.rows = rows, .format = SG_FORMAT_TEXT, .unit = SG_UNIT_WORD};
    }
    corpus.pairs = s->pairs.items, corpus.n_pairs = s->pairs.n;
    if (st == SG_OK)
        st = sg_classes_new(k, s->classes.items, s->classes.n, sg_model_vocab(m), err);
    for (size_t i = 0; i < s->properties.n && st == SG_OK; i++)
        st = sg_classes_keep(*k, s->properties.items[i], err);
    if (st == SG_OK)
        st = sg_stream_new(stream, &corpus, sg_model_vocab(m), *k, monitor, err);
    return st;
}

static void print_bytes(FILE *f, size_t n)
{
    if (n < (size_t)1 << 20)
        fprintf(f, "%.0f KiB", (double)n / 1024);
    else if (n < (size_t)1 << 30)
        fprintf(f, "%.0f MiB", (double)n / 1048576);
    else
        fprintf(f, "%.1f GiB", (double)n / 1073741824);
}

static void print_forecast(const settings *s, const sg_model *m, const sg_stream *stream, const sg_classes *k)
{
    sg_analysis_estimate e;
    if (s->quiet || sg_analysis_forecast(&e, &s->cfg, m, stream, k, NULL) != SG_OK)
        return;
    const sg_stream_counts *n = sg_stream_info(stream);
    bool eos = sg_model_get_shape(m)->eos && !s->no_eos && !s->cfg.features_path;
    fprintf(stderr, "%ju token%s (%.1f %% of the words unknown", (uintmax_t)n->tokens, PLURAL(n->tokens),
            unknown_percent(stream, eos));
    if (s->classes.n)
        fprintf(stderr, ", %.1f %% in no class", 100 * (double)n->unclassed / (double)n->tokens);
    fputs("), ", stderr);
    if (team())
        fprintf(stderr, "%zu processes, ", team()->ranks);
    if (s->cfg.precision > 0)
        fputs("as many input positions as the precision needs", stderr);
    else if (e.seconds < 90)
        fprintf(stderr, "about %.0f s", ceil(e.seconds));
    else
        fprintf(stderr, "about %.0f min", ceil(e.seconds / 60));
    fputs(", memory ", stderr);
    print_bytes(stderr, e.memory);
    fputs(", scratch file ", stderr);
    print_bytes(stderr, e.scratch_bytes);
    fputs(", run file below ", stderr);
    print_bytes(stderr, e.run_file_bytes);
    fputc('\n', stderr);
}

/* Time and memory of the jobs of a plan. */
static sg_status forecast_jobs(const settings *s, const sg_model *m, const sg_stream *stream,
                               const sg_classes *k, sg_error *err)
{
    job_plan *p = s->plan;
    sg_team several = {.ranks = p->ranks};
    sg_analysis_config cfg = s->cfg;
    sg_analysis_estimate e;
    cfg.team = p->ranks ? &several : NULL;
    cfg.threads = p->cpus;
    for (size_t i = 0; i < p->parts || i == 0; i++) {
        cfg.part = p->parts ? i + 1 : 0;
        sg_status st = sg_analysis_forecast(&e, &cfg, m, stream, k, err);
        if (st != SG_OK)
            return st;
        p->seconds = fmax(p->seconds, e.seconds);
        p->memory = e.memory > p->memory ? e.memory : p->memory;
    }
    p->merge_seconds = e.spectra_seconds;
    return SG_OK;
}

/* Are the first words of the corpus predicted at all? */
static sg_status remark_on_beginning(const sg_model *m, const sg_stream *stream, int threads, sg_error *err)
{
    enum { TOKENS = 500 };
    sg_step steps[TOKENS];
    int32_t ids[TOKENS];
    sg_stream *beginning = NULL;
    sg_eval e;
    size_t n = sg_stream_length(stream) < TOKENS ? (size_t)sg_stream_length(stream) : TOKENS;
    if (!sg_model_get_shape(m)->has_decoder || n < 2) {
        remark_on_predictions(m, NULL);
        return SG_OK;
    }
    sg_status st = sg_stream_read(stream, 0, n, steps, err);
    for (size_t i = 0; i < n && st == SG_OK; i++)
        ids[i] = steps[i].id;
    if (st == SG_OK)
        st = sg_stream_from_ids(&beginning, ids, NULL, n, NULL, sg_model_vocab(m), NULL, err);
    if (st == SG_OK)
        st = sg_lm_eval(&e, m, beginning, false, threads, NULL, err);
    if (st == SG_OK)
        remark_on_predictions(m, &e);
    sg_stream_free(beginning);
    return st == SG_ENONFINITE ? SG_OK : st; /* the analysis itself reports where */
}

static int check_outputs(const settings *s, int argc, char **argv)
{
    int code = refuse_stdout(s->output);
    if (code < 0)
        code = refuse_stdout(s->cfg.checkpoint);
    if (code < 0)
        code = refuse_overwriting(s->output, (const char *const *)argv, (size_t)argc);
    const char *files[] = {s->output, s->cfg.features_path, s->cfg.checkpoint};
    const char *outputs[] = {s->output, s->cfg.csv_path, s->cfg.checkpoint};
    for (size_t i = 0; code < 0 && i < 3; i++) {
        code = refuse_unwritable(outputs[i]);
        if (code < 0)
            code = refuse_overwriting_parts(outputs[i], &s->classes);
        if (code < 0)
            code = refuse_overwriting_parts(outputs[i], &s->properties);
        if (code < 0)
            code = refuse_overwriting(outputs[i], s->pairs.items, s->pairs.n);
        if (code < 0)
            code = refuse_overwriting(outputs[i], &s->model.vocab, 1);
    }
    if (code < 0)
        code = refuse_overwriting(s->output, files + 1, 2);
    if (code < 0)
        code = refuse_overwriting(s->cfg.csv_path, (const char *const *)argv, (size_t)argc);
    if (code < 0)
        code = refuse_overwriting(s->cfg.csv_path, files, 3);
    if (code < 0)
        code = refuse_overwriting(s->cfg.checkpoint, (const char *const *)argv, (size_t)argc);
    if (code < 0)
        code = refuse_overwriting(s->cfg.checkpoint, files, 2);
    const char *others[] = {s->output, s->cfg.csv_path, s->cfg.features_path, s->model.vocab};
    if (code < 0)
        code = refuse_side_files(s->cfg.checkpoint, others, 4, &s->classes);
    if (code < 0)
        code = refuse_side_files(s->cfg.checkpoint, (const char *const *)argv, (size_t)argc, &s->properties);
    return code;
}

static int work(settings *s, int argc, char **argv)
{
    sg_error err = {""};
    sg_model *m = NULL;
    sg_classes *k = NULL;
    sg_stream *stream = NULL;
    progress_line line;
    sg_monitor monitor = progress_monitor(&line, s->quiet);
    line.saves = s->cfg.checkpoint != NULL;
    s->cfg.team = team();
    bool speaks = !team() || !team()->rank; /* one process does */
    if (!speaks)
        s->quiet = line.quiet = true, monitor.warn = NULL;
    sg_import_config import;
    int code = import_config_from(&import, &s->model);
    if (code >= 0)
        return code;
    char *of_job = s->plan && s->plan->first_seed ? job_file(argv[0], "-seed", s->plan->first_seed) : NULL;
    sg_status st = sg_model_load(&m, of_job ? of_job : argv[0], &import, &monitor, &err);
    if (st == SG_OK && !s->cfg.state)
        s->cfg.state = sg_cell_default_state(sg_model_get_shape(m)->cell);
    if (st == SG_OK)
        st = open_corpus(s, m, argc, argv, &k, &stream, &monitor, &err);
    if (st == SG_OK)
        st = sg_analysis_check(&s->cfg, m, stream, &err);
    if (st == SG_OK) {
        progress_done(&line);
        if (s->plan)
            st = sg_analysis_check_properties(&s->cfg, m, stream, k, &err);
        if (s->plan && st == SG_OK)
            st = forecast_jobs(s, m, stream, k, &err);
        else if (!s->plan)
            print_forecast(s, m, stream, k);
        if (speaks)
            remark_on_line_ends(m, s->no_eos);
        if (st == SG_OK && speaks)
            st = remark_on_beginning(m, stream, s->cfg.threads, &err);
    }
    st = sg_team_agree(team(), "", st, &err);
    if (st == SG_OK && !s->plan)
        st = sg_analyze(s->output, m, stream, k, &s->cfg, &monitor, &err);
    progress_done(&line);
    if (st == SG_OK && s->plan)
        code = -1;
    else if (st == SG_OK)
        code = s->quiet || s->cfg.parts || (s->cfg.csv_path && !strcmp(s->cfg.csv_path, "-"))
                   ? EXIT_DONE
                   : print_summary(s->output, s->ascii);
    else
        code = fail(st, &err);
    if (st == SG_ECANCELLED && interrupted())
        code = 128 + interrupted();
    sg_stream_free(stream);
    sg_classes_free(k);
    sg_model_free(m);
    free(of_job);
    return code;
}

/* Refuses what cannot be one of several jobs and what the script sets; notes the files of the command. */
static int check_plan(settings *s, int argc, char **argv)
{
    job_plan *p = s->plan;
    *p = (job_plan){p->parts, p->ranks,         p->first_seed,       p->last_seed,
                    p->cpus,  .model = argv[0], .output = s->output, .table = s->cfg.csv_path};
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "-"))
            return misuse("analyze: -: a job has no standard input; name a file");
    if (s->cfg.parts || s->cfg.checkpoint || s->cfg.threads)
        return misuse("analyze: --%s: cluster writes it into the script; leave it out", s->cfg.parts ? "part"
                                                                                        : s->cfg.checkpoint
                                                                                            ? "checkpoint"
                                                                                            : "threads");
    if (p->ranks && (s->cfg.precision > 0 || s->pairs.n))
        return misuse("analyze: --%s works in one process only, not with --ranks",
                      s->pairs.n ? "pairs" : "precision");
    s->cfg.part = p->parts > 0, s->cfg.parts = p->parts;
    int code = -1;
    for (size_t seed = p->first_seed; code < 0 && seed && seed <= p->last_seed; seed++) {
        char *model = job_file(argv[0], "-seed", seed);
        code = refuse_unreadable("analyze", model, false);
        free(model);
    }
    return code;
}

static int analyze(int argc, char **argv, job_plan *plan)
{
    settings s = {.plan = plan, .options = {.row = sg_analysis_setting, .set = set}};
    s.options.cfg = &s.cfg;
    sg_analysis_defaults(&s.cfg, NULL);
    s.cfg.state = 0; /* not given: follows from the model */
    s.command = command_text(argc, argv);
    s.cfg.command = s.command;
    sg_analysis_config *c = &s.cfg;
    const option first[] = {
        {"output", 'o', OPT_STRING, &s.output, "RUN.nc", "the run file", 0, 0},
        {"classes", 'c', OPT_LIST, &s.classes, "SPEC",
         "upos, xpos, feats, deprel, lemma, column:N, misc:KEY (of CoNLL-U), tags, [NAME=]tags:FILE, lexicon:FILE, "
         "words:FILE, frequency, position, to-end; each with ,groups=FILE; or an expression: NAME=NOUN&rank 1-100, "
         "A|B, !PUNCT, deprel:nsubj&position:first, parentheses, upos*frequency (repeatable)",
         0, 0},
        {"property", 'p', OPT_LIST, &s.properties, "NAME=A-B",
         "classes, expressions of them, word lists or files of words; or NAME=PAIRS, NAME=VECTOR.npy (repeatable)",
         0, 0},
        {"pairs", 0, OPT_LIST, &s.pairs, "SPEC|FILE",
         "pairs of words, the one read and a later one, compared with other words at the same distances: subject-verb, "
         "[NAME=]deprel:RELATION->head or head->RELATION, with ,attractors or without; or a file of lines READ NOW LABEL, "
         "token positions from 0 (repeatable)",
         0, 0},
        {"format", 0, OPT_CHOICE, &s.format, FORMATS, "format of the corpus; auto: by extension", 0, 0},
        {"lowercase", 0, OPT_FLAG, &s.lowercase, NULL, "read the corpus in lower case", 0, 0},
        {"no-eos", 0, OPT_FLAG, &s.no_eos, NULL, "no <eos> at line ends (default: as the model was trained)",
         0, 0},
    };
    const option more[] = {
        {"ascii", 0, OPT_FLAG, &s.ascii, NULL, "no Unicode in the summary", 0, 0},
        QUIET_OPTION(s.quiet),
        SECTION("Advanced"),
    };
    const option last[] = {
        MODEL_OPTIONS(s.model),
        END_OF_OPTIONS,
    };
    option table[MAX_OPTIONS];
    memcpy(table, first, sizeof first);
    size_t n = add_setting_options(&s.options, table, sizeof first / sizeof *first, false);
    memcpy(table + n, more, sizeof more);
    n = add_setting_options(&s.options, table, n + sizeof more / sizeof *more, true);
    memcpy(table + n, last, sizeof last);
    int code = parse_options(&cmd_analyze, table, &argc, argv, 1, 0);
    if (code < 0)
        code = read_setting_options(&s.options, "analyze");
    if (code < 0 && plan)
        code = check_plan(&s, argc, argv);
    if (code < 0 && !s.output)
        code = misuse("analyze: the run file's name is missing: -o RUN.nc");
    if (code < 0 && argc < 2 && !c->features_path)
        code = misuse("analyze: a corpus is missing: analyze MODEL CORPUS... -o RUN.nc");
    if (code < 0 && argc > 1 && c->features_path)
        code = misuse("analyze: --inputs replaces the corpus; '%s' is one operand too many", argv[1]);
    if (code < 0 && c->sample && c->precision > 0)
        code = misuse("analyze: --sample and --precision: only one of them");
    if (code < 0 && c->parts && c->csv_path)
        code = misuse("analyze: --csv: a part of a run has no table; the merged run has");
    if (code < 0 && c->parts && s.pairs.n)
        code = misuse("analyze: --pairs: pairs are followed in whole runs only, not with --part");
    if (code < 0)
        code = read_properties(&s.properties, &s.property);
    c->properties = s.property;
    c->n_properties = s.properties.n;
    if (code < 0)
        code = check_outputs(&s, argc, argv);
    code = team_agree_on(code);
    if (code < 0)
        code = work(&s, argc, argv);
    free_properties(s.property);
    option_list_free(&s.classes);
    option_list_free(&s.properties);
    option_list_free(&s.pairs);
    model_options_free(&s.model);
    free(s.command);
    return code;
}

static int run(int argc, char **argv)
{
    return analyze(argc, argv, NULL);
}

int plan_analysis(int argc, char **argv, job_plan *plan)
{
    return analyze(argc, argv, plan);
}

const command cmd_analyze = {
    .name = "analyze",
    .operands = "MODEL CORPUS...",
    .summary = "average state gradients over a corpus: the main job",
    .about = "How sensitive is the state to a word read d steps ago? Computes the exact gradients of the "
             "state with respect to the embedding of every word read 0 .. D-1 steps before, averages them "
             "over the corpus and over classes of words, and writes their singular values and directions, "
             "with 95 % intervals over blocks of the corpus, to a NetCDF file that xarray reads.",
    .examples =
        "stategrad analyze model.safetensors valid.txt --classes frequency -o run.nc\n"
        "stategrad analyze model.safetensors brown.txt --format tagged --classes tags --property number=NNS-NN -o run.nc",
    .run = run,
};
