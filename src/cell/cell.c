/* SPDX-License-Identifier: MIT */
#include "cell/cell.h"

#include <string.h>

/* In the order of sg_cell. */
static const struct {
    const char *name;
    size_t gates, tape;
} cells[] = {
    {"rnn", 1, 1}, {"rnn-relu", 1, 1}, {"gru", 3, 5}, {"gru-reset-first", 3, 5}, {"lstm", 4, 6},
};
enum { N_CELLS = sizeof cells / sizeof *cells };

const char *sg_cell_name(sg_cell c)
{
    return (size_t)c < N_CELLS ? cells[c].name : "?";
}

bool sg_cell_from_name(sg_cell *out, const char *name)
{
    for (size_t i = 0; i < N_CELLS; i++)
        if (!strcmp(name, cells[i].name)) {
            *out = (sg_cell)i;
            return true;
        }
    return false;
}

size_t sg_cell_gates(sg_cell c)
{
    return cells[c].gates;
}

size_t cell_tape(sg_cell c)
{
    return cells[c].tape;
}
