/* SPDX-License-Identifier: MIT */
#include "base/checksum.h"

#include "base/base_internal.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

enum { SUM_BYTES = 24 };
static const char magic[8] = "SGRUNSUM";

static void put_le(unsigned char *p, uint64_t x)
{
    for (int i = 0; i < 8; i++)
        p[i] = (unsigned char)(x >> 8 * i);
}

static uint64_t get_le(const unsigned char *p)
{
    uint64_t x = 0;
    for (int i = 0; i < 8; i++)
        x |= (uint64_t)p[i] << 8 * i;
    return x;
}

/* CRC-32 of the first length bytes of f; false: they cannot be read. */
static bool crc_of(FILE *f, uint64_t length, uint64_t *crc)
{
    unsigned char buffer[16384];
    uLong sum = crc32(0, NULL, 0);
    rewind(f);
    while (length) {
        size_t n = length < sizeof buffer ? (size_t)length : sizeof buffer;
        if (fread(buffer, 1, n, f) != n)
            return false;
        sum = crc32(sum, buffer, (uInt)n);
        length -= n;
    }
    *crc = sum;
    return true;
}

sg_status checksum_append(FILE *f, const char *path, sg_error *err)
{
    unsigned char sum[SUM_BYTES];
    uint64_t crc = 0;
    errno = 0;
    off_t length = fseeko(f, 0, SEEK_END) == 0 ? ftello(f) : -1;
    if (length < 0 || !crc_of(f, (uint64_t)length, &crc))
        return sg_fail(err, SG_EIO, "%s: cannot be read back: %s", path, strerror(errno));
    memcpy(sum, magic, sizeof magic);
    put_le(sum + 8, (uint64_t)length);
    put_le(sum + 16, crc);
    if (fseeko(f, length, SEEK_SET) != 0 || fwrite(sum, 1, sizeof sum, f) != sizeof sum)
        return sg_fail(err, SG_EIO, "%s: cannot be written: %s", path, strerror(errno));
    return SG_OK;
}

sg_status checksum_verify(const char *path, uint64_t *length, bool *found, sg_error *err)
{
    sg_status st = SG_OK;
    unsigned char sum[SUM_BYTES];
    uint64_t crc = 0;
    FILE *f = fopen(path, "rb");
    if (!f)
        return sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno));
    off_t size = fseeko(f, 0, SEEK_END) == 0 ? ftello(f) : -1;
    if (size < 0)
        TRY(sg_fail(err, SG_EIO, "%s: is not a regular file", path));
    *length = (uint64_t)size;
    *found = size >= SUM_BYTES && fseeko(f, size - SUM_BYTES, SEEK_SET) == 0 &&
             fread(sum, 1, SUM_BYTES, f) == SUM_BYTES && !memcmp(sum, magic, sizeof magic);
    if (!*found)
        goto done;
    *length = (uint64_t)size - SUM_BYTES;
    if (get_le(sum + 8) != *length)
        TRY(sg_fail(err, SG_EFORMAT, "%s: is damaged: %ju bytes, %ju were written", path, (uintmax_t)*length,
                    (uintmax_t)get_le(sum + 8)));
    if (!crc_of(f, *length, &crc))
        TRY(sg_fail(err, SG_EIO, "%s: cannot be read: %s", path, strerror(errno)));
    if (crc != get_le(sum + 16))
        TRY(sg_fail(err, SG_EFORMAT, "%s: is damaged: checksum %08jx, %08jx was written", path,
                    (uintmax_t)crc, (uintmax_t)get_le(sum + 16)));
done:
    fclose(f);
    return st;
}
