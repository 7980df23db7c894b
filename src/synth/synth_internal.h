/* SPDX-License-Identifier: MIT */
/* synth_internal.h - one sentence after another, drawn with known probabilities. */
#ifndef SG_SYNTH_SYNTH_INTERNAL_H
#define SG_SYNTH_SYNTH_INTERNAL_H

#include "base/base_internal.h"
#include "stategrad/synth.h"

typedef struct {
    FILE *f;
    sg_rng rng;
    uint64_t tokens; /* <eos> included */
    double nats;     /* - sum of log p of all that was written, given what came before */
    bool started;    /* this line has text */
    size_t k;        /* the distance */
} synth_writer;

/* Writes a word, or the end of the line, that had probability p. */
void synth_put(synth_writer *w, double p, const char *word, const char *tag);
void synth_end(synth_writer *w, double p);

/* A kind: how one sentence is made, what is written with the corpus, what is true of it. */
typedef struct {
    const char *name, *summary;
    size_t distance; /* default */
    void (*sentence)(synth_writer *w);
    void (*words)(FILE *f);                     /* words.txt */
    void (*embeddings)(FILE *f, uint64_t seed); /* or NULL */
    /* the model that knows the corpus, as model.safetensors; or NULL */
    sg_status (*model)(const char *path, const sg_synth_config *cfg, size_t k, sg_error *err);
    const char *truth;    /* for README; with %zu in place of k where it is a number */
    const char *commands; /* likewise */
} synth_kind;

/* latch.c */
void latch_sentence(synth_writer *w);
void latch_words(FILE *f);
sg_status latch_model(const char *path, const sg_synth_config *cfg, size_t k, sg_error *err);

extern const synth_kind synth_kinds[SG_SYNTH_KINDS];

#endif
