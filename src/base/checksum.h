/* SPDX-License-Identifier: MIT */
/* checksum.h - 24 bytes at the end of run files and checkpoints: "SGRUNSUM", the length of what is before
 * them, its CRC-32; little-endian. */
#ifndef SG_BASE_CHECKSUM_H
#define SG_BASE_CHECKSUM_H

#include "stategrad/base.h"

#include <stdio.h>

/* f: open for reading and writing; the checksum is appended. */
sg_status checksum_append(FILE *f, const char *path, sg_error *err);
/* *length: bytes before the checksum. *found false: the file has none, and *length is its size.
 * SG_EFORMAT: the checksum does not fit the file. */
sg_status checksum_verify(const char *path, uint64_t *length, bool *found, sg_error *err);

#endif
