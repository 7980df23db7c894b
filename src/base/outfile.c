/* SPDX-License-Identifier: MIT */
/* Atomic output files, whole-file reads, SHA-256. */
#include "base/base_internal.h"
#include "base/text_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <nettle/sha2.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

struct sg_outfile {
    char *path;   /* as it was given, for messages */
    char *target; /* what is replaced: path, or where a symbolic link leads */
    char *temp, *folder;
    FILE *stream; /* writes through fd, so that an error's cause is kept */
    int fd;
    bool to_stdout;
    int error; /* errno of the first failed write; 0: none */
};

/* ---- temporary files, and new folders, that a signal handler can remove ---- */

enum { MAX_OPEN = 64 };
static _Atomic(char *) open_temps[MAX_OPEN];

/* Returns false if too many are open: that one would stay behind if the process were ended by a signal. */
bool temporary_remember(char *temp)
{
    for (size_t i = 0; i < MAX_OPEN; i++) {
        char *none = NULL;
        if (atomic_compare_exchange_strong(&open_temps[i], &none, temp))
            return true;
    }
    return false;
}

void temporary_forget(char *temp)
{
    for (size_t i = 0; i < MAX_OPEN; i++) {
        char *same = temp;
        atomic_compare_exchange_strong(&open_temps[i], &same, NULL);
    }
}

void sg_remove_temporary_files(void)
{
    for (size_t i = 0; i < MAX_OPEN; i++) {
        const char *temp = atomic_load(&open_temps[i]);
        if (temp)
            unlink(temp);
    }
    /* The folders that were made for them, inner ones first; only empty ones go. */
    for (size_t i = MAX_OPEN; i-- > 0;) {
        const char *folder = atomic_load(&open_temps[i]);
        if (folder)
            rmdir(folder);
    }
}

/* All of it, or an error: short and interrupted writes go on. */
static ssize_t stream_write(void *cookie, const char *data, size_t n)
{
    sg_outfile *o = cookie;
    for (size_t done = 0; done < n;) {
        ssize_t w = write(o->fd, data + done, n - done);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0) {
            o->error = w < 0 ? errno : ENOSPC;
            return 0;
        }
        done += (size_t)w;
    }
    return (ssize_t)n;
}

static ssize_t stream_read(void *cookie, char *data, size_t n)
{
    return read(((sg_outfile *)cookie)->fd, data, n);
}

static int stream_seek(void *cookie, off64_t *at, int whence)
{
    return (*at = lseek(((sg_outfile *)cookie)->fd, *at, whence)) < 0 ? -1 : 0;
}

static void outfile_free(sg_outfile *o)
{
    if (!o)
        return;
    sg_free(o->path);
    sg_free(o->target);
    sg_free(o->temp);
    sg_free(o->folder);
    sg_free(o);
}

/* Temporary files are ".stategrad-<h>-<random>" with <h> from the output's name: short enough for any name of
 * 255 bytes, and the next writer of the same output recognises what a killed one left behind. */
enum { SUFFIX = 16, TEMP_ROOM = 64 };

static uint64_t name_hash(const char *name)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 1099511628211u;
    return h;
}

/* A lock that belongs to the open file: nobody holds it once its process is dead. HDF5's own flock() is
 * another kind. Waits when wait is true. */
static bool lock_file(int fd, bool wait)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int r;
    do
        r = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock);
    while (r != 0 && errno == EINTR);
    return r == 0;
}

/* Removes temporary files with this prefix whose writer is dead. Failing at it is no error. */
static void remove_leftovers(const char *folder, const char *prefix)
{
    DIR *d = opendir(folder);
    if (!d)
        return;
    size_t length = strlen(prefix);
    for (struct dirent *entry; (entry = readdir(d));) {
        if (strncmp(entry->d_name, prefix, length) != 0 || strlen(entry->d_name) != length + SUFFIX)
            continue;
        int fd = openat(dirfd(d), entry->d_name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (lock_file(fd, false))
            unlinkat(dirfd(d), entry->d_name, 0);
        close(fd);
    }
    closedir(d);
}

/* A new, locked temporary file of mode 0666 less the umask; its name is written to temp (TEMP_ROOM more than
 * the folder's length). -1 and errno: none could be made. */
static int create_temp(char *temp, const char *folder, const char *prefix)
{
    for (int tries = 0; tries < 100; tries++) {
        uint64_t random;
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
            random = (uint64_t)getpid() << 32 ^ (uint64_t)(uintptr_t)temp ^ (uint64_t)(1e9 * sg_clock());
        snprintf(temp, strlen(folder) + TEMP_ROOM, "%s/%s%016" PRIx64, folder, prefix, random);
        int fd = open(temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && (errno == EEXIST || errno == EINTR))
            continue;
        struct stat info;
        if (fd < 0 || !lock_file(fd, true) || fstat(fd, &info) != 0 || info.st_nlink > 0)
            return fd;
        close(fd); /* another writer took it for a leftover before the lock was ours */
    }
    return -1;
}

/* ---- where an output goes ---- */

enum { MAX_LINKS = 40, PROC_FILES = 0x9fa0 /* statfs of /proc */ };

static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return !slash ? 0 : slash == path ? 1 : (size_t)(slash - path);
}

