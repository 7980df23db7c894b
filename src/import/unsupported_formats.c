/* SPDX-License-Identifier: MIT */
/* Files that are no model that is read: named for what they are, with what to do. */
#include "import/tensors.h"

#include "base/base_internal.h"
#include "base/utf8.h"
#include "io/file.h"
#include "io/file_kind.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <zlib.h>

enum { LOOK = 4096 };

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && !strcmp(name + n - m, end);
}

bool file_is_weights(const char *name)
{
    static const char *const ends[] = {".pt",   ".pth", ".bin",  ".safetensors", ".h5",    ".hdf5", ".keras",
                                       ".onnx", ".th",  ".ckpt", ".npz",         ".index", ".pkl",  NULL};
    for (size_t i = 0; ends[i]; i++)
        if (ends_in(name, ends[i]))
            return true;
    return false;
}

/* Names of a tar archive that look like weights, the first few. Read through gzip or plain. *torch: the
 * members of PyTorch's own tar of 2016. */
static void weights_in_archive(char text[400], bool *torch, const char *path)
{
    enum { MAX_MEMBERS = 2000 };
    gzFile f = gzopen(path, "rb");
    char header[512];
    unsigned of_torch = 0;
    text[0] = 0;
    for (unsigned k = 0;
         f && k < MAX_MEMBERS && gzread(f, header, 512) == 512 && !memcmp(header + 257, "ustar", 5); k++) {
        char name[101];
        snprintf(name, sizeof name, "%.100s", header);
        header[135] = 0;
        z_off_t size = (z_off_t)strtoul(header + 124, NULL, 8);
        size_t used = strlen(text);
        of_torch += !strcmp(name, "sys_info") || !strcmp(name, "storages") || !strcmp(name, "tensors");
        if (used < 280 && file_is_weights(name))
            snprintf(text + used, 400 - used, "%s%s", used ? ", " : "", name);
        if (size > (z_off_t)1 << 30 || gzseek(f, (size + 511) / 512 * 512, SEEK_CUR) < 0)
            break;
    }
    *torch = of_torch == 3;
    if (f)
        gzclose(f);
}

static const char web_page[] = "is a web page or an answer of a server, not a model: the download went wrong";
static const char core_ml[] = "is a Core ML model, which is not read: import what it was converted from";

/* What a text looks like after white space; NULL: no text. */
static const char *kind_of_text(const char *data, size_t n, const char *path)
{
    static const char *const pages[] = {"<!doctype", "<html", "<head",   "<body",
                                        "<?xml",     "<!--",  "<script", "<error"};
    size_t at = 0;
    if (utf8_valid_prefix(data, n) + 4 < n) /* a character may be cut at the end */
        return NULL;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)data[i] < 9 || ((unsigned char)data[i] > 13 && (unsigned char)data[i] < 32))
            return NULL;
    while (at < n && strchr(" \t\r\n", data[at]))
        at++;
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (n - at >= strlen(pages[i]) && !strncasecmp(data + at, pages[i], strlen(pages[i])))
            return web_page;
    if (at < n && data[at] == '{' && memmem(data, n, "\"class_name\"", 12))
        return "is the configuration of a Keras model without its weights: give the .h5 or .keras file";
    if (ends_in(path, ".pbtxt"))
        return "is the graph of a TensorFlow model as text, without its weights: give the .index of its checkpoint";
    if (at < n && (data[at] == '{' || data[at] == '['))
        return "is a JSON text, not a model (a vocabulary is given by setting 'vocab')";
    return "is a text, not a model";
}

/* Binary files without a signature of their own; NULL: not known. */
static const char *kind_of_binary(const unsigned char *data, size_t n, const char *path)
{
    if (n >= 16 && data[0] < 16 && !data[1] && !data[2] && !data[3] &&
        memmem(data, n < 64 ? n : 64, "Spec", 4))
        return "is a CTranslate2 model, which is not read: import what it was converted from";
    if (strstr(path, ".data-0"))
        return "is a shard of a TensorFlow checkpoint: give its .index file";
    if (ends_in(path, ".meta") || ends_in(path, ".ckpt.meta"))
        return "is the graph of a TensorFlow checkpoint, without its weights: give its .index file";
    if (n >= 3 && data[0] == 8 && data[2] == 0x12)
        return data[1] == 1 ? "is the graph of a TensorFlow SavedModel, without its weights: give its "
                              "variables/variables.index"
                            : core_ml;
    if (ends_in(path, ".mlmodel"))
        return core_ml;
    if (data[0] == 0x0a && (ends_in(path, ".pb") || memmem(data, n, "Placeholder", 11)))
        return "is a frozen TensorFlow graph, which is not read: give the checkpoint or SavedModel that it was made from";
    return NULL;
}

/* A safetensors file that ends within its header. */
static bool cut_safetensors(const unsigned char *data, size_t n, uint64_t size, uint64_t *header)
{
    *header = 0;
    for (size_t i = 8; i > 0 && n >= 10; i--)
        *header = *header << 8 | data[i - 1];
    return n >= 10 && data[8] == '{' && data[9] == '"' && *header > size - 8 && *header < (uint64_t)1 << 27;
}

sg_status file_not_read(const char *path, sg_error *err)
{
    char data[LOOK], inside[400];
    uint64_t size = 0, header;
    int fd = -1;
    const char *what = NULL;
    bool torch;
    sg_status st = file_open(&fd, &size, path, err);
    ssize_t n = st == SG_OK ? pread(fd, data, sizeof data, 0) : -1;
    if (fd >= 0)
        close(fd);
    if (st != SG_OK)
        return st;
    if (n <= 0)
        return sg_fail(err, SG_EFORMAT, "%s: is empty", path);
    const file_kind *kind = file_kind_of(data, (size_t)n);
    if (kind && kind->archive) {
        weights_in_archive(inside, &torch, path);
        if (torch)
            return sg_fail(
                err, SG_EFORMAT,
                "%s: is PyTorch's tar format of 2016, which is not read: load it with torch.load and save it "
                "again",
                path);
        return sg_fail(err, SG_EFORMAT, "%s: is %s: %s%s%s", path, kind->name, kind->advice,
                       inside[0] ? " and import one of " : "", inside);
    }
    if (cut_safetensors((const unsigned char *)data, (size_t)n, size, &header))
        return sg_fail(
            err, SG_EFORMAT,
            "%s: is a safetensors file whose header of %llu bytes extends beyond the end of the file at %llu (truncated?)",
            path, (unsigned long long)header, (unsigned long long)size);
    if (kind)
        return file_kind_refuse(kind, path, "a model",
                                "save its arrays with numpy.savez, or the state_dict with torch.save", err);
    what = kind_of_text(data, (size_t)n, path);
    if (!what)
        what = kind_of_binary((const unsigned char *)data, (size_t)n, path);
    return sg_fail(err, SG_EFORMAT,
                   "%s: %s%sexpected safetensors, PyTorch, Keras (HDF5 or .keras), ONNX, TensorFlow "
                   "checkpoint (.index), TensorFlow.js (model.json) or NumPy arrays",
                   path, what ? what : "is not a model file", what ? "; " : ": ");
}
