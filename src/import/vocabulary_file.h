/* SPDX-License-Identifier: MIT */
/* vocabulary_file.h - words in id order from the files that accompany models. */
#ifndef SG_IMPORT_VOCABULARY_FILE_H
#define SG_IMPORT_VOCABULARY_FILE_H

#include "import/tensors.h"

/* The V words of path, in id order (V 0: as many as the file has, of a file of several lists the longest);
 * ids that no word has are called "<unused 3>". Pickles and torch.save's files (dict, list, tuple, objects
 * with such attributes; nothing is executed), JSON maps either way round, JSON that holds one, Keras's
 * Tokenizer, lines "word count" (fairseq's dict.txt with its four words in front, with V given) and "piece
 * score", AllenNLP's list without its padding. out->n 0: none of these, or only lines or JSON as
 * sg_vocab_read_ids reads them. note (RECIPE_NOTE bytes): what was assumed, "" nothing. SG_EFORMAT: one of
 * these that does not fit V words. */
sg_status vocabulary_file_read(word_list *out, const char *path, size_t V, char *note, size_t note_room,
                               sg_error *err);

#endif
