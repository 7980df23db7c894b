/* What every target of a model format does with its input: look at it, describe it, load it, and hold the
 * result to what was promised (a model whose numbers are all finite and which writes and reads back the same,
 * or an error). */
#ifndef FUZZ_IMPORT_TARGET_H
#define FUZZ_IMPORT_TARGET_H

#include "memory_file.h"

#include "stategrad/import.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Only inputs that open as `kind` are worth the time of this target. */
static void fuzz_import(sg_file_kind kind, const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    memory_file file = memory_file_of(data, size);
    const char *path = kind == SG_FILE_KERAS ? real_file(data, size) : file.path;
    sg_error err = {""};
    sg_file_kind found;
    sg_model *m = NULL;
    sg_import_config cfg;
    static const char *const maps[] = {"rnn.kernel_l0=kernel", "rnn.bias_l0=bias"};
    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    if (sg_file_kind_of(&found, path, &err) == SG_OK && found == kind) {
        sg_import_defaults(&cfg);
        cfg.numbered_vocabulary = true;
        if (kind == SG_FILE_NPZ || kind == SG_FILE_NPY) {
            cfg.maps = maps;
            cfg.n_maps = kind == SG_FILE_NPZ ? 2 : 0;
        }
        (void)sg_import_describe(nowhere, path, &cfg, size & 1, &err);
        err.msg[0] = 0;
        sg_status st = sg_model_load(&m, path, &cfg, NULL, &err);
        if ((st == SG_OK) != (m != NULL) || (st != SG_OK && !err.msg[0]) || strchr(err.msg, '\n'))
            abort();
        for (size_t i = 0; m && i < sg_model_tensors(m); i++) {
            const sg_tensor *t = sg_model_tensor(m, i);
            for (size_t k = 0; k < t->rows * t->cols; k++)
                if (!isfinite(t->data[k]))
                    abort();
        }
        sg_model_free(m);
    }
    memory_file_close(&file);
}

#endif
