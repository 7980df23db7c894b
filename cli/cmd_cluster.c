/* SPDX-License-Identifier: MIT */
/* stategrad cluster - a Slurm script for an analysis or a training, and what to type to submit it. */
#include "cli.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BY_MPIRUN, BY_SRUN };

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

#define FIRST_LINES                                                                                          \
    "#!/bin/bash\n# Written by stategrad cluster. Options of sbatch on its command line take precedence.\n"

typedef struct {
    const char *seeds, *time, *memory, *partition, *script;
    int launcher;
    bool slurm, trains;
    char **args; /* analyze|train and its arguments, NULL at the end */
    job_plan plan;
    double minutes, megabytes;     /* limits; 0: none */
    char *default_script, *folder; /* owned */
    char program[PATH_MAX];
} job;

/* ---- options ---- */

static int read_seeds(job *j)
{
    int used = 0;
    size_t first, last;
    if (!j->seeds)
        return -1;
    if (j->seeds[strspn(j->seeds, "0123456789-")] ||
        sscanf(j->seeds, "%7zu-%7zu%n", &first, &last, &used) != 2 || j->seeds[used] || !first ||
        last <= first)
        return misuse("--seeds: expected FIRST-LAST, two seeds or more from 1 on, as in 1-20; found '%s'",
                      j->seeds);
    j->plan.first_seed = first, j->plan.last_seed = last;
    return -1;
}

/* Hours, minutes and seconds, as Slurm takes them. */
static int read_time(job *j)
{
    unsigned hours, minutes, seconds;
    int used = 0;
    if (!j->time)
        return -1;
    if (j->time[strspn(j->time, "0123456789:")] ||
        sscanf(j->time, "%6u:%2u:%2u%n", &hours, &minutes, &seconds, &used) != 3 || j->time[used] ||
        minutes > 59 || seconds > 59 || hours + minutes + seconds == 0)
        return misuse("--time: expected H:M:S, as in 12:00:00; found '%s'", j->time);
    j->minutes = hours * 60.0 + minutes + ceil(seconds / 60.0);
    if (j->minutes < 5)
        return misuse(
            "--time: expected 5 minutes or more, since a job saves its state 2 minutes before its end; "
            "found '%s'",
            j->time);
    return -1;
}

static int read_memory(job *j)
{
    enum { LEAST_MEMORY = 64, MOST_MEMORY = 64 << 20 };
    static const char units[] = "MGT";
    const char *unit = NULL;
    double number = 0;
    char letter = 0;
    int used = 0;
    if (!j->memory)
        return -1;
    if (sscanf(j->memory, "%7lf%c%n", &number, &letter, &used) == 2 && !j->memory[used] && number > 0)
        unit = strchr(units, letter);
    if (!unit || j->memory[0] > '9')
        return misuse("--memory: expected a number and M, G or T, as in 4G; found '%s'", j->memory);
    j->megabytes = number * pow(1024, (double)(unit - units));
    if (j->megabytes < LEAST_MEMORY || j->megabytes > MOST_MEMORY)
        return misuse("--memory: expected 64M to 64T; found '%s'", j->memory);
    return -1;
}

static int check_options(const job *j)
{
    const job_plan *p = &j->plan;
    if ((p->parts > 0) + (p->ranks > 0) + (j->seeds != NULL) > 1)
        return misuse("cluster: --parts, --ranks and --seeds: only one of them");
    if (j->trains && (p->parts || p->ranks))
        return misuse("cluster: --%s: only analyze is divided; train takes --seeds",
                      p->parts ? "parts" : "ranks");
    if (j->launcher >= 0 && !p->ranks)
        return misuse("cluster: --launcher: it starts the processes of --ranks, which is missing");
    if (j->trains && !j->time)
        return misuse("cluster: train has no forecast; give its time limit: --time H:M:S");
    if (j->partition && j->partition[strspn(j->partition, LETTERS "_-.,")])
        return misuse("--partition: expected the name of a partition, found '%s'", j->partition);
    for (char **a = j->args + 1; j->trains && j->seeds && *a && strcmp(*a, "--") != 0; a++)
        if (!strcmp(*a, "--seed") || !strncmp(*a, "--seed=", 7))
            return misuse("cluster: --seeds and train --seed: only one of them");
    return -1;
}

/* ---- names of files ---- */

