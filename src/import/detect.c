/* SPDX-License-Identifier: MIT */
/* Which format a file is, by its content; opening it as a tensor file. */
#include "import/tensors.h"

#include "base/base_internal.h"
#include "io/hdf5.h"
#include "io/file.h"
#include "corpus/corpus_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const format_names[] = {
    [SG_FILE_UNKNOWN] = "unknown",
    [SG_FILE_MODEL] = "stategrad model",
    [SG_FILE_RUN] = "stategrad run",
    [SG_FILE_SAFETENSORS] = "safetensors",
    [SG_FILE_TORCH_ZIP] = "PyTorch (zip)",
    [SG_FILE_TORCH_LEGACY] = "PyTorch (legacy)",
    [SG_FILE_KERAS] = "Keras (HDF5)",
    [SG_FILE_ONNX] = "ONNX",
    [SG_FILE_TF_INDEX] = "TensorFlow checkpoint",
    [SG_FILE_KERAS_ZIP] = "Keras 3 (zip)",
    [SG_FILE_TFJS] = "TensorFlow.js",
    [SG_FILE_NPY] = "NumPy array",
    [SG_FILE_NPZ] = "NumPy arrays (npz)",
};

const char *sg_file_format_name(sg_file_format k)
{
    return format_names[k];
}

/* Run files are HDF5 too, but have delays at their root. */
static bool is_run_file(const char *path)
{
    hid_t file = -1;
    htri_t has = 0;
    hdf5_lock();
    if (hdf5_has_room()) /* without it the reader will fail with a message */
        file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file >= 0) {
        has = H5Lexists(file, "delay", H5P_DEFAULT);
        H5Fclose(file);
    }
    hdf5_unlock();
    return has > 0;
}

