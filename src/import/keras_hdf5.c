/* SPDX-License-Identifier: MIT */
/* What is read of HDF5 for Keras files: texts of attributes, and datasets as tensors.
 *
 * Only hard links within the file are followed, only datasets whose bytes are in the file itself (no external
 * files, no virtual datasets) and pass through no filter but deflate, shuffle and the checksum are read. */
#include "import/keras_internal.h"

#include "base/base_internal.h"
#include "io/hdf5.h"
#include "io/file.h"

#include <string.h>

enum { MAX_NAMES = 1 << 13, MAX_TEXT = 1 << 24, MAX_CHUNK = 1 << 25, BLOCK = 1 << 15 };

/* ---- attributes that hold text ---- */

void keras_names_free(keras_names *l)
{
    for (size_t i = 0; i < l->n && l->at; i++)
        sg_free(l->at[i]);
    sg_free(l->at);
    *l = (keras_names){0};
}

static sg_status copy_fixed(keras_names *out, hid_t attribute, hid_t type, size_t n, const tensor_file *b,
                            sg_error *err)
{
    sg_status st = SG_OK;
    size_t width = H5Tget_size(type);
    char *text = NULL;
    if (!width || width > MAX_TEXT / (n ? n : 1))
        return sg_fail(err, SG_EFORMAT, "%s: an attribute of %zu texts of %zu bytes", b->path, n, width);
    NEED(text = sg_calloc(n * width + 1, 1), err, "an attribute (%s)", b->path);
    if (H5Aread(attribute, type, text) < 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: an attribute cannot be read", b->path));
    for (; out->n < n; out->n++)
        NEED(out->at[out->n] = sg_strndup(text + out->n * width, strnlen(text + out->n * width, width)), err,
             "an attribute (%s)", b->path);
done:
    sg_free(text);
    return st;
}

static sg_status copy_variable(keras_names *out, hid_t attribute, hid_t space, size_t n, const tensor_file *b,
                               sg_error *err)
{
    sg_status st = SG_OK;
    char **text = sg_calloc(n, sizeof *text);
    hid_t type = H5Tcopy(H5T_C_S1);
    bool read = false;
    if (!text || type < 0 || H5Tset_size(type, H5T_VARIABLE) < 0)
        TRY(no_memory(err, "an attribute (%s)", b->path));
    hid_t own = H5Aget_type(attribute);
    if (own >= 0) {
        H5Tset_cset(type, H5Tget_cset(own));
        H5Tclose(own);
    }
    if (H5Aread(attribute, type, text) < 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: an attribute cannot be read", b->path));
    read = true;
    for (; out->n < n; out->n++) {
        if (text[out->n] && strlen(text[out->n]) > MAX_TEXT)
            TRY(sg_fail(err, SG_EFORMAT, "%s: an attribute of more than %d bytes", b->path, MAX_TEXT));
        NEED(out->at[out->n] = sg_strdup(text[out->n] ? text[out->n] : ""), err, "an attribute (%s)",
             b->path);
    }
done:
    if (read)
        H5Dvlen_reclaim(type, space, H5P_DEFAULT, text);
    if (type >= 0)
        H5Tclose(type);
    sg_free(text);
    return st;
}

/* The texts of an attribute; none when it is not there. */
sg_status keras_attribute(keras_names *out, hid_t object, const char *name, const tensor_file *b,
                          sg_error *err)
{
    sg_status st = SG_OK;
    hid_t attribute = -1, type = -1, space = -1;
    *out = (keras_names){0};
    if (H5Aexists(object, name) <= 0)
        return SG_OK;
    if ((attribute = H5Aopen(object, name, H5P_DEFAULT)) < 0 || (type = H5Aget_type(attribute)) < 0 ||
        (space = H5Aget_space(attribute)) < 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: attribute %s cannot be read", b->path, name));
    hssize_t n = H5Sget_simple_extent_npoints(space);
    if (n <= 0 || H5Tget_class(type) != H5T_STRING) /* an empty list is stored as float64 */
        goto done;
    if (n > MAX_NAMES)
        TRY(sg_fail(err, SG_EFORMAT, "%s: attribute %s holds %lld texts, at most %d are read", b->path, name,
                    (long long)n, MAX_NAMES));
    NEED(out->at = sg_calloc((size_t)n, sizeof *out->at), err, "an attribute (%s)", b->path);
    if (H5Tis_variable_str(type) > 0)
        TRY(copy_variable(out, attribute, space, (size_t)n, b, err));
    else
        TRY(copy_fixed(out, attribute, type, (size_t)n, b, err));
done:
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    if (attribute >= 0)
        H5Aclose(attribute);
    if (st != SG_OK)
        keras_names_free(out);
    return st;
}

/* Long lists are cut into NAME0, NAME1, ...: HDF5 limits the size of an attribute. */
sg_status keras_read_names(keras_names *out, hid_t object, const char *name, const tensor_file *b,
                           sg_error *err)
{
    sg_status st;
    keras_names part = {0};
    TRY(keras_attribute(out, object, name, b, err));
    for (unsigned k = 0; !H5Aexists(object, name) && k < MAX_NAMES; k++) {
        char numbered[64];
        snprintf(numbered, sizeof numbered, "%s%u", name, k);
        if (H5Aexists(object, numbered) <= 0)
            break;
        TRY(keras_attribute(&part, object, numbered, b, err));
        char **grown = sg_regrow(out->at, out->n, out->n + part.n, sizeof *grown);
        NEED(grown, err, "an attribute (%s)", b->path);
        out->at = grown;
        if (part.n)
            memcpy(out->at + out->n, part.at, part.n * sizeof *part.at);
        out->n += part.n;
        sg_free(part.at);
        part = (keras_names){0};
    }
done:
    keras_names_free(&part);
    if (st != SG_OK)
        keras_names_free(out);
    return st;
}

/* ---- datasets ---- */

/* Every link on the way is a hard one: nothing outside the file is reached, nothing loops. */
bool keras_hard_path(hid_t from, const char *path)
{
    char part[TENSORS_MAX_NAME];
    size_t n = strlen(path);
    if (!n || n >= sizeof part)
        return false;
    for (size_t i = 1; i <= n; i++)
        if (path[i] == '/' || !path[i]) {
            H5L_info_t info;
            memcpy(part, path, i);
            part[i] = 0;
            if (H5Lexists(from, part, H5P_DEFAULT) <= 0 || H5Lget_info(from, part, &info, H5P_DEFAULT) < 0 ||
                info.type != H5L_TYPE_HARD)
                return false;
        }
    return true;
}

static sg_status check_storage(hid_t dataset, const tensor_file *b, const char *name, sg_error *err)
{
    sg_status st = SG_OK;
    hid_t p = H5Dget_create_plist(dataset);
    if (p < 0)
        return sg_fail(err, SG_EFORMAT, "%s: dataset %s cannot be read", b->path, name);
    H5D_layout_t layout = H5Pget_layout(p);
    if (H5Pget_external_count(p) != 0 ||
        (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED))
        TRY(sg_fail(err, SG_EFORMAT, "%s: dataset %s stores its data in other files, which are not read",
                    b->path, name));
    int filters = H5Pget_nfilters(p);
    for (int i = 0; i < filters; i++) {
        unsigned flags;
        size_t n = 0;
        char filter[64] = "";
        H5Z_filter_t id = H5Pget_filter2(p, (unsigned)i, &flags, &n, NULL, sizeof filter, filter, NULL);
        if (id != H5Z_FILTER_DEFLATE && id != H5Z_FILTER_SHUFFLE && id != H5Z_FILTER_FLETCHER32)
            TRY(sg_fail(err, SG_EFORMAT,
                        "%s: dataset %s passes through filter %d %.40s; only deflate, shuffle and "
                        "fletcher32 are read",
                        b->path, name, (int)id, filter));
    }
    if (layout == H5D_CHUNKED) {
        hsize_t chunk[TENSORS_MAX_RANK] = {0}, size = 8;
        int rank = H5Pget_chunk(p, TENSORS_MAX_RANK, chunk);
        for (int k = 0; k < rank && k < TENSORS_MAX_RANK; k++)
            size = chunk[k] && size <= MAX_CHUNK ? size * chunk[k] : MAX_CHUNK + 1;
        if (rank <= 0 || size > MAX_CHUNK)
            TRY(sg_fail(err, SG_EFORMAT, "%s: dataset %s: its chunks are larger than 32 MiB", b->path, name));
    }
done:
    H5Pclose(p);
    return st;
}

static tensor_dtype dtype_of(hid_t type)
{
    size_t n = H5Tget_size(type);
    if (H5Tget_class(type) == H5T_FLOAT)
        return n == 2 ? DTYPE_F16 : n == 4 ? DTYPE_F32 : n == 8 ? DTYPE_F64 : DTYPE_OTHER;
    if (H5Tget_class(type) == H5T_INTEGER)
        return n == 1 ? DTYPE_I8 : n == 2 ? DTYPE_I16 : n == 4 ? DTYPE_I32 : n == 8 ? DTYPE_I64 : DTYPE_OTHER;
    return DTYPE_OTHER;
}

sg_status keras_add_dataset(tensor_file *b, const char *name, unsigned layer, const char *class_name,
                            sg_error *err)
{
    keras *f = b->reader;
    sg_status st = SG_OK;
    hid_t dataset = -1, space = -1, type = -1;
    hsize_t dims[H5S_MAX_RANK];
    uint64_t sizes[TENSORS_MAX_RANK];
    stored_tensor *t;
    if (!keras_hard_path(f->root, name))
        TRY(sg_fail(err, SG_EFORMAT,
                    "%s: dataset %.200s is not in the file itself (missing, or a link to another place)",
                    b->path, name));
    if ((dataset = H5Dopen2(f->root, name, H5P_DEFAULT)) < 0 || (space = H5Dget_space(dataset)) < 0 ||
        (type = H5Dget_type(dataset)) < 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: dataset %.200s cannot be read", b->path, name));
    int rank = H5Sget_simple_extent_ndims(space);
    if (rank < 0 || rank > TENSORS_MAX_RANK || H5Sget_simple_extent_dims(space, dims, NULL) < 0)
        TRY(sg_fail(err, SG_EFORMAT, "%s: dataset %.200s has %d dimensions, at most %d are read", b->path,
                    name, rank, TENSORS_MAX_RANK));
    TRY(check_storage(dataset, b, name, err));
    for (int k = 0; k < rank; k++)
        sizes[k] = dims[k];
    TRY(tensors_add(b, name, dtype_of(type), (unsigned)rank, sizes, NULL, &t, err));
    t->storage = b->n;
    t->container = layer + 1;
    if (class_name[0] && !(t->layer_class = sg_strdup(class_name)))
        TRY(no_memory(err, "the list of tensors (%s)", b->path));
done:
    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    if (dataset >= 0)
        H5Dclose(dataset);
    return st;
}

/* Blocks of whole rows (of the last dimension), or pieces of one row, through a small buffer. */
static sg_status read_rows(const tensor_file *b, const stored_tensor *t, hid_t dataset, hid_t space,
                           float *buffer, tensor_sink sink, void *ctx, sg_error *err)
{
    hsize_t start[TENSORS_MAX_RANK] = {0}, count[TENSORS_MAX_RANK];
    uint64_t columns = t->rank ? t->dims[t->rank - 1] : 1;
    for (uint64_t done = 0; done < t->elements;) {
        uint64_t rest = done, n = columns - done % columns < BLOCK ? columns - done % columns : BLOCK;
        for (unsigned k = t->rank; k > 0; k--) {
            start[k - 1] = rest % t->dims[k - 1];
            rest /= t->dims[k - 1];
            count[k - 1] = 1;
        }
        if (t->rank)
            count[t->rank - 1] = n;
        if (t->rank >= 2 && n == columns && done % columns == 0) { /* several rows at once */
            uint64_t rows = BLOCK / columns, left = t->dims[t->rank - 2] - start[t->rank - 2];
            rows = rows < 1 ? 1 : rows > left ? left : rows;
            count[t->rank - 2] = rows;
            n *= rows;
        }
        hsize_t flat = n;
        hid_t memory = H5Screate_simple(1, &flat, NULL);
        herr_t bad = memory < 0;
        if (!bad && t->rank)
            bad = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0;
        if (!bad)
            bad = H5Dread(dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, buffer) < 0;
        if (memory >= 0)
            H5Sclose(memory);
        if (bad)
            return sg_fail(err, SG_EFORMAT, "%s: dataset %s cannot be read (truncated or damaged)", b->path,
                           t->name);
        sink(ctx, done, 1, buffer, (size_t)n);
        done += n;
    }
    return SG_OK;
}

sg_status keras_read_dataset(tensor_file *b, const stored_tensor *t, tensor_sink sink, void *ctx,
                             sg_error *err)
{
    keras *f = b->reader;
    sg_status st = SG_OK;
    hid_t dataset = -1, space = -1;
    float *buffer = NULL;
    if (!dtype_is_float(t->dtype))
        return sg_fail(err, SG_EFORMAT, "%s: tensor %s holds %s, expected floating-point numbers", b->path,
                       t->name, dtype_name(t->dtype));
    if (!(buffer = sg_calloc(BLOCK, sizeof *buffer)))
        return no_memory(err, "tensor %s (%s)", t->name, b->path);
    hdf5_lock();
    if ((dataset = H5Dopen2(f->root, t->name, H5P_DEFAULT)) < 0 || (space = H5Dget_space(dataset)) < 0)
        st = sg_fail(err, SG_EFORMAT, "%s: dataset %s cannot be read", b->path, t->name);
    else
        st = read_rows(b, t, dataset, space, buffer, sink, ctx, err);
    if (space >= 0)
        H5Sclose(space);
    if (dataset >= 0)
        H5Dclose(dataset);
    hdf5_unlock();
    sg_free(buffer);
    return st;
}

/* ---- what libhdf5 does not check itself ---- */

/* A global heap collection (where variable-length text lies): "GCOL", version 1, size; then objects of 16
 * bytes and their data. libhdf5 1.10 walks a free-space object of size 0 for ever. Returns false for such a
 * collection. */
static bool heap_is_sound(const unsigned char *at, uint64_t size)
{
    uint64_t pos = 16;
    while (pos + 16 <= size) {
        uint64_t n = 0;
        for (size_t k = 8; k > 0; k--)
            n = n << 8 | at[pos + 7 + k];
        bool free_space = !(at[pos] | at[pos + 1]);
        if (n > size - pos || (free_space && n < 16))
            return false;
        pos += free_space ? n : 16 + (n + 7) / 8 * 8;
    }
    return true;
}

static sg_status pread_h5(tensor_file *b, uint64_t at, void *bytes, size_t n, sg_error *err)
{
    const keras *f = b->reader;
    return file_pread(f->fd >= 0 ? f->fd : b->fd, f->size, at, bytes, n, b->path, err);
}

/* Looks for collections in the whole file; sizes of 8 bytes are what Keras's files have. */
static sg_status check_heaps(tensor_file *b, sg_error *err)
{
    const keras *f = b->reader;
    enum { WINDOW = 1 << 16, MAX_HEAP = 1 << 26 };
    sg_status st = SG_OK;
    unsigned char *window = sg_calloc(WINDOW, 1), *heap = NULL;
    uint64_t walked = 0; /* heaps do not overlap: together they are smaller than the file */
    if (!window)
        return no_memory(err, "%s", b->path);
    for (uint64_t at = 0; at + 16 <= f->size; at += WINDOW - 16) {
        size_t n = f->size - at < WINDOW ? (size_t)(f->size - at) : WINDOW;
        TRY(pread_h5(b, at, window, n, err));
        for (size_t i = 0; i + 16 <= n; i++) {
            if (window[i] != 'G' || memcmp(window + i, "GCOL\1\0\0\0", 8) != 0)
                continue;
            uint64_t size = 0;
            for (size_t k = 8; k > 0; k--)
                size = size << 8 | window[i + 7 + k];
            if (size < 16 || size > f->size - at - i || size > MAX_HEAP || (walked += size) > f->size)
                TRY(sg_fail(err, SG_EFORMAT, "%s: damaged: its heap at byte %llu reaches beyond its end",
                            b->path, (unsigned long long)(at + i)));
            NEED(heap = sg_calloc((size_t)size, 1), err, "%s", b->path);
            TRY(pread_h5(b, at + i, heap, (size_t)size, err));
            if (!heap_is_sound(heap, size))
                TRY(sg_fail(err, SG_EFORMAT, "%s: damaged: its heap at byte %llu", b->path,
                            (unsigned long long)(at + i)));
            sg_free(heap);
            heap = NULL;
        }
    }
done:
    sg_free(heap);
    sg_free(window);
    return st;
}

/* Offsets and lengths of 8 bytes, as h5py and Keras write them; anything else would be walked unchecked. */
sg_status keras_check_superblock(tensor_file *b, sg_error *err)
{
    unsigned char head[16];
    sg_status st = pread_h5(b, 0, head, sizeof head, err);
    if (st != SG_OK)
        return st;
    size_t at = head[8] < 2 ? 13 : 9;
    if (head[8] > 3 || head[at] != 8 || head[at + 1] != 8)
        return sg_fail(err, SG_EFORMAT, "%s: an HDF5 file of version %u with offsets of %u bytes, expected 8",
                       b->path, head[8], head[at]);
    return check_heaps(b, err);
}
