/* SPDX-License-Identifier: MIT */
/* string_table.h - a table of strings: each has a number, in order of entry. Arrays that grow. */
#ifndef SG_BASE_STRING_TABLE_H
#define SG_BASE_STRING_TABLE_H

#include "stategrad/base.h"

typedef struct string_table string_table;
sg_status string_table_new(string_table **out, sg_error *err);
/* *id: the number of the string (any bytes), entered if new (*added, may be NULL). On failure nothing
 * changed. */
sg_status string_table_add(string_table *t, const void *s, size_t n, int32_t *id, bool *added, sg_error *err);
int32_t string_table_find(const string_table *t, const void *s, size_t n); /* -1: not there */
/* Borrowed until the next add; NUL-terminated. n may be NULL. */
const char *string_table_get(const string_table *t, size_t id, size_t *n);
size_t string_table_count(const string_table *t);
void string_table_free(string_table *t);

/* Room for n elements in an array of *cap, grown by doubling, zeros after. */
sg_status array_reserve(void *array_pointer, size_t *cap, size_t n, size_t size, sg_error *err);

#endif
