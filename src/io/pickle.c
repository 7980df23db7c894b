/* SPDX-License-Identifier: MIT */
/* The opcodes of pickle protocols 0 to 5 as data. Nothing is imported, looked up or called. */
#include "io/pickle_internal.h"

#include "base/base_internal.h"

#include <stdlib.h>
#include <string.h>

static sg_status need(pickle *p, size_t n, const unsigned char **at, sg_error *err)
{
    *at = NULL;
    if (n > p->size - p->pos) {
        p->cut_short = true;
        return pickle_bad(p, err, "the file ends inside it (truncated?)");
    }
    *at = p->data + p->pos;
    p->pos += n;
    return SG_OK;
}

static uint64_t read_little_endian(const unsigned char *b, size_t n)
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
        *x = read_little_endian(b, bytes);
    return st;
}

static sg_status line(pickle *p, const unsigned char **at, size_t *length, sg_error *err)
{
    const unsigned char *end = memchr(p->data + p->pos, '\n', p->size - p->pos);
    *at = NULL;
    *length = 0;
    if (!end) {
        p->cut_short = true;
        return pickle_bad(p, err, "the file ends inside it (truncated?)");
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
    TRY(pickle_make_text(p, kind, at, (size_t)length, err));
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
        TRY(pickle_make_text(p, PICKLE_LONG, at, (size_t)length, err));
    else {
        uint64_t x = read_little_endian(at, (size_t)length);
        if (length && length < 8 && at[length - 1] & 0x80)
            x |= UINT64_MAX << (8 * length);
        TRY(pickle_make_int(p, PICKLE_INT, (int64_t)x, err));
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
    pickle_node *n = NULL;
    TRY(line(p, &at, &length, err));
    if (!length || length >= sizeof text)
        TRY(pickle_bad(p, err, "expected a number on a line"));
    memcpy(text, at, length);
    text[length] = 0;
    if (!real && (!strcmp(text, "00") || !strcmp(text, "01"))) {
        TRY(pickle_make_int(p, PICKLE_BOOL, text[1] == '1', err));
        return st;
    }
    double f = real ? strtod(text, &end) : 0;
    long long i = real ? 0 : strtoll(text, &end, 10);
    if (end == text || (*end && *end != 'L'))
        TRY(pickle_bad(p, err, "expected a number on a line"));
    TRY(pickle_make(p, real ? PICKLE_FLOAT : PICKLE_INT, &n, err));
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
    TRY(pickle_make_text(p, PICKLE_GLOBAL, module, module_length + 1 + name_length, err));
done:
    return st;
}

/* INST: the arguments are above the mark, the class follows on two lines. OBJ: the class is the first of
 * them. */
static sg_status instance(pickle *p, bool class_on_stack, sg_error *err)
{
    sg_status st;
    uint32_t arguments, class_id;
    if (class_on_stack) {
        size_t mark;
        TRY(pickle_find_mark(p, &mark, err));
        if (mark + 1 >= p->stack.n)
            TRY(pickle_bad(p, err, "an object without a class"));
        class_id = p->stack.at[mark + 1];
        memmove(p->stack.at + mark + 1, p->stack.at + mark + 2, (p->stack.n - mark - 2) * sizeof(uint32_t));
        p->stack.n--;
    } else {
        TRY(global_lines(p, err));
        class_id = p->stack.at[--p->stack.n];
    }
    TRY(pickle_collect(p, PICKLE_TUPLE, 0, true, err));
    TRY(pickle_pop(p, &arguments, err));
    TRY(pickle_make_object(p, class_id, arguments, err));
done:
    return st;
}

/* STACK_GLOBAL: module and name are apart in the data, so there is no one text to point to: an object
 * without a callee whose arguments are the two strings. */
static sg_status stack_global(pickle *p, sg_error *err)
{
    sg_status st;
    uint32_t id;
    TRY(pickle_collect(p, PICKLE_TUPLE, 2, false, err));
    TRY(pickle_pop(p, &id, err));
    if (pickle_kind_of(p, pickle_item(p, id, 0)) != PICKLE_STRING ||
        pickle_kind_of(p, pickle_item(p, id, 1)) != PICKLE_STRING)
        TRY(pickle_bad(p, err, "a global without a name"));
    TRY(pickle_make_object(p, 0, id, err));
done:
    return st;
}

static sg_status call(pickle *p, bool with_keywords, sg_error *err)
{
    sg_status st;
    uint32_t arguments, callee, keywords;
    if (with_keywords)
        TRY(pickle_pop(p, &keywords, err));
    TRY(pickle_pop(p, &arguments, err));
    TRY(pickle_pop(p, &callee, err));
    TRY(pickle_make_object(p, callee, arguments, err));
done:
    return st;
}

static sg_status build(pickle *p, sg_error *err)
{
    sg_status st;
    uint32_t state, id;
    TRY(pickle_pop(p, &state, err));
    TRY(pickle_top(p, &id, err));
    if (pickle_kind_of(p, id) == PICKLE_OBJECT) /* other values (a set's state, say) keep none */
        p->pool.at[pickle_node_at(p, id)->u.at + PICKLE_STATE] = state;
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
        TRY(pickle_bad(p, err, "a string without quotes"));
    TRY(pickle_make_text(p, PICKLE_STRING, at + 1, n - 2, err));
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
    pickle_node *n = NULL;
    *known = true;
    switch (op) {
    case 'N':
        return pickle_make(p, PICKLE_NONE, NULL, err);
    case 0x88:
        return pickle_make_int(p, PICKLE_BOOL, 1, err);
    case 0x89:
        return pickle_make_int(p, PICKLE_BOOL, 0, err);
    case 'J': /* BININT */
        TRY(number(p, 4, &x, err));
        return pickle_make_int(p, PICKLE_INT, (int32_t)(uint32_t)x, err);
    case 'K': /* BININT1 */
        TRY(number(p, 1, &x, err));
        return pickle_make_int(p, PICKLE_INT, (int64_t)x, err);
    case 'M': /* BININT2 */
        TRY(number(p, 2, &x, err));
        return pickle_make_int(p, PICKLE_INT, (int64_t)x, err);
    case 'I':
    case 'L':
        return decimal(p, false, err);
    case 'F':
        return decimal(p, true, err);
    case 'G': /* BINFLOAT, big-endian */
        TRY(need(p, 8, &at, err));
        TRY(pickle_make(p, PICKLE_FLOAT, &n, err));
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
        return pickle_make_text(p, PICKLE_STRING, at, length, err);
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
        return pickle_make(p, PICKLE_TUPLE, NULL, err);
    case ']':
        return pickle_make(p, PICKLE_LIST, NULL, err);
    case '}':
        return pickle_make(p, PICKLE_DICT, NULL, err);
    case 0x8f:
        return pickle_make(p, PICKLE_SET, NULL, err);
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
        return pickle_push(p, PICKLE_MARK, err);
    case '0':
        if (p->stack.n && p->stack.at[p->stack.n - 1] == PICKLE_MARK) {
            p->stack.n--;
            return SG_OK;
        }
        return pickle_pop(p, &id, err);
    case '1':
        TRY(pickle_find_mark(p, &length, err));
        p->stack.n = length;
        return st;
    case '2':
        TRY(pickle_top(p, &id, err));
        return pickle_push(p, id, err);
    case 't':
        return pickle_collect(p, PICKLE_TUPLE, 0, true, err);
    case 0x85:
    case 0x86:
    case 0x87:
        return pickle_collect(p, PICKLE_TUPLE, op - 0x84u, false, err);
    case 'l':
        return pickle_collect(p, PICKLE_LIST, 0, true, err);
    case 'd':
        return pickle_collect(p, PICKLE_DICT, 0, true, err);
    case 0x91:
        return pickle_collect(p, PICKLE_SET, 0, true, err);
    case 'a':
        return pickle_add_items(p, false, 1, false, err);
    case 'e':
    case 0x90:
        return pickle_add_items(p, false, 0, true, err);
    case 's':
        return pickle_add_items(p, true, 2, false, err);
    case 'u':
        return pickle_add_items(p, true, 0, true, err);
    case 'P':
        TRY(line(p, &at, &length, err));
        TRY(pickle_make_text(p, PICKLE_STRING, at, length, err));
        return pickle_collect(p, PICKLE_PERSID, 1, false, err);
    case 'Q':
        return pickle_collect(p, PICKLE_PERSID, 1, false, err);
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
            TRY(pickle_bad(p, err, "expected a memo number"));
        for (size_t i = 0; i < length; i++) {
            if (at[i] < '0' || at[i] > '9')
                TRY(pickle_bad(p, err, "expected a memo number"));
            x = 10 * x + (uint64_t)(at[i] - '0');
        }
        return op == 'g' ? pickle_memo_get(p, x, err) : pickle_memo_put(p, x, err);
    case 'h':
    case 'q':
        TRY(number(p, 1, &x, err));
        return op == 'h' ? pickle_memo_get(p, x, err) : pickle_memo_put(p, x, err);
    case 'j':
    case 'r':
        TRY(number(p, 4, &x, err));
        return op == 'j' ? pickle_memo_get(p, x, err) : pickle_memo_put(p, x, err);
    case 0x94:
        return pickle_memo_put(p, p->memo.n, err);
    case 0x95:
        return number(p, 8, &x, err); /* FRAME: a hint about reading ahead */
    case 0x80:
        TRY(number(p, 1, &x, err));
        return x > 5 ? pickle_bad(p, err, "written in a protocol newer than 5") : SG_OK;
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
    sg_status st;
    pickle *p = NULL;
    *out = NULL;
    if (cut_short)
        *cut_short = false;
    TRY(pickle_new(&p, data, size, what, err));
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
    TRY(pickle_pop(p, &p->root, err));
    *used = p->pos;
    *out = p;
    p = NULL;
done:
    if (p && cut_short)
        *cut_short = p->cut_short;
    pickle_free(p);
    return st;
}
