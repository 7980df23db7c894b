/* SPDX-License-Identifier: MIT */
/* zip.h - zip files through libzip: entries by name, read in rising order through a small buffer. */
#ifndef SG_IO_ZIP_H
#define SG_IO_ZIP_H

#include "stategrad/base.h"

typedef struct archive archive;
/* SG_EFORMAT: no zip, or one of too many entries. The path is borrowed. */
sg_status archive_open(archive **out, const char *path, sg_error *err);
void archive_close(archive *a);
size_t archive_count(const archive *a);
const char *archive_name(const archive *a, size_t entry); /* NULL: it has none */
int64_t archive_find(const archive *a, const char *name); /* -1: there is none */
/* Uncompressed size in bytes. */
sg_status archive_size(const archive *a, size_t entry, uint64_t *size, sg_error *err);
/* The whole entry in new memory. SG_EFORMAT: it unpacks to more than the file's size plus 8 MiB, or is
 * damaged. */
sg_status archive_read(archive *a, size_t entry, unsigned char **out, size_t *size, sg_error *err);
/* Bytes at .. at+n-1 of an entry; cheap when calls for one entry come with rising at. `what` names them in
 * messages. */
sg_status archive_fetch(archive *a, size_t entry, uint64_t at, void *bytes, size_t n, const char *what,
                        sg_error *err);

#endif
