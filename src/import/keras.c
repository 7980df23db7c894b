/* SPDX-License-Identifier: MIT */
/* Keras files: .h5 (groups named by the attribute layer_names, datasets by weight_names, the network by
 * model_config), .keras (a zip of config.json and model.weights.h5) and .weights.h5. */
#include "import/keras_internal.h"

#include "base/base_internal.h"
#include "io/hdf5.h"
#include "corpus/corpus_internal.h"
#include "io/zip.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const keras_net *keras_net_of(const tensor_file *b)
{
    return &((const keras *)b->reader)->net;
}

static void keras_close(tensor_file *b)
{
    keras *f = b->reader;
    if (!f)
        return;
    hdf5_lock();
    if (f->root > 0 && f->root != f->file)
        H5Gclose(f->root);
    if (f->file > 0)
        H5Fclose(f->file);
    hdf5_unlock();
    if (f->fd >= 0)
        close(f->fd);
    json_decref(f->net.config);
    sg_free(f->net.layers);
    sg_free(f);
    b->reader = NULL;
}

/* Keras 3 or later, by the text of its version. */
static bool is_third(const char *version)
{
    return version && strtol(version, NULL, 10) >= 3;
}

/* The version that metadata.json states; without one it is not known. */
static sg_status read_metadata(keras *f, archive *zip, sg_error *err)
{
    sg_status st = SG_OK;
    unsigned char *text = NULL;
    size_t size;
    const int64_t at = archive_find(zip, "metadata.json");
    if (at < 0)
        return SG_OK;
    TRY(archive_read(zip, (size_t)at, &text, &size, err));
    json_t *metadata = json_loadb((char *)text, size, 0, NULL);
    f->net.third = is_third(json_string_value(json_object_get(metadata, "keras_version")));
    json_decref(metadata);
done:
    sg_free(text);
    return st;
}

/* config.json and model.weights.h5 out of a .keras file; the latter into a temporary file, as HDF5 wants
 * one. */
static sg_status unpack(tensor_file *b, char **name, sg_error *err)
{
    enum { COPY = 1 << 16, GROWTH = 1 << 23 };
    keras *f = b->reader;
    sg_status st;
    archive *zip = NULL;
    unsigned char *text = NULL, *copy = NULL;
    size_t size;
    json_error_t why;
    TRY(archive_open(&zip, b->path, err));
    int64_t config = archive_find(zip, "config.json"), weights = archive_find(zip, "model.weights.h5");
    if (config < 0 || weights < 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: a Keras zip without %s (%s)", b->path,
                    config < 0 ? "config.json" : "model.weights.h5",
                    "expected config.json and model.weights.h5"));
    TRY(archive_read(zip, (size_t)config, &text, &size, err));
    if (!(f->net.config = json_loadb((char *)text, size, 0, &why)))
        TRY(sg_fail(err, SG_EFORMAT, "%s: config.json is not JSON: %s", b->path, why.text));
    TRY(read_metadata(f, zip, err));
    TRY(archive_size(zip, (size_t)weights, &f->size, err));
    if (f->size > b->file_size + GROWTH)
        TRY(sg_fail(err, SG_EFORMAT,
                    "%s: model.weights.h5 unpacks to %llu bytes from a file of %llu (a zip bomb?)", b->path,
                    (unsigned long long)f->size, (unsigned long long)b->file_size));
    NEED(copy = sg_calloc(COPY, 1), err, "%s", b->path);
    TRY(temp_file_named(&f->fd, name, err));
    for (uint64_t at = 0; at < f->size;) {
        size_t n = f->size - at < COPY ? (size_t)(f->size - at) : COPY;
        TRY(archive_fetch(zip, (size_t)weights, at, copy, n, "model.weights.h5", err));
        TRY(temp_file_write(f->fd, copy, n, err));
        at += n;
    }
done:
    sg_free(text);
    sg_free(copy);
    archive_close(zip);
    return st;
}

static sg_status fill(tensor_file *b, sg_error *err)
{
    keras *f = b->reader;
    sg_status st = SG_OK;
    keras_names config = {0}, layers = {0}, version = {0};
    json_error_t why;
    char *unpacked = NULL; /* the name of f->fd's file */
    f->size = b->file_size;
    if (b->format == SG_FILE_KERAS_ZIP)
        TRY(unpack(b, &unpacked, err));
    TRY(keras_check_superblock(b, err));
    if (!hdf5_has_room())
        TRY(no_memory(err, "%s", b->path));
    if ((f->file = H5Fopen(unpacked ? unpacked : b->path, H5F_ACC_RDONLY, H5P_DEFAULT)) < 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: not a whole HDF5 file (truncated or damaged)", b->path));
    f->root = f->file;
    if (keras_hard_path(f->file, "model_weights") &&
        (f->root = H5Gopen2(f->file, "model_weights", H5P_DEFAULT)) < 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: group model_weights cannot be read", b->path));
    TRY(keras_attribute(&config, f->file, "model_config", b, err));
    TRY(keras_attribute(&version, f->file, "keras_version", b, err));
    f->net.third |= version.n && is_third(version.at[0]);
    f->net.hard_gates = version.n && (!strncmp(version.at[0], "2.0", 3) ||
                                      !strncmp(version.at[0], "2.1", 3) || !strncmp(version.at[0], "2.2", 3));
    TRY(keras_read_names(&layers, f->root, "layer_names", b, err));
    const char *top = keras_group_of_layers(f);
    if (!layers.n && !top)
        TRY(sg_fail(
            err, SG_EFORMAT,
            "%s: an HDF5 file without the attribute layer_names (Keras 2) or groups of variables (Keras 3): not one "
            "of Keras, or of Keras before 1.0",
            b->path));
    NEED(f->net.layers = sg_calloc(KERAS_MAX_LAYERS, sizeof *f->net.layers), err, "%s", b->path);
    if (!layers.n && f->net.config && (top[0] || keras_config_lists_layers(f))) {
        TRY(keras_layers_from_config(b, err));
        TRY(keras_add_v3_weights(b, top, err));
        goto done;
    }
    if (!layers.n) {
        json_decref(f->net.config); /* of a class of the user's own: it does not describe layers */
        f->net.config = NULL;
        TRY(keras_layers_from_groups(b, top, err));
        goto done;
    }
    if (config.n) {
        if (!(f->net.config = json_loads(config.at[0], 0, &why)))
            TRY(sg_fail(err, SG_EFORMAT, "%s: model_config is not JSON: %s", b->path, why.text));
        TRY(keras_layers_from_config(b, err));
    } else
        TRY(keras_layers_from_names(b, &layers, err));
    TRY(keras_add_weights(b, &layers, err));
done:
    if (unpacked)
        unlink(unpacked);
    sg_free(unpacked);
    keras_names_free(&config);
    keras_names_free(&layers);
    keras_names_free(&version);
    return st;
}

sg_status tensors_from_keras(tensor_file *b, sg_error *err)
{
    sg_status st;
    if (!(b->reader = sg_calloc(1, sizeof(keras))))
        return no_memory(err, "%s", b->path);
    ((keras *)b->reader)->fd = -1;
    b->read = keras_read_dataset;
    b->close = keras_close;
    b->in_order = true;
    hdf5_lock();
    st = fill(b, err);
    hdf5_unlock();
    return st;
}
