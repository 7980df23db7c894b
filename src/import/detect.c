/* SPDX-License-Identifier: MIT */
/* Which format a file is, by its content; opening it as a tensor file. */
#include "import/tensors.h"

#include "base/base_internal.h"
#include "io/file.h"
#include "corpus/corpus_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static const char *const kind_names[] = {
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
    [SG_FILE_NPY] = "NumPy array",
    [SG_FILE_NPZ] = "NumPy arrays (npz)",
};

const char *sg_file_format_name(sg_file_format k)
{
    return kind_names[k];
}

/* Run files are HDF5 too, but have delays at their root. */
static bool is_run_file(const char *path)
{
    hid_t file = -1;
    htri_t has = 0;
    sg_hdf5_lock();
    file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file >= 0) {
        has = H5Lexists(file, "delay", H5P_DEFAULT);
        H5Fclose(file);
    }
    sg_hdf5_unlock();
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

/* data holds the first n bytes. A zip of .npy files is npz, any other is taken for PyTorch's. */
static sg_file_format kind_of_bytes(const unsigned char *data, size_t n, uint64_t size)
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
    /* ONNX has no signature: ModelProto opens with ir_version (field 1, a small number), or another of its
     * fields. */
    if (n >= 4 && data[0] == 0x08 && data[1] < 0x80 && (data[2] & 7) == 2)
        return SG_FILE_ONNX;
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
    *out = kind_of_bytes(data, (size_t)n, size);
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

/* ---- files that are no model that is read: named for what they are ---- */

/* Names of a tar archive that look like weights, the first few. Read through gzip or plain. */
static void weights_in_archive(char text[400], const char *path)
{
    static const char *const ends[] = {".pt",   ".pth", ".bin",  ".safetensors", ".h5",  ".hdf5", ".keras",
                                       ".onnx", ".th",  ".ckpt", ".npz",         ".pkl", NULL};
    enum { MAX_MEMBERS = 2000 };
    gzFile f = gzopen(path, "rb");
    char header[512];
    text[0] = 0;
    for (unsigned k = 0;
         f && k < MAX_MEMBERS && gzread(f, header, 512) == 512 && !memcmp(header + 257, "ustar", 5); k++) {
        char name[101];
        snprintf(name, sizeof name, "%.100s", header);
        header[135] = 0;
        z_off_t size = (z_off_t)strtoul(header + 124, NULL, 8);
        size_t n = strlen(name), used = strlen(text);
        for (size_t i = 0; ends[i] && used < 280; i++)
            if (n > strlen(ends[i]) && !strcmp(name + n - strlen(ends[i]), ends[i])) {
                snprintf(text + used, 400 - used, "%s%s", used ? ", " : "", name);
                break;
            }
        if (size > (z_off_t)1 << 30 || gzseek(f, (size + 511) / 512 * 512, SEEK_CUR) < 0)
            break;
    }
    if (f)
        gzclose(f);
}

typedef struct {
    size_t at;
    const char *bytes;
    size_t n;
    const char *what;
} signature;

