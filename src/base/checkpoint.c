/* SPDX-License-Identifier: MIT */
#include "base/checkpoint.h"

#include "base/base_internal.h"
#include "base/checksum.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "SGCHECKP";
enum { MAX_IDENTITY = 1 << 20 };

static char *companion_path(const char *path, const char *suffix)
{
    size_t n = strlen(path) + strlen(suffix) + 1;
    char *p = sg_calloc(n, 1);
    if (p)
        snprintf(p, n, "%s%s", path, suffix);
    return p;
}

static char *previous_of(const char *path)
{
    return companion_path(path, ".previous");
}

void checkpoint_remove(const char *path)
{
    char *file = NULL, *previous = NULL;
    if (outfile_target(&file, path, NULL) == SG_OK && (previous = previous_of(file))) {
        unlink(file);
        unlink(previous);
    }
    sg_free(file);
    sg_free(previous);
}

/* ---- claims ---- */

struct checkpoint_claim {
    char *lock; /* FILE.lock */
    int fd;
};

typedef enum { ABSENT, OURS, FOREIGN } kind;

/* An empty file is nobody's. */
static kind kind_of(const char *path)
{
    char head[sizeof magic];
    struct stat info;
    if (lstat(path, &info) != 0)
        return ABSENT;
    FILE *f = S_ISREG(info.st_mode) ? fopen(path, "rb") : NULL;
    if (!f)
        return FOREIGN;
    size_t n = fread(head, 1, sizeof head, f);
    fclose(f);
    return n && (n < sizeof head || memcmp(head, magic, n) != 0) ? FOREIGN : OURS;
}

static sg_status refuse_foreign(const char *file, const char *previous, sg_error *err)
{
    kind now = kind_of(file), before = kind_of(previous);
    /* one of ours before it shows that FILE is ours, and damaged */
    bool foreign = now == FOREIGN && before != OURS;
    if (!foreign && before != FOREIGN)
        return SG_OK;
    return sg_fail(err, SG_EFORMAT,
                   "%s: is not a checkpoint of this program, or a damaged one; it is not changed",
                   foreign ? file : previous);
}

/* The lock of a file that still has its name: who held it before may have removed it. */
static sg_status take_lock(checkpoint_claim *c, const char *path, sg_error *err)
{
    struct stat mine, named;
    for (int tries = 0; tries < 100; tries++) {
        c->fd = open(c->lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
        if (c->fd < 0 || fstat(c->fd, &mine) != 0)
            return sg_fail(err, SG_EIO, "%s: cannot be written: %s", c->lock, strerror(errno));
        if (!S_ISREG(mine.st_mode) || mine.st_size)
            return sg_fail(err, SG_EFORMAT, "%s: is not a lock of this program; it is not changed", c->lock);
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fcntl(c->fd, F_OFD_SETLK, &lock) != 0)
            return sg_fail(err, SG_EIO, "%s: another run of stategrad is using this checkpoint", path);
        if (lstat(c->lock, &named) == 0 && named.st_ino == mine.st_ino && named.st_dev == mine.st_dev)
            return SG_OK;
        close(c->fd);
        c->fd = -1;
    }
    return sg_fail(err, SG_EIO, "%s: cannot be locked", c->lock);
}

sg_status checkpoint_claim_new(checkpoint_claim **out, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    char *file = NULL, *previous = NULL;
    *out = NULL;
    checkpoint_claim *c = sg_calloc(1, sizeof *c);
    if (!c)
        return no_memory(err, "%s", path);
    c->fd = -1;
    TRY(outfile_target(&file, path, err));
    NEED(previous = previous_of(file), err, "the name of %s", path);
    NEED(c->lock = companion_path(file, ".lock"), err, "the name of %s", path);
    TRY(take_lock(c, path, err));
    if (!temporary_remember(c->lock))
        TRY(sg_fail(err, SG_EIO, "%s: too many output files at once", path));
    TRY(refuse_foreign(file, previous, err));
    outfile_clear(file); /* the work may end without another checkpoint */
    *out = c;
    c = NULL;
done:
    checkpoint_claim_free(c);
    sg_free(file);
    sg_free(previous);
    return st;
}

void checkpoint_claim_free(checkpoint_claim *c)
{
    if (!c)
        return;
    struct stat info;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    /* only who has the lock removes it; where that failed, taking it fails again */
    if (c->fd >= 0 && fstat(c->fd, &info) == 0 && S_ISREG(info.st_mode) && !info.st_size &&
        fcntl(c->fd, F_OFD_SETLK, &lock) == 0)
        unlink(c->lock);
    if (c->lock)
        temporary_forget(c->lock);
    if (c->fd >= 0)
        close(c->fd);
    sg_free(c->lock);
    sg_free(c);
}

sg_status checkpoint_put(FILE *f, const void *x, size_t n, const char *path, sg_error *err)
{
    if (n && fwrite(x, n, 1, f) != 1)
        return sg_fail(err, SG_EIO, "%s: cannot be written: %s", path, strerror(errno));
    return SG_OK;
}

sg_status checkpoint_get(FILE *f, void *x, size_t n, const char *path, sg_error *err)
{
    if (n && fread(x, n, 1, f) != 1)
        return sg_fail(err, SG_EFORMAT, "%s: damaged checkpoint: ends too early", path);
    return SG_OK;
}

/* FILE becomes FILE.previous without ever being absent itself. */
static void keep_previous(const char *path, const char *previous)
{
    if (access(path, F_OK) != 0)
        return;
    unlink(previous);
    if (link(path, previous) != 0)
        /* a file system without links: FILE is away until the new one is renamed */
        (void)rename(path, previous);
}

