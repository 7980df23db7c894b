/* SPDX-License-Identifier: MIT */
/* Vocabulary files of every kind: five words, or as many as there are, or an error of one line. */
#include "memory_file.h"

#include "import/vocabulary_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char note[400];
    memory_file file = memory_file_of(data, size);
    for (size_t V = 0; V <= 5; V += 5) {
        sg_error err = {""};
        word_list words = {0};
        sg_status st = vocabulary_file_read(&words, file.path, V, note, sizeof note, &err);
        must(st == SG_OK ? !V || !words.n || words.n == V
                         : !words.text && err.msg[0] && !strchr(err.msg, '\n'));
        for (size_t i = 0; i < words.n; i++)
            must(strlen(words.text + words.at[i]) < size + 64);
        word_list_free(&words);
    }
    memory_file_close(&file);
    return 0;
}
