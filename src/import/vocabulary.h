/* SPDX-License-Identifier: MIT */
/* vocabulary.h - the words of a foreign model: from a file that the user names, or from inside the model's
 * own file. */
#ifndef SG_IMPORT_VOCABULARY_H
#define SG_IMPORT_VOCABULARY_H

#include "import/recipe.h"

/* The vocabulary of p->shape.vocabulary words (NULL for a model without embedding); sets unit and eos of p's
 * shape. SG_EFORMAT: none to be found, another number of words, words that the program cannot use. */
sg_status vocabulary_find(sg_vocab **out, recipe *p, tensor_file *b, const sg_import_config *cfg,
                          sg_error *err);

#endif
