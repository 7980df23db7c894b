/* SPDX-License-Identifier: MIT */
/* Every cell of the table: the plain twin's reverse pass against central differences of its step, the
 * training layer against central differences of the twin over a window, the Jacobian where gates saturate.
 * (The twins' steps themselves are compared with PyTorch in pytorch_lm.py, the forward pass and the Jacobians
 * with the twins in test_check.c, test_gradient.c and test_engine.c.) */
#include "helpers/test_util.h"

#include "base/base_internal.h"
#include "cell/cell.h"
#include "train/layer.h"

enum { T = 4, B = 2, N = 3, H = 5 };

/* All that a layer reads, in one array so that a test can nudge any number of it. */
typedef struct {
    float W_ih[CELL_MAX_GATES * H * N], W_hh[CELL_MAX_GATES * H * H], b_ih[CELL_MAX_GATES * H],
        b_hh[CELL_MAX_GATES * H], X[T * B * N];
} inputs;

static void fill(inputs *p, uint64_t seed)
{
    sg_rng r;
    sg_rng_seed(&r, seed, 1);
    for (size_t i = 0; i < sizeof *p / sizeof(float); i++)
        ((float *)p)[i] = 0.7f * (float)sg_rng_normal(&r);
}

static cell_plain plain_layer(const inputs *p, const cell_type *t)
{
    bool dense = t->recurrence == CELL_DENSE;
    return (cell_plain){H, N, p->W_ih, dense ? p->W_hh : NULL, p->b_ih, dense ? p->b_hh : NULL};
}

/* u h' + v c', of x, h, c and the input's bias (da is its gradient): four blocks of numbers. */
typedef struct {
    double x[N], h[H], c[H];
} point;

static double image(const cell_type *t, const cell_plain *l, const point *at, const double *u,
                    const double *v)
{
    double kept[CELL_KEPT * H], h[H], c[H] = {0}, sum = 0;
    t->plain_step(l, at->x, at->h, at->c, kept, h, c);
    for (size_t j = 0; j < H; j++)
        sum += u[j] * h[j] + v[j] * c[j];
    return sum;
}

static void plain_reverse_agrees_with_differences(void **state)
{
    (void)state;
    for (size_t k = 0; k < sg_cell_count(); k++) {
        const cell_type *t = cell_of((sg_cell)k);
        inputs p;
        fill(&p, k + 3);
        cell_plain l = plain_layer(&p, t);
        point at, found = {0};
        double u[H], v[H], kept[CELL_KEPT * H], h[H], c[H], da[CELL_MAX_GATES * H], dh[H], dc[H];
        sg_rng r;
        sg_rng_seed(&r, 5, k);
        for (size_t i = 0; i < sizeof at / sizeof(double); i++)
            ((double *)&at)[i] = sg_rng_normal(&r);
        for (size_t j = 0; j < H; j++)
            u[j] = sg_rng_normal(&r), v[j] = cell_states(t) == 2 ? sg_rng_normal(&r) : 0;
        t->plain_step(&l, at.x, at.h, at.c, kept, h, c);
        memcpy(dh, u, sizeof u), memcpy(dc, v, sizeof v);
        t->plain_reverse(&l, kept, at.h, at.c, dh, dc, da);
        memcpy(found.h, dh, sizeof dh), memcpy(found.c, dc, sizeof dc);
        for (size_t row = 0; row < t->gates * H; row++)
            for (size_t j = 0; j < N; j++)
                found.x[j] += da[row] * (double)p.W_ih[row * N + j];
        for (size_t i = 0; i < N + cell_states(t) * H; i++) {
            double *x = (double *)&at + i, kept_x = *x, step = 1e-5;
            *x = kept_x + step;
            double up = image(t, &l, &at, u, v);
            *x = kept_x - step;
            double down = image(t, &l, &at, u, v);
            *x = kept_x;
            assert_close(((double *)&found)[i], (up - down) / (2 * step), 1e-6, 1e-2, t->name, i);
        }
        for (size_t i = 0; i < t->gates * H;
             i++) { /* da, by way of the biases: floats, so steps are read back */
            float b = p.b_ih[i];
            p.b_ih[i] = b + 0x1p-10f;
            double up = image(t, &l, &at, u, v), high = (double)p.b_ih[i];
            p.b_ih[i] = b - 0x1p-10f;
            double down = image(t, &l, &at, u, v), low = (double)p.b_ih[i];
            p.b_ih[i] = b;
            assert_close(da[i], (up - down) / (high - low), 1e-4, 1e-2, t->name, i);
        }
    }
}

/* Hidden states of all sequences (T*B, H) from zero, by the plain twin. */
static void plain_window(const cell_type *t, const inputs *p, double *hidden)
{
    cell_plain l = plain_layer(p, t);
    for (size_t b = 0; b < B; b++) {
        double h[2][H] = {{0}}, c[2][H] = {{0}}, kept[CELL_KEPT * H], x[N];
        for (size_t s = 0; s < T; s++) {
            for (size_t j = 0; j < N; j++)
                x[j] = (double)p->X[(s * B + b) * N + j];
            t->plain_step(&l, x, h[s % 2], c[s % 2], kept, h[(s + 1) % 2], c[(s + 1) % 2]);
            memcpy(hidden + (s * B + b) * H, h[(s + 1) % 2], sizeof h[0]);
        }
    }
}

static double objective(const cell_type *t, const inputs *p, const float *r)
{
    double hidden[T * B * H], sum = 0;
    plain_window(t, p, hidden);
    for (size_t i = 0; i < T * B * H; i++)
        sum += (double)r[i] * hidden[i];
    return sum;
}

