/* SPDX-License-Identifier: MIT */
/* Word vectors, text and binary: no row of the embeddings becomes anything but finite, and words not found
 * stay. */
#include "base/base_internal.h"
#include "memory_file.h"
#include "train/word2vec.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const words[] = {"a", "b", "the"};
    float rows[3 * 2] = {7, 7, 7, 7, 7, 7};
    size_t found = 99;
    sg_vocab *v = NULL;
    sg_error err = {0};
    must(sg_vocab_from_words(&v, words, NULL, 3, &err) == SG_OK);
    memory_file file = memory_file_of(data, size);
    sg_status st = word2vec_read(file.path, v, 2, rows, &found, NULL, &err);
    must(st == SG_OK ? found <= 3 : found == 99 && err.msg[0] && !strchr(err.msg, '\n'));
    size_t kept = 0;
    for (size_t i = 0; i < 3; i++) {
        must(isfinite(rows[2 * i]) && isfinite(rows[2 * i + 1]));
        kept += rows[2 * i] == 7 && rows[2 * i + 1] == 7;
    }
    must(st != SG_OK || kept >= 3 - found);
    sg_vocab_free(v);
    memory_file_close(&file);
    return 0;
}
