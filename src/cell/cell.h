/* SPDX-License-Identifier: MIT */
/* cell.h - one step of a recurrent cell: forward, backward, and its Jacobian folded into matrices.
 *
 * PyTorch's convention (doc/method.md, section 2), gates in the order LSTM i,f,g,o; GRU r,z,n; RNN one. H hidden
 * size, G gates, N inputs of the layer, n sequences side by side, T steps. One file per cell; each exists in
 * float (cell_...) and, for tests and `stategrad check`, in double (cell_..._d): one source, a type
 * parameter. */
#ifndef SG_CELL_H
#define SG_CELL_H

#include "stategrad/lm.h"

/* The tape: what backward and fold need of one step of one sequence, cell_tape(c) vectors of H numbers:
 *   LSTM                  i f g o tanh(c_t) c_{t-1}
 *   GRU, GRU reset first  r z n u h_{t-1}            u = W_hn h + b_hn, reset first: W_hn (r*h) + b_hn
 *   tanh, relu            h_t */
size_t cell_tape(sg_cell c);

/* ---- one step of n sequences ----
 * Before the step the tape's rows hold the part that does not depend on h_{t-1}: cell_preload's biases
 * plus W_ih x, added to the first G slots (one product for all steps of a window). h_prev, c_prev, h, c:
 * (n,H), rows H apart; the outputs may not alias the inputs; c_prev and c are read and written by the LSTM
 * only and may be NULL otherwise. */

/* rows rows of the tape: b_ih + b_hh in the gates' slots (GRU: b_ih alone for n, b_hn in the slot of u). */
void cell_preload(sg_cell cell, size_t rows, size_t H, const float *b_ih, const float *b_hh, float *tape);
void cell_preload_d(sg_cell cell, size_t rows, size_t H, const double *b_ih, const double *b_hh,
                    double *tape);
/* Turns preactivations into the tape, and gives h_t (and c_t). before (n, G*H), NULL: not wanted: gets the
 * preactivations themselves (a_n in full: with r*u, or u), from which slopes can be had where a gate
 * saturates and the tape's value rounds to 0 or 1. */
void cell_forward(sg_cell cell, size_t n, size_t H, const float *W_hh, const float *h_prev,
                  const float *c_prev, float *tape, float *h, float *c, float *before);
void cell_forward_d(sg_cell cell, size_t n, size_t H, const double *W_hh, const double *h_prev,
                    const double *c_prev, double *tape, double *h, double *c, double *before);
/* dh (n,H): dL/dh_t in full; dc (n,H): in dL/dc_t by later steps, out dL/dc_{t-1}; dh_prev: overwritten with
 * dL/dh_{t-1} by this step; may not alias dh. The tape is overwritten: slots 0..G-1 with dL/da (the input
 * side), the GRUs' slot of u with dL/du, the slot of h_{t-1} of GRU_RESET_FIRST with r*h_{t-1}. */
void cell_backward(sg_cell cell, size_t n, size_t H, const float *W_hh, float *tape, const float *dh,
                   float *dc, float *dh_prev);
void cell_backward_d(sg_cell cell, size_t n, size_t H, const double *W_hh, double *tape, const double *dh,
                     double *dc, double *dh_prev);

/* ---- a layer over a window: rows are (t, sequence), t-major ---- */

/* X (T*n,N) inputs; hidden ((T+1)*n,H) and, for the LSTM, cells ((T+1)*n,H): the first n rows hold the state
 * before the window, the rest is written; tape (T*n, cell_tape*H) is written. */
void layer_forward(sg_cell cell, size_t T, size_t n, size_t N, size_t H, const float *W_ih, const float *W_hh,
                   const float *b_ih, const float *b_hh, const float *X, float *hidden, float *cells,
                   float *tape);
void layer_forward_d(sg_cell cell, size_t T, size_t n, size_t N, size_t H, const double *W_ih,
                     const double *W_hh, const double *b_ih, const double *b_hh, const double *X,
                     double *hidden, double *cells, double *tape);
/* dH (T*n,H): dL/dh_t from above, destroyed; dX (T*n,N): overwritten (NULL: not wanted). Gradients are added
 * to gW_ih, gW_hh, gb_ih, gb_hh. hidden, X as in forward; the tape is consumed. work: 2 n H numbers. State
 * gradients do not cross the window's start (truncated back-propagation). */
void layer_backward(sg_cell cell, size_t T, size_t n, size_t N, size_t H, const float *W_ih,
                    const float *W_hh, const float *X, const float *hidden, float *tape, float *dH, float *dX,
                    float *gW_ih, float *gW_hh, float *gb_ih, float *gb_hh, float *work);
void layer_backward_d(sg_cell cell, size_t T, size_t n, size_t N, size_t H, const double *W_ih,
                      const double *W_hh, const double *X, const double *hidden, double *tape, double *dH,
                      double *dX, double *gW_ih, double *gW_hh, double *gb_ih, double *gb_hh, double *work);

/* The folded Jacobian. Every cell but GRU_RESET_FIRST is linear in its weight rows:
 *
 *   dC = diag(d0) dC + M dU + Mx dX      M = rows sum_g wh[g] W_hh[g]  over gates i,f,g     (LSTM)
 *   dU = diag(d1) dC + O dU + Ox dX      O = wh[o] W_ho,  dC the new one                   (LSTM)
 *   dU = diag(d0) dU + A dU + Ax dX      A = rows sum_g wh[g] W_hh[g]  over all gates      (GRU, RNN)
 *
 * and Mx, Ox, Ax the same from wx and W_ih. wh, wx: (G,H); diagonal: (2,H) for LSTM, (1,H) for others.
 * GRU_RESET_FIRST: W_hn is scaled by r on the right, and a term more goes through r: with B = diag(wh[n])
 * W_hn diag(inner),
 *
 *   A = wh[z] W_hz + wh[n] W_hn diag(r) + B W_hr       Ax = wx[z] W_iz + wx[n] W_in + B W_ir
 *
 * right: (2,H) = r then inner = h r (1-r); NULL is fine for the other cells. before: of the forward step. */
void cell_fold(sg_cell c, size_t H, const float *tape, const float *before, float *wh, float *wx,
               float *diagonal, float *right);
void cell_fold_d(sg_cell c, size_t H, const double *tape, const double *before, double *wh, double *wx,
                 double *diagonal, double *right);

#endif
