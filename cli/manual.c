/* SPDX-License-Identifier: MIT */
/* Help, manual pages and completion, all from the tables of commands and options. */
#include "cli.h"

#include <string.h>

enum { WIDTH = 80, HELP_COLUMN = 30 };

static const char title[] = "how sensitive a recurrent network is to its earlier inputs";
static const char first_steps[] =
    "stategrad train train.txt --valid valid.txt -o model.safetensors\n"
    "stategrad analyze model.safetensors valid.txt --classes frequency -o run.nc\n"
    "stategrad report run.nc -o report.html";

/* ---- text ---- */

static int columns(const char *text, size_t n)
{
    int count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

/* Fills lines of WIDTH with the words of text[0..n), from `column` on; further lines begin at `indent`. Ends
 * the line. */
static void put_filled(FILE *f, const char *text, size_t n, int column, int indent)
{
    const char *end = text + n;
    bool first = true;
    while (text < end) {
        size_t length = strcspn(text, " \n");
        length = length < (size_t)(end - text) ? length : (size_t)(end - text);
        int width = columns(text, length);
        if (width && !first && column + 1 + width > WIDTH) {
            fprintf(f, "\n%*s", indent, "");
            column = indent;
        } else if (width && !first) {
            fputc(' ', f);
            column++;
        }
        fwrite(text, 1, length, f);
        column += width;
        first = first && !width;
        text += length + 1;
    }
    fputc('\n', f);
}

static size_t line_length(const char *text)
{
    return strcspn(text, "\n");
}

typedef enum { FILLED, KEPT, BLANK } block;

/* Calls put for each block of an `about`: lines to be filled, lines that stay as they are, or a blank
 * line. */
static void each_block(FILE *f, const char *about,
                       void (*put)(FILE *f, block kind, const char *text, size_t n))
{
    while (*about) {
        size_t n = line_length(about);
        block kind = n == 0 ? BLANK : about[0] == ' ' ? KEPT : FILLED;
        while (kind != BLANK && about[n] == '\n' && about[n + 1] && about[n + 1] != '\n' &&
               (about[n + 1] == ' ') == (kind == KEPT))
            n += 1 + line_length(about + n + 1);
        put(f, kind, about, n);
        about += n + (about[n] == '\n');
    }
}

/* ---- --help ---- */

static void help_block(FILE *f, block kind, const char *text, size_t n)
{
    if (kind == FILLED)
        put_filled(f, text, n, 0, 0);
    else
        fprintf(f, "%.*s\n", (int)n, text);
}

/* The end of the part of a command that should stay on one line: the next option begins there. */
static size_t command_part(const char *text, size_t n)
{
    bool quoted = false;
    for (size_t i = 1; i + 1 < n; i++) {
        quoted = quoted != (text[i] == '"');
        if (!quoted && text[i] == ' ' && text[i + 1] == '-')
            return i;
    }
    return n;
}

/* A command as it can be typed, two columns in; broken before an option where it is too long for a line. */
static void put_command(FILE *f, const char *text, size_t n)
{
    int column = 1;
    fputc(' ', f);
    for (size_t done = 0; done < n;) {
        size_t part = command_part(text + done, n - done);
        int width = columns(text + done, part);
        if (column > 1 && column + 1 + width > WIDTH - 2) {
            fputs(" \\\n     ", f);
            column = 5;
        }
        fprintf(f, "%s%.*s", text[done] == ' ' ? "" : " ", (int)part, text + done);
        column += width + (text[done] != ' ');
        done += part;
    }
    fputc('\n', f);
}

static void help_examples(FILE *f, const char *examples)
{
    for (const char *e = examples; *e;) {
        size_t n = line_length(e);
        put_command(f, e, n);
        e += n + (e[n] == '\n');
    }
}

/* The phrase with the default after it. */
static const char *full_help(const option *o, char *room, size_t size)
{
    char value[128];
    if (default_text(o, value, sizeof value))
        snprintf(room, size, "%s (default: %s)", o->help, value);
    else
        snprintf(room, size, "%s", o->help);
    return room;
}

static void help_row(FILE *f, const char *left, const char *help)
{
    int used = fprintf(f, "  %s", left);
    if (used > HELP_COLUMN - 2) {
        fputc('\n', f);
        used = 0;
    }
    fprintf(f, "%*s", HELP_COLUMN - used, "");
    put_filled(f, help, strlen(help), HELP_COLUMN, HELP_COLUMN);
}

void print_help(FILE *f, const command *c, const option *table)
{
    char left[128], help[640];
    fprintf(f, "usage: stategrad %s [options] %s\n\n", c->name, c->operands);
    each_block(f, c->about, help_block);
    fprintf(f, "\nExample%s:\n", strchr(c->examples, '\n') ? "s" : "");
    help_examples(f, c->examples);
    fputs("\nOptions:\n", f);
    for (const option *o = table; o->name; o++) {
        if (o->kind == OPT_SECTION) {
            fprintf(f, "\n%s:\n", o->name);
            continue;
        }
        snprintf(left, sizeof left, "%c%c%c --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                 o->letter ? ',' : ' ', o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        help_row(f, left, full_help(o, help, sizeof help));
    }
    fputc('\n', f);
    help_row(f, "-h, --help", "this text");
}

void print_usage(FILE *f)
{
    fputs("stategrad - ", f);
    put_filled(f, title, strlen(title), 12, 12);
    fputs("\nusage: stategrad COMMAND [options]\n       stategrad help COMMAND\n\n", f);
    for (const command *const *c = commands; *c; c++) {
        fprintf(f, "  %-9s ", (*c)->name);
        put_filled(f, (*c)->summary, strlen((*c)->summary), 12, 12);
    }
    fputs("  help      show the help of a command\n\nQuickstart:\n", f);
    help_examples(f, first_steps);
    fputs("\nOptions: --help, -h    --version, -V\n", f);
}

/* ---- manual pages ---- */

/* Text for troff: no character is a command. at_start: the text begins a line. */
static void put_roff(FILE *f, const char *text, size_t n, bool at_start)
{
    for (size_t i = 0; i < n; i++) {
        if (at_start && (text[i] == '.' || text[i] == '\''))
            fputs("\\&", f);
        at_start = text[i] == '\n';
        if (text[i] == '\\')
            fputs("\\e", f);
        else if (text[i] == '-')
            fputs("\\-", f);
        else
            fputc(text[i], f);
    }
}

/* A paragraph, in lines of at most 70 characters where its words allow: troff fills them anew. */
static void put_roff_lines(FILE *f, const char *text, size_t n)
{
    enum { LINE = 70 };
    size_t width = 0;
    for (const char *at = text, *end = text + n; at < end; at++) {
        const char *word = at;
        while (at < end && *at != ' ' && *at != '\n')
            at++;
        size_t length = (size_t)(at - word);
        bool fits = width && width + 1 + length <= LINE;
        if (width)
            fputc(fits ? ' ' : '\n', f);
        put_roff(f, word, length, !fits);
        width = fits ? width + 1 + length : length;
        if (at < end && *at == '\n') {
            fputc('\n', f);
            width = 0;
        }
    }
    if (width)
        fputc('\n', f);
}

static void man_block(FILE *f, block kind, const char *text, size_t n)
{
    if (kind == BLANK)
        fputs(".PP\n", f);
    else if (kind == FILLED)
        put_roff_lines(f, text, n);
    else {
        fputs(".nf\n", f);
        put_roff(f, text, n, true);
        fputs("\n.fi\n", f);
    }
}

static void man_examples(FILE *f, const char *heading, const char *examples)
{
    fprintf(f, ".SH %s\n.nf\n", heading);
    put_roff(f, examples, strlen(examples), true);
    fputs("\n.fi\n", f);
}

static void man_head(FILE *f, const char *page, const char *name, const char *summary)
{
    fprintf(f, ".TH %s 1 %s \"stategrad %s\" \"User Commands\"\n.nh\n.ad l\n.SH NAME\n", page,
            SG_VERSION_DATE, sg_version());
    put_roff(f, name, strlen(name), true);
    fputs(" \\-\n", f);
    put_roff_lines(f, summary, strlen(summary));
}

static void man_option(FILE *f, const option *o)
{
    char help[640];
    fputs(".TP\n", f);
    if (o->letter)
        fprintf(f, "\\fB\\-%c\\fR, ", o->letter);
    fputs("\\fB\\-\\-", f);
    put_roff(f, o->name, strlen(o->name), false);
    fputs("\\fR", f);
    if (o->arg) {
        fputs(" \\fI", f);
        put_roff(f, o->arg, strlen(o->arg), false);
        fputs("\\fR", f);
    }
    fputc('\n', f);
    full_help(o, help, sizeof help);
    put_roff_lines(f, help, strlen(help));
}

static void man_exit_status(FILE *f)
{
    fputs(".SH EXIT STATUS\n0: done. 1: the work failed, for the reason on standard error. 2: misuse.\n", f);
}

static void man_command(FILE *f, const command *c, const option *table)
{
    char page[64], name[64];
    size_t n = 0;
    snprintf(name, sizeof name, "stategrad-%s", c->name);
    for (; name[n]; n++)
        page[n] = name[n] >= 'a' && name[n] <= 'z' ? (char)(name[n] - 'a' + 'A') : name[n];
    page[n] = 0;
    man_head(f, page, name, c->summary);
    fprintf(f, ".SH SYNOPSIS\n.B stategrad %s\n.RI [ options ]\n\\fI", c->name);
    put_roff(f, c->operands, strlen(c->operands), false);
    fputs("\\fR\n.SH DESCRIPTION\n", f);
    each_block(f, c->about, man_block);
    fputs(".SH OPTIONS\n", f);
    for (const option *o = table; o->name; o++) {
        if (o->kind == OPT_SECTION)
            fprintf(f, ".SS %s\n", o->name);
        else
            man_option(f, o);
    }
    fputs(".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nA summary of this page.\n", f);
    man_exit_status(f);
    man_examples(f, "EXAMPLES", c->examples);
    fputs(".SH SEE ALSO\n.BR stategrad (1)\n", f);
}

static void man_program(FILE *f)
{
    man_head(f, "STATEGRAD", "stategrad", title);
    fputs(
        ".SH SYNOPSIS\n.B stategrad\n.I command\n.RI [ options ]\n.br\n.B stategrad help\n.I command\n"
        ".SH DESCRIPTION\n"
        "Trains LSTM, GRU and RNN language models or reads models trained elsewhere,\nand computes over a corpus "
        "the exact gradient of the model's state\nwith respect to every word read some steps earlier: which "
        "directions of the\nembedding space reach the state, how strongly, and for which kinds of words.\n"
        ".SH COMMANDS\n",
        f);
    for (const command *const *c = commands; *c; c++) {
        fprintf(f, ".TP\n.BR stategrad\\-%s (1)\n", (*c)->name);
        put_roff(f, (*c)->summary, strlen((*c)->summary), true);
        fputc('\n', f);
    }
    fputs(".SH OPTIONS\n.TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nThe list of commands.\n"
          ".TP\n\\fB\\-V\\fR, \\fB\\-\\-version\\fR\nThe version.\n",
          f);
    man_exit_status(f);
    man_examples(f, "EXAMPLES", first_steps);
    fputs(".SH SEE ALSO\n", f);
    for (const command *const *c = commands; *c; c++)
        fprintf(f, ".BR stategrad\\-%s (1)%s\n", (*c)->name, c[1] ? "," : "");
}

/* ---- completion ---- */

/* What a value may be, by its arg: FILE, MODEL, RUN.nc, CORPUS are files, DIR is a folder; of alternatives,
 * those in lower case are words to be typed. */
typedef enum { VALUE_OTHER, VALUE_FILE, VALUE_FOLDER, VALUE_WORDS } value_kind;

static value_kind kind_of_value(const option *o, char *words, size_t size)
{
    size_t used = 0;
    words[0] = 0;
    for (const char *a = o->arg; a && *a && used < size;) {
        size_t n = strcspn(a, "|");
        bool typed = strspn(a, "abcdefghijklmnopqrstuvwxyz-") == n;
        if (typed)
            used += (size_t)snprintf(words + used, size - used, "%s%.*s", used ? " " : "", (int)n, a);
        a += n + (a[n] == '|');
    }
    static const char *const files[] = {"FILE", "MODEL", "RUN", "PART", "CORPUS"};
    for (size_t i = 0; o->arg && !used && i < sizeof files / sizeof *files; i++)
        if (!strncmp(o->arg, files[i], strlen(files[i])))
            return VALUE_FILE;
    return used ? VALUE_WORDS : o->arg && !strcmp(o->arg, "DIR") ? VALUE_FOLDER : VALUE_OTHER;
}

static void bash_values(FILE *f, const command *c, const option *table)
{
    static const char *const does[] = {
        [VALUE_OTHER] = "compopt +o default",
        [VALUE_FILE] = ":",
        [VALUE_FOLDER] = "COMPREPLY=($(compgen -d -- \"$cur\")); compopt -o filenames",
    };
    char words[160];
    for (const option *o = table; o->name; o++) {
        if (o->kind == OPT_SECTION || o->kind == OPT_FLAG)
            continue;
        value_kind kind = kind_of_value(o, words, sizeof words);
        fprintf(f, "        %s:--%s", c->name, o->name);
        if (o->letter)
            fprintf(f, " | %s:-%c", c->name, o->letter);
        if (kind == VALUE_WORDS)
            fprintf(f, ") COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n", words);
        else
            fprintf(f, ") %s; return ;;\n", does[kind]);
    }
}

static void bash_options(FILE *f, const command *c, const option *table)
{
    fprintf(f, "        %s) COMPREPLY=($(compgen -W '", c->name);
    for (const option *o = table; o->name; o++)
        if (o->kind != OPT_SECTION)
            fprintf(f, "--%s ", o->name);
    fputs("--help' -- \"$cur\")) ;;\n", f);
}

/* In single quotes for a shell; zsh: brackets and colons, which _arguments gives a meaning, after a
 * backslash. */
static void put_quoted(FILE *f, const char *text, bool zsh)
{
    for (; text && *text; text++)
        if (*text == '\'')
            fputs("'\\''", f);
        else if (zsh && strchr("[]:\\", *text))
            fprintf(f, "\\%c", *text);
        else
            fputc(*text, f);
}

static void zsh_command(FILE *f, const command *c, const option *table)
{
    char words[160], help[640];
    fprintf(f, "        %s)\n            _arguments -s \\\n", c->name);
    for (const option *o = table; o->name; o++) {
        if (o->kind == OPT_SECTION)
            continue;
        value_kind kind = kind_of_value(o, words, sizeof words);
        const char *again = o->kind == OPT_LIST ? "*" : "", *joins = o->kind == OPT_FLAG ? "" : "=";
        for (int spelling = o->letter ? 0 : 1; spelling < 2; spelling++) {
            fputs("                '", f);
            if (o->letter && !*again)
                fprintf(f, "(-%c --%s)", o->letter, o->name);
            if (spelling == 0)
                fprintf(f, "%s-%c%s[", again, o->letter, *joins ? "+" : "");
            else
                fprintf(f, "%s--%s%s[", again, o->name, joins);
            put_quoted(f, full_help(o, help, sizeof help), true);
            fputc(']', f);
            if (o->kind != OPT_FLAG) {
                fputc(':', f);
                put_quoted(f, o->arg, true);
                fputs(kind == VALUE_FILE ? ":_files" : kind == VALUE_FOLDER ? ":_files -/" : ":", f);
                if (kind == VALUE_WORDS)
                    fprintf(f, "(%s)", words);
            }
            fputs("' \\\n", f);
        }
    }
    fputs("                '(- *)'{-h,--help}'[how to use it]' \\\n                '*:", f);
    put_quoted(f, c->operands, true);
    fputs(":_files' ;;\n", f);
}

static void fish_command(FILE *f, const command *c, const option *table)
{
    char words[160], help[640];
    fprintf(f, "complete -c stategrad -f -n __fish_use_subcommand -a %s -d '", c->name);
    put_quoted(f, c->summary, false);
    fputs("'\n", f);
    for (const option *o = table; o->name; o++) {
        if (o->kind == OPT_SECTION)
            continue;
        value_kind kind = kind_of_value(o, words, sizeof words);
        fprintf(f, "complete -c stategrad -n '__fish_seen_subcommand_from %s' -l %s", c->name, o->name);
        if (o->letter)
            fprintf(f, " -s %c", o->letter);
        if (o->kind != OPT_FLAG)
            fputs(kind == VALUE_FILE     ? " -r -F"
                  : kind == VALUE_FOLDER ? " -x -a '(__fish_complete_directories)'"
                                         : " -x",
                  f);
        if (kind == VALUE_WORDS)
            fprintf(f, " -a '%s'", words);
        fputs(" -d '", f);
        put_quoted(f, full_help(o, help, sizeof help), false);
        fputs("'\n", f);
    }
}

/* ---- what is generated ---- */

static const struct {
    const char *kind;
    void (*write)(FILE *f, const command *c, const option *table);
} parts[] = {{"man", man_command},
             {"bash-values", bash_values},
             {"bash-options", bash_options},
             {"zsh", zsh_command},
             {"fish", fish_command}};

int generate_part(const char *kind, const command *c, const option *table)
{
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strcmp(kind, parts[i].kind)) {
            parts[i].write(stdout, c, table);
            return EXIT_DONE;
        }
    return misuse("--generate: expected man, bash, zsh or fish, found '%s'", kind);
}

/* A command hands its table to parse_options, which calls generate_part. */
static int ask_command(const command *c, const char *kind)
{
    char name[32], option_name[] = "--generate", what[32];
    char *argv[] = {name, option_name, what, NULL};
    snprintf(name, sizeof name, "%s", c->name);
    snprintf(what, sizeof what, "%s", kind);
    return c->run(3, argv);
}

static int ask_all(const char *kind)
{
    int code = EXIT_DONE;
    for (const command *const *c = commands; *c && code == EXIT_DONE; c++)
        code = ask_command(*c, kind);
    return code;
}

static void put_command_names(FILE *f)
{
    for (const command *const *c = commands; *c; c++)
        fprintf(f, "%s ", (*c)->name);
    fputs("help", f);
}

static int generate_bash(void)
{
    fputs(
        "# stategrad: completion for bash\n"
        "_stategrad()\n{\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}\n"
        "    COMPREPLY=()\n"
        "    # bash gives --option=value as three words\n"
        "    if [[ $cur == = ]]; then\n        cur=\n"
        "    elif [[ $before == = ]]; then\n        before=${COMP_WORDS[COMP_CWORD-2]}\n    fi\n"
        "    if ((COMP_CWORD == 1)) || [[ $command == help ]]; then\n        COMPREPLY=($(compgen -W '",
        stdout);
    put_command_names(stdout);
    fputs(" --help --version' -- \"$cur\"))\n        return\n    fi\n    case $command:$before in\n", stdout);
    int code = ask_all("bash-values");
    fputs("    esac\n    [[ $cur == -* ]] || return # an operand: a file\n    case $command in\n", stdout);
    if (code == EXIT_DONE)
        code = ask_all("bash-options");
    fputs("    esac\n}\ncomplete -o default -F _stategrad stategrad\n", stdout);
    return code;
}

static int generate_zsh(void)
{
    fputs("#compdef stategrad\n# stategrad: completion for zsh\n\n_stategrad() {\n    local -a commands=(\n",
          stdout);
    for (const command *const *c = commands; *c; c++) {
        fprintf(stdout, "        '%s:", (*c)->name);
        put_quoted(stdout, (*c)->summary, false);
        fputs("'\n", stdout);
    }
    fputs("        'help:show the help of a command'\n    )\n"
          "    if (( CURRENT == 2 )) || [[ $words[2] == help ]]; then\n"
          "        _describe -t commands command commands\n        return\n    fi\n"
          "    shift words\n    (( CURRENT-- ))\n    case $words[1] in\n",
          stdout);
    int code = ask_all("zsh");
    fputs("    esac\n}\n\n_stategrad \"$@\"\n", stdout);
    return code;
}

static int generate_fish(void)
{
    fputs("# stategrad: completion for fish\n"
          "complete -c stategrad -f -n __fish_use_subcommand -a help -d 'show the help of a command'\n"
          "complete -c stategrad -x -n '__fish_seen_subcommand_from help' -a '",
          stdout);
    put_command_names(stdout);
    fputs("'\n"
          "complete -c stategrad -n __fish_use_subcommand -l version -s V -d 'the version'\n"
          "complete -c stategrad -l help -s h -d 'how to use it'\n",
          stdout);
    return ask_all("fish");
}

int generate(int argc, char **argv)
{
    const char *kind = argc > 0 ? argv[0] : "";
    if (!strcmp(kind, "bash"))
        return generate_bash();
    if (!strcmp(kind, "zsh"))
        return generate_zsh();
    if (!strcmp(kind, "fish"))
        return generate_fish();
    if (strcmp(kind, "man") || argc < 2) {
        if (strcmp(kind, "man"))
            return misuse("--generate: expected man, bash, zsh or fish, found '%s'", kind);
        man_program(stdout);
        return EXIT_DONE;
    }
    for (const command *const *c = commands; *c; c++)
        if (!strcmp(argv[1], (*c)->name))
            return ask_command(*c, "man");
    return misuse("--generate man: no command '%s'", argv[1]);
}
