/* SPDX-License-Identifier: MIT */
/* cli.h - what the commands share: the option table, the progress line, one-line errors. */
#ifndef STATEGRAD_CLI_H
#define STATEGRAD_CLI_H

#include "stategrad/analysis.h"
#include "stategrad/import.h"

#include <jansson.h>
#include <stdio.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_MISUSE = 2 };

/* ---- options: one table generates parsing, help, manual pages and completion ---- */
typedef enum {
    OPT_FLAG,    /* bool *: true when given */
    OPT_STRING,  /* const char ** */
    OPT_CHOICE,  /* int *: index of a word of arg, "auto|yes|no"; -1: none is chosen */
    OPT_LIST,    /* option_list *: repeatable */
    OPT_SIZE,    /* size_t *: a whole number, 0 or more */
    OPT_INT,     /* int * */
    OPT_THREADS, /* int *: as OPT_INT; more than the cores is all of them */
    OPT_U64,     /* uint64_t * */
    OPT_REAL,    /* double *, finite */
    OPT_SECTION  /* no option: the heading, in `name`, of the rows that follow */
} option_kind;

typedef struct {
    const char **items;
    size_t n;
} option_list;

typedef struct {
    const char *name; /* without the dashes */
    char letter;      /* short form or 0; one letter has one meaning in all commands */
    option_kind kind;
    void *value;      /* holds the default before parsing; the help adds it unless it is 0, NULL or -1 */
    const char *arg;  /* "N", "FILE", "word|char"; NULL for a flag */
    const char *help; /* a phrase */
    double min, max;  /* numbers: inclusive bounds when min < max */
} option;

#define PLURAL(n) ((n) == 1 ? "" : "s")
#define CSV_STYLES "plain|spreadsheet" /* sg_csv_style */
#define CSV_STYLE_HELP                                                                                       \
    "spreadsheet: an apostrophe before names that begin with = + - or @, so that none is evaluated as a formula"
#define FORMATS "auto|text|conllu|tagged" /* sg_format */
/* One rule for all commands: a warning concerns the results, so it is always printed. */
#define QUIET_OPTION(variable)                                                                               \
    {                                                                                                        \
        "quiet", 'q', OPT_FLAG, &(variable), NULL,                                                           \
            "no progress, no summary of what was written; warnings are printed", 0, 0                        \
    }

/* clang-format off */
#define SECTION(heading) {heading, 0, OPT_SECTION, NULL, NULL, NULL, 0, 0}
#define END_OF_OPTIONS {NULL, 0, OPT_FLAG, NULL, NULL, NULL, 0, 0}
/* clang-format on */

/* about: paragraphs separated by a blank line, refilled to the width of the page; a line that begins with a
 * space stays as it is. examples: one command per line. */
typedef struct {
    const char *name, *operands; /* "analyze", "MODEL CORPUS..." */
    const char *summary;         /* one line */
    const char *about, *examples;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
} command;

/* Options and operands in any order, --opt VALUE and --opt=VALUE, -o VALUE and -oVALUE, `--` ends options.
 * Operands are left in argv[0..*n_operands). The table ends with END_OF_OPTIONS; --quiet and --json are
 * the caller's to list if it has them (--help is always known). Returns -1 to go on, otherwise the exit code
 * to leave with (help printed: 0; misuse reported on stderr: 2). min/max operands are checked; max 0: any
 * number; max -1: any, and all after the first is left as it is. */
int parse_options(const command *c, const option *table, int *argc, char **argv, int min_operands,
                  int max_operands);
void option_list_free(option_list *l);
/* Index of text among the words of "a|b|c"; -1: it is none of them. */
int find_choice(const char *choices, const char *text);
/* The default as the help shows it; false: none is shown. */
bool default_text(const option *o, char *text, size_t size);

