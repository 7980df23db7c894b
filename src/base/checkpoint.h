/* SPDX-License-Identifier: MIT */
/* checkpoint.h - the frame of every checkpoint, of training and of analysis:
 *
 *   "SGCHECKP" | n, 8 bytes | identity, n bytes | body | checksum (checksum.h)
 *
 * The identity is text in "name=value\n" lines: all that must be the same for the work to go on where it
 * stopped. If FILE is a symbolic link, all this is in the folder of its target. A checkpoint is written to a
 * temporary file and renamed over FILE; the one before is kept as FILE.previous, and used if FILE is missing
 * or damaged. The body is the caller's, in the byte order of the machine. */
#ifndef SG_BASE_CHECKPOINT_H
#define SG_BASE_CHECKPOINT_H

#include "stategrad/base.h"

#include <stdio.h>

/* While it is held, no other process, and no other work of this one, has this checkpoint: FILE.lock is
 * locked, which is removed in the end. SG_EIO: another has it. SG_EFORMAT: FILE, FILE.previous or
 * FILE.lock is there and is no checkpoint of this program (or its first bytes are damaged): it is neither
 * overwritten nor removed. */
typedef struct checkpoint_claim checkpoint_claim;
sg_status checkpoint_claim_new(checkpoint_claim **out, const char *path, sg_error *err);
void checkpoint_claim_free(checkpoint_claim *c); /* NULL is fine */

typedef sg_status checkpoint_body(void *ctx, FILE *f, const char *path, sg_error *err);

/* Atomically: FILE is the old checkpoint or the new one. */
sg_status checkpoint_save(const char *path, const char *identity, checkpoint_body *put, void *ctx,
                          sg_error *err);
/* get reads the body; it may be called a second time, for FILE.previous.
 * *found false: there is no checkpoint, or only a damaged one of which get has read nothing (warned): the
 * work begins anew. SG_EFORMAT: damaged, or no checkpoint; SG_EINVAL: of other work, the difference is named.
 * rest: *rest is the file after what get has read, the caller's to close, NULL if there is none; rest NULL:
 * get must have read the whole body. */
sg_status checkpoint_load(const char *path, const char *identity, checkpoint_body *get, void *ctx,
                          FILE **rest, bool *found, const sg_monitor *monitor, sg_error *err);
/* Removes FILE and FILE.previous. */
void checkpoint_remove(const char *path);

/* Pieces of a body: n bytes. SG_EFORMAT: the file ends before. */
sg_status checkpoint_put(FILE *f, const void *x, size_t n, const char *path, sg_error *err);
sg_status checkpoint_get(FILE *f, void *x, size_t n, const char *path, sg_error *err);

#endif
