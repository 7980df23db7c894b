/* SPDX-License-Identifier: MIT */
/* The opcodes of pickle protocols 0 to 5 as data. Nothing is imported, looked up or called. */
#include "io/pickle.h"

#include "base/base_internal.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_NODES = 1 << 20, MAX_ITEMS = 1 << 21, MAX_STACK = 1 << 20, MAX_MEMO = 1 << 20, BLOCK = 4096 };
enum { MAX_TEXT = 1 << 28 };
#define MARK UINT32_MAX

typedef struct {
    uint8_t kind;
    uint32_t n, room; /* items: used, reserved */
    union {
        int64_t i;
        double f;
        uint64_t at; /* text: offset in the data; items: index in the pool; n is the length */
    } u;
} node;

typedef struct {
    uint32_t *at;
    size_t n, room, limit;
} words;

struct pickle {
    const unsigned char *data;
    size_t size, pos;
    node **blocks; /* BLOCK nodes each: growing them copies nothing */
    uint32_t n_nodes, root;
    words pool, stack, memo;
    const char *what;
    bool cut_short;
};

void pickle_free(pickle *p)
{
    if (!p)
        return;
    for (size_t b = 0; p->blocks && b <= MAX_NODES / BLOCK; b++)
        sg_free(p->blocks[b]);
    sg_free(p->blocks);
    sg_free(p->pool.at);
    sg_free(p->stack.at);
    sg_free(p->memo.at);
    sg_free(p);
}

/* ---- reading values ---- */

static node *node_at(const pickle *p, uint32_t id)
{
    return &p->blocks[id / BLOCK][id % BLOCK];
}

static bool has_items(uint8_t kind)
{
    return kind >= PICKLE_TUPLE && kind != PICKLE_GLOBAL;
}

uint32_t pickle_root(const pickle *p)
{
    return p->root;
}

pickle_kind pickle_kind_of(const pickle *p, uint32_t id)
{
    return id && id < p->n_nodes ? (pickle_kind)node_at(p, id)->kind : PICKLE_NONE;
}

int64_t pickle_int(const pickle *p, uint32_t id)
{
    pickle_kind k = pickle_kind_of(p, id);
    return k == PICKLE_BOOL || k == PICKLE_INT ? node_at(p, id)->u.i : 0;
}

double pickle_float(const pickle *p, uint32_t id)
{
    return pickle_kind_of(p, id) == PICKLE_FLOAT ? node_at(p, id)->u.f : (double)pickle_int(p, id);
}

const char *pickle_text(const pickle *p, uint32_t id, size_t *length)
{
    pickle_kind k = pickle_kind_of(p, id);
    *length = 0;
    if (k != PICKLE_STRING && k != PICKLE_BYTES && k != PICKLE_GLOBAL && k != PICKLE_LONG)
        return NULL;
    *length = node_at(p, id)->n;
    return (const char *)p->data + node_at(p, id)->u.at;
}

bool pickle_text_is(const pickle *p, uint32_t id, const char *text)
{
    size_t n;
    const char *t = pickle_text(p, id, &n);
    return t && n == strlen(text) && !memcmp(t, text, n);
}

size_t pickle_items(const pickle *p, uint32_t id)
{
    pickle_kind k = pickle_kind_of(p, id);
    return has_items((uint8_t)k) ? node_at(p, id)->n : 0;
}

uint32_t pickle_item(const pickle *p, uint32_t id, size_t i)
{
    return i < pickle_items(p, id) ? p->pool.at[node_at(p, id)->u.at + i] : 0;
}

uint32_t pickle_get(const pickle *p, uint32_t dict, const char *key)
{
    if (pickle_kind_of(p, dict) != PICKLE_DICT)
        return 0;
    for (size_t i = pickle_items(p, dict); i >= 2; i -= 2)
        if (pickle_text_is(p, pickle_item(p, dict, i - 2), key))
            return pickle_item(p, dict, i - 1);
    return 0;
}

