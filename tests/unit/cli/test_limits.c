/* SPDX-License-Identifier: MIT */
/* How many threads OMP_NUM_THREADS, Slurm, cgroups and the processes beside this one leave. */
#include "team.h"

#include "helpers/test_util.h"

#include <omp.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/stategrad-limits-XXXXXX";
static int cores;

static void put(const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        mkdir(path, 0700);
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Threads left where the cgroup of this process is /a/b, and the limits of the folders are as given. */
static int left(int processes, const char *slurm, const char *top, const char *a, const char *b)
{
    put("proc/self/cgroup", "12:cpu:/old\n0::/a/b\n");
    put("sys/fs/cgroup/cpu.max", top);
    put("sys/fs/cgroup/a/cpu.max", a);
    put("sys/fs/cgroup/a/b/cpu.max", b);
    slurm ? setenv("SLURM_CPUS_PER_TASK", slurm, 1) : unsetenv("SLURM_CPUS_PER_TASK");
    omp_set_num_threads(77);
    limit_threads(processes, root);
    return omp_get_max_threads();
}

static int least(int x)
{
    return x < cores ? x : cores;
}

static void without_limits_all_cores(void **state)
{
    (void)state;
    assert_int_equal(left(1, NULL, "max 100000", "max 100000", "max 100000"), cores);
    omp_set_num_threads(77);
    limit_threads(1, "/nonexistent"); /* no cgroups */
    assert_int_equal(omp_get_max_threads(), cores);
}

static void slurm_limits(void **state)
{
    (void)state;
    assert_int_equal(left(1, "1", "max 1", "max 1", "max 1"), 1);
    assert_int_equal(left(1, "2", "max 1", "max 1", "max 1"), least(2));
    assert_int_equal(left(1, "1000", "max 1", "max 1", "max 1"), cores); /* never more than there are */
    assert_int_equal(left(1, "what", "max 1", "max 1", "max 1"), cores);
}

static void the_least_cgroup_above_limits(void **state)
{
    (void)state;
    assert_int_equal(left(1, NULL, "max 100000", "max 100000", "100000 100000"), 1);
    assert_int_equal(left(1, NULL, "max 100000", "100000 100000", "400000 100000"), 1);
    assert_int_equal(left(1, NULL, "50000 50000", "max 100000", "max 100000"), 1);
    assert_int_equal(left(1, NULL, "max 100000", "max 100000", "150000 100000"),
                     least(2));                                                    /* one and a half */
    assert_int_equal(left(1, NULL, "max 100000", "max 100000", "1000 100000"), 1); /* never none */
    assert_int_equal(left(1, "1", "max 100000", "max 100000", "200000 100000"), 1);
    assert_int_equal(left(1, NULL, "nonsense", "", "100000 0"), cores);
}

static void processes_share_a_machine(void **state)
{
    (void)state;
    const int whole =
        cores >= (int)sysconf(_SC_NPROCESSORS_ONLN); /* else they are bound, and not divided again */
    assert_int_equal(left(2, NULL, "max 1", "max 1", "max 1"), whole ? (cores > 1 ? cores / 2 : 1) : cores);
    assert_int_equal(left(10 * cores, NULL, "max 1", "max 1", "max 1"), whole ? 1 : cores);
}

static void the_user_decides(void **state)
{
    (void)state;
    setenv("OMP_NUM_THREADS", "5", 1);
    assert_int_equal(left(4, "1", "100000 100000", "max 1", "max 1"), 77); /* as OpenMP has read it */
    unsetenv("OMP_NUM_THREADS");
}

int main(void)
{
    unsetenv("OMP_NUM_THREADS");
    cores = omp_get_num_procs();
    if (!mkdtemp(root))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_limits_all_cores),
        cmocka_unit_test(slurm_limits),
        cmocka_unit_test(the_least_cgroup_above_limits),
        cmocka_unit_test(processes_share_a_machine),
        cmocka_unit_test(the_user_decides),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char line[100];
    snprintf(line, sizeof line, "rm -r %s", root);
    return system(line) || failed;
}
