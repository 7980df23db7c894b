/* SPDX-License-Identifier: MIT */
/* stategrad-mpi: the program with a team of processes connected by MPI. All else is that of stategrad. */
#include "team.h"

#include <mpi.h>
#include <string.h>
#include <time.h>

static sg_team mine;
static int here = 1;
static bool joined, cut_off; /* cut_off: a message is under way that nobody will take */
static char kept[1300];

/* Waiting takes no core from the processes that compute: after a moment it sleeps between looks. */
static bool await(MPI_Request *request, double seconds)
{
    const double began = MPI_Wtime();
    int done = 0;
    for (long looks = 0; MPI_Test(request, &done, MPI_STATUS_IGNORE), !done; looks++) {
        if (seconds < 0 ? interrupted() != 0 : MPI_Wtime() - began > seconds)
            return false;
        const struct timespec pause = {0, looks < 2000 ? 0 : looks < 4000 ? 50000 : 2000000};
        if (looks > 200)
            nanosleep(&pause, NULL);
    }
    return true;
}

static bool finished(MPI_Request *request)
{
    bool done = await(request, -1);
    cut_off |= !done;
    return done;
}

static bool send_bytes(void *ctx, size_t to, const void *bytes, size_t n)
{
    MPI_Request request;
    (void)ctx;
    MPI_Isend(bytes, (int)n, MPI_BYTE, (int)to, 0, MPI_COMM_WORLD, &request);
    return finished(&request);
}

static bool receive_bytes(void *ctx, size_t from, void *bytes, size_t n)
{
    MPI_Request request;
    (void)ctx;
    MPI_Irecv(bytes, (int)n, MPI_BYTE, (int)from, 0, MPI_COMM_WORLD, &request);
    return finished(&request);
}

int team_join(char **argv)
{
    int given, rank, ranks;
    MPI_Comm machine;
    const long launched = team_launched();
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &machine);
    MPI_Comm_size(machine, &here);
    MPI_Comm_free(&machine);
    joined = true;
    if (ranks > 1)
        stop_silently();
    mine = (sg_team){(size_t)rank, (size_t)ranks, send_bytes, receive_bytes, NULL};
    if (ranks == 1 && launched > 1)
        return misuse(
            "started as %ld processes, but MPI does not join them: the launcher is not that of this MPI "
            "(srun needs --mpi=pmix or pmi2)",
            launched);
    if (ranks > 1 && (!argv[1] || strcmp(argv[1], "analyze") != 0))
        return misuse(
            "stategrad-mpi: only analyze works in several processes, found '%s'; run it without mpirun",
            argv[1] ? argv[1] : "");
    return -1;
}

const sg_team *team(void)
{
    return mine.ranks > 1 ? &mine : NULL;
}

int team_here(void)
{
    return here;
}

void team_say(const char *line)
{
    if (mine.rank)
        snprintf(kept, sizeof kept, "%s", line);
    else
        fprintf(stderr, "%s\n", line);
}

int team_agree_on(int code)
{
    static const char prefix[] = "stategrad: ";
    sg_error err = {""};
    if (!team() || !code)
        return code;
    snprintf(err.msg, sizeof err.msg, "%.1000s",
             kept + (strncmp(kept, prefix, sizeof prefix - 1) ? 0 : sizeof prefix - 1));
    sg_status st = sg_team_agree(team(), "",
                                 code < 0              ? SG_OK
                                 : code == EXIT_MISUSE ? SG_EINVAL
                                                       : SG_EIO,
                                 &err);
    if (code >= 0 || st == SG_OK)
        return code;
    return fail(st, &err);
}

int team_leave(int code)
{
    enum { SAVING = 30, LEAVING = 10 }; /* seconds that the others have to end as well */
    MPI_Request all;
    if (!joined)
        return code;
    if (code) {
        MPI_Ibarrier(MPI_COMM_WORLD, &all);
        if (!await(&all, interrupted() ? SAVING : LEAVING) || cut_off) {
            if (mine.rank && !interrupted())
                fprintf(stderr, "stategrad: rank %zu: %s\n", mine.rank,
                        kept[0] ? kept + strlen("stategrad: ") : "failed");
            sg_remove_temporary_files();
            MPI_Abort(MPI_COMM_WORLD, code);
        }
    }
    MPI_Finalize();
    return code;
}
