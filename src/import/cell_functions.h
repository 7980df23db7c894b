/* SPDX-License-Identifier: MIT */
/* cell_functions.h - which cell a file means that names the functions of its gates and states. */
#ifndef SG_IMPORT_CELL_FUNCTIONS_H
#define SG_IMPORT_CELL_FUNCTIONS_H

#include "stategrad/lm.h"

/* The cell as *cell computes, but with these functions: "sigmoid", "hard_sigmoid" (0.2 a + 0.5 between 0 and
 * 1), "tanh", "relu"; NULL: the usual one. false: there is none in the table of cells. */
bool cell_with_functions(sg_cell *cell, const char *gates, const char *states);
/* The same as text, for messages: "gates sigmoid or hard_sigmoid with states tanh or relu". */
const char *cell_functions_known(sg_cell cell);

#endif
