/* SPDX-License-Identifier: MIT */
/* base_internal.h - errors, allocation, arenas, random numbers, SHA-256, output files: the library's own
 * libc. */
#ifndef SG_BASE_INTERNAL_H
#define SG_BASE_INTERNAL_H

#include "stategrad/base.h"

#include <stdio.h>

/* Numbers go from memory to files as they are: model files, checkpoints, parts, sums on disk. */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "stategrad needs a little-endian machine"
#endif

/* ---- errors ---- */

/* sg_fail(err, st, format, ...): writes the message (one line, cut, never overrun), is st. err may be NULL. A
 * macro, so that compilers and analysers see that what follows a failure is not reached. */
#define sg_fail(err, st, ...) (sg_fail_message(err, __VA_ARGS__), sg_status_itself(st))
static inline sg_status sg_status_itself(sg_status st)
{
    return st;
}
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void sg_fail_message(sg_error *err, const char *format, ...);

/* st = call; on failure go to done. Needs a local `sg_status st` and a label `done`. */
#define TRY(call)                                                                                            \
    do {                                                                                                     \
        st = (call);                                                                                         \
        if (st != SG_OK)                                                                                     \
            goto done;                                                                                       \
    } while (0)

/* no_memory(err, "%zu counts", n): "no memory for 5 counts", is SG_ENOMEM. */
#define no_memory(err, ...) sg_fail(err, SG_ENOMEM, "no memory for " __VA_ARGS__)

/* NEED(p = sg_calloc(n, size), err, "%zu counts", n): goes to done with no_memory unless the first argument
 * holds. Several at once: NEED((a = ...) && (b = ...), err, ...). */
#define NEED(got, err, ...)                                                                                  \
    do {                                                                                                     \
        if (!(got))                                                                                          \
            TRY(no_memory(err, __VA_ARGS__));                                                                \
    } while (0)

void sg_warn(const sg_monitor *m, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* ---- configurations that grow (base.h) ---- */

/* Takes the caller's fields over what own holds (defaults or zeros). Returns own. */
void *config_take(void *own, size_t own_size, const void *cfg);
/* Gives the caller, whose structure has `size` bytes, the fields of own, and sets struct_size. */
void config_give(void *cfg, size_t size, const void *own, size_t own_size);

/* ---- allocation: the one door to the heap ---- */

/* n * size bytes of zeros, 64-byte aligned; NULL when there is no memory or the product overflows. n or size
 * 0 gives a valid pointer. Everything from here is freed with sg_free. */
void *sg_calloc(size_t n, size_t size);
/* Grows (or shrinks) p from old_n to n elements, zeros what is new; on failure NULL and p is as before. */
void *sg_regrow(void *p, size_t old_n, size_t n, size_t size);
char *sg_strdup(const char *s);
char *sg_strndup(const char *s, size_t n);
void sg_free(void *p); /* NULL is fine */

/* For tests: let n more allocations of the process succeed, then fail all; negative: never fail (the
 * default). */
void sg_alloc_fail_after(long n);
/* For tests: allocations made and not yet freed. */
long sg_alloc_live(void);

/* ---- arena: workspace sized once ---- */
typedef struct {
    unsigned char *base;
    size_t size, used;
} sg_arena;
sg_status sg_arena_init(sg_arena *a, size_t bytes, sg_error *err);
/* 64-byte aligned, zeroed at sg_arena_init only; NULL if the arena is full (a bug of the caller: sizes are
 * known). An arena of {0} counts: it gives NULLs, and `used` is what sg_arena_init then needs. */
void *sg_arena_take(sg_arena *a, size_t n, size_t size);
void sg_arena_free(sg_arena *a);

/* ---- random numbers: xoshiro256**, seeded through splitmix64; the state is a parameter, never global
 * ---- */
typedef struct {
    uint64_t s[4];
} sg_rng;
void sg_rng_seed(sg_rng *r, uint64_t seed, uint64_t stream);
uint64_t sg_rng_next(sg_rng *r);
double sg_rng_uniform(sg_rng *r);                 /* [0,1), 53 bits */
uint64_t sg_rng_below(sg_rng *r, uint64_t bound); /* 0 .. bound-1 without bias; bound > 0 */
double sg_rng_normal(sg_rng *r);                  /* mean 0, variance 1 */

/* ---- SHA-256 (by nettle) ---- */
typedef struct sg_sha256 sg_sha256;
sg_status sg_sha256_new(sg_sha256 **out, sg_error *err);
void sg_sha256_add(sg_sha256 *h, const void *data, size_t n);
void sg_sha256_hex(sg_sha256 *h, char hex[65]); /* the digest so far; starts anew after it */
void sg_sha256_free(sg_sha256 *h);
sg_status sg_sha256_file(const char *path, char hex[65], sg_error *err);

/* ---- output files, written atomically ---- */

/* A `path` that is a symbolic link stays one: its target is replaced (or made), with the temporary file in
 * the target's folder. Refused are devices, pipes, folders and names in /proc. Set-user-id and set-group-id
 * bits are dropped. A temporary file in the same folder, with the permissions of the umask (or of the
 * replaced file); one that a killed writer of the same output left behind is removed. commit flushes, fsyncs,
 * renames it over `path` and fsyncs the folder; abort (or free without commit) removes it. For writers that
 * need a path of their own (NetCDF) use sg_outfile_temp_path and close that writer before commit. An error
 * names `path`. */
typedef struct sg_outfile sg_outfile;
/* *out, freed with sg_free: path, or the file, there or not, that the symbolic link of that name leads to.
 * SG_EIO: names in /proc, links in a circle. */
sg_status outfile_target(char **out, const char *path, sg_error *err);
/* Removes the temporary files that killed writers of this file left. Opening it does so too. */
void outfile_clear(const char *target);
/* Paths that sg_remove_temporary_files removes too: files, empty folders (borrowed). remember: false if there
 * are too many. */
bool temporary_remember(char *path);
void temporary_forget(char *path);
sg_status sg_outfile_open(sg_outfile **out, const char *path, sg_error *err);
FILE *sg_outfile_stream(sg_outfile *o); /* write errors are reported by commit; has no fileno */
const char *sg_outfile_temp_path(const sg_outfile *o);
/* what was written by its path is on the disk; false: errno is the reason */
bool sg_outfile_sync(const sg_outfile *o);
sg_status sg_outfile_commit(sg_outfile *o, sg_error *err); /* frees o in every case */
void sg_outfile_abort(sg_outfile *o);                      /* frees o; NULL is fine */

/* A stream into a caller's writer; has no fileno. writer_close flushes and frees it: SG_EIO if anything could
 * not be written. f NULL is fine. */
sg_status writer_open(FILE **f, const sg_writer *to, sg_error *err);
sg_status writer_close(FILE *f, sg_error *err);

/* The whole of a regular file, NUL added at the end. SG_EFORMAT: larger than limit bytes. */
sg_status sg_read_file(char **out, size_t *size, const char *path, size_t limit, sg_error *err);

/* seconds of a monotonic clock */
double sg_clock(void);

/* Progress of one phase to a monitor (or NULL), ten times per second at most and at its end, done == total.
 * In the calling thread of the library only. SG_ECANCELLED: the monitor stops the work. */
typedef struct {
    const sg_monitor *monitor;
    const char *what;
    double total, began, told;
} ticker;
ticker ticker_begin(const sg_monitor *monitor, const char *what, double total);
sg_status ticker_tell(ticker *t, double done, sg_error *err);

#endif
