/* SPDX-License-Identifier: MIT */
/* Model files: what is accepted is finite, hashes, and is read as the same when written again. */
#include "round_trip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sg_model *m = NULL;
    sg_error err = {0};
    memory_file file = memory_file_of(data, size);
    sg_status st = sg_model_read(&m, file.path, &err);
    must(st == SG_OK ? m != NULL : !m && err.msg[0] && !strchr(err.msg, '\n'));
    if (m)
        model_round_trip(m);
    sg_model_free(m);
    memory_file_close(&file);
    return 0;
}