/* The folder of path, "." without one. NULL: no memory. */
static char *folder_of(const char *path)
{
    size_t n = folder_length(path);
    return n ? sg_strndup(path, n) : sg_strdup(".");
}

/* Names below /proc (/dev/stdout leads there) are open files of a process: a file written there and renamed
 * would not reach whoever reads them. */
static sg_status refuse_proc(const char *path, const char *link, sg_error *err)
{
    struct statfs system;
    char *folder = folder_of(link);
    if (!folder)
        return no_memory(err, "%s", path);
    bool proc = statfs(folder, &system) == 0 && system.f_type == PROC_FILES;
    sg_free(folder);
    return proc ? sg_fail(err, SG_EIO, "%s: leads into /proc, and cannot be replaced; name the file itself",
                          path)
                : SG_OK;
}

/* *out: path, or where the symbolic link of that name leads in the end, there or not. */
sg_status outfile_target(char **out, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    char *at = sg_strdup(path), link[PATH_MAX];
    struct stat info;
    int links = 0;
    *out = NULL;
    if (!at)
        return no_memory(err, "%s", path);
    TRY(refuse_proc(path, at, err));
    while (lstat(at, &info) == 0 && S_ISLNK(info.st_mode)) {
        ssize_t n = readlink(at, link, sizeof link - 1);
        if (n < 0 || n == (ssize_t)sizeof link - 1 || ++links > MAX_LINKS)
            TRY(sg_fail(err, SG_EIO, "%s: a symbolic link that cannot be followed: %s", path,
                        strerror(n < 0                           ? errno
                                 : n == (ssize_t)sizeof link - 1 ? ENAMETOOLONG
                                                                 : ELOOP)));
        link[n] = 0;
        size_t folder = link[0] == '/' ? 0 : folder_length(at), room = folder + 2 + (size_t)n;
        char *next = sg_calloc(room, 1);
        NEED(next, err, "%s", path);
        snprintf(next, room, "%.*s%s%s", (int)folder, at, folder ? "/" : "", link);
        sg_free(at);
        at = next;
        TRY(refuse_proc(path, at, err));
    }
    *out = at;
    at = NULL;
done:
    sg_free(at);
    return st;
}

static sg_status check_target(const char *path, const char *target, struct stat *old, bool *exists,
                              sg_error *err)
{
    const char *slash = strrchr(target, '/');
    if (!*target || (slash && !slash[1]))
        return sg_fail(err, SG_EIO, "'%s': is a folder or nothing, expected the name of a file to write",
                       path);
    *exists = stat(target, old) == 0;
    if (*exists && !S_ISREG(old->st_mode))
        return sg_fail(err, SG_EIO, "%s: is not a regular file, cannot be replaced", path);
    if (*exists && access(target, W_OK) != 0)
        return sg_fail(err, SG_EIO, "%s: cannot be replaced: %s", path, strerror(errno));
    return SG_OK;
}

sg_status sg_output_check(const char *path, char *target, size_t size, sg_error *err)
{
    sg_status st = SG_OK;
    char *end = NULL, *folder = NULL;
    struct stat old;
    bool exists;
    target[0] = 0;
    TRY(outfile_target(&end, path, err));
    if (strlen(end) >= size)
        TRY(sg_fail(err, SG_EIO, "%.100s...: too long a name", path));
    memcpy(target, end, strlen(end) + 1);
    TRY(check_target(path, end, &old, &exists, err));
    NEED(folder = folder_of(end), err, "%s", path);
    if (access(folder, W_OK | X_OK) != 0)
        TRY(sg_fail(err, SG_EIO, "%s: cannot be written: %s", path, strerror(errno)));
done:
    sg_free(end);
    sg_free(folder);
    return st;
}

