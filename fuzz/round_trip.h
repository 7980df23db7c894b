/* SPDX-License-Identifier: MIT */
/* round_trip.h - a model that was accepted: every number finite, and the same when written and read again. */
#ifndef FUZZ_ROUND_TRIP_H
#define FUZZ_ROUND_TRIP_H

#include "memory_file.h"

#include "stategrad/lm.h"

#include <math.h>

/* A path in a folder of its own, for outputs that are renamed into place. */
static char output_folder[] = "/tmp/sg_fuzz_XXXXXX", output_path[64];

static inline void remove_output(void)
{
    unlink(output_path);
    rmdir(output_folder);
}

static inline const char *output_file(void)
{
    if (!output_path[0]) {
        must(mkdtemp(output_folder) != NULL);
        snprintf(output_path, sizeof output_path, "%s/out", output_folder);
        atexit(remove_output);
    }
    return output_path;
}

static inline void same_text(const char *a, const char *b)
{
    must(a && b ? !strcmp(a, b) : a == b);
}

static inline void same_shape(const sg_model_shape *a, const sg_model_shape *b)
{
    must(a->cell == b->cell && a->layers == b->layers && a->vocabulary == b->vocabulary);
    must(a->embedding == b->embedding && a->tied == b->tied && a->has_decoder == b->has_decoder);
    must(a->output == b->output && a->unit == b->unit && a->eos == b->eos);
    for (size_t k = 0; k < a->layers; k++)
        must(a->hidden[k] == b->hidden[k]);
}

static inline void same_vocabulary(const sg_vocab *a, const sg_vocab *b)
{
    must((a != NULL) == (b != NULL));
    if (!a)
        return;
    must(sg_vocab_size(a) == sg_vocab_size(b));
    for (size_t i = 0; i < sg_vocab_size(a); i++) {
        same_text(sg_vocab_word(a, i), sg_vocab_word(b, i));
        must(sg_vocab_count(a, i) == sg_vocab_count(b, i));
    }
    same_text(sg_vocab_tokenizer(a), sg_vocab_tokenizer(b));
}

static inline void model_round_trip(const sg_model *m)
{
    sg_error err = {""};
    sg_model *again = NULL;
    char before[65], after[65];
    must(sg_model_write(m, output_file(), &err) == SG_OK);
    must(sg_model_read(&again, output_file(), &err) == SG_OK);
    same_shape(sg_model_get_shape(m), sg_model_get_shape(again));
    same_vocabulary(sg_model_vocab(m), sg_model_vocab(again));
    must(sg_model_tensors(m) == sg_model_tensors(again));
    for (size_t i = 0; i < sg_model_tensors(m); i++) {
        const sg_tensor *a = sg_model_tensor(m, i), *b = sg_model_tensor(again, i);
        size_t n = a->rows * a->cols;
        same_text(a->name, b->name);
        must(a->rows == b->rows && a->cols == b->cols && a->rank == b->rank);
        for (size_t k = 0; k < n; k++)
            must(isfinite(a->data[k]));
        must(!memcmp(a->data, b->data, n * sizeof *a->data));
    }
    must(sg_model_sha256(m, before) == SG_OK && sg_model_sha256(again, after) == SG_OK);
    same_text(before, after);
    sg_model_free(again);
}

#endif