size_t name_stem(const char *name)
{
    const char *slash = strrchr(name, '/'), *file = slash ? slash + 1 : name, *dot = strrchr(file, '.');
    return dot && dot != file ? (size_t)(dot - name) : strlen(name);
}

char *job_file(const char *name, const char *word, size_t number)
{
    const size_t stem = name_stem(name);
    char *text = malloc(strlen(name) + strlen(word) + 32);
    if (text)
        sprintf(text, "%.*s%s%zu%s", (int)stem, name, word, number, name + stem);
    return text;
}

/* For a shell, whatever is in it. */
static void put_quoted(FILE *f, const char *text, size_t n)
{
    fputc('\'', f);
    for (size_t i = 0; i < n && text[i]; i++)
        if (text[i] == '\'')
            fputs("'\\''", f);
        else
            fputc(text[i], f);
    fputc('\'', f);
}

/* The same where a person reads it: quoted only if it must be. */
static void put_word(FILE *f, const char *text)
{
    if (*text && !text[strspn(text, LETTERS "_-+=:,./%@")])
        fputs(text, f);
    else
        put_quoted(f, text, SIZE_MAX);
}

/* 'run'-seed"$i"'.nc', the file of job $i. */
static void put_job_file(FILE *f, const job *j, const char *name, const char *number)
{
    const size_t stem = name_stem(name);
    put_quoted(f, name, stem);
    if (j->plan.parts)
        fprintf(f, "-part%sof%zu", number, j->plan.parts);
    else if (j->seeds)
        fprintf(f, "-seed%s", number);
    put_quoted(f, name + stem, SIZE_MAX);
}

static const char job_number[] = "\"$i\"";

static void put_checkpoint(FILE *f, const job *j)
{
    put_job_file(f, j, j->plan.output, job_number);
    fputs(".checkpoint", f);
}

/* A name of letters alone: of the job, of a group. */
static void put_plain(FILE *f, const char *name)
{
    const char *slash = strrchr(name, '/'), *file = slash ? slash + 1 : name;
    for (size_t i = 0, stem = name_stem(file); i < stem && i < 60; i++)
        fputc(strchr(LETTERS "_.", file[i]) ? file[i] : '_', f);
}

/* The file within this argument that each job has for itself, or NULL. */
static const char *own_file(const job *j, const char *argument)
{
    const job_plan *p = &j->plan;
    const char *own[] = {p->parts || j->seeds ? p->output : NULL, j->seeds ? p->model : NULL,
                         j->seeds ? p->table : NULL, j->seeds ? p->log : NULL};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i] && strcmp(own[i], "-") != 0 && (uintptr_t)own[i] - (uintptr_t)argument < strlen(argument))
            return own[i];
    return NULL;
}

/* ---- the script ---- */

static void put_directives(FILE *f, const job *j)
{
    fputs("#SBATCH --job-name=", f);
    put_plain(f, j->plan.output);
    fprintf(f, "\n#SBATCH --ntasks=%zu\n#SBATCH --cpus-per-task=%d\n", j->plan.ranks ? j->plan.ranks : 1,
            j->plan.cpus);
    fprintf(f, "#SBATCH --time=%.0f:%02.0f:00\n", floor(j->minutes / 60), fmod(j->minutes, 60));
    if (j->megabytes > 0)
        fprintf(f, "#SBATCH --mem-per-cpu=%.0fM\n", ceil(j->megabytes / j->plan.cpus));
    if (j->partition)
        fprintf(f, "#SBATCH --partition=%s\n", j->partition);
    fputs("#SBATCH --requeue\n#SBATCH --open-mode=append\n#SBATCH --signal=B:USR1@120\n", f);
}

/* The command, with the files of the job. */
static void put_command(FILE *f, const job *j)
{
    fprintf(f, "set -- %s", j->args[0]);
    if (j->plan.parts)
        fprintf(f, " --part \"$i/%zu\"", j->plan.parts);
    if (j->trains)
        fputs(j->seeds ? " --seed \"$i\" --resume" : " --resume", f);
    fputs(" --checkpoint ", f);
    put_checkpoint(f, j);
    for (char **a = j->args + 1; *a; a++) {
        const char *own = own_file(j, *a);
        fputc(' ', f);
        if (!own || own > *a)
            put_quoted(f, *a, own ? strlen(*a) - strlen(own) : SIZE_MAX);
        if (own)
            put_job_file(f, j, own, job_number);
    }
    fputc('\n', f);
}

