/* SPDX-License-Identifier: MIT */
/* Compiled in fold.c for REAL = float and double. Derivations: doc/method.md, section 2.
 *
 * Slopes come from what stood before the gates' functions: where a gate saturates its value rounds to 0 or 1,
 * and 1 - g^2 or i (1 - i) would be lost, and with them all of a saturated unit's gradient. */

/* 1 - tanh(a)^2 = 4 exp(-2|a|) / (1 + exp(-2|a|))^2 */
static REAL NAME(tanh_slope)(REAL a)
{
    REAL e = EXP(-2 * ABS(a));
    return 4 * e / ((1 + e) * (1 + e));
}

/* sigmoid(a) (1 - sigmoid(a)) */
static REAL NAME(sigmoid_slope)(REAL a)
{
    REAL e = EXP(-ABS(a));
    return e / ((1 + e) * (1 + e));
}

/* 1 - sigmoid(a) */
static REAL NAME(sigmoid_rest)(REAL a)
{
    REAL e = EXP(-ABS(a));
    return (a > 0 ? e : 1) / (1 + e);
}

/* Tape i f g o tanh(c) c_prev; d0 = f, d1 = q. */
static void NAME(fold_lstm)(size_t H, const REAL *tape, const REAL *before, REAL *wh, REAL *wx,
                            REAL *diagonal)
{
    const REAL *i = tape, *f = i + H, *g = f + H, *o = g + H, *th = o + H, *c = th + H;
    for (size_t j = 0; j < H; j++) {
        wh[j] = g[j] * NAME(sigmoid_slope)(before[j]);
        wh[H + j] = c[j] * NAME(sigmoid_slope)(before[H + j]);
        wh[2 * H + j] = i[j] * NAME(tanh_slope)(before[2 * H + j]);
        wh[3 * H + j] = th[j] * NAME(sigmoid_slope)(before[3 * H + j]);
        diagonal[j] = f[j];
        diagonal[H + j] = o[j] * NAME(tanh_slope)(f[j] * c[j] + i[j] * g[j]);
    }
    memcpy(wx, wh, 4 * H * sizeof *wx);
}

/* Tape r z n u h_prev; n = tanh(a_n + r*u), u = W_hn h + b_hn. */
static void NAME(fold_gru)(size_t H, const REAL *tape, const REAL *before, REAL *wh, REAL *wx, REAL *diagonal)
{
    const REAL *r = tape, *z = r + H, *n = z + H, *u = n + H, *h = u + H, *a = before;
    for (size_t j = 0; j < H; j++) {
        REAL dn = NAME(sigmoid_rest)(a[H + j]) * NAME(tanh_slope)(a[2 * H + j]);
        wh[j] = wx[j] = dn * u[j] * NAME(sigmoid_slope)(a[j]);
        wh[H + j] = wx[H + j] = (h[j] - n[j]) * NAME(sigmoid_slope)(a[H + j]);
        wh[2 * H + j] = dn * r[j];
        wx[2 * H + j] = dn;
        diagonal[j] = z[j];
    }
}

/* Tape r z n u h_prev; n = tanh(a_n + W_hn (r*h)): what passes through r goes by `right`, see cell.h. */
static void NAME(fold_gru_reset_first)(size_t H, const REAL *tape, const REAL *before, REAL *wh, REAL *wx,
                                       REAL *diagonal, REAL *right)
{
    const REAL *r = tape, *z = r + H, *n = z + H, *h = n + 2 * H, *a = before;
    for (size_t j = 0; j < H; j++) {
        wh[j] = wx[j] = 0;
        wh[H + j] = wx[H + j] = (h[j] - n[j]) * NAME(sigmoid_slope)(a[H + j]);
        wh[2 * H + j] = wx[2 * H + j] = NAME(sigmoid_rest)(a[H + j]) * NAME(tanh_slope)(a[2 * H + j]);
        diagonal[j] = z[j];
        right[j] = r[j];
        right[H + j] = h[j] * NAME(sigmoid_slope)(a[j]);
    }
}

static void NAME(fold_rnn)(size_t H, bool relu, const REAL *before, REAL *wh, REAL *wx, REAL *diagonal)
{
    for (size_t j = 0; j < H; j++) {
        wh[j] = wx[j] = relu ? (REAL)(before[j] > 0) : NAME(tanh_slope)(before[j]);
        diagonal[j] = 0;
    }
}

void NAME(cell_fold)(sg_cell c, size_t H, const REAL *tape, const REAL *before, REAL *wh, REAL *wx,
                     REAL *diagonal, REAL *right)
{
    switch (c) {
    case SG_CELL_LSTM:
        NAME(fold_lstm)(H, tape, before, wh, wx, diagonal);
        break;
    case SG_CELL_GRU:
        NAME(fold_gru)(H, tape, before, wh, wx, diagonal);
        break;
    case SG_CELL_GRU_RESET_FIRST:
        NAME(fold_gru_reset_first)(H, tape, before, wh, wx, diagonal, right);
        break;
    case SG_CELL_TANH:
    case SG_CELL_RELU:
        NAME(fold_rnn)(H, c == SG_CELL_RELU, before, wh, wx, diagonal);
        break;
    }
}
