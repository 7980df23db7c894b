/* SPDX-License-Identifier: MIT */
/* Vocabulary files of every kind: five words, or an error of one line. */
#include "memory_file.h"

#include "import/vocabulary_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char note[400];
    sg_error err = {""};
    word_list words = {0};
    memory_file file = memory_file_of(data, size);
    sg_status st = vocabulary_file_read(&words, file.path, 5, note, sizeof note, &err);
    must(st == SG_OK ? !words.n || words.n == 5 : !words.text && err.msg[0] && !strchr(err.msg, '\n'));
    for (size_t i = 0; i < words.n; i++)
        must(strlen(words.text + words.at[i]) < size + 64);
    word_list_free(&words);
    memory_file_close(&file);
    return 0;
}
