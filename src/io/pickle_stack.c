/* SPDX-License-Identifier: MIT */
/* The stack, the memo and the nodes of the pickle machine, each with its limit. */
#include "io/pickle_internal.h"

#include "base/base_internal.h"

#include <string.h>

enum { MAX_ITEMS = 1 << 21, MAX_STACK = 1 << 20, MAX_MEMO = 1 << 20, MAX_TEXT = 1 << 28 };

void pickle_free(pickle *p)
{
    if (!p)
        return;
    for (size_t b = 0; p->blocks && b <= PICKLE_MAX_NODES / PICKLE_BLOCK; b++)
        sg_free(p->blocks[b]);
    sg_free(p->blocks);
    sg_free(p->pool.at);
    sg_free(p->stack.at);
    sg_free(p->memo.at);
    sg_free(p);
}

sg_status pickle_new(pickle **out, const unsigned char *data, size_t size, const char *what, sg_error *err)
{
    sg_status st = SG_OK;
    pickle *p = sg_calloc(1, sizeof *p);
    *out = NULL;
    NEED(p && (p->blocks = sg_calloc(PICKLE_MAX_NODES / PICKLE_BLOCK + 1, sizeof *p->blocks)) &&
             (p->blocks[0] = sg_calloc(PICKLE_BLOCK, sizeof **p->blocks)),
         err, "the values of a pickle (%s)", what);
    p->data = data;
    p->size = size;
    p->what = what;
    p->n_nodes = 1;
    p->pool.limit = MAX_ITEMS;
    p->stack.limit = MAX_STACK;
    p->memo.limit = MAX_MEMO;
    *out = p;
    p = NULL;
done:
    pickle_free(p);
    return st;
}

static sg_status reserve(pickle *p, pickle_words *w, size_t n, const char *limit, sg_error *err)
{
    if (n <= w->room)
        return SG_OK;
    if (n > w->limit)
        return pickle_bad(p, err, limit);
    size_t room = w->room ? 2 * w->room : 256;
    room = room < n ? n : room;
    room = room > w->limit ? w->limit : room;
    uint32_t *at = sg_regrow(w->at, w->room, room, sizeof *at);
    if (!at)
        return no_memory(err, "the values of a pickle (%s)", p->what);
    w->at = at;
    w->room = room;
    return SG_OK;
}

sg_status pickle_push(pickle *p, uint32_t id, sg_error *err)
{
    sg_status st = reserve(p, &p->stack, p->stack.n + 1, "the stack is deeper than 2^20", err);
    if (st == SG_OK)
        p->stack.at[p->stack.n++] = id;
    return st;
}

sg_status pickle_pop(pickle *p, uint32_t *id, sg_error *err)
{
    *id = 0;
    if (!p->stack.n || p->stack.at[p->stack.n - 1] == PICKLE_MARK)
        return pickle_bad(p, err, "takes a value from an empty stack");
    *id = p->stack.at[--p->stack.n];
    return SG_OK;
}

sg_status pickle_top(pickle *p, uint32_t *id, sg_error *err)
{
    sg_status st = pickle_pop(p, id, err);
    if (st == SG_OK)
        p->stack.n++;
    return st;
}

/* A new node on top of the stack. */
sg_status pickle_make(pickle *p, pickle_kind kind, pickle_node **out, sg_error *err)
{
    if (p->n_nodes >= PICKLE_MAX_NODES)
        return pickle_bad(p, err, "holds more than 2^20 values");
    if (!p->blocks[p->n_nodes / PICKLE_BLOCK] &&
        !(p->blocks[p->n_nodes / PICKLE_BLOCK] = sg_calloc(PICKLE_BLOCK, sizeof(pickle_node))))
        return no_memory(err, "the values of a pickle (%s)", p->what);
    sg_status st = pickle_push(p, p->n_nodes, err);
    if (st != SG_OK)
        return st;
    pickle_node *n = pickle_node_at(p, p->n_nodes++);
    *n = (pickle_node){.kind = (uint8_t)kind};
    if (out)
        *out = n;
    return SG_OK;
}

sg_status pickle_make_int(pickle *p, pickle_kind kind, int64_t i, sg_error *err)
{
    pickle_node *n = NULL;
    sg_status st = pickle_make(p, kind, &n, err);
    if (st == SG_OK)
        n->u.i = i;
    return st;
}