/* The two ways to name a global: one text, or an object without callee that holds module and name. */
static void split_global(const pickle *p, uint32_t id, const char **module, size_t *m, const char **name,
                         size_t *n)
{
    *module = *name = NULL;
    *m = *n = 0;
    if (pickle_kind_of(p, id) == PICKLE_GLOBAL) {
        size_t length;
        const char *text = pickle_text(p, id, &length), *end = memchr(text, '\n', length);
        *module = text;
        *m = end ? (size_t)(end - text) : length;
        *name = end ? end + 1 : text + length;
        *n = end ? length - *m - 1 : 0;
    } else if (pickle_kind_of(p, id) == PICKLE_OBJECT && !pickle_item(p, id, PICKLE_CALLEE)) {
        uint32_t both = pickle_item(p, id, PICKLE_ARGUMENTS);
        *module = pickle_text(p, pickle_item(p, both, 0), m);
        *name = pickle_text(p, pickle_item(p, both, 1), n);
    }
}

bool pickle_is_global(const pickle *p, uint32_t id, const char *module, const char *name)
{
    size_t m, n;
    const char *mt, *nt;
    split_global(p, id, &mt, &m, &nt, &n);
    return mt && nt && m == strlen(module) && n == strlen(name) && !memcmp(mt, module, m) &&
           !memcmp(nt, name, n);
}

const char *pickle_global_name(const pickle *p, uint32_t id, size_t *length)
{
    size_t m;
    const char *module, *name;
    split_global(p, id, &module, &m, &name, length);
    return name;
}

/* ---- building them ---- */

static sg_status bad(pickle *p, sg_error *err, const char *why)
{
    return sg_fail(err, SG_EFORMAT, "%s: pickle at byte %zu: %s", p->what, p->pos, why);
}

static sg_status no_memory(pickle *p, sg_error *err)
{
    return sg_fail(err, SG_ENOMEM, "%s: no memory for the values of a pickle", p->what);
}

static sg_status need(pickle *p, size_t n, const unsigned char **at, sg_error *err)
{
    *at = NULL;
    if (n > p->size - p->pos) {
        p->cut_short = true;
        return bad(p, err, "the file ends inside it (truncated?)");
    }
    *at = p->data + p->pos;
    p->pos += n;
    return SG_OK;
}

static sg_status words_reserve(pickle *p, words *w, size_t n, const char *limit, sg_error *err)
{
    if (n <= w->room)
        return SG_OK;
    if (n > w->limit)
        return bad(p, err, limit);
    size_t room = w->room ? 2 * w->room : 256;
    room = room < n ? n : room;
    room = room > w->limit ? w->limit : room;
    uint32_t *at = sg_regrow(w->at, w->room, room, sizeof *at);
    if (!at)
        return no_memory(p, err);
    w->at = at;
    w->room = room;
    return SG_OK;
}

static sg_status push(pickle *p, uint32_t id, sg_error *err)
{
    sg_status st = words_reserve(p, &p->stack, p->stack.n + 1, "the stack is deeper than 2^20", err);
    if (st == SG_OK)
        p->stack.at[p->stack.n++] = id;
    return st;
}

static sg_status pop(pickle *p, uint32_t *id, sg_error *err)
{
    *id = 0;
    if (!p->stack.n || p->stack.at[p->stack.n - 1] == MARK)
        return bad(p, err, "takes a value from an empty stack");
    *id = p->stack.at[--p->stack.n];
    return SG_OK;
}

static sg_status top(pickle *p, uint32_t *id, sg_error *err)
{
    sg_status st = pop(p, id, err);
    if (st == SG_OK)
        p->stack.n++;
    return st;
}

/* A new node on top of the stack. */
static sg_status make(pickle *p, pickle_kind kind, node **out, sg_error *err)
{
    if (p->n_nodes >= MAX_NODES)
        return bad(p, err, "holds more than 2^20 values");
    if (!p->blocks[p->n_nodes / BLOCK] && !(p->blocks[p->n_nodes / BLOCK] = sg_calloc(BLOCK, sizeof(node))))
        return no_memory(p, err);
    sg_status st = push(p, p->n_nodes, err);
    if (st != SG_OK)
        return st;
    node *n = node_at(p, p->n_nodes++);
    *n = (node){.kind = (uint8_t)kind};
    if (out)
        *out = n;
    return SG_OK;
}

