/* Compiled in fold.c for REAL = float and double. METHOD section 2 has the derivations. */

/* 1 - tanh(c)^2 = 4 exp(-2|c|) / (1 + exp(-2|c|))^2, from c itself: where tanh(c) rounds to 1 the difference is lost, and
 * with it the whole gradient of h in a saturated unit. */
static REAL NAME(tanh_slope)(REAL c)
{
    double e = exp(-2 * fabs((double)c));
    return (REAL)(4 * e / ((1 + e) * (1 + e)));
}

/* Tape i f g o tanh(c) c_prev; d0 = f, d1 = q. */
static void NAME(fold_lstm)(size_t H, const REAL *tape, REAL *wh, REAL *wx, REAL *diagonal)
{
    const REAL *i = tape, *f = i + H, *g = f + H, *o = g + H, *th = o + H, *c = th + H;
    for (size_t j = 0; j < H; j++) {
        wh[j] = g[j] * i[j] * (1 - i[j]);
        wh[H + j] = c[j] * f[j] * (1 - f[j]);
        wh[2 * H + j] = i[j] * (1 - g[j] * g[j]);
        wh[3 * H + j] = th[j] * o[j] * (1 - o[j]);
        diagonal[j] = f[j];
        diagonal[H + j] = o[j] * NAME(tanh_slope)(f[j] * c[j] + i[j] * g[j]);
    }
    memcpy(wx, wh, 4 * H * sizeof *wx);
}

/* Tape r z n u h_prev; n = tanh(a_n + r*u), u = W_hn h + b_hn. */
static void NAME(fold_gru)(size_t H, const REAL *tape, REAL *wh, REAL *wx, REAL *diagonal)
{
    const REAL *r = tape, *z = r + H, *n = z + H, *u = n + H, *h = u + H;
    for (size_t j = 0; j < H; j++) {
        REAL dn = (1 - z[j]) * (1 - n[j] * n[j]);
        wh[j] = wx[j] = dn * u[j] * r[j] * (1 - r[j]);
        wh[H + j] = wx[H + j] = (h[j] - n[j]) * z[j] * (1 - z[j]);
        wh[2 * H + j] = dn * r[j];
        wx[2 * H + j] = dn;
        diagonal[j] = z[j];
    }
}

/* Tape r z n u h_prev; n = tanh(a_n + W_hn (r*h)): what passes through r goes by `right`, see cell.h. */
static void NAME(fold_gru_reset_first)(size_t H, const REAL *tape, REAL *wh, REAL *wx, REAL *diagonal, REAL *right)
{
    const REAL *r = tape, *z = r + H, *n = z + H, *h = n + 2 * H;
    for (size_t j = 0; j < H; j++) {
        wh[j] = wx[j] = 0;
        wh[H + j] = wx[H + j] = (h[j] - n[j]) * z[j] * (1 - z[j]);
        wh[2 * H + j] = wx[2 * H + j] = (1 - z[j]) * (1 - n[j] * n[j]);
        diagonal[j] = z[j];
        right[j] = r[j];
        right[H + j] = h[j] * r[j] * (1 - r[j]);
    }
}

static void NAME(fold_rnn)(size_t H, bool relu, const REAL *h, REAL *wh, REAL *wx, REAL *diagonal)
{
    for (size_t j = 0; j < H; j++) {
        wh[j] = wx[j] = relu ? (REAL)(h[j] > 0) : 1 - h[j] * h[j];
        diagonal[j] = 0;
    }
}

void NAME(sg_cell_fold)(sg_cell c, size_t H, const REAL *tape, REAL *wh, REAL *wx, REAL *diagonal, REAL *right)
{
    switch (c) {
    case SG_CELL_LSTM:
        NAME(fold_lstm)(H, tape, wh, wx, diagonal);
        break;
    case SG_CELL_GRU:
        NAME(fold_gru)(H, tape, wh, wx, diagonal);
        break;
    case SG_CELL_GRU_RESET_FIRST:
        NAME(fold_gru_reset_first)(H, tape, wh, wx, diagonal, right);
        break;
    case SG_CELL_TANH:
    case SG_CELL_RELU:
        NAME(fold_rnn)(H, c == SG_CELL_RELU, tape, wh, wx, diagonal);
        break;
    }
}
