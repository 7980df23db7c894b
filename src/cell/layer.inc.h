/* SPDX-License-Identifier: MIT */
/* Cells by kind, and a layer over a window of steps: the input product and the weight gradients once per
 * window. */

void NAME(cell_preload)(sg_cell cell, size_t rows, size_t H, const REAL *b_ih, const REAL *b_hh, REAL *tape)
{
    size_t G = sg_cell_gates(cell), ld = cell_tape(cell) * H;
    bool gru = cell == SG_CELL_GRU || cell == SG_CELL_GRU_RESET_FIRST;
    size_t both = gru ? 2 * H : G * H;
    for (size_t k = 0; k < rows; k++) {
        REAL *row = tape + k * ld;
        for (size_t j = 0; j < both; j++)
            row[j] = b_ih[j] + b_hh[j];
        if (gru) {
            memcpy(row + 2 * H, b_ih + 2 * H, H * sizeof *row);
            memcpy(row + 3 * H, b_hh + 2 * H, H * sizeof *row);
        }
    }
}

void NAME(cell_forward)(sg_cell cell, size_t n, size_t H, const REAL *W_hh, const REAL *h_prev,
                        const REAL *c_prev, REAL *tape, REAL *h, REAL *c, REAL *before)
{
    switch (cell) {
    case SG_CELL_TANH:
    case SG_CELL_RELU:
        rnn_forward(cell == SG_CELL_RELU, n, H, W_hh, h_prev, tape, h, before);
        break;
    case SG_CELL_GRU:
    case SG_CELL_GRU_RESET_FIRST:
        gru_forward(cell == SG_CELL_GRU_RESET_FIRST, n, H, W_hh, h_prev, tape, h, before);
        break;
    case SG_CELL_LSTM:
        lstm_forward(n, H, W_hh, h_prev, c_prev, tape, h, c, before);
    }
}

void NAME(cell_backward)(sg_cell cell, size_t n, size_t H, const REAL *W_hh, REAL *tape, const REAL *dh,
                         REAL *dc, REAL *dh_prev)
{
    switch (cell) {
    case SG_CELL_TANH:
    case SG_CELL_RELU:
        rnn_backward(cell == SG_CELL_RELU, n, H, W_hh, tape, dh, dh_prev);
        break;
    case SG_CELL_GRU:
        gru_backward(n, H, W_hh, tape, dh, dh_prev);
        break;
    case SG_CELL_GRU_RESET_FIRST:
        gru_reset_first_backward(n, H, W_hh, tape, dh, dh_prev);
        break;
    case SG_CELL_LSTM:
        lstm_backward(n, H, W_hh, tape, dh, dc, dh_prev);
    }
}

void NAME(layer_forward)(sg_cell cell, size_t T, size_t n, size_t N, size_t H, const REAL *W_ih,
                         const REAL *W_hh, const REAL *b_ih, const REAL *b_hh, const REAL *X, REAL *hidden,
                         REAL *cells, REAL *tape)
{
    size_t ld = cell_tape(cell) * H, step = n * H;
    NAME(cell_preload)(cell, T * n, H, b_ih, b_hh, tape);
    GEMM(LA_N, LA_T, T * n, sg_cell_gates(cell) * H, N, 1, X, N, W_ih, N, 1, tape, ld);
    for (size_t t = 0; t < T; t++) {
        bool has_c = cell == SG_CELL_LSTM;
        NAME(cell_forward)
        (cell, n, H, W_hh, hidden + t * step, has_c ? cells + t * step : NULL, tape + t * n * ld,
         hidden + (t + 1) * step, has_c ? cells + (t + 1) * step : NULL, NULL);
    }
}

static void add_rows(size_t rows, size_t cols, const REAL *A, size_t lda, REAL *sum)
{
    for (size_t k = 0; k < rows; k++)
        for (size_t j = 0; j < cols; j++)
            sum[j] += A[k * lda + j];
}

void NAME(layer_backward)(sg_cell cell, size_t T, size_t n, size_t N, size_t H, const REAL *W_ih,
                          const REAL *W_hh, const REAL *X, const REAL *hidden, REAL *tape, REAL *dH, REAL *dX,
                          REAL *gW_ih, REAL *gW_hh, REAL *gb_ih, REAL *gb_hh, REAL *work)
{
    size_t G = sg_cell_gates(cell), ld = cell_tape(cell) * H, step = n * H, rows = T * n;
    REAL *dc = work, *dh_prev = work + step;
    memset(dc, 0, step * sizeof *dc);
    for (size_t t = T; t-- > 0;) {
        NAME(cell_backward)(cell, n, H, W_hh, tape + t * n * ld, dH + t * step, dc, dh_prev);
        if (t > 0)
            for (size_t j = 0; j < step; j++)
                dH[(t - 1) * step + j] += dh_prev[j];
    }
    if (dX)
        GEMM(LA_N, LA_N, rows, N, G * H, 1, tape, ld, W_ih, N, 0, dX, N);
    GEMM(LA_T, LA_N, G * H, N, rows, 1, tape, ld, X, N, 1, gW_ih, N);
    add_rows(rows, G * H, tape, ld, gb_ih);
    bool gru = cell == SG_CELL_GRU || cell == SG_CELL_GRU_RESET_FIRST;
    size_t plain = gru ? 2 * H : G * H; /* gates whose recurrent side is that of the input */
    GEMM(LA_T, LA_N, plain, H, rows, 1, tape, ld, hidden, H, 1, gW_hh, H);
    add_rows(rows, plain, tape, ld, gb_hh);
    if (!gru)
        return;
    bool reset_first = cell == SG_CELL_GRU_RESET_FIRST;
    const REAL *du = tape + 3 * H;
    GEMM(LA_T, LA_N, H, H, rows, 1, du, ld, reset_first ? tape + 4 * H : hidden, reset_first ? ld : H, 1,
         gW_hh + 2 * H * H, H);
    add_rows(rows, H, du, ld, gb_hh + 2 * H);
}
