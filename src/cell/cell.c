/* SPDX-License-Identifier: MIT */
#include "cell/cell.h"

#include <string.h>

extern const cell_type cell_tanh, cell_relu, cell_gru, cell_gru_reset_first, cell_lstm, cell_mingru,
    cell_minlstm, cell_lstm_hard, cell_lstm_relu, cell_lstm_hard_relu, cell_gru_reset_first_hard;

/* In the order of sg_cell; those after its last number are known by their names only. */
static const cell_type *const cells[] = {&cell_tanh,
                                         &cell_relu,
                                         &cell_gru,
                                         &cell_gru_reset_first,
                                         &cell_lstm,
                                         &cell_mingru,
                                         &cell_minlstm,
                                         &cell_lstm_hard,
                                         &cell_lstm_relu,
                                         &cell_lstm_hard_relu,
                                         &cell_gru_reset_first_hard};
enum { N_CELLS = sizeof cells / sizeof *cells };

const cell_type *cell_of(sg_cell c)
{
    return cells[c];
}

size_t sg_cell_count(void)
{
    return N_CELLS;
}

const char *sg_cell_name(sg_cell c)
{
    return (size_t)c < N_CELLS ? cells[c]->name : "?";
}

const char *sg_cell_formula(sg_cell c)
{
    return cells[c]->formula;
}

bool sg_cell_from_name(sg_cell *out, const char *name)
{
    for (size_t i = 0; i < N_CELLS; i++)
        if (!strcmp(name, cells[i]->name)) {
            *out = (sg_cell)i;
            return true;
        }
    return false;
}

bool sg_cell_is_imported(sg_cell c)
{
    return cells[c]->imported;
}

size_t sg_cell_gates(sg_cell c)
{
    return cells[c]->gates;
}

sg_state_kind sg_cell_states(sg_cell c)
{
    return cells[c]->states;
}

sg_state_kind sg_cell_default_state(sg_cell c)
{
    return cells[c]->default_state;
}

const char *cell_state_name(sg_state_kind kind)
{
    return kind == SG_STATE_CELL ? "cell" : "hidden";
}

size_t cell_states(const cell_type *t)
{
    return t->states == SG_STATE_BOTH ? 2 : 1;
}

double cell_parameters(const cell_type *t, double N, double H)
{
    double inputs = N + 1, recurrent = t->recurrence == CELL_DENSE ? H + 1 : 0;
    return (double)t->gates * H * (inputs + recurrent);
}

void cell_preload(const cell_type *t, size_t rows, size_t H, const float *b_ih, const float *b_hh,
                  float *tape)
{
    bool dense = t->recurrence == CELL_DENSE;
    for (size_t k = 0; k < rows; k++, tape += t->tape * H)
        for (size_t g = 0; g < t->gates; g++) {
            const float *in = b_ih + g * H, *rec = dense ? b_hh + g * H : NULL;
            bool own = t->slot[g] == g;
            for (size_t j = 0; j < H; j++)
                tape[g * H + j] = dense && own ? in[j] + rec[j] : in[j];
            if (dense && !own)
                memcpy(tape + t->slot[g] * H, rec, H * sizeof *rec);
        }
}

size_t cell_run(const cell_type *t, size_t gate, size_t end)
{
    size_t n = 1;
    while (gate + n < end && t->slot[gate + n] == t->slot[gate] + n)
        n++;
    return n;
}