static void put_script(FILE *f, const job *j)
{
    char all[64];
    snprintf(all, sizeof all, "{1..%zu}", j->plan.parts);
    fputs(FIRST_LINES, f);
    put_directives(f, j);
    fputs("cd ", f);
    put_quoted(f, j->folder, SIZE_MAX);
    fputs(" || exit\nprogram=", f);
    put_quoted(f, j->program, SIZE_MAX);
    fputs("\ni=${SLURM_ARRAY_TASK_ID-}\n", f);
    if (j->seeds)
        fprintf(f, "[ \"$i\" ] || { echo 'one job for each seed: sbatch --array=%s' >&2; exit 2; }\n",
                j->seeds);
    if (j->plan.parts)
        fputs("if [ \"$i\" ]; then\n    ", f);
    put_command(f, j);
    if (j->plan.parts) {
        fputs("else\n    set -- merge --output=", f);
        put_quoted(f, j->plan.output, SIZE_MAX);
        fputs(" -- ", f);
        put_job_file(f, j, j->plan.output, all);
        fputs("\nfi\n", f);
    }
    fputs(
        "# Slurm sends USR1 to this shell two minutes before the time limit, and TERM to every process at a requeue.\n"
        "# Both let the program save its checkpoint; the job that is queued again continues from it.\n"
        "trap 'hit=1 again=1; kill -USR1 \"$work\"' USR1\ntrap 'hit=1' TERM\n",
        f);
    if (j->plan.ranks && j->launcher == BY_SRUN)
        fputs("srun --mpi=pmix --cpus-per-task=\"$SLURM_CPUS_PER_TASK\" ", f);
    else if (j->plan.ranks)
        fprintf(f, "mpirun -n %zu --bind-to none ", j->plan.ranks);
    fputs("\"$program\" \"$@\" &\nwork=$!\n"
          "while hit=; wait \"$work\"; code=$?; [ \"$hit\" ]; do :; done\n",
          f);
    if (j->plan.ranks) {
        fputs("# The mpirun of MPICH returns 0 where its processes were stopped.\n[ ! -e ", f);
        put_checkpoint(f, j);
        fprintf(f, ".1of%zu ] || [ \"$code\" != 0 ] || code=1\n", j->plan.ranks);
    }
    fputs("[ ! \"$again\" ] || [ \"$code\" = 0 ] || scontrol requeue \"$SLURM_JOB_ID\"\nexit \"$code\"\n", f);
}

/* ---- what is printed ---- */

static void put_duration(FILE *f, double seconds)
{
    if (seconds < 90)
        fprintf(f, "%.0f s", ceil(seconds));
    else
        fprintf(f, "%.0f min", ceil(seconds / 60));
}

static void put_forecast(FILE *f, const job *j)
{
    const job_plan *p = &j->plan;
    if (j->trains)
        return;
    fputs("Forecast, on cores like this machine's: ", f);
    put_duration(f, p->seconds);
    if (p->parts) {
        fputs(" for the longest part, ", f);
        put_duration(f, p->merge_seconds);
        fputs(" for the merge", f);
    }
    fprintf(f, ", %.0f MiB of memory for each process.\n", ceil((double)p->memory / 1048576));
}

/* --group lstm="$(seq -s, -f lstm-seed%.0f.nc 1 20)" */
static void put_group(FILE *f, const job *j)
{
    char *pattern = NULL, *to;
    const char *name = j->plan.output;
    const size_t stem = name_stem(name);
    if (!(pattern = to = malloc(2 * strlen(name) + 16)))
        return;
    for (size_t i = 0; i < stem; i++) {
        *to++ = name[i];
        if (name[i] == '%')
            *to++ = '%';
    }
    sprintf(to, "-seed%%.0f%s", name + stem);
    fputs("stategrad report --group ", f);
    put_plain(f, name);
    fputs("=\"$(seq -s, -f ", f);
    put_word(f, pattern);
    fprintf(f, " %zu %zu)\" -o ", j->plan.first_seed, j->plan.last_seed);
    free(pattern);
}

