/* SPDX-License-Identifier: MIT */
/* libnetcdf keeps tables for the whole process and is not safe in several threads at once, and neither is
 * libhdf5 unless it was built for that: every call of ours into them, from any module, is between these two.
 * Between them libhdf5 prints nothing of its own. (NetCDF quietens it in the thread that came first only.) */
#include "io/hdf5.h"

#include <hdf5.h>
#include <pthread.h>
#include <sys/mman.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static H5E_auto2_t printer; /* the caller's, and what it prints to; under the lock */
static void *printer_data;

/* Its clean-up at the end of the process crashes over a file that a full disk did not take
 * (run_writer_abort), and complains on standard error after a damaged one; nothing needs it. */
static void start(void)
{
    (void)H5dont_atexit();
    /* Its defaults but for the last, 1 MiB. Each write or read of text takes a little more than that, set to
     * 0: to have it from the system each time took up to half of the time of a small analysis. */
    (void)H5set_free_list_limits(1 << 20, 1 << 16, 1 << 22, 1 << 18, 1 << 24, 1 << 22);
}

void hdf5_lock(void)
{
    pthread_once(&once, start);
    pthread_mutex_lock(&lock);
    (void)H5Eget_auto2(H5E_DEFAULT, &printer, &printer_data);
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

bool hdf5_has_room(void)
{
    enum { ROOM = 48 << 20 };
    void *p = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p != MAP_FAILED && munmap(p, ROOM) == 0;
}

void hdf5_unlock(void)
{
    (void)H5Eset_auto2(H5E_DEFAULT, printer, printer_data);
    pthread_mutex_unlock(&lock);
}
