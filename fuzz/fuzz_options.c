/* SPDX-License-Identifier: MIT */
/* The command line: the input's lines are arguments. Whatever they are, parsing ends in "go on" with operands
 * that were among the arguments and numbers inside their bounds, in help (0) or in misuse (2); and what was
 * understood is understood the same way when it is written again in the --name=value form. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* main.c and terminal.c are not linked */
const command *const commands[] = {NULL};

int interrupted(void)
{
    return 0;
}

typedef struct {
    bool flag;
    const char *text;
    option_list list;
    size_t size;
    int number;
    uint64_t seed;
    double real;
    int choice;
} values;

enum { MAX_ARGS = 64 };

static int parse(values *v, int *argc, char **argv)
{
    static const command about = {"fuzz", "FILE...", "summary", "About it.\n  kept", "fuzz --flag", NULL};
    *v = (values){.size = 7, .number = 1, .real = 0.5, .choice = 1};
    option table[] = {
        {"flag", 'f', OPT_FLAG, &v->flag, NULL, "a flag", 0, 0},
        {"text", 't', OPT_STRING, &v->text, "TEXT", "a text", 0, 0},
        {"list", 'l', OPT_LIST, &v->list, "ITEM", "several", 0, 0},
        SECTION("More"),
        {"choice", 'c', OPT_CHOICE, &v->choice, "one|two|three", "one of three", 0, 0},
        {"size", 's', OPT_SIZE, &v->size, "N", "a size", 1, 1000},
        {"size-free", 0, OPT_SIZE, &v->size, "N", "a size without bounds", 0, 0},
        {"number", 'n', OPT_INT, &v->number, "N", "a number", -5, 5},
        {"seed", 0, OPT_U64, &v->seed, "N", "a seed", 0, 0},
        {"real", 'r', OPT_REAL, &v->real, "X", "a real", 0, 1},
        END_OF_OPTIONS,
    };
    return parse_options(&about, table, argc, argv, 0, 8);
}

static void must(bool claim)
{
    if (!claim)
        abort();
}

static bool same(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

/* Writes v and its operands again, canonically, and compares what comes back. */
static void check_round_trip(const values *v, int n_operands, char **operands)
{
    char *argv[2 * MAX_ARGS + 16];
    char *made[2 * MAX_ARGS + 16];
    int argc = 0, n_made = 0;
    argv[argc++] = "fuzz";
    if (v->flag)
        argv[argc++] = "--flag";
    argv[argc++] = made[n_made++] = v->text ? malloc(strlen(v->text) + 8) : NULL;
    if (v->text)
        sprintf(made[n_made - 1], "--text=%s", v->text);
    else
        argc--;
    for (size_t i = 0; i < v->list.n; i++) {
        argv[argc++] = made[n_made++] = malloc(strlen(v->list.items[i]) + 8);
        sprintf(made[n_made - 1], "--list=%s", v->list.items[i]);
    }
    static const char *const choices[] = {"one", "two", "three"};
    char numbers[5][64];
    snprintf(numbers[0], 64, "--size-free=%zu", v->size);
    snprintf(numbers[1], 64, "--number=%d", v->number);
    snprintf(numbers[2], 64, "--seed=%llu", (unsigned long long)v->seed);
    snprintf(numbers[3], 64, "--real=%.17g", v->real);
    snprintf(numbers[4], 64, "--choice=%s", choices[v->choice]);
    for (int i = 0; i < 5; i++)
        argv[argc++] = numbers[i];
    argv[argc++] = "--";
    for (int i = 0; i < n_operands; i++)
        argv[argc++] = operands[i];
    values again;
    must(parse(&again, &argc, argv) == -1);
    must(argc == n_operands && again.flag == v->flag && same(again.text, v->text) && again.size == v->size &&
         again.number == v->number && again.seed == v->seed && again.choice == v->choice &&
         again.list.n == v->list.n);
    must(fabs(again.real - v->real) <= 0);
    for (size_t i = 0; i < v->list.n; i++)
        must(same(again.list.items[i], v->list.items[i]));
    option_list_free(&again.list);
    for (int i = 0; i < n_made; i++)
        free(made[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1), *argv[MAX_ARGS + 1] = {"fuzz"};
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    copy[size] = 0;
    int argc = 1;
    for (char *line = copy; line && argc < MAX_ARGS;) {
        char *end = strchr(line, '\n');
        argv[argc++] = line;
        if (end)
            *end++ = 0;
        line = end;
    }
    values v;
    int stop = parse(&v, &argc, argv);
    must(stop == -1 || stop == EXIT_DONE || stop == EXIT_MISUSE);
    if (stop == -1) {
        must(v.choice >= 0 && v.choice < 3 && argc >= 0 && argc <= 8 && v.number >= -5 && v.number <= 5 &&
             v.real >= 0 && v.real <= 1);
        check_round_trip(&v, argc, argv);
    }
    option_list_free(&v.list);
    free(copy);
    return 0;
}
