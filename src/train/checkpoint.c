/* SPDX-License-Identifier: MIT */
#include "train/checkpoint.h"

#include "base/base_internal.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "SGTRAIN1";
enum { MAX_IDENTITY = 1 << 16, HEX = 64 };

typedef struct {
    FILE *f;
    sg_sha256 *hash;
} sink;

static void put(sink *s, const void *data, size_t n)
{
    fwrite(data, 1, n, s->f); /* errors are seen at commit */
    sg_sha256_add(s->hash, data, n);
}

static char *previous_path(const char *path)
{
    char *p = sg_calloc(strlen(path) + sizeof ".prev", 1);
    if (p)
        sprintf(p, "%s.prev", path);
    return p;
}

/* The file that is there becomes FILE.prev without ever being absent itself. */
static void keep_previous(const char *path, const char *previous)
{
    if (access(path, F_OK) != 0)
        return;
    unlink(previous);
    if (link(path, previous) != 0)
        /* a file system without links: FILE is away until the new one is renamed */
        (void)rename(path, previous);
}

sg_status sg_checkpoint_write(const char *path, const char *identity, const sg_train_numbers *numbers,
                              const sg_checkpoint_array *arrays, size_t n_arrays, sg_error *err)
{
    sg_status st = SG_OK;
    sg_outfile *o = NULL;
    sink s = {0};
    char hex[HEX + 1], *previous = previous_path(path);
    if (!previous)
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", path));
    TRY(sg_sha256_new(&s.hash, err));
    TRY(sg_outfile_open(&o, path, err));
    s.f = sg_outfile_stream(o);
    uint64_t length = strlen(identity);
    put(&s, magic, sizeof magic);
    put(&s, &length, sizeof length);
    put(&s, identity, length);
    put(&s, numbers, sizeof *numbers);
    for (size_t i = 0; i < n_arrays; i++) {
        uint64_t n = arrays[i].n;
        put(&s, &n, sizeof n);
        put(&s, arrays[i].data, arrays[i].n * sizeof *arrays[i].data);
    }
    sg_sha256_hex(s.hash, hex);
    fwrite(hex, 1, HEX, s.f);
    if (fflush(s.f) == 0)
        keep_previous(path, previous);
    st = sg_outfile_commit(o, err);
    o = NULL;
done:
    sg_outfile_abort(o);
    sg_sha256_free(s.hash);
    sg_free(previous);
    return st;
}

typedef struct {
    FILE *f;
    const char *path;
    uint64_t left; /* bytes before the digest */
} source;

static sg_status get(source *s, void *data, size_t n, sg_error *err)
{
    if (n > s->left || fread(data, 1, n, s->f) != n)
        return sg_fail(err, SG_EFORMAT, "%s: damaged checkpoint: cut short", s->path);
    s->left -= n;
    return SG_OK;
}

/* The digest at the end is that of the rest; leaves the file at its beginning. */
static sg_status verify(source *s, sg_error *err)
{
    sg_status st = SG_OK;
    sg_sha256 *hash = NULL;
    struct stat info;
    char hex[HEX + 1], found[HEX];
    unsigned char block[1 << 14];
    if (fstat(fileno(s->f), &info) != 0 || !S_ISREG(info.st_mode))
        TRY(sg_fail(err, SG_EFORMAT, "%s: is not a regular file", s->path));
    if (info.st_size < (off_t)(sizeof magic + HEX))
        TRY(sg_fail(err, SG_EFORMAT, "%s: damaged checkpoint: %lld bytes", s->path, (long long)info.st_size));
    s->left = (uint64_t)info.st_size - HEX;
    TRY(sg_sha256_new(&hash, err));
    for (uint64_t left = s->left; left;) {
        size_t n = left < sizeof block ? (size_t)left : sizeof block;
        if (fread(block, 1, n, s->f) != n)
            TRY(sg_fail(err, SG_EIO, "%s: cannot be read", s->path));
        sg_sha256_add(hash, block, n);
        left -= n;
    }
    sg_sha256_hex(hash, hex);
    if (fread(found, 1, HEX, s->f) != HEX || memcmp(found, hex, HEX) != 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: damaged checkpoint: its checksum does not fit its content",
                    s->path));
    rewind(s->f);
done:
    sg_sha256_free(hash);
    return st;
}

