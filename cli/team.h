/* SPDX-License-Identifier: MIT */
/* team.h - the processes that do one analysis: launcher.c in stategrad, mpi/team.c in stategrad-mpi. */
#ifndef STATEGRAD_CLI_TEAM_H
#define STATEGRAD_CLI_TEAM_H

#include "cli.h"

/* First of all. -1: go on; otherwise the exit code, after the message. */
int team_join(char **argv);
/* NULL: this process is alone. */
const sg_team *team(void);
/* Processes of the team on this machine. */
int team_here(void);
/* A line for stderr. In ranks above 0 it is kept, and printed by team_leave if the others know nothing of
 * it. */
void team_say(const char *line);
/* Collective: code -1 if it is that everywhere, else the exit code; rank 0 prints what the first rank that
 * failed had to say. 0 (help was printed) is 0 everywhere. */
int team_agree_on(int code);
/* Last of all; the exit code. Ends the other processes if this one alone has failed. */
int team_leave(int code);

/* Processes that mpirun or srun started together with this one, by the environment; 1: alone. */
long team_launched(void);
/* Where OMP_NUM_THREADS does not set the number of threads: no more than the cores this process may use,
 * SLURM_CPUS_PER_TASK and the limit of its cgroup, and the team's share of a machine where processes are not
 * bound to cores. root: what precedes /proc and /sys, "" but in tests. */
void limit_threads(int processes_here, const char *root);

#endif