/* ---- options from a table of settings (stategrad/settings.h): setting_options.c ---- */
enum { MAX_SETTINGS = 64 };
typedef struct {
    const sg_setting *(*row)(size_t i); /* the table */
    sg_status (*set)(void *cfg, const char *name, const char *value, sg_error *err);
    void *cfg;                         /* with its defaults */
    char option_of[MAX_SETTINGS][32];  /* "--burn-in" */
    const char *text_of[MAX_SETTINGS]; /* what was given for settings that are not plain numbers */
} setting_options;

/* "burn_in" as an option, "--burn-in". */
void spell_option(char *text, size_t size, const char *setting);
/* Adds the rows of the table that are, or are not, advanced to n options; the number of options then. Plain
 * numbers and flags go into cfg when the options are parsed, the others by read_setting_options. */
size_t add_setting_options(setting_options *o, option *table, size_t n, bool advanced);
/* -1: continue. Otherwise 2, after the message, which begins with the name of the command. */
int read_setting_options(const setting_options *o, const char *name);

/* ---- help, manual pages, completion: manual.c ---- */
void print_usage(FILE *f);
void print_help(FILE *f, const command *c, const option *table);
/* `stategrad --generate man|bash|zsh|fish [COMMAND]`, used by the build: a manual page (of COMMAND) or the
 * completion of a shell, on standard output; the exit code. */
int generate(int argc, char **argv);
/* What a command's table adds to it: parse_options calls it for `COMMAND --generate KIND`. */
int generate_part(const char *kind, const command *c, const option *table);

/* "did you mean --x? " when a name is near to text, else "". */
const char *did_you_mean(char *room, size_t size, const char *dashes, const char *text,
                         const char *const *names, size_t n);

