/* SPDX-License-Identifier: MIT */
#include "io/file_kind.h"

#include "base/base_internal.h"

#include <string.h>
#include <strings.h>

/* Kinds known by bytes at one place. */
static const struct {
    size_t at, n;
    const char *bytes;
    file_kind kind;
} known[] = {
    {0, 2, "\x1f\x8b", {"compressed with gzip", "unpack it", .archive = true}},
    {0, 4, "PK\3\4", {"a zip archive", "unpack it", .archive = true}},
    {4, 6, "1AY&SY", {"a bzip2 archive", "unpack it", .archive = true}},
    {0, 5, "\xfd\x37zXZ", {"an xz archive", "unpack it", .archive = true}},
    {0, 4, "7z\xbc\xaf", {"a 7-Zip archive", "unpack it", .archive = true}},
    {0, 4, "\x28\xb5\x2f\xfd", {"compressed with zstd", "unpack it", .archive = true}},
    {0, 6, "Rar!\x1a\7", {"a RAR archive", "unpack it", .archive = true}},
    {257, 5, "ustar", {"a tar archive", "unpack it", .archive = true}},
    {0, 5, "%PDF-", {"a PDF document", "save its text as UTF-8"}},
    {0, 5, "{\\rtf", {"an RTF document", "save its text as UTF-8"}},
    {0, 8, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", {"an Office document", "save its text as UTF-8"}},
    {0, 8, "\x89PNG\r\n\x1a\n", {"a PNG image"}},
    {0, 3, "\xff\xd8\xff", {"a JPEG image"}},
    {0, 4, "\xff\xfe\0\0", {"UTF-32 text", "convert it to UTF-8 with iconv"}},
    {0, 2, "\xff\xfe", {"UTF-16 text", "convert it to UTF-8 with iconv"}},
    {0, 2, "\xfe\xff", {"UTF-16 text", "convert it to UTF-8 with iconv"}},
    {0,
     23,
     "version https://git-lfs",
     {"a pointer of Git large file storage, not the file itself", "fetch it with git lfs pull"}},
    {0, 8, "\x89HDF\r\n\x1a\n", {"an HDF5 file (of Keras, or a run file)"}},
    {0, 4, "CDF\1", {"a NetCDF file"}},
    {0, 4, "CDF\2", {"a NetCDF file"}},
    {0, 6, "\x93NUMPY", {"an array of NumPy"}},
    {0, 4, "\xba\x16\x4f\x2f", {"a fastText model (.bin)", "give its word vectors, the file .vec"}},
    {4,
     4,
     "TFL3",
     {"a TensorFlow Lite model, which is not read", "import what it was converted from",
      .may_be_text = true}},
    {0,
     4,
     "GGUF",
     {"a GGUF file, which is not read", "import what it was converted from", .may_be_text = true}},
    {0,
     21,
     "rnnoise-nu model file",
     {"a text model of RNNoise (8-bit integers), which is not read", .may_be_text = true}},
    {0,
     22,
     "model_checkpoint_path:",
     {"the list of a folder's TensorFlow checkpoints", "give the .index file that it names",
      .may_be_text = true}},
    {0,
     8,
     "\x12\x01\0\0\0\0\0\0",
     {"a file of MXNet's parameters, which are not read", "save them with numpy.savez"}},
    {0,
     15,
     "\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1",
     {"a file of Torch7 (Lua), which is not read", "convert it to PyTorch"}},
    {0, 8, "\x03\0\0\0\x01\0\0\0", {"a file of Torch7 (Lua), which is not read", "convert it to PyTorch"}},
};

static const file_kind pickle = {"a pickle"}, pickle_of_text = {"a pickle", .may_be_text = true};
static const file_kind web_page = {"a web page", "the download went wrong", .may_be_text = true};
static const file_kind safetensors = {"a safetensors file (a model)"};

static bool begins(const unsigned char *b, size_t n, const char *text)
{
    size_t length = strlen(text);
    return n >= length && !strncasecmp((const char *)b, text, length);
}

/* Protocols 2 to 5 open with a mark and their number; 0 and 1 with what they make. */
static const file_kind *pickle_kind(const unsigned char *b, size_t n)
{
    static const char *const opens[] = {"(dp0\n", "(dp1\n",      "(lp0\n",
                                        "(lp1\n", "ccopy_reg\n", "ccollections\n"};
    if (n >= 2 && b[0] == 0x80 && b[1] >= 1 && b[1] <= 5)
        return &pickle;
    for (size_t i = 0; i < sizeof opens / sizeof *opens; i++)
        if (begins(b, n, opens[i]))
            return &pickle_of_text;
    return NULL;
}

const file_kind *file_kind_of(const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    size_t space = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (n >= known[i].at + known[i].n && !memcmp(b + known[i].at, known[i].bytes, known[i].n))
            return &known[i].kind;
    if (n >= 9 && b[8] == '{' && !b[5] && !b[6] && !b[7]) /* a length of 8 bytes, then JSON */
        return &safetensors;
    while (space < n && b[space] && strchr(" \t\r\n", b[space]))
        space++;
    if (begins(b + space, n - space, "<!doctype") || begins(b + space, n - space, "<html"))
        return &web_page;
    return pickle_kind(b, n);
}

sg_status file_kind_refuse(const file_kind *kind, const char *path, const char *expected, const char *advice,
                           sg_error *err)
{
    if (kind->advice)
        advice = kind->advice;
    return sg_fail(err, SG_EFORMAT, "%s: is %s%s%s%s%s", path, kind->name, expected ? ", expected " : "",
                   expected ? expected : "", advice ? ": " : "", advice ? advice : "");
}