static sg_status make_int(pickle *p, pickle_kind kind, int64_t i, sg_error *err)
{
    node *n = NULL;
    sg_status st = make(p, kind, &n, err);
    if (st == SG_OK)
        n->u.i = i;
    return st;
}

static sg_status make_text(pickle *p, pickle_kind kind, const unsigned char *at, size_t length, sg_error *err)
{
    node *n = NULL;
    if (length > MAX_TEXT)
        return bad(p, err, "a string of more than 2^28 bytes");
    sg_status st = make(p, kind, &n, err);
    if (st == SG_OK) {
        n->u.at = (uint64_t)(at - p->data);
        n->n = (uint32_t)length;
    }
    return st;
}

/* Appends count items to node id. A node's items are contiguous in the pool; one that outgrows its place
 * moves to the end with twice the room. */
static sg_status append(pickle *p, uint32_t id, const uint32_t *items, size_t count, sg_error *err)
{
    node *n = node_at(p, id);
    if (!count)
        return SG_OK;
    if (count > MAX_ITEMS)
        return bad(p, err, "holds more than 2^21 items");
    if (n->n + count > n->room) {
        bool last = n->u.at + n->room == p->pool.n && n->room;
        size_t room = n->n ? 2 * (n->n + count) : count, grow = last ? room - n->room : room;
        sg_status st = words_reserve(p, &p->pool, p->pool.n + grow, "holds more than 2^21 items", err);
        if (st != SG_OK)
            return st;
        if (!last) {
            if (n->n)
                memcpy(p->pool.at + p->pool.n, p->pool.at + n->u.at, n->n * sizeof(uint32_t));
            n->u.at = p->pool.n;
        }
        p->pool.n += grow;
        n->room = (uint32_t)room;
    }
    memcpy(p->pool.at + n->u.at + n->n, items, count * sizeof *items);
    n->n += (uint32_t)count;
    return SG_OK;
}

/* Index of the topmost mark; what stands above it are the arguments. */
static sg_status find_mark(pickle *p, size_t *mark, sg_error *err)
{
    *mark = 0;
    for (size_t i = p->stack.n; i > 0; i--)
        if (p->stack.at[i - 1] == MARK) {
            *mark = i - 1;
            return SG_OK;
        }
    return bad(p, err, "a list without its beginning");
}

/* Replaces the count topmost values (and a mark below them) by one node that holds them. */
static sg_status collect(pickle *p, pickle_kind kind, size_t count, bool marked, sg_error *err)
{
    size_t mark;
    sg_status st;
    if (marked) {
        TRY(find_mark(p, &mark, err));
        count = p->stack.n - mark - 1;
    }
    if (count > p->stack.n)
        TRY(bad(p, err, "takes a value from an empty stack"));
    for (size_t i = p->stack.n - count; i < p->stack.n; i++)
        if (p->stack.at[i] == MARK)
            TRY(bad(p, err, "takes a value from an empty stack"));
    if (kind == PICKLE_DICT && count % 2)
        TRY(bad(p, err, "a dict with a key and no value"));
    TRY(make(p, kind, NULL, err));
    uint32_t id = p->stack.at[--p->stack.n];
    p->stack.n -= count;
    TRY(append(p, id, p->stack.at + p->stack.n, count, err));
    if (marked)
        p->stack.n--;
    TRY(push(p, id, err));
done:
    return st;
}

/* Callee and arguments, already popped, become an inert object on the stack. */
static sg_status make_object(pickle *p, uint32_t callee, uint32_t arguments, sg_error *err)
{
    node *n = NULL;
    sg_status st;
    uint32_t items[PICKLE_OBJECT_ITEMS] = {callee, arguments};
    TRY(make(p, PICKLE_OBJECT, &n, err));
    TRY(append(p, p->stack.at[p->stack.n - 1], items, PICKLE_OBJECT_ITEMS, err));
done:
    return st;
}

