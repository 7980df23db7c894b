/* SPDX-License-Identifier: MIT */
/* Temporary files without a name, and copies of what can be read only once. */
#include "corpus/corpus_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *temp_folder(void)
{
    const char *folder = getenv("TMPDIR");
    return folder && folder[0] ? folder : "/tmp";
}

sg_status temp_file_named(int *fd, char **name_out, sg_error *err)
{
    *name_out = NULL;
    const char *folder = temp_folder();
    size_t n = strlen(folder) + 32;
    char *name = sg_calloc(n, 1);
    if (!name)
        return no_memory(err, "the name of a temporary file");
    snprintf(name, n, "%s/stategrad.XXXXXX", folder);
    *fd = mkostemp(name, O_CLOEXEC);
    int e = errno;
    if (*fd < 0) {
        sg_free(name);
        return sg_fail(err, SG_EIO,
                       "%s: cannot make a temporary file there: %s (TMPDIR names another folder)", folder,
                       strerror(e));
    }
    *name_out = name;
    return SG_OK;
}

sg_status temp_file_open(int *fd, sg_error *err)
{
    char *name;
    sg_status st = temp_file_named(fd, &name, err);
    if (st == SG_OK)
        unlink(name);
    sg_free(name);
    return st;
}

sg_status temp_file_write(int fd, const void *data, size_t n, sg_error *err)
{
    const char *p = data;
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return sg_fail(err, SG_EIO,
                           "%s: the temporary file cannot be written: %s (TMPDIR names another folder)",
                           temp_folder(), k < 0 ? strerror(errno) : "nothing written");
        p += k;
        n -= (size_t)k;
    }
    return SG_OK;
}

typedef struct {
    char *path;
    int fd;
} spooled;

struct sg_spool {
    spooled *items;
    size_t n;
};

/* True for "-" and any other path whose bytes can be read only once. */
static bool is_once_only(const char *path)
{
    struct stat info;
    if (!strcmp(path, "-"))
        return true;
    return stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

static sg_status copy_all(int fd, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    enum { BLOCK = 1 << 16 };
    char *block = NULL;
    int in = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (in < 0)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    NEED(block = sg_calloc(BLOCK, 1), err, "%s", path);
    for (;;) {
        ssize_t k = read(in, block, BLOCK);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            TRY(sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno)));
        if (k == 0)
            break;
        TRY(temp_file_write(fd, block, (size_t)k, err));
    }
done:
    sg_free(block);
    if (in != STDIN_FILENO)
        close(in);
    return st;
}

sg_status sg_spool_new(sg_spool **out, const char *const *paths, size_t n_paths, sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    sg_spool *s = sg_calloc(1, sizeof *s);
    NEED(s && (s->items = sg_calloc(n_paths, sizeof *s->items)), err, "a copy of %zu files", n_paths);
    for (size_t i = 0; i < n_paths; i++) {
        if (!is_once_only(paths[i]))
            continue;
        if (spool_find(s, paths[i]) >= 0)
            TRY(sg_fail(err, SG_EINVAL, "%s: cannot be read twice, but is given twice", paths[i]));
        spooled *item = &s->items[s->n];
        NEED(item->path = sg_strdup(paths[i]), err, "%s", paths[i]);
        item->fd = -1;
        s->n++;
        TRY(temp_file_open(&item->fd, err));
        TRY(copy_all(item->fd, paths[i], err));
    }
    *out = s;
    s = NULL;
done:
    sg_spool_free(s);
    return st;
}

int spool_find(const sg_spool *s, const char *path)
{
    for (size_t i = 0; s && i < s->n; i++)
        if (!strcmp(s->items[i].path, path))
            return s->items[i].fd;
    return -1;
}

void sg_spool_free(sg_spool *s)
{
    if (!s)
        return;
    for (size_t i = 0; s->items && i < s->n; i++) {
        if (s->items[i].fd >= 0)
            close(s->items[i].fd);
        sg_free(s->items[i].path);
    }
    sg_free(s->items);
    sg_free(s);
}