static sg_status name_what_it_is(const char *path, sg_error *err)
{
    static const signature known[] = {
        {0, "version https://git-lfs", 23,
         "is a pointer of Git large file storage, not the file itself: fetch it with git lfs pull"},
        {0, "<!DOCTYPE", 9, "is a web page, not a model: the download went wrong"},
        {0, "<!doctype", 9, "is a web page, not a model: the download went wrong"},
        {0, "<html", 5, "is a web page, not a model: the download went wrong"},
        {4, "TFL3", 4, "is a TensorFlow Lite model, which is not read: import what it was converted from"},
        {0, "GGUF", 4, "is a GGUF file, which is not read: no recurrent net is kept so"},
        {0, "BZh", 3, "is a bzip2 archive: unpack it"},
        {0,
         "\xfd"
         "7zXZ",
         5, "is an xz archive: unpack it"},
        {0, "7z\xbc\xaf", 4, "is a 7-Zip archive: unpack it"},
        {0, "Rar!", 4, "is a RAR archive: unpack it"},
        {0, "%PDF", 4, "is a PDF document"},
        {0, "rnnoise-nu model file", 21, "is a text model of RNNoise (8-bit integers), which is not read"},
    };
    char data[4096], inside[400];
    uint64_t size = 0;
    int fd = -1;
    sg_status st = file_open(&fd, &size, path, err);
    ssize_t n = st == SG_OK ? pread(fd, data, sizeof data, 0) : -1;
    if (fd >= 0)
        close(fd);
    if (st != SG_OK)
        return st;
    if (n <= 0)
        return sg_fail(err, SG_EFORMAT, "%s: is empty", path);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if ((size_t)n >= known[i].at + known[i].n && !memcmp(data + known[i].at, known[i].bytes, known[i].n))
            return sg_fail(err, SG_EFORMAT, "%s: %s", path, known[i].what);
    bool gzip = n >= 2 && !memcmp(data, "\x1f\x8b", 2), tar = n >= 262 && !memcmp(data + 257, "ustar", 5);
    if (gzip || tar) {
        weights_in_archive(inside, path);
        return sg_fail(err, SG_EFORMAT, "%s: is %s: unpack it%s%s", path,
                       gzip ? "compressed with gzip" : "a tar archive",
                       inside[0] ? " and import one of " : "", inside);
    }
    if (n >= 16 && (unsigned char)data[0] < 16 && !data[1] && !data[2] && !data[3] &&
        memmem(data, n < 64 ? (size_t)n : 64, "Spec", 4))
        return sg_fail(err, SG_EFORMAT,
                       "%s: is a CTranslate2 model, which is not read: import what it was converted from",
                       path);
    if (memmem(data, (size_t)n, "weightsManifest", 15) || memmem(data, (size_t)n, "modelTopology", 13))
        return sg_fail(
            err, SG_EFORMAT,
            "%s: is a TensorFlow.js model (JSON), whose shards are not read: convert it to Keras HDF5 "
            "with tensorflowjs_converter",
            path);
    if (memmem(data, (size_t)n, "\"class_name\"", 12) && data[0] == '{')
        return sg_fail(
            err, SG_EFORMAT,
            "%s: is the configuration of a Keras model without its weights: give the .h5 or .keras file",
            path);
    if (strstr(path, ".data-0"))
        return sg_fail(err, SG_EFORMAT,
                       "%s: is a shard of a TensorFlow checkpoint: give the .index file beside it", path);
    return sg_fail(
        err, SG_EFORMAT,
        "%s: is not a model file: expected safetensors, PyTorch, Keras (HDF5 or .keras), ONNX, TensorFlow "
        "checkpoint (.index) or NumPy arrays",
        path);
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
        [SG_FILE_ONNX] = tensors_from_onnx,
        [SG_FILE_NPY] = tensors_from_npy,
        [SG_FILE_NPZ] = tensors_from_npz,
    };
    sg_status st;
    sg_file_format kind;
    tensor_file *b = NULL;
    *out = NULL;
    TRY(sg_file_format_of(&kind, path, err));
    if (kind == SG_FILE_RUN)
        TRY(sg_fail(err, SG_EFORMAT, "%s: is a run file, expected a model", path));
    if ((size_t)kind >= sizeof fill / sizeof *fill || !fill[kind]) {
        st = name_what_it_is(path, err);
        goto done;
    }
    NEED(b = sg_calloc(1, sizeof *b), err, "%s", path);
    b->fd = -1;
    b->format = kind;
    NEED(b->path = sg_strdup(path), err, "%s", path);
    TRY(file_open(&b->fd, &b->file_size, path, err));
    TRY(fill[kind](b, err));
    *out = b;
    b = NULL;
done:
    tensors_free(b);
    return st;
}