/* The dict or list that receives items: the value itself, or an object's own, made at first need. */
static sg_status receiver(pickle *p, uint32_t *id, bool pairs, sg_error *err)
{
    sg_status st = SG_OK;
    pickle_kind k = pickle_kind_of(p, *id);
    if (k == PICKLE_OBJECT) {
        size_t slot = pairs ? PICKLE_ENTRIES : PICKLE_ELEMENTS;
        uint32_t held = pickle_item(p, *id, slot);
        if (!held) {
            TRY(make(p, pairs ? PICKLE_DICT : PICKLE_LIST, NULL, err));
            held = p->stack.at[--p->stack.n];
            p->pool.at[node_at(p, *id)->u.at + slot] = held;
        }
        *id = held;
    } else if (pairs ? k != PICKLE_DICT : k != PICKLE_LIST && k != PICKLE_SET)
        TRY(bad(p, err, "adds items to a value that is not a container"));
done:
    return st;
}

/* SETITEM(S), APPEND(S), ADDITEMS: the count topmost values, or those above the mark, go into the value
 * below. */
static sg_status add_items(pickle *p, bool pairs, size_t count, bool marked, sg_error *err)
{
    size_t mark = 0, first;
    sg_status st;
    if (marked) {
        TRY(find_mark(p, &mark, err));
        count = p->stack.n - mark - 1;
    }
    first = p->stack.n - count;
    size_t below = marked ? mark : first;
    if (count > p->stack.n || !below || p->stack.at[below - 1] == MARK || (pairs && count % 2))
        TRY(bad(p, err, "adds items to nothing"));
    for (size_t i = first; i < p->stack.n; i++)
        if (p->stack.at[i] == MARK)
            TRY(bad(p, err, "adds items to nothing"));
    uint32_t id = p->stack.at[below - 1];
    TRY(receiver(p, &id, pairs, err));
    TRY(append(p, id, p->stack.at + first, count, err));
    p->stack.n = below;
done:
    return st;
}

static sg_status memo_put(pickle *p, uint64_t index, sg_error *err)
{
    sg_status st;
    uint32_t id;
    TRY(top(p, &id, err));
    if (index >= MAX_MEMO)
        TRY(bad(p, err, "the memo is larger than 2^20"));
    TRY(words_reserve(p, &p->memo, (size_t)index + 1, "the memo is larger than 2^20", err));
    if (index >= p->memo.n)
        p->memo.n = (size_t)index + 1;
    p->memo.at[index] = id;
done:
    return st;
}

static sg_status memo_get(pickle *p, uint64_t index, sg_error *err)
{
    if (index >= p->memo.n || !p->memo.at[index])
        return bad(p, err, "refers to a value that was not stored");
    return push(p, p->memo.at[index], err);
}

static uint64_t little(const unsigned char *b, size_t n)
{
    uint64_t x = 0;
    for (size_t i = 0; i < n; i++)
        x |= (uint64_t)b[i] << (8 * i);
    return x;
}

/* One to eight bytes of a little-endian number from the stream. */
static sg_status number(pickle *p, size_t bytes, uint64_t *x, sg_error *err)
{
    const unsigned char *b;
    *x = 0;
    sg_status st = need(p, bytes, &b, err);
    if (st == SG_OK)
        *x = little(b, bytes);
    return st;
}

static sg_status line(pickle *p, const unsigned char **at, size_t *length, sg_error *err)
{
    const unsigned char *end = memchr(p->data + p->pos, '\n', p->size - p->pos);
    *at = NULL;
    *length = 0;
    if (!end) {
        p->cut_short = true;
        return bad(p, err, "the file ends inside it (truncated?)");
    }
    *at = p->data + p->pos;
    *length = (size_t)(end - *at);
    p->pos += *length + 1;
    return SG_OK;
}

static sg_status sized_text(pickle *p, pickle_kind kind, size_t bytes, sg_error *err)
{
    sg_status st;
    uint64_t length;
    const unsigned char *at;
    TRY(number(p, bytes, &length, err));
    TRY(need(p, length > SIZE_MAX ? SIZE_MAX : (size_t)length, &at, err));
    TRY(make_text(p, kind, at, (size_t)length, err));
done:
    return st;
}

