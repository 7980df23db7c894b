/* SPDX-License-Identifier: MIT */
/* usage: alloc_driver DENSE GROWTH -- COMMAND [options]
 *
 * The whole program with its 0th, 1st, 2nd, ... allocation failing, each time in a process of its own: it
 * must say that there is no memory, in one line, exit with 1 and leave no allocation behind; until a run
 * succeeds. The first DENSE allocations are tried one by one, then in a stride of 1 + n / GROWTH. */
#include "base/base_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int stategrad_main(int argc, char **argv);

enum { LEAKED = 99 };

static void run_child(long n, int argc, char **argv, FILE *err)
{
    dup2(fileno(err), STDERR_FILENO);
    if (!freopen("/dev/null", "w", stdout))
        _exit(98);
    setenv("GOMP_SPINCOUNT", "1000",
           1); /* without these the program starts itself anew, and that is this driver */
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    sg_alloc_fail_after(n);
    int code = stategrad_main(argc, argv);
    sg_alloc_fail_after(-1);
    long live = sg_alloc_live();
    if (live != 0) {
        fprintf(stderr, "%ld allocations are still live\n", live);
        code = LEAKED;
    }
    exit(code);
}

/* Warnings may come before the one line that says what failed. */
static bool says_out_of_memory(const char *text)
{
    const char *line = text;
    while (!strncmp(line, "stategrad: warning: ", 20) && strchr(line, '\n'))
        line = strchr(line, '\n') + 1;
    const char *end = strchr(line, '\n');
    return !strncmp(line, "stategrad: ", 11) && strstr(line, "memory") && end && !end[1];
}

#undef main /* the program's own is compiled as stategrad_main */
int main(int argc, char **argv)
{
    long dense = argc > 4 ? atol(argv[1]) : 0, growth = argc > 4 ? atol(argv[2]) : 0, runs = 0, bad = 0;
    if (growth < 1 || strcmp(argv[3], "--") != 0) {
        fputs("usage: alloc_driver DENSE GROWTH -- COMMAND [options]\n", stderr);
        return 2;
    }
    argv[3] = "stategrad";
    for (long n = 0;; n = n < dense ? n + 1 : n + 1 + n / growth) {
        FILE *err = tmpfile();
        if (!err)
            return 2;
        fflush(NULL);
        pid_t child = fork();
        if (child < 0)
            return 2;
        if (child == 0)
            run_child(n, argc - 3, argv + 3, err);
        int status;
        waitpid(child, &status, 0);
        char text[4096];
        rewind(err);
        text[fread(text, 1, sizeof text - 1, err)] = 0;
        fclose(err);
        runs++;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
            printf("%s: %ld failures tried, %ld wrong; succeeds with %ld allocations or fewer\n", argv[4],
                   runs - 1, bad, n);
            return bad != 0;
        }
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 || !says_out_of_memory(text)) {
            printf("%s: allocation %ld failing: status 0x%x, said: %s\n", argv[4], n, (unsigned)status, text);
            if (++bad >= 10)
                return 1;
        }
    }
}
