/* SPDX-License-Identifier: MIT */
/* torch_internal.h - what the two kinds of PyTorch files share: tensors and words found in a pickle (torch.c); the
 * bytes of storages come from a zip (torch_zip.c) or from behind the pickles (torch_legacy.c). */
#ifndef SG_TORCH_INTERNAL_H
#define SG_TORCH_INTERNAL_H

#include "import/archive.h"
#include "io/pickle.h"

enum { MAX_VOCABULARIES = 64 };

typedef struct {
    char *key;
    bag_dtype dtype;
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

/* A bag's close: frees b->format, a torch or NULL. */
void torch_close(bag *b);
/* From the values that torch.save pickled: the bag's tensors, in order, and their storages (at still 0). SG_EFORMAT,
 * SG_ENOMEM. */
sg_status torch_fill_from_pickle(bag *b, sg_error *err);

#endif
