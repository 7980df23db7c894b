/* SPDX-License-Identifier: MIT */
/* Constants of an ONNX graph as views: boxes of initializers, moved about by Slice, Concat, Unsqueeze,
 * Squeeze, Transpose, Reshape, Identity and Cast. Nothing is computed or copied until a view is read. */
#include "import/onnx_internal.h"

#include "base/base_internal.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 48, MAX_STEPS = 1 << 18 };

/* ---- lists of whole numbers ---- */

/* Up to 16 whole numbers of a tensor. */
static bool tensor_ints(const Onnx__TensorProto *t, int64_t out[16], size_t *n)
{
    if ((t->data_type != 7 && t->data_type != 6) || t->n_external_data || t->segment) /* a large one */
        return false;
    size_t width = t->data_type == 7 ? 8 : 4;
    *n = t->has_raw_data ? t->raw_data.len / width : width == 8 ? t->n_int64_data : t->n_int32_data;
    if (*n > 16)
        return false;
    for (size_t i = 0; i < *n; i++) {
        uint64_t x = 0;
        for (size_t k = 0; k < width && t->has_raw_data; k++)
            x |= (uint64_t)t->raw_data.data[i * width + k] << (8 * k);
        out[i] = t->has_raw_data ? (width == 8 ? (int64_t)x : (int64_t)(int32_t)(uint32_t)x)
                 : width == 8    ? t->int64_data[i]
                                 : t->int32_data[i];
    }
    return true;
}

/* Up to 16 whole numbers of a constant (axes, starts, shapes). */
static bool constant_ints(const tensor_file *b, const char *name, uint32_t from, int64_t out[16], size_t *n)
{
    onnx_value v = onnx_lookup(b, name, from);
    const Onnx__TensorProto *t = v.what == ONNX_TENSOR ? v.tensor : NULL;
    if (v.what == ONNX_NODE && onnx_is(onnx_node_at(b, v.node)->proto, "Constant")) {
        const Onnx__NodeProto *node = onnx_node_at(b, v.node)->proto;
        const Onnx__AttributeProto *a = onnx_attribute(node, "value");
        t = a ? a->t : NULL;
        if ((a = onnx_attribute(node, "value_int")) || (a = onnx_attribute(node, "value_ints"))) {
            *n = a->n_ints ? a->n_ints : 1;
            if (*n > 16)
                return false;
            for (size_t i = 0; i < *n; i++)
                out[i] = a->n_ints ? a->ints[i] : a->i;
            return true;
        }
    }
    return t && tensor_ints(t, out, n);
}

/* A list of numbers that newer operator sets take as input k, older ones as an attribute. */
static bool node_ints(const tensor_file *b, const onnx_node *n, size_t k, const char *attribute,
                      int64_t out[16], size_t *count)
{
    if (k < n->proto->n_input && onnx_text(n->proto->input[k])[0])
        return constant_ints(b, n->proto->input[k], n->graph, out, count);
    const Onnx__AttributeProto *a = onnx_attribute(n->proto, attribute);
    if (!a || a->n_ints > 16)
        return false;
    *count = a->n_ints;
    memcpy(out, a->ints, a->n_ints * sizeof *out);
    return true;
}

static void insert_axis(onnx_view *v, unsigned at)
{
    for (unsigned k = v->rank; k > at; k--)
        v->dims[k] = v->dims[k - 1];
    v->dims[at] = 1;
    for (size_t i = 0; i < v->n; i++) {
        onnx_piece *p = &v->pieces[i];
        for (unsigned k = v->rank; k > at; k--) {
            p->stride[k] = p->stride[k - 1];
            p->start[k] = p->start[k - 1];
            p->count[k] = p->count[k - 1];
        }
        p->stride[at] = 0;
        p->start[at] = 0;
        p->count[at] = 1;
    }
    v->rank++;
}

static void remove_axis(onnx_view *v, unsigned at)
{
    v->rank--;
    for (unsigned k = at; k < v->rank; k++)
        v->dims[k] = v->dims[k + 1];
    for (size_t i = 0; i < v->n; i++)
        for (unsigned k = at; k < v->rank; k++) {
            onnx_piece *p = &v->pieces[i];
            p->stride[k] = p->stride[k + 1];
            p->start[k] = p->start[k + 1];
            p->count[k] = p->count[k + 1];
        }
}

