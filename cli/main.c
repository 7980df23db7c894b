/* stategrad - the table of commands and nothing else. */
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

const command *const commands[] = {
    &cmd_train,
    &cmd_eval,
    &cmd_check,
    &cmd_analyze,
    &cmd_merge,
    &cmd_report,
    &cmd_words,
    &cmd_import,
    &cmd_info,
    &cmd_synth,
    &cmd_show,
    NULL,
};

/* Results that did not reach standard output (a full disk behind it) are a failure. */
static int finish(int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "stategrad: standard output: %s\n", errno ? strerror(errno) : "cannot be written");
    return code == EXIT_DONE ? EXIT_FAILED : code;
}

static void print_usage(FILE *f)
{
    fputs("stategrad - what a recurrent network remembers of its inputs, how strongly and for how long\n\n"
          "usage: stategrad COMMAND [options]      stategrad COMMAND --help\n\n",
          f);
    for (const command *const *c = commands; *c; c++)
        fprintf(f, "  %-9s %s\n", (*c)->name, (*c)->summary);
    fputs("\nThe first five minutes:\n"
          "  stategrad train train.txt --valid valid.txt -o model.safetensors\n"
          "  stategrad analyze model.safetensors valid.txt --classes frequency -o run.nc\n"
          "  stategrad report run.nc -o report.html\n",
          f);
}

int main(int argc, char **argv)
{
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is a write error like others */
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_MISUSE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_usage(stdout);
        return finish(EXIT_DONE);
    }
    if (!strcmp(argv[1], "--version")) {
        printf("stategrad %s\n", sg_version());
        return finish(EXIT_DONE);
    }
    for (const command *const *c = commands; *c; c++)
        if (!strcmp(argv[1], (*c)->name))
            return finish((*c)->run(argc - 1, argv + 1));
    return misuse("unknown command '%s'; stategrad --help lists them", argv[1]);
}
