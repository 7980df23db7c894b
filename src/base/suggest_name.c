/* SPDX-License-Identifier: MIT */
/* Names that were probably meant. */
#include "base/base_internal.h"

#include <string.h>
#include <strings.h>

enum { LONGEST = 63 };

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment of two names of at most LONGEST bytes; *start: of a and the nearest beginning of
 * b. */
static size_t edit_distance(const char *a, size_t m, const char *b, size_t n, size_t *start)
{
    size_t rows[3][LONGEST + 1], *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= n; j++)
        above[j] = j;
    for (size_t i = 1; i <= m; i++) {
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            char x = lower(a[i - 1]), y = lower(b[j - 1]);
            row[j] = least(above[j - 1] + (x != y), least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *free_row = before;
        before = above, above = row, row = free_row;
    }
    *start = above[n];
    for (size_t j = 0; j < n; j++)
        *start = least(*start, above[j]);
    return above[n];
}

/* What comes first is meant more likely: a name that begins with the text, one that differs from it by
 * little, one that the text begins with, one whose beginning differs by little ("hiden": hidden-size).
 * SIZE_MAX: not near. */
static size_t rank(const char *text, size_t length, const char *name, size_t other, size_t allowed)
{
    size_t shorter = least(length, other);
    bool begins = shorter > 1 && !strncasecmp(text, name, shorter);
    if (begins && other >= length)
        return other - length;
    size_t start, whole = edit_distance(text, length, name, other, &start);
    return whole <= allowed                     ? LONGEST + whole
           : begins                             ? 2 * LONGEST + length - other
           : length > 3 && start <= allowed / 2 ? 3 * LONGEST + start
                                                : SIZE_MAX;
}

const char *sg_nearest_name(const char *text, const char *const *names, size_t n)
{
    size_t length = strlen(text),
           allowed = length < 3   ? length / 2
                     : length < 6 ? 2
                                  : length / 3,
           best = SIZE_MAX;
    const char *nearest = NULL;
    for (size_t i = 0; i < n && length <= LONGEST; i++) {
        size_t other = strlen(names[i]), r = SIZE_MAX;
        if (other && other <= LONGEST)
            r = rank(text, length, names[i], other, allowed);
        if (r < best)
            nearest = names[i], best = r;
    }
    return nearest;
}
