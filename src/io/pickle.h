/* SPDX-License-Identifier: MIT */
/* pickle.h - reads Python's pickle format without running anything in it.
 *
 * The opcodes build plain values in one table of nodes. A global ("torch._utils _rebuild_tensor_v2") is only
 * its name; calling one (REDUCE, NEWOBJ, INST, OBJ) makes an inert PICKLE_OBJECT that remembers callee,
 * arguments, state (BUILD) and items. What an object means is the reader's decision, made from names it
 * knows: see torch.c.
 *
 * Bounded by construction: at most 2^20 nodes, 2^21 items, memo and stack of 2^20 (together below 48 MiB),
 * one pass over the bytes. Values may form cycles: whoever walks them counts depth and visits. */
#ifndef SG_IO_PICKLE_H
#define SG_IO_PICKLE_H

#include "stategrad/base.h"

typedef enum {
    PICKLE_NONE,
    PICKLE_BOOL,   /* i */
    PICKLE_INT,    /* i */
    PICKLE_LONG,   /* text: a whole number of more than 8 bytes, little-endian */
    PICKLE_FLOAT,  /* f */
    PICKLE_STRING, /* text */
    PICKLE_BYTES,  /* text */
    PICKLE_TUPLE,  /* items */
    PICKLE_LIST,   /* items */
    PICKLE_SET,    /* items */
    PICKLE_DICT,   /* items: key, value, key, value ... in order of insertion */
    PICKLE_GLOBAL, /* text: module and name, a line end between; see pickle_is_global */
    PICKLE_PERSID, /* items: the one value that names it */
    PICKLE_OBJECT, /* items: callee, arguments, state, dict of items set, list of items appended; 0: none */
} pickle_kind;

enum { PICKLE_CALLEE, PICKLE_ARGUMENTS, PICKLE_STATE, PICKLE_ENTRIES, PICKLE_ELEMENTS, PICKLE_OBJECT_ITEMS };

typedef struct pickle pickle;
/* Interprets one pickle at the start of data, which is borrowed for the life of *out; *used is its length.
 * `what` names it in messages. SG_EFORMAT: truncated, not a pickle, a limit passed, an opcode that has no
 * place in a model. If cut_short is not NULL, it is set when the data ended before the pickle did. */
sg_status pickle_read(pickle **out, const unsigned char *data, size_t size, size_t *used, bool *cut_short,
                      const char *what, sg_error *err);
void pickle_free(pickle *p);

/* Node ids run from 1; 0 is "none there" and reads as PICKLE_NONE without items. */
uint32_t pickle_root(const pickle *p);
pickle_kind pickle_kind_of(const pickle *p, uint32_t id);
int64_t pickle_int(const pickle *p, uint32_t id);  /* BOOL, INT; 0 for all else */
double pickle_float(const pickle *p, uint32_t id); /* FLOAT, INT; 0 for all else */
/* STRING, BYTES, GLOBAL, LONG: not NUL-terminated, in the data. NULL for all else. */
const char *pickle_text(const pickle *p, uint32_t id, size_t *length);
bool pickle_text_is(const pickle *p, uint32_t id, const char *text);
size_t pickle_items(const pickle *p, uint32_t id);            /* 0 where there are none */
uint32_t pickle_item(const pickle *p, uint32_t id, size_t i); /* 0 beyond the end */
/* Is this the global "module name"? Both ways of writing one are known. */
bool pickle_is_global(const pickle *p, uint32_t id, const char *module, const char *name);
/* The name of a global without its module ("Embedding"); NULL: not a global. */
const char *pickle_global_name(const pickle *p, uint32_t id, size_t *length);
/* The value of a key in a DICT (the last one, as in Python); 0: not there. */
uint32_t pickle_get(const pickle *p, uint32_t dict, const char *key);

#endif