/* L = sum of r_i h_i over the window, r fixed: states and the gradient of everything. */
static void training_layer_agrees_with_the_plain_twin(void **state)
{
    (void)state;
    static const char *const part[] = {"W_ih", "W_hh", "b_ih", "b_hh", "X"};
    for (size_t k = 0; k < sg_cell_count(); k++) {
        const cell_type *t = cell_of((sg_cell)k);
        inputs p, g = {0};
        sg_error err;
        sg_layer *layer;
        fill(&p, k + 11);
        bool dense = t->recurrence == CELL_DENSE;
        sg_layer_parameters w = {p.W_ih, dense ? p.W_hh : NULL, p.b_ih, dense ? p.b_hh : NULL};
        sg_layer_parameters gw = {g.W_ih, dense ? g.W_hh : NULL, g.b_ih, dense ? g.b_hh : NULL};
        float r[T * B * H], dH[T * B * H];
        double hidden[T * B * H];
        for (size_t i = 0; i < T * B * H; i++)
            r[i] = dH[i] = sinf((float)i);
        assert_ok(layer_new(&layer, t, T, B, N, H, 2, &err), err);
        layer_run(layer, T, &w, p.X);
        plain_window(t, &p, hidden);
        for (size_t i = 0; i < T * B * H; i++)
            assert_close(layer_hidden(layer)[i], hidden[i], 1e-5, 0.1, t->name, i);
        layer_back(layer, T, &w, p.X, dH, g.X, &gw);
        layer_free(layer);
        float *value[] = {p.W_ih, p.W_hh, p.b_ih, p.b_hh, p.X},
              *found[] = {g.W_ih, g.W_hh, g.b_ih, g.b_hh, g.X};
        size_t G = t->gates, length[] = {G * H * N, G * H * H, G * H, G * H, T * B * N};
        for (size_t q = 0; q < 5; q++)
            for (size_t i = 0; i < length[q] && (dense || (q != 1 && q != 3)); i++) {
                float x = value[q][i];
                value[q][i] = x + 0x1p-10f;
                double up = objective(t, &p, r), high = (double)value[q][i];
                value[q][i] = x - 0x1p-10f;
                double down = objective(t, &p, r), low = (double)value[q][i];
                value[q][i] = x;
                char what[64];
                snprintf(what, sizeof what, "%s d%s", t->name, part[q]);
                assert_close(found[q][i], (up - down) / (high - low), 2e-4, 0.1, what, i);
            }
    }
}

/* Where a gate rounds to 0 or 1 its slope must not vanish: 1 - g^2 in float32 is 0 from a = 9 on. */
static void saturated_cells_keep_their_slope(void **state)
{
    (void)state;
    for (size_t k = 0; k < 60; k++) {
        double a = -15 + 0.5 * (double)k, slope = 1 / (cosh(a) * cosh(a)), s = 0.25 / pow(cosh(a / 2), 2);
        float x = (float)a, wh[4], wx[4], diagonal[2], gates[4] = {x, x, x, x};
        float lstm[6] = {0.5f, 1, 0, 0.75f, (float)tanh(a), x}; /* c = 1 a + 0.5 0 */
        cell_of(SG_CELL_LSTM)->jacobian(1, lstm, gates, wh, wx, diagonal);
        assert_close(diagonal[1], 0.75 * slope, 2e-6, 0, "LSTM q = o (1 - tanh(c)^2)", k);
        assert_close(wh[1], a * s, 2e-6, 0, "LSTM c f (1-f)", k);
        assert_close(wh[2], 0.5 * slope, 2e-6, 0, "LSTM i (1-g^2)", k);
        assert_close(wh[3], tanh(a) * s, 2e-6, 0, "LSTM tanh(c) o (1-o)", k);
        float gru[6] = {0.5f, (float)(1 / (1 + exp(-a))), (float)tanh(a), 2, 3, 1.5f};
        double rest = 1 / (1 + exp(a));
        cell_of(SG_CELL_GRU)->jacobian(1, gru, gates, wh, wx, diagonal);
        assert_close(wx[2], rest * slope, 2e-6, 0, "GRU (1-z) (1-n^2)", k);
        assert_close(wh[0], rest * slope * 2 * s, 2e-6, 0, "GRU (1-z) (1-n^2) u r (1-r)", k);
        assert_close(wh[1], (3 - tanh(a)) * s, 2e-6, 0, "GRU (h-n) z (1-z)", k);
        const cell_type *reset_first = cell_of(SG_CELL_GRU_RESET_FIRST);
        float W[3] = {1, 0, 1}, A = 0, work[2];
        reset_first->jacobian(1, gru, gates, wh, wx, diagonal);
        assert_close(wx[2], rest * slope, 2e-6, 0, "reset first (1-z) (1-n^2)", k);
        reset_first->jacobian_rest(1, 1, W, W, gru, gates, wh, work, &A, 1, NULL, 1);
        /* w (r - 1) + w h r (1-r), w = wh[n] */
        assert_close(A, (double)wh[2] * (-0.5 + 3 * s), 4e-6, 1e-30, "reset first, through r", k);
        float h = (float)tanh(a);
        cell_of(SG_CELL_TANH)->jacobian(1, &h, gates, wh, wx, diagonal);
        assert_close(wh[0], slope, 2e-6, 0, "RNN 1 - h^2", k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saturated_cells_keep_their_slope),
        cmocka_unit_test(plain_reverse_agrees_with_differences),
        cmocka_unit_test(training_layer_agrees_with_the_plain_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
