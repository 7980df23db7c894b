/* SPDX-License-Identifier: MIT */
/* property.h - what --property means: words on two sides, pairs of words, or a vector; as a difference of
 * embeddings. */
#ifndef SG_PROPERTY_H
#define SG_PROPERTY_H

#include "stategrad/analysis.h"

/* Where words, classes and embeddings come from: a model and a corpus, or a finished run. */
typedef struct {
    const void *ctx;
    size_t E;
    /* -1: not there */
    int32_t (*find)(const void *ctx, const char *word, size_t length);
    /* false: no such class. *words borrowed. */
    bool (*class_words)(const void *ctx, const char *name, const sg_class_word **words, size_t *n);
    const char *(*class_name)(const void *ctx, size_t i); /* for messages; NULL after the last */
    /* Words for which an expression of classes and tags holds, as classes_words_where; NULL: not known */
    sg_status (*words_where)(const void *ctx, const char *text, const char *whose, sg_class_word **words,
                             size_t *n, sg_error *err);
    size_t n_models;
    const float *embeddings[2]; /* (V,E) of the model and its untrained copy; NULL: no words, vectors only */
} property_source;

/* The words of both sides (or the pairs) are assigned to PROPERTY_FOLDS folds in turn. */
enum { PROPERTY_FOLDS = 10 };
#define PROPERTY_FEW_WORDS "fewer than 10 words (or pairs) on a side"

typedef struct {
    char *name;
    double *delta[2]; /* (E) per model; NaN where no word is known */
    /* (PROPERTY_FOLDS, E) the same without the words of each fold; NaN where no_folds is the reason, or for a
     * vector, which is given and not estimated */
    double *fold[2];
    double fold_weight[PROPERTY_FOLDS]; /* share of the fold in the sides' weight, mean of both */
    const char *no_folds;
    int64_t words_a, words_b;
    int32_t (
        *pair)[2]; /* (pairs) of known, different words, as the file has them; none of sides or a vector */
    size_t pairs;
    char *missing; /* why it has no value, or NULL */
} property;

/* SG_EINVAL: nothing of that name, or two readings. Equal sides, word lists and pairs without a known word
 * are no failure: the property is missing, with the reason and a warning. Fewer than 10 words on a side
 * warn. */
sg_status property_resolve(property *out, const property_source *src, const sg_property *p,
                           const sg_monitor *monitor, sg_error *err);
void property_free(property *p); /* its fields */

#endif