/* The commands to type, each on a line that begins with two blanks. */
static void put_advice(FILE *f, const job *j)
{
    const job_plan *p = &j->plan;
    const char *script = strcmp(j->script, "-") ? j->script : "SCRIPT";
    put_forecast(f, j);
    fprintf(f, "Time limit of a job %.0f:%02.0f:00. Type:\n  ", floor(j->minutes / 60), fmod(j->minutes, 60));
    if (p->parts)
        fprintf(f, "job=$(sbatch --parsable --array=1-%zu ", p->parts);
    else if (j->seeds)
        fprintf(f, "sbatch --array=%s ", j->seeds);
    else
        fputs("sbatch ", f);
    put_word(f, script);
    if (p->parts) {
        fputs(")\n  sbatch --dependency=afterok:${job%;*} --kill-on-invalid-dep=yes ", f);
        put_word(f, script);
    }
    fputs("\nWhen the jobs are done:\n  ", f);
    if (j->trains && j->seeds)
        fprintf(f, "stategrad cluster --seeds %s analyze ", j->seeds);
    else if (j->trains)
        fputs("stategrad analyze ", f);
    else if (j->seeds)
        put_group(f, j);
    else
        fputs("stategrad report ", f);
    char *page = malloc(strlen(p->output) + 16);
    if (page && (j->trains || !j->seeds))
        put_word(f, p->output), fputs(j->trains ? " CORPUS -o " : " -o ", f);
    if (page) {
        sprintf(page, "%.*s%s", (int)name_stem(p->output), p->output, j->trains ? ".nc" : ".html");
        put_word(f, page);
    }
    fputc('\n', f);
    free(page);
}

/* ---- all of it ---- */

/* Is there another file by the name that follows from the output? */
static bool is_taken(const char *name)
{
    char found[sizeof FIRST_LINES] = "";
    FILE *f = fopen(name, "r");
    if (!f)
        return false;
    const size_t n = fread(found, 1, sizeof found - 1, f);
    fclose(f);
    return n != sizeof found - 1 || memcmp(found, FIRST_LINES, n) != 0;
}

/* Where the job will run what: this program, in this folder. */
static int find_places(job *j)
{
    char beside[PATH_MAX + 8];
    const ssize_t n = readlink("/proc/self/exe", j->program, sizeof j->program - 1);
    const size_t stem = name_stem(j->plan.output);
    if (n <= 0 || !(j->folder = getcwd(NULL, 0)))
        return failure("cluster: this program or folder has no name");
    j->program[n] = 0;
    snprintf(beside, sizeof beside, "%s-mpi", j->program);
    if (j->plan.ranks && access(beside, X_OK) != 0)
        return failure("cluster: --ranks needs %s, which is missing; build with MPI installed", beside);
    if (strcmp(shown(j->plan.output), j->plan.output) != 0)
        return misuse("%s: expected a name without control characters", j->plan.output);
    if (j->seeds && !j->trains && strchr(j->plan.output, ','))
        return misuse("%s: expected a name without commas: report --group separates names by them",
                      j->plan.output);
    if (!j->script) {
        if (!(j->default_script = malloc(stem + 16)))
            return failure("cluster: no memory");
        sprintf(j->default_script, "%.*s%s", (int)stem, j->plan.output, j->trains ? "-train.sh" : ".sh");
        j->script = j->default_script;
        if (is_taken(j->script))
            return misuse("cluster: %s exists, and cluster did not write it; --script FILE names another",
                          j->script);
    }
    return -1;
}

static int write_script(const job *j)
{
    char *text = NULL;
    size_t size;
    sg_error err = {""};
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return failure("cluster: no memory");
    put_script(f, j);
    const bool written = !ferror(f);
    sg_status st = SG_OK;
    if (fclose(f) == 0 && written)
        st = sg_text_write(j->script, text, &err);
    else
        st = SG_ENOMEM, snprintf(err.msg, sizeof err.msg, "no memory for the script");
    free(text);
    if (st != SG_OK)
        return fail(st, &err);
    put_advice(strcmp(j->script, "-") ? stdout : stderr, j);
    return EXIT_DONE;
}

