/* SPDX-License-Identifier: MIT */
/* pairs_file.h - suites of sentence pairs as they are published (stategrad/pairs.h), read whole. */
#ifndef SG_BEHAVIOUR_PAIRS_FILE_H
#define SG_BEHAVIOUR_PAIRS_FILE_H

#include "base/string_table.h"
#include "stategrad/pairs.h"

typedef struct {
    int32_t role;
    size_t word; /* of the good sentence, from 0 */
} pairs_place;

typedef struct {
    size_t line;
    int32_t condition;               /* -1: none */
    size_t good, n_good, bad, n_bad; /* words[good .. good + n_good) */
    size_t place, n_places;
} pairs_entry;

typedef struct {
    string_table *word, *condition, *role;
    int32_t *words; /* numbers in the table of words */
    pairs_place *places;
    pairs_entry *entries;
    size_t n_words, n_places, n, room_words, room_places, room;
    bool forms; /* two forms of one word in one sentence */
    bool apart; /* punctuation marks and clitics are words */
} pairs_file;

/* One sentence may have this number of words. */
enum { PAIRS_MAX_WORDS = 1000 };

/* cfg: format, split (AUTO here: by the format), lowercase, condition. On failure *f is empty. SG_EFORMAT:
 * file and line, what was found and expected. */
sg_status pairs_file_read(pairs_file *f, const char *path, const sg_pairs_config *cfg, sg_error *err);
void pairs_file_free(pairs_file *f);

#endif
