/* SPDX-License-Identifier: MIT */
/* torch_internal.h - what the two kinds of PyTorch files share: tensors found in a pickle (torch.c) and
 * words (torch_words.c); the bytes of storages come from a zip (torch_zip.c) or from after the pickles
 * (torch_legacy.c). */
#ifndef SG_TORCH_INTERNAL_H
#define SG_TORCH_INTERNAL_H

#include "import/tensors.h"
#include "io/pickle.h"
#include "io/zip.h"

enum { MAX_VOCABULARIES = 64 };

typedef struct {
    char *key;
    tensor_dtype dtype;
    uint64_t elements;
    uint64_t at; /* legacy: where its bytes begin in the file; zip: the number of its entry */
} torch_storage;

typedef struct {
    char *name;
    uint32_t node;
    size_t n;
} torch_words;

typedef struct {
    archive *zip;
    char *prefix; /* of every name in the zip, with its slash: "archive/" */
    unsigned char *data;
    pickle *values;
    torch_storage *storages;
    size_t n_storages, storages_room;
    torch_words vocabularies[MAX_VOCABULARIES];
    size_t n_vocabularies;
    size_t visits;
    unsigned container, containers;
} torch;

/* A tensor file's close: frees b->reader, a torch or NULL. */
void torch_close(tensor_file *b);
/* From the values that torch.save pickled: the tensor file's tensors, in order, and their storages (at still
 * 0). SG_EFORMAT, SG_ENOMEM. */
sg_status torch_fill_from_pickle(tensor_file *b, sg_error *err);

/* A tensor file's vocabulary. */
bool torch_whole_number(const pickle *p, uint32_t id, int64_t *out);
sg_status torch_vocabulary(tensor_file *b, size_t V, word_list *out, char name[TENSORS_MAX_NAME],
                           sg_error *err);
/* As b->vocabulary, of a map of V - 1 words whose ids leave out one of 0 .. V-1 (Keras's tokenizers begin at
 * 1). */
void torch_vocabulary_with_gap(tensor_file *b, size_t V, word_list *out, char name[TENSORS_MAX_NAME]);

#endif
