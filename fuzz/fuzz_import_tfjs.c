/* SPDX-License-Identifier: MIT */
#include "import_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_import(SG_FILE_TFJS, data, size);
    return 0;
}
