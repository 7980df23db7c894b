/* SPDX-License-Identifier: MIT */
/* The simple cell: a = W_ih x + b_ih + W_hh h_{t-1} + b_hh, h_t = tanh(a) or max(a, 0). Tape: h_t. */

static void rnn_forward(bool relu, size_t n, size_t H, const REAL *W_hh, const REAL *h_prev, REAL *tape,
                        REAL *h, REAL *before)
{
    GEMM(LA_N, LA_T, n, H, H, 1, h_prev, H, W_hh, H, 1, tape, H);
    if (before)
        memcpy(before, tape, n * H * sizeof *before);
    if (relu)
        for (size_t i = 0; i < n * H; i++)
            tape[i] = tape[i] < 0 ? 0 : tape[i]; /* a NaN stays one */
    else
        vector_tanh(n * H, tape, tape);
    memcpy(h, tape, n * H * sizeof *h);
}

static void rnn_backward(bool relu, size_t n, size_t H, const REAL *W_hh, REAL *tape, const REAL *dh,
                         REAL *dh_prev)
{
    for (size_t i = 0; i < n * H; i++)
        tape[i] = relu ? (tape[i] > 0 ? dh[i] : 0) : dh[i] * (1 - tape[i] * tape[i]);
    GEMM(LA_N, LA_N, n, H, H, 1, tape, H, W_hh, H, 0, dh_prev, H);
}
