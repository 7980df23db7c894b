/* SPDX-License-Identifier: MIT */
/* What every target of a model format does with its input: look at it, describe it, load it, and hold the
 * result to what was promised: an error, or a model whose numbers are all finite and which, written as a
 * model file and read again, has the same shape, words and tensors to the bit. */
#ifndef FUZZ_IMPORT_TARGET_H
#define FUZZ_IMPORT_TARGET_H

#include "round_trip.h"

#include "stategrad/import.h"

static bool swallow(void *ctx, const char *text, size_t n)
{
    (void)ctx;
    return text || !n;
}

/* Only inputs that open as `kind` are worth the time of this target. */
static void fuzz_import(sg_file_format kind, const uint8_t *data, size_t size)
{
    const sg_writer nowhere = {.write = swallow};
    memory_file file = memory_file_of(data, size);
    const char *path = kind == SG_FILE_KERAS ? real_file(data, size) : file.path;
    sg_error err = {""};
    sg_file_format found;
    sg_model *m = NULL;
    sg_import_config cfg;
    static const char *const maps[] = {"rnn.kernel_l0=kernel", "rnn.bias_l0=bias"};
    if (sg_file_format_of(&found, path, &err) == SG_OK && found == kind) {
        sg_import_defaults(&cfg);
        cfg.numbered_vocabulary = true;
        if (kind == SG_FILE_NPZ || kind == SG_FILE_NPY) {
            cfg.maps = maps;
            cfg.n_maps = kind == SG_FILE_NPZ ? 2 : 0;
        }
        (void)sg_import_describe(&nowhere, path, &cfg, size & 1, &err);
        err.msg[0] = 0;
        sg_status st = sg_model_load(&m, path, &cfg, NULL, &err);
        must((st == SG_OK) == (m != NULL) && (st == SG_OK || err.msg[0]) && !strchr(err.msg, '\n'));
        if (m)
            model_round_trip(m);
        sg_model_free(m);
    }
    memory_file_close(&file);
}

#endif
