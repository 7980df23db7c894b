/* SPDX-License-Identifier: MIT */
/* keras_internal.h - what the three parts of the Keras reader share: keras_hdf5.c reads attributes and
 * datasets, keras_layers.c lists the layers, keras.c opens the file. The caller holds hdf5_lock, except for
 * keras_read_dataset. */
#ifndef SG_IMPORT_KERAS_INTERNAL_H
#define SG_IMPORT_KERAS_INTERNAL_H

#include "import/keras.h"

#include <hdf5.h>

/* reader of a Keras file. Ids of HDF5 are valid above 0; fd and size: of the HDF5 file itself, which may come
 * from a zip. */
typedef struct {
    keras_net net;
    int fd; /* a temporary file of model.weights.h5; -1: b->fd is the HDF5 file */
    uint64_t size;
    hid_t file, root;
} keras;

typedef struct {
    char **at;
    size_t n;
} keras_names;

void keras_names_free(keras_names *l);
/* The texts of an attribute; none if the object does not have it. */
sg_status keras_attribute(keras_names *out, hid_t object, const char *name, const tensor_file *b,
                          sg_error *err);
/* The same of a list that may be split into NAME0, NAME1, ... */
sg_status keras_read_names(keras_names *out, hid_t object, const char *name, const tensor_file *b,
                           sg_error *err);
/* Does the path exist, with hard links only? */
bool keras_hard_path(hid_t from, const char *path);
/* Adds the dataset to the tensor file. layer: its number; class_name: "" where it is not known. */
sg_status keras_add_dataset(tensor_file *b, const char *name, unsigned layer, const char *class_name,
                            sg_error *err);
/* A tensor file's read. Takes the lock. */
sg_status keras_read_dataset(tensor_file *b, const stored_tensor *t, tensor_sink sink, void *ctx,
                             sg_error *err);
/* SG_EFORMAT: offsets of another width than 8 bytes, or a heap on which libhdf5 would not return. */
sg_status keras_check_superblock(tensor_file *b, sg_error *err);

/* The group that holds those of Keras 3's layers; "": the file itself does, as attributes of a model's own
 * class are named; NULL: none. */
const char *keras_group_of_layers(const keras *f);
/* Does the configuration list layers? A class of the user's own does not. */
bool keras_config_lists_layers(const keras *f);
/* The layers, in the order of the file: from net.config, from the attribute layer_names, or from the groups
 * below top. */
sg_status keras_layers_from_config(tensor_file *b, sg_error *err);
sg_status keras_layers_from_names(tensor_file *b, const keras_names *list, sg_error *err);
sg_status keras_layers_from_groups(tensor_file *b, const char *top, sg_error *err);
/* The tensors of the layers: as weight_names lists them, or (Keras 3) numbered below top. */
sg_status keras_add_weights(tensor_file *b, const keras_names *list, sg_error *err);
sg_status keras_add_v3_weights(tensor_file *b, const char *top, sg_error *err);

#endif
