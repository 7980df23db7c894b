/* SPDX-License-Identifier: MIT */
#include "train/checkpoint.h"

#include "base/base_internal.h"
#include "base/checkpoint.h"

typedef struct {
    sg_train_numbers *numbers;
    const sg_checkpoint_array *arrays;
    size_t n_arrays;
} contents;

static sg_status put(void *ctx, FILE *f, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    const contents *c = ctx;
    TRY(checkpoint_put(f, c->numbers, sizeof *c->numbers, path, err));
    for (size_t i = 0; i < c->n_arrays; i++) {
        uint64_t n = c->arrays[i].n;
        TRY(checkpoint_put(f, &n, sizeof n, path, err));
        TRY(checkpoint_put(f, c->arrays[i].data, c->arrays[i].n * sizeof(float), path, err));
    }
done:
    return st;
}

static sg_status get(void *ctx, FILE *f, const char *path, sg_error *err)
{
    sg_status st = SG_OK;
    const contents *c = ctx;
    uint64_t n;
    TRY(checkpoint_get(f, c->numbers, sizeof *c->numbers, path, err));
    for (size_t i = 0; i < c->n_arrays; i++) {
        TRY(checkpoint_get(f, &n, sizeof n, path, err));
        if (n != c->arrays[i].n)
            TRY(sg_fail(err, SG_EFORMAT, "%s: damaged checkpoint: array %zu has %ju numbers, expected %zu",
                        path, i, (uintmax_t)n, c->arrays[i].n));
        TRY(checkpoint_get(f, c->arrays[i].data, c->arrays[i].n * sizeof(float), path, err));
    }
done:
    return st;
}

sg_status train_checkpoint_write(const char *path, const char *identity, const sg_train_numbers *numbers,
                                 const sg_checkpoint_array *arrays, size_t n_arrays, sg_error *err)
{
    sg_train_numbers now = *numbers;
    contents c = {&now, arrays, n_arrays};
    return checkpoint_save(path, identity, put, &c, err);
}

sg_status train_checkpoint_read(const char *path, const char *identity, sg_train_numbers *numbers,
                                const sg_checkpoint_array *arrays, size_t n_arrays, bool *found,
                                const sg_monitor *monitor, sg_error *err)
{
    contents c = {numbers, arrays, n_arrays};
    return checkpoint_load(path, identity, get, &c, NULL, found, monitor, err);
}
