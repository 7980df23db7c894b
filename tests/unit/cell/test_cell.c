/* SPDX-License-Identifier: MIT */
/* Cells: the step against its equations, the backward pass against central differences in double, float
 * against double. */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "cell/cell.h"

enum { T = 4, B = 2, N = 3, H = 5, MAX_G = 4, MAX_TAPE = 6 };

static const sg_cell kinds[] = {SG_CELL_TANH, SG_CELL_RELU, SG_CELL_GRU, SG_CELL_GRU_RESET_FIRST,
                                SG_CELL_LSTM};

/* All a layer needs, in one array so that a test can nudge any number of it. */
typedef struct {
    double W_ih[MAX_G * H * N], W_hh[MAX_G * H * H], b_ih[MAX_G * H], b_hh[MAX_G * H];
    double X[T * B * N], h0[B * H], c0[B * H];
} inputs;

static void fill(sg_rng *r, double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 0.7 * sg_rng_normal(r);
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* One step of one sequence, straight from doc/method.md, section 2. */
static void naive_step(sg_cell kind, const inputs *p, const double *x, double *h, double *c)
{
    double a[MAX_G * H], u[MAX_G * H], next[H];
    size_t G = sg_cell_gates(kind);
    for (size_t i = 0; i < G * H; i++) {
        a[i] = p->b_ih[i];
        u[i] = p->b_hh[i];
        for (size_t j = 0; j < N; j++)
            a[i] += p->W_ih[i * N + j] * x[j];
        for (size_t j = 0; j < H; j++)
            u[i] += p->W_hh[i * H + j] * h[j];
    }
    for (size_t j = 0; j < H; j++) {
        if (kind == SG_CELL_TANH)
            next[j] = tanh(a[j] + u[j]);
        else if (kind == SG_CELL_RELU)
            next[j] = fmax(a[j] + u[j], 0);
        else if (kind == SG_CELL_LSTM) {
            c[j] = sigmoid(a[H + j] + u[H + j]) * c[j] +
                   sigmoid(a[j] + u[j]) * tanh(a[2 * H + j] + u[2 * H + j]);
            next[j] = sigmoid(a[3 * H + j] + u[3 * H + j]) * tanh(c[j]);
        } else {
            double z = sigmoid(a[H + j] + u[H + j]), inner = sigmoid(a[j] + u[j]) * u[2 * H + j];
            if (kind == SG_CELL_GRU_RESET_FIRST) {
                inner = p->b_hh[2 * H + j];
                for (size_t k = 0; k < H; k++)
                    inner += p->W_hh[(2 * H + j) * H + k] * sigmoid(a[k] + u[k]) * h[k];
            }
            next[j] = (1 - z) * tanh(a[2 * H + j] + inner) + z * h[j];
        }
    }
    memcpy(h, next, sizeof next);
}

static void run(sg_cell kind, const inputs *p, double *hidden, double *cells, double *tape)
{
    memcpy(hidden, p->h0, sizeof p->h0);
    memcpy(cells, p->c0, sizeof p->c0);
    layer_forward_d(kind, T, B, N, H, p->W_ih, p->W_hh, p->b_ih, p->b_hh, p->X, hidden, cells, tape);
}

/* L = sum of r_i h_i over the window, r fixed: its gradient with respect to anything by central
 * differences. */
static double objective(sg_cell kind, const inputs *p, const double *r)
{
    double hidden[(T + 1) * B * H], cells[(T + 1) * B * H], tape[T * B * MAX_TAPE * H], sum = 0;
    run(kind, p, hidden, cells, tape);
    for (size_t i = 0; i < T * B * H; i++)
        sum += r[i] * hidden[B * H + i];
    return sum;
}

static void forward_follows_the_equations(void **state)
{
    (void)state;
    for (size_t k = 0; k < 5; k++) {
        inputs p;
        sg_rng rng;
        sg_rng_seed(&rng, 3, k);
        fill(&rng, (double *)&p, sizeof p / sizeof(double));
        double hidden[(T + 1) * B * H], cells[(T + 1) * B * H], tape[T * B * MAX_TAPE * H];
        run(kinds[k], &p, hidden, cells, tape);
        for (size_t b = 0; b < B; b++) {
            double h[H], c[H];
            memcpy(h, p.h0 + b * H, sizeof h);
            memcpy(c, p.c0 + b * H, sizeof c);
            for (size_t t = 0; t < T; t++) {
                naive_step(kinds[k], &p, p.X + (t * B + b) * N, h, c);
                for (size_t j = 0; j < H; j++) {
                    size_t at = ((t + 1) * B + b) * H + j;
                    assert_close(hidden[at], h[j], 1e-13, 1, sg_cell_name(kinds[k]), at);
                    if (kinds[k] == SG_CELL_LSTM)
                        assert_close(cells[at], c[j], 1e-13, 1, "cell state", at);
                }
            }
        }
    }
}

static void backward_agrees_with_central_differences(void **state)
{
    (void)state;
    static const char *const part[] = {"W_ih", "W_hh", "b_ih", "b_hh", "X"};
    for (size_t k = 0; k < 5; k++) {
        inputs p;
        sg_rng rng;
        sg_rng_seed(&rng, 4, k);
        fill(&rng, (double *)&p, sizeof p / sizeof(double));
        double hidden[(T + 1) * B * H], cells[(T + 1) * B * H], tape[T * B * MAX_TAPE * H], work[2 * B * H];
        double r[T * B * H], dH[T * B * H];
        inputs g = {0};
        fill(&rng, r, T * B * H);
        memcpy(dH, r, sizeof r);
        run(kinds[k], &p, hidden, cells, tape);
        layer_backward_d(kinds[k], T, B, N, H, p.W_ih, p.W_hh, p.X, hidden, tape, dH, g.X, g.W_ih, g.W_hh,
                         g.b_ih, g.b_hh, work);
        size_t G = sg_cell_gates(kinds[k]);
        double *value[] = {p.W_ih, p.W_hh, p.b_ih, p.b_hh, p.X},
               *found[] = {g.W_ih, g.W_hh, g.b_ih, g.b_hh, g.X};
        size_t length[] = {G * H * N, G * H * H, G * H, G * H, T * B * N};
        for (size_t q = 0; q < 5; q++)
            for (size_t i = 0; i < length[q]; i++) {
                double x = value[q][i], step = 1e-5;
                value[q][i] = x + step;
                double up = objective(kinds[k], &p, r);
                value[q][i] = x - step;
                double down = objective(kinds[k], &p, r);
                value[q][i] = x;
                char what[64];
                snprintf(what, sizeof what, "%s d%s", sg_cell_name(kinds[k]), part[q]);
                assert_close(found[q][i], (up - down) / (2 * step), 1e-6, 1e-2, what, i);
            }
    }
}

static void float_follows_double(void **state)
{
    (void)state;
    for (size_t k = 0; k < 5; k++) {
        inputs p;
        sg_rng rng;
        sg_rng_seed(&rng, 5, k);
        fill(&rng, (double *)&p, sizeof p / sizeof(double));
        enum { COUNT = sizeof(inputs) / sizeof(double) };
        static float f[COUNT];
        for (size_t i = 0; i < COUNT; i++)
            f[i] = (float)((double *)&p)[i];
        const float *W_ih = f, *W_hh = W_ih + MAX_G * H * N, *b_ih = W_hh + MAX_G * H * H,
                    *b_hh = b_ih + MAX_G * H;
        const float *X = b_hh + MAX_G * H, *h0 = X + T * B * N, *c0 = h0 + B * H;
        float hidden[(T + 1) * B * H], cells[(T + 1) * B * H], tape[T * B * MAX_TAPE * H], dH[T * B * H],
            work[2 * B * H];
        double hidden_d[(T + 1) * B * H], cells_d[(T + 1) * B * H], tape_d[T * B * MAX_TAPE * H],
            dH_d[T * B * H];
        double work_d[2 * B * H];
        static float g[COUNT];
        inputs g_d = {0};
        memset(g, 0, sizeof g);
        run(kinds[k], &p, hidden_d, cells_d, tape_d);
        memcpy(hidden, h0, B * H * sizeof *h0);
        memcpy(cells, c0, B * H * sizeof *c0);
        layer_forward(kinds[k], T, B, N, H, W_ih, W_hh, b_ih, b_hh, X, hidden, cells, tape);
        for (size_t i = 0; i < (T + 1) * B * H; i++)
            assert_close(hidden[i], hidden_d[i], 1e-5, 0.1, "hidden", i);
        for (size_t i = 0; i < T * B * cell_tape(kinds[k]) * H; i++)
            assert_close(tape[i], tape_d[i], 1e-5, 0.1, "tape", i);
        for (size_t i = 0; i < T * B * H; i++)
            dH[i] = (float)(dH_d[i] = sin((double)i));
        layer_backward_d(kinds[k], T, B, N, H, p.W_ih, p.W_hh, p.X, hidden_d, tape_d, dH_d, g_d.X, g_d.W_ih,
                         g_d.W_hh, g_d.b_ih, g_d.b_hh, work_d);
        layer_backward(kinds[k], T, B, N, H, W_ih, W_hh, X, hidden, tape, dH, g + (X - f), g, g + (W_hh - f),
                       g + (b_ih - f), g + (b_hh - f), work);
        for (size_t i = 0; i < COUNT; i++)
            assert_close(g[i], ((double *)&g_d)[i], 1e-4, 1, sg_cell_name(kinds[k]), i);
    }
}

/* Where a gate rounds to 0 or 1 its slope must not vanish: 1 - g^2 in float32 is 0 from a = 9 on. */
static void saturated_cells_keep_their_slope(void **state)
{
    (void)state;
    for (size_t k = 0; k < 60; k++) {
        double a = -15 + 0.5 * (double)k, slope = 1 / (cosh(a) * cosh(a)), s = 0.25 / pow(cosh(a / 2), 2);
        float x = (float)a, wh[4], wx[4], diagonal[2], right[2], gates[4] = {x, x, x, x};
        float lstm[6] = {0.5f, 1, 0, 0.75f, (float)tanh(a), x}; /* c = 1 a + 0.5 0 */
        cell_fold(SG_CELL_LSTM, 1, lstm, gates, wh, wx, diagonal, NULL);
        assert_close(diagonal[1], 0.75 * slope, 2e-6, 0, "LSTM q = o (1 - tanh(c)^2)", k);
        assert_close(wh[1], a * s, 2e-6, 0, "LSTM c f (1-f)", k);
        assert_close(wh[2], 0.5 * slope, 2e-6, 0, "LSTM i (1-g^2)", k);
        assert_close(wh[3], tanh(a) * s, 2e-6, 0, "LSTM tanh(c) o (1-o)", k);
        float gru[5] = {0.5f, (float)sigmoid(a), (float)tanh(a), 2, 3};
        cell_fold(SG_CELL_GRU, 1, gru, gates, wh, wx, diagonal, NULL);
        assert_close(wx[2], sigmoid(-a) * slope, 2e-6, 0, "GRU (1-z) (1-n^2)", k);
        assert_close(wh[0], sigmoid(-a) * slope * 2 * s, 2e-6, 0, "GRU (1-z) (1-n^2) u r (1-r)", k);
        assert_close(wh[1], (3 - tanh(a)) * s, 2e-6, 0, "GRU (h-n) z (1-z)", k);
        cell_fold(SG_CELL_GRU_RESET_FIRST, 1, gru, gates, wh, wx, diagonal, right);
        assert_close(wx[2], sigmoid(-a) * slope, 2e-6, 0, "reset first (1-z) (1-n^2)", k);
        assert_close(right[1], 3 * s, 2e-6, 0, "reset first h r (1-r)", k);
        float h = (float)tanh(a);
        cell_fold(SG_CELL_TANH, 1, &h, gates, wh, wx, diagonal, NULL);
        assert_close(wh[0], slope, 2e-6, 0, "RNN 1 - h^2", k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saturated_cells_keep_their_slope),
        cmocka_unit_test(forward_follows_the_equations),
        cmocka_unit_test(backward_agrees_with_central_differences),
        cmocka_unit_test(float_follows_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