/* argv: analyze|train and its arguments. */
static int make_jobs(job *j, int argc, char **argv)
{
    enum { OWN = 256, SPARE = 10 }; /* MiB of the program and its libraries; minutes */
    char **args = calloc((size_t)argc + 1, sizeof *args);
    if (!args)
        return failure("cluster: no memory");
    j->args = args;
    memcpy(args, argv, (size_t)argc * sizeof *args);
    int code = check_options(j);
    if (code < 0)
        code = (j->trains ? plan_training : plan_analysis)(argc, argv, &j->plan);
    if (code < 0 && j->megabytes > 0 && j->megabytes < (double)j->plan.memory / 1048576)
        code = misuse("--memory: %s is less than the %.0fM that each process needs by the forecast",
                      j->memory, ceil((double)j->plan.memory / 1048576));
    if (code < 0)
        code = find_places(j);
    if (code < 0)
        code = refuse_unwritable(j->script);
    if (code < 0)
        code = refuse_overwriting(j->script, (const char *const *)args + 1, (size_t)argc - 1);
    const char *others[] = {j->plan.output, j->plan.table, j->plan.log};
    if (code < 0)
        code = refuse_overwriting(j->script, others, 3);
    if (j->minutes <= 0)
        j->minutes = ceil(2 * fmax(j->plan.seconds, j->plan.merge_seconds) / 60) + SPARE;
    if (j->megabytes <= 0 && !j->trains)
        j->megabytes = OWN + 1.25 * (double)j->plan.memory / 1048576;
    if (code < 0)
        code = write_script(j);
    free(args);
    return code;
}

static int run(int argc, char **argv)
{
    job j = {.plan = {.cpus = 1}, .launcher = -1};
    const option table[] = {
        {"parts", 0, OPT_SIZE, &j.plan.parts, "N", "analyze: an array of N jobs, and one that merges them", 2,
         10000},
        {"ranks", 0, OPT_SIZE, &j.plan.ranks, "N", "analyze: one job of N processes connected by MPI", 2,
         10000},
        {"seeds", 0, OPT_STRING, &j.seeds, "FIRST-LAST",
         "an array of one job per seed; model-seed1, model-seed2, ... are the models that train writes and analyze reads",
         0, 0},
        {"cpus", 0, OPT_INT, &j.plan.cpus, "N", "cores of each process", 1, 1024},
        {"time", 0, OPT_STRING, &j.time, "H:M:S",
         "time limit of a job (default: twice the forecast and 10 minutes; train has no forecast)", 0, 0},
        {"memory", 0, OPT_STRING, &j.memory, "SIZE",
         "memory of each process, as in 4G (default: by the forecast; for train the cluster's own)", 0, 0},
        {"partition", 0, OPT_STRING, &j.partition, "NAME", "partition of the cluster (default: its own)", 0,
         0},
        {"launcher", 0, OPT_CHOICE, &j.launcher, "mpirun|srun",
         "what starts the processes of --ranks (default: mpirun)", 0, 0},
        {"script", 0, OPT_STRING, &j.script, "FILE",
         "the script to write (default: run.sh for -o run.nc, model-train.sh for -o model); -: standard output",
         0, 0},
        {"slurm", 0, OPT_FLAG, &j.slurm, NULL, "for Slurm, the only supported scheduler", 0, 0},
        END_OF_OPTIONS,
    };
    int code = parse_options(&cmd_cluster, table, &argc, argv, 1, -1);
    if (code < 0 && strcmp(argv[0], "analyze") != 0 && strcmp(argv[0], "train") != 0)
        code = misuse("cluster: expected analyze or train, found '%s'", argv[0]);
    if (code < 0)
        j.trains = !strcmp(argv[0], "train");
    if (code < 0)
        code = read_seeds(&j);
    if (code < 0)
        code = read_time(&j);
    if (code < 0)
        code = read_memory(&j);
    if (code < 0)
        code = make_jobs(&j, argc, argv);
    free(j.default_script);
    free(j.folder);
    return code;
}

const command cmd_cluster = {
    .name = "cluster",
    .operands = "analyze|train ARGUMENTS...",
    .summary = "a Slurm script for an analysis or a training",
    .about =
        "Checks the options of the command and that the files it reads are there (of an analysis it reads them all; with --seeds "
        "the first model); writes a script for it and prints what to type. Nothing is submitted. "
        "The time and memory that the script of an analysis asks for follow from its forecast. A job that is stopped by its time limit or "
        "preempted saves a checkpoint, is queued again and continues from it. The options of cluster come before the "
        "command; its --checkpoint, --resume, --part and --threads are written into the script.",
    .examples = "stategrad cluster --parts 2 analyze model.safetensors valid.txt -o run.nc",
    .run = run,
};
