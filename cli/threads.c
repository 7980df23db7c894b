/* SPDX-License-Identifier: MIT */
/* How many processes and threads the machine's managers have in mind. */
#include "team.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long number_in(const char *variable)
{
    const char *text = getenv(variable);
    return text ? strtol(text, NULL, 10) : 0;
}

long team_launched(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (number_in(variables[i]) > 0)
            return number_in(variables[i]);
    return 1;
}

/* CPUs that cpu.max of a folder of the cgroup tree allows; no limit: INFINITY. */
static double allowed_in(const char *root, const char *folder)
{
    char path[8600], quota[32];
    double period, allowed = INFINITY;
    snprintf(path, sizeof path, "%.4000s/sys/fs/cgroup%s/cpu.max", root, folder);
    FILE *f = fopen(path, "r");
    if (!f)
        return INFINITY;
    if (fscanf(f, "%31s %lf", quota, &period) == 2 && strcmp(quota, "max") != 0 && period > 0)
        allowed = strtod(quota, NULL) / period;
    fclose(f);
    return allowed;
}

/* The least of this process's cgroup (version 2) and those above it. */
static double allowed_by_cgroups(const char *root)
{
    char path[4200], line[4200], *at = NULL;
    double allowed = allowed_in(root, "");
    snprintf(path, sizeof path, "%.4000s/proc/self/cgroup", root);
    FILE *f = fopen(path, "r");
    while (f && !at && fgets(line, sizeof line, f))
        at = strncmp(line, "0::", 3) ? NULL : line + 3;
    if (f)
        fclose(f);
    if (at)
        at[strcspn(at, "\n")] = 0;
    while (at && *at) {
        allowed = fmin(allowed, allowed_in(root, at));
        *(strrchr(at, '/') ? strrchr(at, '/') : at) = 0;
    }
    return allowed;
}

void limit_threads(int processes_here, const char *root)
{
    double n = omp_get_num_procs(), slurm = (double)number_in("SLURM_CPUS_PER_TASK");
    if (getenv("OMP_NUM_THREADS"))
        return;
    if (processes_here > 1 && n >= (double)sysconf(_SC_NPROCESSORS_ONLN))
        n = floor(n / processes_here);
    if (slurm > 0)
        n = fmin(n, slurm);
    n = fmax(1, fmin(n, ceil(allowed_by_cgroups(root))));
    omp_set_num_threads((int)n);
}
