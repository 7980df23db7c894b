/* SPDX-License-Identifier: MIT */
/* The LSTM. Tape: i f g o tanh(c_t) c_{t-1}.
 *   i,f,o = sigmoid(a)   g = tanh(a_g)   c_t = f*c_{t-1} + i*g   h_t = o*tanh(c_t) */

static void lstm_forward(size_t n, size_t H, const REAL *W_hh, const REAL *h_prev, const REAL *c_prev,
                         REAL *tape, REAL *h, REAL *c, REAL *before)
{
    size_t ld = 6 * H;
    assert(c_prev && c);
    GEMM(LA_N, LA_T, n, 4 * H, H, 1, h_prev, H, W_hh, H, 1, tape, ld);
    for (size_t b = 0; b < n; b++) {
        REAL *restrict i = tape + b * ld, *restrict f = i + H, *restrict g = f + H, *restrict o = g + H;
        REAL *restrict q = o + H, *restrict old = q + H, *restrict now = c + b * H, *restrict out = h + b * H;
        if (before)
            memcpy(before + 4 * b * H, i, 4 * H * sizeof *before);
        vector_sigmoid(2 * H, i);
        vector_tanh(H, g, g);
        vector_sigmoid(H, o);
        memcpy(old, c_prev + b * H, H * sizeof *old);
        for (size_t j = 0; j < H; j++)
            now[j] = f[j] * old[j] + i[j] * g[j];
        vector_tanh(H, now, q);
        for (size_t j = 0; j < H; j++)
            out[j] = o[j] * q[j];
    }
}

static void lstm_backward(size_t n, size_t H, const REAL *W_hh, REAL *tape, const REAL *dh, REAL *dc,
                          REAL *dh_prev)
{
    size_t ld = 6 * H;
    for (size_t b = 0; b < n; b++) {
        REAL *restrict i = tape + b * ld, *restrict f = i + H, *restrict g = f + H, *restrict o = g + H;
        const REAL *restrict q = o + H, *restrict old = q + H, *restrict d = dh + b * H;
        REAL *restrict e = dc + b * H;
        for (size_t j = 0; j < H; j++) {
            REAL dc_t = e[j] + d[j] * o[j] * (1 - q[j] * q[j]);
            REAL da_i = dc_t * g[j] * i[j] * (1 - i[j]), da_f = dc_t * old[j] * f[j] * (1 - f[j]);
            REAL da_g = dc_t * i[j] * (1 - g[j] * g[j]), da_o = d[j] * q[j] * o[j] * (1 - o[j]);
            e[j] = dc_t * f[j];
            i[j] = da_i, f[j] = da_f, g[j] = da_g, o[j] = da_o;
        }
    }
    GEMM(LA_N, LA_N, n, H, 4 * H, 1, tape, ld, W_hh, H, 0, dh_prev, H);
}
