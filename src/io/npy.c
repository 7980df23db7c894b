/* SPDX-License-Identifier: MIT */
/* The header of a NumPy array file. */
#include "io/npy.h"

#include "base/base_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- the header: a Python dict of three entries, {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4),
 * } ---- */

static const char *after_key(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    if (!at)
        return NULL;
    at += strlen(key);
    at += strspn(at, " ");
    if (*at++ != ':')
        return NULL;
    return at + strspn(at, " ");
}

static bool parse_descr(npy_header *h, const char *text)
{
    static const struct {
        const char *descr;
        tensor_dtype d;
    } known[] = {{"'<f4'", DTYPE_F32}, {"'<f8'", DTYPE_F64}, {"'<f2'", DTYPE_F16},
                 {"'<i8'", DTYPE_I64}, {"'<i4'", DTYPE_I32}, {"'<i2'", DTYPE_I16},
                 {"'|i1'", DTYPE_I8},  {"'|u1'", DTYPE_U8},  {"'|b1'", DTYPE_BOOL}};
    const char *at = after_key(text, "'descr'");
    for (size_t i = 0; at && i < sizeof known / sizeof *known; i++)
        if (!strncmp(at, known[i].descr, 5)) {
            h->dtype = known[i].d;
            return true;
        }
    return false;
}

static bool parse_shape(npy_header *h, const char *text)
{
    const char *at = after_key(text, "'shape'");
    if (!at || *at++ != '(')
        return false;
    for (;;) {
        at += strspn(at, " ,");
        if (*at == ')')
            return true;
        if (*at < '0' || *at > '9' || h->rank == NPY_MAX_RANK || strspn(at, "0123456789") > 18)
            return false;
        char *end;
        h->dims[h->rank++] = strtoull(at, &end, 10);
        at = end;
    }
}

sg_status npy_parse(npy_header *out, const unsigned char *head, size_t n, const char *name, sg_error *err)
{
    char text[NPY_MAX_HEADER];
    *out = (npy_header){0};
    if (n < 12 || memcmp(head, "\x93NUMPY", 6) != 0 || head[6] < 1 || head[6] > 3)
        return sg_fail(err, SG_EFORMAT, "%s: not a NumPy array file (.npy)", name);
    size_t start = head[6] == 1 ? 10 : 12, length = head[8] | (size_t)head[9] << 8;
    if (head[6] > 1)
        length |= (size_t)head[10] << 16 | (size_t)head[11] << 24;
    if (length >= sizeof text || start + length > n)
        return sg_fail(err, SG_EFORMAT, "%s: its header has %zu bytes, expected at most %d (truncated?)",
                       name, length, NPY_MAX_HEADER - 16);
    memcpy(text, head + start, length);
    text[length] = 0;
    const char *order = after_key(text, "'fortran_order'");
    if (!parse_descr(out, text))
        return sg_fail(err, SG_EFORMAT,
                       "%s: expected little-endian floats (<f4, <f8, <f2) or integers, header is %.100s",
                       name, text);
    if (!order || !parse_shape(out, text))
        return sg_fail(err, SG_EFORMAT, "%s: a header that NumPy does not write: %.100s", name, text);
    out->fortran = !strncmp(order, "True", 4);
    out->data = start + length;
    return SG_OK;
}