/* LONG1, LONG4: two's complement, little-endian. */
static sg_status long_integer(pickle *p, size_t bytes, sg_error *err)
{
    sg_status st;
    uint64_t length;
    const unsigned char *at;
    TRY(number(p, bytes, &length, err));
    TRY(need(p, (size_t)length, &at, err));
    if (length > 8)
        TRY(make_text(p, PICKLE_LONG, at, (size_t)length, err));
    else {
        uint64_t x = little(at, (size_t)length);
        if (length && length < 8 && at[length - 1] & 0x80)
            x |= UINT64_MAX << (8 * length);
        TRY(make_int(p, PICKLE_INT, (int64_t)x, err));
    }
done:
    return st;
}

/* INT, LONG, FLOAT of protocol 0: decimal text on a line. */
static sg_status decimal(pickle *p, bool real, sg_error *err)
{
    sg_status st;
    const unsigned char *at;
    size_t length;
    char text[64], *end;
    node *n = NULL;
    TRY(line(p, &at, &length, err));
    if (!length || length >= sizeof text)
        TRY(bad(p, err, "expected a number on a line"));
    memcpy(text, at, length);
    text[length] = 0;
    if (!real && (!strcmp(text, "00") || !strcmp(text, "01"))) {
        TRY(make_int(p, PICKLE_BOOL, text[1] == '1', err));
        return st;
    }
    double f = real ? strtod(text, &end) : 0;
    long long i = real ? 0 : strtoll(text, &end, 10);
    if (end == text || (*end && *end != 'L'))
        TRY(bad(p, err, "expected a number on a line"));
    TRY(make(p, real ? PICKLE_FLOAT : PICKLE_INT, &n, err));
    if (real)
        n->u.f = f;
    else
        n->u.i = i;
done:
    return st;
}

/* GLOBAL and INST: two lines "module\nname\n"; kept as one text with the line end between. */
static sg_status global_lines(pickle *p, sg_error *err)
{
    sg_status st;
    const unsigned char *module, *name;
    size_t module_length, name_length;
    TRY(line(p, &module, &module_length, err));
    TRY(line(p, &name, &name_length, err));
    TRY(make_text(p, PICKLE_GLOBAL, module, module_length + 1 + name_length, err));
done:
    return st;
}

/* INST: the arguments stand above the mark, the class follows on two lines. OBJ: the class is the first of
 * them. */
static sg_status instance(pickle *p, bool class_on_stack, sg_error *err)
{
    sg_status st;
    uint32_t arguments, class_id;
    if (class_on_stack) {
        size_t mark;
        TRY(find_mark(p, &mark, err));
        if (mark + 1 >= p->stack.n)
            TRY(bad(p, err, "an object without a class"));
        class_id = p->stack.at[mark + 1];
        memmove(p->stack.at + mark + 1, p->stack.at + mark + 2, (p->stack.n - mark - 2) * sizeof(uint32_t));
        p->stack.n--;
    } else {
        TRY(global_lines(p, err));
        class_id = p->stack.at[--p->stack.n];
    }
    TRY(collect(p, PICKLE_TUPLE, 0, true, err));
    TRY(pop(p, &arguments, err));
    TRY(make_object(p, class_id, arguments, err));
done:
    return st;
}

/* STACK_GLOBAL: module and name stand apart in the data, so there is no one text to point to: an object
 * without a callee whose arguments are the two strings. */
static sg_status stack_global(pickle *p, sg_error *err)
{
    sg_status st;
    uint32_t id;
    TRY(collect(p, PICKLE_TUPLE, 2, false, err));
    TRY(pop(p, &id, err));
    if (pickle_kind_of(p, pickle_item(p, id, 0)) != PICKLE_STRING ||
        pickle_kind_of(p, pickle_item(p, id, 1)) != PICKLE_STRING)
        TRY(bad(p, err, "a global without a name"));
    TRY(make_object(p, 0, id, err));
done:
    return st;
}

static sg_status call(pickle *p, bool with_keywords, sg_error *err)
{
    sg_status st;
    uint32_t arguments, callee, keywords;
    if (with_keywords)
        TRY(pop(p, &keywords, err));
    TRY(pop(p, &arguments, err));
    TRY(pop(p, &callee, err));
    TRY(make_object(p, callee, arguments, err));
done:
    return st;
}

