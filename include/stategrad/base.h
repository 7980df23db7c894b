/* SPDX-License-Identifier: MIT */
/* base.h - what every other header of stategrad uses: status, error text, progress, version.
 *
 * A function that can fail returns sg_status and takes an sg_error as its last argument (may be NULL). On
 * failure, outputs are NULL or unchanged unless the declaration says otherwise. The library never prints,
 * exits or aborts because of data, files or memory.
 *
 * Threads: two threads may each do their own work at the same time, including on one model, stream or set
 * of classes, as long as neither changes it. An object with a state (sg_corpus, sg_gradient, sg_run, a
 * vocabulary or classes that are being filled) belongs to one thread at a time. Calls into libhdf5 and
 * libnetcdf take turns; a program that calls these libraries itself must not do so while another thread is in
 * this one. A call suppresses libhdf5's own error messages and restores its error handler.
 *
 * fork: a child may use the library if the parent has not used it with more than one thread before; otherwise
 * it must exec first, since the threads of OpenMP are not copied into the child. */
#ifndef STATEGRAD_BASE_H
#define STATEGRAD_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Marks the declarations that the shared library exports; it exports nothing else. */
#if defined(__GNUC__)
#define SG_API __attribute__((visibility("default")))
#else
#define SG_API
#endif

/* Version of these headers. Until 1.0.0 a new minor number may change the interface, and the name of the
 * shared library with it. */
#define SG_VERSION_MAJOR 0
#define SG_VERSION_MINOR 2
#define SG_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    SG_OK = 0,
    SG_EINVAL,     /* an invalid argument or combination of arguments */
    SG_ENOMEM,     /* out of memory */
    SG_EIO,        /* a read or write failed */
    SG_EFORMAT,    /* a file does not have the expected format or contents */
    SG_ENOCONV,    /* a decomposition or a fit did not converge */
    SG_ENONFINITE, /* a NaN or an infinity instead of a finite number */
    SG_ECANCELLED  /* the progress callback requested a stop; progress was saved where possible */
} sg_status;

/* One line, no newline at its end: which file, line, tensor or option; what was found; what was expected.
 * Where an expression of classes is wrong: two more lines, its text and a caret. */
typedef struct {
    char msg[1024];
} sg_error;

/* Progress of a long computation. Reported from the calling thread, a few times per second at most. */
typedef struct {
    const char *what;   /* "reading", "training", "analysing" ... */
    double done, total; /* in tokens; total 0: unknown */
    double seconds;     /* since this phase began */
    double loss;        /* recent loss, nats per token; NaN if there is none */
    unsigned epoch, epochs;
} sg_progress;

/* tick returns true to continue and false to stop soon: the computation then saves its progress and returns
 * SG_ECANCELLED. A NULL sg_monitor and a NULL tick are accepted everywhere. warn receives one-line warnings
 * and may be NULL. */
typedef struct {
    bool (*tick)(void *ctx, const sg_progress *p);
    void (*warn)(void *ctx, const char *line);
    void *ctx;
} sg_monitor;

/* Destination of text: write receives the next n bytes of UTF-8 (not NUL-terminated) in the calling thread.
 * It returns false on failure; the function then stops and returns SG_EIO. */
typedef struct {
    bool (*write)(void *ctx, const char *text, size_t n);
    void *ctx;
} sg_writer;

/* Configurations (sg_..._config) grow at their end from version to version. Their first field,
 * struct_size, is the size that the caller was compiled with: sg_..._defaults(&cfg) sets it, together
 * with the default of every field; a configuration without such a function is started as
 * {.struct_size = sizeof cfg, ...}. 0 means the size in this version. Fields beyond struct_size take
 * their defaults. Bindings call sg_..._defaults_sized. */

/* Removes the temporary files of all outputs in progress, as if each had been aborted, and the empty folders
 * made for them. For a signal or exit handler that ends the process: async-signal-safe; no output may be
 * written afterwards. */
SG_API void sg_remove_temporary_files(void);

/* Checks, without creating anything, whether an output can be written to `path`, symbolic links followed.
 * target[0..size): the resolved path, existing or not; "" if it cannot be determined.
 * SG_EIO: a name in /proc, links in a cycle, an existing file that is not regular or not writable, a folder
 * that is missing or not writable. SG_ENOMEM. */
SG_API sg_status sg_output_check(const char *path, char *target, size_t size, sg_error *err);

/* Writes the text to the file, atomically; "-": to standard output. SG_EIO, SG_ENOMEM. */
SG_API sg_status sg_text_write(const char *path, const char *text, sg_error *err);

/* Version of the linked library, "MAJOR.MINOR.PATCH"; static. */
SG_API const char *sg_version(void);

/* Spelling suggestion: a name that begins with `text`, else the nearest by Damerau-Levenshtein distance (case
 * is ignored), else a name that is a prefix of `text`, else one with a similar prefix ("hiden": hidden-size).
 * NULL: none is close. Borrowed from names. */
SG_API const char *sg_nearest_name(const char *text, const char *const *names, size_t n);

/* Sanitises text from files or users for one line of a terminal, in place: control characters (C0, C1, DEL),
 * line and paragraph separators, bidirectional overrides and bytes that are not UTF-8 become "?" each.
 * Messages of the library (sg_error, warnings) are sanitised; names that it returns are not. */
SG_API void sg_printable(char *text);

#ifdef __cplusplus
}
#endif
#endif
