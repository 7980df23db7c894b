/* SPDX-License-Identifier: MIT */
/* pickle_internal.h - the machine that builds the values of a pickle: pickle.c interprets the opcodes,
 * pickle_stack.c keeps stack, memo and nodes within their limits, pickle_values.c reads the values. */
#ifndef SG_IO_PICKLE_INTERNAL_H
#define SG_IO_PICKLE_INTERNAL_H

#include "io/pickle.h"

enum { PICKLE_MAX_NODES = 1 << 20, PICKLE_BLOCK = 4096 };
#define PICKLE_MARK UINT32_MAX

typedef struct {
    uint8_t kind;
    uint32_t n, room; /* items: used, reserved */
    union {
        int64_t i;
        double f;
        uint64_t at; /* text: offset in the data; items: index in the pool; n is the length */
    } u;
} pickle_node;

typedef struct {
    uint32_t *at;
    size_t n, room, limit;
} pickle_words;

struct pickle {
    const unsigned char *data;
    size_t size, pos;
    pickle_node **blocks; /* PICKLE_BLOCK nodes each: growing them copies nothing */
    uint32_t n_nodes, root;
    pickle_words pool, stack, memo;
    const char *what;
    bool cut_short;
};

static inline pickle_node *pickle_node_at(const pickle *p, uint32_t id)
{
    return &p->blocks[id / PICKLE_BLOCK][id % PICKLE_BLOCK];
}

/* Node 0 ("none there") and an empty stack. data and what are borrowed. */
sg_status pickle_new(pickle **out, const unsigned char *data, size_t size, const char *what, sg_error *err);
/* SG_EFORMAT: "WHAT: pickle at byte POS: WHY". */
#define pickle_bad(p, err, why)                                                                              \
    sg_fail(err, SG_EFORMAT, "%s: pickle at byte %zu: %s", (p)->what, (p)->pos, why)
sg_status pickle_push(pickle *p, uint32_t id, sg_error *err);
sg_status pickle_pop(pickle *p, uint32_t *id, sg_error *err);
sg_status pickle_top(pickle *p, uint32_t *id, sg_error *err);
/* A new node on top of the stack. out may be NULL. */
sg_status pickle_make(pickle *p, pickle_kind kind, pickle_node **out, sg_error *err);
sg_status pickle_make_int(pickle *p, pickle_kind kind, int64_t i, sg_error *err);
sg_status pickle_make_text(pickle *p, pickle_kind kind, const unsigned char *at, size_t length,
                           sg_error *err);
/* Callee and arguments, already popped, become an inert object on the stack. */
sg_status pickle_make_object(pickle *p, uint32_t callee, uint32_t arguments, sg_error *err);
/* Index of the topmost mark; the values above it are the arguments. */
sg_status pickle_find_mark(pickle *p, size_t *mark, sg_error *err);
/* Replaces the count topmost values, or those above the mark and the mark, by one node that holds them. */
sg_status pickle_collect(pickle *p, pickle_kind kind, size_t count, bool marked, sg_error *err);
/* The count topmost values, or those above the mark, go into the value below. */
sg_status pickle_add_items(pickle *p, bool pairs, size_t count, bool marked, sg_error *err);
sg_status pickle_memo_put(pickle *p, uint64_t index, sg_error *err);
sg_status pickle_memo_get(pickle *p, uint64_t index, sg_error *err);

#endif
