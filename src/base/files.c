/* Output files that appear whole or not at all, whole-file reads, SHA-256. */
#include "base_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct sg_outfile {
    char *path, *temp, *folder;
    FILE *stream;
};

static void outfile_free(sg_outfile *o)
{
    if (!o)
        return;
    sg_free(o->path);
    sg_free(o->temp);
    sg_free(o->folder);
    sg_free(o);
}

sg_status sg_outfile_open(sg_outfile **out, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    int fd = -1;
    struct stat old;
    const char *slash = strrchr(path, '/');
    size_t folder_length = slash ? (size_t)(slash - path) : 0;
    if (stat(path, &old) == 0 && !S_ISREG(old.st_mode))
        return sg_fail(err, SG_EIO, "%s: is not a regular file, cannot be replaced", path);
    sg_outfile *o = sg_calloc(1, sizeof *o);
    static const char suffix[] = ".XXXXXX";
    if (!o || !(o->path = sg_strdup(path)) ||
        !(o->folder = slash ? sg_strndup(folder_length ? path : "/", folder_length ? folder_length : 1)
                            : sg_strdup(".")) ||
        !(o->temp = sg_calloc(strlen(path) + 64, 1)))
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", path));
    /* A short name of its own: a 255-byte name has no room for a suffix. */
    snprintf(o->temp, strlen(path) + 64, "%s/.stategrad%s", o->folder, suffix);
    if ((fd = mkstemp(o->temp)) < 0) {
        int e = errno;
        o->temp[0] = 0;
        TRY(sg_fail(err, SG_EIO, "%s: cannot be written: %s", path, strerror(e)));
    }
    mode_t mask = umask(0);
    umask(mask);
    if (fchmod(fd, 0666 & ~mask) != 0 || !(o->stream = fdopen(fd, "w+b")))
        TRY(sg_fail(err, SG_EIO, "%s: cannot be written: %s", path, strerror(errno)));
    fd = -1;
    *out = o;
    o = NULL;
done:
    if (fd >= 0)
        close(fd);
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
    bool bad = ferror(o->stream) != 0;
    errno = 0;
    bad |= fflush(o->stream) != 0;
    bad |= fsync(fileno(o->stream)) != 0;
    int e = errno;
    if (fclose(o->stream) != 0 && !bad) {
        bad = true;
        e = errno;
    }
    o->stream = NULL;
    if (bad)
        st = sg_fail(err, SG_EIO, "%s: cannot be written: %s", o->path, e ? strerror(e) : "write error");
    else if (rename(o->temp, o->path) != 0)
        st = sg_fail(err, SG_EIO, "%s: cannot be written: %s", o->path, strerror(errno));
    else {
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
    if (o->temp && o->temp[0])
        unlink(o->temp);
    outfile_free(o);
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
        TRY(sg_fail(err, SG_EFORMAT, "%s: %jd bytes, at most %zu can be read", path, (intmax_t)info.st_size, limit));
    size_t n = (size_t)info.st_size;
    if (!(text = sg_calloc(n + 1, 1)))
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory for %zu bytes", path, n));
    if (fread(text, 1, n, f) != n)
        TRY(sg_fail(err, SG_EIO, "%s: %s", path, ferror(f) ? strerror(errno) : "became shorter while it was read"));
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
        return sg_fail(err, SG_ENOMEM, "sha256: no memory");
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
