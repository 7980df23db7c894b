/* SPDX-License-Identifier: MIT */
/* Vocabulary files: what is accepted is a list of distinct words, each found at its id, and is read as the
 * same when written again, one a line and as JSON. */
#include "corpus/corpus_internal.h"
#include "memory_file.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_again(const sg_vocab *v, const void *text, size_t n)
{
    sg_vocab *again = NULL;
    sg_error err = {0};
    memory_file file = memory_file_of(text, n);
    must(sg_vocab_read(&again, file.path, &err) == SG_OK);
    must(sg_vocab_size(again) == sg_vocab_size(v));
    for (size_t i = 0; i < sg_vocab_size(v); i++)
        must(!strcmp(sg_vocab_word(v, i), sg_vocab_word(again, i)));
    sg_vocab_free(again);
    memory_file_close(&file);
}

static void check_vocab(const sg_vocab *v)
{
    json_t *list = json_array();
    size_t bytes = 0, at = 0;
    bool lines = true; /* a word with a line end in it (from JSON) cannot be written one a line */
    for (size_t i = 0; i < sg_vocab_size(v); i++) {
        const char *w = sg_vocab_word(v, i);
        must(w[0] && sg_vocab_id(v, w, strlen(w)) == (int32_t)i && sg_vocab_count(v, i) == 0);
        must(json_array_append_new(list, json_string(w)) == 0);
        lines = lines && !strpbrk(w, "\r\n");
        bytes += strlen(w) + 1;
    }
    char *json = json_dumps(list, JSON_INDENT(1)), *text = malloc(bytes + 1);
    must(json && text);
    same_again(v, json, strlen(json));
    for (size_t i = 0; i < sg_vocab_size(v); i++)
        at += (size_t)sprintf(text + at, "%s\n", sg_vocab_word(v, i));
    const char *first = text + strspn(text, " \t\r\n");
    if (lines && *first != '[' && *first != '{' && memcmp(text, "\xef\xbb\xbf", at < 3 ? at : 3))
        same_again(v, text, at);
    free(text);
    free(json);
    json_decref(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sg_vocab *v = NULL;
    sg_error err = {0};
    memory_file file = memory_file_of(data, size);
    sg_status st = sg_vocab_read(&v, file.path, &err);
    must(st == SG_OK ? v != NULL : !v && err.msg[0] && !strchr(err.msg, '\n'));
    if (v)
        check_vocab(v);
    sg_vocab_free(v);
    memory_file_close(&file);
    return 0;
}
