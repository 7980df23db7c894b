/* Model files: what is accepted is finite, hashes, and is read as the same when written again. */
#include "base/base_internal.h"
#include "memory_file.h"
#include "stategrad/lm.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_model(const sg_model *m)
{
    char folder[] = "/tmp/sg_fuzz_XXXXXX", path[64], before[65], after[65];
    sg_error err = {0};
    sg_model *again = NULL;
    for (size_t i = 0; i < sg_model_tensors(m); i++) {
        const sg_tensor *t = sg_model_tensor(m, i);
        for (size_t k = 0; k < t->rows * t->cols; k++)
            must(isfinite(t->data[k]));
    }
    must(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/m", folder);
    must(sg_model_write(m, path, &err) == SG_OK && sg_model_read(&again, path, &err) == SG_OK);
    must(sg_model_sha256(m, before) == SG_OK && sg_model_sha256(again, after) == SG_OK &&
         !strcmp(before, after));
    sg_model_free(again);
    unlink(path);
    rmdir(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sg_model *m = NULL;
    sg_error err = {0};
    memory_file file = memory_file_of(data, size);
    sg_status st = sg_model_read(&m, file.path, &err);
    must(st == SG_OK ? m != NULL : !m && err.msg[0] && !strchr(err.msg, '\n'));
    if (m)
        check_model(m);
    sg_model_free(m);
    memory_file_close(&file);
    return 0;
}