sg_status checkpoint_save(const char *path, const char *identity, checkpoint_body *put, void *ctx,
                          sg_error *err)
{
    sg_status st = SG_OK;
    sg_outfile *o = NULL;
    uint64_t length = strlen(identity);
    char *previous = NULL, *file = NULL;
    TRY(outfile_target(&file, path, err));
    NEED(previous = previous_of(file), err, "the name of %s", path);
    TRY(sg_outfile_open(&o, path, err));
    FILE *f = sg_outfile_stream(o);
    TRY(checkpoint_put(f, magic, sizeof magic, path, err));
    TRY(checkpoint_put(f, &length, sizeof length, path, err));
    TRY(checkpoint_put(f, identity, length, path, err));
    TRY(put(ctx, f, path, err));
    TRY(checksum_append(f, path, err));
    if (fflush(f) == 0)
        keep_previous(file, previous);
    st = sg_outfile_commit(o, err);
    o = NULL;
done:
    sg_outfile_abort(o);
    sg_free(file);
    sg_free(previous);
    return st;
}

/* The first line in which two identities differ. */
static sg_status report_difference(const char *path, const char *have, const char *want, sg_error *err)
{
    while (*have && *want) {
        size_t a = strcspn(have, "\n"), b = strcspn(want, "\n");
        if (a != b || memcmp(have, want, a) != 0)
            return sg_fail(err, SG_EINVAL, "%s: the checkpoint belongs to another run: %.*s there, %.*s now",
                           path, (int)a, have, (int)b, want);
        have += a + (have[a] == '\n');
        want += b + (want[b] == '\n');
    }
    return sg_fail(err, SG_EINVAL, "%s: the checkpoint belongs to another run", path);
}

typedef struct {
    const char *identity;
    checkpoint_body *get;
    void *ctx;
    FILE **rest;
    bool begun; /* get was called */
} reading;

static sg_status check_head(const reading *r, FILE *f, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    char head[sizeof magic], *text = NULL;
    uint64_t length;
    TRY(checkpoint_get(f, head, sizeof head, path, err));
    if (memcmp(head, magic, sizeof magic) != 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: is not a checkpoint", path));
    TRY(checkpoint_get(f, &length, sizeof length, path, err));
    if (length > MAX_IDENTITY)
        TRY(sg_fail(err, SG_EFORMAT, "%s: damaged checkpoint: an identity of %ju bytes", path,
                    (uintmax_t)length));
    NEED(text = sg_calloc((size_t)length + 1, 1), err, "the identity in %s", path);
    TRY(checkpoint_get(f, text, (size_t)length, path, err));
    if (strcmp(text, r->identity) != 0)
        TRY(report_difference(path, text, r->identity, err));
done:
    sg_free(text);
    return st;
}

static sg_status read_one(reading *r, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    uint64_t length = 0;
    bool sum = false;
    struct stat info;
    FILE *f = NULL;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return sg_fail(err, SG_EIO, "%s: is not a regular file", path);
    TRY(checksum_verify(path, &length, &sum, err));
    if (!sum)
        TRY(sg_fail(err, SG_EFORMAT, "%s: is damaged: the checksum at its end is missing", path));
    if (!(f = fopen(path, "rb")))
        TRY(sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno)));
    TRY(check_head(r, f, path, err));
    r->begun = true;
    TRY(r->get(r->ctx, f, path, err));
    if (!r->rest && (uint64_t)ftello(f) != length)
        TRY(sg_fail(err, SG_EFORMAT, "%s: damaged checkpoint: its contents do not fit its length", path));
    if (r->rest) {
        *r->rest = f;
        f = NULL;
    }
done:
    if (f)
        fclose(f);
    return st;
}

/* The file's bytes, however few, begin as those of a checkpoint: it is not another kind of file. */
static bool looks_like_one(const char *path)
{
    char head[sizeof magic];
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(head, 1, sizeof head, f) : 0;
    if (f)
        fclose(f);
    return f && memcmp(head, magic, n) == 0;
}

sg_status checkpoint_load(const char *path, const char *identity, checkpoint_body *get, void *ctx,
                          FILE **rest, bool *found, const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    sg_error why = {""}, before;
    reading r = {identity, get, ctx, rest, false};
    char *previous = NULL, *file = NULL;
    *found = false;
    if (rest)
        *rest = NULL;
    TRY(outfile_target(&file, path, err));
    NEED(previous = previous_of(file), err, "the name of %s", path);
    bool there = access(path, F_OK) == 0, earlier = access(previous, F_OK) == 0;
    if (!there && !earlier)
        goto done;
    *found = true;
    st = there ? read_one(&r, path, &why) : sg_fail(&why, SG_EFORMAT, "%s: is missing", path);
    if ((st == SG_EFORMAT || st == SG_EIO) && earlier) {
        st = read_one(&r, previous, &before);
        if (st == SG_OK)
            sg_warn(monitor, "%s; continuing from its predecessor, %s", why.msg, previous);
        else
            why = before;
    } else if (st == SG_EFORMAT && !r.begun && looks_like_one(path)) {
        sg_warn(monitor, "%s, and it has no predecessor: starting from the beginning", why.msg);
        *found = false;
        st = SG_OK;
    }
    if (st != SG_OK)
        sg_fail(err, st, "%s", why.msg);
done:
    sg_free(file);
    sg_free(previous);
    return st;
}
