/* SPDX-License-Identifier: MIT */
#include "import/cell_functions.h"

#include <string.h>

static const struct {
    sg_cell usual;
    const char *gates, *states;
    sg_cell cell;
} table[] = {
    {SG_CELL_TANH, NULL, "tanh", SG_CELL_TANH},
    {SG_CELL_TANH, NULL, "relu", SG_CELL_RELU},
    {SG_CELL_GRU, "sigmoid", "tanh", SG_CELL_GRU},
    {SG_CELL_GRU_RESET_FIRST, "sigmoid", "tanh", SG_CELL_GRU_RESET_FIRST},
    {SG_CELL_GRU_RESET_FIRST, "hard_sigmoid", "tanh", SG_CELL_GRU_RESET_FIRST_HARD},
    {SG_CELL_LSTM, "sigmoid", "tanh", SG_CELL_LSTM},
    {SG_CELL_LSTM, "hard_sigmoid", "tanh", SG_CELL_LSTM_HARD},
    {SG_CELL_LSTM, "sigmoid", "relu", SG_CELL_LSTM_RELU},
    {SG_CELL_LSTM, "hard_sigmoid", "relu", SG_CELL_LSTM_HARD_RELU},
};

bool cell_with_functions(sg_cell *cell, const char *gates, const char *states)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].usual == *cell &&
            (!table[i].gates || !strcmp(table[i].gates, gates ? gates : "sigmoid")) &&
            !strcmp(table[i].states, states ? states : "tanh")) {
            *cell = table[i].cell;
            return true;
        }
    return false;
}

const char *cell_functions_known(sg_cell cell)
{
    return sg_cell_gates(cell) == 1 ? "tanh or relu"
           : cell == SG_CELL_GRU    ? "gates sigmoid, state tanh"
           : cell == SG_CELL_LSTM   ? "gates sigmoid or hard_sigmoid, states tanh or relu"
                                    : "gates sigmoid or hard_sigmoid, state tanh";
}