static int by_number(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static bool apply_unsqueeze(onnx_view *v, int64_t *axes, size_t n)
{
    int64_t rank = (int64_t)v->rank + (int64_t)n;
    if (rank > TENSORS_MAX_RANK)
        return false;
    for (size_t i = 0; i < n; i++)
        axes[i] += axes[i] < 0 ? rank : 0;
    qsort(axes, n, sizeof *axes, by_number);
    for (size_t i = 0; i < n; i++) {
        if (axes[i] < 0 || axes[i] > v->rank || (i && axes[i] == axes[i - 1]))
            return false;
        insert_axis(v, (unsigned)axes[i]);
    }
    return true;
}

static bool apply_squeeze(onnx_view *v, int64_t *axes, size_t n, bool all)
{
    for (size_t i = 0; i < n; i++)
        axes[i] += axes[i] < 0 ? (int64_t)v->rank : 0;
    for (unsigned k = v->rank; k > 0; k--) {
        bool wanted = all && v->dims[k - 1] == 1;
        for (size_t i = 0; i < n; i++)
            wanted |= axes[i] == (int64_t)k - 1;
        if (wanted && v->dims[k - 1] != 1)
            return false;
        if (wanted)
            remove_axis(v, k - 1);
    }
    return true;
}

static bool apply_transpose(onnx_view *v, const Onnx__AttributeProto *perm)
{
    onnx_view old = *v;
    bool seen[TENSORS_MAX_RANK] = {false};
    if (perm && perm->n_ints != v->rank)
        return false;
    for (unsigned k = 0; k < v->rank; k++) {
        int64_t from = perm ? perm->ints[k] : (int64_t)(v->rank - 1 - k);
        if (from < 0 || from >= v->rank || seen[from])
            return false;
        seen[from] = true;
        v->dims[k] = old.dims[from];
        for (size_t i = 0; i < v->n; i++) {
            v->pieces[i].stride[k] = old.pieces[i].stride[from];
            v->pieces[i].start[k] = old.pieces[i].start[from];
            v->pieces[i].count[k] = old.pieces[i].count[from];
        }
    }
    return true;
}

/* [start, end) of one axis with step 1, as NumPy clips it. */
static bool slice_axis(onnx_view *v, int64_t axis, int64_t start, int64_t end, int64_t step)
{
    axis += axis < 0 ? v->rank : 0;
    if (axis < 0 || axis >= v->rank || step != 1)
        return false;
    int64_t size = (int64_t)v->dims[axis];
    start += start < 0 ? size : 0;
    end += end < 0 ? size : 0;
    start = start < 0 ? 0 : start > size ? size : start;
    end = end < 0 ? 0 : end > size ? size : end;
    if (end <= start)
        return false;
    uint64_t a = (uint64_t)start, z = (uint64_t)end;
    size_t kept = 0;
    for (size_t i = 0; i < v->n; i++) {
        onnx_piece p = v->pieces[i];
        uint64_t from = p.start[axis] > a ? p.start[axis] : a, to = p.start[axis] + p.count[axis];
        to = to < z ? to : z;
        if (from >= to)
            continue;
        p.offset += (from - p.start[axis]) * p.stride[axis];
        p.start[axis] = from - a;
        p.count[axis] = to - from;
        v->pieces[kept++] = p;
    }
    v->n = kept;
    v->dims[axis] = z - a;
    return true;
}

static bool apply_slice(onnx_view *v, const tensor_file *b, const onnx_node *n)
{
    int64_t starts[16], ends[16], axes[16], steps[16];
    size_t n_starts, n_ends, n_axes, n_steps;
    if (!node_ints(b, n, 1, "starts", starts, &n_starts) || !node_ints(b, n, 2, "ends", ends, &n_ends) ||
        n_starts != n_ends)
        return false;
    if (!node_ints(b, n, 3, "axes", axes, &n_axes))
        for (n_axes = 0; n_axes < n_starts; n_axes++)
            axes[n_axes] = (int64_t)n_axes;
    if (!node_ints(b, n, 4, "steps", steps, &n_steps))
        for (n_steps = 0; n_steps < n_starts; n_steps++)
            steps[n_steps] = 1;
    if (n_axes != n_starts || n_steps != n_starts)
        return false;
    for (size_t i = 0; i < n_starts; i++)
        if (!slice_axis(v, axes[i], starts[i], ends[i], steps[i]))
            return false;
    return true;
}

/* Is it one box in storage order? *elements: how many. */
static bool is_untouched(const onnx_view *v, uint64_t *elements)
{
    *elements = 1;
    for (unsigned k = v->rank; k > 0; k--) {
        if (v->n != 1 || (v->dims[k - 1] > 1 && v->pieces[0].stride[k - 1] != *elements))
            return false;
        *elements *= v->dims[k - 1];
    }
    return v->n == 1;
}

/* Only of a whole, untouched initializer. */
static bool apply_reshape(onnx_view *v, const int64_t *shape, size_t n)
{
    uint64_t dims[TENSORS_MAX_RANK], elements, known = 1;
    int infer = -1;
    if (!is_untouched(v, &elements) || n > TENSORS_MAX_RANK || n == 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (shape[i] == -1 && infer < 0) {
            infer = (int)i;
            continue;
        }
        uint64_t d = shape[i] == 0 && i < v->rank ? v->dims[i] : (uint64_t)shape[i];
        if (shape[i] < 0 || !d || known > elements / d)
            return false;
        dims[i] = d;
        known *= d;
    }
    if (elements % known || (infer < 0 && known != elements))
        return false;
    if (infer >= 0)
        dims[infer] = elements / known;
    v->rank = (unsigned)n;
    onnx_piece *p = &v->pieces[0];
    for (size_t k = n, step = 1; k > 0; k--) {
        v->dims[k - 1] = p->count[k - 1] = dims[k - 1];
        p->start[k - 1] = 0;
        p->stride[k - 1] = step;
        step *= dims[k - 1];
    }
    return true;
}

static bool join(onnx_view *v, const onnx_view *other, unsigned axis)
{
    if (v->rank != other->rank || axis >= v->rank || v->n + other->n > ONNX_MAX_PIECES)
        return false;
    for (unsigned k = 0; k < v->rank; k++)
        if (k != axis && v->dims[k] != other->dims[k])
            return false;
    for (size_t i = 0; i < other->n; i++) {
        v->pieces[v->n] = other->pieces[i];
        v->pieces[v->n++].start[axis] += v->dims[axis];
    }
    return !__builtin_add_overflow(v->dims[axis], other->dims[axis], &v->dims[axis]);
}

static bool whole_tensor(onnx_view *v, const tensor_file *b, const Onnx__TensorProto *t)
{
    const onnx *f = b->reader;
    for (size_t i = 0; i < b->n; i++) {
        if (f->tensors[b->tensors[i].storage] != t)
            continue;
        const stored_tensor *from = &b->tensors[i];
        *v = (onnx_view){.rank = from->rank, .n = 1};
        v->pieces[0].tensor = (uint32_t)i;
        for (unsigned k = 0; k < from->rank; k++) {
            v->dims[k] = v->pieces[0].count[k] = from->dims[k];
            v->pieces[0].stride[k] = from->strides[k];
        }
        return dtype_is_float(from->dtype) && from->elements > 0;
    }
    return false;
}

typedef enum { VIEW_NONE, VIEW_FINE, VIEW_STUCK } view_result;

static view_result resolve(onnx_view *v, const tensor_file *b, const char *name, uint32_t from,
                           unsigned depth, const char **stuck);

static view_result resolve_concat(onnx_view *v, const tensor_file *b, const onnx_node *n, unsigned depth,
                                  const char **stuck)
{
    const Onnx__NodeProto *p = n->proto;
    view_result r = p->n_input ? resolve(v, b, p->input[0], n->graph, depth + 1, stuck) : VIEW_NONE;
    onnx_view *other = r == VIEW_FINE ? sg_calloc(1, sizeof *other) : NULL;
    int64_t axis = onnx_attribute_int(p, "axis", 0);
    if (r == VIEW_FINE && !other)
        r = VIEW_STUCK;
    axis += axis < 0 && r == VIEW_FINE ? v->rank : 0;
    for (size_t i = 1; i < p->n_input && r == VIEW_FINE; i++) {
        r = resolve(other, b, p->input[i], n->graph, depth + 1, stuck);
        if (r == VIEW_FINE && (axis < 0 || !join(v, other, (unsigned)axis)))
            r = VIEW_STUCK;
    }
    sg_free(other);
    return r;
}

/* Operators that put numbers elsewhere and change none. */
static bool moves_only(const Onnx__NodeProto *p)
{
    static const char *const known[] = {"Identity", "Cast",      "Dropout", "Unsqueeze",
                                        "Squeeze",  "Transpose", "Slice",   "Reshape"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (onnx_is(p, known[i]))
            return true;
    return false;
}

static view_result resolve_node(onnx_view *v, const tensor_file *b, const onnx_node *n, unsigned depth,
                                const char **stuck)
{
    const Onnx__NodeProto *p = n->proto;
    int64_t list[16];
    size_t count = 0;
    bool fine = false;
    if (onnx_is(p, "Constant")) {
        const Onnx__AttributeProto *a = onnx_attribute(p, "value");
        return a && a->t && whole_tensor(v, b, a->t) ? VIEW_FINE : VIEW_NONE;
    }
    if (onnx_is(p, "Concat"))
        return resolve_concat(v, b, n, depth, stuck);
    if (!moves_only(p)) { /* arithmetic: on constants alone it is one too, but not one that is read */
        for (size_t i = 0; i < p->n_input; i++)
            if (onnx_text(p->input[i])[0] &&
                resolve(v, b, p->input[i], n->graph, depth + 1, stuck) == VIEW_NONE)
                return VIEW_NONE;
        *stuck = onnx_text(p->op_type);
        return p->n_input ? VIEW_STUCK : VIEW_NONE;
    }
    view_result r = p->n_input ? resolve(v, b, p->input[0], n->graph, depth + 1, stuck) : VIEW_NONE;
    if (r != VIEW_FINE)
        return r;
    if (onnx_is(p, "Identity") || onnx_is(p, "Cast") || onnx_is(p, "Dropout"))
        fine = true;
    else if (onnx_is(p, "Unsqueeze"))
        fine = node_ints(b, n, 1, "axes", list, &count) && apply_unsqueeze(v, list, count);
    else if (onnx_is(p, "Squeeze")) {
        bool given = node_ints(b, n, 1, "axes", list, &count);
        fine = (given || p->n_input < 2) && apply_squeeze(v, list, count, !given);
    } else if (onnx_is(p, "Transpose"))
        fine = apply_transpose(v, onnx_attribute(p, "perm"));
    else if (onnx_is(p, "Slice"))
        fine = apply_slice(v, b, n);
    else if (onnx_is(p, "Reshape"))
        fine = node_ints(b, n, 1, "shape", list, &count) && apply_reshape(v, list, count);
    if (!fine)
        *stuck = onnx_text(p->op_type);
    return fine ? VIEW_FINE : VIEW_STUCK;
}

static view_result resolve(onnx_view *v, const tensor_file *b, const char *name, uint32_t from,
                           unsigned depth, const char **stuck)
{
    onnx_value value = onnx_lookup(b, name, from);
    if (depth > MAX_DEPTH ||
        ++((onnx *)b->reader)->steps > MAX_STEPS) { /* also what a circle of nodes comes to */
        *stuck = "too many operators, or a cycle of them";
        return VIEW_STUCK;
    }
    if (value.what == ONNX_TENSOR)
        return whole_tensor(v, b, value.tensor) ? VIEW_FINE : VIEW_NONE;
    if (value.what == ONNX_NODE)
        return resolve_node(v, b, onnx_node_at(b, value.node), depth, stuck);
    return VIEW_NONE;
}

/* "W", or "W_i + W_f" when it is put together from several. */
static void view_name(char out[TENSORS_MAX_NAME], const tensor_file *b, const onnx_view *v)
{
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < v->n; i++) {
        bool named = false;
        for (size_t k = 0; k < i; k++)
            named |= v->pieces[k].tensor == v->pieces[i].tensor;
        const char *name = b->tensors[v->pieces[i].tensor].name;
        if (!named && n + strlen(name) + 4 < TENSORS_MAX_NAME)
            n += (size_t)snprintf(out + n, TENSORS_MAX_NAME - n, "%s%s", n ? " + " : "", name);
    }
}

sg_status onnx_constant(const stored_tensor **out, const tensor_file *b, const char *name, uint32_t from,
                        const char *what, sg_error *err)
{
    onnx *f = b->reader;
    sg_status st = SG_OK;
    char text[TENSORS_MAX_NAME];
    const char *stuck = "an operator with inputs that are not constants";
    onnx_view *v = NULL;
    *out = NULL;
    if (f->n_views == ONNX_MAX_VIEWS)
        TRY(sg_fail(err, SG_EFORMAT, "%s: more than %d constants of recurrent layers", b->path,
                    ONNX_MAX_VIEWS));
    NEED(v = sg_calloc(1, sizeof *v), err, "%s (%s)", what, b->path);
    view_result r = resolve(v, b, name, from, 0, &stuck);
    if (r == VIEW_STUCK)
        TRY(sg_fail(err, SG_EFORMAT, "%s: %s (%.200s) passes through %s, which is not supported", b->path,
                    what, onnx_text(name), stuck));
    if (r == VIEW_NONE)
        goto done;
    stored_tensor t = {.dtype = DTYPE_F32, .rank = v->rank, .elements = 1, .storage = f->n_views};
    for (unsigned k = v->rank; k > 0; k--) {
        t.dims[k - 1] = v->dims[k - 1];
        t.strides[k - 1] = t.elements;
        if (__builtin_mul_overflow(t.elements, t.dims[k - 1], &t.elements) || t.elements > UINT64_MAX / 16)
            TRY(sg_fail(err, SG_EFORMAT, "%s: the size of %s overflows", b->path, what));
    }
    view_name(text, b, v);
    NEED(t.name = sg_strdup(text), err, "%s (%s)", what, b->path);
    f->views[f->n_views] = v;
    v = NULL;
    f->view_tensors[f->n_views] = t;
    *out = &f->view_tensors[f->n_views++];
done:
    sg_free(v);
    return st;
}

bool onnx_same(const tensor_file *b, const stored_tensor *x, const stored_tensor *y)
{
    const onnx *f = b->reader;
    if (!x || !y)
        return x == y;
    const onnx_view *v = f->views[x->storage], *w = f->views[y->storage];
    if (v->rank != w->rank || v->n != w->n || memcmp(v->dims, w->dims, v->rank * sizeof *v->dims) != 0)
        return false;
    for (size_t i = 0; i < v->n; i++) {
        const onnx_piece *p = &v->pieces[i], *q = &w->pieces[i];
        size_t bytes = v->rank * sizeof *p->stride;
        if (p->tensor != q->tensor || p->offset != q->offset || memcmp(p->stride, q->stride, bytes) != 0 ||
            memcmp(p->start, q->start, bytes) != 0 || memcmp(p->count, q->count, bytes) != 0)
            return false;
    }
    return true;
}

/* ---- reading ---- */

typedef struct {
    const onnx_view *v;
    const onnx_piece *p;
    tensor_sink sink;
    void *ctx;
} placement;

/* From the index within the box to that within the view. */
static void place(void *ctx, uint64_t first, uint64_t stride, const float *x, size_t n)
{
    const placement *to = ctx;
    const onnx_view *v = to->v;
    for (size_t i = 0; i < n; i++) {
        uint64_t index = first + i * stride, logical = 0, step = 1;
        for (unsigned k = v->rank; k > 0; k--) {
            logical += (to->p->start[k - 1] + index % to->p->count[k - 1]) * step;
            index /= to->p->count[k - 1];
            step *= v->dims[k - 1];
        }
        to->sink(to->ctx, logical, 1, &x[i], 1);
    }
}

sg_status onnx_read(tensor_file *b, const stored_tensor *t, tensor_sink sink, void *ctx, sg_error *err)
{
    const onnx *f = b->reader;
    const onnx_view *v = f->views[t->storage];
    sg_status st = SG_OK;
    for (size_t i = 0; i < v->n; i++) {
        const onnx_piece *p = &v->pieces[i];
        placement whole = {v, p, sink, ctx};
        stored_tensor box = b->tensors[p->tensor]; /* borrows its name */
        box.rank = v->rank;
        box.offset = p->offset;
        box.elements = 1;
        for (unsigned k = 0; k < v->rank; k++) {
            box.dims[k] = p->count[k];
            box.strides[k] = p->stride[k];
            box.elements *= p->count[k];
        }
        if (box.elements == t->elements)
            TRY(tensors_read_strided(b, &box, onnx_fetch, sink, ctx, err));
        else
            TRY(tensors_read_strided(b, &box, onnx_fetch, place, &whole, err));
    }
done:
    return st;
}
