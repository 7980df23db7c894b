/* SPDX-License-Identifier: MIT */
/* The two GRUs. Tape: r z n u h_{t-1}.
 *   r = sigmoid(a_r)   z = sigmoid(a_z)   h_t = (1-z)*n + z*h_{t-1}
 *   PyTorch:      u = W_hn h_{t-1} + b_hn         n = tanh(a_n + r*u)
 *   reset first:  u = W_hn (r*h_{t-1}) + b_hn     n = tanh(a_n + u) */

static void gru_forward(bool reset_first, size_t n, size_t H, const REAL *W_hh, const REAL *h_prev,
                        REAL *tape, REAL *h, REAL *before)
{
    size_t ld = 5 * H;
    const REAL *W_hn = W_hh + 2 * H * H;
    GEMM(LA_N, LA_T, n, 2 * H, H, 1, h_prev, H, W_hh, H, 1, tape, ld);
    for (size_t b = 0; b < n; b++) {
        if (before)
            memcpy(before + 3 * b * H, tape + b * ld, 2 * H * sizeof *before);
        vector_sigmoid(2 * H, tape + b * ld);
        if (reset_first) /* h is free until the end: it holds r*h_{t-1} */
            for (size_t j = 0; j < H; j++)
                h[b * H + j] = tape[b * ld + j] * h_prev[b * H + j];
    }
    GEMM(LA_N, LA_T, n, H, H, 1, reset_first ? h : h_prev, H, W_hn, H, 1, tape + 3 * H, ld);
    for (size_t b = 0; b < n; b++) {
        REAL *r = tape + b * ld, *z = r + H, *cand = z + H, *u = cand + H, *old = u + H;
        for (size_t j = 0; j < H; j++)
            cand[j] += reset_first ? u[j] : r[j] * u[j];
        if (before)
            memcpy(before + (3 * b + 2) * H, cand, H * sizeof *before);
        vector_tanh(H, cand, cand);
        memcpy(old, h_prev + b * H, H * sizeof *old);
        for (size_t j = 0; j < H; j++)
            h[b * H + j] = (1 - z[j]) * cand[j] + z[j] * old[j];
    }
}

static void gru_backward(size_t n, size_t H, const REAL *W_hh, REAL *tape, const REAL *dh, REAL *dh_prev)
{
    size_t ld = 5 * H;
    for (size_t b = 0; b < n; b++) {
        REAL *restrict r = tape + b * ld, *restrict z = r + H, *restrict cand = z + H, *restrict u = cand + H;
        const REAL *restrict old = u + H, *restrict d = dh + b * H;
        REAL *restrict back = dh_prev + b * H;
        for (size_t j = 0; j < H; j++) {
            REAL da_n = d[j] * (1 - z[j]) * (1 - cand[j] * cand[j]);
            REAL da_z = d[j] * (old[j] - cand[j]) * z[j] * (1 - z[j]), du = da_n * r[j];
            back[j] = d[j] * z[j];
            r[j] = da_n * u[j] * r[j] * (1 - r[j]);
            z[j] = da_z, cand[j] = da_n, u[j] = du;
        }
    }
    GEMM(LA_N, LA_N, n, H, H, 1, tape + 3 * H, ld, W_hh + 2 * H * H, H, 1, dh_prev, H);
    GEMM(LA_N, LA_N, n, H, 2 * H, 1, tape, ld, W_hh, H, 1, dh_prev, H);
}

/* As above; besides, the slot of h_{t-1} becomes r*h_{t-1}, what W_hn was multiplied with. */
static void gru_reset_first_backward(size_t n, size_t H, const REAL *W_hh, REAL *tape, const REAL *dh,
                                     REAL *dh_prev)
{
    size_t ld = 5 * H;
    for (size_t b = 0; b < n; b++) {
        REAL *restrict z = tape + b * ld + H, *restrict cand = z + H, *restrict u = cand + H;
        for (size_t j = 0; j < H; j++)
            u[j] = dh[b * H + j] * (1 - z[j]) * (1 - cand[j] * cand[j]);
    }
    GEMM(LA_N, LA_N, n, H, H, 1, tape + 3 * H, ld, W_hh + 2 * H * H, H, 0, dh_prev, H); /* dL/d(r*h) */
    for (size_t b = 0; b < n; b++) {
        REAL *restrict r = tape + b * ld, *restrict z = r + H, *restrict cand = z + H, *restrict u = cand + H;
        REAL *restrict old = u + H, *restrict back = dh_prev + b * H;
        const REAL *restrict d = dh + b * H;
        for (size_t j = 0; j < H; j++) {
            REAL drh = back[j], da_z = d[j] * (old[j] - cand[j]) * z[j] * (1 - z[j]);
            back[j] = drh * r[j] + d[j] * z[j];
            REAL da_r = drh * old[j] * r[j] * (1 - r[j]);
            old[j] *= r[j];
            r[j] = da_r, z[j] = da_z, cand[j] = u[j];
        }
    }
    GEMM(LA_N, LA_N, n, H, 2 * H, 1, tape, ld, W_hh, H, 1, dh_prev, H);
}