/* The first entry of a .keras file. */
static bool is_keras_entry(const char *name, size_t length, size_t n)
{
    static const char *const names[] = {"metadata.json", "config.json", "model.weights.h5"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (length == strlen(names[i]) && n >= 30 + length && !memcmp(name, names[i], length))
            return true;
    return false;
}

/* Field 2 of a protocol buffer, holding a message that begins with its field 1? */
static bool message_follows(const unsigned char *data, size_t n)
{
    size_t at = 1;
    while (at < n && at < 6 && data[at] >= 0x80)
        at++;
    return data[0] == 0x12 && at + 1 < n && data[at + 1] == 0x0a;
}

/* data holds the first n bytes. A zip of .npy files is npz, any other is taken for PyTorch's. */
static sg_file_format format_of_bytes(const unsigned char *data, size_t n, uint64_t size)
{
    uint64_t header = 0;
    if (n >= 4 && !memcmp(data, "PK\3\4", 4)) {
        size_t length = n >= 30 ? (size_t)(data[26] | data[27] << 8) : 0;
        bool npy = length > 4 && n >= 30 + length && !memcmp(data + 30 + length - 4, ".npy", 4);
        return npy                                                  ? SG_FILE_NPZ
               : is_keras_entry((const char *)data + 30, length, n) ? SG_FILE_KERAS_ZIP
                                                                    : SG_FILE_TORCH_ZIP;
    }
    if (n >= 4 && (!memcmp(data, "PK\5\6", 4) || !memcmp(data, "PK\6\6", 4)))
        return SG_FILE_TORCH_ZIP;
    if (n >= 8 && !memcmp(data, "\x89HDF\r\n\x1a\n", 8))
        return SG_FILE_KERAS;
    if (n >= 6 && !memcmp(data, "\x93NUMPY", 6))
        return SG_FILE_NPY;
    for (size_t i = 8; i > 0 && n >= 8; i--)
        header = header << 8 | data[i - 1];
    if (n >= 9 && data[8] == '{' && header <= size - 8)
        return memmem(data, n, "stategrad-model", 15) ? SG_FILE_MODEL : SG_FILE_SAFETENSORS;
    if (n >= 2 && data[0] == 0x80 && data[1] >= 1 && data[1] <= 5)
        return SG_FILE_TORCH_LEGACY;
    /* ONNX has no signature: ModelProto opens with ir_version (field 1, a small number), then another of its
     * fields. TensorFlow's SavedModel and Core ML begin so too, but their field 2 is a message, not a
     * name. */
    if (n >= 4 && data[0] == 0x08 && data[1] < 0x80 && (data[2] & 7) == 2 &&
        !message_follows(data + 2, n - 2))
        return SG_FILE_ONNX;
    size_t space = 0;
    while (space < n && strchr(" \t\r\n", data[space]))
        space++;
    if (space < n && data[space] == '{' &&
        (memmem(data, n, "\"weightsManifest\"", 17) || memmem(data, n, "\"modelTopology\"", 15)))
        return SG_FILE_TFJS;
    return SG_FILE_UNKNOWN;
}

sg_status sg_file_format_of(sg_file_format *out, const char *path, sg_error *err)
{
    sg_status st;
    int fd = -1;
    uint64_t size;
    unsigned char *data = NULL;
    enum { LOOK = 1 << 16 };
    *out = SG_FILE_UNKNOWN;
    TRY(file_open(&fd, &size, path, err));
    NEED(data = sg_calloc(LOOK, 1), err, "%s", path);
    ssize_t n = pread(fd, data, LOOK, 0);
    if (n < 0)
        TRY(sg_fail(err, SG_EIO, "%s: %s", path, strerror(errno)));
    *out = format_of_bytes(data, (size_t)n, size);
    unsigned char end[8];
    if (size >= 48 && pread(fd, end, 8, (off_t)(size - 8)) == 8 &&
        !memcmp(end, "\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8))
        *out = SG_FILE_TF_INDEX;
    if (*out == SG_FILE_KERAS && is_run_file(path))
        *out = SG_FILE_RUN;
done:
    sg_free(data);
    if (fd >= 0)
        close(fd);
    return st;
}

sg_status tensors_open(tensor_file **out, const char *path, sg_error *err)
{
    static sg_status (*const fill[])(tensor_file *, sg_error *) = {
        [SG_FILE_SAFETENSORS] = tensors_from_safetensors,
        [SG_FILE_MODEL] = tensors_from_safetensors,
        [SG_FILE_TORCH_ZIP] = tensors_from_torch_zip,
        [SG_FILE_TORCH_LEGACY] = tensors_from_torch_legacy,
        [SG_FILE_KERAS] = tensors_from_keras,
        [SG_FILE_KERAS_ZIP] = tensors_from_keras,
        [SG_FILE_TF_INDEX] = tensors_from_tf_index,
        [SG_FILE_TFJS] = tensors_from_tfjs,
        [SG_FILE_ONNX] = tensors_from_onnx,
        [SG_FILE_NPY] = tensors_from_npy,
        [SG_FILE_NPZ] = tensors_from_npz,
    };
    sg_status st;
    sg_file_format format;
    tensor_file *b = NULL;
    *out = NULL;
    TRY(sg_file_format_of(&format, path, err));
    if (format == SG_FILE_RUN)
        TRY(sg_fail(err, SG_EFORMAT, "%s: is a run file, expected a model", path));
    if ((size_t)format >= sizeof fill / sizeof *fill || !fill[format]) {
        st = file_not_read(path, err);
        return st == SG_OK ? SG_EFORMAT : st; /* never SG_OK, which the static analyzer cannot see */
    }
    NEED(b = sg_calloc(1, sizeof *b), err, "%s", path);
    b->fd = -1;
    b->format = format;
    NEED(b->path = sg_strdup(path), err, "%s", path);
    TRY(file_open(&b->fd, &b->file_size, path, err));
    TRY(fill[format](b, err));
    *out = b;
    b = NULL;
done:
    tensors_free(b);
    return st;
}

/* --map ROLE=OTHER.npy names another file: its array joins the tensor file under that
 * name. */
sg_status tensors_add_named_arrays(tensor_file *b, const sg_import_config *cfg, sg_error *err)
{
    sg_status st = SG_OK;
    for (size_t i = 0; i < cfg->n_maps && (b->format == SG_FILE_NPY || b->format == SG_FILE_NPZ); i++) {
        const char *equals = strchr(cfg->maps[i], '=');
        size_t n = equals ? strlen(equals + 1) : 0;
        tensor_file *file;
        if (n < 5 || strcmp(equals + n - 3, ".npy") != 0 || tensors_find(b, equals + 1))
            continue;
        TRY(tensors_open(&file, equals + 1, err));
        if (file->format != SG_FILE_NPY) {
            st = sg_fail(err, SG_EFORMAT, "%s: expected a NumPy array", equals + 1);
            tensors_free(file);
            goto done;
        }
        st = npy_tensors_add(b, file, equals + 1, err);
        if (st != SG_OK) { /* a file that made it into the list is the tensor file's to free */
            tensors_free(file);
            goto done;
        }
        b->file_size += file->file_size;
    }
done:
    return st;
}
