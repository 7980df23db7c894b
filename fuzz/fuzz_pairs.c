/* SPDX-License-Identifier: MIT */
/* Files of sentence pairs, read as each format: what is accepted has words in every sentence, roles within
 * them and sentences that differ; what is not is named in one line. The first byte is the setting. */
#include "behaviour/pairs_file.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(const pairs_file *f, const pairs_entry *e)
{
    must(e->line && e->n_good && e->n_bad && e->n_good <= PAIRS_MAX_WORDS + 8);
    must(e->good + e->n_good <= f->n_words && e->bad + e->n_bad <= f->n_words);
    must(e->n_good != e->n_bad ||
         memcmp(f->words + e->good, f->words + e->bad, e->n_good * sizeof *f->words));
    must(e->condition < (int32_t)string_table_count(f->condition) && e->place + e->n_places <= f->n_places);
    for (size_t i = 0; i < e->n_good; i++)
        must(string_table_get(f->word, (size_t)f->words[e->good + i], NULL)[0]);
    for (size_t i = 0; i < e->n_bad; i++)
        must(string_table_get(f->word, (size_t)f->words[e->bad + i], NULL)[0]);
    for (size_t i = 0; i < e->n_places; i++) {
        const pairs_place *p = &f->places[e->place + i];
        must(p->word < e->n_good && (size_t)p->role < string_table_count(f->role));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pairs_file f = {0};
    sg_error err = {""};
    unsigned how = size ? data[0] : 0;
    const sg_pairs_config cfg = {.format = (sg_pairs_format)(how & 3),
                                 .split = (sg_pairs_split)((how >> 2 & 3) % 3),
                                 .lowercase = how & 16,
                                 .condition = how & 32 ? "UID" : NULL};
    memory_file file = memory_file_of(data + (size > 0), size - (size > 0));
    sg_status st = pairs_file_read(&f, file.path, &cfg, &err);
    must(st == SG_OK ? f.n > 0 : !f.entries && err.msg[0] && !strchr(err.msg, '\n'));
    for (size_t i = 0; i < f.n; i++)
        check_entry(&f, &f.entries[i]);
    pairs_file_free(&f);
    memory_file_close(&file);
    return 0;
}