static sg_status build(pickle *p, sg_error *err)
{
    sg_status st;
    uint32_t state, id;
    TRY(pop(p, &state, err));
    TRY(top(p, &id, err));
    if (pickle_kind_of(p, id) == PICKLE_OBJECT) /* other values (a set's state, say) keep none */
        p->pool.at[node_at(p, id)->u.at + PICKLE_STATE] = state;
done:
    return st;
}

static sg_status quoted(pickle *p, sg_error *err)
{
    sg_status st;
    const unsigned char *at;
    size_t n;
    TRY(line(p, &at, &n, err));
    if (n < 2 || (at[0] != '\'' && at[0] != '"') || at[n - 1] != at[0])
        TRY(bad(p, err, "a string without quotes"));
    TRY(make_text(p, PICKLE_STRING, at + 1, n - 2, err));
done:
    return st;
}

/* The opcodes that take and leave no more than constants and bytes of the stream. */
static sg_status constant(pickle *p, unsigned char op, bool *known, sg_error *err)
{
    sg_status st = SG_OK;
    const unsigned char *at;
    size_t length;
    uint64_t x;
    node *n = NULL;
    *known = true;
    switch (op) {
    case 'N':
        return make(p, PICKLE_NONE, NULL, err);
    case 0x88:
        return make_int(p, PICKLE_BOOL, 1, err);
    case 0x89:
        return make_int(p, PICKLE_BOOL, 0, err);
    case 'J': /* BININT */
        TRY(number(p, 4, &x, err));
        return make_int(p, PICKLE_INT, (int32_t)(uint32_t)x, err);
    case 'K': /* BININT1 */
        TRY(number(p, 1, &x, err));
        return make_int(p, PICKLE_INT, (int64_t)x, err);
    case 'M': /* BININT2 */
        TRY(number(p, 2, &x, err));
        return make_int(p, PICKLE_INT, (int64_t)x, err);
    case 'I':
    case 'L':
        return decimal(p, false, err);
    case 'F':
        return decimal(p, true, err);
    case 'G': /* BINFLOAT, big-endian */
        TRY(need(p, 8, &at, err));
        TRY(make(p, PICKLE_FLOAT, &n, err));
        x = 0;
        for (int i = 0; i < 8; i++)
            x = x << 8 | at[i];
        memcpy(&n->u.f, &x, sizeof x);
        return SG_OK;
    case 0x8a:
        return long_integer(p, 1, err);
    case 0x8b:
        return long_integer(p, 4, err);
    case 'S':
        return quoted(p, err);
    case 'V':
        TRY(line(p, &at, &length, err));
        return make_text(p, PICKLE_STRING, at, length, err);
    case 'T':
        return sized_text(p, PICKLE_STRING, 4, err);
    case 'U':
        return sized_text(p, PICKLE_STRING, 1, err);
    case 'X':
        return sized_text(p, PICKLE_STRING, 4, err);
    case 0x8c:
        return sized_text(p, PICKLE_STRING, 1, err);
    case 0x8d:
        return sized_text(p, PICKLE_STRING, 8, err);
    case 'B':
        return sized_text(p, PICKLE_BYTES, 4, err);
    case 'C':
        return sized_text(p, PICKLE_BYTES, 1, err);
    case 0x8e:
    case 0x96:
        return sized_text(p, PICKLE_BYTES, 8, err);
    case 'c':
        return global_lines(p, err);
    case ')':
        return make(p, PICKLE_TUPLE, NULL, err);
    case ']':
        return make(p, PICKLE_LIST, NULL, err);
    case '}':
        return make(p, PICKLE_DICT, NULL, err);
    case 0x8f:
        return make(p, PICKLE_SET, NULL, err);
    default:
        *known = false;
    }
done:
    return st;
}

