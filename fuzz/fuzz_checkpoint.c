/* SPDX-License-Identifier: MIT */
/* Checkpoints of training: as they come (the checksum refuses nearly all) and with a checksum that fits, so
 * that what is behind it is reached. What is accepted is written again as the same bytes. */
#include "base/base_internal.h"
#include "memory_file.h"
#include "train/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_one(const void *data, size_t size)
{
    float weights[5], states[3];
    const sg_checkpoint_array arrays[] = {{weights, 5}, {states, 3}};
    sg_train_numbers numbers;
    sg_error err = {0};
    bool found = false;
    memory_file file = memory_file_of(data, size);
    sg_status st = sg_checkpoint_read(file.path, "seed=1\n", &numbers, arrays, 2, &found, NULL, &err);
    must(found || st == SG_OK);
    must(st == SG_OK || (err.msg[0] && !strchr(err.msg, '\n')));
    if (found && st == SG_OK) {
        char folder[] = "/tmp/sg_fuzz_XXXXXX", path[64], *text;
        size_t n;
        must(mkdtemp(folder) != NULL);
        snprintf(path, sizeof path, "%s/c", folder);
        must(sg_checkpoint_write(path, "seed=1\n", &numbers, arrays, 2, &err) == SG_OK);
        must(sg_read_file(&text, &n, path, 1 << 20, &err) == SG_OK);
        must(n == size && !memcmp(text, data, n));
        sg_free(text);
        unlink(path);
        rmdir(folder);
    }
    memory_file_close(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sg_sha256 *hash = NULL;
    read_one(data, size);
    char *signed_data = malloc(size + 65);
    must(signed_data && sg_sha256_new(&hash, NULL) == SG_OK);
    memcpy(signed_data, data, size);
    sg_sha256_add(hash, data, size);
    sg_sha256_hex(hash, signed_data + size);
    read_one(signed_data, size + 64);
    sg_sha256_free(hash);
    free(signed_data);
    return 0;
}
