/* SPDX-License-Identifier: MIT */
/* Checkpoints of training: as they come (the checksum refuses nearly all) and with a checksum that fits, so
 * that what is behind it is reached. What is accepted is written again as the same bytes. */
#include "base/base_internal.h"
#include "base/checksum.h"
#include "memory_file.h"
#include "train/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_bytes(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    must(f && (!size || fwrite(data, size, 1, f) == 1) && fclose(f) == 0);
}

/* path: a file of `size` bytes, data. A descriptor's name in /proc would be refused: no output may stand
 * there. */
static void read_one(const char *path, const void *data, size_t size)
{
    float weights[5], states[3];
    const sg_checkpoint_array arrays[] = {{weights, 5}, {states, 3}};
    sg_train_numbers numbers;
    sg_error err = {0};
    bool found = false;
    sg_status st = train_checkpoint_read(path, "seed=1\n", &numbers, arrays, 2, &found, NULL, &err);
    must(found || st == SG_OK);
    must(st == SG_OK || (err.msg[0] && !strchr(err.msg, '\n')));
    if (!found || st != SG_OK)
        return;
    char copy[64], *text = NULL;
    size_t n;
    snprintf(copy, sizeof copy, "%s2", path);
    must(train_checkpoint_write(copy, "seed=1\n", &numbers, arrays, 2, &err) == SG_OK);
    must(sg_read_file(&text, &n, copy, 1 << 20, &err) == SG_OK);
    must(n == size && !memcmp(text, data, n));
    sg_free(text);
    unlink(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char folder[] = "/tmp/sg_fuzz_XXXXXX", path[64], *text = NULL;
    size_t n = 0;
    must(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/c", folder);
    write_bytes(path, data, size);
    read_one(path, data, size);
    FILE *f = fopen(path, "r+b");
    must(f && fseek(f, 0, SEEK_END) == 0 && checksum_append(f, path, NULL) == SG_OK);
    must(fclose(f) == 0 && sg_read_file(&text, &n, path, 1 << 24, NULL) == SG_OK);
    read_one(path, text, n);
    sg_free(text);
    unlink(path);
    rmdir(folder);
    return 0;
}