void outfile_clear(const char *target)
{
    char prefix[TEMP_ROOM], *folder = folder_of(target);
    const char *slash = strrchr(target, '/');
    snprintf(prefix, sizeof prefix, ".stategrad-%016" PRIx64 "-", name_hash(slash ? slash + 1 : target));
    if (folder)
        remove_leftovers(folder, prefix);
    sg_free(folder);
}

static const cookie_io_functions_t functions = {stream_read, stream_write, stream_seek, NULL};

/* Kept in memory until commit: standard output gets all of it or nothing. */
static sg_status open_stdout(sg_outfile **out, sg_error *err)
{
    sg_outfile *o = sg_calloc(1, sizeof *o);
    sg_status st = SG_OK;
    if (!o)
        return no_memory(err, "standard output");
    o->fd = -1;
    NEED(o->path = sg_strdup("standard output"), err, "standard output");
    o->to_stdout = true;
    o->fd = memfd_create("stategrad", MFD_CLOEXEC);
    if (o->fd < 0 || !(o->stream = fopencookie(o, "w+b", functions)))
        TRY(sg_fail(err, SG_EIO, "standard output: cannot be written: %s", strerror(errno)));
    *out = o;
    o = NULL;
done:
    sg_outfile_abort(o);
    return st;
}

sg_status outfile_open_text(sg_outfile **out, const char *path, sg_error *err)
{
    *out = NULL;
    return strcmp(path, "-") ? sg_outfile_open(out, path, err) : open_stdout(out, err);
}

/* errno of what failed, or 0. */
static int copy_to_stdout(int from)
{
    char buffer[65536];
    ssize_t n;
    if (lseek(from, 0, SEEK_SET) < 0 || fflush(stdout) != 0)
        return errno;
    while ((n = read(from, buffer, sizeof buffer)) != 0) {
        if (n < 0 && errno != EINTR)
            return errno;
        for (ssize_t done = 0; done < n;) {
            ssize_t w = write(STDOUT_FILENO, buffer + done, (size_t)(n - done));
            if (w < 0 && errno != EINTR)
                return errno;
            done += w > 0 ? w : 0;
        }
    }
    return 0;
}

sg_status sg_outfile_open(sg_outfile **out, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    struct stat old;
    bool exists;
    char prefix[TEMP_ROOM];
    *out = NULL;
    if (!strcmp(path, "-"))
        return sg_fail(err, SG_EINVAL, "-: standard output takes text, this file needs a name");
    sg_outfile *o = sg_calloc(1, sizeof *o);
    if (!o)
        return no_memory(err, "%s", path);
    o->fd = -1;
    TRY(outfile_target(&o->target, path, err));
    TRY(check_target(path, o->target, &old, &exists, err));
    NEED((o->path = sg_strdup(path)) && (o->folder = folder_of(o->target)) &&
             (o->temp = sg_calloc(strlen(o->folder) + TEMP_ROOM, 1)),
         err, "%s", path);
    const char *slash = strrchr(o->target, '/');
    snprintf(prefix, sizeof prefix, ".stategrad-%016" PRIx64 "-", name_hash(slash ? slash + 1 : o->target));
    remove_leftovers(o->folder, prefix);
    if ((o->fd = create_temp(o->temp, o->folder, prefix)) < 0) {
        int e = errno;
        o->temp[0] = 0;
        TRY(sg_fail(err, SG_EIO, "%s: cannot be written: %s", path, strerror(e)));
    }
    if (!temporary_remember(o->temp))
        TRY(sg_fail(err, SG_EIO, "%s: more than %d output files at once", path, (int)MAX_OPEN));
    if (exists)
        /* A replaced file keeps its permissions where that is allowed; bits that lend them to others
         * (set-user-id, set-group-id) were given to the old content. */
        (void)fchmod(o->fd, old.st_mode & 0777);
    if (!(o->stream = fopencookie(o, "w+b", functions)))
        TRY(sg_fail(err, SG_EIO, "%s: cannot be written: %s", path, strerror(errno)));
    *out = o;
    o = NULL;
done:
    sg_outfile_abort(o);
    return st;
}

FILE *sg_outfile_stream(sg_outfile *o)
{
    return o->stream;
}

