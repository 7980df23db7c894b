/* SPDX-License-Identifier: MIT */
/* cell.h - the table of cells: everything the program knows of a kind of recurrence.
 *
 * One file per kind: its tuned parts (step, backward pass, Jacobian) in float, and a plain twin in double,
 * written from the equations alone, with which `stategrad check` and the tests compare. No other file asks
 * which cell it has; a new kind is a file, a row in cell.c, and its file's name in meson.build.
 *
 *   H hidden size   N inputs   G gates   x input   h hidden state   c cell state (where there is one)
 *   a = W_ih x + b_ih (+ W_hh h_{t-1} + b_hh)   G H preactivations, gate by gate
 *
 * A step leaves a tape for the backward pass and the Jacobian: slots of H floats, which the cell's file
 * names. Slots 0 .. G-1 are the gates: preactivations before the step, values after it, dL/da after the
 * backward pass. */
#ifndef SG_CELL_H
#define SG_CELL_H

#include "kernel/kernel.h"
#include "stategrad/lm.h"

enum { CELL_MAX_GATES = 4, CELL_MAX_STAGES = 2, CELL_KEPT = 6, CELL_FROM_H = -1 };

/* CELL_DENSE: a matrix W_hh acts on h_{t-1}. CELL_DIAGONAL: gates depend on the input alone, h_t on h_{t-1}
 * unit by unit; the model has no W_hh and no b_hh. */
typedef enum { CELL_DIAGONAL, CELL_DENSE } cell_recurrence;

/* n units of one sequence at one step; every pointer is at the first of them, slots are H apart. */
typedef struct {
    size_t n, H;
    float *tape;
    const float *h_prev, *c_prev;
    float *h, *c;          /* output; c_prev and c: NULL without a cell state */
    float *preactivations; /* output, G slots; NULL: not wanted. Where it is wanted n is H. */
    const sg_kernels *kernels;
} cell_units;

/* The same units backwards; the tape's gates become dL/da. */
typedef struct {
    size_t n, H;
    float *tape;
    const float *dh; /* dL/dh_t in full */
    float *dc;       /* in: dL/dc_t from later steps; out: dL/dc_{t-1} */
    float *dh_prev;  /* += what reaches h_{t-1} other than through W_hh */
    float *dsource;  /* in a stage before the last: dL/d(source of the next) */
    const sg_kernels *kernels;
} cell_adjoints;

/* A step has one stage: recurrent products of all gates with h_{t-1}, then `forward`. Where a gate's product
 * needs another gate's value there is a second one, whose products take a slot of the tape as their
 * source. */
typedef struct {
    size_t gates; /* of this stage, following those of the one before; 0: no products */
    int source;   /* CELL_FROM_H, or a slot */
    void (*forward)(const cell_units *u);
    void (*backward)(const cell_adjoints *u);
} cell_stage;

/* A layer's parameters and sizes, for the plain twin. */
typedef struct {
    size_t H, N;
    const float *W_ih, *W_hh, *b_ih, *b_hh; /* (G H, N) (G H, H) (G H) (G H) */
} cell_plain;

typedef struct {
    const char *name, *formula;
    sg_state_kind states;        /* which it has; the next layer reads HIDDEN */
    sg_state_kind default_state; /* what is analysed unless asked otherwise */
    cell_recurrence recurrence;
    bool bounded;  /* every h is in [-1, 1] */
    bool imported; /* occurs in files of other frameworks; `train` does not offer it */
    /* not a smooth function of its preactivations, as max(a, 0): finite differences need small steps */
    bool kinked;
    size_t gates;
    size_t summed; /* gates whose weighted rows the first product of the Jacobian sums, see below */
    size_t tape;   /* slots */
    size_t slot
        [CELL_MAX_GATES]; /* of each gate's recurrent product; where it is not the gate's own, so is b_hh */
    size_t n_stages;
    cell_stage stage[CELL_MAX_STAGES];

    /* The Jacobian of a step, folded into weight rows (wh, wx: (G,H)) and a diagonal, from tape and
     * preactivations: slopes are taken of the latter, for where a gate saturates its value rounds to 0 or 1.
     *
     *   one state    dh = diag(d0) dh + A dh + Ax dx     A = sum of wh[g] W_hh[g] over all gates
     *   two states   dc = diag(d0) dc + M dh + Mx dx     M = sum of wh[g] W_hh[g] over the first `summed`
     *                gates dh = diag(d1) dc + O dh + Ox dx     O the same over the others, dc the new one
     *
     * Mx, Ox, Ax: the same from wx and W_ih. diagonal: (1,H), with two states (2,H). A diagonal recurrence
     * leaves wh alone. */
    void (*jacobian)(size_t H, const float *tape, const float *preactivations, float *wh, float *wx,
                     float *diagonal);
    /* What of A and Ax is no sum of weighted rows, added to them; NULL: nothing. Rows of A (H, H) are lda
     * apart, of Ax (H, N) ldx; Ax may be NULL. work: (H+1, H). */
    void (*jacobian_rest)(size_t H, size_t N, const float *W_ih, const float *W_hh, const float *tape,
                          const float *preactivations, const float *wh, float *work, float *A, size_t lda,
                          float *Ax, size_t ldx);

    /* The plain twin. kept (CELL_KEPT, H): for plain_reverse. */
    void (*plain_step)(const cell_plain *l, const double *x, const double *h, const double *c, double *kept,
                       double *h_new, double *c_new);
    /* dh, dc (H): in dL/dh_t, dL/dc_t; out dL/dh_{t-1}, dL/dc_{t-1}. da (G,H): dL/d(W_ih x). h, c: of step
     * t-1. */
    void (*plain_reverse)(const cell_plain *l, const double *kept, const double *h, const double *c,
                          double *dh, double *dc, double *da);
} cell_type;

const cell_type *cell_of(sg_cell cell);
const char *cell_state_name(sg_state_kind kind); /* "cell", "hidden" */
/* 1, or 2 with a cell state: also the number of products of the Jacobian. */
size_t cell_states(const cell_type *t);
/* Parameters of a layer, as a double that cannot overflow. */
double cell_parameters(const cell_type *t, double N, double H);

/* rows rows of the tape before the input's product is added: b_ih + b_hh in the gates' slots. */
void cell_preload(const cell_type *t, size_t rows, size_t H, const float *b_ih, const float *b_hh,
                  float *tape);
/* How many of the gates from `gate` on, before `end`, have their recurrent products in neighbouring slots. */
size_t cell_run(const cell_type *t, size_t gate, size_t end);

#endif
