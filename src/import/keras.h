/* SPDX-License-Identifier: MIT */
/* keras.h - what a Keras file records of its network besides the tensors: layers, their settings, who feeds
 * whom. */
#ifndef SG_IMPORT_KERAS_H
#define SG_IMPORT_KERAS_H

#include "import/tensors.h"

#include <jansson.h>

enum { KERAS_MAX_LAYERS = 512, KERAS_MAX_INBOUND = 8, KERAS_NAME = 200 };

typedef struct {
    char name[KERAS_NAME];
    char class_name[64];            /* "LSTM"; of a wrapped layer the inner class; "" without configuration */
    char wrapper[64];               /* "TimeDistributed", "Bidirectional" or "" */
    const json_t *config;           /* of the layer (of the wrapped one); NULL without configuration */
    int inbound[KERAS_MAX_INBOUND]; /* layers that feed it */
    size_t n_inbound;               /* may exceed KERAS_MAX_INBOUND */
    bool masked;                    /* a mask of its inputs is computed by another layer (Keras 3) */
    size_t first, n;                /* its tensors in the tensor_file */
} keras_layer;

typedef struct {
    json_t *config;  /* model_config; NULL: a file of weights only */
    bool third;      /* written by Keras 3 or later, whose hard_sigmoid is another function */
    bool hard_gates; /* by Keras 2 before 2.3, whose gates are hard_sigmoid by default */
    keras_layer *layers;
    size_t n;
} keras_net;

const keras_net *keras_net_of(const tensor_file *b);
/* The tensor of a layer by the last part of its name ("recurrent_kernel", ":0" aside); NULL: none. */
const stored_tensor *keras_weight(const tensor_file *b, const keras_layer *l, const char *name);

/* Of Keras 1, whose names end in what they are: "_W_i", "_U", "_b". NULL: none. */
const stored_tensor *keras1_weight(const tensor_file *b, const keras_layer *l, const char *end);

#endif