const char *sg_outfile_temp_path(const sg_outfile *o)
{
    return o->temp;
}

bool sg_outfile_sync(const sg_outfile *o)
{
    return fsync(o->fd) == 0;
}

static void sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd); /* some file systems refuse it for folders; the rename itself is done */
        close(fd);
    }
}

sg_status sg_outfile_commit(sg_outfile *o, sg_error *err)
{
    sg_status st = SG_OK;
    bool bad = fflush(o->stream) != 0 || ferror(o->stream);
    bad |= fclose(o->stream) != 0;
    o->stream = NULL;
    int e = o->error;
    if (!bad && o->to_stdout) {
        if ((e = copy_to_stdout(o->fd)) != 0)
            st = sg_fail(err, SG_EIO, "standard output: %s", strerror(e));
        sg_outfile_abort(o);
        return st;
    }
    if (!bad && fsync(o->fd) != 0)
        bad = true, e = errno;
    /* renamed before it is closed: the lock keeps other writers from taking it for a leftover */
    if (bad)
        st = sg_fail(err, SG_EIO, "%s: cannot be written: %s", o->path, e ? strerror(e) : "write error");
    else if (rename(o->temp, o->target) != 0)
        st = sg_fail(err, SG_EIO, "%s: cannot be written: %s", o->path, strerror(errno));
    else {
        temporary_forget(o->temp);
        o->temp[0] = 0;
        sync_folder(o->folder);
    }
    sg_outfile_abort(o);
    return st;
}

void sg_outfile_abort(sg_outfile *o)
{
    if (!o)
        return;
    if (o->stream)
        fclose(o->stream);
    if (o->fd >= 0)
        close(o->fd);
    if (o->temp && o->temp[0])
        unlink(o->temp);
    if (o->temp)
        temporary_forget(o->temp);
    outfile_free(o);
}

sg_status sg_text_write(const char *path, const char *text, sg_error *err)
{
    sg_outfile *o;
    sg_status st = outfile_open_text(&o, path, err);
    if (st != SG_OK)
        return st;
    fputs(text, o->stream);
    return sg_outfile_commit(o, err);
}

sg_status sg_read_file(char **out, size_t *size, const char *path, size_t limit, sg_error *err)
{
    sg_status st = SG_OK;
    char *text = NULL;
    struct stat info;
    *out = NULL;
    FILE *f = fopen(path, "rb");
    if (!f)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    if (fstat(fileno(f), &info) != 0)
        TRY(sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno)));
    if (!S_ISREG(info.st_mode))
        TRY(sg_fail(err, SG_EFORMAT, "%s: is not a regular file", path));
    if ((uintmax_t)info.st_size > limit)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %jd bytes, at most %zu can be read", path, (intmax_t)info.st_size,
                    limit));
    size_t n = (size_t)info.st_size;
    NEED(text = sg_calloc(n + 1, 1), err, "%zu bytes (%s)", n, path);
    if (fread(text, 1, n, f) != n)
        TRY(sg_fail(err, SG_EIO, "%s: %s", path,
                    ferror(f) ? strerror(errno) : "became shorter while it was read"));
    *out = text;
    *size = n;
    text = NULL;
done:
    sg_free(text);
    fclose(f);
    return st;
}

struct sg_sha256 {
    struct sha256_ctx ctx;
};

sg_status sg_sha256_new(sg_sha256 **out, sg_error *err)
{
    if (!(*out = sg_calloc(1, sizeof **out)))
        return no_memory(err, "a checksum");
    sha256_init(&(*out)->ctx);
    return SG_OK;
}

void sg_sha256_add(sg_sha256 *h, const void *data, size_t n)
{
    sha256_update(&h->ctx, n, data);
}

void sg_sha256_hex(sg_sha256 *h, char hex[65])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(&h->ctx, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

void sg_sha256_free(sg_sha256 *h)
{
    sg_free(h);
}

sg_status sg_sha256_file(const char *path, char hex[65], sg_error *err)
{
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    FILE *f = fopen(path, "rb");
    if (!f)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    unsigned char block[16384];
    size_t n;
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        sha256_update(&ctx, n, block);
    bool bad = ferror(f) != 0;
    int e = errno;
    fclose(f);
    if (bad)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(e));
    struct sg_sha256 h = {ctx};
    sg_sha256_hex(&h, hex);
    return SG_OK;
}