sg_status pickle_make_text(pickle *p, pickle_kind kind, const unsigned char *at, size_t length, sg_error *err)
{
    pickle_node *n = NULL;
    if (length > MAX_TEXT)
        return pickle_bad(p, err, "a string of more than 2^28 bytes");
    sg_status st = pickle_make(p, kind, &n, err);
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
    pickle_node *n = pickle_node_at(p, id);
    if (!count)
        return SG_OK;
    if (count > MAX_ITEMS)
        return pickle_bad(p, err, "holds more than 2^21 items");
    if (n->n + count > n->room) {
        bool last = n->u.at + n->room == p->pool.n && n->room;
        size_t room = n->n ? 2 * (n->n + count) : count, grow = last ? room - n->room : room;
        sg_status st = reserve(p, &p->pool, p->pool.n + grow, "holds more than 2^21 items", err);
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

/* Index of the topmost mark; the values above it are the arguments. */
sg_status pickle_find_mark(pickle *p, size_t *mark, sg_error *err)
{
    *mark = 0;
    for (size_t i = p->stack.n; i > 0; i--)
        if (p->stack.at[i - 1] == PICKLE_MARK) {
            *mark = i - 1;
            return SG_OK;
        }
    return pickle_bad(p, err, "a list without its beginning");
}

/* Replaces the count topmost values (and a mark below them) by one node that holds them. */
sg_status pickle_collect(pickle *p, pickle_kind kind, size_t count, bool marked, sg_error *err)
{
    size_t mark;
    sg_status st;
    if (marked) {
        TRY(pickle_find_mark(p, &mark, err));
        count = p->stack.n - mark - 1;
    }
    if (count > p->stack.n)
        TRY(pickle_bad(p, err, "takes a value from an empty stack"));
    for (size_t i = p->stack.n - count; i < p->stack.n; i++)
        if (p->stack.at[i] == PICKLE_MARK)
            TRY(pickle_bad(p, err, "takes a value from an empty stack"));
    if (kind == PICKLE_DICT && count % 2)
        TRY(pickle_bad(p, err, "a dict with a key and no value"));
    TRY(pickle_make(p, kind, NULL, err));
    uint32_t id = p->stack.at[--p->stack.n];
    p->stack.n -= count;
    TRY(append(p, id, p->stack.at + p->stack.n, count, err));
    if (marked)
        p->stack.n--;
    TRY(pickle_push(p, id, err));
done:
    return st;
}

/* Callee and arguments, already popped, become an inert object on the stack. */
sg_status pickle_make_object(pickle *p, uint32_t callee, uint32_t arguments, sg_error *err)
{
    pickle_node *n = NULL;
    sg_status st;
    uint32_t items[PICKLE_OBJECT_ITEMS] = {callee, arguments};
    TRY(pickle_make(p, PICKLE_OBJECT, &n, err));
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
            TRY(pickle_make(p, pairs ? PICKLE_DICT : PICKLE_LIST, NULL, err));
            held = p->stack.at[--p->stack.n];
            p->pool.at[pickle_node_at(p, *id)->u.at + slot] = held;
        }
        *id = held;
    } else if (pairs ? k != PICKLE_DICT : k != PICKLE_LIST && k != PICKLE_SET)
        TRY(pickle_bad(p, err, "adds items to a value that is not a container"));
done:
    return st;
}

/* SETITEM(S), APPEND(S), ADDITEMS: the count topmost values, or those above the mark, go into the value
 * below. */
sg_status pickle_add_items(pickle *p, bool pairs, size_t count, bool marked, sg_error *err)
{
    size_t mark = 0, first;
    sg_status st;
    if (marked) {
        TRY(pickle_find_mark(p, &mark, err));
        count = p->stack.n - mark - 1;
    }
    first = p->stack.n - count;
    size_t below = marked ? mark : first;
    if (count > p->stack.n || !below || p->stack.at[below - 1] == PICKLE_MARK || (pairs && count % 2))
        TRY(pickle_bad(p, err, "adds items to nothing"));
    for (size_t i = first; i < p->stack.n; i++)
        if (p->stack.at[i] == PICKLE_MARK)
            TRY(pickle_bad(p, err, "adds items to nothing"));
    uint32_t id = p->stack.at[below - 1];
    TRY(receiver(p, &id, pairs, err));
    TRY(append(p, id, p->stack.at + first, count, err));
    p->stack.n = below;
done:
    return st;
}

sg_status pickle_memo_put(pickle *p, uint64_t index, sg_error *err)
{
    sg_status st;
    uint32_t id;
    TRY(pickle_top(p, &id, err));
    if (index >= MAX_MEMO)
        TRY(pickle_bad(p, err, "the memo is larger than 2^20"));
    TRY(reserve(p, &p->memo, (size_t)index + 1, "the memo is larger than 2^20", err));
    if (index >= p->memo.n)
        p->memo.n = (size_t)index + 1;
    p->memo.at[index] = id;
done:
    return st;
}

sg_status pickle_memo_get(pickle *p, uint64_t index, sg_error *err)
{
    if (index >= p->memo.n || !p->memo.at[index])
        return pickle_bad(p, err, "refers to a value that was not stored");
    return pickle_push(p, p->memo.at[index], err);
}