/* The first line in which two identities differ. */
static sg_status tell_difference(const char *path, const char *have, const char *want, sg_error *err)
{
    while (*have && *want) {
        size_t a = strcspn(have, "\n"), b = strcspn(want, "\n");
        if (a != b || memcmp(have, want, a) != 0)
            return sg_fail(err, SG_EINVAL, "%s: the checkpoint is of another run: %.*s there, %.*s now", path,
                           (int)a, have, (int)b, want);
        have += a + (have[a] == '\n');
        want += b + (want[b] == '\n');
    }
    return sg_fail(err, SG_EINVAL, "%s: the checkpoint is of another run", path);
}

/* *untouched: nothing was written to numbers and arrays. */
static sg_status read_one(const char *path, const char *identity, sg_train_numbers *numbers,
                          const sg_checkpoint_array *arrays, size_t n_arrays, bool *untouched, sg_error *err)
{
    sg_status st = SG_OK;
    char head[sizeof magic], *text = NULL;
    uint64_t length;
    source s = {fopen(path, "rb"), path, 0};
    *untouched = true;
    if (!s.f)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    TRY(verify(&s, err));
    TRY(get(&s, head, sizeof head, err));
    if (memcmp(head, magic, sizeof magic) != 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: is not a checkpoint of stategrad train", path));
    TRY(get(&s, &length, sizeof length, err));
    if (length > MAX_IDENTITY)
        TRY(sg_fail(err, SG_EFORMAT, "%s: damaged checkpoint: an identity of %llu bytes", path,
                    (unsigned long long)length));
    if (!(text = sg_calloc((size_t)length + 1, 1)))
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", path));
    TRY(get(&s, text, (size_t)length, err));
    if (strcmp(text, identity) != 0)
        TRY(tell_difference(path, text, identity, err));
    *untouched = false;
    TRY(get(&s, numbers, sizeof *numbers, err));
    for (size_t i = 0; i < n_arrays; i++) {
        TRY(get(&s, &length, sizeof length, err));
        if (length != arrays[i].n)
            TRY(sg_fail(err, SG_EFORMAT, "%s: damaged checkpoint: array %zu has %llu numbers, expected %zu",
                        path, i, (unsigned long long)length, arrays[i].n));
        TRY(get(&s, arrays[i].data, arrays[i].n * sizeof *arrays[i].data, err));
    }
    if (s.left)
        TRY(sg_fail(err, SG_EFORMAT, "%s: damaged checkpoint: %llu bytes too many", path,
                    (unsigned long long)s.left));
done:
    fclose(s.f);
    sg_free(text);
    return st;
}

/* What is there begins as a checkpoint does, as far as it goes: not a file of something else. */
static bool looks_like_one(const char *path)
{
    char head[sizeof magic];
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(head, 1, sizeof head, f) : 0;
    if (f)
        fclose(f);
    return f && memcmp(head, magic, n) == 0;
}

sg_status sg_checkpoint_read(const char *path, const char *identity, sg_train_numbers *numbers,
                             const sg_checkpoint_array *arrays, size_t n_arrays, bool *found,
                             const sg_monitor *monitor, sg_error *err)
{
    sg_status st = SG_OK;
    sg_error why, before;
    bool untouched = true;
    char *previous = previous_path(path);
    *found = false;
    if (!previous)
        TRY(sg_fail(err, SG_ENOMEM, "%s: no memory", path));
    bool there = access(path, F_OK) == 0, earlier = access(previous, F_OK) == 0;
    if (!there && !earlier)
        goto done;
    *found = true;
    st = there ? read_one(path, identity, numbers, arrays, n_arrays, &untouched, &why)
               : sg_fail(&why, SG_EFORMAT, "%s: is missing", path);
    if ((st == SG_EFORMAT || st == SG_EIO) && earlier) {
        st = read_one(previous, identity, numbers, arrays, n_arrays, &untouched, &before);
        if (st == SG_OK)
            sg_warn(monitor, "%s; going on from the one before, %s", why.msg, previous);
        else
            why = before;
    } else if (st == SG_EFORMAT && untouched && looks_like_one(path)) {
        sg_warn(monitor, "%s, and there is none before it: starting from the beginning", why.msg);
        *found = false;
        st = SG_OK;
    }
    if (st != SG_OK)
        sg_fail(err, st, "%s", why.msg);
done:
    sg_free(previous);
    return st;
}