/* "stategrad: message" on stderr; the exit code for st: 1, or 128 + the signal that cancelled the work. */
int fail(sg_status st, const sg_error *err);
/* A text of the library with the options in it: --burn-in for "setting 'burn_in'", in place. */
void name_options(char *text);
/* The same of a copy, valid until the next call. */
const char *with_options(const char *message);
int misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same where it is a file or the machine that is at fault: 1. */
int failure(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A name from a file or a command as a terminal may have it (sg_printable). Valid until the fourth call after
 * it. */
const char *shown(const char *name);

/* "-"; NULL is none. */
bool to_stdout(const char *output);
/* -1: continue. Otherwise 2: "-" for an output that is no text. */
int refuse_stdout(const char *output);
/* -1: continue. Otherwise 1, after the message, which names `what` (a command, an option), why the input
 * cannot be read. NULL is fine; a folder only if `folders`. */
int refuse_unreadable(const char *what, const char *input, bool folders);
/* -1: continue. Otherwise 1, after the message why the output cannot be written: call it before the work. "-"
 * and NULL are fine. */
int refuse_unwritable(const char *output);
/* -1: continue. Otherwise 2, after the message that `output` is the same file (by name or link, there or not)
 * as one of the n inputs, or lies in one that is a folder. Call it for every output, with every input and
 * every earlier output. NULLs are fine. */
int refuse_overwriting(const char *output, const char *const *inputs, size_t n);
/* The same for files named within the texts of an option (lexicon:FILE,groups=FILE; NAME=FILE-FILE): every
 * part that follows one of : = , - and ends before one or at the end. */
int refuse_overwriting_parts(const char *output, const option_list *texts);
/* Both, for the companion files of a checkpoint (FILE.previous, .lock, .blocks0, .blocks1). Call it with
 * every input and every other output. checkpoint and texts may be NULL. */
int refuse_side_files(const char *checkpoint, const char *const *files, size_t n, const option_list *texts);

/* Puts text on stdout. What stdout refuses is reported when the program ends. */
extern const sg_writer standard_output;

/* ---- progress ---- */
typedef struct {
    bool quiet, terminal;
    bool saves; /* set by commands whose work writes a checkpoint, or a result, when it is stopped */
    double last;
    bool drawn;
} progress_line;
/* SIGINT, SIGTERM, SIGHUP and SIGUSR1 (which mpirun passes on at once): work that saves its state
 * (progress_line.saves, from its first tick after reading) is asked to stop, and interrupted() is the
 * signal's number; all other work is ended at once, exit code 128 + number, its temporary files removed. A
 * second signal always ends the process. */
void stop_on_signals(void);
/* From here on a signal that ends the process at once is not mentioned: one that ends many ends each of
 * them. */
void stop_silently(void);
/* A bar with rate and ETA on a terminal, a line now and then otherwise, no progress when quiet; warnings in
 * any case. */
sg_monitor progress_monitor(progress_line *p, bool quiet);
void progress_done(progress_line *p);
int interrupted(void);

/* ---- JSON ---- */
json_t *json_finite(double x); /* null for NaN and infinities: JSON has none */
json_t *json_utf8(const char *text);
/* One line on standard output; reals with `digits` significant digits. Frees the object; NULL: memory ran
 * out. */
sg_status print_json(json_t *object, int digits, sg_error *err);

/* Words outside the vocabulary as a reader counts them: per cent of the words, the <eos> that was added at
 * line ends (eos) not among them. */
double unknown_percent(const sg_stream *s, bool eos);

/* ---- models: ours, or trained elsewhere ---- */
typedef struct {
    option_list maps, ignore;
    const char *vocab, *unk, *eos, *unit, *output, *cell, *gate_order, *recurrent_activation;
    bool transposed, one_hot, forward_only;
    double forget_bias;
} model_options;
/* The last rows of a command's option table. */
/* clang-format off */
#define MODEL_OPTIONS(m)                                                                                      \
    SECTION("Words"),                                                                                         \
    {"unk", 0, OPT_STRING, &(m).unk, "WORD", "word of its vocabulary that replaces unknown ones (default: <unk>)", 0, 0}, \
    {"eos", 0, OPT_STRING, &(m).eos, "WORD|none", "word of its vocabulary that ends a line (default: <eos>); none: no word is added", 0, 0}, \
    SECTION("Models trained elsewhere"),                                                                      \
    {"vocab", 0, OPT_STRING, &(m).vocab, "FILE", "its words: one per line in id order, JSON, a pickle, ... (doc/import.md)", 0, 0},         \
    {"map", 0, OPT_LIST, &(m).maps, "ROLE=TENSOR", "use this tensor in this role (repeatable)", 0, 0},         \
    {"gate-order", 0, OPT_STRING, &(m).gate_order, "LIST", "gates of mapped tensors: i,f,o,g or z,r,n", 0, 0}, \
    {"transposed", 0, OPT_FLAG, &(m).transposed, NULL, "mapped tensors are (inputs, gates): x W", 0, 0},      \
    {"recurrent-activation", 0, OPT_STRING, &(m).recurrent_activation, "NAME",                                \
     "sigmoid|hard_sigmoid of gates, where the file does not state it", 0, 0},                                \
    {"one-hot", 0, OPT_FLAG, &(m).one_hot, NULL, "its inputs are one-hot vectors of words", 0, 0},            \
    {"forward-only", 0, OPT_FLAG, &(m).forward_only, NULL, "only the forward direction of the first layer", 0, 0}, \
    {"ignore", 0, OPT_LIST, &(m).ignore, "TENSOR", "leave this tensor out (repeatable)", 0, 0},       \
    {"unit", 0, OPT_STRING, &(m).unit, "word|char", "unit of its tokens (default: by its words)", 0, 0},    \
    {"cell", 0, OPT_STRING, &(m).cell, "NAME", "its recurrent cell: lstm, gru, gru-reset-first, rnn, rnn-relu, ...", 0, 0},   \
    {"output-activation", 0, OPT_STRING, &(m).output, "linear|relu|tanh", "before the decoder", 0, 0},        \
    {"forget-bias", 0, OPT_REAL, &(m).forget_bias, "X", "added to the forget gate (raw kernels)", 0, 0}
/* clang-format on */
/* On stderr: a model trained elsewhere whose vocabulary has no word for the end of a line, unless no_eos says
 * so. */
void remark_on_line_ends(const sg_model *m, bool no_eos);
/* On stderr: predictions worse than uniform (e NULL: there are none), parts of the net that --ignore left
 * out. */
void remark_on_predictions(const sg_model *m, const sg_eval *e);
/* -1, or the exit code of a misuse. Then sg_model_load(&m, path, cfg, ...). Borrows from o. */
int import_config_from(sg_import_config *cfg, const model_options *o);
/* "rnn|rnn-relu|gru|...": the names of the cells that `train` offers, or of all. */
const char *cell_names(char text[200], bool all);
void model_options_free(model_options *o);

/* ---- runs (analyze, merge, track) ---- */
/* Table, curves and law of decay of a run file on stdout; the exit code. */
int print_summary(const char *run_path, bool ascii);
/* Gain and relative memory of property p, class "all", at a few delays, with random directions for
 * comparison. */
void print_property(sg_run *r, const char *group, size_t p);
/* --property NAME=...: -1 and an array that ends with a NULL name (free_properties frees it), or the exit
 * code. */
int read_properties(const option_list *given, sg_property **out);
void free_properties(sg_property *p);

/* ---- runs to be reported on or compared ---- */
/* The operands, then the runs of the groups. */
typedef struct {
    const char **paths, **groups; /* n; groups[i]: NULL for an operand */
    sg_run **runs;
    size_t n;
    char *names; /* copies of the texts of --group, cut into names and paths */
} run_selection;
/* --group NAME=RUN.nc,RUN.nc,...: -1, or the exit code of a misuse, which names the command, `verb`. Free it
 * in every case. */
int select_runs(run_selection *s, const char *verb, const option_list *given, char **operands, size_t n);
sg_status open_runs(run_selection *s, sg_error *err);
void run_selection_free(run_selection *s);
/* "layer2.hidden" from --layer 2 --state hidden: the first group of the run that fits. NULL: none does. */
const char *choose_state(const sg_run *r, const char *state, size_t layer);
/* The misuse that it found none; the message names those there are. */
int no_such_state(const char *verb, const sg_run *r, const char *path, const char *state, size_t layer);

/* ---- jobs of a cluster: cmd_cluster.c ---- */
/* What a command would do, without doing it. */
typedef struct {
    /* given */
    size_t parts, ranks, first_seed, last_seed; /* 0: none */
    int cpus;                                   /* of each process */
    /* found: names within argv, or NULL; train has no model and no forecast */
    const char *model, *output, *table, *log;
    double seconds, merge_seconds; /* of the longest job, and of the merge of parts */
    size_t memory;                 /* bytes of a process */
} job_plan;
/* -1, or the exit code: argv is checked as if the command were to run, and belongs to it as in
 * command.run. */
int plan_analysis(int argc, char **argv, job_plan *plan);
int plan_training(int argc, char **argv, job_plan *plan);
/* A job's own file: "run.nc", "-seed" and 3 make "run-seed3.nc"; to be freed, or NULL. */
char *job_file(const char *name, const char *word, size_t number);
/* Bytes of name before its extension, or of all of it. */
size_t name_stem(const char *name);

/* ---- the commands ---- */
extern const command *const commands[]; /* NULL-terminated */
extern const command cmd_import, cmd_info;
extern const command cmd_analyze, cmd_merge, cmd_track;
extern const command cmd_train;
extern const command cmd_eval;
extern const command cmd_check;
extern const command cmd_report, cmd_compare;
extern const command cmd_pairs;
extern const command cmd_words;
extern const command cmd_synth;
extern const command cmd_show;
extern const command cmd_cluster;

#endif
