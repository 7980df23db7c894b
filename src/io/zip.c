/* SPDX-License-Identifier: MIT */
/* libzip, with checks on what a file may make it do. */
#include "io/zip.h"

#include "base/base_internal.h"
#include "io/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

enum { MAX_ENTRIES = 1 << 16, TAIL = (1 << 16) + 128, GROWTH = 1 << 23 };

struct archive {
    zip_t *zip;
    const char *path;
    uint64_t file_size;
    zip_file_t *open; /* the entry that is being read */
    size_t open_entry;
    uint64_t open_at;
};

void archive_close(archive *a)
{
    if (!a)
        return;
    if (a->open)
        zip_fclose(a->open);
    if (a->zip)
        zip_discard(a->zip);
    sg_free(a);
}

static sg_status failed(const archive *a, const char *what, sg_error *err)
{
    return sg_fail(err, SG_EFORMAT, "%s: %s: %s", a->path, what, zip_strerror(a->zip));
}

/* The number of entries in the zip's last record: known before libzip makes a table of them. */
static sg_status check_entries(archive *a, sg_error *err)
{
    sg_status st;
    int fd = -1;
    unsigned char *tail = NULL;
    TRY(file_open(&fd, &a->file_size, a->path, err));
    size_t n = a->file_size < TAIL ? (size_t)a->file_size : TAIL;
    NEED(tail = sg_calloc(n + 1, 1), err, "%s", a->path);
    TRY(file_pread(fd, a->file_size, a->file_size - n, tail, n, a->path, err));
    for (size_t i = 0; i + 40 <= n; i++) /* end of central directory, 64 bit */
        if (!memcmp(tail + i, "PK\6\6", 4)) {
            uint64_t entries = 0;
            for (size_t k = 8; k > 0; k--)
                entries = entries << 8 | tail[i + 31 + k];
            if (entries > MAX_ENTRIES)
                TRY(sg_fail(err, SG_EFORMAT, "%s: a zip of %llu entries, at most %d are read", a->path,
                            (unsigned long long)entries, MAX_ENTRIES));
        }
done:
    if (fd >= 0)
        close(fd);
    sg_free(tail);
    return st;
}

sg_status archive_open(archive **out, const char *path, sg_error *err)
{
    sg_status st;
    int code = 0;
    *out = NULL;
    archive *a = sg_calloc(1, sizeof *a);
    if (!a)
        return no_memory(err, "%s", path);
    a->path = path;
    TRY(check_entries(a, err));
    if (!(a->zip = zip_open(path, ZIP_RDONLY, &code))) {
        zip_error_t e;
        zip_error_init_with_code(&e, code);
        if (code == ZIP_ER_NOZIP)
            st = sg_fail(err, SG_EFORMAT,
                         "%s: a zip whose list of entries, at its end, is missing (truncated?)", path);
        else
            st = sg_fail(err, code == ZIP_ER_MEMORY ? SG_ENOMEM : SG_EFORMAT, "%s: %s", path,
                         zip_error_strerror(&e));
        zip_error_fini(&e);
        goto done;
    }
    *out = a;
    a = NULL;
done:
    archive_close(a);
    return st;
}

size_t archive_count(const archive *a)
{
    zip_int64_t n = zip_get_num_entries(a->zip, 0);
    return n > 0 ? (size_t)n : 0;
}

const char *archive_name(const archive *a, size_t entry)
{
    return zip_get_name(a->zip, entry, ZIP_FL_ENC_RAW);
}

int64_t archive_find(const archive *a, const char *name)
{
    return zip_name_locate(a->zip, name, ZIP_FL_ENC_RAW);
}

sg_status archive_size(const archive *a, size_t entry, uint64_t *size, sg_error *err)
{
    zip_stat_t info;
    if (zip_stat_index(a->zip, entry, 0, &info) != 0 || !(info.valid & ZIP_STAT_SIZE))
        return failed(a, "an entry", err);
    *size = info.size;
    return SG_OK;
}

sg_status archive_fetch(archive *a, size_t entry, uint64_t at, void *bytes, size_t n, const char *what,
                        sg_error *err)
{
    char scratch[4096];
    if (!a->open || a->open_entry != entry || at < a->open_at) {
        if (a->open)
            zip_fclose(a->open);
        a->open_at = 0;
        a->open_entry = entry;
        if (!(a->open = zip_fopen_index(a->zip, entry, 0)))
            return failed(a, what, err);
    }
    while (a->open_at < at + n) {
        bool skip = a->open_at < at;
        uint64_t want = skip ? at - a->open_at : at + n - a->open_at;
        if (skip && want > sizeof scratch)
            want = sizeof scratch;
        zip_int64_t got = zip_fread(a->open, skip ? scratch : (char *)bytes + (a->open_at - at), want);
        if (got <= 0)
            return sg_fail(err, SG_EFORMAT, "%s: %s: %s", a->path, what,
                           got < 0 ? zip_file_strerror(a->open) : "is shorter than its size in the zip");
        a->open_at += (uint64_t)got;
    }
    return SG_OK;
}

sg_status archive_read(archive *a, size_t entry, unsigned char **out, size_t *size, sg_error *err)
{
    sg_status st;
    uint64_t bytes;
    const char *name = archive_name(a, entry);
    unsigned char *data = NULL;
    *out = NULL;
    TRY(archive_size(a, entry, &bytes, err));
    if (bytes > a->file_size + GROWTH)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %s unpacks to %llu bytes from a file of %llu (a zip bomb?)",
                    a->path, name ? name : "an entry", (unsigned long long)bytes,
                    (unsigned long long)a->file_size));
    NEED(data = sg_calloc((size_t)bytes + 1, 1), err, "%llu bytes (%s)", (unsigned long long)bytes, a->path);
    TRY(archive_fetch(a, entry, 0, data, (size_t)bytes, name ? name : "an entry", err));
    *out = data;
    *size = (size_t)bytes;
    data = NULL;
done:
    sg_free(data);
    return st;
}
