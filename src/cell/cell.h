/* cell.h - one step of a recurrent cell: forward, backward, and its Jacobian folded into matrices.
 *
 * PyTorch's convention (METHOD section 2), gates in the order LSTM i,f,g,o; GRU r,z,n; RNN one. H hidden size, G gates,
 * N inputs of the layer, n sequences side by side. One file per cell; each exists in float and, for tests and
 * `stategrad check`, in double (one source, a type parameter). */
#ifndef SG_CELL_H
#define SG_CELL_H

#include "stategrad/lm.h"

/* The tape: what backward and fold need of one step of one sequence, sg_cell_tape(c) vectors of H numbers:
 *   LSTM  i f g o  tanh(c_t)  c_{t-1}       GRU, GRU reset first  r z n u h_{t-1}  (u = W_hn h + b_hn, reset first:
 *   W_hn (r*h) + b_hn)                      tanh, relu  h_t */
size_t sg_cell_tape(sg_cell c);

/* The folded Jacobian. Every cell but GRU_RESET_FIRST is linear in its weight rows:
 *
 *   dC = diag(d0) dC + M dU + Mx dX      M = rows sum_g wh[g] W_hh[g]  over gates i,f,g     (LSTM)
 *   dU = diag(d1) dC + O dU + Ox dX      O = wh[o] W_ho,  dC the new one                   (LSTM)
 *   dU = diag(d0) dU + A dU + Ax dX      A = rows sum_g wh[g] W_hh[g]  over all gates      (GRU, RNN)
 *
 * and Mx, Ox, Ax the same from wx and W_ih. wh, wx: (G,H); diagonal: (2,H) for LSTM, (1,H) for others.
 * GRU_RESET_FIRST has one term more: A += diag(wh[n]) W_hn diag(inner) W_hr with its own W_hn scaled by r on the right;
 * right: (2,H) = r then inner = h r (1-r); NULL is fine for the other cells. */
void sg_cell_fold(sg_cell c, size_t H, const float *tape, float *wh, float *wx, float *diagonal, float *right);

#endif
