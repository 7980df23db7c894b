/* SPDX-License-Identifier: MIT */
/* stategrad show - one sentence: what of each word is still there at each later word. */
#include "cli.h"

#include "stategrad/import.h"
#include "stategrad/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MAX_LINES = 200 };

static bool colour_wanted(void)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(none && *none) && !(term && !strcmp(term, "dumb"));
}

static size_t terminal_width(void)
{
    struct winsize size;
    if (!isatty(STDOUT_FILENO))
        return 0;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static bool is_blank(const char *line)
{
    return line[strspn(line, " \t\r\n")] == '\0';
}

/* Each line that is not blank is a sentence; "-" is standard input. */
static int add_lines(sg_show *s, const char *path)
{
    FILE *f = strcmp(path, "-") ? fopen(path, "r") : stdin;
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int code = EXIT_DONE;
    sg_error err = {""};
    if (!f)
        return failure("%s: %s", path, strerror(errno));
    for (size_t number = 1; code == EXIT_DONE && (n = getline(&line, &room, f)) >= 0; number++) {
        if (n && line[n - 1] == '\n')
            line[--n] = '\0';
        if (strlen(line) != (size_t)n)
            code = failure("%s:%zu: a NUL byte: not a text", path, number);
        else if (!is_blank(line) && sg_show_sentences(s) == MAX_LINES)
            code = failure("%s:%zu: more than %d sentences; use stategrad analyze for a corpus", path, number,
                           MAX_LINES);
        else if (!is_blank(line) && sg_show_add(s, line, &err) != SG_OK)
            code = failure("%s:%zu: %s", path, number, err.msg);
    }
    if (code == EXIT_DONE && ferror(f))
        code = failure("%s: %s", path, strerror(errno));
    free(line);
    if (f != stdin)
        fclose(f);
    if (code == EXIT_DONE && sg_show_sentences(s) == 0)
        code = failure("%s: contains no sentence", path);
    return code;
}

/* "are/is" into two words; false if it is not that. */
static bool split_contrast(char *text, const char **a, const char **b)
{
    char *slash = strchr(text, '/');
    if (!slash || slash == text || !slash[1] || strchr(slash + 1, '/'))
        return false;
    *slash = '\0';
    *a = text, *b = slash + 1;
    return true;
}

static int show(const char *model_path, const sg_import_config *import, const char *text, const char *file,
                const sg_show_config *cfg, const char *html, bool json)
{
    sg_error err = {""};
    sg_model *m = NULL;
    sg_show *s = NULL;
    progress_line line;
    sg_monitor monitor = progress_monitor(&line, true);
    int code = EXIT_DONE;
    sg_status st = sg_model_load(&m, model_path, import, &monitor, &err);
    if (st == SG_OK)
        st = sg_show_new(&s, m, cfg, &err);
    if (st == SG_OK && text)
        st = sg_show_add(s, text, &err);
    if (st == SG_OK && file)
        code = add_lines(s, file);
    if (st == SG_OK && code == EXIT_DONE) {
        sg_eval e;
        sg_show_predictions(&e, s);
        remark_on_predictions(m, e.tokens ? &e : NULL);
    }
    if (st == SG_OK && code == EXIT_DONE && html)
        st = sg_show_page(html, s, &err);
    if (st == SG_OK && code == EXIT_DONE && json)
        st = sg_show_json(&standard_output, s, &err);
    else if (st == SG_OK && code == EXIT_DONE && !html)
        st = sg_show_text(&standard_output, s, terminal_width(), colour_wanted(), &err);
    sg_show_free(s);
    sg_model_free(m);
    return st == SG_OK ? code : fail(st, &err);
}

/* "3,37" into numbers, which are the caller's to free; -1, or the exit code to leave with. */
static int read_units(size_t **units, sg_show_config *cfg, const char *text)
{
    size_t n = 1;
    for (const char *c = text; *c; c++)
        n += *c == ',';
    if (!(*units = calloc(n, sizeof **units)))
        return failure("show: no memory for the units");
    for (size_t i = 0; i < n; i++) {
        char *end = NULL;
        errno = 0;
        const unsigned long long unit = strtoull(text, &end, 10);
        if (*text < '0' || *text > '9' || errno || (*end != ',' && *end))
            return misuse("show: --units: expected numbers of units, such as 3,37, found '%s'", text);
        (*units)[i] = (size_t)unit;
        text = end + 1;
    }
    cfg->units = *units, cfg->n_units = n;
    return -1;
}

/* --state, --target, --contrast and --path into cfg; -1, or the exit code to leave with. words[2] are the
 * caller's to free. */
static int check_options(sg_show_config *cfg, int state, const char *contrast, const char *path, char **words)
{
    if (state >= 0)
        cfg->state = state ? SG_STATE_HIDDEN : SG_STATE_CELL;
    if (cfg->target && contrast)
        return misuse("show: --target and --contrast exclude each other");
    if (contrast &&
        (!(words[0] = strdup(contrast)) || !split_contrast(words[0], &cfg->target, &cfg->against)))
        return misuse("show: --contrast: expected two words separated by a slash, such as are/is, found '%s'",
                      contrast);
    if (path && (!(words[1] = strdup(path)) || !split_contrast(words[1], &cfg->path_a, &cfg->path_b)))
        return misuse("show: --path: expected two words separated by a slash, such as on/off, found '%s'",
                      path);
    return -1;
}

static int run(int argc, char **argv)
{
    sg_show_config cfg = {.seed = 1};
    const char *text = NULL, *html = NULL, *contrast = NULL, *path = NULL, *units = NULL;
    size_t *numbers = NULL;
    int state = -1;
    bool json = false;
    model_options model = {0};
    const option table[] = {
        {"text", 0, OPT_STRING, &text, "TEXT", "the sentence", 0, 0},
        {"output", 'o', OPT_STRING, &html, "FILE",
         "write an interactive page: a click on a word shows its gain at each later word; -: standard output",
         0, 0},
        {"target", 0, OPT_STRING, &cfg.target, "WORD", "also the effect of each word on log p(WORD)", 0, 0},
        {"contrast", 0, OPT_STRING, &contrast, "A/B", "also the effect of each word on logit(A) - logit(B)",
         0, 0},
        {"replace", 0, OPT_SIZE, &cfg.replace, "N",
         "also the effect of replacing each word on state and prediction: mean over N words drawn by frequency",
         1, 10000},
        {"path", 0, OPT_STRING, &path, "A/B",
         "also each A (or B) of the sentence replaced by B (or A): change of state, and the gradient averaged along the path",
         0, 0},
        {"units", 0, OPT_STRING, &units, "LIST",
         "also single units of the state, such as 3,37: value after each word, and gain from each word", 0,
         0},
        {"seed", 0, OPT_U64, &cfg.seed, "N", "seed of the draws", 0, 0},
        {"state", 's', OPT_CHOICE, &state, "cell|hidden",
         "which state (default: cell for LSTMs, hidden otherwise)", 0, 0},
        {"layer", 'l', OPT_SIZE, &cfg.layer, "N", "1 is the lowest; default: the top one", 1, 1e6},
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON object on standard output", 0, 0},
        MODEL_OPTIONS(model),
        END_OF_OPTIONS,
    };
    char *words[2] = {NULL, NULL};
    sg_import_config import;
    int code = parse_options(&cmd_show, table, &argc, argv, 1, 2);
    if (code >= 0)
        goto done;
    code = check_options(&cfg, state, contrast, path, words);
    if (code < 0 && units)
        code = read_units(&numbers, &cfg, units);
    if (code >= 0)
        goto done;
    if (json && html && !strcmp(html, "-")) {
        code = misuse("show: --output - and --json both write to standard output; only one of them can");
        goto done;
    }
    if (text && argc == 2) {
        code = misuse("show: --text and the file %s exclude each other", argv[1]);
        goto done;
    }
    const char *file = text ? NULL : argc == 2 ? argv[1] : "-";
    const char *inputs[] = {argv[0], model.vocab, file};
    code = refuse_unwritable(html);
    if (code < 0)
        code = refuse_overwriting(html, inputs, 3);
    if (code < 0)
        code = import_config_from(&import, &model);
    if (code < 0)
        code = show(argv[0], &import, text, file, &cfg, html, json);
done:
    model_options_free(&model);
    free(words[0]), free(words[1]), free(numbers);
    return code;
}

const command cmd_show = {
    .name = "show",
    .operands = "MODEL [FILE|-]",
    .summary = "one sentence: gain from each word to each later state",
    .about = "Reads a sentence (--text), or a file or standard input with one sentence per line, each from "
             "a zero state. Shows for each pair of words the gain from the earlier word to the state at "
             "the later one: the norm of the state gradient, relative to its value at the word itself. "
             "With --target or --contrast also the effect on the prediction: the gradient of that score "
             "with respect to each word's embedding, times the embedding.",
    .examples =
        "stategrad show model.safetensors --text \"the keys to the old house are on the table\"\n"
        "stategrad show model.safetensors --text \"the keys to the old house\" --contrast are/is -o show.html",
    .run = run,
};
