/* SPDX-License-Identifier: MIT */
/* stategrad - the table of commands and nothing else. */
#include "team.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const command *const commands[] = {
    &cmd_train, &cmd_eval,  &cmd_check,  &cmd_analyze, &cmd_merge, &cmd_track, &cmd_report,  &cmd_compare,
    &cmd_pairs, &cmd_words, &cmd_import, &cmd_info,    &cmd_synth, &cmd_show,  &cmd_cluster, NULL,
};

/* Results that did not reach standard output (a full disk) are a failure. */
static int finish(int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    failure("standard output: %s", errno ? strerror(errno) : "cannot be written");
    return code == EXIT_DONE ? EXIT_FAILED : code;
}

static const command *find_command(const char *name)
{
    for (const command *const *c = commands; *c; c++)
        if (!strcmp(name, (*c)->name))
            return *c;
    return NULL;
}

static int unknown_command(const char *name)
{
    enum { MOST = 32 };
    const char *names[MOST];
    char hint[64];
    size_t n = 0;
    for (const command *const *c = commands; *c && n < MOST; c++)
        names[n++] = (*c)->name;
    return misuse("unknown command '%s'; %sstategrad --help lists them", name,
                  did_you_mean(hint, sizeof hint, "", name, names, n));
}

/* stategrad help [COMMAND] */
static int help(int argc, char **argv)
{
    if (argc > 1)
        return misuse("help: expected one command, found also '%s'", argv[1]);
    if (argc < 1 || !strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) {
        print_usage(stdout);
        return EXIT_DONE;
    }
    const command *c = find_command(argv[0]);
    if (!c)
        return unknown_command(argv[0]);
    char option_name[] = "--help", *words[] = {argv[0], option_name, NULL};
    return c->run(2, words);
}

static bool is_set(char **env, const char *name)
{
    size_t n = strlen(name);
    while (*env && (strncmp(*env, name, n) || (*env)[n] != '='))
        env++;
    return *env != NULL;
}

/* Two libraries read the environment when they are loaded, so other values need a second start; a user's own
 * settings are kept.
 *   GNU OpenMP spins for up to 16 ms at each barrier. Where other processes want the cores too, the thread
 *   that is spun for waits for the spinner's time slice: one analysis took 163 s on two threads instead of 3.
 *   OpenBLAS starts a thread per core and takes a buffer for each, before main and whatever the command;
 *   every product here runs on one thread of it.
 * Called before the constructors of these libraries (.preinit_array): with little address space OpenBLAS's
 * ends the process. The C library's own have not run either: getenv finds nothing yet. */
static void settle_libraries(int argc, char **argv, char **env)
{
    static char spin[] = "GOMP_SPINCOUNT=1000", blas[] = "OPENBLAS_NUM_THREADS=1";
    bool spins = !is_set(env, "GOMP_SPINCOUNT") && !is_set(env, "OMP_WAIT_POLICY"),
         threads = !is_set(env, "OPENBLAS_NUM_THREADS");
    char program[4096], **settled;
    size_t n = 0;
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    (void)argc;
    while (env[n])
        n++;
    if (length <= 0 || !(spins || threads) || !(settled = calloc(n + 3, sizeof *settled)))
        return;
    program[length] = 0;
    memcpy(settled, env, n * sizeof *settled);
    if (spins)
        settled[n++] = spin;
    if (threads)
        settled[n] = blas;
    execve(program, argv, settled); /* where that cannot be, go on as before */
    free(settled);
}

__attribute__((section(".preinit_array"),
               used)) static void (*const before_libraries)(int, char **, char **) = settle_libraries;

/* A descriptor 0, 1 or 2 that is closed would be given to the next file that is opened, and what is printed
 * would land in it. It becomes one that cannot be read, or not be written: its use fails as it does when it
 * is closed. */
static void reserve_descriptors(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)open("/dev/null", fd ? O_RDONLY : O_WRONLY); /* the lowest free number is fd */
}

static int obey(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_MISUSE;
    }
    const char *word = argv[1];
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help"))
        return finish(help(argc - 2, argv + 2));
    if (!strcmp(word, "--version") || !strcmp(word, "-V")) {
        if (argc > 2)
            return misuse("%s: expected no operand, found '%s'", word, argv[2]);
        printf("stategrad %s\n", sg_version());
        return finish(EXIT_DONE);
    }
    if (!strcmp(word, "--generate"))
        return finish(generate(argc - 2, argv + 2));
    const command *c = find_command(word);
    return c ? finish(c->run(argc - 1, argv + 1)) : unknown_command(word);
}

int main(int argc, char **argv)
{
    reserve_descriptors();
    atexit(sg_remove_temporary_files); /* libgomp exits where a thread cannot be made */
    stop_on_signals();
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is a write error like others */
    int code = team_join(argv);
    limit_threads(team_here(), "");
    return team_leave(code < 0 ? obey(argc, argv) : code);
}