/* The opcodes that work on the stack and the memo. */
static sg_status structure(pickle *p, unsigned char op, sg_error *err)
{
    sg_status st = SG_OK;
    const unsigned char *at;
    size_t length;
    uint64_t x;
    uint32_t id;
    switch (op) {
    case '(':
        return push(p, MARK, err);
    case '0':
        if (p->stack.n && p->stack.at[p->stack.n - 1] == MARK) {
            p->stack.n--;
            return SG_OK;
        }
        return pop(p, &id, err);
    case '1':
        TRY(find_mark(p, &length, err));
        p->stack.n = length;
        return st;
    case '2':
        TRY(top(p, &id, err));
        return push(p, id, err);
    case 't':
        return collect(p, PICKLE_TUPLE, 0, true, err);
    case 0x85:
    case 0x86:
    case 0x87:
        return collect(p, PICKLE_TUPLE, op - 0x84u, false, err);
    case 'l':
        return collect(p, PICKLE_LIST, 0, true, err);
    case 'd':
        return collect(p, PICKLE_DICT, 0, true, err);
    case 0x91:
        return collect(p, PICKLE_SET, 0, true, err);
    case 'a':
        return add_items(p, false, 1, false, err);
    case 'e':
    case 0x90:
        return add_items(p, false, 0, true, err);
    case 's':
        return add_items(p, true, 2, false, err);
    case 'u':
        return add_items(p, true, 0, true, err);
    case 'P':
        TRY(line(p, &at, &length, err));
        TRY(make_text(p, PICKLE_STRING, at, length, err));
        return collect(p, PICKLE_PERSID, 1, false, err);
    case 'Q':
        return collect(p, PICKLE_PERSID, 1, false, err);
    case 'R':
    case 0x81:
        return call(p, false, err);
    case 0x92:
        return call(p, true, err);
    case 'i':
        return instance(p, false, err);
    case 'o':
        return instance(p, true, err);
    case 'b':
        return build(p, err);
    case 0x93:
        return stack_global(p, err);
    case 'g':
    case 'p':
        TRY(line(p, &at, &length, err));
        x = 0;
        if (!length || length > 9)
            TRY(bad(p, err, "expected a memo number"));
        for (size_t i = 0; i < length; i++) {
            if (at[i] < '0' || at[i] > '9')
                TRY(bad(p, err, "expected a memo number"));
            x = 10 * x + (uint64_t)(at[i] - '0');
        }
        return op == 'g' ? memo_get(p, x, err) : memo_put(p, x, err);
    case 'h':
    case 'q':
        TRY(number(p, 1, &x, err));
        return op == 'h' ? memo_get(p, x, err) : memo_put(p, x, err);
    case 'j':
    case 'r':
        TRY(number(p, 4, &x, err));
        return op == 'j' ? memo_get(p, x, err) : memo_put(p, x, err);
    case 0x94:
        return memo_put(p, p->memo.n, err);
    case 0x95:
        return number(p, 8, &x, err); /* FRAME: a hint about reading ahead */
    case 0x80:
        TRY(number(p, 1, &x, err));
        return x > 5 ? bad(p, err, "written in a protocol newer than 5") : SG_OK;
    default:
        p->pos--;
        return sg_fail(err, SG_EFORMAT, "%s: pickle at byte %zu: opcode 0x%02x does not occur in models",
                       p->what, p->pos, op);
    }
done:
    return st;
}

sg_status pickle_read(pickle **out, const unsigned char *data, size_t size, size_t *used, bool *cut_short,
                      const char *what, sg_error *err)
{
    sg_status st = SG_OK;
    *out = NULL;
    if (cut_short)
        *cut_short = false;
    pickle *p = sg_calloc(1, sizeof *p);
    NEED(p && (p->blocks = sg_calloc(MAX_NODES / BLOCK + 1, sizeof *p->blocks)) &&
             (p->blocks[0] = sg_calloc(BLOCK, sizeof(node))),
         err, "the values of a pickle (%s)", what);
    p->data = data;
    p->size = size;
    p->what = what;
    p->n_nodes = 1; /* 0 is "none there" */
    p->pool.limit = MAX_ITEMS;
    p->stack.limit = MAX_STACK;
    p->memo.limit = MAX_MEMO;
    for (;;) {
        const unsigned char *op;
        bool known;
        TRY(need(p, 1, &op, err));
        if (*op == '.')
            break;
        TRY(constant(p, *op, &known, err));
        if (!known)
            TRY(structure(p, *op, err));
    }
    TRY(pop(p, &p->root, err));
    *used = p->pos;
    *out = p;
    p = NULL;
done:
    if (p && cut_short)
        *cut_short = p->cut_short;
    pickle_free(p);
    return st;
}
